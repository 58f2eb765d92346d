#include "receiver/value_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/inet.h"
#include "base/time.h"
#include "expr/expr.h"

namespace backstream::receiver {
namespace {

/// Octets of the UTF-8 sequence at the begin of `text` (not empty), 0 when it is none.
size_t utf8_octets(std::string_view text) {
  const auto octet = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto tail = [&](size_t i) { return i < text.size() && (octet(i) & 0xC0) == 0x80; };
  const unsigned char first = octet(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first < 0xF0) {
    if (!tail(1) || !tail(2)) return 0;
    if (first == 0xE0 && octet(1) < 0xA0) return 0;
    if (first == 0xED && octet(1) >= 0xA0) return 0;  // Surrogates are no characters.
    return 3;
  }
  if (first >= 0xF0 && first < 0xF5) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (first == 0xF0 && octet(1) < 0x90) return 0;
    if (first == 0xF4 && octet(1) >= 0x90) return 0;
    return 4;
  }
  return 0;
}

void append_integer(std::string& out, int64_t value) {
  char text[24];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

}  // namespace

char* put_json_string(std::string_view text, char* at) {
  constexpr char kHex[] = "0123456789abcdef";
  *at++ = '"';
  while (!text.empty()) {
    const unsigned char c = static_cast<unsigned char>(text.front());
    size_t octets = 1;
    if (c == '"' || c == '\\') {
      *at++ = '\\';
      *at++ = static_cast<char>(c);
    } else if (c < 0x20 || c == 0x7F) {
      at = put(at, "\\u00");
      *at++ = kHex[c >> 4];
      *at++ = kHex[c & 15];
    } else if ((octets = utf8_octets(text)) == 0) {
      octets = 1;
      at = put(at, "\\ufffd");
    } else {
      at = put(at, text.substr(0, octets));
    }
    text.remove_prefix(octets);
  }
  *at++ = '"';
  return at;
}

char* put_csv_text(std::string_view text, char* at) {
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos) return put(at, text);
  *at++ = '"';
  for (const char c : text) {
    if (c == '"') *at++ = '"';
    *at++ = c;
  }
  *at++ = '"';
  return at;
}

std::string csv_text(std::string_view text) {
  std::string out(2 * text.size() + 2, '\0');
  out.resize(static_cast<size_t>(put_csv_text(text, out.data()) - out.data()));
  return out;
}

std::string json_string(std::string_view text) {
  std::string out(6 * text.size() + 2, '\0');
  out.resize(static_cast<size_t>(put_json_string(text, out.data()) - out.data()));
  return out;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t octets = utf8_octets(text);
    const unsigned char c = static_cast<unsigned char>(text.front());
    const bool c1_control = octets == 2 && c == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    if (octets == 0 || c < 0x20 || c == 0x7F) out += fmt::format("\\x{:02x}", c);
    else if (c1_control) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[1]));
    else out.append(text.substr(0, octets));
    text.remove_prefix(octets == 0 ? 1 : octets);
  }
  return out;
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string error_for_people(std::string_view value, std::string_view error) {
  double of = 0, by = 0;
  const auto read = [](std::string_view text, double& to) {
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), to);
    return wrong == std::errc() && end == text.data() + text.size() && std::isfinite(to);
  };
  if (!read(error, by) || !read(value, of) || (of == 0 && by != 0)) return std::string(error);
  const double percent = by == 0 ? 0 : 100 * by / std::abs(of);
  if (percent != 0 && percent < 0.005) return "±<0.01 %";
  return fmt::format("±{:.{}f} %", percent, percent == 0 || percent >= 9.95 ? 0 : percent >= 0.995 ? 1 : 2);
}

void append_json_value(std::string& out, const batch::Column& column, size_t row) {
  if (column.is_null(row)) {
    out += "null";
    return;
  }
  char text[kCellOctetsMax];
  switch (column.type) {
    case batch::Type::kInt2:
    case batch::Type::kInt4:
    case batch::Type::kInt8: append_integer(out, column.as<int64_t>()[row]); return;
    case batch::Type::kTimestamptz:
      out += '"';
      out.append(text, base::format_rfc3339(column.as<int64_t>()[row], text));
      out += '"';
      return;
    case batch::Type::kInet:
    case batch::Type::kCidr:
      out += '"';
      out.append(text, base::format_inet(column.as<base::Inet>()[row], text, column.type == batch::Type::kCidr));
      out += '"';
      return;
    case batch::Type::kBool: out += column.as<uint8_t>()[row] != 0 ? "true" : "false"; return;
    case batch::Type::kText: out += json_string(column.as<std::string_view>()[row]); return;
    case batch::Type::kFloat8:
      if (const double number = column.as<double>()[row]; !std::isfinite(number)) {
        out += std::isnan(number) ? "\"NaN\"" : number > 0 ? "\"Infinity\"" : "\"-Infinity\"";
        return;
      }
      out += expr::value_text(expr::value_at(column, row), column.type);
      return;
    default: out += json_string(expr::value_text(expr::value_at(column, row), column.type));
  }
}

void append_csv_value(std::string& out, const batch::Column& column, size_t row) {
  if (column.is_null(row)) return;
  switch (column.type) {
    case batch::Type::kText: out += csv_text(column.as<std::string_view>()[row]); return;
    case batch::Type::kBool: out += column.as<uint8_t>()[row] != 0 ? 't' : 'f'; return;
    default: {
      const std::string text = expr::value_text(expr::value_at(column, row), column.type);
      if (batch::is_numeric(column.type)) out += text;
      else out += csv_text(text);
    }
  }
}

}  // namespace backstream::receiver
