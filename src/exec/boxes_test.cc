// How diagrams of boxes are bound and shown (plan/boxes.h). Here, because what runs them is at hand.
#include "plan/boxes.h"

#include "exec/box_diagram_test.h"

namespace backstream::exec {
namespace {

TEST(Boxes, ExplainTellsEachBox) {
  Diagram d({"SELECT at, k, v FROM s WHERE x > 0", "SELECT at, k, t FROM other"});
  const auto filter = d.filter(Diagram::source(0), {"v > 10", "v > 5"}, true);
  const auto sorted = d.sort({filter.from, 1}, "v", 4, "k");
  const auto map = d.map({filter.from, 2}, "at, k, v + 1 AS v");
  d.aggregate(map, "count(*) AS c, last(v) AS l", 60, 20).timeout_seconds = 1.5;
  UnboundBoxes::Box& join =
      d.join(sorted, d.source(1), "\"left\".k = \"right\".k", "\"left\".v AS v, \"right\".t AS t");
  join.left = {true, 10, expr_of("at")};
  join.right.size = 5;
  join.timeout_seconds = 30;
  d.wait_for(d.last(), d.last(), "\"left\".v < \"right\".v", 2);
  EXPECT_EQ(
      plan::explain(*d.query()),
      "view d\n"
      "  input 1 of 2\n"
      "    source stream s\n"
      "      columns    at, k, v, x\n"
      "    edge (row by row)\n"
      "      window     none\n"
      "      filter     (x > 0)\n"
      "      output     at, k, v\n"
      "  input 2 of 2\n"
      "    source stream other\n"
      "      columns    at, k, t\n"
      "    edge (row by row)\n"
      "      window     none\n"
      "      output     at, k, t\n"
      "  boxes (rows in the order of arrival, edge, input, place)\n"
      "    times      1.at, 2.at\n"
      "    box1       filter of input 1; 1: (v > 10); 2: (v > 5); 3: the others\n"
      "    box2       bsort of box1.2; by v, slack 4, of each k\n"
      "    box3       map of box1.3; gives at, k, (v + 1) AS v\n"
      "    box4       aggregate of box3; count(*), last(v), of each k; windows of 60 every 20 of v; timeout 1500 ms\n"
      "    box5       join of box2, input 2; on (left.k = right.k); left: 10 s of at; right: 5 tuples; timeout 30 s; "
      "gives left.v AS v, right.t AS t\n"
      "    box6       waitfor of box5, box5; until (left.v < right.v); timeout 2 s\n"
      "  merge (final rows of the stage above)\n"
      "    window     none\n"
      "    output     v, t\n");
}

std::string refused(Diagram& d, std::string_view options = "") {
  const auto query = d.bind(options);
  if (query) return "accepted";
  const base::Diagnostic& error = query.error();
  return error.code + ": " + error.message + (error.hint.empty() ? "" : " [" + error.hint + "]");
}

TEST(Boxes, MistakesAreTold) {
  const auto of = [](auto&& build, const std::vector<std::string>& sources = {"SELECT at, ts, k, v, x, t FROM s"}) {
    Diagram d(sources);
    build(d);
    return refused(d);
  };
  EXPECT_EQ(of([](Diagram& d) { d.filter(d.source(), {"v + 1"}); }),
            "42804: argument of a filter must be type boolean, not type bigint");
  EXPECT_EQ(of([](Diagram& d) { d.filter(d.source(), {"vv > 1"}); }),
            "42703: column \"vv\" does not exist [did you mean 'v'?]");
  EXPECT_EQ(of([](Diagram& d) { d.map(d.source(), "sum(v) AS s"); }),
            "42803: aggregate functions are not allowed in a map");
  EXPECT_EQ(of([](Diagram& d) { d.sort(d.source(), "t", 1); }),
            "42804: tuples are ordered by a number or a timestamp, and \"t\" is of type text");
  EXPECT_EQ(of([](Diagram& d) { d.sort(d.source(), "v + 1", 1); }),
            "42804: what tuples are ordered by must be a column");
  EXPECT_EQ(of([](Diagram& d) { d.sort(d.source(), "v", 1, "v + 1"); }),
            "42804: what tuples are grouped by must be a column");
  EXPECT_EQ(of([](Diagram& d) { d.aggregate(d.source(), "v AS s", 10, 10); }),
            "42803: an aggregate box computes calls of aggregate functions");
  EXPECT_EQ(of([](Diagram& d) { d.aggregate(d.source(), "sum(t) AS s", 10, 10); }).substr(0, 5), "42883");
  EXPECT_EQ(of([](Diagram& d) { d.aggregate(d.source(), "count(*) AS s", 10, 11); }),
            "22023: a window advances by more than nothing and by no more than its size");
  EXPECT_EQ(of([](Diagram& d) { d.aggregate(d.source(), "count(*) AS s", 1'000'000, 1); }),
            "54000: more than 100,000 windows would hold each tuple [advance by more]");
  EXPECT_EQ(of([](Diagram& d) { d.aggregate(d.source(), "count(*) AS s", 1e19, 1e19); }),
            "22023: the window is out of range");
  EXPECT_EQ(of([](Diagram& d) { d.aggregate(d.source(), "count(*) AS s", 10, 10).order_on = nullptr; }),
            "42601: windows by values, and their start, need a column that tuples are ordered by");
  EXPECT_EQ(of([](Diagram& d) {
              d.unite({d.source(), d.map(d.source(), "k")});
            }),
            "42601: what a union unites must have the same number of columns [6 and 1]");
  EXPECT_EQ(of([](Diagram& d) {
              const auto k = d.map(d.source(), "k"), t = d.map(d.source(), "t");
              d.unite({k, t});
            }),
            "42804: UNION types bigint and text cannot be matched [they are the columns \"k\" and \"t\"]");
  EXPECT_EQ(of([](Diagram& d) { d.join(d.source(), d.source(), "v > 1", "k AS k"); }),
            "42702: column reference \"v\" is ambiguous [write left.v or right.v]");
  EXPECT_EQ(of([](Diagram& d) { d.wait_for(d.source(), d.source(), "\"left\".v", 1); }),
            "42804: argument of a predicate must be type boolean, not type bigint");
  EXPECT_EQ(
      of([](Diagram& d) { d.map(d.source(), "k"); }, {"SELECT at + interval '1 s' AS at, k FROM s"}),
      "0A000: these rows do not come in the order of \"at\" [boxes take rows as a stream has them, or the windows of "
      "a view, by their time]");
  Diagram at_edge;
  at_edge.map(Diagram::source(), "k");
  EXPECT_EQ(
      refused(at_edge, "WITH (placement = 'edge')"),
      "0A000: placement = 'edge' is not possible: its boxes take the rows of all edges in the order in which they "
      "arrived ['auto' sends the columns that it needs, 'central' the flows as they are]");
}

}  // namespace
}  // namespace backstream::exec
