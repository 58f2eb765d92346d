#pragma once
#include <memory>

#include "exec/stage.h"

namespace backstream::exec {

/// A row of more panes is not spread: a clock gone wrong must not make a million rows of one.
inline constexpr int64_t kSpreadPartsMax = 512;

/// Cuts the rows of a stream where they cross a multiple of the pane, divides their counters over the parts, and gives
/// the parts to `reader`, the stage that spread() is written in.
///
/// A row from s to e (µs) has a part for each pane that [s, e) touches. Of a counter N the parts up to the time t have
/// floor(N * (t - s) / (e - s)) together (of a negative N, rounded towards zero), so that each part differs by less
/// than one from its share by time, and the sum is N. A part's event time is its last microsecond, the last part's is e
/// where that lies in its pane. Rows without start or end, with e < s, or of more than kSpreadPartsMax panes are one
/// part at e (or at their own event time where e is null), and counted.
std::unique_ptr<StageRunner> make_spread_stage(const plan::Stage& stage, const EngineOptions& options,
                                               std::unique_ptr<StageRunner> reader);

/// What a counter of `total` has in the first `elapsed` of `duration` µs. 0 <= elapsed <= duration, duration > 0.
int64_t spread_share(int64_t total, int64_t elapsed, int64_t duration);

}  // namespace backstream::exec
