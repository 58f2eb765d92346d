#pragma once
// What lies between the nodes of a deployment: logs, by the names of their topics, and the group of those that share
// out partitions. Apache Kafka (kafka_bus.h) and the memory of one process (memory_bus.h) keep the same contract.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "transport/keyed_log.h"
#include "transport/log.h"

namespace backstream::transport {

/// A member of a group that shares out the partitions of one topic (docs/design/0028-merge-workers.md). It reads no
/// record. With it go the places of the group: offsets of partitions of any topic, which only who has the partition of
/// that number may move.
class Group {
 public:
  struct Callbacks {
    /// These are called by a thread of the member's, one at a time, by turns, assigned() first; that may be before
    /// join() returns. Who destroys the member waits for one that runs; all else may be called meanwhile.
    /// @param partitions  by their numbers, at least one
    std::function<void(const std::vector<uint32_t>& partitions)> assigned;
    /// All that was assigned goes; when it returns nothing of it is under way any more.
    /// @param lost  it is gone already, and others may have it; else commit() can be called until this returns
    std::function<void(bool lost)> revoked;
  };

  /// Leaves the group, after revoked(false) when something is assigned.
  virtual ~Group() = default;

  /// Whose work the partitions are for is alive. Any thread.
  virtual void tick() = 0;

  /// Moves a place. One at a time, any thread.
  /// Errors: 55000 the partition is not, or no longer, this member's: nothing was moved; 08001 the bus does not answer:
  /// unknown whether it was moved. Kafka's: what KafkaGroup::commit() says.
  virtual base::Result<void> commit(const std::string& topic, uint32_t partition, uint64_t offset) = 0;
  /// The place of the group, whoever moved it there; nothing: none yet. Any thread.
  /// Errors: 08001 the bus does not answer. Kafka's: what KafkaGroup::committed() says.
  virtual base::Result<std::optional<uint64_t>> committed(const std::string& topic, uint32_t partition) = 0;
};

/// A node's way to the others. Topics are named in short ("partials"). What it gives may outlive it. Any thread.
class Bus {
 public:
  virtual ~Bus() = default;

  /// As people find the topic.
  virtual std::string topic_name(std::string_view topic) const = 0;

  /// Errors: 08001 the bus does not answer; of Kafka what KafkaLog::open() says.
  virtual base::Result<std::shared_ptr<Log>> open_log(std::string_view topic) = 0;
  /// @param record_octets_max  of a value
  /// @param create             it may be made where it is missing
  virtual base::Result<std::unique_ptr<KeyedLog>> open_keyed_log(std::string_view topic, size_t record_octets_max,
                                                                 bool create) = 0;
  /// @param group  its name, in short as those of topics
  /// @param topic  whose partitions are shared out
  /// Waits for nobody. Errors: of Kafka what KafkaGroup::open() says.
  virtual base::Result<std::unique_ptr<Group>> join(std::string_view group, std::string_view topic,
                                                    Group::Callbacks callbacks) = 0;

  /// What went wrong with the logs of a topic that were opened here, counted by reason.
  struct Faults {
    std::string topic;
    std::vector<std::pair<std::string_view, uint64_t>> counts;
  };
  virtual std::vector<Faults> faults() const { return {}; }
};

}  // namespace backstream::transport
