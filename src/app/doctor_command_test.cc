#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/scripted_server.h"

namespace backstream::app {
namespace {

struct Answer {
  int code;
  std::string text;
  nlohmann::json json() const { return nlohmann::json::parse(text, nullptr, false); }
  nlohmann::json check(const std::string& id) const {
    const nlohmann::json answer = json();
    for (const nlohmann::json& one : answer["checks"])
      if (one["id"] == id) return one;
    return nullptr;
  }
};

/// Settings of this machine's own are not looked at.
Answer ask(std::vector<std::string> arguments) {
  const std::string folder = ::testing::TempDir() + "doctor_" + std::to_string(::getpid());
  std::filesystem::create_directories(folder);
  const std::string file = folder + "/settings.toml";
  if (std::FILE* const out = std::fopen(file.c_str(), "we")) {
    std::fprintf(out,
                 "[listen]\nflow = [\"udp://127.0.0.1:0\"]\n[http]\nlisten = \"http://127.0.0.1:0\"\n[state]\nfolder = "
                 "\"%s\"\n[ingest]\nreceive_buffer = 4096\n",
                 folder.c_str());
    std::fclose(out);
  }
  arguments.insert(arguments.end(), {"--config", file});
  ::testing::internal::CaptureStdout();
  const int code = doctor_command(arguments);
  Answer answer{code, ::testing::internal::GetCapturedStdout()};
  std::filesystem::remove_all(folder);
  return answer;
}

nlohmann::json check(const std::string& id, const std::string& state) {
  return {{"id", id}, {"state", state}, {"text", "the text"}, {"fix", state == "ok" ? "" : "the fix"}};
}

TEST(DoctorCommand, TellsWhatTheServerSays) {
  const std::vector<std::pair<std::string, int>> kCodes = {{"ok", 0}, {"warning", 1}, {"error", 2}, {"dire", 1}};
  for (const auto& [state, code] : kCodes) {
    ScriptedServer server;
    server.on(http::Method::kGet, "/api/v1/doctor",
              {{"checks", {check("D01", "ok"), check("D09", state), check("D13", "ok")}}});
    server.start();
    const Answer people = ask({"--server", server.url()});
    EXPECT_EQ(people.code, code) << people.text;
    EXPECT_NE(people.text.find("D09  the text\n"), std::string::npos) << people.text;
    EXPECT_EQ(people.text.find("fix: the fix") == std::string::npos, state == "ok") << people.text;
    EXPECT_NE(people.text.find("3 checks: "), std::string::npos) << people.text;
    const Answer program = ask({"--server", server.url(), "--json"});
    EXPECT_EQ(program.code, code);
    EXPECT_EQ(program.json()["checks"].size(), 3U) << program.text;
  }
}

TEST(DoctorCommand, LooksItselfWhereNobodyListens) {
  const Answer answer = ask({"--server", "http://127.0.0.1:1", "--json"});
  EXPECT_EQ(answer.code, 2) << answer.text;
  EXPECT_EQ(answer.check("D00")["state"], "error") << answer.text;
  EXPECT_NE(answer.check("D00")["fix"].get<std::string>().find("systemctl start"), std::string::npos);
  EXPECT_EQ(answer.check("D01")["state"], "ok") << answer.text;
  EXPECT_EQ(answer.check("D02")["state"], "ok") << answer.text;
  EXPECT_TRUE(answer.check("D18").is_object()) << answer.text;
  EXPECT_TRUE(answer.check("D14").is_null()) << "nobody told";
}

TEST(DoctorCommand, WithoutAServerItIsNotMissed) {
  const Answer answer = ask({"--local", "--json"});
  EXPECT_TRUE(answer.check("D00").is_null()) << answer.text;
  EXPECT_EQ(answer.check("D02")["state"], "ok") << answer.text;
  const Answer bad = ask({"--local", "--json", "--set", "watermark.dely=1s"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_EQ(bad.check("D01")["state"], "error") << bad.text;
  EXPECT_NE(bad.check("D01")["text"].get<std::string>().find("watermark.delay"), std::string::npos) << "the hint";
  EXPECT_TRUE(bad.check("D02").is_null()) << "with such settings nothing is known of ports";
}

TEST(DoctorCommand, ARefusalIsAnErrorAndPortsAreLeftAlone) {
  ScriptedServer server;
  server.on(http::Method::kGet, "/api/v1/doctor",
            [](const http::Request&) { return http::problem_response(401, "who are you?", "use a token"); });
  server.start();
  const Answer answer = ask({"--server", server.url(), "--json"});
  EXPECT_EQ(answer.code, 2);
  EXPECT_NE(answer.check("D00")["text"].get<std::string>().find("who are you?"), std::string::npos) << answer.text;
  EXPECT_TRUE(answer.check("D02").is_null()) << answer.text;
}

TEST(DoctorCommand, AnAnswerThatIsNoneIsAnError) {
  ScriptedServer server;
  server.on(http::Method::kGet, "/api/v1/doctor", {{"hello", 1}});
  server.start();
  EXPECT_EQ(ask({"--server", server.url()}).code, 2);
}

}  // namespace
}  // namespace backstream::app
