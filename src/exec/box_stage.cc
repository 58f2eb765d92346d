#include "exec/box_stage.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <tuple>

#include "exec/boxes.h"
#include "exec/row_order.h"

namespace backstream::exec {
namespace {

using batch::Column;
using batch::ColumnBatch;
using plan::Boxes;

/// Rows are put in order this much of time together. Cuts of the frontier are multiples of it, so that whether a row is
/// late does not depend on how often the frontier is told.
constexpr Micros kSliceUs = base::kMicrosPerSecond;
constexpr size_t kOpenSlicesMax = 100'000;
constexpr size_t kTurnTuples = 100'000;

Micros slice_of(Micros time) {
  return time == base::kMinTime || time == base::kMaxTime ? time : base::floor_to(time, kSliceUs);
}

std::unique_ptr<BoxRunner> make_box(const Boxes& plan, const Boxes::Box& box, BoxContext& context) {
  const batch::Schema& input = plan.schema_of(box.inputs.front());
  switch (box.kind) {
    case Boxes::Kind::kFilter: return make_filter_box(box, context);
    case Boxes::Kind::kMap: return make_map_box(box, context);
    case Boxes::Kind::kUnion: return make_union_box(context);
    case Boxes::Kind::kSort: return make_sort_box(box, input, context);
    case Boxes::Kind::kAggregate: return make_aggregate_box(box, input, context);
    case Boxes::Kind::kJoin: return make_join_box(box, input, plan.schema_of(box.inputs[1]), context);
    case Boxes::Kind::kWaitFor: return make_wait_box(box, input, plan.schema_of(box.inputs[1]), context);
  }
  return nullptr;
}

class BoxStage final : public CombiningStage {
 public:
  BoxStage(const plan::Query& query, const plan::Stage& stage, const EngineOptions& options, RowReceiver& receiver)
      : plan_(*stage.boxes),
        batch_rows_(options.batch_rows),
        rows_max_(options.stage_rows_max),
        receiver_(receiver),
        waiting_(rows_max_),
        room_(rows_max_),
        context_{
            query.options, options.batch_rows, options.analytic_partitions_max, options.hash_mask, room_, ledger_, {}} {
    context_.all_rows.resize(batch_rows_);
    std::iota(context_.all_rows.begin(), context_.all_rows.end(), 0u);
    for (size_t i = 0; i < plan_.sources.size(); ++i) inputs_.push_back(std::make_unique<Input>(*this, i));
    for (const Boxes::Source& source : plan_.sources) streams_.emplace_back().push_back(make_tuples(source.schema));
    for (const Boxes::Box& box : plan_.boxes) {
      std::vector<Tuples>& ports = streams_.emplace_back();
      for (size_t port = 0; port < box.port_count(); ++port) ports.emplace_back(make_tuples(box.output)).ignore(true);
    }
    const auto read = [&](const Boxes::Stream& stream) {
      Tuples& tuples = streams_[stream.from][stream.port];
      tuples.ignore(false);
      return &tuples;
    };
    for (size_t b = 0; b < plan_.boxes.size(); ++b) {
      std::vector<const Tuples*> in;
      for (const Boxes::Stream& stream : plan_.boxes[b].inputs) in.push_back(read(stream));
      std::vector<Tuples*> out;
      for (Tuples& tuples : streams_[plan_.sources.size() + b]) out.push_back(&tuples);
      boxes_.push_back(make_box(plan_, plan_.boxes[b], context_));
      boxes_.back()->set_streams(std::move(in), std::move(out));
    }
    output_ = read(plan_.output);
  }

  RowReceiver& input(size_t i) override { return *inputs_[i]; }
  WindowLedger ledger() const override {
    WindowLedger ledger = ledger_;
    for (const auto& box : boxes_) box->add_to(ledger);
    return ledger;
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    for (const auto& [start, slice] : slices_) {
      for (const auto& rows : slice.inputs) nodes[0] += rows.store.octets_held() + rows.origins.size() * sizeof(Origin);
    }
    for (const auto& box : boxes_) nodes[0] += box->octets_held();
  }
  uint64_t groups_held() const override {
    uint64_t groups = 0;
    for (const auto& box : boxes_) groups += box->groups_held();
    return groups;
  }

  void save_state(StateWriter& out) override {
    save(out, ledger_);
    out.number(ledger_.box_tuples_refused);
    out.number(ledger_.box_windows_skipped);
    out.time(known_before_);
    out.flag(ended_);
    for (const auto& input : inputs_) out.time(input->frontier());
    out.number(slices_.size());
    for (const auto& [start, slice] : slices_) {
      out.time(start);
      for (const auto& rows : slice.inputs) {
        save(out, rows.store);
        for (const Origin& origin : rows.origins) {
          out.number(origin.edge);
          out.number(origin.branch);
        }
      }
    }
    for (const auto& box : boxes_) out.part([&] { box->save(out); });
  }
  void load_state(StateReader& in) override {
    load(in, ledger_);
    ledger_.box_tuples_refused = in.number();
    ledger_.box_windows_skipped = in.number();
    known_before_ = in.time();
    ended_ = in.flag();
    for (const auto& input : inputs_) input->set_frontier(in.time());
    for (size_t left = in.count(1 + inputs_.size()); left > 0 && !in.refused(); --left) {
      const Micros start = in.bounded_time();
      if (!in.check(slice_of(start) == start && !slices_.contains(start))) return;
      load_slice(in, slices_.emplace(start, make_slice()).first->second);
    }
    for (const auto& box : boxes_) {
      if (in.refused()) return;
      StateReader part(in.part());
      box->load(part);
      if (!in.check(part.is_done())) return;
    }
  }

