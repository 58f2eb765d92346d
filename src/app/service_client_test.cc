#include "app/service_client.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "app/scripted_server.h"

namespace backstream::app {
namespace {

using http::Method;
using nlohmann::json;

http::Response problem(uint16_t status, std::string code, std::string detail, uint32_t line = 0, uint32_t column = 0,
                       std::string source = {}) {
  http::Problem problem;
  problem.status = status;
  problem.code = std::move(code);
  problem.detail = std::move(detail);
  problem.line = problem.end_line = line;
  problem.column = column;
  problem.end_column = column + 3;
  problem.source = std::move(source);
  return http::respond(problem);
}

class ServiceClientTest : public testing::Test {
 protected:
  ServiceClient client() {
    http::ClientOptions options;
    options.server = server.url();
    return ServiceClient(options);
  }
  ScriptedServer server;
};

TEST_F(ServiceClientTest, TheCaretStandsInTheFileThatThePartCameFrom) {
  server.on(Method::kPost, "/api/v1/apply",
            [](const http::Request&) { return problem(422, "42703", "no column é", 2, 10, "b.sql#2"); });
  server.start();
  const std::string first = "SELECT 1;", second = "-- ä\nSELECT 1;\nSELECT a,\n\t\xc3\xa9, scr_addr FROM flows;\n";
  const SentText texts[] = {
      {"a.sql", "a.sql", first}, {"b.sql", "b.sql", second, 0, 15}, {"b.sql#2", "b.sql", second, 17}};
  const auto answer = client().post("/api/v1/apply", json::object(), texts);
  ASSERT_FALSE(answer);
  // The part begins on line 3 of the file.
  EXPECT_EQ(answer.error().source_name, "b.sql");
  EXPECT_EQ(answer.error().line, 4u);
  EXPECT_EQ(answer.error().column, 10u);
  EXPECT_EQ(answer.error().excerpt, "\t\xc3\xa9, scr_addr FROM flows;");
  EXPECT_EQ(answer.error().exit_code, kExitInvalid);
}

TEST_F(ServiceClientTest, APartThatBeginsWithinALineKeepsItsColumn) {
  server.on(Method::kPost, "/x", [](const http::Request&) { return problem(422, "42703", "no", 1, 8); });
  server.start();
  const std::string text = "SELECT 1; SELECT bad";
  const SentText texts[] = {{"f", "f.sql", text, 10}};
  const auto answer = client().post("/x", json::object(), texts);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().line, 1u);
  EXPECT_EQ(answer.error().column, 18u);
}

TEST_F(ServiceClientTest, APlaceInAnotherQuerysTextIsNotShownInOurs) {
  server.on(Method::kPut, "/x", [](const http::Request&) { return problem(422, "42703", "no", 1, 8, "reader"); });
  server.start();
  const std::string text = "SELECT mine";
  const SentText texts[] = {{"f.sql", "f.sql", text}};
  const auto answer = client().put("/x", json::object(), texts, 7);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().source_name, "reader");
  EXPECT_EQ(answer.error().line, 1u);
  EXPECT_EQ(answer.error().excerpt, "");
  EXPECT_EQ(server.asked()[0].headers.find("If-Match"), "\"7\"");
}

TEST_F(ServiceClientTest, EachRefusalHasItsExitCode) {
  const std::pair<uint16_t, ExitCode> cases[] = {{401, kExitForbidden}, {403, kExitForbidden}, {404, kExitNotFound},
                                                 {409, kExitFailure},   {412, kExitFailure},   {422, kExitInvalid},
                                                 {500, kExitFailure},   {503, kExitFailure}};
  for (const auto& [status, exit_code] : cases) {
    server.on(Method::kGet, "/" + std::to_string(status),
              [status = status](const http::Request&) { return problem(status, "", "refused"); });
  }
  server.on(Method::kGet, "/slow", [](const http::Request&) { return problem(500, "57014", "took too long"); });
  server.start();
  auto asking = client();
  for (const auto& [status, exit_code] : cases) {
    const auto answer = asking.get("/" + std::to_string(status));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().exit_code, exit_code) << status;
    EXPECT_EQ(answer.error().status, status);
    EXPECT_EQ(answer.error().hint.find("--token-file") != std::string::npos, status == 401) << status;
  }
  EXPECT_EQ(asking.get("/slow").error().exit_code, kExitNothing);
}

