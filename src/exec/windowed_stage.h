#pragma once
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "exec/group_rows.h"
#include "exec/late_rows.h"
#include "exec/row_aggregator.h"
#include "exec/saved_groups.h"
#include "exec/shedding.h"
#include "exec/shipping.h"
#include "exec/stage.h"
#include "exec/tail.h"
#include "window/pane_counts.h"
#include "window/pane_grid.h"

namespace backstream::exec {

using window::CountsByPane;
using window::PaneCounts;
using window::PaneGrid;

/// The edge half: filters rows and adds them to the groups of their pane. One thread at a time.
class EdgeHalf {
 public:
  EdgeHalf(const plan::Stage& stage, const plan::QueryOptions& options, const PaneGrid& grid, size_t batch_rows,
           uint64_t hash_mask, std::shared_ptr<BlockPool> pool);

  /// @param watermark  as it is now
  /// @param time_max   rows of a later event time are refused
  /// @param common     of the same edge in each call, or null
  void process(const batch::ColumnBatch& rows, Micros watermark, Micros time_max, CommonColumns* common);
  /// From now on rows are judged late against this.
  void set_watermark(Micros watermark) {
    watermark_ = std::max(watermark_, watermark);
    seen_ = std::max(seen_, watermark);
  }
  /// Rows are never late here: that is judged elsewhere. Before the first row.
  void leave_judging() { judges_ = false; }
  /// Hands over the panes that end at or before `watermark`, oldest first: take(start, table).
  template <typename Take>
  void take_until(Micros watermark, Take&& take) {
    while (!open_.empty() && open_.begin()->first + grid_.pane_us <= watermark) {
      auto node = open_.extract(open_.begin());
      group_hint_ = node.mapped()->group_count();
      if (node.key() == last_start_) last_pane_ = nullptr;
      take(node.key(), std::move(node.mapped()));
    }
  }
  /// Hands over the ledger of the panes that end at or before `watermark`, of what came since the last call.
  CountsByPane take_counts(Micros watermark);
  /// Rows that come after a window of theirs was final are kept for `<view>_late` from now on.
  void keep_late(const plan::LateStage& late);
  /// Those that came since the last call; null: none.
  PaneTablePtr take_late() { return late_ ? late_->take() : nullptr; }
  const WindowLedger& ledger() const { return ledger_; }
  /// What was counted since the last call, where it is added up elsewhere.
  WindowLedger take_ledger() { return std::exchange(ledger_, {}); }
  template <typename Visit>
  void for_each_pane(Visit&& visit) {
    for (auto& [start, pane] : open_) visit(*pane);
  }
  /// Of all that is held for open panes and late rows.
  uint64_t state_octets() const;
  /// Of open panes.
  uint64_t groups_held() const;
  /// From now on keeps about this share (0 to 1) of the groups that it keeps now, and drops the others at once.
  void shed(double share);
  /// Windows that begin later keep up to twice as many groups again.
  void relax();

  void save(StateWriter& out, SavedGroups& groups);
  /// Adds a saved half to this one. Before the first row; when the reader has refused, this is no half to go on with.
  /// @param known  null: the first query of those that share the half; else the aggregates that are here already:
  ///               nothing but the others is taken
  void load(StateReader& in, SavedGroups& groups, const std::vector<bool>* known);
  /// There were fewer edges when the state was saved: this one judges rows as another does.
  void judge_as(const EdgeHalf& other) {
    set_watermark(other.watermark_);
    seen_ = std::max(seen_, other.seen_);
    keep_below_ = other.keep_below_;
  }

 private:
  /// Event times beyond these (year 146,000) would overflow the arithmetic of windows; such rows count as
  /// `time_future`.
  static constexpr Micros kTimeMax = Micros{1} << 62, kTimeMin = -kTimeMax;
  static constexpr size_t kOpenPanesMax = 10'000;

  void add_to_pane(Micros start, const uint32_t* rows, size_t n);
  struct Times {
    Micros least, greatest;
  };
  void add_by_pane(const Micros* times, const uint32_t* rows, size_t n, const Times& range);
  const uint32_t* rows_with_time(const batch::Column& time, size_t row_count, size_t& n, Times& range);
  size_t groups_expected(Micros start) const;
  void prepare_next_pane(Micros newest);
  PaneCounts& counts_of(Micros start);
  void count_assigned(const Micros* times, const uint32_t* rows, size_t n, const Times& range);

