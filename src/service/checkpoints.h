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

#include "base/diagnostic.h"
#include "base/time.h"
#include "service/snapshot.h"
#include "service/state_file.h"

namespace backstream::service {

/// Where reading of a partition of a topic of flows goes on.
struct TopicPlace {
  std::string topic;
  uint32_t partition = 0;
  uint64_t next = 0;  ///< offset of the first record that is not in the state
  bool operator==(const TopicPlace&) const = default;
};

/// What this service keeps beside the engine's own state.
struct CheckpointHeader {
  Micros watermark = base::kMinTime;          ///< of flows, when it was saved: before it no row was to come
  std::map<std::string, uint64_t> last_seqs;  ///< newest number of a result, by query
  std::vector<Outage> outages;                ///< that were known
  std::vector<TopicPlace> topics;             ///< all that came before is in the state, and nothing that came after
  uint64_t journal = 0;                       ///< number of the journal that follows
};

/// The states of open windows in a folder, and between two of them a journal of the windows that have been sent: what
/// was sent is not sent again by a process that goes on from an older state.
///
///   windows.state, windows.N.journal
class Checkpoints {
 public:
  static constexpr size_t kOutagesKept = 100;

  explicit Checkpoints(std::string folder);
  ~Checkpoints();
  Checkpoints(const Checkpoints&) = delete;
  Checkpoints& operator=(const Checkpoints&) = delete;

  /// What must have happened before a state takes the place of the one before it, and of what that had open: `wait`
  /// returns when it has. On the thread that writes. Before the first state.
  void before_each(std::function<void()> wait) { wait_ = std::move(wait); }

  struct Before {
    SavedState state;
    CheckpointHeader header;
    std::map<std::string, Micros> sent;  ///< newest start of a window that was sent after the state was saved, by query
  };
  /// Of the process before this one; nullopt: there was none, or it left nothing. Errors: those of StateFile::load().
  base::Result<std::optional<Before>> load();

  /// A window of the query has been sent. The engine's thread.
  void note_sent(const std::string& query, Micros window_start);
  /// Takes a state that was made at rest; from here on windows are noted in a new journal. The engine's thread.
  /// @param header  its number of the journal is set here
  /// False: the one before is still being written, and this one is not kept.
  bool submit(SavedState state, CheckpointHeader header);
  /// The same, and waits for it. Error "file".
  base::Result<void> write_now(SavedState state, CheckpointHeader header);
  /// Removes what is kept: there is nothing open.
  void clear();

  struct Status {
    Micros at = base::kMinTime;  ///< of the newest that is on disk, or of the one that was loaded
    uint64_t octets = 0;
    uint64_t written = 0, failed = 0, skipped = 0;
    std::string error;  ///< of the last attempt; empty: it was good
  };
  Status status() const;  ///< any thread

 private:
  void run();
  void write(const SavedState& state, uint64_t journal);
  void begin_journal();
  void prepare(SavedState& state, CheckpointHeader& header);
  std::string journal_path(uint64_t number) const;

  const std::string folder_;
  const StateFile file_;
  std::function<void()> wait_;
  uint64_t journal_ = 0;  // The engine's thread's.
  int journal_file_ = -1;
  bool journal_told_ = false;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<SavedState> waiting_;  // Under mutex_, and all below.
  uint64_t waiting_journal_ = 0;
  bool writing_ = false, stop_ = false;
  Status status_;
  std::thread thread_;
};

}  // namespace backstream::service
