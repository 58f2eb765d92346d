// What a sink in PostgreSQL takes: rows of 5 columns, windows of 1,000 groups. Against the server of
// BACKSTREAM_POSTGRES (python3 tests/oracle/postgres.py run -- build-bench/bench_postgres); nothing without. "CPU" is
// ours, the server's is not in it.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "sink/postgres_target.h"

namespace backstream::sink {
namespace {

using batch::Type;
constexpr size_t kGroups = 1'000;
constexpr Micros kMinute = 60 * base::kMicrosPerSecond;
constexpr Micros kBegin = 1'769'860'800 * base::kMicrosPerSecond;

/// A traffic matrix: window_start, site, src_as, dst_as, octets.
std::shared_ptr<const ResultForm> matrix() {
  auto form = std::make_shared<ResultForm>();
  form->schema.columns = {{"window_start", Type::kTimestamptz},
                          {"site", Type::kText},
                          {"src_as", Type::kInt8},
                          {"dst_as", Type::kInt8},
                          {"octets", Type::kInt8}};
  form->keys = {0, 1, 2, 3};
  return form;
}

std::shared_ptr<const ResultPart> window_of(const std::shared_ptr<const ResultForm>& form, uint64_t seq,
                                            uint64_t window, int revision, bool final) {
  auto part = std::make_shared<ResultPart>();
  part->seq = seq;
  part->revision = revision;
  part->final = final;
  part->window_start = kBegin + static_cast<Micros>(window) * kMinute;
  part->window_end = part->window_start + kMinute;
  part->form = form;
  const std::vector<Type> types = form->schema.types();
  batch::BatchBuffer buffer(types, std::vector<bool>(types.size(), true), kGroups);
  std::mt19937_64 random(seq);
  constexpr std::string_view kSites[] = {"fra-core", "ams-edge", "lon-edge", "par-core"};
  for (size_t row = 0; row < kGroups; ++row) {
    buffer.batch.columns[0].as<int64_t>()[row] = part->window_start;
    buffer.batch.columns[1].as<std::string_view>()[row] = kSites[row % 4];
    buffer.batch.columns[2].as<int64_t>()[row] = static_cast<int64_t>(64'512 + row / 4);
    buffer.batch.columns[3].as<int64_t>()[row] = static_cast<int64_t>(row * 7'919 % 65'536);
    buffer.batch.columns[4].as<int64_t>()[row] = static_cast<int64_t>(random() % 10'000'000'000);
  }
  buffer.batch.row_count = kGroups;
  receiver::copy_rows(buffer.batch, 0, kGroups, types.size(), *part);
  return part;
}

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
  const auto form = matrix();
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
