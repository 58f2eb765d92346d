// Addresses to listen on, and sockets that do.
#include "ingest/udp_listen.h"

#include <fmt/format.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <optional>
#include <span>
#include <utility>

#include "ingest/socket_address.h"

namespace backstream::ingest {
namespace {

/// Where to bind. On a machine without IPv6 "any" is the one of IPv4.
struct Place {
  int family = AF_UNSPEC;
  bool both_families = false;
  sockaddr_storage address{};
  socklen_t octets = 0;
};

base::Result<Place> find_place(const UdpListen& listen, const std::string& where) {
  const bool any = listen.host.empty() || listen.host == "*";
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int status =
      ::getaddrinfo(any ? "::" : listen.host.c_str(), std::to_string(listen.port).c_str(), &hints, &found);
  if (status != 0) return base::fail("listen", fmt::format("{}: {}", where, ::gai_strerror(status)));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> held(found, ::freeaddrinfo);
  Place place;
  place.family = found->ai_family;
  place.octets = found->ai_addrlen;
  std::memcpy(&place.address, found->ai_addr, found->ai_addrlen);
  if (!any) return place;
  const int probe = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (probe >= 0) {
    ::close(probe);
    place.both_families = true;
  } else {
    place.family = AF_INET;
    place.octets = to_socket_address(base::Inet::v4(0), listen.port, place.address);
  }
  return place;
}

constexpr uint32_t net(int offset) { return static_cast<uint32_t>(SKF_NET_OFF + offset); }

/// The program chooses for the whole group.
bool attach(int file, std::span<const sock_filter> program) {
  const sock_fprog attached{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
  return ::setsockopt(file, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &attached, sizeof attached) == 0;
}

/// Makes a group choose the socket by the source address: an exporter's datagrams stay in order and with one thread,
/// whatever ports they come from. Where the kernel does not take the program it chooses by addresses and ports.
void steer_by_exporter(int file, uint32_t count) {
  constexpr uint32_t kGoldenRatio = 0x9E3779B1;
  const sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, net(0)),
      BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 2, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, net(12)),  // IPv4: RFC 791 §3.1
      BPF_JUMP(BPF_JMP | BPF_JA, 10, 0, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, net(8)),  // IPv6, four words: RFC 8200 §3
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, net(12)),
      BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, net(16)),
      BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, net(20)),
      BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
      BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, kGoldenRatio),
      BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
      BPF_STMT(BPF_RET | BPF_A, 0),
  };
  (void)attach(file, program);
}

/// Makes a group choose any socket, anew for each datagram, or for all of them that the kernel has coalesced.
bool spread(int file, uint32_t count) {
  const sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM)),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
      BPF_STMT(BPF_RET | BPF_A, 0),
  };
  return attach(file, program);
}

