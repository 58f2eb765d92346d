#pragma once
// A compact printed form of the unbound plan, for this room's tests.
#include <string>

#include "plan/unbound.h"

namespace backstream::sql {

std::string print(const plan::UnboundExpr* expr);
std::string print(const plan::UnboundFrom& from);
std::string print(const plan::UnboundSelect& select);
std::string print(const plan::UnboundStatement& statement);

}  // namespace backstream::sql
