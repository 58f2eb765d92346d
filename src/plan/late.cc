#include "plan/late.h"

#include <algorithm>
#include <cassert>

#include "plan/late_join.h"

namespace backstream::plan {
namespace {

using batch::Type;
using expr::ExprPtr;

AggregateCall clone(const AggregateCall& call) {
  AggregateCall copy;
  copy.function = call.function;
  for (const auto& arg : call.args) copy.args.push_back(expr::clone(*arg));
  if (call.filter) copy.filter = expr::clone(*call.filter);
  copy.label = call.label;
  return copy;
}

AggregateCall aggregate(std::string_view name, ExprPtr arg) {
  AggregateCall call;
  std::vector<Type> types;
  if (arg) types.push_back(arg->type);
  call.function = *agg::resolve(name, types, false, types.empty(), {});
  if (arg) call.args.push_back(std::move(arg));
  call.label = name;
  return call;
}

bool can_be_late(const Query& query) {
  const Stage& first = query.stages.front();
  return query.inputs.empty() && query.source.kind == Relation::Kind::kStream && first.aggregates_rows &&
         (first.window.kind == Window::Kind::kTumble || first.window.kind == Window::Kind::kHop);
}

}  // namespace

std::optional<LateStage> late_stage(const Query& query) {
  if (!can_be_late(query)) return std::nullopt;
  const Stage& first = query.stages.front();
  LateStage late;
  Stage& stage = late.stage;
  stage.input = first.input;
  stage.input_used = first.input_used;
  stage.window = first.window;
  stage.aggregates_rows = true;
  late.pane_start_column = static_cast<int>(stage.input.columns.size());
  stage.input.columns.push_back({"_pane_start", Type::kTimestamptz, 0});
  stage.input_used.push_back(true);

  for (const auto& key : first.keys) stage.keys.push_back(expr::clone(*key));
  late.pane_start_grouped = 2 + static_cast<int>(stage.keys.size());
  stage.keys.push_back(expr::make_column(late.pane_start_column, Type::kTimestamptz));
  const int site = first.input.find("site");
  const bool has_site = site >= 0 && first.input.columns[static_cast<size_t>(site)].type == Type::kText;
  if (has_site) {
    stage.keys.push_back(expr::make_column(site, Type::kText));
    stage.input_used[static_cast<size_t>(site)] = true;
  }
  for (const AggregateCall& call : first.aggregates) stage.aggregates.push_back(clone(call));
  stage.aggregates.push_back(aggregate("count", nullptr));
  const int arrival = query.source.arrival_column;
  if (arrival >= 0) {
    stage.aggregates.push_back(aggregate("max", expr::make_column(arrival, Type::kTimestamptz)));
    stage.input_used[static_cast<size_t>(arrival)] = true;
  }

  // The grouped row: the first stage's, with the new keys between its keys and its aggregates.
  const auto old_keys = static_cast<int>(first.keys.size());
  const auto new_keys = static_cast<int>(stage.keys.size()) - old_keys;
  stage.key_labels = first.key_labels;
  stage.grouped.columns.assign(first.grouped.columns.begin(), first.grouped.columns.begin() + 2 + old_keys);
  for (int k = old_keys; k < old_keys + new_keys; ++k) {
    stage.key_labels.push_back(expr::to_string(*stage.keys[static_cast<size_t>(k)], stage.input));
    stage.grouped.columns.push_back({stage.key_labels.back(), stage.keys[static_cast<size_t>(k)]->type, 0});
  }
  const auto count_column = static_cast<int>(stage.grouped.columns.size() + first.aggregates.size());
  for (const AggregateCall& call : stage.aggregates)
    stage.grouped.columns.push_back({call.label, call.function->result_type, 0});

  // A group belongs to several windows (hop); those that it is not late for have no end here (exec/late_rows.h).
  stage.having = *expr::make_is_null(expr::make_column(1, Type::kTimestamptz), true, {});
  stage.output.columns.clear();
  for (size_t o = 0; o < first.output.columns.size(); ++o) {
    if (static_cast<int>(o) == first.rest_output || static_cast<int>(o) == first.number_output) continue;
    stage.output.columns.push_back(first.output.columns[o]);
    ExprPtr output = expr::clone(*first.outputs[o]);
    expr::walk(*output, [&](expr::Expr& part) {
      if (part.kind == expr::ExprKind::kColumn && part.column >= 2 + old_keys) part.column += new_keys;
    });
    stage.outputs.push_back(std::move(output));
  }
  const auto add_output = [&](const char* name, ExprPtr output) {
    stage.output.columns.push_back({name, output->type, 0});
    stage.outputs.push_back(std::move(output));
  };
  ExprPtr late_by = expr::make_literal({}, Type::kInterval);
  if (arrival >= 0) {
    std::vector<ExprPtr> sides;
    sides.push_back(expr::make_column(count_column + 1, Type::kTimestamptz));
    sides.push_back(expr::make_column(1, Type::kTimestamptz));
    late_by = *expr::make_operator("-", std::move(sides), {});
  }
  add_output("_late_by", std::move(late_by));
  add_output("_site", has_site ? expr::make_column(late.pane_start_grouped + 1, Type::kText)
                               : expr::make_literal({}, Type::kText));
  add_output("_rows", expr::make_column(count_column, Type::kInt8));
  return late;
}

std::vector<int> key_outputs(const Query& query) {
  const Stage& stage = query.stages.back();
  const auto key_end = 2 + static_cast<int>(stage.keys.size());
  std::vector<int> outputs, all;
  std::vector<bool> shown(stage.keys.size(), false);
  for (int o = 0; o < static_cast<int>(stage.output.columns.size()); ++o) {
    const expr::Expr& output = *stage.outputs[static_cast<size_t>(o)];
    const bool key = stage.aggregates_rows && output.kind == expr::ExprKind::kColumn && output.column < key_end;
    if (key && output.column >= 2) shown[static_cast<size_t>(output.column) - 2] = true;
    if (key || o == stage.rest_output) outputs.push_back(o);
    all.push_back(o);
  }
  return stage.aggregates_rows && std::find(shown.begin(), shown.end(), false) == shown.end() ? outputs : all;
}

std::optional<Relation> late_relation(const Query& view) {
  auto late = late_stage(view);
  std::vector<LateSide> sides;
  if (!late) sides = late_sides(view);
  if (!late && sides.empty()) return std::nullopt;
  Relation relation;
  relation.kind = Relation::Kind::kView;
  relation.name = view.name + std::string(kLateSuffix);
  relation.schema = std::move(late ? late->stage.output : sides.front().stage.output);
  return relation;
}

}  // namespace backstream::plan
