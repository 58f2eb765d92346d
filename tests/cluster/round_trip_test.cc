// librdkafka as Debian ships it and a real Kafka understand each other: what is produced to explicit partitions comes
// back complete and in order, from a topic with three replicas. Another reader (kcat) sees the same. Run by kafka.py,
// once for each major version.
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace {

constexpr int32_t kPartitionCount = 4;
constexpr int kRecordCount = 10'000;
constexpr int kReplicaCount = 3;
constexpr int kPatience_ms = 120'000;  // For a machine that is busy with other tests; nothing here waits for its end.

template <auto destroy>
struct Destroy {
  template <typename T>
  void operator()(T* object) const {
    destroy(object);
  }
};
using Client = std::unique_ptr<rd_kafka_t, Destroy<rd_kafka_destroy>>;
using Queue = std::unique_ptr<rd_kafka_queue_t, Destroy<rd_kafka_queue_destroy>>;
using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Destroy<rd_kafka_NewTopic_destroy>>;
using AdminOptions = std::unique_ptr<rd_kafka_AdminOptions_t, Destroy<rd_kafka_AdminOptions_destroy>>;
using Event = std::unique_ptr<rd_kafka_event_t, Destroy<rd_kafka_event_destroy>>;
using Message = std::unique_ptr<rd_kafka_message_t, Destroy<rd_kafka_message_destroy>>;
using Partitions = std::unique_ptr<rd_kafka_topic_partition_list_t, Destroy<rd_kafka_topic_partition_list_destroy>>;
using Metadata = std::unique_ptr<const rd_kafka_metadata_t, Destroy<rd_kafka_metadata_destroy>>;

struct Delivered {
  int count = 0;
  std::string error;  // Of the first record that Kafka did not take.
};

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* delivered_of) {
  auto& delivered = *static_cast<Delivered*>(delivered_of);
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    ++delivered.count;
  } else if (delivered.error.empty()) {
    delivered.error = rd_kafka_err2str(message->err);
  }
}

class RoundTrip : public testing::Test {
 protected:
  void SetUp() override {
    const char* brokers = std::getenv("BACKSTREAM_KAFKA");
    if (brokers == nullptr) GTEST_SKIP() << "BACKSTREAM_KAFKA names no brokers: python3 tests/cluster/kafka.py run";
    brokers_ = brokers;
    topic_ = "round-trip-" + std::to_string(std::chrono::system_clock::now().time_since_epoch().count());
  }

  Client client(rd_kafka_type_t type, std::map<std::string, std::string> properties, Delivered* delivered = nullptr) {
    properties["bootstrap.servers"] = brokers_;
    properties["allow.auto.create.topics"] = "false";
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    std::array<char, 512> error{};
    for (const auto& [name, value] : properties) {
      EXPECT_EQ(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error.data(), error.size()), RD_KAFKA_CONF_OK)
          << error.data();
    }
    if (delivered != nullptr) {
      rd_kafka_conf_set_opaque(conf, delivered);
      rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    }
    Client made(rd_kafka_new(type, conf, error.data(), error.size()));
    EXPECT_NE(made, nullptr) << error.data();
    return made;
  }

  void create_topic(rd_kafka_t* producer) {
    std::array<char, 512> error{};
    NewTopic topic(rd_kafka_NewTopic_new(topic_.c_str(), kPartitionCount, kReplicaCount, error.data(), error.size()));
    ASSERT_NE(topic, nullptr) << error.data();
    AdminOptions options(rd_kafka_AdminOptions_new(producer, RD_KAFKA_ADMIN_OP_CREATETOPICS));
    rd_kafka_AdminOptions_set_request_timeout(options.get(), kPatience_ms, error.data(), error.size());
    rd_kafka_AdminOptions_set_operation_timeout(options.get(), kPatience_ms / 2, error.data(), error.size());
    Queue queue(rd_kafka_queue_new(producer));
    std::array<rd_kafka_NewTopic_t*, 1> topics{topic.get()};
    rd_kafka_CreateTopics(producer, topics.data(), topics.size(), options.get(), queue.get());
    const Event event(rd_kafka_queue_poll(queue.get(), kPatience_ms));
    ASSERT_NE(event, nullptr) << "no answer";
    ASSERT_EQ(rd_kafka_event_error(event.get()), RD_KAFKA_RESP_ERR_NO_ERROR)
        << rd_kafka_event_error_string(event.get());
    size_t count = 0;
    const auto* results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
    ASSERT_EQ(count, 1U);
    ASSERT_EQ(rd_kafka_topic_result_error(results[0]), RD_KAFKA_RESP_ERR_NO_ERROR)
        << rd_kafka_topic_result_error_string(results[0]);
  }

  std::string brokers_;
  std::string topic_;
};

/// Record `number` lies in partition number % kPartitionCount; the least number of a partition is its own.
std::string value_of(int number) { return "record " + std::to_string(number); }

void produce_all(rd_kafka_t* producer, const std::string& topic) {
  for (int number = 0; number < kRecordCount; ++number) {
    const std::string value = value_of(number);
    const auto error = rd_kafka_producev(
        producer, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(number % kPartitionCount),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),  // NOLINT: read only, by its contract.
        RD_KAFKA_V_END);
    ASSERT_EQ(error, RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_err2str(error);
    rd_kafka_poll(producer, 0);
  }
}

