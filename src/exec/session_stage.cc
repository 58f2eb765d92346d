#include "exec/session_stage.h"

#include <algorithm>
#include <map>

#include "exec/shipping.h"
#include "exec/windowed_stage.h"
#include "plan/split.h"
#include "transport/memory_log.h"

namespace backstream::exec {
namespace {

/// Of partials between two calls of advance(), a query.
constexpr size_t kLogOctetsMax = size_t{1} << 30;

/// The merge half: sessions that are open, one a key. One thread.
class SessionMerge final : public PaneReceiver {
 public:
  SessionMerge(const plan::Stage& stage, const plan::QueryOptions& options, size_t batch_rows, uint64_t hash_mask,
               RowReceiver& receiver)
      : gap_us_(stage.window.size_us),
        min_column_(stage.grouped.columns.size() - 2),
        layout_(stage, hash_mask),
        tail_(stage, stage.having.get(), options, batch_rows, ledger_, receiver),
        group_rows_(stage, batch_rows),
        min_offset_(layout_.state_offsets()[stage.aggregates.size() - 2]),
        max_offset_(layout_.state_offsets()[stage.aggregates.size() - 1]),
        min_(stage.aggregates[stage.aggregates.size() - 2].function),
        max_(stage.aggregates[stage.aggregates.size() - 1].function),
        open_(new_table(0)) {}

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
    for (auto& [start, pane] : panes_) {
      close(start);
      join(*pane);
    }
    panes_.clear();
    close(done);
    if (done == base::kMaxTime) tail_.end(WindowRef{});
  }
  uint64_t state_octets() const {
    uint64_t octets = open_->octets_held() + tail_.octets_held();
    for (const auto& [start, pane] : panes_) octets += pane->octets_held();
    return octets;
  }
  /// The least start of a session that is open; kMaxTime: none.
  Micros oldest_start() const { return oldest_start_; }
  const WindowLedger& ledger() const { return ledger_; }

 private:
  PaneTablePtr new_table(size_t hint) { return std::make_unique<PaneTable>(layout_, pool_, hint); }

  struct Span {
    Micros first, last;
  };
  /// First and last row of each group.
  void spans_of(PaneTable& table, std::vector<Span>& spans) {
    const size_t n = table.group_count();
    rows_.resize(n);
    times_.resize(n);
    present_.resize(n);
    spans.resize(n);
    const auto read = [&](const agg::AggregateFunction& function, uint32_t offset) {
      for (size_t g = 0; g < n; ++g) rows_[g] = table.row(g) + table.states_at(table.is_wide(g)) + offset;
      batch::Column out;
      out.type = batch::Type::kTimestamptz;
      out.has_nulls = true;
      out.values = times_.data();
      out.validity = present_.data();
      function.finish(rows_.data(), 0, n, out, 0, table.context());
    };
    read(*min_, min_offset_);
    for (size_t g = 0; g < n; ++g) spans[g].first = times_[g];
    read(*max_, max_offset_);
    for (size_t g = 0; g < n; ++g) spans[g].last = times_[g];
  }

  /// Sends the sessions that end at or before `time`; the others stay.
  void close(Micros time) {
    const size_t groups = open_->group_count();
    oldest_start_ = base::kMaxTime;
    spans_of(*open_, spans_);
    leaving_.assign(groups, 0);
    for (size_t g = 0; g < groups; ++g) {
      leaving_[g] = time == base::kMaxTime || spans_[g].last + gap_us_ <= time;
      if (leaving_[g] == 0) oldest_start_ = std::min(oldest_start_, spans_[g].first);
    }
    if (const PaneTablePtr closed = take_leaving()) send(*closed);
  }

  /// The open sessions that `leaving_` marks, which are open no longer; null: none.
  PaneTablePtr take_leaving() {
    const auto leaving = static_cast<size_t>(std::count(leaving_.begin(), leaving_.end(), 1));
    if (leaving == 0) return nullptr;
    const PaneTablePtr old = std::move(open_);
    PaneTablePtr taken = new_table(leaving);
    taken->combine(*old, leaving_.data());
    for (uint8_t& mark : leaving_) mark ^= 1;
    open_ = new_table(old->group_count() - leaving);
    open_->combine(*old, leaving_.data());
    return taken;
  }

  /// Adds the groups of a pane to the sessions of their keys. Where a key's open session is too far away, the earlier
  /// of the two is over.
  void join(PaneTable& pane) {
    spans_of(pane, spans_);
    spans_of(*open_, open_spans_);
    open_->match(pane, matches_);
    staying_.assign(pane.group_count(), 1);
    leaving_.assign(open_->group_count(), 0);
    bool apart = false;
    for (size_t g = 0; g < pane.group_count(); ++g) {
      if (matches_[g] == PaneTable::kNoGroup) continue;
      const Span session = open_spans_[matches_[g]], rows = spans_[g];
      if (rows.first >= session.last + gap_us_) {
        leaving_[matches_[g]] = 1;
      } else if (session.first >= rows.last + gap_us_) {
        staying_[g] = 0;
        apart = true;
      }
    }
    PaneTablePtr over = take_leaving();
    if (apart && over == nullptr) over = new_table(0);
    open_->combine(pane, apart ? staying_.data() : nullptr);
    if (apart) {
      for (uint8_t& mark : staying_) mark ^= 1;
      over->combine(pane, staying_.data());
    }
    if (over != nullptr) send(*over);
  }

