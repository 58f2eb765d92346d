#include "exec/analytic_partition.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "exec/state_bytes.h"

namespace backstream::exec {

using batch::Column;
using batch::Physical;
using plan::AnalyticCall;
using plan::Frame;
using Kind = plan::AnalyticCall::Kind;
using Bound = plan::Frame::Bound;

namespace {

/// Memory of a few short texts: most partitions keep few rows.
constexpr size_t kTextBlockOctets = 512;
constexpr size_t kScratchOctetsMax = size_t{1} << 20;
constexpr size_t kUpdateRows = 1024;

// What pick_rows() takes instead of a row.
constexpr int64_t kNull = -1, kDefault = -2, kCarried = -3;

/// Row picks[i] of `from` (counted from its first) to out[i]; nothing for picks below 0.
template <typename Value>
void pick_values(const Column& from, const int64_t* picks, size_t n, Column& out) {
  const Value* values = from.as<Value>();
  Value* to = out.as<Value>();
  for (size_t i = 0; i < n; ++i) {
    const bool present = picks[i] >= 0 && from.validity[picks[i]] != 0;
    to[i] = present ? values[picks[i]] : Value{};
    out.validity[i] = present ? 1 : 0;
  }
}
void pick(const Column& from, const int64_t* picks, size_t n, Column& out) {
  switch (batch::physical(from.type)) {
    case Physical::kByte: return pick_values<uint8_t>(from, picks, n, out);
    case Physical::kInt64: return pick_values<int64_t>(from, picks, n, out);
    case Physical::kDouble: return pick_values<double>(from, picks, n, out);
    case Physical::kText: return pick_values<std::string_view>(from, picks, n, out);
    case Physical::kInet: return pick_values<base::Inet>(from, picks, n, out);
    case Physical::kInterval: return pick_values<base::Interval>(from, picks, n, out);
  }
}

/// The value outlives the column.
void set_value(const expr::Value& value, Column& out, size_t row) {
  out.validity[row] = std::holds_alternative<std::monostate>(value) ? 0 : 1;
  if (const auto* b = std::get_if<bool>(&value)) out.as<uint8_t>()[row] = *b ? 1 : 0;
  else if (const auto* i = std::get_if<int64_t>(&value)) out.as<int64_t>()[row] = *i;
  else if (const auto* d = std::get_if<double>(&value)) out.as<double>()[row] = *d;
  else if (const auto* s = std::get_if<std::string>(&value)) out.as<std::string_view>()[row] = *s;
  else if (const auto* a = std::get_if<base::Inet>(&value)) out.as<base::Inet>()[row] = *a;
  else if (const auto* t = std::get_if<base::Interval>(&value)) out.as<base::Interval>()[row] = *t;
}

}  // namespace

bool counter_difference(int64_t before, int64_t now, int64_t bits, int64_t& difference) {
  if (bits == 0) return !__builtin_sub_overflow(now, before, &difference);
  if (bits == 32) {
    constexpr int64_t kMax = UINT32_MAX;
    if (before < 0 || before > kMax || now < 0 || now > kMax) return false;
    difference = static_cast<uint32_t>(now - before);
    return true;
  }
  const uint64_t wrapped = static_cast<uint64_t>(now) - static_cast<uint64_t>(before);
  difference = static_cast<int64_t>(wrapped);
  return difference >= 0;
}

AnalyticFunctions::AnalyticFunctions(const plan::Stage& stage)
    : plan_(*stage.analytic),
      input_types_(stage.input.types()),
      running_context_(std::make_unique<agg::StateContext>()),
      scratch_(std::make_unique<agg::StateContext>()) {
  const auto argument = [&](int column) {
    const auto known = std::find(argument_columns_.begin(), argument_columns_.end(), column);
    if (known != argument_columns_.end()) return static_cast<size_t>(known - argument_columns_.begin());
    argument_columns_.push_back(column);
    argument_types_.push_back(input_types_[static_cast<size_t>(column)]);
    return argument_columns_.size() - 1;
  };
  size_t scratch_words = 0;
  for (const AnalyticCall& call : plan_.calls) {
    Call& compiled = calls_.emplace_back();
    compiled.call = &call;
    for (const int arg : call.args) compiled.args.push_back(argument(arg));
    if (call.filter >= 0) compiled.filter = argument(call.filter);
    if (call.kind != Kind::kAggregate) continue;
    const size_t words = (call.aggregate->state_octets + 7) / 8;
    scratch_words = std::max(scratch_words, words);
    compiled.runs = call.frame.start == Bound::kUnboundedPreceding;
    if (!compiled.runs) continue;
    compiled.state_at = state_words_;
    state_words_ += words;
  }
  scratch_state_.resize(scratch_words);
}

std::unique_ptr<AnalyticPartition> AnalyticFunctions::make_partition() const {
  const std::vector<batch::Type> waiting_types = plan_.looks_ahead() ? input_types_ : std::vector<batch::Type>();
  auto partition = std::make_unique<AnalyticPartition>(RowStore(argument_types_, kTextBlockOctets),
                                                       RowStore(waiting_types, kTextBlockOctets));
  reset(*partition);
  return partition;
}

void AnalyticFunctions::reset(AnalyticPartition& p) const {
  p.arguments.clear();
  p.waiting.clear();
  p.order.clear();
  p.first = p.total = p.next_out = 0;
  p.carried.assign(calls_.size(), {});
  init_states(p);
}

void AnalyticFunctions::init_states(AnalyticPartition& p) const {
  p.states.assign(state_words_, 0);
  for (const Call& call : calls_) {
    if (call.runs && call.call->aggregate->init != nullptr)
      call.call->aggregate->init(reinterpret_cast<uint8_t*>(p.states.data() + call.state_at));
  }
}

void AnalyticFunctions::move_states(AnalyticPartition& p, agg::StateContext& to) {
  const std::vector<uint64_t> old = std::move(p.states);
  init_states(p);
  for (const Call& call : calls_) {
    if (!call.runs) continue;
    call.call->aggregate->combine(reinterpret_cast<uint8_t*>(p.states.data() + call.state_at),
                                  reinterpret_cast<const uint8_t*>(old.data() + call.state_at), to);
  }
}

void AnalyticFunctions::forget_context() {
  nulls_gone_ += *running_context_;
  running_context_ = std::make_unique<agg::StateContext>();
}

void AnalyticFunctions::append(AnalyticPartition& p, const batch::ColumnBatch& rows, const uint8_t* begins_peers,
                               Micros at) {
  arguments_.row_count = rows.row_count;
  arguments_.columns.clear();
  for (const int column : argument_columns_) arguments_.columns.push_back(rows.columns[static_cast<size_t>(column)]);
  p.arguments.append(arguments_);
  const int64_t* times =
      plan_.across_windows ? rows.columns[static_cast<size_t>(plan_.time_column)].as<int64_t>() : nullptr;
  for (size_t i = 0; i < rows.row_count; ++i) {
    AnalyticPartition::Order order{};
    order.time = times != nullptr ? times[i] : 0;
    order.at = at;
    ++p.total;
    if (begins_peers[i] != 0 || p.order.empty()) {
      order.peer = p.order.empty() ? 1 : p.order.back().peer + 1;
      order.rank = p.total;
    } else {
      order.peer = p.order.back().peer;
      order.rank = p.order.back().rank;
    }
    p.order.push_back(order);
  }
}

const std::vector<Column>& AnalyticFunctions::compute(AnalyticPartition& p, size_t n) {
  assert(p.next_out + static_cast<int64_t>(n) <= p.total);
  if (results_.capacity() < n || calls_.size() != results_.batch.columns.size()) {
    std::vector<batch::Type> types;
    for (const Call& call : calls_) types.push_back(call.call->type);
    const size_t capacity = std::max<size_t>(64, std::max(n, results_.capacity() * 2));
    results_ = batch::BatchBuffer(types, std::vector<bool>(types.size(), true), capacity);
  }
  if (scratch_->arena.octets_held() > kScratchOctetsMax) {
    nulls_gone_ += *scratch_;
    scratch_ = std::make_unique<agg::StateContext>();
  }
  for (size_t c = 0; c < calls_.size(); ++c) {
    Column& out = results_.batch.columns[c];
    out.has_nulls = true;
    switch (calls_[c].call->kind) {
      case Kind::kRowNumber:
      case Kind::kRank:
      case Kind::kDenseRank:
      case Kind::kPercentRank:
      case Kind::kCumeDist:
      case Kind::kNtile: rank_rows(p, calls_[c], n, out); break;
      case Kind::kLag:
      case Kind::kLead:
      case Kind::kFirstValue:
      case Kind::kLastValue:
      case Kind::kNthValue: pick_rows(p, c, n, out); break;
      case Kind::kAggregate: aggregate(p, c, n, out); break;
      case Kind::kEwma: ewma(p, c, n, out); break;
      case Kind::kCounterDelta: counter_delta(p, calls_[c], n, out); break;
    }
  }
  p.next_out += static_cast<int64_t>(n);
  return results_.batch.columns;
}

AnalyticFunctions::Span AnalyticFunctions::frame(const AnalyticPartition& p, const Frame& frame, int64_t row) const {
  using Order = AnalyticPartition::Order;
  const Order& at = p.order[static_cast<size_t>(row - p.first)];
  // Numbers of the first row whose time is not less (or, `beyond`, is greater) and of the same for peers.
  const auto time_bound = [&](Micros time, bool beyond) {
    const auto found = beyond ? std::upper_bound(p.order.begin(), p.order.end(), time,
                                                 [](Micros t, const Order& o) { return t < o.time; })
                              : std::lower_bound(p.order.begin(), p.order.end(), time,
                                                 [](const Order& o, Micros t) { return o.time < t; });
    return p.first + (found - p.order.begin());
  };
  const auto peers_end = [&] {
    const auto found = std::upper_bound(p.order.begin() + (row - p.first), p.order.end(), at.peer,
                                        [](int64_t peer, const Order& o) { return peer < o.peer; });
    return p.first + (found - p.order.begin());
  };
  Span span{0, p.total};
  switch (frame.start) {
    case Bound::kUnboundedPreceding: break;
    case Bound::kPreceding:
      span.begin = frame.by_range ? time_bound(at.time - frame.start_offset, false) : row - frame.start_offset;
      break;
    case Bound::kCurrentRow: span.begin = frame.by_range ? at.rank - 1 : row; break;
    case Bound::kFollowing:
      span.begin = frame.by_range ? time_bound(at.time + frame.start_offset, false) : row + frame.start_offset;
      break;
    case Bound::kUnboundedFollowing: span.begin = p.total; break;
  }
  switch (frame.end) {
    case Bound::kUnboundedPreceding: span.end = 0; break;
    case Bound::kPreceding:
      span.end = frame.by_range ? time_bound(at.time - frame.end_offset, true) : row - frame.end_offset + 1;
      break;
    case Bound::kCurrentRow: span.end = frame.by_range ? peers_end() : row + 1; break;
    case Bound::kFollowing:
      span.end = frame.by_range ? time_bound(at.time + frame.end_offset, true) : row + frame.end_offset + 1;
      break;
    case Bound::kUnboundedFollowing: break;
  }
  span.begin = std::clamp<int64_t>(span.begin, 0, p.total);
  span.end = std::clamp<int64_t>(span.end, span.begin, p.total);
  return span;
}

void AnalyticFunctions::add_rows(const AnalyticPartition& p, const Call& call, Span rows, uint8_t* state,
                                 agg::StateContext& context) {
  uint8_t* groups[kUpdateRows];
  Column args[8];
  assert(call.args.size() <= std::size(args));
  const auto total = static_cast<size_t>(rows.end - rows.begin);
  std::fill_n(groups, std::min(total, kUpdateRows), state);
  for (size_t done = 0; done < total; done += kUpdateRows) {
    size_t n = std::min(kUpdateRows, total - done);
    const auto first = static_cast<size_t>(rows.begin - p.first) + done;
    for (size_t a = 0; a < call.args.size(); ++a) args[a] = p.arguments.slice(call.args[a], first);
    const uint32_t* numbers = nullptr;
    if (call.filter != SIZE_MAX) {
      filtered_.resize(kUpdateRows);
      n = expr::select_true(p.arguments.slice(call.filter, first), n, filtered_.data());
      numbers = filtered_.data();
    }
    if (n > 0) call.call->aggregate->update(groups, 0, args, numbers, n, context);
  }
}

void AnalyticFunctions::aggregate(AnalyticPartition& p, size_t index, size_t n, Column& out) {
  const Call& call = calls_[index];
  const agg::AggregateFunction& function = *call.call->aggregate;
  const Frame& bounds = call.call->frame;
  if (call.runs) {
    auto* state = reinterpret_cast<uint8_t*>(p.states.data() + call.state_at);
    int64_t& added = p.carried[index].added;
    for (size_t i = 0; i < n; ++i) {
      const Span span = frame(p, bounds, p.next_out + static_cast<int64_t>(i));
      if (span.end > added) {
        add_rows(p, call, {added, span.end}, state, *running_context_);
        added = span.end;
      }
      function.finish(&state, 0, 1, out, i, *running_context_);
    }
    return;
  }
  auto* state = reinterpret_cast<uint8_t*>(scratch_state_.data());
  const auto begin_state = [&] {
    std::fill(scratch_state_.begin(), scratch_state_.end(), 0);
    if (function.init != nullptr) function.init(state);
  };
  if (bounds.end == Bound::kUnboundedFollowing) {  // From the last row on, the frame only grows.
    begin_state();
    int64_t added = p.total;
    for (size_t i = n; i-- > 0;) {
      const Span span = frame(p, bounds, p.next_out + static_cast<int64_t>(i));
      if (span.begin < added) {
        add_rows(p, call, {span.begin, added}, state, *scratch_);
        added = span.begin;
      }
      function.finish(&state, 0, 1, out, i, *scratch_);
    }
    return;
  }
  for (size_t i = 0; i < n; ++i) {
    begin_state();
    add_rows(p, call, frame(p, bounds, p.next_out + static_cast<int64_t>(i)), state, *scratch_);
    function.finish(&state, 0, 1, out, i, *scratch_);
  }
}

void AnalyticFunctions::pick_rows(const AnalyticPartition& p, size_t index, size_t n, Column& out) {
  const Call& call = calls_[index];
  const int64_t number = call.call->number;
  const int64_t outside = call.args.size() > 1 ? kDefault : kNull;
  picks_.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const int64_t row = p.next_out + static_cast<int64_t>(i);
    int64_t wanted = kNull;
    switch (call.call->kind) {
      case Kind::kLag: wanted = row >= number ? row - number : outside; break;
      case Kind::kLead: wanted = row + number < p.total ? row + number : outside; break;
      default: {
        const Span span = frame(p, call.call->frame, row);
        if (call.call->kind == Kind::kFirstValue) wanted = span.begin;
        else if (call.call->kind == Kind::kLastValue) wanted = span.end - 1;
        else wanted = span.begin + number - 1;
        if (wanted < span.begin || wanted >= span.end) wanted = kNull;
      }
    }
    picks_[i] = wanted < 0 ? wanted : wanted >= p.first ? wanted - p.first : kCarried;
  }
  pick(p.arguments.slice(call.args[0], 0), picks_.data(), n, out);
  for (size_t i = 0; i < n; ++i) {
    if (picks_[i] == kCarried) set_value(p.carried[index].value, out, i);
  }
  if (outside != kDefault) return;
  const Column defaults = p.arguments.slice(call.args[1], 0);
  for (size_t i = 0; i < n; ++i) {
    if (picks_[i] != kDefault) continue;
    Column one = out;
    one.values = static_cast<uint8_t*>(out.values) + i * batch::octets_per_value(batch::physical(out.type));
    one.validity = out.validity + i;
    const int64_t own = p.next_out + static_cast<int64_t>(i) - p.first;
    pick(defaults, &own, 1, one);
  }
}

