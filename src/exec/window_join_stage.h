#pragma once
#include <memory>

#include "exec/stage.h"

namespace backstream::exec {

/// Joins the rows of two inputs (StageRunner::input) that have equal windows and equal keys. A window is joined when
/// the frontiers of both sides are past its start, and its rows come together, so stages above see each window once and
/// whole. Rows that come one by one, with their window as columns (plan::Join::Side::window), are put into windows
/// here; one whose window has ended for its side is late and counted. The frontier is the lesser of the two.
///
/// What is held is bounded by EngineOptions::stage_rows_max; rows beyond are left out and counted
/// (WindowLedger::refused). Rows may come from several threads at the same time, frontiers from one.
std::unique_ptr<StageRunner> make_window_join_stage(const plan::Query& query, const plan::Stage& stage,
                                                    const EngineOptions& options, RowReceiver& receiver);

}  // namespace backstream::exec
