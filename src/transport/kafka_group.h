#pragma once
// Which process has which partitions of a topic: membership of a consumer group of Apache Kafka.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "transport/kafka_options.h"

namespace backstream::transport {

/// A member of a group that shares out the partitions of one topic. It reads no record: a KafkaLog does that, by
/// offsets of its own. With it go the places of the group, offsets of partitions of any topic, which only who has the
/// partition of that number may move.
///
/// Whoever has a partition is told before another one gets it. That ends where the other one cannot wait any longer:
/// a process that stood still, or that brokers did not hear of for `session_timeout`, learns only later that others
/// have what was its own. commit() is what such a process cannot do: brokers refuse it, and nothing else is to count
/// that two may have written.
class KafkaGroup {
 public:
  struct Options {
    KafkaOptions client;  ///< `append_timeout`, `queue_octets` and `read_*` mean nothing here
    std::string group;    ///< the id of the consumer group; needs the right Read on it
    std::string topic;    ///< whose partitions are shared out; partitions that it is given later are found in a minute
    /// Without a sign of life for so long brokers give its partitions to others; at least 100 ms, and what the brokers
    /// allow (theirs: 6 s to 30 min). Heartbeats come three times in it.
    std::chrono::milliseconds session_timeout{10'000};
    /// Without tick() for so long the group is left; so long a callback may take, too, before others take over.
    std::chrono::milliseconds owner_timeout{20'000};
    /// These are called by the group's own thread, one at a time, by turns, assigned() first; that may be before open()
    /// returns. Who destroys the group waits for one that runs; all else may be called meanwhile, by them as well.
    /// @param partitions  by their numbers, at least one
    std::function<void(const std::vector<uint32_t>& partitions)> assigned;
    /// All that was assigned goes; when it returns nothing of it is under way any more.
    /// @param lost  it is gone already, and others may have it; else commit() can be called until this returns
    std::function<void(bool lost)> revoked;
  };
  /// Waits for nobody. Errors: 22023 an option or a property that is wrong.
  static base::Result<std::unique_ptr<KafkaGroup>> open(Options options);
  /// Leaves the group, after revoked(false) when something is assigned. Beside callbacks it takes 15 s at most.
  ~KafkaGroup();
  KafkaGroup(const KafkaGroup&) = delete;
  KafkaGroup& operator=(const KafkaGroup&) = delete;

  /// Whose work the partitions are for is alive. Any thread.
  void tick();

  /// Moves a place. Brokers take it from a member of today's generation only, and here it is refused where `partition`
  /// is not among those assigned: brokers do not compare these. One at a time, any thread; takes request_timeout at
  /// most.
  /// @param topic  any; its partitions belong to who has those of the same numbers of Options::topic
  /// Errors: 55000 the partition is not, or no longer, this member's: nothing was moved; 42501 no right to the group or
  /// topic; 42704 there is no such partition; 08001 no answer in that time: unknown whether it was moved, and it may
  /// still be, as long as the partition is assigned.
  base::Result<void> commit(const std::string& topic, uint32_t partition, uint64_t offset);
  /// The place of the group, whoever moved it there; nothing: none yet. Any thread; takes request_timeout at most.
  /// Errors: 42501 no right to it; 08001 no answer in that time.
  base::Result<std::optional<uint64_t>> committed(const std::string& topic, uint32_t partition);

  /// Since the group was opened.
  struct Status {
    bool joined = false;      ///< a member, perhaps of a group that has more members than partitions
    uint64_t rebalances = 0;  ///< how often partitions were shared out, this member among those that got some or none
    uint64_t lost = 0;        ///< how often what was assigned had gone before revoked() could be called
    std::string last_error;   ///< of a broker, empty: none; the library goes on by itself
  };
  Status status() const;

 private:
  struct State;
  explicit KafkaGroup(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

}  // namespace backstream::transport
