// topk(n, key, weight): the n keys of greatest weight, each with the bound of its error, as a JSON array.
//
// Counters in the way of Misra and Gries, for weights and in bulk: up to 2 C keys are counted (C = 10 n); when there
// are more, the (C + 1)-th greatest count is taken from all counts, those that fall to 0 or below go, and what was
// taken is added to `error`. Each such step takes that amount from more than C counters, so
//
//   error <= total weight / (C + 1);  true weight - error <= count <= true weight;  a key without counter: <= error.
//
// Adding the counters and the errors of two states keeps all three (Agarwal et al., "Mergeable summaries", 2012), so
// the bound is the same for any deal over edges; without a step, that is up to 2 C keys, the answer is exact. What is
// shown as weight is count + error, the upper end. A key that is not listed is not heavier than the last one listed.
#include <charconv>
#include <string>

#include "agg/count_map.h"
#include "agg/states.h"
#include "base/time.h"

namespace backstream::agg {
namespace {

constexpr int64_t kKeysMax = 1000;
constexpr uint64_t kCountersPerKey = 10;

struct TopState {
  CountMap counts;
  int64_t error;  ///< taken from the true weights, at most, by all steps
  int64_t total;  ///< of all weights; INT64_MAX: too great, the result is null
  uint32_t keys;  ///< n; set with the first row
  uint32_t negative_weight;
  uint64_t counters() const { return kCountersPerKey * keys; }
  bool failed() const { return negative_weight != 0 || total == INT64_MAX; }
};

/// Down to C counters when there are more than 2 C.
template <typename Value>
void bound_counters(TopState& state, StateContext& context) {
  const uint64_t kept_max = state.counters();
  if (state.counts.size <= 2 * kept_max) return;
  auto entries = state.counts.list();
  const auto nth = entries.begin() + static_cast<long>(kept_max);
  std::nth_element(entries.begin(), nth, entries.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
  const int64_t taken = nth->count;
  state.error = add_saturating(state.error, taken);
  std::vector<CountMap::Entry> kept;
  kept.reserve(kept_max);
  for (CountMap::Entry entry : entries) {
    entry.count -= taken;
    if (entry.count > 0) kept.push_back(entry);
    else MapKey<Value>::drop(entry.word, context);
  }
  keep_only<Value>(state.counts, kept);
}

template <typename Value>
void update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
            StateContext& context) {
  const int64_t* keys = args[0].as<int64_t>();
  const Value* values = args[1].as<Value>();
  const int64_t* weights = args[2].as<int64_t>();
  for_each_present_pair<TopState>(group_rows, offset, args[1], args[2], rows, n, [&](TopState& state, size_t row) {
    state.keys = static_cast<uint32_t>(keys[row]);
    const int64_t weight = weights[row];
    if (weight <= 0) {
      state.negative_weight |= weight < 0;
      return;
    }
    state.total = add_saturating(state.total, weight);
    if (state.failed()) return;
    add<Value>(state.counts, values[row], weight, context);
    bound_counters<Value>(state, context);
  });
}
template <typename Value>
void combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  TopState& state = state_at<TopState>(to);
  const TopState& other = state_at<TopState>(from);
  if (other.keys == 0) return;
  state.keys = other.keys;
  state.negative_weight |= other.negative_weight;
  state.total = add_saturating(state.total, other.total);
  if (state.failed()) return;
  state.error = add_saturating(state.error, other.error);
  add<Value>(state.counts, other.counts, context);
  bound_counters<Value>(state, context);
}

// --- text -----------------------------------------------------------------------------------------------------------

void put_json(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += "0123456789abcdef"[c >> 4];
      out += "0123456789abcdef"[c & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}
void put_number(std::string& out, int64_t value) {
  char text[24];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}
template <Type type, typename Value>
void put_key(std::string& out, const Value& value) {
  if constexpr (type == Type::kBool) {
    out += value != 0 ? "true" : "false";
  } else if constexpr (type == Type::kText) {
    put_json(out, value);
  } else if constexpr (type == Type::kInet || type == Type::kCidr) {
    char text[64];
    put_json(out, {text, base::format_inet(value, text, type == Type::kCidr)});
  } else if constexpr (type == Type::kTimestamptz) {
    char text[48];
    put_json(out, {text, base::format_rfc3339(value, text)});
  } else if constexpr (type == Type::kTimestamp) {
    char text[48];
    put_json(out, {text, base::format_local_timestamp(value, text)});
  } else if constexpr (type == Type::kMacaddr) {
    std::string text;
    for (int shift = 40; shift >= 0; shift -= 8) {
      text += "0123456789abcdef"[value >> (shift + 4) & 15];
      text += "0123456789abcdef"[value >> shift & 15];
      if (shift > 0) text += ':';
    }
    put_json(out, text);
  } else {
    put_number(out, value);
  }
}

template <Type type, typename Value>
void finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext& context) {
  std::string text;
  for (size_t i = 0; i < n; ++i) {
    const TopState& state = state_at<TopState>(group_rows[i] + offset);
    if (state.negative_weight != 0) ++context.negative_weight_count;
    else if (state.failed()) ++context.overflow_count;
    const bool present = state.keys != 0 && !state.failed();
    text.clear();
    if (present) {
      auto entries = state.counts.list();
      const size_t shown = std::min<size_t>(entries.size(), state.keys);
      std::partial_sort(entries.begin(), entries.begin() + static_cast<long>(shown), entries.end(),
                        [](const auto& a, const auto& b) {
                          if (a.count != b.count) return a.count > b.count;
                          return order(MapKey<Value>::value(a.word), MapKey<Value>::value(b.word)) < 0;
                        });
      text += '[';
      for (size_t e = 0; e < shown; ++e) {
        text += e > 0 ? ", {\"key\": " : "{\"key\": ";
        put_key<type>(text, MapKey<Value>::value(entries[e].word));
        text += ", \"weight\": ";
        put_number(text, add_saturating(entries[e].count, state.error));
        text += ", \"error\": ";
        put_number(text, state.error);
        text += '}';
      }
      text += ']';
    }
    put_result(out, at + i, present, context.arena.copy(text));
  }
}

/// n (0: no rows), 1 after a negative weight, error, total, counters.
template <typename Value>
void encode(const uint8_t* bytes, std::vector<uint8_t>& out) {
  const TopState& state = state_at<TopState>(bytes);
  base::put_varint(out, state.keys);
  if (state.keys == 0) return;
  out.push_back(static_cast<uint8_t>(state.negative_weight));
  base::put_varint(out, static_cast<uint64_t>(state.error));
  base::put_varint(out, static_cast<uint64_t>(state.total));
  encode_entries<Value>(state.counts.list(), out);
}
template <typename Value>
size_t decode(uint8_t* to, const uint8_t* bytes, size_t octets, StateContext& context) {
  TopState& state = state_at<TopState>(to);
  state = TopState{};
  uint64_t keys = 0, error = 0, total = 0;
  size_t at = base::get_varint(bytes, octets, keys);
  if (at == 0 || keys > kKeysMax) return 0;
  if (keys == 0) return at;
  if (at == octets || bytes[at] > 1) return 0;
  state.keys = static_cast<uint32_t>(keys);
  state.negative_weight = bytes[at++];
  for (uint64_t* number : {&error, &total}) {
    const size_t used = base::get_varint(bytes + at, octets - at, *number);
    if (used == 0 || *number > INT64_MAX) return 0;
    at += used;
  }
  state.error = static_cast<int64_t>(error);
  state.total = static_cast<int64_t>(total);
  const size_t used = decode_entries<Value>(state.counts, bytes + at, octets - at, 2 * state.counters(), context);
  if (used == 0) return 0;
  // Counts and error are parts of the total.
  int64_t held = 0;
  state.counts.for_each([&](const CountMap::Entry& entry) { held = add_saturating(held, entry.count); });
  return held > state.total || state.error > state.total ? 0 : at + used;
}

template <Type type, typename Value>
void add_for(std::vector<AggregateFunction>& table) {
  AggregateFunction f;
  f.name = "topk";
  f.arg_types = {Type::kInt8, type, Type::kInt8};
  f.result_type = Type::kText;
  f.result_class = ResultClass::kBounded;
  f.spelling = "topk(n, key, weight bigint)";
  f.constant_arg = 0;
  f.constant_name = "number of keys";
  f.constant_min = 1;
  f.constant_max = kKeysMax;
  f.partial_form = "10 n to 20 n counters, error at most total / 10 n";
  f.state_octets = sizeof(TopState);
  f.update = update<Value>;
  f.combine = combine<Value>;
  f.finish = finish<type, Value>;
  f.encode = encode<Value>;
  f.decode = decode<Value>;
  table.push_back(f);
}

}  // namespace

void add_top(std::vector<AggregateFunction>& table) {
  add_for<Type::kText, std::string_view>(table);
  add_for<Type::kInet, base::Inet>(table);
  add_for<Type::kCidr, base::Inet>(table);
  add_for<Type::kInt2, int64_t>(table);
  add_for<Type::kInt4, int64_t>(table);
  add_for<Type::kInt8, int64_t>(table);
  add_for<Type::kBool, uint8_t>(table);
  add_for<Type::kMacaddr, int64_t>(table);
  add_for<Type::kTimestamptz, int64_t>(table);
  add_for<Type::kTimestamp, int64_t>(table);
}

}  // namespace backstream::agg
