// The commands against the real routes, over a real server.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/commands.h"
#include "catalog/sqlite_catalog.h"
#include "http/server.h"
#include "service/access_routes.h"
#include "service/exposure.h"

namespace backstream::app {
namespace {

class TokenCommand : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "backstream-token-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    auto opened = catalog::open_sqlite_catalog(path("catalog.db"));
    ASSERT_TRUE(opened);
    catalog_ = std::move(*opened);
    service::AccessOptions options;
    options.catalog = catalog_.get();
    auto access = service::Access::open(settings_, std::move(options));
    ASSERT_TRUE(access);
    access_ = std::move(*access);
    router_.set_gate(access_->gate());
    service::add_access_routes(router_, *access_);
    auto server_options = service::server_options(settings_);
    server_options.listeners[0].port = 0;
    auto server = http::Server::open(router_, hub_, std::move(server_options));
    ASSERT_TRUE(server);
    server_ = std::move(*server);
  }
  void TearDown() override {
    server_.reset();
    access_.reset();
    catalog_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  /// Exit code; what was written is in out_ and err_.
  int run(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--server", "http://127.0.0.1:" + std::to_string(server_->ports()[0])});
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = token_command(arguments);
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }
  static std::string read(const std::string& file) {
    std::ifstream stream(file);
    return std::string(std::istreambuf_iterator<char>(stream), {});
  }

  std::filesystem::path folder_;
  config::Settings settings_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<service::Access> access_;
  http::Router router_;
  http::EventHub hub_;
  std::unique_ptr<http::Server> server_;
  std::string out_, err_;
};

TEST_F(TokenCommand, MakesListsAndRevokes) {
  ASSERT_EQ(run({"create", "grafana", "--expires", "1d", "--out", path("grafana.token")}), kExitOk) << err_;
  EXPECT_EQ(out_, "");
  const std::string token = read(path("grafana.token"));
  EXPECT_EQ(token.size(), 69u);
  EXPECT_EQ(err_.find("bst_"), std::string::npos) << err_;
  struct stat status {};
  ASSERT_EQ(::stat(path("grafana.token").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  ASSERT_EQ(run({"create", "ops", "--role", "operator"}), kExitOk) << err_;
  EXPECT_TRUE(out_.starts_with("bst_") && out_.size() == 69) << "the token and nothing else";
  EXPECT_NE(err_.find("token 'ops': operator until 2"), std::string::npos) << err_;
  ASSERT_EQ(run({"create", "ams", "--filter", "site = 'ams'"}), kExitOk);
  ASSERT_EQ(run({"list"}), kExitOk);
  EXPECT_EQ(std::count(out_.begin(), out_.end(), '\n'), 4);
  EXPECT_NE(out_.find("ams      viewer"), std::string::npos) << out_;
  EXPECT_NE(out_.find("never      site = 'ams'\n"), std::string::npos) << out_;
  EXPECT_EQ(out_.find("bst_"), std::string::npos);
  ASSERT_EQ(run({"list", "-o", "json"}), kExitOk);
  EXPECT_NE(out_.find("\"last_used_at\": null"), std::string::npos);
  EXPECT_EQ(run({"list", "--token-file", path("grafana.token")}), kExitForbidden) << "a viewer";
  ASSERT_EQ(run({"revoke", "grafana"}), kExitOk);
  EXPECT_EQ(run({"revoke", "grafana"}), kExitNotFound);
  EXPECT_NE(err_.find("backstream token list"), std::string::npos) << err_;
  EXPECT_EQ(run({"list", "--token-file", path("grafana.token")}), kExitForbidden) << "revoked";
  EXPECT_EQ(access_->tokens().size(), 2u);
}

TEST_F(TokenCommand, MistakesAreToldAndNothingIsMade) {
  EXPECT_EQ(run({"create"}), kExitUsage);
  EXPECT_EQ(run({"craete", "x"}), kExitUsage);
  EXPECT_NE(err_.find("did you mean 'create'?"), std::string::npos) << err_;
  EXPECT_EQ(run({"create", "x", "--expires", "soon"}), kExitUsage);
  EXPECT_EQ(run({"create", "x", "--role", "root", "--out", path("x")}), kExitInvalid);
  EXPECT_FALSE(std::filesystem::exists(path("x"))) << "no token, no file";
  EXPECT_EQ(run({"create", "x", "--filter", "site = 'ams' AND AND"}), kExitInvalid);
  EXPECT_NE(err_.find("--filter:1:18: error: "), std::string::npos) << err_;
  EXPECT_NE(err_.find("\n      |                  ^"), std::string::npos) << err_;
  std::ofstream(path("there")) << "mine";
  EXPECT_EQ(run({"create", "x", "--out", path("there")}), kExitFailure);
  EXPECT_EQ(read(path("there")), "mine");
  EXPECT_EQ(access_->tokens().size(), 0u);
}

}  // namespace
}  // namespace backstream::app
