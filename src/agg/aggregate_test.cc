#include "agg/aggregate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "agg/exact_sum.h"
#include "agg/group_test.h"
#include "agg/wide_sum.h"

namespace backstream::agg {
namespace {

using base::Inet;

TEST(Count, CountsPresentValuesAndStarCountsRows) {
  const auto star = resolve("count", {}, false, true, {});
  ASSERT_TRUE(star.has_value());
  Group rows(**star);
  rows.add(std::vector<int64_t>{1, 2, 3});
  EXPECT_EQ(rows.result<int64_t>(), 3);
  Group present(function("count", Type::kInt8));
  present.add(std::vector<int64_t>{1, 2, 3}, {1, 0, 1});
  EXPECT_EQ(present.result<int64_t>(), 2);
  EXPECT_EQ(Group(function("count", Type::kText)).result<int64_t>(-1), 0);
}

TEST(Sum, OfNothingIsNull) {
  Group sum(function("sum", Type::kInt8));
  EXPECT_EQ(sum.result<int64_t>(-7), -7);
  sum.add(std::vector<int64_t>{5}, {0});
  EXPECT_EQ(sum.result<int64_t>(-7), -7);
  sum.add(std::vector<int64_t>{0});
  EXPECT_EQ(sum.result<int64_t>(-7), 0);
}

TEST(Sum, GoesBeyondBigintInBetweenButNotAtTheEnd) {
  const int64_t big = std::numeric_limits<int64_t>::max();
  Group back(function("sum", Type::kInt8));
  back.add(std::vector<int64_t>{big, big, -big, -5});
  EXPECT_EQ(back.result<int64_t>(), big - 5);
  EXPECT_EQ(back.overflows(), 0u);
  Group over(function("sum", Type::kInt8));
  over.add(std::vector<int64_t>{big, 1});
  EXPECT_EQ(over.result<int64_t>(-1), -1);
  EXPECT_EQ(over.overflows(), 1u);
  Group under(function("sum", Type::kInt8));
  under.add(std::vector<int64_t>{std::numeric_limits<int64_t>::min(), -1});
  EXPECT_EQ(under.result<int64_t>(-1), -1);
}

TEST(Sum, IsExactWhereItOutgrowsItsEightOctets) {
  std::mt19937_64 random(17);
  const int64_t least = std::numeric_limits<int64_t>::min(), most = std::numeric_limits<int64_t>::max();
  const int64_t edges[] = {0,        1,        -1, most, least, most / 2, least / 2, most / 2 + 1, least / 2 - 1,
                           most / 4, least / 4};
  for (int round = 0; round < 2'000; ++round) {
    std::vector<int64_t> values(1 + random() % 6);
    for (int64_t& value : values)
      value = random() % 2 == 0 ? edges[random() % std::size(edges)] : static_cast<int64_t>(random() >> random() % 64);
    WideSum expected;
    for (const int64_t value : values) expected.add(value);
    std::vector<uint8_t> expected_bytes;
    expected.encode(expected_bytes);
    // In one group, and in two that are combined, one of them by way of its bytes.
    const auto middle = values.begin() + static_cast<long>(random() % (values.size() + 1));
    Group whole(function("sum", Type::kInt8)), left(function("sum", Type::kInt8)), right(function("sum", Type::kInt8)),
        sent(function("sum", Type::kInt8));
    whole.add(values);
    left.add(std::vector<int64_t>(values.begin(), middle));
    right.add(std::vector<int64_t>(middle, values.end()));
    ASSERT_EQ(sent.decode(right.encode()), right.encode().size());
    left.combine(sent);
    ASSERT_EQ(whole.encode(), expected_bytes) << "round " << round;
    ASSERT_EQ(left.encode(), expected_bytes) << "round " << round;
    ASSERT_EQ(whole.is_null(), !expected.fits_bigint());
    if (!expected.fits_bigint()) continue;
    ASSERT_EQ(left.result<int64_t>(), static_cast<int64_t>(expected.low));
  }
}

TEST(Sum, OfDoublesDoesNotDependOnTheOrder) {
  const auto& f = function("sum", Type::kFloat8);
  std::vector<double> values{1e308, 1, -1e308, 1e-300, 3.5, -1e-300, 0.1, 0.2, 1e16, -1e16};
  Group reference(f);
  reference.add(values);
  EXPECT_DOUBLE_EQ(reference.result<double>(), 4.8);
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    std::shuffle(values.begin(), values.end(), random);
    Group sum(f);
    sum.add(values);
    EXPECT_EQ(sum.result<double>(), reference.result<double>()) << "round " << round;
  }
}

TEST(Sum, OfDoublesIsCorrectlyRounded) {
  // 2^53 + 1 lies between two doubles; a running sum would lose every 1.
  Group sum(function("sum", Type::kFloat8));
  sum.add(std::vector<double>{9007199254740992.0, 1, 1, 1});
  EXPECT_EQ(sum.result<double>(), 9007199254740996.0);  // 2^53 + 3 ties to even
  Group infinite(function("sum", Type::kFloat8));
  infinite.add(std::vector<double>{1, std::numeric_limits<double>::infinity()});
  EXPECT_TRUE(std::isinf(infinite.result<double>()));
  Group opposite(function("sum", Type::kFloat8));
  opposite.add(std::vector<double>{-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()});
  EXPECT_TRUE(std::isnan(opposite.result<double>()));
}

TEST(Avg, OfIntegersDividesTheExactSum) {
  Group avg(function("avg", Type::kInt8));
  avg.add(std::vector<int64_t>{1, 2, 4});
  EXPECT_EQ(avg.result<double>(), 7.0 / 3.0);
  EXPECT_EQ(Group(function("avg", Type::kInt4)).result<double>(-1), -1);
}

TEST(MinMax, FollowTheOrderOfTheirType) {
  Group least(function("min", Type::kInt8)), greatest(function("max", Type::kInt8));
  for (Group* g : {&least, &greatest}) g->add(std::vector<int64_t>{3, -9, 7}, {1, 1, 1});
  EXPECT_EQ(least.result<int64_t>(), -9);
  EXPECT_EQ(greatest.result<int64_t>(), 7);
  Group nan(function("max", Type::kFloat8));
  nan.add(std::vector<double>{1, std::nan(""), std::numeric_limits<double>::infinity()});
  EXPECT_TRUE(std::isnan(nan.result<double>()));
  Group address(function("max", Type::kInet));
  address.add(std::vector<Inet>{Inet::v4(0xffffffff), Inet::v6(0, 1), Inet::v4(1)});
  EXPECT_EQ(address.result<Inet>(), Inet::v6(0, 1));
  EXPECT_EQ(Group(function("min", Type::kTimestamptz)).result<int64_t>(-1), -1);
}

TEST(MinMax, OfTextKeepsItsOwnCopy) {
  Group least(function("min", Type::kText));
  {
    std::string text = "bbb";
    least.add(std::vector<std::string_view>{text});
    text = "xxx";
  }
  EXPECT_EQ(least.result<std::string_view>(), "bbb");
}

TEST(CountDistinct, GrowsFromOneInlineValueToATable) {
  const auto& f = function("count", Type::kInt8, true);
  for (const int64_t count : {0, 1, 2, 4, 5, 8, 9, 100, 5000}) {
    Group distinct(f);
    std::vector<int64_t> values;
    for (int64_t round = 0; round < 3; ++round) {
      for (int64_t v = 0; v < count; ++v) values.push_back(v * 7 - count);  // holds 0 for some counts
    }
    distinct.add(values);
    EXPECT_EQ(distinct.result<int64_t>(), count);
  }
  Group nulls(f);
  nulls.add(std::vector<int64_t>{1, 2, 0}, {1, 0, 1});
  EXPECT_EQ(nulls.result<int64_t>(), 2);
}

TEST(CountDistinct, OfWideValues) {
  Group text(function("count", Type::kText, true));
  text.add(std::vector<std::string_view>{"", "a", "a", "a somewhat longer text", "", "a somewhat longer texT"});
  EXPECT_EQ(text.result<int64_t>(), 4);
  Group address(function("count", Type::kInet, true));
  std::vector<Inet> addresses;
  for (uint32_t i = 0; i < 1000; ++i) addresses.push_back(i % 2 ? Inet::v4(i % 100) : Inet::v6(0, i % 100));
  address.add(addresses);
  EXPECT_EQ(address.result<int64_t>(), 100);  // 50 odd IPv4, 50 even IPv6
}

TEST(Aggregates, SplitIsWholeForEveryOneOfIntegers) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<int64_t> values;
    const size_t count = random() % 300;
    for (size_t i = 0; i < count; ++i) {
      values.push_back(seed % 2 ? static_cast<int64_t>(random()) : static_cast<int64_t>(random() % 50) - 10);
    }
    for (const char* name : {"count", "sum", "min", "max", "bit_or", "bit_and", "bit_xor"}) {
      if (!is_aggregate(name)) continue;
      expect_split_is_whole<int64_t>(function(name, Type::kInt8), values, seed);
    }
    expect_split_is_whole<double>(function("avg", Type::kInt8), values, seed);
    expect_split_is_whole<int64_t>(function("count", Type::kInt8, true), values, seed);
  }
}

