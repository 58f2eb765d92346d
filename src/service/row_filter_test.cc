#include "service/row_filter.h"

#include <gtest/gtest.h>

#include <string>

namespace backstream::service {
namespace {

using batch::Type;

const batch::Schema kSchema = {
    {{"window_start", Type::kTimestamptz}, {"site", Type::kText}, {"customer", Type::kInet}, {"octets", Type::kInt8}}};

/// Rows 0, 1, 2 …: site by turns ams, fra, null; customer 10.0.x.1; octets the row's number.
struct Rows {
  explicit Rows(size_t count) : buffer(kSchema.types(), {true, true, true, true}, count) {
    constexpr std::string_view kSites[] = {"ams", "fra", ""};
    buffer.batch.row_count = count;
    buffer.batch.columns[1].has_nulls = true;
    for (size_t row = 0; row < count; ++row) {
      buffer.batch.columns[0].as<int64_t>()[row] = 0;
      buffer.batch.columns[1].as<std::string_view>()[row] = kSites[row % 3];
      buffer.batch.columns[1].validity[row] = row % 3 != 2;
      buffer.batch.columns[2].as<base::Inet>()[row] =
          base::Inet::v4(0x0A000001 + static_cast<uint32_t>(row % 256) * 256);
      buffer.batch.columns[3].as<int64_t>()[row] = static_cast<int64_t>(row);
    }
  }
  batch::BatchBuffer buffer;
};

std::string seen(std::string_view condition, size_t count = 6) {
  auto filter = RowFilter::make(condition, kSchema);
  if (!filter) return filter.error().code + " " + filter.error().message;
  const Rows rows(count);
  const batch::ColumnBatch& out = filter->apply(rows.buffer.batch);
  std::string text;
  for (size_t row = 0; row < out.row_count; ++row)
    text += std::to_string(out.columns[3].as<int64_t>()[row]) +
            (out.columns[1].is_null(row) ? "-" : std::string(out.columns[1].as<std::string_view>()[row])) + " ";
  return text;
}

TEST(RowFilter, ShowsRowsOfWhichTheConditionIsTrue) {
  EXPECT_EQ(seen("site = 'ams'"), "0ams 3ams ");
  EXPECT_EQ(seen("site IN ('ams', 'fra') AND octets > 0"), "1fra 3ams 4fra ");
  EXPECT_EQ(seen("site IS NULL"), "2- 5- ");
  EXPECT_EQ(seen("NOT site = 'ams'"), "1fra 4fra ") << "null is not true";
  EXPECT_EQ(seen("customer <<= inet '10.0.4.0/23'"), "4fra 5- ");
  EXPECT_EQ(seen("true"), seen("octets >= 0"));
  EXPECT_EQ(seen("false"), "");
  EXPECT_EQ(seen("site = 'ams' -- Amsterdam"), "0ams 3ams ");
  EXPECT_EQ(seen("6 / octets = 2"), "3ams ") << "a row whose condition cannot be computed is not seen";
}

TEST(RowFilter, TakesAnyNumberOfRowsAgainAndAgain) {
  auto filter = RowFilter::make("site = 'fra'", kSchema);
  ASSERT_TRUE(filter);
  for (const size_t count : {size_t{10'000}, size_t{1}, size_t{2'049}, size_t{6'144}}) {
    const Rows rows(count);
    const batch::ColumnBatch& out = filter->apply(rows.buffer.batch);
    ASSERT_EQ(out.row_count, (count + 1) / 3) << count;
    for (size_t row = 0; row < out.row_count; ++row)
      ASSERT_EQ(out.columns[3].as<int64_t>()[row], static_cast<int64_t>(3 * row + 1));
  }
}

TEST(RowFilter, AResultWithoutTheColumnsIsNotShown) {
  const std::string missing = seen("pop = 'ams'");
  EXPECT_TRUE(missing.starts_with("42501 ")) << missing;
  EXPECT_NE(missing.find("\"pop\""), std::string::npos) << missing;
  EXPECT_TRUE(seen("octets = 'ams'").starts_with("42501 "));
  EXPECT_TRUE(seen("octets").starts_with("42501 ")) << "it is no boolean";
  EXPECT_TRUE(seen("sum(octets) > 1").starts_with("42501 "));
  EXPECT_TRUE(seen("other.site = 'ams'").starts_with("42501 "));
  const batch::Schema twice = {{{"site", Type::kText}, {"site", Type::kText}}};
  EXPECT_FALSE(RowFilter::make("site = 'ams'", twice)) << "which of them is the site?";
}

TEST(RowFilter, IsOneExpressionAndNothingElse) {
  for (const char* text : {"",
                           "site = 'ams';",
                           "true; SELECT 1",
                           "true) OR (true",
                           "true GROUP BY site",
                           "true HAVING true",
                           "true ORDER BY site",
                           "true LIMIT 1",
                           "true OFFSET 0",
                           "true UNION ALL SELECT * FROM result",
                           "true WINDOW w AS (PARTITION BY site)",
                           "true FOR UPDATE",
                           "SELECT true",
                           "site = 'ams",
                           "site = 'ams' /*",
                           "EXISTS (SELECT 1 FROM result)",
                           "site IN (SELECT site FROM result)",
                           "octets > (SELECT 1)",
                           "row_number() OVER () = 1",
                           "coalesce((SELECT true), false)",
                           "CASE WHEN EXISTS (SELECT 1) THEN true END",
                           "true -- a\n) OR (\ntrue"}) {
    EXPECT_FALSE(RowFilter::check(text)) << text;
    EXPECT_FALSE(RowFilter::make(text, kSchema)) << text;
  }
  EXPECT_FALSE(RowFilter::check(std::string(5'000, ' ') + "true"));
  EXPECT_TRUE(RowFilter::check("pop = 'ams' OR (customer <<= inet '10.0.0.0/8' AND NOT internal)"));
}

TEST(RowFilter, MistakesAreLocatedInTheCondition) {
  const auto checked = RowFilter::check("site = 'ams'\n AND octets >> > 1");
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().line, 2u);
  EXPECT_EQ(checked.error().excerpt, " AND octets >> > 1");
}

}  // namespace
}  // namespace backstream::service
