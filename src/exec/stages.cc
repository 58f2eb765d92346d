#include <algorithm>
#include <cassert>
#include <mutex>

#include "exec/analytic_stage.h"
#include "exec/box_stage.h"
#include "exec/interval_join_stage.h"
#include "exec/lookup_stage.h"
#include "exec/row_grouper.h"
#include "exec/session_stage.h"
#include "exec/shipping.h"
#include "exec/spread_stage.h"
#include "exec/state_bytes.h"
#include "exec/union_stage.h"
#include "exec/window_join_stage.h"
#include "exec/windowed_stage.h"
#include "plan/split.h"
#include "transport/memory_log.h"

namespace backstream::exec {
namespace {

/// Of partials between two calls of advance(), a query.
constexpr size_t kLogOctetsMax = size_t{1} << 30;

using plan::Query;
using plan::Stage;
using plan::Window;
using window::CountsByPane;
using window::PaneGrid;

PaneGrid grid_of(const Stage& stage, Micros pane_us) {
  return {pane_us, stage.window.size_us, stage.window.slide_us, stage.window.offset_us, stage.window.calendar.get()};
}

/// tumble and hop over event time, of a stream or of the rows below.
class TimeWindowStage final : public WindowedStage {
 public:
  TimeWindowStage(const Stage& stage, size_t stage_index, Micros pane_us, uint32_t edge_count, bool ship,
                  bool of_stream, const EngineOptions& options, std::vector<GroupReader> readers)
      : engine_options_(options),
        options_(readers.front().query->options),
        stage_(stage),
        grid_(grid_of(stage, pane_us)),
        readers_(std::move(readers)),
        loaded_(stage.aggregates.size()) {
    for (uint32_t e = 0; e < edge_count; ++e) {
      edges_.push_back(std::make_unique<EdgeHalf>(stage, options_, grid_, options.batch_rows, options.hash_mask,
                                                  pool_of(options, e, of_stream)));
    }
    merge_ = std::make_unique<MergeHalf>(stage, stage_index, options_, grid_, options.batch_rows, options.hash_mask,
                                         pool_of(options, 0, of_stream), readers_);
    if (edge_count == 0) {
      panes_ = std::make_unique<PaneReader>(stage, options.batch_rows);
      grouper_ = std::make_unique<RowGrouper>(stage, options_, grid_, options);
    }
    if (!ship) return;
    std::string texts;
    for (const GroupReader& reader : readers_) texts += reader.query->text;
    const uint64_t incarnation = std::hash<std::string>{}(texts);
    shipping_ = std::make_unique<PaneShipping>(stage, incarnation, edge_count, options.batch_rows,
                                               std::make_unique<transport::MemoryLog>(1, kLogOctetsMax));
  }

