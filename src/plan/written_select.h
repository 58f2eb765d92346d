#pragma once
// A SELECT that the program makes itself, as bound stages, and its text.
#include <string>
#include <vector>

#include "plan/kept_answer.h"
#include "plan/query.h"

namespace backstream::plan {

struct WrittenSelect {
  std::string relation;  ///< a stream, or a view
  /// What columns 0 and 1 of the stage's groups are called, where they are those of a view's rows.
  std::string window_start = "window_start", window_end = "window_end";
  /// Conditions on the relation's rows that stand in a SELECT of their own, below windows that hide the columns of
  /// theirs.
  std::vector<expr::ExprPtr> within;
  /// What is selected of `input`, the relation's columns. Used are spread, where, window, keys, aggregates, having,
  /// outputs, output, distinct, order_by, limit and offset. Windows that are not the relation's are tumble, hop or
  /// session.
  Stage stage;
};

/// Empty where no text binds to it again.
/// @param before  stands before the SELECT: "CREATE MATERIALIZED VIEW v AS "
std::string text_of(const WrittenSelect& select, const BindText& bind, const std::string& before = {});

/// The conditions that AND joins; none of a null.
std::vector<const expr::Expr*> conjuncts_of(const expr::ExprPtr& condition);

}  // namespace backstream::plan
