// rest_row = true: a query whose groups are limited, by ORDER BY and LIMIT or by row_number() <= n, gets a column that
// tells its rows from the row of all the rest.
#include <fmt/format.h>

#include <algorithm>

#include "expr/function.h"
#include "plan/join_conditions.h"

namespace backstream::plan {

using base::fail;
using expr::ExprKind;

namespace {

/// The n of a condition number <= n, or number < n + 1, as it may be written; of number >= 1: no limit.
std::optional<int64_t> limit_of(const expr::Expr& e, int number_column) {
  if (e.kind != ExprKind::kCall || e.args.size() != 2 || e.function->kind != expr::ScalarFunction::Kind::kOperator)
    return std::nullopt;
  std::string_view op = e.function->name;
  const auto is_number = [&](const expr::Expr& arg) {
    return arg.kind == ExprKind::kColumn && arg.column == number_column;
  };
  const bool mirrored = is_number(*e.args[1]);
  if (!mirrored && !is_number(*e.args[0])) return std::nullopt;
  const expr::Expr& bound = *e.args[mirrored ? 0 : 1];
  const int64_t* n = bound.kind == ExprKind::kLiteral ? std::get_if<int64_t>(&bound.literal) : nullptr;
  if (n == nullptr) return std::nullopt;
  if (mirrored) op = op == "<" ? ">" : op == "<=" ? ">=" : op == ">" ? "<" : op == ">=" ? "<=" : op;
  if (op == "<=" || (op == "=" && *n == 1)) return std::max<int64_t>(*n, 0);
  if (op == "<") return std::max<int64_t>(*n, 1) - 1;
  if ((op == ">=" && *n <= 1) || (op == ">" && *n <= 0)) return INT64_MAX;
  return std::nullopt;
}

bool is_window(const expr::Expr& e) { return e.kind == ExprKind::kColumn && (e.column == 0 || e.column == 1); }

}  // namespace

Result<void> number_in_place(Query& query, SourceSpan span) {
  if (query.stages.size() < 3) return {};
  Stage& select = query.stages.back();
  Stage& analytic = query.stages[query.stages.size() - 2];
  Stage& groups = query.stages[query.stages.size() - 3];
  const bool numbers =
      groups.aggregates_rows && groups.window.kind != Window::Kind::kSession && analytic.analytic &&
      !analytic.analytic->across_windows && select.where && !select.aggregates_rows && !select.analytic &&
      select.window.kind == Window::Kind::kInherited &&
      std::any_of(analytic.analytic->calls.begin(), analytic.analytic->calls.end(),
                  [](const AnalyticCall& call) { return call.kind == AnalyticCall::Kind::kRowNumber; });
  if (!numbers) return {};
  const auto refused = [&](std::string message, SourceSpan at, std::string hint) {
    return fail("0A000", std::move(message), at == SourceSpan{} ? span : at, std::move(hint));
  };
  if (analytic.analytic->calls.size() != 1 || !analytic.order_by.empty() || analytic.limit || analytic.distinct ||
      analytic.offset != 0) {
    return refused("rest_row with row_number() <= n takes nothing else beside the numbered groups", span,
                   "compute other functions in a view above");
  }
  if (!select.order_by.empty() || select.limit || select.offset != 0 || select.distinct || !select.lookups.empty()) {
    return refused("with rest_row, what row_number() <= n chooses is neither sorted, limited nor joined", span,
                   "do that in a view above");
  }
  const auto group_columns = static_cast<int>(groups.output.columns.size());
  const auto select_columns = static_cast<int>(select.input.columns.size());
  const auto is_number = [&](const expr::Expr& e) { return e.kind == ExprKind::kColumn && e.column == group_columns; };
  // Columns of the last stage, as it reads them: over the numbered groups.
  int number_column = -1;
  for (int c = 0; c < select_columns && number_column < 0; ++c) {
    if (is_number(*analytic.outputs[static_cast<size_t>(c)])) number_column = c;
  }
  std::vector<ExprPtr> conditions;
  add_conjuncts(std::move(select.where), conditions);
  int64_t limit = INT64_MAX;
  for (const ExprPtr& condition : conditions) {
    const auto n = limit_of(*condition, number_column);
    if (!n) {
      return refused("rest_row takes row_number() <= n as the only condition on the numbered groups", condition->span,
                     "conditions on groups belong in HAVING: what they leave out is no rest");
    }
    limit = std::min(limit, *n);
  }
  if (limit == INT64_MAX) return refused("rest_row needs a limit: row_number() <= n", span, "");

  std::vector<ExprPtr> outputs;
  int number_output = -1;
  for (const ExprPtr& written : select.outputs) {
    ExprPtr output = expr::clone(*written);
    const auto put_below_both = [&](const auto& self, ExprPtr& e) -> Result<void> {
      for (ExprPtr& arg : e->args) {
        if (auto put = self(self, arg); !put) return put;
      }
      if (e->kind != ExprKind::kColumn) return {};
      if (e->column >= select_columns) {
        e = expr::make_column(e->column - select_columns, e->type);
        return {};
      }
      e = expr::clone(*analytic.outputs[static_cast<size_t>(e->column)]);
      bool reads_number = false;
      expr::walk(std::as_const(*e), [&](const expr::Expr& part) { reads_number |= is_number(part); });
      if (reads_number)
        return refused("with rest_row the number of a row stands in the output alone", written->span,
                       "compute with it in a view above");
      put_below(e, groups);
      return {};
    };
    if (output->kind == ExprKind::kColumn && output->column == number_column && number_output < 0) {
      number_output = static_cast<int>(outputs.size());
      outputs.push_back(expr::make_literal({}, batch::Type::kInt8));
      continue;
    }
    if (auto put = put_below_both(put_below_both, output); !put) return put;
    outputs.push_back(std::move(output));
  }
  const size_t visible = outputs.size();
  const auto output_of = [&](const expr::Expr& e) {
    for (size_t o = 0; o < outputs.size(); ++o) {
      if (expr::equal(*outputs[o], e)) return static_cast<int>(o);
    }
    outputs.push_back(expr::clone(e));
    return static_cast<int>(outputs.size()) - 1;
  };
  std::vector<int> limit_by;
  for (const int column : analytic.analytic->partition_by) {
    const expr::Expr& key = *groups.outputs[static_cast<size_t>(column)];
    if (is_window(key)) continue;
    const auto key_end = 2 + static_cast<int>(groups.keys.size());
    const int output = output_of(key);
    if (key.kind != ExprKind::kColumn || key.column >= key_end || output >= static_cast<int>(visible)) {
      return refused(fmt::format("rest_row needs the columns of PARTITION BY in the output, as they are grouped by; "
                                 "\"{}\" is not",
                                 groups.output.columns[static_cast<size_t>(column)].name),
                     span, "add them to SELECT and GROUP BY");
    }
    limit_by.push_back(output);
  }
  std::vector<SortKey> order_by;
  for (const Analytic::Order& order : analytic.analytic->order_by)
    order_by.push_back(
        {output_of(*groups.outputs[static_cast<size_t>(order.column)]), order.descending, order.nulls_first});
  // Ties are broken as where rows are numbered by a stage of their own: by the columns that it reads.
  for (const ExprPtr& tie : groups.outputs) {
    if (is_window(*tie)) continue;
    const int output = output_of(*tie);
    if (std::find(limit_by.begin(), limit_by.end(), output) != limit_by.end()) continue;
    const bool known =
        std::any_of(order_by.begin(), order_by.end(), [&](const SortKey& key) { return key.output == output; });
    if (!known) order_by.push_back({output});
  }

  groups.outputs = std::move(outputs);
  groups.output = std::move(select.output);
  groups.order_by = std::move(order_by);
  groups.limit = limit;
  groups.limit_by = std::move(limit_by);
  groups.number_output = number_output;
  groups.window_start_output = select.window_start_output;
  groups.window_end_output = select.window_end_output;
  query.stages.resize(query.stages.size() - 2);
  return {};
}

Result<void> add_rest_row(Query& query, SourceSpan span) {
  Stage& stage = query.stages.back();
  if (!stage.aggregates_rows || stage.order_by.empty() || !stage.limit) {
    return fail(
        "0A000", "rest_row needs a query with GROUP BY, and ORDER BY and LIMIT or row_number() <= n", span,
        "rows beyond the limit become one row: SELECT ... FROM tumble(...) GROUP BY ... ORDER BY x DESC LIMIT 10");
  }
  if (stage.offset != 0) return fail("0A000", "rest_row does not go together with OFFSET", span);
  if (stage.distinct) return fail("0A000", "rest_row does not go together with SELECT DISTINCT", span);
  const size_t visible = stage.output.columns.size();
  const auto is_key = [&](int column) { return column >= 2 && column < 2 + static_cast<int>(stage.keys.size()); };
  std::vector<bool> shown(stage.keys.size(), false);
  for (size_t o = 0; o < visible; ++o) {
    const expr::Expr& output = *stage.outputs[o];
    if (output.kind == ExprKind::kColumn) {
      if (is_key(output.column)) shown[static_cast<size_t>(output.column - 2)] = true;
      continue;
    }
    bool reads_key = false;
    expr::walk(output,
               [&](const expr::Expr& part) { reads_key |= part.kind == ExprKind::kColumn && is_key(part.column); });
    if (reads_key) {
      return fail("0A000",
                  fmt::format("the rest row has no value for \"{}\", which is computed from a key",
                              stage.output.columns[o].name),
                  output.span, "select the key itself, and compute with it in a view above");
    }
  }
  for (size_t k = 0; k < shown.size(); ++k) {
    if (shown[k]) continue;
    // Rows that look alike would leave open which of them the rest has.
    return fail("0A000", fmt::format("rest_row needs all keys in the output; \"{}\" is not", stage.key_labels[k]),
                stage.keys[k]->span, "add it to SELECT");
  }
  for (SortKey& key : stage.order_by) key.output += key.output >= static_cast<int>(visible);
  stage.rest_output = static_cast<int>(visible);
  stage.outputs.insert(stage.outputs.begin() + static_cast<long>(visible),
                       expr::make_literal(false, batch::Type::kBool));
  stage.output.columns.push_back({"_rest", batch::Type::kBool, 0});
  return {};
}

}  // namespace backstream::plan
