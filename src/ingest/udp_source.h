#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/prefix_set.h"
#include "ingest/source.h"

namespace backstream::ingest {

struct UdpListen {
  std::string host;  ///< "" or "*" : any address, IPv6 socket for both families
  uint16_t port = 0;
  std::string site;
};
/// "udp://HOST:PORT", "udp://[::1]:2055".
base::Result<UdpListen> parse_listen(std::string_view text);

struct UdpOptions {
  int receive_buffer_octets = 32 << 20;  ///< asked for, each socket (SO_RCVBUFFORCE, then SO_RCVBUF)
  /// Sockets of each address (SO_REUSEPORT): at least one a thread, rounded up to a multiple of the threads.
  uint32_t sockets = 1;
  uint32_t threads = 1;   ///< sources that listen_udp() returns, each for a thread of its own
  bool coalesce = true;   ///< take what the kernel coalesced in one piece (UDP_GRO)
  base::PrefixSet allow;  ///< sources that are heard; empty: all
  int poll_interval_ms = 100;
};

/// Datagrams of sockets, many in one system call (recvmmsg), and as one where the kernel coalesced them (UDP_GRO).
class UdpSource : public DatagramSource {
 public:
  /// In the order of the listens: also tells the port that the system chose where 0 was asked for.
  virtual const std::vector<uint16_t>& ports() const = 0;
};

/// Binds the sockets. All datagrams of an exporter's address come to the same socket of the group, so that one thread
/// has its templates and its sequence numbers in order.
/// Warns (stats) with the sysctl to set when the kernel granted a smaller buffer. Errors: cannot bind.
base::Result<std::vector<std::unique_ptr<UdpSource>>> listen_udp(const std::vector<UdpListen>& listen,
                                                                 const UdpOptions& options,
                                                                 std::vector<std::string>& sites);

}  // namespace backstream::ingest
