#pragma once
// Rows of a query in a topic of Kafka, for whoever reads it.
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "sink/target.h"
#include "transport/kafka_transactions.h"

namespace backstream::sink {

struct KafkaTargetOptions {
  transport::KafkaOptions client;
  transport::KafkaTopicOptions topic;
  /// Whose place it is, and whose transactions. Two processes do not have one name: they would shut out each other.
  std::string writer;
  /// Rows that a revision no longer has are null values (tombstones), as readers of compacted topics expect it; else
  /// they have a value, with `_op` "d".
  bool tombstones = false;
};

/// A row is a record: one JSON object with all marks (receiver::Marks), and as key the object of its window and of the
/// other ResultForm::keys, so that of a compacted topic the newest revision of a row stays. Rows without a window have
/// no key. The parts of a call are one transaction, with the place (transport::KafkaTransactions): whoever reads what
/// is committed has each row once.
///
/// A record that is larger than the topic takes is refused (22001), and so are keys and values of more than 64 MiB.
/// An error closes the connection; a call opens it where it is not. repeat() doubles rows where the topic is not
/// compacted.
class KafkaTarget final : public Target {
 public:
  explicit KafkaTarget(KafkaTargetOptions options);

  Result<uint64_t> open() override;
  Result<void> deliver(Parts parts) override;
  Result<void> pass_over(const ResultPart& part) override;
  Result<void> repeat(Parts parts) override;
  Result<void> keep_place() override;
  Result<std::string> test() override;

 private:
  Result<void> connect();
  Result<void> write(Parts parts);
  /// What is under way is gone on with only if all of it goes well.
  Result<void> settle(Result<void> done);

  const KafkaTargetOptions options_;
  std::unique_ptr<transport::KafkaTransactions> writer_;
  std::optional<std::chrono::steady_clock::time_point> place_written_at_;  ///< none: not since it was opened
};

/// The key of a row: {"_window_start":"…","_window_end":"…","src_as":64512}.
void append_kafka_key(std::string& out, const ResultPart& part, size_t row);

}  // namespace backstream::sink
