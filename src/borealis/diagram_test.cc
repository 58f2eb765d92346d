#include "borealis/diagram.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "borealis/refusal_test.h"

namespace backstream::borealis {
namespace {

void check(std::initializer_list<Refusal> refusals) {
  for (const Refusal& refusal : refusals) expect_refused(read_text(marked(refusal.text).text), refusal);
}

constexpr std::string_view kMatrix = R"xml(<?xml version="1.0"?>
<!DOCTYPE borealis SYSTEM "borealis.dtd">
<?backstream sites="ams,fra" bind.Flows="flows"?>
<Borealis update_queue="0" queue_type="0">
  <input stream="Flows" schema="Packets" node="localhost:15000"/>
  <output stream="Matrix" schema="Row"/>
  <schema name="packets"><field name="SrcAs" type="INT"/><field name="octets" type="long"/>
    <field name="time" type="timestamp"/><field name="site" type="string" size="16"/></schema>
  <query name="TM">
    <box name="TM_box" type="Aggregate" node="{Ams}"><in stream="one_packet"/><out stream="MATRIX"/>
      <parameter name="aggregate-function.0" value="sum(octets)"/>
      <parameter name="window-size-by" value="VALUES"/><parameter name="window-size" value="300"/>
      <parameter name="advance" value="300"/><parameter name="order-by" value="FIELD"/>
      <parameter name="order-on-field" value="time"/></box>
    <schema name="row"><field name="time" type="timestamp"/><field name="agg_0" type="double"/></schema>
  </query>
  <box name="small" type="filter"><in stream="flows"/><out stream="one_packet"/>
    <parameter name="expression.0" value="srcas &gt; 0"/></box>
</Borealis>)xml";

TEST(BorealisDiagram, SchemasStreamsBoxesAndOptionsAreRead) {
  const Diagram diagram = read(kMatrix);
  ASSERT_EQ(diagram.schemas.size(), 2U);
  const Schema& packets = diagram.schemas[0];
  EXPECT_EQ(packets.name, "packets");
  ASSERT_EQ(packets.fields.size(), 4U);
  EXPECT_EQ(packets.fields[0].name, "srcas");
  EXPECT_EQ(packets.fields[0].type, FieldType::kInt);
  EXPECT_EQ(piece(kMatrix, packets.fields[0].span), "SrcAs");
  EXPECT_EQ(piece(kMatrix, packets.fields[0].type_span), "INT");
  EXPECT_EQ(packets.fields[2].type, FieldType::kTimestamp);
  EXPECT_EQ(packets.fields[3].type, FieldType::kString);
  EXPECT_EQ(name(packets.fields[3].type), "string");

  ASSERT_EQ(diagram.inputs.size(), 1U);
  EXPECT_EQ(diagram.inputs[0].stream.text, "flows");
  EXPECT_EQ(piece(kMatrix, diagram.inputs[0].stream.span), "Flows");
  EXPECT_EQ(diagram.inputs[0].schema, 0U);
  ASSERT_EQ(diagram.outputs.size(), 1U);
  EXPECT_EQ(diagram.outputs[0].stream.text, "matrix");
  EXPECT_EQ(diagram.outputs[0].schema, 1U);

  ASSERT_EQ(diagram.boxes.size(), 2U);  // In the order of the streams.
  const Box& filter = diagram.boxes[0];
  EXPECT_EQ(filter.name, "small");
  EXPECT_EQ(filter.type, "filter");
  EXPECT_EQ(filter.query, "small");
  EXPECT_EQ(filter.node, "");
  EXPECT_EQ(piece(kMatrix, filter.span), "<box");
  EXPECT_EQ(piece(kMatrix, filter.name_span), "small");
  ASSERT_EQ(filter.inputs.size(), 1U);
  EXPECT_EQ(piece(kMatrix, filter.inputs[0].span), "flows");
  EXPECT_EQ(filter.outputs[0].text, "one_packet");
  const Box& aggregate = diagram.boxes[1];
  EXPECT_EQ(aggregate.name, "tm_box");
  EXPECT_EQ(aggregate.type, "aggregate");
  EXPECT_EQ(aggregate.query, "tm");
  EXPECT_EQ(aggregate.node, "{ams}");
  EXPECT_EQ(aggregate.outputs[0].text, "matrix");

  ASSERT_EQ(diagram.queries.size(), 2U);
  EXPECT_EQ(diagram.queries[0].text, "tm");
  EXPECT_EQ(diagram.queries[1].text, "small");
  ASSERT_EQ(diagram.options.size(), 2U);
  EXPECT_EQ(diagram.options[1].name, "bind.Flows");
  EXPECT_TRUE(piece(kMatrix, diagram.options_span).starts_with("<?backstream"));
}

TEST(BorealisDiagram, EveryFieldTypeIsRead) {
  std::string fields;
  const std::initializer_list<std::pair<std::string_view, FieldType>> types = {
      {"byte", FieldType::kByte},     {"short", FieldType::kShort},        {"int", FieldType::kInt},
      {"long", FieldType::kLong},     {"single", FieldType::kSingle},      {"double", FieldType::kDouble},
      {"string", FieldType::kString}, {"timestamp", FieldType::kTimestamp}};
  for (const auto& [type, value] : types) fields += fmt::format(R"(<field name="f_{0}" type="{0}"/>)", type);
  const Diagram diagram = read("<borealis><schema name='s'>" + fields +
                               "</schema><input stream='a' schema='s'/><output stream='a'/></borealis>");
  ASSERT_EQ(diagram.schemas[0].fields.size(), types.size());
  for (size_t i = 0; i < types.size(); ++i) {
    EXPECT_EQ(diagram.schemas[0].fields[i].type, types.begin()[i].second);
    EXPECT_EQ(name(types.begin()[i].second), types.begin()[i].first);
  }
}

/// A diagram with a schema "s" of one int "x" and an input "in" of it.
std::string with(std::string_view inside) {
  return fmt::format(R"(<borealis><schema name="s"><field name="x" type="int"/></schema>)"
                     R"(<input stream="in" schema="s"/>{}</borealis>)",
                     inside);
}
/// A union box, so without parameters, of the streams that are given with spaces between.
std::string box(std::string_view name, std::string_view inputs, std::string_view output) {
  std::string text = fmt::format(R"(<box name="{}" type="union">)", name);
  while (!inputs.empty()) {
    const size_t end = std::min(inputs.find(' '), inputs.size());
    text += fmt::format(R"(<in stream="{}"/>)", inputs.substr(0, end));
    inputs.remove_prefix(std::min(end + 1, inputs.size()));
  }
  return text + fmt::format(R"(<out stream="{}"/></box>)", output);
}

std::string names_of(const Diagram& diagram) {
  std::string names;
  for (const Box& one : diagram.boxes) names += (names.empty() ? "" : " ") + one.name;
  return names;
}

TEST(BorealisStreams, BoxesComeAfterThoseThatTheyRead) {
  EXPECT_EQ(names_of(read(with(box("c", "b a", "c") + box("b", "a", "b") + box("a", "in", "a")))), "a b c");
  // Otherwise as they are written.
  EXPECT_EQ(names_of(read(with(box("z", "in", "z") + box("y", "x", "y") + box("m", "in", "m") + box("x", "z m", "x")))),
            "z m x y");
  EXPECT_EQ(names_of(read(with(box("b", "in in", "b") + box("a", "b b", "a")))), "b a");
}

TEST(BorealisStreams, OutputsAreThoseThatAreNamed) {
  const Diagram diagram = read(with(R"(<output stream="IN"/><output stream="a" schema="S"/>)" + box("a", "in", "a") +
                                    box("b", "a", "b") + R"(<output stream="b"/>)"));
  ASSERT_EQ(diagram.outputs.size(), 3U);
  EXPECT_EQ(diagram.outputs[0].stream.text, "in");  // An input's copy.
  EXPECT_EQ(diagram.outputs[0].schema, std::nullopt);
  EXPECT_EQ(diagram.outputs[1].stream.text, "a");
  EXPECT_EQ(diagram.outputs[1].schema, 0U);
  EXPECT_EQ(diagram.outputs[2].stream.text, "b");
}

TEST(BorealisStreams, WithoutOutputsThoseThatNobodyReadsAreOutputs) {
  const std::string text = with(box("c", "a", "C") + box("a", "in", "a") + box("b", "a", "b"));
  const Diagram diagram = read(text);
  ASSERT_EQ(diagram.outputs.size(), 2U);
  EXPECT_EQ(diagram.outputs[0].stream.text, "c");
  EXPECT_EQ(piece(text, diagram.outputs[0].stream.span), "C");
  EXPECT_EQ(diagram.outputs[1].stream.text, "b");
}

TEST(BorealisStreams, WhatIsNotConnectedIsRefused) {
  check({
      {with(box("a", "in", "«a»") + box("b", "in", "b") + R"(<output stream="b"/>)"), "42601",
       "no box reads the stream 'a', and it is no output", "write <output stream=\"a\"/>, or leave it out"},
      {with(R"(<input stream="«Other»" schema="s"/>)" + box("a", "in", "a")), "42601",
       "no box reads the input 'other', and it is no output", "leave it out"},
      {with(box("a", "in «inn»", "a")), "42P01", "there is no stream 'inn'", "did you mean 'in'?"},
      {with(box("a", "in «nowhere»", "a")), "42P01", "there is no stream 'nowhere'"},
      {with(box("a", "in", "a") + R"(<output stream="«b»"/>)"), "42P01", "there is no stream 'b'", "did you mean 'a'?"},
      {with(box("a", "in", "a") + box("b", "in", "«A»")), "42710", "the stream 'a' is written twice",
       "the box 'a' writes it, too; a union box makes one stream of two"},
      {with(box("a", "in", "«in»")), "42710", "the stream 'in' is written twice", "it is an input"},
      {with(box("a", "in", "b") + R"(<input stream="«b»" schema="s"/>)"), "42710", "the stream 'b' is written twice",
       "the box 'a' writes it, too; a union box makes one stream of two"},
      {with(R"(<input stream="«in»" schema="s"/>)"), "42710", "the stream 'in' is written twice", "it is an input"},
      {with(R"(<output stream="in"/><output stream="«In»"/>)"), "42710", "the output 'in' is there twice"},
      {"«<borealis»/>", "42601", "the diagram has no output"},
  });
}

TEST(BorealisStreams, CirclesAreNamed) {
  check({
      {with(box("«a»", "in a", "a")), "42P19", "boxes read each other in a circle: 'a' -> 'a'"},
      {with(box("c", "b", "c") + box("«a»", "in b", "a") + box("b", "a", "b")), "42P19",
       "boxes read each other in a circle: 'a' -> 'b' -> 'a'"},
      // Boxes before and behind the circle are not of it.
      {with(box("last", "z", "last") + box("first", "in", "first") + box("«x»", "first z", "x") + box("y", "x", "y") +
            box("z", "y", "z")),
       "42P19", "boxes read each other in a circle: 'x' -> 'y' -> 'z' -> 'x'"},
  });
  std::string ring = box("«b0»", "in s99", "s0");
  for (int i = 1; i < 100; ++i) {
    ring += box(fmt::format("b{}", i), fmt::format("s{}", i - 1), fmt::format("s{}", i));
  }
  check({{with(ring), "42P19",
          "boxes read each other in a circle: 'b0' -> 'b1' -> 'b2' -> 'b3' -> 'b4' -> 'b5' -> 'b6' -> 'b7' -> ... -> "
          "'b0'"}});
}

TEST(BorealisDiagram, ElementsAreWhereTheyBelong) {
  const std::string_view table =
      "make a lookup table with CREATE TABLE, name it in an <input> and read it with a joinstatic box";
  check({
      {"«<deploy»><node endpoint='x'/></deploy>", "42601", "this is a deployment file, not a diagram",
       "a diagram stands in <borealis>"},
      {"«<network»/>", "42601", "a diagram stands in <borealis>, not in 'network'"},
      {with("«<bx»/>"), "42601", "<borealis> has no element 'bx'", "did you mean 'box'?"},
      {with("«<something»/>"), "42601", "<borealis> has no element 'something'",
       "in it stand box, schema, input, output, query"},
      {with("«<field» name='x' type='int'/>"), "42601", "<borealis> has no element 'field'",
       "in it stand box, schema, input, output, query"},
      {with("<query name='q'>«<query» name='r'/></query>"), "42601", "<query> has no element 'query'",
       "in it stand box, schema, input, output"},
      {with("<query name='q'>«<table» name='t' schema='s'/></query>"), "0A000", "<table> is not supported in <query>",
       table},
      {with("<box name='b' type='select'>«<access» table='t'/></box>"), "0A000", "<access> is not supported in <box>",
       table},
      {with("<input stream='a' schema='s'>«<in» stream='x'/></input>"), "42601", "<input> has no element 'in'",
       "it is empty"},
      {with("«<type» name='t' array='int(5)'/>"), "0A000", "<type> is not supported in <borealis>",
       "arrays are not supported: give each field a type of its own"},
      {with("«<connection_point_view» name='v' stream='in'><size value='5'/></connection_point_view>"), "0A000",
       "<connection_point_view> is not supported in <borealis>",
       "a stream is read from now on; results are kept as history without it"},
      {with("«<modify» box='b'/>"), "0A000", "<modify> is not supported in <borealis>",
       "change the box in its diagram: backstream query alter DIAGRAM"},
      {with("«<delete» query='q'/>"), "0A000", "<delete> is not supported in <borealis>",
       "a query is removed by its name: backstream query drop NAME"},
      {with("«<publish» stream='in'/>"), "0A000", "<publish> is not supported in <borealis>",
       "it stands in a deployment file, in <deploy>"},
      {with("«<replica_set» name='r'/>"), "0A000", "<replica_set> is not supported in <borealis>",
       "it stands in a deployment file, in <deploy>"},
      {with("«<connect» box='r'/>"), "0A000", "<connect> is not supported in <borealis>",
       "it is what nodes of Borealis send each other"},
      {with("«<stream» name='r'/>"), "0A000", "<stream> is not supported in <borealis>",
       "an input is <input stream=\"...\" schema=\"...\"/>, any other stream the <out> of a box"},
  });
}

TEST(BorealisDiagram, AttributesAreKnown) {
  const std::string_view queue = "streams are append queues: leave it out";
  check({
      {with("«<input» stream='a'/>"), "42601", "<input> needs the attribute 'schema'"},
      {with("«<output»/>"), "42601", "<output> needs the attribute 'stream'"},
      {with("«<box» name='a'/>"), "42601", "<box> needs the attribute 'type'"},
      {with("«<query»/>"), "42601", "<query> needs the attribute 'name'"},
      {with("<box name='b' type='union'>«<in»/></box>"), "42601", "<in> needs the attribute 'stream'"},
      {with("<box name='b' type='union'>«<out»/></box>"), "42601", "<out> needs the attribute 'stream'"},
      {with("<box name='b' type='union'>«<parameter» name='a'/></box>"), "42601",
       "<parameter> needs the attribute 'value'"},
      {with("<schema name='t'>«<field» name='a'/></schema>"), "42601", "<field> needs the attribute 'type'"},
      {with("<output «strem»='in'/>"), "42601", "<output> has no attribute 'strem'", "did you mean 'stream'?"},
      {with("<output stream='in' «endpoint»='x'/>"), "42601", "<output> has no attribute 'endpoint'",
       "it has stream, schema"},
      {"<borealis update_queue='«1»'/>", "0A000", "'update_queue' other than 0 is not supported", queue},
      {"<borealis update_queue='0' queue_type='«3»'/>", "0A000", "'queue_type' other than 0 is not supported", queue},
      {"<borealis update_queue='0' «key»='x'/>", "0A000", "'key' of <borealis> is not supported", queue},
      {with("<query name='q' update_queue='«1»'/>"), "0A000", "'update_queue' other than 0 is not supported", queue},
      {with("<box name='b' type='union' «key»='x'/>"), "0A000", "'key' of <box> is not supported", queue},
      {with("<box name='b' type='union'><in stream='in' queue_type='«1»'/></box>"), "0A000",
       "'queue_type' other than 0 is not supported", queue},
      {with("<box name='b' type='union'><in stream='in' «connection_point_view»='v'/></box>"), "0A000",
       "'connection_point_view' of <in> is not supported", "a stream is read from now on: leave it out"},
  });
}

TEST(BorealisDiagram, NamesAreThereOnceAndPlain) {
  const std::string long_name(64, 'n');
  check({
      {with("<schema name='«S»'><field name='x' type='int'/></schema>"), "42710", "the schema 's' is there twice"},
      {with("<schema name='t'><field name='x' type='int'/><field name='«X»' type='int'/></schema>"), "42701",
       "the field 'x' is there twice"},
      {with(box("a", "in", "a") + box("«A»", "in", "b")), "42710", "the box 'a' is there twice"},
      {with("<query name='q'>" + box("a", "in", "a") + "</query><query name='«q»'>" + box("b", "in", "b") + "</query>"),
       "42710", "the query 'q' is there twice"},
      // A box outside of a query is one.
      {with("<query name='a'>" + box("b", "in", "a") + "</query>" + box("«a»", "in", "b")), "42710",
       "the query 'a' is there twice"},
      {with("<query name='q'>" + box("a", "in", "a") + "</query>" + box("«A»", "in", "b")), "42710",
       "the box 'a' is there twice"},
      {with("«<query» name='q'/>"), "42601", "the query 'q' has no box"},
      {with("<output stream='in' schema='«t»'/>"), "42704", "there is no schema 't'", "did you mean 's'?"},
      {with("<input stream='b' schema='«other»'/>"), "42704", "there is no schema 'other'"},
      {with("«<schema» name='control'/>"), "0A000", "the schema 'control' has no field",
       "streams of control are not supported"},
      {with("<schema name='«»'><field name='x' type='int'/></schema>"), "42601", "a name belongs here"},
      {with("<schema name='« t»'><field name='x' type='int'/></schema>"), "42601",
       "a name has no spaces around it, and no control characters"},
      {with("<schema name='«a&#10;b»'><field name='x' type='int'/></schema>"), "42601",
       "a name has no spaces around it, and no control characters"},
      {with(box("«" + long_name + "»", "in", "a")), "54000", "a name has at most 63 octets"},
  });
  EXPECT_EQ(read(with(box(long_name.substr(1), "in", "a"))).boxes[0].name.size(), 63U);
}

TEST(BorealisDiagram, TypesAreChecked) {
  const auto with_field = [](std::string_view attributes) {
    return with(fmt::format("<schema name='t'><field name='f' {}/></schema>", attributes));
  };
  const std::string_view size_hint = "leave it out: strings are as long as they are";
  check({
      {with_field("type='«float»'"), "42704", "there is no type 'float'", "write single"},
      {with_field("type='«Integer»'"), "42704", "there is no type 'Integer'", "write int"},
      {with_field("type='«bool»'"), "42704", "there is no type 'bool'", "write int"},
      {with_field("type='«inet»'"), "42704", "there is no type 'inet'", "write long"},
      {with_field("type='«strng»'"), "42704", "there is no type 'strng'", "did you mean 'string'?"},
      {with_field("type='«vector»'"), "42704", "there is no type 'vector'",
       "there are byte, short, int, long, single, double, string, timestamp"},
      {with_field("type='«int(1...10)»'"), "0A000", "arrays are not supported"},
      {with_field("type='string' size='«0»'"), "22023", "the size of a string is a whole number above zero, not '0'",
       size_hint},
      {with_field("type='string' size='«long»'"), "22023",
       "the size of a string is a whole number above zero, not 'long'", size_hint},
      {with_field("type='string' size='«-5»'"), "22023", "the size of a string is a whole number above zero, not '-5'",
       size_hint},
  });
}

TEST(BorealisDiagram, LimitsAreKept) {
  std::string boxes = box("b0", "in", "s0");
  for (size_t i = 1; i < kBoxesMax; ++i) {
    boxes += box(fmt::format("b{}", i), fmt::format("s{}", i - 1), fmt::format("s{}", i));
  }
  EXPECT_EQ(read(with(boxes)).boxes.size(), kBoxesMax);
  check({{with(boxes + "«<box» name='more' type='union'/>"), "54000", "a diagram has at most 1000 boxes"}});
  // 10 000 of them, each reading the one before.
  std::string chain = box("b0", "in", "s0");
  for (size_t i = 1; i < 10'000; ++i) {
    std::string next = box(fmt::format("b{}", i), fmt::format("s{}", i - 1), fmt::format("s{}", i));
    if (i == kBoxesMax) next = "«<box»" + next.substr(4);
    chain += next;
  }
  check({{with(chain), "54000", "a diagram has at most 1000 boxes"}});

  std::string inputs = "in";
  for (size_t i = 1; i < kPortsMax; ++i) inputs += " in";
  EXPECT_EQ(read(with(box("a", inputs, "a"))).boxes[0].inputs.size(), kPortsMax);
  std::string ports = box("a", inputs, "a");
  ports.insert(ports.find("<out"), "«<in» stream='in'/>");
  check({{with(ports), "54000", "a box has at most 100 of <in>"}});

  std::string inputs_of_diagram, unread;
  for (size_t i = 1; i < kInputsMax; ++i) {
    inputs_of_diagram += fmt::format("<input stream='in{0}' schema='s'/><output stream='in{0}'/>", i);
  }
  EXPECT_EQ(read(with(inputs_of_diagram + "<output stream='in'/>")).outputs.size(), kOutputsMax);
  check(
      {{with(inputs_of_diagram + "«<input» stream='more' schema='s'/>"), "54000", "a diagram has at most 100 inputs"}});
  for (size_t i = 0; i < kOutputsMax; ++i) unread += box(fmt::format("u{}", i), "in", fmt::format("u{}", i));
  check({{with(unread + box("more", "in", "«more»")), "54000", "a diagram has at most 100 outputs"}});

  std::string fields;
  for (size_t i = 0; i < kFieldsMax; ++i) fields += fmt::format("<field name='f{}' type='int'/>", i);
  EXPECT_EQ(read(with("<output stream='in'/><schema name='t'>" + fields + "</schema>")).schemas[1].fields.size(),
            kFieldsMax);
  check({{with("<schema name='t'>" + fields + "«<field» name='g' type='int'/></schema>"), "54000",
          "a schema has at most 200 fields"}});

  std::string outputs;
  for (size_t i = 0; i <= kFieldsMax; ++i) {
    outputs += fmt::format(
        "<parameter name='output-field-name.{0}' value='f{0}'/>"
        "<parameter name='{1}expression.{0}{2}' value='x'/>",
        i, i == kFieldsMax ? "«" : "", i == kFieldsMax ? "»" : "");
  }
  check({{with("<box name='m' type='map'><in stream='in'/><out stream='m'/>" + outputs + "</box>"), "54000",
          "a box has at most 200 of 'expression.0', …"}});
}

TEST(BorealisDiagram, LongNamesAreCutInMessages) {
  const std::string wide = std::string(62, 'n') + "ü" + std::string(1000, 'n');
  check({{with("<output stream='in' «" + wide + "»='x'/>"), "42601",
          "<output> has no attribute '" + std::string(62, 'n') + "…'", "it has stream, schema"}});
}

}  // namespace
}  // namespace backstream::borealis
