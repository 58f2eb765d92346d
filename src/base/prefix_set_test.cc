#include "base/prefix_set.h"

#include <gtest/gtest.h>

#include <random>

namespace backstream::base {
namespace {

PrefixSet set_of(std::initializer_list<const char*> texts) {
  std::vector<Inet> prefixes;
  for (const char* text : texts) prefixes.push_back(*parse_inet(text));
  return PrefixSet(std::move(prefixes));
}

TEST(PrefixSet, HoldsWhatAnyOfItsPrefixesHolds) {
  const PrefixSet set = set_of({"192.0.2.0/24", "192.0.2.128/25", "198.51.100.7", "2001:db8::/32", "0.0.0.0/32"});
  for (const char* inside : {"192.0.2.0", "192.0.2.200", "192.0.2.255", "198.51.100.7", "2001:db8::1", "0.0.0.0",
                             "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"})
    EXPECT_TRUE(set.contains(*parse_inet(inside))) << inside;
  for (const char* outside :
       {"192.0.1.255", "192.0.3.0", "198.51.100.6", "198.51.100.8", "2001:db9::", "::", "0.0.0.1"})
    EXPECT_FALSE(set.contains(*parse_inet(outside))) << outside;
}

TEST(PrefixSet, AllOfOneFamilyIsNothingOfTheOther) {
  EXPECT_TRUE(set_of({"0.0.0.0/0"}).contains(*parse_inet("255.255.255.255")));
  EXPECT_FALSE(set_of({"0.0.0.0/0"}).contains(*parse_inet("::1")));
  EXPECT_FALSE(set_of({"::/0"}).contains(*parse_inet("10.0.0.1")));
  EXPECT_FALSE(set_of({}).contains(*parse_inet("10.0.0.1")));
}

TEST(PrefixSet, AgreesWithAskingEachPrefix) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<Inet> prefixes;
    for (unsigned i = random() % 20; i > 0; --i)
      prefixes.push_back(Inet::v4(random() & 0xff0f0f0f, static_cast<uint8_t>(random() % 33)));
    const PrefixSet set(prefixes);
    for (int i = 0; i < 200; ++i) {
      const Inet host = Inet::v4(random() & 0xff0f0f0f);
      bool held = false;
      for (const Inet& prefix : prefixes) held |= prefix.contains_or_equals(host);
      ASSERT_EQ(set.contains(host), held) << to_string(host) << " round " << round;
    }
  }
}

}  // namespace
}  // namespace backstream::base
