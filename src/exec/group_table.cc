#include "exec/group_table.h"

#include <cassert>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace backstream::exec {
namespace {

constexpr unsigned kIndexLog2Min = 6;

inline uint64_t fold(uint64_t a, uint64_t b) {
  __extension__ const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}
inline uint64_t mix(uint64_t seed, uint64_t word) {
  // Fractional digits of the golden ratio and of pi: odd, no pattern.
  return fold(word ^ seed ^ 0x9e3779b97f4a7c15, 0x243f6a8885a308d3);
}

template <uint32_t kWords>
void hash_fixed(const uint64_t* __restrict keys, size_t n, uint64_t mask, uint64_t* __restrict hashes) {
  for (size_t i = 0; i < n; ++i) {
    uint64_t hash = 0;
    for (uint32_t w = 0; w < kWords; ++w) hash = mix(hash, keys[i * kWords + w]);
    hashes[i] = hash & mask;
  }
}

}  // namespace

void hash_keys(const uint64_t* keys, uint32_t words, size_t n, uint64_t mask, uint64_t* hashes) {
  if (words == 1) return hash_fixed<1>(keys, n, mask, hashes);
  if (words == 2) return hash_fixed<2>(keys, n, mask, hashes);
  for (size_t i = 0; i < n; ++i) {
    uint64_t hash = 0;
    for (uint32_t w = 0; w < words; ++w) hash = mix(hash, keys[i * words + w]);
    hashes[i] = hash & mask;
  }
}

GroupTable::GroupTable(BlockPool& pool, uint32_t key_words, uint32_t state_octets, size_t group_hint)
    : pool_(pool), key_words_(key_words), row_octets_(key_words * 8 + state_octets) {
  assert(state_octets % 8 == 0);
  index_log2_ = kIndexLog2Min;
  while (group_hint > (size_t{3} << index_log2_) / 4) ++index_log2_;
  // The index is made with the first group: most queries never use one of their two tables.
}

GroupTable::GroupTable(GroupTable&& other) noexcept
    : pool_(other.pool_),
      key_words_(other.key_words_),
      row_octets_(other.row_octets_),
      index_log2_(other.index_log2_),
      index_(std::exchange(other.index_, nullptr)),
      group_count_(std::exchange(other.group_count_, 0)),
      chunks_(std::move(other.chunks_)) {
  other.chunks_.clear();
}

GroupTable::~GroupTable() {
  if (index_ != nullptr) pool_.give(index_, size_t{8} << index_log2_);
  for (uint8_t* chunk : chunks_) pool_.give(chunk, size_t{row_octets_} << kChunkRowsLog2);
}

void GroupTable::grow() {
  const unsigned log2 = index_log2_ + 1;
  const size_t mask = (size_t{1} << log2) - 1;
  auto* index = static_cast<uint64_t*>(pool_.take(size_t{8} << log2));
  std::memset(index, 0, size_t{8} << log2);
  // An entry keeps the upper half of its hash, and slots are chosen by the top bits of that half: enough up to 2^32
  // slots. Walking the old index in order fills the new one nearly in order, so growing runs at the speed of memory.
  for (size_t i = 0; i < size_t{1} << index_log2_; ++i) {
    const uint64_t entry = index_[i];
    if (entry == 0) continue;
    size_t slot = entry >> (64 - log2);
    while (index[slot] != 0) slot = (slot + 1) & mask;
    index[slot] = entry;
  }
  pool_.give(index_, size_t{8} << index_log2_);
  index_ = index;
  index_log2_ = log2;
}

uint8_t* GroupTable::append(const uint64_t* key, uint32_t words) {
  if ((group_count_ & kChunkMask) == 0) {
    if (group_count_ >= UINT32_MAX - kChunkMask) throw std::length_error("more than 4 billion groups in a pane");
    chunks_.push_back(static_cast<uint8_t*>(pool_.take(size_t{row_octets_} << kChunkRowsLog2)));
  }
  uint8_t* at = row(group_count_++);
  std::memcpy(at, key, words * 8);
  std::memset(at + words * 8, 0, row_octets_ - words * 8);
  return at;
}

