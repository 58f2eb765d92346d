#include "app/demo/answers.h"

#include <algorithm>
#include <iterator>

#include "app/demo/nodes.h"

namespace backstream::app::demo {

void Answers::read(const service::ResultBoard& board, uint64_t kernel_drops, Micros now) {
  if (kernel_drops != drops_.rbegin()->second) drops_[now] = kernel_drops;
  for (const auto& [query, take] :
       {std::pair(kMatrix.name, &Answers::take_matrix), {kPopTraffic.name, &Answers::take_pops}}) {
    service::ResultBoard::Range range;
    range.revisions = true;
    uint64_t& after = after_[query];
    range.after_seq = after;
    const auto read = board.read(query, range);
    if (!read) continue;
    for (const auto& part : read->parts) {
      (this->*take)(*part);
      after = part->seq;
    }
  }
}

size_t Answers::missing_windows() const {
  return static_cast<size_t>(std::count_if(windows_.begin(), windows_.end(),
                                           [](const auto& window) { return !window.second.missing.empty(); }));
}

void Answers::take_matrix(const receiver::ResultPart& result) {
  if (result.part == 0) {
    matrix_.clear();
    rows_ = 0;
  }
  const auto column = [&](size_t c) { return result.rows.columns[c].as<int64_t>(); };
  for (size_t row = 0; row < result.rows.row_count; ++row) {
    matrix_[{static_cast<uint32_t>(column(1)[row]), static_cast<uint32_t>(column(2)[row])}] +=
        static_cast<uint64_t>(column(3)[row]);
    ++rows_;
  }
  if (!result.last) return;
  Window window;
  window.start = result.window_start;
  window.revision = result.revision;
  window.rows = rows_;
  window.missing = result.sites_missing;
  window.complete = result.complete;
  // A key that came twice would show as fewer groups than rows.
  window.equals_truth = matrix_.size() == rows_ && truth_.equals(result.window_start, matrix_);
  // Drops are counted when they are noticed: a window is clean when none were since it began.
  window.had_drops = std::prev(drops_.upper_bound(window.start)) != std::prev(drops_.end());
  uint64_t octets = 0;
  window.top.assign(matrix_.begin(), matrix_.end());
  for (const auto& [pair, sum] : window.top) octets += sum;
  const size_t shown = std::min<size_t>(5, window.top.size());
  std::partial_sort(
      window.top.begin(), window.top.begin() + static_cast<long>(shown), window.top.end(),
      [](const auto& a, const auto& b) { return a.second != b.second ? a.second > b.second : a.first < b.first; });
  window.top.resize(shown);
  window.bits_per_second = static_cast<double>(octets) * 8 / (static_cast<double>(kWindow) / kSecond);
  windows_[window.start] = window;
  told_.push_back(std::move(window));
  // What lacks a PoP is compared again.
  Micros until = windows_.rbegin()->first;
  for (const auto& [start, newest] : windows_) {
    if (newest.missing.empty()) continue;
    until = start;
    break;
  }
  truth_.forget_until(until);
}

void Answers::take_pops(const receiver::ResultPart& result) {
  Second& second = seconds_[result.window_start];
  if (result.part == 0) second.pops.clear();
  second.missing = result.sites_missing;
  for (size_t row = 0; row < result.rows.row_count; ++row) {
    if (result.rows.columns[1].is_null(row)) continue;
    second.pops[std::string(result.rows.columns[1].as<std::string_view>()[row])] = {
        static_cast<double>(result.rows.columns[2].as<int64_t>()[row]) * 8, result.rows.columns[3].as<int64_t>()[row]};
  }
  while (seconds_.size() > kSeconds) seconds_.erase(seconds_.begin());
}

}  // namespace backstream::app::demo
