#pragma once
// What the queries of a stream compute of the same batch alike (docs/design/0010-sharing.md): conditions, keys and
// arguments that are equal are computed once.
#include <memory>
#include <vector>

#include "batch/column_batch.h"
#include "expr/expr.h"

namespace backstream::exec {

/// Expressions over the rows of one stream as one edge sees them, and their columns for the batch at hand. One thread.
class CommonColumns {
 public:
  explicit CommonColumns(size_t batch_rows);
  ~CommonColumns();

  /// Whether equal expressions may be computed once: only those that have a value for every row, as value errors are
  /// counted by query, and that are more than a column.
  static bool takes(const expr::Expr& e);

  /// From now on columns are those of `rows`, which must stay as it is until the next call.
  void begin(const batch::ColumnBatch& rows);
  /// Forgets all expressions: queries have gone, and nobody knows which of them they were of. Numbers of an earlier
  /// generation mean nothing.
  void clear();
  uint64_t generation() const { return generation_; }
  /// The number that equal expressions have. `e` is one that takes() takes; it is copied.
  size_t number_of(const expr::Expr& e);
  /// Whether what was computed of the batch at hand is what `e` is of `rows`: the columns that it reads are the same.
  bool holds(size_t number, const batch::ColumnBatch& rows) const;
  /// Of all rows of the batch; valid until begin().
  const batch::Column& column(size_t number);

  struct Selection {
    const uint8_t* mask;   ///< by row: 1 where the condition is true, else 0
    const uint32_t* rows;  ///< those where it is
    size_t count;
  };
  /// Of a condition. What is between its ANDs is computed once for all conditions that have it.
  const Selection& selection(size_t number);

 private:
  struct Common;
  Common& computed(size_t number);

  const size_t batch_rows_;
  std::vector<std::unique_ptr<Common>> all_;
  const batch::ColumnBatch* rows_ = nullptr;
  uint64_t batch_number_ = 0;
  uint64_t generation_ = 1;
};

}  // namespace backstream::exec
