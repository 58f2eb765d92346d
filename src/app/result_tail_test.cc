#include "app/result_tail.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <map>

#include "app/result_printer.h"
#include "app/scripted_server.h"

namespace backstream::app {
namespace {

using http::Method;
using nlohmann::json;

/// A part whose rows are "seq.n".
json part(uint64_t seq, bool last = true, int rows = 2) {
  json out = {{"query", "q"},
              {"version", 1},
              {"seq", seq},
              {"window_start", "2026-01-31T12:00:00Z"},
              {"window_end", "2026-01-31T12:05:00Z"},
              {"revision", 1},
              {"final", true},
              {"complete", true},
              {"part", 0},
              {"last", last},
              {"rows_total", nullptr},
              {"truncated", false},
              {"columns", {{{"name", "id"}, {"type", "text"}}}},
              {"rows", json::array()}};
  for (int n = 0; n < rows; ++n) out["rows"].push_back({std::to_string(seq) + "." + std::to_string(n)});
  return out;
}
std::string event(const json& one) {
  return "event: rows\ndata: " + one.dump() + "\nid: " + std::to_string(one["seq"].get<uint64_t>()) + "\n\n";
}

/// A server that keeps parts, and whose event streams go as the test has written.
class ResultTailTest : public testing::Test {
 protected:
  void start() {
    server.on(Method::kGet, "/api/v1/queries/{name}/results", [this](const http::Request& request) {
      const uint64_t after = std::stoull(std::string(request.parameter("after").value_or("0")));
      json page = {{"query", "q"},
                   {"columns", {{{"name", "id"}, {"type", "text"}}}},
                   {"windows", json::array()},
                   {"next", nullptr},
                   {"last_seq", kept.empty() ? 0 : kept.rbegin()->first},
                   {"windows_dropped", dropped.load()}};
      for (const auto& [seq, one] : kept) {
        if (seq > after && (seq <= visible || visible == 0)) page["windows"].push_back(one);
      }
      if (visible != 0) page["last_seq"] = visible.load();
      return http::json_response(200, page.dump());
    });
    server.on(Method::kGet, "/api/v1/queries/{name}/events", [this](const http::Request& request) {
      const size_t n = connections++;
      resumed_after.push_back(std::string(request.headers.find("Last-Event-ID").value_or("")));
      if (n >= streams.size()) {
        done = true;
        return http::problem_response(503, "going down");
      }
      visible = 0;
      http::Response response = http::text_response(200, streams[n]);
      response.content_type = "text/event-stream";
      return response;
    });
    server.on(Method::kGet, "/api/v1/queries/{name}", [this](const http::Request&) {
      return exists ? http::json_response(200, "{}") : http::problem_response(404, "no query");
    });
    server.start();
  }
  ResultTail::Options options() {
    ResultTail::Options out;
    out.query = "q";
    out.pause_min = out.pause_max = std::chrono::milliseconds(5);
    return out;
  }
  ServiceResult<ResultTail::End> run(const ResultTail::Options& with, size_t rows_max = SIZE_MAX) {
    ServiceClient client({.server = server.url()});
    ResultTail tail(client, with,
                    {.on_columns = [](const auto&) { return true; },
                     .on_part =
                         [&](const ResultPart& one) {
                           for (const auto& row : one.rows) rows.push_back(row[0].text);
                           return rows.size() < rows_max;
                         },
                     .say = [&](const std::string& text) { said += text + "\n"; },
                     .keep_on = [&] { return !done; }});
    auto end = tail.run();
    lost = tail.parts_lost();
    return end;
  }
  static std::vector<std::string> rows_of(uint64_t first, uint64_t last) {
    std::vector<std::string> out;
    for (uint64_t seq = first; seq <= last; ++seq)
      for (int n = 0; n < 2; ++n) out.push_back(std::to_string(seq) + "." + std::to_string(n));
    return out;
  }

