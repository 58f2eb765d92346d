#pragma once
// Runs queries over batches. One engine a process; one thread calls it, but for process().
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "agg/aggregate.h"
#include "base/diagnostic.h"
#include "base/time.h"
#include "batch/column_batch.h"
#include "exec/rows.h"
#include "expr/expr.h"
#include "partial/inbox.h"
#include "plan/explain.h"
#include "plan/query.h"
#include "window/pane_counts.h"

namespace backstream::exec {

using base::Micros;

/// Rows of one query that became final or were revised together: one window's, or (queries without a window) one
/// batch's.
struct ResultBatch {
  std::string_view query;                   ///< the view's name, "" for an ad-hoc SELECT
  size_t query_index = 0;                   ///< in the order of add_query
  Micros window_start = 0, window_end = 0;  ///< both 0 for queries without a window
  int revision = 1;
  bool final = true;
  bool complete = true;
  /// Where halves are apart, of a window that is not complete: the edges that it does not have whole, if that is why.
  std::vector<uint32_t> edges_missing = {};
  /// Rows of the revision before that this one does not have: their keys, all else null (exec/revision_changes.h).
  bool removed = false;
  bool last = true;  ///< no more batches of this window and revision follow
  const batch::Schema* schema = nullptr;
  batch::ColumnBatch rows;  ///< any number of rows (not only kBatchRows); valid during the call
};

class ResultSink {
 public:
  virtual ~ResultSink() = default;
  virtual void on_result(const ResultBatch& result) = 0;
};

/// The window ledger (DESIGN rule 5) of one query: assigned = counted + filtered + late + errored + shed.
/// For hop, a row is assigned to its pane once. Rows without a usable time are beside it.
struct WindowLedger {
  uint64_t assigned = 0, counted = 0, filtered = 0, late = 0, errored = 0, shed = 0;
  uint64_t shed_octets = 0;  ///< of the shed rows, as far as they were shed by group
  uint64_t time_null = 0, time_future = 0;
  uint64_t refused = 0;  ///< rows that a stage above the first left out, because its memory was full
  uint64_t windows_closed = 0;
  uint64_t result_rows = 0;
  Micros late_by_max_us = 0;  ///< a delay greater by this would have kept every late row
  expr::ValueErrorCounts value_errors;
  uint64_t spread_rows = 0;          ///< rows that spread() read; their parts are what was assigned
  uint64_t spread_without_span = 0;  ///< those that have no start or end, or end before they start: one part each
  uint64_t spread_too_long = 0;      ///< those of more than kSpreadPartsMax panes: one part each
  // Results of aggregates that are null (agg::NullResults).
  uint64_t sum_overflow = 0, capped_groups = 0, negative_weights = 0;
  /// Beside what was assigned: rows that came to nothing because a process was killed, or none was there, as far as
  /// exporters number their records. Edges that are processes of their own tell it (partial::Loss).
  uint64_t lost = 0;
  // Of boxes in arrival order (exec/box_stage.h), which may have made a tuple of several rows, or several of one:
  /// Memory was full, the field that they are ordered by has no value, or no window of their group is open to it.
  uint64_t box_tuples_refused = 0;
  uint64_t box_windows_skipped = 0;  ///< of a gap of more than plan::kGapWindowsMax windows: the first ones
  uint64_t late_unkept = 0;  ///< late rows that `<view>_late` does not hold: too many groups of them came at once
  WindowLedger& operator+=(const WindowLedger& other);
  void add(const agg::NullResults& nulls);
};

/// The ledger of one window that is final, as the engine remembers it for a while.
struct WindowRecord {
  Micros start = 0, end = 0;
  int revision = 0;           ///< last one sent; 0: no row was counted, so nothing was sent
  window::PaneCounts counts;  ///< the sum of its panes; rows that came late go on being added
};

/// A query cannot go on: its on_error is 'fail' and a value could not be computed, or its on_limit is 'fail' and its
/// state outgrew state_limit. Stages throw it; the engine catches it and stops that query alone.
class QueryFailed : public std::runtime_error {
 public:
  explicit QueryFailed(const std::string& why) : std::runtime_error(why) {}
  /// `errors`: what was counted; the first kind among them is told.
  explicit QueryFailed(const expr::ValueErrorCounts& errors);
};

/// Which time a watermark is about. Windows over the stream's arrival column follow kArrival, all others kEvent.
enum class Clock : uint8_t { kEvent, kArrival };

/// What was known when rows were handed over.
struct RowsContext {
  RowsContext(uint32_t edge_number = 0) : edge(edge_number) {}  // NOLINT: an edge's number says it all in most callers
  uint32_t edge;  ///< < EngineOptions::edges: the edge half that sees the rows
  /// Watermarks as they are now, by Clock, though advance() need not be called for them yet: by these, late rows are
  /// told how late.
  Micros watermarks[2] = {base::kMinTime, base::kMinTime};
  Micros time_max = base::kMaxTime;  ///< rows of a later event time are refused and counted (DESIGN §6, max_future)
};

class BlockPools;

/// The longest pane that travels (docs/design/0002-partials.md).
inline constexpr Micros kShippedPaneMax = 60 * base::kMicrosPerSecond;

/// Which halves of its queries an engine runs.
enum class Half : uint8_t {
  kBoth,
  kEdge,   ///< rows of streams come in, and partials of each query go out; nothing is completed
  kMerge,  ///< partials come in, from any number of edges; all that reads streams lies behind them
};

/// What is measured of a query, for EXPLAIN ANALYZE.
enum class Measured : uint8_t {
  kNot,
  kStages,   ///< what each stage has done
  kTraffic,  ///< also what edges of their own would send of it (Half::kBoth); costs as much again
};

/// Where the messages of an edge half go (partial/codec.h): into a log, in this order.
class PartialsOut {
 public:
  virtual ~PartialsOut() = default;
  virtual void append(std::vector<uint8_t>&& message) = 0;
};

struct EngineOptions {
  size_t batch_rows = batch::kBatchRows;
  uint64_t hash_mask = ~uint64_t{0};  ///< 0: every key collides (a test of the tables)
  uint32_t edges = 1;                 ///< edge halves, >= 1; each sees the rows that process() gives to its number
  bool ship = false;                  ///< panes travel as bytes through a Log; false: the merge half adopts them
  bool share = true;                  ///< queries whose groups are the same make them once (plan/share.h)
  bool analytic_in_place = true;      ///< false: analytic stages always keep the rows of partitions (tests compare)
  size_t analytic_partitions_max = 1'000'000;  ///< that one analytic stage keeps across windows
  size_t stage_rows_max = 50'000'000;          ///< that one stage above the first holds for later
  /// Memory for groups that each edge has touched before the first row (BlockPools), in octets; 0: none, the figure for
  /// replays, which wait for nobody.
  size_t ready_octets = 0;
  std::shared_ptr<BlockPools> pools;    ///< the engine's; null: each stage has memory of its own
  Micros pane_us_max = base::kMaxTime;  ///< with ship: 60 s (docs/design/0002-partials.md)
  Half half = Half::kBoth;
  /// kMerge: the name of an edge's site, for `_sites_missing`; empty: its number.
  std::function<std::string(uint32_t edge)> site_of = {};
  // kEdge only.
  PartialsOut* partials_out = nullptr;  ///< outlives the engine
  uint32_t edge = 0;                    ///< the number of this edge among all
  uint64_t epoch = 1;                   ///< greater than in any process of the edge before this one
  /// Edges go from panes to rows and back at every cut, whatever takes less (a test of the mixture).
  bool travel_alternates = false;
};

class Engine {
 public:
  explicit Engine(EngineOptions options);
  ~Engine();