  void process(const batch::ColumnBatch& rows, const ProcessContext& context) override {
    edges_[context.edge]->process(rows, context.watermark, context.time_max, context.common);
  }
  void advance(Micros watermark) override {
    uint64_t octets = merge_->state_octets();
    for (const auto& edge : edges_) octets += edge->state_octets();
    octets_max_ = std::max(octets_max_, octets);
    for (uint32_t e = 0; e < edges_.size(); ++e) {
      EdgeHalf& edge = *edges_[e];
      edge.set_watermark(judged_at(watermark));
      CountsByPane counts = edge.take_counts(watermark);
      edge.take_until(watermark, [&](Micros start, PaneTablePtr pane) {
        ++panes_taken_;
        pane_groups_ += pane->group_count();
        if (!shipping_) return merge_->adopt(start, std::move(pane));
        const auto own = counts.extract(start);
        shipping_->edge(e).send(start, *pane, own.empty() ? PaneCounts{} : own.mapped());
      });
      const PaneTablePtr late = edge.take_late();
      if (shipping_) {
        shipping_->edge(e).send_cut(grid_.pane_start(watermark), counts, late.get());
        shipping_->edge(e).report(watermark, edge.ledger());
      } else {
        merge_->add_counts(counts);
        if (late) late_output_->adopt(*late);
      }
    }
    const Micros merged = shipping_ ? shipping_->receive(*merge_, late_output_.get()) : watermark;
    if (shipping_ || panes_) merge_->trim();
    if ((shipping_ || panes_) && options_.has_state_limit()) most_merged_ = merge_->state_octets();
    send_late(merged);
    merge_->close_until(merged);
    done_ = std::max(done_, merged);
    if (shipping_) shipping_->forget_before(frontier(watermark));
    for (const GroupReader& reader : readers_) {
      if (reader.receiver != nullptr) reader.receiver->on_frontier(frontier(watermark));
    }
  }
  Micros next_cut(Micros watermark) const override {
    if (watermark == base::kMinTime) return base::kMinTime + 1;
    if (watermark == base::kMaxTime) return base::kMaxTime;
    const Micros boundary = grid_.pane_start(watermark) + grid_.pane_us;
    const Micros final_boundary =
        grid_.pane_start(watermark - options_.allowed_lateness_us) + grid_.pane_us + options_.allowed_lateness_us;
    return std::min(boundary, final_boundary);
  }
  WindowLedger ledger() const override { return ledger_of(0); }
  WindowLedger ledger_of(size_t reader) const override {
    WindowLedger total = merge_->ledger(reader);
    for (const auto& edge : edges_) total += edge->ledger();
    total += arrived_;
    total.counted -= arrived_.late;
    const GroupShedder::Shed& shed = merge_->shed_here();
    total.counted -= shed.rows;
    total.shed += shed.rows;
    total.shed_octets += shed.octets;
    return total;
  }
  void drop_reader(size_t reader) override {
    merge_->drop_reader(reader);
    readers_[reader].receiver = nullptr;
  }
  void mark_gap(Micros from, Micros until) override { merge_->mark_gap(from, until); }
  void measure(plan::StageActivity& activity) const override {
    activity.panes = panes_taken_;
    activity.pane_groups = pane_groups_;
    activity.groups = merge_->groups_closed();
    activity.state_octets = octets_max_;
    if (!shipping_) return;
    activity.shipped_octets = shipping_->octets_shipped();
    activity.shipped_messages = shipping_->messages_shipped();
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    for (size_t e = 0; e < edges_.size(); ++e) nodes[node_of(e)] += edges_[e]->state_octets();
    // Partials of others come and windows close within advance(): what was held between counts until the next call.
    nodes[0] += std::max(merge_->state_octets(), most_merged_) + (late_output_ ? late_output_->octets_held() : 0);
  }
  uint64_t groups_held() const override {
    uint64_t groups = merge_->groups_held();
    for (const auto& edge : edges_) groups += edge->groups_held();
    return groups;
  }
  bool shed(size_t node, double share) override {
    for (size_t e = 0; e < edges_.size(); ++e) {
      if (node_of(e) == node) edges_[e]->shed(share);
    }
    if (node == 0) merge_->shed(share);
    if (node == 0) most_merged_ = 0;
    return options_.on_limit == plan::QueryOptions::OnLimit::kShed;
  }
  void relax(size_t node) override {
    for (size_t e = 0; e < edges_.size(); ++e) {
      if (node_of(e) == node) edges_[e]->relax();
    }
    if (node == 0) merge_->relax();
  }
  std::vector<WindowRecord> recent_windows() const override {
    return {merge_->recent_windows().begin(), merge_->recent_windows().end()};
  }
  void keep_late(const plan::LateStage& late, RowReceiver& receiver) override {
    for (auto& edge : edges_) edge->keep_late(late);
    late_output_ = std::make_unique<LateOutput>(late, options_, grid_, engine_options_.batch_rows,
                                                engine_options_.hash_mask, receiver);
    if (shipping_) shipping_->carry_late(late);
  }

