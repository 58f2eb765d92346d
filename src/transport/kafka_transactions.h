#pragma once
// Records that are in a topic once, whichever side ends when: in transactions of Kafka, and with each the place of who
// writes (docs/design/0032-history-sinks-alerts.md).
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "transport/kafka_connection.h"
#include "transport/kafka_log.h"

namespace backstream::transport {

/// Writes to one topic. The place is a number of the caller's, kept as the offset that the consumer group of the
/// writer's name has of partition 0 of the topic: brokers take it in the transaction that brings the records. They
/// forget it `offsets.retention.minutes` after it was last written (7 days), and when the topic is deleted.
///
/// Consumers with isolation.level=read_committed see the records of each commit() once, all or none. Others also see
/// those of transactions that came to nothing, and those whose writer was killed. Until the next writer of the name
/// opens, or the transaction's time is over (append_timeout + request_timeout), those consumers wait at what a killed
/// one has left open.
///
/// After an error a writer is of no use; another one is opened. It shuts out the one before, and what of that is still
/// on its way: also where that is a process that is believed to be dead. So a transaction whose end is not known is
/// never gone on with, which 2.0.2, and brokers before KIP-890, do not survive. One thread.
class KafkaTransactions {
 public:
  struct Options {
    KafkaOptions client;      ///< all calls take at most append_timeout + request_timeout, and some seconds
    KafkaTopicOptions topic;  ///< one that is there is taken as it is
    std::string name;         ///< of the writer: its transactional.id and its group
  };
  struct Record {
    std::optional<std::string_view> key;  ///< those of one go to one partition, that of Kafka's Java clients (murmur2)
    std::optional<std::string_view> value;  ///< none: a tombstone
  };

  /// Errors: 08001 no broker answers; 08006 transactions cannot be had now; 22023 an option; 28000 the credentials are
  /// refused; 42501 a right is missing, with the command that gives it; 42704 there is no such topic, and it is not to
  /// be made; 42000 another reason that stays.
  static base::Result<std::unique_ptr<KafkaTransactions>> open(const Options& options);
  /// Ends what is not committed. Waits for clients to close, 12 s at most.
  ~KafkaTransactions();
  KafkaTransactions(const KafkaTransactions&) = delete;
  KafkaTransactions& operator=(const KafkaTransactions&) = delete;

  /// Of the last commit(); nothing: there was none, or it is forgotten.
  std::optional<uint64_t> place() const { return place_; }

  /// Copies them; waits while the queue of the client is full. Errors: those of commit().
  base::Result<void> write(std::span<const Record> records);
  /// Ends the transaction: what was written since the last one is there, and so is the place; both also when nothing
  /// was written. Errors: 08006 it is not known whether it is there: open() tells; 22001 a record is larger than the
  /// topic takes; 42501, 42704, 42000 as open(); 53100 the brokers have no room.
  base::Result<void> commit(uint64_t place);

  struct Look {
    std::string brokers;      ///< with commas between
    uint32_t partitions = 0;  ///< 0: the topic is missing, and could be made
    std::optional<uint64_t> place;
  };
  /// Whether open() would do, and a transaction be had by the name with ".test" behind; leaves nothing in the topic,
  /// and does not shut out a writer. Whether records may be written shows when they are. Errors: those of open().
  static base::Result<Look> look(const Options& options);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Batch;
  KafkaTransactions(const Options& options, std::shared_ptr<KafkaConnection> connection);
  static base::Result<std::shared_ptr<KafkaConnection>> connect(const Options& options, const std::string& name);
  base::Result<void> begin();
  tl::unexpected<base::Diagnostic> refuse(int error, std::string_view text) const;
  tl::unexpected<base::Diagnostic> refuse_write(int error, std::string text) const;

  const Options options_;
  const std::shared_ptr<KafkaConnection> connection_;
  std::unique_ptr<KafkaTopicHandle> topic_;
  std::vector<std::unique_ptr<Batch>> batches_;  ///< of the transaction that is open
  bool is_begun_ = false;
  std::optional<uint64_t> place_;
};

}  // namespace backstream::transport
