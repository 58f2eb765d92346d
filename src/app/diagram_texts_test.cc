#include "app/diagram_texts.h"

#include <gtest/gtest.h>

#include "app/run_options.h"
#include "borealis/document.h"

namespace backstream::app {
namespace {

/// A diagram that counts packets by their source, with what stands around its root.
std::string diagram(const std::string& before_root, const std::string& more = {}) {
  return before_root +
         R"(<borealis>
  <schema name="packet"><field name="time" type="timestamp"/><field name="octets" type="long"/></schema>
  <input stream="packets" schema="packet"/>
  <output stream="large"/>)" +
         more + R"(
  <box name="only_large" type="filter">
    <in stream="packets"/> <out stream="large"/>
    <parameter name="expression.0" value="octets &gt; 1000"/>
  </box>
</borealis>
)";
}

std::string changed(const std::string& text, const std::vector<OptionChange>& changes) {
  const auto out = with_options(text, "a", changes);
  if (!out) return out.error().render();
  EXPECT_TRUE(borealis::read_document(*out)) << *out;
  return *out;
}

TEST(DiagramTexts, AnOptionOfADiagramStandsBeforeItsRootAndLinesStay) {
  const auto moved = [](const std::string& text) {
    return changed(text, {set_option("sites", "fra,<o'x\">"), set_option("placement", "edge")});
  };
  const std::string instruction = R"(<?backstream sites="fra,&lt;o&apos;x&quot;&gt;" placement="edge"?>)";
  EXPECT_EQ(moved(diagram("")), diagram(instruction + ' '));
  EXPECT_EQ(moved(diagram("<?xml version=\"1.0\"?>\n")), diagram("<?xml version=\"1.0\"?> " + instruction + '\n'));
  EXPECT_EQ(moved(diagram("<?xml version=\"1.0\"?>\n<!DOCTYPE borealis>\n<!-- why -->\n\n")),
            diagram("<?xml version=\"1.0\"?>\n<!DOCTYPE borealis>\n<!-- why --> " + instruction + "\n\n"));
  EXPECT_EQ(moved(diagram("<!-- why --> ")), diagram("<!-- why --> " + instruction + ' '));
}

TEST(DiagramTexts, AnOptionThatIsThereGetsAnotherValue) {
  EXPECT_EQ(changed(diagram("<?backstream sites='ams' late=\"drop\" ?>\n"),
                    {set_option("sites", "it's"), set_option("delay", "5 s")}),
            diagram("<?backstream sites='it&apos;s' late=\"drop\" delay=\"5 s\" ?>\n"));
  EXPECT_EQ(changed(diagram("<?backstream?>\n<?backstream sites=\"x\"?>\n"),
                    {set_option("sites", "y"), set_option("delay", "5 s")}),
            diagram("<?backstream delay=\"5 s\"?>\n<?backstream sites=\"y\"?>\n"));
}

TEST(DiagramTexts, OptionsAreTakenOutOfADiagram) {
  const std::string three = diagram("<?backstream sites=\"x\"\n  late='drop' delay=\"1 s\"?>\n");
  const auto without = [&](const std::string& text, const std::vector<std::string>& names) {
    std::vector<OptionChange> changes;
    for (const std::string& name : names) changes.push_back({name, std::nullopt});
    return changed(text, changes);
  };
  EXPECT_EQ(without(three, {"sites"}), diagram("<?backstream\n  late='drop' delay=\"1 s\"?>\n"));
  EXPECT_EQ(without(three, {"late"}), diagram("<?backstream sites=\"x\" delay=\"1 s\"?>\n"));
  EXPECT_EQ(without(three, {"late", "delay"}), diagram("<?backstream sites=\"x\"?>\n"));
  EXPECT_EQ(without(three, {"sites", "late", "delay"}), diagram(""));
  EXPECT_EQ(without(three, {"rest_row"}), three);
  EXPECT_EQ(without(diagram(""), {"sites"}), diagram(""));
}

TEST(DiagramTexts, WhatWasSetAndTakenAwayAgainLeavesTheTextAsItWas) {
  for (const char* before : {"", "<?xml version=\"1.0\"?>\n", "<?xml version=\"1.0\"?>\n<!-- why -->\n\n  ",
                             "<!-- why --> ", "<?backstream late=\"drop\"?>\n"}) {
    const std::string text = diagram(before);
    const std::string set = changed(text, {set_option("sites", "ams")});
    EXPECT_NE(set, text);
    EXPECT_EQ(changed(set, {{"sites", std::nullopt}}), text);
  }
}

