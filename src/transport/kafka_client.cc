#include "transport/kafka_client.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <string_view>
#include <utility>

namespace backstream::transport {
namespace {

using base::fail;
using Clock = std::chrono::steady_clock;
using Level = KafkaNotice::Level;

constexpr std::chrono::seconds kRepeatPause{10};  // Between two lines of one facility of librdkafka.
constexpr std::chrono::seconds kCloseTimeout{10};
constexpr size_t kFacilitiesMax = 64;

struct OwnProperty {
  std::string_view name, instead;
};
constexpr std::string_view kOfGroups = "workers that share partitions agree on the value that it has";
/// What the log's promises rest on, and what other settings say.
constexpr OwnProperty kOwn[] = {
    {"bootstrap.servers", "kafka.brokers has the brokers"},
    {"metadata.broker.list", "kafka.brokers has the brokers"},
    {"message.timeout.ms", "kafka.timeout says how long"},
    {"delivery.timeout.ms", "kafka.timeout says how long"},
    {"queue.buffering.max.kbytes", "kafka.queue says how much"},
    {"queue.buffering.max.messages", "kafka.queue says how much"},
    {"queued.max.messages.kbytes", "kafka.read_memory says how much"},
    {"batch.size", ""},
    {"message.max.bytes", ""},
    {"enable.idempotence", ""},
    {"acks", ""},
    {"request.required.acks", ""},
    {"transactional.id", ""},
    {"partitioner", ""},
    {"allow.auto.create.topics", "kafka.create_topics says whether topics are made"},
    {"auto.offset.reset", ""},
    {"enable.partition.eof", ""},
    {"enable.auto.commit", ""},
    {"auto.commit.enable", ""},
    {"enable.auto.offset.store", ""},
    {"isolation.level", ""},
    {"check.crcs", ""},
    {"group.id", kOfGroups},
    {"group.instance.id", kOfGroups},
    {"partition.assignment.strategy", kOfGroups},
    {"session.timeout.ms", kOfGroups},
    {"heartbeat.interval.ms", kOfGroups},
    {"max.poll.interval.ms", kOfGroups},
    {"log.queue", ""},
    {"enabled_events", ""},
    {"opaque", ""},
};

/// That have no value by default: the library's list leaves them out.
constexpr std::string_view kWithoutDefault[] = {"sasl.username",    "ssl.ca.location",   "ssl.certificate.location",
                                                "ssl.key.location", "ssl.cipher.suites", "client.rack"};

std::string nearest_property(const std::string& name) {
  const KafkaConf conf = make_kafka_conf();
  rd_kafka_topic_conf_t* topic_conf = rd_kafka_topic_conf_new();
  size_t count = 0, topic_count = 0;
  const char** dump = rd_kafka_conf_dump(conf.get(), &count);
  const char** topic_dump = rd_kafka_topic_conf_dump(topic_conf, &topic_count);
  std::vector<std::string_view> names(std::begin(kWithoutDefault), std::end(kWithoutDefault));
  // Names and values by turns.
  for (size_t i = 0; i < count; i += 2) names.emplace_back(dump[i]);
  for (size_t i = 0; i < topic_count; i += 2) names.emplace_back(topic_dump[i]);
  std::string near(base::nearest_name(name, names));
  rd_kafka_conf_dump_free(dump, count);
  rd_kafka_conf_dump_free(topic_dump, topic_count);
  rd_kafka_topic_conf_destroy(topic_conf);
  return near;
}

}  // namespace

void KafkaConfDelete::operator()(rd_kafka_conf_s* conf) const { rd_kafka_conf_destroy(conf); }

KafkaTopicHandle::KafkaTopicHandle(KafkaClient of, const std::string& name)
    : client(std::move(of)), handle(rd_kafka_topic_new(client.get(), name.c_str(), nullptr)) {}

KafkaTopicHandle::~KafkaTopicHandle() {
  if (handle != nullptr) rd_kafka_topic_destroy(handle);
}

KafkaConf make_kafka_conf() { return KafkaConf(rd_kafka_conf_new()); }

void set_kafka_property(rd_kafka_conf_t* conf, const char* name, const std::string& value) {
  std::array<char, 256> error{};
  [[maybe_unused]] const auto result = rd_kafka_conf_set(conf, name, value.c_str(), error.data(), error.size());
  assert(result == RD_KAFKA_CONF_OK);
}

void set_common_kafka_properties(rd_kafka_conf_t* conf, const KafkaOptions& options) {
  std::string brokers;
  for (const std::string& broker : options.brokers) brokers.append(brokers.empty() ? "" : ",").append(broker);
  set_kafka_property(conf, "bootstrap.servers", brokers);
  set_kafka_property(conf, "client.id", "backstream");
  set_kafka_property(conf, "socket.nagle.disable", "true");
  set_kafka_property(conf, "socket.keepalive.enable", "true");
  set_kafka_property(conf, "log.queue", "true");
  set_kafka_property(conf, "allow.auto.create.topics", "false");
  set_kafka_property(conf, "reconnect.backoff.ms", "100");
  set_kafka_property(conf, "reconnect.backoff.max.ms", "2000");
  set_kafka_property(conf, "topic.metadata.refresh.interval.ms", "60000");
}

void set_operators_kafka_properties(rd_kafka_conf_t* conf, const KafkaOptions& options) {
  for (const auto& [name, value] : options.properties) rd_kafka_conf_set(conf, name.c_str(), value.c_str(), nullptr, 0);
}

std::optional<KafkaPropertyFault> kafka_property_fault(const std::string& name, const std::string& value) {
  for (const OwnProperty& own : kOwn) {
    if (own.name != name) continue;
    return KafkaPropertyFault{fmt::format("'{}' is not to be set", name), own.instead.empty()
                                                                              ? "the log rests on the value that it has"
                                                                              : std::string(own.instead)};
  }
  if (name.ends_with("_cb")) return KafkaPropertyFault{fmt::format("'{}' is not to be set", name), ""};
  const KafkaConf conf = make_kafka_conf();
  std::array<char, 512> error{};
  switch (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), error.data(), error.size())) {
    case RD_KAFKA_CONF_OK: return std::nullopt;
    case RD_KAFKA_CONF_UNKNOWN: {
      const std::string near = nearest_property(name);
      return KafkaPropertyFault{error.data(), near.empty() ? "librdkafka 2.0's CONFIGURATION.md lists them"
                                                           : fmt::format("did you mean '{}'?", near)};
    }
    case RD_KAFKA_CONF_INVALID: break;
  }
  return KafkaPropertyFault{error.data(), ""};
}

