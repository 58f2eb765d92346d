#include "transport/kafka_topic.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <thread>

namespace backstream::transport {
namespace {

using base::fail;
using base::Result;
using Clock = std::chrono::steady_clock;
using Cleanup = KafkaTopicOptions::Cleanup;
using Config = std::map<std::string, std::string, std::less<>>;

constexpr std::chrono::milliseconds kRetryPause{50};
constexpr size_t kBatchOverhead =
    512;  // Of a record in a batch of its own: 61 octets for the batch, 30 for the record.

int left_ms(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 1, INT32_MAX));
}

struct Layout {
  enum class Is : uint8_t { kThere, kMissing, kUnknown } is = Is::kUnknown;
  uint32_t partitions = 0;
  int replicas = 0;    // The fewest that a partition has.
  bool ready = false;  // Each partition has a leader.
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
};

class Preparation {
 public:
  Preparation(KafkaConnection& connection, const KafkaTopicOptions& options, Clock::time_point until)
      : connection_(connection), options_(options), until_(until), client_(connection.consumer()) {}

  Result<void> run() {
    auto layout = await(false);
    if (!layout) return tl::unexpected(std::move(layout.error()));
    if (layout->is == Layout::Is::kMissing) {
      if (!options_.create) return missing("and is not to be made (kafka.create_topics = false)", "42704");
      if (auto made = create(false); !made) return made;
      layout = await(true);
      if (!layout) return tl::unexpected(std::move(layout.error()));
    }
    if (layout->partitions != options_.partition_count) return wrong_partitions(*layout);
    return check_config(*layout);
  }

  /// As it is. @param make  false: whether it could be made is asked
  Result<uint32_t> find(bool make) {
    auto layout = await(false);
    if (!layout) return tl::unexpected(std::move(layout.error()));
    if (layout->is == Layout::Is::kThere) return layout->partitions;
    if (!options_.create) {
      auto refused = missing("and is not to be made (kafka.create_topics = false)", "42704");
      return tl::unexpected(std::move(refused.error()));
    }
    if (auto made = create(!make); !made) return tl::unexpected(std::move(made.error()));
    if (!make) return 0U;
    layout = await(true);
    if (!layout) return tl::unexpected(std::move(layout.error()));
    return layout->partitions;
  }

 private:
  std::string command(std::string_view tool, std::string_view arguments) const {
    return kafka_command(connection_.options(), tool, arguments);
  }

  std::vector<std::pair<std::string, std::string>> wanted_config() const {
    std::vector<std::pair<std::string, std::string>> wanted;
    if (options_.cleanup != Cleanup::kCompact) {
      wanted.emplace_back("cleanup.policy", options_.cleanup == Cleanup::kDelete ? "delete" : "compact,delete");
      wanted.emplace_back("retention.ms", std::to_string(options_.retention.count()));
    } else {
      wanted.emplace_back("cleanup.policy", "compact");
      wanted.emplace_back("retention.ms", "-1");
    }
    const int in_sync = options_.min_insync_replicas > 0 ? options_.min_insync_replicas
                        : options_.replication >= 3      ? 2
                                                         : 0;
    if (in_sync > 0) wanted.emplace_back("min.insync.replicas", std::to_string(in_sync));
    if (octets_needed() > 1'048'588)  // What brokers take by default.
      wanted.emplace_back("max.message.bytes", std::to_string(octets_needed()));
    return wanted;
  }
  size_t octets_needed() const {
    return std::max(options_.record_octets_max + KafkaLog::kRecordHead, KafkaOptions::kBatchOctets) + kBatchOverhead;
  }

  Result<void> missing(std::string_view why, std::string_view code) const {
    std::string config;
    for (const auto& [name, value] : wanted_config()) config.append(fmt::format(" --config {}={}", name, value));
    return fail(
        code, fmt::format("there is no topic '{}' {}", options_.name, why), {},
        command("kafka-topics",
                fmt::format("--create --topic {} --partitions {}{}{}", options_.name, options_.partition_count,
                            options_.replication > 0 ? fmt::format(" --replication-factor {}", options_.replication)
                                                     : std::string(),
                            config)));
  }

