#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "base/datagram.h"

namespace backstream::ingest {

/// Copies of datagrams on their way from the threads that receive to the one that sends: a ring of octets, so that its
/// bound is exact and nothing is allocated. Many threads put, one takes.
class ForwardQueue {
 public:
  /// @param octets  of payloads and up to 39 more each; at least two longest datagrams' are taken
  explicit ForwardQueue(uint64_t octets);

  struct Item {
    uint32_t payload_octets;
    uint16_t source_port;
    base::Inet source;
    const uint8_t* payload;  ///< valid until release()
  };

  /// Puts those of the datagrams in that `wanted` is true of, until the queue is full. Any thread.
  /// @return  how many of the wanted found no room
  template <typename Wanted>
  uint64_t put(std::span<const base::Datagram> datagrams, Wanted&& wanted) {
    const std::lock_guard lock(put_mutex_);
    uint64_t head = head_.load(std::memory_order_relaxed), left_out = 0;
    for (const base::Datagram& datagram : datagrams) {
      if (wanted(datagram) && !append(datagram, head)) ++left_out;
    }
    if (head != head_.load(std::memory_order_relaxed)) {
      head_.store(head, std::memory_order_release);
      wake();
    }
    return left_out;
  }

  /// The oldest items, in order, at most items.size(). Waits for the first one unless `end()` was called.
  /// @return  how many; 0: none is left and none will come
  size_t peek(std::span<Item> items);
  /// The first `count` of the items that peek() gave are done with.
  void release(size_t count);
  /// No more will be put.
  void end();

 private:
  struct Header {
    uint32_t payload_octets;  ///< kWrap: the rest of the ring is not used
    uint16_t source_port;
    uint16_t unused;
    base::Inet source;
  };
  static constexpr uint32_t kWrap = UINT32_MAX;
  static uint64_t room_of(uint32_t payload_octets) {
    return (sizeof(Header) + payload_octets + alignof(Header) - 1) & ~uint64_t{alignof(Header) - 1};
  }
  bool append(const base::Datagram& datagram, uint64_t& head);
  void wake();

  std::vector<uint64_t> memory_;
  const uint64_t octets_;
  std::mutex put_mutex_;
  // Positions count octets from the begin of time; modulo octets_ they are places in the ring.
  alignas(64) std::atomic<uint64_t> head_{0};  // Where the next one is put.
  alignas(64) std::atomic<uint64_t> tail_{0};  // The oldest that is not done with.
  std::atomic<uint32_t> events_{0};            // Something was put, or it is the end.
  std::atomic<bool> ended_{false};
  std::vector<uint64_t> ends_;  // Taking thread only: where the items of the last peek() end.
};

}  // namespace backstream::ingest
