#include <cmath>
#include <limits>

#include "agg/group_test.h"

namespace backstream::agg {
namespace {

const char* const kNames[] = {"stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop"};

/// Two passes in long double over values that are shifted by the first: good to about 1e-15.
long double variance_of(const std::vector<double>& values, bool sample) {
  long double mean = 0;
  for (const double v : values) mean += static_cast<long double>(v) - values[0];
  mean /= static_cast<long double>(values.size());
  long double sum = 0;
  for (const double v : values) {
    const long double deviation = static_cast<long double>(v) - values[0] - mean;
    sum += deviation * deviation;
  }
  return sum / static_cast<long double>(values.size() - (sample ? 1 : 0));
}
double expected(std::string_view name, const std::vector<double>& values) {
  const long double variance = variance_of(values, name != "stddev_pop" && name != "var_pop");
  return static_cast<double>(name.starts_with("stddev") ? std::sqrt(variance) : variance);
}

TEST(Variance, OfIntegersAgreesWithTwoPasses) {
  std::mt19937_64 random(1);
  for (const int64_t width : {2, 1000, 1'000'000'000}) {
    std::vector<int64_t> values;
    std::vector<double> doubles;
    for (int i = 0; i < 200; ++i) {
      values.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(width)) - width / 3);
      doubles.push_back(static_cast<double>(values.back()));
    }
    for (const char* name : kNames) {
      Group group(function(name, Type::kInt8));
      group.add(values);
      EXPECT_NEAR(group.result<double>(), expected(name, doubles), 1e-14 * expected(name, doubles)) << name;
      Group of_doubles(function(name, Type::kFloat8));
      of_doubles.add(doubles);
      EXPECT_NEAR(of_doubles.result<double>(), expected(name, doubles), 1e-14 * expected(name, doubles)) << name;
    }
  }
}

TEST(Variance, DoesNotCancel) {
  // 4, 7, 13, 16 have variance 30; shifted far, a formula in doubles loses all of it.
  const int64_t far = int64_t{1} << 62;
  Group integers(function("var_samp", Type::kInt8));
  integers.add(std::vector<int64_t>{far + 4, far + 7, far + 13, far + 16});
  EXPECT_EQ(integers.result<double>(), 30.0);
  Group doubles(function("var_samp", Type::kFloat8));
  doubles.add(std::vector<double>{1e15 + 4, 1e15 + 7, 1e15 + 13, 1e15 + 16});
  EXPECT_EQ(doubles.result<double>(), 30.0);
  Group tenths(function("stddev_pop", Type::kFloat8));
  tenths.add(std::vector<double>(7, 0.1));
  EXPECT_EQ(tenths.result<double>(-1), 0.0);
  Group extremes(function("var_pop", Type::kInt8));
  extremes.add(std::vector<int64_t>{std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()});
  EXPECT_EQ(extremes.result<double>(), std::ldexp(1.0, 126));  // (2^64 - 1)² / 4, rounded
}

TEST(Variance, OfNothingAndOfOneFollowsPostgres) {
  for (const Type type : {Type::kInt4, Type::kFloat8}) {
    for (const char* name : kNames) {
      Group group(function(name, type));
      EXPECT_TRUE(group.is_null()) << name;
      if (type == Type::kFloat8) group.add(std::vector<double>{5.5});
      else group.add(std::vector<int64_t>{5});
      const bool population = std::string_view(name).ends_with("_pop");
      EXPECT_EQ(group.is_null(), !population) << name;
      if (population) {
        EXPECT_EQ(group.result<double>(-1), 0.0);
      }
    }
  }
}

TEST(Variance, OfInfinitiesIsNanAndBeyondDoubleIsCounted) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const std::vector<double>& values :
       {std::vector<double>{1, infinity}, {std::nan(""), 2}, {infinity, -infinity}}) {
    Group group(function("var_pop", Type::kFloat8));
    group.add(values);
    EXPECT_TRUE(std::isnan(group.result<double>()));
    EXPECT_EQ(group.overflows(), 0u);
  }
  Group beyond(function("stddev", Type::kFloat8));
  beyond.add(std::vector<double>{1e200, -1e200});
  EXPECT_TRUE(beyond.is_null());
  EXPECT_EQ(beyond.overflows(), 1u);
  Group sum_beyond(function("stddev", Type::kFloat8));
  sum_beyond.add(std::vector<double>{1.7e308, 1.7e308});
  EXPECT_TRUE(sum_beyond.is_null());
}

TEST(Variance, SplitIsWhole) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<int64_t> integers;
    std::vector<double> doubles;
    const size_t count = random() % 200;
    for (size_t i = 0; i < count; ++i) {
      integers.push_back(static_cast<int64_t>(random() >> random() % 60));
      doubles.push_back(
          std::ldexp(static_cast<double>(random() % 1'000'003) - 5e5, static_cast<int>(random() % 200) - 99));
    }
    for (const char* name : kNames) {
      expect_split_is_whole<double>(function(name, Type::kInt8), integers, seed);
      expect_split_is_whole<double>(function(name, Type::kFloat8), doubles, seed);
    }
  }
}

TEST(Variance, GoldenBytes) {
  Group integers(function("stddev", Type::kInt8));
  EXPECT_EQ(hex(integers.encode()), "00");
  integers.add(std::vector<int64_t>{3, -5, int64_t{1} << 40});
  EXPECT_EQ(hex(integers.encode()), "0301fcffffffff3f0222808004");
  expect_decode_is_careful(function("stddev", Type::kInt8), integers.encode(), 1);
  Group doubles(function("var_pop", Type::kFloat8));
  doubles.add(std::vector<double>{0.5, -3});
  EXPECT_EQ(hex(doubles.encode()), "0208210180802800210180809401");
  expect_decode_is_careful(function("var_pop", Type::kFloat8), doubles.encode(), 2);
}

TEST(Variance, DecodeRefusesMomentsThatNoValuesHave) {
  // Two values of sum 10 whose squares are 1 together.
  Group group(function("stddev", Type::kInt8));
  EXPECT_EQ(group.decode({2, 1, 20, 1, 1}), 0u);
  EXPECT_EQ(group.decode({2, 1, 20, 1, 50}), 5u);
}

}  // namespace
}  // namespace backstream::agg
