// Values as text and back, in PostgreSQL 15's spelling (DateStyle ISO, IntervalStyle postgres, TimeZone UTC).
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <compare>
#include <cstring>

#include "expr/expr.h"
#include "expr/time_text.h"

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

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
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

bool digit(char c) { return c >= '0' && c <= '9'; }

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
/// A hexadecimal number as C's scanf reads it with a width: blanks before it, a sign, 0x. False when there is none.
bool scan_hex(std::string_view& text, size_t width, int64_t& value) {
  while (!text.empty() && is_space(text[0])) text.remove_prefix(1);
  std::string_view part = text.substr(0, width);
  const size_t whole = part.size();
  const bool minus = part.starts_with('-');
  if (minus || part.starts_with('+')) part.remove_prefix(1);
  // "0x" alone is 0, as glibc has it.
  const bool prefix = part.size() >= 2 && part[0] == '0' && (part[1] == 'x' || part[1] == 'X');
  if (prefix) part.remove_prefix(2);
  size_t digits = 0;
  uint64_t number = 0;
  for (; digits < part.size() && hex_digit(part[digits]) >= 0; ++digits) {
    number = (number << 4 | static_cast<uint64_t>(hex_digit(part[digits]))) & 0xffff'ffff;
  }
  if (digits == 0 && !prefix) return false;
  text.remove_prefix(whole - part.size() + digits);
  value = minus ? -static_cast<int64_t>(number) : static_cast<int64_t>(number);
  return true;
}
/// PostgreSQL's seven forms. kRange (22003): six numbers, of which one is no octet.
TextFault parse_macaddr(std::string_view text, int64_t& out) {
  struct Form {
    size_t width;
    const char* marks;  ///< between the six numbers; a blank for none
  };
  static constexpr Form kForms[] = {{100, ":::::"}, {100, "-----"}, {2, "  :  "}, {2, "  -  "},
                                    {2, " . . "},   {2, " - - "},   {2, "     "}};
  for (const Form& form : kForms) {
    std::string_view rest = text;
    int64_t numbers[6] = {};
    bool all = true;
    for (size_t i = 0; i < 6 && all; ++i) {
      if (i > 0 && form.marks[i - 1] != ' ') {
        all = rest.starts_with(form.marks[i - 1]);
        if (all) rest.remove_prefix(1);
      }
      all = all && scan_hex(rest, form.width, numbers[i]);
    }
    if (!all || !trimmed(rest).empty()) continue;
    out = 0;
    for (const int64_t number : numbers) {
      if (number < 0 || number > 255) return TextFault::kRange;
      out = out << 8 | number;
    }
    return TextFault::kNone;
  }
  return TextFault::kSyntax;
}
/// '\x00ff' (blanks may stand between octets; 22023 for what is not hexadecimal), or characters with \\ and \ooo.
const char* parse_bytea(std::string_view text, std::string& out) {
  if (text.starts_with("\\x")) {
    text.remove_prefix(2);
    for (size_t i = 0; i < text.size();) {
      if (text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
        ++i;
        continue;
      }
      const int high = hex_digit(text[i]), low = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
      if (high < 0 || low < 0) return "22023";
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
    return nullptr;
  }
  const auto octal = [&](size_t i, char highest) { return i < text.size() && text[i] >= '0' && text[i] <= highest; };
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '\\') {
      out += text[i++];
    } else if (text.substr(i).starts_with("\\\\")) {
      out += '\\';
      i += 2;
    } else if (octal(i + 1, '3') && octal(i + 2, '7') && octal(i + 3, '7')) {
      out += static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0'));
      i += 4;
    } else {
      return "22P02";
    }
  }
  return nullptr;
}

Result<Value> parse_integer(std::string_view text, Type type, SourceSpan span) {
  std::string_view number = trimmed(text);
  const bool plus = number.starts_with('+');
  if (plus) number.remove_prefix(1);
  if (number.empty() || (plus && number[0] == '-')) return bad(text, type, span);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  const bool whole = end == number.data() + number.size();
  const bool fits =
      error == std::errc() && (type == Type::kInt8 || (type == Type::kInt4 && value == static_cast<int32_t>(value)) ||
                               (type == Type::kInt2 && value == static_cast<int16_t>(value)));
  if (fits && whole) return Value(value);
  if (fits || error == std::errc::invalid_argument) return bad(text, type, span);
  // Too large comes before what follows the digits, but for the one number whose negative would fit.
  std::string_view digits = number.substr(0, static_cast<size_t>(end - number.data()));
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  const std::string_view limit = type == Type::kInt2   ? "32768"
                                 : type == Type::kInt4 ? "2147483648"
                                                       : "9223372036854775808";
  if (!whole && digits == limit) return bad(text, type, span);
  return base::fail("22003", fmt::format("value \"{}\" is out of range for type {}", text, batch::name(type)), span);
}

