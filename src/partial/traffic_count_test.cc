#include "partial/traffic_count.h"

#include <gtest/gtest.h>

namespace backstream::partial {
namespace {

std::vector<uint8_t> message(ChunkId::Kind kind, uint64_t count) {
  ChunkId id;
  id.kind = kind;
  id.last = true;
  return write_data(id, {}, count, std::vector<uint8_t>(1000, 7));
}

TEST(TrafficCount, TellsGroupsFromRowsAndCompressesWhatComesTogether) {
  TrafficCount together, apart;
  uint64_t octets = 0;
  for (int i = 0; i < 10; ++i) {
    for (const auto& each : {message(ChunkId::Kind::kPane, 20), message(ChunkId::Kind::kRows, 30),
                             message(ChunkId::Kind::kCut, 5), write_frontier({})}) {
      octets += each.size();
      together.add(each);
      apart.add(each);
      apart.end_batch();
    }
  }
  EXPECT_EQ(together.counts().compressed_octets, 0u) << "its batch has not ended";
  together.end_batch();
  together.end_batch();
  for (const TrafficCount* count : {&together, &apart}) {
    EXPECT_EQ(count->counts().messages, 40u);
    EXPECT_EQ(count->counts().octets, octets);
    EXPECT_EQ(count->counts().groups, 200u);
    EXPECT_EQ(count->counts().rows, 300u);
  }
  EXPECT_LT(together.counts().compressed_octets, 500u);
  EXPECT_LT(together.counts().compressed_octets, apart.counts().compressed_octets);
  EXPECT_LT(apart.counts().compressed_octets, octets);
}

TEST(TrafficCount, ABatchIsAMegabyteAtMost) {
  TrafficCount count;
  const std::vector<uint8_t> half(500'001);
  count.add(half);
  count.add(half);
  const uint64_t first = count.counts().compressed_octets;
  EXPECT_GT(first, 0u);
  count.end_batch();
  EXPECT_GT(count.counts().compressed_octets, first);
}

}  // namespace
}  // namespace backstream::partial
