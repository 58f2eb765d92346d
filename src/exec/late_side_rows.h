#pragma once
#include <vector>

#include "exec/tail.h"

namespace backstream::exec {

/// Late rows of one side of a join, told as plan::LateSide says, one by one and at once: nothing is kept. One thread.
class LateSideRows {
 public:
  /// `late` must outlive it.
  /// @param receiver  gets rows without a window (WindowRef{})
  LateSideRows(const plan::Stage& late, size_t batch_rows, RowReceiver& receiver);
  LateSideRows(const LateSideRows&) = delete;

  /// A row of the batch that send() will get is late.
  /// @param span_end  what `_late_by` counts from
  void note(uint32_t row, Micros span_end) {
    is_late_[row] = 1;
    span_ends_[row] = span_end;
    any_ = true;
  }
  void send(const batch::ColumnBatch& rows);

 private:
  const plan::QueryOptions options_;  ///< the defaults: of a late row, what cannot be computed is null
  WindowLedger unused_;
  Tail tail_;
  batch::ColumnBatch input_;
  std::vector<uint8_t> is_late_;  ///< by row number
  std::vector<Micros> span_ends_;
  bool any_ = false;
};

}  // namespace backstream::exec
