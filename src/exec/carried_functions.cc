#include "exec/carried_functions.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "exec/analytic_partition.h"
#include "exec/state_bytes.h"

namespace backstream::exec {

using batch::Column;
using batch::Physical;
using plan::AnalyticCall;
using Kind = plan::AnalyticCall::Kind;
using Bound = plan::Frame::Bound;

namespace {

constexpr size_t kStep = 2048;
constexpr int64_t kLagMax = 8;  ///< more values a partition are kept as rows
constexpr size_t kContextOctetsMin = size_t{64} << 20;

/// Begins the state of a partition.
struct Head {
  Micros forget_after;
  uint64_t window;  ///< number of the last one that had a row of it; 0: the partition is new
};
Head& head_of(uint8_t* state) { return *reinterpret_cast<Head*>(state); }

struct Average {
  double value;
  Micros time;
  uint64_t any;
};
struct Reading {
  int64_t value;
  uint64_t present;
};

std::vector<batch::ColumnDef> partition_columns(const plan::Stage& stage) {
  std::vector<batch::ColumnDef> columns;
  for (const int column : stage.analytic->partition_by)
    columns.push_back(stage.input.columns[static_cast<size_t>(column)]);
  return columns;
}

/// lag() keeps which of its values are present as bits of a word, then the values, the last one first.
uint32_t lag_octets(const AnalyticCall& call) {
  const auto value_octets = static_cast<uint32_t>(batch::octets_per_value(batch::physical(call.type)));
  return 8 + (static_cast<uint32_t>(call.number) * value_octets + 7) / 8 * 8;
}

bool is_carried(const AnalyticCall& call) {
  switch (call.kind) {
    case Kind::kLag:
      return call.args.size() == 1 && call.number >= 1 && call.number <= kLagMax &&
             batch::physical(call.type) != Physical::kText;
    case Kind::kEwma:
    case Kind::kCounterDelta: return true;
    case Kind::kAggregate:
      return call.frame.start == Bound::kUnboundedPreceding && call.frame.end == Bound::kCurrentRow;
    default: return false;
  }
}

uint32_t octets_of(const AnalyticCall& call) {
  if (call.kind == Kind::kLag) return lag_octets(call);
  if (call.kind == Kind::kEwma) return sizeof(Average);
  if (call.kind == Kind::kCounterDelta) return sizeof(Reading);
  return (call.aggregate->state_octets + 7) / 8 * 8;
}

}  // namespace

bool CarriedFunctions::can_compute(const plan::Stage& stage) {
  const plan::Analytic& analytic = *stage.analytic;
  return analytic.across_windows && !analytic.looks_ahead() && KeyedStates::can_hold(partition_columns(stage)) &&
         std::all_of(analytic.calls.begin(), analytic.calls.end(), is_carried);
}

std::vector<CarriedFunctions::Call> CarriedFunctions::calls_of(const plan::Stage& stage) {
  std::vector<Call> calls;
  uint32_t at = sizeof(Head);
  for (const AnalyticCall& call : stage.analytic->calls) {
    calls.push_back({&call, at, octets_of(call)});
    at += octets_of(call);
  }
  return calls;
}

CarriedFunctions::CarriedFunctions(const plan::Stage& stage, size_t partitions_max, uint64_t hash_mask)
    : plan_(*stage.analytic),
      by_window_(stage.window.kind != plan::Window::Kind::kNone),
      partitions_max_(partitions_max),
      calls_(calls_of(stage)),
      partitions_(partition_columns(stage),
                  calls_.empty() ? uint32_t{sizeof(Head)} : calls_.back().state_at + calls_.back().state_octets,
                  hash_mask),
      context_(std::make_unique<agg::StateContext>()),
      compact_at_(kContextOctetsMin) {
  for (const Call& call : calls_) result_types_.push_back(call.call->type);
  for (const batch::ColumnDef& column : partition_columns(stage)) partition_types_.push_back(column.type);
  for (const int column : plan_.partition_by) sort_columns_.push_back({static_cast<size_t>(column)});
  for (const plan::Analytic::Order& key : plan_.order_by)
    sort_columns_.push_back({static_cast<size_t>(key.column), key.descending, key.nulls_first});
  for (size_t column = 0; column < stage.input.columns.size(); ++column) sort_columns_.push_back({column});
}

void CarriedFunctions::begin_partition(uint8_t* state) const {
  for (const Call& call : calls_) {
    std::memset(state + call.state_at, 0, call.state_octets);
    if (call.call->kind == Kind::kAggregate && call.call->aggregate->init != nullptr)
      call.call->aggregate->init(state + call.state_at);
  }
}

namespace {

/// When a partition whose last row is of this time may be forgotten.
Micros forget_after(Micros at, Micros idle) {
  Micros after = 0;
  return __builtin_add_overflow(at, idle, &after) ? base::kMaxTime : after;
}

}  // namespace

size_t CarriedFunctions::compute(const RowStore& rows, Micros at, Micros idle) {
  const size_t n = rows.row_count();
  kept_.clear();
  if (n == 0) return 0;
  results_.begin(result_types_, n);
  if (context_->arena.octets_held() > compact_at_) {
    compact();
    compact_at_ = std::max(kContextOctetsMin, 2 * context_->arena.octets_held());
  }
  ++window_number_;
  find_partitions(rows);
  bool in_store = false;
  if (by_window_) {
    // Mostly a window has one row a partition, and these may go through in any order.
    in_store = kept_.empty();
    for (uint8_t* state : states_) {
      if (state != nullptr) in_store &= enter_partition(state, at, forget_after(at, idle));
    }
  }
  if (!in_store) sort(rows);
  if (!by_window_) {  // Whether a partition begins anew is a matter of its first row.
    const auto* times = rows.slice(static_cast<size_t>(plan_.time_column), 0).as<Micros>();
    for (const uint32_t row : order_) enter_partition(states_[row], times[row], forget_after(times[row], idle));
  }
  const Sequence sequence = in_store ? Sequence{nullptr, 0, n} : Sequence{order_.data(), 0, order_.size()};
  for (size_t c = 0; c < calls_.size(); ++c) {
    const Call& call = calls_[c];
    Column& out = results_.columns()[c];
    if (call.call->kind == Kind::kLag) {
      lag_any(call, rows.slice(static_cast<size_t>(call.call->args[0]), 0), sequence, out);
    } else if (call.call->kind == Kind::kEwma) {
      ewma(call, rows, sequence, out);
    } else if (call.call->kind == Kind::kCounterDelta) {
      counter_delta(call, rows, sequence, out);
    } else if (in_store) {
      run_in_store(call, rows, out);
    } else {
      run_in_order(call, rows, out);
    }
  }
  return n - sequence.count;
}

/// A row of the partition is next.
/// @return  whether it is the first one of the window
bool CarriedFunctions::enter_partition(uint8_t* state, Micros at, Micros forget_after) {
  Head& head = head_of(state);
  if (head.window == 0 || at > head.forget_after) begin_partition(state);
  const bool first = head.window != window_number_;
  head = {forget_after, window_number_};
  return first;
}

/// Finds the partition of each row. Where there is no room for one, `kept_` has the rows that are not of such.
void CarriedFunctions::find_partitions(const RowStore& rows) {
  const size_t n = rows.row_count();
  states_.resize(n);
  std::vector<Column> keys(plan_.partition_by.size());
  size_t refused = 0;
  for (size_t first = 0; first < n; first += kStep) {
    const size_t count = std::min(kStep, n - first);
    for (size_t k = 0; k < keys.size(); ++k) keys[k] = rows.slice(static_cast<size_t>(plan_.partition_by[k]), first);
    partitions_.find_or_make_up_to(partitions_max_, keys.data(), count, &states_[first]);
    refused += static_cast<size_t>(std::count(states_.begin() + static_cast<long>(first),
                                              states_.begin() + static_cast<long>(first + count), nullptr));
  }
  for (size_t row = 0; row < n && refused > 0; ++row) {
    if (states_[row] != nullptr) kept_.push_back(static_cast<uint32_t>(row));
  }
}

/// Rows that are not refused, by partition and in their order.
void CarriedFunctions::sort(const RowStore& rows) {
  sort_rows(rows, sort_columns_, order_);
  std::erase_if(order_, [&](uint32_t row) { return states_[row] == nullptr; });
  begins_peers_.assign(order_.size(), 1);
  for (size_t place = 1; place < order_.size(); ++place) {
    const uint32_t before = order_[place - 1], row = order_[place];
    begins_peers_[place] = states_[before] != states_[row] ||
                           std::any_of(plan_.order_by.begin(), plan_.order_by.end(), [&](const auto& key) {
                             return rows.compare(static_cast<size_t>(key.column), before, row) != 0;
                           });
  }
}

template <typename Value>
void CarriedFunctions::lag(const Call& call, const Column& values, const Sequence& rows, Column& out) {
  const auto number = static_cast<size_t>(call.call->number);
  const Value* from = values.as<Value>();
  auto* to = out.as<Value>();
  constexpr size_t kAhead = 16;
  for (size_t i = rows.first; i < rows.first + rows.count; ++i) {
    const size_t row = rows.rows == nullptr ? i : rows.rows[i];
    if (rows.rows == nullptr && i + kAhead < rows.count) __builtin_prefetch(states_[i + kAhead], 1);
    uint8_t* state = states_[row] + call.state_at;
    auto& present = *reinterpret_cast<uint64_t*>(state);
    auto* kept = reinterpret_cast<Value*>(state + 8);
    to[row] = kept[number - 1];
    out.validity[row] = present >> (number - 1) & 1;
    for (size_t k = number - 1; k > 0; --k) kept[k] = kept[k - 1];
    kept[0] = values.validity[row] != 0 ? from[row] : Value{};
    present = present << 1 | static_cast<uint64_t>(values.validity[row] != 0);
  }
}
void CarriedFunctions::lag_any(const Call& call, const Column& values, const Sequence& rows, Column& out) {
  switch (batch::physical(call.call->type)) {
    case Physical::kByte: return lag<uint8_t>(call, values, rows, out);
    case Physical::kInt64: return lag<int64_t>(call, values, rows, out);
    case Physical::kDouble: return lag<double>(call, values, rows, out);
    case Physical::kInet: return lag<base::Inet>(call, values, rows, out);
    case Physical::kInterval: return lag<base::Interval>(call, values, rows, out);
    case Physical::kText: break;
  }
  assert(!"is_carried() lets no text through");
}

void CarriedFunctions::ewma(const Call& call, const RowStore& store, const Sequence& rows, Column& out) {
  const Column values = store.slice(static_cast<size_t>(call.call->args[0]), 0);
  const auto* times = store.slice(static_cast<size_t>(plan_.time_column), 0).as<Micros>();
  const auto half_life = static_cast<double>(call.call->number);
  for (size_t i = rows.first; i < rows.first + rows.count; ++i) {
    const size_t row = rows.rows == nullptr ? i : rows.rows[i];
    auto& average = *reinterpret_cast<Average*>(states_[row] + call.state_at);
    if (values.validity[row] != 0) {
      const double value = values.as<double>()[row];
      if (average.any != 0) {
        const double age = static_cast<double>(times[row] - average.time) / half_life;
        average.value += -std::expm1(-age * M_LN2) * (value - average.value);
      } else {
        average.value = value;
      }
      average.time = times[row];
      average.any = 1;
    }
    out.as<double>()[row] = average.value;
    out.validity[row] = average.any != 0;
  }
}

void CarriedFunctions::counter_delta(const Call& call, const RowStore& store, const Sequence& rows, Column& out) {
  const Column values = store.slice(static_cast<size_t>(call.call->args[0]), 0);
  for (size_t i = rows.first; i < rows.first + rows.count; ++i) {
    const size_t row = rows.rows == nullptr ? i : rows.rows[i];
    auto& last = *reinterpret_cast<Reading*>(states_[row] + call.state_at);
    const Reading now{values.as<int64_t>()[row], values.validity[row]};
    int64_t difference = 0;
    const bool known = last.present != 0 && now.present != 0 &&
                       counter_difference(last.value, now.value, call.call->number, difference);
    out.as<int64_t>()[row] = known ? difference : 0;
    out.validity[row] = known ? 1 : 0;
    last = now;
  }
}

/// Each row is the only one of its partition.
void CarriedFunctions::run_in_store(const Call& call, const RowStore& store, Column& out) {
  const agg::AggregateFunction& function = *call.call->aggregate;
  std::vector<Column> args(call.call->args.size());
  filtered_.resize(kStep);
  filtered_states_.resize(kStep);
  for (size_t first = 0; first < store.row_count(); first += kStep) {
    const size_t count = std::min(kStep, store.row_count() - first);
    for (size_t a = 0; a < args.size(); ++a) args[a] = store.slice(static_cast<size_t>(call.call->args[a]), first);
    if (call.call->filter < 0) {
      function.update(&states_[first], call.state_at, args.data(), nullptr, count, *context_);
    } else {
      const Column passes = store.slice(static_cast<size_t>(call.call->filter), first);
      const size_t passed = expr::select_true(passes, count, filtered_.data());
      for (size_t i = 0; i < passed; ++i) filtered_states_[i] = states_[first + filtered_[i]];
      if (passed > 0)
        function.update(filtered_states_.data(), call.state_at, args.data(), filtered_.data(), passed, *context_);
    }
    function.finish(&states_[first], call.state_at, count, out, first, *context_);
  }
}

/// With RANGE, a row's frame ends with its last peer.
void CarriedFunctions::run_in_order(const Call& call, const RowStore& store, Column& out) {
  const agg::AggregateFunction& function = *call.call->aggregate;
  std::vector<Column> args;
  for (const int arg : call.call->args) args.push_back(store.slice(static_cast<size_t>(arg), 0));
  Column passes;
  if (call.call->filter >= 0) passes = store.slice(static_cast<size_t>(call.call->filter), 0);
  for (size_t begin = 0, end; begin < order_.size(); begin = end) {
    end = begin + 1;
    while (call.call->frame.by_range && end < order_.size() && begins_peers_[end] == 0) ++end;
    for (size_t place = begin; place < end; ++place) {
      const uint32_t row = order_[place];
      if (call.call->filter >= 0 && (passes.is_null(row) || passes.as<uint8_t>()[row] == 0)) continue;
      function.update(&states_[row], call.state_at, args.data(), &row, 1, *context_);
    }
    for (size_t place = begin; place < end; ++place) {
      const uint32_t row = order_[place];
      function.finish(&states_[row], call.state_at, 1, out, row, *context_);
    }
  }
}

void CarriedFunctions::forget_context() {
  nulls_gone_ += *context_;
  context_ = std::make_unique<agg::StateContext>();
}

/// Copies the running states to new memory; what partitions that are gone left behind is freed.
void CarriedFunctions::compact() {
  auto fresh = std::make_unique<agg::StateContext>();
  std::vector<uint64_t> old;
  partitions_.for_each([&](uint8_t* state) {
    for (const Call& call : calls_) {
      if (call.call->kind != Kind::kAggregate) continue;
      uint8_t* at = state + call.state_at;
      old.resize(call.state_octets / 8);
      std::memcpy(old.data(), at, call.state_octets);
      std::memset(at, 0, call.state_octets);
      if (call.call->aggregate->init != nullptr) call.call->aggregate->init(at);
      call.call->aggregate->combine(at, reinterpret_cast<const uint8_t*>(old.data()), *fresh);
    }
  });
  static_cast<agg::NullResults&>(*fresh) = *context_;
  context_ = std::move(fresh);
}

/// Keys by column, then one state after another.
void CarriedFunctions::save(StateWriter& out) {
  out.number(window_number_);
  exec::save(out, null_results());
  partitions_.for_each_batch([&](const Column* keys, uint8_t* const* states, size_t n) {
    out.number(n);
    for (size_t k = 0; k < plan_.partition_by.size(); ++k) {
      for (size_t i = 0; i < n; ++i) out.value(keys[k], i);
    }
    for (size_t i = 0; i < n; ++i) {
      out.time(head_of(states[i]).forget_after);
      out.number(head_of(states[i]).window);
      for (const Call& call : calls_) save_call(out, call, states[i] + call.state_at);
    }
  });
  out.number(0);
}

namespace {

/// What lag() keeps, as a column of call.number rows; validity is the caller's.
Column kept_values(const AnalyticCall& call, uint8_t* state, uint8_t* validity) {
  Column values;
  values.type = call.type;
  values.has_nulls = true;
  values.values = state + 8;
  values.validity = validity;
  return values;
}

}  // namespace

void CarriedFunctions::save_call(StateWriter& out, const Call& call, uint8_t* state) const {
  switch (call.call->kind) {
    case Kind::kLag: {
      const uint64_t present = *reinterpret_cast<const uint64_t*>(state);
      uint8_t validity[kLagMax];
      for (int64_t k = 0; k < call.call->number; ++k) validity[k] = present >> k & 1;
      const Column values = kept_values(*call.call, state, validity);
      for (int64_t k = 0; k < call.call->number; ++k) out.value(values, static_cast<size_t>(k));
      break;
    }
    case Kind::kEwma: {
      const auto& average = *reinterpret_cast<const Average*>(state);
      out.real(average.value);
      out.time(average.time);
      out.flag(average.any != 0);
      break;
    }
    case Kind::kCounterDelta: {
      const auto& reading = *reinterpret_cast<const Reading*>(state);
      out.time(reading.value);
      out.flag(reading.present != 0);
      break;
    }
    default: call.call->aggregate->encode(state, out.octets());
  }
}

void CarriedFunctions::load_call(StateReader& in, const Call& call, uint8_t* state, base::Arena& texts) {
  switch (call.call->kind) {
    case Kind::kLag: {
      uint8_t validity[kLagMax] = {};
      Column values = kept_values(*call.call, state, validity);
      uint64_t present = 0;
      for (int64_t k = 0; k < call.call->number; ++k) {
        in.value(values, static_cast<size_t>(k), texts);
        present |= uint64_t{validity[k]} << k;
      }
      *reinterpret_cast<uint64_t*>(state) = present;
      break;
    }
    case Kind::kEwma: {
      auto& average = *reinterpret_cast<Average*>(state);
      average.value = in.real();
      average.time = in.bounded_time();
      average.any = in.flag();
      break;
    }
    case Kind::kCounterDelta: {
      auto& reading = *reinterpret_cast<Reading*>(state);
      reading.value = in.integer();
      reading.present = in.flag();
      break;
    }
    default: in.state(*call.call->aggregate, state, *context_);
  }
}

void CarriedFunctions::load(StateReader& in) {
  window_number_ = in.number(UINT64_MAX / 2);
  exec::load(in, nulls_gone_);
  batch::BatchBuffer keys(partition_types_, std::vector<bool>(partition_types_.size(), true), kStep);
  states_.resize(std::max(states_.size(), kStep));
  size_t known = 0;
  while (const size_t n = in.number(kStep)) {
    keys.reset();
    for (Column& column : keys.batch.columns) {
      column.has_nulls = true;
      for (size_t i = 0; i < n; ++i) in.value(column, i, keys.texts);
    }
    known += n;
    if (in.refused() || !in.check(known <= partitions_max_ && n <= in.octets_left())) return;
    partitions_.find_or_make(keys.batch.columns.data(), n, states_.data());
    if (!in.check(partitions_.size() == known)) return;  // A key came twice.
    for (size_t i = 0; i < n && !in.refused(); ++i) {
      begin_partition(states_[i]);
      const Micros forget_after = in.integer();
      head_of(states_[i]) = {forget_after, in.number(window_number_)};
      for (const Call& call : calls_) load_call(in, call, states_[i] + call.state_at, keys.texts);
    }
  }
}

void CarriedFunctions::forget_idle(Micros before) {
  const auto stays = [before](uint8_t* state) {
    return before != base::kMaxTime && head_of(state).forget_after >= before;
  };
  size_t staying = 0;
  partitions_.for_each([&](uint8_t* state) { staying += stays(state); });
  if (staying == partitions_.size()) return;
  partitions_.keep_if(stays);
  if (staying == 0) forget_context();
}

}  // namespace backstream::exec
