// The hash aggregate alone: keys and values are columns in memory, groups are found, one sum is added.
#include <benchmark/benchmark.h>

#include <random>

#include "agg/aggregate.h"
#include "exec/group_table.h"

namespace {

using namespace backstream;

/// Args: groups, rows a batch, rows inline. Keys are uniform: the worst case for the cache.
void BM_GroupSum(benchmark::State& state) {
  const auto groups = static_cast<uint64_t>(state.range(0));
  const auto batch_rows = static_cast<size_t>(state.range(1));
  const auto place = state.range(2) != 0 ? exec::RowPlace::kInline : exec::RowPlace::kApart;
  constexpr size_t kRows = 1 << 21;
  std::mt19937_64 random(1);
  std::vector<uint64_t> keys(kRows);
  std::vector<int64_t> values(kRows);
  for (size_t i = 0; i < kRows; ++i) {
    keys[i] = random() % groups * 0x9e3779b97f4a7c15;
    values[i] = static_cast<int64_t>(random() % 10'000);
  }
  const agg::AggregateFunction* sum = *agg::resolve("sum", {batch::Type::kInt8}, false, false, {});
  exec::BlockPool pool;
  agg::StateContext context;
  std::vector<uint64_t> hashes(batch_rows);
  std::vector<uint8_t*> rows(batch_rows);
  for (auto _ : state) {
    exec::GroupTable table(pool, 1, sum->state_octets, groups, place, ~uint64_t{0});
    for (size_t at = 0; at < kRows; at += batch_rows) {
      const size_t n = std::min(batch_rows, kRows - at);
      exec::hash_keys(keys.data() + at, 1, n, ~uint64_t{0}, hashes.data());
      table.find_or_insert(keys.data() + at, hashes.data(), n, rows.data());
      batch::Column column;
      column.type = batch::Type::kInt8;
      column.values = values.data() + at;
      sum->update(rows.data(), table.states_at(), &column, nullptr, n, context);
    }
    benchmark::DoNotOptimize(table.group_count());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
}
BENCHMARK(BM_GroupSum)->ArgsProduct({{1'000, 100'000, 450'000, 2'000'000}, {2048}, {0, 1}});

}  // namespace
