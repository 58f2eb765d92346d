#include "alert/alert_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "sqlite/database.h"

namespace backstream::alert {
namespace {

class AlertStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              (std::string("alert_store_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return (folder_ / "alerts.db").string(); }
  std::filesystem::path folder_;
};

KeyState key(std::string name) {
  KeyState made;
  made.key = std::move(name);
  made.state = KeyState::State::kRecovering;
  made.since = 1;
  made.covered_until = 2;
  made.early_until = 3;
  made.recovering_since = 4;
  made.fired_at = 9;
  made.window_start = 5;
  made.window_end = 6;
  made.columns = R"({"a":"\u0000'"})";
  made.value = 0.5;
  made.more = 7;
  made.complete = false;
  made.sites_missing = {"ams"};
  made.told.notified = true;
  made.told.notified_at = 10;
  made.told.notified_to = {"chat"};
  made.told.acknowledged_by = "alice";
  made.told.acknowledged_at = 8;
  made.told.comment = "mine";
  return made;
}

TEST_F(AlertStoreTest, WhatIsWrittenIsThereAfterAKill) {
  const KeyState a = key("[1]"), b = key("[\"'\"]");
  {
    auto store = AlertStore::open(path());
    ASSERT_TRUE(store) << store.error().message;
    AlertStore::Step step;
    step.rule = "r";
    step.incarnation = 9;
    step.facts = "{}";
    step.evaluated_until = 60;
    step.put = {&a, &b};
    step.notices = {{1, "chat", "one", 100}, {2, "am", "two", 200}};
    ASSERT_TRUE((*store)->write(step));
    ASSERT_TRUE((*store)->put_silence({5, "r", "k=1", 1'000, "bob", "why", 10}));
    // A kill leaves the file as it is now, without its end.
    std::filesystem::copy(path(), folder_ / "killed.db");
    std::filesystem::copy(path() + "-wal", folder_ / "killed.db-wal");
  }
  auto store = AlertStore::open((folder_ / "killed.db").string());
  ASSERT_TRUE(store) << store.error().message;
  auto kept = (*store)->load();
  ASSERT_TRUE(kept) << kept.error().message;
  ASSERT_EQ(kept->rules.size(), 1u);
  const AlertStore::Rule& rule = kept->rules.at("r");
  EXPECT_EQ(rule.incarnation, 9u);
  EXPECT_EQ(rule.evaluated_until, 60);
  ASSERT_EQ(rule.keys.size(), 2u);
  EXPECT_EQ(rule.keys[1].key, a.key);
  EXPECT_EQ(rule.keys[1].columns, a.columns);
  EXPECT_EQ(rule.keys[1].sites_missing, a.sites_missing);
  EXPECT_EQ(rule.keys[1].value, a.value);
  EXPECT_EQ(rule.keys[1].state, a.state);
  EXPECT_EQ(rule.keys[1].early_until, 3);
  EXPECT_EQ(rule.keys[1].fired_at, 9);
  EXPECT_EQ(rule.keys[1].told.comment, "mine");
  EXPECT_EQ(rule.keys[1].told.notified_at, 10);
  EXPECT_EQ(rule.keys[1].told.notified_to, a.told.notified_to);
  EXPECT_EQ(kept->silences, (std::vector<Silence>{{5, "r", "k=1", 1'000, "bob", "why", 10}}));
  ASSERT_EQ(kept->notices.size(), 2u);
  EXPECT_EQ(kept->notices[1].body, "two");

  ASSERT_TRUE((*store)->remove_notices({1}));
  ASSERT_TRUE((*store)->remove_silence(5));
  AlertStore::Step step;
  step.rule = "r";
  step.gone = {"[1]"};
  ASSERT_TRUE((*store)->write(step));
  kept = (*store)->load();
  EXPECT_EQ(kept->notices.size(), 1u);
  EXPECT_TRUE(kept->silences.empty());
  EXPECT_EQ(kept->rules.at("r").keys.size(), 1u);
  step.rule_gone = true;
  ASSERT_TRUE((*store)->write(step));
  EXPECT_TRUE((*store)->load()->rules.empty());
}

TEST_F(AlertStoreTest, AStepThatCannotBeWrittenLeavesNothingOfItself) {
  auto store = AlertStore::open(path());
  ASSERT_TRUE(store);
  const KeyState a = key("[1]");
  AlertStore::Step step;
  step.rule = "r";
  step.put = {&a};
  step.notices = {{1, "chat", "one", 100}, {1, "chat", "the same number", 100}};
  EXPECT_FALSE((*store)->write(step));
  EXPECT_TRUE((*store)->load()->rules.empty());
  EXPECT_TRUE((*store)->load()->notices.empty());
}

TEST_F(AlertStoreTest, OfWhatHasEndedTheNewestAreKept) {
  auto store = AlertStore::open(path());
  ASSERT_TRUE(store);
  AlertStore::Step step;
  step.rule = "r";
  for (int64_t i = 0; i < AlertStore::kEndedMax + 2; ++i)
    step.ended.push_back({std::to_string(i), i, i + 10, "body " + std::to_string(i)});
  ASSERT_TRUE((*store)->write(step));
  const auto all = (*store)->ended(base::kMinTime, base::kMaxTime, 10'000);
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->size(), static_cast<size_t>(AlertStore::kEndedMax));
  EXPECT_EQ(all->front(), "body 5001") << "the last that ended";
  EXPECT_EQ((*store)->ended(base::kMinTime, base::kMaxTime, 3)->size(), 3u);
  EXPECT_EQ(*(*store)->find_ended("2"), "body 2");
  EXPECT_EQ(*(*store)->find_ended("1"), std::nullopt);
}

TEST_F(AlertStoreTest, AFileOfBeforeEndedAlertsWereKeptIsGoneOnWith) {
  const KeyState a = key("[1]");
  AlertStore::Step step;
  step.rule = "r";
  step.facts = "{}";
  step.put = {&a};
  {
    auto store = AlertStore::open(path());
    ASSERT_TRUE(store && (*store)->write(step));
  }
  {
    sqlite::Database file(path(), sqlite::Database::Mode::kWrite);
    file.execute("DROP TABLE ended");
    file.execute("UPDATE key SET body = json_remove(body, '$.fired_at', '$.notified_at', '$.notified_to')");
  }
  auto store = AlertStore::open(path());
  ASSERT_TRUE(store) << store.error().message;
  const auto kept = (*store)->load();
  ASSERT_TRUE(kept) << kept.error().message;
  const KeyState& known = kept->rules.at("r").keys.at(0);
  EXPECT_EQ(known.fired_at, a.since) << "when it began is the best that is known";
  EXPECT_TRUE(known.told.notified);
  EXPECT_TRUE(known.told.notified_to.empty());
  step.put.clear();
  step.ended = {{"x", 1, 2, "over"}};
  ASSERT_TRUE((*store)->write(step));
  EXPECT_EQ(*(*store)->find_ended("x"), "over");
}

TEST_F(AlertStoreTest, AnotherFileIsLeftAlone) {
  std::ofstream(path()) << std::string(5'000, 'x');
  const auto store = AlertStore::open(path());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, "XX001");
  EXPECT_EQ(std::filesystem::file_size(path()), 5'000u);
}

}  // namespace
}  // namespace backstream::alert
