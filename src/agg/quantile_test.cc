// approx_percentile, percentile_cont, percentile_disc.
#include <cmath>
#include <limits>

#include "agg/group_test.h"

namespace backstream::agg {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void add_sketch(Group& group, const std::vector<double>& values, double fraction) {
  const std::vector<double> fractions(values.size(), fraction);
  group.add_columns({column_of(Type::kFloat8, values), column_of(Type::kFloat8, fractions)}, values.size());
}
const AggregateFunction& sketch() { return function("approx_percentile", {Type::kFloat8, Type::kFloat8}); }

TEST(ApproxPercentile, IsWithinOnePercentOfTheValueOfItsRank) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> exponent(-1, 3);  // 13 octaves: fewer than 2048 buckets
  for (const int shape : {0, 1, 2}) {
    std::vector<double> values;
    for (int i = 0; i < 5000; ++i) {
      const double magnitude = std::pow(10.0, exponent(random));
      if (shape == 0) values.push_back(static_cast<double>(40 + random() % 1461));  // packet sizes
      if (shape == 1) values.push_back(random() % 2 ? magnitude : -magnitude);
      if (shape == 2) values.push_back(random() % 3 ? 0.0 : magnitude);
    }
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    for (const double fraction : {0.0, 0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
      Group group(sketch());
      add_sketch(group, values, fraction);
      const double truth = sorted[static_cast<size_t>(fraction * 4999)];
      EXPECT_LE(std::abs(group.result<double>() - truth), 0.01 * std::abs(truth)) << shape << ' ' << fraction;
    }
  }
}

TEST(ApproxPercentile, IsExactForOneValueAndAtTheEnds) {
  for (const double fraction : {0.0, 0.5, 1.0}) {
    Group group(sketch());
    EXPECT_TRUE(group.is_null());
    add_sketch(group, {1500, 1500, 1500}, fraction);
    EXPECT_EQ(group.result<double>(), 1500.0);
  }
  Group least(sketch()), greatest(sketch());
  add_sketch(least, {-3.3, 7, 1e9}, 0);
  add_sketch(greatest, {-3.3, 7, 1e9}, 1);
  EXPECT_EQ(least.result<double>(), -3.3);
  EXPECT_EQ(greatest.result<double>(), 1e9);
}

TEST(ApproxPercentile, OrdersInfinitiesNanAndTinyValues) {
  const std::vector<double> values{-kInfinity, -1e-310, 0, 1e-310, kInfinity, kInfinity, std::nan(""), std::nan("")};
  const auto at = [&](double fraction) {
    Group group(sketch());
    add_sketch(group, values, fraction);
    return group.result<double>();
  };
  EXPECT_EQ(at(0), -kInfinity);
  EXPECT_EQ(at(0.3), 0.0);
  EXPECT_EQ(at(0.6), kInfinity);
  EXPECT_TRUE(std::isnan(at(1)));
}

TEST(ApproxPercentile, SplitIsWhole) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    std::vector<double> values;
    // Every fourth seed has more buckets than are kept.
    const bool many = seed % 4 == 0;
    const size_t count = many ? 9000 : random() % 500;
    for (size_t i = 0; i < count; ++i) {
      const double mantissa = 1 + static_cast<double>(random() % 64) / 64;
      const double value = std::ldexp(mantissa, static_cast<int>(random() % (many ? 200 : 20)));
      values.push_back(random() % 3 == 0 ? -value : random() % 9 == 0 ? 0.0 : value);
    }
    const double fraction = static_cast<double>(random() % 101) / 100;
    Group whole(sketch());
    add_sketch(whole, values, fraction);
    const auto merged = combined_at_random(
        sketch(), values.size(), random, [&](Group& group, size_t row) { add_sketch(group, {values[row]}, fraction); });
    EXPECT_EQ(merged->encode(), whole.encode()) << "seed " << seed;
    EXPECT_EQ(merged->result<double>(), whole.result<double>()) << "seed " << seed;
  }
}

