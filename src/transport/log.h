#pragma once
// The log between the halves of a plan: numbered partitions of byte records, each in one order for all readers. Moves
// bytes and knows no flows. Memory, file and Kafka keep the same contract (log_conformance.h).
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace backstream::transport {

enum class LogStatus : uint8_t {
  kOk,
  kFull,       ///< append: the log holds all that it may; again when readers have trimmed
  kTooLarge,   ///< append: the record alone is more than the log may hold, or ever carries
  kTrimmed,    ///< read: the offset lies before what is kept; what was there is lost to this reader
  kLost,       ///< read: a record was, or may have been, here and can no longer be read
  kBeyondEnd,  ///< read: the offset lies behind the end
  /// The machine behind the log cannot be reached, or does not answer in time; again later. Of append: whether the
  /// record is in the log is not known (of the logs here only Kafka's can have taken it); who appends it again has
  /// readers that drop repeats.
  kUnavailable,
};
std::string_view name(LogStatus status);

struct LogRecord {
  uint64_t offset = 0;  ///< place in its partition: grows with each record, gaps are allowed
  std::vector<uint8_t> bytes;
};

class Log {
 public:
  static constexpr size_t kReadRecordsMax = 16'384;

  virtual ~Log() = default;

  virtual uint32_t partition_count() const = 0;

  struct Appended {
    LogStatus status = LogStatus::kOk;
    uint64_t offset = 0;  ///< of the record, when kOk
  };
  /// Adds a record (0 octets are allowed) behind all others of the partition (< partition_count()). When it returns kOk
  /// the record is as durable as the log is, and readers see it. A refused record is not in the log (but see
  /// kUnavailable): nothing is dropped in silence, the caller keeps it or counts it. Any thread.
  virtual Appended append(uint32_t partition, std::span<const uint8_t> bytes) = 0;

  struct Addition {
    uint32_t partition = 0;
    std::span<const uint8_t> bytes;
  };
  /// As append() for each, those of a partition in their order, and waits once for all of them: for a log behind a
  /// network the time of one record, not of all.
  /// @param results  replaced: one an addition. Those that are not kOk are to be appended again, or counted
  /// @return         kOk: all are in the log. Else what the first was refused with; later ones may be in the log all
  /// the
  ///                 same, those that were not tried have the same status. Any thread.
  virtual LogStatus append_all(std::span<const Addition> additions, std::vector<Appended>& results) {
    results.assign(additions.size(), Appended{});
    for (size_t i = 0; i < additions.size(); ++i) {
      results[i] = append(additions[i].partition, additions[i].bytes);
      if (results[i].status == LogStatus::kOk) continue;
      const LogStatus refused = results[i].status;
      for (++i; i < additions.size(); ++i) results[i].status = refused;
      return refused;
    }
    return LogStatus::kOk;
  }

  /// Appends to `out` the records from `offset` on, in order: as many as fit in `octets_max`, but the first one always.
  /// At the end: kOk and nothing. The next call takes the last offset + 1. Never more than kReadRecordsMax: records may
  /// be empty. Nothing that is lost is passed over: reading ends before it, and from there gives kLost. Any thread.
  virtual LogStatus read(uint32_t partition, uint64_t offset, size_t octets_max, std::vector<LogRecord>& out) = 0;

  /// The first offset that is kept, and the one that the next record will not be below. Any thread.
  virtual uint64_t begin_offset(uint32_t partition) const = 0;
  virtual uint64_t end_offset(uint32_t partition) const = 0;

  /// The first offset, from `offset` on, whose record can be read; the end where there is none. After kTrimmed and
  /// kLost a reader that wants to go on does so here, and counts what lies between. Any thread.
  virtual uint64_t resume_offset(uint32_t partition, uint64_t offset) = 0;

  /// The readers need nothing before `offset` any more (beyond the end: the end); its room may be used again. Any
  /// thread.
  virtual void trim(uint32_t partition, uint64_t offset) = 0;
};

}  // namespace backstream::transport
