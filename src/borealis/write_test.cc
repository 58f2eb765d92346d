#include "borealis/write.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "borealis/compile.h"
#include "plan/definitions.h"
#include "plan/unbound_text.h"
#include "sql/parse.h"

namespace backstream::borealis {
namespace {

/// `flows`, and what these make beside it.
/// @param views  names of more that are there
plan::Definitions definitions(const std::vector<std::string>& views = {}) {
  plan::Definitions made(true);
  for (const std::string& view : views) {
    const std::string text = "CREATE MATERIALIZED VIEW " + view + " AS SELECT time, octets FROM flows";
    EXPECT_TRUE(made.add_query(std::move(sql::parse(text, "")->front()), text, ""));
  }
  for (const std::string_view text :
       {"CREATE MATERIALIZED VIEW minutes AS SELECT window_start, dst_ip, dst_port, sum(octets) AS octets FROM "
        "tumble(flows, time, interval '60 s') GROUP BY window_start, dst_ip, dst_port",
        "CREATE MATERIALIZED VIEW delays AS SELECT time, received_at - time AS took FROM flows",
        "CREATE VIEW named AS SELECT time, took FROM delays",
        "CREATE VIEW web AS SELECT time, src_ip, octets FROM flows WHERE dst_port IN (80, 443)"}) {
    auto statements = sql::parse(text, "");
    plan::UnboundStatement& statement = statements->front();
    if (statement.kind == plan::UnboundStatement::Kind::kCreateView) {
      EXPECT_TRUE(made.change(std::move(statement)));
    } else {
      EXPECT_TRUE(made.add_query(std::move(statement), text, ""));
    }
  }
  return made;
}

/// The diagram, or the rendered error.
std::string xml_of(const std::string& sql, const std::vector<std::string>& views = {}) {
  auto statements = sql::parse(sql, "q.sql");
  if (!statements) return statements.error().render();
  auto xml = to_xml(statements->front(), definitions(views).catalog());
  return xml ? *xml : base::locate(xml.error(), "q.sql", sql).render();
}

/// The SELECT that the diagram of a query is, or the rendered error.
std::string back(const std::string& sql, const std::vector<std::string>& views = {}) {
  const std::string xml = xml_of(sql, views);
  if (!is_xml(xml)) return xml;
  auto statements = parse(xml, "q.xml");
  if (!statements) return statements.error().render() + xml;
  const plan::Definitions known = definitions(views);
  plan::UnboundStatement& statement = statements->front();
  auto select = statement.maker->make(known.catalog());
  if (!select) return base::locate(select.error(), "q.xml", xml).render() + xml;
  statement.select = std::move(*select);
  auto bound = known.bind(statement, xml);
  if (!bound) return base::locate(bound.error(), "q.xml", xml).render() + xml;
  auto text = plan::to_sql(statement);
  return text ? *text : base::locate(text.error(), "q.xml", xml).render() + xml;
}

/// Windows of a minute over flows.
std::string minutes_of(const std::string& targets, const std::string& rest) {
  return "SELECT window_start, " + targets + " FROM tumble(flows, time, interval '60 s') " + rest;
}
/// What the map that computes one value has as its expression, or the rendered error.
std::string value_of(const std::string& expression) {
  const std::string xml = xml_of("SELECT time, " + expression + " AS x FROM flows");
  const std::string begin = R"(name="expression.1" value=")";
  const size_t at = xml.find(begin);
  if (at == std::string::npos) return xml;
  return xml.substr(at + begin.size(), xml.find('"', at + begin.size()) - at - begin.size());
}
/// Of one with a condition: what the filter has.
std::string condition_of(const std::string& expression) {
  const std::string xml = xml_of("SELECT time FROM flows WHERE " + expression);
  const std::string begin = R"(name="expression.0" value=")";
  const size_t at = xml.find(begin);
  if (at == std::string::npos) return xml;
  return xml.substr(at + begin.size(), xml.find('"', at + begin.size()) - at - begin.size());
}

