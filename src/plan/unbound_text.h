#pragma once
// The unbound plan as SQL again: a diagram's equivalent for people, and any query in one layout.
#include <string>

#include "base/diagnostic.h"
#include "plan/unbound.h"

namespace backstream::plan {

inline constexpr size_t kSqlDepthMax = 500;  ///< of what is nested; as deep as a text that is parsed may be

/// A SELECT, or a CREATE of a view or materialized view, as the files in queries/ are laid out; ends with ";\n". What
/// is parsed of it is the same plan, spans aside. The SELECT of a diagram has been made (SelectMaker). Errors: 0A000
/// for what is no query, and for boxes that have no SQL, located at the first of them; 54001 too deep.
base::Result<std::string> to_sql(const UnboundStatement& statement);

}  // namespace backstream::plan
