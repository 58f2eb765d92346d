#include "telemetry/exposition.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "telemetry/exposition_test.h"

namespace backstream::telemetry {
namespace {

TEST(Exposition, WritesFamiliesInTheOrderOfTheCalls) {
  Exposition page;
  page.family("z_total", MetricKind::kCounter, "What is counted.");
  page.add({{"exporter", "192.0.2.1"}, {"reason", "late"}}, uint64_t{18446744073709551615U});
  page.add({{"exporter", "192.0.2.2"}, {"reason", "late"}}, uint64_t{0});
  page.family("a", MetricKind::kGauge, "What is measured.");
  page.add({}, 0.25);
  page.family("nothing", MetricKind::kGauge, "Known, and without a series.");
  EXPECT_EQ(page.text(),
            "# HELP z_total What is counted.\n"
            "# TYPE z_total counter\n"
            "z_total{exporter=\"192.0.2.1\",reason=\"late\"} 18446744073709551615\n"
            "z_total{exporter=\"192.0.2.2\",reason=\"late\"} 0\n"
            "# HELP a What is measured.\n"
            "# TYPE a gauge\n"
            "a 0.25\n"
            "# HELP nothing Known, and without a series.\n"
            "# TYPE nothing gauge\n");
  EXPECT_EQ(PageReader::read(page.text()).faults, std::vector<std::string>{});
}

TEST(Exposition, EscapesWhatOthersHaveNamed) {
  Exposition page;
  page.family("q", MetricKind::kGauge, "A line\nand a \\ and a \".");
  page.add({{"query", "a\"b\\c\nd"}}, uint64_t{1});
  page.add({{"query", std::string_view("\xff\0x", 3)}}, uint64_t{2});
  page.add({{"query", "café"}}, uint64_t{3});
  EXPECT_EQ(page.text(),
            "# HELP q A line\\nand a \\\\ and a \".\n"
            "# TYPE q gauge\n"
            "q{query=\"a\\\"b\\\\c\\nd\"} 1\n"
            "q{query=\"\xef\xbf\xbd\xef\xbf\xbdx\"} 2\n"
            "q{query=\"café\"} 3\n");
  EXPECT_EQ(PageReader::read(page.text()).faults, std::vector<std::string>{});
}

TEST(Exposition, WritesNumbersAsTheFormatHasThem) {
  Exposition page;
  page.family("n", MetricKind::kGauge, "Numbers.");
  page.add({{"of", "nan"}}, std::nan(""));
  page.add({{"of", "up"}}, std::numeric_limits<double>::infinity());
  page.add({{"of", "down"}}, -std::numeric_limits<double>::infinity());
  page.add({{"of", "small"}}, 1e-9);
  page.add({{"of", "time"}}, 1769860800.123456);
  EXPECT_NE(page.text().find("n{of=\"nan\"} NaN\nn{of=\"up\"} +Inf\nn{of=\"down\"} -Inf\nn{of=\"small\"} 1e-09\n"
                             "n{of=\"time\"} 1769860800.123456\n"),
            std::string::npos)
      << page.text();
}

TEST(Exposition, WritesBucketsThatHoldThoseBelow) {
  Histogram histogram{0.5, 1, 2.5};
  for (const double value : {0.1, 0.5, 0.75, 2.5, 2.5000001, 100.0, std::nan("")}) histogram.record(value);
  Exposition page;
  page.family("latency_seconds", MetricKind::kHistogram, "How long.");
  page.add({{"query", "a"}}, histogram.snapshot());
  page.add({{"query", "b"}}, Histogram{}.snapshot());
  const ReadPage read = PageReader::read(page.text());
  EXPECT_EQ(read.faults, std::vector<std::string>{});
  EXPECT_EQ(read.value("latency_seconds_bucket{query=\"a\",le=\"0.5\"}"), 2);
  EXPECT_EQ(read.value("latency_seconds_bucket{query=\"a\",le=\"1\"}"), 3);
  EXPECT_EQ(read.value("latency_seconds_bucket{query=\"a\",le=\"2.5\"}"), 4);
  EXPECT_EQ(read.value("latency_seconds_bucket{query=\"a\",le=\"+Inf\"}"), 6);
  EXPECT_EQ(read.value("latency_seconds_count{query=\"a\"}"), 6);
  EXPECT_NEAR(read.value("latency_seconds_sum{query=\"a\"}"), 106.3500001, 1e-9);
  EXPECT_EQ(read.value("latency_seconds_bucket{query=\"b\",le=\"+Inf\"}"), 0);
}

TEST(Exposition, HistogramsLoseNothingThatThreadsRecordTogether) {
  Histogram histogram(latency_bounds_seconds());
  std::vector<std::thread> threads;
  constexpr uint64_t kEach = 20'000;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (uint64_t i = 0; i < kEach; ++i) histogram.record(i % 2 == 0 ? 0.25 : 4);
    });
  }
  for (std::thread& thread : threads) thread.join();
  Histogram::Snapshot read = histogram.snapshot();
  EXPECT_EQ(read.sum, 2 * kEach * 0.25 + 2 * kEach * 4);
  uint64_t count = 0;
  for (const uint64_t bucket : read.counts) count += bucket;
  EXPECT_EQ(count, 4 * kEach);
  read += histogram.snapshot();
  EXPECT_EQ(read.sum, 2 * (2 * kEach * 0.25 + 2 * kEach * 4));
}

