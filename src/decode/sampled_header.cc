#include "decode/sampled_header.h"

#include "base/byte_order.h"

namespace backstream::decode {
namespace {

using base::load_be16;
using base::load_be32;

void read_transport(uint8_t protocol, const uint8_t* at, uint32_t octets, SampledPacket& packet) {
  packet.protocol = protocol;
  if ((protocol == 6 || protocol == 17 || protocol == 132 || protocol == 33) && octets >= 4) {
    packet.has_ports = true;
    packet.source_port = load_be16(at);
    packet.destination_port = load_be16(at + 2);
    if (protocol == 6 && octets >= 14) {
      packet.has_flags = true;
      packet.tcp_flags = load_be16(at + 12) & 0x01ff;
    }
  } else if ((protocol == 1 || protocol == 58) && octets >= 2) {
    packet.has_icmp = true;
    packet.icmp_type = at[0];
    packet.icmp_code = at[1];
  }
}

void read_ipv4(const uint8_t* at, uint32_t octets, SampledPacket& packet) {
  if (octets < 20 || at[0] >> 4 != 4) return;
  const uint32_t header = (at[0] & 15u) * 4;
  packet.is_ip = true;
  packet.ip_octets = load_be16(at + 2);
  packet.tos = at[1];
  packet.ttl = at[8];
  packet.protocol = at[9];
  packet.source = base::Inet::v4(load_be32(at + 12));
  packet.destination = base::Inet::v4(load_be32(at + 16));
  // Ports are in the first fragment only.
  if (header >= 20 && header <= octets && (load_be16(at + 6) & 0x1fff) == 0)
    read_transport(at[9], at + header, octets - header, packet);
}

void read_ipv6(const uint8_t* at, uint32_t octets, SampledPacket& packet) {
  if (octets < 40 || at[0] >> 4 != 6) return;
  packet.is_ip = true;
  packet.ip_octets = load_be16(at + 4) + 40u;
  packet.tos = static_cast<uint8_t>(load_be16(at) >> 4);
  packet.flow_label = load_be32(at) & 0xfffff;
  packet.ttl = at[7];
  packet.source = base::Inet::from_v6_octets(at + 8);
  packet.destination = base::Inet::from_v6_octets(at + 24);
  uint8_t next = at[6];
  uint32_t used = 40;
  for (int headers = 0; headers < 8; ++headers) {
    packet.protocol = next;
    if (next != 0 && next != 43 && next != 44 && next != 60)
      return read_transport(next, at + used, octets - used, packet);
    if (octets - used < 8) return;
    const uint32_t length = next == 44 ? 8 : (at[used + 1] + 1u) * 8;
    const bool later_fragment = next == 44 && (load_be16(at + used + 2) & 0xfff8) != 0;
    next = at[used];
    if (later_fragment) {
      packet.protocol = next;
      return;
    }
    if (octets - used < length) return;
    used += length;
  }
}

void read_ethernet(const uint8_t* at, uint32_t octets, SampledPacket& packet) {
  if (octets < 14) return;
  packet.has_macs = true;
  packet.destination_mac = base::load_be48(at);
  packet.source_mac = base::load_be48(at + 6);
  uint16_t type = load_be16(at + 12);
  at += 14;
  octets -= 14;
  for (int tags = 0; tags < 4 && (type == 0x8100 || type == 0x88a8 || type == 0x9100); ++tags) {
    if (octets < 4) return;
    if (!packet.has_vlan) packet.vlan = load_be16(at) & 0x0fff;  // the outer one
    packet.has_vlan = true;
    type = load_be16(at + 2);
    at += 4;
    octets -= 4;
  }
  if (type == 0x8847 || type == 0x8848) {
    bool bottom = false;
    for (int labels = 0; labels < 16 && !bottom; ++labels) {
      if (octets < 4) return;
      if (packet.mpls_count < 3) packet.mpls_labels[packet.mpls_count++] = load_be32(at) >> 12;
      bottom = (at[2] & 1) != 0;
      at += 4;
      octets -= 4;
    }
    if (!bottom || octets == 0) return;
    // The label stack does not name what it carries; the first half octet does.
    type = at[0] >> 4 == 4 ? 0x0800 : at[0] >> 4 == 6 ? 0x86dd : 0;
  }
  if (type == 0x0800) read_ipv4(at, octets, packet);
  else if (type == 0x86dd) read_ipv6(at, octets, packet);
}

}  // namespace

void read_sampled_header(uint32_t header_protocol, const uint8_t* header, uint32_t octets,
                         SampledPacket& packet) noexcept {
  if (header_protocol == 1) read_ethernet(header, octets, packet);
  else if (header_protocol == 11) read_ipv4(header, octets, packet);
  else if (header_protocol == 12) read_ipv6(header, octets, packet);
}

}  // namespace backstream::decode
