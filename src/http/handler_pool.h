#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace backstream::http {

/// A few threads that run handlers, and a bounded queue before them. Slow jobs leave one thread free, so that what is
/// quick never waits for them (with a single thread there is nothing to leave).
class HandlerPool {
 public:
  HandlerPool(size_t threads, size_t queue_max);
  ~HandlerPool();
  HandlerPool(const HandlerPool&) = delete;
  HandlerPool& operator=(const HandlerPool&) = delete;

  /// Any thread; never blocks. false: the queue is full. A job must not throw.
  bool submit(bool slow, std::function<void()> job);
  /// Drops what waits and returns when no job runs any more. Once.
  void stop();
  size_t running() const { return running_.load(std::memory_order_relaxed); }
  size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

 private:
  void work();

  const size_t queue_max_, slow_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> quick_, slow_;  // Under mutex_, as the next two.
  size_t running_slow_ = 0;
  bool stopped_ = false;
  std::atomic<size_t> running_{0}, waiting_{0};
  std::vector<std::thread> threads_;
};

}  // namespace backstream::http
