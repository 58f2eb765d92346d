#include "catalog/query_definition.h"

#include <gtest/gtest.h>

namespace backstream::catalog {
namespace {

Object with(std::string body) { return {Kind::kQuery, "q", {1}, 1, {1}, 0, std::move(body)}; }

TEST(QueryDefinition, ComesBackAsItWas) {
  for (const QueryState state : {QueryState::kRunning, QueryState::kPaused, QueryState::kFailed}) {
    const QueryDefinition definition{"SELECT '\"\n\xC3\xA9'", "ann", "why", state,
                                     state == QueryState::kFailed ? "22012 zero" : ""};
    const auto read = query_of(with(to_body(definition)));
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, definition);
  }
}

TEST(QueryDefinition, KnowsNothingOfFieldsOfLaterVersions) {
  const auto read = query_of(with(R"({"text":"SELECT 1","later":{"a":[1]}})"));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->text, "SELECT 1");
  EXPECT_EQ(read->state, QueryState::kRunning);
}

TEST(QueryDefinition, WhatIsNoneIsRefused) {
  for (const char* body : {"{}", R"({"text":7})", R"({"text":"x","state":"asleep"})"}) {
    const auto read = query_of(with(body));
    ASSERT_FALSE(read) << body;
    EXPECT_EQ(read.error().code, "XX001");
    EXPECT_NE(read.error().message.find("'q'"), std::string::npos);
  }
}

}  // namespace
}  // namespace backstream::catalog
