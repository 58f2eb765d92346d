#include "ingest/frame.h"

#include <gtest/gtest.h>

#include "ingest/capture_bytes_test.h"

namespace backstream::ingest {
namespace {

const Octets kFlow = text("flow");

/// The frame gives the datagram "flow" from 192.0.2.1 or 2001:db8::1, port 1000, to port 2055.
void expect_flow(const Seen& seen, const char* source = "192.0.2.1") {
  ASSERT_EQ(seen.error, "");
  ASSERT_EQ(seen.payloads(), std::vector<std::string>{"flow"});
  const base::Datagram& about = seen.datagrams[0].about;
  EXPECT_EQ(base::to_string(about.source), source);
  EXPECT_EQ(about.source_port, 1000);
  EXPECT_EQ(about.destination_port, 2055);
  EXPECT_EQ(seen.stats.frames, 1u);
  EXPECT_EQ(seen.stats.datagrams, 1u);
  EXPECT_EQ(seen.skipped_all(), 0u);
}
void expect_skip(const Seen& seen, IngestSkip why) {
  ASSERT_EQ(seen.error, "");
  EXPECT_TRUE(seen.datagrams.empty());
  EXPECT_EQ(seen.stats.frames, 1u);
  EXPECT_EQ(seen.skipped(why), 1u) << name(why);
  EXPECT_EQ(seen.skipped_all(), 1u);
}

TEST(Frame, EveryLinkType) {
  const Octets v4 = ipv4(udp(kFlow)), v6 = ipv6(udp(kFlow));
  const auto sll = [](uint16_t type, const Octets& inside) { return Octets(14, 0) + number(type, 2) + inside; };
  const auto sll2 = [](uint16_t type, const Octets& inside) { return number(type, 2) + Octets(18, 0) + inside; };
  expect_flow(see_frame(1, ethernet(v4)));
  expect_flow(see_frame(1, ethernet(v6, 0x86dd)), "2001:db8::1");
  expect_flow(see_frame(113, sll(0x0800, v4)));
  expect_flow(see_frame(113, sll(0x86dd, v6)), "2001:db8::1");
  expect_flow(see_frame(276, sll2(0x0800, v4)));
  expect_flow(see_frame(276, sll2(0x86dd, v6)), "2001:db8::1");
  for (const uint32_t raw : {101, 12, 14, 228}) expect_flow(see_frame(raw, v4));
  for (const uint32_t raw : {101, 12, 14, 229}) expect_flow(see_frame(raw, v6), "2001:db8::1");
  for (const uint32_t loopback : {0, 108}) {
    for (const bool big_endian : {false, true}) {
      expect_flow(see_frame(loopback, number(2, 4, big_endian) + v4));
      // AF_INET6 is 10, 24, 28 or 30.
      for (const unsigned family : {10, 24, 28, 30}) {
        expect_flow(see_frame(loopback, number(family, 4, big_endian) + v6), "2001:db8::1");
      }
    }
  }
}

TEST(Frame, VlanTags) {
  const Octets v4 = ipv4(udp(kFlow));
  for (const uint16_t outer : {0x8100, 0x88a8, 0x9100}) {
    expect_flow(see_frame(1, ethernet(number(5, 2) + number(0x0800, 2) + v4, outer)));
    const Octets inner = number(6, 2) + number(0x0800, 2) + v4;
    expect_flow(see_frame(1, ethernet(number(5, 2) + number(0x8100, 2) + inner, outer)));
  }
  Octets tags;
  for (int i = 0; i < 20; ++i) tags = tags + number(1, 2) + number(0x8100, 2);
  expect_skip(see_frame(1, ethernet(tags + v4, 0x8100)), IngestSkip::kMalformed);
}

TEST(Frame, WhatIsNoDatagramIsSkippedByReason) {
  expect_skip(see_frame(1, ethernet(Octets(28, 0), 0x0806)), IngestSkip::kNotIp);
  expect_skip(see_frame(101, Octets(40, 0x20)), IngestSkip::kNotIp);
  expect_skip(see_frame(1, ethernet(ipv4(Octets(20, 0), 6))), IngestSkip::kNotUdp);
  expect_skip(see_frame(1, ethernet(ipv6(Octets(20, 0), 58), 0x86dd)), IngestSkip::kNotUdp);
}

TEST(Frame, FragmentsAreSkippedTheFirstToo) {
  expect_skip(see_frame(1, ethernet(ipv4(udp(kFlow), 17, 0x2000))), IngestSkip::kFragment);  // first of several
  expect_skip(see_frame(1, ethernet(ipv4(udp(kFlow), 17, 0x0010))), IngestSkip::kFragment);  // last
  const auto fragment = [](uint16_t offset_and_more) {
    return number(17, 1) + number(0, 1) + number(offset_and_more, 2) + number(9, 4) + udp(kFlow);
  };
  expect_skip(see_frame(101, ipv6(fragment(0x0001), 44)), IngestSkip::kFragment);
  expect_skip(see_frame(101, ipv6(fragment(0x0008), 44)), IngestSkip::kFragment);
  expect_flow(see_frame(101, ipv6(fragment(0x0000), 44)), "2001:db8::1");  // whole in one (RFC 6946)
}

TEST(Frame, Ipv4OptionsAreStepped) { expect_flow(see_frame(101, ipv4(udp(kFlow), 17, 0, Octets(12, 1)))); }

TEST(Frame, Ipv6ExtensionHeadersAreWalked) {
  const auto extension = [](uint8_t next, uint8_t length, size_t octets) {
    return number(next, 1) + number(length, 1) + Octets(octets - 2, 0);
  };
  const Octets inside = extension(60, 0, 8) + extension(43, 1, 16) + extension(51, 2, 24) + extension(17, 4, 24);
  expect_flow(see_frame(101, ipv6(inside + udp(kFlow), 0)), "2001:db8::1");
  Octets many;
  for (int i = 0; i < 8; ++i) many = many + extension(i == 7 ? 17 : 60, 0, 8);
  expect_flow(see_frame(101, ipv6(many + udp(kFlow), 60)), "2001:db8::1");
  expect_skip(see_frame(101, ipv6(extension(60, 0, 8) + many + udp(kFlow), 60)), IngestSkip::kMalformed);
  expect_skip(see_frame(101, ipv6(extension(17, 200, 8) + udp(kFlow), 60)), IngestSkip::kMalformed);
}

TEST(Frame, EthernetPaddingIsNoPayload) { expect_flow(see_frame(1, flow_frame("flow") + Octets(18, 0xee))); }

TEST(Frame, EmptyDatagramIsHandedOn) {
  const Seen seen = see_frame(1, flow_frame(""));
  EXPECT_EQ(seen.payloads(), std::vector<std::string>{""});
}

TEST(Frame, LengthsThatContradictAreMalformed) {
  const auto with = [](Octets frame, size_t at, uint16_t value) {
    frame[at] = static_cast<uint8_t>(value >> 8);
    frame[at + 1] = static_cast<uint8_t>(value);
    return frame;
  };
  const Octets v4 = ipv4(udp(kFlow)), v6 = ipv6(udp(kFlow));
  expect_skip(see_frame(101, with(v4, 24, 7)), IngestSkip::kMalformed);   // UDP length below its header
  expect_skip(see_frame(101, with(v4, 24, 13)), IngestSkip::kMalformed);  // beyond the IP packet
  expect_skip(see_frame(101, with(v4, 2, 27)), IngestSkip::kMalformed);   // an IP packet with no room for UDP
  expect_skip(see_frame(101, with(v4, 2, 19)), IngestSkip::kMalformed);
  expect_skip(see_frame(101, with(v4, 0, 0x4400)), IngestSkip::kMalformed);  // IP header of 16 octets
  expect_skip(see_frame(101, with(v6, 4, 7)), IngestSkip::kMalformed);
  expect_skip(see_frame(1, ethernet(v6)), IngestSkip::kMalformed);  // IPv6 that the frame calls IPv4
  expect_flow(see_frame(101, with(v4, 2, 0)));                      // TSO: length not filled in
  expect_flow(see_frame(101, with(v6, 4, 0)), "2001:db8::1");
}

TEST(Frame, EverySnapLengthBelowTheDatagramIsCutShort) {
  for (const Octets& frame : {flow_frame("flow"), ethernet(ipv6(udp(kFlow)), 0x86dd),
                              ethernet(number(5, 2) + number(0x0800, 2) + ipv4(udp(kFlow)), 0x8100)}) {
    for (size_t octets = 0; octets < frame.size(); ++octets) {
      SCOPED_TRACE(octets);
      expect_skip(see_frame(1, Octets(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(octets))),
                  IngestSkip::kCutShort);
    }
  }
}

TEST(Frame, MappedIpv4SourceIsIpv4) {
  Octets frame = ipv6(udp(kFlow));
  const Octets mapped = Octets(10, 0) + Octets(2, 0xff) + number(0xc0000201, 4);
  std::copy(mapped.begin(), mapped.end(), frame.begin() + 8);
  expect_flow(see_frame(101, frame), "192.0.2.1");
}

}  // namespace
}  // namespace backstream::ingest
