#pragma once
// Inside this room only.
#include <optional>
#include <string_view>
#include <vector>

#include "borealis/document.h"

namespace backstream::borealis {

/// Reads text[begin, end), name="value" …, of a start tag or a processing instruction of ours: expat tells values, and
/// not where they stand. Appends to `attributes`, names as written. Returns what is wrong, if anything is.
std::optional<base::Diagnostic> read_attributes(std::string_view text, size_t begin, size_t end,
                                                std::vector<Attribute>& attributes);

/// What is wrong with the '&' at text[at], which begins no entity that is known.
base::Diagnostic unknown_entity(std::string_view text, size_t at);

bool is_xml_space(char c);

}  // namespace backstream::borealis
