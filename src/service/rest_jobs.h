#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

namespace backstream::service {

/// Work that other threads have the engine's thread do while no row is under way: each waits until its own is done.
class RestJobs {
 public:
  /// @param nudge  makes the engine's thread call do_all() soon; any thread
  explicit RestJobs(std::function<void()> nudge) : nudge_(std::move(nudge)) {}

  /// Any thread but the engine's. False: the engine has ended, and the work was not done.
  bool run(const std::function<void()>& work);
  /// The engine's thread: calls `at_rest` once with all work that waits, or not at all.
  void do_all(const std::function<void(const std::function<void()>&)>& at_rest);
  /// The engine's thread, at its end: who waits, and who comes later, is told that nothing will be done.
  void close();

 private:
  struct Job {
    const std::function<void()>* work;
    bool done = false;
  };
  const std::function<void()> nudge_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job*> waiting_;
  bool closed_ = false;
};

}  // namespace backstream::service
