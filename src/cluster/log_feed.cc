#include "cluster/log_feed.h"

#include <algorithm>

namespace backstream::cluster {

using transport::LogRecord;
using transport::LogStatus;

namespace {

constexpr size_t kReadOctets = 4 << 20;
constexpr size_t kTakeOctets = 4 << 20;

}  // namespace

LogFeed::LogFeed(transport::Log& log, std::function<void()> nudge, Pauses pauses)
    : log_(log), nudge_(std::move(nudge)), pauses_(pauses) {
  thread_ = std::thread([this] { run(); });
}

LogFeed::~LogFeed() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void LogFeed::follow(uint32_t reader, uint32_t partition, uint64_t from) {
  {
    const std::lock_guard lock(mutex_);
    places_.push_back({reader, partition, from});
  }
  changed_.notify_all();
}

void LogFeed::forget(uint32_t reader) {
  {
    const std::lock_guard lock(mutex_);
    for (Place& place : places_) place.gone |= place.reader == reader;
    std::erase_if(waiting_, [&](const Record& record) {
      if (record.reader != reader) return false;
      status_.waiting_octets -= record.bytes.size();
      return true;
    });
  }
  changed_.notify_all();
}

std::vector<LogFeed::Record> LogFeed::take() {
  std::vector<Record> taken;
  const std::lock_guard lock(mutex_);
  for (size_t octets = 0; !waiting_.empty() && octets < kTakeOctets;) {
    octets += waiting_.front().bytes.size();
    taken.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  for (const Record& record : taken) status_.waiting_octets -= record.bytes.size();
  if (!taken.empty()) changed_.notify_all();
  return taken;
}

bool LogFeed::at_end(uint32_t reader) const {
  const std::lock_guard lock(mutex_);
  return std::none_of(waiting_.begin(), waiting_.end(),
                      [&](const Record& record) { return record.reader == reader; }) &&
         std::all_of(places_.begin(), places_.end(),
                     [&](const Place& place) { return place.reader != reader || place.gone || place.at_end; });
}

LogFeed::Status LogFeed::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

/// What lies between here and the next record that can be read is lost, and counted.
uint64_t LogFeed::pass_lost(const Place& place) {
  const uint64_t next = std::max(log_.resume_offset(place.partition, place.next), log_.begin_offset(place.partition));
  if (next <= place.next) return next;
  const std::lock_guard lock(mutex_);
  ++status_.places_lost;
  status_.offsets_lost += next - place.next;
  return next;
}

/// False: there was nothing, or it cannot be had now.
bool LogFeed::read_some(Place& place) {
  std::vector<LogRecord> records;
  const LogStatus status = log_.read(place.partition, place.next, kReadOctets, records);
  uint64_t next = place.next;
  if (status == LogStatus::kTrimmed || status == LogStatus::kLost) next = pass_lost(place);
  // Shorter than it was: another log. What it holds is read from its begin.
  if (status == LogStatus::kBeyondEnd) next = log_.begin_offset(place.partition);
  const std::lock_guard lock(mutex_);
  if (status == LogStatus::kBeyondEnd) ++status_.places_lost;
  if (status != LogStatus::kOk) status_.last_error = transport::name(status);
  else status_.last_error.clear();
  place.next = records.empty() ? next : records.back().offset + 1;
  place.at_end = status == LogStatus::kOk && records.empty();
  if (records.empty() || place.gone) return false;
  for (LogRecord& record : records) {
    ++status_.records;
    status_.octets += record.bytes.size();
    status_.waiting_octets += record.bytes.size();
    waiting_.push_back({place.reader, place.partition, record.offset, std::move(record.bytes)});
  }
  return true;
}

void LogFeed::run() {
  for (;;) {
    bool any = false;
    // Places are added at the end by others, and removed by this thread alone.
    std::unique_lock lock(mutex_);
    for (auto at = places_.begin();; ++at) {
      changed_.wait(lock, [&] { return stopping_ || status_.waiting_octets < kWaitingMax; });
      if (stopping_) return;
      while (at != places_.end() && at->gone) at = places_.erase(at);
      if (at == places_.end()) break;
      lock.unlock();
      any |= read_some(*at);
      lock.lock();
    }
    if (any) {
      lock.unlock();
      if (nudge_) nudge_();
      continue;
    }
    const auto pause = status_.last_error.empty() ? pauses_.idle : pauses_.retry;
    if (changed_.wait_for(lock, pause, [&] { return stopping_; })) return;
  }
}

}  // namespace backstream::cluster
