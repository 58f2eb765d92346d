#include "exec/session_stage.h"

#include <algorithm>
#include <map>

#include "exec/row_grouper.h"
#include "exec/saved_groups.h"
#include "exec/shipping.h"
#include "exec/windowed_stage.h"
#include "plan/split.h"
#include "transport/memory_log.h"

namespace backstream::exec {
namespace {

/// Of partials between two calls of advance(), a query.
constexpr size_t kLogOctetsMax = size_t{1} << 30;

/// The merge half: sessions that are open, one a key. One thread.
///
/// Sessions are noted by the panes of their last rows, so that closing looks at those alone that may be over. The key
/// of one that is over stays in the table, without a first row, until the table is made anew.
class SessionMerge final : public PaneReceiver {
 public:
  SessionMerge(const plan::Stage& stage, const plan::QueryOptions& options, const PaneGrid& grid, size_t batch_rows,
               uint64_t hash_mask, std::shared_ptr<BlockPool> pool, RowReceiver& receiver)
      : grid_(grid),
        gap_us_(stage.window.size_us),
        min_column_(stage.grouped.columns.size() - 2),
        pool_(std::move(pool)),
        layout_(stage, hash_mask),
        tail_(stage, stage.having.get(), options, batch_rows, ledger_, receiver),
        group_rows_(stage, batch_rows),
        min_offset_(layout_.state_offsets()[stage.aggregates.size() - 2]),
        max_offset_(layout_.state_offsets()[stage.aggregates.size() - 1]),
        min_(stage.aggregates[stage.aggregates.size() - 2].function),
        max_(stage.aggregates[stage.aggregates.size() - 1].function),
        table_(new_table(0)) {}

  PaneTable& pane(Micros start) override {
    PaneTablePtr& kept = panes_[start];
    if (kept == nullptr) kept = new_table(0);
    return *kept;
  }
  void adopt(Micros start, PaneTablePtr pane) {
    PaneTablePtr& kept = panes_[start];
    if (kept == nullptr) kept = std::move(pane);
    else kept->combine(*pane);
  }
  /// Sessions are windows of one key, so panes have no ledger of a window to be added to.
  void add_counts(const window::CountsByPane&) override {}

  /// All panes that end at or before `done` (a pane's boundary, or kMaxTime) are here.
  void close_until(Micros done) {
    // Later ones wait: where edges are apart, another may still send an earlier one.
    while (!panes_.empty() && (done == base::kMaxTime || panes_.begin()->first + grid_.pane_us <= done)) {
      const auto oldest = panes_.extract(panes_.begin());
      close(oldest.key());
      for (const bool wide : {false, true}) join(*oldest.mapped(), wide);
      make_anew();
    }
    close(done);
    if (done == base::kMaxTime) tail_.end(WindowRef{});
  }
  uint64_t state_octets() const {
    uint64_t octets = table_->octets_held() + tail_.octets_held();
    for (const auto& [start, pane] : panes_) octets += pane->octets_held();
    for (const Form& form : forms_) {
      for (const auto* noted : {&form.by_last, &form.by_first}) {
        for (const auto& [start, rows] : *noted) octets += rows.capacity() * sizeof(uint8_t*);
      }
    }
    return octets;
  }
  uint64_t groups_held() const {
    uint64_t groups = table_->group_count();
    for (const auto& [start, pane] : panes_) groups += pane->group_count();
    return groups;
  }
  /// The least start of a session that is open; kMaxTime: none.
  Micros oldest_start() {
    Micros oldest = base::kMaxTime;
    for (const bool wide : {false, true}) oldest = std::min(oldest, oldest_start(wide));
    return oldest;
  }
  const WindowLedger& ledger() const { return ledger_; }

