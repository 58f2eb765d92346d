#include <cmath>
#include <map>

#include "agg/group_test.h"

namespace backstream::agg {
namespace {

TEST(Entropy, OfKnownDistributions) {
  Group nothing(function("entropy", Type::kInt8));
  EXPECT_TRUE(nothing.is_null());
  Group one(function("entropy", Type::kInt8));
  one.add(std::vector<int64_t>{5, 5, 5});
  EXPECT_EQ(one.result<double>(-1), 0.0);
  Group alike(function("entropy", Type::kInt4));
  alike.add(std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(alike.result<double>(), 3.0);
  Group halves(function("entropy", Type::kText));
  halves.add(std::vector<std::string_view>{"a", "a", "b", "c", "", ""}, {1, 1, 1, 1, 0, 0});
  EXPECT_EQ(halves.result<double>(), 1.5);
}

TEST(Entropy, AgreesWithASumInLongDouble) {
  std::mt19937 random(6);
  std::vector<int64_t> values;
  std::map<int64_t, int> counts;
  for (int i = 0; i < 5000; ++i) {
    values.push_back(static_cast<int64_t>(random() % (1 + random() % 300)));
    ++counts[values.back()];
  }
  long double expected = 0;
  for (const auto& [value, count] : counts) expected -= count / 5000.0L * std::log2(count / 5000.0L);
  Group group(function("entropy", Type::kInt8));
  group.add(values);
  EXPECT_NEAR(group.result<double>(), static_cast<double>(expected), 1e-12);
}

TEST(Entropy, OfWeightsIsThatOfAsManyRows) {
  const std::vector<int64_t> keys{1, 2, 1, 3, 9}, weights{3, 4, 1, 8, 0};
  Group weighted(function("entropy", {Type::kInt8, Type::kInt8}));
  weighted.add_columns({column_of(Type::kInt8, keys), column_of(Type::kInt8, weights)}, keys.size());
  Group rows(function("entropy", Type::kInt8));
  rows.add(std::vector<int64_t>{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3});
  EXPECT_EQ(weighted.result<double>(), rows.result<double>());
  EXPECT_EQ(weighted.result<double>(), 1.5);
}

TEST(Entropy, RefusesNegativeAndTooGreatWeights) {
  for (const std::vector<int64_t>& weights : {std::vector<int64_t>{1, -1}, {INT64_MAX, 5}}) {
    const std::vector<int64_t> keys{1, 1};
    Group group(function("entropy", {Type::kInt8, Type::kInt8}));
    group.add_columns({column_of(Type::kInt8, keys), column_of(Type::kInt8, weights)}, 2);
    EXPECT_TRUE(group.is_null());
    const bool negative = weights[1] < 0;
    EXPECT_EQ(group.negative_weights(), negative ? 1u : 0u);
    EXPECT_EQ(group.overflows(), negative ? 0u : 1u);
  }
}

TEST(Entropy, BeyondTheCapIsNullAndCountedForAnyDeal) {
  std::vector<int64_t> values;
  for (uint64_t i = 0; i < kValuesPerGroupMax; ++i) values.push_back(static_cast<int64_t>(i));
  Group full(function("entropy", Type::kInt8)), over(function("entropy", Type::kInt8));
  full.add(values);
  EXPECT_NEAR(full.result<double>(), std::log2(1e5), 1e-9);
  over.add(std::vector<int64_t>{-1, 5});
  over.combine(full);
  EXPECT_TRUE(over.is_null());
  EXPECT_EQ(over.capped(), 1u);
  full.add(std::vector<int64_t>{5, -1});
  EXPECT_EQ(full.encode(), over.encode());
  over.add(values);
  EXPECT_TRUE(over.is_null());
}

TEST(Entropy, SplitIsWhole) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<int64_t> integers;
    std::vector<double> doubles;
    std::vector<base::Inet> addresses;
    const size_t count = random() % 400;
    for (size_t i = 0; i < count; ++i) {
      integers.push_back(static_cast<int64_t>(random() % 90));
      doubles.push_back(static_cast<double>(random() % 50) - 25);
      addresses.push_back(base::Inet::v4(static_cast<uint32_t>(random() % 40), static_cast<uint8_t>(random() % 33)));
    }
    expect_split_is_whole<double>(function("entropy", Type::kInt8), integers, seed);
    expect_split_is_whole<double>(function("entropy", Type::kFloat8), doubles, seed);
    expect_split_is_whole<double>(function("entropy", Type::kInet), addresses, seed);
  }
}

TEST(Entropy, GoldenBytes) {
  Group group(function("entropy", Type::kInt8));
  EXPECT_EQ(hex(group.encode()), "0000");
  group.add(std::vector<int64_t>{6, 80, 6});
  EXPECT_EQ(hex(group.encode()), "000206024a01");
  expect_decode_is_careful(function("entropy", Type::kInt8), group.encode(), 10);
  Group text(function("entropy", Type::kText));
  text.add(std::vector<std::string_view>{"b", "a", "b"});
  EXPECT_EQ(hex(text.encode()),
            "00020161010162"
            "02");
  expect_decode_is_careful(function("entropy", Type::kText), text.encode(), 11);
}

}  // namespace
}  // namespace backstream::agg
