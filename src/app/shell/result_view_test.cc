// What becomes of windows: appended, redrawn, and read from a server over a real socket.
#include "app/shell/result_view.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "app/scripted_server.h"
#include "app/shell/display_text.h"
#include "app/shell/live_run.h"

namespace backstream::app::shell {
namespace {

using namespace std::chrono_literals;

ResultWindow window(int number, size_t rows, bool final = true) {
  ResultWindow w;
  w.start = *base::parse_timestamp("2026-01-31 12:00:00") + number * 10 * base::kMicrosPerSecond;
  w.end = *w.start + 10 * base::kMicrosPerSecond;
  w.final = final;
  w.columns = {{"who", "text"}, {"octets", "bigint"}};
  for (size_t i = 0; i < rows; ++i)
    w.rows.push_back({{Cell::Kind::kText, "w" + std::to_string(number)}, {Cell::Kind::kNumber, std::to_string(i)}});
  return w;
}
std::string json_of(int number, size_t rows) {
  const ResultWindow w = window(number, rows);
  nlohmann::json document{{"query", "~1"},
                          {"window_start", base::format_rfc3339(*w.start)},
                          {"window_end", base::format_rfc3339(*w.end)},
                          {"columns", {{{"name", "who"}, {"type", "text"}}, {{"name", "octets"}, {"type", "bigint"}}}},
                          {"rows", nlohmann::json::array()}};
  for (const Row& row : w.rows) document["rows"].push_back({row[0].text, std::stoi(row[1].text)});
  return document.dump();
}

/// A file in place of standard output.
class ResultViewTest : public testing::Test {
 protected:
  void SetUp() override {
    use_utf8();
    char pattern[] = "/tmp/backstream_view_XXXXXX";
    descriptor = ::mkstemp(pattern);
    ASSERT_GE(descriptor, 0);
    path = pattern;
    output = std::make_unique<Output>(descriptor);
  }
  void TearDown() override {
    output.reset();
    ::close(descriptor);
    ::unlink(path.c_str());
  }
  std::string written() {
    output->flush();
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  int descriptor = -1;
  std::string path;
  std::unique_ptr<Output> output;
};

TEST_F(ResultViewTest, RowsEndWhereTheyWereAskedToEnd) {
  const auto view = append_view(*output, {.format = TableFormat::kCsv, .limits = {.rows = 3}}, true);
  EXPECT_TRUE(view->on_window(window(0, 2)));
  EXPECT_FALSE(view->on_window(window(1, 2)));
  EXPECT_EQ(written(), "who,octets\nw0,0\nw0,1\nw1,0\n");
  EXPECT_EQ(view->counts().rows, 3u);
}
TEST_F(ResultViewTest, OnlyFinalRowsUnlessRevisionsAreAsked) {
  const auto view = append_view(*output, {.format = TableFormat::kJsonl, .limits = {.windows = 1}}, true);
  EXPECT_TRUE(view->on_window(window(0, 1, false)));
  EXPECT_FALSE(view->on_window(window(0, 1)));
  EXPECT_EQ(written(), "{\"who\":\"w0\",\"octets\":0}\n");
  EXPECT_EQ(view->counts().not_final, 1u);
  const auto all = append_view(*output, {.format = TableFormat::kCsv, .revisions = true}, true);
  EXPECT_TRUE(all->on_window(window(1, 1, false)));
  EXPECT_TRUE(written().ends_with("who,octets,_rev,_final,_complete,_op\nw1,0,1,f,t,u\n")) << written();
}
TEST_F(ResultViewTest, RowsThatAreNoMoreAreShownOnlyAsRevisions) {
  ResultWindow gone = window(0, 1);
  gone.removed = true;
  const auto view = append_view(*output, {.format = TableFormat::kJsonl}, true);
  ResultWindow copy = gone;
  EXPECT_TRUE(view->on_window(std::move(copy)));
  EXPECT_EQ(written(), "");
  const auto all = append_view(*output, {.format = TableFormat::kCsv, .revisions = true}, true);
  EXPECT_TRUE(all->on_window(std::move(gone)));
  EXPECT_EQ(written(), "who,octets,_rev,_final,_complete,_op\nw0,0,1,t,t,d\n");
}
TEST_F(ResultViewTest, PartsAreOneWindow) {
  const auto view = append_view(*output, {.limits = {.windows = 1}}, true);
  ResultWindow first = window(0, 2), second = window(0, 1);
  first.last = false;
  second.part = 1;
  second.truncated = true;
  EXPECT_TRUE(view->on_window(std::move(first)));
  EXPECT_FALSE(view->on_window(std::move(second)));
  EXPECT_EQ(written(),
            "2026-01-31 12:00:00 to 12:00:10 UTC\n who | octets\n-----+--------\n w0  |      0\n w0  |      1\n"
            " w0  |      0\n(3 rows)\n\n");
  EXPECT_EQ(view->counts().not_whole, 1u);
}
TEST_F(ResultViewTest, WatchPassesOverWhatComesTooSoon) {
  const auto view = append_view(*output, {.interval = 3'600 * base::kMicrosPerSecond, .limits = {.windows = 2}}, true);
  for (int n = 0; n < 5; ++n) EXPECT_TRUE(view->on_window(window(n, 1)));
  EXPECT_EQ(view->counts().windows, 1u);
  EXPECT_EQ(view->counts().passed, 4u);
}
TEST_F(ResultViewTest, LiveShowsTheNewestWindowInPlace) {
  const auto view = live_view(*output, {});
  view->waiting("nobody sends", std::nullopt);
  EXPECT_TRUE(view->tick());
  EXPECT_NE(written().find("no rows yet: nobody sends"), std::string::npos);
  EXPECT_TRUE(view->on_window(window(0, 1)));
  EXPECT_TRUE(view->on_window(window(1, 1)));
  const std::string text = written();
  // Back over caption, head, rule, row, count and status: what was drawn, no line more.
  EXPECT_NE(text.find("\x1b[6A2026-01-31 12:00:10 to 12:00:20 UTC"), std::string::npos) << text;
  const size_t before = text.size();
  EXPECT_TRUE(view->on_window(window(0, 1)));  // Older than what is shown.
  EXPECT_EQ(written().size(), before);
  EXPECT_EQ(view->counts().windows, 2u);
  EXPECT_EQ(view->counts().passed, 1u);
}
TEST_F(ResultViewTest, LiveDrawsTheNewestOfManyThatComeAtOnce) {
  const auto view = live_view(*output, {});
  for (int n = 0; n < 2'000; ++n) EXPECT_TRUE(view->on_window(window(n, 1)));
  const size_t drawn = written().size();
  EXPECT_LT(drawn, 4'000u);
  EXPECT_TRUE(view->tick());
  EXPECT_NE(written().substr(drawn).find("2026-01-31 17:33:10"), std::string::npos) << written();
}
TEST_F(ResultViewTest, LiveKeepsToTheScreen) {
  const auto view = live_view(*output, {});
  EXPECT_TRUE(view->on_window(window(0, 2'000)));  // A file is taken for 80 x 24.
  const std::string text = written();
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 24);
  EXPECT_NE(text.find("(2000 rows)  … 1982 more rows than fit here"), std::string::npos) << text;
}
TEST_F(ResultViewTest, RowsWithoutWindowsGoOnBelow) {
  const auto view = live_view(*output, {.limits = {.rows = 3}});
  for (int n = 0; n < 2; ++n) {
    ResultWindow rows = window(n, 2);
    rows.start = rows.end = std::nullopt;
    EXPECT_EQ(view->on_window(std::move(rows)), n == 0);
  }
  EXPECT_TRUE(written().ends_with(" who | octets\n-----+--------\n w0  |      0\n w0  |      1\n w1  |      0\n"))
      << written();
}
TEST_F(ResultViewTest, CaptionsSayWhatAWindowIs) {
  ResultWindow w = window(0, 0, false);
  w.revision = 3;
  w.complete = false;
  EXPECT_EQ(window_caption(w), "2026-01-31 12:00:00 to 12:00:10 UTC, revision 3, not final, incomplete");
  w.end = *w.start + 86'400 * base::kMicrosPerSecond;
  EXPECT_TRUE(window_caption(w).starts_with("2026-01-31 12:00:00 to 2026-02-01 12:00:00 UTC"));
}

class LiveRunTest : public ResultViewTest {
 protected:
  http::ClientOptions client() const { return {.server = server.url()}; }
  /// Each reader gets what the topic has from the id that he had last.
  http::Response stream(const http::Request& request) {
    http::Response response;
    http::EventStream& events = response.events.emplace();
    events.topics = {topic};
    events.last_event_id = request.headers.find("Last-Event-ID").value_or("");
    events.backlog_events = 256;
    return response;
  }
  ScriptedServer server;
  std::shared_ptr<http::Topic> topic = server.hub().open("~1");
};

TEST_F(LiveRunTest, ReadsUntilTheQueryEnds) {
  server.on(http::Method::kGet, "/api/v1/queries/{name}/events", [&](const http::Request& r) { return stream(r); });
  server.start();
  for (int n = 0; n < 3; ++n) topic->publish(static_cast<uint64_t>(n) + 1, "rows", json_of(n, 1));
  topic->close();
  const auto view = append_view(*output, {.format = TableFormat::kCsv}, true);
  const auto end = run_live(client(), "~1", *view, *output, 0, true);
  ASSERT_TRUE(end) << end.error().render();
  EXPECT_EQ(end->reason, LiveEnd::Reason::kEnded);
  EXPECT_EQ(written(), "who,octets\nw0,0\nw1,0\nw2,0\n");
}
TEST_F(LiveRunTest, GoesOnWhereAConnectionBroke) {
  std::atomic<int> readers{0};
  server.on(http::Method::kGet, "/api/v1/queries/{name}/events", [&](const http::Request& r) {
    if (readers++ > 0) return stream(r);
    // An event, then an end that the events do not tell of: what a proxy that is restarted looks like.
    http::Response response = http::text_response(200, "event: rows\nid: 1\ndata: " + json_of(0, 1) + "\n\n");
    response.content_type = "text/event-stream";
    return response;
  });
  server.start();
  for (int n = 0; n < 3; ++n) topic->publish(static_cast<uint64_t>(n) + 1, "rows", json_of(n, 1));
  const auto view = append_view(*output, {.format = TableFormat::kCsv, .limits = {.windows = 3}}, true);
  const auto end = run_live(client(), "~1", *view, *output, 0, true);
  ASSERT_TRUE(end) << end.error().render();
  EXPECT_EQ(end->reason, LiveEnd::Reason::kEnough);
  EXPECT_EQ(written(), "who,octets\nw0,0\nw1,0\nw2,0\n");  // No row twice, none missing.
  const auto asked = server.asked();
  EXPECT_EQ(asked.back().headers.find("Last-Event-ID"), "1");
}
TEST_F(LiveRunTest, AsksWhyWhileNothingComes) {
  server.on(http::Method::kGet, "/api/v1/queries/{name}/events", [&](const http::Request& r) { return stream(r); });
  server.on(http::Method::kGet, "/api/v1/queries/{name}/why",
            nlohmann::json{{"text", "no exporter has sent\nanything\x1b yet\n"}, {"due", nullptr}, {"reasons", {"x"}}});
  server.start();
  const auto view = append_view(*output, {.format = TableFormat::kCsv}, true);
  const auto end = run_live(client(), "~1", *view, *output, 2 * base::kMicrosPerSecond, true);
  ASSERT_TRUE(end) << end.error().render();
  EXPECT_EQ(end->reason, LiveEnd::Reason::kTime);
  EXPECT_EQ(end->why, "no exporter has sent; anything\\x1b yet");
}
TEST_F(LiveRunTest, TellsWhatIsRefused) {
  server.on(http::Method::kGet, "/api/v1/queries/{name}/events",
            [](const http::Request&) { return http::problem_response(404, "there is no query \"~1\""); });
  server.start();
  const auto view = append_view(*output, {}, true);
  const auto end = run_live(client(), "~1", *view, *output, 0, true);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().exit_code, kExitNotFound);
  const auto nobody = run_live({.server = "http://127.0.0.1:1"}, "~1", *view, *output, 0, true);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().exit_code, kExitUnreachable);
}
TEST_F(LiveRunTest, RowsThatCannotBeReadAreAnError) {
  server.on(http::Method::kGet, "/api/v1/queries/{name}/events", [&](const http::Request& r) { return stream(r); });
  server.start();
  topic->publish(1, "rows", R"({"columns":[],"rows":[[1]]})");
  const auto view = append_view(*output, {}, true);
  const auto end = run_live(client(), "~1", *view, *output, 0, true);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, "08P01");
}

}  // namespace
}  // namespace backstream::app::shell
