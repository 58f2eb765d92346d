#include "expr/time_text.h"

#include <charconv>
#include <cmath>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace backstream::expr {
namespace {

using base::Interval;
using base::Micros;

constexpr Micros kSecond = base::kMicrosPerSecond, kMinute = 60 * kSecond, kHour = 60 * kMinute, kDay = 24 * kHour;
constexpr size_t kNameLength = 10;

constexpr std::pair<std::string_view, TimeUnit> kNames[] = {
    {"us", TimeUnit::kMicrosecond},
    {"usec", TimeUnit::kMicrosecond},
    {"usecs", TimeUnit::kMicrosecond},
    {"usecond", TimeUnit::kMicrosecond},
    {"useconds", TimeUnit::kMicrosecond},
    {"microsecon", TimeUnit::kMicrosecond},
    {"ms", TimeUnit::kMillisecond},
    {"msec", TimeUnit::kMillisecond},
    {"msecs", TimeUnit::kMillisecond},
    {"msecond", TimeUnit::kMillisecond},
    {"mseconds", TimeUnit::kMillisecond},
    {"millisecon", TimeUnit::kMillisecond},
    {"s", TimeUnit::kSecond},
    {"sec", TimeUnit::kSecond},
    {"secs", TimeUnit::kSecond},
    {"second", TimeUnit::kSecond},
    {"seconds", TimeUnit::kSecond},
    {"m", TimeUnit::kMinute},
    {"min", TimeUnit::kMinute},
    {"mins", TimeUnit::kMinute},
    {"minute", TimeUnit::kMinute},
    {"minutes", TimeUnit::kMinute},
    {"h", TimeUnit::kHour},
    {"hr", TimeUnit::kHour},
    {"hrs", TimeUnit::kHour},
    {"hour", TimeUnit::kHour},
    {"hours", TimeUnit::kHour},
    {"d", TimeUnit::kDay},
    {"day", TimeUnit::kDay},
    {"days", TimeUnit::kDay},
    {"w", TimeUnit::kWeek},
    {"week", TimeUnit::kWeek},
    {"weeks", TimeUnit::kWeek},
    {"mon", TimeUnit::kMonth},
    {"mons", TimeUnit::kMonth},
    {"month", TimeUnit::kMonth},
    {"months", TimeUnit::kMonth},
    {"qtr", TimeUnit::kQuarter},
    {"quarter", TimeUnit::kQuarter},
    {"y", TimeUnit::kYear},
    {"yr", TimeUnit::kYear},
    {"yrs", TimeUnit::kYear},
    {"year", TimeUnit::kYear},
    {"years", TimeUnit::kYear},
    {"dec", TimeUnit::kDecade},
    {"decs", TimeUnit::kDecade},
    {"decade", TimeUnit::kDecade},
    {"decades", TimeUnit::kDecade},
    {"c", TimeUnit::kCentury},
    {"cent", TimeUnit::kCentury},
    {"century", TimeUnit::kCentury},
    {"centuries", TimeUnit::kCentury},
    {"mil", TimeUnit::kMillennium},
    {"mils", TimeUnit::kMillennium},
    {"millennium", TimeUnit::kMillennium},
    {"millennia", TimeUnit::kMillennium},
    {"timezone", TimeUnit::kTimezone},
    {"timezone_h", TimeUnit::kTimezone},
    {"timezone_m", TimeUnit::kTimezone},
    {"dow", TimeUnit::kDayOfWeek},
    {"doy", TimeUnit::kDayOfYear},
    {"isodow", TimeUnit::kIsoDayOfWeek},
    {"isoyear", TimeUnit::kIsoYear},
    {"j", TimeUnit::kJulian},
    {"jd", TimeUnit::kJulian},
    {"julian", TimeUnit::kJulian},
    {"epoch", TimeUnit::kEpoch},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// A piece of an interval's text.
struct Token {
  enum class Kind : uint8_t {
    kWord,
    kNumber,  ///< digits, perhaps with a sign, a fraction, or another number after a hyphen
    kClock,   ///< digits with colons, perhaps with a sign
  };
  Kind kind;
  std::string text;  ///< in lower case
};

/// False for a character that no interval has. Punctuation apart from signs only separates.
bool split(std::string_view text, std::vector<Token>& tokens) {
  size_t at = 0;
  const auto here = [&] { return at < text.size() ? text[at] : '\0'; };
  const auto take = [&](std::string& to, auto&& wanted) {
    while (at < text.size() && wanted(text[at])) to += lower(text[at++]);
  };
  while (at < text.size()) {
    std::string piece;
    if (is_space(here())) {
      ++at;
    } else if (here() == '+' || here() == '-') {
      piece += text[at++];
      while (is_space(here())) ++at;
      if (!is_digit(here())) return false;
      take(piece, [](char c) { return is_digit(c) || c == ':' || c == '.' || c == '-'; });
      const bool clock = piece.find(':') != std::string::npos;
      tokens.push_back({clock ? Token::Kind::kClock : Token::Kind::kNumber, piece});
    } else if (is_digit(here())) {
      take(piece, is_digit);
      if (here() == ':') {
        take(piece, [](char c) { return is_digit(c) || c == ':' || c == '.'; });
        tokens.push_back({Token::Kind::kClock, piece});
        continue;
      }
      if (here() == '-' || here() == '/' || here() == '.') {
        const char mark = here();
        piece += text[at++];
        if (is_digit(here())) {
          take(piece, is_digit);
          if (here() == mark) take(piece, [mark](char c) { return is_digit(c) || c == mark; });
        } else {
          take(piece, [mark](char c) { return is_digit(c) || is_letter(c) || c == mark; });
        }
      }
      tokens.push_back({Token::Kind::kNumber, piece});
    } else if (here() == '.') {
      piece += text[at++];
      take(piece, is_digit);
      tokens.push_back({Token::Kind::kNumber, piece});
    } else if (is_letter(here())) {
      take(piece, is_letter);
      // A word that runs into digits or signs is a date to PostgreSQL, hence no part of an interval.
      // But for the short units that are words of dates, too.
      const bool ends = piece == "d" || piece == "h" || piece == "m" || piece == "mon" || piece == "s" || piece == "y";
      if (ends && (is_digit(here()) || here() == '+')) {
        tokens.push_back({Token::Kind::kWord, piece});
        continue;
      }
      if (at < text.size() && (is_digit(here()) || std::string_view("-/.+").find(here()) != std::string_view::npos))
        return false;
      tokens.push_back({Token::Kind::kWord, piece});
    } else if (static_cast<unsigned char>(here()) > ' ' && static_cast<unsigned char>(here()) < 0x7f) {
      ++at;
    } else {
      return false;
    }
  }
  return true;
}

/// Digits off the front. kSyntax when there are none.
TextFault take_integer(std::string_view& text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) return TextFault::kRange;
  if (error != std::errc()) return TextFault::kSyntax;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return TextFault::kNone;
}
/// ".25" off the whole of `text`; "" and "." are 0.
bool read_fraction(std::string_view text, double& value) {
  value = 0;
  if (text.size() <= 1) return text.empty() || text == ".";
  std::string number = "0";
  number += text;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  return text[0] == '.' && is_digit(text[1]) && error == std::errc() && end == number.data() + number.size();
}

/// Adds parts to an interval; false where one overflows. A fraction of a year is whole months, of a month days, of a
/// day the clock.
struct Sum {
  Interval& to;
  bool micros(int64_t number, int64_t unit) {
    int64_t product = 0;
    return !__builtin_mul_overflow(number, unit, &product) && !__builtin_add_overflow(to.micros, product, &to.micros);
  }
  bool days(int64_t number, int64_t unit) { return narrow(number, unit, to.days); }
  bool months(int64_t number, int64_t unit) { return narrow(number, unit, to.months); }
  bool fraction_of_micros(double fraction, int64_t unit) {
    const double value = fraction * static_cast<double>(unit);
    auto whole = static_cast<int64_t>(value);
    const double rest = value - static_cast<double>(whole);
    whole += (rest > 0.5) - (rest < -0.5);
    return micros(whole, 1);
  }
  bool fraction_of_days(double fraction, int64_t unit) {
    const double value = fraction * static_cast<double>(unit);
    const auto whole = static_cast<int64_t>(value);
    return days(whole, 1) && fraction_of_micros(value - static_cast<double>(whole), kDay);
  }
  bool fraction_of_years(double fraction, int64_t unit) {
    return months(static_cast<int64_t>(std::rint(fraction * static_cast<double>(unit) * 12)), 1);
  }