  void save_state(StateWriter& out) override { save_reader(0, out); }
  void load_state(StateReader& in) override { load_reader(0, in); }
  void save_reader(size_t reader, StateWriter& out) override {
    SavedGroups groups(stage_, engine_options_.batch_rows, aggregates_of(reader));
    out.time(final_end_);
    out.number(edges_.size());
    for (const auto& edge : edges_) edge->save(out, groups);
    if (panes_) {
      out.time(done_);
      out.time(final_limit_);
      exec::save(out, arrived_);
    }
    merge_->save(out, groups, reader);
    out.part([&] {
      if (late_output_) late_output_->save(out);
    });
  }
  void load_reader(size_t reader, StateReader& in) override {
    const std::vector<size_t> aggregates = aggregates_of(reader);
    SavedGroups groups(stage_, engine_options_.batch_rows, aggregates);
    const std::vector<bool>* known = any_loaded_ ? &loaded_ : nullptr;
    const Micros final_end = in.time();
    if (known == nullptr) final_end_ = final_end;
    const size_t edges = in.count();
    in.check((edges > 0) == (panes_ == nullptr));
    for (size_t e = 0; e < edges && !in.refused(); ++e) edges_[e % edges_.size()]->load(in, groups, known);
    for (size_t e = edges; e < edges_.size(); ++e) edges_[e]->judge_as(*edges_[0]);
    if (panes_) {
      done_ = in.time();
      const Micros final_until = in.time();
      hold_final(final_until, final_until);  // Until edges are asked again, before the next window closes.
      exec::load(in, arrived_);
    }
    if (!in.refused()) merge_->load(in, groups, reader, known);
    StateReader late(in.part());
    if (late_output_ && late.octets_left() > 0) {
      late_output_->load(late);
      in.check(late.is_done());
    }
    any_loaded_ = true;
    for (const size_t a : aggregates) loaded_[a] = true;
  }

  bool take(const partial::Message& message) override {
    const partial::ChunkId& id = message.chunk;
    if (id.kind == partial::ChunkId::Kind::kRows) return false;
    if (id.kind == partial::ChunkId::Kind::kCut) return panes_->take(message, *merge_, nullptr);
    if (grid_.pane_start(id.pane_start) != id.pane_start) return false;
    if (!is_over(id.pane_start)) return panes_->take(message, *merge_, nullptr);
    merge_->add_counts(late_counts_of(message.ledgers, done_ - over_at(id.pane_start) + 1, arrived_));
    return true;
  }
  void take_rows(partial::RowsReader& rows) override {
    RowGrouper::Panes panes = grouper_->group(rows);
    arrived_ += panes.ledger;
    for (auto& [start, table] : panes.tables) {
      if (!is_over(start)) merge_->adopt(start, std::move(table));
    }
    for (const auto& [start, counts] : panes.counts) {
      const bool over = is_over(start);
      merge_->add_counts(over ? late_counts_of({{start, counts}}, done_ - over_at(start) + 1, arrived_)
                              : CountsByPane{{start, counts}});
    }
  }
  void hold_final(Micros final_until, Micros complete_until) override {
    final_limit_ = final_until;
    merge_->hold_final(final_until, complete_until);
  }
  Micros oldest_pane(Micros watermark) const override { return frontier(watermark); }

  void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool) override {
    if (!window.final) return;
    if (!window.complete) merge_->mark_incomplete(window.start);  // Which is the time of its rows.
    process(rows, {});
  }
  void on_frontier(Micros frontier) override { advance(frontier); }

 private:
  /// Where an edge's state lies (add_state_octets).
  size_t node_of(size_t edge) const { return shipping_ ? 1 + edge : 0; }
  /// The least start that a window which is not final yet can have.
  Micros frontier(Micros watermark) const {
    if (watermark == base::kMinTime || watermark == base::kMaxTime) return watermark;
    if (final_limit_ == base::kMinTime) return base::kMinTime;
    return grid_.first_start_open_at(std::min(watermark - options_.allowed_lateness_us, final_limit_));
  }
  /// The watermark that rows are judged late by: those of windows that are held open (hold_final()) are not.
  Micros judged_at(Micros watermark) const {
    if (watermark == base::kMinTime || watermark == base::kMaxTime || final_limit_ >= watermark) return watermark;
    return std::min(watermark, final_limit_ + options_.allowed_lateness_us);
  }
  /// The watermark at which the pane's last window is final.
  Micros over_at(Micros pane_start) const { return grid_.last_window_end(pane_start) + options_.allowed_lateness_us; }
  bool is_over(Micros pane_start) const {
    return over_at(pane_start) <= done_ && grid_.last_window_end(pane_start) <= final_limit_;
  }

  /// Rows that came after the windows up to `final_end_` were final. Sent before more windows become final, so that a
  /// row of `<view>_late` holds the same flows for any batch size, pane length and number of edges.
  void send_late(Micros watermark) {
    const Micros end = watermark == base::kMaxTime || watermark == base::kMinTime
                           ? watermark
                           : grid_.last_end_until(std::min(watermark - options_.allowed_lateness_us, final_limit_));
    if (end <= final_end_) return;
    if (late_output_) late_output_->send(final_end_);
    final_end_ = end;
    if (late_output_) late_output_->end(watermark);
  }

