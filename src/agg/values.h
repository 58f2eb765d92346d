#pragma once
// How single values are ordered, kept and written: what min, max and count(DISTINCT) share. Private to the room.
#include <algorithm>
#include <bit>
#include <cmath>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "agg/aggregate.h"
#include "base/varint.h"

namespace backstream::agg {

/// PostgreSQL's order: NaN equals itself and is above all; -0 = 0.
inline int order(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return static_cast<int>(std::isnan(a)) - static_cast<int>(std::isnan(b));
  return (a > b) - (a < b);
}
inline int order(int64_t a, int64_t b) { return (a > b) - (a < b); }
inline int order(std::string_view a, std::string_view b) {  // byte order, COLLATE "C"
  const int c = a.compare(b);
  return (c > 0) - (c < 0);
}
inline int order(const base::Inet& a, const base::Inet& b) {
  const auto c = base::compare(a, b);
  return std::is_gt(c) - std::is_lt(c);
}
inline int order(uint8_t a, uint8_t b) { return (a > b) - (a < b); }  // boolean: false, true
/// Intervals compare as lengths: a month is 30 days, a day 24 hours (PostgreSQL interval_cmp_value).
inline int order(const base::Interval& a, const base::Interval& b) {
  __extension__ using Length = __int128;
  const auto length = [](const base::Interval& i) {
    return (static_cast<Length>(i.months) * 30 + i.days) * 86'400'000'000 + i.micros;
  };
  const Length x = length(a), y = length(b);
  return (x > y) - (x < y);
}

/// The same order with ties broken, so that a sorted list has one form: of values that are equal but not the same
/// (-0 and 0, intervals of 1 day and 24 hours) a fixed one comes first. 0 only for the same value.
template <typename Value>
int total_order(const Value& a, const Value& b) {
  if (const int c = order(a, b); c != 0) return c;
  if constexpr (std::is_same_v<Value, base::Interval>) {
    return a.months != b.months ? order(int64_t{a.months}, int64_t{b.months}) : order(int64_t{a.days}, int64_t{b.days});
  } else if constexpr (std::is_same_v<Value, double>) {
    return static_cast<int>(std::signbit(b)) - static_cast<int>(std::signbit(a));
  } else {
    return 0;
  }
}

inline void put_value(std::vector<uint8_t>& out, uint8_t value) { out.push_back(value); }
inline void put_value(std::vector<uint8_t>& out, int64_t value) { base::put_varint_signed(out, value); }
inline void put_value(std::vector<uint8_t>& out, double value) {
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<uint8_t>(bits >> (8 * i)));
}
inline void put_value(std::vector<uint8_t>& out, std::string_view text) {
  base::put_varint(out, text.size());
  out.insert(out.end(), text.begin(), text.end());
}
inline void put_value(std::vector<uint8_t>& out, const base::Inet& inet) {
  out.push_back(inet.family);
  out.push_back(inet.prefix_bits);
  const int octets = inet.family == 4 ? 4 : 16;
  for (int i = 0; i < octets; ++i) {
    out.push_back(static_cast<uint8_t>(i < 8 ? inet.hi >> (56 - 8 * i) : inet.lo >> (120 - 8 * i)));
  }
}
inline void put_value(std::vector<uint8_t>& out, const base::Interval& interval) {
  base::put_varint_signed(out, interval.micros);
  base::put_varint_signed(out, interval.days);
  base::put_varint_signed(out, interval.months);
}

inline size_t get_value(const uint8_t* bytes, size_t octets, uint8_t& value, StateContext&) {
  if (octets == 0 || bytes[0] > 1) return 0;
  value = bytes[0];
  return 1;
}
inline size_t get_value(const uint8_t* bytes, size_t octets, int64_t& value, StateContext&) {
  return base::get_varint_signed(bytes, octets, value);
}
inline size_t get_value(const uint8_t* bytes, size_t octets, double& value, StateContext&) {
  if (octets < 8) return 0;
  uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) bits |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  value = std::bit_cast<double>(bits);
  return 8;
}
inline size_t get_value(const uint8_t* bytes, size_t octets, std::string_view& value, StateContext& context) {
  uint64_t size = 0;
  const size_t used = base::get_varint(bytes, octets, size);
  if (used == 0 || size > octets - used) return 0;
  value = context.arena.copy({reinterpret_cast<const char*>(bytes + used), size});
  return used + size;
}
inline size_t get_value(const uint8_t* bytes, size_t octets, base::Inet& value, StateContext&) {
  if (octets < 2 || (bytes[0] != 4 && bytes[0] != 6)) return 0;
  const size_t address_octets = bytes[0] == 4 ? 4 : 16;
  if (octets < 2 + address_octets) return 0;
  value = base::Inet{};
  value.family = bytes[0];
  value.prefix_bits = bytes[1];
  if (value.prefix_bits > value.max_prefix_bits()) return 0;
  for (size_t i = 0; i < address_octets; ++i) {
    const uint64_t octet = bytes[2 + i];
    if (i < 8) value.hi |= octet << (56 - 8 * i);
    else value.lo |= octet << (120 - 8 * i);
  }
  return 2 + address_octets;
}
inline size_t get_value(const uint8_t* bytes, size_t octets, base::Interval& value, StateContext&) {
  int64_t days = 0, months = 0;
  const size_t a = base::get_varint_signed(bytes, octets, value.micros);
  if (a == 0) return 0;
  const size_t b = base::get_varint_signed(bytes + a, octets - a, days);
  if (b == 0) return 0;
  const size_t c = base::get_varint_signed(bytes + a + b, octets - a - b, months);
  if (c == 0 || days != static_cast<int32_t>(days) || months != static_cast<int32_t>(months)) return 0;
  value.days = static_cast<int32_t>(days);
  value.months = static_cast<int32_t>(months);
  return a + b + c;
}

}  // namespace backstream::agg
