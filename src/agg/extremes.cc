// min and max, in PostgreSQL's order of each type.
#include "agg/states.h"
#include "agg/values.h"

namespace backstream::agg {
namespace {

template <typename Value>
struct Extreme {
  Value value;
  uint64_t any;  ///< 0: no value yet
};

/// What stays behind must not point into the batch.
template <typename Value>
Value keep(const Value& value, StateContext&) {
  return value;
}
std::string_view keep(const std::string_view& value, StateContext& context) { return context.arena.copy(value); }

template <bool maximum, typename Value>
bool better(const Value& candidate, const Value& current) {
  const int c = order(candidate, current);
  if (c != 0) return maximum ? c > 0 : c < 0;
  // Equal but not the same (intervals of 1 day and 24 hours, -0 and 0): a fixed choice, whatever the order of rows.
  if constexpr (std::is_same_v<Value, base::Interval>) {
    return std::pair(candidate.months, candidate.days) > std::pair(current.months, current.days);
  } else if constexpr (std::is_same_v<Value, double>) {
    return std::signbit(current) && !std::signbit(candidate);
  } else {
    return false;
  }
}
template <bool maximum, typename Value>
void offer(Extreme<Value>& state, const Value& value, StateContext& context) {
  if (state.any != 0 && !better<maximum>(value, state.value)) return;
  state.value = keep(value, context);
  state.any = 1;
}

template <bool maximum, typename Value>
void update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
            StateContext& context) {
  const Value* values = args[0].as<Value>();
  for_each_present<Extreme<Value>>(group_rows, offset, args[0], rows, n, [&](Extreme<Value>& state, size_t row) {
    offer<maximum>(state, values[row], context);
  });
}
template <bool maximum, typename Value>
void combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  const auto& other = state_at<Extreme<Value>>(from);
  if (other.any != 0) offer<maximum>(state_at<Extreme<Value>>(to), other.value, context);
}
template <typename Value>
void finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext&) {
  for (size_t i = 0; i < n; ++i) {
    const auto& state = state_at<Extreme<Value>>(group_rows[i] + offset);
    out.as<Value>()[at + i] = state.any != 0 ? state.value : Value{};
    out.validity[at + i] = static_cast<uint8_t>(state.any);
  }
}
template <typename Value>
void encode(const uint8_t* state, std::vector<uint8_t>& out) {
  const auto& extreme = state_at<Extreme<Value>>(state);
  out.push_back(static_cast<uint8_t>(extreme.any));
  if (extreme.any != 0) put_value(out, extreme.value);
}
template <typename Value>
size_t decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext& context) {
  if (octets == 0 || bytes[0] > 1) return 0;
  auto& extreme = state_at<Extreme<Value>>(state);
  extreme.any = bytes[0];
  if (extreme.any == 0) return 1;
  const size_t used = get_value(bytes + 1, octets - 1, extreme.value, context);
  return used == 0 ? 0 : 1 + used;
}

template <bool maximum, typename Value>
AggregateFunction function(Type type) {
  AggregateFunction f;
  f.name = maximum ? "max" : "min";
  f.arg_types = {type};
  f.result_type = type;
  f.partial_form = "1 value";
  f.state_octets = sizeof(Extreme<Value>);
  f.update = update<maximum, Value>;
  f.combine = combine<maximum, Value>;
  f.finish = finish<Value>;
  f.encode = encode<Value>;
  f.decode = decode<Value>;
  return f;
}
template <typename Value>
void add_both(std::vector<AggregateFunction>& table, Type type) {
  table.push_back(function<false, Value>(type));
  table.push_back(function<true, Value>(type));
}

}  // namespace

void add_extremes(std::vector<AggregateFunction>& table) {
  for (const Type type :
       {Type::kInt2, Type::kInt4, Type::kInt8, Type::kTimestamptz, Type::kTimestamp, Type::kMacaddr}) {
    add_both<int64_t>(table, type);
  }
  add_both<double>(table, Type::kFloat8);
  add_both<std::string_view>(table, Type::kText);
  add_both<base::Inet>(table, Type::kInet);  // of cidr too, which becomes inet, as in PostgreSQL
  add_both<base::Interval>(table, Type::kInterval);
}

}  // namespace backstream::agg
