#include "http/message.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace backstream::http {
namespace {

TEST(HttpProblem, HasThePlaceOfADiagnostic) {
  const std::string sql = "SELECT a\nFROM é, flwos\nWHERE x";
  base::Diagnostic diagnostic;
  diagnostic.code = "42P01";
  diagnostic.message = "there is no stream \"flwos\"";
  diagnostic.hint = "did you mean \"flows\"?";
  diagnostic.span = {static_cast<uint32_t>(sql.find("flwos")), 5};
  base::locate(diagnostic, "b.sql", sql);
  const auto json = nlohmann::json::parse(to_json(problem_of(diagnostic, 422, sql)));
  EXPECT_EQ(json, nlohmann::json::parse(R"({"type": "urn:backstream:problem:42P01", "title": "Unprocessable Content",
    "status": 422, "code": "42P01", "detail": "there is no stream \"flwos\"", "hint": "did you mean \"flows\"?",
    "source": "b.sql", "line": 2, "column": 9, "end_line": 2, "end_column": 14})"));
}
TEST(HttpProblem, APlaceOverSeveralLinesEndsWhereItEnds) {
  const std::string sql = "SELECT (1 +\n  2";
  base::Diagnostic diagnostic;
  diagnostic.span = {7, static_cast<uint32_t>(sql.size() - 7)};
  base::locate(diagnostic, "", sql);
  const Problem with_text = problem_of(diagnostic, 422, sql), without = problem_of(diagnostic, 422);
  EXPECT_EQ(with_text.end_line, 2u);
  EXPECT_EQ(with_text.end_column, 4u);
  EXPECT_EQ(without.end_line, 1u);
  EXPECT_EQ(without.end_column, 12u);
}
TEST(HttpProblem, WithoutPlaceAndCodeSaysWhatTheStatusSays) {
  const Response response = problem_response(404, "no query \"\xff\"");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(
      response.body,
      "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,\"detail\":\"no query \\\"\xef\xbf\xbd\\\"\"}");
}
TEST(HttpMessage, JsonStringsEscape) { EXPECT_EQ(json_string("a\"\n\x01\xc3"), "\"a\\\"\\n\\u0001\xef\xbf\xbd\""); }

TEST(HttpMessage, HeadersIgnoreCaseAndJoinLists) {
  Headers headers;
  headers.add("Accept", "text/csv");
  headers.add("ACCEPT", "text/html");
  EXPECT_EQ(headers.find("accept"), "text/csv");
  EXPECT_EQ(headers.list("accept"), "text/csv, text/html");
  EXPECT_EQ(headers.count("accept"), 2u);
  headers.set("accept", "a");
  EXPECT_EQ(headers.list("Accept"), "a");
  EXPECT_EQ(headers.find("Host"), std::nullopt);
}

constexpr std::string_view kOffered[] = {"application/json", "text/csv", "application/jsonl"};
TEST(HttpNegotiation, TheHighestWeightWinsThenTheFirstOffered) {
  EXPECT_EQ(negotiate("", kOffered), 0u);
  EXPECT_EQ(negotiate("*/*", kOffered), 0u);
  EXPECT_EQ(negotiate("text/csv", kOffered), 1u);
  EXPECT_EQ(negotiate("TEXT/CSV;charset=utf-8", kOffered), 1u);
  EXPECT_EQ(negotiate("application/json;q=0.1, text/*;q=0.5", kOffered), 1u);
  EXPECT_EQ(negotiate("application/*, text/csv;q=0.9", kOffered), 0u);
  EXPECT_EQ(negotiate("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", kOffered), 0u);
  EXPECT_EQ(negotiate("image/png", kOffered), std::nullopt);
}
TEST(HttpNegotiation, TheMostSpecificRangeGivesTheWeight) {
  EXPECT_EQ(negotiate("application/json;q=0, */*", kOffered), 1u);
  EXPECT_EQ(negotiate("*/*;q=0.1, application/jsonl;q=0.2, application/*;q=0", kOffered), 2u);
  EXPECT_EQ(negotiate("*/*;q=0", kOffered), std::nullopt);
}
TEST(HttpNegotiation, WhatCannotBeReadIsPassedOver) {
  EXPECT_EQ(negotiate("nonsense, text/csv", kOffered), 1u);
  EXPECT_EQ(negotiate("application/json;q=2, text/csv;q=0.001", kOffered), 1u);
  EXPECT_EQ(negotiate(";;;,,,", kOffered), 0u);
}

TEST(HttpEtag, OfOctetsNeverChanges) {
  EXPECT_EQ(etag_of(""), "\"cbf29ce48422232584222325cbf29ce4\"");
  EXPECT_EQ(etag_of("a").size(), 34u);
  EXPECT_NE(etag_of("a"), etag_of("b"));
}
TEST(HttpEtag, NoneMatchComparesWeaklyAndMatchStrongly) {
  EXPECT_TRUE(none_match_holds("\"a\", W/\"b\"", "\"b\""));
  EXPECT_TRUE(none_match_holds("\"x,y\" , \"b\"", "W/\"b\""));
  EXPECT_TRUE(none_match_holds(" * ", "\"b\""));
  EXPECT_FALSE(none_match_holds("\"x,\"b\"\"", "\"b\""));
  EXPECT_FALSE(none_match_holds("", "\"b\""));
  EXPECT_TRUE(match_holds("\"a\", \"b\"", "\"b\""));
  EXPECT_FALSE(match_holds("W/\"b\"", "\"b\""));
  EXPECT_FALSE(match_holds("W/\"b\"", "W/\"b\""));
  EXPECT_TRUE(match_holds("*", "\"b\""));
}
TEST(HttpEtag, WhoHasItGetsNoBody) {
  Request request;
  const std::string tag = etag_of("{}");
  EXPECT_EQ(with_etag(request, json_response(200, "{}"), tag).status, 200);
  request.headers.add("If-None-Match", tag);
  const Response same = with_etag(request, json_response(200, "{}"), tag);
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(same.headers.find("ETag"), tag);
  EXPECT_EQ(with_etag(request, json_response(200, "{}"), "\"other\"").status, 200);
  request.method = Method::kPost;
  EXPECT_EQ(with_etag(request, json_response(200, "{}"), tag).status, 200);
}

}  // namespace
}  // namespace backstream::http
