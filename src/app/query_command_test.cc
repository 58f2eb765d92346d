// The commands against a server whose answers are written here: what they ask, print, and end with.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/query_apply.h"
#include "app/scripted_server.h"
#include "app/status_text.h"
#include "app/suggestion_text.h"

namespace backstream::app {
namespace {

using http::Method;
using nlohmann::json;
namespace fs = std::filesystem;

struct Outcome {
  int code;
  std::string out, err;
};

class QueryCommand : public testing::Test {
 protected:
  QueryCommand() : folder(fs::temp_directory_path() / ("backstream_query_" + std::to_string(::getpid()))) {
    fs::create_directories(folder / "queries");
  }
  ~QueryCommand() override { fs::remove_all(folder); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder / name) << text;
    return (folder / name).string();
  }
  Outcome run(int (*command)(const Arguments&), Arguments arguments) {
    arguments.insert(arguments.end(), {"--server", server.url()});
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Outcome outcome;
    outcome.code = command(arguments);
    outcome.err = testing::internal::GetCapturedStderr();
    outcome.out = testing::internal::GetCapturedStdout();
    return outcome;
  }
  void refuse(Method method, const std::string& pattern, http::Problem problem) {
    server.on(method, pattern, [problem](const http::Request&) { return http::respond(problem); });
  }

