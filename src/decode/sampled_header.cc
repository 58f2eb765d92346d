#include "decode/sampled_header.h"

#include "base/byte_order.h"

namespace backstream::decode {
namespace {

using base::load_be16;
using base::load_be32;

constexpr uint16_t kTypeIpv4 = 0x0800, kTypeIpv6 = 0x86dd, kTypeMpls = 0x8847, kTypeMplsUpstream = 0x8848,
                   kTypePppoeSession = 0x8864, kTypeEthernet = 0x6558;
constexpr uint8_t kIpInIp = 4, kTcp = 6, kUdp = 17, kDccp = 33, kIpv6InIp = 41, kGre = 47, kIcmpV6 = 58, kSctp = 132,
                  kUdpLite = 136, kEthernetInIp = 143;
constexpr int kTunnelDepthMax = 4;

/// The octets that are left, and how many tunnels may still be entered: 0 outside them all means that none may.
struct Rest {
  const uint8_t* at;
  uint32_t octets;
  int tunnels;
  const uint8_t* begin;  ///< of the sampled header
  bool skip(uint32_t count) {
    if (octets < count) return false;
    at += count;
    octets -= count;
    return true;
  }
};

void read_ethernet(Rest in, SampledPacket& packet);
void read_type(uint16_t type, Rest in, SampledPacket& packet);
void read_hdlc(Rest in, SampledPacket& packet);

/// What `read` finds behind a tunnel's header takes the place of the packet around it, if it is an IP packet at all.
template <typename Read>
void enter_tunnel(Rest in, SampledPacket& packet, Read&& read) {
  if (in.tunnels == 0) return;
  --in.tunnels;
  SampledPacket inner;
  read(in, inner);
  if (!inner.is_ip) return;
  static_cast<LinkHeaders&>(inner) = packet;
  // The octets are those that crossed the interface.
  if (packet.is_ip) {
    inner.ip_octets = packet.ip_octets;
    inner.ip_offset = packet.ip_offset;
  }
  packet = inner;
}

/// RFC 2784 §2.1, RFC 2890 §2: after four octets four octets each for checksum, key and sequence number, where their
/// bits are set.
void read_gre(Rest in, SampledPacket& packet) {
  if (in.octets < 4) return;
  const uint16_t flags = load_be16(in.at), type = load_be16(in.at + 2);
  if ((flags & 0x4007) == 0x0001 && type == 0x880b) {  // PPTP: RFC 2637 §4.1
    const uint32_t numbers = (flags >> 12 & 1u) + (flags >> 7 & 1u);
    if (in.skip(8 + 4 * numbers)) read_hdlc(in, packet);
    return;
  }
  if ((flags & 0x4007) != 0) return;  // routing is deprecated, and there is no other version
  const uint32_t options = (flags >> 15 & 1u) + (flags >> 13 & 1u) + (flags >> 12 & 1u);
  if (!in.skip(4 + 4 * options)) return;
  uint32_t mirror = 0;
  if (type == 0x88be && (flags & 0x1000) != 0) mirror = 8;  // ERSPAN type II; type I has no header of its own
  if (type == 0x22eb) {                                     // ERSPAN type III; a bit tells of eight octets more
    if (in.octets < 12) return;
    mirror = (in.at[11] & 1) != 0 ? 20 : 12;
  }
  if (!in.skip(mirror)) return;
  if (type == kTypeEthernet || type == 0x88be || type == 0x22eb) return read_ethernet(in, packet);
  read_type(type, in, packet);
}

void read_udp_tunnel(Rest in, uint16_t port, SampledPacket& packet) {
  constexpr uint16_t kVxlan = 4'789, kGeneve = 6'081;
  if (!in.skip(8) || in.octets < 8) return;
  if (port == kVxlan && (in.at[0] & 0x08) != 0) {
    in.skip(8);
    read_ethernet(in, packet);
  } else if (port == kGeneve && in.at[0] >> 6 == 0) {
    const uint16_t type = load_be16(in.at + 2);
    if (!in.skip(8 + (in.at[0] & 0x3fu) * 4)) return;
    if (type == kTypeEthernet) read_ethernet(in, packet);
    else read_type(type, in, packet);
  }
}

void read_transport(uint8_t protocol, Rest in, SampledPacket& packet) {
  packet.protocol = protocol;
  switch (protocol) {
    case kTcp:
    case kUdp:
    case kDccp:
    case kSctp:
    case kUdpLite:
      if (in.octets < 4) return;
      packet.has_ports = true;
      packet.source_port = load_be16(in.at);
      packet.destination_port = load_be16(in.at + 2);
      if (protocol == kTcp && in.octets >= 14) {
        packet.has_flags = true;
        packet.tcp_flags = load_be16(in.at + 12) & 0x01ff;
      }
      if (protocol == kUdp && in.tunnels > 0) {
        const uint16_t port = packet.destination_port;
        enter_tunnel(in, packet, [&](Rest rest, SampledPacket& inner) { read_udp_tunnel(rest, port, inner); });
      }
      return;
    case 1:
    case kIcmpV6:
      if (in.octets < 2) return;
      packet.has_icmp = true;
      packet.icmp_type = in.at[0];
      packet.icmp_code = in.at[1];
      return;
    case kIpInIp:
      return enter_tunnel(in, packet, [](Rest rest, SampledPacket& inner) { read_type(kTypeIpv4, rest, inner); });
    case kIpv6InIp:
      return enter_tunnel(in, packet, [](Rest rest, SampledPacket& inner) { read_type(kTypeIpv6, rest, inner); });
    case kGre: return enter_tunnel(in, packet, read_gre);
    case kEthernetInIp: return enter_tunnel(in, packet, read_ethernet);
    default: return;
  }
}

void read_ipv4(Rest in, SampledPacket& packet) {
  if (in.octets < 20 || in.at[0] >> 4 != 4) return;
  const uint8_t* at = in.at;
  const uint32_t header = (at[0] & 15u) * 4;
  packet.is_ip = true;
  packet.ip_offset = static_cast<uint32_t>(at - in.begin);
  packet.ip_octets = load_be16(at + 2);
  packet.tos = at[1];
  packet.ttl = at[8];
  packet.protocol = at[9];
  packet.source = base::Inet::v4(load_be32(at + 12));
  packet.destination = base::Inet::v4(load_be32(at + 16));
  // Ports are in the first fragment only.
  if (header < 20 || (load_be16(at + 6) & 0x1fff) != 0 || !in.skip(header)) return;
  read_transport(at[9], in, packet);
}

void read_ipv6(Rest in, SampledPacket& packet) {
  if (in.octets < 40 || in.at[0] >> 4 != 6) return;
  const uint8_t* at = in.at;
  packet.is_ip = true;
  packet.ip_offset = static_cast<uint32_t>(at - in.begin);
  // No length: a jumbogram (RFC 2675), or a packet that a host's card has yet to cut.
  const uint16_t payload = load_be16(at + 4);
  packet.ip_octets = payload == 0 ? 0 : payload + 40u;
  packet.tos = static_cast<uint8_t>(load_be16(at) >> 4);
  packet.flow_label = load_be32(at) & 0xfffff;
  packet.ttl = at[7];
  packet.source = base::Inet::from_v6_octets(at + 8);
  packet.destination = base::Inet::from_v6_octets(at + 24);
  uint8_t next = at[6];
  in.skip(40);
  constexpr int kHeadersMax = 8;
  for (int headers = 0; headers < kHeadersMax; ++headers) {
    packet.protocol = next;
    uint32_t length = 0;
    switch (next) {
      case 0:    // hop-by-hop options
      case 43:   // routing, of SRv6, too
      case 60:   // destination options
      case 135:  // mobility
      case 139:  // host identity
      case 140:  // shim6
      case 44:   // fragment
      case 51:   // authentication
        if (in.octets < 8) return;
        length = next == 44 ? 8 : next == 51 ? (in.at[1] + 2u) * 4 : (in.at[1] + 1u) * 8;
        break;
      default: return read_transport(next, in, packet);
    }
    const bool later_fragment = next == 44 && (load_be16(in.at + 2) & 0xfff8) != 0;
    next = in.at[0];
    if (later_fragment) {
      packet.protocol = next;
      return;
    }
    if (!in.skip(length)) return;
  }
}

void read_mpls(Rest in, SampledPacket& packet) {
  constexpr int kLabelsMax = 16;
  bool bottom = false;
  for (int labels = 0; labels < kLabelsMax && !bottom; ++labels) {
    if (in.octets < 4) return;
    if (packet.mpls_count < 3) packet.mpls_labels[packet.mpls_count++] = load_be32(in.at) >> 12;
    bottom = (in.at[2] & 1) != 0;
    in.skip(4);
  }
  if (!bottom || in.octets < 4) return;
  // The label stack does not name what it carries; the first half octet does (RFC 4928 §3).
  switch (in.at[0] >> 4) {
    case 4: return read_type(kTypeIpv4, in, packet);
    case 6: return read_type(kTypeIpv6, in, packet);
    case 0:  // a pseudowire's control word
      return enter_tunnel(in, packet, [](Rest rest, SampledPacket& inner) {
        rest.skip(4);
        read_ethernet(rest, inner);
      });
    default: return;
  }
}

/// RFC 1661 §2: the protocol has two octets, or one where it was compressed.
void read_ppp(Rest in, SampledPacket& packet) {
  if (in.octets < 2) return;
  const bool one = (in.at[0] & 1) != 0;
  const uint16_t protocol = one ? in.at[0] : load_be16(in.at);
  in.skip(one ? 1 : 2);
  if (protocol == 0x21) read_type(kTypeIpv4, in, packet);
  if (protocol == 0x57) read_type(kTypeIpv6, in, packet);
  if (protocol == 0x281) read_type(kTypeMpls, in, packet);
}

/// PPP in frames like HDLC's (RFC 1662 §3.1), whose address and control may be missing; and Cisco's HDLC.
void read_hdlc(Rest in, SampledPacket& packet) {
  if (in.octets < 4) return;
  const uint16_t address = load_be16(in.at);
  if (address == 0x0f00 || address == 0x8f00) {
    const uint16_t type = load_be16(in.at + 2);
    in.skip(4);
    return read_type(type, in, packet);
  }
  if (address == 0xff03) in.skip(2);
  read_ppp(in, packet);
}

void read_type(uint16_t type, Rest in, SampledPacket& packet) {
  switch (type) {
    case kTypeIpv4: return read_ipv4(in, packet);
    case kTypeIpv6: return read_ipv6(in, packet);
    case kTypeMpls:
    case kTypeMplsUpstream: return read_mpls(in, packet);
    case kTypePppoeSession:  // RFC 2516 §4
      if (in.octets < 6 || in.at[0] != 0x11 || in.at[1] != 0) return;
      in.skip(6);
      return read_ppp(in, packet);
    default: return;
  }
}

void read_ethernet(Rest in, SampledPacket& packet) {
  if (in.octets < 14) return;
  packet.has_macs = true;
  packet.destination_mac = base::load_be48(in.at);
  packet.source_mac = base::load_be48(in.at + 6);
  uint16_t type = load_be16(in.at + 12);
  in.skip(14);
  constexpr int kTagsMax = 4;
  for (int tags = 0; tags < kTagsMax && (type == 0x8100 || type == 0x88a8 || type == 0x9100 || type == 0x9200);
       ++tags) {
    if (in.octets < 4) return;
    const uint16_t id = load_be16(in.at) & 0x0fff;
    if (!packet.has_vlan) {
      packet.has_vlan = true;
      packet.vlan = id;
    } else if (!packet.has_inner_vlan) {
      packet.has_inner_vlan = true;
      packet.inner_vlan = id;
    }
    type = load_be16(in.at + 2);
    in.skip(4);
  }
  if (type <= 1'500) {  // a length: LLC and SNAP (IEEE 802, RFC 1042)
    if (in.octets < 8 || load_be32(in.at) != 0xaaaa0300 || load_be16(in.at + 4) != 0) return;
    type = load_be16(in.at + 6);
    in.skip(8);
  }
  read_type(type, in, packet);
}

}  // namespace

void read_sampled_header(HeaderProtocol protocol, const uint8_t* header, uint32_t octets, Tunnels tunnels,
                         SampledPacket& packet) noexcept {
  const Rest in{header, octets, tunnels == Tunnels::kInner ? kTunnelDepthMax : 0, header};
  switch (protocol) {
    case HeaderProtocol::kEthernet: return read_ethernet(in, packet);
    case HeaderProtocol::kIpv4: return read_type(kTypeIpv4, in, packet);
    case HeaderProtocol::kIpv6: return read_type(kTypeIpv6, in, packet);
    case HeaderProtocol::kMpls: return read_mpls(in, packet);
    case HeaderProtocol::kPpp:
    case HeaderProtocol::kPos: return read_hdlc(in, packet);
  }
}

}  // namespace backstream::decode
