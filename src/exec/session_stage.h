#pragma once
#include <memory>

#include "exec/stage.h"

namespace backstream::exec {

/// Session windows: the rows of a key that are less than the gap apart, [first row, last row + gap).
///
/// Rows of a key within a pane (at most a quarter of the gap long) are always of one session, so the edge half is that
/// of tumble with two more aggregates, least and greatest time, and the merge half puts the groups of panes together,
/// in order of panes. A session is sent when a pane begins at or after its end. A row that comes after its pane was
/// done joins its key's open session when it is near enough, else it is a session of its own; it is late when a session
/// that ended with it would be closed for certain.
///
/// Rows come out without a window of their own (WindowRef{}): each has its window_start and window_end. The frontier is
/// the start of the oldest session that is open.
/// @param stage      its last two aggregates are min and max of the time column
/// @param of_stream  as pool_of() has it
std::unique_ptr<StageRunner> make_session_stage(const plan::Query& query, const plan::Stage& stage, uint32_t edge_count,
                                                bool ship, bool of_stream, const EngineOptions& options,
                                                RowReceiver& receiver);

}  // namespace backstream::exec
