#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace backstream::base {

/// Microseconds since 1970-01-01 00:00 UTC. All times in the program are of this kind.
using Micros = int64_t;
inline constexpr Micros kMicrosPerSecond = 1'000'000;
inline constexpr Micros kMicrosPerMilli = 1'000;
inline constexpr Micros kMinTime = INT64_MIN;  ///< "before everything": a watermark that has not begun
inline constexpr Micros kMaxTime = INT64_MAX;  ///< "after everything": the end of a replay

/// The machine's clock, which may be set while the program runs.
Micros wall_clock() noexcept;

/// The largest multiple of `step_us` (> 0), shifted by `origin_us`, that is <= time_us; floor for negative times too.
inline Micros floor_to(Micros time_us, Micros step_us, Micros origin_us = 0) noexcept {
  const Micros shifted = time_us - origin_us;
  Micros quotient = shifted / step_us;
  if (shifted % step_us < 0) --quotient;
  return quotient * step_us + origin_us;
}

/// PostgreSQL's interval: months and days are kept apart from the clock part.
struct Interval {
  int64_t micros = 0;
  int32_t days = 0;
  int32_t months = 0;
  bool operator==(const Interval&) const = default;
};

/// "2026-01-31 12:05:00+00", fraction only when not zero, as PostgreSQL prints timestamptz in UTC.
/// Writes at `out` (at least 40 bytes), returns the end. No allocation. kMinTime/kMaxTime: "-infinity"/"infinity".
char* format_timestamp(Micros time, char* out) noexcept;
std::string format_timestamp(Micros time);
/// The same without "+00", as PostgreSQL prints timestamp without time zone.
char* format_local_timestamp(Micros time, char* out) noexcept;
std::string format_local_timestamp(Micros time);
/// RFC 3339 with Z: "2026-01-31T12:05:00Z".
char* format_rfc3339(Micros time, char* out) noexcept;
std::string format_rfc3339(Micros time);

/// ISO forms that PostgreSQL accepts: date, optional time with fraction, optional zone (Z, +HH, +HH:MM; none: UTC).
/// `out_of_range` (may be null): set to whether it is of that form, but some field is not of the calendar or clock.
std::optional<Micros> parse_timestamp(std::string_view text, bool* out_of_range = nullptr, bool local = false) noexcept;

/// A flag or setting like "75s", "2 s", "500ms", "1m", "1h", "1d", "1500us": a count and a unit. No unit: refused.
std::optional<Micros> parse_duration(std::string_view text) noexcept;
/// "75 s", "500 ms", "5 min": the largest unit that divides it.
std::string format_duration(Micros duration);

struct CivilTime {
  int32_t year;
  uint8_t month, day, hour, minute, second;
  uint32_t micro;
};
CivilTime to_civil(Micros time) noexcept;
Micros from_civil(const CivilTime& civil) noexcept;

}  // namespace backstream::base
