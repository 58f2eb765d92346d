// What a checkpoint costs: the traffic matrix with so many groups in an open window. Args: groups, queries that share
// them. "save" is the pause of the engine; "write" goes on beside it; "restore" is at the start.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "batch/flow_schema.h"
#include "exec/engine.h"
#include "plan/bind.h"
#include "service/state_file.h"
#include "sql/parse.h"

namespace {

using namespace backstream;
using base::Micros;
using batch::FlowColumn;

const char* const kMatrix[] = {
    "CREATE MATERIALIZED VIEW matrix AS SELECT window_start, src_as, dst_as, sum(octets) AS octets, count(*) AS flows "
    "FROM tumble(flows, time, interval '5 min') GROUP BY window_start, src_as, dst_as",
    "CREATE MATERIALIZED VIEW packets AS SELECT window_start, src_as, dst_as, sum(packets) AS packets FROM "
    "tumble(flows, "
    "time, interval '5 min') GROUP BY window_start, src_as, dst_as",
    "CREATE MATERIALIZED VIEW top AS SELECT window_start, src_as, dst_as, sum(octets) AS octets FROM tumble(flows, "
    "time, "
    "interval '5 min') GROUP BY window_start, src_as, dst_as ORDER BY octets DESC LIMIT 10",
};
const char* const kPairs[] = {
    "CREATE MATERIALIZED VIEW pairs AS SELECT window_start, src_ip, dst_ip, sum(octets) AS octets, count(DISTINCT "
    "dst_port) AS ports FROM tumble(flows, time, interval '5 min') GROUP BY window_start, src_ip, dst_ip",
};

class Running {
 public:
  Running(const char* const* texts, size_t count) {
    for (size_t q = 0; q < count; ++q) {
      const std::string text = texts[q];
      auto query = plan::bind(sql::parse(text, "")->front(), text, catalog_);
      plan::rewrite(*query);
      engine.add_query(std::make_shared<plan::Query>(std::move(*query)), nullptr);
    }
  }
  void fill(int64_t groups) {
    const std::vector<batch::Type> types = batch::flow_schema().types();
    batch::BatchBuffer rows(types, engine.columns_used("flows", types.size()), batch::kBatchRows);
    const auto set = [&](FlowColumn which, size_t row, auto value) {
      auto& column = rows.batch.columns[static_cast<size_t>(which)];
      if (column.values != nullptr) column.as<decltype(value)>()[row] = value;
    };
    for (int64_t made = 0; made < groups;) {
      size_t n = 0;
      for (; n < batch::kBatchRows && made < groups; ++n, ++made) {
        const auto mixed = static_cast<uint64_t>(made) * 2654435761u % 4294967291u;
        set(FlowColumn::kTime, n, Micros{1'769'860'800} * base::kMicrosPerSecond + made);
        set(FlowColumn::kSrcAs, n, static_cast<int64_t>(mixed % 60'000));
        set(FlowColumn::kDstAs, n, made / 8);
        set(FlowColumn::kSrcIp, n, base::Inet::v4(static_cast<uint32_t>(mixed)));
        set(FlowColumn::kDstIp, n, base::Inet::v4(static_cast<uint32_t>(made)));
        set(FlowColumn::kDstPort, n, static_cast<int64_t>(mixed % 50'000));
        set(FlowColumn::kOctets, n, static_cast<int64_t>(mixed % 10'000'000));
        set(FlowColumn::kPackets, n, static_cast<int64_t>(mixed % 1000));
      }
      rows.batch.row_count = n;
      engine.process("flows", rows.batch);
    }
  }
  void save(service::SavedState& state) {
    state.queries.resize(engine.query_count());
    for (size_t q = 0; q < engine.query_count(); ++q) {
      state.queries[q].name = engine.query(q).name;
      state.queries[q].octets.clear();
      engine.save_state(q, state.queries[q].octets);
    }
  }
  exec::Engine engine{exec::EngineOptions{}};

 private:
  plan::Catalog catalog_;
};

uint64_t octets_of(const service::SavedState& state) {
  uint64_t octets = 0;
  for (const auto& query : state.queries) octets += query.octets.size();
  return octets;
}

void BM_Save(benchmark::State& state, const char* const* texts) {
  Running running(texts, static_cast<size_t>(state.range(1)));
  running.fill(state.range(0));
  service::SavedState saved;
  running.save(saved);
  for (auto _ : state) running.save(saved);
  state.counters["octets"] = static_cast<double>(octets_of(saved));
}
/// As the first time: memory for the octets is asked of the system.
void BM_SaveFirst(benchmark::State& state, const char* const* texts) {
  Running running(texts, static_cast<size_t>(state.range(1)));
  running.fill(state.range(0));
  for (auto _ : state) {
    service::SavedState saved;
    running.save(saved);
    benchmark::DoNotOptimize(saved);
  }
}
void BM_Write(benchmark::State& state, const char* const* texts) {
  Running running(texts, static_cast<size_t>(state.range(1)));
  running.fill(state.range(0));
  service::SavedState saved;
  running.save(saved);
  const auto path = std::filesystem::temp_directory_path() / "bench_checkpoint.state";
  const service::StateFile file(path.string());
  for (auto _ : state) {
    if (!file.write(saved)) state.SkipWithError("the file cannot be written");
  }
  std::filesystem::remove(path);
}
void BM_Restore(benchmark::State& state, const char* const* texts) {
  const auto count = static_cast<size_t>(state.range(1));
  Running running(texts, count);
  running.fill(state.range(0));
  service::SavedState saved;
  running.save(saved);
  for (auto _ : state) {
    Running again(texts, count);
    for (size_t q = 0; q < count; ++q) {
      if (!again.engine.restore_state(q, saved.queries[q].octets)) state.SkipWithError("refused");
    }
    benchmark::DoNotOptimize(again.engine.next_cut("flows"));
  }
}
/// Many queries of few groups, that share nothing.
void BM_SaveSmall(benchmark::State& state) {
  std::vector<std::string> texts;
  for (int64_t q = 0; q < state.range(0); ++q) {
    const std::string number = std::to_string(q);
    texts.push_back("CREATE MATERIALIZED VIEW q" + number +
                    " AS SELECT window_start, dst_port, sum(octets) AS octets FROM " +
                    "tumble(flows, time, interval '60 s') WHERE dst_port < " + std::to_string(q + 10) +
                    " GROUP BY window_start, dst_port");
  }
  std::vector<const char*> pointers;
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  Running running(pointers.data(), pointers.size());
  running.fill(10'000);
  service::SavedState saved;
  for (auto _ : state) running.save(saved);
  state.counters["octets"] = static_cast<double>(octets_of(saved));
}
BENCHMARK(BM_SaveSmall)->Arg(1)->Arg(200)->Unit(benchmark::kMillisecond);
#define BACKSTREAM_BENCH(Name)                                                                                     \
  BENCHMARK_CAPTURE(Name, matrix, kMatrix)->Args({450'000, 1})->Args({450'000, 3})->Unit(benchmark::kMillisecond); \
  BENCHMARK_CAPTURE(Name, pairs, kPairs)->Args({450'000, 1})->Unit(benchmark::kMillisecond)
BACKSTREAM_BENCH(BM_Save);
BACKSTREAM_BENCH(BM_SaveFirst);
BACKSTREAM_BENCH(BM_Write);
BACKSTREAM_BENCH(BM_Restore);

}  // namespace
