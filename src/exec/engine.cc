#include "exec/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <mutex>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "exec/address_truncation.h"
#include "exec/block_pool.h"
#include "exec/hidden_columns.h"
#include "exec/shared_stage.h"
#include "exec/stage.h"
#include "exec/state_bytes.h"
#include "exec/state_form.h"
#include "exec/travel_probe.h"
#include "partial/rows.h"
#include "plan/late_join.h"

namespace backstream::exec {

WindowLedger& WindowLedger::operator+=(const WindowLedger& other) {
  assigned += other.assigned;
  counted += other.counted;
  filtered += other.filtered;
  late += other.late;
  errored += other.errored;
  shed += other.shed;
  shed_octets += other.shed_octets;
  time_null += other.time_null;
  time_future += other.time_future;
  lost += other.lost;
  refused += other.refused;
  windows_closed += other.windows_closed;
  result_rows += other.result_rows;
  late_by_max_us = std::max(late_by_max_us, other.late_by_max_us);
  for (size_t i = 0; i < std::size(value_errors.by_kind); ++i) value_errors.by_kind[i] += other.value_errors.by_kind[i];
  sum_overflow += other.sum_overflow;
  spread_rows += other.spread_rows;
  spread_without_span += other.spread_without_span;
  spread_too_long += other.spread_too_long;
  capped_groups += other.capped_groups;
  negative_weights += other.negative_weights;
  late_unkept += other.late_unkept;
  box_tuples_refused += other.box_tuples_refused;
  box_windows_skipped += other.box_windows_skipped;
  return *this;
}

void WindowLedger::add(const agg::NullResults& nulls) {
  sum_overflow += nulls.overflow_count;
  capped_groups += nulls.capped_count;
  negative_weights += nulls.negative_weight_count;
}

QueryFailed::QueryFailed(const expr::ValueErrorCounts& errors)
    : std::runtime_error([&] {
        size_t kind = 0;
        while (kind + 1 < std::size(errors.by_kind) && errors.by_kind[kind] == 0) ++kind;
        const auto error = static_cast<expr::ValueError>(kind);
        return fmt::format("{} {} (on_error is 'fail')", expr::sqlstate(error), expr::message(error));
      }()) {}

namespace {

/// What a stage holds, the most at a cut, before it closes what it can. For EXPLAIN ANALYZE.
class StateMeter {
 public:
  explicit StateMeter(const StageRunner& stage, size_t node_count) : stage_(stage), nodes_(node_count) {}
  void look() {
    std::fill(nodes_.begin(), nodes_.end(), 0);
    stage_.add_state_octets(nodes_);
    octets_max_ = std::max(octets_max_, std::accumulate(nodes_.begin(), nodes_.end(), uint64_t{0}));
  }
  uint64_t octets_max() const { return octets_max_; }

 private:
  const StageRunner& stage_;
  std::vector<uint64_t> nodes_;
  uint64_t octets_max_ = 0;
};

/// Counts the rows that pass from one stage to the next, for EXPLAIN ANALYZE.
class Meter final : public RowReceiver {
 public:
  /// @param state  of the stage that reads the rows; null: none does
  explicit Meter(RowReceiver& next, StateMeter* state) : next_(next), state_(state) {}
  void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) override {
    if (window.final) rows_ += rows.row_count;
    next_.on_rows(window, rows, last);
  }
  void on_frontier(Micros frontier) override {
    if (state_ != nullptr) state_->look();
    next_.on_frontier(frontier);
  }
  Micros next_cut(Micros frontier) const override { return next_.next_cut(frontier); }
  uint64_t rows() const { return rows_; }

 private:
  RowReceiver& next_;
  StateMeter* const state_;
  uint64_t rows_ = 0;
};

/// Merge half: where what the edges send of one query over a stream arrives.
struct EdgesInbox {
  explicit EdgesInbox(plan::Travel what) : inbox({}), travel(what) {}
  partial::Inbox inbox;
  const plan::Travel travel;
  std::optional<partial::RowsReader> rows;  ///< none: no rows have come
  Micros frontier = base::kMinTime;         ///< that the query was advanced to
  Micros whole = base::kMinTime;            ///< frontier of absent edges, too, as it was then
  uint64_t rows_too_late = 0;               ///< of messages about panes that were forgotten
  bool malformed = false;                   ///< scratch of take()
};

/// A query at work: its stages in a chain, and at their end this: the sink and the views above.
class RunningQuery final : public RowReceiver {
 public:
  /// @param root      the query that it is an input of; null: none
  RunningQuery(std::shared_ptr<const plan::Query> query, size_t index, const EngineOptions& options,
               StageSharing& sharing, ResultSink* sink, Measured measured, uint64_t incarnation,
               RunningQuery* root = nullptr)
      : query_(std::move(query)),
        index_(index),
        incarnation_(incarnation),
        options_(options),
        sharing_(sharing),
        sink_(sink),
        measured_(measured),
        root_(root == nullptr ? this : root->root_) {
    held_.resize(1 + options.edges);
    if (query_->inputs.empty() && query_->source.reads_hidden) hidden_.emplace();
    if (query_->options.truncation && query_->inputs.empty())
      truncations_.assign(options.edges, AddressTruncation(*query_->options.truncation));
    make_stages();
    for (size_t i = 0; i < query_->inputs.size(); ++i) {
      inputs_.push_back(std::make_unique<RunningQuery>(
          std::shared_ptr<const plan::Query>(query_, query_->inputs[i].get()), index, options, sharing, nullptr,
          measured, partial::incarnation_of_input(incarnation, i + 1), this));
      inputs_.back()->readers_.push_back({this, i});
    }
  }
  /// As if no row had ever come. What was told of gaps is forgotten.
  void begin_anew() {
    for (const auto& input : inputs_) input->begin_anew();
    stages_.clear();
    make_stages();
    connect_late();
    result_rows_ = 0;
    frontier_ = limit_cut_ = base::kMinTime;
    life_from_ = base::kMinTime;
    life_until_ = base::kMaxTime;
  }
  void make_stages() {
    meters_.clear();
    states_.clear();
    input_meters_.clear();
    if (options_.half == Half::kEdge) {
      if (reads_stream()) stages_.push_back(make_edge_stage(*query_, plan::travel_of(*query_), incarnation_, options_));
      return;
    }
    if (options_.half == Half::kMerge && reads_stream())
      edges_ = std::make_unique<EdgesInbox>(plan::travel_of(*query_));
    const bool measured = measured_ != Measured::kNot;
    probe_.reset();
    if (measured_ == Measured::kTraffic && reads_stream() && options_.half == Half::kBoth)
      probe_ = std::make_unique<TravelProbe>(*query_, options_);
    const EngineOptions& options = options_;
    stages_.resize(query_->stages.size());
    meters_.resize(measured ? stages_.size() : 0);
    states_.resize(meters_.size());
    RowReceiver* above = this;
    for (size_t s = stages_.size(); s-- > 0;) {
      StateMeter* state = measured && s + 1 < stages_.size() ? states_[s + 1].get() : nullptr;
      if (measured) above = (meters_[s] = std::make_unique<Meter>(*above, state)).get();
      // What is measured is a query's own, and an input stops with the query that it is of: others may not depend on
      // it.
      const bool shares = s == 0 && !measured && root_ == this && options.half == Half::kBoth;
      stages_[s] = shares ? sharing_.make_first_stage(query_, *above) : make_stage(*query_, s, options, *above);
      above = stages_[s].get();
      if (measured) states_[s] = std::make_unique<StateMeter>(*stages_[s], 1 + options.edges);
    }
    if (measured) entry_ = std::make_unique<Meter>(*stages_.front(), states_.front().get());
    for (size_t i = 0; measured && i < query_->inputs.size(); ++i)
      input_meters_.push_back(std::make_unique<Meter>(stages_.front()->input(i), states_.front().get()));
  }
  const plan::Query& query() const { return *query_; }
  bool reads_stream() const { return query_->inputs.empty() && query_->source.kind == plan::Relation::Kind::kStream; }
  uint64_t incarnation() const { return incarnation_; }
  /// Merge half, of a query that reads a stream.
  EdgesInbox& edges() { return *edges_; }
  /// Calls visit(query) for those that read a stream, of this one and its inputs.
  template <typename Visit>
  void for_each_reading(Visit&& visit) {
    if (reads_stream()) visit(*this);
    for (const auto& input : inputs_) input->for_each_reading(visit);
  }
  /// The columns of its source that it reads, late rows included.
  const std::vector<bool>& columns_used() const {
    return late_ ? late_->stage.input_used : query_->stages.front().input_used;
  }
  void refresh_lookups() {
    for (auto& stage : stages_) stage->refresh_lookups();
    if (probe_) probe_->refresh_lookups();
    for (auto& input : inputs_) input->refresh_lookups();
  }
  const std::vector<std::unique_ptr<RunningQuery>>& inputs() const { return inputs_; }
  void add_reader(RunningQuery& query) { readers_.push_back({&query}); }
  /// A reader of `<view>_late`: its rows come without windows, in no order.
  void add_late_reader(RunningQuery& query) {
    if (late_rows_.readers.empty()) keep_late();
    late_rows_.readers.push_back({&query});
  }

