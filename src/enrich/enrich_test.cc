#include "enrich/enrich.h"

#include <gtest/gtest.h>

#include <limits>

namespace backstream::enrich {
namespace {

using batch::FlowColumn;

class EnricherTest : public testing::Test {
 protected:
  EnricherTest() { rows_.columns.resize(batch::kFlowColumnCount); }
  template <typename V>
  void give(FlowColumn which, std::vector<V>& values, std::vector<uint8_t>* validity = nullptr) {
    batch::Column& column = at(which);
    column.type = batch::flow_schema().columns[static_cast<size_t>(which)].type;
    column.values = values.data();
    column.has_nulls = validity != nullptr;
    column.validity = validity == nullptr ? nullptr : validity->data();
    rows_.row_count = values.size();
  }
  batch::Column& at(FlowColumn which) { return rows_.columns[static_cast<size_t>(which)]; }
  batch::ColumnBatch rows_;
};

batch::FlowColumnSet wanted(std::initializer_list<FlowColumn> columns) {
  batch::FlowColumnSet set;
  for (const FlowColumn column : columns) set.add(column);
  return set;
}

TEST_F(EnricherTest, AsksForWhatItComputesFrom) {
  const Enricher enricher(wanted({FlowColumn::kOctets, FlowColumn::kSrcPrefix, FlowColumn::kDstAs}));
  const auto& decode = enricher.columns_to_decode();
  for (const FlowColumn column : {FlowColumn::kOctetsRaw, FlowColumn::kSamplingRate, FlowColumn::kSrcIp,
                                  FlowColumn::kSrcMask, FlowColumn::kDstAs}) {
    EXPECT_TRUE(decode.has(column));
  }
  EXPECT_FALSE(decode.has(FlowColumn::kOctets));
  EXPECT_FALSE(decode.has(FlowColumn::kPacketsRaw));
}

TEST_F(EnricherTest, ScalesByTheRateOfEachRow) {
  Enricher enricher(wanted({FlowColumn::kOctets}));
  std::vector<int64_t> raw{10, 20, 30, std::numeric_limits<int64_t>::max()}, rates{1, 100, 0, 2};
  std::vector<uint8_t> known{1, 1, 0, 1};
  give(FlowColumn::kOctetsRaw, raw);
  give(FlowColumn::kSamplingRate, rates, &known);
  enricher.enrich(rows_);
  const batch::Column& octets = at(FlowColumn::kOctets);
  EXPECT_EQ(octets.as<int64_t>()[0], 10);
  EXPECT_EQ(octets.as<int64_t>()[1], 2000);
  EXPECT_EQ(octets.as<int64_t>()[2], 30) << "an unknown rate leaves the counter as exported";
  EXPECT_TRUE(octets.is_null(3));
  EXPECT_FALSE(octets.is_null(0));
  EXPECT_EQ(enricher.overflow_count(), 1u);
}

TEST_F(EnricherTest, UnsampledCountersAreNotCopied) {
  Enricher enricher(wanted({FlowColumn::kPackets}));
  std::vector<int64_t> raw{10, 20}, rates{1, 0};
  std::vector<uint8_t> known{1, 0};
  give(FlowColumn::kPacketsRaw, raw);
  give(FlowColumn::kSamplingRate, rates, &known);
  enricher.enrich(rows_);
  EXPECT_EQ(at(FlowColumn::kPackets).values, raw.data());
}

TEST_F(EnricherTest, PrefixesNeedAnAddressAndALengthThatFits) {
  Enricher enricher(wanted({FlowColumn::kDstPrefix}));
  std::vector<base::Inet> addresses{base::Inet::v4(0x0a010203), base::Inet::v4(0x0a010203),
                                    base::Inet::v6(0x20010db811112222, 3)};
  std::vector<int64_t> lengths{16, 33, 32};
  give(FlowColumn::kDstIp, addresses);
  give(FlowColumn::kDstMask, lengths);
  enricher.enrich(rows_);
  const batch::Column& prefix = at(FlowColumn::kDstPrefix);
  EXPECT_EQ(base::to_cidr_string(prefix.as<base::Inet>()[0]), "10.1.0.0/16");
  EXPECT_TRUE(prefix.is_null(1));
  EXPECT_EQ(base::to_cidr_string(prefix.as<base::Inet>()[2]), "2001:db8::/32");
}

class AsFillTest : public EnricherTest {
 protected:
  AsFillTest() : table_(as_table_definition()) {
    EXPECT_EQ(table_.add_prefix_table(0), size_t{0});
    set({{"10.0.0.0/8", 64500}, {"10.1.0.0/16", 4200000001}, {"192.0.2.0/24", int64_t{1} << 40}, {"2001:db8::/32", 7}});
  }
  void set(const std::vector<std::pair<const char*, int64_t>>& routes) {
    lookup::TableBuilder builder(as_table_definition().schema);
    for (const auto& [prefix, asn] : routes) {
      builder.set_inet(0, *base::parse_inet(prefix));
      builder.set_int64(1, asn);
      ASSERT_TRUE(builder.end_row());
    }
    ASSERT_TRUE(table_.replace(builder.finish()));
  }
  std::vector<int64_t> values(FlowColumn which) {
    std::vector<int64_t> out;
    for (size_t i = 0; i < rows_.row_count; ++i) out.push_back(at(which).is_null(i) ? -1 : at(which).as<int64_t>()[i]);
    return out;
  }
  lookup::LookupTable table_;
};

TEST_F(AsFillTest, FillsWhatTheExporterSentAsZeroOrNotAtAll) {
  std::vector<base::Inet> source;
  for (const char* address :
       {"10.0.0.1", "10.1.0.1", "10.1.0.1", "10.2.3.4", "198.51.100.1", "192.0.2.1", "2001:db8::1"})
    source.push_back(*base::parse_inet(address));
  std::vector<int64_t> as = {0, 0, 65000, 99, 0, 0, 0};
  std::vector<uint8_t> present = {1, 1, 1, 0, 1, 1, 1};
  const auto columns = wanted({FlowColumn::kSrcAs});
  Enricher enricher(columns, {&table_, nullptr});
  EXPECT_TRUE(enricher.columns_to_decode().has(FlowColumn::kSrcIp));
  give(FlowColumn::kSrcIp, source);
  give(FlowColumn::kSrcAs, as, &present);
  enricher.enrich(rows_);
  // 2^40 is no AS number: the column has 32 bits.
  EXPECT_EQ(values(FlowColumn::kSrcAs), (std::vector<int64_t>{64500, 4200000001, 65000, 64500, 0, 0, 7}));
  EXPECT_EQ(enricher.as_filled_count(), 4u);
  EXPECT_EQ(enricher.as_unknown_count(), 2u);
  EXPECT_EQ(as, (std::vector<int64_t>{0, 0, 65000, 99, 0, 0, 0})) << "the exporter's own column was written to";
}

TEST_F(AsFillTest, SeesAChangedTableWhenToldTo) {
  std::vector<base::Inet> destination = {*base::parse_inet("10.0.0.1")};
  std::vector<int64_t> as = {0};
  Enricher enricher(wanted({FlowColumn::kDstAs}), {&table_, nullptr});
  give(FlowColumn::kDstIp, destination);
  set({{"10.0.0.0/8", 1}});
  for (const int64_t expected : {64500, 1}) {
    give(FlowColumn::kDstAs, as);
    enricher.enrich(rows_);
    EXPECT_EQ(values(FlowColumn::kDstAs), std::vector<int64_t>{expected});
    enricher.refresh_tables();
  }
}

TEST_F(AsFillTest, WithoutATableNothingIsFilledNorDecodedForIt) {
  const Enricher enricher(wanted({FlowColumn::kSrcAs}));
  EXPECT_FALSE(enricher.columns_to_decode().has(FlowColumn::kSrcIp));
}

TEST_F(EnricherTest, NamesOfInterfacesThatRecordsDoNotHave) {
  lookup::TableDefinition definition;
  definition.name = "interfaces";
  definition.schema.columns = {
      {"exporter", batch::Type::kInet}, {"if_index", batch::Type::kInt8}, {"name", batch::Type::kText}};
  definition.primary_key = {0, 1};
  lookup::LookupTable table(definition);
  lookup::TableBuilder builder(definition.schema);
  builder.set_inet(0, base::Inet::v4(1));
  builder.set_int64(1, 7);
  builder.set_text(2, "ge-0/0/7");
  builder.end_row();
  builder.set_inet(0, base::Inet::v4(1));
  builder.set_int64(1, 8);
  builder.end_row();
  ASSERT_TRUE(table.replace(builder.finish()));

  Enricher enricher(wanted({FlowColumn::kInIfName}), {nullptr, &table});
  EXPECT_TRUE(enricher.columns_to_decode().has(FlowColumn::kExporter));
  EXPECT_TRUE(enricher.columns_to_decode().has(FlowColumn::kInIf));
  EXPECT_FALSE(enricher.columns_to_decode().has(FlowColumn::kOutIf));
  std::vector<base::Inet> exporters{base::Inet::v4(1), base::Inet::v4(1), base::Inet::v4(1), base::Inet::v4(2)};
  std::vector<int64_t> interfaces{7, 7, 8, 7};
  std::vector<std::string_view> names{"", "sent", "", ""};
  std::vector<uint8_t> present{0, 1, 0, 0};
  give(FlowColumn::kExporter, exporters);
  give(FlowColumn::kInIf, interfaces);
  give(FlowColumn::kInIfName, names, &present);
  enricher.enrich(rows_);
  const batch::Column& name = at(FlowColumn::kInIfName);
  EXPECT_EQ(name.as<std::string_view>()[0], "ge-0/0/7");
  EXPECT_EQ(name.as<std::string_view>()[1], "sent");
  EXPECT_TRUE(name.is_null(2)) << "the table has no name for it";
  EXPECT_TRUE(name.is_null(3)) << "another exporter's interface 7";
}

}  // namespace
}  // namespace backstream::enrich