base::Result<void> check_kafka_options(const KafkaOptions& options) {
  if (options.brokers.empty()) return fail("22023", "no Kafka broker is named", {}, "kafka.brokers = ['HOST:9092']");
  if (options.append_timeout < std::chrono::milliseconds(100) ||
      options.request_timeout < std::chrono::milliseconds(100)) {
    return fail("22023", "timeouts of Kafka are at least 100 ms");
  }
  for (const auto& [name, value] : options.properties) {
    const auto fault = kafka_property_fault(name, value);
    if (fault) return fail("22023", fmt::format("kafka.property.{}: {}", name, fault->message), {}, fault->hint);
  }
  return {};
}

void give_kafka_notice(const KafkaOptions& options, Level level, std::string text) {
  if (!options.notice) return;
  std::replace(text.begin(), text.end(), '\n', ' ');
  options.notice({level, "kafka: " + std::move(text)});
}

namespace {

std::string_view property_of(const KafkaOptions& options, std::string_view name) {
  const auto found = std::find_if(options.properties.rbegin(), options.properties.rend(),
                                  [&](const auto& property) { return property.first == name; });
  return found == options.properties.rend() ? std::string_view() : std::string_view(found->second);
}

}  // namespace

std::string kafka_command(const KafkaOptions& options, std::string_view tool, std::string_view arguments) {
  std::string brokers;
  for (const std::string& broker : options.brokers) brokers.append(brokers.empty() ? "" : ",").append(broker);
  const bool secured = !property_of(options, "security.protocol").empty();
  return fmt::format("{}.sh --bootstrap-server {}{} {}", tool, brokers,
                     secured ? " --command-config CLIENT.PROPERTIES" : "", arguments);
}

