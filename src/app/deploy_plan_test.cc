#include "app/deploy_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "app/query_deploy.h"

namespace backstream::app {
namespace {

using nlohmann::json;

/// `first` makes "large" of the input; `second`, of "large", makes "counted". So the output "counted" needs both, and
/// "large" the first alone.
constexpr std::string_view kTwoParts = R"xml(<?backstream bind.packets="flows"?><borealis>
  <schema name="packet"><field name="time" type="timestamp"/><field name="octets" type="long"/></schema>
  <input stream="packets" schema="packet"/><output stream="large"/><output stream="counted"/>
  <query name="first"><box name="only_large" type="filter"><in stream="packets"/><out stream="large"/>
    <parameter name="expression.0" value="octets &gt; 1000"/></box></query>
  <query name="second"><box name="names" type="map"><in stream="large"/><out stream="counted"/>
    <parameter name="expression.0" value="octets"/><parameter name="output-field-name.0" value="n"/></box></query>
</borealis>)xml";

/// A filter outside of any query element.
std::string one_box(const std::string& box, const std::string& options) {
  return options + fmt::format(R"xml(<borealis>
  <schema name="packet"><field name="octets" type="long"/></schema>
  <input stream="other" schema="packet"/><output stream="small"/>
  <box name="{}" type="filter"><in stream="other"/><out stream="small"/>
    <parameter name="expression.0" value="octets &lt; 100"/></box>
</borealis>)xml",
                               box);
}

json node(const std::string& name, const std::string& site, const json& roles) {
  return {{"name", name}, {"site", site}, {"roles", roles}, {"state", "ready"}};
}
const json kEdge = {"edge"}, kMerge = {"merge", "receiver"}, kAll = {"edge", "merge", "receiver"};

class DeployPlanning : public testing::Test {
 protected:
  DeployPlanning() {
    nodes = {node("ams-1", "ams", kEdge), node("Fra-1", "fra", kEdge), node("merge-1", "", kMerge),
             node("lab", "lab", kAll), node("screen", "", {"receiver"})};
    add("large", std::string(kTwoParts));
    add("counted", std::string(kTwoParts));
    add("tiny", one_box("tiny_only", R"(<?backstream sites="ams, rio" placement="edge" bind.other="flows"?>)"));
    add("Top", "SELECT count(*) AS n FROM tumble(flows, time, interval '1 min') GROUP BY window_start");
    add("plain", "CREATE VIEW plain AS SELECT octets FROM flows");
  }
  void add(const std::string& name, const std::string& query) {
    queries.push_back({{"name", name}, {"text", query}, {"revision", 7 + queries.size()}});
  }
  base::Result<DeployPlan> plan(const std::string& elements) {
    text = fmt::format("<deploy>\n{}\n</deploy>", elements);
    const auto document = borealis::read_document(text);
    if (!document) return tl::unexpected<base::Diagnostic>(document.error());
    const auto deployment = borealis::read_deployment(*document);
    if (!deployment) return tl::unexpected<base::Diagnostic>(deployment.error());
    return plan_deploy(*deployment, {{"nodes", nodes}}, {{"queries", queries}});
  }
  /// "name: placement" of each query, one a line; or the error.
  std::string planned(const std::string& elements) {
    auto made = plan(elements);
    if (!made) return base::locate(made.error(), "d.xml", text).render();
    std::string lines;
    for (const DeployPlan::Query& query : made->queries) lines += fmt::format("{}: {}\n", query.name, query.placement);
    return lines;
  }
  /// What is wrong stands between «».
  void refused(std::string elements, const std::string& code, const std::string& message, const std::string& hint) {
    SCOPED_TRACE(elements);
    const size_t begin = elements.find("«");
    elements.erase(begin, std::string("«").size());
    const size_t end = elements.find("»");
    elements.erase(end, std::string("»").size());
    const auto made = plan(elements);
    ASSERT_FALSE(made);
    const size_t head = std::string("<deploy>\n").size();
    EXPECT_EQ(made.error().span,
              (base::SourceSpan{static_cast<uint32_t>(head + begin), static_cast<uint32_t>(end - begin)}))
        << planned(elements);
    EXPECT_EQ(made.error().code, code);
    EXPECT_EQ(made.error().message, message);
    EXPECT_EQ(made.error().hint, hint);
  }

  json nodes = json::array(), queries = json::array();
  std::string text;
};

