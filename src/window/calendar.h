#pragma once
#include <memory>
#include <string>

#include "base/time.h"
#include "base/time_zone.h"

namespace backstream::window {

using base::Micros;

/// Windows of whole days or months by the calendar of a time zone: each from a local midnight to a later one, so that
/// a day may have 23 or 25 hours. Counted from 1970-01-01. Immutable.
class Calendar {
 public:
  enum class Unit : uint8_t { kDay, kMonth };
  struct Span {
    Micros start, end;
    bool operator==(const Span&) const = default;
  };

  /// @param count        days or months of a window, > 0
  /// @param offset_days  windows begin so many days after 1970-01-01, or after the first of a month (then < 28); >= 0
  Calendar(std::shared_ptr<const base::TimeZone> zone, Unit unit, int32_t count, int32_t offset_days);

  /// The window that holds the moment; its span is never empty. `time` within 146,000 years of 1970.
  Span window_of(Micros time) const;
  /// Every window begins at a multiple of this.
  Micros step_us() const { return zone_->step_us(); }
  /// No window is longer.
  Micros longest_us() const;
  /// Does every window of `shorter` lie in one window of this?
  bool holds(const Calendar& shorter) const;
  /// "1 month in Europe/Berlin".
  std::string text() const;

  const base::TimeZone& zone() const { return *zone_; }
  bool operator==(const Calendar& other) const;

 private:
  int64_t number_of(int64_t day) const;  ///< of the window that holds the local day (from 1970)
  Micros start_of(int64_t number) const;

  std::shared_ptr<const base::TimeZone> zone_;
  Unit unit_;
  int32_t count_, offset_days_;
};

}  // namespace backstream::window
