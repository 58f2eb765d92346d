#include "ingest/udp_source.h"

#include <fmt/format.h>
#include <linux/sock_diag.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>

#include "ingest/socket_address.h"

namespace backstream::ingest {
namespace {

constexpr size_t kMessages = 32;
/// A coalesced receive (UDP_GRO) holds up to 64 KiB of datagrams of one size.
constexpr size_t kMessageOctets = 65'536;
constexpr size_t kControlOctets = 128;
constexpr int kBatchesPerTurn = 8;  ///< of one socket, before the others have their turn

base::Micros wall_clock() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

struct Socket {
  int file = -1;
  uint32_t site = 0;
  uint32_t drops = 0;  ///< the kernel's counter of 32 bits as last seen
  uint16_t port = 0;
};

class Listener final : public UdpSource {
 public:
  explicit Listener(int poll_interval_ms)
      : poll_interval_ms_(poll_interval_ms),
        memory_(kMessages * kMessageOctets),
        control_(kMessages * kControlOctets),
        names_(kMessages) {}
  ~Listener() override {
    for (const Socket& socket : sockets_) ::close(socket.file);
  }

  base::Result<void> add(const UdpListen& listen, uint32_t site, int receive_buffer_octets) {
    addrinfo hints{};
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_DGRAM;
    const bool any = listen.host.empty() || listen.host == "*";
    addrinfo* found = nullptr;
    const std::string where = fmt::format("udp://{}:{}", any ? "*" : listen.host, listen.port);
    const int status =
        ::getaddrinfo(any ? "::" : listen.host.c_str(), std::to_string(listen.port).c_str(), &hints, &found);
    if (status != 0) return base::fail("listen", fmt::format("{}: {}", where, ::gai_strerror(status)));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> held(found, ::freeaddrinfo);
    Socket socket;
    socket.site = site;
    const addrinfo* address = found;
    socket.file = ::socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_storage any_v4{};
    const sockaddr* bind_to = address->ai_addr;
    socklen_t bind_octets = address->ai_addrlen;
    if (socket.file < 0 && any) {  // a machine without IPv6
      socket.file = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      bind_octets = to_socket_address(base::Inet::v4(0), listen.port, any_v4);
      bind_to = reinterpret_cast<const sockaddr*>(&any_v4);
    }
    if (socket.file < 0) return base::fail("listen", fmt::format("{}: {}", where, std::strerror(errno)));
    const int on = 1, off = 0;
    if (any) ::setsockopt(socket.file, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    ::setsockopt(socket.file, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    ::setsockopt(socket.file, SOL_UDP, UDP_GRO, &on, sizeof on);
    set_buffer(socket.file, receive_buffer_octets, where);
    if (::bind(socket.file, bind_to, bind_octets) != 0) {
      const int error = errno;
      ::close(socket.file);
      return base::fail("listen", fmt::format("{}: {}", where, std::strerror(error)), {},
                        error == EADDRINUSE ? "another program listens there: ss -ulnp shows which" : "");
    }
    sockaddr_storage bound{};
    socklen_t octets = sizeof bound;
    ::getsockname(socket.file, reinterpret_cast<sockaddr*>(&bound), &octets);
    (void)from_socket_address(bound, socket.port);
    ports_.push_back(socket.port);
    sockets_.push_back(socket);
    polls_.push_back({socket.file, POLLIN, 0});
    return {};
  }

  std::span<const base::Datagram> next_block() override {
    block_.clear();
    if (receive_any()) return block_;
    // Nothing waits: what was dropped behind the last datagram is known only by asking.
    for (Socket& socket : sockets_) ask_drops(socket);
    if (::poll(polls_.data(), polls_.size(), poll_interval_ms_) > 0) receive_any();
    return block_;
  }
  bool at_end() const override { return false; }
  const IngestStats& stats() const override { return stats_; }
  const std::vector<uint16_t>& ports() const override { return ports_; }

 private:
  void set_buffer(int file, int octets, const std::string& where) {
    if (::setsockopt(file, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets) != 0) {
      ::setsockopt(file, SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets);
    }
    int got = 0;
    socklen_t size = sizeof got;
    ::getsockopt(file, SOL_SOCKET, SO_RCVBUF, &got, &size);
    // The kernel reports twice what it grants.
    if (got / 2 < octets) {
      stats_.warnings.push_back(
          fmt::format("{}: receive buffer is {} octets, {} were asked for: bursts may be lost. "
                      "sysctl -w net.core.rmem_max={} allows it",
                      where, got / 2, octets, octets));
    }
  }

  /// Payloads lie in one area that is reused, so a block is one receive of one socket.
  bool receive_any() {
    for (size_t tried = 0; tried < sockets_.size(); ++tried) {
      if (turn_batches_ >= kBatchesPerTurn) {
        turn_batches_ = 0;
        turn_ = (turn_ + 1) % sockets_.size();
      }
      if (receive(sockets_[turn_])) {
        ++turn_batches_;
        return true;
      }
      turn_batches_ = kBatchesPerTurn;
    }
    return false;
  }

  /// `drops`: the socket's counter; one told with a datagram is as old as that datagram.
  void note_drops(Socket& socket, uint32_t drops) {
    const auto more = static_cast<int32_t>(drops - socket.drops);
    if (more <= 0) return;
    stats_.kernel_drops += static_cast<uint32_t>(more);
    socket.drops = drops;
  }
  void ask_drops(Socket& socket) {
    uint32_t memory[SK_MEMINFO_VARS] = {};
    socklen_t octets = sizeof memory;
    if (::getsockopt(socket.file, SOL_SOCKET, SO_MEMINFO, memory, &octets) != 0) return;
    if (octets > SK_MEMINFO_DROPS * sizeof(uint32_t)) note_drops(socket, memory[SK_MEMINFO_DROPS]);
  }

  bool receive(Socket& socket) {
    mmsghdr messages[kMessages] = {};
    iovec parts[kMessages];
    for (size_t i = 0; i < kMessages; ++i) {
      parts[i] = {memory_.data() + i * kMessageOctets, kMessageOctets};
      msghdr& header = messages[i].msg_hdr;
      header.msg_iov = &parts[i];
      header.msg_iovlen = 1;
      header.msg_name = &names_[i];
      header.msg_namelen = sizeof names_[i];
      header.msg_control = control_.data() + i * kControlOctets;
      header.msg_controllen = kControlOctets;
    }
    const int got = ::recvmmsg(socket.file, messages, kMessages, 0, nullptr);
    if (got <= 0) return false;
    const base::Micros now = wall_clock();
    for (int i = 0; i < got; ++i) {
      msghdr& header = messages[i].msg_hdr;
      const uint32_t octets = messages[i].msg_len;
      uint32_t segment = octets;
      for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
          int size = 0;
          std::memcpy(&size, CMSG_DATA(c), sizeof size);
          if (size > 0) segment = static_cast<uint32_t>(size);
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
          uint32_t drops = 0;
          std::memcpy(&drops, CMSG_DATA(c), sizeof drops);
          note_drops(socket, drops);
        }
      }
      base::Datagram datagram;
      datagram.source = from_socket_address(names_[static_cast<size_t>(i)], datagram.source_port);
      datagram.destination_port = socket.port;
      datagram.site = socket.site;
      datagram.received_at = now;
      datagram.payload = static_cast<const uint8_t*>(header.msg_iov->iov_base);
      uint32_t left = octets;
      do {  // An empty datagram is one, too.
        datagram.payload_octets = std::min(segment, left);
        block_.push_back(datagram);
        datagram.payload += datagram.payload_octets;
        left -= datagram.payload_octets;
      } while (left > 0);
      stats_.octets += octets;
    }
    stats_.frames += block_.size();
    stats_.datagrams += block_.size();
    return true;
  }

