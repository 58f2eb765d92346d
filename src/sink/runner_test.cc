#include "sink/runner.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "sink/memory_source_test.h"
#include "sink/part_maker_test.h"

namespace backstream::sink {
namespace {

using std::chrono::milliseconds;
using PartPtr = std::shared_ptr<const ResultPart>;

bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 6'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return false;
}

/// What a target holds: outlives the processes that write to it.
struct Store {
  std::mutex mutex;
  std::vector<PartPtr> parts;
  uint64_t place = 0;
  std::vector<PartPtr> repeated;
  bool down = false;
  int tear = 0;  ///< so many deliveries are written, and then say that they failed
  std::set<uint64_t> refused;
  uint64_t kept = 0;  ///< places that were kept
};

class StoreTarget final : public Target {
 public:
  explicit StoreTarget(Store& store) : store_(store) {}
  Result<uint64_t> open() override {
    const std::lock_guard lock(store_.mutex);
    if (store_.down) return base::fail("08006", "nobody listens", {}, "start it");
    return store_.place;
  }
  Result<void> deliver(Parts parts) override {
    const std::lock_guard lock(store_.mutex);
    if (store_.down) return base::fail("08006", "nobody listens");
    for (const PartPtr& part : parts) {
      if (store_.refused.contains(part->seq)) return base::fail("22003", fmt::format("{} is too much", part->seq));
    }
    store_.parts.insert(store_.parts.end(), parts.begin(), parts.end());
    store_.place = parts.back()->seq;
    if (store_.tear > 0 && store_.tear-- > 0) return base::fail("08006", "cut");
    return {};
  }
  Result<void> pass_over(const ResultPart& part) override {
    const std::lock_guard lock(store_.mutex);
    store_.place = part.seq;
    return {};
  }
  Result<void> repeat(Parts parts) override {
    const std::lock_guard lock(store_.mutex);
    store_.repeated.insert(store_.repeated.end(), parts.begin(), parts.end());
    return {};
  }
  Result<void> keep_place() override {
    const std::lock_guard lock(store_.mutex);
    if (store_.down) return base::fail("08006", "nobody listens");
    ++store_.kept;
    return {};
  }
  Result<std::string> test() override { return ""; }

 private:
  Store& store_;
};

class RunnerTest : public ::testing::Test {
 protected:
  void start(Selection selection = [](const PartPtr& part) { return part; }) {
    RunnerOptions options;
    options.name = "s";
    options.query = {"q", 7};
    options.octets_max = 1'500;  // Two or three parts.
    options.backoff_min = milliseconds(10);
    options.backoff_max = milliseconds(50);
    runner_.emplace(options, std::make_unique<StoreTarget>(store_), source_, std::move(selection));
  }
  void add(uint64_t from, uint64_t until) {
    for (uint64_t seq = from; seq < until; ++seq)
      source_.add(test_part(form_, seq, static_cast<int64_t>(seq), {{"a", 1}, {"b", 2}}));
  }
  std::vector<uint64_t> delivered() {
    const std::lock_guard lock(store_.mutex);
    std::vector<uint64_t> seqs;
    for (const PartPtr& part : store_.parts) seqs.push_back(part->seq);
    return seqs;
  }
  bool comes_to(uint64_t place) {
    return eventually([&] { return runner_->status().place == place && runner_->status().behind_since == 0; });
  }
  static std::vector<uint64_t> range(uint64_t from, uint64_t until) {
    std::vector<uint64_t> seqs;
    for (; from < until; ++from) seqs.push_back(from);
    return seqs;
  }

