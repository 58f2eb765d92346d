#include <random>

#include "base/cpu.h"
#include "decode/decode_test_input.h"

namespace backstream::decode {
namespace {

Octets set(uint16_t id, const Octets& body) { return Octets().u16(id).u16(4 + body.bytes.size()).add(body); }
Octets ipfix(const Octets& sets, uint32_t sequence = 0, uint32_t domain = 1) {
  return Octets().u16(10).u16(16 + sets.bytes.size()).u32(kExported).u32(sequence).u32(domain).add(sets);
}
Octets v9(const Octets& sets, uint32_t sequence = 0, uint32_t source_id = 1) {
  return Octets().u16(9).u16(1).u32(1'000'000).u32(kExported).u32(sequence).u32(source_id).add(sets);
}
using Fields = std::vector<std::pair<uint16_t, uint16_t>>;
Octets template_of(uint16_t id, const Fields& fields) {
  Octets o;
  o.u16(id).u16(fields.size());
  for (const auto& [element, width] : fields) o.u16(element).u16(width);
  return o;
}
const Fields kSmall = {{8, 4}, {12, 4}, {1, 8}, {2, 4}};  // addresses, octets, packets
Octets small_record(uint64_t octets = 700) { return Octets().u32(0x0a000001).u32(0x0a000002).u64(octets).u32(7); }

TEST(Ipfix, DataAfterItsTemplate) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, kSmall)).add(set(256, small_record().add(small_record(900)).zeros(3)))));
  ASSERT_EQ(run.rows.size(), 2u) << "three octets of padding are no record";
  EXPECT_EQ(run.rows[0]["octets_raw"], "700");
  EXPECT_EQ(run.last("octets_raw"), "900");
  EXPECT_EQ(run.last("src_as"), "null");
  EXPECT_EQ(run.last("sampling_rate"), "null");
  EXPECT_EQ(run.last("time"), "2026-01-31 12:00:59+00") << "no flow times: the export time";
  EXPECT_EQ(run.decoder.total().sampling_unknown_rows, 2u);
}

TEST(Ipfix, DataThatComesFirstIsHeldForItsTemplate) {
  DecodeRun run;
  run.feed(ipfix(set(256, small_record())), kReceived - 5'000'000);
  EXPECT_EQ(run.decoder.total().awaiting_template, 1u);
  run.feed(ipfix(set(2, template_of(256, kSmall))));
  ASSERT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.last("received_at"), "2026-01-31 12:00:55+00") << "the arrival of the data, not of the template";
  EXPECT_EQ(run.decoder.total().awaiting_template, 0u);
}

TEST(Ipfix, DataIsNotHeldLongerThanAskedFor) {
  DecodeSettings settings;
  settings.template_wait_us = 3'000'000;
  DecodeRun run(settings);
  run.feed(ipfix(set(256, small_record())), kReceived - 5'000'000);
  run.feed(ipfix(set(2, template_of(256, kSmall))));
  EXPECT_TRUE(run.rows.empty());
  EXPECT_EQ(run.decoder.total().awaiting_template, 1u);
  settings.template_wait_us = 0;
  DecodeRun never(settings);
  never.feed(ipfix(set(256, small_record())));
  never.feed(ipfix(set(2, template_of(256, kSmall))));
  EXPECT_TRUE(never.rows.empty());
}

TEST(Ipfix, TemplatesAreOfTheirDomainAndExporter) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, kSmall)), 0, 1));
  run.feed(ipfix(set(256, small_record()), 0, 2));
  run.feed(ipfix(set(256, small_record()), 0, 1), kReceived, 99);
  EXPECT_TRUE(run.rows.empty());
  EXPECT_EQ(run.fault(DecodeFault::kTemplateUnknown), 2u);
}

TEST(Ipfix, AnUnknownSetDoesNotDropTheRest) {
  DecodeRun run;
  run.feed(ipfix(set(300, Octets().zeros(20)).add(set(2, template_of(256, kSmall))).add(set(256, small_record()))));
  EXPECT_EQ(run.rows.size(), 1u);
}

TEST(Ipfix, RedefinitionAndWithdrawal) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, kSmall))));
  run.feed(ipfix(set(2, template_of(256, {{8, 4}, {1, 4}})).add(set(256, Octets().u32(0x0a000009).u32(55)))));
  EXPECT_EQ(run.last("src_ip"), "10.0.0.9");
  EXPECT_EQ(run.last("octets_raw"), "55");
  EXPECT_EQ(run.last("dst_ip"), "null");
  run.feed(ipfix(set(2, Octets().u16(256).u16(0))));
  run.feed(ipfix(set(256, Octets().u32(1).u32(2))));
  EXPECT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.decoder.total().awaiting_template, 1u);
}

