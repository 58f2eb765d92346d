#include "exec/spread_stage.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "exec/state_bytes.h"

namespace backstream::exec {

using batch::Column;
using batch::ColumnBatch;

int64_t spread_share(int64_t total, int64_t elapsed, int64_t duration) {
  if (elapsed == duration) return total;
  if (int64_t product = 0; !__builtin_mul_overflow(total, elapsed, &product)) return product / duration;
  __extension__ using Wide = __int128;
  return static_cast<int64_t>(Wide{total} * elapsed / duration);
}

namespace {

/// Times beyond these (year 75,000) are no times of a flow.
constexpr Micros kTimeMax = Micros{1} << 61, kTimeMin = -kTimeMax;

/// The parts of one edge's rows. One thread.
class Spreader {
 public:
  Spreader(const plan::Stage& stage, size_t batch_rows) : spread_(*stage.spread), batch_rows_(batch_rows) {
    use(stage.input_used);
    rows_.resize(batch_rows);
    times_.resize(batch_rows);
    begins_.resize(batch_rows);
    ends_.resize(batch_rows);
    durations_.resize(batch_rows);
    present_.resize(batch_rows);
    spans_.resize(batch_rows);
  }

  /// These columns of the parts are read from now on.
  void use(const std::vector<bool>& columns) {
    for (size_t c = 0; c < columns.size(); ++c) {
      const bool known = std::any_of(used_.begin(), used_.end(), [&](const Used& u) { return u.column == c; });
      if (!columns[c] || known) continue;
      const bool additive =
          std::find(spread_.additive.begin(), spread_.additive.end(), static_cast<int>(c)) != spread_.additive.end();
      used_.push_back({c, additive, {}, {}});
    }
  }

  /// take(parts) is called with batches of at most batch_rows parts.
  template <typename Take>
  void spread(const ColumnBatch& rows, Take&& take) {
    counts.spread_rows += rows.row_count;
    if (find_spans(rows)) {  // The common case: no row crosses the end of a pane.
      parts_.row_count = rows.row_count;
      parts_.columns.assign(rows.columns.begin(), rows.columns.end());
      put_times(rows.row_count);
      take(parts_);
      return;
    }
    size_t n = 0;
    for (size_t row = 0; row < rows.row_count; ++row) {
      const Span& span = spans_[row];
      for (int64_t part = 0; part < span.parts; ++part) {
        if (n == batch_rows_) {
          emit(rows, n);
          take(parts_);
          n = 0;
        }
        rows_[n] = static_cast<uint32_t>(row);
        const Micros pane_end = span.first_pane_end + part * spread_.pane_us;  // not of rows that are one part
        const bool last = part + 1 == span.parts;
        begins_[n] = part == 0 ? 0 : pane_end - spread_.pane_us - span.start;
        ends_[n] = last ? span.duration : pane_end - span.start;
        durations_[n] = span.duration;
        times_[n] = last ? span.last_time : pane_end - 1;
        present_[n] = span.has_time;
        ++n;
      }
    }
    emit(rows, n);
    take(parts_);
  }

  WindowLedger counts;  ///< spread_*

 private:
  struct Span {
    Micros start;
    int64_t duration;  ///< of one part only: any, at least 1
    Micros first_pane_end;
    int64_t parts;
    Micros last_time;
    bool has_time;
  };
  struct Used {
    size_t column;
    bool additive;
    std::vector<uint8_t> values, validity;
  };

  /// Whether each row is one part; then times_ and present_ are set.
  bool find_spans(const ColumnBatch& rows) {
    const Column& start = rows.columns[static_cast<size_t>(spread_.start_column)];
    const Column& end = rows.columns[static_cast<size_t>(spread_.end_column)];
    const Column& time = rows.columns[static_cast<size_t>(spread_.time_column)];
    bool single = true;
    for (size_t row = 0; row < rows.row_count; ++row) {
      Span& span = spans_[row];
      span = {0, 1, 0, 1, 0, true};
      const bool has_start = !start.is_null(row), has_end = !end.is_null(row);
      const Micros e = end.as<Micros>()[row], s = start.as<Micros>()[row];
      if (has_end) {
        span.last_time = e;
      } else if (time.values != nullptr) {
        span.has_time = !time.is_null(row);
        span.last_time = time.as<Micros>()[row];
      }
      times_[row] = span.last_time;
      present_[row] = span.has_time;
      if (!has_start || !has_end || e < s) {
        ++counts.spread_without_span;
        continue;
      }
      if (e == s) continue;
      if (s < kTimeMin || e > kTimeMax) {
        ++counts.spread_too_long;
        continue;
      }
      const Micros first = base::floor_to(s, spread_.pane_us);
      if (e - first <= spread_.pane_us) {  // [s, e) ends in the pane in which it starts.
        if (e - first == spread_.pane_us) times_[row] = span.last_time = e - 1;
        continue;
      }
      const Micros last = base::floor_to(e - 1, spread_.pane_us);
      const int64_t parts = (last - first) / spread_.pane_us + 1;
      if (parts > kSpreadPartsMax) {
        ++counts.spread_too_long;
        continue;
      }
      span = {s, e - s, first + spread_.pane_us, parts, std::min(e, last + spread_.pane_us - 1), true};
      single = false;
    }
    return single;
  }

  void put_times(size_t n) {
    Column& column = parts_.columns[static_cast<size_t>(spread_.time_column)];
    if (column.values == nullptr) return;
    column.values = times_.data();
    column.has_nulls = std::memchr(present_.data(), 0, n) != nullptr;
    column.validity = present_.data();
  }

