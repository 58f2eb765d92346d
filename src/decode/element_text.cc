#include "decode/element_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>

#include "base/byte_order.h"
#include "base/utf8.h"

namespace backstream::decode {
namespace {

using batch::ElementType;
constexpr unsigned kShownMax = 256;

const batch::Element* find_element(uint16_t id) {
  const auto elements = batch::iana_elements();
  const auto at = std::lower_bound(elements.begin(), elements.end(), id,
                                   [](const batch::Element& element, uint16_t wanted) { return element.id < wanted; });
  return at != elements.end() && at->id == id ? &*at : nullptr;
}

void append_octets(std::string& out, const uint8_t* at, unsigned width) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "0x";
  for (unsigned i = 0; i < std::min(width, kShownMax); ++i) {
    out += kDigits[at[i] >> 4];
    out += kDigits[at[i] & 0xf];
  }
  if (width > kShownMax) out += "...";
}

template <typename Integer>
void append_integer(std::string& out, Integer value) {
  const fmt::format_int digits(value);
  out.append(digits.data(), digits.size());
}

void append_text(std::string& out, std::string_view text) {
  const bool cut = text.size() > kShownMax;
  if (cut) {
    text = text.substr(0, kShownMax);
    // Not in the middle of a character.
    while (!text.empty() && base::find_bad_text(text) != std::string_view::npos) text.remove_suffix(1);
  }
  if (!text.empty() && text.find_first_of(" \t\r\n\"\\=") == std::string_view::npos) {
    out += text;
  } else {
    out += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  if (cut) out += "...";
}

/// Whether the value could be shown as one of its type.
bool append_value(std::string& out, ElementType type, const uint8_t* at, unsigned width) {
  using E = ElementType;
  const uint64_t bits = width <= 8 ? base::load_be(at, width) : 0;
  const auto time = [&](uint16_t as) {
    const Micros moment = absolute_time(as, bits);
    if (moment >= static_cast<Micros>(kLastSecond) * base::kMicrosPerSecond) return false;
    char text[64];
    out += '"';
    out.append(text, base::format_timestamp(moment, text));
    out += '"';
    return true;
  };
  switch (type) {
    case E::kUnsigned8:
    case E::kUnsigned16:
    case E::kUnsigned32:
    case E::kUnsigned64:
      if (width > 8) return false;
      append_integer(out, bits);
      return true;
    case E::kSigned8:
    case E::kSigned16:
    case E::kSigned32:
    case E::kSigned64: {
      if (width > 8) return false;
      const unsigned shift = 64 - 8 * width;
      append_integer(out, static_cast<int64_t>(bits << shift) >> shift);
      return true;
    }
    case E::kFloat32:
    case E::kFloat64:
      if (width == 4) fmt::format_to(std::back_inserter(out), "{}", std::bit_cast<float>(static_cast<uint32_t>(bits)));
      else if (width == 8) fmt::format_to(std::back_inserter(out), "{}", std::bit_cast<double>(bits));
      return width == 4 || width == 8;
    case E::kBoolean:
      if (width != 1 || bits < 1 || bits > 2) return false;
      out += bits == 1 ? "true" : "false";
      return true;
    case E::kMacAddress:
      if (width != 6) return false;
      fmt::format_to(std::back_inserter(out), "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", at[0], at[1], at[2], at[3],
                     at[4], at[5]);
      return true;
    case E::kIpv4Address:
    case E::kIpv6Address:
      if (width != 4 && width != 16) return false;
      out += base::to_string(width == 4 ? base::Inet::v4(base::load_be32(at)) : base::Inet::from_v6_octets(at));
      return true;
    case E::kDateTimeSeconds: return width <= 8 && time(150);
    case E::kDateTimeMilliseconds: return width <= 8 && time(152);
    case E::kDateTimeMicroseconds:
    case E::kDateTimeNanoseconds: return width == 8 && time(154);
    case E::kString: {
      const void* end = std::memchr(at, 0, width);
      const std::string_view sent(reinterpret_cast<const char*>(at),
                                  end == nullptr ? width : static_cast<size_t>(static_cast<const uint8_t*>(end) - at));
      if (base::find_bad_text(sent) != std::string_view::npos) return false;
      append_text(out, sent);
      return true;
    }
    case E::kOctetArray:
    case E::kUnsigned256:
    case E::kBasicList:
    case E::kSubTemplateList:
    case E::kSubTemplateMultiList: return false;
  }
  return false;
}

}  // namespace

std::string_view text_of(const uint8_t* at, unsigned width) {
  const auto* text = reinterpret_cast<const char*>(at);
  const void* end = width == 0 ? nullptr : std::memchr(text, 0, width);
  const std::string_view sent(text, end == nullptr ? width : static_cast<size_t>(static_cast<const char*>(end) - text));
  return base::find_bad_text(sent) == std::string_view::npos ? sent : std::string_view();
}

void append_named(std::string& out, std::string_view name, ElementType type, const uint8_t* at, unsigned width) {
  if (!out.empty()) out += ' ';
  out += name;
  if (width == 0) return;
  out += '=';
  if (!append_value(out, type, at, width)) append_octets(out, at, width);
}

void append_element(std::string& out, const FieldSpec& field, const uint8_t* at, unsigned width) {
  if (field.enterprise != 0)
    return append_named(out, fmt::format("{}/{}", field.enterprise, field.element), ElementType::kOctetArray, at,
                        width);
  const batch::Element* known = find_element(field.element);
  if (known != nullptr) return append_named(out, known->name, known->type, at, width);
  append_named(out, std::to_string(field.element), ElementType::kOctetArray, at, width);
}

}  // namespace backstream::decode
