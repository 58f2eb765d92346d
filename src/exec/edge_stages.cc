// What an edge runs of a query whose other half is elsewhere (docs/design/0027-halves-apart.md).
#include <algorithm>
#include <map>
#include <mutex>

#include "exec/lookup_stage.h"
#include "exec/shipping.h"
#include "exec/spread_stage.h"
#include "exec/stage.h"
#include "exec/windowed_stage.h"
#include "partial/rows.h"
#include "plan/split.h"

namespace backstream::exec {
namespace {

using plan::Window;

/// Groups rows by pane, and sends the panes that have ended. An edge never judges a row as late: one whose pane was
/// sent before goes out as a supplement, and where windows close it is late or not.
class PaneEdgeStage final : public StageRunner {
 public:
  PaneEdgeStage(const plan::Stage& stage, const plan::QueryOptions& query, const PaneGrid& grid,
                const partial::Origin& origin, const EngineOptions& options)
      : grid_(grid), origin_(origin), out_(*options.partials_out), sender_(stage, origin, options.batch_rows, out_) {
    for (uint32_t e = 0; e < options.edges; ++e) {
      threads_.push_back(std::make_unique<EdgeHalf>(stage, query, grid_, options.batch_rows, options.hash_mask,
                                                    pool_of(options, e, true)));
      threads_.back()->leave_judging();
    }
  }

  void process(const batch::ColumnBatch& rows, const ProcessContext& context) override {
    threads_[context.edge]->process(rows, context.watermark, context.time_max, context.common);
  }
  void advance(Micros watermark) override {
    for (const auto& thread : threads_) thread->set_watermark(watermark);
    send(watermark);
    frontier_ = watermark;
    sender_.report(watermark, ledger());
    // Supplements to panes of long ago begin anew with the number 0 and must not be taken for repeats of the first.
    if (watermark != base::kMaxTime) sender_.forget_before(watermark - kNumbersKept);
  }
  void send_open() override {
    send(base::kMaxTime);
    sender_.report(frontier_, ledger());
  }
  Micros next_cut(Micros watermark) const override {
    if (watermark == base::kMinTime) return base::kMinTime + 1;
    if (watermark == base::kMaxTime) return base::kMaxTime;
    return grid_.pane_start(watermark) + grid_.pane_us;
  }
  void mark_gap(Micros from, Micros until) override { out_.append(partial::write_presence({origin_, 0, from, until})); }
  WindowLedger ledger() const override {
    WindowLedger total;
    for (const auto& thread : threads_) total += thread->ledger();
    return total;
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    for (const auto& thread : threads_) nodes[1] += thread->state_octets();
  }
  bool shed(size_t node, double share) override {
    for (const auto& thread : threads_) {
      if (node == 1) thread->shed(share);
    }
    return true;
  }
  void relax(size_t node) override {
    for (const auto& thread : threads_) {
      if (node == 1) thread->relax();
    }
  }
  void save_state(StateWriter&) override {}
  void load_state(StateReader&) override {}
  void on_rows(const WindowRef&, batch::ColumnBatch&, bool) override { assert(!"fed by a stream"); }
  void on_frontier(Micros) override { assert(!"fed by a stream"); }

 private:
  /// Sends the panes that end at or before `until`. Those of several threads are one.
  void send(Micros until) {
    std::map<Micros, PaneTablePtr> panes;
    window::CountsByPane counts;
    for (const auto& thread : threads_) {
      for (const auto& [start, of_thread] : thread->take_counts(until)) counts[start] += of_thread;
      thread->take_until(until, [&](Micros start, PaneTablePtr pane) {
        PaneTablePtr& whole = panes[start];
        if (whole == nullptr) whole = std::move(pane);
        else whole->combine(*pane);
      });
    }
    for (const auto& [start, pane] : panes) {
      const auto own = counts.extract(start);
      sender_.send(start, *pane, own.empty() ? PaneCounts{} : own.mapped());
    }
    sender_.send_cut(frontier_, counts, nullptr);
  }

  static constexpr Micros kNumbersKept = 7 * 24 * 3600 * base::kMicrosPerSecond;

  const PaneGrid grid_;
  const partial::Origin origin_;
  PartialsOut& out_;
  PaneSender sender_;
  std::vector<std::unique_ptr<EdgeHalf>> threads_;
  Micros frontier_ = base::kMinTime;  ///< reported last
};

/// Sends the columns that the query reads, of the rows that its condition lets through.
class RowEdgeStage final : public StageRunner {
 public:
  RowEdgeStage(const plan::Stage& stage, const partial::Origin& origin, const EngineOptions& options)
      : origin_(origin), out_(*options.partials_out), time_column_(stage.window.time_column) {
    checks_time_ = stage.aggregates_rows && time_column_ >= 0;
    const partial::RowForm form = row_form(stage);
    for (uint32_t e = 0; e < options.edges; ++e)
      threads_.push_back(std::make_unique<Thread>(stage, form, options.batch_rows));
  }