TEST_F(DeployPlanning, ANodeStandsForItsSiteAndWhatItDoesForThePlacement) {
  EXPECT_EQ(planned(R"(<node endpoint="AMS-1:15000" query="top"/>)"),
            "Top: sites ams (was all), placement edge (was auto)\n");
  EXPECT_EQ(planned(R"(<node endpoint="ams-1" query="top"/><node endpoint="fra-1" query="top"/>)"),
            "Top: sites ams,fra (was all), placement edge (was auto)\n");
  EXPECT_EQ(planned(R"(<node endpoint="merge-1:15000" query="top tiny"/>)"),
            "Top: sites all, placement central (was auto)\n"
            "tiny: sites all (was ams,rio), placement central (was edge)\n");
  EXPECT_EQ(planned(R"(<node endpoint="ams-1" query="top"/><node endpoint="merge-1" query="top"/>)"),
            "Top: sites ams (was all), placement auto\n");
  EXPECT_EQ(planned(R"(<node endpoint="lab" query="top tiny"/>)"),
            "Top: sites lab (was all), placement auto\n"
            "tiny: sites lab (was ams,rio), placement auto (was edge)\n");
  EXPECT_EQ(planned(R"(<node endpoint="lab" query="top"/><node endpoint="ams-1" query="top"/>)"),
            "Top: sites ams,lab (was all), placement auto\n");
  EXPECT_EQ(planned(R"(<node endpoint="screen"/><node endpoint="ams-1" query=""/>)"), "");
}

TEST_F(DeployPlanning, TheOptionsOfATextBecomeThoseOfTheFileAndAgainNothingChanges) {
  const std::string file = R"(<node endpoint="fra-1" query="top tiny large"/>)";
  const auto first = plan(file);
  ASSERT_TRUE(first) << first.error().render();
  ASSERT_EQ(first->queries.size(), 3U);
  const auto& top = first->queries[0];
  EXPECT_EQ(top.text,
            "CREATE MATERIALIZED VIEW \"Top\" WITH (sites = 'fra', placement = 'edge') AS\n"
            "SELECT count(*) AS n FROM tumble(flows, time, interval '1 min') GROUP BY window_start");
  EXPECT_TRUE(top.is_changed);
  EXPECT_EQ(top.revision, 10U);
  EXPECT_EQ(first->queries[1].name, "large");
  EXPECT_TRUE(first->queries[1].text.starts_with(
      R"(<?backstream bind.packets="flows" sites="fra" placement="edge"?><borealis>)"))
      << first->queries[1].text;
  EXPECT_EQ(first->queries[2].text,
            one_box("tiny_only", R"(<?backstream sites="fra" placement="edge" bind.other="flows"?>)"));

  for (const auto& query : first->queries) {
    for (json& known : queries) {
      if (known["name"] == query.name) known["text"] = query.text;
    }
  }
  const auto again = plan(file);
  ASSERT_TRUE(again) << again.error().render();
  for (const auto& query : again->queries) EXPECT_FALSE(query.is_changed) << query.placement;
  EXPECT_EQ(planned(file),
            "Top: sites fra, placement edge\nlarge: sites fra, placement edge\ntiny: sites fra, placement edge\n");
  // What is the same without an option has none.
  const auto moved = plan(R"(<node endpoint="merge-1" query="tiny"/><node endpoint="lab" query="tiny"/>)");
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->queries[0].text, one_box("tiny_only", R"(<?backstream sites="lab" bind.other="flows"?>)"));
}

TEST_F(DeployPlanning, AQueryElementIsAllOutputsThatNeedItsBoxes) {
  EXPECT_EQ(planned(R"(<node endpoint="ams-1" query="FIRST"/>)"),
            "counted: sites ams (was all), placement edge (was auto)\n"
            "large: sites ams (was all), placement edge (was auto)\n");
  EXPECT_EQ(planned(R"(<node endpoint="ams-1" query="tiny_only"/>)"),
            "tiny: sites ams (was ams,rio), placement edge\n");
  // The second part reads nothing but the first: where it stands, no flows are counted.
  for (const char* place : {"merge-1", "Fra-1"}) {
    EXPECT_EQ(
        planned(fmt::format(R"(<node endpoint="ams-1" query="first"/><node endpoint="{}" query="second"/>)", place)),
        "counted: sites ams (was all), placement auto\n"
        "large: sites ams (was all), placement edge (was auto)\n");
  }
  // A query goes before a part of the same name.
  add("first", "SELECT count(*) AS n FROM tumble(flows, time, interval '1 min') GROUP BY window_start");
  EXPECT_EQ(planned(R"(<node endpoint="merge-1" query="first"/>)"), "first: sites all, placement central (was auto)\n");
}

