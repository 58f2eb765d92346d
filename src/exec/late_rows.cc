#include "exec/late_rows.h"

#include <algorithm>

namespace backstream::exec {

LateRows::LateRows(const plan::LateStage& late, const plan::QueryOptions& options, size_t batch_rows,
                   uint64_t hash_mask)
    : layout_(late.stage, hash_mask),
      aggregator_(late.stage, options, batch_rows, layout_, unused_),
      pane_starts_(batch_rows) {}

uint64_t LateRows::add(const batch::ColumnBatch& batch, const uint32_t* rows, size_t n, Micros pane_start) {
  if (table_ == nullptr) table_ = std::make_unique<PaneTable>(layout_, pool_, 0);
  if (table_->group_count() >= kGroupsMax) return n;
  std::fill_n(pane_starts_.begin(), batch.row_count, pane_start);
  batch::Column starts;
  starts.type = batch::Type::kTimestamptz;
  starts.values = pane_starts_.data();
  input_.row_count = batch.row_count;
  input_.columns.assign(batch.columns.begin(), batch.columns.end());
  input_.columns.push_back(starts);
  size_t kept = 0;
  const uint32_t* prepared = aggregator_.prepare(input_, rows, n, kept);
  aggregator_.add(prepared, kept, *table_);
  return 0;
}

LateOutput::LateOutput(const plan::LateStage& late, const plan::QueryOptions& options, const PaneGrid& grid,
                       size_t batch_rows, uint64_t hash_mask, RowReceiver& receiver)
    : late_(late),
      grid_(grid),
      receiver_(receiver),
      layout_(late.stage, hash_mask),
      tail_(late.stage, late.stage.having.get(), options, batch_rows, unused_, receiver),
      group_rows_(late.stage, batch_rows),
      in_window_(batch_rows) {}

PaneTable& LateOutput::pending() {
  if (pending_ == nullptr) pending_ = std::make_unique<PaneTable>(layout_, pool_, 0);
  return *pending_;
}

void LateOutput::send(Micros final_end) {
  if (pending_ == nullptr) return;
  const auto pane_starts = static_cast<size_t>(late_.pane_start_grouped);
  // The k-th window of every group in one pass; with tumble there is one.
  bool more = true;
  for (Micros back = 0; more; back += grid_.slide_us) {
    more = false;
    group_rows_.for_each_batch(*pending_, 0, 0, [&](batch::ColumnBatch& rows) {
      const Micros* panes = rows.columns[pane_starts].as<Micros>();
      Micros* starts = rows.columns[0].as<Micros>();
      Micros* ends = rows.columns[1].as<Micros>();
      bool any = false;
      for (size_t row = 0; row < rows.row_count; ++row) {
        ends[row] = grid_.first_window_end(panes[row]) + back;
        starts[row] = grid_.window_start(ends[row]);
        in_window_[row] = ends[row] <= std::min(grid_.last_window_end(panes[row]), final_end);
        any |= in_window_[row] != 0;
      }
      more |= any;
      if (!any) return;
      const batch::Column own_ends = rows.columns[1];
      rows.columns[1].has_nulls = true;
      rows.columns[1].validity = in_window_.data();
      tail_.add(WindowRef{}, rows);
      rows.columns[1] = own_ends;
    });
  }
  tail_.end(WindowRef{});
  pending_.reset();
}

}  // namespace backstream::exec