TEST(Ipfix, TemplatesThatCannotBeAreRefused) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, {{210, 0}, {8, 0}}))));         // records of no octets
  run.feed(ipfix(set(2, template_of(257, {{8, 60000}, {12, 60000}}))));  // longer than a datagram
  run.feed(ipfix(set(2, template_of(100, kSmall))));                     // an id of a set
  run.feed(ipfix(set(2, Octets().u16(258).u16(500).u32(0))));            // ends early
  EXPECT_EQ(run.fault(DecodeFault::kTemplateInvalid), 4u);
  run.feed(ipfix(set(256, small_record())));
  EXPECT_TRUE(run.rows.empty());
}

TEST(Ipfix, TheTemplateTableIsBounded) {
  DecodeSettings settings;
  settings.template_count_max = 3;
  DecodeRun run(settings);
  for (uint16_t id = 256; id < 266; ++id) run.feed(ipfix(set(2, template_of(id, kSmall))));
  EXPECT_EQ(run.fault(DecodeFault::kTemplateLimit), 7u);
}

TEST(Ipfix, VariableLengthAndEnterpriseFieldsAreSkippedByLength) {
  DecodeRun run;
  Octets fields;
  fields.u16(256).u16(4).u16(82).u16(65535).u16(8).u16(4).u16(0x8000 | 12).u16(65535).u32(29305).u16(1).u16(2);
  Octets record;
  record.u8(3).put(0x657430, 3).u32(0x0a000007).u8(255).u16(300).zeros(300).u16(1234);
  run.feed(ipfix(set(2, fields).add(set(256, record.add(record)))));
  ASSERT_EQ(run.rows.size(), 2u);
  EXPECT_EQ(run.last("src_ip"), "10.0.0.7");
  EXPECT_EQ(run.last("dst_ip"), "null") << "element 12 of an enterprise is another one";
  EXPECT_EQ(run.last("octets_raw"), "1234");
  Octets cut;
  cut.u8(3).put(0x657430, 3).u32(0x0a000007).u8(255).u16(9999).u32(1);
  run.feed(ipfix(set(256, cut)));
  EXPECT_EQ(run.fault(DecodeFault::kRecordMalformed), 1u);
}

TEST(Ipfix, CountersBeyondBigintAreNull) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, kSmall)).add(set(256, small_record(uint64_t{1} << 63).add(small_record(5))))));
  EXPECT_EQ(run.rows[0]["octets_raw"], "null");
  EXPECT_EQ(run.last("octets_raw"), "5");
  EXPECT_EQ(run.decoder.total().counter_overflow, 1u);
}

TEST(Ipfix, FlowTimesInAllForms) {
  const auto time_of = [](const Fields& fields, const Octets& record) {
    DecodeRun run;
    run.feed(ipfix(set(2, template_of(256, fields)).add(set(256, record))));
    return run.last("time") + " from " + run.last("flow_start");
  };
  const uint64_t seconds = kExported - 10;
  const std::string expected = "2026-01-31 12:00:49+00 from 2026-01-31 12:00:48+00";
  EXPECT_EQ(time_of({{150, 4}, {151, 4}}, Octets().u32(seconds - 1).u32(seconds)), expected);
  EXPECT_EQ(time_of({{152, 8}, {153, 8}}, Octets().u64(seconds * 1000 - 1000).u64(seconds * 1000)), expected);
  const uint64_t ntp = (seconds + 2'208'988'800) << 32;
  EXPECT_EQ(time_of({{154, 8}, {155, 8}}, Octets().u64(ntp - (uint64_t{1} << 32)).u64(ntp)), expected);
  EXPECT_EQ(time_of({{156, 8}, {157, 8}}, Octets().u64(ntp - (uint64_t{1} << 32)).u64(ntp)), expected);
  EXPECT_EQ(time_of({{158, 4}, {159, 4}}, Octets().u32(11'000'000).u32(10'000'000)), expected);
  EXPECT_EQ(time_of({{152, 8}, {161, 4}}, Octets().u64(seconds * 1000 - 1000).u32(1000)), expected)
      << "start and duration";
  EXPECT_EQ(time_of({{160, 8}, {22, 4}, {21, 4}}, Octets().u64((seconds - 100) * 1000).u32(99'000).u32(100'000)),
            expected);
}

TEST(Ipfix, ATimeThatNoClockShowsIsTheExportTime) {
  for (const uint16_t element : {151, 153}) {
    DecodeRun run;
    run.feed(ipfix(set(2, template_of(256, {{element, 8}})).add(set(256, Octets().u64(uint64_t{1} << 60)))));
    EXPECT_EQ(run.last("time"), "2026-01-31 12:00:59+00") << element;
  }
}

TEST(Ipfix, FourOctetAsNumbersAndIpv6) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, {{27, 16}, {28, 16}, {16, 4}, {17, 4}, {1, 4}}))
                     .add(set(256, Octets()
                                       .u64(0x20010db800000000)
                                       .u64(1)
                                       .u64(0)
                                       .u64(0x0000ffff0a000001)
                                       .u32(4'200'000'001)
                                       .u32(13335)
                                       .u32(9)))));
  EXPECT_EQ(run.last("src_ip"), "2001:db8::1");
  EXPECT_EQ(run.last("dst_ip"), "10.0.0.1") << "IPv4-mapped addresses are IPv4";
  EXPECT_EQ(run.last("src_as"), "4200000001");
}