  bool released() const { return released_.has_value(); }
  bool has_readers() const { return !readers_.empty() || !late_rows_.readers.empty(); }
  const RunningQuery* root() const { return root_; }
  /// What reads it is going.
  void forget_reader(const RunningQuery& root) {
    for (auto* readers : {&readers_, &late_rows_.readers})
      std::erase_if(*readers, [&](const Reader& reader) { return reader.query->root_ == &root; });
  }
  /// Of an edge half, which reads a stream itself.
  void add_rows_open(std::map<uint64_t, uint64_t>& open) const {
    if (!failed() && !stages_.empty()) open[incarnation_] = stages_.front()->rows_open();
  }
  void tell_lost(const std::map<uint64_t, uint64_t>& rows) {
    const auto known = rows.find(incarnation_);
    if (known != rows.end() && !failed() && !stages_.empty()) stages_.front()->tell_lost(known->second);
  }
  void mark_gap(Micros from, Micros until) {
    for (size_t s = 0; s < stages_.size() && !failed() && inputs_.empty(); ++s) {
      stages_[s]->mark_gap(from, until);
      // Rows of a view that are only passed on make their windows above.
      if (reads_stream() || query_->stages[s].aggregates_rows) break;
    }
    for (const auto& input : inputs_) input->mark_gap(from, until);
  }

  // Of the first stage. A query that has failed does nothing. process() may run on several threads at once.
  void process(const batch::ColumnBatch& rows, const ProcessContext& context) {
    guard([&] {
      const batch::ColumnBatch& read = truncations_.empty() ? rows : truncations_[context.edge].apply(rows);
      if (probe_) probe_->process(read, context);
      stages_.front()->process(read, context);
    });
  }
  void advance(Micros watermark) {
    guard([&] {
      const bool pane_ends = query_->options.has_state_limit() && watermark >= limit_cut_;
      // Before windows close: that is when most is held.
      if (pane_ends) root_->measure();
      if (!states_.empty()) states_.front()->look();
      if (probe_) probe_->advance(watermark);
      stages_.front()->advance(watermark);
      if (!pane_ends) return;
      limit_cut_ = stages_.front()->next_cut(watermark);
      root_->shed();
    });
  }
  Micros next_cut_of_first(Micros watermark) const {
    if (failed()) return base::kMaxTime;
    const Micros cut = stages_.front()->next_cut(watermark);
    return probe_ ? std::min(cut, probe_->next_cut(watermark)) : cut;
  }
  std::vector<WindowRecord> recent_windows() const {
    if (released_) return released_->windows;
    return stages_.empty() ? std::vector<WindowRecord>() : stages_.front()->recent_windows();
  }

  bool failed() const { return root_->failed_.load(std::memory_order_acquire); }
  /// Any thread; the first reason stays.
  void fail(const std::string& why) {
    const std::lock_guard lock(root_->failure_mutex_);
    if (root_->failed_.load(std::memory_order_relaxed)) return;
    root_->failure_ = why;
    root_->failed_.store(true, std::memory_order_release);
  }
  const std::string& failure() const { return failure_; }
  /// Frees what a query that failed holds, and lets those fail that read it. Nothing else runs meanwhile.
  /// @return  whether there was something to do
  bool settle() {
    if (!failed() || released_) return false;
    released_.emplace(Released{ledger(), recent_windows()});
    for (const auto& input : inputs_) input->settle();
    for (const auto* readers : {&readers_, &late_rows_.readers}) {
      for (const Reader& reader : *readers) {
        if (reader.query->root_ != root_)
          reader.query->fail(fmt::format("55000 view \"{}\", which it reads, was stopped", query_->name));
      }
    }
    stages_.clear();
    return true;
  }

