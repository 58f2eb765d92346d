#pragma once
#include <cstdint>

#include "base/diagnostic.h"
#include "exec/state_bytes.h"
#include "plan/query.h"

namespace backstream::exec {

/// A number of all that the octets of a query's state depend on: its plan, the types of its rows, options of the
/// engine. States of another form are refused.
uint64_t form_of_state(const plan::Query& query, const EngineOptions& options);

/// "BSE" version:1 form:8, which every saved state begins with.
void begin_state(StateWriter& out, uint64_t form);
/// Errors: as Engine::restore_state().
base::Result<void> read_begin(StateReader& in, uint64_t form);
tl::unexpected<base::Diagnostic> state_damaged();

}  // namespace backstream::exec
