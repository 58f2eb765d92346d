#include "lookup/lookup_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "lookup/lookup_test_input.h"

namespace backstream::lookup {
namespace {

using batch::Type;
using Rows = std::vector<std::string>;

const TableDefinition kAsNames = {"as_names", {{{"asn", Type::kInt8}, {"name", Type::kText}}}, {0}};

/// Rows in the shape that INSERT and UPDATE take; the table keeps them alive.
struct Batch {
  Batch(const batch::Schema& schema, const std::vector<std::vector<const char*>>& rows)
      : table(table_of(schema, rows)), batch(table->slice(0, table->row_count())) {}
  std::shared_ptr<const Table> table;
  batch::ColumnBatch batch;
};
Rows rows_of(const LookupTable& table) { return rows_text(*table.published().snapshot()->table); }

TEST(LookupTable, BeginsEmptyWithItsPrimaryIndex) {
  LookupTable table(kAsNames);
  const auto snapshot = table.published().snapshot();
  EXPECT_EQ(snapshot->table->row_count(), 0u);
  ASSERT_EQ(snapshot->key_indexes.size(), 1u);
  EXPECT_EQ(snapshot->key_indexes[0]->columns(), std::vector<uint32_t>{0});
}

TEST(LookupTable, InsertUpdateAndEraseByKey) {
  LookupTable table(kAsNames);
  const auto& schema = kAsNames.schema;
  EXPECT_EQ(table.insert(Batch(schema, {{"1", "a"}, {"2", "b"}, {"3", nullptr}}).batch).value(), 3u);
  EXPECT_EQ(table.insert(Batch(schema, {{"4", "d"}}).batch).value(), 1u);
  EXPECT_EQ(rows_of(table), (Rows{"1|a", "2|b", "3|-", "4|d"}));
  EXPECT_EQ(table.update(Batch(schema, {{"3", "c"}, {"9", "x"}, {"1", "old"}, {"1", nullptr}}).batch).value(), 2u);
  EXPECT_EQ(rows_of(table), (Rows{"1|-", "2|b", "3|c", "4|d"}));
  EXPECT_EQ(table.erase(Batch({{{"asn", Type::kInt8}}}, {{"2"}, {"9"}, {"4"}, {"2"}, {nullptr}}).batch).value(), 2u);
  EXPECT_EQ(rows_of(table), (Rows{"1|-", "3|c"}));
  table.truncate();
  EXPECT_EQ(rows_of(table), Rows{});
}

TEST(LookupTable, RowsByNumberForOtherConditions) {
  LookupTable table({"t", kAsNames.schema, {}});
  ASSERT_TRUE(table.insert(Batch(kAsNames.schema, {{"1", "a"}, {"1", "b"}, {"2", "c"}}).batch));
  EXPECT_EQ(table.replace_rows({1, 2}, Batch(kAsNames.schema, {{"7", "x"}, {nullptr, "y"}}).batch).value(), 2u);
  EXPECT_EQ(rows_of(table), (Rows{"1|a", "7|x", "-|y"}));
  EXPECT_EQ(table.erase_rows({0, 2, 0}).value(), 2u);
  EXPECT_EQ(rows_of(table), Rows{"7|x"});
}

TEST(LookupTable, RefusedChangesChangeNothing) {
  TableLimits limits;
  limits.row_count_max = 3;
  LookupTable table(kAsNames, limits);
  ASSERT_TRUE(table.insert(Batch(kAsNames.schema, {{"1", "a"}, {"2", "b"}}).batch));
  const uint64_t version = table.published().version();
  EXPECT_EQ(table.insert(Batch(kAsNames.schema, {{"3", "c"}, {"1", "d"}}).batch).error().code, "54000");
  EXPECT_EQ(table.insert(Batch(kAsNames.schema, {{"1", "d"}}).batch).error().code, "23505");
  EXPECT_EQ(table.insert(Batch(kAsNames.schema, {{nullptr, "d"}}).batch).error().code, "23502");
  EXPECT_EQ(table.replace_rows({0}, Batch(kAsNames.schema, {{"2", "d"}}).batch).error().code, "23505");
  EXPECT_EQ(table.update(Batch(kAsNames.schema, {{"9", "d"}}).batch).value(), 0u);
  EXPECT_EQ(rows_of(table), (Rows{"1|a", "2|b"}));
  EXPECT_EQ(table.published().version(), version);
}

TEST(LookupTable, WithoutAPrimaryKeyThereIsNothingToUpdateBy) {
  LookupTable table({"t", kAsNames.schema, {}});
  ASSERT_TRUE(table.insert(Batch(kAsNames.schema, {{"1", "a"}, {"1", "b"}}).batch));
  EXPECT_EQ(table.update(Batch(kAsNames.schema, {{"1", "c"}}).batch).error().code, "55000");
  EXPECT_EQ(table.erase(Batch({{{"asn", Type::kInt8}}}, {{"1"}}).batch).error().code, "55000");
}

TEST(LookupTable, IndexesFollowEveryChange) {
  LookupTable table({"t", {{{"prefix", Type::kCidr}, {"name", Type::kText}}}, {0}});
  const auto& schema = table.definition().schema;
  ASSERT_TRUE(table.insert(Batch(schema, {{"10.0.0.0/8", "a"}}).batch));
  const size_t by_name = table.add_key_index({1});
  const size_t by_prefix = table.add_prefix_table(0).value();
  EXPECT_EQ(table.add_key_index({1}), by_name);
  EXPECT_EQ(table.add_key_index({0}), 0u) << "the primary key's";
  EXPECT_EQ(table.add_prefix_table(0).value(), by_prefix);
  EXPECT_EQ(table.add_prefix_table(1).error().code, "42804");

  base::Published<Snapshot>::Reader reader(table.published());
  const auto look = [&] {
    const Snapshot& now = *reader.current();
    const auto address = table_of({{{"a", Type::kInet}}}, {{"10.1.2.3"}});
    const auto name = table_of({{{"n", Type::kText}}}, {{"b"}});
    uint32_t by[2];
    now.prefix_tables[by_prefix]->find(address->column(0), nullptr, 1, &by[0]);
    now.key_indexes[by_name]->find(&name->column(0), nullptr, 1, &by[1]);
    std::string text;
    for (const uint32_t row : by) {
      if (!text.empty()) text += ' ';
      text += row == kNoRow ? "-" : row_text(*now.table, row);
    }
    return text;
  };
  EXPECT_EQ(look(), "10.0.0.0/8|a -");
  ASSERT_TRUE(table.insert(Batch(schema, {{"10.1.0.0/16", "b"}}).batch));
  EXPECT_EQ(look(), "10.1.0.0/16|b 10.1.0.0/16|b");
  ASSERT_TRUE(table.update(Batch(schema, {{"10.0.0.0/8", "b"}}).batch));
  EXPECT_EQ(look(), "10.1.0.0/16|b 10.0.0.0/8|b");
  ASSERT_TRUE(table.erase(Batch({{{"p", Type::kCidr}}}, {{"10.1.0.0/16"}}).batch));
  EXPECT_EQ(look(), "10.0.0.0/8|b 10.0.0.0/8|b");
}

TEST(LookupTable, ReadersOfOtherThreadsAlwaysSeeIndexesOfTheirRows) {
  LookupTable table(kAsNames);
  std::atomic<bool> done{false};
  std::atomic<uint64_t> wrong{0};
  std::thread reading([&] {
    base::Published<Snapshot>::Reader reader(table.published());
    while (!done) {
      const Snapshot& now = *reader.current();
      const size_t n = now.table->row_count();
      std::vector<uint32_t> matches(n);
      if (n == 0) continue;
      now.key_indexes[0]->find(&now.table->column(0), nullptr, n, matches.data());
      for (uint32_t row = 0; row < n; ++row) wrong += matches[row] != row;
    }
  });
  for (int i = 0; i < 300; ++i) {
    const std::string key = std::to_string(i);
    ASSERT_TRUE(table.insert(Batch(kAsNames.schema, {{key.c_str(), "x"}}).batch));
    if (i % 3 == 0) {
      ASSERT_TRUE(table.erase(Batch({{{"asn", Type::kInt8}}}, {{key.c_str()}}).batch));
    }
  }
  done = true;
  reading.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(table.published().snapshot()->table->row_count(), 200u);
}

}  // namespace
}  // namespace backstream::lookup
