#include "decode/sampled_header.h"

#include "decode/decode_test_input.h"

namespace backstream::decode {
namespace {

Octets ethernet(uint16_t type, const Octets& body, uint64_t source = 0x02'0000'0000'02) {
  return Octets().put(0x02'0000'0000'01, 6).put(source, 6).u16(type).add(body);
}
Octets tag(uint16_t id, uint16_t type, const Octets& body) { return Octets().u16(0x6000 | id).u16(type).add(body); }
Octets ipv4(uint8_t protocol, const Octets& body, uint8_t last = 1, uint16_t fragment = 0) {
  return Octets()
      .u8(0x45)
      .u8(0)
      .u16(20 + body.bytes.size())
      .u16(0)
      .u16(fragment)
      .u8(64)
      .u8(protocol)
      .u16(0)
      .u32(0xc0000200 | last)
      .u32(0xc6336400 | last)
      .add(body);
}
Octets ipv6(uint8_t next, const Octets& body, uint8_t last = 1) {
  return Octets()
      .u32(0x60000000)
      .u16(body.bytes.size())
      .u8(next)
      .u8(64)
      .u64(0x20010db800000000)
      .u64(last)
      .u64(0x20010db800000000)
      .u64(0x100u | last)
      .add(body);
}
Octets udp(uint16_t port, const Octets& body = {}) {
  return Octets().u16(40'000).u16(port).u16(8 + body.bytes.size()).u16(0).add(body);
}
Octets tcp() { return Octets().u16(50'000).u16(443).u32(1).u32(2).u16(0x5012).u16(100).u32(0); }

SampledPacket read(const Octets& header, Tunnels tunnels = Tunnels::kOuter,
                   HeaderProtocol protocol = HeaderProtocol::kEthernet) {
  // Of the exact size, so that the sanitizer sees a read past its end.
  const std::vector<uint8_t> exact(header.bytes.begin(), header.bytes.end());
  SampledPacket packet;
  read_sampled_header(protocol, exact.data(), static_cast<uint32_t>(exact.size()), tunnels, packet);
  return packet;
}
std::string addresses(const SampledPacket& packet) {
  return packet.is_ip ? base::to_string(packet.source) + " " + base::to_string(packet.destination) : "none";
}
constexpr const char* kOne = "192.0.2.1 198.51.100.1";
constexpr const char* kTwo = "192.0.2.2 198.51.100.2";

TEST(SampledHeader, TwoTags) {
  const SampledPacket packet = read(ethernet(0x88a8, tag(100, 0x8100, tag(7, 0x0800, ipv4(6, tcp())))));
  EXPECT_EQ(packet.vlan, 100);
  EXPECT_EQ(packet.inner_vlan, 7);
  EXPECT_TRUE(packet.has_inner_vlan);
  EXPECT_EQ(addresses(packet), kOne);
  EXPECT_EQ(packet.tcp_flags, 0x12);
  EXPECT_EQ(packet.ip_offset, 22u);
  EXPECT_FALSE(read(ethernet(0x8100, tag(100, 0x0800, ipv4(6, tcp())))).has_inner_vlan);
}

TEST(SampledHeader, LinkLayersOfOtherKinds) {
  const Octets packet = ipv4(17, udp(53));
  const Octets snap = Octets().u32(0xaaaa0300).u16(0).u16(0x0800).add(packet);
  const Octets pppoe = Octets().u16(0x1100).u16(1).u16(2 + packet.bytes.size()).u16(0x21).add(packet);
  const std::pair<HeaderProtocol, Octets> headers[] = {
      {HeaderProtocol::kEthernet, ethernet(static_cast<uint16_t>(snap.bytes.size()), snap)},
      {HeaderProtocol::kEthernet, ethernet(0x8864, pppoe)},
      {HeaderProtocol::kPpp, Octets().u16(0xff03).u16(0x21).add(packet)},
      {HeaderProtocol::kPpp, Octets().u8(0x21).add(packet)},
      {HeaderProtocol::kPos, Octets().u16(0x0f00).u16(0x0800).add(packet)},
      {HeaderProtocol::kPos, Octets().u16(0xff03).u16(0x281).u32(3 << 12 | 1 << 8).add(packet)},
      {HeaderProtocol::kMpls, Octets().u32(5 << 12).u32(6 << 12 | 1 << 8).add(packet)},
      {HeaderProtocol::kIpv4, packet}};
  for (const auto& [protocol, header] : headers) {
    const SampledPacket got = read(header, Tunnels::kOuter, protocol);
    EXPECT_EQ(addresses(got), kOne) << static_cast<uint32_t>(protocol);
    EXPECT_EQ(got.destination_port, 53);
  }
  EXPECT_EQ(addresses(read(packet, Tunnels::kOuter, HeaderProtocol{2})), "none") << "token bus";
}

TEST(SampledHeader, ExtensionHeadersAndFragments) {
  const Octets options = Octets().u8(60).u8(0).zeros(6);          // hop by hop, then destination options
  const Octets more = Octets().u8(51).u8(1).zeros(14);            // of 16 octets, then authentication
  const Octets authentication = Octets().u8(44).u8(4).zeros(22);  // of 24 octets, then fragment
  const Octets first = Octets().u8(6).u8(0).u16(1).u32(9), later = Octets().u8(6).u8(0).u16(8 << 3).u32(9);
  const auto chain = [&](const Octets& fragment) {
    return read(ethernet(0x86dd, ipv6(0, Octets(options).add(more).add(authentication).add(fragment).add(tcp()))));
  };
  EXPECT_EQ(chain(first).destination_port, 443);
  EXPECT_EQ(chain(first).protocol, 6);
  EXPECT_FALSE(chain(later).has_ports);
  EXPECT_EQ(chain(later).protocol, 6);
  EXPECT_FALSE(read(ethernet(0x0800, ipv4(6, tcp(), 1, 100))).has_ports);
  EXPECT_TRUE(read(ethernet(0x0800, ipv4(6, tcp(), 1, 0x2000))).has_ports) << "the first of several";
}

/// What every tunnel is about: the same octets, once from outside and once from inside.
struct Tunnel {
  const char* name;
  Octets packet;
  const char* outer;
  const char* inner;
};

TEST(SampledHeader, TunnelsAreEnteredWhenAskedFor) {
  const Octets inside = ipv4(17, udp(53), 2);
  const Octets inside_frame = ethernet(0x8100, tag(9, 0x0800, inside), 0x02'0000'0000'99);
  const Octets six = ipv6(17, udp(53), 2);
  constexpr const char* kSix = "2001:db8::2 2001:db8::102";
  constexpr const char* kSixOutside = "2001:db8::1 2001:db8::101";
  const Octets routing = Octets().u8(4).u8(2).u8(4).u8(0).zeros(4).u64(0x20010db800000000).u64(5);
  const Tunnel tunnels[] = {
      {"IP in IP", ipv4(4, inside), kOne, kTwo},
      {"6in4", ipv4(41, six), kOne, kSix},
      {"4in6", ipv6(4, inside), kSixOutside, kTwo},
      {"GRE", ipv4(47, Octets().u16(0).u16(0x0800).add(inside)), kOne, kTwo},
      {"GRE with checksum, key and sequence", ipv4(47, Octets().u16(0xb000).u16(0x86dd).zeros(12).add(six)), kOne,
       kSix},
      {"GRE with Ethernet", ipv4(47, Octets().u16(0x2000).u16(0x6558).u32(77).add(inside_frame)), kOne, kTwo},
      {"ERSPAN II", ipv4(47, Octets().u16(0x1000).u16(0x88be).u32(1).zeros(8).add(inside_frame)), kOne, kTwo},
      {"ERSPAN III", ipv4(47, Octets().u16(0x1000).u16(0x22eb).u32(1).zeros(11).u8(1).zeros(8).add(inside_frame)), kOne,
       kTwo},
      {"GRE with MPLS", ipv4(47, Octets().u16(0).u16(0x8847).u32(3 << 12 | 1 << 8).add(inside)), kOne, kTwo},
      {"PPTP", ipv4(47, Octets().u16(0x3081).u16(0x880b).u32(9).u32(1).u32(2).u16(0xff03).u16(0x21).add(inside)), kOne,
       kTwo},
      {"a version of GRE that is not known", ipv4(47, Octets().u16(2).u16(0x0800).add(inside)), kOne, kOne},
      {"VXLAN", ipv4(17, udp(4789, Octets().u32(0x08000000).u32(5'000 << 8).add(inside_frame))), kOne, kTwo},
      {"Geneve", ipv4(17, udp(6081, Octets().u8(1).u8(0).u16(0x6558).u32(7 << 8).u32(0).add(inside_frame))), kOne,
       kTwo},
      {"SRv6", ipv6(43, Octets(routing).add(inside)), kSixOutside, kTwo},
      {"SRv6 with Ethernet", ipv6(143, inside_frame), kSixOutside, kTwo},
      {"two in each other", ipv4(47, Octets().u16(0).u16(0x86dd).add(ipv6(4, inside))), kOne, kTwo},
      {"what cannot be read inside", ipv4(4, Octets().u8(0x45).zeros(4)), kOne, kOne}};
  for (const Tunnel& tunnel : tunnels) {
    const Octets frame = ethernet(tunnel.packet.bytes[0] >> 4 == 4 ? 0x0800 : 0x86dd, tunnel.packet);
    const SampledPacket outer = read(frame), inner = read(frame, Tunnels::kInner);
    EXPECT_EQ(addresses(outer), tunnel.outer) << tunnel.name;
    EXPECT_EQ(addresses(inner), tunnel.inner) << tunnel.name;
    if (std::string_view(tunnel.inner) != tunnel.outer) {
      EXPECT_EQ(inner.destination_port, 53) << tunnel.name;
      EXPECT_EQ(inner.protocol, 17) << tunnel.name;
    }
    // What crossed the interface is the outer packet.
    EXPECT_EQ(inner.ip_octets, outer.ip_octets) << tunnel.name;
    EXPECT_EQ(inner.source_mac, 0x02'0000'0000'02u) << tunnel.name;
    EXPECT_FALSE(inner.has_vlan) << tunnel.name;
    // And cut anywhere, with the sanitizer watching.
    for (size_t octets = 0; octets < frame.bytes.size(); ++octets) {
      Octets cut = frame;
      cut.bytes.resize(octets);
      read(cut, Tunnels::kInner);
    }
  }
}

TEST(SampledHeader, APseudowireHasNoPacketUnlessItIsEntered) {
  const Octets frame =
      ethernet(0x8847, Octets().u32(17 << 12 | 1 << 8).u32(0).add(ethernet(0x0800, ipv4(6, tcp(), 2))));
  EXPECT_EQ(addresses(read(frame)), "none");
  const SampledPacket inner = read(frame, Tunnels::kInner);
  EXPECT_EQ(addresses(inner), kTwo);
  EXPECT_EQ(inner.mpls_labels[0], 17u);
  EXPECT_EQ(inner.ip_octets, 40u);
}

TEST(SampledHeader, TunnelsWithinTunnelsEnd) {
  Octets packet = ipv4(17, udp(53), 9);
  for (int depth = 0; depth < 9; ++depth) packet = ipv4(4, packet, static_cast<uint8_t>(depth));
  EXPECT_EQ(addresses(read(packet, Tunnels::kInner, HeaderProtocol::kIpv4)), "192.0.2.4 198.51.100.4");
}

TEST(SampledHeader, LengthsThatThePacketDoesNotTell) {
  Octets packet = ipv6(17, udp(53));
  packet.bytes[4] = packet.bytes[5] = 0;
  EXPECT_EQ(read(packet, Tunnels::kOuter, HeaderProtocol::kIpv6).ip_octets, 0u);
  EXPECT_EQ(read(packet, Tunnels::kOuter, HeaderProtocol::kIpv6).destination_port, 53);
}

}  // namespace
}  // namespace backstream::decode
