// What was saved and taken over by another engine goes on as if nothing had happened: the same rows of the same windows
// and revisions, the same ledgers, wherever the run is cut. And octets that are not what was saved do no harm.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "agg/aggregate.h"
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
constexpr Micros kDelay = 40 * kSecond;

struct Named {
  const char* name;
  const char* text;  ///< what stands after CREATE MATERIALIZED VIEW name
};
const Named kQueries[] = {
    {"matrix",
     "AS SELECT window_start, src_as, dst_as, sum(octets) AS octets FROM tumble(flows, time, interval '300 s') GROUP "
     "BY "
     "window_start, src_as, dst_as"},
    {"matrix_packets",  // Shares its groups with the one above, and one of its aggregates.
     "AS SELECT window_start, src_as, dst_as, count(*) AS n, sum(octets) AS octets, sum(packets) AS packets FROM "
     "tumble(flows, time, interval '300 s') GROUP BY window_start, src_as, dst_as"},
    {"matrix_ports",
     "AS SELECT window_start, src_as, dst_as, count(DISTINCT dst_port) AS ports, entropy(dst_port) AS e FROM "
     "tumble(flows, time, interval '300 s') GROUP BY window_start, src_as, dst_as ORDER BY ports DESC LIMIT 9"},
    {"hops",
     "AS SELECT window_start, protocol, count(*) AS n, sum(octets) AS octets, avg(packets) AS mean, min(dst_port) AS "
     "low, max(src_ip) AS high, bit_and(tcp_flags) AS a, bit_or(tcp_flags) AS o, bit_xor(src_as) AS x FROM hop(flows, "
     "time, interval '30 s', interval '120 s') GROUP BY window_start, protocol"},
    {"hops_late_rows", "AS SELECT * FROM hops_late"},
    {"moments",
     "AS SELECT window_start, protocol_version, stddev(octets) AS a, stddev_pop(packets) AS b, "
     "stddev_samp(octets::double precision) AS c, variance(packets) AS d, var_pop(octets::double precision / 7) AS e, "
     "var_samp(octets) AS f, avg(octets::double precision) AS g, sum(octets / 3.0) AS h, bool_and(packets > 1) AS i, "
     "bool_or(packets > 2) AS j, every(packets < 4) AS k, sum_stderr(packets) AS l, avg(octets / 7.0) AS m FROM "
     "hop(flows, time, interval '60 s', interval '180 s') GROUP BY window_start, protocol_version"},
    {"sketches",
     "AS SELECT window_start, exporter, approx_percentile(octets, 0.95) AS a, percentile_cont(0.9) WITHIN GROUP (ORDER "
     "BY octets) AS b, percentile_disc(0.5) WITHIN GROUP (ORDER BY src_ip DESC) AS c, approx_count_distinct(src_ip) AS "
     "d, approx_count_distinct(dst_port) AS e, entropy(dst_ip) AS f, entropy(site, octets) AS g, first(src_ip, time) "
     "AS "
     "h, last(site, time) AS i, topk(3, dst_as, octets) AS j, count(DISTINCT site) AS k, count(DISTINCT src_ip) AS l, "
     "topk(2, site, packets) AS m, min(site) AS n, max(site) FILTER (WHERE protocol = 6) AS o FROM hop(flows, time, "
     "interval '60 s', interval '180 s') GROUP BY window_start, exporter"},
    {"addresses",
     "AS SELECT window_start, src_ip, site, count(*) AS n FROM tumble(flows, time, interval '60 s') WHERE packets > 1 "
     "GROUP BY window_start, src_ip, site HAVING count(*) > 1"},
    {"lenient",
     "WITH (allowed_lateness = '120 s') AS SELECT window_start, dst_as, sum(octets) AS octets, count(*) AS n FROM "
     "tumble(flows, time, interval '60 s') GROUP BY window_start, dst_as"},
    {"changes",
     "WITH (emit = 'on_change', every = '10 s', allowed_lateness = '60 s') AS SELECT window_start, dst_as, sum(octets) "
     "AS octets FROM hop(flows, time, interval '60 s', interval '120 s') GROUP BY window_start, dst_as"},
    {"top",
     "WITH (rest_row = true) AS SELECT window_start, dst_port, sum(octets) AS octets FROM tumble(flows, time, "
     "interval '60 s') GROUP BY window_start, dst_port ORDER BY octets DESC LIMIT 5"},
    {"busiest",
     "AS SELECT window_start, max(octets) AS most, count(*) AS n FROM tumble(matrix, window_start, interval '10 min') "
     "GROUP BY window_start"},
    {"per_window",
     "AS SELECT window_start, sum(octets) AS octets, count(*) AS groups FROM matrix GROUP BY window_start"},
    {"daily",
     "AS SELECT window_start, window_end, protocol, sum(octets) AS n FROM tumble((SELECT time, protocol, octets * 8 AS "
     "octets FROM flows WHERE dst_port < 1000), time, interval '1 day', timezone => 'Pacific/Honolulu') GROUP BY "
     "window_start, window_end, protocol"},
    {"sessions",
     "AS SELECT window_start, window_end, src_as, dst_port, count(*) AS n, sum(octets) AS octets, min(src_ip) AS least "
     "FROM session(flows, time, interval '20 s', partition_by => (src_as, dst_port)) GROUP BY window_start, "
     "window_end, "
     "src_as, dst_port"},
    {"long_sessions", "AS SELECT window_start, src_as, n FROM sessions WHERE n > 1"},
    {"ranks",
     "AS SELECT window_start, src_as, dst_as, rank() OVER (ORDER BY octets DESC) AS r, sum(octets) OVER () AS total "
     "FROM "
     "matrix"},
    {"steps",  // Partitions that are states of fixed size.
     "AS SELECT window_start, dst_as, count(*) AS n, count(*) - lag(count(*)) OVER w AS change, lag(sum(octets), 3) "
     "OVER "
     "w AS back, ewma(avg(octets)::double precision, interval '90 s') OVER w AS smooth, sum(count(*)) OVER w AS "
     "so_far, "
     "counter_delta(sum(octets), 32) OVER w AS delta FROM tumble(flows, time, interval '30 s') GROUP BY window_start, "
     "dst_as WINDOW w AS (PARTITION BY dst_as ORDER BY window_start)"},
    {"around",  // Partitions that keep rows, of which some wait.
     "AS SELECT window_start, dst_as, lead(count(*), 2) OVER w AS next, first_value(min(site)) OVER w AS first, "
     "avg(sum(octets)) OVER (PARTITION BY dst_as ORDER BY window_start RANGE '90 s' PRECEDING) AS mean FROM "
     "tumble(flows, time, interval '30 s') GROUP BY window_start, dst_as WINDOW w AS (PARTITION BY dst_as ORDER BY "
     "window_start)"},
    {"near",
     "AS SELECT time, src_as, octets - lag(octets) OVER (PARTITION BY src_as ORDER BY time) AS change, sum(packets) "
     "OVER "
     "(ORDER BY time RANGE BETWEEN '2 s' PRECEDING AND '1 s' FOLLOWING) AS near FROM flows WHERE protocol = 17"},
    {"two_kinds",
     "AS SELECT window_start, protocol, sum(octets) AS n FROM tumble(flows, time, interval '60 s') GROUP BY "
     "window_start, protocol UNION ALL SELECT window_start, dst_as, count(*) FROM tumble(flows, time, interval '120 "
     "s') "
     "WHERE protocol = 6 GROUP BY window_start, dst_as ORDER BY n DESC LIMIT 7"},
    {"answers",
     "AS SELECT a.time, a.src_as, b.octets, b.site FROM flows a LEFT JOIN flows b ON a.src_as = b.dst_as AND "
     "a.dst_port = b.dst_port AND b.time BETWEEN a.time - interval '5 s' AND a.time + interval '20 s' WHERE a.protocol "
     "= 17"},
    {"steps_by_minute",
     "AS SELECT window_start, dst_as, count(*) AS n FROM tumble(flows, time, interval '60 s') WHERE packets > 1 GROUP "
     "BY window_start, dst_as"},
    {"shares",
     "AS SELECT a.window_start, a.dst_as, a.octets, b.n FROM lenient a FULL JOIN steps_by_minute b ON a.window_start = "
     "b.window_start AND a.dst_as = b.dst_as"},
    {"spread_out",
     "AS SELECT window_start, dst_as, sum(octets) AS octets, count(*) AS n FROM tumble(spread(flows, flow_start, "
     "flow_end, "
     "interval '20 s'), time, interval '60 s') GROUP BY window_start, dst_as"},
    {"by_arrival",
     "AS SELECT window_start, site, count(*) AS n FROM tumble(flows, received_at, interval '60 s') GROUP BY "
     "window_start, site"},
    {"plain", "AS SELECT time, src_as, octets FROM flows WHERE octets > 95000"},
};