  void process(const batch::ColumnBatch& rows, const ProcessContext& context) override {
    Thread& thread = *threads_[context.edge];
    const size_t n = choose(thread, rows, context.time_max);
    thread.writer.add(rows, thread.chosen.data(), n);
    if (thread.writer.is_full()) send(thread);
  }
  void advance(Micros watermark) override {
    frontier_ = watermark;
    send_open();
  }
  void send_open() override {
    for (const auto& thread : threads_) {
      if (thread->writer.row_count() > 0) send(*thread);
    }
    partial::Frontier frontier;
    frontier.origin = origin_;
    frontier.frontier = frontier_;
    // The rows that went out are counted where they arrive.
    const WindowLedger total = ledger();
    frontier.assigned = frontier.filtered = total.filtered;
    frontier.time_null = total.time_null;
    frontier.time_future = total.time_future;
    out_.append(partial::write_frontier(frontier));
  }
  Micros next_cut(Micros watermark) const override {
    if (watermark == base::kMinTime) return base::kMinTime + 1;
    if (watermark == base::kMaxTime) return base::kMaxTime;
    return base::floor_to(watermark, base::kMicrosPerSecond, 0) + base::kMicrosPerSecond;
  }
  void mark_gap(Micros from, Micros until) override { out_.append(partial::write_presence({origin_, 0, from, until})); }
  WindowLedger ledger() const override {
    WindowLedger total;
    for (const auto& thread : threads_) total += thread->ledger;
    return total;
  }
  void add_state_octets(std::vector<uint64_t>&) const override {}
  void save_state(StateWriter&) override {}
  void load_state(StateReader&) override {}
  void on_rows(const WindowRef&, batch::ColumnBatch&, bool) override { assert(!"fed by a stream"); }
  void on_frontier(Micros) override { assert(!"fed by a stream"); }

 private:
  struct Thread {
    Thread(const plan::Stage& stage, const partial::RowForm& form, size_t batch_rows) : writer(form) {
      if (stage.where) where = std::make_unique<expr::Evaluator>(expr::clone(*stage.where), batch_rows);
      chosen.resize(batch_rows);
      errors.resize(batch_rows);
    }
    partial::RowsWriter writer;
    WindowLedger ledger;
    std::unique_ptr<expr::Evaluator> where;
    std::vector<uint32_t> chosen;
    std::vector<uint8_t> errors;
  };

  /// Rows whose condition cannot be computed go out, too: what happens to them is the other half's to say, and to
  /// count.
  size_t choose(Thread& thread, const batch::ColumnBatch& rows, Micros time_max) {
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
        ++thread.ledger.time_null;
        continue;
      }
      if (time != nullptr && time->as<Micros>()[row] > time_max) {
        ++thread.ledger.time_future;
        continue;
      }
      if (thread.where && thread.errors[row] == 0 && (condition.is_null(row) || condition.as<uint8_t>()[row] == 0)) {
        ++thread.ledger.filtered;
        continue;
      }
      thread.chosen[n++] = row;
    }
    return n;
  }
  void send(Thread& thread) {
    const std::lock_guard lock(mutex_);
    partial::ChunkId id;
    id.kind = partial::ChunkId::Kind::kRows;
    id.origin = origin_;
    id.pane_start = frontier_;
    id.supplement = sent_++;
    id.last = true;
    out_.append(thread.writer.take(id));
  }

  const partial::Origin origin_;
  PartialsOut& out_;
  const int time_column_;
  bool checks_time_ = false;  ///< as EdgeHalf: rows without a usable time go nowhere
  std::vector<std::unique_ptr<Thread>> threads_;
  Micros frontier_ = base::kMinTime;  ///< reported last
  std::mutex mutex_;                  ///< process() of several threads; guards the number and the order of messages
  uint32_t sent_ = 0;
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
  std::unique_ptr<StageRunner> runner;
  if (travel == plan::Travel::kPanes) {
    PaneGrid grid = plan::session_grid(stage.window);
    if (stage.window.kind != Window::Kind::kSession) {
      const plan::SplitPlan split = plan::split(query, engine.pane_us_max);
      grid = {split.edge.pane_us, stage.window.size_us, stage.window.slide_us, stage.window.offset_us,
              stage.window.calendar.get()};
    }
    runner = std::make_unique<PaneEdgeStage>(stage, query.options, grid, origin, engine);
  } else {
    runner = std::make_unique<RowEdgeStage>(stage, origin, engine);
  }
  if (!stage.lookups.empty()) runner = make_lookup_stage(query, stage, engine.edges, engine, std::move(runner));
  if (stage.spread) runner = make_spread_stage(stage, engine, std::move(runner));
  return runner;
}

}  // namespace backstream::exec
