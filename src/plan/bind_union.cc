// Binds UNION ALL.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "plan/select_binder.h"

namespace backstream::plan {

using base::fail;
using batch::Type;

namespace {

/// Adds a stage that casts the rows of a side of UNION to the types of the whole.
Result<void> cast_outputs(Bound& side, const std::vector<Type>& types, SourceSpan span) {
  const Stage& last = side.stages.back();
  Stage cast;
  cast.input = cast.grouped = cast.output = last.output;
  if (side.has_windows) {
    cast.window.kind = Window::Kind::kInherited;
    cast.grouped.columns.push_back({"window_start", Type::kTimestamptz, 0});
    cast.grouped.columns.push_back({"window_end", Type::kTimestamptz, 0});
  }
  cast.input_used.assign(types.size(), true);
  for (size_t c = 0; c < types.size(); ++c) {
    auto column =
        expr::make_cast(expr::make_column(static_cast<int>(c), last.output.columns[c].type), types[c], span, true);
    if (!column) return tl::unexpected(column.error());
    if (types[c] != last.output.columns[c].type) cast.output.columns[c] = {last.output.columns[c].name, types[c], 0};
    cast.outputs.push_back(std::move(*column));
  }
  cast.window_start_output = last.window_start_output;
  cast.window_end_output = last.window_end_output;
  side.stages.push_back(std::move(cast));
  return {};
}

/// Rows of both sides, as they are. A window's rows come together.
}  // namespace

Result<Bound> SelectBinder::bind_union(const UnboundSelect& select) {
  if (select.set_op != UnboundSelect::SetOp::kUnion || !select.set_all) {
    const bool is_union = select.set_op == UnboundSelect::SetOp::kUnion;
    return fail("0A000", is_union ? "UNION without ALL is not supported" : "INTERSECT and EXCEPT are not supported",
                select.span,
                is_union
                    ? "UNION ALL keeps equal rows; SELECT DISTINCT above it keeps one of each window"
                    : "UNION ALL of both with a column that tells them apart; then GROUP BY the others and compare "
                      "min and max of it in HAVING");
  }
  auto left = SelectBinder(catalog_, ctes_, expansions_).bind(*select.left);
  if (!left) return left;
  auto right = SelectBinder(catalog_, ctes_, expansions_).bind(*select.right);
  if (!right) return right;
  const batch::Schema& a = left->stages.back().output;
  const batch::Schema& b = right->stages.back().output;
  if (a.columns.size() != b.columns.size())
    return fail("42601", "each UNION query must have the same number of columns", select.right->span,
                fmt::format("{} on the left, {} on the right", a.columns.size(), b.columns.size()));
  if (left->has_windows != right->has_windows) {
    return fail("0A000", "UNION ALL of rows with windows and rows without", select.right->span,
                "read both from views with windows, or both row by row from streams");
  }
  std::vector<Type> types;
  batch::Schema schema = a;
  for (size_t c = 0; c < a.columns.size(); ++c) {
    const ExprPtr x = expr::make_column(static_cast<int>(c), a.columns[c].type, select.right->span);
    const ExprPtr y = expr::make_column(static_cast<int>(c), b.columns[c].type, select.right->span);
    const auto type = expr::common_type({x.get(), y.get()}, select.right->span);
    if (!type) {
      return fail("42804",
                  fmt::format("UNION types {} and {} cannot be matched", batch::name(x->type), batch::name(y->type)),
                  select.right->span,
                  fmt::format("they are the columns \"{}\" and \"{}\"", a.columns[c].name, b.columns[c].name));
    }
    types.push_back(*type);
    // A column keeps its known range where both sides have one.
    const uint8_t bits =
        x->type == *type && y->type == *type && a.columns[c].value_bits != 0 && b.columns[c].value_bits != 0
            ? std::max(a.columns[c].value_bits, b.columns[c].value_bits)
            : uint8_t{0};
    schema.columns[c] = {a.columns[c].name, *type, bits};
  }
  const auto common = [](int x, int y) { return x == y ? x : -1; };
  Bound bound;
  bound.has_windows = left->has_windows;
  if (left->window_size_us == right->window_size_us) bound.window_size_us = left->window_size_us;
  bound.time_column = common(left->time_column, right->time_column);
  Stage stage;
  stage.union_all = true;
  stage.window_start_output = common(left->stages.back().window_start_output, right->stages.back().window_start_output);
  stage.window_end_output = common(left->stages.back().window_end_output, right->stages.back().window_end_output);
  if (bound.has_windows) stage.window.kind = Window::Kind::kInherited;
  for (auto* side : {&*left, &*right}) {
    const auto& columns = side->stages.back().output.columns;
    const bool fits = std::equal(columns.begin(), columns.end(), types.begin(),
                                 [](const batch::ColumnDef& column, Type type) { return column.type == type; });
    if (fits && side->stages.size() == 1 && side->stages[0].union_all) {  // a UNION ALL b UNION ALL c is one of three.
      for (auto& input : side->inputs) bound.inputs.push_back(std::move(input));
      continue;
    }
    if (!fits) {
      if (auto cast = cast_outputs(*side, types, select.span); !cast) return tl::unexpected(cast.error());
    }
    auto input = std::make_unique<Query>();
    input->source = std::move(side->source);
    input->inputs = std::move(side->inputs);
    input->stages = std::move(side->stages);
    input->has_windows = side->has_windows;
    input->time_output = side->time_column;
    bound.inputs.push_back(std::move(input));
  }
  for (size_t c = 0; c < types.size(); ++c) stage.outputs.push_back(expr::make_column(static_cast<int>(c), types[c]));
  stage.input_used.assign(types.size(), true);
  stage.input = stage.grouped = stage.output = std::move(schema);
  bound.stages.push_back(std::move(stage));
  return bound;
}

}  // namespace backstream::plan
