// A result that is redrawn in place: the newest window, as much of it as the screen has room for.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "app/shell/display_text.h"
#include "app/shell/result_view.h"
#include "app/shell/terminal.h"

namespace backstream::app::shell {
namespace {

using namespace std::chrono_literals;

/// Rows of a window that are kept for the screen; there is no screen with more lines.
constexpr size_t kRowsKept = 500;
constexpr int kDrawsMax = 4;

class LiveView final : public ResultView {
 public:
  LiveView(Output& output, ViewOptions options) : output_(output), options_(std::move(options)) {}

  bool on_window(ResultWindow&& window) override {
    if (!window.start) return on_rows(std::move(window));
    gather(std::move(window));
    if (!building_.last) return true;
    // A revision of a window that has left the screen would only flicker.
    if (shown_ && shown_->start > building_.start) {
      ++counts_.passed;
      return true;
    }
    if (paused_) {
      ++counts_.passed;
      held_ = std::move(building_);
      held_rows_ = building_rows_;
      changed_ = true;
      return true;
    }
    show(std::move(building_), building_rows_);
    return !enough();
  }

  bool tick() override {
    while (const auto key = keys_.next()) {
      if (*key == 'q' || *key == 'Q' || *key == 4 /* Ctrl-D */) return false;
      if (*key == ' ') pause();
    }
    if (take_resize()) changed_ = true;
    draws_ = 0;
    const auto now = Clock::now();
    // The countdown and the age of a window move by seconds.
    if (!scrolls_ && (changed_ || now - drawn_at_ >= 1s)) draw();
    return output_.error() == 0 && !enough();
  }

  void waiting(const std::string& why, std::optional<Clock::time_point> due) override {
    why_ = why;
    due_ = due;
    changed_ = true;
  }
  void lost(uint64_t events) override {
    lost_ += events;
    changed_ = true;
  }
  void finish() override {
    finished_ = true;  // Who paused keeps the picture that he paused at.
    if (!scrolls_) draw();
  }

 private:
  bool enough() const {
    return (options_.limits.rows > 0 && counts_.rows >= options_.limits.rows) ||
           (options_.limits.windows > 0 && counts_.windows >= options_.limits.windows);
  }

  void gather(ResultWindow&& part) {
    if (part.removed) part.rows.clear();
    if (part.part == 0) {
      building_rows_ = part.rows.size();
      building_ = std::move(part);
    } else {
      building_rows_ += part.rows.size();
      building_.last = part.last;
      building_.truncated = building_.truncated || part.truncated;
      for (Row& row : part.rows) {
        if (building_.rows.size() >= kRowsKept) break;
        building_.rows.push_back(std::move(row));
      }
    }
    if (building_.rows.size() > kRowsKept) building_.rows.resize(kRowsKept);
  }

  void show(ResultWindow window, uint64_t rows) {
    if (!shown_ || shown_->start != window.start) {
      ++counts_.windows;
      counts_.rows += rows;
      if (!window.complete || window.truncated) ++counts_.not_whole;
    }
    shown_ = std::move(window);
    shown_rows_ = rows;
    changed_ = true;
    // Of windows that come faster than anybody reads, as those of the past, the newest is drawn by tick().
    if (draws_++ < kDrawsMax) draw();
  }

  void pause() {
    paused_ = !paused_;
    changed_ = true;
    if (!paused_ && held_) show(*std::exchange(held_, std::nullopt), held_rows_);
  }

  // Rows that belong to no window: there is nothing to redraw, they go on below.
  bool on_rows(ResultWindow window) {
    if (!scrolls_) {
      scrolls_ = true;
      erase();
    }
    if (paused_) {
      ++counts_.passed;
      return true;
    }
    if (options_.limits.rows > 0) {
      const uint64_t left = options_.limits.rows - std::min(options_.limits.rows, counts_.rows);
      if (window.rows.size() > left) window.rows.resize(static_cast<size_t>(left));
    }
    const TableStyle style{.screen_columns = screen_size(output_.descriptor()).columns,
                           .null_text = options_.null_text};
    if (counts_.windows == 0)
      expanded_ = options_.expanded == Expanded::kOn ||
                  (options_.expanded == Expanded::kAuto && wants_expanded(window.columns, window.rows, style));
    const auto lines = expanded_
                           ? expanded_table(window.columns, window.rows, style, counts_.rows + 1)
                           : aligned_table(window.columns, window.rows, style, &widths_, nullptr, counts_.windows == 0);
    for (const std::string& line : lines) output_.write(line + "\n");
    output_.flush();
    ++counts_.windows;
    counts_.rows += window.rows.size();
    if (!window.complete || window.truncated) ++counts_.not_whole;
    return !enough();
  }

