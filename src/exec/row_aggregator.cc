#include "exec/row_aggregator.h"

#include <algorithm>
#include <numeric>

namespace backstream::exec {

using batch::Column;
using plan::QueryOptions;

RowAggregator::RowAggregator(const plan::Stage& stage, const QueryOptions& options, size_t batch_rows,
                             GroupLayout& layout, WindowLedger& ledger)
    : stage_(stage),
      options_(options),
      layout_(layout),
      ledger_(ledger),
      all_rows_(batch_rows),
      selected_(batch_rows),
      filtered_rows_(batch_rows),
      active_(batch_rows),
      filter_active_(batch_rows),
      errors_(batch_rows),
      group_rows_(batch_rows),
      filtered_groups_(batch_rows) {
  std::iota(all_rows_.begin(), all_rows_.end(), 0u);
  const auto evaluator = [&](const expr::Expr& e) {
    computes_ |= e.kind != expr::ExprKind::kColumn && e.kind != expr::ExprKind::kLiteral;
    return expr::Evaluator(expr::clone(e), batch_rows);
  };
  if (stage.where) where_ = std::make_unique<expr::Evaluator>(expr::clone(*stage.where), batch_rows);
  for (const auto& key : stage.keys) keys_.push_back(evaluator(*key));
  for (const plan::AggregateCall& call : stage.aggregates) {
    Call& compiled = calls_.emplace_back();
    for (const auto& arg : call.args) compiled.args.push_back(evaluator(*arg));
    if (call.filter) compiled.filter = std::make_unique<expr::Evaluator>(evaluator(*call.filter));
  }
  key_columns_.resize(keys_.size());
  arg_columns_.resize(calls_.size());
  filter_columns_.resize(calls_.size());
}

void RowAggregator::mark_active(size_t row_count, const uint32_t* rows, size_t n) {
  std::fill_n(active_.begin(), row_count, uint8_t{0});
  for (size_t i = 0; i < n; ++i) active_[rows[i]] = 1;
}

size_t RowAggregator::drop_errored(const batch::ColumnBatch& batch, uint32_t* rows, size_t n) {
  size_t kept = 0;
  for (size_t i = 0; i < n; ++i) {
    if (errors_[rows[i]] == 0) rows[kept++] = rows[i];
    else errored_.push_back(rows[i]);
  }
  ledger_.errored += n - kept;
  std::fill_n(errors_.begin(), batch.row_count, uint8_t{0});
  return kept;
}

const uint32_t* RowAggregator::prepare(const batch::ColumnBatch& batch, const uint32_t* rows, size_t n, size_t& kept) {
  errored_.clear();
  const bool watch_errors = options_.on_error != QueryOptions::OnError::kNull;
  uint8_t* errors = watch_errors ? errors_.data() : nullptr;
  const uint64_t errors_before = ledger_.value_errors.total();
  const auto fail_if_asked = [&] {
    if (options_.on_error == QueryOptions::OnError::kFail && ledger_.value_errors.total() != errors_before) {
      throw QueryFailed(ledger_.value_errors);
    }
  };
  const uint8_t* active = nullptr;
  if ((where_ || computes_) && n < batch.row_count) {
    mark_active(batch.row_count, rows, n);
    active = active_.data();
  }
  if (where_) {
    const Column condition = where_->evaluate(batch, active, ledger_.value_errors, errors);
    fail_if_asked();
    size_t passed = 0;
    if (n == batch.row_count) {
      passed = expr::select_true(condition, batch.row_count, selected_.data());
    } else {
      const uint8_t* values = condition.as<uint8_t>();
      for (size_t i = 0; i < n; ++i) {
        const uint32_t row = rows[i];
        selected_[passed] = row;
        passed += values[row] != 0 && !condition.is_null(row);
      }
    }
    if (options_.on_error == QueryOptions::OnError::kDrop && ledger_.value_errors.total() != errors_before) {
      for (size_t i = 0; i < n; ++i) {
        if (errors_[rows[i]] != 0) errored_.push_back(rows[i]);
      }
      std::fill_n(errors_.begin(), batch.row_count, uint8_t{0});
    }
    // A row whose condition could not be computed is errored, not filtered; its condition is null, so it is not
    // selected.
    ledger_.errored += errored_.size();
    ledger_.filtered += n - passed - errored_.size();
    rows = selected_.data();
    n = passed;
    if (computes_ && n < batch.row_count) {
      mark_active(batch.row_count, rows, n);
      active = active_.data();
    }
  }
  for (size_t k = 0; k < keys_.size(); ++k) {
    key_columns_[k] = keys_[k].evaluate(batch, active, ledger_.value_errors, errors);
  }
  for (size_t c = 0; c < calls_.size(); ++c) {
    arg_columns_[c].resize(calls_[c].args.size());
    const uint8_t* call_active = active;
    if (calls_[c].filter) {
      filter_columns_[c] = calls_[c].filter->evaluate(batch, active, ledger_.value_errors, errors);
      // An argument is computed only for rows that the filter lets through, as in PostgreSQL.
      std::fill_n(filter_active_.begin(), batch.row_count, uint8_t{0});
      for (size_t i = 0; i < n; ++i) {
        filter_active_[rows[i]] =
            filter_columns_[c].as<uint8_t>()[rows[i]] != 0 && !filter_columns_[c].is_null(rows[i]);
      }
      call_active = filter_active_.data();
    }
    for (size_t a = 0; a < calls_[c].args.size(); ++a) {
      arg_columns_[c][a] = calls_[c].args[a].evaluate(batch, call_active, ledger_.value_errors, errors);
    }
  }
  if (watch_errors && ledger_.value_errors.total() != errors_before) {
    fail_if_asked();
    if (rows != selected_.data()) std::copy_n(rows, n, selected_.data());
    n = drop_errored(batch, selected_.data(), n);
    rows = selected_.data();
  }
  kept = n;
  return rows;
}

const uint32_t* RowAggregator::admit(const uint32_t* rows, size_t n, const PaneTable& pane, GroupShedder::Shed& shed,
                                     size_t& kept) {
  admitted_.resize(all_rows_.size());
  shed_hashes_.resize(all_rows_.size());
  shed_hashes(key_columns_.data(), key_columns_.size(), rows, n, shed_hashes_.data());
  kept = 0;
  for (size_t i = 0; i < n; ++i) {
    admitted_[kept] = rows[i];
    kept += shed_hashes_[i] < pane.keep_below;
  }
  shed.rows += n - kept;
  if (stage_.octets_aggregate >= 0 && kept < n) {
    const Column& octets = arg_columns_[static_cast<size_t>(stage_.octets_aggregate)][0];
    for (size_t i = 0; i < n; ++i) {
      if (shed_hashes_[i] >= pane.keep_below && !octets.is_null(rows[i]))
        shed.octets += static_cast<uint64_t>(octets.as<int64_t>()[rows[i]]);
    }
  }
  return admitted_.data();
}

void RowAggregator::add(const uint32_t* rows, size_t n, PaneTable& pane) {
  const PaneTable::Found found = pane.find_groups(key_columns_.data(), rows, n, group_rows_.data());
  const auto update = [&](size_t begin, size_t end, bool wide) {
    if (begin == end) return;
    for (size_t c = 0; c < calls_.size(); ++c) {
      const plan::AggregateCall& call = stage_.aggregates[c];
      const size_t offset = pane.states_at(wide) + layout_.state_offsets()[c];
      uint8_t* const* groups = group_rows_.data() + begin;
      const uint32_t* chosen = found.rows + begin;
      size_t count = end - begin;
      if (calls_[c].filter) {
        const Column& condition = filter_columns_[c];
        const uint8_t* values = condition.as<uint8_t>();
        size_t passed = 0;
        for (size_t i = 0; i < count; ++i) {
          filtered_rows_[passed] = chosen[i];
          filtered_groups_[passed] = groups[i];
          passed += values[chosen[i]] != 0 && !condition.is_null(chosen[i]);
        }
        groups = filtered_groups_.data();
        chosen = filtered_rows_.data();
        count = passed;
      }
      call.function->update(groups, offset, arg_columns_[c].data(), chosen, count, pane.context());
    }
  };
  update(0, found.narrow_count, false);
  update(found.narrow_count, n, true);
  pane.rows_counted += n;
  ledger_.counted += n;
}

}  // namespace backstream::exec
