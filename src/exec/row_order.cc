#include "exec/row_order.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string_view>

#include "base/byte_order.h"
#include "base/inet.h"

namespace backstream::exec {
namespace {

using batch::Column;
using batch::Physical;

/// Ranges below this are sorted by comparing rows: making words costs more there.
constexpr size_t kSmall = 24;
/// From so many items on they are sorted by octets: counting takes its time, too.
constexpr size_t kByOctetsMin = 1024;
constexpr uint64_t kTopBit = uint64_t{1} << 63;

/// A word that sorts like the value: where words differ, they are in the order of the values; where they are equal,
/// the values are equal if both words are exact.
struct Word {
  uint64_t value;
  bool exact;
};

Word word_of(int64_t value) { return {static_cast<uint64_t>(value) ^ kTopBit, true}; }

Word word_of(double value) {  // NaN is equal to itself and above all, -0 is 0.
  if (std::isnan(value)) return {~uint64_t{0}, true};
  const auto bits = std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);
  return {(bits & kTopBit) != 0 ? ~bits : bits | kTopBit, true};
}

Word word_of(std::string_view text) {  // Seven octets, then the length: "a" comes before "a\0".
  uint8_t octets[8] = {};
  if (!text.empty()) std::memcpy(octets, text.data(), std::min<size_t>(text.size(), 7));
  octets[7] = text.size() <= 7 ? static_cast<uint8_t>(text.size()) : 0xff;
  return {base::load_be64(octets), text.size() <= 7};
}

/// PostgreSQL orders by the bits that both prefixes have, then by length, then by the whole address. The network's
/// address and then the length give the same order: of two prefixes that agree as far as both go, the shorter has zeros
/// where the longer goes on.
Word word_of(const base::Inet& inet) {
  const base::Inet network = inet.network();
  if (inet.family == 6) return {kTopBit | network.hi >> 1, false};
  return {network.hi >> 32 << 6 | inet.prefix_bits, inet.family == 4 && network.hi == inet.hi};
}

struct Item {
  uint64_t word;
  uint32_t row;
};
using Range = RowRange;

/// By octets of the word, least first, leaving out those that all words have in common: counts and octets of traffic
/// differ in a few only. `other` is scratch.
void sort_by_octets(std::vector<Item>& items, std::vector<Item>& other) {
  constexpr size_t kOctets = 8, kValues = 256;
  uint32_t counts[kOctets][kValues] = {};
  for (const Item& item : items) {
    for (size_t octet = 0; octet < kOctets; ++octet) ++counts[octet][item.word >> (8 * octet) & 0xff];
  }
  other.resize(items.size());
  for (size_t octet = 0; octet < kOctets; ++octet) {
    const auto value_of = [octet](const Item& item) { return item.word >> (8 * octet) & 0xff; };
    if (counts[octet][value_of(items.front())] == items.size()) continue;
    uint32_t at[kValues], next = 0;
    for (size_t value = 0; value < kValues; ++value) {
      at[value] = next;
      next += counts[octet][value];
    }
    for (const Item& item : items) other[at[value_of(item)]++] = item;
    items.swap(other);
  }
}

class Sorter {
 public:
  Sorter(const RowStore& rows, std::span<const SortColumn> columns, std::vector<uint32_t>& order)
      : rows_(rows), columns_(columns), order_(order) {}

  /// Leaves in `ranges` what is equal in all columns.
  void sort(std::vector<Range>& ranges) {
    for (at_ = 0; at_ < columns_.size() && !ranges.empty(); ++at_) {
      column_ = rows_.slice(columns_[at_].column, 0);
      equal_.clear();
      for (const Range& range : ranges) {
        if (range.end - range.begin < kSmall) compare_rows(range);
        else split(range);
      }
      ranges.swap(equal_);
    }
    ranges.insert(ranges.end(), all_equal_.begin(), all_equal_.end());
  }

 private:
  bool before(uint32_t a, uint32_t b) const {
    for (size_t c = at_; c < columns_.size(); ++c) {
      const SortColumn& by = columns_[c];
      const int result = rows_.compare(by.column, a, b);  // nulls above all
      if (result == 0) continue;
      const bool involves_null = rows_.is_null(by.column, a) || rows_.is_null(by.column, b);
      return (involves_null ? by.nulls_first : by.descending) ? result > 0 : result < 0;
    }
    return false;
  }
  /// Sorts rows that are equal in the columns before this one by this and all that follow.
  void compare_rows(const Range& range) {
    std::sort(order_.begin() + static_cast<long>(range.begin), order_.begin() + static_cast<long>(range.end),
              [this](uint32_t a, uint32_t b) { return before(a, b); });
    for (size_t first = range.begin, last; first < range.end; first = last) {
      last = first + 1;
      while (last < range.end && !before(order_[first], order_[last])) ++last;
      if (last - first > 1) all_equal_.push_back({first, last});
    }
  }

