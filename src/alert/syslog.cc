// Syslog, RFC 5424: a datagram (RFC 5426), counted octets on a connection (RFC 6587 §3.4.1), or the socket of this
// machine.
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "alert/sender.h"
#include "config/endpoint.h"

namespace backstream::alert {
namespace {

std::string own_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "-";
}

class Syslog final : public Sender {
 public:
  explicit Syslog(const config::NotifySettings& settings)
      : to_(settings.to),
        udp_(config::parse_endpoint(settings.to, "udp")),
        tcp_(config::parse_endpoint(settings.to, "tcp")),
        timeout_(settings.timeout_us),
        host_(own_name()) {}
  ~Syslog() override { close(); }

  Attempt send(std::span<const Json> notices) override {
    deadline_ = Clock::now() + timeout_;
    std::string message = syslog_message(notices[0], host_, base::wall_clock());
    if (tcp_) message = fmt::format("{} {}", message.size(), message);
    // A peer that was started anew is told by the first message that goes nowhere: once more, then.
    const bool fresh = fd_ < 0;
    Attempt attempt = attempt_once(message);
    if (attempt.result == Attempt::Result::kDelivered || fresh) return attempt;
    return attempt_once(message);
  }

 private:
  using Clock = std::chrono::steady_clock;

  Attempt attempt_once(const std::string& message) {
    if (fd_ < 0) {
      if (std::string error = connect(); !error.empty()) {
        close();
        return {Attempt::Result::kRetry, std::move(error)};
      }
    }
    if (tcp_ && gone()) {
      close();
      return {Attempt::Result::kRetry, "the connection was closed"};
    }
    for (size_t sent = 0; sent < message.size();) {
      const ssize_t n = ::send(fd_, message.data() + sent, message.size() - sent, MSG_NOSIGNAL);
      if (n > 0) {
        sent += static_cast<size_t>(n);
        continue;
      }
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == ENOBUFS) && wait(POLLOUT)) continue;
      const std::string error = errno == EAGAIN ? "it takes nothing" : std::strerror(errno);
      close();
      return {Attempt::Result::kRetry, error};
    }
    return {};
  }
  /// Whether the peer has closed the connection: what is written into one comes to nothing, without an error.
  bool gone() const {
    char octet = 0;
    const ssize_t n = ::recv(fd_, &octet, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
  }
  bool wait(short what) const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    pollfd poll{fd_, what, 0};
    return left > 0 && ::poll(&poll, 1, static_cast<int>(left)) == 1;
  }
  /// Empty: it is.
  std::string connect() {
    if (!udp_ && !tcp_) return connect_local();
    const config::Endpoint& endpoint = udp_ ? *udp_ : *tcp_;
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = udp_ ? SOCK_DGRAM : SOCK_STREAM;
    if (const int error = ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &found);
        error != 0)
      return fmt::format("{}: {}", endpoint.host, ::gai_strerror(error));
    std::string error = "it has no address";
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
      close();
      fd_ = ::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol);
      if (fd_ < 0) continue;
      error = settle(::connect(fd_, at->ai_addr, at->ai_addrlen));
      if (error.empty()) break;
    }
    ::freeaddrinfo(found);
    return error;
  }
  std::string settle(int connected) const {
    if (connected == 0) return {};
    if (errno != EINPROGRESS) return std::strerror(errno);
    if (!wait(POLLOUT)) return "it does not answer";
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    return error == 0 ? std::string() : std::strerror(error);
  }
  std::string connect_local() {
    const std::string path = to_.substr(std::string("unix://").size());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return "the path of the socket is too long";
    std::memcpy(address.sun_path, path.data(), path.size());
    fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ < 0) return std::strerror(errno);
    return settle(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address));
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  const std::string to_;
  const std::optional<config::Endpoint> udp_, tcp_;
  const std::chrono::microseconds timeout_;
  const std::string host_;
  Clock::time_point deadline_{};
  int fd_ = -1;
};

}  // namespace

std::unique_ptr<Sender> make_syslog(const config::NotifySettings& settings) {
  return std::make_unique<Syslog>(settings);
}

}  // namespace backstream::alert
