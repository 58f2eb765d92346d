#include "transport/kafka_bus.h"

#include "transport/kafka_group.h"
#include "transport/kafka_keyed_log.h"

namespace backstream::transport {

using base::Result;

namespace {

/// With the short names of topics.
class GroupOfKafka final : public Group {
 public:
  GroupOfKafka(std::string prefix, std::unique_ptr<KafkaGroup> group)
      : prefix_(std::move(prefix)), group_(std::move(group)) {}
  void tick() override { group_->tick(); }
  Result<void> commit(const std::string& topic, uint32_t partition, uint64_t offset) override {
    return group_->commit(kafka_topic_name(prefix_, topic), partition, offset);
  }
  Result<std::optional<uint64_t>> committed(const std::string& topic, uint32_t partition) override {
    return group_->committed(kafka_topic_name(prefix_, topic), partition);
  }

 private:
  const std::string prefix_;
  const std::unique_ptr<KafkaGroup> group_;
};

/// Opened when it is needed first; under the mutex of what holds it.
Result<std::shared_ptr<KafkaConnection>> opened_once(std::shared_ptr<KafkaConnection>& connection,
                                                     const KafkaOptions& options) {
  if (connection == nullptr) {
    auto opened = KafkaConnection::open(options);
    if (!opened) return tl::unexpected(std::move(opened.error()));
    connection = std::move(*opened);
  }
  return connection;
}

}  // namespace

KafkaTopicOptions KafkaBus::topic_options(std::string_view topic) const {
  KafkaTopicOptions options = options_.topic;
  options.name = topic_name(topic);
  return options;
}

Result<std::shared_ptr<Log>> KafkaBus::open_log(std::string_view topic) {
  std::unique_lock lock(mutex_);
  auto connection = opened_once(connection_, options_.client);
  lock.unlock();  // Brokers may take long.
  if (!connection) return tl::unexpected(std::move(connection.error()));
  auto opened = KafkaLog::open(std::move(*connection), topic_options(topic));
  if (!opened) return tl::unexpected(std::move(opened.error()));
  std::shared_ptr<KafkaLog> log = std::move(*opened);
  lock.lock();
  logs_.emplace_back(topic, log);
  return std::shared_ptr<Log>(std::move(log));
}

Result<std::unique_ptr<KeyedLog>> KafkaBus::open_keyed_log(std::string_view topic, size_t record_octets_max,
                                                           bool create) {
  std::unique_lock lock(mutex_);
  auto connection = opened_once(keyed_connection_, options_.keyed_client);
  lock.unlock();
  if (!connection) return tl::unexpected(std::move(connection.error()));
  KafkaTopicOptions options = topic_options(topic);
  options.record_octets_max = record_octets_max;
  options.create = options.create && create;
  return KafkaKeyedLog::open(std::move(*connection), std::move(options));
}

Result<std::unique_ptr<Group>> KafkaBus::join(std::string_view group, std::string_view topic,
                                              Group::Callbacks callbacks) {
  KafkaGroup::Options options;
  options.client = options_.client;
  options.group = topic_name(group);
  options.topic = topic_name(topic);
  options.assigned = std::move(callbacks.assigned);
  options.revoked = std::move(callbacks.revoked);
  auto opened = KafkaGroup::open(std::move(options));
  if (!opened) return tl::unexpected(std::move(opened.error()));
  return std::unique_ptr<Group>(std::make_unique<GroupOfKafka>(options_.prefix, std::move(*opened)));
}

std::vector<Bus::Faults> KafkaBus::faults() const {
  const std::lock_guard lock(mutex_);
  std::vector<Faults> all;
  for (const auto& [topic, log] : logs_) {
    const KafkaLogFaults faults = log->faults();
    all.push_back({topic,
                   {{"append_failed", faults.append_failures},
                    {"append_full", faults.append_full},
                    {"read_failed", faults.read_failures},
                    {"query_failed", faults.query_failures},
                    {"trim_refused", faults.trims_refused},
                    {"trim_failed", faults.trim_failures},
                    {"lost", faults.lost_records},
                    {"foreign", faults.foreign_records},
                    {"repeated", faults.repeats_dropped}}});
  }
  return all;
}

}  // namespace backstream::transport