 private:
  static bool narrow(int64_t number, int64_t unit, int32_t& part) {
    int64_t product = 0;
    return !__builtin_mul_overflow(number, unit, &product) &&
           !__builtin_add_overflow(static_cast<int64_t>(part), product, &product) &&
           product == static_cast<int32_t>(product) && (part = static_cast<int32_t>(product), true);
  }
};

/// h:m, h:m:s, h:m:s.fraction, m:s.fraction
TextFault read_clock(std::string_view text, bool minus, Interval& out) {
  int64_t parts[3] = {};
  size_t count = 0;
  double fraction = 0;
  while (true) {
    // '1:' and '1::3' are read with zeros.
    if (count == 0 || (!text.empty() && is_digit(text[0]))) {
      if (const TextFault fault = take_integer(text, parts[count]); fault != TextFault::kNone) return fault;
    }
    ++count;
    if (text.empty() || text[0] != ':') break;
    if (count == 3) return TextFault::kSyntax;
    text.remove_prefix(1);
  }
  if (count < 2 || !read_fraction(text, fraction)) return TextFault::kSyntax;
  if (count == 2 && !text.empty()) {
    parts[2] = parts[1];
    parts[1] = parts[0];
    parts[0] = 0;
  }
  if (parts[1] > 59 || parts[2] > 60) return TextFault::kRange;
  Interval clock;
  Sum sum{clock};
  if (!sum.micros(parts[0], kHour) || !sum.micros(parts[1], kMinute) || !sum.micros(parts[2], kSecond) ||
      !sum.micros(static_cast<int64_t>(std::rint(fraction * 1e6)), 1) ||
      !Sum{out}.micros(minus ? -clock.micros : clock.micros, 1)) {
    return TextFault::kRange;
  }
  return TextFault::kNone;
}

/// A number of a unit. `seen` gets the bits that the same unit may not set again.
bool add(Interval& to, int64_t number, double fraction, TimeUnit unit, uint32_t& seen) {
  Sum sum{to};
  seen = 1u << static_cast<unsigned>(unit);
  switch (unit) {
    case TimeUnit::kMicrosecond: return sum.micros(number, 1) && sum.fraction_of_micros(fraction, 1);
    case TimeUnit::kMillisecond: return sum.micros(number, 1000) && sum.fraction_of_micros(fraction, 1000);
    case TimeUnit::kSecond:
      // With a fraction it is microseconds and milliseconds too.
      if (fraction != 0) {
        seen |=
            1u << static_cast<unsigned>(TimeUnit::kMicrosecond) | 1u << static_cast<unsigned>(TimeUnit::kMillisecond);
      }
      return sum.micros(number, kSecond) && sum.fraction_of_micros(fraction, kSecond);
    case TimeUnit::kMinute: return sum.micros(number, kMinute) && sum.fraction_of_micros(fraction, kMinute);
    case TimeUnit::kHour: return sum.micros(number, kHour) && sum.fraction_of_micros(fraction, kHour);
    case TimeUnit::kDay: return sum.days(number, 1) && sum.fraction_of_micros(fraction, kDay);
    case TimeUnit::kWeek: return sum.days(number, 7) && sum.fraction_of_days(fraction, 7);
    case TimeUnit::kMonth: return sum.months(number, 1) && sum.fraction_of_days(fraction, 30);
    case TimeUnit::kYear: return sum.months(number, 12) && sum.fraction_of_years(fraction, 1);
    case TimeUnit::kDecade: return sum.months(number, 120) && sum.fraction_of_years(fraction, 10);
    case TimeUnit::kCentury: return sum.months(number, 1200) && sum.fraction_of_years(fraction, 100);
    case TimeUnit::kMillennium: return sum.months(number, 12000) && sum.fraction_of_years(fraction, 1000);
    default: return false;
  }
}
constexpr bool has_length(TimeUnit unit) { return unit <= TimeUnit::kMillennium && unit != TimeUnit::kQuarter; }

/// "5", "-1.5", or "1-2" (years and months; the unit is months then, for numbers to the left too).
TextFault read_number(std::string_view text, std::optional<TimeUnit>& unit, Interval& out, uint32_t& seen) {
  const bool minus = text[0] == '-';
  if (minus || text[0] == '+') text.remove_prefix(1);
  int64_t number = 0, second = 0;
  double fraction = 0;
  if (text[0] != '.') {
    if (const TextFault fault = take_integer(text, number); fault != TextFault::kNone) return fault;
  }
  if (text.starts_with('-')) {
    text.remove_prefix(1);
    if (!text.empty()) {  // '2026-' has no months.
      if (const TextFault fault = take_integer(text, second); fault != TextFault::kNone) return fault;
    }
    if (second < 0 || second >= 12) return TextFault::kRange;
    if (!text.empty()) return TextFault::kSyntax;
    if (__builtin_mul_overflow(number, 12, &number)) return TextFault::kRange;
    if (__builtin_add_overflow(number, second, &number)) return TextFault::kRange;
    unit = TimeUnit::kMonth;
  } else if (!read_fraction(text, fraction)) {
    return TextFault::kSyntax;
  }
  const TimeUnit of = unit.value_or(TimeUnit::kSecond);
  if (!has_length(of)) return TextFault::kSyntax;
  return add(out, minus ? -number : number, minus ? -fraction : fraction, of, seen) ? TextFault::kNone
                                                                                    : TextFault::kRange;
}

/// PnYnMnWnDTnHnMnS
TextFault read_iso(std::string_view text, Interval& out) {
  bool clock = false, any = false;
  text.remove_prefix(1);
  while (!text.empty()) {
    if (text[0] == 'T' && !clock) {
      clock = true;
      text.remove_prefix(1);
      continue;
    }
    const bool minus = text[0] == '-';
    if (minus || text[0] == '+') text.remove_prefix(1);
    int64_t number = 0;
    if (!text.starts_with('.')) {
      if (text.starts_with('-')) return TextFault::kSyntax;
      if (const TextFault fault = take_integer(text, number); fault != TextFault::kNone) return fault;
    }
    const size_t letter_at = text.find_first_not_of(".0123456789");
    double fraction = 0;
    if (letter_at == std::string_view::npos || !read_fraction(text.substr(0, letter_at), fraction))
      return TextFault::kSyntax;
    const char letter = text[letter_at];
    text.remove_prefix(letter_at + 1);
    const auto unit = [&]() -> std::optional<TimeUnit> {
      if (clock) {
        if (letter == 'H') return TimeUnit::kHour;
        if (letter == 'M') return TimeUnit::kMinute;
        if (letter == 'S') return TimeUnit::kSecond;
        return std::nullopt;
      }
      if (letter == 'Y') return TimeUnit::kYear;
      if (letter == 'M') return TimeUnit::kMonth;
      if (letter == 'W') return TimeUnit::kWeek;
      if (letter == 'D') return TimeUnit::kDay;
      return std::nullopt;
    }();
    uint32_t seen = 0;
    if (!unit) return TextFault::kSyntax;
    if (!add(out, minus ? -number : number, minus ? -fraction : fraction, *unit, seen)) return TextFault::kRange;
    any = true;
  }
  return any ? TextFault::kNone : TextFault::kSyntax;
}

}  // namespace