  void save(StateWriter& out, SavedGroups& groups) {
    exec::save(out, ledger_);
    tail_.save(out);
    out.number(ended_);
    groups.save(*table_, out);
    out.number(panes_.size());
    for (const auto& [start, pane] : panes_) {
      out.time(start);
      groups.save(*pane, out);
    }
  }
  void load(StateReader& in, SavedGroups& groups) {
    exec::load(in, ledger_);
    tail_.load(in);
    ended_ = in.number();
    table_ = groups.load(in, layout_, *pool_);
    for (size_t left = in.count(2); left > 0 && !in.refused(); --left) {
      const Micros start = in.bounded_time();
      if (!in.check(grid_.pane_start(start) == start && !panes_.contains(start))) return;
      PaneTablePtr& made = panes_[start] = groups.load(in, layout_, *pool_);
      if (!in.refused()) in.check(has_usable_times(*made));
    }
    if (in.refused() || !in.check(has_usable_times(*table_))) return;
    note_all();
    for (const Form& form : forms_) {
      for (const auto& [start, rows] : form.by_last) live_ += rows.size();
    }
  }
  /// The first and last rows of all groups are of times that arithmetic cannot overflow with: true of all rows that
  /// came, but not of all octets that may be read.
  bool has_usable_times(PaneTable& table) {
    const auto usable = [](Micros time) { return time >= -kSavedTimeMax && time <= kSavedTimeMax; };
    for (const bool wide : {false, true}) {
      rows_.resize(table.group_count(wide));
      for (size_t g = 0; g < rows_.size(); ++g) rows_[g] = table.row(g, wide);
      spans_of(table, wide, rows_.data(), rows_.size(), spans_);
      for (const Span& span : spans_) {
        if (span.open && (!usable(span.first) || !usable(span.last) || span.first > span.last)) return false;
      }
    }
    return true;
  }

 private:
  /// What is noted of the sessions whose keys are of one form: their rows in the table, by the pane of their last row
  /// and of their first. Notes that time has passed by stay until they are looked at.
  struct Form {
    std::map<Micros, std::vector<uint8_t*>> by_last, by_first;
  };
  struct Span {
    Micros first, last;
    bool open;  ///< there is a session
  };

  PaneTablePtr new_table(size_t hint) { return std::make_unique<PaneTable>(layout_, *pool_, hint); }

  /// First and last row of each of n groups.
  void spans_of(PaneTable& table, bool wide, uint8_t* const* rows, size_t n, std::vector<Span>& spans) {
    times_.resize(n);
    present_.resize(n);
    spans.resize(n);
    const auto read = [&](const agg::AggregateFunction& function, uint32_t offset) {
      batch::Column out;
      out.type = batch::Type::kTimestamptz;
      out.has_nulls = true;
      out.values = times_.data();
      out.validity = present_.data();
      function.finish(rows, table.states_at(wide) + offset, n, out, 0, table.context());
    };
    read(*min_, min_offset_);
    for (size_t i = 0; i < n; ++i) spans[i] = {times_[i], 0, present_[i] != 0};
    read(*max_, max_offset_);
    for (size_t i = 0; i < n; ++i) spans[i].last = times_[i];
  }

  /// Sends the sessions that end at or before `time`; the others stay.
  void close(Micros time) {
    for (const bool wide : {false, true}) {
      auto& by_last = forms_[wide].by_last;
      for (auto at = by_last.begin(); at != by_last.end() && (time == base::kMaxTime || at->first + gap_us_ <= time);) {
        const Micros pane = at->first;
        std::vector<uint8_t*>& noted = at->second;
        // A key may be noted twice, when a session of it was over and another one began.
        std::sort(noted.begin(), noted.end());
        noted.erase(std::unique(noted.begin(), noted.end()), noted.end());
        spans_of(*table_, wide, noted.data(), noted.size(), spans_);
        over_.clear();
        size_t staying = 0;
        for (size_t i = 0; i < noted.size(); ++i) {
          if (!spans_[i].open) continue;
          if (time == base::kMaxTime || spans_[i].last + gap_us_ <= time) over_.push_back(noted[i]);
          else if (grid_.pane_start(spans_[i].last) == pane) noted[staying++] = noted[i];
        }
        noted.resize(staying);
        end_sessions(wide);
        at = noted.empty() ? by_last.erase(at) : std::next(at);
      }
    }
  }

  /// Sends the sessions of `over_`.
  void end_sessions(bool wide) {
    if (over_.empty()) return;
    send(*table_, wide, over_.data(), over_.size());
    for (uint8_t* row : over_) table_->reset_states(row, wide);
    live_ -= over_.size();
    ended_ += over_.size();
  }

