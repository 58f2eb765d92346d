#include "base/time_zone.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace backstream::base {
namespace {

constexpr Micros kHour = 3'600 * kMicrosPerSecond;
constexpr Micros kMinute = 60 * kMicrosPerSecond;

Micros utc(const char* text) { return *parse_timestamp(text); }

std::shared_ptr<const TimeZone> zone(const char* name) {
  auto found = TimeZone::find(name);
  EXPECT_TRUE(found.has_value()) << name << ": " << (found ? "" : found.error().message + ' ' + found.error().hint);
  return found ? *found : *TimeZone::find("UTC");
}

/// A file of version 2 with one transition and a rule.
std::vector<uint8_t> file_of(int64_t transition, int32_t before, int32_t after, const std::string& rule) {
  std::vector<uint8_t> out;
  const auto number = [&](uint64_t value, int octets) {
    for (int i = octets; i-- > 0;) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
  };
  const auto header = [&](uint32_t times, uint32_t types) {
    for (const char c : {'T', 'Z', 'i', 'f', '2'}) out.push_back(static_cast<uint8_t>(c));
    out.insert(out.end(), 15, 0);
    for (const uint32_t count : {0u, 0u, 0u, times, types, 4u}) number(count, 4);
  };
  header(0, 1);
  number(0, 6);
  number(0, 4);
  header(1, 2);
  number(static_cast<uint64_t>(transition), 8);
  number(1, 1);
  for (const int32_t offset : {before, after}) {
    number(static_cast<uint32_t>(offset), 4);
    number(0, 2);
  }
  number(0, 4);
  out.push_back('\n');
  for (const char c : rule) out.push_back(static_cast<uint8_t>(c));
  out.push_back('\n');
  return out;
}

TEST(TimeZone, UtcNeedsNoFile) {
  ASSERT_EQ(::setenv("TZDIR", "/nowhere", 1), 0);
  const auto found = TimeZone::find("uTc");
  const auto missing = TimeZone::find("Europe/Berlin");
  ::unsetenv("TZDIR");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ((*found)->name(), "UTC");
  EXPECT_EQ((*found)->offset_at(utc("2026-06-01")), 0);
  EXPECT_EQ((*found)->step_us(), 24 * kHour);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, "22023");
  EXPECT_NE(missing.error().hint.find("tzdata"), std::string::npos);
}

TEST(TimeZone, OffsetsFollowTheLawOfTheYear) {
  const auto berlin = zone("Europe/Berlin");
  EXPECT_EQ(berlin->offset_at(utc("2026-01-31 12:00:00")), kHour);
  EXPECT_EQ(berlin->offset_at(utc("2026-03-29 00:59:59.999999")), kHour);
  EXPECT_EQ(berlin->offset_at(utc("2026-03-29 01:00:00")), 2 * kHour);
  EXPECT_EQ(berlin->offset_at(utc("2026-10-25 00:59:59")), 2 * kHour);
  EXPECT_EQ(berlin->offset_at(utc("2026-10-25 01:00:00")), kHour);
  EXPECT_EQ(berlin->offset_at(utc("1975-07-01")), kHour) << "no summer time between 1949 and 1980";
  EXPECT_EQ(berlin->offset_at(utc("2120-07-01")), 2 * kHour) << "the rule goes on beyond the table";
  EXPECT_EQ(zone("America/New_York")->offset_at(utc("2026-07-01")), -4 * kHour);
  EXPECT_EQ(zone("America/New_York")->offset_at(utc("2026-12-01")), -5 * kHour);
  EXPECT_EQ(zone("Asia/Kathmandu")->offset_at(utc("2026-01-01")), 5 * kHour + 45 * kMinute);
  EXPECT_EQ(zone("Australia/Lord_Howe")->offset_at(utc("2026-01-01")), 11 * kHour);
  EXPECT_EQ(zone("Australia/Lord_Howe")->offset_at(utc("2026-07-01")), 10 * kHour + 30 * kMinute);
}

TEST(TimeZone, StepDividesEveryMidnight) {
  EXPECT_EQ(zone("Europe/Berlin")->step_us(), kHour);
  EXPECT_EQ(zone("America/New_York")->step_us(), kHour);
  EXPECT_EQ(zone("Australia/Lord_Howe")->step_us(), 30 * kMinute);
  EXPECT_EQ(zone("Asia/Kathmandu")->step_us(), 15 * kMinute);
}

