#include "transport/memory_log.h"

#include "transport/log_conformance.h"

namespace backstream::transport {
namespace {

struct MemoryLogFactory {
  static std::unique_ptr<Log> make(uint32_t partitions, size_t octets_max) {
    return std::make_unique<MemoryLog>(partitions, octets_max);
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, LogConformance, MemoryLogFactory);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, BoundedLogConformance, MemoryLogFactory);

TEST(MemoryLog, IsFullAtItsBoundAndTakesMoreAfterTrim) {
  MemoryLog log(2, 2 * (100 + MemoryLog::kRecordOverhead));
  const std::vector<uint8_t> record(100, 7);
  EXPECT_EQ(log.append(0, record).status, LogStatus::kOk);
  EXPECT_EQ(log.append(1, record).status, LogStatus::kOk);
  EXPECT_EQ(log.append(0, record).status, LogStatus::kFull);
  EXPECT_EQ(log.append(1, {}).status, LogStatus::kFull) << "empty records take room too";
  EXPECT_EQ(log.end_offset(0), 1U) << "a refused record is not in the log";
  log.trim(1, 1);
  EXPECT_EQ(log.append(0, record).status, LogStatus::kOk);
  log.trim(0, 2);
  EXPECT_EQ(log.octets_held(), 0U);
}

TEST(MemoryLog, DropsTheOldestOfTheFullestPartitionWhereItIsToldTo) {
  MemoryLog log(2, 3 * (100 + MemoryLog::kRecordOverhead), MemoryLog::WhenFull::kDropOldest);
  const std::vector<uint8_t> record(100, 7);
  log.append(0, record);
  log.append(0, record);
  log.append(1, record);
  EXPECT_EQ(log.append(1, record).status, LogStatus::kOk);
  EXPECT_EQ(log.begin_offset(0), 1U);
  EXPECT_EQ(log.end_offset(0), 2U);
  EXPECT_EQ(log.begin_offset(1), 0U);
  EXPECT_EQ(log.end_offset(1), 2U);
  EXPECT_EQ(log.octets_held(), 3 * (100 + MemoryLog::kRecordOverhead));
  std::vector<LogRecord> records;
  EXPECT_EQ(log.read(0, 0, 1'000, records), LogStatus::kTrimmed) << "what went is not passed over";
  EXPECT_EQ(log.append(0, std::vector<uint8_t>(1'000)).status, LogStatus::kTooLarge);
}

TEST(MemoryLog, TrimsToExactlyTheOffset) {
  MemoryLog log(1, 1 << 20);
  for (int i = 0; i < 10; ++i) log.append(0, {});
  log.trim(0, 4);
  EXPECT_EQ(log.begin_offset(0), 4U);
  std::vector<LogRecord> records;
  EXPECT_EQ(log.read(0, 3, 100, records), LogStatus::kTrimmed);
  EXPECT_EQ(log.read(0, 4, 100, records), LogStatus::kOk);
  EXPECT_EQ(records.size(), 6U);
}

}  // namespace
}  // namespace backstream::transport
