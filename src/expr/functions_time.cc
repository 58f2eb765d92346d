// timestamptz and interval, as in PostgreSQL 15 with TimeZone = 'UTC'.
#include <fmt/format.h>

#include <cmath>
#include <string>

#include "base/time_zone.h"
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
/// What clocks of some zone show then; values of null rows may be less.
constexpr Micros kLocalMin = kTimeMin - 16 * kDay;
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

/// A unit or zone that stands in the query's text, looked up when the call was bound.
struct TimeConstants {
  std::optional<TimeUnit> unit;
  std::shared_ptr<const base::TimeZone> zone;
};
const std::string* literal_text(const Expr& e) {
  return e.kind == ExprKind::kLiteral ? std::get_if<std::string>(&e.literal) : nullptr;
}
/// @param unit, zone  places of the arguments, -1 for none
/// @param calendar    only units that date_trunc takes
template <int unit, int zone, bool calendar>
Result<std::shared_ptr<const void>> prepare(const std::vector<ExprPtr>& args) {
  auto made = std::make_shared<TimeConstants>();
  if constexpr (unit >= 0) {
    if (const std::string* name = literal_text(*args[unit])) {
      made->unit = find_time_unit(*name);
      if (!made->unit || (calendar && !is_calendar_unit(made->unit))) {
        return base::fail("22023", fmt::format("unit \"{}\" not recognized", *name), args[unit]->span,
                          "units are such as 'hour', 'day', 'week', 'month'");
      }
    }
  }
  if constexpr (zone >= 0) {
    if (const std::string* name = literal_text(*args[zone])) {
      auto found = base::TimeZone::find(*name);
      if (!found) {
        found.error().span = args[zone]->span;
        return tl::unexpected(found.error());
      }
      made->zone = std::move(*found);
    }
  }
  return std::shared_ptr<const void>(std::move(made));
}
const TimeConstants& constants(const KernelContext& context) {
  static const TimeConstants kNone;
  return context.prepared == nullptr ? kNone : *static_cast<const TimeConstants*>(context.prepared);
}

