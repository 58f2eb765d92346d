#include "exec/join_output.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "exec/gather.h"

namespace backstream::exec {

using batch::Column;
using batch::Type;

JoinOutput::JoinOutput(const plan::Query& query, const plan::Stage& stage, const EngineOptions& options,
                       WindowLedger& ledger, RowReceiver& receiver)
    : join_(*stage.join),
      options_(query.options),
      ledger_(ledger),
      capacity_(options.batch_rows),
      marks_(stage.join->kind != plan::Join::Kind::kInner) {
  assert(query.inputs.size() == 2);
  const size_t left_count = query.inputs[0]->output().columns.size();
  const size_t column_count = stage.input.columns.size();
  std::vector<bool> read(column_count);
  const auto note = [&](const expr::Expr& e) {
    expr::walk(e, [&](const expr::Expr& part) {
      if (part.kind == expr::ExprKind::kColumn) read[static_cast<size_t>(part.column)] = true;
    });
  };
  for (const auto& output : stage.outputs) note(*output);
  if (join_.condition) note(*join_.condition);
  for (const Side side : {kLeft, kRight}) {
    SideColumns& columns = sides_[side];
    const size_t first = side == kLeft ? 0 : left_count, end = side == kLeft ? left_count : column_count;
    for (size_t c = first; c < end; ++c) {
      const auto own = static_cast<int>(c - first);
      const bool is_key = std::any_of(join_.keys.begin(), join_.keys.end(), [&](const plan::Join::Key& key) {
        return (side == kLeft ? key.left : key.right) == own;
      });
      if (!read[c] && !is_key) continue;
      if (read[c]) columns.read.emplace_back(columns.kept.size(), c);
      columns.kept.push_back(own);
      columns.kept_types.push_back(stage.input.columns[c].type);
    }
    for (const plan::Join::Key& key : join_.keys) {
      const int column = side == kLeft ? key.left : key.right;
      const auto at = std::find(columns.kept.begin(), columns.kept.end(), column);
      columns.keys.push_back(static_cast<size_t>(at - columns.kept.begin()));
    }
    if (marks_) marks_of_[side].resize(capacity_);
  }
  picks_ = join_.condition != nullptr || join_.kind == plan::Join::Kind::kSemi;
  joined_ = batch::BatchBuffer(stage.input.types(), read, capacity_);
  expr::ExprPtr picked;
  if (picks_) {
    picked_.resize(capacity_, 1);
    Column column;
    column.type = Type::kBool;
    column.values = picked_.data();
    joined_.batch.columns.push_back(column);
    picked = expr::make_column(static_cast<int>(column_count), Type::kBool);
  }
  if (join_.condition) {
    condition_ = std::make_unique<expr::Evaluator>(expr::clone(*join_.condition), capacity_);
    errors_.resize(capacity_);
  }
  tail_ = std::make_unique<Tail>(stage, picked.get(), query.options, capacity_, ledger, receiver);
  if (!join_.by_window) tail_->keep_limit_over_windows();
}

void JoinOutput::put(Side side, const std::vector<Column>& columns, const uint32_t* rows, size_t n) {
  for (const auto& [from, to] : sides_[side].read)
    gather_column(columns[from], rows, n, joined_.batch.columns[to], filled_);
}

void JoinOutput::test_condition() {
  using OnError = plan::QueryOptions::OnError;
  const uint64_t errors_before = ledger_.value_errors.total();
  uint8_t* errors = options_.on_error == OnError::kNull ? nullptr : errors_.data();
  const Column condition = condition_->evaluate(joined_.batch, nullptr, ledger_.value_errors, errors);
  const uint8_t* values = condition.as<uint8_t>();
  for (size_t i = 0; i < filled_; ++i) picked_[i] = values[i] != 0 && !condition.is_null(i);
  if (errors == nullptr || ledger_.value_errors.total() == errors_before) return;
  if (options_.on_error == OnError::kFail) throw QueryFailed(ledger_.value_errors);
  // 'drop': where part of the condition cannot be computed, the two rows are no partners.
  for (size_t i = 0; i < filled_; ++i) picked_[i] &= errors_[i] == 0;
  std::fill_n(errors_.begin(), filled_, uint8_t{0});
}

void JoinOutput::flush() {
  if (filled_ == 0) return;
  joined_.batch.row_count = filled_;
  if (condition_) test_condition();
  else if (picks_) std::fill_n(picked_.begin(), filled_, uint8_t{1});
  if (marks_) {
    uint8_t* const* left = marks_of_[kLeft].data();
    uint8_t* const* right = marks_of_[kRight].data();
    if (join_.kind == plan::Join::Kind::kSemi) {
      for (size_t i = 0; i < filled_; ++i) {
        picked_[i] &= *left[i] == 0;  // Its second partner changes nothing.
        *left[i] |= picked_[i];
      }
    } else {
      for (size_t i = 0; i < filled_; ++i) {
        const uint8_t met = picks_ ? picked_[i] : 1;
        *left[i] |= met;
        *right[i] |= met;
      }
    }
  }
  if (join_.kind != plan::Join::Kind::kAnti) tail_->add(window_, joined_.batch);
  filled_ = 0;
}

void JoinOutput::add_alone(Side side, const std::vector<Column>& columns, const uint32_t* rows, size_t n) {
  if (n == 0) return;
  flush();
  for (const auto& [from, to] : sides_[side == kLeft ? kRight : kLeft].read) {
    Column& column = joined_.batch.columns[to];
    const size_t nulls = std::min(n, capacity_);
    column.has_nulls = true;
    std::memset(column.validity, 0, nulls);
    // Null text is empty, so that kernels may read it.
    std::memset(column.values, 0, nulls * batch::octets_per_value(batch::physical(column.type)));
  }
  if (picks_) std::fill_n(picked_.begin(), std::min(n, capacity_), uint8_t{1});
  for (size_t at = 0; at < n; at += capacity_) {
    const size_t step = std::min(n - at, capacity_);
    put(side, columns, rows + at, step);
    joined_.batch.row_count = step;
    tail_->add(window_, joined_.batch);
  }
}

}  // namespace backstream::exec
