#pragma once
#include <optional>

#include "plan/query.h"

namespace backstream::plan {

/// Rows that came after their window was final are not lost: where somebody reads `<view>_late` they are aggregated by
/// this stage, the view's first one with two more keys and two more aggregates (DESIGN §6). Its outputs are those of
/// the view's first stage, without HAVING, ORDER BY and LIMIT, then
///   _late_by  interval: how long after the end of its window the last of the rows arrived (null: no arrival column)
///   _site     text: site that the rows came from (null: the stream has no column `site`)
///   _rows     bigint: rows of the group
/// The rows that it reads have one column more than the stream, `pane_start_column` of `input`: the start of their
/// slide, a pane of the length that windows begin apart.
struct LateStage {
  Stage stage;
  int pane_start_column;   ///< of the input, the last one
  int pane_start_grouped;  ///< of the grouped row
};
/// Empty when no row of the query can be late for a window: it has none, reads a view, or joins (plan/late_join.h).
std::optional<LateStage> late_stage(const Query& query);

/// `<view>_late` as others see it; empty as above.
std::optional<Relation> late_relation(const Query& view);
inline constexpr std::string_view kLateSuffix = "_late";

}  // namespace backstream::plan
