// Formatting result rows: a traffic matrix window (time, two AS numbers, octets) to a file descriptor that takes all.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <random>

#include "receiver/result_writer.h"

namespace {

using namespace backstream;
using batch::Type;

void BM_WriteMatrix(benchmark::State& state) {
  const auto format = static_cast<receiver::Format>(state.range(0));
  constexpr size_t kRows = 65'536;
  const batch::Schema schema{{{"window_start", Type::kTimestamptz},
                              {"src_as", Type::kInt8, 32},
                              {"dst_as", Type::kInt8, 32},
                              {"octets", Type::kInt8}}};
  batch::BatchBuffer buffer({Type::kTimestamptz, Type::kInt8, Type::kInt8, Type::kInt8}, {true, true, true, true},
                            kRows);
  std::mt19937_64 random(1);
  for (size_t row = 0; row < kRows; ++row) {
    buffer.batch.columns[0].as<int64_t>()[row] = 1'769'860'800'000'000;
    buffer.batch.columns[1].as<int64_t>()[row] = static_cast<int64_t>(random() % 2'000 + 64'000);
    buffer.batch.columns[2].as<int64_t>()[row] = static_cast<int64_t>(random() % 2'000 + 64'000);
    buffer.batch.columns[3].as<int64_t>()[row] = static_cast<int64_t>(random() % 10'000'000'000);
  }
  buffer.batch.row_count = kRows;
  exec::ResultBatch result;
  result.schema = &schema;
  result.window_start = 1'769'860'800'000'000;
  result.window_end = result.window_start + 300'000'000;
  result.rows = buffer.batch;
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  receiver::ResultWriter writer(format, {{0, "", &schema}}, null);
  for (auto _ : state) writer.on_result(result);
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
  ::close(null);
}
BENCHMARK(BM_WriteMatrix)
    ->ArgName("format")
    ->Arg(static_cast<int>(receiver::Format::kCsv))
    ->Arg(static_cast<int>(receiver::Format::kJsonl))
    ->Arg(static_cast<int>(receiver::Format::kTable));

}  // namespace
