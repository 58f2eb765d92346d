#include "exec/row_grouper.h"

#include "exec/stage.h"

namespace backstream::exec {

RowGrouper::RowGrouper(const plan::Stage& stage, const plan::QueryOptions& query, const PaneGrid& grid,
                       const EngineOptions& options)
    : edge_(stage, query, grid, options.batch_rows, options.hash_mask, pool_of(options, 0, true)) {
  edge_.leave_judging();
}

RowGrouper::Panes RowGrouper::group(partial::RowsReader& rows) {
  rows.for_each_batch(
      [&](const batch::ColumnBatch& batch) { edge_.process(batch, base::kMinTime, base::kMaxTime, nullptr); });
  Panes panes;
  panes.counts = edge_.take_counts(base::kMaxTime);
  edge_.take_until(base::kMaxTime,
                   [&](Micros start, PaneTablePtr table) { panes.tables.emplace_back(start, std::move(table)); });
  panes.ledger = edge_.take_ledger();
  return panes;
}

}  // namespace backstream::exec