  /// The ledger of the rows that the query read; results are those of its last stage.
  WindowLedger ledger() const {
    if (released_) return released_->ledger;
    WindowLedger ledger;
    for (const auto& input : inputs_) ledger += input->ledger();
    bool rows_as_read = passes_rows(*query_, 0);
    if (stages_.empty()) return ledger;
    if (inputs_.empty()) ledger = stages_.front()->ledger();
    if (edges_) add_reported(ledger);
    for (size_t s = inputs_.empty() ? 1 : 0; s < stages_.size(); ++s) {
      rows_as_read = rows_as_read && (s == 0 || passes_rows(query_->stages[s - 1]));
      const WindowLedger later = stages_[s]->ledger();
      for (size_t i = 0; i < std::size(ledger.value_errors.by_kind); ++i) {
        ledger.value_errors.by_kind[i] += later.value_errors.by_kind[i];
      }
      ledger.add({later.sum_overflow, later.capped_groups, later.negative_weights});
      ledger.late += later.late;
      ledger.late_by_max_us = std::max(ledger.late_by_max_us, later.late_by_max_us);
      ledger.time_null += later.time_null;
      ledger.time_future += later.time_future;
      ledger.refused += later.refused;
      ledger.box_tuples_refused += later.box_tuples_refused;
      ledger.box_windows_skipped += later.box_windows_skipped;
      if (rows_as_read) {  // Rows that this stage turned away had been counted by the one that passed them on.
        const uint64_t timeless = later.time_null + later.time_future;
        ledger.assigned -= timeless;
        ledger.counted -= timeless + later.late + later.refused;
        ledger.shed += later.refused;
      }
      ledger.windows_closed = later.windows_closed;
    }
    ledger.result_rows = result_rows_;
    return ledger;
  }

  Engine::Held held() const {
    Engine::Held held;
    std::vector<uint64_t> nodes(held_.size());
    add_state_octets(nodes);
    held.octets = std::accumulate(nodes.begin(), nodes.end(), uint64_t{0});
    held.groups = groups_held();
    return held;
  }

  plan::QueryActivity activity() const {
    plan::QueryActivity activity;
    uint64_t rows_of_inputs = 0;
    for (const auto& input : inputs_) activity.inputs.push_back(input->activity());
    if (probe_) activity.traffic = probe_->edges();
    if (released_) {  // What it did is gone, but for the rows that it gave.
      for (const auto& meter : meters_) activity.stages.emplace_back().rows_out = meter->rows();
      return activity;
    }
    for (const plan::QueryActivity& input : activity.inputs) {
      rows_of_inputs += input.stages.back().rows_out;
    }
    for (size_t s = 0; s < stages_.size(); ++s) {
      plan::StageActivity& stage = activity.stages.emplace_back();
      const WindowLedger ledger = stages_[s]->ledger();
      if (s > 0) stage.rows_in = meters_[s - 1]->rows();
      else if (!inputs_.empty()) stage.rows_in = rows_of_inputs;
      else if (query_->source.kind == plan::Relation::Kind::kView) stage.rows_in = entry_->rows();
      else stage.rows_in = ledger.assigned + ledger.time_null + ledger.time_future;
      stage.filtered = ledger.filtered;
      stage.late = ledger.late;
      stage.errored = ledger.errored + ledger.shed + ledger.refused + ledger.box_tuples_refused + ledger.time_null +
                      ledger.time_future;
      stage.windows = ledger.windows_closed;
      stage.rows_out = meters_[s]->rows();
      stages_[s]->measure(stage);
      if (stage.state_octets == 0) stage.state_octets = states_[s]->octets_max();
    }
    return activity;
  }

  // Of a query that reads a stream, where halves are apart.
  void send_open() {
    guard([&] { stages_.front()->send_open(); });
  }
  /// False: it does not fit the plan.
  bool take(const partial::Message& message, std::span<const uint8_t> bytes) {
    if (failed()) return true;
    EdgesInbox& edges = *edges_;
    edges.malformed = false;
    const uint64_t stale = edges.inbox.drops(partial::InboxDrop::kStale);
    guard([&] {
      edges.inbox.accept(message, bytes, [&](const partial::ChunkId&, std::span<const uint8_t> chunk) {
        partial::Message whole;
        partial::PartialFault fault{};
        edges.malformed |= !partial::read_message(chunk, whole, fault) || !take_whole(whole);
      });
    });
    if (edges.inbox.drops(partial::InboxDrop::kStale) != stale) {
      for (const partial::PaneLedger& ledger : message.ledgers) edges.rows_too_late += ledger.counts.counted;
    }
    return !edges.malformed;
  }
  /// Closes what the edges are through with.
  void close_reported() {
    if (failed()) return;
    EdgesInbox& edges = *edges_;
    const Micros whole = edges.inbox.whole_frontier();
    const Micros frontier = std::max(edges.frontier, edges.inbox.frontier());
    if (frontier == edges.frontier && whole == edges.whole) return;
    edges.frontier = frontier;
    edges.whole = whole;
    StageRunner& stage = *stages_.front();
    if (whole >= frontier) stage.hold_final(base::kMaxTime, base::kMaxTime);
    else stage.hold_final(std::max(whole, frontier - kSiteGrace), whole);
    if (frontier == base::kMinTime) return;
    advance(frontier);
    if (failed() || frontier == base::kMaxTime) return;
    const Micros oldest = edges.travel == plan::Travel::kRows ? frontier : stage.oldest_pane(frontier);
    if (oldest != base::kMinTime) edges.inbox.forget_before(oldest - kRepeatsKnown);
  }

  void set_life(Micros from, Micros until) {
    life_from_ = from;
    life_until_ = until;
  }
  bool has_ended() const { return frontier_ >= life_until_; }
  Micros frontier() const { return frontier_; }
  Micros life_until() const { return life_until_; }
  /// No row of a window that begins before `until` is expected at this watermark, or would still be taken.
  /// @param window_us  how long windows are that its rows come to, which may be those of what reads it
  bool is_over(Micros watermark, Micros until, Micros window_us) const {
    if (watermark == base::kMaxTime || until == base::kMinTime) return true;
    if (watermark == base::kMinTime || until == base::kMaxTime) return false;
    return watermark - window_us - query_->options.allowed_lateness_us >= until;
  }
  /// Of its stages, and those of its inputs.
  Micros longest_window() const {
    Micros longest = 0;
    for (const plan::Stage& stage : query_->stages) longest = std::max(longest, stage.window.size_us);
    for (const auto& input : inputs_) longest = std::max(longest, input->longest_window());
    return longest;
  }
  /// Those that a window does not have whole.
  std::vector<uint32_t> edges_missing(const WindowRef& window) const {
    if (edges_) return edges_->inbox.edges_missing(window.start, window.end);
    std::vector<uint32_t> missing;
    for (const auto& input : inputs_) {
      for (const uint32_t edge : input->edges_missing(window)) {
        if (std::find(missing.begin(), missing.end(), edge) == missing.end()) missing.push_back(edge);
      }
    }
    return missing;
  }