  /// Adds the groups of a pane to the sessions of their keys. Where a key's open session is too far away, the earlier
  /// of the two is over.
  void join(PaneTable& pane, bool wide) {
    constexpr size_t kStep = 1024;
    uint8_t* from[kStep];
    uint8_t* to[kStep];
    for (size_t at = 0; at < pane.group_count(wide); at += kStep) {
      const size_t n = std::min(kStep, pane.group_count(wide) - at);
      for (size_t i = 0; i < n; ++i) from[i] = pane.row(at + i, wide);
      table_->rows_of(pane, wide, at, n, to);
      spans_of(pane, wide, from, n, spans_);
      spans_of(*table_, wide, to, n, open_spans_);
      over_.clear();
      apart_.clear();
      for (size_t i = 0; i < n; ++i) {
        Span& session = open_spans_[i];
        if (session.open && spans_[i].first >= session.last + gap_us_) {
          over_.push_back(to[i]);
          session.open = false;
        } else if (session.open && session.first >= spans_[i].last + gap_us_) {
          apart_.push_back(from[i]);
          to[i] = nullptr;
        }
      }
      end_sessions(wide);
      if (!apart_.empty()) send(pane, wide, apart_.data(), apart_.size());
      for (size_t i = 0; i < n; ++i) {
        if (to[i] == nullptr) continue;
        table_->combine_row(to[i], from[i], wide);
        live_ += !open_spans_[i].open;
        note(wide, to[i], spans_[i], open_spans_[i]);
      }
    }
  }

  /// Notes a session that got rows; `before` is its span without them.
  void note(bool wide, uint8_t* row, const Span& rows, const Span& before) {
    const Micros last = grid_.pane_start(rows.last), first = grid_.pane_start(rows.first);
    if (!before.open || last > grid_.pane_start(before.last)) forms_[wide].by_last[last].push_back(row);
    if (!before.open || first < grid_.pane_start(before.first)) forms_[wide].by_first[first].push_back(row);
  }

  /// Once more sessions ended than are open, the table is mostly keys without one.
  void make_anew() {
    constexpr size_t kEndedMin = 1024;
    if (ended_ < live_ + kEndedMin) return;
    const PaneTablePtr old = std::move(table_);
    table_ = new_table(live_);
    forms_[0] = forms_[1] = {};
    std::vector<uint8_t> chosen;
    for (const bool wide : {false, true}) {
      rows_.resize(old->group_count(wide));
      for (size_t g = 0; g < rows_.size(); ++g) rows_[g] = old->row(g, wide);
      spans_of(*old, wide, rows_.data(), rows_.size(), spans_);
      for (const Span& span : spans_) chosen.push_back(span.open);
    }
    table_->combine(*old, chosen.data());
    note_all();
    ended_ = 0;
  }
  /// Notes all sessions of the table that are open.
  void note_all() {
    for (const bool wide : {false, true}) {
      rows_.resize(table_->group_count(wide));
      for (size_t g = 0; g < rows_.size(); ++g) rows_[g] = table_->row(g, wide);
      spans_of(*table_, wide, rows_.data(), rows_.size(), spans_);
      for (size_t g = 0; g < rows_.size(); ++g) {
        if (spans_[g].open) note(wide, rows_[g], spans_[g], Span{0, 0, false});
      }
    }
  }

  Micros oldest_start(bool wide) {
    auto& by_first = forms_[wide].by_first;
    for (auto at = by_first.begin(); at != by_first.end(); at = by_first.erase(at)) {
      std::vector<uint8_t*>& noted = at->second;
      spans_of(*table_, wide, noted.data(), noted.size(), spans_);
      Micros oldest = base::kMaxTime;
      size_t staying = 0;
      for (size_t i = 0; i < noted.size(); ++i) {
        if (!spans_[i].open || grid_.pane_start(spans_[i].first) != at->first) continue;
        noted[staying++] = noted[i];
        oldest = std::min(oldest, spans_[i].first);
      }
      noted.resize(staying);
      if (staying > 0) return oldest;
    }
    return base::kMaxTime;
  }

  void send(PaneTable& table, bool wide, uint8_t* const* sessions, size_t n) {
    const agg::NullResults nulls_before = table.context();
    group_rows_.for_each_batch(table, wide, sessions, n, [&](batch::ColumnBatch& rows) {
      const Micros* firsts = rows.columns[min_column_].as<Micros>();
      const Micros* lasts = rows.columns[min_column_ + 1].as<Micros>();
      for (size_t row = 0; row < rows.row_count; ++row) {
        rows.columns[0].as<Micros>()[row] = firsts[row];
        rows.columns[1].as<Micros>()[row] = lasts[row] + gap_us_;
      }
      ledger_.windows_closed += rows.row_count;
      tail_.add(WindowRef{}, rows);
    });
    ledger_.add(table.context().since(nulls_before));
  }

