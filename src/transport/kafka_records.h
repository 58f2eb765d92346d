#pragma once
// Records of topics as anybody has written them: no head of ours, no deployment (docs/design/0026-flows-by-kafka.md).
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "transport/kafka_connection.h"

namespace backstream::transport {

/// One that was read. `value` is valid until the next read.
struct KafkaRecord {
  uint32_t topic = 0;  ///< index in KafkaReadOptions::topics
  uint32_t partition = 0;
  uint64_t offset = 0;
  int64_t time_ms = 0;  ///< since 1970, as its producer or broker says
  std::span<const uint8_t> value;
};

/// Where reading of a partition goes on.
struct KafkaPlace {
  std::string topic;
  uint32_t partition = 0;
  uint64_t next = 0;  ///< offset
  bool operator==(const KafkaPlace&) const = default;
};

struct KafkaReadOptions {
  struct Topic {
    std::string name;
    uint32_t first_partition = 0, last_partition = UINT32_MAX;  ///< that are read, of those that there are
  };
  std::vector<Topic> topics;
  /// Of partitions without a place: from the first record that is kept, not from the next one that comes.
  bool from_begin = false;
  std::vector<KafkaPlace> places;
  size_t block_records = 512;
  size_t block_octets = 4 << 20;  ///< of a block; one record may have more
};

/// Since the reader was opened.
struct KafkaReadCounts {
  struct Topic {
    uint64_t records = 0, octets = 0;
    uint64_t lost = 0;      ///< offsets that were passed over: removed before they were read, or damaged
    uint64_t failures = 0;  ///< what brokers answered instead of records
    uint64_t behind = 0;    ///< records that are known to be there and were not read yet, now
    uint32_t partitions = 0;
  };
  std::vector<Topic> topics;  ///< as those of the options
  std::string last_error;     ///< of the connection
};

/// Reads partitions of topics by offsets of its own, in no consumer group. Of several partitions the oldest record
/// comes first, by its time, as long as all of them have some to give: who catches up reads all exporters at about the
/// same time. In a partition the order is that of its offsets. Partitions that are added to a topic are found within a
/// minute and read from their begin. One thread.
class KafkaRecords {
 public:
  /// Errors: 08001 no broker answers; 42704 there is no such topic, or it has none of the partitions.
  static base::Result<std::unique_ptr<KafkaRecords>> open(std::shared_ptr<KafkaConnection> connection,
                                                          const KafkaReadOptions& options);
  ~KafkaRecords();
  KafkaRecords(const KafkaRecords&) = delete;
  KafkaRecords& operator=(const KafkaRecords&) = delete;

  /// The next records; none: nothing came in that time, or brokers do not answer. Gives back the memory of the last
  /// ones.
  std::span<const KafkaRecord> read(std::chrono::milliseconds wait);
  /// Behind the records that read() has given.
  std::vector<KafkaPlace> places() const;
  KafkaReadCounts counts() const;

 private:
  struct State;
  explicit KafkaRecords(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

}  // namespace backstream::transport
