// The law of DESIGN rule 4: whole = split. Random flows, dealt in random ways over edges, in batches of any size, give
// the same final rows, byte for byte; and every row is in exactly one place of the ledger.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <random>

#include "batch/flow_schema.h"
#include "exec/engine.h"
#include "plan/bind.h"
#include "sql/parse.h"

namespace backstream {
namespace {

using base::Micros;
using batch::FlowColumn;

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kStart = 1'769'860'800 * kSecond;  // 2026-01-31 12:00:00 UTC

const char* const kQueries[] = {
    "CREATE MATERIALIZED VIEW matrix AS "
    "SELECT window_start, src_as, dst_as, sum(octets) AS octets FROM tumble(flows, time, interval '300 s') "
    "GROUP BY window_start, src_as, dst_as",
    "SELECT window_start, src_ip, dst_ip, count(DISTINCT dst_port) AS ports FROM tumble(flows, time, interval '60 s') "
    "WHERE packets_raw = 1 GROUP BY window_start, src_ip, dst_ip HAVING count(DISTINCT dst_port) > 1",
    "CREATE MATERIALIZED VIEW hops AS "
    "SELECT window_start, protocol, count(*), sum(octets), avg(packets), min(dst_port), max(src_ip) "
    "FROM hop(flows, time, interval '30 s', interval '120 s') GROUP BY window_start, protocol",
    "SELECT window_start, exporter, sum(octets) FILTER (WHERE protocol = 6) AS tcp, count(DISTINCT src_ip) AS hosts, "
    "bit_or(tcp_flags) AS flags FROM tumble(flows, time, interval '60 s') GROUP BY window_start, exporter",
    "SELECT window_start, protocol_version, dst_port, count(*) AS n FROM tumble(flows, time, interval '60 s') "
    "GROUP BY window_start, protocol_version, dst_port ORDER BY n DESC LIMIT 3",
    "SELECT window_start, network(set_masklen(src_ip, 24)) AS net, avg(octets::double precision) AS mean, "
    "sum(octets / 3.0) AS third FROM tumble(flows, time, interval '100 s') GROUP BY window_start, net",
    "SELECT window_start, count(*) AS n, sum(packets) AS packets, bool_and(packets_raw > 1) AS big "
    "FROM tumble(flows, time, interval '60 s') GROUP BY window_start",
    "SELECT window_start, CASE WHEN dst_port < 1024 THEN 'low' ELSE host(dst_ip) END AS what, min(octets) AS least "
    "FROM tumble(flows, time, interval '300 s') GROUP BY window_start, what",
    "SELECT * FROM matrix_late",
    "SELECT * FROM hops_late",
    "SELECT window_start, protocol, stddev(octets) AS a, var_pop(octets::double precision / 7) AS b, "
    "approx_count_distinct(src_ip) AS c, approx_count_distinct(dst_port) AS d, entropy(dst_ip) AS e, "
    "entropy(dst_port, octets) AS f FROM hop(flows, time, interval '60 s', interval '180 s') "
    "GROUP BY window_start, protocol",
    "SELECT window_start, exporter, approx_percentile(octets, 0.95) AS a, "
    "percentile_cont(0.9) WITHIN GROUP (ORDER BY octets) AS b, "
    "percentile_disc(0.5) WITHIN GROUP (ORDER BY src_ip DESC) AS c, bit_xor(src_as) AS d "
    "FROM hop(flows, time, interval '60 s', interval '180 s') GROUP BY window_start, exporter",
    "SELECT window_start, dst_as, first(src_ip, time) AS a, last(octets, time) AS b, "
    "last(protocol_version, time) FILTER (WHERE protocol = 6) AS c, sum_stderr(packets) AS d, sum_stderr(octets) AS e, "
    "count(sampling_rate) AS f FROM tumble(flows, time, interval '60 s') GROUP BY window_start, dst_as",
    // Bounded in general, exact while no more than 20 n keys come: 10 n = 30 and dst_as has 10 values.
    "SELECT window_start, topk(3, dst_as, octets) AS top FROM hop(flows, time, interval '60 s', interval '180 s') "
    "GROUP BY window_start",
    "SELECT window_start, window_end, src_as, dst_port, count(*) AS n, sum(octets) AS octets, min(src_ip) AS least "
    "FROM session(flows, time, interval '20 s', partition_by => (src_as, dst_port)) "
    "GROUP BY window_start, window_end, src_as, dst_port",
    "SELECT * FROM (SELECT window_start, src_ip, sum(octets) AS octets, rank() OVER (ORDER BY sum(octets) DESC) AS r "
    "FROM tumble(flows, time, interval '60 s') GROUP BY window_start, src_ip) t WHERE r <= 5",
    "SELECT window_start, dst_as, count(*) AS n, count(*) - lag(count(*)) OVER w AS change, lead(count(*), 2) OVER w "
    "AS "
    "next, avg(sum(octets)) OVER (PARTITION BY dst_as ORDER BY window_start RANGE '90 s' PRECEDING) AS mean "
    "FROM tumble(flows, time, interval '30 s') GROUP BY window_start, dst_as "
    "WINDOW w AS (PARTITION BY dst_as ORDER BY window_start)",
    "SELECT time, src_as, octets - lag(octets) OVER (PARTITION BY src_as ORDER BY time) AS change, "
    "sum(packets) OVER (ORDER BY time RANGE BETWEEN '2 s' PRECEDING AND '1 s' FOLLOWING) AS near "
    "FROM flows WHERE protocol = 17",
    "SELECT window_start, protocol, sum(octets) AS n FROM tumble(flows, time, interval '60 s') GROUP BY window_start, "
    "protocol UNION ALL SELECT window_start, dst_as, count(*) FROM tumble(flows, time, interval '30 s') "
    "WHERE protocol = 6 GROUP BY window_start, dst_as ORDER BY n DESC LIMIT 7",
    "SELECT window_start, max(octets), count(*) FROM tumble((SELECT time, octets FROM flows WHERE dst_port < 100 UNION "
    "ALL SELECT time, packets FROM flows), time, interval '60 s') GROUP BY window_start",
    // Midnight in Honolulu is where the flows begin.
    "SELECT window_start, window_end, protocol, sum(octets) AS n, count(DISTINCT dst_port) AS ports FROM "
    "tumble((SELECT "
    "time, protocol, octets * 8 AS octets, dst_port FROM flows WHERE dst_port < 1000), time, interval '1 day', "
    "timezone => 'Pacific/Honolulu') WHERE octets > 9 GROUP BY window_start, window_end, protocol",
    "SELECT window_start, max(n) AS most, sum(n) AS n FROM tumble((SELECT window_start, dst_as, count(*) AS n FROM "
    "tumble(flows, time, interval '60 s') GROUP BY window_start, dst_as), window_start, interval '1 month', "
    "timezone => 'Pacific/Honolulu') GROUP BY window_start",
    "SELECT DISTINCT window_start, exporter, protocol FROM tumble(flows, time, interval '60 s') WHERE packets > 2",
    // Sites and their filters, each with what they mean (see kSitesFirst).
    "CREATE MATERIALIZED VIEW of_sites WITH (sites = 'fra,ams', \"filter.fra\" = 'packets / (dst_port - 3) >= 0 AND "
    "src_as < 15', placement = 'edge') AS SELECT window_start, site, dst_as, sum(octets) AS octets, count(*) AS n "
    "FROM tumble(flows, time, interval '60 s') WHERE protocol = 6 GROUP BY window_start, site, dst_as",
    "CREATE MATERIALIZED VIEW of_where AS SELECT window_start, site, dst_as, sum(octets) AS octets, count(*) AS n "
    "FROM tumble(flows, time, interval '60 s') WHERE protocol = 6 AND (site = 'ams' OR site = 'fra' AND "
    "packets / (dst_port - 3) >= 0 AND src_as < 15) GROUP BY window_start, site, dst_as",
    "CREATE MATERIALIZED VIEW without_sites WITH (\"filter.rio\" = 'false') AS SELECT window_start, window_end, "
    "src_as, "
    "min(octets) AS least, count(*) AS n FROM session(flows, time, interval '20 s', partition_by => (src_as)) "
    "GROUP BY window_start, window_end, src_as",
    "CREATE MATERIALIZED VIEW without_where AS SELECT window_start, window_end, src_as, min(octets) AS least, count(*) "
    "AS n FROM session(flows, time, interval '20 s', partition_by => (src_as)) WHERE site IS DISTINCT FROM 'rio' "
    "GROUP BY window_start, window_end, src_as",
    "CREATE MATERIALIZED VIEW rows_of_sites WITH (sites = 'rio') AS SELECT time, site, octets FROM flows WHERE packets "
    "= 2",
    "CREATE MATERIALIZED VIEW rows_of_where AS SELECT time, site, octets FROM flows WHERE packets = 2 AND site = 'rio'",
    "SELECT * FROM of_sites_late",
    "SELECT * FROM of_where_late",
};
constexpr size_t kSitesFirst = std::size(kQueries) - 8;  ///< from here on each query has the rows of the one after it

/// One flow of the test's own making, all columns that the queries read.
struct Flow {
  Micros time;
  bool time_present;
  int64_t octets, packets, sampling_rate, protocol, dst_port, tcp_flags, src_as, dst_as;
  bool as_present, rate_present;
  base::Inet src, dst, exporter;
  std::string_view version, site;
};

std::vector<Flow> make_flows(std::mt19937_64& random, size_t count, Micros disorder) {
  std::vector<Flow> flows;
  for (size_t i = 0; i < count; ++i) {
    Flow f{};
    f.time = kStart + static_cast<Micros>(i) * 900 * kSecond / static_cast<Micros>(count) -
             static_cast<Micros>(random() % static_cast<uint64_t>(disorder + 1));
    f.time_present = random() % 50 != 0;
    f.octets = static_cast<int64_t>(random() % 100'000);
    f.packets = static_cast<int64_t>(1 + random() % 3);
    f.protocol = random() % 3 == 0 ? 17 : 6;
    f.dst_port = static_cast<int64_t>(random() % 2 ? random() % 2000 : random() % 4);
    f.tcp_flags = static_cast<int64_t>(random() % 64);
    f.src_as = static_cast<int64_t>(random() % 20 ? random() % 30 : 4'200'000'000 + random() % 3);
    f.dst_as = static_cast<int64_t>(random() % 10);
    f.as_present = random() % 40 != 0;
    f.src = random() % 5 ? base::Inet::v4(static_cast<uint32_t>(0x0a000000 + random() % 600))
                         : base::Inet::v6(0x20010db800000000, random() % 50);
    f.dst = base::Inet::v4(static_cast<uint32_t>(0xc0a80000 + random() % 20));
    f.exporter = base::Inet::v4(static_cast<uint32_t>(0x7f000001 + random() % 4));
    f.version = random() % 2 ? "5" : "10";
    f.site = random() % 2 ? "ams" : "fra";
    if (f.octets % 5 == 0) f.site = "rio";
    if (f.octets % 7 == 0) f.site = "";  // None.
    f.sampling_rate = random() % 3 ? 1000 : static_cast<int64_t>(1 + random() % 100);
    f.rate_present = random() % 200 != 0;
    flows.push_back(f);
  }
  return flows;
}

/// Collects final rows as text, window by window.
class Rows : public exec::ResultSink {
 public:
  void on_result(const exec::ResultBatch& result) override {
    if (!result.final) return;
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      std::string text = std::to_string(result.query_index);
      for (size_t c = 0; c < result.rows.columns.size(); ++c) {
        const auto& column = result.rows.columns[c];
        text += '|';
        text += column.is_null(row) ? "NULL" : expr::value_text(expr::value_at(column, row), column.type);
      }
      rows.push_back(std::move(text));
    }
  }
  std::vector<std::string> sorted() const {
    auto copy = rows;
    std::sort(copy.begin(), copy.end());
    return copy;
  }
  std::vector<std::string> rows;
};

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
  const auto put = [&](uint32_t edge, const Flow& f) {
    auto& batch = buffers[edge].batch;
    const size_t row = batch.row_count++;
    const auto set = [&](FlowColumn which, auto value, bool present = true) {
      auto& column = batch.columns[static_cast<size_t>(which)];
      if (column.values == nullptr) return;
      column.has_nulls = true;
      column.validity[row] = present;
      column.template as<decltype(value)>()[row] = value;
    };
    set(FlowColumn::kTime, f.time, f.time_present);
    set(FlowColumn::kOctets, f.octets);
    set(FlowColumn::kPackets, f.packets);
    set(FlowColumn::kPacketsRaw, f.packets);
    set(FlowColumn::kOctetsRaw, f.octets);
    set(FlowColumn::kSamplingRate, f.sampling_rate, f.rate_present);
    set(FlowColumn::kProtocol, f.protocol);
    set(FlowColumn::kDstPort, f.dst_port);
    set(FlowColumn::kTcpFlags, f.tcp_flags);
    set(FlowColumn::kSrcAs, f.src_as, f.as_present);
    set(FlowColumn::kDstAs, f.dst_as);
    set(FlowColumn::kSrcIp, f.src);
    set(FlowColumn::kDstIp, f.dst);
    set(FlowColumn::kExporter, f.exporter);
    set(FlowColumn::kProtocolVersion, f.version);
    set(FlowColumn::kSite, f.site, !f.site.empty());
    set(FlowColumn::kReceivedAt, f.time + f.octets);
    if (batch.row_count == options.batch_rows) flush(edge);
  };
  std::mt19937 deal(deal_seed);
  Micros high = base::kMinTime, cut = engine.next_cut("flows");
  for (size_t at = 0; at < flows.size(); at += datagram_rows) {
    for (size_t i = at; i < std::min(flows.size(), at + datagram_rows); ++i) {
      put(options.edges == 1 ? 0 : deal() % options.edges, flows[i]);
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
