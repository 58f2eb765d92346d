#include "app/aggregation_threads.h"

#include <utility>

namespace backstream::app {

AggregationThreads::AggregationThreads(uint32_t count, const std::function<batch::BatchBuffer()>& make_buffer,
                                       Work work)
    : work_(std::move(work)), queues_(count) {
  for (size_t i = 0; i < count * kBuffersPerThread; ++i) free_.push_back(make_buffer());
  for (uint32_t number = 0; number < count; ++number) threads_.emplace_back([this, number] { run(number); });
}

AggregationThreads::~AggregationThreads() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

batch::BatchBuffer AggregationThreads::take_buffer() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !free_.empty(); });
  batch::BatchBuffer buffer = std::move(free_.back());
  free_.pop_back();
  return buffer;
}

void AggregationThreads::submit(batch::BatchBuffer rows, const exec::RowsContext& context) {
  {
    const std::lock_guard lock(mutex_);
    queues_[next_].push_back({std::move(rows), context});
    ++unfinished_;
  }
  next_ = (next_ + 1) % static_cast<uint32_t>(queues_.size());
  changed_.notify_all();
}

void AggregationThreads::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return unfinished_ == 0; });
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

void AggregationThreads::run(uint32_t number) {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || !queues_[number].empty(); });
    if (queues_[number].empty()) return;
    Job job = std::move(queues_[number].front());
    queues_[number].pop_front();
    lock.unlock();
    std::exception_ptr thrown;
    try {
      work_(number, job.rows.batch, job.context);
    } catch (...) {
      thrown = std::current_exception();
    }
    lock.lock();
    if (thrown && !thrown_) thrown_ = thrown;
    free_.push_back(std::move(job.rows));
    --unfinished_;
    changed_.notify_all();
  }
}

}  // namespace backstream::app
