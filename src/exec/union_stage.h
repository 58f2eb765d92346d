#pragma once
#include <memory>

#include "exec/stage.h"

namespace backstream::exec {

/// UNION ALL: passes on the rows of several inputs (StageRunner::input). Final rows of a window come together, when the
/// frontiers of all inputs are past its start; rows without windows come as they are. Its frontier is the least of
/// theirs. What it holds for an input that is behind is bounded by EngineOptions::stage_rows_max; rows beyond are left
/// out and counted (WindowLedger::refused). Rows may come from several threads at the same time, frontiers from one.
std::unique_ptr<StageRunner> make_union_stage(size_t input_count, const plan::Stage& stage,
                                              const EngineOptions& options, RowReceiver& receiver);

}  // namespace backstream::exec
