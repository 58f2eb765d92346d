#pragma once
#include <functional>
#include <string>

#include "plan/unbound.h"

namespace backstream::plan {

/// Calls visit(name) for every relation that the SELECT names, as often as it does, subqueries and WITH queries
/// included; not for the names of WITH queries themselves. `visit` may change the name.
void for_each_relation(UnboundSelect& select, const std::function<void(std::string&)>& visit);
/// Does it name the relation?
bool reads(const UnboundSelect& select, std::string_view relation);

}  // namespace backstream::plan
