#pragma once
// What the files that bind joins of streams share. Private to the room.
#include <vector>

#include "plan/select_binder.h"

namespace backstream::plan {

/// a AND (b AND c) as a, b, c.
void add_conjuncts(ExprPtr e, std::vector<ExprPtr>& to);
/// All of them; null for none.
Result<ExprPtr> all_of(std::vector<ExprPtr> conjuncts);
/// Replaces columns of a stage's output by what they are computed from.
void put_below(ExprPtr& e, const Stage& stage);
/// Adds a condition over a stage's output to its WHERE. The stage passes rows on.
Result<void> add_filter(Stage& stage, ExprPtr condition);

/// Columns get the numbers move(column).
template <typename Move>
void renumber(expr::Expr& e, Move&& move) {
  expr::walk(e, [&](expr::Expr& part) {
    if (part.kind == expr::ExprKind::kColumn) part.column = move(part.column);
  });
}

template <typename Move>
void renumber_lookups(std::vector<LookupStep>& lookups, Move&& move) {
  for (LookupStep& step : lookups) {
    for (ExprPtr& key : step.keys) renumber(*key, move);
    if (step.condition) renumber(*step.condition, move);
    step.first_column = move(step.first_column);
    step.matched_column = move(step.matched_column);
  }
}

}  // namespace backstream::plan
