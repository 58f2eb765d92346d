// Binds a SELECT over its FROM: outputs, WHERE, GROUP BY, HAVING, ORDER BY, LIMIT.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "plan/fuse.h"
#include "plan/hidden_columns.h"
#include "plan/select_binder.h"

namespace backstream::plan {

using base::fail;
using batch::Type;

namespace {

/// PostgreSQL's choice of a name for an output without alias.
std::string output_name(const UnboundExpr& e) {
  using Kind = UnboundExpr::Kind;
  switch (e.kind) {
    case Kind::kColumn: return e.names.back();
    case Kind::kCall: return e.text;
    case Kind::kCast: {
      const std::string inner = output_name(*e.args[0]);
      if (inner != "?column?") return inner;
      static const std::map<std::string, std::string> kShort = {{"bigint", "int8"},
                                                                {"integer", "int4"},
                                                                {"int", "int4"},
                                                                {"smallint", "int2"},
                                                                {"double precision", "float8"},
                                                                {"boolean", "bool"},
                                                                {"timestamp with time zone", "timestamptz"},
                                                                {"timestamp without time zone", "timestamp"}};
      const auto known = kShort.find(e.text);
      return known == kShort.end() ? e.text : known->second;
    }
    case Kind::kCase: {
      if (e.args.size() % 2 == 0 && e.args.back()) {
        const std::string inner = output_name(*e.args.back());
        if (inner != "?column?") return inner;
      }
      return "case";
    }
    case Kind::kCoalesce: return "coalesce";
    case Kind::kNullIf: return "nullif";
    case Kind::kGreatest: return "greatest";
    case Kind::kLeast: return "least";
    case Kind::kAtTimeZone: return "timezone";
    case Kind::kBool: return "bool";
    default: return "?column?";
  }
}

Result<int64_t> row_count(const UnboundExpr& e, std::string_view clause) {
  const Input nothing{};
  auto bound = ExprBinder(nothing).bind_row(e, clause);
  if (!bound) return tl::unexpected(bound.error());
  if ((*bound)->kind != expr::ExprKind::kLiteral || !std::holds_alternative<int64_t>((*bound)->literal)) {
    return fail("42804", fmt::format("{} must be a constant number of rows", clause), e.span);
  }
  const int64_t count = std::get<int64_t>((*bound)->literal);
  if (count < 0) return fail("2201W", fmt::format("{} must not be negative", clause), e.span);
  return count;
}

/// The keys of a session's groups are the columns that make the session: a finer group would be part of a session that
/// others share.
Result<void> check_session(const UnboundSelect& select, const Input& input, const ExprBinder& binder, bool aggregates) {
  if (!aggregates) {
    return fail("42803", "sessions need GROUP BY: a row's session is known when it is over", select.span,
                "add GROUP BY window_start and the columns of partition_by");
  }
  if (!binder.over_calls.empty()) {
    return fail("0A000", "OVER cannot stand beside session()", binder.over_calls[0].span,
                "put the sessions in a subquery in FROM, or in a view");
  }
  const auto is_key = [](int column) {
    return [column](const ExprPtr& key) { return key->kind == expr::ExprKind::kColumn && key->column == column; };
  };
  for (const ExprPtr& key : binder.keys) {
    const bool known = std::any_of(input.session_keys.begin(), input.session_keys.end(),
                                   [&](int column) { return is_key(column)(key); });
    if (!known) {
      return fail("42803",
                  fmt::format("sessions are of the columns in partition_by; \"{}\" is none",
                              expr::to_string(*key, input.schema)),
                  key->span, "add the column to partition_by, or aggregate it");
    }
  }
  for (const int column : input.session_keys) {
    if (std::any_of(binder.keys.begin(), binder.keys.end(), is_key(column))) continue;
    const std::string& name = input.schema.columns[static_cast<size_t>(column)].name;
    return fail("42803",
                fmt::format("sessions of different \"{0}\" would be one group: group by \"{0}\", too, or "
                            "leave it out of partition_by",
                            name),
                select.group_by.empty() ? select.span : select.group_by[0]->span);
  }
  return {};
}

/// An output, with what the query text calls it.
struct Output {
  std::string name;
  const UnboundExpr* text = nullptr;  ///< null: a column that * stands for
  int column = -1;
  SourceSpan span;
};

}  // namespace

Result<Bound> SelectBinder::bind(const UnboundSelect& select) {
  for (const UnboundCte& cte : select.ctes) ctes_.add(cte);
  if (select.set_op != UnboundSelect::SetOp::kNone) {
    auto united = bind_union(select);
    if (!united || (select.order_by.empty() && !select.limit && !select.offset)) return united;
    return bind_over(select, input_of(std::move(*united)));
  }
  if (select.from.empty()) {
    return fail("0A000", "a query reads a stream: FROM is missing", select.span,
                "for example FROM flows, or FROM tumble(flows, time, interval '300 s')");
  }
  if (!select.distinct_on.empty()) {
    return fail(
        "0A000", "DISTINCT ON is not supported", select.distinct_on[0]->span,
        "first(x, time) of each group, or WHERE n = 1 over row_number() OVER (PARTITION BY window_start, ...) AS n");
  }
  if (select.with_ties)
    return fail("0A000", "FETCH ... WITH TIES is not supported", select.span,
                "use LIMIT, or WHERE n <= 10 over rank() OVER (PARTITION BY window_start ORDER BY ...) AS n");
  if (select.where) add_conjuncts(*select.where, where_);
  auto input = bind_from(*select.from[0]);
  for (size_t i = 1; input && i < select.from.size(); ++i) {  // FROM a, b: an inner join, its conditions in WHERE.
    const UnboundFrom& item = *select.from[i];
    if (is_lookup(item)) {
      const LookupJoin join{UnboundFrom::Join::kCross, nullptr, nullptr, item.span};
      if (auto joined = bind_lookup(*input, item, join); !joined) return tl::unexpected(joined.error());
      continue;
    }
    auto right = bind_from(item);
    if (!right) return tl::unexpected(right.error());
    JoinText text;
    text.span = item.span;
    input = join_streams(std::move(*input), std::move(*right), text);
  }
  if (input) input = bind_exists(std::move(*input));
  if (!input) return tl::unexpected(input.error());
  if (input->below.empty() && input->inputs.empty() && input->relations.empty() && input->source.has_hidden &&
      names_hidden_column(select)) {
    const batch::Schema& hidden = hidden_columns();
    input->schema.columns.insert(input->schema.columns.end(), hidden.columns.begin(), hidden.columns.end());
    input->source.reads_hidden = true;
  }
  auto bound = bind_over(select, std::move(*input));
  if (!bound) return bound;
  if (auto settled = settle_join(bound->stages, bound->inputs); !settled) return tl::unexpected(settled.error());
  return bound;
}

Result<Bound> SelectBinder::bind_over(const UnboundSelect& select, Input input) {
  if (auto tests = bind_subqueries(select, input); !tests) return tl::unexpected(tests.error());
  ExprBinder binder(input);
  const size_t input_columns = input.schema.columns.size();
  const bool windowed = input.has_windows();
  const bool reads_plain_rows =
      input.has_plain_rows() &&
      (input.lookups.empty() || (input.below.front().lookups.empty() && input.below.front().where == nullptr));
  const bool makes_windows = windowed && input.window.kind != Window::Kind::kInherited;
  if (!reads_plain_rows && makes_windows && !input.below.empty() && input.window.time_column != input.time_column) {
    return fail("0A000",
                "these rows are filtered or looked up before this SELECT looks up more, so only their event time makes "
                "windows",
                select.from.empty() ? select.span : select.from[0]->span, "filter and look up in one SELECT");
  }

  // Outputs by name, stars spelled out.
  std::vector<Output> outputs;
  if (select.set_op != UnboundSelect::SetOp::kNone) {  // ORDER BY and LIMIT of a UNION: its rows as they are.
    for (const int c : input.star(nullptr))
      outputs.push_back({input.schema.columns[static_cast<size_t>(c)].name, nullptr, c, select.span});
  }
  for (const UnboundTarget& target : select.targets) {
    const UnboundExpr& e = *target.expr;
    if (e.kind == UnboundExpr::Kind::kStar) {
      std::optional<NamedColumns> of;
      if (!e.names.empty()) of = input.find_relation(e.names[0]);
      if (!e.names.empty() && !of)
        return fail("42P01", fmt::format("\"{}\" is not in FROM", e.names[0]), e.span, input.relations_hint());
      const bool own_window = windowed && input.window.kind != Window::Kind::kInherited && (!of || of->has_window);
      for (const int c : input.star(of ? &*of : nullptr)) {
        const std::string& name = input.schema.columns[static_cast<size_t>(c)].name;
        if (own_window && (name == "window_start" || name == "window_end")) continue;
        if (input.schema.columns[static_cast<size_t>(c)].hidden) continue;
        outputs.push_back({name, nullptr, c, e.span});
      }
      if (own_window) {
        outputs.push_back({"window_start", nullptr, static_cast<int>(input_columns), e.span});
        outputs.push_back({"window_end", nullptr, static_cast<int>(input_columns) + 1, e.span});
      }
      continue;
    }
    outputs.push_back({target.alias.empty() ? output_name(e) : target.alias, &e, -1, e.span});
  }

  // WHERE and HAVING come before the SELECT list, in PostgreSQL as here; who writes its names there is told what to
  // write.
  const auto with_alias_hint = [&](base::Diagnostic told, std::string_view clause) {
    for (const Output& output : outputs) {
      if (output.text == nullptr || told.code != "42703" ||
          told.message != fmt::format("column \"{}\" does not exist", output.name))
        continue;
      told.hint = fmt::format(
          "{} does not know the names of the SELECT list: write the expression, or select from a subquery", clause);
    }
    return tl::unexpected(std::move(told));
  };

  bool aggregates = !select.group_by.empty() || select.having != nullptr;
  for (const Output& output : outputs) aggregates |= output.text != nullptr && binder.has_aggregate(*output.text);
  for (const UnboundOrder& order : select.order_by) aggregates |= binder.has_aggregate(*order.expr);
  // DISTINCT of the ungrouped rows of a window function: they are groups, of all outputs.
  const bool distinct_rows = select.distinct && !aggregates && windowed &&
                             (input.window.kind == Window::Kind::kTumble || input.window.kind == Window::Kind::kHop) &&
                             std::none_of(outputs.begin(), outputs.end(), [](const Output& output) {
                               return output.text != nullptr && ExprBinder::has_over(*output.text);
                             });
  aggregates |= distinct_rows;

  Stage stage;
  stage.input = input.schema;
  stage.spread = input.spread;
  stage.window = input.window;
  stage.aggregates_rows = aggregates;
  stage.distinct = select.distinct;

  std::vector<ExprPtr> conditions;
  for (const UnboundExpr* condition : where_) {
    auto where = aggregates ? binder.bind_row(*condition, "WHERE") : binder.bind_windowed_row(*condition, "WHERE");
    if (!where) return with_alias_hint(where.error(), "WHERE");
    if ((*where)->type == Type::kUnknown) where = expr::make_cast(std::move(*where), Type::kBool, condition->span);
    if (!where) return tl::unexpected(where.error());
    if (where_.size() == 1 && (*where)->type != Type::kBool) {
      return fail("42804",
                  fmt::format("argument of WHERE must be type boolean, not type {}", batch::name((*where)->type)),
                  condition->span);
    }
    conditions.push_back(std::move(*where));
  }
  if (conditions.size() == 1) stage.where = std::move(conditions[0]);
  if (conditions.size() > 1) {
    auto all = expr::make_and(std::move(conditions), select.where->span);
    if (!all) return tl::unexpected(all.error());
    stage.where = std::move(*all);
  }
  if (!input.required.empty()) {
    std::vector<ExprPtr> all;
    for (const int column : input.required) all.push_back(expr::make_column(column, Type::kBool));
    if (stage.where) all.push_back(std::move(stage.where));
    if (all.size() == 1) stage.where = std::move(all[0]);
    else stage.where = *expr::make_and(std::move(all), select.span);
  }

  if (aggregates) {
    if (!windowed) {
      return fail("42803", "a stream has no end: aggregates need a window",
                  select.group_by.empty() ? select.span : select.group_by[0]->span, std::string(kWindowHint));
    }
    bool by_window = distinct_rows;
    std::vector<const UnboundExpr*> items;
    for (const auto& item : select.group_by) items.push_back(item.get());
    for (const Output& output : outputs) {
      if (!distinct_rows) break;
      if (output.text != nullptr) {
        items.push_back(output.text);
      } else if (output.column < static_cast<int>(input_columns)) {
        const Type type = input.schema.columns[static_cast<size_t>(output.column)].type;
        binder.keys.push_back(expr::make_column(output.column, type, output.span));
      }
    }
    for (const UnboundExpr* item : items) {
      const UnboundExpr* e = item;
      bool is_end = false;
      if (e->kind == UnboundExpr::Kind::kInteger && !distinct_rows) {
        const int64_t position = std::atoll(e->text.c_str());
        if (position < 1 || position > static_cast<int64_t>(outputs.size())) {
          return fail("42P10", fmt::format("GROUP BY position {} is not in select list", e->text), e->span);
        }
        const Output& output = outputs[static_cast<size_t>(position - 1)];
        if (output.text == nullptr)
          return fail("0A000", "GROUP BY position of a column that * stands for", e->span, "name the columns");
        e = output.text;
      } else if (e->kind == UnboundExpr::Kind::kColumn && e->names.size() == 1 &&
                 !binder.is_window_column(*e, is_end) && input.schema.find(e->names[0]) < 0) {
        // Not a column of the input: an output's alias.
        for (const Output& output : outputs) {
          if (output.text != nullptr && output.name == e->names[0]) {
            e = output.text;
            break;
          }
        }
      }
      if (binder.is_window_column(*e, is_end)) {
        by_window = true;
        continue;
      }
      if (binder.has_aggregate(*e)) return fail("42803", "aggregate functions are not allowed in GROUP BY", item->span);
      auto key = binder.bind_row(*e, "GROUP BY");
      if (!key) return tl::unexpected(key.error());
      if ((*key)->type == Type::kUnknown) key = expr::make_cast(std::move(*key), Type::kText, e->span);
      if (!key) return tl::unexpected(key.error());
      const bool known =
          std::any_of(binder.keys.begin(), binder.keys.end(), [&](const auto& k) { return expr::equal(*k, **key); });
      if (!known) binder.keys.push_back(std::move(*key));
    }
    if (!by_window) {
      return fail("42803", "a stream is aggregated window by window: window_start is missing in GROUP BY",
                  select.group_by.empty() ? select.span : select.group_by[0]->span,
                  select.group_by.empty() ? "add GROUP BY window_start" : "add window_start to GROUP BY");
    }
    if (binder.keys.size() > kGroupKeysMax) {
      return fail("54011",
                  distinct_rows ? fmt::format("SELECT DISTINCT of more than {} columns", kGroupKeysMax)
                                : fmt::format("more than {} grouping keys", kGroupKeysMax),
                  select.group_by.empty() ? select.span : select.group_by[0]->span);
    }
  } else if (!select.group_by.empty()) {
    return fail("0A000", "GROUP BY without aggregates", select.span);
  }

  const auto bind_output = [&](const UnboundExpr& e, std::string_view clause) -> Result<ExprPtr> {
    binder.allow_over = true;
    auto bound = aggregates ? binder.bind_grouped(e, clause) : binder.bind_windowed_row(e, clause);
    binder.allow_over = false;
    if (bound && (*bound)->type == Type::kUnknown) return expr::make_cast(std::move(*bound), Type::kText, e.span);
    return bound;
  };
  for (Output& output : outputs) {
    if (output.text == nullptr && distinct_rows) {  // As it is in the row of the group.
      size_t column = 0;
      if (output.column >= static_cast<int>(input_columns)) {
        column = static_cast<size_t>(output.column) - input_columns;
      } else {
        const auto key = std::find_if(binder.keys.begin(), binder.keys.end(), [&](const ExprPtr& k) {
          return k->kind == expr::ExprKind::kColumn && k->column == output.column;
        });
        column = 2 + static_cast<size_t>(key - binder.keys.begin());
      }
      const Type type = column < 2 ? Type::kTimestamptz : binder.keys[column - 2]->type;
      stage.outputs.push_back(expr::make_column(static_cast<int>(column), type, output.span));
      continue;
    }
    if (output.text == nullptr && aggregates) {
      return fail("42803", "* cannot be selected from groups", output.span, "name the grouped columns and aggregates");
    }
    Result<ExprPtr> bound = output.text == nullptr
                                ? expr::make_column(output.column,
                                                    static_cast<size_t>(output.column) < input_columns
                                                        ? input.schema.columns[static_cast<size_t>(output.column)].type
                                                        : Type::kTimestamptz,
                                                    output.span)
                                : bind_output(*output.text, "SELECT");
    if (!bound) return tl::unexpected(bound.error());
    stage.outputs.push_back(std::move(*bound));
  }
  if (select.having) {
    auto having = binder.bind_grouped(*select.having, "HAVING");
    if (!having) return with_alias_hint(having.error(), "HAVING");
    if ((*having)->type != Type::kBool) {
      return fail("42804",
                  fmt::format("argument of HAVING must be type boolean, not type {}", batch::name((*having)->type)),
                  select.having->span);
    }
    stage.having = std::move(*having);
  }
  const size_t visible = stage.outputs.size();
  for (const UnboundOrder& order : select.order_by) {
    const UnboundExpr& e = *order.expr;
    SortKey key;
    key.descending = order.descending;
    key.nulls_first = order.nulls_first.value_or(order.descending);
    if (e.kind == UnboundExpr::Kind::kInteger) {
      const int64_t position = std::atoll(e.text.c_str());
      if (position < 1 || position > static_cast<int64_t>(visible)) {
        return fail("42P10", fmt::format("ORDER BY position {} is not in select list", e.text), e.span);
      }
      key.output = static_cast<int>(position - 1);
    } else if (e.kind == UnboundExpr::Kind::kColumn && e.names.size() == 1) {
      for (size_t o = 0; o < visible && key.output < 0; ++o) {
        if (outputs[o].name == e.names[0]) key.output = static_cast<int>(o);
      }
    }
    if (key.output < 0) {
      auto bound = bind_output(e, "ORDER BY");
      if (!bound) return tl::unexpected(bound.error());
      for (size_t o = 0; o < stage.outputs.size() && key.output < 0; ++o) {
        if (expr::equal(**bound, *stage.outputs[o])) key.output = static_cast<int>(o);
      }
      if (key.output < 0) {
        if (select.distinct)
          return fail("42P10", "for SELECT DISTINCT, ORDER BY expressions must appear in select list", e.span);
        key.output = static_cast<int>(stage.outputs.size());
        stage.outputs.push_back(std::move(*bound));
      }
    }
    stage.order_by.push_back(key);
  }
  if (select.limit) {
    const auto limit = row_count(*select.limit, "LIMIT");
    if (!limit) return tl::unexpected(limit.error());
    stage.limit = *limit;
  }
  if (select.offset) {
    const auto offset = row_count(*select.offset, "OFFSET");
    if (!offset) return tl::unexpected(offset.error());
    stage.offset = *offset;
  }
  const bool own_rows = !aggregates && input.window.kind != Window::Kind::kInherited;
  bool looks_ahead = false;
  if (!binder.over_calls.empty()) {
    if (own_rows && windowed) {
      return fail("0A000", "OVER cannot read ungrouped rows of a window function", binder.over_calls[0].span,
                  "add GROUP BY window_start, ..., or read the stream itself and ORDER BY its time");
    }
    const int start = !windowed ? -1 : aggregates ? 0 : static_cast<int>(input_columns);
    const auto ahead =
        settle_over(binder, {start, windowed ? start + 1 : -1, aggregates ? -1 : input.window_start_column,
                             aggregates ? -1 : input.window_end_column, input.time_column});
    if (!ahead) return tl::unexpected(ahead.error());
    looks_ahead = *ahead;
  }
  const bool session = input.window.kind == Window::Kind::kSession;
  const bool row_by_row = own_rows || looks_ahead || session;
  if (row_by_row && (!stage.order_by.empty() || stage.distinct)) {
    return fail("0A000",
                fmt::format("{} needs a window: a stream has no end", stage.distinct ? "SELECT DISTINCT" : "ORDER BY"),
                stage.distinct ? select.span : select.order_by[0].expr->span,
                looks_ahead ? "with lead() or FOLLOWING across windows rows come one by one, as they are known"
                            : std::string(kWindowHint));
  }
  if (row_by_row && windowed && (stage.limit || stage.offset != 0)) {
    return fail("0A000", "LIMIT of ungrouped rows in a window is not supported",
                select.limit ? select.limit->span : select.offset->span);
  }

  if (session) {
    if (auto fits = check_session(select, input, binder, aggregates); !fits) return tl::unexpected(fits.error());
  }

  // Schemas.
  stage.keys = std::move(binder.keys);
  stage.aggregates = std::move(binder.aggregates);
  if (session) {  // First and last row of a session (exec/session_stage.h).
    const int time_column = input.window.time_column;
    for (const char* extreme : {"min", "max"}) {
      AggregateCall call;
      call.function = *agg::resolve(extreme, {Type::kTimestamptz}, false, false, {});
      call.args.push_back(expr::make_column(time_column, Type::kTimestamptz));
      call.label = fmt::format("{}({})", extreme, input.schema.columns[static_cast<size_t>(time_column)].name);
      stage.aggregates.push_back(std::move(call));
    }
  }
  if (aggregates) {
    stage.grouped.columns = {{"window_start", Type::kTimestamptz, 0}, {"window_end", Type::kTimestamptz, 0}};
    for (const auto& key : stage.keys) {
      stage.key_labels.push_back(expr::to_string(*key, input.schema));
      const uint8_t bits = key->kind == expr::ExprKind::kColumn
                               ? input.schema.columns[static_cast<size_t>(key->column)].value_bits
                               : uint8_t{0};
      stage.grouped.columns.push_back({stage.key_labels.back(), key->type, bits});
    }
    for (const AggregateCall& call : stage.aggregates)
      stage.grouped.columns.push_back({call.label, call.function->result_type, 0});
  } else {
    stage.grouped = input.schema;
    if (windowed) {
      stage.grouped.columns.push_back({"window_start", Type::kTimestamptz, 0});
      stage.grouped.columns.push_back({"window_end", Type::kTimestamptz, 0});
    }
  }
  const int start_column = aggregates ? 0 : static_cast<int>(input_columns);
  Bound bound;
  for (size_t o = 0; o < visible; ++o) {
    const expr::Expr& e = *stage.outputs[o];
    const bool column = e.kind == expr::ExprKind::kColumn && e.column < kOverColumn;
    const bool is_time = row_by_row && !windowed && input.is_event_time(e);
    if (is_time && bound.time_column < 0) bound.time_column = static_cast<int>(o);
    stage.output.columns.push_back(
        {outputs[o].name, e.type,
         column ? stage.grouped.columns[static_cast<size_t>(e.column)].value_bits : uint8_t{0}});
    if (!column) continue;
    const bool is_start = (windowed && e.column == start_column) || (!aggregates && input.is_window_start(e.column));
    const bool is_end = (windowed && e.column == start_column + 1) || (!aggregates && input.is_window_end(e.column));
    if (is_start && stage.window_start_output < 0) stage.window_start_output = static_cast<int>(o);
    if (is_end && stage.window_end_output < 0) stage.window_end_output = static_cast<int>(o);
  }
  stage.lookups = std::move(input.lookups);
  stage.input_used.assign(input_columns, false);
  note_lookups(stage.lookups, stage.input_used);
  note_columns(stage.where.get(), stage.input_used);
  for (const auto& key : stage.keys) note_columns(key.get(), stage.input_used);
  for (const AggregateCall& call : stage.aggregates) {
    for (const auto& arg : call.args) note_columns(arg.get(), stage.input_used);
    note_columns(call.filter.get(), stage.input_used);
  }
  if (!aggregates) {
    for (const auto& output : stage.outputs) note_columns(output.get(), stage.input_used);
  }
  if (stage.window.time_column >= 0) stage.input_used[static_cast<size_t>(stage.window.time_column)] = true;
  note_spread(stage);

  bound.has_windows = windowed && !row_by_row;
  if (bound.has_windows) bound.window_size_us = input.window.size_us;
  if (windowed && (bound.has_windows || looks_ahead || session)) bound.time_column = stage.window_start_output;
  bound.source = std::move(input.source);
  bound.inputs = std::move(input.inputs);
  bound.stages = std::move(input.below);
  std::vector<Stage> made;
  if (binder.over_calls.empty()) made.push_back(std::move(stage));
  else made = make_analytic_stages(binder, std::move(stage), looks_ahead);
  if (reads_plain_rows) {
    if (auto fused = fuse(std::move(bound.stages.front()), made.front(), select.span); !fused)
      return tl::unexpected(std::move(fused.error()));
    bound.stages.clear();
  }
  for (Stage& each : made) bound.stages.push_back(std::move(each));
  return bound;
}

}  // namespace backstream::plan
