#include "plan/bind.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "batch/flow_schema.h"
#include "plan/binder.h"
#include "plan/late.h"

namespace backstream::plan {

using base::fail;
using batch::Type;

// --- catalog --------------------------------------------------------------------------------------------------------

Catalog::Catalog(bool with_flows) {
  if (!with_flows) return;
  Relation flows;
  flows.kind = Relation::Kind::kStream;
  flows.name = "flows";
  flows.schema = batch::flow_schema();
  flows.time_column = static_cast<int>(batch::FlowColumn::kTime);
  flows.arrival_column = static_cast<int>(batch::FlowColumn::kReceivedAt);
  relations_.push_back(std::move(flows));
}
void Catalog::add(Relation relation) { relations_.push_back(std::move(relation)); }
void Catalog::add_view(const Query& view) {
  add(as_relation(view));
  if (view.options.late != QueryOptions::Late::kSide) return;
  if (auto late = late_relation(view)) add(std::move(*late));
}
bool Catalog::remove(std::string_view name) {
  return std::erase_if(relations_, [&](const Relation& r) { return r.name == name; }) > 0;
}
const Relation* Catalog::find(std::string_view name) const {
  for (const Relation& relation : relations_) {
    if (relation.name == name) return &relation;
  }
  return nullptr;
}
std::vector<std::string_view> Catalog::names() const {
  std::vector<std::string_view> names;
  for (const Relation& relation : relations_) names.push_back(relation.name);
  return names;
}

namespace {

using Ctes = std::map<std::string, const UnboundCte*>;

constexpr std::string_view kWindowHint =
    "add a window: FROM tumble(flows, time, interval '300 s') and GROUP BY window_start, ...";

/// What a SELECT became: stages over a source, and what its rows carry.
struct Bound {
  Relation source;
  std::vector<std::unique_ptr<Query>> inputs;  ///< instead of a source
  std::vector<Stage> stages;
  bool has_windows = false;  ///< rows come window by window
  int time_column = -1;      ///< visible output that is the event time of its rows
};

class SelectBinder {
 public:
  SelectBinder(const Catalog& catalog, Ctes ctes) : catalog_(catalog), ctes_(std::move(ctes)) {}
  Result<Bound> bind(const UnboundSelect& select);

 private:
  Result<Input> bind_from(const UnboundFrom& from);
  Result<Input> bind_name(const std::string& name, SourceSpan span);
  Result<Input> bind_subquery(const UnboundSelect& select);
  Result<Input> bind_window(const UnboundFrom& from);
  Result<Bound> bind_over(const UnboundSelect& select, Input input);
  Result<Bound> bind_union(const UnboundSelect& select);

