#include "agg/exact_sum.h"

#include <bit>
#include <cmath>
#include <limits>

#include "base/varint.h"

namespace backstream::agg {
namespace {

constexpr int64_t kDigit = int64_t{1} << 32;
__extension__ using Wide = unsigned __int128;

}  // namespace

void ExactSum::add(double value) noexcept {
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  const unsigned exponent = bits >> 52 & 0x7ff;
  if (exponent == 0x7ff) {
    if (std::isnan(value)) nan_ = true;
    else (value > 0 ? positive_infinity_ : negative_infinity_) = true;
    return;
  }
  uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
  if (exponent != 0) mantissa |= uint64_t{1} << 52;
  const unsigned shift = exponent == 0 ? 0 : exponent - 1;  // in units of 2^-1074
  const size_t limb = shift / 32;
  const unsigned within = shift % 32;
  // 53 bits shifted by up to 31 touch three digits.
  const uint64_t low = mantissa << within;
  const uint64_t high = within == 0 ? 0 : mantissa >> (64 - within);
  const int64_t sign = (bits >> 63) != 0 ? -1 : 1;
  limbs_[limb] += sign * static_cast<int64_t>(low & 0xffffffff);
  limbs_[limb + 1] += sign * static_cast<int64_t>(low >> 32);
  limbs_[limb + 2] += sign * static_cast<int64_t>(high);
  if (++additions_ == 1u << 30) carry();
}

void ExactSum::add(const ExactSum& other) noexcept {
  ExactSum addend = other;
  addend.carry();
  carry();
  for (size_t i = 0; i < kLimbs; ++i) limbs_[i] += addend.limbs_[i];
  additions_ = 1;
  nan_ |= other.nan_;
  positive_infinity_ |= other.positive_infinity_;
  negative_infinity_ |= other.negative_infinity_;
}

/// Afterwards every digit but the top one lies in [0, 2^32); the top one carries the sign. One number, one form.
void ExactSum::carry() noexcept {
  for (size_t i = 0; i + 1 < kLimbs; ++i) {
    const int64_t over = limbs_[i] >> 32;  // floor
    limbs_[i] -= over * kDigit;
    limbs_[i + 1] += over;
  }
  additions_ = 0;
}

/// The absolute value, carried. Returns whether it was negative.
bool ExactSum::take_magnitude() noexcept {
  carry();
  if (limbs_[kLimbs - 1] >= 0) return false;
  for (auto& limb : limbs_) limb = -limb;
  carry();
  return true;
}

double ExactSum::result() const noexcept {
  if (nan_ || (positive_infinity_ && negative_infinity_)) return std::numeric_limits<double>::quiet_NaN();
  if (positive_infinity_) return std::numeric_limits<double>::infinity();
  if (negative_infinity_) return -std::numeric_limits<double>::infinity();
  ExactSum sum = *this;
  const bool negative = sum.take_magnitude();
  size_t top = kLimbs;
  while (top > 0 && sum.limbs_[top - 1] == 0) --top;
  if (top == 0) return 0.0;
  // The four digits from the highest one down (at most 128 bits), and whether anything lies below them.
  const size_t t = top - 1;
  auto digit = [&](size_t i) { return static_cast<uint64_t>(sum.limbs_[i]); };
  Wide window = digit(t);
  int scale = static_cast<int>(32 * t) - 1074;
  size_t next = t;
  for (int i = 0; i < 3 && next > 0; ++i) {
    --next;
    window = window << 32 | digit(next);
    scale -= 32;
  }
  bool sticky = false;
  for (size_t i = 0; i < next; ++i) sticky |= sum.limbs_[i] != 0;
  const unsigned width = (window >> 64) != 0 ? 128 - std::countl_zero(static_cast<uint64_t>(window >> 64))
                                             : 64 - std::countl_zero(static_cast<uint64_t>(window));
  // Keep 53 bits, fewer where the result is subnormal.
  int drop = static_cast<int>(width) - 53;
  if (scale + drop < -1074) drop = -1074 - scale;
  uint64_t mantissa;
  if (drop <= 0) {
    mantissa = static_cast<uint64_t>(window);  // exact: nothing lies below then
  } else {
    const Wide rest = window & ((static_cast<Wide>(1) << drop) - 1);
    const Wide half = static_cast<Wide>(1) << (drop - 1);
    mantissa = static_cast<uint64_t>(window >> drop);
    scale += drop;
    if (rest > half || (rest == half && (sticky || (mantissa & 1) != 0))) ++mantissa;
  }
  const double magnitude = std::ldexp(static_cast<double>(mantissa), scale);
  return negative ? -magnitude : magnitude;
}

bool ExactSum::overflowed() const noexcept {
  return !nan_ && !positive_infinity_ && !negative_infinity_ && std::isinf(result());
}

/// Flags (1 NaN, 2 and 4 infinities, 8 negative), first digit that is not 0, number of digits, the digits of the
/// magnitude.
void ExactSum::encode(std::vector<uint8_t>& out) const {
  ExactSum sum = *this;
  const bool negative = sum.take_magnitude();
  size_t first = 0, end = kLimbs;
  while (first < end && sum.limbs_[first] == 0) ++first;
  while (end > first && sum.limbs_[end - 1] == 0) --end;
  if (first == end) first = end = 0;
  out.push_back(static_cast<uint8_t>(nan_ | positive_infinity_ << 1 | negative_infinity_ << 2 | negative << 3));
  out.push_back(static_cast<uint8_t>(first));
  out.push_back(static_cast<uint8_t>(end - first));
  for (size_t i = first; i < end; ++i) base::put_varint(out, static_cast<uint64_t>(sum.limbs_[i]));
}

size_t ExactSum::decode(const uint8_t* bytes, size_t octets) noexcept {
  if (octets < 3 || bytes[0] > 15) return 0;
  const bool negative = (bytes[0] & 8) != 0;
  const size_t first = bytes[1], count = bytes[2];
  if (first + count > kLimbs || (count == 0 && (first != 0 || negative))) return 0;
  *this = ExactSum{};
  nan_ = (bytes[0] & 1) != 0;
  positive_infinity_ = (bytes[0] & 2) != 0;
  negative_infinity_ = (bytes[0] & 4) != 0;
  size_t at = 3;
  for (size_t i = 0; i < count; ++i) {
    uint64_t digit = 0;
    const size_t used = base::get_varint(bytes + at, octets - at, digit);
    const bool at_end = i == 0 || i + 1 == count;
    if (used == 0 || digit >= static_cast<uint64_t>(kDigit) || (digit == 0 && at_end))
      return 0;  // one number, one form
    limbs_[first + i] = negative ? -static_cast<int64_t>(digit) : static_cast<int64_t>(digit);
    at += used;
  }
  return at;
}

}  // namespace backstream::agg
