// Real exports of many vendors against expected totals. The captures are not part of the project: their folder is named
// by BACKSTREAM_CAPTURES, or lies beside the project.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/byte_order.h"
#include "decode/decoder.h"
#include "decode/flow_message.h"
#include "ingest/source.h"

namespace backstream::decode {
namespace {

using batch::FlowColumn;

std::filesystem::path captures_folder() {
  if (const char* given = std::getenv("BACKSTREAM_CAPTURES")) return given;
  return std::filesystem::path(BACKSTREAM_SOURCE_DIR) / "../shared/data/captures";
}

/// One line of CSV with quoted fields.
std::vector<std::string> split_csv(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"') fields.back() += line[i++];
      else quoted = !quoted;
    } else if (line[i] == ',' && !quoted) {
      fields.emplace_back();
    } else if (line[i] != '\r') {
      fields.back() += line[i];
    }
  }
  return fields;
}

struct Case {
  std::map<std::string, std::string> fields;
  const std::string& operator[](const std::string& name) const {
    static const std::string empty;
    const auto found = fields.find(name);
    return found == fields.end() ? empty : found->second;
  }
};
std::vector<Case> read_cases(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  const auto header = split_csv(line);
  std::vector<Case> cases;
  while (std::getline(in, line)) {
    const auto values = split_csv(line);
    Case one;
    for (size_t i = 0; i < header.size() && i < values.size(); ++i) one.fields[header[i]] = values[i];
    cases.push_back(one);
  }
  return cases;
}
std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::stringstream in(text);
  std::string part;
  while (std::getline(in, part, at)) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

struct Totals : FlowWriter::Consumer {
  uint64_t octets = 0, packets = 0, octets_scaled = 0, packets_scaled = 0;
  bool any_octets = false, any_packets = false;
  std::map<std::pair<std::string, std::string>, std::array<uint64_t, 3>>
      by_key;  ///< (key, value) -> records, octets, packets

  void on_flows(batch::ColumnBatch& rows) override {
    const auto column = [&](FlowColumn c) -> const batch::Column& { return rows.columns[static_cast<size_t>(c)]; };
    for (size_t i = 0; i < rows.row_count; ++i) {
      const auto number = [&](FlowColumn c, uint64_t otherwise) {
        return column(c).is_null(i) ? otherwise : static_cast<uint64_t>(column(c).as<int64_t>()[i]);
      };
      any_octets |= !column(FlowColumn::kOctetsRaw).is_null(i);
      any_packets |= !column(FlowColumn::kPacketsRaw).is_null(i);
      const uint64_t o = number(FlowColumn::kOctetsRaw, 0), p = number(FlowColumn::kPacketsRaw, 0),
                     r = number(FlowColumn::kSamplingRate, 1);
      octets += o;
      packets += p;
      octets_scaled += o * r;
      packets_scaled += p * r;
      const auto count = [&](const char* key, const std::string& value) {
        auto& entry = by_key[{key, value}];
        entry[0] += 1;
        entry[1] += o;
        entry[2] += p;
      };
      for (const auto& [key, c] :
           {std::pair{"src_addr", FlowColumn::kSrcIp}, std::pair{"dst_addr", FlowColumn::kDstIp}}) {
        if (!column(c).is_null(i)) count(key, base::to_string(column(c).as<base::Inet>()[i]));
      }
      for (const auto& [key, c] :
           {std::pair{"src_port", FlowColumn::kSrcPort}, std::pair{"dst_port", FlowColumn::kDstPort},
            std::pair{"proto", FlowColumn::kProtocol}, std::pair{"src_as", FlowColumn::kSrcAs},
            std::pair{"dst_as", FlowColumn::kDstAs}, std::pair{"in_if", FlowColumn::kInIf},
            std::pair{"out_if", FlowColumn::kOutIf}}) {
        if (!column(c).is_null(i)) count(key, std::to_string(column(c).as<int64_t>()[i]));
      }
    }
  }
};

/// Events are no flows, but the expected tables count their records.
void count_event_keys(const batch::ColumnBatch& rows, Totals& totals) {
  using C = batch::EventColumn;
  const auto column = [&](C c) -> const batch::Column& { return rows.columns[static_cast<size_t>(c)]; };
  for (size_t i = 0; i < rows.row_count; ++i) {
    if (column(C::kKind).as<std::string_view>()[i] == "discard") continue;
    for (const auto& [key, c] : {std::pair{"src_addr", C::kSrcIp}, std::pair{"dst_addr", C::kDstIp}}) {
      if (!column(c).is_null(i)) totals.by_key[{key, base::to_string(column(c).as<base::Inet>()[i])}][0] += 1;
    }
    for (const auto& [key, c] :
         {std::pair{"src_port", C::kSrcPort}, std::pair{"dst_port", C::kDstPort}, std::pair{"proto", C::kProtocol},
          std::pair{"in_if", C::kInIf}, std::pair{"out_if", C::kOutIf}}) {
      if (!column(c).is_null(i)) totals.by_key[{key, std::to_string(column(c).as<int64_t>()[i])}][0] += 1;
    }
  }
}

