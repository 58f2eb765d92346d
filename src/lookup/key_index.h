#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "lookup/table.h"

namespace backstream::lookup {

/// A hash index over one or more columns of a table: rows by equal key, as SQL's = finds them (null equals nothing; NaN
/// equals NaN, -0 equals 0; inet and cidr by address and length; intervals by length). An entry is 8 octets, as in
/// exec::GroupTable: the upper half of the hash and the row. Immutable; any thread.
class KeyIndex {
 public:
  enum class Keys : uint8_t {
    kAny,     ///< null keys are in no match, equal keys are chained
    kUnique,  ///< a null or repeated key is refused: a primary key
  };

  /// @param columns    column indexes of `table`, at least one
  /// @param wrong_row  when given: the row that was refused (of two equal keys the later one)
  /// Errors: "23505" for a repeated key, "23502" for a null one.
  static base::Result<KeyIndex> build(std::shared_ptr<const Table> table, std::vector<uint32_t> columns, Keys keys,
                                      uint32_t* wrong_row = nullptr);

  /// The first row with the key of each of n rows, or kNoRow. No allocation; the index and then the table's values are
  /// fetched ahead.
  /// @param keys     one column for each key column, in the order of columns(), of the same physical form (asserted)
  /// @param rows     n row numbers of `keys`; null: 0 .. n-1
  /// @param matches  out: n row numbers of the table
  void find(const batch::Column* keys, const uint32_t* rows, size_t n, uint32_t* matches) const;

  /// The next row with the same key as `row`, in the order of the table, or kNoRow. All matches of a key:
  ///   for (uint32_t row = matches[i]; row != kNoRow; row = index.next(row)) ...
  uint32_t next(uint32_t row) const { return next_.empty() ? kNoRow : next_[row]; }
  /// True when no key is there twice, so that a join gives at most one row for each row that it reads.
  bool unique() const { return next_.empty(); }

  const std::vector<uint32_t>& columns() const { return columns_; }
  const Table& table() const { return *table_; }
  /// Octets of the index itself.
  size_t octets_held() const { return index_.size() * sizeof(uint64_t) + next_.size() * sizeof(uint32_t); }

 private:
  KeyIndex() = default;
  template <typename Same, typename Prefetch>
  void probe(const uint64_t* hashes, const uint8_t* present, size_t n, uint32_t* matches, Same same,
             Prefetch prefetch) const;
  void find_block(const batch::Column* keys, const uint32_t* rows, size_t n, uint32_t* matches) const;

  std::shared_ptr<const Table> table_;
  std::vector<uint32_t> columns_;
  std::vector<uint64_t> index_;  ///< hash >> 32 << 32 | row + 1; 0: free. A power of two of them, at most 3/4 used.
  unsigned shift_ = 0;           ///< the slot of a hash is hash >> shift_
  std::vector<uint32_t> next_;   ///< by row; empty when keys are unique
};

}  // namespace backstream::lookup
