#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "ingest/octet_source.h"

namespace backstream::ingest {

/// Packets of one pcap or pcapng file, in order. Octets lie in one buffer that is reused; a packet is valid until
/// refill(). Reads with read(2), not mmap: the first touch of fresh pages costs more than the copy. One thread.
/// Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
class CaptureReader {
 public:
  struct Packet {
    const uint8_t* frame = nullptr;
    uint32_t octets = 0;     ///< captured
    uint32_t link_type = 0;  ///< pcapng: may be one that link_type_known() refuses
    base::Micros time = 0;   ///< 1970 to 9999
  };

  /// `name` is for messages. Errors ("capture"): not a capture, no link type that can be read.
  static base::Result<std::unique_ptr<CaptureReader>> open(std::unique_ptr<OctetSource> octets, std::string name);

  /// The next packet that is wholly in the buffer. False: refill(), or the end.
  bool next(Packet& packet);
  /// Reads on. False at the end of the file, or where it is damaged: see truncated() and warnings().
  bool refill();
  /// True when the file ended in the middle of a record or was damaged; what came before was handed out.
  bool truncated() const { return truncated_; }
  /// One line each, for people. Complete when refill() said false.
  const std::vector<std::string>& warnings() const { return warnings_; }
  uint64_t octets_read() const { return source_->octets_read(); }
  uint64_t octets_total() const { return source_->octets_total(); }

 private:
  enum class Step { kPacket, kSkipped, kNeedMore, kStop };
  struct Interface {
    uint32_t link_type = 0;
    uint32_t snap_octets = 0;  ///< 0: no limit
    uint64_t ticks_per_second = 1'000'000;
    int64_t offset_us = 0;
  };

  CaptureReader(std::unique_ptr<OctetSource> octets, std::string name);
  base::Result<void> begin();
  base::Result<void> begin_pcapng();
  tl::unexpected<base::Diagnostic> refuse(std::string_view what, std::string hint = {}) const;
  tl::unexpected<base::Diagnostic> refuse_link_type(uint32_t link_type) const;
  Step next_pcap(Packet& packet);
  Step next_block(Packet& packet);
  Step read_interface(const uint8_t* body, uint32_t octets);
  Step damaged(std::string_view what);
  void stop(std::string warning);
  bool fill();
  uint32_t u32(const uint8_t* at) const;
  uint16_t u16(const uint8_t* at) const;
  size_t left() const { return end_ - at_; }

  std::unique_ptr<OctetSource> source_;
  std::string name_;
  std::vector<uint8_t> buffer_;
  size_t at_ = 0, end_ = 0;
  size_t wanted_ = 0;  ///< octets that the next record needs at least
  bool source_ended_ = false;
  bool stopped_ = false;
  bool truncated_ = false;
  bool pcapng_ = false;
  bool swapped_ = false;
  uint32_t fraction_per_micro_ = 1;  ///< pcap: 1 (µs) or 1000 (ns)
  uint32_t link_type_ = 0;
  std::vector<Interface> interfaces_;  ///< of this section
  bool link_type_warned_ = false;
  base::Micros last_time_ = 0;
  uint64_t packet_count_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace backstream::ingest
