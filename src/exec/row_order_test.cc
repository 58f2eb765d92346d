#include "exec/row_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>

namespace backstream::exec {
namespace {

using batch::Type;

const std::vector<Type> kTypes = {Type::kBool, Type::kInt8, Type::kFloat8,   Type::kText,
                                  Type::kInet, Type::kCidr, Type::kInterval, Type::kTimestamptz};

/// Values that are near each other, so that many are equal, or equal as far as a word goes.
class Rows {
 public:
  Rows(size_t count, uint32_t seed) : random_(seed), buffer_(kTypes, std::vector<bool>(kTypes.size(), true), count) {
    constexpr double kDoubles[] = {0.0,
                                   -0.0,
                                   1.5,
                                   -1.5,
                                   std::numeric_limits<double>::infinity(),
                                   -std::numeric_limits<double>::infinity(),
                                   std::numeric_limits<double>::quiet_NaN(),
                                   1e-310};
    texts_ = {"", "a", "ab", std::string("ab\0", 3), "abcdefg", "abcdefgh", "abcdefgi", "abcdefgha", "\xff", "b"};
    batch::ColumnBatch& batch = buffer_.batch;
    batch.row_count = count;
    for (size_t c = 0; c < kTypes.size(); ++c) batch.columns[c].has_nulls = true;
    for (size_t row = 0; row < count; ++row) {
      for (batch::Column& column : batch.columns) column.validity[row] = below(8) != 0;
      batch.columns[0].as<uint8_t>()[row] = static_cast<uint8_t>(below(2));
      batch.columns[1].as<int64_t>()[row] =
          below(50) == 0 ? std::numeric_limits<int64_t>::min() : static_cast<int64_t>(below(7)) - 3;
      batch.columns[2].as<double>()[row] = kDoubles[below(std::size(kDoubles))];
      batch.columns[3].as<std::string_view>()[row] = texts_[below(texts_.size())];
      batch.columns[4].as<base::Inet>()[row] = inet();
      batch.columns[5].as<base::Inet>()[row] = inet().network();
      batch.columns[6].as<base::Interval>()[row] = {static_cast<int32_t>(below(2)), static_cast<int32_t>(below(31)), 0};
      batch.columns[7].as<int64_t>()[row] = static_cast<int64_t>(below(1000));
    }
  }
  const batch::ColumnBatch& batch() const { return buffer_.batch; }
  size_t below(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }

 private:
  base::Inet inet() {
    const auto bits = static_cast<uint8_t>(below(4) == 0 ? below(33) : 32);
    if (below(3) != 0) return base::Inet::v4(0x0a000000 + static_cast<uint32_t>(below(3) << 22 | below(3)), bits);
    const uint64_t low = below(3);
    return base::Inet::v6(0x20010db800000000 + (below(2) << 40), low,
                          static_cast<uint8_t>(bits == 32 ? 128 : 4 * bits));
  }

  std::mt19937 random_;
  std::vector<std::string> texts_;
  batch::BatchBuffer buffer_;
};

TEST(RowOrder, IsThatOfComparingRowByRow) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    Rows rows(seed % 5 == 0 ? 40 : 3000, seed);
    RowStore store(kTypes);
    store.append(rows.batch());
    std::vector<SortColumn> columns;
    std::vector<size_t> places(kTypes.size());
    std::iota(places.begin(), places.end(), size_t{0});
    std::shuffle(places.begin(), places.end(), std::mt19937(seed));
    places.resize(1 + rows.below(places.size()));
    for (const size_t column : places) columns.push_back({column, rows.below(2) == 0, rows.below(2) == 0});
    const auto compare = [&](uint32_t a, uint32_t b) {
      for (const SortColumn& by : columns) {
        const int c = store.compare(by.column, a, b);
        if (c == 0) continue;
        const bool null = store.is_null(by.column, a) || store.is_null(by.column, b);
        return (null ? by.nulls_first : by.descending) ? -c : c;
      }
      return 0;
    };
    std::vector<uint32_t> order, wanted(store.row_count());
    sort_rows(store, columns, order);
    std::iota(wanted.begin(), wanted.end(), 0u);
    std::stable_sort(wanted.begin(), wanted.end(), [&](uint32_t a, uint32_t b) { return compare(a, b) < 0; });
    ASSERT_EQ(order.size(), wanted.size());
    for (size_t i = 0; i < order.size(); ++i)
      ASSERT_EQ(compare(order[i], wanted[i]), 0) << "seed " << seed << " place " << i;
    std::sort(order.begin(), order.end());
    for (size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], i) << "seed " << seed;
  }
}

TEST(RowOrder, NoRowsAndNoColumns) {
  RowStore store(kTypes);
  std::vector<uint32_t> order = {7};
  sort_rows(store, std::vector<SortColumn>{{1}}, order);
  EXPECT_TRUE(order.empty());
  store.append(Rows(30, 1).batch());
  sort_rows(store, {}, order);
  EXPECT_EQ(order.size(), 30u);
}

}  // namespace
}  // namespace backstream::exec
