// Analytic functions: f(...) OVER (PARTITION BY ... ORDER BY ... frame), and the stages that compute them.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <utility>

#include "plan/binder.h"

namespace backstream::plan {

using base::fail;
using batch::Type;
using expr::Expr;
using Kind = UnboundExpr::Kind;
using CallKind = AnalyticCall::Kind;
using Bound = Frame::Bound;

namespace {

/// Rows that a frame, lag() or lead() may reach: what is kept of each partition stays bounded. A week of minutes fits.
constexpr int64_t kReachMax = 100'000;

constexpr std::string_view kGroupsHint = "ROWS counts rows, RANGE takes an interval over the time column";

struct Function {
  std::string_view name;
  CallKind kind;
  size_t args_min, args_max;
  bool uses_frame;
  Type type;  ///< kUnknown: that of the first argument
  std::string_view usage;
};
constexpr Function kFunctions[] = {
    {"row_number", CallKind::kRowNumber, 0, 0, false, Type::kInt8, "row_number()"},
    {"rank", CallKind::kRank, 0, 0, false, Type::kInt8, "rank()"},
    {"dense_rank", CallKind::kDenseRank, 0, 0, false, Type::kInt8, "dense_rank()"},
    {"percent_rank", CallKind::kPercentRank, 0, 0, false, Type::kFloat8, "percent_rank()"},
    {"cume_dist", CallKind::kCumeDist, 0, 0, false, Type::kFloat8, "cume_dist()"},
    {"ntile", CallKind::kNtile, 1, 1, false, Type::kInt4, "ntile(buckets)"},
    {"lag", CallKind::kLag, 1, 3, false, Type::kUnknown, "lag(value [, rows [, default]])"},
    {"lead", CallKind::kLead, 1, 3, false, Type::kUnknown, "lead(value [, rows [, default]])"},
    {"first_value", CallKind::kFirstValue, 1, 1, true, Type::kUnknown, "first_value(value)"},
    {"last_value", CallKind::kLastValue, 1, 1, true, Type::kUnknown, "last_value(value)"},
    {"nth_value", CallKind::kNthValue, 2, 2, true, Type::kUnknown, "nth_value(value, n)"},
    {"ewma", CallKind::kEwma, 2, 2, false, Type::kFloat8, "ewma(value, half-life), as in ewma(octets, interval '1 h')"},
    {"counter_delta", CallKind::kCounterDelta, 1, 2, false, Type::kInt8, "counter_delta(value [, bits])"},
};
const Function* find_function(std::string_view name) {
  const auto found = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                  [&](const Function& function) { return function.name == name; });
  return found == std::end(kFunctions) ? nullptr : found;
}

Result<int64_t> constant_count(const UnboundExpr& e, std::string_view what, int64_t least, int64_t most) {
  int64_t value = 0;
  const char* end = e.text.data() + e.text.size();
  if (e.kind == Kind::kOperator) {
    return fail("22023", fmt::format("{} must be a constant from {} to {}", what, least, most), e.span);
  }
  if (e.kind != Kind::kInteger) {
    return fail("0A000", fmt::format("{} must be a constant", what), e.span, "write a number");
  }
  const auto [parsed, error] = std::from_chars(e.text.data(), end, value);
  if (error != std::errc() || parsed != end || value < least || value > most) {
    return fail("22023", fmt::format("{} must be from {} to {}", what, least, most), e.span);
  }
  return value;
}

Result<int64_t> frame_offset(const UnboundExpr& e, bool by_range) {
  if (!by_range) return constant_count(e, "the rows of a frame", 0, kReachMax);
  auto micros = constant_interval(e, "the offset of a RANGE frame");
  if (micros && *micros < 0) return fail("22013", "the offset of a RANGE frame must not be negative", e.span);
  return micros;
}

Result<Frame> bind_frame(const UnboundFrame& unbound) {
  if (unbound.unit == UnboundFrame::Unit::kGroups)
    return fail("0A000", "GROUPS frames are not supported", unbound.span, std::string(kGroupsHint));
  if (unbound.excludes) {
    return fail("0A000", "EXCLUDE is not supported", unbound.span,
                "take the row's own value off: sum(x) OVER (...) - x");
  }
  Frame frame;
  frame.by_range = unbound.unit == UnboundFrame::Unit::kRange;
  static_assert(static_cast<int>(UnboundFrame::Bound::kFollowing) == static_cast<int>(Bound::kFollowing));
  frame.start = static_cast<Bound>(unbound.start);
  frame.end = static_cast<Bound>(unbound.end);
  for (const bool is_end : {false, true}) {
    const auto& offset = is_end ? unbound.end_offset : unbound.start_offset;
    if (!offset) continue;
    const auto bound = frame_offset(*offset, frame.by_range);
    if (!bound) return tl::unexpected(bound.error());
    (is_end ? frame.end_offset : frame.start_offset) = *bound;
  }
  return frame;
}

std::string frame_text(const Frame& frame) {
  const auto bound = [&](Bound b, int64_t offset) -> std::string {
    const std::string by = frame.by_range ? base::format_duration(offset) : std::to_string(offset);
    switch (b) {
      case Bound::kUnboundedPreceding: return "UNBOUNDED PRECEDING";
      case Bound::kPreceding: return by + " PRECEDING";
      case Bound::kCurrentRow: return "CURRENT ROW";
      case Bound::kFollowing: return by + " FOLLOWING";
      case Bound::kUnboundedFollowing: return "UNBOUNDED FOLLOWING";
    }
    return {};
  };
  return fmt::format("{} BETWEEN {} AND {}", frame.by_range ? "RANGE" : "ROWS", bound(frame.start, frame.start_offset),
                     bound(frame.end, frame.end_offset));
}

bool has_offset(const Frame& frame) {
  const auto is_offset = [](Bound b) { return b == Bound::kPreceding || b == Bound::kFollowing; };
  return is_offset(frame.start) || is_offset(frame.end);
}

bool uses_frame(const AnalyticCall& call) {
  return call.kind == CallKind::kAggregate || call.kind == CallKind::kFirstValue || call.kind == CallKind::kLastValue ||
         call.kind == CallKind::kNthValue;
}

/// Widens the reach of `analytic` so that the call finds its rows.
void add_reach(const AnalyticCall& call, Analytic& analytic) {
  const auto reach = [&](Bound bound, int64_t offset) {
    if (bound == Bound::kPreceding) {
      auto& before = call.frame.by_range ? analytic.range_before_us : analytic.rows_before;
      before = std::max(before, offset);
    } else if (bound == Bound::kFollowing) {
      auto& after = call.frame.by_range ? analytic.range_after_us : analytic.rows_after;
      after = std::max(after, offset);
    }
  };
  if (uses_frame(call)) {
    reach(call.frame.start, call.frame.start_offset);
    reach(call.frame.end, call.frame.end_offset);
  } else if (call.kind == CallKind::kLag) {
    analytic.rows_before = std::max(analytic.rows_before, call.number);
  } else if (call.kind == CallKind::kLead) {
    analytic.rows_after = std::max(analytic.rows_after, call.number);
  } else if (call.kind == CallKind::kCounterDelta) {
    analytic.rows_before = std::max<int64_t>(analytic.rows_before, 1);
  }
}

bool same(const ExprPtr& a, const ExprPtr& b) { return (!a && !b) || (a && b && expr::equal(*a, *b)); }
bool same(const std::vector<ExprPtr>& a, const std::vector<ExprPtr>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) { return same(x, y); });
}
bool same(const OverSpec& a, const OverSpec& b) {
  return same(a.partition_by, b.partition_by) &&
         std::equal(a.order_by.begin(), a.order_by.end(), b.order_by.begin(), b.order_by.end(),
                    [](const auto& x, const auto& y) {
                      return same(x.expr, y.expr) && x.descending == y.descending && x.nulls_first == y.nulls_first;
                    });
}
bool same(const OverCall& a, const OverCall& b) {
  return a.spec == b.spec && a.call.kind == b.call.kind && a.call.aggregate == b.call.aggregate &&
         a.call.frame == b.call.frame && a.call.number == b.call.number && same(a.args, b.args) &&
         same(a.filter, b.filter);
}

