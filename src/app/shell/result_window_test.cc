#include "app/shell/result_window.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace backstream::app::shell {
namespace {

using Kind = Cell::Kind;

TEST(ResultWindow, ReadsWhatTheServiceSends) {
  const auto window = parse_window(
      R"({"query":"~7","version":1,"seq":4,"window_start":"2026-01-31T12:00:00.000000Z","window_end":"2026-01-31T12:00:10Z",)"
      R"("revision":2,"final":false,"complete":false,"part":1,"last":false,"rows_total":7,"truncated":true,)"
      R"("more":{"rows":[[1]],"final":true},"list":[[1],{"a":2}],)"
      R"("columns":[{"name":"window_start","type":"timestamptz","more":{"name":"x"}},{"name":"dst_as","type":"bigint"},)"
      R"({"name":"octets","type":"numeric"},{"name":"up","type":"boolean"},{"name":"who","type":"text"},{"name":"top","type":"topk"}],)"
      R"("rows":[["2026-01-31T12:00:00Z",15169,123456789012345678901234567890.5,true,"a,\"b",[{"v":1,"n":[]},"x",2]],)"
      R"(["2026-01-31T12:00:00Z",null,"NaN",false,"",{}]]})");
  ASSERT_TRUE(window) << window.error().render();
  EXPECT_EQ(window->query, "~7");
  EXPECT_EQ(*window->start, *base::parse_timestamp("2026-01-31 12:00:00"));
  EXPECT_EQ(*window->end - *window->start, 10 * base::kMicrosPerSecond);
  EXPECT_EQ(window->revision, 2u);
  EXPECT_EQ(window->part, 1u);
  EXPECT_FALSE(window->final);
  EXPECT_FALSE(window->complete);
  EXPECT_FALSE(window->last);
  EXPECT_TRUE(window->truncated);
  EXPECT_EQ(window->rows_total, 7u);
  ASSERT_EQ(window->columns.size(), 6u);
  EXPECT_EQ(window->columns[0], (ResultColumn{"window_start", "timestamptz"}));
  ASSERT_EQ(window->rows.size(), 2u);
  EXPECT_EQ(window->rows[0][1], (Cell{Kind::kNumber, "15169"}));
  EXPECT_EQ(window->rows[0][2], (Cell{Kind::kNumber, "123456789012345678901234567890.5"}));
  EXPECT_EQ(window->rows[0][3], (Cell{Kind::kBool, "true"}));
  EXPECT_EQ(window->rows[0][5], (Cell{Kind::kOther, R"([{"v":1,"n":[]},"x",2])"}));
  EXPECT_EQ(window->rows[1][1], Cell{});
  EXPECT_EQ(window->rows[1][5], (Cell{Kind::kOther, "{}"}));
}
TEST(ResultWindow, DigitsBeyondSixtyFourBitsStay) {
  const auto window =
      parse_window(R"({"columns":[{"name":"n","type":"numeric"}],"rows":[[98765432109876543210],[1.10]]})");
  ASSERT_TRUE(window);
  EXPECT_EQ(window->rows[0][0].text, "98765432109876543210");
  EXPECT_EQ(window->rows[1][0].text, "1.10");
  EXPECT_FALSE(window->start);
}
TEST(ResultWindow, WhatIsNoWindowIsRefused) {
  for (const char* text :
       {"", "[]", "7", "{\"rows\":", R"({"columns":[],"rows":[[1]]})", R"({"columns":[{"name":"a"}],"rows":[[1,2]]})"})
    EXPECT_FALSE(parse_window(text)) << text;
}
TEST(ResultWindow, ValuesForPeopleAndForPrograms) {
  const ResultColumn time{"t", "timestamptz"}, text{"x", "text"};
  const Cell at{Kind::kText, "2026-01-31T12:00:00.500000Z"};
  EXPECT_EQ(shown_value(at, time, ""), "2026-01-31 12:00:00.5+00");
  EXPECT_EQ(csv_value(at, time), "2026-01-31 12:00:00.5+00");
  EXPECT_EQ(json_value(at), "\"2026-01-31T12:00:00.500000Z\"");
  EXPECT_EQ(shown_value({}, text, "∅"), "∅");
  EXPECT_EQ(csv_value({}, text), "");
  EXPECT_EQ(json_value({}), "null");
  EXPECT_EQ(csv_value({Kind::kText, ""}, text), "\"\"");
  EXPECT_EQ(csv_value({Kind::kText, "a,\"b\"\n"}, text), "\"a,\"\"b\"\"\n\"");
  EXPECT_EQ(csv_value({Kind::kOther, "[1,2]"}, text), "\"[1,2]\"");
  EXPECT_EQ(shown_value({Kind::kText, "a\x1b[2J"}, text, ""), "a\\x1b[2J");
  EXPECT_EQ(json_value({Kind::kText, "a\"\n"}), "\"a\\\"\\n\"");
  EXPECT_EQ(cell_of(nlohmann::json::parse("-3")), (Cell{Kind::kNumber, "-3"}));
}

}  // namespace
}  // namespace backstream::app::shell
