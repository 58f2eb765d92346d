#include "exec/analytic_stage.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <map>
#include <string>
#include <unordered_map>

#include "exec/analytic_partition.h"
#include "exec/carried_functions.h"
#include "exec/keyed_states.h"
#include "exec/row_order.h"
#include "exec/state_bytes.h"
#include "exec/window_functions.h"

namespace backstream::exec {
namespace {

using batch::Column;
using batch::Physical;

constexpr Micros kTimeMax = Micros{1} << 62;  // As in EdgeHalf: times beyond would overflow the arithmetic.
/// Rows of a stream are put in order this much of event time together. Cuts of the frontier are multiples of it, so
/// that whether a row is late does not depend on how often the frontier is told.
constexpr Micros kSliceUs = base::kMicrosPerSecond;
constexpr size_t kOpenSlicesMax = 100'000;
constexpr Micros kSweepUs = 600 * base::kMicrosPerSecond;
constexpr size_t kContextOctetsMin = size_t{64} << 20;

template <typename Value>
void put_octets(std::string& out, const Value& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Equal bytes for values that are equal in ORDER BY.
void put_key(const Column& column, size_t row, std::string& out) {
  if (column.is_null(row)) return out.push_back('\0');
  out.push_back('\1');
  switch (batch::physical(column.type)) {
    case Physical::kByte: return put_octets(out, column.as<uint8_t>()[row]);
    case Physical::kInt64: return put_octets(out, column.as<int64_t>()[row]);
    case Physical::kDouble: {
      const double value = column.as<double>()[row];
      return put_octets(out, std::isnan(value) ? std::nan("") : value == 0 ? 0.0 : value);
    }
    case Physical::kText: {
      const std::string_view text = column.as<std::string_view>()[row];
      put_octets(out, text.size());
      out.append(text);
      return;
    }
    case Physical::kInet: return put_octets(out, column.as<base::Inet>()[row]);
    case Physical::kInterval: {  // By length, as intervals compare: a month is 30 days.
      const auto& interval = column.as<base::Interval>()[row];
      __extension__ using Wide = __int128;
      return put_octets(out, (Wide{interval.months} * 30 + interval.days) * 86'400'000'000 + interval.micros);
    }
  }
}

struct KeyHash {
  using is_transparent = void;
  uint64_t mask = ~uint64_t{0};
  size_t operator()(std::string_view key) const { return std::hash<std::string_view>{}(key)&mask; }
};

class AnalyticStage final : public StageRunner {
 public:
  AnalyticStage(const plan::Query& query, const plan::Stage& stage, const EngineOptions& options, RowReceiver& receiver)
      : plan_(*stage.analytic),
        by_window_(stage.window.kind != plan::Window::Kind::kNone),
        waits_(plan_.looks_ahead()),
        batch_rows_(options.batch_rows),
        partitions_max_(options.analytic_partitions_max),
        rows_max_(options.stage_rows_max),
        receiver_(receiver),
        types_(stage.input.types()),
        tail_(stage, nullptr, query.options, options.batch_rows, ledger_, receiver),
        functions_(stage),
        window_rows_(types_),
        ready_(stage.grouped.types()),
        alone_(functions_.make_partition()),
        by_key_(16, KeyHash{options.hash_mask}) {
    std::vector<bool> sorted(types_.size());
    const auto sort_by = [&](int column, bool descending, bool nulls_first) {
      const auto at = static_cast<size_t>(column);
      if (!sorted[at]) sort_columns_.push_back({at, descending, nulls_first});
      sorted[at] = true;
    };
    for (const int column : plan_.partition_by) sort_by(column, false, false);
    for (const plan::Analytic::Order& key : plan_.order_by) sort_by(key.column, key.descending, key.nulls_first);
    for (size_t column = 0; column < types_.size(); ++column) sort_by(static_cast<int>(column), false, false);
    std::vector<batch::ColumnDef> keys;
    for (const int column : plan_.partition_by) keys.push_back(stage.input.columns[static_cast<size_t>(column)]);
    if (plan_.across_windows && KeyedStates::can_hold(keys))
      index_ = std::make_unique<KeyedStates>(keys, uint32_t{sizeof(AnalyticPartition*)}, options.hash_mask);
    if (options.analytic_in_place && WindowFunctions::can_compute(stage)) {
      within_ = std::make_unique<WindowFunctions>(stage, options.hash_mask);
    } else if (options.analytic_in_place && CarriedFunctions::can_compute(stage)) {
      carried_ = std::make_unique<CarriedFunctions>(stage, partitions_max_, options.hash_mask);
    }
    if (!by_window_ || waits_) tail_.keep_limit_over_windows();
  }

  void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) override {
    if (!window.final) return;
    if (!by_window_) return add_to_slices(rows);
    if (rows.row_count > 0) {
      if (has_room(rows.row_count)) {
        window_rows_.append(rows);
        rows_held_ += rows.row_count;
      }
    }
    if (!last) return;
    run(window_rows_, window);
    ++ledger_.windows_closed;
    if (!waits_) tail_.end(window);
  }

  void on_frontier(Micros frontier) override {
    if (by_window_) {
      known_before_ = frontier;
    } else {
      known_before_ = slice_of(frontier);
      while (!slices_.empty() && (frontier == base::kMaxTime || slices_.begin()->first + kSliceUs <= known_before_)) {
        auto slice = slices_.extract(slices_.begin());
        ran_before_ = slice.key();
        run(slice.mapped(), WindowRef{});
      }
    }
    ran_before_ = known_before_;
    if (waits_ && plan_.range_after_us > 0) release();
    if (frontier == base::kMaxTime || known_before_ >= next_sweep_) forget_idle();
    const bool ends = frontier == base::kMaxTime && !ended_ && (!by_window_ || waits_);
    if (ends) tail_.end(WindowRef{});
    ended_ = ended_ || ends;
    receiver_.on_frontier(waiting_.empty() ? known_before_ : std::min(known_before_, waiting_.begin()->first));
  }

  void process(const batch::ColumnBatch&, const ProcessContext&) override { assert(!"fed by the stage below"); }
  void advance(Micros watermark) override { on_frontier(watermark); }
  Micros next_cut(Micros frontier) const override {
    if (by_window_) return base::kMaxTime;
    if (frontier == base::kMinTime) return base::kMinTime + 1;
    return frontier == base::kMaxTime ? frontier : slice_of(frontier) + kSliceUs;
  }
  WindowLedger ledger() const override {
    WindowLedger ledger = ledger_;
    ledger.add(functions_.null_results());
    if (within_) ledger.add(within_->null_results());
    if (carried_) ledger.add(carried_->null_results());
    return ledger;
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    uint64_t octets =
        window_rows_.octets_held() + ready_.octets_held() + tail_.octets_held() + functions_.context_octets();
    for (const auto& [time, rows] : slices_) octets += rows.octets_held();
    for (const auto& partition : partitions_) octets += partition->octets_held();
    for (const auto& [key, partition] : by_key_) octets += key.size();
    if (index_) octets += index_->octets_held();
    if (alone_) octets += alone_->octets_held();
    if (within_) octets += within_->octets_held();
    if (carried_) octets += carried_->octets_held();
    nodes[0] += octets;
  }
  void save_state(StateWriter& out) override {
    assert(window_rows_.row_count() == 0);  // The rows of a window come in one go.
    save(out, ledger_);
    tail_.save(out);
    out.time(known_before_);
    out.time(ran_before_);
    out.time(next_sweep_);
    out.flag(ended_);
    out.number(slices_.size());
    for (const auto& [start, rows] : slices_) {
      out.time(start);
      save(out, rows);
    }
    functions_.save_null_results(out);
    save(out, within_ ? within_->null_results() : agg::NullResults{});
    if (carried_) return carried_->save(out);
    if (index_) save_indexed(out);
    out.number(by_key_.size());
    for (const auto& [key, partition] : by_key_) {
      out.text(key);
      functions_.save(out, *partition);
    }
  }
  void load_state(StateReader& in) override {
    load(in, ledger_);
    tail_.load(in);
    known_before_ = in.watermark();
    ran_before_ = in.watermark();
    next_sweep_ = in.time();
    ended_ = in.flag();
    load_slices(in);
    functions_.load_null_results(in);
    agg::NullResults nulls;
    load(in, nulls);
    if (within_) within_->set_null_results(nulls);
    if (carried_) return carried_->load(in);
    if (index_) load_indexed(in);
    for (size_t left = in.count(8); left > 0 && !in.refused(); --left) {
      const std::string key(in.text());
      if (in.refused() || !in.check(index_ == nullptr && plan_.across_windows && !by_key_.contains(key))) return;
      by_key_.emplace(key, load_partition(in));
    }
  }

 private:
  static Micros slice_of(Micros time) {
    return time == base::kMinTime || time == base::kMaxTime ? time : base::floor_to(time, kSliceUs);
  }

  void save_indexed(StateWriter& out) {
    index_->for_each_batch([&](const Column* keys, uint8_t* const* states, size_t n) {
      out.number(n);
      for (size_t k = 0; k < plan_.partition_by.size(); ++k) {
        for (size_t i = 0; i < n; ++i) out.value(keys[k], i);
      }
      for (size_t i = 0; i < n; ++i) functions_.save(out, **reinterpret_cast<AnalyticPartition* const*>(states[i]));
    });
    out.number(0);
  }
  void load_indexed(StateReader& in) {
    constexpr size_t kStep = 1024;
    std::vector<batch::Type> types;
    for (const int column : plan_.partition_by) types.push_back(types_[static_cast<size_t>(column)]);
    batch::BatchBuffer keys(types, std::vector<bool>(types.size(), true), kStep);
    std::vector<uint8_t*> states(kStep);
    while (const size_t n = in.number(kStep)) {
      keys.reset();
      for (Column& column : keys.batch.columns) {
        column.has_nulls = true;
        for (size_t i = 0; i < n; ++i) in.value(column, i, keys.texts);
      }
      if (in.refused() || !in.check(n <= in.octets_left())) return;
      index_->find_or_make(keys.batch.columns.data(), n, states.data());
      for (size_t i = 0; i < n && !in.refused(); ++i) {
        auto*& place = *reinterpret_cast<AnalyticPartition**>(states[i]);
        if (in.check(place == nullptr)) place = load_partition(in);
      }
    }
  }
  AnalyticPartition* load_partition(StateReader& in) {
    AnalyticPartition* partition = partitions_.emplace_back(functions_.make_partition()).get();
    functions_.load(in, *partition);
    if (in.refused() || !in.check(partitions_.size() <= partitions_max_)) return partition;
    rows_held_ += partition->rows_held();
    for (auto row = static_cast<size_t>(partition->next_out - partition->first); row < partition->order.size(); ++row)
      ++waiting_[partition->order[row].at];
    return partition;
  }
  void load_slices(StateReader& in) {
    const size_t count = in.count(2);
    if (!in.check(count <= kOpenSlicesMax)) return;
    for (size_t left = count; left > 0 && !in.refused(); --left) {
      const Micros start = in.bounded_time();
      if (!in.check(!by_window_ && slice_of(start) == start && !slices_.contains(start))) return;
      RowStore& rows = slices_.emplace(start, RowStore(types_, kSliceTextOctets)).first->second;
      load(in, types_, rows);
      const Column times = rows.slice(static_cast<size_t>(plan_.time_column), 0);
      for (size_t row = 0; row < rows.row_count(); ++row) {
        const Micros time = times.as<int64_t>()[row];
        in.check(!times.is_null(row) && time >= start && time - start < kSliceUs);
      }
      rows_held_ += rows.row_count();
    }
  }

  bool has_room(size_t rows) {
    if (rows_held_ + rows <= rows_max_) return true;
    ledger_.refused += rows;
    return false;
  }

  void add_to_slices(const batch::ColumnBatch& rows) {
    const Column& times = rows.columns[static_cast<size_t>(plan_.time_column)];
    for (size_t row = 0; row < rows.row_count;) {
      if (times.is_null(row)) {
        ++ledger_.time_null;
        ++row;
        continue;
      }
      const Micros time = times.as<int64_t>()[row];
      if (time > kTimeMax || time < -kTimeMax) {
        ++ledger_.time_future;
        ++row;
        continue;
      }
      // Neighbours mostly fall in one slice.
      const Micros slice = slice_of(time);
      const size_t first = row;
      numbers_.clear();
      for (; row < rows.row_count && !times.is_null(row); ++row) {
        const Micros other = times.as<int64_t>()[row];
        if (other < slice || other - slice >= kSliceUs) break;
        numbers_.push_back(static_cast<uint32_t>(row));
      }
      if (slice < known_before_) {
        ledger_.late += row - first;
        ledger_.late_by_max_us = std::max(ledger_.late_by_max_us, known_before_ - slice);
        continue;
      }
      auto found = slices_.find(slice);
      if (found == slices_.end() && slices_.size() >= kOpenSlicesMax) {
        ledger_.refused += row - first;
        continue;
      }
      if (!has_room(row - first)) continue;
      if (found == slices_.end()) found = slices_.emplace(slice, RowStore(types_, kSliceTextOctets)).first;
      found->second.append(rows, numbers_.data(), numbers_.size());
      rows_held_ += numbers_.size();
    }
  }

  /// Sends the rows of one window, or of one slice of a stream, through their partitions.
  void run(RowStore& rows, const WindowRef& window) {
    if (within_ || carried_) return run_in_place(rows, window);
    const size_t count = rows.row_count();
    sort_rows(rows, sort_columns_, order_);
    if (index_) find_places(rows);
    for (size_t begin = 0; begin < count;) {
      if (index_) fetch_ahead(begin);
      size_t end = begin + 1;
      while (end < count && same_partition(rows, order_[begin], order_[end])) ++end;
      run_partition(rows, begin, end, window);
      begin = end;
    }
    rows_held_ -= count;
    rows.clear();
    flush(window);
    if (!plan_.across_windows) {
      functions_.reset(*alone_);
      functions_.forget_context();
    } else if (functions_.context_octets() > compact_at_) {
      functions_.compact([&](const auto& move) {
        for (const auto& partition : partitions_) move(*partition);
      });
      compact_at_ = std::max(kContextOctetsMin, 2 * functions_.context_octets());
    }
  }

  /// Rows need no partitions of their own: results are put beside them.
  void run_in_place(RowStore& rows, const WindowRef& window) {
    const size_t count = rows.row_count();
    if (count == 0) return;
    if (within_) {
      hand_on(rows, within_->compute(rows), window);
    } else {
      const size_t refused = carried_->compute(rows, window.start, idle_us(window.end - window.start));
      ledger_.refused += refused;
      if (refused == 0) hand_on(rows, carried_->results(), window);
      else hand_on(rows, carried_->results(), carried_->kept(), window);
    }
    rows_held_ -= count;
    rows.clear();
  }
  void hand_on(const RowStore& rows, const std::vector<Column>& results, const WindowRef& window) {
    const size_t count = rows.row_count();
    for (size_t first = 0; first < count; first += batch_rows_) {
      out_.row_count = std::min(batch_rows_, count - first);
      out_.columns.clear();
      for (size_t c = 0; c < types_.size(); ++c) out_.columns.push_back(rows.slice(c, first));
      for (Column result : results) {
        result.values = result.as<uint8_t>() + first * batch::octets_per_value(batch::physical(result.type));
        result.validity += first;
        out_.columns.push_back(result);
      }
      tail_.add(window, out_);
    }
  }
  /// Of some rows only.
  void hand_on(const RowStore& rows, const std::vector<Column>& results, const std::vector<uint32_t>& kept,
               const WindowRef& window) {
    for (size_t c = 0; c < types_.size(); ++c) ready_columns_.columns.push_back(rows.slice(c, 0));
    ready_columns_.columns.insert(ready_columns_.columns.end(), results.begin(), results.end());
    ready_.append(ready_columns_, kept.data(), kept.size());
    ready_columns_.columns.clear();
    flush(window);
  }

  bool same_partition(const RowStore& rows, uint32_t a, uint32_t b) const {
    return std::all_of(plan_.partition_by.begin(), plan_.partition_by.end(),
                       [&](int column) { return rows.compare(static_cast<size_t>(column), a, b) == 0; });
  }

  void run_partition(const RowStore& rows, size_t begin, size_t end, const WindowRef& window) {
    const size_t n = end - begin;
    if (run_.capacity() < n) {
      run_ = batch::BatchBuffer(types_, std::vector<bool>(types_.size(), true), std::max(n, 2 * run_.capacity()));
    }
    rows.gather(order_.data() + begin, n, run_.batch);
    peers_.assign(n, 0);
    for (size_t i = 1; i < n; ++i) {
      for (const plan::Analytic::Order& key : plan_.order_by) {
        if (rows.compare(static_cast<size_t>(key.column), order_[begin + i - 1], order_[begin + i]) != 0) peers_[i] = 1;
      }
    }
    peers_[0] = 1;
    AnalyticPartition* partition = alone_.get();
    Micros at = window.start;
    if (plan_.across_windows) {
      if (!by_window_) at = run_.batch.columns[static_cast<size_t>(plan_.time_column)].as<int64_t>()[0];
      partition = find(order_[begin], at);
      if (partition == nullptr) {
        ledger_.refused += n;
        return;
      }
      const Micros last_at =
          by_window_ ? at : run_.batch.columns[static_cast<size_t>(plan_.time_column)].as<int64_t>()[n - 1];
      partition->forget_after = forget_after(last_at, window.end - window.start);
    } else {
      functions_.reset(*partition);
    }
    const size_t held = partition->rows_held();
    // Frontiers count in seconds; few different ones are found fast among those that wait.
    const Micros held_back = by_window_ ? at : slice_of(at);
    functions_.append(*partition, run_.batch, peers_.data(), held_back);
    if (waits_) {
      partition->waiting.append(run_.batch);
      waiting_[held_back] += n;
      emit(*partition, known_rows(*partition));
    } else {
      emit(*partition, n);
    }
    if (plan_.across_windows) rows_held_ += partition->rows_held() - held;
    if (ready_.row_count() >= batch_rows_) flush(window);
  }

  /// Where the partition of each row is told; null when there is no room for another. All at once, as each is found in
  /// other memory.
  void find_places(const RowStore& rows) {
    const size_t count = rows.row_count();
    places_.resize(count);
    std::vector<Column> keys(plan_.partition_by.size());
    for (size_t first = 0; first < count; first += batch_rows_) {
      const size_t n = std::min(batch_rows_, count - first);
      for (size_t k = 0; k < keys.size(); ++k) keys[k] = rows.slice(static_cast<size_t>(plan_.partition_by[k]), first);
      index_->find_or_make_up_to(partitions_max_, keys.data(), n, reinterpret_cast<uint8_t**>(&places_[first]));
    }
  }
  /// Partitions lie all over memory: those of the rows that come soon are asked for.
  void fetch_ahead(size_t at) const {
    if (at + 2 * kAhead < order_.size()) __builtin_prefetch(places_[order_[at + 2 * kAhead]]);
    if (at + kAhead >= order_.size()) return;
    const auto* place = places_[order_[at + kAhead]];
    if (place == nullptr || *place == nullptr) return;
    constexpr size_t kLine = 64;
    for (size_t octet = 0; octet < sizeof(AnalyticPartition); octet += kLine)
      __builtin_prefetch(reinterpret_cast<const char*>(*place) + octet, 1);
  }
  AnalyticPartition** find_place() {
    key_.clear();
    for (const int column : plan_.partition_by) put_key(run_.batch.columns[static_cast<size_t>(column)], 0, key_);
    const auto found = by_key_.find(std::string_view(key_));
    if (found != by_key_.end()) return &found->second;
    return by_key_.size() < partitions_max_ ? &by_key_.emplace(key_, nullptr).first->second : nullptr;
  }
  /// The partition of the rows in run_, the first of which is this one; null when there is no room for another.
  AnalyticPartition* find(uint32_t row, Micros at) {
    AnalyticPartition** const place = index_ ? places_[row] : find_place();
    if (place == nullptr) return nullptr;
    if (*place == nullptr) *place = partitions_.emplace_back(functions_.make_partition()).get();
    else if (at > (*place)->forget_after) close(**place);
    return *place;
  }

  /// How old the last row of a partition may be.
  Micros idle_us(Micros window_us) const {
    Micros idle = 0;
    if (__builtin_mul_overflow(std::max<int64_t>(plan_.rows_before, 1), window_us, &idle) ||
        __builtin_add_overflow(idle, plan::kPartitionIdleUs + plan_.range_before_us + plan_.range_after_us, &idle)) {
      return base::kMaxTime;
    }
    return idle;
  }
  Micros forget_after(Micros at, Micros window_us) const {
    Micros after = 0;
    return __builtin_add_overflow(at, idle_us(window_us), &after) ? base::kMaxTime : after;
  }

  /// How many waiting rows have all that their functions need.
  size_t known_rows(const AnalyticPartition& partition) const {
    int64_t row = partition.next_out;
    while (row < partition.total && row + plan_.rows_after < partition.total &&
           (plan_.range_after_us == 0 ||
            partition.order[static_cast<size_t>(row - partition.first)].time + plan_.range_after_us < ran_before_)) {
      ++row;
    }
    return static_cast<size_t>(row - partition.next_out);
  }

  /// Computes the results of the next n rows of a partition and puts both to `ready_`.
  void emit(AnalyticPartition& partition, size_t n) {
    if (n == 0) return;
    batch::ColumnBatch& out = out_;
    out.row_count = n;
    out.columns.clear();
    if (waits_) {
      for (size_t c = 0; c < types_.size(); ++c) out.columns.push_back(partition.waiting.slice(c, 0));
      const auto first = static_cast<size_t>(partition.next_out - partition.first);
      for (size_t i = 0; i < n; ++i) {
        const auto waiting = waiting_.find(partition.order[first + i].at);
        if (--waiting->second == 0) waiting_.erase(waiting);
      }
    } else {
      out.columns.assign(run_.batch.columns.begin(), run_.batch.columns.end());
    }
    const std::vector<Column>& results = functions_.compute(partition, n);
    out.columns.insert(out.columns.end(), results.begin(), results.end());
    ready_.append(out);
    if (waits_) partition.waiting.drop_front(n);
    if (plan_.across_windows) functions_.trim(partition);
  }

  /// Ends a partition: rows that wait take what there is. It can begin anew.
  void close(AnalyticPartition& partition) {
    const size_t held = partition.rows_held();
    emit(partition, static_cast<size_t>(partition.total - partition.next_out));
    functions_.reset(partition);
    rows_held_ -= held;
  }

  void release() {
    for (const auto& partition : partitions_) {
      const size_t held = partition->rows_held();
      emit(*partition, known_rows(*partition));
      rows_held_ -= held - partition->rows_held();
      if (ready_.row_count() >= batch_rows_) flush(WindowRef{});
    }
    flush(WindowRef{});
  }

  void forget_idle() {
    if (carried_) carried_->forget_idle(known_before_);
    const auto is_idle = [&](const AnalyticPartition& partition) {
      return partition.forget_after < known_before_ || known_before_ == base::kMaxTime;
    };
    if (std::any_of(partitions_.begin(), partitions_.end(), [&](const auto& p) { return is_idle(*p); })) {
      if (index_)
        index_->keep_if(
            [&](const uint8_t* state) { return !is_idle(**reinterpret_cast<AnalyticPartition* const*>(state)); });
      std::erase_if(by_key_, [&](const auto& known) { return is_idle(*known.second); });
      std::erase_if(partitions_, [&](const auto& partition) {
        if (!is_idle(*partition)) return false;
        close(*partition);
        if (ready_.row_count() >= batch_rows_) flush(WindowRef{});
        return true;
      });
    }
    flush(WindowRef{});
    if (partitions_.empty()) functions_.forget_context();
    next_sweep_ = known_before_ > base::kMaxTime - kSweepUs ? base::kMaxTime : known_before_ + kSweepUs;
  }

  void flush(const WindowRef& window) {
    batch::ColumnBatch out;
    for (size_t at = 0; at < ready_.row_count(); at += batch_rows_) {
      out.row_count = std::min(batch_rows_, ready_.row_count() - at);
      out.columns.clear();
      for (size_t c = 0; c < ready_.column_count(); ++c) out.columns.push_back(ready_.slice(c, at));
      tail_.add(waits_ ? WindowRef{} : window, out);
    }
    ready_.clear();
  }

  static constexpr size_t kSliceTextOctets = 4096;
  static constexpr size_t kAhead = 8;  ///< rows whose partitions are fetched

  const plan::Analytic& plan_;
  const bool by_window_;  ///< rows come window by window
  const bool waits_;      ///< results may need rows of later windows
  const size_t batch_rows_, partitions_max_, rows_max_;
  RowReceiver& receiver_;
  const std::vector<batch::Type> types_;  ///< of the input
  WindowLedger ledger_;
  Tail tail_;
  AnalyticFunctions functions_;
  std::unique_ptr<WindowFunctions> within_;    ///< null: calls need the rows of their partition
  std::unique_ptr<CarriedFunctions> carried_;  ///< the same, across windows
  RowStore window_rows_;                       ///< by_window_: of the window that is coming
  std::map<Micros, RowStore> slices_;          ///< else: rows by second
  RowStore ready_;                             ///< rows with results, to be handed on
  Micros known_before_ = base::kMinTime;       ///< no row of a lesser time (window start) is waited for
  Micros ran_before_ = base::kMinTime;         ///< all rows of lesser times have gone through their partitions
  Micros next_sweep_ = base::kMinTime;
  bool ended_ = false;
  size_t rows_held_ = 0;                      ///< in window_rows_, slices_ and partitions_
  std::unique_ptr<AnalyticPartition> alone_;  ///< partitions that live for one window, one after another
  std::vector<std::unique_ptr<AnalyticPartition>> partitions_;
  std::unique_ptr<KeyedStates> index_;  ///< of partitions_; null: by_key_ is, as keys are equal that look different
  std::unordered_map<std::string, AnalyticPartition*, KeyHash, std::equal_to<>> by_key_;
  std::map<Micros, size_t> waiting_;  ///< rows that wait, by what frontiers say of them
  size_t compact_at_ = kContextOctetsMin;
  // Scratch of one run.
  batch::BatchBuffer run_;
  batch::ColumnBatch out_, ready_columns_;
  std::vector<SortColumn> sort_columns_;  // Partitions, then their order, then ties by all columns.
  std::vector<uint32_t> order_, numbers_;
  std::vector<AnalyticPartition**> places_;  ///< by row
  std::vector<uint8_t> peers_;
  std::string key_;
};

}  // namespace

std::unique_ptr<StageRunner> make_analytic_stage(const plan::Query& query, const plan::Stage& stage,
                                                 const EngineOptions& options, RowReceiver& receiver) {
  return std::make_unique<AnalyticStage>(query, stage, options, receiver);
}

}  // namespace backstream::exec
