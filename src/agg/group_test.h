#pragma once
// What the tests of the aggregate families share.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "agg/aggregate.h"

namespace backstream::agg {

/// One group's state of one aggregate, with what it needs around it.
class Group {
 public:
  explicit Group(const AggregateFunction& function) : function_(function), state_((function.state_octets + 7) / 8) {
    if (function.init != nullptr) function.init(state());
  }
  template <typename Value>
  void add(const std::vector<Value>& values, const std::vector<uint8_t>& present = {}) {
    Column column;
    column.type = function_.arg_types.empty() ? Type::kInt8 : function_.arg_types[0];
    column.values = const_cast<Value*>(values.data());
    column.has_nulls = !present.empty();
    column.validity = const_cast<uint8_t*>(present.data());
    const std::vector<uint8_t*> rows(values.size(), state());
    function_.update(rows.data(), 0, &column, nullptr, values.size(), context_);
  }
  /// All arguments, one column each, `row_count` rows.
  void add_columns(const std::vector<Column>& columns, size_t row_count) {
    const std::vector<uint8_t*> rows(row_count, state());
    function_.update(rows.data(), 0, columns.data(), nullptr, row_count, context_);
  }
  void combine(const Group& other) { function_.combine(state(), other.state(), context_); }
  std::vector<uint8_t> encode() const {
    std::vector<uint8_t> bytes;
    function_.encode(state(), bytes);
    return bytes;
  }
  size_t decode(const std::vector<uint8_t>& bytes) {
    // A copy of the exact size, so that the sanitizer sees a read past its end.
    const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
    return function_.decode(state(), exact.data(), exact.size(), context_);
  }
  /// The result, or `null`.
  template <typename Value>
  Value result(Value null = Value{}) {
    Value value{};
    uint8_t present = 0;
    Column out;
    out.type = function_.result_type;
    out.has_nulls = true;
    out.values = &value;
    out.validity = &present;
    const uint8_t* row = state();
    function_.finish(&row, 0, 1, out, 0, context_);
    return present ? value : null;
  }
  bool is_null() {
    uint64_t value[4] = {};  // room for any type
    uint8_t present = 0;
    Column out;
    out.type = function_.result_type;
    out.has_nulls = true;
    out.values = value;
    out.validity = &present;
    const uint8_t* row = state();
    function_.finish(&row, 0, 1, out, 0, context_);
    return present == 0;
  }
  uint64_t overflows() const { return context_.overflow_count; }
  uint64_t capped() const { return context_.capped_count; }
  uint64_t negative_weights() const { return context_.negative_weight_count; }
  size_t octets_held() const { return context_.arena.octets_held(); }
  uint8_t* state() { return reinterpret_cast<uint8_t*>(state_.data()); }
  const uint8_t* state() const { return reinterpret_cast<const uint8_t*>(state_.data()); }

