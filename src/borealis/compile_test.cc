#include "borealis/compile.h"

#include <gtest/gtest.h>

#include <string>

#include "plan/definitions.h"
#include "plan/unbound_text.h"

namespace backstream::borealis {
namespace {

/// Diagrams over `flows` with what the fields that these tests read are.
std::string document(const std::string& boxes, const std::string& output = "out") {
  return R"(<borealis>
<schema name="flow">
 <field name="time" type="timestamp"/><field name="src_as" type="long"/><field name="dst_as" type="long"/>
 <field name="octets" type="long"/><field name="packets" type="int"/><field name="dPkts" type="int"/>
 <field name="srcaddr" type="long"/><field name="dst_ip" type="int"/><field name="dst_port" type="short"/>
 <field name="site" type="string" size="16"/><field name="flow_end" type="int"/>
</schema>
<input stream="flows" schema="flow"/>
)" + boxes +
         "\n<output stream=\"" + output + "\"/>\n</borealis>\n";
}
std::string box(const std::string& type, const std::string& in, const std::string& out, const std::string& parameters) {
  return "<box name=\"" + out + "_box\" type=\"" + type + "\"><in stream=\"" + in + "\"/><out stream=\"" + out +
         "\"/>" + parameters + "</box>";
}
std::string parameter(const std::string& name, const std::string& value) {
  return "<parameter name=\"" + name + "\" value=\"" + value + "\"/>";
}

/// The SELECT that the diagram is, or the rendered error.
std::string sql_of(const std::string& xml) {
  auto statements = parse(xml, "test.xml");
  if (!statements) return statements.error().render();
  plan::Definitions definitions(true);
  auto& statement = statements->front();
  auto select = statement.maker->make(definitions.catalog());
  if (!select) return select.error().code + " " + base::locate(select.error(), "test.xml", xml).render();
  statement.select = std::move(*select);
  statement.options.clear();
  auto text = plan::to_sql(statement);
  if (!text) return text.error().code + " " + base::locate(text.error(), "test.xml", xml).render();
  auto bound = definitions.bind(statement, xml);
  if (!bound) return bound.error().code + " " + base::locate(bound.error(), "test.xml", xml).render();
  return *text;
}

std::string aligned(const std::string& functions, const std::string& more) {
  return functions + more + parameter("window-size-by", "VALUES") + parameter("order-by", "FIELD") +
         parameter("independent-window-alignment", "1") + parameter("drop-empty-outputs", "1");
}
const std::string kMinute =
    parameter("window-size", "60") + parameter("advance", "60") + parameter("order-on-field", "time");

TEST(Compile, AMatrixIsTheQueryOfSql) {
  EXPECT_EQ(sql_of(document(box("aggregate", "flows", "out",
                                aligned(parameter("aggregate-function.0", "sum(octets)") +
                                            parameter("aggregate-function-output-name.0", "octets"),
                                        parameter("group-by", "src_as, dst_as") + parameter("window-size", "300") +
                                            parameter("advance", "300") + parameter("order-on-field", "time"))))),
            "CREATE MATERIALIZED VIEW out AS\n"
            "SELECT src_as, dst_as, window_start AS time, sum(octets) AS octets\n"
            "FROM tumble(flows, time, interval '300 s')\n"
            "GROUP BY window_start, src_as, dst_as;\n");
}

TEST(Compile, FiltersAreWhereBeforeGroupsAndHavingBehindThem) {
  EXPECT_EQ(
      sql_of(document(box("filter", "flows", "single", parameter("expression.0", "dPkts = 1 and dst_port &lt; 1024")) +
                      box("aggregate", "single", "swept",
                          aligned(parameter("aggregate-function.0", "count_distinct(dst_port)"),
                                  parameter("group-by", "srcaddr") + kMinute)) +
                      box("filter", "swept", "many", parameter("expression.0", "agg_0 > 100")) +
                      box("map", "many", "out",
                          parameter("expression.0", "srcaddr") + parameter("output-field-name.0", "source") +
                              parameter("expression.1", "agg_0 * 2") + parameter("output-field-name.1", "twice")))),
      "CREATE MATERIALIZED VIEW out AS\n"
      "SELECT src_ip - '0.0.0.0'::inet AS source, count(DISTINCT dst_port) * 2 AS twice\n"
      "FROM tumble(flows, time, interval '60 s')\n"
      "WHERE packets_raw = 1 AND dst_port < 1024\n"
      "GROUP BY window_start, src_ip - '0.0.0.0'::inet\n"
      "HAVING count(DISTINCT dst_port) > 100;\n");
}

TEST(Compile, AddressesAsTextsAreGroupedAsAddresses) {
  std::string text = document(box("map", "flows", "same",
                                  parameter("expression.0", "srcaddr") + parameter("output-field-name.0", "source") +
                                      parameter("expression.1", "time") + parameter("output-field-name.1", "time")) +
                              box("aggregate", "same", "sources",
                                  aligned(parameter("aggregate-function.0", "count_distinct(source)"),
                                          parameter("group-by", "source") + kMinute)) +
                              box("filter", "sources", "out", parameter("expression.0", "source != '10.0.0.1'")));
  text.replace(text.find("\"srcaddr\" type=\"long\""), 21, "\"srcaddr\" type=\"string\"");
  EXPECT_EQ(sql_of(text),
            "CREATE MATERIALIZED VIEW out AS\n"
            "SELECT host(src_ip) AS source, window_start AS time, count(DISTINCT src_ip) AS agg_0\n"
            "FROM tumble(flows, time, interval '60 s')\n"
            "GROUP BY window_start, src_ip\n"
            "HAVING src_ip <> '10.0.0.1'::inet;\n");
}

TEST(Compile, AWindowMaySlideAndTellItsStartInSeconds) {
  EXPECT_EQ(sql_of(document(box("aggregate", "flows", "out",
                                aligned(parameter("aggregate-function.0", "avg(octets)"),
                                        parameter("window-size", "300") + parameter("advance", "60") +
                                            parameter("order-on-field", "time")))))
                    .find("FROM hop(flows, time, interval '60 s', interval '300 s')") != std::string::npos,
            true);
  std::string seconds =
      document(box("aggregate", "flows", "out", aligned(parameter("aggregate-function.0", "avg(octets)"), kMinute)));
  seconds.replace(seconds.find("\"timestamp\""), 11, "\"int\"");
  EXPECT_EQ(sql_of(seconds),
            "CREATE MATERIALIZED VIEW out AS\n"
            "SELECT floor(date_part('epoch', window_start))::bigint AS time, trunc(avg(octets))::bigint AS agg_0\n"
            "FROM tumble(flows, time, interval '60 s')\n"
            "GROUP BY window_start;\n");
}

TEST(Compile, IntegersOf32BitsAreComputedIn64) {
  EXPECT_EQ(sql_of(document(box("map", "flows", "out",
                                parameter("expression.0", "dst_port * 100000 + dst_port / 3") +
                                    parameter("output-field-name.0", "x") +
                                    parameter("expression.1", "if dst_port = 80 then 'web' else site + '?'") +
                                    parameter("output-field-name.1", "y")))),
            "CREATE MATERIALIZED VIEW out AS\n"
            "SELECT dst_port::bigint * 100000 + dst_port / 3 AS x,\n"
            "       CASE WHEN dst_port = 80 THEN 'web'::text ELSE site || '?'::text END AS y\n"
            "FROM flows;\n");
}

TEST(Compile, WhatIsWrittenWithoutBitsAndListsRunsWithThem) {
  EXPECT_EQ(
      sql_of(document(box("filter", "flows", "some",
                          parameter("expression.0",
                                    "dst_port / 16 % 2 = 1 and dst_port / 2 % 2 = 0 and octets > 1 or dst_port / 4 % 4 "
                                    "!= 3 or dst_port = 80 or src_as = 3 or dst_port = 443"
                                    " or octets / 2 = 5")) +
                      box("aggregate", "some", "out",
                          aligned(parameter("aggregate-function.0", "sum(if packets = 1 then 1 else 0)"), kMinute)))),
      "CREATE MATERIALIZED VIEW out AS\n"
      "SELECT window_start AS time, count(*) FILTER (WHERE packets = 1) AS agg_0\n"
      "FROM tumble(flows, time, interval '60 s')\n"
      "WHERE dst_port & 18 = 16 AND octets > 1 OR dst_port & 12 <> 12 OR dst_port IN (80, 443) OR src_as = 3 OR octets "
      "/ 2 = 5\n"
      "GROUP BY window_start;\n");
}

TEST(Compile, TheTimeBetweenTwoIsExact) {
  std::string text =
      document(box("filter", "flows", "some", parameter("expression.0", "flow_end - time >= 30")) +
               box("map", "some", "out", parameter("expression.0", "src_as") + parameter("output-field-name.0", "a")));
  for (const char* field : {"\"time\" type=\"timestamp\"", "\"flow_end\" type=\"int\""}) {
    const std::string name = std::string(field).substr(0, std::string(field).find(" type"));
    text.replace(text.find(field), std::string(field).size(), name + " type=\"double\"");
  }
  EXPECT_EQ(sql_of(text),
            "CREATE MATERIALIZED VIEW out AS\n"
            "SELECT src_as AS a\n"
            "FROM flows\n"
            "WHERE date_part('epoch', flow_end - time) >= 30;\n");
}

TEST(Compile, ASwitchGivesATupleToOnePortOnly) {
  const std::string filter =
      "<box name=\"f\" type=\"filter\"><in stream=\"flows\"/><out stream=\"a\"/><out stream=\"b\"/>"
      "<out stream=\"rest\"/>" +
      parameter("expression.0", "octets > 9") + parameter("expression.1", "packets > 9") +
      parameter("pass-on-false-port", "1") + "</box>";
  const std::string tail = "<output stream=\"a\"/><output stream=\"b\"/>";
  const std::string narrow =
      box("map", "rest", "out", parameter("expression.0", "octets") + parameter("output-field-name.0", "o"));
  EXPECT_EQ(sql_of(document(filter + narrow + tail)).find("CREATE MATERIALIZED VIEW a AS"), 0U);
  const std::string rest = document(filter + tail + narrow);
  auto statements = parse(rest, "");
  ASSERT_TRUE(statements.has_value());
  ASSERT_EQ(statements->size(), 3U);
  auto select = (*statements)[2].maker->make(plan::Definitions(true).catalog());
  ASSERT_TRUE(select.has_value());
  (*statements)[2].select = std::move(*select);
  (*statements)[2].options.clear();
  EXPECT_EQ(*plan::to_sql((*statements)[2]),
            "CREATE MATERIALIZED VIEW out AS\n"
            "SELECT octets AS o\n"
            "FROM flows\n"
            "WHERE (octets > 9) IS NOT TRUE AND (packets > 9) IS NOT TRUE;\n");
}

TEST(Compile, ErrorsDropATupleUnlessTheDocumentSaysOtherwise) {
  const std::string plain = document(box("filter", "flows", "out", parameter("expression.0", "octets > 9")));
  const auto of = [](const std::string& text) {
    std::string options;
    const auto statements = parse(text, "");
    for (const auto& option : statements->front().options) options += option.name + "=" + option.value + " ";
    return options;
  };
  EXPECT_EQ(of(plain), "on_error=drop ");
  EXPECT_EQ(of("<?backstream on_error=\"fail\" sites=\"ams\"?>" + plain), "on_error=fail sites=ams ");
}

TEST(Compile, AnInputIsBoundToARelation) {
  std::string text = document(box("filter", "flows", "out", parameter("expression.0", "octets > 9")));
  for (size_t at = text.find("stream=\"flows\""); at != std::string::npos; at = text.find("stream=\"flows\""))
    text.replace(at, 14, "stream=\"packets\"");
  const auto unbound = parse(text, "");
  EXPECT_EQ(unbound->front().maker->relations()[0].name, "packets");
  const auto bound = parse("<?backstream bind.Packets=\"flows\"?>" + text, "");
  ASSERT_TRUE(bound.has_value());
  EXPECT_EQ(bound->front().maker->relations()[0].name, "flows");
}

/// Each box reads the one before twice: what is made of it would double each time.
TEST(Compile, WhatDoublesWithEachBoxIsRefusedSoon) {
  std::string boxes;
  for (int i = 0; i < 40; ++i) {
    const std::string in = i == 0 ? "flows" : "s" + std::to_string(i - 1),
                      out = i == 39 ? "out" : "s" + std::to_string(i);
    boxes += "<box name=\"u" + std::to_string(i) + "\" type=\"union\"><in stream=\"" + in + "\"/><in stream=\"" + in +
             "\"/><out stream=\"" + out + "\"/></box>\n";
  }
  EXPECT_NE(sql_of(document(boxes)).find("54001"), std::string::npos);
  boxes.clear();
  for (int i = 0; i < 200; ++i) {
    const std::string in = i == 0 ? "flows" : "s" + std::to_string(i - 1),
                      out = i == 199 ? "out" : "s" + std::to_string(i);
    const std::string value = i == 0 ? "octets" : "x";
    boxes += box("map", in, out,
                 parameter("expression.0", value + " + " + value + " * 2") + parameter("output-field-name.0", "x"));
  }
  const std::string deep = sql_of(document(boxes));
  EXPECT_LT(deep.size(), 200'000U);
  EXPECT_NE(deep.find("54001"), std::string::npos) << deep.substr(0, 500);
}

TEST(Compile, AThousandFiltersAreOneCondition) {
  std::string boxes;
  for (int i = 0; i < 900; ++i) {
    const std::string in = i == 0 ? "flows" : "s" + std::to_string(i - 1),
                      out = i == 899 ? "out" : "s" + std::to_string(i);
    boxes += box("filter", in, out, parameter("expression.0", "octets != " + std::to_string(i)));
  }
  const std::string sql = sql_of(document(boxes));
  EXPECT_NE(sql.find("octets <> 0 AND octets <> 1"), std::string::npos) << sql.substr(0, 300);
  EXPECT_NE(sql.find("octets <> 899"), std::string::npos);
}

TEST(Compile, TextsThatAreXml) {
  EXPECT_TRUE(is_xml("<borealis/>"));
  EXPECT_TRUE(is_xml("\xEF\xBB\xBF \n\t<?xml?>"));
  EXPECT_FALSE(is_xml("SELECT 1 < 2"));
  EXPECT_FALSE(is_xml("  "));
  EXPECT_FALSE(is_xml(""));
}

}  // namespace
}  // namespace backstream::borealis
