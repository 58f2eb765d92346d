#pragma once
// What every Log must do, for tests only. A log runs it with one line:
//   INSTANTIATE_TYPED_TEST_SUITE_P(Memory, LogConformance, MemoryLogFactory);
// where the factory has  static std::unique_ptr<Log> make(uint32_t partitions, size_t octets_max);
// One that lies on another machine, which may be slow to answer, says so: static constexpr bool kIsElsewhere = true;
// One that outlives its process runs DurableLogConformance, too; then its factory has
//   static std::unique_ptr<Log> reopen(std::unique_ptr<Log> log);   closes it and opens the same again
// One that keeps within `octets_max` runs BoundedLogConformance (and, if durable, BoundedDurableLogConformance), too;
// of others no record may be larger than that.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <set>
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
  EXPECT_EQ(this->all(*log, 1, log->begin_offset(1)), "");
  if (log->begin_offset(0) == log->end_offset(0)) {
    EXPECT_EQ(this->all(*log, 0, log->begin_offset(0)), "");
  }
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

TYPED_TEST_P(LogConformance, EmptyRecordsAreReadInPieces) {
  const auto log = TypeParam::make(1, 16 * this->kOctets);
  constexpr size_t kRecords = Log::kReadRecordsMax + 100;
  std::vector<Log::Appended> appended;
  ASSERT_EQ(log->append_all(std::vector<Log::Addition>(kRecords), appended), LogStatus::kOk);
  size_t count = 0;
  std::vector<LogRecord> records;
  for (uint64_t next = log->begin_offset(0);; next = records.back().offset + 1, records.clear()) {
    ASSERT_EQ(log->read(0, next, this->kOctets, records), LogStatus::kOk);
    if (records.empty()) break;
    EXPECT_LE(records.size(), Log::kReadRecordsMax);
    count += records.size();
  }
  EXPECT_EQ(count, kRecords);
}

TYPED_TEST_P(LogConformance, ManyAreAppendedAsOneByOne) {
  const auto log = TypeParam::make(3, 16 * this->kOctets);
  log->append(1, this->bytes("first"));
  std::vector<std::string> texts, expected(3);
  expected[1] = "first";
  for (int i = 0; i < 1000; ++i) texts.push_back(std::to_string(i) + std::string(static_cast<size_t>(i % 50), '.'));
  std::vector<Log::Addition> additions;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto partition = static_cast<uint32_t>(i % 7 % 3);
    additions.push_back({partition, this->bytes(texts[i])});
    expected[partition] += (expected[partition].empty() ? "" : ",") + texts[i];
  }
  std::vector<Log::Appended> results(3);
  ASSERT_EQ(log->append_all(additions, results), LogStatus::kOk);
  ASSERT_EQ(results.size(), additions.size());
  for (uint32_t p = 0; p < 3; ++p) EXPECT_EQ(this->all(*log, p, log->begin_offset(p)), expected[p]);
  for (size_t i = 0; i < additions.size(); i += 101) {
    EXPECT_EQ(results[i].status, LogStatus::kOk);
    std::vector<LogRecord> records;
    ASSERT_EQ(log->read(additions[i].partition, results[i].offset, 0, records), LogStatus::kOk);
    EXPECT_EQ(this->text(records.at(0)), texts[i]);
  }
  EXPECT_EQ(log->append_all({}, results), LogStatus::kOk);
  EXPECT_TRUE(results.empty());
}

TYPED_TEST_P(LogConformance, OfManyThatAreAppendedOneIsTooLarge) {
  const auto log = TypeParam::make(1, this->kOctets);
  const std::string large(2 * this->kOctets, 'x');
  const std::vector<Log::Addition> additions = {
      {0, this->bytes("before")}, {0, this->bytes(large)}, {0, this->bytes("behind")}};
  std::vector<Log::Appended> results;
  EXPECT_EQ(log->append_all(additions, results), LogStatus::kTooLarge);
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0].status, LogStatus::kOk);
  EXPECT_EQ(results[1].status, LogStatus::kTooLarge);
  EXPECT_EQ(this->all(*log, 0, results[0].offset), results[2].status == LogStatus::kOk ? "before,behind" : "before");
}

