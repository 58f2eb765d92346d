#pragma once
#include <vector>

#include "plan/query.h"

namespace backstream::plan {

/// Rows of streams that come late to a join are not joined: the partners that they had may be forgotten, or gone on
/// without them. Where somebody reads `<view>_late` each is told by itself (docs/design/0016-late-rows-of-joins.md), as
/// this stage makes it of a row of one side. It passes the row on if it is late; its outputs are those of the view, or
/// of the stage below the first one that aggregates, with null for all that comes from other rows, then
///   _late_by  interval: how long after the end of its window (of a join by time: of its second) it arrived, as far as
///             that is known
///   _site     text: the site that it came from, as far as that is known
///   _rows     bigint: 1
///   _side     text: 'left' or 'right'
struct LateSide {
  std::vector<size_t> path;  ///< inputs to follow from the query: stages[0] of the last is the join
  size_t side = 0;           ///< 0: left, 1: right
  /// Its input is that side's row, then _span_end (timestamptz), what `_late_by` counts from, and _is_late (boolean).
  Stage stage;
};
/// For each side of the query's joins whose rows can be late: those that are rows of a stream. Empty: there is none.
std::vector<LateSide> late_sides(const Query& query);

/// Has the joins of the query get what `_late_by` and `_site` are made of. Before the query runs; twice is once.
void pass_late_columns(Query& query);

}  // namespace backstream::plan
