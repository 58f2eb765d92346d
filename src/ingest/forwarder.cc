#include "ingest/forwarder.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "ingest/forward_queue.h"
#include "ingest/raw_packet.h"
#include "ingest/socket_address.h"

namespace backstream::ingest {
namespace {

constexpr size_t kBatch = 64;
constexpr int kSendBufferOctets = 4 << 20;
constexpr uint32_t kCoalescedOctetsMax = 65'000;  ///< one IP packet, with room for its headers
constexpr size_t kCoalescedMax = 64;              ///< what the kernel takes (UDP_MAX_SEGMENTS)
constexpr auto kStopTime = std::chrono::seconds(1);

ForwardDrop drop_of(int error) {
  switch (error) {
    case EMSGSIZE: return ForwardDrop::kTooLong;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EPERM:
    case EACCES: return ForwardDrop::kUnreachable;
    case ENOBUFS: return ForwardDrop::kQueueFull;
    default: return ForwardDrop::kSystem;
  }
}

class Target {
 public:
  Target(const ForwardTarget& target, const base::Inet& address)
      : target_(target),
        to_(address.family == 4 ? fmt::format("udp://{}:{}", base::to_string(address), target.to.port)
                                : fmt::format("udp://[{}]:{}", base::to_string(address), target.to.port)),
        address_(address),
        queue_(target.queue_octets) {
    address_octets_ = to_socket_address(address, target.to.port, socket_address_);
  }
  ~Target() {
    stop();
    for (const int file : {plain_, raw_})
      if (file >= 0) ::close(file);
  }

  base::Result<void> open() {
    const int family = address_.family == 4 ? AF_INET : AF_INET6;
    plain_ = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (plain_ < 0 || ::connect(plain_, reinterpret_cast<const sockaddr*>(&socket_address_), address_octets_) != 0)
      return base::fail("forward", fmt::format("forward.{}: {}: {}", target_.name, to_, std::strerror(errno)));
    ask_buffer(plain_);
    if (target_.spoof) {
      raw_ = ::socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
      // raw(7), ipv6(7): the headers are ours. A raw socket of IPv6 takes the port for a protocol: it stays 0.
      sockaddr_storage to{};
      const socklen_t octets = to_socket_address(address_, 0, to);
      if (raw_ >= 0 && ::connect(raw_, reinterpret_cast<const sockaddr*>(&to), octets) != 0) {
        ::close(raw_);
        raw_ = -1;
      }
      if (raw_ >= 0) ask_buffer(raw_);
    }
    return {};
  }
  void start() {
    thread_ = std::thread([this] { run(); });
  }

  /// Whether it is one of this machine's own addresses and ports.
  bool is_one_of(const std::vector<uint16_t>& listening) const {
    if (std::find(listening.begin(), listening.end(), target_.to.port) == listening.end()) return false;
    if (address_.family == 4 && address_.v4_address() >> 24 == 127) return true;
    sockaddr_storage own{};
    socklen_t octets = sizeof own;
    uint16_t port = 0;
    ::getsockname(plain_, reinterpret_cast<sockaddr*>(&own), &octets);
    return from_socket_address(own, port) == address_;  // What we send to ourselves we send from there.
  }

  void take(std::span<const base::Datagram> datagrams) {
    const uint64_t left_out = queue_.put(datagrams, [&](const base::Datagram& datagram) {
      return target_.ports.empty() ||
             std::find(target_.ports.begin(), target_.ports.end(), datagram.destination_port) != target_.ports.end();
    });
    if (left_out != 0) drop(ForwardDrop::kQueueFull, left_out);
  }
  void stop() {
    if (!thread_.joinable()) return;
    stop_at_.store((std::chrono::steady_clock::now() + kStopTime).time_since_epoch().count(),
                   std::memory_order_release);
    queue_.end();
    thread_.join();
  }

  ForwardStats stats() const {
    ForwardStats stats;
    stats.name = target_.name;
    stats.to = to_;
    stats.source_kept = raw_ >= 0;
    stats.sent = sent_.load(std::memory_order_relaxed);
    stats.octets = octets_.load(std::memory_order_relaxed);
    stats.own_source = own_source_.load(std::memory_order_relaxed);
    stats.refusals = refusals_.load(std::memory_order_relaxed);
    for (size_t i = 0; i < kForwardDropCount; ++i) stats.dropped[i] = dropped_[i].load(std::memory_order_relaxed);
    return stats;
  }
  std::string note() const {
    const std::string from = raw_ >= 0 ? "from the exporters' addresses"
                             : target_.spoof
                                 ? "from our own address: to keep the exporters' needs the capability CAP_NET_RAW"
                                 : "from our own address";
    return fmt::format("forward.{}: to {} {}", target_.name, to_, from);
  }

