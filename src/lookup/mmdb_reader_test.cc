#include <gtest/gtest.h>
#include <maxminddb.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "lookup/lookup_test_input.h"
#include "lookup/mmdb_test_writer.h"
#include "lookup/prefix_table.h"
#include "lookup/table_reader.h"

namespace backstream::lookup {
namespace {

using base::Inet;
using batch::Type;
using Rows = std::vector<std::string>;

const TableDefinition kAsn = {"asn", {{{"network", Type::kCidr}, {"asn", Type::kInt8}, {"name", Type::kText}}}, {}};

base::Result<ReadTable> read(const Octets& octets, const TableDefinition& definition = kAsn) {
  return read_mmdb(octets, "asn.mmdb", definition);
}
std::string error_of(const Octets& octets, const TableDefinition& definition = kAsn) {
  const auto result = read(octets, definition);
  EXPECT_FALSE(result);
  return result ? "" : result.error().code + " " + result.error().message;
}
Octets as_record(uint32_t asn, const char* name) {
  return mmdb_map(
      {{"autonomous_system_number", mmdb_uint32(asn)}, {"autonomous_system_organization", mmdb_text(name)}});
}

TEST(MmdbReader, ReadsAnIpv4Tree) {
  for (const unsigned record_bits : {24U, 28U, 32U}) {
    MmdbWriter writer(4, record_bits);
    const uint32_t one = writer.add_data(as_record(64500, "One")), two = writer.add_data(as_record(64501, "Two"));
    writer.insert("10.0.0.0/8", one);
    writer.insert("192.0.2.0/24", two);
    writer.insert("203.0.113.7/32", one);
    const auto result = read(writer.file());
    ASSERT_TRUE(result) << result.error().render();
    EXPECT_EQ(rows_text(*result->table),
              (Rows{"10.0.0.0/8|64500|One", "192.0.2.0/24|64501|Two", "203.0.113.7/32|64500|One"}));
    EXPECT_EQ(result->skipped.total(), 0u);
  }
}

TEST(MmdbReader, Ipv4NetworksOfAnIpv6TreeAreIpv4AndNotRepeated) {
  for (const unsigned record_bits : {24U, 28U, 32U}) {
    MmdbWriter writer(6, record_bits);
    const uint32_t one = writer.add_data(as_record(64500, "One")), two = writer.add_data(as_record(64501, "Two"));
    writer.insert("10.0.0.0/8", one);
    writer.insert("192.0.2.0/24", two);
    writer.insert("2001:db8::/32", two);
    writer.insert("2a00::/12", one);
    writer.alias_ipv4();
    const auto result = read(writer.file());
    ASSERT_TRUE(result) << result.error().render();
    EXPECT_EQ(rows_text(*result->table), (Rows{"10.0.0.0/8|64500|One", "192.0.2.0/24|64501|Two",
                                               "2001:db8::/32|64501|Two", "2a00::/12|64500|One"}));
    EXPECT_EQ(result->skipped.total(), 0u);
  }
}

TEST(MmdbReader, OneRecordForAllOfIpv4) {
  MmdbWriter writer(6, 24);
  const uint32_t one = writer.add_data(as_record(64500, "One"));
  writer.insert("::/80", one);
  const auto result = read(writer.file());
  ASSERT_TRUE(result);
  EXPECT_EQ(rows_text(*result->table), (Rows{"::/80|64500|One", "0.0.0.0/0|64500|One"}));
}

TEST(MmdbReader, FieldsByShortNamesAndByPaths) {
  MmdbWriter writer(4, 24);
  const uint32_t key = writer.add_data(mmdb_text("city"));
  const uint32_t country = writer.add_data(mmdb_map({{"iso_code", mmdb_text("DE")}}));
  Octets city = mmdb_head(7, 4) + mmdb_pointer(key) + mmdb_map({{"names", mmdb_map({{"en", mmdb_text("Berlin")}})}}) +
                mmdb_text("country") + mmdb_pointer(country) + mmdb_text("location") +
                mmdb_map({{"latitude", mmdb_double(52.5)}, {"accuracy_radius", mmdb_uint16(20)}}) +
                mmdb_text("anycast") + mmdb_bool(true);
  writer.insert("10.0.0.0/8", writer.add_data(city));
  writer.insert("11.0.0.0/8", writer.add_data(mmdb_map({{"country", mmdb_text("US")}, {"anycast", mmdb_bool(false)}})));
  writer.insert("12.0.0.0/8",
                writer.add_data(mmdb_map({{"registered_country", mmdb_map({{"iso_code", mmdb_text("FR")}})},
                                          {"below_zero", mmdb_int32(-7)}})));
  const TableDefinition geo = {"geo",
                               {{{"country", Type::kText},
                                 {"city.names.en", Type::kText},
                                 {"location.latitude", Type::kFloat8},
                                 {"location.accuracy_radius", Type::kInt2},
                                 {"anycast", Type::kBool},
                                 {"below_zero", Type::kInt4},
                                 {"prefix", Type::kInet}}},
                               {}};
  const auto result = read(writer.file(), geo);
  ASSERT_TRUE(result) << result.error().render();
  EXPECT_EQ(rows_text(*result->table),
            (Rows{"DE|Berlin|52.5|20|t|-|10.0.0.0/8", "US|-|-|-|f|-|11.0.0.0/8", "FR|-|-|-|-|-7|12.0.0.0/8"}));
  EXPECT_EQ(result->skipped.total(), 0u);
}

TEST(MmdbReader, ValuesOfAnotherTypeAreNullAndCounted) {
  MmdbWriter writer(4, 24);
  writer.insert("10.0.0.0/8", writer.add_data(mmdb_map({{"autonomous_system_number", mmdb_text("AS1")},
                                                        {"autonomous_system_organization", mmdb_text("\xff\xfe")}})));
  writer.insert("11.0.0.0/8", writer.add_data(mmdb_map({{"autonomous_system_number", mmdb_uint64(UINT64_MAX)}})));
  const auto result = read(writer.file());
  ASSERT_TRUE(result);
  EXPECT_EQ(rows_text(*result->table), (Rows{"10.0.0.0/8|-|-", "11.0.0.0/8|-|-"}));
  EXPECT_EQ(result->skipped.of(Skip::kFieldType), 3u);
}

TEST(MmdbReader, BadEntriesAreCountedByReason) {
  MmdbWriter writer(4, 24);
  const uint32_t good = writer.add_data(as_record(64500, "One"));
  writer.insert("0.0.0.0/1", good);
  writer.insert("128.0.0.0/2", writer.add_data(Octets{0xE1, 0x00, 0x06}));        // an end marker for a key
  writer.insert("192.0.0.0/3", 100'000);                                          // points behind the data
  writer.insert("224.0.0.0/4", writer.add_data(Octets{0x20, 0x20, 0x20, 0x22}));  // a pointer to a pointer
  writer.insert("240.0.0.0/5", good);
  writer.set_record(4, 1, 0);  // back to the root
  const auto result = read(writer.file());
  ASSERT_TRUE(result) << result.error().render();
  EXPECT_EQ(rows_text(*result->table), (Rows{"0.0.0.0/1|64500|One", "240.0.0.0/5|64500|One"}));
  EXPECT_EQ(result->skipped.of(Skip::kDataRecord), 2u);
  EXPECT_EQ(result->skipped.of(Skip::kTreePointer), 2u);
  EXPECT_EQ(result->skipped.total(), 4u);
}

TEST(MmdbReader, DeeplyNestedDataDoesNotOverflowTheStack) {
  // 2 MB of arrays inside arrays, which overflow the stack of libmaxminddb 1.7.
  Octets nested = mmdb_head(7, 2) + mmdb_text("a");
  for (int i = 0; i < 1'000'000; ++i) nested.insert(nested.end(), {0x01, 0x04});
  nested = nested + Octets{0xA0} + mmdb_text("autonomous_system_number") + mmdb_uint32(5);
  MmdbWriter writer(4, 32);
  writer.insert("10.0.0.0/8", writer.add_data(nested));
  const auto result = read(writer.file());
  ASSERT_TRUE(result) << result.error().render();
  EXPECT_EQ(rows_text(*result->table), Rows{"10.0.0.0/8|5|-"});
}

TEST(MmdbReader, DataThatLiesInsideItselfIsGivenUp) {
  // Every network's record begins one octet later in the same long row of empty maps, to be passed over again and
  // again.
  MmdbWriter writer(4, 32);
  Octets row;
  for (int i = 0; i < 8'000; ++i) row = row + Octets{0xEF, 0x41, 'a'};
  const uint32_t begin = writer.add_data(row + Octets(300'000, 0xE0));
  for (uint32_t i = 0; i < 8'000; ++i) writer.insert(Inet::v4(i << 16, 16), begin + 3 * i);
  EXPECT_EQ(error_of(writer.file()), "22P04 damaged: its data records lie inside each other");
}

TEST(MmdbReader, OtherFilesAreRefused) {
  MmdbWriter writer(4, 24);
  writer.insert("10.0.0.0/8", writer.add_data(as_record(1, "One")));
  const Octets whole = writer.file();
  EXPECT_EQ(error_of({}), "22P04 not an MMDB file: it has no metadata at its end");
  EXPECT_EQ(error_of(Octets(whole.begin(), whole.begin() + 20)),
            "22P04 not an MMDB file: it has no metadata at its end");
  EXPECT_EQ(error_of(writer.metadata()), "22P04 damaged: a tree of 8 nodes does not fit into the file");
  EXPECT_EQ(error_of(MmdbWriter(4, 26).metadata()), "22P04 damaged: records of 26 bits");
  EXPECT_EQ(error_of(MmdbWriter(5, 24).metadata()), "22P04 damaged: IP version 5");
  EXPECT_EQ(error_of(whole, {"t", {{{"network", Type::kText}}}, {}}),
            "42804 column 'network' of an MMDB is cidr, not text");
  EXPECT_EQ(error_of(whole, {"t", {{{"asn", Type::kMacaddr}}}, {}}),
            "42804 column 'asn': no field of an MMDB is macaddr");
}

TEST(MmdbReader, NoOctetThatIsChangedDoesHarm) {
  MmdbWriter writer(6, 28);
  const uint32_t one = writer.add_data(as_record(64500, "One"));
  writer.insert("10.0.0.0/8", one);
  writer.insert("2001:db8::/32", one);
  writer.alias_ipv4();
  const Octets whole = writer.file();
  std::mt19937_64 random(3);
  size_t refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    Octets changed = whole;
    changed[at] = static_cast<uint8_t>(random());
    const auto result = read(changed);
    refused += !result;
    EXPECT_TRUE(result || !result.error().message.empty());
  }
  EXPECT_GT(refused, 10u) << "of the metadata";
}

/// What libmaxminddb finds for an address: "64500/24", or "-".
std::string library_finds(const MMDB_s& database, const Inet& address) {
  int lookup_error = 0, database_error = 0;
  const auto found = MMDB_lookup_string(&database, to_string(address).c_str(), &lookup_error, &database_error);
  EXPECT_EQ(lookup_error, 0);
  EXPECT_EQ(database_error, MMDB_SUCCESS);
  if (!found.found_entry) return "-";
  auto entry = found.entry;
  MMDB_entry_data_s data;
  EXPECT_EQ(MMDB_get_value(&entry, &data, "autonomous_system_number", nullptr), MMDB_SUCCESS);
  const unsigned bits = found.netmask - (address.family == 4 && database.metadata.ip_version == 6 ? 96U : 0U);
  return std::to_string(data.uint32) + "/" + std::to_string(bits);
}

TEST(MmdbReader, AgreesWithLibmaxminddb) {
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const unsigned record_bits = std::vector<unsigned>{24, 28, 32}[seed % 3];
    const bool v6 = seed % 4 != 0;
    MmdbWriter writer(v6 ? 6 : 4, record_bits);
    std::vector<Inet> networks;
    for (int i = 0; i < 300; ++i) {
      if (v6 && i % 2 == 0) {
        const auto bits = static_cast<uint8_t>(16 + random() % 50);
        networks.push_back(Inet::v6(uint64_t{0x2a00} << 48 | random() % 64 << 40 | random() >> 30, 0, bits).network());
      } else {
        networks.push_back(
            Inet::v4(static_cast<uint32_t>(random()), static_cast<uint8_t>(1 + random() % 32)).network());
      }
    }
    std::stable_sort(networks.begin(), networks.end(),
                     [](const Inet& a, const Inet& b) { return a.prefix_bits < b.prefix_bits; });
    for (const Inet& network : networks) {
      writer.insert(network, writer.add_data(as_record(static_cast<uint32_t>(random() % 4'000'000'000), "x")));
    }
    if (v6) writer.alias_ipv4();
    const Octets file = writer.file();

    std::string path = testing::TempDir() + "backstream-mmdb-XXXXXX";
    const int handle = ::mkstemp(path.data());
    ASSERT_GE(handle, 0);
    ASSERT_EQ(::write(handle, file.data(), file.size()), static_cast<ssize_t>(file.size()));
    ::close(handle);
    MMDB_s database;
    ASSERT_EQ(MMDB_open(path.c_str(), MMDB_MODE_MMAP, &database), MMDB_SUCCESS);

    const auto result = read(file);
    ASSERT_TRUE(result) << result.error().render();
    EXPECT_EQ(result->skipped.total(), 0u);
    const auto prefixes = PrefixTable::build(result->table, 0);
    ASSERT_TRUE(prefixes);
    TableBuilder probe({{{"a", Type::kInet}}});
    for (int i = 0; i < 3'000; ++i) {
      const Inet& in = networks[random() % networks.size()];
      const bool any = random() % 4 == 0;
      if (in.family == 4) {
        const uint64_t host = in.prefix_bits == 32 ? 0 : random() & 0xffffffff >> in.prefix_bits;
        probe.set_inet(0, any ? Inet::v4(static_cast<uint32_t>(random()))
                              : Inet::v4(in.v4_address() | static_cast<uint32_t>(host)));
      } else {
        probe.set_inet(0, any ? Inet::v6(uint64_t{0x2a} << 56 | random() >> 8, random())
                              : Inet::v6(in.hi | (in.prefix_bits < 64 ? random() >> in.prefix_bits : 0), random()));
      }
      ASSERT_TRUE(probe.end_row());
    }
    const auto addresses = probe.finish();
    std::vector<uint32_t> matches(addresses->row_count());
    prefixes->find(addresses->column(0), nullptr, matches.size(), matches.data());
    for (size_t i = 0; i < matches.size(); ++i) {
      const Inet& address = addresses->column(0).as<Inet>()[i];
      std::string found = "-";
      if (matches[i] != kNoRow) {
        found = std::to_string(result->table->column(1).as<int64_t>()[matches[i]]) + "/" +
                std::to_string(result->table->column(0).as<Inet>()[matches[i]].prefix_bits);
      }
      ASSERT_EQ(found, library_finds(database, address)) << to_string(address);
    }
    MMDB_close(&database);
    ::unlink(path.c_str());
  }
}

}  // namespace
}  // namespace backstream::lookup
