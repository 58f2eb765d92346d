#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "plan/binder.h"

namespace backstream::plan {

using base::fail;
using batch::Type;
using Kind = UnboundExpr::Kind;

namespace {

ExprPtr text_literal(std::string_view text, SourceSpan span) {
  return expr::make_literal(std::string(text), Type::kUnknown, span);
}
ExprPtr integer_literal(const std::string& text, SourceSpan span) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) {
    return expr::make_literal(value, value == static_cast<int32_t>(value) ? Type::kInt4 : Type::kInt8, span);
  }
  return expr::make_literal(std::strtod(text.c_str(), nullptr), Type::kFloat8, span);
}
std::vector<ExprPtr> list_of(ExprPtr a) {
  std::vector<ExprPtr> list;
  list.push_back(std::move(a));
  return list;
}
std::vector<ExprPtr> list_of(ExprPtr a, ExprPtr b) {
  std::vector<ExprPtr> list = list_of(std::move(a));
  list.push_back(std::move(b));
  return list;
}
Result<ExprPtr> negate_if(bool negated, Result<ExprPtr> e, SourceSpan span) {
  return e && negated ? expr::make_not(std::move(*e), span) : std::move(e);
}

/// The columns that sum_stderr(packets) and sum_stderr(octets) read: the sampling rate and what the argument was scaled
/// from. Only where flows are read are they known to belong together.
Result<std::vector<ExprPtr>> sampling_error_args(const ExprBinder& binder, const Input& input, const UnboundExpr& e) {
  constexpr std::string_view kHint =
      "write sum_stderr(packets) or sum_stderr(octets), over flows or a stream with its columns sampling_rate, "
      "packets_raw and octets_raw";
  const UnboundExpr* arg = e.args.size() == 1 && !e.star ? e.args[0].get() : nullptr;
  const bool octets = arg != nullptr && arg->kind == Kind::kColumn && arg->names.back() == "octets";
  if (arg == nullptr || (!octets && (arg->kind != Kind::kColumn || arg->names.back() != "packets"))) {
    return fail("0A000", "sum_stderr tells the sampling error of the column packets or octets",
                arg ? arg->span : e.span, std::string(kHint));
  }
  const auto scaled = binder.find_column(*arg);
  if (!scaled) return tl::unexpected(scaled.error());
  std::vector<ExprPtr> args;
  for (const char* name : {"sampling_rate", "packets_raw", "octets_raw"}) {
    if (args.size() == 2 && !octets) break;
    const int column = binder.find_beside(*scaled, name);
    const bool of_stream = input.below.empty() && input.inputs.empty() &&
                           input.source.kind == Relation::Kind::kStream &&
                           static_cast<size_t>(*scaled) < input.source.schema.columns.size();
    if (!of_stream || column < 0 || !batch::is_integer(input.schema.columns[static_cast<size_t>(column)].type)) {
      return fail("0A000", fmt::format("the sampling of \"{}\" is not known here", arg->names.back()), arg->span,
                  std::string(kHint));
    }
    args.push_back(expr::make_column(column, input.schema.columns[static_cast<size_t>(column)].type, arg->span));
  }
  return args;
}

/// The argument that the function wants to know when the query is bound.
Result<void> check_constant(const agg::AggregateFunction& function, const expr::Expr& arg, SourceSpan span) {
  double value = -1;
  if (const auto* number = std::get_if<double>(&arg.literal)) value = *number;
  if (const auto* number = std::get_if<int64_t>(&arg.literal)) value = static_cast<double>(*number);
  if (arg.kind == expr::ExprKind::kLiteral && value >= function.constant_min && value <= function.constant_max)
    return {};
  return fail("22023",
              fmt::format("the {} of {} must be a constant between {} and {}", function.constant_name, function.name,
                          function.constant_min, function.constant_max),
              span);
}

}  // namespace

