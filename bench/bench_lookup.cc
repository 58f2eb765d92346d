// Lookup tables alone: a million routes and a million keys in memory, addresses and keys in batches.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <unordered_set>

#include "lookup/key_index.h"
#include "lookup/prefix_table.h"

namespace {

using namespace backstream;
using base::Inet;

constexpr size_t kProbes = 1 << 21;

/// Routes whose lengths are spread as in the routing table of the Internet (RIPE RIS, 2023, rounded): IPv4 60 % /24,
/// IPv6 nearly half /48. Origins of routes lie in clusters, as allocations do: half of the routes are cut out of
/// shorter ones.
std::vector<Inet> routes(size_t count, bool v6) {
  std::mt19937_64 random(v6 ? 6 : 4);
  static const std::vector<std::pair<int, double>> lengths4 = {
      {8, .0001},  {10, .0001}, {11, .0002}, {12, .0004}, {13, .0008}, {14, .0015},
      {15, .0025}, {16, .0145}, {17, .0085}, {18, .015},  {19, .027},  {20, .045},
      {21, .053},  {22, .115},  {23, .105},  {24, .605},  {28, .0009}, {32, .0055}};
  static const std::vector<std::pair<int, double>> lengths6 = {
      {20, .0005}, {24, .001}, {28, .004}, {29, .03}, {30, .006}, {32, .14}, {33, .02},   {34, .02}, {36, .06},
      {38, .02},   {40, .1},   {42, .03},  {44, .09}, {46, .025}, {47, .02}, {48, .4255}, {64, .008}};
  const auto& lengths = v6 ? lengths6 : lengths4;
  std::vector<double> weights;
  for (const auto& [bits, weight] : lengths) weights.push_back(weight);
  std::discrete_distribution<size_t> length(weights.begin(), weights.end());
  const auto key = [](const Inet& i) { return i.hi * 0x9e3779b97f4a7c15 ^ i.lo ^ i.prefix_bits; };
  std::unordered_set<uint64_t> seen;
  std::vector<Inet> list;
  std::vector<Inet> blocks;
  while (list.size() < count) {
    const auto bits = static_cast<uint8_t>(lengths[length(random)].first);
    Inet route;
    if (!v6) {
      route = Inet::v4(static_cast<uint32_t>((1 + random() % 223) << 24 | (random() & 0xffffff)), bits);
    } else {
      static const uint64_t tops[] = {0x2001, 0x2400, 0x2401, 0x2402, 0x2403, 0x2404, 0x2405, 0x2406, 0x2407, 0x2408,
                                      0x2600, 0x2602, 0x2604, 0x2605, 0x2606, 0x2607, 0x2620, 0x2800, 0x2801, 0x2803,
                                      0x2804, 0x2a00, 0x2a01, 0x2a02, 0x2a03, 0x2a04, 0x2a05, 0x2a06, 0x2a07, 0x2a09,
                                      0x2a0a, 0x2a0b, 0x2a0c, 0x2a0d, 0x2a0e, 0x2a0f, 0x2c0f};
      route = Inet::v6(tops[random() % std::size(tops)] << 48 | random() >> 16, 0, bits);
    }
    if (!blocks.empty() && random() % 2 == 0) {
      const Inet& block = blocks[random() % blocks.size()];
      if (block.prefix_bits < bits) {
        const uint64_t keep = ~uint64_t{0} << (64 - block.prefix_bits);
        route.hi = (block.hi & keep) | (route.hi & ~keep);
      }
    }
    route = route.network();
    if (!seen.insert(key(route)).second) continue;
    if (bits < (v6 ? 40 : 22)) blocks.push_back(route);
    list.push_back(route);
  }
  return list;
}

std::shared_ptr<const lookup::Table> route_table(size_t count, bool v4, bool v6) {
  std::vector<Inet> list;
  // As in the Internet, where both stand: one route in six is IPv6.
  const size_t six = v4 && v6 ? count / 6 : v6 ? count : 0;
  if (v4) list = routes(count - six, false);
  if (v6) {
    const auto more = routes(six, true);
    list.insert(list.end(), more.begin(), more.end());
  }
  std::shuffle(list.begin(), list.end(), std::mt19937_64(9));  // Not the order of a dump: the build sorts.
  lookup::TableBuilder builder({{{"prefix", batch::Type::kCidr}}});
  for (const Inet& route : list) {
    builder.set_inet(0, route);
    builder.end_row();
  }
  return builder.finish();
}

enum Family { kV4, kV6, kBoth, kV6Quarter };  // A million routes, but kV6Quarter: 250,000, what the Internet has.
std::shared_ptr<const lookup::Table> table_of(Family family) {
  return route_table(family == kV6Quarter ? 250'000 : 1'000'000, family == kV4 || family == kBoth, family != kV4);
}

enum Addresses { kUniform, kRouted, kSkewed };

/// kUniform: any address of 1.0.0.0 to 223.255.255.255, or of 2000::/3. kRouted: in a route that is chosen at random.
/// kSkewed: 200,000 addresses in random routes, the k-th with a weight of 1/k.
std::vector<Inet> addresses(const lookup::Table& table, Family family, Addresses kind) {
  std::mt19937_64 random(11);
  const Inet* const networks = table.column(0).as<Inet>();
  const auto in_route = [&] {
    const Inet& network = networks[random() % table.row_count()];
    if (network.family == 4) {
      const uint64_t host = network.prefix_bits == 32 ? 0 : random() & 0xffffffff >> network.prefix_bits;
      return Inet::v4(network.v4_address() | static_cast<uint32_t>(host));
    }
    return Inet::v6(network.hi | (network.prefix_bits < 64 ? random() >> network.prefix_bits : 0), random());
  };
  std::vector<Inet> known;
  std::vector<double> weight_sums;
  if (kind == kSkewed) {
    double sum = 0;
    for (int k = 1; k <= 200'000; ++k) {
      known.push_back(in_route());
      weight_sums.push_back(sum += 1.0 / k);
    }
  }
  std::vector<Inet> list(kProbes);
  for (Inet& address : list) {
    if (kind == kRouted) {
      address = in_route();
    } else if (kind == kSkewed) {
      const double at = std::uniform_real_distribution<double>(0, weight_sums.back())(random);
      const auto found = std::lower_bound(weight_sums.begin(), weight_sums.end(), at) - weight_sums.begin();
      address = known[static_cast<size_t>(found)];
    } else if (family == kV4 || (family == kBoth && random() % 6 != 0)) {
      address = Inet::v4(static_cast<uint32_t>((1 + random() % 223) << 24 | (random() & 0xffffff)));
    } else {
      address = Inet::v6(uint64_t{1} << 61 | random() >> 3, random());
    }
  }
  return list;
}

/// Args: family, kind of addresses. Batches of 2048.
void BM_LongestPrefix(benchmark::State& state) {
  const auto family = static_cast<Family>(state.range(0));
  const auto table = table_of(family);
  auto list = addresses(*table, family, static_cast<Addresses>(state.range(1)));
  const auto prefixes = lookup::PrefixTable::build(table, 0);
  batch::Column column;
  column.type = batch::Type::kInet;
  std::vector<uint32_t> matches(batch::kBatchRows);
  uint64_t found = 0;
  for (auto _ : state) {
    found = 0;
    for (size_t at = 0; at < kProbes; at += batch::kBatchRows) {
      column.values = list.data() + at;
      prefixes->find(column, nullptr, batch::kBatchRows, matches.data());
      for (const uint32_t match : matches) found += match != lookup::kNoRow;
    }
    benchmark::DoNotOptimize(found);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kProbes));
  state.counters["found"] = static_cast<double>(found) / static_cast<double>(kProbes);
  state.counters["index_MB"] = static_cast<double>(prefixes->octets_held()) / 1e6;
}
BENCHMARK(BM_LongestPrefix)
    ->ArgNames({"family", "addresses"})
    ->ArgsProduct({{kV4, kV6, kBoth, kV6Quarter}, {kUniform, kRouted, kSkewed}});

/// Arg: family. Routes in no order.
void BM_BuildPrefixes(benchmark::State& state) {
  const auto family = static_cast<Family>(state.range(0));
  const auto table = table_of(family);
  for (auto _ : state) {
    const auto prefixes = lookup::PrefixTable::build(table, 0);
    benchmark::DoNotOptimize(prefixes->octets_held());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(table->row_count()));
}
BENCHMARK(BM_BuildPrefixes)->ArgName("family")->Arg(kV4)->Arg(kV6)->Arg(kBoth)->Unit(benchmark::kMillisecond);

std::shared_ptr<const lookup::Table> key_table(size_t count) {
  lookup::TableBuilder builder({{{"asn", batch::Type::kInt8}}});
  for (size_t i = 0; i < count; ++i) {
    builder.set_int64(0, static_cast<int64_t>(i * 7919));
    builder.end_row();
  }
  return builder.finish();
}

/// Arg: keys of the table, one bigint each; nine probes in ten are in it, uniform.
void BM_FindKeys(benchmark::State& state) {
  const auto keys = static_cast<uint64_t>(state.range(0));
  const auto index = lookup::KeyIndex::build(key_table(keys), {0}, lookup::KeyIndex::Keys::kUnique);
  std::mt19937_64 random(1);
  std::vector<int64_t> probes(kProbes);
  for (int64_t& probe : probes) probe = static_cast<int64_t>(random() % (keys * 10 / 9) * 7919);
  batch::Column column;
  column.type = batch::Type::kInt8;
  std::vector<uint32_t> matches(batch::kBatchRows);
  for (auto _ : state) {
    for (size_t at = 0; at < kProbes; at += batch::kBatchRows) {
      column.values = probes.data() + at;
      index->find(&column, nullptr, batch::kBatchRows, matches.data());
      benchmark::DoNotOptimize(matches.data());
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kProbes));
}
BENCHMARK(BM_FindKeys)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);

void BM_BuildKeys(benchmark::State& state) {
  const auto table = key_table(1'000'000);
  for (auto _ : state) {
    const auto index = lookup::KeyIndex::build(table, {0}, lookup::KeyIndex::Keys::kUnique);
    benchmark::DoNotOptimize(index->octets_held());
  }
  state.SetItemsProcessed(state.iterations() * 1'000'000);
}
BENCHMARK(BM_BuildKeys)->Unit(benchmark::kMillisecond);

}  // namespace
