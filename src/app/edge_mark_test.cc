#include "app/edge_mark.h"

#include <gtest/gtest.h>

namespace backstream::app {
namespace {

EdgeMark some_mark() {
  EdgeMark mark;
  mark.sequences[{base::Inet::v4(0xc0000201), 5, 258}] = {(uint64_t{1} << 32) + 17, 1'769'000'000'000'000, -5};
  mark.sequences[{base::Inet::v6(0x20010db8'00000000, 1), 10 | decode::kSequenceByPort, UINT64_MAX}] = {
      9, base::kMinTime, base::kMinTime};
  mark.rows[3] = {1'000, 0};
  mark.rows[UINT64_MAX] = {0, 77};
  return mark;
}

TEST(EdgeMark, IsReadAsItWasWritten) {
  EdgeMark read;
  ASSERT_TRUE(read_edge_mark(octets_of(some_mark()), read));
  EXPECT_EQ(read, some_mark());
  ASSERT_TRUE(read_edge_mark(octets_of({}), read));
  EXPECT_EQ(read, EdgeMark());
}

TEST(EdgeMark, WhatIsCutOrLongerIsNone) {
  const std::vector<uint8_t> whole = octets_of(some_mark());
  EdgeMark read;
  for (size_t octets = 0; octets < whole.size(); ++octets) {
    EXPECT_FALSE(read_edge_mark(std::span(whole).first(octets), read)) << octets;
    EXPECT_EQ(read, EdgeMark());
  }
  std::vector<uint8_t> longer = whole;
  longer.push_back(0);
  EXPECT_FALSE(read_edge_mark(longer, read));
  std::vector<uint8_t> newer = whole;
  ++newer[0];
  EXPECT_FALSE(read_edge_mark(newer, read)) << "of a version that is not known";
}

}  // namespace
}  // namespace backstream::app
