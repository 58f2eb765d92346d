#include "decode/element_columns.h"

#include <bit>
#include <cstring>

#include "base/byte_order.h"
#include "base/utf8.h"

namespace backstream::decode {
namespace {

using batch::ElementType;

/// What is read of one field of n records.
struct Field {
  const uint8_t* at;
  size_t stride;
  unsigned width;
  size_t n;
  const uint8_t* record(size_t i) const { return at + i * stride; }
};

/// value(i, to) writes the value of record i, or says no. Returns how many it refused.
template <typename T, typename Value>
uint64_t write_checked(const Field& field, size_t column, FlowWriter& out, Value&& value) {
  T* values = out.values<T>(column);
  uint8_t* validity = out.validity(column);
  uint64_t refused = 0;
  for (size_t i = 0; i < field.n; ++i) {
    const bool readable = value(i, values[i]);
    validity[i] = readable;
    refused += !readable;
  }
  return refused;
}

/// Integers of 1 to 8 octets.
void write_unsigned(const Field& field, size_t column, FlowWriter& out, RecordCounts& counts) {
  int64_t* values = out.values<int64_t>(column);
  load_integers(field.at, field.stride, field.width, field.n, values);
  int64_t any = 0;
  for (size_t i = 0; i < field.n; ++i) any |= values[i];
  if (any >= 0) return out.mark_present(column, field.n);
  uint8_t* validity = out.validity(column);
  for (size_t i = 0; i < field.n; ++i) {
    validity[i] = values[i] >= 0;
    counts.counter_overflow += values[i] < 0;
  }
}

void write_signed(const Field& field, size_t column, FlowWriter& out) {
  int64_t* values = out.values<int64_t>(column);
  load_integers(field.at, field.stride, field.width, field.n, values);
  const unsigned shift = 64 - 8 * field.width;
  for (size_t i = 0; i < field.n; ++i)
    values[i] = static_cast<int64_t>(static_cast<uint64_t>(values[i]) << shift) >> shift;
  out.mark_present(column, field.n);
}

void write_float(const Field& field, size_t column, FlowWriter& out) {
  double* values = out.values<double>(column);
  for (size_t i = 0; i < field.n; ++i) {
    const uint64_t bits = base::load_be(field.record(i), field.width);
    values[i] =
        field.width == 4 ? double{std::bit_cast<float>(static_cast<uint32_t>(bits))} : std::bit_cast<double>(bits);
  }
  out.mark_present(column, field.n);
}

void write_address(const Field& field, size_t column, FlowWriter& out) {
  base::Inet* values = out.values<base::Inet>(column);
  for (size_t i = 0; i < field.n; ++i) {
    values[i] = field.width == 4 ? base::Inet::v4(base::load_be32(field.record(i)))
                                 : base::Inet::from_v6_octets(field.record(i));
  }
  out.mark_present(column, field.n);
}

/// `as`: an element of IANA's with that encoding.
uint64_t write_times(const Field& field, uint16_t as, size_t column, FlowWriter& out) {
  return write_checked<int64_t>(field, column, out, [&](size_t i, int64_t& to) {
    to = absolute_time(as, base::load_be(field.record(i), field.width));
    return to < static_cast<Micros>(kLastSecond) * base::kMicrosPerSecond;
  });
}

/// Fields of one length are filled up with zeros, which SQL's text may not hold.
uint64_t write_text(const Field& field, size_t column, FlowWriter& out) {
  return write_checked<std::string_view>(field, column, out, [&](size_t i, std::string_view& to) {
    const auto* text = reinterpret_cast<const char*>(field.record(i));
    const void* end = std::memchr(text, 0, field.width);
    const std::string_view sent(
        text, end == nullptr ? field.width : static_cast<size_t>(static_cast<const char*>(end) - text));
    const bool readable = base::find_bad_text(sent) == std::string_view::npos;
    to = readable ? out.texts().copy(sent) : std::string_view();
    return readable;
  });
}

void write_octets(const Field& field, size_t column, FlowWriter& out) {
  auto* values = out.values<std::string_view>(column);
  for (size_t i = 0; i < field.n; ++i)
    values[i] = out.texts().copy({reinterpret_cast<const char*>(field.record(i)), field.width});
  out.mark_present(column, field.n);
}

}  // namespace

void write_element(ElementType type, const uint8_t* at, size_t stride, unsigned width, size_t n, size_t column,
                   FlowWriter& out, RecordCounts& counts) {
  using E = ElementType;
  constexpr uint16_t kSeconds = 150, kMilliseconds = 152, kMicroseconds = 154;
  const Field field{at, stride, width, n};
  switch (type) {
    case E::kUnsigned8:
    case E::kUnsigned16:
    case E::kUnsigned32:
    case E::kUnsigned64:  // Routers send counters wider than the registry has them: only SQL's bigint is a limit.
      if (width > 8) break;
      return write_unsigned(field, column, out, counts);
    case E::kSigned8:
    case E::kSigned16:
    case E::kSigned32:
    case E::kSigned64:
      if (width > 8) break;
      return write_signed(field, column, out);
    case E::kFloat32:
    case E::kFloat64:
      if (width != 4 && width != 8) break;
      return write_float(field, column, out);
    case E::kBoolean:  // RFC 7011 §6.1.5: 1 is true, 2 is false.
      if (width != 1) break;
      counts.element_unreadable += write_checked<uint8_t>(field, column, out, [&](size_t i, uint8_t& to) {
        const uint8_t sent = *field.record(i);
        to = sent == 1;
        return sent == 1 || sent == 2;
      });
      return;
    case E::kMacAddress:
      if (width != 6) break;
      return write_unsigned(field, column, out, counts);
    case E::kIpv4Address:
    case E::kIpv6Address:
      if (width != 4 && width != 16) break;
      return write_address(field, column, out);
    case E::kDateTimeSeconds:
      if (width > 8) break;
      counts.element_unreadable += write_times(field, kSeconds, column, out);
      return;
    case E::kDateTimeMilliseconds:
      if (width > 8) break;
      counts.element_unreadable += write_times(field, kMilliseconds, column, out);
      return;
    case E::kDateTimeMicroseconds:
    case E::kDateTimeNanoseconds:
      if (width != 8) break;
      counts.element_unreadable += write_times(field, kMicroseconds, column, out);
      return;
    case E::kString: counts.element_unreadable += write_text(field, column, out); return;
    case E::kOctetArray:
    case E::kUnsigned256:
    case E::kBasicList:
    case E::kSubTemplateList:
    case E::kSubTemplateMultiList: return write_octets(field, column, out);
  }
  counts.element_unreadable += n;
  out.set_null(column, n);
}

}  // namespace backstream::decode