/// Of 'infinity', the fields that only grow are infinite, the others null.
bool grows(TimeUnit unit) {
  return unit == TimeUnit::kYear || unit == TimeUnit::kDecade || unit == TimeUnit::kCentury ||
         unit == TimeUnit::kMillennium || unit == TimeUnit::kIsoYear || unit == TimeUnit::kJulian ||
         unit == TimeUnit::kEpoch;
}
/// Micros since midnight.
Micros clock_of(Micros t) { return t - base::floor_to(t, kDay); }
/// A field that the day alone decides.
double field_of_day(TimeUnit unit, int64_t day) {
  const base::CivilTime c = base::to_civil(day * kDay);
  const int quarter = (c.month - 1) / 3 + 1;
  switch (unit) {
    case TimeUnit::kYear: return c.year > 0 ? c.year : c.year - 1;
    case TimeUnit::kMonth: return c.month;
    case TimeUnit::kDay: return c.day;
    case TimeUnit::kQuarter: return quarter;
    case TimeUnit::kWeek: return iso_week(day * kDay).week;
    case TimeUnit::kIsoYear: return static_cast<double>(iso_week(day * kDay).year);
    case TimeUnit::kDecade: return c.year >= 0 ? c.year / 10 : -((8 - (c.year - 1)) / 10);
    case TimeUnit::kCentury: return c.year > 0 ? (c.year + 99) / 100 : -((99 - (c.year - 1)) / 100);
    case TimeUnit::kMillennium: return c.year > 0 ? (c.year + 999) / 1000 : -((999 - (c.year - 1)) / 1000);
    case TimeUnit::kDayOfYear: {
      base::CivilTime first = c;
      first.month = 1;
      first.day = 1;
      return static_cast<double>(day - day_number(base::from_civil(first)) + 1);
    }
    default: return 0;
  }
}
/// r[i] = of(t[i]) for all rows, whatever is in those that are null or infinite.
template <typename R, typename Of>
void for_all(const Micros* t, size_t n, R* r, Of&& of) {
  for (size_t i = 0; i < n; ++i) r[i] = of(std::max(t[i], kLocalMin));
}
/// The same where the day alone decides: computed anew only where the day is another than in the row before.
template <typename R, typename Of>
void for_days(const Micros* t, size_t n, R* r, Of&& of) {
  Micros midnight = base::kMinTime;  // No row's: all are later by more than a day.
  R last{};
  for (size_t i = 0; i < n; ++i) {
    if (is_infinite(t[i])) continue;
    const Micros v = std::max(t[i], kLocalMin);
    if (static_cast<uint64_t>(v) - static_cast<uint64_t>(midnight) >= static_cast<uint64_t>(kDay)) {
      midnight = base::floor_to(v, kDay);
      last = of(midnight / kDay);
    }
    r[i] = last;
  }
}
/// The field of all rows that are finite, in one loop for each unit.
void finite_fields(TimeUnit unit, const Micros* t, size_t n, double* r) {
  const auto integer = [](auto value) { return static_cast<double>(value); };
  switch (unit) {
    case TimeUnit::kEpoch: return for_all(t, n, r, [&](Micros v) { return integer(v) / 1e6; });
    case TimeUnit::kHour: return for_all(t, n, r, [&](Micros v) { return integer(clock_of(v) / kHour); });
    case TimeUnit::kMinute: return for_all(t, n, r, [&](Micros v) { return integer(clock_of(v) / kMinute % 60); });
    case TimeUnit::kSecond:
      return for_all(t, n, r, [&](Micros v) {
        const Micros clock = clock_of(v);
        return integer(clock / kSecond % 60) + integer(clock % kSecond) / 1e6;
      });
    case TimeUnit::kMillisecond:
      return for_all(t, n, r, [&](Micros v) {
        const Micros clock = clock_of(v);
        return integer(clock / kSecond % 60) * 1e3 + integer(clock % kSecond) / 1e3;
      });
    case TimeUnit::kMicrosecond: return for_all(t, n, r, [&](Micros v) { return integer(clock_of(v) % kMinute); });
    case TimeUnit::kDayOfWeek: return for_all(t, n, r, [&](Micros v) { return integer(day_of_week(day_number(v))); });
    case TimeUnit::kIsoDayOfWeek:
      return for_all(t, n, r, [&](Micros v) { return integer((day_of_week(day_number(v)) + 6) % 7 + 1); });
    case TimeUnit::kTimezone: return for_all(t, n, r, [](Micros) { return 0.0; });
    case TimeUnit::kJulian: {
      constexpr int64_t kJulianDayOf1970 = 2440588;
      return for_all(t, n, r, [&](Micros v) {
        const Micros clock = clock_of(v);
        const double seconds = integer(clock / kSecond) + integer(clock % kSecond) / 1e6;
        return integer(day_number(v) + kJulianDayOf1970) + seconds / 86400.0;
      });
    }
    default: return for_days(t, n, r, [&](int64_t day) { return field_of_day(unit, day); });
  }
}
/// @param zoned  of timestamptz, which has a zone as a field
template <bool zoned>
void field_of_time(const batch::Column* args, size_t n, batch::Column& out, KernelContext& context) {
  double* r = out.as<double>();
  const Micros* t = args[1].as<Micros>();
  std::optional<TimeUnit> unit = constants(context).unit;
  const bool constant = unit.has_value();
  if (constant) finite_fields(*unit, t, n, r);
  for (size_t i = 0; i < n; ++i) {
    if (constant && !is_infinite(t[i]) && (zoned || *unit != TimeUnit::kTimezone)) continue;
    if (!constant) r[i] = 0;
    if (out.validity[i] == 0) continue;
    if (!constant) unit = find_time_unit(args[0].as<Text>()[i]);
    if (!unit) {
      context.fail(out, i, ValueError::kInvalidParameter);
    } else if (!zoned && *unit == TimeUnit::kTimezone && !is_infinite(t[i])) {
      context.fail(out, i, ValueError::kUnsupported);
    } else if (!is_infinite(t[i])) {
      finite_fields(*unit, t + i, 1, r + i);
    } else if (grows(*unit)) {
      r[i] = t[i] > 0 ? HUGE_VAL : -HUGE_VAL;
    } else {
      out.has_nulls = true;
      out.validity[i] = 0;
    }
  }
}
ValueError field_of_interval(std::optional<TimeUnit> unit, double& r, const Interval& i) {
  if (!unit) return ValueError::kInvalidParameter;
  const int64_t seconds = i.micros / kSecond % 60, micro = i.micros % kSecond;
  const int64_t hours = i.micros / kHour;
  const int years = i.months / 12, quarter = i.months % 12 / 3 + 1;
  const int decades = years / 10, centuries = years / 100, millennia = years / 1000;
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
    case TimeUnit::kHour: r = static_cast<double>(hours); break;
    case TimeUnit::kMinute: r = static_cast<double>(i.micros / kMinute % 60); break;
    case TimeUnit::kSecond: r = static_cast<double>(seconds) + static_cast<double>(micro) / 1e6; break;
    case TimeUnit::kMillisecond: r = static_cast<double>(seconds) * 1e3 + static_cast<double>(micro) / 1e3; break;
    case TimeUnit::kMicrosecond: r = static_cast<double>(seconds * kSecond + micro); break;
    case TimeUnit::kQuarter: r = quarter; break;
    case TimeUnit::kDecade: r = decades; break;
    case TimeUnit::kCentury: r = centuries; break;
    case TimeUnit::kMillennium: r = millennia; break;
    default: return ValueError::kUnsupported;
  }
  return kFine;
}

