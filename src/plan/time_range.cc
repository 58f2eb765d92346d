#include "plan/time_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <tuple>
#include <utility>

#include "agg/aggregate.h"
#include "expr/function.h"
#include "plan/bind.h"
#include "plan/hidden_columns.h"
#include "plan/unbound.h"

namespace backstream::plan {
namespace {

constexpr std::string_view kStart = "window_start", kEnd = "window_end";
constexpr Micros kDay = 86'400 * base::kMicrosPerSecond;  ///< of timestamptz, in UTC

// --- which windows a bound query reads ------------------------------------------------------------------------------

/// Moves a time that may be one of the ends of time.
Micros moved(Micros time, Micros by) {
  if (time == base::kMinTime || time == base::kMaxTime) return time;
  Micros sum = 0;
  if (__builtin_add_overflow(time, by, &sum)) return by < 0 ? base::kMinTime : base::kMaxTime;
  return sum;
}

void narrow(TimeRange& range, const TimeRange& by) {
  range.from = std::max(range.from, by.from);
  range.until = std::min(range.until, by.until);
}

/// Of the rows that an expression reads: columns that are the start and the end of their window.
struct WindowColumns {
  std::set<int> starts, ends;
};

/// A join of windows gives either side's time where the other has none.
bool is_one_of(const expr::Expr& e, const std::set<int>& columns) {
  if (e.kind == expr::ExprKind::kColumn) return columns.contains(e.column);
  return e.kind == expr::ExprKind::kCoalesce &&
         std::all_of(e.args.begin(), e.args.end(), [&](const auto& arg) { return is_one_of(*arg, columns); });
}

/// A column, or a column and a constant interval: then what has to be taken from a time that it is compared with.
std::pair<const expr::Expr*, Micros> without_interval(const expr::Expr& e) {
  if (e.kind != expr::ExprKind::kCall || e.function == nullptr || e.args.size() != 2 || e.function->name != "+" ||
      e.args[1]->kind != expr::ExprKind::kLiteral)
    return {&e, 0};
  const auto* const interval = std::get_if<base::Interval>(&e.args[1]->literal);
  if (interval == nullptr || interval->months != 0) return {&e, 0};
  return {e.args[0].get(), interval->micros + Micros{interval->days} * kDay};
}

/// What a condition says of starts and ends of windows.
struct Said {
  TimeRange starts, ends;
};

void read_comparison(const expr::Expr& e, const WindowColumns& columns, Said& said) {
  if (e.kind != expr::ExprKind::kCall || e.function == nullptr || e.args.size() != 2 ||
      e.function->kind != expr::ScalarFunction::Kind::kOperator)
    return;
  std::string_view op = e.function->name;
  const expr::Expr *column = e.args[0].get(), *constant = e.args[1].get();
  if (column->kind == expr::ExprKind::kLiteral) {
    std::swap(column, constant);
    op = op == "<" ? ">" : op == "<=" ? ">=" : op == ">" ? "<" : op == ">=" ? "<=" : op;
  }
  Micros interval = 0;
  std::tie(column, interval) = without_interval(*column);
  const bool is_start = is_one_of(*column, columns.starts);
  if (!is_start && !is_one_of(*column, columns.ends)) return;
  if (constant->kind != expr::ExprKind::kLiteral || constant->type != batch::Type::kTimestamptz) return;
  const auto* const compared = std::get_if<int64_t>(&constant->literal);
  if (compared == nullptr) return;
  const Micros time = moved(*compared, -interval);
  TimeRange& of = is_start ? said.starts : said.ends;
  if (op == ">=" || op == "=") of.from = std::max(of.from, time);
  if (op == ">") of.from = std::max(of.from, moved(time, 1));
  if (op == "<") of.until = std::min(of.until, time);
  if (op == "<=" || op == "=") of.until = std::min(of.until, moved(time, 1));
}

void read_condition(const expr::Expr* e, const WindowColumns& columns, Said& said) {
  if (e == nullptr) return;
  if (e->kind != expr::ExprKind::kAnd) return read_comparison(*e, columns, said);
  for (const auto& arg : e->args) read_condition(arg.get(), columns, said);
}

/// Starts of windows that are at most `size` long (0: not known).
TimeRange starts_of(const Said& said, Micros size) {
  TimeRange range = said.starts;
  // Those of a calendar may be shorter.
  const Micros least = size < kDay ? std::max<Micros>(size, 1) : 1;
  range.until = std::min(range.until, moved(said.ends.until, -least));
  if (size > 0) range.from = std::max(range.from, moved(said.ends.from, -size));
  return range;
}

class Reads {
 public:
  std::vector<ViewRead> found;