std::string kafka_acls_command(const KafkaOptions& options, std::string_view operation, std::string_view resource,
                               std::string_view name) {
  const std::string_view user = property_of(options, "sasl.username");
  return kafka_command(options, "kafka-acls",
                       fmt::format("--add --allow-principal User:{} --operation {} --{} {}",
                                   user.empty() ? "NAME" : user, operation, resource, name));
}

std::string kafka_credentials_hint(const KafkaOptions& options) {
  std::string hint = "kafka.property.\"sasl.username\", kafka.sasl_password_file, kafka.property.\"sasl.mechanism\"";
  std::string_view mechanism = property_of(options, "sasl.mechanism");
  if (mechanism.empty()) mechanism = property_of(options, "sasl.mechanisms");
  // What it says to the server's nonce was let pass before 4.0.
  constexpr int kScramIsRight = 0x020601ff;
  if (mechanism.starts_with("SCRAM") && rd_kafka_version() < kScramIsRight) {
    hint += fmt::format(
        "; brokers of Kafka 4 refuse {} of librdkafka {}, whatever the password is (2.6.1 mends it): take PLAIN with "
        "sasl_ssl, or a client certificate",
        mechanism, rd_kafka_version_str());
  }
  return hint;
}

void KafkaLines::tell(const KafkaOptions& options, int level, const char* facility, const char* text) {
  // Both clients are given the properties of both.
  if (std::strcmp(facility, "CONFWARN") == 0 && std::strstr(text, "will be ignored by this") != nullptr) return;
  const auto now = Clock::now();
  auto said = std::find_if(said_.begin(), said_.end(), [&](const Said& other) { return other.facility == facility; });
  uint64_t kept_back = 0;
  if (level < 7) {  // Debugging was asked for: then all of it.
    if (said == said_.end()) {
      if (said_.size() == kFacilitiesMax) said_.clear();
      said_.push_back({facility, now});
    } else if (now - said->at < kRepeatPause) {
      ++said->kept_back;
      return;
    } else {
      kept_back = std::exchange(said->kept_back, 0);
      said->at = now;
    }
  }
  const Level ours = level <= 3 ? Level::kError : level == 4 ? Level::kWarning : Level::kInfo;
  give_kafka_notice(options, ours,
                    fmt::format("{}: {}{}", facility, text,
                                kept_back == 0 ? "" : fmt::format(" (and {} such lines before)", kept_back)));
}

void KafkaClosings::close(rd_kafka_s* handle) {
  Closing closing;
  closing.done = std::make_shared<std::atomic<bool>>(false);
  closing.thread = std::thread([handle, done = closing.done] {
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    *done = true;
  });
  const std::lock_guard lock(mutex_);
  closing_.push_back(std::move(closing));
}

void KafkaClosings::reap() {
  const std::lock_guard lock(mutex_);
  std::erase_if(closing_, [](Closing& closing) {
    const bool done = *closing.done;
    if (done) closing.thread.join();
    return done;
  });
}

bool KafkaClosings::finish() {
  const std::lock_guard lock(mutex_);
  bool all = true;
  const auto until = Clock::now() + kCloseTimeout;
  for (Closing& closing : closing_) {
    while (!*closing.done && Clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (*closing.done) {
      closing.thread.join();
    } else {
      closing.thread.detach();
      all = false;
    }
  }
  closing_.clear();
  return all;
}

}  // namespace backstream::transport
