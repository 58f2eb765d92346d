#pragma once
// An XML document as elements that know where they stand.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"

namespace backstream::borealis {

using base::Result;
using base::SourceSpan;

/// The value of an attribute, its entities resolved.
struct Value {
  std::string text;
  SourceSpan span;               ///< of what stands between the quotes
  std::vector<uint32_t> places;  ///< where each octet of `text` stands in the document, and at last where it ends
  /// A piece of `text` as a place in the document.
  SourceSpan span_of(size_t begin, size_t length) const;
};

struct Attribute {
  std::string name;  ///< in lower case
  SourceSpan name_span;
  Value value;
};

struct Element {
  std::string name;  ///< in lower case
  SourceSpan span;   ///< of "<name" in its start tag
  std::vector<Attribute> attributes;
  std::vector<Element> children;
  const Attribute* find(std::string_view attribute) const;
};

struct Document {
  Element root;
  /// Of <?backstream name="value" …?> before the root: what a text in SQL says in WITH, and bind.STREAM="relation".
  /// Names as written. Options of later instructions follow those of earlier ones.
  std::vector<Attribute> options;
  SourceSpan options_span;  ///< of the first such instruction, from "<?" to "?>"; length 0: there is none
};

/// Limits: kTextOctetsMax of text; kElementsMax elements, kDepthMax deep, kAttributesMax attributes each. A document
/// type may be named, and is not read; one that declares anything (entities among it) is refused, as is any other
/// entity than XML's own five, a processing instruction of ours that is not made of attributes, and text that is no
/// white space (comments are).
inline constexpr size_t kTextOctetsMax = 1 << 20, kElementsMax = 50'000, kDepthMax = 16, kAttributesMax = 64,
                        kOptionsMax = 1'000;
/// Errors: 42601 the text is not well formed (2200M of PostgreSQL's), 22021 it is not UTF-8 or holds a zero, 54000 a
/// limit; with a span into `text`.
Result<Document> read_document(std::string_view text);

}  // namespace backstream::borealis
