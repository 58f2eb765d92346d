// What an edge runs of a query whose other half is elsewhere (docs/design/0027-halves-apart.md).
#include <algorithm>
#include <map>
#include <mutex>
#include <optional>

#include "exec/lookup_stage.h"
#include "exec/shipping.h"
#include "exec/spread_stage.h"
#include "exec/stage.h"
#include "exec/travel_choice.h"
#include "exec/windowed_stage.h"
#include "partial/rows.h"
#include "partial/traffic_count.h"
#include "plan/split.h"

namespace backstream::exec {
namespace {

using plan::Window;

/// Groups rows by pane, and sends the panes that have ended. An edge never judges a row as late: one whose pane was
/// sent before goes out as a supplement, and where windows close it is late or not.
class PaneSide {
 public:
  PaneSide(const plan::Stage& stage, const plan::QueryOptions& query, const PaneGrid& grid,
           const partial::Origin& origin, const EngineOptions& options, PartialsOut& out)
      : grid_(grid), sender_(stage, origin, options.batch_rows, out) {
    for (uint32_t e = 0; e < options.edges; ++e) {
      threads_.push_back(std::make_unique<EdgeHalf>(stage, query, grid_, options.batch_rows, options.hash_mask,
                                                    pool_of(options, e, true)));
      threads_.back()->leave_judging();
    }
  }

  const PaneGrid& grid() const { return grid_; }
  void process(const batch::ColumnBatch& rows, const ProcessContext& context) {
    threads_[context.edge]->process(rows, context.watermark, context.time_max, context.common);
  }
  void set_watermark(Micros watermark) {
    for (const auto& thread : threads_) thread->set_watermark(watermark);
  }
  /// Sends the panes that end at or before `until`. Those of several threads are one.
  /// @param sending, sent  called before and after each pane: (its start), (its start, its rows)
  template <typename Sending, typename Sent>
  void send(Micros until, Micros frontier, Sending&& sending, Sent&& sent) {
    std::map<Micros, PaneTablePtr> panes;
    window::CountsByPane counts;
    for (const auto& thread : threads_) {
      for (const auto& [start, of_thread] : thread->take_counts(until)) {
        counts[start] += of_thread;
        sent_ += of_thread;
      }
      thread->take_until(until, [&](Micros start, PaneTablePtr pane) {
        PaneTablePtr& whole = panes[start];
        if (whole == nullptr) whole = std::move(pane);
        else whole->combine(*pane);
      });
    }
    for (const auto& [start, pane] : panes) {
      const auto own = counts.extract(start);
      const PaneCounts of_pane = own.empty() ? PaneCounts{} : own.mapped();
      sending(start);
      sender_.send(start, *pane, of_pane);
      sent(start, of_pane.counted);
    }
    sender_.send_cut(frontier, counts, nullptr);
  }
  /// Counts what was sent: rows of panes that are open may come to nothing.
  /// @param others  rows that did not go out in panes
  void report(Micros frontier, const WindowLedger& others) {
    const WindowLedger whole = ledger();
    WindowLedger told = others;
    told.assigned += sent_.assigned;
    told.counted += sent_.counted;
    told.filtered += sent_.filtered;
    told.late += sent_.late;
    told.errored += sent_.errored;
    told.shed += sent_.shed;
    told.time_null += whole.time_null;
    told.time_future += whole.time_future;
    sender_.report(frontier, told);
    // Supplements to panes of long ago begin anew with the number 0 and must not be taken for repeats of the first.
    if (frontier != base::kMinTime && frontier != base::kMaxTime) sender_.forget_before(frontier - kNumbersKept);
  }
  WindowLedger ledger() const {
    WindowLedger total;
    for (const auto& thread : threads_) total += thread->ledger();
    return total;
  }
  /// Rows of panes that were not sent yet.
  uint64_t rows_open() const { return ledger().assigned - sent_.assigned; }
  const std::vector<std::unique_ptr<EdgeHalf>>& threads() const { return threads_; }