/// f(unit, result, value) for each row, the unit looked up per row only where it is no constant.
template <typename R, typename A, auto f>
void by_unit(const batch::Column* args, size_t n, batch::Column& out, KernelContext& context) {
  const std::optional<TimeUnit> constant = constants(context).unit;
  for (size_t i = 0; i < n; ++i) {
    out.as<R>()[i] = R{};
    if (out.validity[i] == 0) continue;
    const auto unit = constant ? constant : find_time_unit(args[0].as<Text>()[i]);
    const ValueError error = f(unit, out.as<R>()[i], args[1].as<A>()[i]);
    if (error != kFine) context.fail(out, i, error);
  }
}

/// The first day of the month, quarter, ... that holds the day.
int64_t truncated_day(TimeUnit unit, int64_t day) {
  if (unit == TimeUnit::kWeek) return day - (day_of_week(day) + 6) % 7;
  base::CivilTime c = base::to_civil(day * kDay);
  c.day = 1;
  if (unit == TimeUnit::kQuarter) c.month = static_cast<uint8_t>((c.month - 1) / 3 * 3 + 1);
  else if (unit != TimeUnit::kMonth) c.month = 1;
  const auto century_floor = [&](int span) {
    return c.year > 0 ? (c.year + span - 1) / span * span - span + 1 : -((span - 1 - (c.year - 1)) / span) * span + 1;
  };
  if (unit == TimeUnit::kDecade) c.year = c.year > 0 ? c.year / 10 * 10 : -((8 - (c.year - 1)) / 10) * 10;
  else if (unit == TimeUnit::kCentury) c.year = century_floor(100);
  else if (unit == TimeUnit::kMillennium) c.year = century_floor(1000);
  return day_number(base::from_civil(c));
}
/// Of the units of fixed length, in microseconds; 0 for the others.
Micros length_of(TimeUnit unit) {
  switch (unit) {
    case TimeUnit::kMicrosecond: return 1;
    case TimeUnit::kMillisecond: return 1000;
    case TimeUnit::kSecond: return kSecond;
    case TimeUnit::kMinute: return kMinute;
    case TimeUnit::kHour: return kHour;
    case TimeUnit::kDay: return kDay;
    default: return 0;
  }
}
/// The begin of the unit around each row that is finite.
void truncate_finite(TimeUnit unit, const Micros* t, size_t n, Micros* r) {
  switch (unit) {
    case TimeUnit::kMicrosecond: return for_all(t, n, r, [](Micros v) { return v; });
    case TimeUnit::kMillisecond: return for_all(t, n, r, [](Micros v) { return base::floor_to(v, 1000); });
    case TimeUnit::kSecond: return for_all(t, n, r, [](Micros v) { return base::floor_to(v, kSecond); });
    case TimeUnit::kMinute: return for_all(t, n, r, [](Micros v) { return base::floor_to(v, kMinute); });
    case TimeUnit::kHour: return for_all(t, n, r, [](Micros v) { return base::floor_to(v, kHour); });
    case TimeUnit::kDay: return for_all(t, n, r, [](Micros v) { return base::floor_to(v, kDay); });
    default: return for_days(t, n, r, [unit](int64_t day) { return truncated_day(unit, day) * kDay; });
  }
}
/// The same as clocks of a zone show it. Of units below a day the offset stays that of the time itself, as in
/// PostgreSQL.
ValueError truncate_in_zone(TimeUnit unit, const base::TimeZone& zone, base::TimeZone::Span& span, Micros t,
                            Micros& r) {
  if (!span.holds(t)) span = zone.span_at(t);
  Micros local = 0;
  if (__builtin_add_overflow(t, span.offset, &local)) return kOverflow;
  truncate_finite(unit, &local, 1, &local);
  const bool below_day = length_of(unit) != 0 && unit != TimeUnit::kDay;
  const Micros offset = below_day ? span.offset : zone.offset_of_local(local);
  return !__builtin_sub_overflow(local, offset, &r) && in_range(r) ? kFine : kOverflow;
}
void truncate_times(const batch::Column* args, size_t n, batch::Column& out, KernelContext& context) {
  Micros* r = out.as<Micros>();
  const Micros* t = args[1].as<Micros>();
  std::optional<TimeUnit> unit = constants(context).unit;
  const bool constant = unit.has_value() && *unit != TimeUnit::kTimezone;
  if (constant) truncate_finite(*unit, t, n, r);
  for (size_t i = 0; i < n; ++i) {
    if (constant && !is_infinite(t[i]) && in_range(r[i])) continue;
    if (is_infinite(t[i]) || out.validity[i] == 0) {
      r[i] = t[i];
      continue;
    }
    if (!constant) {
      unit = find_time_unit(args[0].as<Text>()[i]);
      r[i] = 0;
      if (!is_calendar_unit(unit)) {
        context.fail(out, i, ValueError::kInvalidParameter);
        continue;
      }
      if (*unit == TimeUnit::kTimezone) {
        context.fail(out, i, ValueError::kUnsupported);
        continue;
      }
      truncate_finite(*unit, t + i, 1, r + i);
    }
    if (!in_range(r[i])) context.fail(out, i, kOverflow);
  }
}
void truncate_times_in_zone(const batch::Column* args, size_t n, batch::Column& out, KernelContext& context) {
  Micros* r = out.as<Micros>();
  const Micros* t = args[1].as<Micros>();
  const TimeConstants& known = constants(context);
  base::TimeZone::Span span;
  std::shared_ptr<const base::TimeZone> found;
  const base::TimeZone* zone = known.zone.get();
  for (size_t i = 0; i < n; ++i) {
    r[i] = t[i];
    if (out.validity[i] == 0 || is_infinite(t[i])) continue;
    const auto unit = known.unit ? known.unit : find_time_unit(args[0].as<Text>()[i]);
    if (!known.zone) {
      found = base::TimeZone::find_kept(args[2].as<Text>()[i]);
      if (found.get() != zone) span = {};
      zone = found.get();
    }
    ValueError error = ValueError::kInvalidParameter;
    if (zone != nullptr && is_calendar_unit(unit)) {
      error =
          *unit == TimeUnit::kTimezone ? ValueError::kUnsupported : truncate_in_zone(*unit, *zone, span, t[i], r[i]);
    }
    if (error != kFine) context.fail(out, i, error);
  }
}
ValueError truncate_interval(std::optional<TimeUnit> unit, Interval& r, const Interval& i) {
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
/// AT TIME ZONE: what clocks of the zone show at a moment, or with `back` the moment at which they show a time.
template <bool back>
void at_zone(const batch::Column* args, size_t n, batch::Column& out, KernelContext& context) {
  Micros* r = out.as<Micros>();
  const Micros* t = args[1].as<Micros>();
  const TimeConstants& known = constants(context);
  const base::TimeZone* zone = known.zone.get();
  std::shared_ptr<const base::TimeZone> found;
  base::TimeZone::Span span;
  for (size_t i = 0; i < n; ++i) {
    r[i] = t[i];
    if (out.validity[i] == 0 || is_infinite(t[i])) continue;
    if (!known.zone) {
      found = base::TimeZone::find_kept(args[0].as<Text>()[i]);
      if (found.get() != zone) span = {};
      zone = found.get();
      if (zone == nullptr) {
        context.fail(out, i, ValueError::kInvalidParameter);
        continue;
      }
    }
    if constexpr (back) {
      if (__builtin_sub_overflow(t[i], zone->offset_of_local(t[i]), &r[i])) r[i] = base::kMaxTime;
    } else {
      if (!span.holds(t[i])) span = zone->span_at(t[i]);
      if (__builtin_add_overflow(t[i], span.offset, &r[i])) r[i] = base::kMaxTime;
    }
    if (!in_range(r[i])) context.fail(out, i, kOverflow);
  }
}
/// The same with an interval, which counts east of Greenwich.
template <int sign>
ValueError at_offset(KernelContext&, Micros& r, const Interval& offset, Micros t) {
  r = t;
  if (is_infinite(t)) return kFine;
  if (offset.months != 0 || offset.days != 0) return ValueError::kInvalidParameter;
  // PostgreSQL counts whole seconds.
  const Micros micros = offset.micros / kSecond * kSecond;
  if (sign > 0 ? __builtin_add_overflow(t, micros, &r) : __builtin_sub_overflow(t, micros, &r)) return kOverflow;
  return in_range(r) ? kFine : kOverflow;
}

}  // namespace

