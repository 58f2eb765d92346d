#include "base/inet.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace backstream::base {
namespace {

std::string inet(std::string_view text) {
  const auto parsed = parse_inet(text);
  return parsed ? to_cidr_string(*parsed) : "refused";
}
std::string cidr(std::string_view text) {
  const auto parsed = parse_cidr(text);
  return parsed ? to_cidr_string(*parsed) : "refused";
}

struct Case {
  std::string_view text, inet, cidr;
};
// Text, inet and cidr as PostgreSQL 15 answered them; text::inet::text always shows the length.
constexpr Case kCases[] = {
    {"1.2.3.4", "1.2.3.4/32", "1.2.3.4/32"},
    {"1.2.3.4.", "1.2.3.4/32", "refused"},
    {"1.2.3.4/", "refused", "refused"},
    {"10.1", "refused", "10.1.0.0/16"},
    {"10.1/16", "10.1.0.0/16", "10.1.0.0/16"},
    {"10.1./16", "10.1.0.0/16", "refused"},
    {"10.1.2.", "refused", "refused"},
    {"10/8", "10.0.0.0/8", "10.0.0.0/8"},
    {"10/16", "refused", "10.0.0.0/16"},
    {"1.2.3/24", "1.2.3.0/24", "1.2.3.0/24"},
    {"1.2.3/32", "refused", "1.2.3.0/32"},
    {"01.002.3.4", "1.2.3.4/32", "1.2.3.4/32"},
    {"1.2.3.256", "refused", "refused"},
    {"1.2.3.4/33", "refused", "refused"},
    {"1.2.3.4/-1", "refused", "refused"},
    {"1.2.3.4/08", "1.2.3.4/8", "refused"},
    {"1.2.3.4/0000024", "1.2.3.4/24", "refused"},
    {" 1.2.3.4", "refused", "refused"},
    {"1.2.3.4 ", "refused", "refused"},
    {"", "refused", "refused"},
    {".", "refused", "refused"},
    {"/8", "refused", "refused"},
    {"1..2.3", "refused", "refused"},
    {"1.2.3.4.5", "refused", "refused"},
    {"224", "refused", "224.0.0.0/4"},
    {"224.0.0.0", "224.0.0.0/32", "224.0.0.0/32"},
    {"192.168", "refused", "192.168.0.0/24"},
    {"10.1.2.3/8", "10.1.2.3/8", "refused"},
    {"0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"},
    {"::", "::/128", "::/128"},
    {"::1", "::1/128", "::1/128"},
    {"::/0", "::/0", "::/0"},
    {"0::/0", "::/0", "::/0"},
    {"::1/", "refused", "refused"},
    {"::1.2.3.4", "::1.2.3.4/128", "::1.2.3.4/128"},
    {"::01.2.3.4", "refused", "refused"},
    {"::1.2.3.", "refused", "refused"},
    {"::1.2", "::1.2.0.0/128", "::1.2.0.0/128"},
    {"1::1.2", "1::102:0/128", "1::102:0/128"},
    {"::0.0.0.2", "::2/128", "::2/128"},
    {"::1:0", "::0.1.0.0/128", "::0.1.0.0/128"},
    {"::ffff:1.2.3.4", "::ffff:1.2.3.4/128", "::ffff:1.2.3.4/128"},
    {"::ffff:1.2.3.4/120", "::ffff:1.2.3.4/120", "refused"},
    {"::ffff:0:1", "::ffff:0.0.0.1/128", "::ffff:0.0.0.1/128"},
    {"::fffe:1:2", "::fffe:1:2/128", "::fffe:1:2/128"},
    {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8/128", "1:2:3:4:5:6:7:8/128"},
    {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0/128", "1:2:3:4:5:6:7:0/128"},
    {"1:2:3:4:5:6:7:8::", "refused", "refused"},
    {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::/128", "1:2:3:4:5:6::/128"},
    {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8/128", "0:2:3:4:5:6:7:8/128"},
    {"0:0:3:4:5:6:0:0", "::3:4:5:6:0:0/128", "::3:4:5:6:0:0/128"},
    {"1:0:0:2::3", "1:0:0:2::3/128", "1:0:0:2::3/128"},
    {"1:", "refused", "refused"},
    {":1::2", "refused", "refused"},
    {":::", "refused", "refused"},
    {"1:::2", "refused", "refused"},
    {"1::2::3", "refused", "refused"},
    {"12345::", "refused", "refused"},
    {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304/128", "1:2:3:4:5:6:102:304/128"},
    {"1:2:3:4:5:6:7:1.2.3.4", "refused", "refused"},
    {"2001:DB8::A/064", "refused", "refused"},
    {"2001:db8::/64", "2001:db8::/64", "2001:db8::/64"},
    {"2001:db8::1/129", "refused", "refused"},
    {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1/128", "2001:db8:0:1:1:1:1:1/128"},
    {"fe80::1%eth0", "refused", "refused"},
    {"64:ff9b::1.2.3.4", "64:ff9b::102:304/128", "64:ff9b::102:304/128"},
};

TEST(Inet, TextIsReadAndWrittenAsPostgres15Does) {
  for (const Case& c : kCases) {
    EXPECT_EQ(inet(c.text), c.inet) << "inet '" << c.text << "'";
    EXPECT_EQ(cidr(c.text), c.cidr) << "cidr '" << c.text << "'";
  }
}

TEST(Inet, HostAddressIsPrintedWithoutLength) {
  EXPECT_EQ(to_string(*parse_inet("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(to_string(*parse_inet("192.0.2.1/24")), "192.0.2.1/24");
  EXPECT_EQ(to_string(*parse_inet("2001:db8::1")), "2001:db8::1");
}

TEST(Inet, LongestTextFitsItsBuffer) {
  std::array<char, 50> text{};
  const Inet longest = *parse_inet("1111:2222:3333:4444:5555:6666:7777:8888/127");
  EXPECT_EQ(format_inet(longest, text.data(), true) - text.data(), 43);
}

TEST(Inet, CidrTellsHostBitsFromNonsense) {
  bool host_bits_set = false;
  EXPECT_FALSE(parse_cidr("10.1.2.3/8", &host_bits_set));
  EXPECT_TRUE(host_bits_set);
  EXPECT_FALSE(parse_cidr("10.1.2.x/8", &host_bits_set));
  EXPECT_FALSE(host_bits_set);
}

TEST(Inet, MappedAddressFromTheWireBecomesIpv4) {
  const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
  EXPECT_EQ(Inet::from_v6_octets(mapped), Inet::v4(0xc0000201));
  const uint8_t native[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  EXPECT_EQ(to_string(Inet::from_v6_octets(native)), "2001:db8::1");
}

TEST(Inet, OrderIsThatOfPostgres) {
  // SELECT x::inet FROM ... ORDER BY 1
  const std::string_view ordered[] = {"0.0.0.0/0",     "9.0.0.0/0",      "10.0.0.0/8", "10.0.0.1/8",
                                      "10.0.0.0/24",   "10.0.0.0",       "10.0.0.1",   "::/0",
                                      "2001:db8::/32", "2001:db8::1/32", "2001:db8::", "2001:db8::1"};
  std::vector<Inet> values;
  for (const auto text : ordered) values.push_back(*parse_inet(text));
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t j = 0; j < values.size(); ++j) {
      EXPECT_EQ(compare(values[i], values[j]), i <=> j) << ordered[i] << " and " << ordered[j];
    }
  }
}

TEST(Inet, NetworkAndContainmentWorkOnAnyBit) {
  EXPECT_EQ(to_string(parse_inet("10.255.3.4/9")->network()), "10.128.0.0/9");
  EXPECT_EQ(to_string(parse_inet("2001:db8:ffff:ffff:ffff::1/65")->network()), "2001:db8:ffff:ffff:8000::/65");
  EXPECT_EQ(to_string(parse_inet("2001:db8::1/64")->network()), "2001:db8::/64");
  EXPECT_EQ(to_string(parse_inet("2001:db8::1/0")->network()), "::/0");
  EXPECT_TRUE(parse_inet("10.0.0.0/8")->contains_or_equals(*parse_inet("10.2.3.4")));
  EXPECT_TRUE(parse_inet("10.9.0.0/8")->contains_or_equals(*parse_inet("10.2.3.4/8")));
  EXPECT_FALSE(parse_inet("10.0.0.0/8")->contains_or_equals(*parse_inet("10.0.0.0/7")));
  EXPECT_FALSE(parse_inet("0.0.0.0/0")->contains_or_equals(*parse_inet("::1")));
  EXPECT_FALSE(parse_inet("2001:db8::/127")->contains_or_equals(*parse_inet("2001:db8::2")));
}

}  // namespace
}  // namespace backstream::base
