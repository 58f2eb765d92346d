// approx_count_distinct(x): HyperLogLog (Flajolet et al. 2007) with 2^12 registers, standard error 1.04 / 2^6 = 1.6 %.
//
// While a group has few values the state is the set of their hashes, cut to the 32 bits and the rank that registers are
// made from, so small groups are counted almost exactly; from kSparseMax + 1 on it is the registers. Which of the two
// it is depends only on how many different hashes there are, and registers are a maximum, so the state is a function of
// the set of values: the same bytes for any order, deal and tree of combinations.
#include <bit>
#include <cmath>

#include "agg/states.h"
#include "agg/values.h"
#include "agg/word_set.h"

namespace backstream::agg {
namespace {

// --- the hash: fixed for ever, for edges and merges of all versions and machines must agree --------------------------

constexpr uint64_t kSeed = 0x6261636b73747265;  // "backstre"

/// A bijection in which every bit of the word reaches every bit of the result.
constexpr uint64_t scatter(uint64_t word) {
  word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
  word = (word ^ word >> 27) * 0x94d049bb133111eb;
  return word ^ word >> 31;
}
/// smallint, integer, bigint, timestamptz, macaddr: the 64-bit value. boolean: 0 or 1. Double: its bits, -0 as 0 and
/// every NaN as one.
template <typename Value>
uint64_t fixed_hash(Value value) {
  return scatter(word_of(value) ^ kSeed);
}
/// Text, bytea: the length, then the octets as words of 8, little end first, the last filled up with zeros.
uint64_t fixed_hash(std::string_view text) {
  uint64_t hash = scatter(kSeed ^ text.size());
  for (size_t at = 0; at < text.size(); at += 8) {
    uint64_t word = 0;
    for (size_t i = 0; i < 8 && at + i < text.size(); ++i) {
      word |= static_cast<uint64_t>(static_cast<uint8_t>(text[at + i])) << (8 * i);
    }
    hash = scatter(hash ^ word);
  }
  return hash;
}
/// inet, cidr: family and prefix length, then the two halves of the left-aligned address.
uint64_t fixed_hash(const base::Inet& inet) {
  uint64_t hash = scatter(kSeed ^ (uint64_t{inet.family} << 8 | inet.prefix_bits));
  hash = scatter(hash ^ inet.hi);
  return scatter(hash ^ inet.lo);
}

// --- registers ------------------------------------------------------------------------------------------------------

constexpr unsigned kIndexBits = 12;
constexpr size_t kRegisters = size_t{1} << kIndexBits;
constexpr unsigned kRankMax = 64 - kIndexBits + 1;
/// A table of as many words takes the memory of the registers.
constexpr uint32_t kSparseMax = 384;
constexpr uint16_t kDense = 63;  ///< as capacity_log2: `words` are the registers, one octet each

/// The sparse form of a hash: its upper 32 bits, then the place of the first 1 among the 52 bits after the index when
/// that is not to be seen in them, else 0.
uint64_t sparse_word(uint64_t hash) {
  const uint64_t upper = hash >> 32;
  if ((upper & 0xfffff) != 0) return upper << 8;
  return upper << 8 |
         static_cast<unsigned>(std::min(std::countl_zero(hash << kIndexBits) + 1, static_cast<int>(kRankMax)));
}
struct Register {
  size_t index;
  uint8_t rank;  ///< 1 .. kRankMax
};
Register register_of(uint64_t sparse) {
  const uint32_t upper = static_cast<uint32_t>(sparse >> 8);
  const uint32_t below = upper << kIndexBits;
  const int rank = below != 0 ? std::countl_zero(below) + 1 : static_cast<int>(sparse & 0xff);
  return {upper >> (32 - kIndexBits), static_cast<uint8_t>(rank)};
}

struct Sketch {
  WordSet set;
  bool is_dense() const { return set.capacity_log2 == kDense; }
  uint8_t* registers() const { return reinterpret_cast<uint8_t*>(set.words); }
};
void raise(uint8_t* registers, uint64_t sparse) {
  const Register r = register_of(sparse);
  registers[r.index] = std::max(registers[r.index], r.rank);
}
void make_dense(Sketch& sketch, StateContext& context) {
  WordSet dense{};
  dense.capacity_log2 = kDense;
  dense.words = static_cast<uint64_t*>(context.take_block(kIndexBits));
  uint8_t* registers = reinterpret_cast<uint8_t*>(dense.words);
  std::fill_n(registers, kRegisters, uint8_t{0});
  for_each_word(sketch.set, [&](uint64_t word) { raise(registers, word); });
  if (sketch.set.capacity_log2 != 0) context.give_block(sketch.set.words, sketch.set.capacity_log2 + 3u);
  sketch.set = dense;
}
void add_sparse(Sketch& sketch, uint64_t sparse, StateContext& context) {
  if (sketch.is_dense()) return raise(sketch.registers(), sparse);
  insert<WordTraits>(sketch.set, sparse, context, [](uint64_t word) { return word; });
  if (sketch.set.count > kSparseMax) make_dense(sketch, context);
}

template <typename Value>
void update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
            StateContext& context) {
  const Value* values = args[0].as<Value>();
  for_each_present<Sketch>(group_rows, offset, args[0], rows, n, [&](Sketch& sketch, size_t row) {
    add_sparse(sketch, sparse_word(fixed_hash(values[row])), context);
  });
}
void combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  Sketch& sketch = state_at<Sketch>(to);
  const Sketch& other = state_at<Sketch>(from);
  if (!other.is_dense()) {
    for_each_word(other.set, [&](uint64_t word) { add_sparse(sketch, word, context); });
    return;
  }
  if (!sketch.is_dense()) make_dense(sketch, context);
  uint8_t* registers = sketch.registers();
  const uint8_t* others = other.registers();
  for (size_t i = 0; i < kRegisters; ++i) registers[i] = std::max(registers[i], others[i]);
}

