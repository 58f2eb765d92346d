// Records of others' topics, read and sent: against the mock cluster of librdkafka. With a real Kafka:
// tests/cluster/test_flows.py.
#include "transport/kafka_records.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <map>
#include <set>

#include "transport/kafka_publisher.h"

namespace backstream::transport {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using Seen = std::vector<std::pair<uint32_t, std::string>>;  // Partition and value.

constexpr auto kPatience = std::chrono::seconds(60);

class KafkaRecordsTest : public testing::Test {
 protected:
  KafkaRecordsTest() {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, nullptr);
    rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", nullptr, 0);
    owner_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, nullptr, 0);
    cluster_ = rd_kafka_handle_mock_cluster(owner_);
  }
  ~KafkaRecordsTest() override { rd_kafka_destroy(owner_); }

  void make_topic(const char* name, int partitions) { rd_kafka_mock_topic_create(cluster_, name, partitions, 1); }
  void set_up(bool up) {
    if (up) rd_kafka_mock_broker_set_up(cluster_, -1);
    else rd_kafka_mock_broker_set_down(cluster_, -1);
  }
  /// As strangers do.
  void produce(const char* topic, int32_t partition, int64_t time_ms, const std::string& value) {
    const rd_kafka_resp_err_t error =
        rd_kafka_producev(owner_, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                          RD_KAFKA_V_TIMESTAMP(time_ms), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()), RD_KAFKA_V_END);
    ASSERT_EQ(error, RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  void flush() { ASSERT_EQ(rd_kafka_flush(owner_, 60'000), RD_KAFKA_RESP_ERR_NO_ERROR); }

  std::shared_ptr<KafkaConnection> connect(uint64_t queue_octets = 64 << 20) const {
    KafkaOptions options;
    options.brokers = {rd_kafka_mock_cluster_bootstraps(cluster_)};
    options.request_timeout = options.append_timeout = kPatience;
    options.queue_octets = queue_octets;
    auto connection = KafkaConnection::open(std::move(options));
    if (!connection) throw std::runtime_error(connection.error().message);
    return *connection;
  }
  std::unique_ptr<KafkaRecords> open(KafkaReadOptions options) const {
    auto records = KafkaRecords::open(connect(), options);
    if (!records) throw std::runtime_error(records.error().message);
    return std::move(*records);
  }
  std::unique_ptr<KafkaPublisher> publisher(const std::string& topic, uint64_t queue_octets = 64 << 20) const {
    KafkaTopicOptions options;
    options.name = topic;
    auto made = KafkaPublisher::open(connect(queue_octets), options);
    if (!made) throw std::runtime_error(made.error().message);
    return std::move(*made);
  }
  static KafkaReadOptions from_begin(const char* topic) {
    KafkaReadOptions options;
    options.topics.push_back({topic});
    options.from_begin = true;
    return options;
  }
  /// Until there are so many.
  static Seen read(KafkaRecords& records, size_t count) {
    Seen seen;
    const auto until = Clock::now() + kPatience;
    while (seen.size() < count && Clock::now() < until) {
      for (const KafkaRecord& record : records.read(milliseconds(50)))
        seen.emplace_back(record.partition,
                          std::string(reinterpret_cast<const char*>(record.value.data()), record.value.size()));
    }
    return seen;
  }
  static std::span<const uint8_t> octets(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }

  rd_kafka_t* owner_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

TEST_F(KafkaRecordsTest, TheOldestOfAllPartitionsComesFirst) {
  make_topic("t", 3);
  std::vector<std::string> expected;
  for (int i = 0; i < 90; ++i) {
    expected.push_back(fmt::format("record {}", i));
    produce("t", i % 3 == 0 ? 2 : i % 2, 1'000'000 + i * 10, expected.back());
  }
  flush();
  const auto records = open(from_begin("t"));
  std::vector<std::string> values;
  for (const auto& [partition, value] : read(*records, 90)) values.push_back(value);
  EXPECT_EQ(values, expected);
  const KafkaReadCounts counts = records->counts();
  EXPECT_EQ(counts.topics[0].records, 90u);
  EXPECT_EQ(counts.topics[0].lost, 0u);
  EXPECT_EQ(counts.topics[0].behind, 0u);
  EXPECT_EQ(counts.topics[0].partitions, 3u);
}

TEST_F(KafkaRecordsTest, ReadingGoesOnAtPlacesAndRepeatsNothing) {
  make_topic("t", 2);
  for (int i = 0; i < 40; ++i) produce("t", i % 2, 1'000'000 + i, std::to_string(i));
  flush();
  KafkaReadOptions options = from_begin("t");
  options.block_records = 7;
  std::set<std::string> values;
  {
    const auto records = open(options);
    for (const auto& [partition, value] : read(*records, 10)) EXPECT_TRUE(values.insert(value).second) << value;
    options.places = records->places();
  }
  EXPECT_LT(values.size(), 40u);
  EXPECT_EQ(options.places.size(), 2u);
  const auto records = open(options);
  for (const auto& [partition, value] : read(*records, 40 - values.size()))
    EXPECT_TRUE(values.insert(value).second) << value;
  EXPECT_EQ(values.size(), 40u);
  EXPECT_TRUE(records->read(milliseconds(300)).empty());
}

TEST_F(KafkaRecordsTest, WithoutAPlaceItBeginsWithWhatComes) {
  make_topic("t", 1);
  produce("t", 0, 1'000, "old");
  flush();
  KafkaReadOptions options = from_begin("t");
  options.from_begin = false;
  const auto records = open(options);
  produce("t", 0, 2'000, "new");
  flush();
  EXPECT_EQ(read(*records, 1), (Seen{{0, "new"}}));
}

TEST_F(KafkaRecordsTest, APlaceBehindTheEndIsOfAnotherTopic) {
  make_topic("t", 1);
  produce("t", 0, 1'000, "one");
  flush();
  KafkaReadOptions options = from_begin("t");
  options.from_begin = false;
  options.places = {{"t", 0, 99}, {"other", 0, 1}};
  EXPECT_EQ(read(*open(options), 1), (Seen{{0, "one"}}));
}

TEST_F(KafkaRecordsTest, OnlyPartitionsOfTheRangeAreRead) {
  make_topic("t", 4);
  for (int32_t partition = 0; partition < 4; ++partition)
    produce("t", partition, 1'000 + partition, std::to_string(partition));
  flush();
  KafkaReadOptions options = from_begin("t");
  options.topics[0].first_partition = 1;
  options.topics[0].last_partition = 2;
  EXPECT_EQ(read(*open(options), 2), (Seen{{1, "1"}, {2, "2"}}));
  options.topics[0].first_partition = 4;
  options.topics[0].last_partition = 9;
  const auto none = KafkaRecords::open(connect(), options);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, "42704");
}

TEST_F(KafkaRecordsTest, SeveralTopicsAreToldApart) {
  make_topic("a", 1);
  make_topic("b", 1);
  produce("a", 0, 2'000, "of a");
  produce("b", 0, 1'000, "of b");
  flush();
  KafkaReadOptions options = from_begin("a");
  options.topics.push_back({"b"});
  const auto records = open(options);
  std::map<std::string, uint32_t> topics;
  const auto until = Clock::now() + kPatience;
  while (topics.size() < 2 && Clock::now() < until) {
    for (const KafkaRecord& record : records->read(milliseconds(50)))
      topics[std::string(reinterpret_cast<const char*>(record.value.data()), record.value.size())] = record.topic;
  }
  EXPECT_EQ(topics, (std::map<std::string, uint32_t>{{"of a", 0}, {"of b", 1}}));
}

TEST_F(KafkaRecordsTest, BrokersThatWereAwayLoseNothing) {
  make_topic("t", 2);
  for (int i = 0; i < 20; ++i) produce("t", i % 2, 1'000 + i, std::to_string(i));
  flush();
  KafkaReadOptions options = from_begin("t");
  options.block_records = 5;
  const auto records = open(options);
  std::set<std::string> values;
  for (const auto& [partition, value] : read(*records, 5)) EXPECT_TRUE(values.insert(value).second);
  set_up(false);
  const auto begun = Clock::now();
  while (Clock::now() - begun < milliseconds(500)) {
    for (const KafkaRecord& record : records->read(milliseconds(50)))  // What was fetched before.
      EXPECT_TRUE(values.emplace(reinterpret_cast<const char*>(record.value.data()), record.value.size()).second);
  }
  set_up(true);
  for (int i = 20; i < 30; ++i) produce("t", i % 2, 1'000 + i, std::to_string(i));
  flush();
  for (const auto& [partition, value] : read(*records, 30 - values.size())) EXPECT_TRUE(values.insert(value).second);
  EXPECT_EQ(values.size(), 30u);
  EXPECT_EQ(records->counts().topics[0].lost, 0u);
}

TEST_F(KafkaRecordsTest, WhatIsPublishedIsReadAndAKeyHasOnePartition) {
  make_topic("t", 8);
  const auto out = publisher("t");
  EXPECT_EQ(out->partition_count(), 8u);
  for (int i = 0; i < 60; ++i) {
    const std::string key = fmt::format("key {}", i % 6), value = fmt::format("{} {}", key, i);
    ASSERT_TRUE(out->publish(octets(key), octets(value), 10));
  }
  ASSERT_TRUE(out->flush(kPatience));
  const KafkaPublishCounts counts = out->counts();
  EXPECT_EQ(counts.delivered, 600u);
  EXPECT_EQ(counts.units, 600u);
  EXPECT_EQ(counts.records, 60u);
  EXPECT_EQ(counts.failed + counts.dropped + counts.waiting, 0u);
  std::map<std::string, std::set<uint32_t>> partitions;
  for (const auto& [partition, value] : read(*open(from_begin("t")), 60))
    partitions[value.substr(0, 5)].insert(partition);
  EXPECT_EQ(partitions.size(), 6u);
  std::set<uint32_t> used;
  for (const auto& [key, of] : partitions) {
    EXPECT_EQ(of.size(), 1u) << key;
    used.insert(of.begin(), of.end());
  }
  EXPECT_GT(used.size(), 1u);
}

TEST_F(KafkaRecordsTest, WhatFindsNoRoomIsDroppedAndCounted) {
  make_topic("t", 1);
  const auto out = publisher("t", 1 << 20);
  set_up(false);
  const std::string value(100'000, 'x');
  uint64_t taken = 0, dropped = 0;
  for (int i = 0; i < 40; ++i) ++(out->publish(octets("key"), octets(value), 1) ? taken : dropped);
  EXPECT_GT(taken, 0u);
  EXPECT_GT(dropped, 0u);
  EXPECT_EQ(out->counts().dropped, dropped);
  EXPECT_EQ(out->counts().waiting, taken);
  set_up(true);
  ASSERT_TRUE(out->flush(kPatience));
  EXPECT_EQ(out->counts().delivered, taken);
  EXPECT_FALSE(out->publish(octets("key"), octets(std::string(1'000'000, 'x')), 5));  // Too large.
  EXPECT_EQ(out->counts().dropped, dropped + 5);
}

}  // namespace
}  // namespace backstream::transport