  /// @param range  of the starts of the query's windows: others are not asked for
  void query(const Query& query, TimeRange range) {
    const std::vector<WindowColumns> columns = columns_of(query);
    for (size_t s = query.stages.size(); s-- > 0;) range = below(query, s, columns[s], range);
    if (query.inputs.empty()) {
      if (query.source.kind == Relation::Kind::kView)
        found.push_back({&query.source, query.stages.front().input_used, range});
      return;
    }
    const std::optional<Join>& join = query.stages.front().join;
    // Times of the two sides of a join by time are at most so far apart.
    const Micros apart = join && !join->by_window ? std::max(std::abs(join->least_us), std::abs(join->greatest_us)) : 0;
    const size_t first = found.size();
    if (query.stages.front().boxes) range = {};  // They remember all that came.
    for (const auto& input : query.inputs) this->query(*input, {moved(range.from, -apart), moved(range.until, apart)});
    if (!join || found.size() != first + 2 || !query.inputs[0]->inputs.empty() || !query.inputs[1]->inputs.empty())
      return;
    // A condition on one side is one on the windows of both, unless rows of the other are kept without a partner.
    ViewRead &left = found[first], &right = found[first + 1];
    if (!join->keeps_right() && inherits(*query.inputs[0]))
      narrow(right.range, {moved(left.range.from, -apart), moved(left.range.until, apart)});
    if (!join->keeps_left() && inherits(*query.inputs[1]))
      narrow(left.range, {moved(right.range.from, -apart), moved(right.range.until, apart)});
  }

 private:
  /// Its windows are those of the view.
  static bool inherits(const Query& query) {
    return std::all_of(query.stages.begin(), query.stages.end(), [](const Stage& stage) {
      return stage.window.kind == Window::Kind::kInherited && !stage.analytic;
    });
  }
  static Micros size_of(const Query& query, const Stage& stage) {
    if (stage.window.size_us != 0 && stage.window.kind != Window::Kind::kSession) return stage.window.size_us;
    return query.source.window ? query.source.window->size_us : query.source.window_size_us;
  }

  /// By stage: what its input's columns are.
  static std::vector<WindowColumns> columns_of(const Query& query) {
    std::vector<WindowColumns> all(query.stages.size());
    WindowColumns now;
    if (query.inputs.empty()) {
      now = {{query.source.time_column}, {query.source.window_end_column}};
    } else if (!query.stages.front().boxes) {
      int first = 0;
      for (const auto& input : query.inputs) {
        const Stage& last = input->stages.back();
        const int start = last.window_start_output >= 0 ? last.window_start_output : input->time_output;
        if (start >= 0) now.starts.insert(first + start);
        if (last.window_end_output >= 0) now.ends.insert(first + last.window_end_output);
        if (query.stages.front().join) first += static_cast<int>(last.outputs.size());
      }
    }
    now.starts.erase(-1);
    now.ends.erase(-1);
    for (size_t s = 0; s < query.stages.size(); ++s) {
      const Stage& stage = query.stages[s];
      all[s] = now;
      if (!stage.aggregates_rows && stage.window.kind == Window::Kind::kInherited) {  // As conditions name them.
        all[s].starts.insert(static_cast<int>(stage.input.columns.size()));
        all[s].ends.insert(static_cast<int>(stage.input.columns.size()) + 1);
      }
      WindowColumns next, read = stage.aggregates_rows ? WindowColumns{{0}, {1}} : now;
      if (!stage.aggregates_rows) {
        read.starts.insert(static_cast<int>(stage.input.columns.size()));
        read.ends.insert(static_cast<int>(stage.input.columns.size()) + 1);
      }
      for (size_t o = 0; o < stage.outputs.size(); ++o) {
        if (is_one_of(*stage.outputs[o], read.starts)) next.starts.insert(static_cast<int>(o));
        if (is_one_of(*stage.outputs[o], read.ends)) next.ends.insert(static_cast<int>(o));
      }
      if (stage.join || stage.union_all || stage.analytic) next.starts.insert(stage.window_start_output);
      now = std::move(next);
    }
    return all;
  }

