#pragma once
#include <vector>

#include "exec/pane_table.h"
#include "exec/rows.h"

namespace backstream::exec {

/// The row that stands for all rows of a window beyond LIMIT (rest_row = true). Its aggregates come from the combined
/// states of those groups, so that a sum, a mean or a count of distinct values is that of all their rows. One thread.
class RestRow {
 public:
  explicit RestRow(const plan::Stage& stage);
  /// One grouped row: the window, null keys, results; valid until the next call. Results that cannot be given are added
  /// to `nulls`.
  /// @param groups  n >= 1 groups of `table`
  const batch::ColumnBatch& combine(PaneTable& table, const WindowRef& window, const uint32_t* groups, size_t n,
                                    agg::NullResults& nulls);

 private:
  const plan::Stage& stage_;
  batch::BatchBuffer row_;
  std::vector<uint64_t> states_;
  agg::StateContext context_;  ///< of the last result: texts point into it
};

}  // namespace backstream::exec
