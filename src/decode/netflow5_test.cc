#include "decode/decode_test_input.h"

namespace backstream::decode {
namespace {

struct V5 {
  uint32_t uptime_ms = 1'000'000, first_ms = 990'000, last_ms = 995'000, sequence = 0, octets = 1500;
  uint16_t count = 1, sampling = 0, records = 1;
  uint8_t protocol = 6;
  uint16_t dst_port = 443;
};
Octets v5(const V5& v) {
  Octets o;
  o.u16(5).u16(v.count).u32(v.uptime_ms).u32(kExported).u32(500'000'000).u32(v.sequence).u8(1).u8(2).u16(v.sampling);
  for (int i = 0; i < v.records; ++i) {
    o.u32(0x0a000001).u32(0x0a000002).u32(0x0a0000fe).u16(7).u16(8).u32(3).u32(v.octets).u32(v.first_ms).u32(v.last_ms);
    o.u16(50'000).u16(v.dst_port).u8(0).u8(0x1b).u8(v.protocol).u8(0x20).u16(64'512).u16(64'513).u8(24).u8(16).u16(0);
  }
  return o;
}

TEST(Netflow5, EveryFieldIsWhereItBelongs) {
  DecodeRun run;
  const DecodeOutcome outcome = run.feed(v5({}));
  const std::map<std::string, std::string> expected = {{"src_ip", "10.0.0.1"},
                                                       {"dst_ip", "10.0.0.2"},
                                                       {"next_hop", "10.0.0.254"},
                                                       {"in_if", "7"},
                                                       {"out_if", "8"},
                                                       {"packets_raw", "3"},
                                                       {"octets_raw", "1500"},
                                                       {"src_port", "50000"},
                                                       {"dst_port", "443"},
                                                       {"tcp_flags", "27"},
                                                       {"protocol", "6"},
                                                       {"tos", "32"},
                                                       {"src_as", "64512"},
                                                       {"dst_as", "64513"},
                                                       {"src_mask", "24"},
                                                       {"dst_mask", "16"},
                                                       {"sampling_rate", "1"},
                                                       {"protocol_version", "5"},
                                                       {"observation_domain", "258"},
                                                       {"exporter", "10.0.0.1"},
                                                       {"exported_at", "2026-01-31 12:00:59.5+00"},
                                                       {"flow_end", "2026-01-31 12:00:54.5+00"},
                                                       {"icmp_type", "null"},
                                                       {"flow_start", "2026-01-31 12:00:49.5+00"},
                                                       {"time", "2026-01-31 12:00:54.5+00"},
                                                       {"vlan", "null"},
                                                       {"site", "null"}};
  for (const auto& [column, value] : expected) EXPECT_EQ(run.last(column), value) << column;
  EXPECT_TRUE(outcome.any_rows);
  EXPECT_EQ(base::format_timestamp(outcome.time_max), run.last("time"));
}

TEST(Netflow5, MinutesOfArrivalAddUpToTheWhole) {
  DecodeRun run;
  V5 v;
  v.records = v.count = 3;
  run.feed(v5(v), kReceived);
  v.sequence = 3;
  run.feed(v5(v), kReceived + 59'999'999);
  v.sequence = 16;  // ten records are missing
  run.feed(v5(v), kReceived + 60'000'000);
  v.sequence = 6;  // three of them come, in the minute after
  run.feed(v5(v), kReceived + 120'000'000);
  run.feed(v5({}), kReceived, 0x0a000002);                         // another exporter
  run.feed(Octets().u32(7), kReceived + 119'999'999, 0x0a000002);  // of which one minute saw nothing readable
  run.feed(v5({}), kReceived - 1, 0x0a000002);                     // and time stepped back
  const auto minutes = run.decoder.minutes();
  struct Expected {
    base::Micros minute;
    uint32_t exporter;
    uint64_t datagrams, decoded, flows;
    int64_t missing;
  };
  const Expected expected[] = {{kReceived - 60'000'000, 1, 1, 1, 1, 0},
                               {kReceived, 0, 2, 2, 6, 0},
                               {kReceived, 1, 1, 1, 1, 0},
                               {kReceived + 60'000'000, 0, 1, 1, 3, 10},
                               {kReceived + 60'000'000, 1, 1, 0, 0, 0},
                               {kReceived + 120'000'000, 0, 1, 1, 3, -3}};
  ASSERT_EQ(minutes.size(), std::size(expected));
  IngestLedger sum;
  for (size_t i = 0; i < minutes.size(); ++i) {
    const MinuteLedger& m = minutes[i];
    EXPECT_EQ(m.minute, expected[i].minute) << i;
    EXPECT_EQ(m.exporter, expected[i].exporter) << i;
    EXPECT_EQ(m.ledger.datagrams, expected[i].datagrams) << i;
    EXPECT_EQ(m.ledger.decoded, expected[i].decoded) << i;
    EXPECT_EQ(m.ledger.flows, expected[i].flows) << i;
    EXPECT_EQ(static_cast<int64_t>(m.ledger.missing), expected[i].missing) << i;
    sum += m.ledger;
  }
  EXPECT_EQ(sum, run.decoder.total());
}

TEST(Netflow5, WhatWasSentBetweenTwoProcessesIsMissingAndToldApart) {
  DecodeRun before;
  V5 v;
  v.records = v.count = 3;
  before.feed(v5(v), kReceived);
  before.feed(v5(v), kReceived, 0x0a000002);
  before.feed(v5(v), kReceived, 0x0a000003);
  auto marks = std::make_shared<SequenceMarks>();
  before.decoder.add_marks(*marks);
  ASSERT_EQ(marks->size(), 3u);
  DecodeRun after;
  after.decoder.resume_sequences(marks);
  v.sequence = 50;  // 47 after the first 3
  after.feed(v5(v), kReceived + 1'000'000);
  v.sequence = 63;  // ten more while it listens
  after.feed(v5(v), kReceived + 2'000'000);
  v.sequence = 3;
  after.feed(v5(v), kReceived + 2'000'000, 0x0a000002);
  v.sequence = 1'000'000;  // of one that was not known
  after.feed(v5(v), kReceived + 2'000'000, 0x0a000004);
  EXPECT_EQ(after.decoder.missing_away(), 47u);
  EXPECT_EQ(after.decoder.total().missing, 57u);
  after.decoder.add_marks(*marks);
  EXPECT_EQ(marks->size(), 4u);
  EXPECT_EQ(static_cast<uint32_t>(marks->at({base::Inet::v4(0x0a000001), 5, marks->begin()->first.stream}).next), 66u);
  EXPECT_EQ(static_cast<uint32_t>(marks->at({base::Inet::v4(0x0a000003), 5, marks->begin()->first.stream}).next), 3u)
      << "one that was not heard again stays where it was";
}

TEST(Netflow5, MinutesAreBounded) {
  DecodeRun run;
  for (size_t minute = 0; minute < Decoder::kMinuteLedgersMax + 100; ++minute)
    run.feed(Octets().u32(7), static_cast<base::Micros>(minute) * 60'000'000);
  const auto minutes = run.decoder.minutes();
  EXPECT_EQ(minutes.size(), Decoder::kMinuteLedgersMax);
  EXPECT_EQ(minutes.front().minute, base::Micros{100} * 60'000'000) << "the oldest are forgotten";
}

TEST(Netflow5, UptimeWrapsBetweenFlowAndExport) {
  DecodeRun run;
  V5 v;
  v.uptime_ms = 2'000;             // just wrapped
  v.last_ms = 0xffffffff - 2'999;  // 5 s before
  v.first_ms = v.last_ms - 1'000;
  run.feed(v5(v));
  EXPECT_EQ(run.last("time"), "2026-01-31 12:00:54.5+00");
  EXPECT_EQ(run.last("flow_start"), "2026-01-31 12:00:53.5+00");
}

TEST(Netflow5, SamplingIsTheLower14Bits) {
  DecodeRun run;
  V5 v;
  v.sampling = 0x4000 | 1000;
  run.feed(v5(v));
  EXPECT_EQ(run.last("sampling_rate"), "1000");
}

TEST(Netflow5, IcmpTypeAndCodeAreInTheDestinationPort) {
  DecodeRun run;
  V5 v;
  v.protocol = 1;
  v.dst_port = 0x0301;
  run.feed(v5(v));
  EXPECT_EQ(run.last("icmp_type"), "3");
  EXPECT_EQ(run.last("icmp_code"), "1");
}

TEST(Netflow5, ACountThatDoesNotFitRejectsTheDatagram) {
  DecodeRun run;
  V5 v;
  v.count = 2;
  run.feed(v5(v));
  v.count = 0;
  run.feed(v5(v));
  EXPECT_TRUE(run.rows.empty());
  EXPECT_EQ(run.decoder.total().rejected, 2u);
  EXPECT_EQ(run.fault(DecodeFault::kCountMismatch), 2u);
}

TEST(Netflow5, MissingRecordsAreThoseOfTheSequenceNumbers) {
  DecodeRun run;
  V5 v;
  v.count = v.records = 12;  // more than a batch of the writer
  run.feed(v5(v));
  v.sequence = 12;
  run.feed(v5(v));
  EXPECT_EQ(run.decoder.total().missing, 0u);
  v.sequence = 36;  // a datagram is missing
  run.feed(v5(v));
  EXPECT_EQ(run.decoder.total().missing, 12u);
  v.sequence = 24;  // it comes late
  run.feed(v5(v));
  EXPECT_EQ(run.decoder.total().missing, 0u);
}

TEST(Decoder, WhatIsNoExportIsCountedAsThat) {
  DecodeRun run;
  run.feed(Octets());
  run.feed(Octets().u16(5));
  run.feed(Octets().u16(4711).zeros(100));
  run.feed(v5({}).u8(0));  // padding behind the records does no harm
  EXPECT_EQ(run.fault(DecodeFault::kNotAnExport), 3u);
  EXPECT_EQ(run.decoder.total().undecodable, 3u);
  run.feed(Octets().u16(5).u16(1).u32(0));
  EXPECT_EQ(run.fault(DecodeFault::kHeaderTruncated), 1u);
  EXPECT_EQ(run.rows.size(), 1u);
}

TEST(Decoder, ExportersBeyondTheLimitAreRefusedAndCounted) {
  DecodeSettings settings;
  settings.exporter_count_max = 2;
  DecodeRun run(settings);
  for (uint32_t address : {1u, 2u, 3u, 1u}) run.feed(v5({}), kReceived, address);
  EXPECT_EQ(run.rows.size(), 3u);
  EXPECT_EQ(run.decoder.exporter_count(), 2u);
  EXPECT_EQ(run.fault(DecodeFault::kExporterLimit), 1u);
}

}  // namespace
}  // namespace backstream::decode
