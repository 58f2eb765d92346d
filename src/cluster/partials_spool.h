#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"
#include "exec/engine.h"
#include "transport/file_log.h"
#include "transport/log.h"

namespace backstream::cluster {

using base::Micros;

/// The way of an edge's partials: first into files of its own, then into the log that all edges share, in their order.
/// A log that cannot be reached is waited for; then what the files hold follows (docs/design/0027-halves-apart.md).
class PartialsSpool final : public exec::PartialsOut {
 public:
  struct Options {
    std::string folder;                  ///< of the files
    uint64_t octets_max = 0;             ///< of the files; when they are full the oldest messages go, and are counted
    uint32_t edge = 0;                   ///< its number among all
    std::function<Micros()> clock = {};  ///< for tests; empty: ours
    bool before_all_flows = false;       ///< there is nothing that was missed before this process
  };
  /// Errors: those of FileLog::open().
  /// @param log  outlives this
  static base::Result<std::unique_ptr<PartialsSpool>> open(Options options, transport::Log& log);
  /// What has not been sent stays in the files.
  ~PartialsSpool() override;

  /// Greater than that of any process before this one.
  uint64_t epoch() const { return epoch_; }

  /// Any thread. What comes faster than the disk takes it waits in memory, kWaitingMax octets at most; beyond that the
  /// caller waits.
  void append(std::vector<uint8_t>&& message) override;
  /// How far the edge is in event time, for the next process: it tells what it missed since.
  void note_watermark(Micros watermark);
  /// What the caller wants to know of itself in the next process: as of all that was appended so far, and in the files
  /// when that is. From the first one on, messages wait up to 0.1 s for the mark that follows them. Any thread.
  void keep_mark(std::vector<uint8_t>&& mark);
  /// The newest mark of the process before; empty: it left none. Where it was killed between writing messages and the
  /// mark that follows them, the mark is from before them.
  const std::vector<uint8_t>& mark_before() const { return mark_before_; }
  /// The process ends on purpose, and has sent what was open. Waits until all is in the files, and, as long as the
  /// patience goes, in the log. Once.
  void close(std::chrono::milliseconds patience);

  struct Status {
    uint64_t appended = 0, sent = 0;  ///< messages, those of the spool's own among them
    uint64_t octets_sent = 0;
    uint64_t octets_held = 0;  ///< by the files
    /// Messages that went unsent: the files were full, the disk did not take them, or the log never does.
    uint64_t dropped = 0;
    uint64_t rows_dropped = 0;  ///< that those had counted
    Micros oldest_unsent = 0;   ///< when the oldest message that waits was made; 0: none waits
    std::string last_error;     ///< of files or log, while it lasts; empty: all is well
  };
  Status status() const;  ///< any thread

  static constexpr size_t kWaitingMax = size_t{64} << 20;
  static constexpr Micros kPresenceInterval = 5 * base::kMicrosPerSecond;

 private:
  PartialsSpool(Options options, transport::Log& log);
  base::Result<void> open_files();
  Micros now() const;
  void write();
  void send();
  bool put(uint32_t partition, const std::vector<uint8_t>& octets);
  void note();
  void drop_oldest();
  void count_dropped(const transport::LogRecord& record);
  bool send_some(const std::vector<transport::LogRecord>& records,
                 std::vector<const transport::LogRecord*>& unreadable);

  const Options options_;
  transport::Log& log_;
  std::unique_ptr<transport::FileLog> files_;
  uint64_t epoch_ = 1;
  std::vector<uint8_t> mark_before_;
  mutable std::mutex mutex_;
  std::condition_variable changed_, progressed_;
  struct Item {
    std::vector<uint8_t> octets;
    bool is_mark = false;
  };
  std::deque<Item> waiting_;   ///< for the disk
  std::vector<uint8_t> mark_;  ///< that the messages in the files have
  bool marks_follow_ = false;  ///< keep_mark() was called
  size_t waiting_octets_ = 0;
  bool writing_ = false, stopping_ = false;
  bool closed_ = false, ended_ = false;  ///< close() was called; it was done
  uint64_t next_offset_ = 0;             ///< in the files: what is sent next
  Micros watermark_ = base::kMinTime;
  Micros dropped_from_ = base::kMaxTime, dropped_until_ = base::kMinTime;  ///< event times of what went unsent
  Status status_;
  std::thread writer_, sender_;
};

}  // namespace backstream::cluster