  void send(PaneTable& sessions) {
    const agg::NullResults nulls_before = sessions.context();
    group_rows_.for_each_batch(sessions, 0, 0, [&](batch::ColumnBatch& rows) {
      const Micros* firsts = rows.columns[min_column_].as<Micros>();
      const Micros* lasts = rows.columns[min_column_ + 1].as<Micros>();
      for (size_t row = 0; row < rows.row_count; ++row) {
        rows.columns[0].as<Micros>()[row] = firsts[row];
        rows.columns[1].as<Micros>()[row] = lasts[row] + gap_us_;
      }
      ledger_.windows_closed += rows.row_count;
      tail_.add(WindowRef{}, rows);
    });
    ledger_.add(sessions.context().since(nulls_before));
  }

  const Micros gap_us_;
  const size_t min_column_;  ///< of the grouped row; the greatest time stands behind it
  WindowLedger ledger_;
  BlockPool pool_;
  GroupLayout layout_;
  Tail tail_;
  GroupRows group_rows_;
  const uint32_t min_offset_, max_offset_;
  const agg::AggregateFunction* const min_;
  const agg::AggregateFunction* const max_;
  std::map<Micros, PaneTablePtr> panes_;  ///< not joined yet
  PaneTablePtr open_;
  Micros oldest_start_ = base::kMaxTime;
  // Scratch.
  std::vector<const uint8_t*> rows_;
  std::vector<Micros> times_;
  std::vector<uint8_t> present_, leaving_, staying_;
  std::vector<Span> spans_, open_spans_;
  std::vector<size_t> matches_;
};

class SessionStage final : public StageRunner {
 public:
  SessionStage(const plan::Query& query, const plan::Stage& stage, uint32_t edge_count, bool ship,
               const EngineOptions& options, RowReceiver& receiver)
      : grid_(plan::session_grid(stage.window)),
        receiver_(receiver),
        merge_(stage, query.options, options.batch_rows, options.hash_mask, receiver) {
    for (uint32_t e = 0; e < edge_count; ++e)
      edges_.push_back(std::make_unique<EdgeHalf>(stage, query.options, grid_, options.batch_rows, options.hash_mask));
    if (!ship) return;
    shipping_ =
        std::make_unique<PaneShipping>(stage, std::hash<std::string>{}(query.text), edge_count, options.batch_rows,
                                       std::make_unique<transport::MemoryLog>(1, kLogOctetsMax));
  }

  void process(const batch::ColumnBatch& rows, const ProcessContext& context) override {
    edges_[context.edge]->process(rows, context.watermark, context.time_max);
  }
  void advance(Micros watermark) override {
    for (uint32_t e = 0; e < edges_.size(); ++e) {
      EdgeHalf& edge = *edges_[e];
      edge.set_watermark(watermark);
      edge.take_until(watermark, [&](Micros start, PaneTablePtr pane) {
        if (shipping_) shipping_->ship(e, start, *pane);
        else merge_.adopt(start, std::move(pane));
      });
      edge.take_counts(watermark);
      if (shipping_) shipping_->report(e, watermark, edge.ledger());
    }
    const Micros merged = shipping_ ? shipping_->receive(merge_, nullptr) : watermark;
    const bool bound = merged == base::kMaxTime || merged == base::kMinTime;
    const Micros done = bound ? merged : grid_.pane_start(merged);
    if (done == base::kMinTime) return;
    merge_.close_until(done);
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
    return total;
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    for (size_t e = 0; e < edges_.size(); ++e) nodes[shipping_ ? 1 + e : 0] += edges_[e]->state_octets();
    nodes[0] += merge_.state_octets();
  }
  void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool) override {
    if (window.final) process(rows, {});
  }
  void on_frontier(Micros frontier) override { advance(frontier); }

 private:
  const PaneGrid grid_;
  RowReceiver& receiver_;
  std::vector<std::unique_ptr<EdgeHalf>> edges_;  // Before merge_: it holds panes whose memory is theirs.
  SessionMerge merge_;
  std::unique_ptr<PaneShipping> shipping_;  // null: panes are adopted
};

}  // namespace

std::unique_ptr<StageRunner> make_session_stage(const plan::Query& query, const plan::Stage& stage, uint32_t edge_count,
                                                bool ship, const EngineOptions& options, RowReceiver& receiver) {
  return std::make_unique<SessionStage>(query, stage, edge_count, ship, options, receiver);
}

}  // namespace backstream::exec
