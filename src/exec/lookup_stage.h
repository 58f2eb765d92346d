#pragma once
#include <memory>

#include "exec/stage.h"

namespace backstream::exec {

/// Puts the lookups of a stage (plan::LookupStep) before its runner: rows are given to `inner` with the tables' columns
/// appended. They are part of the edge half: what reads the rows after them stays as it is. Each edge has buffers of
/// its own; all read the snapshots that were current at the last refresh_lookups(), so that it does not matter which
/// edge a row reaches.
/// @param edge_count  as the runner's; calls of process() for different edges may come from different threads
std::unique_ptr<StageRunner> make_lookup_stage(const plan::Query& query, const plan::Stage& stage, uint32_t edge_count,
                                               const EngineOptions& options, std::unique_ptr<StageRunner> inner);

}  // namespace backstream::exec
