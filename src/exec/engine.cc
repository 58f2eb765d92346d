#include "exec/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <optional>

#include "exec/stage.h"

namespace backstream::exec {

WindowLedger& WindowLedger::operator+=(const WindowLedger& other) {
  assigned += other.assigned;
  counted += other.counted;
  filtered += other.filtered;
  late += other.late;
  errored += other.errored;
  shed += other.shed;
  time_null += other.time_null;
  time_future += other.time_future;
  refused += other.refused;
  windows_closed += other.windows_closed;
  result_rows += other.result_rows;
  late_by_max_us = std::max(late_by_max_us, other.late_by_max_us);
  for (size_t i = 0; i < std::size(value_errors.by_kind); ++i) value_errors.by_kind[i] += other.value_errors.by_kind[i];
  sum_overflow += other.sum_overflow;
  capped_groups += other.capped_groups;
  negative_weights += other.negative_weights;
  late_unkept += other.late_unkept;
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

/// A query at work: its stages in a chain, and at their end this: the sink and the views above.
class RunningQuery final : public RowReceiver {
 public:
  /// `query` must outlive it.
  RunningQuery(const plan::Query* query, size_t index, const EngineOptions& options, ResultSink* sink)
      : query_(query), index_(index), sink_(sink) {
    stages_.resize(query_->stages.size());
    RowReceiver* above = this;
    for (size_t s = stages_.size(); s-- > 0;) {
      stages_[s] = make_stage(*query_, s, options, *above);
      above = stages_[s].get();
    }
    for (size_t i = 0; i < query_->inputs.size(); ++i) {
      inputs_.push_back(std::make_unique<RunningQuery>(query_->inputs[i].get(), index, options, nullptr));
      inputs_.back()->add_reader(stages_.front()->input(i));
    }
  }
  const plan::Query& query() const { return *query_; }
  /// The columns of its source that it reads, late rows included.
  const std::vector<bool>& columns_used() const {
    return late_ ? late_->stage.input_used : query_->stages.front().input_used;
  }
  StageRunner& first() { return *stages_.front(); }
  const StageRunner& first() const { return *stages_.front(); }
  const std::vector<std::unique_ptr<RunningQuery>>& inputs() const { return inputs_; }
  void add_reader(RowReceiver& reader) { readers_.push_back(&reader); }
  /// A reader of `<view>_late`: its rows come without windows, in no order.
  void add_late_reader(RowReceiver& reader) {
    if (!late_) {
      late_ = plan::late_stage(*query_);
      assert(late_.has_value());
      stages_.front()->keep_late(*late_, late_rows_);
    }
    late_rows_.readers.push_back(&reader);
  }

  /// The ledger of the rows that the query read; results are those of its last stage.
  WindowLedger ledger() const {
    WindowLedger ledger;
    for (const auto& input : inputs_) ledger += input->ledger();
    bool rows_of_stream = passes_rows(*query_, 0);
    if (inputs_.empty()) ledger = stages_.front()->ledger();
    for (size_t s = inputs_.empty() ? 1 : 0; s < stages_.size(); ++s) {
      rows_of_stream = rows_of_stream && (s == 0 || !query_->stages[s - 1].aggregates_rows);
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
      if (rows_of_stream) {  // Rows that this stage turned away had been counted by the one that passed them on.
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

  void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) override {
    if (window.final) result_rows_ += rows.row_count;
    if (sink_ != nullptr) {
      ResultBatch result;
      result.query = query_->name;
      result.query_index = index_;
      result.window_start = window.start;
      result.window_end = window.end;
      result.revision = window.revision;
      result.final = window.final;
      result.last = last;
      result.schema = &query_->output();
      result.rows = rows;
      sink_->on_result(result);
    }
    if (!window.final) return;
    for (RowReceiver* reader : readers_) reader->on_rows(window, rows, last);
  }
  void on_frontier(Micros frontier) override {
    for (RowReceiver* reader : readers_) reader->on_frontier(frontier);
  }
  Micros next_cut(Micros frontier) const override {
    Micros cut = base::kMaxTime;
    for (const RowReceiver* reader : readers_) cut = std::min(cut, reader->next_cut(frontier));
    return cut;
  }

 private:
  /// The rows that stages[stage_count] reads are rows of streams, one for one.
  static bool passes_rows(const plan::Query& query, size_t stage_count) {
    for (size_t s = 0; s < stage_count; ++s) {
      if (query.stages[s].aggregates_rows) return false;
    }
    if (query.inputs.empty()) return query.source.kind == plan::Relation::Kind::kStream;
    return std::all_of(query.inputs.begin(), query.inputs.end(),
                       [](const auto& input) { return passes_rows(*input, input->stages.size()); });
  }

  const plan::Query* query_;
  size_t index_;
  ResultSink* sink_;
  std::optional<plan::LateStage> late_;
  struct LateReaders final : RowReceiver {
    void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) override {
      for (RowReceiver* reader : readers) reader->on_rows(window, rows, last);
    }
    void on_frontier(Micros frontier) override {
      for (RowReceiver* reader : readers) reader->on_frontier(frontier);
    }
    std::vector<RowReceiver*> readers;
  };
  LateReaders late_rows_;
  std::vector<std::unique_ptr<StageRunner>> stages_;
  std::vector<std::unique_ptr<RunningQuery>> inputs_;
  std::vector<RowReceiver*> readers_;
  uint64_t result_rows_ = 0;
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
    };
    std::vector<Reader> readers;
  };

  explicit State(EngineOptions given) : options(given) {}
  Stream& stream(std::string_view name) {
    for (Stream& s : streams) {
      if (s.name == name) return s;
    }
    Stream& made = streams.emplace_back();
    made.name = name;
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
      Stream& read = stream(source.name);
      const int time_column = query.query().stages.front().window.time_column;
      const bool arrival = time_column >= 0 && time_column == source.arrival_column;
      read.readers.push_back({&query, arrival ? Clock::kArrival : Clock::kEvent, 0});
      shift_all(read);
      return;
    }
    const auto find = [&](std::string_view name) -> RunningQuery* {
      for (const auto& other : queries) {
        if (other.get() != &query && other->query().name == name) return other.get();
      }
      return nullptr;
    };
    if (RunningQuery* below = find(source.name)) return below->add_reader(query.first());
    std::string_view view = source.name;
    assert(view.ends_with(plan::kLateSuffix));
    view.remove_suffix(plan::kLateSuffix.size());
    RunningQuery* below = find(view);
    assert(below != nullptr);
    below->add_late_reader(query.first());
  }