  const PaneGrid grid_;
  const Micros gap_us_;
  const size_t min_column_;  ///< of the grouped row; the greatest time stands behind it
  WindowLedger ledger_;
  const std::shared_ptr<BlockPool> pool_;
  GroupLayout layout_;
  Tail tail_;
  GroupRows group_rows_;
  const uint32_t min_offset_, max_offset_;
  const agg::AggregateFunction* const min_;
  const agg::AggregateFunction* const max_;
  std::map<Micros, PaneTablePtr> panes_;  ///< not joined yet
  PaneTablePtr table_;                    ///< rows never move: two times do not fit in an index
  Form forms_[2];                         ///< narrow, wide
  size_t live_ = 0;                       ///< sessions that are open
  size_t ended_ = 0;                      ///< since the table was made
  // Scratch.
  std::vector<Micros> times_;
  std::vector<uint8_t> present_;
  std::vector<Span> spans_, open_spans_;
  std::vector<uint8_t*> over_, apart_, rows_;
};

class SessionStage final : public StageRunner {
 public:
  SessionStage(const plan::Query& query, const plan::Stage& stage, uint32_t edge_count, bool ship, bool of_stream,
               const EngineOptions& options, RowReceiver& receiver)
      : stage_(stage),
        batch_rows_(options.batch_rows),
        grid_(plan::session_grid(stage.window)),
        receiver_(receiver),
        merge_(stage, query.options, grid_, options.batch_rows, options.hash_mask, pool_of(options, 0, of_stream),
               receiver) {
    for (uint32_t e = 0; e < edge_count; ++e)
      edges_.push_back(std::make_unique<EdgeHalf>(stage, query.options, grid_, options.batch_rows, options.hash_mask,
                                                  pool_of(options, e, of_stream)));
    if (edge_count == 0) {
      panes_ = std::make_unique<PaneReader>(stage, options.batch_rows);
      grouper_ = std::make_unique<RowGrouper>(stage, query.options, grid_, options);
    }
    if (!ship) return;
    shipping_ =
        std::make_unique<PaneShipping>(stage, std::hash<std::string>{}(query.text), edge_count, options.batch_rows,
                                       std::make_unique<transport::MemoryLog>(1, kLogOctetsMax));
  }