  /// Of a reader's own: which of the stage's they are, in its order.
  std::vector<size_t> aggregates_of(size_t reader) const {
    const size_t key_end = 2 + stage_.keys.size();
    std::vector<size_t> aggregates;
    const std::vector<size_t>& columns = readers_[reader].columns;
    for (size_t c = key_end; c < columns.size(); ++c) aggregates.push_back(columns[c] - key_end);
    for (size_t a = 0; columns.empty() && a < stage_.aggregates.size(); ++a) aggregates.push_back(a);
    return aggregates;
  }

  const EngineOptions engine_options_;
  const plan::QueryOptions& options_;
  const Stage& stage_;
  PaneGrid grid_;
  std::vector<GroupReader> readers_;  ///< those that were dropped have no receiver
  bool any_loaded_ = false;           ///< a reader's state
  std::vector<bool> loaded_;          ///< by aggregate: its states are there
  Micros final_end_ = base::kMinTime;
  uint64_t panes_taken_ = 0, pane_groups_ = 0, octets_max_ = 0;
  uint64_t most_merged_ = 0;                      ///< octets of the merge half before the last advance() closed windows
  std::vector<std::unique_ptr<EdgeHalf>> edges_;  // Before merge_: it holds panes whose memory is theirs.
  std::unique_ptr<RowGrouper> grouper_;           // As edges_: null where the edge halves are here.
  std::unique_ptr<MergeHalf> merge_;
  std::unique_ptr<LateOutput> late_output_;  // null: nobody reads `<view>_late`
  std::unique_ptr<PaneShipping> shipping_;   // null: panes are adopted
  // Merge half only:
  std::unique_ptr<PaneReader> panes_;    ///< null: the edge halves are here
  Micros done_ = base::kMinTime;         ///< the watermark that windows were closed by last
  Micros final_limit_ = base::kMaxTime;  ///< see hold_final()
  WindowLedger arrived_;  ///< of panes that came too late, what was counted as late; all of rows that came as such
};

/// Aggregates the rows of each window of the stage below.
class InheritedStage final : public StageRunner {
 public:
  InheritedStage(const Query& query, const Stage& stage, const EngineOptions& options, RowReceiver& receiver)
      : receiver_(receiver),
        layout_(stage, options.hash_mask),
        aggregator_(stage, query.options, options.batch_rows, layout_, ledger_),
        tail_(stage, stage.having.get(), query.options, options.batch_rows, ledger_, receiver),
        group_rows_(stage, options.batch_rows) {}

  void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) override {
    if (!window.final) return;
    if (table_ == nullptr) table_ = std::make_unique<PaneTable>(layout_, pool_, group_hint_);
    if (rows.row_count > 0) {
      ledger_.assigned += rows.row_count;
      size_t n = 0;
      const uint32_t* kept = aggregator_.prepare(rows, aggregator_.all_rows(), rows.row_count, n);
      if (n > 0) aggregator_.add(kept, n, *table_);
    }
    if (!last) return;
    group_rows_.for_each_batch(*table_, window.start, window.end,
                               [&](batch::ColumnBatch& groups) { tail_.add(window, groups); });
    ledger_.add(table_->context());
    ++ledger_.windows_closed;
    groups_ += table_->group_count();
    octets_max_ = std::max<uint64_t>(octets_max_, table_->octets_held());
    tail_.end(window, table_.get());
    group_hint_ = table_->group_count();
    table_.reset();
  }
  void on_frontier(Micros frontier) override { receiver_.on_frontier(frontier); }
  void process(const batch::ColumnBatch&, const ProcessContext&) override { assert(!"fed by the stage below"); }
  void advance(Micros watermark) override { on_frontier(watermark); }
  WindowLedger ledger() const override { return ledger_; }
  void measure(plan::StageActivity& activity) const override {
    activity.groups = groups_;
    activity.state_octets = octets_max_;
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    nodes[0] += tail_.octets_held() + (table_ ? table_->octets_held() : 0);
  }
  void save_state(StateWriter& out) override {
    assert(table_ == nullptr);  // The rows of a window come in one go.
    save(out, ledger_);
  }
  void load_state(StateReader& in) override { load(in, ledger_); }

