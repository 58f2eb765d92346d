#include "app/shell/display_text.h"

#include <gtest/gtest.h>

namespace backstream::app::shell {
namespace {

TEST(DisplayText, WhatMovesACursorIsShownByNumber) {
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\tc\x7f"), "a\\x1b[2Jb\\x0d\\x0a\\x09c\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\x9b31m");  // C1's CSI
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b"),
            "a\\u202eb");
  EXPECT_EQ(printable("\xff\xc3(\xe2\x82"), "\\xff\\xc3(\\xe2\\x82");
  EXPECT_EQ(printable("São Paulo 東京"), "São Paulo 東京");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
}
TEST(DisplayText, LinesStayWhereTheyAreAskedFor) {
  EXPECT_EQ(printable_lines("a\r\n\tb\x1b\n"), "a\n        b\\x1b\n");
  EXPECT_EQ(printable_lines("ab\tc"), "ab      c");
}
TEST(DisplayText, WidthsAreThoseOfATerminal) {
  use_utf8();
  EXPECT_EQ(width_of("São"), 3u);
  EXPECT_EQ(width_of("東京"), 4u);
  EXPECT_EQ(width_of("e\xcc\x81"), 1u);  // e and a combining acute
  EXPECT_EQ(width_of(""), 0u);
}
TEST(DisplayText, CutsByColumnsNotOctets) {
  use_utf8();
  EXPECT_EQ(cut_to("abc", 3), "abc");
  EXPECT_EQ(cut_to("abcd", 3), "ab…");
  EXPECT_EQ(cut_to("東京都", 4), "東…");
  EXPECT_EQ(cut_to("東京都", 6), "東京都");
  EXPECT_EQ(cut_to("東京", 1), "…");
  EXPECT_EQ(cut_to("ééé", 2), "é…");
}

}  // namespace
}  // namespace backstream::app::shell
