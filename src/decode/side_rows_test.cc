// Rows of the streams beside flows, of records and of ledgers; and records that are two flows, or none.
#include "decode/side_rows.h"

#include "decode/decode_test_input.h"

namespace backstream::decode {
namespace {

struct Field {
  uint16_t element, width;
  uint32_t enterprise = 0;
};
using Fields = std::vector<Field>;

Octets set(uint16_t id, const Octets& body) { return Octets().u16(id).u16(4 + body.bytes.size()).add(body); }
Octets ipfix(const Octets& sets, uint32_t sequence = 0) {
  return Octets().u16(10).u16(16 + sets.bytes.size()).u32(kExported).u32(sequence).u32(7).add(sets);
}
void put_fields(Octets& o, const Fields& fields) {
  for (const auto& [element, width, enterprise] : fields) {
    o.u16(enterprise == 0 ? element : 0x8000u | element).u16(width);
    if (enterprise != 0) o.u32(enterprise);
  }
}
Octets template_of(const Fields& fields, uint16_t id = 256) {
  Octets o;
  o.u16(id).u16(fields.size());
  put_fields(o, fields);
  return set(2, o);
}
Octets options_template_of(const Fields& fields, uint16_t scopes, uint16_t id = 257) {
  Octets o;
  o.u16(id).u16(fields.size()).u16(scopes);
  put_fields(o, fields);
  return set(3, o);
}
void feed(DecodeRun& run, const Fields& fields, const Octets& data) {
  run.feed(ipfix(template_of(fields).add(set(256, data))));
}
Octets text(std::string_view sent, size_t width) {
  Octets o;
  for (const char c : sent) o.u8(static_cast<uint8_t>(c));
  return o.zeros(width - sent.size());
}

TEST(PeerPoint15, NatEventsAreEventsAndNoFlows) {
  DecodeRun run;
  const Fields fields = {{323, 8}, {8, 4}, {225, 4}, {7, 2}, {227, 2}, {12, 4}, {11, 2}, {4, 1}, {230, 1}, {361, 2}};
  Octets record;
  record.u64(1'769'860'800'250).u32(0x0a000001).u32(0xc0000201).u16(1'024).u16(40'000).u32(0xc6336401).u16(443).u8(6);
  feed(run, fields, Octets(record).u8(4).u16(2'048));
  EXPECT_TRUE(run.rows.empty());
  EXPECT_EQ(run.decoder.total().events, 1u);
  ASSERT_EQ(run.side_rows["events"].size(), 1u);
  const std::map<std::string, std::string> expected = {{"kind", "nat"},
                                                       {"event", "4"},
                                                       {"event_name", "NAT44 session create"},
                                                       {"event_time", "2026-01-31 12:00:00.25+00"},
                                                       {"time", "2026-01-31 12:01:00+00"},
                                                       {"src_ip", "10.0.0.1"},
                                                       {"nat_src_ip", "192.0.2.1"},
                                                       {"nat_dst_ip", "null"},
                                                       {"src_port", "1024"},
                                                       {"nat_src_port", "40000"},
                                                       {"dst_ip", "198.51.100.1"},
                                                       {"dst_port", "443"},
                                                       {"protocol", "6"},
                                                       {"observation_domain", "7"},
                                                       {"protocol_version", "10"},
                                                       {"elements", "portRangeStart=2048"}};
  for (const auto& [column, value] : expected) EXPECT_EQ(run.side_rows["events"][0][column], value) << column;
}

TEST(PeerPoint15, AFirewallsRecordIsAFlowWhereItCounts) {
  DecodeRun run;
  const Fields fields = {{8, 4}, {12, 4}, {233, 1}, {231, 4}, {298, 4}};
  const auto record = [](uint8_t event, uint32_t octets, uint32_t packets) {
    return Octets().u32(0x0a000001).u32(0x0a000002).u8(event).u32(octets).u32(packets);
  };
  // Created, denied, deleted after 700 octets, created, and an update: in one set, so that runs have to be told apart.
  feed(run, fields,
       record(1, 0, 0).add(record(3, 0, 0)).add(record(2, 700, 3)).add(record(1, 0, 0)).add(record(5, 90, 1)));
  ASSERT_EQ(run.rows.size(), 2u);
  EXPECT_EQ(run.rows[0]["octets_raw"], "700");
  EXPECT_EQ(run.rows[1]["octets_raw"], "90");
  const auto& events = run.side_rows["events"];
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].at("event_name"), "flow denied");
  EXPECT_EQ(events[1].at("kind"), "firewall");
  EXPECT_EQ(run.decoder.total().events, 3u);
}

TEST(PeerPoint15, PreAndPostNatAreNotAdded) {
  DecodeRun run;
  feed(run, {{8, 4}, {225, 4}, {1, 4}, {2, 4}, {23, 4}, {24, 4}},
       Octets().u32(0x0a000001).u32(0xc0000201).u32(700).u32(3).u32(690).u32(3));
  ASSERT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.last("octets_raw"), "700");
  EXPECT_EQ(run.last("nat_src_ip"), "192.0.2.1");
}

TEST(PeerPoint24, DirectionAndInterfacesTellWhereAFlowWasCounted) {
  DecodeRun run;
  const auto record = [](uint8_t direction) { return Octets().u32(0x0a000001).u32(11).u32(12).u8(direction).u32(700); };
  feed(run, {{8, 4}, {10, 4}, {14, 4}, {61, 1}, {1, 4}}, record(0).add(record(1)));
  ASSERT_EQ(run.rows.size(), 2u);
  EXPECT_EQ(run.rows[0]["direction"], "0");
  EXPECT_EQ(run.rows[1]["direction"], "1");
  EXPECT_EQ(run.rows[1]["in_if"], "11");
  EXPECT_EQ(run.rows[1]["out_if"], "12");
}

constexpr uint32_t kReverse = 29'305;

TEST(Biflow, TheReverseDirectionIsAFlowOfItsOwn) {
  const Fields fields = {{8, 4},           {12, 4},          {7, 2}, {11, 2}, {10, 4}, {14, 4},
                         {4, 1},           {6, 1},           {1, 8}, {2, 8},  {61, 1}, {6, 1, kReverse},
                         {1, 8, kReverse}, {2, 8, kReverse}, {9, 1}, {13, 1}};
  const auto record = [](uint64_t octets, uint64_t back) {
    Octets o;
    o.u32(0x0a000001).u32(0x0a000002).u16(40'000).u16(443).u32(11).u32(12).u8(6).u8(2);
    return o.u64(octets).u64(3).u8(0).u8(0x12).u64(back).u64(back / 100).u8(24).u8(16);
  };
  DecodeRun run;
  feed(run, fields, record(700, 9'000).add(record(800, 0)).add(record(900, 100)));
  ASSERT_EQ(run.rows.size(), 5u) << "no row where nothing came back";
  std::map<std::string, std::string> back;
  for (const auto& row : run.rows) {
    if (row.at("octets_raw") == "9000") back = row;
  }
  const std::map<std::string, std::string> expected = {
      {"src_ip", "10.0.0.2"}, {"dst_ip", "10.0.0.1"}, {"src_port", "443"}, {"dst_port", "40000"},
      {"in_if", "12"},        {"out_if", "11"},       {"tcp_flags", "18"}, {"protocol", "6"},
      {"packets_raw", "90"},  {"direction", "null"},  {"src_mask", "16"},  {"dst_mask", "24"}};
  for (const auto& [column, value] : expected) EXPECT_EQ(back[column], value) << column;
  EXPECT_EQ(run.rows[0]["octets_raw"], "700") << "nothing is added to the forward direction";
  EXPECT_EQ(run.rows[0]["tcp_flags"], "2");
  EXPECT_EQ(run.decoder.total().records, 5u);
  run.feed(ipfix(set(256, record(1, 1)), 3));
  EXPECT_EQ(run.decoder.total().missing, 0u) << "the sequence numbers count a record once";

  DecodeSettings settings;
  settings.biflow = DecodeSettings::Biflow::kForward;
  DecodeRun forward(settings);
  feed(forward, fields, record(700, 9'000));
  EXPECT_EQ(forward.rows.size(), 1u);
}

TEST(Biflow, WhatTheResponderSentIsOne) {
  DecodeRun run;
  feed(run, {{8, 4}, {12, 4}, {231, 4}, {232, 4}, {298, 4}, {299, 4}},
       Octets().u32(0x0a000001).u32(0x0a000002).u32(700).u32(9'000).u32(3).u32(8));
  ASSERT_EQ(run.rows.size(), 2u);
  EXPECT_EQ(run.rows[1]["src_ip"], "10.0.0.2");
  EXPECT_EQ(run.rows[1]["octets_raw"], "9000");
  EXPECT_EQ(run.rows[1]["packets_raw"], "8");
}

TEST(Biflow, RecordsOfVariableLength) {
  DecodeRun run;
  const Octets record = Octets().u32(0x0a000001).u32(0x0a000002).u8(3).u8('a').u8('b').u8('c').u32(5).u32(6);
  feed(run, {{8, 4}, {12, 4}, {96, 65535}, {1, 4}, {1, 4, kReverse}}, Octets(record).add(record));
  ASSERT_EQ(run.rows.size(), 4u);
  EXPECT_EQ(run.last("octets_raw"), "6");
  EXPECT_EQ(run.last("src_ip"), "10.0.0.2");
}

TEST(StructuredData, ListsAreSkippedByTheirLength) {
  DecodeRun run;
  // RFC 6313: a basicList of three octets' elements, a subTemplateList, a long subTemplateMultiList.
  Octets record = Octets().u8(8).u8(3).u16(82).u16(1).u8('x').u8('y').u8('z').u32(0x0a000001);
  record.u8(5).u8(3).u16(300).u16(0).u64(700).u8(255).u16(300).zeros(300).u16(443);
  feed(run, {{291, 65535}, {8, 4}, {292, 65535}, {1, 8}, {293, 65535}, {11, 2}}, Octets(record).add(record));
  ASSERT_EQ(run.rows.size(), 2u);
  EXPECT_EQ(run.last("src_ip"), "10.0.0.1");
  EXPECT_EQ(run.last("octets_raw"), "700");
  EXPECT_EQ(run.last("dst_port"), "443");
  EXPECT_EQ(run.decoder.total().malformed, 0u);
}

Octets frame(uint16_t vlan = 42) {
  Octets f;
  f.put(0x020000000001, 6).put(0x020000000002, 6).u16(0x8100).u16(vlan).u16(0x0800);
  f.u8(0x45).u8(0).u16(600).u32(0).u8(63).u8(6).u16(0).u32(0xc0000201).u32(0xc0000202);
  return f.u16(50'000).u16(443).u32(1).u32(2).u16(0x5012).u16(0);
}

TEST(FrameSections, FillWhatTheRecordDoesNotSay) {
  DecodeRun run;
  const Octets f = frame();
  const auto record = [&](const Octets& head) {
    return Octets().u32(582).u32(0).u8(255).u16(head.bytes.size()).add(head).u16(650).u32(64);
  };
  Octets cut = f;
  cut.bytes.resize(20);
  feed(run, {{10, 4}, {14, 4}, {315, 65535}, {312, 2}, {34, 4}}, record(f).add(record(cut)));
  ASSERT_EQ(run.rows.size(), 2u);
  const std::map<std::string, std::string> expected = {
      {"src_ip", "192.0.2.1"}, {"dst_ip", "192.0.2.2"}, {"src_port", "50000"}, {"dst_port", "443"},  {"protocol", "6"},
      {"tcp_flags", "18"},     {"vlan", "42"},          {"octets_raw", "600"}, {"packets_raw", "1"}, {"in_if", "582"},
      {"sampling_rate", "64"}, {"ip_ttl", "63"},        {"inner_vlan", "null"}};
  for (const auto& [column, value] : expected) EXPECT_EQ(run.rows[0][column], value) << column;
  EXPECT_EQ(run.rows[1]["src_ip"], "null");
  EXPECT_EQ(run.rows[1]["vlan"], "42");
  EXPECT_EQ(run.rows[1]["octets_raw"], "650") << "no IP packet: the frame";
}

TEST(FrameSections, DoNotReplaceWhatTheRecordSays) {
  DecodeRun run;
  Octets packet = frame();
  packet.bytes.erase(packet.bytes.begin(), packet.bytes.begin() + 18);
  feed(run, {{8, 4}, {1, 4}, {2, 4}, {313, 36}}, Octets().u32(0x0a000009).u32(77).u32(2).add(packet));
  EXPECT_EQ(run.last("src_ip"), "10.0.0.9");
  EXPECT_EQ(run.last("dst_ip"), "192.0.2.2");
  EXPECT_EQ(run.last("octets_raw"), "77");
  EXPECT_EQ(run.last("packets_raw"), "2");
}

TEST(ExporterOptions, AreRows) {
  DecodeRun run;
  const Octets interfaces = Octets().u32(582).add(text("et-0/0/1", 16)).add(text("to \"fra\"", 12)).u16(9);
  const Octets vrf = Octets().u32(0x60000002).add(text("A2", 8)).u64(0x0002fbf0005a000c);
  run.feed(ipfix(options_template_of({{10, 4}, {82, 16}, {83, 12}, {1, 2, 9}}, 1)
                     .add(options_template_of({{234, 4}, {236, 8}, {90, 8}}, 1, 258))
                     .add(options_template_of({{302, 4}, {305, 4}, {306, 4}, {304, 2}}, 1, 259))
                     .add(options_template_of({{149, 4}, {95, 4}, {96, 6}, {160, 8}}, 1, 260))
                     .add(set(257, interfaces))
                     .add(set(258, vrf))
                     .add(set(259, Octets().u32(3).u32(1).u32(999).u16(1)))
                     .add(set(260, Octets().u32(7).u32(0x0300'0050).add(text("http", 6)).u64(1'769'860'800'000)))));
  const auto& rows = run.side_rows["exporter_options"];
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].at("if_index"), "582");
  EXPECT_EQ(rows[0].at("if_name"), "et-0/0/1");
  EXPECT_EQ(rows[0].at("if_description"), "to \"fra\"");
  EXPECT_EQ(rows[0].at("scope"), "ingressInterface=582");
  EXPECT_EQ(rows[0].at("elements"), "9/1=0x0009");
  EXPECT_EQ(rows[0].at("template_id"), "257");
  EXPECT_EQ(rows[0].at("time"), "2026-01-31 12:01:00+00");
  EXPECT_EQ(rows[1].at("vrf_id"), std::to_string(0x60000002));
  EXPECT_EQ(rows[1].at("vrf_name"), "A2");
  EXPECT_EQ(rows[1].at("elements"), "mplsVpnRouteDistinguisher=0x0002fbf0005a000c");
  EXPECT_EQ(rows[2].at("sampler_id"), "3");
  EXPECT_EQ(rows[2].at("sampling_rate"), "1000");
  EXPECT_EQ(rows[3].at("application_id"), "3:80");
  EXPECT_EQ(rows[3].at("application_name"), "http");
  EXPECT_EQ(rows[3].at("system_init_time"), "2026-01-31 12:00:00+00");
  EXPECT_EQ(run.decoder.total().option_rows, 4u);
}

TEST(ExporterOptions, ScopesOfNetflow9HaveNamesOfTheirOwn) {
  DecodeRun run;
  // Scope interface; then interfaceName, samplingInterval.
  const Octets fields = Octets().u16(257).u16(4).u16(8).u16(2).u16(4).u16(82).u16(8).u16(34).u16(4);
  const Octets sets = set(1, fields).add(set(257, Octets().u32(17).add(text("Gi0/17", 8)).u32(100)));
  run.feed(Octets().u16(9).u16(2).u32(1'000'000).u32(kExported).u32(0).u32(1).add(sets));
  const auto& rows = run.side_rows["exporter_options"];
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].at("scope"), "interface=17");
  EXPECT_EQ(rows[0].at("if_index"), "17");
  EXPECT_EQ(rows[0].at("if_name"), "Gi0/17");
  EXPECT_EQ(rows[0].at("sampling_rate"), "100");
  EXPECT_EQ(rows[0].at("protocol_version"), "9");
}

TEST(ExporterOptions, TextsThatAreNoUtf8AreShownAsOctets) {
  DecodeRun run;
  run.feed(ipfix(
      options_template_of({{10, 4}, {82, 4}, {1000, 2}}, 1).add(set(257, Octets().u32(1).u32(0xfffefdfc).u16(5)))));
  EXPECT_EQ(run.side_rows["exporter_options"][0].at("if_name"), "null");
  EXPECT_EQ(run.side_rows["exporter_options"][0].at("elements"), "interfaceName=0xfffefdfc 1000=0x0005");
}

/// What a decoder told, a line each.
class Told {
 public:
  explicit Told(Decoder& decoder) {
    decoder.on_name([this](const NameNews& news) {
      static constexpr const char* kOf[] = {"interface", "vrf", "application"};
      lines.push_back(std::string(kOf[static_cast<size_t>(news.of)]) + " " + base::to_string(news.exporter) + " " +
                      std::to_string(news.id) + " " + std::string(news.name) + " " + std::string(news.description) +
                      " " + std::to_string(news.bits_per_second));
    });
  }
  std::vector<std::string> lines;
};

TEST(Names, AreToldByOptionsAndCounters) {
  DecodeRun run;
  run.side = SideWriters();  // whether a query reads the rows or not
  Told told(run.decoder);
  run.feed(ipfix(options_template_of({{14, 4}, {82, 8}, {83, 8}}, 1)
                     .add(set(257, Octets().u32(582).add(text("et-1", 8)).add(text("to fra", 8))))));
  const Octets fields = Octets().u16(257).u16(4).u16(4).u16(2).u16(4).u16(82).u16(8);
  run.feed(Octets().u16(9).u16(2).u32(1'000'000).u32(kExported).u32(0).u32(1).add(
      set(1, fields).add(set(257, Octets().u32(17).add(text("Gi0/17", 8))))));
  const Octets counters = Octets().u32(1).u32(88).u32(21).u32(6).u64(10'000'000'000).zeros(72);
  const Octets name = Octets().u32(1005).u32(8).u32(4).add(text("swp9", 4));
  const Octets sample = Octets().u32(1).u32(21).u32(2).add(counters).add(name);
  run.feed(Octets()
               .u32(5)
               .u32(1)
               .u32(0x0a000001)
               .u32(0)
               .u32(1)
               .u32(1000)
               .u32(1)
               .u32(2)
               .u32(sample.bytes.size())
               .add(sample));
  EXPECT_EQ(told.lines,
            (std::vector<std::string>{"interface 10.0.0.1 582 et-1 to fra 0", "interface 10.0.0.1 17 Gi0/17  0",
                                      "interface 10.0.0.1 21 swp9  10000000000"}));
}

/// The options of a router with VRFs and NBAR: scope system, an id, a name (and a description).
Octets names_of_router(uint16_t element, uint64_t id, uint16_t name_element, const std::string& name,
                       const std::string& description = "") {
  return options_template_of({{149, 4}, {element, 4}, {name_element, 24}, {94, 30}}, 1)
      .add(set(257, Octets().u32(1).u32(id).add(text(name, 24)).add(text(description, 30))));
}

TEST(Names, OfVrfsAndApplications) {
  DecodeRun run;
  Told told(run.decoder);
  run.feed(ipfix(names_of_router(234, 0, 236, "default")));
  run.feed(ipfix(names_of_router(235, 7, 236, "blue")));
  run.feed(ipfix(names_of_router(95, 0x0d000001, 96, "dns", "Domain Name System")));
  run.feed(ipfix(names_of_router(95, 0x00000001, 96, "engine 0 is invalid")));
  run.feed(ipfix(names_of_router(234, 9, 236, "")));
  run.feed(ipfix(names_of_router(234, 7, 236, "\xff\xfe")));
  EXPECT_EQ(told.lines, (std::vector<std::string>{"vrf 10.0.0.1 0 default  0", "vrf 10.0.0.1 7 blue  0",
                                                  "application 10.0.0.1 218103809 dns Domain Name System 0"}));
  EXPECT_EQ(run.decoder.total().option_rows, 6u);
}

TEST(Names, OutliveTheProcessAndAreThereBeforeTheFirstDatagram) {
  const auto store = std::make_shared<TemplateStore>(), after = std::make_shared<TemplateStore>();
  DecodeRun run({}, 5, DecodeRun::all_columns(), store);
  Told told(run.decoder);
  run.feed(ipfix(names_of_router(234, 7, 236, "blue")));
  run.feed(ipfix(names_of_router(95, 0x0d000001, 96, "dns", "Domain Name System")));
  run.feed(ipfix(options_template_of({{14, 4}, {82, 8}, {83, 8}}, 1)
                     .add(set(257, Octets().u32(582).add(text("et-1", 8)).add(text("to fra", 8))))));
  run.feed(ipfix(names_of_router(234, 7, 236, "green")));
  ASSERT_TRUE(after->decode(store->encode()));
  DecodeRun next({}, 5, DecodeRun::all_columns(), after);
  next.decoder.tell_known_names();  // To nobody.
  Told again(next.decoder);
  next.decoder.tell_known_names();
  EXPECT_EQ(again.lines,
            (std::vector<std::string>{"interface 10.0.0.1 582 et-1  0", "vrf 10.0.0.1 7 green  0",
                                      "application 10.0.0.1 218103809 dns  0", "interface 10.0.0.1 582  to fra 0",
                                      "application 10.0.0.1 218103809  Domain Name System 0"}))
      << "the last ones";
}

TEST(Names, AreOfTheExporterThatOptionsName) {
  DecodeSettings settings;
  settings.exporter_identity = ExporterIdentity::kElement;
  const auto store = std::make_shared<TemplateStore>();
  DecodeRun run(settings, 5, DecodeRun::all_columns(), store);
  Told told(run.decoder);
  run.feed(ipfix(options_template_of({{149, 4}, {130, 4}}, 1).add(set(257, Octets().u32(1).u32(0xc6336401)))));
  run.feed(ipfix(names_of_router(234, 7, 236, "blue")));
  EXPECT_EQ(told.lines, std::vector<std::string>{"vrf 198.51.100.1 7 blue  0"});
  DecodeRun next(settings, 5, DecodeRun::all_columns(), store);
  Told again(next.decoder);
  next.decoder.tell_known_names();
  EXPECT_EQ(again.lines, told.lines);
}

TEST(Names, BeyondTheLimitAreCountedForTheirExporter) {
  TemplateStoreLimits limits;
  limits.name_count_max = 2;
  DecodeRun run({}, 5, DecodeRun::all_columns(), std::make_shared<TemplateStore>(limits));
  Told told(run.decoder);
  for (uint32_t id = 1; id <= 4; ++id) run.feed(ipfix(names_of_router(234, id, 236, "v" + std::to_string(id))));
  run.feed(ipfix(names_of_router(234, 2, 236, "two")));
  run.feed(ipfix(names_of_router(234, 1, 236, "other")), kReceived, 0x0a000002);
  EXPECT_EQ(told.lines, (std::vector<std::string>{"vrf 10.0.0.1 1 v1  0", "vrf 10.0.0.1 2 v2  0",
                                                  "vrf 10.0.0.1 2 two  0", "vrf 10.0.0.2 1 other  0"}));
  EXPECT_EQ(run.decoder.ledger(0).faults[static_cast<size_t>(DecodeFault::kOptionsLimit)], 2u);
  EXPECT_EQ(run.decoder.ledger(1).faults[static_cast<size_t>(DecodeFault::kOptionsLimit)], 0u);
}

TEST(Names, LongOnesAreCutBetweenCharacters) {
  DecodeRun run;
  Told told(run.decoder);
  const std::string name(kFactTextMax - 1, 'x');
  const Octets fields = Octets().u16(257).u16(3).u16(1).u16(149).u16(4).u16(234).u16(4).u16(236).u16(300);
  run.feed(ipfix(set(3, fields).add(set(257, Octets().u32(1).u32(7).add(text(name + "\xc3\xa9 and more", 300))))));
  EXPECT_EQ(told.lines, std::vector<std::string>{"vrf 10.0.0.1 7 " + name + "  0"});
}

/// "100", of several "100..200", "?" when it is not known.
std::string rates_of(const DecodeRun& run, size_t exporter = 0) {
  const Decoder::ExporterSummary summary = run.decoder.summaries()[exporter];
  if (summary.sampling_rate_min == 0) return "?";
  const std::string least = std::to_string(summary.sampling_rate_min);
  return summary.sampling_rate_min == summary.sampling_rate_max
             ? least
             : least + ".." + std::to_string(summary.sampling_rate_max);
}

TEST(Summaries, HaveTheRatesAndTheTemplates) {
  DecodeRun run;
  const auto rate = [](uint32_t sampler, uint32_t interval) {
    return ipfix(options_template_of({{302, 4}, {34, 4}}, 1).add(set(257, Octets().u32(sampler).u32(interval))));
  };
  run.feed(ipfix(template_of({{8, 4}})));
  EXPECT_EQ(run.decoder.summaries()[0].template_count, 1u);
  EXPECT_EQ(rates_of(run), "?");
  run.feed(rate(1, 100));
  run.feed(rate(2, 100));
  EXPECT_EQ(run.decoder.summaries()[0].template_count, 2u);
  EXPECT_EQ(rates_of(run), "100");
  run.feed(rate(2, 200));
  EXPECT_EQ(rates_of(run), "100..200");
  run.feed(rate(2, 0));
  EXPECT_EQ(rates_of(run), "100") << "a sampler that is not in use";
}

TEST(Summaries, KnowTheRatesInRecords) {  // Huawei
  DecodeRun run;
  const auto records = [](std::initializer_list<uint32_t> intervals) {
    Octets data;
    for (const uint32_t interval : intervals) data.u32(0x0a000001).u32(interval);
    return ipfix(template_of({{8, 4}, {34, 4}}).add(set(256, data)));
  };
  run.feed(records({0}));
  EXPECT_EQ(rates_of(run), "?") << "a record that says nothing";
  run.feed(records({512, 512}));
  EXPECT_EQ(rates_of(run), "512");
  run.feed(records({1'024, 256, 1'024}));
  EXPECT_EQ(rates_of(run), "256..1024");
  const base::Micros minute = 60'000'000;
  run.feed(records({64}), kReceived + minute);
  EXPECT_EQ(rates_of(run), "64..1024") << "of this minute and the one before";
  run.feed(records({64}), kReceived + 2 * minute);
  EXPECT_EQ(rates_of(run), "64");
}

TEST(Summaries, KnowTheRatesOfTheSettings) {
  DecodeSettings settings;
  settings.sampling_default = 7;
  settings.exporters.push_back({base::Inet::v4(0x0a000001), 1'000, {}, {}});
  DecodeRun run(settings);
  run.feed(ipfix(template_of({{8, 4}})));
  run.feed(ipfix(template_of({{8, 4}})), kReceived, 0x0a000002);
  EXPECT_EQ(rates_of(run, 0), "1000");
  EXPECT_EQ(rates_of(run, 1), "7");
}

/// Query 32 of operators: what was lost, by exporter and minute.
TEST(ExporterMinutes, AreWrittenWhenTheyAreOver) {
  DecodeRun run;
  constexpr base::Micros kMinute = 60'000'000;
  const Octets record = Octets().u32(0x0a000001).u32(100);
  SideWriter& out = *run.side.of(batch::SideStream::kExporterMinutes);
  const auto written = [&](base::Micros end) {
    run.decoder.write_minutes(end, out);
    run.side.flush();
    return run.side_rows["exporter_minutes"].size();
  };
  run.feed(ipfix(template_of({{8, 4}, {1, 4}}).add(set(256, record))), kReceived + 1);
  run.feed(ipfix(set(256, record), 6), kReceived + kMinute / 2);
  run.feed(Octets().u32(77).u32(1), kReceived + kMinute / 2);
  run.feed(ipfix(set(256, record), 1), kReceived + kMinute / 2, 0x0a000002);
  EXPECT_EQ(written(kReceived), 0u) << "the minute is not over";
  ASSERT_EQ(written(kReceived + kMinute), 2u);
  EXPECT_EQ(written(kReceived + kMinute), 2u) << "only once";
  const auto& rows = run.side_rows["exporter_minutes"];
  const std::map<std::string, std::string> expected = {{"time", "2026-01-31 12:01:00+00"},
                                                       {"exporter", "10.0.0.1"},
                                                       {"protocols", "IPFIX"},
                                                       {"datagrams", "3"},
                                                       {"decoded", "2"},
                                                       {"undecodable", "1"},
                                                       {"records", "2"},
                                                       {"flows", "2"},
                                                       {"missing", "5"},
                                                       {"sampling_unknown_rows", "2"},
                                                       {"faults", "not_an_export=1"}};
  for (const auto& [column, value] : expected) EXPECT_EQ(rows[0].at(column), value) << column;
  EXPECT_EQ(rows[1].at("awaiting_template"), "1");
  // What was overtaken fills the gap of the minute before: a negative number.
  run.feed(ipfix(set(256, record), 3), kReceived + kMinute + 5);
  EXPECT_EQ(written(base::kMaxTime), 3u);
  EXPECT_EQ(rows[2].at("missing"), "-1");
  EXPECT_EQ(rows[2].at("time"), "2026-01-31 12:02:00+00");
}

TEST(SideStreams, WhatNobodyReadsIsNotDecoded) {
  DecodeRun run;
  run.side = SideWriters();
  feed(run, {{8, 4}, {230, 1}}, Octets().u32(0x0a000001).u8(1));
  EXPECT_EQ(run.decoder.total().events, 1u);
  EXPECT_TRUE(run.side_rows.empty());
}

}  // namespace
}  // namespace backstream::decode