  /// See form_of_state().
  uint64_t form() {
    if (!form_) form_ = form_of_state(*query_, options_);
    return *form_;
  }
  void save_state(StateWriter& out) {
    out.number(result_rows_);
    for (const Micros time : {life_from_, life_until_, frontier_, limit_cut_}) out.time(time);
    for (const auto& stage : stages_) out.part([&] { stage->save_state(out); });
    if (edges_) out.part([&] { save_edges(out); });
    for (const auto& input : inputs_) input->save_state(out);
  }
  void load_state(StateReader& in) {
    result_rows_ = in.number();
    for (Micros* time : {&life_from_, &life_until_, &frontier_, &limit_cut_}) *time = in.time();
    for (const auto& stage : stages_) {
      StateReader part(in.part());
      if (in.refused()) return;
      stage->load_state(part);
      if (!in.check(part.is_done())) return;
    }
    if (edges_ && !load_edges(in)) return;
    for (const auto& input : inputs_) {
      if (!in.refused()) input->load_state(in);
    }
  }

  void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) override {
    const bool lives =
        window.end == 0 ? life_until_ != base::kMinTime : window.start >= life_from_ && window.start < life_until_;
    if (window.final && lives) result_rows_ += rows.row_count;
    if (sink_ != nullptr && lives) {
      ResultBatch result;
      result.query = query_->name;
      result.query_index = index_;
      result.window_start = window.start;
      result.window_end = window.end;
      result.revision = window.revision;
      result.final = window.final;
      result.complete = window.complete;
      if (!window.complete && window.end != 0) result.edges_missing = edges_missing(window);
      result.last = last;
      result.schema = &query_->output();
      result.rows = rows;
      sink_->on_result(result);
    }
    if (!window.final) return;
    give_rows(readers_, window, rows, last, sites_missing(window));
  }
  void on_frontier(Micros frontier) override {
    frontier_ = frontier;
    give_frontier(readers_, frontier);
    if (!late_sides_.empty()) late_rows_.on_frontier(frontier);
  }
  Micros next_cut(Micros frontier) const override {
    Micros cut = base::kMaxTime;
    for (const Reader& reader : readers_) {
      if (!reader.query->failed()) cut = std::min(cut, reader.receiver().next_cut(frontier));
    }
    return cut;
  }

  /// What reads a view.
  struct Reader {
    RunningQuery* query;
    size_t input = kSource;
    RowReceiver& receiver() const { return query->entry(input); }
  };
  static void give_rows(const std::vector<Reader>& readers, const WindowRef& window, batch::ColumnBatch& rows,
                        bool last, std::string_view sites_missing = {}) {
    for (const Reader& reader : readers) {
      reader.query->guard(
          [&] { reader.receiver().on_rows(window, reader.query->as_read(window, rows, sites_missing), last); });
    }
  }
  static void give_frontier(const std::vector<Reader>& readers, Micros frontier) {
    for (const Reader& reader : readers) reader.query->guard([&] { reader.receiver().on_frontier(frontier); });
  }

