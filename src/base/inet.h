#pragma once
#include <bit>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"

namespace backstream::base {

/// An IPv4 or IPv6 address with a prefix length: PostgreSQL's inet and cidr. Trivially copyable, 24 bytes.
/// The address is left-aligned in 128 bits, big end in `hi`, so that prefix operations are the same for both
/// families; an IPv4 address fills the upper 32 bits of `hi` and all else is zero.
struct Inet {
  uint64_t hi = 0;
  uint64_t lo = 0;
  uint8_t family = 0;       ///< 4 or 6; 0 only in a value that was never set
  uint8_t prefix_bits = 0;  ///< 0..32 or 0..128
  uint8_t unused[6] = {};   ///< always zero: equality and hashes may read the whole struct

  static Inet v4(uint32_t address, uint8_t prefix_bits = 32) noexcept {
    // As three words, so that loops over columns of addresses store words and not single octets.
    return std::bit_cast<Inet>(
        Words{static_cast<uint64_t>(address) << 32, 0, uint64_t{4} | uint64_t{prefix_bits} << 8});
  }
  static Inet v6(uint64_t hi, uint64_t lo, uint8_t prefix_bits = 128) noexcept {
    return std::bit_cast<Inet>(Words{hi, lo, uint64_t{6} | uint64_t{prefix_bits} << 8});
  }
  /// As exporters send it: 16 bytes in network order; an IPv4-mapped address (::ffff:0:0/96) becomes IPv4
  /// (DESIGN §5: dual-stack exporters mix the two spellings of one host).
  static Inet from_v6_octets(const uint8_t* octets) noexcept;

  uint32_t v4_address() const noexcept { return static_cast<uint32_t>(hi >> 32); }
  uint8_t max_prefix_bits() const noexcept { return family == 4 ? 32 : 128; }
  bool is_host() const noexcept { return prefix_bits == max_prefix_bits(); }
  /// The same prefix with its host bits cleared.
  Inet network() const noexcept;
  /// True if `other` is the same or a longer prefix inside this one. Other family: false.
  bool contains_or_equals(const Inet& other) const noexcept;

  /// Word by word: member by member the compiler calls memcmp().
  bool operator==(const Inet& other) const noexcept {
    const auto a = std::bit_cast<Words>(*this), b = std::bit_cast<Words>(other);
    return ((a.hi ^ b.hi) | (a.lo ^ b.lo) | (a.kind ^ b.kind)) == 0;
  }

 private:
  struct Words {
    uint64_t hi, lo, kind;
  };
};
static_assert(sizeof(Inet) == 24);

/// For tables in memory.
struct InetHash {
  size_t operator()(const Inet& address) const noexcept {
    const uint64_t tail = uint64_t{address.family} << 8 | address.prefix_bits;
    return hash_mix(hash_mix(address.hi, address.lo), tail);
  }
};

std::strong_ordering compare_prefixes(const Inet& a, const Inet& b) noexcept;
/// PostgreSQL's order (network_cmp): family, common prefix bits, prefix length, then the whole address.
inline std::strong_ordering compare(const Inet& a, const Inet& b) noexcept {
  // Of equal length, as hosts are: the bits of the prefix come first in the address, too.
  if (a.family != b.family || a.prefix_bits != b.prefix_bits) return compare_prefixes(a, b);
  return a.hi != b.hi ? a.hi <=> b.hi : a.lo <=> b.lo;
}

/// PostgreSQL's text form of inet: RFC 5952 for IPv6; the length is left out for a host address.
std::string to_string(const Inet& inet);
/// As cidr prints it: the length is always there.
std::string to_cidr_string(const Inet& inet);
/// Writes to_string(inet) at `out` (at least 50 bytes) and returns the end. No allocation.
char* format_inet(const Inet& inet, char* out, bool always_prefix = false) noexcept;

/// What PostgreSQL's inet input accepts: dotted IPv4 (leading zeros are decimal), IPv6 in all its spellings, an
/// optional /length. Nothing else; std::nullopt otherwise.
std::optional<Inet> parse_inet(std::string_view text) noexcept;
/// As for cidr: "10.1" is completed to 10.1.0.0/16; host bits that are set are refused (std::nullopt, `*host_bits_set`
/// tells that case when given).
std::optional<Inet> parse_cidr(std::string_view text, bool* host_bits_set = nullptr) noexcept;

}  // namespace backstream::base
