#include "base/inet.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/byte_order.h"

namespace backstream::base {
namespace {

/// The upper `bits` (0..64) of a word.
constexpr uint64_t upper_bits(unsigned bits) { return bits == 0 ? 0 : ~uint64_t{0} << (64 - bits); }

void keep_prefix(uint64_t& hi, uint64_t& lo, unsigned bits) {
  hi &= upper_bits(std::min(bits, 64U));
  lo &= bits <= 64 ? 0 : upper_bits(bits - 64);
}

char* put_decimal(char* out, unsigned value) {
  if (value >= 100) *out++ = static_cast<char>('0' + value / 100);
  if (value >= 10) *out++ = static_cast<char>('0' + value / 10 % 10);
  *out++ = static_cast<char>('0' + value % 10);
  return out;
}

char* put_v4(char* out, uint32_t address) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out = put_decimal(out, address >> shift & 0xff);
    if (shift != 0) *out++ = '.';
  }
  return out;
}

char* put_v6(char* out, const Inet& inet) {
  std::array<uint16_t, 8> groups;
  for (unsigned i = 0; i < 4; ++i) {
    groups[i] = static_cast<uint16_t>(inet.hi >> (48 - 16 * i));
    groups[i + 4] = static_cast<uint16_t>(inet.lo >> (48 - 16 * i));
  }
  // RFC 5952 §4.2: the first longest run of at least two zero groups becomes "::".
  unsigned run_begin = 8, run_length = 1;
  for (unsigned i = 0; i < 8;) {
    unsigned end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > run_length) {
      run_begin = i;
      run_length = end - i;
    }
    i = end + 1;
  }
  // PostgreSQL prints the last 32 bits dotted for ::a.b.c.d and ::ffff:a.b.c.d.
  const bool dotted = run_begin == 0 && (run_length == 6 || (run_length == 5 && groups[5] == 0xffff));
  const unsigned group_count = dotted ? 6 : 8;
  for (unsigned i = 0; i < group_count;) {
    if (i == run_begin) {
      *out++ = ':';
      if (i == 0) *out++ = ':';
      i += run_length;
      continue;
    }
    bool begun = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
      const unsigned digit = groups[i] >> shift & 0xf;
      if (digit == 0 && !begun && shift != 0) continue;
      begun = true;
      *out++ = "0123456789abcdef"[digit];
    }
    if (++i < 8) *out++ = ':';
  }
  return dotted ? put_v4(out, static_cast<uint32_t>(inet.lo)) : out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Digits only, at least one, value at most `max`; -1 otherwise. IPv6 forms refuse leading zeros.
int parse_length(std::string_view text, int max, bool leading_zeros) {
  if (text.empty() || (!leading_zeros && text.size() > 1 && text[0] == '0')) return -1;
  int value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return -1;
    value = value * 10 + (c - '0');
    if (value > max) return -1;
  }
  return value;
}

/// Splits "address/length"; `length` stays -1 when there is none.
bool split_length(std::string_view& text, int& length, int max, bool leading_zeros) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return true;
  length = parse_length(text.substr(slash + 1), max, leading_zeros);
  text = text.substr(0, slash);
  return length >= 0;
}

/// What surrounds IPv4 octets: PostgreSQL reads each place by a routine of its own.
enum class OctetsIn : uint8_t { kInet, kCidr, kIpv6 };

/// Up to four decimal octets with single dots between them; left-aligned. Returns their number, 0 for a fault.
unsigned parse_v4_octets(std::string_view text, uint32_t& address, OctetsIn place) {
  const bool leading_zeros = place != OctetsIn::kIpv6;
  address = 0;
  unsigned count = 0;
  while (true) {
    const size_t dot = text.find('.');
    // Behind IPv6 groups PostgreSQL reads nothing before a dot as 0: '::.1'.
    const bool empty = place == OctetsIn::kIpv6 && dot == 0;
    const int octet = empty ? 0 : parse_length(text.substr(0, dot), 255, leading_zeros);
    if (octet < 0 || count == 4) return 0;
    address |= static_cast<uint32_t>(octet) << (24 - 8 * count);
    ++count;
    if (dot == std::string_view::npos) return count;
    text.remove_prefix(dot + 1);
    // PostgreSQL's inet (not cidr) lets a dot stand after the last octet: '10.0.0.1.', '10.1./16'.
    if (text.empty() && place == OctetsIn::kInet) return count;
  }
}

