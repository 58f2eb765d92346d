#pragma once
// A compacted topic in memory (of nodes in one process: memory_bus.h), and what brokers do to one, when they are told
// to: compaction of any legal extent, tombstones that go; for tests and simulations also answers that are lost and
// records that come late.
#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

#include "transport/keyed_log.h"

namespace backstream::transport {

/// What all who have opened it share. Any thread.
class MemoryTopic {
 public:
  struct Record {
    uint64_t offset;
    std::string key;
    std::optional<std::string> value;
    KeyedRecord::Is is = KeyedRecord::Is::kValue;
    bool passed = false;  ///< a tombstone that a pass of the cleaner has seen
  };

  uint64_t append(std::string_view key, std::optional<std::string_view> value) {
    const std::lock_guard lock(mutex_);
    return add(key, value);
  }
  /// What others than us write.
  void append_foreign(std::string_view key) {
    const std::lock_guard lock(mutex_);
    add(key, std::nullopt);
    records_.back().is = KeyedRecord::Is::kForeign;
  }
  /// One pass of the cleaner: it looks at what lies before `dirty_end`, and gets with its writing as far as
  /// `clean_end`. Tombstones that a pass before this one has seen go when `tombstones_expired`.
  void compact(uint64_t dirty_end, uint64_t clean_end, bool tombstones_expired) {
    const std::lock_guard lock(mutex_);
    std::map<std::string, uint64_t, std::less<>> last;
    // The newest segment is never cleaned: at the least the last record is in it.
    const uint64_t end = records_.empty() ? 0 : records_.back().offset;
    dirty_end = std::min(dirty_end, end);
    clean_end = std::min(clean_end, dirty_end);
    for (const Record& record : records_) {
      if (record.offset < dirty_end) last[record.key] = record.offset;
    }
    std::erase_if(records_, [&](Record& record) {
      if (record.offset >= clean_end) return false;
      if (record.offset < last.find(record.key)->second) return true;
      if (record.value || record.is == KeyedRecord::Is::kForeign) return false;
      return std::exchange(record.passed, true) && tombstones_expired;
    });
  }
  /// Its octets on the disk are others now.
  void damage(uint64_t offset) {
    const std::lock_guard lock(mutex_);
    for (Record& record : records_) {
      if (record.offset == offset) record.is = KeyedRecord::Is::kDamaged;
    }
  }
  /// The topic is deleted and made anew.
  void clear() {
    const std::lock_guard lock(mutex_);
    records_.clear();
    end_ = 0;
  }
  std::vector<Record> records() const {
    const std::lock_guard lock(mutex_);
    return records_;
  }
  uint64_t end() const {
    const std::lock_guard lock(mutex_);
    return end_;
  }

  /// Of the machine, for all who have opened it.
  void set_away(bool away) {
    const std::lock_guard lock(mutex_);
    away_ = away;
    changed_.notify_all();
  }
  /// The next appends are not answered, though they are stored...
  void lose_answers(int count) {
    const std::lock_guard lock(mutex_);
    answers_lost_ = count;
  }
  /// ...or are held back until release().
  void hold_back(int count) {
    const std::lock_guard lock(mutex_);
    held_back_ = count;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, value] : held_) add(key, value);
    held_.clear();
  }

 private:
  friend class MemoryKeyedLog;
  uint64_t add(std::string_view key, std::optional<std::string_view> value) {
    records_.push_back({end_, std::string(key), value ? std::optional<std::string>(*value) : std::nullopt});
    changed_.notify_all();
    return end_++;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Record> records_;
  uint64_t end_ = 0;
  bool away_ = false;
  int answers_lost_ = 0, held_back_ = 0;
  std::vector<std::pair<std::string, std::optional<std::string>>> held_;
};

class MemoryKeyedLog final : public KeyedLog {
 public:
  explicit MemoryKeyedLog(MemoryTopic& topic, size_t record_octets_max = 8 << 20)
      : topic_(topic), record_octets_max_(record_octets_max) {}

  LogStatus append_all(std::span<const Addition> additions, std::vector<Log::Appended>& results) override {
    const std::lock_guard lock(topic_.mutex_);
    results.assign(additions.size(), {LogStatus::kUnavailable, 0});
    for (size_t i = 0; i < additions.size(); ++i) {
      const auto& [key, value] = additions[i];
      if (value && value->size() > record_octets_max_) {
        results[i].status = LogStatus::kTooLarge;
      } else if (topic_.held_back_ > 0) {
        --topic_.held_back_;
        topic_.held_.emplace_back(key, value ? std::optional<std::string>(*value) : std::nullopt);
      } else if (!topic_.away_ && topic_.answers_lost_ > 0) {
        --topic_.answers_lost_;
        topic_.add(key, value);
      } else if (!topic_.away_) {
        results[i] = {LogStatus::kOk, topic_.add(key, value)};
      }
    }
    for (const Log::Appended& result : results) {
      if (result.status != LogStatus::kOk) return result.status;
    }
    return LogStatus::kOk;
  }

  LogStatus read(uint64_t offset, size_t octets_max, std::chrono::milliseconds patience, std::vector<KeyedRecord>& out,
                 uint64_t& next) override {
    std::unique_lock lock(topic_.mutex_);
    topic_.changed_.wait_for(lock, patience, [&] { return topic_.end_ != offset || topic_.away_; });
    next = offset;
    if (topic_.away_) return LogStatus::kUnavailable;
    if (offset > topic_.end_) return LogStatus::kBeyondEnd;
    size_t octets = 0;
    next = topic_.end_;
    for (const MemoryTopic::Record& record : topic_.records_) {
      if (record.offset < offset) continue;
      if (octets >= octets_max) {
        next = out.back().offset + 1;
        break;
      }
      KeyedRecord& given = out.emplace_back();
      given.is = record.is != KeyedRecord::Is::kValue || record.value ? record.is : KeyedRecord::Is::kTombstone;
      given.offset = record.offset;
      given.key = record.key;
      if (given.is == KeyedRecord::Is::kValue) given.value = *record.value;
      octets += given.key.size() + given.value.size();
    }
    return LogStatus::kOk;
  }

  std::optional<uint64_t> begin_offset() override { return end_offset() ? std::optional<uint64_t>(0) : std::nullopt; }
  std::optional<uint64_t> end_offset() override {
    const std::lock_guard lock(topic_.mutex_);
    return topic_.away_ ? std::nullopt : std::optional(topic_.end_);
  }
  size_t record_octets_max() const override { return record_octets_max_; }
  std::string last_error() const override { return "the brokers of memory are away"; }

 private:
  MemoryTopic& topic_;
  const size_t record_octets_max_;
};

}  // namespace backstream::transport
