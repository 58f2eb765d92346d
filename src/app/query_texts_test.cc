#include "app/query_texts.h"

#include <gtest/gtest.h>

#include "sql/parse.h"

namespace backstream::app {
namespace {

std::vector<std::string> parts(std::string_view text) {
  const auto queries = split_queries(text, "f.sql", "f");
  EXPECT_TRUE(queries) << queries.error().render();
  std::vector<std::string> out;
  if (!queries) return out;
  for (const QueryText& query : *queries)
    out.push_back(query.name + ": " + std::string(text.substr(query.offset_octets, query.length_octets)));
  return out;
}

constexpr std::string_view kView = "CREATE MATERIALIZED VIEW a AS SELECT count(*) FROM flows";

TEST(QueryTexts, OneStatementIsTheWholeFileWithoutTheSpaceAround) {
  EXPECT_EQ(parts("\n-- why; really\nSELECT 1 FROM flows;\n-- end\n\n"),
            (std::vector<std::string>{"f: -- why; really\nSELECT 1 FROM flows;\n-- end"}));
  EXPECT_EQ(parts(kView), (std::vector<std::string>{"a: " + std::string(kView)}));
}

TEST(QueryTexts, CommentsBelongToTheStatementBelowThem) {
  const std::string text =
      "-- first\nCREATE VIEW a AS SELECT octets FROM flows -- not; the end\n/* nor; /* this; */ */;\n\n-- second\n"
      "CREATE VIEW b AS SELECT octets FROM flows;\n";
  EXPECT_EQ(parts(text), (std::vector<std::string>{
                             "a: -- first\nCREATE VIEW a AS SELECT octets FROM flows -- not; the end\n/* nor; /* this; "
                             "*/ */;",
                             "b: -- second\nCREATE VIEW b AS SELECT octets FROM flows;"}));
  const auto queries = split_queries(text, "f.sql", "f");
  EXPECT_EQ((*queries)[0].source, "f.sql");
  EXPECT_EQ((*queries)[1].source, "f.sql#2");
}

TEST(QueryTexts, WhatIsNoQueryOrHasNoNameIsRefusedInItsPlace) {
  const auto queries =
      split_queries("CREATE VIEW a AS SELECT octets FROM flows;\n  SELECT 1 FROM flows;", "f.sql", "f");
  ASSERT_FALSE(queries);
  EXPECT_EQ(queries.error().line, 2u);
  EXPECT_EQ(queries.error().column, 3u);
  const auto table = split_queries("CREATE VIEW a AS SELECT octets FROM flows;\nDROP VIEW a;", "f.sql", "f");
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().line, 2u);
  EXPECT_EQ(table.error().column, 1u);
  EXPECT_EQ(split_queries("-- nothing\n", "f.sql", "f").error().code, "42601");
}

TEST(QueryTexts, OptionsAreWrittenIntoTheText) {
  const auto moved = [](std::string_view text) {
    const auto out = with_options(text, "a", {{"sites", "fra,o'x"}, {"placement", "edge"}});
    EXPECT_TRUE(out) << out.error().render();
    EXPECT_TRUE(sql::parse(out.value_or("("), "")) << out.value_or("");
    return out.value_or("");
  };
  EXPECT_EQ(moved("SELECT count(*) FROM flows"),
            "CREATE MATERIALIZED VIEW a WITH (sites = 'fra,o''x', placement = 'edge') AS\nSELECT count(*) FROM flows");
  EXPECT_EQ(
      moved("CREATE MATERIALIZED VIEW a (\"as\", b) /* as */ AS SELECT 1, 2 FROM flows"),
      "CREATE MATERIALIZED VIEW a (\"as\", b) /* as */ WITH (sites = 'fra,o''x', placement = 'edge') AS SELECT 1, "
      "2 FROM flows");
  EXPECT_EQ(moved("CREATE MATERIALIZED VIEW a WITH (sites = 'x', on_limit = 'shed') AS SELECT 1 FROM flows"),
            "CREATE MATERIALIZED VIEW a WITH (placement = 'edge', sites = 'fra,o''x', on_limit = 'shed') AS SELECT 1 "
            "FROM flows");
}

}  // namespace
}  // namespace backstream::app
