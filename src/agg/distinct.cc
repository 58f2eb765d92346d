// count(DISTINCT x): the exact set of values of each group.
#include <algorithm>
#include <cassert>

#include "agg/states.h"
#include "agg/values.h"
#include "agg/word_set.h"

namespace backstream::agg {
namespace {

// --- word values ------------------------------------------------------------------------------------------------

template <typename Value>
void word_update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
                 StateContext& context) {
  const Value* values = args[0].as<Value>();
  for_each_present<WordSet>(group_rows, offset, args[0], rows, n, [&](WordSet& set, size_t row) {
    insert<WordTraits>(set, word_of(values[row]), context, [](uint64_t word) { return word; });
  });
}
void word_combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  WordSet& set = state_at<WordSet>(to);
  for_each_word(state_at<WordSet>(from),
                [&](uint64_t word) { insert<WordTraits>(set, word, context, [](uint64_t kept) { return kept; }); });
}
void word_encode(const uint8_t* state, std::vector<uint8_t>& out) {
  std::vector<uint64_t> words;
  for_each_word(state_at<WordSet>(state), [&](uint64_t word) { words.push_back(word); });
  std::sort(words.begin(), words.end());
  base::put_varint(out, words.size());
  uint64_t before = 0;
  for (const uint64_t word : words) {
    base::put_varint(out, word - before);
    before = word;
  }
}
size_t word_decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext& context) {
  WordSet& set = state_at<WordSet>(state);
  set = WordSet{};
  uint64_t count = 0;
  size_t at = base::get_varint(bytes, octets, count);
  if (at == 0 || count > octets) return 0;
  uint64_t word = 0;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t step = 0;
    const size_t used = base::get_varint(bytes + at, octets - at, step);
    if (used == 0 || (i > 0 && (step == 0 || word + step < word))) return 0;  // strictly rising
    word += step;
    at += used;
    insert<WordTraits>(set, word, context, [](uint64_t kept) { return kept; });
  }
  return at;
}

// --- wide values --------------------------------------------------------------------------------------------------

Wide* make_wide(std::string_view bytes, uint64_t hash, StateContext& context) {
  Wide* wide = static_cast<Wide*>(context.arena.allocate(sizeof(Wide) + bytes.size()));
  wide->hash = hash;
  wide->octets = static_cast<uint32_t>(bytes.size());
  if (!bytes.empty()) std::memcpy(wide->bytes(), bytes.data(), bytes.size());
  return wide;
}

template <typename Traits>
void insert_bytes(WordSet& set, std::string_view bytes, StateContext& context, std::vector<uint64_t>& scratch) {
  const size_t words = (sizeof(Wide) + bytes.size() + 7) / 8;
  if (scratch.size() < words) scratch.resize(words);
  Wide* probe = reinterpret_cast<Wide*>(scratch.data());
  probe->hash = hash_bytes(bytes);
  probe->octets = static_cast<uint32_t>(bytes.size());
  if (!bytes.empty()) std::memcpy(probe->bytes(), bytes.data(), bytes.size());
  insert<Traits>(set, reinterpret_cast<uint64_t>(probe), context,
                 [&](uint64_t) { return reinterpret_cast<uint64_t>(make_wide(bytes, probe->hash, context)); });
}

void insert_value(WordSet& set, const std::string_view& value, StateContext& context, std::vector<uint64_t>& scratch) {
  insert_bytes<WideTraits>(set, value, context, scratch);
}
void insert_value(WordSet& set, const base::Inet& value, StateContext& context, std::vector<uint64_t>& scratch) {
  if (fits_word(value)) insert<InetTraits>(set, word_of(value), context, [](uint64_t word) { return word; });
  else insert_bytes<InetTraits>(set, bytes_of(value), context, scratch);
}

