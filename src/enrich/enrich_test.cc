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

}  // namespace
}  // namespace backstream::enrich
