// Joins of two streams, from batches in memory to joined rows: rows of both sides a second.
#include <benchmark/benchmark.h>

#include <random>
#include <stdexcept>

#include "exec/engine.h"
#include "plan/bind.h"
#include "sql/parse.h"

namespace {

using namespace backstream;
using base::Micros;

constexpr size_t kRows = 1 << 20;  ///< of each side
constexpr Micros kSpan = 600 * base::kMicrosPerSecond;
constexpr Micros kDelay = 5 * base::kMicrosPerSecond;

class Counter : public exec::ResultSink {
 public:
  void on_result(const exec::ResultBatch& result) override { rows += result.rows.row_count; }
  uint64_t rows = 0;
};

/// Rows (ts, k, n) of one stream, nearly in order of time.
struct Rows {
  Rows(uint64_t seed, uint64_t keys) : times(kRows), key(kRows), n(kRows) {
    std::mt19937_64 random(seed);
    for (size_t i = 0; i < kRows; ++i) {
      times[i] = kSpan / static_cast<Micros>(kRows) * static_cast<Micros>(i) -
                 static_cast<Micros>(random() % static_cast<uint64_t>(kDelay));
      key[i] = static_cast<int64_t>(random() % keys);
      n[i] = static_cast<int64_t>(random() % 1000);
    }
  }
  std::vector<int64_t> times, key, n;
};

std::unique_ptr<plan::Query> bind_query(const std::string& text) {
  plan::Catalog catalog(false);
  for (const char* table : {"l", "r"}) {
    const auto made = sql::parse(std::string("CREATE FOREIGN TABLE ") + table +
                                     " (ts timestamptz, k bigint, n bigint) SERVER test OPTIONS (event_time 'ts')",
                                 "bench");
    catalog.add(*plan::bind_foreign_table((*made)[0]));
  }
  const auto statements = sql::parse(text, "bench");
  auto query = plan::bind((*statements)[0], text, catalog);
  if (!query) throw std::runtime_error(query.error().message);
  return std::make_unique<plan::Query>(std::move(*query));
}

/// Args: different keys.
void run(benchmark::State& state, const std::string& text) {
  const auto keys = static_cast<uint64_t>(state.range(0));
  Rows left(1, keys), right(2, keys);
  uint64_t results = 0;
  for (auto _ : state) {
    exec::EngineOptions options;
    Counter counter;
    exec::Engine engine(options);
    engine.add_query(bind_query(text), &counter);
    for (size_t at = 0; at < kRows; at += options.batch_rows) {
      for (Rows* rows : {&left, &right}) {
        batch::ColumnBatch batch;
        batch.row_count = std::min(options.batch_rows, kRows - at);
        for (auto* values : {&rows->times, &rows->key, &rows->n}) {
          batch::Column column;
          column.type = values == &rows->times ? batch::Type::kTimestamptz : batch::Type::kInt8;
          column.values = values->data() + at;
          batch.columns.push_back(column);
        }
        const char* stream = rows == &left ? "l" : "r";
        engine.process(stream, batch);
        const Micros watermark = kSpan / static_cast<Micros>(kRows) * static_cast<Micros>(at) - kDelay;
        if (watermark >= engine.next_cut(stream)) engine.advance(stream, watermark);
      }
    }
    engine.finish();
    results = counter.rows;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(2 * kRows));
  state.counters["results"] = static_cast<double>(results);
}

void BM_WindowJoin(benchmark::State& state) {
  run(state,
      "SELECT l.n, r.n FROM tumble(l, ts, interval '10 s') l JOIN tumble(r, ts, interval '10 s') r "
      "ON l.window_start = r.window_start AND l.k = r.k");
}
void BM_IntervalJoin(benchmark::State& state) {
  run(state, "SELECT l.n, r.n FROM l JOIN r ON l.k = r.k AND r.ts BETWEEN l.ts AND l.ts + interval '3 s'");
}
void BM_IntervalJoinLeft(benchmark::State& state) {
  run(state, "SELECT l.n, r.n FROM l LEFT JOIN r ON l.k = r.k AND r.ts BETWEEN l.ts AND l.ts + interval '3 s'");
}
void BM_IntervalJoinLongReach(benchmark::State& state) {
  run(state, "SELECT l.n, r.n FROM l JOIN r ON l.k = r.k AND r.ts BETWEEN l.ts AND l.ts + interval '60 s'");
}
void BM_AntiJoin(benchmark::State& state) {
  run(state,
      "SELECT n FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.k = l.k AND r.ts BETWEEN l.ts AND l.ts + interval "
      "'3 s')");
}
BENCHMARK(BM_WindowJoin)->Arg(20'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_IntervalJoin)->Arg(20'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_IntervalJoinLeft)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_IntervalJoinLongReach)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_AntiJoin)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
