#include "exec/group_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace backstream::exec {
namespace {

/// Puts keys into a table and into a std::map, a batch at a time, and expects the same groups.
void expect_groups(uint32_t key_words, uint64_t hash_mask, size_t rows, uint64_t distinct, size_t hint, uint32_t seed,
                   uint32_t state_octets, RowPlace place) {
  BlockPool pool;
  GroupTable table(pool, key_words, state_octets, hint, place, hash_mask);
  std::map<std::vector<uint64_t>, uint64_t> expected;
  std::mt19937_64 random(seed);
  std::vector<uint64_t> keys, hashes;
  std::vector<uint8_t*> found;
  size_t made = 0;
  while (rows > 0) {
    const size_t n = std::min<size_t>(rows, 1 + random() % 2048);
    rows -= n;
    keys.assign(n * key_words, 0);
    hashes.resize(n);
    found.assign(n, nullptr);
    for (size_t i = 0; i < n; ++i) {
      const uint64_t value = random() % distinct;
      for (uint32_t w = 0; w < key_words; ++w) keys[i * key_words + w] = w == value % key_words ? value : 0;
    }
    hash_keys(keys.data(), key_words, n, hash_mask, hashes.data());
    made += table.find_or_insert(keys.data(), hashes.data(), n, found.data());
    for (size_t i = 0; i < n; ++i) {
      ++*reinterpret_cast<uint64_t*>(found[i] + table.states_at());
      ++expected[{&keys[i * key_words], &keys[i * key_words] + key_words}];
    }
  }
  ASSERT_EQ(table.group_count(), expected.size());
  for (size_t i = 0; i < 100; ++i) {  // The last batch's keys, and one that nobody added.
    const size_t at = random() % (keys.size() / key_words) * key_words;
    uint64_t hash = 0;
    hash_keys(&keys[at], key_words, 1, hash_mask, &hash);
    const size_t group = table.find(&keys[at], hash);
    ASSERT_LT(group, table.group_count());
    EXPECT_TRUE(std::equal(&keys[at], &keys[at] + key_words, table.key(group)));
  }
  const std::vector<uint64_t> missing(key_words, ~uint64_t{0});
  uint64_t hash = 0;
  hash_keys(missing.data(), key_words, 1, hash_mask, &hash);
  EXPECT_EQ(table.find(missing.data(), hash), GroupTable::kNoGroup);
  EXPECT_EQ(made, expected.size());
  for (size_t group = 0; group < table.group_count(); ++group) {
    const std::vector<uint64_t> key(table.key(group), table.key(group) + key_words);
    EXPECT_EQ(*reinterpret_cast<const uint64_t*>(table.row(group) + table.states_at()), expected[key]);
  }
}

void expect_groups(uint32_t key_words, uint64_t hash_mask, size_t rows, uint64_t distinct, size_t hint, uint32_t seed) {
  expect_groups(key_words, hash_mask, rows, distinct, hint, seed, 8, RowPlace::kApart);
  if (key_words != 1) return;
  for (const uint32_t state_octets : {8u, 16u, 24u}) {
    ASSERT_EQ(GroupTable::best_place(1, state_octets), RowPlace::kInline);
    expect_groups(key_words, hash_mask, rows, distinct, hint, seed, state_octets, RowPlace::kInline);
  }
}

TEST(GroupTable, FindsEveryKeyOfOneWord) { expect_groups(1, ~uint64_t{0}, 200'000, 70'000, 0, 1); }
TEST(GroupTable, FindsEveryKeyOfTwoWords) { expect_groups(2, ~uint64_t{0}, 100'000, 30'000, 0, 2); }
TEST(GroupTable, FindsEveryKeyOfManyWords) { expect_groups(7, ~uint64_t{0}, 50'000, 20'000, 0, 3); }
TEST(GroupTable, GrowsLateWhenTheHintWasRight) { expect_groups(1, ~uint64_t{0}, 200'000, 70'000, 70'000, 4); }
TEST(GroupTable, KeysThatAllCollideAreStillToldApart) { expect_groups(1, 0, 5'000, 700, 0, 5); }
TEST(GroupTable, AFewGroupsNeedLittle) { expect_groups(1, ~uint64_t{0}, 10'000, 3, 0, 6); }

TEST(GroupTable, FindsGroupsThatGotNewNumbersThoughNoneWasAdded) {
  // Known keys alone can make a table grow, when it has room for few more: then numbers must not be those of before.
  for (const size_t known : {size_t{48}, size_t{96}, size_t{384}}) {
    BlockPool pool;
    GroupTable table(pool, 1, 8, 0, RowPlace::kInline, ~uint64_t{0});
    std::vector<uint64_t> keys(known), hashes(known);
    for (size_t i = 0; i < known; ++i) keys[i] = (i + 1) * 0x9e3779b97f4a7c15;
    hash_keys(keys.data(), 1, known, ~uint64_t{0}, hashes.data());
    std::vector<uint8_t*> rows(known * 16);
    const auto expect_found = [&] {
      for (size_t i = 0; i < known; ++i) {
        const size_t group = table.find(&keys[i], hashes[i]);
        ASSERT_LT(group, known);
        ASSERT_EQ(*table.key(group), keys[i]);
      }
    };
    table.find_or_insert(keys.data(), hashes.data(), known, rows.data());
    ASSERT_EQ(table.group_count(), known);
    expect_found();
    const size_t held = table.octets_held();
    std::vector<uint64_t> again, again_hashes;
    for (int round = 0; round < 16; ++round) {
      again.insert(again.end(), keys.begin(), keys.end());
      again_hashes.insert(again_hashes.end(), hashes.begin(), hashes.end());
    }
    EXPECT_EQ(table.find_or_insert(again.data(), again_hashes.data(), again.size(), rows.data()), 0u);
    EXPECT_GT(table.octets_held(), held) << "it did not grow, so nothing is tested";
    expect_found();
  }
}

TEST(GroupTable, LargeRowsAndLongKeysLieApart) {
  EXPECT_EQ(GroupTable::best_place(1, 32), RowPlace::kApart);
  EXPECT_EQ(GroupTable::best_place(2, 8), RowPlace::kApart);
}

TEST(GroupTable, GivesItsMemoryBackForTheNextPane) {
  for (const RowPlace place : {RowPlace::kApart, RowPlace::kInline}) {
    BlockPool pool;
    const uint64_t key = 5;
    uint64_t hash = 0;
    hash_keys(&key, 1, 1, ~uint64_t{0}, &hash);
    uint8_t* first = nullptr;
    uint8_t* second = nullptr;
    {
      GroupTable table(pool, 1, 16, 0, place, ~uint64_t{0});
      table.find_or_insert(&key, &hash, 1, &first);
      std::fill_n(first, 24, uint8_t{0xff});
    }
    GroupTable table(pool, 1, 16, 0, place, ~uint64_t{0});
    table.find_or_insert(&key, &hash, 1, &second);
    EXPECT_EQ(first, second);
    EXPECT_EQ(*reinterpret_cast<uint64_t*>(second + 8), 0u) << "states of a new group are zero, whatever lay there";
  }
}

TEST(GroupTable, HoldsAGroupInAtMost64OctetsBeyondItsRow) {
  for (const RowPlace place : {RowPlace::kApart, RowPlace::kInline}) {
    for (const uint64_t groups : {50'000u, 98'305u, 100'000u, 450'000u}) {
      BlockPool pool;
      GroupTable table(pool, 1, 24, 0, place, ~uint64_t{0});
      std::vector<uint64_t> keys(groups), hashes(groups);
      std::vector<uint8_t*> rows(groups);
      for (uint64_t i = 0; i < groups; ++i) keys[i] = i;
      hash_keys(keys.data(), 1, groups, ~uint64_t{0}, hashes.data());
      for (size_t at = 0; at < groups; at += 2048) {
        const size_t n = std::min<size_t>(2048, groups - at);
        table.find_or_insert(keys.data() + at, hashes.data() + at, n, rows.data() + at);
      }
      EXPECT_LE(table.octets_held(), groups * (32 + 64));
    }
  }
}

}  // namespace
}  // namespace backstream::exec
