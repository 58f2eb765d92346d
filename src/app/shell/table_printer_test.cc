#include "app/shell/table_printer.h"

#include <gtest/gtest.h>

#include "app/shell/display_text.h"

namespace backstream::app::shell {
namespace {

using Lines = std::vector<std::string>;

Cell number(std::string digits) { return {Cell::Kind::kNumber, std::move(digits)}; }
Cell text(std::string value) { return {Cell::Kind::kText, std::move(value)}; }

class TablePrinter : public testing::Test {
 protected:
  void SetUp() override { use_utf8(); }
  const std::vector<ResultColumn> columns{{"who", "text"}, {"octets", "bigint"}};
};

TEST_F(TablePrinter, AlignsByColumnsOfTheTerminal) {
  const std::vector<Row> rows{{text("東京"), number("12345678")}, {text("São"), {}}, {text(""), number("-1")}};
  EXPECT_EQ(
      aligned_table(columns, rows, {.null_text = "∅"}),
      (Lines{" who  |  octets", "------+----------", " 東京 | 12345678", " São  |        ∅", "      |       -1"}));
}
TEST_F(TablePrinter, StandardErrorsArePartsOfTheirValues) {
  const std::vector<ResultColumn> sampled{{"octets", "bigint"}, {"±", "double precision", false, "octets"}};
  const std::vector<Row> rows{
      {number("1000000"), number("31622.8")}, {number("7"), number("7.0")},      {number("9"), number("0")},
      {number("0"), number("5.5")},           {number("100000"), number("0.1")}, {{}, {}}};
  EXPECT_EQ(aligned_table(sampled, rows, {}),
            (Lines{" octets  |    ±", "---------+----------", " 1000000 |   ±3.2 %", "       7 |   ±100 %",
                   "       9 |     ±0 %", "       0 |      5.5", "  100000 | ±<0.01 %", "         |"}));
}
TEST_F(TablePrinter, CutsTextsNeverNumbers) {
  const std::string digits(40, '9');
  const std::vector<Row> rows{{text(std::string(80, 'x')), number(digits)}};
  const Lines lines = aligned_table(columns, rows, {.screen_columns = 60});
  for (const std::string& line : lines) EXPECT_LE(width_of(line), 60u) << line;
  EXPECT_NE(lines[2].find("xxx…"), std::string::npos) << lines[2];
  EXPECT_NE(lines[2].find(digits), std::string::npos);
  EXPECT_FALSE(wants_expanded(columns, rows, {.screen_columns = 60}));
  // Narrower than the number and a readable piece of the text: both would be useless.
  EXPECT_TRUE(wants_expanded(columns, rows, {.screen_columns = 50}));
  EXPECT_NE(aligned_table(columns, rows, {.screen_columns = 50})[2].find(digits), std::string::npos);
  // Nothing is cut where there is no terminal.
  EXPECT_NE(aligned_table(columns, rows, {})[2].find(std::string(80, 'x')), std::string::npos);
  EXPECT_FALSE(wants_expanded(columns, rows, {}));
}
TEST_F(TablePrinter, TwoLongTextsShareTheRoom) {
  const std::vector<ResultColumn> two{{"a", "text"}, {"b", "text"}};
  const std::vector<Row> rows{{text(std::string(100, 'a')), text(std::string(100, 'b'))}};
  std::vector<size_t> widths;
  const Lines lines = aligned_table(two, rows, {.screen_columns = 80}, &widths);
  EXPECT_EQ(width_of(lines[1]), 80u);
  EXPECT_GT(widths[0], 30u);
  EXPECT_GT(widths[1], 30u);
}
TEST_F(TablePrinter, WhatIsRedrawnInPlaceStaysOnOneLine) {
  const std::vector<ResultColumn> three{{"a", "bigint"}, {"b", "bigint"}, {"c", "bigint"}};
  const std::vector<Row> rows{{number("1234567890"), number("1234567890"), number("1234567890")}};
  size_t left_out = 0;
  const Lines lines = aligned_table(three, rows, {.screen_columns = 30, .one_line = true}, nullptr, &left_out);
  EXPECT_EQ(left_out, 1u);
  EXPECT_EQ(lines[2], " 1234567890 | 1234567890");
  for (const std::string& line : expanded_table({{"a", "text"}}, std::vector<Row>{{text(std::string(90, 'x'))}},
                                                {.screen_columns = 30, .one_line = true}))
    EXPECT_LE(width_of(line), 30u) << line;
}
TEST_F(TablePrinter, TablesThatGoOnKeepTheirColumns) {
  std::vector<size_t> widths;
  aligned_table(columns, std::vector<Row>{{text("long name"), number("1")}}, {}, &widths);
  EXPECT_EQ(aligned_table(columns, std::vector<Row>{{text("x"), number("2")}}, {}, &widths, nullptr, false),
            Lines{" x         |      2"});
}
TEST_F(TablePrinter, Expanded) {
  const std::vector<Row> rows{{text("a"), number("1")}, {text("b"), {}}};
  EXPECT_EQ(expanded_table(columns, rows, {}, 3),
            (Lines{"-[ RECORD 3 ]", "who    | a", "octets | 1", "-[ RECORD 4 ]", "who    | b", "octets |"}));
  const Lines wide =
      expanded_table(columns, std::vector<Row>{{text(std::string(40, 'x')), number("1")}}, {.screen_columns = 30});
  EXPECT_EQ(wide[0].size(), 30u);
  EXPECT_EQ(wide[1], "who    | " + std::string(40, 'x'));
}
TEST_F(TablePrinter, DataNeverReachesTheTerminalRaw) {
  const std::vector<Row> rows{{text("a\x1b[31m\nb"), number("1")}};
  const std::vector<ResultColumn> evil{{"w\x1b[2Jho", "text"}, {"octets", "bigint"}};
  for (const Lines& lines : {aligned_table(evil, rows, {}), expanded_table(evil, rows, {})}) {
    for (const std::string& line : lines) EXPECT_EQ(line.find_first_of("\x1b\n"), std::string::npos) << line;
  }
}
TEST_F(TablePrinter, ForPrograms) {
  const Row row{text("a,b"), number("1")};
  EXPECT_EQ(csv_header(columns), "who,octets\n");
  EXPECT_EQ(csv_line(columns, row), "\"a,b\",1\n");
  EXPECT_EQ(jsonl_line(columns, row), "{\"who\":\"a,b\",\"octets\":1}\n");
  EXPECT_EQ(row_count_text(1), "(1 row)");
  EXPECT_EQ(row_count_text(0), "(0 rows)");
}

}  // namespace
}  // namespace backstream::app::shell
