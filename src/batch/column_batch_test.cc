#include "batch/column_batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "batch/flow_schema.h"

namespace backstream::batch {
namespace {

TEST(BatchBuffer, OnlyWantedColumnsHaveMemory) {
  BatchBuffer buffer({Type::kInt8, Type::kText, Type::kInet}, {true, false, true}, 3);
  EXPECT_EQ(buffer.capacity(), 3U);
  EXPECT_EQ(buffer.batch.row_count, 0U);
  ASSERT_EQ(buffer.batch.columns.size(), 3U);
  EXPECT_NE(buffer.batch.columns[0].values, nullptr);
  EXPECT_EQ(buffer.batch.columns[1].values, nullptr);
  EXPECT_EQ(buffer.batch.columns[1].type, Type::kText);
  EXPECT_EQ(buffer.batch.columns[2].as<base::Inet>()[2], base::Inet{});
}

TEST(BatchBuffer, RowsAreReadableFromTheStart) {
  for (const Type type : {Type::kBool, Type::kInt8, Type::kFloat8, Type::kText, Type::kInet, Type::kInterval}) {
    BatchBuffer buffer({type}, {true}, kBatchRows);
    Column& column = buffer.batch.columns[0];
    EXPECT_FALSE(column.is_null(kBatchRows - 1));
    column.has_nulls = true;
    EXPECT_FALSE(column.is_null(kBatchRows - 1));
    column.validity[kBatchRows - 1] = 0;
    EXPECT_TRUE(column.is_null(kBatchRows - 1));
    if (type == Type::kText) {
      EXPECT_TRUE(column.as<std::string_view>()[kBatchRows - 1].empty());
    }
  }
}

TEST(BatchBuffer, MovesWithItsMemory) {
  BatchBuffer buffer({Type::kInt8}, {true}, 4);
  buffer.batch.columns[0].as<int64_t>()[3] = 7;
  const BatchBuffer moved = std::move(buffer);
  EXPECT_EQ(moved.batch.columns[0].as<int64_t>()[3], 7);
}

TEST(FlowSchema, NamesAreUniqueAndFoundExactly) {
  std::set<std::string> names;
  for (const ColumnDef& column : flow_schema().columns) names.insert(column.name);
  EXPECT_EQ(names.size(), flow_schema().columns.size());
  EXPECT_EQ(flow_schema().find("octets"), static_cast<int>(FlowColumn::kOctets));
  EXPECT_EQ(flow_schema().find("nat_dst_port"), static_cast<int>(kFlowColumnCount) - 1);
  EXPECT_EQ(flow_schema().find("Octets"), -1);
  EXPECT_EQ(flow_schema().columns[flow_schema().find("src_prefix")].type, Type::kCidr);
  EXPECT_NE(about(FlowColumn::kOctets).find("sampling rate"), std::string_view::npos);
}

TEST(FlowSchema, ColumnSetKnowsItsMembers) {
  FlowColumnSet set;
  set.add(FlowColumn::kTime);
  set.add(FlowColumn::kNatDstPort);
  const std::vector<bool> wanted = set.as_vector();
  EXPECT_EQ(std::count(wanted.begin(), wanted.end(), true), 2);
  EXPECT_TRUE(wanted[kFlowColumnCount - 1]);
  EXPECT_TRUE(set.has(FlowColumn::kTime));
  EXPECT_FALSE(set.has(FlowColumn::kOctets));
}

TEST(Type, NamesAreThoseOfPostgres) {
  EXPECT_EQ(name(Type::kInt4), "integer");
  EXPECT_EQ(name(Type::kTimestamptz), "timestamp with time zone");
  EXPECT_EQ(name(Type::kFloat8), "double precision");
}

}  // namespace
}  // namespace backstream::batch
