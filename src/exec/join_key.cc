#include "exec/join_key.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <functional>
#include <string_view>

namespace backstream::exec {
namespace {

using base::Inet;
using batch::Column;
using batch::Physical;

inline uint64_t mix(uint64_t seed, uint64_t word) {
  // Fractional digits of the golden ratio and of pi: odd, no pattern.
  __extension__ const auto product =
      static_cast<unsigned __int128>(word ^ seed ^ 0x9e3779b97f4a7c15) * 0x243f6a8885a308d3;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}
inline uint64_t hash_value(uint64_t seed, uint8_t value) { return mix(seed, value); }
inline uint64_t hash_value(uint64_t seed, int64_t value) { return mix(seed, static_cast<uint64_t>(value)); }
inline uint64_t hash_value(uint64_t seed, double value) {
  return mix(seed, std::isnan(value) ? 0x7ff8000000000000 : std::bit_cast<uint64_t>(value == 0 ? 0.0 : value));
}
inline uint64_t hash_value(uint64_t seed, std::string_view value) {
  return mix(seed, std::hash<std::string_view>{}(value));
}
inline uint64_t hash_value(uint64_t seed, const Inet& value) {
  // IPv4 has no lower half; which of family and prefix length differ is rarely all that does.
  return mix(mix(seed, value.hi), value.lo ^ (uint64_t{value.family} << 8 | value.prefix_bits));
}

inline bool same_value(uint8_t a, uint8_t b) { return a == b; }
inline bool same_value(int64_t a, int64_t b) { return a == b; }
inline bool same_value(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }
inline bool same_value(std::string_view a, std::string_view b) { return a == b; }
inline bool same_value(const Inet& a, const Inet& b) { return a == b; }

/// Calls visit(const T*) with the column's values in their type.
template <typename Visit>
auto with_values(const Column& column, Visit visit) {
  switch (batch::physical(column.type)) {
    case Physical::kByte: return visit(column.as<uint8_t>());
    case Physical::kInt64: return visit(column.as<int64_t>());
    case Physical::kDouble: return visit(column.as<double>());
    case Physical::kText: return visit(column.as<std::string_view>());
    case Physical::kInet: return visit(column.as<Inet>());
    case Physical::kInterval: break;
  }
  assert(!"no key of a join");
  return visit(column.as<uint8_t>());
}

}  // namespace

void hash_join_keys(const Column* const* keys, size_t key_count, size_t n, uint64_t mask, uint64_t* hashes,
                    uint8_t* present) {
  std::fill_n(hashes, n, uint64_t{0});
  std::fill_n(present, n, uint8_t{1});
  if (n == 0) return;  // Of an empty batch there are no arrays.
  for (size_t k = 0; k < key_count; ++k) {
    with_values(*keys[k], [&](const auto* values) {
      for (size_t i = 0; i < n; ++i) hashes[i] = hash_value(hashes[i], values[i]);
    });
    if (!keys[k]->has_nulls) continue;
    for (size_t i = 0; i < n; ++i) present[i] &= keys[k]->validity[i];
  }
  for (size_t i = 0; i < n; ++i) hashes[i] &= mask;
}

size_t keep_equal(const Column& a, const Column& b, uint32_t* a_rows, uint32_t* b_rows, size_t n) {
  return with_values(a, [&](const auto* values) {
    using Value = std::remove_cvref_t<decltype(*values)>;
    const Value* others = b.as<Value>();
    size_t kept = 0;
    for (size_t i = 0; i < n; ++i) {
      const uint32_t a_row = a_rows[i], b_row = b_rows[i];
      a_rows[kept] = a_row;
      b_rows[kept] = b_row;
      kept += same_value(values[a_row], others[b_row]);
    }
    return kept;
  });
}

}  // namespace backstream::exec
