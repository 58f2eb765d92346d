#pragma once
// MaxMind DB files (format 2.0) for tests.
#include <bit>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/inet.h"
#include "lookup/mrt_test_writer.h"

namespace backstream::lookup {

inline Octets mmdb_head(unsigned kind, size_t size) {
  Octets out;
  const auto small = static_cast<uint8_t>(size < 29 ? size : size < 285 ? 29 : size < 65821 ? 30 : 31);
  if (kind <= 7) {
    out = {static_cast<uint8_t>(kind << 5 | small)};
  } else {
    out = {small, static_cast<uint8_t>(kind - 7)};
  }
  if (small == 29) out = out + big_endian(size - 29, 1);
  if (small == 30) out = out + big_endian(size - 285, 2);
  if (small == 31) out = out + big_endian(size - 65821, 3);
  return out;
}
inline Octets mmdb_text(std::string_view text) { return mmdb_head(2, text.size()) + Octets(text.begin(), text.end()); }
inline Octets mmdb_uint16(uint16_t value) { return mmdb_head(5, 2) + big_endian(value, 2); }
inline Octets mmdb_uint32(uint32_t value) { return mmdb_head(6, 4) + big_endian(value, 4); }
inline Octets mmdb_uint64(uint64_t value) { return mmdb_head(9, 8) + big_endian(value, 8); }
inline Octets mmdb_int32(int32_t value) { return mmdb_head(8, 4) + big_endian(static_cast<uint32_t>(value), 4); }
inline Octets mmdb_double(double value) { return mmdb_head(3, 8) + big_endian(std::bit_cast<uint64_t>(value), 8); }
inline Octets mmdb_bool(bool value) { return mmdb_head(14, value ? 1 : 0); }
inline Octets mmdb_map(const std::vector<std::pair<const char*, Octets>>& members) {
  Octets out = mmdb_head(7, members.size());
  for (const auto& [key, value] : members) out = out + mmdb_text(key) + value;
  return out;
}
inline Octets mmdb_pointer(uint32_t offset) { return Octets{0x38} + big_endian(offset, 4); }

class MmdbWriter {
 public:
  MmdbWriter(unsigned ip_version, unsigned record_bits) : ip_version_(ip_version), record_bits_(record_bits) {}

  /// Puts a value into the data section; returns its offset.
  uint32_t add_data(const Octets& value) {
    data_ = data_ + value;
    return static_cast<uint32_t>(data_.size() - value.size());
  }
  /// Shorter networks first.
  void insert(const base::Inet& network, uint32_t data) {
    const bool shifted = ip_version_ == 6 && network.family == 4;
    const unsigned bits = network.prefix_bits + (shifted ? 96U : 0U);
    const base::Inet at = shifted ? base::Inet::v6(0, network.v4_address()) : network;
    point(at, bits, kData + data);
  }
  void insert(const char* network, uint32_t data) { insert(*base::parse_cidr(network), data); }
  /// As MaxMind's files have it: the IPv4 tree again at ::ffff:0:0/96, 2002::/16 and 2001::/32.
  void alias_ipv4() {
    uint64_t record = 0;
    for (int bit = 0; bit < 96; ++bit) record = nodes_[record][0];
    point(base::Inet::v6(0, uint64_t{0xffff} << 32), 96, record);
    point(base::Inet::v6(uint64_t{0x2002} << 48, 0), 16, record);
    point(base::Inet::v6(uint64_t{0x20010000} << 32, 0), 32, record);
  }
  /// A record of the tree by force: kData + offset, kNone or the number of a node.
  void set_record(size_t node, unsigned side, uint64_t record) { nodes_[node][side] = record; }

  Octets tree() const {
    Octets out;
    for (const auto& node : nodes_) {
      uint64_t words[2];
      for (int side = 0; side < 2; ++side) {
        words[side] = node[side] == kNone   ? nodes_.size()
                      : node[side] >= kData ? node[side] - kData + nodes_.size() + 16
                                            : node[side];
      }
      if (record_bits_ == 28) {
        out = out + big_endian(words[0], 3) + Octets{static_cast<uint8_t>(words[0] >> 24 << 4 | words[1] >> 24)} +
              big_endian(words[1], 3);
      } else {
        out = out + big_endian(words[0], record_bits_ / 8) + big_endian(words[1], record_bits_ / 8);
      }
    }
    return out;
  }
  Octets metadata() const {
    static constexpr std::string_view kMarker = "\xab\xcd\xefMaxMind.com";
    return Octets(kMarker.begin(), kMarker.end()) +
           mmdb_map({{"binary_format_major_version", mmdb_uint16(2)},
                     {"binary_format_minor_version", mmdb_uint16(0)},
                     {"build_epoch", mmdb_uint64(1'700'000'000)},
                     {"database_type", mmdb_text("Test")},
                     {"description", mmdb_map({{"en", mmdb_text("made by a test")}})},
                     {"ip_version", mmdb_uint16(static_cast<uint16_t>(ip_version_))},
                     {"languages", Octets{0x00, 0x04}},
                     {"node_count", mmdb_uint32(static_cast<uint32_t>(nodes_.size()))},
                     {"record_size", mmdb_uint16(static_cast<uint16_t>(record_bits_))}});
  }
  Octets file() const { return tree() + Octets(16, 0) + data_ + metadata(); }

  static constexpr uint64_t kNone = UINT64_MAX / 2, kData = uint64_t{1} << 40;

 private:
  void point(const base::Inet& at, unsigned bits, uint64_t record) {
    size_t node = 0;
    for (unsigned bit = 0;; ++bit) {
      const uint64_t word = bit < 64 ? at.hi : at.lo;
      const auto side = static_cast<size_t>(word >> (63 - bit % 64) & 1);
      if (bit + 1 == bits) {
        nodes_[node][side] = record;
        return;
      }
      const uint64_t next = nodes_[node][side];
      if (next >= kData) {  // kNone, too: what was said of the whole holds for both halves.
        nodes_.push_back({next, next});
        nodes_[node][side] = nodes_.size() - 1;
      }
      node = nodes_[node][side];
    }
  }

  const unsigned ip_version_, record_bits_;
  std::vector<std::vector<uint64_t>> nodes_{{kNone, kNone}};
  Octets data_;
};

}  // namespace backstream::lookup
