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

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kReportGrace{5'000};  // librdkafka looks at its own timeouts each second.
constexpr size_t kSettledAtOnce = 16;  // More than are added at a time, so that the list of what was sent is short.

}  // namespace

base::Result<std::unique_ptr<KafkaPublisher>> KafkaPublisher::open(std::shared_ptr<KafkaConnection> connection,
                                                                   const KafkaTopicOptions& options) {
  assert(connection != nullptr);
  const auto until = Clock::now() + connection->options().request_timeout;
  const auto partitions = find_or_make_kafka_topic(*connection, options, until);
  if (!partitions) return tl::unexpected(partitions.error());
  return std::unique_ptr<KafkaPublisher>(new KafkaPublisher(std::move(connection), options, *partitions));
}

KafkaPublisher::KafkaPublisher(std::shared_ptr<KafkaConnection> connection, const KafkaTopicOptions& options,
                               uint32_t partition_count)
    : connection_(std::move(connection)), options_(options), partition_count_(partition_count) {}

KafkaPublisher::~KafkaPublisher() = default;

/// Under mutex_.
KafkaTopicHandle& KafkaPublisher::topic() const {
  KafkaClient client = connection_->producer();
  if (topic_ == nullptr || topic_->client != client)
    topic_ = std::make_unique<KafkaTopicHandle>(std::move(client), options_.name);
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
  KafkaTopicHandle& to = topic();
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
