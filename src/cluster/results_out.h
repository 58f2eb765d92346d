#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cluster/pauses.h"
#include "transport/log.h"

namespace backstream::cluster {

/// The way of a merge worker's results into the log that receivers read, one partition of it for each partition of
/// partials. Records of a partition go one after another: the next one when the one before is in the log, so that
/// receivers need only look at numbers to find repeats.
class ResultsOut {
 public:
  /// @param log    outlives this
  /// @param nudge  called, from any thread, when there is room again, or something has arrived
  explicit ResultsOut(transport::Log& log, std::function<void()> nudge = {}, Pauses pauses = {});
  /// What has not been sent is dropped.
  ~ResultsOut();
  ResultsOut(const ResultsOut&) = delete;
  ResultsOut& operator=(const ResultsOut&) = delete;

  /// From now on the partition's records are of this generation, greater than before; what waits of the one before is
  /// dropped.
  void begin(uint32_t partition, uint64_t generation);
  /// Adds a message (result_messages.h). Never waits.
  void put(uint32_t partition, std::vector<uint8_t>&& message);
  /// Nobody should put() while there is none.
  bool has_room() const;

  /// Counts the partition's messages since begin(): put, and known to be in the log. Any thread.
  uint64_t put_count(uint32_t partition) const;
  /// Nullopt: this generation is over.
  std::optional<uint64_t> sent_count(uint32_t partition, uint64_t generation) const;

  struct Status {
    uint64_t messages = 0, records = 0, octets = 0;  ///< that are in the log
    uint64_t waiting_octets = 0;
    std::string last_error;  ///< while it lasts
  };
  Status status() const;  ///< any thread

  static constexpr size_t kWaitingMax = size_t{64} << 20;

 private:
  struct Queue {
    uint64_t generation = 0, number = 0;
    std::vector<uint8_t> waiting;   ///< whole messages, one after another
    std::vector<uint32_t> lengths;  ///< of those
    std::vector<uint8_t> record;    ///< on its way until it is in the log; empty: none
    uint64_t record_messages = 0;   ///< that it has
    uint64_t put = 0, sent = 0;
  };
  void run();
  bool fill(Queue& queue);

  transport::Log& log_;
  const std::function<void()> nudge_;
  const Pauses pauses_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint32_t, Queue> queues_;
  bool stopping_ = false;
  Status status_;
  std::thread thread_;
};

}  // namespace backstream::cluster
