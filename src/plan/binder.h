#pragma once
// What the files of the binder share. Private to the room.
#include <map>
#include <string>
#include <vector>

#include "plan/bind.h"

namespace backstream::plan {

using base::Result;
using expr::ExprPtr;

/// What a FROM item offers to the expressions of its SELECT.
struct Input {
  Relation source;  ///< of the first stage, unless there are inputs
  std::vector<std::unique_ptr<Query>> inputs;
  std::vector<Stage> below;  ///< stages that make these rows; empty: the rows of `source`
  std::string alias;         ///< how columns may be qualified
  batch::Schema schema;
  size_t hidden_count = 0;  ///< of the last columns of `schema`: they are not in `*`
  Window window;
  int time_column = -1;
  int window_start_column = -1;  ///< columns of `schema` that are the window's start and end, when rows carry them
  int window_end_column = -1;
  std::vector<int> session_keys;  ///< session windows: the columns in partition_by
  bool has_windows() const { return window.kind != Window::Kind::kNone; }
};

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

/// Names of the functions that need OVER.
bool is_analytic(std::string_view name);

/// An interval or duration literal in microseconds; months are refused (their length varies).
Result<Micros> constant_interval(const UnboundExpr& e, std::string_view what);
Result<Micros> interval_option(std::string_view text, std::string_view name, SourceSpan span);

}  // namespace backstream::plan