  const fs::path folder;
  ScriptedServer server;
};

const json kQueries = {
    {"queries",
     {{{"name", "base"},
       {"version", 2},
       {"revision", 7},
       {"state", "running"},
       {"plain", false},
       {"owner", "apply:queries"},
       {"comment", "for\x1b[2J all"},
       {"text", "SELECT 1 FROM flows"},
       {"reads", json::array()},
       {"ledger", {{"windows_closed", 12}, {"result_rows", 345}}}},
      {{"name", "gone"}, {"version", 1}, {"revision", 5}, {"state", "failed"}, {"owner", "apply:queries"}},
      {{"name", "hand_made"},
       {"version", 1},
       {"revision", 6},
       {"state", "paused"},
       {"owner", "alice"},
       {"reads", {"base"}}}}}};

TEST_F(QueryCommand, AddTakesItsNameFromTheTextOrTheFile) {
  server.on(Method::kPost, "/api/v1/queries",
            json{{"done", {{{"name", "x"}, {"verb", "add"}, {"also", json::array()}}}}, {"query", {{"version", 1}}}},
            201);
  server.start();
  const std::string file = write("by_file.sql", "\n-- what\nSELECT count(*) FROM flows;\n");
  const std::string view = write("other.sql", "CREATE MATERIALIZED VIEW by_text AS SELECT count(*) FROM flows");
  EXPECT_EQ(run(query_command, {"add", file, "--comment", "c", "--owner", "o"}).code, kExitOk);
  EXPECT_EQ(run(query_command, {"add", view}).code, kExitOk);
  const Outcome given = run(query_command, {"add", "mine", "-e", "SELECT count(*) FROM flows"});
  EXPECT_EQ(given.out, "added x (version 1)\nnext: backstream tail mine\n");
  EXPECT_EQ(run(query_command, {"add", "-e", "SELECT count(*) FROM flows"}).code, kExitUsage);
  EXPECT_EQ(run(query_command, {"add", "a", "b", "-e", "SELECT 1 FROM flows"}).code, kExitUsage);
  const auto asked = server.asked();
  ASSERT_EQ(asked.size(), 3u);
  EXPECT_EQ(asked[0].json(), (json{{"name", "by_file"},
                                   {"text", "-- what\nSELECT count(*) FROM flows;"},
                                   {"source", file},
                                   {"comment", "c"},
                                   {"owner", "o"}}));
  EXPECT_EQ(asked[1].json()["name"], "by_text");
  EXPECT_EQ(asked[2].json()["name"], "mine");
  EXPECT_EQ(asked[2].json()["source"], "-e");
}

TEST_F(QueryCommand, AMistakeIsShownInTheFileOfWhoMadeIt) {
  http::Problem problem;
  problem.status = 422;
  problem.code = "42703";
  problem.detail = "column \"scr_addr\" does not exist";
  problem.hint = "did you mean \"src_addr\"?";
  problem.line = problem.end_line = 2;
  problem.column = 9;
  problem.end_column = 17;
  refuse(Method::kPost, "/api/v1/validate", problem);
  server.start();
  // A tab and an accent before it, and two lines that are not sent.
  const std::string file = write("q.sql", "\n\nSELECT count(*)\n\t/* \xc3\xa9 */ scr_addr FROM flows");
  const Outcome outcome = run(query_command, {"validate", file});
  EXPECT_EQ(outcome.code, kExitInvalid);
  EXPECT_EQ(outcome.err,
            file +
                ":4:9: error: column \"scr_addr\" does not exist\n    4 | \t/* \xc3\xa9 */ scr_addr FROM flows\n"
                "      | \t       ^~~~~~~~ hint: did you mean \"src_addr\"?\n");
}

TEST_F(QueryCommand, SuggestPrintsCommandsThatCanBeCopied) {
  const std::string select =
      "SELECT window_start, sum(octets) AS sum FROM tumble(\"Top\", window_start, interval '1 h') "
      "GROUP BY window_start";
  const json answer = {{"query", "Top"},
                       {"text", select},
                       {"notes", {"groups were dropped\x1b[2J", "another delay"}},
                       {"windows", "5 min"},
                       {"kept_since", "2026-01-30T12:00:00Z"},
                       {"in_memory", false},
                       {"retention_seconds", 2'592'000},
                       {"rows_per_window", 153'000.0},
                       {"tiers", {{{"tier", "1h"}, {"kept_since", "2025-12-01T00:00:00Z"}}}}};
  const json plain = {{"query", "new"},
                      {"text", "SELECT * FROM new"},
                      {"notes", json::array()},
                      {"windows", nullptr},
                      {"kept_since", nullptr},
                      {"in_memory", true},
                      {"retention_seconds", nullptr},
                      {"rows_per_window", nullptr},
                      {"tiers", json::array()}};
  const base::Micros now = *base::parse_timestamp("2026-01-31T13:00:00Z");
  json told = {{"asked", {{"from", "2026-01-01T00:00:00Z"}, {"until", nullptr}}},
               {"obstacle", nullptr},
               {"answers", {answer, plain}},
               {"others", {{{"query", "x"}, {"reasons", {"it keeps no dst_port"}}}}},
               {"keep", nullptr}};
  EXPECT_EQ(
      suggestion_text(told, now),
      "Top answers it; kept since 2026-01-30 12:00:00 (1 d 1 h), in windows of 5 min, about 153 k rows each; for 30 d\n"
      "  rows may differ: groups were dropped\\x1b[2J; another delay\n"
      "  not whole: 2026-01-01 00:00:00 is asked for\n"
      "  averages and maxima since 2025-12-01 00:00:00: GET /api/v1/queries/Top/results?tier=1h\n"
      "  backstream sql -c 'SELECT window_start, sum(octets) AS sum FROM tumble(\"Top\", window_start, interval "
      "'\\''1 h'\\'') GROUP BY window_start'\n"
      "new answers it; nothing of it is kept yet; in memory only, as history is off\n"
      "  backstream sql -c 'SELECT * FROM new'\n");
  told["answers"] = json::array();
  told["keep"] = {{"name", "by_dst_port"}, {"text", "CREATE MATERIALIZED VIEW by_dst_port AS SELECT interval '1 h'"}};
  server.on(Method::kPost, "/api/v1/queries/suggest", told);
  server.start();
  const std::string file = write("question.sql", "SELECT count(*)\nFROM flows;\n");
  const Outcome outcome = run(query_command, {"suggest", file});
  EXPECT_EQ(outcome.code, kExitOk);
  EXPECT_EQ(
      outcome.out,
      "no kept result answers it\n"
      "  x: it keeps no dst_port\n"
      "flows are not kept, so what is past stays unanswered. From now on this keeps it:\n"
      "  backstream query add by_dst_port -e \"CREATE MATERIALIZED VIEW by_dst_port AS SELECT interval '1 h'\"\n");
  EXPECT_EQ(json::parse(run(query_command, {"suggest", "-e", "SELECT 1 FROM flows", "-o", "json"}).out), told);
  const auto asked = server.asked();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[0].json(), (json{{"text", "SELECT count(*)\nFROM flows;"}, {"source", file}}));
  EXPECT_EQ(run(query_command, {"suggest"}).code, kExitUsage);
}

TEST(ShellWord, IsOneWordWhateverStandsInIt) {
  EXPECT_EQ(shell_word("SELECT 1"), "'SELECT 1'");
  EXPECT_EQ(shell_word("interval '1 h'"), "\"interval '1 h'\"");
  for (const char* special : {"'$(id)'", "'`id`'", "'a\\b'", "'!x'", "'\"'"}) {
    const std::string word = shell_word(special);
    EXPECT_TRUE(word.starts_with("''\\''")) << word;
  }
}

TEST_F(QueryCommand, WhatCannotBeParsedIsNotSent) {
  server.start();
  const std::string file = write("q.sql", "SELECT (1\nFROM flows");
  const Outcome outcome = run(query_command, {"add", file});
  EXPECT_EQ(outcome.code, kExitInvalid);
  EXPECT_TRUE(outcome.err.starts_with(file + ":")) << outcome.err;
  EXPECT_TRUE(server.asked().empty());
}

TEST_F(QueryCommand, ListIsForPeopleAndPrograms) {
  server.on(Method::kGet, "/api/v1/queries", kQueries);
  server.start();
  EXPECT_EQ(run(query_command, {"list"}).out,
            "name       state    version  windows  rows  owner          comment\n"
            "base       running        2       12   345  apply:queries  for\\x1b[2J all\n"
            "gone       FAILED         1                 apply:queries\n"
            "hand_made  paused         1                 alice\n");
  EXPECT_EQ(run(query_command, {"list", "-o", "names"}).out, "base\ngone\nhand_made\n");
  EXPECT_EQ(run(query_command, {"list", "-o", "csv"}).out.substr(0, 49),
            "name,state,version,windows,rows,owner,comment\nbas");
  EXPECT_EQ(json::parse(run(query_command, {"list", "-o", "json"}).out), kQueries);
}

TEST_F(QueryCommand, AnUnknownNameEndsWithSix) {
  server.on(Method::kGet, "/api/v1/queries", kQueries);
  http::Problem unknown;
  unknown.status = 404;
  unknown.code = "42704";
  unknown.detail = "there is no query 'bsae'";
  refuse(Method::kGet, "/api/v1/queries/{name}", unknown);
  refuse(Method::kPost, "/api/v1/apply", unknown);
  server.start();
  for (const char* verb : {"show", "drop", "pause", "resume"}) {
    const Outcome outcome = run(query_command, {verb, "bsae"});
    EXPECT_EQ(outcome.code, kExitNotFound) << verb;
    EXPECT_EQ(outcome.err, "error: there is no query 'bsae'\nhint: did you mean 'base'?\n") << verb;
  }
}

TEST_F(QueryCommand, SeveralAreDroppedInOneRequest) {
  server.on(Method::kPost, "/api/v1/apply",
            json{{"done", {{{"name", "a"}, {"verb", "drop"}, {"also", {"r"}}}, {{"name", "b"}, {"verb", "drop"}}}}});
  server.start();
  EXPECT_EQ(run(query_command, {"drop", "a", "b"}).out, "dropped a; starts anew with it: r\ndropped b\n");
  EXPECT_EQ(server.asked()[0].json(),
            (json{{"dry_run", false},
                  {"edits", {{{"action", "drop"}, {"name", "a"}}, {{"action", "drop"}, {"name", "b"}}}}}));
}

TEST_F(QueryCommand, AlterDoesNotAddWhatIsNotThere) {
  server.on(Method::kPost, "/api/v1/apply", json{{"done", {{{"name", "a"}, {"verb", "alter"}}}}});
  server.start();
  EXPECT_EQ(run(query_command, {"alter", "a", "-e", "SELECT 1 FROM flows", "--if-revision", "9"}).code, kExitOk);
  const json edit = server.asked()[0].json()["edits"][0];
  EXPECT_EQ(edit["action"], "alter");
  EXPECT_EQ(edit["expected"], 9);
  EXPECT_FALSE(edit.contains("owner"));
}

TEST_F(QueryCommand, DiffShowsVersionsAndFiles) {
  server.on(
      Method::kGet, "/api/v1/queries/{name}/history",
      json{{"versions",
            {{{"version", 3}, {"text", "SELECT 1\nFROM flows"}}, {{"version", 2}, {"text", "SELECT 2\nFROM flows"}}}}});
  server.start();
  EXPECT_EQ(run(query_command, {"diff", "q"}).out,
            "--- q (version 2)\n+++ q (version 3)\n@@ -1,2 +1,2 @@\n-SELECT 2\n+SELECT 1\n FROM flows\n");
  EXPECT_EQ(run(query_command, {"diff", "q", "3", "2"}).out.substr(0, 35), "--- q (version 3)\n+++ q (version 2)");
  EXPECT_EQ(run(query_command, {"diff", "q", "9"}).code, kExitNotFound);
  EXPECT_EQ(run(query_command, {"diff", "q", write("q.sql", "\nSELECT 1\nFROM flows\n\n")}).out, "");
}

TEST_F(QueryCommand, MoveTellsWhatTheServerSaysOfTheOption) {
  server.on(Method::kGet, "/api/v1/queries/{name}",
            json{{"text", "CREATE MATERIALIZED VIEW q AS SELECT 1 FROM flows"}, {"revision", 4}});
  server.on(Method::kPut, "/api/v1/queries/{name}", [](const http::Request& request) {
    const std::string text = json::parse(request.body)["text"];
    base::Diagnostic no = base::fail("22023", "site \"fra\" is there twice",
                                     {static_cast<uint32_t>(text.rfind("fra")), 3}, "leave one of them out")
                              .value();
    base::locate(no, "q", text);
    return http::respond(http::problem_of(no, 422, text));
  });
  server.start();
  const Outcome outcome = run(query_command, {"move", "q", "--sites", "fra,fra"});
  EXPECT_EQ(outcome.code, kExitInvalid);
  EXPECT_EQ(outcome.err.substr(0, 51), "q (moved):1:47: error: site \"fra\" is there twice\n  ") << outcome.err;
  EXPECT_NE(outcome.err.find("WITH (sites = 'fra,fra') AS SELECT"), std::string::npos) << outcome.err;
  EXPECT_EQ(server.asked()[1].headers.find("If-Match"), "\"4\"");
  EXPECT_EQ(run(query_command, {"move", "q"}).code, kExitUsage);
  EXPECT_EQ(run(query_command, {"move", "q", "--placement", "here"}).code, kExitUsage);
}

TEST_F(QueryCommand, MoveSetsOptionsAndTakesSitesAway) {
  server.on(Method::kGet, "/api/v1/queries/{name}",
            json{{"text", "CREATE MATERIALIZED VIEW q WITH (sites = 'ams', late = 'drop') AS SELECT 1 FROM flows"}});
  server.on(Method::kPut, "/api/v1/queries/{name}", json{{"done", {{{"name", "q"}, {"verb", "alter"}}}}});
  server.start();
  const auto sent = [&](const Arguments& flags) {
    Arguments arguments = {"move", "q"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Outcome outcome = run(query_command, arguments);
    EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
    const std::string text = server.asked().back().json()["text"];
    return text.substr(0, text.find("AS SELECT"));
  };
  EXPECT_EQ(sent({"--sites", "fra"}), "CREATE MATERIALIZED VIEW q WITH (sites = 'fra', late = 'drop') ");
  EXPECT_EQ(sent({"--sites", "all"}), "CREATE MATERIALIZED VIEW q WITH (late = 'drop') ");
  EXPECT_EQ(sent({"--sites", ""}), "CREATE MATERIALIZED VIEW q WITH (late = 'drop') ");
  EXPECT_EQ(sent({"--placement", "edge"}),
            "CREATE MATERIALIZED VIEW q WITH (sites = 'ams', late = 'drop', placement = 'edge') ");
}

TEST_F(QueryCommand, ApplySendsTheDirectoryInOneRequest) {
  std::string answer = R"({"done":[{"name":"base","verb":"alter","also":["hand_made"]},{"name":"one","verb":"add"},)"
                       R"({"name":"two","verb":"unchanged"},{"name":"gone","verb":"drop"}]})";
  server.on(Method::kGet, "/api/v1/queries", kQueries);
  server.on(Method::kPost, "/api/v1/apply", [&](const http::Request&) { return http::json_response(200, answer); });
  server.start();
  const std::string base = write("queries/base.sql", "SELECT count(*) FROM flows\n");
  const std::string both = write("queries/several.sql",
                                 "CREATE VIEW one AS SELECT octets FROM flows;\n"
                                 "-- more\nCREATE VIEW two AS SELECT octets FROM flows;\n");
  write("queries/notes.txt", "no query");
  const std::string directory = (folder / "queries").string();
  const Outcome outcome = run(query_command, {"apply", directory, "--prune", "--dry-run"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_EQ(outcome.out, "alter  base  " + base + std::string(both.size() - base.size() + 2, ' ') +
                             "starts anew with it: hand_made\nadd    one   " + both +
                             "\ndrop   gone  no file names it\n"
                             "would be: 1 added, 1 altered, 1 dropped, 1 unchanged\n"
                             "1 query is kept: no file names it, and no apply of this set made it\n");
  const json sent = server.asked()[1].json();
  EXPECT_EQ(sent["dry_run"], true);
  ASSERT_EQ(sent["edits"].size(), 4u);
  EXPECT_EQ(sent["edits"][0], (json{{"action", "put"},
                                    {"name", "base"},
                                    {"text", "SELECT count(*) FROM flows"},
                                    {"source", base},
                                    {"owner", "apply:queries"}}));
  EXPECT_EQ(sent["edits"][2]["text"], "-- more\nCREATE VIEW two AS SELECT octets FROM flows;");
  EXPECT_EQ(sent["edits"][2]["source"], both + "#2");
  EXPECT_EQ(sent["edits"][3], (json{{"action", "drop"}, {"name", "gone"}, {"expected", 5}}));

  answer = R"({"done":[{"name":"base","verb":"unchanged"},{"name":"one","verb":"unchanged"}]})";
  EXPECT_EQ(run(query_command, {"apply", directory}).out, "nothing to change: 2 queries are as the files say\n");
  // Without --prune nobody is asked what there is, and nothing goes.
  EXPECT_EQ(server.asked()[2].json()["edits"].size(), 3u);
}

TEST_F(QueryCommand, ApplyRefusesWhatItCannotRead) {
  server.start();
  const std::string directory = (folder / "queries").string();
  EXPECT_EQ(run(query_command, {"apply", directory, "--prune"}).code, kExitUsage);
  EXPECT_EQ(run(query_command, {"apply", (folder / "nowhere").string()}).code, kExitFailure);
  write("queries/a.sql", "CREATE VIEW same AS SELECT octets FROM flows");
  const std::string second = write("queries/b.sql", "\nCREATE VIEW same AS SELECT octets FROM flows");
  Outcome outcome = run(query_command, {"apply", directory});
  EXPECT_EQ(outcome.code, kExitInvalid);
  EXPECT_TRUE(outcome.err.starts_with(second + ":2:13: error: query 'same' is in ")) << outcome.err;
  write("queries/c.xml", "<deploy><node/></deploy>");
  outcome = run(query_command, {"apply", directory});
  EXPECT_EQ(outcome.code, kExitInvalid);
  EXPECT_NE(outcome.err.find("c.xml' is a deploy file"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("backstream query deploy"), std::string::npos) << outcome.err;
  EXPECT_TRUE(server.asked().empty());
}

TEST_F(QueryCommand, DeployPlacesTheQueriesOfAFileInOneRequest) {
  json queries = kQueries;
  queries["queries"][1]["text"] = "CREATE MATERIALIZED VIEW gone WITH (placement = 'central') AS SELECT 1 FROM flows";
  server.on(Method::kGet, "/api/v1/queries", queries);
  server.on(Method::kGet, "/api/v1/nodes",
            json{{"nodes",
                  {{{"name", "ams-1"}, {"site", "ams"}, {"roles", {"edge"}}},
                   {{"name", "merge-1"}, {"site", ""}, {"roles", {"merge", "receiver"}}}}}});
  server.on(Method::kPost, "/api/v1/apply",
            json{{"done", {{{"name", "base"}, {"verb", "alter"}, {"also", {"hand_made"}}}}}});
  server.start();
  const std::string file = write("where.xml",
                                 "<deploy>\n <node endpoint='ams-1:15000' query='base'/>\n"
                                 " <node endpoint='merge-1' query='gone'/> <subscribe stream='base'/>\n</deploy>\n");
  const Outcome outcome = run(query_command, {"deploy", file, "--dry-run", "--comment", "why"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_EQ(outcome.out,
            "alter      base  sites ams (was all), placement edge (was auto)  starts anew with it: hand_made\n"
            "unchanged  gone  sites all, placement central\n"
            "would be: 1 altered, 1 unchanged\n"
            "every receiver has the results of base\n");
  const json sent = server.asked().back().json();
  EXPECT_EQ(sent["dry_run"], true);
  EXPECT_EQ(sent["edits"], json::array({{{"action", "alter"},
                                         {"name", "base"},
                                         {"text",
                                          "CREATE MATERIALIZED VIEW base WITH (sites = 'ams', placement = 'edge') "
                                          "AS\nSELECT 1 FROM flows"},
                                         {"source", "base"},
                                         {"expected", 7},
                                         {"comment", "why"}}}));
  EXPECT_EQ(json::parse(run(query_command, {"deploy", file, "-o", "json"}).out)["done"],
            json::array({{{"name", "base"}, {"verb", "alter"}, {"also", {"hand_made"}}},
                         {{"name", "gone"}, {"verb", "unchanged"}, {"also", json::array()}}}));
  EXPECT_FALSE(server.asked().back().json()["edits"][0].contains("comment"));

  // What is as the file says is not sent.
  const size_t asked = server.asked().size();
  const std::string same = write("same.xml", "<deploy><node endpoint='merge-1' query='gone'/></deploy>");
  EXPECT_EQ(run(query_command, {"deploy", same}).out,
            "unchanged  gone  sites all, placement central\nnothing to change: 1 query is as the file says\n");
  EXPECT_EQ(server.asked().size(), asked + 2);
}

TEST_F(QueryCommand, DeployTellsWhatIsWrongWhereTheFileAsksForIt) {
  server.on(Method::kGet, "/api/v1/queries", kQueries);
  server.on(Method::kGet, "/api/v1/nodes",
            json{{"nodes", {{{"name", "ams-1"}, {"site", "ams"}, {"roles", {"edge"}}}}}});
  server.on(Method::kPost, "/api/v1/apply", [](const http::Request& request) {
    const json edit = json::parse(request.body)["edits"][0];
    const std::string query = edit["text"];
    base::Diagnostic no = base::fail("0A000", "placement = 'edge' is not possible: why not",
                                     {static_cast<uint32_t>(query.find("placement")), 18}, "'auto' sends columns")
                              .value();
    base::locate(no, std::string(edit["source"]), query);
    return http::respond(http::problem_of(no, 422, query));
  });
  server.start();
  const std::string file = write("where.xml", "<deploy>\n <node endpoint='ams-1' query=' base'/>\n</deploy>\n");
  Outcome outcome = run(query_command, {"deploy", file});
  EXPECT_EQ(outcome.code, kExitInvalid);
  EXPECT_EQ(outcome.err,
            file +
                ":2:33: error: query 'base' cannot be placed so: placement = 'edge' is not possible: why not\n"
                "    2 |  <node endpoint='ams-1' query=' base'/>\n"
                "      |                                 ^~~~ hint: 'auto' sends columns\n");
  outcome = run(query_command, {"deploy", write("no.xml", "<deploy>\n<node endpoint='amz-1'/></deploy>")});
  EXPECT_EQ(outcome.code, kExitInvalid);
  EXPECT_NE(outcome.err.find("no.xml:2:17: error: there is no node 'amz-1'\n"), std::string::npos) << outcome.err;
  const size_t asked = server.asked().size();
  outcome = run(query_command, {"deploy", write("empty.xml", "")});
  EXPECT_EQ(outcome.code, kExitInvalid);
  EXPECT_NE(outcome.err.find("empty.xml:1:1: error: there is no element in the text\n"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(run(query_command, {"deploy", (folder / "nowhere.xml").string()}).code, kExitFailure);
  EXPECT_EQ(run(query_command, {"deploy"}).code, kExitUsage);
  EXPECT_EQ(server.asked().size(), asked);
}

TEST_F(QueryCommand, TheOwnerOfASetIsItsDirectoryWhereverItLies) {
  server.start();
  EXPECT_EQ(apply_owner((folder / "queries/").string()), "apply:queries");
  EXPECT_EQ(apply_owner((folder / "queries/../queries/.").string()), "apply:queries");
  EXPECT_EQ(apply_owner("queries", "noc"), "apply:noc");
}

TEST_F(QueryCommand, TailEndsWithItsReaderItsRowsOrWhatIsKept) {
  json window = {{"query", "q"},
                 {"seq", 1},
                 {"window_start", "2026-01-31T12:00:00Z"},
                 {"window_end", "2026-01-31T12:05:00Z"},
                 {"columns", {{{"name", "octets"}, {"type", "bigint"}}}},
                 {"rows", {{1}, {2}, {3}, {4}, {5}}}};
  server.on(
      Method::kGet, "/api/v1/queries/{name}/results",
      json{{"query", "q"}, {"columns", window["columns"]}, {"windows", {window}}, {"next", nullptr}, {"last_seq", 1}});
  server.start();
  const Outcome three = run(tail_command, {"q", "-o", "jsonl", "-n", "3"});
  EXPECT_EQ(three.code, kExitOk);
  EXPECT_EQ(three.out, "{\"octets\":1}\n{\"octets\":2}\n{\"octets\":3}\n");
  EXPECT_EQ(run(tail_command, {"q", "-o", "csv", "--exit-at-end"}).out, "octets\n1\n2\n3\n4\n5\n");
  EXPECT_EQ(run(tail_command, {"q", "--from", "yesterday"}).code, kExitUsage);
  EXPECT_EQ(run(tail_command, {"q", "-o", "table", "--revisions"}).code, kExitUsage);
  // A reader who goes: nothing will ever come from this server, and nothing is waited for.
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int own = ::dup(STDOUT_FILENO);
  ::dup2(ends[1], STDOUT_FILENO);
  ::close(ends[1]);
  ::close(ends[0]);
  ::signal(SIGPIPE, SIG_IGN);
  const int code = tail_command({"q", "-o", "jsonl", "--server", server.url()});
  ::dup2(own, STDOUT_FILENO);
  ::close(own);
  EXPECT_EQ(code, kExitOk);
}

TEST_F(QueryCommand, WhoSeesNoRowsIsToldWhy) {
  server.on(Method::kGet, "/api/v1/queries/{name}/results", json{{"query", "q"}, {"windows", json::array()}});
  server.on(Method::kGet, "/api/v1/queries/{name}/why", json{{"reasons", {"no datagram has come yet"}}});
  std::atomic<int> streams{0};
  // Silent until the reason was asked for, or will never be; then it has what ends the test.
  server.on(Method::kGet, "/api/v1/queries/{name}/events", [&](const http::Request&) {
    const auto asked = server.asked();
    const bool why =
        std::any_of(asked.begin(), asked.end(), [](const auto& one) { return one.path.ends_with("/why"); });
    http::Response response = http::text_response(
        200, why || ++streams > 5
                 ? "event: rows\ndata: {\"seq\":1,\"columns\":[{\"name\":\"a\"}],\"rows\":[[1]]}\nid: 1\n\n"
                 : ":\n\n");
    response.content_type = "text/event-stream";
    return response;
  });
  server.start();
  const Outcome outcome = run(tail_command, {"q", "-n", "1", "-o", "jsonl"});
  EXPECT_EQ(outcome.code, kExitOk);
  EXPECT_EQ(outcome.out, "{\"a\":1}\n");
  EXPECT_EQ(outcome.err, "backstream: no rows yet: no datagram has come yet\n");
}

TEST_F(QueryCommand, ShowSaysWhoReadsItAndWhatItCounted) {
  json query = kQueries["queries"][0];
  query["columns"] = {{{"name", "n"}, {"type", "bigint"}}};
  query["ledger"] = {{"assigned", 9}, {"counted", 8}, {"late", 1}, {"windows_closed", 12}, {"result_rows", 345}};
  server.on(Method::kGet, "/api/v1/queries", kQueries);
  server.on(Method::kGet, "/api/v1/queries/{name}", query);
  server.start();
  EXPECT_EQ(run(query_command, {"show", "base"}).out,
            "query     base, version 2 (revision 7)\nstate     running\nowner     apply:queries\n"
            "comment   for\\x1b[2J all\nread by   hand_made\n\ncolumn  type\nn       bigint\n\n"
            "rows: 9 assigned 8 counted 1 late; windows: 12 closed, 345 result rows\n\nSELECT 1 FROM flows\n");
  EXPECT_EQ(run(query_command, {"show", "base", "-o", "sql"}).out, "SELECT 1 FROM flows\n");
}

TEST_F(QueryCommand, AuditGoesBackPageByPageToItsTime) {
  server.on(Method::kGet, "/api/v1/audit", [](const http::Request& request) {
    uint64_t revision = std::stoull(std::string(request.parameter("before").value_or("2501")));
    json entries = json::array();
    for (uint64_t n = std::stoull(std::string(*request.parameter("limit"))); n > 0 && revision > 1; --n) {
      --revision;
      entries.push_back({{"revision", revision}, {"at", "2026-01-31T12:00:00Z"}, {"verb", "add"}, {"author", "a"}});
    }
    return http::json_response(200, json{{"entries", entries}}.dump());
  });
  server.start();
  const auto lines = [](const std::string& text) { return std::count(text.begin(), text.end(), '\n'); };
  EXPECT_EQ(lines(run(audit_command, {"-n", "2200", "-o", "jsonl"}).out), 2200);
  EXPECT_EQ(lines(run(audit_command, {"-n", "9999", "-o", "csv"}).out), 2501);
  EXPECT_EQ(lines(run(audit_command, {}).out), 101);
  EXPECT_EQ(lines(run(audit_command, {"--since", "1us"}).out), 1);
}

TEST_F(QueryCommand, ACatalogIsWrittenWholeAndReadBack) {
  server.on(Method::kGet, "/api/v1/catalog/export", json{{"objects", {1, 2}}});
  server.on(Method::kPost, "/api/v1/catalog/import", json{{"imported", 2}});
  server.start();
  const std::string file = (folder / "catalog.json").string();
  EXPECT_EQ(run(catalog_command, {"export", file}).code, kExitOk);
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(run(catalog_command, {"import", file}).out, "imported 2 objects\n");
  EXPECT_EQ(server.asked()[1].json(), (json{{"objects", {1, 2}}}));
  EXPECT_EQ(run(catalog_command, {"import", write("bad.json", "{")}).code, kExitInvalid);
  EXPECT_EQ(run(catalog_command, {"export", (folder / "no/where").string()}).code, kExitFailure);
}

TEST_F(QueryCommand, NodesAndExportersAreTables) {
  server.on(Method::kGet, "/api/v1/nodes",
            json{{"nodes", {{{"name", "n1"}, {"site", "fra"}, {"roles", {"edge", "merge"}}, {"state", "ready"}}}}});
  server.on(Method::kGet, "/api/v1/exporters",
            json{{"exporters",
                  {{{"address", "192.0.2.1"},
                    {"state", "active"},
                    {"protocols", "ipfix"},
                    {"flows", 7},
                    {"sampling", {{"min", 1000}, {"max", 4000}, {"unknown", true}}}}}}});
  server.start();
  EXPECT_EQ(run(node_command, {"list"}).out, "name  site  roles       state\nn1    fra   edge,merge  ready\n");
  const Outcome exporters = run(exporter_command, {"list"});
  EXPECT_NE(exporters.out.find("1000 to 4000, in part unknown"), std::string::npos) << exporters.out << exporters.err;
}

TEST(StatusText, SaysFirstWhyItIsNotReady) {
  const json status = {
      {"version", "0.1.0"},
      {"node", "n1"},
      {"ready", false},
      {"not_ready", {"the catalog is not open", "no listener"}},
      {"started_at", "2026-01-31T10:00:00Z"},
      {"now", "2026-01-31T12:05:10.5Z"},
      {"ingest", {{"datagrams", 5}, {"flows", 7}, {"kernel_drops", 3}, {"missing", 0}}},
      {"rates", {{"datagrams", 12.5}, {"flows", 15321.0}, {"octets", 2.5e6}}},
      {"watermark", {{"event", nullptr}}},
      {"queries", {{"running", 2}, {"failed", 1}}},
      {"outages", {{{"from", "2026-01-31T09:00:00Z"}, {"until", "2026-01-31T10:00:00Z"}, {"clean", false}}}}};
  EXPECT_EQ(
      status_text(status),
      "ready       NO: the catalog is not open; no listener\n"
      "node        n1, version 0.1.0\n"
      "up          2 h 5 min (since 2026-01-31 10:00:00 UTC)\n"
      "traffic     12.5 datagrams/s, 15.3 k flows/s, 2.50 M octets/s (last 10 s)\n"
      "received    5 datagrams, 7 flows\n"
      "LOST        3 dropped by the kernel (receive buffer)\n"
      "event time  no flow had a time yet\n"
      "queries     2 running, 1 FAILED: backstream query list\n"
      "outage      2026-01-31 09:00:00 to 2026-01-31 10:00:00 UTC, a crash: windows of that time are not complete\n");
  EXPECT_NE(status_text({{"watermark", {{"event", "2026-01-31T12:00:00Z"}, {"lag_seconds", -3.04}}}})
                .find("2026-01-31 12:00:00 UTC, 3.0 s ahead of the clock"),
            std::string::npos);
  EXPECT_TRUE(status_text(json::array()).starts_with("ready       NO\n"));
}

TEST(StatusText, OfANodeThatCompletesWindowsSaysWhichEdgesItHears) {
  json status = {{"ready", true},
                 {"node", "m1"},
                 {"roles", {"merge", "receiver"}},
                 {"version", "0.1.0"},
                 {"now", "2026-01-31T12:05:10Z"},
                 {"rates", {{"flows", 0.0}}},
                 {"ingest", {{"datagrams", 0}}},
                 {"watermark", {{"event", nullptr}}},
                 {"exporters", {{"known", 0}, {"sending", 0}}},
                 {"edges",
                  {{{"site", "sao"}, {"absent", false}, {"heard_at", "2026-01-31T12:05:08Z"}},
                   {{"site", "rio"}, {"absent", true}, {"heard_at", "2026-01-31T12:04:28Z"}},
                   {{"site", "man"}, {"absent", true}, {"heard_at", nullptr}}}}};
  EXPECT_EQ(status_text(status),
            "ready       yes\n"
            "node        m1, roles merge, receiver, version 0.1.0\n"
            "edges       1 of 3 are heard; windows close without rio (heard 42 s ago), man\n");
  status["edges"] = {status["edges"][0]};
  EXPECT_NE(status_text(status).find("edges       1 of 1 are heard\n"), std::string::npos);
}

}  // namespace
}  // namespace backstream::app
