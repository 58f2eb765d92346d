#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "app/prometheus_lines.h"
#include "app/shell/display_text.h"
#include "app/shell/result_view.h"
#include "app/shell/terminal.h"
#include "telemetry/terminal_log.h"

namespace backstream::app::shell {
namespace {

class AppendView final : public ResultView {
 public:
  AppendView(Output& output, ViewOptions options, bool quiet)
      : output_(output), options_(std::move(options)), quiet_(quiet) {
    // A status line beside rows on the same terminal would be torn by them.
    shows_status_ = !quiet_ && telemetry::terminal_log().on_terminal() && !output_.on_terminal();
  }

  bool on_window(ResultWindow&& window) override {
    if (window.part == 0) decide(window);
    if (window.removed && !options_.revisions) window.rows.clear();
    if (!skipping_) write(window);
    if (!window.last) return true;
    if (std::exchange(skipping_, false)) return true;
    ++counts_.windows;
    if (!window.complete || window.truncated) ++counts_.not_whole;
    if (options_.format == TableFormat::kTable) output_.write(row_count_text(rows_of_window_) + "\n\n");
    output_.flush();
    rows_of_window_ = 0;
    if (shows_status_) {
      telemetry::terminal_log().status(
          fmt::format("{} windows, {} rows written to {}; Ctrl-C ends", counts_.windows, counts_.rows, output_.name()));
    }
    if (output_.error() != 0) return false;
    if (options_.limits.rows > 0 && counts_.rows >= options_.limits.rows) return false;
    return options_.limits.windows == 0 || counts_.windows < options_.limits.windows;
  }
  bool tick() override { return output_.error() == 0; }

  void waiting(const std::string& why, std::optional<Clock::time_point> due) override {
    // Once is enough for a log; again only where it has changed.
    if (quiet_ || why == told_) return;
    told_ = why;
    std::string text = "-- no rows yet: " + why;
    if (due) {
      const auto seconds = std::chrono::ceil<std::chrono::seconds>(*due - Clock::now()).count();
      text += fmt::format("; due in {} s", std::max<int64_t>(seconds, 0));
    }
    telemetry::terminal_log().line(text);
  }
  void lost(uint64_t events) override {
    telemetry::terminal_log().warning(
        fmt::format("{} results came faster than they were read and are missing", events));
  }
  void finish() override {
    output_.flush();
    if (shows_status_) telemetry::terminal_log().status("");
  }

 private:
  void decide(const ResultWindow& window) {
    rows_of_window_ = 0;
    const bool only_final = options_.format != TableFormat::kTable && !options_.revisions;
    if (only_final && !window.final) {
      skipping_ = true;
      ++counts_.not_final;
    } else if (options_.interval > 0 && last_shown_ &&
               Clock::now() - *last_shown_ < std::chrono::microseconds(options_.interval)) {
      skipping_ = true;
      ++counts_.passed;
    } else {
      skipping_ = false;
      last_shown_ = Clock::now();
    }
  }

  void write(ResultWindow& window) {
    if (options_.limits.rows > 0) {
      const uint64_t left = options_.limits.rows - std::min(options_.limits.rows, counts_.rows);
      if (window.rows.size() >= left) {
        window.rows.resize(static_cast<size_t>(left));
        window.last = true;
      }
    }
    counts_.rows += window.rows.size();
    if (options_.format == TableFormat::kTable) write_table(window);
    else if (options_.format == TableFormat::kPrometheus) write_page(window);
    else write_records(window);
    rows_of_window_ += window.rows.size();
  }

