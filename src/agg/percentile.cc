// percentile_cont(fraction) and percentile_disc(fraction) WITHIN GROUP (ORDER BY x): exact, from all values of the
// group.
#include <cmath>

#include "agg/states.h"
#include "agg/values.h"

namespace backstream::agg {
namespace {

/// All zero bytes: no values. The values lie in a block of the context, in no order.
template <typename Value>
struct ValueList {
  Value* values;
  uint64_t count;        ///< of all rows; the values are gone when it is above kValuesPerGroupMax
  double fraction;       ///< set with the first value
  uint64_t octets_log2;  ///< of the block; 0: none
  bool over_cap() const { return count > kValuesPerGroupMax; }
};

/// What stays behind must not point into the batch.
template <typename Value>
Value keep(const Value& value, StateContext& context) {
  if constexpr (std::is_same_v<Value, std::string_view>) return context.arena.copy(value);
  else return value;
}
/// One NaN, so that equal lists have one form.
template <typename Value>
Value one_form(const Value& value) {
  if constexpr (std::is_same_v<Value, double>) return std::isnan(value) ? std::nan("") : value;
  else return value;
}

template <typename Value>
void reserve(ValueList<Value>& list, uint64_t count, StateContext& context) {
  const unsigned wanted = std::max(static_cast<unsigned>(std::bit_width(count * sizeof(Value) - 1)), 5u);
  if (list.octets_log2 >= wanted) return;
  Value* values = static_cast<Value*>(context.take_block(wanted));
  if (list.octets_log2 != 0) {
    std::copy_n(list.values, list.count, values);
    context.give_block(list.values, static_cast<unsigned>(list.octets_log2));
  }
  list.values = values;
  list.octets_log2 = wanted;
}
template <typename Value>
void drop_values(ValueList<Value>& list, StateContext& context) {
  if (list.octets_log2 != 0) context.give_block(list.values, static_cast<unsigned>(list.octets_log2));
  list.values = nullptr;
  list.octets_log2 = 0;
}

template <typename Value>
void update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
            StateContext& context) {
  const double* fractions = args[0].as<double>();
  const Value* values = args[1].as<Value>();
  for_each_present<ValueList<Value>>(group_rows, offset, args[1], rows, n, [&](ValueList<Value>& list, size_t row) {
    list.fraction = fractions[row];
    if (list.count >= kValuesPerGroupMax) {
      drop_values(list, context);
    } else {
      reserve(list, list.count + 1, context);
      list.values[list.count] = keep(one_form(values[row]), context);
    }
    ++list.count;
  });
}
template <typename Value>
void combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  auto& list = state_at<ValueList<Value>>(to);
  const auto& other = state_at<ValueList<Value>>(from);
  if (other.count == 0) return;
  list.fraction = other.fraction;
  const uint64_t count = list.count + other.count;
  if (count > kValuesPerGroupMax) {
    drop_values(list, context);
  } else {
    reserve(list, count, context);
    for (uint64_t i = 0; i < other.count; ++i) list.values[list.count + i] = keep(other.values[i], context);
  }
  list.count = count;
}

/// The values of ranks first and first + 1 (the last twice), in PostgreSQL's order, counted from the top when
/// descending.
template <typename Value, bool descending>
std::pair<Value, Value> at_rank(const ValueList<Value>& list, uint64_t first, std::vector<Value>& scratch) {
  scratch.assign(list.values, list.values + list.count);
  const auto before = [](const Value& a, const Value& b) {
    return descending ? total_order(a, b) > 0 : total_order(a, b) < 0;
  };
  const auto at = scratch.begin() + static_cast<long>(first);
  std::nth_element(scratch.begin(), at, scratch.end(), before);
  return {*at, at + 1 == scratch.end() ? *at : *std::min_element(at + 1, scratch.end(), before)};
}
/// PostgreSQL 15, orderedsetaggs.c: the row of number ceil(fraction * n), at least the first.
template <typename Value, bool descending>
struct Discrete {
  static Value pick(const ValueList<Value>& list, std::vector<Value>& scratch) {
    const double row = std::ceil(list.fraction * static_cast<double>(list.count));
    return at_rank<Value, descending>(list, row > 1 ? static_cast<uint64_t>(row) - 1 : 0, scratch).first;
  }
};
/// The same file: between the rows around fraction * (n - 1), counted from 0, by the part that lies beyond the first.
template <typename Value, bool descending>
struct Continuous {
  static double pick(const ValueList<double>& list, std::vector<double>& scratch) {
    const double row = list.fraction * static_cast<double>(list.count - 1);
    const double first = std::floor(row);
    const auto [low, high] = at_rank<double, descending>(list, static_cast<uint64_t>(first), scratch);
    return row == first ? low : low + (row - first) * (high - low);
  }
};