 private:
  void ask_buffer(int file) {
    if (::setsockopt(file, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBufferOctets, sizeof kSendBufferOctets) != 0)
      ::setsockopt(file, SOL_SOCKET, SO_SNDBUF, &kSendBufferOctets, sizeof kSendBufferOctets);
  }
  void drop(ForwardDrop why, uint64_t count) {
    dropped_[static_cast<size_t>(why)].fetch_add(count, std::memory_order_relaxed);
  }
  bool out_of_time() const {
    const auto at = stop_at_.load(std::memory_order_acquire);
    return at != 0 && std::chrono::steady_clock::now().time_since_epoch().count() >= at;
  }

  void run() {
    std::array<ForwardQueue::Item, kBatch> items;
    while (const size_t count = queue_.peek(items)) {
      if (out_of_time()) {
        drop(ForwardDrop::kQueueFull, count);
      } else {
        for (size_t begin = 0; begin < count;) {
          const bool spoofed = keeps_source(items[begin]);
          size_t end = begin + 1;
          while (end < count && keeps_source(items[end]) == spoofed) ++end;
          const std::span<const ForwardQueue::Item> alike(items.data() + begin, end - begin);
          if (spoofed) send_raw(alike);
          else send_plain(alike);
          begin = end;
        }
      }
      queue_.release(count);
    }
  }
  /// An IPv4 packet cannot go to an IPv6 target, nor the other way round.
  bool keeps_source(const ForwardQueue::Item& item) const { return raw_ >= 0 && item.source.family == address_.family; }

  void send_raw(std::span<const ForwardQueue::Item> items) {
    uint8_t headers[kBatch][kRawHeaderOctetsMax];
    iovec parts[kBatch][2];
    mmsghdr messages[kBatch] = {};
    size_t counts[kBatch] = {};
    for (size_t i = 0; i < items.size(); ++i) {
      const ForwardQueue::Item& item = items[i];
      const uint32_t octets = write_raw_header(item.source, item.source_port, address_, target_.to.port, item.payload,
                                               item.payload_octets, headers[i]);
      parts[i][0] = {headers[i], octets};
      parts[i][1] = {const_cast<uint8_t*>(item.payload), item.payload_octets};
      messages[i].msg_hdr.msg_iov = parts[i];
      messages[i].msg_hdr.msg_iovlen = 2;
      counts[i] = 1;
    }
    send(raw_, {messages, items.size()}, counts, items, true);
  }

  /// Datagrams of one length that follow each other go to the kernel as one message, which it divides again
  /// (UDP_SEGMENT); the last one may be shorter.
  void send_plain(std::span<const ForwardQueue::Item> items) {
    iovec parts[kBatch];
    mmsghdr messages[kBatch] = {};
    alignas(cmsghdr) uint8_t controls[kBatch][CMSG_SPACE(sizeof(uint16_t))];
    size_t counts[kBatch] = {};
    size_t message_count = 0;
    for (size_t begin = 0; begin < items.size(); begin += counts[message_count++]) {
      const uint32_t length = items[begin].payload_octets;
      uint32_t octets = length;
      size_t end = begin + 1;
      while (segments_ && length != 0 && end < items.size() && end - begin < kCoalescedMax &&
             items[end].payload_octets != 0 && items[end].payload_octets <= length &&
             octets + items[end].payload_octets <= kCoalescedOctetsMax) {
        octets += items[end].payload_octets;
        if (items[end++].payload_octets < length) break;
      }
      for (size_t i = begin; i < end; ++i) parts[i] = {const_cast<uint8_t*>(items[i].payload), items[i].payload_octets};
      counts[message_count] = end - begin;
      msghdr& header = messages[message_count].msg_hdr;
      header.msg_iov = &parts[begin];
      header.msg_iovlen = end - begin;
      if (end - begin == 1) continue;
      header.msg_control = controls[message_count];
      header.msg_controllen = sizeof controls[message_count];
      cmsghdr* const control = CMSG_FIRSTHDR(&header);
      control->cmsg_level = SOL_UDP;
      control->cmsg_type = UDP_SEGMENT;
      control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      const auto segment = static_cast<uint16_t>(length);
      std::memcpy(CMSG_DATA(control), &segment, sizeof segment);
    }
    send(plain_, {messages, message_count}, counts, items, false);
  }

