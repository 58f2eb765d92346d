#pragma once
// The demo's PoPs: one exporter each, on loopback.
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/inet.h"
#include "base/time.h"
#include "generate/record.h"

namespace backstream::app::demo {

using base::Micros;

inline constexpr Micros kSecond = base::kMicrosPerSecond;
inline constexpr Micros kWindow = 10 * kSecond;
inline constexpr Micros kDelay = 2 * kSecond;

struct Pop {
  const char* name;
  generate::Protocol protocol;
  const char* protocol_text;
};
/// No sFlow: the time of its flows is that of their arrival, which only the receiver knows.
inline constexpr std::array<Pop, 3> kPops = {{{"pop-sao", generate::Protocol::kNetflow9, "NetFlow v9"},
                                              {"pop-rio", generate::Protocol::kIpfix, "IPFIX"},
                                              {"pop-man", generate::Protocol::kNetflow5, "NetFlow v5"}}};
inline constexpr size_t kPopCut = 1;  ///< the one that is cut off for a while

/// The address of a PoP's exporter.
inline base::Inet source_of(size_t pop) { return base::Inet::v4(0x7f000101 + static_cast<uint32_t>(pop)); }

}  // namespace backstream::app::demo
