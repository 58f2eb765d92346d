#pragma once
// The bytes of single values, as keys of groups have them in messages (partial/codec.h) and all rows in saved states
// (exec/state_bytes.h): 0 for null, or 1 and the value.
#include <cstdint>
#include <span>
#include <vector>

#include "base/arena.h"
#include "base/varint.h"
#include "batch/column_batch.h"

namespace backstream::partial {

/// Eight octets, little end first.
inline void put_u64(std::vector<uint8_t>& out, uint64_t value) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}
inline uint64_t get_u64(const uint8_t* at) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value |= static_cast<uint64_t>(at[i]) << (8 * i);
  return value;
}

/// Bytes that are read from the front; every read says whether it fitted.
class Cursor {
 public:
  explicit Cursor(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool u64(uint64_t& value) { return advance(base::get_varint(bytes_.data(), bytes_.size(), value)); }
  bool u32(uint32_t& value) {
    uint64_t wide = 0;
    if (!u64(wide) || wide > UINT32_MAX) return false;
    value = static_cast<uint32_t>(wide);
    return true;
  }
  bool i64(int64_t& value) { return advance(base::get_varint_signed(bytes_.data(), bytes_.size(), value)); }
  bool octet(uint8_t& value) {
    if (bytes_.empty()) return false;
    value = bytes_[0];
    return advance(1);
  }
  bool advance(size_t octets) {
    if (octets == 0 || octets > bytes_.size()) return false;
    bytes_ = bytes_.subspan(octets);
    return true;
  }
  std::span<const uint8_t> rest() const { return bytes_; }

 private:
  std::span<const uint8_t> bytes_;
};

/// Appends row `row` of the column.
void put_value(std::vector<uint8_t>& out, const batch::Column& column, size_t row);
/// Reads into row `row` of a column that has memory for values and validity. False: the bytes are no value of its type.
/// @param texts  where the octets of text go
bool get_value(Cursor& in, batch::Column& column, size_t row, base::Arena& texts);

}  // namespace backstream::partial
