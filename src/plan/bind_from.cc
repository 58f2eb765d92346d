// Binds FROM: relations, subqueries, window functions.
#include <fmt/format.h>

#include <utility>

#include "plan/bind_calendar.h"
#include "plan/fuse.h"
#include "plan/late.h"
#include "plan/select_binder.h"

namespace backstream::plan {

using base::fail;

Input input_of(Bound bound) {
  Input input;
  input.source = std::move(bound.source);
  input.inputs = std::move(bound.inputs);
  input.schema = bound.stages.back().output;
  input.time_column = bound.time_column;
  if (bound.has_windows) {
    input.window.kind = Window::Kind::kInherited;
    input.window.size_us = bound.window_size_us;
    input.window_start_column = bound.stages.back().window_start_output;
    input.window_end_column = bound.stages.back().window_end_output;
  }
  input.below = std::move(bound.stages);
  return input;
}

bool Input::has_plain_rows() const {
  return inputs.empty() && source.kind == Relation::Kind::kStream && below.size() == 1 && is_row_stage(below.front());
}

Result<Input> SelectBinder::bind_subquery(const UnboundSelect& select) {
  auto bound = SelectBinder(catalog_, ctes_, expansions_).bind(select);
  if (!bound) return tl::unexpected(bound.error());
  const Stage& last = bound->stages.back();
  const bool assigns_windows = last.window.kind == Window::Kind::kTumble || last.window.kind == Window::Kind::kHop;
  if (last.order_by.empty() && !last.limit && !bound->has_windows && assigns_windows) {
    return fail("0A000", "rows of a window function without GROUP BY cannot be read by another SELECT", select.span,
                "use the window function in the outer SELECT");
  }
  return input_of(std::move(*bound));
}

Result<void> name_columns(batch::Schema& schema, const std::vector<std::string>& names, std::string_view relation,
                          SourceSpan span) {
  if (names.size() > schema.columns.size()) {
    return fail("42P10",
                fmt::format("\"{}\" has {} columns available but {} columns specified", relation, schema.columns.size(),
                            names.size()),
                span);
  }
  for (size_t c = 0; c < names.size(); ++c) schema.columns[c].name = names[c];
  return {};
}

Result<Input> SelectBinder::expand(const UnboundSelect& select, Ctes ctes, SourceSpan span) {
  if (++expansions_.count > Expansions::kMax || expansions_.depth >= Expansions::kDepthMax) {
    return fail("54001", "the query expands too many views and WITH queries", span,
                "CREATE MATERIALIZED VIEW computes one of them once, for all that read it");
  }
  ++expansions_.depth;
  auto input = SelectBinder(catalog_, std::move(ctes), expansions_).bind_subquery(select);
  --expansions_.depth;
  return input;
}

// What is wrong inside is in another text: it is told at the name, with the view's.
Result<Input> SelectBinder::bind_plain_view(const Relation& view, SourceSpan span) {
  const UnboundStatement& statement = *view.definition;
  auto input = expand(*statement.select, {}, span);
  if (!input) {
    base::Diagnostic inside = std::move(input.error());
    inside.message = fmt::format("in view \"{}\": {}", view.name, inside.message);
    inside.span = span;
    return tl::unexpected(std::move(inside));
  }
  if (auto named = name_columns(input->schema, statement.column_aliases, view.name, span); !named)
    return tl::unexpected(named.error());
  input->alias = view.name;
  return input;
}

Result<Input> SelectBinder::bind_name(const std::string& name, SourceSpan span) {
  if (const UnboundCte* cte = ctes_.find(name)) {
    auto input = expand(*cte->select, ctes_.before(name), span);
    if (!input) return input;
    if (auto named = name_columns(input->schema, cte->column_aliases, name, cte->span); !named)
      return tl::unexpected(named.error());
    input->alias = name;
    return input;
  }
  const Relation* relation = catalog_.find(name);
  if (relation == nullptr) {
    std::vector<std::string_view> names = catalog_.names();
    for (const std::string_view cte : ctes_.names()) names.push_back(cte);
    std::string hint;
    const std::string_view view =
        name.ends_with(kLateSuffix) ? std::string_view(name).substr(0, name.size() - kLateSuffix.size()) : "";
    const Relation* of = catalog_.find(view);
    if (of != nullptr && of->kind == Relation::Kind::kView) {
      hint = fmt::format(
          "\"{}\" keeps none: late rows of tumble and hop over a stream, and of a stream that is joined, are kept, "
          "unless late = 'drop'; those of sessions, of OVER along a stream and of subqueries are counted",
          view);
    } else if (const auto near = base::nearest_name(name, names); !near.empty()) {
      hint = fmt::format("did you mean '{}'?", near);
    } else if (name == "tumble" || name == "hop") {
      hint = fmt::format("{}(relation, time column, interval)", name);
    }
    return fail("42P01", fmt::format("relation \"{}\" does not exist", name), span, hint);
  }
  if (relation->kind == Relation::Kind::kTable) {
    return fail("0A000", fmt::format("\"{}\" is a lookup table: a query reads a stream and joins tables to it", name),
                span, fmt::format("FROM flows f JOIN {0} t ON t.key = f.column", name));
  }
  if (relation->kind == Relation::Kind::kPlainView) return bind_plain_view(*relation, span);
  Input input;
  input.source = *relation;
  input.alias = name;
  input.schema = relation->schema;
  input.time_column = relation->time_column;
  if (relation->has_windows) {
    input.window.kind = Window::Kind::kInherited;
    input.window.size_us = relation->window_size_us;
    input.window_start_column = relation->time_column;
    input.window_end_column = relation->window_end_column;
  }
  return input;
}

Result<Input> SelectBinder::bind_from(const UnboundFrom& from) {
  Result<Input> input = fail("0A000", "this cannot stand in FROM", from.span);
  switch (from.kind) {
    case UnboundFrom::Kind::kRelation: input = bind_name(from.name, from.name_span); break;
    case UnboundFrom::Kind::kSubquery:
      if (from.lateral)
        return fail("0A000", "LATERAL is not supported", from.span, "write a subquery that stands alone");
      input = bind_subquery(*from.subquery);
      break;
    case UnboundFrom::Kind::kFunction:
      if (from.name == "spread") {
        std::vector<const UnboundExpr*> args;
        for (const auto& arg : from.args) args.push_back(arg.get());
        input = bind_spread(from.span, args, from.arg_names);
      } else {
        input = bind_window(from);
      }
      break;
    case UnboundFrom::Kind::kJoin:
      input = is_lookup(*from.left) || is_lookup(*from.right) ? bind_lookup_join(from) : bind_join(from);
      break;
    case UnboundFrom::Kind::kBoxes: input = bind_boxes(*from.boxes, from.span); break;
  }
  if (!input) return input;
  if (!from.alias.empty()) input->alias = from.alias;
  if (auto named = name_columns(input->schema, from.column_aliases, input->alias, from.span); !named)
    return tl::unexpected(named.error());
  return input;
}

namespace {

/// A window function in FROM. Arguments are by position or by name.
struct WindowFunction {
  std::string_view name;
  Window::Kind kind;
  std::vector<std::string_view> args;
  size_t required;
  std::string_view example;
};
const WindowFunction* find_window_function(std::string_view name) {
  static const WindowFunction kFunctions[] = {
      {"tumble",
       Window::Kind::kTumble,
       {"rel", "ts", "size", "offset", "timezone"},
       3,
       "tumble(flows, time, interval '300 s')"},
      {"hop",
       Window::Kind::kHop,
       {"rel", "ts", "slide", "size", "offset", "timezone"},
       4,
       "hop(flows, time, interval '60 s', interval '300 s'): slide, then size"},
      {"session",
       Window::Kind::kSession,
       {"rel", "ts", "gap", "partition_by"},
       3,
       "session(flows, time, interval '60 s', partition_by => (src_ip))"},
  };
  for (const WindowFunction& function : kFunctions) {
    if (function.name == name) return &function;
  }
  return nullptr;
}

}  // namespace

Result<Input> SelectBinder::bind_relation_argument(const UnboundExpr& e) {
  if (e.kind == UnboundExpr::Kind::kColumn && e.names.size() == 1) return bind_name(e.names[0], e.span);
  if (e.kind == UnboundExpr::Kind::kSubquery && e.subquery && e.op.empty()) return bind_subquery(*e.subquery);
  if (e.kind == UnboundExpr::Kind::kCall && e.text == "spread") {
    std::vector<const UnboundExpr*> args;
    for (const auto& arg : e.args) args.push_back(arg.get());
    return bind_spread(e.span, args, e.arg_names);
  }
  return fail("42601", "the first argument of a window function is a relation", e.span,
              "tumble(flows, time, interval '300 s')");
}

Result<Input> SelectBinder::bind_window(const UnboundFrom& from) {
  if (from.name == "lpm") {
    return fail("0A000", "lpm() looks up rows of something else: nothing stands before it in FROM", from.span,
                "FROM flows f LEFT JOIN lpm(table, f.dst_ip) r ON true");
  }
  const WindowFunction* function = find_window_function(from.name);
  if (from.name == "cumulate") {
    return fail(
        "0A000", "cumulate is not supported", from.name_span,
        "tumble by the step, and sum(x) OVER (PARTITION BY ... ORDER BY window_start RANGE BETWEEN interval '1 h' "
        "PRECEDING AND CURRENT ROW) above it");
  }
  if (function == nullptr) {
    const auto near = base::nearest_name(from.name, {"tumble", "hop", "session", "spread"});
    return fail(
        "42883", fmt::format("\"{}\" is not a window function", from.name), from.name_span,
        near.empty() ? "window functions are tumble, hop and session" : fmt::format("did you mean '{}'?", near));
  }
  const bool hop = function->kind == Window::Kind::kHop, session = function->kind == Window::Kind::kSession;
  std::vector<const UnboundExpr*> args(function->args.size(), nullptr);
  std::vector<const UnboundExpr*> partition_by;
  for (size_t i = 0; i < from.args.size(); ++i) {
    size_t at = i;
    if (i < from.arg_names.size() && !from.arg_names[i].empty()) {
      at = static_cast<size_t>(std::find(function->args.begin(), function->args.end(), from.arg_names[i]) -
                               function->args.begin());
      if (at == function->args.size()) {
        std::string known;
        for (const std::string_view name : function->args) known.append(known.empty() ? "" : ", ").append(name);
        return fail("42883", fmt::format("{}() has no argument \"{}\"", from.name, from.arg_names[i]),
                    from.args[i]->span, "arguments are " + known);
      }
    }
    if (at >= args.size())
      return fail("42883", fmt::format("too many arguments for {}()", from.name), from.args[i]->span);
    args[at] = from.args[i].get();
    if (session && at + 1 == args.size()) partition_by.push_back(args[at]);
  }
  for (size_t i = 0; i < function->required; ++i) {
    if (args[i] != nullptr) continue;
    return fail("42883", fmt::format("{}() needs its argument {}", from.name, function->args[i]), from.span,
                std::string(function->example));
  }
  auto input = bind_relation_argument(*args[0]);
  if (!input) return input;

  // The window columns of rows below are ordinary columns now.
  const int time_of_rows = input->time_column;
  const int below_start = input->window_start_column;
  const bool had_windows = input->has_windows();
  input->window = Window{};
  input->window_start_column = input->window_end_column = -1;
  if (args[1]->kind != UnboundExpr::Kind::kColumn) {
    return fail("42804", "the second argument of a window function is a time column", args[1]->span,
                "for flows: time or received_at");
  }
  const auto column = ExprBinder(*input).find_time_column(*args[1]);
  if (!column) return tl::unexpected(column.error());
  const batch::ColumnDef& time = input->schema.columns[static_cast<size_t>(*column)];
  const bool over_view = input->source.kind == Relation::Kind::kView || !input->below.empty();
  // Of rows that pass one by one any time of the stream will do, as it does for the stream itself.
  const bool time_of_stream =
      input->has_plain_rows() &&
      input->below.front().outputs[static_cast<size_t>(*column)]->kind == expr::ExprKind::kColumn &&
      input->below.front().outputs[static_cast<size_t>(*column)]->column <
          static_cast<int>(input->source.schema.columns.size());
  if (over_view && *column != time_of_rows && !time_of_stream) {
    if (input->below.empty() && time_of_rows < 0 && input->source.name.ends_with(kLateSuffix) &&
        input->schema.find("_late_by") >= 0) {
      return fail("0A000", "late rows come as they are found, no watermark tells when a window has them all",
                  args[1]->span, fmt::format("read them as they come: SELECT ... FROM {}", input->source.name));
    }
    if (!had_windows) {
      return fail("0A000", fmt::format("column \"{}\" is not the event time of these rows", time.name), args[1]->span,
                  time_of_rows < 0
                      ? "let the query below output the event time, as it is"
                      : fmt::format("that is \"{}\"", input->schema.columns[static_cast<size_t>(time_of_rows)].name));
    }
    return fail("0A000", "windows over a view are windows of its window_start", args[1]->span,
                below_start < 0 ? "let the view below output window_start" : "");
  }
  Window window;
  window.kind = function->kind;
  window.time_column = *column;
  const UnboundExpr& size_text = *args[hop ? 3 : 2];
  const std::string_view size_name = session ? "the gap" : "the window size";
  const UnboundExpr* zone = session ? nullptr : args.back();
  const UnboundExpr* offset_text = session ? nullptr : args[args.size() - 2];
  if (const auto literal = interval_literal(size_text, size_name);
      !session && literal && (zone || literal->months != 0)) {
    const auto rows_below = over_view && had_windows ? window_of_rows(input->below, input->source) : std::nullopt;
    auto calendar = bind_calendar(from, *literal, size_text, offset_text, zone, rows_below);
    if (!calendar) return tl::unexpected(calendar.error());
    window.calendar = std::move(*calendar);
    window.size_us = window.slide_us = window.calendar->longest_us();
    input->window = std::move(window);
    if (input->alias.empty()) input->alias = from.name;
    return input;
  }
  const auto size = constant_interval(size_text, size_name);
  if (!size) return tl::unexpected(size.error());
  window.size_us = *size;
  window.slide_us = *size;
  if (*size <= 0) return fail("22023", fmt::format("{} must be greater than zero", size_name), size_text.span);
  for (const UnboundExpr* key : partition_by) {
    if (key->kind != UnboundExpr::Kind::kColumn)
      return fail("42804", "partition_by takes columns", key->span, std::string(function->example));
    const auto key_column = ExprBinder(*input).find_column(*key);
    if (!key_column) return tl::unexpected(key_column.error());
    input->session_keys.push_back(*key_column);
  }
  if (hop) {
    const auto slide = constant_interval(*args[2], "the slide");
    if (!slide) return tl::unexpected(slide.error());
    if (*slide <= 0) return fail("22023", "the slide must be greater than zero", args[2]->span);
    if (*slide > *size) {
      return fail("22023", "the slide is longer than the window", args[2]->span,
                  "hop(relation, time, slide, size): the slide comes first");
    }
    if (*size % *slide != 0) {
      return fail("22023", "the slide must divide the window size", args[2]->span,
                  fmt::format("{} is no multiple of {}", base::format_duration(*size), base::format_duration(*slide)));
    }
    if (*size / *slide > 100'000) return fail("54000", "more than 100,000 windows would hold each row", args[2]->span);
    window.slide_us = *slide;
  }
  if (offset_text != nullptr) {
    const auto offset = constant_interval(*offset_text, "the offset");
    if (!offset) return tl::unexpected(offset.error());
    window.offset_us = *offset - base::floor_to(*offset, window.slide_us);
  }
  input->window = window;
  if (input->alias.empty()) input->alias = from.name;
  return input;
}

}  // namespace backstream::plan
