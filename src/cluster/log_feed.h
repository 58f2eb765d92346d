#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cluster/pauses.h"
#include "transport/log.h"

namespace backstream::cluster {

/// Partitions of a log, read ahead by a thread of its own for a thread that must not wait. What is read may change at
/// any time.
class LogFeed {
 public:
  /// @param log    outlives this
  /// @param nudge  called, from any thread, when records have come
  explicit LogFeed(transport::Log& log, std::function<void()> nudge = {}, Pauses pauses = {});
  ~LogFeed();
  LogFeed(const LogFeed&) = delete;
  LogFeed& operator=(const LogFeed&) = delete;

  /// Reads a partition from an offset on, for a reader among several of this feed: any number of the caller's.
  void follow(uint32_t reader, uint32_t partition, uint64_t from);
  /// Nothing is read for it any more, and what was read and not taken is gone.
  void forget(uint32_t reader);

  struct Record {
    uint32_t reader = 0, partition = 0;
    uint64_t offset = 0;
    std::vector<uint8_t> bytes;
  };
  /// Some of what has come, those of a reader and partition in their order; empty: nothing. One thread.
  std::vector<Record> take();
  /// Nothing lies between what this reader has taken and the end of its partitions as they were read last.
  bool at_end(uint32_t reader) const;

  struct Status {
    uint64_t records = 0, octets = 0;  ///< read
    uint64_t places_lost = 0;   ///< runs of records that could not be read any more, or were gone before they were read
    uint64_t offsets_lost = 0;  ///< that those had
    uint64_t waiting_octets = 0;
    std::string last_error;  ///< while it lasts
  };
  Status status() const;  ///< any thread

  static constexpr size_t kWaitingMax = size_t{64} << 20;

 private:
  struct Place {
    uint32_t reader = 0, partition = 0;
    uint64_t next = 0;  ///< the thread's own
    bool at_end = false;
    bool gone = false;  ///< it was forgotten while it was being read
  };
  void run();
  bool read_some(Place& place);
  uint64_t pass_lost(const Place& place);

  transport::Log& log_;
  const std::function<void()> nudge_;
  const Pauses pauses_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Place> places_;  ///< the thread removes those that are gone
  std::deque<Record> waiting_;
  bool stopping_ = false;
  Status status_;
  std::thread thread_;
};

}  // namespace backstream::cluster
