#include "http/guard.h"

#include <gtest/gtest.h>

namespace backstream::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(HttpGuard, OnlyOurNamesAreAnswered) {
  const base::Inet loopback = base::Inet::v4(0x7f000001), outside = base::Inet::v4(0xc0000201);
  const std::vector<std::string> allowed = {"noc.example"};
  EXPECT_EQ(check_host("127.0.0.1:8844", loopback, allowed), HostVerdict::kGood);
  EXPECT_EQ(check_host("localhost:1", loopback, allowed), HostVerdict::kGood);
  EXPECT_EQ(check_host("[::1]", loopback, allowed), HostVerdict::kGood);
  EXPECT_EQ(check_host("NOC.example", loopback, allowed), HostVerdict::kGood);
  EXPECT_EQ(check_host("192.0.2.1", outside, allowed), HostVerdict::kGood);
  EXPECT_EQ(check_host("evil.example", loopback, allowed), HostVerdict::kUnknown);
  EXPECT_EQ(check_host("localhost", outside, allowed), HostVerdict::kUnknown);
  EXPECT_EQ(check_host("192.0.2.2", outside, allowed), HostVerdict::kUnknown);
  EXPECT_EQ(check_host("noc.example.evil.example", outside, allowed), HostVerdict::kUnknown);
  EXPECT_EQ(check_host("noc.example, evil.example", outside, allowed), HostVerdict::kMalformed);
  EXPECT_EQ(check_host("", outside, allowed), HostVerdict::kMalformed);
}

struct OriginCase {
  const char *host, *origin;
  bool tls, foreign;
};
TEST(HttpGuard, PagesOfOtherOriginsAreForeign) {
  const std::vector<std::string> allowed = {"https://other.example"};
  const OriginCase cases[] = {
      {"localhost:8844", "http://localhost:8844", false, false},
      {"localhost:8844", "http://localhost", false, true},
      {"localhost", "http://localhost:80", false, false},
      {"noc.example", "https://noc.example", false, false},
      {"noc.example", "http://noc.example", true, true},
      {"noc.example", "https://evil.example", true, true},
      {"noc.example", "https://other.example", true, false},
      {"noc.example", "null", true, true},
      {"noc.example", "", true, true},
      {"noc.example", "https", false, true},
      {"noc.example", "https:/", false, true},
      {"noc.example", "https://", false, true},
      {"noc.example", "https://noc.example/x", true, true},
  };
  for (const OriginCase& c : cases) {
    Request request;
    request.host = c.host;
    request.tls = c.tls;
    request.headers.add("Origin", c.origin);
    EXPECT_EQ(is_foreign(request, allowed), c.foreign) << c.host << " " << c.origin;
  }
}
TEST(HttpGuard, ALinkFromElsewhereMayReadAndNotChange) {
  Request request;
  request.headers.add("Sec-Fetch-Site", "cross-site");
  EXPECT_FALSE(is_foreign(request, {}));
  request.method = Method::kDelete;
  EXPECT_TRUE(is_foreign(request, {}));
  request.headers.set("Sec-Fetch-Site", "same-origin");
  EXPECT_FALSE(is_foreign(request, {}));
}

TEST(HttpPeers, ConnectionsOfOnePeerAreBounded) {
  PeerTable peers({.connections_max = 2});
  const base::Inet a = base::Inet::v4(1), b = base::Inet::v4(2);
  EXPECT_TRUE(peers.connect(a));
  EXPECT_TRUE(peers.connect(a));
  EXPECT_FALSE(peers.connect(a));
  EXPECT_TRUE(peers.connect(b));
  peers.disconnect(a);
  EXPECT_TRUE(peers.connect(a));
}
TEST(HttpPeers, AnIpv6NetworkIsOnePeer) {
  PeerTable peers({.connections_max = 1});
  EXPECT_TRUE(peers.connect(base::Inet::v6(0x20010db800000000, 1)));
  EXPECT_FALSE(peers.connect(base::Inet::v6(0x20010db800000000, 2)));
  EXPECT_TRUE(peers.connect(base::Inet::v6(0x20010db800000001, 1)));
}
TEST(HttpPeers, RequestsComeBackWithTime) {
  PeerTable peers({.connections_max = 1, .requests_per_second = 10, .burst = 3});
  const base::Inet a = base::Inet::v4(1);
  PeerTable::Clock::time_point now{seconds(1'000)};
  ASSERT_TRUE(peers.connect(a));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(peers.request(a, now));
  EXPECT_FALSE(peers.request(a, now));
  now += milliseconds(100);
  EXPECT_TRUE(peers.request(a, now));
  EXPECT_FALSE(peers.request(a, now));
  now += seconds(60);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(peers.request(a, now));
  EXPECT_FALSE(peers.request(a, now));
  // Who reconnects has no new allowance.
  peers.disconnect(a);
  peers.sweep(now);
  ASSERT_TRUE(peers.connect(a));
  EXPECT_FALSE(peers.request(a, now));
}
TEST(HttpPeers, StrangersAreForgotten) {
  PeerTable peers({.connections_max = 1}, 100);
  const PeerTable::Clock::time_point now{seconds(1'000)};
  for (uint32_t i = 0; i < 1'000; ++i) {
    ASSERT_TRUE(peers.connect(base::Inet::v4(i)));
    ASSERT_TRUE(peers.request(base::Inet::v4(i), now));
    peers.disconnect(base::Inet::v4(i));
    ASSERT_LE(peers.size(), 101u);
  }
  peers.sweep(now + seconds(60));
  EXPECT_EQ(peers.size(), 0u);
}

}  // namespace
}  // namespace backstream::http
