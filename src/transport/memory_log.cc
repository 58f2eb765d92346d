#include "transport/memory_log.h"

#include <algorithm>
#include <cassert>

namespace backstream::transport {

std::string_view name(LogStatus status) {
  switch (status) {
    case LogStatus::kOk: return "ok";
    case LogStatus::kFull: return "full";
    case LogStatus::kTooLarge: return "too_large";
    case LogStatus::kTrimmed: return "trimmed";
    case LogStatus::kLost: return "lost";
    case LogStatus::kBeyondEnd: return "beyond_end";
    case LogStatus::kUnavailable: return "unavailable";
  }
  return "unknown";
}

MemoryLog::MemoryLog(uint32_t partition_count, size_t octets_max, WhenFull when_full)
    : octets_max_(octets_max), when_full_(when_full), partitions_(partition_count) {
  assert(partition_count >= 1);
}

/// Under mutex_.
void MemoryLog::drop_front(Partition& partition) {
  const size_t octets = partition.records.front().size() + kRecordOverhead;
  partition.records.pop_front();
  partition.octets -= octets;
  octets_held_ -= octets;
  ++partition.begin;
}

Log::Appended MemoryLog::append(uint32_t partition, std::span<const uint8_t> bytes) {
  assert(partition < partitions_.size());
  const size_t octets = bytes.size() + kRecordOverhead;
  if (octets > octets_max_) return {LogStatus::kTooLarge, 0};
  std::vector<uint8_t> record(bytes.begin(), bytes.end());
  const std::lock_guard lock(mutex_);
  while (octets > octets_max_ - octets_held_) {
    if (when_full_ == WhenFull::kRefuse) return {LogStatus::kFull, 0};
    drop_front(*std::max_element(partitions_.begin(), partitions_.end(),
                                 [](const Partition& a, const Partition& b) { return a.octets < b.octets; }));
  }
  Partition& p = partitions_[partition];
  p.records.push_back(std::move(record));
  p.octets += octets;
  octets_held_ += octets;
  return {LogStatus::kOk, p.begin + p.records.size() - 1};
}

LogStatus MemoryLog::read(uint32_t partition, uint64_t offset, size_t octets_max, std::vector<LogRecord>& out) {
  assert(partition < partitions_.size());
  const std::lock_guard lock(mutex_);
  const Partition& p = partitions_[partition];
  if (offset < p.begin) return LogStatus::kTrimmed;
  if (offset > p.begin + p.records.size()) return LogStatus::kBeyondEnd;
  size_t octets = 0;
  const size_t first = offset - p.begin, end = std::min(p.records.size(), first + kReadRecordsMax);
  for (size_t i = first; i < end; ++i) {
    octets += p.records[i].size();
    if (octets > octets_max && i != first) break;
    out.push_back({p.begin + i, p.records[i]});
  }
  return LogStatus::kOk;
}

uint64_t MemoryLog::begin_offset(uint32_t partition) const {
  assert(partition < partitions_.size());
  const std::lock_guard lock(mutex_);
  return partitions_[partition].begin;
}

uint64_t MemoryLog::end_offset(uint32_t partition) const {
  assert(partition < partitions_.size());
  const std::lock_guard lock(mutex_);
  return partitions_[partition].begin + partitions_[partition].records.size();
}

uint64_t MemoryLog::resume_offset(uint32_t partition, uint64_t offset) {
  assert(partition < partitions_.size());
  const std::lock_guard lock(mutex_);
  const Partition& p = partitions_[partition];
  return std::clamp(offset, p.begin, p.begin + p.records.size());
}

void MemoryLog::trim(uint32_t partition, uint64_t offset) {
  assert(partition < partitions_.size());
  const std::lock_guard lock(mutex_);
  Partition& p = partitions_[partition];
  while (p.begin < offset && !p.records.empty()) drop_front(p);
}

size_t MemoryLog::octets_held() const {
  const std::lock_guard lock(mutex_);
  return octets_held_;
}

}  // namespace backstream::transport
