#include "lookup/prefix_table.h"

#include <gtest/gtest.h>

#include <random>

#include "lookup/lookup_test_input.h"

namespace backstream::lookup {
namespace {

using base::Inet;
using batch::Type;

const batch::Schema kPrefix = {{{"prefix", Type::kCidr}}};

std::shared_ptr<const Table> networks(const std::vector<Inet>& list, Type type = Type::kCidr) {
  TableBuilder builder({{{"prefix", type}}});
  for (const Inet& network : list) {
    builder.set_inet(0, network);
    EXPECT_TRUE(builder.end_row());
  }
  return builder.finish();
}

/// "10.0.0.0/8 - 10.1.0.0/16": the network found for each address.
std::string found(const PrefixTable& prefixes, const std::vector<const char*>& addresses) {
  std::vector<std::vector<const char*>> rows;
  for (const char* address : addresses) rows.push_back({address});
  const auto probe = table_of({{{"a", Type::kInet}}}, rows);
  std::vector<uint32_t> matches(rows.size(), 77), plain(rows.size(), 78);
  prefixes.find(probe->column(0), nullptr, matches.size(), matches.data());
  prefixes.find_plain(probe->column(0), nullptr, plain.size(), plain.data());
  EXPECT_EQ(matches, plain);
  std::string text;
  for (const uint32_t row : matches) {
    if (!text.empty()) text += ' ';
    text += row == kNoRow ? "-" : row_text(prefixes.table(), row);
  }
  return text;
}

TEST(PrefixTable, LongestPrefixWins) {
  const auto prefixes = PrefixTable::build(
      table_of(kPrefix, {{"10.0.0.0/8"}, {"10.1.0.0/16"}, {"10.1.2.0/24"}, {"10.1.2.3/32"}, {"2001:db8::/32"}}), 0);
  ASSERT_TRUE(prefixes);
  EXPECT_EQ(found(*prefixes, {"10.9.9.9", "10.1.9.9", "10.1.2.9", "10.1.2.3", "11.0.0.0", "9.255.255.255"}),
            "10.0.0.0/8 10.1.0.0/16 10.1.2.0/24 10.1.2.3/32 - -");
  EXPECT_EQ(found(*prefixes, {"2001:db8::1", "2001:db9::", "::10.1.2.3", nullptr}), "2001:db8::/32 - - -");
}

TEST(PrefixTable, DefaultRoutesCatchTheirOwnFamily) {
  const auto prefixes = PrefixTable::build(table_of(kPrefix, {{"0.0.0.0/0"}, {"::/0"}, {"255.255.255.255/32"}}), 0);
  ASSERT_TRUE(prefixes);
  EXPECT_EQ(found(*prefixes,
                  {"1.2.3.4", "255.255.255.255", "255.255.255.254", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}),
            "0.0.0.0/0 255.255.255.255/32 0.0.0.0/0 ::/0 ::/0");
}

TEST(PrefixTable, AddressesThatAreNetworksNeedANetworkAroundAllOfThem) {
  const auto prefixes = PrefixTable::build(table_of(kPrefix, {{"10.0.0.0/8"}, {"10.1.0.0/16"}, {"10.1.0.0/24"}}), 0);
  ASSERT_TRUE(prefixes);
  EXPECT_EQ(found(*prefixes, {"10.1.0.0/16", "10.1.0.0/20", "10.1.0.7/24", "10.0.0.0/7", "10.1.0.0/25"}),
            "10.1.0.0/16 10.1.0.0/16 10.1.0.0/24 - 10.1.0.0/24");
}

TEST(PrefixTable, NullNetworksAndRepeatsAreHarmless) {
  const auto prefixes =
      PrefixTable::build(table_of(kPrefix, {{nullptr}, {"10.0.0.0/8"}, {"10.0.0.0/8"}, {nullptr}, {"10.0.0.0/9"}}), 0);
  ASSERT_TRUE(prefixes);
  EXPECT_EQ(prefixes->repeated_count(), 1u);
  const Inet address = Inet::v4(0x0a000001), other = Inet::v4(0x0aff0001);
  const auto probe = networks({address, other}, Type::kInet);
  uint32_t matches[2];
  prefixes->find(probe->column(0), nullptr, 2, matches);
  EXPECT_EQ(matches[0], 4u);
  EXPECT_EQ(matches[1], 1u) << "of equal networks the first row counts";
  EXPECT_EQ(prefixes->parent(4), 1u);
  EXPECT_EQ(prefixes->parent(1), kNoRow);
}

TEST(PrefixTable, HostBitsOfAnInetColumnDoNotMatter) {
  const auto prefixes = PrefixTable::build(
      table_of({{{"interface", Type::kInet}}}, {{"192.0.2.17/28"}, {"192.0.2.1/24"}, {"2001:db8::7/64"}}), 0);
  ASSERT_TRUE(prefixes);
  EXPECT_EQ(found(*prefixes, {"192.0.2.16", "192.0.2.32", "2001:db8::ffff"}),
            "192.0.2.17/28 192.0.2.1/24 2001:db8::7/64");
}

TEST(PrefixTable, EmptyTableMatchesNothing) {
  const auto prefixes = PrefixTable::build(table_of(kPrefix, {}), 0);
  ASSERT_TRUE(prefixes);
  EXPECT_EQ(found(*prefixes, {"1.2.3.4", "::1", nullptr}), "- - -");
}

TEST(PrefixTable, RefusesToGrowOverItsLimit) {
  std::vector<Inet> list;
  for (uint32_t i = 0; i < 1000; ++i) {  // Pairs that differ in the last bit: the longest chains of nodes.
    list.push_back(Inet::v6(uint64_t{i} << 44 | uint64_t{0x2001} << 48, 0));
    list.push_back(Inet::v6(uint64_t{i} << 44 | uint64_t{0x2001} << 48, 1));
  }
  EXPECT_TRUE(PrefixTable::build(networks(list), 0));
  const auto refused = PrefixTable::build(networks(list), 0, 100'000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "54000");
}

TEST(PrefixTable, ScatteredHostsStaySmall) {
  std::mt19937_64 random(7);
  std::vector<Inet> list;
  for (int i = 0; i < 100'000; ++i) list.push_back(Inet::v6(random(), random()));
  const auto prefixes = PrefixTable::build(networks(list), 0);
  ASSERT_TRUE(prefixes);
  EXPECT_LT(prefixes->octets_held(), (size_t{4} << 20) + list.size() * 40);
}

/// The naive scan that the trie must equal.
uint32_t scan(const Table& table, const Inet& address) {
  const batch::Column& column = table.column(0);
  uint32_t best = kNoRow;
  for (uint32_t row = 0; row < table.row_count(); ++row) {
    const Inet& network = column.as<Inet>()[row];
    if (column.is_null(row) || !network.contains_or_equals(address)) continue;
    if (best == kNoRow || network.prefix_bits > column.as<Inet>()[best].prefix_bits) best = row;
  }
  return best;
}

/// Random tables, dense and sparse, nested and flat; addresses in, beside and at the edges of the networks.
TEST(PrefixTable, EqualsANaiveScanForRandomTables) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    // Few free bits make networks nest and touch; many make them lone.
    const unsigned free_bits = 1 + static_cast<unsigned>(random() % 64);
    const unsigned at = static_cast<unsigned>(random() % 65);
    const auto random_address = [&](bool v4) {
      const uint64_t value = random() >> (64 - free_bits);
      if (v4) return Inet::v4(static_cast<uint32_t>(value << at % 32 ^ (random() % 8 == 0 ? random() : 0x0a000000)));
      const uint64_t hi = uint64_t{0x2001} << 48 ^ (at < 64 ? value << at : 0);
      return Inet::v6(hi, random() % 4 == 0 ? random() >> (random() % 64) : value);
    };
    const size_t row_count = random() % 600;
    TableBuilder builder({{{"prefix", Type::kInet}}});
    for (size_t i = 0; i < row_count; ++i) {
      if (random() % 50 != 0) {
        Inet network = random_address(random() % 2 == 0);
        const unsigned most = network.max_prefix_bits();
        network.prefix_bits = static_cast<uint8_t>(random() % 3 == 0 ? random() % (most + 1) : most - random() % 9);
        builder.set_inet(0, random() % 2 == 0 ? network : network.network());
      }
      ASSERT_TRUE(builder.end_row());
    }
    const auto table = builder.finish();
    std::vector<Inet> list;
    for (int i = 0; i < 500; ++i) list.push_back(random_address(random() % 2 == 0));
    for (size_t row = 0; row < table->row_count(); ++row) {
      if (table->column(0).is_null(row)) continue;
      // First and last address of the network, those beside them, and the network itself.
      Inet first = table->column(0).as<Inet>()[row].network();
      list.push_back(first);
      __extension__ using Wide = unsigned __int128;
      const auto with = [&](Wide word) {
        return first.family == 4 ? Inet::v4(static_cast<uint32_t>(word >> 96))
                                 : Inet::v6(static_cast<uint64_t>(word >> 64), static_cast<uint64_t>(word));
      };
      const Wide word = static_cast<Wide>(first.hi) << 64 | first.lo;
      const Wide one = first.family == 4 ? static_cast<Wide>(1) << 96 : 1;
      const Wide size = first.prefix_bits == 0 ? 0 : static_cast<Wide>(1) << (128 - first.prefix_bits);
      for (const Wide edge : {word, word - one, word + size - one, word + size}) list.push_back(with(edge));
    }
    const auto probe = networks(list, Type::kInet);
    const auto prefixes = PrefixTable::build(table, 0);
    ASSERT_TRUE(prefixes);
    std::vector<uint32_t> rows(list.size()), matches(list.size()), plain(list.size());
    for (uint32_t& row : rows) row = static_cast<uint32_t>(random() % list.size());
    prefixes->find(probe->column(0), rows.data(), rows.size(), matches.data());
    prefixes->find_plain(probe->column(0), rows.data(), rows.size(), plain.data());
    EXPECT_EQ(matches, plain);
    for (size_t i = 0; i < rows.size(); ++i) {
      ASSERT_EQ(matches[i], scan(*table, list[rows[i]])) << to_string(list[rows[i]]);
    }
  }
}

/// A registry's block, dense enough for a page, beside one that is not; networks from the page's own bits to hosts.
TEST(PrefixTable, DenseBlocksEqualANaiveScan) {
  std::mt19937_64 random(20);
  const auto address = [&] {
    const uint64_t block = random() % 8 == 0 ? uint64_t{0x2001} << 48 : uint64_t{0x2a0e} << 48;
    return Inet::v6(block | random() >> 20, random());
  };
  std::vector<Inet> list = {*base::parse_inet("2000::/3")};
  for (int i = 0; i < 3000; ++i) {
    Inet network = address();
    network.prefix_bits = static_cast<uint8_t>(random() % 10 == 0 ? 21 + random() % 108 : 30 + random() % 20);
    list.push_back(network.network());
  }
  const auto table = networks(list);
  const auto prefixes = PrefixTable::build(table, 0);
  ASSERT_TRUE(prefixes);
  std::vector<Inet> probes = list;
  for (int i = 0; i < 2000; ++i) probes.push_back(address());
  for (int i = 0; i < 2000; ++i) {
    Inet host = list[random() % list.size()];
    host.prefix_bits = 128;
    host.lo |= random() % 3;
    probes.push_back(host);
  }
  const auto column = networks(probes, Type::kInet);
  std::vector<uint32_t> matches(probes.size()), plain(probes.size());
  prefixes->find(column->column(0), nullptr, probes.size(), matches.data());
  prefixes->find_plain(column->column(0), nullptr, probes.size(), plain.data());
  EXPECT_EQ(matches, plain);
  for (size_t i = 0; i < probes.size(); ++i) ASSERT_EQ(matches[i], scan(*table, probes[i])) << to_string(probes[i]);
}

}  // namespace
}  // namespace backstream::lookup
