#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"
#include "exec/engine.h"
#include "history/store.h"
#include "plan/time_range.h"
#include "service/query_register.h"
#include "service/result_board.h"

namespace backstream::service {

using base::Micros;

/// A SELECT over views that is answered from what they have given: the windows that history has, in their order, then
/// those that come to it, without a seam (docs/design/0033-select-over-history.md). It runs in an engine of its own, on
/// a thread of its own, as fast as its reader reads: the service's engine does not notice it.
///
/// Its rows are shown by the board under its name. Its stream ends when all views have passed the end of the time that
/// is asked for; where that is not later than `now`, when what history has of it is told. Before the end the stream may
/// have an event "notice", {"message": …}, or "failed", {"code", "message", "hint"}.
class Answer {
 public:
  struct Ground {
    history::Store& store;
    ResultBoard& board;
  };
  /// Begins at once. The ground outlives it.
  /// @param name    not known to the board
  /// @param number  tells it from other answers
  /// @param now     the statement's time
  Answer(Ground ground, std::string name, uint64_t number, QueryRegister::OverViews over, Micros now);
  /// Ends it, whoever reads, and forgets its rows.
  ~Answer();
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  const plan::Query& query() const { return *over_.query; }
  const std::map<std::string, uint64_t, std::less<>>& views() const { return over_.views; }
  /// The time that is asked for has an end in all views.
  bool ends() const;
  /// What its reader should know of what is asked for and of what history has; a sentence each.
  std::vector<std::string> notices() const { return notices_; }
  /// What it is doing, for who sees no rows yet.
  std::string why() const;
  /// Ends its stream with "failed", unless it has ended. Any thread.
  void fail(base::Diagnostic why);

  /// Without a lower bound so much of the past is told, or two windows where that is more.
  static constexpr Micros kPast = 3'600 * base::kMicrosPerSecond;
  /// What EXPLAIN says of it.
  static std::string explain(history::Store& store, const QueryRegister::OverViews& over, Micros now);

 private:
  class Feed;
  void run();
  base::Result<void> feed_past();
  base::Result<void> feed_coming();
  base::Result<void> check() const;
  void tell_notice(std::string message);
  void tell_skipped();
  void finish();
  void wait_for_room();

  const Ground ground_;
  const std::string name_;
  const QueryRegister::OverViews over_;
  std::vector<std::string> notices_;
  std::shared_ptr<http::Topic> topic_;
  exec::ResultSink* sink_ = nullptr;
  std::atomic<bool> stop_{false}, is_past_{true};
  std::mutex mutex_;
  std::optional<base::Diagnostic> failed_;  ///< from outside; under mutex_

  // The thread's.
  exec::Engine engine_;
  size_t number_ = 0;
  std::vector<std::unique_ptr<Feed>> feeds_;
  int64_t parts_made_ = 0;
  std::thread thread_;
};

}  // namespace backstream::service