  /// What a stage reads, of which windows in `range` are asked for.
  static TimeRange below(const Query& query, size_t s, const WindowColumns& columns, TimeRange range) {
    const Stage& stage = query.stages[s];
    const Micros size = size_of(query, stage);
    Said said;
    read_condition(stage.having.get(), {{0}, {1}}, said);
    narrow(range, starts_of(said, size));
    // Rows of a window of its own begin after it does, and before it ends.
    if (stage.aggregates_rows && stage.window.kind != Window::Kind::kInherited) {
      if (stage.window.kind == Window::Kind::kSession) range.until = base::kMaxTime;
      else range.until = moved(range.until, size);
      range.until = std::min(range.until, said.ends.until);
    }
    if (stage.analytic && stage.analytic->across_windows) {
      const Analytic& analytic = *stage.analytic;
      range.from =
          moved(range.from, -std::max(analytic.range_before_us, analytic.rows_before * std::max<Micros>(size, 1)));
      range.until =
          moved(range.until, std::max(analytic.range_after_us, analytic.rows_after * std::max<Micros>(size, 1)));
    }
    Said rows;
    read_condition(stage.where.get(), columns, rows);
    read_condition(stage.lookup_where.get(), columns, rows);
    const bool inherits = stage.window.kind == Window::Kind::kInherited;
    const Micros rows_size = inherits              ? size
                             : query.source.window ? query.source.window->size_us
                                                   : query.source.window_size_us;
    narrow(range, starts_of(rows, rows_size));
    return range;
  }
};

// --- texts ----------------------------------------------------------------------------------------------------------

/// Calls visit(expression) for all in a SELECT, subqueries included, parents first.
class EachExpr {
 public:
  explicit EachExpr(std::function<void(UnboundExpr&)> visit, std::function<void(UnboundSelect&)> visit_select = {})
      : visit_(std::move(visit)), visit_select_(std::move(visit_select)) {}
  void select(UnboundSelect& select) {
    if (visit_select_) visit_select_(select);
    for (UnboundCte& cte : select.ctes) this->select(*cte.select);
    if (select.left) this->select(*select.left);
    if (select.right) this->select(*select.right);
    for (UnboundTarget& target : select.targets) expr(target.expr.get());
    for (auto& item : select.from) from(*item);
    for (UnboundExprPtr* part : {&select.where, &select.having, &select.limit, &select.offset}) expr(part->get());
    for (auto* list : {&select.distinct_on, &select.group_by}) exprs(*list);
    for (UnboundOrder& item : select.order_by) expr(item.expr.get());
  }
  void expr(UnboundExpr* e) {
    if (e == nullptr) return;
    visit_(*e);
    exprs(e->args);
    for (UnboundOrder& item : e->order_by) expr(item.expr.get());
    expr(e->filter.get());
    if (e->over) {
      exprs(e->over->partition_by);
      for (UnboundOrder& item : e->over->order_by) expr(item.expr.get());
    }
    if (e->subquery) select(*e->subquery);
  }