 private:
  static constexpr Micros kNumbersKept = 7 * 24 * 3600 * base::kMicrosPerSecond;

  const PaneGrid grid_;
  PaneSender sender_;
  std::vector<std::unique_ptr<EdgeHalf>> threads_;
  PaneCounts sent_;
};

/// Sends the columns that the query reads, of the rows that its condition lets through.
class RowSide {
 public:
  RowSide(const plan::Stage& stage, const partial::Origin& origin, const EngineOptions& options)
      : origin_(origin), out_(*options.partials_out), time_column_(stage.window.time_column) {
    checks_time_ = stage.aggregates_rows && time_column_ >= 0;
    const partial::RowForm form = row_form(stage);
    for (uint32_t e = 0; e < options.edges; ++e)
      threads_.push_back(std::make_unique<Thread>(stage, form, options.batch_rows));
  }

  void process(const batch::ColumnBatch& rows, const ProcessContext& context, Micros frontier) {
    Thread& thread = *threads_[context.edge];
    const size_t n = choose(thread, rows, context.time_max, thread.ledger);
    thread.writer.add(rows, thread.chosen.data(), n);
    thread.row_count += n;
    if (checks_time_ && n > 0) {
      const auto* times = rows.columns[static_cast<size_t>(time_column_)].as<Micros>();
      thread.newest = times[thread.chosen[0]];
      for (size_t i = 1; i < n; ++i) thread.newest = std::max(thread.newest, times[thread.chosen[i]]);
    }
    if (thread.writer.is_full()) send(thread, frontier);
  }
  void send(Micros frontier) {
    for (const auto& thread : threads_) {
      if (thread->writer.row_count() > 0) send(*thread, frontier);
    }
  }
  /// Since the last call: rows that went out.
  uint64_t take_row_count() {
    uint64_t count = 0;
    for (const auto& thread : threads_) count += std::exchange(thread->row_count, 0);
    return count;
  }
  /// Those that were turned away and not told of, too.
  uint64_t rows_open() const {
    uint64_t rows = ledger().filtered - filtered_told_;
    for (const auto& thread : threads_) rows += thread->writer.row_count();
    return rows;
  }
  /// ledger(), which is told now.
  WindowLedger tell() {
    const WindowLedger total = ledger();
    filtered_told_ = total.filtered;
    return total;
  }
  /// The newest event time of the batches that came last.
  Micros newest() const {
    Micros newest = base::kMinTime;
    for (const auto& thread : threads_) newest = std::max(newest, thread->newest);
    return newest;
  }
  /// The rows that went out are counted where they arrive.
  WindowLedger ledger() const {
    WindowLedger total;
    for (const auto& thread : threads_) total += thread->ledger;
    total.assigned = total.filtered;
    return total;
  }

  /// Looks at rows that go out in panes, to tell what they would take as rows: some of each pane's time are enough.
  void sample(const batch::ColumnBatch& rows, const ProcessContext& context) {
    Thread& thread = *threads_[context.edge];
    if (thread.sample.row_count() >= kSampleRows || thread.sampled_batches >= kSampleBatches) return;
    ++thread.sampled_batches;
    WindowLedger unused;
    const size_t n = choose(thread, rows, context.time_max, unused);
    thread.sample.add(rows, thread.chosen.data(), n);
  }
  /// Octets of a row, compressed, by what was looked at since the last call; 0: nothing.
  double take_sample(partial::Compressor& compressor) {
    uint64_t row_count = 0, octets = 0;
    for (const auto& thread : threads_) {
      thread->sampled_batches = 0;
      if (thread->sample.row_count() == 0) continue;
      row_count += thread->sample.row_count();
      octets += compressor.octets_of(thread->sample.take({}));
    }
    return row_count == 0 ? 0.0 : static_cast<double>(octets) / static_cast<double>(row_count);
  }

 private:
  static constexpr size_t kSampleRows = 4'096, kSampleBatches = 64;

