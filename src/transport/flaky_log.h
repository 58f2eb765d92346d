#pragma once
// For tests only.
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "transport/memory_log.h"

namespace backstream::transport {

/// A memory log that can be away, and that keeps what it was given though it says that it did not.
class FlakyLog final : public Log {
 public:
  explicit FlakyLog(uint32_t partitions) : inner_(partitions, size_t{1} << 28) {}
  uint32_t partition_count() const override { return inner_.partition_count(); }
  Appended append(uint32_t partition, std::span<const uint8_t> bytes) override {
    if (away) return {LogStatus::kUnavailable, 0};
    if (bytes.size() > octets_max) return {LogStatus::kTooLarge, 0};
    const Appended kept = inner_.append(partition, bytes);
    return lies-- > 0 ? Appended{LogStatus::kUnavailable, 0} : kept;
  }
  LogStatus read(uint32_t partition, uint64_t offset, size_t octets, std::vector<LogRecord>& out) override {
    return away ? LogStatus::kUnavailable : inner_.read(partition, offset, octets, out);
  }
  uint64_t begin_offset(uint32_t partition) const override { return inner_.begin_offset(partition); }
  uint64_t end_offset(uint32_t partition) const override { return inner_.end_offset(partition); }
  uint64_t resume_offset(uint32_t partition, uint64_t offset) override {
    return inner_.resume_offset(partition, offset);
  }
  void trim(uint32_t partition, uint64_t offset) override { inner_.trim(partition, offset); }

  std::atomic<bool> away{false};
  std::atomic<int> lies{0};
  std::atomic<size_t> octets_max{SIZE_MAX};

 private:
  MemoryLog inner_;
};

}  // namespace backstream::transport