/// Writes rows as messages of the public schema, an exporter's each, and reads those.
class ThroughMessages : public FlowWriter::Consumer {
 public:
  ThroughMessages(const batch::FlowColumnSet& wanted, FlowWriter::Consumer& to)
      : decoder({}, {}), writer_(wanted, to, 64) {}
  void on_flows(batch::ColumnBatch& rows) override {
    const auto* exporters = rows.columns[static_cast<size_t>(FlowColumn::kExporter)].as<base::Inet>();
    for (uint32_t row = 0; row < rows.row_count;) {
      std::vector<uint32_t> numbers;
      FlowBatchWriter::Head head;
      head.exporter = exporters[row];
      for (; row < rows.row_count && exporters[row] == head.exporter; ++row) numbers.push_back(row);
      message_.clear();
      batch_writer_.write(rows, numbers, head, message_);
      base::Datagram datagram;
      datagram.payload = message_.data();
      datagram.payload_octets = static_cast<uint32_t>(message_.size());
      datagram.payload_form = base::PayloadForm::kFlowBatch;
      datagram.source = exporter_of_message(datagram.payload_form, message_);
      decoder.decode(datagram, writer_);
      octets += message_.size();
    }
  }
  void finish() { writer_.flush(); }
  Decoder decoder;
  uint64_t octets = 0;

 private:
  FlowWriter writer_;
  FlowBatchWriter batch_writer_;
  std::vector<uint8_t> message_;
};

struct Replayed {
  Totals totals;
  IngestLedger ledger;
  IngestLedger messages;        ///< of flows that went through messages
  uint64_t message_octets = 0;  ///< of those
};
/// Empty when the capture cannot be opened.
std::unique_ptr<Replayed> replay(const std::filesystem::path& folder, const Case& one, bool through_messages = false) {
  std::vector<ingest::CaptureInput> inputs;
  for (const std::string& file : split(one["pcap"], ';')) inputs.push_back({(folder / file).string(), ""});
  std::vector<uint16_t> ports;
  for (const std::string& port : split(one["udp_ports"], ';')) ports.push_back(static_cast<uint16_t>(std::stoul(port)));
  std::vector<std::string> sites;
  auto source = ingest::open_captures(inputs, ports, sites);
  if (!source) {
    ADD_FAILURE() << source.error().message;
    return nullptr;
  }
  auto replayed = std::make_unique<Replayed>();
  DecodeSettings settings;
  settings.sflow_octets = DecodeSettings::SflowOctets::kFrame;
  settings.template_wait_us = 0;
  settings.biflow = DecodeSettings::Biflow::kForward;
  batch::FlowColumnSet wanted;
  for (size_t c = 0; c < batch::kFlowColumnCount; ++c) {
    const auto column = static_cast<FlowColumn>(c);
    if (column != FlowColumn::kOctets && column != FlowColumn::kPackets && column != FlowColumn::kSrcPrefix &&
        column != FlowColumn::kDstPrefix) {
      wanted.add(column);
    }
  }
  ThroughMessages messages(wanted, replayed->totals);
  FlowWriter::Consumer& totals = replayed->totals;
  FlowWriter writer(wanted, through_messages ? messages : totals, 64);
  SideWriters side;
  const auto& events = batch::side_streams()[static_cast<size_t>(batch::SideStream::kEvents)].schema;
  side.set(
      batch::SideStream::kEvents,
      std::make_unique<SideWriter>(events, std::vector<bool>(events.columns.size(), true), 3,
                                   [&](const batch::ColumnBatch& rows) { count_event_keys(rows, replayed->totals); }));
  Decoder decoder(settings, sites);
  while (!(*source)->at_end()) {
    for (const base::Datagram& datagram : (*source)->next_block()) decoder.decode(datagram, writer, &side);
  }
  writer.flush();
  messages.finish();
  side.flush();
  decoder.finish();
  replayed->ledger = decoder.total();
  replayed->messages = messages.decoder.total();
  replayed->message_octets = messages.octets;
  const IngestLedger& l = replayed->ledger;
  EXPECT_EQ(l.datagrams, l.decoded + l.rejected + l.undecodable) << one["case"];
  EXPECT_EQ(l.records, l.flows + l.events + l.option_rows + l.malformed + l.awaiting_template) << one["case"];
  return replayed;
}

