#pragma once
#include <vector>

#include "plan/query.h"

namespace backstream::plan {

/// By visible output of the query: the output whose standard error under sampling it is, as sum_stderr(octets) is that
/// of sum(octets) with the same FILTER beside it; -1: of none. Empty: there is none at all.
std::vector<int> stderr_outputs(const Query& query);

}  // namespace backstream::plan
