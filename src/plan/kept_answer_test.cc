#include "plan/kept_answer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "plan/bind.h"
#include "sql/parse.h"

namespace backstream::plan {
namespace {

constexpr Micros kNoon = 1'769'860'800 * base::kMicrosPerSecond;  // 2026-01-31 12:00:00 UTC

/// A view, and questions about it.
class Kept {
 public:
  explicit Kept(const std::string& view) : view_(bound("CREATE MATERIALIZED VIEW v " + view)) {
    catalog_.add_view(view_);
  }

  KeptAnswer ask(const std::string& question, std::optional<Micros> kept_since = std::nullopt) const {
    const BindText bind = [&](const std::string& text) { return try_bind(text); };
    return answer_from(bound(question), view_, bind, kept_since);
  }
  /// The SELECT and how it may differ, or why there is none.
  std::string told(const std::string& question, std::optional<Micros> kept_since = std::nullopt) const {
    const KeptAnswer answer = ask(question, kept_since);
    EXPECT_NE(answer.text.empty(), answer.reasons.empty()) << question;
    std::string told = answer.text.empty() ? "no" : answer.text;
    for (const std::string& note : answer.notes) told += "; " + note;
    for (const std::string& reason : answer.reasons) told += ": " + reason;
    EXPECT_TRUE(answer.text.empty() || try_bind(answer.text)) << answer.text;
    return told;
  }
  std::string keeping(const std::string& question) const {
    return keeping_statement(bound(question), "kept", [&](const std::string& text) { return try_bind(text); });
  }
  Query bound(const std::string& text) const {
    auto query = try_bind(text);
    if (!query) throw std::runtime_error(text + ": " + query.error().message);
    return std::move(*query);
  }

 private:
  base::Result<Query> try_bind(const std::string& text) const {
    auto statements = sql::parse(text, "test");
    if (!statements) return tl::unexpected(statements.error());
    auto query = plan::bind(statements->front(), text, catalog_);
    if (query) plan::rewrite(*query);
    return query;
  }

