#include "service/metrics.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "telemetry/exposition_test.h"

namespace backstream::service {
namespace {

using telemetry::PageReader;
using telemetry::ReadPage;

constexpr base::Micros kSecond = base::kMicrosPerSecond;
constexpr base::Micros kNow = 1'769'860'800 * kSecond;

MetricsInput::Exporter exporter(std::string address, uint64_t flows) {
  MetricsInput::Exporter made;
  made.address = std::move(address);
  made.site = "fra";
  made.protocols = "IPFIX";
  made.ledger.flows = flows;
  made.ledger.datagrams = 1;
  made.templates = 2;
  made.sampling_rate_min = 500;
  made.sampling_rate_max = 1000;
  made.last_seen = kNow - 5 * kSecond;
  made.clock.timed = true;
  made.clock.high_time = kNow - 10 * kSecond;
  made.clock.delay_us = 75 * kSecond;
  made.clock.clock_offset_us = -3 * kSecond;
  made.clock.delay_p999_us = 20 * kSecond;
  return made;
}

MetricsInput::Query query(std::string name, uint64_t incarnation, uint64_t assigned) {
  MetricsInput::Query made;
  made.name = std::move(name);
  made.state = "running";
  made.incarnation = incarnation;
  made.ledger.emplace();
  made.ledger->assigned = assigned;
  made.watermark_lag_seconds = 76.5;
  telemetry::Histogram latency(telemetry::latency_bounds_seconds());
  latency.record(0.02);
  made.result_latency_seconds = latency.snapshot();
  return made;
}

/// Everything that the page can tell is there.
MetricsInput full_input() {
  MetricsInput input;
  input.version = "0.1.0";
  input.node = "edge-1";
  input.site = "fra";
  input.roles = {"edge", "merge"};
  input.ready = true;
  input.now = kNow;
  input.spool = MetricsInput::Spool{10, 8, 1, 1000, 3, 4096, 0.5};
  auto& partials = input.partials.emplace(MetricsInput::Partials{});
  partials.dropped = {{"duplicate", 2}};
  partials.edges = {{"ams1", "ams", true, kNow}};
  input.kafka_logs = {{"partials", {{"foreign", 3}, {"lost", 1}}}, {"results", {{"foreign", 0}, {"lost", 0}}}};
  input.worker = MetricsInput::Worker{3, 4, 1, 20, 2, 5000, 100, 90'000, 10};
  input.results_in = MetricsInput::ResultsIn{100, {{"repeat", 2}}};
  input.ingest.sockets = {{"0.0.0.0", 2055, 10, 1000, 3, 1 << 20},
                          {"0.0.0.0", 2055, 20, 2000, 4, 1 << 20},
                          {"::", 4739, 1, 100, 0, 1 << 20}};
  input.ingest.skipped[static_cast<size_t>(ingest::IngestSkip::kNotAllowed)] = 9;
  input.ingest.topics = {{"flows", 40, 4000, 1, 2, 3}};
  input.flows_sent = {{"out", 5, 600, 70, 8, 9, 10}};
  auto& alerts = input.alerts.emplace();
  alerts.rules = 3;
  alerts.firing = 2;
  alerts.endpoints.emplace_back();
  alerts.endpoints.back().name = "chat";
  input.forwards.emplace_back();
  input.forwards[0].name = "nfcapd";
  input.forwards[0].dropped[0] = 7;
  input.exporters = {exporter("192.0.2.1", 100), exporter("192.0.2.2", 200), exporter("2001:db8::1", 300)};
  for (const MetricsInput::Exporter& one : input.exporters) input.decoded += one.ledger;
  input.decoded.faults.fill(1);
  input.queries = {query("matrix", 3, 11), query("top", 5, 12)};
  input.watermark_event = kNow - 76 * kSecond;
  input.watermark_arrival = kNow - kSecond;
  input.http.requests = 4;
  input.http.network_thread_ns = 2'500'000'000;
  input.http.answers = {0, 1, 2, 3, 4, 5};
  for (size_t i = 0; i < http::kRefusalCount; ++i) input.http.refused[i] = i + 1;
  input.request_duration_seconds = telemetry::Histogram(telemetry::latency_bounds_seconds()).snapshot();
  input.catalog_revision = 17;
  input.shared_catalog = {true, 9, 2, 1, 3, {{"foreign", 4}}};
  input.sinks.emplace_back();
  input.sinks.back().name = "out";
  input.sinks.back().status.rows = 41;
  input.sinks.back().status.rows_refused = 42;
  input.sinks.back().status.rows_missed = 43;
  input.sinks.back().status.errors = 44;
  input.sinks.back().status.behind_since = 45 * kSecond;
  input.sinks.back().status.state = sink::RunnerStatus::State::kFailing;
  auto& history = input.history.emplace(history::Store::Status{});
  history.totals.octets = {4096, 0, 0, 0};
  history.totals.oldest = {kNow - 100 * kSecond, base::kMaxTime, base::kMaxTime, base::kMaxTime};
  history.repeats = 6;
  history.trouble = "the disk is full";
  input.checkpoint_at = kNow - 8 * kSecond;
  input.checkpoint_octets = 4096;
  input.state_free_octets = 1 << 30;
  input.state_total_octets = uint64_t{1} << 32;
  input.reload.last_good_at = kNow - 60 * kSecond;
  input.process = telemetry::process_facts();
  input.process.descriptors_max = 1024;
  return input;
}

ReadPage page_of(const MetricsInput& input) {
  ReadPage page = PageReader::read(metrics_page(input));
  EXPECT_EQ(page.faults, std::vector<std::string>{});
  return page;
}

std::string file_text(const std::string& path) {
  std::ifstream in(std::string(BACKSTREAM_SOURCE_DIR) + "/" + path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(Metrics, TellWhatIsCounted) {
  const ReadPage page = page_of(full_input());
  for (const auto& [series, value] : std::initializer_list<std::pair<std::string, double>>{
           {"backstream_edge_udp_packets_total{listener=\"udp://0.0.0.0:2055\"}", 30},
           {"backstream_catalog_following", 1},
           {"backstream_catalog_records", 9},
           {"backstream_catalog_ignored_records_total{reason=\"foreign\"}", 4},
           {"backstream_catalog_races_total", 2},
           {"backstream_catalog_rereads_total", 1},
           {"backstream_catalog_restored_total", 3},
           {"backstream_edge_udp_dropped_packets_total{listener=\"udp://0.0.0.0:2055\"}", 7},
           {"backstream_edge_udp_packets_total{listener=\"udp://[::]:4739\"}", 1},
           {"backstream_edge_rejected_packets_total{reason=\"not_allowed\"}", 9},
           {"backstream_edge_flows_total{exporter=\"2001:db8::1\"}", 300},
           {"backstream_edge_records_total{kind=\"flow\"}", 600},
           {"backstream_exporter_last_seen_timestamp_seconds{exporter=\"192.0.2.1\"}", 1'769'860'795},
           {"backstream_forward_dropped_packets_total{target=\"nfcapd\",reason=\"queue_full\"}", 7},
           {"backstream_watermark_lag_seconds{clock=\"event\"}", 76},
           {"backstream_query_rows_in_total{query=\"matrix\"}", 11},
           {"backstream_query_result_latency_seconds_count{query=\"top\"}", 1},
           {"backstream_queries{state=\"running\"}", 2},
           {"backstream_queries{state=\"failed\"}", 0},
           {"backstream_http_responses_total{class=\"4xx\"}", 4},
           {"backstream_http_network_cpu_seconds_total", 2.5},
           {"backstream_config_last_reload_successful", 1},
           {"backstream_checkpoint_size_bytes", 4096},
           {"backstream_exporter_clock_skew_seconds{exporter=\"192.0.2.1\"}", -3},
           {"backstream_exporters", 3},
           {"backstream_history_bytes{tier=\"raw\"}", 4096},
           {"backstream_history_oldest_timestamp_seconds{tier=\"raw\"}", 1'769'860'700},
           {"backstream_history_repeated_parts_total", 6},
           {"backstream_history_failing", 1},
           {"backstream_sink_rows_total{sink=\"out\"}", 41},
           {"backstream_sink_refused_rows_total{sink=\"out\"}", 42},
           {"backstream_sink_missed_rows_total{sink=\"out\"}", 43},
           {"backstream_sink_errors_total{sink=\"out\"}", 44},
           {"backstream_sink_behind_since_timestamp_seconds{sink=\"out\"}", 45},
           {"backstream_sink_failing{sink=\"out\"}", 1},
       }) {
    EXPECT_EQ(page.value(series), value) << series;
  }
}

TEST(Metrics, EveryReasonHasASeries) {
  const ReadPage page = page_of(full_input());
#define BACKSTREAM_X(id, name, about) \
  EXPECT_EQ(page.value("backstream_edge_decode_errors_total{reason=\"" name "\"}"), 1) << name;
  BACKSTREAM_DECODE_FAULTS(BACKSTREAM_X)
#undef BACKSTREAM_X
  double next = 1;
#define BACKSTREAM_X(id, name) \
  EXPECT_EQ(page.value("backstream_http_refusals_total{reason=\"" name "\"}"), next++) << name;
  BACKSTREAM_HTTP_REFUSALS(BACKSTREAM_X)
#undef BACKSTREAM_X
#define BACKSTREAM_X(id, name, about) \
  EXPECT_TRUE(page.values.contains("backstream_edge_rejected_packets_total{reason=\"" name "\"}")) << name;
  BACKSTREAM_INGEST_SKIPS(BACKSTREAM_X)
#undef BACKSTREAM_X
}

TEST(Metrics, OfNothingAreAPageToo) {
  const ReadPage page = page_of(MetricsInput{});
  EXPECT_EQ(page.families.size(), page_of(full_input()).families.size());
  EXPECT_FALSE(page.values.contains("backstream_checkpoint_size_bytes"));
  EXPECT_FALSE(page.values.contains("backstream_watermark_lag_seconds{clock=\"event\"}"));
}

TEST(Metrics, SetsThatAreReadLaterTakeNothingBack) {
  MetricsInput input = full_input();
  decode::IngestLedger& ledger = input.exporters[0].ledger;
  ledger.awaiting_template = 4;
  ledger.faults[static_cast<size_t>(decode::DecodeFault::kTemplateUnknown)] = 4;
  const std::string waiting = "backstream_edge_records_without_template_total{exporter=\"192.0.2.1\"}";
  const std::string errors = "backstream_edge_exporter_errors_total{exporter=\"192.0.2.1\"}";
  const ReadPage before = page_of(input);
  ledger.awaiting_template -= 3;
  ledger.faults[static_cast<size_t>(decode::DecodeFault::kTemplateUnknown)] -= 3;
  ledger.sets_released += 3;
  const ReadPage after = page_of(input);
  EXPECT_EQ(before.value(waiting), 4);
  EXPECT_EQ(after.value(waiting), 4);
  EXPECT_EQ(before.value(errors), after.value(errors));
}

TEST(Metrics, SeriesOfExportersAreBounded) {
  MetricsInput input = full_input();
  input.exporters.clear();
  for (int i = 0; i < 500; ++i) input.exporters.push_back(exporter(fmt::format("10.0.{}.{}", i / 250, i % 250), 1));
  input.exporters.push_back(exporter("10.0.0.0", 5));  // Another decoder has heard it, too.
  input.exporter_series_max = 100;
  const ReadPage page = page_of(input);
  EXPECT_EQ(page.value("backstream_edge_flows_total{exporter=\"10.0.0.0\"}"), 6);
  EXPECT_EQ(page.value("backstream_edge_flows_total{exporter=\"10.0.0.99\"}"), 1);
  EXPECT_FALSE(page.values.contains("backstream_edge_flows_total{exporter=\"10.0.0.100\"}"));
  EXPECT_EQ(page.value("backstream_edge_flows_total{exporter=\"other\"}"), 400);
  EXPECT_EQ(page.value("backstream_exporters"), 500);
  EXPECT_FALSE(page.values.contains("backstream_edge_sampling_rate{exporter=\"other\"}"));
  EXPECT_TRUE(page.values.contains("backstream_exporter_last_seen_timestamp_seconds{exporter=\"other\"}"));
}

TEST(Metrics, SeriesOfQueriesAreBounded) {
  MetricsInput input = full_input();
  input.queries.clear();
  for (uint64_t i = 0; i < 50; ++i) input.queries.push_back(query(fmt::format("q{}", i), 100 - i, 1));
  for (uint64_t i = 0; i < 20; ++i) input.queries.push_back(query(fmt::format("~{}", i), 200 + i, 10));
  input.queries.push_back(query("other", 1, 100));  // Who calls one so shares the label.
  input.queries.push_back(query("q49", 51, 1000));  // The next version has begun, the last has windows to give.
  input.query_series_max = 10;
  const ReadPage page = page_of(input);
  EXPECT_EQ(page.value("backstream_query_rows_in_total{query=\"q49\"}"), 1001) << "the oldest";
  EXPECT_EQ(page.value("backstream_query_rows_in_total{query=\"q40\"}"), 1);
  EXPECT_FALSE(page.values.contains("backstream_query_rows_in_total{query=\"q39\"}"));
  EXPECT_EQ(page.value("backstream_query_rows_in_total{query=\"other\"}"), 140);
  EXPECT_EQ(page.value("backstream_query_rows_in_total{query=\"~\"}"), 200);
  EXPECT_EQ(page.value("backstream_query_result_latency_seconds_count{query=\"~\"}"), 20);
}

TEST(Metrics, AreTheSameInEveryOrderOfNothing) {
  const MetricsInput input = full_input();
  EXPECT_EQ(metrics_page(input), metrics_page(input));
  EXPECT_EQ(HubCounts(http::HubCounters{}).published, 0U);
}

/// What stands between backticks.
std::vector<std::string> quoted_words(const std::string& text) {
  std::vector<std::string> words;
  for (size_t begin = text.find('`'); begin != std::string::npos;) {
    const size_t end = text.find('`', begin + 1);
    if (end == std::string::npos) break;
    words.push_back(text.substr(begin + 1, end - begin - 1));
    begin = text.find('`', end + 1);
  }
  return words;
}

TEST(Metrics, AreThoseOfTheDocument) {
  std::map<std::string, std::pair<std::string, std::set<std::string>>> told;
  const std::string text = file_text("docs/metrics.md");
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    std::istringstream row(line.substr(1));
    for (std::string cell; std::getline(row, cell, '|');) cells.push_back(cell);
    if (cells.size() < 3) continue;
    const auto names = quoted_words(cells[0]), labels = quoted_words(cells[2]);
    const std::string type = cells[1].substr(1, cells[1].size() - 2);
    if (names.size() != 1 || (type != "counter" && type != "gauge" && type != "histogram")) continue;
    const bool fresh = told.emplace(names[0], std::pair(type, std::set(labels.begin(), labels.end()))).second;
    EXPECT_TRUE(fresh) << names[0] << " is there twice";
  }
  const ReadPage page = page_of(full_input());
  for (const auto& [name, family] : page.families) {
    const auto row_of = told.find(name);
    if (row_of == told.end()) {
      ADD_FAILURE() << "docs/metrics.md does not name " << name;
      continue;
    }
    EXPECT_EQ(row_of->second.first, family.type) << name;
    EXPECT_EQ(row_of->second.second, family.label_names) << name;
  }
  for (const auto& [name, row_of] : told) EXPECT_TRUE(page.families.contains(name)) << "the page has no " << name;
#define BACKSTREAM_X(id, name) EXPECT_NE(text.find("`" name "`"), std::string::npos) << name;
  BACKSTREAM_HTTP_REFUSALS(BACKSTREAM_X)
#undef BACKSTREAM_X
}

TEST(Metrics, AlertRulesNameOnlyWhatIsThere) {
  const ReadPage page = page_of(full_input());
  const std::string rules = file_text("packaging/prometheus/backstream.rules.yml");
  std::set<std::string> named;
  for (size_t at = rules.find("backstream_"); at != std::string::npos;) {
    const size_t end = rules.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_", at);
    std::string name = rules.substr(at, end - at);
    for (const std::string_view part : {"_bucket", "_sum", "_count"}) {
      if (name.ends_with(part)) name.resize(name.size() - part.size());
    }
    named.insert(std::move(name));
    at = rules.find("backstream_", end);
  }
  EXPECT_GE(named.size(), 10U);
  for (const std::string& one : named) EXPECT_TRUE(page.families.contains(one)) << one;
}

}  // namespace
}  // namespace backstream::service
