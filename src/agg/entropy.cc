// entropy(x), entropy(x, weight): Shannon entropy in bits of how the rows (or weights) of a group are shared among the
// values of x. Zero: all one value; log2(k): k values alike. Exact counts of each value.
#include <cmath>

#include "agg/count_map.h"
#include "agg/states.h"

namespace backstream::agg {
namespace {

struct EntropyState {
  CountMap counts;
  uint32_t over_cap;         ///< more than kValuesPerGroupMax values; the counts are gone
  uint32_t negative_weight;  ///< a weight below 0 was seen
};

template <typename Value>
void forget_when_over(EntropyState& state, StateContext& context) {
  if (state.counts.size <= kValuesPerGroupMax) return;
  clear<Value>(state.counts, context);
  state.over_cap = 1;
}
template <typename Value>
void add_value(EntropyState& state, const Value& value, int64_t weight, StateContext& context) {
  if (weight <= 0) {
    state.negative_weight |= weight < 0;
    return;
  }
  if (state.over_cap != 0) return;
  add<Value>(state.counts, value, weight, context);
  forget_when_over<Value>(state, context);
}

template <typename Value>
void update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
            StateContext& context) {
  constexpr size_t kAhead = 12;
  const Value* values = args[0].as<Value>();
  for (size_t i = 0; i < n; ++i) {
    if (i + kAhead < n) {
      const size_t row = rows == nullptr ? i + kAhead : rows[i + kAhead];
      fetch_place<Value>(state_at<EntropyState>(group_rows[i + kAhead] + offset).counts, values[row]);
    }
    const size_t row = rows == nullptr ? i : rows[i];
    if (args[0].is_null(row)) continue;
    add_value<Value>(state_at<EntropyState>(group_rows[i] + offset), values[row], 1, context);
  }
}
template <typename Value>
void update_weighted(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
                     StateContext& context) {
  const Value* values = args[0].as<Value>();
  const int64_t* weights = args[1].as<int64_t>();
  for_each_present_pair<EntropyState>(
      group_rows, offset, args[0], args[1], rows, n,
      [&](EntropyState& state, size_t row) { add_value<Value>(state, values[row], weights[row], context); });
}
template <typename Value>
void combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  EntropyState& state = state_at<EntropyState>(to);
  const EntropyState& other = state_at<EntropyState>(from);
  state.negative_weight |= other.negative_weight;
  if (state.over_cap != 0) return;
  if (other.over_cap != 0) {
    clear<Value>(state.counts, context);
    state.over_cap = 1;
    return;
  }
  add<Value>(state.counts, other.counts, context);
  forget_when_over<Value>(state, context);
}

/// A function of the counts alone, taken in rising order: no order of rows, nor the values themselves, show in it.
double entropy_bits(const CountMap& map) {
  std::vector<int64_t> counts;
  counts.reserve(map.size);
  double total = 0;
  map.for_each([&](const CountMap::Entry& entry) { counts.push_back(entry.count); });
  std::sort(counts.begin(), counts.end());
  for (const int64_t count : counts) total += static_cast<double>(count);
  double bits = 0;
  for (size_t i = 0; i < counts.size();) {
    size_t end = i + 1;
    while (end < counts.size() && counts[end] == counts[i]) ++end;
    const double count = static_cast<double>(counts[i]);
    bits += static_cast<double>(end - i) * (count / total) * std::log2(total / count);
    i = end;
  }
  return bits;
}
void finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext& context) {
  for (size_t i = 0; i < n; ++i) {
    const EntropyState& state = state_at<EntropyState>(group_rows[i] + offset);
    bool saturated = false;
    state.counts.for_each([&](const CountMap::Entry& entry) { saturated |= entry.count == INT64_MAX; });
    const bool failed = state.over_cap != 0 || state.negative_weight != 0 || saturated;
    if (state.over_cap != 0) ++context.capped_count;
    else if (state.negative_weight != 0) ++context.negative_weight_count;
    else if (saturated) ++context.overflow_count;
    const bool present = !failed && state.counts.size != 0;
    put_result(out, at + i, present, present ? entropy_bits(state.counts) : 0.0);
  }
}

template <typename Value>
void encode(const uint8_t* bytes, std::vector<uint8_t>& out) {
  const EntropyState& state = state_at<EntropyState>(bytes);
  out.push_back(static_cast<uint8_t>(state.over_cap | state.negative_weight << 1));
  if (state.over_cap == 0) encode_entries<Value>(state.counts.list(), out);
}
template <typename Value>
size_t decode(uint8_t* to, const uint8_t* bytes, size_t octets, StateContext& context) {
  if (octets == 0 || bytes[0] > 3) return 0;
  EntropyState& state = state_at<EntropyState>(to);
  state = EntropyState{};
  state.over_cap = bytes[0] & 1;
  state.negative_weight = bytes[0] >> 1;
  if (state.over_cap != 0) return 1;
  const size_t used = decode_entries<Value>(state.counts, bytes + 1, octets - 1, kValuesPerGroupMax, context);
  return used == 0 ? 0 : 1 + used;
}

template <typename Value>
void add_both(std::vector<AggregateFunction>& table, Type type) {
  AggregateFunction f;
  f.name = "entropy";
  f.arg_types = {type};
  f.result_type = Type::kFloat8;
  f.spelling = "entropy(any)";
  f.partial_form = "count of each value, up to 100,000 values";
  f.state_octets = sizeof(EntropyState);
  f.update = update<Value>;
  f.combine = combine<Value>;
  f.finish = finish;
  f.encode = encode<Value>;
  f.decode = decode<Value>;
  table.push_back(f);
  f.arg_types = {type, Type::kInt8};
  f.spelling = "entropy(any, weight bigint)";
  f.update = update_weighted<Value>;
  table.push_back(f);
}

}  // namespace

void add_entropy(std::vector<AggregateFunction>& table) {
  for (const Type type :
       {Type::kInt2, Type::kInt4, Type::kInt8, Type::kTimestamptz, Type::kTimestamp, Type::kMacaddr}) {
    add_both<int64_t>(table, type);
  }
  add_both<uint8_t>(table, Type::kBool);
  add_both<double>(table, Type::kFloat8);
  for (const Type type : {Type::kText, Type::kBytea}) add_both<std::string_view>(table, type);
  for (const Type type : {Type::kInet, Type::kCidr}) add_both<base::Inet>(table, type);
}

}  // namespace backstream::agg