TYPED_TEST_P(LogConformance, ReadAddsToWhatIsThere) {
  const auto log = TypeParam::make(1, this->kOctets);
  for (const auto* part : {"aaaa", "bbbb"}) log->append(0, this->bytes(part));
  std::vector<LogRecord> records(3);
  ASSERT_EQ(log->read(0, log->begin_offset(0), 0, records), LogStatus::kOk);
  ASSERT_EQ(records.size(), 4U) << "the first record is given whatever its size, and no second one";
  EXPECT_EQ(this->text(records[3]), "aaaa");
}

TYPED_TEST_P(LogConformance, ReadersGoOnWhereTheyCan) {
  const auto log = TypeParam::make(1, this->kOctets);
  EXPECT_EQ(log->resume_offset(0, 0), log->end_offset(0));
  std::vector<uint64_t> offsets;
  for (int i = 0; i < 100; ++i) offsets.push_back(log->append(0, this->bytes(std::string(100, 'r'))).offset);
  EXPECT_EQ(log->resume_offset(0, offsets[50]), offsets[50]);
  EXPECT_EQ(log->resume_offset(0, log->end_offset(0) + 7), log->end_offset(0));
  log->trim(0, offsets[60]);
  const uint64_t begin = log->begin_offset(0);
  EXPECT_LE(begin, offsets[60]);
  EXPECT_EQ(log->resume_offset(0, 0), begin);
  std::vector<LogRecord> records;
  EXPECT_EQ(log->read(0, begin, 1, records), LogStatus::kOk);
  EXPECT_EQ(records.size(), 1U);
}

TYPED_TEST_P(LogConformance, ManyPartitionsHaveEachTheirOwn) {
  constexpr uint32_t kPartitions = 64;
  const auto log = TypeParam::make(kPartitions, this->kOctets);
  std::vector<std::thread> writers;
  for (uint32_t w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < 20; ++i) {
        for (uint32_t p = w; p < kPartitions; p += 4) {
          log->append(p, this->bytes(std::to_string(p) + "." + std::to_string(i)));
        }
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  for (uint32_t p = 0; p < kPartitions; ++p) {
    std::string expected;
    for (int i = 0; i < 20; ++i) expected += std::to_string(p) + "." + std::to_string(i) + (i < 19 ? "," : "");
    EXPECT_EQ(this->all(*log, p, log->begin_offset(p)), expected);
  }
}

TYPED_TEST_P(LogConformance, WhatIsTrimmedWhileItIsReadIsWholeOrToldAsGone) {
  const auto log = TypeParam::make(2, this->kOctets);
  constexpr uint64_t kRecords = 3000;
  // What a record says is its number; its length, too.
  const auto record_of = [](uint64_t number) { return std::to_string(number) + std::string(number % 97, '.'); };
  std::atomic<uint64_t> written_to{0};
  std::map<uint64_t, uint64_t> number_of;  // By offset; of the writer, until it is joined.
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (uint64_t number = 0; number < kRecords;) {
      const auto appended = log->append(0, this->bytes(record_of(number)));
      if (appended.status != LogStatus::kOk) {
        std::this_thread::yield();
        continue;
      }
      number_of[appended.offset] = number++;
      written_to = appended.offset + 1;
    }
    done = true;
  });
  std::thread trimmer([&] {
    std::mt19937 random(3);
    while (!done) {
      const uint64_t begin = log->begin_offset(0), end = written_to;
      if (end > begin) log->trim(0, begin + random() % (end - begin + 1));
      std::this_thread::yield();
    }
  });
  std::vector<std::vector<LogRecord>> seen(2);
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (size_t r = 0; r < seen.size(); ++r) {
    readers.emplace_back([&, r] {
      uint64_t next = log->begin_offset(0);
      for (bool last = false; !last;) {
        last = done;
        const size_t had = seen[r].size();
        const LogStatus status = log->read(0, next, r == 0 ? 200 : 20'000, seen[r]);
        if (status == LogStatus::kTrimmed) {
          next = log->resume_offset(0, next);
        } else if (status == LogStatus::kUnavailable && requires { TypeParam::kIsElsewhere; }) {
          std::this_thread::yield();  // Again later, as it says.
        } else if (status != LogStatus::kOk) {
          ++wrong;
          ADD_FAILURE() << name(status) << " at " << next;
        } else if (seen[r].size() > had) {
          next = seen[r].back().offset + 1;
        }
      }
    });
  }
  writer.join();
  trimmer.join();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(number_of.size(), kRecords);
  for (const auto& records : seen) {
    uint64_t last = 0;
    for (const LogRecord& record : records) {
      EXPECT_TRUE(&record == records.data() || record.offset > last);
      last = record.offset;
      ASSERT_TRUE(number_of.contains(record.offset));
      EXPECT_EQ(this->text(record), record_of(number_of[record.offset]));
    }
  }
}