 private:
  static bool passes_rows(const plan::Stage& stage) { return !stage.aggregates_rows && !stage.join && !stage.boxes; }
  bool take_whole(const partial::Message& message) {
    EdgesInbox& edges = *edges_;
    const bool rows_only = edges.travel == plan::Travel::kRows;
    if (message.chunk.kind != partial::ChunkId::Kind::kRows) return !rows_only && stages_.front()->take(message);
    // Where there are panes, an edge may decide to send rows: whether it would is no question here.
    if (!edges.rows) edges.rows.emplace(row_form(query_->stages.front()), options_.batch_rows);
    if (!edges.rows->read(message)) return false;
    if (!rows_only) {
      stages_.front()->take_rows(*edges.rows);
      return true;
    }
    ProcessContext context;
    context.watermark = edges.frontier;
    context.sender = message.origin().edge;
    edges.rows->for_each_batch([&](const batch::ColumnBatch& rows) { stages_.front()->process(rows, context); });
    return true;
  }
  /// What the edges have counted.
  void add_reported(WindowLedger& ledger) const {
    const partial::Frontier totals = edges_->inbox.totals();
    ledger.assigned += totals.assigned;
    ledger.counted += totals.counted - edges_->rows_too_late;
    ledger.filtered += totals.filtered;
    ledger.late += totals.late + edges_->rows_too_late;
    ledger.errored += totals.errored;
    ledger.shed += totals.shed;
    ledger.time_null += totals.time_null;
    ledger.time_future += totals.time_future;
    ledger.lost += edges_->inbox.lost();
  }
  void save_edges(StateWriter& out) const {
    out.time(edges_->frontier);
    out.number(edges_->rows_too_late);
    edges_->inbox.save(out.octets());
  }
  bool load_edges(StateReader& in) {
    StateReader part(in.part());
    edges_->frontier = part.time();
    edges_->rows_too_late = part.number();
    return in.check(!part.refused() && edges_->inbox.load(part.rest()));
  }
  void keep_late() {
    late_ = plan::late_stage(*query_);
    if (!late_) late_sides_ = plan::late_sides(*query_);
    assert(late_ || !late_sides_.empty());
    connect_late();
  }
  void connect_late() {
    if (late_) stages_.front()->keep_late(*late_, late_rows_);
    for (const plan::LateSide& late : late_sides_) {
      RunningQuery* at = this;
      for (const size_t input : late.path) at = at->inputs_[input].get();
      at->stages_.front()->keep_late_side(late.side, late.stage, late_rows_);
    }
  }
  static constexpr size_t kSource = SIZE_MAX;
  /// Where the rows of the view that it reads go, or those of its input `number`.
  RowReceiver& entry(size_t number) {
    if (number == kSource) return entry_ ? static_cast<RowReceiver&>(*entry_) : *stages_.front();
    return input_meters_.empty() ? stages_.front()->input(number) : *input_meters_[number];
  }
  /// Those that a window which is final is without, for readers that name the column: they were away for too long.
  std::string sites_missing(const WindowRef& window) const {
    std::string text;
    if (window.complete || window.end == 0 ||
        std::none_of(readers_.begin(), readers_.end(), [](const Reader& reader) { return reader.query->hidden_; }))
      return text;
    for (const uint32_t edge : edges_missing(window)) {
      if (!text.empty()) text += ',';
      text += options_.site_of ? options_.site_of(edge) : std::to_string(edge);
    }
    return text;
  }
  /// Rows of its source as the query reads them.
  batch::ColumnBatch& as_read(const WindowRef& window, batch::ColumnBatch& rows, std::string_view sites_missing) {
    batch::ColumnBatch& cut = truncations_.empty() ? rows : truncations_.front().apply(rows);
    return hidden_ ? hidden_->add(window, sites_missing, cut) : cut;
  }
  /// Whatever a query does is done in here, so that its failure is its own.
  template <typename Work>
  void guard(Work&& work) {
    if (failed()) return;
    try {
      work();
    } catch (const QueryFailed& failure) {
      fail(failure.what());
    }
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const {
    for (const auto& stage : stages_) stage->add_state_octets(nodes);
    for (const auto& input : inputs_) input->add_state_octets(nodes);
  }
  uint64_t groups_held() const {
    uint64_t groups = 0;
    for (const auto& stage : stages_) groups += stage->groups_held();
    for (const auto& input : inputs_) groups += input->groups_held();
    return groups;
  }
  /// How much each node holds. Throws QueryFailed where that is too much and nothing may be shed.
  void measure() {
    const plan::QueryOptions& options = query_->options;
    held_.assign(held_.size(), 0);
    add_state_octets(held_);
    for (size_t node = 0; node < held_.size(); ++node) {
      if (held_[node] > options.state_octets_max && options.on_limit == plan::QueryOptions::OnLimit::kFail)
        throw too_much(held_[node], "raise it, group by less, or let on_limit = 'shed' drop groups");
    }
  }
  QueryFailed too_much(uint64_t octets, std::string_view hint) const {
    const auto mebi = [](uint64_t n) { return static_cast<double>(n) / (1 << 20); };
    return QueryFailed(fmt::format("53400 its state of {:.1f} MB is more than state_limit, {:.1f} MB: {}", mebi(octets),
                                   mebi(query_->options.state_octets_max), hint));
  }
  /// After windows have closed: where a node held too much, fewer groups are kept of what is open and of what comes.
  void shed() {
    if (query_->options.on_limit != plan::QueryOptions::OnLimit::kShed) return;
    const uint64_t limit = query_->options.state_octets_max;
    for (size_t node = 0; node < held_.size(); ++node) {
      uint64_t held = held_[node];
      if (held < limit / 2 && !stages_.empty()) stages_.front()->relax(node);
      constexpr double kRoom = 0.75;  // So that the next pane does not shed again.
      constexpr int kStepsMax = 8;
      for (int step = 0; held > limit; ++step) {
        // One group may hold nearly all: in the end all are dropped.
        const double share = step < kStepsMax ? kRoom * static_cast<double>(limit) / static_cast<double>(held) : 0.0;
        if (stages_.empty() || !stages_.front()->shed(node, share) || step > kStepsMax)
          throw too_much(held, "what it holds above its groups cannot be shed");
        std::vector<uint64_t> now(held_.size());
        add_state_octets(now);
        held = now[node];
      }
    }
  }

  /// The rows that stages[stage_count] reads are rows that the query and its inputs read, one for one.
  static bool passes_rows(const plan::Query& query, size_t stage_count) {
    for (size_t s = 0; s < stage_count; ++s) {
      if (!passes_rows(query.stages[s])) return false;
    }
    return std::all_of(query.inputs.begin(), query.inputs.end(),
                       [](const auto& input) { return passes_rows(*input, input->stages.size()); });
  }

  /// How long a window stays open to a site that was absent when it closed (DESIGN §7, site_grace).
  static constexpr Micros kSiteGrace = 24 * 3600 * base::kMicrosPerSecond;
  /// Repeats of what was delivered are known for this long after no window can take it any more.
  static constexpr Micros kRepeatsKnown = 600 * base::kMicrosPerSecond;

  const std::shared_ptr<const plan::Query> query_;  // With its root's life.
  size_t index_;
  const uint64_t incarnation_;
  std::unique_ptr<EdgesInbox> edges_;  ///< null: it reads no stream, or both halves are here
  const EngineOptions& options_;       // The engine's, as sharing_ is.
  StageSharing& sharing_;
  ResultSink* sink_;
  const Measured measured_;
  std::optional<plan::LateStage> late_;
  std::vector<plan::LateSide> late_sides_;  ///< of a query that joins
  struct LateReaders final : RowReceiver {
    void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) override {
      const std::lock_guard lock(mutex);  // Late rows of several joins may come on several threads.
      give_rows(readers, window, rows, last);
    }
    void on_frontier(Micros frontier) override { give_frontier(readers, frontier); }
    std::vector<Reader> readers;
    std::mutex mutex;
  };
  LateReaders late_rows_;
  std::vector<std::unique_ptr<StageRunner>> stages_;
  std::unique_ptr<Meter> entry_;                // Null, and the others none, where nothing is measured.
  std::vector<std::unique_ptr<Meter>> meters_;  // Above each stage.
  std::vector<std::unique_ptr<Meter>> input_meters_;
  std::unique_ptr<TravelProbe> probe_;               // Null: nobody asks what edges would send.
  std::vector<std::unique_ptr<StateMeter>> states_;  // Of each stage.
  std::vector<std::unique_ptr<RunningQuery>> inputs_;
  Micros life_from_ = base::kMinTime, life_until_ = base::kMaxTime;  ///< starts of the windows that it gives
  Micros frontier_ = base::kMinTime;                                 ///< no window that starts before is to come
  std::optional<HiddenColumns> hidden_;                              ///< it names some of its source's
  std::vector<AddressTruncation> truncations_;                       ///< by edge; none: addresses are read as they are
  std::vector<Reader> readers_;
  uint64_t result_rows_ = 0;
  std::optional<uint64_t> form_;
  RunningQuery* const root_;  ///< this, or the query that it is an input of: they fail together
  std::atomic<bool> failed_{false};
  std::mutex failure_mutex_;
  std::string failure_;
  struct Released {
    WindowLedger ledger;
    std::vector<WindowRecord> windows;
  };
  Micros limit_cut_ = base::kMinTime;  ///< when the state is measured next
  std::vector<uint64_t> held_;         ///< by node: octets when it was measured last
  std::optional<Released> released_;   ///< it has failed and its stages are gone
};

}  // namespace

