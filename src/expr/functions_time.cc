// timestamptz and interval, as in PostgreSQL 15 with TimeZone = 'UTC'.
#include <cmath>
#include <string>

#include "expr/function.h"
#include "expr/time_text.h"

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

/// Fractions of months go to days, those of days to the clock, as interval_mul and interval_div do. `by(part)` is the
/// part multiplied or divided, in double.
template <typename By>
ValueError scale(Interval& r, const Interval& a, By&& by) {
  const double months = by(static_cast<double>(a.months)), days = by(static_cast<double>(a.days));
  const auto fits = [](double part) { return part >= -2147483648.0 && part < 2147483648.0; };
  if (!fits(months) || !fits(days)) return kOverflow;
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
  const double micros = std::rint(by(static_cast<double>(a.micros)) + seconds * 1e6);
  if (!(micros >= -9223372036854775808.0 && micros < 9223372036854775808.0)) return kOverflow;
  if (whole_days != static_cast<int32_t>(whole_days)) return kOverflow;
  r.days = static_cast<int32_t>(whole_days);
  r.micros = static_cast<int64_t>(micros);
  return kFine;
}
ValueError multiply(KernelContext&, Interval& r, const Interval& a, double factor) {
  return scale(r, a, [factor](double part) { return part * factor; });
}
ValueError multiply_left(KernelContext& context, Interval& r, double factor, const Interval& a) {
  return multiply(context, r, a, factor);
}
ValueError divide(KernelContext&, Interval& r, const Interval& a, double by) {
  if (by == 0) return ValueError::kDivisionByZero;
  return scale(r, a, [by](double part) { return part / by; });
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

bool is_calendar_unit(std::optional<TimeUnit> unit) { return unit && *unit <= TimeUnit::kTimezone; }

/// Of 'infinity', the fields that only grow are infinite, the others null.
bool grows(TimeUnit unit) {
  return unit == TimeUnit::kYear || unit == TimeUnit::kDecade || unit == TimeUnit::kCentury ||
         unit == TimeUnit::kMillennium || unit == TimeUnit::kIsoYear || unit == TimeUnit::kJulian ||
         unit == TimeUnit::kEpoch;
}
double finite_field(TimeUnit unit, Micros t) {
  const base::CivilTime c = base::to_civil(t);
  switch (unit) {
    case TimeUnit::kEpoch: return static_cast<double>(t) / 1e6;
    case TimeUnit::kYear: return c.year > 0 ? c.year : c.year - 1;
    case TimeUnit::kMonth: return c.month;
    case TimeUnit::kDay: return c.day;
    case TimeUnit::kHour: return c.hour;
    case TimeUnit::kMinute: return c.minute;
    case TimeUnit::kSecond: return c.second + c.micro / 1e6;
    case TimeUnit::kMillisecond: return c.second * 1e3 + c.micro / 1e3;
    case TimeUnit::kMicrosecond: return c.second * 1e6 + c.micro;
    case TimeUnit::kDayOfWeek: return day_of_week(day_number(t));
    case TimeUnit::kIsoDayOfWeek: return (day_of_week(day_number(t)) + 6) % 7 + 1;
    case TimeUnit::kQuarter: return (c.month - 1) / 3 + 1;
    case TimeUnit::kWeek: return iso_week(t).week;
    case TimeUnit::kIsoYear: return static_cast<double>(iso_week(t).year);
    case TimeUnit::kDecade: return c.year >= 0 ? c.year / 10 : -((8 - (c.year - 1)) / 10);
    case TimeUnit::kCentury: return c.year > 0 ? (c.year + 99) / 100 : -((99 - (c.year - 1)) / 100);
    case TimeUnit::kMillennium: return c.year > 0 ? (c.year + 999) / 1000 : -((999 - (c.year - 1)) / 1000);
    case TimeUnit::kTimezone: return 0;
    case TimeUnit::kDayOfYear: {
      base::CivilTime first = c;
      first.month = 1;
      first.day = 1;
      return static_cast<double>(day_number(t) - day_number(base::from_civil(first)) + 1);
    }
    case TimeUnit::kJulian: {
      constexpr int64_t kJulianDayOf1970 = 2440588;
      const double seconds = c.hour * 3600 + c.minute * 60 + c.second + c.micro / 1e6;
      return static_cast<double>(day_number(t) + kJulianDayOf1970) + seconds / 86400.0;
    }
  }
  return 0;
}
void field_of_time(const batch::Column* args, size_t n, batch::Column& out, KernelContext& context) {
  double* r = out.as<double>();
  for (size_t i = 0; i < n; ++i) {
    r[i] = 0;
    if (out.validity[i] == 0) continue;
    const auto unit = find_time_unit(args[0].as<Text>()[i]);
    const Micros t = args[1].as<Micros>()[i];
    if (!unit) {
      context.fail(out, i, ValueError::kInvalidParameter);
    } else if (!is_infinite(t)) {
      r[i] = finite_field(*unit, t);
    } else if (grows(*unit)) {
      r[i] = t > 0 ? HUGE_VAL : -HUGE_VAL;
    } else {
      out.has_nulls = true;
      out.validity[i] = 0;
    }
  }
}
ValueError field_of_interval(KernelContext&, double& r, Text given, const Interval& i) {
  const auto unit = find_time_unit(given);
  if (!unit) return ValueError::kInvalidParameter;
  const int64_t seconds = i.micros / kSecond % 60, micro = i.micros % kSecond;
  const int years = i.months / 12;
  switch (*unit) {
    case TimeUnit::kEpoch:
      // In the order of PostgreSQL's additions, for the same double.
      r = static_cast<double>(i.micros) / 1e6;
      r += 365.25 * 86400 * years;
      r += 30.0 * 86400 * (i.months % 12);
      r += 86400.0 * i.days;
      break;
    case TimeUnit::kYear: r = years; break;
    case TimeUnit::kMonth: r = i.months % 12; break;
    case TimeUnit::kDay: r = i.days; break;
    case TimeUnit::kHour: r = static_cast<double>(i.micros / kHour); break;
    case TimeUnit::kMinute: r = static_cast<double>(i.micros / kMinute % 60); break;
    case TimeUnit::kSecond: r = static_cast<double>(seconds) + static_cast<double>(micro) / 1e6; break;
    case TimeUnit::kMillisecond: r = static_cast<double>(seconds) * 1e3 + static_cast<double>(micro) / 1e3; break;
    case TimeUnit::kMicrosecond: r = static_cast<double>(seconds * kSecond + micro); break;
    case TimeUnit::kQuarter: r = i.months % 12 / 3 + 1; break;
    case TimeUnit::kDecade: r = years / 10; break;
    case TimeUnit::kCentury: r = years / 100; break;
    case TimeUnit::kMillennium: r = years / 1000; break;
    default: return ValueError::kUnsupported;
  }
  return kFine;
}

ValueError truncate(Micros& r, Text given, Micros t) {
  const auto unit = find_time_unit(given);
  if (!is_calendar_unit(unit)) return ValueError::kInvalidParameter;
  base::CivilTime c = base::to_civil(t);
  c.hour = c.minute = c.second = 0;
  c.micro = 0;
  c.day = 1;
  const auto century_floor = [&](int span) {
    return c.year > 0 ? (c.year + span - 1) / span * span - span + 1 : -((span - 1 - (c.year - 1)) / span) * span + 1;
  };
  switch (*unit) {
    case TimeUnit::kMicrosecond: r = t; return kFine;
    case TimeUnit::kMillisecond: r = base::floor_to(t, 1000); return kFine;
    case TimeUnit::kSecond: r = base::floor_to(t, kSecond); return kFine;
    case TimeUnit::kMinute: r = base::floor_to(t, kMinute); return kFine;
    case TimeUnit::kHour: r = base::floor_to(t, kHour); return kFine;
    case TimeUnit::kDay: r = base::floor_to(t, kDay); return kFine;
    case TimeUnit::kWeek: {
      const int64_t day = day_number(t);
      r = (day - (day_of_week(day) + 6) % 7) * kDay;
      return kFine;
    }
    case TimeUnit::kMonth: break;
    case TimeUnit::kQuarter: c.month = static_cast<uint8_t>((c.month - 1) / 3 * 3 + 1); break;
    case TimeUnit::kYear: c.month = 1; break;
    case TimeUnit::kDecade:
      c.month = 1;
      c.year = c.year > 0 ? c.year / 10 * 10 : -((8 - (c.year - 1)) / 10) * 10;
      break;
    case TimeUnit::kCentury:
      c.month = 1;
      c.year = century_floor(100);
      break;
    case TimeUnit::kMillennium:
      c.month = 1;
      c.year = century_floor(1000);
      break;
    default: return ValueError::kUnsupported;
  }
  r = base::from_civil(c);
  return kFine;
}
ValueError truncate_time(KernelContext&, Micros& r, Text given, Micros t) {
  if (is_infinite(t)) {
    r = t;
    return kFine;
  }
  const ValueError error = truncate(r, given, t);
  return error != kFine || in_range(r) ? error : kOverflow;
}
ValueError truncate_interval(KernelContext&, Interval& r, Text given, const Interval& i) {
  const auto unit = find_time_unit(given);
  if (!is_calendar_unit(unit)) return ValueError::kInvalidParameter;
  r = i;
  const auto clock = [&](Micros step) { r.micros = i.micros / step * step; };
  const auto months = [&](int32_t step) { r = {0, 0, i.months / step * step}; };
  switch (*unit) {
    case TimeUnit::kMicrosecond: break;
    case TimeUnit::kMillisecond: clock(1000); break;
    case TimeUnit::kSecond: clock(kSecond); break;
    case TimeUnit::kMinute: clock(kMinute); break;
    case TimeUnit::kHour: clock(kHour); break;
    case TimeUnit::kDay: r.micros = 0; break;
    case TimeUnit::kMonth: months(1); break;
    case TimeUnit::kQuarter: months(3); break;
    case TimeUnit::kYear: months(12); break;
    case TimeUnit::kDecade: months(120); break;
    case TimeUnit::kCentury: months(1200); break;
    case TimeUnit::kMillennium: months(12000); break;
    default: return ValueError::kUnsupported;
  }
  return kFine;
}
ValueError bin(KernelContext&, Micros& r, const Interval& stride, Micros t, Micros origin) {
  if (is_infinite(t)) {
    r = t;
    return kFine;
  }
  if (is_infinite(origin)) return kOverflow;
  if (stride.months != 0) return ValueError::kUnsupported;
  Micros step = 0;
  if (__builtin_mul_overflow(static_cast<int64_t>(stride.days), kDay, &step) ||
      __builtin_add_overflow(step, stride.micros, &step)) {
    return kOverflow;
  }
  if (step <= 0) return kOverflow;
  Micros distance = 0;
  if (__builtin_sub_overflow(t, origin, &distance)) return kOverflow;
  r = base::floor_to(t, step, origin);
  return in_range(r) ? kFine : kOverflow;
}
ValueError from_epoch(KernelContext&, Micros& r, double seconds) {
  if (std::isnan(seconds)) return kOverflow;
  if (std::isinf(seconds)) {
    r = seconds > 0 ? base::kMaxTime : base::kMinTime;
    return kFine;
  }
  if (!(std::fabs(seconds) < 9.3e12)) return kOverflow;
  // Rounded from 2000 on, as PostgreSQL does, so that the same microsecond comes out.
  constexpr double kSecondsTo2000 = 946684800;
  const double micros = std::rint((seconds - kSecondsTo2000) * 1e6);
  if (!(std::fabs(micros) < 9.22e18)) return kOverflow;
  if (__builtin_add_overflow(static_cast<Micros>(micros), static_cast<Micros>(kSecondsTo2000) * kSecond, &r))
    return kOverflow;
  return in_range(r) ? kFine : kOverflow;
}
/// UTC is the only zone, and timestamps without a zone do not exist here: AT TIME ZONE 'UTC' changes nothing.
ValueError at_zone(KernelContext&, Micros& r, Text zone, Micros t) {
  std::string name(zone);
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  if (!is_infinite(t) && name != "utc" && name != "gmt" && name != "z" && name != "etc/utc")
    return ValueError::kInvalidParameter;
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
    f(name, {x, t}, d, field_of_time);
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
