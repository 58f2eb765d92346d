#pragma once
#include <memory>
#include <vector>

#include "exec/common_columns.h"
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
  /// @param common  what other queries compute of the batch, too: the same object in each call, or null; not used where
  ///                its batch is another one
  const uint32_t* prepare(const batch::ColumnBatch& batch, const uint32_t* rows, size_t n, size_t& kept,
                          CommonColumns* common = nullptr);
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
  /// An expression over the batch.
  struct Input {
    Input(const expr::Expr& e, size_t batch_rows);
    expr::Evaluator evaluator;
    bool computes;            ///< it is more than a column
    bool shares;              ///< CommonColumns takes it
    size_t number = 0;        ///< there, in this generation
    uint64_t generation = 0;  ///< of CommonColumns; 0: it was not asked yet
  };
  /// FILTER of one or several aggregates.
  struct Filter {
    Filter(const expr::Expr& e, size_t batch_rows);
    Input input;
    const uint8_t* mask = nullptr;  ///< of the prepared batch, by row: whether it is true
    bool active_known = false;      ///< `active` is of the prepared batch
    bool chosen_known = false;      ///< the rows below are those of the groups at hand
    size_t chosen_count = 0;
    std::vector<uint8_t> own_mask, active;  ///< active: of rows that WHERE lets through
    std::vector<uint32_t> chosen_rows;
    std::vector<uint8_t*> chosen_groups;
  };
  struct Call {
    std::vector<Input> args;
    size_t filter = SIZE_MAX;  ///< of filters_
  };

  /// Drops rows with an error in any expression, as on_error says.
  size_t drop_errored(const batch::ColumnBatch& batch, uint32_t* rows, size_t n);
  bool in_common(Input& input, const batch::ColumnBatch& batch, CommonColumns* common) const;
  const uint32_t* select(const batch::ColumnBatch& batch, const uint32_t* rows, size_t& n, CommonColumns* common,
                         uint8_t* errors);
  size_t add_filter(const expr::Expr& e, size_t batch_rows);
  void choose(Filter& filter, const uint32_t* rows, uint8_t* const* groups, size_t n);

  const plan::Stage& stage_;
  const plan::QueryOptions& options_;
  GroupLayout& layout_;
  WindowLedger& ledger_;
  std::unique_ptr<Input> where_;
  std::vector<Input> keys_;
  std::vector<std::unique_ptr<Filter>> filters_;
  std::vector<Call> calls_;
  // Columns of the prepared batch.
  std::vector<batch::Column> key_columns_;
  std::vector<std::vector<batch::Column>> arg_columns_;
  // Scratch.
  std::vector<uint32_t> all_rows_, selected_, errored_, admitted_;
  std::vector<uint64_t> shed_hashes_;
  std::vector<uint8_t> active_, errors_;
  std::vector<uint8_t*> group_rows_;
};

}  // namespace backstream::exec
