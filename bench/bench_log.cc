// What a log costs: records appended and read, in memory and in files (the page cache; the disk is asked for once a
// second, or after each record where the name says so).
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "transport/file_log.h"
#include "transport/memory_log.h"

namespace backstream::transport {
namespace {

constexpr uint64_t kOctetsMax = uint64_t{1} << 30;
constexpr uint64_t kReadOctets = uint64_t{256} << 20;  ///< that a log to be read holds

/// A file log in a folder of its own, removed afterwards.
class TemporaryLog {
 public:
  explicit TemporaryLog(uint32_t partition_count = 1) {
    std::string pattern = (std::filesystem::temp_directory_path() / "backstream-bench-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    options_.partition_count = partition_count;
    options_.octets_max = kOctetsMax;
    open();
  }
  ~TemporaryLog() {
    log_.reset();
    std::filesystem::remove_all(folder_);
  }
  void open() {
    log_.reset();
    auto opened = FileLog::open(folder_, options_);
    if (!opened) throw std::runtime_error(opened.error().render());
    log_ = std::move(*opened);
  }
  FileLog& log() { return *log_; }

 private:
  std::string folder_;
  FileLogOptions options_;
  std::unique_ptr<FileLog> log_;
};

std::vector<uint8_t> record_of(size_t octets) {
  std::vector<uint8_t> record(octets);
  for (size_t i = 0; i < octets; ++i) record[i] = static_cast<uint8_t>(i * 31);
  return record;
}

void append_one(benchmark::State& state, Log& log, uint32_t partition, const std::vector<uint8_t>& record) {
  const auto appended = log.append(partition, record);
  if (appended.status == LogStatus::kOk) return;
  if (appended.status != LogStatus::kFull) state.SkipWithError("not appended");
  log.trim(partition, log.end_offset(partition));
}

void tell(benchmark::State& state, uint64_t records, size_t octets) {
  state.SetItemsProcessed(static_cast<int64_t>(records));
  state.SetBytesProcessed(static_cast<int64_t>(records * octets));
}

void append_to(benchmark::State& state, Log& log) {
  const auto record = record_of(static_cast<size_t>(state.range(0)));
  for (auto _ : state) append_one(state, log, 0, record);
  tell(state, static_cast<uint64_t>(state.iterations()), record.size());
}
void BM_AppendMemory(benchmark::State& state) {
  MemoryLog log(1, kOctetsMax);
  append_to(state, log);
}
void BM_AppendFile(benchmark::State& state) {
  TemporaryLog log;
  append_to(state, log.log());
}
void BM_AppendFileSyncEach(benchmark::State& state) {
  TemporaryLog log;
  const auto record = record_of(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    append_one(state, log.log(), 0, record);
    if (log.log().sync() != LogStatus::kOk) state.SkipWithError("not synced");
  }
  tell(state, static_cast<uint64_t>(state.iterations()), record.size());
}

void read_from(benchmark::State& state, Log& log) {
  const auto record = record_of(static_cast<size_t>(state.range(0)));
  for (uint64_t octets = 0; octets < kReadOctets; octets += record.size() + MemoryLog::kRecordOverhead) {
    if (log.append(0, record).status != LogStatus::kOk) return state.SkipWithError("not appended");
  }
  std::vector<LogRecord> records;
  uint64_t next = log.begin_offset(0), count = 0;
  for (auto _ : state) {
    records.clear();
    if (log.read(0, next, size_t{1} << 20, records) != LogStatus::kOk) return state.SkipWithError("not read");
    count += records.size();
    next = records.empty() ? log.begin_offset(0) : records.back().offset + 1;
  }
  tell(state, count, record.size());
}
void BM_ReadMemory(benchmark::State& state) {
  MemoryLog log(1, kOctetsMax);
  read_from(state, log);
}
void BM_ReadFile(benchmark::State& state) {
  TemporaryLog log;
  read_from(state, log.log());
}

/// Opening looks through the last segment, here of 64 MiB.
void BM_OpenFile(benchmark::State& state) {
  TemporaryLog log;
  const auto record = record_of(4096);
  while (log.log().octets_held() < (uint64_t{60} << 20)) append_one(state, log.log(), 0, record);
  for (auto _ : state) log.open();
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(log.log().octets_held()));
}

BENCHMARK(BM_AppendMemory)->Arg(100)->Arg(4 << 10)->Arg(64 << 10)->Arg(1 << 20);
BENCHMARK(BM_AppendFile)->Arg(100)->Arg(4 << 10)->Arg(64 << 10)->Arg(1 << 20)->UseRealTime();
BENCHMARK(BM_AppendFileSyncEach)->Arg(4 << 10)->UseRealTime();
BENCHMARK(BM_ReadMemory)->Arg(100)->Arg(4 << 10)->Arg(64 << 10);
BENCHMARK(BM_ReadFile)->Arg(100)->Arg(4 << 10)->Arg(64 << 10)->Arg(1 << 20);
BENCHMARK(BM_OpenFile)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace backstream::transport