struct Flow {
  Micros time;
  bool time_present, as_present;
  int64_t octets, packets, protocol, dst_port, tcp_flags, src_as, dst_as;
  base::Inet src, dst, exporter;
  std::string_view version, site;
};

std::vector<Flow> make_flows(std::mt19937_64& random, size_t count, Micros disorder) {
  static const char* const kSites[] = {"ams", "fra", "lhr", "a site with a long name that fits in no word"};
  std::vector<Flow> flows;
  for (size_t i = 0; i < count; ++i) {
    Flow f{};
    f.time = kStart + static_cast<Micros>(i) * 1500 * kSecond / static_cast<Micros>(count) -
             static_cast<Micros>(random() % static_cast<uint64_t>(disorder + 1));
    f.time_present = random() % 50 != 0;
    f.as_present = random() % 40 != 0;
    f.octets = static_cast<int64_t>(random() % 100'000);
    f.packets = static_cast<int64_t>(1 + random() % 3);
    f.protocol = random() % 3 == 0 ? 17 : 6;
    f.dst_port = static_cast<int64_t>(random() % 2 ? random() % 2000 : random() % 4);
    f.tcp_flags = static_cast<int64_t>(random() % 64);
    f.src_as = static_cast<int64_t>(random() % 20 ? random() % 30 : 4'200'000'000 + random() % 3);
    f.dst_as = static_cast<int64_t>(random() % 10);
    f.src = random() % 5 ? base::Inet::v4(static_cast<uint32_t>(0x0a000000 + random() % 300))
                         : base::Inet::v6(0x20010db800000000, random() % 50);
    f.dst = base::Inet::v4(static_cast<uint32_t>(0xc0a80000 + random() % 20));
    f.exporter = base::Inet::v4(static_cast<uint32_t>(0x7f000001 + random() % 4));
    f.version = random() % 2 ? "5" : "10";
    f.site = kSites[random() % 4];
    flows.push_back(f);
  }
  return flows;
}

/// All rows that a query gave, of all revisions, with what was said of them.
class Rows : public exec::ResultSink {
 public:
  void on_result(const exec::ResultBatch& result) override {
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      std::string text = fmt::format("{} {} {}{}|", result.window_start, result.window_end, result.revision,
                                     result.final ? "" : " open");
      if (!result.complete) text += "incomplete|";
      for (const auto& column : result.rows.columns)
        text += (column.is_null(row) ? "NULL" : expr::value_text(expr::value_at(column, row), column.type)) + '|';
      rows.push_back(std::move(text));
    }
  }
  std::vector<std::string> rows;
};

std::string text_of(const exec::WindowLedger& l) {
  return fmt::format(
      "assigned {} counted {} filtered {} late {} errored {} shed {} octets {} null {} future {} refused {} closed {} "
      "rows {} late by {} errors {} overflow {} capped {} negative {} unkept {}",
      l.assigned, l.counted, l.filtered, l.late, l.errored, l.shed, l.shed_octets, l.time_null, l.time_future,
      l.refused, l.windows_closed, l.result_rows, l.late_by_max_us, l.value_errors.total(), l.sum_overflow,
      l.capped_groups, l.negative_weights, l.late_unkept);
}
std::string text_of(const std::vector<exec::WindowRecord>& windows) {
  std::string text;
  for (const exec::WindowRecord& w : windows)
    text += fmt::format("{} {} {} {} {} {} {}\n", w.start, w.end, w.revision, w.counts.assigned, w.counts.counted,
                        w.counts.filtered, w.counts.late);
  return text;
}

struct Saved {
  std::vector<uint8_t> streams;
  std::map<std::string, std::vector<uint8_t>> queries;
};

/// An engine with the queries, and what is between the flows and it.
class Running {
 public:
  Running(const exec::EngineOptions& options, const std::vector<Named>& queries, std::map<std::string, Rows>& rows)
      : engine(options), options_(options) {
    for (const Named& query : queries) {
      const std::string text = std::string("CREATE MATERIALIZED VIEW ") + query.name + ' ' + query.text;
      auto statements = sql::parse(text, "");
      if (!statements) throw std::runtime_error(text + ": " + statements.error().message);
      auto bound = plan::bind(statements->front(), text, catalog_);
      if (!bound) throw std::runtime_error(text + ": " + bound.error().message);
      plan::rewrite(*bound);
      catalog_.add_view(*bound);
      numbers[query.name] = engine.add_query(std::make_unique<plan::Query>(std::move(*bound)), &rows[query.name]);
    }
    const std::vector<batch::Type> types = batch::flow_schema().types();
    for (uint32_t e = 0; e < options.edges; ++e) {
      buffers_.emplace_back(types, engine.columns_used("flows", types.size()), options.batch_rows);
      buffers_.back().batch.row_count = 0;
    }
  }
  void take(const Flow& f, uint32_t edge) {
    auto& batch = buffers_[edge].batch;
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
    set(FlowColumn::kSamplingRate, int64_t{100});
    set(FlowColumn::kProtocol, f.protocol);
    set(FlowColumn::kDstPort, f.dst_port);
    set(FlowColumn::kTcpFlags, f.tcp_flags);
    set(FlowColumn::kSrcAs, f.src_as, f.as_present);
    set(FlowColumn::kDstAs, f.dst_as);
    set(FlowColumn::kSrcIp, f.src);
    set(FlowColumn::kDstIp, f.dst);
    set(FlowColumn::kExporter, f.exporter);
    set(FlowColumn::kProtocolVersion, f.version);
    set(FlowColumn::kSite, f.site);
    set(FlowColumn::kReceivedAt, f.time + f.octets);
    set(FlowColumn::kFlowStart, f.time - f.octets * 500);
    set(FlowColumn::kFlowEnd, f.time);
    if (batch.row_count == options_.batch_rows) flush(edge);
    if (f.time_present) high = std::max(high, f.time);
    if (high == base::kMinTime) return;
    // Two clocks, as a live run has them.
    advance(exec::Clock::kEvent, high - kDelay);
    advance(exec::Clock::kArrival, high);
  }
  void flush() {
    for (uint32_t e = 0; e < options_.edges; ++e) flush(e);
  }
  Saved save() {
    flush();
    Saved saved;
    engine.save_streams(saved.streams);
    for (const auto& [name, number] : numbers) engine.save_state(number, saved.queries[name]);
    return saved;
  }
  void restore(const Saved& saved) {
    engine.catch_up();  // Who adds queries calls it, and may ask for cuts; neither decides anything yet.
    (void)engine.next_cut("flows");
    const auto streams = engine.restore_streams(saved.streams);
    EXPECT_TRUE(streams) << streams.error().message;
    for (const auto& [name, octets] : saved.queries) {
      const auto restored = engine.restore_state(numbers[name], octets);
      EXPECT_TRUE(restored) << name << ": " << restored.error().message;
    }
    engine.catch_up();
  }

  exec::Engine engine;
  std::map<std::string, size_t> numbers;
  Micros high = base::kMinTime;

 private:
  void advance(exec::Clock clock, Micros watermark) {
    if (watermark < engine.next_cut("flows", clock)) return;
    flush();
    engine.advance("flows", watermark, clock);
  }
  void flush(uint32_t edge) {
    if (buffers_[edge].batch.row_count > 0) engine.process("flows", buffers_[edge].batch, edge);
    buffers_[edge].batch.row_count = 0;
  }
  const exec::EngineOptions options_;
  plan::Catalog catalog_;
  std::vector<batch::BatchBuffer> buffers_;
};

/// In any order in which each comes after those that it reads.
std::vector<Named> shuffled(std::mt19937_64& random) {
  std::vector<Named> left(std::begin(kQueries), std::end(kQueries)), ordered;
  std::shuffle(left.begin(), left.end(), random);
  while (!left.empty()) {
    for (auto at = left.begin(); at != left.end();) {
      const bool reads = std::any_of(left.begin(), left.end(), [&](const Named& other) {
        const std::string text = std::string(at->text) + ' ';
        const std::string name = other.name;
        for (const std::string& spelled : {" " + name + " ", "(" + name + ",", " " + name + "_late "}) {
          if (&other != &*at && text.find(spelled) != std::string::npos) return true;
        }
        return false;
      });
      if (reads) {
        ++at;
        continue;
      }
      ordered.push_back(*at);
      at = left.erase(at);
    }
  }
  return ordered;
}

struct Outcome {
  std::map<std::string, Rows> rows;
  std::map<std::string, std::string> ledgers, windows;
};

/// @param cut_every  in the mean, so many flows are between two changes of the engine; 0: there is none
void run(const std::vector<Flow>& flows, exec::EngineOptions options, uint64_t seed, size_t cut_every, Outcome& out) {
  std::mt19937_64 random(seed);
  auto running = std::make_unique<Running>(options, shuffled(random), out.rows);
  for (const Flow& flow : flows) {
    running->take(flow, static_cast<uint32_t>(random() % options.edges));
    if (cut_every == 0 || random() % cut_every != 0) continue;
    const Saved saved = running->save();
    const Micros high = running->high;
    running.reset();
    if (options.edges > 1) options.edges = 2 + static_cast<uint32_t>(random() % 3);
    running = std::make_unique<Running>(options, shuffled(random), out.rows);
    running->restore(saved);
    running->high = high;
  }
  running->flush();
  running->engine.finish();
  for (auto& [name, number] : running->numbers) {
    std::sort(out.rows[name].rows.begin(), out.rows[name].rows.end());
    out.ledgers[name] = text_of(running->engine.ledger(number));
    out.windows[name] = text_of(running->engine.recent_windows(number));
  }
}

uint64_t rounds() {
  const char* given = std::getenv("BACKSTREAM_PROPERTY_ROUNDS");
  return given == nullptr ? 8 : std::strtoull(given, nullptr, 10);
}

TEST(Checkpoint, ACutRunGivesWhatAWholeOneDoes) {
  for (uint64_t seed = 1; seed <= rounds(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const auto flows = make_flows(random, 2500, seed % 2 == 0 ? 200 * kSecond : 30 * kSecond);
    exec::EngineOptions options;
    options.edges = seed % 3 == 0 ? 3 : 1;
    options.ship = seed % 6 == 3;
    options.pane_us_max = options.ship ? 60 * kSecond : base::kMaxTime;
    options.share = seed % 4 != 1;
    options.batch_rows = seed % 5 == 0 ? 7 : 2048;
    options.analytic_in_place = seed % 2 == 0;
    Outcome whole, cut;
    run(flows, options, seed, 0, whole);
    run(flows, options, seed + 1000, 100 + 100 * (seed % 7), cut);
    for (const Named& query : kQueries) {
      ASSERT_FALSE(whole.rows[query.name].rows.empty() && seed % 2 == 0) << query.name;
      ASSERT_EQ(cut.rows[query.name].rows, whole.rows[query.name].rows) << query.name;
      EXPECT_EQ(cut.ledgers[query.name], whole.ledgers[query.name]) << query.name;
      EXPECT_EQ(cut.windows[query.name], whole.windows[query.name]) << query.name;
    }
  }
}

TEST(Checkpoint, EveryAggregateIsAmongTheQueries) {
  std::string all;
  for (const Named& query : kQueries) all += query.text;
  for (const std::string_view name : agg::aggregate_names())
    EXPECT_NE(all.find(std::string(name) + '('), std::string::npos) << name;
}

/// The octets name those that a query shares its groups with: nobody, in one octet, or all alike, in several.
TEST(Checkpoint, QueriesShareAgainWithWhomTheySharedBefore) {
  std::mt19937_64 random(2);
  const auto flows = make_flows(random, 500, 30 * kSecond);
  std::map<std::string, Rows> rows;
  Running before({}, shuffled(random), rows), together({}, shuffled(random), rows), alone({}, shuffled(random), rows);
  for (const Flow& flow : flows) before.take(flow, 0);
  Saved saved = before.save();
  together.restore(saved);
  const Saved again = together.save();
  for (const char* sharer : {"matrix", "matrix_packets", "matrix_ports"}) {
    EXPECT_EQ(again.queries.at(sharer).size(), saved.queries.at(sharer).size()) << sharer;
  }
  std::erase_if(saved.queries, [](const auto& query) { return query.first.starts_with("matrix_"); });
  alone.restore(saved);
  const Saved by_itself = alone.save();
  EXPECT_LT(by_itself.queries.at("matrix").size(), saved.queries.at("matrix").size());
  EXPECT_LT(by_itself.queries.at("matrix_ports").size(), again.queries.at("matrix_ports").size()) << "it is empty";
}

/// What came while nobody was there is missing in those windows that it overlaps, and in no others.
TEST(Checkpoint, WindowsThatOverlapAnOutageAreIncomplete) {
  std::mt19937_64 random(5);
  const auto flows = make_flows(random, 3000, 30 * kSecond);
  Outcome whole, cut;
  run(flows, {}, 1, 0, whole);
  Saved saved;
  Micros from = 0;
  {
    Running before({}, shuffled(random), cut.rows);
    for (size_t i = 0; i < 1000; ++i) before.take(flows[i], 0);
    saved = before.save();
    from = before.engine.watermark("flows");
    ASSERT_GT(from, kStart);
  }
  const size_t back = 1600;
  const Micros until = flows[back].time + 60 * kSecond;
  Running after({}, shuffled(random), cut.rows);
  after.restore(saved);
  for (const auto& [name, number] : after.numbers) after.engine.mark_gap(number, from, until);
  // Another stop, before anything has come, loses nothing of what is known of the first one.
  Running once_more({}, shuffled(random), cut.rows);
  once_more.restore(after.save());
  for (size_t i = back; i < flows.size(); ++i) once_more.take(flows[i], 0);
  once_more.flush();
  once_more.engine.finish();
  size_t incomplete = 0, complete = 0;
  for (const char* name : {"matrix", "matrix_packets", "hops", "addresses", "lenient", "steps_by_minute"}) {
    const std::set<std::string> expected(whole.rows[name].rows.begin(), whole.rows[name].rows.end());
    std::set<std::string> seen;
    for (const std::string& row : cut.rows[name].rows) {
      const Micros start = std::stoll(row), end = std::stoll(row.substr(row.find(' ')));
      const bool overlaps = from < end && start < until;
      EXPECT_EQ(row.find("incomplete") != std::string::npos, overlaps) << name << ": " << row;
      EXPECT_TRUE(overlaps || expected.contains(row)) << name << ": " << row;
      ++(overlaps ? incomplete : complete);
      EXPECT_TRUE(seen.insert(row).second) << "twice: " << row;
    }
  }
  EXPECT_GT(incomplete, 100u);
  EXPECT_GT(complete, 100u);
}

/// Octets of one state, changed or cut, are refused or taken, and the query goes on in either case.
TEST(Checkpoint, DamagedOctetsDoNoHarm) {
  std::mt19937_64 random(11);
  const auto flows = make_flows(random, 500, 200 * kSecond);
  std::map<std::string, Rows> rows;
  Running before({}, {std::begin(kQueries), std::end(kQueries)}, rows);
  for (const Flow& flow : flows) before.take(flow, 0);
  const Saved saved = before.save();
  size_t refused = 0;
  const size_t tries = 6 * rounds();
  for (size_t attempt = 0; attempt < tries; ++attempt) {
    Running after({}, shuffled(random), rows), third({}, shuffled(random), rows);
    ASSERT_TRUE(after.engine.restore_streams(saved.streams));
    for (auto [name, octets] : saved.queries) {
      switch (random() % 4) {
        case 0: octets.resize(random() % octets.size()); break;
        case 1: octets[random() % octets.size()] ^= static_cast<uint8_t>(1 << random() % 8); break;
        case 2:
          for (size_t at = 12 + random() % 40; at < octets.size(); at += 1 + random() % 200)
            octets[at] = static_cast<uint8_t>(random());
          break;
        default: octets.insert(octets.begin() + static_cast<long>(random() % octets.size()), 0xff);
      }
      const std::vector<uint8_t> exact(octets.begin(), octets.end());
      const auto restored = after.engine.restore_state(after.numbers[name], exact);
      refused += !restored;
      if (restored) {  // What was taken can be saved, and that can be taken.
        std::vector<uint8_t> again;
        after.engine.save_state(after.numbers[name], again);
        const auto twice = third.engine.restore_state(third.numbers[name], again);
        EXPECT_TRUE(twice) << name << ", attempt " << attempt;
      }
      EXPECT_TRUE(restored || !restored.error().hint.empty());
    }
    after.engine.catch_up();
    for (const Flow& flow : flows) after.take(flow, 0);
    after.flush();
    after.engine.finish();
    std::vector<uint8_t> again;
    for (const auto& [name, number] : after.numbers) after.engine.save_state(number, again);
  }
  EXPECT_GT(refused, tries * 10);
}

TEST(Checkpoint, ARefusedQueryBeginsAnew) {
  std::mt19937_64 random(3);
  const auto flows = make_flows(random, 1500, 30 * kSecond);
  std::map<std::string, Rows> fresh, again, unused;
  const std::vector<Named> queries(std::begin(kQueries), std::end(kQueries));
  Running before({}, queries, unused);
  for (const Flow& flow : flows) before.take(flow, 0);
  Saved saved = before.save();
  Running expected({}, queries, fresh), after({}, queries, again);
  for (auto& [name, octets] : saved.queries) {
    octets.pop_back();
    const auto restored = after.engine.restore_state(after.numbers[name], octets);
    ASSERT_FALSE(restored) << name;
    EXPECT_EQ(restored.error().code, "XX001");
  }
  for (Running* running : {&expected, &after}) {
    for (const Flow& flow : flows) running->take(flow, 0);
    running->flush();
    running->engine.finish();
  }
  for (const auto& [name, number] : after.numbers) {
    std::sort(fresh[name].rows.begin(), fresh[name].rows.end());
    std::sort(again[name].rows.begin(), again[name].rows.end());
    EXPECT_EQ(again[name].rows, fresh[name].rows) << name;
    EXPECT_EQ(text_of(after.engine.ledger(number)), text_of(expected.engine.ledger(number))) << name;
  }
}

TEST(Checkpoint, AnotherPlanOrFormatIsRefused) {
  std::map<std::string, Rows> rows;
  Running running({}, {std::begin(kQueries), std::end(kQueries)}, rows);
  Saved saved = running.save();
  const auto other = running.engine.restore_state(running.numbers["matrix"], saved.queries["hops"]);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, "55000");
  std::vector<uint8_t> newer = saved.queries["matrix"];
  newer[3] = 9;
  const auto refused = running.engine.restore_state(running.numbers["matrix"], newer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "0A000");
  EXPECT_FALSE(running.engine.restore_streams(saved.queries["matrix"]));
}

/// A version of a query that ends at an instant still does so, and so does the one that begins there.
TEST(Checkpoint, ALifeGoesOn) {
  std::mt19937_64 random(6);
  const auto flows = make_flows(random, 2000, 30 * kSecond);
  const Micros boundary = kStart + 600 * kSecond;
  const std::vector<Named> versions = {
      {"old_one",
       "AS SELECT window_start, count(*) AS n FROM tumble(flows, time, interval '60 s') GROUP BY window_start"},
      {"new_one",
       "AS SELECT window_start, sum(octets) AS n FROM tumble(flows, time, interval '60 s') GROUP BY window_start"}};
  std::map<std::string, Rows> rows;
  Running before({}, versions, rows), after({}, versions, rows);
  before.engine.set_life(before.numbers["old_one"], base::kMinTime, boundary);
  before.engine.set_life(before.numbers["new_one"], boundary, base::kMaxTime);
  for (size_t i = 0; i < 500; ++i) before.take(flows[i], 0);
  after.restore(before.save());
  EXPECT_FALSE(after.engine.has_ended(after.numbers["old_one"]));
  for (size_t i = 500; i < flows.size(); ++i) after.take(flows[i], 0);
  EXPECT_TRUE(after.engine.has_ended(after.numbers["old_one"]));
  after.flush();
  after.engine.finish();
  EXPECT_GT(rows["old_one"].rows.size(), 5u);
  EXPECT_GT(rows["new_one"].rows.size(), 5u);
  for (const std::string& row : rows["old_one"].rows) EXPECT_LT(std::stoll(row), boundary) << row;
  for (const std::string& row : rows["new_one"].rows) EXPECT_GE(std::stoll(row), boundary) << row;
}

/// What was late for all is late for a query that was not restored, too.
TEST(Checkpoint, WhoBeginsNowKnowsTheWatermark) {
  std::mt19937_64 random(8);
  const auto flows = make_flows(random, 2000, 30 * kSecond);
  std::map<std::string, Rows> rows;
  Running before({}, shuffled(random), rows), after({}, shuffled(random), rows);
  for (const Flow& flow : flows) before.take(flow, 0);
  Saved saved = before.save();
  const uint64_t counted = before.engine.ledger(before.numbers["lenient"]).late;
  saved.queries.erase("addresses");
  after.restore(saved);
  for (size_t i = 0; i < 100; ++i) after.take(flows[i], 0);
  after.flush();
  EXPECT_GT(after.engine.ledger(after.numbers["addresses"]).late, 0u);
  EXPECT_EQ(after.engine.ledger(after.numbers["addresses"]).counted, 0u);
  EXPECT_GT(after.engine.ledger(after.numbers["lenient"]).late, counted);
}

/// LIMIT of rows without windows is over the whole run.
TEST(Checkpoint, ALimitCountsOn) {
  std::mt19937_64 random(4);
  const auto flows = make_flows(random, 600, 30 * kSecond);
  const Named first{"first_rows", "AS SELECT time, src_as, octets FROM flows WHERE octets > 50000 OFFSET 20 LIMIT 150"};
  std::map<std::string, Rows> whole, cut;
  Running uncut({}, {first}, whole);
  auto running = std::make_unique<Running>(exec::EngineOptions{}, std::vector<Named>{first}, cut);
  for (size_t i = 0; i < flows.size(); ++i) {
    uncut.take(flows[i], 0);
    running->take(flows[i], 0);
    if (i % 37 != 0) continue;
    const Saved saved = running->save();
    const Micros high = running->high;
    running = std::make_unique<Running>(exec::EngineOptions{}, std::vector<Named>{first}, cut);
    running->restore(saved);
    running->high = high;
  }
  for (Running* each : {&uncut, running.get()}) {
    each->flush();
    each->engine.finish();
  }
  EXPECT_EQ(whole["first_rows"].rows.size(), 150u);
  EXPECT_EQ(cut["first_rows"].rows, whole["first_rows"].rows);
}

/// Groups that were shed stay shed, and every row has its place in the ledger.
TEST(Checkpoint, SheddingGoesOn) {
  std::mt19937_64 random(21);
  const auto flows = make_flows(random, 60000, 30 * kSecond);
  const Named shedding{
      "shedding",
      "WITH (state_limit = '1 MB', on_limit = 'shed') AS SELECT window_start, src_ip, dst_port, "
      "count(*) AS n, count(DISTINCT octets) AS sizes FROM hop(flows, time, interval '60 s', interval '180 s') "
      "GROUP BY window_start, src_ip, dst_port"};
  std::map<std::string, Rows> rows;
  auto running = std::make_unique<Running>(exec::EngineOptions{}, std::vector<Named>{shedding}, rows);
  for (size_t i = 0; i < flows.size(); ++i) {
    running->take(flows[i], 0);
    if (i % 5000 != 0) continue;
    const Saved saved = running->save();
    const Micros high = running->high;
    running = std::make_unique<Running>(exec::EngineOptions{}, std::vector<Named>{shedding}, rows);
    running->restore(saved);
    running->high = high;
  }
  running->flush();
  running->engine.finish();
  const exec::WindowLedger ledger = running->engine.ledger(0);
  EXPECT_GT(ledger.shed, 0u);
  EXPECT_GT(ledger.counted, 0u);
  EXPECT_EQ(ledger.assigned, ledger.counted + ledger.filtered + ledger.late + ledger.errored + ledger.shed);
  for (const exec::WindowRecord& window : running->engine.recent_windows(0))
    EXPECT_EQ(window.counts.assigned, window.counts.counted + window.counts.late + window.counts.shed);
}

}  // namespace
}  // namespace backstream
