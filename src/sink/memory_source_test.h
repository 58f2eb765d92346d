#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "receiver/part_source.h"

namespace backstream::sink {

using receiver::ResultPart;

/// Parts of one query, in memory.
class MemorySource final : public receiver::PartSource {
 public:
  explicit MemorySource(QueryId of) : of_(std::move(of)) {}
  void add(std::shared_ptr<const ResultPart> part) {
    const std::lock_guard lock(mutex_);
    parts_.push_back(std::move(part));
    ++count_;
    changed_.notify_all();
  }
  /// The oldest are gone.
  void forget(size_t count) {
    const std::lock_guard lock(mutex_);
    for (; count > 0; --count) {
      gone_rows_ += parts_.front()->rows.row_count;
      parts_.pop_front();
    }
  }
  base::Result<Parts> read_after(const QueryId& query, uint64_t after_seq, size_t octets_max) override {
    const std::lock_guard lock(mutex_);
    if (broken) return base::fail("58030", "the disk is away");
    if (query != of_) return Parts();
    Parts read;
    read.rows_before = gone_rows_;
    size_t octets = 0;
    for (const std::shared_ptr<const ResultPart>& part : parts_) {
      read.last_seq = part->seq;
      if (part->seq <= after_seq) {
        read.rows_before += part->rows.row_count;
        continue;
      }
      if (!read.parts.empty() && octets + part->octets > octets_max) continue;
      octets += part->octets;
      read.parts.push_back(part);
    }
    return read;
  }
  uint64_t wait_beyond(uint64_t count, std::chrono::milliseconds patience) override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] { return count_ > count; });
    return count_;
  }
  std::atomic<bool> broken{false};

 private:
  const QueryId of_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<const ResultPart>> parts_;
  uint64_t count_ = 0, gone_rows_ = 0;
};

}  // namespace backstream::sink
