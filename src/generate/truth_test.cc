#include "generate/truth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>

#include "generate/backbone.h"
#include "generate/record_log.h"

namespace backstream::generate {
namespace {

constexpr base::Micros kNoon = 1'769'860'800 * base::kMicrosPerSecond;  // 2026-01-31 12:00 UTC

class TruthTest : public testing::Test {
 protected:
  TruthTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "truth_test.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::system_error(errno, std::generic_category(), pattern);
    folder_ = pattern;
  }
  ~TruthTest() override { std::filesystem::remove_all(folder_); }

  /// The lines below the header, sorted.
  std::vector<std::string> rows(const std::string& name) const {
    std::ifstream file(folder_ + '/' + name + ".csv");
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    if (lines.empty()) return {"no header"};
    std::sort(lines.begin() + 1, lines.end());
    return {lines.begin() + 1, lines.end()};
  }
  std::string folder_;
};

Record record(base::Micros second, uint32_t source, uint64_t octets, uint64_t packets) {
  Record r;
  r.start = r.end = r.received = kNoon + second * base::kMicrosPerSecond;
  r.source = base::Inet::v4(source);
  r.destination = base::Inet::v4(0x0a000001);
  r.exporter = base::Inet::v4(0x7f000101);
  r.octets = octets;
  r.packets = packets;
  r.sampling_rate = 10;
  r.source_as = 64'496;
  r.destination_as = 64'497;
  r.in_if = 1;
  r.out_if = 2;
  r.destination_port = 443;
  r.ip_protocol = 6;
  return r;
}

using Lines = std::vector<std::string>;

// The expected rows are worked out by hand.
TEST_F(TruthTest, AnswersOfThreeFlows) {
  Truth truth;
  Record first = record(59, 0xc0000201, 100, 1), second = record(60, 0xc0000201, 50, 2);
  first.tcp_flags = 2;
  second.tcp_flags = 16;
  Record third = record(300, 0xc0000302, 7, 1);
  third.source = base::Inet::v6(0x20010db800000000, 1);
  third.destination = base::Inet::v6(0x20010db800000000, 2);
  third.ip_protocol = 58;
  third.has_ports = false;
  for (const Record& r : {first, second, third}) truth.observe(r);
  truth.write(folder_);
  EXPECT_EQ(rows("traffic_matrix"),
            (Lines{"2026-01-31 12:00:00+00,64496,64497,1500", "2026-01-31 12:05:00+00,64496,64497,70"}));
  EXPECT_EQ(rows("port_sweep"), Lines{});
  EXPECT_EQ(rows("top_talkers"),
            (Lines{"2026-01-31 12:00:00+00,192.0.2.1,1500", "2026-01-31 12:05:00+00,2001:db8::1,70"}));
  EXPECT_EQ(rows("protocol_mix"), (Lines{"2026-01-31 12:00:00+00,6,1,1000,1", "2026-01-31 12:01:00+00,6,1,500,2",
                                         "2026-01-31 12:05:00+00,58,1,70,1"}));
  EXPECT_EQ(rows("ip_versions"),
            (Lines{"2026-01-31 12:00:00+00,1,0,0", "2026-01-31 12:01:00+00,1,0,0", "2026-01-31 12:05:00+00,0,1,70"}));
  EXPECT_EQ(rows("port_classes"), (Lines{"2026-01-31 12:00:00+00,system,1,1000", "2026-01-31 12:01:00+00,system,1,500",
                                         "2026-01-31 12:05:00+00,none,1,70"}));
  EXPECT_EQ(rows("tcp_flags"), (Lines{"2026-01-31 12:00:00+00,1,2,t,f", "2026-01-31 12:01:00+00,1,16,f,f"}));
  EXPECT_EQ(rows("as_extremes"), (Lines{"2026-01-31 12:00:00+00,64497,50,100", "2026-01-31 12:05:00+00,64497,7,7"}));
  EXPECT_EQ(rows("source_prefixes"), Lines{"2026-01-31 12:00:00+00,192.0.2.0/24,1500"});
  EXPECT_EQ(rows("raw_and_scaled"), (Lines{"2026-01-31 12:00:00+00,127.0.1.1,150,1500,3,30,10",
                                           "2026-01-31 12:05:00+00,127.0.1.1,7,70,1,10,10"}));
  EXPECT_EQ(rows("hop_totals"),
            (Lines{"2026-01-31 11:56:00+00,1,1000", "2026-01-31 11:57:00+00,2,1500", "2026-01-31 11:58:00+00,2,1500",
                   "2026-01-31 11:59:00+00,2,1500", "2026-01-31 12:00:00+00,2,1500", "2026-01-31 12:01:00+00,2,570",
                   "2026-01-31 12:02:00+00,1,70", "2026-01-31 12:03:00+00,1,70", "2026-01-31 12:04:00+00,1,70",
                   "2026-01-31 12:05:00+00,1,70"}));
}

TEST_F(TruthTest, ASweepIsMoreThanAHundredPorts) {
  Truth truth({"port_sweep"});
  for (uint16_t port = 1; port <= 100; ++port) {
    for (const uint32_t source : {0xc0000201u, 0xc0000202u}) {
      Record r = record(1, source, 40, 1);
      r.destination_port = port;
      truth.observe(r);
      truth.observe(r);  // The same port again counts once.
    }
  }
  Record next = record(1, 0xc0000202, 40, 1);
  next.destination_port = 101;
  truth.observe(next);
  Record two_packets = record(1, 0xc0000201, 80, 2), next_window = record(60, 0xc0000201, 40, 1);
  two_packets.destination_port = next_window.destination_port = 101;
  truth.observe(two_packets);
  truth.observe(next_window);
  truth.write(folder_);
  EXPECT_EQ(rows("port_sweep"), Lines{"2026-01-31 12:00:00+00,192.0.2.2,10.0.0.1,101"});
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/traffic_matrix.csv"));
}

TEST_F(TruthTest, TopTalkersAreTenTiesByAddress) {
  Truth truth({"top_talkers"});
  for (uint32_t host = 1; host <= 12; ++host) truth.observe(record(1, 0xc0000200 + host, host == 12 ? 9 : 5, 1));
  truth.write(folder_);
  const Lines answer = rows("top_talkers");
  ASSERT_EQ(answer.size(), 10u);
  const std::set<std::string> set(answer.begin(), answer.end());
  EXPECT_TRUE(set.contains("2026-01-31 12:00:00+00,192.0.2.12,90"));
  EXPECT_TRUE(set.contains("2026-01-31 12:00:00+00,192.0.2.9,50"));
  EXPECT_FALSE(set.contains("2026-01-31 12:00:00+00,192.0.2.10,50"));
}

TEST_F(TruthTest, SumsAreThoseOfTheRecords) {
  struct Totals : RecordObserver {
    explicit Totals(Truth& to) : truth(to) {}
    void observe(const Record& r) override {
      octets += r.octets * r.sampling_rate;
      ++flows;
      truth.observe(r);
    }
    Truth& truth;
    uint64_t octets = 0, flows = 0;
  };
  BackboneOptions options;
  options.protocol = Protocol::kIpfix;
  options.records = 5'000;
  options.start = kNoon;
  options.exporters = 2;
  options.traffic.ipv6_share = 0.3;
  options.sampling_rate = 100;
  Truth truth;
  Totals totals(truth);
  Backbone backbone(options);
  backbone.set_observer(&totals);
  for (GeneratedDatagram datagram; backbone.next(datagram);) {
  }
  truth.write(folder_);
  const auto sum = [&](const std::string& name, size_t column) {
    uint64_t total = 0;
    for (const std::string& line : rows(name)) {
      std::istringstream fields(line);
      std::string field;
      for (size_t i = 0; i <= column; ++i) std::getline(fields, field, ',');
      total += std::stoull(field);
    }
    return total;
  };
  EXPECT_EQ(totals.flows, 5'000u);
  EXPECT_EQ(sum("traffic_matrix", 3), totals.octets);
  EXPECT_EQ(sum("interfaces", 3), totals.octets);
  EXPECT_EQ(sum("exporter_totals", 2), totals.flows);
  EXPECT_EQ(sum("port_classes", 2), totals.flows);
  EXPECT_EQ(sum("hop_totals", 1), 5 * totals.flows);
}

TEST_F(TruthTest, EveryQueryHasTextAndHeader) {
  Truth truth;
  truth.write(folder_);
  const std::vector<std::string> names = Truth::names();
  EXPECT_GE(names.size(), 12u);
  for (const std::string& name : names) {
    EXPECT_TRUE(rows(name).empty()) << name;
    std::ifstream file(folder_ + '/' + name + ".sql");
    std::string word;
    file >> word;
    EXPECT_EQ(word, "SELECT") << name;
  }
}

TEST_F(TruthTest, RefusesAnUnknownQueryAndAFolderThatIsNotThere) {
  EXPECT_THROW(Truth({"traffic_matrix", "no_such"}), std::invalid_argument);
  EXPECT_THROW(Truth().write(folder_ + "/absent"), std::system_error);
}

TEST_F(TruthTest, RecordLogTellsWhatIsOnTheWire) {
  const std::string path = folder_ + "/records.csv";
  RecordLog log(path);
  Record r = record(1, 0x0a000002, 1500, 3);
  r.received += 2'500'000;
  r.source_mask = 24;
  log.observe(r);
  r.protocol = Protocol::kSflow;  // Has no flow times, and of ICMP neither ports nor flags.
  r.has_ports = r.has_flags = false;
  r.ip_protocol = 1;
  log.observe(r);
  log.close();
  EXPECT_EQ(rows("records"),
            (std::vector<std::string>{
                ",,2026-01-31 "
                "12:00:03.5+00,127.0.1.1,sFlow,10.0.0.2,10.0.0.1,198.18.0.2,,,1,,0,1500,3,10,64496,64497,24,0,1,2",
                "2026-01-31 12:00:01+00,2026-01-31 12:00:01+00,2026-01-31 12:00:03.5+00,127.0.1.1,5,10.0.0.2,10.0.0.1,"
                "198.18.0.2,0,443,6,0,0,1500,3,10,64496,64497,24,0,1,2"}));
}

TEST_F(TruthTest, RecordLogThatCannotBeWritten) {
  EXPECT_THROW(RecordLog(folder_ + "/none/records.csv"), std::system_error);
}

}  // namespace
}  // namespace backstream::generate
