#pragma once
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"

namespace backstream::base {

/// A time zone of the IANA database: how far local clocks are from UTC at every moment. Immutable.
///
/// Read from the system's files (package tzdata; folder TZDIR, else /usr/share/zoneinfo), because std::chrono's are
/// missing in libstdc++ 12. Zones change by law: nodes of one system need the same release of them. After the last
/// year that the file names, its rule counts for ever.
class TimeZone {
 public:
  /// @param name  as in the database, whatever its case ("Europe/Berlin"); "UTC", "GMT" and "Z" need no file; or an
  ///              offset as POSIX writes it, which counts west of Greenwich, as PostgreSQL reads it too: "+03",
  ///              "UTC-5:30", "<+03>-3"
  /// Errors: 22023, with the nearest name as hint. Abbreviations that depend on who reads them ("CET") are refused.
  static Result<std::shared_ptr<const TimeZone>> find(std::string_view name);
  /// The same without a reason: null for what is not known. Keeps the zones of the calling thread that were asked for,
  /// known or not, a thousand of them: for names that come with rows.
  static std::shared_ptr<const TimeZone> find_kept(std::string_view name);
  /// Of the contents of a file (RFC 8536, version 2 or later); null when they are no such file.
  static std::shared_ptr<const TimeZone> parse(std::span<const uint8_t> file, std::string name);

  const std::string& name() const { return name_; }

  // --- of the calendar: the offset of 1970-01-01 counts for all time before, and that of the end of 2439 after ----
  // Local mean times before are no multiples of a minute.

  /// Local time less UTC.
  Micros offset_at(Micros time) const;
  /// The first moment at which local clocks show `local` or later: where they leap over it, the moment of the leap;
  /// where they show it twice, the first.
  /// @param local  microseconds that clocks show since 1970-01-01 00:00
  Micros first_at(Micros local) const;
  /// The greatest duration that divides every offset and a day: local midnights (and all full hours) fall on multiples
  /// of it. An hour for most zones, 15 min for Asia/Kathmandu.
  Micros step_us() const { return step_us_; }

  // --- of all time, as PostgreSQL's AT TIME ZONE ------------------------------------------------------------------

  /// A span of time with one offset, local time less UTC.
  struct Span {
    Micros begin = 0, end = 0;  ///< [begin, end)
    Micros offset = 0;
    bool holds(Micros time) const { return time >= begin && time < end; }
  };
  /// The span around `time`; it may be cut off where the rule begins anew.
  Span span_at(Micros time) const;
  /// The offset at the moment when clocks show `local`. Where they leap over it, that before the leap; where they show
  /// it twice, the second. Source: DetermineTimeZoneOffset in PostgreSQL's datetime.c.
  Micros offset_of_local(Micros local) const;

 private:
  struct Period {
    Micros begin;  ///< to the begin of the next one
    Micros offset;
  };
  explicit TimeZone(std::string name) : name_(std::move(name)) {}
  void finish(const std::vector<Period>& periods);
  size_t period_at(Micros time) const;
  size_t calendar_period_at(Micros time) const { return std::max(period_at(time), calendar_first_); }
  /// Multiples of 400 years to be taken off, so that the rest is in the periods.
  Micros beyond(Micros time) const;
  static std::shared_ptr<const TimeZone> load(std::string_view name);

  std::string name_;
  std::vector<Period> periods_;  ///< by begin, at least one; the first begins before everything
  size_t calendar_first_ = 0;    ///< period of 1970-01-01
  bool repeats_ = false;         ///< the periods of 400 years are all of a rule with summer time, which goes on so
  Micros step_us_ = 0;
};

}  // namespace backstream::base
