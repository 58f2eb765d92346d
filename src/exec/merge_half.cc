#include <algorithm>

#include "exec/windowed_stage.h"

namespace backstream::exec {

MergeHalf::MergeHalf(const plan::Stage& stage, size_t stage_index, const plan::QueryOptions& options,
                     const PaneGrid& grid, size_t batch_rows, uint64_t hash_mask, std::shared_ptr<BlockPool> pool,
                     const std::vector<GroupReader>& readers)
    : options_(options),
      grid_(grid),
      pool_(std::move(pool)),
      layout_(stage, hash_mask),
      group_rows_(stage, batch_rows),
      shedder_(stage, batch_rows) {
  const size_t key_end = 2 + stage.keys.size();
  for (const GroupReader& given : readers) {
    Reader& reader = *readers_.emplace_back(std::make_unique<Reader>());
    const plan::Stage& own = given.query->stages[stage_index];
    reader.columns = given.columns;
    for (size_t c = 0; c < reader.columns.size(); ++c) reader.all_columns &= reader.columns[c] == c;
    for (size_t a = 0; a < stage.aggregates.size(); ++a) {
      const bool reads = reader.columns.empty() ||
                         std::find(reader.columns.begin(), reader.columns.end(), key_end + a) != reader.columns.end();
      if (reads) reader.aggregates.push_back(a);
    }
    reader.tail =
        std::make_unique<Tail>(own, own.having.get(), given.query->options, batch_rows, reader.ledger, *given.receiver);
  }
}

/// Windows that the pane belongs to are open now, and have got rows.
void MergeHalf::opened(Micros start) {
  const Micros last = grid_.last_window_end(start);
  for (Micros end = grid_.first_window_end(start); end <= last; end += grid_.slide_us) {
    if (end > final_before_) windows_[end].dirty = true;
  }
}

/// Panes of one slide are combined as they come: all windows hold them together.
MergeHalf::Slide& MergeHalf::slide_of(Micros pane_start) {
  Slide& slide = slides_[grid_.last_window_start(pane_start)];
  slide.grown = true;
  return slide;
}

void MergeHalf::adopt(Micros start, PaneTablePtr pane) {
  opened(start);
  Slide& slide = slide_of(start);
  if (slide.table == nullptr) slide.table = std::move(pane);
  else slide.table->combine(*pane);
}

PaneTable& MergeHalf::pane(Micros start) {
  opened(start);
  Slide& slide = slide_of(start);
  if (slide.table == nullptr) slide.table = std::make_unique<PaneTable>(layout_, *pool_, 0);
  return *slide.table;
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
        recent_.insert(record, {grid_.window_start(end), end, 0, pane});
        if (recent_.size() > Engine::kWindowRecordsMax) recent_.pop_front();
      }
    }
  }
}

void MergeHalf::mark_incomplete(Micros time) {
  const Micros start = grid_.pane_start(time);
  const Micros last = grid_.last_window_end(start);
  for (Micros end = grid_.first_window_end(start); end <= last; end += grid_.slide_us) {
    if (end > final_before_) windows_[end].below_complete = false;
  }
}

void MergeHalf::mark_gap(Micros from, Micros until) {
  // Queries that share the windows may all tell the same.
  if (from >= until || std::find(gaps_.begin(), gaps_.end(), Gap{from, until}) != gaps_.end()) return;
  if (gaps_.size() < kGapsMax) {
    gaps_.push_back({from, until});
  } else {
    gaps_.back() = {std::min(gaps_.back().from, from), std::max(gaps_.back().until, until)};
  }
}

bool MergeHalf::whole(Micros start, Micros end) const {
  return std::none_of(gaps_.begin(), gaps_.end(), [&](const Gap& gap) { return gap.from < end && start < gap.until; });
}

void MergeHalf::close_until(Micros watermark) {
  const Micros lateness = options_.allowed_lateness_us;
  // Oldest first. A window that is sent stays until no row can come for it any more.
  for (auto at = windows_.begin(); at != windows_.end() && at->first <= watermark;) {
    const Micros end = at->first;
    const bool final = watermark == base::kMaxTime || (end + lateness <= watermark && end <= final_limit_);
    Open& window = at->second;
    // A window none of whose rows were counted has a ledger, but nothing to send.
    if (window.dirty || (final && window.revision > 0)) send(end, window, final);
    if (final) {
      final_before_ = std::max(final_before_, end);
      recent_.push_back({grid_.window_start(end), end, window.revision, window.counts});
      if (recent_.size() > Engine::kWindowRecordsMax) recent_.pop_front();
    }
    at = final ? windows_.erase(at) : std::next(at);
  }
  // Also those that no row came for: a late one does not open them.
  if (watermark != base::kMinTime && watermark != base::kMaxTime) {
    final_before_ = std::max(final_before_, grid_.last_end_until(std::min(watermark - lateness, final_limit_)));
  }
  if (options_.emit == plan::QueryOptions::Emit::kOnChange) send_changes(watermark);
  const auto is_over = [&](Micros start) {
    const Micros end = grid_.last_window_end(start);
    return watermark == base::kMaxTime || (end + lateness <= watermark && end <= final_limit_);
  };
  while (!slides_.empty() && is_over(slides_.begin()->first)) {
    forget(slides_.begin()->second);
    slides_.erase(slides_.begin());
  }
  if (gaps_.empty()) return;
  const Micros open_from = grid_.first_start_open_at(final_before_);
  std::erase_if(gaps_, [&](const Gap& gap) { return gap.until <= open_from; });
}

