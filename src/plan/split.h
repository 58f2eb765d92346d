#pragma once
#include <string>

#include "plan/query.h"
#include "window/pane_grid.h"

namespace backstream::plan {

/// The half of a query that runs where flows arrive: filter, window, partial aggregates; of stages[0].
/// Points into the Query, which must live longer.
struct EdgePlan {
  const Query* query = nullptr;
  const Stage* stage = nullptr;
  base::Micros pane_us = 0;         ///< length of a pane; 0: stage without aggregation, rows are shipped
  base::Micros pane_offset_us = 0;  ///< panes start at pane_offset + k * pane_us
  std::vector<bool> columns;        ///< of the source that the edge reads
};

/// The half that completes it: combine panes to windows, finish, HAVING, outputs, order; then the later stages.
struct MergePlan {
  const Query* query = nullptr;
  base::Micros pane_us = 0;
  base::Micros pane_offset_us = 0;
  uint32_t panes_per_window = 1;  ///< 0: it varies (days and months)
};

struct SplitPlan {
  EdgePlan edge;
  MergePlan merge;
};

/// The panes of session windows: a quarter of the gap and at most 60 s long, so that the rows of a key in one pane are
/// always of one session; `size_us` is how long a pane's rows can matter, so that a row is late when a session that
/// ended with it would be closed.
window::PaneGrid session_grid(const Window& window);

/// The longest pane that tiles all windows of tumble or hop: gcd(size, slide), or what divides every day of the zone.
base::Micros pane_of(const Window& window);

/// Why placement = 'edge' is not possible: the groups of the query cannot be made from groups of each edge's rows.
/// Empty: they can, or its rows are only filtered and computed.
std::string edge_obstacle(const Query& query);

/// Cuts `query` in two. Pane = gcd(size, slide), cut to at most `pane_us_max` (a divisor is taken, so panes tile both).
/// Shipped partials use 60 s; one process that adopts its own panes may pass kMaxTime (docs/design/0002-partials.md).
SplitPlan split(const Query& query, base::Micros pane_us_max);

}  // namespace backstream::plan
