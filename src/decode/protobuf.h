#pragma once
// The wire format of Protocol Buffers (protobuf.dev, "Encoding"), as far as flows need it: no schema is known here.
// Their runtime makes objects of a message, field by field, which takes longer than all else that is done with a flow.
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/byte_order.h"
#include "base/varint.h"

namespace backstream::decode {

/// How the octets behind a tag are told from the next tag.
enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kDelimited = 2, kGroup = 3, kGroupEnd = 4, kFixed32 = 5 };

/// Fields of one message, each looked at before it is read. After a false nothing more can be read.
class WireReader {
 public:
  WireReader(const uint8_t* at, const uint8_t* end) : at_(at), end_(end) {}

  bool at_end() const { return at_ == end_; }
  const uint8_t* at() const { return at_; }
  size_t left() const { return static_cast<size_t>(end_ - at_); }

  /// What comes next. False: no tag that can be.
  bool tag(uint32_t& field, WireType& type) {
    uint64_t value = 0;
    // Most fields have numbers below 16, so tags of one octet.
    if (at_ != end_ && *at_ < 0x80) value = *at_++;
    else if (!varint(value) || value > UINT32_MAX) return false;
    field = static_cast<uint32_t>(value) >> 3;
    const uint32_t wire = value & 7;
    type = static_cast<WireType>(wire);
    return field != 0 && wire <= 5;
  }
  bool varint(uint64_t& value) {
    if (at_ != end_ && *at_ < 0x80) {
      value = *at_++;
      return true;
    }
    const size_t used = base::get_varint(at_, left(), value);
    at_ += used;
    return used != 0;
  }
  bool fixed64(uint64_t& value) {
    if (left() < sizeof value) return false;
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return true;
  }
  bool delimited(std::string_view& octets) {
    uint64_t count = 0;
    if (!varint(count) || count > left()) return false;
    octets = {reinterpret_cast<const char*>(at_), static_cast<size_t>(count)};
    at_ += count;
    return true;
  }
  /// Passes over a field of which nobody knows anything.
  bool skip(uint32_t field, WireType type) { return skip(field, type, 0); }

 private:
  static constexpr int kGroupDepthMax = 32;

  bool skip(uint32_t field, WireType type, int depth) {
    uint64_t number = 0;
    std::string_view octets;
    switch (type) {
      case WireType::kVarint: return varint(number);
      case WireType::kFixed64: return fixed64(number);
      case WireType::kDelimited: return delimited(octets);
      case WireType::kFixed32:
        if (left() < 4) return false;
        at_ += 4;
        return true;
      case WireType::kGroup: {
        uint32_t inner = 0;
        for (WireType inner_type{}; depth < kGroupDepthMax && tag(inner, inner_type);) {
          if (inner_type == WireType::kGroupEnd) return inner == field;
          if (!skip(inner, inner_type, depth + 1)) return false;
        }
        return false;
      }
      case WireType::kGroupEnd: break;
    }
    return false;
  }

  const uint8_t* at_;
  const uint8_t* end_;
};

// Fields of a message that is written, behind what `out` has. Not written twice; ascending numbers make the bytes the
// same everywhere.

inline void put_tag(std::vector<uint8_t>& out, uint32_t field, WireType type) {
  base::put_varint(out, uint64_t{field} << 3 | static_cast<uint64_t>(type));
}
inline void put_number(std::vector<uint8_t>& out, uint32_t field, uint64_t value) {
  put_tag(out, field, WireType::kVarint);
  base::put_varint(out, value);
}
inline void put_fixed64(std::vector<uint8_t>& out, uint32_t field, uint64_t value) {
  put_tag(out, field, WireType::kFixed64);
  const size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(&out[at], &value, sizeof value);
}
inline void put_octets(std::vector<uint8_t>& out, uint32_t field, std::string_view octets) {
  put_tag(out, field, WireType::kDelimited);
  base::put_varint(out, octets.size());
  out.insert(out.end(), octets.begin(), octets.end());
}

}  // namespace backstream::decode
