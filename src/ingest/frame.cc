#include "ingest/frame.h"

#include "base/byte_order.h"

namespace backstream::ingest {
namespace {

using base::load_be16;
using base::load_be32;

// Link types.
constexpr uint32_t kNull = 0, kEthernet = 1, kRawOld = 12, kRawBsd = 14, kRaw = 101, kLoop = 108, kLinuxSll = 113,
                   kIpv4 = 228, kIpv6 = 229, kLinuxSll2 = 276;
constexpr uint16_t kEtherIpv4 = 0x0800, kEtherIpv6 = 0x86dd, kEtherVlan = 0x8100, kEtherQinq = 0x88a8,
                   kEtherVlanOld = 0x9100;
constexpr uint8_t kUdp = 17;

bool refuse(IngestSkip why, IngestSkip& skip) {
  skip = why;
  return false;
}

bool udp(const uint8_t* at, uint32_t octets, base::Datagram& datagram, IngestSkip& skip) {
  if (octets < 8) return refuse(IngestSkip::kCutShort, skip);
  const uint32_t length = load_be16(at + 4);
  if (length < 8) return refuse(IngestSkip::kMalformed, skip);
  if (length > octets) return refuse(IngestSkip::kCutShort, skip);
  datagram.source_port = load_be16(at);
  datagram.destination_port = load_be16(at + 2);
  datagram.payload = at + 8;
  datagram.payload_octets = length - 8;
  return true;
}

bool ipv4(const uint8_t* at, uint32_t octets, base::Datagram& datagram, IngestSkip& skip) {
  if (octets < 20) return refuse(IngestSkip::kCutShort, skip);
  if (at[0] >> 4 != 4) return refuse(IngestSkip::kMalformed, skip);
  const uint32_t header = (at[0] & 15u) * 4;
  if (header < 20) return refuse(IngestSkip::kMalformed, skip);
  if (at[9] != kUdp) return refuse(IngestSkip::kNotUdp, skip);
  if ((load_be16(at + 6) & 0x3fff) != 0) return refuse(IngestSkip::kFragment, skip);
  if (octets < header) return refuse(IngestSkip::kCutShort, skip);
  datagram.source = base::Inet::v4(load_be32(at + 12));
  return udp(at + header, octets - header, datagram, skip);
}

bool ipv6(const uint8_t* at, uint32_t octets, base::Datagram& datagram, IngestSkip& skip) {
  if (octets < 40) return refuse(IngestSkip::kCutShort, skip);
  if (at[0] >> 4 != 6) return refuse(IngestSkip::kMalformed, skip);
  datagram.source = base::Inet::from_v6_octets(at + 8);
  uint8_t next = at[6];
  uint32_t used = 40;
  // Hop-by-hop, routing and destination options may stand before UDP (RFC 8200 §4.1).
  for (int headers = 0; headers < 8; ++headers) {
    if (next == kUdp) return udp(at + used, octets - used, datagram, skip);
    if (next == 44) return refuse(IngestSkip::kFragment, skip);
    if (next != 0 && next != 43 && next != 60) return refuse(IngestSkip::kNotUdp, skip);
    if (octets - used < 8) return refuse(IngestSkip::kCutShort, skip);
    const uint32_t length = (at[used + 1] + 1u) * 8;
    next = at[used];
    if (octets - used < length) return refuse(IngestSkip::kCutShort, skip);
    used += length;
  }
  return refuse(IngestSkip::kMalformed, skip);
}

bool ip(const uint8_t* at, uint32_t octets, base::Datagram& datagram, IngestSkip& skip) {
  if (octets == 0) return refuse(IngestSkip::kCutShort, skip);
  if (at[0] >> 4 == 4) return ipv4(at, octets, datagram, skip);
  if (at[0] >> 4 == 6) return ipv6(at, octets, datagram, skip);
  return refuse(IngestSkip::kNotIp, skip);
}

bool by_ethertype(uint16_t type, const uint8_t* at, uint32_t octets, base::Datagram& datagram, IngestSkip& skip) {
  for (int tags = 0; tags < 4; ++tags) {
    if (type == kEtherIpv4) return ipv4(at, octets, datagram, skip);
    if (type == kEtherIpv6) return ipv6(at, octets, datagram, skip);
    if (type != kEtherVlan && type != kEtherQinq && type != kEtherVlanOld) return refuse(IngestSkip::kNotIp, skip);
    if (octets < 4) return refuse(IngestSkip::kCutShort, skip);
    type = load_be16(at + 2);
    at += 4;
    octets -= 4;
  }
  return refuse(IngestSkip::kNotIp, skip);
}

}  // namespace

bool link_type_known(uint32_t link_type) {
  switch (link_type) {
    case kNull:
    case kEthernet:
    case kRawOld:
    case kRawBsd:
    case kRaw:
    case kLoop:
    case kLinuxSll:
    case kIpv4:
    case kIpv6:
    case kLinuxSll2: return true;
    default: return false;
  }
}

bool find_datagram(uint32_t link_type, const uint8_t* frame, uint32_t octets, base::Datagram& datagram,
                   IngestSkip& skip) noexcept {
  uint32_t header = 0;
  switch (link_type) {
    case kEthernet: header = 14; break;
    case kLinuxSll: header = 16; break;
    case kLinuxSll2: header = 20; break;
    case kNull:
    case kLoop: header = 4; break;
    default: return ip(frame, octets, datagram, skip);
  }
  if (octets < header) return refuse(IngestSkip::kCutShort, skip);
  const uint8_t* at = frame + header;
  octets -= header;
  // The address family of a loopback header differs from system to system; the IP version does not.
  if (link_type == kNull || link_type == kLoop) return ip(at, octets, datagram, skip);
  const uint16_t type = load_be16(link_type == kEthernet ? frame + 12 : link_type == kLinuxSll ? frame + 14 : frame);
  return by_ethertype(type, at, octets, datagram, skip);
}

}  // namespace backstream::ingest