TEST(Exposition, OurOwnMistakesAreFound) {
  const auto page_with = [](std::string_view name, MetricKind kind) {
    Exposition page;
    page.family(name, kind, "");
  };
  EXPECT_DEATH(page_with("9lives", MetricKind::kGauge), "");
  EXPECT_DEATH(page_with("with-dash", MetricKind::kGauge), "");
  EXPECT_DEATH(page_with("requests", MetricKind::kCounter), "");
  EXPECT_DEATH(page_with("requests_total", MetricKind::kGauge), "");
  Exposition page;
  page.family("a", MetricKind::kGauge, "");
  page.add({{"x", "1"}}, uint64_t{1});
  EXPECT_DEATH(page.add({{"x", "1"}}, uint64_t{2}), "");
  EXPECT_DEATH(page.add({{"__x", "1"}}, uint64_t{2}), "");
  EXPECT_DEATH(page.family("a", MetricKind::kGauge, ""), "");
}

TEST(PageReader, TakesNothingElse) {
  const auto faults = [](std::string_view text) { return PageReader::read(text).faults.size(); };
  const std::string head = "# HELP a A.\n# TYPE a gauge\n";
  EXPECT_EQ(faults(head + "a 1\n"), 0U);
  for (const std::string_view bad : {"a 1", "a\n", "a one\n", "a{} 1\n", "a{x=1} 1\n", "a{x=\"1\" 1\n",
                                     "a{x=\"\\t\"} 1\n", "a{__x=\"1\"} 1\n", "a{x=\"1\",x=\"2\"} 1\n", "b 1\n",
                                     "a{le=\"1\"} 1\n", "a 1\na 1\n", "# HELP a A.\n", "a_total 1\n", "-a 1\n", "\n"}) {
    EXPECT_GT(faults(head + std::string(bad)), 0U) << bad;
  }
  EXPECT_GT(faults("a 1\n"), 0U);
  EXPECT_GT(faults("# HELP a A.\na 1\n"), 0U);
  const std::string histogram = "# HELP h H.\n# TYPE h histogram\n";
  EXPECT_EQ(faults(histogram + "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"), 0U);
  EXPECT_GT(faults(histogram + "h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"), 0U);
  EXPECT_GT(faults(histogram + "h_bucket{le=\"1\"} 1\nh_sum 3\nh_count 1\n"), 0U);
  EXPECT_GT(faults(histogram + "h_bucket{le=\"+Inf\"} 2\nh_sum 3\n"), 0U);
}

}  // namespace
}  // namespace backstream::telemetry
