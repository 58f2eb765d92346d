#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "cluster/log_feed.h"
#include "cluster/membership.h"
#include "cluster/partials_spool.h"
#include "partial/codec.h"
#include "transport/flaky_log.h"

namespace backstream::cluster {
namespace {

using namespace std::chrono_literals;
using transport::FlakyLog;
using transport::LogRecord;
using transport::LogStatus;

constexpr uint64_t kView = uint64_t{77} << 32 | 5;

class Folder : public testing::Test {
 protected:
  Folder() {
    path = (std::filesystem::temp_directory_path() / ("cluster-" + std::to_string(::getpid()))).string();
    std::filesystem::remove_all(path);
  }
  ~Folder() override { std::filesystem::remove_all(path); }
  std::unique_ptr<PartialsSpool> open(transport::Log& log, uint64_t octets_max = 64 << 20) {
    auto opened = PartialsSpool::open({path, octets_max, 5, {}}, log);
    EXPECT_TRUE(opened.has_value()) << opened.error().message;
    return std::move(*opened);
  }
  std::string path;
};

/// A pane of a query; `counted` rows.
std::vector<uint8_t> pane(uint64_t incarnation, uint32_t supplement, uint64_t counted, size_t octets = 10) {
  partial::ChunkId id;
  id.origin = {5, 1, incarnation};
  id.pane_start = 60'000'000;
  id.supplement = supplement;
  id.last = true;
  window::PaneCounts counts;
  counts.assigned = counts.counted = counted;
  const partial::PaneLedger ledger{id.pane_start, counts};
  return partial::write_data(id, {&ledger, 1}, 1, std::vector<uint8_t>(octets, 1));
}

/// All that lies in a partition.
std::vector<partial::Message> messages_of(transport::Log& log, uint32_t partition) {
  std::vector<LogRecord> records;
  EXPECT_EQ(log.read(partition, log.begin_offset(partition), SIZE_MAX, records), LogStatus::kOk);
  std::vector<partial::Message> messages;
  for (const LogRecord& record : records) {
    partial::PartialFault fault{};
    EXPECT_TRUE(partial::read_message(record.bytes, messages.emplace_back(), fault));
  }
  return messages;
}
/// Supplements of the panes among them, in order.
std::vector<uint32_t> panes_of(const std::vector<partial::Message>& messages) {
  std::vector<uint32_t> panes;
  for (const auto& message : messages) {
    if (message.kind == partial::Message::Kind::kData) panes.push_back(message.chunk.supplement);
  }
  return panes;
}
std::vector<partial::Presence> presences_of(const std::vector<partial::Message>& messages) {
  std::vector<partial::Presence> found;
  for (const auto& message : messages) {
    if (message.kind == partial::Message::Kind::kPresence) found.push_back(message.presence);
  }
  return found;
}
bool wait_until(const std::function<bool()>& holds) {
  for (int i = 0; i < 3'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

TEST_F(Folder, WhatIsAppendedArrivesInOrderInThePartitionOfItsQuery) {
  FlakyLog log(4);
  {
    auto spool = open(log);
    for (uint32_t i = 0; i < 100; ++i) spool->append(pane(kView, i, 1));
    spool->close(30s);
    EXPECT_EQ(spool->status().appended, spool->status().sent) << "what was sent was appended";
  }
  std::vector<uint32_t> expected;
  for (uint32_t i = 0; i < 100; ++i) expected.push_back(i);
  for (uint32_t p = 0; p < 4; ++p) {
    const auto messages = messages_of(log, p);
    EXPECT_EQ(panes_of(messages), p == partial::partition_of(kView, 4) ? expected : std::vector<uint32_t>()) << p;
    ASSERT_EQ(presences_of(messages).size(), 1u) << "every partition hears of the edge";
    EXPECT_EQ(presences_of(messages)[0].gap_from, base::kMinTime) << "it has seen nothing of what was before";
  }
}

TEST_F(Folder, WhoIsThereBeforeAllFlowsHasMissedNothing) {
  FlakyLog log(1);
  auto opened = PartialsSpool::open({.folder = path, .octets_max = 64 << 20, .edge = 5, .before_all_flows = true}, log);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  (*opened)->close(30s);
  const auto presences = presences_of(messages_of(log, 0));
  ASSERT_EQ(presences.size(), 1u);
  EXPECT_GE(presences[0].gap_from, presences[0].gap_until);
  EXPECT_GT(presences[0].sent_at, 0);
}

TEST_F(Folder, ALogThatIsAwayIsWaitedForAndAskedAgain) {
  FlakyLog log(1);
  log.away = true;
  auto spool = open(log);
  for (uint32_t i = 0; i < 10; ++i) spool->append(pane(kView, i, 1));
  EXPECT_TRUE(wait_until([&] { return !spool->status().last_error.empty(); }));
  EXPECT_NE(spool->status().oldest_unsent, 0);
  log.lies = 3;  // It keeps some of them, and says that it has not.
  log.away = false;
  EXPECT_TRUE(wait_until([&] { return spool->status().sent == 11; }));
  EXPECT_TRUE(wait_until([&] { return spool->status().oldest_unsent == 0; }));
  EXPECT_EQ(spool->status().last_error, "");
  auto panes = panes_of(messages_of(log, 0));
  EXPECT_GE(panes.size(), 10u) << "repeats do no harm";
  std::sort(panes.begin(), panes.end());
  panes.erase(std::unique(panes.begin(), panes.end()), panes.end());
  EXPECT_EQ(panes.size(), 10u);
}

TEST_F(Folder, WhatWasNotSentIsSentByTheNextProcess) {
  FlakyLog log(1);
  log.away = true;
  {
    auto spool = open(log);
    EXPECT_EQ(spool->epoch(), 1u);
    for (uint32_t i = 0; i < 5; ++i) spool->append(pane(kView, i, 1));
    spool->note_watermark(130'000'000);
    spool->close(0s);
    std::this_thread::sleep_for(1'200ms);  // What is noted meanwhile is no other.
  }
  log.away = false;
  auto spool = open(log);
  EXPECT_EQ(spool->epoch(), 2u);
  EXPECT_TRUE(wait_until([&] { return panes_of(messages_of(log, 0)).size() == 5; }));
  EXPECT_TRUE(wait_until([&] { return presences_of(messages_of(log, 0)).size() == 2; }));
  const auto last = presences_of(messages_of(log, 0)).back();
  EXPECT_EQ(last.origin.epoch, 2u);
  EXPECT_EQ(last.gap_from, 130'000'000) << "it was closed: what was open has been sent";
  EXPECT_EQ(last.gap_until, last.sent_at);
}

TEST_F(Folder, AKilledProcessHasLostWhatWasOpen) {
  FlakyLog log(1);
  {
    auto spool = open(log);
    spool->note_watermark(130'000'000);
    EXPECT_TRUE(wait_until([&] { return spool->status().sent == 1; }));
    std::this_thread::sleep_for(2'100ms);  // Notes are made once a second.
  }
  auto spool = open(log);
  EXPECT_TRUE(wait_until([&] { return presences_of(messages_of(log, 0)).size() == 2; }));
  EXPECT_EQ(presences_of(messages_of(log, 0)).back().gap_from, 120'000'000) << "the pane of 60 s that was open";
}

TEST_F(Folder, AMarkIsOfTheMessagesThatAreInTheFiles) {
  FlakyLog log(1);
  const std::vector<uint8_t> first = {1, 2, 3}, second = {4};
  {
    auto spool = open(log);
    EXPECT_TRUE(spool->mark_before().empty());
    spool->append(pane(kView, 0, 1));
    spool->keep_mark(std::vector<uint8_t>(first));
    EXPECT_TRUE(wait_until([&] { return spool->status().sent == 2; }));
  }
  {
    auto spool = open(log);  // The one before was not closed: it counts as killed.
    EXPECT_EQ(spool->mark_before(), first);
    spool->append(pane(kView, 1, 1));
    spool->keep_mark({9});
    spool->append(pane(kView, 2, 1));
    spool->keep_mark(std::vector<uint8_t>(second));
    spool->close(30s);
  }
  EXPECT_EQ(open(log)->mark_before(), second);
  EXPECT_EQ(open(log)->mark_before(), second) << "a process that has none of its own leaves the last one";
}

TEST_F(Folder, WhenTheFilesAreFullTheOldestGoAndAreCounted) {
  FlakyLog log(1);
  log.away = true;
  auto spool = open(log, 16 << 20);
  constexpr uint32_t kPanes = 400;  // Of 100 kB each.
  for (uint32_t i = 0; i < kPanes; ++i) spool->append(pane(kView, i, 3, 100'000));
  EXPECT_TRUE(wait_until([&] { return spool->status().dropped > 0; }));
  log.away = false;
  spool->close(60s);
  const auto status = spool->status();
  const auto messages = messages_of(log, 0);
  const auto panes = panes_of(messages);
  EXPECT_LE(status.octets_held, uint64_t{16} << 20);
  ASSERT_FALSE(panes.empty());
  EXPECT_EQ(panes.back(), kPanes - 1) << "the newest is there";
  uint64_t gaps = 0;
  for (const auto& presence : presences_of(messages)) gaps += presence.gap_until - presence.gap_from == 60'000'000;
  EXPECT_GE(gaps, 1u) << "the windows of what went are told to be incomplete";
  // Each pane was sent, or dropped, or (what was on its way when room was made) both.
  EXPECT_GE(panes.size() + status.rows_dropped / 3, kPanes);
  EXPECT_EQ(status.rows_dropped % 3, 0u);
}

TEST_F(Folder, WhatTheLogNeverTakesStopsNothing) {
  FlakyLog log(1);
  log.octets_max = 1'000;
  auto spool = open(log);
  spool->append(pane(kView, 0, 4, 5'000));
  spool->append(pane(kView, 1, 4));
  EXPECT_TRUE(wait_until([&] { return panes_of(messages_of(log, 0)) == std::vector<uint32_t>{1}; }));
  EXPECT_TRUE(wait_until([&] { return spool->status().dropped == 1; }));
  EXPECT_EQ(spool->status().rows_dropped, 4u);
}

TEST_F(Folder, WhatAnotherVersionLeftIsCountedAndStopsNothing) {
  FlakyLog log(1);
  auto spool = open(log);
  auto newer = pane(kView, 0, 4);
  newer[3] = partial::kVersion + 1;
  spool->append(std::move(newer));
  spool->append(pane(kView, 1, 4));
  EXPECT_TRUE(wait_until([&] { return panes_of(messages_of(log, 0)) == std::vector<uint32_t>{1}; }));
  EXPECT_TRUE(wait_until([&] { return spool->status().dropped == 1; }));
}

TEST(LogFeed, GivesAllPartitionsInOrderFromWhereTheyAreWanted) {
  FlakyLog log(3);
  for (uint32_t i = 0; i < 30; ++i) log.append(i % 3, pane(1, i, 1));
  LogFeed feed(log);
  for (uint32_t partition = 0; partition < 3; ++partition) feed.follow(7, partition, partition);
  std::map<uint32_t, std::vector<uint64_t>> offsets;
  const auto drain = [&](size_t count) {
    EXPECT_TRUE(wait_until([&] {
      for (const auto& record : feed.take()) {
        EXPECT_EQ(record.reader, 7u);
        offsets[record.partition].push_back(record.offset);
        --count;
      }
      return count == 0;
    }));
  };
  drain(27);
  EXPECT_TRUE(wait_until([&] { return feed.at_end(7); }));
  for (uint32_t i = 0; i < 6; ++i) log.append(i % 3, pane(1, 100 + i, 1));
  drain(6);
  for (const auto& [partition, of] : offsets) {
    ASSERT_EQ(of.size(), 12u - partition);
    for (size_t i = 0; i < of.size(); ++i) EXPECT_EQ(of[i], partition + i);
  }
  EXPECT_EQ(feed.status().records, 33u);
}

TEST(LogFeed, WhatIsForgottenIsGivenToNobody) {
  FlakyLog log(2);
  for (uint32_t i = 0; i < 10; ++i) log.append(i % 2, pane(1, i, 1));
  LogFeed feed(log);
  feed.follow(0, 0, 0);
  feed.follow(1, 1, 0);
  EXPECT_TRUE(wait_until([&] { return feed.status().records == 10; }));
  feed.forget(0);
  size_t got = 0;
  for (const auto& record : feed.take()) got += record.reader == 1;
  EXPECT_EQ(got, 5u);
  EXPECT_EQ(feed.status().waiting_octets, 0u);
  log.append(0, pane(1, 20, 1));
  log.append(1, pane(1, 21, 1));
  std::vector<LogFeed::Record> next;
  EXPECT_TRUE(wait_until([&] { return !(next = feed.take()).empty(); }));
  EXPECT_EQ(next[0].partition, 1u);
  // Whoever follows again has it from where he says.
  feed.follow(0, 0, 5);
  EXPECT_TRUE(wait_until([&] { return !(next = feed.take()).empty(); }));
  EXPECT_EQ(next[0].offset, 5u);
}

TEST(LogFeed, CountsWhatWasGoneBeforeItWasRead) {
  FlakyLog log(1);
  for (uint32_t i = 0; i < 10; ++i) log.append(0, pane(1, i, 1));
  log.trim(0, 4);
  LogFeed feed(log);
  feed.follow(0, 0, 1);
  size_t got = 0;
  EXPECT_TRUE(wait_until([&] { return (got += feed.take().size()) == 6; }));
  EXPECT_EQ(feed.status().places_lost, 1u);
  EXPECT_EQ(feed.status().offsets_lost, 3u);
}

TEST(LogFeed, ALogThatIsAwayIsAskedAgain) {
  FlakyLog log(1);
  log.append(0, pane(1, 0, 1));
  log.away = true;
  LogFeed feed(log);
  feed.follow(0, 0, 0);
  EXPECT_TRUE(wait_until([&] { return feed.status().last_error == "unavailable"; }));
  EXPECT_TRUE(feed.take().empty());
  log.away = false;
  EXPECT_TRUE(wait_until([&] { return !feed.take().empty(); }));
}

constexpr Micros kSecond = base::kMicrosPerSecond;
partial::Presence presence(uint32_t edge, uint64_t epoch, Micros at) { return {{edge, epoch, 0}, at, 0, 0}; }

TEST(Membership, AnEdgeThatIsNotHeardIsAbsent) {
  Membership membership(90 * kSecond, 1'000 * kSecond);
  membership.set_edges({{2}, {1}});
  const auto first = membership.decide({}, 1'000 * kSecond);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->edges, (std::vector<partial::Members::Member>{{1, false}, {2, false}})) << "none was heard yet";
  EXPECT_FALSE(membership.decide(*first, 1'050 * kSecond).has_value());
  membership.heard(presence(1, 1, 1'060 * kSecond), 1'061 * kSecond);
  const auto second = membership.decide(*first, 1'100 * kSecond);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->edges, (std::vector<partial::Members::Member>{{1, false}, {2, true}}));
  membership.heard(presence(2, 1, 1'101 * kSecond), 1'102 * kSecond);
  EXPECT_EQ(membership.decide(*second, 1'103 * kSecond)->edges, first->edges) << "it is back";
}

TEST(Membership, WhoCatchesUpIsAbsentUntilItIsThere) {
  Membership membership(90 * kSecond, 1'000 * kSecond);
  membership.set_edges({{1}});
  const partial::Members absent{0, {{1, true}}};
  membership.heard(presence(1, 1, 1'000 * kSecond), 5'000 * kSecond);
  EXPECT_FALSE(membership.decide(absent, 5'000 * kSecond).has_value()) << "what came is more than an hour old";
  membership.heard(presence(1, 1, 4'990 * kSecond), 5'001 * kSecond);
  EXPECT_FALSE(membership.decide(absent, 5'001 * kSecond)->edges[0].absent);
}

TEST(Membership, WhoIsTakenAwayForGoodIsWaitedForUntilItIsSilent) {
  Membership membership(90 * kSecond, 1'000 * kSecond);
  membership.set_edges({{1}, {2, true}});
  const partial::Members both{0, {{1, false}, {2, false}}};
  membership.heard(presence(1, 1, 1'080 * kSecond), 1'080 * kSecond);
  membership.heard(presence(2, 1, 1'005 * kSecond), 1'005 * kSecond);
  EXPECT_FALSE(membership.decide(both, 1'090 * kSecond).has_value()) << "what it had open is on its way";
  const auto later = membership.decide(both, 1'100 * kSecond);
  ASSERT_TRUE(later.has_value());
  EXPECT_EQ(later->edges, (std::vector<partial::Members::Member>{{1, false}}));
  membership.heard(presence(2, 2, 1'101 * kSecond), 1'101 * kSecond);
  EXPECT_EQ(membership.decide(*later, 1'102 * kSecond)->edges, both.edges) << "it is there again";
}

TEST(Membership, WhoStoodStillDoesNotTakeOthersForSilent) {
  Membership membership(90 * kSecond, 1'000 * kSecond);
  membership.set_edges({{1}});
  const partial::Members in_force{0, {{1, false}}};
  membership.heard(presence(1, 1, 1'001 * kSecond), 1'001 * kSecond);
  membership.begin_anew(2'000 * kSecond);
  EXPECT_FALSE(membership.decide(in_force, 2'000 * kSecond).has_value());
  EXPECT_FALSE(membership.decide(in_force, 2'089 * kSecond).has_value());
  EXPECT_TRUE(membership.decide(in_force, 2'090 * kSecond).has_value()) << "now it would have been heard";
}

TEST(Membership, WhatIsHeardAgainIsNotNews) {
  Membership membership(90 * kSecond, 1'000 * kSecond);
  membership.set_edges({{1}});
  membership.heard(presence(1, 2, 1'000 * kSecond), 1'000 * kSecond);
  membership.heard(presence(1, 2, 1'000 * kSecond), 1'080 * kSecond);
  membership.heard(presence(1, 1, 1'085 * kSecond), 1'085 * kSecond);  // A process that was superseded.
  membership.heard(presence(9, 1, 1'085 * kSecond), 1'085 * kSecond);  // Nobody that the catalog knows.
  EXPECT_TRUE(membership.decide({0, {{1, false}}}, 1'090 * kSecond).has_value());
  EXPECT_EQ(membership.edges().size(), 1u);
}

}  // namespace
}  // namespace backstream::cluster
