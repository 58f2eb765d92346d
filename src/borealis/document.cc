#include "borealis/document.h"

namespace backstream::borealis {

SourceSpan Value::span_of(size_t begin, size_t length) const {
  const size_t end = begin + length;
  if (end >= places.size()) return span;
  return {places[begin], places[end] - places[begin]};
}

const Attribute* Element::find(std::string_view attribute) const {
  for (const Attribute& found : attributes) {
    if (found.name == attribute) return &found;
  }
  return nullptr;
}

}  // namespace backstream::borealis
