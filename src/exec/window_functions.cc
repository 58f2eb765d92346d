#include "exec/window_functions.h"

#include <algorithm>
#include <cassert>

#include "exec/gather.h"

namespace backstream::exec {

using batch::Column;
using plan::AnalyticCall;
using Kind = plan::AnalyticCall::Kind;
using Bound = plan::Frame::Bound;

namespace {

constexpr size_t kStep = 2048;

std::vector<batch::ColumnDef> partition_columns(const plan::Stage& stage) {
  std::vector<batch::ColumnDef> columns;
  for (const int column : stage.analytic->partition_by)
    columns.push_back(stage.input.columns[static_cast<size_t>(column)]);
  return columns;
}

bool is_rank(Kind kind) {
  return kind == Kind::kRowNumber || kind == Kind::kRank || kind == Kind::kDenseRank || kind == Kind::kPercentRank ||
         kind == Kind::kCumeDist || kind == Kind::kNtile;
}

/// An aggregate whose frame is the whole partition: without ORDER BY all rows are peers of the current one.
bool is_of_all_rows(const plan::Analytic& analytic, const AnalyticCall& call) {
  if (call.kind != Kind::kAggregate || call.frame.start != Bound::kUnboundedPreceding) return false;
  return call.frame.end == Bound::kUnboundedFollowing ||
         (call.frame.end == Bound::kCurrentRow && call.frame.by_range && analytic.order_by.empty());
}

uint32_t states_octets(const plan::Stage& stage) {
  uint32_t octets = 8;
  for (const AnalyticCall& call : stage.analytic->calls) {
    if (call.kind == Kind::kAggregate) octets += (call.aggregate->state_octets + 7) / 8 * 8;
  }
  return octets;
}

uint64_t& number_of(uint8_t* state) { return *reinterpret_cast<uint64_t*>(state); }

}  // namespace

bool WindowFunctions::can_compute(const plan::Stage& stage) {
  const plan::Analytic& analytic = *stage.analytic;
  return !analytic.across_windows && stage.window.kind != plan::Window::Kind::kNone &&
         KeyedStates::can_hold(partition_columns(stage)) &&
         std::all_of(analytic.calls.begin(), analytic.calls.end(),
                     [&](const AnalyticCall& call) { return is_rank(call.kind) || is_of_all_rows(analytic, call); });
}

WindowFunctions::WindowFunctions(const plan::Stage& stage, uint64_t hash_mask)
    : plan_(*stage.analytic), partitions_(partition_columns(stage), states_octets(stage), hash_mask) {
  uint32_t state_at = 8;
  for (const AnalyticCall& call : plan_.calls) {
    calls_.push_back({&call, state_at});
    result_types_.push_back(call.type);
    if (call.kind == Kind::kAggregate) state_at += (call.aggregate->state_octets + 7) / 8 * 8;
    ranks_ |= is_rank(call.kind);
    tells_peers_apart_ |= call.kind == Kind::kRowNumber || call.kind == Kind::kNtile;
  }
  for (const plan::Analytic::Order& key : plan_.order_by)
    order_by_.push_back({static_cast<size_t>(key.column), key.descending, key.nulls_first});
  for (size_t column = 0; column < stage.input.columns.size(); ++column) ties_.push_back({column});
}

const std::vector<Column>& WindowFunctions::compute(const RowStore& rows) {
  const size_t n = rows.row_count();
  assert(n > 0);
  results_.begin(result_types_, n);
  auto context = std::make_unique<agg::StateContext>();
  partitions_.clear();
  assign_partitions(rows, *context);
  if (ranks_) sort(rows);
  for (size_t c = 0; c < calls_.size(); ++c) {
    Column& out = results_.columns()[c];
    if (is_rank(calls_[c].call->kind)) rank(calls_[c], out);
    else finish(calls_[c], out, *context);
  }
  nulls_ += *context;
  context_ = std::move(context);
  return results_.columns();
}

/// Numbers the partitions, and adds all rows to the aggregates of theirs.
void WindowFunctions::assign_partitions(const RowStore& rows, agg::StateContext& context) {
  const size_t n = rows.row_count();
  states_.resize(n);
  partition_of_.resize(n);
  by_partition_.clear();
  sizes_.clear();
  std::vector<Column> keys(plan_.partition_by.size());
  for (size_t first = 0; first < n; first += kStep) {
    const size_t count = std::min(kStep, n - first);
    for (size_t k = 0; k < keys.size(); ++k) keys[k] = rows.slice(static_cast<size_t>(plan_.partition_by[k]), first);
    partitions_.find_or_make(keys.data(), count, &states_[first]);
    for (size_t row = first; row < first + count; ++row) {
      uint64_t& number = number_of(states_[row]);
      if (number == 0) {
        by_partition_.push_back(states_[row]);
        sizes_.push_back(0);
        number = by_partition_.size();
        for (const Call& call : calls_) {
          if (call.call->kind == Kind::kAggregate && call.call->aggregate->init != nullptr)
            call.call->aggregate->init(states_[row] + call.state_at);
        }
      }
      partition_of_[row] = static_cast<uint32_t>(number - 1);
      ++sizes_[number - 1];
    }
    update(rows, first, count, context);
  }
}

void WindowFunctions::update(const RowStore& rows, size_t first, size_t n, agg::StateContext& context) {
  std::vector<Column> args;
  for (const Call& call : calls_) {
    if (call.call->kind != Kind::kAggregate) continue;
    args.clear();
    for (const int arg : call.call->args) args.push_back(rows.slice(static_cast<size_t>(arg), first));
    uint8_t* const* states = &states_[first];
    const uint32_t* numbers = nullptr;
    size_t count = n;
    if (call.call->filter >= 0) {
      filtered_.resize(kStep);
      filtered_states_.resize(kStep);
      count = expr::select_true(rows.slice(static_cast<size_t>(call.call->filter), first), n, filtered_.data());
      for (size_t i = 0; i < count; ++i) filtered_states_[i] = states[filtered_[i]];
      states = filtered_states_.data();
      numbers = filtered_.data();
    }
    if (count > 0) call.call->aggregate->update(states, call.state_at, args.data(), numbers, count, context);
  }
}

/// Once a partition, and then to all its rows. But results that are null for want of a value are counted by row.
void WindowFunctions::finish(const Call& call, Column& out, agg::StateContext& context) {
  const agg::AggregateFunction& function = *call.call->aggregate;
  const agg::NullResults before = context;
  batch::BatchBuffer once({call.call->type}, {true}, by_partition_.size());
  once.batch.columns[0].has_nulls = true;
  function.finish(by_partition_.data(), call.state_at, by_partition_.size(), once.batch.columns[0], 0, context);
  const agg::NullResults nulls = context.since(before);
  if (nulls.overflow_count + nulls.capped_count + nulls.negative_weight_count == 0) {
    gather_column(once.batch.columns[0], partition_of_.data(), partition_of_.size(), out, 0);
    return;
  }
  static_cast<agg::NullResults&>(context) = before;
  function.finish(states_.data(), call.state_at, states_.size(), out, 0, context);
}

/// Rows by partition, then by ORDER BY, then, where a function tells peers apart, by all columns.
void WindowFunctions::sort(const RowStore& rows) {
  const size_t n = rows.row_count();
  order_.resize(n);
  ranges_.clear();
  std::vector<size_t> at(sizes_.size());
  for (size_t p = 0, place = 0; p < sizes_.size(); place += sizes_[p++]) {
    at[p] = place;
    ranges_.push_back({place, place + sizes_[p]});
  }
  for (size_t row = 0; row < n; ++row) order_[at[partition_of_[row]]++] = static_cast<uint32_t>(row);
  begins_peers_.assign(n, 1);
  sort_ranges(rows, order_by_, order_, ranges_);
  for (const RowRange& peers : ranges_)
    std::fill(begins_peers_.begin() + static_cast<long>(peers.begin) + 1,
              begins_peers_.begin() + static_cast<long>(peers.end), uint8_t{0});
  if (tells_peers_apart_) sort_ranges(rows, ties_, order_, ranges_);
}

void WindowFunctions::rank(const Call& call, Column& out) const {
  std::fill_n(out.validity, order_.size(), uint8_t{1});
  auto* integers = out.as<int64_t>();
  auto* doubles = out.as<double>();
  size_t begin = 0;
  for (const uint32_t size : sizes_) {
    const size_t end = begin + size;
    const auto total = static_cast<double>(size);
    int64_t rank = 1, peer = 0;
    size_t peers_end = begin;
    for (size_t place = begin; place < end; ++place) {
      const uint32_t row = order_[place];
      const auto before = static_cast<int64_t>(place - begin);
      if (begins_peers_[place] != 0) {
        rank = before + 1;
        ++peer;
      }
      switch (call.call->kind) {
        case Kind::kRowNumber: integers[row] = before + 1; break;
        case Kind::kRank: integers[row] = rank; break;
        case Kind::kDenseRank: integers[row] = peer; break;
        case Kind::kPercentRank: doubles[row] = size < 2 ? 0 : static_cast<double>(rank - 1) / (total - 1); break;
        case Kind::kCumeDist:
          if (place >= peers_end) {
            peers_end = place + 1;
            while (peers_end < end && begins_peers_[peers_end] == 0) ++peers_end;
          }
          doubles[row] = static_cast<double>(peers_end - begin) / total;
          break;
        default: {  // ntile: the first total % buckets of them have one row more.
          const int64_t buckets = call.call->number, least = size / buckets, longer = size % buckets;
          const int64_t in_longer = longer * (least + 1);
          integers[row] = before < in_longer ? before / (least + 1) + 1 : longer + (before - in_longer) / least + 1;
        }
      }
    }
    begin = end;
  }
}

}  // namespace backstream::exec
