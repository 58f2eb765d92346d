#pragma once
// The SELECT of a diagram's output.
#include <map>
#include <memory>
#include <string>

#include "borealis/diagram.h"
#include "plan/bind.h"
#include "plan/unbound.h"

namespace backstream::borealis {

struct Binding {
  std::string relation;
  SourceSpan span;
};
using Bindings = std::map<std::string, Binding, std::less<>>;  ///< by input stream

/// Boxes that obey the law are made part of SELECTs; from the first that depends on the order of arrival on, they are
/// UnboundBoxes (docs/design/0036-borealis.md).
/// Errors: of relations, fields and types, with a span in the document; 0A000, 54001.
Result<std::unique_ptr<plan::UnboundSelect>> make_select(const Diagram& diagram, size_t output,
                                                         const Bindings& bindings, const plan::Catalog& catalog);

}  // namespace backstream::borealis
