// What becomes of a join once the stage above it is bound: filters go below it, and what nobody reads is not made.
#include <algorithm>
#include <utility>

#include "plan/join_conditions.h"

namespace backstream::plan {

using expr::Expr;
using expr::ExprKind;

namespace {

/// Conditions of the stage above a join that are about one side go to that side, where rows need not be kept then.
Result<void> push_filters(Stage& above, Stage& join_stage, std::vector<std::unique_ptr<Query>>& inputs) {
  if (!above.where) return {};
  const Join& join = *join_stage.join;
  const auto left_columns = static_cast<int>(inputs[0]->output().columns.size());
  const auto column_count = static_cast<int>(join_stage.outputs.size());
  std::vector<ExprPtr> conjuncts, rest;
  add_conjuncts(std::move(above.where), conjuncts);
  for (ExprPtr& e : conjuncts) {
    unsigned mask = 0;
    expr::walk(*e, [&](Expr& part) {
      if (part.kind != ExprKind::kColumn) return;
      const Expr* output =
          part.column < column_count ? join_stage.outputs[static_cast<size_t>(part.column)].get() : nullptr;
      if (output == nullptr || output->kind != ExprKind::kColumn) mask |= 4;  // The window, or a column of both sides.
      else mask |= output->column < left_columns ? 1 : 2;
    });
    const bool may = (mask == 1 && !join.keeps_right()) ||
                     (mask == 2 && (join.kind == Join::Kind::kInner || join.kind == Join::Kind::kRight));
    if (!may) {
      rest.push_back(std::move(e));
      continue;
    }
    put_below(e, join_stage);
    renumber(*e, [&](int column) { return mask == 1 ? column : column - left_columns; });
    if (auto added = add_filter(inputs[mask - 1]->stages.back(), std::move(e)); !added) return added;
  }
  auto all = all_of(std::move(rest));
  if (!all) return tl::unexpected(all.error());
  above.where = std::move(*all);
  return {};
}

/// New numbers of columns when only those that are used stay: -1 for the others.
std::vector<int> numbers_of(const std::vector<bool>& used) {
  std::vector<int> numbers(used.size(), -1);
  int next = 0;
  for (size_t c = 0; c < used.size(); ++c) {
    if (used[c]) numbers[c] = next++;
  }
  return numbers;
}
template <typename Item>
void keep_items(std::vector<Item>& items, const std::vector<bool>& used) {
  size_t kept = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i < used.size() && !used[i]) continue;
    if (kept != i) items[kept] = std::move(items[i]);
    ++kept;
  }
  items.resize(kept);
}

/// Takes outputs that nobody reads from a stage that only passes rows on.
void drop_outputs(Stage& stage, const std::vector<bool>& used) {
  const std::vector<int> numbers = numbers_of(used);
  const auto moved = [&](int column) { return column < 0 ? column : numbers[static_cast<size_t>(column)]; };
  keep_items(stage.outputs, used);
  keep_items(stage.output.columns, used);
  stage.window_start_output = moved(stage.window_start_output);
  stage.window_end_output = moved(stage.window_end_output);
}

/// Tells a stage that of its input only the columns used are left.
void drop_inputs(Stage& stage, const std::vector<bool>& used) {
  const std::vector<int> numbers = numbers_of(used);
  const auto old_count = static_cast<int>(used.size());
  const auto new_count = static_cast<int>(std::count(used.begin(), used.end(), true));
  const auto moved = [&](int column) {
    if (column < 0) return column;
    return column < old_count ? numbers[static_cast<size_t>(column)] : column - old_count + new_count;
  };
  const auto move_all = [&](ExprPtr& e) {
    if (e) renumber(*e, moved);
  };
  renumber_lookups(stage.lookups, moved);
  move_all(stage.where);
  for (ExprPtr& key : stage.keys) move_all(key);
  for (AggregateCall& call : stage.aggregates) {
    for (ExprPtr& arg : call.args) move_all(arg);
    move_all(call.filter);
  }
  stage.window.time_column = moved(stage.window.time_column);
  keep_items(stage.input.columns, used);
  if (!stage.aggregates_rows) {
    for (ExprPtr& output : stage.outputs) move_all(output);
    keep_items(stage.grouped.columns, used);
  }
  keep_items(stage.input_used, used);
}

