#include "receiver/prometheus_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace backstream::receiver {
namespace {

using batch::Type;

constexpr Micros kMinute = 60 * base::kMicrosPerSecond;

/// window_start, name (text, key), octets (bigint), load (float8); further columns may be put behind them.
std::shared_ptr<ResultForm> form_of(std::vector<batch::ColumnDef> columns, std::vector<int> keys) {
  auto form = std::make_shared<ResultForm>();
  form->schema.columns = std::move(columns);
  form->keys = std::move(keys);
  form->window_start_column = 0;
  return form;
}
std::shared_ptr<ResultForm> usual_form() {
  return form_of(
      {{"window_start", Type::kTimestamptz}, {"name", Type::kText}, {"octets", Type::kInt8}, {"load", Type::kFloat8}},
      {0, 1});
}

struct Row {
  std::optional<std::string> name;
  std::optional<int64_t> octets;
  std::optional<double> load = 0.5;
};

/// Of usual_form().
std::shared_ptr<const ResultPart> part_of(const std::vector<Row>& rows, int64_t minute = 10, uint32_t number = 0) {
  auto part = std::make_shared<ResultPart>();
  part->form = usual_form();
  part->window_start = minute * kMinute;
  part->window_end = part->window_start + kMinute;
  part->part = number;
  auto buffer =
      std::make_shared<batch::BatchBuffer>(part->form->schema.types(), std::vector<bool>(4, true), rows.size() + 1);
  for (batch::Column& column : buffer->batch.columns) column.has_nulls = true;
  for (size_t r = 0; r < rows.size(); ++r) {
    auto& columns = buffer->batch.columns;
    columns[0].as<int64_t>()[r] = part->window_start;
    columns[1].as<std::string_view>()[r] = rows[r].name ? buffer->texts.copy(*rows[r].name) : std::string_view();
    columns[2].as<int64_t>()[r] = rows[r].octets.value_or(0);
    columns[3].as<double>()[r] = rows[r].load.value_or(0);
    columns[0].validity[r] = 1;
    columns[1].validity[r] = rows[r].name.has_value();
    columns[2].validity[r] = rows[r].octets.has_value();
    columns[3].validity[r] = rows[r].load.has_value();
  }
  buffer->batch.row_count = rows.size();
  part->rows = buffer->batch;
  part->memory = buffer;
  return part;
}

/// The lines of a family, but HELP and TYPE.
std::vector<std::string> series(const std::string& page, const std::string& family) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < page.size();) {
    const size_t end = page.find('\n', at);
    const std::string line = page.substr(at, end - at);
    if (line.starts_with(family + '{')) lines.push_back(line.substr(family.size()));
    at = end + 1;
  }
  return lines;
}
using Lines = std::vector<std::string>;

std::string page_of(const std::vector<Row>& rows, size_t series_max = PrometheusWindow::kSeriesMaxDefault) {
  const auto part = part_of(rows);
  PrometheusWindow window("traffic", "", prometheus_columns(*part->form), series_max);
  window.add(part->rows);
  window.end({part->window_start, part->window_end});
  PrometheusPage page;
  page.add(window);
  return page.text();
}

TEST(PrometheusText, APageOfAWindow) {
  const std::string page = prometheus_of("traffic", std::vector{part_of({{"a", 100}, {"b", 7, 0.25}})});
  EXPECT_EQ(
      page,
      "# HELP backstream_newest_window_complete 0: flows of the window are missing.\n"
      "# TYPE backstream_newest_window_complete gauge\n"
      "backstream_newest_window_complete{query=\"traffic\"} 1\n"
      "# HELP backstream_newest_window_end_timestamp_seconds When the window ends that a query's measures are of.\n"
      "# TYPE backstream_newest_window_end_timestamp_seconds gauge\n"
      "backstream_newest_window_end_timestamp_seconds{query=\"traffic\"} 660\n"
      "# HELP backstream_newest_window_revision How often it was given.\n"
      "# TYPE backstream_newest_window_revision gauge\n"
      "backstream_newest_window_revision{query=\"traffic\"} 1\n"
      "# HELP backstream_newest_window_rows Rows that it has.\n"
      "# TYPE backstream_newest_window_rows gauge\n"
      "backstream_newest_window_rows{query=\"traffic\"} 2\n"
      "# HELP backstream_newest_window_rows_left_out Those of them that are not given: beyond series_max, or alike.\n"
      "# TYPE backstream_newest_window_rows_left_out gauge\n"
      "backstream_newest_window_rows_left_out{query=\"traffic\"} 0\n"
      "# HELP backstream_newest_window_start_timestamp_seconds When it begins.\n"
      "# TYPE backstream_newest_window_start_timestamp_seconds gauge\n"
      "backstream_newest_window_start_timestamp_seconds{query=\"traffic\"} 600\n"
      "# HELP backstream_result_traffic_load A measure of a query, of its newest final window.\n"
      "# TYPE backstream_result_traffic_load gauge\n"
      "backstream_result_traffic_load{query=\"traffic\",name=\"a\"} 0.5\n"
      "backstream_result_traffic_load{query=\"traffic\",name=\"b\"} 0.25\n"
      "# HELP backstream_result_traffic_octets A measure of a query, of its newest final window.\n"
      "# TYPE backstream_result_traffic_octets gauge\n"
      "backstream_result_traffic_octets{query=\"traffic\",name=\"a\"} 100\n"
      "backstream_result_traffic_octets{query=\"traffic\",name=\"b\"} 7\n");
  EXPECT_EQ(prometheus_of("traffic", {}), "");
}