TEST(Ipfix, NatEventsAreNoFlows) {
  DecodeRun run;
  run.feed(ipfix(set(2, template_of(256, {{8, 4}, {225, 4}, {230, 1}})).add(set(256, Octets().u32(1).u32(2).u8(4)))));
  EXPECT_TRUE(run.rows.empty());
  EXPECT_EQ(run.decoder.total().events, 1u);
}

/// Options: scope observation domain, then the fields.
Octets options_template(uint16_t id, const Fields& fields) {
  Octets o;
  o.u16(id).u16(fields.size() + 1).u16(1).u16(149).u16(4);
  for (const auto& [element, width] : fields) o.u16(element).u16(width);
  return o;
}
std::string rate_after(const Fields& options, const Octets& values, uint16_t sampler_field = 0, uint8_t sampler = 0) {
  DecodeRun run;
  Fields fields = kSmall;
  Octets record = small_record();
  if (sampler_field != 0) {
    fields.emplace_back(sampler_field, 1);
    record.u8(sampler);
  }
  run.feed(ipfix(set(3, options_template(300, options)).add(set(300, Octets().u32(1).add(values)))));
  run.feed(ipfix(set(2, template_of(256, fields)).add(set(256, record)), 1));
  EXPECT_EQ(run.decoder.total().option_rows, 1u);
  EXPECT_EQ(run.decoder.total().missing, 0u) << "options data counts in the sequence";
  return run.last("sampling_rate");
}
TEST(Ipfix, SamplingRatesInAllForms) {
  EXPECT_EQ(rate_after({{34, 4}}, Octets().u32(100)), "100");
  EXPECT_EQ(rate_after({{305, 4}, {306, 4}}, Octets().u32(1).u32(99)), "100");
  EXPECT_EQ(rate_after({{305, 4}, {306, 4}}, Octets().u32(2).u32(198)), "100");
  EXPECT_EQ(rate_after({{309, 4}, {310, 4}}, Octets().u32(1).u32(256)), "256");
  EXPECT_EQ(rate_after({{48, 1}, {50, 4}}, Octets().u8(3).u32(512), 48, 3), "512");
  EXPECT_EQ(rate_after({{302, 8}, {305, 4}, {306, 4}}, Octets().u64(9).u32(1).u32(9), 302, 9), "10");
  EXPECT_EQ(rate_after({{34, 4}}, Octets().u32(0)), "null") << "a sampler that is not in use";
}

TEST(Netflow9, UptimeTimesReducedSizesAndPadding) {
  DecodeRun run;
  const Fields fields = {{8, 4}, {1, 3}, {22, 4}, {21, 4}};
  Octets record;
  record.u32(0x0a000001).put(70'000, 3).u32(990'000).u32(995'000);
  run.feed(v9(set(0, template_of(260, fields)).add(set(260, record)).zeros(40)));  // the rest of the datagram is zero
  ASSERT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.last("octets_raw"), "70000");
  EXPECT_EQ(run.last("time"), "2026-01-31 12:00:54+00");
  EXPECT_EQ(run.last("protocol_version"), "9");
  run.feed(v9(set(260, record), 4));
  EXPECT_EQ(run.decoder.total().missing, 3u) << "v9 counts datagrams";
}

