#include "ingest/forward_queue.h"

#include <algorithm>
#include <cstring>

namespace backstream::ingest {
namespace {

/// Whatever place the ring has got to, a longest datagram finds room in an empty one.
constexpr uint64_t kOctetsMin = uint64_t{2} * (65'536 + 64);

}  // namespace

ForwardQueue::ForwardQueue(uint64_t octets)
    : memory_((std::max(octets, kOctetsMin) + sizeof(uint64_t) - 1) / sizeof(uint64_t)),
      octets_(memory_.size() * sizeof(uint64_t)) {}

bool ForwardQueue::append(const base::Datagram& datagram, uint64_t& head) {
  const uint64_t room = room_of(datagram.payload_octets);
  const uint64_t place = head % octets_;
  // An item lies in one piece.
  const uint64_t unused = place + room <= octets_ ? 0 : octets_ - place;
  if (head + unused + room - tail_.load(std::memory_order_acquire) > octets_) return false;
  auto* ring = reinterpret_cast<uint8_t*>(memory_.data());
  if (unused != 0) std::memcpy(ring + place, &kWrap, sizeof kWrap);
  head += unused;
  const Header header{datagram.payload_octets, datagram.source_port, 0, datagram.source};
  std::memcpy(ring + head % octets_, &header, sizeof header);
  if (datagram.payload_octets != 0)
    std::memcpy(ring + head % octets_ + sizeof header, datagram.payload, datagram.payload_octets);
  head += room;
  return true;
}

void ForwardQueue::wake() {
  events_.fetch_add(1, std::memory_order_release);
  events_.notify_one();
}

size_t ForwardQueue::peek(std::span<Item> items) {
  const auto* ring = reinterpret_cast<const uint8_t*>(memory_.data());
  ends_.clear();
  for (;;) {
    const uint32_t events = events_.load(std::memory_order_acquire);
    const bool ended = ended_.load(std::memory_order_acquire);
    const uint64_t head = head_.load(std::memory_order_acquire);
    uint64_t at = tail_.load(std::memory_order_relaxed);
    size_t count = 0;
    while (at != head && count < items.size()) {
      Header header;
      std::memcpy(&header.payload_octets, ring + at % octets_, sizeof header.payload_octets);
      if (header.payload_octets == kWrap) {
        at += octets_ - at % octets_;
        continue;
      }
      std::memcpy(&header, ring + at % octets_, sizeof header);
      items[count++] = {header.payload_octets, header.source_port, header.source, ring + at % octets_ + sizeof header};
      at += room_of(header.payload_octets);
      ends_.push_back(at);
    }
    if (count != 0 || ended) return count;
    events_.wait(events, std::memory_order_acquire);
  }
}

void ForwardQueue::release(size_t count) {
  if (count != 0) tail_.store(ends_[count - 1], std::memory_order_release);
}

void ForwardQueue::end() {
  ended_.store(true, std::memory_order_release);
  wake();
}

}  // namespace backstream::ingest
