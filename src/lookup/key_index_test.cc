#include "lookup/key_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "lookup/lookup_test_input.h"

namespace backstream::lookup {
namespace {

using batch::Type;
using Keys = KeyIndex::Keys;

/// The rows of `index` for each row of `probe`: "0 3;-;1".
std::string matches_text(const KeyIndex& index, const Table& probe, const std::vector<uint32_t>* rows = nullptr) {
  std::vector<batch::Column> keys;
  for (size_t c = 0; c < index.columns().size(); ++c) keys.push_back(probe.column(c));
  const size_t n = rows == nullptr ? probe.row_count() : rows->size();
  std::vector<uint32_t> matches(n, 77);
  index.find(keys.data(), rows == nullptr ? nullptr : rows->data(), n, matches.data());
  std::string text;
  for (const uint32_t match : matches) {
    if (!text.empty()) text += ';';
    if (match == kNoRow) text += '-';
    for (uint32_t row = match; row != kNoRow; row = index.next(row)) {
      if (row != match) text += ' ';
      text += std::to_string(row);
    }
  }
  return text;
}

const batch::Schema kAs = {{{"asn", Type::kInt8}, {"name", Type::kText}}};

TEST(KeyIndex, FindsByOneKey) {
  const auto index = KeyIndex::build(table_of(kAs, {{"64500", "a"}, {"64501", "b"}, {"-1", "c"}}), {0}, Keys::kUnique);
  ASSERT_TRUE(index);
  EXPECT_TRUE(index->unique());
  const auto probe = table_of({{{"k", Type::kInt8}}}, {{"64501"}, {"1"}, {nullptr}, {"-1"}, {"64500"}});
  EXPECT_EQ(matches_text(*index, *probe), "1;-;-;2;0");
  const std::vector<uint32_t> rows{4, 4, 2};
  EXPECT_EQ(matches_text(*index, *probe, &rows), "0;0;-");
}

TEST(KeyIndex, EqualKeysAreChainedInTheOrderOfTheTable) {
  const auto table = table_of(kAs, {{"1", "a"}, {"2", "b"}, {"1", "c"}, {nullptr, "d"}, {"1", "e"}});
  const auto index = KeyIndex::build(table, {0}, Keys::kAny);
  ASSERT_TRUE(index);
  EXPECT_FALSE(index->unique());
  EXPECT_EQ(matches_text(*index, *table), "0 2 4;1;0 2 4;-;0 2 4");
}

TEST(KeyIndex, PrimaryKeyRefusesRepeatedAndNullKeys) {
  uint32_t row = 0;
  auto index = KeyIndex::build(table_of(kAs, {{"1", "a"}, {"2", "b"}, {"1", "c"}}), {0}, Keys::kUnique, &row);
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code, "23505");
  EXPECT_EQ(index.error().message, "duplicate key value violates the primary key: (asn) = (1)");
  EXPECT_EQ(row, 2u);
  index = KeyIndex::build(table_of(kAs, {{"1", "a"}, {nullptr, "b"}}), {0, 1}, Keys::kUnique, &row);
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code, "23502");
  EXPECT_EQ(row, 1u);
}

TEST(KeyIndex, SeveralKeysMatchOnlyTogether) {
  const auto table = table_of(kAs, {{"1", "x"}, {"1", "y"}, {"2", "x"}, {"2", nullptr}});
  const auto index = KeyIndex::build(table, {0, 1}, Keys::kAny);
  ASSERT_TRUE(index);
  EXPECT_EQ(matches_text(*index, *table_of(kAs, {{"2", "x"}, {"2", "y"}, {"2", nullptr}, {"1", "y"}})), "2;-;-;1");
}

