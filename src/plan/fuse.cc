#include "plan/fuse.h"

#include <algorithm>
#include <utility>

#include "plan/binder.h"

namespace backstream::plan {

using expr::ExprKind;
using expr::ExprPtr;

namespace {

constexpr uint64_t kNodesMax = 10'000;

/// Calls visit(ExprPtr&) for every expression over the input. `outputs` are such in stages that do not aggregate.
template <typename Visit>
void for_each_input_expr(Stage& stage, Visit&& visit) {
  for (LookupStep& step : stage.lookups) {
    for (ExprPtr& key : step.keys) visit(key);
    if (step.condition) visit(step.condition);
  }
  if (stage.where) visit(stage.where);
  for (ExprPtr& key : stage.keys) visit(key);
  for (AggregateCall& call : stage.aggregates) {
    for (ExprPtr& arg : call.args) visit(arg);
    if (call.filter) visit(call.filter);
  }
  if (stage.aggregates_rows) return;
  for (ExprPtr& output : stage.outputs) visit(output);
}

uint64_t node_count(const expr::Expr& e) {
  uint64_t count = 0;
  expr::walk(e, [&](const expr::Expr&) { ++count; });
  return count;
}

}  // namespace

bool is_row_stage(const Stage& stage) {
  return !stage.aggregates_rows && !stage.union_all && !stage.join && !stage.analytic && !stage.boxes &&
         stage.window.kind == Window::Kind::kNone && !stage.distinct && stage.order_by.empty() && !stage.limit &&
         stage.offset == 0 && !stage.having;
}

void note_input(Stage& stage) {
  stage.input_used.assign(stage.input.columns.size(), false);
  note_lookups(stage.lookups, stage.input_used);
  note_spread(stage);
  if (stage.window.time_column >= 0) stage.input_used[static_cast<size_t>(stage.window.time_column)] = true;
  for_each_input_expr(stage, [&](ExprPtr& e) {
    expr::walk(*e, [&](const expr::Expr& part) {
      if (part.kind == ExprKind::kColumn && static_cast<size_t>(part.column) < stage.input_used.size())
        stage.input_used[static_cast<size_t>(part.column)] = true;
    });
  });
}

base::Result<void> fuse(Stage&& below, Stage& above, base::SourceSpan span) {
  const auto visible = static_cast<int>(below.output.columns.size());
  const auto columns = static_cast<int>(below.input.columns.size());
  std::vector<uint64_t> sizes;
  for (const ExprPtr& output : below.outputs) sizes.push_back(node_count(*output));
  uint64_t nodes = below.where ? node_count(*below.where) : 0;
  for_each_input_expr(above, [&](ExprPtr& e) {
    expr::walk(*e, [&](const expr::Expr& part) {
      const bool column = part.kind == ExprKind::kColumn && part.column < visible;
      nodes += column ? sizes[static_cast<size_t>(part.column)] : 1;
    });
  });
  if (nodes > kNodesMax) {
    return base::fail("54001", "the expressions of the queries within are too large together", span,
                      "CREATE MATERIALIZED VIEW computes one of them once, for all that read it");
  }
  const auto substitute = [&](auto&& self, ExprPtr& e) -> void {
    if (e->kind == ExprKind::kColumn) {
      // Beyond the columns of the input are those of lookup tables and of the window.
      if (e->column < visible) e = expr::clone(*below.outputs[static_cast<size_t>(e->column)]);
      else e->column += columns - visible;
      return;
    }
    for (ExprPtr& arg : e->args) self(self, arg);
  };
  for_each_input_expr(above, [&](ExprPtr& e) { substitute(substitute, e); });
  if (below.where && above.where) {
    std::vector<ExprPtr> both;
    both.push_back(std::move(below.where));
    both.push_back(std::move(above.where));
    auto joined = expr::make_and(std::move(both), span);
    if (!joined) return tl::unexpected(std::move(joined.error()));
    above.where = std::move(*joined);
  } else if (below.where) {
    above.where = std::move(below.where);
  }
  if (above.window.time_column >= 0)
    above.window.time_column = below.outputs[static_cast<size_t>(above.window.time_column)]->column;
  for (LookupStep& step : above.lookups) {
    step.first_column += columns - visible;
    step.matched_column += columns - visible;
  }
  if (above.lookups.empty()) above.lookups = std::move(below.lookups);
  const auto appended = above.input.columns.begin() + visible;
  const std::vector<batch::ColumnDef> looked_up(appended, above.input.columns.end());
  const auto window_at = static_cast<long>(above.input.columns.size());
  above.spread = std::move(below.spread);
  above.input = std::move(below.input);
  above.input.columns.insert(above.input.columns.end(), looked_up.begin(), looked_up.end());
  if (!above.aggregates_rows) {
    std::vector<batch::ColumnDef> window(above.grouped.columns.begin() + window_at, above.grouped.columns.end());
    above.grouped = above.input;
    above.grouped.columns.insert(above.grouped.columns.end(), window.begin(), window.end());
  }
  note_input(above);
  return {};
}

}  // namespace backstream::plan
