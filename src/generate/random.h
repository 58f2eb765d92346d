#pragma once
#include <cstdint>

namespace backstream::generate {

/// xoshiro256++ seeded through splitmix64 (Blackman and Vigna): the same numbers for a seed on every machine and with
/// every library, which std:: distributions do not promise.
class Random {
 public:
  explicit Random(uint64_t seed) noexcept {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      uint64_t mixed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9;
      mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
      word = mixed ^ mixed >> 31;
    }
  }
  uint64_t next() noexcept {
    const uint64_t result = rotate(state_[0] + state_[3], 23) + state_[0];
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }
  /// 0 <= result < bound; bound >= 1. The bias is below bound / 2^64.
  uint64_t below(uint64_t bound) noexcept {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>(static_cast<Wide>(next()) * bound >> 64);
  }
  /// 0 <= result < 1.
  double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }
  bool chance(double share) noexcept { return unit() < share; }

 private:
  static uint64_t rotate(uint64_t value, int by) noexcept { return value << by | value >> (64 - by); }
  uint64_t state_[4];
};

}  // namespace backstream::generate