Result<Value> parse_double(std::string_view text, Type type, SourceSpan span) {
  std::string number = folded(trimmed(text));
  if (number.starts_with('+')) number.erase(0, 1);
  if (number == "nan" || number == "-nan") return Value(std::nan(""));
  if (number == "infinity" || number == "inf") return Value(HUGE_VAL);
  if (number == "-infinity" || number == "-inf") return Value(-HUGE_VAL);
  // One sign at most; hexadecimal as strtod reads it.
  if (number.starts_with('-') && text.find('+') < text.find('-')) return bad(text, type, span);
  double value = 0;
  auto format = std::chars_format::general;
  if (const size_t at = number.starts_with('-'); number.substr(at, 2) == "0x") {
    number.erase(at, 2);
    format = std::chars_format::hex;
    if (hex_digit(number[at]) < 0 && number[at] != '.') return bad(text, type, span);
  }
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value, format);
  if (error == std::errc::result_out_of_range) {
    return base::fail("22003", fmt::format("\"{}\" is out of range for type double precision", text), span);
  }
  if (number.empty() || !(hex_digit(number.back()) >= 0 || number.back() == '.') ||
      end != number.data() + number.size() || error == std::errc::invalid_argument) {
    return bad(text, type, span);
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
      if (type == Type::kTimestamp) return base::format_local_timestamp(number);
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
      const char* fault = parse_bytea(text, octets);
      if (fault != nullptr && fault == std::string_view("22023")) {
        return base::fail(fault, fmt::format("invalid hexadecimal data: \"{}\"", text), span);
      }
      if (fault != nullptr) return bad(text, type, span);
      return Value(octets);
    }
    case Type::kInet: {
      const auto inet = base::parse_inet(text);
      if (!inet) return bad(text, type, span);
      return Value(*inet);
    }
    case Type::kCidr: {
      bool host_bits = false;
      const auto cidr = base::parse_cidr(text, &host_bits);
      if (cidr) return Value(*cidr);
      if (!host_bits) return bad(text, type, span);
      return base::fail("22P02", fmt::format("invalid cidr value: \"{}\"", text), span,
                        "value has bits set to right of mask");
    }
    case Type::kMacaddr: {
      int64_t mac = 0;
      const TextFault fault = parse_macaddr(text, mac);
      if (fault == TextFault::kRange) {
        return base::fail("22003", fmt::format("invalid octet value in \"macaddr\" value: \"{}\"", text), span);
      }
      if (fault != TextFault::kNone) return bad(text, type, span);
      return Value(mac);
    }
    case Type::kTimestamp:
    case Type::kTimestamptz: {
      const std::string name = folded(trimmed(text));
      if (name == "epoch") return Value(int64_t{0});
      if (name == "infinity") return Value(base::kMaxTime);
      if (name == "-infinity") return Value(base::kMinTime);
      bool out_of_range = false;
      const auto time = base::parse_timestamp(trimmed(text), &out_of_range, type == Type::kTimestamp);
      if (out_of_range) {
        return base::fail("22008", fmt::format("date/time field value out of range: \"{}\"", text), span);
      }
      if (!time) {
        return base::fail(
            "22007", fmt::format("invalid input syntax for type {}: \"{}\"", batch::name(type), text), span,
            type == Type::kTimestamp ? "write it as 2026-01-31 12:05:00" : "write it as 2026-01-31 12:05:00+00");
      }
      return Value(*time);
    }
    case Type::kInterval: {
      Interval interval;
      const TextFault fault = read_interval(text, interval);
      if (fault == TextFault::kRange) {
        return base::fail("22015", fmt::format("interval field value out of range: \"{}\"", text), span);
      }
      if (fault != TextFault::kNone) {
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
      return std::is_gt(c) - std::is_lt(c);
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
