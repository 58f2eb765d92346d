#pragma once
// How a value of any type becomes one 64-bit word that sets and maps hold: short values are the word itself, others
// lie elsewhere and the word is their address. Private to the room. Hashes here never leave the process.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "agg/aggregate.h"

namespace backstream::agg {

/// A value too wide for a word, kept once in the arena; the word is its address.
struct Wide {
  uint64_t hash;
  uint32_t octets;
  char* bytes() { return reinterpret_cast<char*>(this + 1); }  ///< the value follows its header
  const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
};

inline uint64_t mix(uint64_t word) {
  __extension__ const unsigned __int128 product =
      static_cast<unsigned __int128>(word ^ 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

/// Words: the value itself. Wide values: equality is by bytes.
struct WordTraits {
  static uint64_t hash(uint64_t word) { return mix(word); }
  static bool same(uint64_t a, uint64_t b) { return a == b; }
};
struct WideTraits {
  static const Wide& wide(uint64_t word) { return *reinterpret_cast<const Wide*>(word); }
  static std::string_view bytes(uint64_t word) { return {wide(word).bytes(), wide(word).octets}; }
  static uint64_t hash(uint64_t word) { return wide(word).hash; }
  static bool same(uint64_t a, uint64_t b) { return wide(a).hash == wide(b).hash && bytes(a) == bytes(b); }
};

inline uint64_t word_of(int64_t value) { return static_cast<uint64_t>(value); }
inline uint64_t word_of(uint8_t value) { return value; }
inline uint64_t word_of(double value) {
  if (std::isnan(value)) return 0x7ff8000000000000;
  return std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);  // -0 = 0
}

inline uint64_t hash_bytes(std::string_view bytes) {
  uint64_t hash = mix(bytes.size());
  while (bytes.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    hash = mix(hash ^ word);
    bytes.remove_prefix(8);
  }
  uint64_t rest = 0;
  if (!bytes.empty()) std::memcpy(&rest, bytes.data(), bytes.size());
  return mix(hash ^ rest);
}
inline std::string_view bytes_of(const std::string_view& value) { return value; }
inline std::string_view bytes_of(const base::Inet& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// Addresses: those of IPv4 are the word itself, which its lowest bit tells: the address of a Wide has it clear.
struct InetTraits {
  static bool is_word(uint64_t word) { return (word & 1) != 0; }
  static uint64_t hash(uint64_t word) { return is_word(word) ? mix(word) : WideTraits::hash(word); }
  static bool same(uint64_t a, uint64_t b) { return a == b || (!is_word(a | b) && WideTraits::same(a, b)); }
};
inline bool fits_word(const base::Inet& value) { return value.family == 4; }
/// The upper half is the address, the lower half has room for the length. `value` is of IPv4.
inline uint64_t word_of(const base::Inet& value) { return value.hi | uint64_t{value.prefix_bits} << 1 | 1; }
inline base::Inet inet_of(uint64_t word) {
  if (InetTraits::is_word(word))
    return base::Inet::v4(static_cast<uint32_t>(word >> 32), static_cast<uint8_t>(word >> 1 & 0x3f));
  base::Inet inet;
  if (word == 0) return inet;  // Never kept, which the compiler does not know.
  std::memcpy(&inet, WideTraits::bytes(word).data(), sizeof inet);
  return inet;
}

}  // namespace backstream::agg