  /// Adds a query; its source is a stream (fed through process()), a view added before, or the late rows of one
  /// (`<view>_late`), which are kept from then on. The sink is called on this thread whenever a window closes.
  ///
  /// Queries may come and go while the engine runs, between calls of the other members; what is there does not notice.
  /// After adding to streams that have begun, and before the next process(): mark_gap() for what the query has not
  /// seen, then catch_up().
  /// @param measured     what activity() will be asked for
  /// @param incarnation  where halves are apart: names the query and its version in partials, for all engines alike
  /// @return             its number: of no other query, also after it is gone
  size_t add_query(std::shared_ptr<const plan::Query> query, ResultSink* sink, Measured measured = Measured::kNot,
                   uint64_t incarnation = 0);
  /// Ends a query: its open windows are not sent. False, and nothing has happened: others read it.
  bool remove_query(size_t query_index);
  /// Rows whose event time is in [from, until) may be missing: windows that overlap it have `_complete` false. Rows
  /// without a window (of sessions, too) do not tell.
  void mark_gap(size_t query_index, Micros from, Micros until);
  /// From now on the query gives its sink windows that start in [from, until) only, the end of one version and the
  /// begin of the next being one boundary: both see all rows, and each window is given by one of them. Views that read
  /// it get all of its windows: a version of them reads one version of it, and has a boundary of its own.
  void set_life(size_t query_index, Micros from, Micros until);
  /// No window is to come any more that starts within its life: it can be removed.
  bool has_ended(size_t query_index) const;
  /// Queries that were added since the streams began get to know their watermarks, so that what is late for the others
  /// is late for them.
  void catch_up();
  Half half() const;
  /// What the stages of a measured query have done (EXPLAIN ANALYZE). `seconds` is left 0.
  plan::QueryActivity activity(size_t query_index) const;
  /// Whether any query reads the stream.
  bool is_read(std::string_view stream) const;
  /// Which columns of the stream any query reads.
  std::vector<bool> columns_used(std::string_view stream, size_t column_count) const;

