#pragma once
// A log in a topic of Apache Kafka (docs/design/0024-kafka-log.md).
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "transport/kafka_connection.h"
#include "transport/keyed_log.h"
#include "transport/log.h"

namespace backstream::transport {

struct KafkaTopicOptions {
  std::string name;  ///< whole, as the brokers know it: kafka_topic_name()
  uint32_t partition_count = 32;
  enum class Cleanup : uint8_t {
    kDelete,   ///< records go when they are older than `retention`
    kCompact,  ///< the last record of a key stays for ever
    /// The last record of a key, of those that are no older than `retention`. Of topics that are made; no log is one.
    kCompactAndDelete,
  } cleanup = Cleanup::kDelete;
  std::chrono::milliseconds retention{86'400'000};  ///< not of kCompact: at least so long
  int replication = 0;                              ///< of a topic that is made; 0: what the brokers do by default
  /// 0: that of the brokers, of a topic that is made with three or more replicas 2.
  int min_insync_replicas = 0;
  bool create = true;  ///< make it where it is missing
  /// Of the largest record that append() takes.
  size_t record_octets_max = 900'000;
  /// Goes into the checksum of each record: those of another deployment are told from ours. Any text.
  std::string deployment = {};
  /// kCompact: for how long at least a reader can find out that a key was removed (delete.retention.ms).
  std::chrono::milliseconds tombstones_kept{3'600'000};
  /// For the brokers to say how the topic is set; then it is not checked.
  std::chrono::milliseconds check_timeout{3'000};
};

/// "PREFIX.NAME".
std::string kafka_topic_name(std::string_view prefix, std::string_view name);

/// What went wrong since a log was opened.
struct KafkaLogFaults {
  uint64_t append_failures = 0;  ///< records that were refused with kUnavailable
  uint64_t append_full = 0;      ///< with kFull
  uint64_t read_failures = 0;    ///< calls that gave kUnavailable
  uint64_t query_failures = 0;   ///< begin_offset(), end_offset(): the last known ones were given
  uint64_t trims_refused = 0;    ///< left to retention: no right to, or the broker cannot
  uint64_t trim_failures = 0;    ///< the brokers did not answer
  uint64_t lost_records = 0;     ///< damaged or of an unknown version, as many as are known
  uint64_t lost_places = 0;      ///< runs of them
  uint64_t foreign_records = 0;  ///< passed over: written by others, or by another deployment
  uint64_t repeats_dropped = 0;  ///< records that the client gave again after it had moved
  uint64_t producers_replaced = 0, consumers_replaced = 0;  ///< of the connection
  std::string last_error;                                   ///< of the connection
};

/// How durable: kOk means that all replicas in sync have the record, at least min.insync.replicas. A record whose
/// append gave kUnavailable may be in the log, also later, and then perhaps behind records that were appended after it;
/// of what gave kOk each is there once, those of a call in their order.
///
/// The brokers bound the log (retention), hence kFull means here that too much is on its way to them. Offsets may have
/// gaps: compacted records, marks of transactions, what others wrote. A record is kRecordHead octets larger in the
/// topic: it has a checksum of its own. Where records were damaged on the brokers' disks, or on their way, read() gives
/// kLost.
///
/// A reader that goes on where it stopped is quick; another place in the same partition costs two or three round trips
/// and throws away what was fetched. So one reader a partition is right. When brokers do not answer each call gives
/// kUnavailable after the timeouts of the connection's options; a little longer when they answer in part.
///
/// Any thread. One KafkaLog for a topic and connection.
class KafkaLog : public Log {
 public:
  static constexpr uint32_t kPartitionsMax = 10'000;
  /// "BSL" and the version 1; 32 bits of the XXH3 of what follows and the payload's length, 64 bits that of the
  /// payload, both little-endian and seeded with that of the deployment.
  static constexpr size_t kRecordHead = 16;

  /// Checks the topic, or makes it. What cannot be checked for want of rights is told as a warning.
  /// Errors: 08001 no broker answers; 28000 they refuse the credentials; 42501 a right is missing; 42704 there is no
  /// such topic, and it is not to be made; 55000 it is not as it must be, with the command that mends it as hint.
  static base::Result<std::unique_ptr<KafkaLog>> open(std::shared_ptr<KafkaConnection> connection,
                                                      const KafkaTopicOptions& options);
  ~KafkaLog() override;
  KafkaLog(const KafkaLog&) = delete;
  KafkaLog& operator=(const KafkaLog&) = delete;

