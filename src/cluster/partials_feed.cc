#include "cluster/partials_feed.h"

#include <algorithm>
#include <chrono>

namespace backstream::cluster {

using transport::LogRecord;
using transport::LogStatus;

namespace {

constexpr size_t kReadOctets = 4 << 20;
constexpr size_t kTakeOctets = 4 << 20;
constexpr std::chrono::milliseconds kIdlePause{10}, kRetryPause{500};

}  // namespace

PartialsFeed::PartialsFeed(transport::Log& log, Options options) : log_(log), options_(std::move(options)) {
  read_to_ = options_.from;
  for (const uint32_t partition : options_.partitions) read_to_.try_emplace(partition, log_.begin_offset(partition));
  taken_to_ = read_to_;
  thread_ = std::thread([this] { run(); });
}

PartialsFeed::~PartialsFeed() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::vector<PartialsFeed::Record> PartialsFeed::take() {
  std::vector<Record> taken;
  const std::lock_guard lock(mutex_);
  for (size_t octets = 0; !waiting_.empty() && octets < kTakeOctets;) {
    octets += waiting_.front().bytes.size();
    taken_to_[waiting_.front().partition] = waiting_.front().offset + 1;
    taken.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  for (const Record& record : taken) status_.waiting_octets -= record.bytes.size();
  if (!taken.empty()) changed_.notify_all();
  return taken;
}

std::map<uint32_t, uint64_t> PartialsFeed::next_offsets() const {
  const std::lock_guard lock(mutex_);
  return taken_to_;
}

PartialsFeed::Status PartialsFeed::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

/// What lies between here and the next record that can be read is lost, and counted.
void PartialsFeed::pass_lost(uint32_t partition) {
  uint64_t& at = read_to_[partition];
  const uint64_t next = std::max(log_.resume_offset(partition, at), log_.begin_offset(partition));
  const std::lock_guard lock(mutex_);
  if (next > at) {
    ++status_.places_lost;
    status_.offsets_lost += next - at;
  }
  at = next;
}

/// False: there was nothing, or it cannot be had now.
bool PartialsFeed::read_some(uint32_t partition) {
  std::vector<LogRecord> records;
  uint64_t& at = read_to_[partition];
  const LogStatus status = log_.read(partition, at, kReadOctets, records);
  if (status == LogStatus::kTrimmed || status == LogStatus::kLost) pass_lost(partition);
  if (status == LogStatus::kBeyondEnd) {
    // Shorter than it was: another log. What it holds is read from its begin.
    const std::lock_guard lock(mutex_);
    ++status_.places_lost;
    at = log_.begin_offset(partition);
  }
  const std::lock_guard lock(mutex_);
  if (status != LogStatus::kOk) status_.last_error = transport::name(status);
  else status_.last_error.clear();
  if (records.empty()) return false;
  at = records.back().offset + 1;
  for (LogRecord& record : records) {
    ++status_.records;
    status_.octets += record.bytes.size();
    status_.waiting_octets += record.bytes.size();
    waiting_.push_back({partition, record.offset, std::move(record.bytes)});
  }
  return true;
}

void PartialsFeed::run() {
  for (;;) {
    bool any = false;
    for (const uint32_t partition : options_.partitions) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stopping_ || status_.waiting_octets < kWaitingMax; });
        if (stopping_) return;
      }
      any |= read_some(partition);
    }
    if (any) {
      if (options_.nudge) options_.nudge();
      continue;
    }
    std::unique_lock lock(mutex_);
    const auto pause = status_.last_error.empty() ? kIdlePause : kRetryPause;
    if (changed_.wait_for(lock, pause, [&] { return stopping_; })) return;
  }
}

}  // namespace backstream::cluster