  Catalog catalog_;
  Query view_;
};

const Kept& matrix() {
  static const Kept kept(
      "AS SELECT window_start, src_as, dst_as, sum(octets) AS octets, count(*) AS flows, sum(packets) AS packets, "
      "count(packets) AS n, max(octets) AS most FROM tumble(flows, time, interval '300 s') "
      "GROUP BY window_start, src_as, dst_as");
  return kept;
}

constexpr const char* kHour = "tumble(flows, time, interval '1 h')";
constexpr const char* kFive = "tumble(flows, time, interval '300 s')";
std::string by(const std::string& keys, const std::string& values, const char* from, const std::string& where = "") {
  return fmt::format("SELECT window_start{0}, {1} FROM {2}{3} GROUP BY window_start{0}",
                     keys.empty() ? "" : ", " + keys, values, from, where.empty() ? "" : " WHERE " + where);
}

struct Case {
  std::string question, told;
};
void expect(const Kept& kept, const std::vector<Case>& cases) {
  for (const Case& each : cases) EXPECT_EQ(kept.told(each.question), each.told) << each.question;
}

TEST(KeptAnswer, GroupsAreMadeOfFinerOnesAndOfShorterWindows) {
  expect(
      matrix(),
      {{by("src_as", "sum(octets)", kHour, "dst_as = 64500"),
        "SELECT window_start, src_as, sum(octets) AS sum FROM tumble(v, window_start, interval '1 h') "
        "WHERE dst_as = 64500 GROUP BY window_start, src_as"},
       {by("", "sum(octets) * 8 / 300 AS bps", kFive),
        "SELECT window_start, sum(octets) * 8 / 300 AS bps FROM v GROUP BY window_start"},
       {by("dst_as % 10", "avg(packets) AS mean, max(octets) AS most", kFive),
        "SELECT window_start, dst_as % 10 AS \"?column?\", sum(packets)::double precision / sum(n)::double precision "
        "AS "
        "mean, max(most) AS most FROM v GROUP BY window_start, dst_as % 10"},
       {by("", "count(DISTINCT src_as) AS sources, count(*) AS flows, count(*) FILTER (WHERE dst_as > 5) AS some",
           kHour),
        "SELECT window_start, count(DISTINCT src_as) AS sources, sum(flows) AS flows, coalesce(sum(flows) FILTER "
        "(WHERE dst_as > 5), 0) AS some FROM tumble(v, window_start, interval '1 h') GROUP BY window_start"},
       {by("src_as", "sum(octets) AS octets", "hop(flows, time, interval '5 min', interval '1 h')") +
            " HAVING sum(octets) > 1000 ORDER BY octets DESC, 2 NULLS FIRST LIMIT 10 OFFSET 5",
        "SELECT window_start, src_as, sum(octets) AS octets FROM hop(v, window_start, interval '5 min', interval '1 "
        "h') "
        "GROUP BY window_start, src_as HAVING sum(octets) > 1000 ORDER BY octets DESC, src_as NULLS FIRST LIMIT 10 "
        "OFFSET 5"},
       {by("", "sum(octets) AS octets",
           "tumble(flows, time, interval '1 month', interval '9 days', timezone => 'Europe/Berlin')"),
        "SELECT window_start, sum(octets) AS octets FROM tumble(v, window_start, interval '1 month', interval '9 d', "
        "timezone => 'Europe/Berlin') GROUP BY window_start"}});
}

TEST(KeptAnswer, ARowIsAGroupWhereAllKeysAreKnown) {
  expect(
      matrix(),
      {{"SELECT window_start, window_end, sum(octets) AS octets, src_as FROM tumble(flows, time, interval '300 s') "
        "WHERE 64500 = dst_as GROUP BY window_start, window_end, src_as HAVING max(octets) > 5 ORDER BY count(*) DESC",
        "SELECT window_start, window_end, octets, src_as FROM v WHERE 64500 = dst_as AND most > 5 ORDER BY flows DESC"},
       {by("src_as, dst_as", "avg(packets) AS mean", kFive),
        "SELECT window_start, src_as, dst_as, sum(packets)::double precision / sum(n)::double precision AS mean FROM v "
        "GROUP BY window_start, src_as, dst_as"},
       {"SELECT DISTINCT window_start, src_as FROM tumble(flows, time, interval '300 s') WHERE dst_as = 5",
        "SELECT DISTINCT window_start, src_as FROM v WHERE dst_as = 5"}});
  const Kept sessions(
      "AS SELECT window_start, src_ip, count(DISTINCT dst_port) AS ports, stddev(octets) * 2 AS twice "
      "FROM session(flows, time, interval '60 s', partition_by => (src_ip)) GROUP BY window_start, src_ip");
  const std::string session = "session(flows, time, interval '60 s', partition_by => (src_ip))";
  expect(sessions, {{by("src_ip", "stddev(octets) * 2 + 1 AS more", session.c_str(), "src_ip << '10.0.0.0/8'"),
                     "SELECT window_start, src_ip, twice + 1.0 AS more FROM v WHERE src_ip << '10.0.0.0/8'::inet"},
                    {by("src_ip", "stddev(octets) AS s", session.c_str()), "no: it keeps no stddev(octets)"},
                    {by("", "count(DISTINCT src_ip) AS n", kFive),
                     "no: windows of 5 min cannot be made of its sessions with a gap of 1 min"}});
}

TEST(KeptAnswer, TimeIsAskedOfWindowsThatBeginWithIt) {
  const std::string noon = "time >= '2026-01-31 12:00:00+00'";
  expect(
      matrix(),
      {{by("", "sum(octets) AS octets", kHour, noon + " AND '2026-01-31 13:59:59.999999+00' >= time"),
        "SELECT window_start, sum(octets) AS octets FROM tumble((SELECT * FROM v WHERE window_start >= '2026-01-31 "
        "12:00:00+00' AND window_start < '2026-01-31 14:00:00+00'), window_start, interval '1 h') GROUP BY "
        "window_start"},
       {by("src_as, dst_as", "sum(octets) AS octets", kFive, noon),
        "SELECT window_start, src_as, dst_as, octets FROM v WHERE window_start >= '2026-01-31 12:00:00+00'"},
       {by("", "sum(octets) AS octets", kFive, "time > '2026-01-31 12:00:00+00'"),
        "SELECT window_start, sum(octets) AS octets FROM v WHERE window_start >= '2026-01-31 12:00:00+00' GROUP BY "
        "window_start; its windows are taken whole: from 2026-01-31 12:00:00+00"},
       {by("", "sum(octets) AS octets", kFive,
           "time BETWEEN '2026-01-31 12:01:00+00' AND '2026-01-31 12:14:00+00' AND time < '290000-01-01'"),
        "no: it keeps no time"},
       {by("", "sum(octets) AS octets", kFive, "time BETWEEN '2026-01-31 12:01:00+00' AND '2026-01-31 12:14:00+00'"),
        "SELECT window_start, sum(octets) AS octets FROM v WHERE window_start >= '2026-01-31 12:00:00+00' AND "
        "window_start < '2026-01-31 12:15:00+00' GROUP BY window_start; its windows are taken whole: from 2026-01-31 "
        "12:00:00+00 until 2026-01-31 12:15:00+00"},
       {by("", "sum(octets) AS octets", kHour) + " HAVING window_start >= '2026-01-31 12:00:00+00' AND window_start < "
                                                 "'2026-01-31 14:00:00+00'",
        "SELECT window_start, sum(octets) AS octets FROM tumble((SELECT * FROM v WHERE window_start >= '2026-01-31 "
        "12:00:00+00' AND window_start < '2026-01-31 15:00:00+00'), window_start, interval '1 h') GROUP BY "
        "window_start "
        "HAVING window_start >= '2026-01-31 12:00:00+00' AND window_start < '2026-01-31 14:00:00+00'"}});
  // A question that does not say since when is asked from the first window on that is kept whole.
  EXPECT_EQ(matrix().told(by("", "sum(octets) AS octets", kHour), kNoon + 300 * base::kMicrosPerSecond),
            "SELECT window_start, sum(octets) AS octets FROM tumble((SELECT * FROM v WHERE window_start >= '2026-01-31 "
            "13:00:00+00'), window_start, interval '1 h') GROUP BY window_start");
  EXPECT_EQ(matrix().told(by("dst_as, src_as", "sum(octets) AS octets", kFive), kNoon),
            "SELECT window_start, dst_as, src_as, octets FROM v WHERE window_start >= '2026-01-31 12:00:00+00'");
  EXPECT_EQ(matrix().told(by("", "sum(octets) AS octets", kHour, noon), kNoon + 1),
            matrix().told(by("", "sum(octets) AS octets", kHour, noon)));

  const Query asked =
      matrix().bound(by("", "count(*)", kHour, noon) + " HAVING window_start < '2026-01-31 14:00:00+00'");
  EXPECT_EQ(asked_time(asked).from, kNoon);
  EXPECT_EQ(asked_time(asked).until, kNoon + 3 * 3'600 * base::kMicrosPerSecond);
}

TEST(KeptAnswer, WhatIsMissingIsNamed) {
  expect(matrix(),
         {{by("dst_port", "sum(octets), sum(packets) FILTER (WHERE protocol = 6)", kHour, "src_ip << '10.0.0.0/8'"),
           "no: it keeps no src_ip, dst_port or sum(packets) FILTER (WHERE (protocol = 6))"},
          {by("", "min(octets), avg(octets), count(DISTINCT src_ip)", kHour),
           "no: it keeps no min(octets), avg(octets) as a sum and a count or key to count: count(DISTINCT src_ip)"},
          {by("", "count(*)", "tumble(flows, time, interval '100 s')"),
           "no: windows of 100 s cannot be made of its windows of 5 min"},
          {by("", "count(*)", "tumble(flows, time, interval '1 h', interval '10 s')"),
           "no: windows of 1 h with an offset of 10 s cannot be made of its windows of 5 min"},
          {by("", "count(*)", "tumble(flows, received_at, interval '300 s')"),
           "no: its windows are over time, not over received_at"},
          {by("", "count(*)", "tumble(counters, time, interval '300 s')"), "no: it is made of flows, not of counters"},
          {by("", "count(*)", "tumble(spread(flows, flow_start, flow_end, interval '60 s'), time, interval '300 s')"),
           "no: its flows are not spread over time as the question's are"}});
  const std::string sums = "SELECT window_start, src_as, sum(octets) AS octets FROM " + std::string(kFive);
  const std::string group = " GROUP BY window_start, src_as";
  const std::string question = by("src_as", "sum(octets) AS octets", kHour);
  const std::string same = by("src_as", "sum(octets) AS octets", kFive);
  const auto told = [&](const std::string& view, const std::string& asked) { return Kept(view).told(asked); };
  EXPECT_EQ(told("AS " + sums + " WHERE protocol = 6" + group, question), "no: it counts only flows with protocol = 6");
  EXPECT_EQ(told("AS " + sums + " WHERE protocol = 6" + group, by("", "sum(octets) AS octets", kFive, "protocol = 6")),
            "SELECT window_start, sum(octets) AS octets FROM v GROUP BY window_start");
  EXPECT_EQ(told("WITH (sites = 'ams') AS " + sums + group, question),
            "no: it counts only flows with site IS NOT NULL AND site = 'ams'");
  EXPECT_EQ(told("AS " + sums + group + " HAVING sum(octets) > 9", question),
            "no: it keeps only groups with sum(octets) > 9");
  EXPECT_EQ(told("AS " + sums + group + " HAVING sum(octets) > 9", same + " HAVING sum(octets) > 9"),
            "SELECT window_start, src_as, octets FROM v");
  EXPECT_EQ(told("AS " + sums + group + " HAVING sum(octets) > 9", same + " HAVING sum(octets) > 8"),
            "no: it keeps only groups with sum(octets) > 9");
  const std::string top = "AS " + sums + group + " ORDER BY octets DESC LIMIT 10";
  EXPECT_EQ(told(top, question), "no: it keeps only the first 10 groups of a window");
  EXPECT_EQ(told(top, by("dst_port", "sum(octets)", kHour)),
            "no: it keeps no dst_port: it keeps only the first 10 groups of a window");
  EXPECT_EQ(told(top, same), "no: it keeps only the first 10 groups of a window");
  EXPECT_EQ(told(top, same + " ORDER BY octets LIMIT 5"), "no: it keeps only the first 10 groups of a window");
  EXPECT_EQ(told(top, same + " ORDER BY octets DESC LIMIT 11"), "no: it keeps only the first 10 groups of a window");
  EXPECT_EQ(told(top, same + " ORDER BY octets DESC LIMIT 8 OFFSET 3"),
            "no: it keeps only the first 10 groups of a window");
  EXPECT_EQ(told(top, same + " ORDER BY octets DESC LIMIT 5"),
            "SELECT window_start, src_as, octets FROM v ORDER BY octets DESC LIMIT 5");
  EXPECT_EQ(told(top, by("src_as", "sum(octets) AS octets", kFive, "src_as < 9") + " ORDER BY octets DESC LIMIT 5"),
            "no: it keeps only the first 10 groups of a window");
  EXPECT_EQ(told("AS SELECT window_start, src_as AS s, count(DISTINCT src_ip) AS n, approx_percentile(octets, 0.5) AS "
                 "p FROM " +
                     std::string(kFive) + group,
                 by("", "count(DISTINCT src_ip), approx_percentile(octets, 0.5)", kFive)),
            "no: its count(DISTINCT src_ip) is that of each group: of several, none can be made of them: its "
            "approx_percentile(octets, 0.5) is that of each group: of several, none can be made of them");
  EXPECT_EQ(told("AS SELECT time, src_as FROM flows", question),
            "no: it passes on rows one by one, without groups and windows");
  EXPECT_EQ(told("AS SELECT src_as, count(*) FROM " + std::string(kFive) + group, question),
            "no: it keeps no window_start");
  EXPECT_EQ(told("AS SELECT DISTINCT window_start, count(*) AS n FROM " + std::string(kFive) + group,
                 by("", "count(*)", kHour)),
            "no: its rows are DISTINCT without all of their keys: one may be several groups");
  EXPECT_EQ(
      told("AS SELECT *, rank() OVER (PARTITION BY window_start ORDER BY octets) AS r FROM (" + sums + group + ") t",
           question),
      "no: its rows are computed from groups once more (a subquery, or OVER)");
}

TEST(KeptAnswer, PoliciesThatDifferAreReasonsOrAreTold) {
  const std::string sums = " AS SELECT window_start, src_ip, sum(octets) AS octets, sum(octets / 3.0) AS third FROM " +
                           std::string(kFive) + " GROUP BY window_start, src_ip";
  const auto told = [&](const std::string& options, const std::string& asked) {
    return Kept("WITH (" + options + ")" + sums).told(asked);
  };
  const std::string all = by("", "sum(octets) AS octets", kFive);
  const std::string text = "SELECT window_start, sum(octets) AS octets FROM v GROUP BY window_start";
  EXPECT_EQ(told("truncate_v4 = 24", all), text);
  EXPECT_EQ(told("truncate_v4 = 24", by("src_ip", "sum(octets) AS octets", kFive)),
            "no: it cuts addresses to /24 and /48");
  EXPECT_EQ(told("on_error = 'drop'", all),
            "no: it leaves out flows of which a value cannot be computed (on_error = 'drop')");
  EXPECT_EQ(told("on_error = 'fail'", all), text);
  EXPECT_EQ(told("allowed_lateness = '60 s'", all),
            text + "; windows stayed open to late flows for 1 min (allowed_lateness), the question's for 0 s");
  EXPECT_EQ(told("delay = '20 s'", all),
            text + "; flows were waited for by another delay: 20 s, the question's is the stream's");
  EXPECT_EQ(told("state_limit = '10 MB', on_limit = 'shed'", all),
            text + "; groups were dropped where memory was short: _complete is false in such windows");
  EXPECT_EQ(
      told("late = 'drop'", by("", "sum(octets / 3.0) AS third", kFive)),
      "SELECT window_start, sum(third) AS third FROM v GROUP BY window_start; sums of double precision are rounded in "
      "each of its rows, so that last digits may differ");
}

TEST(KeptAnswer, NamesAndConstantsAreWrittenSoThatTheyBind) {
  const Kept kept(
      "AS SELECT window_start AS begin, \"applicationId\", src_ip AS \"select\", site AS \"a \"\"b\"\"\", count(*) AS "
      "\"all\" "
      "FROM tumble(flows, time, interval '300 s') GROUP BY window_start, \"applicationId\", src_ip, site");
  expect(kept,
         {{by("", "count(*) AS n", kFive,
              "site = 'it''s' AND src_ip = '10.0.0.1' AND site LIKE 'a%' AND site IS NOT NULL"),
           "SELECT \"begin\" AS \"window_start\", sum(\"all\") AS \"n\" FROM \"v\" WHERE \"a \"\"b\"\"\" = "
           "'it''s'::text AND "
           "\"select\" = '10.0.0.1'::inet AND \"a \"\"b\"\"\" LIKE 'a%'::text AND \"a \"\"b\"\"\" IS NOT NULL GROUP BY "
           "\"begin\""}});
}

TEST(KeptAnswer, QuestionsThatNoViewCouldAnswerAreKnown) {
  const auto obstacle = [](const std::string& text) { return question_obstacle(matrix().bound(text)); };
  EXPECT_EQ(obstacle(by("", "count(*)", kHour)), "");
  EXPECT_NE(obstacle("SELECT time, src_ip FROM flows").find("none are kept"), std::string::npos);
  EXPECT_NE(obstacle("SELECT window_start, sum(n) FROM (SELECT window_start, src_as, count(*) AS n FROM tumble(flows, "
                     "time, interval '60 s') GROUP BY window_start, src_as) t GROUP BY window_start")
                .find("once more"),
            std::string::npos);
  EXPECT_NE(obstacle("SELECT time, octets FROM flows UNION ALL SELECT time, octets FROM flows").find("unites"),
            std::string::npos);
}

TEST(KeptAnswer, TheStatementThatKeepsIsTheQuestionWithoutItsTime) {
  const auto& kept = matrix();
  EXPECT_EQ(
      kept.keeping(by("dst_port, src_as", "sum(octets), sum(packets)", kHour,
                      "src_ip << '10.0.0.0/8' AND time >= '2026-01-31 12:00:00+00'") +
                   " HAVING window_start < '2026-02-01' AND count(*) > 3 ORDER BY 4 DESC LIMIT 10"),
      "CREATE MATERIALIZED VIEW kept AS SELECT window_start, dst_port, src_as, sum(octets) AS sum, sum(packets) AS "
      "sum_2 FROM tumble(flows, time, interval '1 h') WHERE src_ip << '10.0.0.0/8'::inet GROUP BY window_start, "
      "dst_port, src_as HAVING count(*) > 3 ORDER BY sum DESC LIMIT 10");
  EXPECT_EQ(
      kept.keeping("SELECT count(*) AS n FROM session(flows, time, interval '60 s', partition_by => (src_ip)) GROUP "
                   "BY window_end, src_ip"),
      "CREATE MATERIALIZED VIEW kept AS SELECT window_start, count(*) AS n FROM session(flows, time, interval '1 "
      "min', partition_by => (src_ip)) GROUP BY window_start, src_ip");
  EXPECT_EQ(
      kept.keeping(by("", "max(octets)",
                      "tumble(spread(flows, flow_start, flow_end, interval '60 s'), time, interval "
                      "'1 h')")),
      "CREATE MATERIALIZED VIEW kept AS SELECT window_start, max(octets) AS max FROM tumble(spread(flows, flow_start, "
      "flow_end, interval '1 min'), time, interval '1 h') GROUP BY window_start");
  // A sign such as ~ is as loose as ||: what is added belongs to it without parentheses.
  EXPECT_EQ(kept.keeping(by("(~src_as) + 1, ~(src_as + 1)", "max(octets)", kHour)),
            "CREATE MATERIALIZED VIEW kept AS SELECT window_start, (~src_as) + 1 AS \"?column?\", ~(src_as + 1) AS "
            "\"?column?_2\", max(octets) AS max FROM "
            "tumble(flows, time, interval '1 h') GROUP BY window_start, (~src_as) + 1, ~(src_as + 1)");
  EXPECT_EQ(keeping_name(kept.bound(by("dst_port, src_as % 10", "count(*)", kHour))), "by_dst_port_src_as10");
  EXPECT_EQ(keeping_name(kept.bound(by("", "count(*)", kHour))), "totals");
}

}  // namespace
}  // namespace backstream::plan
