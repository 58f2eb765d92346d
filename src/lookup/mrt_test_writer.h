#pragma once
// MRT dumps of tables as RFC 6396 has them, for tests.
#include <cstdint>
#include <string>
#include <vector>

#include "base/inet.h"

namespace backstream::lookup {

using Octets = std::vector<uint8_t>;

inline Octets operator+(Octets a, const Octets& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Octets big_endian(uint64_t value, unsigned octets) {
  Octets out;
  for (unsigned i = octets; i-- > 0;) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
  return out;
}
inline Octets address_octets(const base::Inet& address) {
  return address.family == 4 ? big_endian(address.v4_address(), 4)
                             : big_endian(address.hi, 8) + big_endian(address.lo, 8);
}

inline Octets mrt_record(uint16_t type, uint16_t subtype, const Octets& body) {
  return big_endian(1'700'000'000, 4) + big_endian(type, 2) + big_endian(subtype, 2) + big_endian(body.size(), 4) +
         body;
}
inline Octets mrt_peers(const std::vector<uint32_t>& peer_as) {
  Octets body = big_endian(0x0a000001, 4) + big_endian(2, 2) + Octets{'v', '4'} + big_endian(peer_as.size(), 2);
  for (size_t i = 0; i < peer_as.size(); ++i) {
    // Every second peer is IPv6, and AS numbers that fit are short.
    const bool v6 = i % 2 == 1, long_as = peer_as[i] > 0xffff;
    body = body + Octets{static_cast<uint8_t>((v6 ? 1 : 0) | (long_as ? 2 : 0))} + big_endian(i, 4) +
           Octets(v6 ? 16 : 4, 9) + big_endian(peer_as[i], long_as ? 4 : 2);
  }
  return mrt_record(13, 1, body);
}

inline Octets attribute(uint8_t type, const Octets& value) {
  if (value.size() > 255) return Octets{0x50, type} + big_endian(value.size(), 2) + value;
  return Octets{0x40, type, static_cast<uint8_t>(value.size())} + value;
}
inline Octets path_segment(uint8_t kind, const std::vector<uint32_t>& as_numbers) {
  Octets out{kind, static_cast<uint8_t>(as_numbers.size())};
  for (const uint32_t as : as_numbers) out = out + big_endian(as, 4);
  return out;
}
inline Octets as_path(const std::vector<uint32_t>& as_numbers) { return attribute(2, path_segment(2, as_numbers)); }
inline Octets next_hop(const char* address) { return attribute(3, address_octets(*base::parse_inet(address))); }

struct MrtEntry {
  uint16_t peer;
  Octets attributes;
};
inline Octets mrt_route(const char* prefix, const std::vector<MrtEntry>& entries, bool addpath = false) {
  const base::Inet network = *base::parse_cidr(prefix);
  Octets address = address_octets(network);
  address.resize((network.prefix_bits + 7U) / 8);
  Octets body = big_endian(1, 4) + Octets{network.prefix_bits} + address + big_endian(entries.size(), 2);
  for (const MrtEntry& entry : entries) {
    body = body + big_endian(entry.peer, 2) + big_endian(1, 4) + (addpath ? big_endian(77, 4) : Octets{}) +
           big_endian(entry.attributes.size(), 2) + entry.attributes;
  }
  return mrt_record(13, static_cast<uint16_t>((network.family == 4 ? 2 : 4) + (addpath ? 6 : 0)), body);
}

}  // namespace backstream::lookup
