// Decoding alone: datagrams in memory to the five columns of the traffic matrix (time, src_as, dst_as, octets_raw and
// the sampling rate), batches thrown away. Each with the plain kernels and with those for AVX2.
#include <benchmark/benchmark.h>

#include "base/cpu.h"
#include "decode/decoder.h"
#include "generate/backbone.h"

namespace {

using namespace backstream;

struct Sink : decode::FlowWriter::Consumer {
  void on_flows(batch::ColumnBatch& rows) override { benchmark::DoNotOptimize(rows.columns.data()); }
};

void decode_all(benchmark::State& state, generate::Protocol protocol) {
  const auto level = static_cast<base::CpuLevel>(state.range(0));
  base::limit_cpu_level(level);
  if (base::cpu_level() != level) return state.SkipWithError("this CPU has no such kernels");
  generate::BackboneOptions options;
  options.protocol = protocol;
  options.records = 60'000;
  options.start = 1'769'860'800 * base::kMicrosPerSecond;
  options.span = 60 * base::kMicrosPerSecond;
  generate::Backbone backbone(options);
  std::vector<generate::GeneratedDatagram> datagrams;
  for (generate::GeneratedDatagram datagram; backbone.next(datagram);) datagrams.push_back(datagram);

  batch::FlowColumnSet wanted;
  for (const auto column : {batch::FlowColumn::kTime, batch::FlowColumn::kSrcAs, batch::FlowColumn::kDstAs,
                            batch::FlowColumn::kOctetsRaw, batch::FlowColumn::kSamplingRate}) {
    wanted.add(column);
  }
  Sink sink;
  decode::FlowWriter writer(wanted, sink);
  decode::Decoder decoder({}, {});
  for (auto _ : state) {
    for (const auto& generated : datagrams) {
      base::Datagram datagram;
      datagram.payload = generated.payload.data();
      datagram.payload_octets = static_cast<uint32_t>(generated.payload.size());
      datagram.source = generated.address;
      datagram.received_at = generated.time;
      benchmark::DoNotOptimize(decoder.decode(datagram, writer));
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(options.records));
}

void BM_DecodeNetflow5(benchmark::State& state) { decode_all(state, generate::Protocol::kNetflow5); }
void BM_DecodeNetflow9(benchmark::State& state) { decode_all(state, generate::Protocol::kNetflow9); }
void BM_DecodeIpfix(benchmark::State& state) { decode_all(state, generate::Protocol::kIpfix); }
void BM_DecodeSflow(benchmark::State& state) { decode_all(state, generate::Protocol::kSflow); }
void levels(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("avx2")
      ->Arg(static_cast<int>(base::CpuLevel::kPlain))
      ->Arg(static_cast<int>(base::CpuLevel::kAvx2));
}
BENCHMARK(BM_DecodeNetflow5)->Apply(levels);
BENCHMARK(BM_DecodeNetflow9)->Apply(levels);
BENCHMARK(BM_DecodeIpfix)->Apply(levels);
BENCHMARK(BM_DecodeSflow)->Apply(levels);

}  // namespace