TEST(Write, ADiagramHoldsWhatIsReadAndTheBoxesInTheirOrder) {
  EXPECT_EQ(xml_of("CREATE MATERIALIZED VIEW port_sweep WITH (allowed_lateness = '5 s') AS "
                   "SELECT window_start, src_ip, dst_ip, count(DISTINCT dst_port) AS ports "
                   "FROM tumble(flows, time, interval '60 s') WHERE packets_raw = 1 "
                   "GROUP BY window_start, src_ip, dst_ip HAVING count(DISTINCT dst_port) > 100"),
            R"xml(<!-- An address a.b.c.d is the number ((a * 256 + b) * 256 + c) * 256 + d: IPv4 only.
     Flows of IPv6 are left out, and counted as errors. -->
<?backstream allowed_lateness="5 s"?>
<borealis>
  <schema name="flows">
    <field name="time" type="timestamp"/>
    <field name="src_ip" type="long"/>
    <field name="dst_ip" type="long"/>
    <field name="dst_port" type="int"/>
    <field name="packets_raw" type="long"/>
  </schema>
  <input stream="flows" schema="flows"/>
  <output stream="port_sweep"/>
  <query name="port_sweep">
    <box name="filter" type="filter">
      <in stream="flows"/>
      <out stream="filter"/>
      <parameter name="expression.0" value="packets_raw = 1"/>
    </box>
    <box name="aggregate" type="aggregate">
      <in stream="filter"/>
      <out stream="aggregate"/>
      <parameter name="aggregate-function.0" value="count_distinct(dst_port)"/>
      <parameter name="aggregate-function-output-name.0" value="ports"/>
      <parameter name="group-by" value="src_ip, dst_ip"/>
      <parameter name="window-size-by" value="VALUES"/>
      <parameter name="window-size" value="60"/>
      <parameter name="advance" value="60"/>
      <parameter name="order-by" value="FIELD"/>
      <parameter name="order-on-field" value="time"/>
      <parameter name="independent-window-alignment" value="1"/>
      <parameter name="drop-empty-outputs" value="1"/>
    </box>
    <box name="filter_2" type="filter">
      <in stream="aggregate"/>
      <out stream="filter_2"/>
      <parameter name="expression.0" value="ports &gt; 100"/>
    </box>
    <box name="map" type="map">
      <in stream="filter_2"/>
      <out stream="port_sweep"/>
      <parameter name="expression.0" value="time"/>
      <parameter name="output-field-name.0" value="window_start"/>
      <parameter name="expression.1" value="src_ip"/>
      <parameter name="output-field-name.1" value="src_ip"/>
      <parameter name="expression.2" value="dst_ip"/>
      <parameter name="output-field-name.2" value="dst_ip"/>
      <parameter name="expression.3" value="ports"/>
      <parameter name="output-field-name.3" value="ports"/>
    </box>
  </query>
</borealis>
)xml");
}

