#pragma once
// State layouts and small helpers that the aggregate families share. Private to the room.
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
  if (!arg.has_nulls && rows == nullptr) {
    for (size_t i = 0; i < n; ++i) body(state_at<State>(group_rows[i] + state_offset), i);
  } else if (!arg.has_nulls) {
    for (size_t i = 0; i < n; ++i) body(state_at<State>(group_rows[i] + state_offset), rows[i]);
  } else {
    for (size_t i = 0; i < n; ++i) {
      const size_t row = rows == nullptr ? i : rows[i];
      if (arg.validity[row] != 0) body(state_at<State>(group_rows[i] + state_offset), row);
    }
  }
}

/// Families register themselves here; registry.cc calls each once.
void add_counting(std::vector<AggregateFunction>& table);
void add_sums(std::vector<AggregateFunction>& table);
void add_bits(std::vector<AggregateFunction>& table);
void add_extremes(std::vector<AggregateFunction>& table);
void add_distinct(std::vector<AggregateFunction>& table);

}  // namespace backstream::agg