struct Engine::State {
  struct Stream {
    std::string name;
    Micros watermarks[2] = {base::kMinTime, base::kMinTime};  ///< by Clock
    Micros delay = 0;
    Micros& watermark(Clock clock) { return watermarks[static_cast<size_t>(clock)]; }
    struct Reader {
      RunningQuery* query;
      Clock clock = Clock::kEvent;
      /// A query with a delay of its own is told a watermark shifted by the difference.
      Micros shift = 0;
      bool fresh = true;  ///< catch_up() has not been called since it came
    };
    std::vector<Reader> readers;
    std::vector<bool> due;                               ///< scratch of advance()
    std::vector<std::unique_ptr<CommonColumns>> common;  ///< by edge; none: each query computes for itself
  };

  /// One whose rows are given.
  struct View {
    std::string name;
    std::vector<RunningQuery::Reader> readers;
  };

  explicit State(const EngineOptions& given) : options(given), sharing(given) {}
  View* find_view(std::string_view name) {
    const auto at = std::find_if(views.begin(), views.end(), [&](const View& view) { return view.name == name; });
    return at == views.end() ? nullptr : &*at;
  }
  Stream& stream(std::string_view name) {
    for (Stream& s : streams) {
      if (s.name == name) return s;
    }
    Stream& made = streams.emplace_back();
    made.name = name;
    for (uint32_t e = 0; options.share && e < options.edges; ++e)
      made.common.push_back(std::make_unique<CommonColumns>(options.batch_rows));
    return made;
  }
  const Stream* find(std::string_view name) const {
    for (const Stream& s : streams) {
      if (s.name == name) return &s;
    }
    return nullptr;
  }
  static Micros shifted(Micros watermark, Micros shift) {
    if (watermark == base::kMinTime || watermark == base::kMaxTime) return watermark;
    return watermark + shift;
  }
  /// The least watermark of the stream at which the reader has something to do.
  static Micros cut_of(const Stream::Reader& reader, const Stream& s) {
    const Micros watermark = shifted(s.watermarks[static_cast<size_t>(reader.clock)], reader.shift);
    const Micros own = reader.query->next_cut_of_first(watermark);
    return own <= base::kMinTime + 1 || own == base::kMaxTime ? own : own - reader.shift;
  }
  void shift_all(Stream& s) {
    for (auto& reader : s.readers) {
      const auto& delay = reader.query->query().options.delay_us;
      reader.shift = delay && reader.clock == Clock::kEvent ? s.delay - *delay : 0;
    }
  }

  /// Connects a query, or each of its inputs, to the stream or view that it reads.
  void attach(RunningQuery& query) {
    for (const auto& input : query.inputs()) attach(*input);
    if (!query.inputs().empty()) return;
    const plan::Relation& source = query.query().source;
    if (source.kind == plan::Relation::Kind::kStream) {
      if (options.half == Half::kMerge) {
        readers_of_edges.emplace(query.incarnation(), &query);
        tell_members(query);
        return;
      }
      Stream& read = stream(source.name);
      const int time_column = query.query().stages.front().window.time_column;
      const bool arrival = time_column >= 0 && time_column == source.arrival_column;
      read.readers.push_back({&query, arrival ? Clock::kArrival : Clock::kEvent});
      shift_all(read);
      return;
    }
    if (View* given = find_view(source.name)) {
      given->readers.push_back({&query});
      return;
    }
    const auto find = [&](std::string_view name) -> RunningQuery* {
      // Of two versions of a view the newer one.
      for (auto other = queries.rbegin(); other != queries.rend(); ++other) {
        if (*other && other->get() != &query && (*other)->query().name == name) return other->get();
      }
      return nullptr;
    };
    if (RunningQuery* below = find(source.name)) return below->add_reader(query);
    std::string_view view = source.name;
    assert(view.ends_with(plan::kLateSuffix));
    view.remove_suffix(plan::kLateSuffix.size());
    RunningQuery* below = find(view);
    assert(below != nullptr);
    below->add_late_reader(query);
  }

  /// Some queries wait for absent edges, too.
  void tell_members(RunningQuery& query) const {
    std::vector<partial::Members::Member> waited_for = members.edges;
    if (query.query().options.placement.absent_sites == plan::Placement::AbsentSites::kWait) {
      for (partial::Members::Member& member : waited_for) member.absent = false;
    }
    query.edges().inbox.set_members(waited_for);
  }

  /// Frees what failed. A view stands before those that read it, so one pass finds all that fail with it.
  void settle() {
    for (const auto& query : queries) failed_count += query && query->settle();
  }

  EngineOptions options;
  StageSharing sharing;
  // Merge half:
  std::unordered_map<uint64_t, RunningQuery*> readers_of_edges;  ///< by what they are called in partials
  partial::Members members;
  PartialCounts counts;
  std::vector<std::unique_ptr<RunningQuery>> queries;  ///< null: it was removed
  std::vector<Stream> streams;
  std::vector<View> views;
  size_t failed_count = 0;
};

Engine::Engine(EngineOptions options) {
  assert(options.edges >= 1);
  assert(options.batch_rows >= 1);
  options.pools = std::make_shared<BlockPools>(options.edges, options.ready_octets);
  state_ = std::make_unique<State>(options);
}
Engine::~Engine() = default;

size_t Engine::add_query(std::shared_ptr<const plan::Query> query, ResultSink* sink, Measured measured,
                         uint64_t incarnation) {
  auto& added = state_->queries.emplace_back(std::make_unique<RunningQuery>(
      std::move(query), state_->queries.size(), state_->options, state_->sharing, sink, measured, incarnation));
  state_->attach(*added);
  return state_->queries.size() - 1;
}

bool Engine::remove_query(size_t query_index) {
  RunningQuery& going = *state_->queries[query_index];
  if (going.has_readers()) return false;
  for (const auto& query : state_->queries) {
    if (query) query->forget_reader(going);
  }
  std::erase_if(state_->readers_of_edges, [&](const auto& reader) { return reader.second->root() == &going; });
  for (State::Stream& stream : state_->streams) {
    std::erase_if(stream.readers, [&](const auto& reader) { return reader.query->root() == &going; });
    // What it alone computed of a batch would be computed for ever.
    for (const auto& common : stream.common) common->clear();
  }
  for (State::View& view : state_->views)
    std::erase_if(view.readers, [&](const auto& reader) { return reader.query->root() == &going; });
  state_->failed_count -= going.released();
  state_->queries[query_index].reset();
  return true;
}

