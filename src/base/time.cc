#include "base/time.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>

namespace backstream::base {
namespace {

constexpr int64_t kSecondsPerDay = 86'400;
constexpr Micros kMicrosPerDay = kSecondsPerDay * kMicrosPerSecond;

// Days from 1970-01-01 in the proleptic Gregorian calendar; years begin in March so that the leap day is last.
constexpr int64_t days_from_civil(int64_t year, unsigned month, unsigned day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}
static_assert(days_from_civil(1970, 1, 1) == 0);
static_assert(days_from_civil(2000, 3, 1) == 11'017);

unsigned days_in_month(int64_t year, unsigned month) {
  static constexpr std::array<uint8_t, 12> kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (month < 1 || month > 12) return 0;
  return kDays[month - 1] + (month == 2 && leap ? 1 : 0);
}

char* put_two(char* out, unsigned value) {
  out[0] = static_cast<char>('0' + value / 10);
  out[1] = static_cast<char>('0' + value % 10);
  return out + 2;
}

/// At least four digits.
char* put_year(char* out, uint32_t year) {
  if (year >= 100'000) *out++ = static_cast<char>('0' + year / 100'000);
  if (year >= 10'000) *out++ = static_cast<char>('0' + year / 10'000 % 10);
  out = put_two(out, year / 100 % 100);
  return put_two(out, year % 100);
}

char* put_clock(char* out, const CivilTime& civil) {
  out = put_two(out, civil.hour);
  *out++ = ':';
  out = put_two(out, civil.minute);
  *out++ = ':';
  out = put_two(out, civil.second);
  if (civil.micro != 0) {
    *out++ = '.';
    uint32_t rest = civil.micro;
    for (uint32_t unit = 100'000; rest != 0; unit /= 10) {
      *out++ = static_cast<char>('0' + rest / unit);
      rest %= unit;
    }
  }
  return out;
}

char* put_text(char* out, std::string_view text) { return std::copy(text.begin(), text.end(), out); }

/// Takes 1..max digits off the front; -1 when there are none.
int64_t take_number(std::string_view& text, size_t digits_min, size_t digits_max) {
  int64_t value = 0;
  size_t count = 0;
  while (count < digits_max && count < text.size() && text[count] >= '0' && text[count] <= '9') {
    value = value * 10 + (text[count++] - '0');
  }
  if (count < digits_min || count == 0) return -1;
  text.remove_prefix(count);
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

/// "Z", "UTC", "+HH", "+HHMM", "+HH:MM", "+HH:MM:SS": seconds east of Greenwich. Must use all of `text`.
std::optional<int64_t> parse_zone(std::string_view text) {
  if (text.empty() || equals_ignoring_case(text, "z") || equals_ignoring_case(text, "utc")) return 0;
  const bool west = text[0] == '-';
  if (text[0] != '+' && !west) return std::nullopt;
  text.remove_prefix(1);
  const int64_t hours = take_number(text, 1, 2);
  int64_t minutes = 0, seconds = 0;
  if (!text.empty()) {
    take(text, ':');
    minutes = take_number(text, 2, 2);
    if (!text.empty() && take(text, ':')) seconds = take_number(text, 2, 2);
  }
  // PostgreSQL's limit of a zone (MAX_TZDISP_HOUR) is below 16 hours.
  if (hours < 0 || hours > 15 || minutes < 0 || minutes > 59 || seconds < 0 || seconds > 59 || !text.empty()) {
    return std::nullopt;
  }
  const int64_t east = hours * 3600 + minutes * 60 + seconds;
  return west ? -east : east;
}

struct Unit {
  std::string_view name;
  Micros micros;
};
// Short names first: format_duration takes the first of a size.
constexpr std::array<Unit, 22> kUnits{
    {{"d", kMicrosPerDay},    {"day", kMicrosPerDay},   {"days", kMicrosPerDay}, {"h", 3'600'000'000},
     {"hour", 3'600'000'000}, {"hours", 3'600'000'000}, {"min", 60'000'000},     {"m", 60'000'000},
     {"mins", 60'000'000},    {"minute", 60'000'000},   {"minutes", 60'000'000}, {"s", 1'000'000},
     {"sec", 1'000'000},      {"secs", 1'000'000},      {"second", 1'000'000},   {"seconds", 1'000'000},
     {"ms", 1'000},           {"millisecond", 1'000},   {"milliseconds", 1'000}, {"us", 1},
     {"microsecond", 1},      {"microseconds", 1}}};

}  // namespace

Micros wall_clock() noexcept {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

CivilTime to_civil(Micros time) noexcept {
  int64_t days = time / kMicrosPerDay;
  Micros in_day = time % kMicrosPerDay;
  if (in_day < 0) {
    in_day += kMicrosPerDay;
    --days;
  }
  const int64_t shifted = days + 719'468;
  const int64_t era = (shifted >= 0 ? shifted : shifted - 146'096) / 146'097;
  const int64_t day_of_era = shifted - era * 146'097;
  const int64_t year_of_era = (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_from_march = (5 * day_of_year + 2) / 153;
  CivilTime civil;
  civil.day = static_cast<uint8_t>(day_of_year - (153 * month_from_march + 2) / 5 + 1);
  civil.month = static_cast<uint8_t>(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
  civil.year = static_cast<int32_t>(year_of_era + era * 400 + (civil.month <= 2 ? 1 : 0));
  const int64_t second_of_day = in_day / kMicrosPerSecond;
  civil.hour = static_cast<uint8_t>(second_of_day / 3600);
  civil.minute = static_cast<uint8_t>(second_of_day / 60 % 60);
  civil.second = static_cast<uint8_t>(second_of_day % 60);
  civil.micro = static_cast<uint32_t>(in_day % kMicrosPerSecond);
  return civil;
}

Micros from_civil(const CivilTime& civil) noexcept {
  const int64_t seconds = days_from_civil(civil.year, civil.month, civil.day) * kSecondsPerDay + civil.hour * 3600 +
                          civil.minute * 60 + civil.second;
  return seconds * kMicrosPerSecond + civil.micro;
}

namespace {
char* put_timestamp(Micros time, char* out, std::string_view zone) noexcept {
  if (time == kMaxTime) return put_text(out, "infinity");
  if (time == kMinTime) return put_text(out, "-infinity");
  const CivilTime civil = to_civil(time);
  // There is no year 0: PostgreSQL prints the astronomical year 0 as 1 BC.
  out = put_year(out, static_cast<uint32_t>(civil.year > 0 ? civil.year : 1 - civil.year));
  *out++ = '-';
  out = put_two(out, civil.month);
  *out++ = '-';
  out = put_two(out, civil.day);
  *out++ = ' ';
  out = put_text(put_clock(out, civil), zone);
  return civil.year > 0 ? out : put_text(out, " BC");
}
}  // namespace

char* format_timestamp(Micros time, char* out) noexcept { return put_timestamp(time, out, "+00"); }
char* format_local_timestamp(Micros time, char* out) noexcept { return put_timestamp(time, out, ""); }

std::string format_local_timestamp(Micros time) {
  char text[40];
  return {text, format_local_timestamp(time, text)};
}

std::string format_timestamp(Micros time) {
  char text[40];
  return {text, format_timestamp(time, text)};
}

char* format_rfc3339(Micros time, char* out) noexcept {
  if (time == kMaxTime) return put_text(out, "infinity");
  if (time == kMinTime) return put_text(out, "-infinity");
  const CivilTime civil = to_civil(time);
  if (civil.year < 0) *out++ = '-';
  out = put_year(out, static_cast<uint32_t>(civil.year < 0 ? -civil.year : civil.year));
  *out++ = '-';
  out = put_two(out, civil.month);
  *out++ = '-';
  out = put_two(out, civil.day);
  *out++ = 'T';
  out = put_clock(out, civil);
  *out++ = 'Z';
  return out;
}

std::string format_rfc3339(Micros time) {
  char text[40];
  return {text, format_rfc3339(time, text)};
}

std::optional<Micros> parse_timestamp(std::string_view text, bool* out_of_range, bool local) noexcept {
  bool ignored = false;
  bool& bad_field = out_of_range != nullptr ? *out_of_range : ignored;
  bad_field = false;
  text = trim(text);
  if (equals_ignoring_case(text, "infinity")) return kMaxTime;
  if (equals_ignoring_case(text, "-infinity")) return kMinTime;
  const int64_t year = take_number(text, 4, 6);
  if (year < 0 || !take(text, '-')) return std::nullopt;
  const int64_t month = take_number(text, 1, 2);
  if (month < 0 || !take(text, '-')) return std::nullopt;
  const int64_t day = take_number(text, 1, 2);
  if (day < 0 || text.starts_with('-')) return std::nullopt;
  // Whether the whole is of the right form comes before whether it is a day of the calendar.
  bool fields_fit = year >= 1 && month >= 1 && month <= 12 && day >= 1 &&
                    day <= static_cast<int64_t>(days_in_month(year, static_cast<unsigned>(month)));

  int64_t second_of_day = 0, micros = 0;
  if (!text.empty() && (text[0] == ' ' || text[0] == 'T' || text[0] == 't') && text.size() > 1) {
    text = text[0] == ' ' ? trim(text) : text.substr(1);
    if (text[0] >= '0' && text[0] <= '9') {
      const int64_t hour = take_number(text, 1, 2);
      if (hour < 0 || !take(text, ':')) return std::nullopt;
      const int64_t minute = take_number(text, 2, 2);
      if (minute < 0) return std::nullopt;
      int64_t second = 0;
      if (take(text, ':')) {
        second = take_number(text, 2, 2);
        if (second < 0) return std::nullopt;
        if (take(text, '.')) {
          int64_t unit = 100'000;
          size_t digit_count = 0;
          for (; digit_count < text.size() && text[digit_count] >= '0' && text[digit_count] <= '9'; ++digit_count) {
            if (digit_count == 6 && text[digit_count] >= '5') ++micros;
            micros += (text[digit_count] - '0') * unit;
            unit /= 10;
          }
          text.remove_prefix(digit_count);
        }
      }
      second_of_day = hour * 3600 + minute * 60 + second;
      // Second 60, a leap second, rolls over, as in PostgreSQL.
      fields_fit &=
          hour <= 24 && minute <= 59 && second <= 60 && second_of_day <= kSecondsPerDay && (hour < 24 || micros == 0);
    }
  }
  const std::optional<int64_t> east = parse_zone(trim(text));
  if (!east) return std::nullopt;
  if (!fields_fit) {
    bad_field = true;
    return std::nullopt;
  }
  const int64_t seconds =
      days_from_civil(year, static_cast<unsigned>(month), static_cast<unsigned>(day)) * kSecondsPerDay + second_of_day -
      (local ? 0 : *east);
  Micros result = 0;
  if (__builtin_mul_overflow(seconds, kMicrosPerSecond, &result) || __builtin_add_overflow(result, micros, &result) ||
      result == kMaxTime) {
    bad_field = true;
    return std::nullopt;
  }
  return result;
}

std::optional<Micros> parse_duration(std::string_view text) noexcept {
  text = trim(text);
  const int64_t count = take_number(text, 1, 18);
  if (count < 0) return std::nullopt;
  text = trim(text);
  for (const Unit& unit : kUnits) {
    if (!equals_ignoring_case(text, unit.name)) continue;
    Micros result = 0;
    if (__builtin_mul_overflow(count, unit.micros, &result)) return std::nullopt;
    return result;
  }
  return std::nullopt;
}

std::string format_duration(Micros duration) {
  if (duration == 0) return "0 s";
  for (const Unit& unit : kUnits) {
    if (duration % unit.micros == 0) {
      return std::to_string(duration / unit.micros).append(" ").append(unit.name);
    }
  }
  return std::to_string(duration).append(" us");
}

}  // namespace backstream::base
