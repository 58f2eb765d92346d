#pragma once
// State layouts and small helpers that the aggregate families share. Private to the room.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "agg/aggregate.h"
#include "base/varint.h"

namespace backstream::agg {

template <typename State>
State& state_at(uint8_t* at) {
  return *reinterpret_cast<State*>(at);
}
template <typename State>
const State& state_at(const uint8_t* at) {
  return *reinterpret_cast<const State*>(at);
}

/// Calls body(state, row) for each row, with the row indirection and nulls of `arg` decided once per batch.
template <typename State, typename Body>
inline void for_each_present(uint8_t* const* group_rows, size_t state_offset, const Column& arg, const uint32_t* rows,
                             size_t n, Body&& body) {
  // Groups are all over memory, and the hardware runs ahead of a loop by fewer misses than it could have under way.
  constexpr size_t kAhead = 16;
  const auto fetch = [&](size_t i) { __builtin_prefetch(group_rows[std::min(i + kAhead, n - 1)] + state_offset, 1); };
  if (!arg.has_nulls && rows == nullptr) {
    for (size_t i = 0; i < n; ++i) {
      fetch(i);
      body(state_at<State>(group_rows[i] + state_offset), i);
    }
  } else if (!arg.has_nulls) {
    for (size_t i = 0; i < n; ++i) {
      fetch(i);
      body(state_at<State>(group_rows[i] + state_offset), rows[i]);
    }
  } else {
    for (size_t i = 0; i < n; ++i) {
      fetch(i);
      const size_t row = rows == nullptr ? i : rows[i];
      if (arg.validity[row] != 0) body(state_at<State>(group_rows[i] + state_offset), row);
    }
  }
}

/// The same for two arguments: rows where both are present.
template <typename State, typename Body>
inline void for_each_present_pair(uint8_t* const* group_rows, size_t state_offset, const Column& a, const Column& b,
                                  const uint32_t* rows, size_t n, Body&& body) {
  if (!b.has_nulls) return for_each_present<State>(group_rows, state_offset, a, rows, n, body);
  if (!a.has_nulls) return for_each_present<State>(group_rows, state_offset, b, rows, n, body);
  for (size_t i = 0; i < n; ++i) {
    const size_t row = rows == nullptr ? i : rows[i];
    if (a.validity[row] != 0 && b.validity[row] != 0) body(state_at<State>(group_rows[i] + state_offset), row);
  }
}

/// Writes one result of finish().
template <typename Value>
void put_result(Column& out, size_t at, bool present, Value value) {
  out.as<Value>()[at] = value;
  out.validity[at] = present;
}

/// Families register themselves here; registry.cc calls each once.
void add_counting(std::vector<AggregateFunction>& table);
void add_sums(std::vector<AggregateFunction>& table);
void add_bits(std::vector<AggregateFunction>& table);
void add_extremes(std::vector<AggregateFunction>& table);
void add_distinct(std::vector<AggregateFunction>& table);
void add_variances(std::vector<AggregateFunction>& table);
void add_cardinality(std::vector<AggregateFunction>& table);
void add_quantile_sketch(std::vector<AggregateFunction>& table);
void add_percentiles(std::vector<AggregateFunction>& table);
void add_top(std::vector<AggregateFunction>& table);
void add_entropy(std::vector<AggregateFunction>& table);
void add_first_last(std::vector<AggregateFunction>& table);
void add_sampling_errors(std::vector<AggregateFunction>& table);

}  // namespace backstream::agg
