#pragma once
#include <memory>

#include "exec/stage.h"

namespace backstream::exec {

/// Joins rows of two inputs (StageRunner::input) that have equal keys and whose event times are no further apart than
/// plan::Join's bounds say. A pair goes on as soon as both rows are there. Of a side that is kept whole, a row without
/// a partner goes on when the other side's frontier has passed the last time that a partner could have; one that can
/// have none, because a key or its time is null, goes on at once.
///
/// A row behind the frontier of its own side is late: left out and counted. So which pairs come does not depend on how
/// the sides are interleaved, and a row is forgotten when the other side's frontier says that no partner can come.
/// Frontiers count in steps of a second, so that verdicts do not depend on how often they are told.
///
/// No row that comes has an event time (of either side) below the frontier told. Memory is bounded by
/// EngineOptions::stage_rows_max for both sides together; rows beyond are left out and counted (WindowLedger::refused).
/// Rows may come from several threads at the same time, frontiers from one.
std::unique_ptr<StageRunner> make_interval_join_stage(const plan::Query& query, const plan::Stage& stage,
                                                      const EngineOptions& options, RowReceiver& receiver);

}  // namespace backstream::exec
