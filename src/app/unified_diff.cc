#include "app/unified_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

namespace backstream::app {
namespace {

constexpr size_t kContextLines = 3;
constexpr int kEditsMax = 2'000;

using Lines = std::vector<std::string_view>;

Lines lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

struct Step {
  char kind;  // ' ', '-' or '+'.
  std::string_view line;
};

/// The shortest way from a to b: Myers, "An O(ND) Difference Algorithm and Its Variations" (1986). Empty: it is longer
/// than kEditsMax.
std::vector<Step> shortest_way(std::span<const std::string_view> a, std::span<const std::string_view> b) {
  const int n = static_cast<int>(a.size()), m = static_cast<int>(b.size()), edits_max = std::min(n + m, kEditsMax);
  std::vector<int> furthest(2 * static_cast<size_t>(edits_max) + 3, 0);
  const auto at = [&](int diagonal) -> int& { return furthest[static_cast<size_t>(diagonal + edits_max + 1)]; };
  std::vector<std::vector<int>> history;  // What `furthest` was before each number of edits.
  for (int edits = 0; edits <= edits_max; ++edits) {
    history.emplace_back(furthest.begin() + (edits_max + 1 - edits - 1),
                         furthest.begin() + (edits_max + 1 + edits + 2));
    for (int k = -edits; k <= edits; k += 2) {
      const bool down = k == -edits || (k != edits && at(k - 1) < at(k + 1));
      int x = down ? at(k + 1) : at(k - 1) + 1;
      while (x < n && x - k < m && a[static_cast<size_t>(x)] == b[static_cast<size_t>(x - k)]) ++x;
      at(k) = x;
      if (x < n || x - k < m) continue;
      std::vector<Step> steps;
      for (int left = edits, y = m; left >= 0; --left) {
        const std::vector<int>& was = history[static_cast<size_t>(left)];
        const auto then = [&](int diagonal) { return was[static_cast<size_t>(diagonal + left + 1)]; };
        const int own = x - y;
        const bool came_down = own == -left || (own != left && then(own - 1) < then(own + 1));
        const int from = left == 0 ? 0 : came_down ? own + 1 : own - 1;
        const int from_x = left == 0 ? 0 : then(from), from_y = left == 0 ? 0 : from_x - from;
        const int mid_x = left == 0 ? 0 : came_down ? from_x : from_x + 1;
        while (x > mid_x) --x, --y, steps.push_back({' ', a[static_cast<size_t>(x)]});
        if (left == 0) break;
        if (came_down) steps.push_back({'+', b[static_cast<size_t>(from_y)]});
        else steps.push_back({'-', a[static_cast<size_t>(from_x)]});
        x = from_x;
        y = from_y;
      }
      std::reverse(steps.begin(), steps.end());
      return steps;
    }
  }
  return {};
}

std::vector<Step> steps_of(const Lines& a, const Lines& b) {
  size_t head = 0, tail = 0;
  while (head < std::min(a.size(), b.size()) && a[head] == b[head]) ++head;
  while (tail < std::min(a.size(), b.size()) - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  std::vector<Step> steps;
  for (size_t i = 0; i < head; ++i) steps.push_back({' ', a[i]});
  const std::span<const std::string_view> from(a.data() + head, a.size() - head - tail);
  const std::span<const std::string_view> to(b.data() + head, b.size() - head - tail);
  std::vector<Step> middle = shortest_way(from, to);
  if (middle.empty()) {
    for (const auto line : from) middle.push_back({'-', line});
    for (const auto line : to) middle.push_back({'+', line});
  }
  steps.insert(steps.end(), middle.begin(), middle.end());
  for (size_t i = a.size() - tail; i < a.size(); ++i) steps.push_back({' ', a[i]});
  return steps;
}

/// "3,4": the first line and how many, as diff -u counts them.
std::string range_text(size_t lines_before, size_t count) {
  return fmt::format("{},{}", count == 0 ? lines_before : lines_before + 1, count);
}

}  // namespace

std::string unified_diff(std::string_view before, std::string_view after, const std::string& before_name,
                         const std::string& after_name) {
  if (before == after) return {};
  const Lines a = lines_of(before), b = lines_of(after);
  const std::vector<Step> steps = steps_of(a, b);
  std::string out = fmt::format("--- {}\n+++ {}\n", before_name, after_name);
  size_t a_line = 0, b_line = 0, shown = 0;  // Steps before `shown` are told, or left out.
  const auto is_change = [](const Step& step) { return step.kind != ' '; };
  for (;;) {
    const auto change = std::find_if(steps.begin() + static_cast<ptrdiff_t>(shown), steps.end(), is_change);
    if (change == steps.end()) return out;
    const auto first_change = static_cast<size_t>(change - steps.begin());
    const size_t begin = std::max(shown, first_change < kContextLines ? 0 : first_change - kContextLines);
    size_t end = first_change, unchanged = 0;  // Changes with at most twice the context between them are one hunk.
    for (size_t i = first_change; i < steps.size() && unchanged <= 2 * kContextLines; ++i) {
      unchanged = is_change(steps[i]) ? 0 : unchanged + 1;
      if (unchanged == 0) end = i + 1;
    }
    end = std::min(steps.size(), end + kContextLines);
    a_line += begin - shown;
    b_line += begin - shown;
    size_t a_count = 0, b_count = 0;
    std::string hunk;
    for (size_t i = begin; i < end; ++i) {
      a_count += steps[i].kind != '+';
      b_count += steps[i].kind != '-';
      hunk += steps[i].kind;
      hunk += steps[i].line;
      if (!steps[i].line.ends_with('\n')) hunk += "\n\\ No newline at end of file\n";
    }
    out += fmt::format("@@ -{} +{} @@\n{}", range_text(a_line, a_count), range_text(b_line, b_count), hunk);
    a_line += a_count;
    b_line += b_count;
    shown = end;
  }
}

}  // namespace backstream::app
