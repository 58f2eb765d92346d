// History: rows a second into the store, as one thread encodes, compresses and commits them; and ranges read back.
// Results of a matrix (window_start, two AS numbers, octets, packets), 1,000 groups a window of five minutes.
//
//   ninja -C build-bench bench_history && build-bench/bench/bench_history
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <random>

#include "history/store.h"

namespace {

using namespace backstream;
using batch::Type;

constexpr base::Micros kStart = 1'769'860'800'000'000, kWindow = 300'000'000;
constexpr size_t kGroups = 1'000;
constexpr size_t kWindows = 288;  // 24 hours.

std::shared_ptr<const receiver::ResultForm> form() {
  auto made = std::make_shared<receiver::ResultForm>();
  made->schema.columns = {{"window_start", Type::kTimestamptz},
                          {"src_as", Type::kInt8, 32},
                          {"dst_as", Type::kInt8, 32},
                          {"octets", Type::kInt8},
                          {"packets", Type::kInt8}};
  made->keys = {0, 1, 2};
  made->window_size_us = kWindow;
  made->window_start_column = 0;
  return made;
}

/// A day of windows, whose traffic is that of the day before times 0.5 to 1.5.
std::vector<std::shared_ptr<receiver::ResultPart>> day() {
  const auto of = form();
  std::mt19937_64 random(1);
  std::vector<std::shared_ptr<receiver::ResultPart>> parts;
  batch::BatchBuffer rows(of->schema.types(), std::vector<bool>(5, true), kGroups);
  rows.batch.row_count = kGroups;
  for (size_t window = 0; window < kWindows; ++window) {
    auto part = std::make_shared<receiver::ResultPart>();
    part->incarnation = 1;
    part->version = 1;
    part->window_start = kStart + static_cast<base::Micros>(window) * kWindow;
    part->window_end = part->window_start + kWindow;
    part->form = of;
    for (size_t row = 0; row < kGroups; ++row) {
      const auto octets = static_cast<int64_t>(10'000'000'000 / (row + 1) * (500 + random() % 1'000) / 1'000);
      rows.batch.columns[0].as<int64_t>()[row] = part->window_start;
      rows.batch.columns[1].as<int64_t>()[row] = static_cast<int64_t>(64'000 + row % 40);
      rows.batch.columns[2].as<int64_t>()[row] = static_cast<int64_t>(64'000 + row / 40);
      rows.batch.columns[3].as<int64_t>()[row] = octets;
      rows.batch.columns[4].as<int64_t>()[row] = octets / static_cast<int64_t>(400 + random() % 800);
    }
    receiver::copy_rows(rows.batch, 0, kGroups, 5, *part);
    part->octets = receiver::copied_octets(part->rows, 0, kGroups);
    parts.push_back(std::move(part));
  }
  return parts;
}

/// A store in a folder that goes with it.
struct Folder {
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bench_historyXXXXXX").string();
    path = ::mkdtemp(pattern.data());
    history::Options options;
    options.folder = path;
    options.keep_us = {base::Micros{7 * 86'400} * base::kMicrosPerSecond, 0, 0, 0};
    options.queue_octets_max = size_t{1} << 30;
    store = std::move(history::Store::open(std::move(options)).value());
  }
  ~Folder() {
    store.reset();
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
  std::unique_ptr<history::Store> store;
};

/// From add() to the disk. What is handed over waits for the writer; its time is what is measured.
void BM_HistoryWrite(benchmark::State& state) {
  Folder folder;
  const auto parts = day();
  uint64_t seq = 0;
  for (auto _ : state) {
    for (const auto& part : parts) {
      part->seq = ++seq;
      part->window_start = kStart + static_cast<base::Micros>(seq) * kWindow;
      part->window_end = part->window_start + kWindow;
      folder.store->add({"matrix", 1}, part);
    }
    if (!folder.store->settle(std::chrono::seconds(60))) state.SkipWithError("the disk does not take it");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kWindows * kGroups));
  const auto status = folder.store->status();
  state.counters["octets/row"] = static_cast<double>(status.totals.octets[0]) / static_cast<double>(status.rows);
}
BENCHMARK(BM_HistoryWrite)->Unit(benchmark::kMillisecond)->UseRealTime();

void BM_HistoryReadDay(benchmark::State& state) {
  Folder folder;
  uint64_t seq = 0;
  for (const auto& part : day()) {
    part->seq = ++seq;
    folder.store->add({"matrix", 1}, part);
  }
  if (!folder.store->settle(std::chrono::seconds(60))) state.SkipWithError("the disk does not take it");
  size_t rows = 0;
  for (auto _ : state) {
    const auto read = folder.store->read({"matrix", 1}, {});
    rows = 0;
    for (const auto& part : read->parts) rows += part->rows.row_count;
    if (rows != kWindows * kGroups) state.SkipWithError("rows are missing");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(rows));
}
BENCHMARK(BM_HistoryReadDay)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