int column_of(const ExprPtr& e) { return e->kind == expr::ExprKind::kColumn ? e->column : -1; }

}  // namespace

bool is_analytic(std::string_view name) { return find_function(name) != nullptr; }

bool ExprBinder::has_over(const UnboundExpr& e) {
  if (e.kind == Kind::kCall && e.over) return true;
  return std::any_of(e.args.begin(), e.args.end(), [](const auto& arg) { return arg && has_over(*arg); });
}

/// The expression as text, over the rows that outputs read.
std::string ExprBinder::over_text(const Expr& e) const {
  batch::Schema schema;
  const batch::ColumnDef window[] = {{"window_start", Type::kTimestamptz, 0}, {"window_end", Type::kTimestamptz, 0}};
  if (over_grouped_) {
    schema.columns.assign(std::begin(window), std::end(window));
    for (const ExprPtr& key : keys) schema.columns.push_back({expr::to_string(*key, input_.schema), key->type, 0});
    for (const AggregateCall& call : aggregates) schema.columns.push_back({call.label, call.function->result_type, 0});
  } else {
    schema = input_.schema;
    schema.columns.insert(schema.columns.end(), std::begin(window), std::end(window));
  }
  return expr::to_string(e, schema);
}

Result<size_t> ExprBinder::bind_over_spec(const UnboundExpr& e, Place place) {
  OverSpec spec;
  spec.span = e.over->span;
  const auto bind_one = [&](const UnboundExpr& item) -> Result<ExprPtr> {
    auto bound = bind(item, place, "OVER");
    if (bound && (*bound)->type == Type::kUnknown) return expr::make_cast(std::move(*bound), Type::kText, item.span);
    return bound;
  };
  for (const auto& item : e.over->partition_by) {
    auto bound = bind_one(*item);
    if (!bound) return tl::unexpected(bound.error());
    spec.partition_by.push_back(std::move(*bound));
  }
  for (const UnboundOrder& item : e.over->order_by) {
    auto bound = bind_one(*item.expr);
    if (!bound) return tl::unexpected(bound.error());
    spec.order_by.push_back({std::move(*bound), item.descending, item.nulls_first.value_or(item.descending)});
  }
  if (spec.partition_by.size() + spec.order_by.size() > 60)
    return fail("54011", "more than 60 columns in PARTITION BY and ORDER BY", e.span);
  const auto known =
      std::find_if(over_specs.begin(), over_specs.end(), [&](const OverSpec& other) { return same(spec, other); });
  if (known != over_specs.end()) return static_cast<size_t>(known - over_specs.begin());
  over_specs.push_back(std::move(spec));
  return over_specs.size() - 1;
}

