// The head of a packet in every link layer, with its tunnels entered and not; cut nowhere and everywhere.
#include <cassert>
#include <vector>

#include "decode/sampled_header.h"

using namespace backstream::decode;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  constexpr HeaderProtocol kProtocols[] = {HeaderProtocol::kEthernet, HeaderProtocol::kPpp,  HeaderProtocol::kIpv4,
                                           HeaderProtocol::kIpv6,     HeaderProtocol::kMpls, HeaderProtocol::kPos,
                                           HeaderProtocol{99}};
  const HeaderProtocol protocol = kProtocols[data[0] % std::size(kProtocols)];
  // Of the exact size: a read past its end is seen.
  const std::vector<uint8_t> header(data + 1, data + size);
  SampledPacket packets[2];
  for (const Tunnels tunnels : {Tunnels::kOuter, Tunnels::kInner}) {
    SampledPacket& packet = packets[static_cast<size_t>(tunnels)];
    read_sampled_header(protocol, header.data(), static_cast<uint32_t>(header.size()), tunnels, packet);
    assert(!packet.is_ip || packet.source.family == 4 || packet.source.family == 6);
    assert(packet.is_ip || (!packet.has_ports && !packet.has_icmp && !packet.has_flags));
    assert(packet.mpls_count <= 3 && packet.vlan <= 0xfff && packet.inner_vlan <= 0xfff);
    assert(!packet.is_ip || packet.ip_offset + 20 <= header.size());
  }
  // What crossed the interface is the same packet, whichever is shown.
  const auto& [outer, inner] = packets;
  assert(!outer.is_ip || (inner.is_ip && inner.ip_octets == outer.ip_octets));
  assert(outer.source_mac == inner.source_mac && outer.vlan == inner.vlan && outer.mpls_count == inner.mpls_count);
  return 0;
}