void Engine::mark_gap(size_t query_index, Micros from, Micros until) {
  state_->queries[query_index]->mark_gap(from, until);
}

void Engine::set_life(size_t query_index, Micros from, Micros until) {
  state_->queries[query_index]->set_life(from, until);
}
Half Engine::half() const { return state_->options.half; }
bool Engine::has_ended(size_t query_index) const {
  RunningQuery& query = *state_->queries[query_index];
  if (state_->options.half != Half::kEdge) return query.has_ended();
  // Its windows close elsewhere: it goes when no row is to be expected any more that they would take.
  const Micros window_us = query.longest_window();
  bool ended = true;
  query.for_each_reading([&](const RunningQuery& reading) {
    const State::Stream* s = state_->find(reading.query().source.name);
    ended &= s != nullptr &&
             reading.is_over(s->watermarks[static_cast<size_t>(Clock::kEvent)], query.life_until(), window_us);
  });
  return ended;
}

void Engine::catch_up() {
  for (State::Stream& s : state_->streams) {
    for (State::Stream::Reader& reader : s.readers) {
      if (!std::exchange(reader.fresh, false)) continue;
      const Micros watermark = State::shifted(s.watermark(reader.clock), reader.shift);
      if (watermark != base::kMinTime) reader.query->advance(watermark);
    }
  }
  state_->settle();
}

bool Engine::is_read(std::string_view stream) const {
  const State::Stream* s = state_->find(stream);
  return s != nullptr && !s->readers.empty();
}

std::vector<bool> Engine::columns_used(std::string_view stream, size_t column_count) const {
  std::vector<bool> used(column_count);
  const State::Stream* s = state_->find(stream);
  if (s == nullptr) return used;
  for (const auto& reader : s->readers) {
    const plan::Stage& stage = reader.query->query().stages.front();
    const std::vector<bool>& own = reader.query->columns_used();
    for (size_t c = 0; c < column_count && c < own.size(); ++c) used[c] = used[c] || own[c];
    if (stage.window.time_column >= 0) used[static_cast<size_t>(stage.window.time_column)] = true;
  }
  return used;
}

void Engine::process(std::string_view stream, const batch::ColumnBatch& rows, const RowsContext& context) {
  assert(context.edge < state_->options.edges && rows.row_count <= state_->options.batch_rows);
  const State::Stream* s = state_->find(stream);
  if (s == nullptr) return;
  CommonColumns* common = s->common.empty() ? nullptr : s->common[context.edge].get();
  if (common != nullptr) common->begin(rows);
  for (const auto& reader : s->readers) {
    const Micros watermark = State::shifted(context.watermarks[static_cast<size_t>(reader.clock)], reader.shift);
    reader.query->process(rows, {context.edge, watermark, context.time_max, common, context.edge});
  }
}

void Engine::set_delay(std::string_view stream, Micros delay) {
  State::Stream& s = state_->stream(stream);
  s.delay = delay;
  state_->shift_all(s);
}

void Engine::advance(std::string_view stream, Micros watermark, Clock clock) {
  State::Stream& s = state_->stream(stream);
  if (watermark <= s.watermark(clock)) return;
  // Cuts of the others are none of a reader's business: to look through what it holds costs time. All are asked before
  // any advances, as rows that pass on change what others wait for.
  s.due.clear();
  for (const auto& reader : s.readers) s.due.push_back(reader.clock == clock && State::cut_of(reader, s) <= watermark);
  s.watermark(clock) = watermark;
  for (size_t r = 0; r < s.readers.size(); ++r) {
    if (s.due[r]) s.readers[r].query->advance(State::shifted(watermark, s.readers[r].shift));
  }
  state_->settle();
}

Micros Engine::next_cut(std::string_view stream, Clock clock) const {
  const State::Stream* s = state_->find(stream);
  Micros cut = base::kMaxTime;
  if (s == nullptr) return cut;
  for (const auto& reader : s->readers) {
    if (reader.clock != clock) continue;
    cut = std::min(cut, State::cut_of(reader, *s));
  }
  return cut;
}

void Engine::refresh_lookups() {
  for (auto& query : state_->queries) {
    if (query) query->refresh_lookups();
  }
}

void Engine::finish() {
  for (const auto& [incarnation, query] : state_->readers_of_edges) query->advance(base::kMaxTime);
  for (State::Stream& s : state_->streams) {
    advance(s.name, base::kMaxTime, Clock::kEvent);
    advance(s.name, base::kMaxTime, Clock::kArrival);
  }
  for (const State::View& view : state_->views) pass(view.name, base::kMaxTime);
}

void Engine::add_view(std::string name) {
  assert(state_->find_view(name) == nullptr);
  state_->views.push_back({std::move(name), {}});
}

void Engine::give(std::string_view view, const WindowRef& window, batch::ColumnBatch& rows, bool last,
                  std::string_view sites_missing) {
  assert(window.final && rows.row_count <= state_->options.batch_rows);
  RunningQuery::give_rows(state_->find_view(view)->readers, window, rows, last, sites_missing);
  state_->settle();
}

void Engine::pass(std::string_view view, Micros frontier) {
  RunningQuery::give_frontier(state_->find_view(view)->readers, frontier);
  state_->settle();
}

void Engine::send_open() {
  for (State::Stream& s : state_->streams) {
    for (const auto& reader : s.readers) reader.query->send_open();
  }
}

std::map<uint64_t, uint64_t> Engine::rows_open() const {
  std::map<uint64_t, uint64_t> open;
  for (const State::Stream& s : state_->streams) {
    for (const auto& reader : s.readers) reader.query->add_rows_open(open);
  }
  return open;
}

void Engine::tell_lost(const std::map<uint64_t, uint64_t>& rows_by_incarnation) {
  for (State::Stream& s : state_->streams) {
    for (const auto& reader : s.readers) reader.query->tell_lost(rows_by_incarnation);
  }
}

