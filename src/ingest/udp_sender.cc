#include "ingest/udp_sender.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "ingest/socket_address.h"

namespace backstream::ingest {

UdpSender::UdpSender(const base::Inet& destination, uint16_t port, const base::Inet* source)
    : socket_(::socket(destination.family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)), waiting_(kBatch) {
  if (socket_ < 0) throw std::system_error(errno, std::generic_category(), "UDP socket");
  const auto check = [&](int status, const char* what) {
    if (status == 0) return;
    const int error = errno;
    ::close(socket_);
    throw std::system_error(error, std::generic_category(), what);
  };
  sockaddr_storage address;
  if (source != nullptr) {
    const socklen_t octets = to_socket_address(*source, 0, address);
    check(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), octets), "UDP source address");
  }
  const socklen_t octets = to_socket_address(destination, port, address);
  check(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), octets), "UDP destination");
}

UdpSender::~UdpSender() {
  flush();
  ::close(socket_);
}

bool UdpSender::send(std::span<const uint8_t> payload) {
  waiting_[waiting_count_++].assign(payload.begin(), payload.end());
  return waiting_count_ < kBatch || flush();
}

bool UdpSender::flush() {
  mmsghdr messages[kBatch] = {};
  iovec parts[kBatch];
  for (size_t i = 0; i < waiting_count_; ++i) {
    parts[i] = {waiting_[i].data(), waiting_[i].size()};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  bool all = true;
  for (size_t at = 0; at < waiting_count_;) {
    const int taken = ::sendmmsg(socket_, messages + at, static_cast<unsigned>(waiting_count_ - at), 0);
    if (taken > 0) {
      at += static_cast<size_t>(taken);
      sent_ += static_cast<uint64_t>(taken);
    } else if (errno != EINTR) {
      // ECONNREFUSED tells of an earlier datagram; this one is given up and counted, the rest is tried.
      ++refused_;
      ++at;
      all = false;
    }
  }
  waiting_count_ = 0;
  return all;
}

}  // namespace backstream::ingest
