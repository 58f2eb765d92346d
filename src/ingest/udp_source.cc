#include "ingest/udp_source.h"

#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/huge_pages.h"
#include "ingest/socket_address.h"
#include "ingest/udp_listen.h"

namespace backstream::ingest {
namespace {

constexpr size_t kMessages = 64;
/// A coalesced receive (UDP_GRO) holds up to 64 KiB of datagrams of one size.
constexpr size_t kMessageOctets = 65'536;
/// Messages lie a little more than a power of two apart: else the first lines of all would share few places of the
/// caches.
constexpr size_t kMessageStride = kMessageOctets + 26 * 64;
constexpr size_t kControlOctets = 128;
constexpr int kBatchesPerTurn = 8;  ///< of one socket, before the others have their turn

int64_t wall_clock_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}
base::Micros wall_clock() { return wall_clock_ns() / 1000; }

struct Socket {
  int file = -1;
  uint32_t site = 0;
  uint32_t drops = 0;  ///< the kernel's counter of 32 bits as last seen
  uint16_t port = 0;
  int64_t complete_until_ns = 0;  ///< all that the kernel stamped before has been read
};

std::shared_ptr<const base::Published<base::PrefixSet>> allow_all() {
  return std::make_shared<base::Published<base::PrefixSet>>(std::make_shared<base::PrefixSet>());
}

class Receiver final : public UdpSource {
 public:
  explicit Receiver(const UdpOptions& options)
      : poll_interval_ms_(options.poll_interval_ms),
        stamped_(options.steering == Steering::kSpread),
        allow_(options.allow != nullptr ? options.allow : allow_all()),
        allowed_(*allow_),
        memory_(kMessages * kMessageStride),
        control_(kMessages * kControlOctets),
        names_(kMessages),
        parts_(kMessages),
        messages_(kMessages) {
    for (size_t i = 0; i < kMessages; ++i) {
      parts_[i] = {memory_.data() + i * kMessageStride, kMessageOctets};
      msghdr& header = messages_[i].msg_hdr;
      header.msg_iov = &parts_[i];
      header.msg_iovlen = 1;
      header.msg_name = &names_[i];
      header.msg_control = control_.data() + i * kControlOctets;
    }
  }
  ~Receiver() override {
    for (const Socket& socket : sockets_) ::close(socket.file);
  }

  /// Takes the `index`th socket of the group; it closes it in the end.
  void add(const SocketGroup& group, size_t index, uint32_t site) {
    Socket socket;
    socket.file = group.files[index];
    socket.site = site;
    socket.port = group.port;
    sockets_.push_back(socket);
    polls_.push_back({socket.file, POLLIN, 0});
    SocketStats& stats = stats_.sockets.emplace_back();
    stats.address = group.address;
    stats.port = group.port;
    stats.buffer_octets = group.buffer_octets[index];
  }
  void add_port(uint16_t port) { ports_.push_back(port); }
  void add_warnings(const std::vector<std::string>& warnings) {
    stats_.warnings.insert(stats_.warnings.end(), warnings.begin(), warnings.end());
  }

  std::span<const base::Datagram> next_block() override {
    constexpr int kTriesMax = 16;
    block_.clear();
    // A receive gives no block where all of it was turned away.
    for (int tried = 0; tried < kTriesMax && receive_any(); ++tried) {
      if (!block_.empty()) return block_;
    }
    // Nothing waits: what was dropped behind the last datagram is known only by asking.
    for (size_t s = 0; s < sockets_.size(); ++s) ask_drops(s);
    if (::poll(polls_.data(), polls_.size(), poll_interval_ms_) > 0) receive_any();
    return block_;
  }
  bool at_end() const override { return false; }
  const IngestStats& stats() const override { return stats_; }
  int64_t complete_until_ns() const override {
    int64_t least = sockets_.front().complete_until_ns;
    for (const Socket& socket : sockets_) least = std::min(least, socket.complete_until_ns);
    return least;
  }
  const std::vector<uint16_t>& ports() const override { return ports_; }

 private:
  /// Payloads lie in one area that is reused, so a block is one receive of one socket.
  bool receive_any() {
    for (size_t tried = 0; tried < sockets_.size(); ++tried) {
      if (turn_batches_ >= kBatchesPerTurn) {
        turn_batches_ = 0;
        turn_ = (turn_ + 1) % sockets_.size();
      }
      if (receive(turn_)) {
        ++turn_batches_;
        return true;
      }
      turn_batches_ = kBatchesPerTurn;
    }
    return false;
  }

  /// `drops`: the socket's counter; one told with a datagram is as old as that datagram.
  void note_drops(size_t index, uint32_t drops) {
    const auto more = static_cast<int32_t>(drops - sockets_[index].drops);
    if (more <= 0) return;
    stats_.kernel_drops += static_cast<uint32_t>(more);
    stats_.sockets[index].kernel_drops += static_cast<uint32_t>(more);
    sockets_[index].drops = drops;
  }
  void ask_drops(size_t index) {
    uint32_t memory[SK_MEMINFO_VARS] = {};
    socklen_t octets = sizeof memory;
    if (::getsockopt(sockets_[index].file, SOL_SOCKET, SO_MEMINFO, memory, &octets) != 0) return;
    if (octets > SK_MEMINFO_DROPS * sizeof(uint32_t)) note_drops(index, memory[SK_MEMINFO_DROPS]);
  }