/// Which of the first `count` columns of its input a stage reads.
std::vector<bool> columns_read(const Stage& stage, size_t count) {
  std::vector<bool> used(count);
  note_lookups(stage.lookups, used);
  note_columns(stage.where.get(), used);
  for (const ExprPtr& key : stage.keys) note_columns(key.get(), used);
  for (const AggregateCall& call : stage.aggregates) {
    for (const ExprPtr& arg : call.args) note_columns(arg.get(), used);
    note_columns(call.filter.get(), used);
  }
  if (!stage.aggregates_rows) {
    for (const ExprPtr& output : stage.outputs) note_columns(output.get(), used);
  }
  if (stage.spread) {
    used[static_cast<size_t>(stage.spread->start_column)] = true;
    used[static_cast<size_t>(stage.spread->end_column)] = true;
  }
  const int time = stage.window.time_column;
  if (time >= 0 && static_cast<size_t>(time) < count) used[static_cast<size_t>(time)] = true;
  return used;
}

/// Columns that nothing above reads are neither kept by the join nor made by its inputs.
void prune(Stage& above, Stage& join_stage, std::vector<std::unique_ptr<Query>>& inputs) {
  const std::vector<bool> read = columns_read(above, join_stage.outputs.size());
  drop_inputs(above, read);
  drop_outputs(join_stage, read);
  Join& join = *join_stage.join;
  std::vector<bool> used(join_stage.input.columns.size());
  for (const ExprPtr& output : join_stage.outputs) note_columns(output.get(), used);
  note_columns(join.condition.get(), used);
  const auto left_columns = static_cast<int>(inputs[0]->output().columns.size());
  for (Join::Key& key : join.keys) {
    used[static_cast<size_t>(key.left)] = true;
    used[static_cast<size_t>(key.right) + static_cast<size_t>(left_columns)] = true;
  }
  for (const int s : {0, 1}) {
    const Join::Side& side = s == 0 ? join.left : join.right;
    for (const int column : {side.time_column, side.window_start_column, side.window_end_column}) {
      if (column >= 0) used[static_cast<size_t>(s == 0 ? column : column + left_columns)] = true;
    }
  }
  const std::vector<int> numbers = numbers_of(used);
  const auto moved = [&](int column) { return numbers[static_cast<size_t>(column)]; };
  for (ExprPtr& output : join_stage.outputs) renumber(*output, moved);
  if (join.condition) renumber(*join.condition, moved);
  std::vector<bool> of_side[2];
  of_side[0].assign(used.begin(), used.begin() + left_columns);
  of_side[1].assign(used.begin() + left_columns, used.end());
  for (const int s : {0, 1}) {
    const std::vector<int> own = numbers_of(of_side[s]);
    const auto own_moved = [&](int& column) {
      if (column >= 0) column = own[static_cast<size_t>(column)];
    };
    Join::Side& side = s == 0 ? join.left : join.right;
    own_moved(side.time_column);
    own_moved(side.window_start_column);
    own_moved(side.window_end_column);
    for (Join::Key& key : join.keys) own_moved(s == 0 ? key.left : key.right);
    Query& input = *inputs[static_cast<size_t>(s)];
    own_moved(input.time_output);
    Stage& last = input.stages.back();
    drop_outputs(last, of_side[s]);
    last.input_used = columns_read(last, last.input.columns.size());
  }
  keep_items(join_stage.input.columns, used);
  join_stage.grouped = join_stage.input;
  join_stage.input_used.assign(join_stage.input.columns.size(), true);
}

}  // namespace

Result<void> settle_join(std::vector<Stage>& stages, std::vector<std::unique_ptr<Query>>& inputs) {
  if (stages.size() < 2 || !stages[0].join) return {};
  if (auto pushed = push_filters(stages[1], stages[0], inputs); !pushed) return pushed;
  prune(stages[1], stages[0], inputs);
  for (auto& input : inputs) {
    if (auto settled = settle_join(input->stages, input->inputs); !settled) return settled;
  }
  return {};
}

}  // namespace backstream::plan
