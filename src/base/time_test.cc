#include "base/time.h"

#include <gtest/gtest.h>

namespace backstream::base {
namespace {

constexpr Micros kNoon = 1'769'861'100'000'000;  // 2026-01-31 12:05:00 UTC

TEST(Time, TimestampIsPrintedAsPostgresPrintsItInUtc) {
  EXPECT_EQ(format_timestamp(kNoon), "2026-01-31 12:05:00+00");
  EXPECT_EQ(format_timestamp(kNoon + 500'000), "2026-01-31 12:05:00.5+00");
  EXPECT_EQ(format_timestamp(kNoon + 1), "2026-01-31 12:05:00.000001+00");
  EXPECT_EQ(format_timestamp(-1), "1969-12-31 23:59:59.999999+00");
  EXPECT_EQ(format_timestamp(0), "1970-01-01 00:00:00+00");
  EXPECT_EQ(format_timestamp(from_civil({-43, 3, 15, 0, 0, 0, 0})), "0044-03-15 00:00:00+00 BC");
  EXPECT_EQ(format_timestamp(kMaxTime), "infinity");
  EXPECT_EQ(format_timestamp(kMinTime), "-infinity");
  EXPECT_EQ(format_timestamp(kMaxTime - 1), "294247-01-10 04:00:54.775806+00");
  EXPECT_LE(format_timestamp(kMinTime + 1).size(), 40U);
}

TEST(Time, Rfc3339EndsInZ) {
  EXPECT_EQ(format_rfc3339(kNoon), "2026-01-31T12:05:00Z");
  EXPECT_EQ(format_rfc3339(kNoon + 20'000), "2026-01-31T12:05:00.02Z");
}

TEST(Time, CivilTimeGoesBothWays) {
  // Every 37th hour over 800 years crosses each kind of leap year.
  constexpr Micros k400Years = kMicrosPerSecond * 86'400 * 146'097;
  for (Micros time = -k400Years; time < k400Years; time += 37 * 3'600 * kMicrosPerSecond + 7) {
    ASSERT_EQ(from_civil(to_civil(time)), time);
  }
  const CivilTime leap_day = to_civil(from_civil({2000, 2, 29, 23, 59, 59, 999'999}));
  EXPECT_EQ(leap_day.month, 2);
  EXPECT_EQ(leap_day.day, 29);
}

TEST(Time, TimestampIsReadInAllIsoForms) {
  for (const auto text : {"2026-01-31 12:05:00+00", "2026-01-31T12:05:00Z", " 2026-01-31 12:05 ", "2026-01-31 14:05+02",
                          "2026-01-31 06:35:00-05:30", "2026-1-31 12:05:00 UTC", "2026-01-31 12:05:00.0000004",
                          "2026-01-31 12:04:60", "2026-01-31 12:05:00+0"}) {
    EXPECT_EQ(parse_timestamp(text), kNoon) << text;
  }
  EXPECT_EQ(parse_timestamp("2026-01-31"), kNoon - 43'500 * kMicrosPerSecond);
  EXPECT_EQ(parse_timestamp("2026-01-31 24:00:00"), parse_timestamp("2026-02-01"));
  EXPECT_EQ(parse_timestamp("2026-01-31 12:05:00.0000006"), kNoon + 1);
  EXPECT_EQ(parse_timestamp("infinity"), kMaxTime);
}

TEST(Time, WhatIsNoTimestampIsRefused) {
  for (const auto text :
       {"", "2026", "2026-01", "2026-13-01", "2026-02-29", "2026-00-10", "2026-01-32", "26-01-31", "2026-01-31 25:00",
        "2026-01-31 12", "2026-01-31 12:60", "2026-01-31 12:05:61", "2026-01-31 12:05:00+99", "2026-01-31 12:05:00 CET",
        "2026-01-31x", "999999-01-01", "2026-01-31 24:00:01", "2026-01-31 12:05:00+02:"}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
}

TEST(Time, EveryTimestampReadsBackAsItWasPrinted) {
  for (Micros time = from_civil({1900, 1, 1, 0, 0, 0, 0}); time < from_civil({2100, 1, 1, 0, 0, 0, 0});
       time += 86'399 * 77 * kMicrosPerSecond + 123'457) {
    ASSERT_EQ(parse_timestamp(format_timestamp(time)), time);
    ASSERT_EQ(parse_timestamp(format_rfc3339(time)), time);
  }
}

TEST(Time, FloorRoundsTowardsThePast) {
  EXPECT_EQ(floor_to(119, 60), 60);
  EXPECT_EQ(floor_to(120, 60), 120);
  EXPECT_EQ(floor_to(-1, 60), -60);
  EXPECT_EQ(floor_to(65, 60, 10), 10);
  EXPECT_EQ(floor_to(5, 60, 10), -50);
}

TEST(Time, DurationNeedsItsUnit) {
  EXPECT_EQ(parse_duration("75s"), 75 * kMicrosPerSecond);
  EXPECT_EQ(parse_duration("2 s"), 2 * kMicrosPerSecond);
  EXPECT_EQ(parse_duration("500ms"), 500'000);
  EXPECT_EQ(parse_duration("1m"), 60 * kMicrosPerSecond);
  EXPECT_EQ(parse_duration(" 5 minutes "), 300 * kMicrosPerSecond);
  EXPECT_EQ(parse_duration("1d"), 86'400 * kMicrosPerSecond);
  EXPECT_EQ(parse_duration("1500us"), 1'500);
  EXPECT_EQ(parse_duration("0s"), 0);
  for (const auto text : {"", "75", "s", "-1s", "1.5s", "1 parsec", "999999999999999999d", "1s2"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Time, DurationIsPrintedInItsLargestUnit) {
  EXPECT_EQ(format_duration(75 * kMicrosPerSecond), "75 s");
  EXPECT_EQ(format_duration(300 * kMicrosPerSecond), "5 min");
  EXPECT_EQ(format_duration(500'000), "500 ms");
  EXPECT_EQ(format_duration(86'400 * kMicrosPerSecond), "1 d");
  EXPECT_EQ(format_duration(1'500), "1500 us");
  EXPECT_EQ(format_duration(0), "0 s");
}

}  // namespace
}  // namespace backstream::base
