#include "plan/split.h"

#include <algorithm>
#include <numeric>

namespace backstream::plan {

window::PaneGrid session_grid(const Window& window) {
  constexpr base::Micros kPaneMax = 60 * base::kMicrosPerSecond;
  const base::Micros pane = std::clamp<base::Micros>(window.size_us / 4, 1, kPaneMax);
  const base::Micros gap_panes = (window.size_us + pane - 1) / pane;
  return {pane, pane * (gap_panes + 1), pane, 0};
}

base::Micros pane_of(const Window& window) {
  return window.calendar ? window.calendar->step_us() : std::gcd(window.size_us, window.slide_us);
}

std::string edge_obstacle(const Query& query) {
  for (const auto& input : query.inputs) {
    if (std::string obstacle = edge_obstacle(*input); !obstacle.empty()) return obstacle;
  }
  const Stage& first = query.stages.front();
  if (first.join) return "rows that a join puts together may arrive at different edges";
  if (first.boxes &&
      std::any_of(query.inputs.begin(), query.inputs.end(), [](const auto& i) { return !i->has_windows; }))
    return "its boxes take the rows of all edges in the order in which they arrived";
  if (first.boxes) return {};
  if (query.inputs.empty() && query.source.kind != Relation::Kind::kStream)
    return {};  // What it reads is made already.
  if (query.inputs.empty() ? first.aggregates_rows : query.inputs.front()->has_windows) return {};
  // Rows travel one by one; what stands above needs those of all edges.
  for (size_t s = 1; s < query.stages.size(); ++s) {
    if (query.stages[s].analytic) return "OVER along a stream needs the rows of all edges in their order";
    if (!query.stages[s].aggregates_rows) continue;
    return query.inputs.empty() ? "its groups are made of rows that a subquery has made"
                                : "its groups are made of the rows of several inputs together";
  }
  return {};
}

SplitPlan split(const Query& query, base::Micros pane_us_max) {
  const Stage& stage = query.stages.front();
  SplitPlan plan;
  plan.edge.query = plan.merge.query = &query;
  plan.edge.stage = &stage;
  plan.edge.columns = stage.input_used;
  if (stage.aggregates_rows && stage.window.kind == Window::Kind::kSession) {
    plan.edge.pane_us = plan.merge.pane_us = session_grid(stage.window).pane_us;
    return plan;
  }
  const bool windows = stage.window.kind == Window::Kind::kTumble || stage.window.kind == Window::Kind::kHop;
  if (!stage.aggregates_rows || !windows) return plan;
  // What is enforced, or sent, at the end of panes needs short ones, on one machine as on many.
  if (query.options.has_state_limit()) pane_us_max = std::min(pane_us_max, 60 * base::kMicrosPerSecond);
  if (query.options.emit == QueryOptions::Emit::kOnChange) pane_us_max = std::min(pane_us_max, query.options.every_us);
  base::Micros pane = pane_of(stage.window);
  if (pane > pane_us_max && pane_us_max > 0) {
    // The least number of equal parts that are short enough. A size without such a divisor nearby (a prime number of
    // microseconds) keeps the pane whole: correct, only shipped less often.
    const base::Micros least_parts = (pane + pane_us_max - 1) / pane_us_max;
    for (base::Micros parts = least_parts; parts <= least_parts * 64 && parts <= pane; ++parts) {
      if (pane % parts == 0) {
        pane /= parts;
        break;
      }
    }
  }
  plan.edge.pane_us = plan.merge.pane_us = pane;
  plan.edge.pane_offset_us = plan.merge.pane_offset_us = stage.window.offset_us % pane;
  plan.merge.panes_per_window = stage.window.calendar ? 0 : static_cast<uint32_t>(stage.window.size_us / pane);
  return plan;
}

}  // namespace backstream::plan