std::optional<Inet> parse_v6(std::string_view text) {
  int length = -1;
  if (!split_length(text, length, 128, false)) return std::nullopt;
  std::array<uint16_t, 8> groups{};
  unsigned count = 0;
  int gap = -1;  // Index of the group before which "::" stood.
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    const size_t colon = text.find(':');
    const std::string_view part = text.substr(0, colon);
    if (colon == std::string_view::npos && part.find('.') != std::string_view::npos) {
      uint32_t address = 0;
      // PostgreSQL takes fewer than four octets here too and fills with zeros.
      if (count > 6 || parse_v4_octets(part, address, OctetsIn::kIpv6) == 0) return std::nullopt;
      groups[count++] = static_cast<uint16_t>(address >> 16);
      groups[count++] = static_cast<uint16_t>(address);
      break;
    }
    if (part.empty() || part.size() > 4 || count == 8) return std::nullopt;
    unsigned value = 0;
    for (const char c : part) {
      const int digit = hex_digit(c);
      if (digit < 0) return std::nullopt;
      value = value << 4 | static_cast<unsigned>(digit);
    }
    groups[count++] = static_cast<uint16_t>(value);
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
    if (text.empty()) return std::nullopt;
    if (text[0] == ':') {
      if (gap >= 0) return std::nullopt;
      gap = static_cast<int>(count);
      text.remove_prefix(1);
    }
  }
  if (gap >= 0) {
    if (count == 8) return std::nullopt;
    std::move_backward(groups.begin() + gap, groups.begin() + count, groups.end());
    std::fill_n(groups.begin() + gap, 8 - count, uint16_t{0});
  } else if (count != 8) {
    return std::nullopt;
  }
  uint64_t hi = 0, lo = 0;
  for (unsigned i = 0; i < 4; ++i) {
    hi = hi << 16 | groups[i];
    lo = lo << 16 | groups[i + 4];
  }
  return Inet::v6(hi, lo, static_cast<uint8_t>(length < 0 ? 128 : length));
}

/// The prefix length that cidr gives an address without one: by class, widened to the octets that were written.
int classful_length(uint32_t address, unsigned octet_count) {
  const unsigned first = address >> 24;
  const int by_class = first >= 240 ? 32 : first >= 224 ? 8 : first >= 192 ? 24 : first >= 128 ? 16 : 8;
  const int length = std::max(by_class, static_cast<int>(octet_count * 8));
  return length == 8 && first == 224 ? 4 : length;
}

}  // namespace

Inet Inet::from_v6_octets(const uint8_t* octets) noexcept {
  const uint64_t high = load_be64(octets), low = load_be64(octets + 8);
  if (high == 0 && low >> 32 == 0xffff) return v4(static_cast<uint32_t>(low));
  return v6(high, low);
}

Inet Inet::network() const noexcept {
  Inet result = *this;
  keep_prefix(result.hi, result.lo, prefix_bits);
  return result;
}

bool Inet::contains_or_equals(const Inet& other) const noexcept {
  if (family != other.family || prefix_bits > other.prefix_bits) return false;
  uint64_t high = hi ^ other.hi, low = lo ^ other.lo;
  keep_prefix(high, low, prefix_bits);
  return (high | low) == 0;
}

std::strong_ordering compare_prefixes(const Inet& a, const Inet& b) noexcept {
  if (a.family != b.family) return a.family <=> b.family;
  Inet common_a = a, common_b = b;
  const unsigned common_bits = std::min(a.prefix_bits, b.prefix_bits);
  keep_prefix(common_a.hi, common_a.lo, common_bits);
  keep_prefix(common_b.hi, common_b.lo, common_bits);
  if (common_a.hi != common_b.hi) return common_a.hi <=> common_b.hi;
  if (common_a.lo != common_b.lo) return common_a.lo <=> common_b.lo;
  if (a.prefix_bits != b.prefix_bits) return a.prefix_bits <=> b.prefix_bits;
  if (a.hi != b.hi) return a.hi <=> b.hi;
  return a.lo <=> b.lo;
}

char* format_inet(const Inet& inet, char* out, bool always_prefix) noexcept {
  out = inet.family == 4 ? put_v4(out, inet.v4_address()) : put_v6(out, inet);
  if (always_prefix || !inet.is_host()) {
    *out++ = '/';
    out = put_decimal(out, inet.prefix_bits);
  }
  return out;
}

std::string to_string(const Inet& inet) {
  char text[50];
  return {text, format_inet(inet, text)};
}

std::string to_cidr_string(const Inet& inet) {
  char text[50];
  return {text, format_inet(inet, text, true)};
}

std::optional<Inet> parse_inet(std::string_view text) noexcept {
  if (text.find(':') != std::string_view::npos) return parse_v6(text);
  int length = -1;
  uint32_t address = 0;
  if (!split_length(text, length, 32, true)) return std::nullopt;
  const unsigned octet_count = parse_v4_octets(text, address, OctetsIn::kInet);
  // Missing octets are zero only where a length says that they do not matter: 10.1/16, but not 10.1.
  if (octet_count == 0 || (length < 0 ? octet_count != 4 : static_cast<unsigned>(length) / 8 > octet_count)) {
    return std::nullopt;
  }
  return Inet::v4(address, static_cast<uint8_t>(length < 0 ? 32 : length));
}

std::optional<Inet> parse_cidr(std::string_view text, bool* host_bits_set) noexcept {
  if (host_bits_set != nullptr) *host_bits_set = false;
  std::optional<Inet> result;
  if (text.find(':') != std::string_view::npos) {
    result = parse_v6(text);
  } else {
    int length = -1;
    uint32_t address = 0;
    if (!split_length(text, length, 32, true)) return std::nullopt;
    const unsigned octet_count = parse_v4_octets(text, address, OctetsIn::kCidr);
    if (octet_count == 0) return std::nullopt;
    if (length < 0) length = classful_length(address, octet_count);
    result = Inet::v4(address, static_cast<uint8_t>(length));
  }
  if (result && *result != result->network()) {
    if (host_bits_set != nullptr) *host_bits_set = true;
    return std::nullopt;
  }
  return result;
}

}  // namespace backstream::base
