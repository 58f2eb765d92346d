// What statements ask of the server, and what is said of its answers.
#include "app/shell/shell.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "app/scripted_server.h"
#include "app/shell/display_text.h"
#include "app/shell/terminal.h"

namespace backstream::app::shell {
namespace {

using http::Method;
using nlohmann::json;

class ShellTest : public testing::Test {
 protected:
  void SetUp() override {
    use_utf8();
    char pattern[] = "/tmp/backstream_shell_XXXXXX";
    descriptor = ::mkstemp(pattern);
    ASSERT_GE(descriptor, 0);
    path = pattern;
    const json query{{"name", "v"},  {"revision", 15},   {"plain", false},
                     {"version", 2}, {"comment", "old"}, {"text", "CREATE MATERIALIZED VIEW v AS SELECT 1"}};
    json commented = query;
    commented["comment"] = "new";
    server.on(Method::kGet, "/api/v1/queries/v", query);
    server.on(Method::kPut, "/api/v1/queries/{name}", json{{"done", json::array()}, {"query", commented}});
    server.on(Method::kDelete, "/api/v1/queries/{name}", json{{"done", json::array()}});
    server.on(Method::kPost, "/api/v1/queries/suggest", json{{"answers", json::array()}, {"obstacle", "why\x1b[2J"}});
    server.on(Method::kPost, "/api/v1/explain", json{{"plan", "edge\x1b[2J\n"}});
    server.on(Method::kPost, "/api/v1/queries", [](const http::Request&) {
      http::Problem problem;
      problem.status = 409;
      problem.code = "42710";
      problem.detail = "query 'v' already exists";
      return http::respond(problem);
    });
    server.on(Method::kPost, "/api/v1/sessions", json{{"name", "~7"}, {"columns", json::array()}}, 201);
    server.on(Method::kDelete, "/api/v1/sessions/{name}", [](const http::Request&) {
      http::Response response;
      response.status = 204;
      return response;
    });
    server.on(Method::kGet, "/api/v1/queries/~7/events",
              [](const http::Request&) { return http::problem_response(500, "our mistake"); });
    server.start();
  }
  void TearDown() override {
    ::close(descriptor);
    ::unlink(path.c_str());
  }
  /// @return  the exit code; `out` and `err` are what was told
  int run(const std::string& text) {
    testing::internal::CaptureStderr();
    int code = 0;
    {
      Output output(descriptor);
      Shell shell({.server = server.url()}, settings, output);
      code = shell.run_text(text, "-c");
    }
    err = testing::internal::GetCapturedStderr();
    std::ifstream file(path);
    std::stringstream read;
    read << file.rdbuf();
    out = read.str();
    return code;
  }
  std::vector<std::string> asked(Method method) const {
    std::vector<std::string> paths;
    for (const auto& one : server.asked()) {
      if (one.method == method) paths.push_back(one.path);
    }
    return paths;
  }
  ScriptedServer::Asked last(Method method) const {
    ScriptedServer::Asked found{};
    for (const auto& one : server.asked()) {
      if (one.method == method) found = one;
    }
    return found;
  }

