#include "exec/ready_blocks.h"

#include <pthread.h>
#include <sched.h>

#include <bit>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>

namespace backstream::exec {

ReadyBlocks::ReadyBlocks() : thread_([this] { work(); }) {}

ReadyBlocks::~ReadyBlocks() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  asked_.notify_one();
  thread_.join();
  for (auto& blocks : ready_) {
    for (void* block : blocks) std::free(block);
  }
}

bool ReadyBlocks::ask(size_t octets) {
  assert(std::has_single_bit(octets) && octets >= kOctetsMin);
  {
    const std::lock_guard lock(mutex_);
    if (octets > kOctetsMax - octets_) return false;
    octets_ += octets;
    wanted_.push_back(octets);
  }
  asked_.notify_one();
  return true;
}

void* ReadyBlocks::take(size_t octets) {
  const std::lock_guard lock(mutex_);
  auto& blocks = ready_[std::bit_width(octets) - 1];
  if (blocks.empty()) return nullptr;
  void* block = blocks.back();
  blocks.pop_back();
  octets_ -= octets;
  return block;
}

void* ReadyBlocks::make(size_t octets) {
  auto* block = static_cast<uint8_t*>(std::aligned_alloc(kOctetsMin, octets));
  if (block == nullptr) throw std::bad_alloc();
  (void)::madvise(block, octets, MADV_HUGEPAGE);  // a wish, as in BlockPool
  // The touch; also the promise that all is zero, for memory that the allocator had given out before.
  std::memset(block, 0, octets);
  return block;
}

void ReadyBlocks::wait() {
  std::unique_lock lock(mutex_);
  made_.wait(lock, [&] { return wanted_.empty(); });
}

void ReadyBlocks::work() {
  pthread_setname_np(pthread_self(), "ready-blocks");
  // Only what other threads leave: on a core that also receives, touching pages first would be the pause again.
  const sched_param none{};
  (void)::sched_setscheduler(0, SCHED_IDLE, &none);
  std::unique_lock lock(mutex_);
  for (;;) {
    asked_.wait(lock, [&] { return ending_ || !wanted_.empty(); });
    if (ending_) return;
    const size_t octets = wanted_.front();
    lock.unlock();
    void* block = nullptr;
    try {
      block = make(octets);
    } catch (const std::bad_alloc&) {
      // Whoever needs the memory will ask the system for it and be told.
    }
    lock.lock();
    wanted_.erase(wanted_.begin());
    if (block == nullptr) octets_ -= octets;
    else ready_[std::bit_width(octets) - 1].push_back(block);
    if (wanted_.empty()) made_.notify_all();
  }
}

}  // namespace backstream::exec
