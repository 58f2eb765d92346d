// Against the mock cluster of librdkafka, which keeps no places; with BACKSTREAM_KAFKA=HOST:PORT,... in the environment
// against real brokers. Over kill -9: tests/cluster/test_stores.py.
#include "sink/kafka_target.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "sink/memory_source_test.h"
#include "sink/part_maker_test.h"
#include "sink/runner.h"
#include "transport/kafka_topic_test.h"

/// What clients of librdkafka 2.0.2 leave behind that end while they still ask brokers: as in
/// transport/kafka_log_test.cc.
extern "C" const char* __lsan_default_suppressions();  // NOLINT: the sanitizers' names
extern "C" const char* __asan_default_options();       // NOLINT
extern "C" const char* __lsan_default_suppressions() { return "leak:rd_kafka_new"; }
extern "C" const char* __asan_default_options() { return "fast_unwind_on_malloc=0"; }

namespace backstream::sink {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(60);

std::shared_ptr<const ResultForm> windowed_form() {
  auto form = std::make_shared<ResultForm>(*test_form());
  form->window_start_column = 0;
  return form;
}

class KafkaTargetTest : public testing::Test {
 protected:
  KafkaTargetOptions options(bool tombstones = false) const {
    KafkaTargetOptions options;
    options.client.brokers = {topic_.brokers()};
    options.client.request_timeout = options.client.append_timeout = kPatience;
    options.topic.name = topic_.name();
    options.topic.partition_count = 1;  // So that records are read in the order of rows.
    options.writer = "sink of " + topic_.name();
    options.tombstones = tombstones;
    return options;
  }
  /// "key value" of each record that is committed; "∅" for what is null.
  std::vector<std::string> records() const {
    std::vector<std::string> seen;
    for (const auto& one : topic_.read()) seen.push_back(one.key.value_or("∅") + " " + one.value.value_or("∅"));
    return seen;
  }
  static std::string row(std::string_view minute, std::string_view name, int64_t octets, int revision = 1) {
    return fmt::format(R"({{"_window_start":"1970-01-01T00:0{0}:00Z","_window_end":"1970-01-01T00:0{1}:00Z",)"
                       R"("name":"{2}"}} )"
                       R"({{"window_start":"1970-01-01T00:0{0}:00Z","name":"{2}","octets":{3},)"
                       R"("_window_start":"1970-01-01T00:0{0}:00Z","_window_end":"1970-01-01T00:0{1}:00Z",)"
                       R"("_rev":{4},"_final":true,"_complete":true,"_sites_missing":[],"_op":"u"}})",
                       minute, minute[0] - '0' + 1, name, octets, revision);
  }

