#pragma once
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
/// missing in libstdc++ 12. Zones change by law: nodes of one system need the same release of them. The offset of
/// 1970-01-01 counts for all time before, and that of the end of 2299 for all time after.
class TimeZone {
 public:
  /// @param name  as in the database ("Europe/Berlin"); "UTC", "GMT" and "Z" need no file
  /// Errors: 22023, with the nearest name as hint.
  static Result<std::shared_ptr<const TimeZone>> find(std::string_view name);
  /// Of the contents of a file (RFC 8536, version 2 or later); null when they are no such file.
  static std::shared_ptr<const TimeZone> parse(std::span<const uint8_t> file, std::string name);

  const std::string& name() const { return name_; }
  /// Local time less UTC.
  Micros offset_at(Micros time) const;
  /// The first moment at which local clocks show `local` or later: where they leap over it, the moment of the leap;
  /// where they show it twice, the first.
  /// @param local  microseconds that clocks show since 1970-01-01 00:00
  Micros first_at(Micros local) const;
  /// The greatest duration that divides every offset and a day: local midnights (and all full hours) fall on multiples
  /// of it. An hour for most zones, 15 min for Asia/Kathmandu.
  Micros step_us() const { return step_us_; }

 private:
  struct Period {
    Micros begin;  ///< to the begin of the next one
    Micros offset;
  };
  explicit TimeZone(std::string name) : name_(std::move(name)) {}
  void finish(std::vector<Period> periods);
  size_t period_at(Micros time) const;

  std::string name_;
  std::vector<Period> periods_;  ///< by begin, at least one; the first begins before everything
  Micros step_us_ = 0;
};

}  // namespace backstream::base