  const InterruptGuard guard;
  ShellSettings settings;
  ScriptedServer server;
  int descriptor = -1;
  std::string path, out, err;
};

TEST_F(ShellTest, AlterIsANewTextThatOverwritesNobodysChange) {
  EXPECT_EQ(run("ALTER MATERIALIZED VIEW v SET (delay = '1 s')"), kExitOk) << err;
  const auto put = last(Method::kPut);
  EXPECT_EQ(put.path, "/api/v1/queries/v");
  EXPECT_EQ(put.headers.find("If-Match"), "\"15\"");
  EXPECT_EQ(put.json()["text"], "CREATE MATERIALIZED VIEW v WITH (delay = '1 s') AS SELECT 1");
  EXPECT_NE(out.find("ALTER MATERIALIZED VIEW: v, version 2"), std::string::npos) << out;
}
TEST_F(ShellTest, CommentsAreToldToBeKeptOnlyWhereTheyAre) {
  EXPECT_EQ(run("COMMENT ON MATERIALIZED VIEW v IS 'new'"), kExitOk) << err;
  EXPECT_EQ(last(Method::kPut).json()["comment"], "new");
  EXPECT_EQ(run("COMMENT ON MATERIALIZED VIEW v IS NULL"), kExitInvalid);
  EXPECT_NE(err.find("the server kept the comment that was there"), std::string::npos) << err;
}
TEST_F(ShellTest, DropAsksForTheKindThatItIs) {
  EXPECT_EQ(run("DROP VIEW v"), kExitInvalid);
  EXPECT_TRUE(err.starts_with("-c:1:11: error: \"v\" is a materialized view\n")) << err;
  EXPECT_TRUE(asked(Method::kDelete).empty());
  EXPECT_EQ(run("DROP MATERIALIZED VIEW v"), kExitOk) << err;
  EXPECT_EQ(last(Method::kDelete).headers.find("If-Match"), "\"15\"");
}
TEST_F(ShellTest, WhatIsThereAlready) {
  EXPECT_EQ(run("CREATE MATERIALIZED VIEW IF NOT EXISTS v AS SELECT 1 FROM flows"), kExitOk) << err;
  EXPECT_NE(err.find("notice: \"v\" is there already, skipped"), std::string::npos);
  EXPECT_EQ(run("CREATE MATERIALIZED VIEW v AS SELECT 1 FROM flows"), kExitFailure);
  EXPECT_EQ(run("CREATE OR REPLACE VIEW w AS SELECT 1 FROM flows"), kExitOk) << err;
  EXPECT_EQ(last(Method::kPut).path, "/api/v1/queries/w");
}
TEST_F(ShellTest, ExplainSendsTheStatementAndTheOptionsApart) {
  EXPECT_EQ(run("EXPLAIN (DISTRIBUTED, FORMAT json) SELECT 1 FROM flows;"), kExitOk) << err;
  EXPECT_EQ(last(Method::kPost).json()["text"], "SELECT 1 FROM flows");
  EXPECT_EQ(last(Method::kPost).json()["options"], "DISTRIBUTED, FORMAT json");
  EXPECT_EQ(out, "edge\\x1b[2J\n");
}
TEST_F(ShellTest, SuggestAsksForTheStatementBeforeItWithoutRunningIt) {
  EXPECT_EQ(run("SELECT 1\nFROM flows \\suggest"), kExitOk) << err;
  EXPECT_EQ(asked(Method::kPost), std::vector<std::string>{"/api/v1/queries/suggest"});
  EXPECT_EQ(last(Method::kPost).json()["text"], "SELECT 1\nFROM flows");
  EXPECT_EQ(out, "no kept result answers it: why\\x1b[2J\n");
  EXPECT_EQ(run("EXPLAIN SELECT 2 FROM flows; \\suggest"), kExitOk) << err;
  EXPECT_EQ(last(Method::kPost).json()["text"], "EXPLAIN SELECT 2 FROM flows;");
  EXPECT_NE(run("\\suggest"), kExitOk);
  EXPECT_NE(err.find("for which question"), std::string::npos) << err;
}
TEST_F(ShellTest, ASessionIsEndedWhateverBecameOfIt) {
  EXPECT_EQ(run("SELECT * FROM flows; SELECT 2 FROM flows"), kExitFailure);
  EXPECT_NE(err.find("our mistake"), std::string::npos) << err;
  EXPECT_EQ(asked(Method::kDelete), std::vector<std::string>{"/api/v1/sessions/~7"});
}
TEST_F(ShellTest, ASlipAnywhereRunsNothing) {
  EXPECT_EQ(run("EXPLAIN SELECT 1 FROM flows;\n  SELEC 2;"), kExitInvalid);
  EXPECT_TRUE(err.starts_with("-c:2:3: error: ")) << err;
  EXPECT_TRUE(server.asked().empty());
  // A command parts the text: what stands before it has run.
  EXPECT_EQ(run("EXPLAIN SELECT 1 FROM flows; \\timing on\nSELEC 2;"), kExitInvalid);
  EXPECT_EQ(asked(Method::kPost).size(), 1u);
}
TEST_F(ShellTest, RenameIsRefusedWithAWayOut) {
  EXPECT_EQ(run("ALTER MATERIALIZED VIEW v RENAME TO w"), kExitInvalid);
  EXPECT_NE(err.find("cannot be renamed"), std::string::npos);
  EXPECT_NE(err.find("hint: CREATE it under the other name"), std::string::npos);
}

}  // namespace
}  // namespace backstream::app::shell
