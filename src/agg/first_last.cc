// first(value, time) and last(value, time): the value of the earliest or latest row; among rows of the same time the
// least value for first, the greatest for last, so that the order of rows does not show.
#include <cmath>

#include "agg/states.h"
#include "agg/values.h"

namespace backstream::agg {
namespace {

/// A kept value. Text lies in a block that is reused while the next one fits, for a busy group may replace it at every
/// row.
template <typename Value>
struct Kept {
  Value value;
  void set(const Value& to, StateContext&) { value = to; }
  const Value& get() const { return value; }
};
template <>
struct Kept<std::string_view> {
  char* octets;
  uint32_t size;
  uint32_t octets_log2;  ///< of the block; 0: none
  void set(std::string_view text, StateContext& context) {
    const auto needed = std::max(static_cast<unsigned>(std::bit_width(text.size())), 4u);
    if (octets_log2 < needed) {
      if (octets_log2 != 0) context.give_block(octets, octets_log2);
      octets = static_cast<char*>(context.take_block(needed));
      octets_log2 = needed;
    }
    if (!text.empty()) std::memcpy(octets, text.data(), text.size());
    size = static_cast<uint32_t>(text.size());
  }
  std::string_view get() const { return {octets, size}; }
};

template <typename Value>
struct Timed {
  Kept<Value> kept;
  int64_t time;
  uint64_t any;  ///< 0: no row yet
};

template <bool last, typename Value>
void offer(Timed<Value>& state, const Value& value, int64_t time, StateContext& context) {
  if (state.any != 0) {
    const int by_time = order(time, state.time);
    const int c = by_time != 0 ? by_time : total_order(value, Value(state.kept.get()));
    if (last ? c <= 0 : c >= 0) return;
  }
  state.kept.set(value, context);
  state.time = time;
  state.any = 1;
}

template <bool last, typename Value>
void update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
            StateContext& context) {
  const Value* values = args[0].as<Value>();
  const int64_t* times = args[1].as<int64_t>();
  for_each_present_pair<Timed<Value>>(
      group_rows, offset, args[0], args[1], rows, n,
      [&](Timed<Value>& state, size_t row) { offer<last>(state, values[row], times[row], context); });
}
template <bool last, typename Value>
void combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  const auto& other = state_at<Timed<Value>>(from);
  if (other.any != 0) offer<last>(state_at<Timed<Value>>(to), Value(other.kept.get()), other.time, context);
}
template <typename Value>
void finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext&) {
  for (size_t i = 0; i < n; ++i) {
    const auto& state = state_at<Timed<Value>>(group_rows[i] + offset);
    put_result(out, at + i, state.any != 0, state.any != 0 ? Value(state.kept.get()) : Value{});
  }
}
template <typename Value>
void encode(const uint8_t* bytes, std::vector<uint8_t>& out) {
  const auto& state = state_at<Timed<Value>>(bytes);
  out.push_back(static_cast<uint8_t>(state.any));
  if (state.any == 0) return;
  base::put_varint_signed(out, state.time);
  put_value(out, Value(state.kept.get()));
}
template <typename Value>
size_t decode(uint8_t* to, const uint8_t* bytes, size_t octets, StateContext& context) {
  if (octets == 0 || bytes[0] > 1) return 0;
  auto& state = state_at<Timed<Value>>(to);
  state = Timed<Value>{};
  if (bytes[0] == 0) return 1;
  const size_t time_octets = base::get_varint_signed(bytes + 1, octets - 1, state.time);
  if (time_octets == 0) return 0;
  Value value{};
  const size_t value_octets = get_value(bytes + 1 + time_octets, octets - 1 - time_octets, value, context);
  if (value_octets == 0) return 0;
  state.kept.set(value, context);
  state.any = 1;
  return 1 + time_octets + value_octets;
}

template <bool last, typename Value>
void add_one(std::vector<AggregateFunction>& table, Type type) {
  AggregateFunction f;
  f.name = last ? "last" : "first";
  f.arg_types = {type, Type::kTimestamptz};
  f.result_type = type;
  f.spelling = last ? "last(any, timestamp with time zone)" : "first(any, timestamp with time zone)";
  f.partial_form = "1 value and its time";
  f.state_octets = sizeof(Timed<Value>);
  f.update = update<last, Value>;
  f.combine = combine<last, Value>;
  f.finish = finish<Value>;
  f.encode = encode<Value>;
  f.decode = decode<Value>;
  table.push_back(f);
}

}  // namespace

void add_first_last(std::vector<AggregateFunction>& table) {
  const auto add_for = [&]<typename Value>(Value, Type type) {
    add_one<false, Value>(table, type);
    add_one<true, Value>(table, type);
  };
  for (const Type type :
       {Type::kInt2, Type::kInt4, Type::kInt8, Type::kTimestamptz, Type::kTimestamp, Type::kMacaddr}) {
    add_for(int64_t{}, type);
  }
  add_for(uint8_t{}, Type::kBool);
  add_for(double{}, Type::kFloat8);
  for (const Type type : {Type::kText, Type::kBytea}) add_for(std::string_view{}, type);
  for (const Type type : {Type::kInet, Type::kCidr}) add_for(base::Inet{}, type);
  add_for(base::Interval{}, Type::kInterval);
}

}  // namespace backstream::agg