template <uint32_t kWords>
size_t GroupTable::find_or_insert_words(const uint64_t* keys, const uint64_t* hashes, size_t n, uint8_t** rows) {
  const uint32_t words = kWords == 0 ? key_words_ : kWords;
  const size_t groups_before = group_count_;
  if (index_ == nullptr) {
    index_ = static_cast<uint64_t*>(pool_.take(size_t{8} << index_log2_));
    std::memset(index_, 0, size_t{8} << index_log2_);
  }
  const auto same = [&](const uint64_t* a, const uint64_t* b) {
    for (uint32_t w = 0; w < words; ++w) {
      if (a[w] != b[w]) return false;
    }
    return true;
  };
  // Room for all n before the loop, so that nothing moves under the prefetches.
  while (group_count_ + n > (size_t{3} << index_log2_) / 4) {
    if (index_log2_ >= 16 && group_count_ + n / 8 <= (size_t{3} << index_log2_) / 4) {
      // A large table is not doubled for keys that are mostly known: go on in small steps.
      size_t made = 0;
      for (size_t at = 0; at < n;) {
        const size_t step = n - at < n / 8 + 1 ? n - at : n / 8 + 1;
        if (group_count_ + step > (size_t{3} << index_log2_) / 4) grow();
        made += find_or_insert_words<kWords>(keys + at * words, hashes + at, step, rows + at);
        at += step;
      }
      return made;
    }
    grow();
  }
  uint64_t* const index = index_;
  const unsigned shift = 64 - index_log2_;
  const size_t mask = (size_t{1} << index_log2_) - 1;
  // The row that has the key, by what the index says of its first two slots: nearly always right, and without a branch
  // that depends on the slot. Null: not known, or displaced further. Fetches the row.
  const auto guess = [&](uint64_t hash) -> uint8_t* {
    const size_t slot = hash >> shift;
    const uint64_t first = index[slot], second = index[(slot + 1) & mask];
    const uint64_t entry = first >> 32 == hash >> 32 ? first : second;
    if (entry >> 32 != hash >> 32 || entry == 0) return nullptr;
    uint8_t* at = row(static_cast<uint32_t>(entry) - 1);
    __builtin_prefetch(at, 1);
    return at;
  };
  for (size_t i = 0; i < n && i < kIndexAhead; ++i) __builtin_prefetch(&index[hashes[i] >> shift]);
  for (size_t i = 0; i < n && i < kRowAhead; ++i) rows[i] = guess(hashes[i]);
  for (size_t i = 0; i < n; ++i) {
    if (i + kIndexAhead < n) __builtin_prefetch(&index[hashes[i + kIndexAhead] >> shift]);
    if (i + kRowAhead < n) rows[i + kRowAhead] = guess(hashes[i + kRowAhead]);
    const uint64_t* key = keys + i * words;
    if (rows[i] != nullptr && same(reinterpret_cast<const uint64_t*>(rows[i]), key)) continue;
    const uint64_t hash = hashes[i];
    size_t slot = hash >> shift;
    for (;;) {
      const uint64_t entry = index[slot];
      if (entry == 0) {
        rows[i] = append(key, words);
        index[slot] = (hash >> 32 << 32) | static_cast<uint32_t>(group_count_);
        break;
      }
      if (entry >> 32 == hash >> 32) {
        uint8_t* at = row(static_cast<uint32_t>(entry) - 1);
        if (same(reinterpret_cast<const uint64_t*>(at), key)) {
          rows[i] = at;
          break;
        }
      }
      slot = (slot + 1) & mask;
    }
  }
  return group_count_ - groups_before;
}

size_t GroupTable::find(const uint64_t* key, uint64_t hash) const {
  if (index_ == nullptr) return kNoGroup;
  const size_t mask = (size_t{1} << index_log2_) - 1;
  for (size_t slot = hash >> (64 - index_log2_);; slot = (slot + 1) & mask) {
    const uint64_t entry = index_[slot];
    if (entry == 0) return kNoGroup;
    if (entry >> 32 != hash >> 32) continue;
    const size_t group = static_cast<uint32_t>(entry) - 1;
    if (std::memcmp(this->key(group), key, key_words_ * 8) == 0) return group;
  }
}

size_t GroupTable::find_or_insert(const uint64_t* keys, const uint64_t* hashes, size_t n, uint8_t** rows) {
  if (n == 0) return 0;
  if (key_words_ == 1) return find_or_insert_words<1>(keys, hashes, n, rows);
  if (key_words_ == 2) return find_or_insert_words<2>(keys, hashes, n, rows);
  return find_or_insert_words<0>(keys, hashes, n, rows);
}

}  // namespace backstream::exec
