// What users of flow collectors report most often, a test a point: numbers are those of the list of 25 that the
// acquisition part was built against.
#include <chrono>
#include <cmath>
#include <random>
#include <set>
#include <thread>

#include "base/byte_order.h"
#include "decode/decode_test_input.h"

namespace backstream::decode {
namespace {

using Fields = std::vector<std::pair<uint16_t, uint16_t>>;
constexpr base::Micros kSecond = base::kMicrosPerSecond;

Octets set(uint16_t id, const Octets& body) { return Octets().u16(id).u16(4 + body.bytes.size()).add(body); }
Octets ipfix(const Octets& sets, uint32_t sequence = 0, uint32_t domain = 1, uint32_t exported = kExported) {
  return Octets().u16(10).u16(16 + sets.bytes.size()).u32(exported).u32(sequence).u32(domain).add(sets);
}
Octets v9(const Octets& sets, uint32_t sequence = 0, uint32_t source_id = 1, uint32_t uptime_ms = 1'000'000,
          uint32_t exported = kExported) {
  return Octets().u16(9).u16(1).u32(uptime_ms).u32(exported).u32(sequence).u32(source_id).add(sets);
}
Octets v5(uint32_t sequence, int records = 30, uint32_t uptime_ms = 1'000'000, uint32_t exported = kExported,
          uint16_t sampling = 0) {
  Octets o;
  o.u16(5).u16(static_cast<uint64_t>(records)).u32(uptime_ms).u32(exported).u32(0).u32(sequence).u16(0).u16(sampling);
  for (int i = 0; i < records; ++i)
    o.u32(0x0a000001).u32(0x0a000002).u32(0).u32(0).u32(3).u32(1500).u32(uptime_ms).u32(uptime_ms).zeros(16);
  return o;
}
Octets template_of(uint16_t id, const Fields& fields) {
  Octets o;
  o.u16(id).u16(fields.size());
  for (const auto& [element, width] : fields) o.u16(element).u16(width);
  return o;
}
/// IPFIX: one scope, observationDomainId.
Octets options_of(uint16_t id, const Fields& fields) {
  Octets o;
  o.u16(id).u16(fields.size() + 1).u16(1).u16(149).u16(4);
  for (const auto& [element, width] : fields) o.u16(element).u16(width);
  return o;
}
/// NetFlow v9: one scope, the system.
Octets v9_options_of(uint16_t id, const Fields& fields, uint16_t scope_width = 4) {
  Octets o;
  o.u16(id).u16(4).u16(4 * fields.size()).u16(1).u16(scope_width);
  for (const auto& [element, width] : fields) o.u16(element).u16(width);
  return o;
}
const Fields kSmall = {{8, 4}, {12, 4}, {1, 8}, {2, 4}};  // addresses, octets, packets
Octets small(uint64_t octets = 700) { return Octets().u32(0x0a000001).u32(0x0a000002).u64(octets).u32(7); }
Fields with(Fields fields, const Fields& more) {
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}
Octets with(Octets octets, const Octets& more) { return octets.add(more); }
uint64_t f64(double value) { return std::bit_cast<uint64_t>(value); }
uint32_t f32(float value) { return std::bit_cast<uint32_t>(value); }

DecodeSettings settings_of(std::initializer_list<ExporterRule> rules, uint64_t sampling_default = 0) {
  DecodeSettings settings;
  settings.exporters = rules;
  settings.sampling_default = sampling_default;
  return settings;
}
ExporterRule rule(const char* prefix) {
  ExporterRule made;
  made.prefix = *base::parse_inet(prefix);
  return made;
}

// --- 1: the sampling rate is found wherever it is

const std::vector<std::tuple<Fields, Octets, const char*>> kRates = {
    {{{34, 4}}, Octets().u32(100), "100"},
    {{{34, 4}, {35, 1}}, Octets().u32(100).u8(2), "100"},
    {{{50, 2}}, Octets().u16(512), "512"},
    {{{49, 1}, {50, 4}}, Octets().u8(2).u32(1'000), "1000"},
    {{{304, 2}, {305, 4}, {306, 4}}, Octets().u16(1).u32(1).u32(99), "100"},
    {{{305, 4}, {306, 4}}, Octets().u32(2).u32(198), "100"},
    {{{305, 4}}, Octets().u32(64), "64"},
    {{{309, 4}, {310, 4}}, Octets().u32(1).u32(256), "256"},
    {{{305, 4}, {309, 4}, {310, 4}}, Octets().u32(1).u32(1).u32(256), "256"},
    {{{311, 8}}, Octets().u64(f64(0.001)), "1000"},
    {{{311, 4}}, Octets().u32(f32(0.01F)), "100"}};

TEST(PeerPoint01, TheRateIsReadFromOptions) {
  for (const auto& [fields, values, rate] : kRates) {
    for (const bool as_v9 : {false, true}) {
      DecodeRun run;
      if (as_v9) {
        run.feed(v9(set(1, v9_options_of(300, fields)).add(set(300, with(Octets().u32(1), values)))));
        run.feed(v9(set(0, template_of(256, kSmall)).add(set(256, small()))));
      } else {
        run.feed(ipfix(set(3, options_of(300, fields)).add(set(300, with(Octets().u32(1), values)))));
        run.feed(ipfix(set(2, template_of(256, kSmall)).add(set(256, small()))));
      }
      EXPECT_EQ(run.last("sampling_rate"), rate) << fields[0].first << (as_v9 ? " in v9" : "");
    }
  }
}

TEST(PeerPoint01, TheRateIsReadFromTheRecordItself) {  // Huawei
  for (const auto& [fields, values, rate] : kRates) {
    DecodeRun run;
    run.feed(ipfix(set(2, template_of(256, with(kSmall, fields))).add(set(256, with(small(), values)))));
    EXPECT_EQ(run.last("sampling_rate"), rate) << fields[0].first;
    EXPECT_EQ(run.decoder.total().sampling_unknown_rows, 0u);
  }
}

TEST(PeerPoint01, ADefaultCountsWhereNothingIsKnownAndAnOverrideAlways) {
  ExporterRule narrow = rule("10.0.0.0/24"), wide = rule("10.0.0.0/8"), fixed = rule("10.0.1.1");
  narrow.sampling_default = 50;
  wide.sampling_default = 60;
  fixed.sampling_rate = 7;
  const auto rate = [&](uint32_t address, const Octets& message, uint64_t otherwise) {
    DecodeRun run(settings_of({wide, narrow, fixed}, otherwise));
    run.feed(message, kReceived, address);
    EXPECT_EQ(run.decoder.total().sampling_unknown_rows, run.last("sampling_rate") == "null" ? 1u : 0u);
    return run.last("sampling_rate");
  };
  const Octets untold = ipfix(set(2, template_of(256, kSmall)).add(set(256, small())));
  const Octets told =
      ipfix(set(2, template_of(256, with(kSmall, {{34, 4}}))).add(set(256, with(small(), Octets().u32(100)))));
  const Octets named =
      ipfix(set(2, template_of(256, with(kSmall, {{48, 1}}))).add(set(256, with(small(), Octets().u8(9)))));
  EXPECT_EQ(rate(0x0a000001, untold, 0), "50") << "the longest prefix";
  EXPECT_EQ(rate(0x0a020001, untold, 0), "60");
  EXPECT_EQ(rate(0x0b000001, untold, 0), "null");
  EXPECT_EQ(rate(0x0b000001, untold, 1), "1");
  EXPECT_EQ(rate(0x0b000001, named, 40), "40") << "a sampler that nobody told of";
  EXPECT_EQ(rate(0x0a000001, told, 0), "100") << "the exporter's word comes before a default";
  EXPECT_EQ(rate(0x0a000101, told, 0), "7") << "and after an override";
  EXPECT_EQ(rate(0x0a000101, untold, 0), "7");
  EXPECT_EQ(rate(0x0a000101, v5(0, 1, 1'000, kExported, 100), 0), "7");
  EXPECT_EQ(rate(0x0a000001, v5(0, 1, 1'000, kExported, 100), 0), "100");
  EXPECT_EQ(rate(0x0a000001, v5(0, 1), 0), "50") << "Huawei leaves the header's interval 0";
  EXPECT_EQ(rate(0x0b000001, v5(0, 1), 0), "1");
}

Octets sflow_of(uint32_t sampling_rate, uint32_t sequence = 1, uint32_t drops = 0) {
  Octets o;
  o.u32(5).u32(1).u32(0xc0000263).u32(0).u32(1).u32(1'000).u32(1);
  o.u32(1).u32(32 + 32).u32(sequence).u32(3).u32(sampling_rate).u32(0).u32(drops).u32(1).u32(2).u32(1);
  o.u32(2).u32(24).u32(90).put(0x020000000001, 6).u16(0).put(0x020000000002, 6).u16(0).u32(0x0800);
  return o;
}

TEST(PeerPoint01, SettingsHoldForSflowToo) {
  ExporterRule fixed = rule("10.0.0.1");
  fixed.sampling_rate = 7;
  DecodeRun run(settings_of({fixed}, 50));
  run.feed(sflow_of(100), kReceived, 0x0a000001);
  EXPECT_EQ(run.last("sampling_rate"), "7");
  run.feed(sflow_of(100), kReceived, 0x0a000002);
  EXPECT_EQ(run.last("sampling_rate"), "100");
  run.feed(sflow_of(0), kReceived, 0x0a000003);
  EXPECT_EQ(run.last("sampling_rate"), "50");
}

TEST(PeerPoint01, UnknownIsVisiblePerExporter) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, kSmall)).add(set(256, small().add(small())))), kReceived, 1);
  run.feed(v5(0), kReceived, 2);
  EXPECT_EQ(run.decoder.ledger(0).sampling_unknown_rows, 2u);
  EXPECT_EQ(run.decoder.ledger(1).sampling_unknown_rows, 0u);
  EXPECT_EQ(run.rows[0]["sampling_rate"], "null");
}

// --- 2, 3, 4: which rate

TEST(PeerPoint02, SamplersAreFoundUnderAnotherSourceId) {  // Catalyst 9300
  DecodeRun run;
  const Fields data = with(kSmall, {{48, 1}});
  run.feed(
      v9(set(1, v9_options_of(300, {{48, 1}, {50, 4}})).add(set(300, Octets().u32(0).u8(4).u32(128).zeros(3))), 0, 6));
  run.feed(v9(set(0, template_of(256, data)).add(set(256, with(small(), Octets().u8(4)))), 0, 0));
  EXPECT_EQ(run.last("sampling_rate"), "128") << "the same sampler of another domain";
  run.feed(v9(set(256, with(small(), Octets().u8(9))), 1, 0));
  EXPECT_EQ(run.last("sampling_rate"), "128") << "the exporter's only rate";
  run.feed(v9(set(0, template_of(257, kSmall)).add(set(257, small())), 2, 0));
  EXPECT_EQ(run.last("sampling_rate"), "128") << "of a record without sampler, too";
}

TEST(PeerPoint03, EachRecordHasTheRateOfItsOwnSampler) {
  DecodeRun run;
  run.feed(ipfix(
      set(3, options_of(300, {{302, 4}, {305, 4}, {306, 4}}))
          .add(set(300, Octets().u32(1).u32(1).u32(1).u32(999).u32(1).u32(2).u32(1).u32(1'999).u32(1).u32(3).u32(0).u32(
                            0)))));
  Octets records;
  for (const uint32_t selector : {1, 2, 2, 1, 3}) records.add(small()).u32(selector);
  run.feed(ipfix(set(2, template_of(256, with(kSmall, {{302, 4}}))).add(set(256, records)), 3));
  std::vector<std::string> rates;
  for (auto& row : run.rows) rates.push_back(row["sampling_rate"]);
  EXPECT_EQ(rates, (std::vector<std::string>{"1000", "2000", "2000", "1000", "1"})) << "one that is not in use: 1";
  run.feed(ipfix(set(2, template_of(257, kSmall)).add(set(257, small())), 8));
  EXPECT_EQ(run.last("sampling_rate"), "null") << "of two rates none is the exporter's only one";
  run.feed(ipfix(set(300, Octets().u32(1).u32(2).u32(1).u32(499)).add(set(256, small().u32(2))), 9));
  EXPECT_EQ(run.last("sampling_rate"), "500") << "a sampler that adapts";
}

TEST(PeerPoint04, UnsampledRecordsOfASampledExporterStayAsTheyAre) {
  DecodeRun run;
  run.feed(v9(set(1, v9_options_of(300, {{48, 1}, {34, 4}})).add(set(300, Octets().u32(0).u8(1).u32(1'000).zeros(3)))));
  Octets records;
  for (const uint8_t sampler : {1, 0, 1}) records.add(small()).u8(sampler);
  run.feed(v9(set(0, template_of(256, with(kSmall, {{48, 1}}))).add(set(256, records)), 1));
  EXPECT_EQ(run.rows[0]["sampling_rate"], "1000");
  EXPECT_EQ(run.rows[1]["sampling_rate"], "1") << "sampler 0 is none";
  EXPECT_EQ(run.rows[2]["sampling_rate"], "1000");
  run.feed(v9(set(0, template_of(257, with(kSmall, {{34, 4}}))).add(set(257, with(small(), Octets().u32(1)))), 2));
  EXPECT_EQ(run.last("sampling_rate"), "1") << "the record says so itself";
  DecodeRun unsampled;
  unsampled.feed(v9(set(0, template_of(257, with(kSmall, {{34, 4}}))).add(set(257, with(small(), Octets().u32(0))))));
  EXPECT_EQ(unsampled.last("sampling_rate"), "1") << "an interval of 0 means 1:1 (H3C)";
}

// --- 5, 6: templates

TEST(PeerPoint05, TemplatesAreOfTheirExporterVersionAndDomain) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, {{8, 4}, {1, 4}})), 0, 1));
  run.feed(ipfix(set(2, template_of(256, {{12, 4}, {1, 4}})), 0, 2));
  run.feed(ipfix(set(2, template_of(256, {{1, 4}, {8, 4}})), 0, 1), kReceived, 99);
  run.feed(v9(set(0, template_of(256, {{2, 4}, {1, 4}})), 0, 1));
  const Octets record = set(256, Octets().u32(5).u32(6));
  run.feed(ipfix(record, 0, 1));
  EXPECT_EQ(run.last("src_ip"), "0.0.0.5");
  run.feed(ipfix(record, 0, 2));
  EXPECT_EQ(run.last("dst_ip"), "0.0.0.5");
  run.feed(ipfix(record, 0, 1), kReceived, 99);
  EXPECT_EQ(run.last("octets_raw"), "5");
  run.feed(v9(record, 1, 1));
  EXPECT_EQ(run.last("packets_raw"), "5");
}

TEST(PeerPoint05, DataAndOptionsTemplatesShareTheirIds) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, kSmall)).add(set(3, options_of(256, {{34, 4}})))));
  run.feed(ipfix(set(256, Octets().u32(1).u32(100))));
  EXPECT_EQ(run.decoder.total().option_rows, 1u) << "the last definition in wire order holds";
  run.feed(ipfix(set(2, template_of(256, kSmall)).add(set(256, small())), 1));
  EXPECT_EQ(run.decoder.total().flows, 1u);
}

TEST(PeerPoint05, TemplatesAreOfTheirPortWhenAskedFor) {
  const Octets announced = ipfix(set(2, template_of(256, kSmall))), data = ipfix(set(256, small()));
  DecodeRun usual;
  usual.feed(announced, kReceived, 1, 1'000);
  usual.feed(data, kReceived, 1, 2'000);
  EXPECT_EQ(usual.rows.size(), 1u) << "many exporters change their ports";
  DecodeSettings settings;
  settings.template_per_port = true;
  DecodeRun run(settings);
  run.feed(announced, kReceived, 1, 1'000);
  run.feed(ipfix(set(2, template_of(256, {{8, 4}, {1, 4}}))), kReceived, 1, 2'000);
  run.feed(data, kReceived, 1, 1'000);
  EXPECT_EQ(run.last("octets_raw"), "700");
  run.feed(ipfix(set(256, Octets().u32(1).u32(55))), kReceived, 1, 2'000);
  EXPECT_EQ(run.last("octets_raw"), "55");
  EXPECT_EQ(run.decoder.exporter_count(), 1u) << "both are of one address";
}

TEST(PeerPoint06, ABadRedefinitionDeletesTheOldTemplate) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, kSmall))));
  run.feed(ipfix(set(2, template_of(256, {{8, 0}, {1, 0}}))));
  EXPECT_EQ(run.fault(DecodeFault::kTemplateInvalid), 1u);
  run.feed(ipfix(set(256, small())));
  EXPECT_TRUE(run.rows.empty()) << "its records were read by a template that is no longer theirs";
  run.feed(v9(set(0, template_of(256, kSmall))));
  run.feed(v9(set(0, Octets().u16(256).u16(0))));
  run.feed(v9(set(256, small())));
  EXPECT_TRUE(run.rows.empty()) << "v9 has no withdrawal: a template without fields is a bad one";
}

TEST(PeerPoint06, ATruncatedEnterpriseFieldDoesNotDeleteTheOldTemplate) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, kSmall))));
  run.feed(ipfix(set(2, Octets().u16(256).u16(2).u16(8).u16(4).u16(0x8001).u16(4))));
  EXPECT_EQ(run.fault(DecodeFault::kTemplateInvalid), 1u);
  run.feed(ipfix(set(256, small())));
  EXPECT_EQ(run.rows.size(), 1u);
}