void add_time_functions(std::vector<ScalarFunction>& table) {
  const Type t = Type::kTimestamptz, l = Type::kTimestamp, i = Type::kInterval, d = Type::kFloat8, x = Type::kText;
  const auto op = [&](std::string_view name, std::vector<Type> args, Type result, Kernel k) {
    table.push_back({Kind::kOperator, name, std::move(args), result, k});
  };
  const auto f = [&](std::string_view name, std::vector<Type> args, Type result, Kernel k, Prepare p = nullptr) {
    table.push_back({Kind::kFunction, name, std::move(args), result, k, false, p});
  };
  for (const Type time : {t, l}) {
    op("+", {time, i}, time, try2<Micros, Micros, Interval, time_plus>);
    op("+", {i, time}, time, try2<Micros, Interval, Micros, plus_time>);
    op("-", {time, i}, time, try2<Micros, Micros, Interval, time_minus>);
    op("-", {time, time}, i, try2<Interval, Micros, Micros, time_difference>);
    f("date_trunc", {x, time}, time, truncate_times, prepare<0, -1, true>);
    f("date_bin", {i, time, time}, time, try3<Micros, Interval, Micros, Micros, bin>);
  }
  op("+", {i, i}, i, try2<Interval, Interval, Interval, combine<1>>);
  op("-", {i, i}, i, try2<Interval, Interval, Interval, combine<-1>>);
  op("-", {i}, i, try1<Interval, Interval, negate>);
  op("*", {i, d}, i, try2<Interval, Interval, double, multiply>);
  op("*", {d, i}, i, try2<Interval, double, Interval, multiply_left>);
  op("/", {i, d}, i, try2<Interval, Interval, double, divide>);
  for (const char* name : {"extract", "date_part"}) {
    f(name, {x, t}, d, field_of_time<true>, prepare<0, -1, false>);
    f(name, {x, l}, d, field_of_time<false>, prepare<0, -1, false>);
    f(name, {x, i}, d, by_unit<double, Interval, field_of_interval>, prepare<0, -1, false>);
  }
  f("date_trunc", {x, i}, i, by_unit<Interval, Interval, truncate_interval>, prepare<0, -1, true>);
  f("date_trunc", {x, t, x}, t, truncate_times_in_zone, prepare<0, 2, true>);
  f("to_timestamp", {d}, t, try1<Micros, double, from_epoch>);
  f("timezone", {x, t}, l, at_zone<false>, prepare<-1, 0, false>);
  f("timezone", {x, l}, t, at_zone<true>, prepare<-1, 0, false>);
  f("timezone", {i, t}, l, try2<Micros, Interval, Micros, at_offset<1>>);
  f("timezone", {i, l}, t, try2<Micros, Interval, Micros, at_offset<-1>>);
}

}  // namespace backstream::expr
