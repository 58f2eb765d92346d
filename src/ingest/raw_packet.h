#pragma once
#include <cstdint>

#include "base/inet.h"

namespace backstream::ingest {

/// The longest IP and UDP header that is made here.
inline constexpr uint32_t kRawHeaderOctetsMax = 48;

/// Writes the IPv4 or IPv6 header and the UDP header of a datagram, UDP checksum included (RFC 768, RFC 8200 §8.1).
/// Those of IPv4 that the kernel fills in for raw sockets stay zero: length, checksum, identification (raw(7)).
/// Both addresses are of one family; payload_octets is at most what UDP carries.
/// @param out  at least kRawHeaderOctetsMax
/// @return     the length of both headers
uint32_t write_raw_header(const base::Inet& source, uint16_t source_port, const base::Inet& destination,
                          uint16_t destination_port, const uint8_t* payload, uint32_t payload_octets,
                          uint8_t* out) noexcept;

}  // namespace backstream::ingest
