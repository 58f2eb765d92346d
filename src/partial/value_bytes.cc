#include "partial/value_bytes.h"

#include <bit>
#include <cstring>

namespace backstream::partial {

using base::put_varint;
using base::put_varint_signed;
using batch::Column;
using batch::Physical;

namespace {

void put_inet(std::vector<uint8_t>& out, const base::Inet& inet) {
  out.push_back(inet.family);
  out.push_back(inet.prefix_bits);
  const int octets = inet.family == 4 ? 4 : 16;
  for (int i = 0; i < octets; ++i) {
    out.push_back(static_cast<uint8_t>(i < 8 ? inet.hi >> (56 - 8 * i) : inet.lo >> (120 - 8 * i)));
  }
}
bool get_inet(Cursor& in, base::Inet& inet) {
  uint8_t family = 0, prefix = 0;
  if (!in.octet(family) || !in.octet(prefix) || (family != 4 && family != 6)) return false;
  inet = base::Inet{};
  inet.family = family;
  inet.prefix_bits = prefix;
  if (prefix > inet.max_prefix_bits()) return false;
  for (int i = 0; i < (family == 4 ? 4 : 16); ++i) {
    uint8_t octet = 0;
    if (!in.octet(octet)) return false;
    (i < 8 ? inet.hi : inet.lo) |= static_cast<uint64_t>(octet) << ((i < 8 ? 56 : 120) - 8 * i);
  }
  return true;
}

}  // namespace

void put_value(std::vector<uint8_t>& out, const Column& column, size_t row) {
  if (column.is_null(row)) {
    out.push_back(0);
    return;
  }
  out.push_back(1);
  switch (batch::physical(column.type)) {
    case Physical::kByte: out.push_back(column.as<uint8_t>()[row] != 0); break;
    case Physical::kInt64: put_varint_signed(out, column.as<int64_t>()[row]); break;
    case Physical::kDouble: put_u64(out, std::bit_cast<uint64_t>(column.as<double>()[row])); break;
    case Physical::kText: {
      const std::string_view text = column.as<std::string_view>()[row];
      put_varint(out, text.size());
      out.insert(out.end(), text.begin(), text.end());
      break;
    }
    case Physical::kInet: put_inet(out, column.as<base::Inet>()[row]); break;
    case Physical::kInterval: {
      const base::Interval& interval = column.as<base::Interval>()[row];
      put_varint_signed(out, interval.micros);
      put_varint_signed(out, interval.days);
      put_varint_signed(out, interval.months);
      break;
    }
  }
}

bool get_value(Cursor& in, Column& column, size_t row, base::Arena& texts) {
  uint8_t present = 0;
  if (!in.octet(present) || present > 1) return false;
  column.validity[row] = present;
  const Physical physical = batch::physical(column.type);
  if (present == 0) {
    std::memset(static_cast<uint8_t*>(column.values) + row * batch::octets_per_value(physical), 0,
                batch::octets_per_value(physical));
    return true;
  }
  switch (physical) {
    case Physical::kByte: return in.octet(column.as<uint8_t>()[row]) && column.as<uint8_t>()[row] <= 1;
    case Physical::kInt64: return in.i64(column.as<int64_t>()[row]);
    case Physical::kDouble:
      if (in.rest().size() < 8) return false;
      column.as<uint64_t>()[row] = get_u64(in.rest().data());
      return in.advance(8);
    case Physical::kText: {
      uint64_t octets = 0;
      if (!in.u64(octets) || octets > in.rest().size()) return false;
      column.as<std::string_view>()[row] = texts.copy({reinterpret_cast<const char*>(in.rest().data()), octets});
      return octets == 0 || in.advance(octets);
    }
    case Physical::kInet: return get_inet(in, column.as<base::Inet>()[row]);
    case Physical::kInterval: {
      int64_t micros = 0, days = 0, months = 0;
      if (!in.i64(micros) || !in.i64(days) || !in.i64(months)) return false;
      if (days != static_cast<int32_t>(days) || months != static_cast<int32_t>(months)) return false;
      column.as<base::Interval>()[row] = {micros, static_cast<int32_t>(days), static_cast<int32_t>(months)};
      return true;
    }
  }
  return false;
}

}  // namespace backstream::partial
