#pragma once
// Names of time units and texts of intervals, as PostgreSQL 15 reads them. Private to the room.
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.h"

namespace backstream::expr {

/// What extract, date_trunc and interval texts name. Units up to kMillennium have a length or a calendar meaning; the
/// others are only fields of a time.
enum class TimeUnit : uint8_t {
  kMicrosecond,
  kMillisecond,
  kSecond,
  kMinute,
  kHour,
  kDay,
  kWeek,
  kMonth,
  kQuarter,
  kYear,
  kDecade,
  kCentury,
  kMillennium,
  kTimezone,
  kDayOfWeek,
  kDayOfYear,
  kIsoDayOfWeek,
  kIsoYear,
  kJulian,
  kEpoch,
};

/// By name, whatever its case; only the first ten characters count, as in PostgreSQL.
std::optional<TimeUnit> find_time_unit(std::string_view name);

enum class TextFault : uint8_t {
  kNone,
  kSyntax,  ///< 22007
  kRange,   ///< 22015: a field or the whole is too large
};
/// Reads an interval: '1 day 02:03', '1-2' (years and months), 'P1Y2M', '5 min ago'.
TextFault read_interval(std::string_view text, base::Interval& out);

}  // namespace backstream::expr
