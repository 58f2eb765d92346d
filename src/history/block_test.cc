#include "history/block.h"

#include <gtest/gtest.h>

#include <random>

#include "history/parts_test.h"

namespace backstream::history {
namespace {

using batch::Type;

std::shared_ptr<ResultForm> form_of_all_types() {
  auto form = std::make_shared<ResultForm>();
  for (uint8_t type = 1; type <= static_cast<uint8_t>(Type::kTimestamp); ++type)
    form->schema.columns.push_back({fmt::format("c{}", type), static_cast<Type>(type)});
  form->keys = {0, 3};
  form->window_size_us = kMinute;
  form->window_end_column = form->schema.find(fmt::format("c{}", static_cast<int>(Type::kTimestamptz)));
  return form;
}

/// Any values, every fifth of them null.
batch::BatchBuffer rows_of(const ResultForm& form, size_t row_count, std::mt19937_64& random) {
  batch::BatchBuffer rows(form.schema.types(), std::vector<bool>(form.schema.columns.size(), true), row_count);
  rows.batch.row_count = row_count;
  for (batch::Column& column : rows.batch.columns) {
    column.has_nulls = true;
    for (size_t row = 0; row < row_count; ++row) {
      column.validity[row] = random() % 5 != 0;
      const uint64_t any = random() >> (random() % 64);
      switch (batch::physical(column.type)) {
        case batch::Physical::kByte: column.as<uint8_t>()[row] = any & 1; break;
        case batch::Physical::kInt64: column.as<int64_t>()[row] = static_cast<int64_t>(any); break;
        case batch::Physical::kDouble: column.as<double>()[row] = static_cast<double>(any) / 3; break;
        case batch::Physical::kText:
          column.as<std::string_view>()[row] =
              rows.texts.copy(std::string(any % 50, static_cast<char>('a' + any % 26)));
          break;
        case batch::Physical::kInet:
          column.as<base::Inet>()[row] = *base::parse_inet(any % 2 == 0 ? "192.0.2.7" : "2001:db8::/32");
          break;
        case batch::Physical::kInterval:
          column.as<base::Interval>()[row] = {static_cast<int64_t>(any), static_cast<int32_t>(any), 3};
          break;
      }
    }
  }
  return rows;
}

TEST(HistoryBlock, GivesBackEveryTypeAndNull) {
  std::mt19937_64 random(7);
  const auto form = form_of_all_types();
  BlockWriter writer;
  BlockReader reader;
  for (const size_t row_count : {size_t{1}, size_t{2}, size_t{1'000}}) {
    const batch::BatchBuffer rows = rows_of(*form, row_count, random);
    ResultPart part, copy;
    part.form = copy.form = form;
    receiver::copy_rows(rows.batch, 0, row_count, rows.batch.columns.size(), copy);
    ASSERT_TRUE(reader.read(*writer.write(rows.batch), row_count, part));
    EXPECT_EQ(receiver::window_json("q", part, 0, row_count, true, false),
              receiver::window_json("q", copy, 0, row_count, true, false));
  }
}

TEST(HistoryBlock, ReadsAWindowWithoutRows) {
  BlockWriter writer;
  BlockReader reader;
  ResultPart part;
  part.form = form_of_all_types();
  EXPECT_TRUE(reader.read(*writer.write({}), 0, part));
  EXPECT_EQ(part.rows.row_count, 0U);
}

TEST(HistoryBlock, RefusesWhatIsNotSoManyRowsOfTheForm) {
  std::mt19937_64 random(7);
  const auto form = form_of_all_types();
  BlockWriter writer;
  BlockReader reader;
  const batch::BatchBuffer rows = rows_of(*form, 20, random);
  const auto octets = *writer.write(rows.batch);
  const std::vector<uint8_t> block(octets.begin(), octets.end());
  const auto reads = [&](std::span<const uint8_t> bytes, size_t row_count) {
    ResultPart part;
    part.form = form;
    const bool read = reader.read(bytes, row_count, part);
    EXPECT_TRUE(read || part.rows.columns.empty());
    return read;
  };
  ASSERT_TRUE(reads(block, 20));
  for (const size_t wrong : {size_t{0}, size_t{19}, size_t{21}, SIZE_MAX}) EXPECT_FALSE(reads(block, wrong)) << wrong;
  for (size_t octets_left = 0; octets_left < block.size(); ++octets_left)
    EXPECT_FALSE(reads({block.data(), octets_left}, 20)) << octets_left;
  for (int round = 0; round < 20'000; ++round) {
    // Whatever it says, it is read or refused; checksums are a matter of files.
    std::vector<uint8_t> damaged = block;
    damaged[random() % damaged.size()] ^= static_cast<uint8_t>(1 + random() % 255);
    reads(damaged, 20);
  }
}

TEST(HistoryBlock, FormsFromBeforeStandardErrorsAreReadAndWrittenAsBefore) {
  auto form = std::make_shared<ResultForm>();
  form->schema.columns = {{"o", Type::kInt8}, {"e", Type::kFloat8}};
  const std::vector<uint8_t> before = {
      2, static_cast<uint8_t>(Type::kInt8), 0, 1, 'o', static_cast<uint8_t>(Type::kFloat8), 0, 1, 'e', 0, 0, 1, 1};
  form->window_start_column = form->window_end_column = -1;
  EXPECT_EQ(write_form(*form), before);
  ASSERT_NE(read_form(before), nullptr);
  EXPECT_TRUE(read_form(before)->stderr_of.empty());
  form->stderr_of = {-1, 0};
  const auto octets = write_form(*form);
  ASSERT_NE(read_form(octets), nullptr);
  EXPECT_EQ(read_form(octets)->stderr_of, form->stderr_of);
  auto beyond = octets;
  beyond.back() = 4;  // Column 2, of two.
  EXPECT_EQ(read_form(beyond), nullptr);
  EXPECT_EQ(read_form({octets.data(), octets.size() - 1}), nullptr);
}

TEST(HistoryBlock, FormsComeBackAsTheyWere) {
  const auto form = form_of_all_types();
  const auto octets = write_form(*form);
  const auto read = read_form(octets);
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(write_form(*read), octets);
  EXPECT_EQ(read->schema.columns.back().name, form->schema.columns.back().name);
  EXPECT_EQ(read->keys, form->keys);
  EXPECT_EQ(read->window_end_column, form->window_end_column);
  EXPECT_EQ(read->window_start_column, -1);
  for (size_t cut = 0; cut < octets.size(); ++cut) EXPECT_EQ(read_form({octets.data(), cut}), nullptr) << cut;
  std::mt19937_64 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<uint8_t> damaged = octets;
    damaged[random() % damaged.size()] ^= static_cast<uint8_t>(1 + random() % 255);
    read_form(damaged);
  }
}

}  // namespace
}  // namespace backstream::history