  /// @param counts  items a message
  void send(int file, std::span<mmsghdr> messages, const size_t* counts, std::span<const ForwardQueue::Item> items,
            bool spoofed) {
    for (size_t at = 0, item = 0; at < messages.size();) {
      const int taken = ::sendmmsg(file, messages.data() + at, static_cast<unsigned>(messages.size() - at), 0);
      if (taken > 0) {
        for (const size_t end = at + static_cast<size_t>(taken); at < end; item += counts[at++]) {
          for (size_t i = item; i < item + counts[at]; ++i) count_sent(items[i], spoofed);
        }
        continue;
      }
      const int error = errno;
      if (error == EINTR) continue;
      if ((error == EAGAIN || error == EWOULDBLOCK) && !out_of_time()) {
        // The target's queue takes what comes meanwhile.
        pollfd writable{file, POLLOUT, 0};
        ::poll(&writable, 1, 100);
        continue;
      }
      if (error == ECONNREFUSED) {  // It tells of a datagram that was sent before; this one has not been tried.
        refusals_.fetch_add(1, std::memory_order_relaxed);
        continue;
      }
      const bool cannot_segment = error == EINVAL || error == EOPNOTSUPP || error == EIO || error == EMSGSIZE;
      if (counts[at] > 1 && cannot_segment) {
        // Each longer than the way's MTU, or a device that cannot: one by one, in the second case from now on.
        segments_ = error == EMSGSIZE;
        const std::span<const ForwardQueue::Item> rest = items.subspan(item, counts[at]);
        for (const ForwardQueue::Item& one : rest) send_one(one);
      } else {
        drop(error == EAGAIN || error == EWOULDBLOCK ? ForwardDrop::kQueueFull : drop_of(error), counts[at]);
      }
      item += counts[at++];
    }
  }
  void send_one(const ForwardQueue::Item& item) {
    iovec part{const_cast<uint8_t*>(item.payload), item.payload_octets};
    mmsghdr message = {};
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
    const size_t count = 1;
    send(plain_, {&message, 1}, &count, {&item, 1}, false);
  }
  void count_sent(const ForwardQueue::Item& item, bool spoofed) {
    sent_.fetch_add(1, std::memory_order_relaxed);
    octets_.fetch_add(item.payload_octets, std::memory_order_relaxed);
    if (!spoofed) own_source_.fetch_add(1, std::memory_order_relaxed);
  }

  const ForwardTarget target_;
  const std::string to_;
  const base::Inet address_;
  sockaddr_storage socket_address_{};
  socklen_t address_octets_ = 0;
  int plain_ = -1, raw_ = -1;
  ForwardQueue queue_;
  bool segments_ = true;  // Sending thread only.
  std::atomic<std::chrono::steady_clock::rep> stop_at_{0};
  std::atomic<uint64_t> sent_{0}, octets_{0}, own_source_{0}, refusals_{0};
  std::array<std::atomic<uint64_t>, kForwardDropCount> dropped_{};
  std::thread thread_;  // Last: it uses all of the above.
};

class Targets final : public Forwarder {
 public:
  void take(std::span<const base::Datagram> datagrams) override {
    for (auto& target : targets) target->take(datagrams);
  }
  void stop() override {
    for (auto& target : targets) target->stop();
  }
  std::vector<ForwardStats> stats() const override {
    std::vector<ForwardStats> all;
    for (const auto& target : targets) all.push_back(target->stats());
    return all;
  }
  std::vector<std::string> notes() const override {
    std::vector<std::string> all;
    for (const auto& target : targets) all.push_back(target->note());
    return all;
  }

  std::vector<std::unique_ptr<Target>> targets;
};

base::Result<base::Inet> resolve(const ForwardTarget& target) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICSERV;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(target.to.host.c_str(), std::to_string(target.to.port).c_str(), &hints, &found);
  if (status != 0)
    return base::fail("forward",
                      fmt::format("forward.{}: '{}': {}", target.name, target.to.host, ::gai_strerror(status)));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> held(found, ::freeaddrinfo);
  sockaddr_storage address{};
  std::memcpy(&address, found->ai_addr, found->ai_addrlen);
  uint16_t port = 0;
  return from_socket_address(address, port);
}

}  // namespace

std::string_view name(ForwardDrop drop) {
  switch (drop) {
#define BACKSTREAM_X(enumerator, text, about) \
  case ForwardDrop::enumerator: return text;
    BACKSTREAM_FORWARD_DROPS(BACKSTREAM_X)
#undef BACKSTREAM_X
  }
  return "";
}

base::Result<std::unique_ptr<Forwarder>> open_forwarder(const std::vector<ForwardTarget>& targets,
                                                        const std::vector<uint16_t>& listening) {
  auto opened = std::make_unique<Targets>();
  for (const ForwardTarget& target : targets) {
    const auto address = resolve(target);
    if (!address) return tl::unexpected(address.error());
    auto one = std::make_unique<Target>(target, *address);
    if (auto result = one->open(); !result) return tl::unexpected(result.error());
    if (one->is_one_of(listening)) {
      return base::fail("forward", fmt::format("forward.{}: we listen there ourselves", target.name), {},
                        "what is forwarded would come back for ever; forward to another port or machine");
    }
    opened->targets.push_back(std::move(one));
  }
  for (auto& target : opened->targets) target->start();
  return opened;
}

}  // namespace backstream::ingest
