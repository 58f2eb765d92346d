#include "base/diagnostic.h"

#include <gtest/gtest.h>

namespace backstream::base {
namespace {

Diagnostic diagnostic_at(std::string_view text, std::string_view part, std::string hint = {}) {
  Diagnostic diagnostic;
  diagnostic.message = "no such thing";
  diagnostic.hint = std::move(hint);
  diagnostic.span = {static_cast<uint32_t>(text.find(part)), static_cast<uint32_t>(part.size())};
  return locate(diagnostic, "q.sql", text);
}

TEST(Diagnostic, PlaceIsShownWithCaretTildesAndHint) {
  EXPECT_EQ(diagnostic_at("a = 1\nsampling_rat = 1000\n", "sampling_rat", "did you mean 'sampling_rate'?").render(),
            "q.sql:2:1: error: no such thing\n"
            "    2 | sampling_rat = 1000\n"
            "      | ^~~~~~~~~~~~ hint: did you mean 'sampling_rate'?\n");
}

TEST(Diagnostic, TabsAreKeptSoThatTheCaretStandsUnderItsWord) {
  EXPECT_EQ(diagnostic_at("SELECT\n\t1,\tfoo FROM t", "foo").render(),
            "q.sql:2:5: error: no such thing\n"
            "    2 | \t1,\tfoo FROM t\n"
            "      | \t  \t^~~\n");
}

TEST(Diagnostic, ColumnsCountCharactersNotOctets) {
  const Diagnostic diagnostic = diagnostic_at("'größe', xñ", "xñ");
  EXPECT_EQ(diagnostic.column, 10U);
  EXPECT_EQ(diagnostic.caret_characters, 2U);
}

TEST(Diagnostic, SpanOverSeveralLinesIsCutAtItsFirst) {
  const Diagnostic diagnostic = diagnostic_at("SELECT (a\n + b)", "(a\n + b)");
  EXPECT_EQ(diagnostic.line, 1U);
  EXPECT_EQ(diagnostic.excerpt, "SELECT (a");
  EXPECT_EQ(diagnostic.caret_characters, 2U);
}

TEST(Diagnostic, EndOfTextAndCarriageReturnsAreNoTrouble) {
  Diagnostic diagnostic;
  diagnostic.message = "unexpected end";
  diagnostic.span = {1000, 5};
  locate(diagnostic, "-e", "SELECT\r\n1,\r\n");
  EXPECT_EQ(diagnostic.line, 3U);
  EXPECT_EQ(diagnostic.column, 1U);
  EXPECT_EQ(diagnostic.excerpt, "");
  EXPECT_EQ(diagnostic_at("a\r\nb", "a").excerpt, "a");
  EXPECT_EQ(diagnostic.render(), "-e:3:1: error: unexpected end\n    3 | \n      | ^\n");
}

TEST(Diagnostic, ControlCharactersDoNotReachTheTerminal) {
  EXPECT_EQ(diagnostic_at("a\x1b[31mb", "b").render().find('\x1b'), std::string::npos);
}

TEST(Diagnostic, WithoutAPlaceOnlyMessageAndHintAreShown) {
  Diagnostic diagnostic;
  diagnostic.message = "file is empty";
  EXPECT_EQ(diagnostic.render(), "error: file is empty\n");
  diagnostic.source_name = "a.pcap";
  diagnostic.hint = "give another";
  EXPECT_EQ(diagnostic.render(), "a.pcap: error: file is empty\nhint: give another\n");
}

TEST(NearestName, TakesLikelySlipsOnly) {
  const std::vector<std::string_view> columns{"octets", "packets", "src_ip", "dst_ip", "tos"};
  EXPECT_EQ(nearest_name("octet", columns), "octets");
  EXPECT_EQ(nearest_name("PACKTES", columns), "packets");  // a swap is one slip
  EXPECT_EQ(nearest_name("srcip", columns), "src_ip");
  EXPECT_EQ(nearest_name("dts_ip", columns), "dst_ip");
  EXPECT_EQ(nearest_name("to", columns), "tos");
  EXPECT_EQ(nearest_name("bytes", columns), "");
  EXPECT_EQ(nearest_name("", {""}), "");
}

}  // namespace
}  // namespace backstream::base