/// What every partition has, from offset 0 to its end.
std::vector<std::vector<std::string>> consume_all(rd_kafka_t* consumer, const std::string& topic) {
  std::vector<std::vector<std::string>> values(kPartitionCount);
  const Partitions partitions(rd_kafka_topic_partition_list_new(kPartitionCount));
  for (int32_t partition = 0; partition < kPartitionCount; ++partition) {
    rd_kafka_topic_partition_list_add(partitions.get(), topic.c_str(), partition)->offset = 0;
  }
  EXPECT_EQ(rd_kafka_assign(consumer, partitions.get()), RD_KAFKA_RESP_ERR_NO_ERROR);
  // An end is where a partition ends so far: a new leader may first show less than what was acknowledged.
  std::set<int32_t> ended;
  int record_count = 0;
  while (record_count < kRecordCount || ended.size() < kPartitionCount) {
    const Message message(rd_kafka_consumer_poll(consumer, kPatience_ms));
    if (message == nullptr) {
      ADD_FAILURE() << "nothing more comes after " << record_count << " records";
      break;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      ended.insert(message->partition);
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      auto& of_partition = values[static_cast<size_t>(message->partition)];
      EXPECT_EQ(message->offset, static_cast<int64_t>(of_partition.size()));
      of_partition.emplace_back(static_cast<const char*>(message->payload), message->len);
      ended.erase(message->partition);
      ++record_count;
    } else {  // A connection may come and go; the next poll tells whether that is all.
      std::fprintf(stderr, "%s\n", rd_kafka_message_errstr(message.get()));
      if (rd_kafka_fatal_error(consumer, nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        ADD_FAILURE() << "the consumer has ended";
        break;
      }
    }
  }
  EXPECT_EQ(rd_kafka_consumer_close(consumer), RD_KAFKA_RESP_ERR_NO_ERROR);
  return values;
}

TEST_F(RoundTrip, RecordsOfEachPartitionComeBackCompleteAndInOrder) {
  Delivered delivered;
  const Client producer = client(RD_KAFKA_PRODUCER,
                                 {{"enable.idempotence", "true"},
                                  {"message.timeout.ms", std::to_string(kPatience_ms)},
                                  {"compression.codec", "zstd"},
                                  {"linger.ms", "5"}},
                                 &delivered);
  ASSERT_NE(producer, nullptr);
  ASSERT_NO_FATAL_FAILURE(create_topic(producer.get()));
  ASSERT_NO_FATAL_FAILURE(produce_all(producer.get(), topic_));
  EXPECT_EQ(rd_kafka_flush(producer.get(), kPatience_ms), RD_KAFKA_RESP_ERR_NO_ERROR);
  EXPECT_EQ(delivered.error, "");
  ASSERT_EQ(delivered.count, kRecordCount);

  const rd_kafka_metadata_t* listed = nullptr;
  ASSERT_EQ(rd_kafka_metadata(producer.get(), 1, nullptr, &listed, kPatience_ms), RD_KAFKA_RESP_ERR_NO_ERROR);
  const Metadata metadata(listed);
  int replicated_count = 0;
  for (int topic = 0; topic < metadata->topic_cnt; ++topic) {
    if (topic_ != metadata->topics[topic].topic) continue;
    for (int partition = 0; partition < metadata->topics[topic].partition_cnt; ++partition) {
      replicated_count += metadata->topics[topic].partitions[partition].replica_cnt == kReplicaCount;
    }
  }
  EXPECT_EQ(replicated_count, kPartitionCount);

  const Client consumer = client(RD_KAFKA_CONSUMER, {{"group.id", topic_},
                                                     {"enable.auto.commit", "false"},
                                                     {"auto.offset.reset", "error"},
                                                     {"check.crcs", "true"},
                                                     {"enable.partition.eof", "true"}});
  ASSERT_NE(consumer, nullptr);
  const auto values = consume_all(consumer.get(), topic_);
  for (int32_t partition = 0; partition < kPartitionCount; ++partition) {
    std::vector<std::string> expected;
    for (int number = partition; number < kRecordCount; number += kPartitionCount) {
      expected.push_back(value_of(number));
    }
    EXPECT_TRUE(values[static_cast<size_t>(partition)] == expected)
        << "partition " << partition << ": " << values[static_cast<size_t>(partition)].size() << " records";
  }

  std::map<std::string, int> seen;  // By kcat, partition to records.
  const std::string command = "kcat -C -q -e -o beginning -f '%p\\n' -b " + brokers_ + " -t " + topic_;
  FILE* kcat = popen(command.c_str(), "r");
  ASSERT_NE(kcat, nullptr);
  std::array<char, 64> line{};
  while (std::fgets(line.data(), line.size(), kcat) != nullptr) ++seen[line.data()];
  EXPECT_EQ(pclose(kcat), 0);
  EXPECT_EQ(seen, (std::map<std::string, int>{{"0\n", 2500}, {"1\n", 2500}, {"2\n", 2500}, {"3\n", 2500}}));
}

}  // namespace
