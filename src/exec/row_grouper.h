#pragma once
#include <utility>
#include <vector>

#include "exec/windowed_stage.h"
#include "partial/rows.h"

namespace backstream::exec {

/// Merge half: makes the panes of rows that an edge sent as such, as the edge itself would have made and sent them. One
/// thread.
class RowGrouper {
 public:
  /// Outlives the panes that it makes.
  RowGrouper(const plan::Stage& stage, const plan::QueryOptions& query, const PaneGrid& grid,
             const EngineOptions& options);

  struct Panes {
    std::vector<std::pair<Micros, PaneTablePtr>> tables;  ///< by start
    CountsByPane counts;
    WindowLedger ledger;
  };
  /// Of the rows that were read last. Throws QueryFailed.
  Panes group(partial::RowsReader& rows);

 private:
  EdgeHalf edge_;
};

}  // namespace backstream::exec
