#include "agg/group_test.h"

namespace backstream::agg {
namespace {

template <typename Value>
void add_timed(Group& group, Type type, const std::vector<Value>& values, const std::vector<int64_t>& times) {
  group.add_columns({column_of(type, values), column_of(Type::kTimestamptz, times)}, values.size());
}
const AggregateFunction& timed(const char* name, Type type) { return function(name, {type, Type::kTimestamptz}); }

TEST(FirstLast, GoByTimeThenByValue) {
  Group first(timed("first", Type::kInt8)), last(timed("last", Type::kInt8));
  for (Group* group : {&first, &last}) {
    EXPECT_TRUE(group->is_null());
    add_timed<int64_t>(*group, Type::kInt8, {7, 3, 5, 9, 8, 1}, {20, 10, 10, 30, 30, 15});
  }
  EXPECT_EQ(first.result<int64_t>(), 3);
  EXPECT_EQ(last.result<int64_t>(), 9);
}

TEST(FirstLast, SkipRowsWithoutValueOrTime) {
  const std::vector<int64_t> values{1, 2, 3}, times{5, 6, 7};
  const std::vector<uint8_t> value_present{0, 1, 1}, time_present{1, 1, 0};
  Group first(timed("first", Type::kInt8)), last(timed("last", Type::kInt8));
  for (Group* group : {&first, &last}) {
    group->add_columns(
        {column_of(Type::kInt8, values, &value_present), column_of(Type::kTimestamptz, times, &time_present)}, 3);
    EXPECT_EQ(group->result<int64_t>(), 2);
  }
}

TEST(FirstLast, OfTextReusesItsMemory) {
  Group last(timed("last", Type::kText));
  for (int64_t time = 0; time < 50'000; ++time) {
    const std::string text = "interface " + std::to_string(time % 1000);
    add_timed<std::string_view>(last, Type::kText, {text}, {time});
  }
  EXPECT_EQ(last.result<std::string_view>(), "interface 999");
  EXPECT_LT(last.octets_held(), 128u * 1024);
}

TEST(FirstLast, SplitIsWhole) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    std::vector<double> values;
    std::vector<std::string> owned;
    std::vector<int64_t> times;
    const size_t count = random() % 60;
    for (size_t i = 0; i < count; ++i) {
      values.push_back(random() % 2 ? 0.0 : -0.0);
      owned.push_back(std::string(random() % 30, 'x'));
      times.push_back(static_cast<int64_t>(random() % 6));
    }
    for (const char* name : {"first", "last"}) {
      Group whole(timed(name, Type::kFloat8));
      add_timed(whole, Type::kFloat8, values, times);
      const auto merged = combined_at_random(timed(name, Type::kFloat8), count, random, [&](Group& group, size_t row) {
        add_timed<double>(group, Type::kFloat8, {values[row]}, {times[row]});
      });
      EXPECT_EQ(merged->encode(), whole.encode()) << name << " seed " << seed;
      Group texts(timed(name, Type::kText));
      add_timed(texts, Type::kText, std::vector<std::string_view>(owned.begin(), owned.end()), times);
      const auto merged_texts =
          combined_at_random(timed(name, Type::kText), count, random, [&](Group& group, size_t row) {
            add_timed<std::string_view>(group, Type::kText, {owned[row]}, {times[row]});
          });
      EXPECT_EQ(merged_texts->encode(), texts.encode()) << name << " seed " << seed;
      EXPECT_EQ(merged_texts->result<std::string_view>(), texts.result<std::string_view>());
    }
  }
}

TEST(FirstLast, GoldenBytes) {
  Group last(timed("last", Type::kText));
  EXPECT_EQ(hex(last.encode()), "00");
  add_timed<std::string_view>(last, Type::kText, {"up", "down"}, {5, 300});
  EXPECT_EQ(hex(last.encode()), "01d80404646f776e");
  expect_decode_is_careful(timed("last", Type::kText), last.encode(), 12);
  Group first(timed("first", Type::kInt8));
  add_timed<int64_t>(first, Type::kInt8, {-2, 9}, {5, 300});
  EXPECT_EQ(hex(first.encode()), "010a03");
  expect_decode_is_careful(timed("first", Type::kInt8), first.encode(), 13);
}

}  // namespace
}  // namespace backstream::agg