  struct Thread {
    Thread(const plan::Stage& stage, const partial::RowForm& form, size_t batch_rows) : writer(form), sample(form) {
      if (stage.where) where = std::make_unique<expr::Evaluator>(expr::clone(*stage.where), batch_rows);
      chosen.resize(batch_rows);
      errors.resize(batch_rows);
    }
    partial::RowsWriter writer;
    WindowLedger ledger;
    uint64_t row_count = 0;
    Micros newest = base::kMinTime;
    partial::RowsWriter sample;
    size_t sampled_batches = 0;
    std::unique_ptr<expr::Evaluator> where;
    std::vector<uint32_t> chosen;
    std::vector<uint8_t> errors;
  };

  /// Rows whose condition cannot be computed go out, too: what happens to them is the other half's to say, and to
  /// count.
  size_t choose(Thread& thread, const batch::ColumnBatch& rows, Micros time_max, WindowLedger& ledger) {
    batch::Column condition;
    if (thread.where) {
      expr::ValueErrorCounts unused;
      std::fill_n(thread.errors.begin(), rows.row_count, 0);
      condition = thread.where->evaluate(rows, nullptr, unused, thread.errors.data());
    }
    const batch::Column* time = checks_time_ ? &rows.columns[static_cast<size_t>(time_column_)] : nullptr;
    size_t n = 0;
    for (uint32_t row = 0; row < rows.row_count; ++row) {
      if (time != nullptr && time->is_null(row)) {
        ++ledger.time_null;
        continue;
      }
      if (time != nullptr && time->as<Micros>()[row] > time_max) {
        ++ledger.time_future;
        continue;
      }
      if (thread.where && thread.errors[row] == 0 && (condition.is_null(row) || condition.as<uint8_t>()[row] == 0)) {
        ++ledger.filtered;
        continue;
      }
      thread.chosen[n++] = row;
    }
    return n;
  }
  void send(Thread& thread, Micros frontier) {
    const std::lock_guard lock(mutex_);
    partial::ChunkId id;
    id.kind = partial::ChunkId::Kind::kRows;
    id.origin = origin_;
    id.pane_start = frontier;
    id.supplement = sent_++;
    id.last = true;
    out_.append(thread.writer.take(id));
  }

  const partial::Origin origin_;
  PartialsOut& out_;
  const int time_column_;
  bool checks_time_ = false;  ///< as EdgeHalf: rows without a usable time go nowhere
  std::vector<std::unique_ptr<Thread>> threads_;
  std::mutex mutex_;  ///< process() of several threads; guards the number and the order of messages
  uint32_t sent_ = 0;
  uint64_t filtered_told_ = 0;
};

/// Passes messages on, and tells what they take compressed.
class Weigher final : public PartialsOut {
 public:
  explicit Weigher(PartialsOut& out) : out_(out) {}
  void append(std::vector<uint8_t>&& message) override {
    if (weighs_) {
      octets_ += message.size();
      const size_t room = partial::kBatchOctetsMax - looked_at_.size();
      looked_at_.insert(looked_at_.end(), message.begin(),
                        message.begin() + static_cast<long>(std::min(room, message.size())));
    }
    out_.append(std::move(message));
  }
  void begin() {
    weighs_ = true;
    octets_ = 0;
    looked_at_.clear();
  }
  /// Of the messages since begin(), which go together; of more than a batch as the first batch is.
  double end() {
    weighs_ = false;
    if (looked_at_.empty()) return 0;
    return static_cast<double>(octets_) * static_cast<double>(compressor_.octets_of(looked_at_)) /
           static_cast<double>(looked_at_.size());
  }
  partial::Compressor& compressor() { return compressor_; }

