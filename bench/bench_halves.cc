// What it costs where the halves of queries are apart: the traffic matrix, 5 min windows, panes of 60 s.
//   flows/whole, flows/edge   one engine that does all, and one that sends partials: flows a second on one core. Args:
//                             distinct pairs; flows of a pane.
//   fold                      a merge half that takes the panes of several edges: partial rows a second on one core,
//                             and octets of memory a group. Args: distinct pairs, edges.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include "batch/flow_schema.h"
#include "exec/engine.h"
#include "plan/bind.h"
#include "sql/parse.h"

namespace {

using namespace backstream;
using base::Micros;
using batch::FlowColumn;

constexpr Micros kSecond = base::kMicrosPerSecond, kPane = 60 * kSecond;
constexpr Micros kStart = Micros{1'769'860'800} * kSecond;
constexpr uint64_t kIncarnation = 7;
const char* const kMatrix =
    "CREATE MATERIALIZED VIEW matrix AS SELECT window_start, src_as, dst_as, sum(octets) AS octets, sum(packets) AS "
    "packets FROM tumble(flows, time, interval '5 min') GROUP BY window_start, src_as, dst_as";

std::shared_ptr<const plan::Query> matrix() {
  plan::Catalog catalog;
  auto query = plan::bind(sql::parse(kMatrix, "")->front(), kMatrix, catalog);
  plan::rewrite(*query);
  return std::make_shared<plan::Query>(std::move(*query));
}

struct Kept : exec::PartialsOut {
  void append(std::vector<uint8_t>&& message) override {
    octets += message.size();
    if (keep) messages.push_back(std::move(message));
  }
  bool keep = false;
  uint64_t octets = 0;
  std::vector<std::vector<uint8_t>> messages;
};

/// Batches of one pane, made beforehand: pairs come by chance, all of them about equally often.
class Flows {
 public:
  Flows(const std::vector<bool>& used, size_t pairs, size_t flows) {
    const std::vector<batch::Type> types = batch::flow_schema().types();
    uint64_t random = 88172645463325252;
    for (size_t made = 0; made < flows;) {
      batch::BatchBuffer& rows = batches_.emplace_back(types, used, batch::kBatchRows);
      const auto set = [&](FlowColumn which, size_t row, auto value) {
        auto& column = rows.batch.columns[static_cast<size_t>(which)];
        if (column.values != nullptr) column.as<decltype(value)>()[row] = value;
      };
      size_t n = 0;
      for (; n < batch::kBatchRows && made < flows; ++n, ++made) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        const uint64_t pair = random % pairs;
        set(FlowColumn::kSrcAs, n, static_cast<int64_t>(pair * 2654435761u % 60'000));
        set(FlowColumn::kDstAs, n, static_cast<int64_t>(pair));
        set(FlowColumn::kOctets, n, static_cast<int64_t>(random >> 40));
        set(FlowColumn::kPackets, n, static_cast<int64_t>(random >> 58));
      }
      rows.batch.row_count = n;
    }
  }
  void process(exec::Engine& engine, Micros pane) {
    const auto time = static_cast<size_t>(FlowColumn::kTime);
    Micros at = pane;
    for (batch::BatchBuffer& rows : batches_) {
      auto* const times = rows.batch.columns[time].as<Micros>();
      for (size_t row = 0; row < rows.batch.row_count; ++row) times[row] = at;
      engine.process("flows", rows.batch);
      at += kPane / static_cast<Micros>(batches_.size() + 1);
    }
    engine.advance("flows", pane + kPane);
  }

 private:
  std::vector<batch::BatchBuffer> batches_;
};

exec::EngineOptions options_of(exec::Half half, Kept* out, uint32_t edge = 1) {
  exec::EngineOptions options;
  options.half = half;
  options.pane_us_max = exec::kShippedPaneMax;
  options.partials_out = out;
  options.edge = edge;
  return options;
}

void flows(benchmark::State& state, exec::Half half) {
  const auto query = matrix();
  Kept out;
  exec::Engine engine(options_of(half, half == exec::Half::kEdge ? &out : nullptr));
  engine.add_query(query, nullptr, exec::Measured::kNot, kIncarnation);
  const auto per_pane = static_cast<size_t>(state.range(1));
  Flows input(engine.columns_used("flows", batch::flow_schema().types().size()), static_cast<size_t>(state.range(0)),
              per_pane);
  Micros pane = kStart;
  for (auto _ : state) {
    input.process(engine, pane);
    pane += kPane;
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * per_pane));
  state.counters["octets_a_pane"] = static_cast<double>(out.octets) / static_cast<double>(state.iterations());
}
BENCHMARK_CAPTURE(flows, whole, exec::Half::kBoth)
    ->Args({100'000, 1'000'000})
    ->Args({100'000, 6'000'000})
    ->Args({1'000, 1'000'000})
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(flows, edge, exec::Half::kEdge)
    ->Args({100'000, 1'000'000})
    ->Args({100'000, 6'000'000})
    ->Args({1'000, 1'000'000})
    ->Unit(benchmark::kMillisecond);

void fold(benchmark::State& state) {
  const auto query = matrix();
  const auto pairs = static_cast<size_t>(state.range(0));
  const auto edges = static_cast<uint32_t>(state.range(1));
  // Fifteen panes, three windows, of each edge; every edge has every pair.
  std::vector<Kept> sent(edges);
  partial::Members members;
  uint64_t rows = 0;
  for (uint32_t e = 0; e < edges; ++e) {
    sent[e].keep = true;
    exec::Engine engine(options_of(exec::Half::kEdge, &sent[e], e));
    engine.add_query(query, nullptr, exec::Measured::kNot, kIncarnation);
    Flows input(engine.columns_used("flows", batch::flow_schema().types().size()), pairs, 3 * pairs);
    for (Micros pane = 0; pane < 15; ++pane) input.process(engine, kStart + pane * kPane);
    members.edges.push_back({e, false});
    for (const auto& bytes : sent[e].messages) {
      partial::Message message;
      partial::PartialFault fault{};
      if (partial::read_message(bytes, message, fault) && message.kind == partial::Message::Kind::kData)
        rows += message.group_count;
    }
  }
  double octets_a_group = 0;
  for (auto _ : state) {
    const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    exec::Engine engine(options_of(exec::Half::kMerge, nullptr));
    engine.add_query(query, nullptr, exec::Measured::kNot, kIncarnation);
    engine.set_members(members);
    // As they come: each edge sends its pane about when the others do.
    std::vector<size_t> next(edges);
    bool first_window = true;
    for (bool any = true; any;) {
      any = false;
      for (uint32_t e = 0; e < edges; ++e) {
        const auto& messages = sent[e].messages;
        for (size_t m = 0; m < 4 && next[e] < messages.size(); ++m, any = true) engine.take(messages[next[e]++]);
      }
      engine.settle();
      if (first_window && next[0] > sent[0].messages.size() / 4) {
        first_window = false;
        octets_a_group =
            static_cast<double>(mallinfo2().uordblks + mallinfo2().hblkhd - before) / static_cast<double>(pairs);
      }
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * rows));
  state.counters["octets_a_group"] = octets_a_group;
}
BENCHMARK(fold)->Args({10'000, 3})->Args({100'000, 3})->Args({100'000, 27})->Unit(benchmark::kMillisecond);

}  // namespace