TEST(ApproxPercentile, KeepsTheBucketsFarthestFromZero) {
  // 128 octaves of 64 buckets; the upper 32 octaves are kept, what is nearer to 0 counts as 0.
  std::vector<double> values;
  for (int octave = 0; octave < 128; ++octave) {
    for (int part = 0; part < 64; ++part) values.push_back(std::ldexp(1 + part / 64.0, octave));
  }
  Group high(sketch()), low(sketch());
  add_sketch(high, values, 0.9);
  EXPECT_NEAR(high.result<double>(), values[static_cast<size_t>(0.9 * 8191)], 0.01 * values[7371]);
  add_sketch(low, values, 0.5);
  EXPECT_EQ(low.result<double>(), 1.0) << "0, but not below the least value";
}

TEST(ApproxPercentile, GoldenBytes) {
  Group group(sketch());
  EXPECT_EQ(hex(group.encode()), "00");
  add_sketch(group, {1500, -2, 0, 40, 1500}, 0.95);
  EXPECT_EQ(hex(group.encode()), "05666666666666ee3f00000000000000c000000000007097400103ffff0701a08410019a0502");
  expect_decode_is_careful(sketch(), group.encode(), 5);
}

// --- exact ----------------------------------------------------------------------------------------------------------

template <typename Value>
void add_values(Group& group, Type type, const std::vector<Value>& values, double fraction) {
  const std::vector<double> fractions(values.size(), fraction);
  group.add_columns({column_of(Type::kFloat8, fractions), column_of(type, values)}, values.size());
}
const AggregateFunction& exact(const char* name, Type type, bool descending = false) {
  return function(name, {Type::kFloat8, type}, descending ? CallForm::kWithinGroupDescending : CallForm::kWithinGroup);
}

TEST(PercentileCont, InterpolatesAsPostgresDoes) {
  // SELECT percentile_cont(f) WITHIN GROUP (ORDER BY x) FROM (VALUES (1), (2), (4), (8)) AS t(x)
  const std::vector<std::pair<double, double>> expected{{0, 1}, {0.25, 1.75}, {0.5, 3}, {0.75, 5}, {0.9, 6.8}, {1, 8}};
  for (const auto& [fraction, value] : expected) {
    Group group(exact("percentile_cont", Type::kFloat8));
    EXPECT_TRUE(group.is_null());
    add_values<double>(group, Type::kFloat8, {8, 1, 4, 2}, fraction);
    EXPECT_DOUBLE_EQ(group.result<double>(), value) << fraction;
    Group descending(exact("percentile_cont", Type::kFloat8, true));
    add_values<double>(descending, Type::kFloat8, {8, 1, 4, 2}, 1 - fraction);
    EXPECT_DOUBLE_EQ(descending.result<double>(), value) << fraction;
  }
}

TEST(PercentileDisc, IsAValueOfTheGroup) {
  // SELECT percentile_disc(f) WITHIN GROUP (ORDER BY x) FROM (VALUES (10), (20), (30), (40)) AS t(x)
  const std::vector<std::pair<double, int64_t>> expected{{0, 10},   {0.25, 10}, {0.26, 20},
                                                         {0.5, 20}, {0.75, 30}, {1, 40}};
  for (const auto& [fraction, value] : expected) {
    Group group(exact("percentile_disc", Type::kInt4));
    add_values<int64_t>(group, Type::kInt4, {30, 10, 40, 20}, fraction);
    EXPECT_EQ(group.result<int64_t>(), value) << fraction;
  }
  Group descending(exact("percentile_disc", Type::kInt4, true));
  add_values<int64_t>(descending, Type::kInt4, {30, 10, 40, 20}, 0.25);
  EXPECT_EQ(descending.result<int64_t>(), 40);
}

TEST(PercentileDisc, OfOtherTypes) {
  Group text(exact("percentile_disc", Type::kText));
  {
    const std::string moving[] = {"pear", "apple", "fig"};
    add_values<std::string_view>(text, Type::kText, {moving[0], moving[1], moving[2]}, 0.5);
  }
  EXPECT_EQ(text.result<std::string_view>(), "fig");
  Group address(exact("percentile_disc", Type::kInet));
  add_values<base::Inet>(address, Type::kInet, {base::Inet::v6(0, 1), base::Inet::v4(9), base::Inet::v4(200)}, 1);
  EXPECT_EQ(address.result<base::Inet>(), base::Inet::v6(0, 1));
  Group flag(exact("percentile_disc", Type::kBool));
  add_values<uint8_t>(flag, Type::kBool, {1, 0, 1}, 0.5);
  EXPECT_EQ(flag.result<uint8_t>(), 1);
  Group nan(exact("percentile_disc", Type::kFloat8));
  add_values<double>(nan, Type::kFloat8, {std::nan(""), kInfinity, -1}, 1);
  EXPECT_TRUE(std::isnan(nan.result<double>()));
}

