#pragma once
// What the files of the binder share. Private to the room.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "plan/bind.h"

namespace backstream::plan {

using base::Result;
using expr::ExprPtr;

/// One relation of several in FROM: which columns of Input::schema it has, and the name that qualifies them.
struct NamedColumns {
  std::string alias;
  int first = 0, count = 0;
  bool has_window = true;  ///< Input::window is (also) its own: `alias.window_start` may be written
  /// Columns of the schema that are its window's start and end, when its rows carry them; -1: none.
  int window_start_column = -1, window_end_column = -1;
};

/// What a FROM item offers to the expressions of its SELECT.
struct Input {
  Relation source;  ///< of the first stage, unless there are inputs
  std::vector<std::unique_ptr<Query>> inputs;
  std::vector<Stage> below;  ///< stages that make these rows; empty: the rows of `source`
  std::string alias;         ///< how columns may be qualified, unless there are `relations`
  /// Of a join: its relations, in the order of their columns, which are all of `schema`. Empty: one relation, `alias`.
  std::vector<NamedColumns> relations;
  /// Of JOIN ... USING, by column (or empty): another column, equal to this one, stands for it where no relation is
  /// named, and in `*`.
  std::vector<bool> merged;
  std::vector<int> using_columns;  ///< those that stand for them; they come first in `*`
  std::vector<bool> hidden;        ///< by column (or shorter): no name means it
  /// While a subquery is bound: columns from here on are its own, and names mean them first. -1: none is.
  int nested_first = -1;
  std::vector<LookupStep> lookups;               ///< of the stage that reads this input
  std::vector<int> required;                     ///< boolean columns that must be true: inner joins
  std::map<const UnboundExpr*, int> subqueries;  ///< EXISTS and IN that have become columns
  batch::Schema schema;
  std::optional<Spread> spread;  ///< the rows of `source` are spread before they are read
  Window window;
  int time_column = -1;
  int window_start_column = -1;  ///< columns of `schema` that are the window's start and end, when rows carry them
  int window_end_column = -1;
  /// Of joins by time, besides time_column: event times that are never null, and those of a side that may be missing.
  std::vector<int> more_times, outer_times;
  std::vector<int> session_keys;  ///< session windows: the columns in partition_by
  bool has_windows() const { return window.kind != Window::Kind::kNone; }
  bool is_hidden(int column) const {
    return static_cast<size_t>(column) < hidden.size() && hidden[static_cast<size_t>(column)];
  }

  bool is_window_start(int column) const;
  bool is_window_end(int column) const;
  /// An event time of every row: one of the columns above, or COALESCE of several.
  bool is_event_time(const expr::Expr& e) const;
  /// What a name before a column's stands for: a relation of a join (all of them as one when there is no join). Null:
  /// no relation of that name.
  std::optional<NamedColumns> find_relation(std::string_view name) const;
  /// The names that find_relation() knows: "the relation here is 'f'", for hints; empty when there are none.
  std::string relations_hint() const;
  /// The columns that `*` stands for (or `name.*`), in its order. Those of the window that rows are given here are not
  /// among them.
  std::vector<int> star(const NamedColumns* of) const;
  /// Rows of a stream, filtered and computed one by one: they run as part of what reads them (plan/fuse.h).
  bool has_plain_rows() const;
};

/// Joins the columns of two inputs under one schema: right's are numbered after left's. Fills schema, relations,
/// merged and using_columns of `left`. Errors: "42712" a name is there twice.
Result<void> append_columns(Input& left, const Input& right, SourceSpan span);

/// Marks the columns that an expression (or nothing) reads, and that lookups read.
void note_columns(const expr::Expr* e, std::vector<bool>& used);
void note_lookups(const std::vector<LookupStep>& lookups, std::vector<bool>& used);

/// PARTITION BY and ORDER BY of OVER, over the rows that the SELECT's outputs read.
struct OverSpec {
  struct Order {
    ExprPtr expr;
    bool descending = false, nulls_first = false;
  };
  std::vector<ExprPtr> partition_by;
  std::vector<Order> order_by;
  SourceSpan span;
  // Set by settle_over().
  bool across_windows = false;
};

/// function(...) OVER (...), its arguments not yet columns.
struct OverCall {
  size_t spec = 0;
  AnalyticCall call;  ///< `args` and `filter` are not set
  std::vector<ExprPtr> args;
  ExprPtr filter;
  SourceSpan span;
};

/// Expressions name the result of over_calls[i] as column kOverColumn + i until the stages are made.
inline constexpr int kOverColumn = 1 << 20;

/// Binds the scalar expressions of one SELECT. Three places differ: in rows of the input; in rows of the input with
/// their window (outputs of a stage without aggregation); in grouped rows, where aggregates may stand and columns must
/// be keys.
class ExprBinder {
 public:
  explicit ExprBinder(const Input& input) : input_(input) {}