  /// Reads what came with a message. Returns the length of the datagrams that it is made of; all have one time stamp.
  uint32_t read_control(msghdr& header, size_t index, uint32_t octets, int64_t& arrived_ns) {
    uint32_t segment = octets;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
        int size = 0;
        std::memcpy(&size, CMSG_DATA(c), sizeof size);
        if (size > 0) segment = static_cast<uint32_t>(size);
      } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
        uint32_t drops = 0;
        std::memcpy(&drops, CMSG_DATA(c), sizeof drops);
        note_drops(index, drops);
      } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
        timespec stamp{};
        std::memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
        arrived_ns = int64_t{stamp.tv_sec} * 1'000'000'000 + stamp.tv_nsec;
      }
    }
    return segment;
  }

  bool receive(size_t index) {
    Socket& socket = sockets_[index];
    const int64_t asked_ns = stamped_ ? wall_clock_ns() : 0;
    for (mmsghdr& message : messages_) {  // The kernel has written over them.
      message.msg_hdr.msg_namelen = sizeof names_[0];
      message.msg_hdr.msg_controllen = kControlOctets;
    }
    const int got = ::recvmmsg(socket.file, messages_.data(), kMessages, 0, nullptr);
    if (static_cast<size_t>(std::max(got, 0)) < kMessages) socket.complete_until_ns = asked_ns;
    if (got <= 0) return false;
    const base::Micros now = wall_clock();
    SocketStats& socket_stats = stats_.sockets[index];
    const base::PrefixSet& allow = *allowed_.current();
    for (size_t i = 0; i < static_cast<size_t>(got); ++i) {
      msghdr& header = messages_[i].msg_hdr;
      const uint32_t octets = messages_[i].msg_len;
      base::Datagram datagram;
      datagram.arrived_ns = asked_ns;
      const uint32_t segment = read_control(header, index, octets, datagram.arrived_ns);
      if (got == kMessages) socket.complete_until_ns = datagram.arrived_ns;
      datagram.source = from_socket_address(names_[i], datagram.source_port);
      datagram.destination_port = socket.port;
      datagram.site = socket.site;
      datagram.received_at = now;
      datagram.payload = static_cast<const uint8_t*>(header.msg_iov->iov_base);
      const bool allowed = allow.empty() || allow.contains(datagram.source);
      uint32_t left = octets;
      do {  // An empty datagram is one, too.
        datagram.payload_octets = std::min(segment, left);
        ++socket_stats.datagrams;
        if (allowed) block_.push_back(datagram);
        else stats_.add_rejected(datagram.source);
        datagram.payload += datagram.payload_octets;
        left -= datagram.payload_octets;
      } while (left > 0);
      socket_stats.octets += octets;
      stats_.octets += octets;
    }
    stats_.datagrams += block_.size();
    stats_.frames = stats_.datagrams + stats_.skipped[static_cast<size_t>(IngestSkip::kNotAllowed)];
    return true;
  }

  const int poll_interval_ms_;
  const bool stamped_;
  const std::shared_ptr<const base::Published<base::PrefixSet>> allow_;
  base::Published<base::PrefixSet>::Reader allowed_;
  std::vector<Socket> sockets_;
  std::vector<pollfd> polls_;
  std::vector<uint16_t> ports_;
  base::HugePageVector<uint8_t> memory_;
  std::vector<uint8_t> control_;
  std::vector<sockaddr_storage> names_;
  std::vector<iovec> parts_;
  std::vector<mmsghdr> messages_;
  std::vector<base::Datagram> block_;
  size_t turn_ = 0;
  int turn_batches_ = 0;
  IngestStats stats_;  ///< its `sockets` are those of sockets_
};

}  // namespace

base::Result<std::vector<std::unique_ptr<UdpSource>>> listen_udp(const std::vector<UdpListen>& listen,
                                                                 const UdpOptions& options,
                                                                 std::vector<std::string>& sites) {
  const uint32_t threads = std::max(options.threads, 1u);
  const uint32_t sockets = (std::max(options.sockets, 1u) + threads - 1) / threads * threads;
  std::vector<std::unique_ptr<Receiver>> receivers;
  for (uint32_t i = 0; i < threads; ++i) receivers.push_back(std::make_unique<Receiver>(options));
  if (sites.empty()) sites.emplace_back();
  for (const UdpListen& one : listen) {
    uint32_t site = 0;
    if (!one.site.empty()) {
      const auto known = std::find(sites.begin() + 1, sites.end(), one.site);
      site = static_cast<uint32_t>(known - sites.begin());
      if (known == sites.end()) sites.push_back(one.site);
    }
    const auto group = open_sockets(one, sockets, options);
    if (!group) return tl::unexpected(group.error());
    for (uint32_t s = 0; s < sockets; ++s) receivers[s % threads]->add(*group, s, site);
    for (auto& receiver : receivers) receiver->add_port(group->port);
    receivers[0]->add_warnings(group->warnings);
  }
  std::vector<std::unique_ptr<UdpSource>> sources;
  for (auto& receiver : receivers) sources.push_back(std::move(receiver));
  return sources;
}

}  // namespace backstream::ingest
