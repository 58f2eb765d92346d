#include "borealis/refused.h"

#include <fmt/format.h>

namespace backstream::borealis {

void refuse(std::string_view code, std::string message, base::SourceSpan span, std::string hint) {
  throw Refused{base::fail(code, std::move(message), span, std::move(hint)).value()};
}

std::string quoted(std::string_view text) {
  constexpr size_t kShownOctets = 63;
  const bool is_cut = text.size() > kShownOctets;
  if (is_cut) {
    size_t end = kShownOctets;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // No half of a UTF-8 character.
    text = text.substr(0, end);
  }
  std::string shown(text);
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return fmt::format("'{}{}'", shown, is_cut ? "…" : "");
}

std::string did_you_mean(std::string_view nearest) {
  return nearest.empty() ? std::string() : fmt::format("did you mean {}?", quoted(nearest));
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string listed(std::span<const std::string_view> names) {
  std::string list;
  for (const std::string_view name : names) {
    if (!list.empty()) list += ", ";
    list += name;
  }
  return list;
}

}  // namespace backstream::borealis
