#include "http/router.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace backstream::http {
namespace {

Handler says(std::string what) {
  return [what](const Request& request) {
    std::string text = what;
    for (const auto& [name, value] : request.path_values) text += " " + name + "=" + value;
    return text_response(200, text);
  };
}
Response ask(const Router& router, Method method, std::string path) {
  Request request;
  request.method = method;
  request.raw_path = request.path = std::move(path);
  return router.answer(router.match(method, request.raw_path), request);
}

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    router.add({.method = Method::kGet, .pattern = "/", .handler = says("root"), .name = "root"});
    router.add({.method = Method::kGet, .pattern = "/api/v1/queries", .handler = says("list"), .name = "list"});
    router.add(
        {.method = Method::kPost, .pattern = "/api/v1/queries", .handler = says("add"), .role = 2, .name = "add"});
    router.add({.method = Method::kGet, .pattern = "/api/v1/queries/{name}", .handler = says("one"), .name = "one"});
    router.add({.method = Method::kGet, .pattern = "/api/v1/queries/all", .handler = says("all"), .name = "all"});
    router.add(
        {.method = Method::kDelete, .pattern = "/api/v1/queries/{other}", .handler = says("drop"), .name = "drop"});
    router.add({.method = Method::kGet, .pattern = "/{file...}", .handler = says("file"), .name = "file"});
  }
  Router router;
};

TEST_F(RouterTest, LiteralBeforeNameBeforeRest) {
  EXPECT_EQ(ask(router, Method::kGet, "/").body, "root");
  EXPECT_EQ(ask(router, Method::kGet, "/api/v1/queries").body, "list");
  EXPECT_EQ(ask(router, Method::kGet, "/api/v1/queries/all").body, "all");
  EXPECT_EQ(ask(router, Method::kGet, "/api/v1/queries/top").body, "one name=top");
  EXPECT_EQ(ask(router, Method::kGet, "/assets/a/b.js").body, "file file=assets/a/b.js");
  EXPECT_EQ(ask(router, Method::kGet, "/api/v1/queries/").body, "file file=api/v1/queries/");
}
TEST_F(RouterTest, WhereNothingIsSomethingElseMayAnswer) {
  Router other;
  other.add({.method = Method::kGet, .pattern = "/one", .handler = says("one")});
  EXPECT_EQ(ask(other, Method::kGet, "/two").status, 404);
  other.set_missing([](const Request& request) { return text_response(404, "no " + request.path); });
  EXPECT_EQ(ask(other, Method::kGet, "/two").body, "no /two");
  EXPECT_EQ(ask(other, Method::kGet, "/one").body, "one");
  EXPECT_EQ(ask(other, Method::kPost, "/one").status, 405) << "it is there, for others";
}
TEST_F(RouterTest, ASegmentIsDecodedAfterThePathIsSplit) {
  EXPECT_EQ(ask(router, Method::kGet, "/api/v1/queries/a%2Fb").body, "one name=a/b");
  EXPECT_EQ(ask(router, Method::kGet, "/api/v1/queries/%61ll").body, "all");
}
TEST_F(RouterTest, HeadIsGet) { EXPECT_EQ(ask(router, Method::kHead, "/api/v1/queries/top").body, "one name=top"); }
TEST_F(RouterTest, OtherMethodsAreToldWhichThereAre) {
  Response response = ask(router, Method::kPut, "/api/v1/queries/top");
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.headers.find("Allow"), "GET, HEAD, DELETE, OPTIONS");
  response = ask(router, Method::kOptions, "/api/v1/queries");
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.headers.find("Allow"), "GET, HEAD, POST, OPTIONS");
}
TEST(Router, UnknownPathsAre404) {
  Router router;
  router.add({.method = Method::kGet, .pattern = "/a/{b}", .handler = says("x")});
  for (const char* path : {"/", "/a", "/a/", "/a/b/c", "/b/b"}) {
    EXPECT_EQ(ask(router, Method::kGet, path).status, 404) << path;
    EXPECT_EQ(ask(router, Method::kOptions, path).status, 404) << path;
  }
  EXPECT_EQ(ask(router, Method::kOptions, "*").status, 204);
}
TEST_F(RouterTest, WithoutAGateNobodyPasses) {
  EXPECT_EQ(ask(router, Method::kPost, "/api/v1/queries").status, 403);
  EXPECT_EQ(ask(router, Method::kGet, "/api/v1/queries").status, 200);
}
TEST_F(RouterTest, TheGateSaysWhoMayPass) {
  uint32_t have = 1;
  router.set_gate([&](Request& request, uint32_t role) -> std::optional<Response> {
    request.principal.name = "ada";
    if (have < role) return problem_response(401, "no");
    return std::nullopt;
  });
  EXPECT_EQ(ask(router, Method::kPost, "/api/v1/queries").status, 401);
  have = 2;
  EXPECT_EQ(ask(router, Method::kPost, "/api/v1/queries").body, "add");
}
TEST_F(RouterTest, TheTableCanBeListed) {
  ASSERT_EQ(router.routes().size(), 7u);
  EXPECT_EQ(router.routes()[2].name, "add");
  EXPECT_EQ(router.routes()[2].role, 2u);
}
TEST(Router, WhatAHandlerThrowsIsNotTold) {
  Router router;
  router.add({.method = Method::kGet, .pattern = "/a", .handler = [](const Request&) -> Response {
                throw std::runtime_error("password=1");
              }});
  const Response response = ask(router, Method::kGet, "/a");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body.find("password"), std::string::npos);
}

}  // namespace
}  // namespace backstream::http
