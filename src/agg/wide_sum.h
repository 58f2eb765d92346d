#pragma once
#include <cstdint>
#include <vector>

#include "base/varint.h"

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

  /// One octet tells the usual cases apart: 0 nothing added, 1 fits a bigint, 2 high part follows.
  void encode(std::vector<uint8_t>& out) const {
    if (!any()) {
      out.push_back(0);
    } else if (fits_bigint()) {
      out.push_back(1);
      base::put_varint_signed(out, static_cast<int64_t>(low));
    } else {
      out.push_back(2);
      base::put_varint(out, low);
      base::put_varint_signed(out, high());
    }
  }
  /// Returns octets read, 0 when they are not valid.
  size_t decode(const uint8_t* bytes, size_t octets) noexcept {
    *this = WideSum{};
    if (octets == 0) return 0;
    if (bytes[0] == 0) return 1;
    if (bytes[0] == 1) {
      int64_t value = 0;
      const size_t used = base::get_varint_signed(bytes + 1, octets - 1, value);
      if (used == 0) return 0;
      add(value);
      return 1 + used;
    }
    if (bytes[0] != 2) return 0;
    int64_t high_part = 0;
    const size_t low_octets = base::get_varint(bytes + 1, octets - 1, low);
    if (low_octets == 0) return 0;
    const size_t high_octets = base::get_varint_signed(bytes + 1 + low_octets, octets - 1 - low_octets, high_part);
    if (high_octets == 0 || high_part > INT64_MAX / 4 || high_part < INT64_MIN / 4) return 0;
    high_and_any = high_part * 2 + 1;
    return fits_bigint() ? 0 : 1 + low_octets + high_octets;  // one number, one form
  }
};
static_assert(sizeof(WideSum) == 16);

}  // namespace backstream::agg
