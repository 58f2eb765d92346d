// Addresses and networks, as in PostgreSQL 15 (functions and operators of inet and cidr).
#include <fmt/format.h>

#include "expr/function.h"

namespace backstream::expr {
namespace {

using base::Inet;
using Kind = ScalarFunction::Kind;
using Text = std::string_view;
constexpr ValueError kFine = ValueError::kCount;

__extension__ using Address = unsigned __int128;

Address bits_of(const Inet& i) { return static_cast<Address>(i.hi) << 64 | i.lo; }
void set_bits(Inet& i, Address bits) {
  i.hi = static_cast<uint64_t>(bits >> 64);
  i.lo = static_cast<uint64_t>(bits);
}
/// Ones where the prefix is, left-aligned.
Address prefix_mask(unsigned prefix_bits) { return prefix_bits == 0 ? 0 : ~Address{0} << (128 - prefix_bits); }
/// Ones where an address of the family has bits at all.
Address family_mask(const Inet& i) { return prefix_mask(i.max_prefix_bits()); }

uint8_t contained(const Inet& a, const Inet& b) { return b.prefix_bits < a.prefix_bits && b.contains_or_equals(a); }
uint8_t contained_or_equal(const Inet& a, const Inet& b) { return b.contains_or_equals(a); }
uint8_t contains(const Inet& a, const Inet& b) { return contained(b, a); }
uint8_t contains_or_equal(const Inet& a, const Inet& b) { return contained_or_equal(b, a); }
uint8_t overlaps(const Inet& a, const Inet& b) { return a.contains_or_equals(b) || b.contains_or_equals(a); }
uint8_t same_family(const Inet& a, const Inet& b) { return a.family == b.family; }

template <char op>
ValueError bitwise(KernelContext&, Inet& r, const Inet& a, const Inet& b) {
  if (a.family != b.family) return ValueError::kInvalidParameter;
  r = a;
  r.prefix_bits = std::max(a.prefix_bits, b.prefix_bits);
  set_bits(r, op == '&' ? bits_of(a) & bits_of(b) : bits_of(a) | bits_of(b));
  return kFine;
}
ValueError complement(KernelContext&, Inet& r, const Inet& a) {
  r = a;
  set_bits(r, ~bits_of(a) & family_mask(a));
  return kFine;
}
ValueError offset(KernelContext&, Inet& r, const Inet& a, int64_t by) {
  r = a;
  const unsigned shift = 128 - a.max_prefix_bits();
  const Address value = bits_of(a) >> shift;
  const Address magnitude = by < 0 ? Address{0} - static_cast<Address>(by) : static_cast<Address>(by);
  const Address size_mask = family_mask(a) >> shift;
  if (by < 0 ? magnitude > value : magnitude > size_mask - value) return ValueError::kNumericOutOfRange;
  set_bits(r, (by < 0 ? value - magnitude : value + magnitude) << shift);
  return kFine;
}
ValueError add_right(KernelContext& c, Inet& r, const Inet& a, int64_t by) { return offset(c, r, a, by); }
ValueError add_left(KernelContext& c, Inet& r, int64_t by, const Inet& a) { return offset(c, r, a, by); }
ValueError subtract(KernelContext& c, Inet& r, const Inet& a, int64_t by) {
  if (by == INT64_MIN) return ValueError::kNumericOutOfRange;
  return offset(c, r, a, -by);
}
ValueError distance(KernelContext&, int64_t& r, const Inet& a, const Inet& b) {
  if (a.family != b.family) return ValueError::kInvalidParameter;
  const unsigned shift = 128 - a.max_prefix_bits();
  // Modulo 2^128 as PostgreSQL computes, so ::1 - ffff:...:ffff is 2.
  __extension__ using Signed = __int128;
  const auto difference = static_cast<Signed>((bits_of(a) >> shift) - (bits_of(b) >> shift));
  if (difference > INT64_MAX || difference < INT64_MIN) return ValueError::kNumericOutOfRange;
  r = static_cast<int64_t>(difference);
  return kFine;
}

ValueError host(KernelContext& context, Text& r, const Inet& a) {
  Inet whole = a;
  whole.prefix_bits = a.max_prefix_bits();
  char text[64];
  r = context.texts.copy({text, static_cast<size_t>(base::format_inet(whole, text) - text)});
  return kFine;
}
ValueError with_prefix(KernelContext& context, Text& r, const Inet& a) {
  char text[64];
  r = context.texts.copy({text, static_cast<size_t>(base::format_inet(a, text, true) - text)});
  return kFine;
}
ValueError abbreviated(KernelContext& context, Text& r, const Inet& a) {
  char text[64];
  r = context.texts.copy({text, static_cast<size_t>(base::format_inet(a, text) - text)});
  return kFine;
}
/// A network without the octets (IPv6: groups) that its length leaves out: 10/8, 192.168.1/24. IPv6 has at least two
/// groups, and its first longest run of zero groups, even of one, becomes ::, also at the end: 2001:db8::/32, 2000::/3.
ValueError abbreviated_network(KernelContext& context, Text& r, const Inet& a) {
  std::string text;
  const auto part = [&](unsigned index, unsigned bits) {
    return static_cast<unsigned>(bits_of(a) >> (128 - (index + 1) * bits)) & ((1u << bits) - 1);
  };
  if (a.family == 4) {
    const unsigned octets = std::max(1u, (a.prefix_bits + 7u) / 8);
    for (unsigned i = 0; i < octets; ++i) text += fmt::format("{}{}", i > 0 ? "." : "", part(i, 8));
  } else if (a.prefix_bits == 0) {
    text = "::";
  } else {
    const unsigned groups = std::max(2u, (a.prefix_bits + 15u) / 16);
    unsigned run_begin = 0, run_length = 0, zeros = 0;
    for (unsigned i = 0; i <= groups; ++i) {
      if (i < groups && part(i, 16) == 0) {
        ++zeros;
      } else {
        if (zeros > run_length) {
          run_begin = i - zeros;
          run_length = zeros;
        }
        zeros = 0;
      }
    }
    // As elsewhere, the last 32 bits of ::a.b.c.d and ::ffff:a.b.c.d are dotted.
    const bool dotted =
        run_length != groups && run_begin == 0 && (run_length == 6 || (run_length == 5 && part(5, 16) == 0xffff));
    for (unsigned i = 0; i < groups; ++i) {
      if (run_length != 0 && i >= run_begin && i < run_begin + run_length) {
        if (i == run_begin) text += ':';
        if (i + 1 == groups) text += ':';
      } else if (dotted && i > 5) {
        text += fmt::format("{}{}", i == 6 ? ':' : '.', part(2 * i, 8));
        if (i != 7 || a.prefix_bits > 120) text += fmt::format(".{}", part(2 * i + 1, 8));
      } else {
        text += fmt::format("{}{:x}", text.empty() ? "" : ":", part(i, 16));
      }
    }
  }
  r = context.texts.copy(fmt::format("{}/{}", text, a.prefix_bits));
  return kFine;
}
Inet network(const Inet& a) { return a.network(); }
ValueError set_masklen(KernelContext&, Inet& r, const Inet& a, int64_t length) {
  r = a;
  if (length == -1) length = a.max_prefix_bits();
  if (length < 0 || length > a.max_prefix_bits()) return ValueError::kInvalidParameter;
  r.prefix_bits = static_cast<uint8_t>(length);
  return kFine;
}
ValueError set_masklen_cidr(KernelContext& context, Inet& r, const Inet& a, int64_t length) {
  const ValueError error = set_masklen(context, r, a, length);
  if (error == kFine) r = r.network();
  return error;
}
int64_t masklen(const Inet& a) { return a.prefix_bits; }
int64_t family(const Inet& a) { return a.family; }
Inet netmask(const Inet& a) {
  Inet r = a;
  set_bits(r, prefix_mask(a.prefix_bits));
  r.prefix_bits = a.max_prefix_bits();
  return r;
}
Inet hostmask(const Inet& a) {
  Inet r = a;
  set_bits(r, ~prefix_mask(a.prefix_bits) & family_mask(a));
  r.prefix_bits = a.max_prefix_bits();
  return r;
}
Inet broadcast(const Inet& a) {
  Inet r = a;
  set_bits(r, bits_of(a) | (~prefix_mask(a.prefix_bits) & family_mask(a)));
  return r;
}
ValueError merge(KernelContext&, Inet& r, const Inet& a, const Inet& b) {
  if (a.family != b.family) return ValueError::kInvalidParameter;
  const unsigned limit = std::min(a.prefix_bits, b.prefix_bits);
  const Address differing = bits_of(a) ^ bits_of(b);
  unsigned common = 0;
  while (common < limit && (differing >> (127 - common) & 1) == 0) ++common;
  r = a;
  r.prefix_bits = static_cast<uint8_t>(common);
  r = r.network();
  return kFine;
}

}  // namespace

void add_inet_functions(std::vector<ScalarFunction>& table) {
  const Type n = Type::kInet, c = Type::kCidr, b = Type::kBool, t = Type::kText, i4 = Type::kInt4, i8 = Type::kInt8;
  const auto op = [&](std::string_view name, std::vector<Type> args, Type result, Kernel k) {
    table.push_back({Kind::kOperator, name, std::move(args), result, k});
  };
  op("<<", {n, n}, b, map2<uint8_t, Inet, Inet, contained>);
  op("<<=", {n, n}, b, map2<uint8_t, Inet, Inet, contained_or_equal>);
  op(">>", {n, n}, b, map2<uint8_t, Inet, Inet, contains>);
  op(">>=", {n, n}, b, map2<uint8_t, Inet, Inet, contains_or_equal>);
  op("&&", {n, n}, b, map2<uint8_t, Inet, Inet, overlaps>);
  op("&", {n, n}, n, try2<Inet, Inet, Inet, bitwise<'&'>>);
  op("|", {n, n}, n, try2<Inet, Inet, Inet, bitwise<'|'>>);
  op("~", {n}, n, try1<Inet, Inet, complement>);
  op("+", {n, i8}, n, try2<Inet, Inet, int64_t, add_right>);
  op("+", {i8, n}, n, try2<Inet, int64_t, Inet, add_left>);
  op("-", {n, i8}, n, try2<Inet, Inet, int64_t, subtract>);
  op("-", {n, n}, i8, try2<int64_t, Inet, Inet, distance>);
  const auto f = [&](std::string_view name, std::vector<Type> args, Type result, Kernel k) {
    table.push_back({Kind::kFunction, name, std::move(args), result, k});
  };
  f("host", {n}, t, try1<Text, Inet, host>);
  f("text", {n}, t, try1<Text, Inet, with_prefix>);
  f("abbrev", {n}, t, try1<Text, Inet, abbreviated>);
  f("abbrev", {c}, t, try1<Text, Inet, abbreviated_network>);
  f("network", {n}, c, map1<Inet, Inet, network>);
  f("set_masklen", {n, i4}, n, try2<Inet, Inet, int64_t, set_masklen>);
  f("set_masklen", {c, i4}, c, try2<Inet, Inet, int64_t, set_masklen_cidr>);
  f("masklen", {n}, i4, map1<int64_t, Inet, masklen>);
  f("family", {n}, i4, map1<int64_t, Inet, family>);
  f("netmask", {n}, n, map1<Inet, Inet, netmask>);
  f("hostmask", {n}, n, map1<Inet, Inet, hostmask>);
  f("broadcast", {n}, n, map1<Inet, Inet, broadcast>);
  f("inet_same_family", {n, n}, b, map2<uint8_t, Inet, Inet, same_family>);
  f("inet_merge", {n, n}, c, try2<Inet, Inet, Inet, merge>);
}

}  // namespace backstream::expr
