// Each operator and each aggregate of the query language by itself, from batches in memory through SQL, engine and back
// to result batches: rows read a second. Rows are like flows: a million in ten minutes of event time, in no strict
// order, 1,000 ASes, 100,000 hosts. Joins of two streams are in bench_join.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <random>
#include <stdexcept>

#include "exec/engine.h"
#include "plan/bind_table.h"
#include "plan/definitions.h"
#include "sql/parse.h"

namespace {

using namespace backstream;
using base::Micros;
using batch::Type;

constexpr size_t kRows = size_t{1} << 20;
constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kSpan = 600 * kSecond, kDelay = 5 * kSecond, kBegin = 1'000'000 * kSecond;
constexpr const char* kStream =
    "CREATE FOREIGN TABLE f (ts timestamptz, began timestamptz, src inet, dst inet, src_as bigint, dst_as bigint, "
    "port bigint, protocol bigint, octets bigint, packets bigint, octets_raw bigint, packets_raw bigint, sampling_rate "
    "bigint, load double precision, name text) SERVER test OPTIONS (event_time 'ts', watermark '5 s')";
/// Keys 0 to 9,999, and 10,000 networks of 16 addresses.
constexpr size_t kLookupRows = 10'000;

/// The rows of `f`, made once.
class Rows {
 public:
  static const Rows& get() {
    static const Rows rows;
    return rows;
  }
  std::vector<batch::BatchBuffer> batches;

