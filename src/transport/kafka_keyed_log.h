#pragma once
// A compacted topic of Apache Kafka.
#include <memory>

#include "transport/kafka_log.h"
#include "transport/keyed_log.h"

namespace backstream::transport {

/// Records as those of a KafkaLog, whose checksums cover the key, too. What its class says of time and threads holds
/// here as well.
class KafkaKeyedLog final : public KeyedLog {
 public:
  /// Checks the topic, or makes it: one partition, cleanup.policy=compact, retention.ms=-1, and
  /// KafkaTopicOptions::tombstones_kept.
  /// @param options  `partition_count`, `cleanup` and `retention` are not looked at
  /// Errors: as KafkaLog::open().
  static base::Result<std::unique_ptr<KeyedLog>> open(std::shared_ptr<KafkaConnection> connection,
                                                      KafkaTopicOptions options);

  LogStatus append_all(std::span<const Addition> additions, std::vector<Log::Appended>& results) override;
  LogStatus read(uint64_t offset, size_t octets_max, std::chrono::milliseconds patience, std::vector<KeyedRecord>& out,
                 uint64_t& next) override;
  std::optional<uint64_t> begin_offset() override { return log_->ask_offset(0, false); }
  std::optional<uint64_t> end_offset() override { return log_->ask_offset(0, true); }
  size_t record_octets_max() const override { return log_->record_octets_max(); }
  std::string last_error() const override { return log_->faults().last_error; }

 private:
  explicit KafkaKeyedLog(std::unique_ptr<KafkaLog> log) : log_(std::move(log)) {}
  const std::unique_ptr<KafkaLog> log_;
};

}  // namespace backstream::transport