 private:
  const AggregateFunction& function_;
  std::vector<uint64_t> state_;
  StateContext context_;
};

inline const AggregateFunction& function(std::string_view name, Type type, bool distinct = false) {
  const auto found = resolve(name, {type}, distinct, false, {});
  EXPECT_TRUE(found.has_value()) << name;
  return **found;
}

inline const AggregateFunction& function(std::string_view name, const std::vector<Type>& types,
                                         CallForm form = CallForm::kPlain) {
  const auto found = resolve(name, types, false, false, {}, form);
  EXPECT_TRUE(found.has_value()) << name;
  return **found;
}
template <typename Value>
Column column_of(Type type, const std::vector<Value>& values, const std::vector<uint8_t>* present = nullptr) {
  Column column;
  column.type = type;
  column.values = const_cast<Value*>(values.data());
  column.has_nulls = present != nullptr;
  column.validity = present == nullptr ? nullptr : const_cast<uint8_t*>(present->data());
  return column;
}
inline std::string hex(const std::vector<uint8_t>& bytes) {
  std::string text;
  for (const uint8_t octet : bytes) {
    text += "0123456789abcdef"[octet >> 4];
    text += "0123456789abcdef"[octet & 15];
  }
  return text;
}

/// Deals rows 0 .. row_count - 1 at random over parts, in a random order, and combines the parts, encoded and read
/// back, in a random tree. `add_row(Group&, row)` adds one row.
template <typename AddRow>
std::unique_ptr<Group> combined_at_random(const AggregateFunction& f, size_t row_count, std::mt19937& random,
                                          AddRow&& add_row) {
  const size_t parts = 1 + random() % 7;
  std::vector<size_t> rows(row_count);
  for (size_t i = 0; i < row_count; ++i) rows[i] = i;
  std::shuffle(rows.begin(), rows.end(), random);
  std::vector<std::unique_ptr<Group>> groups;
  for (size_t p = 0; p < parts; ++p) groups.push_back(std::make_unique<Group>(f));
  for (const size_t row : rows) add_row(*groups[random() % parts], row);
  while (groups.size() > 1) {
    std::swap(groups[random() % groups.size()], groups.back());
    auto arrived = std::make_unique<Group>(f);
    const auto bytes = groups.back()->encode();
    EXPECT_EQ(arrived->decode(bytes), bytes.size()) << f.name;
    EXPECT_EQ(arrived->encode(), bytes) << f.name;
    groups.pop_back();
    groups[random() % groups.size()]->combine(*arrived);
  }
  return std::move(groups[0]);
}

/// No prefix of the bytes is read as a whole state, nor does noise read beyond its end.
inline void expect_decode_is_careful(const AggregateFunction& f, const std::vector<uint8_t>& bytes, uint32_t seed) {
  std::mt19937 random(seed);
  const size_t step = bytes.size() / 500 + 1;
  for (size_t octets = 0; octets < bytes.size(); octets += step) {
    Group cut(f);
    EXPECT_EQ(cut.decode({bytes.begin(), bytes.begin() + static_cast<long>(octets)}), 0u) << f.name << ' ' << octets;
  }
  for (int round = 0; round < 400; ++round) {
    std::vector<uint8_t> noise(bytes.begin(), bytes.begin() + static_cast<long>(std::min<size_t>(bytes.size(), 200)));
    if (round % 2 == 0) {
      noise.resize(random() % 60);
      for (auto& octet : noise) octet = static_cast<uint8_t>(random() % 3 ? random() % 6 : random());
    } else {
      for (int changes = 0; changes < 3; ++changes) noise[random() % noise.size()] = static_cast<uint8_t>(random());
    }
    Group group(f);
    const size_t used = group.decode(noise);
    ASSERT_LE(used, noise.size());
    if (used == 0) continue;
    // What was accepted can be worked with.
    Group sum(f);
    sum.combine(group);
    sum.combine(group);
    sum.is_null();
    sum.encode();
  }
}

/// Any deal of the values over any number of partial states, encoded and read back, gives the same bytes and result.
template <typename Result, typename Value>
void expect_split_is_whole(const AggregateFunction& f, const std::vector<Value>& values, uint32_t seed) {
  std::mt19937 random(seed);
  Group whole(f);
  whole.add(values);
  for (const size_t parts : {2u, 3u, 7u}) {
    std::vector<std::vector<Value>> dealt(parts);
    for (const Value& value : values) dealt[random() % parts].push_back(value);
    std::shuffle(dealt.begin(), dealt.end(), random);
    Group merged(f);
    for (auto& part : dealt) {
      std::shuffle(part.begin(), part.end(), random);
      Group edge(f);
      edge.add(part);
      Group arrived(f);
      const auto bytes = edge.encode();
      ASSERT_EQ(arrived.decode(bytes), bytes.size()) << f.name;
      ASSERT_EQ(arrived.encode(), bytes) << f.name;
      merged.combine(arrived);
    }
    EXPECT_EQ(merged.encode(), whole.encode()) << f.name << " seed " << seed;
    EXPECT_EQ(merged.template result<Result>(), whole.template result<Result>()) << f.name << " seed " << seed;
  }
}

}  // namespace backstream::agg