Result<void> ExprBinder::bind_over_aggregate(const UnboundExpr& e, OverCall& over) {
  std::vector<Type> types;
  for (const ExprPtr& arg : over.args) types.push_back(arg->type);
  const auto function = agg::resolve(e.text, types, false, e.star, e.span);
  if (!function) return tl::unexpected(function.error());
  over.call.kind = CallKind::kAggregate;
  over.call.aggregate = *function;
  over.call.type = (*function)->result_type;
  for (size_t i = 0; i < over.args.size(); ++i) {
    auto cast = expr::make_cast(std::move(over.args[i]), (*function)->arg_types[i], e.args[i]->span, true);
    if (!cast) return tl::unexpected(cast.error());
    over.args[i] = std::move(*cast);
  }
  return {};
}

Result<void> ExprBinder::bind_over_function(const UnboundExpr& e, OverCall& over) {
  const Function& function = *find_function(e.text);
  AnalyticCall& call = over.call;
  call.kind = function.kind;
  call.type = function.type;
  if (e.args.size() < function.args_min || e.args.size() > function.args_max || e.star) {
    return fail("42883", fmt::format("{}() does not take {}", e.text, e.star ? "*" : "these arguments"), e.span,
                fmt::format("it is {}", function.usage));
  }
  const auto take_number = [&](size_t arg, std::string_view what, int64_t least, int64_t most) -> Result<void> {
    const auto number = constant_count(*e.args[arg], what, least, most);
    if (!number) return tl::unexpected(number.error());
    call.number = *number;
    return {};
  };
  const auto cast_value = [&](Type type) -> Result<void> {
    auto cast = expr::make_cast(std::move(over.args[0]), type, e.args[0]->span, true);
    if (!cast) return tl::unexpected(cast.error());
    over.args[0] = std::move(*cast);
    return {};
  };
  Result<void> done{};
  switch (call.kind) {
    case CallKind::kNtile: over.args.clear(); return take_number(0, "the buckets of ntile", 1, INT32_MAX);
    case CallKind::kLag:
    case CallKind::kLead: {
      call.number = 1;
      if (e.args.size() > 1) done = take_number(1, fmt::format("the rows of {}", e.text), 0, kReachMax);
      if (!done) return done;
      Type type = over.args[0]->type;
      if (e.args.size() > 2) {
        const auto common = expr::common_type({over.args[0].get(), over.args[2].get()}, e.span);
        if (!common) return tl::unexpected(common.error());
        type = *common;
        over.args.erase(over.args.begin() + 1);
      } else {
        over.args.resize(1);
      }
      call.type = type == Type::kUnknown ? Type::kText : type;
      for (size_t i = 0; i < over.args.size(); ++i) {
        auto cast = expr::make_cast(std::move(over.args[i]), call.type, e.args[i * 2]->span, true);
        if (!cast) return tl::unexpected(cast.error());
        over.args[i] = std::move(*cast);
      }
      return {};
    }
    case CallKind::kNthValue: done = take_number(1, "the row of nth_value", 1, kReachMax); break;
    case CallKind::kEwma: {
      const auto half_life = constant_interval(*e.args[1], "the half-life");
      if (!half_life) return tl::unexpected(half_life.error());
      if (*half_life <= 0) return fail("22023", "the half-life must be greater than zero", e.args[1]->span);
      call.number = *half_life;
      done = cast_value(Type::kFloat8);
      break;
    }
    case CallKind::kCounterDelta:
      if (e.args.size() > 1) {
        done = take_number(1, "the bits of a counter", 32, 64);
        if (!done) return done;
        if (call.number != 32 && call.number != 64)
          return fail("22023", "a counter has 32 or 64 bits", e.args[1]->span);
      }
      done = cast_value(Type::kInt8);
      break;
    default: break;
  }
  if (!done || over.args.empty()) return done;
  over.args.resize(1);
  if (over.args[0]->type == Type::kUnknown) done = cast_value(Type::kText);
  if (call.type == Type::kUnknown && done) call.type = over.args[0]->type;
  return done;
}