/// The kernel begins to stamp what arrives some milliseconds after the first socket asked for it; until then what is
/// read gets the time of reading. A socket that sends to itself tells when it does.
class StampsAwaited {
 public:
  StampsAwaited() : file_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    constexpr int kTriesMax = 500;
    const int on = 1;
    sockaddr_storage address{};
    socklen_t octets = to_socket_address(base::Inet::v4(0x7f000001), 0, address);
    auto* const place = reinterpret_cast<sockaddr*>(&address);
    if (::setsockopt(file_, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0 || ::bind(file_, place, octets) != 0 ||
        ::getsockname(file_, place, &octets) != 0 || ::connect(file_, place, octets) != 0)
      return;  // No loopback: nobody can be asked.
    for (int tried = 0; tried < kTriesMax && !stamps(); ++tried) ::usleep(1'000);
  }
  ~StampsAwaited() {
    if (file_ >= 0) ::close(file_);
  }
  StampsAwaited(const StampsAwaited&) = delete;
  StampsAwaited& operator=(const StampsAwaited&) = delete;

 private:
  bool stamps() {
    uint8_t octet = 0;
    alignas(cmsghdr) uint8_t control[64] = {};
    iovec part{&octet, 1};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    if (::send(file_, &octet, 1, 0) != 1) return false;
    timespec asked{}, stamp{};
    ::clock_gettime(CLOCK_REALTIME, &asked);
    if (::recvmsg(file_, &header, 0) != 1) return false;
    const cmsghdr* told = CMSG_FIRSTHDR(&header);
    if (told == nullptr || told->cmsg_type != SO_TIMESTAMPNS) return false;
    std::memcpy(&stamp, CMSG_DATA(told), sizeof stamp);
    return std::pair(stamp.tv_sec, stamp.tv_nsec) <= std::pair(asked.tv_sec, asked.tv_nsec);
  }

  const int file_;
};

/// Asks for the buffer and returns what was granted.
uint64_t set_buffer(int file, int octets) {
  if (::setsockopt(file, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets) != 0)
    ::setsockopt(file, SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets);
  int got = 0;
  socklen_t size = sizeof got;
  ::getsockopt(file, SOL_SOCKET, SO_RCVBUF, &got, &size);
  return static_cast<uint64_t>(got) / 2;  // The kernel reports twice what it grants.
}

int open_one(const Place& place) {
  const int file = ::socket(place.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int off = 0;
  if (file >= 0 && place.both_families) ::setsockopt(file, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  return file;
}

bool bind_to(int file, const Place& place) {
  return ::bind(file, reinterpret_cast<const sockaddr*>(&place.address), place.octets) == 0;
}

}  // namespace

base::Result<SocketGroup> open_sockets(const UdpListen& listen, uint32_t count, const UdpOptions& options) {
  const bool any = listen.host.empty() || listen.host == "*";
  const std::string where = fmt::format("udp://{}:{}", any ? "*" : listen.host, listen.port);
  auto found = find_place(listen, where);
  if (!found) return tl::unexpected(found.error());
  Place place = *found;
  SocketGroup group;
  const auto fail = [&]() -> tl::unexpected<base::Diagnostic> {
    const int error = errno;
    for (const int file : group.files) ::close(file);
    return base::fail("listen", fmt::format("{}: {}", where, std::strerror(error)), {},
                      error == EADDRINUSE ? "another program listens there: ss -ulnp shows which" : "");
  };
  if (count > 1) {
    // The kernel lets in whoever asks to share the port, another collector of this user, too, and would then divide the
    // datagrams between the two: one that does not ask is refused.
    const int probe = open_one(place);
    const bool is_free = probe >= 0 && bind_to(probe, place);
    const int error = errno;
    if (probe >= 0) ::close(probe);
    errno = error;
    if (!is_free) return fail();
  }
  std::optional<StampsAwaited> stamps;  // Until the group's own sockets keep them going.
  if (options.steering == Steering::kSpread) stamps.emplace();
  for (uint32_t i = 0; i < count; ++i) {
    const int file = open_one(place);
    if (file < 0) return fail();
    group.files.push_back(file);
    const int on = 1;
    if (count > 1) ::setsockopt(file, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    ::setsockopt(file, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    if (options.steering == Steering::kSpread) ::setsockopt(file, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    if (options.coalesce) ::setsockopt(file, SOL_UDP, UDP_GRO, &on, sizeof on);
    group.buffer_octets.push_back(set_buffer(file, options.receive_buffer_octets));
    if (!bind_to(file, place)) return fail();
    sockaddr_storage bound{};
    socklen_t octets = sizeof bound;
    ::getsockname(file, reinterpret_cast<sockaddr*>(&bound), &octets);
    group.address = base::to_string(from_socket_address(bound, group.port));
    std::memcpy(&place.address, &bound, octets);  // The others join the port that the system chose.
  }
  if (count > 1 && options.steering == Steering::kExporter) steer_by_exporter(group.files[0], count);
  if (count > 1 && options.steering == Steering::kSpread && !spread(group.files[0], count))
    group.warnings.push_back(
        fmt::format("{}: the kernel does not spread datagrams (SO_ATTACH_REUSEPORT_CBPF: {}); it divides them by "
                    "addresses and ports",
                    where, std::strerror(errno)));
  const uint64_t granted = group.buffer_octets[0];
  if (granted < static_cast<uint64_t>(options.receive_buffer_octets)) {
    group.warnings.push_back(
        fmt::format("{}: receive buffer is {} octets, {} were asked for: bursts may be lost. "
                    "sysctl -w net.core.rmem_max={} allows it",
                    where, granted, options.receive_buffer_octets, options.receive_buffer_octets));
  }
  return group;
}

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

}  // namespace backstream::ingest
