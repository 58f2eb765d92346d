// Arithmetic, bits, comparison of every type, and mathematical functions, as in PostgreSQL 15.
#include <cmath>
#include <compare>
#include <cstdint>
#include <limits>

#include "expr/function.h"

namespace backstream::expr {
namespace {

using base::Inet;
using base::Interval;
using Kind = ScalarFunction::Kind;
constexpr ValueError kFine = ValueError::kCount;
constexpr ValueError kRange = ValueError::kNumericOutOfRange;

template <Type type>
constexpr bool fits(int64_t value) {
  if constexpr (type == Type::kInt2) return value == static_cast<int16_t>(value);
  if constexpr (type == Type::kInt4) return value == static_cast<int32_t>(value);
  return true;
}

enum class Op { kAdd, kSubtract, kMultiply };
/// The common case has no overflow anywhere: one loop without branches, and a second one only to find the rows at
/// fault.
template <Op op, Type type>
void checked(const batch::Column* args, size_t n, batch::Column& out, KernelContext& context) {
  const int64_t* a = args[0].as<int64_t>();
  const int64_t* b = args[1].as<int64_t>();
  int64_t* r = out.as<int64_t>();
  const auto compute = [](int64_t x, int64_t y, int64_t* result) {
    if constexpr (op == Op::kAdd) return __builtin_add_overflow(x, y, result);
    if constexpr (op == Op::kSubtract) return __builtin_sub_overflow(x, y, result);
    return __builtin_mul_overflow(x, y, result);
  };
  bool any = false;
  for (size_t i = 0; i < n; ++i) any |= compute(a[i], b[i], &r[i]) || !fits<type>(r[i]);
  if (!any) return;
  for (size_t i = 0; i < n; ++i) {
    if (out.validity[i] != 0 && (compute(a[i], b[i], &r[i]) || !fits<type>(r[i]))) context.fail(out, i, kRange);
  }
}
template <Type type>
ValueError divide(KernelContext&, int64_t& result, int64_t a, int64_t b) {
  if (b == 0) return ValueError::kDivisionByZero;
  if (b == -1) {
    if (__builtin_sub_overflow(int64_t{0}, a, &result) || !fits<type>(result)) return kRange;
    return kFine;
  }
  result = a / b;
  return kFine;
}
ValueError modulo(KernelContext&, int64_t& result, int64_t a, int64_t b) {
  if (b == 0) return ValueError::kDivisionByZero;
  result = b == -1 ? 0 : a % b;
  return kFine;
}
template <Type type>
ValueError negate(KernelContext&, int64_t& result, int64_t a) {
  return __builtin_sub_overflow(int64_t{0}, a, &result) || !fits<type>(result) ? kRange : kFine;
}
template <Type type>
ValueError absolute(KernelContext& context, int64_t& result, int64_t a) {
  result = a;
  return a < 0 ? negate<type>(context, result, a) : kFine;
}
/// A finite result of finite numbers, or PostgreSQL's overflow and underflow errors.
ValueError in_range(double& result, double value, bool from_infinity, bool from_zero) {
  result = value;
  if (std::isinf(value) && !from_infinity) return kRange;
  if (value == 0 && !from_zero) return kRange;
  return kFine;
}
ValueError add_double(KernelContext&, double& r, double a, double b) {
  return in_range(r, a + b, std::isinf(a) || std::isinf(b), true);
}
ValueError subtract_double(KernelContext&, double& r, double a, double b) {
  return in_range(r, a - b, std::isinf(a) || std::isinf(b), true);
}
ValueError multiply_double(KernelContext&, double& r, double a, double b) {
  return in_range(r, a * b, std::isinf(a) || std::isinf(b), a == 0 || b == 0);
}
ValueError divide_double(KernelContext&, double& r, double a, double b) {
  if (b == 0 && !std::isnan(a)) return ValueError::kDivisionByZero;
  return in_range(r, a / b, std::isinf(a), a == 0 || std::isinf(b));
}
ValueError modulo_double(KernelContext&, double& r, double a, double b) {
  if (b == 0) return ValueError::kDivisionByZero;
  r = std::fmod(a, b);
  return kFine;
}
ValueError power(KernelContext&, double& r, double a, double b) {
  if (a == 0 && b < 0) return ValueError::kInvalidPower;
  if (a < 0 && std::floor(b) != b && !std::isnan(b)) return ValueError::kInvalidPower;
  return in_range(r, std::pow(a, b), std::isinf(a) || std::isinf(b), a == 0 || std::isinf(a) || std::isinf(b));
}
ValueError square_root(KernelContext&, double& r, double a) {
  if (a < 0) return ValueError::kInvalidPower;
  r = std::sqrt(a);
  return kFine;
}
ValueError natural_log(KernelContext&, double& r, double a) {
  if (a <= 0) return ValueError::kInvalidLogarithm;
  r = std::log(a);
  return kFine;
}
ValueError decimal_log(KernelContext&, double& r, double a) {
  if (a <= 0) return ValueError::kInvalidLogarithm;
  r = std::log10(a);
  return kFine;
}
ValueError exponential(KernelContext&, double& r, double a) {
  return in_range(r, std::exp(a), std::isinf(a), std::isinf(a));
}
/// What has no limit at infinity.
template <double (*f)(double)>
ValueError angle(KernelContext&, double& r, double a) {
  if (std::isinf(a)) return ValueError::kNumericOutOfRange;
  r = f(a);
  return kFine;
}
template <double (*f)(double)>
ValueError angle_of(KernelContext&, double& r, double a) {
  if (a < -1 || a > 1) return ValueError::kNumericOutOfRange;
  r = f(a);
  return kFine;
}
template <double (*f)(double)>
double plain(double a) {
  return f(a);
}
double angle_of_point(double y, double x) { return std::atan2(y, x); }
double round_half_even(double a) { return std::nearbyint(a); }
double negate_double(double a) { return -a; }
double absolute_double(double a) { return std::fabs(a); }
double ceiling(double a) { return std::ceil(a); }
double floor_of(double a) { return std::floor(a); }
double truncated(double a) { return std::trunc(a); }
double sign_of(double a) { return static_cast<double>((a > 0) - (a < 0)); }  // NaN has none: 0
/// round(x, digits), trunc(x, digits): on doubles here (PostgreSQL: numeric), so beyond 15 digits they are approximate.
ValueError round_digits(KernelContext&, double& r, double a, int64_t digits) {
  if (digits > 300 || digits < -300 || !std::isfinite(a)) {
    r = digits < 0 && std::isfinite(a) ? 0 : a;
    return kFine;
  }
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = a * scale;
  r = std::isfinite(scaled) ? std::round(scaled) / scale : a;  // half away from zero, as numeric rounds
  return kFine;
}

int64_t bit_and(int64_t a, int64_t b) { return a & b; }
int64_t bit_or(int64_t a, int64_t b) { return a | b; }
int64_t bit_xor(int64_t a, int64_t b) { return a ^ b; }
int64_t bit_not(int64_t a) { return ~a; }
/// Shift counts wrap at the width of the type, as the machine instruction PostgreSQL relies on does.
template <Type type>
int64_t shift_left(int64_t a, int64_t count) {
  if constexpr (type == Type::kInt8) return static_cast<int64_t>(static_cast<uint64_t>(a) << (count & 63));
  if constexpr (type == Type::kInt4) return static_cast<int32_t>(static_cast<uint32_t>(a) << (count & 31));
  return static_cast<int16_t>(static_cast<uint32_t>(a) << (count & 31));
}
template <Type type>
int64_t shift_right(int64_t a, int64_t count) {
  return a >> (count & (type == Type::kInt8 ? 63 : 31));
}

// --- comparison -------------------------------------------------------------------------------------------------

int order(const Inet& a, const Inet& b) {
  const auto c = base::compare(a, b);
  return std::is_gt(c) - std::is_lt(c);
}
int order(std::string_view a, std::string_view b) {
  const int c = a.compare(b);
  return (c > 0) - (c < 0);
}
int order(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return static_cast<int>(std::isnan(a)) - static_cast<int>(std::isnan(b));
  return (a > b) - (a < b);
}
int order(const Interval& a, const Interval& b) {
  __extension__ using Wide = __int128;
  const auto length = [](const Interval& i) {
    return (static_cast<Wide>(i.months) * 30 + i.days) * 86'400'000'000 + i.micros;
  };
  return (length(a) > length(b)) - (length(a) < length(b));
}
template <typename V>
constexpr bool kPlain = std::is_same_v<V, int64_t> || std::is_same_v<V, uint8_t>;
template <typename V>
uint8_t equal_to(const V& a, const V& b) {
  if constexpr (kPlain<V> || std::is_same_v<V, Inet> || std::is_same_v<V, std::string_view>) return a == b;
  else return order(a, b) == 0;
}
template <typename V>
uint8_t not_equal(const V& a, const V& b) {
  return !equal_to<V>(a, b);
}
template <typename V>
uint8_t less(const V& a, const V& b) {
  if constexpr (kPlain<V>) return a < b;
  else return order(a, b) < 0;
}
template <typename V>
uint8_t less_equal(const V& a, const V& b) {
  if constexpr (kPlain<V>) return a <= b;
  else return order(a, b) <= 0;
}
template <typename V>
uint8_t greater(const V& a, const V& b) {
  return less<V>(b, a);
}
template <typename V>
uint8_t greater_equal(const V& a, const V& b) {
  return less_equal<V>(b, a);
}

template <typename V>
void add_comparison(std::vector<ScalarFunction>& table, Type a, Type b) {
  const auto add = [&](std::string_view name, Kernel kernel) {
    table.push_back({Kind::kOperator, name, {a, b}, Type::kBool, kernel});
  };
  add("=", map2<uint8_t, V, V, equal_to<V>>);
  add("<>", map2<uint8_t, V, V, not_equal<V>>);
  add("<", map2<uint8_t, V, V, less<V>>);
  add("<=", map2<uint8_t, V, V, less_equal<V>>);
  add(">", map2<uint8_t, V, V, greater<V>>);
  add(">=", map2<uint8_t, V, V, greater_equal<V>>);
}

template <Type type>
void add_integer(std::vector<ScalarFunction>& table) {
  const auto add2 = [&](std::string_view name, Kernel kernel) {
    table.push_back({Kind::kOperator, name, {type, type}, type, kernel});
  };
  add2("+", checked<Op::kAdd, type>);
  add2("-", checked<Op::kSubtract, type>);
  add2("*", checked<Op::kMultiply, type>);
  add2("/", try2<int64_t, int64_t, int64_t, divide<type>>);
  add2("%", try2<int64_t, int64_t, int64_t, modulo>);
  add2("&", map2<int64_t, int64_t, int64_t, bit_and>);
  add2("|", map2<int64_t, int64_t, int64_t, bit_or>);
  add2("#", map2<int64_t, int64_t, int64_t, bit_xor>);
  table.push_back(
      {Kind::kOperator, "<<", {type, Type::kInt4}, type, map2<int64_t, int64_t, int64_t, shift_left<type>>});
  table.push_back(
      {Kind::kOperator, ">>", {type, Type::kInt4}, type, map2<int64_t, int64_t, int64_t, shift_right<type>>});
  table.push_back({Kind::kOperator, "-", {type}, type, try1<int64_t, int64_t, negate<type>>});
  table.push_back({Kind::kOperator, "~", {type}, type, map1<int64_t, int64_t, bit_not>});
  table.push_back({Kind::kFunction, "abs", {type}, type, try1<int64_t, int64_t, absolute<type>>});
  table.push_back({Kind::kFunction, "mod", {type, type}, type, try2<int64_t, int64_t, int64_t, modulo>});
  table.push_back({Kind::kFunction, "div", {type, type}, type, try2<int64_t, int64_t, int64_t, divide<type>>});
}

}  // namespace

void add_number_functions(std::vector<ScalarFunction>& table) {
  add_integer<Type::kInt2>(table);
  add_integer<Type::kInt4>(table);
  add_integer<Type::kInt8>(table);
  for (const Type type :
       {Type::kInt2, Type::kInt4, Type::kInt8, Type::kTimestamptz, Type::kTimestamp, Type::kMacaddr}) {
    add_comparison<int64_t>(table, type, type);
  }
  add_comparison<uint8_t>(table, Type::kBool, Type::kBool);
  add_comparison<double>(table, Type::kFloat8, Type::kFloat8);
  add_comparison<std::string_view>(table, Type::kText, Type::kText);
  add_comparison<std::string_view>(table, Type::kBytea, Type::kBytea);
  add_comparison<Inet>(table, Type::kInet, Type::kInet);
  add_comparison<Interval>(table, Type::kInterval, Type::kInterval);

  const Type d = Type::kFloat8;
  const auto op = [&](std::string_view name, Kernel kernel) {
    table.push_back({Kind::kOperator, name, {d, d}, d, kernel});
  };
  op("+", try2<double, double, double, add_double>);
  op("-", try2<double, double, double, subtract_double>);
  op("*", try2<double, double, double, multiply_double>);
  op("/", try2<double, double, double, divide_double>);
  op("%", try2<double, double, double, modulo_double>);
  op("^", try2<double, double, double, power>);
  table.push_back({Kind::kOperator, "-", {d}, d, map1<double, double, negate_double>});
  const auto f1 = [&](std::string_view name, Kernel kernel) {
    table.push_back({Kind::kFunction, name, {d}, d, kernel});
  };
  f1("abs", map1<double, double, absolute_double>);
  f1("round", map1<double, double, round_half_even>);
  f1("ceil", map1<double, double, ceiling>);
  f1("ceiling", map1<double, double, ceiling>);
  f1("floor", map1<double, double, floor_of>);
  f1("trunc", map1<double, double, truncated>);
  f1("sign", map1<double, double, sign_of>);
  f1("sqrt", try1<double, double, square_root>);
  f1("ln", try1<double, double, natural_log>);
  f1("log", try1<double, double, decimal_log>);
  f1("log10", try1<double, double, decimal_log>);
  f1("exp", try1<double, double, exponential>);
  f1("sin", try1<double, double, angle<std::sin>>);
  f1("cos", try1<double, double, angle<std::cos>>);
  f1("tan", try1<double, double, angle<std::tan>>);
  f1("asin", try1<double, double, angle_of<std::asin>>);
  f1("acos", try1<double, double, angle_of<std::acos>>);
  f1("atan", map1<double, double, plain<std::atan>>);
  f1("sinh", map1<double, double, plain<std::sinh>>);
  f1("cosh", map1<double, double, plain<std::cosh>>);
  f1("tanh", map1<double, double, plain<std::tanh>>);
  const auto f2 = [&](std::string_view name, Kernel kernel) {
    table.push_back({Kind::kFunction, name, {d, d}, d, kernel});
  };
  f2("atan2", map2<double, double, double, angle_of_point>);
  f2("power", try2<double, double, double, power>);
  f2("pow", try2<double, double, double, power>);
  f2("mod", try2<double, double, double, modulo_double>);
  table.push_back({Kind::kFunction, "round", {d, Type::kInt4}, d, try2<double, double, int64_t, round_digits>});
}

}  // namespace backstream::expr
