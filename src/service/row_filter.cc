#include "service/row_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "expr/expr.h"
#include "plan/bind.h"
#include "sql/parse.h"

namespace backstream::service {

using base::fail;
using base::Result;

namespace {

constexpr std::string_view kRelation = "result";
/// A line of its own, so that places in the condition are those of its own lines.
constexpr std::string_view kBefore = "SELECT * FROM result WHERE\n";
constexpr std::string_view kSource = "row filter";

/// A place in kBefore and the condition as one in the condition alone.
base::Diagnostic moved(base::Diagnostic diagnostic) {
  const auto before = static_cast<uint32_t>(kBefore.size());
  diagnostic.span.offset_octets -= std::min(diagnostic.span.offset_octets, before);
  if (diagnostic.line > 1) --diagnostic.line;
  return diagnostic;
}

bool has_subquery(const plan::UnboundExpr& e) {
  if (e.kind == plan::UnboundExpr::Kind::kSubquery || e.subquery || e.over) return true;
  if (e.filter && has_subquery(*e.filter)) return true;
  return std::any_of(e.args.begin(), e.args.end(), [](const auto& arg) { return arg && has_subquery(*arg); }) ||
         std::any_of(e.order_by.begin(), e.order_by.end(),
                     [](const auto& by) { return by.expr && has_subquery(*by.expr); });
}

/// Whether nothing but the WHERE came of the condition.
bool is_condition_alone(const plan::UnboundStatement& statement) {
  if (statement.kind != plan::UnboundStatement::Kind::kSelect || !statement.select) return false;
  const plan::UnboundSelect& select = *statement.select;
  const bool plain = select.ctes.empty() && select.set_op == plan::UnboundSelect::SetOp::kNone && !select.distinct &&
                     select.distinct_on.empty() && select.targets.size() == 1 && select.from.size() == 1 &&
                     select.group_by.empty() && !select.having && select.order_by.empty() && !select.limit &&
                     !select.offset && !select.with_ties && select.where;
  return plain && select.from[0]->kind == plan::UnboundFrom::Kind::kRelation && select.from[0]->name == kRelation;
}

/// `SELECT * FROM result WHERE condition`, of which the condition is one expression and nothing else.
Result<plan::UnboundStatement> parse_condition(std::string_view condition) {
  if (condition.size() > RowFilter::kConditionOctetsMax)
    return fail("54000", fmt::format("a row filter has at most {} octets", RowFilter::kConditionOctetsMax));
  const std::string text = fmt::format("{}{}", kBefore, condition);
  const auto refuse = [&](std::string_view code, std::string message, std::string hint) {
    auto refused = fail(code, std::move(message), {0, static_cast<uint32_t>(condition.size())}, std::move(hint));
    base::locate(refused.value(), kSource, condition);
    return refused;
  };
  constexpr const char* kHint = "such as site IN ('ams', 'fra')";
  auto parsed = sql::parse(text, kSource);
  if (!parsed) return tl::unexpected(moved(std::move(parsed.error())));
  if (parsed->size() != 1 || !is_condition_alone(parsed->front()))
    return refuse("42601", "a row filter is one condition and nothing else", kHint);
  // What ends a WHERE (GROUP BY, WINDOW, a semicolon …) cannot stand in parentheses, and what closes them early cannot
  // stand without: only an expression is right both ways.
  const auto enclosed = sql::parse(fmt::format("SELECT * FROM result WHERE (\n{}\n)", condition), kSource);
  if (!enclosed) return refuse("42601", "a row filter is one condition and nothing else", kHint);
  if (has_subquery(*parsed->front().select->where))
    return refuse("0A000", "a row filter has neither subqueries nor OVER", kHint);
  return std::move(parsed->front());
}

/// `rows` from `first` on, in place.
batch::ColumnBatch slice(const batch::ColumnBatch& rows, size_t first, size_t count) {
  batch::ColumnBatch part;
  part.row_count = count;
  part.columns = rows.columns;
  for (batch::Column& column : part.columns) {
    const size_t octets = batch::octets_per_value(batch::physical(column.type));
    if (column.values != nullptr) column.values = static_cast<uint8_t*>(column.values) + first * octets;
    if (column.has_nulls) column.validity += first;
  }
  return part;
}

}  // namespace

struct RowFilter::State {
  explicit State(expr::ExprPtr condition) : evaluator(std::move(condition)) {}