  const plan::Stage& stage_;
  const plan::QueryOptions& options_;
  PaneGrid grid_;
  size_t batch_rows_;
  uint64_t hash_mask_;
  WindowLedger ledger_;
  const std::shared_ptr<BlockPool> pool_;
  GroupLayout layout_;
  RowAggregator aggregator_;
  std::unique_ptr<LateRows> late_;  ///< null: nobody reads `<view>_late`
  std::map<Micros, PaneTablePtr> open_;
  GroupShedder shedder_;
  KeepBelow keep_below_;
  Micros last_start_ = 0;
  PaneTable* last_pane_ = nullptr;  ///< the pane that got rows last
  CountsByPane counts_;
  Micros last_counts_start_ = 0;
  PaneCounts* last_counts_ = nullptr;
  PaneCounts counts_elsewhere_;     ///< of panes beyond kOpenPanesMax: the query's ledger has them
  bool count_with_groups_ = false;  ///< no row of the batch was filtered: those of a pane are all its rows
  const batch::ColumnBatch* batch_ = nullptr;
  size_t group_hint_ = 0;               ///< groups of the pane that was handed over last
  Micros prepare_at_ = base::kMinTime;  ///< event time at which the pane after the newest is prepared for
  Micros watermark_ = base::kMinTime, seen_ = base::kMinTime;
  bool judges_ = true;
  Micros time_max_ = kTimeMax;
  std::vector<uint32_t> timed_, by_pane_;
  std::vector<uint8_t> pane_of_row_;
};

/// A query that reads the groups of a windowed stage: its HAVING, outputs, ORDER BY and LIMIT, and who gets its rows.
struct GroupReader {
  const plan::Query* query;
  RowReceiver* receiver;
  /// Of the stage's grouped row, the columns that are the query's own grouped row, when others share the stage.
  std::vector<size_t> columns;
};

/// The merge half: keeps the panes of open windows, and closes windows as the watermark passes their ends. One thread.
class MergeHalf final : public PaneReceiver {
 public:
  /// @param options  of every reader, as far as they are looked at here
  MergeHalf(const plan::Stage& stage, size_t stage_index, const plan::QueryOptions& options, const PaneGrid& grid,
            size_t batch_rows, uint64_t hash_mask, std::shared_ptr<BlockPool> pool,
            const std::vector<GroupReader>& readers);

  /// A whole pane, or a supplement to one, from an edge in this process.
  void adopt(Micros start, PaneTablePtr pane);
  PaneTable& pane(Micros start) override;
  /// Also to windows that are final.
  void add_counts(const CountsByPane& counts) override;
  void close_until(Micros watermark);
  /// As StageRunner's.
  void hold_final(Micros final_until, Micros complete_until) {
    final_limit_ = final_until;
    complete_limit_ = complete_until;
  }
  /// Windows around this time read rows of a window that is not complete, and are not, either.
  void mark_incomplete(Micros time);
  /// As StageRunner's. Gaps beyond kGapsMax are joined with the last one.
  void mark_gap(Micros from, Micros until);
  /// Nothing is computed for this reader any more; its ledger must not be asked for.
  void drop_reader(size_t reader) { readers_[reader].reset(); }
  const WindowLedger& ledger(size_t reader) const { return readers_[reader]->ledger; }
  /// Of the open windows.
  uint64_t state_octets() const;
  uint64_t groups_held() const;
  // As EdgeHalf's.
  void shed(double share);
  void relax();
  /// Drops what has come from edges that keep more than this node does.
  void trim();
  /// Rows that edges counted and that were shed here; they miss in at least one of their windows.
  const GroupShedder::Shed& shed_here() const { return shed_here_; }
  const std::deque<WindowRecord>& recent_windows() const { return recent_; }
  uint64_t groups_closed() const { return groups_closed_; }  ///< of all final windows

  /// What a reader needs to go on: all but the aggregates and the ledgers of others.
  void save(StateWriter& out, SavedGroups& groups, size_t reader);
  /// As EdgeHalf::load(), for a reader.
  void load(StateReader& in, SavedGroups& groups, size_t reader, const std::vector<bool>* known);