REGISTER_TYPED_TEST_SUITE_P(LogConformance, RecordsComeBackInOrderAndWhole, OffsetsGrowAndLeadToTheirRecord,
                            PartitionsAreApart, ReadStopsAtItsOctetsButGivesAtLeastOne, EndIsNoFaultButBeyondItIs,
                            TrimmedRecordsAreToldFromAbsentOnes, RecordLargerThanTheLogIsRefusedForGood,
                            WritersOfOnePartitionKeepEachTheirOrder, EmptyRecordsAreReadInPieces,
                            ManyAreAppendedAsOneByOne, OfManyThatAreAppendedOneIsTooLarge, ReadAddsToWhatIsThere,
                            ReadersGoOnWhereTheyCan, ManyPartitionsHaveEachTheirOwn,
                            WhatIsTrimmedWhileItIsReadIsWholeOrToldAsGone);

template <typename Factory>
class BoundedLogConformance : public LogConformance<Factory> {};
TYPED_TEST_SUITE_P(BoundedLogConformance);

TYPED_TEST_P(BoundedLogConformance, LargestRecordIsTakenWheneverTheLogIsEmpty) {
  const auto log = TypeParam::make(2, 1 << 16);
  size_t taken = 0, refused = (1 << 16) + 1;
  while (refused - taken > 1) {
    const size_t octets = (taken + refused) / 2;
    const std::string record(octets, static_cast<char>('a' + octets % 26));
    const auto appended = log->append(1, this->bytes(record));
    if (appended.status == LogStatus::kTooLarge) {
      refused = octets;
      continue;
    }
    ASSERT_EQ(appended.status, LogStatus::kOk) << octets;
    taken = octets;
    std::vector<LogRecord> records;
    ASSERT_EQ(log->read(1, appended.offset, 1, records), LogStatus::kOk);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_TRUE(this->text(records[0]) == record);
    log->trim(1, appended.offset + 1);
  }
  EXPECT_GT(taken, (1U << 16) * 9 / 10);
  EXPECT_EQ(log->append(1, this->bytes(std::string(taken, 'x'))).status, LogStatus::kOk);
  EXPECT_EQ(log->append(0, this->bytes(std::string(taken, 'x'))).status, LogStatus::kFull) << "full for all partitions";
  EXPECT_EQ(log->append(0, this->bytes(std::string(taken + 1, 'x'))).status, LogStatus::kTooLarge);
  log->trim(1, log->end_offset(1));
  EXPECT_EQ(log->append(0, this->bytes(std::string(taken, 'x'))).status, LogStatus::kOk);
}

TYPED_TEST_P(BoundedLogConformance, FullLogKeepsAllAndTakesAsMuchAgainAfterTrim) {
  const auto log = TypeParam::make(3, 1 << 16);
  std::mt19937 random(1);
  size_t first_count = 0;
  for (int round = 0; round < 4; ++round) {
    std::vector<std::string> expected(3);
    std::vector<uint64_t> begin;
    for (uint32_t p = 0; p < 3; ++p) begin.push_back(log->end_offset(p));
    size_t count = 0;
    for (uint32_t p = 0;; p = (p + 1) % 3) {
      const std::string record(random() % 300, static_cast<char>('a' + random() % 26));
      const uint64_t end = log->end_offset(p);
      const auto appended = log->append(p, this->bytes(record));
      if (appended.status == LogStatus::kFull) {
        EXPECT_EQ(log->end_offset(p), end) << "a refused record is not in the log";
        break;
      }
      ASSERT_EQ(appended.status, LogStatus::kOk);
      if (!expected[p].empty() || appended.offset != begin[p]) expected[p] += ',';
      expected[p] += record;
      ++count;
    }
    if (round == 0) first_count = count;
    EXPECT_GT(count, first_count * 3 / 4) << "round " << round;
    for (uint32_t p = 0; p < 3; ++p) {
      EXPECT_EQ(this->all(*log, p, begin[p]), expected[p]);
      log->trim(p, log->end_offset(p));
    }
  }
}

