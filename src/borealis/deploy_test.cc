#include "borealis/deploy.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "borealis/refusal_test.h"

namespace backstream::borealis {
namespace {

Result<Deployment> read_deploy(std::string_view text) {
  const auto document = read_document(text);
  if (!document) return tl::unexpected<base::Diagnostic>(document.error());
  return read_deployment(*document);
}

/// Within <deploy>: what is wrong stands between «».
void check(std::initializer_list<Refusal> refusals) {
  for (const Refusal& refusal : refusals) {
    const std::string whole = fmt::format("<deploy>\n  {}\n</deploy>", refusal.text);
    Refusal placed = refusal;
    placed.text = whole;
    expect_refused(read_deploy(marked(whole).text), placed);
  }
}

/// "host|place of it", as written.
std::string told(const Name& name, std::string_view text) {
  return fmt::format("{}|{}", name.text, piece(text, name.span));
}

TEST(BorealisDeploy, NodesQueriesStreamsAndMovesKnowTheirPlaces) {
  constexpr std::string_view kText = R"xml(<?xml version="1.0"?>
<!DOCTYPE borealis SYSTEM "borealis.dtd">
<Deploy>
  <client prefix="Mine" endpoint="Receiver-1:25000">
    <publish stream="Packets" node="Ams:15000"/> <subscribe stream="Matrix"/> <subscribe stream="other" endpoint=":1"/>
  </client>
  <subscribe stream="third"/>
  <node endpoint="AMS" query=" Matrix  &#x54;M
sweep "/>
  <node endpoint=":15000" query=""/> <node endpoint="[::1]:15000"/>
  <move box="Tm two" node="fra:1"/>
</Deploy>)xml";
  const auto read = read_deploy(kText);
  ASSERT_TRUE(read) << read.error().render();
  ASSERT_EQ(read->nodes.size(), 3U);
  EXPECT_EQ(told(read->nodes[0].host, kText), "ams|AMS");
  ASSERT_EQ(read->nodes[0].queries.size(), 3U);
  EXPECT_EQ(told(read->nodes[0].queries[0], kText), "matrix|Matrix");
  EXPECT_EQ(told(read->nodes[0].queries[1], kText), "tm|&#x54;M");
  EXPECT_EQ(told(read->nodes[0].queries[2], kText), "sweep|sweep");
  EXPECT_EQ(told(read->nodes[1].host, kText), "|:15000");
  EXPECT_TRUE(read->nodes[1].queries.empty());
  EXPECT_EQ(told(read->nodes[2].host, kText), "[::1]|[::1]");

