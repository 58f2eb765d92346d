// Values as text and back, in PostgreSQL 15's spelling (DateStyle ISO, IntervalStyle postgres, TimeZone UTC).
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>

#include "expr/expr.h"

namespace backstream::expr {
namespace {

using base::Inet;
using base::Interval;
using base::Micros;

constexpr Micros kSecond = base::kMicrosPerSecond, kMinute = 60 * kSecond, kHour = 60 * kMinute, kDay = 24 * kHour;

/// Shortest text that reads back as the same double; fixed from 1e-4 to below 1e15, as float8out prints.
std::string double_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  char shortest[40];
  const auto end = std::to_chars(shortest, shortest + sizeof shortest, value, std::chars_format::scientific).ptr;
  const std::string_view text(shortest, static_cast<size_t>(end - shortest));
  const size_t e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  if (exponent < -4 || exponent >= 15) return std::string(text);
  char fixed[64];
  const auto fixed_end = std::to_chars(fixed, fixed + sizeof fixed, value, std::chars_format::fixed).ptr;
  return {fixed, fixed_end};
}

std::string interval_text(const Interval& i) {
  std::string out;
  bool before = false;
  const auto add = [&](int64_t value, const char* unit) {
    if (value == 0) return;
    out += fmt::format("{}{}{} {}{}", out.empty() ? "" : " ", before && value > 0 ? "+" : "", value, unit,
                       value == 1 ? "" : "s");
    before = value < 0;
  };
  add(i.months / 12, "year");
  add(i.months % 12, "mon");
  add(i.days, "day");
  if (out.empty() || i.micros != 0) {
    const bool minus = i.micros < 0;
    const uint64_t clock = minus ? ~static_cast<uint64_t>(i.micros) + 1 : static_cast<uint64_t>(i.micros);
    out += fmt::format("{}{}{:02}:{:02}:{:02}", out.empty() ? "" : " ",
                       minus    ? "-"
                       : before ? "+"
                                : "",
                       clock / static_cast<uint64_t>(kHour), clock / static_cast<uint64_t>(kMinute) % 60,
                       clock / static_cast<uint64_t>(kSecond) % 60);
    if (const uint64_t micro = clock % static_cast<uint64_t>(kSecond); micro != 0) {
      std::string fraction = fmt::format(".{:06}", micro);
      fraction.erase(fraction.find_last_not_of('0') + 1);
      out += fraction;
    }
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}
std::string folded(std::string_view text) {
  std::string name(text);
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return name;
}

Result<Value> bad(std::string_view text, Type type, SourceSpan span, std::string hint = {}) {
  return base::fail("22P02", fmt::format("invalid input syntax for type {}: \"{}\"", batch::name(type), text), span,
                    std::move(hint));
}

struct Unit {
  const char* name;
  int64_t months, days, micros;
};
/// Names as PostgreSQL knows them; a fraction of a month is days, of a day the clock.
constexpr Unit kUnits[] = {
    {"us", 0, 0, 1},
    {"usec", 0, 0, 1},
    {"usecs", 0, 0, 1},
    {"microsecond", 0, 0, 1},
    {"microseconds", 0, 0, 1},
    {"ms", 0, 0, 1000},
    {"msec", 0, 0, 1000},
    {"msecs", 0, 0, 1000},
    {"millisecond", 0, 0, 1000},
    {"milliseconds", 0, 0, 1000},
    {"s", 0, 0, kSecond},
    {"sec", 0, 0, kSecond},
    {"secs", 0, 0, kSecond},
    {"second", 0, 0, kSecond},
    {"seconds", 0, 0, kSecond},
    {"m", 0, 0, kMinute},
    {"min", 0, 0, kMinute},
    {"mins", 0, 0, kMinute},
    {"minute", 0, 0, kMinute},
    {"minutes", 0, 0, kMinute},
    {"h", 0, 0, kHour},
    {"hr", 0, 0, kHour},
    {"hrs", 0, 0, kHour},
    {"hour", 0, 0, kHour},
    {"hours", 0, 0, kHour},
    {"d", 0, 1, 0},
    {"day", 0, 1, 0},
    {"days", 0, 1, 0},
    {"w", 0, 7, 0},
    {"week", 0, 7, 0},
    {"weeks", 0, 7, 0},
    {"mon", 1, 0, 0},
    {"mons", 1, 0, 0},
    {"month", 1, 0, 0},
    {"months", 1, 0, 0},
    {"y", 12, 0, 0},
    {"yr", 12, 0, 0},
    {"yrs", 12, 0, 0},
    {"year", 12, 0, 0},
    {"years", 12, 0, 0},
    {"decade", 120, 0, 0},
    {"decades", 120, 0, 0},
    {"century", 1200, 0, 0},
    {"centuries", 1200, 0, 0},
};

/// Adds `number` of a unit, in long double so that no microsecond is lost.
bool add_unit(Interval& to, long double number, const Unit& unit) {
  const long double months = number * static_cast<long double>(unit.months);
  const long double whole_months = std::trunc(months);
  const long double days = number * static_cast<long double>(unit.days) + (months - whole_months) * 30;
  const long double whole_days = std::trunc(days);
  const long double micros =
      std::rint(number * static_cast<long double>(unit.micros) + (days - whole_days) * static_cast<long double>(kDay));
  if (std::fabs(whole_months) > 2147483647.0L || std::fabs(whole_days) > 2147483647.0L || std::fabs(micros) > 9.2e18L)
    return false;
  return !__builtin_add_overflow(to.months, static_cast<int64_t>(whole_months), &to.months) &&
         !__builtin_add_overflow(to.days, static_cast<int64_t>(whole_days), &to.days) &&
         !__builtin_add_overflow(to.micros, static_cast<int64_t>(micros), &to.micros);
}

bool digit(char c) { return c >= '0' && c <= '9'; }

/// Reads digits with an optional fraction. False when there is none.
bool read_number(std::string_view& text, long double& number) {
  size_t used = 0;
  number = 0;
  while (used < text.size() && digit(text[used]) && used < 25) number = number * 10 + (text[used++] - '0');
  const size_t whole = used;
  if (used < text.size() && text[used] == '.') {
    long double weight = 0.1L;
    ++used;
    while (used < text.size() && digit(text[used])) {
      number += weight * (text[used++] - '0');
      weight /= 10;
    }
    if (used == whole + 1 && whole == 0) return false;
  }
  if (used == 0) return false;
  text.remove_prefix(used);
  return true;
}

bool parse_iso_interval(std::string_view text, Interval& out) {
  bool clock = false, any = false;
  while (!text.empty()) {
    if (text[0] == 'T' && !clock) {
      clock = true;
      text.remove_prefix(1);
      continue;
    }
    const bool minus = text[0] == '-';
    if (minus || text[0] == '+') text.remove_prefix(1);
    long double number = 0;
    if (!read_number(text, number) || text.empty()) return false;
    const char letter = text[0];
    text.remove_prefix(1);
    const char* name = letter == 'Y' && !clock   ? "y"
                       : letter == 'M'           ? (clock ? "m" : "mon")
                       : letter == 'W' && !clock ? "w"
                       : letter == 'D' && !clock ? "d"
                       : letter == 'H' && clock  ? "h"
                       : letter == 'S' && clock  ? "s"
                                                 : nullptr;
    if (name == nullptr) return false;
    for (const Unit& unit : kUnits) {
      if (std::strcmp(unit.name, name) == 0 && !add_unit(out, minus ? -number : number, unit)) return false;
    }
    any = true;
  }
  return any;
}

bool parse_interval(std::string_view text, Interval& out) {
  text = trimmed(text);
  if (text.starts_with('P')) return parse_iso_interval(text.substr(1), out);
  bool any = false;
  std::string rest = folded(text);
  std::string_view at = trimmed(rest);
  bool ago = false;
  if (at.ends_with("ago")) {
    ago = true;
    at = trimmed(at.substr(0, at.size() - 3));
  }
  if (at.starts_with('@')) at = trimmed(at.substr(1));
  while (!at.empty()) {
    const bool minus = at[0] == '-';
    if (minus || at[0] == '+') at = trimmed(at.substr(1));
    long double number = 0;
    if (!read_number(at, number)) return false;
    const long double sign = minus ? -1 : 1;
    if (at.starts_with(':')) {  // hh:mm or hh:mm:ss
      at.remove_prefix(1);
      long double minutes = 0, seconds = 0;
      if (!read_number(at, minutes) || minutes >= 60) return false;
      if (at.starts_with(':')) {
        at.remove_prefix(1);
        if (!read_number(at, seconds) || seconds >= 61) return false;
      }
      if (!add_unit(out, sign * (number * 3600 + minutes * 60 + seconds), Unit{"", 0, 0, kSecond})) return false;
    } else {
      at = trimmed(at);
      size_t letters = 0;
      while (letters < at.size() && at[letters] >= 'a' && at[letters] <= 'z') ++letters;
      const std::string_view name = at.substr(0, letters);
      const Unit* found = nullptr;
      if (name.empty()) found = &kUnits[10];  // a bare number is seconds
      for (const Unit& unit : kUnits) {
        if (name == unit.name) found = &unit;
      }
      if (found == nullptr || !add_unit(out, sign * number, *found)) return false;
      at.remove_prefix(letters);
    }
    any = true;
    at = trimmed(at);
  }
  if (ago) out = {-out.micros, -out.days, -out.months};
  return any;
}

bool parse_bool(std::string_view text, bool& out) {
  const std::string name = folded(trimmed(text));
  if (name.empty()) return false;
  const auto prefix_of = [&](std::string_view word, size_t least) {
    return name.size() >= least && word.starts_with(name);
  };
  if (prefix_of("true", 1) || prefix_of("yes", 1) || name == "on" || name == "1") {
    out = true;
    return true;
  }
  if (prefix_of("false", 1) || prefix_of("no", 1) || prefix_of("off", 2) || name == "0") {
    out = false;
    return true;
  }
  return false;
}

int hex_digit(char c) {
  if (digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
bool parse_macaddr(std::string_view text, int64_t& out) {
  text = trimmed(text);
  int digits = 0;
  out = 0;
  for (const char c : text) {
    const int value = hex_digit(c);
    if (value >= 0) {
      out = out << 4 | value;
      if (++digits > 12) return false;
    } else if (c != ':' && c != '-' && c != '.') {
      return false;
    }
  }
  return digits == 12;
}
bool parse_bytea(std::string_view text, std::string& out) {
  if (!text.starts_with("\\x")) {
    out = text;
    return text.find('\\') == std::string_view::npos;
  }
  text.remove_prefix(2);
  if (text.size() % 2 != 0) return false;
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return false;
    out += static_cast<char>(high << 4 | low);
  }
  return true;
}

Result<Value> parse_integer(std::string_view text, Type type, SourceSpan span) {
  std::string_view number = trimmed(text);
  const bool plus = number.starts_with('+');
  if (plus) number.remove_prefix(1);
  if (number.empty() || (plus && number[0] == '-')) return bad(text, type, span);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  const bool whole = end == number.data() + number.size();
  if (whole && error == std::errc() &&
      (type == Type::kInt8 || (type == Type::kInt4 && value == static_cast<int32_t>(value)) ||
       (type == Type::kInt2 && value == static_cast<int16_t>(value)))) {
    return Value(value);
  }
  if (!whole || error == std::errc::invalid_argument) return bad(text, type, span);
  return base::fail("22003", fmt::format("value \"{}\" is out of range for type {}", text, batch::name(type)), span);
}

Result<Value> parse_double(std::string_view text, Type type, SourceSpan span) {
  std::string number = folded(trimmed(text));
  if (number.starts_with('+')) number.erase(0, 1);
  if (number == "nan") return Value(std::nan(""));
  if (number == "infinity" || number == "inf") return Value(HUGE_VAL);
  if (number == "-infinity" || number == "-inf") return Value(-HUGE_VAL);
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (number.empty() || !(digit(number.back()) || number.back() == '.') || end != number.data() + number.size() ||
      error == std::errc::invalid_argument) {
    return bad(text, type, span);
  }
  if (error == std::errc::result_out_of_range) {
    return base::fail("22003", fmt::format("\"{}\" is out of range for type double precision", text), span);
  }
  return Value(value);
}

}  // namespace

std::string value_text(const Value& value, Type type) {
  if (std::holds_alternative<std::monostate>(value)) return {};
  switch (batch::physical(type)) {
    case batch::Physical::kByte: return std::get<bool>(value) ? "t" : "f";
    case batch::Physical::kInt64: {
      const int64_t number = std::get<int64_t>(value);
      if (type == Type::kTimestamptz) return base::format_timestamp(number);
      if (type == Type::kMacaddr) {
        const auto octet = [&](int i) { return static_cast<unsigned>(number >> (40 - 8 * i) & 0xff); };
        return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", octet(0), octet(1), octet(2), octet(3),
                           octet(4), octet(5));
      }
      return std::to_string(number);
    }
    case batch::Physical::kDouble: return double_text(std::get<double>(value));
    case batch::Physical::kText: {
      const std::string& text = std::get<std::string>(value);
      if (type != Type::kBytea) return text;
      std::string hex = "\\x";
      for (const char c : text) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
      return hex;
    }
    case batch::Physical::kInet:
      return type == Type::kCidr ? base::to_cidr_string(std::get<Inet>(value)) : base::to_string(std::get<Inet>(value));
    case batch::Physical::kInterval: return interval_text(std::get<Interval>(value));
  }
  return {};
}

Result<Value> parse_value(std::string_view text, Type type, SourceSpan span) {
  switch (type) {
    case Type::kBool: {
      bool value = false;
      if (!parse_bool(text, value)) return bad(text, type, span);
      return Value(value);
    }
    case Type::kInt2:
    case Type::kInt4:
    case Type::kInt8: return parse_integer(text, type, span);
    case Type::kFloat8: return parse_double(text, type, span);
    case Type::kUnknown:
    case Type::kText: return Value(std::string(text));
    case Type::kBytea: {
      std::string octets;
      if (!parse_bytea(text, octets)) return bad(text, type, span);
      return Value(octets);
    }
    case Type::kInet: {
      const auto inet = base::parse_inet(trimmed(text));
      if (!inet) return bad(text, type, span);
      return Value(*inet);
    }
    case Type::kCidr: {
      bool host_bits = false;
      const auto cidr = base::parse_cidr(trimmed(text), &host_bits);
      if (cidr) return Value(*cidr);
      if (!host_bits) return bad(text, type, span);
      return base::fail("22P02", fmt::format("invalid cidr value: \"{}\"", text), span,
                        "value has bits set to right of mask");
    }
    case Type::kMacaddr: {
      int64_t mac = 0;
      if (!parse_macaddr(text, mac)) return bad(text, type, span);
      return Value(mac);
    }
    case Type::kTimestamptz: {
      const std::string name = folded(trimmed(text));
      if (name == "epoch") return Value(int64_t{0});
      if (name == "infinity") return Value(base::kMaxTime);
      if (name == "-infinity") return Value(base::kMinTime);
      const auto time = base::parse_timestamp(trimmed(text));
      if (!time) {
        return base::fail("22007", fmt::format("invalid input syntax for type {}: \"{}\"", batch::name(type), text),
                          span, "write it as 2026-01-31 12:05:00+00");
      }
      return Value(*time);
    }
    case Type::kInterval: {
      Interval interval;
      if (!parse_interval(text, interval)) {
        return base::fail("22007", fmt::format("invalid input syntax for type {}: \"{}\"", batch::name(type), text),
                          span, "write it as '300 s', '5 min' or '1 hour'");
      }
      return Value(interval);
    }
  }
  return bad(text, type, span);
}

Value value_at(const batch::Column& column, size_t row) {
  if (column.is_null(row)) return {};
  switch (batch::physical(column.type)) {
    case batch::Physical::kByte: return column.as<uint8_t>()[row] != 0;
    case batch::Physical::kInt64: return column.as<int64_t>()[row];
    case batch::Physical::kDouble: return column.as<double>()[row];
    case batch::Physical::kText: return std::string(column.as<std::string_view>()[row]);
    case batch::Physical::kInet: return column.as<Inet>()[row];
    case batch::Physical::kInterval: return column.as<Interval>()[row];
  }
  return {};
}

int compare_values(const Value& a, const Value& b, Type type) {
  const auto plain = [](auto x, auto y) { return (x > y) - (x < y); };
  switch (batch::physical(type)) {
    case batch::Physical::kByte: return plain(std::get<bool>(a), std::get<bool>(b));
    case batch::Physical::kInt64: return plain(std::get<int64_t>(a), std::get<int64_t>(b));
    case batch::Physical::kDouble: {
      const double x = std::get<double>(a), y = std::get<double>(b);
      if (std::isnan(x) || std::isnan(y)) return static_cast<int>(std::isnan(x)) - static_cast<int>(std::isnan(y));
      return plain(x, y);
    }
    case batch::Physical::kText: {
      const int c = std::get<std::string>(a).compare(std::get<std::string>(b));
      return (c > 0) - (c < 0);
    }
    case batch::Physical::kInet: {
      const auto c = base::compare(std::get<Inet>(a), std::get<Inet>(b));
      return (c > 0) - (c < 0);
    }
    case batch::Physical::kInterval: {
      __extension__ using Wide = __int128;
      const auto length = [](const Interval& i) {
        return (static_cast<Wide>(i.months) * 30 + i.days) * kDay + i.micros;
      };
      return plain(length(std::get<Interval>(a)), length(std::get<Interval>(b)));
    }
  }
  return 0;
}

}  // namespace backstream::expr
