#include "decode/decode_test_input.h"

namespace backstream::decode {
namespace {

Octets record(uint32_t format, const Octets& body) { return Octets().u32(format).u32(body.bytes.size()).add(body); }
Octets sample(uint32_t sequence, const std::vector<Octets>& records, uint32_t rate = 512) {
  Octets body;
  body.u32(sequence).u32(3).u32(rate).u32(100'000).u32(0).u32(11).u32(0x3fffffff).u32(records.size());
  for (const Octets& one : records) body.add(one);
  return Octets().u32(1).u32(body.bytes.size()).add(body);
}
Octets sflow(const std::vector<Octets>& samples) {
  Octets o;
  o.u32(5).u32(1).u32(0x0a000001).u32(0).u32(1).u32(5'000).u32(samples.size());
  for (const Octets& one : samples) o.add(one);
  return o;
}
/// Ethernet, 802.1Q of VLAN 42, IPv4, TCP.
Octets frame() {
  Octets f;
  f.put(0x020000000001, 6).put(0x020000000002, 6).u16(0x8100).u16(42).u16(0x0800);
  f.u8(0x45).u8(0x10).u16(1000).u32(0).u8(63).u8(6).u16(0).u32(0xc0000201).u32(0xc0000202);
  f.u16(50'000).u16(443).u32(1).u32(2).u16(0x5012).u16(0);
  return f;
}
Octets raw_header(const Octets& header, uint32_t frame_octets = 1018, uint32_t protocol = 1) {
  Octets body;
  body.u32(protocol).u32(frame_octets).u32(4).u32(header.bytes.size()).add(header);
  return record(1, body.zeros((4 - body.bytes.size() % 4) % 4));
}

TEST(Sflow, AFlowSampleIsARow) {
  DecodeRun run;
  const Octets gateway =
      Octets().u32(1).u32(0x0a0000fd).u32(65'000).u32(64'512).u32(64'513).u32(1).u32(2).u32(2).u32(174).u32(13'335);
  const Octets router = Octets().u32(1).u32(0x0a0000fe).u32(24).u32(16);
  run.feed(sflow({sample(1, {raw_header(frame()), record(1002, router), record(1003, gateway)})}));
  const std::map<std::string, std::string> expected = {{"src_ip", "192.0.2.1"},
                                                       {"dst_ip", "192.0.2.2"},
                                                       {"src_port", "50000"},
                                                       {"dst_port", "443"},
                                                       {"protocol", "6"},
                                                       {"tcp_flags", "18"},
                                                       {"tos", "16"},
                                                       {"ip_ttl", "63"},
                                                       {"vlan", "42"},
                                                       {"octets_raw", "1000"},
                                                       {"packets_raw", "1"},
                                                       {"sampling_rate", "512"},
                                                       {"in_if", "11"},
                                                       {"out_if", "null"},
                                                       {"src_as", "64512"},
                                                       {"dst_as", "13335"},
                                                       {"next_hop", "10.0.0.254"},
                                                       {"bgp_next_hop", "10.0.0.253"},
                                                       {"src_mask", "24"},
                                                       {"dst_mask", "16"},
                                                       {"time", "2026-01-31 12:01:00+00"},
                                                       {"exported_at", "null"},
                                                       {"protocol_version", "sFlow"}};
  for (const auto& [column, value] : expected) EXPECT_EQ(run.last(column), value) << column;
}

TEST(Sflow, OctetsAreOfTheFrameWhenAskedFor) {
  DecodeSettings settings;
  settings.sflow_octets = DecodeSettings::SflowOctets::kFrame;
  DecodeRun run(settings);
  run.feed(sflow({sample(1, {raw_header(frame())})}));
  EXPECT_EQ(run.last("octets_raw"), "1018");
}

TEST(Sflow, AHeaderThatIsCutLeavesNulls) {
  DecodeRun run;
  Octets cut = frame();
  cut.bytes.resize(40);  // in the middle of the TCP header
  run.feed(sflow({sample(1, {raw_header(cut)})}));
  EXPECT_EQ(run.last("src_ip"), "192.0.2.1");
  EXPECT_EQ(run.last("tcp_flags"), "null");
  for (size_t octets = 0; octets < frame().bytes.size(); ++octets) {
    Octets shorter = frame();
    shorter.bytes.resize(octets);
    run.feed(sflow({sample(static_cast<uint32_t>(octets) + 2, {raw_header(shorter)})}));
  }
  EXPECT_EQ(run.decoder.total().missing, 0u);
}

TEST(Sflow, MplsAndIpv6) {
  DecodeRun run;
  Octets f;
  f.put(1, 6).put(2, 6).u16(0x8847).u32(100 << 12).u32(200 << 12 | 1 << 8);
  f.u32(0x6abc1234)
      .u16(500)
      .u8(17)
      .u8(64)
      .u64(0x20010db800000000)
      .u64(1)
      .u64(0x20010db800000000)
      .u64(2)
      .u16(53)
      .u16(5353)
      .u32(0);
  run.feed(sflow({sample(1, {raw_header(f)})}));
  EXPECT_EQ(run.last("mpls_label_1"), "100");
  EXPECT_EQ(run.last("mpls_label_2"), "200");
  EXPECT_EQ(run.last("mpls_label_3"), "null");
  EXPECT_EQ(run.last("src_ip"), "2001:db8::1");
  EXPECT_EQ(run.last("octets_raw"), "540");
  EXPECT_EQ(run.last("src_port"), "53");
  EXPECT_EQ(run.last("ipv6_flow_label"), std::to_string(0xc1234));
}

TEST(Sflow, ASampleThatCannotBeReadDoesNotSpoilTheNext) {
  DecodeRun run;
  const Octets broken = Octets().u32(1).u32(12).u32(1).u32(2).u32(3);
  const Octets counters = Octets().u32(2).u32(4).u32(0);
  run.feed(sflow({broken, counters, sample(1, {raw_header(frame())})}));
  EXPECT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.decoder.total().malformed, 1u);
  EXPECT_EQ(run.decoder.total().counter_samples, 1u);
  EXPECT_EQ(run.fault(DecodeFault::kSampleMalformed), 1u);
}

TEST(Sflow, MissingSamplesAreThoseOfTheSource) {
  DecodeRun run;
  run.feed(sflow({sample(10, {raw_header(frame())})}));
  run.feed(sflow({sample(15, {raw_header(frame())})}));
  EXPECT_EQ(run.decoder.total().missing, 4u);
}

}  // namespace
}  // namespace backstream::decode