bool decoded_here(const std::string& protocol) {
  return protocol.starts_with("NetFlow v") || protocol.starts_with("IPFIX") || protocol.starts_with("sFlow v5");
}

/// Sums in expected.csv are of elements 1 and 2. Records of these cases have other counters (85, 86, 231), which our
/// octets and packets take in that order, so their sums are compared with the column named here.
const std::map<std::string, std::string> kOtherCounters = {
    {"logstash-codec-netflow/netflow-9-cisco-asa", "total_octets_85"},
    {"logstash-codec-netflow/netflow-9-cisco-asa-2", "initiator_octets_231"},
    {"telegraf/ipfix_example", "total_octets_85"}};
/// Their options template has no field at all: it is refused here, so the data behind it waits for a template.
const std::set<std::string> kRefusedTemplates = {"libnetflow9/malformed-OT", "libnetflow9/malformed_5"};

class Captures : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = captures_folder();
    if (!std::filesystem::exists(folder_ / "expected.csv")) {
      GTEST_SKIP() << "no captures in " << folder_ << ": set BACKSTREAM_CAPTURES to the folder of expected.csv";
    }
  }
  std::filesystem::path folder_;
};

TEST_F(Captures, GiveTheExpectedTotals) {
  size_t compared = 0;
  for (const Case& one : read_cases(folder_ / "expected.csv")) {
    if (!decoded_here(one["protocol"])) continue;
    const auto replayed = replay(folder_, one);
    if (replayed == nullptr) continue;
    ++compared;
    const Totals& t = replayed->totals;
    const IngestLedger& l = replayed->ledger;
    const auto expect = [&](const char* field, uint64_t actual) {
      if (!one[field].empty()) {
        EXPECT_EQ(std::to_string(actual), one[field]) << one["case"] << ' ' << field << "; note: " << one["note"];
      }
    };
    expect("data_records", l.flows + l.events);
    expect("option_records", l.option_rows);
    if (!kRefusedTemplates.contains(one["case"])) expect("sets_without_template", l.awaiting_template);
    expect("counter_samples", l.counter_samples);
    if (const auto other = kOtherCounters.find(one["case"]); other != kOtherCounters.end()) {
      EXPECT_EQ(std::to_string(t.octets), one[other->second]) << one["case"];
      continue;
    }
    expect("sum_octets", t.octets);
    expect("sum_packets", t.packets);
    expect("sum_octets_scaled", t.octets_scaled);
    expect("sum_packets_scaled", t.packets_scaled);
    if (one["sum_octets"].empty() && one["frame_octets_315"].empty()) expect("total_octets_85", t.octets);
    expect("frame_octets_315", t.octets);
    expect("frame_packets_315", t.packets);
  }
  EXPECT_GT(compared, 50u);
}

/// What one acquires and another counts (docs/flows.proto) is what one would have counted alone.
TEST_F(Captures, GiveTheSameTotalsThroughMessages) {
  size_t compared = 0;
  uint64_t flows = 0, octets = 0;
  for (const Case& one : read_cases(folder_ / "expected.csv")) {
    if (!decoded_here(one["protocol"])) continue;
    const auto direct = replay(folder_, one), through = replay(folder_, one, true);
    if (direct == nullptr || through == nullptr) continue;
    ++compared;
    EXPECT_EQ(through->ledger, direct->ledger) << one["case"];
    EXPECT_EQ(through->messages.flows, direct->ledger.flows) << one["case"];
    EXPECT_EQ(through->messages.malformed + through->messages.element_unreadable, 0u) << one["case"];
    const Totals &a = through->totals, &b = direct->totals;
    EXPECT_EQ(a.octets, b.octets) << one["case"];
    EXPECT_EQ(a.packets, b.packets) << one["case"];
    EXPECT_EQ(a.octets_scaled, b.octets_scaled) << one["case"];
    EXPECT_EQ(a.packets_scaled, b.packets_scaled) << one["case"];
    EXPECT_EQ(a.any_octets, b.any_octets) << one["case"];
    EXPECT_EQ(a.by_key, b.by_key) << one["case"];
    flows += through->messages.flows;
    octets += through->message_octets;
  }
  EXPECT_GE(compared, 20u);
  RecordProperty("octets_a_flow",
                 std::to_string(static_cast<double>(octets) / static_cast<double>(std::max<uint64_t>(flows, 1))));
  std::printf("%zu captures, %llu flows, %.1f octets a flow\n", compared, static_cast<unsigned long long>(flows),
              static_cast<double>(octets) / static_cast<double>(std::max<uint64_t>(flows, 1)));
}