  EngineOptions options;
  std::vector<std::unique_ptr<plan::Query>> kept;  // Before those that run them.
  std::vector<std::unique_ptr<RunningQuery>> queries;
  std::vector<Stream> streams;
};

Engine::Engine(EngineOptions options) : state_(std::make_unique<State>(options)) {
  assert(options.edges >= 1);
  assert(options.batch_rows >= 1);
}
Engine::~Engine() = default;

void Engine::add_query(std::unique_ptr<plan::Query> query, ResultSink* sink) {
  const plan::Query& kept = *state_->kept.emplace_back(std::move(query));
  auto& added = state_->queries.emplace_back(
      std::make_unique<RunningQuery>(&kept, state_->queries.size(), state_->options, sink));
  state_->attach(*added);
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
  for (const auto& reader : s->readers) {
    const Micros watermark = State::shifted(context.watermarks[static_cast<size_t>(reader.clock)], reader.shift);
    reader.query->first().process(rows, {context.edge, watermark, context.time_max});
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
  s.watermark(clock) = watermark;
  for (auto& reader : s.readers) {
    if (reader.clock == clock) reader.query->first().advance(State::shifted(watermark, reader.shift));
  }
}

Micros Engine::next_cut(std::string_view stream, Clock clock) const {
  const State::Stream* s = state_->find(stream);
  Micros cut = base::kMaxTime;
  if (s == nullptr) return cut;
  for (const auto& reader : s->readers) {
    if (reader.clock != clock) continue;
    const Micros own =
        reader.query->first().next_cut(State::shifted(s->watermarks[static_cast<size_t>(clock)], reader.shift));
    cut = std::min(cut, own <= base::kMinTime + 1 || own == base::kMaxTime ? own : own - reader.shift);
  }
  return cut;
}

void Engine::finish() {
  for (State::Stream& s : state_->streams) {
    advance(s.name, base::kMaxTime, Clock::kEvent);
    advance(s.name, base::kMaxTime, Clock::kArrival);
  }
}

WindowLedger Engine::ledger(size_t query_index) const { return state_->queries[query_index]->ledger(); }
std::vector<WindowRecord> Engine::recent_windows(size_t query_index) const {
  return state_->queries[query_index]->first().recent_windows();
}
size_t Engine::query_count() const { return state_->queries.size(); }
const plan::Query& Engine::query(size_t query_index) const { return state_->queries[query_index]->query(); }

}  // namespace backstream::exec
