#pragma once
#include <algorithm>

#include "exec/pane_table.h"
#include "exec/rows.h"

namespace backstream::exec {

/// Turns groups into rows: window_start, window_end, keys, results of the aggregates, a batch at a time. One thread.
class GroupRows {
 public:
  GroupRows(const plan::Stage& stage, size_t batch_rows);
  /// Calls take(batch) for all groups of `table`, in its order. The batch is reused; texts point into the table.
  template <typename Take>
  void for_each_batch(PaneTable& table, Micros window_start, Micros window_end, Take&& take) {
    for (size_t at = 0; at < table.group_count();) {
      at += fill(table, at, window_start, window_end);
      take(buffer_.batch);
    }
  }
  /// The same for some groups, all of one form of key, given by their rows.
  template <typename Take>
  void for_each_batch(PaneTable& table, bool wide, uint8_t* const* rows, size_t n, Take&& take) {
    for (size_t at = 0; at < n; at += batch_rows_) {
      const size_t count = std::min(batch_rows_, n - at);
      fill(table, wide, rows + at, count, 0, 0);
      take(buffer_.batch);
    }
  }
  /// The same with the keys alone: take(key columns, number of the first group, groups).
  template <typename Take>
  void for_each_key_batch(PaneTable& table, Take&& take) {
    for (size_t at = 0; at < table.group_count();) {
      const size_t n = fill_keys(table, at);
      take(buffer_.batch.columns.data() + 2, at, n);
      at += n;
    }
  }
  /// Results that are null for want of a value, by aggregate, in all rows so far.
  const std::vector<agg::NullResults>& null_results() const { return null_results_; }

 private:
  size_t fill_keys(PaneTable& table, size_t first);
  void unpack_keys(PaneTable& table, bool wide, size_t n);
  size_t fill(PaneTable& table, size_t first, Micros window_start, Micros window_end);
  void fill(PaneTable& table, bool wide, uint8_t* const* rows, size_t n, Micros window_start, Micros window_end);
  void finish(PaneTable& table, bool wide, size_t n, Micros window_start, Micros window_end);

  const plan::Stage& stage_;
  size_t batch_rows_;
  batch::BatchBuffer buffer_;
  std::vector<const uint64_t*> keys_;
  std::vector<agg::NullResults> null_results_;
};

}  // namespace backstream::exec
