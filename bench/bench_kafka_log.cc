// What a log in Kafka costs: a pane appended as a whole, records one by one, and reading. Against the brokers of
// BACKSTREAM_KAFKA=HOST:PORT,... (python3 tests/cluster/kafka.py run --brokers 3 -- build-bench/bench_kafka_log);
// nothing without.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "transport/kafka_log.h"

namespace backstream::transport {
namespace {

constexpr uint32_t kPartitions = 32;
constexpr uint64_t kReadOctets = uint64_t{64} << 20;  ///< that a partition to be read holds

/// Null: no brokers are named.
std::unique_ptr<KafkaLog> open_log(benchmark::State& state, const char* name) {
  const char* brokers = std::getenv("BACKSTREAM_KAFKA");
  if (brokers == nullptr) {
    state.SkipWithError("BACKSTREAM_KAFKA names no brokers");
    return nullptr;
  }
  KafkaOptions options;
  options.brokers = {brokers};
  options.read_partitions = kPartitions;
  auto connection = KafkaConnection::open(options);
  if (!connection) throw std::runtime_error(connection.error().render());
  KafkaTopicOptions topic;
  static int made = 0;  // A benchmark is called several times.
  topic.name = fmt::format("bench{}.{}{}", ::getpid(), name, ++made);
  topic.partition_count = kPartitions;
  auto log = KafkaLog::open(std::move(*connection), topic);
  if (!log) throw std::runtime_error(log.error().render());
  return std::move(*log);
}

/// Half of it compresses, as partial aggregates do.
std::vector<uint8_t> record_of(size_t octets) {
  std::mt19937 random(1);
  std::vector<uint8_t> record(octets);
  for (size_t i = 0; i < octets; ++i) record[i] = i % 2 == 0 ? 0 : static_cast<uint8_t>(random());
  return record;
}

void tell(benchmark::State& state, uint64_t records, size_t octets) {
  state.SetItemsProcessed(static_cast<int64_t>(records));
  state.SetBytesProcessed(static_cast<int64_t>(records * octets));
}

/// A pane: range(0) chunks of range(1) octets over all partitions.
void BM_AppendAllKafka(benchmark::State& state) {
  const auto log = open_log(state, "pane");
  if (log == nullptr) return;
  const auto record = record_of(static_cast<size_t>(state.range(1)));
  std::vector<Log::Addition> pane;
  for (int64_t i = 0; i < state.range(0); ++i) pane.push_back({static_cast<uint32_t>(i) % kPartitions, record});
  std::vector<Log::Appended> results;
  for (auto _ : state) {
    if (log->append_all(pane, results) != LogStatus::kOk) state.SkipWithError("not appended");
  }
  tell(state, static_cast<uint64_t>(state.iterations()) * pane.size(), record.size());
}

void BM_AppendKafka(benchmark::State& state) {
  const auto log = open_log(state, "single");
  if (log == nullptr) return;
  const auto record = record_of(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    if (log->append(0, record).status != LogStatus::kOk) state.SkipWithError("not appended");
  }
  tell(state, static_cast<uint64_t>(state.iterations()), record.size());
}

void BM_ReadKafka(benchmark::State& state) {
  const auto log = open_log(state, "read");
  if (log == nullptr) return;
  const auto record = record_of(static_cast<size_t>(state.range(0)));
  std::vector<Log::Appended> results;
  const uint64_t count = kReadOctets / record.size();
  for (uint64_t i = 0; i < count; i += 1'000) {
    if (log->append_all(std::vector<Log::Addition>(1'000, {0, record}), results) != LogStatus::kOk)
      state.SkipWithError("not appended");
  }
  uint64_t read = 0;
  std::vector<LogRecord> records;
  for (auto _ : state) {
    uint64_t next = 0;
    while (true) {
      records.clear();
      if (log->read(0, next, 1 << 20, records) != LogStatus::kOk) {
        state.SkipWithError("not read");
        break;
      }
      if (records.empty()) break;
      read += records.size();
      next = records.back().offset + 1;
    }
  }
  tell(state, read, record.size());
}

BENCHMARK(BM_AppendAllKafka)->Args({32, 20'000})->Args({320, 20'000})->Args({3'200, 2'000})->UseRealTime();
BENCHMARK(BM_AppendKafka)->Arg(1'000)->UseRealTime();
BENCHMARK(BM_ReadKafka)->Arg(1'000)->Arg(20'000)->UseRealTime();

}  // namespace
}  // namespace backstream::transport
