// Captures read from the page cache: octets to datagrams, nothing decoded.
#include <benchmark/benchmark.h>
#include <zstd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "ingest/capture_writer.h"
#include "ingest/source.h"

namespace backstream::ingest {
namespace {

constexpr size_t kPayloadOctets = 24 + 30 * 48;  ///< NetFlow v5 with 30 records
constexpr int kRecordsPerDatagram = 30;
constexpr int kDatagrams = 50'000;  ///< 76 MB

/// Written once, removed at exit.
class Files {
 public:
  Files() {
    std::string pattern = (std::filesystem::temp_directory_path() / "backstream-bench-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    for (const char* site : {"a", "b", "c"}) write(path(site));
    std::ifstream in(path("a"), std::ios::binary);
    const std::vector<char> plain{std::istreambuf_iterator<char>(in), {}};
    std::vector<char> packed(::ZSTD_compressBound(plain.size()));
    packed.resize(::ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 3));
    std::ofstream(path("zstd"), std::ios::binary).write(packed.data(), static_cast<std::streamsize>(packed.size()));
  }
  ~Files() { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& file) const { return (folder_ / file).string(); }

  static const Files& get() {
    static const Files files;
    return files;
  }

 private:
  static void write(const std::string& path) {
    CaptureWriter writer(path);
    std::vector<uint8_t> payload(kPayloadOctets);
    uint32_t noise = 1;
    for (int i = 0; i < kDatagrams; ++i) {
      for (size_t at = 0; at < kPayloadOctets; at += 8) {  // half of it compresses, as in flow records
        noise = noise * 1664525 + 1013904223;
        payload[at] = static_cast<uint8_t>(noise >> 24);
        payload[at + 1] = static_cast<uint8_t>(noise >> 16);
      }
      writer.write(base::Micros{i} * 100, base::Inet::v4(0x0a000001), 50'000, base::Inet::v4(0x0a000002), 2055,
                   payload);
    }
    writer.close();
  }
  std::filesystem::path folder_;
};

void walk(benchmark::State& state, const std::vector<CaptureInput>& inputs) {
  int64_t datagrams = 0;
  for (auto _ : state) {
    std::vector<std::string> sites;
    auto source = open_captures(inputs, {2055}, sites);
    if (!source) return state.SkipWithError(source.error().message.c_str());
    while (!(*source)->at_end()) {
      for (const base::Datagram& datagram : (*source)->next_block()) benchmark::DoNotOptimize(datagram.payload);
    }
    datagrams += static_cast<int64_t>((*source)->stats().datagrams);
  }
  state.SetItemsProcessed(datagrams * kRecordsPerDatagram);
  state.SetBytesProcessed(datagrams * static_cast<int64_t>(kPayloadOctets));
}

void BM_CaptureWalk(benchmark::State& state) { walk(state, {{Files::get().path("a"), ""}}); }
void BM_CaptureWalkZstd(benchmark::State& state) { walk(state, {{Files::get().path("zstd"), ""}}); }
void BM_CaptureMergeThreeSites(benchmark::State& state) {
  walk(state, {{Files::get().path("a"), "a"}, {Files::get().path("b"), "b"}, {Files::get().path("c"), "c"}});
}
BENCHMARK(BM_CaptureWalk)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_CaptureWalkZstd)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_CaptureMergeThreeSites)->Unit(benchmark::kMillisecond);

void BM_CaptureWrite(benchmark::State& state) {
  const std::vector<uint8_t> payload(kPayloadOctets, 7);
  CaptureWriter writer("/dev/null");
  base::Micros time = 0;
  for (auto _ : state) {
    writer.write(time++, base::Inet::v4(0x0a000001), 50'000, base::Inet::v4(0x0a000002), 2055, payload);
  }
  state.SetItemsProcessed(state.iterations() * kRecordsPerDatagram);
}
BENCHMARK(BM_CaptureWrite);

}  // namespace
}  // namespace backstream::ingest