Result<ExprPtr> ExprBinder::bind_row(const UnboundExpr& e, std::string_view clause) {
  return bind(e, Place::kRow, clause);
}
Result<ExprPtr> ExprBinder::bind_windowed_row(const UnboundExpr& e, std::string_view clause) {
  return bind(e, Place::kWindowedRow, clause);
}

bool ExprBinder::has_aggregate(const UnboundExpr& e) const {
  if (e.kind == Kind::kCall && !e.over && agg::is_aggregate(e.text)) return true;
  for (const auto& arg : e.args) {
    if (arg && has_aggregate(*arg)) return true;
  }
  if (!e.over) return false;
  if (e.filter && has_aggregate(*e.filter)) return true;
  for (const auto& item : e.over->partition_by) {
    if (has_aggregate(*item)) return true;
  }
  return std::any_of(e.over->order_by.begin(), e.over->order_by.end(),
                     [&](const UnboundOrder& item) { return has_aggregate(*item.expr); });
}

Result<ExprPtr> ExprBinder::bind_column(const UnboundExpr& e, Place place) {
  const auto column = find_column(e);
  if (!column) return tl::unexpected(column.error());
  bool is_end = false;
  if (place == Place::kGrouped) {
    if (is_window_column(e, is_end)) return expr::make_column(is_end ? 1 : 0, Type::kTimestamptz, e.span);
    return fail("42803",
                fmt::format("column \"{}\" must appear in the GROUP BY clause or be used in an aggregate function",
                            e.names.back()),
                e.span, fmt::format("add it to GROUP BY, or write for example max({})", e.names.back()));
  }
  if (*column >= 0) {
    const auto index = static_cast<size_t>(*column);
    return expr::make_column(*column, input_.schema.columns[index].type, e.span);
  }
  (void)is_window_column(e, is_end);
  if (place == Place::kRow) {
    return fail("42803",
                fmt::format("{} is not known here: the window of a row is found after this clause", e.names.back()),
                e.span, "filter windows with HAVING, or rows by their time");
  }
  return expr::make_column(static_cast<int>(input_.schema.columns.size()) + (is_end ? 1 : 0), Type::kTimestamptz,
                           e.span);
}

Result<ExprPtr> ExprBinder::bind_grouped(const UnboundExpr& e, std::string_view clause) {
  return bind(e, Place::kGrouped, clause);
}

Result<std::vector<ExprPtr>> ExprBinder::bind_all(const std::vector<UnboundExprPtr>& args, Place place,
                                                  std::string_view clause) {
  std::vector<ExprPtr> bound;
  for (const auto& arg : args) {
    auto one = bind(*arg, place, clause);
    if (!one) return tl::unexpected(one.error());
    bound.push_back(std::move(*one));
  }
  return bound;
}

