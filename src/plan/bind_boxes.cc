// Binds boxes in arrival order: a stage that reads the rows of several queries (plan/boxes.h).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "plan/boxes.h"
#include "plan/fuse.h"
#include "plan/select_binder.h"

namespace backstream::plan {

using base::fail;
using batch::Type;

namespace {

using Box = UnboundBoxes::Box;

/// Makes a query's rows come by a column's time: false where they do not. Rows of a stream follow the clock that the
/// column is of.
bool follow(Query& query, int column) {
  for (size_t s = query.stages.size(); s-- > 0;) {
    const Stage& stage = query.stages[s];
    if (stage.union_all) {
      return std::all_of(query.inputs.begin(), query.inputs.end(),
                         [column](const auto& input) { return follow(*input, column); });
    }
    if (!is_row_stage(stage)) return false;
    const expr::Expr& output = *stage.outputs[static_cast<size_t>(column)];
    if (output.kind != expr::ExprKind::kColumn) return false;
    column = output.column;
  }
  const Relation& source = query.source;
  if (source.kind == Relation::Kind::kView) return !source.has_windows && column == source.time_column;
  if (source.kind != Relation::Kind::kStream || (column != source.arrival_column && column != source.time_column))
    return false;
  Stage& first = query.stages.front();
  first.window.time_column = column;
  first.input_used[static_cast<size_t>(column)] = true;
  return true;
}

Input input_of(const batch::Schema& schema, std::string alias) {
  Input input;
  input.schema = schema;
  input.alias = std::move(alias);
  return input;
}

/// Columns of both, called left.x and right.x, or x where one side alone has it.
Input input_of_both(const batch::Schema& left, const batch::Schema& right) {
  Input input = input_of(left, {});
  const auto of_left = static_cast<int>(left.columns.size()), of_right = static_cast<int>(right.columns.size());
  input.schema.columns.insert(input.schema.columns.end(), right.columns.begin(), right.columns.end());
  input.relations = {{"left", 0, of_left}, {"right", of_left, of_right}};
  return input;
}

Result<ExprPtr> bind_condition(const Input& input, const UnboundExpr& e, std::string_view clause) {
  auto condition = ExprBinder(input).bind_row(e, clause);
  if (condition && (*condition)->type == Type::kUnknown)
    condition = expr::make_cast(std::move(*condition), Type::kBool, e.span);
  if (!condition || (*condition)->type == Type::kBool) return condition;
  return fail("42804",
              fmt::format("argument of {} must be type boolean, not type {}", clause, batch::name((*condition)->type)),
              e.span);
}

Result<void> bind_targets(const Input& input, const std::vector<UnboundTarget>& targets, std::string_view clause,
                          Boxes::Box& to) {
  for (const UnboundTarget& target : targets) {
    auto value = ExprBinder(input).bind_row(*target.expr, clause);
    if (value && (*value)->type == Type::kUnknown)
      value = expr::make_cast(std::move(*value), Type::kText, target.expr->span);
    if (!value) return tl::unexpected(value.error());
    const bool column = (*value)->kind == expr::ExprKind::kColumn;
    to.output.columns.push_back(
        {target.alias, (*value)->type,
         column ? input.schema.columns[static_cast<size_t>((*value)->column)].value_bits : uint8_t{0}});
    to.outputs.push_back(std::move(*value));
  }
  return {};
}

Result<void> bind_map(const batch::Schema& from, const Box& box, Boxes::Box& to) {
  Input input = input_of(from, {});
  input.schema.columns.push_back({std::string(kTupleNumber), Type::kInt8, 0});
  if (auto bound = bind_targets(input, box.targets, "a map", to); !bound) return bound;
  std::vector<bool> used(input.schema.columns.size());
  for (const ExprPtr& output : to.outputs) note_columns(output.get(), used);
  to.numbers = used.back();
  return {};
}

Result<int> bind_column(const Input& input, const UnboundExpr& e, std::string_view what) {
  if (e.kind != UnboundExpr::Kind::kColumn) return fail("42804", fmt::format("{} must be a column", what), e.span);
  return ExprBinder(input).find_column(e);
}

/// A column that tuples can be put in order by.
Result<int> bind_order(const Input& input, const UnboundExpr& e) {
  auto column = bind_column(input, e, "what tuples are ordered by");
  if (!column) return column;
  const Type type = input.schema.columns[static_cast<size_t>(*column)].type;
  if (batch::is_numeric(type) || type == Type::kTimestamptz) return column;
  return fail("42804",
              fmt::format("tuples are ordered by a number or a timestamp, and \"{}\" is of type {}", e.names.back(),
                          batch::name(type)),
              e.span);
}

Result<std::vector<int>> bind_group_by(const Input& input, const std::vector<UnboundExprPtr>& group_by) {
  std::vector<int> columns;
  for (const auto& e : group_by) {
    const auto column = bind_column(input, *e, "what tuples are grouped by");
    if (!column) return tl::unexpected(column.error());
    columns.push_back(*column);
  }
  return columns;
}

std::optional<Micros> time_out(std::optional<double> seconds) {
  if (!seconds) return std::nullopt;
  constexpr double kLongest = 36'000.0 * 365 * 86'400;  // Nobody waits longer; sums with it do not overflow.
  return static_cast<Micros>(std::min(*seconds, kLongest) * base::kMicrosPerSecond);
}

/// A length in the unit of a column: of a timestamptz it is in seconds.
Result<double> length_of(double length, const batch::Schema& schema, int column, SourceSpan span) {
  const Type type = schema.columns[static_cast<size_t>(column)].type;
  if (type == Type::kTimestamptz) length = std::round(length * base::kMicrosPerSecond);
  if (type == Type::kFloat8 || length < 0x1p60) return length;
  return fail("22023", "the window is out of range", span);
}

Result<Boxes::Call> bind_call(ExprBinder& binder, const Input& input, const UnboundExpr& e) {
  Boxes::Call call;
  call.by_order = e.text == "first" || e.text == "last";
  if (e.kind != UnboundExpr::Kind::kCall || !agg::is_aggregate(e.text) || (call.by_order && e.args.size() != 1))
    return fail("42803", "an aggregate box computes calls of aggregate functions", e.span);
  if (!call.by_order) {
    binder.aggregates.clear();
    if (auto bound = binder.bind_grouped(e, "an aggregate box"); !bound) return tl::unexpected(bound.error());
    call.aggregate = std::move(binder.aggregates.front());
    return call;
  }
  auto value = binder.bind_row(*e.args[0], "an aggregate");
  if (value && (*value)->type == Type::kUnknown) value = expr::make_cast(std::move(*value), Type::kText, e.span);
  if (!value) return tl::unexpected(value.error());
  const auto function = agg::resolve(e.text, {(*value)->type, Type::kTimestamptz}, false, false, e.span);
  if (!function) return tl::unexpected(function.error());
  call.aggregate.function = *function;
  call.aggregate.label = fmt::format("{}({})", e.text, expr::to_string(**value, input.schema));
  call.aggregate.args.push_back(std::move(*value));
  return call;
}

Result<void> bind_aggregate(const Input& input, const Box& box, Boxes::Box& to) {
  const UnboundBoxes::Window& window = box.window;
  Boxes::Window& bound = to.window;
  bound.by_values = window.by_values;
  bound.outputs_start = !window.start_name.empty();
  bound.timeout_us = time_out(window.timeout_seconds);
  bound.slack = window.slack;
  bound.drops_empty = window.drops_empty;
  bound.is_aligned = window.is_aligned;
  if (window.order_on) {
    const auto column = bind_order(input, *window.order_on);
    if (!column) return tl::unexpected(column.error());
    bound.order_on = *column;
  } else if (window.by_values || bound.outputs_start) {
    return fail("42601", "windows by values, and their start, need a column that tuples are ordered by", box.span);
  }
  bound.size = window.by_values ? window.size : std::floor(window.size);
  bound.advance = window.by_values ? window.advance : std::ceil(window.advance);
  if (window.by_values) {
    for (double* length : {&bound.size, &bound.advance}) {
      const auto in_units = length_of(*length, input.schema, bound.order_on, box.span);
      if (!in_units) return tl::unexpected(in_units.error());
      *length = *in_units;
    }
  }
  if (!(bound.advance > 0 && bound.advance <= bound.size))
    return fail("22023", "a window advances by more than nothing and by no more than its size", box.span);
  if (bound.size / bound.advance > kBoxWindowsPerTupleMax)
    return fail("54000", "more than 100,000 windows would hold each tuple", box.span, "advance by more");
  auto group_by = bind_group_by(input, box.window.group_by);
  if (!group_by) return tl::unexpected(group_by.error());
  to.group_by = std::move(*group_by);
  for (const int column : to.group_by) to.output.columns.push_back(input.schema.columns[static_cast<size_t>(column)]);
  if (bound.outputs_start) {
    const Type type = input.schema.columns[static_cast<size_t>(bound.order_on)].type;
    to.output.columns.push_back({window.start_name, batch::is_integer(type) ? Type::kInt8 : type, 0});
  }
  ExprBinder binder(input);
  for (const UnboundTarget& target : box.targets) {
    auto call = bind_call(binder, input, *target.expr);
    if (!call) return tl::unexpected(call.error());
    to.output.columns.push_back({target.alias, call->aggregate.function->result_type, 0});
    to.calls.push_back(std::move(*call));
  }
  return {};
}

Result<Boxes::Side> bind_side(const batch::Schema& schema, const char* name, const UnboundBoxes::Side& side,
                              SourceSpan span) {
  Boxes::Side bound{side.by_values, side.size, -1};
  if (!side.by_values) {
    bound.size = std::floor(side.size);
    return bound;
  }
  if (!side.order_on) return fail("42601", "a buffer by values needs a column that tuples are ordered by", span);
  const auto column = bind_order(input_of(schema, name), *side.order_on);
  if (!column) return tl::unexpected(column.error());
  bound.order_on = *column;
  const auto size = length_of(side.size, schema, *column, span);
  if (!size) return tl::unexpected(size.error());
  bound.size = *size;
  return bound;
}

Result<void> bind_join(const batch::Schema& left, const batch::Schema& right, const Box& box, Boxes::Box& to) {
  const Input both = input_of_both(left, right);
  auto predicate = bind_condition(both, *box.conditions.front(), "a predicate");
  if (!predicate) return tl::unexpected(predicate.error());
  to.conditions.push_back(std::move(*predicate));
  to.timeout_us = time_out(box.timeout_seconds);
  if (box.kind == Box::Kind::kWaitFor) {
    to.output = left;
    return {};
  }
  for (const bool is_left : {true, false}) {
    auto side = bind_side(is_left ? left : right, is_left ? "left" : "right", is_left ? box.left : box.right, box.span);
    if (!side) return tl::unexpected(side.error());
    (is_left ? to.left : to.right) = *side;
  }
  return bind_targets(both, box.targets, "a join's outputs", to);
}

Result<void> bind_union(const Boxes& boxes, SourceSpan span, Boxes::Box& to) {
  to.output = boxes.schema_of(to.inputs.front());
  for (const Boxes::Stream& stream : to.inputs) {
    const batch::Schema& schema = boxes.schema_of(stream);
    if (schema.columns.size() != to.output.columns.size()) {
      return fail("42601", "what a union unites must have the same number of columns", span,
                  fmt::format("{} and {}", to.output.columns.size(), schema.columns.size()));
    }
    for (size_t c = 0; c < schema.columns.size(); ++c) {
      batch::ColumnDef& column = to.output.columns[c];
      const batch::ColumnDef& other = schema.columns[c];
      if (column.type != other.type) {
        return fail(
            "42804",
            fmt::format("UNION types {} and {} cannot be matched", batch::name(column.type), batch::name(other.type)),
            span, fmt::format("they are the columns \"{}\" and \"{}\"", column.name, other.name));
      }
      column.value_bits =
          column.value_bits == 0 || other.value_bits == 0 ? uint8_t{0} : std::max(column.value_bits, other.value_bits);
    }
  }
  return {};
}

Result<void> bind_box(const Boxes& boxes, const Box& box, Boxes::Box& to) {
  const batch::Schema& first = boxes.schema_of(to.inputs.front());
  const Input input = input_of(first, {});
  switch (box.kind) {
    case Box::Kind::kFilter:
      to.output = first;
      to.passes_rest = box.passes_rest;
      for (const auto& e : box.conditions) {
        auto condition = bind_condition(input, *e, "a filter");
        if (!condition) return tl::unexpected(condition.error());
        to.conditions.push_back(std::move(*condition));
      }
      return {};
    case Box::Kind::kMap: return bind_map(first, box, to);
    case Box::Kind::kUnion: return bind_union(boxes, box.span, to);
    case Box::Kind::kSort: {
      to.output = first;
      to.slack = box.slack;
      const auto order_on = bind_order(input, *box.order_on);
      if (!order_on) return tl::unexpected(order_on.error());
      to.order_on = *order_on;
      auto group_by = bind_group_by(input, box.group_by);
      if (!group_by) return tl::unexpected(group_by.error());
      to.group_by = std::move(*group_by);
      return {};
    }
    case Box::Kind::kAggregate: return bind_aggregate(input, box, to);
    case Box::Kind::kJoin:
    case Box::Kind::kWaitFor: return bind_join(first, boxes.schema_of(to.inputs[1]), box, to);
  }
  return {};
}

Result<void> bind_all(const UnboundBoxes& unbound, Boxes& to) {
  to.output = {unbound.output.from, unbound.output.port};
  for (const Box& box : unbound.boxes) {
    Boxes::Box bound;
    bound.kind = static_cast<Boxes::Kind>(box.kind);
    bound.name = box.name;
    for (const UnboundBoxes::Stream& stream : box.inputs) bound.inputs.push_back({stream.from, stream.port});
    if (auto done = bind_box(to, box, bound); !done) return done;
    to.boxes.push_back(std::move(bound));
  }
  return {};
}

}  // namespace

Result<Input> SelectBinder::bind_boxes(const UnboundBoxes& unbound, SourceSpan span) {
  auto boxes = std::make_shared<Boxes>();
  Input result;
  for (const UnboundBoxes::Source& source : unbound.sources) {
    auto rows = bind_subquery(*source.rows);
    if (!rows) return tl::unexpected(rows.error());
    Boxes::Source& bound = boxes->sources.emplace_back();
    bound.schema = rows->schema;
    bound.by_window = rows->has_windows();
    bound.order_column = rows->schema.find(source.order_column);
    const bool is_start = bound.by_window && bound.order_column == rows->window_start_column;
    auto query = std::make_unique<Query>();
    query->has_windows = bound.by_window;
    query->window_size_us = bound.by_window ? rows->window.size_us : 0;
    query->time_output = rows->time_column;
    query->source = std::move(rows->source);
    query->inputs = std::move(rows->inputs);
    query->stages = std::move(rows->below);
    const bool follows = !bound.by_window && bound.order_column >= 0 && follow(*query, bound.order_column);
    if (bound.order_column < 0 || (!is_start && !follows)) {
      return fail("0A000", fmt::format("these rows do not come in the order of \"{}\"", source.order_column),
                  source.rows->span, "boxes take rows as a stream has them, or the windows of a view, by their time");
    }
    result.inputs.push_back(std::move(query));
  }
  if (auto bound = bind_all(unbound, *boxes); !bound) return tl::unexpected(bound.error());
  Stage stage;
  stage.input = stage.grouped = stage.output = boxes->schema_of(boxes->output);
  stage.input_used.assign(stage.input.columns.size(), true);
  for (size_t c = 0; c < stage.input.columns.size(); ++c)
    stage.outputs.push_back(expr::make_column(static_cast<int>(c), stage.input.columns[c].type, span));
  stage.boxes = std::move(boxes);
  result.schema = stage.output;
  result.below.push_back(std::move(stage));
  return result;
}

}  // namespace backstream::plan
