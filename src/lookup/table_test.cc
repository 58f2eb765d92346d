#include "lookup/table.h"

#include <gtest/gtest.h>

#include "lookup/lookup_test_input.h"

namespace backstream::lookup {
namespace {

using batch::Type;

const batch::Schema kEveryType = {{{"b", Type::kBool},
                                   {"i", Type::kInt8},
                                   {"d", Type::kFloat8},
                                   {"t", Type::kText},
                                   {"a", Type::kInet},
                                   {"v", Type::kInterval}}};

TEST(Table, HoldsEveryTypeAndNulls) {
  const auto table = table_of(kEveryType, {{"t", "-5", "1.5", "hello", "10.0.0.1", "1 day"},
                                           {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr}});
  ASSERT_EQ(table->row_count(), 2u);
  EXPECT_EQ(row_text(*table, 0), "t|-5|1.5|hello|10.0.0.1|1 day");
  EXPECT_EQ(row_text(*table, 1), "-|-|-|-|-|-");
  EXPECT_EQ(table->column(3).as<std::string_view>()[1], "") << "the value of a null is readable";
}

TEST(Table, ColumnsWithoutNullsSaySo) {
  const auto table = table_of({{{"i", Type::kInt8}, {"t", Type::kText}}}, {{"1", "a"}, {"2", nullptr}});
  EXPECT_FALSE(table->column(0).has_nulls);
  EXPECT_TRUE(table->column(1).has_nulls);
}

TEST(Table, GrowsAndKeepsWhatItHas) {
  TableBuilder builder({{{"i", Type::kInt8}, {"t", Type::kText}}});
  for (int64_t i = 0; i < 10'000; ++i) {
    if (i % 3 != 0) builder.set_int64(0, i);
    builder.set_text(1, "row " + std::to_string(i));
    ASSERT_TRUE(builder.end_row());
  }
  const auto table = builder.finish();
  ASSERT_EQ(table->row_count(), 10'000u);
  for (size_t i = 0; i < 10'000; ++i) {
    ASSERT_EQ(table->column(0).is_null(i), i % 3 == 0);
    ASSERT_EQ(table->column(1).as<std::string_view>()[i], "row " + std::to_string(i));
  }
  const batch::ColumnBatch slice = table->slice(9'000, 500);
  EXPECT_EQ(slice.row_count, 500u);
  EXPECT_EQ(slice.columns[0].as<int64_t>()[1], 9'001);
  EXPECT_TRUE(slice.columns[0].is_null(0));
  EXPECT_EQ(slice.columns[1].as<std::string_view>()[499], "row 9499");
}

TEST(Table, DroppedRowLeavesNothingBehind) {
  TableBuilder builder({{{"i", Type::kInt8}, {"t", Type::kText}}});
  builder.set_int64(0, 1);
  builder.set_text(1, "dropped");
  builder.drop_row();
  builder.set_int64(0, 2);
  ASSERT_TRUE(builder.end_row());
  EXPECT_EQ(rows_text(*builder.finish()), std::vector<std::string>{"2|-"});
}

TEST(Table, LimitOfRowsIsKept) {
  TableLimits limits;
  limits.row_count_max = 2;
  TableBuilder builder({{{"i", Type::kInt8}}}, limits);
  builder.set_int64(0, 1);
  EXPECT_TRUE(builder.end_row());
  builder.set_int64(0, 2);
  EXPECT_TRUE(builder.end_row());
  builder.set_int64(0, 3);
  EXPECT_FALSE(builder.end_row());
  EXPECT_EQ(builder.refuse_limit().value().code, "54000");
  EXPECT_EQ(builder.refuse_limit().value().message, "the table would have more than 2 rows");
  EXPECT_EQ(rows_text(*builder.finish()), (std::vector<std::string>{"1", "2"}));
}

TEST(Table, LimitOfOctetsCountsText) {
  TableLimits limits;
  limits.octets_max = 100'000;
  TableBuilder builder({{{"t", Type::kText}}}, limits);
  const std::string text(10'000, 'x');
  size_t rows = 0;
  do builder.set_text(0, text);
  while (builder.end_row() && ++rows < 100);
  EXPECT_GT(rows, 0u);
  EXPECT_LT(rows, 10u);
  EXPECT_EQ(builder.refuse_limit().value().message, "the table would need more than 100000 octets");
}

}  // namespace
}  // namespace backstream::lookup
