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
  Relation source;           ///< of the first stage
  std::vector<Stage> below;  ///< stages that make these rows; empty: the rows of `source`
  std::string alias;         ///< how columns may be qualified
  batch::Schema schema;
  Window window;
  int time_column = -1;
  int window_start_column = -1;  ///< columns of `schema` that are the window's start and end, when rows carry them
  int window_end_column = -1;
  bool has_windows() const { return window.kind != Window::Kind::kNone; }
};

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
  Result<ExprPtr> bind_grouped(const UnboundExpr& e);

  /// True when the column is the window's start (or end), by name or as a column of the stage below.
  bool is_window_column(const UnboundExpr& e, bool& is_end) const;
  bool has_aggregate(const UnboundExpr& e) const;

  Result<int> find_column(const UnboundExpr& e) const;  ///< -1: a window column that is no column of the input

  std::vector<ExprPtr> keys;
  std::vector<AggregateCall> aggregates;

 private:
  enum class Place { kRow, kWindowedRow, kGrouped };
  Result<ExprPtr> bind(const UnboundExpr& e, Place place, std::string_view clause);
  Result<ExprPtr> bind_column(const UnboundExpr& e, Place place);
  Result<ExprPtr> bind_aggregate(const UnboundExpr& e);
  Result<ExprPtr> bind_call(const UnboundExpr& e, Place place, std::string_view clause);
  Result<ExprPtr> bind_case(const UnboundExpr& e, Place place, std::string_view clause);
  Result<ExprPtr> bind_between(const UnboundExpr& e, Place place, std::string_view clause);
  Result<ExprPtr> bind_quantified(const UnboundExpr& e, Place place, std::string_view clause);
  Result<std::vector<ExprPtr>> bind_all(const std::vector<UnboundExprPtr>& args, Place place, std::string_view clause);

  const Input& input_;
};

/// An interval or duration literal in microseconds; months are refused (their length varies).
Result<Micros> constant_interval(const UnboundExpr& e, std::string_view what);
Result<Micros> interval_option(std::string_view text, std::string_view name, SourceSpan span);

}  // namespace backstream::plan
