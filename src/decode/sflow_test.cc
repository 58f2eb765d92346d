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
  const Octets counters = Octets().u32(2).u32(12).u32(1).u32(582).u32(0);
  run.feed(sflow({broken, counters, sample(1, {raw_header(frame())})}));
  EXPECT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.decoder.total().malformed, 1u);
  EXPECT_EQ(run.decoder.total().counter_samples, 1u);
  EXPECT_EQ(run.fault(DecodeFault::kSampleMalformed), 1u);
}

TEST(PeerPoint16, OctetsAreOfThePacketWhateverTheFrameIs) {
  DecodeRun run;
  // A frame that was filled up, one whose length the agent does not know, and one that is wrong.
  for (const uint32_t octets : {1'500u, 0u, 64u}) {
    run.feed(sflow({sample(octets, {raw_header(frame(), octets)})}));
    EXPECT_EQ(run.last("octets_raw"), "1000") << octets;
  }
  Octets untold = frame();
  untold.bytes[20] = untold.bytes[21] = 0;  // total length: 0 where a card has yet to cut the packet
  run.feed(sflow({sample(9, {raw_header(untold, 9'022)})}));
  EXPECT_EQ(run.last("octets_raw"), "9000") << "the frame without 18 octets before and 4 behind the packet";
}

TEST(PeerPoint16, AHeaderThatEndsBeforeItsFlagsIsAFlow) {
  DecodeRun run;
  Octets cut = frame();
  cut.bytes.resize(18 + 20 + 8);
  run.feed(sflow({sample(1, {raw_header(cut)})}));
  EXPECT_EQ(run.last("dst_port"), "443");
  EXPECT_EQ(run.last("tcp_flags"), "null");
  EXPECT_EQ(run.last("octets_raw"), "1000");
}

Octets ipv4_record(uint32_t source = 0xc0000201) {
  return record(3, Octets().u32(1000).u32(6).u32(source).u32(0xc0000202).u32(50'000).u32(443).u32(0x12).u32(0x10));
}
Octets ethernet_record() {
  return record(2, Octets().u32(1014).put(0x0200000000aa, 6).zeros(2).put(0x0200000000bb, 6).zeros(2).u32(0x0800));
}

TEST(PeerPoint16, SeveralRecordsOfOnePacketCountOnce) {
  for (const bool header_first : {true, false}) {
    DecodeRun run;
    std::vector<Octets> records = {raw_header(frame()), ipv4_record(), ethernet_record()};
    if (!header_first) std::swap(records.front(), records.back());
    run.feed(sflow({sample(1, records)}));
    ASSERT_EQ(run.rows.size(), 1u);
    EXPECT_EQ(run.last("octets_raw"), "1000");
    EXPECT_EQ(run.last("packets_raw"), "1");
    EXPECT_EQ(run.last("ip_ttl"), "63") << "the packet's own octets tell the most";
    EXPECT_EQ(run.last("vlan"), "42");
  }
}

TEST(PeerPoint16, RecordsWithoutTheHeader) {
  DecodeRun run;
  run.feed(sflow({sample(1, {ipv4_record(), ethernet_record()})}));
  EXPECT_EQ(run.last("src_ip"), "192.0.2.1");
  EXPECT_EQ(run.last("tcp_flags"), "18");
  EXPECT_EQ(run.last("src_mac"), std::to_string(0x0200000000aa));
  Octets six = Octets().u32(540).u32(17).u64(0x20010db800000000).u64(1).u64(0x20010db800000000).u64(2);
  run.feed(sflow({sample(2, {record(4, six.u32(53).u32(5353).u32(0).u32(0))})}));
  EXPECT_EQ(run.last("src_ip"), "2001:db8::1");
  EXPECT_EQ(run.last("dst_port"), "5353");
  EXPECT_EQ(run.last("octets_raw"), "540");
}

TEST(PeerPoint16, QinQ) {
  DecodeRun run;
  Octets f = frame();
  const std::vector<uint8_t> inner = {0x81, 0x00, 0x00, 0x07};
  f.bytes.insert(f.bytes.begin() + 16, inner.begin(), inner.end());
  f.bytes[12] = 0x88;
  f.bytes[13] = 0xa8;
  run.feed(sflow({sample(1, {raw_header(f)})}));
  EXPECT_EQ(run.last("vlan"), "42");
  EXPECT_EQ(run.last("inner_vlan"), "7");
  EXPECT_EQ(run.last("src_ip"), "192.0.2.1");
}

TEST(PeerPoint16, InterfacesOfOtherFormatsAreUnknown) {
  DecodeRun run;
  const auto with_output = [](uint32_t output, uint32_t sequence) {
    Octets body;
    body.u32(sequence).u32(3).u32(512).u32(100'000).u32(0).u32(11).u32(output).u32(1).add(raw_header(frame()));
    return Octets().u32(1).u32(body.bytes.size()).add(body);
  };
  // The agent itself, a packet that was dropped (for reason 258), two interfaces, one.
  const std::pair<uint32_t, const char*> outputs[] = {
      {0x3fffffff, "null"}, {0x40000102, "null"}, {0x80000002, "null"}, {582, "582"}};
  uint32_t sequence = 0;
  for (const auto& [output, expected] : outputs) {
    run.feed(sflow({with_output(output, ++sequence)}));
    EXPECT_EQ(run.last("out_if"), expected) << output;
    EXPECT_EQ(run.last("in_if"), "11");
  }
  Octets body;  // expanded: format and value apart
  body.u32(9).u32(0).u32(3).u32(512).u32(100'000).u32(0).u32(0).u32(11).u32(2).u32(2).u32(1).add(raw_header(frame()));
  run.feed(sflow({Octets().u32(3).u32(body.bytes.size()).add(body)}));
  EXPECT_EQ(run.last("in_if"), "11");
  EXPECT_EQ(run.last("out_if"), "null");
}

TEST(PeerPoint16, TheAgentIsNotTheExporter) {
  DecodeRun run(5, std::vector<batch::UserColumn>{});
  run.feed(sflow({sample(1, {raw_header(frame())})}), kReceived, 0xc0000263);
  EXPECT_EQ(run.last("exporter"), "192.0.2.99");
  EXPECT_EQ(run.last("exporterIPv4Address"), "10.0.0.1");
  EXPECT_EQ(run.last("exporterIPv6Address"), "null");
}

TEST(Sflow, RecordsThatAreNotUnderstoodAreSkipped) {
  DecodeRun run;
  const Octets user = record(1004, Octets().u32(106).u32(5).zeros(8).u32(106).u32(0));
  const Octets vendor = record(8800 << 12 | 1, Octets().u32(1).u32(2));
  const Octets nat = record(1007, Octets().u32(1).u32(0xc0000209).u32(1).u32(0xc000020a));
  const Octets nat_ports = record(1020, Octets().u32(1'000).u32(2'000));
  const Octets labels = record(1006, Octets().u32(1).u32(0x0a0000fe).u32(2).u32(100).u32(200).u32(0));
  const Octets enterprise_sample = Octets().u32(8800 << 12 | 7).u32(8).u32(1).u32(2);
  run.feed(sflow({enterprise_sample, sample(1, {user, vendor, raw_header(frame()), nat, nat_ports, labels})}));
  ASSERT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.last("src_ip"), "192.0.2.1");
  EXPECT_EQ(run.last("nat_src_ip"), "192.0.2.9");
  EXPECT_EQ(run.last("nat_dst_ip"), "192.0.2.10");
  EXPECT_EQ(run.last("nat_dst_port"), "2000");
  EXPECT_EQ(run.last("mpls_label_1"), "100");
  EXPECT_EQ(run.last("mpls_label_2"), "200");
  EXPECT_EQ(run.last("mpls_label_3"), "null");
  EXPECT_EQ(run.last("next_hop"), "10.0.0.254");
  EXPECT_EQ(run.decoder.total().malformed, 0u);
}

TEST(Sflow, TunnelsShowTheInnerPacketWhenAskedFor) {
  Octets f = Octets().put(1, 6).put(2, 6).u16(0x0800);
  f.u8(0x45).u8(0).u16(620).u32(0).u8(64).u8(4).u16(0).u32(0x0a000001).u32(0x0a000002);
  Octets inner = frame();
  inner.bytes.erase(inner.bytes.begin(), inner.bytes.begin() + 18);
  f.add(inner);
  DecodeRun outer;
  outer.feed(sflow({sample(1, {raw_header(f)})}));
  EXPECT_EQ(outer.last("src_ip"), "10.0.0.1");
  EXPECT_EQ(outer.last("protocol"), "4");
  DecodeSettings settings;
  settings.tunnels = Tunnels::kInner;
  DecodeRun run(settings);
  run.feed(sflow({sample(1, {raw_header(f)})}));
  EXPECT_EQ(run.last("src_ip"), "192.0.2.1");
  EXPECT_EQ(run.last("dst_port"), "443");
  EXPECT_EQ(run.last("octets_raw"), "620");
}

Octets interface_counters() {
  Octets o;
  o.u32(582).u32(6).u64(10'000'000'000).u32(1).u32(3);
  o.u64(1ull << 40).u32(1).u32(2).u32(3).u32(4).u32(5).u32(0xffffffff);
  return o.u64(UINT64_MAX).u32(6).u32(7).u32(8).u32(9).u32(10).u32(0);
}
Octets counter_sample(uint32_t format, const std::vector<Octets>& records) {
  Octets body;
  body.u32(1);
  if (format == 4) body.u32(0).u32(582);
  else body.u32(582);
  body.u32(records.size());
  for (const Octets& one : records) body.add(one);
  return Octets().u32(format).u32(body.bytes.size()).add(body);
}

TEST(Counters, OfAnInterfaceAreARow) {
  for (const uint32_t format : {2u, 4u}) {
    DecodeRun run;
    Octets ethernet;
    for (uint32_t i = 1; i <= 13; ++i) ethernet.u32(i);
    const Octets name = record(1005, Octets().u32(5).u32(0x6574302f).u32(0x31000000));
    const Octets host = record(2000, Octets().u32(1));
    run.feed(sflow({counter_sample(format, {host, record(1, interface_counters()), record(2, ethernet), name}),
                    counter_sample(format, {host}), sample(1, {raw_header(frame())})}));
    EXPECT_EQ(run.rows.size(), 1u);
    EXPECT_EQ(run.decoder.total().counter_samples, 2u);
    ASSERT_EQ(run.side_rows["counters"].size(), 1u) << "a host's are no interface's";
    const std::map<std::string, std::string> expected = {{"if_index", "582"},
                                                         {"if_name", "et0/1"},
                                                         {"if_type", "6"},
                                                         {"if_speed", "10000000000"},
                                                         {"if_status", "3"},
                                                         {"in_octets", std::to_string(1ull << 40)},
                                                         {"in_ucast_packets", "1"},
                                                         {"in_multicast_packets", "2"},
                                                         {"in_broadcast_packets", "3"},
                                                         {"in_discards", "4"},
                                                         {"in_errors", "5"},
                                                         {"in_unknown_protocols", "null"},
                                                         {"out_octets", "null"},
                                                         {"out_ucast_packets", "6"},
                                                         {"out_errors", "10"},
                                                         {"promiscuous_mode", "0"},
                                                         {"alignment_errors", "1"},
                                                         {"symbol_errors", "13"},
                                                         {"agent", "10.0.0.1"},
                                                         {"exporter", "192.0.2.99"},
                                                         {"time", "2026-01-31 12:01:00+00"}};
    DecodeRun other;
    other.feed(sflow({counter_sample(format, {host, record(1, interface_counters()), record(2, ethernet), name})}),
               kReceived, 0xc0000263);
    for (const auto& [column, value] : expected) EXPECT_EQ(other.side_rows["counters"][0][column], value) << column;
  }
}

TEST(Counters, ThatEndEarlyKeepWhatTheyHave) {
  DecodeRun run;
  Octets cut = interface_counters();
  cut.bytes.resize(36);
  run.feed(sflow({counter_sample(2, {record(1, cut)}), Octets().u32(2).u32(8).u32(1).u32(582)}));
  ASSERT_EQ(run.side_rows["counters"].size(), 1u);
  EXPECT_EQ(run.side_rows["counters"][0]["in_octets"], std::to_string(1ull << 40));
  EXPECT_EQ(run.side_rows["counters"][0]["in_errors"], "null");
  EXPECT_EQ(run.fault(DecodeFault::kSampleMalformed), 1u);
}

TEST(Sflow, ADiscardedPacketIsAnEventAndNoFlow) {
  DecodeRun run;
  Octets body;
  body.u32(7).u32(0).u32(2).u32(9).u32(2).u32(0).u32(258).u32(1).add(raw_header(frame()));
  run.feed(sflow({Octets().u32(5).u32(body.bytes.size()).add(body), Octets().u32(5).u32(4).u32(1)}));
  EXPECT_TRUE(run.rows.empty());
  EXPECT_EQ(run.decoder.total().discard_samples, 2u);
  EXPECT_EQ(run.decoder.total().records, 0u);
  EXPECT_EQ(run.fault(DecodeFault::kSampleMalformed), 1u);
  ASSERT_EQ(run.side_rows["events"].size(), 1u);
  const std::map<std::string, std::string> expected = {
      {"kind", "discard"}, {"event", "258"},        {"event_name", "acl"},        {"in_if", "2"},
      {"out_if", "null"},  {"src_ip", "192.0.2.1"}, {"dst_port", "443"},          {"tcp_flags", "18"},
      {"octets", "1000"},  {"vlan", "42"},          {"protocol_version", "sFlow"}};
  for (const auto& [column, value] : expected) EXPECT_EQ(run.side_rows["events"][0][column], value) << column;
}

TEST(Sflow, SamplesThatTheAgentCouldNotSendAreCounted) {
  DecodeRun run;
  const auto with_drops = [](uint32_t sequence, uint32_t drops) {
    Octets body;
    body.u32(sequence).u32(3).u32(512).u32(100'000).u32(drops).u32(11).u32(12).u32(1).add(raw_header(frame()));
    return Octets().u32(1).u32(body.bytes.size()).add(body);
  };
  run.feed(sflow({with_drops(1, 50), with_drops(2, 53), with_drops(3, 53), with_drops(4, 60)}));
  EXPECT_EQ(run.decoder.total().agent_drops, 10u) << "since the first that was seen";
  run.feed(sflow({with_drops(1, 0), with_drops(2, 2)}));
  EXPECT_EQ(run.decoder.total().agent_drops, 12u) << "the agent began anew";
  EXPECT_EQ(run.decoder.total().missing, 0u);
}

TEST(Sflow, MissingSamplesAreThoseOfTheSource) {
  DecodeRun run;
  run.feed(sflow({sample(10, {raw_header(frame())})}));
  run.feed(sflow({sample(15, {raw_header(frame())})}));
  EXPECT_EQ(run.decoder.total().missing, 4u);
}

}  // namespace
}  // namespace backstream::decode
