#pragma once
// Values as keys: equal ones, as SQL's = finds them, have equal hashes. What joins and lookups find rows by.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/hash.h"
#include "base/inet.h"
#include "base/time.h"
#include "batch/column_batch.h"

namespace backstream::batch {

__extension__ using WideMicros = __int128;
/// PostgreSQL compares intervals by length: a month is 30 days, a day 24 hours.
inline WideMicros interval_length(const base::Interval& value) {
  return (static_cast<WideMicros>(value.months) * 30 + value.days) * 86'400'000'000 + value.micros;
}

inline uint64_t key_hash(uint64_t seed, uint8_t value) { return base::hash_mix(seed, value); }
inline uint64_t key_hash(uint64_t seed, int64_t value) { return base::hash_mix(seed, static_cast<uint64_t>(value)); }
inline uint64_t key_hash(uint64_t seed, double value) {
  if (value == 0) value = 0;  // -0 equals 0.
  if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
  return base::hash_mix(seed, std::bit_cast<uint64_t>(value));
}
inline uint64_t key_hash(uint64_t seed, std::string_view value) {
  uint64_t hash = base::hash_mix(seed, value.size());
  while (value.size() >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, value.data(), 8);
    hash = base::hash_mix(hash, word);
    value.remove_prefix(8);
  }
  if (value.empty()) return hash;
  uint64_t word = 0;
  std::memcpy(&word, value.data(), value.size());
  return base::hash_mix(hash, word);
}
inline uint64_t key_hash(uint64_t seed, const base::Inet& value) {
  return base::hash_mix(base::hash_mix(seed, value.hi), value.lo ^ (uint64_t{value.family} << 8 | value.prefix_bits)
                                                                       << 48);
}
inline uint64_t key_hash(uint64_t seed, const base::Interval& value) {
  const WideMicros micros = interval_length(value);
  return base::hash_mix(base::hash_mix(seed, static_cast<uint64_t>(micros)), static_cast<uint64_t>(micros >> 64));
}

inline bool same_key(uint8_t a, uint8_t b) { return a == b; }
inline bool same_key(int64_t a, int64_t b) { return a == b; }
inline bool same_key(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }
inline bool same_key(std::string_view a, std::string_view b) { return a == b; }
inline bool same_key(const base::Inet& a, const base::Inet& b) { return a == b; }
inline bool same_key(const base::Interval& a, const base::Interval& b) {
  return interval_length(a) == interval_length(b);
}

/// Calls visit(const T*) with the column's values in their type.
template <typename Visit>
auto with_values(const Column& column, Visit visit) {
  switch (physical(column.type)) {
    case Physical::kByte: return visit(column.as<uint8_t>());
    case Physical::kInt64: return visit(column.as<int64_t>());
    case Physical::kDouble: return visit(column.as<double>());
    case Physical::kText: return visit(column.as<std::string_view>());
    case Physical::kInet: return visit(column.as<base::Inet>());
    case Physical::kInterval: break;
  }
  return visit(column.as<base::Interval>());
}

}  // namespace backstream::batch