  template <typename T>
  void gather(const Column& from, size_t n, Used& used) {
    used.values.resize(batch_rows_ * sizeof(T));
    T* to = reinterpret_cast<T*>(used.values.data());
    const T* values = from.as<T>();
    for (size_t i = 0; i < n; ++i) to[i] = values[rows_[i]];
  }

  void divide(size_t n, Used& used) {
    auto* values = reinterpret_cast<int64_t*>(used.values.data());
    for (size_t i = 0; i < n; ++i) {
      if (begins_[i] == 0 && ends_[i] == durations_[i]) continue;
      values[i] = spread_share(values[i], ends_[i], durations_[i]) - spread_share(values[i], begins_[i], durations_[i]);
    }
  }

  /// The parts rows_[0 .. n) as columns.
  void emit(const ColumnBatch& rows, size_t n) {
    parts_.row_count = n;
    parts_.columns.resize(rows.columns.size());
    for (Used& used : used_) {
      if (used.column >= rows.columns.size()) continue;  // Of a lookup table, or `<view>_late`: not there yet.
      const Column& from = rows.columns[used.column];
      Column& to = parts_.columns[used.column];
      to = from;
      if (from.values == nullptr) continue;
      switch (batch::physical(from.type)) {
        case batch::Physical::kByte: gather<uint8_t>(from, n, used); break;
        case batch::Physical::kInt64: gather<int64_t>(from, n, used); break;
        case batch::Physical::kDouble: gather<double>(from, n, used); break;
        case batch::Physical::kText: gather<std::string_view>(from, n, used); break;
        case batch::Physical::kInet: gather<base::Inet>(from, n, used); break;
        case batch::Physical::kInterval: gather<base::Interval>(from, n, used); break;
      }
      if (used.additive) divide(n, used);
      to.values = used.values.data();
      if (!from.has_nulls) continue;
      used.validity.resize(batch_rows_);
      for (size_t i = 0; i < n; ++i) used.validity[i] = from.validity[rows_[i]];
      to.validity = used.validity.data();
    }
    put_times(n);
  }

  const plan::Spread& spread_;
  const size_t batch_rows_;
  std::vector<Used> used_;
  ColumnBatch parts_;
  std::vector<Span> spans_;  // By row.
  // By part: its row; where it begins and ends after the row's start.
  std::vector<uint32_t> rows_;
  std::vector<int64_t> begins_, ends_, durations_;
  std::vector<Micros> times_;
  std::vector<uint8_t> present_;
};

class SpreadStage final : public StageRunner {
 public:
  SpreadStage(const plan::Stage& stage, const EngineOptions& options, std::unique_ptr<StageRunner> reader)
      : reader_(std::move(reader)) {
    for (uint32_t e = 0; e < options.edges; ++e)
      spreaders_.push_back(std::make_unique<Spreader>(stage, options.batch_rows));
  }

  void process(const ColumnBatch& rows, const ProcessContext& context) override {
    if (rows.row_count == 0) return;
    spreaders_[context.edge]->spread(rows, [&](const ColumnBatch& parts) { reader_->process(parts, context); });
  }
  void advance(Micros watermark) override { reader_->advance(watermark); }
  WindowLedger ledger() const override {
    WindowLedger total = reader_->ledger();
    for (const auto& spreader : spreaders_) total += spreader->counts;
    return total;
  }
  void measure(plan::StageActivity& activity) const override { reader_->measure(activity); }
  void add_state_octets(std::vector<uint64_t>& nodes) const override { reader_->add_state_octets(nodes); }
  uint64_t groups_held() const override { return reader_->groups_held(); }
  bool shed(size_t node, double share) override { return reader_->shed(node, share); }
  void relax(size_t node) override { reader_->relax(node); }
  void refresh_lookups() override { reader_->refresh_lookups(); }
  void mark_gap(Micros from, Micros until) override { reader_->mark_gap(from, until); }
  uint64_t rows_open() const override { return reader_->rows_open(); }
  void tell_lost(uint64_t rows) override { reader_->tell_lost(rows); }
  void send_open() override { reader_->send_open(); }
  void save_state(StateWriter& out) override {
    WindowLedger total;
    for (const auto& spreader : spreaders_) total += spreader->counts;
    save(out, total);
    reader_->save_state(out);
  }
  void load_state(StateReader& in) override {
    load(in, spreaders_.front()->counts);
    reader_->load_state(in);
  }
  std::vector<WindowRecord> recent_windows() const override { return reader_->recent_windows(); }
  void keep_late(const plan::LateStage& late, RowReceiver& receiver) override {
    for (auto& spreader : spreaders_) spreader->use(late.stage.input_used);
    reader_->keep_late(late, receiver);
  }
  Micros next_cut(Micros watermark) const override { return reader_->next_cut(watermark); }
  void on_rows(const WindowRef&, ColumnBatch&, bool) override { assert(!"fed by a stream"); }
  void on_frontier(Micros) override { assert(!"fed by a stream"); }

 private:
  const std::unique_ptr<StageRunner> reader_;
  std::vector<std::unique_ptr<Spreader>> spreaders_;  // By edge.
};

}  // namespace

std::unique_ptr<StageRunner> make_spread_stage(const plan::Stage& stage, const EngineOptions& options,
                                               std::unique_ptr<StageRunner> reader) {
  return std::make_unique<SpreadStage>(stage, options, std::move(reader));
}

}  // namespace backstream::exec
