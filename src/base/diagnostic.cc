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
  // A control character in a quoted line must not reach the terminal.
  for (const char c : excerpt) out += static_cast<unsigned char>(c) < 0x20 && c != '\t' ? ' ' : c;
  out += "\n      | ";
  uint32_t characters_left = column == 0 ? 0 : column - 1;
  for (const char c : excerpt) {
    if (!begins_character(c)) continue;
    if (characters_left-- == 0) break;
    out += c == '\t' ? '\t' : ' ';
  }
  out += '^';
  if (caret_characters > 1) out.append(caret_characters - 1, '~');
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
