// What both halves of windowed aggregation keep, as octets of a saved state and back (docs/design/0021-checkpoints.md).
#include <algorithm>

#include "exec/windowed_stage.h"

namespace backstream::exec {
namespace {

constexpr uint64_t kRevisionsMax = uint64_t{1} << 30;

void save_steps(StateWriter& out, const KeepBelow& keep_below) {
  out.number(keep_below.steps().size());
  for (const auto& [start, keep] : keep_below.steps()) {
    out.time(start);
    out.number(~keep);
  }
}
void load_steps(StateReader& in, KeepBelow& keep_below) {
  std::map<Micros, uint64_t> steps;
  for (size_t left = in.count(2); left > 0 && !in.refused(); --left) {
    const Micros start = in.time();
    steps[start] = ~in.number();
  }
  keep_below = KeepBelow(std::move(steps));
}

}  // namespace

// --- EdgeHalf -----------------------------------------------------------------------------------------------------

void EdgeHalf::save(StateWriter& out, SavedGroups& groups) {
  exec::save(out, ledger_);
  out.time(watermark_);
  out.time(seen_);
  out.time(prepare_at_);
  out.number(group_hint_);
  save_steps(out, keep_below_);
  exec::save(out, counts_elsewhere_);
  out.number(counts_.size());
  for (const auto& [start, counts] : counts_) {
    out.time(start);
    exec::save(out, counts);
  }
  out.number(open_.size());
  for (const auto& [start, pane] : open_) {
    out.time(start);
    out.number(~pane->keep_below);
    groups.save(*pane, out);
  }
  out.part([&] {
    if (late_) late_->save(out);
  });
}

void EdgeHalf::load(StateReader& in, SavedGroups& groups, const std::vector<bool>* known) {
  const bool first = known == nullptr;
  const auto is_pane = [&](Micros start) { return in.check(!in.refused() && grid_.pane_start(start) == start); };
  WindowLedger ledger;
  exec::load(in, ledger);
  const Micros watermark = in.watermark(), seen = in.watermark(), prepare_at = in.watermark();
  constexpr size_t kHintMax = size_t{1} << 22;  // A hint that is not true must not take all memory.
  const size_t hint = std::min(kHintMax, static_cast<size_t>(in.number()));
  KeepBelow keep_below;
  load_steps(in, keep_below);
  PaneCounts elsewhere;
  exec::load(in, elsewhere);
  if (first) {
    ledger_ += ledger;
    set_watermark(watermark);
    seen_ = std::max(seen_, seen);
    prepare_at_ = std::max(prepare_at_, prepare_at);
    group_hint_ = std::max(group_hint_, hint);
    keep_below_.add(keep_below);
    counts_elsewhere_ += elsewhere;
  }
  last_counts_ = nullptr;
  last_pane_ = nullptr;
  for (size_t left = in.count(9); left > 0; --left) {
    const Micros start = in.bounded_time();
    PaneCounts counts;
    exec::load(in, counts);
    if (!is_pane(start) || !in.check(counts_.size() < kOpenPanesMax || counts_.contains(start))) return;
    if (first) counts_[start] += counts;
  }
  for (size_t left = in.count(3); left > 0; --left) {
    const Micros start = in.bounded_time();
    const uint64_t keep = ~in.number();
    if (!is_pane(start)) return;
    const auto there = open_.find(start);
    if (!first) {
      if (!in.check(there != open_.end())) return;
      groups.add(in, *there->second, *known);
      continue;
    }
    if (!in.check(open_.size() < kOpenPanesMax)) return;
    PaneTablePtr pane = groups.load(in, layout_, *pool_);
    pane->keep_below = keep;
    if (in.refused()) return;
    if (there == open_.end()) {
      open_.emplace(start, std::move(pane));
    } else {  // Of another edge: there were more of them.
      there->second->combine(*pane);
      there->second->keep_below = std::min(there->second->keep_below, keep);
    }
  }
  StateReader late(in.part());
  if (!first || !late_ || late.octets_left() == 0) return;
  late_->load(late);
  in.check(late.is_done());
}

void LateRows::save(StateWriter& out) {
  if (table_ != nullptr) SavedGroups(layout_.stage(), pane_starts_.size()).save(*table_, out);
}
void LateRows::load(StateReader& in) {
  PaneTablePtr table = SavedGroups(layout_.stage(), pane_starts_.size()).load(in, layout_, pool_);
  if (in.refused()) return;
  if (table_ == nullptr) table_ = std::move(table);
  else table_->combine(*table);
}

void LateOutput::save(StateWriter& out) {
  if (pending_ != nullptr) SavedGroups(layout_.stage(), in_window_.size()).save(*pending_, out);
}
void LateOutput::load(StateReader& in) {
  pending_ = SavedGroups(layout_.stage(), in_window_.size()).load(in, layout_, pool_);
}

// --- MergeHalf ----------------------------------------------------------------------------------------------------

void MergeHalf::save(StateWriter& out, SavedGroups& groups, size_t reader) {
  exec::save(out, readers_[reader]->ledger);
  save_steps(out, keep_below_);
  for (const uint64_t shed : {shed_here_.groups, shed_here_.rows, shed_here_.octets}) out.number(shed);
  out.number(groups_closed_);
  out.time(sent_step_);
  out.time(final_before_);
  out.number(slides_.size());
  for (const auto& [start, slide] : slides_) {
    out.time(start);
    out.flag(slide.grown);
    out.number(~slide.least_kept);
    groups.save(*slide.table, out);
  }
  out.number(windows_.size());
  for (const auto& [end, window] : windows_) {
    out.time(end);
    out.number(static_cast<uint64_t>(window.revision));
    out.flag(window.dirty);
    out.flag(window.below_complete);
    exec::save(out, window.counts);
  }
  out.number(recent_.size());
  for (const WindowRecord& record : recent_) {
    out.time(record.start);
    out.time(record.end);
    out.number(static_cast<uint64_t>(record.revision));
    exec::save(out, record.counts);
  }
  out.number(gaps_.size());
  for (const Gap& gap : gaps_) {
    out.time(gap.from);
    out.time(gap.until);
  }
}

void MergeHalf::load(StateReader& in, SavedGroups& groups, size_t reader, const std::vector<bool>* known) {
  const bool first = known == nullptr;
  exec::load(in, readers_[reader]->ledger);
  KeepBelow keep_below;
  load_steps(in, keep_below);
  GroupShedder::Shed shed;
  for (uint64_t* count : {&shed.groups, &shed.rows, &shed.octets}) *count = in.number();
  const uint64_t closed = in.number();
  const Micros sent_step = in.time(), final_before = in.time();
  if (first) {
    keep_below_ = keep_below;
    shed_here_ = shed;
    groups_closed_ = closed;
    sent_step_ = sent_step;
    final_before_ = final_before;
  }
  load_slides(in, groups, known);
  load_windows(in, first);
  load_recent(in, first);
  load_gaps(in, first);
}

bool MergeHalf::is_slide(Micros start) const { return grid_.last_window_start(start) == start; }

bool MergeHalf::has_slide(Micros start, Micros end) const {
  const auto at = slides_.lower_bound(start);
  return at != slides_.end() && at->first < end;
}

void MergeHalf::load_slides(StateReader& in, SavedGroups& groups, const std::vector<bool>* known) {
  for (size_t left = in.count(4); left > 0; --left) {
    const Micros start = in.bounded_time();
    const bool grown = in.flag();
    const uint64_t least_kept = ~in.number();
    if (in.refused() || !in.check(is_slide(start))) return;
    const auto there = slides_.find(start);
    if (!in.check((there == slides_.end()) == (known == nullptr))) return;
    if (known != nullptr) {
      groups.add(in, *there->second.table, *known);
      continue;
    }
    Slide& slide = slides_[start];
    slide.grown = grown;
    slide.least_kept = least_kept;
    slide.table = groups.load(in, layout_, *pool_);
    if (in.refused()) return;
  }
}

void MergeHalf::load_windows(StateReader& in, bool take) {
  for (size_t left = in.count(12); left > 0; --left) {
    const Micros end = in.bounded_time();
    Open window;
    window.revision = static_cast<int>(in.number(kRevisionsMax));
    window.dirty = in.flag();
    window.below_complete = in.flag();
    exec::load(in, window.counts);
    if (in.refused() || !in.check(grid_.last_end_until(end) == end)) return;
    // What is to be sent has groups.
    if (!in.check((!window.dirty && window.revision == 0) || has_slide(grid_.window_start(end), end))) return;
    if (take) windows_[end] = window;
  }
}

void MergeHalf::load_recent(StateReader& in, bool take) {
  const size_t count = in.count(11);
  if (!in.check(count <= Engine::kWindowRecordsMax)) return;
  for (size_t left = count; left > 0; --left) {
    WindowRecord record;
    record.start = in.bounded_time();
    record.end = in.bounded_time();
    record.revision = static_cast<int>(in.number(kRevisionsMax));
    exec::load(in, record.counts);
    if (!take) continue;
    if (!in.check(recent_.empty() || recent_.back().end < record.end)) return;
    recent_.push_back(record);
  }
}

void MergeHalf::load_gaps(StateReader& in, bool take) {
  for (size_t left = in.count(2); left > 0 && !in.refused(); --left) {
    const Micros from = in.time(), until = in.time();
    if (take) mark_gap(from, until);
  }
}

}  // namespace backstream::exec