TEST(Aggregates, SplitIsWholeForEveryOneOfDoubles) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<double> values;
    for (size_t i = 0; i < 100; ++i) {
      values.push_back(
          std::ldexp(static_cast<double>(random() % 1'000'003) - 500'000, static_cast<int>(random() % 600) - 300));
    }
    for (const char* name : {"sum", "avg", "min", "max"}) {
      expect_split_is_whole<double>(function(name, Type::kFloat8), values, seed);
    }
    expect_split_is_whole<int64_t>(function("count", Type::kFloat8, true), values, seed);
  }
}

TEST(Aggregates, DecodeRefusesBytesThatEndEarlyOrAreNoise) {
  std::mt19937 random(3);
  const std::vector<std::pair<const char*, Type>> integers{
      {"count", Type::kInt8}, {"sum", Type::kInt8}, {"avg", Type::kInt8}, {"min", Type::kInt8}, {"max", Type::kInt4}};
  for (const auto& [name, type] : integers) {
    Group whole(function(name, type));
    whole.add(std::vector<int64_t>{1 << 20, 1 << 30, std::numeric_limits<int64_t>::max()});
    const auto bytes = whole.encode();
    for (size_t octets = 0; octets < bytes.size(); ++octets) {
      Group cut(function(name, type));
      EXPECT_EQ(cut.decode({bytes.begin(), bytes.begin() + static_cast<long>(octets)}), 0u) << name << ' ' << octets;
    }
  }
  for (const bool distinct : {false, true}) {
    for (const Type type : {Type::kInt8, Type::kFloat8, Type::kText, Type::kInet}) {
      for (const char* name : {"count", "sum", "avg", "min", "max"}) {
        const auto found = resolve(name, {type}, distinct, false, {});
        if (!found.has_value()) continue;
        for (int round = 0; round < 300; ++round) {
          std::vector<uint8_t> noise(random() % 40);
          for (auto& octet : noise) octet = static_cast<uint8_t>(random() % 3 ? random() % 6 : random());
          Group group(**found);
          const size_t used = group.decode(noise);
          ASSERT_LE(used, noise.size());
        }
      }
    }
  }
}

