#pragma once
// Borealis XML diagrams as statements, one for each output stream: materialized views, whose SELECTs are made when they
// are bound, because what a field is depends on the relation that it is read from. docs/design/0036-borealis.md.
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "plan/unbound.h"

namespace backstream::borealis {

/// Whether a text is meant as XML: its first character that is no space is '<'.
bool is_xml(std::string_view text);

/// Reads a diagram. A statement is called like its output stream; its options are those of <?backstream …?>.
/// Errors: located in `text` under `source_name`; see read_diagram(). Those of fields and types come when it is bound.
base::Result<std::vector<plan::UnboundStatement>> parse(std::string_view text, std::string_view source_name);

}  // namespace backstream::borealis