  Result<void> wrong_partitions(const Layout& layout) const {
    if (options_.cleanup == Cleanup::kCompact) {  // Nothing makes partitions fewer.
      return fail("55000",
                  fmt::format("topic '{}' has {} partitions, not {}: its records have no order", options_.name,
                              layout.partitions, options_.partition_count),
                  {},
                  fmt::format("another kafka.prefix; or, if nothing of worth is in it: {}",
                              command("kafka-topics", fmt::format("--delete --topic {}", options_.name))));
    }
    std::string hint = fmt::format("kafka.partitions = {} on every node, or another kafka.prefix", layout.partitions);
    if (layout.partitions < options_.partition_count) {
      hint += fmt::format("; while nothing was written: {}",
                          command("kafka-topics", fmt::format("--alter --topic {} --partitions {}", options_.name,
                                                              options_.partition_count)));
    }
    return fail(
        "55000",
        fmt::format("topic '{}' has {} partitions, not {}", options_.name, layout.partitions, options_.partition_count),
        {}, std::move(hint));
  }

  Layout look() const {
    Layout layout;
    rd_kafka_topic_t* topic = rd_kafka_topic_new(client_.get(), options_.name.c_str(), nullptr);
    if (topic == nullptr) return layout;
    const rd_kafka_metadata_t* metadata = nullptr;
    layout.error = rd_kafka_metadata(client_.get(), 0, topic, &metadata, std::min(left_ms(until_), 2'000));
    if (layout.error == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1) {
      const rd_kafka_metadata_topic& found = metadata->topics[0];
      layout.error = found.err;
      if (found.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) layout.is = Layout::Is::kMissing;
      if (found.err == RD_KAFKA_RESP_ERR_NO_ERROR && found.partition_cnt > 0) {
        layout.is = Layout::Is::kThere;
        layout.partitions = static_cast<uint32_t>(found.partition_cnt);
        layout.replicas = INT32_MAX;
        layout.ready = true;
        for (int p = 0; p < found.partition_cnt; ++p) {
          layout.replicas = std::min(layout.replicas, found.partitions[p].replica_cnt);
          layout.ready = layout.ready && found.partitions[p].leader >= 0;
        }
      }
    }
    if (metadata != nullptr) rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
    return layout;
  }

  /// Until the brokers say what there is.
  Result<Layout> await(bool must_be_there) const {
    Layout layout;
    while (true) {
      layout = look();
      if (layout.is == Layout::Is::kThere && (layout.ready || !must_be_there)) return layout;
      if (layout.is == Layout::Is::kMissing && !must_be_there) return layout;
      if (layout.error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
        return fail("42501", fmt::format("no right to see topic '{}'", options_.name), {},
                    kafka_acls_command(connection_.options(), "Describe", "topic", options_.name) +
                        " (and what else its role needs: docs/operations.md, \"Rights\")");
      }
      if (layout.error == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
        return fail("22023", fmt::format("'{}' cannot name a topic", options_.name), {}, "change kafka.prefix");
      if (Clock::now() + kRetryPause >= until_) break;
      std::this_thread::sleep_for(kRetryPause);
    }
    std::string brokers;
    for (const std::string& broker : connection_.options().brokers)
      brokers.append(brokers.empty() ? "" : ", ").append(broker);
    const std::string last = connection_.last_error();
    if (connection_.credentials_refused()) {
      return fail("28000", fmt::format("Kafka at {} refuses the credentials: {}", brokers, last), {},
                  kafka_credentials_hint(connection_.options()));
    }
    if (layout.is != Layout::Is::kUnknown) {
      return fail("55000", fmt::format("topic '{}' has partitions without a leader", options_.name), {},
                  command("kafka-topics", fmt::format("--describe --topic {}", options_.name)));
    }
    return fail(
        "08001",
        fmt::format("Kafka at {} does not answer: {}", brokers, last.empty() ? rd_kafka_err2str(layout.error) : last),
        {}, "kafka.brokers = ['HOST:9092'], and security.protocol as the brokers' listener has it");
  }

  /// The event of an admin request, null: none in time. The caller frees it.
  template <typename Ask>
  rd_kafka_event_t* ask(Clock::time_point until, Ask asked) const {
    rd_kafka_queue_t* queue = rd_kafka_queue_new(client_.get());
    asked(queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, left_ms(until) + 500);
    rd_kafka_queue_destroy(queue);
    return event;
  }
  rd_kafka_AdminOptions_t* admin_options(rd_kafka_admin_op_t operation, Clock::time_point until) const {
    rd_kafka_AdminOptions_t* admin = rd_kafka_AdminOptions_new(client_.get(), operation);
    rd_kafka_AdminOptions_set_request_timeout(admin, left_ms(until), nullptr, 0);
    return admin;
  }

  /// @param only_ask  the brokers say whether they would
  Result<void> create(bool only_ask) const {
    std::array<char, 512> error{};
    rd_kafka_NewTopic_t* topic =
        rd_kafka_NewTopic_new(options_.name.c_str(), static_cast<int>(options_.partition_count),
                              options_.replication > 0 ? options_.replication : -1, error.data(), error.size());
    if (topic == nullptr) return fail("22023", fmt::format("topic '{}': {}", options_.name, error.data()));
    for (const auto& [name, value] : wanted_config()) rd_kafka_NewTopic_set_config(topic, name.c_str(), value.c_str());
    rd_kafka_AdminOptions_t* admin = admin_options(RD_KAFKA_ADMIN_OP_CREATETOPICS, until_);
    rd_kafka_AdminOptions_set_operation_timeout(admin, left_ms(until_), nullptr, 0);
    rd_kafka_AdminOptions_set_validate_only(admin, only_ask ? 1 : 0, nullptr, 0);
    rd_kafka_event_t* event =
        ask(until_, [&](rd_kafka_queue_t* queue) { rd_kafka_CreateTopics(client_.get(), &topic, 1, admin, queue); });
    rd_kafka_AdminOptions_destroy(admin);
    rd_kafka_NewTopic_destroy(topic);
    const std::unique_ptr<rd_kafka_event_t, void (*)(rd_kafka_event_t*)> held(event, rd_kafka_event_destroy);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    std::string text = rd_kafka_err2str(code);
    if (event != nullptr) {
      code = rd_kafka_event_error(event);
      if (const char* said = rd_kafka_event_error_string(event); said != nullptr) text = said;
      size_t count = 0;
      const auto* result = rd_kafka_event_CreateTopics_result(event);
      const auto* const* topics = result == nullptr ? nullptr : rd_kafka_CreateTopics_result_topics(result, &count);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR && count == 1) {
        code = rd_kafka_topic_result_error(topics[0]);
        const char* said = rd_kafka_topic_result_error_string(topics[0]);
        text = said == nullptr ? rd_kafka_err2str(code) : said;
      }
    }
    switch (code) {
      case RD_KAFKA_RESP_ERR_NO_ERROR:
        if (!only_ask) connection_.tell(KafkaNotice::Level::kInfo, fmt::format("topic '{}' was made", options_.name));
        return {};
      case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: return {};  // Another node was quicker.
      case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return missing("and no right to make it (Create on the topic)", "42501");
      case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
      case RD_KAFKA_RESP_ERR__TIMED_OUT:
      case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        return missing(fmt::format("and the brokers do not make it: {}", text), "08001");
      default: return missing(fmt::format("and it cannot be made: {}", text), "55000");
    }
  }

  /// Nothing: they cannot be had, which was told.
  std::optional<Config> read_config() const {
    rd_kafka_ConfigResource_t* resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, options_.name.c_str());
    const auto until = std::min(until_, Clock::now() + options_.check_timeout);
    rd_kafka_AdminOptions_t* admin = admin_options(RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, until);
    rd_kafka_event_t* event = ask(
        until, [&](rd_kafka_queue_t* queue) { rd_kafka_DescribeConfigs(client_.get(), &resource, 1, admin, queue); });
    rd_kafka_AdminOptions_destroy(admin);
    rd_kafka_ConfigResource_destroy(resource);
    const std::unique_ptr<rd_kafka_event_t, void (*)(rd_kafka_event_t*)> held(event, rd_kafka_event_destroy);
    rd_kafka_resp_err_t code = event == nullptr ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event);
    Config config;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      size_t count = 0, entries = 0;
      const auto* result = rd_kafka_event_DescribeConfigs_result(event);
      const auto* const* resources =
          result == nullptr ? nullptr : rd_kafka_DescribeConfigs_result_resources(result, &count);
      if (count == 1) {
        code = rd_kafka_ConfigResource_error(resources[0]);
        const auto* const* found = rd_kafka_ConfigResource_configs(resources[0], &entries);
        for (size_t i = 0; i < entries; ++i) {
          const char* value = rd_kafka_ConfigEntry_value(found[i]);
          config.emplace(rd_kafka_ConfigEntry_name(found[i]), value == nullptr ? "" : value);
        }
      }
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && !config.empty()) return config;
    connection_.tell(KafkaNotice::Level::kWarning,
                     fmt::format("the settings of topic '{}' could not be checked: {} (right DescribeConfigs on the "
                                 "topic)",
                                 options_.name, rd_kafka_err2str(code)));
    return std::nullopt;
  }

  static std::string_view text_of(const Config& config, std::string_view name) {
    const auto found = config.find(name);
    return found == config.end() ? std::string_view() : found->second;
  }
  static std::optional<int64_t> number_of(const Config& config, std::string_view name) {
    const std::string_view text = text_of(config, name);
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
  }

  Result<void> check_config(const Layout& layout) const {
    const auto config = read_config();
    if (!config) return {};
    std::string faults, mends;
    const auto wrong = [&](std::string_view name, std::string_view why, const std::string& wanted) {
      faults.append(fmt::format("{}{} is '{}' ({})", faults.empty() ? "" : ", ", name, text_of(*config, name), why));
      mends.append(mends.empty() ? "" : ",").append(fmt::format("{}={}", name, wanted));
    };
    if (options_.cleanup == Cleanup::kDelete) {
      if (text_of(*config, "cleanup.policy") != "delete")
        wrong("cleanup.policy", "compaction would drop records that are still to be read", "delete");
      const auto retention = number_of(*config, "retention.ms");
      if (retention && *retention >= 0 && *retention < options_.retention.count()) {
        wrong("retention.ms", fmt::format("at least {} is needed", options_.retention.count()),
              std::to_string(options_.retention.count()));
      }
    } else {
      if (text_of(*config, "cleanup.policy") != "compact")
        wrong("cleanup.policy", "what is to be kept would be deleted", "compact");
      // Nothing to a topic that is only compacted, and all to one whose policy somebody changes.
      if (const auto retention = number_of(*config, "retention.ms"); retention && *retention >= 0)
        wrong("retention.ms", "what is to be kept would be deleted", "-1");
      const auto tombstones = number_of(*config, "delete.retention.ms");
      if (tombstones && *tombstones < options_.tombstones_kept.count()) {
        wrong("delete.retention.ms", fmt::format("at least {} is needed", options_.tombstones_kept.count()),
              std::to_string(options_.tombstones_kept.count()));
      }
    }
    const auto in_sync = number_of(*config, "min.insync.replicas");
    if (in_sync && *in_sync < options_.min_insync_replicas) {
      wrong("min.insync.replicas", fmt::format("at least {} is asked for", options_.min_insync_replicas),
            std::to_string(options_.min_insync_replicas));
    }
    if (in_sync && *in_sync > layout.replicas) {
      wrong("min.insync.replicas", fmt::format("there are {} replicas: nothing can be written", layout.replicas),
            std::to_string(std::max(1, layout.replicas - 1)));
    }
    const auto octets = number_of(*config, "max.message.bytes");
    if (octets && *octets < static_cast<int64_t>(octets_needed())) {
      wrong("max.message.bytes", fmt::format("at least {} is needed", octets_needed()),
            std::to_string(octets_needed()));
    }
    if (text_of(*config, "unclean.leader.election.enable") == "true")
      wrong("unclean.leader.election.enable", "records that were acknowledged could be lost", "false");
    if (!faults.empty()) {
      return fail("55000", fmt::format("topic '{}': {}", options_.name, faults), {}, alter(mends));
    }
    warn(*config, layout, in_sync);
    return {};
  }

  std::string alter(const std::string& config) const {
    return command("kafka-configs",
                   fmt::format("--entity-type topics --entity-name {} --alter --add-config {}", options_.name, config));
  }

  /// What may be meant so.
  void warn(const Config& config, const Layout& layout, std::optional<int64_t> in_sync) const {
    if (options_.min_insync_replicas == 0 && layout.replicas >= 3 && in_sync == 1) {
      connection_.tell(KafkaNotice::Level::kWarning,
                       fmt::format("topic '{}' acknowledges what one broker of {} has; to keep it when that one is "
                                   "lost: {}",
                                   options_.name, layout.replicas, alter("min.insync.replicas=2")));
    }
    const auto octets = number_of(config, "retention.bytes");
    if (options_.cleanup == Cleanup::kDelete && octets && *octets >= 0) {
      connection_.tell(KafkaNotice::Level::kWarning,
                       fmt::format("topic '{}' keeps {} octets a partition at most (retention.bytes), perhaps for less "
                                   "than {} s",
                                   options_.name, *octets, options_.retention.count() / 1000));
    }
  }

  KafkaConnection& connection_;
  const KafkaTopicOptions& options_;
  const Clock::time_point until_;
  const KafkaClient client_;
};

}  // namespace

Result<void> prepare_kafka_topic(KafkaConnection& connection, const KafkaTopicOptions& options,
                                 Clock::time_point until) {
  return Preparation(connection, options, until).run();
}

Result<uint32_t> find_or_make_kafka_topic(KafkaConnection& connection, const KafkaTopicOptions& options,
                                          Clock::time_point until) {
  return Preparation(connection, options, until).find(true);
}

Result<uint32_t> look_for_kafka_topic(KafkaConnection& connection, const KafkaTopicOptions& options,
                                      Clock::time_point until) {
  return Preparation(connection, options, until).find(false);
}

}  // namespace backstream::transport