// --- estimate: O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), algorithm 6 ---------

double sigma(double x) {
  if (x == 1) return HUGE_VAL;
  double y = 1, sum = x;
  for (double before = -1; sum != before;) {
    x *= x;
    before = sum;
    sum += x * y;
    y += y;
  }
  return sum;
}
double tau(double x) {
  if (x == 0 || x == 1) return 0;
  double y = 1, sum = 1 - x;
  for (double before = -1; sum != before;) {
    x = std::sqrt(x);
    before = sum;
    y /= 2;
    sum -= (1 - x) * (1 - x) * y;
  }
  return sum / 3;
}
int64_t estimate(const uint8_t* registers) {
  constexpr double m = kRegisters;
  int64_t by_rank[kRankMax + 1] = {};
  for (size_t i = 0; i < kRegisters; ++i) ++by_rank[registers[i]];
  double z = m * tau(1 - static_cast<double>(by_rank[kRankMax]) / m);
  for (unsigned rank = kRankMax - 1; rank >= 1; --rank) z = (z + static_cast<double>(by_rank[rank])) / 2;
  z += m * sigma(static_cast<double>(by_rank[0]) / m);
  constexpr double kAlpha = 0.721347520444481703680;  // 1 / (2 ln 2)
  const double count = kAlpha * m * m / z;
  return count < 9.2e18 ? std::llrint(count) : INT64_MAX;
}
void finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext&) {
  for (size_t i = 0; i < n; ++i) {
    const Sketch& sketch = state_at<Sketch>(group_rows[i] + offset);
    put_result(out, at + i, true, sketch.is_dense() ? estimate(sketch.registers()) : int64_t{sketch.set.count});
  }
}

// --- bytes: count of sparse words and these (4 octets, and the rank where needed), or kDenseMark and the registers
// -----

constexpr uint64_t kDenseMark = kSparseMax + 1;

