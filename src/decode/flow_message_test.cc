#include "decode/flow_message.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "decode/decode_test_input.h"
#include "decode/protobuf.h"

namespace backstream::decode {
namespace {

using base::PayloadForm;
using batch::FlowColumn;

/// A message, field by field.
class Message {
 public:
  Message& number(uint32_t field, uint64_t value) {
    put_number(bytes, field, value);
    return *this;
  }
  Message& time(uint32_t field, int64_t value) {
    put_fixed64(bytes, field, static_cast<uint64_t>(value));
    return *this;
  }
  Message& octets(uint32_t field, std::string_view value) {
    put_octets(bytes, field, value);
    return *this;
  }
  Message& v4(uint32_t field, uint32_t address) {
    const Octets network = Octets().u32(address);
    return octets(field, {reinterpret_cast<const char*>(network.bytes.data()), 4});
  }
  Message& message(uint32_t field, const Message& other) {
    return octets(field, {reinterpret_cast<const char*>(other.bytes.data()), other.bytes.size()});
  }
  std::vector<uint8_t> bytes;
};

constexpr uint32_t kRouter = 0xc0000201;  // 192.0.2.1

Message batch_of(std::initializer_list<Message> flows) {
  Message made;
  made.number(1, 1).v4(2, kRouter);
  for (const Message& flow : flows) made.message(6, flow);
  return made;
}

Message some_flow() {
  return Message()
      .v4(3, 0x0a000001)
      .v4(4, 0x0a000002)
      .number(5, 50'000)
      .number(6, 443)
      .number(7, 6)
      .number(9, 1500)
      .number(10, 2);
}

/// A decoder of records of Kafka; keeps the rows that come out.
class MessageRun : private FlowWriter::Consumer {
 public:
  explicit MessageRun(DecodeSettings settings = {}, size_t batch_rows = 5, std::vector<std::string> sites = {},
                      const batch::FlowColumnSet& wanted = DecodeRun::all_columns())
      : decoder(std::move(settings), std::move(sites)), writer_(wanted, *this, batch_rows) {}

  DecodeOutcome feed(std::span<const uint8_t> octets, PayloadForm form = PayloadForm::kFlowBatch, uint32_t site = 0,
                     bool site_assumed = false) {
    // Of the exact size, so that the sanitizer sees a read past its end.
    const std::unique_ptr<uint8_t[]> exact(new uint8_t[octets.size()]);
    std::copy(octets.begin(), octets.end(), exact.get());
    base::Datagram datagram;
    datagram.payload = exact.get();
    datagram.payload_octets = static_cast<uint32_t>(octets.size());
    datagram.payload_form = form;
    datagram.source = exporter_of_message(form, {exact.get(), octets.size()});
    if (datagram.source.family == 0) datagram.source = base::Inet::v4(kRouter);
    datagram.received_at = kReceived;
    datagram.site = site;
    datagram.site_assumed = site_assumed;
    const DecodeOutcome outcome = decoder.decode(datagram, writer_);
    writer_.flush();
    const IngestLedger l = decoder.total();
    EXPECT_EQ(l.datagrams, l.decoded + l.rejected + l.undecodable);
    EXPECT_EQ(l.records, l.flows + l.events + l.option_rows + l.malformed + l.awaiting_template);
    EXPECT_EQ(l.flows, rows.size());
    return outcome;
  }
  DecodeOutcome feed(const Message& message, PayloadForm form = PayloadForm::kFlowBatch) {
    return feed(message.bytes, form);
  }
  std::string last(const std::string& column) const { return rows.empty() ? "no row" : rows.back().at(column); }
  uint64_t fault(DecodeFault fault) const { return decoder.total().faults[static_cast<size_t>(fault)]; }

  Decoder decoder;
  std::vector<std::map<std::string, std::string>> rows;

 private:
  void on_flows(batch::ColumnBatch& batch) override { append_rows(batch::flow_schema(), batch, rows); }
  FlowWriter writer_;
};

TEST(FlowBatch, AFlowIsARow) {
  MessageRun run;
  run.feed(batch_of({some_flow()
                         .time(1, kReceived - 3'000'000)
                         .time(2, kReceived - 2'000'000)
                         .number(8, 18)
                         .number(13, 64'512)
                         .number(16, 1000)
                         .octets(21, "10")
                         .octets(29, std::string_view("\x02\x00\x00\x00\x00\x01", 6))
                         .octets(42, "xe-0/0/1")}));
  const std::map<std::string, std::string> expected = {{"src_ip", "10.0.0.1"},
                                                       {"dst_ip", "10.0.0.2"},
                                                       {"src_port", "50000"},
                                                       {"dst_port", "443"},
                                                       {"protocol", "6"},
                                                       {"tcp_flags", "18"},
                                                       {"octets_raw", "1500"},
                                                       {"packets_raw", "2"},
                                                       {"sampling_rate", "1000"},
                                                       {"src_as", "64512"},
                                                       {"dst_as", "null"},
                                                       {"exporter", "192.0.2.1"},
                                                       {"site", "null"},
                                                       {"protocol_version", "10"},
                                                       {"flow_start", "2026-01-31 12:00:57+00"},
                                                       {"flow_end", "2026-01-31 12:00:58+00"},
                                                       {"time", "2026-01-31 12:00:58+00"},
                                                       {"received_at", "2026-01-31 12:01:00+00"},
                                                       {"src_mac", std::to_string(0x020000000001)},
                                                       {"in_if_name", "xe-0/0/1"},
                                                       {"out_if_name", "null"}};
  for (const auto& [column, value] : expected) EXPECT_EQ(run.last(column), value) << column;
  EXPECT_EQ(run.decoder.exporter_protocols(0), "flows");
}

TEST(FlowBatch, WhatIsCommonHoldsForFlowsThatDoNotSayOtherwise) {
  MessageRun run;
  Message common;
  common.number(16, 512)
      .number(7, 17)
      .octets(21, "9")
      .v4(22, 0x0a0000fe)
      .octets(42, "lag 1")
      .time(18, kReceived - 1'000'000);
  Message made;
  made.number(1, 1).v4(2, kRouter);
  made.message(6, some_flow()).message(6, Message().number(16, 64).number(9, 40));
  made.message(5, common);  // Behind the flows: fields may come in any order.
  const DecodeOutcome outcome = run.feed(made);
  EXPECT_EQ(outcome.time_max, kReceived - 1'000'000);
  ASSERT_EQ(run.rows.size(), 2u);
  EXPECT_EQ(run.rows[0]["protocol"], "6");
  EXPECT_EQ(run.rows[1]["protocol"], "17");
  EXPECT_EQ(run.rows[0]["sampling_rate"], "512");
  EXPECT_EQ(run.rows[1]["sampling_rate"], "64");
  EXPECT_EQ(run.rows[0]["time"], "2026-01-31 12:00:59+00");
  for (const auto& row : run.rows) {
    EXPECT_EQ(row.at("protocol_version"), "9");
    EXPECT_EQ(row.at("next_hop"), "10.0.0.254");
    EXPECT_EQ(row.at("in_if_name"), "lag 1");
  }
}

TEST(FlowBatch, TheTimeOfAFlowIsTheFirstThatIsThere) {
  MessageRun run;
  const auto time_of = [&](const Message& flow) {
    run.feed(batch_of({flow}));
    return run.last("time");
  };
  Message flow = Message().number(9, 1);
  EXPECT_EQ(time_of(flow), "2026-01-31 12:01:00+00");  // Ours, of reading it.
  EXPECT_EQ(time_of(flow.time(17, kReceived - 1'000'000)), "2026-01-31 12:00:59+00");
  EXPECT_EQ(run.last("received_at"), "2026-01-31 12:01:00+00");
  EXPECT_EQ(time_of(flow.time(18, kReceived - 2'000'000)), "2026-01-31 12:00:58+00");
  EXPECT_EQ(time_of(flow.time(1, kReceived - 3'000'000)), "2026-01-31 12:00:57+00");
  EXPECT_EQ(time_of(flow.time(2, kReceived - 4'000'000)), "2026-01-31 12:00:56+00");
  EXPECT_EQ(time_of(flow.time(19, kReceived - 5'000'000)), "2026-01-31 12:00:55+00");
}

TEST(FlowBatch, ValuesThatNoColumnCanHaveAreNull) {
  MessageRun run;
  Message common;
  common.number(5, 53).octets(42, "in");
  Message made;
  made.number(1, 1).v4(2, kRouter).message(5, common);
  made.message(6, Message()
                      .octets(3, "12345")  // No address.
                      .number(5, 65'536)   // No port: nor is it the common one.
                      .number(7, 256)
                      .number(9, uint64_t{1} << 63)  // Beyond bigint.
                      .octets(29, "12345")
                      .octets(42, "\xff")
                      .time(2, INT64_MAX)
                      .number(13, 7));
  run.feed(made);
  for (const char* column : {"src_ip", "src_port", "protocol", "octets_raw", "src_mac", "in_if_name", "flow_end"})
    EXPECT_EQ(run.last(column), "null") << column;
  EXPECT_EQ(run.last("src_as"), "7");
  EXPECT_EQ(run.decoder.total().counter_overflow, 1u);
  EXPECT_EQ(run.decoder.total().element_unreadable, 6u);
  EXPECT_EQ(run.decoder.total().malformed, 0u);
}

TEST(FlowBatch, UnknownFieldsAreSkipped) {
  MessageRun run;
  Message flow = some_flow();
  flow.number(46, 7).octets(2'000, "later").time(536'870'911, 1);
  put_tag(flow.bytes, 47, WireType::kFixed32);
  flow.bytes.insert(flow.bytes.end(), {1, 2, 3, 4});
  put_tag(flow.bytes, 48, WireType::kGroup);  // One group in another.
  flow.number(1, 5);
  put_tag(flow.bytes, 3, WireType::kGroup);
  put_tag(flow.bytes, 3, WireType::kGroupEnd);
  put_tag(flow.bytes, 48, WireType::kGroupEnd);
  flow.number(3, 9);  // Known, but of another wire type: as good as unknown.
  flow.octets(9, "\x05\x05");
  flow.number(15, 3);  // Read behind all of that.
  Message made = batch_of({flow});
  made.octets(99, "of a later version").number(98, 1);
  run.feed(made);
  ASSERT_EQ(run.rows.size(), 1u);
  EXPECT_EQ(run.last("src_ip"), "10.0.0.1");
  EXPECT_EQ(run.last("octets_raw"), "1500");
  EXPECT_EQ(run.last("tos"), "3");
}

TEST(FlowBatch, OfAFieldThatComesTwiceTheLastCounts) {
  MessageRun run;
  run.feed(batch_of({some_flow().number(6, 80).number(5, 70'000).number(5, 1)}));
  EXPECT_EQ(run.last("dst_port"), "80");
  EXPECT_EQ(run.last("src_port"), "1");
}

TEST(FlowBatch, AFlowThatCannotBeReadDoesNotSpoilTheNext) {
  MessageRun run;
  Message broken = some_flow();
  broken.bytes.pop_back();
  run.feed(batch_of({some_flow(), broken, Message(), some_flow()}));
  EXPECT_EQ(run.rows.size(), 2u);
  EXPECT_EQ(run.decoder.total().records, 4u);
  EXPECT_EQ(run.decoder.total().malformed, 2u);
  EXPECT_EQ(run.fault(DecodeFault::kRecordMalformed), 2u);
  EXPECT_EQ(run.decoder.total().decoded, 1u);
}

TEST(FlowBatch, OfAMessageThatIsCutTheFlowsBeforeStay) {
  const Message whole = batch_of({some_flow(), some_flow()});
  const size_t one = batch_of({some_flow()}).bytes.size(), head = batch_of({}).bytes.size();
  for (size_t octets = 0; octets < whole.bytes.size(); ++octets) {
    MessageRun run;
    run.feed({whole.bytes.data(), octets});
    EXPECT_EQ(run.rows.size(), octets >= one ? 1u : 0u) << octets;
    const IngestLedger total = run.decoder.total();
    EXPECT_EQ(total.decoded, octets >= head ? 1u : 0u) << octets;
    // Between two fields nothing tells that there was more.
    const bool seems_whole = octets == 0 || octets == 2 || octets == head || octets == one;
    EXPECT_EQ(run.fault(DecodeFault::kMessageMalformed), seems_whole ? 0u : 1u) << octets;
  }
}

TEST(FlowBatch, VersionAndExporterMustBeThere) {
  MessageRun run;
  run.feed(Message().v4(2, kRouter).message(6, some_flow()));
  run.feed(Message().number(1, 2).v4(2, kRouter).message(6, some_flow()));
  EXPECT_EQ(run.fault(DecodeFault::kMessageVersion), 2u);
  run.feed(Message().number(1, 1).message(6, some_flow()));
  run.feed(Message().number(1, 1).octets(2, "12345").message(6, some_flow()));
  EXPECT_EQ(run.fault(DecodeFault::kExporterMissing), 2u);
  EXPECT_EQ(run.decoder.total().rejected, 4u);
  EXPECT_TRUE(run.rows.empty());
}

TEST(FlowBatch, FlowsThatSomebodyHasScaledAreNotSampled) {
  DecodeSettings settings;
  settings.sampling_default = 100;
  MessageRun run(settings);
  run.feed(batch_of({Message().number(16, 10).number(44, 5000).number(45, 50)}));
  EXPECT_EQ(run.last("octets_raw"), "5000");
  EXPECT_EQ(run.last("packets_raw"), "50");
  EXPECT_EQ(run.last("sampling_rate"), "1");
  run.feed(batch_of({Message().number(16, 10).number(9, 500).number(44, 5000)}));
  EXPECT_EQ(run.last("octets_raw"), "500");
  EXPECT_EQ(run.last("sampling_rate"), "10");
  run.feed(batch_of({Message().number(9, 500)}));  // Where the message does not say the settings do.
  EXPECT_EQ(run.last("sampling_rate"), "100");
  EXPECT_EQ(run.decoder.total().sampling_unknown_rows, 0u);
}

TEST(FlowBatch, ASiteOfTheSettingsComesFirstAndThatOfTheNodeLast) {
  MessageRun run({}, 5, {"", "fra"});
  Message made = batch_of({some_flow()});
  run.feed(made.bytes, PayloadForm::kFlowBatch, 1, true);
  EXPECT_EQ(run.last("site"), "fra");
  made.octets(3, "ams");
  run.feed(made.bytes, PayloadForm::kFlowBatch, 1, true);
  EXPECT_EQ(run.last("site"), "ams");
  run.feed(made.bytes, PayloadForm::kFlowBatch, 1, false);
  EXPECT_EQ(run.last("site"), "fra");
  run.feed(made);
  EXPECT_EQ(run.last("site"), "ams");
}

TEST(FlowBatch, OnlyWantedColumnsAreRead) {
  batch::FlowColumnSet wanted;
  wanted.add(FlowColumn::kOctetsRaw);
  wanted.add(FlowColumn::kTime);
  MessageRun run({}, 5, {}, wanted);
  run.feed(batch_of({some_flow().number(5, 70'000).time(2, kReceived)}));
  EXPECT_EQ(run.rows.back(),
            (std::map<std::string, std::string>{{"octets_raw", "1500"}, {"time", "2026-01-31 12:01:00+00"}}));
  // Nobody asked for the port, so nobody hears that it is none.
  EXPECT_EQ(run.decoder.total().element_unreadable, 0u);
}

TEST(FlowBatch, ManyFlowsFillBatchesOfAnySize) {
  Message made = batch_of({});
  for (uint64_t i = 0; i < 1'000; ++i) made.message(6, Message().number(9, i).octets(42, i % 3 == 0 ? "odd name" : ""));
  for (const size_t batch_rows : {size_t{1}, size_t{7}, size_t{32}, size_t{2048}}) {
    MessageRun run({}, batch_rows);
    run.feed(made);
    ASSERT_EQ(run.rows.size(), 1'000u);
    for (size_t i = 0; i < run.rows.size(); ++i) {
      EXPECT_EQ(run.rows[i]["octets_raw"], std::to_string(i));
      EXPECT_EQ(run.rows[i]["in_if_name"], i % 3 == 0 ? "odd name" : "");
    }
  }
}

TEST(FlowBatch, OctetsThatAreFlippedNeverSpoilTheLedger) {
  Message common;
  common.number(16, 512).octets(21, "9");
  Message made = batch_of({some_flow(), some_flow().octets(42, "lag")});
  made.message(5, common);
  // feed() looks at the ledger's sums.
  for (size_t at = 0; at < made.bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<uint8_t> damaged = made.bytes;
      damaged[at] ^= static_cast<uint8_t>(1 << bit);
      MessageRun run;
      run.feed(damaged);
      EXPECT_LE(run.rows.size(), 8u);
    }
  }
}

// --- goflow2

Message goflow2_flow() {
  return Message()
      .number(1, 4)
      .number(3, 2000)
      .v4(6, 0x0a000001)
      .v4(7, 0x0a000002)
      .number(9, 1500)
      .number(10, 2)
      .v4(11, kRouter)
      .v4(12, 0x0a0000fe)
      .number(14, 64'512)
      .number(16, 24)
      .number(18, 11)
      .number(20, 6)
      .number(21, 50'000)
      .number(22, 443)
      .number(26, 18)
      .number(27, 0x020000000001)
      .number(33, 42)
      .number(70, 77)
      .v4(100, 0x0a0000fd)
      .number(110, static_cast<uint64_t>(kReceived) * 1000)
      .number(111, static_cast<uint64_t>(kReceived - 3'000'000) * 1000)
      .number(112, static_cast<uint64_t>(kReceived - 2'000'000) * 1000 + 999);
}

TEST(Goflow2, AMessageIsARow) {
  MessageRun run;
  run.feed(goflow2_flow(), PayloadForm::kGoflow2);
  const std::map<std::string, std::string> expected = {{"src_ip", "10.0.0.1"},
                                                       {"dst_ip", "10.0.0.2"},
                                                       {"src_port", "50000"},
                                                       {"dst_port", "443"},
                                                       {"protocol", "6"},
                                                       {"tcp_flags", "18"},
                                                       {"tos", "0"},
                                                       {"octets_raw", "1500"},
                                                       {"packets_raw", "2"},
                                                       {"sampling_rate", "2000"},
                                                       {"src_as", "64512"},
                                                       {"dst_as", "0"},
                                                       {"src_mask", "24"},
                                                       {"dst_mask", "null"},
                                                       {"in_if", "11"},
                                                       {"out_if", "0"},
                                                       {"next_hop", "10.0.0.254"},
                                                       {"bgp_next_hop", "10.0.0.253"},
                                                       {"src_mac", std::to_string(0x020000000001)},
                                                       {"dst_mac", "null"},
                                                       {"vlan", "42"},
                                                       {"icmp_type", "null"},
                                                       {"observation_domain", "77"},
                                                       {"exporter", "192.0.2.1"},
                                                       {"protocol_version", "10"},
                                                       {"flow_start", "2026-01-31 12:00:57+00"},
                                                       {"flow_end", "2026-01-31 12:00:58+00"},
                                                       {"time", "2026-01-31 12:00:58+00"},
                                                       {"exported_at", "null"},
                                                       {"ip_ttl", "null"}};
  for (const auto& [column, value] : expected) EXPECT_EQ(run.last(column), value) << column;
  EXPECT_EQ(run.decoder.exporter_protocols(0), "goflow2");
}

TEST(Goflow2, TheLengthMayStandBefore) {
  MessageRun run;
  const Message plain = goflow2_flow();
  std::vector<uint8_t> delimited;
  base::put_varint(delimited, plain.bytes.size());
  delimited.insert(delimited.end(), plain.bytes.begin(), plain.bytes.end());
  run.feed(plain, PayloadForm::kGoflow2);
  run.feed(delimited, PayloadForm::kGoflow2);
  ASSERT_EQ(run.rows.size(), 2u);
  EXPECT_EQ(run.rows[0], run.rows[1]);
  EXPECT_EQ(run.decoder.exporter_count(), 1u);
}

TEST(Goflow2, WhatIsNotThereIsZeroOrUnknown) {
  MessageRun run;
  run.feed(Message().v4(11, kRouter), PayloadForm::kGoflow2);
  for (const char* column : {"octets_raw", "packets_raw", "src_port", "dst_port", "protocol", "tcp_flags", "tos",
                             "src_as", "dst_as", "in_if", "out_if", "observation_domain"})
    EXPECT_EQ(run.last(column), "0") << column;
  for (const char* column : {"src_ip", "dst_ip", "next_hop", "bgp_next_hop", "sampling_rate", "src_mask", "dst_mask",
                             "vlan", "icmp_type", "icmp_code", "mpls_label_1", "ip_ttl", "ipv6_flow_label", "src_mac",
                             "protocol_version", "flow_start", "flow_end", "direction"})
    EXPECT_EQ(run.last(column), "null") << column;
  EXPECT_EQ(run.last("time"), "2026-01-31 12:01:00+00");
  EXPECT_EQ(run.decoder.total().sampling_unknown_rows, 1u);
  run.feed(Message().v4(11, kRouter).number(20, 1), PayloadForm::kGoflow2);
  EXPECT_EQ(run.last("icmp_type"), "0");
}

TEST(Goflow2, LabelsAreReadPackedAndApart) {
  MessageRun run;
  run.feed(Message().v4(11, kRouter).octets(81, "\x64\xc8\x01"), PayloadForm::kGoflow2);
  EXPECT_EQ(run.last("mpls_label_1"), "100");
  EXPECT_EQ(run.last("mpls_label_2"), "200");
  EXPECT_EQ(run.last("mpls_label_3"), "null");
  run.feed(Message().v4(11, kRouter).number(81, 1).number(81, 2).number(81, 3).number(81, 4), PayloadForm::kGoflow2);
  EXPECT_EQ(run.last("mpls_label_1"), "1");
  EXPECT_EQ(run.last("mpls_label_3"), "3");
}

TEST(Goflow2, MessagesThatCannotBeReadAreCounted) {
  const Message whole = goflow2_flow();
  size_t rows = 0;
  for (size_t octets = 0; octets < whole.bytes.size(); ++octets) {
    MessageRun run;
    run.feed({whole.bytes.data(), octets}, PayloadForm::kGoflow2);
    const IngestLedger total = run.decoder.total();
    EXPECT_EQ(total.datagrams, 1u);
    EXPECT_EQ(total.decoded + run.fault(DecodeFault::kMessageMalformed) + run.fault(DecodeFault::kExporterMissing), 1u);
    rows += run.rows.size();
  }
  EXPECT_GT(rows, 0u);  // Cut between fields it is a message.
  for (size_t at = 0; at < whole.bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<uint8_t> damaged = whole.bytes;
      damaged[at] ^= static_cast<uint8_t>(1 << bit);
      MessageRun run;
      run.feed(damaged, PayloadForm::kGoflow2);
      EXPECT_LE(run.rows.size(), 1u);
    }
  }
}

// --- writing

struct Golden : FlowWriter::Consumer {
  void on_flows(batch::ColumnBatch& batch) override {
    std::vector<uint32_t> numbers(batch.row_count);
    for (uint32_t i = 0; i < numbers.size(); ++i) numbers[i] = i;
    FlowBatchWriter::Head head;
    head.exporter = base::Inet::v4(kRouter);
    head.site = site;
    head.node = node;
    head.sent_at = sent_at;
    writer.write(batch, numbers, head, bytes);
  }
  FlowBatchWriter writer;
  std::vector<uint8_t> bytes;
  std::string site, node;
  base::Micros sent_at = kReceived;
};

std::string hex(std::span<const uint8_t> octets) {
  std::string text;
  for (const uint8_t octet : octets) text += fmt::format("{:02x}", octet);
  return text;
}

/// These octets are what others have stored: they change with FlowBatch.version, or never.
TEST(FlowBatchWriter, GoldenBytes) {
  Golden golden;
  golden.site = "ams";
  golden.node = "edge-1";
  FlowWriter writer(FlowBatchWriter::columns(), golden, 8);
  const auto add = [&](uint32_t number) {
    (void)writer.room(1);
    for (size_t c = 0; c < batch::kFlowColumnCount; ++c) writer.set_null(static_cast<FlowColumn>(c), 1);
    writer.fill<int64_t>(FlowColumn::kTime, kReceived - 1'000'000, 1);
    writer.fill<int64_t>(FlowColumn::kFlowEnd, kReceived - 1'000'000, 1);
    writer.fill<int64_t>(FlowColumn::kFlowStart, kReceived - 2'000'000 - number, 1);
    writer.fill<int64_t>(FlowColumn::kReceivedAt, kReceived, 1);
    writer.fill(FlowColumn::kSrcIp, base::Inet::v4(0x0a000000 + number), 1);
    writer.fill(FlowColumn::kDstIp, base::Inet::v6(0x20010db800000000, number), 1);
    writer.fill<int64_t>(FlowColumn::kSrcPort, 49'152 + number, 1);
    writer.fill<int64_t>(FlowColumn::kProtocol, 17, 1);
    writer.fill<int64_t>(FlowColumn::kOctetsRaw, 100 * number, 1);
    writer.fill<int64_t>(FlowColumn::kOctets, 100'000 * number, 1);
    writer.fill<int64_t>(FlowColumn::kPacketsRaw, 1, 1);
    writer.fill<int64_t>(FlowColumn::kPackets, 1000, 1);
    writer.fill<int64_t>(FlowColumn::kSamplingRate, 1000, 1);
    writer.fill<int64_t>(FlowColumn::kSrcMac, 0x020000000000 + number, 1);
    writer.fill<std::string_view>(FlowColumn::kProtocolVersion, "9", 1);
    writer.commit(1);
  };
  add(1);
  add(2);
  writer.flush();
  EXPECT_EQ(hex(golden.bytes),
            "08011204c00002011a03616d732100b7dcd7ad4906002a2311c074cdd7ad490600381150018001e807890100b7dcd7ad"
            "490600aa010139e802e8073235097f32bed7ad4906001a040a000001221020010db80000000000000000000000012881"
            "80034864ea0106020000000001e002a08d063236097e32bed7ad4906001a040a000002221020010db800000000000000"
            "00000000022882800348c801ea0106020000000002e002c09a0c3a06656467652d31");
  MessageRun run;
  run.feed(golden.bytes);
  ASSERT_EQ(run.rows.size(), 2u);
  EXPECT_EQ(run.rows[1].at("src_ip"), "10.0.0.2");
  EXPECT_EQ(run.rows[1].at("dst_ip"), "2001:db8::2");
  EXPECT_EQ(run.rows[1].at("site"), "ams");
}

/// Any rows: decode(encode(rows)) = rows, but for the arrival, which is that of the message.
class RandomRows : public FlowWriter::Consumer {
 public:
  explicit RandomRows(uint32_t seed) : random_(seed), writer_(FlowBatchWriter::columns(), *this, 64) {}

  void make(size_t count) {
    const batch::Schema& schema = batch::flow_schema();
    // Of each column: null in all rows, in some, or in none; one value in all rows, or many.
    for (size_t c = 0; c < batch::kFlowColumnCount; ++c) kinds_[c] = random_() % 6;
    for (size_t row = 0; row < count; ++row) {
      (void)writer_.room(1);
      for (size_t c = 0; c < batch::kFlowColumnCount; ++c) {
        const auto column = static_cast<FlowColumn>(c);
        if (!writer_.wants(column)) continue;
        const bool null = kinds_[c] == 0 || (kinds_[c] == 1 && random_() % 2 == 0);
        // A row has counters as exported, and then those that are made of them.
        const bool derived = column == FlowColumn::kOctets || column == FlowColumn::kPackets;
        if (derived || (null && column != FlowColumn::kTime)) {
          writer_.set_null(column, 1);
          continue;
        }
        const uint64_t value = kinds_[c] >= 4 ? 7 : random_();
        const uint8_t bits = schema.columns[c].value_bits;
        switch (batch::physical(schema.columns[c].type)) {
          case batch::Physical::kInet:
            writer_.fill(column,
                         value % 2 == 0 ? base::Inet::v4(static_cast<uint32_t>(value))
                                        : base::Inet::v6(value | uint64_t{1} << 63, value * 3),
                         1);
            break;
          case batch::Physical::kText:
            writer_.fill<std::string_view>(column, value % 3 == 0 ? "" : value % 3 == 1 ? "ge-0/0/1" : "Zürich", 1);
            break;
          default: {
            const bool time = schema.columns[c].type == batch::Type::kTimestamptz;
            const uint64_t mask = time ? (uint64_t{1} << 50) - 1 : bits == 0 ? INT64_MAX : (uint64_t{1} << bits) - 1;
            int64_t number = static_cast<int64_t>(value & mask);
            if (column == FlowColumn::kSamplingRate && number == 0) number = 1;
            writer_.fill<int64_t>(column, number, 1);
          }
        }
      }
      writer_.commit(1);
    }
    writer_.flush();
  }
  void on_flows(batch::ColumnBatch& batch) override {
    append_rows(batch::flow_schema(), batch, rows);
    std::vector<uint32_t> numbers(batch.row_count);
    for (uint32_t i = 0; i < numbers.size(); ++i) numbers[i] = i;
    FlowBatchWriter::Head head;
    head.exporter = base::Inet::v4(kRouter);
    messages.emplace_back();
    encoder.write(batch, numbers, head, messages.back());
  }
  FlowBatchWriter encoder;
  std::vector<std::map<std::string, std::string>> rows;
  std::vector<std::vector<uint8_t>> messages;

 private:
  std::mt19937_64 random_;
  uint32_t kinds_[batch::kFlowColumnCount] = {};
  FlowWriter writer_;
};

TEST(FlowBatchWriter, WhatIsReadIsWhatWasWritten) {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    RandomRows made(seed);
    made.make(1 + seed % 100);
    MessageRun run({}, 1 + seed % 70);
    for (const auto& message : made.messages) run.feed(message);
    ASSERT_EQ(run.rows.size(), made.rows.size()) << "seed " << seed;
    for (size_t row = 0; row < made.rows.size(); ++row) {
      for (const auto& [column, value] : run.rows[row]) {
        if (column == "received_at" || column == "exporter" || column == "site") continue;
        ASSERT_EQ(value, made.rows[row].at(column)) << column << " of row " << row << ", seed " << seed;
      }
    }
    const IngestLedger total = run.decoder.total();
    EXPECT_EQ(total.malformed + total.element_unreadable + total.counter_overflow, 0u) << "seed " << seed;
  }
}

TEST(FlowBatchWriter, OneFlowIsABatchToo) {
  RandomRows made(11);
  made.make(1);
  MessageRun run;
  run.feed(made.messages[0]);
  EXPECT_EQ(run.rows.size(), 1u);
}

}  // namespace
}  // namespace backstream::decode