void AnalyticFunctions::rank_rows(const AnalyticPartition& p, const Call& call, size_t n, Column& out) const {
  std::fill_n(out.validity, n, uint8_t{1});
  const AnalyticPartition::Order* order = p.order.data() + (p.next_out - p.first);
  const auto total = static_cast<double>(p.total);
  for (size_t i = 0; i < n; ++i) {
    const int64_t row = p.next_out + static_cast<int64_t>(i);
    switch (call.call->kind) {
      case Kind::kRowNumber: out.as<int64_t>()[i] = row + 1; break;
      case Kind::kRank: out.as<int64_t>()[i] = order[i].rank; break;
      case Kind::kDenseRank: out.as<int64_t>()[i] = order[i].peer; break;
      case Kind::kPercentRank:
        out.as<double>()[i] = p.total < 2 ? 0 : static_cast<double>(order[i].rank - 1) / (total - 1);
        break;
      case Kind::kCumeDist: out.as<double>()[i] = static_cast<double>(frame(p, Frame{}, row).end) / total; break;
      default: {  // ntile: the first total % buckets of them have one row more.
        const int64_t least = p.total / call.call->number, longer = p.total % call.call->number;
        const int64_t in_longer = longer * (least + 1);
        out.as<int64_t>()[i] = row < in_longer ? row / (least + 1) + 1 : longer + (row - in_longer) / least + 1;
      }
    }
  }
}