 private:
  RowReceiver& receiver_;
  WindowLedger ledger_;
  uint64_t groups_ = 0, octets_max_ = 0;
  BlockPool pool_;
  GroupLayout layout_;
  RowAggregator aggregator_;
  Tail tail_;
  GroupRows group_rows_;
  size_t group_hint_ = 0;
  std::unique_ptr<PaneTable> table_;
};

/// Filters and projects: rows of a stream as they come, or the rows of each window of the stage below.
class RowStage final : public StageRunner {
 public:
  RowStage(const Query& query, const Stage& stage, const EngineOptions& options, RowReceiver& receiver)
      : stage_(stage),
        receiver_(receiver),
        tail_(stage, stage.where.get(), query.options, options.batch_rows, ledger_, receiver) {
    has_window_ = stage.window.kind != Window::Kind::kNone;
    assigns_window_ = stage.window.kind == Window::Kind::kTumble || stage.window.kind == Window::Kind::kHop;
    if (!has_window_) tail_.keep_limit_over_windows();
    starts_.resize(options.batch_rows);
    ends_.resize(options.batch_rows);
  }

  void process(const batch::ColumnBatch& rows, const ProcessContext& context) override {
    const std::lock_guard lock(mutex_);
    if (assigns_window_) return assign_windows(rows);
    WindowRef none;
    none.edge = context.sender;
    pass(none, rows);
  }
  void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) override {
    if (!window.final) return;
    if (rows.row_count > 0) {
      if (assigns_window_) {
        assign_windows(rows);
      } else {
        std::fill_n(starts_.begin(), rows.row_count, window.start);
        std::fill_n(ends_.begin(), rows.row_count, window.end);
        pass(window, rows);
      }
    }
    if (!last || assigns_window_) return;
    if (has_window_) ++ledger_.windows_closed;
    tail_.end(window);
  }
  void on_frontier(Micros frontier) override { receiver_.on_frontier(frontier); }
  void advance(Micros watermark) override {
    if (watermark == base::kMaxTime && (!has_window_ || assigns_window_)) tail_.end(WindowRef{});
    receiver_.on_frontier(watermark);
  }
  Micros next_cut(Micros watermark) const override { return receiver_.next_cut(watermark); }
  WindowLedger ledger() const override { return ledger_; }
  void add_state_octets(std::vector<uint64_t>& nodes) const override { nodes[0] += tail_.octets_held(); }
  void save_state(StateWriter& out) override {
    save(out, ledger_);
    tail_.save(out);
  }
  void load_state(StateReader& in) override {
    load(in, ledger_);
    tail_.load(in);
  }

 private:
  void pass(const WindowRef& window, const batch::ColumnBatch& rows) {
    input_.columns.assign(rows.columns.begin(), rows.columns.end());
    input_.row_count = rows.row_count;
    if (has_window_) {
      for (auto* times : {&starts_, &ends_}) {
        batch::Column column;
        column.type = batch::Type::kTimestamptz;
        column.values = times->data();
        input_.columns.push_back(column);
      }
    }
    ledger_.assigned += rows.row_count;
    const Tail::Added added = tail_.add(window, input_);
    ledger_.counted += added.passed - added.errored;
    ledger_.errored += added.errored;
    ledger_.filtered += rows.row_count - added.passed;
  }
  /// tumble and hop without aggregation: each row once for every window that holds it.
  void assign_windows(const batch::ColumnBatch& rows) {
    const Window& window = stage_.window;
    const batch::Column& time = rows.columns[static_cast<size_t>(window.time_column)];
    if (window.calendar) {
      window::Calendar::Span span{0, 0};  // Neighbours are mostly of one window.
      for (size_t row = 0; row < rows.row_count; ++row) {
        const Micros at = time.is_null(row) ? 0 : std::clamp(time.as<int64_t>()[row], -kTimeMax, kTimeMax);
        if (at < span.start || at >= span.end) span = window.calendar->window_of(at);
        starts_[row] = span.start;
        ends_[row] = span.end;
      }
      return pass(WindowRef{}, rows);
    }
    for (size_t row = 0; row < rows.row_count; ++row) {
      const bool usable = !time.is_null(row);
      starts_[row] = usable ? base::floor_to(time.as<int64_t>()[row], window.slide_us, window.offset_us) : 0;
    }
    for (Micros back = 0; back < window.size_us; back += window.slide_us) {
      for (size_t row = 0; row < rows.row_count; ++row) {
        if (back > 0) starts_[row] -= window.slide_us;
        ends_[row] = starts_[row] + window.size_us;
      }
      pass(WindowRef{}, rows);
    }
  }

  static constexpr Micros kTimeMax = Micros{1} << 62;  // As in EdgeHalf.

  const Stage& stage_;
  RowReceiver& receiver_;
  bool has_window_, assigns_window_;
  WindowLedger ledger_;
  Tail tail_;
  batch::ColumnBatch input_;
  std::vector<Micros> starts_, ends_;
  std::mutex mutex_;  ///< process() may be called for several edges at once
};

}  // namespace

