// count(DISTINCT x): the exact set of values of each group. Most groups of real traffic hold one or two values, so the
// state starts as one inline word, then an array of 4 and 8 that is searched in order, then an open-addressed table.
#include <algorithm>
#include <new>

#include "agg/states.h"
#include "agg/values.h"

namespace backstream::agg {
namespace {

/// A value too wide for a word, kept once in the arena; the word is its address.
struct Wide {
  uint64_t hash;
  uint32_t octets;
  char* bytes() { return reinterpret_cast<char*>(this + 1); }  ///< the value follows its header
  const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
};

/// All zero bytes: the empty set.
struct WordSet {
  uint32_t count;          ///< words held, the word 0 in a table included
  uint16_t capacity_log2;  ///< 0: `inline_word`; 2, 3: array; above: table
  uint16_t has_zero;       ///< table only: 0 marks a free slot there, so the word 0 is kept aside
  union {
    uint64_t inline_word;
    uint64_t* words;
  };
};
static_assert(sizeof(WordSet) == 16);
constexpr unsigned kArrayLog2Max = 3;

uint64_t mix(uint64_t word) {
  __extension__ const unsigned __int128 product =
      static_cast<unsigned __int128>(word ^ 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

/// Words: the value itself. Wide values: equality is by bytes.
struct WordTraits {
  static uint64_t hash(uint64_t word) { return mix(word); }
  static bool same(uint64_t a, uint64_t b) { return a == b; }
};
struct WideTraits {
  static const Wide& wide(uint64_t word) { return *reinterpret_cast<const Wide*>(word); }
  static std::string_view bytes(uint64_t word) { return {wide(word).bytes(), wide(word).octets}; }
  static uint64_t hash(uint64_t word) { return wide(word).hash; }
  static bool same(uint64_t a, uint64_t b) { return wide(a).hash == wide(b).hash && bytes(a) == bytes(b); }
};

template <typename Visit>
void for_each_word(const WordSet& set, Visit&& visit) {
  if (set.count == 0) return;
  if (set.capacity_log2 == 0) {
    visit(set.inline_word);
  } else if (set.capacity_log2 <= kArrayLog2Max) {
    for (uint32_t i = 0; i < set.count; ++i) visit(set.words[i]);
  } else {
    if (set.has_zero) visit(uint64_t{0});
    for (size_t i = 0; i < size_t{1} << set.capacity_log2; ++i) {
      if (set.words[i] != 0) visit(set.words[i]);
    }
  }
}

template <typename Traits>
uint64_t* slot_of(const WordSet& set, uint64_t word) {
  const size_t mask = (size_t{1} << set.capacity_log2) - 1;
  size_t at = Traits::hash(word) & mask;
  while (set.words[at] != 0 && !Traits::same(set.words[at], word)) at = (at + 1) & mask;
  return &set.words[at];
}

template <typename Traits>
void grow(WordSet& set, StateContext& context) {
  WordSet bigger{};
  bigger.capacity_log2 = set.capacity_log2 == 0 ? 2 : static_cast<uint16_t>(set.capacity_log2 + 1);
  // From array to table: the load falls to a quarter at once, so that a table does not grow right again.
  if (bigger.capacity_log2 == kArrayLog2Max + 1) bigger.capacity_log2 = kArrayLog2Max + 2;
  const unsigned octets_log2 = bigger.capacity_log2 + 3;
  bigger.words = static_cast<uint64_t*>(context.take_block(octets_log2));
  bigger.count = set.count;
  if (bigger.capacity_log2 <= kArrayLog2Max) {
    uint32_t at = 0;
    for_each_word(set, [&](uint64_t word) { bigger.words[at++] = word; });
  } else {
    std::fill_n(bigger.words, size_t{1} << bigger.capacity_log2, uint64_t{0});
    for_each_word(set, [&](uint64_t word) {
      if (word == 0) bigger.has_zero = 1;
      else *slot_of<Traits>(bigger, word) = word;
    });
  }
  if (set.capacity_log2 != 0) context.give_block(set.words, set.capacity_log2 + 3u);
  set = bigger;
}

/// `make` turns the word into one that may stay (wide values: copied to the arena), called only when it is new.
template <typename Traits, typename Make>
void insert(WordSet& set, uint64_t word, StateContext& context, Make&& make) {
  if (set.capacity_log2 == 0) {
    if (set.count == 0) {
      set.inline_word = make(word);
      set.count = 1;
      return;
    }
    if (Traits::same(set.inline_word, word)) return;
    grow<Traits>(set, context);
  }
  if (set.capacity_log2 <= kArrayLog2Max) {
    for (uint32_t i = 0; i < set.count; ++i) {
      if (Traits::same(set.words[i], word)) return;
    }
    if (set.count < 1u << set.capacity_log2) {
      set.words[set.count++] = make(word);
      return;
    }
    grow<Traits>(set, context);
    insert<Traits>(set, word, context, make);
    return;
  }
  if (word == 0) {
    set.count += set.has_zero == 0;
    set.has_zero = 1;
    return;
  }
  uint64_t* slot = slot_of<Traits>(set, word);
  if (*slot != 0) return;
  if (set.count + 1 > (size_t{3} << set.capacity_log2) / 4) {
    grow<Traits>(set, context);
    slot = slot_of<Traits>(set, word);
  }
  *slot = make(word);
  ++set.count;
}

// --- word values ------------------------------------------------------------------------------------------------

uint64_t word_of(int64_t value) { return static_cast<uint64_t>(value); }
uint64_t word_of(uint8_t value) { return value; }
uint64_t word_of(double value) {
  if (std::isnan(value)) return 0x7ff8000000000000;
  return std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);  // -0 = 0
}

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

uint64_t hash_bytes(std::string_view bytes) {
  uint64_t hash = mix(bytes.size());
  while (bytes.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    hash = mix(hash ^ word);
    bytes.remove_prefix(8);
  }
  uint64_t rest = 0;
  if (!bytes.empty()) std::memcpy(&rest, bytes.data(), bytes.size());
  return mix(hash ^ rest);
}
std::string_view bytes_of(const std::string_view& value) { return value; }
std::string_view bytes_of(const base::Inet& value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

Wide* make_wide(std::string_view bytes, uint64_t hash, StateContext& context) {
  Wide* wide = static_cast<Wide*>(context.arena.allocate(sizeof(Wide) + bytes.size()));
  wide->hash = hash;
  wide->octets = static_cast<uint32_t>(bytes.size());
  if (!bytes.empty()) std::memcpy(wide->bytes(), bytes.data(), bytes.size());
  return wide;
}

void insert_bytes(WordSet& set, std::string_view bytes, StateContext& context, std::vector<uint64_t>& scratch) {
  const size_t words = (sizeof(Wide) + bytes.size() + 7) / 8;
  if (scratch.size() < words) scratch.resize(words);
  Wide* probe = reinterpret_cast<Wide*>(scratch.data());
  probe->hash = hash_bytes(bytes);
  probe->octets = static_cast<uint32_t>(bytes.size());
  if (!bytes.empty()) std::memcpy(probe->bytes(), bytes.data(), bytes.size());
  insert<WideTraits>(set, reinterpret_cast<uint64_t>(probe), context,
                     [&](uint64_t) { return reinterpret_cast<uint64_t>(make_wide(bytes, probe->hash, context)); });
}

template <typename Value>
void wide_update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
                 StateContext& context) {
  const Value* values = args[0].as<Value>();
  std::vector<uint64_t> scratch(16);
  for_each_present<WordSet>(group_rows, offset, args[0], rows, n, [&](WordSet& set, size_t row) {
    insert_bytes(set, bytes_of(values[row]), context, scratch);
  });
}
void wide_combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  WordSet& set = state_at<WordSet>(to);
  for_each_word(state_at<WordSet>(from), [&](uint64_t word) {
    insert<WideTraits>(set, word, context, [&](uint64_t) {
      return reinterpret_cast<uint64_t>(make_wide(WideTraits::bytes(word), WideTraits::hash(word), context));
    });
  });
}
template <typename Value>
void wide_encode(const uint8_t* state, std::vector<uint8_t>& out) {
  std::vector<std::string_view> values;
  for_each_word(state_at<WordSet>(state), [&](uint64_t word) { values.push_back(WideTraits::bytes(word)); });
  std::sort(values.begin(), values.end());
  base::put_varint(out, values.size());
  for (const std::string_view bytes : values) {
    if constexpr (std::is_same_v<Value, base::Inet>) {
      base::Inet inet;
      std::memcpy(&inet, bytes.data(), sizeof inet);
      put_value(out, inet);
    } else {
      put_value(out, bytes);
    }
  }
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
    insert_bytes(set, bytes_of(value), context, scratch);
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
  f.combine = wide_combine;
  f.encode = wide_encode<Value>;
  f.decode = wide_decode<Value>;
  return f;
}

}  // namespace

void add_distinct(std::vector<AggregateFunction>& table) {
  for (const Type type : {Type::kInt2, Type::kInt4, Type::kInt8, Type::kTimestamptz, Type::kMacaddr}) {
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