  uint32_t partition_count() const override { return options_.partition_count; }
  Appended append(uint32_t partition, std::span<const uint8_t> bytes) override;
  LogStatus append_all(std::span<const Addition> additions, std::vector<Appended>& results) override;
  LogStatus read(uint32_t partition, uint64_t offset, size_t octets_max, std::vector<LogRecord>& out) override;
  /// Ask the brokers; the last known ones when they do not answer.
  uint64_t begin_offset(uint32_t partition) const override;
  uint64_t end_offset(uint32_t partition) const override;
  /// May have to look for the end of what is damaged, with some ten requests, each of up to a second.
  uint64_t resume_offset(uint32_t partition, uint64_t offset) override;
  /// Where the brokers do not allow it (right DELETE on the topic) retention does it, and faults() counts.
  void trim(uint32_t partition, uint64_t offset) override;

  /// What KafkaKeyedLog is made of, on topics with compaction. A record's key is in both of its checksums.
  LogStatus append_keyed(uint32_t partition, std::span<const KeyedLog::Addition> additions,
                         std::vector<Appended>& results);
  /// As KeyedLog::read(), and kLost as read().
  LogStatus read_keyed(uint32_t partition, uint64_t offset, size_t octets_max, std::chrono::milliseconds patience,
                       std::vector<KeyedRecord>& out, uint64_t& next);
  /// The end, or the begin, as the brokers say it now; nullopt: they do not answer.
  std::optional<uint64_t> ask_offset(uint32_t partition, bool end) const;

  /// Nobody here reads the partition any more: gives back what was fetched of it, and fetches no more.
  void stop_reading(uint32_t partition);

  size_t record_octets_max() const { return options_.record_octets_max; }
  KafkaLogFaults faults() const;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Reader;   // Of a partition.
  struct Message;  // One that was fetched.

  KafkaLog(std::shared_ptr<KafkaConnection> connection, const KafkaTopicOptions& options);
  Time deadline() const;
  std::shared_ptr<KafkaTopicHandle> producer_topic();
  std::shared_ptr<KafkaTopicHandle> consumer_topic() const;
  std::optional<uint64_t> query(uint32_t partition, bool end, Time until) const;
  bool query(std::span<const uint32_t> partitions, bool end, Time until) const;
  LogStatus unavailable();

  struct Outgoing {
    uint32_t partition = 0;
    std::span<const uint8_t> bytes;
    std::optional<std::string_view> key = {};
    bool tombstone = false;
  };
  LogStatus append_outgoing(std::span<const Outgoing> all, std::vector<Appended>& results);
  LogStatus produce(KafkaTopicHandle& topic, const Outgoing& record, KafkaDeliveries& deliveries, size_t index,
                    Time until);
  LogStatus place(Reader& r, uint64_t offset, Time until);
  bool start(Reader& r, uint64_t offset);
  void stop(Reader& r);
  enum class Kind : uint8_t { kRecord, kForeign, kDamaged };
  Kind kind_of(const Message& taken) const;
  Message take(Reader& r, Time until);
  enum class Step : uint8_t { kRecord, kDamaged, kForeign, kNothing, kEvent };
  Step next_record(Reader& r, Message& record, LogStatus& status, Time until, bool foreign_too = false);
  void await_more(Reader& r, Time until);
  LogStatus on_event(Reader& r, const Message& event, Time until);
  bool at_end(const Reader& r) const;
  LogStatus prove_end(Reader& r, Time until);
  LogStatus on_stall(Reader& r);
  enum class Probe : uint8_t { kRecord, kDamage, kEnd, kUnknown };
  Probe probe(Reader& r, uint64_t offset, uint64_t& found, Time until);
  bool pass_damage(Reader& r, uint64_t offset, uint64_t end, uint64_t& found);
  uint64_t pass_damaged_records(Reader& r, Time until);

  const std::shared_ptr<KafkaConnection> connection_;
  const KafkaTopicOptions options_;
  const uint64_t seed_;
  std::vector<std::unique_ptr<Reader>> readers_;
  mutable std::mutex topics_mutex_;
  std::shared_ptr<KafkaTopicHandle> producing_;          // Under topics_mutex_.
  mutable std::shared_ptr<KafkaTopicHandle> consuming_;  // Under topics_mutex_.
  std::atomic<int64_t> trim_again_ms_{0};                // After a refusal.

  mutable std::atomic<uint64_t> append_failures_{0}, append_full_{0}, read_failures_{0}, query_failures_{0},
      trims_refused_{0}, trim_failures_{0}, lost_records_{0}, lost_places_{0}, foreign_records_{0}, repeats_dropped_{0};
};

}  // namespace backstream::transport
