#pragma once
#include <memory>

#include "exec/stage.h"

namespace backstream::exec {

/// Computes the analytic functions of a stage that has them (plan::Analytic). Rows come from the stage below:
///
/// - Window by window. When a window is complete its rows are sorted by partition and order, ties broken by all
///   columns, and go through their partitions.
/// - Without windows (a stream): rows are put in order of time, a second of event time together, once the frontier has
///   passed them. A row whose second is done is late and counted; one without a usable time is counted too.
///
/// Partitions live for one window, or across windows until they are idle (plan::kPartitionIdleUs) and forgotten: what
/// comes later begins anew. Rows whose functions look ahead wait in their partition until those rows are there, or
/// cannot come; then they go on one by one and the frontier waits for them.
///
/// Memory is bounded by EngineOptions::analytic_partitions_max and stage_rows_max; rows beyond are left out and
/// counted (WindowLedger::refused).
std::unique_ptr<StageRunner> make_analytic_stage(const plan::Query& query, const plan::Stage& stage,
                                                 const EngineOptions& options, RowReceiver& receiver);

}  // namespace backstream::exec