  /// The lines of the shown window, none wider than the screen.
  void window_lines(const ScreenSize& screen, std::vector<std::string>& lines) {
    const ResultWindow& window = *shown_;
    TableStyle style{.screen_columns = screen.columns, .null_text = options_.null_text, .one_line = true};
    const size_t room = screen.rows > 8 ? screen.rows - 6 : 2;
    const size_t rows_max = std::min(window.rows.size(), room);
    const std::span<const Row> rows(window.rows.data(), rows_max);
    const bool expanded = options_.expanded == Expanded::kOn ||
                          (options_.expanded == Expanded::kAuto && wants_expanded(window.columns, rows, style));
    lines.push_back(cut_to(window_caption(window), screen.columns));
    size_t left_out = 0, shown = rows_max;
    if (expanded) {
      const size_t lines_per_row = window.columns.size() + 1;
      shown = std::min(rows_max, std::max<size_t>(1, room / lines_per_row));
      auto table = expanded_table(window.columns, rows.subspan(0, shown), style);
      if (table.size() > room) table.resize(room);
      lines.insert(lines.end(), table.begin(), table.end());
    } else {
      // Windows differ in widths; columns that jump with each are hard to read.
      const auto table = aligned_table(window.columns, rows, style, &widths_, &left_out);
      lines.insert(lines.end(), table.begin(), table.end());
    }
    std::string count = row_count_text(shown_rows_);
    if (shown_rows_ > shown) count += fmt::format("  … {} more rows than fit here", shown_rows_ - shown);
    if (left_out > 0) count += fmt::format("  … {} more columns: \\x on shows them", left_out);
    lines.push_back(cut_to(count, screen.columns));
  }

  std::string status_line() const {
    std::string text = "-- ";
    if (!shown_) {
      text += "no rows yet";
      if (!why_.empty()) text += ": " + why_;
      if (due_) {
        const auto left = std::chrono::ceil<std::chrono::seconds>(*due_ - Clock::now()).count();
        text += left > 0 ? fmt::format("; due in {} s", left) : "; due now";
      }
    } else {
      text += fmt::format("{} window{}", counts_.windows, counts_.windows == 1 ? "" : "s");
      if (lost_ > 0) text += fmt::format(", {} lost", lost_);
    }
    if (paused_)
      text += fmt::format(" · PAUSED, {} came meanwhile, space goes on", held_ ? "newer windows" : "nothing");
    else text += " · space pauses, q ends";
    return text;
  }

  void erase() {
    if (drawn_lines_ > 0) output_.write(fmt::format("\r\x1b[{}A\x1b[J", drawn_lines_));
    drawn_lines_ = 0;
  }
  void draw() {
    const ScreenSize screen = screen_size(output_.descriptor());
    std::vector<std::string> lines;
    if (shown_) window_lines(screen, lines);
    if (!finished_) lines.push_back(cut_to(status_line(), screen.columns));
    std::string text;
    if (drawn_lines_ > 0) text = fmt::format("\r\x1b[{}A", drawn_lines_);
    // Line by line over what stands there, so that nothing flickers.
    for (const std::string& line : lines) text += line + "\x1b[K\n";
    text += "\x1b[J";
    output_.write(text);
    output_.flush();
    drawn_lines_ = lines.size();
    drawn_at_ = Clock::now();
    changed_ = false;
  }

  Output& output_;
  const ViewOptions options_;
  LiveKeys keys_;
  ResultWindow building_;                     // Parts until the last.
  std::optional<ResultWindow> shown_, held_;  // held_: the newest that came while paused.
  uint64_t building_rows_ = 0, shown_rows_ = 0, held_rows_ = 0, lost_ = 0;
  bool paused_ = false, changed_ = true, finished_ = false, scrolls_ = false, expanded_ = false;
  int draws_ = 0;  // Of windows, since the last tick().
  std::vector<size_t> widths_;
  size_t drawn_lines_ = 0;
  Clock::time_point drawn_at_ = Clock::now();
  std::string why_;
  std::optional<Clock::time_point> due_;
};

}  // namespace

std::unique_ptr<ResultView> live_view(Output& output, ViewOptions options) {
  return std::make_unique<LiveView>(output, std::move(options));
}

}  // namespace backstream::app::shell
