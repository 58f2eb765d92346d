#include <gtest/gtest.h>

#include "plan/bind.h"
#include "plan/split.h"
#include "plan/stderr_outputs.h"
#include "plan/travel.h"
#include "sql/parse.h"

namespace backstream::plan {
namespace {

constexpr base::Micros kSecond = base::kMicrosPerSecond;

Query bound(const std::string& text, Catalog catalog = Catalog()) {
  auto statements = sql::parse(text, "test");
  if (!statements) throw std::runtime_error(statements.error().message);
  auto query = plan::bind(std::as_const(statements->front()), text, catalog);
  if (!query) throw std::runtime_error(query.error().message);
  return std::move(*query);
}
/// "code at 'the text that is blamed': message [hint]".
std::string refused(const std::string& text) {
  auto statements = sql::parse(text, "test");
  if (!statements) return "parser: " + statements.error().message;
  const auto query = plan::bind(std::as_const(statements->front()), text, Catalog());
  if (query) return "accepted";
  const base::Diagnostic& d = query.error();
  return d.code + " at '" + text.substr(d.span.offset_octets, d.span.length_octets) + "': " + d.message +
         (d.hint.empty() ? "" : " [" + d.hint + "]");
}

TEST(StderrOutputs, AreTheErrorsOfTheSumsBesideThem) {
  const auto of = [](const std::string& outputs) {
    return stderr_outputs(bound("SELECT window_start, dst_as, " + outputs +
                                " FROM tumble(flows, time, interval '10 s') GROUP BY window_start, dst_as"));
  };
  EXPECT_EQ(of("sum(octets) AS o, sum_stderr(octets) AS e"), (std::vector{-1, -1, -1, 2}));
  EXPECT_EQ(of("sum_stderr(packets) AS ep, sum_stderr(octets) AS eo, sum(octets), sum(packets)"),
            (std::vector{-1, -1, 5, 4, -1, -1}));
  const std::string tcp = " FILTER (WHERE protocol = 6)", udp = " FILTER (WHERE protocol = 17)";
  EXPECT_EQ(of("sum(octets) AS o, sum(octets)" + tcp + " AS t, sum_stderr(octets)" + tcp + " AS e"),
            (std::vector{-1, -1, -1, -1, 3}));
  const std::vector<int> none;
  EXPECT_EQ(of("sum(octets)" + tcp + " AS t, sum_stderr(octets)" + udp + " AS e"), none);
  EXPECT_EQ(of("sum(octets) * 8 AS bits, sum_stderr(octets) AS e"), none);
  EXPECT_EQ(of("sum(octets) AS o, sum_stderr(octets) / 2 AS e"), none);
  EXPECT_EQ(of("sum(octets_raw) AS o, sum_stderr(octets) AS e"), none);
  EXPECT_EQ(of("sum(octets) AS o"), none);
}

TEST(Explain, TheTrafficMatrix) {
  EXPECT_EQ(explain(bound("CREATE MATERIALIZED VIEW traffic_matrix WITH (allowed_lateness = '60 s') AS "
                          "SELECT window_start, src_as, dst_as, sum(octets) AS octets "
                          "FROM tumble(flows, time, interval '300 s') GROUP BY window_start, src_as, dst_as")),
            "view traffic_matrix\n"
            "  source stream flows\n"
            "    columns    time, octets, src_as, dst_as\n"
            "  edge (where flows arrive)\n"
            "    window     tumble of 5 min by time\n"
            "    panes      1 min\n"
            "    group by   window, src_as, dst_as\n"
            "    aggregate  sum(octets)   partial: 1 integer (127 bit); exact\n"
            "  merge\n"
            "    combine    5 panes to a window\n"
            "    closes     when the watermark of all exporters passes the window's end; revised for 1 min more\n"
            "    output     window_start, src_as, dst_as, sum(octets) AS octets\n");
}

TEST(Travel, IsPanesWhereNoGroupOutweighsItsRow) {
  const std::string head = "CREATE MATERIALIZED VIEW v ", with_pairs = "window_start, src_ip, dst_ip, ";
  const std::string from = " FROM tumble(flows, time, interval '60 s') GROUP BY window_start, src_ip, dst_ip";
  const std::string light = with_pairs + "sum(octets) AS o", heavy = light + ", avg(octets) AS a, stddev(octets) AS s";
  const struct {
    std::string text;
    Travel travel;
    std::string_view why;
  } cases[] = {
      {"SELECT " + light + from, Travel::kPanes, "panes: even the group of a single row"},
      {"SELECT " + heavy + from, Travel::kEither, "panes; or rows, while"},
      {head + "WITH (placement = 'edge') AS SELECT " + heavy + from, Travel::kPanes, "panes: placement = 'edge'"},
      {head + "WITH (placement = 'central') AS SELECT " + light + from, Travel::kRows, "rows: placement = 'central'"},
      {head + "WITH (state_limit = '9 MB') AS SELECT " + heavy + from, Travel::kPanes, "panes: state_limit"},
      {"SELECT time, octets FROM flows", Travel::kRows, "rows: it makes no groups"},
      {head + "WITH (placement = 'edge') AS SELECT time, octets FROM flows", Travel::kRows, "rows: it makes no groups"},
      {"SELECT window_start, window_end, src_ip, count(*) AS n, sum(octets) AS o, min(octets) AS m FROM "
       "session(flows, time, interval '20 s', partition_by => (src_ip)) GROUP BY window_start, window_end, src_ip",
       Travel::kEither, "panes; or rows, while"},
  };
  for (const auto& each : cases) {
    const Query query = bound(each.text);
    EXPECT_EQ(travel_of(query), each.travel) << each.text;
    EXPECT_EQ(travel_text(query).substr(0, each.why.size()), each.why) << each.text;
  }
  const TravelEstimate estimate = estimate_travel(bound("SELECT " + light + from));
  EXPECT_EQ(estimate.group_octets, 2u * 7 + 3) << "two addresses, a sum";
  EXPECT_EQ(estimate.row_octets, 2u * 7 + 3 + 9) << "and the time";
}

TEST(Explain, ThePortSweep) {
  EXPECT_EQ(explain(bound("SELECT window_start, src_ip, dst_ip, count(DISTINCT dst_port) AS ports "
                          "FROM tumble(flows, time, interval '60 s') WHERE packets_raw = 1 "
                          "GROUP BY window_start, src_ip, dst_ip HAVING count(DISTINCT dst_port) > 100")),
            "query\n"
            "  source stream flows\n"
            "    columns    time, src_ip, dst_ip, dst_port, packets_raw\n"
            "  edge (where flows arrive)\n"
            "    window     tumble of 1 min by time\n"
            "    panes      1 min\n"
            "    filter     (packets_raw = 1)\n"
            "    group by   window, src_ip, dst_ip\n"
            "    aggregate  count(DISTINCT dst_port)   partial: sorted set of values; exact\n"
            "  merge\n"
            "    combine    1 pane to a window\n"
            "    closes     when the watermark of all exporters passes the window's end\n"
            "    having     (count(DISTINCT dst_port) > 100)\n"
            "    output     window_start, src_ip, dst_ip, count(DISTINCT dst_port) AS ports\n");
}

TEST(Split, PanesTileWindowsAndSlides) {
  const auto pane = [](const std::string& window, base::Micros pane_max) {
    const Query query = bound("SELECT window_start, count(*) FROM " + window + " GROUP BY window_start");
    const SplitPlan plan = split(query, pane_max);
    EXPECT_EQ(query.stages[0].window.size_us % plan.edge.pane_us, 0);
    EXPECT_EQ(query.stages[0].window.slide_us % plan.edge.pane_us, 0);
    EXPECT_EQ(plan.merge.panes_per_window, query.stages[0].window.size_us / plan.edge.pane_us);
    EXPECT_LT(plan.edge.pane_offset_us, plan.edge.pane_us);
    return plan.edge.pane_us / kSecond;
  };
  EXPECT_EQ(pane("tumble(flows, time, interval '300 s')", base::kMaxTime), 300);
  EXPECT_EQ(pane("tumble(flows, time, interval '300 s')", 60 * kSecond), 60);
  EXPECT_EQ(pane("tumble(flows, time, interval '100 s')", 60 * kSecond), 50);
  EXPECT_EQ(pane("hop(flows, time, interval '30 s', interval '300 s')", base::kMaxTime), 30);
  EXPECT_EQ(pane("tumble(flows, time, interval '90 s', interval '70 s')", 60 * kSecond), 45);
}

TEST(Bind, AliasesPositionsAndColumns) {
  // In GROUP BY a column of the input comes before an output's name, in ORDER BY after it.
  const Query by_input = bound(
      "SELECT window_start, src_as / 10 AS dst_as, count(*) FROM tumble(flows, time, interval '1 min') "
      "GROUP BY window_start, src_as / 10, 1, dst_as ORDER BY dst_as");
  EXPECT_EQ(by_input.stages[0].key_labels, (std::vector<std::string>{"(src_as / 10)", "dst_as"}));
  EXPECT_EQ(by_input.stages[0].order_by[0].output, 1);
  const Query by_alias = bound(
      "SELECT window_start, src_as % 7 AS bucket, sum(octets) FROM tumble(flows, time, '1 min') GROUP BY 1, bucket");
  EXPECT_EQ(by_alias.stages[0].key_labels, std::vector<std::string>{"(src_as % 7)"});
  EXPECT_EQ(by_alias.stages[0].output.columns[2].name, "sum");
  // The same aggregate is computed once.
  const Query twice = bound(
      "SELECT window_start, sum(octets), sum(octets) * 8 FROM tumble(flows, time, '1 min') GROUP BY 1 HAVING "
      "sum(octets) > 5");
  EXPECT_EQ(twice.stages[0].aggregates.size(), 1u);
}

TEST(Bind, AViewIsARelationOfItsWindows) {
  Catalog catalog;
  catalog.add(
      as_relation(bound("CREATE MATERIALIZED VIEW m AS SELECT window_start, src_as, sum(octets) AS octets "
                        "FROM tumble(flows, time, '1 min') GROUP BY window_start, src_as")));
  const Query inherited = bound("SELECT window_start, max(octets) FROM m GROUP BY window_start", catalog);
  EXPECT_EQ(inherited.stages[0].window.kind, Window::Kind::kInherited);
  const Query hourly =
      bound("SELECT window_start, sum(octets) FROM tumble(m, window_start, '1 hour') GROUP BY window_start", catalog);
  EXPECT_EQ(hourly.stages[0].window.size_us, 3'600 * kSecond);
}

TEST(Bind, WhereAQueryIsPlacedCanBeRead) {
  const Query query = bound(
      "CREATE MATERIALIZED VIEW v WITH (sites = 'fra, ams', \"filter.fra\" = 'time > received_at', \"filter.ams\" = "
      "'exporter IS NULL', placement = 'central', absent_sites = 'wait') AS "
      "SELECT window_start, count(*) AS n FROM tumble(flows, time, "
      "interval '1 min') WHERE protocol = 6 GROUP BY window_start UNION ALL SELECT window_start, count(*) FROM "
      "tumble(counters, time, interval '1 min') GROUP BY window_start");
  const Placement& placement = query.options.placement;
  EXPECT_EQ(placement.sites, (std::vector<std::string>{"ams", "fra"}));
  EXPECT_TRUE(placement.counts("ams") && !placement.counts("rio") && Placement().counts("rio"));
  EXPECT_EQ(placement.filters,
            (std::vector<Placement::Filter>{{"ams", "exporter IS NULL"}, {"fra", "time > received_at"}}));
  EXPECT_EQ(name(placement.where), "central");
  EXPECT_EQ(name(placement.absent_sites), "wait");
  ASSERT_EQ(query.inputs.size(), 2u);
  EXPECT_EQ(query.inputs[1]->options.placement, placement);
}

TEST(Bind, SitesAreConditionsOfEveryStream) {
  const auto where = [](const Query& query) {
    const Stage& stage = query.stages.front();
    return stage.where ? expr::to_string(*stage.where, stage.input) : "";
  };
  const std::string count = " AS SELECT window_start, count(*) AS n FROM tumble(flows, time, interval '1 min') ";
  const Query one =
      bound("CREATE MATERIALIZED VIEW v WITH (sites = 'ams')" + count + "WHERE octets > 1 AND packets > 2 GROUP BY 1");
  EXPECT_EQ(where(one), "(NOT site IS NULL AND (site = 'ams') AND (octets > 1) AND (packets > 2))");
  EXPECT_TRUE(one.stages[0].input_used[static_cast<size_t>(batch::FlowColumn::kSite)]);
  const Query several = bound("CREATE MATERIALIZED VIEW v WITH (sites = 'b,a')" + count + "GROUP BY 1");
  EXPECT_EQ(where(several), "(NOT site IS NULL AND site IN ('a', 'b'))");
  // Of a join each side, and the view below a UNION as it is.
  Catalog catalog;
  catalog.add(as_relation(bound("CREATE MATERIALIZED VIEW m" + count + "GROUP BY 1")));
  const Query joined = bound(
      "CREATE MATERIALIZED VIEW v WITH (sites = 'ams') AS SELECT a.octets FROM flows a JOIN counters b ON a.exporter = "
      "b.exporter AND b.time BETWEEN a.time AND a.time + interval '1 s' WHERE a.octets > 1");
  EXPECT_EQ(where(*joined.inputs[0]), "(NOT site IS NULL AND (site = 'ams') AND (octets > 1))");
  EXPECT_EQ(where(*joined.inputs[1]), "(NOT site IS NULL AND (site = 'ams'))");
  const Query united = bound(
      "CREATE MATERIALIZED VIEW v WITH (sites = 'ams')" + count + "GROUP BY 1 UNION ALL SELECT window_start, n FROM m",
      catalog);
  EXPECT_EQ(where(*united.inputs[0]), "(NOT site IS NULL AND (site = 'ams'))");
  EXPECT_EQ(where(*united.inputs[1]), "");
}

TEST(Bind, WhatCannotBeCutIsNotForTheEdge) {
  const auto obstacle = [](const std::string& select) { return edge_obstacle(bound(select)); };
  const std::string window = "tumble(flows, time, interval '1 min')";
  EXPECT_EQ(obstacle("SELECT window_start, src_as, count(*) FROM " + window + " GROUP BY 1, 2 ORDER BY 3 LIMIT 5"), "");
  EXPECT_EQ(obstacle("SELECT window_start, count(*) FROM session(flows, time, interval '1 min') GROUP BY 1"), "");
  EXPECT_EQ(obstacle("SELECT time, octets FROM flows WHERE octets > 5"), "");
  EXPECT_EQ(obstacle("SELECT window_start, lag(count(*)) OVER (ORDER BY window_start) FROM " + window + " GROUP BY 1"),
            "");
  EXPECT_EQ(obstacle("SELECT window_start, max(n) FROM (SELECT window_start, src_as, count(*) AS n FROM " + window +
                     " GROUP BY 1, 2) s GROUP BY 1"),
            "");
  EXPECT_EQ(
      obstacle("SELECT window_start, count(*) FROM tumble((SELECT time FROM flows WHERE octets > 1), time, interval "
               "'1 min') GROUP BY 1"),
      "");
  EXPECT_EQ(obstacle("SELECT window_start, count(*) AS n FROM " + window +
                     " GROUP BY 1 UNION ALL SELECT window_start, "
                     "count(*) FROM " +
                     window + " GROUP BY 1 ORDER BY n LIMIT 1"),
            "");
  EXPECT_EQ(obstacle("SELECT time FROM flows UNION ALL SELECT time FROM counters"), "");
  EXPECT_NE(obstacle("SELECT time, lag(octets) OVER (ORDER BY time) FROM flows"), "");
  EXPECT_NE(obstacle("SELECT window_start, count(*) FROM tumble((SELECT time FROM flows UNION ALL SELECT time FROM "
                     "counters), time, interval '1 min') GROUP BY 1"),
            "");
  const std::string join =
      "SELECT a.time FROM flows a JOIN flows b ON a.src_ip = b.dst_ip AND b.time BETWEEN a.time AND a.time + interval "
      "'1 s'";
  EXPECT_NE(obstacle(join), "");
  EXPECT_NE(obstacle(join + " UNION ALL SELECT time FROM flows"), "");
}

TEST(Bind, MistakesAreLocatedWithAHint) {
  const std::string window = " FROM tumble(flows, time, interval '1 min') GROUP BY window_start";
  EXPECT_EQ(refused("SELECT window_start, sum(octetts)" + window),
            "42703 at 'octetts': column \"octetts\" does not exist [did you mean 'octets'?]");
  EXPECT_EQ(refused("SELECT sum(octets) FROM flow"),
            "42P01 at 'flow': relation \"flow\" does not exist [did you mean 'flows'?]");
  EXPECT_EQ(refused("SELECT src_as, sum(octets) FROM flows GROUP BY src_as").substr(0, 60),
            "42803 at 'src_as': a stream has no end: aggregates need a wi");
  EXPECT_EQ(refused("SELECT src_as, sum(octets) FROM tumble(flows, time, '1 min') GROUP BY src_as"),
            "42803 at 'src_as': a stream is aggregated window by window: window_start is missing in GROUP BY [add "
            "window_start to GROUP BY]");
  EXPECT_EQ(refused("SELECT window_start, src_as, sum(octets)" + window).substr(0, 46),
            "42803 at 'src_as': column \"src_as\" must appear");
  EXPECT_EQ(
      refused("SELECT window_start FROM hop(flows, time, interval '2 min', interval '5 min') GROUP BY window_start"),
      "22023 at 'interval '2 min'': the slide must divide the window size [5 min is no multiple of 2 min]");
  EXPECT_EQ(
      refused("SELECT window_start FROM session(flows, time, interval '1 month') GROUP BY window_start").substr(0, 5),
      "0A000");
  EXPECT_EQ(
      refused("SELECT window_start FROM tumble(flows, src_as, interval '1 min') GROUP BY window_start").substr(0, 44),
      "42804 at 'src_as': column \"src_as\" is of typ");
  EXPECT_EQ(
      refused("CREATE MATERIALIZED VIEW v WITH (alowed_lateness = '1 s') AS SELECT window_start, count(*)" + window)
          .substr(0, 5),
      "22023");
  EXPECT_EQ(refused("SELECT octets + 1 / 0 FROM flows"), "22012 at '1 / 0': division by zero");
  EXPECT_EQ(refused("SELECT a.octets FROM flows a, flows b").substr(0, 5), "0A000");
}

}  // namespace
}  // namespace backstream::plan
