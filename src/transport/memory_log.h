#pragma once
#include <deque>
#include <memory>
#include <mutex>

#include "transport/log.h"

namespace backstream::transport {

/// A log inside one process, as durable as the process. Bound: the octets of all kept records, plus kRecordOverhead
/// each, stay within `octets_max`; append() is refused with kFull until a reader trims.
class MemoryLog : public Log {
 public:
  static constexpr size_t kRecordOverhead = 64;

  MemoryLog(uint32_t partition_count, size_t octets_max);

  uint32_t partition_count() const override { return static_cast<uint32_t>(partitions_.size()); }
  Appended append(uint32_t partition, std::span<const uint8_t> bytes) override;
  LogStatus read(uint32_t partition, uint64_t offset, size_t octets_max, std::vector<LogRecord>& out) override;
  uint64_t begin_offset(uint32_t partition) const override;
  uint64_t end_offset(uint32_t partition) const override;
  uint64_t resume_offset(uint32_t partition, uint64_t offset) override;
  void trim(uint32_t partition, uint64_t offset) override;

  size_t octets_held() const;

 private:
  struct Partition {
    uint64_t begin = 0;  // Offset of records.front().
    std::deque<std::vector<uint8_t>> records;
  };
  const size_t octets_max_;
  mutable std::mutex mutex_;  // Taken once a call, never once a row.
  std::vector<Partition> partitions_;
  size_t octets_held_ = 0;
};

}  // namespace backstream::transport
