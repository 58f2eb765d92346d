// Against the mock cluster of librdkafka; with BACKSTREAM_KAFKA=HOST:PORT,... in the environment against real brokers,
// which alone keep places, shut out writers, and take back what was not committed. Over kill -9:
// tests/cluster/test_stores.py.
#include "transport/kafka_transactions.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <thread>

namespace backstream::transport {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kPatience = std::chrono::seconds(60);
constexpr int16_t kProduceApi = 0, kInitProducerIdApi = 22, kAddPartitionsApi = 24, kTxnOffsetCommitApi = 28;

const char* real_brokers() { return std::getenv("BACKSTREAM_KAFKA"); }
#define WANTS_MOCK \
  if (real_brokers() != nullptr) GTEST_SKIP() << "wants the mock cluster"
#define WANTS_BROKERS \
  if (real_brokers() == nullptr) GTEST_SKIP() << "wants BACKSTREAM_KAFKA=HOST:PORT,..."

struct Seen {
  uint32_t partition = 0;
  std::optional<std::string> key, value;
};

class KafkaTransactionsTest : public testing::Test {
 protected:
  KafkaTransactionsTest() : topic_(fmt::format("t{}-{}", ::getpid(), std::random_device{}())) {
    if (real_brokers() != nullptr) return;
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, nullptr);
    rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", nullptr, 0);
    owner_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, nullptr, 0);
    cluster_ = rd_kafka_handle_mock_cluster(owner_);
    rd_kafka_mock_topic_create(cluster_, topic_.c_str(), kPartitions, 1);
  }
  ~KafkaTransactionsTest() override {
    if (owner_ != nullptr) rd_kafka_destroy(owner_);
  }

  std::string brokers() const {
    return real_brokers() != nullptr ? real_brokers() : rd_kafka_mock_cluster_bootstraps(cluster_);
  }
  KafkaTransactions::Options options(milliseconds timeout = kPatience) const {
    KafkaTransactions::Options options;
    const std::string all = brokers();
    for (size_t at = 0; at < all.size();) {
      const size_t end = std::min(all.find(',', at), all.size());
      options.client.brokers.push_back(all.substr(at, end - at));
      at = end + 1;
    }
    options.client.request_timeout = options.client.append_timeout = timeout;
    options.topic.name = topic_;
    options.topic.partition_count = kPartitions;
    options.name = "writer of " + topic_;
    return options;
  }
  static std::unique_ptr<KafkaTransactions> open(const KafkaTransactions::Options& options) {
    auto opened = KafkaTransactions::open(options);
    if (!opened) throw std::runtime_error(opened.error().render());
    return std::move(*opened);
  }
  void push_errors(int16_t api, std::vector<rd_kafka_resp_err_t> errors) const {
    rd_kafka_mock_push_request_errors_array(cluster_, api, errors.size(), errors.data());
  }
  /// All that is committed, as consumers with read_committed see it.
  std::vector<Seen> read() const {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers().c_str(), nullptr, 0);
    rd_kafka_conf_set(conf, "isolation.level", "read_committed", nullptr, 0);
    rd_kafka_conf_set(conf, "enable.partition.eof", "true", nullptr, 0);
    rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, nullptr, 0);
    rd_kafka_topic_t* topic = rd_kafka_topic_new(consumer, topic_.c_str(), nullptr);
    std::vector<Seen> seen;
    for (int32_t partition = 0; partition < static_cast<int32_t>(kPartitions); ++partition) {
      rd_kafka_consume_start(topic, partition, RD_KAFKA_OFFSET_BEGINNING);
      bool at_end = false;
      for (const auto until = Clock::now() + kPatience; !at_end && Clock::now() < until;) {
        rd_kafka_message_t* message = rd_kafka_consume(topic, partition, 100);
        if (message == nullptr) continue;
        at_end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
          Seen& one = seen.emplace_back();
          one.partition = static_cast<uint32_t>(partition);
          if (message->key != nullptr) one.key.emplace(static_cast<const char*>(message->key), message->key_len);
          if (message->payload != nullptr) one.value.emplace(static_cast<const char*>(message->payload), message->len);
        }
        rd_kafka_message_destroy(message);
      }
      EXPECT_TRUE(at_end) << "partition " << partition << " has no end";
      rd_kafka_consume_stop(topic, partition);
    }
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(consumer);
    return seen;
  }
  std::vector<std::string> values() const {
    std::vector<std::string> all;
    for (const Seen& one : read()) all.push_back(one.value.value_or("(none)"));
    std::sort(all.begin(), all.end());
    return all;
  }

  static constexpr uint32_t kPartitions = 3;
  const std::string topic_;
  rd_kafka_t* owner_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
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
  for (const Seen& one : read()) {
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
  EXPECT_EQ(read().size(), 80u);
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
       "--operation Write --operation Read --topic " + topic_},
      {kAddPartitionsApi, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "42501",
       "--operation Write --operation Read --topic " + topic_},
      {kTxnOffsetCommitApi, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, "42501",
       "--operation Read --group writer of " + topic_},
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
  rd_kafka_mock_broker_set_down(cluster_, -1);
  auto refused = writer->write(records);
  if (refused) refused = writer->commit(2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "08006") << refused.error().render();
  writer.reset();
  const auto away = KafkaTransactions::open(options(kTimeout));
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code, "08001") << away.error().render();
  rd_kafka_mock_broker_set_up(cluster_, -1);
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
  EXPECT_EQ(read().size(), 1u);
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
