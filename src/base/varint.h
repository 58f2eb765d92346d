#pragma once
// LEB128 variable-length integers, little end first, 7 bits a byte; signed ones zigzag-coded.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace backstream::base {

inline void put_varint(std::vector<uint8_t>& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<uint8_t>(value));
}
inline uint64_t zigzag(int64_t value) noexcept {
  return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
}
inline int64_t unzigzag(uint64_t value) noexcept {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}
inline void put_varint_signed(std::vector<uint8_t>& out, int64_t value) { put_varint(out, zigzag(value)); }

/// Reads at bytes[0 .. octets). Returns the octets used, 0 when the bytes end early or exceed 64 bits.
inline size_t get_varint(const uint8_t* bytes, size_t octets, uint64_t& value) noexcept {
  uint64_t result = 0;
  for (size_t i = 0; i < octets && i < 10; ++i) {
    const uint64_t part = bytes[i] & 0x7f;
    if (i == 9 && part > 1) return 0;
    result |= part << (7 * i);
    if ((bytes[i] & 0x80) == 0) {
      value = result;
      return i + 1;
    }
  }
  return 0;
}
inline size_t get_varint_signed(const uint8_t* bytes, size_t octets, int64_t& value) noexcept {
  uint64_t raw = 0;
  const size_t used = get_varint(bytes, octets, raw);
  if (used != 0) value = unzigzag(raw);
  return used;
}

}  // namespace backstream::base
