#include "exec/common_columns.h"

#include <algorithm>
#include <cassert>
#include <string_view>

#include "expr/function.h"

namespace backstream::exec {

using batch::Column;
using batch::ColumnBatch;

struct CommonColumns::Common {
  Common(expr::ExprPtr given, size_t batch_rows) : evaluator(std::move(given), batch_rows) {
    expr::walk(evaluator.expr(), [&](const expr::Expr& part) {
      if (part.kind == expr::ExprKind::kColumn) inputs.push_back(static_cast<size_t>(part.column));
    });
  }
  expr::Evaluator evaluator;
  std::vector<size_t> inputs;     ///< columns that it reads
  std::vector<size_t> conjuncts;  ///< of a condition: numbers of what is between its ANDs, itself when there is none
  Column column;
  uint64_t computed_for = 0;  ///< number of the batch that `column` is of
  std::vector<uint8_t> mask;
  std::vector<uint32_t> rows;
  Selection selection{};
  uint64_t selected_for = 0;
};

CommonColumns::CommonColumns(size_t batch_rows) : batch_rows_(batch_rows) {}
CommonColumns::~CommonColumns() = default;

bool CommonColumns::takes(const expr::Expr& e) {
  bool always = true, reads = false;
  expr::walk(e, [&](const expr::Expr& part) {
    reads |= part.kind == expr::ExprKind::kColumn;
    if (part.kind != expr::ExprKind::kCall && part.kind != expr::ExprKind::kInList) return;
    constexpr std::string_view kNames[] = {"=", "<>", "<", "<=", ">", ">=", "&", "|", "family", "network"};
    // Bits of addresses have no value where one is IPv4 and the other IPv6.
    const bool of_bits = part.function->name == "&" || part.function->name == "|";
    always &= part.function->kind != expr::ScalarFunction::Kind::kCast && (!of_bits || batch::is_integer(part.type)) &&
              std::find(std::begin(kNames), std::end(kNames), part.function->name) != std::end(kNames);
  });
  return always && reads && e.kind != expr::ExprKind::kColumn;
}

void CommonColumns::begin(const ColumnBatch& rows) {
  assert(rows.row_count <= batch_rows_);
  rows_ = &rows;
  ++batch_number_;
}

void CommonColumns::clear() {
  all_.clear();
  ++generation_;
}

size_t CommonColumns::number_of(const expr::Expr& e) {
  assert(takes(e));
  for (size_t number = 0; number < all_.size(); ++number) {
    if (expr::equal(all_[number]->evaluator.expr(), e)) return number;
  }
  const size_t number = all_.size();
  all_.push_back(std::make_unique<Common>(expr::clone(e), batch_rows_));
  std::vector<size_t> conjuncts;
  const bool parts = e.kind == expr::ExprKind::kAnd &&
                     std::all_of(e.args.begin(), e.args.end(), [](const auto& arg) { return takes(*arg); });
  for (size_t a = 0; parts && a < e.args.size(); ++a) conjuncts.push_back(number_of(*e.args[a]));
  if (!parts) conjuncts.push_back(number);
  all_[number]->conjuncts = std::move(conjuncts);
  return number;
}

bool CommonColumns::holds(size_t number, const ColumnBatch& rows) const {
  if (rows_ == nullptr || rows.row_count != rows_->row_count) return false;
  if (&rows == rows_) return true;
  const std::vector<size_t>& inputs = all_[number]->inputs;
  return std::all_of(inputs.begin(), inputs.end(), [&](size_t column) {
    return column < rows_->columns.size() && column < rows.columns.size() &&
           rows.columns[column].values == rows_->columns[column].values;
  });
}

CommonColumns::Common& CommonColumns::computed(size_t number) {
  Common& common = *all_[number];
  if (common.computed_for != batch_number_) {
    expr::ValueErrorCounts none;
    common.column = common.evaluator.evaluate(*rows_, nullptr, none);
    common.computed_for = batch_number_;
    assert(none.total() == 0);
  }
  return common;
}

const Column& CommonColumns::column(size_t number) { return computed(number).column; }

const CommonColumns::Selection& CommonColumns::selection(size_t number) {
  Common& common = *all_[number];
  if (common.selected_for == batch_number_) return common.selection;
  const size_t n = rows_->row_count;
  common.mask.resize(batch_rows_);
  common.rows.resize(batch_rows_);
  uint8_t* mask = common.mask.data();
  std::fill_n(mask, n, uint8_t{1});
  for (const size_t part : common.conjuncts) {
    const Column& condition = column(part);
    const uint8_t* values = condition.as<uint8_t>();
    for (size_t row = 0; row < n; ++row) mask[row] = static_cast<uint8_t>(mask[row] & (values[row] != 0));
    if (!condition.has_nulls) continue;
    for (size_t row = 0; row < n; ++row) mask[row] &= condition.validity[row];
  }
  size_t count = 0;
  for (size_t row = 0; row < n; ++row) {
    common.rows[count] = static_cast<uint32_t>(row);
    count += mask[row];
  }
  common.selection = {mask, common.rows.data(), count};
  common.selected_for = batch_number_;
  return common.selection;
}

}  // namespace backstream::exec
