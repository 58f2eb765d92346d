// Protocol Buffers' own compiler as an independent reader and writer of the messages (Debian: protobuf-compiler).
// Without it these tests are skipped.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "decode/decode_test_input.h"
#include "decode/flow_message.h"

namespace backstream::decode {
namespace {

/// goflow2's message, as far as it is read: numbers and types of its fields, by names of our own.
constexpr const char* kGoflow2Proto = R"(syntax = "proto3";
package other;
message Flow {
  uint32 kind = 1; uint32 sequence = 4; uint64 rate = 3; bytes sampler = 11;
  uint64 received = 110; uint64 began = 111; uint64 ended = 112;
  uint64 octets = 9; uint64 packets = 10; bytes source = 6; bytes destination = 7;
  uint32 ethernet = 30; uint32 protocol = 20; uint32 source_port = 21; uint32 destination_port = 22;
  uint32 in = 18; uint32 out = 19; uint64 source_mac = 27; uint64 destination_mac = 28;
  uint32 source_vlan = 33; uint32 vlan = 29; uint32 tos = 23; uint32 ttl = 25; uint32 flags = 26;
  uint32 icmp_type = 31; uint32 icmp_code = 32; uint32 label = 37;
  uint32 source_as = 14; uint32 destination_as = 15; bytes next_hop = 12; uint32 source_net = 16; uint32 destination_net = 17;
  bytes bgp_next_hop = 100; repeated uint32 communities = 101; repeated uint32 path = 102;
  repeated uint32 mpls_ttl = 80; repeated uint32 mpls_label = 81; repeated bytes mpls_ip = 82; uint32 domain = 70;
}
)";

class Protoc : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("protoc --version >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "no protoc: apt install protobuf-compiler";
    char name[] = "/tmp/backstream_protoc_XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    write("other.proto", kGoflow2Proto);
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  std::string path(const char* name) const { return (folder_ / name).string(); }
  void write(const char* name, std::string_view content) const {
    std::ofstream(path(name), std::ios::binary) << content;
  }
  /// What comes out of `protoc --decode=TYPE` or `--encode=TYPE`.
  std::string run(const std::string& how, std::string_view input) const {
    write("in", input);
    const bool ours = how.find("backstream") != std::string::npos;
    const std::string command = "protoc -I '" + (ours ? std::string(BACKSTREAM_SOURCE_DIR "/docs") : folder_.string()) +
                                "' " + how + (ours ? " flows.proto" : " other.proto") + " <'" + path("in") + "' >'" +
                                path("out") + "'";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    std::ifstream out(path("out"), std::ios::binary);
    return {std::istreambuf_iterator<char>(out), std::istreambuf_iterator<char>()};
  }

  std::filesystem::path folder_;
};

class Kept : public FlowWriter::Consumer {
 public:
  void on_flows(batch::ColumnBatch& batch) override { append_rows(batch::flow_schema(), batch, rows); }
  std::vector<std::map<std::string, std::string>> rows;
};

std::vector<std::map<std::string, std::string>> decoded(std::string_view octets, base::PayloadForm form) {
  Kept kept;
  FlowWriter writer(DecodeRun::all_columns(), kept);
  Decoder decoder({}, {});
  base::Datagram datagram;
  datagram.payload = reinterpret_cast<const uint8_t*>(octets.data());
  datagram.payload_octets = static_cast<uint32_t>(octets.size());
  datagram.payload_form = form;
  datagram.source = exporter_of_message(form, {datagram.payload, octets.size()});
  datagram.received_at = kReceived;
  decoder.decode(datagram, writer);
  writer.flush();
  EXPECT_EQ(decoder.total().flows, decoder.total().records);
  return kept.rows;
}

constexpr const char* kDecode = "--decode=backstream.flows.v1.FlowBatch";
constexpr const char* kEncode = "--encode=backstream.flows.v1.FlowBatch";

TEST_F(Protoc, WritesWhatIsReadHere) {
  const std::string octets = run(kEncode, R"(
    version: 1 exporter: "\300\000\002\001" site: "ams" sent_at: 1769860860000000
    common { sampling_rate: 512 protocol_version: "9" received_at: 1769860859000000 in_if_name: "lag 1" }
    flows { src_ip: "\n\000\000\001" dst_port: 443 protocol: 6 octets_raw: 1500 packets_raw: 2 }
    flows { src_ip: " \001\r\270\000\000\000\000\000\000\000\000\000\000\000\001" sampling_rate: 1 octets_raw: 0
            flow_end: 1769860858000000 src_mac: "\002\000\000\000\000\001" in_if_name: "" vlan: 0 }
    node: "edge-1")");
  const auto rows = decoded(octets, base::PayloadForm::kFlowBatch);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].at("src_ip"), "10.0.0.1");
  EXPECT_EQ(rows[0].at("sampling_rate"), "512");
  EXPECT_EQ(rows[0].at("time"), "2026-01-31 12:00:59+00");
  EXPECT_EQ(rows[0].at("in_if_name"), "lag 1");
  EXPECT_EQ(rows[0].at("vlan"), "null");
  EXPECT_EQ(rows[1].at("src_ip"), "2001:db8::1");
  EXPECT_EQ(rows[1].at("sampling_rate"), "1");
  EXPECT_EQ(rows[1].at("octets_raw"), "0");
  EXPECT_EQ(rows[1].at("in_if_name"), "");
  EXPECT_EQ(rows[1].at("vlan"), "0");
  EXPECT_EQ(rows[1].at("src_mac"), std::to_string(0x020000000001));
  EXPECT_EQ(rows[1].at("site"), "ams");
}

