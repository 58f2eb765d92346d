#pragma once
#include <memory>
#include <vector>

#include "exec/engine.h"
#include "exec/pane_table.h"
#include "exec/shedding.h"
#include "expr/expr.h"

namespace backstream::exec {

/// The first half of an aggregating stage, for one batch at a time: filter, then keys and arguments as columns, then
/// rows into groups. One thread.
class RowAggregator {
 public:
  RowAggregator(const plan::Stage& stage, const plan::QueryOptions& options, size_t batch_rows, GroupLayout& layout,
                WindowLedger& ledger);

  /// Rows of `batch` that pass the filter, among the n of `rows`; evaluates keys and arguments for them. Counts
  /// filtered and errored ones. The returned indexes are valid until the next call. Throws QueryFailed when the query's
  /// on_error is 'fail' and a value cannot be computed.
  const uint32_t* prepare(const batch::ColumnBatch& batch, const uint32_t* rows, size_t n, size_t& kept);
  /// Adds prepared rows to the groups of `pane`.
  void add(const uint32_t* rows, size_t n, PaneTable& pane);
  /// Of prepared rows those that `pane` lets in (PaneTable::keep_below), in order; the others are counted in `shed`.
  /// @return  valid until the next call
  const uint32_t* admit(const uint32_t* rows, size_t n, const PaneTable& pane, GroupShedder::Shed& shed, size_t& kept);
  /// Rows of the last prepare() that are errored, in no order.
  const std::vector<uint32_t>& errored() const { return errored_; }
  /// 0, 1, 2, ... for a batch whose rows are all wanted.
  const uint32_t* all_rows() const { return all_rows_.data(); }

 private:
  /// Drops rows with an error in any expression, as on_error says.
  size_t drop_errored(const batch::ColumnBatch& batch, uint32_t* rows, size_t n);
  void mark_active(size_t row_count, const uint32_t* rows, size_t n);

  const plan::Stage& stage_;
  const plan::QueryOptions& options_;
  GroupLayout& layout_;
  WindowLedger& ledger_;
  std::unique_ptr<expr::Evaluator> where_;
  std::vector<expr::Evaluator> keys_;
  struct Call {
    std::vector<expr::Evaluator> args;
    std::unique_ptr<expr::Evaluator> filter;
  };
  std::vector<Call> calls_;
  bool computes_ = false;  ///< some key, argument or filter is more than a column
  // Columns of the prepared batch.
  std::vector<batch::Column> key_columns_;
  std::vector<std::vector<batch::Column>> arg_columns_;
  std::vector<batch::Column> filter_columns_;
  // Scratch.
  std::vector<uint32_t> all_rows_, selected_, filtered_rows_, errored_, admitted_;
  std::vector<uint64_t> shed_hashes_;
  std::vector<uint8_t> active_, filter_active_, errors_;
  std::vector<uint8_t*> group_rows_, filtered_groups_;
};

}  // namespace backstream::exec
