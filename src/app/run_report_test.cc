#include "app/run_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace backstream::app {
namespace {

constexpr base::Micros kStart = 1'769'860'800'000'000;  // 2026-01-31 12:00:00 UTC

RunReport small_report() {
  RunReport report;
  report.seconds = 2;
  report.ingest.frames = 5;
  report.ingest.datagrams = 3;
  report.ingest.skipped[static_cast<size_t>(ingest::IngestSkip::kNotUdp)] = 2;
  report.decoded.datagrams = report.decoded.decoded = 3;
  report.decoded.records = report.decoded.flows = 40;
  report.decoded.sampling_unknown_rows = 4;
  report.sequence_early = 17;
  report.exporters.push_back({"192.0.2.1", "IPFIX", report.decoded, {}});
  decode::IngestLedger minute;
  minute.datagrams = 2;
  minute.missing = 9;
  report.minutes.push_back({kStart, 0, minute});
  minute.missing = static_cast<uint64_t>(-4);
  minute.faults[0] = 1;
  report.minutes.push_back({kStart + 120'000'000, 0, minute});
  RunReport::View view{"matrix", {}, 75'000'000, {}, "matrix_late", ""};
  view.windows.push_back({kStart + 30'000'000, kStart + 130'000'000, 1, {40, 37, 0, 3, 0, 0}});
  view.windows.push_back({kStart + 180'000'000, kStart + 240'000'000, 0, {5, 0, 5, 0, 0, 0}});
  view.ledger.assigned = 40;
  view.ledger.counted = 37;
  view.ledger.late = 3;
  view.ledger.late_by_max_us = 15'000'001;
  report.views.push_back(view);
  return report;
}

TEST(RunReport, DelayThatKeepsAllIsRoundedUp) {
  RunReport::View view;
  view.delay_us = 75'000'000;
  view.ledger.late_by_max_us = 1;
  EXPECT_EQ(delay_that_keeps_all(view), 76'000'000);
  view.ledger.late_by_max_us = 5'000'000;
  EXPECT_EQ(delay_that_keeps_all(view), 80'000'000);
  view.delay_us = 0;
  view.ledger.late_by_max_us = 20'001;
  EXPECT_EQ(delay_that_keeps_all(view), 21'000);
}

TEST(RunReport, FaultsNameTheirExporters) {
  RunReport report = small_report();
  decode::IngestLedger broken;
  for (uint64_t count = 1; count <= 6; ++count) {
    broken.faults = {};
    broken.add(decode::DecodeFault::kNotAnExport, count);
    broken.add(decode::DecodeFault::kSetTruncated);
    report.decoded += broken;
    report.exporters.push_back({"192.0.2.1" + std::to_string(count), "IPFIX", broken, {}});
  }
  const std::string text = summary_text(report);
  EXPECT_NE(
      text.find("; from 192.0.2.16 (7), 192.0.2.15 (6), 192.0.2.14 (5), 192.0.2.13 (4), 192.0.2.12 (3) and 1 more\n"),
      std::string::npos)
      << text;
}

TEST(RunReport, SummaryTellsWhatPeopleMustKnow) {
  const std::string text = summary_text(small_report());
  EXPECT_NE(text.find("40 records in 2.000 s"), std::string::npos) << text;
  EXPECT_NE(text.find("skipped   2 of 5 frames: 2 not_udp"), std::string::npos) << text;
  EXPECT_NE(text.find("!! 17 sequence numbers were not put in order"), std::string::npos) << text;
  EXPECT_NE(text.find("not scaled: 192.0.2.1 (4 rows); set exporter.192.0.2.1.sampling_rate,"), std::string::npos)
      << text;
  EXPECT_NE(text.find("40 assigned = 37 counted + 0 filtered + 3 late"), std::string::npos) << text;
  EXPECT_NE(text.find("--delay '91 s' would have kept them all; --view matrix_late shows them\n"), std::string::npos)
      << text;
  EXPECT_EQ(text.find("faults"), std::string::npos) << text;
}

TEST(RunReport, StatsHaveTheSameNumbersUnderStableKeys) {
  const auto json = nlohmann::json::parse(stats_json(small_report()));
  EXPECT_EQ(json["records"], 40);
  EXPECT_EQ(json["records_per_second"], 20.0);
  EXPECT_TRUE(json["watermark"].is_null());
  EXPECT_EQ(json["ingest"]["skipped"]["not_udp"], 2);
  EXPECT_EQ(json["decode"]["faults"]["template_unknown"], 0);
  EXPECT_EQ(json["exporters"][0]["address"], "192.0.2.1");
  EXPECT_EQ(json["exporters"][0]["flows"], 40);
  EXPECT_EQ(json["views"][0]["late"], 3);
  EXPECT_EQ(json["views"][0]["delay_needed_seconds"], 91.0);
  EXPECT_EQ(json["ingest_minutes"], nlohmann::json::parse(R"([
    {"minute": "2026-01-31T12:00:00Z", "exporter": "192.0.2.1", "datagrams": 2, "missing": 9},
    {"minute": "2026-01-31T12:02:00Z", "exporter": "192.0.2.1", "datagrams": 2, "missing": -4,
     "faults": {"not_an_export": 1}}])"));
  EXPECT_EQ(json["views"][0]["windows"], nlohmann::json::parse(R"([
    {"window_start": "2026-01-31T12:00:30Z", "window_end": "2026-01-31T12:02:10Z", "revision": 1,
     "assigned": 40, "counted": 37, "filtered": 0, "late": 3, "errored": 0, "shed": 0, "shed_octets": 0, "complete": true,
     "ingest": {"datagrams": 4, "missing": 5, "faults": {"not_an_export": 1}}},
    {"window_start": "2026-01-31T12:03:00Z", "window_end": "2026-01-31T12:04:00Z", "revision": 0,
     "assigned": 5, "counted": 0, "filtered": 5, "late": 0, "errored": 0, "shed": 0, "shed_octets": 0, "complete": true,
     "ingest": {}}])"));
}

TEST(RunReport, TextFromFilesCannotBreakTheJson) {
  RunReport report = small_report();
  report.ingest.warnings.push_back("\xFF\"\n.pcap: cut");
  EXPECT_FALSE(nlohmann::json::parse(stats_json(report), nullptr, false).is_discarded());
}

TEST(RunReport, OnlyTheBusiestExportersAreShown) {
  RunReport report = small_report();
  for (uint64_t i = 0; i < 30; ++i) {
    report.exporters.push_back({"10.0.0." + std::to_string(i), "NetFlow v5", {}, {}});
    report.exporters.back().ledger.records = i;
  }
  const std::string text = summary_text(report);
  EXPECT_NE(text.find("192.0.2.1 "), std::string::npos);
  EXPECT_NE(text.find("10.0.0.29 "), std::string::npos);
  EXPECT_EQ(text.find("10.0.0.3 "), std::string::npos);
  EXPECT_NE(text.find("and 21 more"), std::string::npos);
}

TEST(RunReport, StoppedAndShedQueriesAreTold) {
  RunReport report = small_report();
  RunReport::View& view = report.views.front();
  view.failure = "53400 its state is too much";
  view.ledger.shed = 7;
  view.ledger.shed_octets = 900;
  view.ledger.capped_groups = 3;
  const std::string text = summary_text(report);
  EXPECT_NE(text.find("!! matrix: stopped: 53400 its state is too much\n"), std::string::npos);
  EXPECT_NE(text.find("!! matrix: 7 rows (900 octets) were shed"), std::string::npos);
  EXPECT_NE(text.find("!! matrix: 3 results are null: their groups have more values than are kept\n"),
            std::string::npos);
  const std::string json = stats_json(report);
  EXPECT_NE(json.find("\"failed\": \"53400 its state is too much\""), std::string::npos);
  EXPECT_NE(json.find("\"shed_octets\": 900"), std::string::npos);
  EXPECT_NE(json.find("\"capped_groups\": 3"), std::string::npos);
}

}  // namespace
}  // namespace backstream::app
