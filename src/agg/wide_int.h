#pragma once
// Integers wider than the compiler's, for moments: sums of squares of bigints are exact in 192 bits, what variance
// computes from them in 256. Private to the room.
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/varint.h"

namespace backstream::agg {

__extension__ using Wide128 = unsigned __int128;

/// A sum of up to 2^64 products of two 64-bit numbers. All zero bytes: 0.
struct ProductSum {
  uint64_t limbs[3] = {};  ///< little end first

  void add(Wide128 product) noexcept {
    const Wide128 low = static_cast<Wide128>(limbs[0]) + static_cast<uint64_t>(product);
    limbs[0] = static_cast<uint64_t>(low);
    const Wide128 high = static_cast<Wide128>(limbs[1]) + static_cast<uint64_t>(product >> 64) + (low >> 64);
    limbs[1] = static_cast<uint64_t>(high);
    limbs[2] += static_cast<uint64_t>(high >> 64);
  }
  void add_square(int64_t value) noexcept {
    const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
    add(static_cast<Wide128>(magnitude) * magnitude);
  }
  void add(const ProductSum& other) noexcept {
    add(static_cast<Wide128>(other.limbs[1]) << 64 | other.limbs[0]);
    limbs[2] += other.limbs[2];
  }
  /// One sum, one form: the number of limbs up to the highest that is not 0, then these.
  void encode(std::vector<uint8_t>& out) const {
    uint8_t count = 3;
    while (count > 0 && limbs[count - 1] == 0) --count;
    out.push_back(count);
    for (uint8_t i = 0; i < count; ++i) base::put_varint(out, limbs[i]);
  }
  size_t decode(const uint8_t* bytes, size_t octets) noexcept {
    *this = ProductSum{};
    if (octets == 0 || bytes[0] > 3) return 0;
    size_t at = 1;
    for (uint8_t i = 0; i < bytes[0]; ++i) {
      const size_t used = base::get_varint(bytes + at, octets - at, limbs[i]);
      if (used == 0) return 0;
      at += used;
    }
    return bytes[0] != 0 && limbs[bytes[0] - 1] == 0 ? 0 : at;
  }
};

/// An unsigned number of 256 bits; what does not fit is cut off.
struct Wide256 {
  uint64_t limbs[4] = {};

  static Wide256 product(const ProductSum& a, uint64_t b) noexcept {
    Wide256 result;
    uint64_t carry = 0;
    for (int i = 0; i < 3; ++i) {
      const Wide128 part = static_cast<Wide128>(a.limbs[i]) * b + carry;
      result.limbs[i] = static_cast<uint64_t>(part);
      carry = static_cast<uint64_t>(part >> 64);
    }
    result.limbs[3] = carry;
    return result;
  }
  static Wide256 square(Wide128 value) noexcept {
    const uint64_t low = static_cast<uint64_t>(value), high = static_cast<uint64_t>(value >> 64);
    Wide256 result;
    const auto add_at = [&](int at, Wide128 part) {
      for (; at < 4 && part != 0; ++at) {
        const Wide128 sum = static_cast<Wide128>(result.limbs[at]) + static_cast<uint64_t>(part);
        result.limbs[at] = static_cast<uint64_t>(sum);
        part = (part >> 64) + (sum >> 64);
      }
    };
    const Wide128 cross = static_cast<Wide128>(low) * high;
    add_at(0, static_cast<Wide128>(low) * low);
    add_at(1, cross);
    add_at(1, cross);
    add_at(2, static_cast<Wide128>(high) * high);
    return result;
  }
  bool operator<(const Wide256& other) const noexcept {
    for (int i = 3; i >= 0; --i) {
      if (limbs[i] != other.limbs[i]) return limbs[i] < other.limbs[i];
    }
    return false;
  }
  /// @param other  not greater than this
  Wide256 minus(const Wide256& other) const noexcept {
    Wide256 result;
    uint64_t borrow = 0;
    for (int i = 0; i < 4; ++i) {
      const Wide128 part = static_cast<Wide128>(limbs[i]) - other.limbs[i] - borrow;
      result.limbs[i] = static_cast<uint64_t>(part);
      borrow = (part >> 64) != 0;
    }
    return result;
  }
  /// The nearest double, ties to even.
  double as_double() const noexcept {
    int top = 3;
    while (top > 0 && limbs[top] == 0) --top;
    if (top == 0) return static_cast<double>(limbs[0]);
    // The 64 highest bits from the first that is set; whether any lies below them is kept in the last of them, which
    // is far below the last bit of a double.
    const int shift = std::countl_zero(limbs[top]);
    uint64_t window = limbs[top] << shift;
    if (shift != 0) window |= limbs[top - 1] >> (64 - shift);
    bool below = limbs[top - 1] << shift != 0;
    for (int i = 0; i < top - 1; ++i) below |= limbs[i] != 0;
    return std::ldexp(static_cast<double>(window | static_cast<uint64_t>(below)), 64 * top - shift);
  }
};

}  // namespace backstream::agg
