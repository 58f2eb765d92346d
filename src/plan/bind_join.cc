// Binds joins of streams and views: by equal windows, or by bounds on both event times (docs/design/0007).
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "expr/function.h"
#include "plan/join_conditions.h"

namespace backstream::plan {

using base::fail;
using batch::Type;
using expr::Expr;
using expr::ExprKind;

void add_conjuncts(const UnboundExpr& e, std::vector<const UnboundExpr*>& to) {
  if (e.kind != UnboundExpr::Kind::kAnd) return to.push_back(&e);
  for (const auto& part : e.args) add_conjuncts(*part, to);
}

namespace {

bool is_raw(const Window& window) { return window.kind == Window::Kind::kTumble || window.kind == Window::Kind::kHop; }

/// What the expressions above can name, without what makes the rows.
void copy_names(const Input& from, Input& to) {
  to.alias = from.alias;
  to.relations = from.relations;
  to.merged = from.merged;
  to.hidden = from.hidden;
  to.using_columns = from.using_columns;
  to.schema = from.schema;
}

/// One side of a join while it is bound: its last stage passes rows on, and computes what the join asks for.
struct Side {
  Input input;
  Window window;           ///< of window joins: how rows carry their windows; else of what is above the join
  std::vector<int> times;  ///< columns that bounds may be about
  int arrival = -1;        ///< one of them: it follows our clock
  int visible = 0;         ///< outputs that have names; those after them are keys
  int time = -1;           ///< the one of `times` that the bounds are about
  Stage& last() { return input.below.back(); }
};

Result<Side> make_side(Input input, bool by_window, SourceSpan span) {
  if (input.window.kind == Window::Kind::kSession) {
    return fail("0A000", "sessions are not known before they are over: their rows cannot be joined", span,
                "join a subquery that groups them: SELECT window_start, ... FROM session(...) GROUP BY ...");
  }
  Side side;
  side.window = input.window;
  if (!by_window && is_raw(input.window)) input.window = Window{};
  Stage stage;
  stage.input = stage.grouped = input.schema;
  stage.window = input.window;
  stage.spread = std::exchange(input.spread, std::nullopt);
  stage.lookups = std::move(input.lookups);
  for (const int column : std::exchange(input.required, {})) {
    ExprPtr matched = expr::make_column(column, Type::kBool);
    if (!stage.where) {
      stage.where = std::move(matched);
      continue;
    }
    std::vector<ExprPtr> both;
    both.push_back(std::move(stage.where));
    both.push_back(std::move(matched));
    auto all = expr::make_and(std::move(both), span);
    if (!all) return tl::unexpected(all.error());
    stage.where = std::move(*all);
  }
  const bool raw = is_raw(input.window);
  if (input.has_windows()) {
    stage.grouped.columns.push_back({"window_start", Type::kTimestamptz, 0});
    stage.grouped.columns.push_back({"window_end", Type::kTimestamptz, 0});
  }
  // Names that a window function hides are replaced by its own columns.
  const auto window_columns = static_cast<int>(input.schema.columns.size());
  for (int c = 0; c < window_columns; ++c) {
    const batch::ColumnDef& column = input.schema.columns[static_cast<size_t>(c)];
    const bool is_start = raw && column.name == "window_start", is_end = raw && column.name == "window_end";
    if (is_start) input.window_start_column = c;
    if (is_end) input.window_end_column = c;
    const int from = is_start ? window_columns : is_end ? window_columns + 1 : c;
    stage.outputs.push_back(expr::make_column(from, column.type));
    stage.output.columns.push_back(column);
  }
  if (raw) {
    for (int* column : {&input.window_start_column, &input.window_end_column}) {
      if (*column >= 0) continue;
      const bool is_start = column == &input.window_start_column;
      *column = static_cast<int>(stage.outputs.size());
      stage.outputs.push_back(expr::make_column(window_columns + (is_start ? 0 : 1), Type::kTimestamptz));
      stage.output.columns.push_back({is_start ? "window_start" : "window_end", Type::kTimestamptz, 0});
    }
    side.time = input.window.time_column;
    for (NamedColumns& relation : input.relations) {
      if (!relation.has_window) continue;
      relation.window_start_column = input.window_start_column;
      relation.window_end_column = input.window_end_column;
    }
  }
  if (input.window.kind == Window::Kind::kInherited) {
    stage.window_start_output = input.window_start_column;
    stage.window_end_output = input.window_end_column;
    if (input.window_start_column >= 0) side.times.push_back(input.window_start_column);
  } else {
    if (input.time_column >= 0) side.times.push_back(input.time_column);
    const bool is_stream = input.below.empty() && input.inputs.empty() && input.source.kind == Relation::Kind::kStream;
    if (is_stream && input.source.arrival_column >= 0) {
      side.arrival = input.source.arrival_column;
      side.times.push_back(side.arrival);
    }
    side.times.insert(side.times.end(), input.more_times.begin(), input.more_times.end());
  }
  if (raw) input.window.kind = Window::Kind::kInherited;  // Its windows are columns now.
  input.schema = stage.output;
  side.visible = static_cast<int>(stage.outputs.size());
  input.below.push_back(std::move(stage));
  side.input = std::move(input);
  return side;
}

/// A column of times, plus a constant.
struct TimeTerm {
  int column = -1;
  Micros offset_us = 0;
};
std::optional<Micros> constant_micros(const Expr& e) {
  if (e.kind != ExprKind::kLiteral) return std::nullopt;
  const auto* interval = std::get_if<base::Interval>(&e.literal);
  Micros micros = 0;
  if (interval == nullptr || interval->months != 0 ||
      __builtin_mul_overflow(Micros{interval->days}, 86'400 * base::kMicrosPerSecond, &micros) ||
      __builtin_add_overflow(micros, interval->micros, &micros) || micros > kJoinBoundMax || micros < -kJoinBoundMax) {
    return std::nullopt;
  }
  return micros;
}
bool is_operator(const Expr& e, std::string_view name) {
  return e.kind == ExprKind::kCall && e.args.size() == 2 && e.function->kind == expr::ScalarFunction::Kind::kOperator &&
         e.function->name == name;
}
std::optional<TimeTerm> time_term(const Expr& e) {
  if (e.kind == ExprKind::kColumn && e.type == Type::kTimestamptz) return TimeTerm{e.column, 0};
  const bool plus = is_operator(e, "+");
  if (!plus && !is_operator(e, "-")) return std::nullopt;
  for (const size_t at : {0, 1}) {
    if (at == 1 && !plus) break;
    const auto shift = constant_micros(*e.args[1 - at]);
    auto term = shift ? time_term(*e.args[at]) : std::nullopt;
    if (!term) continue;
    term->offset_us += plus ? *shift : -*shift;
    if (term->offset_us > kJoinBoundMax || term->offset_us < -kJoinBoundMax) return std::nullopt;
    return term;
  }
  return std::nullopt;
}

/// first + value (op) second + 0, for two columns of times: `first - second op value`.
struct TimeComparison {
  int first = -1, second = -1;
  std::string_view op;
  Micros value_us = 0;
};
std::string_view mirrored(std::string_view op) {
  if (op == "<") return ">";
  if (op == "<=") return ">=";
  if (op == ">") return "<";
  return op == ">=" ? "<=" : op;
}
std::optional<TimeComparison> time_comparison(const Expr& e) {
  for (const std::string_view op : {"=", "<", "<=", ">", ">="}) {
    if (!is_operator(e, op)) continue;
    const auto a = time_term(*e.args[0]), b = time_term(*e.args[1]);
    if (a && b) return TimeComparison{a->column, b->column, op, b->offset_us - a->offset_us};
    for (const size_t at : {0, 1}) {  // b.time - a.time <= interval '3 s'
      const Expr& difference = *e.args[at];
      const auto value = constant_micros(*e.args[1 - at]);
      if (!value || !is_operator(difference, "-")) continue;
      const auto x = time_term(*difference.args[0]), y = time_term(*difference.args[1]);
      if (!x || !y) continue;
      const Micros bound = *value + y->offset_us - x->offset_us;
      return TimeComparison{x->column, y->column, at == 0 ? op : mirrored(op), bound};
    }
  }
  return std::nullopt;
}

/// Binds one join.
class JoinBinder {
 public:
  JoinBinder(const JoinText& text, Join::Kind kind) : text_(text) { join_.kind = kind; }

  Result<Input> bind(Input left, Input right, std::vector<const UnboundExpr*>* where);

 private:
  bool is_semi() const { return join_.kind == Join::Kind::kSemi || join_.kind == Join::Kind::kAnti; }
  /// Which side's window (or its end) a column is; -1: none, or it might be both.
  int window_side(const Input* inputs, const UnboundExpr& e, bool& is_end) const;
  bool is_window_equality(const Input* inputs, const UnboundExpr& e, bool& is_end) const;
  Result<void> find_windows(const Input* inputs, const std::vector<const UnboundExpr*>& conditions);
  Result<void> bind_using();
  Result<void> bind_conditions(const std::vector<const UnboundExpr*>& conditions);
  Result<void> check_windows() const;
  /// Takes what bounds the times out of conditions_.
  Result<void> find_bounds();
  Result<void> check_bounds();
  bool take_bound(const Expr& e);
  /// Sorts conditions_ into keys, filters of a side, and the rest.
  Result<void> place_conditions();
  int side_column(int side, ExprPtr over_side);
  Result<Input> finish();
  Result<void> set_times(Input& input);
  std::string time_name(int side) const;

  bool is_left(int column) const { return column < sides_[0].visible; }
  /// 1: left, 2: right, 3: both.
  unsigned sides_of(const Expr& e) const {
    unsigned mask = 0;
    expr::walk(e, [&](const Expr& part) {
      if (part.kind == ExprKind::kColumn) mask |= is_left(part.column) ? 1u : 2u;
    });
    return mask;
  }
  int own(int column) const { return is_left(column) ? column : column - sides_[0].visible; }

  const JoinText& text_;
  Join join_;
  Side sides_[2];
  Input names_;  ///< the visible columns of both sides
  bool by_start_ = false, by_end_ = false;
  std::vector<ExprPtr> conditions_;  ///< over names_
  struct Merged {
    int left, right;  ///< columns of names_
  };
  std::vector<Merged> merged_;
  bool least_set_ = false, greatest_set_ = false;
};

int JoinBinder::window_side(const Input* inputs, const UnboundExpr& e, bool& is_end) const {
  if (e.kind != UnboundExpr::Kind::kColumn) return -1;
  int found = -1;
  for (const int side : {0, 1}) {
    if (e.names.size() == 2 && !inputs[side].find_relation(e.names[0])) continue;
    bool end = false;
    if (!ExprBinder(inputs[side]).is_window_column(e, end)) {
      // A column of that name in the other relation would make it ambiguous; that is told when it is bound.
      continue;
    }
    if (found >= 0 && !is_semi()) return -1;
    found = side;  // Of EXISTS: the inner one.
    is_end = end;
  }
  return found;
}

bool JoinBinder::is_window_equality(const Input* inputs, const UnboundExpr& e, bool& is_end) const {
  if (e.kind != UnboundExpr::Kind::kOperator || e.op != "=" || e.args.size() != 2) return false;
  bool other_is_end = false;
  const int a = window_side(inputs, *e.args[0], is_end), b = window_side(inputs, *e.args[1], other_is_end);
  return a >= 0 && b >= 0 && a != b && is_end == other_is_end;
}

Result<void> JoinBinder::find_windows(const Input* inputs, const std::vector<const UnboundExpr*>& conditions) {
  for (const UnboundExpr* e : conditions) {
    bool is_end = false;
    if (is_window_equality(inputs, *e, is_end)) (is_end ? by_end_ : by_start_) = true;
  }
  for (const std::string& name : text_.using_columns) {
    UnboundExpr e{};
    e.kind = UnboundExpr::Kind::kColumn;
    e.names = {name};
    bool ends[2] = {};
    bool both = true;
    for (const int side : {0, 1}) both = both && ExprBinder(inputs[side]).is_window_column(e, ends[side]);
    if (both && ends[0] == ends[1]) (ends[0] ? by_end_ : by_start_) = true;
  }
  join_.by_window = by_start_ || by_end_;
  return {};
}

Result<void> JoinBinder::bind_using() {
  for (const std::string& name : text_.using_columns) {
    UnboundExpr e{};
    e.kind = UnboundExpr::Kind::kColumn;
    e.names = {name};
    e.span = text_.span;
    int columns[2];
    bool is_window = join_.by_window;
    for (const int side : {0, 1}) {
      const ExprBinder binder(sides_[side].input);
      const auto found = binder.find_column(e);
      if (!found) return tl::unexpected(found.error());
      columns[side] = *found;
      bool is_end = false;
      is_window = is_window && binder.is_window_column(e, is_end);
    }
    if (columns[0] < 0 || columns[1] < 0) continue;  // A window that is no column: nothing to merge.
    const Merged merged{columns[0], columns[1] + sides_[0].visible};
    merged_.push_back(merged);
    if (is_window) continue;
    std::vector<ExprPtr> args;
    for (const int column : {merged.left, merged.right}) {
      args.push_back(expr::make_column(column, names_.schema.columns[static_cast<size_t>(column)].type, text_.span));
    }
    auto equal = expr::make_operator("=", std::move(args), text_.span);
    if (!equal) return tl::unexpected(equal.error());
    conditions_.push_back(std::move(*equal));
  }
  return {};
}

Result<void> JoinBinder::bind_conditions(const std::vector<const UnboundExpr*>& conditions) {
  ExprBinder binder(names_);
  for (const UnboundExpr* e : conditions) {
    auto bound = binder.bind_row(*e, "JOIN conditions");
    if (bound && (*bound)->type == Type::kUnknown) bound = expr::make_cast(std::move(*bound), Type::kBool, e->span);
    if (!bound) return tl::unexpected(bound.error());
    if ((*bound)->type != Type::kBool) {
      return fail("42804",
                  fmt::format("argument of JOIN/ON must be type boolean, not type {}", batch::name((*bound)->type)),
                  e->span);
    }
    add_conjuncts(std::move(*bound), conditions_);
  }
  return {};
}

Result<void> JoinBinder::check_windows() const {
  const Micros left = sides_[0].window.size_us, right = sides_[1].window.size_us;
  if (left != 0 && left == right) return {};
  if (left != 0 && right != 0) {
    return fail("0A000",
                fmt::format("windows of {} and of {} are never equal", base::format_duration(left),
                            base::format_duration(right)),
                text_.span, "bring the shorter ones to the length of the others: tumble(view, window_start, size)");
  }
  if (by_start_ && by_end_) return {};
  return fail("0A000", "these windows have no common length", text_.span,
              "join them by both a.window_start = b.window_start and a.window_end = b.window_end");
}

bool JoinBinder::take_bound(const Expr& e) {
  const auto comparison = time_comparison(e);
  if (!comparison || is_left(comparison->first) == is_left(comparison->second)) return false;
  const bool left_first = is_left(comparison->first);
  const int columns[2] = {own(left_first ? comparison->first : comparison->second),
                          own(left_first ? comparison->second : comparison->first)};
  for (const int side : {0, 1}) {
    const Side& s = sides_[side];
    if (std::find(s.times.begin(), s.times.end(), columns[side]) == s.times.end()) return false;
    if (s.time >= 0 && s.time != columns[side]) return false;
  }
  for (const int side : {0, 1}) sides_[side].time = columns[side];
  // right - left op value
  const std::string_view op = left_first ? mirrored(comparison->op) : comparison->op;
  const Micros value = left_first ? -comparison->value_us : comparison->value_us;
  if (op != "<" && op != "<=") {
    const Micros least = op == ">" ? value + 1 : value;
    join_.least_us = least_set_ ? std::max(join_.least_us, least) : least;
    least_set_ = true;
  }
  if (op != ">" && op != ">=") {
    const Micros greatest = op == "<" ? value - 1 : value;
    join_.greatest_us = greatest_set_ ? std::min(join_.greatest_us, greatest) : greatest;
    greatest_set_ = true;
  }
  return true;
}

Result<void> JoinBinder::find_bounds() {
  std::erase_if(conditions_, [&](const ExprPtr& e) { return take_bound(*e); });
  return check_bounds();
}

std::string JoinBinder::time_name(int side) const {
  const Side& s = sides_[side];
  const int column = s.time >= 0 ? s.time : s.times.empty() ? -1 : s.times[0];
  std::string relation = s.input.alias;
  for (const NamedColumns& named : s.input.relations) {
    if (column >= named.first && column < named.first + named.count) relation = named.alias;
  }
  const std::string name = column < 0 ? std::string("time") : s.input.schema.columns[static_cast<size_t>(column)].name;
  return relation.empty() ? name : relation + "." + name;
}

Result<void> JoinBinder::check_bounds() {
  const std::string left = time_name(0), right = time_name(1);
  const std::string example = fmt::format("{} BETWEEN {} AND {} + interval '1 min'", right, left, left);
  for (const Side& side : sides_) {
    if (!side.times.empty()) continue;
    return fail("0A000",
                fmt::format("the rows of \"{}\" have no event time: a join would have to keep them for ever",
                            side.input.alias.empty() ? "a subquery" : side.input.alias),
                text_.span, "let the query below output its time, or its window_start");
  }
  if (!least_set_ && !greatest_set_) {
    const bool windows = sides_[0].window.kind != Window::Kind::kNone && sides_[1].window.kind != Window::Kind::kNone;
    const auto window_of = [&](int side) {
      const Input& input = sides_[side].input;
      return fmt::format("{}.window_start", input.relations.empty() ? input.alias : input.relations[0].alias);
    };
    return fail("0A000", "a join of two streams without bounds would have to keep all rows for ever", text_.span,
                windows ? fmt::format("add equal windows, {} = {}, or bounds on both times: {}", window_of(0),
                                      window_of(1), example)
                        : fmt::format("add bounds on both times: {}; or join views with equal windows", example));
  }
  if (!least_set_ || !greatest_set_) {
    return fail("0A000",
                fmt::format("{} has no {} bound against {}: a join would have to keep rows for ever", right,
                            least_set_ ? "upper" : "lower", left),
                text_.span, "bound it on both sides: " + example);
  }
  if (join_.least_us > join_.greatest_us) {
    return fail("22023", fmt::format("no time of {} is within these bounds of {}", right, left), text_.span,
                fmt::format("the lower bound is {} above the upper one",
                            base::format_duration(join_.least_us - join_.greatest_us)));
  }
  return {};
}

int JoinBinder::side_column(int side, ExprPtr e) {
  if (e->kind == ExprKind::kColumn) return e->column;
  Stage& last = sides_[side].last();
  const std::string label = expr::to_string(*e, sides_[side].input.schema);
  const Type type = e->type;
  put_below(e, last);
  for (size_t c = static_cast<size_t>(sides_[side].visible); c < last.outputs.size(); ++c) {
    if (expr::equal(*last.outputs[c], *e)) return static_cast<int>(c);
  }
  last.outputs.push_back(std::move(e));
  last.output.columns.push_back({label, type, 0});
  return static_cast<int>(last.outputs.size() - 1);
}

Result<void> JoinBinder::place_conditions() {
  const bool filters_left = !join_.keeps_left(), filters_right = !join_.keeps_right();
  const auto to_own = [&](Expr& e) { renumber(e, [&](int column) { return own(column); }); };
  std::vector<ExprPtr> rest;
  for (ExprPtr& e : conditions_) {
    if (e->kind == ExprKind::kLiteral && std::holds_alternative<bool>(e->literal) && std::get<bool>(e->literal))
      continue;
    const unsigned mask = sides_of(*e);
    if ((mask == 1 && filters_left) || (mask == 2 && filters_right)) {
      to_own(*e);
      if (auto added = add_filter(sides_[mask - 1].last(), std::move(e)); !added) return added;
      continue;
    }
    if (is_operator(*e, "=") && e->args[0]->type == e->args[1]->type) {
      const unsigned a = sides_of(*e->args[0]), b = sides_of(*e->args[1]);
      if ((a == 1 && b == 2) || (a == 2 && b == 1)) {
        Join::Key key;
        for (ExprPtr& arg : e->args) {
          const int side = sides_of(*arg) == 1 ? 0 : 1;
          to_own(*arg);
          (side == 0 ? key.left : key.right) = side_column(side, std::move(arg));
        }
        const bool known = std::any_of(join_.keys.begin(), join_.keys.end(), [&](const Join::Key& other) {
          return other.left == key.left && other.right == key.right;
        });
        if (!known) join_.keys.push_back(key);
        continue;
      }
    }
    rest.push_back(std::move(e));
  }
  auto all = all_of(std::move(rest));
  if (!all) return tl::unexpected(all.error());
  join_.condition = std::move(*all);
  return {};
}

/// What the joined rows carry: windows, or an event time.
Result<void> JoinBinder::set_times(Input& input) {
  const bool nullable[2] = {join_.keeps_right(), join_.keeps_left() && !is_semi()};  // A side's columns may be null.
  const int offset = sides_[0].visible;
  const auto joined = [&](int side, int column) { return column < 0 || side == 0 ? column : column + offset; };
  const auto relations_of = [&](int side, auto&& body) {
    for (NamedColumns& relation : input.relations) {
      if ((relation.first < offset) == (side == 0)) body(relation);
    }
  };
  for (const int side : {0, 1}) {
    if (!nullable[side]) continue;
    relations_of(side, [](NamedColumns& relation) {
      relation.has_window = false;
      relation.window_start_column = relation.window_end_column = -1;
    });
  }
  const int kept = !nullable[0] ? 0 : !nullable[1] ? 1 : -1;  // The side whose columns are never null.
  input.window = Window{};
  input.time_column = input.window_start_column = input.window_end_column = -1;
  input.more_times.clear();
  input.outer_times.clear();
  if (join_.by_window) {
    input.window.kind = Window::Kind::kInherited;
    const Micros sizes[2] = {sides_[0].window.size_us, sides_[1].window.size_us};
    input.window.size_us = sizes[0] == sizes[1] ? sizes[0] : 0;
    if (kept >= 0) {
      input.window_start_column = joined(kept, sides_[kept].input.window_start_column);
      input.window_end_column = joined(kept, sides_[kept].input.window_end_column);
      input.time_column = input.window_start_column;
    }
    return {};
  }
  for (const int side : {0, 1}) {
    if (is_semi() && side == 1) continue;
    const int time = joined(side, sides_[side].time);
    if (nullable[side]) input.outer_times.push_back(time);
    else if (input.time_column < 0) input.time_column = time;
    else input.more_times.push_back(time);
  }
  // A window function on one side is about the rows that the join gives.
  int windowed = -1;
  for (const int side : {0, 1}) {
    if (!is_raw(sides_[side].window)) {
      relations_of(side, [](NamedColumns& relation) { relation.has_window = false; });
      continue;
    }
    if (is_semi() && side == 1) continue;
    if (windowed >= 0 || nullable[side] || sides_[side].window.time_column != sides_[side].time) {
      return fail("0A000",
                  windowed >= 0 ? "both sides of the join have windows of their own, which are not joined"
                                : "the windows of this side are not those of the joined rows",
                  text_.span,
                  windowed >= 0 ? "join by equal window_start, or give the joined rows one window: FROM tumble((SELECT "
                                  "... FROM a JOIN b ON ...), time, interval '1 min')"
                                : "bound the join by the time that the windows are about, or put the join in a "
                                  "subquery: FROM tumble((SELECT ... FROM a JOIN b ON ...), time, interval '1 min')");
    }
    windowed = side;
    relations_of(side, [](NamedColumns& relation) { relation.has_window = true; });
    input.window = sides_[side].window;
    input.window.time_column = joined(side, input.window.time_column);
  }
  return {};
}

Result<Input> JoinBinder::finish() {
  Stage stage;
  const auto left_columns = static_cast<int>(sides_[0].last().outputs.size());
  const int visible_left = sides_[0].visible;
  const auto to_row = [&](int column) { return column < visible_left ? column : column - visible_left + left_columns; };
  if (join_.condition) renumber(*join_.condition, to_row);
  for (Side& side : sides_) {
    const auto& columns = side.last().output.columns;
    stage.input.columns.insert(stage.input.columns.end(), columns.begin(), columns.end());
  }
  stage.grouped = stage.input;
  Input input;
  copy_names(is_semi() ? sides_[0].input : names_, input);
  for (size_t c = 0; c < input.schema.columns.size(); ++c) {
    stage.outputs.push_back(expr::make_column(to_row(static_cast<int>(c)), input.schema.columns[c].type));
  }
  if (auto set = set_times(input); !set) return tl::unexpected(set.error());
  // USING: one column stands for two. Of a full join neither is always there.
  std::vector<int> stands;
  for (const Merged& merged : merged_) {
    int column = join_.kind == Join::Kind::kRight ? merged.right : merged.left;
    if (join_.kind == Join::Kind::kFull) {
      std::vector<ExprPtr> args;
      for (const int from : {merged.left, merged.right}) {
        args.push_back(expr::make_column(to_row(from), input.schema.columns[static_cast<size_t>(from)].type));
      }
      auto either = expr::make_coalesce(std::move(args), text_.span);
      if (!either) return tl::unexpected(either.error());
      const auto& columns = input.schema.columns;
      const batch::ColumnDef& left = columns[static_cast<size_t>(merged.left)];
      column = static_cast<int>(columns.size());
      input.schema.columns.push_back({left.name, (*either)->type, 0});
      stage.outputs.push_back(std::move(*either));
      input.merged.push_back(false);
      const Side& side = sides_[0];
      if (join_.by_window && merged.left == side.input.window_start_column)
        input.window_start_column = input.time_column = column;
      if (join_.by_window && merged.left == side.input.window_end_column) input.window_end_column = column;
      if (!join_.by_window && merged.left == side.time && merged.right == visible_left + sides_[1].time)
        input.time_column = column;
    }
    for (const int from : {merged.left, merged.right}) {
      if (from != column) input.merged[static_cast<size_t>(from)] = true;
    }
    stands.push_back(column);
  }
  // Columns of an earlier USING that are merged again give way.
  for (const int column : input.using_columns) {
    if (!input.merged[static_cast<size_t>(column)]) stands.push_back(column);
  }
  std::vector<int> unique;
  for (const int column : stands) {
    if (std::find(unique.begin(), unique.end(), column) == unique.end()) unique.push_back(column);
  }
  input.using_columns = std::move(unique);

  for (const int s : {0, 1}) {
    Side& side = sides_[s];
    Join::Side& plan = s == 0 ? join_.left : join_.right;
    plan.time_column = side.time;
    if (join_.by_window) plan.window = side.window;
    if (join_.by_window && is_raw(side.window)) {
      plan.window_start_column = side.input.window_start_column;
      plan.window_end_column = side.input.window_end_column;
    } else if (side.arrival >= 0 && side.time == side.arrival) {
      side.last().window.time_column = side.arrival;  // The watermark is our clock's.
    }
    Stage& last = side.last();
    last.input_used.assign(last.input.columns.size(), true);
    auto query = std::make_unique<Query>();
    query->source = std::move(side.input.source);
    query->inputs = std::move(side.input.inputs);
    query->stages = std::move(side.input.below);
    query->has_windows = side.window.kind == Window::Kind::kInherited;
    query->time_output = side.time;
    input.inputs.push_back(std::move(query));
  }
  if (join_.by_window) stage.window.kind = Window::Kind::kInherited;
  stage.window_start_output = input.window_start_column;
  stage.window_end_output = input.window_end_column;
  stage.output = input.schema;
  stage.input_used.assign(stage.input.columns.size(), true);
  stage.join = std::move(join_);
  input.below.push_back(std::move(stage));
  return input;
}

/// True when all columns of an expression are known here, and of both sides.
bool joins_both(const UnboundExpr& e, const Input& names, int left_columns) {
  const ExprBinder binder(names);
  unsigned mask = 0;
  bool known = true;
  const auto visit = [&](const auto& self, const UnboundExpr& part) -> void {
    if (part.kind == UnboundExpr::Kind::kSubquery || part.over || part.filter) known = false;
    if (part.kind == UnboundExpr::Kind::kColumn) {
      const auto column = binder.find_column(part);
      if (!column || *column < 0) known = false;
      else mask |= *column < left_columns ? 1u : 2u;
    }
    for (const auto& arg : part.args) {
      if (arg) self(self, *arg);
    }
  };
  visit(visit, e);
  return known && mask == 3 && !binder.has_aggregate(e);
}

Result<Input> JoinBinder::bind(Input left, Input right, std::vector<const UnboundExpr*>* where) {
  std::vector<const UnboundExpr*> conditions = text_.conditions;
  Input inputs[2];
  inputs[0] = std::move(left);
  inputs[1] = std::move(right);
  // WHERE above an inner join is as good as ON: equal windows may be there, too.
  std::vector<const UnboundExpr*> candidates = conditions;
  if (where != nullptr) candidates.insert(candidates.end(), where->begin(), where->end());
  if (auto found = find_windows(inputs, candidates); !found) return tl::unexpected(found.error());
  if (join_.by_window) {
    const auto is_equality = [&](const UnboundExpr* e) {
      bool is_end = false;
      return is_window_equality(inputs, *e, is_end);
    };
    std::erase_if(conditions, is_equality);
    if (where != nullptr) std::erase_if(*where, is_equality);
  }
  for (const int s : {0, 1}) {
    auto side = make_side(std::move(inputs[s]), join_.by_window, text_.span);
    if (!side) return tl::unexpected(side.error());
    sides_[s] = std::move(*side);
  }
  const Input& first = sides_[0].input;
  copy_names(first, names_);
  names_.window = first.window;
  names_.window_start_column = first.window_start_column;
  names_.window_end_column = first.window_end_column;
  if (auto named = append_columns(names_, sides_[1].input, text_.span); !named) return tl::unexpected(named.error());
  names_.window = Window{};  // In conditions, window columns are columns.
  if (is_semi()) {           // A name in the subquery is first of all its own.
    const auto& columns = names_.schema.columns;
    for (int c = 0; c < sides_[0].visible; ++c) {
      if (sides_[1].input.schema.find(columns[static_cast<size_t>(c)].name) >= 0)
        names_.merged[static_cast<size_t>(c)] = true;
    }
  }
  if (where != nullptr) {
    std::erase_if(*where, [&](const UnboundExpr* e) {
      if (!joins_both(*e, names_, sides_[0].visible)) return false;
      conditions.push_back(e);
      return true;
    });
  }
  if (auto bound = bind_using(); !bound) return tl::unexpected(bound.error());
  if (auto bound = bind_conditions(conditions); !bound) return tl::unexpected(bound.error());
  auto bounded = join_.by_window ? check_windows() : find_bounds();
  if (!bounded) return tl::unexpected(bounded.error());
  if (auto placed = place_conditions(); !placed) return tl::unexpected(placed.error());
  return finish();
}

}  // namespace

Result<Input> SelectBinder::join_streams(Input left, Input right, const JoinText& text) {
  return JoinBinder(text, text.kind)
      .bind(std::move(left), std::move(right), text.kind == Join::Kind::kInner ? &where_ : nullptr);
}

Result<Input> SelectBinder::bind_join(const UnboundFrom& from) {
  JoinText text;
  text.span = from.on ? from.on->span : from.span;
  using Written = UnboundFrom::Join;
  text.kind = from.join == Written::kLeft    ? Join::Kind::kLeft
              : from.join == Written::kRight ? Join::Kind::kRight
              : from.join == Written::kFull  ? Join::Kind::kFull
                                             : Join::Kind::kInner;
  if (from.on) add_conjuncts(*from.on, text.conditions);
  text.using_columns = from.using_columns;
  // Only inner joins of inner joins may take conditions from WHERE.
  std::vector<const UnboundExpr*> where;
  const bool inner = text.kind == Join::Kind::kInner;
  if (!inner) where.swap(where_);
  auto left = bind_from(*from.left);
  if (!left) return left;
  auto right = bind_from(*from.right);
  if (!right) return right;
  auto joined = join_streams(std::move(*left), std::move(*right), text);
  if (!inner) where.swap(where_);
  return joined;
}

Result<Input> SelectBinder::bind_exists(Input input) {
  std::vector<const UnboundExpr*> rest;
  for (const UnboundExpr* e : std::exchange(where_, {})) {
    const bool negated = e->kind == UnboundExpr::Kind::kNot;
    const UnboundExpr& exists = negated ? *e->args[0] : *e;
    if (exists.kind != UnboundExpr::Kind::kSubquery || exists.op != "exists") {
      rest.push_back(e);
      continue;
    }
    const UnboundSelect& select = *exists.subquery;
    if (select.from.size() == 1 && is_lookup(*select.from[0])) {
      rest.push_back(e);
      continue;
    }
    const Input nothing{};
    const bool aggregates = std::any_of(select.targets.begin(), select.targets.end(), [&](const UnboundTarget& target) {
      return ExprBinder(nothing).has_aggregate(*target.expr);  // Gives a row whatever there is.
    });
    const bool plain = !aggregates && select.set_op == UnboundSelect::SetOp::kNone && select.ctes.empty() &&
                       select.from.size() == 1 && select.group_by.empty() && !select.having && !select.limit &&
                       !select.offset;
    if (!plain) {
      return fail(
          "0A000", "EXISTS takes a plain SELECT from one relation", exists.span,
          "EXISTS (SELECT 1 FROM b WHERE b.key = a.key AND b.time BETWEEN a.time AND a.time + interval '1 min')");
    }
    auto right = SelectBinder(catalog_, ctes_, expansions_).bind_from(*select.from[0]);
    if (!right) return right;
    JoinText text;
    text.kind = negated ? Join::Kind::kAnti : Join::Kind::kSemi;
    text.span = exists.span;
    if (select.where) add_conjuncts(*select.where, text.conditions);
    auto joined = join_streams(std::move(input), std::move(*right), text);
    if (!joined) return joined;
    input = std::move(*joined);
  }
  where_ = std::move(rest);
  return input;
}

bool Input::is_event_time(const Expr& e) const {
  const auto among = [&](int column, bool with_outer) {
    const auto in = [&](const std::vector<int>& list) {
      return std::find(list.begin(), list.end(), column) != list.end();
    };
    return column >= 0 && (column == time_column || in(more_times) || (with_outer && in(outer_times)));
  };
  if (e.kind == ExprKind::kColumn) return among(e.column, false);
  return e.kind == ExprKind::kCoalesce && std::all_of(e.args.begin(), e.args.end(), [&](const ExprPtr& arg) {
           return arg->kind == ExprKind::kColumn && among(arg->column, true);
         });
}

}  // namespace backstream::plan
