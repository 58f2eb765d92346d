#pragma once
#include <sys/mman.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace backstream::exec {

/// Large blocks of cleared memory whose pages have been touched, made on a thread of low priority before they are
/// needed. A thread that receives from a socket cannot stop for the tens of milliseconds that the first touch of a
/// large table takes (32 MiB: 15 to 60 ms): the socket's buffer holds less. Any thread may call.
class ReadyBlocks {
 public:
  static constexpr size_t kOctetsMin = size_t{2} << 20;  ///< of a block; smaller ones cost too little to matter
  /// What is ready or being made, all blocks together; what is asked beyond it is not made.
  static constexpr size_t kOctetsMax = size_t{2} << 30;

  ReadyBlocks();
  ~ReadyBlocks();
  ReadyBlocks(const ReadyBlocks&) = delete;
  ReadyBlocks& operator=(const ReadyBlocks&) = delete;

  /// Has a block of so many octets (a power of two, at least kOctetsMin) made, one for each call. Does not wait. False:
  /// it would be too much, and is not made.
  bool ask(size_t octets);
  /// A block that was asked for and is ready, 2 MiB-aligned, all zero; null: there is none. For std::free().
  void* take(size_t octets);
  /// Makes the block now, on this thread.
  static void* make(size_t octets);
  /// Waits until all that was asked for is there; for tests, and before the first datagram.
  void wait();

 private:
  void work();

  std::mutex mutex_;  ///< of all below
  std::condition_variable asked_, made_;
  std::vector<size_t> wanted_;    ///< in the order asked; the first is the one being made
  std::vector<void*> ready_[64];  ///< by the logarithm of their size
  size_t octets_ = 0;             ///< of all that is wanted or ready
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace backstream::exec
