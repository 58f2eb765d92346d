#pragma once
// How Kafka is spoken to, by all that do so, and what it says.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace backstream::transport {

/// What librdkafka says, or we about it.
struct KafkaNotice {
  enum class Level : uint8_t { kError, kWarning, kInfo } level = Level::kInfo;
  std::string text;  ///< one line
};

struct KafkaOptions {
  std::vector<std::string> brokers;  ///< "HOST:PORT", at least one
  /// Of librdkafka, by its names, secrets among them; each is one that kafka_property_fault() takes.
  std::vector<std::pair<std::string, std::string>> properties;
  /// What append() takes at most when brokers do not answer; at least 100 ms.
  std::chrono::milliseconds append_timeout{30'000};
  /// The same for everything else.
  std::chrono::milliseconds request_timeout{10'000};
  uint64_t queue_octets = 64 << 20;  ///< records that are on their way to the brokers, of all logs together
  /// Records that were fetched before they are asked for, of all partitions of a log together. At least
  /// kReadOctetsMin a partition are used.
  uint64_t read_octets = 64 << 20;
  uint32_t read_partitions = 32;  ///< that read_octets are divided by
  /// The producer's, which then writes in transactions alone (kafka_transactions.h); empty: it writes without.
  std::string transactional_id;
  /// The consumer's, which joins no group: who asks for places of one must name it. 2.0.2 tells its own group that a
  /// coordinator has moved, and ends the process where it has none (rd_kafka_handle_OffsetFetch). Empty: none.
  std::string group;
  /// Gets the lines of librdkafka, the same one at most every 10 s, and warnings. Called by a thread of the connection
  /// or by who opens a log; null: they are dropped.
  std::function<void(const KafkaNotice&)> notice;

  static constexpr uint64_t kReadOctetsMin = 1 << 20;
  /// Records are sent in batches of so many octets at most, or one by one where they are larger.
  static constexpr size_t kBatchOctets = 1'000'000;
  static constexpr size_t kRecordOctetsMax = 64 << 20;  ///< that any log may append
};

/// Why a property cannot be passed on to librdkafka: it has none of that name, it does not take the value, or it is not
/// the operator's to set. Opens nothing.
struct KafkaPropertyFault {
  std::string message;
  std::string hint;  ///< may be empty
};
std::optional<KafkaPropertyFault> kafka_property_fault(const std::string& name, const std::string& value);

}  // namespace backstream::transport
