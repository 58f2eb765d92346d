#include "exec/late_side_rows.h"

#include <algorithm>

namespace backstream::exec {

LateSideRows::LateSideRows(const plan::Stage& late, size_t batch_rows, RowReceiver& receiver)
    : tail_(late, late.where.get(), options_, batch_rows, unused_, receiver),
      is_late_(batch_rows),
      span_ends_(batch_rows) {}

void LateSideRows::send(const batch::ColumnBatch& rows) {
  if (!any_) return;
  input_.row_count = rows.row_count;
  input_.columns.assign(rows.columns.begin(), rows.columns.end());
  batch::Column column;
  column.type = batch::Type::kTimestamptz;
  column.values = span_ends_.data();
  input_.columns.push_back(column);
  column.type = batch::Type::kBool;
  column.values = is_late_.data();
  input_.columns.push_back(column);
  tail_.add(WindowRef{}, input_);
  tail_.end(WindowRef{});
  std::fill_n(is_late_.begin(), rows.row_count, uint8_t{0});
  any_ = false;
}

}  // namespace backstream::exec
