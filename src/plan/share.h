#pragma once
// Queries that have the groups of their first stage in common (docs/design/0010-sharing.md).
#include <memory>
#include <vector>

#include "plan/query.h"

namespace backstream::plan {

/// Whether the first stages of two queries make the same groups of the same rows, and judge the same rows late: then
/// one set of edge halves, panes and windows serves both. False for any query that can share with none.
bool share_groups(const Query& a, const Query& b);

/// Whether two windows, or two aggregates over the same input, are the same.
bool same_window(const Window& a, const Window& b);
bool same_aggregate(const AggregateCall& a, const AggregateCall& b);

/// The stage that serves several queries of which each two share their groups: the first one's, with the aggregates of
/// all. For each query, the columns of the shared grouped row that are its own grouped row.
struct SharedStage {
  Stage stage;
  std::vector<std::vector<size_t>> columns;
};
SharedStage shared_stage(const std::vector<const Query*>& queries);

}  // namespace backstream::plan
