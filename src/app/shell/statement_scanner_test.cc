#include "app/shell/statement_scanner.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "sql/tokens.h"

namespace backstream::app::shell {
namespace {

using End = Scan::End;
using Inside = Scan::Inside;

std::string statement(std::string_view text) {
  const Scan found = scan(text);
  return found.end == End::kStatement ? std::string(text.substr(0, found.at)) : "(none)";
}

TEST(StatementScanner, ASemicolonEnds) {
  EXPECT_EQ(statement("SELECT 1; SELECT 2;"), "SELECT 1;");
  EXPECT_EQ(statement("SELECT 1"), "(none)");
  EXPECT_EQ(statement("SELECT ';' , \"a;b\", E'\\';', 'it''s;';x"), "SELECT ';' , \"a;b\", E'\\';', 'it''s;';");
  EXPECT_EQ(statement("SELECT $$a;b$$, $t$;$$;$t$;"), "SELECT $$a;b$$, $t$;$$;$t$;");
  EXPECT_EQ(statement("-- not this; one\nSELECT 1;"), "-- not this; one\nSELECT 1;");
  EXPECT_EQ(statement("/* ; /* ; */ ; */ SELECT 1;"), "/* ; /* ; */ ; */ SELECT 1;");
}
TEST(StatementScanner, AForgottenParenthesisIsTheParsersToTell) {
  EXPECT_EQ(statement("SELECT count(* FROM flows;"), "SELECT count(* FROM flows;");
}
TEST(StatementScanner, ABackslashBeginsAMetaCommandOutsideQuotes) {
  const std::string_view text = "SELECT 1 \\watch c=3";
  const Scan found = scan(text);
  EXPECT_EQ(found.end, End::kMeta);
  EXPECT_EQ(text.substr(found.at), "\\watch c=3");
  EXPECT_FALSE(found.blank);
  EXPECT_EQ(scan("'\\d'").end, End::kText);
  EXPECT_EQ(scan("-- \\d").end, End::kText);
  EXPECT_TRUE(scan("  \\d").blank);
}
TEST(StatementScanner, SaysWhatIsOpen) {
  EXPECT_EQ(scan("SELECT (1").inside, Inside::kParentheses);
  EXPECT_EQ(scan("SELECT (1)").inside, Inside::kNothing);
  EXPECT_EQ(scan("SELECT 1) (").inside, Inside::kParentheses);
  EXPECT_EQ(scan("SELECT 'it''s").inside, Inside::kString);
  EXPECT_EQ(scan("SELECT E'a\\'").inside, Inside::kString);
  EXPECT_EQ(scan("SELECT 'a\\'").inside, Inside::kNothing);
  EXPECT_EQ(scan("SELECT \"a").inside, Inside::kQuotedWord);
  EXPECT_EQ(scan("SELECT $x$ $$").inside, Inside::kDollarString);
  EXPECT_EQ(scan("SELECT /* a /* b */").inside, Inside::kComment);
  EXPECT_EQ(scan("SELECT $1, a$b").inside, Inside::kNothing);
}
TEST(StatementScanner, Prompts) {
  EXPECT_EQ(prompt_mark(scan("")), '=');
  EXPECT_EQ(prompt_mark(scan("  -- said\n")), '=');
  EXPECT_EQ(prompt_mark(scan("SELECT")), '-');
  EXPECT_EQ(prompt_mark(scan("SELECT (")), '(');
  EXPECT_EQ(prompt_mark(scan("SELECT ('")), '\'');
  EXPECT_EQ(prompt_mark(scan("/*")), '*');
}

/// The parser's own tokens say the same of any text.
TEST(StatementScanner, AgreesWithTheParsersTokens) {
  constexpr std::string_view kPieces[] = {"'", "''", "\"", "$$",  "$t$", "$1", "--", "\n", "/*",  "*/",    "(",  ")",
                                          ";", "E'", "e",  "\\'", "a",   "é",  " ",  "x$", "U&'", "1.5e3", "::", "||"};
  std::mt19937 random(20260131);
  size_t statements = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (unsigned n = random() % 14; n > 0; --n) text += kPieces[random() % std::size(kPieces)];
    const Scan found = scan(text);
    if (found.end == End::kMeta) continue;  // A backslash is no token of SQL.
    const sql::Tokens tokens(text);
    uint32_t first = 0;
    while (first < tokens.size() && !tokens.is(first, ";")) ++first;
    const bool closed = first > 0 ? tokens[first - 1].closed : true;
    if (first < tokens.size()) {
      ASSERT_EQ(found.end, End::kStatement) << text;
      ASSERT_EQ(found.at, tokens[first].offset + 1) << text;
      ++statements;
    } else {
      ASSERT_EQ(found.end, End::kText) << text;
      const bool open_token = found.inside == Inside::kString || found.inside == Inside::kQuotedWord ||
                              found.inside == Inside::kDollarString;
      ASSERT_EQ(open_token, !closed) << text;
    }
    ASSERT_EQ(found.blank, first == 0) << text;
  }
  EXPECT_GT(statements, 1'000u);
}

}  // namespace
}  // namespace backstream::app::shell
