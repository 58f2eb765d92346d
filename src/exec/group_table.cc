#include "exec/group_table.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "base/hash.h"

namespace backstream::exec {
namespace {

constexpr unsigned kIndexLog2Min = 6;
constexpr unsigned kInlineLog2Max = 31;  ///< a slot has a number of 32 bits, and kZeroSlot is none

/// Where a key of an inline table may be, in order: its home, the other one of two that share a cache line, then on
/// from there.
inline size_t inline_slot(size_t home, size_t step, size_t mask) {
  return step == 1 ? home ^ 1 : ((home | 1) + step - 1) & mask;
}

template <uint32_t kWords>
void hash_fixed(const uint64_t* __restrict keys, size_t n, uint64_t mask, uint64_t* __restrict hashes) {
  for (size_t i = 0; i < n; ++i) {
    uint64_t hash = 0;
    for (uint32_t w = 0; w < kWords; ++w) hash = base::hash_mix(hash, keys[i * kWords + w]);
    hashes[i] = hash & mask;
  }
}

}  // namespace

void hash_keys(const uint64_t* keys, uint32_t words, size_t n, uint64_t mask, uint64_t* hashes) {
  if (words == 1) return hash_fixed<1>(keys, n, mask, hashes);
  if (words == 2) return hash_fixed<2>(keys, n, mask, hashes);
  for (size_t i = 0; i < n; ++i) {
    uint64_t hash = 0;
    for (uint32_t w = 0; w < words; ++w) hash = base::hash_mix(hash, keys[i * words + w]);
    hashes[i] = hash & mask;
  }
}

GroupTable::GroupTable(BlockPool& pool, uint32_t key_words, uint32_t state_octets, size_t group_hint, RowPlace place,
                       uint64_t hash_mask)
    : pool_(pool),
      place_(place),
      key_words_(key_words),
      row_octets_(key_words * 8 + state_octets),
      hash_mask_(hash_mask) {
  assert(state_octets % 8 == 0);
  assert(place == RowPlace::kApart || best_place(key_words, state_octets) == RowPlace::kInline);
  index_log2_ = kIndexLog2Min;
  while (group_hint > group_count_max()) ++index_log2_;
  // The index is made with the first group: most queries never use one of their two tables.
}

GroupTable::~GroupTable() {
  if (index_ != nullptr) pool_.give(index_, index_octets());
  if (inline_rows_ != nullptr) pool_.give(inline_rows_, index_octets());
  for (uint8_t* chunk : chunks_) pool_.give(chunk, size_t{row_octets_} << kChunkRowsLog2);
}

size_t GroupTable::octets_held() const {
  return chunks_.size() * (size_t{row_octets_} << kChunkRowsLog2) + index_octets() + slots_.capacity() * 4 +
         numbers_.capacity() * 4;
}

void GroupTable::grow() {
  place_ == RowPlace::kApart ? grow_apart() : grow_inline();
  growth_prepared_ = false;
}

void GroupTable::grow_apart() {
  const unsigned log2 = index_log2_ + 1;
  const size_t mask = (size_t{1} << log2) - 1;
  auto* index = static_cast<uint64_t*>(pool_.take_cleared(size_t{8} << log2));
  // An entry keeps the upper half of its hash, and slots are chosen by the top bits of that half: enough up to 2^32
  // slots. Walking the old index in order fills the new one nearly in order, so growing runs at the speed of memory.
  for (size_t i = 0; i < size_t{1} << index_log2_; ++i) {
    const uint64_t entry = index_[i];
    if (entry == 0) continue;
    size_t slot = entry >> (64 - log2);
    while (index[slot] != 0) slot = (slot + 1) & mask;
    index[slot] = entry;
  }
  pool_.give(index_, index_octets());
  index_ = index;
  index_log2_ = log2;
}

void GroupTable::grow_inline() {
  const unsigned log2 = index_log2_ + 1;
  if (log2 > kInlineLog2Max) throw std::length_error("more than 1.6 billion groups in a pane");
  const size_t mask = (size_t{1} << log2) - 1;
  const size_t octets = size_t{row_octets_} << log2;
  auto* rows = static_cast<uint8_t*>(pool_.take_cleared(octets));
  const auto key_at = [&](const uint8_t* of, size_t slot) {
    return reinterpret_cast<const uint64_t*>(of + slot * row_octets_);
  };
  // In order, as in grow_apart(): so groups get new numbers.
  slots_.clear();
  slots_.reserve((size_t{3} << log2) / 4);  // Not copied later, when the table is full of groups.
  numbered_ = 0;
  if (zero_row_) slots_.push_back(kZeroSlot);
  for (size_t i = 0; i < size_t{1} << index_log2_; ++i) {
    const uint64_t* from = key_at(inline_rows_, i);
    if (*from == 0) continue;
    uint64_t hash = 0;
    hash_fixed<1>(from, 1, hash_mask_, &hash);
    const size_t home = hash >> (64 - log2);
    size_t slot = home;
    for (size_t step = 0; *key_at(rows, slot) != 0;) slot = inline_slot(home, ++step, mask);
    std::memcpy(rows + slot * row_octets_, from, row_octets_);
    slots_.push_back(static_cast<uint32_t>(slot));
  }
  pool_.give(inline_rows_, index_octets());
  inline_rows_ = rows;
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

uint8_t* GroupTable::zero_key_row() {
  if (!zero_row_) {
    zero_row_ = std::make_unique<uint8_t[]>(row_octets_);
    slots_.push_back(kZeroSlot);
    ++group_count_;
  }
  return zero_row_.get();
}

template <uint32_t kWords>
void GroupTable::probe_apart(const uint64_t* keys, const uint64_t* hashes, size_t n, uint8_t** rows) {
  const uint32_t words = kWords == 0 ? key_words_ : kWords;
  const auto same = [&](const uint64_t* a, const uint64_t* b) {
    for (uint32_t w = 0; w < words; ++w) {
      if (a[w] != b[w]) return false;
    }
    return true;
  };
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
}

/// @tparam kOctets  of a row
template <uint32_t kOctets>
void GroupTable::probe_inline(const uint64_t* keys, const uint64_t* hashes, size_t n, uint8_t** rows) {
  const unsigned shift = 64 - index_log2_;
  const size_t mask = (size_t{1} << index_log2_) - 1;
  uint8_t* const slots = inline_rows_;
  const auto key_at = [&](size_t slot) { return *reinterpret_cast<const uint64_t*>(slots + slot * kOctets); };
  const auto fetch = [&](size_t i) { __builtin_prefetch(slots + (hashes[i] >> shift) * kOctets, 1); };
  for (size_t i = 0; i < n && i < kIndexAhead; ++i) fetch(i);
  for (size_t i = 0; i < n; ++i) {
    if (i + kIndexAhead < n) fetch(i + kIndexAhead);
    const uint64_t key = keys[i];
    if (key == 0) {
      rows[i] = zero_key_row();
      continue;
    }
    // In one of the first two slots, nearly always, and without a branch that depends on which.
    const size_t home = hashes[i] >> shift;
    const size_t guess = home ^ static_cast<size_t>(key_at(home) != key);
    rows[i] = slots + guess * kOctets;
    if (key_at(guess) == key) continue;
    size_t slot = home;
    for (size_t step = 0;; slot = inline_slot(home, ++step, mask)) {
      uint8_t* at = slots + slot * kOctets;
      uint64_t& found = *reinterpret_cast<uint64_t*>(at);
      if (found == 0) {
        found = key;
        slots_.push_back(static_cast<uint32_t>(slot));
        ++group_count_;
      } else if (found != key) {
        continue;
      }
      rows[i] = at;
      break;
    }
  }
}

size_t GroupTable::find_or_insert(const uint64_t* keys, const uint64_t* hashes, size_t n, uint8_t** rows) {
  if (n == 0) return 0;
  const size_t groups_before = group_count_;
  if (index_ == nullptr && inline_rows_ == nullptr) {
    void* index = pool_.take_cleared(index_octets());
    if (place_ == RowPlace::kApart) index_ = static_cast<uint64_t*>(index);
    else inline_rows_ = static_cast<uint8_t*>(index);
  }
  // Nothing may move under the probe, so there is room before it even if all keys are new. A table is not doubled for
  // keys that are mostly known: it is filled in steps, as long as these are not too small.
  for (size_t at = 0; at < n;) {
    const size_t left = n - at;
    const size_t step = std::min(left, group_count_max() - std::min(group_count_max(), group_count_));
    if (step < left && step < left / 8 + 1) {
      grow();
      if (place_ == RowPlace::kInline) at = 0;  // The rows that were found have moved.
      continue;
    }
    const uint64_t* step_keys = keys + at * key_words_;
    if (place_ == RowPlace::kInline) {
      if (row_octets_ == 16) probe_inline<16>(step_keys, hashes + at, step, rows + at);
      else if (row_octets_ == 24) probe_inline<24>(step_keys, hashes + at, step, rows + at);
      else if (row_octets_ == 32) probe_inline<32>(step_keys, hashes + at, step, rows + at);
      else probe_inline<8>(step_keys, hashes + at, step, rows + at);
    } else {
      if (key_words_ == 1) probe_apart<1>(step_keys, hashes + at, step, rows + at);
      else if (key_words_ == 2) probe_apart<2>(step_keys, hashes + at, step, rows + at);
      else probe_apart<0>(step_keys, hashes + at, step, rows + at);
    }
    at += step;
  }
  // Half of what fits is left until then, and tables that stay smaller have asked for nothing.
  if (!growth_prepared_ && group_count_ > group_count_max() / 2) {
    growth_prepared_ = true;
    pool_.prepare(2 * index_octets());
  }
  return group_count_ - groups_before;
}

size_t GroupTable::find(const uint64_t* key, uint64_t hash) const {
  return place_ == RowPlace::kApart ? find_apart(key, hash) : find_inline(*key, hash);
}

size_t GroupTable::find_apart(const uint64_t* key, uint64_t hash) const {
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

size_t GroupTable::find_inline(uint64_t key, uint64_t hash) const {
  if (inline_rows_ == nullptr) return kNoGroup;
  if (key == 0) {
    const auto zero = std::find(slots_.begin(), slots_.end(), kZeroSlot);
    return zero == slots_.end() ? kNoGroup : static_cast<size_t>(zero - slots_.begin());
  }
  if (numbered_ != group_count_) {
    numbers_.resize(size_t{1} << index_log2_);
    for (size_t group = 0; group < group_count_; ++group) {
      if (slots_[group] != kZeroSlot) numbers_[slots_[group]] = static_cast<uint32_t>(group);
    }
    numbered_ = group_count_;
  }
  const size_t mask = (size_t{1} << index_log2_) - 1;
  const size_t home = hash >> (64 - index_log2_);
  size_t slot = home;
  for (size_t step = 0;; slot = inline_slot(home, ++step, mask)) {
    const uint64_t found = *reinterpret_cast<const uint64_t*>(inline_rows_ + slot * row_octets_);
    if (found == key) return numbers_[slot];
    if (found == 0) return kNoGroup;
  }
}

}  // namespace backstream::exec
