#include "ingest/socket_address.h"

#include <cstring>

#include "base/byte_order.h"

namespace backstream::ingest {

socklen_t to_socket_address(const base::Inet& address, uint16_t port, sockaddr_storage& out) noexcept {
  std::memset(&out, 0, sizeof out);
  if (address.family == 4) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(address.v4_address());
    return sizeof v4;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  base::store_be64(v6.sin6_addr.s6_addr, address.hi);
  base::store_be64(v6.sin6_addr.s6_addr + 8, address.lo);
  return sizeof v6;
}

base::Inet from_socket_address(const sockaddr_storage& address, uint16_t& port) noexcept {
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    port = ntohs(v4.sin_port);
    return base::Inet::v4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.ss_family != AF_INET6) return {};
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  port = ntohs(v6.sin6_port);
  return base::Inet::from_v6_octets(v6.sin6_addr.s6_addr);
}

}  // namespace backstream::ingest