Result<ExprPtr> ExprBinder::bind(const UnboundExpr& e, Place place, std::string_view clause) {
  if (place == Place::kGrouped) {
    if (e.kind == Kind::kCall && !e.over && agg::is_aggregate(e.text)) return bind_aggregate(e);
    bool is_end = false;
    if (!has_aggregate(e) && !has_over(e) && !is_window_column(e, is_end)) {
      // The same expression as a key, however it is built: bound over the input and compared.
      auto over_input = bind(e, Place::kRow, clause);
      if (over_input) {
        for (size_t k = 0; k < keys.size(); ++k) {
          if (expr::equal(**over_input, *keys[k]))
            return expr::make_column(static_cast<int>(2 + k), keys[k]->type, e.span);
        }
        if ((*over_input)->kind == expr::ExprKind::kLiteral) return over_input;
      } else if (e.kind == Kind::kColumn || over_input.error().code != "42803") {
        return over_input;  // wrong in itself, not for want of a key
      }
    }
  }
  switch (e.kind) {
    case Kind::kColumn: return bind_column(e, place);
    case Kind::kStar: return fail("42601", "* may stand only for all columns of SELECT, or in count(*)", e.span);
    case Kind::kNull: return expr::make_literal(expr::Value{}, Type::kUnknown, e.span);
    case Kind::kBool: return expr::make_literal(e.text == "true", Type::kBool, e.span);
    case Kind::kInteger: return integer_literal(e.text, e.span);
    case Kind::kFloat: return expr::make_literal(std::strtod(e.text.c_str(), nullptr), Type::kFloat8, e.span);
    case Kind::kString: return text_literal(e.text, e.span);
    case Kind::kCast: {
      const auto type = expr::parse_type(e.text, e.span);
      if (!type) return tl::unexpected(type.error());
      auto arg = bind(*e.args[0], place, clause);
      if (!arg) return arg;
      return expr::make_cast(std::move(*arg), *type, e.span);
    }
    case Kind::kCall: return bind_call(e, place, clause);
    case Kind::kOperator:
    case Kind::kAnd:
    case Kind::kOr:
    case Kind::kNot:
    case Kind::kCoalesce:
    case Kind::kGreatest:
    case Kind::kLeast:
    case Kind::kIsNull:
    case Kind::kIsTruth:
    case Kind::kDistinctFrom:
    case Kind::kNullIf:
    case Kind::kInList:
    case Kind::kAtTimeZone:
    case Kind::kLike: {
      auto args = bind_all(e.args, place, clause);
      if (!args) return tl::unexpected(args.error());
      auto& a = *args;
      switch (e.kind) {
        case Kind::kOperator: return expr::make_operator(e.op, std::move(a), e.span);
        case Kind::kAnd: return expr::make_and(std::move(a), e.span);
        case Kind::kOr: return expr::make_or(std::move(a), e.span);
        case Kind::kNot: return expr::make_not(std::move(a[0]), e.span);
        case Kind::kCoalesce: return expr::make_coalesce(std::move(a), e.span);
        case Kind::kGreatest: return expr::make_extreme(true, std::move(a), e.span);
        case Kind::kLeast: return expr::make_extreme(false, std::move(a), e.span);
        case Kind::kIsNull: return expr::make_is_null(std::move(a[0]), e.negated, e.span);
        case Kind::kIsTruth: return expr::make_is_truth(std::move(a[0]), e.op, e.negated, e.span);
        case Kind::kDistinctFrom: return expr::make_distinct_from(std::move(a[0]), std::move(a[1]), e.negated, e.span);
        case Kind::kNullIf: return expr::make_nullif(std::move(a[0]), std::move(a[1]), e.span);
        case Kind::kAtTimeZone: return expr::make_call("timezone", list_of(std::move(a[1]), std::move(a[0])), e.span);
        case Kind::kInList: {
          std::vector<ExprPtr> list;
          for (size_t i = 1; i < a.size(); ++i) list.push_back(std::move(a[i]));
          return expr::make_in_list(std::move(a[0]), std::move(list), e.negated, e.span);
        }
        default: break;  // kLike
      }
      if (a.size() == 3) return fail("0A000", "LIKE ... ESCAPE is not supported", e.span, "the escape character is \\");
      const std::string op = std::string(e.negated ? "!~~" : "~~") + (e.op == "ilike" ? "*" : "");
      return expr::make_operator(op, std::move(a), e.span);
    }
    case Kind::kCase: return bind_case(e, place, clause);
    case Kind::kBetween: return bind_between(e, place, clause);
    case Kind::kAnyArray:
    case Kind::kAllArray: return bind_quantified(e, place, clause);
    case Kind::kSubquery: {
      const auto made = input_.subqueries.find(&e);
      if (place == Place::kGrouped && made != input_.subqueries.end())
        return fail("42803", "a subquery over a lookup table must appear in the GROUP BY clause here", e.span,
                    "or stand in FILTER (WHERE ...) of an aggregate");
      if (made != input_.subqueries.end()) return expr::make_column(made->second, Type::kBool, e.span);
      return fail("0A000", fmt::format("a subquery is not supported in {}", clause), e.span,
                  e.op == "exists" ? "EXISTS may stand in WHERE by itself, or joined by AND to other conditions"
                  : e.op == "in"   ? "list the values: IN (1, 2), or write EXISTS (SELECT 1 FROM b WHERE b.key = a.key)"
                                 : "LEFT JOIN a lookup table and read its column; a value of the whole window: max(x) "
                                   "OVER (PARTITION BY window_start), in a subquery in FROM");
    }
    case Kind::kParameterDefault: return fail("0A000", "DEFAULT has no meaning here", e.span);
  }
  return fail("0A000", "this expression is not supported", e.span);
}

