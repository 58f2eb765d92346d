#pragma once
#include <cstdint>
#include <string_view>

#include "base/inet.h"
#include "base/time.h"

namespace backstream::generate {

enum class Protocol : uint8_t { kNetflow5, kNetflow9, kIpfix, kSflow };

/// As the column protocol_version spells it.
std::string_view version_text(Protocol protocol);

/// One flow record as it is on the wire: times are quantised as its protocol does, counters are what the receiver
/// will read.
struct Record {
  base::Micros start = 0, end = 0;  ///< first and last packet; sFlow: both are `received`
  base::Micros received = 0;        ///< when its datagram arrives
  base::Inet source, destination;   ///< hosts of one family
  base::Inet exporter;
  uint64_t octets = 0, packets = 0;  ///< as exported: not scaled by the sampling rate
  uint32_t sampling_rate = 1;        ///< >= 1
  uint32_t source_as = 0, destination_as = 0;
  uint32_t in_if = 0, out_if = 0;
  uint16_t source_port = 0, destination_port = 0;
  uint8_t ip_protocol = 0, tcp_flags = 0, tos = 0;
  uint8_t source_mask = 0, destination_mask = 0;
  bool has_ports = true, has_flags = true;  ///< false: the columns are null (sFlow; NetFlow has the fields always)
  Protocol protocol = Protocol::kNetflow5;
};

/// Sees every record, once, when the arrival of its datagram is known.
class RecordObserver {
 public:
  virtual ~RecordObserver() = default;
  virtual void observe(const Record& record) = 0;
};

}  // namespace backstream::generate