  /// Over the input's columns. `clause` names the place for messages: "WHERE", "GROUP BY".
  Result<ExprPtr> bind_row(const UnboundExpr& e, std::string_view clause);
  /// Over the input's columns, then window_start and window_end.
  Result<ExprPtr> bind_windowed_row(const UnboundExpr& e, std::string_view clause);
  /// Over window_start, window_end, keys, aggregates. New aggregates are added to the list.
  Result<ExprPtr> bind_grouped(const UnboundExpr& e, std::string_view clause = "SELECT");

  /// True when the column is the window's start (or end), by name or as a column of the stage below.
  bool is_window_column(const UnboundExpr& e, bool& is_end) const;
  bool has_aggregate(const UnboundExpr& e) const;
  static bool has_over(const UnboundExpr& e);

  Result<int> find_column(const UnboundExpr& e) const;  ///< -1: a window column that is no column of the input
  /// A column of the input that is a timestamptz. 42804 for another type, or a window column that is none of the input.
  Result<int> find_time_column(const UnboundExpr& e) const;
  /// A column of the same relation as `column`, by name; -1: it has none.
  int find_beside(int column, std::string_view name) const;

  std::vector<ExprPtr> keys;
  std::vector<AggregateCall> aggregates;
  bool allow_over = false;  ///< OVER may stand here: outputs and ORDER BY
  std::vector<OverSpec> over_specs;
  std::vector<OverCall> over_calls;

 private:
  enum class Place { kRow, kWindowedRow, kGrouped };
  Result<ExprPtr> bind(const UnboundExpr& e, Place place, std::string_view clause);
  Result<ExprPtr> bind_column(const UnboundExpr& e, Place place);
  Result<ExprPtr> bind_aggregate(const UnboundExpr& e);
  Result<ExprPtr> bind_call(const UnboundExpr& e, Place place, std::string_view clause);
  // bind_over.cc
  Result<ExprPtr> bind_over(const UnboundExpr& e, Place place);
  Result<size_t> bind_over_spec(const UnboundExpr& e, Place place);
  Result<void> bind_over_aggregate(const UnboundExpr& e, OverCall& over);
  Result<void> bind_over_function(const UnboundExpr& e, OverCall& over);
  std::string over_text(const expr::Expr& e) const;
  Result<ExprPtr> bind_case(const UnboundExpr& e, Place place, std::string_view clause);
  Result<ExprPtr> bind_between(const UnboundExpr& e, Place place, std::string_view clause);
  Result<ExprPtr> bind_quantified(const UnboundExpr& e, Place place, std::string_view clause);
  Result<std::vector<ExprPtr>> bind_all(const std::vector<UnboundExprPtr>& args, Place place, std::string_view clause);

  /// Columns that the name may mean, qualified or not, without regard to windows.
  std::vector<int> columns_named(const UnboundExpr& e) const;

  const Input& input_;
  bool over_grouped_ = false;  ///< the OVER being bound reads grouped rows
};

/// Decides of each OVER whether its partitions go on across windows, and refuses what would need the whole stream.
/// Returns whether some function needs rows of later windows. `start_column`, `end_column`: the window's columns in the
/// rows that outputs read, -1 without windows; `time_column`: the event time of rows without windows.
struct RowTimes {
  int start_column = -1, end_column = -1;          ///< the window's, as the binder numbers them
  int own_start_column = -1, own_end_column = -1;  ///< of rows that carry them as columns of their own; -1: none
  int time_column = -1;                            ///< event time of rows without windows
  bool is_start(int column) const { return column >= 0 && (column == start_column || column == own_start_column); }
  bool is_end(int column) const { return column >= 0 && (column == end_column || column == own_end_column); }
};
Result<bool> settle_over(ExprBinder& binder, const RowTimes& times);

/// Cuts a bound SELECT with OVER: a stage that filters and computes (or aggregates) what the functions read, then one
/// analytic stage for each PARTITION BY and ORDER BY; the last one has the outputs. `select`: complete but for OVER.
std::vector<Stage> make_analytic_stages(ExprBinder& binder, Stage select, bool looks_ahead);

/// Marks what spread() reads in Stage::input_used.
void note_spread(Stage& stage);

/// Names of the functions that need OVER.
bool is_analytic(std::string_view name);

/// An interval or duration literal in microseconds; months are refused (their length varies).
Result<Micros> constant_interval(const UnboundExpr& e, std::string_view what);
Result<base::Interval> interval_literal(const UnboundExpr& e, std::string_view what);
Result<Micros> interval_option(std::string_view text, std::string_view name, SourceSpan span);

}  // namespace backstream::plan
