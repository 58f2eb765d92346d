// Captures of many origins: each opens, and gives as many datagrams as expected.csv tells. The captures are not part of
// the project: their folder is named by BACKSTREAM_CAPTURES, or lies beside the project.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ingest/capture_bytes_test.h"

namespace backstream::ingest {
namespace {

std::filesystem::path captures_folder() {
  if (const char* given = std::getenv("BACKSTREAM_CAPTURES")) return given;
  return std::filesystem::path(BACKSTREAM_SOURCE_DIR) / "../shared/data/captures";
}
std::vector<std::string> split(const std::string& line, char at) {
  std::vector<std::string> parts;
  std::stringstream in(line);
  for (std::string part; std::getline(in, part, at);) parts.push_back(part);
  return parts;
}

TEST(RealCaptures, EveryCaseHasItsDatagrams) {
  const std::filesystem::path folder = captures_folder();
  std::ifstream expected(folder / "expected.csv");
  if (!expected) GTEST_SKIP() << "no captures: BACKSTREAM_CAPTURES names their folder";
  std::string line;
  std::getline(expected, line);
  // Only the last columns have quotes.
  ASSERT_TRUE(line.starts_with("case,pcap,protocol,udp_ports,export_packets,")) << line;
  size_t cases = 0, files = 0;
  while (std::getline(expected, line)) {
    const std::vector<std::string> fields = split(line, ',');
    ASSERT_GE(fields.size(), 5u) << line;
    std::vector<CaptureInput> inputs;
    for (const std::string& file : split(fields[1], ';')) inputs.push_back({(folder / file).string(), ""});
    std::vector<uint16_t> ports;
    for (const std::string& port : split(fields[3], ';')) ports.push_back(static_cast<uint16_t>(std::stoul(port)));
    std::vector<std::string> sites;
    const Seen seen = see(open_captures(inputs, ports, sites));
    EXPECT_EQ(seen.error, "") << fields[0];
    EXPECT_EQ(seen.stats.frames, seen.stats.datagrams + seen.skipped_all()) << fields[0];
    EXPECT_EQ(seen.datagrams.size(), seen.stats.datagrams) << fields[0];
    EXPECT_EQ(seen.stats.warnings, std::vector<std::string>{}) << fields[0];
    if (!ports.empty()) {
      // An export packet has room for its version, two octets.
      const auto exports = std::count_if(seen.datagrams.begin(), seen.datagrams.end(),
                                         [](const Seen::Datagram& datagram) { return datagram.payload.size() >= 2; });
      EXPECT_EQ(std::to_string(exports), fields[4]) << fields[0];
    }
    ++cases;
    files += inputs.size();
  }
  EXPECT_GE(cases, 100u);
  RecordProperty("files", std::to_string(files));
}

}  // namespace
}  // namespace backstream::ingest
