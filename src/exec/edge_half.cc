#include <algorithm>
#include <iterator>

#include "exec/windowed_stage.h"

namespace backstream::exec {

using batch::Column;

namespace {

/// Numbers the panes of times that lie close together, without a division a row.
class PaneNumbers {
 public:
  static constexpr size_t kPanesMax = 64;
  PaneNumbers(const PaneGrid& grid, Micros least, Micros greatest)
      : first_(grid.pane_start(least)), pane_(static_cast<uint64_t>(grid.pane_us)) {
    const auto span = static_cast<uint64_t>(greatest - first_);
    known_ = span / pane_ < kPanesMax && span <= UINT64_MAX / pane_ && pane_ > 1;
    // Division by multiplication: with m = 2^64 / pane rounded up, x * m / 2^64 is x / pane for all x * pane <= 2^64.
    inverse_ = UINT64_MAX / pane_ + 1;
  }
  bool known() const { return known_; }
  uint32_t of(Micros time) const {
    __extension__ const auto product = static_cast<unsigned __int128>(static_cast<uint64_t>(time - first_)) * inverse_;
    return static_cast<uint32_t>(product >> 64);
  }
  Micros start(uint32_t number) const { return first_ + static_cast<Micros>(number * pane_); }

 private:
  Micros first_;
  uint64_t pane_, inverse_;
  bool known_;
};

}  // namespace

EdgeHalf::EdgeHalf(const plan::Stage& stage, const plan::QueryOptions& options, const PaneGrid& grid, size_t batch_rows,
                   uint64_t hash_mask, std::shared_ptr<BlockPool> pool)
    : stage_(stage),
      options_(options),
      grid_(grid),
      batch_rows_(batch_rows),
      hash_mask_(hash_mask),
      pool_(std::move(pool)),
      layout_(stage, hash_mask),
      aggregator_(stage, options, batch_rows, layout_, ledger_),
      shedder_(stage, batch_rows),
      timed_(batch_rows),
      by_pane_(batch_rows),
      pane_of_row_(batch_rows) {}

void EdgeHalf::keep_late(const plan::LateStage& late) {
  late_ = std::make_unique<LateRows>(late, options_, batch_rows_, hash_mask_);
}

/// The rows that have a usable event time; the others are counted.
const uint32_t* EdgeHalf::rows_with_time(const Column& time, size_t row_count, size_t& n, Times& range) {
  const int64_t* times = time.as<int64_t>();
  n = row_count;
  if (!time.has_nulls) {
    Micros least = times[0], greatest = times[0];
    for (size_t i = 1; i < row_count; ++i) {
      least = std::min(least, times[i]);
      greatest = std::max(greatest, times[i]);
    }
    range = {least, greatest};
    if (least >= kTimeMin && greatest <= time_max_) return aggregator_.all_rows();
  }
  n = 0;
  range = {base::kMaxTime, base::kMinTime};
  for (size_t i = 0; i < row_count; ++i) {
    if (time.is_null(i)) {
      ++ledger_.time_null;
    } else if (times[i] < kTimeMin || times[i] > time_max_) {
      ++ledger_.time_future;
    } else {
      timed_[n++] = static_cast<uint32_t>(i);
      range = {std::min(range.least, times[i]), std::max(range.greatest, times[i])};
    }
  }
  return timed_.data();
}

void EdgeHalf::process(const batch::ColumnBatch& rows, Micros watermark, Micros time_max, CommonColumns* common) {
  if (rows.row_count == 0) return;
  seen_ = std::max(seen_, watermark);
  time_max_ = std::min(time_max, kTimeMax);
  const Column& time = rows.columns[static_cast<size_t>(stage_.window.time_column)];
  size_t n = 0;
  Times range{};
  const uint32_t* chosen = rows_with_time(time, rows.row_count, n, range);
  ledger_.assigned += n;
  if (n == 0) return;
  batch_ = &rows;
  size_t kept = 0;
  const uint32_t* passed = aggregator_.prepare(rows, chosen, n, kept, common);
  const int64_t* times = time.as<int64_t>();
  const Micros start = grid_.pane_start(range.least);
  const bool one_pane = range.greatest - start < grid_.pane_us;
  count_with_groups_ = kept == n && !one_pane;
  if (one_pane) counts_of(start).assigned += n;
  else if (!count_with_groups_) count_assigned(times, chosen, n, range);
  for (const uint32_t row : aggregator_.errored()) ++counts_of(grid_.pane_start(times[row])).errored;
  if (kept == 0) return;
  if (one_pane) add_to_pane(start, passed, kept);
  else add_by_pane(times, passed, kept, range);
  if (range.greatest >= prepare_at_) prepare_next_pane(range.greatest);
}

/// Well before the pane of `newest` ends, memory is made ready for the one after it: that comes before any pane gives
/// its memory back.
void EdgeHalf::prepare_next_pane(Micros newest) {
  const Micros start = grid_.pane_start(newest);
  const Micros soon = start + grid_.pane_us / 4 * 3;
  prepare_at_ = soon;
  if (newest < soon) return;
  if (const auto pane = open_.find(start); pane != open_.end()) pane->second->prepare_next();
  prepare_at_ = soon + grid_.pane_us;
}

PaneCounts& EdgeHalf::counts_of(Micros start) {
  if (last_counts_ != nullptr && start == last_counts_start_) return *last_counts_;
  auto found = counts_.find(start);
  if (found == counts_.end()) {
    if (counts_.size() >= kOpenPanesMax) return counts_elsewhere_;
    found = counts_.emplace(start, PaneCounts{}).first;
  }
  last_counts_start_ = start;
  return *(last_counts_ = &found->second);
}

/// Counts rows by pane; those of a batch lie close together.
void EdgeHalf::count_assigned(const Micros* times, const uint32_t* rows, size_t n, const Times& range) {
  const PaneNumbers panes(grid_, range.least, range.greatest);
  if (!panes.known()) {
    for (size_t i = 0; i < n; ++i) ++counts_of(grid_.pane_start(times[rows[i]])).assigned;
    return;
  }
  uint32_t assigned[PaneNumbers::kPanesMax] = {};
  for (size_t i = 0; i < n; ++i) ++assigned[panes.of(times[rows[i]])];
  for (uint32_t p = 0; p < PaneNumbers::kPanesMax; ++p) {
    if (assigned[p] != 0) counts_of(panes.start(p)).assigned += assigned[p];
  }
}

CountsByPane EdgeHalf::take_counts(Micros watermark) {
  CountsByPane taken;
  while (!counts_.empty() && counts_.begin()->first + grid_.pane_us <= watermark) {
    auto node = counts_.extract(counts_.begin());
    PaneCounts& counts = node.mapped();
    counts.filtered = counts.assigned - counts.counted - counts.late - counts.errored - counts.shed;
    taken.insert(taken.end(), std::move(node));
  }
  last_counts_ = nullptr;
  return taken;
}

/// Splits rows by pane: those of a batch of traffic are few. Times all over the place are sorted.
void EdgeHalf::add_by_pane(const Micros* times, const uint32_t* rows, size_t n, const Times& range) {
  if (const PaneNumbers panes(grid_, range.least, range.greatest); panes.known()) {
    // Places of the first row of each pane, then of the next one to be put there.
    uint32_t at[PaneNumbers::kPanesMax + 1] = {};
    for (size_t i = 0; i < n; ++i) {
      const uint32_t pane = panes.of(times[rows[i]]);
      pane_of_row_[i] = static_cast<uint8_t>(pane);
      ++at[pane + 1];
    }
    for (size_t p = 1; p <= PaneNumbers::kPanesMax; ++p) at[p] += at[p - 1];
    for (size_t i = 0; i < n; ++i) by_pane_[at[pane_of_row_[i]]++] = rows[i];
    size_t begin = 0;
    for (uint32_t p = 0; begin < n; ++p) {
      if (at[p] > begin) add_to_pane(panes.start(p), by_pane_.data() + begin, at[p] - begin);
      begin = at[p];
    }
    return;
  }
  std::copy_n(rows, n, by_pane_.data());
  std::stable_sort(by_pane_.begin(), by_pane_.begin() + static_cast<long>(n),
                   [&](uint32_t a, uint32_t b) { return grid_.pane_start(times[a]) < grid_.pane_start(times[b]); });
  for (size_t begin = 0; begin < n;) {
    const Micros start = grid_.pane_start(times[by_pane_[begin]]);
    size_t end = begin + 1;
    while (end < n && times[by_pane_[end]] - start < grid_.pane_us) ++end;
    add_to_pane(start, by_pane_.data() + begin, end - begin);
    begin = end;
  }
}

/// How many groups to make room for in a new pane: as many as its neighbour has. Rows with odd times open panes that
/// stay nearly empty, so only the first few that are open get so much.
size_t EdgeHalf::groups_expected(Micros start) const {
  constexpr size_t kRoomyPanesMax = 8;
  if (open_.size() >= kRoomyPanesMax) return 0;
  const auto after = open_.lower_bound(start);
  return after == open_.begin() ? group_hint_ : std::max(group_hint_, std::prev(after)->second->group_count());
}

uint64_t EdgeHalf::state_octets() const {
  uint64_t octets = late_ ? late_->octets_held() : 0;
  for (const auto& [start, pane] : open_) octets += pane->octets_held();
  return octets;
}

uint64_t EdgeHalf::groups_held() const {
  uint64_t groups = 0;
  for (const auto& [start, pane] : open_) groups += pane->group_count();
  return groups;
}

void EdgeHalf::shed(double share) {
  const auto keep = static_cast<uint64_t>(static_cast<double>(keep_below_.latest()) * share);
  keep_below_.lower(keep);
  for (auto& [start, pane] : open_) {
    const uint64_t keep_pane = std::min(pane->keep_below, keep);
    const GroupShedder::Shed shed = shedder_.drop(pane, keep_pane, *pool_);
    pane->keep_below = keep_pane;
    PaneCounts& counts = counts_of(start);
    counts.keep_below = std::min(counts.keep_below, keep_pane);
    counts.shed_counted(shed.rows, shed.octets);
    ledger_.counted -= shed.rows;
    ledger_.shed += shed.rows;
    ledger_.shed_octets += shed.octets;
  }
  last_pane_ = nullptr;
  group_hint_ = static_cast<size_t>(static_cast<double>(group_hint_) * share);
}

void EdgeHalf::relax() {
  if (watermark_ == base::kMinTime || watermark_ == base::kMaxTime) return;
  // Rows have come for windows that lie ahead of the watermark; those have begun.
  const Micros newest = open_.empty() ? watermark_ : std::max(watermark_, open_.rbegin()->first);
  keep_below_.raise_after(newest, grid_.last_window_start(newest) + grid_.slide_us);
  keep_below_.forget_before(watermark_ - options_.allowed_lateness_us - grid_.size_us);
}

void EdgeHalf::add_to_pane(Micros start, const uint32_t* rows, size_t n) {
  PaneCounts& counts = counts_of(start);
  if (count_with_groups_) counts.assigned += n;
  bool late_for_some = false;
  if (last_pane_ == nullptr || start != last_start_) {
    const Micros judged_at = judges_ ? watermark_ : base::kMinTime;
    late_for_some = grid_.first_window_end(start) + options_.allowed_lateness_us <= judged_at;
    if (late_for_some && late_) {
      // Late rows are told apart by slide, whatever the length of panes.
      ledger_.late_unkept += late_->add(*batch_, rows, n, grid_.last_window_start(start));
    }
    const Micros kept_until = grid_.last_window_end(start) + options_.allowed_lateness_us;
    if (kept_until <= judged_at) {
      ledger_.late += n;
      counts.late += n;
      // With a delay greater by this the watermark would still have been before the end of the row's last window.
      ledger_.late_by_max_us = std::max(ledger_.late_by_max_us, seen_ - kept_until + 1);
      return;
    }
    auto found = open_.find(start);
    if (found == open_.end()) {
      if (open_.size() >= kOpenPanesMax) {
        ledger_.shed += n;
        counts.shed += n;
        return;
      }
      found = open_.emplace(start, std::make_unique<PaneTable>(layout_, *pool_, groups_expected(start))).first;
      found->second->keep_below = keep_below_.at(start);
      counts.keep_below = std::min(counts.keep_below, found->second->keep_below);
    }
    last_start_ = start;
    last_pane_ = found->second.get();
  }
  if (last_pane_->keep_below != kKeepAll) {
    GroupShedder::Shed shed;
    rows = aggregator_.admit(rows, n, *last_pane_, shed, n);
    counts.shed += shed.rows;
    counts.shed_octets += shed.octets;
    ledger_.shed += shed.rows;
    ledger_.shed_octets += shed.octets;
  }
  aggregator_.add(rows, n, *last_pane_);
  counts.counted += n;
  if (late_for_some) last_pane_ = nullptr;  // The next rows of the pane are late, too.
}

}  // namespace backstream::exec
