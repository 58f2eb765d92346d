#pragma once
// Flows that are read from topics of Kafka and sent to one (docs/design/0026-flows-by-kafka.md).
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/prefix_set.h"
#include "base/published.h"
#include "batch/column_batch.h"
#include "config/settings.h"
#include "decode/flow_message.h"
#include "ingest/source.h"
#include "transport/kafka_publisher.h"
#include "transport/kafka_records.h"

namespace backstream::app {

/// Records of the topics of listen.kafka as datagrams, whose source is the exporter that they name. One thread, as of
/// any source; places() while it rests.
class FlowTopics final : public ingest::DatagramSource {
 public:
  /// @param places  where reading goes on, of partitions that were read before
  /// @param allow   exporters that are heard; a set that is empty: all
  /// Errors: those of KafkaConnection::open() and KafkaRecords::open().
  static base::Result<std::unique_ptr<FlowTopics>> open(const config::Settings& settings,
                                                        const std::vector<transport::KafkaPlace>& places,
                                                        std::shared_ptr<const base::Published<base::PrefixSet>> allow);

  std::span<const base::Datagram> next_block() override;
  bool at_end() const override { return false; }
  const ingest::IngestStats& stats() const override { return stats_; }
  /// Records have no numbers that others must wait for.
  int64_t complete_until_ns() const override;
  void processed(size_t datagrams) override;

  /// Behind what has been processed. Of partitions that were read by an earlier process and are not there now, too.
  std::vector<transport::KafkaPlace> places() const;

 private:
  FlowTopics(std::vector<config::FlowTopic> topics, std::unique_ptr<transport::KafkaRecords> records,
             const std::vector<transport::KafkaPlace>& places,
             std::shared_ptr<const base::Published<base::PrefixSet>> allow);
  void take_counts();

  const std::vector<config::FlowTopic> topics_;
  const std::unique_ptr<transport::KafkaRecords> records_;
  const std::shared_ptr<const base::Published<base::PrefixSet>> allow_;
  base::Published<base::PrefixSet>::Reader allowed_;
  std::vector<base::Datagram> block_;
  ingest::IngestStats stats_;
  std::chrono::steady_clock::time_point counted_at_{};
  using Partition = std::pair<std::string, uint32_t>;
  using Next = std::map<Partition, uint64_t>;
  mutable std::mutex next_mutex_;
  Next next_;  // Under next_mutex_.
  struct Given {
    Next::iterator partition;
    uint64_t next;
  };
  std::deque<Given> given_;  // And not processed: the place behind each datagram.
};

/// Sends decoded rows to flows.topic, never waiting for it. Threads: any, each with its own number.
class FlowOutput {
 public:
  /// Errors: those of KafkaConnection::open() and KafkaPublisher::open().
  static base::Result<std::unique_ptr<FlowOutput>> open(const config::Settings& settings, uint32_t threads);

  /// What decoders and enrichers must fill for it.
  static batch::FlowColumnSet columns();
  /// @param thread  below `threads`: that of the caller
  void take(uint32_t thread, const batch::ColumnBatch& rows);
  /// Waits for what is on its way. False: some was not acknowledged in that time.
  bool finish(std::chrono::milliseconds timeout) { return publisher_->flush(timeout); }
  transport::KafkaPublishCounts counts() const { return publisher_->counts(); }

 private:
  FlowOutput(std::string node, std::unique_ptr<transport::KafkaPublisher> publisher, uint32_t threads);
  /// Flows of one exporter and site among the rows at hand.
  struct Group {
    base::Inet exporter;
    std::string_view site;
    std::vector<uint32_t> rows;
  };
  struct Thread {
    decode::FlowBatchWriter writer;
    std::vector<Group> groups;  // The first group_count; the others are memory.
    size_t group_count = 0;
    std::unordered_map<base::Inet, size_t, base::InetHash> group_of;
    std::vector<uint8_t> message;
  };
  void publish(Thread& thread, const batch::ColumnBatch& rows, Group& group);

  const std::string node_;
  const std::unique_ptr<transport::KafkaPublisher> publisher_;
  std::vector<Thread> threads_;
};

}  // namespace backstream::app