 private:
  struct Reader {
    WindowLedger ledger;
    expr::ValueErrorCounts errors_before;  ///< scratch of send()
    std::vector<size_t> columns;
    batch::ColumnBatch rows;  ///< its own view of the groups; not used when its columns are all of them
    bool all_columns = true;
    std::vector<size_t> aggregates;  ///< which of the stage's are its own
    std::unique_ptr<Tail> tail;
  };
  struct Open {
    int revision = 0;            ///< last one sent; 0: none yet
    bool dirty = false;          ///< got rows since
    bool below_complete = true;  ///< so were the windows whose rows it read
    PaneCounts counts;
  };
  /// The panes of one slide (of a tumbling window: all of its panes): windows hold all of them or none.
  struct Slide {
    PaneTablePtr table;
    bool grown = false;              ///< since drop_beyond()
    uint64_t least_kept = kKeepAll;  ///< least threshold of a final window that held it
  };
  Slide& slide_of(Micros pane_start);
  void opened(Micros start);
  void send(Micros end, Open& window, bool final);
  void forget(const Slide& slide);
  void send_changes(Micros watermark);
  void drop_beyond(Micros start, Slide& slide);

  bool is_slide(Micros start) const;
  bool has_slide(Micros start, Micros end) const;
  void load_slides(StateReader& in, SavedGroups& groups, const std::vector<bool>* known);
  void load_windows(StateReader& in, bool take);
  void load_recent(StateReader& in, bool take);
  void load_gaps(StateReader& in, bool take);

  static constexpr size_t kGapsMax = 64;
  struct Gap {
    Micros from, until;
    bool operator==(const Gap&) const = default;
  };
  bool whole(Micros start, Micros end) const;

  const plan::QueryOptions& options_;
  PaneGrid grid_;
  const std::shared_ptr<BlockPool> pool_;
  GroupLayout layout_;
  std::vector<std::unique_ptr<Reader>> readers_;  ///< null: it was dropped
  GroupRows group_rows_;
  std::map<Micros, Slide> slides_;  ///< by start
  GroupShedder shedder_;
  KeepBelow keep_below_;
  GroupShedder::Shed shed_here_;
  std::map<Micros, Open> windows_;  ///< by end; those that are not final yet
  uint64_t groups_closed_ = 0;
  Micros sent_step_ = base::kMinTime;     ///< on_change: open windows were sent at this multiple of `every` last
  Micros final_before_ = base::kMinTime;  ///< windows that end at or before this are final
  /// Windows that end after them are not final; not complete.
  Micros final_limit_ = base::kMaxTime, complete_limit_ = base::kMaxTime;
  std::deque<WindowRecord> recent_;  ///< final ones, by end
  std::vector<Gap> gaps_;            ///< that windows which are not final may overlap
};

/// tumble and hop over event time, for one query or for several that share it.
class WindowedStage : public StageRunner {
 public:
  /// Of what the whole stage counts, and what the reader's own expressions do.
  virtual WindowLedger ledger_of(size_t reader) const = 0;
  /// The query of this reader is going: it gets no more rows, and nothing of it is touched any more but its query,
  /// which must stay. At least one other reader is left.
  virtual void drop_reader(size_t reader) = 0;
  /// As StageRunner::save_state() of the reader's query, had it the stage for itself.
  virtual void save_reader(size_t reader, StateWriter& out) = 0;
  /// Reads what save_reader() has written of a query that shared its groups with the other readers: of each reader,
  /// before the first row.
  virtual void load_reader(size_t reader, StateReader& in) = 0;
};
/// `stage` and the queries of the readers must outlive it.
/// @param stage_index  of the readers' queries: the stage that reads the groups
/// @param ship         panes travel as bytes through a log of their own
/// @param of_stream    as pool_of() has it
std::unique_ptr<WindowedStage> make_windowed_stage(const plan::Stage& stage, size_t stage_index, Micros pane_us,
                                                   uint32_t edge_count, bool ship, bool of_stream,
                                                   const EngineOptions& options, std::vector<GroupReader> readers);

}  // namespace backstream::exec