  void process(const batch::ColumnBatch& rows, const ProcessContext& context) override {
    edges_[context.edge]->process(rows, context.watermark, context.time_max, context.common);
  }
  void advance(Micros watermark) override {
    for (uint32_t e = 0; e < edges_.size(); ++e) {
      EdgeHalf& edge = *edges_[e];
      edge.set_watermark(watermark);
      window::CountsByPane counts = edge.take_counts(watermark);
      edge.take_until(watermark, [&](Micros start, PaneTablePtr pane) {
        if (shipping_) shipping_->edge(e).send(start, *pane, counts[start]);
        else merge_.adopt(start, std::move(pane));
      });
      if (shipping_) shipping_->edge(e).report(watermark, edge.ledger());
    }
    const Micros merged = shipping_ ? shipping_->receive(merge_, nullptr) : watermark;
    const bool bound = merged == base::kMaxTime || merged == base::kMinTime;
    const Micros done = bound ? merged : grid_.pane_start(merged);
    if (done == base::kMinTime) return;
    merge_.close_until(done);
    done_ = std::max(done_, done);
    // A row that is not late makes a session that begins at most this long ago.
    const Micros row_floor = bound ? merged : done - grid_.size_us;
    if (shipping_ && !bound) shipping_->forget_before(row_floor);
    receiver_.on_frontier(std::min(merge_.oldest_start(), row_floor));
  }
  Micros next_cut(Micros watermark) const override {
    if (watermark == base::kMinTime) return base::kMinTime + 1;
    if (watermark == base::kMaxTime) return base::kMaxTime;
    return grid_.pane_start(watermark) + grid_.pane_us;
  }
  WindowLedger ledger() const override {
    WindowLedger total = merge_.ledger();
    for (const auto& edge : edges_) total += edge->ledger();
    total += arrived_;
    total.counted -= arrived_.late;
    return total;
  }
  bool take(const partial::Message& message) override {
    const partial::ChunkId& id = message.chunk;
    if (id.kind == partial::ChunkId::Kind::kRows) return false;
    if (id.kind == partial::ChunkId::Kind::kCut) return panes_->take(message, merge_, nullptr);
    if (grid_.pane_start(id.pane_start) != id.pane_start) return false;
    if (!is_over(id.pane_start)) return panes_->take(message, merge_, nullptr);
    add_late(message.ledgers, id.pane_start);
    return true;
  }
  void take_rows(partial::RowsReader& rows) override {
    RowGrouper::Panes panes = grouper_->group(rows);
    arrived_ += panes.ledger;
    for (auto& [start, table] : panes.tables) {
      if (!is_over(start)) merge_.adopt(start, std::move(table));
    }
    for (const auto& [start, counts] : panes.counts) {
      if (is_over(start)) add_late({{start, counts}}, start);
    }
  }
  Micros oldest_pane(Micros watermark) const override {
    const bool bound = watermark == base::kMaxTime || watermark == base::kMinTime;
    return bound ? watermark : grid_.pane_start(watermark) - grid_.size_us;
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    for (size_t e = 0; e < edges_.size(); ++e) nodes[shipping_ ? 1 + e : 0] += edges_[e]->state_octets();
    nodes[0] += merge_.state_octets();
  }
  uint64_t groups_held() const override {
    uint64_t groups = merge_.groups_held();
    for (const auto& edge : edges_) groups += edge->groups_held();
    return groups;
  }
  void save_state(StateWriter& out) override {
    SavedGroups groups(stage_, batch_rows_);
    out.number(edges_.size());
    for (const auto& edge : edges_) edge->save(out, groups);
    if (panes_) {
      out.time(done_);
      save(out, arrived_);
    }
    merge_.save(out, groups);
  }
  void load_state(StateReader& in) override {
    SavedGroups groups(stage_, batch_rows_);
    const size_t edges = in.count();
    in.check((edges > 0) == (panes_ == nullptr));
    for (size_t e = 0; e < edges && !in.refused(); ++e) edges_[e % edges_.size()]->load(in, groups, nullptr);
    for (size_t e = edges; e < edges_.size(); ++e) edges_[e]->judge_as(*edges_[0]);
    if (panes_) {
      done_ = in.time();
      load(in, arrived_);
    }
    if (in.refused()) return;
    for (const auto& edge : edges_)
      edge->for_each_pane([&](PaneTable& pane) { in.check(merge_.has_usable_times(pane)); });
    merge_.load(in, groups);
  }
  void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool) override {
    if (window.final) process(rows, {});
  }
  void on_frontier(Micros frontier) override { advance(frontier); }

 private:
  /// As an edge half has it: a session that ended with a row of such a pane would be closed for certain.
  bool is_over(Micros pane_start) const { return grid_.last_window_end(pane_start) <= done_; }
  void add_late(const std::vector<partial::PaneLedger>& ledgers, Micros pane_start) {
    late_counts_of(ledgers, done_ - grid_.last_window_end(pane_start) + 1, arrived_);
  }

  const plan::Stage& stage_;
  const size_t batch_rows_;
  const PaneGrid grid_;
  RowReceiver& receiver_;
  std::vector<std::unique_ptr<EdgeHalf>> edges_;  // Before merge_: it holds panes whose memory is theirs.
  std::unique_ptr<RowGrouper> grouper_;           // As edges_: null where the edge halves are here.
  SessionMerge merge_;
  std::unique_ptr<PaneShipping> shipping_;  // null: panes are adopted
  // Merge half only, as in stages.cc:
  std::unique_ptr<PaneReader> panes_;
  Micros done_ = base::kMinTime;
  WindowLedger arrived_;
};

}  // namespace

std::unique_ptr<StageRunner> make_session_stage(const plan::Query& query, const plan::Stage& stage, uint32_t edge_count,
                                                bool ship, bool of_stream, const EngineOptions& options,
                                                RowReceiver& receiver) {
  return std::make_unique<SessionStage>(query, stage, edge_count, ship, of_stream, options, receiver);
}

}  // namespace backstream::exec
