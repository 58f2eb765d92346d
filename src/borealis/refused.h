#pragma once
// How the readers of this room say what is wrong. Inside this room only.
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/diagnostic.h"

namespace backstream::borealis {

/// What ends the reading of an expression or a diagram: thrown at the place of the mistake, caught where the reader was
/// called. It never leaves this room: a Result in each of its functions would be most of their text.
struct Refused {
  base::Diagnostic diagnostic;
};
[[noreturn]] void refuse(std::string_view code, std::string message, base::SourceSpan span, std::string hint = {});

/// The value, or Refused.
template <typename T>
T taken(base::Result<T> result) {
  if (!result) throw Refused{std::move(result.error())};
  return std::move(*result);
}

/// 'text', cut where it is longer than any name, without control characters: for messages.
std::string quoted(std::string_view text);
/// "did you mean 'x'?", or empty.
std::string did_you_mean(std::string_view nearest);
std::string lower_case(std::string_view text);                ///< of ASCII's letters
std::string listed(std::span<const std::string_view> names);  ///< "a, b, c"

}  // namespace backstream::borealis
