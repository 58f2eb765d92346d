#pragma once
#include <mutex>
#include <utility>

#include "transport/bus.h"
#include "transport/kafka_log.h"

namespace backstream::transport {

/// Topics and consumer groups of Apache Kafka.
class KafkaBus final : public Bus {
 public:
  struct Options {
    std::string prefix;         ///< of the names of topics and groups
    KafkaOptions client;        ///< of logs and groups
    KafkaOptions keyed_client;  ///< of logs with keys: people wait for what is written there
    KafkaTopicOptions topic;    ///< of all of them; `name` and what open_keyed_log() is told are not looked at
  };
  /// Waits for nobody, and connects when the first log is opened.
  explicit KafkaBus(Options options) : options_(std::move(options)) {}

  std::string topic_name(std::string_view topic) const override { return kafka_topic_name(options_.prefix, topic); }
  base::Result<std::shared_ptr<Log>> open_log(std::string_view topic) override;
  base::Result<std::unique_ptr<KeyedLog>> open_keyed_log(std::string_view topic, size_t record_octets_max,
                                                         bool create) override;
  base::Result<std::unique_ptr<Group>> join(std::string_view group, std::string_view topic,
                                            Group::Callbacks callbacks) override;
  std::vector<Faults> faults() const override;

 private:
  KafkaTopicOptions topic_options(std::string_view topic) const;

  const Options options_;
  mutable std::mutex mutex_;  // Of all below.
  std::shared_ptr<KafkaConnection> connection_, keyed_connection_;
  std::vector<std::pair<std::string, std::shared_ptr<const KafkaLog>>> logs_;
};

}  // namespace backstream::transport