Result<ExprPtr> ExprBinder::bind_call(const UnboundExpr& e, Place place, std::string_view clause) {
  if (e.over) {
    if (allow_over && place != Place::kRow) return bind_over(e, place);
    const bool nested = clause == "OVER" || clause == "a window function";
    return fail(
        "42P20",
        nested ? "window functions cannot be nested" : fmt::format("window functions are not allowed in {}", clause),
        e.span,
        "compute it in a query below: SELECT * FROM (SELECT *, row_number() OVER (...) AS rn FROM v) t WHERE "
        "rn <= 10");
  }
  if (is_analytic(e.text)) {
    return fail("42809", fmt::format("window function {} requires an OVER clause", e.text), e.span,
                fmt::format("{}(...) OVER (PARTITION BY ... ORDER BY window_start)", e.text));
  }
  if (agg::is_aggregate(e.text)) {
    return fail("42803", fmt::format("aggregate functions are not allowed in {}", clause), e.span,
                clause == "WHERE" ? "filter groups with HAVING" : "");
  }
  if (e.star || e.distinct || e.filter || e.within_group || !e.order_by.empty()) {
    const auto near = base::nearest_name(e.text, agg::aggregate_names());
    return fail("42809", fmt::format("{} is not an aggregate function", e.text), e.span,
                near.empty() ? std::string() : fmt::format("did you mean '{}'?", near));
  }
  for (const auto& name : e.arg_names) {
    if (!name.empty()) return fail("0A000", fmt::format("{}() takes no named arguments", e.text), e.span);
  }
  auto args = bind_all(e.args, place, clause);
  if (!args) return tl::unexpected(args.error());
  auto made = expr::make_call(e.text, std::move(*args), e.span);
  if (!made && made.error().code == "42883" && made.error().hint.empty()) {
    const auto near = base::nearest_name(e.text, agg::aggregate_names());
    if (!near.empty()) made.error().hint = fmt::format("did you mean '{}'?", near);
  }
  return made;
}

