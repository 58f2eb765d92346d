#pragma once
// What every Log must do, for tests only. A log runs it with one line:
//   INSTANTIATE_TYPED_TEST_SUITE_P(Memory, LogConformance, MemoryLogFactory);
// where the factory has  static std::unique_ptr<Log> make(uint32_t partitions, size_t octets_max);
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "transport/log.h"

namespace backstream::transport {

template <typename Factory>
class LogConformance : public ::testing::Test {
 protected:
  static constexpr size_t kOctets = 1 << 20;

  static std::span<const uint8_t> bytes(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }
  static std::string text(const LogRecord& record) { return {record.bytes.begin(), record.bytes.end()}; }

  /// All records from `offset` on, joined by commas; fails the test when the log refuses.
  static std::string all(Log& log, uint32_t partition, uint64_t offset, size_t octets_max = kOctets) {
    std::string joined;
    while (true) {
      std::vector<LogRecord> records;
      EXPECT_EQ(log.read(partition, offset, octets_max, records), LogStatus::kOk);
      if (records.empty()) return joined;
      for (const LogRecord& record : records) {
        EXPECT_GE(record.offset, offset);
        offset = record.offset + 1;
        if (!joined.empty() || &record != records.data()) joined += ',';
        joined.append(record.bytes.begin(), record.bytes.end());
      }
    }
  }
};
TYPED_TEST_SUITE_P(LogConformance);

TYPED_TEST_P(LogConformance, RecordsComeBackInOrderAndWhole) {
  const auto log = TypeParam::make(2, this->kOctets);
  EXPECT_EQ(log->partition_count(), 2U);
  const std::string with_zeros("a\0b", 3);
  for (const std::string_view part : {std::string_view("first"), std::string_view(), std::string_view(with_zeros)}) {
    EXPECT_EQ(log->append(0, this->bytes(part)).status, LogStatus::kOk);
  }
  EXPECT_EQ(this->all(*log, 0, log->begin_offset(0)), "first,," + with_zeros);
  EXPECT_EQ(this->all(*log, 1, log->begin_offset(1)), "");
}

TYPED_TEST_P(LogConformance, OffsetsGrowAndLeadToTheirRecord) {
  const auto log = TypeParam::make(1, this->kOctets);
  const uint64_t a = log->append(0, this->bytes("a")).offset, b = log->append(0, this->bytes("b")).offset;
  EXPECT_LT(a, b);
  EXPECT_GE(a, log->begin_offset(0));
  EXPECT_LT(b, log->end_offset(0));
  EXPECT_EQ(this->all(*log, 0, b), "b");
  EXPECT_EQ(this->all(*log, 0, a), "a,b") << "reading again gives the same";
}

TYPED_TEST_P(LogConformance, PartitionsAreApart) {
  const auto log = TypeParam::make(3, this->kOctets);
  log->append(0, this->bytes("zero"));
  log->append(2, this->bytes("two"));
  log->trim(0, log->end_offset(0));
  EXPECT_EQ(this->all(*log, 2, log->begin_offset(2)), "two");
  EXPECT_EQ(this->all(*log, 0, log->begin_offset(0)), "");
}

TYPED_TEST_P(LogConformance, ReadStopsAtItsOctetsButGivesAtLeastOne) {
  const auto log = TypeParam::make(1, this->kOctets);
  for (const auto* part : {"aaaa", "bbbb", "cccc"}) log->append(0, this->bytes(part));
  std::vector<LogRecord> records;
  ASSERT_EQ(log->read(0, log->begin_offset(0), 8, records), LogStatus::kOk);
  EXPECT_EQ(records.size(), 2U);
  records.clear();
  ASSERT_EQ(log->read(0, log->begin_offset(0), 1, records), LogStatus::kOk);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(this->text(records[0]), "aaaa");
  EXPECT_EQ(this->all(*log, 0, log->begin_offset(0), 1), "aaaa,bbbb,cccc");
}

TYPED_TEST_P(LogConformance, EndIsNoFaultButBeyondItIs) {
  const auto log = TypeParam::make(1, this->kOctets);
  std::vector<LogRecord> records;
  EXPECT_EQ(log->read(0, log->end_offset(0), 100, records), LogStatus::kOk);
  EXPECT_EQ(log->read(0, log->end_offset(0) + 1, 100, records), LogStatus::kBeyondEnd);
  log->append(0, this->bytes("a"));
  EXPECT_EQ(log->read(0, log->end_offset(0), 100, records), LogStatus::kOk);
  EXPECT_TRUE(records.empty());
}

TYPED_TEST_P(LogConformance, TrimmedRecordsAreToldFromAbsentOnes) {
  const auto log = TypeParam::make(1, this->kOctets);
  const uint64_t a = log->append(0, this->bytes("a")).offset, b = log->append(0, this->bytes("b")).offset;
  log->trim(0, b);
  std::vector<LogRecord> records;
  if (log->begin_offset(0) > a) {
    EXPECT_EQ(log->read(0, a, 100, records), LogStatus::kTrimmed);
  }
  EXPECT_LE(log->begin_offset(0), b) << "never more than was asked for";
  EXPECT_EQ(this->all(*log, 0, b), "b");
  log->trim(0, log->end_offset(0) + 1000);
  EXPECT_LE(log->begin_offset(0), log->end_offset(0));
  const uint64_t c = log->append(0, this->bytes("c")).offset;
  EXPECT_GT(c, b) << "offsets are not used twice";
  EXPECT_EQ(this->all(*log, 0, c), "c");
}

TYPED_TEST_P(LogConformance, RecordLargerThanTheLogIsRefusedForGood) {
  const auto log = TypeParam::make(1, this->kOctets);
  const std::string large(2 * this->kOctets, 'x');
  EXPECT_EQ(log->append(0, this->bytes(large)).status, LogStatus::kTooLarge);
  EXPECT_EQ(log->append(0, this->bytes("small")).status, LogStatus::kOk);
  EXPECT_EQ(this->all(*log, 0, log->begin_offset(0)), "small");
}

TYPED_TEST_P(LogConformance, WritersOfOnePartitionKeepEachTheirOrder) {
  const auto log = TypeParam::make(1, 16 * this->kOctets);
  constexpr int kWriters = 4, kRecords = 200;
  std::atomic<int> refused{0};
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < kRecords; ++i) {
        const std::string record = {static_cast<char>('a' + w), static_cast<char>(i)};
        if (log->append(0, this->bytes(record)).status != LogStatus::kOk) ++refused;
      }
    });
  }
  // A reader at the same time sees a prefix of the final order.
  std::vector<LogRecord> seen;
  uint64_t next = log->begin_offset(0);
  while (seen.size() < kWriters * kRecords && refused == 0) {
    ASSERT_EQ(log->read(0, next, this->kOctets, seen), LogStatus::kOk);
    if (!seen.empty()) next = seen.back().offset + 1;
    std::this_thread::yield();
  }
  for (std::thread& writer : writers) writer.join();
  ASSERT_EQ(refused, 0);
  std::vector<int> next_of(kWriters, 0);
  for (const LogRecord& record : seen) {
    EXPECT_EQ(record.bytes.at(1), static_cast<uint8_t>(next_of[record.bytes.at(0) - 'a']++));
  }
}

REGISTER_TYPED_TEST_SUITE_P(LogConformance, RecordsComeBackInOrderAndWhole, OffsetsGrowAndLeadToTheirRecord,
                            PartitionsAreApart, ReadStopsAtItsOctetsButGivesAtLeastOne, EndIsNoFaultButBeyondItIs,
                            TrimmedRecordsAreToldFromAbsentOnes, RecordLargerThanTheLogIsRefusedForGood,
                            WritersOfOnePartitionKeepEachTheirOrder);

}  // namespace backstream::transport
