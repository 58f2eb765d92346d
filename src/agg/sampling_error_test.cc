#include <cmath>

#include "agg/group_test.h"

namespace backstream::agg {
namespace {

const AggregateFunction& of_packets() { return function("sum_stderr", {Type::kInt8, Type::kInt8}); }
const AggregateFunction& of_octets() { return function("sum_stderr", {Type::kInt8, Type::kInt8, Type::kInt8}); }

void add_packets(Group& group, const std::vector<int64_t>& rates, const std::vector<int64_t>& packets) {
  group.add_columns({column_of(Type::kInt8, rates), column_of(Type::kInt8, packets)}, rates.size());
}
void add_octets(Group& group, const std::vector<int64_t>& rates, const std::vector<int64_t>& packets,
                const std::vector<int64_t>& octets) {
  group.add_columns({column_of(Type::kInt8, rates), column_of(Type::kInt8, packets), column_of(Type::kInt8, octets)},
                    rates.size());
}

TEST(SumStderr, FollowsItsFormula) {
  Group packets(of_packets());
  EXPECT_TRUE(packets.is_null());
  add_packets(packets, {100, 1, 10}, {4, 1000, 2});
  EXPECT_DOUBLE_EQ(packets.result<double>(), std::sqrt(100.0 * 99 * 4 + 10.0 * 9 * 2));
  Group octets(of_octets());
  add_octets(octets, {100, 10}, {4, 2}, {6000, 80});
  EXPECT_DOUBLE_EQ(octets.result<double>(), std::sqrt(100.0 * 99 * 6000 * 6000 / 4 + 10.0 * 9 * 80 * 80 / 2));
  Group unsampled(of_packets());
  add_packets(unsampled, {1, 1}, {5, 7});
  EXPECT_EQ(unsampled.result<double>(-1), 0.0);
}

TEST(SumStderr, IsNullWhenAnyRateIsUnknown) {
  const std::vector<int64_t> rates{100, 0}, packets{3, 4};
  const std::vector<uint8_t> present{1, 0};
  Group unknown(of_packets());
  unknown.add_columns({column_of(Type::kInt8, rates, &present), column_of(Type::kInt8, packets)}, 2);
  EXPECT_TRUE(unknown.is_null());
  Group merged(of_packets());
  add_packets(merged, {100}, {3});
  merged.combine(unknown);
  EXPECT_TRUE(merged.is_null());
  // A row without packets adds nothing to sum(packets), nor an error to it.
  Group absent(of_packets());
  absent.add_columns({column_of(Type::kInt8, rates, &present), column_of(Type::kInt8, packets, &present)}, 2);
  EXPECT_DOUBLE_EQ(absent.result<double>(), std::sqrt(100.0 * 99 * 3));
}

TEST(SumStderr, AgreesWithSamplingManyTimes) {
  // 300 flows of known packets, sampled 2000 times 1 in 20. The empirical standard deviation of 2000 estimates has a
  // relative standard error of 1 / sqrt(2 * 2000) = 1.6 %; the formula, read off one sample each time, is averaged over
  // all of them. 8 % is five standard errors.
  constexpr int kTimes = 2000, kRate = 20;
  std::mt19937_64 random(11);
  std::bernoulli_distribution sampled(1.0 / kRate);
  struct Packets {
    int64_t count, octets_each;
  };
  std::vector<Packets> flows;
  double packets_true = 0, octets_true = 0;
  for (int f = 0; f < 300; ++f) {
    flows.push_back({1 + static_cast<int64_t>(random() % 60), 40 + static_cast<int64_t>(random() % 1461)});
    packets_true += static_cast<double>(flows.back().count);
    octets_true += static_cast<double>(flows.back().count * flows.back().octets_each);
  }
  double packet_squares = 0, octet_squares = 0, packet_variances = 0, octet_variances = 0;
  for (int time = 0; time < kTimes; ++time) {
    std::vector<int64_t> rates, packets, octets;
    for (const Packets& flow : flows) {
      int64_t seen = 0;
      for (int64_t p = 0; p < flow.count; ++p) seen += sampled(random);
      if (seen == 0) continue;  // such a flow is not exported
      rates.push_back(kRate);
      packets.push_back(seen);
      octets.push_back(seen * flow.octets_each);
    }
    double packets_estimate = 0, octets_estimate = 0;
    for (size_t i = 0; i < packets.size(); ++i) {
      packets_estimate += static_cast<double>(kRate * packets[i]);
      octets_estimate += static_cast<double>(kRate * octets[i]);
    }
    packet_squares += std::pow(packets_estimate - packets_true, 2);
    octet_squares += std::pow(octets_estimate - octets_true, 2);
    Group of_p(of_packets()), of_o(of_octets());
    add_packets(of_p, rates, packets);
    add_octets(of_o, rates, packets, octets);
    packet_variances += std::pow(of_p.result<double>(), 2);
    octet_variances += std::pow(of_o.result<double>(), 2);
  }
  EXPECT_NEAR(std::sqrt(packet_variances / packet_squares), 1, 0.08);
  EXPECT_NEAR(std::sqrt(octet_variances / octet_squares), 1, 0.08);
}

TEST(SumStderr, OfOctetsIsALowerBoundWhenSizesDiffer) {
  // Half of each flow's packets have 40 octets, half 1500.
  constexpr int kTimes = 1000, kRate = 10;
  std::mt19937_64 random(12);
  std::bernoulli_distribution sampled(1.0 / kRate);
  double squares = 0, variances = 0;
  for (int time = 0; time < kTimes; ++time) {
    std::vector<int64_t> rates, packets, octets;
    double estimate = 0;
    for (int flow = 0; flow < 50; ++flow) {
      int64_t seen = 0, size = 0;
      for (int p = 0; p < 100; ++p) {
        if (!sampled(random)) continue;
        ++seen;
        size += p % 2 ? 40 : 1500;
      }
      if (seen == 0) continue;
      rates.push_back(kRate);
      packets.push_back(seen);
      octets.push_back(size);
      estimate += static_cast<double>(kRate * size);
    }
    squares += std::pow(estimate - 50.0 * 50 * 1540, 2);
    Group group(of_octets());
    add_octets(group, rates, packets, octets);
    variances += std::pow(group.result<double>(), 2);
  }
  // Σ s² is 1126 thousand a packet, (mean s)² 593 thousand: the ratio of errors is near 0.73, and never above 1.
  const double ratio = std::sqrt(variances / squares);
  EXPECT_LT(ratio, 0.9);
  EXPECT_GT(ratio, 0.6);
}

TEST(SumStderr, SplitIsWhole) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    std::vector<int64_t> rates, packets, octets;
    const size_t count = random() % 200;
    for (size_t i = 0; i < count; ++i) {
      rates.push_back(1 + static_cast<int64_t>(random() % (random() % 2 ? 4'294'967'295u : 2000u)));
      packets.push_back(static_cast<int64_t>(random()) * (random() % 50 == 0 ? 1'000'000'000 : 1));
      octets.push_back(static_cast<int64_t>(random()));
    }
    Group whole_packets(of_packets()), whole_octets(of_octets());
    add_packets(whole_packets, rates, packets);
    add_octets(whole_octets, rates, packets, octets);
    const auto merged_packets = combined_at_random(of_packets(), count, random, [&](Group& group, size_t row) {
      add_packets(group, {rates[row]}, {packets[row]});
    });
    const auto merged_octets = combined_at_random(of_octets(), count, random, [&](Group& group, size_t row) {
      add_octets(group, {rates[row]}, {packets[row]}, {octets[row]});
    });
    EXPECT_EQ(merged_packets->encode(), whole_packets.encode()) << "seed " << seed;
    EXPECT_EQ(merged_packets->result<double>(), whole_packets.result<double>()) << "seed " << seed;
    EXPECT_EQ(merged_octets->encode(), whole_octets.encode()) << "seed " << seed;
    EXPECT_EQ(merged_octets->result<double>(), whole_octets.result<double>()) << "seed " << seed;
  }
}

TEST(SumStderr, GoldenBytes) {
  Group packets(of_packets());
  EXPECT_EQ(hex(packets.encode()), "00");
  add_packets(packets, {1000}, {3});
  EXPECT_EQ(hex(packets.encode()), "010188f6b601");
  expect_decode_is_careful(of_packets(), packets.encode(), 14);
  Group octets(of_octets());
  add_octets(octets, {1000}, {3}, {300});
  EXPECT_EQ(hex(octets.encode()), "01002102808080900ae7d26f");
  expect_decode_is_careful(of_octets(), octets.encode(), 15);
}

}  // namespace
}  // namespace backstream::agg