 private:
  PartialsOut& out_;
  partial::Compressor compressor_;
  bool weighs_ = false;
  uint64_t octets_ = 0;
  std::vector<uint8_t> looked_at_;
};

/// Sends panes, or rows, or now one and now the other (docs/design/0029-what-travels.md): what goes out means the same,
/// in any mixture.
class EdgeStage final : public StageRunner {
 public:
  /// @param grid  of panes; not looked at where only rows travel
  EdgeStage(const plan::Stage& stage, const plan::QueryOptions& query, plan::Travel travel, const PaneGrid& grid,
            const partial::Origin& origin, const EngineOptions& options)
      : origin_(origin), out_(*options.partials_out), alternates_(options.travel_alternates) {
    if (travel == plan::Travel::kEither) choice_.emplace(out_);
    PartialsOut& of_panes = choice_ ? static_cast<PartialsOut&>(choice_->weigher) : out_;
    if (travel != plan::Travel::kRows)
      panes_ = std::make_unique<PaneSide>(stage, query, grid, origin, options, of_panes);
    if (travel != plan::Travel::kPanes) rows_ = std::make_unique<RowSide>(stage, origin, options);
  }

  void process(const batch::ColumnBatch& rows, const ProcessContext& context) override {
    if (sends_rows()) return rows_->process(rows, context, frontier_);
    if (choice_) rows_->sample(rows, context);
    panes_->process(rows, context);
  }
  void advance(Micros watermark) override {
    if (panes_) panes_->set_watermark(watermark);
    send(watermark);
    if (choice_) choose(watermark);
    frontier_ = watermark;
    report();
  }
  void send_open() override {
    send(base::kMaxTime);
    report();
  }
  Micros next_cut(Micros watermark) const override {
    if (watermark == base::kMinTime) return base::kMinTime + 1;
    if (watermark == base::kMaxTime) return base::kMaxTime;
    // Rows of a query that has panes wait for their end, too: no window closes before.
    if (panes_) return panes_->grid().pane_start(watermark) + panes_->grid().pane_us;
    return base::floor_to(watermark, base::kMicrosPerSecond, 0) + base::kMicrosPerSecond;
  }
  void mark_gap(Micros from, Micros until) override { out_.append(partial::write_presence({origin_, 0, from, until})); }
  uint64_t rows_open() const override { return (panes_ ? panes_->rows_open() : 0) + (rows_ ? rows_->rows_open() : 0); }
  void tell_lost(uint64_t rows) override {
    lost_ = rows;
    out_.append(partial::write_loss({origin_, rows}));
  }
  WindowLedger ledger() const override {
    WindowLedger total;
    if (panes_) total += panes_->ledger();
    if (rows_) total += rows_->ledger();
    total.lost = lost_;
    return total;
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    if (!panes_) return;
    for (const auto& thread : panes_->threads()) nodes[1] += thread->state_octets();
  }
  uint64_t groups_held() const override {
    uint64_t groups = 0;
    if (panes_) {
      for (const auto& thread : panes_->threads()) groups += thread->groups_held();
    }
    return groups;
  }
  bool shed(size_t node, double share) override {
    if (!panes_) return false;
    for (const auto& thread : panes_->threads()) {
      if (node == 1) thread->shed(share);
    }
    return true;
  }
  void relax(size_t node) override {
    if (!panes_) return;
    for (const auto& thread : panes_->threads()) {
      if (node == 1) thread->relax();
    }
  }
  void save_state(StateWriter&) override {}
  void load_state(StateReader&) override {}
  void on_rows(const WindowRef&, batch::ColumnBatch&, bool) override { assert(!"fed by a stream"); }
  void on_frontier(Micros) override { assert(!"fed by a stream"); }

 private:
  struct Choice {
    explicit Choice(PartialsOut& out) : weigher(out) {}
    Weigher weigher;
    TravelChoice choice;
    Micros whole_from = base::kMinTime;  ///< panes that start here or later have had all their rows
    double row_octets = 0;               ///< by the sample of this cut
    bool alternate = false;
  };
  /// After rows went out, panes are whole again at the latest when so much of event time has passed: a single row may
  /// have any time.
  static constexpr Micros kWholeAfter = 600 * base::kMicrosPerSecond;

  bool sends_rows() const {
    if (!choice_) return panes_ == nullptr;
    return alternates_ ? choice_->alternate : choice_->choice.sends_rows();
  }

