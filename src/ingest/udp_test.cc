#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <system_error>

#include "ingest/capture_bytes_test.h"
#include "ingest/udp_sender.h"
#include "ingest/udp_source.h"

namespace backstream::ingest {
namespace {

constexpr int kBufferOctets = 4 << 20;
const base::Inet kLoopback = base::Inet::v4(0x7f000001);
const base::Inet kLoopback6 = base::Inet::v6(0, 1);

struct Bound {
  std::unique_ptr<UdpSource> source;
  std::vector<std::string> sites;
  uint16_t port(size_t listen = 0) const { return source->ports().at(listen); }
};
UdpOptions options_of(int buffer_octets, int poll_interval_ms) {
  UdpOptions options;
  options.receive_buffer_octets = buffer_octets;
  options.poll_interval_ms = poll_interval_ms;
  return options;
}
Bound listen(const std::vector<UdpListen>& listens, const UdpOptions& options) {
  Bound bound;
  auto sources = listen_udp(listens, options, bound.sites);
  if (!sources) {
    ADD_FAILURE() << sources.error().message;
    return bound;
  }
  bound.source = std::move(sources->front());
  return bound;
}
Bound listen(const std::vector<UdpListen>& listens, int buffer_octets = kBufferOctets, int poll_interval_ms = 1000) {
  return listen(listens, options_of(buffer_octets, poll_interval_ms));
}
/// Loopback delivers while sending, so what is not there at once was lost.
Seen receive(const Bound& bound, size_t count) {
  Seen seen;
  while (seen.datagrams.size() < count) {
    const auto block = bound.source->next_block();
    if (block.empty()) break;
    take(block, seen);
  }
  seen.stats = bound.source->stats();
  return seen;
}
void send(UdpSender& sender, std::string_view payload) {
  sender.send({reinterpret_cast<const uint8_t*>(payload.data()), payload.size()});
}
bool has_ipv6() {
  const int socket = ::socket(AF_INET6, SOCK_DGRAM, 0);
  if (socket < 0) return false;
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_addr = in6addr_loopback;
  const bool bound = ::bind(socket, reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0;
  ::close(socket);
  return bound;
}

TEST(UdpListen, Spellings) {
  const auto host_and_port = [](std::string_view text) {
    const auto listen = parse_listen(text);
    return listen ? fmt::format("{} {}", listen->host, listen->port) : listen.error().message;
  };
  EXPECT_EQ(host_and_port("udp://192.0.2.1:2055"), "192.0.2.1 2055");
  EXPECT_EQ(host_and_port("udp://[::1]:2055"), "::1 2055");
  EXPECT_EQ(host_and_port("udp://collector.example:0"), "collector.example 0");
  EXPECT_EQ(host_and_port("udp://*:65535"), "* 65535");
  EXPECT_EQ(host_and_port("udp://:2055"), " 2055");
  for (const char* wrong : {"", "udp://", "2055", "udp://localhost", "udp://localhost:", "udp://localhost:65536",
                            "udp://localhost:-1", "udp://localhost:20x", "udp://::1:2055", "udp://[::1]",
                            "udp://[::1]2055", "udp://[::1", "tcp://localhost:2055"}) {
    EXPECT_EQ(host_and_port(wrong), fmt::format("'{}' is not an address to listen on", wrong));
  }
}

TEST(UdpSource, TellsSourcePortsSiteAndPayload) {
  const Bound bound = listen({{"127.0.0.1", 0, "fra"}, {"127.0.0.1", 0, ""}, {"127.0.0.1", 0, "fra"}});
  const base::Inet alias = base::Inet::v4(0x7f000009);
  for (size_t i = 0; i < 3; ++i) {
    UdpSender sender(kLoopback, bound.port(i), &alias);
    send(sender, fmt::format("to {}", i));
    send(sender, "");
  }
  const Seen seen = receive(bound, 6);
  ASSERT_EQ(seen.datagrams.size(), 6u);
  for (const auto& [payload, about] : seen.datagrams) {
    EXPECT_EQ(base::to_string(about.source), "127.0.0.9");
    EXPECT_NE(about.source_port, 0);
    EXPECT_GT(about.received_at, 1'700'000'000'000'000);
    if (payload.empty()) continue;
    const auto i = static_cast<size_t>(payload.back() - '0');
    EXPECT_EQ(about.destination_port, bound.port(i));
    EXPECT_EQ(bound.sites[about.site], i == 1 ? "" : "fra");
  }
  EXPECT_EQ(bound.sites, (std::vector<std::string>{"", "fra"}));
  EXPECT_EQ(seen.stats.datagrams, 6u);
  EXPECT_EQ(seen.stats.frames, 6u);
  EXPECT_EQ(seen.stats.octets, 12u);
  EXPECT_EQ(seen.stats.kernel_drops, 0u);
  EXPECT_FALSE(bound.source->at_end());
}

TEST(UdpSource, AnyAddressHearsBothFamiliesAndMappedIsIpv4) {
  const Bound bound = listen({{"*", 0, ""}});
  {
    UdpSender v4(kLoopback, bound.port());
    send(v4, "four");
  }
  Seen seen = receive(bound, 1);
  ASSERT_EQ(seen.payloads(), std::vector<std::string>{"four"});
  EXPECT_EQ(seen.datagrams[0].about.source, kLoopback);
  if (!has_ipv6()) return;
  {
    UdpSender v6(kLoopback6, bound.port());
    send(v6, "six");
  }
  seen = receive(bound, 1);
  ASSERT_EQ(seen.payloads(), std::vector<std::string>{"six"});
  EXPECT_EQ(seen.datagrams[0].about.source, kLoopback6);
}

/// Datagrams of changing lengths in runs, among them runs beyond 64 datagrams and beyond 64 KiB, each with its number.
std::vector<std::string> burst() {
  std::vector<std::string> payloads;
  const auto add = [&](size_t count, size_t octets) {
    for (size_t i = 0; i < count; ++i) payloads.push_back(fmt::format("{:<{}}", payloads.size(), octets));
  };
  add(200, 1464);
  add(3, 9);
  add(70, 100);
  add(1, 60'000);
  add(5, 20'000);
  add(1, 9);
  payloads.emplace_back();
  add(130, 200);
  add(1, 65'507);
  add(64, 500);
  return payloads;
}

TEST(UdpSource, BurstsComeWholeAndInOrderSinglyAndCoalesced) {
  for (const bool coalesce : {false, true}) {
    for (const base::Inet& to : {kLoopback, kLoopback6}) {
      if (to == kLoopback6 && !has_ipv6()) continue;
      const Bound bound = listen({{to == kLoopback ? "127.0.0.1" : "::1", 0, ""}}, 16 << 20);
      UdpSender sender(to, bound.port(), nullptr, coalesce);
      const std::vector<std::string> payloads = burst();
      // In parts that fit the smallest buffer a system may grant.
      std::vector<std::string> got;
      for (size_t begin = 0; begin < payloads.size(); begin += 64) {
        const size_t end = std::min(begin + 64, payloads.size());
        for (size_t i = begin; i < end; ++i) send(sender, payloads[i]);
        EXPECT_TRUE(sender.flush());
        for (std::string& payload : receive(bound, end - begin).payloads()) got.push_back(std::move(payload));
      }
      EXPECT_EQ(sender.sent(), payloads.size());
      EXPECT_EQ(sender.refused(), 0u);
      ASSERT_EQ(got.size(), payloads.size()) << (coalesce ? "coalesced to " : "singly to ") << base::to_string(to);
      for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], payloads[i]) << i;
      EXPECT_EQ(bound.source->stats().datagrams, payloads.size());
      EXPECT_EQ(bound.source->stats().kernel_drops, 0u);
    }
  }
}

TEST(UdpSource, WhatTheKernelDropsIsCountedEvenBehindTheLastDatagram) {
  const Bound bound = listen({{"127.0.0.1", 0, ""}}, 16 << 10, 1);
  UdpSender sender(kLoopback, bound.port());
  for (int i = 0; i < 640; ++i) send(sender, std::string(1000, 'x'));
  sender.flush();
  ASSERT_EQ(sender.sent(), 640u);
  Seen seen = receive(bound, 640);  // ends when a poll brings nothing
  EXPECT_LT(seen.datagrams.size(), 640u);
  EXPECT_GT(seen.stats.kernel_drops, 0u);
  EXPECT_EQ(seen.datagrams.size() + seen.stats.kernel_drops, 640u);
  // The counter that comes with later datagrams adds nothing twice.
  send(sender, "one more");
  sender.flush();
  seen = receive(bound, 1);
  EXPECT_EQ(seen.datagrams.size(), 1u);
  EXPECT_EQ(seen.stats.datagrams + seen.stats.kernel_drops, 641u);
}

TEST(UdpSource, ManySocketsAllHaveTheirTurn) {
  // One is kept full; the other's datagram must come through before the full one is empty.
  const Bound bound = listen({{"127.0.0.1", 0, "busy"}, {"127.0.0.1", 0, "quiet"}}, 16 << 20);
  UdpSender busy(kLoopback, bound.port(0)), quiet(kLoopback, bound.port(1));
  send(quiet, "quiet");
  quiet.flush();
  for (int block = 0; block < 20; ++block) {
    for (int i = 0; i < 64; ++i) send(busy, "busy");
    busy.flush();
    for (const base::Datagram& datagram : bound.source->next_block()) {
      if (bound.sites[datagram.site] == "quiet") return;
    }
  }
  FAIL() << "not heard in 20 blocks";
}

TEST(UdpSource, NothingWithinThePollIntervalIsAnEmptyBlock) {
  const Bound bound = listen({{"127.0.0.1", 0, ""}}, kBufferOctets, 1);
  EXPECT_TRUE(bound.source->next_block().empty());
  EXPECT_FALSE(bound.source->at_end());
}

TEST(UdpSource, TakenPortIsToldWithAddressAndReason) {
  const Bound bound = listen({{"127.0.0.1", 0, ""}});
  std::vector<std::string> sites;
  for (const uint32_t sockets : {1u, 2u}) {
    UdpOptions options;
    options.sockets = sockets;
    const auto second = listen_udp({{"127.0.0.1", bound.port(), ""}}, options, sites);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().message, fmt::format("udp://127.0.0.1:{}: Address already in use", bound.port()));
    EXPECT_NE(second.error().hint, "");
  }
  const auto foreign = listen_udp({{"192.0.2.1", 2055, ""}}, UdpOptions{}, sites);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().message, "udp://192.0.2.1:2055: Cannot assign requested address");
}

TEST(UdpSource, BufferSmallerThanAskedIsWarnedOfWithTheSysctl) {
  // No kernel grants this much, forced or not: sizes above half of INT_MAX are cut.
  const Bound bound = listen({{"127.0.0.1", 0, ""}}, INT32_MAX);
  const auto& warnings = bound.source->stats().warnings;
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("sysctl -w net.core.rmem_max=2147483647"), std::string::npos) << warnings[0];
}

TEST(UdpSource, AGroupOfSocketsIsOneListenerAndAnotherCannotJoin) {
  UdpOptions options = options_of(kBufferOctets, 1000);
  options.sockets = 4;
  const Bound bound = listen({{"127.0.0.1", 0, ""}}, options);
  for (uint32_t e = 0; e < 64; ++e) {
    const base::Inet source = base::Inet::v4(0x7f000101 + e);
    UdpSender sender(kLoopback, bound.port(), &source);
    send(sender, fmt::format("{}", e));
  }
  const Seen seen = receive(bound, 64);
  ASSERT_EQ(seen.datagrams.size(), 64u);
  ASSERT_EQ(seen.stats.sockets.size(), 4u);
  uint64_t sum = 0;
  for (const SocketStats& socket : seen.stats.sockets) {
    EXPECT_EQ(socket.address, "127.0.0.1");
    EXPECT_EQ(socket.port, bound.port());
    EXPECT_EQ(socket.buffer_octets, static_cast<uint64_t>(kBufferOctets));
    EXPECT_GT(socket.datagrams, 0u);
    sum += socket.datagrams;
  }
  EXPECT_EQ(sum, 64u);
  std::vector<std::string> sites;
  EXPECT_FALSE(listen_udp({{"127.0.0.1", bound.port(), ""}}, options, sites));
}

TEST(UdpSource, AnExporterStaysWithOneThreadWhateverItsPorts) {
  for (const base::Inet& to : {kLoopback, kLoopback6}) {
    if (to == kLoopback6 && !has_ipv6()) continue;
    UdpOptions options = options_of(kBufferOctets, 10);
    options.threads = 2;
    options.sockets = 3;  // Made 4: as many for one thread as for the other.
    std::vector<std::string> sites;
    auto sources = listen_udp({{"*", 0, ""}}, options, sites);
    ASSERT_TRUE(sources);
    ASSERT_EQ(sources->size(), 2u);
    constexpr uint32_t kExporters = 32, kEach = 5;
    for (uint32_t e = 0; e < kExporters; ++e) {
      const base::Inet source = base::Inet::v4(0x7f000101 + e);
      for (uint32_t i = 0; i < kEach; ++i) {  // Each from a port of its own.
        UdpSender sender(to, (*sources)[0]->ports()[0], to == kLoopback ? &source : nullptr);
        send(sender, fmt::format("{}", e));
      }
    }
    std::map<std::string, std::set<size_t>> threads_of;
    size_t count[2] = {};
    for (size_t thread = 0; thread < 2; ++thread) {
      EXPECT_EQ((*sources)[thread]->stats().sockets.size(), 2u);
      for (auto block = (*sources)[thread]->next_block(); !block.empty(); block = (*sources)[thread]->next_block()) {
        for (const base::Datagram& datagram : block) {
          threads_of[base::to_string(datagram.source)].insert(thread);
          ++count[thread];
        }
      }
    }
    EXPECT_EQ(count[0] + count[1], kExporters * kEach);
    EXPECT_EQ(threads_of.size(), to == kLoopback ? kExporters : 1u);
    for (const auto& [source, threads] : threads_of) EXPECT_EQ(threads.size(), 1u) << source;
    EXPECT_EQ(count[0] > 0 && count[1] > 0, to == kLoopback);
  }
}

/// The datagrams of one exporter come to all threads, each once, with time stamps in the order in which they were sent;
/// what has one time stamp (it was coalesced) is together.
TEST(PeerPoint21, OneExporterIsSpreadOverAllThreads) {
  for (const bool coalesce : {false, true}) {
    UdpOptions options = options_of(kBufferOctets, 1);
    options.threads = 3;
    options.sockets = 6;
    options.steering = Steering::kSpread;
    std::vector<std::string> sites;
    auto sources = listen_udp({{"127.0.0.1", 0, ""}}, options, sites);
    ASSERT_TRUE(sources);
    for (const auto& source : *sources) {
      source->next_block();
      EXPECT_GT(source->complete_until_ns(), 1'700'000'000'000'000'000) << "nothing has come: all was read";
    }
    constexpr size_t kCount = 900;
    UdpSender sender(kLoopback, (*sources)[0]->ports()[0], nullptr, coalesce);
    for (size_t i = 0; i < kCount; ++i) {
      send(sender, fmt::format("{:5}", i));
      if (i % 7 == 0) sender.flush();  // Short runs.
    }
    sender.flush();
    std::vector<std::pair<int64_t, size_t>> seen;
    for (const auto& source : *sources) {
      uint64_t count = 0;
      for (auto block = source->next_block(); !block.empty(); block = source->next_block()) {
        for (const base::Datagram& datagram : block) {
          const std::string text(reinterpret_cast<const char*>(datagram.payload), datagram.payload_octets);
          seen.emplace_back(datagram.arrived_ns, std::stoul(text));
          ++count;
        }
      }
      EXPECT_GT(count, kCount / 6) << "about a third";
      EXPECT_GT(source->complete_until_ns(), seen.back().first);
      EXPECT_EQ(source->stats().sockets.size(), 2u);
      for (const SocketStats& socket : source->stats().sockets) EXPECT_GT(socket.datagrams, 0u);
      EXPECT_EQ(source->stats().kernel_drops, 0u);
      EXPECT_TRUE(source->stats().warnings.empty());
    }
    ASSERT_EQ(seen.size(), kCount);
    std::stable_sort(seen.begin(), seen.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 0; i < kCount; ++i) ASSERT_EQ(seen[i].second, i) << (coalesce ? "coalesced" : "singly");
  }
}

TEST(UdpSource, NothingThatWasStampedBeforeTheMarkComesAfterIt) {
  UdpOptions options = options_of(kBufferOctets, 1);
  options.sockets = 2;
  options.steering = Steering::kSpread;
  const Bound bound = listen({{"127.0.0.1", 0, ""}}, options);
  UdpSender sender(kLoopback, bound.port());
  for (int i = 0; i < 500; ++i) send(sender, "x");  // More than one receive of each socket.
  sender.flush();
  int64_t mark = 0;
  size_t count = 0, moved = 0;
  for (auto block = bound.source->next_block(); !block.empty(); block = bound.source->next_block()) {
    for (const base::Datagram& datagram : block) ASSERT_GE(datagram.arrived_ns, mark);
    count += block.size();
    moved += bound.source->complete_until_ns() > mark;
    mark = bound.source->complete_until_ns();
  }
  EXPECT_EQ(count, 500u);
  EXPECT_GT(moved, 1u);
}

TEST(UdpSource, WhereAnExporterHasItsThreadThereAreNoTimeStamps) {
  const Bound bound = listen({{"127.0.0.1", 0, ""}});
  UdpSender sender(kLoopback, bound.port());
  send(sender, "x");
  sender.flush();
  const Seen seen = receive(bound, 1);
  ASSERT_EQ(seen.datagrams.size(), 1u);
  EXPECT_EQ(seen.datagrams[0].about.arrived_ns, 0);
  EXPECT_EQ(bound.source->complete_until_ns(), 0);
}

TEST(UdpSource, WhoIsNotAllowedIsCountedByAddressAndNotHandedOn) {
  UdpOptions options = options_of(kBufferOctets, 10);
  base::Published<base::PrefixSet> allow(
      std::make_shared<base::PrefixSet>(std::vector{base::Inet::v4(0x7f000200, 24), base::Inet::v4(0x7f000105)}));
  options.allow = {std::shared_ptr<void>(), &allow};
  const Bound bound = listen({{"*", 0, ""}}, options);
  const auto from = [&](uint32_t address, int count) {
    const base::Inet source = base::Inet::v4(address);
    UdpSender sender(kLoopback, bound.port(), &source, true);
    for (int i = 0; i < count; ++i) send(sender, base::to_string(source));
  };
  from(0x7f000204, 3);
  from(0x7f000104, 7);
  from(0x7f000105, 1);
  for (uint32_t e = 0; e < 20; ++e) from(0x7f000301 + e, 1);
  const Seen seen = receive(bound, 4);
  EXPECT_EQ(seen.payloads(), (std::vector<std::string>{"127.0.2.4", "127.0.2.4", "127.0.2.4", "127.0.1.5"}));
  EXPECT_TRUE(bound.source->next_block().empty());
  const IngestStats& stats = bound.source->stats();
  EXPECT_EQ(stats.datagrams, 4u);
  EXPECT_EQ(stats.skipped[static_cast<size_t>(IngestSkip::kNotAllowed)], 27u);
  EXPECT_EQ(stats.frames, 31u);
  EXPECT_EQ(stats.sockets[0].datagrams, 31u);
  ASSERT_EQ(stats.rejected.size(), IngestStats::kRejectedNamedMax);
  EXPECT_EQ(stats.rejected[0], std::make_pair(base::Inet::v4(0x7f000104), uint64_t{7}));
}

TEST(UdpSender, NobodyListensIsCounted) {
  uint16_t port = 0;
  {
    const Bound bound = listen({{"127.0.0.1", 0, ""}});
    port = bound.port();
  }
  UdpSender sender(kLoopback, port);
  bool all = true;
  for (int i = 0; i < 4; ++i) {
    send(sender, "x");
    all &= sender.flush();
  }
  EXPECT_FALSE(all);
  EXPECT_GT(sender.refused(), 0u);
  EXPECT_EQ(sender.sent() + sender.refused(), 4u);
}

TEST(UdpSender, TooLongIsRefusedAndTheRestIsSent) {
  for (const bool coalesce : {false, true}) {
    const Bound bound = listen({{"127.0.0.1", 0, ""}});
    UdpSender sender(kLoopback, bound.port(), nullptr, coalesce);
    send(sender, "one");
    send(sender, std::string(65'508, 'x'));
    send(sender, "two");
    EXPECT_FALSE(sender.flush());
    EXPECT_EQ(sender.sent(), 2u);
    EXPECT_EQ(sender.refused(), 1u);
    EXPECT_EQ(receive(bound, 2).payloads(), (std::vector<std::string>{"one", "two"}));
  }
}

TEST(UdpSender, SourceThatIsNotOursIsTold) {
  const base::Inet foreign = base::Inet::v4(0xc0000201);
  EXPECT_THROW(UdpSender(kLoopback, 2055, &foreign), std::system_error);
}

}  // namespace
}  // namespace backstream::ingest
