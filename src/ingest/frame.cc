#include "ingest/frame.h"

#include "base/byte_order.h"

namespace backstream::ingest {
namespace {

using base::load_be16;
using base::load_be32;

// Link types (tcpdump.org/linktypes.html). 12 and 14 are raw IP as some systems number it.
constexpr uint32_t kNull = 0, kEthernet = 1, kRawOld = 12, kRawBsd = 14, kRaw = 101, kLoop = 108, kLinuxSll = 113;
constexpr uint32_t kIpv4 = 228, kIpv6 = 229, kLinuxSll2 = 276;
constexpr uint16_t kEtherIpv4 = 0x0800, kEtherIpv6 = 0x86dd;
constexpr uint16_t kEtherVlan = 0x8100, kEtherQinq = 0x88a8, kEtherVlanOld = 0x9100;
constexpr uint8_t kUdp = 17, kHopByHop = 0, kRouting = 43, kFragmentHeader = 44, kAuthentication = 51,
                  kDestinationOptions = 60;
constexpr int kTagsMax = 4, kExtensionHeadersMax = 8;

bool refuse(IngestSkip why, IngestSkip& skip) {
  skip = why;
  return false;
}

/// @param octets      captured
/// @param ip_payload  octets that the IP header announces
bool udp(const uint8_t* at, uint32_t octets, uint32_t ip_payload, base::Datagram& datagram, IngestSkip& skip) {
  if (ip_payload < 8) return refuse(IngestSkip::kMalformed, skip);
  if (octets < 8) return refuse(IngestSkip::kCutShort, skip);
  const uint32_t length = load_be16(at + 4);
  if (length < 8 || length > ip_payload) return refuse(IngestSkip::kMalformed, skip);
  if (length > octets) return refuse(IngestSkip::kCutShort, skip);
  datagram.source_port = load_be16(at);
  datagram.destination_port = load_be16(at + 2);
  datagram.payload = at + 8;
  datagram.payload_octets = length - 8;
  return true;
}

bool ipv4(const uint8_t* at, uint32_t octets, base::Datagram& datagram, IngestSkip& skip) {
  if (octets < 20) return refuse(IngestSkip::kCutShort, skip);
  const uint32_t header = (at[0] & 15u) * 4;
  if (at[0] >> 4 != 4 || header < 20) return refuse(IngestSkip::kMalformed, skip);
  if (at[9] != kUdp) return refuse(IngestSkip::kNotUdp, skip);
  if ((load_be16(at + 6) & 0x3fff) != 0) return refuse(IngestSkip::kFragment, skip);  // more fragments, or an offset
  // 0: the card was to cut the packet into segments and fill the length in (TSO), which the capture did not see.
  const uint32_t total = load_be16(at + 2) == 0 ? 0xffff : load_be16(at + 2);
  if (total < header) return refuse(IngestSkip::kMalformed, skip);
  if (octets < header) return refuse(IngestSkip::kCutShort, skip);
  datagram.source = base::Inet::v4(load_be32(at + 12));
  return udp(at + header, octets - header, total - header, datagram, skip);
}

bool ipv6(const uint8_t* at, uint32_t octets, base::Datagram& datagram, IngestSkip& skip) {
  if (octets < 40) return refuse(IngestSkip::kCutShort, skip);
  if (at[0] >> 4 != 6) return refuse(IngestSkip::kMalformed, skip);
  const uint32_t payload = load_be16(at + 4);
  const uint32_t total = 40 + (payload == 0 ? 0xffff : payload);  // 0: as for IPv4
  datagram.source = base::Inet::from_v6_octets(at + 8);
  uint8_t next = at[6];
  uint32_t used = 40;
  // Headers that may stand before UDP (RFC 8200 §4.1).
  for (int headers = 0; headers <= kExtensionHeadersMax; ++headers) {
    if (next == kUdp) return udp(at + used, octets - used, total - used, datagram, skip);
    if (next != kHopByHop && next != kRouting && next != kDestinationOptions && next != kAuthentication &&
        next != kFragmentHeader) {
      return refuse(IngestSkip::kNotUdp, skip);
    }
    if (total - used < 8) return refuse(IngestSkip::kMalformed, skip);
    if (octets - used < 8) return refuse(IngestSkip::kCutShort, skip);
    uint32_t length = (at[used + 1] + 1u) * 8;
    if (next == kAuthentication) length = (at[used + 1] + 2u) * 4;  // RFC 4302 §2.2
    if (next == kFragmentHeader) {
      // Offset 0 and no more to come is a whole packet (RFC 6946).
      if ((load_be16(at + used + 2) & 0xfff9) != 0) return refuse(IngestSkip::kFragment, skip);
      length = 8;
    }
    if (total - used < length) return refuse(IngestSkip::kMalformed, skip);
    if (octets - used < length) return refuse(IngestSkip::kCutShort, skip);
    next = at[used];
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
  for (int tags = 0; tags <= kTagsMax; ++tags) {
    if (type == kEtherIpv4) return ipv4(at, octets, datagram, skip);
    if (type == kEtherIpv6) return ipv6(at, octets, datagram, skip);
    if (type != kEtherVlan && type != kEtherQinq && type != kEtherVlanOld) return refuse(IngestSkip::kNotIp, skip);
    if (octets < 4) return refuse(IngestSkip::kCutShort, skip);
    type = load_be16(at + 2);
    at += 4;
    octets -= 4;
  }
  return refuse(IngestSkip::kMalformed, skip);
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
    case kRaw:
    case kRawOld:
    case kRawBsd:
    case kIpv4:
    case kIpv6: return ip(frame, octets, datagram, skip);
    default: return refuse(IngestSkip::kNotIp, skip);
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
