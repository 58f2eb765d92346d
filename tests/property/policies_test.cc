// What state_limit, and limits of aggregates, do to a query: too much of it for .slt files.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <string>

#include "agg/aggregate.h"
#include "exec/engine.h"
#include "expr/expr.h"
#include "plan/bind.h"
#include "sql/parse.h"

namespace backstream {
namespace {

using base::Micros;

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kStart = 1'769'860'800 * kSecond;  // 2026-01-31 12:00:00 UTC

struct Row {
  Micros time;
  int64_t key, octets;
};

/// Rows by window and key, as text; and what windows said of themselves.
class Collector : public exec::ResultSink {
 public:
  std::map<std::pair<Micros, int64_t>, std::string> rows;
  std::map<Micros, bool> complete;
  void on_result(const exec::ResultBatch& result) override {
    if (!result.final) return;
    complete[result.window_start] = result.complete;
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      std::string text;
      for (size_t c = 1; c < result.rows.columns.size(); ++c)
        text += expr::value_text(expr::value_at(result.rows.columns[c], row), result.rows.columns[c].type) + " ";
      const auto key = std::get<int64_t>(expr::value_at(result.rows.columns[1], row));
      EXPECT_TRUE(rows.emplace(std::pair(result.window_start, key), text).second);
    }
  }
};

struct Outcome {
  Collector collector;
  exec::WindowLedger ledger;
  std::vector<exec::WindowRecord> windows;
  std::string failure;
};

/// Views, each over `f` or those before it; rows of the last one are collected, ledgers are those of the first.
/// `edges` > 1: rows are dealt at random and panes travel as bytes.
void run(const std::string& sql, const std::vector<Row>& rows, uint32_t edges, size_t batch_rows, Outcome& out) {
  plan::Catalog catalog(false);
  plan::Relation stream;
  stream.kind = plan::Relation::Kind::kStream;
  stream.name = "f";
  stream.schema.columns = {
      {"ts", batch::Type::kTimestamptz, 0}, {"k", batch::Type::kInt8, 0}, {"octets", batch::Type::kInt8, 0}};
  stream.time_column = 0;
  catalog.add(stream);
  auto statements = sql::parse(sql, "test");
  ASSERT_TRUE(statements) << statements.error().render();
  exec::EngineOptions options;
  options.edges = edges;
  options.ship = edges > 1;
  options.batch_rows = batch_rows;
  if (options.ship) options.pane_us_max = 60 * kSecond;
  exec::Engine engine(options);
  for (const auto& statement : *statements) {
    auto query = plan::bind(statement, sql, catalog);
    ASSERT_TRUE(query) << query.error().render();
    catalog.add_view(*query);
    exec::ResultSink* sink = &statement == &statements->back() ? &out.collector : nullptr;
    engine.add_query(std::make_unique<plan::Query>(std::move(*query)), sink);
  }

  std::vector<batch::BatchBuffer> buffers;
  for (uint32_t e = 0; e < edges; ++e)
    buffers.emplace_back(std::vector<batch::Type>{batch::Type::kTimestamptz, batch::Type::kInt8, batch::Type::kInt8},
                         std::vector<bool>(3, true), batch_rows);
  const auto flush = [&](uint32_t e) {
    if (buffers[e].batch.row_count > 0) engine.process("f", buffers[e].batch, exec::RowsContext(e));
    buffers[e].batch.row_count = 0;
  };
  std::mt19937_64 random(edges);
  for (const Row& row : rows) {
    const auto e = static_cast<uint32_t>(random() % edges);
    batch::ColumnBatch& batch = buffers[e].batch;
    const size_t at = batch.row_count++;
    batch.columns[0].as<int64_t>()[at] = row.time;
    batch.columns[1].as<int64_t>()[at] = row.key;
    batch.columns[2].as<int64_t>()[at] = row.octets;
    if (batch.row_count == batch_rows) flush(e);
    const Micros watermark = row.time - 2 * kSecond;
    if (watermark < engine.next_cut("f")) continue;
    for (uint32_t each = 0; each < edges; ++each) flush(each);
    engine.advance("f", watermark);
  }
  for (uint32_t e = 0; e < edges; ++e) flush(e);
  engine.finish();
  out.ledger = engine.ledger(0);
  out.windows = engine.recent_windows(0);
  out.failure = engine.failure(0);
}

/// 21 minutes; minutes 3 and 4 have a scan of many keys.
std::vector<Row> scan() {
  std::mt19937_64 random(7);
  std::vector<Row> rows;
  for (int64_t second = 0; second < 1260; ++second) {
    const bool many = second >= 180 && second < 300;
    for (int i = 0; i < (many ? 1500 : 60); ++i) {
      const int64_t key = static_cast<int64_t>(random() % (many ? 200'000 : 300));
      rows.push_back({kStart + second * kSecond + i, key, static_cast<int64_t>(random() % 1000)});
    }
  }
  return rows;
}

class Shedding : public testing::TestWithParam<std::tuple<const char*, uint32_t, size_t>> {};

TEST_P(Shedding, WhatRemainsIsExactAndAllIsCounted) {
  const auto [window, edges, batch_rows] = GetParam();
  const std::string select =
      std::string("AS SELECT window_start, k, sum(octets) AS octets, count(DISTINCT octets) AS sizes FROM ") + window +
      " GROUP BY window_start, k";
  const std::vector<Row> rows = scan();
  Outcome whole, shed;
  run("CREATE MATERIALIZED VIEW v " + select, rows, 1, 2048, whole);
  const std::string limit = edges == 1 ? "6 MB" : "4 MB";  // Each edge is a node, and sees a part of the rows.
  run("CREATE MATERIALIZED VIEW v WITH (state_limit = '" + limit + "', on_limit = 'shed') " + select, rows, edges,
      batch_rows, shed);
  EXPECT_EQ(shed.failure, "");

  // Each row that came is the one of the whole; a window is complete exactly when none is missing.
  std::map<Micros, size_t> missing;
  for (const auto& [key, text] : whole.collector.rows) {
    const auto found = shed.collector.rows.find(key);
    if (found == shed.collector.rows.end()) ++missing[key.first];
    else EXPECT_EQ(found->second, text);
  }
  EXPECT_EQ(
      shed.collector.rows.size() +
          [&] {
            size_t all = 0;
            for (const auto& [start, n] : missing) all += n;
            return all;
          }(),
      whole.collector.rows.size());
  size_t incomplete = 0;
  for (const auto& [start, complete] : shed.collector.complete) {
    EXPECT_EQ(complete, missing.count(start) == 0) << (start - kStart) / kSecond;
    incomplete += !complete;
  }
  EXPECT_GT(incomplete, 0u);
  EXPECT_TRUE(shed.collector.complete.at(kStart));                   // before the scan
  EXPECT_TRUE(shed.collector.complete.at(kStart + 1080 * kSecond));  // It has recovered.
  EXPECT_GT(shed.collector.rows.size(), whole.collector.rows.size() / 20);

  const exec::WindowLedger& ledger = shed.ledger;
  EXPECT_EQ(ledger.assigned, rows.size());
  EXPECT_EQ(ledger.assigned, ledger.counted + ledger.shed);
  EXPECT_GT(ledger.shed, 0u);
  EXPECT_LT(ledger.shed, rows.size());
  uint64_t window_shed = 0, window_octets = 0;
  for (const exec::WindowRecord& record : shed.windows) {
    EXPECT_EQ(record.counts.assigned, record.counts.counted + record.counts.shed);
    window_shed += record.counts.shed;
    window_octets += record.counts.shed_octets;
  }
  if (std::string_view(window).starts_with("tumble")) {
    EXPECT_EQ(window_shed, ledger.shed);
    EXPECT_EQ(window_octets, ledger.shed_octets);
    uint64_t octets = 0, kept = 0;
    for (const Row& row : rows) octets += static_cast<uint64_t>(row.octets);
    for (const auto& [key, text] : shed.collector.rows) kept += std::stoull(text.substr(text.find(' ') + 1));
    EXPECT_EQ(octets, kept + ledger.shed_octets);
  } else {
    EXPECT_GE(window_shed, ledger.shed);
  }
}

INSTANTIATE_TEST_SUITE_P(Windows, Shedding,
                         testing::Combine(testing::Values("tumble(f, ts, interval '1 min')",
                                                          "tumble(f, ts, interval '3 min')",
                                                          "hop(f, ts, interval '1 min', interval '3 min')"),
                                          testing::Values(1u, 3u), testing::Values(size_t{7}, size_t{2048})));

TEST(StateLimit, WindowsOverAViewAreAsCompleteAsThoseBelow) {
  const std::vector<Row> rows = scan();
  for (const char* window :
       {"tumble(v, window_start, interval '2 min')", "hop(v, window_start, interval '1 min', interval '2 min')"}) {
    const std::string sql =
        std::string(
            "CREATE MATERIALIZED VIEW v WITH (state_limit = '6 MB', on_limit = 'shed') AS SELECT window_start, "
            "k, sum(octets) AS octets FROM tumble(f, ts, interval '1 min') GROUP BY 1, 2; "
            "CREATE MATERIALIZED VIEW w AS SELECT window_start, k, sum(octets) FROM ") +
        window + " GROUP BY 1, 2";
    Outcome out;
    run(sql, rows, 1, 2048, out);
    std::map<Micros, bool> below;
    for (const exec::WindowRecord& record : out.windows) below[record.start] = record.counts.shed == 0;
    EXPECT_GT(std::count_if(below.begin(), below.end(), [](const auto& one) { return !one.second; }), 0);
    const Micros minute = 60 * kSecond;
    for (const auto& [start, complete] : out.collector.complete) {
      bool all = true;
      for (const Micros part : {start, start + minute}) all = all && (!below.contains(part) || below[part]);
      EXPECT_EQ(complete, all) << window << ' ' << (start - kStart) / minute;
    }
    EXPECT_GE(out.collector.complete.size(), 10u);
  }
}

TEST(StateLimit, FailTellsHowMuchAndGivesMemoryBack) {
  Outcome out;
  run("CREATE MATERIALIZED VIEW v WITH (state_limit = '3 MB') AS SELECT window_start, k, count(DISTINCT octets) AS n "
      "FROM tumble(f, ts, interval '1 min') GROUP BY window_start, k",
      scan(), 1, 2048, out);
  EXPECT_NE(out.failure.find("53400 its state of "), std::string::npos);
  EXPECT_EQ(out.collector.complete.size(), 3u);  // until the minute of the scan
  EXPECT_EQ(out.ledger.assigned, out.ledger.counted);
}

TEST(StateLimit, AGroupThatIsTooLargeAloneIsDropped) {
  std::vector<Row> rows;
  for (int64_t i = 0; i < 400'000; ++i) rows.push_back({kStart + i * 300, 1, i});
  Outcome out;
  run("CREATE MATERIALIZED VIEW v WITH (state_limit = '1 MB', on_limit = 'shed') AS SELECT window_start, 1 AS one, "
      "count(DISTINCT octets) AS n FROM tumble(f, ts, interval '10 min') GROUP BY window_start",
      rows, 1, 2048, out);
  EXPECT_EQ(out.failure, "");
  EXPECT_EQ(out.ledger.assigned, rows.size());
  EXPECT_EQ(out.ledger.shed, rows.size());
  EXPECT_TRUE(out.collector.rows.empty());
}

TEST(CappedGroups, AreCountedByName) {
  std::vector<Row> rows;
  for (int64_t i = 0; i <= static_cast<int64_t>(agg::kValuesPerGroupMax); ++i) rows.push_back({kStart + i, 1, i});
  rows.push_back({kStart, 2, 5});
  Outcome out;
  run("SELECT window_start, k, percentile_disc(0.5) WITHIN GROUP (ORDER BY octets) AS p, entropy(octets) AS e "
      "FROM tumble(f, ts, interval '1 min') GROUP BY window_start, k",
      rows, 1, 2048, out);
  EXPECT_EQ(out.ledger.capped_groups, 2u);
  EXPECT_EQ(out.ledger.sum_overflow, 0u);
  EXPECT_EQ(out.collector.rows.size(), 2u);
}

}  // namespace
}  // namespace backstream
