#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/prefix_set.h"
#include "base/published.h"
#include "ingest/source.h"

namespace backstream::ingest {

struct UdpListen {
  std::string host;  ///< "" or "*" : any address, IPv6 socket for both families
  uint16_t port = 0;
  std::string site;
};
/// "udp://HOST:PORT", "udp://[::1]:2055".
base::Result<UdpListen> parse_listen(std::string_view text);

/// Which socket of a group (SO_REUSEPORT) a datagram comes to.
enum class Steering : uint8_t {
  kExporter,  ///< all of a source address to the same one: one thread has its templates and its numbers in order
  kSpread,    ///< any: a heavy exporter is divided over the threads, and datagrams have the kernel's time stamps
};

struct UdpOptions {
  int receive_buffer_octets = 32 << 20;  ///< asked for, each socket (SO_RCVBUFFORCE, then SO_RCVBUF)
  /// Sockets of each address (SO_REUSEPORT): at least one a thread, rounded up to a multiple of the threads.
  uint32_t sockets = 1;
  uint32_t threads = 1;  ///< sources that listen_udp() returns, each for a thread of its own
  Steering steering = Steering::kExporter;
  bool coalesce = true;  ///< take what the kernel coalesced in one piece (UDP_GRO)
  /// Sources that are heard, of which there is one set at least; it may be replaced while sockets are read. Null, or a
  /// set that is empty: all are.
  std::shared_ptr<const base::Published<base::PrefixSet>> allow = nullptr;
  int poll_interval_ms = 100;
};

/// Datagrams of sockets, many in one system call (recvmmsg), and as one where the kernel coalesced them (UDP_GRO).
class UdpSource : public DatagramSource {
 public:
  /// In the order of the listens: also tells the port that the system chose where 0 was asked for.
  virtual const std::vector<uint16_t>& ports() const = 0;
};

/// Binds the sockets. Warns (stats) with the sysctl to set when the kernel granted a smaller buffer, and when it does
/// not spread. Errors: cannot bind.
base::Result<std::vector<std::unique_ptr<UdpSource>>> listen_udp(const std::vector<UdpListen>& listen,
                                                                 const UdpOptions& options,
                                                                 std::vector<std::string>& sites);

}  // namespace backstream::ingest
