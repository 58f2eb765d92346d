#include "cluster/results_out.h"

#include <span>

#include "cluster/result_messages.h"

namespace backstream::cluster {

using transport::Log;
using transport::LogStatus;

namespace {

constexpr size_t kRecordOctets = 512 * 1024;

}  // namespace

ResultsOut::ResultsOut(Log& log, std::function<void()> nudge, Pauses pauses)
    : log_(log), nudge_(std::move(nudge)), pauses_(pauses) {
  thread_ = std::thread([this] { run(); });
}

ResultsOut::~ResultsOut() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ResultsOut::begin(uint32_t partition, uint64_t generation) {
  const std::lock_guard lock(mutex_);
  Queue& queue = queues_[partition];
  status_.waiting_octets -= queue.waiting.size();
  queue.waiting.clear();
  queue.lengths.clear();
  queue.generation = generation;
  queue.number = 0;
  queue.put = queue.sent = 0;
  queue.record_messages = 0;  // What is on its way is of the generation before.
  queue.record.clear();
}

void ResultsOut::put(uint32_t partition, std::vector<uint8_t>&& message) {
  {
    const std::lock_guard lock(mutex_);
    Queue& queue = queues_[partition];
    queue.waiting.insert(queue.waiting.end(), message.begin(), message.end());
    queue.lengths.push_back(static_cast<uint32_t>(message.size()));
    ++queue.put;
    status_.waiting_octets += message.size();
  }
  changed_.notify_all();
}

bool ResultsOut::has_room() const {
  const std::lock_guard lock(mutex_);
  return status_.waiting_octets < kWaitingMax;
}

uint64_t ResultsOut::put_count(uint32_t partition) const {
  const std::lock_guard lock(mutex_);
  const auto queue = queues_.find(partition);
  return queue == queues_.end() ? 0 : queue->second.put;
}
std::optional<uint64_t> ResultsOut::sent_count(uint32_t partition, uint64_t generation) const {
  const std::lock_guard lock(mutex_);
  const auto queue = queues_.find(partition);
  if (queue == queues_.end() || queue->second.generation != generation) return std::nullopt;
  return queue->second.sent;
}

ResultsOut::Status ResultsOut::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

/// The next record of a partition that has none on its way. False: nothing waits.
bool ResultsOut::fill(Queue& queue) {
  if (!queue.record.empty()) return true;
  if (queue.lengths.empty()) return false;
  size_t octets = 0, count = 0;
  while (count < queue.lengths.size() && (count == 0 || octets + queue.lengths[count] <= kRecordOctets))
    octets += queue.lengths[count++];
  queue.record = write_result_record(queue.generation, queue.number++, count, std::span(queue.waiting).first(octets));
  queue.record_messages = count;
  queue.waiting.erase(queue.waiting.begin(), queue.waiting.begin() + static_cast<long>(octets));
  queue.lengths.erase(queue.lengths.begin(), queue.lengths.begin() + static_cast<long>(count));
  status_.waiting_octets -= octets;
  return true;
}

void ResultsOut::run() {
  struct Sending {
    uint32_t partition = 0;
    uint64_t generation = 0;
    std::vector<uint8_t> record;
  };
  std::vector<Sending> sending;
  std::vector<Log::Addition> additions;
  std::vector<Log::Appended> results;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stopping_) return;
    sending.clear();
    additions.clear();
    for (auto& [partition, queue] : queues_) {
      if (fill(queue)) sending.push_back({partition, queue.generation, queue.record});
    }
    if (sending.empty()) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    for (const Sending& one : sending) additions.push_back({one.partition, one.record});
    const LogStatus all = log_.append_all(additions, results);
    lock.lock();
    for (size_t i = 0; i < sending.size(); ++i) {
      Queue& queue = queues_[sending[i].partition];
      if (results[i].status != LogStatus::kOk || queue.generation != sending[i].generation) continue;
      ++status_.records;
      status_.messages += queue.record_messages;
      status_.octets += queue.record.size();
      queue.sent += queue.record_messages;
      queue.record.clear();
    }
    if (all == LogStatus::kOk) {
      status_.last_error.clear();
    } else {
      status_.last_error = transport::name(all);
      changed_.wait_for(lock, pauses_.retry, [&] { return stopping_; });
    }
    if (!nudge_) continue;
    lock.unlock();
    nudge_();
    lock.lock();
  }
}

}  // namespace backstream::cluster
