#include "app/run_options.h"

#include <gtest/gtest.h>

#include "app/commands.h"

namespace backstream::app {
namespace {

RunOptions read(const std::vector<std::string>& arguments) {
  auto result = read_run_options(arguments);
  if (const int* code = std::get_if<int>(&result)) {
    ADD_FAILURE() << "exit code " << *code;
    return {};
  }
  return std::get<RunOptions>(std::move(result));
}

int refused(const std::vector<std::string>& arguments) {
  auto result = read_run_options(arguments);
  const int* code = std::get_if<int>(&result);
  return code == nullptr ? -1 : *code;
}

TEST(RunOptions, StatementsKeepTheirOrder) {
  const RunOptions options = read({"-e", "SELECT 1", "--pcap", "a.pcap", "-e", "SELECT 2"});
  ASSERT_EQ(options.sql.size(), 2u);
  EXPECT_EQ(options.sql[0].text, "SELECT 1");
  EXPECT_EQ(options.sql[1].text, "SELECT 2");
}

TEST(RunOptions, NamesAfterAPcapFlagAreCaptures) {
  const RunOptions options = read({"-e", "SELECT 1", "--pcap", "ams=a.pcap", "b.pcap", "./x=y/c.pcap"});
  ASSERT_EQ(options.captures.size(), 3u);
  EXPECT_EQ(options.captures[0].site, "ams");
  EXPECT_EQ(options.captures[0].path, "a.pcap");
  EXPECT_EQ(options.captures[1].path, "b.pcap");
  EXPECT_EQ(options.captures[2].path, "./x=y/c.pcap");
  EXPECT_EQ(options.captures[2].site, "");
}

TEST(RunOptions, LaterSettingsWin) {
  const RunOptions options = read({"-e", "SELECT 1", "--set", "watermark.delay=1s", "--set", "watermark.delay=2s"});
  EXPECT_EQ(options.settings.watermark.delay_us, 2'000'000);
  EXPECT_EQ(read({"-e", "SELECT 1", "--set", "watermark.delay=1s", "--delay", "3s"}).settings.watermark.delay_us,
            3'000'000);
}

TEST(RunOptions, ListenAndFor) {
  const RunOptions options =
      read({"-e", "SELECT 1", "--listen", "udp://127.0.0.1:2055", "--listen", "udp://[::1]:4739", "--for", "5s"});
  ASSERT_EQ(options.listen.size(), 2u);
  EXPECT_EQ(options.listen[1].port, 4739);
  EXPECT_EQ(options.duration_us, 5'000'000);
}

TEST(RunOptions, DealsAreReadWhole) {
  EXPECT_EQ(parse_deal("random:42")->seed, 42u);
  EXPECT_EQ(parse_deal("site")->kind, Deal::Kind::kSite);
  for (const char* bad : {"", "random", "random:", "random:x", "random:1x", "exporters"})
    EXPECT_FALSE(parse_deal(bad)) << bad;
}

TEST(RunOptions, WhatIsWrongGivesTheDocumentedCode) {
  EXPECT_EQ(refused({}), kExitUsage);
  EXPECT_EQ(refused({"--no-such-flag"}), kExitUsage);
  EXPECT_EQ(refused({"-e", "SELECT 1", "--set", "watermark.delai=1s"}), kExitInvalid);
  EXPECT_EQ(refused({"absent.sql"}), kExitFailure);
  EXPECT_EQ(refused({"-e", "SELECT 1", "--threads", "0"}), kExitUsage);
}

}  // namespace
}  // namespace backstream::app
