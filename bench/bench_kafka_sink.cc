// What a sink in a topic of Kafka takes: rows of 5 columns, windows of 1,000 groups. Against the brokers of
// BACKSTREAM_KAFKA=HOST:PORT (python3 tests/cluster/kafka.py run -- build-bench/bench_kafka_sink); nothing without.
// "CPU" is the caller's, that of librdkafka's threads and the brokers' is not in it.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <vector>

#include "sink/kafka_target.h"
#include "sink_windows.h"

namespace backstream::sink {
namespace {

using bench::kGroups;

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
  const auto form = bench::matrix_form();
  uint64_t seq = 0;
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<std::shared_ptr<const ResultPart>> parts;
    for (int64_t i = 0; i < state.range(0); ++i) {
      ++seq;
      parts.push_back(bench::window_of(form, seq, seq, 1, true));
    }
    state.ResumeTiming();
    if (auto done = target.deliver(parts); !done) throw std::runtime_error(done.error().render());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0) * static_cast<int64_t>(kGroups));
}
BENCHMARK(BM_KafkaSink)->ArgName("windows")->Arg(1)->Arg(10)->Arg(50)->UseRealTime();

}  // namespace
}  // namespace backstream::sink
