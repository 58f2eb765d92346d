#pragma once
// Values of options, WITH (name = value), read the same way whatever statement has them.
// Errors: 22023, located at the option.
#include "base/diagnostic.h"
#include "base/time.h"
#include "plan/unbound.h"

namespace backstream::plan {

/// @param least  that it may be
base::Result<void> read_interval(const UnboundOption& option, base::Micros least, base::Micros& to);
/// PostgreSQL's spellings of a boolean. A bare name, WITH (rest_row), is true.
base::Result<void> read_bool(const UnboundOption& option, bool& to);
/// Octets as PostgreSQL writes memory: 1 MB is 1024 kB.
base::Result<void> read_octets(const UnboundOption& option, uint64_t least, uint64_t& to);

}  // namespace backstream::plan
