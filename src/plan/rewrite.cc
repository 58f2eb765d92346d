// Rewrites of a bound query that never change its results.
#include <algorithm>

#include "plan/bind.h"

namespace backstream::plan {
namespace {

/// Conditions that read nothing of lookup tables are tested before rows are looked up. Rows that fail go on without a
/// match: WHERE filters them, so that they are counted by pane as before. After an inner join the missing match is
/// enough for that; else the conditions stay in WHERE as well. Values that cannot be computed are counted, so a
/// condition that may fail is tested for the same rows as before.
void test_before_lookups(Stage& stage) {
  if (stage.lookups.empty() || !stage.where) return;
  bool inner = false;
  for (const LookupStep& step : stage.lookups) {
    if (step.condition && !expr::always_computed(*step.condition)) return;
    inner |= step.inner;
  }
  const bool all_computed = expr::always_computed(*stage.where);
  const int end = stage.lookups.front().first_column;
  std::vector<expr::ExprPtr> all, before, after;
  if (stage.where->kind == expr::ExprKind::kAnd) all = std::move(stage.where->args);
  else all.push_back(std::move(stage.where));
  bool may_have_failed = false;  // Some condition before, for what it reads of a table.
  for (expr::ExprPtr& condition : all) {
    bool reads_rows = false, reads_tables = false;
    expr::walk(*condition, [&](const expr::Expr& part) {
      if (part.kind == expr::ExprKind::kColumn) (part.column < end ? reads_rows : reads_tables) = true;
    });
    const bool computed = expr::always_computed(*condition);
    const bool first = reads_rows && !reads_tables && computed && !may_have_failed;
    if (first) before.push_back(expr::clone(*condition));
    if (!first || !inner || !all_computed) after.push_back(std::move(condition));
    may_have_failed |= reads_tables && !computed;
  }
  const auto all_of = [](std::vector<expr::ExprPtr> conditions) {
    if (conditions.size() < 2) return conditions.empty() ? nullptr : std::move(conditions[0]);
    return *expr::make_and(std::move(conditions), {});
  };
  stage.lookup_where = all_of(std::move(before));
  stage.where = all_of(std::move(after));
}

}  // namespace

void rewrite(Query& query) {
  for (auto& input : query.inputs) rewrite(*input);
  for (Stage& stage : query.stages) {
    // A condition that is always true is no condition.
    for (expr::ExprPtr* condition : {&stage.where, &stage.having}) {
      if (*condition == nullptr || (*condition)->kind != expr::ExprKind::kLiteral) continue;
      const bool* value = std::get_if<bool>(&(*condition)->literal);
      if (value != nullptr && *value) condition->reset();
    }
    test_before_lookups(stage);
    for (AggregateCall& call : stage.aggregates) {
      if (call.filter == nullptr || call.filter->kind != expr::ExprKind::kLiteral) continue;
      const bool* value = std::get_if<bool>(&call.filter->literal);
      if (value != nullptr && *value) call.filter.reset();
    }
  }
}

}  // namespace backstream::plan
