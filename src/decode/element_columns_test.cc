#include <limits>

#include "decode/decode_test_input.h"

namespace backstream::decode {
namespace {

Octets set(uint16_t id, const Octets& body) { return Octets().u16(id).u16(4 + body.bytes.size()).add(body); }
Octets ipfix(const Octets& sets) {
  return Octets().u16(10).u16(16 + sets.bytes.size()).u32(kExported).u32(0).u32(1).add(sets);
}
const std::vector<batch::UserColumn> kNoMore;

struct Field {
  uint16_t element, width;
  uint32_t enterprise = 0;
};
Octets template_of(const std::vector<Field>& fields) {
  Octets o;
  o.u16(256).u16(fields.size());
  for (const Field& field : fields) {
    o.u16(field.element | (field.enterprise != 0 ? 0x8000 : 0)).u16(field.width);
    if (field.enterprise != 0) o.u32(field.enterprise);
  }
  return o;
}
void feed(DecodeRun& run, const std::vector<Field>& fields, const Octets& records) {
  run.feed(ipfix(set(2, template_of(fields)).add(set(256, records))));
}

TEST(ElementColumns, ShowWhatWasExported) {
  DecodeRun run(5, kNoMore);
  feed(run, {{8, 4}, {1, 8}, {218, 4}, {136, 1}, {27, 16}, {56, 6}, {276, 1}, {95, 4}, {152, 8}, {320, 8}, {434, 4}},
       Octets()
           .u32(0x0a000001)
           .u64(700)
           .u32(3)
           .u8(2)
           .u32(0x20010db8)
           .zeros(11)
           .u8(9)
           .put(0x020000000001, 6)
           .u8(2)
           .u32(0x0300000d)
           .u64(1'769'860'850'250)
           .u64(std::bit_cast<uint64_t>(0.25))
           .u32(0xfffffffe));
  ASSERT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.last("sourceIPv4Address"), "10.0.0.1");
  EXPECT_EQ(run.last("octetDeltaCount"), "700");
  EXPECT_EQ(run.last("octets_raw"), "700") << "the column of flows has it, too";
  EXPECT_EQ(run.last("tcpSynTotalCount"), "3") << "four octets of a type that has eight";
  EXPECT_EQ(run.last("flowEndReason"), "2");
  EXPECT_EQ(run.last("sourceIPv6Address"), "2001:db8::9");
  EXPECT_EQ(run.last("sourceMacAddress"), std::to_string(0x020000000001));
  EXPECT_EQ(run.last("dataRecordsReliability"), "false");
  EXPECT_EQ(run.last("applicationId"), std::string("\x03\0\0\x0d", 4));
  EXPECT_EQ(run.last("flowStartMilliseconds"), "2026-01-31 12:00:50.25+00");
  EXPECT_EQ(run.last("absoluteError"), "0.250000");
  EXPECT_EQ(run.last("mibObjectValueInteger"), "-2");
  EXPECT_EQ(run.last("destinationIPv4Address"), "null");
  EXPECT_EQ(run.decoder.total().element_unreadable, 0u);
}

TEST(ElementColumns, TextsEndAtTheirFirstZeroAndOutliveTheDatagram) {
  DecodeRun run(2048, kNoMore);
  const std::vector<Field> fields = {{82, 8}, {83, 65535}};
  const auto record = [](std::string_view name, std::string_view description) {
    Octets o;
    for (size_t i = 0; i < 8; ++i) o.u8(i < name.size() ? static_cast<unsigned char>(name[i]) : 0);
    o.u8(description.size());
    for (const char c : description) o.u8(static_cast<unsigned char>(c));
    return o;
  };
  feed(run, fields, record("ge-0/0/1", "uplink \xc3\xa9").add(record("et1", "")).add(record("\xff", "x")));
  ASSERT_EQ(run.rows.size(), 3u);
  EXPECT_EQ(run.rows[0]["interfaceName"], "ge-0/0/1");
  EXPECT_EQ(run.rows[0]["interfaceDescription"], "uplink \xc3\xa9");
  EXPECT_EQ(run.rows[1]["interfaceName"], "et1");
  EXPECT_EQ(run.rows[1]["interfaceDescription"], "null") << "a field of no octets says nothing";
  EXPECT_EQ(run.rows[2]["interfaceName"], "null") << "not UTF-8";
  EXPECT_EQ(run.rows[2]["interfaceDescription"], "x");
  EXPECT_EQ(run.decoder.total().element_unreadable, 1u);
}

TEST(ElementColumns, WhatTheirTypeCannotBeIsNullAndCounted) {
  DecodeRun run(5, kNoMore);
  // A boolean of 3, a counter of 2^63, an address of 5 octets, a time beyond the calendar, a float of 2 octets.
  feed(run, {{276, 1}, {85, 8}, {8, 5}, {153, 8}, {320, 2}},
       Octets()
           .u8(3)
           .u64(uint64_t{1} << 63)
           .zeros(5)
           .u64(std::numeric_limits<uint64_t>::max())
           .zeros(2)
           .u8(1)
           .u64(5)
           .zeros(5)
           .u64(1'769'860'850'000)
           .zeros(2));
  ASSERT_EQ(run.rows.size(), 2u);
  for (const char* name :
       {"dataRecordsReliability", "octetTotalCount", "sourceIPv4Address", "flowEndMilliseconds", "absoluteError"}) {
    EXPECT_EQ(run.rows[0][name], "null") << name;
  }
  EXPECT_EQ(run.rows[1]["dataRecordsReliability"], "true");
  EXPECT_EQ(run.rows[1]["octetTotalCount"], "5");
  EXPECT_EQ(run.rows[1]["flowEndMilliseconds"], "2026-01-31 12:00:50+00");
  EXPECT_EQ(run.decoder.total().element_unreadable, 6u);
  EXPECT_EQ(run.decoder.total().counter_overflow, 2u) << "octets_raw is of the same field";
}

TEST(ElementColumns, OfEnterprises) {
  using batch::ElementType;
  const std::vector<batch::UserColumn> columns = {{"app", {9, 12232, ElementType::kString}},
                                                  {"reverse_octets", {29305, 1, ElementType::kUnsigned64}}};
  DecodeRun run(5, columns);
  feed(run, {{1, 8}, {12232, 4, 9}, {1, 8, 29305}}, Octets().u64(100).u32(0x68747470).u64(4000));
  ASSERT_EQ(run.rows.size(), 2u);
  EXPECT_EQ(run.rows[0]["app"], "http");
  EXPECT_EQ(run.rows[0]["reverse_octets"], "4000");
  EXPECT_EQ(run.rows[0]["octetDeltaCount"], "100") << "element 1 of an enterprise is another one";
  // The row of the other direction.
  EXPECT_EQ(run.rows[1]["app"], "http");
  EXPECT_EQ(run.rows[1]["reverse_octets"], "100");
  EXPECT_EQ(run.rows[1]["octetDeltaCount"], "4000");
}

TEST(ElementColumns, FieldsOfNetflow9HaveTheSameNumbers) {
  DecodeRun run(5, kNoMore);
  const Octets fields = Octets().u16(260).u16(3).u16(8).u16(4).u16(1).u16(4).u16(89).u16(1);
  const Octets sets = set(0, fields).add(set(260, Octets().u32(0x0a000001).u32(70).u8(64).zeros(3)));
  run.feed(Octets().u16(9).u16(2).u32(1'000'000).u32(kExported).u32(0).u32(1).add(sets));
  EXPECT_EQ(run.last("octetDeltaCount"), "70");
  EXPECT_EQ(run.last("forwardingStatus"), "64");
}

TEST(ElementColumns, ManyLongTextsHandTheBatchOverEarly) {
  DecodeRun run(2048, kNoMore);
  run.feed(ipfix(set(2, template_of({{1, 4}, {313, 65535}}))));
  const Octets record = Octets().u32(1).u8(255).u16(60'000).zeros(60'000);
  for (int i = 0; i < 100; ++i) run.feed(ipfix(set(256, record)));
  EXPECT_EQ(run.rows.size(), 100u);
  EXPECT_EQ(run.last("ipHeaderPacketSection").size(), 60'000u);
}

}  // namespace
}  // namespace backstream::decode