template <typename Value, typename Pick>
void finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext& context) {
  std::vector<Value> scratch;
  for (size_t i = 0; i < n; ++i) {
    const auto& list = state_at<ValueList<Value>>(group_rows[i] + offset);
    context.capped_count += list.over_cap();
    const bool present = list.count != 0 && !list.over_cap();
    put_result(out, at + i, present, present ? Pick::pick(list, scratch) : Value{});
  }
}

/// Count; then, unless it is 0, the fraction; then, unless there are too many, the values in order.
template <typename Value>
void encode(const uint8_t* state, std::vector<uint8_t>& out) {
  const auto& list = state_at<ValueList<Value>>(state);
  base::put_varint(out, list.count);
  if (list.count == 0) return;
  put_value(out, list.fraction);
  if (list.over_cap()) return;
  std::vector<Value> sorted(list.values, list.values + list.count);
  std::sort(sorted.begin(), sorted.end(), [](const Value& a, const Value& b) { return total_order(a, b) < 0; });
  for (const Value& value : sorted) put_value(out, value);
}
template <typename Value>
size_t decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext& context) {
  auto& list = state_at<ValueList<Value>>(state);
  list = ValueList<Value>{};
  uint64_t count = 0;
  size_t at = base::get_varint(bytes, octets, count);
  if (at == 0 || count > INT64_MAX) return 0;
  if (count == 0) return at;
  const size_t fraction_octets = get_value(bytes + at, octets - at, list.fraction, context);
  if (fraction_octets == 0 || !(list.fraction >= 0 && list.fraction <= 1)) return 0;
  at += fraction_octets;
  if (count > kValuesPerGroupMax) {
    list.count = count;
    return at;
  }
  if (count > octets - at) return 0;
  reserve(list, count, context);
  for (uint64_t i = 0; i < count; ++i) {
    Value value{};
    const size_t used = get_value(bytes + at, octets - at, value, context);
    if (used == 0 || (i > 0 && total_order(value, list.values[i - 1]) < 0)) return 0;
    list.values[i] = one_form(value);
    at += used;
  }
  list.count = count;
  return at;
}

template <typename Value, template <typename, bool> typename Kind, bool descending>
void add_one(std::vector<AggregateFunction>& table, std::string_view name, std::string_view spelling, Type type) {
  AggregateFunction f;
  f.name = name;
  f.form = descending ? CallForm::kWithinGroupDescending : CallForm::kWithinGroup;
  f.arg_types = {Type::kFloat8, type};
  f.result_type = type;
  f.spelling = spelling;
  f.constant_arg = 0;
  f.constant_name = "fraction";
  f.constant_max = 1;
  f.partial_form = "sorted values, up to 100,000";
  f.state_octets = sizeof(ValueList<Value>);
  f.update = update<Value>;
  f.combine = combine<Value>;
  f.finish = finish<Value, Kind<Value, descending>>;
  f.encode = encode<Value>;
  f.decode = decode<Value>;
  table.push_back(f);
}
template <typename Value, template <typename, bool> typename Kind>
void add_both(std::vector<AggregateFunction>& table, std::string_view name, std::string_view spelling, Type type) {
  add_one<Value, Kind, false>(table, name, spelling, type);
  add_one<Value, Kind, true>(table, name, spelling, type);
}

}  // namespace

void add_percentiles(std::vector<AggregateFunction>& table) {
  add_both<double, Continuous>(table, "percentile_cont",
                               "percentile_cont(fraction) WITHIN GROUP (ORDER BY double precision)", Type::kFloat8);
  const auto add_discrete = [&]<typename Value>(Value, Type type) {
    add_both<Value, Discrete>(table, "percentile_disc", "percentile_disc(fraction) WITHIN GROUP (ORDER BY any)", type);
  };
  for (const Type type :
       {Type::kInt2, Type::kInt4, Type::kInt8, Type::kTimestamptz, Type::kTimestamp, Type::kMacaddr}) {
    add_discrete(int64_t{}, type);
  }
  add_discrete(uint8_t{}, Type::kBool);
  add_discrete(double{}, Type::kFloat8);
  for (const Type type : {Type::kText, Type::kBytea}) add_discrete(std::string_view{}, type);
  for (const Type type : {Type::kInet, Type::kCidr}) add_discrete(base::Inet{}, type);
  add_discrete(base::Interval{}, Type::kInterval);
}

}  // namespace backstream::agg