TEST_F(ServiceClientTest, SaysHowToStartWhatIsNotThere) {
  std::string url;
  {
    ScriptedServer gone;
    gone.start();
    url = gone.url();
  }
  const auto answer = ServiceClient({.server = url}).get("/api/v1/status");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().exit_code, kExitUnreachable);
  EXPECT_NE(answer.error().hint.find("start it with `backstream serve`"), std::string::npos) << answer.error().hint;
}

TEST_F(ServiceClientTest, WhatIsNoDocumentIsNoAnswer) {
  server.on(Method::kGet, "/page", [](const http::Request&) { return http::text_response(200, "<html>"); });
  server.on(Method::kDelete, "/gone", [](const http::Request&) { return http::text_response(204, ""); });
  server.on(Method::kGet, "/esc", [](const http::Request&) { return problem(409, "", "a\x1b[2Jb"); });
  server.start();
  auto asking = client();
  EXPECT_EQ(asking.get("/page").error().code, "08P01");
  EXPECT_EQ(asking.get("/page").error().exit_code, kExitUnreachable);
  const auto removed = asking.remove("/gone");
  ASSERT_TRUE(removed);
  EXPECT_TRUE(removed->is_null());
  EXPECT_EQ(asking.get("/esc").error().message, "a [2Jb");
}

TEST_F(ServiceClientTest, AnUnknownQueryNamesTheNearest) {
  server.on(Method::kGet, "/api/v1/queries", json{{"queries", {{{"name", "traffic_matrix"}}, {{"name", "top"}}}}});
  server.start();
  auto asking = client();
  const auto error = [&](const char* name) {
    return with_nearest_query(asking, ServiceError(base::fail("42704", "no query").value(), 404), name).hint;
  };
  EXPECT_EQ(error("trafic_matrix"), "did you mean 'traffic_matrix'?");
  EXPECT_EQ(error("zzz"), "`backstream query list` shows those that there are");
}

TEST(ServiceOptionsTest, FlagsGoBeforeTheEnvironmentAndTheTokenIsRead) {
  const auto file = std::filesystem::temp_directory_path() / ("backstream_token_" + std::to_string(::getpid()));
  std::ofstream(file) << "  bs_secret\n";
  std::filesystem::permissions(file, std::filesystem::perms::owner_read);
  ::setenv("BACKSTREAM_SERVER", "https://db.example", 1);
  ::setenv("BACKSTREAM_TOKEN_FILE", file.c_str(), 1);
  const auto read = [](std::vector<std::string> arguments) {
    ServiceOptions options;
    CLI::App app;
    add_service_flags(app, options);
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    return client_options(options);
  };
  auto options = read({});
  ASSERT_TRUE(options) << options.error().render();
  EXPECT_EQ(options->server, "https://db.example");
  EXPECT_EQ(options->token, "bs_secret");
  EXPECT_EQ(options->timeout, std::chrono::seconds(30));
  options = read({"--server", "http://localhost:1", "--timeout", "1500ms"});
  EXPECT_EQ(options->server, "http://localhost:1");
  EXPECT_EQ(options->timeout, std::chrono::milliseconds(1500));
  EXPECT_EQ(read({"--timeout", "fast"}).error().code, "usage");
  EXPECT_EQ(read({"--token-file", "/nowhere/token"}).error().code, "file");
  std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  std::ofstream(file) << "two words\n";
  EXPECT_EQ(read({}).error().code, "file");
  ::unsetenv("BACKSTREAM_SERVER");
  ::unsetenv("BACKSTREAM_TOKEN_FILE");
  std::filesystem::remove(file);
  EXPECT_EQ(read({})->server, "http://127.0.0.1:8844");
}

}  // namespace
}  // namespace backstream::app
