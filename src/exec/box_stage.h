#pragma once
// Boxes whose answer depends on the order in which rows arrive (plan/boxes.h, docs/design/0036-borealis.md). Rows of
// all edges are held until the clock of their order column has passed them, a second at a time; then they go through
// the boxes in the order of (time, edge, input, place in what the edge sent), those of windows in that of (time, all
// columns).
#include <memory>

#include "exec/stage.h"

namespace backstream::exec {

std::unique_ptr<StageRunner> make_box_stage(const plan::Query& query, const plan::Stage& stage,
                                            const EngineOptions& options, RowReceiver& receiver);

}  // namespace backstream::exec
