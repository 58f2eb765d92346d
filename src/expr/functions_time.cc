// timestamptz and interval, as in PostgreSQL 15 with TimeZone = 'UTC'.
#include <cmath>
#include <string>

#include "expr/function.h"

namespace backstream::expr {
namespace {

using base::Interval;
using base::Micros;
using Kind = ScalarFunction::Kind;
using Text = std::string_view;
constexpr ValueError kFine = ValueError::kCount;
constexpr ValueError kOverflow = ValueError::kDatetimeOverflow;
constexpr Micros kSecond = base::kMicrosPerSecond, kMinute = 60 * kSecond, kHour = 60 * kMinute, kDay = 24 * kHour;

/// From 4713 BC as PostgreSQL; to 294247 AD, where microseconds since 1970 end (PostgreSQL: 294276).
constexpr Micros kTimeMin = -210866803200 * kSecond;
bool is_infinite(Micros t) { return t == base::kMinTime || t == base::kMaxTime; }
bool in_range(Micros t) { return t >= kTimeMin && t < base::kMaxTime; }

int days_in_month(int64_t year, int month) {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

ValueError add_interval(Micros& r, Micros t, const Interval& by, int sign) {
  if (is_infinite(t)) {
    r = t;
    return kFine;
  }
  if (by.months != 0) {
    base::CivilTime civil = base::to_civil(t);
    const int64_t months =
        static_cast<int64_t>(civil.year) * 12 + (civil.month - 1) + sign * static_cast<int64_t>(by.months);
    const int64_t year = months >= 0 ? months / 12 : -((11 - months) / 12);
    if (year < -5000 || year > 300'000) return kOverflow;
    civil.year = static_cast<int32_t>(year);
    civil.month = static_cast<uint8_t>(months - year * 12 + 1);
    civil.day = static_cast<uint8_t>(std::min<int>(civil.day, days_in_month(year, civil.month)));
    t = base::from_civil(civil);
  }
  Micros days = 0, rest = 0;
  if (__builtin_mul_overflow(sign * static_cast<int64_t>(by.days), kDay, &days) ||
      __builtin_add_overflow(t, days, &t)) {
    return kOverflow;
  }
  if (sign < 0 ? __builtin_sub_overflow(t, by.micros, &rest) : __builtin_add_overflow(t, by.micros, &rest))
    return kOverflow;
  r = rest;
  return in_range(r) ? kFine : kOverflow;
}
ValueError time_plus(KernelContext&, Micros& r, Micros t, const Interval& by) { return add_interval(r, t, by, 1); }
ValueError plus_time(KernelContext&, Micros& r, const Interval& by, Micros t) { return add_interval(r, t, by, 1); }
ValueError time_minus(KernelContext&, Micros& r, Micros t, const Interval& by) { return add_interval(r, t, by, -1); }
ValueError time_difference(KernelContext&, Interval& r, Micros a, Micros b) {
  Micros micros = 0;
  if (is_infinite(a) || is_infinite(b) || __builtin_sub_overflow(a, b, &micros)) return kOverflow;
  r = {micros % kDay, static_cast<int32_t>(micros / kDay), 0};  // justify_hours, as timestamptz_mi does
  return kFine;
}
template <int sign>
ValueError combine(KernelContext&, Interval& r, const Interval& a, const Interval& b) {
  if constexpr (sign > 0) {
    if (__builtin_add_overflow(a.micros, b.micros, &r.micros) || __builtin_add_overflow(a.days, b.days, &r.days) ||
        __builtin_add_overflow(a.months, b.months, &r.months)) {
      return kOverflow;
    }
  } else {
    if (__builtin_sub_overflow(a.micros, b.micros, &r.micros) || __builtin_sub_overflow(a.days, b.days, &r.days) ||
        __builtin_sub_overflow(a.months, b.months, &r.months)) {
      return kOverflow;
    }
  }
  return kFine;
}
ValueError negate(KernelContext& context, Interval& r, const Interval& a) {
  return combine<-1>(context, r, Interval{}, a);
}

/// Fractions of months go to days, those of days to the clock, as interval_mul does.
ValueError scale(Interval& r, const Interval& a, double factor) {
  if (!std::isfinite(factor)) return kOverflow;
  const double months = static_cast<double>(a.months) * factor, days = static_cast<double>(a.days) * factor;
  if (!(std::fabs(months) < 2147483647.0) || !(std::fabs(days) < 2147483647.0)) return kOverflow;
  r.months = static_cast<int32_t>(months);
  r.days = static_cast<int32_t>(days);
  const auto round_micro = [](double v) { return std::rint(v * 1e6) / 1e6; };
  const double month_days = round_micro((months - r.months) * 30.0);
  double seconds = round_micro((days - r.days + month_days - static_cast<int64_t>(month_days)) * 86400.0);
  int64_t whole_days = r.days + static_cast<int64_t>(month_days);
  if (std::fabs(seconds) >= 86400.0) {
    whole_days += static_cast<int64_t>(seconds / 86400.0);
    seconds -= static_cast<double>(static_cast<int64_t>(seconds / 86400.0)) * 86400.0;
  }
  const double micros = std::rint(static_cast<double>(a.micros) * factor + seconds * 1e6);
  if (!(std::fabs(micros) < 9.2233720368547e18) || whole_days != static_cast<int32_t>(whole_days)) return kOverflow;
  r.days = static_cast<int32_t>(whole_days);
  r.micros = static_cast<int64_t>(micros);
  return kFine;
}
ValueError multiply(KernelContext&, Interval& r, const Interval& a, double factor) { return scale(r, a, factor); }
ValueError multiply_left(KernelContext&, Interval& r, double factor, const Interval& a) { return scale(r, a, factor); }
ValueError divide(KernelContext&, Interval& r, const Interval& a, double by) {
  if (by == 0) return ValueError::kDivisionByZero;
  return scale(r, a, 1.0 / by);
}

// --- fields -----------------------------------------------------------------------------------------------------

/// Days since 1970-01-01 of a civil day.
int64_t day_number(Micros t) { return base::floor_to(t, kDay) / kDay; }
int day_of_week(int64_t day) { return static_cast<int>(((day + 4) % 7 + 7) % 7); }  // 1970-01-01 was a Thursday
struct IsoWeek {
  int64_t year;
  int week;
};
IsoWeek iso_week(Micros t) {
  const int64_t day = day_number(t);
  const int64_t thursday = day + 3 - (day_of_week(day) + 6) % 7;
  const base::CivilTime civil = base::to_civil(thursday * kDay);
  base::CivilTime first = civil;
  first.month = 1;
  first.day = 1;
  first.hour = first.minute = first.second = 0;
  first.micro = 0;
  return {civil.year, static_cast<int>((thursday - day_number(base::from_civil(first))) / 7 + 1)};
}

bool is(Text field, Text a, Text b = {}) { return field == a || (!b.empty() && field == b); }

/// PostgreSQL folds the case of field names; so do we.
std::string folded(Text field) {
  std::string name(field);
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return name;
}

ValueError field_of_time(KernelContext&, double& r, Text given, Micros t) {
  const std::string field = folded(given);
  if (is_infinite(t)) {
    if (!is(field, "epoch") && !is(field, "year")) return ValueError::kInvalidParameter;
    r = t > 0 ? HUGE_VAL : -HUGE_VAL;
    return kFine;
  }
  if (is(field, "epoch")) {
    r = static_cast<double>(t) / 1e6;
    return kFine;
  }
  const base::CivilTime c = base::to_civil(t);
  const double seconds = c.second + c.micro / 1e6;
  const double year = c.year > 0 ? c.year : c.year - 1;
  if (is(field, "year", "years")) r = year;
  else if (is(field, "month", "months")) r = c.month;
  else if (is(field, "day", "days")) r = c.day;
  else if (is(field, "hour", "hours")) r = c.hour;
  else if (is(field, "minute", "minutes")) r = c.minute;
  else if (is(field, "second", "seconds")) r = seconds;
  else if (is(field, "milliseconds", "millisecond")) r = c.second * 1e3 + c.micro / 1e3;
  else if (is(field, "microseconds", "microsecond")) r = c.second * 1e6 + c.micro;
  else if (is(field, "dow")) r = day_of_week(day_number(t));
  else if (is(field, "isodow")) r = (day_of_week(day_number(t)) + 6) % 7 + 1;
  else if (is(field, "quarter")) r = (c.month - 1) / 3 + 1;
  else if (is(field, "week")) r = iso_week(t).week;
  else if (is(field, "isoyear")) r = static_cast<double>(iso_week(t).year);
  else if (is(field, "decade")) r = c.year >= 0 ? c.year / 10 : -((8 - (c.year - 1)) / 10);
  else if (is(field, "century")) r = c.year > 0 ? (c.year + 99) / 100 : -((99 - (c.year - 1)) / 100);
  else if (is(field, "millennium")) r = c.year > 0 ? (c.year + 999) / 1000 : -((999 - (c.year - 1)) / 1000);
  else if (is(field, "timezone") || is(field, "timezone_hour") || is(field, "timezone_minute")) r = 0;
  else if (is(field, "doy")) {
    base::CivilTime first = c;
    first.month = 1;
    first.day = 1;
    r = static_cast<double>(day_number(t) - day_number(base::from_civil(first)) + 1);
  } else {
    return ValueError::kInvalidParameter;
  }
  return kFine;
}
ValueError field_of_interval(KernelContext&, double& r, Text given, const Interval& i) {
  const std::string field = folded(given);
  const int64_t seconds = i.micros / kSecond % 60, micro = i.micros % kSecond;
  const int years = i.months / 12;
  if (is(field, "epoch")) {
    r = (static_cast<double>(years) * 365.25 + static_cast<double>(i.months % 12) * 30 + i.days) * 86400.0 +
        static_cast<double>(i.micros) / 1e6;
  } else if (is(field, "year", "years")) r = years;
  else if (is(field, "month", "months")) r = i.months % 12;
  else if (is(field, "day", "days")) r = i.days;
  else if (is(field, "hour", "hours")) r = static_cast<double>(i.micros / kHour);
  else if (is(field, "minute", "minutes")) r = static_cast<double>(i.micros / kMinute % 60);
  else if (is(field, "second", "seconds")) r = static_cast<double>(seconds) + static_cast<double>(micro) / 1e6;
  else if (is(field, "milliseconds", "millisecond"))
    r = static_cast<double>(seconds) * 1e3 + static_cast<double>(micro) / 1e3;
  else if (is(field, "microseconds", "microsecond")) r = static_cast<double>(seconds * kSecond + micro);
  else if (is(field, "quarter")) r = i.months % 12 / 3 + 1;
  else if (is(field, "decade")) r = years / 10;
  else if (is(field, "century")) r = years / 100;
  else if (is(field, "millennium")) r = years / 1000;
  else return ValueError::kInvalidParameter;
  return kFine;
}

ValueError truncate_time(KernelContext&, Micros& r, Text given, Micros t) {
  const std::string field = folded(given);
  if (is_infinite(t)) {
    r = t;
    return kFine;
  }
  Micros step = 0;
  if (is(field, "microseconds", "microsecond")) step = 1;
  else if (is(field, "milliseconds", "millisecond")) step = 1000;
  else if (is(field, "second", "seconds")) step = kSecond;
  else if (is(field, "minute", "minutes")) step = kMinute;
  else if (is(field, "hour", "hours")) step = kHour;
  else if (is(field, "day", "days")) step = kDay;
  if (step != 0) {
    r = base::floor_to(t, step);
    return kFine;
  }
  if (is(field, "week", "weeks")) {
    const int64_t day = day_number(t);
    r = (day - (day_of_week(day) + 6) % 7) * kDay;
    return kFine;
  }
  base::CivilTime c = base::to_civil(t);
  c.hour = c.minute = c.second = 0;
  c.micro = 0;
  c.day = 1;
  const auto century_floor = [&](int span) {
    return c.year > 0 ? (c.year + span - 1) / span * span - span + 1 : -((span - 1 - (c.year - 1)) / span) * span + 1;
  };
  if (is(field, "month", "months")) {
  } else if (is(field, "quarter")) {
    c.month = static_cast<uint8_t>((c.month - 1) / 3 * 3 + 1);
  } else {
    c.month = 1;
    if (is(field, "year", "years")) {
    } else if (is(field, "decade", "decades")) {
      c.year = c.year > 0 ? c.year / 10 * 10 : -((8 - (c.year - 1)) / 10) * 10;
    } else if (is(field, "century", "centuries")) {
      c.year = century_floor(100);
    } else if (is(field, "millennium", "millennia")) {
      c.year = century_floor(1000);
    } else {
      return ValueError::kInvalidParameter;
    }
  }
  r = base::from_civil(c);
  return kFine;
}
ValueError truncate_interval(KernelContext&, Interval& r, Text given, const Interval& i) {
  const std::string field = folded(given);
  r = i;
  const auto clock = [&](Micros step) { r.micros = i.micros / step * step; };
  if (is(field, "microseconds", "microsecond")) return kFine;
  if (is(field, "milliseconds", "millisecond")) return clock(1000), kFine;
  if (is(field, "second", "seconds")) return clock(kSecond), kFine;
  if (is(field, "minute", "minutes")) return clock(kMinute), kFine;
  if (is(field, "hour", "hours")) return clock(kHour), kFine;
  r.micros = 0;
  if (is(field, "day", "days")) return kFine;
  r.days = 0;
  if (is(field, "month", "months")) return kFine;
  if (is(field, "quarter")) return r.months = i.months / 3 * 3, kFine;
  if (is(field, "year", "years")) return r.months = i.months / 12 * 12, kFine;
  if (is(field, "decade", "decades")) return r.months = i.months / 120 * 120, kFine;
  if (is(field, "century", "centuries")) return r.months = i.months / 1200 * 1200, kFine;
  if (is(field, "millennium", "millennia")) return r.months = i.months / 12000 * 12000, kFine;
  return ValueError::kInvalidParameter;
}
ValueError bin(KernelContext&, Micros& r, const Interval& stride, Micros t, Micros origin) {
  if (stride.months != 0) return ValueError::kInvalidParameter;
  Micros step = 0;
  if (__builtin_mul_overflow(static_cast<int64_t>(stride.days), kDay, &step) ||
      __builtin_add_overflow(step, stride.micros, &step)) {
    return kOverflow;
  }
  if (step <= 0 || is_infinite(origin)) return ValueError::kInvalidParameter;
  r = is_infinite(t) ? t : base::floor_to(t, step, origin);
  return kFine;
}
ValueError from_epoch(KernelContext&, Micros& r, double seconds) {
  if (std::isnan(seconds)) return kOverflow;
  if (std::isinf(seconds)) {
    r = seconds > 0 ? base::kMaxTime : base::kMinTime;
    return kFine;
  }
  if (!(std::fabs(seconds) < 9.3e12)) return kOverflow;
  // Whole seconds apart from the fraction, so that today's times keep their microseconds.
  const double whole = std::floor(seconds);
  r = static_cast<Micros>(whole) * kSecond + static_cast<Micros>(std::rint((seconds - whole) * 1e6));
  return in_range(r) ? kFine : kOverflow;
}
/// UTC is the only zone, and timestamps without a zone do not exist here: AT TIME ZONE 'UTC' changes nothing.
ValueError at_zone(KernelContext&, Micros& r, Text zone, Micros t) {
  const std::string name = folded(zone);
  if (name != "utc" && name != "gmt" && name != "z" && name != "etc/utc") return ValueError::kInvalidParameter;
  r = t;
  return kFine;
}
ValueError truncate_in_zone(KernelContext& context, Micros& r, Text field, Micros t, Text zone) {
  const ValueError error = at_zone(context, r, zone, t);
  return error == kFine ? truncate_time(context, r, field, t) : error;
}

}  // namespace

void add_time_functions(std::vector<ScalarFunction>& table) {
  const Type t = Type::kTimestamptz, i = Type::kInterval, d = Type::kFloat8, x = Type::kText;
  const auto op = [&](std::string_view name, std::vector<Type> args, Type result, Kernel k) {
    table.push_back({Kind::kOperator, name, std::move(args), result, k});
  };
  op("+", {t, i}, t, try2<Micros, Micros, Interval, time_plus>);
  op("+", {i, t}, t, try2<Micros, Interval, Micros, plus_time>);
  op("-", {t, i}, t, try2<Micros, Micros, Interval, time_minus>);
  op("-", {t, t}, i, try2<Interval, Micros, Micros, time_difference>);
  op("+", {i, i}, i, try2<Interval, Interval, Interval, combine<1>>);
  op("-", {i, i}, i, try2<Interval, Interval, Interval, combine<-1>>);
  op("-", {i}, i, try1<Interval, Interval, negate>);
  op("*", {i, d}, i, try2<Interval, Interval, double, multiply>);
  op("*", {d, i}, i, try2<Interval, double, Interval, multiply_left>);
  op("/", {i, d}, i, try2<Interval, Interval, double, divide>);
  const auto f = [&](std::string_view name, std::vector<Type> args, Type result, Kernel k) {
    table.push_back({Kind::kFunction, name, std::move(args), result, k});
  };
  for (const char* name : {"extract", "date_part"}) {
    f(name, {x, t}, d, try2<double, Text, Micros, field_of_time>);
    f(name, {x, i}, d, try2<double, Text, Interval, field_of_interval>);
  }
  f("date_trunc", {x, t}, t, try2<Micros, Text, Micros, truncate_time>);
  f("date_trunc", {x, i}, i, try2<Interval, Text, Interval, truncate_interval>);
  f("date_trunc", {x, t, x}, t, try3<Micros, Text, Micros, Text, truncate_in_zone>);
  f("date_bin", {i, t, t}, t, try3<Micros, Interval, Micros, Micros, bin>);
  f("to_timestamp", {d}, t, try1<Micros, double, from_epoch>);
  f("timezone", {x, t}, t, try2<Micros, Text, Micros, at_zone>);
}

}  // namespace backstream::expr
