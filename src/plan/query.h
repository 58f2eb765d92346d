#pragma once
// The bound query: a chain of stages. The first stage reads a stream or a view below, or combines the rows of several
// queries (docs/design/0004-several-sources.md); each later one reads the final rows of the one before it, window by
// window. plan::split cuts the first stage in two halves.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agg/aggregate.h"
#include "base/time.h"
#include "batch/column_batch.h"
#include "expr/expr.h"
#include "plan/alert_rule.h"
#include "window/calendar.h"

namespace backstream::lookup {
class LookupTable;
}

namespace backstream::plan {

using base::Micros;

struct UnboundStatement;
struct Boxes;

struct Window {
  enum class Kind : uint8_t {
    kNone,  ///< rows are passed on as they come (no aggregation)
    kTumble,
    kHop,
    kSession,    ///< rows of a group that are less than size_us apart; without a common end, so rows come one by one
    kInherited,  ///< rows carry the window of the stage below (its window_start and window_end columns)
  };
  Kind kind = Kind::kNone;
  int time_column = -1;  ///< input column whose value decides the window
  Micros size_us = 0;    ///< tumble, hop: > 0; session: the gap, > 0; inherited: the length of all windows, 0: unknown
  Micros slide_us = 0;   ///< hop: > 0, divides size_us; tumble: = size_us
  Micros offset_us = 0;  ///< 0 <= offset < slide; windows start at offset + k * slide
  /// tumble by days or months: where windows begin and end. Then size and slide are the length of the longest.
  std::shared_ptr<const window::Calendar> calendar;
};

/// A relation that a query can read from.
struct Relation {
  /// kPlainView: its SELECT is expanded where the name is read, so no query has one as its source.
  enum class Kind : uint8_t { kStream, kView, kPlainView, kTable };
  Kind kind;
  std::string name;
  batch::Schema schema;
  int time_column = -1;        ///< event time of a stream; window_start of a view; -1: none
  int window_end_column = -1;  ///< of a view
  int arrival_column =
      -1;  ///< of a stream: when a row reached us; windows over it follow our clock, not the exporters'
  bool has_hidden = false;         ///< a view whose rows have the columns of plan/hidden_columns.h, too
  bool reads_hidden = false;       ///< the query names some of them: they follow those of `schema` in its input
  bool has_windows = false;        ///< a view whose rows come window by window
  Micros window_size_us = 0;       ///< the length of all its windows; 0: none, not known, or they differ
  std::optional<Window> window;    ///< of those rows, where all have the same: tumble or hop
  std::optional<Micros> delay_us;  ///< of a stream declared by CREATE FOREIGN TABLE: its watermark delay
  std::shared_ptr<lookup::LookupTable> table;          ///< kTable: its rows
  bool of_file = false;                                ///< kTable: a file says what is in it, statements do not
  std::shared_ptr<const UnboundStatement> definition;  ///< kPlainView: its CREATE VIEW
  std::string comment;                                 ///< COMMENT ON; empty: none
  std::vector<std::string> column_comments;            ///< by column; may be shorter than the schema
};

inline constexpr size_t kGroupKeysMax = 60;  ///< of one stage

struct AggregateCall {
  const agg::AggregateFunction* function = nullptr;
  std::vector<expr::ExprPtr> args;  ///< over the stage's input, already cast to function->arg_types
  expr::ExprPtr filter;             ///< boolean over the input, or null
  std::string label;                ///< "sum(octets)", for EXPLAIN
};

struct SortKey {
  int output = -1;  ///< index into outputs (hidden ones included)
  bool descending = false;
  bool nulls_first = false;
};

/// Which rows of its partition an analytic function reads: from `start` to `end`, both included.
struct Frame {
  enum class Bound : uint8_t { kUnboundedPreceding, kPreceding, kCurrentRow, kFollowing, kUnboundedFollowing };
  bool by_range = true;  ///< RANGE: the current row means all rows of equal order; offsets are times. Else ROWS
  Bound start = Bound::kUnboundedPreceding, end = Bound::kCurrentRow;
  int64_t start_offset = 0, end_offset = 0;  ///< of kPreceding, kFollowing: rows, or microseconds; >= 0
  bool operator==(const Frame&) const = default;
};

/// function(...) OVER (...). Arguments are columns of the stage's input.
struct AnalyticCall {
  enum class Kind : uint8_t {
    kRowNumber,
    kRank,
    kDenseRank,
    kPercentRank,
    kCumeDist,
    kNtile,       ///< number: buckets
    kLag,         ///< args: value[, default]; number: rows back
    kLead,        ///< args: value[, default]; number: rows ahead
    kFirstValue,  ///< over the frame, as are the next three
    kLastValue,
    kNthValue,  ///< number: which, from 1
    kAggregate,
    kEwma,          ///< number: half-life, µs
    kCounterDelta,  ///< number: bits of the counter, 32 or 64; 0: it does not wrap
  };
  Kind kind = Kind::kRowNumber;
  const agg::AggregateFunction* aggregate = nullptr;  ///< kAggregate
  std::vector<int> args;
  int filter = -1;  ///< kAggregate: boolean column, rows where it is not true are left out; -1: none
  Frame frame;
  int64_t number = 0;
  batch::Type type = batch::Type::kInt8;  ///< of the result
  std::string label;                      ///< "lag(octets, 1)", for EXPLAIN
};

/// A stage that computes analytic functions of one PARTITION BY and ORDER BY (src/exec/analytic_stage.h). It adds one
/// column a call to the rows of its input.
struct Analytic {
  struct Order {
    int column = -1;
    bool descending = false;
    bool nulls_first = false;
  };
  std::vector<int> partition_by;  ///< columns of the input
  std::vector<Order> order_by;    ///< ties are broken by all columns in order
  std::vector<AnalyticCall> calls;
  /// Partitions go on from window to window (or through a stream); order_by[0] is the time, ascending. Otherwise each
  /// window is by itself.
  bool across_windows = false;
  int time_column = -1;  ///< across windows: order_by[0].column
  /// How far functions look from a row; across windows these decide what is kept and what has to wait.
  int64_t rows_before = 0, rows_after = 0;
  Micros range_before_us = 0, range_after_us = 0;
  /// A row's result needs later windows: rows come out one by one, when they are known, no longer window by window.
  bool looks_ahead() const { return across_windows && (rows_after > 0 || range_after_us > 0); }
};

/// A partition that goes on from window to window is forgotten when no row came for this long beyond what its functions
/// look back: range_before_us and rows_before (at least 1) times the length of a window.
inline constexpr Micros kPartitionIdleUs = 24 * 3600 * base::kMicrosPerSecond;

/// Reads a lookup table for each row of a stage's input, before anything else of the stage, and appends columns to the
/// row: first all columns of the table, from `first_column` (those that nobody reads are not filled), then
/// `matched_column`. A row sees the table as it was when the row arrived; tables hold no watermark.
struct LookupStep {
  enum class By : uint8_t {
    kKey,     ///< rows whose columns equal `keys`
    kPrefix,  ///< the row with the longest network that contains keys[0]
  };
  std::shared_ptr<lookup::LookupTable> table;
  By by = By::kKey;
  std::vector<uint32_t> columns;    ///< of the table that `keys` are compared with
  size_t index = 0;                 ///< number of the key index or prefix table
  std::vector<expr::ExprPtr> keys;  ///< over the columns before first_column; physical types are those of `columns`
  expr::ExprPtr filter;     ///< over the table's columns alone, by its own numbers: rows that may match; null: all
  expr::ExprPtr condition;  ///< over the input's columns and the table's, as appended: pairs that match; null: all
  /// A test gives each row once; its table columns are null. Else a row comes once for each match, and once with nulls
  /// when there is none.
  bool test = false;
  bool in = false;          ///< a test by IN: null when the key or a value of the table is, and none is equal
  bool inner = false;       ///< rows without a match are dropped (by the stage's WHERE); for EXPLAIN
  int first_column = -1;    ///< of the stage's input
  int matched_column = -1;  ///< boolean: there is a match; always there, filled when used
};

/// A stage that joins the rows of two inputs, left and right (docs/design/0007-joins-of-streams.md): rows of equal keys
/// whose windows are equal, or whose event times are no further apart than the bounds say. Its input row is the left
/// row followed by the right row.
struct Join {
  enum class Kind : uint8_t {
    kInner,
    kLeft,
    kRight,
    kFull,
    kSemi,  ///< EXISTS: each left row with a partner, once
    kAnti,  ///< NOT EXISTS: each left row without
  };
  struct Key {
    int left = -1, right = -1;  ///< columns of the two inputs, of one type
  };
  struct Side {
    int time_column = -1;  ///< of the input: what the bounds are about; of rows that are windows() by themselves, too
    /// Window join: kInherited: rows come window by window. kTumble, kHop: they come as they are, each with its window
    /// in the two columns below; window_end - window_start is the window's size.
    Window window;
    int window_start_column = -1, window_end_column = -1;
    /// When a row reached us, and the site that it came from, for `<view>_late`; -1: not known, or nobody asks.
    int arrival_column = -1, site_column = -1;
  };
  Kind kind = Kind::kInner;
  bool by_window = false;
  Side left, right;
  std::vector<Key> keys;
  /// Without windows: right time - left time is at least and at most this, both included. |bound| <= kJoinBoundMax.
  Micros least_us = 0, greatest_us = 0;
  expr::ExprPtr condition;  ///< over the joined row, beside keys and times; or null
  bool keeps_left() const { return kind == Kind::kLeft || kind == Kind::kFull || kind == Kind::kAnti; }
  bool keeps_right() const { return kind == Kind::kRight || kind == Kind::kFull; }
};
inline constexpr Micros kJoinBoundMax = Micros{1} << 56;  ///< 2,283 years: times plus bounds do not overflow

/// spread(stream, start, end, pane): before a stage reads the rows of its stream, each is cut where it crosses a
/// multiple of pane_us, and its counters are divided over the parts by time (src/exec/spread_stage.h).
struct Spread {
  int start_column = -1, end_column = -1;
  int time_column = -1;       ///< becomes the last microsecond of the part
  std::vector<int> additive;  ///< columns that are divided; a part has all others as they are
  Micros pane_us = 0;         ///< > 0
  bool operator==(const Spread&) const = default;
};

/// One stage. With aggregation, `outputs` and `having` read the *grouped row*: column 0 window_start, 1 window_end,
/// then the keys, then the aggregates' results. Without, they read the input row followed by window_start and
/// window_end when the stage has a window; in an analytic stage they read the input row followed by the results of its
/// calls.
struct Stage {
  batch::Schema input;              ///< schema of the relation (or of the stage below), then what lookups append
  std::vector<bool> input_used;     ///< which input columns anything below reads
  std::optional<Spread> spread;     ///< stages[0] over a stream only: its input is the parts of the rows
  std::vector<LookupStep> lookups;  ///< one after another
  /// Over the columns before the first lookup, or null: rows for which it is not true look nothing up and match
  /// nothing. Made by rewrite() of conditions of `where`, which then filters them.
  expr::ExprPtr lookup_where;
  expr::ExprPtr where;  ///< over the input, or null
  Window window;
  bool aggregates_rows = false;     ///< false: a row stage (filter and project)
  std::vector<expr::ExprPtr> keys;  ///< over the input
  std::vector<std::string> key_labels;
  std::vector<AggregateCall> aggregates;
  /// With on_limit = 'shed': which of the aggregates count each group's rows and octets; -1: none.
  int rows_aggregate = -1, octets_aggregate = -1;
  bool union_all = false;              ///< stages[0]: passes on the rows of Query::inputs, all of its shape
  std::optional<Join> join;            ///< stages[0]: joins the rows of two inputs; it neither filters nor aggregates
  std::optional<Analytic> analytic;    ///< then it neither filters nor aggregates
  std::shared_ptr<const Boxes> boxes;  ///< stages[0]: runs the rows of all inputs through boxes (plan/boxes.h); or null
  batch::Schema grouped;               ///< schema of the grouped row (or of the row that outputs read)
  expr::ExprPtr having;                ///< over the grouped row, or null
  std::vector<expr::ExprPtr> outputs;  ///< visible ones first, then hidden ones that only ORDER BY needs
  batch::Schema output;                ///< visible columns
  bool distinct = false;               ///< SELECT DISTINCT: equal visible rows of one window are one
  std::vector<SortKey> order_by;       ///< ties are broken by all visible columns in order (DESIGN rule 4)
  std::optional<int64_t> limit;        ///< per window, or per partition of a window
  int64_t offset = 0;
  int window_start_output = -1;  ///< visible output that is exactly window_start / window_end, or -1
  int window_end_output = -1;
  /// Visible output that is true in the one row that stands for all beyond LIMIT (rest_row = true), or -1: no such row.
  int rest_output = -1;
  /// Visible outputs, keys all of them, that make partitions of a window: `limit` counts within each, and each has its
  /// own row of the rest. Empty: the window is one.
  std::vector<int> limit_by;
  int number_output = -1;  ///< visible output that numbers the rows of a partition from 1; null in the rest; -1: none
};

/// Lengths that addresses are cut to.
struct AddressPrefixes {
  uint8_t v4_bits = 24, v6_bits = 48;
  bool operator==(const AddressPrefixes&) const = default;
};

/// Which sites a query counts, and where: WITH (sites, "filter.SITE", placement, absent_sites). A site is a label of
/// exporters (column `site`). Sites and filters are conditions of every stream that the query reads itself, too
/// (Stage::where); here they can be read.
struct Placement {
  enum class Where : uint8_t {
    kAuto,
    kEdge,     ///< flows are grouped where they arrive, and groups travel
    kCentral,  ///< flows travel, all else is done where they meet
  };
  struct Filter {
    std::string site;
    std::string condition;  ///< as written; rows of other sites need not meet it
    bool operator==(const Filter&) const = default;
  };
  std::vector<std::string> sites;  ///< in order, each once; empty: all
  std::vector<Filter> filters;     ///< by site in order, each once; only of sites that are counted
  Where where = Where::kAuto;
  /// What becomes of a window while a site is absent: it closes and says so, or it stays open.
  enum class AbsentSites : uint8_t { kMark, kWait } absent_sites = AbsentSites::kMark;
  bool operator==(const Placement&) const = default;