TEST(PrometheusText, HostileTextsAreLabelsAndNullIsNone) {
  const std::string page =
      page_of({{"say \"hi\"\\\nbye", 9}, {std::nullopt, 8}, {"", 7}, {"\xff\xc3", 6}, {std::string("z\0", 2), 5}});
  EXPECT_EQ(series(page, "backstream_result_traffic_octets"),
            (Lines{"{query=\"traffic\",name=\"say \\\"hi\\\"\\\\\\nbye\"} 9", "{query=\"traffic\"} 8",
                   "{query=\"traffic\",name=\"\\\"\\\"\"} 7", "{query=\"traffic\",name=\"\xef\xbf\xbd\xef\xbf\xbd\"} 6",
                   "{query=\"traffic\",name=\"z\xef\xbf\xbd\"} 5"}));
}

TEST(PrometheusText, NullsAreAbsentAndNumbersKeepTheirDigits) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::string page = page_of({{"a", INT64_MAX, kInfinity},
                                    {"b", 3, -kInfinity},
                                    {"c", 2, std::nan("")},
                                    {"d", std::nullopt, 0.1},
                                    {"e", 0, std::nullopt}});
  EXPECT_EQ(series(page, "backstream_result_traffic_octets"),
            (Lines{"{query=\"traffic\",name=\"a\"} 9223372036854775807", "{query=\"traffic\",name=\"b\"} 3",
                   "{query=\"traffic\",name=\"c\"} 2", "{query=\"traffic\",name=\"e\"} 0"}));
  EXPECT_EQ(series(page, "backstream_result_traffic_load"),
            (Lines{"{query=\"traffic\",name=\"a\"} +Inf", "{query=\"traffic\",name=\"b\"} -Inf",
                   "{query=\"traffic\",name=\"c\"} NaN", "{query=\"traffic\",name=\"d\"} 0.1"}));
}

TEST(PrometheusText, NamesAreWhatPrometheusTakesAndEachIsThereOnce) {
  const auto form = form_of({{"window_start", Type::kTimestamptz},
                             {"query", Type::kInt8},
                             {"__name__", Type::kInt8},
                             {"1st", Type::kInt8},
                             {"größe", Type::kInt8},
                             {"gr__e", Type::kInt8},
                             {"±", Type::kFloat8},
                             {"in-octets", Type::kInt8},
                             {"in_octets", Type::kInt8},
                             {"window_end", Type::kTimestamptz},
                             {"seen", Type::kBool},
                             {"who", Type::kText}},
                            {0, 1, 2, 3, 4, 5});
  PrometheusWindow window("Top \"10\"", "to_prom", prometheus_columns(*form));
  std::vector<std::optional<std::string>> cells;
  for (int c = 0; c < 12; ++c) cells.push_back(std::to_string(c));
  window.add(cells);
  window.end({0, kMinute});
  PrometheusPage page;
  page.add(window);
  const std::string labels =
      R"({query="Top \"10\"",publication="to_prom",query_="1",_name__="2",_1st="3",gr__e="4",gr__e_="5"} )";
  EXPECT_EQ(series(page.text(), "backstream_result_Top__10___"), Lines{labels + "6"});
  EXPECT_EQ(series(page.text(), "backstream_result_Top__10__in_octets"), Lines{labels + "7"});
  EXPECT_EQ(series(page.text(), "backstream_result_Top__10__in_octets_"), Lines{labels + "8"});
  EXPECT_EQ(series(page.text(), "backstream_result_Top__10__seen"), Lines{labels + "10"});
  EXPECT_EQ(page.text().find("who"), std::string::npos);
  EXPECT_EQ(page.text().find("window_end{"), std::string::npos);
}

TEST(PrometheusText, AStandardErrorIsNamedAfterItsMeasure) {
  auto form = form_of({{"name", Type::kText}, {"±", Type::kFloat8}, {"octets", Type::kInt8}}, {0});
  form->window_start_column = -1;
  form->stderr_of = {-1, 2, -1};
  PrometheusWindow window("q", "", prometheus_columns(*form));
  window.add(std::vector<std::optional<std::string>>{"a", "2.5", "100"});
  window.end({0, kMinute});
  PrometheusPage page;
  page.add(window);
  EXPECT_EQ(series(page.text(), "backstream_result_q_octets"), Lines{R"({query="q",name="a"} 100)"});
  EXPECT_EQ(series(page.text(), "backstream_result_q_octets_stderr"), Lines{R"({query="q",name="a"} 2.5)"});
}

