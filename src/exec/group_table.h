#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "exec/block_pool.h"

namespace backstream::exec {

/// Groups of one pane: an open-addressed index over rows that lie in chunks and never move. A row is `key_words` words
/// of key, then the aggregate states. An index entry is 8 octets: the upper half of the hash and the group's number, so
/// that the index grows without touching the rows. One thread.
class GroupTable {
 public:
  /// How far ahead of the probe the index entry, and then the row, is fetched (bench/bench_group.cc).
  static constexpr size_t kIndexAhead = 32;
  static constexpr size_t kRowAhead = 16;
  static constexpr unsigned kChunkRowsLog2 = 10;

  /// @param state_octets  of all aggregates together, a multiple of 8
  /// @param group_hint    groups to make room for at once (0: few)
  GroupTable(BlockPool& pool, uint32_t key_words, uint32_t state_octets, size_t group_hint);
  ~GroupTable();
  GroupTable(GroupTable&& other) noexcept;
  GroupTable& operator=(GroupTable&&) = delete;

  uint32_t key_words() const { return key_words_; }
  uint32_t states_at() const { return key_words_ * 8; }  ///< offset of the states within a row
  size_t group_count() const { return group_count_; }
  uint8_t* row(size_t group) const { return chunks_[group >> kChunkRowsLog2] + (group & kChunkMask) * row_octets_; }
  const uint64_t* key(size_t group) const { return reinterpret_cast<const uint64_t*>(row(group)); }
  /// Octets held, for the memory figures.
  size_t octets_held() const { return chunks_.size() * (row_octets_ << kChunkRowsLog2) + (size_t{8} << index_log2_); }

  /// Finds or makes the group of each of n keys. A new row's states are all zero bytes.
  /// @param keys        n * key_words words, row by row
  /// @param hashes      hash_keys() of them
  /// @param rows        out: the group's row of each key
  /// @return            groups made; they are the last ones (group_count() - returned ..)
  size_t find_or_insert(const uint64_t* keys, const uint64_t* hashes, size_t n, uint8_t** rows);
  /// The number of the group of a key, or kNoGroup.
  static constexpr size_t kNoGroup = SIZE_MAX;
  size_t find(const uint64_t* key, uint64_t hash) const;

 private:
  static constexpr size_t kChunkMask = (size_t{1} << kChunkRowsLog2) - 1;
  template <uint32_t kWords>
  size_t find_or_insert_words(const uint64_t* keys, const uint64_t* hashes, size_t n, uint8_t** rows);
  uint8_t* append(const uint64_t* key, uint32_t words);
  void grow();

  BlockPool& pool_;
  uint32_t key_words_;
  uint32_t row_octets_;
  unsigned index_log2_ = 0;
  uint64_t* index_ = nullptr;  ///< hash >> 32 << 32 | group + 1; 0: free
  size_t group_count_ = 0;
  std::vector<uint8_t*> chunks_;
};

/// Hashes of n keys of `words` words each, all bits good. `mask` 0 makes every key collide, for tests.
void hash_keys(const uint64_t* keys, uint32_t words, size_t n, uint64_t mask, uint64_t* hashes);

}  // namespace backstream::exec