TEST(Write, WhatIsMadeOfADiagramAgainIsTheQuery) {
  EXPECT_EQ(back("CREATE MATERIALIZED VIEW traffic_matrix AS " +
                 minutes_of("src_as, dst_as, sum(octets) AS octets", "GROUP BY window_start, src_as, dst_as")),
            "CREATE MATERIALIZED VIEW traffic_matrix\n"
            "WITH (on_error = 'drop') AS\n"
            "SELECT window_start, src_as, dst_as, sum(octets) AS octets\n"
            "FROM tumble(flows, time, interval '60 s')\n"
            "GROUP BY window_start, src_as, dst_as;\n");
  // A half of a window that is a second and a half long; groups of a value that is computed; HAVING of one more.
  EXPECT_EQ(back("SELECT window_start, dst_port / 1000 AS thousand, avg(packets) AS mean, count(*) * 8 AS n FROM "
                 "hop(flows, time, interval '1.5 s', interval '3 s') GROUP BY 1, 2 HAVING max(octets) > 10"),
            "CREATE MATERIALIZED VIEW result\n"
            "WITH (on_error = 'drop') AS\n"
            "SELECT window_start, dst_port / 1000 AS thousand, avg(packets * 1.0) AS mean, count(*) * 8 AS n\n"
            "FROM hop(flows, time, interval '1.5 s', interval '3 s')\n"
            "GROUP BY window_start, dst_port / 1000\n"
            "HAVING max(octets) > 10;\n");
  // Windows of a view go on, and rows of a subquery.
  EXPECT_EQ(back("SELECT window_start AS at, sum(octets) AS octets FROM minutes m WHERE m.octets > 5 GROUP BY 1"),
            "CREATE MATERIALIZED VIEW result\n"
            "WITH (on_error = 'drop') AS\n"
            "SELECT window_start AS at, sum(octets) AS octets\n"
            "FROM minutes\n"
            "WHERE octets > 5\n"
            "GROUP BY window_start;\n");
  EXPECT_EQ(back("SELECT at, count(*) AS n FROM (" + minutes_of("dst_port", "GROUP BY window_start, dst_port") +
                 ") t(at, port) GROUP BY at"),
            "CREATE MATERIALIZED VIEW result\n"
            "WITH (on_error = 'drop') AS\n"
            "SELECT time AS at, count(*) AS n\n"
            "FROM (SELECT dst_port, window_start AS time, count(*) AS count\n"
            "      FROM tumble(flows, time, interval '60 s')\n"
            "      GROUP BY window_start, dst_port) AS tuples\n"
            "GROUP BY time;\n");
  // What a plain view selects and nobody reads is not in the schema.
  EXPECT_EQ(back("SELECT window_start, sum(octets) AS n FROM tumble(web, time, interval '60 s') GROUP BY 1"),
            "CREATE MATERIALIZED VIEW result\n"
            "WITH (on_error = 'drop') AS\n"
            "SELECT window_start, sum(octets) AS n\n"
            "FROM tumble(flows, time, interval '60 s')\n"
            "WHERE dst_port IN (80, 443)\n"
            "GROUP BY window_start;\n");
}

TEST(Write, BranchesOfAUnionGetTheSameFields) {
  EXPECT_EQ(
      back("WITH a AS (SELECT time, octets AS n FROM flows) SELECT window_start, max(n) AS most FROM "
           "tumble((SELECT time, n FROM a UNION ALL SELECT time, packets / 2.0 FROM flows UNION ALL SELECT time, n "
           "FROM a), time, interval '60 s') GROUP BY window_start"),
      "CREATE MATERIALIZED VIEW result\n"
      "WITH (on_error = 'drop') AS\n"
      "SELECT window_start, max(n) AS most\n"
      "FROM tumble((SELECT time, octets * 1.0 AS n, received_at AS arrived_at\n"
      "             FROM flows\n"
      "             UNION ALL\n"
      "             SELECT time, packets / 2.0 AS n, received_at AS arrived_at\n"
      "             FROM flows\n"
      "             UNION ALL\n"
      "             SELECT time, octets * 1.0 AS n, received_at AS arrived_at\n"
      "             FROM flows), time, interval '60 s') AS tuples\n"
      "GROUP BY window_start;\n");
}

TEST(Write, NamesOfStreamsAreNotThoseOfRelations) {
  EXPECT_EQ(back("SELECT time, octets FROM flows WHERE octets > 5 UNION ALL SELECT time, octets FROM filter UNION ALL "
                 "SELECT time, octets FROM result",
                 {"filter", "result"}),
            "CREATE MATERIALIZED VIEW result_2\n"
            "WITH (on_error = 'drop') AS\n"
            "SELECT time, octets\n"
            "FROM (SELECT time, octets\n"
            "      FROM flows\n"
            "      WHERE octets > 5\n"
            "      UNION ALL\n"
            "      SELECT time, octets\n"
            "      FROM filter\n"
            "      UNION ALL\n"
            "      SELECT time, octets\n"
            "      FROM result) AS tuples;\n");
}