TEST(PrometheusText, OfMoreRowsThanTheBoundTheLargestStayInWhateverOrderTheyCome) {
  std::vector<Row> rows;
  for (int i = 0; i < 100; ++i) rows.push_back({"n" + std::to_string(i % 10) + std::to_string(i / 10), i / 2});
  rows.push_back({"null", std::nullopt});
  const std::string page = page_of(rows, 7);  // Two measures: three rows.
  EXPECT_EQ(series(page, "backstream_result_traffic_octets"),
            (Lines{"{query=\"traffic\",name=\"n89\"} 49", "{query=\"traffic\",name=\"n99\"} 49",
                   "{query=\"traffic\",name=\"n69\"} 48"}));
  EXPECT_EQ(series(page, "backstream_newest_window_rows"), Lines{"{query=\"traffic\"} 101"});
  EXPECT_EQ(series(page, "backstream_newest_window_rows_left_out"), Lines{"{query=\"traffic\"} 98"});
  std::reverse(rows.begin(), rows.end());
  EXPECT_EQ(page_of(rows, 7), page);
  EXPECT_EQ(series(page_of(rows, 1), "backstream_result_traffic_octets"), Lines{"{query=\"traffic\",name=\"n89\"} 49"});
}

TEST(PrometheusText, RowsThatLookAlikeAreOneAndTheRestIsCounted) {
  const std::string page = page_of({{"\xff", 1}, {"\xfe", 3}, {"x", 2}});
  EXPECT_EQ(series(page, "backstream_result_traffic_octets"),
            (Lines{"{query=\"traffic\",name=\"\xef\xbf\xbd\"} 3", "{query=\"traffic\",name=\"x\"} 2"}));
  EXPECT_EQ(series(page, "backstream_newest_window_rows_left_out"), Lines{"{query=\"traffic\"} 1"});
}

TEST(PrometheusText, SeveralWindowsShareFamiliesOfOnePage) {
  const auto part = part_of({{"a", 1}});
  PrometheusPage page;
  for (const char* const publication : {"p", "q"}) {
    PrometheusWindow window("traffic", publication, prometheus_columns(*part->form));
    window.add(part->rows);
    window.end({part->window_start, part->window_end, 2, false, {"ams", "fra"}});
    page.add(window);
  }
  const std::string text = page.text();
  EXPECT_EQ(series(text, "backstream_result_traffic_octets"),
            (Lines{"{query=\"traffic\",publication=\"p\",name=\"a\"} 1",
                   "{query=\"traffic\",publication=\"q\",name=\"a\"} 1"}));
  EXPECT_EQ(text.find("# TYPE backstream_result_traffic_octets"),
            text.rfind("# TYPE backstream_result_traffic_octets"));
  EXPECT_EQ(series(text, "backstream_newest_window_complete").front(), "{query=\"traffic\",publication=\"p\"} 0");
  EXPECT_EQ(series(text, "backstream_newest_window_site_missing").size(), 4u);
}

TEST(PrometheusText, TheNewestFinalWindowIsOneThatIsThereWhole) {
  const auto with = [](std::shared_ptr<const ResultPart> part, auto&& change) {
    auto changed = std::make_shared<ResultPart>(*part);
    change(*changed);
    return std::shared_ptr<const ResultPart>(changed);
  };
  const auto old = part_of({{"a", 1}}, 1);
  const auto first = with(part_of({{"a", 1}}, 2, 0), [](ResultPart& p) { p.last = false; });
  const auto second = part_of({{"b", 1}}, 2, 1);
  const auto open = with(part_of({{"a", 1}}, 3), [](ResultPart& p) { p.final = false; });
  using Parts = std::vector<std::shared_ptr<const ResultPart>>;
  EXPECT_EQ(newest_final_window(Parts{old, first, second, open}), (Parts{first, second}));
  EXPECT_EQ(newest_final_window(Parts{old, first, open}), Parts{old});
  EXPECT_EQ(newest_final_window(Parts{old, second}), Parts{old});
  EXPECT_EQ(newest_final_window(Parts{open}), Parts{});
  const auto revised = with(old, [](ResultPart& p) {
    p.revision = 2;
    p.last = false;
  });
  const auto gone = with(old, [](ResultPart& p) {
    p.revision = 2;
    p.part = 1;
    p.removed = true;
  });
  EXPECT_EQ(newest_final_window(Parts{old, revised, gone}), (Parts{revised, gone}));
  EXPECT_EQ(series(prometheus_of("q", Parts{revised, gone}), "backstream_newest_window_rows"),
            Lines{"{query=\"q\"} 1"});
}

}  // namespace
}  // namespace backstream::receiver
