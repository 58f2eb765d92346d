#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/time.h"
#include "receiver/part_source.h"
#include "sink/target.h"

namespace backstream::sink {

using base::Micros;
using receiver::PartSource;

struct RunnerOptions {
  std::string name;
  PartSource::QueryId query;
  size_t octets_max = size_t{4} << 20;                                ///< of parts that are delivered at once
  std::chrono::milliseconds backoff_min{1'000}, backoff_max{60'000};  ///< after an error; doubled each time
};

/// Cuts a part to what the sink wants; the same part where that is all of it.
/// Errors: 42703 and the like: this version of the query has not what the sink names; the part is passed over.
using Selection = std::function<Result<std::shared_ptr<const ResultPart>>(const std::shared_ptr<const ResultPart>&)>;

struct RunnerStatus {
  enum class State : uint8_t {
    kStarting,  ///< the target was not reached yet
    kRunning,   ///< it has all, or is given it
    kFailing,   ///< `error` says why; it is tried again at `retry_at`
    kReplaying,
  } state = State::kStarting;
  std::string error, hint;  ///< the last one; stays when it is over
  Micros error_at = 0;      ///< 0: there was none
  Micros retry_at = 0;
  uint64_t place = 0;       ///< the seq of the last part that the target has
  uint64_t last_seq = 0;    ///< the newest of the query
  Micros delivered_at = 0;  ///< when something was delivered last; 0: never
  Micros behind_since = 0;  ///< since when the target lacks something; 0: it has all
  // Since the runner was started:
  uint64_t parts = 0, rows = 0;  ///< delivered
  uint64_t rows_refused = 0;     ///< by the target, for what they say, or by the selection
  uint64_t rows_left_out = 0;    ///< delivered, and beyond what the target may hold
  uint64_t rows_missed = 0;      ///< were no longer kept when the sink came to them
  uint64_t errors = 0, opened = 0;
  uint64_t rows_replayed = 0;
};
std::string_view name(RunnerStatus::State state);

/// Gives a sink's target what history has, from where the target is on, on a thread of its own. Nothing is held in
/// memory but what is under way; what a target cannot take waits in history.
class Runner {
 public:
  /// @param source  outlives this
  Runner(RunnerOptions options, std::unique_ptr<Target> target, PartSource& source, Selection selection);
  /// stop({}).
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// Delivers what there is, as long as that goes well and no longer than `patience`, then ends.
  void stop(std::chrono::milliseconds patience);

  /// Delivers once more what the target has been given and history still has, of windows that start in [from, until);
  /// rows without windows all. False: it is at it already.
  bool replay(Micros from, Micros until);

  RunnerStatus status() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Replay {
    Micros from = 0, until = 0;
    uint64_t after_seq = 0;
    uint64_t last_seq = 0;  ///< what comes after it is delivered in its turn
  };
  void run();
  bool open();
  /// False: there was nothing, or it failed.
  bool deliver_some();
  /// What is refused alone is counted, and given to `refused` instead.
  Result<void> give(Parts parts, const std::function<Result<void>(Parts)>& to,
                    const std::function<Result<void>(const ResultPart&)>& refused);
  bool replay_some();
  void note_error(const base::Diagnostic& error);
  void wait(uint64_t& seen);

  const RunnerOptions options_;
  const std::unique_ptr<Target> target_;
  PartSource& source_;
  const Selection selection_;

  // The thread's.
  bool is_open_ = false;
  std::chrono::milliseconds backoff_{0};
  std::optional<uint64_t> rows_at_place_;                 ///< of the query, ever; none: not known yet
  std::vector<std::pair<uint64_t, uint64_t>> under_way_;  ///< seq of each part that was read last, and rows up to it

  mutable std::mutex mutex_;  ///< of all below
  std::condition_variable changed_;
  RunnerStatus status_;
  std::optional<Replay> replay_;
  std::optional<Clock::time_point> stop_at_;
  std::thread thread_;
};

}  // namespace backstream::sink