std::optional<TimeUnit> find_time_unit(std::string_view name) {
  std::string folded(name.substr(0, kNameLength));
  for (char& c : folded) c = lower(c);
  for (const auto& [known, unit] : kNames) {
    if (known == folded) return unit;
  }
  return std::nullopt;
}

TextFault read_interval(std::string_view text, Interval& out) {
  out = {};
  if (text.starts_with('P')) return read_iso(text, out);
  std::vector<Token> tokens;
  if (!split(text, tokens)) return TextFault::kSyntax;
  constexpr uint32_t kClockBits =
      1u << static_cast<unsigned>(TimeUnit::kSecond) | 1u << static_cast<unsigned>(TimeUnit::kMinute) |
      1u << static_cast<unsigned>(TimeUnit::kHour) | 1u << static_cast<unsigned>(TimeUnit::kMillisecond) |
      1u << static_cast<unsigned>(TimeUnit::kMicrosecond);
  std::optional<TimeUnit> unit;  // of the numbers to the left; none: seconds
  uint32_t all_seen = 0;
  bool ago = false, needs_unit = false;
  // From the right, as each unit stands behind its number.
  for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
    uint32_t seen = 0;
    TextFault fault = TextFault::kNone;
    if (token->kind == Token::Kind::kWord) {
      if (token->text == "ago") {
        ago = needs_unit = true;
        continue;
      }
      unit = find_time_unit(token->text);
      if (!unit || !has_length(*unit)) return TextFault::kSyntax;
      needs_unit = false;
      continue;
    }
    if (token->kind == Token::Kind::kClock) {
      std::string_view clock = token->text;
      const bool minus = clock[0] == '-';
      if (minus || clock[0] == '+') clock.remove_prefix(1);
      const bool sign = clock.size() < token->text.size();
      fault = read_clock(clock, minus, out);
      if (sign && fault != TextFault::kNone) fault = TextFault::kSyntax;  // Then PostgreSQL takes it for a number.
      seen = kClockBits;
      unit = TimeUnit::kDay;  // '3 04:05:06'
      needs_unit = false;
    } else if (needs_unit) {
      return TextFault::kSyntax;  // '3 ago'
    } else {
      fault = read_number(token->text, unit, out, seen);
      if (!unit) unit = TimeUnit::kSecond;
      if (*unit == TimeUnit::kHour) unit = TimeUnit::kDay;
    }
    if (fault != TextFault::kNone) return fault;
    if ((all_seen & seen) != 0) return TextFault::kSyntax;  // '1 mon 1 mon'
    all_seen |= seen;
  }
  if (all_seen == 0) return TextFault::kSyntax;
  if (ago) {
    if (out.micros == INT64_MIN || out.days == INT32_MIN || out.months == INT32_MIN) return TextFault::kRange;
    out = {-out.micros, -out.days, -out.months};
  }
  return TextFault::kNone;
}

}  // namespace backstream::expr