  /// The delay that the watermarks of this stream are made with: a query's own delay is judged against it. Default 0.
  void set_delay(std::string_view stream, Micros delay);
  /// Rows of `stream` (at most options.batch_rows), all of them before any later advance(). Columns are not kept. Calls
  /// for different edges may run on different threads at the same time; no other member may run meanwhile.
  void process(std::string_view stream, const batch::ColumnBatch& rows, const RowsContext& context = {});
  /// The stream's watermark: no row of an earlier event time is expected. Never less than before. Closes what can
  /// close.
  void advance(std::string_view stream, Micros watermark, Clock clock = Clock::kEvent);
  /// The next watermark at which advance() would do anything: the caller cuts its batches there, so that a verdict does
  /// not depend on the batch size. kMaxTime when nothing is open.
  Micros next_cut(std::string_view stream, Clock clock = Clock::kEvent) const;
  /// Rows that are processed from now on meet the lookup tables as they are now; until the first call, as they were
  /// when their query was added. Between batches, so that all edges see a change at the same row.
  void refresh_lookups();
  /// Closes everything: the end of a capture. Of an edge half: it will never send anything again.
  void finish();

  // Halves apart (docs/design/0027-halves-apart.md). An edge half is used as one that does both, but that its queries
  // have no results, and no query may read `<view>_late`. A merge half is not given rows, but messages:

  /// kEdge: sends what is open, though more of it may come: before a stop.
  void send_open();
  /// kEdge: rows that have come in and are in nothing that was sent yet, by the incarnation of what reads them: a
  /// query, or an input of it. They are lost when the process is killed.
  std::map<uint64_t, uint64_t> rows_open() const;
  /// kEdge: tells where windows close what came to nothing, in all (partial::Loss). What is not here any more has none.
  void tell_lost(const std::map<uint64_t, uint64_t>& rows_by_incarnation);
  /// What became of a message.
  enum class Taken : uint8_t {
    kTaken,    ///< or it was a repeat
    kUnknown,  ///< of a query that is not here
    kRefused,  ///< it is no message, or one that its query's plan does not fit: see faults()
  };
  /// kMerge: takes a message of a log. What it completes is sent by settle().
  Taken take(std::span<const uint8_t> message);
  /// kMerge: closes what can be closed by now.
  void settle();
  /// kMerge: from now on these edges are waited for (partial::Members), by queries that come later, too.
  void set_members(const partial::Members& members);
  const partial::Members& members() const;
  /// kMerge: how far the edges of a query are; kMinTime: not all have told.
  Micros frontier(size_t query_index) const;
  /// kMerge: messages that were refused, and chunks that were dropped (partial::InboxDrop).
  struct PartialCounts {
    uint64_t taken = 0, unknown = 0, octets = 0;
    std::array<uint64_t, partial::kFaultCount> refused{};
    std::array<uint64_t, partial::kInboxDropCount> dropped{};
  };
  PartialCounts partial_counts() const;
  /// kMerge: chunks of some attempt have come, and not all: a state that is saved now does not have them.
  bool has_pending_chunks() const;