Engine::Taken Engine::take(std::span<const uint8_t> bytes) {
  State& state = *state_;
  partial::Message message;
  partial::PartialFault fault{};
  const auto refuse = [&](partial::PartialFault why) {
    ++state.counts.refused[static_cast<size_t>(why)];
    return Taken::kRefused;
  };
  if (!partial::read_message(bytes, message, fault)) return refuse(fault);
  state.counts.octets += bytes.size();
  if (message.kind == partial::Message::Kind::kClaim) return Taken::kTaken;
  if (message.kind == partial::Message::Kind::kMembers) {
    set_members(message.members);
    return Taken::kTaken;
  }
  const uint64_t incarnation = message.origin().incarnation;
  if (message.kind == partial::Message::Kind::kPresence) {
    const partial::Presence& presence = message.presence;
    for (const auto& [name, query] : state.readers_of_edges) {
      if (incarnation != 0 && incarnation != name) continue;
      query->mark_gap(presence.gap_from, presence.gap_until);
      query->edges().inbox.mark_gap(presence.origin.edge, presence.gap_from, presence.gap_until);
    }
    return Taken::kTaken;
  }
  const auto reader = state.readers_of_edges.find(incarnation);
  if (reader == state.readers_of_edges.end()) {
    ++state.counts.unknown;
    return Taken::kUnknown;
  }
  if (!reader->second->take(message, bytes)) return refuse(partial::PartialFault::kMalformed);
  ++state.counts.taken;
  return Taken::kTaken;
}

void Engine::settle() {
  for (const auto& [incarnation, query] : state_->readers_of_edges) query->close_reported();
  state_->settle();
}

void Engine::set_members(const partial::Members& members) {
  state_->members = members;
  for (const auto& [incarnation, query] : state_->readers_of_edges) state_->tell_members(*query);
}
const partial::Members& Engine::members() const { return state_->members; }

Micros Engine::frontier(size_t query_index) const {
  Micros least = base::kMaxTime;
  state_->queries[query_index]->for_each_reading(
      [&](RunningQuery& query) { least = std::min(least, query.edges().frontier); });
  return least;
}

Engine::Whole Engine::whole(size_t query_index) const {
  RunningQuery& of = *state_->queries[query_index];
  Whole whole{of.frontier(), base::kMinTime};
  if (state_->options.half == Half::kBoth) return whole;
  bool reads_edges = false;
  of.for_each_reading([&](RunningQuery& query) {
    reads_edges = true;
    whole.until = std::min(whole.until, query.edges().whole);  // Who is absent for too long is not waited for.
    whole.gaps_until = std::max(whole.gaps_until, query.edges().inbox.gaps_until());
  });
  return reads_edges ? whole : Whole{};
}

Engine::PartialCounts Engine::partial_counts() const {
  PartialCounts counts = state_->counts;
  for (const auto& [incarnation, query] : state_->readers_of_edges) {
    for (size_t why = 0; why < counts.dropped.size(); ++why)
      counts.dropped[why] += query->edges().inbox.drops(static_cast<partial::InboxDrop>(why));
  }
  return counts;
}
bool Engine::has_pending_chunks() const {
  return std::any_of(state_->readers_of_edges.begin(), state_->readers_of_edges.end(),
                     [](const auto& reader) { return reader.second->edges().inbox.has_pending(); });
}

void Engine::save_state(size_t query_index, std::vector<uint8_t>& out) {
  RunningQuery& query = *state_->queries[query_index];
  if (query.failed()) return;
  StateWriter writer(out);
  begin_state(writer, query.form());
  query.save_state(writer);
}

base::Result<void> Engine::restore_state(size_t query_index, std::span<const uint8_t> saved) {
  RunningQuery& query = *state_->queries[query_index];
  StateReader reader(saved);
  if (auto begun = read_begin(reader, query.form()); !begun) return begun;
  query.load_state(reader);
  if (!reader.is_done()) {
    query.begin_anew();
    return state_damaged();
  }
  for (State::Stream& s : state_->streams) {
    for (State::Stream::Reader& r : s.readers) r.fresh &= r.query->root() != &query;
  }
  return {};
}

void Engine::save_streams(std::vector<uint8_t>& out) const {
  StateWriter writer(out);
  begin_state(writer, 0);
  writer.number(state_->streams.size());
  for (const State::Stream& s : state_->streams) {
    writer.text(s.name);
    for (const Micros watermark : s.watermarks) writer.time(watermark);
  }
  if (state_->options.half != Half::kMerge) return;
  writer.time(state_->members.decided_at);
  writer.number(state_->members.edges.size());
  for (const partial::Members::Member& member : state_->members.edges) {
    writer.number(member.edge);
    writer.flag(member.absent);
  }
}

base::Result<void> Engine::restore_streams(std::span<const uint8_t> saved) {
  StateReader reader(saved);
  if (auto begun = read_begin(reader, 0); !begun) return begun;
  std::vector<std::pair<std::string, std::array<Micros, 2>>> streams(reader.count(3));
  for (auto& [name, watermarks] : streams) {
    name = reader.text();
    for (Micros& watermark : watermarks) watermark = reader.watermark();
  }
  partial::Members members;
  if (state_->options.half == Half::kMerge) {
    members.decided_at = reader.time();
    members.edges.resize(reader.count(2));
    for (partial::Members::Member& member : members.edges) {
      member.edge = static_cast<uint32_t>(reader.number(UINT32_MAX));
      member.absent = reader.flag();
    }
  }
  if (!reader.is_done()) return state_damaged();
  if (state_->options.half == Half::kMerge) set_members(members);
  for (const auto& [name, watermarks] : streams) {
    State::Stream& s = state_->stream(name);
    for (size_t clock = 0; clock < watermarks.size(); ++clock)
      s.watermarks[clock] = std::max(s.watermarks[clock], watermarks[clock]);
    for (State::Stream::Reader& r : s.readers) r.fresh = true;
  }
  return {};
}

Micros Engine::watermark(std::string_view stream, Clock clock) const {
  const State::Stream* s = state_->find(stream);
  return s == nullptr ? base::kMinTime : s->watermarks[static_cast<size_t>(clock)];
}

plan::QueryActivity Engine::activity(size_t query_index) const { return state_->queries[query_index]->activity(); }
const std::string& Engine::failure(size_t query_index) const { return state_->queries[query_index]->failure(); }
size_t Engine::failed_count() const { return state_->failed_count; }
WindowLedger Engine::ledger(size_t query_index) const { return state_->queries[query_index]->ledger(); }
Engine::Held Engine::held(size_t query_index) const { return state_->queries[query_index]->held(); }
std::vector<WindowRecord> Engine::recent_windows(size_t query_index) const {
  return state_->queries[query_index]->recent_windows();
}
bool Engine::has_query(size_t query_index) const { return state_->queries[query_index] != nullptr; }
size_t Engine::query_count() const { return state_->queries.size(); }
const plan::Query& Engine::query(size_t query_index) const { return state_->queries[query_index]->query(); }

}  // namespace backstream::exec
