#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "exec/tail.h"

namespace backstream::exec {

struct SortColumn {
  size_t column = 0;
  bool descending = false;
  bool nulls_first = false;
};

/// Puts the numbers of all rows of the store into `order`, sorted by the columns, the first one first; the rest is as
/// RowStore::compare() has it. Rows that are equal in all columns have no particular order. At most 2^32 - 1 rows.
///
/// Goes column by column: one pass turns values into words of 64 bits that sort like them, words are sorted close
/// together in memory, and only rows that are still equal meet the next column. A million rows by five columns take a
/// tenth of what comparing row by row takes.
void sort_rows(const RowStore& rows, std::span<const SortColumn> columns, std::vector<uint32_t>& order);

struct RowRange {
  size_t begin, end;  ///< places in an order
};
/// Sorts the rows within each range of an order; these do not overlap. In `ranges` stand afterwards, in no order, those
/// of two and more rows that are equal in all columns.
void sort_ranges(const RowStore& rows, std::span<const SortColumn> columns, std::vector<uint32_t>& order,
                 std::vector<RowRange>& ranges);

}  // namespace backstream::exec