  void keep_equal(const Range& range) {
    if (range.end - range.begin > 1) equal_.push_back(range);
  }

  /// Sorts by this column, and keeps what is equal in it for the next.
  void split(const Range& range) {
    const auto begin = order_.begin() + static_cast<long>(range.begin),
               end = order_.begin() + static_cast<long>(range.end);
    const bool nulls_first = columns_[at_].nulls_first;
    const auto middle =
        std::partition(begin, end, [&](uint32_t row) { return (column_.validity[row] == 0) == nulls_first; });
    const size_t border = static_cast<size_t>(middle - order_.begin());
    const Range nulls = nulls_first ? Range{range.begin, border} : Range{border, range.end};
    const Range values = nulls_first ? Range{border, range.end} : Range{range.begin, border};
    keep_equal(nulls);
    if (values.end == values.begin) return;
    switch (batch::physical(column_.type)) {
      case Physical::kByte: return split_values(values, column_.as<uint8_t>(), [](uint8_t v) { return Word{v, true}; });
      case Physical::kInt64: return split_values(values, column_.as<int64_t>(), [](int64_t v) { return word_of(v); });
      case Physical::kDouble: return split_values(values, column_.as<double>(), [](double v) { return word_of(v); });
      case Physical::kText:
        return split_values(values, column_.as<std::string_view>(), [](std::string_view v) { return word_of(v); });
      case Physical::kInet:
        return split_values(values, column_.as<base::Inet>(), [](const base::Inet& v) { return word_of(v); });
      case Physical::kInterval: return compare_rows(values);
    }
  }

  template <typename Value, typename ToWord>
  void split_values(const Range& range, const Value* values, ToWord&& to_word) {
    const size_t n = range.end - range.begin;
    items_.resize(n);
    const uint64_t flip = columns_[at_].descending ? ~uint64_t{0} : 0;
    bool exact = true, sorted = true;
    for (size_t i = 0; i < n; ++i) {
      const uint32_t row = order_[range.begin + i];
      const Word word = to_word(values[row]);
      items_[i] = {word.value ^ flip, row};
      exact &= word.exact;
      sorted &= i == 0 || items_[i - 1].word <= items_[i].word;
    }
    if (!sorted) {
      if (n >= kByOctetsMin) sort_by_octets(items_, other_);
      else std::sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) { return a.word < b.word; });
      for (size_t i = 0; i < n; ++i) order_[range.begin + i] = items_[i].row;
    }
    for (size_t first = 0, last; first < n; first = last) {
      last = first + 1;
      while (last < n && items_[last].word == items_[first].word) ++last;
      const Range group{range.begin + first, range.begin + last};
      if (last - first == 1) continue;
      if (exact || equal_here(group)) keep_equal(group);
      else compare_rows(group);
    }
  }

  bool equal_here(const Range& range) const {
    for (size_t i = range.begin + 1; i < range.end; ++i) {
      if (rows_.compare(columns_[at_].column, order_[range.begin], order_[i]) != 0) return false;
    }
    return true;
  }

  const RowStore& rows_;
  const std::span<const SortColumn> columns_;
  std::vector<uint32_t>& order_;
  size_t at_ = 0;  ///< the column that is sorted by
  Column column_;
  std::vector<Range> equal_;      ///< in all columns up to this one
  std::vector<Range> all_equal_;  ///< in all columns, found by comparing rows
  std::vector<Item> items_, other_;
};

}  // namespace

void sort_rows(const RowStore& rows, std::span<const SortColumn> columns, std::vector<uint32_t>& order) {
  order.resize(rows.row_count());
  std::iota(order.begin(), order.end(), 0u);
  std::vector<RowRange> ranges;
  if (order.size() > 1) ranges.push_back({0, order.size()});
  Sorter(rows, columns, order).sort(ranges);
}

void sort_ranges(const RowStore& rows, std::span<const SortColumn> columns, std::vector<uint32_t>& order,
                 std::vector<RowRange>& ranges) {
  std::erase_if(ranges, [](const RowRange& range) { return range.end - range.begin < 2; });
  Sorter(rows, columns, order).sort(ranges);
}

}  // namespace backstream::exec
