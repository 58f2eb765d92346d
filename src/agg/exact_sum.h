#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace backstream::agg {

/// The exact sum of doubles, rounded once at the end, so that no order or grouping of the additions changes a bit of
/// the result. A fixed-point number wide enough for every finite double (Kulisch 1981): 32-bit digits in 64-bit limbs,
/// which leaves room for 2^31 additions between carries.
class ExactSum {
 public:
  /// Digit k weighs 2^(32 k - 1074). 2^1024 needs digit 65; two more hold the carries of 2^62 additions.
  static constexpr size_t kLimbs = 68;

  void add(double value) noexcept;
  void add(const ExactSum& other) noexcept;
  /// Nearest double, ties to even; infinity when beyond the range; NaN after a NaN or after both infinities.
  double result() const noexcept;
  bool overflowed() const noexcept;  ///< the exact sum of finite values is beyond double

  void encode(std::vector<uint8_t>& out) const;
  size_t decode(const uint8_t* bytes, size_t octets) noexcept;

 private:
  void carry() noexcept;
  bool take_magnitude() noexcept;
  int64_t limbs_[kLimbs] = {};
  uint32_t additions_ = 0;  ///< since the last carry()
  bool nan_ = false, positive_infinity_ = false, negative_infinity_ = false;
};

}  // namespace backstream::agg
