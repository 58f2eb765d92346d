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

std::string changed(const std::string& text, const std::vector<OptionChange>& changes) {
  const auto out = with_options(text, "a", changes);
  if (!out) return out.error().message;
  EXPECT_TRUE(sql::parse(*out, "")) << *out;
  return *out;
}

TEST(QueryTexts, OptionsAreWrittenIntoTheText) {
  const auto moved = [](const std::string& text) {
    return changed(text, {set_option("sites", "fra,o'x"), set_option("placement", "edge")});
  };
  EXPECT_EQ(moved("SELECT count(*) FROM flows"),
            "CREATE MATERIALIZED VIEW a WITH (sites = 'fra,o''x', placement = 'edge') AS\nSELECT count(*) FROM flows");
  EXPECT_EQ(
      moved("CREATE MATERIALIZED VIEW a (\"as\", b) /* as */ AS SELECT 1, 2 FROM flows"),
      "CREATE MATERIALIZED VIEW a (\"as\", b) /* as */ WITH (sites = 'fra,o''x', placement = 'edge') AS SELECT 1, "
      "2 FROM flows");
  EXPECT_EQ(moved("CREATE MATERIALIZED VIEW a WITH (sites = 'x' /* y */, on_limit = 'shed') AS SELECT 1 FROM flows"),
            "CREATE MATERIALIZED VIEW a WITH (sites = 'fra,o''x' /* y */, on_limit = 'shed', placement = 'edge') AS "
            "SELECT 1 FROM flows");
  EXPECT_EQ(changed("SELECT 1", {set_option("filter.pop-rio", "a = 'b'")}),
            "CREATE MATERIALIZED VIEW a WITH (\"filter.pop-rio\" = 'a = ''b''') AS\nSELECT 1");
  EXPECT_EQ(moved("CREATE VIEW a AS SELECT 1"), "\"a\" is no materialized view");
}

TEST(QueryTexts, OptionsAreTakenOutOfTheText) {
  const std::string list =
      "CREATE MATERIALIZED VIEW a WITH (sites = 'x', -- one\n late = 'drop', delay = '1 s') AS SELECT 1";
  const auto without = [&](const std::vector<std::string>& names, const std::vector<OptionChange>& more = {}) {
    std::vector<OptionChange> changes = more;
    for (const std::string& name : names) changes.push_back({name, std::nullopt});
    const std::string out = changed(list, changes);
    const size_t begin = out.find("VIEW a ") + 7;
    return out.substr(begin, out.find("AS SELECT 1") - begin);
  };
  EXPECT_EQ(without({"sites"}), "WITH (late = 'drop', delay = '1 s') ");
  EXPECT_EQ(without({"late"}), "WITH (sites = 'x', -- one\n delay = '1 s') ");
  EXPECT_EQ(without({"delay"}), "WITH (sites = 'x', -- one\n late = 'drop') ");
  EXPECT_EQ(without({"delay", "late"}), "WITH (sites = 'x') ");
  EXPECT_EQ(without({"sites", "late"}), "WITH (delay = '1 s') ");
  EXPECT_EQ(without({"sites", "delay"}), "WITH (late = 'drop') ");
  EXPECT_EQ(without({"sites", "late", "delay"}), "");
  EXPECT_EQ(without({"sites", "late", "delay"}, {set_option("rest_row", "on")}), "WITH (rest_row = 'on') ");
  EXPECT_EQ(without({"delay", "late"}, {set_option("sites", "y"), set_option("rest_row", "on")}),
            "WITH (sites = 'y', rest_row = 'on') ");
  EXPECT_EQ(without({"placement"}), "WITH (sites = 'x', -- one\n late = 'drop', delay = '1 s') ");
  EXPECT_EQ(changed("SELECT 1", {{"sites", std::nullopt}}), "SELECT 1");
  EXPECT_EQ(changed("CREATE MATERIALIZED VIEW a WITH (sites = 'x'\n'y') AS SELECT 1", {{"sites", std::nullopt}}),
            "CREATE MATERIALIZED VIEW a AS SELECT 1");
}

TEST(QueryTexts, NamesAreQuotedWhereTheyMustBe) {
  EXPECT_EQ(quoted_name("top_dst"), "top_dst");
  EXPECT_EQ(quoted_name("Top \"1\""), "\"Top \"\"1\"\"\"");
  for (const char* name : {"order", "user", "select", "table", "left"})
    EXPECT_EQ(quoted_name(name), '"' + std::string(name) + '"');
  for (const char* name : {"sites", "late", "delay", "emit", "every", "view", "rest_row", "placement"})
    EXPECT_EQ(quoted_name(name), name);
}

}  // namespace
}  // namespace backstream::app