TEST(TimeZone, FirstMomentOfALocalTime) {
  const auto berlin = zone("Europe/Berlin");
  EXPECT_EQ(berlin->first_at(utc("2026-01-31 00:00:00")), utc("2026-01-30 23:00:00"));
  EXPECT_EQ(berlin->first_at(utc("2026-03-29 02:30:00")), utc("2026-03-29 01:00:00")) << "left out: the leap";
  EXPECT_EQ(berlin->first_at(utc("2026-10-25 02:30:00")), utc("2026-10-25 00:30:00")) << "twice: the first";
  // Midnight itself is left out in Havana, and shown twice there in autumn.
  const auto havana = zone("America/Havana");
  EXPECT_EQ(havana->first_at(utc("2026-03-08 00:00:00")), utc("2026-03-08 05:00:00"));
  EXPECT_EQ(havana->first_at(utc("2026-11-01 00:00:00")), utc("2026-11-01 04:00:00"));
  // A whole day is missing in Samoa.
  const auto samoa = zone("Pacific/Apia");
  EXPECT_EQ(samoa->first_at(utc("2011-12-30 00:00:00")), samoa->first_at(utc("2011-12-31 00:00:00")));
}

TEST(TimeZone, FirstMomentAgreesWithOffsets) {
  for (const char* name : {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
                           "America/St_Johns", "Pacific/Apia", "America/Havana", "Africa/Casablanca"}) {
    const auto z = zone(name);
    for (Micros local = utc("2009-12-28 00:00:00"); local < utc("2030-01-04 00:00:00"); local += 7 * kHour) {
      const Micros moment = z->first_at(local);
      EXPECT_GE(moment + z->offset_at(moment), local) << name << ' ' << format_timestamp(local);
      EXPECT_LT(moment - 1 + z->offset_at(moment - 1), local) << name << ' ' << format_timestamp(local);
    }
  }
}

TEST(TimeZone, AllOfHistoryAndTheFarFuture) {
  const auto berlin = zone("europe/BERLIN");
  EXPECT_EQ(berlin->name(), "Europe/Berlin");
  const auto offset = [&](const char* text) { return berlin->span_at(utc(text)).offset; };
  EXPECT_EQ(offset("1850-01-01"), 53 * kMinute + 28 * kMicrosPerSecond) << "local mean time";
  EXPECT_EQ(offset("1943-07-01"), 2 * kHour);
  EXPECT_EQ(berlin->offset_at(utc("1943-07-01")), kHour) << "the calendar has the offset of 1970";
  for (const char* year : {"2026", "2038", "2399", "2439", "2440", "2840", "9999", "200000"}) {
    EXPECT_EQ(offset((std::string(year) + "-07-01").c_str()), 2 * kHour) << year;
    EXPECT_EQ(offset((std::string(year) + "-12-31 12:00:00").c_str()), kHour) << year;
    const Micros local = utc((std::string(year) + "-07-01").c_str());
    EXPECT_EQ(berlin->offset_of_local(local), 2 * kHour) << year;
  }
  const TimeZone::Span span = berlin->span_at(utc("2840-07-01"));
  EXPECT_TRUE(span.holds(utc("2840-07-01")));
  EXPECT_EQ(berlin->span_at(span.begin - 1).offset, kHour);
  EXPECT_EQ(berlin->span_at(span.end).offset, kHour);
}

TEST(TimeZone, LocalTimesAsPostgresqlTakesThem) {
  const auto berlin = zone("Europe/Berlin");
  EXPECT_EQ(berlin->offset_of_local(utc("2026-03-29 01:59:59")), kHour);
  EXPECT_EQ(berlin->offset_of_local(utc("2026-03-29 02:00:00")), kHour) << "leapt over: before the leap";
  EXPECT_EQ(berlin->offset_of_local(utc("2026-03-29 02:30:00")), kHour);
  EXPECT_EQ(berlin->offset_of_local(utc("2026-03-29 03:00:00")), 2 * kHour);
  EXPECT_EQ(berlin->offset_of_local(utc("2026-10-25 01:59:59")), 2 * kHour);
  EXPECT_EQ(berlin->offset_of_local(utc("2026-10-25 02:30:00")), kHour) << "twice: the second";
  EXPECT_EQ(zone("America/New_York")->offset_of_local(utc("2026-03-08 02:30:00")), -5 * kHour);
}