  expr::Evaluator evaluator;
  std::vector<uint32_t> kept;
  batch::ColumnBatch out;
  std::vector<std::vector<uint64_t>> values;  // By column; words, so that every type is aligned.
  std::vector<std::vector<uint8_t>> validity;
};

RowFilter::RowFilter(std::unique_ptr<State> state) : state_(std::move(state)) {}
RowFilter::~RowFilter() = default;
RowFilter::RowFilter(RowFilter&&) noexcept = default;
RowFilter& RowFilter::operator=(RowFilter&&) noexcept = default;

Result<void> RowFilter::check(std::string_view condition) {
  auto parsed = parse_condition(condition);
  if (!parsed) return tl::unexpected(std::move(parsed.error()));
  return {};
}

Result<RowFilter> RowFilter::make(std::string_view condition, const batch::Schema& schema) {
  auto parsed = parse_condition(condition);
  if (!parsed) return tl::unexpected(std::move(parsed.error()));
  plan::Relation relation;
  relation.kind = plan::Relation::Kind::kStream;
  relation.name = kRelation;
  relation.schema = schema;
  plan::Catalog catalog(nullptr);
  catalog.add(std::move(relation));
  const std::string text = fmt::format("{}{}", kBefore, condition);
  auto bound = plan::bind(*parsed, text, catalog);
  if (!bound) {
    // Without the columns nobody can say which rows may be seen: none are.
    return fail("42501", fmt::format("the row filter does not fit this result: {}", bound.error().message), {},
                "a query whose rows are to be filtered has the columns that the filter names");
  }
  plan::Stage& stage = bound->stages.front();
  const bool fits = bound->stages.size() == 1 && stage.where && stage.lookups.empty() &&
                    stage.input.columns.size() == schema.columns.size();
  if (!fits) return fail("42501", "the row filter does not fit this result");
  return RowFilter(std::make_unique<State>(std::move(stage.where)));
}

const batch::ColumnBatch& RowFilter::apply(const batch::ColumnBatch& rows) {
  State& state = *state_;
  state.kept.clear();
  expr::ValueErrorCounts errors;
  std::vector<uint32_t> selection(batch::kBatchRows);
  for (size_t first = 0; first < rows.row_count; first += batch::kBatchRows) {
    const size_t count = std::min(batch::kBatchRows, rows.row_count - first);
    const batch::Column condition = state.evaluator.evaluate(slice(rows, first, count), nullptr, errors);
    const size_t kept = expr::select_true(condition, count, selection.data());
    for (size_t i = 0; i < kept; ++i) state.kept.push_back(static_cast<uint32_t>(first) + selection[i]);
  }

  state.out.row_count = state.kept.size();
  state.out.columns = rows.columns;
  state.values.resize(rows.columns.size());
  state.validity.resize(rows.columns.size());
  for (size_t c = 0; c < rows.columns.size(); ++c) {
    const batch::Column& from = rows.columns[c];
    batch::Column& to = state.out.columns[c];
    if (from.values == nullptr) continue;
    const size_t octets = batch::octets_per_value(batch::physical(from.type));
    state.values[c].resize((state.kept.size() * octets + 7) / 8);
    to.values = state.values[c].data();
    for (size_t i = 0; i < state.kept.size(); ++i) {
      std::memcpy(static_cast<uint8_t*>(to.values) + i * octets,
                  static_cast<const uint8_t*>(from.values) + state.kept[i] * octets, octets);
    }
    if (!from.has_nulls) continue;
    state.validity[c].resize(state.kept.size());
    for (size_t i = 0; i < state.kept.size(); ++i) state.validity[c][i] = from.validity[state.kept[i]];
    to.validity = state.validity[c].data();
  }
  return state.out;
}

}  // namespace backstream::service
