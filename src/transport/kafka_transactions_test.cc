// Against the mock cluster of librdkafka; with BACKSTREAM_KAFKA=HOST:PORT,... in the environment against real brokers,
// which alone keep places, shut out writers, and take back what was not committed. Over kill -9:
// tests/cluster/test_stores.py.
#include "transport/kafka_transactions.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "transport/kafka_topic_test.h"

namespace backstream::transport {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kPatience = std::chrono::seconds(60);
constexpr int16_t kProduceApi = 0, kOffsetFetchApi = 9, kInitProducerIdApi = 22, kAddPartitionsApi = 24,
                  kTxnOffsetCommitApi = 28;

class KafkaTransactionsTest : public testing::Test {
 protected:
  KafkaTransactions::Options options(milliseconds timeout = kPatience) const {
    KafkaTransactions::Options options;
    const std::string all = topic_.brokers();
    for (size_t at = 0; at < all.size();) {
      const size_t end = std::min(all.find(',', at), all.size());
      options.client.brokers.push_back(all.substr(at, end - at));
      at = end + 1;
    }
    options.client.request_timeout = options.client.append_timeout = timeout;
    options.topic.name = topic_.name();
    options.topic.partition_count = kPartitions;
    options.name = "writer of " + topic_.name();
    return options;
  }
  static std::unique_ptr<KafkaTransactions> open(const KafkaTransactions::Options& options) {
    auto opened = KafkaTransactions::open(options);
    if (!opened) throw std::runtime_error(opened.error().render());
    return std::move(*opened);
  }
  void push_errors(int16_t api, std::vector<rd_kafka_resp_err_t> errors) const {
    rd_kafka_mock_push_request_errors_array(topic_.mock(), api, errors.size(), errors.data());
  }
  std::vector<std::string> values() const {
    std::vector<std::string> all;
    for (const auto& one : topic_.read()) all.push_back(one.value.value_or("(none)"));
    std::sort(all.begin(), all.end());
    return all;
  }