  std::map<uint64_t, json> kept;
  std::vector<std::string> streams;  ///< bodies of connections, one after the other; then 503 and the end of the test
  std::atomic<uint64_t> visible{0};  ///< of kept, until the first stream; 0: all
  std::atomic<uint64_t> dropped{0};
  std::atomic<size_t> connections{0};
  std::atomic<bool> done{false};
  bool exists = true;
  std::vector<std::string> resumed_after;  // One connection at a time writes it.
  std::vector<std::string> rows;
  std::string said;
  uint64_t lost = 0;
  ScriptedServer server;
};

TEST_F(ResultTailTest, AStreamThatIsCutInAWindowIsResumedWithoutGapOrRepeat) {
  for (uint64_t seq = 1; seq <= 8; ++seq) kept[seq] = part(seq, seq % 4 == 0);
  visible = 2;
  // The first ends within the event of part 5; the second repeats part 4, as a server may; the third is whole.
  const std::string fifth = event(part(5, false));
  streams = {event(part(3, false)) + event(part(4)) + fifth.substr(0, fifth.size() / 2),
             event(part(4)) + fifth + event(part(6, false)), event(part(7, false)) + event(part(8))};
  start();
  const auto end = run(options());
  ASSERT_TRUE(end) << end.error().render();
  EXPECT_EQ(rows, rows_of(1, 8));
  ASSERT_GE(resumed_after.size(), 3u);
  EXPECT_EQ(resumed_after[0], "2");
  EXPECT_EQ(resumed_after[1], "4");
  EXPECT_EQ(resumed_after[2], "6");
  EXPECT_EQ(lost, 0u);
}

TEST_F(ResultTailTest, WhatTheStreamLeftOutIsFetched) {
  for (uint64_t seq = 1; seq <= 9; ++seq) kept[seq] = part(seq);
  visible = 1;
  json cut = part(3, false, 1);
  cut["truncated"] = true;
  // A jump, a window that is too large for events, a gap, a slow reader: each is asked for once, and in order.
  streams = {event(part(2)) + event(cut),
             "event: gap\ndata: {\"topic\":\"q\",\"after\":1,\"next\":7}\nid: 7\n\n" + event(part(9)),
             "event: lost\ndata: {\"topic\":\"q\",\"events\":3}\nid: 9\n\n"};
  start();
  ASSERT_TRUE(run(options()));
  EXPECT_EQ(rows, rows_of(1, 9));
  EXPECT_EQ(lost, 0u);
}

TEST_F(ResultTailTest, WhatIsNoLongerKeptIsCountedAsLost) {
  kept = {{1, part(1)}, {7, part(7)}, {8, part(8)}};
  visible = 1;
  dropped = 5;
  streams = {"event: gap\ndata: {\"topic\":\"q\",\"after\":1,\"next\":8}\nid: 7\n\n" + event(part(8))};
  start();
  ASSERT_TRUE(run(options()));
  std::vector<std::string> expected = rows_of(1, 1);
  for (const std::string& row : rows_of(7, 8)) expected.push_back(row);
  EXPECT_EQ(rows, expected);
  EXPECT_EQ(lost, 5u);
  EXPECT_NE(said.find("lost: 5 parts"), std::string::npos) << said;
}

TEST_F(ResultTailTest, FromTheEndOnlyWhatComesIsShown) {
  for (uint64_t seq = 1; seq <= 4; ++seq) kept[seq] = part(seq);
  visible = 3;
  streams = {event(part(4))};
  start();
  auto with = options();
  with.history = false;
  ASSERT_TRUE(run(with));
  EXPECT_EQ(rows, rows_of(4, 4));
  EXPECT_EQ(resumed_after[0], "3");
}

TEST_F(ResultTailTest, EndsWhenItHasEnoughOrAllThatIsKept) {
  for (uint64_t seq = 1; seq <= 4; ++seq) kept[seq] = part(seq);
  start();
  auto with = options();
  with.exit_at_end = true;
  const auto all = run(with);
  ASSERT_TRUE(all);
  EXPECT_EQ(*all, ResultTail::End::kAtEnd);
  EXPECT_EQ(rows, rows_of(1, 4));
  rows.clear();
  EXPECT_EQ(run(options(), 4).value(), ResultTail::End::kEnough);
  EXPECT_EQ(rows, rows_of(1, 2));
  EXPECT_EQ(connections, 0u);
}

TEST_F(ResultTailTest, ADroppedQueryEndsIt) {
  kept[1] = part(1);
  streams = {"event: end\ndata: {\"topic\":\"q\"}\nid: 1\n\n"};
  exists = false;
  start();
  const auto end = run(options());
  ASSERT_TRUE(end) << end.error().render();
  EXPECT_EQ(*end, ResultTail::End::kDropped);
}

TEST_F(ResultTailTest, RevisionsAreShownToWhoAsksForThem) {
  kept[1] = part(1);
  kept[1]["final"] = false;
  kept[2] = part(2);
  kept[2]["window_start"] = "2026-01-31T12:05:00Z";
  start();
  auto with = options();
  with.exit_at_end = true;
  ASSERT_TRUE(run(with));
  EXPECT_EQ(rows, rows_of(2, 2));
  rows.clear();
  with.revisions = true;
  ASSERT_TRUE(run(with));
  EXPECT_EQ(rows, rows_of(1, 2));
  rows.clear();
  with.from = "2026-01-31T12:00:00.5Z";
  ASSERT_TRUE(run(with));
  EXPECT_EQ(rows, rows_of(2, 2));
}

TEST_F(ResultTailTest, ARefusalIsNotTriedAgain) {
  server.on(Method::kGet, "/api/v1/queries/{name}/results",
            [](const http::Request&) { return http::problem_response(403, "no"); });
  server.start();
  ServiceClient client({.server = server.url()});
  ResultTail tail(client, options(), {.on_columns = {}, .on_part = {}, .say = {}, .keep_on = [] { return true; }});
  const auto end = tail.run();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().exit_code, kExitForbidden);
}

/// What a printer writes of the parts.
std::string printed(receiver::Format format, bool revisions, const std::vector<std::string>& documents,
                    uint64_t rows_max = UINT64_MAX) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  {
    ResultPrinter printer(format, revisions, ends[1], rows_max);
    for (const std::string& document : documents) {
      const auto one = parse_result_part(document);
      EXPECT_TRUE(one) << document;
      if (one && !printer.put(*one)) break;
    }
  }
  ::close(ends[1]);
  std::string out(65'536, '\0');
  const ssize_t got = ::read(ends[0], out.data(), out.size());
  out.resize(got > 0 ? static_cast<size_t>(got) : 0);
  ::close(ends[0]);
  return out;
}

const std::string kOfAllTypes =
    R"({"query":"q","seq":1,"window_start":"2026-01-31T12:00:00Z","window_end":"2026-01-31T12:05:00Z","revision":2,)"
    R"("final":true,"complete":false,"removed":false,"last":true,"columns":[)"
    R"({"name":"t","type":"timestamp with time zone"},{"name":"n","type":"bigint"},{"name":"x","type":"double precision"},)"
    R"({"name":"b","type":"boolean"},{"name":"a, b","type":"text"}],"rows":[)"
    R"(["2026-01-31T12:00:00Z",123456789012345678901234567890,0.1,true,"say \"hi\"\u001b"],[null,-1,"NaN",false,""]]})";

