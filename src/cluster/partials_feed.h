#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "transport/log.h"

namespace backstream::cluster {

/// What the edges have sent, read ahead by a thread of its own for the one that completes windows.
class PartialsFeed {
 public:
  struct Options {
    std::vector<uint32_t> partitions;        ///< that are read
    std::map<uint32_t, uint64_t> from = {};  ///< offset of the first record wanted, by partition; none: the oldest
    std::function<void()> nudge = {};        ///< called, from any thread, when records have come
  };
  /// @param log  outlives this
  PartialsFeed(transport::Log& log, Options options);
  ~PartialsFeed();
  PartialsFeed(const PartialsFeed&) = delete;
  PartialsFeed& operator=(const PartialsFeed&) = delete;

  struct Record {
    uint32_t partition = 0;
    uint64_t offset = 0;
    std::vector<uint8_t> bytes;
  };
  /// Some of what has come, those of a partition in their order; empty: nothing. One thread.
  std::vector<Record> take();
  /// By partition: the offset of what take() gives next, for who goes on later.
  std::map<uint32_t, uint64_t> next_offsets() const;

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
  void run();
  bool read_some(uint32_t partition);
  void pass_lost(uint32_t partition);

  transport::Log& log_;
  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Record> waiting_;
  std::map<uint32_t, uint64_t> read_to_;  ///< the thread's own
  std::map<uint32_t, uint64_t> taken_to_;
  bool stopping_ = false;
  Status status_;
  std::thread thread_;
};

}  // namespace backstream::cluster
