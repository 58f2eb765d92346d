#include "window/calendar.h"

#include <cassert>

namespace backstream::window {
namespace {

constexpr Micros kDay = 86'400 * base::kMicrosPerSecond;

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

int64_t month_of(int64_t day) {
  const base::CivilTime civil = base::to_civil(day * kDay);
  return (int64_t{civil.year} - 1970) * 12 + civil.month - 1;
}
int64_t first_day(int64_t month) {
  base::CivilTime civil{};
  const int64_t year = floor_div(month, 12);
  civil.year = static_cast<int32_t>(1970 + year);
  civil.month = static_cast<uint8_t>(month - year * 12 + 1);
  civil.day = 1;
  return floor_div(base::from_civil(civil), kDay);
}

}  // namespace

Calendar::Calendar(std::shared_ptr<const base::TimeZone> zone, Unit unit, int32_t count, int32_t offset_days)
    : zone_(std::move(zone)), unit_(unit), count_(count), offset_days_(offset_days) {
  assert(count > 0);
  assert(offset_days >= 0);
  assert(unit == Unit::kDay || offset_days < 28);
  if (unit == Unit::kDay) offset_days_ %= count;
}

int64_t Calendar::number_of(int64_t day) const {
  const int64_t shifted = day - offset_days_;
  return floor_div(unit_ == Unit::kDay ? shifted : month_of(shifted), count_);
}

Micros Calendar::start_of(int64_t number) const {
  const int64_t day = unit_ == Unit::kDay ? number * count_ : first_day(number * count_);
  return zone_->first_at((day + offset_days_) * kDay);
}

Calendar::Span Calendar::window_of(Micros time) const {
  int64_t number = number_of(floor_div(time + zone_->offset_at(time), kDay));
  // Where clocks are put back over midnight a day begins at its first midnight, though they show the day before once
  // more; and where a whole day is left out (Samoa, 2011) two windows begin at one moment.
  while (time < start_of(number)) --number;
  while (time >= start_of(number + 1)) ++number;
  return {start_of(number), start_of(number + 1)};
}

Micros Calendar::longest_us() const {
  // Clocks are put back by less than a day in all.
  return (unit_ == Unit::kDay ? Micros{count_} : Micros{count_} * 31) * kDay + kDay;
}

bool Calendar::holds(const Calendar& shorter) const {
  if (zone_->name() != shorter.zone_->name()) return false;
  if (shorter.unit_ == Unit::kMonth) {
    return unit_ == Unit::kMonth && offset_days_ == shorter.offset_days_ && count_ % shorter.count_ == 0;
  }
  if (unit_ == Unit::kMonth) return shorter.count_ == 1;
  return count_ % shorter.count_ == 0 && (offset_days_ - shorter.offset_days_) % shorter.count_ == 0;
}

std::string Calendar::text() const {
  const std::string unit = unit_ == Unit::kDay ? " day" : " month";
  std::string text = std::to_string(count_) + unit + (count_ == 1 ? "" : "s") + " in " + zone_->name();
  if (offset_days_ != 0) text += ", offset " + std::to_string(offset_days_) + " d";
  return text;
}

bool Calendar::operator==(const Calendar& other) const {
  return zone_->name() == other.zone_->name() && unit_ == other.unit_ && count_ == other.count_ &&
         offset_days_ == other.offset_days_;
}

}  // namespace backstream::window
