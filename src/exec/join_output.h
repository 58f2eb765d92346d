#pragma once
#include <algorithm>
#include <memory>
#include <vector>

#include "exec/join_key.h"
#include "exec/join_table.h"
#include "exec/tail.h"

namespace backstream::exec {

/// What both kinds of join do with the pairs that they found: puts the rows of both sides together, tests the rest of
/// the condition, marks rows that have a partner, and hands on what the stage outputs. One thread.
class JoinOutput {
 public:
  enum Side : uint8_t { kLeft, kRight };

  JoinOutput(const plan::Query& query, const plan::Stage& stage, const EngineOptions& options, WindowLedger& ledger,
             RowReceiver& receiver);

  /// Columns of a side that are read here, or that are keys: only these are kept, in this order.
  const std::vector<int>& kept(Side side) const { return sides_[side].kept; }
  const std::vector<batch::Type>& kept_types(Side side) const { return sides_[side].kept_types; }
  /// Indexes into kept(): the keys, in the order of Join::keys.
  const std::vector<size_t>& keys(Side side) const { return sides_[side].keys; }
  /// Some of its rows come without a partner.
  bool keeps(Side side) const { return side == kLeft ? join_.keeps_left() : join_.keeps_right(); }

  /// Of the rows that come next.
  void set_window(const WindowRef& window) {
    flush();
    window_ = window;
  }
  /// Pairs of equal hashes, of which those of equal keys come out. They are kept as copies; the marks must live until
  /// flush().
  /// @param columns      kept columns of `side`; the other side's are the table's
  /// @param rows, table_rows  of the n pairs; changed
  /// @param mark_of(row)  uint8_t*: the mark of a row of `side`
  template <typename MarkOf>
  void add_pairs(Side side, const std::vector<batch::Column>& columns, uint32_t* rows, MarkOf&& mark_of,
                 JoinTable& table, uint32_t* table_rows, size_t n) {
    const Side other = side == kLeft ? kRight : kLeft;
    for (size_t k = 0; k < join_.keys.size() && n > 0; ++k)
      n = keep_equal(columns[keys(side)[k]], table.columns()[keys(other)[k]], rows, table_rows, n);
    while (n > 0) {
      const size_t step = std::min(n, capacity_ - filled_);
      put(side, columns, rows, step);
      put(other, table.columns(), table_rows, step);
      if (marks_) {
        for (size_t i = 0; i < step; ++i) marks_of_[side][filled_ + i] = mark_of(rows[i]);
        for (size_t i = 0; i < step; ++i) marks_of_[other][filled_ + i] = &table.mark(table_rows[i]);
      }
      filled_ += step;
      rows += step;
      table_rows += step;
      n -= step;
      if (filled_ == capacity_) flush();
    }
  }
  /// Rows of a side that have no partner; the other side's columns are null.
  void add_alone(Side side, const std::vector<batch::Column>& columns, const uint32_t* rows, size_t n);
  /// Hands on the pairs added.
  void flush();
  /// Between windows, or batches.
  void save(StateWriter& out) const { tail_->save(out); }
  void load(StateReader& in) { tail_->load(in); }
  /// No more rows of the window (or, without windows, at all).
  void end() {
    flush();
    tail_->end(window_);
  }

 private:
  struct SideColumns {
    std::vector<int> kept;
    std::vector<batch::Type> kept_types;
    std::vector<size_t> keys;
    std::vector<std::pair<size_t, size_t>> read;  ///< index into kept, column of the joined row
  };
  void put(Side side, const std::vector<batch::Column>& columns, const uint32_t* rows, size_t n);
  void test_condition();

  const plan::Join& join_;
  const plan::QueryOptions& options_;
  WindowLedger& ledger_;
  SideColumns sides_[2];
  const size_t capacity_;
  const bool marks_;
  WindowRef window_;
  batch::BatchBuffer joined_;  ///< the joined row; with picks, one column more: which rows are handed on
  bool picks_ = false;
  size_t filled_ = 0;
  std::vector<uint8_t*> marks_of_[2];
  std::unique_ptr<expr::Evaluator> condition_;
  std::vector<uint8_t> picked_, errors_;
  std::unique_ptr<Tail> tail_;
};

}  // namespace backstream::exec
