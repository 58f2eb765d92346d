#pragma once
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "base/datagram.h"
#include "base/huge_pages.h"

namespace backstream::app {

/// Copies of received datagrams that wait while the engine closes windows: the socket's buffer holds some ten
/// milliseconds of a fast stream, and closing may take longer. One thread at a time.
class Backlog {
 public:
  explicit Backlog(uint64_t octets_max) : octets_max_(octets_max) {}

  bool empty() const { return datagrams_.empty(); }
  uint64_t octets() const { return octets_; }
  base::Micros oldest() const { return datagrams_.front().received_at; }
  std::span<const base::Datagram> datagrams() const { return datagrams_; }

  /// False: it would hold more than it may, and nothing is added.
  bool add(std::span<const base::Datagram> datagrams) {
    uint64_t octets = 0;
    for (const base::Datagram& datagram : datagrams) octets += sizeof datagram + datagram.payload_octets;
    if (octets_ + octets > octets_max_) return false;
    octets_ += octets;
    for (base::Datagram datagram : datagrams) {
      uint8_t* const copy = room(datagram.payload_octets);
      if (datagram.payload_octets != 0) std::memcpy(copy, datagram.payload, datagram.payload_octets);
      datagram.payload = copy;
      datagrams_.push_back(datagram);
    }
    return true;
  }
  /// Memory that was needed once stays, up to kKeptChunks.
  void clear() {
    datagrams_.clear();
    octets_ = 0;
    used_chunks_ = used_octets_ = 0;
    if (chunks_.size() > kKeptChunks) chunks_.resize(kKeptChunks);
    std::erase_if(chunks_, [](const auto& chunk) { return chunk.size() > kChunkOctets; });
  }

 private:
  static constexpr size_t kChunkOctets = 2 << 20;
  static constexpr size_t kKeptChunks = 16;
  static_assert(kChunkOctets >= 65'536);

  uint8_t* room(uint32_t octets) {
    if (used_chunks_ == 0 || used_octets_ + octets > chunks_[used_chunks_ - 1].size()) {
      if (used_chunks_ == chunks_.size()) chunks_.emplace_back(kChunkOctets);
      // A record of Kafka may be larger than any datagram.
      if (chunks_[used_chunks_].size() < octets) chunks_[used_chunks_] = base::HugePageVector<uint8_t>(octets);
      ++used_chunks_;
      used_octets_ = 0;
    }
    uint8_t* const at = chunks_[used_chunks_ - 1].data() + used_octets_;
    used_octets_ += octets;
    return at;
  }

  const uint64_t octets_max_;
  uint64_t octets_ = 0;
  std::vector<base::Datagram> datagrams_;
  std::vector<base::HugePageVector<uint8_t>> chunks_;
  size_t used_chunks_ = 0, used_octets_ = 0;
};

}  // namespace backstream::app