Result<ExprPtr> ExprBinder::bind_over(const UnboundExpr& e, Place place) {
  const bool aggregate = agg::is_aggregate(e.text);
  if (!aggregate && !is_analytic(e.text)) {
    std::vector<std::string_view> names = agg::aggregate_names();
    for (const Function& function : kFunctions) names.push_back(function.name);
    const auto near = base::nearest_name(e.text, names);
    return fail("42809", fmt::format("{} is not a window function nor an aggregate", e.text), e.span,
                near.empty() ? "leave OVER out" : fmt::format("did you mean '{}'?", near));
  }
  if (e.distinct) {
    return fail("0A000", "DISTINCT is not supported for window functions", e.span,
                "count distinct values in a query below, with GROUP BY");
  }
  if (e.within_group || !e.order_by.empty())
    return fail("0A000", "ordered aggregates cannot have OVER", e.span, "the order stands in OVER (ORDER BY ...)");
  if (e.filter && !aggregate)
    return fail("0A000", "FILTER is for aggregates", e.filter->span, "filter the rows in a query below");
  for (size_t i = 0; i < e.arg_names.size(); ++i) {
    if (!e.arg_names[i].empty())
      return fail("0A000", fmt::format("{}() takes no named arguments", e.text), e.args[i]->span);
  }
  allow_over = false;
  over_grouped_ = place == Place::kGrouped;
  OverCall over;
  over.span = e.span;
  const Result<void> done = [&]() -> Result<void> {
    const auto spec = bind_over_spec(e, place);
    if (!spec) return tl::unexpected(spec.error());
    over.spec = *spec;
    auto args = bind_all(e.args, place, "a window function");
    if (!args) return tl::unexpected(args.error());
    over.args = std::move(*args);
    if (e.filter) {
      auto filter = bind(*e.filter, place, "FILTER");
      if (!filter) return tl::unexpected(filter.error());
      if ((*filter)->type != Type::kBool)
        return fail("42804", "argument of FILTER must be type boolean", e.filter->span);
      over.filter = std::move(*filter);
    }
    if (e.over->frame) {
      const auto frame = bind_frame(*e.over->frame);
      if (!frame) return tl::unexpected(frame.error());
      if (aggregate || find_function(e.text)->uses_frame) over.call.frame = *frame;
    }
    std::string label = e.text + '(' + (e.star ? "*" : "");
    for (size_t i = 0; i < over.args.size(); ++i) label += (i > 0 ? ", " : "") + over_text(*over.args[i]);
    label += ')';
    if (over.filter) label += fmt::format(" FILTER (WHERE {})", over_text(*over.filter));
    if (over.call.frame != Frame{}) label += ' ' + frame_text(over.call.frame);
    over.call.label = std::move(label);
    return aggregate ? bind_over_aggregate(e, over) : bind_over_function(e, over);
  }();
  allow_over = true;
  if (!done) return tl::unexpected(done.error());
  size_t index = 0;
  while (index < over_calls.size() && !same(over_calls[index], over)) ++index;
  const Type type = over.call.type;
  if (index == over_calls.size()) over_calls.push_back(std::move(over));
  return expr::make_column(kOverColumn + static_cast<int>(index), type, e.span);
}

