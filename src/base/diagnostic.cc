#include "base/diagnostic.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace backstream::base {
namespace {

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }  // UTF-8

uint32_t count_characters(std::string_view text) {
  return static_cast<uint32_t>(std::count_if(text.begin(), text.end(), begins_character));
}

unsigned char lower(char c) { return static_cast<unsigned char>(std::tolower(static_cast<unsigned char>(c))); }

/// Edit distance with insertion, deletion, replacement and swap of neighbours, case ignored.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

/// Octets of the UTF-8 character that `text` begins with; 0: it begins with none.
size_t character_octets(std::string_view text) {
  const auto octet = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t octets = octet(0) < 0x80                       ? 1
                        : octet(0) >= 0xc2 && octet(0) < 0xe0 ? 2
                        : octet(0) >= 0xe0 && octet(0) < 0xf0 ? 3
                        : octet(0) >= 0xf0 && octet(0) < 0xf5 ? 4
                                                              : 0;
  if (octets > text.size()) return 0;
  for (size_t i = 1; i < octets; ++i) {
    if ((octet(i) & 0xc0) != 0x80) return 0;
  }
  return octets;
}
std::vector<std::string> printable_characters(std::string_view line) {
  std::vector<std::string> characters;
  while (!line.empty()) {
    const size_t octets = character_octets(line);
    const auto c = static_cast<unsigned char>(line[0]);
    if (octets == 0) characters.emplace_back("?");
    else if (octets == 1 && c < 0x20 && c != '\t') characters.emplace_back(" ");
    else characters.emplace_back(line.substr(0, octets));
    line.remove_prefix(std::max<size_t>(octets, 1));
  }
  return characters;
}

}  // namespace

std::string Diagnostic::render() const {
  std::string out = source_name;
  if (line != 0) {
    if (!out.empty()) out += ':';
    out += std::to_string(line) + ":" + std::to_string(column);
  }
  if (!out.empty()) out += ": ";
  out += "error: " + message + "\n";
  if (line == 0) {
    if (!hint.empty()) out += "hint: " + hint + "\n";
    return out;
  }

  char number[16];
  std::snprintf(number, sizeof number, "%5u", line);
  out += number;
  out += " | ";
  // What is quoted goes to a terminal: control characters and octets that are no UTF-8 must not. Of a long line only
  // the part around the caret is shown.
  constexpr size_t kShownCharacters = 160;
  const std::vector<std::string> characters = printable_characters(excerpt);
  const size_t at = column == 0 ? 0 : std::min<size_t>(column - 1, characters.size());
  const size_t first =
      characters.size() > kShownCharacters && at > kShownCharacters / 2 ? at - kShownCharacters / 2 : 0;
  const size_t end = std::min(characters.size(), first + kShownCharacters);
  const std::string_view left_out = first > 0 ? "... " : "";
  out += left_out;
  for (size_t i = first; i < end; ++i) out += characters[i];
  if (end < characters.size()) out += " ...";
  out += "\n      | ";
  out.append(left_out.size(), ' ');
  for (size_t i = first; i < at; ++i) out += characters[i] == "\t" ? '\t' : ' ';
  out += '^';
  if (caret_characters > 1) out.append(std::min<size_t>(caret_characters - 1, kShownCharacters), '~');
  if (!hint.empty()) out += " hint: " + hint;
  return out += '\n';
}

Diagnostic& locate(Diagnostic& diagnostic, std::string_view source_name, std::string_view text) {
  const size_t at = std::min<size_t>(diagnostic.span.offset_octets, text.size());
  const std::string_view before = text.substr(0, at);
  const size_t newline = before.rfind('\n');
  const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
  size_t line_end = std::min(text.find('\n', at), text.size());
  if (line_end > line_begin && text[line_end - 1] == '\r') --line_end;

  diagnostic.source_name = source_name;
  diagnostic.line = static_cast<uint32_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  diagnostic.column = count_characters(before.substr(line_begin)) + 1;
  diagnostic.excerpt = text.substr(line_begin, line_end - line_begin);
  const size_t on_line = line_end > at ? std::min<size_t>(diagnostic.span.length_octets, line_end - at) : 0;
  diagnostic.caret_characters = std::max(1U, count_characters(text.substr(at, on_line)));
  return diagnostic;
}

std::string_view nearest_name(std::string_view name, const std::vector<std::string_view>& candidates) {
  std::string_view nearest;
  size_t limit = std::max<size_t>(1, name.size() / 3);
  for (const std::string_view candidate : candidates) {
    const size_t shorter = std::min(name.size(), candidate.size()), longer = std::max(name.size(), candidate.size());
    if (candidate.empty() || longer - shorter > limit) continue;
    const size_t distance = edit_distance(name, candidate);
    if (distance > limit || (distance == limit && !nearest.empty())) continue;
    nearest = candidate;
    limit = distance;
  }
  return nearest;
}

}  // namespace backstream::base
