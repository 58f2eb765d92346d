#pragma once
#include <cstdint>

#include "base/time.h"
#include "batch/column_batch.h"

namespace backstream::exec {

using base::Micros;

/// The window that rows belong to. Both times 0: rows of a query without windows.
struct WindowRef {
  Micros start = 0, end = 0;
  int revision = 1;
  bool final = true;
  bool complete = true;  ///< no row of it was shed
  // Of rows of a stream that pass one by one:
  uint32_t edge = 0;    ///< that they came from
  uint32_t branch = 0;  ///< of UNION ALL: by which of its inputs
};

/// Where a stage puts its rows: the next stage, a view above, the query's sink.
class RowReceiver {
 public:
  virtual ~RowReceiver() = default;
  /// Rows of one window and revision come in one or more calls, the last one marked (it may hold no row). The batch is
  /// valid during the call.
  virtual void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) = 0;
  /// No final row whose window_start (or, without windows, event time) is less will come any more.
  virtual void on_frontier(Micros frontier) = 0;
  /// The least frontier above `frontier` at which on_frontier() may have something to do; kMaxTime: none but the end.
  virtual Micros next_cut(Micros) const { return base::kMaxTime; }
};

}  // namespace backstream::exec