Result<bool> settle_over(ExprBinder& binder, const RowTimes& times) {
  const bool windowed = times.start_column >= 0;
  for (OverSpec& spec : binder.over_specs) {
    const int first = spec.order_by.empty() ? -1 : column_of(spec.order_by[0].expr);
    if (windowed) {
      const bool within = std::any_of(spec.partition_by.begin(), spec.partition_by.end(), [&](const ExprPtr& e) {
        return times.is_start(column_of(e)) || times.is_end(column_of(e));
      });
      spec.across_windows = !within && (times.is_start(first) || times.is_end(first));
    } else {
      if (times.time_column < 0 || first != times.time_column) {
        return fail("0A000", "an analytic function over a stream needs ORDER BY its time column", spec.span,
                    times.time_column < 0 ? "these rows have no time column: let the query below output it"
                                          : "OVER (PARTITION BY ... ORDER BY time), or read a view with windows");
      }
      spec.across_windows = true;
    }
    if (spec.across_windows && spec.order_by[0].descending) {
      return fail("0A000", "across windows ORDER BY runs with time: DESC cannot come first", spec.span,
                  "lead() looks the other way; or add window_start to PARTITION BY");
    }
  }
  bool looks_ahead = false;
  for (const OverCall& over : binder.over_calls) {
    const OverSpec& spec = binder.over_specs[over.spec];
    const AnalyticCall& call = over.call;
    const bool framed = uses_frame(call);
    if (spec.across_windows) {
      const bool whole =
          call.kind == CallKind::kPercentRank || call.kind == CallKind::kCumeDist || call.kind == CallKind::kNtile;
      if (whole || (framed && (call.frame.end == Bound::kUnboundedFollowing))) {
        return fail("0A000",
                    whole ? "this function needs all rows of its partition, and a stream has no end"
                          : "UNBOUNDED FOLLOWING across windows would wait for ever: a stream has no end",
                    over.span,
                    windowed ? "add window_start to PARTITION BY, or bound the frame"
                             : "bound the frame: ROWS BETWEEN 10 PRECEDING AND 10 FOLLOWING");
      }
      if (framed && call.frame.by_range && has_offset(call.frame) && spec.order_by.size() != 1) {
        return fail("42P20", "RANGE with an interval needs exactly one ORDER BY column, the time", over.span);
      }
      Analytic reach;
      reach.across_windows = true;
      add_reach(call, reach);
      looks_ahead |= reach.looks_ahead();
    } else if (framed && call.frame.by_range && has_offset(call.frame)) {
      return fail("0A000", "RANGE with an interval runs across windows", over.span,
                  "ORDER BY window_start without window_start in PARTITION BY; within a window use ROWS");
    } else if (call.kind == CallKind::kEwma) {
      return fail("0A000", "ewma() runs across windows", over.span,
                  "ewma(x, interval '1 h') OVER (PARTITION BY key ORDER BY window_start)");
    }
  }
  return looks_ahead;
}

