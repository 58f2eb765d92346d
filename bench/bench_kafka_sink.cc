// What a sink in a topic of Kafka takes: rows of 5 columns, windows of 1,000 groups. Against the brokers of
// BACKSTREAM_KAFKA=HOST:PORT (python3 tests/cluster/kafka.py run -- build-bench/bench_kafka_sink); nothing without.
// "CPU" is the caller's, that of librdkafka's threads and the brokers' is not in it.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "sink/kafka_target.h"

namespace backstream::sink {
namespace {

using base::Micros;
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
  form->window_start_column = 0;
  return form;
}

std::shared_ptr<const ResultPart> window_of(const std::shared_ptr<const ResultForm>& form, uint64_t seq) {
  auto part = std::make_shared<ResultPart>();
  part->seq = seq;
  part->window_start = kBegin + static_cast<Micros>(seq) * kMinute;
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

/// Calls of range(0) windows, each a transaction.
void BM_KafkaSink(benchmark::State& state) {
  const char* const brokers = std::getenv("BACKSTREAM_KAFKA");
  if (brokers == nullptr) {
    state.SkipWithError("BACKSTREAM_KAFKA names no broker");
    return;
  }
  static int made = 0;  // A benchmark is called several times.
  KafkaTargetOptions options;
  options.client.brokers = {brokers};
  options.topic.name = fmt::format("bench{}_{}", ::getpid(), ++made);
  options.topic.partition_count = 8;
  options.writer = options.topic.name;
  KafkaTarget target(options);
  if (auto opened = target.open(); !opened) throw std::runtime_error(opened.error().render());
  const auto form = matrix();
  uint64_t seq = 0;
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<std::shared_ptr<const ResultPart>> parts;
    for (int64_t i = 0; i < state.range(0); ++i) parts.push_back(window_of(form, ++seq));
    state.ResumeTiming();
    if (auto done = target.deliver(parts); !done) throw std::runtime_error(done.error().render());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0) * static_cast<int64_t>(kGroups));
}
BENCHMARK(BM_KafkaSink)->ArgName("windows")->Arg(1)->Arg(10)->Arg(50)->UseRealTime();

}  // namespace
}  // namespace backstream::sink