  const Catalog& catalog_;
  Ctes ctes_;
};

Input input_of(Bound bound) {
  Input input;
  input.source = std::move(bound.source);
  input.inputs = std::move(bound.inputs);
  input.schema = bound.stages.back().output;
  input.time_column = bound.time_column;
  if (bound.has_windows) {
    input.window.kind = Window::Kind::kInherited;
    input.window_start_column = bound.stages.back().window_start_output;
    input.window_end_column = bound.stages.back().window_end_output;
  }
  input.below = std::move(bound.stages);
  return input;
}

Result<Input> SelectBinder::bind_subquery(const UnboundSelect& select) {
  auto bound = SelectBinder(catalog_, ctes_).bind(select);
  if (!bound) return tl::unexpected(bound.error());
  const Stage& last = bound->stages.back();
  const bool assigns_windows = last.window.kind == Window::Kind::kTumble || last.window.kind == Window::Kind::kHop;
  if (last.order_by.empty() && !last.limit && !bound->has_windows && assigns_windows) {
    return fail("0A000", "rows of a window function without GROUP BY cannot be read by another SELECT", select.span,
                "use the window function in the outer SELECT");
  }
  return input_of(std::move(*bound));
}

Result<Input> SelectBinder::bind_name(const std::string& name, SourceSpan span) {
  if (const auto cte = ctes_.find(name); cte != ctes_.end()) {
    if (!cte->second->column_aliases.empty())
      return fail("0A000", "column names of a WITH query are not supported", cte->second->span);
    auto input = bind_subquery(*cte->second->select);
    if (input) input->alias = name;
    return input;
  }
  const Relation* relation = catalog_.find(name);
  if (relation == nullptr) {
    std::vector<std::string_view> names = catalog_.names();
    for (const auto& [cte, at] : ctes_) names.push_back(cte);
    std::string hint;
    if (const auto near = base::nearest_name(name, names); !near.empty())
      hint = fmt::format("did you mean '{}'?", near);
    else if (name == "tumble" || name == "hop") hint = fmt::format("{}(relation, time column, interval)", name);
    return fail("42P01", fmt::format("relation \"{}\" does not exist", name), span, hint);
  }
  Input input;
  input.source = *relation;
  input.alias = name;
  input.schema = relation->schema;
  input.time_column = relation->time_column;
  if (relation->has_windows) {
    input.window.kind = Window::Kind::kInherited;
    input.window_start_column = relation->time_column;
    input.window_end_column = relation->window_end_column;
  }
  return input;
}

Result<Input> SelectBinder::bind_from(const UnboundFrom& from) {
  Result<Input> input = fail("0A000", "joins are not supported yet", from.span, "read one relation in FROM");
  switch (from.kind) {
    case UnboundFrom::Kind::kRelation: input = bind_name(from.name, from.name_span); break;
    case UnboundFrom::Kind::kSubquery:
      if (from.lateral) return fail("0A000", "LATERAL is not supported", from.span);
      input = bind_subquery(*from.subquery);
      break;
    case UnboundFrom::Kind::kFunction: input = bind_window(from); break;
    case UnboundFrom::Kind::kJoin: break;
  }
  if (!input) return input;
  if (!from.alias.empty()) input->alias = from.alias;
  if (!from.column_aliases.empty())
    return fail("0A000", "column names after a FROM alias are not supported", from.span);
  return input;
}

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
      {"tumble", Window::Kind::kTumble, {"rel", "ts", "size", "offset"}, 3, "tumble(flows, time, interval '300 s')"},
      {"hop",
       Window::Kind::kHop,
       {"rel", "ts", "slide", "size", "offset"},
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

Result<Input> SelectBinder::bind_window(const UnboundFrom& from) {
  const WindowFunction* function = find_window_function(from.name);
  if (function == nullptr) {
    const auto near = base::nearest_name(from.name, {"tumble", "hop", "session"});
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
  Result<Input> input = fail("42601", "the first argument of a window function is a relation", args[0]->span,
                             "tumble(flows, time, interval '300 s')");
  if (args[0]->kind == UnboundExpr::Kind::kColumn && args[0]->names.size() == 1) {
    input = bind_name(args[0]->names[0], args[0]->span);
  } else if (args[0]->kind == UnboundExpr::Kind::kSubquery && args[0]->subquery && args[0]->op.empty()) {
    input = bind_subquery(*args[0]->subquery);
  }
  if (!input) return input;

  // The window columns of rows below are ordinary columns now.
  const int time_of_rows = input->time_column;
  const int below_start = input->window_start_column;
  input->window = Window{};
  input->window_start_column = input->window_end_column = -1;
  if (args[1]->kind != UnboundExpr::Kind::kColumn) {
    return fail("42804", "the second argument of a window function is a time column", args[1]->span,
                "for flows: time or received_at");
  }
  const auto column = ExprBinder(*input).find_column(*args[1]);
  if (!column) return tl::unexpected(column.error());
  const batch::ColumnDef& time = input->schema.columns[static_cast<size_t>(*column)];
  if (time.type != Type::kTimestamptz) {
    return fail(
        "42804",
        fmt::format("column \"{}\" is of type {}, not timestamp with time zone", time.name, batch::name(time.type)),
        args[1]->span);
  }
  const bool over_view = input->source.kind == Relation::Kind::kView || !input->below.empty();
  if (over_view && *column != time_of_rows) {
    return fail("0A000", "windows over a view are windows of its window_start", args[1]->span,
                below_start < 0 ? "let the view below output window_start" : "");
  }
  Window window;
  window.kind = function->kind;
  window.time_column = *column;
  const UnboundExpr& size_text = *args[hop ? 3 : 2];
  const std::string_view size_name = session ? "the gap" : "the window size";
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
  if (!session && args.back() != nullptr) {
    const auto offset = constant_interval(*args.back(), "the offset");
    if (!offset) return tl::unexpected(offset.error());
    window.offset_us = *offset - base::floor_to(*offset, window.slide_us);
  }
  input->window = window;
  if (input->alias.empty()) input->alias = from.name;
  return input;
}

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
                                                                {"timestamp with time zone", "timestamptz"}};
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

void note_columns(const expr::Expr* e, std::vector<bool>& used) {
  if (e == nullptr) return;
  expr::walk(*e, [&](const expr::Expr& part) {
    if (part.kind == expr::ExprKind::kColumn && static_cast<size_t>(part.column) < used.size())
      used[static_cast<size_t>(part.column)] = true;
  });
}

Result<Bound> SelectBinder::bind(const UnboundSelect& select) {
  for (const UnboundCte& cte : select.ctes) ctes_[cte.name] = &cte;
  if (select.set_op != UnboundSelect::SetOp::kNone) {
    auto united = bind_union(select);
    if (!united || (select.order_by.empty() && !select.limit && !select.offset)) return united;
    return bind_over(select, input_of(std::move(*united)));
  }
  if (select.from.empty()) {
    return fail("0A000", "a query reads a stream: FROM is missing", select.span,
                "for example FROM flows, or FROM tumble(flows, time, interval '300 s')");
  }
  if (select.from.size() > 1)
    return fail("0A000", "joins are not supported yet", select.from[1]->span, "read one relation in FROM");
  if (!select.distinct_on.empty()) return fail("0A000", "DISTINCT ON is not supported", select.distinct_on[0]->span);
  if (select.with_ties) return fail("0A000", "FETCH ... WITH TIES is not supported", select.span, "use LIMIT");
  auto input = bind_from(*select.from[0]);
  if (!input) return tl::unexpected(input.error());
  return bind_over(select, std::move(*input));
}

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
Result<Bound> SelectBinder::bind_union(const UnboundSelect& select) {
  if (select.set_op != UnboundSelect::SetOp::kUnion || !select.set_all) {
    const bool is_union = select.set_op == UnboundSelect::SetOp::kUnion;
    return fail("0A000", is_union ? "UNION without ALL is not supported" : "INTERSECT and EXCEPT are not supported",
                select.span,
                is_union ? "UNION ALL keeps equal rows; SELECT DISTINCT above it keeps one of each window" : "");
  }
  auto left = SelectBinder(catalog_, ctes_).bind(*select.left);
  if (!left) return left;
  auto right = SelectBinder(catalog_, ctes_).bind(*select.right);
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

Result<Bound> SelectBinder::bind_over(const UnboundSelect& select, Input input) {
  ExprBinder binder(input);
  const size_t input_columns = input.schema.columns.size();
  const bool windowed = input.has_windows();

  // Outputs by name, stars spelled out.
  std::vector<Output> outputs;
  if (select.set_op != UnboundSelect::SetOp::kNone) {  // ORDER BY and LIMIT of a UNION: its rows as they are.
    for (size_t c = 0; c < input_columns; ++c)
      outputs.push_back({input.schema.columns[c].name, nullptr, static_cast<int>(c), select.span});
  }
  for (const UnboundTarget& target : select.targets) {
    const UnboundExpr& e = *target.expr;
    if (e.kind == UnboundExpr::Kind::kStar) {
      if (!e.names.empty() && e.names[0] != input.alias)
        return fail("42P01", fmt::format("\"{}\" is not in FROM", e.names[0]), e.span);
      const bool own_window = windowed && input.window.kind != Window::Kind::kInherited;
      for (size_t c = 0; c < input_columns; ++c) {
        const std::string& name = input.schema.columns[c].name;
        if (own_window && (name == "window_start" || name == "window_end")) continue;
        outputs.push_back({name, nullptr, static_cast<int>(c), e.span});
      }
      if (own_window) {
        outputs.push_back({"window_start", nullptr, static_cast<int>(input_columns), e.span});
        outputs.push_back({"window_end", nullptr, static_cast<int>(input_columns) + 1, e.span});
      }
      continue;
    }
    outputs.push_back({target.alias.empty() ? output_name(e) : target.alias, &e, -1, e.span});
  }

  bool aggregates = !select.group_by.empty() || select.having != nullptr;
  for (const Output& output : outputs) aggregates |= output.text != nullptr && binder.has_aggregate(*output.text);
  for (const UnboundOrder& order : select.order_by) aggregates |= binder.has_aggregate(*order.expr);

  Stage stage;
  stage.input = input.schema;
  stage.window = input.window;
  stage.aggregates_rows = aggregates;
  stage.distinct = select.distinct;

  if (select.where) {
    auto where =
        aggregates ? binder.bind_row(*select.where, "WHERE") : binder.bind_windowed_row(*select.where, "WHERE");
    if (!where) return tl::unexpected(where.error());
    if ((*where)->type == Type::kUnknown) where = expr::make_cast(std::move(*where), Type::kBool, select.where->span);
    if (!where) return tl::unexpected(where.error());
    if ((*where)->type != Type::kBool) {
      return fail("42804",
                  fmt::format("argument of WHERE must be type boolean, not type {}", batch::name((*where)->type)),
                  select.where->span);
    }
    stage.where = std::move(*where);
  }

  if (aggregates) {
    if (!windowed) {
      return fail("42803", "a stream has no end: aggregates need a window",
                  select.group_by.empty() ? select.span : select.group_by[0]->span, std::string(kWindowHint));
    }
    bool by_window = false;
    for (const auto& item : select.group_by) {
      const UnboundExpr* e = item.get();
      bool is_end = false;
      if (e->kind == UnboundExpr::Kind::kInteger) {
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
    if (binder.keys.size() > 60) return fail("54011", "more than 60 grouping keys", select.group_by[0]->span);
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
    if (!having) return tl::unexpected(having.error());
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
    stage.output.columns.push_back(
        {outputs[o].name, e.type,
         column ? stage.grouped.columns[static_cast<size_t>(e.column)].value_bits : uint8_t{0}});
    if (!column) continue;
    const bool is_start =
        (windowed && e.column == start_column) || (!aggregates && e.column == input.window_start_column);
    const bool is_end =
        (windowed && e.column == start_column + 1) || (!aggregates && e.column == input.window_end_column);
    if (is_start && stage.window_start_output < 0) stage.window_start_output = static_cast<int>(o);
    if (is_end && stage.window_end_output < 0) stage.window_end_output = static_cast<int>(o);
    if (row_by_row && !windowed && e.column == input.time_column && bound.time_column < 0)
      bound.time_column = static_cast<int>(o);
  }
  stage.input_used.assign(input_columns, false);
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

  bound.has_windows = windowed && !row_by_row;
  if (windowed && (bound.has_windows || looks_ahead || session)) bound.time_column = stage.window_start_output;
  bound.source = std::move(input.source);
  bound.inputs = std::move(input.inputs);
  bound.stages = std::move(input.below);
  if (binder.over_calls.empty()) {
    bound.stages.push_back(std::move(stage));
    return bound;
  }
  for (Stage& made : make_analytic_stages(binder, std::move(stage), looks_ahead))
    bound.stages.push_back(std::move(made));
  return bound;
}

// --- options ----------------------------------------------------------------------------------------------------

Result<QueryOptions> bind_options(const std::vector<UnboundOption>& options) {
  static constexpr std::string_view kKnown[] = {"allowed_lateness", "late", "on_error", "delay"};
  static constexpr std::string_view kLater[] = {"state_limit", "sites",         "placement", "absent_sites",
                                                "emit",        "retention",     "timezone",  "alert.for",
                                                "alert.clear", "alert.severity"};
  QueryOptions bound;
  for (const UnboundOption& option : options) {
    if (option.name == "allowed_lateness" || option.name == "delay") {
      const auto micros = interval_option(option.value, option.name, option.span);
      if (!micros) return tl::unexpected(micros.error());
      if (option.name == "delay") bound.delay_us = *micros;
      else bound.allowed_lateness_us = *micros;
    } else if (option.name == "late") {
      if (option.value == "side") bound.late = QueryOptions::Late::kSide;
      else if (option.value == "drop") bound.late = QueryOptions::Late::kDrop;
      else
        return fail("22023", fmt::format("invalid value \"{}\" for late", option.value), option.span,
                    option.value == "revise" ? "allowed_lateness = '60 s' revises windows for that long"
                                             : "it is 'side' or 'drop'");
    } else if (option.name == "on_error") {
      if (option.value == "null") bound.on_error = QueryOptions::OnError::kNull;
      else if (option.value == "drop") bound.on_error = QueryOptions::OnError::kDrop;
      else if (option.value == "fail") bound.on_error = QueryOptions::OnError::kFail;
      else
        return fail("22023", fmt::format("invalid value \"{}\" for on_error", option.value), option.span,
                    "it is 'null', 'drop' or 'fail'");
    } else if (std::find(std::begin(kLater), std::end(kLater), option.name) != std::end(kLater) ||
               option.name.starts_with("filter.")) {
      return fail("0A000", fmt::format("option \"{}\" is not supported yet", option.name), option.span);
    } else {
      std::vector<std::string_view> names(std::begin(kKnown), std::end(kKnown));
      const auto near = base::nearest_name(option.name, names);
      return fail("22023", fmt::format("unrecognized option \"{}\"", option.name), option.span,
                  near.empty() ? "options are allowed_lateness, delay, late and on_error"
                               : fmt::format("did you mean '{}'?", near));
    }
  }
  return bound;
}

/// Policies of a query are those of its inputs.
void give_options(Query& query) {
  for (auto& input : query.inputs) {
    input->options = query.options;
    input->text = query.text;
    give_options(*input);
  }
}

}  // namespace

Result<Query> bind(const UnboundStatement& statement, std::string_view text, const Catalog& catalog) {
  const bool is_view = statement.kind == UnboundStatement::Kind::kCreateMaterializedView;
  if (statement.kind == UnboundStatement::Kind::kExplain)
    return plan::bind(std::as_const(*statement.inner), text, catalog);
  if (statement.kind == UnboundStatement::Kind::kCreateView) {
    return fail("0A000", "plain views are not supported yet", statement.span, "CREATE MATERIALIZED VIEW is");
  }
  if (!is_view && statement.kind != UnboundStatement::Kind::kSelect) {
    return fail("0A000", "this statement is no query", statement.span);
  }
  if (is_view && catalog.find(statement.name) != nullptr) {
    return fail("42P07", fmt::format("relation \"{}\" already exists", statement.name), statement.name_span);
  }
  auto options = bind_options(statement.options);
  if (!options) return tl::unexpected(options.error());
  auto bound = SelectBinder(catalog, {}).bind(*statement.select);
  if (!bound) return tl::unexpected(bound.error());
  const Stage& first = bound->stages.front();
  if (first.window.kind == Window::Kind::kSession && options->allowed_lateness_us != 0) {
    return fail("0A000", "allowed_lateness of session windows is not supported", statement.span,
                "a longer delay keeps sessions open to rows that come out of order");
  }
  Query query;
  query.name = is_view ? statement.name : "";
  query.is_view = is_view;
  query.text = std::string(text);
  query.source = std::move(bound->source);
  query.inputs = std::move(bound->inputs);
  query.stages = std::move(bound->stages);
  query.options = *options;
  query.has_windows = bound->has_windows;
  query.time_output = bound->time_column;
  give_options(query);
  batch::Schema& output = query.stages.back().output;
  if (statement.column_aliases.size() > output.columns.size()) {
    return fail("42601", "CREATE MATERIALIZED VIEW names more columns than its query has", statement.name_span);
  }
  for (size_t i = 0; i < statement.column_aliases.size(); ++i) output.columns[i].name = statement.column_aliases[i];
  if (is_view) {
    for (size_t i = 0; i < output.columns.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (output.columns[i].name != output.columns[j].name) continue;
        return fail(
            "42701", fmt::format("column \"{}\" specified more than once", output.columns[i].name),
            statement.select->targets.size() > i ? statement.select->targets[i].expr->span : statement.name_span,
            "give one of them another name with AS");
      }
    }
  }
  return query;
}

Result<Relation> bind_foreign_table(const UnboundStatement& statement) {
  Relation table;
  table.kind = Relation::Kind::kStream;
  table.name = statement.name;
  for (const UnboundColumnDef& column : statement.columns) {
    const auto type = expr::parse_type(column.type_name, column.span);
    if (!type) return tl::unexpected(type.error());
    if (table.schema.find(column.name) >= 0)
      return fail("42701", fmt::format("column \"{}\" specified more than once", column.name), column.span);
    table.schema.columns.push_back({column.name, *type, 0});
  }
  for (const UnboundOption& option : statement.options) {
    if (option.name == "event_time") {
      table.time_column = table.schema.find(option.value);
      if (table.time_column < 0)
        return fail("42703", fmt::format("column \"{}\" does not exist", option.value), option.span);
      if (table.schema.columns[static_cast<size_t>(table.time_column)].type != Type::kTimestamptz) {
        return fail("42804", "event_time must be a timestamptz column", option.span);
      }
    } else if (option.name == "arrival") {
      table.arrival_column = table.schema.find(option.value);
      if (table.arrival_column < 0)
        return fail("42703", fmt::format("column \"{}\" does not exist", option.value), option.span);
      if (table.schema.columns[static_cast<size_t>(table.arrival_column)].type != Type::kTimestamptz) {
        return fail("42804", "arrival must be a timestamptz column", option.span);
      }
    } else if (option.name == "watermark") {
      const auto delay = interval_option(option.value, "watermark", option.span);
      if (!delay) return tl::unexpected(delay.error());
      table.delay_us = *delay;
    } else {
      return fail("HV00D", fmt::format("invalid option \"{}\"", option.name), option.span,
                  "options are event_time, watermark and arrival");
    }
  }
  return table;
}

Relation as_relation(const Query& view) {
  Relation relation;
  relation.kind = Relation::Kind::kView;
  relation.name = view.name;
  relation.schema = view.output();
  relation.time_column = view.time_output;
  relation.has_windows = view.has_windows;
  relation.window_end_column = view.has_windows ? view.stages.back().window_end_output : -1;
  return relation;
}

}  // namespace backstream::plan
