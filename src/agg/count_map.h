#pragma once
// Counts by value: what entropy, topk and the quantile sketch keep. It starts as an array of 2, 4 and 8 entries that is
// searched in order, then becomes an open-addressed table. Private to the room.
#include <algorithm>
#include <cassert>
#include <vector>

#include "agg/value_word.h"
#include "agg/values.h"

namespace backstream::agg {

/// Counts never become less by adding, so "too many" is the same for any order of additions: it stays at INT64_MAX.
inline int64_t add_saturating(int64_t a, int64_t b) noexcept {
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/// How values of a type become the words of a CountMap.
template <typename Value>
struct MapKey {
  static constexpr bool kIsWord = true;
  static uint64_t hash(Value value) { return mix(word_of(value)); }
  static bool same(uint64_t word, Value value, uint64_t) { return word == word_of(value); }
  static uint64_t keep(Value value, uint64_t, StateContext&) { return word_of(value); }
  static void drop(uint64_t, StateContext&) {}
  static uint64_t hash_of(uint64_t word) { return mix(word); }
  static Value value(uint64_t word) {
    if constexpr (std::is_same_v<Value, double>) return std::bit_cast<double>(word);
    else return static_cast<Value>(word);
  }
};
/// Wide values lie in blocks that are given back with the entry.
template <typename Value>
struct WideMapKey {
  static constexpr bool kIsWord = false;
  static uint64_t hash(const Value& value) { return hash_bytes(bytes_of(value)); }
  static bool same(uint64_t word, const Value& value, uint64_t hash) {
    return WideTraits::wide(word).hash == hash && WideTraits::bytes(word) == bytes_of(value);
  }
  static unsigned octets_log2(size_t octets) {
    return static_cast<unsigned>(std::bit_width(sizeof(Wide) + octets - 1));
  }
  static uint64_t keep(const Value& value, uint64_t hash, StateContext& context) {
    const std::string_view bytes = bytes_of(value);
    Wide* wide = static_cast<Wide*>(context.take_block(octets_log2(bytes.size())));
    wide->hash = hash;
    wide->octets = static_cast<uint32_t>(bytes.size());
    if (!bytes.empty()) std::memcpy(wide->bytes(), bytes.data(), bytes.size());
    return reinterpret_cast<uint64_t>(wide);
  }
  static void drop(uint64_t word, StateContext& context) {
    context.give_block(reinterpret_cast<void*>(word), octets_log2(WideTraits::wide(word).octets));
  }
  static uint64_t hash_of(uint64_t word) { return WideTraits::hash(word); }
  static Value value(uint64_t word) {
    if constexpr (std::is_same_v<Value, base::Inet>) return inet_of(word);
    else return WideTraits::bytes(word);
  }
};
template <>
struct MapKey<std::string_view> : WideMapKey<std::string_view> {};
template <>
struct MapKey<base::Inet> : WideMapKey<base::Inet> {
  using Wide = WideMapKey<base::Inet>;
  static uint64_t hash(const base::Inet& value) { return fits_word(value) ? mix(word_of(value)) : Wide::hash(value); }
  static bool same(uint64_t word, const base::Inet& value, uint64_t hash) {
    if (fits_word(value)) return word == word_of(value);
    return !InetTraits::is_word(word) && Wide::same(word, value, hash);
  }
  static uint64_t keep(const base::Inet& value, uint64_t hash, StateContext& context) {
    return fits_word(value) ? word_of(value) : Wide::keep(value, hash, context);
  }
  static void drop(uint64_t word, StateContext& context) {
    if (!InetTraits::is_word(word)) Wide::drop(word, context);
  }
  static uint64_t hash_of(uint64_t word) { return InetTraits::hash(word); }
};

/// All zero bytes: empty. Entries and wide keys lie in blocks of the context that it was filled with.
struct CountMap {
  struct Entry {
    uint64_t word;
    int64_t count;  ///< > 0; 0: a free place of a table
  };
  static constexpr unsigned kArrayLog2Max = 3;

  Entry* entries;
  uint32_t size;
  uint32_t capacity_log2;  ///< 0: no entries yet; up to kArrayLog2Max: the first `size` places are used

  bool is_array() const { return capacity_log2 <= kArrayLog2Max; }
  template <typename Visit>
  void for_each(Visit&& visit) const {
    if (size == 0) return;
    assert(capacity_log2 < 64);
    const size_t places = is_array() ? size : size_t{1} << capacity_log2;
    for (size_t i = 0; i < places; ++i) {
      if (entries[i].count != 0) visit(entries[i]);
    }
  }
  std::vector<Entry> list() const {
    std::vector<Entry> all;
    all.reserve(size);
    for_each([&](const Entry& entry) { all.push_back(entry); });
    return all;
  }
};

template <typename Value>
CountMap::Entry& free_place(CountMap& map, uint64_t hash) {
  if (map.is_array()) return map.entries[map.size];
  const size_t mask = (size_t{1} << map.capacity_log2) - 1;
  size_t at = hash & mask;
  while (map.entries[at].count != 0) at = (at + 1) & mask;
  return map.entries[at];
}

template <typename Value>
void grow(CountMap& map, StateContext& context) {
  CountMap bigger{};
  bigger.capacity_log2 = map.capacity_log2 + 1;
  // From array to table: the load falls to a quarter at once, so that a table does not grow right again.
  if (bigger.capacity_log2 == CountMap::kArrayLog2Max + 1) ++bigger.capacity_log2;
  bigger.entries = static_cast<CountMap::Entry*>(context.take_block(bigger.capacity_log2 + 4));
  if (!bigger.is_array()) std::fill_n(bigger.entries, size_t{1} << bigger.capacity_log2, CountMap::Entry{});
  map.for_each([&](const CountMap::Entry& entry) {
    free_place<Value>(bigger, MapKey<Value>::hash_of(entry.word)) = entry;
    ++bigger.size;
  });
  if (map.capacity_log2 != 0) context.give_block(map.entries, map.capacity_log2 + 4);
  map = bigger;
}

/// Fetches the place where the value's count is looked for first: large maps lie all over memory.
template <typename Value>
void fetch_place(const CountMap& map, const Value& value) {
  if (map.is_array()) return;
  __builtin_prefetch(&map.entries[MapKey<Value>::hash(value) & ((size_t{1} << map.capacity_log2) - 1)], 1);
}

/// Adds `count` > 0 to the value's count, which stays at INT64_MAX when it gets there.
template <typename Value>
void add(CountMap& map, const Value& value, int64_t count, StateContext& context) {
  const uint64_t hash = MapKey<Value>::hash(value);
  if (map.is_array()) {
    for (uint32_t i = 0; i < map.size; ++i) {
      CountMap::Entry& entry = map.entries[i];
      if (!MapKey<Value>::same(entry.word, value, hash)) continue;
      entry.count = add_saturating(entry.count, count);
      return;
    }
    if (map.capacity_log2 == 0 || map.size == 1u << map.capacity_log2) grow<Value>(map, context);
  } else {
    const size_t mask = (size_t{1} << map.capacity_log2) - 1;
    for (size_t at = hash & mask; map.entries[at].count != 0; at = (at + 1) & mask) {
      CountMap::Entry& entry = map.entries[at];
      if (!MapKey<Value>::same(entry.word, value, hash)) continue;
      entry.count = add_saturating(entry.count, count);
      return;
    }
    if (map.size + 1 > (size_t{3} << map.capacity_log2) / 4) grow<Value>(map, context);
  }
  free_place<Value>(map, hash) = {MapKey<Value>::keep(value, hash, context), count};
  ++map.size;
}

template <typename Value>
void add(CountMap& map, const CountMap& other, StateContext& context) {
  other.for_each(
      [&](const CountMap::Entry& entry) { add<Value>(map, MapKey<Value>::value(entry.word), entry.count, context); });
}

/// Makes `entries`, each of them an entry of the map with any count, all that the map holds.
template <typename Value>
void keep_only(CountMap& map, const std::vector<CountMap::Entry>& entries) {
  std::fill_n(map.entries, size_t{1} << map.capacity_log2, CountMap::Entry{});
  map.size = 0;
  for (const CountMap::Entry& entry : entries) {
    free_place<Value>(map, MapKey<Value>::hash_of(entry.word)) = entry;
    ++map.size;
  }
}

template <typename Value>
void clear(CountMap& map, StateContext& context) {
  map.for_each([&](const CountMap::Entry& entry) { MapKey<Value>::drop(entry.word, context); });
  if (map.capacity_log2 != 0) context.give_block(map.entries, map.capacity_log2 + 4);
  map = CountMap{};
}

/// One map, one form: entries in the order of their words, or of their bytes.
template <typename Value>
void encode_entries(std::vector<CountMap::Entry> entries, std::vector<uint8_t>& out) {
  base::put_varint(out, entries.size());
  if constexpr (MapKey<Value>::kIsWord) {
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.word < b.word; });
    uint64_t before = 0;
    for (const CountMap::Entry& entry : entries) {
      base::put_varint(out, entry.word - before);
      base::put_varint(out, static_cast<uint64_t>(entry.count));
      before = entry.word;
    }
  } else {
    std::vector<std::pair<Value, int64_t>> values;
    values.reserve(entries.size());
    for (const CountMap::Entry& entry : entries) values.emplace_back(MapKey<Value>::value(entry.word), entry.count);
    std::sort(values.begin(), values.end(),
              [](const auto& a, const auto& b) { return bytes_of(a.first) < bytes_of(b.first); });
    for (const auto& [value, count] : values) {
      put_value(out, value);
      base::put_varint(out, static_cast<uint64_t>(count));
    }
  }
}

