#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/inet.h"

namespace backstream::ingest {

/// A host address and port as the system takes them; returns the length.
socklen_t to_socket_address(const base::Inet& address, uint16_t port, sockaddr_storage& out) noexcept;
/// IPv4-mapped addresses become IPv4. Other families: an Inet of family 0.
base::Inet from_socket_address(const sockaddr_storage& address, uint16_t& port) noexcept;

}  // namespace backstream::ingest