TEST(DiagramTexts, ABindingIsAnOptionWhateverTheCaseOfItsStream) {
  EXPECT_EQ(with_bindings(diagram(""), "a.xml", {"Packets=flows"}).value(),
            diagram("<?backstream bind.packets=\"flows\"?> "));
  EXPECT_EQ(with_bindings(diagram("<?backstream bind.Packets=\"x\"?>\n"), "a.xml", {"packets=flows"}).value(),
            diagram("<?backstream bind.Packets=\"flows\"?>\n"));
  EXPECT_EQ(with_bindings("SELECT 1", "-e", {}).value(), "SELECT 1");
  const auto refused = [](const std::string& text, const std::vector<std::string>& bindings) {
    const auto bound = with_bindings(text, "a", bindings);
    return bound ? "" : bound.error().code + ": " + bound.error().message;
  };
  EXPECT_EQ(refused("SELECT 1", {"packets=flows"}), "usage: --bind is for diagrams in Borealis XML, and 'a' is SQL");
  for (const char* none : {"packets", "=flows", "packets=", ""})
    EXPECT_EQ(refused(diagram(""), {none}), "usage: '" + std::string(none) + "' binds nothing");
  EXPECT_EQ(refused(diagram(""), {"a=b", "A=c"}), "usage: two --bind are of the stream 'a'");
}

TEST(DiagramTexts, OfSeveralDiagramsEachTakesTheBindingsOfItsInputs) {
  std::string other = diagram("");
  for (size_t at; (at = other.find("packets")) != std::string::npos;) other.replace(at, 7, "records");
  std::vector<SqlText> texts = {{"a.xml", diagram("")}, {"-e", "SELECT 1"}, {"b.xml", other}};
  ASSERT_TRUE(bind_inputs(texts, {"packets=flows", "records=flows_once"}));
  EXPECT_TRUE(texts[0].text.starts_with("<?backstream bind.packets=\"flows\"?> <borealis>")) << texts[0].text;
  EXPECT_EQ(texts[1].text, "SELECT 1");
  EXPECT_TRUE(texts[2].text.starts_with("<?backstream bind.records=\"flows_once\"?> <borealis>")) << texts[2].text;
  const auto left = bind_inputs(texts, {"packet=flows"});
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().message, "no diagram has the input stream of --bind packet=flows");
  std::vector<SqlText> sql = {{"-e", "SELECT 1"}};
  EXPECT_FALSE(bind_inputs(sql, {"packets=flows"}));
}

TEST(DiagramTexts, ADiagramIsAQueryForEachOutputStream) {
  const std::string text = "\n" + diagram("", R"(
  <output stream="packets"/>)");
  const auto queries = split_queries(text, "d.xml", "d");
  ASSERT_TRUE(queries) << queries.error().render();
  ASSERT_EQ(queries->size(), 2u);
  for (const QueryText& query : *queries) {
    EXPECT_EQ(text.substr(query.offset_octets, query.length_octets), text.substr(1, text.size() - 2));
    EXPECT_TRUE(query.is_named);
    EXPECT_TRUE(query.is_diagram);
  }
  EXPECT_EQ((*queries)[0].name, "large");
  EXPECT_EQ((*queries)[0].source, "d.xml");
  EXPECT_EQ(text.substr((*queries)[0].place.offset_octets, (*queries)[0].place.length_octets), "large");
  EXPECT_EQ((*queries)[1].source, "d.xml#2");
  const auto broken = split_queries("<borealis>\n <input", "d.xml", "d");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().source_name, "d.xml");
  EXPECT_EQ(broken.error().line, 2u);
}

TEST(DiagramTexts, DeployFilesAreToldFromDiagrams) {
  EXPECT_TRUE(is_deploy_file("<?xml version=\"1.0\"?>\n<Deploy><node endpoint=\":15000\"/></Deploy>"));
  EXPECT_FALSE(is_deploy_file(diagram("")));
  EXPECT_FALSE(is_deploy_file("SELECT 1"));
  EXPECT_FALSE(is_deploy_file("<deploy"));
}

}  // namespace
}  // namespace backstream::app