  void write_records(ResultWindow& window) {
    if (options_.revisions) {
      window.columns.insert(window.columns.end(),
                            {{"_rev", "bigint"}, {"_final", "boolean"}, {"_complete", "boolean"}, {"_op", "text"}});
      for (Row& row : window.rows) {
        row.push_back({Cell::Kind::kNumber, std::to_string(window.revision)});
        row.push_back({Cell::Kind::kBool, window.final ? "true" : "false"});
        row.push_back({Cell::Kind::kBool, window.complete ? "true" : "false"});
        row.push_back({Cell::Kind::kText, window.removed ? "d" : "u"});
      }
    }
    const bool csv = options_.format == TableFormat::kCsv;
    if (csv && !std::exchange(header_written_, true)) output_.write_record(csv_header(window.columns));
    for (const Row& row : window.rows)
      output_.write_record(csv ? csv_line(window.columns, row) : jsonl_line(window.columns, row));
  }

  void write_page(const ResultWindow& window) {
    if (!window.start || !window.end) return;  // Rows without a window.
    if (!page_.has_begun()) {
      std::vector<PrometheusLines::Column> columns;
      for (const ResultColumn& column : window.columns)
        columns.push_back({column.name, column.type, column.key, column.stderr_of});
      page_.begin(window.query, columns);
    }
    for (const Row& row : window.rows) {
      std::vector<std::optional<std::string>> cells;
      for (size_t c = 0; c < row.size(); ++c) {
        if (row[c].kind == Cell::Kind::kNull) cells.emplace_back();
        else cells.emplace_back(plain_value(row[c], window.columns[c]));
      }
      page_.add(std::move(cells));
    }
    if (window.last)
      output_.write_record(page_.end(
          {*window.start, *window.end, static_cast<int64_t>(window.revision), window.complete, window.sites_missing}));
  }

  void write_table(const ResultWindow& window) {
    TableStyle style{.null_text = options_.null_text};
    if (output_.on_terminal()) style.screen_columns = screen_size(output_.descriptor()).columns;
    if (window.part == 0) {
      if (const std::string caption = window_caption(window); !caption.empty()) output_.write(caption + "\n");
      expanded_ = options_.expanded == Expanded::kOn ||
                  (options_.expanded == Expanded::kAuto && wants_expanded(window.columns, window.rows, style));
    }
    const auto lines = expanded_
                           ? expanded_table(window.columns, window.rows, style, rows_of_window_ + 1)
                           : aligned_table(window.columns, window.rows, style, &widths_, nullptr, window.part == 0);
    for (const std::string& line : lines) output_.write(line + "\n");
  }

  Output& output_;
  const ViewOptions options_;
  const bool quiet_;
  bool shows_status_ = false, skipping_ = false, header_written_ = false, expanded_ = false;
  size_t rows_of_window_ = 0;
  std::vector<size_t> widths_;
  PrometheusLines page_;
  std::optional<Clock::time_point> last_shown_;
  std::string told_;
};

}  // namespace

std::unique_ptr<ResultView> append_view(Output& output, ViewOptions options, bool quiet) {
  return std::make_unique<AppendView>(output, std::move(options), quiet);
}

std::string window_caption(const ResultWindow& window) {
  std::string text;
  if (window.start && window.end) {
    const std::string begin = base::format_timestamp(*window.start), end = base::format_timestamp(*window.end);
    const std::string_view day = std::string_view(begin).substr(0, 11);
    // The day is said once where it is one.
    const std::string_view short_end = std::string_view(end).substr(end.starts_with(day) ? day.size() : 0);
    const auto without_zone = [](std::string_view time) { return time.substr(0, time.rfind('+')); };
    text = fmt::format("{} to {} UTC", without_zone(begin), without_zone(short_end));
  }
  std::string marks;
  if (window.revision > 1) marks += fmt::format(", revision {}", window.revision);
  if (!window.final) marks += ", not final";
  if (!window.complete) marks += ", incomplete";
  for (const std::string& site : window.sites_missing)
    marks += (&site == &window.sites_missing.front() ? ": missing " : ", ") + printable(site);
  if (window.truncated) marks += ", cut by the server";
  if (text.empty() && !marks.empty()) return marks.substr(2);
  return text + marks;
}

}  // namespace backstream::app::shell