TEST(Write, Values) {
  EXPECT_EQ(value_of("octets + 2 * packets - 1"), "octets + 2 * packets - 1");
  EXPECT_EQ(value_of("(octets + 2) * -(packets - 1) / 3"), "(octets + 2) * -(packets - 1) / 3");
  EXPECT_EQ(value_of("octets - (packets - 1)"), "octets - (packets - 1)");
  EXPECT_EQ(value_of("octets % 3 * 1e3 + 0.25"), "octets % 3 * 1000.0d + 0.25d");
  EXPECT_EQ(value_of("octets * -5"), "octets * -5");
  EXPECT_EQ(value_of("octets::double precision / packets"), "octets * 1.0d / packets");
  EXPECT_EQ(value_of("trunc(octets / 7.0)::bigint"), "long(octets / 7.0d)");
  EXPECT_EQ(value_of("floor(octets / 7.0)::int"), "int(floor(octets / 7.0d))");
  EXPECT_EQ(value_of("dst_port::bigint"), "long(dst_port)");
  EXPECT_EQ(value_of("octets ^ 2"), "pow(octets, 2)");
  EXPECT_EQ(value_of("mod(octets, 3) + abs(octets) + power(2, 3)"), "octets % 3 + abs(octets) + pow(2, 3)");
  EXPECT_EQ(value_of("greatest(octets, packets, 1)"), "max(octets, packets, 1)");
  EXPECT_EQ(value_of("least(src_ip, '10.0.0.1')"), "min(src_ip, 167772161)");
  EXPECT_EQ(value_of("site || '-' || protocol_version"), "site + '-' + protocol_version");
  EXPECT_EQ(value_of("CASE WHEN octets > 5 THEN 'a' WHEN octets > 3 THEN 'it''s' ELSE site END"),
            "if octets &gt; 5 then 'a' else if octets &gt; 3 then &quot;it's&quot; else site");
  EXPECT_EQ(value_of("CASE protocol WHEN 6 THEN 1 ELSE 2 END + 1"), "(if protocol = 6 then 1 else 2) + 1");
  EXPECT_EQ(value_of("CASE WHEN true THEN CASE WHEN false THEN 1 ELSE 2 END ELSE 3 END"),
            "if true then (if false then 1 else 2) else 3");
  EXPECT_EQ(value_of("tos >> 2"), "tos / 4");
  EXPECT_EQ(value_of("tcp_flags & 5"), "tcp_flags % 2 + tcp_flags / 4 % 2 * 4");
}

TEST(Write, Conditions) {
  EXPECT_EQ(condition_of("octets > 5 AND (packets < 3 OR packets <> 7) AND NOT protocol = 6"),
            "octets &gt; 5 and (packets &lt; 3 or packets != 7) and not (protocol = 6)");
  EXPECT_EQ(condition_of("(octets = 5) = (packets = 3)"), "(octets = 5) = (packets = 3)");
  EXPECT_EQ(condition_of("octets BETWEEN 2 AND 5"), "octets &gt;= 2 and octets &lt;= 5");
  EXPECT_EQ(condition_of("octets NOT BETWEEN 2 AND 5"), "not (octets &gt;= 2 and octets &lt;= 5)");
  EXPECT_EQ(condition_of("octets BETWEEN SYMMETRIC 5 AND 2"),
            "(octets &gt;= 5 and octets &lt;= 2) or (octets &gt;= 2 and octets &lt;= 5)");
  EXPECT_EQ(condition_of("dst_port IN (80, 443)"), "dst_port = 80 or dst_port = 443");
  EXPECT_EQ(condition_of("dst_port NOT IN (80, 443)"), "not (dst_port = 80 or dst_port = 443)");
  EXPECT_EQ(condition_of("dst_port > ALL (ARRAY[80, 443])"), "dst_port &gt; 80 and dst_port &gt; 443");
  EXPECT_EQ(condition_of("(octets > 5) IS NOT TRUE"), "if octets &gt; 5 then false else true");
  EXPECT_EQ(condition_of("(octets > 5) IS FALSE"), "if not (octets &gt; 5) then true else false");
  EXPECT_EQ(condition_of("src_ip = '10.0.0.1' OR inet '192.168.0.0' < dst_ip"),
            "src_ip = 167772161 or 3232235520 &lt; dst_ip");
  EXPECT_EQ(
      condition_of("src_ip << '10.1.0.0/16' OR src_ip <<= '10.9.9.9'"),
      "(src_ip &gt;= 167837696 and src_ip &lt;= 167903231) or (src_ip &gt;= 168364297 and src_ip &lt;= 168364297)");
  EXPECT_EQ(condition_of("inet '0.0.0.0/0' >> src_ip"), "src_ip &gt;= 0 and src_ip &lt;= 4294967295");
  EXPECT_EQ(condition_of("tcp_flags & 18 = 2"), "tcp_flags / 2 % 2 * 2 + tcp_flags / 16 % 2 * 16 = 2");
  EXPECT_EQ(condition_of("flow_start < flow_end AND site = 'ams'"), "flow_start &lt; flow_end and site = 'ams'");
}