TEST_F(Captures, GiveTheExpectedTotalsByKey) {
  std::map<std::string, Case> cases;
  for (const Case& one : read_cases(folder_ / "expected.csv")) {
    if (decoded_here(one["protocol"])) cases[one["case"]] = one;
  }
  std::map<std::string, std::unique_ptr<Replayed>> replayed;
  size_t compared = 0;
  std::set<std::string> keys;
  for (const Case& row : read_cases(folder_ / "expected_by_key.csv")) {
    const auto known = cases.find(row["case"]);
    // Counters other than 1 and 2 are not in this table.
    if (known == cases.end() || kOtherCounters.contains(row["case"])) continue;
    auto& run = replayed[row["case"]];
    if (run == nullptr) run = replay(folder_, known->second);
    if (run == nullptr) continue;
    keys.insert(row["key"]);
    const auto found = run->totals.by_key.find({row["key"], row["value"]});
    if (row["key"] == "exporter") continue;
    // sFlow's interface formats other than "one interface", and a protocol of packets that are not IP, are null here.
    if ((row["key"] == "in_if" || row["key"] == "out_if") && std::stoull(row["value"]) >= 0x3fffffff) continue;
    if (row["case"] == "telegraf/sflow_issue_15918" && row["key"] == "proto" && row["value"] == "0") continue;
    ++compared;
    const std::array<uint64_t, 3> actual =
        found == run->totals.by_key.end() ? std::array<uint64_t, 3>{} : found->second;
    EXPECT_EQ(std::to_string(actual[0]), row["records"]) << row["case"] << ' ' << row["key"] << ' ' << row["value"];
    if (!known->second["frame_octets_315"].empty()) continue;  // nor is what the head of a packet says
    if (!row["octets"].empty()) {
      EXPECT_EQ(std::to_string(actual[1]), row["octets"]) << row["case"] << ' ' << row["key"] << ' ' << row["value"];
    }
    if (!row["packets"].empty()) {
      EXPECT_EQ(std::to_string(actual[2]), row["packets"]) << row["case"] << ' ' << row["key"] << ' ' << row["value"];
    }
  }
  std::string names;
  for (const auto& key : keys) names += key + ' ';
  RecordProperty("keys", names);
  EXPECT_GT(compared, 500u);
}

/// Rows go nowhere; every value of theirs is read.
struct Reader : FlowWriter::Consumer {
  void on_flows(batch::ColumnBatch& rows) override { read(rows); }
  void read(const batch::ColumnBatch& rows) {
    for (const batch::Column& column : rows.columns) {
      for (size_t i = 0; column.values != nullptr && i < rows.row_count; ++i) {
        if (batch::physical(column.type) == batch::Physical::kText) octets += column.as<std::string_view>()[i].size();
        if (batch::physical(column.type) == batch::Physical::kInt64) octets += column.as<int64_t>()[i] == 77;
      }
    }
  }
  uint64_t octets = 0;
};