Result<ExprPtr> ExprBinder::bind_aggregate(const UnboundExpr& e) {
  if (!e.within_group && !e.order_by.empty()) {
    return fail(
        "0A000", fmt::format("ORDER BY within {} is not supported", e.text), e.order_by[0].expr->span,
        "no aggregate here depends on the order of its rows; first(value, time) and last(value, time) go by time");
  }
  for (const auto& name : e.arg_names) {
    if (!name.empty()) return fail("0A000", fmt::format("{}() takes no named arguments", e.text), e.span);
  }
  // With WITHIN GROUP the sorted expressions follow the others.
  std::vector<const UnboundExpr*> written;
  for (const auto& arg : e.args) written.push_back(arg.get());
  for (const UnboundOrder& order : e.order_by) written.push_back(order.expr.get());
  for (const UnboundExpr* arg : written) {
    if (has_aggregate(*arg)) return fail("42803", "aggregate function calls cannot be nested", arg->span);
  }
  agg::CallForm form = agg::CallForm::kPlain;
  if (e.within_group) {
    const bool descending = !e.order_by.empty() && e.order_by[0].descending;
    form = descending ? agg::CallForm::kWithinGroupDescending : agg::CallForm::kWithinGroup;
  }
  AggregateCall call;
  std::vector<Type> types;
  const bool of_sampling = e.text == "sum_stderr";
  if (of_sampling) {
    auto args = sampling_error_args(*this, input_, e);
    if (!args) return tl::unexpected(args.error());
    call.args = std::move(*args);
    written.resize(call.args.size(), written[0]);
  } else {
    for (const UnboundExpr* arg : written) {
      auto bound = bind_row(*arg, "an aggregate");
      if (!bound) return bound;
      call.args.push_back(std::move(*bound));
    }
  }
  for (const auto& arg : call.args) types.push_back(arg->type);
  const auto function = agg::resolve(e.text, types, e.distinct, e.star, e.span, form);
  if (!function) return tl::unexpected(function.error());
  call.function = *function;
  for (size_t i = 0; i < call.args.size(); ++i) {
    auto cast = expr::make_cast(std::move(call.args[i]), call.function->arg_types[i], written[i]->span, true);
    if (!cast) return cast;
    call.args[i] = std::move(*cast);
  }
  if (call.function->constant_arg >= 0) {
    const auto at = static_cast<size_t>(call.function->constant_arg);
    const auto checked = check_constant(*call.function, *call.args[at], written[at]->span);
    if (!checked) return tl::unexpected(checked.error());
  }
  call.label = e.text + '(' + (e.distinct ? "DISTINCT " : "") + (e.star ? "*" : "");
  if (of_sampling) call.label += e.args[0]->names.back();
  for (size_t i = 0; i < call.args.size() && !of_sampling; ++i) {
    const bool sorted = e.within_group && i == e.args.size();
    call.label += sorted ? ") WITHIN GROUP (ORDER BY " : i > 0 ? ", " : "";
    call.label += expr::to_string(*call.args[i], input_.schema);
  }
  call.label += form == agg::CallForm::kWithinGroupDescending ? " DESC)" : ")";
  if (e.filter) {
    if (has_aggregate(*e.filter)) return fail("42803", "aggregate functions are not allowed in FILTER", e.filter->span);
    auto filter = bind_row(*e.filter, "FILTER");
    if (!filter) return filter;
    if ((*filter)->type != Type::kBool) return fail("42804", "argument of FILTER must be type boolean", e.filter->span);
    call.label += fmt::format(" FILTER (WHERE {})", expr::to_string(**filter, input_.schema));
    call.filter = std::move(*filter);
  }
  size_t index = 0;
  for (; index < aggregates.size(); ++index) {
    const AggregateCall& other = aggregates[index];
    const bool same_filter =
        (!call.filter && !other.filter) || (call.filter && other.filter && expr::equal(*call.filter, *other.filter));
    if (other.function != call.function || !same_filter) continue;
    bool same_args = true;
    for (size_t i = 0; i < call.args.size(); ++i) same_args &= expr::equal(*call.args[i], *other.args[i]);
    if (same_args) break;
  }
  if (index == aggregates.size()) aggregates.push_back(std::move(call));
  return expr::make_column(static_cast<int>(2 + keys.size() + index), aggregates[index].function->result_type, e.span);
}

Result<ExprPtr> ExprBinder::bind_case(const UnboundExpr& e, Place place, std::string_view clause) {
  ExprPtr operand, otherwise;
  if (e.args[0]) {
    auto bound = bind(*e.args[0], place, clause);
    if (!bound) return bound;
    operand = std::move(*bound);
  }
  std::vector<ExprPtr> whens, thens;
  size_t at = 1;
  for (; at + 1 < e.args.size(); at += 2) {
    auto when = bind(*e.args[at], place, clause);
    if (!when) return when;
    auto then = bind(*e.args[at + 1], place, clause);
    if (!then) return then;
    whens.push_back(std::move(*when));
    thens.push_back(std::move(*then));
  }
  if (at < e.args.size() && e.args[at]) {
    auto bound = bind(*e.args[at], place, clause);
    if (!bound) return bound;
    otherwise = std::move(*bound);
  }
  return expr::make_case(std::move(operand), std::move(whens), std::move(thens), std::move(otherwise), e.span);
}