 private:
  void from(UnboundFrom& item) {
    exprs(item.args);
    expr(item.on.get());
    if (item.subquery) select(*item.subquery);
    if (item.left) from(*item.left);
    if (item.right) from(*item.right);
  }
  void exprs(std::vector<UnboundExprPtr>& list) {
    for (UnboundExprPtr& item : list) expr(item.get());
  }
  const std::function<void(UnboundExpr&)> visit_;
  const std::function<void(UnboundSelect&)> visit_select_;
};

UnboundExprPtr made(UnboundExpr::Kind kind, SourceSpan span, std::string text = {}) {
  auto e = std::make_unique<UnboundExpr>();
  e->kind = kind;
  e->span = span;
  e->text = std::move(text);
  return e;
}
UnboundExprPtr cast(std::string text, std::string type, SourceSpan span) {
  auto e = made(UnboundExpr::Kind::kCast, span, std::move(type));
  e->args.push_back(made(UnboundExpr::Kind::kString, span, std::move(text)));
  return e;
}
UnboundExprPtr column(std::string name, SourceSpan span) {
  auto e = made(UnboundExpr::Kind::kColumn, span);
  e->names.push_back(std::move(name));
  return e;
}
UnboundExprPtr interval(Micros us, SourceSpan span) { return cast(fmt::format("{} us", us), "interval", span); }

bool is_window_column(const UnboundExpr& e) {
  return e.kind == UnboundExpr::Kind::kColumn && !e.names.empty() &&
         (e.names.back() == kStart || e.names.back() == kEnd);
}

bool has_aggregate(const UnboundExpr& e) {
  bool found = false;
  // Nothing is changed: the visitor only looks.
  EachExpr([&](UnboundExpr& part) {
    found |= part.kind == UnboundExpr::Kind::kCall && !part.over && agg::is_aggregate(part.text);
  }).expr(const_cast<UnboundExpr*>(&e));
  return found;
}

/// Conditions joined by AND, one by one.
void take_conjuncts(UnboundExprPtr e, std::vector<UnboundExprPtr>& out) {
  if (e == nullptr) return;
  if (e->kind != UnboundExpr::Kind::kAnd) return out.push_back(std::move(e));
  for (UnboundExprPtr& arg : e->args) take_conjuncts(std::move(arg), out);
}
UnboundExprPtr all_of(std::vector<UnboundExprPtr> conditions, SourceSpan span) {
  if (conditions.size() < 2) return conditions.empty() ? nullptr : std::move(conditions[0]);
  auto all = made(UnboundExpr::Kind::kAnd, span);
  all->args = std::move(conditions);
  return all;
}

bool names_only(const UnboundExpr& e, const Relation& view, std::string_view alias) {
  bool only = true;
  EachExpr([&](UnboundExpr& part) {
    if (part.subquery) only = false;
    if (part.kind != UnboundExpr::Kind::kColumn) return;
    const std::string& name = part.names.back();
    const bool known = view.schema.find(name) >= 0 || hidden_columns().find(name) >= 0;
    only = only && known && (part.names.size() == 1 || (part.names.size() == 2 && part.names[0] == alias));
  }).expr(const_cast<UnboundExpr*>(&e));
  return only;
}

}  // namespace

std::vector<ViewRead> views_read(const Query& query) {
  Reads reads;
  reads.query(query, {});
  return std::move(reads.found);
}

void fix_now(UnboundSelect& select, Micros now) {
  constexpr std::string_view kNames[] = {"now", "current_timestamp", "statement_timestamp", "transaction_timestamp"};
  const std::string text = base::format_timestamp(now);
  EachExpr([&](UnboundExpr& e) {
    if (e.kind != UnboundExpr::Kind::kCall || !e.args.empty() || e.star || e.over ||
        std::find(std::begin(kNames), std::end(kNames), e.text) == std::end(kNames))
      return;
    // What its output is called stays.
    e.kind = UnboundExpr::Kind::kCast;
    e.text = "timestamp with time zone";
    e.args.push_back(made(UnboundExpr::Kind::kString, e.span, text));
  }).select(select);
}

void spell_window_ends(UnboundSelect& select, const Catalog& catalog) {
  std::set<std::string, std::less<>> ctes;
  EachExpr([](UnboundExpr&) {},
           [&](UnboundSelect& one) {
             for (const UnboundCte& cte : one.ctes) ctes.insert(cte.name);
             if (one.from.size() != 1 || !one.where) return;
             const UnboundFrom* from = one.from[0].get();
             while (from->kind == UnboundFrom::Kind::kJoin) from = from->left.get();
             const Relation* const view = ctes.contains(from->name) ? nullptr : catalog.find(from->name);
             if (from->kind != UnboundFrom::Kind::kRelation || view == nullptr || view->kind != Relation::Kind::kView ||
                 view->time_column < 0 || !view->window || view->window->calendar || view->schema.find(kEnd) >= 0)
               return;
             const std::string& alias = from->alias.empty() ? from->name : from->alias;
             const std::string& start = view->schema.columns[static_cast<size_t>(view->time_column)].name;
             EachExpr([&](UnboundExpr& e) {
               if (e.kind != UnboundExpr::Kind::kColumn || e.names.empty() || e.names.back() != kEnd ||
                   (e.names.size() == 2 && e.names[0] != alias) || e.names.size() > 2)
                 return;
               auto own = std::make_unique<UnboundExpr>(std::move(e));
               own->names.back() = start;
               e = UnboundExpr{};
               e.kind = UnboundExpr::Kind::kOperator;
               e.span = own->span;
               e.op += '+';  // g++ 12 warns of an assignment.
               e.args.push_back(std::move(own));
               e.args.push_back(interval(view->window->size_us, e.span));
             }).expr(one.where.get());
           })
      .select(select);
}

UnboundFrom* grouped_without_window(UnboundSelect& select) {
  if (select.set_op != UnboundSelect::SetOp::kNone || select.from.size() != 1) return nullptr;
  bool aggregates = !select.group_by.empty() || select.having != nullptr;
  for (const UnboundTarget& target : select.targets) aggregates = aggregates || has_aggregate(*target.expr);
  if (!aggregates) return nullptr;
  for (const UnboundExprPtr& item : select.group_by) {
    const UnboundExpr* e = item.get();
    if (e->kind == UnboundExpr::Kind::kInteger) {
      const auto position = static_cast<size_t>(std::atoll(e->text.c_str()));
      if (position < 1 || position > select.targets.size()) return nullptr;
      e = select.targets[position - 1].expr.get();
    }
    for (const UnboundTarget& target : select.targets) {
      if (e->kind == UnboundExpr::Kind::kColumn && e->names.size() == 1 && target.alias == e->names[0])
        e = target.expr.get();
    }
    if (is_window_column(*e)) return nullptr;
  }
  UnboundFrom* from = select.from[0].get();
  while (from->kind == UnboundFrom::Kind::kJoin) from = from->left.get();
  const bool stands_alone = from == select.from[0].get();
  if (from->kind == UnboundFrom::Kind::kRelation) return from;
  return stands_alone && from->kind == UnboundFrom::Kind::kSubquery && !from->lateral ? from : nullptr;
}

void group_whole_range(UnboundSelect& select, UnboundFrom& from, const Relation* view, Micros origin, Micros size) {
  const SourceSpan span = from.span;
  const std::string alias = !from.alias.empty() ? from.alias : from.name;
  auto rows = std::make_unique<UnboundSelect>();
  rows->span = span;
  rows->targets.push_back({made(UnboundExpr::Kind::kStar, span), {}, {}});
  const bool stands_alone = &from == select.from[0].get();
  std::vector<UnboundExprPtr> all, inside, outside;
  take_conjuncts(std::move(select.where), all);
  for (UnboundExprPtr& condition : all) {
    const bool goes = stands_alone || (view != nullptr && names_only(*condition, *view, alias));
    (goes ? inside : outside).push_back(std::move(condition));
  }
  rows->where = all_of(std::move(inside), span);
  select.where = all_of(std::move(outside), select.span);

  auto item = std::make_unique<UnboundFrom>(std::move(from));
  item->alias = alias;
  from = UnboundFrom{};
  from.kind = UnboundFrom::Kind::kFunction;
  from.span = from.name_span = span;
  from.name = "tumble";
  from.alias = alias;
  rows->from.push_back(std::move(item));
  auto relation = made(UnboundExpr::Kind::kSubquery, span);
  relation->subquery = std::move(rows);
  from.args.push_back(std::move(relation));
  from.args.push_back(column(std::string(kStart), span));
  from.args.push_back(interval(size, span));
  from.args.push_back(interval(origin - base::floor_to(origin, size), span));
  from.arg_names.assign(from.args.size(), "");
  select.group_by.push_back(column(std::string(kStart), select.span));
}

}  // namespace backstream::plan