  const int poll_interval_ms_;
  std::vector<Socket> sockets_;
  std::vector<pollfd> polls_;
  std::vector<uint16_t> ports_;
  std::vector<uint8_t> memory_;
  std::vector<uint8_t> control_;
  std::vector<sockaddr_storage> names_;
  std::vector<base::Datagram> block_;
  size_t turn_ = 0;
  int turn_batches_ = 0;
  IngestStats stats_;
};

}  // namespace

base::Result<UdpListen> parse_listen(std::string_view text) {
  const auto refuse = [&] {
    return base::fail("usage", fmt::format("'{}' is not an address to listen on", text), {},
                      "write udp://HOST:PORT, for example udp://0.0.0.0:2055");
  };
  constexpr std::string_view kScheme = "udp://";
  if (!text.starts_with(kScheme)) return refuse();
  std::string_view rest = text.substr(kScheme.size());
  UdpListen listen;
  size_t colon = 0;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos || end + 1 >= rest.size() || rest[end + 1] != ':') return refuse();
    listen.host = rest.substr(1, end - 1);
    colon = end + 1;
  } else {
    colon = rest.rfind(':');
    if (colon == std::string_view::npos) return refuse();
    listen.host = rest.substr(0, colon);
    if (listen.host.find(':') != std::string::npos) return refuse();  // IPv6 stands in brackets
  }
  const std::string_view port = rest.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), listen.port);
  if (port.empty() || error != std::errc() || end != port.data() + port.size()) return refuse();
  return listen;
}

base::Result<std::unique_ptr<DatagramSource>> listen_udp(const std::vector<UdpListen>& listen,
                                                         int receive_buffer_octets, std::vector<std::string>& sites,
                                                         int poll_interval_ms) {
  auto listener = std::make_unique<Listener>(poll_interval_ms);
  if (sites.empty()) sites.emplace_back();
  for (const UdpListen& one : listen) {
    uint32_t site = 0;
    if (!one.site.empty()) {
      const auto known = std::find(sites.begin() + 1, sites.end(), one.site);
      site = static_cast<uint32_t>(known - sites.begin());
      if (known == sites.end()) sites.push_back(one.site);
    }
    if (auto added = listener->add(one, site, receive_buffer_octets); !added) return tl::unexpected(added.error());
  }
  return listener;
}

}  // namespace backstream::ingest
