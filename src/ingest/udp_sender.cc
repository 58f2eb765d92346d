#include "ingest/udp_sender.h"

#include <netinet/udp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "ingest/socket_address.h"

namespace backstream::ingest {
namespace {
constexpr size_t kCoalescedOctetsMax = 65'000;  ///< one IP packet, with room for its headers
}  // namespace

UdpSender::UdpSender(const base::Inet& destination, uint16_t port, const base::Inet* source, bool coalesce)
    : socket_(::socket(destination.family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
      coalesce_(coalesce),
      waiting_(kBatch) {
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

/// How many of the waiting datagrams, from `first` on, can be one UDP_SEGMENT message: all of one length, the last one
/// may be shorter, and together no more than an IP packet holds.
size_t UdpSender::run_from(size_t first) const {
  const size_t length = waiting_[first].size();
  if (!coalesce_ || length == 0) return 1;
  size_t octets = length, end = first + 1;
  while (end < waiting_count_ && octets + waiting_[end].size() <= kCoalescedOctetsMax && !waiting_[end].empty() &&
         waiting_[end].size() <= length) {
    octets += waiting_[end].size();
    if (waiting_[end++].size() < length) break;
  }
  return end - first;
}

bool UdpSender::flush() {
  mmsghdr messages[kBatch] = {};
  size_t runs[kBatch] = {};
  iovec parts[kBatch];
  alignas(cmsghdr) uint8_t controls[kBatch][CMSG_SPACE(sizeof(uint16_t))];
  for (size_t i = 0; i < waiting_count_; ++i) parts[i] = {waiting_[i].data(), waiting_[i].size()};
  bool all = true;
  size_t message_count = 0, done = 0;
  for (size_t at = 0; at < waiting_count_; at += runs[message_count++]) {
    const size_t run = runs[message_count] = run_from(at);
    msghdr& header = messages[message_count].msg_hdr;
    header.msg_iov = &parts[at];
    header.msg_iovlen = run;
    if (run == 1) continue;
    header.msg_control = controls[message_count];
    header.msg_controllen = sizeof controls[message_count];
    cmsghdr* control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    const auto segment = static_cast<uint16_t>(waiting_[at].size());
    std::memcpy(CMSG_DATA(control), &segment, sizeof segment);
  }
  for (size_t at = 0; at < message_count;) {
    const int taken = ::sendmmsg(socket_, messages + at, static_cast<unsigned>(message_count - at), 0);
    if (taken > 0) {
      for (const size_t end = at + static_cast<size_t>(taken); at < end; ++at) {
        sent_ += runs[at];
        done += runs[at];
      }
      continue;
    }
    if (errno == EINTR) continue;
    const bool cannot_segment = errno == EINVAL || errno == EOPNOTSUPP || errno == EIO || errno == EMSGSIZE;
    if (runs[at] > 1 && cannot_segment) {
      for (size_t i = 0; i < runs[at]; ++i) all &= send_one(parts[done + i]);
    } else {
      // ECONNREFUSED tells of an earlier datagram; this one is given up and counted, the rest is tried.
      refused_ += runs[at];
      all = false;
    }
    done += runs[at++];
  }
  waiting_count_ = 0;
  return all;
}

bool UdpSender::send_one(const iovec& part) {
  ssize_t sent = -1;
  do sent = ::send(socket_, part.iov_base, part.iov_len, 0);
  while (sent < 0 && errno == EINTR);
  ++(sent < 0 ? refused_ : sent_);
  return sent >= 0;
}

}  // namespace backstream::ingest
