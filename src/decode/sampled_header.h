#pragma once
#include <cstdint>

#include "base/inet.h"

namespace backstream::decode {

/// What the first octets of a sampled packet say.
struct SampledPacket {
  bool is_ip = false;
  uint32_t ip_octets = 0;  ///< length of the IP packet
  base::Inet source, destination;
  uint8_t protocol = 0, tos = 0, ttl = 0;
  uint32_t flow_label = 0;
  bool has_ports = false;
  uint16_t source_port = 0, destination_port = 0;
  bool has_flags = false;
  uint16_t tcp_flags = 0;
  bool has_icmp = false;
  uint8_t icmp_type = 0, icmp_code = 0;
  bool has_macs = false;
  uint64_t source_mac = 0, destination_mac = 0;
  bool has_vlan = false;
  uint16_t vlan = 0;
  uint8_t mpls_count = 0;
  uint32_t mpls_labels[3] = {};
};

/// sFlow's header protocols: 1 Ethernet, 11 IPv4, 12 IPv6. Reads only header[0 .. octets); what is cut off is left
/// unset.
void read_sampled_header(uint32_t header_protocol, const uint8_t* header, uint32_t octets,
                         SampledPacket& packet) noexcept;

}  // namespace backstream::decode
