#include "service/access.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "catalog/sqlite_catalog.h"
#include "http/client.h"
#include "http/server.h"
#include "service/access_matrix_test.h"
#include "service/access_routes.h"
#include "service/exposure.h"
#include "service/row_filter.h"

namespace backstream::service {
namespace {

using catalog::Kind;
using config::AccessRole;
using http::Method;
using http::Request;
using Json = nlohmann::json;

constexpr Micros kNow = 1'769'860'800'000'000;  // 2026-01-31 12:00 UTC
constexpr Micros kSecond = base::kMicrosPerSecond;
const catalog::Author kAnn{"ann", "cli"};

class AccessTest : public testing::Test {
 protected:
  AccessTest() {
    std::string name = (std::filesystem::temp_directory_path() / "backstream-access-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
    auto opened = catalog::open_sqlite_catalog((folder_ / "catalog.db").string());
    if (!opened) throw std::runtime_error(opened.error().render());
    catalog_ = std::move(*opened);
    settings_.access.required = true;
  }
  ~AccessTest() override { std::filesystem::remove_all(folder_); }

  std::string use_file() const { return (folder_ / "token-use.json").string(); }
  void open(bool with_catalog = true) {
    access_.reset();
    AccessOptions options;
    options.catalog = with_catalog ? catalog_.get() : nullptr;
    options.use_file = use_file();
    options.now = [this] { return now_; };
    auto opened = Access::open(settings_, std::move(options));
    ASSERT_TRUE(opened) << opened.error().render();
    access_ = std::move(*opened);
  }
  void set(const std::string& access) {
    const auto applied = config::apply_toml(settings_, "[access]\n" + access, "test.toml");
    ASSERT_TRUE(applied) << applied.error().render();
  }
  std::string create(NewToken wanted) {
    auto made = access_->tokens().create(wanted, kAnn, now_);
    EXPECT_TRUE(made) << made.error().render();
    return made.value_or("");
  }
  static Request request(std::string_view token = {}, const char* peer = "127.0.0.1") {
    Request asked;
    asked.peer = *base::parse_inet(peer);
    if (!token.empty()) asked.headers.add("Authorization", "Bearer " + std::string(token));
    return asked;
  }
  /// The status of a refusal; 200: he may.
  int admit(Request asked, uint32_t role = kViewer) {
    const auto refused = access_->admit(asked, role);
    last_ = asked;
    last_refusal_ = refused.value_or(http::Response{});
    return refused ? refused->status : 200;
  }
  std::string created_code(const NewToken& wanted) {
    const auto made = access_->tokens().create(wanted, kAnn, now_);
    return made ? "" : made.error().code;
  }

  std::filesystem::path folder_;
  std::unique_ptr<catalog::Catalog> catalog_;
  config::Settings settings_;
  std::unique_ptr<Access> access_;
  Micros now_ = kNow;
  Request last_;
  http::Response last_refusal_;
};

TEST_F(AccessTest, ATokenOpensUntilItExpiresOrIsRevoked) {
  open();
  const std::string token = create({"grafana", AccessRole::kViewer, 60 * kSecond, {}});
  EXPECT_EQ(token.size(), 68u);
  EXPECT_TRUE(token.starts_with("bst_"));
  EXPECT_EQ(admit(request(token)), 200);
  EXPECT_EQ(last_.principal.name, "grafana");
  EXPECT_EQ(last_.principal.role, kViewer);
  ASSERT_NE(identity_of(last_), nullptr);
  EXPECT_EQ(identity_of(last_)->expires_at, kNow + 60 * kSecond);
  EXPECT_EQ(author_of(last_).via, "api 127.0.0.1 by token");
  EXPECT_EQ(admit(request(token), kOperator), 403);
  now_ += 60 * kSecond - 1;
  EXPECT_EQ(admit(request(token)), 200);
  now_ += 1;
  EXPECT_EQ(admit(request(token)), 401);
  EXPECT_NE(last_refusal_.body.find("expired"), std::string::npos);
  EXPECT_NE(last_refusal_.headers.find("WWW-Authenticate")->find("invalid_token"), std::string_view::npos);
  const std::string other = create({"other", AccessRole::kAdmin, 60 * kSecond, {}});
  EXPECT_EQ(admit(request(other), kAdmin), 200);
  ASSERT_TRUE(access_->tokens().revoke("other", kAnn, now_));
  EXPECT_EQ(admit(request(other)), 401);
  EXPECT_EQ(access_->tokens().revoke("other", kAnn, now_).error().code, "42704");
  EXPECT_EQ(access_->status().of(AccessRefusal::kExpired), 1u);
  EXPECT_EQ(access_->status().of(AccessRefusal::kUnknown), 1u);
  EXPECT_EQ(access_->status().of(SignIn::kToken), 3u);
}

TEST_F(AccessTest, TokensOutliveARestart) {
  open();
  const std::string token = create({"a", AccessRole::kOperator, 3'600 * kSecond, {}});
  const std::string some = create({"b", AccessRole::kViewer, 3'600 * kSecond, "site = 'ams'"});
  EXPECT_EQ(admit(request(token)), 200);
  now_ += 5 * kSecond;
  EXPECT_EQ(admit(request(token)), 200);
  const auto revision = catalog_->revision();
  open();  // The store that goes writes when tokens were used.
  EXPECT_EQ(catalog_->revision(), revision) << "a use is no change of the catalog";
  const auto listed = access_->tokens().list();
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0].last_used_at, kNow + 5 * kSecond);
  EXPECT_EQ(listed[1].last_used_at, std::nullopt);
  EXPECT_EQ(admit(request(token), kOperator), 200);
  EXPECT_EQ(admit(request(some), kViewer | kHeedsRowFilter), 200);
  EXPECT_EQ(identity_of(last_)->row_filter, "site = 'ams'");
  ASSERT_TRUE(access_->tokens().revoke("a", kAnn, now_));
  create({"a", AccessRole::kViewer, 3'600 * kSecond, {}});
  open();
  EXPECT_EQ(access_->tokens().list()[0].last_used_at, std::nullopt) << "another token of the same name";
  std::ofstream(use_file()) << "{\"format\":\"backstream token use\",\"used\":{\"a\":7}}";
  open();
  EXPECT_EQ(access_->tokens().size(), 2u) << "a damaged file of dates is no reason to lock anybody out";
}

TEST_F(AccessTest, UsesAreWrittenAtMostOnceAMinute) {
  open();
  const std::string token = create({"a", AccessRole::kViewer, 3'600 * kSecond, {}});
  const auto kept = [&] {
    std::ifstream file(use_file());
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  ASSERT_TRUE(access_->tend());
  EXPECT_EQ(kept(), "");
  EXPECT_EQ(admit(request(token)), 200);
  ASSERT_TRUE(access_->tend());
  const std::string first = kept();
  EXPECT_NE(first.find("2026-01-31T12:00:00Z"), std::string::npos) << first;
  now_ += 59 * kSecond;
  EXPECT_EQ(admit(request(token)), 200);
  ASSERT_TRUE(access_->tend());
  EXPECT_EQ(kept(), first);
  now_ += kSecond;
  ASSERT_TRUE(access_->tend());
  EXPECT_NE(kept().find("12:00:59Z"), std::string::npos);
}

TEST_F(AccessTest, WhatNoTokenCanBeIsRefused) {
  open();
  for (const char* name : {"", "a b", "a/b", "\xc3\xa4"}) EXPECT_EQ(created_code({name, {}, kSecond, {}}), "22023");
  EXPECT_EQ(created_code({std::string(64, 'a'), AccessRole::kViewer, kSecond, {}}), "22023");
  EXPECT_EQ(created_code({"a", AccessRole::kViewer, kSecond - 1, {}}), "22023");
  EXPECT_EQ(created_code({"a", AccessRole::kViewer, NewToken::kTokenLifetimeMaxUs + 1, {}}), "22023");
  EXPECT_EQ(created_code({"a", AccessRole::kOperator, kSecond, "site = 'ams'"}), "22023")
      << "who writes queries names columns as he likes";
  EXPECT_EQ(created_code({"a", AccessRole::kViewer, kSecond, "site = "}), "42601");
  EXPECT_EQ(created_code({"a", AccessRole::kViewer, kSecond, {}}), "");
  EXPECT_EQ(created_code({"a", AccessRole::kViewer, kSecond, {}}), "42710");
  EXPECT_EQ(access_->tokens().size(), 1u);
}

TEST_F(AccessTest, TokensOfOthersAreFollowed) {
  open();
  const std::string token = create({"a", AccessRole::kViewer, 3'600 * kSecond, {}});
  catalog::Change drop;
  drop.action = catalog::Change::Action::kDrop;
  drop.kind = Kind::kToken;
  drop.name = "a";
  ASSERT_TRUE(catalog_->apply(std::span(&drop, 1), kAnn, now_));
  EXPECT_EQ(admit(request(token)), 200);
  ASSERT_TRUE(access_->tend());
  EXPECT_EQ(admit(request(token)), 401);
  catalog::Change odd = drop;
  odd.action = catalog::Change::Action::kCreate;
  odd.body = R"({"hash":"00","role":"admin","row_filter":"","created_at":"2026-01-01","expires_at":"2027-01-01"})";
  ASSERT_TRUE(catalog_->apply(std::span(&odd, 1), kAnn, now_));
  ASSERT_TRUE(access_->tend());
  EXPECT_EQ(access_->status().tokens, 0u) << "what cannot be read opens nothing";
  EXPECT_EQ(access_->status().tokens_unreadable, 1u);
}

TEST_F(AccessTest, WrongTokensAreSlowedDownAndRightOnesAreNot) {
  open();
  const std::string token = create({"a", AccessRole::kViewer, 3'600 * kSecond, {}});
  const std::string wrong = "bst_" + std::string(64, '0');
  for (int i = 0; i < 10; ++i) EXPECT_EQ(admit(request(wrong, "192.0.2.1")), 401) << i;
  EXPECT_EQ(admit(request(wrong, "192.0.2.1")), 429);
  EXPECT_TRUE(last_refusal_.headers.find("Retry-After").has_value());
  EXPECT_EQ(admit(request("short", "192.0.2.1")), 429);
  EXPECT_EQ(admit(request(wrong, "192.0.2.2")), 401) << "another peer";
  EXPECT_EQ(admit(request(token, "192.0.2.1")), 200) << "nobody behind the address is locked out";
  now_ += 5 * kSecond;
  EXPECT_EQ(admit(request(wrong, "192.0.2.1")), 401);
  EXPECT_EQ(admit(request(wrong, "192.0.2.1")), 429);
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(admit(request(wrong, ("2001:db8::" + std::to_string(i + 1)).c_str())), 401) << i;
  EXPECT_EQ(admit(request(wrong, "2001:db8::ffff")), 429) << "a /64 is one peer";
  EXPECT_EQ(access_->status().of(AccessRefusal::kThrottled), 4u);
}

TEST_F(AccessTest, TheAuditTellsOfRefusalsInAFewLines) {
  open();
  const std::string expired = create({"old", AccessRole::kViewer, kSecond, {}});
  const std::string viewer = create({"v", AccessRole::kViewer, 3'600 * kSecond, {}});
  const std::string wrong = "bst_" + std::string(64, '0');
  now_ += 2 * kSecond;
  for (int peer = 1; peer <= 200; ++peer)
    for (int i = 0; i < 30; ++i) admit(request(wrong, ("10.0.0." + std::to_string(peer)).c_str()));
  for (int i = 0; i < 40; ++i) admit(request(expired, "192.0.2.1"));
  for (int i = 0; i < 50; ++i) admit(request(viewer, "192.0.2.2"), kAdmin);
  admit(request({}, "192.0.2.3"));
  const auto notes = [&] {
    std::vector<std::string> told;
    const auto entries = catalog_->audit({.kind = Kind::kService, .count_max = 1'000});
    for (const auto& entry : *entries) {
      EXPECT_EQ(entry.name, "access");
      EXPECT_EQ(entry.verb, "refuse");
      told.push_back(entry.comment);
    }
    return told;
  };
  ASSERT_TRUE(access_->tend());
  std::vector<std::string> told = notes();
  ASSERT_EQ(told.size(), RefusedAccess::kLinesMax);
  EXPECT_EQ(told[4], "50 from 192.0.2.2: role 50 'v'");
  EXPECT_EQ(told[3], "40 from 192.0.2.1: expired_token 10 throttled 30 'old'");
  EXPECT_EQ(told[0].substr(0, told[0].find(' ')), std::to_string(198 * 30));
  EXPECT_NE(told[0].find("others"), std::string::npos);
  for (int i = 0; i < 100; ++i) {
    admit(request(wrong, "192.0.2.9"));
    ASSERT_TRUE(access_->tend());
    now_ += kSecond / 2;
  }
  EXPECT_EQ(notes().size(), RefusedAccess::kLinesMax) << "the next ones wait for the minute";
  now_ += 60 * kSecond;
  ASSERT_TRUE(access_->tend());
  told = notes();
  ASSERT_EQ(told.size(), RefusedAccess::kLinesMax + 1);
  EXPECT_TRUE(told[0].starts_with("100 from 192.0.2.9:")) << told[0];
}

TEST_F(AccessTest, MemoryForStrangersIsBounded) {
  RefusedAccess refused({.failures = 2, .failures_per_second = 1, .peers_max = 8});
  const auto fails = [&](uint32_t peer, Micros now) {
    return refused.count_failure(AccessRefusal::kUnknown, base::Inet::v4(peer), now);
  };
  for (uint32_t peer = 0; peer < 8; ++peer) EXPECT_TRUE(fails(peer, kNow));
  EXPECT_TRUE(fails(100, kNow));
  EXPECT_TRUE(fails(101, kNow));
  EXPECT_FALSE(fails(102, kNow)) << "those beyond share one allowance";
  EXPECT_TRUE(fails(7, kNow)) << "who is known has his own";
  EXPECT_TRUE(fails(103, kNow + 2 * kSecond)) << "who was quiet is forgotten";
  for (uint32_t peer = 0; peer < 100'000; ++peer) fails(peer, kNow + 2 * kSecond);
  EXPECT_LE(refused.take_notes(kNow + 3 * kSecond).size(), RefusedAccess::kLinesMax);
  refused.lost_notes();
  EXPECT_EQ(refused.counts()[static_cast<size_t>(AccessRefusal::kUntold)], 100'013u) << "what is lost is counted";
}

TEST_F(AccessTest, TheEmergencyTokenNeedsNoCatalog) {
  const std::string secret(64, '7');
  settings_.secrets["access.admin_token"] = {secret, {}};
  open(false);
  EXPECT_EQ(admit(request(secret), kAdmin), 200);
  EXPECT_EQ(identity_of(last_)->by, SignIn::kEmergency);
  EXPECT_EQ(admit(request(secret + "7")), 401);
  EXPECT_EQ(created_code({"a", AccessRole::kViewer, kSecond, {}}), "55000");
  ASSERT_TRUE(access_->tend());
  config::Settings weak = settings_;
  weak.secrets["access.admin_token"].value = "admin";
  const auto refused = access_->configure(weak);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "22023");
  EXPECT_EQ(refused.error().render().find("'admin'"), std::string::npos) << "a secret is not quoted";
  EXPECT_EQ(admit(request(secret), kAdmin), 200) << "the old settings stay";
  settings_.secrets.clear();
  ASSERT_TRUE(access_->configure(settings_));
  EXPECT_EQ(admit(request(secret)), 401);
}

TEST_F(AccessTest, LocalUseIsAdminUnlessSettingsOrAProxySayOtherwise) {
  settings_.access.required = false;
  open();
  EXPECT_FALSE(access_->is_required());
  EXPECT_EQ(admit(request(), kAdmin), 200);
  EXPECT_EQ(last_.principal.name, "local");
  EXPECT_EQ(admit(request({}, "::1"), kAdmin), 200);
  EXPECT_EQ(admit(request({}, "192.0.2.1")), 401);
  for (const char* header : {"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
                             "X-Forwarded-User", "X-Real-IP", "Via"}) {
    Request passed_on = request();
    passed_on.headers.add(header, "x");
    EXPECT_EQ(admit(passed_on), 401) << header;
  }
  for (const char* listen :
       {"http://0.0.0.0:1", "http://[::]:1", "http://*:1", "https://192.0.2.1:1", "http://host:1"}) {
    config::Settings beyond = settings_;
    beyond.http.listen = listen;
    ASSERT_TRUE(access_->configure(beyond));
    EXPECT_TRUE(access_->is_required()) << listen;
    EXPECT_EQ(admit(request()), 401) << listen;
  }
  settings_.access.proxy_addresses = {*base::parse_inet("192.0.2.7")};
  ASSERT_TRUE(access_->configure(settings_));
  EXPECT_EQ(admit(request()), 401) << "behind a proxy everybody is local";
}

TEST_F(AccessTest, OnlyAProxySaysWhoAsks) {
  settings_.access.proxy_addresses = {*base::parse_inet("192.0.2.0/28")};
  settings_.access.proxy_header = "X-Auth-Request-User";
  set("grants = ['alice=viewer', 'group:noc=operator', 'group:root=admin', '*=viewer']\n"
      "filters = [\"group:ams=site = 'ams' -- the first\", \"group:fra=site = 'fra'\", \"bob=site = 'bog'\"]\n");
  open();
  const auto ask = [&](const char* user, const char* groups, const char* peer = "192.0.2.7") {
    Request asked = request({}, peer);
    asked.headers.add("x-auth-request-user", user);
    if (*groups != '\0') asked.headers.add("X-Forwarded-Groups", groups);
    return admit(asked, kViewer | kHeedsRowFilter) == 200
               ? std::string(config::name(identity_of(last_)->role)) + "|" + identity_of(last_)->row_filter
               : std::to_string(last_refusal_.status);
  };
  EXPECT_EQ(ask("carol", "staff,noc , root"), "admin|") << "the highest of the groups";
  EXPECT_EQ(ask("alice", "root"), "viewer|") << "one's own comes first";
  EXPECT_EQ(ask("dave", ""), "viewer|");
  EXPECT_EQ(ask("bob", "ams"), "viewer|site = 'bog'");
  EXPECT_EQ(ask("dave", "ams,fra"), "viewer|(\nsite = 'ams' -- the first\n) OR (\nsite = 'fra'\n)");
  EXPECT_TRUE(RowFilter::check(identity_of(last_)->row_filter));
  EXPECT_EQ(ask("erin", "noc,fra"), "viewer|(\nsite = 'fra'\n)") << "who sees some rows only is a viewer";
  EXPECT_EQ(ask("alice", "", "192.0.2.17"), "401") << "no proxy";
  EXPECT_EQ(access_->status().of(AccessRefusal::kStrangeProxy), 1u);
  EXPECT_EQ(ask("a\x01", ""), "401");
  EXPECT_EQ(ask("\xff", ""), "401");
  settings_.access.grants.pop_back();
  ASSERT_TRUE(access_->configure(settings_));
  EXPECT_EQ(ask("dave", "staff"), "403");
  EXPECT_EQ(access_->status().of(AccessRefusal::kNoRole), 1u);
  const config::Settings good = settings_;
  set("filters = [\"group:noc=site = 'x'\"]\n");
  EXPECT_EQ(access_->configure(settings_).error().code, "22023") << "an operator names columns as he likes";
  settings_ = good;
  set("filters = ['x=site =']\n");
  EXPECT_NE(Access::check(settings_).error().message.find("the filter of 'x'"), std::string::npos);
}

TEST_F(AccessTest, ThreadsAskWhileTokensAndSettingsChange) {
  open();
  const std::string steady = create({"steady", AccessRole::kViewer, 3'600 * kSecond, {}});
  const std::string wrong = "bst_" + std::string(64, '0');
  std::atomic<uint64_t> good = 0, bad = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        Request right = request(steady), other = request(wrong, "192.0.2.1");
        if (!access_->admit(right, kViewer)) ++good;
        if (access_->admit(other, kViewer)) ++bad;
        (void)access_->tokens().list();
        (void)access_->status();
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    std::string name = std::to_string(i);
    name += "-t";
    EXPECT_EQ(created_code({name, AccessRole::kAdmin, 3'600 * kSecond, {}}), "");
    EXPECT_TRUE(access_->configure(settings_));
    EXPECT_TRUE(access_->tend());
    EXPECT_TRUE(access_->tokens().revoke(name, kAnn, now_));
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 1'500u);
  EXPECT_EQ(bad, 1'500u);
}

TEST_F(AccessTest, EveryRouteAsksEverybody) {
  http::Router router;
  http::EventHub hub;
  AccessOptions options;
  options.catalog = catalog_.get();
  options.limits = {.failures = 1e9};
  auto opened = Access::open(settings_, std::move(options));
  ASSERT_TRUE(opened);
  Access& access = **opened;
  const auto yes = [](const Request&) { return http::text_response(200, "yes"); };
  router.set_gate(access.gate());
  add_access_routes(router, access);
  router.add({.method = Method::kGet, .pattern = "/-/healthy", .handler = yes, .name = "healthy"});
  router.add({.method = Method::kGet, .pattern = "/a/{name}", .handler = yes, .role = kViewer, .name = "look"});
  router.add({.method = Method::kGet,
              .pattern = "/rows/{name...}",
              .handler = yes,
              .role = kViewer | kHeedsRowFilter,
              .name = "rows"});
  router.add({.method = Method::kPut, .pattern = "/a/{name}", .handler = yes, .role = kOperator, .name = "put"});
  router.add({.method = Method::kPatch, .pattern = "/a", .handler = yes, .role = kAdmin, .name = "patch"});
  const size_t asked = expect_access_matrix(router, hub, access, settings_);
  EXPECT_EQ(asked, router.routes().size() * (15 + 10 + 5 + 3 * 4));
  EXPECT_GT(access.status().of(SignIn::kProxy), 0u);
  EXPECT_GT(access.status().of(SignIn::kEmergency), 0u);
  EXPECT_EQ(access.tokens().size(), 0u);
}

class AccessOverHttp : public AccessTest {
 protected:
  void serve() {
    settings_.access.required = false;
    now_ = kNow;
    open();
    router_.set_gate(access_->gate());
    add_access_routes(router_, *access_);
    http::ServerOptions options = server_options(settings_);
    options.listeners[0].port = 0;
    auto opened = http::Server::open(router_, hub_, options);
    ASSERT_TRUE(opened) << opened.error().render();
    server_ = std::move(*opened);
  }
  http::ClientResponse ask(Method method, std::string_view target, std::string_view body = {}, std::string token = {}) {
    http::Client client(
        {.server = "http://127.0.0.1:" + std::to_string(server_->ports()[0]), .token = std::move(token)});
    auto answered = client.exchange(method, target, body);
    EXPECT_TRUE(answered) << answered.error().render();
    return answered ? std::move(*answered) : http::ClientResponse{};
  }
  http::Router router_;
  http::EventHub hub_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(AccessOverHttp, TokensAreMadeShownOnceAndRevoked) {
  serve();
  const auto made = ask(Method::kPost, "/api/v1/tokens",
                        R"({"name":"grafana","role":"viewer","expires_in_seconds":3600,"row_filter":"site = 'ams'"})");
  ASSERT_EQ(made.status, 201) << made.body;
  const Json json = Json::parse(made.body);
  const std::string token = json.at("token");
  EXPECT_EQ(json.at("expires_at"), "2026-01-31T13:00:00Z");
  EXPECT_EQ(json.at("last_used_at"), nullptr);
  const Json who = Json::parse(ask(Method::kGet, "/api/v1/whoami", {}, token).body);
  EXPECT_EQ(who, Json::parse(R"({"name":"grafana","role":"viewer","row_filter":"site = 'ams'","by":"token",
                                 "expires_at":"2026-01-31T13:00:00Z"})"));
  EXPECT_EQ(ask(Method::kGet, "/api/v1/tokens", {}, token).status, 403);
  const auto listed = ask(Method::kGet, "/api/v1/tokens");
  EXPECT_EQ(listed.body.find(token), std::string::npos);
  EXPECT_EQ(listed.body.find("hash"), std::string::npos);
  EXPECT_EQ(Json::parse(listed.body).at("tokens").at(0).at("last_used_at"), "2026-01-31T12:00:00Z");
  EXPECT_EQ(ask(Method::kDelete, "/api/v1/tokens/grafana").status, 204);
  EXPECT_EQ(ask(Method::kDelete, "/api/v1/tokens/grafana").status, 404);
  EXPECT_EQ(ask(Method::kGet, "/api/v1/whoami", {}, token).status, 401);
  EXPECT_EQ(Json::parse(ask(Method::kGet, "/api/v1/whoami").body).at("by"), "local");
}

TEST_F(AccessOverHttp, MistakesAreTold) {
  serve();
  const auto refused = [&](const char* body) {
    const auto answer = ask(Method::kPost, "/api/v1/tokens", body);
    return std::to_string(answer.status) + " " + Json::parse(answer.body).value("detail", "");
  };
  EXPECT_EQ(refused("{"), "422 this describes no token");
  EXPECT_EQ(refused(R"({"name":"a"})"), "422 this describes no token");
  EXPECT_EQ(refused(R"({"name":7,"role":"viewer"})"), "422 this describes no token");
  EXPECT_EQ(refused(R"({"name":"a","role":"root"})"), "422 there is no role 'root'");
  for (const char* seconds : {"0", "-1", "9223372036854775807"}) {
    EXPECT_EQ(refused((R"({"name":"a","role":"viewer","expires_in_seconds":)" + std::string(seconds) + "}").c_str()),
              "422 a token cannot live that long, or that short");
  }
  EXPECT_EQ(refused(R"({"name":"a","role":"viewer","expires_in_seconds":"1 d"})"),
            "422 expires_in_seconds is no whole number");
  const auto bad_filter = ask(Method::kPost, "/api/v1/tokens",
                              "{\"name\":\"a\",\"role\":\"viewer\",\"row_filter\":\"site = 'a'\\nAND AND\"}");
  EXPECT_EQ(bad_filter.status, 422);
  EXPECT_EQ(Json::parse(bad_filter.body).at("line"), 2);
  EXPECT_EQ(Json::parse(bad_filter.body).at("column"), 5);
  EXPECT_EQ(access_->tokens().size(), 0u);
}

TEST_F(AccessOverHttp, ATokenStandsNowhereButInTheAnswer) {
  const std::string emergency(64, '9');
  settings_.secrets["access.admin_token"] = {emergency, {}};
  serve();
  const std::string token =
      Json::parse(ask(Method::kPost, "/api/v1/tokens", R"({"name":"a","role":"admin"})").body).at("token");
  EXPECT_EQ(ask(Method::kGet, "/api/v1/whoami", {}, token).status, 200);
  EXPECT_EQ(ask(Method::kGet, "/api/v1/whoami", {}, emergency).status, 200);
  std::string almost = token;
  almost.back() = almost.back() == '0' ? '1' : '0';
  const auto refused = ask(Method::kGet, "/api/v1/whoami", {}, almost);
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.body.find(almost), std::string::npos);
  now_ += 100 * kSecond;
  ASSERT_TRUE(access_->tend());
  std::string everything = *catalog::export_document(*catalog_);
  EXPECT_EQ(everything.find(hash_token(token).hex()), std::string::npos) << "an export has no hashes";
  const auto entries = catalog_->audit({.count_max = 100});
  for (const auto& entry : *entries)
    everything += entry.author + entry.via + entry.verb + entry.name + entry.comment + "\n";
  EXPECT_NE(everything.find("create"), std::string::npos);
  EXPECT_NE(everything.find("unknown_token 1"), std::string::npos) << everything;
  EXPECT_EQ(everything.find(hash_token(token).hex()), std::string::npos) << "nor has the audit";
  server_->stop(std::chrono::milliseconds(1'000));
  access_.reset();
  catalog_.reset();
  bool hash_is_kept = false;
  for (const auto& file : std::filesystem::directory_iterator(folder_)) {
    std::ifstream stream(file.path(), std::ios::binary);
    const std::string octets(std::istreambuf_iterator<char>(stream), {});
    everything += octets;
    hash_is_kept |= octets.find(hash_token(token).hex()) != std::string::npos;
  }
  EXPECT_TRUE(hash_is_kept) << "the files were looked at";
  for (const std::string& secret : {token, almost, emergency})
    EXPECT_EQ(everything.find(secret.substr(4)), std::string::npos);
}

TEST(Exposure, BeyondLoopbackNeedsTlsAndAWayIn) {
  const auto code = [](const config::Settings& settings, bool has_tokens = false) {
    const auto checked = check_exposure(settings, has_tokens);
    return checked ? *checked : checked.error().code + " " + checked.error().message;
  };
  config::Settings settings;
  EXPECT_EQ(code(settings), "");
  settings.http.listen = "http://192.0.2.1:8844";
  EXPECT_EQ(code(settings, true), "55000 'http://192.0.2.1:8844' can be reached from outside, without encryption");
  settings.http.allow_insecure = true;
  EXPECT_EQ(code(settings), "55000 'http://192.0.2.1:8844' asks everybody for a token, and there is none");
  EXPECT_NE(code(settings, true).find("can be reached from outside"), std::string::npos) << "a warning";
  settings.http.allow_insecure = false;
  settings.http.listen = "https://*:8844";
  EXPECT_EQ(code(settings, true), "55000 'https://*:8844' needs a certificate and its key");
  settings.http.certificate = "c.pem";
  settings.http.key = "k.pem";
  EXPECT_EQ(code(settings), "55000 'https://*:8844' asks everybody for a token, and there is none");
  EXPECT_EQ(code(settings, true), "");
  settings.secrets["access.admin_token"] = {std::string(64, 'a'), {}};
  EXPECT_EQ(code(settings), "");
  settings.secrets.clear();
  settings.access.proxy_addresses = {*base::parse_inet("192.0.2.7")};
  EXPECT_EQ(code(settings).substr(0, 5), "55000") << "nobody has a role";
  ASSERT_TRUE(config::apply_assignment(settings, "access.grants=*=viewer"));
  EXPECT_EQ(code(settings), "");
  const http::ServerOptions options = server_options(settings);
  EXPECT_EQ(options.listeners[0].address, "::");
  EXPECT_EQ(options.listeners[0].certificate_file, "c.pem");
  settings = {};
  settings.access.required = true;
  EXPECT_EQ(code(settings).substr(0, 5), "55000");
  EXPECT_EQ(code(settings, true), "");
}

}  // namespace
}  // namespace backstream::service