TEST_F(DeployPlanning, OfNamesThatDifferInCaseAloneTheLowerOneIsMeant) {
  add("top", "SELECT count(*) AS n FROM tumble(flows, time, interval '1 min') GROUP BY window_start");
  EXPECT_EQ(planned(R"(<node endpoint="merge-1" query="TOP"/>)"), "top: sites all, placement central (was auto)\n");
}

TEST_F(DeployPlanning, AMoveLeavesAQueryAtOneNode) {
  EXPECT_EQ(planned(R"(<node endpoint="ams-1" query="first"/><node endpoint="merge-1" query="counted top"/>
                       <move box="Names" node="fra-1:15000"/>)"),
            "Top: sites all, placement central (was auto)\n"
            "counted: sites fra (was all), placement edge (was auto)\n"
            "large: sites ams (was all), placement edge (was auto)\n");
  EXPECT_EQ(planned(R"(<move box="only_large names" node="merge-1"/>)"),
            "counted: sites all, placement central (was auto)\n"
            "large: sites all, placement central (was auto)\n");
  refused(R"(<move box="only_large" node="ams-1"/><move box="«names»" node="fra-1"/>)", "42710",
          "query 'counted' is moved to two nodes: 'names' is a box of it, too", "a query moves as a whole");
}

TEST_F(DeployPlanning, APublishSaysWhichSitesAStreamComesFrom) {
  EXPECT_EQ(planned(R"(<publish stream="Packets" node="ams-1"/><publish stream="packets" node="lab"/>
                       <node endpoint="merge-1" query="large top"/>)"),
            "Top: sites ams,lab (was all), placement central (was auto)\n"
            "large: sites ams,lab (was all), placement central (was auto)\n");
  EXPECT_EQ(planned(R"(<publish stream="flows" node="ams-1"/><publish stream="packets"/>
                       <node endpoint="merge-1" query="top large"/>)"),
            "Top: sites ams (was all), placement central (was auto)\n"
            "large: sites ams (was all), placement central (was auto)\n");
  EXPECT_EQ(planned(R"(<publish stream="packets" node="ams-1"/>
                       <node endpoint="ams-1" query="large"/><node endpoint="fra-1" query="large"/>)"),
            "large: sites ams (was all), placement edge (was auto)\n");
  // Another relation is another stream.
  add("lost", "SELECT count(*) AS n FROM tumble(exporter_stats, time, interval '1 min') GROUP BY window_start");
  EXPECT_EQ(planned(R"(<publish stream="packets" node="ams-1"/><node endpoint="merge-1" query="large lost"/>)"),
            "large: sites ams (was all), placement central (was auto)\n"
            "lost: sites all, placement central (was auto)\n");
  refused(R"(<publish stream="packets" node="«fra-1»"/><node endpoint="ams-1" query="large"/>)", "22023",
          "query 'large' is placed at ams, and its stream 'packets' comes from fra",
          "place it where its flows come from, or on a node that merges");
  add("both", "SELECT octets FROM flows UNION ALL SELECT octets FROM elsewhere");
  refused(R"(<publish stream="flows" node="«fra-1»"/><publish stream="elsewhere" node="ams-1"/>
             <node endpoint="merge-1" query="both"/>)",
          "0A000", "query 'both' reads the streams 'elsewhere' and 'flows' from different nodes",
          "its option sites holds for every stream that it reads");
}

TEST_F(DeployPlanning, ResultsAreAtEveryReceiver) {
  const auto made = plan(R"(<client endpoint="screen:25000"><subscribe stream="large"/></client>
                            <subscribe stream="top" endpoint=":25000"/><subscribe stream="LARGE" endpoint="merge-1"/>)");
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_TRUE(made->queries.empty());
  EXPECT_EQ(made->notes, (std::vector<std::string>{"every receiver has the results of large",
                                                   "every receiver has the results of Top"}));
  EXPECT_EQ(deploy_report(*made, nullptr, false),
            "nothing to change: 0 queries are as the file says\n"
            "every receiver has the results of large\nevery receiver has the results of Top\n");
}

TEST_F(DeployPlanning, AnEndpointWithoutAHostIsTheOnlyNode) {
  refused(R"(<node endpoint="«:15000»" query="top"/>)", "42704", "an endpoint without a host names no node",
          "nodes are ams-1, Fra-1, merge-1, lab, screen");
  refused(R"(<node endpoint="«localhost»:15000" query="top"/>)", "42704", "there is no node 'localhost'",
          "nodes are ams-1, Fra-1, merge-1, lab, screen");
  nodes = {node("box-17", "", kAll)};
  for (const char* endpoint : {":15000", "localhost:15000", "LocalHost"}) {
    // Of the only edge all flows are those of its site.
    EXPECT_EQ(planned(fmt::format(R"(<node endpoint="{}" query="top"/>)", endpoint)),
              "Top: sites all, placement auto\n");
  }
}