  static constexpr uint32_t kPartitions = 3;
  const KafkaTestTopic topic_{kPartitions};
};

TEST_F(KafkaTransactionsTest, RecordsAndThePlaceAreThereTogether) {
  {
    const auto writer = open(options());
    EXPECT_EQ(writer->place(), std::nullopt);
    const KafkaTransactions::Record first[] = {{"a", "a 1"}, {"b", "b 1"}};
    const KafkaTransactions::Record second[] = {{"a", std::nullopt}, {std::nullopt, "without"}};
    ASSERT_TRUE(writer->write(first));
    ASSERT_TRUE(writer->write(second));
    auto done = writer->commit(7);
    ASSERT_TRUE(done) << done.error().render();
    EXPECT_EQ(writer->place(), 7u);
  }
  EXPECT_EQ(values(), (std::vector<std::string>{"(none)", "a 1", "b 1", "without"}));
  if (real_brokers() != nullptr) {
    EXPECT_EQ(open(options())->place(), 7u);
  }
}

TEST_F(KafkaTransactionsTest, APlaceMovesWithoutRecords) {
  WANTS_BROKERS;
  {
    const auto writer = open(options());
    ASSERT_TRUE(writer->commit(3));
    ASSERT_TRUE(writer->commit(9));
  }
  EXPECT_EQ(open(options())->place(), 9u);
  EXPECT_TRUE(values().empty());
  auto of_another = options();
  of_another.name += " 2";
  EXPECT_EQ(open(of_another)->place(), std::nullopt);
}

// As where the group's topic has just been made, or its broker has gone.
TEST_F(KafkaTransactionsTest, AGroupThatIsJustMovingIsAskedForThePlaceAgain) {
  WANTS_MOCK;
  push_errors(kOffsetFetchApi, {RD_KAFKA_RESP_ERR_NOT_COORDINATOR_FOR_GROUP, RD_KAFKA_RESP_ERR_GROUP_LOAD_IN_PROGRESS,
                                RD_KAFKA_RESP_ERR_GROUP_COORDINATOR_NOT_AVAILABLE});
  EXPECT_EQ(open(options())->place(), std::nullopt);
}

TEST_F(KafkaTransactionsTest, RecordsOfAKeyAreInOnePartitionInTheirOrder) {
  const auto writer = open(options());
  std::vector<std::pair<std::string, std::string>> texts;
  for (int i = 0; i < 3'000; ++i) texts.emplace_back(fmt::format("key {}", i % 7), fmt::format("{:05}", i));
  std::vector<KafkaTransactions::Record> records;
  for (const auto& [key, value] : texts) records.push_back({key, value});
  for (size_t at = 0; at < records.size(); at += 1'000) {
    ASSERT_TRUE(writer->write(std::span(records).subspan(at, 1'000)));
    ASSERT_TRUE(writer->commit(at));
  }
  std::map<std::string, std::set<uint32_t>> partitions;
  std::map<std::string, std::vector<std::string>> of_key;
  for (const auto& one : topic_.read()) {
    partitions[*one.key].insert(one.partition);
    of_key[*one.key].push_back(*one.value);
  }
  ASSERT_EQ(of_key.size(), 7u);
  size_t count = 0;
  for (const auto& [key, of] : of_key) {
    EXPECT_EQ(partitions[key].size(), 1u) << key;
    EXPECT_TRUE(std::is_sorted(of.begin(), of.end())) << key;
    count += of.size();
  }
  EXPECT_EQ(count, 3'000u);
}

TEST_F(KafkaTransactionsTest, AQueueThatIsFullIsWaitedFor) {
  auto small = options();
  small.client.queue_octets = 1 << 20;
  const auto writer = open(small);
  const std::string value(50'000, 'x');
  const std::vector<KafkaTransactions::Record> records(80, KafkaTransactions::Record{std::nullopt, value});
  ASSERT_TRUE(writer->write(records));
  ASSERT_TRUE(writer->commit(1));
  EXPECT_EQ(topic_.read().size(), 80u);
}

TEST_F(KafkaTransactionsTest, WhoComesLaterShutsOutWhoWasBefore) {
  WANTS_BROKERS;
  const auto before = open(options());
  const KafkaTransactions::Record old[] = {{"k", "old"}}, fresh[] = {{"k", "fresh"}};
  ASSERT_TRUE(before->write(old));
  const auto after = open(options());
  EXPECT_EQ(after->place(), std::nullopt);
  ASSERT_TRUE(after->write(fresh));
  ASSERT_TRUE(after->commit(2));
  const auto refused = before->commit(1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "08006") << refused.error().render();
  EXPECT_EQ(open(options())->place(), 2u);
  EXPECT_EQ(values(), (std::vector<std::string>{"fresh"}));
}

TEST_F(KafkaTransactionsTest, WhatIsNotCommittedIsNotThere) {
  WANTS_BROKERS;
  {
    const auto writer = open(options());
    const KafkaTransactions::Record records[] = {{"k", "first"}};
    ASSERT_TRUE(writer->write(records));
    ASSERT_TRUE(writer->commit(1));
    const KafkaTransactions::Record more[] = {{"k", "second"}};
    ASSERT_TRUE(writer->write(more));
  }
  EXPECT_EQ(open(options())->place(), 1u);
  EXPECT_EQ(values(), (std::vector<std::string>{"first"}));
}

TEST_F(KafkaTransactionsTest, ARecordThatIsTooLargeIsRefusedAndTheNextWriterGoesOn) {
  const std::string value(1'500'000, 'x');
  {
    const auto writer = open(options());
    if (real_brokers() == nullptr) push_errors(kProduceApi, {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE});
    // No compression makes it small enough.
    std::string noise(value.size(), '\0');
    std::mt19937 random(1);
    for (char& c : noise) c = static_cast<char>(random());
    const KafkaTransactions::Record records[] = {{"k", noise}};
    ASSERT_TRUE(writer->write(records));
    const auto refused = writer->commit(1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "22001") << refused.error().render();
  }
  const auto writer = open(options());
  EXPECT_EQ(writer->place(), std::nullopt);
  const KafkaTransactions::Record records[] = {{"k", "small"}};
  ASSERT_TRUE(writer->write(records));
  ASSERT_TRUE(writer->commit(2));
  const std::string beyond(KafkaOptions::kRecordOctetsMax + 10'000, 'x');
  const KafkaTransactions::Record too_large[] = {{"k", beyond}};
  const auto refused = writer->write(too_large);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "22001");
}

TEST_F(KafkaTransactionsTest, ErrorsHaveTheirCodes) {
  WANTS_MOCK;
  struct Case {
    int16_t api;
    rd_kafka_resp_err_t error;
    std::string code, hint;
  };
  const Case cases[] = {
      {kProduceApi, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "42501",
       "--operation Write --operation Read --topic " + topic_.name()},
      {kAddPartitionsApi, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "42501",
       "--operation Write --operation Read --topic " + topic_.name()},
      {kTxnOffsetCommitApi, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, "42501",
       "--operation Read --group writer of " + topic_.name()},
      {kProduceApi, RD_KAFKA_RESP_ERR_INVALID_RECORD, "42000", "cleanup.policy=delete"},
      {kProduceApi, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "42000", "max.message.bytes"},
  };
  for (const Case& one : cases) {
    const auto writer = open(options(std::chrono::seconds(10)));
    push_errors(one.api, {one.error});
    const KafkaTransactions::Record records[] = {{"k", "v"}};
    auto refused = writer->write(records);
    if (refused) refused = writer->commit(1);
    ASSERT_FALSE(refused) << one.code << " " << one.hint;
    EXPECT_EQ(refused.error().code, one.code) << refused.error().render();
    EXPECT_NE(refused.error().hint.find(one.hint), std::string::npos) << refused.error().render();
  }
  push_errors(kInitProducerIdApi, {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED});
  const auto refused = KafkaTransactions::open(options());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "42501") << refused.error().render();
  EXPECT_NE(refused.error().hint.find("--operation Write --transactional-id writer of"), std::string::npos)
      << refused.error().render();
}

TEST_F(KafkaTransactionsTest, BrokersThatAreAwayAreToldInTimeAndGoneOnWithWhenTheyAreBack) {
  WANTS_MOCK;
  constexpr milliseconds kTimeout{2'000};
  auto writer = open(options(kTimeout));
  const KafkaTransactions::Record records[] = {{"k", "v"}};
  ASSERT_TRUE(writer->write(records));
  ASSERT_TRUE(writer->commit(1));
  rd_kafka_mock_broker_set_down(topic_.mock(), -1);
  auto refused = writer->write(records);
  if (refused) refused = writer->commit(2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "08006") << refused.error().render();
  writer.reset();
  const auto away = KafkaTransactions::open(options(kTimeout));
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code, "08001") << away.error().render();
  rd_kafka_mock_broker_set_up(topic_.mock(), -1);
  writer = open(options());
  ASSERT_TRUE(writer->write(records));
  ASSERT_TRUE(writer->commit(2));
}

TEST_F(KafkaTransactionsTest, ALookLeavesNothingAndShutsOutNobody) {
  const auto writer = open(options());
  const KafkaTransactions::Record records[] = {{"k", "v"}};
  ASSERT_TRUE(writer->write(records));
  const auto look = KafkaTransactions::look(options());
  ASSERT_TRUE(look) << look.error().render();
  EXPECT_EQ(look->partitions, kPartitions);
  EXPECT_EQ(look->place, std::nullopt);
  ASSERT_TRUE(writer->commit(5));
  EXPECT_EQ(topic_.read().size(), 1u);
  if (real_brokers() == nullptr) return;
  EXPECT_EQ(KafkaTransactions::look(options())->place, 5u);
  auto missing = options();
  missing.topic.name += "-missing";
  const auto of_missing = KafkaTransactions::look(missing);
  ASSERT_TRUE(of_missing) << of_missing.error().render();
  EXPECT_EQ(of_missing->partitions, 0u);
  EXPECT_EQ(KafkaTransactions::look(missing)->partitions, 0u);  // It was not made.
  missing.topic.create = false;
  const auto not_made = KafkaTransactions::look(missing);
  ASSERT_FALSE(not_made);
  EXPECT_EQ(not_made.error().code, "42704");
}

}  // namespace
}  // namespace backstream::transport