TEST(PercentileExact, SplitIsWhole) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    std::vector<double> values;
    std::vector<std::string> owned;
    std::vector<std::string_view> texts;
    std::vector<base::Interval> intervals;
    const size_t count = random() % 300;
    for (size_t i = 0; i < count; ++i) {
      values.push_back(random() % 20 == 0 ? (random() % 2 ? 0.0 : -0.0) : static_cast<double>(random() % 100) / 8);
      owned.push_back(std::string(random() % 12, static_cast<char>('a' + random() % 3)));
      // Equal lengths that are not the same: 1 day, 24 hours.
      intervals.push_back(random() % 2 ? base::Interval{0, 1, 0} : base::Interval{86'400'000'000, 0, 0});
    }
    texts.assign(owned.begin(), owned.end());
    const double fraction = static_cast<double>(random() % 101) / 100;
    const auto check = [&]<typename Value>(const AggregateFunction& f, Type type, const std::vector<Value>& all) {
      Group whole(f);
      add_values(whole, type, all, fraction);
      const auto merged = combined_at_random(f, all.size(), random, [&](Group& group, size_t row) {
        add_values<Value>(group, type, {all[row]}, fraction);
      });
      EXPECT_EQ(merged->encode(), whole.encode()) << f.name << " seed " << seed;
      EXPECT_EQ(merged->template result<Value>(), whole.template result<Value>()) << f.name << " seed " << seed;
    };
    check(exact("percentile_cont", Type::kFloat8, seed % 2), Type::kFloat8, values);
    check(exact("percentile_disc", Type::kFloat8), Type::kFloat8, values);
    check(exact("percentile_disc", Type::kText), Type::kText, texts);
    check(exact("percentile_disc", Type::kInterval), Type::kInterval, intervals);
  }
}

TEST(PercentileExact, BeyondTheCapIsNullAndCountedForAnyDeal) {
  const std::vector<int64_t> most(kValuesPerGroupMax, 7);
  Group full(exact("percentile_disc", Type::kInt8)), over(exact("percentile_disc", Type::kInt8));
  add_values(full, Type::kInt8, most, 0.5);
  EXPECT_EQ(full.result<int64_t>(), 7);
  EXPECT_EQ(full.capped(), 0u);
  over.combine(full);
  add_values<int64_t>(over, Type::kInt8, {1}, 0.5);
  EXPECT_TRUE(over.is_null());
  EXPECT_EQ(over.capped(), 1u);
  EXPECT_EQ(over.overflows(), 0u);
  // One more row first, then the rest: the same bytes.
  Group other(exact("percentile_disc", Type::kInt8)), arrived(exact("percentile_disc", Type::kInt8));
  add_values<int64_t>(other, Type::kInt8, {1}, 0.5);
  const auto bytes = full.encode();
  ASSERT_EQ(arrived.decode(bytes), bytes.size());
  other.combine(arrived);
  EXPECT_EQ(other.encode(), over.encode());
  add_values(over, Type::kInt8, most, 0.5);
  EXPECT_TRUE(over.is_null());
}

TEST(PercentileExact, GoldenBytes) {
  Group group(exact("percentile_disc", Type::kInt8));
  EXPECT_EQ(hex(group.encode()), "00");
  add_values<int64_t>(group, Type::kInt8, {300, -1, 7}, 0.5);
  EXPECT_EQ(hex(group.encode()), "03000000000000e03f010ed804");
  expect_decode_is_careful(exact("percentile_disc", Type::kInt8), group.encode(), 6);
  Group text(exact("percentile_disc", Type::kText));
  add_values<std::string_view>(text, Type::kText, {"b", "", "ab"}, 0.5);
  EXPECT_EQ(hex(text.encode()), "03000000000000e03f000261620162");
  expect_decode_is_careful(exact("percentile_disc", Type::kText), text.encode(), 7);
}

}  // namespace
}  // namespace backstream::agg