// States travel from edges of one version to workers of another: octets that change need another version of the whole
// (partial/codec.h). Those of the other aggregates are in the tests of their own.
TEST(Aggregates, GoldenBytes) {
  const std::vector<int64_t> integers{1'500, -3, 70'000, 70'000};
  const std::vector<double> doubles{0.5, -2.0, 1'024.0, 1'024.0};
  const std::vector<Inet> addresses{Inet::v4(0x0a000001), Inet::v6(0x20010db800000000, 1)};
  const std::vector<std::string_view> texts{"b", "a", "b"};
  const std::vector<uint8_t> truths{1, 0, 1};
  const auto of = [](const AggregateFunction& f, const auto& values) {
    Group group(f), read(f);
    group.add(values);
    const auto bytes = group.encode();
    EXPECT_EQ(read.decode(bytes), bytes.size()) << f.name;
    return hex(bytes);
  };
  std::set<std::string_view> names{
      "approx_percentile", "entropy",     "first",      "last", "percentile_cont", "percentile_disc", "stddev",
      "stddev_pop",        "stddev_samp", "sum_stderr", "topk", "var_pop",         "var_samp",        "variance"};
  const auto is = [&](std::string_view name, Type type, const auto& values, std::string_view golden,
                      bool distinct = false) {
    names.insert(name);
    EXPECT_EQ(of(function(name, type, distinct), values), golden) << name << ' ' << batch::name(type) << distinct;
  };
  is("count", Type::kInt8, integers, "04");
  is("count", Type::kInt8, integers, "03dc0b9497048dddfbffffffffffff01", true);
  is("count", Type::kFloat8, doubles, "0380808080808080f03f808080808080805880808080808080b87f", true);
  is("count", Type::kInet, addresses, "0204200a000001068020010db8000000000000000000000001", true);
  is("count", Type::kText, texts, "0201610162", true);
  is("count", Type::kBool, truths, "020001", true);
  is("sum", Type::kInt8, integers, "01f2a211");
  is("sum", Type::kFloat8, doubles, "040021018080e8ff01");
  is("avg", Type::kInt8, integers, "01f2a21104");
  is("avg", Type::kFloat8, doubles, "040021018080e8ff01");
  is("min", Type::kInt8, integers, "0105");
  is("max", Type::kFloat8, doubles, "010000000000009040");
  is("min", Type::kInet, addresses, "0104200a000001");
  is("max", Type::kText, texts, "010162");
  is("bool_and", Type::kBool, truths, "0100");
  is("bool_or", Type::kBool, truths, "0102");
  is("every", Type::kBool, truths, "0100");
  is("bit_and", Type::kInt8, integers, "01a005");
  is("bit_or", Type::kInt8, integers, "0105");
  is("bit_xor", Type::kInt8, integers, "01bd17");
  is("approx_count_distinct", Type::kInt8, integers, "039a8f7019b8b717bb8da25afd");
  is("approx_count_distinct", Type::kInet, addresses, "02963087073db96f2f");
  for (const std::string_view name : aggregate_names()) EXPECT_TRUE(names.contains(name)) << name << " has none";
}

TEST(Resolve, TellsWhatThereIs) {
  EXPECT_TRUE(is_aggregate("sum"));
  EXPECT_FALSE(is_aggregate("host"));
  const auto missing = resolve("sum", {Type::kText}, false, false, {4, 3});
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, "42883");
  EXPECT_EQ(missing.error().span.offset_octets, 4u);
  EXPECT_NE(missing.error().hint.find("sum(bigint)"), std::string::npos);
  const auto distinct = resolve("sum", {Type::kInt8}, true, false, {});
  ASSERT_FALSE(distinct.has_value());
  EXPECT_EQ(distinct.error().code, "0A000");
  // min(DISTINCT x) is min(x).
  EXPECT_TRUE(resolve("min", {Type::kInt8}, true, false, {}).has_value());
  const auto widened = resolve("sum", {Type::kInt2}, false, false, {});
  ASSERT_TRUE(widened.has_value());
  EXPECT_EQ((*widened)->result_type, Type::kInt8);
}

}  // namespace
}  // namespace backstream::agg
