#pragma once
// Records for whoever reads a topic, sent without waiting (docs/design/0026-flows-by-kafka.md).
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "base/diagnostic.h"
#include "transport/kafka_connection.h"
#include "transport/kafka_log.h"

namespace backstream::transport {

/// Since the publisher was opened; units are what its caller counts by.
struct KafkaPublishCounts {
  uint64_t records = 0, octets = 0;  ///< taken
  uint64_t units = 0;                ///< of those taken
  uint64_t delivered = 0;            ///< units that the brokers have acknowledged
  uint64_t failed = 0;               ///< units that they did not take in time: some of them may be there all the same
  uint64_t dropped = 0;              ///< units that found no room in the queue, or were too large
  uint64_t waiting = 0;              ///< units on their way
};

/// Sends records to a topic. The queue is the connection's (KafkaOptions::queue_octets): what finds no room is dropped
/// and counted, nobody is held up. Any thread.
class KafkaPublisher {
 public:
  /// A topic that is there is taken as it is, with the partitions that it has; one that is missing is made as
  /// `options` say. Errors: as KafkaLog::open().
  static base::Result<std::unique_ptr<KafkaPublisher>> open(std::shared_ptr<KafkaConnection> connection,
                                                            const KafkaTopicOptions& options);
  ~KafkaPublisher();
  KafkaPublisher(const KafkaPublisher&) = delete;
  KafkaPublisher& operator=(const KafkaPublisher&) = delete;

  /// Records of one key go to one partition, that which Kafka's Java clients take by default (murmur2).
  /// @return  false: dropped
  bool publish(std::span<const uint8_t> key, std::span<const uint8_t> value, uint64_t units);
  /// Waits until all has been delivered or has failed. False: not in that time.
  bool flush(std::chrono::milliseconds timeout);
  KafkaPublishCounts counts() const;
  uint32_t partition_count() const { return partition_count_; }

 private:
  struct Sent {
    std::shared_ptr<KafkaDeliveries> delivery;
    uint64_t units = 0;
    std::chrono::steady_clock::time_point at;
  };
  KafkaPublisher(std::shared_ptr<KafkaConnection> connection, const KafkaTopicOptions& options,
                 uint32_t partition_count);
  KafkaTopicHandle& topic() const;
  void settle(size_t records_most) const;

  const std::shared_ptr<KafkaConnection> connection_;
  const KafkaTopicOptions options_;
  const uint32_t partition_count_;
  mutable std::mutex mutex_;  // Guards all that follows.
  mutable std::unique_ptr<KafkaTopicHandle> topic_;
  mutable std::deque<Sent> sent_;  // Oldest first.
  mutable KafkaPublishCounts counts_;
};

}  // namespace backstream::transport