  const std::shared_ptr<const ResultForm> form_ = test_form();
  MemorySource source_{{"q", 7}};
  Store store_;
  std::optional<Runner> runner_;
};

TEST_F(RunnerTest, GivesAllOnceInOrderOverRestarts) {
  add(1, 10);
  start();
  ASSERT_TRUE(comes_to(9));
  EXPECT_EQ(runner_->status().state, RunnerStatus::State::kRunning);
  EXPECT_EQ(runner_->status().rows, 18U);
  runner_.reset();
  add(10, 20);
  start();
  add(20, 25);
  ASSERT_TRUE(comes_to(24));
  EXPECT_EQ(delivered(), range(1, 25));
  EXPECT_EQ(runner_->status().rows_missed, 0U);
}

TEST_F(RunnerTest, WhileThereIsNothingToGiveThePlaceIsKept) {
  add(1, 3);
  start();
  ASSERT_TRUE(comes_to(2));
  const auto kept = [&] {
    const std::lock_guard lock(store_.mutex);
    return store_.kept;
  };
  ASSERT_TRUE(eventually([&] { return kept() >= 2; }));
  {
    const std::lock_guard lock(store_.mutex);
    store_.down = true;
  }
  ASSERT_TRUE(eventually([&] { return runner_->status().state == RunnerStatus::State::kFailing; }));
  {
    const std::lock_guard lock(store_.mutex);
    store_.down = false;
  }
  const uint64_t before = kept();
  ASSERT_TRUE(eventually([&] { return kept() > before; }));
  EXPECT_EQ(delivered(), range(1, 3));
}

TEST_F(RunnerTest, WhatATargetCannotTakeWaits) {
  store_.down = true;
  start();
  add(1, 5);
  ASSERT_TRUE(eventually([&] { return runner_->status().errors >= 3; }));
  const RunnerStatus status = runner_->status();
  EXPECT_EQ(status.state, RunnerStatus::State::kFailing);
  EXPECT_EQ(status.error, "nobody listens");
  EXPECT_EQ(status.hint, "start it");
  EXPECT_GT(status.retry_at, status.error_at);
  {
    const std::lock_guard lock(store_.mutex);
    store_.down = false;
  }
  ASSERT_TRUE(comes_to(4));
  EXPECT_EQ(delivered(), range(1, 5));
  EXPECT_EQ(runner_->status().state, RunnerStatus::State::kRunning);
}

TEST_F(RunnerTest, AfterABrokenDeliveryTheTargetSaysWhatItHas) {
  store_.tear = 3;
  add(1, 12);
  start();
  ASSERT_TRUE(comes_to(11));
  EXPECT_EQ(delivered(), range(1, 12)) << "none is missing, none is twice";
  EXPECT_EQ(runner_->status().errors, 3U);
  EXPECT_EQ(runner_->status().opened, 4U);
}

TEST_F(RunnerTest, WhatIsRefusedIsCountedAndTheOthersGoOn) {
  store_.refused = {1, 4, 5, 11};
  add(1, 12);
  start();
  ASSERT_TRUE(comes_to(11));
  EXPECT_EQ(delivered(), (std::vector<uint64_t>{2, 3, 6, 7, 8, 9, 10}));
  EXPECT_EQ(runner_->status().rows_refused, 8U);
  EXPECT_EQ(runner_->status().rows, 14U);
  EXPECT_EQ(runner_->status().error, "11 is too much");
  EXPECT_EQ(store_.place, 11U);
}

TEST_F(RunnerTest, WhatHistoryNoLongerHasIsCounted) {
  add(1, 4);
  start();
  ASSERT_TRUE(comes_to(3));
  {
    const std::lock_guard lock(store_.mutex);
    store_.down = true;
  }
  add(4, 10);
  ASSERT_TRUE(eventually([&] { return runner_->status().state == RunnerStatus::State::kFailing; }));
  source_.forget(6);
  {
    const std::lock_guard lock(store_.mutex);
    store_.down = false;
  }
  ASSERT_TRUE(comes_to(9));
  EXPECT_EQ(delivered(), (std::vector<uint64_t>{1, 2, 3, 7, 8, 9}));
  EXPECT_EQ(runner_->status().rows_missed, 6U);
}

TEST_F(RunnerTest, SelectsAndPassesOverWhatItCannotSelect) {
  add(1, 10);
  start([](const PartPtr& part) -> Result<PartPtr> {
    if (part->seq % 3 == 0) return base::fail("42703", "no such column");
    return part;
  });
  ASSERT_TRUE(comes_to(9));
  EXPECT_EQ(delivered(), (std::vector<uint64_t>{1, 2, 4, 5, 7, 8}));
  EXPECT_EQ(runner_->status().rows_refused, 6U);
  EXPECT_EQ(store_.place, 9U);
}

TEST_F(RunnerTest, ADiskThatIsAwayIsAskedAgain) {
  source_.broken = true;
  start();
  ASSERT_TRUE(eventually([&] { return runner_->status().error == "the disk is away"; }));
  source_.broken = false;
  add(1, 3);
  ASSERT_TRUE(comes_to(2));
}

TEST_F(RunnerTest, AReplayGivesAgainWhatWasGivenAndNothingElse) {
  add(1, 10);
  start();
  ASSERT_TRUE(comes_to(9));
  ASSERT_TRUE(runner_->replay(3 * 60 * base::kMicrosPerSecond, 7 * 60 * base::kMicrosPerSecond));
  ASSERT_TRUE(eventually([&] { return runner_->status().rows_replayed == 8; }));
  add(10, 12);
  ASSERT_TRUE(comes_to(11));
  EXPECT_EQ(delivered(), range(1, 12));
  std::vector<uint64_t> repeated;
  for (const PartPtr& part : store_.repeated) repeated.push_back(part->seq);
  EXPECT_EQ(repeated, range(3, 7));
  EXPECT_TRUE(runner_->replay(0, 1)) << "the one before is over";
}

TEST_F(RunnerTest, AStopGivesWhatThereIsAndDoesNotWaitForWhoIsAway) {
  start();
  add(1, 100);
  runner_->stop(std::chrono::seconds(30));
  EXPECT_EQ(delivered(), range(1, 100));
  store_.down = true;
  add(100, 110);
  start();
  const auto begin = std::chrono::steady_clock::now();
  runner_->stop(std::chrono::seconds(300));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(100)) << "it is not tried again";
}

}  // namespace
}  // namespace backstream::sink