/// A template of random fields, some of them unknown to us, and a data set of random records.
Octets random_message(std::mt19937_64& random, bool v9_message) {
  static constexpr uint16_t kElements[] = {1,   2,   4,   5,   6,   7,   8,   9,   10,  11,  12, 13,  14,
                                           15,  16,  17,  21,  22,  32,  48,  58,  61,  70,  80, 150, 151,
                                           152, 153, 154, 157, 158, 159, 160, 161, 34,  27,  28, 62,  56,
                                           176, 177, 192, 210, 225, 227, 230, 243, 305, 306, 500};
  Fields fields;
  size_t record_octets = 0;
  for (size_t f = 1 + random() % 24; f > 0; --f) {
    const uint16_t element = kElements[random() % std::size(kElements)];
    const bool v6 = element == 27 || element == 28 || element == 62;
    const bool v4 = element == 8 || element == 12 || element == 15 || element == 225;
    const auto width = static_cast<uint16_t>(v6 ? 16 : v4 ? 4 : 1 + random() % (random() % 8 == 0 ? 20 : 8));
    fields.emplace_back(element, width);
    record_octets += width;
  }
  Octets records;
  for (size_t octets = record_octets * (1 + random() % 40); octets > 0; --octets) {
    records.u8(static_cast<uint8_t>(random() % 4 == 0 ? 0 : random()));
  }
  const Octets sets = set(v9_message ? 0 : 2, template_of(256, fields)).add(set(256, records));
  return v9_message ? v9(sets) : ipfix(sets);
}

TEST(Templated, RowsDependNeitherOnOtherWantedColumnsNorOnTheKernels) {
  std::mt19937_64 random(5);
  const base::CpuLevel had = base::cpu_level();
  for (int round = 0; round < 200; ++round) {
    const Octets message = random_message(random, round % 2 == 0);
    base::limit_cpu_level(base::CpuLevel::kPlain);
    DecodeRun all({}, 7);
    const DecodeOutcome whole = all.feed(message);
    batch::FlowColumnSet wanted;
    for (size_t c = 0; c < batch::kFlowColumnCount; ++c) {
      const auto column = static_cast<batch::FlowColumn>(c);
      if (DecodeRun::all_columns().has(column) && random() % 3 == 0) wanted.add(column);
    }
    for (const auto& columns : {wanted, DecodeRun::all_columns()}) {
      base::limit_cpu_level(had);
      DecodeRun some({}, 1 + random() % 50, columns);
      EXPECT_EQ(some.feed(message).time_max, whole.time_max);
      ASSERT_EQ(some.rows.size(), all.rows.size());
      for (size_t row = 0; row < all.rows.size(); ++row) {
        for (const auto& [name, value] : some.rows[row]) {
          ASSERT_EQ(value, all.rows[row].at(name)) << name << " of row " << row << ", round " << round;
        }
      }
    }
  }
}

TEST(Templated, ASetThatRunsPastTheDatagramGivesItsWholeRecords) {
  DecodeRun run;
  Octets cut = set(256, small_record().add(small_record()));
  cut.bytes.resize(cut.bytes.size() - 5);
  run.feed(ipfix(set(2, template_of(256, kSmall)).add(cut)));
  EXPECT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.fault(DecodeFault::kSetTruncated), 1u);
  run.feed(ipfix(Octets().u16(256).u16(3).zeros(8)));
  EXPECT_EQ(run.fault(DecodeFault::kSetLengthInvalid), 1u);
}

/// feed() checks the identities of the ledger after each datagram.
TEST(Templated, AnyChangedOctetsKeepTheLedger) {
  std::mt19937 random(5);
  for (int round = 0; round < 2'000; ++round) {
    DecodeRun run;
    Octets message =
        round % 2 ? ipfix(set(2, template_of(256, kSmall)).add(set(256, small_record().add(small_record()))))
                  : v9(set(0, template_of(256, kSmall)).add(set(256, small_record())).add(set(300, small_record())));
    for (int flips = 0; flips < 1 + round % 6; ++flips)
      message.bytes[random() % message.bytes.size()] = static_cast<uint8_t>(random());
    message.bytes.resize(random() % 4 == 0 ? random() % (message.bytes.size() + 1) : message.bytes.size());
    for (int repeat = 0; repeat < 3; ++repeat) run.feed(message);
  }
}

}  // namespace
}  // namespace backstream::decode
