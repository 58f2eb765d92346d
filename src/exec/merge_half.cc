#include <algorithm>

#include "exec/windowed_stage.h"

namespace backstream::exec {

MergeHalf::MergeHalf(const plan::Stage& stage, const plan::QueryOptions& options, const PaneGrid& grid,
                     size_t batch_rows, uint64_t hash_mask, RowReceiver& receiver)
    : options_(options),
      grid_(grid),
      layout_(stage, hash_mask),
      tail_(stage, stage.having.get(), options, batch_rows, ledger_, receiver),
      group_rows_(stage, batch_rows) {}

/// Windows that the pane belongs to are open now, and have got rows.
void MergeHalf::opened(Micros start) {
  const Micros last = grid_.last_window_end(start);
  for (Micros end = grid_.first_window_end(start); end <= last; end += grid_.slide_us) {
    if (end > final_before_) windows_[end].dirty = true;
  }
}

void MergeHalf::adopt(Micros start, PaneTablePtr pane) {
  opened(start);
  PaneTablePtr& kept = panes_[start];
  if (kept == nullptr) {
    kept = std::move(pane);
  } else {
    kept->combine(*pane);
  }
}

PaneTable& MergeHalf::pane(Micros start) {
  opened(start);
  PaneTablePtr& kept = panes_[start];
  if (kept == nullptr) kept = std::make_unique<PaneTable>(layout_, pool_, 0);
  return *kept;
}

void MergeHalf::add_counts(const CountsByPane& counts) {
  for (const auto& [start, pane] : counts) {
    const Micros last = grid_.last_window_end(start);
    for (Micros end = grid_.first_window_end(start); end <= last; end += grid_.slide_us) {
      if (end > final_before_) {
        windows_[end].counts += pane;
        continue;
      }
      const auto record = std::lower_bound(recent_.begin(), recent_.end(), end,
                                           [](const WindowRecord& r, Micros time) { return r.end < time; });
      if (record != recent_.end() && record->end == end) {
        record->counts += pane;
      } else {
        recent_.insert(record, {end - grid_.size_us, end, 0, pane});
        if (recent_.size() > Engine::kWindowRecordsMax) recent_.pop_front();
      }
    }
  }
}

void MergeHalf::close_until(Micros watermark) {
  const Micros lateness = options_.allowed_lateness_us;
  // Oldest first. A window that is sent stays until no row can come for it any more.
  for (auto at = windows_.begin(); at != windows_.end() && at->first <= watermark;) {
    const Micros end = at->first;
    const bool final = watermark == base::kMaxTime || end + lateness <= watermark;
    Open& window = at->second;
    // A window none of whose rows were counted has a ledger, but nothing to send.
    if (window.dirty || (final && window.revision > 0)) send(end, window, final);
    if (final) {
      final_before_ = std::max(final_before_, end);
      recent_.push_back({end - grid_.size_us, end, window.revision, window.counts});
      if (recent_.size() > Engine::kWindowRecordsMax) recent_.pop_front();
    }
    at = final ? windows_.erase(at) : std::next(at);
  }
  if (watermark == base::kMaxTime) {
    panes_.clear();
    return;
  }
  while (!panes_.empty() && grid_.last_window_end(panes_.begin()->first) + lateness <= watermark) {
    panes_.erase(panes_.begin());
  }
}

void MergeHalf::send(Micros end, Open& window, bool final) {
  window.revision += window.dirty;
  window.dirty = false;
  const WindowRef ref{end - grid_.size_us, end, window.revision, final};
  const auto first = panes_.lower_bound(ref.start);
  const auto last = panes_.lower_bound(end);
  PaneTable* table = first->second.get();
  std::unique_ptr<PaneTable> combined;
  if (std::next(first) != last) {
    size_t hint = 0;
    for (auto at = first; at != last; ++at) hint = std::max(hint, at->second->group_count());
    combined = std::make_unique<PaneTable>(layout_, pool_, hint);
    for (auto at = first; at != last; ++at) combined->combine(*at->second);
    table = combined.get();
  }
  const agg::NullResults nulls_before = table->context();
  group_rows_.for_each_batch(*table, ref.start, ref.end, [&](batch::ColumnBatch& rows) { tail_.add(ref, rows); });
  if (final) {
    ledger_.add(table->context().since(nulls_before));
    ++ledger_.windows_closed;
  }
  tail_.end(ref, table);
}

}  // namespace backstream::exec