void AnalyticFunctions::ewma(AnalyticPartition& p, size_t index, size_t n, Column& out) const {
  const Call& call = calls_[index];
  AnalyticPartition::Carried& carried = p.carried[index];
  const Column values = p.arguments.slice(call.args[0], static_cast<size_t>(p.next_out - p.first));
  const AnalyticPartition::Order* order = p.order.data() + (p.next_out - p.first);
  for (size_t i = 0; i < n; ++i) {
    if (values.validity[i] != 0) {
      const double value = values.as<double>()[i];
      if (carried.any) {
        const double age = static_cast<double>(order[i].time - carried.time) / static_cast<double>(call.call->number);
        carried.average += -std::expm1(-age * M_LN2) * (value - carried.average);
      } else {
        carried.average = value;
      }
      carried.time = order[i].time;
      carried.any = true;
    }
    out.as<double>()[i] = carried.average;
    out.validity[i] = carried.any ? 1 : 0;
  }
}

void AnalyticFunctions::counter_delta(const AnalyticPartition& p, const Call& call, size_t n, Column& out) const {
  const Column values = p.arguments.slice(call.args[0], 0);
  const auto first = static_cast<size_t>(p.next_out - p.first);
  for (size_t i = 0; i < n; ++i) {
    const size_t at = first + i;
    int64_t difference = 0;
    const bool known =
        at > 0 && values.validity[at] != 0 && values.validity[at - 1] != 0 &&
        counter_difference(values.as<int64_t>()[at - 1], values.as<int64_t>()[at], call.call->number, difference);
    out.as<int64_t>()[i] = known ? difference : 0;
    out.validity[i] = known ? 1 : 0;
  }
}

