#include "plan/bind_calendar.h"

#include <fmt/format.h>

namespace backstream::plan {

using base::fail;

namespace {

constexpr int32_t kDaysMax = 3'660, kMonthsMax = 120;

Result<std::shared_ptr<const base::TimeZone>> bind_zone(const UnboundExpr* zone) {
  if (zone == nullptr) return base::TimeZone::find("UTC");
  if (zone->kind != UnboundExpr::Kind::kString) {
    return fail("42804", "timezone is a constant text", zone->span, "timezone => 'Europe/Berlin'");
  }
  auto found = base::TimeZone::find(zone->text);
  if (!found) found.error().span = zone->span;
  return found;
}

/// Every window below lies in one window of the calendar, or it is told why not.
Result<void> check_below(const window::Calendar& calendar, const Window& below, const UnboundFrom& from) {
  const std::string whole = fmt::format("windows of {}", calendar.text());
  if (below.kind == Window::Kind::kHop && below.slide_us < below.size_us) {
    return fail("0A000", fmt::format("{} over hop windows would count rows twice", whole), from.span,
                "let the query below use tumble");
  }
  if (below.calendar) {
    if (calendar.holds(*below.calendar)) return {};
    return fail("0A000", fmt::format("{} cannot be made of windows of {}", whole, below.calendar->text()), from.span,
                "a window below would lie in two of them: use days of the same time zone below");
  }
  const Micros step = calendar.step_us();
  if (step % below.size_us == 0 && below.offset_us == 0) return {};
  if (step % below.size_us == 0) {
    return fail("0A000", fmt::format("{} cannot be made of windows with an offset", whole), from.span,
                "a window below would lie in two of them: leave the offset out below");
  }
  return fail("0A000", fmt::format("{} cannot be made of windows of {}", whole, base::format_duration(below.size_us)),
              from.span,
              fmt::format("midnights of {} fall on multiples of {} in UTC: use windows below that divide it",
                          calendar.zone().name(), base::format_duration(step)));
}

}  // namespace

Result<std::shared_ptr<const window::Calendar>> bind_calendar(const UnboundFrom& from, const base::Interval& size,
                                                              const UnboundExpr& size_text, const UnboundExpr* offset,
                                                              const UnboundExpr* zone,
                                                              const std::optional<Window>& below) {
  using window::Calendar;
  if (from.name == "hop") {
    return fail("0A000", "hop by days or months of a calendar is not supported", size_text.span,
                "tumble by one of them, and sum(x) OVER (ORDER BY window_start ROWS 2 PRECEDING) above it");
  }
  const Calendar::Unit unit = size.months != 0 ? Calendar::Unit::kMonth : Calendar::Unit::kDay;
  const int32_t count = size.months != 0 ? size.months : size.days;
  if (size.micros != 0 || (size.months != 0 && size.days != 0) || count == 0) {
    return fail("22023", "a window of the calendar is of whole days or of whole months", size_text.span,
                size.months == 0 && size.days == 0
                    ? "leave timezone out, or write interval '1 day': hours begin at the same moments in all zones "
                      "but those that are off by 30 or 45 minutes, for which there is \"offset\""
                    : "interval '1 day', '7 days', '1 month', '3 months', '1 year'");
  }
  if (count < 0) return fail("22023", "the window size must be greater than zero", size_text.span);
  if (count > (unit == Calendar::Unit::kDay ? kDaysMax : kMonthsMax))
    return fail("22023", "a window of the calendar is at most ten years long", size_text.span);
  int32_t offset_days = 0;
  if (offset != nullptr) {
    const auto given = interval_literal(*offset, "the offset");
    if (!given) return tl::unexpected(given.error());
    if (given->micros != 0 || given->months != 0 || given->days < 0) {
      return fail("22023", "the offset of calendar windows is a number of days", offset->span,
                  "interval '4 days': weeks from Monday on (1970-01-01 was a Thursday)");
    }
    if (unit == Calendar::Unit::kMonth && given->days > 27)
      return fail("22023", "the offset of months is at most 27 days", offset->span, "February has 28");
    offset_days = unit == Calendar::Unit::kDay ? given->days % count : given->days;
  }
  auto found = bind_zone(zone);
  if (!found) return tl::unexpected(std::move(found.error()));
  auto calendar = std::make_shared<const Calendar>(std::move(*found), unit, count, offset_days);
  if (below) {
    if (auto fits = check_below(*calendar, *below, from); !fits) return tl::unexpected(std::move(fits.error()));
  }
  return calendar;
}

}  // namespace backstream::plan
