#include "transport/kafka_publisher.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <cassert>
#include <thread>
#include <utility>

#include "transport/kafka_topic.h"

namespace backstream::transport {
namespace {

using base::fail;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kReportGrace{5'000};  // librdkafka looks at its own timeouts each second.
constexpr size_t kSettledAtOnce = 16;  // More than are added at a time, so that the list of what was sent is short.

}  // namespace

struct KafkaPublisher::Topic {
  Topic(KafkaClient of, const std::string& name)
      : client(std::move(of)), handle(rd_kafka_topic_new(client.get(), name.c_str(), nullptr)) {}
  ~Topic() {
    if (handle != nullptr) rd_kafka_topic_destroy(handle);
  }
  Topic(const Topic&) = delete;
  Topic& operator=(const Topic&) = delete;
  const KafkaClient client;
  rd_kafka_topic_t* const handle;
};

base::Result<std::unique_ptr<KafkaPublisher>> KafkaPublisher::open(std::shared_ptr<KafkaConnection> connection,
                                                                   const KafkaTopicOptions& options) {
  assert(connection != nullptr);
  const auto until = Clock::now() + connection->options().request_timeout;
  const Topic topic(connection->consumer(), options.name);
  if (topic.handle == nullptr) return fail("22023", fmt::format("'{}' cannot name a topic", options.name));
  bool made = false;
  while (true) {
    const rd_kafka_metadata_t* metadata = nullptr;
    rd_kafka_resp_err_t error = rd_kafka_metadata(topic.client.get(), 0, topic.handle, &metadata, 2'000);
    uint32_t count = 0;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      error = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) count = static_cast<uint32_t>(metadata->topics[0].partition_cnt);
      rd_kafka_metadata_destroy(metadata);
    }
    if (count != 0) return std::unique_ptr<KafkaPublisher>(new KafkaPublisher(std::move(connection), options, count));
    if (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && !made) {
      if (auto prepared = prepare_kafka_topic(*connection, options, until); !prepared)
        return tl::unexpected(std::move(prepared.error()));
      made = true;
      continue;
    }
    if (Clock::now() < until) {
      std::this_thread::sleep_for(milliseconds(50));
      continue;
    }
    const std::string last = connection->last_error();
    const bool refused = error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    return fail(refused ? "42501" : "08001", fmt::format("topic '{}' cannot be had: {}", options.name,
                                                         last.empty() ? rd_kafka_err2str(error) : last));
  }
}

KafkaPublisher::KafkaPublisher(std::shared_ptr<KafkaConnection> connection, const KafkaTopicOptions& options,
                               uint32_t partition_count)
    : connection_(std::move(connection)), options_(options), partition_count_(partition_count) {}

KafkaPublisher::~KafkaPublisher() = default;

/// Under mutex_.
KafkaPublisher::Topic& KafkaPublisher::topic() const {
  KafkaClient client = connection_->producer();
  if (topic_ == nullptr || topic_->client != client) topic_ = std::make_unique<Topic>(std::move(client), options_.name);
  return *topic_;
}

/// Under mutex_. What has been reported, of the oldest.
void KafkaPublisher::settle(size_t records_most) const {
  for (size_t i = 0; i < records_most && !sent_.empty(); ++i) {
    const Sent& oldest = sent_.front();
    if (oldest.delivery->open() != 0) {
      if (Clock::now() - oldest.at > connection_->options().append_timeout + kReportGrace && topic_ != nullptr)
        connection_->give_up(topic_->client);
      return;
    }
    const KafkaDeliveries::Slot slot = oldest.delivery->slots().front();
    const bool delivered = slot.reported && slot.error == RD_KAFKA_RESP_ERR_NO_ERROR;
    (delivered ? counts_.delivered : counts_.failed) += oldest.units;
    counts_.waiting -= oldest.units;
    connection_->note_producer(delivered);
    sent_.pop_front();
  }
}

bool KafkaPublisher::publish(std::span<const uint8_t> key, std::span<const uint8_t> value, uint64_t units) {
  const std::lock_guard lock(mutex_);
  settle(kSettledAtOnce);
  Topic& to = topic();
  const bool too_large = key.size() + value.size() > options_.record_octets_max;
  auto delivery = std::make_shared<KafkaDeliveries>(1);
  KafkaDeliveries::Slot* slot = too_large ? nullptr : delivery->expect(0);
  const int32_t partition = rd_kafka_msg_partitioner_murmur2(to.handle, key.data(), key.size(),
                                                             static_cast<int32_t>(partition_count_), nullptr, nullptr);
  // The library copies: it asks for no room of ours, and its queue is bounded in octets.
  const bool taken =
      !too_large && rd_kafka_produce(to.handle, partition, RD_KAFKA_MSG_F_COPY, const_cast<uint8_t*>(value.data()),
                                     value.size(), key.data(), key.size(), slot) == 0;
  if (!taken) {
    if (!too_large) {
      const rd_kafka_resp_err_t error = rd_kafka_last_error();
      delivery->forget(0);
      if (error == RD_KAFKA_RESP_ERR__FATAL) connection_->give_up(to.client);
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        connection_->set_last_error(fmt::format("publish to {}: {}", options_.name, rd_kafka_err2str(error)));
    }
    counts_.dropped += units;
    return false;
  }
  sent_.push_back({std::move(delivery), units, Clock::now()});
  ++counts_.records;
  counts_.octets += value.size();
  counts_.units += units;
  counts_.waiting += units;
  return true;
}

bool KafkaPublisher::flush(milliseconds timeout) {
  const auto until = Clock::now() + timeout;
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      settle(SIZE_MAX);
      if (sent_.empty()) return true;
    }
    if (Clock::now() >= until) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
}

KafkaPublishCounts KafkaPublisher::counts() const {
  const std::lock_guard lock(mutex_);
  settle(SIZE_MAX);
  return counts_;
}

}  // namespace backstream::transport
