#pragma once
// The tuples of a stream as a SELECT that grows with each box, as flat as it can be.
#include <memory>
#include <string>
#include <vector>

#include "borealis/field.h"

namespace backstream::borealis {

/// Move-only. What is filtered before groups are made is WHERE, what after, HAVING; maps are expressions over the
/// columns.
struct Rows {
  struct Join {
    std::string table, alias;
    SourceSpan span;
    UnboundExprPtr on;
  };
  std::unique_ptr<plan::UnboundFrom> from;  ///< a relation or a subquery, without its window
  std::vector<Join> joins;
  UnboundExprPtr window_time, window_size, window_slide;  ///< grouped: tumble or hop (window_slide) over `from`
  std::vector<UnboundExprPtr> where, having, group_by;
  bool is_grouped = false;
  std::vector<FieldValue> fields;
  /// Columns of `from`: when rows arrived, and the start of the windows that they carry; empty: they have none.
  std::string arrival_column, start_column;
  std::string
      group_start;  ///< grouped: what the start of the groups' windows is called, window_start or a column of `from`
  double step = 0;  ///< seconds between the starts of the windows that the rows carry, or of the groups; 0: not known
  uint32_t selects = 1;             ///< how many it is made of
  std::vector<std::string> inputs;  ///< streams that it is read from, each as often as it is
  SourceSpan span;

  Rows copy() const;
  bool is_stream() const { return !is_grouped && !arrival_column.empty(); }
};

/// The SELECT of its fields, in their order.
std::unique_ptr<plan::UnboundSelect> select_of(Rows rows);
/// The same rows, as a subquery whose columns are the fields; times that windows can be made of stay such.
Rows enclosed(Rows rows);
/// A name that no field has.
std::string free_name(const std::vector<FieldValue>& fields, std::string_view wanted);

}  // namespace backstream::borealis
