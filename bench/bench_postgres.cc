// What a sink in PostgreSQL takes: rows of 5 columns, windows of 1,000 groups. Against the server of
// BACKSTREAM_POSTGRES (python3 tests/oracle/postgres.py run -- build-bench/bench_postgres); nothing without. "CPU" is
// ours, the server's is not in it.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <vector>

#include "sink/postgres_target.h"
#include "sink_windows.h"

namespace backstream::sink {
namespace {

using bench::kGroups;
using bench::window_of;

/// Calls of range(0) windows; revised: of windows that are there, each time the next revision of them.
void deliver(benchmark::State& state, bool revised) {
  const char* const connection = std::getenv("BACKSTREAM_POSTGRES");
  if (connection == nullptr) {
    state.SkipWithError("BACKSTREAM_POSTGRES names no server");
    return;
  }
  PostgresOptions options;
  options.address.connection = connection;
  static int made = 0;  // A benchmark is called several times.
  options.query = fmt::format("bench{}_{}", ::getpid(), ++made);
  options.sink = "bench";
  PostgresTarget target(options);
  const auto form = bench::matrix_form();
  const auto windows = static_cast<uint64_t>(state.range(0));
  uint64_t seq = 0;
  int revision = 0;
  for (auto _ : state) {
    state.PauseTiming();
    ++revision;
    std::vector<std::shared_ptr<const ResultPart>> parts;
    for (uint64_t i = 0; i < windows; ++i) {
      ++seq;
      parts.push_back(window_of(form, seq, revised ? i : seq, revised ? revision : 1, !revised));
    }
    state.ResumeTiming();
    if (auto done = target.deliver(parts); !done) throw std::runtime_error(done.error().render());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0) * static_cast<int64_t>(kGroups));
}
void BM_PostgresNewWindows(benchmark::State& state) { deliver(state, false); }
void BM_PostgresRevisions(benchmark::State& state) { deliver(state, true); }
BENCHMARK(BM_PostgresNewWindows)->ArgName("windows")->Arg(1)->Arg(10)->Arg(100)->UseRealTime();
BENCHMARK(BM_PostgresRevisions)->ArgName("windows")->Arg(1)->Arg(10)->Arg(100)->UseRealTime();

}  // namespace
}  // namespace backstream::sink
