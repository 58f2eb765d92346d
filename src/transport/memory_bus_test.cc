#include "transport/memory_bus.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>

#include "transport/log_conformance.h"

namespace backstream::transport {
namespace {

using std::chrono::milliseconds;

/// A handle onto the log that is shared.
struct SharedLogFactory {
  static std::unique_ptr<Log> make(uint32_t partitions, size_t octets_max) {
    auto broker = std::make_shared<MemoryBroker>(
        MemoryBroker::Options{.partition_count = partitions, .log_octets_max = octets_max});
    return std::make_unique<Handle>(*MemoryBus(broker).open_log("topic"));
  }
  struct Handle final : Log {
    explicit Handle(std::shared_ptr<Log> shared) : log(std::move(shared)) {}
    uint32_t partition_count() const override { return log->partition_count(); }
    Appended append(uint32_t partition, std::span<const uint8_t> bytes) override {
      return log->append(partition, bytes);
    }
    LogStatus read(uint32_t partition, uint64_t offset, size_t octets_max, std::vector<LogRecord>& out) override {
      return log->read(partition, offset, octets_max, out);
    }
    uint64_t begin_offset(uint32_t partition) const override { return log->begin_offset(partition); }
    uint64_t end_offset(uint32_t partition) const override { return log->end_offset(partition); }
    uint64_t resume_offset(uint32_t partition, uint64_t offset) override {
      return log->resume_offset(partition, offset);
    }
    void trim(uint32_t partition, uint64_t offset) override { log->trim(partition, offset); }
    const std::shared_ptr<Log> log;
  };
};
INSTANTIATE_TYPED_TEST_SUITE_P(MemoryBus, LogConformance, SharedLogFactory);

/// Two nodes of one deployment.
class MemoryBusTest : public ::testing::Test {
 protected:
  static std::shared_ptr<MemoryBroker> broker(MemoryBroker::Options options = {}) {
    return std::make_shared<MemoryBroker>(options);
  }
  static std::vector<uint8_t> bytes(std::string_view text) { return {text.begin(), text.end()}; }
  static std::string all(Log& log, uint32_t partition) {
    std::vector<LogRecord> records;
    if (const LogStatus status = log.read(partition, log.begin_offset(partition), 1 << 20, records);
        status != LogStatus::kOk)
      return std::string(name(status));
    std::string text;
    for (const LogRecord& record : records) text.append(record.bytes.begin(), record.bytes.end()) += ';';
    return text;
  }
  static std::string all(KeyedLog& log) {
    std::vector<KeyedRecord> records;
    uint64_t next = 0;
    if (const LogStatus status = log.read(0, 1 << 20, milliseconds(0), records, next); status != LogStatus::kOk)
      return std::string(name(status));
    std::string text;
    for (const KeyedRecord& record : records) text += record.key + '=' + record.value + ';';
    return text;
  }
};

TEST_F(MemoryBusTest, WhatOneNodeAppendsAnotherReads) {
  const auto shared = broker();
  MemoryBus one(shared), other(shared);
  const auto writes = *one.open_log("partials"), reads = *other.open_log("partials");
  writes->append(1, bytes("a"));
  EXPECT_EQ(all(*reads, 1), "a;");
  EXPECT_EQ(all(**other.open_log("results"), 1), "") << "another topic";
  reads->trim(1, 1);
  EXPECT_EQ(writes->begin_offset(1), 1u);

  const auto keys = *one.open_keyed_log("catalog", 100, true), same = *other.open_keyed_log("catalog", 100, false);
  keys->append("k", "v");
  EXPECT_EQ(all(*same), "k=v;");
  EXPECT_EQ(keys->append("k", std::string(101, 'x')).status, LogStatus::kTooLarge);
}

TEST_F(MemoryBusTest, ACutLinkAnswersNothingAndLosesNothing) {
  const auto shared = broker();
  MemoryBus one(shared), other(shared);
  const auto log = *one.open_log("partials"), others = *other.open_log("partials");
  const auto keys = *one.open_keyed_log("catalog", 100, true);
  log->append(0, bytes("a"));
  one.set_cut(true);
  EXPECT_EQ(log->append(0, bytes("b")).status, LogStatus::kUnavailable);
  std::vector<Log::Appended> results;
  const auto record = bytes("c");
  EXPECT_EQ(log->append_all(std::vector<Log::Addition>{{0, record}}, results), LogStatus::kUnavailable);
  EXPECT_EQ(all(*log, 0), "unavailable");
  EXPECT_EQ(log->resume_offset(0, 7), 7u);
  log->trim(0, 1);
  EXPECT_EQ(keys->append("k", "v").status, LogStatus::kUnavailable);
  EXPECT_EQ(all(*keys), "unavailable");
  EXPECT_EQ(keys->end_offset(), std::nullopt);
  EXPECT_EQ(one.open_log("results").error().code, "08001");
  EXPECT_EQ(one.open_keyed_log("catalog", 100, true).error().code, "08001");
  EXPECT_EQ(all(*others, 0), "a;") << "what is cut is a link, not the log";
  others->append(0, bytes("d"));
  one.set_cut(false);
  EXPECT_EQ(all(*log, 0), "a;d;");
}

TEST_F(MemoryBusTest, LogsKeepTheNewestWithinTheirBound) {
  MemoryBus node(broker({.partition_count = 1, .log_octets_max = 3 * (1 + MemoryLog::kRecordOverhead)}));
  const auto log = *node.open_log("results");
  for (const char* text : {"a", "b", "c", "d"}) EXPECT_EQ(log->append(0, bytes(text)).status, LogStatus::kOk);
  EXPECT_EQ(all(*log, 0), "b;c;d;");
}

TEST_F(MemoryBusTest, LogsWithKeysAreCompacted) {
  MemoryBus node(broker({.compaction_interval = milliseconds(0)}));
  const auto log = *node.open_keyed_log("catalog", 100, true);
  log->append("gone", "1");
  for (int i = 0; i < 100; ++i) log->append("k", std::to_string(i));
  log->append("gone", std::nullopt);
  log->append("k", "100");
  log->append("k", "101");
  log->append("last", "1");
  EXPECT_EQ(all(*log), "k=101;last=1;");

  MemoryBus other(broker());
  const auto kept = *other.open_keyed_log("catalog", 100, true);
  for (int i = 0; i < 3; ++i) kept->append("k", std::to_string(i));
  EXPECT_EQ(all(*kept), "k=0;k=1;k=2;") << "not before its time";
}

/// What a member of a group is told.
class Told {
 public:
  Group::Callbacks callbacks() {
    return {[this](const std::vector<uint32_t>& partitions) { set(partitions); },
            [this](bool lost) {
              EXPECT_FALSE(lost);
              set({});
            }};
  }
  /// Waits until it has so many.
  std::vector<uint32_t> have(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return partitions_.size() == count; });
    return partitions_;
  }

