// The law of DESIGN rule 4: whole = split. Random flows, dealt in random ways over edges, in batches of any size, give
// the same final rows, byte for byte; and every row is in exactly one place of the ledger.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <random>

#include "exec/engine.h"
#include "plan/bind.h"
#include "random_flows.h"
#include "sql/parse.h"

namespace backstream {
namespace {

struct Outcome {
  std::vector<std::string> rows;
  std::vector<exec::WindowLedger> ledgers;
  std::vector<std::vector<exec::WindowRecord>> windows;
};

/// Every `datagram_rows` flows are one datagram: watermarks move between them only.
Outcome run(const std::vector<Flow>& flows, exec::EngineOptions options, size_t datagram_rows, Micros delay,
            uint32_t deal_seed, bool rewrites) {
  plan::Catalog catalog;
  exec::Engine engine(options);
  Rows sink;
  for (const char* text : kQueries) {
    auto statements = sql::parse(text, "");
    EXPECT_TRUE(statements.has_value()) << statements.error().message;
    auto query = plan::bind(statements->front(), text, catalog);
    EXPECT_TRUE(query.has_value()) << text << ": " << query.error().message;
    if (rewrites) plan::rewrite(*query);
    if (query->is_view) catalog.add_view(*query);
    engine.add_query(std::make_unique<plan::Query>(std::move(*query)), &sink);
  }
  const std::vector<batch::Type> types = batch::flow_schema().types();
  const auto used = engine.columns_used("flows", types.size());
  std::vector<batch::BatchBuffer> buffers;
  for (uint32_t e = 0; e < options.edges; ++e) buffers.emplace_back(types, used, options.batch_rows);
  for (auto& buffer : buffers) buffer.batch.row_count = 0;
  const auto flush = [&](uint32_t edge) {
    engine.process("flows", buffers[edge].batch, edge);
    buffers[edge].batch.row_count = 0;
  };
  const auto add = [&](uint32_t edge, const Flow& f) {
    put(buffers[edge].batch, f);
    if (buffers[edge].batch.row_count == options.batch_rows) flush(edge);
  };
  std::mt19937 deal(deal_seed);
  Micros high = base::kMinTime, cut = engine.next_cut("flows");
  for (size_t at = 0; at < flows.size(); at += datagram_rows) {
    for (size_t i = at; i < std::min(flows.size(), at + datagram_rows); ++i) {
      add(options.edges == 1 ? 0 : deal() % options.edges, flows[i]);
      if (flows[i].time_present) high = std::max(high, flows[i].time);
    }
    if (high == base::kMinTime || high - delay < cut) continue;
    for (uint32_t e = 0; e < options.edges; ++e) flush(e);
    engine.advance("flows", high - delay);
    cut = engine.next_cut("flows");
  }
  for (uint32_t e = 0; e < options.edges; ++e) flush(e);
  engine.finish();
  Outcome result;
  result.rows = sink.sorted();
  for (size_t q = 0; q < engine.query_count(); ++q) {
    result.ledgers.push_back(engine.ledger(q));
    result.windows.push_back(engine.recent_windows(q));
  }
  return result;
}

void expect_same(const Outcome& a, const Outcome& b, uint64_t seed, const char* what) {
  ASSERT_EQ(a.rows, b.rows) << what << ", seed " << seed;
  for (size_t q = 0; q < a.ledgers.size(); ++q) {
    const auto& x = a.ledgers[q];
    const auto& y = b.ledgers[q];
    EXPECT_EQ(x.assigned, x.counted + x.filtered + x.late + x.errored + x.shed) << kQueries[q] << ", seed " << seed;
    EXPECT_EQ(y.assigned, y.counted + y.filtered + y.late + y.errored + y.shed) << what << ", seed " << seed;
    EXPECT_EQ(x.assigned, y.assigned);
    EXPECT_EQ(x.counted, y.counted) << what << ": " << kQueries[q] << ", seed " << seed;
    EXPECT_EQ(x.late, y.late) << what << ": " << kQueries[q] << ", seed " << seed;
    EXPECT_EQ(x.time_null, y.time_null);
    EXPECT_EQ(x.windows_closed, y.windows_closed);
    EXPECT_EQ(x.result_rows, y.result_rows);
    EXPECT_EQ(x.late_unkept, 0u);
    ASSERT_EQ(a.windows[q].size(), b.windows[q].size()) << what << ": " << kQueries[q] << ", seed " << seed;
    window::PaneCounts sum;
    for (size_t w = 0; w < a.windows[q].size(); ++w) {
      EXPECT_EQ(a.windows[q][w].start, b.windows[q][w].start);
      EXPECT_EQ(a.windows[q][w].counts, b.windows[q][w].counts) << what << ": " << kQueries[q] << ", seed " << seed;
      sum += a.windows[q][w].counts;
    }
    const std::string_view text = kQueries[q];
    // A row of a hop is in several windows; the inputs of a UNION have windows of their own.
    if (text.find("tumble(") == std::string_view::npos || text.find("UNION") != std::string_view::npos) continue;
    EXPECT_EQ(sum, (window::PaneCounts{x.assigned, x.counted, x.filtered, x.late, x.errored, x.shed})) << text;
  }
}

/// The late rows of a view, which have their count in the last column, add up to what its ledger says.
void expect_late_rows(const Outcome& outcome, size_t view, size_t late_view, uint64_t seed) {
  uint64_t rows = 0;
  for (const std::string& row : outcome.rows) {
    if (row.starts_with(std::to_string(late_view) + '|')) rows += std::stoull(row.substr(row.rfind('|') + 1));
  }
  EXPECT_EQ(rows, outcome.ledgers[view].late) << "seed " << seed;
}

/// A row is counted in each window of `hops`, four of them, or stands in `hops_late` for it.
void expect_each_window_once(const Outcome& outcome, size_t hops, size_t late_hops, uint64_t seed) {
  const std::string counted = std::to_string(hops) + '|', late = std::to_string(late_hops) + '|';
  uint64_t rows = 0;
  for (const std::string& row : outcome.rows) {
    if (row.starts_with(late)) rows += std::stoull(row.substr(row.rfind('|') + 1));
    if (!row.starts_with(counted)) continue;
    const size_t protocol = row.find('|', counted.size()) + 1;
    rows += std::stoull(row.substr(row.find('|', protocol) + 1));
  }
  EXPECT_EQ(rows, 4 * outcome.ledgers[hops].assigned) << "seed " << seed;
}

/// The rows of a query, without its number.
std::vector<std::string> rows_of(const Outcome& outcome, size_t query) {
  const std::string number = std::to_string(query) + '|';
  std::vector<std::string> rows;
  for (const std::string& row : outcome.rows) {
    if (row.starts_with(number)) rows.push_back(row.substr(number.size()));
  }
  return rows;
}

/// Sites and filters are conditions of the rows that are read, and nothing else.
void expect_sites_are_conditions(const Outcome& outcome, uint64_t seed) {
  for (size_t q = kSitesFirst; q < std::size(kQueries); q += 2) {
    EXPECT_EQ(rows_of(outcome, q), rows_of(outcome, q + 1)) << kQueries[q] << ", seed " << seed;
    EXPECT_EQ(outcome.ledgers[q].filtered, outcome.ledgers[q + 1].filtered) << kQueries[q] << ", seed " << seed;
  }
  EXPECT_FALSE(rows_of(outcome, kSitesFirst).empty());
  EXPECT_GT(outcome.ledgers[kSitesFirst].filtered, 0u);
}

uint64_t rounds() {
  const char* given = std::getenv("BACKSTREAM_PROPERTY_ROUNDS");
  return given == nullptr ? 6 : std::strtoull(given, nullptr, 10);
}

TEST(WholeIsSplit, ForAnyDealBatchSizeAndHash) {
  for (uint64_t seed = 1; seed <= rounds(); ++seed) {
    std::mt19937_64 random(seed);
    const Micros disorder = seed % 3 == 0 ? 200 * kSecond : 30 * kSecond;  // with 200 s many rows are late
    const auto flows = make_flows(random, 1500 + random() % 3000, disorder);
    const size_t datagram_rows = 1 + random() % 30;
    const Micros delay = 40 * kSecond;
    const Outcome whole = run(flows, {}, datagram_rows, delay, 0, true);
    ASSERT_FALSE(whole.rows.empty());
    if (seed % 3 == 0) {
      EXPECT_GT(whole.ledgers[1].late, 0u);
      EXPECT_GT(whole.ledgers[8].counted, 0u) << "late rows of the matrix";
      EXPECT_GT(whole.ledgers[9].counted, 0u);
    }
    expect_late_rows(whole, 0, 8, seed);
    expect_sites_are_conditions(whole, seed);

    exec::EngineOptions small;
    small.batch_rows = 1 + random() % 7;
    expect_same(whole, run(flows, small, datagram_rows, delay, 0, true), seed, "small batches");
    expect_same(whole, run(flows, {}, datagram_rows, delay, 0, false), seed, "no rewrites");
    exec::EngineOptions adopted;
    adopted.edges = 1 + static_cast<uint32_t>(random() % 5);
    expect_same(whole, run(flows, adopted, datagram_rows, delay, static_cast<uint32_t>(seed), true), seed,
                "adopted panes");
    exec::EngineOptions shipped;
    shipped.edges = 1 + static_cast<uint32_t>(random() % 5);
    shipped.ship = true;
    shipped.pane_us_max = 60 * kSecond;
    expect_same(whole, run(flows, shipped, datagram_rows, delay, static_cast<uint32_t>(seed), true), seed,
                "shipped panes");
  }
}

TEST(LateRows, AreMissedByTheWindowsThatDoNotCountThem) {
  for (uint64_t seed = 1; seed <= rounds(); ++seed) {
    std::mt19937_64 random(seed);
    const auto flows = make_flows(random, 300, 200 * kSecond);
    expect_each_window_once(run(flows, {}, 1, 40 * kSecond, 0, true), 2, 9, seed);
  }
}

TEST(WholeIsSplit, WhenEveryKeyCollides) {
  std::mt19937_64 random(99);
  const auto flows = make_flows(random, 600, 30 * kSecond);
  exec::EngineOptions colliding;
  colliding.hash_mask = 0;
  expect_same(run(flows, {}, 10, 40 * kSecond, 0, true), run(flows, colliding, 10, 40 * kSecond, 0, true), 99,
              "constant hash");
}

TEST(WholeIsSplit, AndWholeIsWhatAPlainSumSays) {
  std::mt19937_64 random(7);
  const auto flows = make_flows(random, 4000, 30 * kSecond);
  std::map<std::string, int64_t> expected;
  for (const Flow& f : flows) {
    if (!f.time_present) continue;
    const Micros window = base::floor_to(f.time, 300 * kSecond);
    expected["0|" + base::format_timestamp(window) + '|' + (f.as_present ? std::to_string(f.src_as) : "NULL") + '|' +
             std::to_string(f.dst_as)] += f.octets;
  }
  std::vector<std::string> lines;
  for (const auto& [key, octets] : expected) lines.push_back(key + '|' + std::to_string(octets));
  std::sort(lines.begin(), lines.end());
  const Outcome whole = run(flows, {}, 10, 40 * kSecond, 0, true);
  std::vector<std::string> matrix;
  std::copy_if(whole.rows.begin(), whole.rows.end(), std::back_inserter(matrix),
               [](const std::string& row) { return row.starts_with("0|"); });
  EXPECT_EQ(matrix, lines);
}

}  // namespace
}  // namespace backstream
