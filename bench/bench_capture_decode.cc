// From a capture in the page cache to the five columns of the traffic matrix: read(2), frames, datagrams, decoding;
// batches thrown away. Figures are records per CPU second, user and system. Each with the plain kernels and with those
// for AVX2.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/cpu.h"
#include "decode/decoder.h"
#include "generate/backbone.h"
#include "ingest/capture_writer.h"
#include "ingest/source.h"

namespace {

using namespace backstream;

constexpr uint64_t kRecords = 600'000;  ///< 30 to 90 MB: more than the caches hold

/// The captures, one a protocol, each written when it is first asked for; removed at exit.
class Captures {
 public:
  Captures() {
    std::string pattern = (std::filesystem::temp_directory_path() / "backstream-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a folder for captures");
    folder_ = pattern;
  }
  ~Captures() { std::filesystem::remove_all(folder_); }

  const std::string& of(generate::Protocol protocol) {
    std::string& path = paths_[static_cast<size_t>(protocol)];
    if (!path.empty()) return path;
    path = (folder_ / std::to_string(static_cast<int>(protocol))).string();
    generate::BackboneOptions options;
    options.protocol = protocol;
    options.records = kRecords;
    options.exporters = 4;
    options.start = 1'769'860'800 * base::kMicrosPerSecond;
    options.span = 60 * base::kMicrosPerSecond;
    generate::Backbone backbone(options);
    ingest::CaptureWriter writer(path);
    for (generate::GeneratedDatagram datagram; backbone.next(datagram);) {
      writer.write(datagram.time, datagram.address, 50'000, base::Inet::v4(0x7f000001), 2055, datagram.payload);
    }
    writer.close();
    return path;
  }

  static Captures& get() {
    static Captures captures;
    return captures;
  }

 private:
  std::filesystem::path folder_;
  std::array<std::string, 4> paths_;
};

struct Sink : decode::FlowWriter::Consumer {
  void on_flows(batch::ColumnBatch& rows) override { benchmark::DoNotOptimize(rows.columns.data()); }
};

void read_and_decode(benchmark::State& state, generate::Protocol protocol) {
  const auto level = static_cast<base::CpuLevel>(state.range(0));
  base::limit_cpu_level(level);
  if (base::cpu_level() != level) return state.SkipWithError("this CPU has no such kernels");
  batch::FlowColumnSet wanted;
  for (const auto column : {batch::FlowColumn::kTime, batch::FlowColumn::kSrcAs, batch::FlowColumn::kDstAs,
                            batch::FlowColumn::kOctetsRaw, batch::FlowColumn::kSamplingRate}) {
    wanted.add(column);
  }
  const std::string& path = Captures::get().of(protocol);
  for (auto _ : state) {
    Sink sink;
    decode::FlowWriter writer(wanted, sink);
    decode::Decoder decoder({}, {});
    std::vector<std::string> sites;
    auto source = ingest::open_captures({{path, ""}}, {2055}, sites);
    if (!source) return state.SkipWithError(source.error().message.c_str());
    while (!(*source)->at_end()) {
      for (const base::Datagram& datagram : (*source)->next_block()) {
        benchmark::DoNotOptimize(decoder.decode(datagram, writer));
      }
    }
    writer.flush();
    if (decoder.total().flows != kRecords) return state.SkipWithError("records were lost");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRecords));
}

void BM_CaptureNetflow5(benchmark::State& state) { read_and_decode(state, generate::Protocol::kNetflow5); }
void BM_CaptureNetflow9(benchmark::State& state) { read_and_decode(state, generate::Protocol::kNetflow9); }
void BM_CaptureIpfix(benchmark::State& state) { read_and_decode(state, generate::Protocol::kIpfix); }
void BM_CaptureSflow(benchmark::State& state) { read_and_decode(state, generate::Protocol::kSflow); }
void levels(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("avx2")
      ->Arg(static_cast<int>(base::CpuLevel::kPlain))
      ->Arg(static_cast<int>(base::CpuLevel::kAvx2));
  benchmark->Unit(benchmark::kMillisecond);
}
BENCHMARK(BM_CaptureNetflow5)->Apply(levels);
BENCHMARK(BM_CaptureNetflow9)->Apply(levels);
BENCHMARK(BM_CaptureIpfix)->Apply(levels);
BENCHMARK(BM_CaptureSflow)->Apply(levels);

}  // namespace
