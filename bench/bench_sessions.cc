// Session windows of pairs of hosts: count and sum, gap of two minutes. Args: different pairs a minute of event time,
// which decides how many sessions are open and how many rows one has.
#include <benchmark/benchmark.h>

#include <random>

#include "exec/session_stage.h"

namespace {

using namespace backstream;
using base::Micros;
using batch::Type;

constexpr size_t kRows = size_t{1} << 20;
constexpr Micros kGap = 120 * base::kMicrosPerSecond, kSpan = 900 * base::kMicrosPerSecond;
/// Rows come up to a minute after their event time, as flows do.
constexpr Micros kDelay = 60 * base::kMicrosPerSecond;

plan::AggregateCall call_of(std::string_view name, int column, Type type) {
  plan::AggregateCall call;
  call.function = *agg::resolve(name, column < 0 ? std::vector<Type>{} : std::vector{type}, false, column < 0, {});
  if (column >= 0) call.args.push_back(expr::make_column(column, type));
  return call;
}

plan::Query make_query() {
  plan::Query query;
  query.source.kind = plan::Relation::Kind::kStream;
  plan::Stage& stage = query.stages.emplace_back();
  stage.input.columns = {{"time", Type::kTimestamptz}, {"a", Type::kInet}, {"b", Type::kInet}, {"octets", Type::kInt8}};
  stage.input_used.assign(4, true);
  stage.window.kind = plan::Window::Kind::kSession;
  stage.window.time_column = 0;
  stage.window.size_us = kGap;
  stage.aggregates_rows = true;
  for (const int column : {1, 2}) stage.keys.push_back(expr::make_column(column, Type::kInet));
  stage.aggregates.push_back(call_of("count", -1, Type::kInt8));
  stage.aggregates.push_back(call_of("sum", 3, Type::kInt8));
  stage.aggregates.push_back(call_of("min", 0, Type::kTimestamptz));
  stage.aggregates.push_back(call_of("max", 0, Type::kTimestamptz));
  stage.grouped.columns = {{"window_start", Type::kTimestamptz},
                           {"window_end", Type::kTimestamptz},
                           {"a", Type::kInet},
                           {"b", Type::kInet},
                           {"n", Type::kInt8},
                           {"octets", Type::kInt8},
                           {"first", Type::kTimestamptz},
                           {"last", Type::kTimestamptz}};
  for (int column = 0; column < 6; ++column) {
    const batch::ColumnDef& def = stage.grouped.columns[static_cast<size_t>(column)];
    stage.outputs.push_back(expr::make_column(column, def.type));
    stage.output.columns.push_back(def);
  }
  return query;
}

class Count final : public exec::RowReceiver {
 public:
  void on_rows(const exec::WindowRef&, batch::ColumnBatch& batch, bool) override { rows += batch.row_count; }
  void on_frontier(Micros) override {}
  size_t rows = 0;
};

void BM_Sessions(benchmark::State& state) {
  const auto pairs = static_cast<uint64_t>(state.range(0));
  const plan::Query query = make_query();
  std::vector<batch::BatchBuffer> batches;
  std::mt19937_64 random(1);
  for (size_t row = 0; row < kRows; row += batch::kBatchRows) {
    batch::BatchBuffer& made =
        batches.emplace_back(query.stages[0].input.types(), std::vector<bool>(4, true), batch::kBatchRows);
    made.batch.row_count = batch::kBatchRows;
    for (size_t i = 0; i < batch::kBatchRows; ++i) {
      const Micros now = 1000 * kSpan + static_cast<Micros>(row + i) * (kSpan / static_cast<Micros>(kRows));
      made.batch.columns[0].as<Micros>()[i] = now - static_cast<Micros>(random() % static_cast<uint64_t>(kDelay));
      const uint64_t pair = static_cast<uint64_t>(now / (60 * base::kMicrosPerSecond)) * (pairs / 2) + random() % pairs;
      made.batch.columns[1].as<base::Inet>()[i] = base::Inet::v4(static_cast<uint32_t>(pair * 2654435761));
      made.batch.columns[2].as<base::Inet>()[i] = base::Inet::v4(static_cast<uint32_t>(pair >> 8));
      made.batch.columns[3].as<int64_t>()[i] = static_cast<int64_t>(random() % 100'000);
    }
  }
  size_t sessions = 0;
  for (auto _ : state) {
    Count out;
    const auto stage = exec::make_session_stage(query, query.stages[0], 1, false, true, exec::EngineOptions{}, out);
    Micros cut = base::kMinTime + 1;
    for (const batch::BatchBuffer& rows : batches) {
      stage->process(rows.batch, {});
      const Micros watermark = rows.batch.columns[0].as<Micros>()[0] - kDelay;
      if (watermark < cut) continue;
      stage->advance(watermark);
      cut = stage->next_cut(watermark);
    }
    stage->advance(base::kMaxTime);
    sessions = out.rows;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
  state.counters["sessions"] = static_cast<double>(sessions);
}
BENCHMARK(BM_Sessions)->Arg(1'000)->Arg(30'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
