#include "decode/column_kernels.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

#include "base/byte_order.h"

namespace backstream::decode {
namespace {

/// Records in memory that ends with the last of them, so that a sanitizer sees what is read behind it.
struct Records {
  Records(size_t count, size_t stride_octets, std::mt19937_64& random)
      : stride(stride_octets), octets(new uint8_t[count * stride_octets]) {
    for (size_t i = 0; i < count * stride; ++i) octets[i] = static_cast<uint8_t>(random());
  }
  size_t stride;
  std::unique_ptr<uint8_t[]> octets;
};

class KernelsOfLevel : public testing::TestWithParam<base::CpuLevel> {
 protected:
  void SetUp() override {
    if (base::cpu_level() < GetParam()) GTEST_SKIP() << "this CPU has no kernels of that level";
  }
  const ColumnKernels& kernels() const { return column_kernels(GetParam()); }
  std::mt19937_64 random{20'260'131};
};

TEST_P(KernelsOfLevel, PairsHoldBothFields) {
  for (size_t round = 0; round < 4'000; ++round) {
    const size_t n = round % 37, stride = 16 + random() % 60;
    const Records records(n, stride, random);
    const size_t window = random() % (stride - 15);
    const unsigned widths[2] = {static_cast<unsigned>(1 + random() % 8), static_cast<unsigned>(1 + random() % 8)};
    const size_t at[2] = {window + random() % (17 - widths[0]), window + random() % (17 - widths[1])};
    const FieldPair pair(window, at[0], widths[0], at[1], widths[1]);
    std::vector<int64_t> columns[2] = {std::vector<int64_t>(n), std::vector<int64_t>(n)};
    kernels().load_pair(records.octets.get(), stride, pair, n, columns[0].data(), columns[1].data());
    for (size_t i = 0; i < n; ++i) {
      for (size_t f = 0; f < 2; ++f) {
        const auto expected = static_cast<int64_t>(base::load_be(&records.octets[i * stride + at[f]], widths[f]));
        ASSERT_EQ(columns[f][i], expected) << "row " << i << " of " << n << ", width " << widths[f];
      }
    }
  }
}

TEST_P(KernelsOfLevel, AddressesAreHosts) {
  for (size_t round = 0; round < 1'000; ++round) {
    const size_t n = round % 37, stride = 4 + random() % 60;
    const Records records(n, stride, random);
    const auto out = std::make_unique<base::Inet[]>(n);
    const size_t at = random() % (stride - 3);
    kernels().load_v4(records.octets.get() + at, stride, n, out.get());
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(out[i], base::Inet::v4(base::load_be32(&records.octets[i * stride + at])))
          << "row " << i << " of " << n;
    }
  }
}

TEST_P(KernelsOfLevel, UptimesAreSignedDistancesFromTheExport) {
  const uint32_t edges[] = {0, 1, 1000, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff};
  for (size_t round = 0; round < 4'000; ++round) {
    const size_t n = 1 + round % 37;
    const uint32_t uptime_ms = random() % 4 == 0 ? edges[random() % std::size(edges)] : static_cast<uint32_t>(random());
    const Micros exported_at = 1'769'860'800'000'000 + static_cast<Micros>(random() % 1'000'000'000);
    std::vector<Micros> times(n), expected(n);
    Micros greatest = INT64_MIN;
    for (size_t i = 0; i < n; ++i) {
      const uint32_t raw =
          random() % 4 == 0 ? uptime_ms + edges[random() % std::size(edges)] : static_cast<uint32_t>(random());
      times[i] = static_cast<int64_t>(raw | random() % 2 * random() << 32);  // of a wider field the lower half counts
      expected[i] = exported_at - Micros{static_cast<int32_t>(uptime_ms - raw)} * base::kMicrosPerMilli;
      greatest = std::max(greatest, expected[i]);
    }
    ASSERT_EQ(kernels().times_of_uptimes(times.data(), n, uptime_ms, exported_at), greatest) << n << " rows";
    ASSERT_EQ(times, expected) << n << " rows";
  }
}

INSTANTIATE_TEST_SUITE_P(ColumnKernels, KernelsOfLevel, testing::Values(base::CpuLevel::kPlain, base::CpuLevel::kAvx2),
                         [](const auto& level) { return level.param == base::CpuLevel::kPlain ? "Plain" : "Avx2"; });

}  // namespace
}  // namespace backstream::decode
