#include "transport/kafka_keyed_log.h"

#include <utility>

namespace backstream::transport {

base::Result<std::unique_ptr<KeyedLog>> KafkaKeyedLog::open(std::shared_ptr<KafkaConnection> connection,
                                                            KafkaTopicOptions options) {
  options.partition_count = 1;
  options.cleanup = KafkaTopicOptions::Cleanup::kCompact;
  auto log = KafkaLog::open(std::move(connection), options);
  if (!log) return tl::unexpected(std::move(log.error()));
  return std::unique_ptr<KeyedLog>(new KafkaKeyedLog(std::move(*log)));
}

LogStatus KafkaKeyedLog::append_all(std::span<const Addition> additions, std::vector<Log::Appended>& results) {
  return log_->append_keyed(0, additions, results);
}

LogStatus KafkaKeyedLog::read(uint64_t offset, size_t octets_max, std::chrono::milliseconds patience,
                              std::vector<KeyedRecord>& out, uint64_t& next) {
  const LogStatus status = log_->read_keyed(0, offset, octets_max, patience, out, next);
  if (status != LogStatus::kLost) return status;
  // Octets that make no sense even as records: how many there were is known, not what.
  next = log_->resume_offset(0, offset);
  if (next <= offset) return LogStatus::kUnavailable;
  KeyedRecord& place = out.emplace_back();
  place.is = KeyedRecord::Is::kDamaged;
  place.offset = offset;
  place.span = next - offset;
  return LogStatus::kOk;
}

}  // namespace backstream::transport
