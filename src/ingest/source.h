#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/datagram.h"
#include "base/diagnostic.h"
#include "base/prefix_set.h"

namespace backstream::ingest {

/// Why a captured frame, or a datagram that a socket received, was not handed on.
#define BACKSTREAM_INGEST_SKIPS(X)                                                              \
  X(kNotIp, "not_ip", "not an IPv4 or IPv6 packet")                                             \
  X(kNotUdp, "not_udp", "IP, but not UDP")                                                      \
  X(kPortFiltered, "port_filtered", "destination port not asked for (--port)")                  \
  X(kFragment, "fragment", "an IP fragment; captures are not reassembled")                      \
  X(kCutShort, "cut_short", "the capture kept fewer bytes than the datagram had (snap length)") \
  X(kMalformed, "malformed", "headers that contradict each other")                              \
  X(kNotAllowed, "not_allowed", "from an address that is not in ingest.allow")                  \
  X(kNoExporter, "no_exporter", "a record of Kafka that names no exporter, or is no message")

enum class IngestSkip : uint8_t {
#define BACKSTREAM_X(enumerator, name, about) enumerator,
  BACKSTREAM_INGEST_SKIPS(BACKSTREAM_X)
#undef BACKSTREAM_X
};
#define BACKSTREAM_X(enumerator, name, about) +1
inline constexpr size_t kIngestSkipCount = BACKSTREAM_INGEST_SKIPS(BACKSTREAM_X);
#undef BACKSTREAM_X
std::string_view name(IngestSkip skip);

/// What one socket has received.
struct SocketStats {
  std::string address;  ///< that it is bound to: "0.0.0.0", "::"
  uint16_t port = 0;
  uint64_t datagrams = 0, octets = 0;  ///< those that were not handed on included
  /// What the kernel dropped for want of buffer (SO_RXQ_OVFL). It counts a coalesced receive (UDP_GRO) once, so behind
  /// a network card this is a lower bound of the datagrams lost.
  uint64_t kernel_drops = 0;
  uint64_t buffer_octets = 0;  ///< receive buffer that was granted
};

/// What was read of one topic of Kafka.
struct TopicStats {
  std::string name;
  uint64_t records = 0, octets = 0;  ///< those that were not handed on included
  uint64_t lost = 0;                 ///< offsets passed over: removed before they were read, or damaged
  uint64_t failures = 0;             ///< what brokers answered instead of records
  uint64_t behind = 0;               ///< records that wait there now
};

struct IngestStats {
  uint64_t frames = 0;     ///< captured packets read
  uint64_t datagrams = 0;  ///< handed on
  uint64_t octets = 0;     ///< of the files or payloads read
  uint64_t skipped[kIngestSkipCount] = {};
  uint64_t kernel_drops = 0;  ///< of all sockets
  /// Addresses that were turned away as kNotAllowed and how often, the first kRejectedNamedMax of them.
  std::vector<std::pair<base::Inet, uint64_t>> rejected;
  static constexpr size_t kRejectedNamedMax = 8;
  std::vector<SocketStats> sockets;
  std::vector<TopicStats> topics;
  bool truncated = false;             ///< a capture ended in the middle of a record
  std::vector<std::string> warnings;  ///< one line each, for people: "x.pcap: cut in the middle of packet 17 ..."

  void add_rejected(const base::Inet& source);
  IngestStats& operator+=(const IngestStats& other);
};

/// Datagrams in order, a block at a time. One thread.
class DatagramSource {
 public:
  virtual ~DatagramSource() = default;
  /// The next datagrams; empty at the end of a capture, or (sockets) when none came within the poll interval.
  /// The span and all payloads are valid until the next call.
  virtual std::span<const base::Datagram> next_block() = 0;
  virtual bool at_end() const = 0;
  virtual const IngestStats& stats() const = 0;
  /// Where datagrams have the kernel's time stamps (Datagram::arrived_ns): all that it stamped before this has been
  /// handed on, but for what was on its way to the socket just then.
  virtual int64_t complete_until_ns() const { return 0; }
  /// Octets read so far and in all (0: unknown), for a progress bar.
  virtual uint64_t octets_read() const { return stats().octets; }
  virtual uint64_t octets_total() const { return 0; }
  /// So many of the datagrams that were handed on, in their order, have been read to the end: a source that can be read
  /// again need not give them again.
  virtual void processed(size_t datagrams) { (void)datagrams; }
};

struct CaptureInput {
  std::string path;  ///< "-" is standard input
  std::string site;  ///< "" when no SITE= was given
};

/// Opens pcap and pcapng files, plain, gzip or zstd (told by content, not by name).
/// Inputs without a site are one input, read in the listed order; each distinct site is an input of its own (its files
/// in the listed order), and several inputs are merged by capture time. Datagram::site is an index into `sites`.
/// @param ports  destination ports to keep; empty: all
/// @param allow  sources to keep; empty: all
/// Errors: a file that is missing, empty, or no capture (code "capture"), unknown link type, all before anything is
/// read. A pcapng file is refused only when none of its first interfaces can be read; packets of the others are skipped
/// as kNotIp, with a warning.
base::Result<std::unique_ptr<DatagramSource>> open_captures(const std::vector<CaptureInput>& inputs,
                                                            const std::vector<uint16_t>& ports,
                                                            std::vector<std::string>& sites,
                                                            const base::PrefixSet& allow = {});

}  // namespace backstream::ingest
