#include "lookup/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace backstream::lookup {

base::Result<void> TableDefinition::check_word(size_t column, std::string_view word, base::SourceSpan where) const {
  for (const Choice& choice : choices) {
    if (choice.column != column || std::find(choice.words.begin(), choice.words.end(), word) != choice.words.end())
      continue;
    const std::string_view near = base::nearest_name(word, choice.words);
    std::string list;
    for (const std::string_view known : choice.words) list.append(list.empty() ? "" : ", ").append(known);
    return base::fail("22023", fmt::format("column '{}' cannot be '{}'", schema.columns[column].name, word), where,
                      near.empty() ? "it is one of " + list : fmt::format("did you mean '{}'?", near));
  }
  return {};
}

batch::ColumnBatch Table::slice(size_t begin, size_t row_count) const {
  assert(begin + row_count <= row_count_);
  batch::ColumnBatch slice;
  slice.row_count = row_count;
  slice.columns = columns_;
  for (batch::Column& column : slice.columns) {
    column.values = static_cast<uint8_t*>(column.values) + begin * octets_per_value(batch::physical(column.type));
    if (column.validity != nullptr) column.validity += begin;
  }
  return slice;
}

TableBuilder::TableBuilder(batch::Schema schema, const TableLimits& limits)
    : limits_(limits), table_(new Table), null_counts_(schema.columns.size(), 0) {
  limits_.row_count_max = std::min(limits_.row_count_max, TableLimits::kRowsAtMost);
  for (const batch::ColumnDef& column : schema.columns) {
    const batch::Physical physical = batch::physical(column.type);
    stores_.push_back({physical, nullptr, nullptr});
    row_octets_ += octets_per_value(physical) + 1;
  }
  table_->schema_ = std::move(schema);
  reserve(64);
}

void TableBuilder::check(bool condition) { assert(condition && "a value of another physical form than the column's"); }

void TableBuilder::reserve(size_t rows) {
  for (Store& store : stores_) {
    const size_t octets = octets_per_value(store.physical);
    // Zeroed: the value of a null is readable, an all-zero string_view is empty.
    auto values = std::make_unique<uint8_t[]>(rows * octets);
    auto validity = std::make_unique<uint8_t[]>(rows);
    if (capacity_ > 0) {
      std::memcpy(values.get(), store.values.get(), capacity_ * octets);
      std::memcpy(validity.get(), store.validity.get(), capacity_);
    }
    store.values = std::move(values);
    store.validity = std::move(validity);
  }
  capacity_ = rows;
}

void TableBuilder::set_value(size_t column, const expr::Value& value) {
  if (std::holds_alternative<std::monostate>(value)) return;
  switch (stores_[column].physical) {
    case batch::Physical::kByte: return set_bool(column, std::get<bool>(value));
    case batch::Physical::kInt64: return set_int64(column, std::get<int64_t>(value));
    case batch::Physical::kDouble: return set_double(column, std::get<double>(value));
    case batch::Physical::kText: return set_text(column, std::get<std::string>(value));
    case batch::Physical::kInet: return set_inet(column, std::get<base::Inet>(value));
    case batch::Physical::kInterval: return set_interval(column, std::get<base::Interval>(value));
  }
}

void TableBuilder::set_from(size_t column, const batch::Column& from, size_t row) {
  check(batch::physical(from.type) == stores_[column].physical);
  if (from.is_null(row)) return;
  switch (stores_[column].physical) {
    case batch::Physical::kByte: return set_bool(column, from.as<uint8_t>()[row] != 0);
    case batch::Physical::kInt64: return set_int64(column, from.as<int64_t>()[row]);
    case batch::Physical::kDouble: return set_double(column, from.as<double>()[row]);
    case batch::Physical::kText: return set_text(column, from.as<std::string_view>()[row]);
    case batch::Physical::kInet: return set_inet(column, from.as<base::Inet>()[row]);
    case batch::Physical::kInterval: return set_interval(column, from.as<base::Interval>()[row]);
  }
}

bool TableBuilder::end_row() {
  if (row_count_ >= limits_.row_count_max ||
      (row_count_ + 1) * row_octets_ + table_->text_.octets_held() > limits_.octets_max) {
    drop_row();
    return false;
  }
  for (size_t c = 0; c < stores_.size(); ++c) null_counts_[c] += stores_[c].validity[row_count_] == 0;
  if (++row_count_ == capacity_) reserve(capacity_ * 2);
  return true;
}

void TableBuilder::drop_row() {
  for (Store& store : stores_) {
    const size_t octets = octets_per_value(store.physical);
    std::memset(store.values.get() + row_count_ * octets, 0, octets);
    store.validity[row_count_] = 0;
  }
}

tl::unexpected<base::Diagnostic> TableBuilder::refuse_limit() const {
  if (row_count_ >= limits_.row_count_max) {
    return base::fail("54000", fmt::format("the table would have more than {} rows", limits_.row_count_max), {},
                      "raise the limit of rows, or leave out rows that are not needed");
  }
  return base::fail("54000", fmt::format("the table would need more than {} octets", limits_.octets_max), {},
                    "raise the limit of octets, or leave out columns that are not needed");
}

std::shared_ptr<const Table> TableBuilder::finish() {
  Table& table = *table_;
  table.row_count_ = row_count_;
  table.octets_held_ = capacity_ * row_octets_ + table.text_.octets_held();
  for (size_t c = 0; c < stores_.size(); ++c) {
    Store& store = stores_[c];
    batch::Column column;
    column.type = table.schema_.columns[c].type;
    column.values = store.values.get();
    column.has_nulls = null_counts_[c] > 0;
    column.validity = store.validity.get();
    table.columns_.push_back(column);
    table.memory_.push_back(std::move(store.values));
    table.memory_.push_back(std::move(store.validity));
  }
  return std::shared_ptr<const Table>(table_.release());
}

}  // namespace backstream::lookup