TEST(ResultPrinter, WritesAsRunDoes) {
  EXPECT_EQ(printed(receiver::Format::kCsv, false, {kOfAllTypes}),
            "t,n,x,b,\"a, b\"\n2026-01-31 12:00:00+00,123456789012345678901234567890,0.1,t,\"say \"\"hi\"\"\x1b\"\n"
            ",-1,NaN,f,\"\"\n");
  EXPECT_EQ(printed(receiver::Format::kJsonl, true, {kOfAllTypes}, 1),
            "{\"t\":\"2026-01-31T12:00:00Z\",\"n\":123456789012345678901234567890,\"x\":0.1,\"b\":true,\"a, b\":"
            "\"say \\\"hi\\\"\\u001b\",\"_rev\":2,\"_final\":true,\"_complete\":false,\"_op\":\"u\"}\n");
  EXPECT_EQ(printed(receiver::Format::kTable, false, {kOfAllTypes}),
            "window 2026-01-31 12:00:00+00 to 2026-01-31 12:05:00+00, revision 2, not complete\n"
            " t                      |                              n |   x | b | a, b        \n"
            "------------------------+--------------------------------+-----+---+--------------\n"
            " 2026-01-31 12:00:00+00 | 123456789012345678901234567890 | 0.1 | t | say \"hi\"\\x1b\n"
            "                        |                             -1 | NaN | f |\n(2 rows)\n\n");
}

TEST(ResultPrinter, AWindowInPartsIsOneTable) {
  EXPECT_EQ(printed(receiver::Format::kTable, false, {part(1, false, 1).dump(), part(2, true, 1).dump()}),
            "window 2026-01-31 12:00:00+00 to 2026-01-31 12:05:00+00\n id \n-----\n 1.0\n 2.0\n(2 rows)\n\n");
}

TEST(ResultRows, WhatIsNoResultIsRefused) {
  for (const char* text : {"", "[]", "{}", R"({"seq":1,"columns":[],"rows":[[1]]})", R"({"seq":"1"})",
                           R"({"seq":1,"columns":[{"name":"a"}],"rows":[[[1]]]})"})
    EXPECT_FALSE(parse_result_part(text)) << text;
  const std::string deep = std::string(100'000, '[');
  EXPECT_FALSE(parse_result_page("{\"a\":" + deep));
}

}  // namespace
}  // namespace backstream::app
