#include "app/shell/display_text.h"

#include <fmt/format.h>
#include <langinfo.h>

#include <clocale>
#include <cwchar>
#include <string_view>

#include "base/utf8.h"

namespace backstream::app::shell {
namespace {

constexpr size_t kTabColumns = 8;

/// The code point at the begin of `text`, and its octets; octets 0: no UTF-8.
struct Character {
  char32_t point = 0;
  size_t octets = 0;
};
Character first_character(std::string_view text) {
  const auto octet = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = octet(0);
  if (first < 0x80) return {first, 1};
  const size_t octets = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (octets > text.size() || base::find_bad_text(text.substr(0, octets)) != std::string_view::npos) return {};
  char32_t point = first & (0xffU >> (octets + 1));
  for (size_t i = 1; i < octets; ++i) point = (point << 6) | (octet(i) & 0x3f);
  return {point, octets};
}

bool turns_lines(char32_t point) {
  return point == 0x061c || point == 0x200e || point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
         (point >= 0x2066 && point <= 0x2069);
}

std::string shown(std::string_view text, bool with_lines) {
  std::string out;
  size_t line_begin = 0;
  while (!text.empty()) {
    const Character c = first_character(text);
    if (c.octets == 0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (with_lines && c.point == '\n') {
      out += '\n';
      line_begin = out.size();
    } else if (with_lines && c.point == '\t') {
      out.append(kTabColumns - (out.size() - line_begin) % kTabColumns, ' ');
    } else if (with_lines && c.point == '\r' && text.size() > 1 && text[1] == '\n') {
      // A line's end as Windows writes it.
    } else if (c.point < 0x20 || (c.point >= 0x7f && c.point < 0xa0)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c.point));
    } else if (turns_lines(c.point)) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c.point));
    } else {
      out += text.substr(0, c.octets);
    }
    text.remove_prefix(c.octets == 0 ? 1 : c.octets);
  }
  return out;
}

size_t columns_of(char32_t point) {
  if (point < 0x80) return 1;
  const int columns = ::wcwidth(static_cast<wchar_t>(point));
  return columns < 0 ? 1 : static_cast<size_t>(columns);  // Not assigned: terminals mostly draw a box.
}

}  // namespace

std::string printable(std::string_view text) { return shown(text, false); }
std::string printable_lines(std::string_view text) { return shown(text, true); }

size_t width_of(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const Character c = first_character(text);
    width += c.octets == 0 ? 1 : columns_of(c.point);
    text.remove_prefix(c.octets == 0 ? 1 : c.octets);
  }
  return width;
}

std::string cut_to(std::string_view text, size_t columns) {
  if (width_of(text) <= columns) return std::string(text);
  size_t width = 0, end = 0;
  while (end < text.size()) {
    const Character c = first_character(text.substr(end));
    const size_t more = c.octets == 0 ? 1 : columns_of(c.point);
    if (width + more > columns - 1) break;
    width += more;
    end += c.octets == 0 ? 1 : c.octets;
  }
  return std::string(text.substr(0, end)) + "…";
}

void use_utf8() {
  // Numbers and messages stay those of the C locale: only what a character is and how wide.
  if (std::setlocale(LC_CTYPE, "") == nullptr || std::string_view(::nl_langinfo(CODESET)) != "UTF-8")
    std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace backstream::app::shell
