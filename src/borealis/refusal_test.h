#pragma once
// For this room's tests: diagrams, and texts in which «» stand around what is wrong.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "borealis/diagram.h"

namespace backstream::borealis {

struct Marked {
  std::string text;  ///< without the marks
  base::SourceSpan span;
};

inline Marked marked(std::string_view text) {
  constexpr std::string_view kBegin = "«", kEnd = "»";
  const size_t begin = text.find(kBegin), end = text.find(kEnd);
  if (begin == std::string_view::npos || end == std::string_view::npos) {
    ADD_FAILURE() << "no marks in " << text;
    return {std::string(text), {}};
  }
  Marked made;
  made.text = text.substr(0, begin);
  made.text += text.substr(begin + kBegin.size(), end - begin - kBegin.size());
  made.text += text.substr(end + kEnd.size());
  made.span = {static_cast<uint32_t>(begin), static_cast<uint32_t>(end - begin - kBegin.size())};
  return made;
}

struct Refusal {
  std::string_view text;  ///< marked
  std::string_view code;
  std::string_view message;    ///< the whole
  std::string_view hint = {};  ///< the whole
};

/// @param result  of what reads marked(refusal.text).text
template <typename T>
void expect_refused(const base::Result<T>& result, const Refusal& refusal) {
  SCOPED_TRACE(refusal.text);
  if (result.has_value()) {
    ADD_FAILURE() << "taken";
    return;
  }
  const Marked wanted = marked(refusal.text);
  base::Diagnostic error = result.error();
  EXPECT_EQ(error.span, wanted.span) << base::locate(error, "test", wanted.text).render();
  EXPECT_EQ(error.code, refusal.code);
  EXPECT_EQ(error.message, refusal.message);
  EXPECT_EQ(error.hint, refusal.hint);
}

inline Result<Diagram> read_text(std::string_view text) {
  const auto document = read_document(text);
  if (!document) return tl::unexpected<base::Diagnostic>(document.error());
  return read_diagram(*document);
}

/// A diagram that must be taken.
inline Diagram read(std::string_view text) {
  auto diagram = read_text(text);
  if (!diagram) {
    ADD_FAILURE() << base::locate(diagram.error(), "test", text).render();
    return {};
  }
  return std::move(*diagram);
}

inline std::string_view piece(std::string_view text, SourceSpan span) {
  return text.substr(span.offset_octets, span.length_octets);
}

}  // namespace backstream::borealis