REGISTER_TYPED_TEST_SUITE_P(BoundedLogConformance, LargestRecordIsTakenWheneverTheLogIsEmpty,
                            FullLogKeepsAllAndTakesAsMuchAgainAfterTrim);

template <typename Factory>
class DurableLogConformance : public LogConformance<Factory> {};
TYPED_TEST_SUITE_P(DurableLogConformance);

TYPED_TEST_P(DurableLogConformance, IsTheSameAfterItWasClosed) {
  auto log = TypeParam::make(3, this->kOctets);
  std::vector<std::pair<uint64_t, std::string>> written;
  for (int i = 0; i < 300; ++i) {
    const std::string record(static_cast<size_t>(i), static_cast<char>('a' + i % 26));
    written.emplace_back(log->append(1, this->bytes(record)).offset, record);
  }
  log->append(2, {});
  const uint64_t end = log->end_offset(1);
  log = TypeParam::reopen(std::move(log));
  EXPECT_EQ(log->partition_count(), 3U);
  EXPECT_EQ(log->end_offset(1), end);
  for (const auto& [offset, record] : written) {
    std::vector<LogRecord> records;
    ASSERT_EQ(log->read(1, offset, 0, records), LogStatus::kOk);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].offset, offset);
    EXPECT_EQ(this->text(records[0]), record);
  }
  EXPECT_EQ(this->all(*log, 0, log->begin_offset(0)), "");
  EXPECT_EQ(log->end_offset(2), log->begin_offset(2) + 1) << "an empty record is one";
  EXPECT_GE(log->append(1, this->bytes("more")).offset, end);
  EXPECT_EQ(this->all(*log, 1, end), "more");
}

TYPED_TEST_P(DurableLogConformance, OffsetsGoOnWhateverWasTrimmed) {
  auto log = TypeParam::make(2, this->kOctets);
  std::set<uint64_t> used;
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 20; ++i) {
      const auto appended = log->append(0, this->bytes(std::string(50, 'o')));
      ASSERT_EQ(appended.status, LogStatus::kOk);
      EXPECT_TRUE(used.insert(appended.offset).second) << "offsets are not used twice";
      EXPECT_EQ(*used.rbegin(), appended.offset) << "they grow";
    }
    const uint64_t end = log->end_offset(0);
    const uint64_t needed = round % 2 == 0 ? end : end - 10;
    log->trim(0, needed);
    const uint64_t begin = log->begin_offset(0);
    log = TypeParam::reopen(std::move(log));
    EXPECT_EQ(log->end_offset(0), end);
    EXPECT_LE(log->begin_offset(0), begin) << "what was trimmed may be there again, and never more than that is gone";
    EXPECT_EQ(log->resume_offset(0, begin), begin);
    EXPECT_EQ(this->all(*log, 0, std::max(begin, needed)).size(), round % 2 == 0 ? 0U : 10 * 50 + 9);
  }
}

REGISTER_TYPED_TEST_SUITE_P(DurableLogConformance, IsTheSameAfterItWasClosed, OffsetsGoOnWhateverWasTrimmed);

template <typename Factory>
class BoundedDurableLogConformance : public LogConformance<Factory> {};
TYPED_TEST_SUITE_P(BoundedDurableLogConformance);

TYPED_TEST_P(BoundedDurableLogConformance, WhatItHoldsCountsAfterItWasClosed) {
  auto log = TypeParam::make(2, 1 << 16);
  const std::string record(500, 'f');
  size_t count = 0;
  while (log->append(0, this->bytes(record)).status == LogStatus::kOk) ++count;
  EXPECT_GT(count, 90U);
  log = TypeParam::reopen(std::move(log));
  EXPECT_EQ(log->append(1, this->bytes(record)).status, LogStatus::kFull);
  EXPECT_EQ(log->end_offset(0) - log->begin_offset(0), count);
  log->trim(0, log->end_offset(0));
  EXPECT_EQ(log->append(1, this->bytes(record)).status, LogStatus::kOk);
}

REGISTER_TYPED_TEST_SUITE_P(BoundedDurableLogConformance, WhatItHoldsCountsAfterItWasClosed);

}  // namespace backstream::transport