  // Views that are made elsewhere (docs/design/0033-select-over-history.md):

  /// Queries that are added from now on read the view of this name from outside. Its rows come by give(), its progress
  /// by pass(), and finish() is its end as that of the streams.
  void add_view(std::string name);
  /// Rows of one window, which is final; windows in the order of their starts, each whole, and none that begins before
  /// what was passed.
  /// @param rows           of the view's columns, at most options.batch_rows; those that nobody reads need no memory
  /// @param last           no more rows of this window follow
  /// @param sites_missing  as in `_sites_missing`
  void give(std::string_view view, const WindowRef& window, batch::ColumnBatch& rows, bool last,
            std::string_view sites_missing = {});
  /// No window of the view that begins earlier is to come.
  void pass(std::string_view view, Micros frontier);

  // Saved states (docs/design/0021-checkpoints.md). What was saved between two calls of the other members goes on in
  // another engine, of another process, as if it had not been stopped: the same rows, late or not, the same ledgers.
  //
  // There, in this order: set_delay(), add_query() of all, in any order that they read each other in,
  // restore_streams(), restore_state() of each, mark_gap() of what was missed, catch_up(), process().

  /// Appends the state of a query: what is open of its windows, sessions, joins and partitions, its ledger, watermarks,
  /// gaps and life. Nothing is appended of one that has failed. Costs about what the state takes in octets: see
  /// bench/bench_checkpoint.cc.
  void save_state(size_t query_index, std::vector<uint8_t>& out);
  /// The query goes on where the saved one of the same plan stopped. Before its first row, once.
  /// Errors: 55000, of another plan or options; 0A000, a format that this program does not know; XX001, octets that
  /// save_state() has not written. Then the query begins anew, without gaps: it misses what was before, and its callers
  /// must say so by mark_gap(), for it and for those that read it.
  base::Result<void> restore_state(size_t query_index, std::span<const uint8_t> saved);
  /// Appends the watermarks of all streams.
  void save_streams(std::vector<uint8_t>& out) const;
  /// Watermarks that are further than those that are known hold from now on, so that rows that were late are late
  /// again. Queries get to know them by catch_up(), but for those that are restored: they know them already.
  /// Errors: XX001, 0A000; nothing has happened then.
  base::Result<void> restore_streams(std::span<const uint8_t> saved);
  /// The stream's watermark; kMinTime: it has not begun. Rows of later times may be missing after a stop.
  Micros watermark(std::string_view stream, Clock clock = Clock::kEvent) const;

  /// Why the query was stopped: SQLSTATE and message; "" while it runs. A stopped query gives no more rows, and what
  /// reads it is stopped, too; its memory is free. Its ledger stays as it was. All others go on.
  const std::string& failure(size_t query_index) const;
  /// Queries that were stopped. Known once advance() or finish() has returned.
  size_t failed_count() const;
  WindowLedger ledger(size_t query_index) const;
  /// What the query holds for what is open of its windows, sessions, joins and partitions, all nodes of this engine
  /// together. What queries share (plan/share.h) is told of one of them. Costs a look at each open pane.
  struct Held {
    uint64_t octets = 0;
    uint64_t groups = 0;  ///< one that is in several panes or windows counts as often
  };
  Held held(size_t query_index) const;
  /// Windows of which nothing was sent have no rows if they start before `until`, and not before `gaps_until`. Absent
  /// edges are waited for. kMinTime: nothing is known, as of a query of a merge half that reads views alone.
  struct Whole {
    Micros until = base::kMinTime;
    Micros gaps_until = base::kMinTime;
  };
  Whole whole(size_t query_index) const;
  /// The query's windows that became final last, oldest first, at most kWindowRecordsMax. Empty for queries without
  /// windows of their own.
  std::vector<WindowRecord> recent_windows(size_t query_index) const;
  static constexpr size_t kWindowRecordsMax = 1'000;
  /// Numbers of queries are below this; not all of them need to be there. The other members take those that are.
  size_t query_count() const;
  bool has_query(size_t query_index) const;
  const plan::Query& query(size_t query_index) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace backstream::exec