/// The number of the first row that a function may still read; first or less: all that are there.
int64_t AnalyticFunctions::first_needed(const AnalyticPartition& p) const {
  // The last row stays: the next one is compared with its place in the order.
  int64_t keep = std::min(p.next_out - std::max<int64_t>(plan_.rows_before, 1), p.total - 1);
  if (keep <= p.first) return keep;
  const AnalyticPartition::Order& next = p.order[static_cast<size_t>(std::min(p.next_out, p.total - 1) - p.first)];
  keep = std::min(keep, next.rank - 1);  // A frame of RANGE ... CURRENT ROW begins with the row's first peer.
  if (plan_.range_before_us > 0) {
    const auto within = std::lower_bound(p.order.begin(), p.order.end(), next.time - plan_.range_before_us,
                                         [](const AnalyticPartition::Order& o, Micros time) { return o.time < time; });
    keep = std::min(keep, p.first + (within - p.order.begin()));
  }
  return keep;
}

void AnalyticFunctions::trim(AnalyticPartition& p) const {
  const int64_t keep = first_needed(p);
  const int64_t gone = keep - p.first;
  // Moving the others to the front costs their number: seldom, then.
  if (gone < 8 || gone * 2 < static_cast<int64_t>(p.order.size())) return;
  for (size_t c = 0; c < calls_.size(); ++c) {
    const AnalyticCall& call = *calls_[c].call;
    const bool from_begin = call.frame.start == Bound::kUnboundedPreceding;
    if (!from_begin || (call.kind != Kind::kFirstValue && call.kind != Kind::kNthValue)) continue;
    const int64_t wanted = call.kind == Kind::kFirstValue ? 0 : call.number - 1;
    if (wanted >= p.first && wanted < keep) {
      p.carried[c].value =
          expr::value_at(p.arguments.slice(calls_[c].args[0], 0), static_cast<size_t>(wanted - p.first));
    }
  }
  p.arguments.drop_front(static_cast<size_t>(gone));
  p.order.erase(p.order.begin(), p.order.begin() + gone);
  p.first = keep;
}

