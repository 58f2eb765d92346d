#pragma once
#include <deque>
#include <memory>
#include <mutex>

#include "transport/log.h"

namespace backstream::transport {

/// A log inside one process, as durable as the process. Bound: the octets of all kept records, plus kRecordOverhead
/// each, stay within `octets_max`.
class MemoryLog : public Log {
 public:
  static constexpr size_t kRecordOverhead = 64;

  enum class WhenFull : uint8_t {
    kRefuse,      ///< append() gives kFull until a reader trims
    kDropOldest,  ///< as brokers do by retention: the oldest records of the partition that holds most go
  };
  MemoryLog(uint32_t partition_count, size_t octets_max, WhenFull when_full = WhenFull::kRefuse);

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
    size_t octets = 0;  // Of those, with their overhead.
  };
  void drop_front(Partition& partition);

  const size_t octets_max_;
  const WhenFull when_full_;
  mutable std::mutex mutex_;  // Taken once a call, never once a row.
  std::vector<Partition> partitions_;
  size_t octets_held_ = 0;
};

}  // namespace backstream::transport
