#include <fmt/format.h>

#include <map>

#include "agg/group_test.h"

namespace backstream::agg {
namespace {

const AggregateFunction& top(Type key) { return function("topk", {Type::kInt8, key, Type::kInt8}); }

template <typename Key>
void add_weights(Group& group, Type type, int64_t keys, const std::vector<Key>& values,
                 const std::vector<int64_t>& weights) {
  const std::vector<int64_t> counts(values.size(), keys);
  group.add_columns({column_of(Type::kInt8, counts), column_of(type, values), column_of(Type::kInt8, weights)},
                    values.size());
}

struct Listed {
  int64_t key, weight, error;
};
std::vector<Listed> parse(std::string_view text) {
  std::vector<Listed> all;
  std::string copy(text);
  for (size_t at = copy.find('{'); at != std::string::npos; at = copy.find('{', at + 1)) {
    long long key = 0, weight = 0, error = 0;
    EXPECT_EQ(
        std::sscanf(copy.c_str() + at, "{\"key\": %lld, \"weight\": %lld, \"error\": %lld}", &key, &weight, &error), 3)
        << copy;
    all.push_back({key, weight, error});
  }
  return all;
}

TEST(TopK, OfFewKeysIsExactAndOrdered) {
  Group group(top(Type::kInt8));
  EXPECT_TRUE(group.is_null());
  add_weights<int64_t>(group, Type::kInt8, 2, {80, 443, 22, 80, 53, 443}, {5, 10, 7, 2, 0, 1});
  EXPECT_EQ(group.result<std::string_view>(),
            "[{\"key\": 443, \"weight\": 11, \"error\": 0}, {\"key\": 22, \"weight\": 7, \"error\": 0}]")
      << "of 22 and 80, both 7, the lesser key";
}

TEST(TopK, WritesKeysAsJson) {
  Group text(top(Type::kText));
  add_weights<std::string_view>(text, Type::kText, 1, {"a \"b\\\n\x01"}, {1});
  EXPECT_EQ(text.result<std::string_view>(), "[{\"key\": \"a \\\"b\\\\\\u000a\\u0001\", \"weight\": 1, \"error\": 0}]");
  Group address(top(Type::kInet));
  add_weights<base::Inet>(address, Type::kInet, 3, {base::Inet::v4(0x0a000001), base::Inet::v6(0x20010db800000000, 1)},
                          {2, 1});
  EXPECT_EQ(address.result<std::string_view>(),
            "[{\"key\": \"10.0.0.1\", \"weight\": 2, \"error\": 0}, {\"key\": \"2001:db8::1\", \"weight\": 1, "
            "\"error\": 0}]");
  Group mac(top(Type::kMacaddr));
  add_weights<int64_t>(mac, Type::kMacaddr, 1, {0x00005e0053af}, {1});
  EXPECT_EQ(mac.result<std::string_view>(), "[{\"key\": \"00:00:5e:00:53:af\", \"weight\": 1, \"error\": 0}]");
  Group flag(top(Type::kBool));
  add_weights<uint8_t>(flag, Type::kBool, 1, {1}, {1});
  EXPECT_EQ(flag.result<std::string_view>(), "[{\"key\": true, \"weight\": 1, \"error\": 0}]");
}

TEST(TopK, KeepsItsBoundForAnyDeal) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    const int64_t keys = 1 + static_cast<int64_t>(random() % 5);
    const int64_t counters = 10 * keys;
    std::vector<int64_t> values, weights;
    std::map<int64_t, int64_t> truth;
    int64_t total = 0;
    const size_t count = 200 + random() % 4000;
    for (size_t i = 0; i < count; ++i) {
      // Few heavy keys, a long tail; sometimes all alike, which is the worst case.
      const bool heavy = seed % 4 != 0 && random() % 3 == 0;
      values.push_back(heavy ? static_cast<int64_t>(random() % static_cast<uint32_t>(2 * keys))
                             : 1000 + static_cast<int64_t>(random() % 2000));
      weights.push_back(static_cast<int64_t>(heavy ? random() % 10'000 : random() % (seed % 5 == 0 ? 10'000 : 1'500)));
      truth[values.back()] += weights.back();
      total += weights.back();
    }
    Group whole(top(Type::kInt8));
    add_weights(whole, Type::kInt8, keys, values, weights);
    const auto merged = combined_at_random(top(Type::kInt8), count, random, [&](Group& group, size_t row) {
      add_weights<int64_t>(group, Type::kInt8, keys, {values[row]}, {weights[row]});
    });
    for (Group* group : {&whole, merged.get()}) {
      const auto listed = parse(group->result<std::string_view>());
      ASSERT_LE(listed.size(), static_cast<size_t>(keys));
      ASSERT_FALSE(listed.empty());
      std::map<int64_t, bool> is_listed;
      for (size_t i = 0; i < listed.size(); ++i) {
        const Listed& l = listed[i];
        EXPECT_LE(truth[l.key], l.weight) << "seed " << seed;
        EXPECT_GE(truth[l.key], l.weight - l.error) << "seed " << seed;
        EXPECT_LE(l.error, total / counters) << "seed " << seed;
        if (i > 0) {
          EXPECT_LE(l.weight, listed[i - 1].weight);
        }
        is_listed[l.key] = true;
      }
      for (const auto& [key, weight] : truth) {
        if (is_listed[key]) continue;
        const bool full = listed.size() == static_cast<size_t>(keys);
        EXPECT_LE(weight, full ? listed.back().weight : listed.back().error) << "seed " << seed << " key " << key;
      }
    }
  }
}

TEST(TopK, CountsEveryKeyAboveTheBound) {
  // Ten keys just above total / counters each, among 5000 that come once: all are listed when ten are asked for.
  std::vector<int64_t> values, weights;
  for (int64_t i = 0; i < 5000; ++i) {
    values.push_back(100 + i);
    weights.push_back(10);
    values.push_back(i % 10);
    weights.push_back(3);
  }
  const int64_t total = 5000 * 13;
  ASSERT_GT(5000 / 10 * 3, total / 100);
  std::mt19937 random(3);
  const auto merged = combined_at_random(top(Type::kInt8), values.size(), random, [&](Group& group, size_t row) {
    add_weights<int64_t>(group, Type::kInt8, 10, {values[row]}, {weights[row]});
  });
  const auto listed = parse(merged->result<std::string_view>());
  ASSERT_EQ(listed.size(), 10u);
  for (const Listed& l : listed) EXPECT_LT(l.key, 10);
}

TEST(TopK, OfWideKeysForgetsWithoutKeepingTheirMemory) {
  std::mt19937 random(4);
  Group group(top(Type::kText));
  std::map<std::string, int64_t> truth;
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = random() % 4 == 0 ? fmt::format("heavy {}", random() % 3) : fmt::format("key {}", random());
    truth[key] += 2;
    add_weights<std::string_view>(group, Type::kText, 3, {key}, {2});
  }
  const std::string text(group.result<std::string_view>());
  for (const char* key : {"heavy 0", "heavy 1", "heavy 2"}) EXPECT_NE(text.find(key), std::string::npos) << text;
  // 60 counters of 32 octets at most, and their table; 20,000 keys would take a megabyte.
  EXPECT_LT(group.octets_held(), 128u * 1024);
}

TEST(TopK, RefusesNegativeAndTooGreatWeights) {
  Group negative(top(Type::kInt8));
  add_weights<int64_t>(negative, Type::kInt8, 1, {1, 2}, {5, -1});
  EXPECT_TRUE(negative.is_null());
  EXPECT_EQ(negative.negative_weights(), 1u);
  Group great(top(Type::kInt8));
  add_weights<int64_t>(great, Type::kInt8, 1, {1, 2}, {INT64_MAX, 1});
  EXPECT_TRUE(great.is_null());
}

TEST(TopK, GoldenBytes) {
  Group group(top(Type::kInt8));
  EXPECT_EQ(hex(group.encode()), "00");
  add_weights<int64_t>(group, Type::kInt8, 2, {80, 443, 80}, {5, 300, 1});
  EXPECT_EQ(hex(group.encode()), "020000b202025006eb02ac02");
  expect_decode_is_careful(top(Type::kInt8), group.encode(), 8);
  Group text(top(Type::kText));
  add_weights<std::string_view>(text, Type::kText, 2, {"b", "a"}, {5, 300});
  EXPECT_EQ(hex(text.encode()), "020000b102020161ac02016205");
  expect_decode_is_careful(top(Type::kText), text.encode(), 9);
}

}  // namespace
}  // namespace backstream::agg
