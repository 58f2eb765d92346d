#include <fmt/format.h>
#include <gtest/gtest.h>

#include "borealis/diagram.h"
#include "borealis/refusal_test.h"

namespace backstream::borealis {
namespace {

std::string parameter(std::string_view name, std::string_view value) {
  return fmt::format(R"(<parameter name="{}" value="{}"/>)", name, value);
}

/// A diagram of one box that reads "a", and "b" if `inputs` is 2, and writes "out".
std::string of_box(std::string_view type, std::string_view inside, int inputs = 1) {
  return fmt::format(
      R"(<borealis><schema name="s"><field name="x" type="int"/></schema><input stream="a" schema="s"/>{})"
      R"(<box name="box" type="{}"><in stream="a"/>{}<out stream="out"/>{}</box></borealis>)",
      inputs == 2 ? R"(<input stream="b" schema="s"/>)" : "", type, inputs == 2 ? R"(<in stream="b"/>)" : "", inside);
}

template <typename Kind>
Kind read_box(std::string_view type, std::string_view inside, int inputs = 1) {
  Diagram diagram = read(of_box(type, inside, inputs));
  if (diagram.boxes.size() != 1 || !std::holds_alternative<Kind>(diagram.boxes[0].kind)) {
    ADD_FAILURE() << "another box";
    return Kind();
  }
  EXPECT_EQ(diagram.boxes[0].type, type);
  return std::move(std::get<Kind>(diagram.boxes[0].kind));
}

/// As check(), for a box whose parameters are the marked text.
void check_box(std::string_view type, std::initializer_list<Refusal> refusals, int inputs = 1) {
  for (const Refusal& refusal : refusals) {
    std::string text = of_box(type, refusal.text, inputs);
    Refusal whole = refusal;
    // Nothing is marked: it is at the box.
    const std::string begin = R"(<box name="box")";
    if (text.find("«") == std::string::npos) text.replace(text.find(begin), 4, "«<box»");
    whole.text = text;
    expect_refused(read_text(marked(text).text), whole);
  }
}

TEST(BorealisBoxes, Filter) {
  const auto filter =
      read_box<FilterBox>("filter", parameter("EXPRESSION.1", "x = 2") + parameter("expression.0", "x = 1") +
                                        parameter("pass-on-false-port", "1") + "<out stream='p1'/><out stream='p2'/>");
  ASSERT_EQ(filter.conditions.size(), 2U);
  EXPECT_EQ(filter.conditions[0]->args[1]->text, "1");
  EXPECT_EQ(filter.conditions[1]->args[1]->text, "2");
  EXPECT_TRUE(filter.passes_rest);
  const auto old =
      read_box<FilterBox>("filter", parameter("predicate", "x = 3") + parameter("pass-on-false-port", "false"));
  ASSERT_EQ(old.conditions.size(), 1U);
  EXPECT_FALSE(old.passes_rest);
  const std::string_view ports = "one for each expression, and one for all others with pass-on-false-port";
  check_box(
      "filter",
      {
          {"", "42601", "filter boxes need the parameter 'expression.0'"},
          {R"(<parameter name="«expresion.0»" value="x"/>)", "42704", "filter boxes have no parameter 'expresion.0'",
           "did you mean 'expression.0'?"},
          {R"(<parameter name="«expression»" value="x"/>)", "42704", "filter boxes have no parameter 'expression'",
           "they are numbered: expression.0"},
          {R"(<parameter name="«window-size»" value="x"/>)", "42704", "filter boxes have no parameter 'window-size'",
           "they have expression.0, pass-on-false-port, predicate"},
          {R"(<parameter name="«expression.00»" value="x"/>)", "42704",
           "filter boxes have no parameter 'expression.00'", "did you mean 'expression.0'?"},
          {R"(<parameter name="«expression.1»" value="x"/>)", "42601", "'expression.1' is there without 'expression.0'",
           "numbers begin at 0 and leave none out"},
          {R"(<parameter name="expression.0" value="x"/><parameter name="«expression.2»" value="x"/>)", "42601",
           "'expression.2' is there without 'expression.1'", "numbers begin at 0 and leave none out"},
          {R"(<parameter name="«expression.4294967295»" value="x"/>)", "42601",
           "'expression.4294967295' is there without 'expression.0'", "numbers begin at 0 and leave none out"},
          {R"(<parameter name="expression.0" value="x"/><parameter name="«Expression.0»" value="x"/>)", "42710",
           "the parameter 'expression.0' is there twice"},
          {R"(<parameter name="expression.0" value="«»"/>)", "22023", "'expression.0' is empty"},
          {R"(<parameter name="expression.0" value="x &gt; «and» 5"/>)", "42601", "a value belongs before 'and'"},
          {R"(<parameter name="expression.0" value="x"/><parameter name="predicate" value="«x»"/>)", "42601",
           "'predicate' and 'expression.0' are the same parameter", "leave out 'predicate'"},
          {R"(<parameter name="expression.0" value="x"/><parameter name="pass-on-false-port" value="«yes»"/>)", "22023",
           "'pass-on-false-port' is 0 or 1, not 'yes'"},
          {R"(<parameter name="expression.0" value="x"/><parameter name="pass-on-false-port" value="1"/>)", "42601",
           "this filter box needs 2 <out>", ports},
          {R"(<parameter name="expression.0" value="x"/><out stream="«p»"/>)", "42601", "this filter box has one <out>",
           ports},
          {R"(<parameter name="«processing-mode»" value="UPSTREAM"/>)", "0A000",
           "the parameter 'processing-mode' is not supported",
           "rows come again with a new revision where they change: leave it out"},
      });
}

TEST(BorealisBoxes, Map) {
  const auto map =
      read_box<MapBox>("map", parameter("expression.0", "x * 2") + parameter("output-field-name.1", "Y") +
                                  parameter("output-field-name.0", "Twice x") + parameter("expression.1", "'It'"));
  ASSERT_EQ(map.outputs.size(), 2U);
  EXPECT_EQ(map.outputs[0].name.text, "twice x");
  EXPECT_EQ(map.outputs[0].value->text, "*");
  EXPECT_EQ(map.outputs[1].name.text, "y");
  EXPECT_EQ(map.outputs[1].value->text, "It");
  check_box(
      "map",
      {
          {"", "42601", "map boxes need the parameter 'expression.0'"},
          {R"(<parameter name="«expression.0»" value="x"/>)", "42601", "'expression.0' needs 'output-field-name.0'"},
          {R"(<parameter name="«output-field-name.0»" value="x"/>)", "42601",
           "'output-field-name.0' is there without 'expression.0'"},
          {R"(<parameter name="expression.0" value="x"/><parameter name="output-field-name.0" value="y"/>)"
           R"(<parameter name="expression.1" value="x"/><parameter name="output-field-name.1" value="«Y»"/>)",
           "42701", "the field 'y' is there twice"},
          {R"(<parameter name="expression.0" value="x"/><parameter name="output-field-name.0" value="«»"/>)", "42601",
           "a name belongs here"},
          {R"(<parameter name="«inverse.0»" value="x"/>)", "0A000", "the parameter 'inverse.0' is not supported",
           "rows come again with a new revision where they change: leave it out"},
      });
}

TEST(BorealisBoxes, Union) {
  (void)read_box<UnionBox>("union", "");
  (void)read_box<UnionBox>("union", "", 2);
  check_box("union", {{R"(<parameter name="«expression.0»" value="1=1"/>)", "42704",
                       "union boxes have no parameter 'expression.0'", "they have none"},
                      {R"(<out stream="«more»"/>)", "42601", "this union box has one <out>"}});
}

TEST(BorealisBoxes, Sort) {
  const auto sort = read_box<SortBox>(
      "bsort", parameter("order-on", "X") + parameter("slack", " 5 ") + parameter("group-by", "a, B"));
  EXPECT_EQ(sort.order_on->text, "x");
  EXPECT_EQ(sort.slack, 5U);
  ASSERT_EQ(sort.group_by.size(), 2U);
  EXPECT_EQ(sort.group_by[1]->text, "b");
  EXPECT_TRUE(
      read_box<SortBox>("bsort", parameter("order-on", "x") + parameter("slack", "0") + parameter("group-by", ""))
          .group_by.empty());
  check_box("bsort",
            {
                {R"(<parameter name="slack" value="1"/>)", "42601", "bsort boxes need the parameter 'order-on'"},
                {R"(<parameter name="order-on" value="x"/>)", "42601", "bsort boxes need the parameter 'slack'"},
                {R"(<parameter name="order-on" value="« &#10; »"/>)", "22023", "'order-on' is empty"},
                {R"(<parameter name="order-on" value="x, «y»"/>)", "22023", "'order-on' is one field"},
                {R"(<parameter name="order-on" value="«x + 1»"/>)", "42601", "the name of a field belongs here",
                 "compute a value in a map box before this one"},
                {R"(<parameter name="order-on" value="x"/><parameter name="slack" value="«-1»"/>)", "22023",
                 "'slack' is a whole number from 0 to 1000000, not '-1'"},
                {R"(<parameter name="order-on" value="x"/><parameter name="slack" value="«1000001»"/>)", "22023",
                 "'slack' is a whole number from 0 to 1000000, not '1000001'"},
                {R"(<parameter name="order-on" value="x"/><parameter name="slack" value="«1.5»"/>)", "22023",
                 "'slack' is a whole number from 0 to 1000000, not '1.5'"},
                {R"(<parameter name="order-on" value="x"/><parameter name="slack" value="1"/>)"
                 R"(<parameter name="group-by" value="a, «A»"/>)",
                 "42701", "the field 'a' is there twice"},
            });
}

const std::string kWindow = parameter("window-size-by", "VALUES") + parameter("window-size", "300") +
                            parameter("advance", "60") + parameter("order-by", "FIELD") +
                            parameter("order-on-field", "Time") + parameter("aggregate-function.0", "count()");

TEST(BorealisBoxes, AggregateByValues) {
  const std::string text = kWindow + parameter("aggregate-function.1", "SUM(x + 1)") +
                           parameter("aggregate-function-output-name.1", "Total") + parameter("group-by", "src,Dst") +
                           parameter("timeout", "1.5") + parameter("slack", "3") +
                           parameter("drop-empty-outputs", "1") + parameter("independent-window-alignment", "TRUE") +
                           parameter("drop-mode", "0") + parameter("last-agg", "1");
  const auto aggregate = read_box<AggregateBox>("aggregate", text);
  ASSERT_EQ(aggregate.functions.size(), 2U);
  EXPECT_EQ(aggregate.functions[0].call->text, "count");
  EXPECT_EQ(aggregate.functions[0].name.text, "agg_0");
  EXPECT_EQ(aggregate.functions[1].call->text, "sum");
  EXPECT_EQ(aggregate.functions[1].name.text, "total");
  EXPECT_TRUE(aggregate.by_values);
  EXPECT_EQ(aggregate.size, 300);
  EXPECT_EQ(aggregate.advance, 60);
  EXPECT_EQ(piece(of_box("aggregate", text), aggregate.size_span), "300");
  EXPECT_EQ(piece(of_box("aggregate", text), aggregate.advance_span), "60");
  EXPECT_TRUE(aggregate.ordered_by_field);
  ASSERT_NE(aggregate.order_on, nullptr);
  EXPECT_EQ(aggregate.order_on->text, "time");
  ASSERT_EQ(aggregate.group_by.size(), 2U);
  EXPECT_EQ(aggregate.timeout_seconds, 1.5);
  EXPECT_EQ(aggregate.slack, 3U);
  EXPECT_TRUE(aggregate.drops_empty);
  EXPECT_TRUE(aggregate.is_aligned);

  const auto plain = read_box<AggregateBox>("aggregate", kWindow + parameter("timeout", "-1"));
  EXPECT_EQ(plain.timeout_seconds, std::nullopt);
  EXPECT_EQ(plain.slack, 0U);
  EXPECT_FALSE(plain.drops_empty);
  EXPECT_FALSE(plain.is_aligned);
  EXPECT_TRUE(plain.group_by.empty());
  const auto due_at_once = read_box<AggregateBox>("aggregate", kWindow + parameter("timeout", "0"));
  EXPECT_EQ(due_at_once.timeout_seconds, 0);
}

TEST(BorealisBoxes, AggregateByTuples) {
  const std::string window = parameter("window-size-by", "Tuples") + parameter("window-size", "10") +
                             parameter("advance", "2.0") + parameter("aggregate-function.0", "max(x)");
  const auto by_number = read_box<AggregateBox>("aggregate", window + parameter("order-by", "tuplenum"));
  EXPECT_FALSE(by_number.by_values);
  EXPECT_EQ(by_number.size, 10);
  EXPECT_EQ(by_number.advance, 2);
  EXPECT_FALSE(by_number.ordered_by_field);
  EXPECT_EQ(by_number.order_on, nullptr);
  const auto by_field =
      read_box<AggregateBox>("aggregate", window + parameter("order-by", "FIELD") + parameter("order-on-field", "seq"));
  EXPECT_TRUE(by_field.ordered_by_field);
  EXPECT_EQ(by_field.order_on->text, "seq");
  // The field decides the windows, and is no output.
  const auto values = read_box<AggregateBox>(
      "aggregate", parameter("window-size-by", "VALUES") + parameter("window-size", "0.5") +
                       parameter("advance", "0.5") + parameter("order-by", "TUPLENUM") +
                       parameter("order-on-field", "t") + parameter("aggregate-function.0", "count()"));
  EXPECT_TRUE(values.by_values);
  EXPECT_FALSE(values.ordered_by_field);
  EXPECT_EQ(values.order_on->text, "t");
}

/// kWindow with another value, or marks in it.
std::string window_with(std::string_view name, std::string_view value) {
  std::string window = kWindow;
  const std::string begin = fmt::format(R"(name="{}" value=")", name);
  const size_t at = window.find(begin) + begin.size();
  window.replace(at, window.find('"', at) - at, value);
  return window;
}
std::string window_without(std::string_view name) {
  std::string window = kWindow;
  const size_t at = window.find(fmt::format(R"(<parameter name="{}")", name));
  window.erase(at, window.find("/>", at) + 2 - at);
  return window;
}

TEST(BorealisBoxes, AggregateIsRefused) {
  for (const std::string_view name : {"window-size-by", "window-size", "advance", "order-by", "order-on-field"}) {
    const std::string message = fmt::format("aggregate boxes need the parameter '{}'", name);
    check_box("aggregate", {{window_without(name), "42601", message}});
  }
  const std::string_view outputs =
      "the outputs are what group-by names, the field of the windows if order-by is FIELD, and the functions";
  check_box(
      "aggregate",
      {
          {window_without("aggregate-function.0"), "42601",
           "aggregate boxes need the parameter 'aggregate-function.0'"},
          {window_with("window-size-by", "«TIME»"), "22023", "'window-size-by' is VALUES or TUPLES, not 'TIME'"},
          {window_with("order-by", "«x»"), "22023", "'order-by' is FIELD or TUPLENUM, not 'x'"},
          {window_with("window-size", "«five»"), "22023", "'window-size' is a number, not 'five'"},
          {window_with("window-size", "«1e999»"), "22023", "'window-size' is a number, not '1e999'"},
          {window_with("window-size", "«nan»"), "22023", "'window-size' is a number, not 'nan'"},
          {window_with("window-size", "«300 s»"), "22023", "'window-size' is a number, not '300 s'"},
          {window_with("window-size", "«0»"), "22023", "'window-size' must be greater than zero"},
          {window_with("advance", "«-60»"), "22023", "'advance' must be greater than zero"},
          {window_with("advance", "«301»"), "22023", "'advance' is longer than 'window-size'",
           "a filter before this box leaves out what lies between windows"},
          {window_with("advance", "«0.001»"), "54000", "more than 100000 windows would hold each tuple"},
          {window_with("advance", "«1e-300»"), "54000", "more than 100000 windows would hold each tuple"},
          {window_with("aggregate-function.0", "«median(x)»"), "42883", "'median' is no aggregate function",
           "there are count, sum, avg, min, max, firstval, lastval, count_distinct"},
          {kWindow + R"(<parameter name="timeout" value="«100000001»"/>)", "22023",
           "a timeout is at most 100000000 seconds"},
          {kWindow + R"(<parameter name="timeout" value="«soon»"/>)", "22023", "'timeout' is a number, not 'soon'"},
          {kWindow + R"(<parameter name="«drop-mode»" value="1"/>)", "0A000",
           "the parameter 'drop-mode' is not supported", "put a random_drop box before this one"},
          {kWindow + R"(<parameter name="«last-agg»" value="0"/>)", "0A000",
           "the parameter 'last-agg' is not supported", "it belongs to shedding whole windows: leave it out"},
          {kWindow + R"(<parameter name="«anchor»" value="cp"/>)", "0A000", "the parameter 'anchor' is not supported",
           "rows come again with a new revision where they change: leave it out"},
          {kWindow + R"(<parameter name="«advance»" value="5"/>)", "42710", "the parameter 'advance' is there twice"},
          {window_with("order-on-field", "«time»") + parameter("group-by", "src, time"), "42701",
           "the field 'time' is there twice", outputs},
          {kWindow + R"(<parameter name="aggregate-function-output-name.0" value="«TIME»"/>)", "42701",
           "the field 'time' is there twice", outputs},
          {kWindow + R"(<parameter name="«aggregate-function-output-name.1»" value="x"/>)", "42601",
           "'aggregate-function-output-name.1' is there without 'aggregate-function.1'"},
      });
}

const std::string kSides = parameter("left-order-by", "VALUES") + parameter("left-buffer-size", "1.5") +
                           parameter("left-order-on-field", "t") + parameter("right-order-by", "TUPLES") +
                           parameter("right-buffer-size", "0");

TEST(BorealisBoxes, Join) {
  const auto join = read_box<JoinBox>("join",
                                      kSides + parameter("predicate", "left.x = right.x") + parameter("timeout", "10") +
                                          parameter("out-field.0", "left.x") + parameter("out-field-name.0", "X"),
                                      2);
  EXPECT_EQ(join.predicate->args[1]->qualifier, "right");
  EXPECT_TRUE(join.left.by_values);
  EXPECT_EQ(join.left.size, 1.5);
  EXPECT_EQ(join.left.order_on->text, "t");
  EXPECT_FALSE(join.right.by_values);
  EXPECT_EQ(join.right.size, 0);
  EXPECT_EQ(join.right.order_on, nullptr);
  EXPECT_EQ(join.timeout_seconds, 10);
  ASSERT_EQ(join.outputs.size(), 1U);
  EXPECT_EQ(join.outputs[0].name.text, "x");
  const auto plain = read_box<JoinBox>("join", kSides + parameter("predicate", "true"), 2);
  EXPECT_EQ(plain.timeout_seconds, std::nullopt);
  EXPECT_TRUE(plain.outputs.empty());

  const std::string predicate = parameter("predicate", "true");
  check_box(
      "join",
      {
          {kSides, "42601", "join boxes need the parameter 'predicate'"},
          {predicate, "42601", "join boxes need the parameter 'left-order-by'"},
          {predicate + parameter("left-order-by", "TUPLES"), "42601",
           "join boxes need the parameter 'left-buffer-size'"},
          {predicate + parameter("left-order-by", "VALUES") + parameter("left-buffer-size", "1"), "42601",
           "join boxes need the parameter 'left-order-on-field'"},
          {predicate + parameter("left-order-by", "TUPLES") + R"(<parameter name="left-buffer-size" value="«-1»"/>)",
           "22023", "'left-buffer-size' must not be negative"},
          {predicate + parameter("left-order-by", "TUPLES") + R"(<parameter name="left-buffer-size" value="«1.5»"/>)",
           "22023", "'left-buffer-size' is a whole number of tuples, at most 1000000"},
          {predicate + parameter("left-order-by", "TUPLES") +
               R"(<parameter name="left-buffer-size" value="«1000001»"/>)",
           "22023", "'left-buffer-size' is a whole number of tuples, at most 1000000"},
          {predicate + kSides + R"(<parameter name="«out-field.0»" value="left.x"/>)", "42601",
           "'out-field.0' needs 'out-field-name.0'"},
          {predicate + R"(<parameter name="«left-buffer-siz»" value="1"/>)", "42704",
           "join boxes have no parameter 'left-buffer-siz'", "did you mean 'left-buffer-size'?"},
      },
      2);
  check_box("join", {{kSides + predicate, "42601", "this join box needs 2 <in>"}});
}

TEST(BorealisBoxes, StaticJoin) {
  const auto join = read_box<StaticJoinBox>(
      "joinstatic", parameter("predicate", "left.x = right.y") + parameter("out-field.0", "left.X"), 2);
  EXPECT_EQ(join.predicate->text, "=");
  ASSERT_EQ(join.outputs.size(), 1U);
  EXPECT_EQ(join.outputs[0].name.text, "x");
  check_box("joinstatic",
            {{"", "42601", "joinstatic boxes need the parameter 'predicate'"},
             {parameter("predicate", "true") + R"(<parameter name="out-field.0" value="«left.x + 1»"/>)", "42601",
              "this value needs a name: 'out-field-name.0'"},
             {parameter("predicate", "true") + parameter("out-field.0", "left.x") +
                  R"(<parameter name="out-field.1" value="«right.x»"/>)",
              "42701", "the field 'x' is there twice"}},
            2);
}

TEST(BorealisBoxes, WaitFor) {
  const auto wait =
      read_box<WaitForBox>("waitfor", parameter("predicate", "buffered.x = enabler.x") + parameter("timeout", "30"), 2);
  EXPECT_EQ(wait.predicate->args[0]->qualifier, "buffered");
  EXPECT_EQ(wait.timeout_seconds, 30);
  check_box("waitfor",
            {
                {parameter("timeout", "30"), "42601", "waitfor boxes need the parameter 'predicate'"},
                {parameter("predicate", "true"), "42601", "waitfor boxes need the parameter 'timeout'"},
                {parameter("predicate", "true") + R"(<parameter name="timeout" value="«-1»"/>)", "22023",
                 "'timeout' must not be negative"},
            },
            2);
}

TEST(BorealisBoxes, RandomDrop) {
  EXPECT_EQ(read_box<DropBox>("random_drop", parameter("drop_rate", "0.25") + parameter("max_batch_size", "10")).rate,
            0.25);
  EXPECT_EQ(read_box<DropBox>("random_drop", parameter("drop_rate", "1")).rate, 1);
  check_box("random_drop",
            {
                {"", "42601", "random_drop boxes need the parameter 'drop_rate'"},
                {R"(<parameter name="drop_rate" value="«1.01»"/>)", "22023", "'drop_rate' is a share from 0 to 1"},
                {R"(<parameter name="drop_rate" value="«-0.1»"/>)", "22023", "'drop_rate' is a share from 0 to 1"},
                {R"(<parameter name="drop_rate" value="1"/><parameter name="max_batch_size" value="«many»"/>)", "22023",
                 "'max_batch_size' is a number, not 'many'"},
                {R"(<parameter name="«drop-rate»" value="1"/>)", "42704",
                 "random_drop boxes have no parameter 'drop-rate'", "did you mean 'drop_rate'?"},
            });
}

TEST(BorealisBoxes, OtherTypesAreRefusedWithWhatThereIsInstead) {
  const std::initializer_list<std::pair<std::string_view, std::string_view>> types = {
      {"aurorajoin", "use a join box: left-buffer-size for down-size, right-buffer-size for up-size"},
      {"sjoin", "use a join box: its answer does not depend on replicas"},
      {"lock", "tuples are taken in their order: leave it out"},
      {"unlock", "tuples are taken in their order: leave it out"},
      {"window_drop", "use random_drop before the aggregate, or state_limit with on_limit = 'shed' in SQL"},
      {"delay", "backstream generate makes load; leave it out"},
      {"delay_sel", "backstream generate makes load; leave it out"},
      {"combine", "use a join box on the key"},
      {"insert", "lookup tables are changed by SQL (INSERT, UPDATE, DELETE) and read by joinstatic boxes"},
      {"update", "lookup tables are changed by SQL (INSERT, UPDATE, DELETE) and read by joinstatic boxes"},
      {"delete", "lookup tables are changed by SQL (INSERT, UPDATE, DELETE) and read by joinstatic boxes"},
      {"select", "use a joinstatic box"},
      {"exists", "use a joinstatic box, or in SQL x IN (SELECT ...)"},
      {"sunion", "use a union box: its answer does not depend on replicas"},
      {"soutput", "nodes take over from each other without it: leave it out"},
      {"scontrol", "nodes take over from each other without it: leave it out"},
      {"revisionfilter", "use a filter box: rows come again with a new revision where they change"},
      {"revisionmap", "use a map box: rows come again with a new revision where they change"},
      {"revisionaggregate", "use an aggregate box: rows come again with a new revision where they change"},
      {"lrwaitfor", "use a waitfor box"},
      {"filter_array", "arrays are not supported"},
      {"scatter", "arrays are not supported"},
      {"gather", "arrays are not supported"},
      {"face_detect", "there are no images among flows"},
      {"render", "there are no images among flows"},
  };
  for (const auto& [type, hint] : types) {
    const std::string text = of_box(fmt::format("«{}»", type), "");
    const std::string message = fmt::format("boxes of the type '{}' are not supported", type);
    expect_refused(read_text(marked(text).text), {text, "0A000", message, hint});
  }
  const std::string odd = of_box("«fliter»", ""), unknown = of_box("«transmogrify»", "");
  expect_refused(read_text(marked(odd).text),
                 {odd, "42704", "there is no type of box 'fliter'", "did you mean 'filter'?"});
  expect_refused(read_text(marked(unknown).text),
                 {unknown, "42704", "there is no type of box 'transmogrify'",
                  "there are filter, map, union, bsort, aggregate, join, joinstatic, waitfor, random_drop"});
}

}  // namespace
}  // namespace backstream::borealis