void AnalyticFunctions::save(StateWriter& out, const AnalyticPartition& p) const {
  out.time(p.forget_after);
  out.number(static_cast<uint64_t>(p.first));
  out.number(static_cast<uint64_t>(p.next_out - p.first));
  out.number(p.order.size());
  for (const AnalyticPartition::Order& order : p.order) {
    out.time(order.time);
    out.time(order.at);
    out.number(static_cast<uint64_t>(order.peer));
    out.number(static_cast<uint64_t>(order.rank));
  }
  exec::save(out, p.arguments);
  exec::save(out, p.waiting);
  for (size_t c = 0; c < calls_.size(); ++c) {
    const AnalyticPartition::Carried& carried = p.carried[c];
    out.number(static_cast<uint64_t>(carried.added));
    exec::save(out, carried.value);
    out.real(carried.average);
    out.time(carried.time);
    out.flag(carried.any);
    if (calls_[c].runs)
      calls_[c].call->aggregate->encode(reinterpret_cast<const uint8_t*>(p.states.data() + calls_[c].state_at),
                                        out.octets());
  }
}

namespace {

/// Of the expr::Value alternatives, the one that a column of the type holds.
size_t value_index(batch::Type type) {
  switch (batch::physical(type)) {
    case Physical::kByte: return expr::Value(false).index();
    case Physical::kInt64: return expr::Value(int64_t{0}).index();
    case Physical::kDouble: return expr::Value(0.0).index();
    case Physical::kText: return expr::Value(std::string()).index();
    case Physical::kInet: return expr::Value(base::Inet{}).index();
    case Physical::kInterval: return expr::Value(base::Interval{}).index();
  }
  return 0;
}

}  // namespace