TEST(PeerPoint06, WithdrawalsHappenInWireOrder) {
  DecodeRun run;
  const Octets gone = Octets().u16(256).u16(0);
  run.feed(ipfix(set(2, template_of(256, kSmall)).add(set(256, small())).add(set(2, gone)).add(set(256, small()))));
  EXPECT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.decoder.total().awaiting_template, 1u);
  run.feed(ipfix(set(2, with(gone, template_of(256, kSmall))).add(set(256, small()))));
  EXPECT_EQ(run.rows.size(), 3u) << "withdrawn and defined in one set; and what waited";
  run.feed(ipfix(set(2, template_of(257, kSmall)).add(set(3, options_of(300, {{34, 4}})))));
  run.feed(ipfix(set(2, Octets().u16(2).u16(0))));
  run.feed(ipfix(set(256, small()).add(set(257, small())).add(set(300, Octets().u32(1).u32(100)))));
  EXPECT_EQ(run.rows.size(), 3u) << "id 2 withdraws all data templates";
  EXPECT_EQ(run.decoder.total().option_rows, 1u) << "and no options template";
  run.feed(ipfix(set(3, Octets().u16(3).u16(0))));
  run.feed(ipfix(set(300, Octets().u32(1).u32(100))));
  EXPECT_EQ(run.decoder.total().option_rows, 1u);
}

