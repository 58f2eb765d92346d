#pragma once
// A query of SQL as a diagram of boxes.
#include <string>

#include "base/diagnostic.h"
#include "plan/bind.h"
#include "plan/unbound.h"

namespace backstream::borealis {

inline constexpr size_t kXmlOctetsMax = 1 << 20;  ///< as much as a diagram that is read may have

/// A document whose one output stream has the rows of the query, under its name ("result" for a SELECT without one);
/// addresses are numbers in it, so of IPv4 alone. Boxes are in the order of the flow, as flat as they can be: what
/// parse() makes of them is the plan of the SQL.
/// Errors: those of plan::bind(); 0A000 what no box means the same as, located in the text of SQL by its own name,
/// 54000 more than the limits of a diagram.
base::Result<std::string> to_xml(const plan::UnboundStatement& statement, const plan::Catalog& catalog);

}  // namespace backstream::borealis
