#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "ingest/udp_source.h"

namespace backstream::ingest {

/// The sockets that listen on one address: one, or a group that shares it (SO_REUSEPORT).
struct SocketGroup {
  std::vector<int> files;  ///< owned by the caller
  std::string address;     ///< that they are bound to
  uint16_t port = 0;
  std::vector<uint64_t> buffer_octets;  ///< granted, each socket
  std::vector<std::string> warnings;
};

/// Opens and binds. Errors: cannot; nothing is left open then.
/// @param count  sockets; instead of options.sockets
base::Result<SocketGroup> open_sockets(const UdpListen& listen, uint32_t count, const UdpOptions& options);

}  // namespace backstream::ingest
