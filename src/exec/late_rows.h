#pragma once
#include <memory>

#include "exec/group_rows.h"
#include "exec/row_aggregator.h"
#include "exec/state_bytes.h"
#include "exec/tail.h"
#include "plan/late.h"
#include "window/pane_grid.h"

namespace backstream::exec {

using window::PaneGrid;

/// Edge half of `<view>_late`: groups of rows that came after a window of theirs was final. One thread.
class LateRows {
 public:
  LateRows(const plan::LateStage& late, const plan::QueryOptions& options, size_t batch_rows, uint64_t hash_mask);

  /// Adds rows of a batch that have passed the filter, all of the slide (windows begin a slide apart) that begins at
  /// `pane_start`.
  /// @return  rows that were not kept: there were kGroupsMax groups already
  uint64_t add(const batch::ColumnBatch& batch, const uint32_t* rows, size_t n, Micros pane_start);
  /// What was added since the last call; null: nothing.
  PaneTablePtr take() { return std::move(table_); }
  void save(StateWriter& out);
  void load(StateReader& in);
  size_t octets_held() const { return table_ ? table_->octets_held() : 0; }

 private:
  /// Between two cuts. A clock that is all over the place makes no more.
  static constexpr size_t kGroupsMax = 65'536;

  WindowLedger unused_;  ///< the rows' errors have been counted with the view
  BlockPool pool_;
  GroupLayout layout_;
  RowAggregator aggregator_;
  batch::ColumnBatch input_;
  std::vector<Micros> pane_starts_;
  PaneTablePtr table_;
};

/// Merge half of `<view>_late`: what came too late for the windows that were final then, as rows. One thread.
class LateOutput {
 public:
  /// @param receiver  gets rows without a window of their own (WindowRef{}), in no order
  LateOutput(const plan::LateStage& late, const plan::QueryOptions& options, const PaneGrid& grid, size_t batch_rows,
             uint64_t hash_mask, RowReceiver& receiver);

  void adopt(const PaneTable& late) { pending().combine(late); }
  /// The table to which shipped groups are added.
  PaneTable& pending();
  void save(StateWriter& out);
  void load(StateReader& in);
  /// Sends what is pending: a row for each window of a group that ends at or before `final_end`.
  void send(Micros final_end);
  size_t octets_held() const { return pending_ ? pending_->octets_held() : 0; }
  void end(Micros frontier) { receiver_.on_frontier(frontier); }

 private:
  const plan::LateStage& late_;
  PaneGrid grid_;
  RowReceiver& receiver_;
  WindowLedger unused_;
  BlockPool pool_;
  GroupLayout layout_;
  Tail tail_;
  GroupRows group_rows_;
  PaneTablePtr pending_;
  std::vector<uint8_t> in_window_;
};

}  // namespace backstream::exec
