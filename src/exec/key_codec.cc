#include "exec/key_codec.h"

#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

namespace backstream::exec {
namespace {

using base::Inet;
using batch::Column;
using batch::Physical;
using batch::Type;

/// Family and prefix length of an IPv4 host, as the two octets lie in an Inet.
constexpr uint16_t kV4Host = 4 | 32 << 8;
static_assert(offsetof(Inet, family) == 16 && offsetof(Inet, prefix_bits) == 17);
inline uint16_t kind_of(const Inet& inet) {
  uint16_t kind;
  std::memcpy(&kind, &inet.family, sizeof kind);
  return kind;
}

/// Equal doubles have equal words: one NaN, no negative zero.
inline uint64_t double_word(double value) {
  if (std::isnan(value)) return 0x7ff8000000000000;
  return std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);
}

uint8_t narrow_bits(const batch::ColumnDef& key) {
  switch (batch::physical(key.type)) {
    case Physical::kByte: return 1;
    case Physical::kInt64: return key.value_bits == 0 ? 64 : key.value_bits;
    case Physical::kDouble: return 64;
    case Physical::kText: return 32;
    case Physical::kInet: return key.type == Type::kCidr ? 38 : 32;  // an IPv4 network carries its length
    case Physical::kInterval: return 0;
  }
  return 0;
}
uint8_t wide_words_of(Physical physical) {
  if (physical == Physical::kInet) return 3;
  return physical == Physical::kInterval ? 2 : 1;
}

/// word[i] gets `value(row)` at `shift`, for each row.
template <typename Value>
inline void put_field(uint64_t* words, uint32_t stride, unsigned shift, const uint32_t* rows, size_t n, Value&& value) {
  for (size_t i = 0; i < n; ++i) words[i * stride] |= value(rows[i]) << shift;
}

}  // namespace

KeyCodec::KeyCodec(const std::vector<batch::ColumnDef>& keys) {
  unsigned word = 0, used = 0;
  uint32_t wide = 1;
  assert(keys.size() <= 64);
  for (const batch::ColumnDef& key : keys) {
    Field field{};
    field.type = key.type;
    field.physical = batch::physical(key.type);
    field.bits = narrow_bits(key);
    if (field.bits == 0) narrow_possible_ = false;
    if (used + field.bits > 64) {
      ++word;
      used = 0;
    }
    field.word = static_cast<uint8_t>(word);
    field.shift = static_cast<uint8_t>(used);
    used += field.bits;
    field.wide_word = static_cast<uint8_t>(wide);
    wide += wide_words_of(field.physical);
    has_text_ |= field.physical == Physical::kText;
    fields_.push_back(field);
  }
  narrow_words_ = word + 1;
  wide_words_ = wide;
}

size_t KeyCodec::split_forms(const Column* keys, const uint32_t* rows, size_t n, uint32_t* split) {
  // First whether any row is wide at all: a reduction per column.
  uint64_t bad = narrow_possible_ ? 0 : 1;
  for (size_t k = 0; k < fields_.size() && bad == 0; ++k) {
    const Field& field = fields_[k];
    if (keys[k].has_nulls) {
      for (size_t i = 0; i < n; ++i) bad |= keys[k].validity[rows[i]] ^ 1u;
    }
    if (field.physical == Physical::kInt64 && field.bits < 64) {
      const int64_t* values = keys[k].as<int64_t>();
      uint64_t any = 0;
      for (size_t i = 0; i < n; ++i) any |= static_cast<uint64_t>(values[rows[i]]);
      bad |= any >> field.bits;
    } else if (field.physical == Physical::kInet) {
      const Inet* values = keys[k].as<Inet>();
      if (field.type == Type::kCidr) {
        for (size_t i = 0; i < n; ++i) bad |= values[rows[i]].family ^ 4u;
      } else {
        for (size_t i = 0; i < n; ++i) bad |= static_cast<uint64_t>(kind_of(values[rows[i]]) ^ kV4Host);
      }
    }
  }
  if (bad == 0) return n;

  is_wide_.assign(n, narrow_possible_ ? 0 : 1);
  for (size_t k = 0; k < fields_.size() && narrow_possible_; ++k) {
    const Field& field = fields_[k];
    if (keys[k].has_nulls) {
      for (size_t i = 0; i < n; ++i) is_wide_[i] |= keys[k].validity[rows[i]] == 0;
    }
    if (field.physical == Physical::kInt64 && field.bits < 64) {
      const int64_t* values = keys[k].as<int64_t>();
      for (size_t i = 0; i < n; ++i) is_wide_[i] |= (static_cast<uint64_t>(values[rows[i]]) >> field.bits) != 0;
    } else if (field.physical == Physical::kInet) {
      const Inet* values = keys[k].as<Inet>();
      const bool cidr = field.type == Type::kCidr;
      for (size_t i = 0; i < n; ++i) {
        is_wide_[i] |= cidr ? values[rows[i]].family != 4 : kind_of(values[rows[i]]) != kV4Host;
      }
    }
  }
  size_t narrow = 0;
  for (size_t i = 0; i < n; ++i) narrow += is_wide_[i] == 0;
  size_t narrow_at = 0, wide_at = narrow;
  for (size_t i = 0; i < n; ++i) split[is_wide_[i] ? wide_at++ : narrow_at++] = rows[i];
  return narrow;
}