  const transport::KafkaTestTopic topic_{1};
};

TEST_F(KafkaTargetTest, ARowIsARecordWithTheKeyOfItsWindow) {
  KafkaTarget target(options());
  ASSERT_EQ(target.open(), 0u);
  const auto form = windowed_form();
  const std::shared_ptr<const ResultPart> parts[] = {test_part(form, 1, 1, {{"a", 10}, {"b\n\"", 20}}),
                                                     test_part(form, 2, 2, {{"a", 30}})};
  const auto delivered = target.deliver(parts);
  ASSERT_TRUE(delivered) << delivered.error().render();
  EXPECT_EQ(records(), (std::vector<std::string>{row("1", "a", 10), row("1", R"(b\u000a\")", 20), row("2", "a", 30)}));
}

TEST_F(KafkaTargetTest, RowsWithoutAWindowHaveNoKeyAndThoseThatAreGoneSayIt) {
  KafkaTarget target(options());
  ASSERT_TRUE(target.open());
  const auto form = windowed_form();
  const auto without = test_part(form, 1, 0, {{"a", 10}});
  without->window_start = without->window_end = 0;
  const auto removed = test_part(form, 2, 1, {{"a", 0}}, 2);
  removed->removed = true;
  const std::shared_ptr<const ResultPart> parts[] = {without, removed};
  ASSERT_TRUE(target.deliver(parts));
  const auto all = records();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(all[0].starts_with("∅ {\"window_start\"")) << all[0];
  EXPECT_NE(all[0].find(R"("_window_start":null)"), std::string::npos) << all[0];
  EXPECT_NE(all[1].find(R"("_rev":2)"), std::string::npos) << all[1];
  EXPECT_TRUE(all[1].ends_with(R"("_op":"d"})")) << all[1];
}

TEST_F(KafkaTargetTest, OfACompactedTopicRowsThatAreGoneAreNull) {
  KafkaTarget target(options(true));
  ASSERT_TRUE(target.open());
  const auto form = windowed_form();
  const auto removed = test_part(form, 2, 1, {{"a", 0}}, 2);
  removed->removed = true;
  const std::shared_ptr<const ResultPart> parts[] = {test_part(form, 1, 1, {{"a", 10}}), removed};
  ASSERT_TRUE(target.deliver(parts));
  const std::string there = row("1", "a", 10);
  EXPECT_EQ(records(), (std::vector<std::string>{there, there.substr(0, there.find("} ") + 2) + "∅"}));
}

TEST_F(KafkaTargetTest, ThePlaceIsThatOfTheLastPart) {
  WANTS_BROKERS;
  const auto form = windowed_form();
  {
    KafkaTarget target(options());
    ASSERT_EQ(target.open(), 0u);
    const std::shared_ptr<const ResultPart> parts[] = {test_part(form, 1, 1, {{"a", 1}}),
                                                       test_part(form, 4, 2, {{"a", 2}})};
    ASSERT_TRUE(target.deliver(parts));
    EXPECT_EQ(target.open(), 4u);
    ASSERT_TRUE(target.pass_over(*test_part(form, 6, 3, {})));
    ASSERT_TRUE(target.repeat(std::span(parts).first(1)));
    ASSERT_TRUE(target.keep_place());
  }
  KafkaTarget target(options());
  EXPECT_EQ(target.open(), 6u);
  EXPECT_EQ(records(), (std::vector<std::string>{row("1", "a", 1), row("2", "a", 2), row("1", "a", 1)}));
  const auto told = target.test();
  ASSERT_TRUE(told) << told.error().render();
  EXPECT_NE(told->find(fmt::format("topic '{}' has 1 partitions; transactions can be had; place 6.", topic_.name())),
            std::string::npos)
      << *told;
  EXPECT_EQ(records().size(), 3u);
}

TEST_F(KafkaTargetTest, ARowThatIsRefusedIsCountedAndTheOthersAreThere) {
  WANTS_BROKERS;
  MemorySource source({"q", 7});
  const auto form = windowed_form();
  std::mt19937 random(1);
  std::string noise(2'500'000, '\0');  // Larger than a topic takes, whatever compression makes of it.
  for (char& c : noise) c = static_cast<char>('a' + random() % 26);
  for (uint64_t seq = 1; seq <= 5; ++seq)
    source.add(test_part(form, seq, static_cast<int64_t>(seq), {{seq == 3 ? noise : "a", 1}, {"b", 2}}));
  RunnerOptions runner_options;
  runner_options.query = {"q", 7};
  Runner runner(
      runner_options, std::make_unique<KafkaTarget>(options()), source,
      [](const std::shared_ptr<const ResultPart>& part) { return Result<std::shared_ptr<const ResultPart>>(part); });
  for (const auto until = Clock::now() + kPatience; runner.status().place < 5 && Clock::now() < until;)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const RunnerStatus status = runner.status();
  EXPECT_EQ(status.place, 5u) << status.error;
  EXPECT_EQ(status.rows_refused, 2u);
  EXPECT_EQ(status.rows, 8u);
  runner.stop({});
  std::vector<std::string> expected;
  for (const char* minute : {"1", "2", "4", "5"}) {
    expected.push_back(row(minute, "a", 1));
    expected.push_back(row(minute, "b", 2));
  }
  EXPECT_EQ(records(), expected);
}

TEST_F(KafkaTargetTest, BrokersThatAreAwayAreToldAndGoneOnWith) {
  WANTS_MOCK;
  KafkaTargetOptions short_ones = options();
  short_ones.client.request_timeout = short_ones.client.append_timeout = std::chrono::seconds(2);
  KafkaTarget target(short_ones);
  rd_kafka_mock_broker_set_down(topic_.mock(), -1);
  const auto away = target.open();
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code, "08001") << away.error().render();
  rd_kafka_mock_broker_set_up(topic_.mock(), -1);
  for (const auto until = Clock::now() + kPatience; !target.open() && Clock::now() < until;) {
  }
  const std::shared_ptr<const ResultPart> parts[] = {test_part(windowed_form(), 1, 1, {{"a", 10}})};
  ASSERT_TRUE(target.deliver(parts));
  EXPECT_EQ(records(), (std::vector<std::string>{row("1", "a", 10)}));
}

}  // namespace
}  // namespace backstream::sink
