#include "app/kafka_options.h"

#include <algorithm>
#include <chrono>

#include "telemetry/terminal_log.h"
#include "transport/kafka_bus.h"

namespace backstream::app {

namespace {

constexpr std::chrono::milliseconds kKeyedTimeoutMax{10'000};  // A person waits for a change.
constexpr uint64_t kKeyedReadOctets = 8 << 20;

std::chrono::milliseconds milliseconds_of(base::Micros micros) { return std::chrono::milliseconds(micros / 1'000); }

}  // namespace

std::optional<config::PropertyFault> kafka_property_fault(const std::string& name, const std::string& value) {
  auto fault = transport::kafka_property_fault(name, value);
  if (!fault) return std::nullopt;
  return config::PropertyFault{std::move(fault->message), std::move(fault->hint)};
}

transport::KafkaOptions kafka_options(const config::Settings& settings,
                                      std::function<void(const transport::KafkaNotice&)> notice) {
  const auto& kafka = settings.kafka;
  transport::KafkaOptions options;
  options.brokers = kafka.brokers;
  options.properties = kafka.properties;
  const auto add_secret = [&](std::string_view key, const char* property) {
    const auto secret = settings.secrets.find(key);
    if (secret != settings.secrets.end() && !secret->second.value.empty())
      options.properties.emplace_back(property, secret->second.value);
  };
  add_secret("kafka.sasl_password", "sasl.password");
  add_secret("kafka.ssl_key_password", "ssl.key.password");
  options.append_timeout = milliseconds_of(kafka.timeout_us);
  options.request_timeout = std::min(options.append_timeout, std::chrono::milliseconds(10'000));
  options.queue_octets = static_cast<uint64_t>(kafka.queue_octets);
  options.read_octets = static_cast<uint64_t>(kafka.read_memory_octets);
  options.read_partitions = static_cast<uint32_t>(kafka.partitions);
  options.notice = std::move(notice);
  return options;
}

transport::KafkaOptions kafka_options(const config::Settings& settings, const config::ServerSettings& server,
                                      std::function<void(const transport::KafkaNotice&)> notice) {
  transport::KafkaOptions options = kafka_options(settings, std::move(notice));
  if (server.brokers.empty()) return options;
  options.brokers = server.brokers;
  options.properties = server.properties;
  const auto add_secret = [&](const config::Secret& secret, const char* property) {
    if (!secret.value.empty()) options.properties.emplace_back(property, secret.value);
  };
  add_secret(server.sasl_password, "sasl.password");
  add_secret(server.ssl_key_password, "ssl.key.password");
  return options;
}

transport::KafkaTopicOptions kafka_topic_options(const config::Settings& settings) {
  const auto& kafka = settings.kafka;
  transport::KafkaTopicOptions options;
  options.partition_count = static_cast<uint32_t>(kafka.partitions);
  options.retention = milliseconds_of(kafka.retention_us);
  options.replication = static_cast<int>(kafka.replication);
  options.min_insync_replicas = static_cast<int>(kafka.min_insync_replicas);
  options.create = kafka.create_topics;
  return options;
}

std::shared_ptr<transport::Bus> kafka_bus(const config::Settings& settings) {
  transport::KafkaBus::Options options;
  options.prefix = settings.kafka.prefix;
  options.topic = kafka_topic_options(settings);
  options.client = options.keyed_client = kafka_options(settings, tell_kafka_notice);
  transport::KafkaOptions& keyed = options.keyed_client;
  keyed.append_timeout = std::min(keyed.append_timeout, kKeyedTimeoutMax);
  keyed.request_timeout = std::min(keyed.request_timeout, kKeyedTimeoutMax);
  keyed.read_octets = std::min(keyed.read_octets, kKeyedReadOctets);
  keyed.read_partitions = 1;
  return std::make_shared<transport::KafkaBus>(std::move(options));
}

void tell_kafka_notice(const transport::KafkaNotice& notice) {
  using Level = transport::KafkaNotice::Level;
  // An error of the library is none of the process: it tries again.
  if (notice.level != Level::kInfo) telemetry::terminal_log().warning(notice.text);
}

}  // namespace backstream::app
