#include "exec/row_aggregator.h"

#include <algorithm>
#include <numeric>

namespace backstream::exec {

using batch::Column;
using plan::QueryOptions;

RowAggregator::Input::Input(const expr::Expr& e, size_t batch_rows)
    : evaluator(expr::clone(e), batch_rows),
      computes(e.kind != expr::ExprKind::kColumn && e.kind != expr::ExprKind::kLiteral),
      shares(CommonColumns::takes(e)) {}

RowAggregator::Filter::Filter(const expr::Expr& e, size_t batch_rows)
    : input(e, batch_rows),
      own_mask(batch_rows),
      active(batch_rows),
      chosen_rows(batch_rows),
      chosen_groups(batch_rows) {}

RowAggregator::RowAggregator(const plan::Stage& stage, const QueryOptions& options, size_t batch_rows,
                             GroupLayout& layout, WindowLedger& ledger)
    : stage_(stage),
      options_(options),
      layout_(layout),
      ledger_(ledger),
      all_rows_(batch_rows),
      selected_(batch_rows),
      active_(batch_rows),
      errors_(batch_rows),
      group_rows_(batch_rows) {
  std::iota(all_rows_.begin(), all_rows_.end(), 0u);
  if (stage.where) where_ = std::make_unique<Input>(*stage.where, batch_rows);
  for (const auto& key : stage.keys) keys_.emplace_back(*key, batch_rows);
  for (const plan::AggregateCall& call : stage.aggregates) {
    Call& compiled = calls_.emplace_back();
    for (const auto& arg : call.args) compiled.args.emplace_back(*arg, batch_rows);
    if (call.filter) compiled.filter = add_filter(*call.filter, batch_rows);
  }
  key_columns_.resize(keys_.size());
  arg_columns_.resize(calls_.size());
}

/// Equal filters are one, unless their errors would be counted once then.
size_t RowAggregator::add_filter(const expr::Expr& e, size_t batch_rows) {
  for (size_t f = 0; f < filters_.size(); ++f) {
    if (filters_[f]->input.shares && expr::equal(filters_[f]->input.evaluator.expr(), e)) return f;
  }
  filters_.push_back(std::make_unique<Filter>(e, batch_rows));
  return filters_.size() - 1;
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

bool RowAggregator::in_common(Input& input, const batch::ColumnBatch& batch, CommonColumns* common) const {
  if (common == nullptr || !input.shares) return false;
  if (input.generation != common->generation()) {
    input.number = common->number_of(input.evaluator.expr());
    input.generation = common->generation();
  }
  return common->holds(input.number, batch);
}

namespace {

/// 1 where the condition is true.
void mask_of(const Column& condition, size_t row_count, uint8_t* __restrict mask) {
  const uint8_t* values = condition.as<uint8_t>();
  for (size_t row = 0; row < row_count; ++row) mask[row] = values[row] != 0;
  if (!condition.has_nulls) return;
  for (size_t row = 0; row < row_count; ++row) mask[row] &= condition.validity[row];
}

size_t select_masked(const uint8_t* mask, const uint32_t* rows, size_t n, uint32_t* selected) {
  size_t passed = 0;
  for (size_t i = 0; i < n; ++i) {
    const uint32_t row = rows[i];
    selected[passed] = row;
    passed += mask[row];
  }
  return passed;
}

void mark(const uint32_t* rows, size_t n, size_t row_count, uint8_t* active) {
  std::fill_n(active, row_count, uint8_t{0});
  for (size_t i = 0; i < n; ++i) active[rows[i]] = 1;
}

}  // namespace

/// The rows that pass WHERE, among the n of `rows`. Those whose condition cannot be computed are errored_.
const uint32_t* RowAggregator::select(const batch::ColumnBatch& batch, const uint32_t* rows, size_t& n,
                                      CommonColumns* common, uint8_t* errors) {
  if (in_common(*where_, batch, common)) {
    const CommonColumns::Selection& selection = common->selection(where_->number);
    if (n == batch.row_count) {
      n = selection.count;
      return selection.rows;
    }
    n = select_masked(selection.mask, rows, n, selected_.data());
    return selected_.data();
  }
  const uint64_t errors_before = ledger_.value_errors.total();
  if (n < batch.row_count) mark(rows, n, batch.row_count, active_.data());
  const uint8_t* active = n < batch.row_count ? active_.data() : nullptr;
  const Column condition = where_->evaluator.evaluate(batch, active, ledger_.value_errors, errors);
  const bool failed = ledger_.value_errors.total() != errors_before;
  if (failed && options_.on_error == QueryOptions::OnError::kFail) throw QueryFailed(ledger_.value_errors);
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
  if (failed && options_.on_error == QueryOptions::OnError::kDrop) {
    for (size_t i = 0; i < n; ++i) {
      if (errors_[rows[i]] != 0) errored_.push_back(rows[i]);
    }
    std::fill_n(errors_.begin(), batch.row_count, uint8_t{0});
  }
  n = passed;
  return selected_.data();
}

const uint32_t* RowAggregator::prepare(const batch::ColumnBatch& batch, const uint32_t* rows, size_t n, size_t& kept,
                                       CommonColumns* common) {
  errored_.clear();
  const bool watch_errors = options_.on_error != QueryOptions::OnError::kNull;
  uint8_t* errors = watch_errors ? errors_.data() : nullptr;
  const uint64_t errors_before = ledger_.value_errors.total();
  if (where_) {
    const size_t given = n;
    rows = select(batch, rows, n, common, errors);
    // A row whose condition could not be computed is errored, not filtered; its condition is null, so it is not
    // selected.
    ledger_.errored += errored_.size();
    ledger_.filtered += given - n - errored_.size();
  }
  // Which rows are computed; made when something is: what others compute, too, is there for all rows.
  bool marked = n == batch.row_count;
  const auto active = [&]() -> const uint8_t* {
    if (!marked) mark(rows, n, batch.row_count, active_.data());
    marked = true;
    return n == batch.row_count ? nullptr : active_.data();
  };
  const auto column_of = [&](Input& input, auto&& wanted) {
    if (in_common(input, batch, common)) return common->column(input.number);
    return input.evaluator.evaluate(batch, input.computes ? wanted() : nullptr, ledger_.value_errors, errors);
  };
  for (size_t k = 0; k < keys_.size(); ++k) key_columns_[k] = column_of(keys_[k], active);
  for (const auto& filter : filters_) {
    filter->active_known = false;
    if (in_common(filter->input, batch, common)) {
      filter->mask = common->selection(filter->input.number).mask;
      continue;
    }
    mask_of(column_of(filter->input, active), batch.row_count, filter->own_mask.data());
    filter->mask = filter->own_mask.data();
  }
  for (size_t c = 0; c < calls_.size(); ++c) {
    Filter* filter = calls_[c].filter == SIZE_MAX ? nullptr : filters_[calls_[c].filter].get();
    // An argument is computed only for rows that the filter lets through, as in PostgreSQL.
    const auto filtered = [&]() -> const uint8_t* {
      const uint8_t* let_through = active();
      if (filter == nullptr) return let_through;
      if (!filter->active_known) {
        for (size_t row = 0; row < batch.row_count; ++row)
          filter->active[row] =
              static_cast<uint8_t>(filter->mask[row] & (let_through == nullptr ? 1 : let_through[row]));
        filter->active_known = true;
      }
      return filter->active.data();
    };
    arg_columns_[c].resize(calls_[c].args.size());
    for (size_t a = 0; a < calls_[c].args.size(); ++a) arg_columns_[c][a] = column_of(calls_[c].args[a], filtered);
  }
  if (watch_errors && ledger_.value_errors.total() != errors_before) {
    if (options_.on_error == QueryOptions::OnError::kFail) throw QueryFailed(ledger_.value_errors);
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

void RowAggregator::choose(Filter& filter, const uint32_t* rows, uint8_t* const* groups, size_t n) {
  size_t passed = 0;
  for (size_t i = 0; i < n; ++i) {
    filter.chosen_rows[passed] = rows[i];
    filter.chosen_groups[passed] = groups[i];
    passed += filter.mask[rows[i]];
  }
  filter.chosen_count = passed;
  filter.chosen_known = true;
}

void RowAggregator::add(const uint32_t* rows, size_t n, PaneTable& pane) {
  const PaneTable::Found found = pane.find_groups(key_columns_.data(), rows, n, group_rows_.data());
  const auto update = [&](size_t begin, size_t end, bool wide) {
    if (begin == end) return;
    for (const auto& filter : filters_) filter->chosen_known = false;
    for (size_t c = 0; c < calls_.size(); ++c) {
      const plan::AggregateCall& call = stage_.aggregates[c];
      const size_t offset = pane.states_at(wide) + layout_.state_offsets()[c];
      uint8_t* const* groups = group_rows_.data() + begin;
      const uint32_t* chosen = found.rows + begin;
      size_t count = end - begin;
      if (calls_[c].filter != SIZE_MAX) {
        Filter& filter = *filters_[calls_[c].filter];
        if (!filter.chosen_known) choose(filter, chosen, groups, count);
        groups = filter.chosen_groups.data();
        chosen = filter.chosen_rows.data();
        count = filter.chosen_count;
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