  /// False: no row of the site is counted, so nothing of the query need run there.
  bool counts(std::string_view site) const;
};
std::string_view name(Placement::Where where);               ///< as in WITH: "auto", "edge", "central"
std::string_view name(Placement::AbsentSites absent_sites);  ///< "mark", "wait"

/// The policies of WITH (...).
struct QueryOptions {
  enum class OnError : uint8_t { kNull, kDrop, kFail };
  Micros allowed_lateness_us = 0;
  OnError on_error = OnError::kNull;
  /// Rows that come after their window was final: kept as `<view>_late`, or only counted.
  enum class Late : uint8_t { kSide, kDrop } late = Late::kSide;
  std::optional<Micros> delay_us;  ///< overrides the stream's delay
  /// When rows of a window are sent: when it closes, or also before, as it changes. Only final rows are a promise.
  enum class Emit : uint8_t { kOnClose, kOnChange } emit = Emit::kOnClose;
  Micros every_us = base::kMicrosPerSecond;  ///< kOnChange: at most one revision in this much of the stream's time
  /// Octets that the query may hold on one node, and what happens where it holds more at the end of a pane: the query
  /// is stopped, or sheds groups (exec/shedding.h).
  uint64_t state_octets_max = UINT64_MAX;
  enum class OnLimit : uint8_t { kFail, kShed } on_limit = OnLimit::kFail;
  bool has_state_limit() const { return state_octets_max != UINT64_MAX; }
  Micros retention_us = 0;  ///< how long history keeps its rows; 0: as long as it keeps others
  bool rest_row = false;    ///< a window's rows beyond LIMIT become one row (exec/rest_row.h)
  /// Addresses are cut to these lengths before the query sees them (exec/address_truncation.h).
  std::optional<AddressPrefixes> truncation;
  Placement placement;
  bool operator==(const QueryOptions&) const = default;
};

struct Query {
  std::string name;  ///< the view's name; "" for an ad-hoc SELECT
  bool is_view = false;
  std::string text;  ///< the statement as written
  Relation source;   ///< what stages[0] reads, unless there are inputs
  /// Queries whose rows stages[0] combines: each a chain of its own, with inputs or a source. They have no name.
  std::vector<std::unique_ptr<Query>> inputs;
  std::vector<Stage> stages;  ///< at least one
  QueryOptions options;
  std::shared_ptr<const AlertRule> alert;  ///< null: it is no rule
  bool has_windows = false;                ///< its rows come window by window
  Micros window_size_us = 0;               ///< the length of all its windows; 0: none, not known, or they differ
  int time_output = -1;  ///< visible output that is the event time of its rows (window_start); -1: none
  const batch::Schema& output() const { return stages.back().output; }
};

/// The window that the rows of stages over a source carry, where all have the same: tumble or hop.
std::optional<Window> window_of_rows(const std::vector<Stage>& stages, const Relation& source);
/// Visible outputs that tell a row of the query from the others of its window: its group's keys, where all of them are
/// there; otherwise all outputs. A later revision of a row has the same.
std::vector<int> key_outputs(const Query& query);

}  // namespace backstream::plan
