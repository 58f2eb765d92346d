// One aggregate each over groups in memory: rows are dealt to groups at random (the worst case for the cache), states
// lie in the rows of a group table, as in the engine. Args: groups.
#include <benchmark/benchmark.h>

#include <random>

#include "agg/aggregate.h"
#include "exec/group_table.h"

namespace {

using namespace backstream;
using batch::Column;
using batch::Type;

constexpr size_t kBatch = batch::kBatchRows;
constexpr size_t kRows = size_t{1} << 20;

/// The arguments that the aggregates read, and the group of each row.
struct Rows {
  std::vector<uint64_t> keys;
  std::vector<int64_t> octets, packets, rates, ports, times, top_n;
  std::vector<double> octets_double, fractions;
  std::vector<base::Inet> addresses;

  explicit Rows(uint64_t groups) {
    std::mt19937_64 random(1);
    for (size_t i = 0; i < kRows; ++i) {
      keys.push_back(random() % groups * 0x9e3779b97f4a7c15);
      octets.push_back(static_cast<int64_t>(random() % 100'000));
      octets_double.push_back(static_cast<double>(octets.back()) / 7);
      packets.push_back(static_cast<int64_t>(1 + random() % 60));
      rates.push_back(1000);
      ports.push_back(static_cast<int64_t>(random() % 4 ? random() % 64 : random() % 65'536));
      times.push_back(static_cast<int64_t>(i * 10 + random() % 1000));
      top_n.push_back(10);
      fractions.push_back(0.95);
      addresses.push_back(base::Inet::v4(static_cast<uint32_t>(random() % 100'000)));
    }
  }
};

/// Names an aggregate and says which columns are its arguments.
struct Case {
  const char* label;
  const char* name;
  std::vector<Type> types;
  std::vector<const void* (*)(const Rows&, size_t)> args;
  bool distinct = false;
  agg::CallForm form = agg::CallForm::kPlain;
};
template <auto member>
const void* at(const Rows& rows, size_t row) {
  return (rows.*member).data() + row;
}
const auto kOctets = at<&Rows::octets>;
const auto kDoubles = at<&Rows::octets_double>;
const auto kPackets = at<&Rows::packets>;
const auto kRates = at<&Rows::rates>;
const auto kPorts = at<&Rows::ports>;
const auto kTimes = at<&Rows::times>;
const auto kTopN = at<&Rows::top_n>;
const auto kFractions = at<&Rows::fractions>;
const auto kAddresses = at<&Rows::addresses>;
constexpr agg::CallForm kSorted = agg::CallForm::kWithinGroup;

const Case kCases[] = {
    {"none", "", {}, {}},
    {"count", "count", {Type::kInt8}, {kOctets}},
    {"sum_bigint", "sum", {Type::kInt8}, {kOctets}},
    {"sum_double", "sum", {Type::kFloat8}, {kDoubles}},
    {"avg_bigint", "avg", {Type::kInt8}, {kOctets}},
    {"max_bigint", "max", {Type::kInt8}, {kOctets}},
    {"bit_or", "bit_or", {Type::kInt8}, {kOctets}},
    {"stddev_bigint", "stddev", {Type::kInt8}, {kOctets}},
    {"stddev_double", "stddev", {Type::kFloat8}, {kDoubles}},
    {"count_distinct_port", "count", {Type::kInt8}, {kPorts}, true},
    {"approx_count_distinct_port", "approx_count_distinct", {Type::kInt8}, {kPorts}},
    {"count_distinct_inet", "count", {Type::kInet}, {kAddresses}, true},
    {"approx_count_distinct_inet", "approx_count_distinct", {Type::kInet}, {kAddresses}},
    {"approx_percentile", "approx_percentile", {Type::kFloat8, Type::kFloat8}, {kDoubles, kFractions}},
    {"percentile_cont", "percentile_cont", {Type::kFloat8, Type::kFloat8}, {kFractions, kDoubles}, false, kSorted},
    {"topk_port", "topk", {Type::kInt8, Type::kInt8, Type::kInt8}, {kTopN, kPorts, kOctets}},
    {"topk_inet", "topk", {Type::kInt8, Type::kInet, Type::kInt8}, {kTopN, kAddresses, kOctets}},
    {"entropy_port", "entropy", {Type::kInt8}, {kPorts}},
    {"last", "last", {Type::kInt8, Type::kTimestamptz}, {kOctets, kTimes}},
    {"sum_stderr_packets", "sum_stderr", {Type::kInt8, Type::kInt8}, {kRates, kPackets}},
    {"sum_stderr_octets", "sum_stderr", {Type::kInt8, Type::kInt8, Type::kInt8}, {kRates, kPackets, kOctets}},
};
const Case& kSum = kCases[2];

/// Adds all rows to a new table of groups with `repeat` states of the aggregate; then finishes every group when asked.
void run(benchmark::State& state, const Case& which, size_t repeat, bool finish) {
  const auto groups = static_cast<uint64_t>(state.range(0));
  const Rows rows(groups);
  const agg::AggregateFunction* function =
      *which.name == '\0' ? nullptr : *agg::resolve(which.name, which.types, which.distinct, false, {}, which.form);
  const auto octets = function == nullptr ? 0 : function->state_octets;
  exec::BlockPool pool;
  std::vector<uint64_t> hashes(kBatch);
  std::vector<uint8_t*> found(kBatch);
  std::vector<Column> args(which.args.size());
  batch::BatchBuffer out({function == nullptr ? Type::kInt8 : function->result_type}, {true}, 1);
  size_t held = 0;
  for (auto _ : state) {
    agg::StateContext context;
    const auto row_states = static_cast<uint32_t>(octets * repeat);
    exec::GroupTable table(pool, 1, row_states, groups, exec::GroupTable::best_place(1, row_states), ~uint64_t{0});
    for (size_t row = 0; row < kRows; row += kBatch) {
      exec::hash_keys(rows.keys.data() + row, 1, kBatch, ~uint64_t{0}, hashes.data());
      table.find_or_insert(rows.keys.data() + row, hashes.data(), kBatch, found.data());
      for (size_t a = 0; a < args.size(); ++a) {
        args[a].type = function->arg_types[a];
        args[a].values = const_cast<void*>(which.args[a](rows, row));
      }
      for (size_t r = 0; r < repeat && function != nullptr; ++r) {
        function->update(found.data(), table.states_at() + r * octets, args.data(), nullptr, kBatch, context);
      }
    }
    held = table.octets_held() + context.arena.octets_held();
    for (size_t group = 0; finish && group < table.group_count(); ++group) {
      const uint8_t* row = table.row(group);
      out.batch.columns[0].has_nulls = true;
      function->finish(&row, table.states_at(), 1, out.batch.columns[0], 0, context);
    }
    benchmark::DoNotOptimize(table.group_count());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
  state.counters["octets_per_group"] = static_cast<double>(held) / static_cast<double>(groups);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const Case& which : kCases) {
    const auto name = std::string("BM_Aggregate/") + which.label;
    benchmark::RegisterBenchmark(name.c_str(), [&which](benchmark::State& state) { run(state, which, 1, false); })
        ->Arg(1'000)
        ->Arg(100'000);
  }
  // Many small groups (five rows each): exact sets against the sketch, with the results.
  for (const Case& which : kCases) {
    if (!std::string_view(which.label).starts_with("count_distinct") &&
        !std::string_view(which.label).starts_with("approx_count")) {
      continue;
    }
    const auto name = std::string("BM_ManySmallGroups/") + which.label;
    benchmark::RegisterBenchmark(name.c_str(), [&which](benchmark::State& state) {
      run(state, which, 1, true);
    })->Arg(200'000);
  }
  // What one more integer aggregate adds: 1 and 4 sums of the same rows.
  for (const size_t repeat : {size_t{1}, size_t{4}}) {
    const auto name = "BM_Sums/" + std::to_string(repeat);
    benchmark::RegisterBenchmark(name.c_str(), [repeat](benchmark::State& state) { run(state, kSum, repeat, false); })
        ->Arg(1'000)
        ->Arg(100'000);
  }
  return true;
}();

}  // namespace