TEST(Write, Aggregates) {
  const auto functions_of = [](const std::string& targets) {
    const std::string xml = xml_of(minutes_of(targets, "GROUP BY window_start"));
    std::string found;
    for (size_t i = 0;; ++i) {
      for (const std::string name : {"aggregate-function.", "aggregate-function-output-name."}) {
        const std::string begin = "name=\"" + name + std::to_string(i) + "\" value=\"";
        const size_t at = xml.find(begin);
        if (at == std::string::npos) return found.empty() ? xml : found;
        found += xml.substr(at + begin.size(), xml.find('"', at + begin.size()) - at - begin.size()) +
                 (name.size() > 20 ? "; " : " ");
      }
    }
  };
  EXPECT_EQ(functions_of("count(*) AS n, sum(octets), avg(octets) AS mean, min(src_ip) AS least, max(time) AS last"),
            "count() n; sum(octets) sum; avg(octets * 1.0d) mean; min(src_ip) least; max(time) last; ");
  EXPECT_EQ(functions_of("avg(octets / 2.0) AS a, sum(octets + 1) / sum(octets + 1) AS b, count(DISTINCT site) AS c"),
            "avg(octets / 2.0d) a; sum(octets + 1) sum; count_distinct(site) c; ");
  // Without a null there is nothing to count but tuples.
  EXPECT_EQ(
      functions_of("count(octets) AS a, count(*) FILTER (WHERE protocol = 6 OR dst_port = 2) AS b, count(site) "
                   "FILTER (WHERE octets = 3) AS c"),
      "sum(if octets = octets then 1 else 0) a; sum(if protocol = 6 or dst_port = 2 then 1 else 0) b; sum(if octets = "
      "3 and site = site then 1 else 0) c; ");
}

TEST(Write, OptionsStandBeforeTheRootAndErrorsMeanWhatTheyDoInSql) {
  const auto options_of = [](const std::string& options, const std::string& value) {
    const std::string xml =
        xml_of("CREATE MATERIALIZED VIEW v " + options + " AS SELECT time, " + value + " AS x FROM flows");
    const size_t begin = xml.find("<?backstream"), end = xml.find("?>");
    return begin == std::string::npos ? xml.substr(0, xml.find('\n')) : xml.substr(begin, end + 2 - begin);
  };
  EXPECT_EQ(options_of("WITH (sites = 'ams,fra', \"filter.ams\" = 'octets < 5', placement = 'edge')", "octets"),
            R"(<?backstream sites="ams,fra" filter.ams="octets &lt; 5" placement="edge"?>)");
  EXPECT_EQ(options_of("", "octets"), "<borealis>");
  // A diagram leaves out what cannot be computed, SQL has null there.
  EXPECT_EQ(options_of("", "octets / packets"), R"(<?backstream on_error="null"?>)");
  EXPECT_EQ(options_of("", "octets / 2"), "<borealis>");
  EXPECT_EQ(options_of("", "octets / 0"), R"(<?backstream on_error="null"?>)");
  EXPECT_EQ(options_of("WITH (on_error = 'fail')", "octets / packets"), R"(<?backstream on_error="fail"?>)");
}

