#pragma once
// Big-endian loads and stores at any alignment. Compilers turn each into one load and one byte swap.
#include <bit>
#include <cstdint>
#include <cstring>

namespace backstream::base {

inline uint16_t load_be16(const uint8_t* at) noexcept {
  uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap16(value);
}
inline uint32_t load_be32(const uint8_t* at) noexcept {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap32(value);
}
inline uint64_t load_be64(const uint8_t* at) noexcept {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap64(value);
}
inline uint32_t load_be24(const uint8_t* at) noexcept {
  return static_cast<uint32_t>(at[0]) << 16 | static_cast<uint32_t>(at[1]) << 8 | at[2];
}
inline uint64_t load_be48(const uint8_t* at) noexcept {
  return static_cast<uint64_t>(load_be16(at)) << 32 | load_be32(at + 2);
}
/// An unsigned integer of `octets` bytes, 0 to 8 (reduced-size encoding, RFC 7011 §6.2). 0 octets give 0.
inline uint64_t load_be(const uint8_t* at, unsigned octets) noexcept {
  uint64_t value = 0;
  for (unsigned i = 0; i < octets; ++i) value = value << 8 | at[i];
  return value;
}
inline void store_be16(uint8_t* at, uint16_t value) noexcept {
  value = __builtin_bswap16(value);
  std::memcpy(at, &value, sizeof value);
}
inline void store_be32(uint8_t* at, uint32_t value) noexcept {
  value = __builtin_bswap32(value);
  std::memcpy(at, &value, sizeof value);
}
inline void store_be64(uint8_t* at, uint64_t value) noexcept {
  value = __builtin_bswap64(value);
  std::memcpy(at, &value, sizeof value);
}

static_assert(std::endian::native == std::endian::little, "the column kernels assume a little-endian machine");

}  // namespace backstream::base
