#include <cmath>

#include "agg/group_test.h"

namespace backstream::agg {
namespace {

const char* const kName = "approx_count_distinct";

TEST(ApproxCountDistinct, CountsFewValuesExactly) {
  for (const int64_t count : {0, 1, 2, 5, 9, 100, 384}) {
    Group group(function(kName, Type::kInt8));
    for (int round = 0; round < 2; ++round) {
      std::vector<int64_t> values;
      for (int64_t v = 0; v < count; ++v) values.push_back(v * 3);
      group.add(values);
    }
    EXPECT_EQ(group.result<int64_t>(), count);
  }
}

TEST(ApproxCountDistinct, StaysNearTheTruthOnAverageAndInEachCase) {
  // Standard error 1.04 / sqrt(4096) = 1.625 %. Over 40 independent sets the mean's error has a standard deviation of
  // 0.26 %, the root mean square one of 1.625 / sqrt(80) = 0.18 %: both bounds below are beyond 4 of them.
  for (const size_t count : {500u, 2'000u, 10'000u, 40'000u}) {
    double sum = 0, squares = 0;
    constexpr int kSets = 40;
    for (uint32_t set = 0; set < kSets; ++set) {
      std::mt19937_64 random(set * 7919 + count);
      Group group(function(kName, Type::kInt8));
      std::vector<int64_t> values;
      for (size_t i = 0; i < count; ++i) values.push_back(static_cast<int64_t>(random()));
      group.add(values);
      const double error = static_cast<double>(group.result<int64_t>()) / static_cast<double>(count) - 1;
      EXPECT_LT(std::abs(error), 0.08) << count;
      sum += error;
      squares += error * error;
    }
    EXPECT_LT(std::abs(sum / kSets), 0.0105) << count;
    EXPECT_LT(std::sqrt(squares / kSets), 0.024) << count;
  }
}

TEST(ApproxCountDistinct, OfConsecutiveNumbersAndAddresses) {
  std::vector<int64_t> ports;
  std::vector<base::Inet> addresses;
  for (uint32_t i = 0; i < 60'000; ++i) {
    ports.push_back(i);
    addresses.push_back(i % 2 ? base::Inet::v4(0x0a000000 + i) : base::Inet::v6(0x20010db8, i));
  }
  Group of_ports(function(kName, Type::kInt4));
  of_ports.add(ports);
  EXPECT_NEAR(static_cast<double>(of_ports.result<int64_t>()), 60'000, 60'000 * 0.065);
  Group of_addresses(function(kName, Type::kInet));
  of_addresses.add(addresses);
  EXPECT_NEAR(static_cast<double>(of_addresses.result<int64_t>()), 60'000, 60'000 * 0.065);
}

TEST(ApproxCountDistinct, EqualValuesAreOne) {
  Group doubles(function(kName, Type::kFloat8));
  doubles.add(std::vector<double>{0.0, -0.0, std::nan("1"), -std::nan("2"), 1});
  EXPECT_EQ(doubles.result<int64_t>(), 3);
  Group text(function(kName, Type::kText));
  text.add(std::vector<std::string_view>{"", "a", std::string_view("a\0", 2), "abcdefgh", "abcdefghi", "a", ""});
  EXPECT_EQ(text.result<int64_t>(), 5);
  Group nulls(function(kName, Type::kInt8));
  nulls.add(std::vector<int64_t>{1, 2, 3}, {0, 1, 0});
  EXPECT_EQ(nulls.result<int64_t>(), 1);
}

TEST(ApproxCountDistinct, SplitIsWholeOnBothSidesOfTheDenseForm) {
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<int64_t> values;
    const size_t count = seed % 3 == 0 ? 20 : seed % 3 == 1 ? 380 + random() % 10 : 3000;
    for (size_t i = 0; i < count; ++i) values.push_back(static_cast<int64_t>(random() % 5 ? random() : random() % 10));
    expect_split_is_whole<int64_t>(function(kName, Type::kInt8), values, seed);
  }
}

TEST(ApproxCountDistinct, GoldenBytesFixTheHashForEver) {
  Group integers(function(kName, Type::kInt8));
  EXPECT_EQ(hex(integers.encode()), "00");
  integers.add(std::vector<int64_t>{0, 1, -1, 443});
  EXPECT_EQ(hex(integers.encode()), "043e8b1b078139b44a4958ce4da465dc85");
  Group smaller(function(kName, Type::kInt2));
  smaller.add(std::vector<int64_t>{443, -1, 1, 0});
  EXPECT_EQ(smaller.encode(), integers.encode());
  Group text(function(kName, Type::kText));
  text.add(std::vector<std::string_view>{"", "eth0", "ge-0/0/1.100"});
  EXPECT_EQ(hex(text.encode()), "038413c700107b9e204958ce4d");
  Group addresses(function(kName, Type::kInet));
  addresses.add(std::vector<base::Inet>{base::Inet::v4(0x0a000001), base::Inet::v6(0x20010db800000000, 1)});
  EXPECT_EQ(hex(addresses.encode()), "02963087073db96f2f");
  Group doubles(function(kName, Type::kFloat8));
  doubles.add(std::vector<double>{0.5, -0.0});
  EXPECT_EQ(hex(doubles.encode()), "024958ce4d5315f55c");
  expect_decode_is_careful(function(kName, Type::kInt8), integers.encode(), 3);
}

TEST(ApproxCountDistinct, DecodeOfTheDenseFormIsCareful) {
  Group dense(function(kName, Type::kInt8));
  std::vector<int64_t> values;
  for (int64_t i = 0; i < 1000; ++i) values.push_back(i);
  dense.add(values);
  EXPECT_EQ(dense.encode().size(), 2u + 3072u);
  expect_decode_is_careful(function(kName, Type::kInt8), dense.encode(), 4);
  auto bytes = dense.encode();
  bytes[2] |= 63;  // a rank that no 64-bit hash has
  Group refused(function(kName, Type::kInt8));
  EXPECT_EQ(refused.decode(bytes), 0u);
}

}  // namespace
}  // namespace backstream::agg