Result<ExprPtr> ExprBinder::bind_between(const UnboundExpr& e, Place place, std::string_view clause) {
  auto args = bind_all(e.args, place, clause);
  if (!args) return tl::unexpected(args.error());
  const auto within = [&](size_t low, size_t high) -> Result<ExprPtr> {
    auto above = expr::make_operator(">=", list_of(expr::clone(*(*args)[0]), expr::clone(*(*args)[low])), e.span);
    if (!above) return above;
    auto below = expr::make_operator("<=", list_of(expr::clone(*(*args)[0]), expr::clone(*(*args)[high])), e.span);
    if (!below) return below;
    return expr::make_and(list_of(std::move(*above), std::move(*below)), e.span);
  };
  auto result = within(1, 2);
  if (result && e.op == "symmetric") {
    auto swapped = within(2, 1);
    if (!swapped) return swapped;
    result = expr::make_or(list_of(std::move(*result), std::move(*swapped)), e.span);
  }
  return negate_if(e.negated, std::move(result), e.span);
}

/// x op ANY (ARRAY[a, b]): an OR of comparisons; ALL: an AND.
Result<ExprPtr> ExprBinder::bind_quantified(const UnboundExpr& e, Place place, std::string_view clause) {
  auto args = bind_all(e.args, place, clause);
  if (!args) return tl::unexpected(args.error());
  std::vector<ExprPtr> comparisons;
  for (size_t i = 1; i < args->size(); ++i) {
    auto one = expr::make_operator(e.op, list_of(expr::clone(*(*args)[0]), std::move((*args)[i])), e.span);
    if (!one) return one;
    comparisons.push_back(std::move(*one));
  }
  const bool any = e.kind == Kind::kAnyArray;
  if (comparisons.empty()) return expr::make_literal(!any, Type::kBool, e.span);
  auto result = any ? expr::make_or(std::move(comparisons), e.span) : expr::make_and(std::move(comparisons), e.span);
  return negate_if(e.negated, std::move(result), e.span);
}

namespace {

Result<Micros> micros_of(const base::Interval& interval, std::string_view what, SourceSpan span) {
  if (interval.months != 0) {
    return fail("0A000", fmt::format("{} in months or years is not supported: their length varies", what), span,
                "write it in days: interval '30 days'");
  }
  Micros micros = 0;
  if (__builtin_mul_overflow(Micros{interval.days}, 86'400 * base::kMicrosPerSecond, &micros) ||
      __builtin_add_overflow(micros, interval.micros, &micros) || micros > Micros{1} << 60 ||
      micros < -(Micros{1} << 60)) {
    return fail("22008", fmt::format("{} is out of range", what), span);
  }
  return micros;
}

}  // namespace

Result<Micros> constant_interval(const UnboundExpr& e, std::string_view what) {
  const auto interval = interval_literal(e, what);
  if (!interval) return tl::unexpected(interval.error());
  return micros_of(*interval, what, e.span);
}

Result<base::Interval> interval_literal(const UnboundExpr& e, std::string_view what) {
  const Input nothing{};
  ExprBinder binder(nothing);
  auto bound = binder.bind_row(e, what);
  if (!bound) return tl::unexpected(bound.error());
  auto interval = expr::make_cast(std::move(*bound), Type::kInterval, e.span);
  if (!interval) {
    return fail("42804", fmt::format("{} must be an interval", what), e.span, "write it as interval '300 s'");
  }
  if ((*interval)->kind != expr::ExprKind::kLiteral || !std::holds_alternative<base::Interval>((*interval)->literal)) {
    return fail("42804", fmt::format("{} must be a constant interval", what), e.span, "write it as interval '300 s'");
  }
  return std::get<base::Interval>((*interval)->literal);
}

Result<Micros> interval_option(std::string_view text, std::string_view name, SourceSpan span) {
  const auto value = expr::parse_value(text, Type::kInterval, span);
  if (!value) return tl::unexpected(value.error());
  auto micros = micros_of(std::get<base::Interval>(*value), name, span);
  if (micros && *micros < 0) return fail("22023", fmt::format("{} must not be negative", name), span);
  return micros;
}

}  // namespace backstream::plan
