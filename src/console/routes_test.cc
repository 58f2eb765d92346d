#include "console/routes.h"

#include <gtest/gtest.h>

namespace backstream::console {
namespace {

constexpr Asset kAssets[] = {
    {"/index.html", "text/html; charset=utf-8", "<!doctype html>", "(zipped page)"},
    {"/assets/console-AAAAAAAA.js", "text/javascript; charset=utf-8", "run()", "(zipped script)"},
};

class ConsoleRoutes : public testing::Test {
 protected:
  ConsoleRoutes() {
    add_routes(router_, kAssets);
    add_routes(bare_, {});
  }
  static http::Response ask(const http::Router& router, std::string path, http::Headers headers = {},
                            http::Method method = http::Method::kGet) {
    http::Request request;
    request.method = method;
    request.raw_path = request.path = std::move(path);
    request.headers = std::move(headers);
    return router.answer(router.match(method, request.raw_path), request);
  }
  static http::Headers with(std::string_view name, std::string_view value) {
    http::Headers headers;
    headers.add(name, value);
    return headers;
  }
  http::Router router_, bare_;
};

TEST_F(ConsoleRoutes, EveryAddressOfAPageIsTheSamePage) {
  for (const char* const path : {"/", "/live", "/explore", "/queries", "/q/top_dst", "/q/a%2Fb", "/new", "/matrix",
                                 "/exporters", "/alerts", "/alerts/5f0c", "/system"}) {
    const auto page = ask(router_, path);
    EXPECT_EQ(page.status, 200) << path;
    EXPECT_EQ(page.body, "<!doctype html>") << path;
    EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
    EXPECT_EQ(page.headers.find("Cache-Control"), "no-cache");
  }
  for (const char* const path : {"/q", "/q/a/b", "/nothing", "/index.html"})
    EXPECT_EQ(ask(router_, path).status, 404) << path;
}

TEST_F(ConsoleRoutes, WhoFollowsAnAddressOfNothingIsToldSoByThePage) {
  const http::Headers browser = with("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
  for (const char* const path : {"/nothing", "/q", "/apiary", "/-ready", "/a/b/c"}) {
    const auto page = ask(router_, path, browser);
    EXPECT_EQ(page.status, 404) << path;
    EXPECT_EQ(page.body, "<!doctype html>") << path;
    EXPECT_EQ(page.headers.find("Cache-Control"), "no-store");
    EXPECT_TRUE(page.headers.find("Content-Security-Policy").has_value());
  }
  for (const char* const path : {"/api", "/api/v1/nothing", "/metrics/nothing", "/-/nothing", "/assets/a/b"}) {
    const auto problem = ask(router_, path, browser);
    EXPECT_EQ(problem.status, 404) << path;
    EXPECT_EQ(problem.content_type, "application/problem+json") << path;
  }
  EXPECT_EQ(ask(router_, "/nothing", with("Accept", "*/*")).content_type, "application/problem+json");
  EXPECT_EQ(ask(router_, "/nothing", browser, http::Method::kPost).content_type, "application/problem+json");
  EXPECT_EQ(ask(bare_, "/nothing", browser).content_type, "application/problem+json") << "there is no page to say it";
}

TEST_F(ConsoleRoutes, NobodyIsAskedWhoHeIs) {
  for (const auto& route : router_.routes()) EXPECT_EQ(route.role, 0u) << route.pattern;
}

TEST_F(ConsoleRoutes, AssetsAreKeptForEverAndOthersAreNotThere) {
  const auto script = ask(router_, "/assets/console-AAAAAAAA.js");
  EXPECT_EQ(script.body, "run()");
  EXPECT_EQ(script.content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(script.headers.find("Cache-Control"), "public, max-age=31536000, immutable");
  for (const char* const path : {"/assets/console-BBBBBBBB.js", "/assets/..", "/assets/../index.html", "/assets/"})
    EXPECT_EQ(ask(router_, path).status, 404) << path;
}

TEST_F(ConsoleRoutes, GzippedForWhoTakesIt) {
  const auto zipped = ask(router_, "/assets/console-AAAAAAAA.js", with("Accept-Encoding", "br, gzip, deflate"));
  EXPECT_EQ(zipped.body, "(zipped script)");
  EXPECT_EQ(zipped.headers.find("Content-Encoding"), "gzip");
  EXPECT_EQ(zipped.headers.find("Vary"), "Accept-Encoding");
  for (const char* const refused : {"br", "identity", "gzip;q=0", "gzip; q=0, br", "gzip ; q=0"}) {
    const auto plain = ask(router_, "/assets/console-AAAAAAAA.js", with("Accept-Encoding", refused));
    EXPECT_EQ(plain.body, "run()") << refused;
    EXPECT_FALSE(plain.headers.find("Content-Encoding")) << refused;
    EXPECT_EQ(plain.headers.find("Vary"), "Accept-Encoding");
  }
}

TEST_F(ConsoleRoutes, WhoHasItAlreadyIsSentNothing) {
  const std::string plain(ask(router_, "/").headers.find("ETag").value());
  const std::string zipped(ask(router_, "/", with("Accept-Encoding", "gzip")).headers.find("ETag").value());
  EXPECT_NE(plain, zipped);
  http::Headers headers = with("If-None-Match", zipped);
  headers.add("Accept-Encoding", "gzip");
  for (const auto& known : {with("If-None-Match", plain), headers}) {
    const auto again = ask(router_, "/", known);
    EXPECT_EQ(again.status, 304);
    EXPECT_EQ(again.body, "");
    EXPECT_FALSE(again.headers.find("Content-Encoding"));
  }
  EXPECT_EQ(ask(router_, "/", with("If-None-Match", zipped)).status, 200);
}

TEST_F(ConsoleRoutes, ThePolicyIsStrictOnEveryPage) {
  for (const char* const path : {"/", "/start", "/assets/console-AAAAAAAA.js"}) {
    const auto page = ask(router_, path);
    const std::string policy(page.headers.find("Content-Security-Policy").value_or(""));
    EXPECT_NE(policy.find("default-src 'none'"), std::string::npos) << path;
    EXPECT_EQ(policy.find("unsafe"), std::string::npos) << path;
    EXPECT_EQ(policy.find("http"), std::string::npos) << path;
    EXPECT_EQ(policy.find('*'), std::string::npos) << path;
    EXPECT_EQ(page.headers.find("Referrer-Policy"), "no-referrer");
  }
}

TEST_F(ConsoleRoutes, BuiltWithoutNodeItSaysSo) {
  for (const char* const path : {"/", "/live", "/queries", "/q/top_dst", "/start"}) {
    const auto page = ask(bare_, path);
    EXPECT_EQ(page.status, 200) << path;
    EXPECT_NE(page.body.find("built without Node"), std::string::npos) << path;
    EXPECT_EQ(page.body.find("<script"), std::string::npos) << path;
  }
  EXPECT_EQ(ask(bare_, "/assets/console-AAAAAAAA.js").status, 404);
  EXPECT_EQ(ask(router_, "/start").body.find("built without Node"), std::string::npos);
}

TEST(ConsoleAssets, OfThisBuildAreWhole) {
  const auto assets = built_assets();
  if (assets.empty()) {
    SUCCEED() << "built without Node";
    return;
  }
  EXPECT_EQ(assets.front().path, "/index.html");
  size_t named = 0;
  for (const Asset& asset : assets) {
    EXPECT_FALSE(asset.octets.empty()) << asset.path;
    EXPECT_EQ(asset.gzipped.substr(0, 2), "\x1f\x8b") << asset.path;
    named += assets.front().octets.find(asset.path) != std::string_view::npos;
  }
  // What is loaded first: theme, styles and the program. Others it asks for by itself.
  EXPECT_GE(named, 3u);
}

}  // namespace
}  // namespace backstream::console