void KeyCodec::pack_narrow(const Column* keys, const uint32_t* rows, size_t n, TextDictionary& texts,
                           uint64_t* words) const {
  std::memset(words, 0, n * narrow_words_ * 8);
  const uint32_t stride = narrow_words_;
  for (size_t k = 0; k < fields_.size(); ++k) {
    const Field& field = fields_[k];
    uint64_t* at = words + field.word;
    switch (field.physical) {
      case Physical::kByte: {
        const uint8_t* values = keys[k].as<uint8_t>();
        put_field(at, stride, field.shift, rows, n, [values](uint32_t row) { return uint64_t{values[row] != 0}; });
        break;
      }
      case Physical::kInt64: {
        const int64_t* values = keys[k].as<int64_t>();
        put_field(at, stride, field.shift, rows, n,
                  [values](uint32_t row) { return static_cast<uint64_t>(values[row]); });
        break;
      }
      case Physical::kDouble: {
        const double* values = keys[k].as<double>();
        put_field(at, stride, field.shift, rows, n, [values](uint32_t row) { return double_word(values[row]); });
        break;
      }
      case Physical::kText: {
        const auto* values = keys[k].as<std::string_view>();
        put_field(at, stride, field.shift, rows, n, [&](uint32_t row) { return uint64_t{texts.id(values[row])}; });
        texts.end_batch();
        break;
      }
      case Physical::kInet: {
        const Inet* values = keys[k].as<Inet>();
        if (field.type == Type::kCidr) {
          put_field(at, stride, field.shift, rows, n,
                    [values](uint32_t row) { return values[row].hi >> 32 | uint64_t{values[row].prefix_bits} << 32; });
        } else {
          put_field(at, stride, field.shift, rows, n, [values](uint32_t row) { return values[row].hi >> 32; });
        }
        break;
      }
      case Physical::kInterval: break;
    }
  }
}

void KeyCodec::pack_wide(const Column* keys, const uint32_t* rows, size_t n, TextDictionary& texts,
                         uint64_t* words) const {
  std::memset(words, 0, n * wide_words_ * 8);
  for (size_t k = 0; k < fields_.size(); ++k) {
    const Field& field = fields_[k];
    for (size_t i = 0; i < n; ++i) {
      uint64_t* key = words + i * wide_words_;
      uint64_t* at = key + field.wide_word;
      const uint32_t row = rows[i];
      if (keys[k].is_null(row)) {
        key[0] |= uint64_t{1} << k;
        continue;
      }
      switch (field.physical) {
        case Physical::kByte: *at = keys[k].as<uint8_t>()[row] != 0; break;
        case Physical::kInt64: *at = static_cast<uint64_t>(keys[k].as<int64_t>()[row]); break;
        case Physical::kDouble: *at = double_word(keys[k].as<double>()[row]); break;
        case Physical::kText: *at = texts.id(keys[k].as<std::string_view>()[row]); break;
        case Physical::kInet: {
          const Inet& inet = keys[k].as<Inet>()[row];
          at[0] = inet.hi;
          at[1] = inet.lo;
          at[2] = kind_of(inet);
          break;
        }
        case Physical::kInterval: {
          const base::Interval& interval = keys[k].as<base::Interval>()[row];
          at[0] = static_cast<uint64_t>(interval.micros);
          at[1] = static_cast<uint64_t>(static_cast<uint32_t>(interval.days)) << 32 |
                  static_cast<uint32_t>(interval.months);
          break;
        }
      }
    }
    texts.end_batch();
  }
}

