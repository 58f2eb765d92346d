#include "service/query_statements.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace backstream::service {
namespace {

using Kind = plan::UnboundStatement::Kind;

/// Passes packets on to so many streams.
std::string diagram(size_t outputs, const std::string& instruction = {}) {
  std::string text = instruction +
                     "<borealis>\n"
                     "<schema name=\"packet\"><field name=\"time\" type=\"timestamp\"/>"
                     "<field name=\"octets\" type=\"long\"/></schema>\n"
                     "<input stream=\"flows\" schema=\"packet\"/>\n";
  for (size_t i = 0; i < outputs; ++i) {
    text += fmt::format(
        "<output stream=\"out{0}\"/><box name=\"box{0}\" type=\"filter\"><in stream=\"flows\"/>"
        "<out stream=\"out{0}\"/><parameter name=\"expression.0\" value=\"octets &gt; {0}\"/></box>\n",
        i);
  }
  return text + "</borealis>";
}

TEST(QueryStatements, ATextIsReadInTheLanguageThatItIsIn) {
  const auto sql = parse_queries("SELECT 1; CREATE VIEW v AS SELECT 2", "-e");
  ASSERT_TRUE(sql) << sql.error().render();
  EXPECT_EQ(sql->size(), 2u);
  const auto xml = parse_queries(diagram(2), "d.xml");
  ASSERT_TRUE(xml) << xml.error().render();
  ASSERT_EQ(xml->size(), 2u);
  EXPECT_EQ((*xml)[1].kind, Kind::kCreateMaterializedView);
  EXPECT_EQ((*xml)[1].name, "out1");
}

TEST(QueryStatements, AQueryIsTheStreamOfItsNameOrTheOnlyOne) {
  const auto name_of = [](const std::string& name, const std::string& text) {
    const auto query = query_called(name, text, "q");
    return query ? query->name : query.error().code + ": " + query.error().message + " (" + query.error().hint + ")";
  };
  EXPECT_EQ(name_of("matrix", diagram(1)), "matrix");
  EXPECT_EQ(name_of("out1", diagram(2)), "out1");
  EXPECT_EQ(name_of("matrix", diagram(2)),
            "42704: the diagram has no output stream 'matrix' (its output streams are out0, out1; the query is called "
            "like the one that it is)");
  EXPECT_TRUE(name_of("matrix", diagram(12)).find("out6, out7 and 4 more;") != std::string::npos)
      << name_of("matrix", diagram(12));
  EXPECT_EQ(name_of("matrix", "SELECT 1"), "matrix");
  EXPECT_TRUE(name_of("matrix", "CREATE VIEW v AS SELECT 1").starts_with("42601: the view is called \"v\""));
  const auto missing = query_called("matrix", diagram(2), "d.xml");
  EXPECT_EQ(missing.error().source_name, "d.xml");
  EXPECT_EQ(missing.error().line, 4u);
  EXPECT_EQ(missing.error().column, 17u);
}

TEST(QueryStatements, ADiagramOfSeveralQueriesIsReadOnce) {
  const std::string two = diagram(2, "<?backstream filter.ams=\"octets &gt; 5\"?>"), one = diagram(1);
  QueryReader reader;
  const auto first = reader.query_called("out1", two, "q"), second = reader.query_called("out0", two, "q");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->name, "out1");
  EXPECT_EQ(second->name, "out0");
  EXPECT_EQ(first->options[0].condition, second->options[0].condition) << "read twice";
  EXPECT_EQ(reader.query_called("out1", two, "q")->name, "out1") << "asked again";
  EXPECT_EQ(reader.query_called("a", one, "q")->name, "a");
  EXPECT_EQ(reader.query_called("b", one, "q")->name, "b");
  EXPECT_EQ(reader.query_called("c", "SELECT 1", "q")->name, "c");
  const auto missing = reader.query_called("out2", two, "q");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().hint.find("out0, out1"), std::string::npos) << missing.error().hint;
}

TEST(QueryStatements, NamesAreThoseThatTheTextGives) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(names_in(diagram(2)), (Names{"out0", "out1"}));
  EXPECT_EQ(names_in("CREATE VIEW v AS SELECT 1"), Names{"v"});
  for (const char* none : {"SELECT 1", "CREATE VIEW v AS SELECT 1; CREATE VIEW w AS SELECT 1", "<borealis", ""})
    EXPECT_EQ(names_in(none), Names{}) << none;
}

TEST(QueryStatements, ConditionsInOptionsOfADiagramAreReadAsInSql) {
  const auto read = parse_queries(
      diagram(2, "<?backstream filter.ams=\"octets &gt; 5\" alert.when=\"octets &gt; 6\" sites=\"ams\"?>"), "d.xml");
  ASSERT_TRUE(read) << read.error().render();
  for (const auto& statement : *read) {
    ASSERT_EQ(statement.options.size(), 4u);  // And on_error, which diagrams have by themselves.
    EXPECT_TRUE(statement.options[0].condition);
    EXPECT_TRUE(statement.options[1].condition);
    EXPECT_FALSE(statement.options[2].condition);
  }
  EXPECT_EQ((*read)[0].options[0].condition, (*read)[1].options[0].condition) << "it is read once";
  const auto wrong = parse_queries(diagram(1, "<?backstream\n  filter.ams=\"octets &gt; )\"?>"), "d.xml");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().source_name, "d.xml");
  EXPECT_EQ(wrong.error().line, 2u);
  EXPECT_EQ(wrong.error().column, 27u);
}

}  // namespace
}  // namespace backstream::service
