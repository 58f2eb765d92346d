#pragma once
#include <cstdint>
#include <new>
#include <vector>

#include "agg/aggregate.h"
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

/// The same in 8 octets: a group whose sum leaves 63 bits keeps a WideSum in the table's memory from then on. Group
/// tables are walked at random, so every octet of a row counts. All zero bytes: the sum of nothing.
class CompactSum {
 public:
  void add(int64_t value, StateContext& context) {
    // The word holds sum << 1 | 1, so adding twice the value adds the value, and overflows when the sum has no room.
    // One branch for all, which is nearly always taken: what is added to a new group is not to be guessed wrong.
    int64_t next = 0;
    const bool overflows = __builtin_add_overflow(static_cast<int64_t>(word_ | 1),
                                                  static_cast<int64_t>(static_cast<uint64_t>(value) << 1), &next);
    const bool doubles = static_cast<uint64_t>(value) + kValueMax < 2 * kValueMax;
    const bool narrow = ((word_ & 1) | static_cast<uint64_t>(word_ == 0)) != 0;
    if (static_cast<int>(narrow) & static_cast<int>(doubles) & static_cast<int>(!overflows)) [[likely]] {
      word_ = static_cast<uint64_t>(next);
    } else {
      widen(context).add(value);
    }
  }
  void add(const CompactSum& other, StateContext& context) {
    if (other.is_wide()) widen(context).add(*other.wide_sum());
    else if (other.word_ != 0) add(other.narrow_sum(), context);
  }
  WideSum sum() const noexcept {
    if (is_wide()) return *wide_sum();
    WideSum sum;
    if (word_ != 0) sum.add(narrow_sum());
    return sum;
  }
  /// @return octets read, 0 when they are not valid
  size_t decode(const uint8_t* bytes, size_t octets, StateContext& context) {
    WideSum sum;
    const size_t used = sum.decode(bytes, octets);
    *this = CompactSum{};
    if (used == 0 || !sum.any()) return used;
    if (sum.fits_bigint()) add(static_cast<int64_t>(sum.low), context);
    else widen(context) = sum;
    return used;
  }

 private:
  static constexpr uint64_t kValueMax = uint64_t{1} << 62;  ///< twice a smaller value is a bigint

  /// Addresses are even.
  bool is_wide() const noexcept { return (word_ & 1) == 0 && word_ != 0; }
  int64_t narrow_sum() const noexcept { return static_cast<int64_t>(word_) >> 1; }
  WideSum* wide_sum() const noexcept { return reinterpret_cast<WideSum*>(word_); }
  WideSum& widen(StateContext& context) {
    if (!is_wide()) {
      auto* wide = new (context.arena.allocate(sizeof(WideSum))) WideSum();
      if (word_ != 0) wide->add(narrow_sum());
      word_ = reinterpret_cast<uint64_t>(wide);
    }
    return *wide_sum();
  }

  uint64_t word_ = 0;  ///< 0: nothing added; odd: sum << 1 | 1; even: where the WideSum is
};
static_assert(sizeof(CompactSum) == 8);

}  // namespace backstream::agg