 private:
  class Input final : public RowReceiver {
   public:
    Input(BoxStage& stage, size_t number) : stage_(stage), number_(number) {}
    void on_rows(const WindowRef& window, ColumnBatch& rows, bool) override {
      if (window.final && rows.row_count > 0) stage_.hold(number_, {window.edge, window.branch}, rows);
    }
    void on_frontier(Micros frontier) override {
      frontier_ = frontier;
      stage_.settle();
    }
    Micros next_cut(Micros frontier) const override {
      if (frontier == base::kMinTime) return base::kMinTime + 1;
      return frontier == base::kMaxTime ? frontier : slice_of(frontier) + kSliceUs;
    }
    Micros frontier() const { return frontier_; }
    void set_frontier(Micros frontier) { frontier_ = frontier; }

   private:
    BoxStage& stage_;
    const size_t number_;
    Micros frontier_ = base::kMinTime;
  };

  /// What orders rows of one arrival and input.
  struct Origin {
    uint32_t edge = 0, branch = 0;
  };
  /// Rows that wait for others of their second.
  struct Slice {
    struct OfInput {
      RowStore store;
      std::vector<Origin> origins;  ///< of each row
    };
    std::vector<OfInput> inputs;
  };

  Tuples make_tuples(const batch::Schema& schema) { return {schema, rows_max_, ledger_.box_tuples_refused}; }
  const Boxes::Source& source_of(size_t input) const { return plan_.sources[input]; }
  Slice make_slice() const {
    constexpr size_t kTextOctets = 4096;
    Slice slice;
    for (size_t i = 0; i < inputs_.size(); ++i)
      slice.inputs.push_back({RowStore(source_of(i).schema.types(), kTextOctets), {}});
    return slice;
  }
  void load_slice(StateReader& in, Slice& slice) {
    for (size_t i = 0; i < inputs_.size() && !in.refused(); ++i) {
      Slice::OfInput& rows = slice.inputs[i];
      exec::load(in, source_of(i).schema.types(), rows.store);
      for (size_t row = 0; row < rows.store.row_count(); ++row) {
        const auto edge = static_cast<uint32_t>(in.number(UINT32_MAX));
        rows.origins.push_back({edge, static_cast<uint32_t>(in.number(UINT32_MAX))});
      }
      const Column times = rows.store.slice(static_cast<size_t>(source_of(i).order_column), 0);
      for (size_t row = 0; row < rows.store.row_count(); ++row) {
        const Micros time = times.is_null(row) ? kArrivalEnd : times.as<int64_t>()[row];
        in.check(time >= -kArrivalMax && time <= kArrivalMax);
      }
      in.check(waiting_.take(rows.store.row_count()));
    }
  }
  /// Rows of a stream may come from several threads.
  void hold(size_t input, const Origin& origin, const ColumnBatch& rows) {
    const std::lock_guard lock(mutex_);
    const Column& times = rows.columns[static_cast<size_t>(source_of(input).order_column)];
    for (size_t row = 0; row < rows.row_count;) {
      if (times.is_null(row)) {
        ++ledger_.time_null;
        ++row;
        continue;
      }
      const Micros time = times.as<int64_t>()[row];
      if (time > kArrivalMax || time < -kArrivalMax) {
        ++ledger_.time_future;
        ++row;
        continue;
      }
      const Micros slice = slice_of(time);
      numbers_.clear();
      for (; row < rows.row_count && !times.is_null(row); ++row) {
        const Micros other = times.as<int64_t>()[row];
        if (other < slice || other - slice >= kSliceUs) break;
        numbers_.push_back(static_cast<uint32_t>(row));
      }
      const size_t n = numbers_.size();
      if (slice < known_before_) {
        ledger_.late += n;
        ledger_.late_by_max_us = std::max(ledger_.late_by_max_us, known_before_ - slice);
        continue;
      }
      auto found = slices_.find(slice);
      if ((found == slices_.end() && slices_.size() >= kOpenSlicesMax) || !waiting_.take(n)) {
        ledger_.refused += n;
        continue;
      }
      if (found == slices_.end()) found = slices_.emplace(slice, make_slice()).first;
      Slice::OfInput& held = found->second.inputs[input];
      held.store.append(rows, numbers_.data(), n);
      held.origins.insert(held.origins.end(), n, origin);
    }
  }

