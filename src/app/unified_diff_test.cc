#include "app/unified_diff.h"

#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <vector>

namespace backstream::app {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// What `patch` makes of it; the context must fit.
std::string applied(const std::string& before, const std::string& diff) {
  const std::vector<std::string> from = lines_of(before), steps = lines_of(diff);
  std::string out;
  size_t at = 0;
  const auto take = [&](std::string_view line) {
    EXPECT_LT(at, from.size());
    EXPECT_EQ(at < from.size() ? from[at] : "", line);
    ++at;
  };
  for (size_t i = 2; i < steps.size(); ++i) {
    const std::string line = steps[i].substr(1);
    if (steps[i].starts_with("@@")) {
      size_t begin = 0, count = 0;
      EXPECT_EQ(std::sscanf(steps[i].c_str(), "@@ -%zu,%zu", &begin, &count), 2);
      for (const size_t until = count == 0 ? begin : begin - 1; at < until; ++at) out += from[at] + '\n';
      continue;
    }
    if (steps[i][0] != '+') take(line);
    if (steps[i][0] != '-') out += line + '\n';
  }
  for (; at < from.size(); ++at) out += from[at] + '\n';
  return out;
}

TEST(UnifiedDiff, ShowsAChangeInItsContext) {
  EXPECT_EQ(unified_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n", "a", "b"),
            "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
  EXPECT_EQ(unified_diff("x\n", "x\n", "a", "b"), "");
  EXPECT_EQ(unified_diff("", "x\n", "a", "b"), "--- a\n+++ b\n@@ -0,0 +1,1 @@\n+x\n");
  EXPECT_EQ(unified_diff("x", "x\n", "a", "b"),
            "--- a\n+++ b\n@@ -1,1 +1,1 @@\n-x\n\\ No newline at end of file\n+x\n");
}

TEST(UnifiedDiff, AppliedItGivesTheOtherText) {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    const auto text = [&] {
      std::string out;
      for (size_t n = random() % 40; n > 0; --n) out += std::string(1, static_cast<char>('a' + random() % 4)) + '\n';
      return out;
    };
    const std::string before = text();
    std::string after = round % 2 == 0 ? text() : before + text();
    if (before == after) continue;
    EXPECT_EQ(applied(before, unified_diff(before, after, "a", "b")), after) << "round " << round;
  }
}

TEST(UnifiedDiff, AVeryDifferentTextIsReplaced) {
  std::string before = "same\n", after = "same\n";
  for (int i = 0; i < 3'000; ++i) {
    before.append("x").append(std::to_string(i)).append("\n");
    after.append("y").append(std::to_string(i)).append("\n");
  }
  EXPECT_EQ(applied(before, unified_diff(before, after, "a", "b")), after);
}

}  // namespace
}  // namespace backstream::app
