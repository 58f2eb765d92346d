#pragma once
#include <cstdint>

namespace backstream::agg {

/// The sum of up to 2^62 bigints, exactly: 127 bits and whether anything was added, in 16 bytes.
/// All zero bytes: the sum of nothing.
struct WideSum {
  uint64_t low = 0;
  int64_t high_and_any = 0;  ///< the high part << 1 | any; the high part has 63 bits

  void add(int64_t value) noexcept {
    const uint64_t addend = static_cast<uint64_t>(value);
    low += addend;
    const int64_t carry = (low < addend) + (value >> 63);
    high_and_any = (high_and_any + carry * 2) | 1;
  }
  void add(const WideSum& other) noexcept {
    low += other.low;
    const int64_t carry = low < other.low;
    high_and_any = (high_and_any + (other.high_and_any & ~int64_t{1}) + carry * 2) | (other.high_and_any & 1);
  }
  bool any() const noexcept { return (high_and_any & 1) != 0; }
  int64_t high() const noexcept { return high_and_any >> 1; }
  bool fits_bigint() const noexcept { return high() == (static_cast<int64_t>(low) >> 63); }
  /// Nearest double (one rounding of each half, then of their sum: within 1 ulp, and the same for any order of rows).
  double as_double() const noexcept {
    if (fits_bigint()) return static_cast<double>(static_cast<int64_t>(low));
    return static_cast<double>(high()) * 18446744073709551616.0 + static_cast<double>(low);
  }
};
static_assert(sizeof(WideSum) == 16);

}  // namespace backstream::agg
