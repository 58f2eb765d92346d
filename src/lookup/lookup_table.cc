#include "lookup/lookup_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace backstream::lookup {
namespace {

constexpr uint32_t kKeep = UINT32_MAX, kErase = UINT32_MAX - 1;

}  // namespace

LookupTable::LookupTable(TableDefinition definition, const TableLimits& limits)
    : definition_(std::move(definition)), limits_(limits) {
  if (!definition_.primary_key.empty()) key_columns_.push_back(definition_.primary_key);
  truncate();
}

void LookupTable::truncate() {
  const auto emptied = replace(TableBuilder(definition_.schema).finish());
  assert(emptied && "a table without rows breaks no rule");
}

size_t LookupTable::add_key_index(const std::vector<uint32_t>& columns) {
  for (size_t i = 0; i < key_columns_.size(); ++i) {
    if (key_columns_[i] == columns) return i;
  }
  auto next = std::make_shared<Snapshot>(*current_);
  auto index = KeyIndex::build(next->table, columns, KeyIndex::Keys::kAny);
  assert(index && "an index of any keys refuses none");
  next->key_indexes.push_back(std::make_shared<const KeyIndex>(std::move(*index)));
  key_columns_.push_back(columns);
  current_ = next;
  published_.publish(current_);
  return key_columns_.size() - 1;
}

base::Result<size_t> LookupTable::add_prefix_table(uint32_t column) {
  for (size_t i = 0; i < prefix_columns_.size(); ++i) {
    if (prefix_columns_[i] == column) return i;
  }
  const batch::ColumnDef& definition = definition_.schema.columns[column];
  if (batch::physical(definition.type) != batch::Physical::kInet) {
    return base::fail("42804", fmt::format("column '{}' of table '{}' is {}, not cidr or inet", definition.name,
                                           definition_.name, batch::name(definition.type)));
  }
  auto next = std::make_shared<Snapshot>(*current_);
  auto prefixes = PrefixTable::build(next->table, column);
  if (!prefixes) return tl::unexpected(prefixes.error());
  next->prefix_tables.push_back(std::make_shared<const PrefixTable>(std::move(*prefixes)));
  prefix_columns_.push_back(column);
  current_ = next;
  published_.publish(current_);
  return prefix_columns_.size() - 1;
}

base::Result<void> LookupTable::replace(std::shared_ptr<const Table> table) {
  assert(table->column_count() == definition_.schema.columns.size());
  auto next = std::make_shared<Snapshot>();
  next->table = std::move(table);
  for (const auto& columns : key_columns_) {
    const bool primary = columns == definition_.primary_key;
    auto index = KeyIndex::build(next->table, columns, primary ? KeyIndex::Keys::kUnique : KeyIndex::Keys::kAny);
    if (!index) return tl::unexpected(index.error());
    next->key_indexes.push_back(std::make_shared<const KeyIndex>(std::move(*index)));
  }
  for (const uint32_t column : prefix_columns_) {
    auto prefixes = PrefixTable::build(next->table, column);
    if (!prefixes) return tl::unexpected(prefixes.error());
    next->prefix_tables.push_back(std::make_shared<const PrefixTable>(std::move(*prefixes)));
  }
  current_ = std::move(next);
  published_.publish(current_);
  return {};
}

base::Result<void> LookupTable::rebuild(const std::vector<uint32_t>& replaced, const batch::ColumnBatch* rows,
                                        const batch::ColumnBatch* appended) {
  TableBuilder builder(definition_.schema, limits_);
  const Table& table = *current_->table;
  const size_t column_count = table.column_count();
  for (size_t row = 0; row < table.row_count(); ++row) {
    const uint32_t by = replaced.empty() ? kKeep : replaced[row];
    if (by == kErase) continue;
    for (size_t c = 0; c < column_count; ++c) {
      if (by == kKeep) builder.set_from(c, table.column(c), row);
      else builder.set_from(c, rows->columns[c], by);
    }
    if (!builder.end_row()) return builder.refuse_limit();
  }
  for (size_t row = 0; appended != nullptr && row < appended->row_count; ++row) {
    for (size_t c = 0; c < column_count; ++c) builder.set_from(c, appended->columns[c], row);
    if (!builder.end_row()) return builder.refuse_limit();
  }
  return replace(builder.finish());
}

base::Result<const KeyIndex*> LookupTable::primary_index() const {
  if (definition_.primary_key.empty()) {
    return base::fail("55000", fmt::format("table '{}' has no primary key", definition_.name), {},
                      "rows are changed by key: CREATE TABLE ... (asn bigint PRIMARY KEY, ...)");
  }
  return current_->key_indexes.front().get();
}

base::Result<size_t> LookupTable::insert(const batch::ColumnBatch& rows) {
  if (auto built = rebuild({}, nullptr, &rows); !built) return tl::unexpected(built.error());
  return rows.row_count;
}

base::Result<size_t> LookupTable::update(const batch::ColumnBatch& rows) {
  const auto index = primary_index();
  if (!index) return tl::unexpected(index.error());
  std::vector<batch::Column> keys;
  for (const uint32_t c : definition_.primary_key) keys.push_back(rows.columns[c]);
  std::vector<uint32_t> matches(rows.row_count), replaced(current_->table->row_count(), kKeep);
  (*index)->find(keys.data(), nullptr, rows.row_count, matches.data());
  for (uint32_t i = 0; i < matches.size(); ++i) {
    if (matches[i] != kNoRow) replaced[matches[i]] = i;
  }
  const auto changed =
      static_cast<size_t>(std::count_if(replaced.begin(), replaced.end(), [](uint32_t by) { return by != kKeep; }));
  if (changed == 0) return size_t{0};
  if (auto built = rebuild(replaced, &rows, nullptr); !built) return tl::unexpected(built.error());
  return changed;
}

base::Result<size_t> LookupTable::erase(const batch::ColumnBatch& keys) {
  const auto index = primary_index();
  if (!index) return tl::unexpected(index.error());
  std::vector<uint32_t> matches(keys.row_count);
  (*index)->find(keys.columns.data(), nullptr, keys.row_count, matches.data());
  std::erase(matches, kNoRow);
  return erase_rows(matches);
}

base::Result<size_t> LookupTable::replace_rows(const std::vector<uint32_t>& numbers, const batch::ColumnBatch& rows) {
  assert(numbers.size() == rows.row_count);
  if (numbers.empty()) return size_t{0};
  std::vector<uint32_t> replaced(current_->table->row_count(), kKeep);
  for (uint32_t i = 0; i < numbers.size(); ++i) {
    assert(numbers[i] < replaced.size());
    replaced[numbers[i]] = i;
  }
  if (auto built = rebuild(replaced, &rows, nullptr); !built) return tl::unexpected(built.error());
  return static_cast<size_t>(std::count_if(replaced.begin(), replaced.end(), [](uint32_t by) { return by != kKeep; }));
}

base::Result<size_t> LookupTable::erase_rows(const std::vector<uint32_t>& numbers) {
  if (numbers.empty()) return size_t{0};
  std::vector<uint32_t> replaced(current_->table->row_count(), kKeep);
  for (const uint32_t number : numbers) {
    assert(number < replaced.size());
    replaced[number] = kErase;
  }
  const auto erased = static_cast<size_t>(std::count(replaced.begin(), replaced.end(), kErase));
  if (auto built = rebuild(replaced, nullptr, nullptr); !built) return tl::unexpected(built.error());
  return erased;
}

}  // namespace backstream::lookup
