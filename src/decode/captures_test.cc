// Real exports of many vendors against expected totals. The captures are not part of the project: their folder is named
// by BACKSTREAM_CAPTURES, or lies beside the project.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "decode/decoder.h"
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

struct Replayed {
  Totals totals;
  IngestLedger ledger;
};
/// Empty when the capture cannot be opened.
std::unique_ptr<Replayed> replay(const std::filesystem::path& folder, const Case& one) {
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
  batch::FlowColumnSet wanted;
  for (size_t c = 0; c < batch::kFlowColumnCount; ++c) {
    const auto column = static_cast<FlowColumn>(c);
    if (column != FlowColumn::kOctets && column != FlowColumn::kPackets && column != FlowColumn::kSrcPrefix &&
        column != FlowColumn::kDstPrefix) {
      wanted.add(column);
    }
  }
  FlowWriter writer(wanted, replayed->totals, 64);
  Decoder decoder(settings, sites);
  while (!(*source)->at_end()) {
    for (const base::Datagram& datagram : (*source)->next_block()) decoder.decode(datagram, writer);
  }
  writer.flush();
  decoder.finish();
  replayed->ledger = decoder.total();
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
    if (one["sum_octets"].empty()) expect("total_octets_85", t.octets);
  }
  EXPECT_GT(compared, 50u);
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
    // Records of firewall events without counters are no flows, so these cases have fewer rows by design.
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

}  // namespace
}  // namespace backstream::decode