 private:
  void set(std::vector<uint32_t> partitions) {
    const std::lock_guard lock(mutex_);
    partitions_ = std::move(partitions);
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<uint32_t> partitions_;
};

TEST_F(MemoryBusTest, MembersSharePartitionsAndTakeOverWhenOneLeaves) {
  const auto shared = broker({.partition_count = 4});
  MemoryBus one(shared), other(shared);
  Told first, second;
  auto a = *one.join("merge", "partials", first.callbacks());
  EXPECT_EQ(first.have(4), (std::vector<uint32_t>{0, 1, 2, 3}));
  auto b = *other.join("merge", "partials", second.callbacks());
  const auto of_first = first.have(2), of_second = second.have(2);
  EXPECT_EQ(of_first, (std::vector<uint32_t>{0, 2}));
  EXPECT_EQ(of_second, (std::vector<uint32_t>{1, 3}));
  a.reset();
  EXPECT_EQ(second.have(4), (std::vector<uint32_t>{0, 1, 2, 3}));
}

TEST_F(MemoryBusTest, MoreMembersThanPartitionsWaitForOneToLeave) {
  const auto shared = broker({.partition_count = 1});
  MemoryBus node(shared);
  Told first, second;
  auto a = *node.join("merge", "partials", first.callbacks());
  first.have(1);
  auto b = *node.join("merge", "partials", second.callbacks());
  first.have(1);
  second.have(0);
  a.reset();
  EXPECT_EQ(second.have(1), (std::vector<uint32_t>{0}));
}

/// Nobody has a partition before the one before has given it up.
TEST_F(MemoryBusTest, APartitionIsGivenUpBeforeAnotherGetsIt) {
  const auto shared = broker({.partition_count = 2});
  MemoryBus node(shared);
  std::array<std::atomic<int>, 2> owners{};
  std::atomic<bool> overlaps{false};
  struct Member {
    std::vector<uint32_t> own;
    std::unique_ptr<Group> group;
  };
  std::array<Member, 3> members;
  const auto join = [&](Member& member) {
    member.group = *node.join("merge", "partials",
                              {[&](const std::vector<uint32_t>& partitions) {
                                 member.own = partitions;
                                 for (const uint32_t p : partitions)
                                   if (++owners[p] > 1) overlaps = true;
                               },
                               [&](bool) {
                                 std::this_thread::sleep_for(milliseconds(1));
                                 for (const uint32_t p : member.own) --owners[p];
                               }});
  };
  for (int round = 0; round < 50; ++round) {
    Member& member = members[static_cast<size_t>(round) % members.size()];
    if (member.group) member.group.reset();
    else join(member);
  }
  for (Member& member : members) member.group.reset();
  EXPECT_FALSE(overlaps);
  EXPECT_EQ(owners[0] + owners[1], 0) << "who leaves gives up";
}

TEST_F(MemoryBusTest, PlacesAreMovedByWhoHasThePartitionAlone) {
  const auto shared = broker({.partition_count = 2});
  MemoryBus one(shared), other(shared);
  Told first, second;
  auto a = *one.join("merge", "partials", first.callbacks());
  first.have(2);
  EXPECT_EQ(*a->committed("snapshots", 1), std::nullopt);
  EXPECT_TRUE(a->commit("snapshots", 1, 7));
  auto b = *other.join("merge", "partials", second.callbacks());
  first.have(1);
  second.have(1);
  EXPECT_EQ(a->commit("snapshots", 1, 8).error().code, "55000") << "it is the second one's now";
  EXPECT_EQ(*b->committed("snapshots", 1), 7u);
  EXPECT_EQ(*b->committed("results", 1), std::nullopt) << "of another topic";
  EXPECT_TRUE(b->commit("snapshots", 1, 9));
  EXPECT_EQ(*a->committed("snapshots", 1), 9u);
  other.set_cut(true);
  EXPECT_EQ(b->commit("snapshots", 1, 10).error().code, "08001");
  EXPECT_EQ(b->committed("snapshots", 1).error().code, "08001");
  EXPECT_EQ(*a->committed("snapshots", 1), 9u);
}

TEST_F(MemoryBusTest, APlaceIsMovedWhileAPartitionIsGivenUp) {
  MemoryBus node(broker({.partition_count = 1}));
  Told told;
  Group* member = nullptr;
  std::atomic<bool> moved{false};
  Group::Callbacks callbacks = told.callbacks();
  callbacks.revoked = [&](bool) { moved = member->commit("snapshots", 0, 3).has_value(); };
  auto leaves = *node.join("merge", "partials", std::move(callbacks));
  member = leaves.get();
  told.have(1);
  leaves.reset();
  EXPECT_TRUE(moved);
  Told later;
  EXPECT_EQ(*(*node.join("merge", "partials", later.callbacks()))->committed("snapshots", 0), 3u);
}

}  // namespace
}  // namespace backstream::transport
