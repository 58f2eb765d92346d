#include "ingest/forwarder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <set>
#include <thread>

#include "base/byte_order.h"
#include "ingest/capture_bytes_test.h"
#include "ingest/forward_queue.h"
#include "ingest/raw_packet.h"

namespace backstream::ingest {
namespace {

const base::Inet kLoopback = base::Inet::v4(0x7f000001);

base::Datagram datagram(const std::string& payload, const base::Inet& source, uint16_t source_port, uint16_t port = 0) {
  base::Datagram made;
  made.payload = reinterpret_cast<const uint8_t*>(payload.data());
  made.payload_octets = static_cast<uint32_t>(payload.size());
  made.source = source;
  made.source_port = source_port;
  made.destination_port = port;
  return made;
}

bool may_send_raw() {
  const int file = ::socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (file >= 0) ::close(file);
  return file >= 0;
}

constexpr auto kAll = [](const base::Datagram&) { return true; };

std::vector<std::string> taken(ForwardQueue& queue, size_t at_most) {
  std::vector<ForwardQueue::Item> items(at_most);
  items.resize(queue.peek(items));
  std::vector<std::string> payloads;
  for (const auto& item : items) {
    payloads.push_back(fmt::format("{}:{} {}", base::to_string(item.source), item.source_port,
                                   std::string(item.payload, item.payload + item.payload_octets)));
  }
  queue.release(items.size());
  return payloads;
}

TEST(ForwardQueue, GivesWhatWasPutInOrderWithItsSource) {
  ForwardQueue queue(1);
  const std::string a = "a", none, b(65'507, 'b');
  const base::Inet v6 = base::Inet::v6(1, 2);
  EXPECT_EQ(queue.put(std::vector{datagram(a, kLoopback, 7), datagram(none, v6, 8), datagram(b, kLoopback, 9)}, kAll),
            0u);
  EXPECT_EQ(taken(queue, 2), (std::vector<std::string>{"127.0.0.1:7 a", "::1:0:0:0:2:8 "}));
  EXPECT_EQ(taken(queue, 2), (std::vector<std::string>{"127.0.0.1:9 " + b}));
  queue.end();
  EXPECT_TRUE(taken(queue, 2).empty());
}

TEST(ForwardQueue, FullLeavesOutTheNewAndKeepsItsBound) {
  ForwardQueue queue(1);
  const std::string payload(1000, 'x');
  const std::vector<base::Datagram> many(1000, datagram(payload, kLoopback, 7));
  const uint64_t left_out = queue.put(many, kAll);
  const uint64_t kept = many.size() - left_out;
  EXPECT_GT(kept, 100u);
  EXPECT_LT(kept * 1000, 132'000u);
  EXPECT_EQ(queue.put(many, kAll), many.size());
  EXPECT_EQ(taken(queue, 5).size(), 5u);
  EXPECT_EQ(queue.put(std::span(many).first(10), kAll), 5u) << "room for as many as were released";
  EXPECT_EQ(queue.put(many, [](const base::Datagram&) { return false; }), 0u);
}

TEST(ForwardQueue, LongestDatagramsFindRoomWhereverTheRingHasGotTo) {
  ForwardQueue queue(1);
  const std::string longest(65'507, 'x');
  for (size_t octets = 0; octets < 1500; octets += 13) {
    const std::string little(octets, 'y');
    EXPECT_EQ(queue.put(std::vector{datagram(little, kLoopback, 7)}, kAll), 0u);
    EXPECT_EQ(taken(queue, 1).size(), 1u);
    EXPECT_EQ(queue.put(std::vector{datagram(longest, kLoopback, 7)}, kAll), 0u) << octets;
    ASSERT_EQ(taken(queue, 1), (std::vector<std::string>{"127.0.0.1:7 " + longest}));
  }
}

TEST(ForwardQueue, SeveralThreadsPutWhileOneTakes) {
  ForwardQueue queue(200'000);
  constexpr size_t kThreads = 3, kEach = 20'000;
  std::atomic<uint64_t> left_out{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < kEach; ++i) {
        const std::string payload = fmt::format("{:<{}}", i, 10 + i % 300);
        left_out += queue.put(std::vector{datagram(payload, base::Inet::v4(static_cast<uint32_t>(t)), 7)}, kAll);
      }
    });
  }
  std::thread end([&] {
    for (auto& thread : threads) thread.join();
    queue.end();
  });
  uint64_t count = 0;
  int64_t last[kThreads] = {-1, -1, -1};
  std::vector<ForwardQueue::Item> items(64);
  while (const size_t got = queue.peek(items)) {
    for (size_t i = 0; i < got; ++i) {
      const int64_t number = std::stoll(std::string(items[i].payload, items[i].payload + 10));
      int64_t& before = last[items[i].source.v4_address()];
      ASSERT_GT(number, before);
      ASSERT_EQ(items[i].payload_octets, 10 + static_cast<size_t>(number) % 300);
      before = number;
    }
    count += got;
    queue.release(got);
  }
  end.join();
  EXPECT_EQ(count + left_out, kThreads * kEach);
}

/// The sum over what a checksum covers, itself included, is all ones (RFC 1071 §1).
uint32_t ones_sum(const std::string& octets) {
  uint64_t sum = 0;
  for (size_t i = 0; i < octets.size(); ++i)
    sum += static_cast<uint64_t>(static_cast<uint8_t>(octets[i])) << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<uint32_t>(sum);
}

TEST(RawPacket, HeadersHoldWhatTheRfcsSayAndTheChecksumIsRight) {
  for (const bool v4 : {true, false}) {
    for (uint32_t octets = 0; octets < 70; ++octets) {
      std::string payload;
      for (uint32_t i = 0; i < octets; ++i) payload += static_cast<char>(0xF1 * (i + 1));
      const base::Inet from = v4 ? base::Inet::v4(0xC0000201) : base::Inet::v6(0x20010db800000000, 1);
      const base::Inet to = v4 ? base::Inet::v4(0xC6336407) : base::Inet::v6(0x20010db800000000, 0xFFFF);
      uint8_t header[kRawHeaderOctetsMax];
      const uint32_t length =
          write_raw_header(from, 50'000, to, 2055, reinterpret_cast<const uint8_t*>(payload.data()), octets, header);
      ASSERT_EQ(length, v4 ? 28u : 48u);
      const std::string all = std::string(header, header + length) + payload;
      const std::string addresses = v4 ? all.substr(12, 8) : all.substr(8, 32);
      const std::string udp = all.substr(length - 8);
      EXPECT_EQ(base::load_be16(header + length - 8), 50'000);
      EXPECT_EQ(base::load_be16(header + length - 6), 2055);
      EXPECT_EQ(base::load_be16(header + length - 4), 8 + octets);
      const std::string pseudo =
          addresses + std::string("\0\x11", 2) + std::string(1, '\0') + static_cast<char>(8 + octets);
      EXPECT_EQ(ones_sum(pseudo + udp), 0xFFFFu) << octets;
      EXPECT_EQ(header[0] >> 4, v4 ? 4 : 6);
      EXPECT_EQ(header[v4 ? 9 : 6], 17);
      EXPECT_EQ(header[v4 ? 8 : 7], 64);
      EXPECT_EQ(base::load_be16(header + 4), v4 ? 0 : 8 + octets);
    }
  }
}

/// A collector that is already there.
struct Collector {
  explicit Collector(const std::string& host = "127.0.0.1") {
    UdpOptions options;
    options.poll_interval_ms = 500;
    std::vector<std::string> sites;
    auto opened = listen_udp({{host, 0, ""}}, options, sites);
    EXPECT_TRUE(opened);
    source = std::move(opened->front());
  }
  uint16_t port() const { return source->ports()[0]; }
  std::vector<std::string> receive(size_t count) {
    Seen seen;
    while (seen.datagrams.size() < count) {
      const auto block = source->next_block();
      if (block.empty()) break;
      take(block, seen);
    }
    std::vector<std::string> got;
    for (const auto& [payload, about] : seen.datagrams) {
      ports.insert(about.source_port);
      got.push_back(fmt::format("{} {}", base::to_string(about.source), payload));
    }
    return got;
  }
  std::unique_ptr<UdpSource> source;
  std::set<uint16_t> ports;
};

std::unique_ptr<Forwarder> forward_to(const std::vector<ForwardTarget>& targets,
                                      const std::vector<uint16_t>& listening = {}) {
  auto opened = open_forwarder(targets, listening);
  EXPECT_TRUE(opened) << opened.error().message;
  return std::move(*opened);
}
ForwardTarget target(std::string name, uint16_t port, bool spoof, const std::string& host = "127.0.0.1") {
  ForwardTarget made;
  made.name = std::move(name);
  made.to = {host, port, ""};
  made.spoof = spoof;
  return made;
}
uint64_t dropped(const ForwardStats& stats, ForwardDrop why) { return stats.dropped[static_cast<size_t>(why)]; }

TEST(Forwarder, EachTargetGetsEveryDatagramUnchangedAndByItself) {
  Collector first, second;
  auto forwarder = forward_to({target("first", first.port(), false), target("second", second.port(), false)});
  std::vector<std::string> payloads, expected;
  for (size_t i = 0; i < 200; ++i) payloads.push_back(fmt::format("{:<{}}", i, i % 7 == 3 ? 5 : 1400));
  payloads[100].clear();
  payloads[150].assign(60'000, 'x');
  std::vector<base::Datagram> block;
  for (const std::string& payload : payloads) {
    block.push_back(datagram(payload, base::Inet::v4(0xC0000201), 50'000));
    expected.push_back("127.0.0.1 " + payload);
  }
  for (size_t begin = 0; begin < block.size(); begin += 50) forwarder->take(std::span(block).subspan(begin, 50));
  EXPECT_EQ(first.receive(200), expected);
  EXPECT_EQ(second.receive(200), expected);
  forwarder->stop();
  for (const ForwardStats& stats : forwarder->stats()) {
    EXPECT_EQ(stats.sent, 200u);
    EXPECT_EQ(stats.own_source, 200u);
    EXPECT_FALSE(stats.source_kept);
    uint64_t octets = 0;
    for (const std::string& payload : payloads) octets += payload.size();
    EXPECT_EQ(stats.octets, octets);
  }
}

TEST(Forwarder, SourcesAreKeptInBothFamiliesWhereTheSystemLetsUs) {
  if (!may_send_raw()) GTEST_SKIP() << "needs CAP_NET_RAW";
  const base::Inet exporter4 = base::Inet::v4(0xC0000201), exporter6 = base::Inet::v6(0x20010db800000000, 7);
  Collector v4;
  auto forwarder = forward_to({target("v4", v4.port(), true)});
  const std::string one(1464, '1'), two = "2", three(65'507, '3');
  forwarder->take(std::vector{datagram(one, exporter4, 50'001), datagram(two, exporter6, 50'002),
                              datagram(three, exporter4, 50'003)});
  EXPECT_EQ(v4.receive(3), (std::vector<std::string>{"192.0.2.1 " + one, "127.0.0.1 2", "192.0.2.1 " + three}));
  EXPECT_TRUE(v4.ports.contains(50'001) && v4.ports.contains(50'003));
  forwarder->stop();
  EXPECT_TRUE(forwarder->stats()[0].source_kept);
  EXPECT_EQ(forwarder->stats()[0].own_source, 1u);
  EXPECT_EQ(forwarder->stats()[0].sent, 3u);
}

TEST(Forwarder, SourcesAreKeptOverIpv6) {
  const int probe = ::socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
  if (probe < 0) GTEST_SKIP() << "needs CAP_NET_RAW and IPv6";
  ::close(probe);
  Collector v6("::1");
  auto forwarder = forward_to({target("v6", v6.port(), true, "::1")});
  const std::string one(1400, '1'), two = "2";
  forwarder->take(std::vector{datagram(one, base::Inet::v6(0x20010db800000000, 7), 50'001),
                              datagram(two, base::Inet::v4(0xC0000201), 50'002)});
  const std::vector<std::string> got = v6.receive(2);
  EXPECT_EQ(std::set(got.begin(), got.end()), (std::set<std::string>{"2001:db8::7 " + one, "::1 2"}));
}

TEST(Forwarder, OnlyThePortsAskedFor) {
  Collector collector;
  ForwardTarget only = target("only", collector.port(), false);
  only.ports = {2055, 4739};
  auto forwarder = forward_to({only});
  const std::string a = "a", b = "b", c = "c";
  forwarder->take(
      std::vector{datagram(a, kLoopback, 7, 2055), datagram(b, kLoopback, 7, 6343), datagram(c, kLoopback, 7, 4739)});
  EXPECT_EQ(collector.receive(2), (std::vector<std::string>{"127.0.0.1 a", "127.0.0.1 c"}));
  forwarder->stop();
  EXPECT_EQ(forwarder->stats()[0].sent, 2u);
}

TEST(Forwarder, AClosedPortIsToldAndTheOthersGoOn) {
  uint16_t closed = 0;
  { closed = Collector().port(); }
  Collector open;
  auto forwarder = forward_to({target("closed", closed, false), target("open", open.port(), false)});
  const std::string payload = "x";
  // The answer to a datagram is heard with the next one; a thread that is not run for a while sends many at once.
  uint64_t taken = 0;
  do {
    forwarder->take(std::vector{datagram(payload, kLoopback, 7)});
    EXPECT_EQ(open.receive(1).size(), 1u);
  } while (++taken < 2'000 && (taken < 20 || forwarder->stats()[0].refusals == 0));
  forwarder->stop();
  const auto stats = forwarder->stats();
  EXPECT_EQ(stats[0].sent, taken);
  EXPECT_GT(stats[0].refusals, 0u);
  EXPECT_EQ(stats[1].sent, taken);
  EXPECT_EQ(stats[1].refusals, 0u);
}

TEST(Forwarder, WhatTheSystemRefusesIsCountedByReason) {
  Collector collector;
  auto forwarder = forward_to({target("plain", collector.port(), false)});
  const std::string too_long(65'508, 'x'), fits = "y";
  forwarder->take(std::vector{datagram(too_long, kLoopback, 7), datagram(fits, kLoopback, 7)});
  EXPECT_EQ(collector.receive(1), (std::vector<std::string>{"127.0.0.1 y"}));
  forwarder->stop();
  EXPECT_EQ(dropped(forwarder->stats()[0], ForwardDrop::kTooLong), 1u);
  EXPECT_EQ(forwarder->stats()[0].sent, 1u);
}

TEST(Forwarder, ATargetThatDoesNotKeepUpLosesItsOwnAndNothingElse) {
  Collector collector;
  ForwardTarget small = target("small", collector.port(), false), large = target("large", collector.port(), false);
  small.queue_octets = 1;
  auto forwarder = forward_to({small, large});
  const std::string payload(1400, 'x');
  const std::vector<base::Datagram> burst(2'000, datagram(payload, kLoopback, 7));  // 2.9 MB at once
  forwarder->take(burst);
  forwarder->stop();
  const auto stats = forwarder->stats();
  EXPECT_GT(dropped(stats[0], ForwardDrop::kQueueFull), 0u);
  EXPECT_EQ(stats[0].sent + dropped(stats[0], ForwardDrop::kQueueFull), 2'000u);
  EXPECT_EQ(stats[1].sent, 2'000u);
}

TEST(Forwarder, ItselfAsTargetIsRefusedAndSoIsAHostThatIsNone) {
  for (const char* own : {"127.0.0.1", "127.3.2.1", "::1"}) {
    const auto loop = open_forwarder({target("loop", 2055, false, own)}, {4739, 2055});
    ASSERT_FALSE(loop) << own;
    EXPECT_EQ(loop.error().message, "forward.loop: we listen there ourselves");
  }
  EXPECT_TRUE(open_forwarder({target("fine", 2056, false)}, {2055}));
  const auto unknown = open_forwarder({target("x", 2055, false, "no-such-host.invalid")}, {});
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().message.starts_with("forward.x: 'no-such-host.invalid': ")) << unknown.error().message;
}

TEST(Forwarder, NotesSayFromWhereItSends) {
  Collector collector;
  auto forwarder = forward_to({target("a", collector.port(), false), target("b", collector.port(), true)});
  const auto notes = forwarder->notes();
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_EQ(notes[0], fmt::format("forward.a: to udp://127.0.0.1:{} from our own address", collector.port()));
  EXPECT_NE(notes[1].find(may_send_raw() ? "from the exporters' addresses" : "CAP_NET_RAW"), std::string::npos);
}

}  // namespace
}  // namespace backstream::ingest