/// Reads into an empty map. Returns octets read, 0 when they are not valid or hold more than size_max entries.
template <typename Value>
size_t decode_entries(CountMap& map, const uint8_t* bytes, size_t octets, uint64_t size_max, StateContext& context) {
  uint64_t size = 0;
  size_t at = base::get_varint(bytes, octets, size);
  if (at == 0 || size > octets || size > size_max) return 0;
  Value value{}, before{};
  uint64_t word = 0;
  for (uint64_t i = 0; i < size; ++i) {
    size_t used = 0;
    if constexpr (MapKey<Value>::kIsWord) {
      uint64_t step = 0;
      used = base::get_varint(bytes + at, octets - at, step);
      if (used == 0 || (i > 0 && (step == 0 || word + step < word))) return 0;  // strictly rising
      word += step;
      value = MapKey<Value>::value(word);
      if (word_of(value) != word) return 0;  // -0, or a NaN of another form
    } else {
      used = get_value(bytes + at, octets - at, value, context);
      if (used == 0 || (i > 0 && bytes_of(value) <= bytes_of(before))) return 0;
    }
    at += used;
    uint64_t count = 0;
    used = base::get_varint(bytes + at, octets - at, count);
    if (used == 0 || count == 0 || count > INT64_MAX) return 0;
    at += used;
    add<Value>(map, value, static_cast<int64_t>(count), context);
    before = value;
  }
  return at;
}

}  // namespace backstream::agg
