#include <bzlib.h>
#include <gtest/gtest.h>

#include "lookup/lookup_test_input.h"
#include "lookup/mrt_test_writer.h"
#include "lookup/table_reader.h"

namespace backstream::lookup {
namespace {

using batch::Type;
using Rows = std::vector<std::string>;

const TableDefinition kRib = {"rib",
                              {{{"prefix", Type::kCidr},
                                {"asn", Type::kInt8},
                                {"as_path", Type::kText},
                                {"next_hop", Type::kInet},
                                {"peer_as", Type::kInt8}}},
                              {}};

base::Result<ReadTable> read(const Octets& octets, const TableDefinition& definition = kRib,
                             const ReadLimits& limits = {}) {
  const auto source = ingest::octets_in_memory(octets);
  return read_mrt(*source, "rib.mrt", definition, limits);
}
std::string error_of(const Octets& octets, const TableDefinition& definition = kRib, const ReadLimits& limits = {}) {
  const auto result = read(octets, definition, limits);
  EXPECT_FALSE(result);
  return result ? "" : result.error().code + " " + result.error().message;
}

const Octets kPeers = mrt_peers({64500, 4'200'000'000});
const Octets kGood = mrt_route("192.0.2.0/24", {{0, as_path({64500, 64501}) + next_hop("10.0.0.1")}});

TEST(MrtReader, ReadsIpv4AndIpv6Routes) {
  const Octets reach = attribute(14, Octets{32} + address_octets(*base::parse_inet("2001:db8::1")) + Octets(16, 0xfe));
  const auto result = read(kPeers + mrt_route("0.0.0.0/0", {{1, as_path({4'200'000'000}) + next_hop("10.0.0.2")}}) +
                           kGood + mrt_route("2001:db8::/32", {{1, as_path({4'200'000'000, 64503}) + reach}}));
  ASSERT_TRUE(result) << result.error().render();
  EXPECT_EQ(rows_text(*result->table), (Rows{"0.0.0.0/0|4200000000|4200000000|10.0.0.2|4200000000",
                                             "192.0.2.0/24|64501|64500 64501|10.0.0.1|64500",
                                             "2001:db8::/32|64503|4200000000 64503|2001:db8::1|4200000000"}));
  EXPECT_EQ(result->skipped.total(), 0u);
}

TEST(MrtReader, FirstEntryIsUsed) {
  const auto result = read(kPeers + mrt_route("192.0.2.0/24", {{1, as_path({1, 2})}, {0, as_path({3, 4})}}));
  ASSERT_TRUE(result);
  EXPECT_EQ(rows_text(*result->table), Rows{"192.0.2.0/24|2|1 2|-|4200000000"});
}

TEST(MrtReader, AdditionalPathsOfRfc8050) {
  const auto result = read(kPeers + mrt_route("192.0.2.0/24", {{0, as_path({1, 2})}, {0, as_path({1, 3})}}, true) +
                           mrt_route("2001:db8::/32", {{1, as_path({5})}}, true));
  ASSERT_TRUE(result);
  EXPECT_EQ(rows_text(*result->table), (Rows{"192.0.2.0/24|2|1 2|-|64500", "2001:db8::/32|5|5|-|4200000000"}));
}

TEST(MrtReader, PathsThatEndInASetHaveNoOrigin) {
  const Octets set = attribute(2, path_segment(2, {1, 2}) + path_segment(1, {3, 4}));
  const Octets inner = attribute(2, path_segment(1, {3, 4}) + path_segment(2, {5}));
  const Octets confederation = attribute(2, path_segment(3, {64512}) + path_segment(2, {7}) + path_segment(4, {64513}));
  const auto result =
      read(kPeers + mrt_route("10.0.0.0/24", {{0, set}}) + mrt_route("10.0.1.0/24", {{0, inner}}) +
           mrt_route("10.0.2.0/24", {{0, confederation}}) + mrt_route("10.0.3.0/24", {{0, as_path({})}}));
  ASSERT_TRUE(result);
  EXPECT_EQ(rows_text(*result->table), (Rows{"10.0.0.0/24|-|1 2 {3,4}|-|64500", "10.0.1.0/24|5|{3,4} 5|-|64500",
                                             "10.0.2.0/24|7|7|-|64500", "10.0.3.0/24|-||-|64500"}));
  EXPECT_EQ(result->skipped.total(), 0u);
}

TEST(MrtReader, LongPathsAndFullMpReachAreRead) {
  const Octets long_path = attribute(2, path_segment(2, std::vector<uint32_t>(200, 9)) + path_segment(2, {8}));
  const Octets full =
      attribute(14, big_endian(2, 2) + Octets{1, 16} + address_octets(*base::parse_inet("2001:db8::2")));
  const TableDefinition some = {
      "rib", {{{"next_hop", Type::kInet}, {"asn", Type::kInt8}, {"prefix", Type::kInet}}}, {}};
  const auto result = read(kPeers + mrt_route("2001:db8::/32", {{0, long_path + full}}), some);
  ASSERT_TRUE(result);
  EXPECT_EQ(rows_text(*result->table), Rows{"2001:db8::2|8|2001:db8::/32"});
}

TEST(MrtReader, BadEntriesAreCountedByReason) {
  Octets cut_path = as_path({1, 2});
  cut_path[4] = 9;  // More AS numbers than there are.
  const auto body = [](const Octets& octets) { return mrt_record(13, 2, octets); };
  const auto result =
      read(kPeers + mrt_record(13, 3, Octets(20, 1)) + mrt_record(99, 0, {}) + body(big_endian(1, 4) + Octets{33}) +
           body(big_endian(1, 4) + Octets{24, 10}) + body({}) + mrt_route("10.1.0.0/16", {}) +
           mrt_route("10.2.0.0/16", {{0, cut_path}}) + mrt_route("10.3.0.0/16", {{9, as_path({6})}}) + kGood);
  ASSERT_TRUE(result) << result.error().render();
  EXPECT_EQ(rows_text(*result->table),
            (Rows{"10.2.0.0/16|-|-|-|64500", "10.3.0.0/16|6|6|-|-", "192.0.2.0/24|64501|64500 64501|10.0.0.1|64500"}));
  EXPECT_EQ(result->skipped.of(Skip::kRecordType), 2u);
  EXPECT_EQ(result->skipped.of(Skip::kPrefixLength), 1u);
  EXPECT_EQ(result->skipped.of(Skip::kTruncatedEntry), 2u);
  EXPECT_EQ(result->skipped.of(Skip::kNoEntries), 1u);
  EXPECT_EQ(result->skipped.of(Skip::kAttribute), 1u);
  EXPECT_EQ(result->skipped.of(Skip::kPeerIndex), 1u);
  EXPECT_EQ(result->skipped.total(), 8u);
}

TEST(MrtReader, CutFilesAreRefusedAtEveryOctet) {
  const Octets whole = kPeers + kGood;
  for (size_t octets = 0; octets < whole.size(); ++octets) {
    const auto result = read(Octets(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(octets)));
    ASSERT_FALSE(result) << octets;
    EXPECT_EQ(result.error().code, "22P04");
  }
  EXPECT_TRUE(read(whole));
}

TEST(MrtReader, OtherFilesAreToldForWhatTheyAre) {
  EXPECT_EQ(error_of(mrt_record(16, 4, Octets(30, 0))), "22P04 these are BGP messages, not a table");
  EXPECT_EQ(error_of(mrt_record(12, 1, Octets(30, 0))), "22P04 a dump of type TABLE_DUMP, which is not read");
  EXPECT_EQ(error_of(kPeers), "22P04 no MRT records of routes");
  EXPECT_EQ(error_of(kPeers + mrt_route("10.1.0.0/16", {})), "22P04 no route in it can be used");
  const std::string text = "prefix,asn\n10.0.0.0/8,1\n10.0.0.0/9,2\n";
  EXPECT_EQ(error_of(Octets(text.begin(), text.end())).substr(0, 36), "22P04 damaged at octet 0: a record o");
}

TEST(MrtReader, ColumnsThatADumpDoesNotHaveAreRefused) {
  EXPECT_EQ(error_of(kPeers + kGood, {"rib", {{{"prefx", Type::kCidr}}}, {}}),
            "42703 an MRT dump has no column 'prefx'");
  EXPECT_EQ(error_of(kPeers + kGood, {"rib", {{{"asn", Type::kInt4}}}, {}}),
            "42804 column 'asn' of an MRT dump is bigint, not integer");
}

TEST(MrtReader, LimitsAndKeysAreKept) {
  ReadLimits limits;
  limits.table.row_count_max = 1;
  EXPECT_EQ(error_of(kPeers + kGood + kGood, kRib, limits), "54000 the table would have more than 1 rows");
  TableDefinition keyed = kRib;
  keyed.primary_key = {0};
  const auto result = read(kPeers + kGood + mrt_route("192.0.2.0/24", {{0, as_path({1})}}), keyed);
  ASSERT_TRUE(result);
  EXPECT_EQ(rows_text(*result->table), Rows{"192.0.2.0/24|64501|64500 64501|10.0.0.1|64500"});
  EXPECT_EQ(result->skipped.of(Skip::kRepeatedKey), 1u);
}

TEST(MrtReader, Bzip2AsRouteViewsPacksIt) {
  Octets plain = kPeers;
  for (int i = 0; i < 200; ++i) plain = plain + kGood;
  Octets packed(plain.size() + 1000);
  auto octets = static_cast<unsigned>(packed.size());
  ASSERT_EQ(
      ::BZ2_bzBuffToBuffCompress(reinterpret_cast<char*>(packed.data()), &octets, reinterpret_cast<char*>(plain.data()),
                                 static_cast<unsigned>(plain.size()), 9, 0, 0),
      BZ_OK);
  packed.resize(octets);
  const auto result = read(packed);
  ASSERT_TRUE(result) << result.error().render();
  EXPECT_EQ(result->table->row_count(), 200u);
  packed[packed.size() / 2] ^= 0x55;
  EXPECT_EQ(error_of(packed), "22P04 the bzip2 data is damaged");
}

}  // namespace
}  // namespace backstream::lookup
