// bool_and, every, bool_or, bit_and, bit_or, bit_xor.
#include "agg/states.h"

namespace backstream::agg {
namespace {

enum class Fold : uint8_t { kAnd, kOr, kXor };

struct BitState {
  int64_t value;
  int64_t any;  ///< 0: no value yet, the result is null
};

template <Fold fold>
void fold_into(BitState& state, int64_t value) {
  if constexpr (fold == Fold::kAnd) state.value = state.any ? state.value & value : value;
  if constexpr (fold == Fold::kOr) state.value |= value;
  if constexpr (fold == Fold::kXor) state.value ^= value;
  state.any = 1;
}
template <Fold fold, typename Value>
void update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
            StateContext&) {
  const Value* values = args[0].as<Value>();
  for_each_present<BitState>(group_rows, offset, args[0], rows, n, [values](BitState& state, size_t row) {
    fold_into<fold>(state, static_cast<int64_t>(values[row]));
  });
}
template <Fold fold>
void combine(uint8_t* to, const uint8_t* from, StateContext&) {
  const BitState& other = state_at<BitState>(from);
  if (other.any) fold_into<fold>(state_at<BitState>(to), other.value);
}
template <typename Value>
void finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext&) {
  for (size_t i = 0; i < n; ++i) {
    const BitState& state = state_at<BitState>(group_rows[i] + offset);
    out.as<Value>()[at + i] = static_cast<Value>(state.value);
    out.validity[at + i] = static_cast<uint8_t>(state.any);
  }
}
void encode(const uint8_t* state, std::vector<uint8_t>& out) {
  out.push_back(static_cast<uint8_t>(state_at<BitState>(state).any));
  if (state_at<BitState>(state).any) base::put_varint_signed(out, state_at<BitState>(state).value);
}
size_t decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext&) {
  if (octets == 0 || bytes[0] > 1) return 0;
  state_at<BitState>(state) = BitState{};
  if (bytes[0] == 0) return 1;
  state_at<BitState>(state).any = 1;
  const size_t used = base::get_varint_signed(bytes + 1, octets - 1, state_at<BitState>(state).value);
  return used == 0 ? 0 : 1 + used;
}

template <Fold fold, typename Value>
AggregateFunction function(std::string_view name, Type type) {
  AggregateFunction f;
  f.name = name;
  f.arg_types = {type};
  f.result_type = type;
  f.partial_form = "1 integer";
  f.state_octets = sizeof(BitState);
  f.update = update<fold, Value>;
  f.combine = combine<fold>;
  f.finish = finish<Value>;
  f.encode = encode;
  f.decode = decode;
  return f;
}

}  // namespace

void add_bits(std::vector<AggregateFunction>& table) {
  table.push_back(function<Fold::kAnd, uint8_t>("bool_and", Type::kBool));
  table.push_back(function<Fold::kAnd, uint8_t>("every", Type::kBool));
  table.push_back(function<Fold::kOr, uint8_t>("bool_or", Type::kBool));
  for (const Type type : {Type::kInt2, Type::kInt4, Type::kInt8}) {
    table.push_back(function<Fold::kAnd, int64_t>("bit_and", type));
    table.push_back(function<Fold::kOr, int64_t>("bit_or", type));
    table.push_back(function<Fold::kXor, int64_t>("bit_xor", type));
  }
}

}  // namespace backstream::agg
