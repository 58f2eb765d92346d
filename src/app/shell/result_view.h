#pragma once
// What becomes of the windows of a running query: rows that are appended, or a table that is redrawn in place.
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/shell/output.h"
#include "app/shell/result_window.h"
#include "app/shell/table_printer.h"
#include "base/time.h"

namespace backstream::app::shell {

enum class Expanded : uint8_t { kOff, kOn, kAuto };

/// When a live result ends by itself; 0: not by this.
struct LiveLimits {
  uint64_t rows = 0;
  uint64_t windows = 0;
  base::Micros duration = 0;
};

struct ViewOptions {
  TableFormat format = TableFormat::kTable;
  Expanded expanded = Expanded::kAuto;
  std::string null_text = {};
  bool revisions = false;     ///< csv, jsonl: every revision of a window, not only final rows
  base::Micros interval = 0;  ///< \watch: at most a window in this time
  LiveLimits limits = {};
};

/// What a view made of what it got.
struct ViewCounts {
  uint64_t windows = 0;    ///< whole ones that were shown; of rows without windows: batches
  uint64_t rows = 0;       ///< of them
  uint64_t not_final = 0;  ///< windows that were left out because they may still change
  uint64_t passed = 0;     ///< windows that came while it was paused, or sooner than `interval`
  uint64_t not_whole = 0;  ///< shown windows that lack rows of some site, or were cut by the server
};

class ResultView {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~ResultView() = default;
  ResultView() = default;
  ResultView(const ResultView&) = delete;
  ResultView& operator=(const ResultView&) = delete;

  /// Parts of a window come in order, windows by their time.
  /// @return  false: it has all that it was to show
  virtual bool on_window(ResultWindow&& window) = 0;
  /// Ten times a second: keys, redrawing. false: the person wants it to end.
  virtual bool tick() { return true; }
  /// Why nothing came yet; printable.
  /// @param due  when the first rows are due, if that is known
  virtual void waiting(const std::string& why, std::optional<Clock::time_point> due) = 0;
  /// Rows that the server could not give in time.
  virtual void lost(uint64_t events) = 0;
  virtual void finish() {}
  const ViewCounts& counts() const { return counts_; }

 protected:
  ViewCounts counts_;
};

/// Rows are appended: to files, pipes, and for \watch.
std::unique_ptr<ResultView> append_view(Output& output, ViewOptions options, bool quiet);
/// Redrawn in place; rows that belong to no window are appended there too. The output must be a terminal.
std::unique_ptr<ResultView> live_view(Output& output, ViewOptions options);

/// "2026-01-31 14:02:10 to 14:02:20 UTC, revision 2, not final, incomplete, cut by the server"
std::string window_caption(const ResultWindow& window);

}  // namespace backstream::app::shell