  void settle() {
    Micros least = base::kMaxTime;
    for (const auto& input : inputs_) least = std::min(least, input->frontier());
    const Micros before = slice_of(least);
    if (before <= known_before_) return;
    known_before_ = before;
    while (!slices_.empty() && slices_.begin()->first < before) {
      const auto slice = slices_.extract(slices_.begin());
      run(slice.mapped());
    }
    if (before == base::kMaxTime) {
      end();
    } else {
      turn(before);
    }
    receiver_.on_frontier(before);
  }

  /// A row that waits: what it is in order by.
  struct Row {
    Micros arrival;
    uint32_t edge, input, branch;
    uint32_t place;   ///< in what came of the same edge, input and branch
    uint32_t number;  ///< in the store of its input
  };

  void run(const Slice& slice) {
    std::vector<Row> order;
    for (size_t i = 0; i < slice.inputs.size(); ++i) add(slice.inputs[i], i, order);
    std::sort(order.begin(), order.end(), [](const Row& a, const Row& b) {
      return std::tie(a.arrival, a.edge, a.input, a.branch, a.place) <
             std::tie(b.arrival, b.edge, b.input, b.branch, b.place);
    });
    std::vector<ColumnBatch> batches;
    for (const Slice::OfInput& rows : slice.inputs) {
      ColumnBatch& batch = batches.emplace_back();
      batch.row_count = rows.store.row_count();
      for (size_t c = 0; c < rows.store.column_count(); ++c) batch.columns.push_back(rows.store.slice(c, 0));
    }
    Moment moment{kArrivalEnd, 0};
    for (size_t first = 0, end = 0; first < order.size(); first = end) {
      end = std::min(first + turn_rows_, order.size());
      for (size_t at = first; at < end; ++at) {
        const Row& row = order[at];
        moment = {row.arrival, row.arrival == moment.arrival ? moment.number + 1 : 1};
        streams_[row.input][0].append(batches[row.input], row.number, moment);
      }
      waiting_.give(end - first);
      turn(moment.arrival);
    }
  }
  void add(const Slice::OfInput& rows, size_t input, std::vector<Row>& order) const {
    const size_t count = rows.store.row_count();
    if (count == 0) return;
    const Boxes::Source& source = source_of(input);
    const auto* times = rows.store.slice(static_cast<size_t>(source.order_column), 0).as<Micros>();
    std::vector<uint32_t> sorted(count);
    std::iota(sorted.begin(), sorted.end(), 0u);
    if (source.by_window) {
      std::vector<SortColumn> columns{{static_cast<size_t>(source.order_column)}};
      for (size_t c = 0; c < rows.store.column_count(); ++c) columns.push_back({c});
      sort_rows(rows.store, columns, sorted);
    }
    for (uint32_t place = 0; place < count; ++place) {
      const uint32_t row = sorted[place];
      const Origin origin = source.by_window ? Origin{} : rows.origins[row];
      order.push_back({times[row], origin.edge, static_cast<uint32_t>(input), origin.branch, place, row});
    }
  }

  /// All boxes, one after another, take what there is.
  void turn(Micros until) {
    for (const auto& box : boxes_) box->run(until);
    // Where few rows become many tuples, fewer at a time do.
    size_t most = 0;
    for (const auto& ports : streams_) {
      for (const Tuples& tuples : ports) most = std::max(most, tuples.size());
    }
    turn_rows_ = most > kTurnTuples ? std::max<size_t>(turn_rows_ / 2, 1) : std::min(turn_rows_ * 2, batch_rows_);
    send();
  }
  void end() {
    for (const auto& box : boxes_) {
      box->run(kArrivalEnd);
      box->end();
    }
    send();
    if (std::exchange(ended_, true)) return;
    ColumnBatch none = output_->slice(0, 0);
    receiver_.on_rows(WindowRef{}, none, true);
  }
  void send() {
    for (size_t first = 0; first < output_->size(); first += batch_rows_) {
      ColumnBatch rows = output_->slice(first, std::min(batch_rows_, output_->size() - first));
      receiver_.on_rows(WindowRef{}, rows, false);
    }
    for (auto& ports : streams_) {
      for (Tuples& tuples : ports) tuples.clear();
    }
  }

  const Boxes& plan_;
  const size_t batch_rows_, rows_max_;
  RowReceiver& receiver_;
  WindowLedger ledger_;
  Room waiting_, room_;  ///< of rows in slices; of what boxes keep
  BoxContext context_;
  std::vector<std::unique_ptr<Input>> inputs_;
  std::map<Micros, Slice> slices_;  ///< by second: rows that wait
  Micros known_before_ = base::kMinTime;
  bool ended_ = false;
  std::vector<std::vector<Tuples>> streams_;  ///< by source, then by box: its ports; empty between turns
  std::vector<std::unique_ptr<BoxRunner>> boxes_;
  const Tuples* output_ = nullptr;
  size_t turn_rows_ = batch_rows_;  ///< of one turn
  std::vector<uint32_t> numbers_;   // Scratch.
  std::mutex mutex_;
};

}  // namespace

std::unique_ptr<StageRunner> make_box_stage(const plan::Query& query, const plan::Stage& stage,
                                            const EngineOptions& options, RowReceiver& receiver) {
  return std::make_unique<BoxStage>(query, stage, options, receiver);
}

}  // namespace backstream::exec
