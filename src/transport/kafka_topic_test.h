#pragma once
// For tests: a topic of a test's own, at the brokers of BACKSTREAM_KAFKA=HOST:PORT,... or, where that is not set, at a
// mock cluster of librdkafka, which keeps no places and shuts out nobody.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace backstream::transport {

inline const char* real_brokers() { return std::getenv("BACKSTREAM_KAFKA"); }
#define WANTS_MOCK \
  if (backstream::transport::real_brokers() != nullptr) GTEST_SKIP() << "wants the mock cluster"
#define WANTS_BROKERS \
  if (backstream::transport::real_brokers() == nullptr) GTEST_SKIP() << "wants BACKSTREAM_KAFKA=HOST:PORT,..."

class KafkaTestTopic {
 public:
  /// The mock cluster has the topic; brokers get it when it is asked for.
  explicit KafkaTestTopic(uint32_t partition_count)
      : name_(fmt::format("t{}-{}", ::getpid(), std::random_device{}())), partition_count_(partition_count) {
    if (real_brokers() != nullptr) return;
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, nullptr);
    rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", nullptr, 0);
    owner_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, nullptr, 0);
    cluster_ = rd_kafka_handle_mock_cluster(owner_);
    rd_kafka_mock_topic_create(cluster_, name_.c_str(), static_cast<int>(partition_count_), 1);
  }
  ~KafkaTestTopic() {
    if (owner_ != nullptr) rd_kafka_destroy(owner_);
  }
  KafkaTestTopic(const KafkaTestTopic&) = delete;
  KafkaTestTopic& operator=(const KafkaTestTopic&) = delete;

  const std::string& name() const { return name_; }
  rd_kafka_mock_cluster_t* mock() const { return cluster_; }  ///< null: real brokers
  std::string brokers() const {
    return real_brokers() != nullptr ? real_brokers() : rd_kafka_mock_cluster_bootstraps(cluster_);
  }

  struct Record {
    uint32_t partition = 0;
    std::optional<std::string> key, value;
  };
  /// All that is committed, by partition, as consumers with read_committed see it.
  std::vector<Record> read() const {
    using Clock = std::chrono::steady_clock;
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers().c_str(), nullptr, 0);
    rd_kafka_conf_set(conf, "isolation.level", "read_committed", nullptr, 0);
    rd_kafka_conf_set(conf, "enable.partition.eof", "true", nullptr, 0);
    rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, nullptr, 0);
    rd_kafka_topic_t* topic = rd_kafka_topic_new(consumer, name_.c_str(), nullptr);
    std::vector<Record> seen;
    for (int32_t partition = 0; partition < static_cast<int32_t>(partition_count_); ++partition) {
      rd_kafka_consume_start(topic, partition, RD_KAFKA_OFFSET_BEGINNING);
      bool at_end = false;
      for (const auto until = Clock::now() + std::chrono::seconds(60); !at_end && Clock::now() < until;) {
        rd_kafka_message_t* message = rd_kafka_consume(topic, partition, 100);
        if (message == nullptr) continue;
        at_end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
          Record& one = seen.emplace_back();
          one.partition = static_cast<uint32_t>(partition);
          if (message->key != nullptr) one.key = text_of(message->key, message->key_len);
          if (message->payload != nullptr) one.value = text_of(message->payload, message->len);
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

 private:
  static std::string text_of(const void* octets, size_t count) { return {static_cast<const char*>(octets), count}; }

  const std::string name_;
  const uint32_t partition_count_;
  rd_kafka_t* owner_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

}  // namespace backstream::transport