TEST(PeerPoint06, TemplatesThatAreNeitherAnnouncedNorUsedExpire) {
  DecodeSettings settings;
  settings.template_expiry_us = 3'600 * kSecond;
  DecodeRun run(settings);
  Micros now = kReceived;
  run.feed(ipfix(set(2, template_of(256, kSmall).add(template_of(257, kSmall)))), now);
  run.feed(ipfix(set(2, template_of(256, kSmall))), now += 1'800 * kSecond);
  run.feed(ipfix(Octets()), now += 2'400 * kSecond);  // 256 was refreshed 40 minutes ago, 257 70 minutes
  run.feed(ipfix(set(256, small()).add(set(257, small()))), now += kSecond);
  EXPECT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.decoder.total().templates_expired, 1u);
  EXPECT_EQ(run.decoder.total().awaiting_template, 1u);
  for (int i = 1; i < 10; ++i) run.feed(ipfix(set(256, small())), now += 1'800 * kSecond);
  EXPECT_EQ(run.rows.size(), 10u) << "a device that announces once: data keeps its template";
  settings.template_expiry_us = 0;
  DecodeRun never(settings);
  never.feed(ipfix(set(2, template_of(256, kSmall))), kReceived);
  never.feed(ipfix(set(256, small())), kReceived + 1'000'000 * kSecond);
  EXPECT_EQ(never.rows.size(), 1u);
}

// --- 7: after a restart

TEST(PeerPoint07, DataBeforeItsTemplateIsKeptAndCountedExactly) {
  DecodeRun run;
  EXPECT_EQ(DecodeSettings().template_wait_us, 10 * kSecond);
  for (int i = 0; i < 3; ++i)
    run.feed(ipfix(set(256, small().add(small())).add(set(400, small()))), kReceived + i * 4 * kSecond);
  IngestLedger l = run.decoder.total();
  EXPECT_EQ(l.awaiting_template, 6u);
  EXPECT_EQ(l.sets_held, 6u);
  run.feed(ipfix(set(2, template_of(256, kSmall))), kReceived + 12 * kSecond);
  l = run.decoder.total();
  EXPECT_EQ(run.rows.size(), 4u) << "the first one came 12 s before: too long ago";
  EXPECT_EQ(l.sets_released, 2u);
  EXPECT_EQ(l.awaiting_template, 4u);
  EXPECT_EQ(run.fault(DecodeFault::kTemplateUnknown), 4u);
  EXPECT_EQ(l.records, 8u);
}

TEST(PeerPoint07, WhatWaitedTooLongMakesRoomForOthers) {
  DecodeSettings settings;
  settings.template_wait_octets_max = 100;
  DecodeRun run(settings);
  const Octets big = set(256, Octets().zeros(96));
  run.feed(ipfix(big), kReceived, 1);
  run.feed(ipfix(set(256, small())), kReceived, 2);
  EXPECT_EQ(run.decoder.total().sets_held, 1u) << "the buffer is full";
  run.feed(ipfix(set(256, small())), kReceived + 61 * kSecond, 2);
  run.feed(ipfix(set(2, template_of(256, kSmall))), kReceived + 62 * kSecond, 2);
  EXPECT_EQ(run.rows.size(), 1u) << "of another exporter than the one whose data fills it";
}

TEST(PeerPoint07, TemplatesAndSamplersOutliveTheProcess) {
  std::vector<uint8_t> kept;
  {
    auto store = std::make_shared<TemplateStore>();
    DecodeRun run({}, 5, DecodeRun::all_columns(), store);
    run.feed(ipfix(set(2, template_of(256, kSmall)).add(set(3, options_of(300, {{34, 4}})))));
    run.feed(ipfix(set(300, Octets().u32(1).u32(100))));
    kept = store->encode();
  }
  auto store = std::make_shared<TemplateStore>();
  ASSERT_TRUE(store->decode(kept));
  DecodeRun run({}, 5, DecodeRun::all_columns(), store);
  run.feed(ipfix(set(256, small())));
  ASSERT_EQ(run.rows.size(), 1u) << "at once, before any template came";
  EXPECT_EQ(run.last("sampling_rate"), "100");
  EXPECT_EQ(run.decoder.exporter_count(), 1u);
}

TEST(PeerPoint07, WhatOneDecoderLearnsAllKnow) {
  auto store = std::make_shared<TemplateStore>();
  DecodeRun a({}, 5, DecodeRun::all_columns(), store), b({}, 5, DecodeRun::all_columns(), store);
  b.feed(ipfix(set(256, small(55)), 7), kReceived);
  EXPECT_EQ(b.decoder.total().awaiting_template, 1u);
  a.feed(ipfix(set(2, template_of(256, kSmall)).add(set(3, options_of(300, {{34, 4}})))), kReceived + kSecond);
  a.feed(ipfix(set(300, Octets().u32(1).u32(100))), kReceived + kSecond);
  b.feed(ipfix(set(256, small(66)), 8), kReceived + 30 * kSecond);
  ASSERT_EQ(b.rows.size(), 2u) << "what waited is read when b looks again, though its time is over then";
  EXPECT_EQ(b.rows[0]["octets_raw"], "55");
  EXPECT_EQ(b.rows[0]["received_at"], "2026-01-31 12:01:00+00");
  EXPECT_EQ(b.last("sampling_rate"), "100");
  EXPECT_EQ(b.decoder.total().awaiting_template, 0u);
  EXPECT_EQ(b.decoder.total().sets_released, 1u);
  EXPECT_EQ(b.decoder.total().missing, 0u);
  a.feed(ipfix(set(2, Octets().u16(256).u16(0)), 1));
  b.feed(ipfix(set(256, small()), 9), kReceived + 31 * kSecond);
  EXPECT_EQ(b.rows.size(), 2u) << "a withdrawal, too";
  b.feed(ipfix(set(2, template_of(256, {{8, 4}, {1, 4}})), 10), kReceived + 32 * kSecond);
  a.feed(ipfix(set(256, Octets().u32(1).u32(77)), 1));
  EXPECT_EQ(a.last("octets_raw"), "77") << "and a redefinition";
}

TEST(PeerPoint07, DecodersOfSeveralThreadsLearnFromEachOther) {
  constexpr size_t kThreads = 3;
  constexpr uint64_t kRounds = 400;
  auto store = std::make_shared<TemplateStore>();
  std::vector<std::unique_ptr<DecodeRun>> runs;
  for (size_t t = 0; t < kThreads; ++t)
    runs.push_back(std::make_unique<DecodeRun>(DecodeSettings(), 5, DecodeRun::all_columns(), store));
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      DecodeRun& run = *runs[t];
      for (uint64_t i = 0; i < kRounds; ++i) {
        const auto now = kReceived + static_cast<Micros>(i) * kSecond;
        const auto id =
            static_cast<uint16_t>(256 + i / 20);  // a new one every now and then, known to one of them first
        if (random() % 10 == 0)
          run.feed(ipfix(set(2, template_of(id, kSmall)).add(set(3, options_of(1'000, {{34, 4}})))), now);
        if (random() % 10 == 0) run.feed(ipfix(set(1'000, Octets().u32(1).u32(1 + i / 100))), now);
        run.feed(ipfix(set(id, small())), now);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  uint64_t released = 0;
  for (auto& run : runs) {
    for (int i = 0; i < 2; ++i) run->feed(ipfix(Octets()), kReceived + static_cast<Micros>(kRounds) * kSecond);
    const IngestLedger l = run->decoder.total();
    EXPECT_GE(l.flows + l.awaiting_template, kRounds) << "options data may wait, too";
    EXPECT_EQ(l.sets_held, l.sets_released + l.awaiting_template) << "each is read or still counted as waiting";
    released += l.sets_released;
  }
  EXPECT_GT(released, 0u);
  EXPECT_EQ(store->template_count(), kRounds / 20 + 1);
}

// --- 8 to 11: what templates and sets may be

TEST(PeerPoint08, TheCountOfAV9HeaderIsNotBelieved) {
  DecodeRun run;
  Octets message = v9(set(0, template_of(256, kSmall)).add(set(256, small().add(small()))));
  message.bytes[3] = 1;
  run.feed(message);
  EXPECT_EQ(run.rows.size(), 2u);
  message.bytes[2] = 0xff;
  run.feed(message);
  EXPECT_EQ(run.rows.size(), 4u);
  run.feed(v9(set(256, small()).zeros(1'400)));  // Palo Alto
  EXPECT_EQ(run.rows.size(), 5u);
  run.feed(v9(set(256, small().zeros(60))));  // three whole records of padding
  EXPECT_EQ(run.rows.size(), 6u);
  run.feed(v9(set(256, small()).zeros(3)));  // fewer octets than a set's head
  EXPECT_EQ(run.rows.size(), 7u);
  const IngestLedger l = run.decoder.total();
  EXPECT_EQ(l.decoded, 5u);
  EXPECT_EQ(l.malformed, 0u);
  for (const uint64_t fault : l.faults) EXPECT_EQ(fault, 0u);
}

TEST(PeerPoint09, RepeatedElementsAndFieldsWithoutOctets) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, {{210, 3}, {8, 4}, {210, 1}, {1, 4}, {8, 4}, {210, 2}, {12, 0}, {1, 8}}))
                     .add(set(256, Octets().zeros(3).u32(1).u8(9).u32(700).u32(2).u16(9).u64(900)))));
  ASSERT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.last("src_ip"), "0.0.0.1") << "of several the first";
  EXPECT_EQ(run.last("octets_raw"), "700");
  EXPECT_EQ(run.last("dst_ip"), "null");
  run.feed(ipfix(set(2, template_of(257, {{8, 0}, {210, 0}}))));
  EXPECT_EQ(run.fault(DecodeFault::kTemplateInvalid), 1u) << "records without any octet have no end";
  run.feed(v9(set(1, v9_options_of(300, {{34, 4}}, 0)).add(set(300, Octets().u32(100)))));  // Juniper SRX
  EXPECT_EQ(run.decoder.total().option_rows, 1u);
}

TEST(PeerPoint10, VariableLengthAlsoInV9) {
  for (const bool as_v9 : {false, true}) {
    DecodeRun run;
    const Fields fields = {{82, 65535}, {8, 4}, {83, 65535}, {1, 2}};
    Octets records;
    records.u8(3).put(0x657430, 3).u32(0x0a000007).u8(255).u16(300).zeros(300).u16(1234);
    records.u8(0).u32(0x0a000008).u8(0).u16(99);
    const Octets sets = set(as_v9 ? 0 : 2, template_of(256, fields)).add(set(256, records));
    run.feed(as_v9 ? v9(sets) : ipfix(sets));
    ASSERT_EQ(run.rows.size(), 2u);
    EXPECT_EQ(run.rows[0]["octets_raw"], "1234");
    EXPECT_EQ(run.last("src_ip"), "10.0.0.8");
    EXPECT_EQ(run.last("octets_raw"), "99");
  }
}

TEST(PeerPoint11, OptionsTemplatesOfEveryForm) {
  DecodeRun run;
  Octets two;  // with two scopes, one of them of an enterprise; several in one set
  two.u16(300).u16(4).u16(2).u16(0x8000 | 7).u16(2).u32(2636).u16(149).u16(4).u16(48).u16(1).u16(34).u16(4);
  two.u16(301).u16(2).u16(1).u16(346).u16(4).u16(303).u16(2);
  two.u16(302).u16(2).u16(1).u16(149).u16(0).u16(34).u16(4);  // the scope has no octets
  run.feed(ipfix(set(3, two).add(set(2, template_of(256, with(kSmall, {{48, 1}}))))));
  run.feed(ipfix(set(300, Octets().u16(1).u32(1).u8(5).u32(200)).add(set(301, Octets().u32(9).u16(2)))));
  run.feed(ipfix(set(302, Octets().u32(300)), 2));
  EXPECT_EQ(run.decoder.total().option_rows, 3u);
  run.feed(ipfix(set(256, with(small(), Octets().u8(5))), 3));
  EXPECT_EQ(run.last("sampling_rate"), "200");
  EXPECT_EQ(run.decoder.total().missing, 0u) << "options data counts in IPFIX's sequence";
  for (const uint64_t fault : run.decoder.total().faults) EXPECT_EQ(fault, 0u);
}

TEST(PeerPoint11, SetsOfV9WithinIpfix) {
  DecodeRun run;
  run.feed(ipfix(set(0, template_of(256, kSmall)).add(set(1, v9_options_of(300, {{34, 4}})))));
  run.feed(ipfix(set(300, Octets().u32(1).u32(100)).add(set(256, small()))));
  EXPECT_EQ(run.last("octets_raw"), "700");
  EXPECT_EQ(run.last("sampling_rate"), "100");
}

// --- 12, 13: times

TEST(PeerPoint12, UptimesWrapAndMayBeALittleAhead) {
  const auto times = [](uint32_t uptime, uint32_t first, uint32_t last) {
    DecodeRun run;
    run.feed(v9(set(0, template_of(256, with(kSmall, {{22, 4}, {21, 4}})))
                    .add(set(256, with(small(), Octets().u32(first).u32(last)))),
                0, 1, uptime));
    return run.last("flow_start") + " to " + run.last("time");
  };
  EXPECT_EQ(times(2'000, 0xffffffff - 2'999, 1'000), "2026-01-31 12:00:54+00 to 2026-01-31 12:00:58+00");
  EXPECT_EQ(times(2'000, 0xffffffff - 7'999, 0xffffffff - 2'999), "2026-01-31 12:00:49+00 to 2026-01-31 12:00:54+00");
  EXPECT_EQ(times(2'000, 1'000, 2'500), "2026-01-31 12:00:58+00 to 2026-01-31 12:00:59.5+00");
  EXPECT_EQ(times(0xffffff00, 0xffffff00 - 1'000, 744), "2026-01-31 12:00:58+00 to 2026-01-31 12:01:00+00");
}

std::string times_of(const Fields& fields, const Octets& values, bool as_v9 = false) {
  DecodeRun run;
  const Octets sets = set(as_v9 ? 0 : 2, template_of(256, fields)).add(set(256, values));
  run.feed(as_v9 ? v9(sets) : ipfix(sets));
  return run.last("flow_start") + " to " + run.last("time");
}

TEST(PeerPoint13, EveryElementOfTime) {
  const uint64_t s = kExported - 10, ms = s * 1'000, us = ms * 1'000;
  const uint64_t ntp = (s + 2'208'988'800) << 32, second = uint64_t{1} << 32;
  const std::string expected = "2026-01-31 12:00:48+00 to 2026-01-31 12:00:49+00";
  EXPECT_EQ(times_of({{150, 4}, {151, 4}}, Octets().u32(s - 1).u32(s)), expected);
  EXPECT_EQ(times_of({{152, 8}, {153, 8}}, Octets().u64(ms - 1'000).u64(ms)), expected);
  EXPECT_EQ(times_of({{154, 8}, {155, 8}}, Octets().u64(ntp - second).u64(ntp)), expected) << "NTP";
  EXPECT_EQ(times_of({{156, 8}, {157, 8}}, Octets().u64(ntp - second).u64(ntp)), expected) << "NTP";
  EXPECT_EQ(times_of({{154, 8}, {155, 8}}, Octets().u64(us - 1'000'000).u64(us)), expected) << "plain (Netscaler)";
  EXPECT_EQ(times_of({{156, 8}, {157, 8}}, Octets().u64((us - 1'000'000) * 1'000).u64(us * 1'000)), expected)
      << "plain (VPP)";
  EXPECT_EQ(times_of({{158, 4}, {159, 4}}, Octets().u32(11'000'000).u32(10'000'000)), expected);
  EXPECT_EQ(times_of({{152, 8}, {161, 4}}, Octets().u64(ms - 1'000).u32(1'000)), expected) << "start and duration";
  EXPECT_EQ(times_of({{152, 8}, {162, 4}}, Octets().u64(ms - 1'000).u32(1'000'000)), expected);
  EXPECT_EQ(times_of({{153, 8}, {161, 4}}, Octets().u64(ms).u32(1'000)), expected) << "end and duration";
  EXPECT_EQ(times_of({{22, 4}, {21, 4}}, Octets().u32(989'000).u32(990'000), true), expected);
  EXPECT_EQ(times_of({{160, 8}, {22, 4}, {21, 4}}, Octets().u64(ms - 100'000).u32(99'000).u32(100'000)), expected)
      << "uptimes in IPFIX, with the boot time beside them";
  const std::string at_end = "null to 2026-01-31 12:00:49+00";
  EXPECT_EQ(times_of({{323, 8}}, Octets().u64(ms)), at_end) << "observationTimeMilliseconds";
  EXPECT_EQ(times_of({{322, 4}}, Octets().u32(s)), at_end);
  EXPECT_EQ(times_of({{324, 8}}, Octets().u64(ntp)), at_end);
  EXPECT_EQ(times_of({{258, 8}}, Octets().u64(ms)), at_end) << "collectionTimeMilliseconds";
  EXPECT_EQ(times_of({{1, 4}}, Octets().u32(1)), "null to 2026-01-31 12:00:59+00") << "else that of the export";
}

TEST(PeerPoint13, OfSeveralTimesTheBestThatIsThere) {
  const uint64_t s = kExported - 10, ms = s * 1'000;
  EXPECT_EQ(times_of({{151, 4}, {153, 8}, {21, 4}}, Octets().u32(s - 100).u64(ms + 250).u32(1)),
            "null to 2026-01-31 12:00:49.25+00");
  EXPECT_EQ(times_of({{153, 8}, {151, 4}}, Octets().u64(0).u32(s)), "null to 2026-01-31 12:00:49+00")
      << "one that is 0 is not there";
  EXPECT_EQ(times_of({{153, 8}, {21, 4}, {152, 8}, {22, 4}}, Octets().u64(0).u32(990'000).u64(0).u32(989'000), true),
            "2026-01-31 12:00:48+00 to 2026-01-31 12:00:49+00");
  EXPECT_EQ(times_of({{21, 4}, {159, 4}}, Octets().u32(77).u32(10'000'000)), "null to 2026-01-31 12:00:49+00")
      << "an uptime in IPFIX tells nothing without a boot time";
}

TEST(PeerPoint13, ABootTimeFromOptionsServesUptimesInIpfix) {  // softflowd
  DecodeRun run;
  const uint64_t boot_ms = (kExported - 1'000) * uint64_t{1'000};
  run.feed(ipfix(set(2, template_of(256, {{21, 4}, {1, 4}})).add(set(256, Octets().u32(990'000).u32(1)))));
  EXPECT_EQ(run.last("time"), "2026-01-31 12:00:59+00");
  run.feed(ipfix(set(3, options_of(300, {{160, 8}})).add(set(300, Octets().u32(1).u64(boot_ms))), 1));
  run.feed(ipfix(set(256, Octets().u32(990'000).u32(1)), 2));
  EXPECT_EQ(run.last("time"), "2026-01-31 12:00:49+00");
  run.feed(ipfix(set(2, template_of(256, {{21, 4}, {1, 4}})).add(set(256, Octets().u32(990'000).u32(1))), 0, 2));
  EXPECT_EQ(run.last("time"), "2026-01-31 12:00:59+00") << "another domain may be another process";
}

// --- 14: counters

TEST(PeerPoint14, CountersOfEveryElementAndWidth) {
  const auto octets_of = [](const Fields& fields, const Octets& values) {
    DecodeRun run;
    run.feed(ipfix(set(2, template_of(256, with({{8, 4}}, fields))).add(set(256, with(Octets().u32(1), values)))));
    return run.rows.at(0).at("octets_raw") + "/" + run.rows.at(0).at("packets_raw");  // the first direction's
  };
  for (int width = 1; width <= 8; ++width) {
    const auto w = static_cast<uint16_t>(width);
    EXPECT_EQ(octets_of({{1, w}, {2, w}}, Octets().put(200, width).put(3, width)), "200/3") << width;
  }
  EXPECT_EQ(octets_of({{1, 8}, {2, 8}}, Octets().u64(uint64_t{1} << 40).u64(uint64_t{1} << 33)),
            "1099511627776/8589934592");
  EXPECT_EQ(octets_of({{85, 8}, {86, 8}}, Octets().u64(5).u64(1)), "5/1");
  EXPECT_EQ(octets_of({{23, 4}, {24, 4}}, Octets().u32(5).u32(1)), "5/1");
  EXPECT_EQ(octets_of({{1, 4}, {2, 4}, {23, 4}, {24, 4}}, Octets().u32(5).u32(1).u32(6).u32(2)), "5/1")
      << "those after a middlebox are the same flow's, not the other direction";
  EXPECT_EQ(octets_of({{231, 4}, {232, 4}, {298, 4}}, Octets().u32(5).u32(9).u32(1)), "5/1");
  EXPECT_EQ(octets_of({{352, 8}}, Octets().u64(5)), "5/null");
  EXPECT_EQ(octets_of({{1, 8}}, Octets().u64(uint64_t{1} << 63)), "null/null");
}

// --- 17, 18, 19: what cannot be read

TEST(PeerPoint17, NoOctetsStopOrGrowAnything) {
  std::mt19937 random(17);
  DecodeSettings settings;
  settings.template_count_max = 8;
  settings.template_wait_octets_max = 1'000;
  const std::vector<Octets> good = {
      ipfix(set(2, template_of(256, with(kSmall, {{82, 65535}, {48, 1}}))).add(set(256, small().u8(1).u8(65).u8(1)))),
      ipfix(set(3, options_of(300, {{48, 1}, {34, 4}, {130, 4}})).add(set(300, Octets().u32(1).u8(1).u32(9).u32(7)))),
      v9(set(0, template_of(256, kSmall)).add(set(256, small())).add(set(1, v9_options_of(300, {{34, 4}})))), v5(0, 3),
      ipfix(set(256, small()).add(set(900, small())))};
  settings.exporter_identity = ExporterIdentity::kElement;
  for (int round = 0; round < 300; ++round) {
    auto store = std::make_shared<TemplateStore>();
    DecodeRun a(settings, 5, DecodeRun::all_columns(), store), b(settings, 5, DecodeRun::all_columns(), store);
    for (int i = 0; i < 30; ++i) {
      Octets message = good[random() % good.size()];
      for (uint32_t flips = random() % 5; flips > 0; --flips)
        message.bytes[random() % message.bytes.size()] = static_cast<uint8_t>(random());
      if (random() % 5 == 0) message.bytes.resize(random() % (message.bytes.size() + 1));
      // feed() checks both identities of the ledger.
      (random() % 2 ? a : b)
          .feed(message, kReceived + i * kSecond, 1 + random() % 3, static_cast<uint16_t>(random() % 3));
    }
    ASSERT_LE(store->template_count(), 3u * 8);
    TemplateStore again;
    ASSERT_TRUE(again.decode(store->encode())) << "and what was learnt can be kept";
  }
}

TEST(PeerPoint18, AnUnknownSetDoesNotDropTheRest) {
  DecodeRun run;
  run.feed(ipfix(set(300, Octets().zeros(20))
                     .add(set(2, template_of(256, kSmall)))
                     .add(set(77, Octets().zeros(8)))
                     .add(set(256, small()))));
  EXPECT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.decoder.total().awaiting_template, 1u);
  run.feed(ipfix(set(256, small()), 2));
  EXPECT_EQ(run.decoder.total().missing, 0u) << "and it is no loss: what it held is not known";
  run.feed(ipfix(set(256, small()), 5));
  EXPECT_EQ(run.decoder.total().missing, 2u);
}

TEST(PeerPoint19, ASetThatIsNoWholeNumberOfRecordsIsAFault) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, kSmall)).add(set(3, options_of(300, {{34, 4}})))));
  run.feed(ipfix(set(256, small().zeros(7))));
  run.feed(ipfix(set(256, small().u8(1).u8(2).u8(3))));
  EXPECT_EQ(run.fault(DecodeFault::kSetLengthMismatch), 0u) << "padding, though it should be zero";
  run.feed(ipfix(set(256, small().add(Octets().u32(1).u32(2)))));
  EXPECT_EQ(run.fault(DecodeFault::kSetLengthMismatch), 1u) << "eight octets that are no padding";
  EXPECT_EQ(run.decoder.total().malformed, 1u);
  run.feed(ipfix(set(256, Octets().u32(1).u32(2))));
  EXPECT_EQ(run.fault(DecodeFault::kSetLengthMismatch), 2u) << "not even one record";
  EXPECT_EQ(run.rows.size(), 3u);
  run.feed(ipfix(set(300, Octets().u32(1).u32(100).u32(7))));
  EXPECT_EQ(run.fault(DecodeFault::kSetLengthMismatch), 3u);
  EXPECT_EQ(run.decoder.total().option_rows, 0u) << "a wrong sampling rate would stay";
}

// --- 20: lost records

/// The exporter's stream under loss, repetition, disorder, damage and restarts; whatever comes, both sums of the ledger
/// hold (feed() checks them) and the counts are exact.
TEST(PeerPoint20, NetflowV5CountsRecords) {
  DecodeRun run;
  const auto at = [](uint32_t n) { return v5(n * 30, 30, 1'000'000 + n * 10, kExported + n / 100); };
  for (uint32_t n = 0; n < 1'000; ++n) {
    if (n % 50 == 7) continue;              // 20 lost
    if (n % 50 == 20) run.feed(at(n + 1));  // 20 overtaken
    if (n % 50 == 21) continue;
    run.feed(at(n));
    if (n % 50 == 30) run.feed(at(n));  // 20 twice
    if (n % 50 == 40) {                 // 20 damaged: the count does not fit
      Octets bad = at(n);
      bad.bytes.resize(100);
      run.feed(bad);
    }
  }
  IngestLedger l = run.decoder.total();
  EXPECT_EQ(l.missing, 600u);
  EXPECT_EQ(l.duplicates, 20u);
  EXPECT_EQ(l.exporter_restarts, 0u);
  EXPECT_EQ(l.rejected, 20u);
  EXPECT_EQ(l.flows, 30u * (1'000 - 20 + 20));
  for (uint32_t n = 0; n < 10; ++n) run.feed(v5(n * 30, 30, 5'000 + n, kExported + 100));  // it was restarted
  l = run.decoder.total();
  EXPECT_EQ(l.exporter_restarts, 1u);
  EXPECT_EQ(l.missing, 600u);
  EXPECT_EQ(l.duplicates, 20u);
  run.feed(v5(360, 30, 5'100, kExported + 100));
  EXPECT_EQ(run.decoder.total().missing, 660u);
}

TEST(PeerPoint20, NetflowV9CountsDatagramsAndDomainsApart) {
  DecodeRun run;
  run.feed(v9(set(0, template_of(256, kSmall)), 0, 1));
  run.feed(v9(set(0, template_of(256, kSmall)), 1'000, 2));
  for (uint32_t n = 1; n < 100; ++n) {
    if (n % 10 != 3) run.feed(v9(set(256, small().add(small())), n, 1));
    if (n % 10 != 4 && n % 10 != 5) run.feed(v9(set(256, small()), 1'000 + n, 2));
  }
  EXPECT_EQ(run.decoder.total().missing, 10u + 20u);
  EXPECT_EQ(run.decoder.total().duplicates, 0u);
}

TEST(PeerPoint20, IpfixCountsRecordsOfOptionsTooAndNoTemplates) {
  DecodeRun run;
  uint32_t sequence = 0xfffffff0;  // over the wrap
  uint32_t now = kExported;
  run.feed(ipfix(set(2, template_of(256, kSmall)).add(set(3, options_of(300, {{34, 4}}))), sequence, 1, now));
  for (int n = 0; n < 40; ++n) {
    const bool lost = n % 10 == 5;
    const Octets message =
        ipfix(set(256, small().add(small())).add(set(300, Octets().u32(1).u32(100))), sequence, 1, now);
    if (!lost) run.feed(message);
    if (n == 20) run.feed(message);
    sequence += 3;
    now += n % 4 == 0;
  }
  EXPECT_EQ(run.decoder.total().missing, 12u);
  EXPECT_EQ(run.decoder.total().duplicates, 1u);
  for (uint32_t n = 0; n < 5; ++n) run.feed(ipfix(set(256, small()), n, 1, now + 10 + n));
  EXPECT_EQ(run.decoder.total().missing, 12u);
  EXPECT_EQ(run.decoder.total().exporter_restarts, 1u);
}

TEST(PeerPoint20, NetflowV7CountsRecordsAndV1HasNoNumbers) {
  const auto old = [](uint16_t version, uint32_t sequence, size_t record_octets) {
    Octets o;
    o.u16(version).u16(2).u32(1'000'000).u32(kExported).u32(0);
    if (version == 7) o.u32(sequence).u32(0);
    for (int i = 0; i < 2; ++i) {
      o.u32(0x0a000001).u32(0x0a000002).u32(0x0a0000fe).u16(7).u16(8).u32(3).u32(1500).u32(990'000).u32(995'000);
      o.u16(50'000).u16(443);
      if (version == 7) o.u8(0).u8(0x1b).u8(6).u8(0x20).u16(64'512).u16(64'513).u8(24).u8(16).u16(0).u32(0x0a0000fd);
      else o.u16(0).u8(6).u8(0x20).u8(0x1b).zeros(record_octets - 41);
    }
    return o;
  };
  for (const size_t record_octets : {48, 52}) {
    DecodeRun run;
    run.feed(old(1, 0, record_octets));
    run.feed(old(1, 0, record_octets));
    ASSERT_EQ(run.rows.size(), 4u);
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
                                                         {"src_as", "null"},
                                                         {"sampling_rate", "1"},
                                                         {"protocol_version", "1"},
                                                         {"observation_domain", "0"},
                                                         {"time", "2026-01-31 12:00:54+00"},
                                                         {"flow_start", "2026-01-31 12:00:49+00"}};
    for (const auto& [column, value] : expected) EXPECT_EQ(run.last(column), value) << column;
    EXPECT_EQ(run.decoder.total().missing, 0u);
    EXPECT_EQ(run.decoder.total().duplicates, 0u);
    EXPECT_EQ(run.decoder.exporter_protocols(0), "NetFlow v1");
    Octets cut = old(1, 0, record_octets);
    cut.bytes.resize(16 + 2 * 48 - 1);
    run.feed(cut);
    EXPECT_EQ(run.decoder.total().rejected, 1u);
    run.feed(Octets().u16(1).u16(2).u32(0));
    EXPECT_EQ(run.fault(DecodeFault::kHeaderTruncated), 1u);
  }
  DecodeRun run;
  run.feed(old(7, 100, 52));
  run.feed(old(7, 106, 52));
  EXPECT_EQ(run.decoder.total().missing, 4u);
  for (const auto& [column, value] : std::map<std::string, std::string>{{"src_as", "64512"},
                                                                        {"dst_as", "64513"},
                                                                        {"src_mask", "24"},
                                                                        {"dst_mask", "16"},
                                                                        {"tcp_flags", "27"},
                                                                        {"protocol", "6"},
                                                                        {"tos", "32"},
                                                                        {"octets_raw", "1500"},
                                                                        {"protocol_version", "7"},
                                                                        {"time", "2026-01-31 12:00:54+00"}}) {
    EXPECT_EQ(run.last(column), value) << column;
  }
}

// --- 21: one heavy exporter is read by several threads

/// Decoders of several receiving threads, to which the kernel spreads the datagrams of one exporter.
struct Lanes {
  static constexpr uint32_t kCount = 3;
  std::shared_ptr<TemplateStore> store = std::make_shared<TemplateStore>();
  SequenceOrder order{kCount};
  std::vector<std::unique_ptr<DecodeRun>> runs;

  Lanes() {
    for (uint32_t lane = 0; lane < kCount; ++lane) {
      runs.push_back(std::make_unique<DecodeRun>(DecodeSettings(), 5, DecodeRun::all_columns(), store));
      runs.back()->decoder.share_sequences(order, lane);
    }
  }
  void count() {
    for (const SequenceOrder::Change& change : order.take_changes()) runs[change.lane]->decoder.count(change);
  }
  void finish() {
    for (auto& run : runs) {
      run->read_released();
      run->decoder.hand_over_sequences(0);
    }
    order.finish();
    count();
  }
  IngestLedger total() const {
    IngestLedger sum;
    for (const auto& run : runs) sum += run->decoder.total();
    return sum;
  }
  std::multiset<std::map<std::string, std::string>> rows() const {
    std::multiset<std::map<std::string, std::string>> all;
    for (const auto& run : runs) all.insert(run->rows.begin(), run->rows.end());
    return all;
  }
};

struct Arrived {
  Octets octets;
  base::Micros received_at = 0;
  int64_t arrived_ns = 0;
};

/// Of one exporter that is started anew once. Some are lost, come twice or overtake each other. The first one has the
/// template.
std::vector<Arrived> spread_messages(int version, std::mt19937& random) {
  std::vector<Arrived> all;
  uint32_t sequence = 4'294'967'000, exported = kExported, uptime_ms = 1'000'000;
  const auto arrive = [&](const Octets& octets) {
    const auto at = kReceived + static_cast<Micros>(all.size()) * 300'000;  // Over minutes.
    all.push_back({octets, at, at * 1000});
  };
  const auto message = [&](const Octets& sets) {
    return version == 9 ? v9(sets, sequence, 1, uptime_ms, exported) : ipfix(sets, sequence, 1, exported);
  };
  if (version == 9) {
    arrive(message(set(0, template_of(256, kSmall)).add(set(1, v9_options_of(300, {{34, 4}})))));
    ++sequence;
    arrive(message(set(300, Octets().u32(0).u32(100))));
    ++sequence;
  } else if (version == 10) {
    arrive(message(set(2, template_of(256, kSmall)).add(set(3, options_of(300, {{34, 4}})))));
    arrive(message(set(300, Octets().u32(1).u32(100))));
    ++sequence;
  }
  for (uint32_t i = 0; i < 400; ++i) {
    if (i % 4 == 0) {
      ++exported;
      uptime_ms += 1'000;
    }
    if (i == 200) {
      sequence = 0;
      exported += 5;
      uptime_ms = 2'000;
    }
    const auto records = static_cast<int>(1 + random() % 4);
    Octets data;
    for (int r = 0; r < records; ++r) data.add(small(i * 10 + static_cast<uint64_t>(r)));
    const Octets octets = version == 5 ? v5(sequence, records, uptime_ms, exported) : message(set(256, data));
    sequence += version == 9 ? 1 : static_cast<uint32_t>(records);
    const bool steady = i < 10 || (i > 190 && i < 210) || i > 390;
    if (!steady && random() % 20 == 0) continue;
    arrive(octets);
    if (!steady && random() % 20 == 0) arrive(octets);
    if (!steady && random() % 20 == 0) std::swap(all.back().octets, all[all.size() - 2 - random() % 3].octets);
  }
  return all;
}

TEST(PeerPoint21, SeveralThreadsReadOneExporterAsOneDoes) {
  for (const int version : {5, 9, 10}) {
    std::mt19937 random(static_cast<unsigned>(version));
    const std::vector<Arrived> messages = spread_messages(version, random);
    DecodeRun whole;
    for (const Arrived& one : messages) whole.feed(one.octets, one.received_at);
    const IngestLedger expected = whole.decoder.total();
    EXPECT_GT(expected.missing, 5u);
    EXPECT_GT(expected.duplicates, 5u);
    EXPECT_EQ(expected.exporter_restarts, 1u);

    Lanes lanes;
    std::vector<std::vector<const Arrived*>> dealt(Lanes::kCount);
    const size_t learning = version == 5 ? 0 : 2;
    for (size_t i = 0; i < messages.size(); ++i)
      dealt[i < learning ? 0 : random() % Lanes::kCount].push_back(&messages[i]);
    const auto read = [&](uint32_t lane, size_t begin, size_t end) {
      DecodeRun& run = *lanes.runs[lane];
      for (size_t i = begin; i < end; ++i) {
        const Arrived& one = *dealt[lane][i];
        run.feed(one.octets, one.received_at, 0x0a000001, static_cast<uint16_t>(50'000 + i % 3), one.arrived_ns);
      }
      run.decoder.hand_over_sequences(end < dealt[lane].size() ? dealt[lane][end]->arrived_ns : INT64_MAX);
    };
    read(0, 0, learning);
    std::vector<std::thread> threads;
    for (uint32_t lane = 0; lane < Lanes::kCount; ++lane) {
      threads.emplace_back([&, lane] {
        std::mt19937 pace(lane);
        for (size_t at = lane == 0 ? learning : 0; at < dealt[lane].size();) {
          const size_t end = std::min(dealt[lane].size(), at + 1 + pace() % 60);
          read(lane, at, end);
          at = end;
          if (pace() % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(pace() % 300));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    lanes.finish();

    const IngestLedger total = lanes.total();
    for (const auto counter : IngestLedger::kCounters) {
      EXPECT_EQ(total.*counter, expected.*counter)
          << "version " << version << " counter " << &counter - IngestLedger::kCounters;
    }
    EXPECT_EQ(lanes.rows(), (std::multiset<std::map<std::string, std::string>>(whole.rows.begin(), whole.rows.end())));

    // By minute of arrival, too, and each exporter and minute once.
    std::map<Micros, IngestLedger> minutes, wanted;
    for (const auto& run : lanes.runs) {
      for (const MinuteLedger& minute : run->decoder.minutes()) minutes[minute.minute] += minute.ledger;
    }
    for (const MinuteLedger& minute : whole.decoder.minutes()) wanted[minute.minute] += minute.ledger;
    EXPECT_EQ(minutes, wanted);
    EXPECT_GT(wanted.size(), 1u);
    std::vector<Decoder*> decoders;
    for (const auto& run : lanes.runs) decoders.push_back(&run->decoder);
    Decoder::write_minutes(decoders, base::kMaxTime, *lanes.runs[0]->side.of(batch::SideStream::kExporterMinutes));
    lanes.runs[0]->side.flush();
    whole.decoder.write_minutes(base::kMaxTime, *whole.side.of(batch::SideStream::kExporterMinutes));
    whole.side.flush();
    EXPECT_EQ(lanes.runs[0]->side_rows["exporter_minutes"], whole.side_rows["exporter_minutes"]);
  }
}

TEST(PeerPoint21, DataBeforeItsTemplateOnAnotherThreadIsKeptAndRead) {
  for (const uint16_t version : {9, 10}) {
    Lanes lanes;
    uint32_t sequence = 0;
    int64_t now_ns = kReceived * 1000;
    const auto feed = [&](uint32_t lane, const Octets& sets, uint32_t records) {
      now_ns += 1'000'000;
      lanes.runs[lane]->feed(version == 9 ? v9(sets, sequence) : ipfix(sets, sequence), now_ns / 1000, 0x0a000001,
                             50'000, now_ns);
      sequence += version == 9 ? 1 : records;
    };
    feed(1, set(256, small(11)), 1);
    feed(2, set(256, small(22).add(small(23))), 2);
    EXPECT_EQ(lanes.total().sets_held, 2u);
    if (version == 9) feed(0, set(0, template_of(256, kSmall)).add(set(1, v9_options_of(300, {{34, 4}}))), 0);
    else feed(0, set(2, template_of(256, kSmall)).add(set(3, options_of(300, {{34, 4}}))), 0);
    feed(0, set(300, Octets().u32(1).u32(100)).add(set(256, small(33))), 2);
    EXPECT_EQ(lanes.rows().size(), 1u);
    lanes.runs[1]->read_released();
    EXPECT_EQ(lanes.runs[1]->last("octets_raw"), "11") << "no datagram of the exporter has come here since";
    EXPECT_EQ(lanes.runs[1]->last("sampling_rate"), "100");
    EXPECT_EQ(lanes.runs[1]->last("exporter"), "10.0.0.1");
    EXPECT_EQ(lanes.runs[1]->last("protocol_version"), std::to_string(version));
    lanes.runs[1]->read_released();
    EXPECT_EQ(lanes.runs[1]->rows.size(), 1u) << "once";
    feed(2, set(256, small(44)), 1);
    EXPECT_EQ(lanes.runs[2]->rows.size(), 3u) << "or it is read with the next datagram";
    lanes.finish();
    const IngestLedger total = lanes.total();
    EXPECT_EQ(total.flows, 5u);
    EXPECT_EQ(total.option_rows, 1u);
    EXPECT_EQ(total.sets_held, total.sets_released);
    EXPECT_EQ(total.awaiting_template, 0u);
    EXPECT_EQ(total.missing, 0u);
    EXPECT_EQ(total.duplicates, 0u);
  }
}

TEST(PeerPoint21, WithdrawalsRedefinitionsAndSamplersHoldForAllThreads) {
  Lanes lanes;
  const auto feed = [&](uint32_t lane, const Octets& sets) { lanes.runs[lane]->feed(ipfix(sets)); };
  feed(0, set(2, template_of(256, kSmall)).add(set(3, options_of(300, {{302, 4}, {34, 4}}))));
  feed(1, set(300, Octets().u32(1).u32(7).u32(50)));
  feed(2, set(2, template_of(257, with(kSmall, {{302, 4}}))));
  for (uint32_t lane = 0; lane < Lanes::kCount; ++lane) {
    feed(lane, set(257, small().add(Octets().u32(7))));
    EXPECT_EQ(lanes.runs[lane]->last("sampling_rate"), "50") << lane;
  }
  feed(1, set(2, Octets().u16(256).u16(0)));
  for (uint32_t lane = 0; lane < Lanes::kCount; ++lane) feed(lane, set(256, Octets().u32(1).u32(70 + lane)));
  EXPECT_EQ(lanes.total().awaiting_template, 3u) << "withdrawn";
  feed(2, set(2, template_of(256, {{8, 4}, {1, 4}})));
  for (uint32_t lane = 0; lane < Lanes::kCount; ++lane) {
    lanes.runs[lane]->read_released();
    EXPECT_EQ(lanes.runs[lane]->last("octets_raw"), std::to_string(70 + lane)) << "by the new layout";
  }
  EXPECT_EQ(lanes.total().awaiting_template, 0u);
}

TEST(PeerPoint21, WhatAnAgentLostIsCountedOnce) {
  Lanes lanes;
  const auto feed = [&](uint32_t lane, uint32_t sequence, uint32_t drops) {
    const int64_t now_ns = kReceived * 1000 + sequence * 1'000'000;
    lanes.runs[lane]->feed(sflow_of(100, sequence, drops), now_ns / 1000, 0x0a000001, 50'000, now_ns);
  };
  for (uint32_t i = 0; i < 30; ++i) {
    if (i != 20) feed(i % Lanes::kCount, i, 100 + i / 10);
  }
  lanes.finish();
  EXPECT_EQ(lanes.total().agent_drops, 2u);
  EXPECT_EQ(lanes.total().missing, 1u);
  EXPECT_EQ(lanes.total().flows, 29u);
}

// --- 22: who the exporter is

DecodeSettings identity(ExporterIdentity identity) {
  DecodeSettings settings;
  settings.exporter_identity = identity;
  return settings;
}

TEST(PeerPoint22, ExportersBehindOneAddressAreToldApartByTheirOptions) {
  DecodeRun run(identity(ExporterIdentity::kElement));
  const auto named = [](uint32_t address) {
    return set(3, options_of(300, {{130, 4}})).add(set(300, Octets().u32(1).u32(address)));
  };
  const Octets data = set(2, template_of(256, kSmall)).add(set(256, small()));
  run.feed(ipfix(named(0xc0000201), 0, 1), kReceived, 1, 1'001);
  run.feed(ipfix(named(0xc0000202), 500, 1), kReceived, 1, 1'002);
  for (uint32_t n = 0; n < 20; ++n) {
    run.feed(ipfix(data, 1 + n, 1), kReceived, 1, 1'001);
    run.feed(ipfix(data, 501 + n + (n >= 10), 1), kReceived, 1, 1'002);
  }
  EXPECT_EQ(run.last("exporter"), "192.0.2.2");
  EXPECT_EQ(run.rows[run.rows.size() - 2]["exporter"], "192.0.2.1");
  ASSERT_EQ(run.decoder.exporter_count(), 3u);
  std::map<std::string, uint64_t> missing, flows;
  for (ExporterIndex e = 0; e < 3; ++e) {
    missing[base::to_string(run.decoder.exporter_address(e))] = run.decoder.ledger(e).missing;
    flows[base::to_string(run.decoder.exporter_address(e))] = run.decoder.ledger(e).flows;
  }
  EXPECT_EQ(missing["192.0.2.1"], 0u) << "their numbers are not mixed";
  EXPECT_EQ(missing["192.0.2.2"], 1u);
  EXPECT_EQ(flows["192.0.2.1"], 20u);
  EXPECT_EQ(flows["192.0.2.2"], 20u);
  DecodeRun by_source;
  by_source.feed(ipfix(named(0xc0000201), 0, 1));
  by_source.feed(ipfix(data, 1));
  EXPECT_EQ(by_source.last("exporter"), "10.0.0.1") << "only when asked for";
}

TEST(PeerPoint22, RecordsThatNameTheirExporter) {
  DecodeRun run(identity(ExporterIdentity::kElement));
  const auto record = [](uint32_t v4, uint64_t v6) { return small().u32(v4).u64(0x20010db800000000).u64(v6); };
  const Octets announced = set(2, template_of(256, with(kSmall, {{130, 4}, {131, 16}})));
  run.feed(ipfix(with(announced, set(256, record(0xc0000207, 7)))));
  EXPECT_EQ(run.last("exporter"), "192.0.2.7");
  run.feed(ipfix(set(256, record(0xc0000207, 7)), 1));
  EXPECT_EQ(run.decoder.ledger(1).flows, 1u) << "from the second message on it is counted for it";
  run.feed(ipfix(with(announced, set(256, record(0, 8))), 0, 2));
  EXPECT_EQ(run.last("exporter"), "2001:db8::8");
  // A collector that passes on what others exported: rows by exporter, the messages' numbers by the collector.
  for (uint32_t n = 1; n < 10; ++n) run.feed(ipfix(set(256, record(0xc0000200 + n, 0)), n + (n > 5), 2));
  EXPECT_EQ(run.last("exporter"), "192.0.2.9");
  EXPECT_EQ(run.decoder.ledger(0).missing, 1u);
}

TEST(PeerPoint22, TheIdentityFromOptionsHoldsForOtherPortsAndOutlivesTheProcess) {
  auto store = std::make_shared<TemplateStore>();
  DecodeRun run(identity(ExporterIdentity::kElement), 5, DecodeRun::all_columns(), store);
  run.feed(ipfix(set(3, options_of(300, {{131, 16}}))
                     .add(set(300, Octets().u32(1).u64(0).u64(0x0000ffffc0000209)))
                     .add(set(2, template_of(256, kSmall)))));
  auto kept = std::make_shared<TemplateStore>();
  ASSERT_TRUE(kept->decode(store->encode()));
  DecodeRun again(identity(ExporterIdentity::kElement), 5, DecodeRun::all_columns(), kept);
  again.feed(ipfix(set(256, small())), kReceived, 0x0a000001, 4'711);
  EXPECT_EQ(again.last("exporter"), "192.0.2.9") << "and an IPv4-mapped address is IPv4";
}

TEST(PeerPoint22, TheAgentOfSflowWhenAskedForByPrefix) {
  const Octets sflow = sflow_of(100);
  ExporterRule replicator = rule("10.0.0.0/8");
  replicator.identity = ExporterIdentity::kAgent;
  DecodeRun run(settings_of({replicator}));
  run.feed(sflow, kReceived, 0x0a000001);
  EXPECT_EQ(run.last("exporter"), "192.0.2.99");
  run.feed(sflow, kReceived, 0x0b000001);
  EXPECT_EQ(run.last("exporter"), "11.0.0.1");
  run.feed(v5(0, 1), kReceived, 0x0a000001);
  EXPECT_EQ(run.last("exporter"), "10.0.0.1") << "NetFlow has no agent";
  EXPECT_EQ(run.decoder.exporter_count(), 3u);
  base::Datagram datagram;
  datagram.payload = sflow.bytes.data();
  datagram.payload_octets = static_cast<uint32_t>(sflow.bytes.size());
  datagram.source = base::Inet::v4(0x0a000001);
  EXPECT_EQ(base::to_string(run.decoder.identity_of(datagram)), "192.0.2.99");
  datagram.source = base::Inet::v4(0x0b000001);
  EXPECT_EQ(base::to_string(run.decoder.identity_of(datagram)), "11.0.0.1");
}

}  // namespace
}  // namespace backstream::decode