/// Every datagram cut at every length, and with one octet in a hundred changed: nothing is read that is not there (the
/// sanitizer watches), and all that came is in the ledger.
TEST_F(Captures, DatagramsThatAreCutOrChangedAreCounted) {
  std::set<std::string> files;
  for (const Case& one : read_cases(folder_ / "expected.csv")) {
    if (!decoded_here(one["protocol"])) continue;
    for (const std::string& file : split(one["pcap"], ';')) files.insert(file);
  }
  uint64_t decoded = 0, random = 1;
  const auto any = [&random] {
    return (random = random * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407) >> 33;
  };
  for (const std::string& file : files) {
    std::vector<std::string> sites;
    auto source = ingest::open_captures({{(folder_ / file).string(), ""}}, {}, sites);
    if (!source) continue;
    Reader reader;
    batch::FlowColumnSet wanted;
    for (size_t c = 0; c < batch::kFlowColumnCount; ++c) wanted.add(static_cast<FlowColumn>(c));
    FlowWriter writer(wanted, reader, 64);
    SideWriters side;
    for (const batch::SideStreamDef& stream : batch::side_streams()) {
      side.set(stream.stream,
               std::make_unique<SideWriter>(stream.schema, std::vector<bool>(stream.schema.columns.size(), true), 7,
                                            [&](const batch::ColumnBatch& rows) { reader.read(rows); }));
    }
    DecodeSettings settings;
    settings.tunnels = Tunnels::kInner;
    Decoder decoder(settings, sites);
    const auto feed = [&](base::Datagram datagram, const std::vector<uint8_t>& octets) {
      // Of the exact size.
      const std::unique_ptr<uint8_t[]> exact(new uint8_t[octets.size()]);
      std::copy(octets.begin(), octets.end(), exact.get());
      datagram.payload = exact.get();
      datagram.payload_octets = static_cast<uint32_t>(octets.size());
      decoder.decode(datagram, writer, &side);
      ++decoded;
    };
    size_t datagrams = 0;
    while (!(*source)->at_end()) {
      for (const base::Datagram& datagram : (*source)->next_block()) {
        constexpr size_t kDatagramsMax = 12;  // Of a file: what follows is of the same kind.
        if (++datagrams > kDatagramsMax) continue;
        std::vector<uint8_t> octets(datagram.payload, datagram.payload + datagram.payload_octets);
        for (size_t length = 0; length < octets.size(); ++length)
          feed(datagram, {octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(length)});
        feed(datagram, octets);
        for (int round = 0; round < 50; ++round) {
          std::vector<uint8_t> changed = octets;
          for (uint8_t& octet : changed) {
            if (any() % 100 == 0) octet = static_cast<uint8_t>(any());
          }
          feed(datagram, changed);
        }
      }
    }
    writer.flush();
    side.flush();
    const IngestLedger l = decoder.total();
    EXPECT_EQ(l.datagrams, l.decoded + l.rejected + l.undecodable) << file;
    EXPECT_EQ(l.records, l.flows + l.events + l.option_rows + l.malformed + l.awaiting_template) << file;
  }
  EXPECT_GT(decoded, 50'000u);
}

/// The frames of a plain capture.
std::vector<std::vector<uint8_t>> frames_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::vector<char> text{std::istreambuf_iterator<char>(in), {}};
  std::vector<uint8_t> octets(text.begin(), text.end());
  std::vector<std::vector<uint8_t>> frames;
  if (octets.size() < 24) return frames;
  const bool swapped = octets[0] == 0xa1 || octets[0] == 0xcd;
  for (size_t at = 24; at + 16 <= octets.size();) {
    const uint32_t word = base::load_be32(&octets[at + 8]);
    const uint32_t length = swapped ? word : __builtin_bswap32(word);
    at += 16;
    if (length > octets.size() - at) break;
    frames.emplace_back(octets.begin() + static_cast<std::ptrdiff_t>(at),
                        octets.begin() + static_cast<std::ptrdiff_t>(at + length));
    at += length;
  }
  return frames;
}

/// Packets in tunnels: the outermost addresses, and the innermost.
TEST_F(Captures, SampledHeadersHaveTheExpectedAddresses) {
  size_t compared = 0;
  for (const Case& row : read_cases(folder_ / "expected_headers.csv")) {
    std::filesystem::path file;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / row["case"])) file = entry.path();
    const auto frames = frames_of(file);
    const size_t number = std::stoul(row["frame"]);
    ASSERT_GE(frames.size(), number) << file;
    const std::vector<uint8_t>& frame = frames[number - 1];
    // Addresses are listed by family; the order of the families is that of the protocols.
    std::vector<std::string> sources, destinations;
    std::map<std::string, size_t> used;
    for (const std::string& protocol : split(row["frame_protocols"], ':')) {
      if (protocol != "ip" && protocol != "ipv6") continue;
      const auto source = split(row[protocol + "_src"], ';'), destination = split(row[protocol + "_dst"], ';');
      const size_t which = used[protocol]++;
      if (which >= source.size()) continue;
      sources.push_back(base::to_string(*base::parse_inet(source[which])));
      destinations.push_back(base::to_string(*base::parse_inet(destination[which])));
    }
    for (const Tunnels tunnels : {Tunnels::kOuter, Tunnels::kInner}) {
      SampledPacket packet;
      read_sampled_header(HeaderProtocol::kEthernet, frame.data(), static_cast<uint32_t>(frame.size()), tunnels,
                          packet);
      // Where the table has none, the packet is in a pseudowire, which who made the table did not enter.
      if (tunnels == Tunnels::kOuter) {
        EXPECT_EQ(packet.is_ip, !sources.empty()) << row["case"];
      }
      if (sources.empty() || !packet.is_ip) continue;
      ++compared;
      const bool outer = tunnels == Tunnels::kOuter;
      EXPECT_EQ(base::to_string(packet.source), outer ? sources.front() : sources.back()) << row["case"];
      EXPECT_EQ(base::to_string(packet.destination), outer ? destinations.front() : destinations.back())
          << row["case"] << " frame " << number;
    }
  }
  EXPECT_GE(compared, 16u);
}

}  // namespace
}  // namespace backstream::decode
