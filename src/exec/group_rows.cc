#include "exec/group_rows.h"

#include <algorithm>

namespace backstream::exec {
GroupRows::GroupRows(const plan::Stage& stage, size_t batch_rows)
    : stage_(stage),
      batch_rows_(batch_rows),
      buffer_(stage.grouped.types(), std::vector<bool>(stage.grouped.columns.size(), true), batch_rows),
      keys_(batch_rows),
      null_results_(stage.aggregates.size()) {}

/// One batch is all narrow or all wide.
size_t GroupRows::fill_keys(PaneTable& table, size_t first) {
  const bool wide = table.is_wide(first);
  size_t n = 0;
  for (size_t group = first; n < batch_rows_ && group < table.group_count() && table.is_wide(group) == wide; ++group) {
    keys_[n] = reinterpret_cast<const uint64_t*>(table.row(group));
    __builtin_prefetch(keys_[n++]);
  }
  unpack_keys(table, wide, n);
  return n;
}

void GroupRows::unpack_keys(PaneTable& table, bool wide, size_t n) {
  batch::Column* keys = buffer_.batch.columns.data() + 2;
  const KeyCodec& codec = table.layout().codec();
  for (size_t k = 0; k < stage_.keys.size(); ++k) keys[k].has_nulls = wide;
  if (wide) codec.unpack_wide(keys_.data(), n, table.texts(), keys, 0);
  else codec.unpack_narrow(keys_.data(), n, table.texts(), keys, 0);
}

size_t GroupRows::fill(PaneTable& table, size_t first, Micros window_start, Micros window_end) {
  const size_t n = fill_keys(table, first);
  finish(table, table.is_wide(first), n, window_start, window_end);
  return n;
}

void GroupRows::fill(PaneTable& table, bool wide, uint8_t* const* rows, size_t n, Micros window_start,
                     Micros window_end) {
  for (size_t i = 0; i < n; ++i) {
    keys_[i] = reinterpret_cast<const uint64_t*>(rows[i]);
    __builtin_prefetch(rows[i]);
  }
  unpack_keys(table, wide, n);
  finish(table, wide, n, window_start, window_end);
}

void GroupRows::finish(PaneTable& table, bool wide, size_t n, Micros window_start, Micros window_end) {
  batch::ColumnBatch& rows = buffer_.batch;
  rows.row_count = n;
  std::fill_n(rows.columns[0].as<int64_t>(), n, window_start);
  std::fill_n(rows.columns[1].as<int64_t>(), n, window_end);
  for (size_t a = 0; a < stage_.aggregates.size(); ++a) {
    batch::Column& out = rows.columns[2 + stage_.keys.size() + a];
    out.has_nulls = true;
    const agg::NullResults before = table.context();
    stage_.aggregates[a].function->finish(reinterpret_cast<const uint8_t* const*>(keys_.data()),
                                          table.states_at(wide) + table.layout().state_offsets()[a], n, out, 0,
                                          table.context());
    null_results_[a] += table.context().since(before);
  }
}

}  // namespace backstream::exec
