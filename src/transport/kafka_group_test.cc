// Against the mock cluster of librdkafka; with BACKSTREAM_KAFKA=HOST:PORT,... in the environment against real brokers.
// Members that are killed or stopped: tests/cluster/group_test.cc.
#include "transport/kafka_group.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "transport/kafka_connection.h"
#include "transport/kafka_log.h"
#include "transport/kafka_topic.h"

namespace backstream::transport {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using Numbers = std::vector<uint32_t>;

constexpr int16_t kOffsetCommitApi = 8;
constexpr std::chrono::minutes kLong{2};
constexpr uint32_t kPartitions = 4;

const char* real_brokers() { return std::getenv("BACKSTREAM_KAFKA"); }
#define WANTS_MOCK \
  if (real_brokers() != nullptr) GTEST_SKIP() << "wants the mock cluster"
#define WANTS_BROKERS \
  if (real_brokers() == nullptr) GTEST_SKIP() << "wants BACKSTREAM_KAFKA=HOST:PORT,..."

bool until(const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + kLong;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

/// Who has what, by what members were told.
class Ledger {
 public:
  void take(int who, const Numbers& partitions) {
    const std::lock_guard lock(mutex_);
    for (const uint32_t partition : partitions) {
      if (holders_.contains(partition)) ++shared_;
      holders_[partition] = who;
    }
  }
  void give(int who) {
    const std::lock_guard lock(mutex_);
    std::erase_if(holders_, [&](const auto& holder) { return holder.second == who; });
  }
  Numbers of(int who) const {
    const std::lock_guard lock(mutex_);
    Numbers partitions;
    for (const auto& [partition, holder] : holders_) {
      if (holder == who) partitions.push_back(partition);
    }
    return partitions;
  }
  /// How often somebody got what somebody had.
  int shared() const {
    const std::lock_guard lock(mutex_);
    return shared_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<uint32_t, int> holders_;
  int shared_ = 0;
};

/// A member whose owner ticks on a thread of its own until it is told to stand still.
class Worker {
 public:
  struct Callbacks {
    std::function<void()> at_assigned, at_revoked;
  };
  Worker(int who, Ledger& ledger, KafkaGroup::Options options, Callbacks callbacks)
      : who_(who), ledger_(ledger), callbacks_(std::move(callbacks)) {
    options.assigned = [this](const Numbers& partitions) {
      tell("+");
      ledger_.take(who_, partitions);
      if (callbacks_.at_assigned) callbacks_.at_assigned();
    };
    options.revoked = [this](bool lost) {
      tell(lost ? "!" : "-");
      if (callbacks_.at_revoked) callbacks_.at_revoked();
      ledger_.give(who_);
    };
    auto group = KafkaGroup::open(std::move(options));
    if (!group) throw std::runtime_error(group.error().render());
    group_ = std::move(*group);
    raw_ = group_.get();
    ticking_ = std::thread([this] {
      while (!end_) {
        if (!stands_still) group_->tick();
        std::this_thread::sleep_for(milliseconds(5));
      }
    });
  }
  ~Worker() { leave(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  KafkaGroup& group() { return *group_; }
  void leave() {
    end_ = true;
    if (ticking_.joinable()) ticking_.join();
    group_.reset();
  }
  Numbers partitions() const { return ledger_.of(who_); }
  /// What it was told, in that order: + assigned, - revoked, ! lost.
  std::string told() const {
    const std::lock_guard lock(mutex_);
    return told_;
  }
  std::string commit(const std::string& topic, uint32_t partition, uint64_t offset) {
    const auto committed = raw_->commit(topic, partition, offset);
    return committed ? "" : committed.error().code;
  }

  std::atomic<bool> stands_still{false};

 private:
  void tell(const char* what) {
    const std::lock_guard lock(mutex_);
    told_ += what;
  }

  const int who_;
  Ledger& ledger_;
  const Callbacks callbacks_;
  std::unique_ptr<KafkaGroup> group_;
  KafkaGroup* raw_ = nullptr;  // What callbacks use while the group ends.
  mutable std::mutex mutex_;
  std::string told_;
  std::atomic<bool> end_{false};
  std::thread ticking_;
};

class KafkaGroupTest : public testing::Test {
 protected:
  KafkaGroupTest() {
    const std::string unique = fmt::format("test{}-{}", ::getpid(), std::random_device{}());
    options_.group = unique + ".merge";
    options_.topic = kafka_topic_name(unique, "partials");
    places_ = kafka_topic_name(unique, "snapshots");
    options_.client.request_timeout = options_.client.append_timeout = kLong;
    // The mock waits for 3 s before it shares out for the first time.
    options_.session_timeout = milliseconds(real_brokers() != nullptr ? 2'000 : 4'000);
    if (const char* brokers = real_brokers(); brokers != nullptr) {
      options_.client.brokers = {std::string(brokers)};
    } else {
      rd_kafka_conf_t* conf = rd_kafka_conf_new();
      rd_kafka_conf_set_log_cb(conf, nullptr);
      mock_owner_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, nullptr, 0);
      mock_ = rd_kafka_mock_cluster_new(mock_owner_, 1);
      options_.client.brokers = {rd_kafka_mock_cluster_bootstraps(mock_)};
    }
    for (const std::string& name : {options_.topic, places_}) make_topic(name);
  }
  ~KafkaGroupTest() override {
    if (mock_ == nullptr) return;
    rd_kafka_mock_cluster_destroy(mock_);
    rd_kafka_destroy(mock_owner_);
  }

  void make_topic(const std::string& name) {
    if (mock_ != nullptr) {
      rd_kafka_mock_topic_create(mock_, name.c_str(), kPartitions, 1);
      return;
    }
    KafkaTopicOptions topic;
    topic.name = name;
    topic.partition_count = kPartitions;
    const auto made = prepare_kafka_topic(**KafkaConnection::open(options_.client), topic, Clock::now() + kLong);
    if (!made) throw std::runtime_error(made.error().render());
  }
  std::unique_ptr<Worker> worker(int who, Worker::Callbacks callbacks = {}) {
    return std::make_unique<Worker>(who, ledger_, options_, std::move(callbacks));
  }
  /// Until those two have two partitions each.
  static bool share(const Worker& a, const Worker& b) {
    return until([&] { return a.partitions().size() == 2 && b.partitions().size() == 2; });
  }

  KafkaGroup::Options options_;
  std::string places_;  // A topic, whose offsets are committed.
  Ledger ledger_;
  rd_kafka_t* mock_owner_ = nullptr;
  rd_kafka_mock_cluster_t* mock_ = nullptr;
};

const Numbers kAll{0, 1, 2, 3};

TEST_F(KafkaGroupTest, PartitionsAreSharedOutAndNoneHasTwoOwners) {
  const auto a = worker(1);
  ASSERT_TRUE(until([&] { return a->partitions() == kAll; }));
  const auto b = worker(2);
  ASSERT_TRUE(share(*a, *b));
  b->leave();
  ASSERT_TRUE(until([&] { return a->partitions() == kAll; }));
  EXPECT_EQ(ledger_.shared(), 0);
  // By turns, and at least thrice; more often where members come together slowly.
  const std::string told = a->told();
  std::string by_turns;
  const auto shares = static_cast<size_t>(std::count(told.begin(), told.end(), '+'));
  EXPECT_GE(shares, 3u);
  for (size_t i = 1; i < shares; ++i) by_turns += "+-";
  EXPECT_EQ(told, by_turns + "+");
  EXPECT_TRUE(b->told().starts_with("+-")) << b->told();
  EXPECT_TRUE(b->told().ends_with("+-")) << b->told();
  const KafkaGroup::Status status = a->group().status();
  EXPECT_TRUE(status.joined);
  EXPECT_EQ(status.rebalances, shares);
  EXPECT_EQ(status.lost, 0u);
}

TEST_F(KafkaGroupTest, MoreMembersThanPartitionsAreMembers) {
  std::vector<std::unique_ptr<Worker>> workers;
  for (int who = 0; who < 6; ++who) workers.push_back(worker(who));
  const auto parted = [&] {
    size_t with_one = 0, joined = 0;
    for (const auto& each : workers) {
      with_one += each->partitions().size() == 1;
      joined += each->group().status().joined;
    }
    return with_one == kPartitions && joined == workers.size();
  };
  ASSERT_TRUE(until(parted));
  // One who has none takes over when others go.
  for (const auto& each : workers) {
    if (each->partitions().empty()) continue;
    each->leave();
    break;
  }
  const auto taken_over = [&] {
    size_t with_one = 0;
    for (const auto& each : workers) with_one += each->partitions().size() == 1;
    return with_one == kPartitions;
  };
  ASSERT_TRUE(until(taken_over));
  EXPECT_EQ(ledger_.shared(), 0);
}

TEST_F(KafkaGroupTest, WhoseOwnerStandsStillLosesAll) {
  options_.owner_timeout = milliseconds(1'000);
  const auto a = worker(1), b = worker(2);
  ASSERT_TRUE(share(*a, *b));
  const uint32_t had = a->partitions().front();
  a->stands_still = true;
  ASSERT_TRUE(until([&] { return b->partitions() == kAll; }));
  ASSERT_TRUE(until([&] { return a->told().ends_with("+!"); })) << a->told();
  ASSERT_TRUE(until([&] { return !a->group().status().joined; }));
  EXPECT_EQ(a->group().status().lost, 1u);
  EXPECT_EQ(a->commit(places_, had, 1), "55000");
  EXPECT_EQ(*a->group().committed(places_, had), std::nullopt);
  a->stands_still = false;
  ASSERT_TRUE(share(*a, *b));
  EXPECT_NE(a->told().find("+!+"), std::string::npos) << a->told();
}

/// A callback that does not return holds its partitions no longer than owners are waited for.
TEST_F(KafkaGroupTest, WhoseCallbackDoesNotReturnLosesAll) {
  options_.owner_timeout = options_.session_timeout;
  std::atomic<bool> hangs{true}, hung{false};
  const auto a = worker(1, {{}, [&] {
                              hung = true;
                              until([&] { return !hangs; });
                            }});
  ASSERT_TRUE(until([&] { return a->partitions() == kAll; }));
  const auto b = worker(2);
  ASSERT_TRUE(until([&] { return b->partitions() == kAll; }));
  EXPECT_TRUE(hung);
  EXPECT_EQ(b->commit(places_, 0, 20), "");
  EXPECT_EQ(a->commit(places_, 0, 10), "55000");
  EXPECT_EQ(*b->group().committed(places_, 0), 20u);
  hangs = false;
  ASSERT_TRUE(share(*a, *b));
}

/// The thread that serves the group hangs in assigned(), whether another one goes on committing or not.
TEST_F(KafkaGroupTest, CommitsDoNotKeepAHangingMemberAlive) {
  options_.owner_timeout = options_.session_timeout;
  for (const bool commits : {false, true}) {
    std::atomic<bool> hangs{true}, ends{false};
    int shares = 0;  // The first one is not shared.
    const auto a = worker(1, {[&] { until([&] { return shares == 0 || !hangs; }), ++shares; }, {}});
    ASSERT_TRUE(until([&] { return a->partitions() == kAll; }));
    std::thread committing([&] {
      for (uint32_t i = 0; commits && !ends; ++i) {
        (void)a->group().commit(places_, i % kPartitions, i);
        std::this_thread::sleep_for(milliseconds(5));
      }
    });
    const auto b = worker(2);
    EXPECT_TRUE(until([&] { return b->partitions() == kAll; })) << commits;
    ends = true;
    hangs = false;
    committing.join();
    ASSERT_TRUE(share(*a, *b));
  }
}

TEST_F(KafkaGroupTest, OnlyWhoHasAPartitionMovesItsPlace) {
  const auto a = worker(1), b = worker(2);
  ASSERT_TRUE(share(*a, *b));
  for (const uint32_t partition : kAll) {
    EXPECT_EQ(*a->group().committed(places_, partition), std::nullopt);
    const bool is_of_a = a->partitions()[0] == partition || a->partitions()[1] == partition;
    Worker& owner = is_of_a ? *a : *b;
    Worker& other = is_of_a ? *b : *a;
    EXPECT_EQ(owner.commit(places_, partition, 10 + partition), "");
    EXPECT_EQ(other.commit(places_, partition, 90), "55000");
    EXPECT_EQ(*other.group().committed(places_, partition), 10 + partition);
    // A place may go back as well: it is the owner's.
    EXPECT_EQ(owner.commit(places_, partition, 5), "");
    EXPECT_EQ(*other.group().committed(places_, partition), 5u);
  }
  EXPECT_EQ(a->commit(places_, kPartitions, 1), "55000");
}

TEST_F(KafkaGroupTest, WhatIsTakenBackIsCommittedBefore) {
  WANTS_BROKERS;  // The mock takes no commits while a group is shared out anew.
  std::vector<std::string> codes;
  std::unique_ptr<Worker> a;
  a = worker(1, {{}, [&] {
                   for (const uint32_t partition : kAll) codes.push_back(a->commit(places_, partition, 7));
                 }});
  ASSERT_TRUE(until([&] { return a->partitions() == kAll; }));
  const auto b = worker(2);
  ASSERT_TRUE(share(*a, *b));
  EXPECT_EQ(codes, std::vector<std::string>(4, ""));
  a->leave();
  // Two it had no more.
  EXPECT_EQ(std::count(codes.begin() + 4, codes.end(), ""), 2);
  EXPECT_EQ(std::count(codes.begin() + 4, codes.end(), "55000"), 2);
  EXPECT_EQ(*b->group().committed(places_, 0), 7u);
}

TEST_F(KafkaGroupTest, NothingIsFetched) {
  KafkaTopicOptions topic;
  topic.name = options_.topic;
  topic.partition_count = kPartitions;
  const auto log = KafkaLog::open(*KafkaConnection::open(options_.client), topic);
  ASSERT_TRUE(log) << log.error().render();
  const std::vector<uint8_t> record(1'000);
  for (const uint32_t partition : kAll) ASSERT_EQ((*log)->append(partition, record).status, LogStatus::kOk);
  std::mutex mutex;
  std::string statistics;
  int had = 0;
  options_.client.properties.emplace_back("statistics.interval.ms", "100");
  options_.client.notice = [&](const KafkaNotice& notice) {
    if (notice.text.find("STATS: ") == std::string::npos || ledger_.of(1).empty()) return;
    const std::lock_guard lock(mutex);
    statistics = notice.text;
    ++had;
  };
  const auto a = worker(1);
  ASSERT_TRUE(until([&] {
    const std::lock_guard lock(mutex);
    return had >= 10;
  }));
  a->leave();
  size_t brokers = 0;
  for (size_t at = 0; (at = statistics.find("\"Fetch\": ", at)) != std::string::npos; ++brokers)
    EXPECT_EQ(std::strtol(statistics.c_str() + (at += 9), nullptr, 10), 0) << statistics;
  EXPECT_GT(brokers, 0u) << statistics;
}

TEST_F(KafkaGroupTest, WhoIsSupersededLearnsItFromTheBroker) {
  WANTS_MOCK;
  const auto a = worker(1);
  ASSERT_TRUE(until([&] { return a->partitions() == kAll; }));
  for (const auto error : {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID}) {
    const std::string before = a->told();
    ASSERT_TRUE(until([&] { return a->commit(places_, 2, 10).empty(); }));
    rd_kafka_mock_push_request_errors_array(mock_, kOffsetCommitApi, 1, &error);
    const auto refused = a->group().commit(places_, 2, 30);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "55000") << refused.error().render();
    EXPECT_NE(refused.error().message.find(rd_kafka_err2str(error)), std::string::npos) << refused.error().message;
    ASSERT_TRUE(until([&] { return a->told().starts_with(before + "!+"); })) << a->told();
    EXPECT_EQ(*a->group().committed(places_, 2), 10u);
  }
  EXPECT_EQ(a->group().status().lost, 2u);
}

TEST_F(KafkaGroupTest, WithoutBrokersACommitEnds) {
  WANTS_MOCK;
  options_.client.request_timeout = milliseconds(300);
  options_.session_timeout = std::chrono::minutes(2);  // Not to be lost for it.
  options_.owner_timeout = std::chrono::minutes(2);
  const auto a = worker(1);
  ASSERT_TRUE(until([&] { return a->partitions() == kAll; }));
  ASSERT_TRUE(until([&] { return a->commit(places_, 1, 10).empty(); }));
  rd_kafka_mock_broker_set_down(mock_, -1);
  EXPECT_EQ(a->commit(places_, 1, 20), "08001");
  EXPECT_EQ(a->commit(places_, 1, 30), "08001");
  EXPECT_FALSE(a->group().committed(places_, 1));
  rd_kafka_mock_broker_set_up(mock_, -1);
  ASSERT_TRUE(until([&] { return a->commit(places_, 1, 40).empty(); }));
  ASSERT_TRUE(until([&] { return a->group().committed(places_, 1).has_value(); }));
  EXPECT_EQ(*a->group().committed(places_, 1), 40u);
  EXPECT_EQ(a->told(), "+");
}

/// The library sends one again that a broker could not take, behind those that came later.
TEST_F(KafkaGroupTest, ACommitWaitsForTheOneBefore) {
  WANTS_MOCK;
  options_.client.request_timeout = milliseconds(300);
  options_.client.properties = {{"retry.backoff.ms", "3000"}};
  const auto a = worker(1);
  ASSERT_TRUE(until([&] { return a->partitions() == kAll; }));
  ASSERT_TRUE(until([&] { return a->commit(places_, 1, 10).empty(); }));
  const auto error = RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
  rd_kafka_mock_push_request_errors_array(mock_, kOffsetCommitApi, 1, &error);
  EXPECT_EQ(a->commit(places_, 1, 20), "08001");
  EXPECT_EQ(a->commit(places_, 1, 30), "08001");
  ASSERT_TRUE(until([&] { return a->commit(places_, 1, 40).empty(); }));
  EXPECT_EQ(*a->group().committed(places_, 1), 40u);
}

TEST_F(KafkaGroupTest, WithoutBrokersAMemberLosesAllAndEnds) {
  WANTS_MOCK;
  const auto a = worker(1);
  ASSERT_TRUE(until([&] { return a->partitions() == kAll; }));
  rd_kafka_mock_broker_set_down(mock_, -1);
  ASSERT_TRUE(until([&] { return a->told() == "+!"; })) << a->told();
  EXPECT_EQ(a->commit(places_, 1, 20), "55000");
  EXPECT_NE(a->group().status().last_error, "");
  a->leave();
  EXPECT_EQ(a->told(), "+!");
}

TEST_F(KafkaGroupTest, WhatIsWrongIsSaid) {
  const auto refused = [&](auto change) {
    KafkaGroup::Options options = options_;
    options.assigned = [](const Numbers&) {};
    options.revoked = [](bool) {};
    change(options);
    const auto group = KafkaGroup::open(std::move(options));
    return group ? "" : group.error().code;
  };
  EXPECT_EQ(refused([](auto& options) { options.group.clear(); }), "22023");
  EXPECT_EQ(refused([](auto& options) { options.topic.clear(); }), "22023");
  EXPECT_EQ(refused([](auto& options) { options.session_timeout = milliseconds(99); }), "22023");
  EXPECT_EQ(refused([](auto& options) { options.owner_timeout = std::chrono::hours(2); }), "22023");
  EXPECT_EQ(refused([](auto& options) { options.client.brokers.clear(); }), "22023");
  EXPECT_EQ(refused([](auto& options) { options.client.properties = {{"group.id", "mine"}}; }), "22023");
  EXPECT_EQ(refused([](auto&) {}), "");
}

}  // namespace
}  // namespace backstream::transport
