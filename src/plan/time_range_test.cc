#include "plan/time_range.h"

#include <gtest/gtest.h>

#include "plan/bind.h"
#include "plan/unbound.h"
#include "sql/parse.h"

namespace backstream::plan {
namespace {

constexpr Micros kSecond = base::kMicrosPerSecond, kMinute = 60 * kSecond, kHour = 60 * kMinute;
const Micros kNoon = *base::parse_timestamp("2026-01-31 12:00:00+00");

UnboundStatement parsed(const std::string& text) {
  auto statements = sql::parse(text, "test");
  if (!statements) throw std::runtime_error(statements.error().message);
  return std::move(statements->front());
}

/// Views of five minutes (v, w, and s without window_end), of hops (h) and of days in Berlin (d).
Catalog catalog() {
  Catalog catalog;
  const auto add = [&](const std::string& name, const std::string& window) {
    const std::string text = "CREATE MATERIALIZED VIEW " + name +
                             " AS SELECT window_start, window_end, src_as, sum(octets) AS octets FROM " + window +
                             " GROUP BY window_start, window_end, src_as";
    catalog.add_view(*plan::bind(parsed(text), text, catalog));
  };
  add("v", "tumble(flows, time, interval '5 min')");
  add("w", "tumble(flows, time, interval '5 min')");
  add("h", "hop(flows, time, interval '1 min', interval '5 min')");
  add("d", "tumble(flows, time, interval '1 day', timezone => 'Europe/Berlin')");
  const std::string text =
      "CREATE MATERIALIZED VIEW s AS SELECT window_start, src_as, sum(octets) AS octets FROM "
      "tumble(flows, time, interval '5 min') GROUP BY window_start, src_as";
  catalog.add_view(*plan::bind(parsed(text), text, catalog));
  return catalog;
}

Query bound(const std::string& text) {
  auto statement = parsed(text);
  fix_now(*statement.select, kNoon);
  spell_window_ends(*statement.select, catalog());
  auto query = plan::bind(statement, text, catalog());
  if (!query) throw std::runtime_error(query.error().message);
  return std::move(*query);
}

/// By view: "v: from, until" in minutes before noon; "-": no bound.
std::string ranges(const std::string& text) {
  const Query query = bound(text);
  std::string out;
  const auto shown = [](Micros time, bool known) {
    return known ? std::to_string((time - kNoon) / kSecond) + " s" : std::string("-");
  };
  for (const ViewRead& read : views_read(query)) {
    out += (out.empty() ? "" : "; ") + read.view->name + ": " + shown(read.range.from, read.range.has_from()) + ", " +
           shown(read.range.until, read.range.has_until());
  }
  return out;
}

/// The plan of a SELECT over its whole range: begun at noon, an hour long.
std::string whole(const std::string& text) {
  auto statement = parsed(text);
  fix_now(*statement.select, kNoon);
  spell_window_ends(*statement.select, catalog());
  UnboundFrom* from = grouped_without_window(*statement.select);
  if (from == nullptr) return "has a window, or no groups";
  const Catalog known = catalog();
  group_whole_range(*statement.select, *from, known.find(from->name), kNoon, kHour);
  const auto query = plan::bind(statement, text, known);
  if (!query) return query.error().message;
  const Stage& last = query->stages.back();
  EXPECT_EQ(last.window.size_us, kHour);
  EXPECT_EQ(last.window.offset_us, kNoon - base::floor_to(kNoon, kHour));
  std::string out;
  for (const auto& column : query->output().columns) out += (out.empty() ? "" : ", ") + column.name;
  return out;
}

TEST(TimeRange, ConditionsOnStartAndEndOfWindows) {
  const std::string from = "SELECT window_start, octets FROM v";
  EXPECT_EQ(ranges(from), "v: -, -");
  EXPECT_EQ(ranges(from + " WHERE window_start >= now() - interval '1 h'"), "v: -3600 s, -");
  EXPECT_EQ(ranges(from + " WHERE now() - interval '1 h' <= window_start AND src_as > 3"), "v: -3600 s, -");
  EXPECT_EQ(ranges(from + " WHERE window_start BETWEEN '2026-01-31 11:00:00+00' AND '2026-01-31 11:30:00+00'"),
            "v: -3600 s, -1799 s");
  EXPECT_EQ(ranges(from + " WHERE window_start >= now() - interval '1 h' AND window_end <= current_timestamp"),
            "v: -3600 s, -299 s");
  EXPECT_EQ(ranges(from + " WHERE window_end > now() AND window_start < now() + interval '10 s'"), "v: -299 s, 10 s");
  EXPECT_EQ(ranges(from + " WHERE window_start = now()"), "v: 0 s, 0 s") << "a microsecond, shown in whole seconds";
  EXPECT_EQ(ranges(from + " WHERE window_start >= now() OR src_as = 3"), "v: -, -");
  EXPECT_EQ(ranges(from + " WHERE NOT window_start >= now()"), "v: -, -");
}

TEST(TimeRange, EndsOfWindowsThatTheViewDoesNotHave) {
  EXPECT_EQ(ranges("SELECT window_start, octets FROM s WHERE window_end <= now()"), "s: -, -299 s");
  EXPECT_EQ(ranges("SELECT window_start, sum(octets) FROM s x WHERE x.window_end <= now() GROUP BY 1"), "s: -, -299 s");
  EXPECT_EQ(ranges("SELECT * FROM (SELECT window_start, octets FROM s WHERE window_end > now()) x"), "s: -299 s, -");
  EXPECT_EQ(ranges("SELECT * FROM (SELECT window_start, window_end, octets FROM s) x WHERE window_end <= now()"),
            "s: -, -299 s");
  EXPECT_EQ(whole("SELECT count(*) FROM s WHERE window_start >= now() AND window_end <= now() + interval '1 h'"),
            "count");
}

TEST(TimeRange, DaysOfACalendarMayBeShorterThanOthers) {
  EXPECT_EQ(ranges("SELECT window_start, octets FROM d WHERE window_end <= now()"), "d: -, 0 s");
  EXPECT_EQ(ranges("SELECT window_start, octets FROM d WHERE window_end > now()"), "d: -172799 s, -")
      << "no day is longer";
}

TEST(TimeRange, ThroughSubqueriesGroupsAndWindowsAbove) {
  EXPECT_EQ(ranges("SELECT * FROM (SELECT window_start AS t, window_end, sum(octets) AS o FROM v GROUP BY 1, 2) x "
                   "WHERE t >= now() - interval '1 h' AND window_end <= now()"),
            "v: -3600 s, -299 s");
  EXPECT_EQ(ranges("SELECT window_start, sum(octets) FROM v GROUP BY 1 HAVING window_start >= now()"), "v: 0 s, -");
  EXPECT_EQ(ranges("SELECT window_start, sum(octets) FROM tumble((SELECT * FROM v WHERE window_start >= now()), "
                   "window_start, interval '1 h') GROUP BY 1"),
            "v: 0 s, -");
  // The hour that begins at noon has rows until one o'clock.
  EXPECT_EQ(ranges("SELECT window_start, sum(octets) FROM tumble(v, window_start, interval '1 h') GROUP BY 1 "
                   "HAVING window_start >= now() AND window_start <= now()"),
            "v: 0 s, 3600 s");
}

TEST(TimeRange, FunctionsThatLookBackNeedWhatWasBefore) {
  EXPECT_EQ(
      ranges("SELECT * FROM (SELECT window_start, lag(octets, 2) OVER (PARTITION BY src_as ORDER BY window_start) "
             "AS before FROM v) x WHERE window_start >= now()"),
      "v: -600 s, -");
}

TEST(TimeRange, BothSidesOfJoinsAndUnions) {
  EXPECT_EQ(ranges("SELECT window_start, v.octets FROM v FULL JOIN w USING (window_start, src_as) "
                   "WHERE window_start >= now()"),
            "v: 0 s, -; w: 0 s, -");
  EXPECT_EQ(ranges("SELECT v.window_start, v.octets FROM v JOIN w ON v.window_start = w.window_start "
                   "WHERE v.window_start >= now() AND v.window_start < now() + interval '1 h'"),
            "v: 0 s, 3600 s; w: 0 s, 3600 s");
  EXPECT_EQ(ranges("SELECT v.window_start, w.octets FROM v LEFT JOIN w ON v.window_start = w.window_start "
                   "AND w.window_start < now() WHERE v.window_start >= now() - interval '1 h'")
                .substr(0, 10),
            "v: -3600 s")
      << "what has no partner is kept";
  EXPECT_EQ(ranges("SELECT window_start, octets FROM v WHERE window_start >= now() UNION ALL "
                   "SELECT window_start, octets FROM w"),
            "v: 0 s, -; w: -, -");
}

TEST(TimeRange, OnlyColumnsThatAreReadCount) {
  const Query query = bound("SELECT window_start, src_as FROM v");
  EXPECT_EQ(views_read(query).front().used, (std::vector<bool>{true, false, true, false}));
}

TEST(TimeRange, GroupsOfAWholeRange) {
  const std::string where = " WHERE window_start >= now() AND window_end <= now() + interval '1 h'";
  EXPECT_EQ(whole("SELECT src_as, sum(octets) AS octets FROM v" + where + " GROUP BY src_as ORDER BY 2 DESC LIMIT 10"),
            "src_as, octets");
  EXPECT_EQ(whole("SELECT count(*) FROM v" + where), "count");
  EXPECT_EQ(whole("SELECT x.src_as AS a, max(octets) FROM v x" + where + " AND _complete GROUP BY a"), "a, max");
  EXPECT_EQ(whole("SELECT src_as, sum(octets) FROM (SELECT * FROM v" + where + ") x GROUP BY 1"), "src_as, sum");
  EXPECT_EQ(whole("SELECT window_start, count(*) FROM v GROUP BY 1"), "has a window, or no groups");
  EXPECT_EQ(whole("SELECT window_start AS t, count(*) FROM v GROUP BY t"), "has a window, or no groups");
  EXPECT_EQ(whole("SELECT src_as FROM v"), "has a window, or no groups");
  EXPECT_EQ(whole("SELECT count(*) FROM v JOIN w USING (window_start)").substr(0, 10), "windows of") << "two views";
}

}  // namespace
}  // namespace backstream::plan