 private:
  Rows() {
    const auto made = sql::parse(kStream, "bench");
    const std::vector<Type> types = plan::bind_foreign_table((*made)[0])->schema.types();
    for (int n = 0; n < 256; ++n) names_.push_back(fmt::format("interface-{}", n));
    std::mt19937_64 random(1);
    for (size_t row = 0; row < kRows; row += batch::kBatchRows) {
      batch::ColumnBatch& rows =
          batches.emplace_back(types, std::vector<bool>(types.size(), true), batch::kBatchRows).batch;
      rows.row_count = batch::kBatchRows;
      for (size_t i = 0; i < batch::kBatchRows; ++i) {
        const auto fill = [&](size_t column, int64_t value) { rows.columns[column].as<int64_t>()[i] = value; };
        const Micros time = kBegin + static_cast<Micros>(row + i) * (kSpan / static_cast<Micros>(kRows)) -
                            static_cast<Micros>(random() % static_cast<uint64_t>(kDelay));
        const int64_t packets = 1 + static_cast<int64_t>(random() % 60);
        fill(0, time);
        fill(1, time - static_cast<Micros>(random() % static_cast<uint64_t>(60 * kSecond)));
        rows.columns[2].as<base::Inet>()[i] = base::Inet::v4(static_cast<uint32_t>(0x0a000000 + random() % 100'000));
        rows.columns[3].as<base::Inet>()[i] = base::Inet::v4(static_cast<uint32_t>(0x0a000000 + random() % 100'000));
        fill(4, static_cast<int64_t>(random() % 1000));
        fill(5, static_cast<int64_t>(random() % 1000));
        fill(6, static_cast<int64_t>(random() % 4 != 0 ? random() % 64 : random() % 65'536));
        fill(7, random() % 4 != 0 ? 6 : 17);
        const int64_t octets = packets * static_cast<int64_t>(40 + random() % 1460);
        fill(8, octets * 1000);
        fill(9, packets * 1000);
        fill(10, octets);
        fill(11, packets);
        fill(12, 1000);
        rows.columns[13].as<double>()[i] = static_cast<double>(random() % 1'000'000) / 7;
        rows.columns[14].as<std::string_view>()[i] = names_[random() % names_.size()];
      }
    }
  }
  std::vector<std::string> names_;
};

class Counter : public exec::ResultSink {
 public:
  void on_result(const exec::ResultBatch& result) override { rows += result.rows.row_count; }
  uint64_t rows = 0;
};

/// What statements make: tables, views, and at last a query.
class Statements {
 public:
  Statements() : definitions_(true) { add(kStream); }
  void add(const std::string& text) {
    auto statements = sql::parse(text, "bench");
    if (!statements) throw std::runtime_error(statements.error().message);
    for (plan::UnboundStatement& statement : *statements) {
      base::Result<void> done;
      if (plan::LookupTables::is_statement(statement.kind)) {
        done = tables_.execute(statement, definitions_.catalog());
      } else if (statement.kind == plan::UnboundStatement::Kind::kCreateForeignTable) {
        definitions_.catalog().add(*plan::bind_foreign_table(statement));
      } else if (auto added = definitions_.add_query(std::move(statement), text, "bench"); !added) {
        done = tl::unexpected(added.error());
      }
      if (!done) throw std::runtime_error(text + ": " + done.error().message);
    }
  }
  void add_lookup_tables() {
    add("CREATE TABLE owners (asn bigint PRIMARY KEY, owner text); CREATE TABLE nets (net cidr, owner text)");
    constexpr size_t kAtOnce = 500;  // A text has at most 64 KiB.
    for (size_t first = 0; first < kLookupRows; first += kAtOnce) {
      std::string owners = "INSERT INTO owners VALUES ", nets = "INSERT INTO nets VALUES ";
      for (size_t n = first; n < first + kAtOnce; ++n) {
        owners += fmt::format("{}({}, 'owner {}')", n == first ? "" : ", ", n, n);
        nets += fmt::format("{}('10.{}.{}.{}/28', 'owner {}')", n == first ? "" : ", ", n >> 12, n >> 4 & 255,
                            (n & 15) << 4, n);
      }
      add(owners);
      add(nets);
    }
  }
  /// Gives the engine all queries; the last one's rows go to `sink`.
  void start(exec::Engine& engine, exec::ResultSink* sink) {
    auto& entries = definitions_.entries();
    engine.set_delay("f", kDelay);
    for (auto& entry : entries) engine.add_query(std::move(entry->query), entry == entries.back() ? sink : nullptr);
  }

 private:
  plan::Definitions definitions_;
  plan::LookupTables tables_;
};

void run(benchmark::State& state, const std::string& text, bool lookups) {
  const Rows& rows = Rows::get();
  uint64_t results = 0;
  for (auto _ : state) {
    state.PauseTiming();
    Statements statements;
    if (lookups) statements.add_lookup_tables();
    statements.add(text);
    Counter counter;
    auto engine = std::make_unique<exec::Engine>(exec::EngineOptions{});
    statements.start(*engine, &counter);
    state.ResumeTiming();
    Micros watermark = base::kMinTime;
    for (size_t b = 0; b < rows.batches.size(); ++b) {
      engine->process("f", rows.batches[b].batch);
      watermark =
          kBegin + static_cast<Micros>((b + 1) * batch::kBatchRows) * (kSpan / static_cast<Micros>(kRows)) - kDelay;
      if (watermark >= engine->next_cut("f")) engine->advance("f", watermark);
    }
    engine->finish();
    results = counter.rows;
    state.PauseTiming();
    engine.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
  state.counters["results"] = static_cast<double>(results);
}

struct Operator {
  std::string name;
  std::string text;
  bool lookups = false;
};
/// Half a million groups, for what stands above them.
const std::string kGroups =
    "CREATE MATERIALIZED VIEW g AS SELECT window_start, src_as, sum(octets) AS octets FROM "
    "tumble(f, ts, interval '1 s') GROUP BY window_start, src_as; ";
const Operator kOperators[] = {
    {"filter", "SELECT ts, src, octets FROM f WHERE port = 22 AND protocol = 6"},
    {"project", "SELECT ts, octets * 8 AS bits, octets / packets AS size, src_as FROM f"},
    {"like", "SELECT ts FROM f WHERE name LIKE '%face-1%'"},
    {"union_all", "SELECT ts, src, octets FROM f WHERE port = 22 UNION ALL SELECT ts, dst, octets FROM f"},
    {"distinct", "SELECT DISTINCT window_start, src, port FROM tumble(f, ts, interval '60 s')"},
    {"tumble", "SELECT window_start, src_as, sum(octets) FROM tumble(f, ts, interval '60 s') GROUP BY 1, 2"},
    {"tumble_pairs_of_hosts",
     "SELECT window_start, src, dst, sum(octets) FROM tumble(f, ts, interval '60 s') GROUP BY 1, 2, 3"},
    {"tumble_text", "SELECT window_start, name, sum(octets) FROM tumble(f, ts, interval '60 s') GROUP BY 1, 2"},
    {"hop", "SELECT window_start, src_as, sum(octets) FROM hop(f, ts, interval '10 s', interval '60 s') GROUP BY 1, 2"},
    {"session",
     "SELECT window_start, src, count(*) FROM session(f, ts, interval '10 s', partition_by => (src)) GROUP BY 1, 2"},
    {"spread",
     "SELECT window_start, src_as, sum(octets) FROM tumble(spread(f, began, ts, interval '60 s'), ts, interval '60 s') "
     "GROUP BY 1, 2"},
    {"having",
     "SELECT window_start, src, sum(octets) FROM tumble(f, ts, interval '60 s') GROUP BY 1, 2 "
     "HAVING sum(octets) > 100000000"},
    {"order_by",
     "SELECT window_start, src, sum(octets) AS octets FROM tumble(f, ts, interval '60 s') GROUP BY 1, 2 "
     "ORDER BY octets DESC"},
    {"top_10_limit",
     "SELECT window_start, src, sum(octets) AS octets FROM tumble(f, ts, interval '60 s') "
     "GROUP BY 1, 2 ORDER BY octets DESC LIMIT 10"},
    {"top_10_limit_rest",
     "CREATE MATERIALIZED VIEW v WITH (rest_row = true) AS SELECT window_start, src, "
     "sum(octets) AS octets FROM tumble(f, ts, interval '60 s') GROUP BY 1, 2 "
     "ORDER BY octets DESC LIMIT 10"},
    {"top_10_row_number",
     "SELECT * FROM (SELECT window_start, src, sum(octets) AS octets, row_number() OVER (PARTITION BY window_start "
     "ORDER BY sum(octets) DESC) AS n FROM tumble(f, ts, interval '60 s') GROUP BY 1, 2) t WHERE n <= 10"},
    {"top_10_row_number_rest",
     "CREATE MATERIALIZED VIEW v WITH (rest_row = true) AS SELECT * FROM (SELECT window_start, src, sum(octets) AS "
     "octets, row_number() OVER (PARTITION BY window_start ORDER BY sum(octets) DESC) AS n FROM tumble(f, ts, interval "
     "'60 s') GROUP BY 1, 2) t WHERE n <= 10"},
    {"view_above",
     kGroups + "SELECT window_start, max(octets) FROM tumble(g, window_start, interval '60 s') GROUP BY 1"},
    {"over_stream_lag", "SELECT ts, lag(octets) OVER (PARTITION BY src_as ORDER BY ts) FROM f"},
    {"over_stream_lag_by_host", "SELECT ts, lag(octets) OVER (PARTITION BY src ORDER BY ts) FROM f"},
    {"over_stream_counter_delta", "SELECT ts, counter_delta(octets, 32) OVER (PARTITION BY src_as ORDER BY ts) FROM f"},
    {"over_stream_counter_delta_by_host",
     "SELECT ts, counter_delta(octets, 32) OVER (PARTITION BY src ORDER BY ts) FROM f"},
    {"over_stream_moving_avg", "SELECT ts, avg(octets) OVER (PARTITION BY src_as ORDER BY ts ROWS 9 PRECEDING) FROM f"},
    {"over_stream_moving_avg_by_host",
     "SELECT ts, avg(octets) OVER (PARTITION BY src ORDER BY ts ROWS 9 PRECEDING) FROM f"},
    {"over_stream_lead_by_host", "SELECT ts, lead(octets) OVER (PARTITION BY src ORDER BY ts) FROM f"},
    {"over_stream_lag_text_by_host", "SELECT ts, lag(name) OVER (PARTITION BY src ORDER BY ts) FROM f"},
    {"over_stream_ewma", "SELECT ts, ewma(octets, interval '10 s') OVER (PARTITION BY src_as ORDER BY ts) FROM f"},
    {"over_stream_running_sum", "SELECT ts, sum(octets) OVER (PARTITION BY src_as ORDER BY ts) FROM f"},
    {"over_windows_lag",
     kGroups + "SELECT window_start, src_as, lag(octets) OVER (PARTITION BY src_as ORDER BY window_start) FROM g"},
    {"over_windows_ewma",
     kGroups + "SELECT window_start, src_as, ewma(octets, interval '10 s') OVER (PARTITION BY src_as ORDER BY "
               "window_start) FROM g"},
    {"over_windows_moving_avg",
     kGroups + "SELECT window_start, src_as, avg(octets) OVER (PARTITION BY src_as ORDER BY window_start ROWS 9 "
               "PRECEDING) FROM g"},
    {"over_windows_range",
     kGroups + "SELECT window_start, src_as, max(octets) OVER (PARTITION BY src_as ORDER BY window_start RANGE BETWEEN "
               "interval '30 s' PRECEDING AND interval '1 s' PRECEDING) FROM g"},
    {"over_rank", kGroups + "SELECT window_start, src_as, rank() OVER (PARTITION BY window_start ORDER BY octets DESC) "
                            "FROM g"},
    {"over_share", kGroups +
                       "SELECT window_start, src_as, 100.0 * octets / sum(octets) OVER (PARTITION BY window_start) "
                       "FROM g"},
    {"lookup_key", "SELECT ts, o.owner, octets FROM f LEFT JOIN owners o ON o.asn = f.src_as", true},
    {"lookup_key_grouped",
     "SELECT window_start, o.owner, sum(octets) FROM tumble(f, ts, interval '60 s') f JOIN owners o ON o.asn = "
     "f.src_as GROUP BY 1, 2",
     true},
    {"lookup_exists", "SELECT ts, octets FROM f WHERE EXISTS (SELECT 1 FROM owners o WHERE o.asn = f.port)", true},
    {"lookup_in", "SELECT ts, octets FROM f WHERE port NOT IN (SELECT asn FROM owners)", true},
    {"lpm", "SELECT ts, n.owner, octets FROM f LEFT JOIN lpm(nets, f.dst) n ON true", true},
    {"lpm_grouped",
     "SELECT window_start, n.owner, sum(octets) FROM tumble(f, ts, interval '60 s') f LEFT JOIN lpm(nets, f.dst) n ON "
     "true GROUP BY 1, 2",
     true},
};

/// Every aggregate, over the groups of a tumbling window: 1,000 ASes a minute.
const Operator kAggregates[] = {
    {"count_star", "count(*)"},
    {"count", "count(src)"},
    {"sum", "sum(octets)"},
    {"sum_filter", "sum(octets) FILTER (WHERE port = 22)"},
    {"sum_double", "sum(load)"},
    {"avg", "avg(octets)"},
    {"avg_double", "avg(load)"},
    {"min", "min(octets)"},
    {"max_double", "max(load)"},
    {"max_text", "max(name)"},
    {"max_inet", "max(src)"},
    {"stddev", "stddev(octets)"},
    {"stddev_pop_double", "stddev_pop(load)"},
    {"variance", "variance(octets)"},
    {"bool_and", "bool_and(protocol = 6)"},
    {"bool_or", "bool_or(protocol = 17)"},
    {"bit_and", "bit_and(port)"},
    {"bit_or", "bit_or(port)"},
    {"bit_xor", "bit_xor(port)"},
    {"count_distinct_port", "count(DISTINCT port)"},
    {"count_distinct_inet", "count(DISTINCT src)"},
    {"count_distinct_text", "count(DISTINCT name)"},
    {"approx_count_distinct_port", "approx_count_distinct(port)"},
    {"approx_count_distinct_inet", "approx_count_distinct(src)"},
    {"percentile_cont", "percentile_cont(0.95) WITHIN GROUP (ORDER BY octets)"},
    {"percentile_disc", "percentile_disc(0.95) WITHIN GROUP (ORDER BY octets)"},
    {"approx_percentile", "approx_percentile(octets, 0.95)"},
    {"topk_port", "topk(10, port, octets)"},
    {"topk_inet", "topk(10, src, octets)"},
    {"entropy", "entropy(port)"},
    {"entropy_weighted", "entropy(port, octets)"},
    {"first", "first(octets, ts)"},
    {"last_inet", "last(src, ts)"},
    {"sum_stderr_packets", "sum_stderr(packets)"},
    {"sum_stderr_octets", "sum_stderr(octets)"},
};

[[maybe_unused]] const bool kRegistered = [] {
  const auto add = [](const std::string& name, const std::string& text, bool lookups) {
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      run(state, text, lookups);
    })->Unit(benchmark::kMillisecond);
  };
  for (const Operator& each : kOperators) add("BM_Operator/" + each.name, each.text, each.lookups);
  for (const Operator& each : kAggregates) {
    add("BM_Aggregate/" + each.name,
        fmt::format("SELECT window_start, src_as, {} FROM tumble(f, ts, interval '60 s') GROUP BY 1, 2", each.text),
        false);
  }
  return true;
}();

}  // namespace
