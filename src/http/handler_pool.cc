#include "http/handler_pool.h"

#include <cassert>

namespace backstream::http {

HandlerPool::HandlerPool(size_t threads, size_t queue_max)
    : queue_max_(queue_max), slow_max_(threads > 1 ? threads - 1 : 1) {
  assert(threads > 0);
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}
HandlerPool::~HandlerPool() { stop(); }

bool HandlerPool::submit(bool slow, std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || quick_.size() + slow_.size() >= queue_max_) return false;
    (slow ? slow_ : quick_).push_back(std::move(job));
    waiting_.fetch_add(1, std::memory_order_relaxed);
  }
  changed_.notify_one();
  return true;
}

void HandlerPool::stop() {
  std::deque<std::function<void()>> dropped_quick, dropped_slow;  // Released outside the mutex.
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    dropped_quick.swap(quick_);
    dropped_slow.swap(slow_);
    waiting_.store(0, std::memory_order_relaxed);
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void HandlerPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopped_ || !quick_.empty() || (!slow_.empty() && running_slow_ < slow_max_); });
    if (stopped_) return;
    const bool is_slow = quick_.empty();
    auto& queue = is_slow ? slow_ : quick_;
    std::function<void()> job = std::move(queue.front());
    queue.pop_front();
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    running_.fetch_add(1, std::memory_order_relaxed);
    if (is_slow) ++running_slow_;
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
    running_.fetch_sub(1, std::memory_order_relaxed);
    if (!is_slow) continue;
    --running_slow_;
    // Another slow one may go now; a wake-up that found the lane full was spent.
    if (!slow_.empty()) changed_.notify_one();
  }
}

}  // namespace backstream::http