void encode(const uint8_t* state, std::vector<uint8_t>& out) {
  const Sketch& sketch = state_at<Sketch>(state);
  if (sketch.is_dense()) {
    base::put_varint(out, kDenseMark);
    // Four registers of 6 bits in three octets.
    const uint8_t* registers = sketch.registers();
    for (size_t i = 0; i < kRegisters; i += 4) {
      const uint32_t four = registers[i] | registers[i + 1] << 6 | registers[i + 2] << 12 | registers[i + 3] << 18;
      for (int shift = 0; shift < 24; shift += 8) out.push_back(static_cast<uint8_t>(four >> shift));
    }
    return;
  }
  std::vector<uint64_t> words;
  words.reserve(sketch.set.count);
  for_each_word(sketch.set, [&](uint64_t word) { words.push_back(word); });
  std::sort(words.begin(), words.end());
  base::put_varint(out, words.size());
  for (const uint64_t word : words) {
    for (int shift = 8; shift < 40; shift += 8) out.push_back(static_cast<uint8_t>(word >> shift));
    if ((word >> 8 & 0xfffff) == 0) out.push_back(static_cast<uint8_t>(word));
  }
}
size_t decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext& context) {
  Sketch& sketch = state_at<Sketch>(state);
  sketch = Sketch{};
  uint64_t count = 0;
  size_t at = base::get_varint(bytes, octets, count);
  if (at == 0 || count > kDenseMark) return 0;
  if (count == kDenseMark) {
    if (octets - at < kRegisters / 4 * 3) return 0;
    make_dense(sketch, context);
    uint8_t* registers = sketch.registers();
    for (size_t i = 0; i < kRegisters; i += 4, at += 3) {
      const uint32_t four = static_cast<uint32_t>(bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16);
      for (unsigned r = 0; r < 4; ++r) {
        registers[i + r] = four >> (6 * r) & 63;
        if (registers[i + r] > kRankMax) return 0;
      }
    }
    return at;
  }
  uint64_t before = 0;
  for (uint64_t i = 0; i < count; ++i) {
    if (octets - at < 4) return 0;
    uint64_t word = 0;
    for (unsigned b = 0; b < 4; ++b) word |= uint64_t{bytes[at + b]} << (8 * b + 8);
    at += 4;
    if ((word >> 8 & 0xfffff) == 0) {
      // The first 1 lies beyond the 20 bits that are all 0.
      if (at == octets || bytes[at] <= 20 || bytes[at] > kRankMax) return 0;
      word |= bytes[at++];
    }
    if (i > 0 && word <= before) return 0;
    before = word;
    add_sparse(sketch, word, context);
  }
  return at;
}

template <typename Value>
void add_for(std::vector<AggregateFunction>& table, Type type) {
  AggregateFunction f;
  f.name = "approx_count_distinct";
  f.arg_types = {type};
  f.result_type = Type::kInt8;
  f.spelling = "approx_count_distinct(any)";
  f.partial_form = "HyperLogLog 2^12, error 1.6 %";
  f.state_octets = sizeof(Sketch);
  f.update = update<Value>;
  f.combine = combine;
  f.finish = finish;
  f.encode = encode;
  f.decode = decode;
  table.push_back(f);
}

}  // namespace

void add_cardinality(std::vector<AggregateFunction>& table) {
  for (const Type type :
       {Type::kInt2, Type::kInt4, Type::kInt8, Type::kTimestamptz, Type::kTimestamp, Type::kMacaddr}) {
    add_for<int64_t>(table, type);
  }
  add_for<uint8_t>(table, Type::kBool);
  add_for<double>(table, Type::kFloat8);
  for (const Type type : {Type::kText, Type::kBytea}) add_for<std::string_view>(table, type);
  for (const Type type : {Type::kInet, Type::kCidr}) add_for<base::Inet>(table, type);
}

}  // namespace backstream::agg