TEST(TimeZone, OffsetsAsPosixWritesThem) {
  for (const auto& [name, offset] : std::vector<std::pair<const char*, Micros>>{{"+03", -3 * kHour},
                                                                                {"-3:30", 3 * kHour + 30 * kMinute},
                                                                                {"3", -3 * kHour},
                                                                                {"utc-3", 3 * kHour},
                                                                                {"<+03>-3", 3 * kHour},
                                                                                {"XY5", -5 * kHour}}) {
    EXPECT_EQ(zone(name)->offset_at(0), offset) << name;
    EXPECT_EQ(zone(name)->span_at(utc("2026-07-01")).offset, offset) << name;
  }
  for (const char* name : {"+168", "+0330", "+3x", "", "<+03>", "+", "CET", "PST", "Nowhere/Here"}) {
    EXPECT_FALSE(TimeZone::find(name).has_value()) << name;
    EXPECT_EQ(TimeZone::find_kept(name), nullptr) << name;
  }
  EXPECT_NE(TimeZone::find("cet").error().hint.find("abbreviations"), std::string::npos);
  EXPECT_EQ(TimeZone::find_kept("Europe/Berlin"), TimeZone::find_kept("Europe/Berlin")) << "read once";
}

TEST(TimeZone, NamesOfOthersAreRefusedWithTheNearest) {
  for (const auto& [name, hint] : std::vector<std::pair<const char*, const char*>>{{"Europe/Berln", "'Europe/Berlin'"},
                                                                                   {"berlin", "'Europe/Berlin'"},
                                                                                   {"../zoneinfo/UTC", "IANA"},
                                                                                   {"/etc/passwd", "IANA"},
                                                                                   {"tzdata.zi", ""},
                                                                                   {"Europe", ""},
                                                                                   {"", "IANA"}}) {
    const auto found = TimeZone::find(name);
    ASSERT_FALSE(found.has_value()) << name;
    EXPECT_EQ(found.error().code, "22023");
    EXPECT_NE(found.error().hint.find(hint), std::string::npos) << name << ": " << found.error().hint;
  }
}

TEST(TimeZone, FileWithARule) {
  const int64_t transition = utc("2000-01-01") / kMicrosPerSecond;
  const auto made = TimeZone::parse(file_of(transition, 3'600, 7'200, "<+02>-2<+03>,J60/0,300/25:30"), "made");
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->offset_at(utc("1999-12-31 23:59:59")), kHour);
  EXPECT_EQ(made->offset_at(utc("2000-01-01 00:00:00")), 2 * kHour);
  EXPECT_EQ(made->offset_at(utc("2024-02-29 21:59:59")), 2 * kHour) << "J60 is the first of March in leap years, too";
  EXPECT_EQ(made->offset_at(utc("2024-02-29 22:00:00")), 3 * kHour);
  EXPECT_EQ(made->offset_at(utc("2023-10-28 22:29:59")), 3 * kHour) << "day 300 counts from 0; 25:30 is the next day";
  EXPECT_EQ(made->offset_at(utc("2023-10-28 22:30:00")), 2 * kHour);
}

TEST(TimeZone, BadFilesAreNone) {
  const std::vector<uint8_t> good = file_of(946'684'800, 3'600, 7'200, "CET-1CEST,M3.5.0,M10.5.0/3");
  ASSERT_NE(TimeZone::parse(good, "good"), nullptr);
  for (size_t octets = 0; octets < good.size(); ++octets) {
    EXPECT_EQ(TimeZone::parse(std::span(good).first(octets), "short"), nullptr) << octets;
  }
  // Every octet changed to several values: read or refused, never more.
  for (size_t at = 0; at < good.size(); ++at) {
    for (const uint8_t value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      std::vector<uint8_t> bad = good;
      bad[at] = value;
      const auto made = TimeZone::parse(bad, "bad");
      if (made != nullptr) {
        EXPECT_GT(made->step_us(), 0);
      }
    }
  }
  for (const char* rule :
       {"CET", "CET-1CEST", "CET-1CEST,M13.1.0,M1.1.0", "CET-200", "C-1", "<CET-1", "CET-1CEST,M3.5.0"})
    EXPECT_EQ(TimeZone::parse(file_of(0, 0, 3'600, rule), "rule") == nullptr, std::string_view(rule) != "CET-1")
        << rule;
  EXPECT_EQ(TimeZone::parse(file_of(0, 90'000, 0, "UTC0"), "far"), nullptr);
}

}  // namespace
}  // namespace backstream::base
