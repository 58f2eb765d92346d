#pragma once
#include <cassert>
#include <memory>
#include <vector>

#include "exec/block_pool.h"
#include "exec/common_columns.h"
#include "exec/engine.h"
#include "exec/rows.h"
#include "partial/rows.h"
#include "plan/late.h"
#include "plan/query.h"
#include "plan/travel.h"

namespace backstream::exec {

class StateReader;
class StateWriter;

struct ProcessContext {
  uint32_t edge = 0;
  Micros watermark = base::kMinTime;  ///< as it is now, for telling how late a row is
  Micros time_max = base::kMaxTime;
  CommonColumns* common = nullptr;  ///< of the stream's batch, for this edge; null: nothing is computed together
  uint32_t sender = 0;              ///< the edge that the rows came from: `edge`, but in a merge half
};

/// One stage of a query at work. The first stage of a query over a stream is driven by process() and advance(); one
/// that reads a stage or view below receives its rows window by window.
class StageRunner : public RowReceiver {
 public:
  /// Rows of a stream. Calls for different edges may come from different threads at the same time.
  virtual void process(const batch::ColumnBatch& rows, const ProcessContext& context) = 0;
  /// Closes what can close; then tells the stage above.
  virtual void advance(Micros watermark) = 0;
  virtual WindowLedger ledger() const = 0;
  /// Adds what the ledger does not tell: panes, groups, state, what was shipped. Rows in and out are counted between
  /// stages.
  virtual void measure(plan::StageActivity&) const {}
  /// Adds the octets of state that it holds, by node: nodes[0] completes windows, nodes[1 + e] is edge e where edges
  /// are nodes of their own. What a closed window gave back to a pool is no state. Between calls of process() only.
  virtual void add_state_octets(std::vector<uint64_t>& nodes) const = 0;
  /// Groups of open panes, windows and sessions; one that is in several of them counts as often. As above.
  virtual uint64_t groups_held() const { return 0; }
  /// Keeps about this share (0 to 1) of the groups that the node keeps now, and of those to come; false: it has no
  /// groups that could be shed, or keeps none any more.
  virtual bool shed(size_t /*node*/, double /*share*/) { return false; }
  /// The node has room: windows that begin later keep more again.
  virtual void relax(size_t /*node*/) {}
  /// See Engine::recent_windows().
  virtual std::vector<WindowRecord> recent_windows() const { return {}; }
  /// From now on late rows are aggregated by `late` (which must outlive the runner) and given to `receiver`. Before the
  /// first row, once; only a stage that plan::late_stage() knows is asked.
  virtual void keep_late(const plan::LateStage& late, RowReceiver& receiver);
  /// As above, of one side of a join (plan/late_join.h): its late rows are given to `receiver` as they are found. Calls
  /// may come from different threads, one at a time.
  virtual void keep_late_side(size_t side, const plan::Stage& late, RowReceiver& receiver);
  /// Rows whose event time is in [from, until) may be missing: windows that overlap it say that they are not complete.
  /// Rows without a window (sessions among them) cannot say it.
  virtual void mark_gap(Micros /*from*/, Micros /*until*/) {}
  /// Of an edge half whose other half is elsewhere: rows that are in nothing that was sent yet; and so many have come
  /// to nothing (Engine::tell_lost).
  virtual uint64_t rows_open() const { return 0; }
  virtual void tell_lost(uint64_t /*rows*/) {}
  /// From now on rows meet the lookup tables as they are now. No other call may run meanwhile.
  virtual void refresh_lookups() {}
  /// Appends all that decides what the stage will give and count from now on. Between two calls of the other members.
  virtual void save_state(StateWriter& out) = 0;
  /// Takes over what save_state() has written of the same plan; the number of edges may be another one. Before the
  /// first row; a stage whose late rows are read has been told so. When the reader has refused the octets (which may be
  /// anything, but do no harm) the stage is no more to be used.
  virtual void load_state(StateReader& in) = 0;
  /// Where the rows of Query::inputs[i] go, for a stage that combines them.
  virtual RowReceiver& input(size_t) { return *this; }

  // Halves apart (Half). process() and advance() of an edge's stage send partials; a merge half's is given them:
  /// Edge: sends what is open, though more of it may come.
  virtual void send_open() {}
  /// Merge: a pane, a supplement to one, or a cut; false: it cannot be read, and nothing has happened. Rows that came
  /// too late for all of their windows are counted as late.
  virtual bool take(const partial::Message&) { return false; }
  /// Merge: rows that an edge sent as such, of a query whose panes could have come as well; otherwise as take().
  virtual void take_rows(partial::RowsReader&) { assert(!"this stage makes no panes"); }
  /// Merge: windows that end after `final_until` are not final, even where the watermark has passed them, and those
  /// that end after `complete_until`, which is no later, are not complete: they may be final all the same, when an edge
  /// was away for too long.
  virtual void hold_final(Micros /*final_until*/, Micros /*complete_until*/) {}
  /// Merge: at this watermark, the least start of a pane that can still be added to an open window.
  virtual Micros oldest_pane(Micros watermark) const { return watermark; }
};

/// Memory for the groups that a stage has of an edge.
/// @param of_stream  process() alone gives it rows, and no other thread meanwhile does anything with the edge
inline std::shared_ptr<BlockPool> pool_of(const EngineOptions& options, size_t edge, bool of_stream) {
  if (!of_stream || options.pools == nullptr) return std::make_shared<BlockPool>();
  return {options.pools, &options.pools->of_edge(edge)};
}

/// A stage that combines the rows of Query::inputs: they come through input() only.
class CombiningStage : public StageRunner {
 public:
  void on_rows(const WindowRef&, batch::ColumnBatch&, bool) final { assert(!"rows come through input()"); }
  void on_frontier(Micros) final { assert(!"frontiers come through input()"); }
  void process(const batch::ColumnBatch&, const ProcessContext&) final { assert(!"fed by its inputs"); }
  void advance(Micros) final { assert(!"fed by its inputs"); }
};

/// The columns that such rows have.
partial::RowForm row_form(const plan::Stage& stage);
/// What an edge runs of a query over a stream (Half::kEdge).
/// @param travel  plan::travel_of(query), or another way that would be possible
std::unique_ptr<StageRunner> make_edge_stage(const plan::Query& query, plan::Travel travel, uint64_t incarnation,
                                             const EngineOptions& engine);

/// Makes the runner that a stage needs. `stage` and `query` must outlive it.
std::unique_ptr<StageRunner> make_stage(const plan::Query& query, size_t stage_index, const EngineOptions& options,
                                        RowReceiver& receiver);

}  // namespace backstream::exec
