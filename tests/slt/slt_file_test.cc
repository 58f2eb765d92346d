#include "slt_file.h"

#include <gtest/gtest.h>

namespace backstream::slt {
namespace {

TEST(SltFile, BlocksAreReadWithTheirParts) {
  const auto blocks = parse_slt(
      "# a comment\n"
      "statement ok\nCREATE FOREIGN TABLE f\n (a int)\n\n"
      "statement error no such .*column\nSELECT x\n----\nline one\nline two\n\n"
      "query TI nosort revisions rewritten\nSELECT 1\n----\n10:00:00 1\n'a b' NULL\n\n\n"
      "results v I\n----\n\n"
      "feed f edge 2\n1 2\n# a row\n\n"
      "ledger late 1 counted 5\nledger v late 0\nfails 22012\n\nreset",
      "x.slt");
  ASSERT_TRUE(blocks) << blocks.error().render();
  ASSERT_EQ(blocks->size(), 9U);
  EXPECT_EQ((*blocks)[0].sql, "CREATE FOREIGN TABLE f\n (a int)");
  EXPECT_EQ((*blocks)[0].line, 2U);
  EXPECT_EQ((*blocks)[1].pattern, "no such .*column");
  EXPECT_EQ((*blocks)[1].rows, (std::vector<std::string>{"line one", "line two"}));
  EXPECT_EQ((*blocks)[2].types, "TI");
  EXPECT_FALSE((*blocks)[2].sorted);
  EXPECT_TRUE((*blocks)[2].revisions);
  EXPECT_TRUE((*blocks)[2].rewritten);
  EXPECT_EQ((*blocks)[2].rows.size(), 2U);
  EXPECT_EQ((*blocks)[3].name, "v");
  EXPECT_TRUE((*blocks)[3].has_expected);
  EXPECT_TRUE((*blocks)[3].rows.empty());
  EXPECT_EQ((*blocks)[4].edge, 2);
  EXPECT_EQ((*blocks)[4].rows, (std::vector<std::string>{"1 2", "# a row"})) << "a feed has no comments";
  EXPECT_EQ((*blocks)[5].counters, (std::vector<std::pair<std::string, int64_t>>{{"late", 1}, {"counted", 5}}));
  EXPECT_EQ((*blocks)[6].name, "v");
  EXPECT_EQ((*blocks)[7].pattern, "22012");
  EXPECT_EQ((*blocks)[8].kind, Block::Kind::kReset);
}

TEST(SltFile, MistakesAreLocated) {
  for (const auto* text : {"statemnt ok\nX\n", "statement maybe\nX\n", "statement error\nX\n", "statement ok\n\n",
                           "query TX\nX\n----\n", "query I often\nX\n----\n", "query I\nX\n", "results v I\n1\n",
                           "feed\n1\n", "feed f edge x\n1\n", "ledger late x\n", "ledger late\n", "reset\nX\n"}) {
    const auto blocks = parse_slt(text, "x.slt");
    ASSERT_FALSE(blocks) << text;
    EXPECT_EQ(blocks.error().render().rfind("x.slt:", 0), 0U) << text;
  }
}

TEST(SltFile, RowsAreSplitAtSpacesOutsideQuotes) {
  const auto fields = split_row("10:00:00  'it''s a' NULL 'NULL' ''");
  ASSERT_EQ(fields.size(), 5U);
  EXPECT_EQ(fields[0].text, "10:00:00");
  EXPECT_EQ(fields[1].text, "it's a");
  EXPECT_TRUE(fields[2].is_null());
  EXPECT_FALSE(fields[3].is_null());
  EXPECT_EQ(fields[4].text, "");
  EXPECT_TRUE(fields[4].quoted);
}

TEST(SltFile, FieldsReadBackAsWritten) {
  for (const auto* text : {"a", "a b", "", "NULL", "it's", "'", "1.2.3.4/8"}) {
    const auto fields = split_row(write_field(text));
    ASSERT_EQ(fields.size(), 1U) << text;
    EXPECT_EQ(fields[0].text, text);
    EXPECT_FALSE(fields[0].is_null());
  }
}

}  // namespace
}  // namespace backstream::slt