void StageRunner::keep_late(const plan::LateStage&, RowReceiver&) { assert(!"no row of this stage can be late"); }
void StageRunner::keep_late_side(size_t, const plan::Stage&, RowReceiver&) { assert(!"this stage is no join"); }

namespace {

/// Without what is done to rows before they are read: spread() and lookups.
std::unique_ptr<StageRunner> make_reading_stage(const Query& query, size_t stage_index, const EngineOptions& options,
                                                RowReceiver& receiver) {
  const Stage& stage = query.stages[stage_index];
  if (stage.union_all) return make_union_stage(query.inputs.size(), stage, options, receiver);
  if (stage.join) {
    return stage.join->by_window ? make_window_join_stage(query, stage, options, receiver)
                                 : make_interval_join_stage(query, stage, options, receiver);
  }
  if (stage.analytic) return make_analytic_stage(query, stage, options, receiver);
  if (stage.boxes) return make_box_stage(query, stage, options, receiver);
  if (!stage.aggregates_rows) return std::make_unique<RowStage>(query, stage, options, receiver);
  if (stage.window.kind == Window::Kind::kInherited) {
    return std::make_unique<InheritedStage>(query, stage, options, receiver);
  }
  if (stage.window.kind == Window::Kind::kSession) {
    const bool streamed =
        stage_index == 0 && query.inputs.empty() && query.source.kind == plan::Relation::Kind::kStream;
    const bool from_edges = streamed && options.half == Half::kMerge && plan::travel_of(query) != plan::Travel::kRows;
    const uint32_t edges = from_edges ? 0 : streamed ? options.edges : 1;
    return make_session_stage(query, stage, edges, streamed && options.ship, streamed, options, receiver);
  }
  assert(stage.window.kind == Window::Kind::kTumble || stage.window.kind == Window::Kind::kHop);
  const bool from_stream = stage_index == 0 && query.source.kind == plan::Relation::Kind::kStream;
  const bool from_edges = from_stream && options.half == Half::kMerge && plan::travel_of(query) != plan::Travel::kRows;
  const plan::SplitPlan split = plan::split(query, options.pane_us_max);
  const bool split_panes = from_stream || query.options.emit == plan::QueryOptions::Emit::kOnChange;
  const Micros pane_us = split_panes ? split.edge.pane_us : plan::pane_of(stage.window);
  const uint32_t edges = from_edges ? 0 : from_stream ? options.edges : 1;
  return make_windowed_stage(stage, stage_index, pane_us, edges, from_stream && options.ship, from_stream, options,
                             {{&query, &receiver, {}}});
}

}  // namespace

std::unique_ptr<WindowedStage> make_windowed_stage(const Stage& stage, size_t stage_index, Micros pane_us,
                                                   uint32_t edge_count, bool ship, bool of_stream,
                                                   const EngineOptions& options, std::vector<GroupReader> readers) {
  return std::make_unique<TimeWindowStage>(stage, stage_index, pane_us, edge_count, ship, of_stream, options,
                                           std::move(readers));
}

std::unique_ptr<StageRunner> make_stage(const Query& query, size_t stage_index, const EngineOptions& options,
                                        RowReceiver& receiver) {
  const Stage& stage = query.stages[stage_index];
  auto runner = make_reading_stage(query, stage_index, options, receiver);
  const bool streamed = stage_index == 0 && query.inputs.empty() && query.source.kind == plan::Relation::Kind::kStream;
  if (streamed && options.half == Half::kMerge) return runner;  // Edges have done the rest.
  if (!stage.lookups.empty())
    runner = make_lookup_stage(query, stage, streamed ? options.edges : 1, options, std::move(runner));
  if (stage.spread) runner = make_spread_stage(stage, options, std::move(runner));
  return runner;
}

}  // namespace backstream::exec
