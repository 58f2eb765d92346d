#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "batch/column_batch.h"
#include "exec/engine.h"

namespace backstream::app {

/// Threads that take batches from the one that decodes. Batch k goes to thread k mod N, so that a run with N threads
/// always deals the rows alike. Bounded: submit() waits while all buffers are in use.
class AggregationThreads {
 public:
  /// Called on thread `number` for each of its batches, in order.
  using Work = std::function<void(uint32_t number, batch::ColumnBatch& rows, exec::RowsContext& context)>;

  /// @param make_buffer  makes an empty buffer; called here only
  AggregationThreads(uint32_t count, const std::function<batch::BatchBuffer()>& make_buffer, Work work);
  ~AggregationThreads();
  AggregationThreads(const AggregationThreads&) = delete;
  AggregationThreads& operator=(const AggregationThreads&) = delete;

  /// An empty buffer to exchange for a full one. Waits for one. Owner thread.
  batch::BatchBuffer take_buffer();
  /// Hands a full buffer to the next thread. Owner thread.
  void submit(batch::BatchBuffer rows, const exec::RowsContext& context);
  /// Waits until all submitted work is done; what a thread threw is thrown here. Owner thread.
  void wait();

 private:
  static constexpr size_t kBuffersPerThread = 4;
  void run(uint32_t number);

  const Work work_;
  std::mutex mutex_;
  std::condition_variable changed_;
  struct Job {
    batch::BatchBuffer rows;
    exec::RowsContext context;
  };
  std::vector<std::deque<Job>> queues_;  // One a thread.
  std::vector<batch::BatchBuffer> free_;
  size_t unfinished_ = 0;  // Submitted and not done.
  bool stop_ = false;
  std::exception_ptr thrown_;
  uint32_t next_ = 0;                 // Owner thread only.
  std::vector<std::thread> threads_;  // Last: they use all of the above.
};

}  // namespace backstream::app