TEST(Write, WhatNoBoxHasIsToldByItsName) {
  const auto at = [](const std::string& sql) {
    auto statements = sql::parse(sql, "");
    if (!statements) return statements.error().render();
    auto xml = to_xml(statements->front(), definitions().catalog());
    if (xml) return *xml;
    const base::Diagnostic& told = xml.error();
    return told.code + " " + told.message + ": " + sql.substr(told.span.offset_octets, told.span.length_octets);
  };
  const auto in_row = [&](const std::string& value) { return at("SELECT time, " + value + " AS x FROM flows"); };
  EXPECT_EQ(at(minutes_of("src_ip, sum(octets) AS n", "GROUP BY 1, 2 ORDER BY n DESC LIMIT 3")),
            "0A000 ORDER BY … LIMIT has no box: n");
  EXPECT_EQ(at(minutes_of("sum(octets) AS n", "GROUP BY 1 ORDER BY n")), "0A000 ORDER BY has no box: n");
  EXPECT_EQ(at("SELECT DISTINCT window_start, src_ip FROM tumble(flows, time, interval '60 s')").substr(0, 25),
            "0A000 DISTINCT has no box");
  EXPECT_EQ(at("SELECT window_start, octets FROM tumble(flows, time, interval '60 s')"),
            "0A000 a window without GROUP BY has no box: tumble(flows, time, interval '60 s')");
  EXPECT_EQ(at("SELECT window_start, count(*) FROM session(flows, time, interval '60 s') GROUP BY window_start"),
            "0A000 session() has no box: session");
  EXPECT_EQ(at("SELECT window_start, count(*) FROM tumble(flows, time, interval '1 month') GROUP BY window_start"),
            "0A000 a window by the calendar has no box: interval '1 month'");
  EXPECT_EQ(at("SELECT window_start, count(*) FROM tumble(flows, time, interval '60 s', interval '5 s') GROUP BY 1"),
            "0A000 the offset of tumble() has no box: interval '5 s'");
  EXPECT_EQ(at("SELECT a.time FROM flows a JOIN flows b ON a.src_ip = b.dst_ip AND b.time BETWEEN a.time AND a.time + "
               "interval '1 s'")
                .substr(0, 21),
            "0A000 JOIN has no box");
  EXPECT_EQ(at(minutes_of("window_end", "GROUP BY window_start, window_end")),
            "0A000 an aggregate box tells the start of a window, not its end: window_end");
  EXPECT_EQ(at(minutes_of("octets > 5 AS big, count(*) AS n", "GROUP BY 1, 2")),
            "0A000 a condition is no field to group by: octets > 5");
  EXPECT_EQ(in_row("octets > 5"), "0A000 a condition is no field: octets > 5");
  EXPECT_EQ(at(minutes_of("stddev(octets)", "GROUP BY 1")), "0A000 Borealis has no stddev(): stddev(octets)");
  EXPECT_EQ(at(minutes_of("sum(octets) FILTER (WHERE protocol = 6) AS n", "GROUP BY 1")).substr(0, 40),
            "0A000 Borealis has no sum(…) FILTER: s");
  EXPECT_EQ(at(minutes_of("count(*) - lag(count(*)) OVER (ORDER BY window_start)", "GROUP BY 1")),
            "0A000 lag(…) OVER (…) has no box: lag(count(*))");
  EXPECT_EQ(in_row("coalesce(octets, 0)"), "0A000 Borealis has no coalesce(): coalesce(octets, 0)");
  EXPECT_EQ(in_row("CASE WHEN octets > 5 THEN 1 END"),
            "0A000 Borealis has no CASE without ELSE: CASE WHEN octets > 5 THEN 1 END");
  EXPECT_EQ(in_row("date_trunc('hour', time)"), "0A000 Borealis has no date_trunc(): date_trunc('hour', time)");
  EXPECT_EQ(in_row("received_at - time"), "0A000 Borealis has no arithmetic of times: received_at - time");
  EXPECT_EQ(in_row("(octets / 2.0)::bigint"),
            "0A000 Borealis has no cast to bigint that rounds: (octets / 2.0)::bigint");
  EXPECT_EQ(in_row("octets & 3"), "0A000 Borealis has no operator &: octets & 3");
  EXPECT_EQ(at("SELECT time FROM flows WHERE site LIKE 'a%'"), "0A000 Borealis has no LIKE: site LIKE 'a%'");
  EXPECT_EQ(at("SELECT time FROM flows WHERE site IS NULL"), "0A000 Borealis has no IS NULL: site IS NULL");
  EXPECT_EQ(at("SELECT time FROM flows WHERE src_ip = '::1'"),
            "0A000 Borealis has no number for an IPv6 address: '::1'");
  EXPECT_EQ(at("SELECT time FROM flows WHERE time > '2026-01-01'"),
            "0A000 Borealis has no time written out: '2026-01-01'");
  EXPECT_EQ(at("SELECT time, octets AS \"Octets\" FROM flows"),
            "0A000 names of Borealis cannot be like \"Octets\": \"Octets\"");
  EXPECT_EQ(at("SELECT time, octets AS a, packets AS a FROM flows"),
            "0A000 two fields of a stream would be called \"a\": a");
  EXPECT_EQ(at("SELECT time, \"octetDeltaCount\" AS n FROM flows"),
            "0A000 a diagram cannot read \"octetDeltaCount\": \"octetDeltaCount\"");
  EXPECT_EQ(at("SELECT time, took FROM named n"), "0A000 no field of Borealis holds \"took\", interval: took");
  EXPECT_EQ(at("SELECT * FROM named n"), "0A000 no field of Borealis holds \"took\", interval: *");
  EXPECT_EQ(at("DROP VIEW web"), "0A000 only a query of SQL is written as a diagram: DROP VIEW web");
  // What is no good SQL is told as it is anyway.
  EXPECT_EQ(at("SELECT tyme FROM flows"), "42703 column \"tyme\" does not exist: tyme");
}