void KeyCodec::unpack_narrow(const uint64_t* const* rows, size_t n, const TextDictionary& texts, Column* out,
                             size_t at) const {
  for (size_t k = 0; k < fields_.size(); ++k) {
    const Field& field = fields_[k];
    if (out[k].values == nullptr) continue;
    if (out[k].has_nulls) std::memset(out[k].validity + at, 1, n);
    const unsigned word = field.word, shift = field.shift;
    const uint64_t mask = field.bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << field.bits) - 1;
    switch (field.physical) {
      case Physical::kByte:
        for (size_t i = 0; i < n; ++i) out[k].as<uint8_t>()[at + i] = rows[i][word] >> shift & 1;
        break;
      case Physical::kInt64:
      case Physical::kDouble: {
        uint64_t* values = out[k].as<uint64_t>() + at;
        for (size_t i = 0; i < n; ++i) values[i] = rows[i][word] >> shift & mask;
        break;
      }
      case Physical::kText:
        for (size_t i = 0; i < n; ++i) {
          out[k].as<std::string_view>()[at + i] = texts.text(static_cast<uint32_t>(rows[i][word] >> shift & mask));
        }
        break;
      case Physical::kInet: {
        Inet* values = out[k].as<Inet>() + at;
        for (size_t i = 0; i < n; ++i) {
          const uint64_t field_bits = rows[i][word] >> shift & mask;
          const uint8_t prefix = field.type == Type::kCidr ? static_cast<uint8_t>(field_bits >> 32) : uint8_t{32};
          values[i] = Inet::v4(static_cast<uint32_t>(field_bits), prefix);
        }
        break;
      }
      case Physical::kInterval: break;
    }
  }
}

void KeyCodec::unpack_wide(const uint64_t* const* rows, size_t n, const TextDictionary& texts, Column* out,
                           size_t at) const {
  for (size_t k = 0; k < fields_.size(); ++k) {
    const Field& field = fields_[k];
    if (out[k].values == nullptr) continue;
    for (size_t i = 0; i < n; ++i) {
      const uint64_t* word = rows[i] + field.wide_word;
      const size_t to = at + i;
      const bool null = rows[i][0] >> k & 1;
      if (out[k].has_nulls) out[k].validity[to] = !null;
      switch (field.physical) {
        case Physical::kByte: out[k].as<uint8_t>()[to] = static_cast<uint8_t>(*word); break;
        case Physical::kInt64:
        case Physical::kDouble: out[k].as<uint64_t>()[to] = *word; break;
        case Physical::kText:
          out[k].as<std::string_view>()[to] = null ? std::string_view() : texts.text(static_cast<uint32_t>(*word));
          break;
        case Physical::kInet: {
          Inet inet;
          inet.hi = word[0];
          inet.lo = word[1];
          inet.family = static_cast<uint8_t>(word[2]);
          inet.prefix_bits = static_cast<uint8_t>(word[2] >> 8);
          out[k].as<Inet>()[to] = inet;
          break;
        }
        case Physical::kInterval:
          out[k].as<base::Interval>()[to] = {static_cast<int64_t>(word[0]), static_cast<int32_t>(word[1] >> 32),
                                             static_cast<int32_t>(static_cast<uint32_t>(word[1]))};
          break;
      }
    }
  }
}

void KeyCodec::translate(bool wide, uint64_t* words, size_t n, const TextDictionary& from, TextDictionary& to) const {
  for (size_t k = 0; k < fields_.size(); ++k) {
    const Field& field = fields_[k];
    if (field.physical != Physical::kText) continue;
    for (size_t i = 0; i < n; ++i) {
      if (wide) {
        uint64_t* key = words + i * wide_words_;
        if ((key[0] >> k & 1) == 0)
          key[field.wide_word] = to.id(from.text(static_cast<uint32_t>(key[field.wide_word])));
      } else {
        uint64_t& word = words[i * narrow_words_ + field.word];
        const uint64_t mask = uint64_t{0xffffffff} << field.shift;
        const uint32_t id = to.id(from.text(static_cast<uint32_t>((word & mask) >> field.shift)));
        word = (word & ~mask) | static_cast<uint64_t>(id) << field.shift;
      }
    }
  }
  to.end_batch();
}

}  // namespace backstream::exec
