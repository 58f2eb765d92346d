#pragma once
// Builds frames and captures octet by octet, so that tests do not depend on CaptureWriter.
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/captures.h"

namespace backstream::ingest {

using Octets = std::vector<uint8_t>;

inline Octets operator+(Octets a, const Octets& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Octets text(std::string_view of) { return {of.begin(), of.end()}; }
/// An unsigned integer of `octets` bytes.
inline Octets number(uint64_t value, unsigned octets, bool big_endian = true) {
  Octets out(octets);
  for (unsigned i = 0; i < octets; ++i) out[big_endian ? octets - 1 - i : i] = static_cast<uint8_t>(value >> (8 * i));
  return out;
}

inline Octets udp(const Octets& payload, uint16_t source_port = 1000, uint16_t destination_port = 2055) {
  return number(source_port, 2) + number(destination_port, 2) + number(8 + payload.size(), 2) + number(0, 2) + payload;
}
/// From 192.0.2.1 to 192.0.2.2.
inline Octets ipv4(const Octets& inside, uint8_t protocol = 17, uint16_t fragment = 0x4000,
                   const Octets& options = {}) {
  const size_t header = 20 + options.size();
  return number(0x40 | header / 4, 1) + number(0, 1) + number(header + inside.size(), 2) + number(7, 2) +
         number(fragment, 2) + number(64, 1) + number(protocol, 1) + number(0, 2) + number(0xc0000201, 4) +
         number(0xc0000202, 4) + options + inside;
}
/// From 2001:db8::1 to 2001:db8::2.
inline Octets ipv6(const Octets& inside, uint8_t next = 17) {
  return number(0x60000000, 4) + number(inside.size(), 2) + number(next, 1) + number(64, 1) +
         number(0x20010db8'00000000, 8) + number(1, 8) + number(0x20010db8'00000000, 8) + number(2, 8) + inside;
}
inline Octets ethernet(const Octets& inside, uint16_t type = 0x0800) {
  return Octets(12, 2) + number(type, 2) + inside;
}
inline Octets flow_frame(std::string_view payload) { return ethernet(ipv4(udp(text(payload)))); }

/// Parts of captures in one byte order.
struct CaptureBytes {
  bool big_endian = false;

  Octets u16(uint64_t value) const { return number(value, 2, big_endian); }
  Octets u32(uint64_t value) const { return number(value, 4, big_endian); }
  Octets u64(uint64_t value) const { return number(value, 8, big_endian); }

  Octets pcap_header(uint32_t link_type = 1, uint32_t magic = 0xa1b2c3d4) const {
    return u32(magic) + u16(2) + u16(4) + u32(0) + u32(0) + u32(65535) + u32(link_type);
  }
  Octets pcap_packet(uint32_t seconds, uint32_t fraction, const Octets& frame) const {
    return u32(seconds) + u32(fraction) + u32(frame.size()) + u32(frame.size()) + frame;
  }

  static Octets pad(Octets octets) {
    octets.resize((octets.size() + 3) / 4 * 4);
    return octets;
  }
  Octets block(uint32_t type, const Octets& body) const {
    const size_t length = 12 + pad(body).size();
    return u32(type) + u32(length) + pad(body) + u32(length);
  }
  Octets section() const { return block(0x0a0d0d0a, u32(0x1a2b3c4d) + u16(1) + u16(0) + u64(UINT64_MAX)); }
  Octets option(uint16_t code, const Octets& value) const { return u16(code) + u16(value.size()) + pad(value); }
  Octets interface(uint16_t link_type = 1, uint32_t snap_octets = 0, const Octets& options = {}) const {
    return block(1, u16(link_type) + u16(0) + u32(snap_octets) + options);
  }
  Octets enhanced(uint64_t ticks, const Octets& frame, uint32_t interface_id = 0) const {
    return block(6, u32(interface_id) + u32(ticks >> 32) + u32(ticks) + u32(frame.size()) + u32(frame.size()) +
                        pad(frame) + option(1, text("a comment")) + option(0, {}));
  }
  Octets obsolete(uint64_t ticks, const Octets& frame) const {
    return block(2, u16(0) + u16(3) + u32(ticks >> 32) + u32(ticks) + u32(frame.size()) + u32(frame.size()) + frame);
  }
  Octets simple(const Octets& frame, size_t whole_octets) const { return block(3, u32(whole_octets) + frame); }
};

/// What a source gave, with copies of the payloads.
struct Seen {
  struct Datagram {
    std::string payload;
    base::Datagram about;
  };
  std::vector<Datagram> datagrams;
  IngestStats stats;
  std::string error;  ///< not empty: it could not be opened, and why

  uint64_t skipped(IngestSkip why) const { return stats.skipped[static_cast<size_t>(why)]; }
  uint64_t skipped_all() const {
    uint64_t sum = 0;
    for (const uint64_t count : stats.skipped) sum += count;
    return sum;
  }
  std::vector<std::string> payloads() const {
    std::vector<std::string> out;
    for (const Datagram& datagram : datagrams) out.push_back(datagram.payload);
    return out;
  }
  std::vector<base::Micros> times() const {
    std::vector<base::Micros> out;
    for (const Datagram& datagram : datagrams) out.push_back(datagram.about.received_at);
    return out;
  }
};

inline void take(std::span<const base::Datagram> block, Seen& seen) {
  for (const base::Datagram& datagram : block) {
    seen.datagrams.push_back({std::string(datagram.payload, datagram.payload + datagram.payload_octets), datagram});
  }
}
inline Seen see(base::Result<std::unique_ptr<DatagramSource>> source) {
  Seen seen;
  if (!source) {
    seen.error = source.error().message;
    return seen;
  }
  while (!(*source)->at_end()) take((*source)->next_block(), seen);
  seen.stats = (*source)->stats();
  return seen;
}
inline Seen see(const Octets& capture) { return see(open_capture_octets(capture)); }
/// One frame as a capture of its own.
inline Seen see_frame(uint32_t link_type, const Octets& frame) {
  const CaptureBytes bytes;
  return see(bytes.pcap_header(link_type) + bytes.pcap_packet(1, 0, frame));
}

}  // namespace backstream::ingest
