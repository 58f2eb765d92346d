#include "window/calendar.h"

#include <gtest/gtest.h>

#include <vector>

#include "window/pane_grid.h"

namespace backstream::window {
namespace {

using Unit = Calendar::Unit;
constexpr Micros kHour = 3'600 * base::kMicrosPerSecond;

Micros utc(const char* text) { return *base::parse_timestamp(text); }
Calendar::Span span(const char* start, const char* end) { return {utc(start), utc(end)}; }

Calendar make(const char* zone, Unit unit, int32_t count, int32_t offset_days = 0) {
  auto found = base::TimeZone::find(zone);
  EXPECT_TRUE(found.has_value()) << zone;
  return {found ? *found : *base::TimeZone::find("UTC"), unit, count, offset_days};
}

TEST(Calendar, DaysHave23And25HoursWhereClocksAreChanged) {
  const Calendar berlin = make("Europe/Berlin", Unit::kDay, 1);
  EXPECT_EQ(berlin.window_of(utc("2026-01-31 12:00:00")), span("2026-01-30 23:00:00", "2026-01-31 23:00:00"));
  EXPECT_EQ(berlin.window_of(utc("2026-03-29 12:00:00")), span("2026-03-28 23:00:00", "2026-03-29 22:00:00"));
  EXPECT_EQ(berlin.window_of(utc("2026-10-25 00:00:00")), span("2026-10-24 22:00:00", "2026-10-25 23:00:00"));
  EXPECT_EQ(berlin.window_of(utc("2026-10-25 22:59:59.999999")), span("2026-10-24 22:00:00", "2026-10-25 23:00:00"));
  EXPECT_EQ(berlin.window_of(utc("2026-10-25 23:00:00")).start, utc("2026-10-25 23:00:00"));
  const Calendar new_york = make("America/New_York", Unit::kDay, 1);
  EXPECT_EQ(new_york.window_of(utc("2026-03-08 12:00:00")), span("2026-03-08 05:00:00", "2026-03-09 04:00:00"));
  EXPECT_EQ(new_york.window_of(utc("2026-11-01 12:00:00")), span("2026-11-01 04:00:00", "2026-11-02 05:00:00"));
  // Half an hour on Lord Howe; none in Kathmandu, whose days begin at a quarter past.
  const Calendar lord_howe = make("Australia/Lord_Howe", Unit::kDay, 1);
  EXPECT_EQ(lord_howe.window_of(utc("2026-04-04 20:00:00")), span("2026-04-04 13:00:00", "2026-04-05 13:30:00"));
  EXPECT_EQ(lord_howe.window_of(utc("2026-10-03 20:00:00")), span("2026-10-03 13:30:00", "2026-10-04 13:00:00"));
  const Calendar kathmandu = make("Asia/Kathmandu", Unit::kDay, 1);
  EXPECT_EQ(kathmandu.window_of(utc("2026-01-31 18:15:00")), span("2026-01-31 18:15:00", "2026-02-01 18:15:00"));
  EXPECT_EQ(kathmandu.window_of(utc("2026-01-31 18:14:59")), span("2026-01-30 18:15:00", "2026-01-31 18:15:00"));
}

TEST(Calendar, MonthsHaveTheirDays) {
  const Calendar utc_months = make("UTC", Unit::kMonth, 1);
  EXPECT_EQ(utc_months.window_of(utc("2024-02-29 23:59:59")), span("2024-02-01", "2024-03-01"));
  EXPECT_EQ(utc_months.window_of(utc("2023-02-28 23:59:59")), span("2023-02-01", "2023-03-01"));
  EXPECT_EQ(utc_months.window_of(utc("2100-02-15")), span("2100-02-01", "2100-03-01"));
  EXPECT_EQ(utc_months.window_of(utc("1969-12-31 23:59:59")), span("1969-12-01", "1970-01-01"));
  const Calendar berlin = make("Europe/Berlin", Unit::kMonth, 1);
  EXPECT_EQ(berlin.window_of(utc("2026-03-15")), span("2026-02-28 23:00:00", "2026-03-31 22:00:00"));
  EXPECT_EQ(berlin.window_of(utc("2026-02-28 23:30:00")).start, utc("2026-02-28 23:00:00")) << "March there already";
  const Calendar quarters = make("Europe/Berlin", Unit::kMonth, 3);
  EXPECT_EQ(quarters.window_of(utc("2026-05-05")), span("2026-03-31 22:00:00", "2026-06-30 22:00:00"));
  const Calendar years = make("UTC", Unit::kMonth, 12);
  EXPECT_EQ(years.window_of(utc("2026-05-05")), span("2026-01-01", "2027-01-01"));
  const Calendar billing = make("UTC", Unit::kMonth, 1, 9);
  EXPECT_EQ(billing.window_of(utc("2026-03-09 23:59:59")), span("2026-02-10", "2026-03-10"));
  EXPECT_EQ(billing.window_of(utc("2026-03-10")), span("2026-03-10", "2026-04-10"));
}

TEST(Calendar, WeeksBeginOnMondayWithAnOffsetOfFourDays) {
  const Calendar weeks = make("Europe/Berlin", Unit::kDay, 7, 4);
  EXPECT_EQ(weeks.window_of(utc("2026-01-31 12:00:00")), span("2026-01-25 23:00:00", "2026-02-01 23:00:00"));
  EXPECT_EQ(weeks.window_of(utc("2026-03-29 12:00:00")), span("2026-03-22 23:00:00", "2026-03-29 22:00:00"));
}

TEST(Calendar, DaysAroundOddMidnights) {
  // Havana: midnight is left out in spring; in autumn 00:00 to 01:00 comes twice.
  const Calendar havana = make("America/Havana", Unit::kDay, 1);
  EXPECT_EQ(havana.window_of(utc("2026-03-08 05:00:00")), span("2026-03-08 05:00:00", "2026-03-09 04:00:00"));
  EXPECT_EQ(havana.window_of(utc("2026-11-01 05:30:00")), span("2026-11-01 04:00:00", "2026-11-02 05:00:00"));
  // Samoa went from Thursday, 29 December 2011, to Saturday.
  const Calendar samoa = make("Pacific/Apia", Unit::kDay, 1);
  EXPECT_EQ(samoa.window_of(utc("2011-12-30 09:59:59")).end, utc("2011-12-30 10:00:00"));
  EXPECT_EQ(samoa.window_of(utc("2011-12-30 10:00:00")).start, utc("2011-12-30 10:00:00"));
}

/// The windows tile time, each begins at a multiple of the step, and a moment's window holds it.
TEST(Calendar, WindowsTileTime) {
  for (const char* zone : {"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
                           "America/Havana", "Pacific/Apia", "Africa/Casablanca", "America/St_Johns"}) {
    for (const Calendar& calendar : {make(zone, Unit::kDay, 1), make(zone, Unit::kDay, 7, 4),
                                     make(zone, Unit::kMonth, 1), make(zone, Unit::kMonth, 3, 14)}) {
      Micros at = utc("2008-01-01");
      Calendar::Span last = calendar.window_of(at);
      while (at < utc("2031-01-01")) {
        const Calendar::Span next = calendar.window_of(last.end);
        ASSERT_EQ(next.start, last.end) << calendar.text();
        ASSERT_GT(next.end, next.start) << calendar.text();
        ASSERT_LE(next.end - next.start, calendar.longest_us()) << calendar.text();
        ASSERT_EQ(next.start % calendar.step_us(), 0) << calendar.text();
        ASSERT_EQ(calendar.window_of(next.end - 1), next) << calendar.text();
        ASSERT_EQ(calendar.window_of(next.start + (next.end - next.start) / 3), next) << calendar.text();
        at = next.end;
        last = next;
      }
    }
  }
}

TEST(Calendar, HoldsWindowsThatLieInOneOfIts) {
  const Calendar day = make("Europe/Berlin", Unit::kDay, 1), month = make("Europe/Berlin", Unit::kMonth, 1);
  const Calendar week = make("Europe/Berlin", Unit::kDay, 7, 4), sunday = make("Europe/Berlin", Unit::kDay, 7, 3);
  const Calendar quarter = make("Europe/Berlin", Unit::kMonth, 3), utc_day = make("UTC", Unit::kDay, 1);
  EXPECT_TRUE(month.holds(day));
  EXPECT_TRUE(week.holds(day));
  EXPECT_TRUE(quarter.holds(month));
  EXPECT_TRUE(make("Europe/Berlin", Unit::kDay, 14, 4).holds(week));
  EXPECT_FALSE(make("Europe/Berlin", Unit::kDay, 14, 4).holds(sunday));
  EXPECT_FALSE(month.holds(week));
  EXPECT_FALSE(day.holds(month));
  EXPECT_FALSE(month.holds(utc_day));
  EXPECT_FALSE(month.holds(quarter));
  EXPECT_FALSE(quarter.holds(make("Europe/Berlin", Unit::kMonth, 1, 9)));
}

TEST(PaneGrid, OfACalendar) {
  const Calendar berlin = make("Europe/Berlin", Unit::kDay, 1);
  const PaneGrid grid{15 * 60 * base::kMicrosPerSecond, berlin.longest_us(), berlin.longest_us(), 0, &berlin};
  const Micros start = utc("2026-03-28 23:00:00"), end = utc("2026-03-29 22:00:00");
  const Micros pane = grid.pane_start(utc("2026-03-29 10:07:00"));
  EXPECT_EQ(pane, utc("2026-03-29 10:00:00"));
  EXPECT_EQ(grid.first_window_end(pane), end);
  EXPECT_EQ(grid.last_window_end(pane), end);
  EXPECT_EQ(grid.window_start(end), start);
  EXPECT_EQ(grid.last_window_start(pane), start);
  EXPECT_EQ(grid.last_end_until(pane), start);
  EXPECT_EQ(grid.last_end_until(end), end);
  EXPECT_EQ(grid.first_start_open_at(end - 1), start);
  EXPECT_EQ(grid.first_start_open_at(end), end);
  EXPECT_TRUE(grid.tumbles());
  EXPECT_EQ(grid.last_end_until(base::kMaxTime), base::kMaxTime);
  EXPECT_EQ(grid.first_start_open_at(base::kMinTime), base::kMinTime);
}

}  // namespace
}  // namespace backstream::window
