#pragma once
#include <cstdint>

namespace backstream::base {

/// The hash so far and one more word: all bits of the result depend on all bits of both, the upper ones best. For
/// tables in memory only; what is shipped or kept has hashes of its own, which stay for ever.
inline uint64_t hash_mix(uint64_t seed, uint64_t word) {
  // Fractional digits of the golden ratio and of pi: odd, no pattern.
  __extension__ const auto product =
      static_cast<unsigned __int128>(word ^ seed ^ 0x9e3779b97f4a7c15) * 0x243f6a8885a308d3;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace backstream::base