TEST(Write, ADiagramIsNoLargerThanOneThatIsRead) {
  std::string list = "1";
  for (int i = 2; i < 3000; ++i) list += ", " + std::to_string(i);
  EXPECT_NE(condition_of("dst_port IN (" + list + ")").find("an expression of more than 16384 octets"),
            std::string::npos);
  // Each doubles what is in it.
  std::string doubling = "octets > 5";
  for (int i = 0; i < 40; ++i) doubling = "((" + doubling + ") IN (true, false))";
  EXPECT_NE(condition_of(doubling).find("an expression of more than 16384 octets"), std::string::npos);
  std::string deep = "octets";
  for (int i = 0; i < 120; ++i) deep = "abs(" + deep + ")";
  EXPECT_NE(value_of(deep).find("more than 100 levels deep"), std::string::npos);
  // As long a chain as is read again.
  std::string chain = "octets";
  for (int i = 0; i < 40; ++i) chain += " + packets";
  EXPECT_NE(back("SELECT time, " + chain + " AS x FROM flows").find("SELECT time"), std::string::npos);
  // Each WITH query reads the one before twice: it is written once.
  std::string with = "WITH a0 AS (SELECT time, octets FROM flows)";
  for (int i = 1; i < 5; ++i) {
    const std::string before = "a" + std::to_string(i - 1);
    with += ", a" + std::to_string(i) + " AS (SELECT time, octets FROM " + before +
            " UNION ALL SELECT time, octets FROM " + before + ")";
  }
  const std::string xml = xml_of(with + " SELECT time, octets FROM a4");
  EXPECT_TRUE(is_xml(xml)) << xml;
  EXPECT_LT(xml.size(), 10'000u);
}

}  // namespace
}  // namespace backstream::borealis