std::vector<Stage> make_analytic_stages(ExprBinder& binder, Stage select, bool looks_ahead) {
  // What the functions and outputs read, as columns of the stage below.
  Stage below;
  below.input = select.input;
  below.lookups = std::move(select.lookups);
  below.spread = std::move(select.spread);
  below.where = std::move(select.where);
  below.window = select.window;
  below.aggregates_rows = select.aggregates_rows;
  below.keys = std::move(select.keys);
  below.key_labels = std::move(select.key_labels);
  below.aggregates = std::move(select.aggregates);
  below.grouped = select.grouped;
  below.having = std::move(select.having);
  const auto column_below = [&](const Expr& e) {
    for (size_t c = 0; c < below.outputs.size(); ++c) {
      if (expr::equal(*below.outputs[c], e)) return static_cast<int>(c);
    }
    const uint8_t bits = e.kind == expr::ExprKind::kColumn
                             ? below.grouped.columns[static_cast<size_t>(e.column)].value_bits
                             : uint8_t{0};
    below.outputs.push_back(expr::clone(e));
    below.output.columns.push_back({expr::to_string(e, below.grouped), e.type, bits});
    return static_cast<int>(below.outputs.size() - 1);
  };
  // Outputs first: ties are broken by columns in the order in which they are selected.
  for (ExprPtr& output : select.outputs) {
    expr::walk(*output, [&](Expr& part) {
      if (part.kind == expr::ExprKind::kColumn && part.column < kOverColumn)
        part.column = column_below(*expr::make_column(part.column, part.type));
    });
  }
  const std::vector<OverSpec>& specs = binder.over_specs;
  std::vector<Analytic> analytics(specs.size());
  for (size_t s = 0; s < specs.size(); ++s) {
    for (const ExprPtr& e : specs[s].partition_by) analytics[s].partition_by.push_back(column_below(*e));
    for (const OverSpec::Order& order : specs[s].order_by)
      analytics[s].order_by.push_back({column_below(*order.expr), order.descending, order.nulls_first});
    analytics[s].across_windows = specs[s].across_windows;
    if (specs[s].across_windows) analytics[s].time_column = analytics[s].order_by[0].column;
  }
  std::vector<std::vector<size_t>> calls_of(specs.size());
  for (size_t c = 0; c < binder.over_calls.size(); ++c) {
    OverCall& over = binder.over_calls[c];
    for (const ExprPtr& arg : over.args) over.call.args.push_back(column_below(*arg));
    if (over.filter) over.call.filter = column_below(*over.filter);
    add_reach(over.call, analytics[over.spec]);
    analytics[over.spec].calls.push_back(over.call);
    calls_of[over.spec].push_back(c);
  }
  below.input_used.assign(below.input.columns.size(), false);
  const auto note = [&](const ExprPtr& e) {
    if (!e) return;
    expr::walk(std::as_const(*e), [&](const Expr& part) {
      if (part.kind == expr::ExprKind::kColumn && static_cast<size_t>(part.column) < below.input_used.size())
        below.input_used[static_cast<size_t>(part.column)] = true;
    });
  };
  if (below.aggregates_rows) {
    below.input_used = select.input_used;  // Outputs read groups.
  } else {
    note_lookups(below.lookups, below.input_used);
    note(below.where);
    for (const ExprPtr& output : below.outputs) note(output);
  }
  note_spread(below);

  // Stages that look ahead come last: after one of them rows no longer come window by window.
  std::vector<size_t> sequence;
  for (const bool ahead : {false, true}) {
    for (size_t s = 0; s < specs.size(); ++s) {
      if (analytics[s].looks_ahead() == ahead) sequence.push_back(s);
    }
  }
  const bool windowed = select.window.kind != Window::Kind::kNone;
  batch::Schema rows = below.output;
  std::vector<int> result_columns(binder.over_calls.size(), -1);
  std::vector<Stage> stages;
  stages.push_back(std::move(below));
  bool by_window = windowed;
  for (const size_t s : sequence) {
    Stage stage;
    stage.input = rows;
    stage.input_used.assign(rows.columns.size(), true);
    stage.window.kind = by_window ? Window::Kind::kInherited : Window::Kind::kNone;
    by_window = by_window && !analytics[s].looks_ahead();
    for (const size_t c : calls_of[s]) {
      result_columns[c] = static_cast<int>(rows.columns.size());
      rows.columns.push_back({binder.over_calls[c].call.label, binder.over_calls[c].call.type, 0});
    }
    stage.analytic = std::move(analytics[s]);
    stage.grouped = rows;
    if (s != sequence.back()) {
      for (size_t c = 0; c < rows.columns.size(); ++c)
        stage.outputs.push_back(expr::make_column(static_cast<int>(c), rows.columns[c].type));
      stage.output = rows;
    }
    stages.push_back(std::move(stage));
  }
  assert(by_window == (windowed && !looks_ahead));
  (void)looks_ahead;
  Stage& last = stages.back();
  for (ExprPtr& output : select.outputs) {
    expr::walk(*output, [&](Expr& part) {
      if (part.kind == expr::ExprKind::kColumn && part.column >= kOverColumn)
        part.column = result_columns[static_cast<size_t>(part.column - kOverColumn)];
    });
  }
  last.outputs = std::move(select.outputs);
  last.output = std::move(select.output);
  last.distinct = select.distinct;
  last.order_by = std::move(select.order_by);
  last.limit = select.limit;
  last.offset = select.offset;
  last.window_start_output = select.window_start_output;
  last.window_end_output = select.window_end_output;
  return stages;
}

}  // namespace backstream::plan