  ASSERT_EQ(read->publishes.size(), 1U);
  EXPECT_EQ(told(read->publishes[0].stream, kText), "packets|Packets");
  EXPECT_EQ(told(*read->publishes[0].host, kText), "ams|Ams");
  ASSERT_EQ(read->subscribes.size(), 3U);
  EXPECT_EQ(told(read->subscribes[0].stream, kText), "matrix|Matrix");
  EXPECT_EQ(told(*read->subscribes[0].host, kText), "receiver-1|Receiver-1");  // Of its client.
  EXPECT_EQ(told(*read->subscribes[1].host, kText), "|:1");
  EXPECT_FALSE(read->subscribes[2].host);
  ASSERT_EQ(read->moves.size(), 1U);
  ASSERT_EQ(read->moves[0].boxes.size(), 2U);
  EXPECT_EQ(told(read->moves[0].boxes[1], kText), "two|two");
  EXPECT_EQ(told(read->moves[0].host, kText), "fra|fra");
}

TEST(BorealisDeploy, WhatHasNoMeaningHereIsRefusedByItsName) {
  constexpr std::string_view kDiagram = "it belongs in a diagram: backstream query add NAME diagram.xml";
  constexpr std::string_view kRuntime = "it is what nodes of Borealis send each other";
  check({
      {R"(«<replica_set» name="r" query="q"><node endpoint="a"/></replica_set>)", "0A000",
       "<replica_set> is not supported in <deploy>",
       "merge workers take over from each other, and Kafka keeps what is not done: name the queries under <node>"},
      {R"(«<Region» node=":15000"/>)", "0A000", "<region> is not supported in <deploy>",
       "nodes know each other by the catalog that they share: leave it out"},
      {R"(«<unsubscribe» stream="s"/>)", "0A000", "<unsubscribe> is not supported in <deploy>",
       "who wants no more results stops reading them: leave it out"},
      {R"(<client><publish stream="s"/>«<unsubscribe» stream="s"/></client>)", "0A000",
       "<unsubscribe> is not supported in <client>", "who wants no more results stops reading them: leave it out"},
      {R"(«<disconnect» box="b"/>)", "0A000", "<disconnect> is not supported in <deploy>",
       "boxes go with their query: backstream query drop NAME"},
      {R"(«<component» name="shedder"/>)", "0A000", "<component> is not supported in <deploy>", kRuntime},
      {R"(«<head» endpoint="x"/>)", "0A000", "<head> is not supported in <deploy>", kRuntime},
      {R"(«<connect» node="x"/>)", "0A000", "<connect> is not supported in <deploy>", kRuntime},
      {R"(«<modify» box="x"/>)", "0A000", "<modify> is not supported in <deploy>",
       "change the diagram: backstream query alter NAME diagram.xml"},
      {R"(«<delete» query="x"/>)", "0A000", "<delete> is not supported in <deploy>",
       "a query is removed by its name: backstream query drop NAME"},
      {R"(«<box» name="x"/>)", "0A000", "<box> is not supported in <deploy>", kDiagram},
      {R"(«<query» name="x"/>)", "0A000", "<query> is not supported in <deploy>", kDiagram},
      {R"(«<input» stream="x"/>)", "0A000", "<input> is not supported in <deploy>", kDiagram},
      {R"(«<output» stream="x"/>)", "0A000", "<output> is not supported in <deploy>", kDiagram},
      {R"(«<schema» name="x"/>)", "0A000", "<schema> is not supported in <deploy>", kDiagram},
      {R"(«<table» name="x"/>)", "0A000", "<table> is not supported in <deploy>", kDiagram},
      {R"(«<type» name="x"/>)", "0A000", "<type> is not supported in <deploy>", kDiagram},
      {R"(«<connection_point_view» name="x"/>)", "0A000", "<connection_point_view> is not supported in <deploy>",
       kDiagram},
      {R"(«<borealis»/>)", "0A000", "<borealis> is not supported in <deploy>", kDiagram},
      {R"(<subscribe stream="s" «gap»="50"/>)", "0A000", "'gap' of <subscribe> is not supported",
       "what a window is without is counted and told with it: leave it out"},
      {R"(<move «table»="t" node="a"/>)", "0A000", "'table' of <move> is not supported",
       "a lookup table is made by CREATE TABLE, and every node has it"},
  });
}

TEST(BorealisDeploy, WhatIsNoDeployFileIsRefusedWhereItIs) {
  constexpr std::string_view kEndpoint = "it is NODE:PORT, or NODE alone";
  check({
      {R"(«<nod» endpoint="a"/>)", "42601", "<deploy> has no element 'nod'", "did you mean 'node'?"},
      {R"(«<set»/>)", "42601", "<deploy> has no element 'set'", "in it stand node, publish, subscribe, client, move"},
      {R"(<node endpoint="a">«<publish» stream="s"/></node>)", "0A000", "<publish> is not supported in <node>",
       "it stands in a deployment file, in <deploy>"},
      {R"(<client>«<node» endpoint="a"/></client>)", "0A000", "<node> is not supported in <client>",
       "it stands in a deployment file, in <deploy>"},
      {R"(«<client»/>)", "42601", "there is nothing in <client>", "in it stand publish, subscribe"},
      {R"(«<node» query="q"/>)", "42601", "<node> needs the attribute 'endpoint'"},
      {R"(<node endpoint="a" «querry»="q"/>)", "42601", "<node> has no attribute 'querry'", "did you mean 'query'?"},
      {R"(«<publish» node="a"/>)", "42601", "<publish> needs the attribute 'stream'"},
      {R"(«<subscribe»/>)", "42601", "<subscribe> needs the attribute 'stream'"},
      {R"(«<move» node="a"/>)", "42601", "<move> needs the attribute 'box'"},
      {R"(«<move» box="b"/>)", "42601", "<move> needs the attribute 'node'"},
      {R"(<move box="« »" node="a"/>)", "42601", "a name belongs here"},
      {R"(<publish stream="«»"/>)", "42601", "a name belongs here"},
      {R"(<node endpoint="«»"/>)", "22023", "an endpoint belongs here", kEndpoint},
      {R"(<node endpoint="a:«x1»"/>)", "22023", "'x1' is no port", kEndpoint},
      {R"(<node endpoint="a:«»"/>)", "22023", "'' is no port", kEndpoint},
      {R"(<node endpoint="a:«0»"/>)", "22023", "'0' is no port", kEndpoint},
      {R"(<node endpoint="a:«65536»"/>)", "22023", "'65536' is no port", kEndpoint},
      {R"(<node endpoint="a:«123456789012345678901»"/>)", "22023", "'123456789012345678901' is no port", kEndpoint},
      {R"(<publish stream="s" node="«a &lt;b»:1"/>)", "22023", "'a <b' is no host", kEndpoint},
      {R"(<move box="b" node="«a&#9;»"/>)", "22023", "'a ' is no host", kEndpoint},
      {R"(<node endpoint="a" query="q «r&#127;»"/>)", "42601",
       "a name has no spaces around it, and no control characters"},
  });
}

TEST(BorealisDeploy, TheRootSaysWhatADocumentIs) {
  const auto refused = [](const Refusal& refusal) { expect_refused(read_deploy(marked(refusal.text).text), refusal); };
  refused(
      {"«<deploy»/>", "42601", "there is nothing in <deploy>", "in it stand node, publish, subscribe, client, move"});
  refused({"«»", "42601", "there is no element in the text"});
  refused({"«<borealis»/>", "42601", "this is a diagram, not a deploy file", "backstream query add NAME diagram.xml"});
  refused({"«<node» endpoint='a'/>", "42601", "a deploy file is one <deploy>, not 'node'"});
  refused({"<deploy «name»='a'/>", "42601", "<deploy> has no attribute 'name'"});
  refused({"«<?backstream sites='ams'?>»<deploy/>", "42601", "<?backstream ...?> belongs in a diagram",
           "a deploy file sets the options sites and placement of queries"});
}

TEST(BorealisDeploy, NamesAreBoundedInLengthAndNumber) {
  check({{fmt::format(R"(<node endpoint="a" query="q «{}»"/>)", std::string(64, 'x')), "54000",
          "a name has at most 63 octets"},
         {fmt::format(R"(<node endpoint="«{}»:1"/>)", std::string(254, 'x')), "54000",
          "the name of a node has at most 253 octets"}});
  std::string names;
  for (size_t i = 0; i < kDeployNamesMax; ++i) names += "q ";
  const auto many = [&](std::string_view more) {
    return fmt::format(R"(<deploy><node endpoint="a" query="{}"/><move box="{}" node="a"/></deploy>)", names, more);
  };
  expect_refused(read_deploy(marked(many("«q»")).text),
                 {many("«q»"), "54000", "there are more than 10000 names of queries and boxes"});
}

}  // namespace
}  // namespace backstream::borealis
