#include "service/rest_jobs.h"

#include <algorithm>
#include <utility>

namespace backstream::service {

bool RestJobs::run(const std::function<void()>& work) {
  Job job{&work};
  std::unique_lock lock(mutex_);
  if (closed_) return false;
  waiting_.push_back(&job);
  nudge_();
  // A job that was taken will be done; one that still waits when the engine ends will not.
  changed_.wait(lock, [&] {
    return job.done || (closed_ && std::find(waiting_.begin(), waiting_.end(), &job) != waiting_.end());
  });
  if (!job.done) std::erase(waiting_, &job);
  return job.done;
}

void RestJobs::do_all(const std::function<void(const std::function<void()>&)>& at_rest) {
  std::deque<Job*> taken;
  {
    const std::lock_guard lock(mutex_);
    taken = std::exchange(waiting_, {});
  }
  if (taken.empty()) return;
  at_rest([&] {
    for (Job* job : taken) (*job->work)();
  });
  {
    const std::lock_guard lock(mutex_);
    for (Job* job : taken) job->done = true;
  }
  changed_.notify_all();
}

void RestJobs::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

}  // namespace backstream::service