void AnalyticFunctions::load(StateReader& in, AnalyticPartition& p) {
  constexpr uint64_t kRowsMax = uint64_t{1} << 60;
  p.forget_after = in.integer();
  p.first = static_cast<int64_t>(in.number(kRowsMax));
  p.next_out = p.first + static_cast<int64_t>(in.number(kRowsMax));
  const size_t rows = in.count(4);
  p.total = p.first + static_cast<int64_t>(rows);
  for (size_t row = 0; row < rows && !in.refused(); ++row) {
    AnalyticPartition::Order& order = p.order.emplace_back();
    order.time = in.bounded_time();
    order.at = in.bounded_time();
    order.peer = static_cast<int64_t>(in.number(kRowsMax));
    order.rank = static_cast<int64_t>(in.number(kRowsMax));
  }
  exec::load(in, argument_types_, p.arguments);
  exec::load(in, plan_.looks_ahead() ? input_types_ : std::vector<batch::Type>(), p.waiting);
  for (size_t c = 0; c < calls_.size() && !in.refused(); ++c) {
    AnalyticPartition::Carried& carried = p.carried[c];
    carried.added = static_cast<int64_t>(in.number(kRowsMax));
    exec::load(in, carried.value);
    in.check(carried.value.index() == 0 || carried.value.index() == value_index(calls_[c].call->type));
    carried.average = in.real();
    carried.time = in.bounded_time();
    carried.any = in.flag();
    if (!calls_[c].runs) continue;
    in.check(carried.added >= p.first && carried.added <= p.total);
    in.state(*calls_[c].call->aggregate, reinterpret_cast<uint8_t*>(p.states.data() + calls_[c].state_at),
             *running_context_);
  }
  if (!in.refused()) in.check(is_consistent(p));
}

/// What functions rely on: rows are in order, and all that may still be read are there.
bool AnalyticFunctions::is_consistent(const AnalyticPartition& p) const {
  const size_t waiting = plan_.looks_ahead() ? static_cast<size_t>(std::max<int64_t>(p.total - p.next_out, 0)) : 0;
  if (p.next_out > p.total || (!plan_.looks_ahead() && p.next_out != p.total)) return false;
  if (p.arguments.row_count() != p.order.size() || p.waiting.row_count() != waiting) return false;
  if (p.total > 0 && p.order.empty()) return false;
  for (size_t i = 0; i < p.order.size(); ++i) {
    const AnalyticPartition::Order& order = p.order[i];
    if (order.peer < 1 || order.rank < 1 || order.rank > p.first + static_cast<int64_t>(i) + 1) return false;
    if (i == 0) continue;
    const AnalyticPartition::Order& before = p.order[i - 1];
    if (order.time < before.time || order.peer < before.peer || order.rank < before.rank) return false;
  }
  return p.first == 0 || p.first <= first_needed(p);
}

void AnalyticFunctions::save_null_results(StateWriter& out) const { exec::save(out, null_results()); }
void AnalyticFunctions::load_null_results(StateReader& in) { exec::load(in, nulls_gone_); }

}  // namespace backstream::exec