  void send(Micros until) {
    if (panes_) {
      if (choice_) choice_->row_octets = rows_->take_sample(choice_->weigher.compressor());
      panes_->send(
          until, frontier_,
          [&](Micros) {
            if (choice_) choice_->weigher.begin();
          },
          [&](Micros start, uint64_t row_count) {
            if (choice_) weigh(start, row_count);
          });
    }
    if (rows_) rows_->send(until == base::kMaxTime ? frontier_ : until);
  }
  /// A supplement, or a pane of which some rows went out as such, tells nothing.
  void weigh(Micros start, uint64_t row_count) {
    const double octets = choice_->weigher.end();
    const bool first = frontier_ == base::kMinTime || start + panes_->grid().pane_us > frontier_;
    if (first && start >= choice_->whole_from) choice_->choice.pane_sent(row_count, octets, choice_->row_octets);
  }
  void choose(Micros watermark) {
    choice_->alternate = !choice_->alternate;
    const uint64_t row_count = rows_->take_row_count();
    if (watermark == base::kMaxTime || frontier_ == base::kMinTime || !choice_->choice.sends_rows()) return;
    const PaneGrid& grid = panes_->grid();
    const Micros panes = (grid.pane_start(watermark) - grid.pane_start(frontier_)) / grid.pane_us;
    if (panes > 0) choice_->choice.rows_sent(row_count / static_cast<uint64_t>(panes));
    if (!choice_->choice.sends_rows()) choice_->whole_from = std::min(rows_->newest(), watermark + kWholeAfter) + 1;
  }
  void report() {
    const WindowLedger total = rows_ ? rows_->tell() : WindowLedger{};
    if (panes_) return panes_->report(frontier_, total);
    partial::Frontier frontier;
    frontier.origin = origin_;
    frontier.frontier = frontier_;
    frontier.assigned = total.assigned;
    frontier.filtered = total.filtered;
    frontier.time_null = total.time_null;
    frontier.time_future = total.time_future;
    out_.append(partial::write_frontier(frontier));
  }

  const partial::Origin origin_;
  PartialsOut& out_;
  const bool alternates_;
  std::optional<Choice> choice_;      ///< none: the plan has chosen
  std::unique_ptr<PaneSide> panes_;   ///< null: only rows travel
  std::unique_ptr<RowSide> rows_;     ///< null: only panes do
  Micros frontier_ = base::kMinTime;  ///< reported last
  uint64_t lost_ = 0;                 ///< told last
};

}  // namespace

partial::RowForm row_form(const plan::Stage& stage) {
  partial::RowForm form;
  form.types = stage.input.types();
  form.used = stage.input_used;
  form.used.resize(form.types.size());
  for (const int column : {stage.window.time_column}) {
    if (column >= 0) form.used[static_cast<size_t>(column)] = true;
  }
  return form;
}

std::unique_ptr<StageRunner> make_edge_stage(const plan::Query& query, plan::Travel travel, uint64_t incarnation,
                                             const EngineOptions& engine) {
  const plan::Stage& stage = query.stages.front();
  const partial::Origin origin{engine.edge, engine.epoch, incarnation};
  if (engine.travel_alternates && travel == plan::Travel::kPanes) travel = plan::Travel::kEither;
  PaneGrid grid{};
  if (travel != plan::Travel::kRows) {
    grid = plan::session_grid(stage.window);
    if (stage.window.kind != Window::Kind::kSession) {
      const plan::SplitPlan split = plan::split(query, engine.pane_us_max);
      grid = {split.edge.pane_us, stage.window.size_us, stage.window.slide_us, stage.window.offset_us,
              stage.window.calendar.get()};
    }
  }
  std::unique_ptr<StageRunner> runner = std::make_unique<EdgeStage>(stage, query.options, travel, grid, origin, engine);
  if (!stage.lookups.empty()) runner = make_lookup_stage(query, stage, engine.edges, engine, std::move(runner));
  if (stage.spread) runner = make_spread_stage(stage, engine, std::move(runner));
  return runner;
}

}  // namespace backstream::exec
