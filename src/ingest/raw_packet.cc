#include "ingest/raw_packet.h"

#include <cstring>

#include "base/byte_order.h"

namespace backstream::ingest {
namespace {

constexpr uint32_t kUdpOctets = 8, kIpv4Octets = 20, kIpv6Octets = 40;
constexpr uint8_t kUdp = 17, kHopsMax = 64;

/// Adds octets as words in the machine's order: the sum of the Internet checksum does not depend on it (RFC 1071 §2).
uint64_t add_words(const uint8_t* octets, uint32_t count) noexcept {
  uint64_t sum = 0;
  uint32_t i = 0;
  for (; i + 4 <= count; i += 4) {
    uint32_t word;
    std::memcpy(&word, octets + i, sizeof word);
    sum += word;
  }
  uint32_t rest = 0;
  std::memcpy(&rest, octets + i, count - i);
  return sum + rest;
}

uint16_t fold(uint64_t sum) noexcept {
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

}  // namespace

uint32_t write_raw_header(const base::Inet& source, uint16_t source_port, const base::Inet& destination,
                          uint16_t destination_port, const uint8_t* payload, uint32_t payload_octets,
                          uint8_t* out) noexcept {
  const bool v4 = destination.family == 4;
  const uint32_t ip_octets = v4 ? kIpv4Octets : kIpv6Octets;
  const uint32_t udp_octets = kUdpOctets + payload_octets;
  std::memset(out, 0, ip_octets + kUdpOctets);
  uint8_t* const addresses = out + (v4 ? 12 : 8);
  if (v4) {  // RFC 791 §3.1
    out[0] = 0x45;
    out[8] = kHopsMax;
    out[9] = kUdp;
    base::store_be32(addresses, source.v4_address());
    base::store_be32(addresses + 4, destination.v4_address());
  } else {  // RFC 8200 §3
    out[0] = 0x60;
    base::store_be16(out + 4, static_cast<uint16_t>(udp_octets));
    out[6] = kUdp;
    out[7] = kHopsMax;
    base::store_be64(addresses, source.hi);
    base::store_be64(addresses + 8, source.lo);
    base::store_be64(addresses + 16, destination.hi);
    base::store_be64(addresses + 24, destination.lo);
  }
  uint8_t* const udp = out + ip_octets;
  base::store_be16(udp, source_port);
  base::store_be16(udp + 2, destination_port);
  base::store_be16(udp + 4, static_cast<uint16_t>(udp_octets));
  uint8_t pseudo[8];  // All of the pseudo header but the addresses.
  base::store_be32(pseudo, udp_octets);
  base::store_be32(pseudo + 4, kUdp);
  const uint64_t sum = add_words(addresses, v4 ? 8 : 32) + add_words(pseudo, sizeof pseudo) +
                       add_words(udp, kUdpOctets) + add_words(payload, payload_octets);
  const uint16_t checksum = fold(sum);
  constexpr uint16_t kNone = 0xFFFF;  // Zero would say that there is none.
  const uint16_t sent = checksum == 0 ? kNone : checksum;
  std::memcpy(udp + 6, &sent, sizeof sent);
  return ip_octets + kUdpOctets;
}

}  // namespace backstream::ingest
