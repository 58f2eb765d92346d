#include "partial/rows.h"

#include <gtest/gtest.h>

namespace backstream::partial {
namespace {

using batch::Type;

/// Columns: a number, one that does not travel, a text, one that is not there.
RowForm form() { return {{Type::kInt8, Type::kInt8, Type::kText, Type::kFloat8}, {true, false, true, true}}; }

struct Rows {
  std::vector<int64_t> numbers{1, -70'000, 3};
  std::vector<uint8_t> present{1, 0, 1};
  std::vector<std::string_view> texts{"ams", "", "frankfurt"};
  batch::ColumnBatch batch;
  Rows() {
    batch.row_count = 3;
    batch.columns.resize(4);
    batch.columns[0] = {Type::kInt8, true, numbers.data(), present.data()};
    batch.columns[1] = {Type::kInt8, false, numbers.data(), nullptr};
    batch.columns[2] = {Type::kText, false, texts.data(), nullptr};
    batch.columns[3] = {Type::kFloat8, false, nullptr, nullptr};
  }
};
ChunkId id() { return {ChunkId::Kind::kRows, {3, 1, 77}, 60, 4, 0, 0, true}; }

TEST(PartialRows, ComeBackABatchAtATime) {
  Rows rows;
  RowsWriter writer(form());
  const uint32_t chosen[] = {2, 0}, again[] = {1};
  writer.add(rows.batch, chosen, 2);
  writer.add(rows.batch, again, 1);
  EXPECT_EQ(writer.row_count(), 3u);
  const auto bytes = writer.take(id());
  EXPECT_EQ(writer.row_count(), 0u);
  Message message;
  PartialFault fault{};
  ASSERT_TRUE(read_message(bytes, message, fault));
  EXPECT_EQ(message.chunk.supplement, 4u);
  RowsReader reader(form(), 2);
  ASSERT_TRUE(reader.read(message));
  std::vector<std::string> read;
  std::vector<size_t> sizes;
  reader.for_each_batch([&](const batch::ColumnBatch& batch) {
    sizes.push_back(batch.row_count);
    for (size_t row = 0; row < batch.row_count; ++row) {
      const auto& number = batch.columns[0];
      read.push_back((number.is_null(row) ? "null" : std::to_string(number.as<int64_t>()[row])) + ' ' +
                     std::string(batch.columns[2].as<std::string_view>()[row]));
      EXPECT_TRUE(batch.columns[3].is_null(row));
    }
    EXPECT_EQ(batch.columns[1].values, nullptr);
  });
  EXPECT_EQ(sizes, (std::vector<size_t>{2, 1}));
  EXPECT_EQ(read, (std::vector<std::string>{"3 frankfurt", "1 ams", "null "}));
}

TEST(PartialRows, AMessageMayHoldNone) {
  RowsWriter writer(form());
  const auto bytes = writer.take(id());
  Message message;
  PartialFault fault{};
  ASSERT_TRUE(read_message(bytes, message, fault));
  RowsReader reader(form(), 2);
  EXPECT_TRUE(reader.read(message));
  reader.for_each_batch([](const batch::ColumnBatch&) { ADD_FAILURE() << "there are no rows"; });
}

TEST(PartialRows, WhatDoesNotFitIsRefused) {
  Rows rows;
  RowsWriter writer(form());
  const uint32_t chosen[] = {0, 1, 2};
  writer.add(rows.batch, chosen, 3);
  const auto bytes = writer.take(id());
  Message message;
  PartialFault fault{};
  ASSERT_TRUE(read_message(bytes, message, fault));
  RowsReader reader(form(), 2);
  const Message whole = message;
  for (size_t octets = 0; octets < whole.groups.size(); ++octets) {
    message.groups = whole.groups.first(octets);
    EXPECT_FALSE(reader.read(message)) << octets << " octets";
  }
  message = whole;
  message.group_count = kRowsMax;
  EXPECT_FALSE(reader.read(message)) << "there cannot be so many";
  message.group_count = UINT64_MAX;
  EXPECT_FALSE(reader.read(message));
  message.group_count = 2;
  EXPECT_FALSE(reader.read(message)) << "octets are left";
}

}  // namespace
}  // namespace backstream::partial
