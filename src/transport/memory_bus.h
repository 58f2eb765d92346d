#pragma once
// The bus of nodes that live in one process.
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "transport/bus.h"
#include "transport/memory_keyed_log.h"
#include "transport/memory_log.h"

namespace backstream::transport {

/// What Kafka's brokers are elsewhere: logs, logs with keys and groups, made when they are asked for first. It has what
/// fits its memory: the oldest records of a log go, and logs with keys are compacted.
class MemoryBroker {
 public:
  struct Options {
    uint32_t partition_count = 4;              ///< of each log
    size_t log_octets_max = size_t{64} << 20;  ///< of each log
    /// Logs with keys are compacted so often, when they are written to; what removes a key stays for so long at least.
    std::chrono::milliseconds compaction_interval{3'600'000};
  };
  explicit MemoryBroker(Options options) : options_(options) {}

 private:
  friend class MemoryBus;
  struct Keyed {
    MemoryTopic topic;
    std::mutex mutex;  ///< of all below
    std::chrono::steady_clock::time_point compacted_at = std::chrono::steady_clock::now();
  };
  class SharedGroup;

  std::shared_ptr<MemoryLog> log(const std::string& topic);
  std::shared_ptr<Keyed> keyed(const std::string& topic);
  std::shared_ptr<SharedGroup> group(const std::string& name);

  const Options options_;
  std::mutex mutex_;  ///< of all below
  std::map<std::string, std::shared_ptr<MemoryLog>> logs_;
  std::map<std::string, std::shared_ptr<Keyed>> keyed_;
  std::map<std::string, std::shared_ptr<SharedGroup>> groups_;
};

/// A node's link to the broker. It can be cut: then nothing that was opened by it is answered, as by brokers that are
/// away. A member of a group that is cut keeps its partitions: there is no timeout after which others get them.
class MemoryBus final : public Bus {
 public:
  explicit MemoryBus(std::shared_ptr<MemoryBroker> broker) : broker_(std::move(broker)) {}

  std::string topic_name(std::string_view topic) const override { return std::string(topic); }
  base::Result<std::shared_ptr<Log>> open_log(std::string_view topic) override;
  base::Result<std::unique_ptr<KeyedLog>> open_keyed_log(std::string_view topic, size_t record_octets_max,
                                                         bool create) override;
  base::Result<std::unique_ptr<Group>> join(std::string_view group, std::string_view topic,
                                            Group::Callbacks callbacks) override;

  /// Any thread.
  void set_cut(bool cut) { *cut_ = cut; }

 private:
  class LinkedLog;
  class LinkedKeyedLog;
  class Member;
  base::Result<void> answers() const;

  const std::shared_ptr<MemoryBroker> broker_;
  const std::shared_ptr<std::atomic<bool>> cut_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace backstream::transport
