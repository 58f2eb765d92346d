#pragma once
// One partition of records that have keys, of which the brokers drop, at some time, all but the last of a key: a
// compacted topic. Moves bytes and knows no catalog. Kafka (kafka_keyed_log.h) and memory (memory_keyed_log.h) keep the
// same contract.
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "transport/log.h"

namespace backstream::transport {

struct KeyedRecord {
  enum class Is : uint8_t {
    kValue,
    kTombstone,  ///< the key has no value any more; it goes itself after a while
    kForeign,    ///< somebody else wrote it, or another deployment; `value` is empty
    kDamaged,    ///< ours, but the value is not what was written; `value` is empty, and of a place `key`, too
  } is = Is::kValue;
  uint64_t offset = 0;
  uint64_t span = 1;  ///< offsets that it stands for: more than 1 of a place that cannot be read at all
  std::string key, value;
};

class KeyedLog {
 public:
  virtual ~KeyedLog() = default;

  struct Addition {
    std::string_view key;                   ///< 1 to kKeyOctetsMax octets
    std::optional<std::string_view> value;  ///< nullopt: a tombstone
  };
  static constexpr size_t kKeyOctetsMax = 200;
  /// As Log::append_all(): behind all others, in this order, and waits once for all of them. Any thread.
  virtual LogStatus append_all(std::span<const Addition> additions, std::vector<Log::Appended>& results) = 0;
  Log::Appended append(std::string_view key, std::optional<std::string_view> value) {
    const Addition addition{key, value};
    std::vector<Log::Appended> results;
    append_all({&addition, 1}, results);
    return results[0];
  }

  /// Appends to `out` what there is from `offset` on, in order, foreign and damaged records with it: where compaction
  /// took none away each offset is there. At the end it waits up to `patience` for more, then: kOk and nothing.
  /// @param next  the offset to go on from: nothing is between the last record and it
  /// @return      kTrimmed, kBeyondEnd, kUnavailable as Log::read(). One reader; any thread
  virtual LogStatus read(uint64_t offset, size_t octets_max, std::chrono::milliseconds patience,
                         std::vector<KeyedRecord>& out, uint64_t& next) = 0;

  /// As the machine behind the log says it now; nullopt: it does not answer. Any thread.
  virtual std::optional<uint64_t> begin_offset() = 0;
  virtual std::optional<uint64_t> end_offset() = 0;

  virtual size_t record_octets_max() const = 0;  ///< of a value
  virtual std::string last_error() const = 0;    ///< of the machine; may be empty
};

}  // namespace backstream::transport
