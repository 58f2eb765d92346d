#include "http/url.h"

#include <gtest/gtest.h>

namespace backstream::http {
namespace {

TEST(HttpUrl, PercentDecodingIsStrict) {
  EXPECT_EQ(percent_decode("a%20b%2fc+d"), "a b/c+d");
  EXPECT_EQ(percent_decode("a+b%2B", true), "a b+");
  EXPECT_EQ(percent_decode("%C3%A9"), "é");
  for (const std::string_view bad : {"%", "%1", "%zz", "a%2", "%00", "%ff", "%c3", "%C0%80", "%+1"}) {
    EXPECT_EQ(percent_decode(bad), std::nullopt) << bad;
  }
}
TEST(HttpUrl, EncodingIsUndoneByDecoding) {
  const std::string text = "top/dst as?&=#%+\"é\n";
  EXPECT_EQ(percent_decode(percent_encode(text)), text);
  EXPECT_EQ(percent_encode("a/b~"), "a%2Fb~");
}
TEST(HttpUrl, QueriesAreBounded) {
  const auto parsed = parse_query("a=1&b=x%3Dy=z&&c&a=2&=e");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, (Parameters{{"a", "1"}, {"b", "x=y=z"}, {"c", ""}, {"a", "2"}, {"", "e"}}));
  std::string many;
  for (size_t i = 0; i < kParametersMax; ++i) many += "a&";
  EXPECT_TRUE(parse_query(many));
  EXPECT_FALSE(parse_query(many + "a"));
  const auto bad = parse_query("a=1&b=%");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("parameter 2"), std::string::npos);
}
TEST(HttpUrl, TargetsOfAllForms) {
  auto target = parse_target("/api/v1/a%2Fb?x=1");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/api/v1/a/b");
  EXPECT_EQ(target->raw_path, "/api/v1/a%2Fb");
  EXPECT_EQ(target->query, (Parameters{{"x", "1"}}));
  target = parse_target("http://Host:80?q");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->authority, "Host:80");
  EXPECT_EQ(target->path, "/");
  EXPECT_TRUE(parse_target("*"));
  for (const std::string_view bad : {"", "a", "?a", "http:///x", "/a b", "/a#b", "/\xc3\xa9", "/a\\b", "/../x",
                                     "/a/%2e%2e/b", "/./", "/%", "/%00", "ftp://a/", "host:443"}) {
    EXPECT_FALSE(parse_target(bad)) << bad;
  }
  EXPECT_EQ(parse_target("/" + std::string(kTargetOctetsMax, 'a')).error().code, "414");
  std::string deep;
  for (size_t i = 0; i < kSegmentsMax; ++i) deep += "/a";
  EXPECT_TRUE(parse_target(deep));
  EXPECT_FALSE(parse_target(deep + "/a"));
}
TEST(HttpUrl, HostsHaveOneSpelling) {
  EXPECT_EQ(parse_host("LocalHost.:8844"), (HostPort{"localhost", uint16_t{8844}}));
  EXPECT_EQ(parse_host("[0:0::1]"), (HostPort{"::1", std::nullopt}));
  EXPECT_EQ(parse_host("10.0.0.1:1"), (HostPort{"10.0.0.1", uint16_t{1}}));
  for (const std::string_view bad : {"", ":80", "a:", "a:99999", "a:-1", "a:8 ", "[::1", "[::1]x", "[1.2.3.4]",
                                     "[::/0]", "a b", "a,b", "u@h", "..", ".a", "a..b", ".", "a/b"}) {
    EXPECT_EQ(parse_host(bad), std::nullopt) << bad;
  }
}
TEST(HttpUrl, ServersAreHttpOrHttps) {
  auto url = parse_url("HTTPS://noc.example/base/");
  ASSERT_TRUE(url);
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->port, 443);
  EXPECT_EQ(url->base_path, "/base");
  EXPECT_EQ(host_header(*url), "noc.example");
  url = parse_url("http://[::1]:8844");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(host_header(*url), "[::1]:8844");
  for (const std::string_view bad :
       {"", "localhost:8844", "http://", "http://a:0", "http://a/ b", "http://a/?x", "file:///x"}) {
    const auto refused = parse_url(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_FALSE(refused.error().hint.empty());
  }
}
TEST(HttpUrl, LoopbackNames) {
  for (const std::string_view name : {"localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"})
    EXPECT_TRUE(is_loopback_name(name)) << name;
  for (const std::string_view name : {"localhost.example", "128.0.0.1", "::2", "::", "127.0.0.0/8", ""}) {
    EXPECT_FALSE(is_loopback_name(name)) << name;
  }
}

}  // namespace
}  // namespace backstream::http