template <typename Value>
void wide_update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
                 StateContext& context) {
  const Value* values = args[0].as<Value>();
  std::vector<uint64_t> scratch(16);
  for_each_present<WordSet>(group_rows, offset, args[0], rows, n,
                            [&](WordSet& set, size_t row) { insert_value(set, values[row], context, scratch); });
}
template <typename Traits>
void wide_combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  WordSet& set = state_at<WordSet>(to);
  for_each_word(state_at<WordSet>(from), [&](uint64_t word) {
    assert(word != 0);  // It has a bit of its own, or is the address of a wide value.
    insert<Traits>(set, word, context, [&](uint64_t) {
      if (std::is_same_v<Traits, InetTraits> && InetTraits::is_word(word)) return word;
      return reinterpret_cast<uint64_t>(make_wide(WideTraits::bytes(word), WideTraits::hash(word), context));
    });
  });
}
template <typename Value>
Value value_of(uint64_t word) {
  if constexpr (std::is_same_v<Value, base::Inet>) {
    return inet_of(word);
  } else {
    assert(word != 0);
    return WideTraits::bytes(word);
  }
}
template <typename Value>
void wide_encode(const uint8_t* state, std::vector<uint8_t>& out) {
  std::vector<Value> values;
  for_each_word(state_at<WordSet>(state), [&](uint64_t word) { values.push_back(value_of<Value>(word)); });
  std::sort(values.begin(), values.end(), [](const Value& a, const Value& b) { return bytes_of(a) < bytes_of(b); });
  base::put_varint(out, values.size());
  for (const Value& value : values) put_value(out, value);
}
template <typename Value>
size_t wide_decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext& context) {
  WordSet& set = state_at<WordSet>(state);
  set = WordSet{};
  uint64_t count = 0;
  size_t at = base::get_varint(bytes, octets, count);
  if (at == 0 || count > octets) return 0;
  std::vector<uint64_t> scratch(16);
  for (uint64_t i = 0; i < count; ++i) {
    Value value{};
    const size_t used = get_value(bytes + at, octets - at, value, context);
    if (used == 0) return 0;
    at += used;
    insert_value(set, value, context, scratch);
  }
  return set.count == count ? at : 0;
}

void count_finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext&) {
  for (size_t i = 0; i < n; ++i) {
    out.as<int64_t>()[at + i] = state_at<WordSet>(group_rows[i] + offset).count;
    out.validity[at + i] = 1;
  }
}

AggregateFunction function(Type type) {
  AggregateFunction f;
  f.name = "count";
  f.distinct = true;
  f.arg_types = {type};
  f.result_type = Type::kInt8;
  f.partial_form = "sorted set of values";
  f.state_octets = sizeof(WordSet);
  f.finish = count_finish;
  f.update = word_update<int64_t>;
  f.combine = word_combine;
  f.encode = word_encode;
  f.decode = word_decode;
  return f;
}
template <typename Value>
AggregateFunction wide_function(Type type) {
  AggregateFunction f = function(type);
  f.update = wide_update<Value>;
  f.combine = wide_combine<std::conditional_t<std::is_same_v<Value, base::Inet>, InetTraits, WideTraits>>;
  f.encode = wide_encode<Value>;
  f.decode = wide_decode<Value>;
  return f;
}

}  // namespace

void add_distinct(std::vector<AggregateFunction>& table) {
  for (const Type type :
       {Type::kInt2, Type::kInt4, Type::kInt8, Type::kTimestamptz, Type::kTimestamp, Type::kMacaddr}) {
    table.push_back(function(type));
  }
  AggregateFunction f = function(Type::kBool);
  f.update = word_update<uint8_t>;
  table.push_back(f);
  f = function(Type::kFloat8);
  f.update = word_update<double>;
  table.push_back(f);
  table.push_back(wide_function<std::string_view>(Type::kText));
  table.push_back(wide_function<std::string_view>(Type::kBytea));
  table.push_back(wide_function<base::Inet>(Type::kInet));
  table.push_back(wide_function<base::Inet>(Type::kCidr));
}

}  // namespace backstream::agg
