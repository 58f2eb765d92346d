#include "config/endpoint.h"

#include <gtest/gtest.h>

namespace backstream::config {
namespace {

TEST(Endpoint, IsReadAndWrittenInOneSpelling) {
  const std::pair<const char*, const char*> cases[] = {
      {"udp://127.0.0.1:2055", "udp://127.0.0.1:2055"},
      {"udp://[0:0::1]:65535", "udp://[::1]:65535"},
      {"udp://[2001:DB8::0:1]:0", "udp://[2001:db8::1]:0"},
      {"udp://:2055", "udp://*:2055"},
      {"udp://*:2055", "udp://*:2055"},
      {"udp://localhost:1", "udp://localhost:1"},
      {"udp://col-1.ams.example:4739", "udp://col-1.ams.example:4739"}};
  for (const auto& [text, spelling] : cases) {
    const auto endpoint = parse_endpoint(text, "udp");
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->text(), spelling);
    EXPECT_EQ(parse_endpoint(spelling, "udp"), endpoint);
  }
}

TEST(Endpoint, WhatIsNoneIsRefused) {
  for (const char* wrong : {"", "udp", "udp://", "udp://127.0.0.1", "udp://127.0.0.1:", "udp://127.0.0.1:65536",
                            "udp://127.0.0.1:-1", "udp://127.0.0.1:20 ", "udp://127.0.0.300:1", "udp://10.0.0.0/8:1",
                            "udp://127.0.0.1/32:1", "udp://::1:2055", "udp://[::1:2055", "udp://[127.0.0.1]:1",
                            "udp://[::/0]:1", "tcp://127.0.0.1:1", "http://127.0.0.1:1", "udp://a b:1", "udp://a/b:1"})
    EXPECT_FALSE(parse_endpoint(wrong, "udp")) << wrong;
}

TEST(Endpoint, LoopbackIsWhatOthersCannotReach) {
  const auto loopback = [](const char* text) { return parse_endpoint(text, "udp").value().is_loopback(); };
  EXPECT_TRUE(loopback("udp://127.0.0.1:1"));
  EXPECT_TRUE(loopback("udp://127.255.0.9:1"));
  EXPECT_TRUE(loopback("udp://[::1]:1"));
  EXPECT_TRUE(loopback("udp://localhost:1"));
  EXPECT_FALSE(loopback("udp://128.0.0.1:1"));
  EXPECT_FALSE(loopback("udp://[::2]:1"));
  EXPECT_FALSE(loopback("udp://*:1"));
  EXPECT_FALSE(loopback("udp://[::]:1"));
  EXPECT_FALSE(loopback("udp://collector:1"));
  EXPECT_TRUE(parse_endpoint("udp://[::]:1", "udp")->is_any());
  EXPECT_TRUE(parse_endpoint("udp://0.0.0.0:1", "udp")->is_any());
  EXPECT_FALSE(parse_endpoint("udp://[::1]:1", "udp")->is_any());
}

}  // namespace
}  // namespace backstream::config
