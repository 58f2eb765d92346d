// Boxes in arrival order: tuples derived by hand. Each diagram runs in many ways, and gives the same in all of them.
#include "exec/box_stage.h"

#include "exec/box_diagram_test.h"

namespace backstream::exec {
namespace {

// --- rows on their way ---

TEST(BoxStage, RowsComeInTheOrderOfArrivalEdgeAndPlace) {
  Diagram d;
  d.map(Diagram::source(), "k, v");
  EXPECT_EQ(result_of(d, {{3'000, 1, 1, 1}, {3'000, 1, 2, 0}, {1'000, 2, 3, 2}, {3'000, 1, 4, 0}, {1'500, 3, 5, 1}}),
            "2 3 | 3 5 | 1 2 | 1 4 | 1 1");
}

// --- filter, map, union ---

TEST(FilterBox, ATupleTakesThePortOfTheFirstConditionThatIsTrue) {
  const std::vector<Row> rows = {{1, 1, 10}, {2, 2, 20}, {3, 3, 30}, {4, 4, {}}, {5, 5, 5}};
  for (const auto& [port, expected] :
       std::map<uint32_t, std::string>{{0, "2 20 | 3 30"}, {1, "1 10"}, {2, "4 null | 5 5"}}) {
    Diagram d;
    const auto filter = d.filter(Diagram::source(), {"v >= 20", "v >= 10"}, true);
    d.map({filter.from, port}, "k, v");
    EXPECT_EQ(result_of(d, rows), expected);
  }
}

TEST(MapBox, ATupleThatCannotBeComputedIsLeftOutAndCounted) {
  Diagram d;
  d.map(Diagram::source(), "k, 100 / v AS q");
  const std::vector<Row> rows = {{1, 1, 10}, {2, 2, 0}, {3, 3, {}}, {4, 4, 5}};
  EXPECT_EQ(result_of(d, rows), "1 10 | 3 null | 4 20");
  EXPECT_EQ(run(d.query(), rows, {}).ledger.value_errors.total(), 1u);
  EXPECT_EQ(result_of(d.query("WITH (on_error = 'null')"), rows), "1 10 | 2 null | 3 null | 4 20");
  Runner fails(d.query("WITH (on_error = 'fail')"), {});
  fails.give(rows);
  fails.finish();
  EXPECT_EQ(fails.engine().failure(0), "22012 division by zero (on_error is 'fail')");
}

// --- aggregate ---

TEST(AggregateBox, WindowsByValuesBeginAtTheFirstOfTheGroup) {
  Diagram d;
  d.aggregate(Diagram::source(), "sum(v) AS s, count(*) AS c", 10, 10);
  // Group 1: [3, 13) closes at 14, [13, 23) at 25, [23, 33) at the end. Group 2: [5, 15) at the end.
  EXPECT_EQ(result_of(d, {{1, 1, 3}, {2, 1, 12}, {3, 2, 5}, {4, 1, 14}, {5, 1, 25}}),
            "1 3 15 2 | 1 13 14 1 | 2 5 5 1 | 1 23 25 1");
}

TEST(AggregateBox, WindowsThatAreAlignedBeginAtMultiplesOfTheAdvance) {
  Diagram d;
  d.aggregate(Diagram::source(), "count(*) AS c", 10, 10).is_aligned = true;
  // -3 is of [-10, 0), not of [0, 10).
  EXPECT_EQ(result_of(d, {{1, 1, 13}, {2, 2, -3}, {3, 1, 19}, {4, 1, 20}, {5, 2, 0}}),
            "1 10 2 | 2 -10 1 | 2 0 1 | 1 20 1");
}

TEST(AggregateBox, GroupsAreOfEqualValuesAsInGroupBy) {
  Diagram d;
  plan::UnboundBoxes::Window& window = d.aggregate(Diagram::source(), "sum(v) AS s", 2, 2);
  window.by_values = false;
  window.start_name.clear();
  window.group_by.clear();
  window.group_by.push_back(expr_of("x"));
  window.group_by.push_back(expr_of("t"));
  const auto row = [](int64_t v, std::optional<double> x, const char* t) { return Row{v, 1, v, 0, "s", x, t}; };
  EXPECT_EQ(result_of(d, {row(1, 0.0, "a"), row(2, {}, "a"), row(3, -0.0, "a"), row(4, 0.0, "b"), row(5, {}, "a")}),
            "0 a 4 | null a 7");
}

TEST(AggregateBox, WindowsThatSlideOverlap) {
  Diagram d;
  d.aggregate(Diagram::source(), "sum(v) AS s", 10, 4);
  // [0, 10): 0 + 3 + 9, closes at 10 with [4, 14): 9 + 10 open, [8, 18): 9 + 10. 14 closes [4, 14), opens [12, 22).
  EXPECT_EQ(result_of(d, {{1, 1, 0}, {2, 1, 3}, {3, 1, 9}, {4, 1, 10}, {5, 1, 14}}),
            "1 0 12 | 1 4 19 | 1 8 33 | 1 12 14");
}

TEST(AggregateBox, ATupleOfBeforeAllOpenWindowsIsLeftOutAndCounted) {
  Diagram d;
  d.aggregate(Diagram::source(), "count(*) AS c", 10, 10);
  const std::vector<Row> rows = {{1, 1, 10}, {2, 1, 20}, {3, 1, 15}, {4, 1, 9}};
  EXPECT_EQ(result_of(d, rows), "1 10 1 | 1 20 1");
  EXPECT_EQ(run(d.query(), rows, {}).ledger.box_tuples_refused, 2u);
}

TEST(AggregateBox, WindowsOfAGapComeEmptyUnlessTheyAreDropped) {
  const std::vector<Row> rows = {{1, 1, 0}, {2, 1, 35}, {3, 1, 71}};
  Diagram all;
  all.aggregate(Diagram::source(), "count(*) AS c, sum(v) AS s, first(v) AS f", 10, 10);
  EXPECT_EQ(result_of(all, rows),
            "1 0 1 0 0 | 1 10 0 null null | 1 20 0 null null | 1 30 1 35 35 | 1 40 0 null null | 1 50 0 null null | "
            "1 60 0 null null | 1 70 1 71 71");
  Diagram some;
  some.aggregate(Diagram::source(), "count(*) AS c", 10, 10).drops_empty = true;
  EXPECT_EQ(result_of(some, rows), "1 0 1 | 1 30 1 | 1 70 1");
}

TEST(AggregateBox, GapsOfAnyLengthTakeBoundedTime) {
  const std::vector<Row> rows = {{1, 1, 0}, {2, 1, INT64_MAX - 5}, {3, 1, INT64_MAX}};
  Diagram some;
  some.aggregate(Diagram::source(), "count(*) AS c", 10, 10).drops_empty = true;
  EXPECT_EQ(result_of(some, rows), "1 0 1 | 1 9223372036854775800 2");
  // Without that the last million of the windows come.
  Diagram all;
  all.aggregate(Diagram::source(), "count(*) AS c", 1, 1);
  const Outcome outcome = run(all.query(), {{1, 1, 0}, {2, 1, 1'000'010}}, {});
  EXPECT_TRUE(outcome.text.starts_with("1 0 1 | 1 11 0 | 1 12 0 | ")) << outcome.text.substr(0, 100);
  EXPECT_TRUE(outcome.text.ends_with(" | 1 1000009 0 | 1 1000010 1"));
  EXPECT_EQ(outcome.ledger.box_windows_skipped, 10u);
}

TEST(AggregateBox, SlackKeepsAWindowOpenForTuplesOutOfOrder) {
  Diagram d;
  d.aggregate(Diagram::source(), "sum(v) AS s", 10, 10).slack = 1;
  // [1, 11) stays open at 12, takes 7, and closes at 11. [11, 21) has 12 and 11.
  EXPECT_EQ(result_of(d, {{1, 1, 1}, {2, 1, 12}, {3, 1, 7}, {4, 1, 11}, {5, 1, 8}}), "1 1 8 | 1 11 23");
}

TEST(AggregateBox, SlackIsOfTheFirstWindowAsOfItsOwn) {
  Diagram d;
  d.aggregate(Diagram::source(), "count(*) AS c", 10, 5).slack = 2;
  // [0, 10): 10, 11 are within its slack, 12 closes it. [5, 15): 15 counts.
  EXPECT_EQ(result_of(d, {{1, 1, 0}, {2, 1, 10}, {3, 1, 11}, {4, 1, 3}, {5, 1, 12}, {6, 1, 4}, {7, 1, 15}}),
            "1 0 2 | 1 5 3 | 1 10 4 | 1 15 1");
}

TEST(AggregateBox, ATimeOutSendsAWindowAtItsDueMoment) {
  Diagram d;
  plan::UnboundBoxes::Window& window = d.aggregate(Diagram::source(), "count(*) AS c", 10, 10);
  window.timeout_seconds = 2;
  // Opened at 1 s: it still takes a tuple of 3 s, but none of 3.001 s, which is of no open window then. 12 opens the
  // next, due after 5.5 s. Group 2's is due after 6 s, before the end.
  EXPECT_EQ(result_of(d, {{1'000, 1, 0}, {3'000, 1, 5}, {3'001, 1, 6}, {3'500, 1, 12}, {4'000, 2, 0}, {9'000, 1, 13}}),
            "1 0 2 | 1 10 1 | 2 0 1");
}

TEST(AggregateBox, WindowsThatAreDueComeAsTheyWereOpenedAlsoWithoutTuples) {
  Diagram d;
  d.aggregate(Diagram::source(), "count(*) AS c", 10, 10).timeout_seconds = 0.5;
  Runner runner(d.query(), {});
  runner.give({{1'000, 1, 0}});
  runner.give({{1'200, 2, 0}});
  runner.advance(1'600 * kMilli);  // The clock is cut at whole seconds.
  EXPECT_EQ(runner.sink.text, "");
  runner.advance(2'000 * kMilli);
  EXPECT_EQ(runner.sink.text, "1 0 1 | 2 0 1");
}

TEST(AggregateBox, WindowsByTuplesCloseWhenTheyAreFull) {
  Diagram d;
  plan::UnboundBoxes::Window& window = d.aggregate(Diagram::source(), "sum(v) AS s, count(*) AS c", 3, 2);
  window.by_values = false;
  // Group 1: tuples 1 2 3, 3 4 5, and 5 6 that is not full. The start is the value of the first.
  EXPECT_EQ(result_of(d, {{1, 1, 1}, {2, 1, 2}, {3, 2, 7}, {4, 1, 3}, {5, 1, 4}, {6, 1, 5}, {7, 1, 6}}),
            "1 1 6 3 | 1 3 12 3");
}

TEST(AggregateBox, WindowsByTupleNumberHaveNoStart) {
  Diagram d;
  plan::UnboundBoxes::Window& window =
      d.aggregate(Diagram::source(), "avg(v) AS a, min(v) AS least, max(v) AS most", 2, 2);
  window.by_values = false;
  window.order_on = nullptr;
  window.start_name.clear();
  window.group_by.clear();
  EXPECT_EQ(result_of(d, {{1, 1, 1}, {2, 2, 4}, {3, 3, -5}, {4, 4, 5}, {5, 5, 6}}), "2.5 1 4 | 0 -5 5");
}

TEST(AggregateBox, AWindowByTuplesComesByTimeOutWithWhatItHas) {
  Diagram d;
  plan::UnboundBoxes::Window& window = d.aggregate(Diagram::source(), "sum(v) AS s", 3, 3);
  window.by_values = false;
  window.timeout_seconds = 1;
  // At 2.5 s the group begins anew. What is open at the end is due later than all that came.
  EXPECT_EQ(result_of(d, {{1'000, 1, 1}, {2'000, 1, 2}, {2'500, 1, 3}, {2'600, 1, 4}}), "1 1 3 | 1 3 7");
}

TEST(AggregateBox, FirstAndLastGoByTheOrderInWhichTuplesCome) {
  Diagram d;
  plan::UnboundBoxes::Window& window =
      d.aggregate(Diagram::source(), "first(v) AS f, last(v) AS l, first(t) AS ft, last(t) AS lt", 4, 4);
  window.by_values = false;
  const std::vector<Row> rows = {{5, 1, 9, 0, "s", {}, "nine"},
                                 {5, 1, 2, 0, "s", {}, "two"},
                                 {6, 1, 5, 0, "s", {}, "five"},
                                 {7, 1, 3, 0, "s", {}, "three"}};
  EXPECT_EQ(result_of(d, rows), "1 9 9 3 nine three");
}

TEST(AggregateBox, CountsDistinctValues) {
  Diagram d;
  d.aggregate(Diagram::source(), "count(DISTINCT x) AS c", 10, 10);
  EXPECT_EQ(result_of(d, {{1, 1, 1, 0, "s", 0.5}, {2, 1, 2, 0, "s", 0.5}, {3, 1, 3, 0, "s", 1.5}, {4, 1, 4}}), "1 1 2");
}

TEST(AggregateBox, WindowsOfRealsAndOfTimes) {
  Diagram reals;
  plan::UnboundBoxes::Window& of_reals = reals.aggregate(Diagram::source(), "count(*) AS c", 0.5, 0.5);
  of_reals.order_on = expr_of("x");
  of_reals.is_aligned = true;
  const auto real = [](int64_t at, double x) { return Row{at, 1, 0, 0, "s", x}; };
  EXPECT_EQ(result_of(reals, {real(1, -0.25), real(2, -0.5), real(3, 0.25), real(4, 0.5), real(5, 1.0)}),
            "1 -0.5 2 | 1 0 1 | 1 0.5 1 | 1 1 1");
  Diagram times;
  plan::UnboundBoxes::Window& of_times = times.aggregate(Diagram::source(), "count(*) AS c", 1.5, 1.5);
  of_times.order_on = expr_of("at");
  of_times.is_aligned = true;
  EXPECT_EQ(result_of(times, {{1'400, 1, 0}, {1'500, 1, 0}, {2'999, 1, 0}, {3'000, 1, 0}}),
            "1 0ms 1 | 1 1500ms 2 | 1 3000ms 1");
  Diagram fractions;  // Of whole numbers: a start is cut to one.
  fractions.aggregate(Diagram::source(), "count(*) AS c", 2.5, 2.5);
  EXPECT_EQ(result_of(fractions, {{1, 1, 0}, {2, 1, 2}, {3, 1, 3}, {4, 1, 5}}), "1 0 2 | 1 2 1 | 1 5 1");
}

TEST(AggregateBox, WhatHasNoPlaceIsLeftOutAndCounted) {
  Diagram d;
  d.aggregate(Diagram::source(), "count(*) AS c, sum(100 / k) AS s", 10, 10);
  const std::vector<Row> rows = {{1, 1, {}}, {2, 0, 1}, {3, 1, 2}};  // No value; 100 / 0.
  EXPECT_EQ(result_of(d, rows), "1 2 1 100");
  const Outcome outcome = run(d.query(), rows, {});
  EXPECT_EQ(outcome.ledger.box_tuples_refused, 1u);
  EXPECT_EQ(outcome.ledger.value_errors.total(), 1u);
  Diagram reals;
  reals.aggregate(Diagram::source(), "count(*) AS c", 1, 1).order_on = expr_of("x");
  const auto real = [](int64_t at, double x) { return Row{at, 1, 0, 0, "s", x}; };
  const std::vector<Row> far = {real(1, std::nan("")), real(2, 1e300), real(3, INFINITY)};
  EXPECT_EQ(run(reals.query(), far, {}).text, "");  // Windows of 1 begin nowhere there.
  EXPECT_EQ(run(reals.query(), far, {}).ledger.box_tuples_refused, 3u);
}

TEST(AggregateBox, TheGroupThatIsSilentForLongestIsForgottenWhenThereAreTooMany) {
  Diagram d;
  d.aggregate(Diagram::source(), "sum(v) AS s", 10, 10);
  const std::vector<Row> rows = {{1, 1, 1}, {2, 2, 2}, {3, 1, 3}, {4, 3, 4}, {5, 2, 5}};
  Way way;
  way.groups_max = 2;
  // 3 takes the place of 2, and 2 that of 1, whose window had two tuples.
  const Outcome outcome = run(d.query(), rows, way);
  EXPECT_EQ(outcome.text, "3 4 4 | 2 5 5");
  EXPECT_EQ(outcome.ledger.box_tuples_refused, 3u);
}

// --- bsort ---

TEST(SortBox, SendsTheLeastWhenItHoldsMoreThanItsSlack) {
  // 5 3 4: 3 goes. 1 goes. 9: 4 goes. At the end the rest in order.
  Diagram d;
  d.map(d.sort(Diagram::source(), "v", 2), "v");
  EXPECT_EQ(result_of(d, {{1, 1, 5}, {2, 2, 3}, {3, 3, 4}, {4, 4, 1}, {5, 5, 9}}), "3 | 1 | 4 | 5 | 9");
}

TEST(SortBox, EqualValuesComeAsTheyArrivedAndNullsLast) {
  Diagram d;
  d.map(d.sort(Diagram::source(), "v", 10), "k");
  EXPECT_EQ(result_of(d, {{1, 1, {}}, {2, 2, 7}, {3, 3, 7}, {4, 4, -7}, {5, 5, {}}}), "4 | 2 | 3 | 1 | 5");
  Diagram equal;
  equal.map(equal.sort(Diagram::source(), "v", 5), "k");
  std::vector<Row> rows;
  for (int64_t i = 1; i < 10; ++i) rows.push_back({i, i, 7});
  EXPECT_EQ(result_of(equal, rows), "1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9");
}

TEST(SortBox, EachGroupHasABufferOfItsOwn) {
  Diagram d;
  d.map(d.sort(Diagram::source(), "x", 1, "k"), "k, x, t");
  const auto row = [](int64_t at, int64_t k, double x, const char* t) { return Row{at, k, 0, 0, "s", x, t}; };
  EXPECT_EQ(result_of(d, {row(1, 1, 2.5, "a"), row(2, 2, -1.0, "b"), row(3, 1, -0.0, "c"), row(4, 2, -2.0, "d"),
                          row(5, 1, 0.0, "e")}),
            "1 -0 c | 2 -2 d | 1 0 e | 2 -1 b | 1 2.5 a");
}

TEST(SortBox, WithoutSlackEveryTuplePassesAtOnce) {
  Diagram d;
  d.map(d.sort(Diagram::source(), "v", 0, "k"), "v");
  Runner runner(d.query(), {});
  runner.give({{100, 1, 5}, {200, 1, 3}});
  runner.advance(1'000 * kMilli);
  EXPECT_EQ(runner.sink.text, "5 | 3");
  EXPECT_EQ(runner.engine().held(0).groups, 0u);
}

// --- union and fan-in ---

TEST(UnionBox, TakesTuplesByTheirMomentsAndThoseOfOneRowByPort) {
  Diagram d;
  const auto filter = d.filter(Diagram::source(), {"v < 3"}, true);
  const auto low = d.map({filter.from, 0}, "v, 'low' AS what");
  const auto high = d.map({filter.from, 1}, "v, 'high' AS what");
  const auto all = d.map(Diagram::source(), "v, 'any' AS what");
  d.unite({all, high, low});
  EXPECT_EQ(result_of(d, {{1, 1, 5}, {1, 1, 1}, {1, 1, 4}, {2, 1, 2}}),
            "5 any | 5 high | 1 any | 1 low | 4 any | 4 high | 2 any | 2 low");
}

TEST(UnionBox, WhatATimeOutSendsComesBeforeTuplesOfThatMoment) {
  Diagram d;
  plan::UnboundBoxes::Window& window = d.aggregate(Diagram::source(), "count(*) AS c", 100, 100);
  window.timeout_seconds = 0.999'999;  // Due a microsecond after it is over.
  const auto counts = d.map(d.last(), "k, c, 'window' AS what");
  const auto tuples = d.map(Diagram::source(), "k, v, 'tuple' AS what");
  d.unite({tuples, counts});
  EXPECT_EQ(result_of(d, {{1'000, 1, 1}, {1'999, 2, 2}, {2'000, 3, 3}, {2'999, 4, 4}}),
            "1 1 tuple | 2 2 tuple | 1 1 window | 3 3 tuple | 2 1 window | 4 4 tuple | 3 1 window | 4 1 window");
}

TEST(UnionBox, SeveralSourcesMeetByArrival) {
  Diagram d({"SELECT at, k, v FROM s", "SELECT at, k, v FROM other"});
  d.map(d.unite({Diagram::source(0), Diagram::source(1)}), "v");
  EXPECT_EQ(result_of(d, {{5, 1, 1}, {6, 1, 2, 1, "other"}, {4, 1, 3, 1, "other"}, {5, 1, 4, 0, "other"}}),
            "3 | 1 | 4 | 2");
}

TEST(BoxStage, RowsThatUnionAllUnitesKeepTheOrderOfTheirEdge) {
  Diagram d(
      {"SELECT at, v + 0 AS v FROM (SELECT at, v FROM s WHERE v < 3 UNION ALL SELECT at, v + 100 AS v FROM s) u"});
  d.map(Diagram::source(), "v");
  EXPECT_EQ(result_of(d, {{1, 1, 2}, {1, 1, 7}, {1, 1, 1}, {2, 1, 0}}), "2 | 1 | 102 | 107 | 101 | 0 | 100");
}

TEST(BoxStage, WindowsOfAnAggregateComeByStartThenAllColumns) {
  Diagram d({"SELECT window_start AS w, k, sum(v) AS v FROM tumble(s, at, interval '1 s') GROUP BY window_start, k"});
  d.map(Diagram::source(), "w, k, v");
  EXPECT_EQ(result_of(d, {{2'500, 1, 1}, {1'000, 2, 2, 1}, {1'100, 1, 3, 2}, {2'600, 1, 4}, {1'200, 2, 5}}),
            "1000ms 1 3 | 1000ms 2 7 | 2000ms 1 5");
}

TEST(BoxStage, ARowThatComesAfterItsSecondIsLateAndCounted) {
  Diagram d;
  d.map(Diagram::source(), "v");
  Runner runner(d.query(), {});
  runner.give({{1'500, 1, 1}});
  runner.advance(2'900 * kMilli);
  runner.give({{1'999, 1, 2}});
  runner.give({{2'000, 1, 3}});
  const Outcome outcome = runner.finish();
  EXPECT_EQ(outcome.text, "1 | 3");
  EXPECT_EQ(outcome.ledger.late, 1u);
  EXPECT_EQ(outcome.ledger.late_by_max_us, 1'000 * kMilli);
  EXPECT_EQ(outcome.ledger.assigned, 3u);
  EXPECT_EQ(outcome.ledger.counted, 2u);
}

TEST(BoxStage, RowsForWhichThereIsNoRoomAreRefusedAndCounted) {
  Diagram d;
  d.map(Diagram::source(), "v");
  Way way;
  way.rows_max = 2;
  Runner runner(d.query(), way);
  runner.give({{100, 1, 1}});
  runner.give({{200, 1, 2}});
  runner.give({{300, 1, 3}});
  runner.advance(1'000 * kMilli);
  runner.give({{1'100, 1, 4}});
  const Outcome outcome = runner.finish();
  EXPECT_EQ(outcome.text, "1 | 2 | 4");
  EXPECT_EQ(outcome.ledger.refused, 1u);
  EXPECT_EQ(outcome.ledger.counted + outcome.ledger.shed, 4u);
}

// --- join ---

TEST(JoinBox, ATupleMeetsTheLastTuplesOfTheOtherSide) {
  Diagram d(kTwoSources);
  UnboundBoxes::Box& join = d.join(d.source(0), d.source(1), "\"left\".k = \"right\".k",
                                   "\"left\".v AS l, \"right\".v AS r, \"right\".t AS t");
  join.left.size = join.right.size = 2;
  // 10 of the left meets nothing; a meets it, b is of another key; 11 meets a; c pushes a out, so 12 meets c alone; d
  // meets 11 and 12, the older first.
  EXPECT_EQ(result_of(d, {{1, 1, 10},
                          other(2, 1, 1, "a"),
                          other(3, 2, 2, "b"),
                          {4, 1, 11},
                          other(5, 1, 3, "c"),
                          {6, 1, 12},
                          other(7, 1, 4, "d")}),
            "10 1 a | 11 1 a | 10 3 c | 11 3 c | 12 3 c | 11 4 d | 12 4 d");
}

TEST(JoinBox, ASideOfSizeNothingRemembersNothing) {
  Diagram d(kTwoSources);
  UnboundBoxes::Box& join =
      d.join(d.source(0), d.source(1), "\"left\".k = \"right\".k", "\"left\".v AS l, \"right\".v AS r");
  join.right.size = 10;
  EXPECT_EQ(result_of(d, {{1, 1, 10}, other(2, 1, 1), {3, 1, 11}, other(4, 1, 2), {5, 1, 12}}), "11 1 | 12 1 | 12 2");
}

TEST(JoinBox, ABufferByValuesForgetsWhatIsAsFarBehindAsItsSize) {
  Diagram d(kTwoSources);
  UnboundBoxes::Box& join = d.join(d.source(0), d.source(1), "true", "\"left\".v AS l, \"right\".v AS r");
  join.left.size = 5;
  join.left.by_values = true;
  join.left.order_on = expr_of("v");
  // 4 keeps 0; 5 pushes 0 out; 2, out of order, none; 9 pushes 4 out, and stops at 5.
  EXPECT_EQ(result_of(d, {{1, 1, 0},
                          {2, 1, 4},
                          other(3, 1, 100),
                          {4, 1, 5},
                          other(5, 1, 101),
                          {6, 1, 2},
                          {7, 1, 9},
                          other(8, 1, 102),
                          {9, 1, {}},
                          other(10, 1, 103)}),
            "0 100 | 4 100 | 4 101 | 5 101 | 5 102 | 2 102 | 9 102 | 5 103 | 2 103 | 9 103");
}

TEST(JoinBox, ABufferMayGoByRealsAndByTimes) {
  Diagram d(kTwoSources);
  UnboundBoxes::Box& join = d.join(d.source(0), d.source(1), "true", "\"left\".v AS l, \"right\".v AS r");
  join.left = {true, 0.5, expr_of("x")};
  join.right = {true, 2, expr_of("at")};
  const auto real = [](int64_t at, int64_t v, double x) { return Row{at, 1, v, 0, "s", x}; };
  // 12 is 0.5 from 10, which goes; 11 stays. Of the other side 1 is two seconds older than 2.
  EXPECT_EQ(result_of(d, {real(1'000, 10, 1.0), real(1'100, 11, 1.25), real(1'200, 12, 1.5), other(2'000, 1, 1),
                          real(3'999, 13, 1.5), other(4'000, 1, 2), real(4'001, 14, 1.5)}),
            "11 1 | 12 1 | 13 1 | 11 2 | 12 2 | 13 2 | 14 2");
}

TEST(JoinBox, ByValuesOfSizeNothingRemembersNothing) {
  Diagram d(kTwoSources);
  UnboundBoxes::Box& join = d.join(d.source(0), d.source(1), "true", "\"left\".v AS l, \"right\".v AS r");
  join.left.by_values = join.right.by_values = true;
  join.left.order_on = expr_of("v");
  join.right.order_on = expr_of("v");
  join.right.size = 1;
  EXPECT_EQ(result_of(d, {{1, 1, 0}, other(2, 1, 7), {3, 1, 1}, other(4, 1, 8), {5, 1, 2}}), "1 7 | 2 8");
}

TEST(JoinBox, ATimeOutForgetsWhatIsOlderThanANewTupleOfItsOwnSide) {
  Diagram d(kTwoSources);
  UnboundBoxes::Box& join = d.join(d.source(0), d.source(1), "true", "\"left\".v AS l, \"right\".v AS r");
  join.left.size = join.right.size = 10;
  join.timeout_seconds = 1;
  // 11 comes exactly a second after 10, which stays; 12 makes it go. That the other side goes on is nothing to it.
  EXPECT_EQ(result_of(d, {{1'000, 1, 10}, {2'000, 1, 11}, other(2'000, 1, 1), {2'001, 1, 12}, other(9'000, 1, 2)}),
            "10 1 | 11 1 | 12 1 | 11 2 | 12 2");
}

TEST(JoinBox, PairsThatCannotBeComputedAreNone) {
  Diagram d(kTwoSources);
  UnboundBoxes::Box& join =
      d.join(d.source(0), d.source(1), "\"left\".v / \"right\".v > 1", "100 / (\"left\".v - 6) AS q");
  join.left.size = join.right.size = 10;
  const std::vector<Row> rows = {{1, 1, 6}, {2, 1, 8}, {3, 1, {}}, other(4, 1, 0), other(5, 1, 2)};
  EXPECT_EQ(result_of(d, rows), "50");
  EXPECT_EQ(run(d.query(), rows, {}).ledger.value_errors.total(), 3u);  // Two by 0, and the output of 6.
}

TEST(JoinBox, ItsBuffersHaveNoMoreThanThereIsRoomFor) {
  Diagram d(kTwoSources);
  UnboundBoxes::Box& join = d.join(d.source(0), d.source(1), "true", "\"left\".v AS l, \"right\".v AS r");
  join.left.size = 1'000;
  Way way;
  way.rows_max = 2;
  way.advances = true;
  const Outcome outcome = run(d.query(), {{1'000, 1, 1}, {2'000, 1, 2}, {3'000, 1, 3}, other(4'000, 1, 9)}, way);
  EXPECT_EQ(outcome.text, "2 9 | 3 9");
  EXPECT_EQ(outcome.ledger.box_tuples_refused, 1u);
}

TEST(JoinBox, PairsOfATurnBeyondTheLimitAreRefusedAndCounted) {
  Diagram d(kTwoSources);
  UnboundBoxes::Box& join = d.join(d.source(0), d.source(1), "true", "\"left\".v AS l, \"right\".v AS r");
  join.left.size = 3;
  Way way;
  way.rows_max = 5;
  const Outcome outcome = run(d.query(), {{1, 1, 1}, {2, 1, 2}, {3, 1, 3}, other(4, 1, 4), other(5, 1, 5)}, way);
  EXPECT_EQ(outcome.text, "1 4 | 2 4 | 3 4 | 1 5 | 2 5");
  EXPECT_EQ(outcome.ledger.box_tuples_refused, 1u);
}

TEST(JoinBox, ALongStreamLeavesNoneBehind) {
  Diagram d(kTwoSources);
  UnboundBoxes::Box& join = d.join(d.source(0), d.source(1), "\"left\".v = \"right\".v", "\"left\".t AS t");
  join.left.size = 3;
  std::vector<Row> rows;
  std::string expected;
  for (int64_t i = 0; i < 5'000; ++i) {
    rows.push_back({2 * i, 1, i, 0, "s", {}, "a text that is longer than short ones are " + std::to_string(i)});
    if (i % 100 != 99) continue;
    rows.push_back(other(2 * i + 1, 1, i - 2));
    rows.push_back(other(2 * i + 1, 1, i - 3));
    expected += (expected.empty() ? "" : " | ") + rows[rows.size() - 5].t;
  }
  EXPECT_EQ(run(d.query(), rows, {}).text, expected);
  EXPECT_EQ(run(d.query(), rows, {3, true}).text, expected);
}

// --- waitfor ---

TEST(WaitBox, AnEnablerSendsWhatWaitsForItOnce) {
  Diagram d(kTwoSources);
  d.map(d.wait_for(d.source(0), d.source(1), "\"left\".k = \"right\".k", 60), "k, v");
  EXPECT_EQ(result_of(d, {{1, 1, 10},
                          {2, 2, 20},
                          {3, 1, 11},
                          other(4, 1, 0),
                          other(5, 1, 0),
                          {6, 1, 12},
                          other(7, 2, 0),
                          other(8, 1, 0)}),
            "1 10 | 1 11 | 2 20 | 1 12");
}

TEST(WaitBox, WhatHasWaitedForTooLongIsForgotten) {
  Diagram d(kTwoSources);
  d.map(d.wait_for(d.source(0), d.source(1), "true", 1.5), "v");
  EXPECT_EQ(result_of(d, {{1'000, 1, 1}, {1'001, 1, 2}, other(2'501, 1, 0), {3'000, 1, 3}, other(4'500, 1, 0)}),
            "2 | 3");
  // Also while nothing comes.
  const auto state_octets = [&](Micros until) {
    Runner runner(d.query(), {});
    runner.give({{1'000, 1, 1, 0, "s", {}, std::string(1'000, 't')}});
    runner.advance(until);
    std::vector<uint8_t> state;
    runner.engine().save_state(0, state);
    return state.size();
  };
  EXPECT_GT(state_octets(2'000 * kMilli), 1'000u);
  EXPECT_LT(state_octets(3'000 * kMilli), 1'000u);
  Way way;
  way.rows_max = 1;
  Runner runner(d.query(), way);
  runner.give({{1'000, 1, 1}});
  runner.advance(3'000 * kMilli);
  runner.give({{3'500, 1, 2}});
  runner.advance(4'000 * kMilli);
  runner.give({other(4'100, 1, 0)});
  EXPECT_EQ(runner.finish().text, "2");
}

// --- halves apart ---

struct Messages final : PartialsOut {
  void append(std::vector<uint8_t>&& message) override { all.push_back(std::move(message)); }
  std::vector<std::vector<uint8_t>> all;
};

TEST(BoxStage, RowsOfEdgesThatAreElsewhereComeInTheSameOrder) {
  Diagram d({"SELECT at, k, v FROM s WHERE v <> 5", "SELECT at, k, v FROM other"});
  UnboundBoxes::Box& join =
      d.join(d.source(0), d.source(1), "\"left\".k = \"right\".k", "\"left\".v AS l, \"right\".v AS r");
  join.left.size = join.right.size = 3;
  const auto query = d.query();
  std::vector<Row> rows;
  for (int64_t i = 0; i < 120; ++i)
    rows.push_back({1'000 + i / 9 * 300, i % 2, i % 11, static_cast<uint32_t>(i % 3), i % 4 == 0 ? "other" : "s"});
  const std::string expected = run(query, rows, {}).text;
  constexpr uint64_t kIncarnation = 77;
  constexpr uint32_t kNumbers[] = {2, 5, 9};  // In the order of the edges of one process.
  Messages messages[3];
  for (uint32_t e = 0; e < 3; ++e) {
    EngineOptions options;
    options.half = Half::kEdge;
    options.edge = kNumbers[e];
    options.partials_out = &messages[e];
    Engine edge(options);
    edge.add_query(query, nullptr, Measured::kNot, kIncarnation);
    for (const Row& row : rows) {
      if (row.edge != e) continue;
      give_rows(edge, {row}, 0);
      for (const char* stream : {"s", "other"}) edge.advance(stream, row.at_ms * kMilli, Clock::kArrival);
    }
    edge.finish();
  }
  for (const bool restarts : {false, true}) {
    for (const uint32_t first : {0u, 1u, 2u}) {
      EngineOptions options;
      options.half = Half::kMerge;
      Sink sink;
      auto merge = std::make_unique<Engine>(options);
      merge->add_query(query, &sink, Measured::kNot, kIncarnation);
      merge->set_members({0, {{2, false}, {5, false}, {9, false}}});
      for (size_t at = 0, left = 3; left > 0; ++at) {
        left = 0;
        for (uint32_t e = 0; e < 3; ++e) {  // Some of each in turn.
          const auto& all = messages[(e + first) % 3].all;
          for (size_t m = at * 4; m < std::min(all.size(), at * 4 + 4); ++m)
            EXPECT_EQ(merge->take(all[m]), Engine::Taken::kTaken);
          left += all.size() > at * 4 + 4 ? 1 : 0;
          merge->settle();
        }
        if (!restarts) continue;
        std::vector<uint8_t> streams, state;
        merge->save_streams(streams);
        merge->save_state(0, state);
        merge = std::make_unique<Engine>(options);
        merge->add_query(query, &sink, Measured::kNot, kIncarnation);
        ASSERT_TRUE(merge->restore_streams(streams).has_value());
        ASSERT_TRUE(merge->restore_state(0, state).has_value());
      }
      EXPECT_EQ(sink.text, expected) << first << restarts;
      EXPECT_EQ(merge->ledger(0).late, 0u);
    }
  }
}

// --- what is saved ---

TEST(BoxStage, ADamagedStateIsRefusedAndDoesNoHarm) {
  Diagram d(kTwoSources);
  const auto sorted = d.sort(Diagram::source(0), "v", 3, "k");
  UnboundBoxes::Box& join = d.join(sorted, d.source(1), "\"left\".k = \"right\".k", "\"left\".k AS k, \"left\".v AS v");
  join.left.size = join.right.size = 5;
  d.aggregate(d.last(), "count(DISTINCT v) AS c", 10, 5).timeout_seconds = 100;
  const auto query = d.query();
  Runner runner(query, {});
  for (int64_t i = 0; i < 20; ++i) runner.give({{100 * i, i % 3, i}});
  runner.give({other(150, 1, 1), other(250, 2, 1)});
  runner.advance(1'500 * kMilli);
  std::vector<uint8_t> state;
  runner.engine().save_state(0, state);
  Engine engine(EngineOptions{});
  engine.add_query(query, nullptr);
  for (size_t octet = 0; octet < state.size(); ++octet) {
    std::vector<uint8_t> damaged = state;
    damaged[octet] ^= 0x55;
    if (engine.restore_state(0, damaged)) engine.finish();
    damaged.resize(octet);
    EXPECT_FALSE(engine.restore_state(0, damaged).has_value()) << octet;
  }
}

}  // namespace
}  // namespace backstream::exec
