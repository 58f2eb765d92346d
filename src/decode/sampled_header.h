#pragma once
#include <cstdint>

#include "base/inet.h"

namespace backstream::decode {

/// What stands before the IP packet in the octets that crossed the interface.
struct LinkHeaders {
  bool has_macs = false;
  uint64_t source_mac = 0, destination_mac = 0;
  bool has_vlan = false, has_inner_vlan = false;
  uint16_t vlan = 0, inner_vlan = 0;  ///< of two tags (802.1ad) the outer and the inner one
  uint8_t mpls_count = 0;             ///< labels kept, of the top
  uint32_t mpls_labels[3] = {};
};

/// What the first octets of a sampled packet say.
struct SampledPacket : LinkHeaders {
  bool is_ip = false;
  uint32_t ip_octets = 0;  ///< length of the IP packet that crossed the interface; 0: its header does not say
  uint32_t ip_offset = 0;  ///< where that packet begins in the header
  base::Inet source, destination;
  uint8_t protocol = 0, tos = 0, ttl = 0;
  uint32_t flow_label = 0;
  bool has_ports = false;
  uint16_t source_port = 0, destination_port = 0;
  bool has_flags = false;
  uint16_t tcp_flags = 0;
  bool has_icmp = false;
  uint8_t icmp_type = 0, icmp_code = 0;
};

/// Which packet the columns of a tunnelled one tell of (decode.tunnels).
enum class Tunnels : uint8_t {
  kOuter,  ///< the one that routers on the way see
  kInner,  ///< the innermost that can be read; its link headers and length stay those of the outer one
};

/// How the header of a sampled packet begins, by sFlow's numbers ("sFlow Version 5", enum header_protocol).
enum class HeaderProtocol : uint32_t { kEthernet = 1, kPpp = 7, kIpv4 = 11, kIpv6 = 12, kMpls = 13, kPos = 14 };

/// Reads only header[0 .. octets); what is cut off, and all of a protocol that is not known, is left unset. Knows
/// 802.1Q and 802.1ad, LLC/SNAP, PPPoE, MPLS, IPv4, IPv6 with its extension headers; as tunnels IP in IP (RFC 2003,
/// 2473, 4213), GRE (RFC 2784, 2890) with IP, Ethernet, ERSPAN or MPLS in it, PPTP (RFC 2637), VXLAN (RFC 7348), Geneve
/// (RFC 8926), SRv6 (RFC 8986) and Ethernet over MPLS (RFC 4448), at most four within each other.
void read_sampled_header(HeaderProtocol protocol, const uint8_t* header, uint32_t octets, Tunnels tunnels,
                         SampledPacket& packet) noexcept;

}  // namespace backstream::decode
