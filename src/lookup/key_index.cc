#include "lookup/key_index.h"

#include <fmt/format.h>

#include <cassert>
#include <cstring>

#include "batch/key_values.h"

namespace backstream::lookup {
namespace {

using batch::Column;

// How far ahead of the probe the index entry, and then the row's value, is fetched (bench/bench_lookup.cc).
constexpr size_t kIndexAhead = 32, kRowAhead = 16;
constexpr size_t kBlockRows = 512;
constexpr unsigned kIndexLog2Min = 4;

template <typename T>
void hash_column(const T* values, const uint32_t* rows, size_t n, uint64_t* __restrict hashes) {
  if (rows == nullptr) {
    for (size_t i = 0; i < n; ++i) hashes[i] = batch::key_hash(hashes[i], values[i]);
  } else {
    for (size_t i = 0; i < n; ++i) hashes[i] = batch::key_hash(hashes[i], values[rows[i]]);
  }
}

/// Hashes of the keys of n rows; present[i] = 0 where one of a row's keys is null.
void hash_keys(const Column* keys, size_t key_count, const uint32_t* rows, size_t n, uint64_t* hashes,
               uint8_t* present) {
  if (n == 0) return;  // Of an empty table there are no arrays.
  std::memset(hashes, 0, n * sizeof *hashes);
  std::memset(present, 1, n);
  for (size_t k = 0; k < key_count; ++k) {
    batch::with_values(keys[k], [&](const auto* values) { hash_column(values, rows, n, hashes); });
    if (!keys[k].has_nulls) continue;
    const uint8_t* validity = keys[k].validity;
    for (size_t i = 0; i < n; ++i) present[i] &= validity[rows == nullptr ? i : rows[i]];
  }
}

bool same_key(const Column& a, size_t row_a, const Column& b, size_t row_b) {
  return batch::with_values(a, [&](const auto* values) {
    using T = std::remove_cvref_t<decltype(*values)>;
    return batch::same_key(values[row_a], b.as<T>()[row_b]);
  });
}

/// "(asn, site) = (64500, ams)".
std::string key_text(const Table& table, const std::vector<uint32_t>& columns, size_t row) {
  std::string names, values;
  for (const uint32_t c : columns) {
    const batch::ColumnDef& column = table.schema().columns[c];
    if (!names.empty()) {
      names += ", ";
      values += ", ";
    }
    names += column.name;
    values += expr::value_text(expr::value_at(table.column(c), row), column.type);
  }
  return fmt::format("({}) = ({})", names, values);
}

}  // namespace

base::Result<KeyIndex> KeyIndex::build(std::shared_ptr<const Table> table, std::vector<uint32_t> columns, Keys keys,
                                       uint32_t* wrong_row) {
  assert(!columns.empty());
  KeyIndex index;
  index.table_ = std::move(table);
  index.columns_ = std::move(columns);
  const Table& rows = *index.table_;
  const size_t row_count = rows.row_count();
  std::vector<Column> key_columns;
  for (const uint32_t c : index.columns_) key_columns.push_back(rows.column(c));

  unsigned log2 = kIndexLog2Min;
  while (row_count > (size_t{3} << log2) / 4) ++log2;
  index.index_.assign(size_t{1} << log2, 0);
  index.shift_ = 64 - log2;
  const size_t mask = index.index_.size() - 1;

  std::vector<uint64_t> hashes(row_count);
  std::vector<uint8_t> present(row_count);
  hash_keys(key_columns.data(), key_columns.size(), nullptr, row_count, hashes.data(), present.data());
  const auto same = [&](uint32_t a, uint32_t b) {
    for (const Column& column : key_columns) {
      if (!same_key(column, a, column, b)) return false;
    }
    return true;
  };
  // From the last row to the first: each becomes the head of its chain, so that chains run in the table's order.
  for (uint32_t row = static_cast<uint32_t>(row_count); row-- > 0;) {
    if (row >= kIndexAhead) __builtin_prefetch(&index.index_[hashes[row - kIndexAhead] >> index.shift_], 1);
    if (present[row] == 0) {
      if (keys == Keys::kAny) continue;
      if (wrong_row != nullptr) *wrong_row = row;
      return base::fail("23502",
                        fmt::format("null in a column of the primary key: {}", key_text(rows, index.columns_, row)));
    }
    const uint64_t hash = hashes[row];
    const uint64_t entry = (hash >> 32 << 32) | (row + 1);
    size_t slot = hash >> index.shift_;
    for (;; slot = (slot + 1) & mask) {
      uint64_t& at = index.index_[slot];
      if (at != 0 && (at >> 32 != hash >> 32 || !same(static_cast<uint32_t>(at) - 1, row))) continue;
      if (at != 0) {
        const uint32_t later = static_cast<uint32_t>(at) - 1;
        if (keys == Keys::kUnique) {
          if (wrong_row != nullptr) *wrong_row = later;
          return base::fail("23505", fmt::format("duplicate key value violates the primary key: {}",
                                                 key_text(rows, index.columns_, later)));
        }
        if (index.next_.empty()) index.next_.assign(row_count, kNoRow);
        index.next_[row] = later;
      }
      at = entry;
      break;
    }
  }
  return index;
}

template <typename Same, typename Prefetch>
void KeyIndex::probe(const uint64_t* hashes, const uint8_t* present, size_t n, uint32_t* matches, Same same,
                     Prefetch prefetch) const {
  const uint64_t* const index = index_.data();
  const unsigned shift = shift_;
  const size_t mask = index_.size() - 1;
  for (size_t i = 0; i < n && i < kIndexAhead; ++i) __builtin_prefetch(&index[hashes[i] >> shift]);
  for (size_t i = 0; i < n; ++i) {
    if (i + kIndexAhead < n) __builtin_prefetch(&index[hashes[i + kIndexAhead] >> shift]);
    if (i + kRowAhead < n) {
      const uint64_t entry = index[hashes[i + kRowAhead] >> shift];
      if (entry != 0) prefetch(static_cast<uint32_t>(entry) - 1);
    }
    const uint64_t hash = hashes[i];
    uint32_t match = kNoRow;
    if (present[i] != 0) {
      for (size_t slot = hash >> shift;; slot = (slot + 1) & mask) {
        const uint64_t entry = index[slot];
        if (entry == 0) break;
        if (entry >> 32 != hash >> 32 || !same(i, static_cast<uint32_t>(entry) - 1)) continue;
        match = static_cast<uint32_t>(entry) - 1;
        break;
      }
    }
    matches[i] = match;
  }
}

void KeyIndex::find_block(const Column* keys, const uint32_t* rows, size_t n, uint32_t* matches) const {
  uint64_t hashes[kBlockRows];
  uint8_t present[kBlockRows];
  hash_keys(keys, columns_.size(), rows, n, hashes, present);
  const auto row_of = [rows](size_t i) { return rows == nullptr ? i : rows[i]; };
  if (columns_.size() == 1) {
    const Column& mine = table_->column(columns_[0]);
    batch::with_values(mine, [&](const auto* values) {
      using T = std::remove_cvref_t<decltype(*values)>;
      const T* theirs = keys[0].as<T>();
      probe(
          hashes, present, n, matches,
          [&](size_t i, uint32_t row) { return batch::same_key(theirs[row_of(i)], values[row]); },
          [&](uint32_t row) { __builtin_prefetch(&values[row]); });
    });
    return;
  }
  probe(
      hashes, present, n, matches,
      [&](size_t i, uint32_t row) {
        for (size_t k = 0; k < columns_.size(); ++k) {
          if (!same_key(keys[k], row_of(i), table_->column(columns_[k]), row)) return false;
        }
        return true;
      },
      [&](uint32_t row) {
        const Column& first = table_->column(columns_[0]);
        __builtin_prefetch(first.as<uint8_t>() + size_t{row} * octets_per_value(batch::physical(first.type)));
      });
}

void KeyIndex::find(const Column* keys, const uint32_t* rows, size_t n, uint32_t* matches) const {
  for (size_t k = 0; k < columns_.size(); ++k) {
    assert(batch::physical(keys[k].type) == batch::physical(table_->column(columns_[k]).type));
  }
  uint32_t numbers[kBlockRows];
  for (size_t at = 0; at < n; at += kBlockRows) {
    const size_t block = std::min(kBlockRows, n - at);
    if (rows == nullptr && at > 0) {
      for (size_t i = 0; i < block; ++i) numbers[i] = static_cast<uint32_t>(at + i);
      find_block(keys, numbers, block, matches + at);
    } else {
      find_block(keys, rows == nullptr ? nullptr : rows + at, block, matches + at);
    }
  }
}

}  // namespace backstream::lookup