/// Groups that a window left out, because some pane of it had been shed by a lower threshold, were counted by the
/// edges.
void MergeHalf::forget(const Slide& slide) {
  if (slide.least_kept == kKeepAll) return;
  const GroupShedder::Shed shed = shedder_.choose(*slide.table, slide.least_kept);
  shed_here_.rows += shed.rows;
  shed_here_.octets += shed.octets;
}

uint64_t MergeHalf::state_octets() const {
  uint64_t octets = 0;
  for (const auto& reader : readers_) octets += reader ? reader->tail->octets_held() : 0;
  for (const auto& [start, slide] : slides_) octets += slide.table->octets_held();
  return octets;
}

uint64_t MergeHalf::groups_held() const {
  uint64_t groups = 0;
  for (const auto& [start, slide] : slides_) groups += slide.table->group_count();
  return groups;
}

void MergeHalf::shed(double share) {
  keep_below_.lower(static_cast<uint64_t>(static_cast<double>(keep_below_.latest()) * share));
  for (auto& [start, slide] : slides_) drop_beyond(start, slide);
}

void MergeHalf::trim() {
  for (auto& [start, slide] : slides_) {
    if (slide.grown) drop_beyond(start, slide);
  }
}

void MergeHalf::drop_beyond(Micros start, Slide& slide) {
  slide.grown = false;
  const uint64_t keep = keep_below_.at(start);
  if (keep == kKeepAll) return;
  const GroupShedder::Shed shed = shedder_.drop(slide.table, keep, *pool_);
  shed_here_.rows += shed.rows;
  shed_here_.octets += shed.octets;
  const Micros last = grid_.last_window_end(start);
  for (Micros end = grid_.first_window_end(start); end <= last; end += grid_.slide_us) {
    if (end <= final_before_) continue;
    PaneCounts& counts = windows_[end].counts;
    counts.keep_below = std::min(counts.keep_below, keep);
    counts.shed_counted(shed.rows, shed.octets);
  }
}

void MergeHalf::relax() {
  if (final_before_ == base::kMinTime) return;
  const Micros newest = slides_.empty() ? final_before_ : std::max(final_before_, slides_.rbegin()->first);
  keep_below_.raise_after(newest, grid_.last_window_start(newest) + grid_.slide_us);
  keep_below_.forget_before(final_before_ - grid_.size_us);
}

/// on_change: what has come for windows that are still open, as far as the stream's time has passed it, once in
/// `every`. By ends of panes, not by the watermark itself, which is told at other moments where batches are longer.
void MergeHalf::send_changes(Micros watermark) {
  if (watermark == base::kMinTime || watermark == base::kMaxTime) return;
  const Micros step = base::floor_to(grid_.pane_start(watermark), options_.every_us, 0);
  if (step <= sent_step_) return;
  sent_step_ = step;
  for (auto at = windows_.upper_bound(watermark); at != windows_.end(); ++at) {
    if (at->second.dirty) send(at->first, at->second, false);
  }
}

void MergeHalf::send(Micros end, Open& window, bool final) {
  window.revision += window.dirty;
  window.dirty = false;
  const Micros start = grid_.window_start(end);
  const auto first = slides_.lower_bound(start);
  const auto last = slides_.lower_bound(end);
  const uint64_t keep_below = std::min(window.counts.keep_below, keep_below_.at(start));
  PaneTable* table = first->second.table.get();
  std::unique_ptr<PaneTable> combined;
  GroupShedder::Shed shed;
  if (std::next(first) != last || keep_below != kKeepAll) {
    size_t hint = 0;
    for (auto at = first; at != last; ++at) hint = std::max(hint, at->second.table->group_count());
    combined = std::make_unique<PaneTable>(layout_, *pool_, keep_below == kKeepAll ? hint : 0);
    for (auto at = first; at != last; ++at) {
      Slide& slide = at->second;
      if (keep_below == kKeepAll) {
        combined->combine(*slide.table);
        continue;
      }
      const GroupShedder::Shed left_out = shedder_.choose(*slide.table, keep_below);
      shed.rows += left_out.rows;
      shed.octets += left_out.octets;
      combined->combine(*slide.table, shedder_.kept());
      if (final) slide.least_kept = std::min(slide.least_kept, keep_below);
    }
    table = combined.get();
  }
  if (final) window.counts.shed_counted(shed.rows, shed.octets);
  const bool complete =
      shed.rows + window.counts.shed == 0 && window.below_complete && whole(start, end) && end <= complete_limit_;
  const WindowRef ref{start, end, window.revision, final, complete};
  for (const auto& reader : readers_) {
    if (reader) reader->errors_before = reader->ledger.value_errors;
  }
  const std::vector<agg::NullResults> nulls_before = group_rows_.null_results();
  group_rows_.for_each_batch(*table, ref.start, ref.end, [&](batch::ColumnBatch& rows) {
    for (const auto& reader : readers_) {
      if (!reader) continue;
      if (reader->all_columns) {
        reader->tail->add(ref, rows);
        continue;
      }
      reader->rows.row_count = rows.row_count;
      reader->rows.columns.clear();
      for (const size_t column : reader->columns) reader->rows.columns.push_back(rows.columns[column]);
      reader->tail->add(ref, reader->rows);
    }
  });
  if (final) groups_closed_ += table->group_count();
  for (const auto& reader : readers_) {
    if (!reader) continue;
    if (final) {
      for (const size_t a : reader->aggregates)
        reader->ledger.add(group_rows_.null_results()[a].since(nulls_before[a]));
      ++reader->ledger.windows_closed;
    }
    reader->tail->end(ref, table);
    if (!final) reader->ledger.value_errors = reader->errors_before;  // Those of a group count once.
  }
}

}  // namespace backstream::exec