/// Writes each row as it comes: its messages are read by others.
class Written : public FlowWriter::Consumer {
 public:
  void on_flows(batch::ColumnBatch& batch) override {
    std::vector<uint32_t> numbers(batch.row_count);
    for (uint32_t i = 0; i < numbers.size(); ++i) numbers[i] = i;
    FlowBatchWriter::Head head;
    head.exporter = base::Inet::v6(0x20010db800000000, 1);
    head.site = "Zürich";
    writer.write(batch, numbers, head, message);
  }
  FlowBatchWriter writer;
  std::vector<uint8_t> message;
};

/// Reads what is written here, and would write the same octets: nothing is in it that the schema does not have.
TEST_F(Protoc, ReadsWhatIsWrittenHere) {
  std::mt19937_64 random(7);
  const batch::Schema& schema = batch::flow_schema();
  for (int message = 0; message < 8; ++message) {
    Written written;
    FlowWriter writer(FlowBatchWriter::columns(), written, 64);
    for (int row = 0; row < 5; ++row) {
      (void)writer.room(1);
      for (size_t c = 0; c < batch::kFlowColumnCount; ++c) {
        const auto column = static_cast<batch::FlowColumn>(c);
        if (!writer.wants(column)) continue;
        const uint64_t value = message % 2 == 0 ? random() : 5;
        if (random() % 4 == 0 && message != 3) {
          writer.set_null(column, 1);
          continue;
        }
        switch (batch::physical(schema.columns[c].type)) {
          case batch::Physical::kInet: writer.fill(column, base::Inet::v4(static_cast<uint32_t>(value)), 1); break;
          case batch::Physical::kText: writer.fill<std::string_view>(column, "xe-0/0/1", 1); break;
          default: {
            const uint8_t bits = schema.columns[c].value_bits;
            writer.fill<int64_t>(column, static_cast<int64_t>(value & ((uint64_t{1} << (bits == 0 ? 50 : bits)) - 1)),
                                 1);
          }
        }
      }
      writer.commit(1);
    }
    writer.flush();
    const std::string octets(written.message.begin(), written.message.end());
    const std::string text = run(kDecode, octets);
    EXPECT_NE(text.find("site: \"Z\\303\\274rich\""), std::string::npos) << text;
    // A field that the schema does not have is shown by its number.
    EXPECT_EQ(text.find("\n  1: "), std::string::npos) << text;
    EXPECT_EQ(run(kEncode, text), octets) << text;
  }
}

TEST_F(Protoc, WritesWhatIsReadOfGoflow2) {
  const std::string octets = run("--encode=other.Flow", R"(
    kind: 3 sequence: 9 rate: 1000 sampler: "\300\000\002\001" received: 1769860860000000000 began: 1769860857000000000
    ended: 1769860858000000999 octets: 1500 packets: 2 source: "\n\000\000\001" destination: "\n\000\000\002"
    ethernet: 2048 protocol: 17 source_port: 53 destination_port: 5353 in: 11 out: 12 vlan: 7 ttl: 64
    source_as: 64512 path: 1 path: 2 path: 3 mpls_label: 100 mpls_label: 200 mpls_ttl: 1 domain: 77)");
  const auto rows = decoded(octets, base::PayloadForm::kGoflow2);
  ASSERT_EQ(rows.size(), 1u);
  for (const auto& [column, value] : std::map<std::string, std::string>{{"src_ip", "10.0.0.1"},
                                                                        {"dst_ip", "10.0.0.2"},
                                                                        {"src_port", "53"},
                                                                        {"dst_port", "5353"},
                                                                        {"protocol", "17"},
                                                                        {"octets_raw", "1500"},
                                                                        {"sampling_rate", "1000"},
                                                                        {"protocol_version", "9"},
                                                                        {"vlan", "7"},
                                                                        {"ip_ttl", "64"},
                                                                        {"mpls_label_1", "100"},
                                                                        {"mpls_label_2", "200"},
                                                                        {"mpls_label_3", "null"},
                                                                        {"observation_domain", "77"},
                                                                        {"exporter", "192.0.2.1"},
                                                                        {"time", "2026-01-31 12:00:58+00"}})
    EXPECT_EQ(rows[0].at(column), value) << column;
}

}  // namespace
}  // namespace backstream::decode
