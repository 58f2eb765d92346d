#include <algorithm>

#include "exec/windowed_stage.h"

namespace backstream::exec {

using batch::Column;

EdgeHalf::EdgeHalf(const plan::Stage& stage, const plan::QueryOptions& options, const PaneGrid& grid, size_t batch_rows,
                   uint64_t hash_mask)
    : stage_(stage),
      options_(options),
      grid_(grid),
      layout_(stage, hash_mask),
      aggregator_(stage, options, batch_rows, layout_, ledger_),
      timed_(batch_rows),
      inside_(batch_rows),
      outside_(batch_rows),
      rest_(batch_rows) {}

/// The rows that have a usable event time; the others are counted.
const uint32_t* EdgeHalf::rows_with_time(const Column& time, size_t row_count, size_t& n) {
  const int64_t* times = time.as<int64_t>();
  n = row_count;
  if (!time.has_nulls) {
    Micros least = times[0], greatest = times[0];
    for (size_t i = 1; i < row_count; ++i) {
      least = std::min(least, times[i]);
      greatest = std::max(greatest, times[i]);
    }
    if (least >= kTimeMin && greatest <= time_max_) return aggregator_.all_rows();
  }
  n = 0;
  for (size_t i = 0; i < row_count; ++i) {
    if (time.is_null(i)) {
      ++ledger_.time_null;
    } else if (times[i] < kTimeMin || times[i] > time_max_) {
      ++ledger_.time_future;
    } else {
      timed_[n++] = static_cast<uint32_t>(i);
    }
  }
  return timed_.data();
}

void EdgeHalf::process(const batch::ColumnBatch& rows, Micros watermark, Micros time_max) {
  if (rows.row_count == 0) return;
  seen_ = std::max(seen_, watermark);
  time_max_ = std::min(time_max, kTimeMax);
  const Column& time = rows.columns[static_cast<size_t>(stage_.window.time_column)];
  size_t n = 0;
  const uint32_t* chosen = rows_with_time(time, rows.row_count, n);
  ledger_.assigned += n;
  if (n == 0) return;
  chosen = aggregator_.prepare(rows, chosen, n, n);
  if (n == 0) return;
  const int64_t* times = time.as<int64_t>();
  Micros least = times[chosen[0]], greatest = least;
  for (size_t i = 1; i < n; ++i) {
    const Micros at = times[chosen[i]];
    least = std::min(least, at);
    greatest = std::max(greatest, at);
  }
  const Micros start = grid_.pane_start(least);
  if (greatest - start < grid_.pane_us) {
    add_to_pane(start, chosen, n);
  } else {
    add_by_pane(times, chosen, n);
  }
}

/// Splits rows by pane, one pane a pass: a batch of traffic touches two or three. What is left after a few passes
/// (times all over the place) is sorted.
void EdgeHalf::add_by_pane(const Micros* times, const uint32_t* rows, size_t n) {
  constexpr int kPassesMax = 6;
  std::copy_n(rows, n, rest_.data());
  for (int pass = 0; n > 0 && pass < kPassesMax; ++pass) {
    const Micros start = grid_.pane_start(times[rest_[0]]);
    size_t inside = 0, outside = 0;
    for (size_t i = 0; i < n; ++i) {
      const uint32_t row = rest_[i];
      const bool in = static_cast<uint64_t>(times[row] - start) < static_cast<uint64_t>(grid_.pane_us);
      inside_[inside] = row;
      outside_[outside] = row;
      inside += in;
      outside += !in;
    }
    add_to_pane(start, inside_.data(), inside);
    rest_.swap(outside_);
    n = outside;
  }
  if (n == 0) return;
  std::stable_sort(rest_.begin(), rest_.begin() + static_cast<long>(n),
                   [&](uint32_t a, uint32_t b) { return grid_.pane_start(times[a]) < grid_.pane_start(times[b]); });
  for (size_t begin = 0; begin < n;) {
    const Micros start = grid_.pane_start(times[rest_[begin]]);
    size_t end = begin + 1;
    while (end < n && times[rest_[end]] - start < grid_.pane_us) ++end;
    add_to_pane(start, rest_.data() + begin, end - begin);
    begin = end;
  }
}

void EdgeHalf::add_to_pane(Micros start, const uint32_t* rows, size_t n) {
  if (last_pane_ == nullptr || start != last_start_) {
    const Micros kept_until = grid_.last_window_end(start) + options_.allowed_lateness_us;
    if (kept_until <= watermark_) {
      ledger_.late += n;
      // With a delay greater by this the watermark would still have been before the end of the row's last window.
      ledger_.late_by_max_us = std::max(ledger_.late_by_max_us, seen_ - kept_until + 1);
      return;
    }
    auto found = open_.find(start);
    if (found == open_.end()) {
      if (open_.size() >= kOpenPanesMax) {
        ledger_.shed += n;
        return;
      }
      found = open_.emplace(start, std::make_unique<PaneTable>(layout_, pool_, group_hint_)).first;
    }
    last_start_ = start;
    last_pane_ = found->second.get();
  }
  aggregator_.add(rows, n, *last_pane_);
}

}  // namespace backstream::exec