TEST_F(DeployPlanning, ASiteMustBeTold) {
  nodes.push_back(node("rio-1", "", kEdge));
  nodes.push_back(node("odd-1", "a,b", kEdge));
  refused(R"(<node endpoint="«rio-1»:1" query="top"/>)", "55000",
          "node 'rio-1' has no site, so its flows cannot be told from those of other edges", "give it one: node.site");
  refused(R"(<publish stream="flows" node="«odd-1»:1"/><node endpoint="merge-1" query="top"/>)", "55000",
          "the site 'a,b' of node 'odd-1' cannot stand in the option sites", "give it another: node.site");
}

TEST_F(DeployPlanning, WhatIsNotThereIsToldWhereItStands) {
  refused(R"(<node endpoint="«amz-1»:15000" query="top"/>)", "42704", "there is no node 'amz-1'",
          "did you mean 'ams-1'?");
  refused(R"(<node endpoint="«nowhere»"/>)", "42704", "there is no node 'nowhere'",
          "nodes are ams-1, Fra-1, merge-1, lab, screen");
  refused(R"(<node endpoint="«screen»" query="top"/>)", "22023", "no query runs on node 'screen': its role is receiver",
          "it can be ams-1, Fra-1, merge-1, lab");
  refused(R"(<node endpoint="ams-1" query="top «larg»"/>)", "42704",
          "no query is called 'larg', nor a query of a diagram that is registered", "did you mean 'large'?");
  refused(R"(<node endpoint="ams-1" query="«firs»"/>)", "42704",
          "no query is called 'firs', nor a query of a diagram that is registered", "did you mean 'first'?");
  refused(R"(<node endpoint="ams-1" query="«plain»"/>)", "42809",
          "'plain' is a plain view, which runs with those that read it", "place the queries that read it");
  refused(R"(<publish stream="«pakets»"/><node endpoint="ams-1" query="large"/>)", "42704",
          "no query of this file reads the stream 'pakets'", "did you mean 'packets'?");
  refused(R"(<publish stream="«packets»"/>)", "42704", "no query of this file reads the stream 'packets'",
          "name the queries that read it under <node>");
  refused(R"(<publish stream="packets" node="«merge-1»"/><node endpoint="ams-1" query="large"/>)", "22023",
          "no flows come to node 'merge-1': its role is merge, receiver", "it can be ams-1, Fra-1, lab");
  refused(R"(<subscribe stream="«second»"/>)", "42704", "there is no query 'second' whose results could be read",
          "there are Top, counted, large, plain, tiny");
  refused(R"(<subscribe stream="large" endpoint="«ams-1»:25000"/>)", "22023",
          "no results come to node 'ams-1': its role is edge", "it can be merge-1, lab, screen");
  refused(R"(<move box="«only_larg»" node="ams-1"/>)", "42704", "no diagram that is registered has a box 'only_larg'",
          "did you mean 'only_large'?");
  refused(R"(<move box="names" node="«screen»"/>)", "22023", "no query runs on node 'screen': its role is receiver",
          "it can be ams-1, Fra-1, merge-1, lab");
  queries = json::array();
  refused(R"(<node endpoint="ams-1" query="«large»"/>)", "42704",
          "no query is called 'large', nor a query of a diagram that is registered",
          "backstream query add NAME diagram.xml");
}

TEST_F(DeployPlanning, ReportsALineForEachQuery) {
  const auto made = plan(R"(<node endpoint="fra-1" query="top tiny"/><node endpoint="ams-1" query="large"/>
                            <subscribe stream="top"/>)");
  ASSERT_TRUE(made) << made.error().render();
  const json done = {{"done",
                      {{{"name", "Top"}, {"verb", "alter"}, {"also", {"reader", "another"}}},
                       {{"name", "tiny"}, {"verb", "alter"}, {"also", json::array()}}}}};
  EXPECT_EQ(deploy_report(*made, done, true),
            "alter      Top    sites fra (was all), placement edge (was auto)  starts anew with it: reader, another\n"
            "unchanged  large  sites ams (was all), placement edge (was auto)\n"
            "alter      tiny   sites fra (was ams,rio), placement edge\n"
            "would be: 2 altered, 1 unchanged\n"
            "every receiver has the results of Top\n");
  EXPECT_TRUE(deploy_report(*made, done, false).find("\n2 altered, 1 unchanged\n") != std::string::npos);
}

}  // namespace
}  // namespace backstream::app
