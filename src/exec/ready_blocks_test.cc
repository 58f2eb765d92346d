#include "exec/ready_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <vector>

#include "exec/block_pool.h"
#include "exec/group_table.h"

namespace backstream::exec {
namespace {

constexpr size_t kMebi = size_t{1} << 20;

struct Freed {
  void operator()(void* block) const { std::free(block); }
};
using Block = std::unique_ptr<void, Freed>;

TEST(ReadyBlocks, OneIsMadeForEachCall) {
  ReadyBlocks ready;
  EXPECT_EQ(Block(ready.take(2 * kMebi)), nullptr) << "nobody asked";
  ready.ask(2 * kMebi);
  ready.ask(4 * kMebi);
  ready.ask(4 * kMebi);
  ready.wait();
  EXPECT_NE(Block(ready.take(2 * kMebi)), nullptr);
  EXPECT_EQ(Block(ready.take(2 * kMebi)), nullptr);
  const Block first(ready.take(4 * kMebi)), second(ready.take(4 * kMebi));
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first.get()) % (2 * kMebi), 0u);
  const auto* octets = static_cast<const uint8_t*>(second.get());
  EXPECT_TRUE(std::all_of(octets, octets + 4 * kMebi, [](uint8_t octet) { return octet == 0; }));
}

TEST(ReadyBlocks, WhatWouldBeTooMuchIsNotMade) {
  ReadyBlocks ready;
  ready.ask(2 * ReadyBlocks::kOctetsMax);
  ready.ask(2 * kMebi);
  ready.wait();
  EXPECT_EQ(Block(ready.take(2 * ReadyBlocks::kOctetsMax)), nullptr);
  EXPECT_NE(Block(ready.take(2 * kMebi)), nullptr) << "it left room for others";
}

TEST(ReadyBlocks, EndsWithWorkLeft) {
  ReadyBlocks ready;
  for (int i = 0; i < 8; ++i) ready.ask(16 * kMebi);
}

class ReadyTable : public testing::TestWithParam<RowPlace> {
 protected:
  /// Adds the keys [next_, until).
  void fill(GroupTable& table, uint64_t until) {
    std::vector<uint64_t> keys(2048), hashes(keys.size());
    std::vector<uint8_t*> rows(keys.size());
    while (next_ < until) {
      const size_t n = std::min<size_t>(keys.size(), until - next_);
      std::iota(keys.begin(), keys.begin() + static_cast<long>(n), next_);
      hash_keys(keys.data(), 1, n, ~uint64_t{0}, hashes.data());
      table.find_or_insert(keys.data(), hashes.data(), n, rows.data());
      next_ += n;
    }
  }
  /// Of the index, at so many slots.
  size_t octets(size_t slots) const { return slots * (GetParam() == RowPlace::kApart ? 8 : 16); }

  const std::shared_ptr<ReadyBlocks> ready_ = std::make_shared<ReadyBlocks>();
  BlockPool pool_{ready_};
  uint64_t next_ = 1;
};

TEST_P(ReadyTable, GrowsIntoMemoryThatWasMadeReady) {
  constexpr size_t kSlots = size_t{1} << 18;  // Full at three quarters.
  const size_t twice = octets(2 * kSlots);
  {
    GroupTable table(pool_, 1, 8, 0, GetParam(), ~uint64_t{0});
    fill(table, kSlots * 3 / 8);
    ready_->wait();
    EXPECT_EQ(Block(ready_->take(twice)), nullptr) << "it may stay as small as this";
    fill(table, kSlots * 3 / 8 + 4096);
    ready_->wait();
    EXPECT_NE(Block(ready_->take(twice)), nullptr) << "more than half full";
  }
  GroupTable table(pool_, 1, 8, 0, GetParam(), ~uint64_t{0});
  next_ = 1;
  fill(table, kSlots / 2);
  ready_->wait();
  fill(table, kSlots * 3 / 4 + 4096);
  ready_->wait();
  EXPECT_EQ(Block(ready_->take(twice)), nullptr) << "the table has it";
  EXPECT_EQ(table.group_count(), next_ - 1);
}

TEST_P(ReadyTable, TablesThatDoNotGrowAfterAllAskOnce) {
  constexpr size_t kSlots = size_t{1} << 18;
  for (int pane = 0; pane < 5; ++pane) {
    GroupTable table(pool_, 1, 8, 0, GetParam(), ~uint64_t{0});
    next_ = 1;
    fill(table, kSlots / 2);
  }
  ready_->wait();
  EXPECT_NE(Block(ready_->take(octets(2 * kSlots))), nullptr);
  EXPECT_EQ(Block(ready_->take(octets(2 * kSlots))), nullptr) << "one is enough";
}

TEST_P(ReadyTable, TheNextPaneHasItsMemoryBeforeThisOneEnds) {
  constexpr size_t kSlots = size_t{1} << 18;
  constexpr uint64_t kGroups = kSlots * 5 / 8;
  GroupTable table(pool_, 1, 8, kGroups, GetParam(), ~uint64_t{0});
  fill(table, 1 + kGroups / 3);
  table.prepare_next();
  ready_->wait();
  GroupTable next(pool_, 1, 8, kGroups, GetParam(), ~uint64_t{0});
  next_ = 1;
  fill(next, 2);
  EXPECT_EQ(Block(ready_->take(octets(kSlots))), nullptr) << "the next one has it";
  EXPECT_EQ(next.group_count(), 1u);
  table.prepare_next();
  ready_->wait();
  EXPECT_NE(Block(ready_->take(octets(kSlots))), nullptr);
}

INSTANTIATE_TEST_SUITE_P(, ReadyTable, testing::Values(RowPlace::kApart, RowPlace::kInline));

}  // namespace
}  // namespace backstream::exec
