#pragma once
#include <memory>
#include <vector>

#include "base/arena.h"
#include "exec/engine.h"
#include "exec/octet_buffer.h"
#include "exec/rest_row.h"
#include "exec/rows.h"
#include "expr/expr.h"

namespace backstream::exec {

class StateReader;
class StateWriter;

/// Rows kept for sorting, and between batches: columns that grow. Text is copied. One thread.
class RowStore {
 public:
  /// @param text_block_octets  memory for text comes in blocks of this size; small ones for stores of few rows
  explicit RowStore(const std::vector<batch::Type>& types, size_t text_block_octets = 64 * 1024);
  void append(const batch::ColumnBatch& rows);
  /// Rows numbers[0 .. n) of the batch.
  void append(const batch::ColumnBatch& rows, const uint32_t* numbers, size_t n);
  /// Forgets the first n rows; the others move to the front.
  void drop_front(size_t n);
  /// Rows from `first` on, as a column of the store's own memory; valid until the store changes.
  batch::Column slice(size_t column, size_t first) const;
  size_t row_count() const { return row_count_; }
  size_t octets_held() const;
  size_t column_count() const { return columns_.size(); }
  void clear();
  /// PostgreSQL's order of one column of two rows, nulls above all.
  int compare(size_t column, size_t a, size_t b) const;
  bool is_null(size_t column, size_t row) const { return columns_[column].validity[row] == 0; }
  /// Rows order[0 .. n) of the columns into `out` (room for n).
  void gather(const uint32_t* order, size_t n, batch::ColumnBatch& out) const;

 private:
  struct Stored {
    batch::Type type;
    uint32_t value_octets;
    OctetBuffer values, validity;
  };
  std::vector<Stored> columns_;
  size_t row_count_ = 0;
  size_t text_block_octets_;
  base::Arena texts_;
};

/// The end of a stage: condition (HAVING, or the WHERE of a stage without aggregation), outputs, DISTINCT, ORDER BY,
/// LIMIT, window by window. One thread.
class Tail {
 public:
  /// @param condition  over the rows given to add(), or null
  Tail(const plan::Stage& stage, const expr::Expr* condition, const plan::QueryOptions& options, size_t batch_rows,
       WindowLedger& ledger, RowReceiver& receiver);

  struct Added {
    size_t passed = 0;   ///< rows that the condition let through
    size_t errored = 0;  ///< of them dropped, because an output could not be computed (on_error 'drop')
  };
  /// Rows of the window (at most batch_rows); they pass on at once when nothing has to be sorted.
  Added add(const WindowRef& window, batch::ColumnBatch& rows);
  /// No more rows of this window and revision.
  /// @param groups  where the stage has a rest row: the table whose groups, all of them and in their order, were given
  ///                to add() as rows
  void end(const WindowRef& window, PaneTable* groups = nullptr);
  /// Of rows that wait for their order.
  size_t octets_held() const { return store_.octets_held(); }
  /// Between windows. Rows that wait for their order are those of a stage without windows.
  void save(StateWriter& out) const;
  void load(StateReader& in);
  /// A stage without windows: LIMIT counts over the whole run, not from end() to end().
  void keep_limit_over_windows() { limit_over_windows_ = true; }

 private:
  void send(const WindowRef& window, batch::ColumnBatch& visible, bool last);
  void sort_and_send(const WindowRef& window, PaneTable* groups);
  void send_rest(const WindowRef& window, PaneTable& groups, const uint32_t* rows, size_t n);
  void send_partitions(const WindowRef& window, PaneTable& groups);

  const plan::Stage& stage_;
  const plan::QueryOptions& options_;
  size_t batch_rows_;
  WindowLedger& ledger_;
  RowReceiver& receiver_;
  std::unique_ptr<expr::Evaluator> condition_;
  std::vector<expr::Evaluator> outputs_;
  bool sorts_;
  bool limit_over_windows_ = false;
  int64_t row_limit_ = INT64_MAX;  ///< OFFSET + LIMIT
  int64_t passed_ = 0;             ///< rows of this window before OFFSET and LIMIT
  batch::BatchBuffer dense_;       ///< outputs of the rows that passed, close together
  batch::ColumnBatch all_outputs_;
  RowStore store_;
  std::unique_ptr<RestRow> rest_;        ///< null: rows beyond LIMIT are left out
  std::vector<uint32_t> group_numbers_;  ///< with rest_: of the rows in store_
  uint32_t groups_seen_ = 0;
  std::vector<uint32_t> selected_;
  std::vector<uint8_t> active_, errors_;
};

}  // namespace backstream::exec