TEST(KeyIndex, EqualityIsThatOfSql) {
  const auto one = [](Type type, const char* in_table, const char* probed) {
    const batch::Schema schema = {{{"k", type}}};
    return matches_text(*KeyIndex::build(table_of(schema, {{in_table}}), {0}, Keys::kAny),
                        *table_of(schema, {{probed}}));
  };
  EXPECT_EQ(one(Type::kFloat8, "-0", "0"), "0");
  EXPECT_EQ(one(Type::kFloat8, "NaN", "NaN"), "0");
  EXPECT_EQ(one(Type::kFloat8, "1", "2"), "-");
  EXPECT_EQ(one(Type::kInterval, "1 mon", "30 days"), "0");
  EXPECT_EQ(one(Type::kInterval, "1 day", "23:59:59"), "-");
  EXPECT_EQ(one(Type::kInet, "10.0.0.1", "10.0.0.1/32"), "0");
  EXPECT_EQ(one(Type::kInet, "10.0.0.1", "10.0.0.1/24"), "-");
  EXPECT_EQ(one(Type::kInet, "::", "0.0.0.0"), "-");
  EXPECT_EQ(one(Type::kText, "", ""), "0");
  EXPECT_EQ(one(Type::kText, "a long name of many octets", "a long name of many octets"), "0");
  EXPECT_EQ(one(Type::kText, "a long name of many octetS", "a long name of many octets"), "-");
  EXPECT_EQ(one(Type::kBool, "t", "t"), "0");
  EXPECT_EQ(one(Type::kBool, "t", "f"), "-");
}

TEST(KeyIndex, EmptyTableMatchesNothing) {
  const auto index = KeyIndex::build(table_of(kAs, {}), {0}, Keys::kUnique);
  ASSERT_TRUE(index);
  EXPECT_EQ(matches_text(*index, *table_of({{{"k", Type::kInt8}}}, {{"0"}, {nullptr}})), "-;-");
}

/// Random keys with repeats and nulls in every key type, against a map from key text to rows.
TEST(KeyIndex, EqualsAMapForRandomKeys) {
  for (uint32_t seed = 1; seed <= 24; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const std::vector<Type> types = {Type::kInt8, Type::kText, Type::kInet, Type::kFloat8};
    batch::Schema schema;
    const size_t key_count = 1 + random() % 3;
    for (size_t k = 0; k < key_count; ++k) {
      schema.columns.push_back({std::string(1, static_cast<char>('a' + k)), types[random() % 4]});
    }
    const uint64_t distinct = 1 + random() % (seed % 2 == 0 ? 30 : 4'000);
    const auto random_table = [&](size_t rows) {
      TableBuilder builder(schema);
      for (size_t row = 0; row < rows; ++row) {
        for (size_t c = 0; c < key_count; ++c) {
          if (random() % 20 == 0) continue;
          const auto value = static_cast<int64_t>(random() % distinct);
          switch (schema.columns[c].type) {
            case Type::kInt8: builder.set_int64(c, value << 32); break;
            case Type::kText: builder.set_text(c, "name of " + std::to_string(value)); break;
            case Type::kInet: builder.set_inet(c, base::Inet::v6(1, static_cast<uint64_t>(value))); break;
            default: builder.set_double(c, static_cast<double>(value)); break;
          }
        }
        EXPECT_TRUE(builder.end_row());
      }
      return builder.finish();
    };
    const auto table = random_table(random() % 3'000);
    const auto probe = random_table(3'000);
    const auto has_null = [&](const Table& in, size_t row) {
      for (size_t c = 0; c < key_count; ++c) {
        if (in.column(c).is_null(row)) return true;
      }
      return false;
    };
    std::map<std::string, std::vector<uint32_t>> expected;
    for (uint32_t row = 0; row < table->row_count(); ++row) {
      if (!has_null(*table, row)) expected[row_text(*table, row)].push_back(row);
    }
    std::vector<uint32_t> key_columns, matches(probe->row_count());
    std::vector<batch::Column> keys;
    for (uint32_t c = 0; c < key_count; ++c) {
      key_columns.push_back(c);
      keys.push_back(probe->column(c));
    }
    const auto index = KeyIndex::build(table, key_columns, Keys::kAny);
    ASSERT_TRUE(index);
    index->find(keys.data(), nullptr, matches.size(), matches.data());
    for (size_t i = 0; i < matches.size(); ++i) {
      std::vector<uint32_t> found, wanted;
      for (uint32_t row = matches[i]; row != kNoRow; row = index->next(row)) found.push_back(row);
      if (!has_null(*probe, i)) wanted = expected[row_text(*probe, i)];
      ASSERT_EQ(found, wanted) << "row " << i;
    }
  }
}

}  // namespace
}  // namespace backstream::lookup
