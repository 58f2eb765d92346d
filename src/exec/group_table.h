#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "exec/block_pool.h"

namespace backstream::exec {

/// How the rows of a group table lie. A row is the words of its key, then the aggregate states.
enum class RowPlace : uint8_t {
  kApart,  ///< in chunks, where they never move; the index beside them has half the hash and the number of each
  /// In the index itself, which costs one miss a probe instead of two: keys of one word, and rows so small that free
  /// slots waste little. When the table grows, rows move and groups get other numbers.
  kInline,
};

/// Groups of one pane, found by open addressing. One thread.
class GroupTable {
 public:
  /// How far ahead of the probe the slot, and then the row that it tells of, is fetched (bench/bench_group.cc).
  static constexpr size_t kIndexAhead = 32;
  static constexpr size_t kRowAhead = 16;
  static constexpr unsigned kChunkRowsLog2 = 10;
  static constexpr uint32_t kInlineOctetsMax = 32;

  /// kInline where it is possible.
  static RowPlace best_place(uint32_t key_words, uint32_t state_octets) {
    return key_words == 1 && 8 + state_octets <= kInlineOctetsMax ? RowPlace::kInline : RowPlace::kApart;
  }
  /// @param state_octets  of all aggregates together, a multiple of 8
  /// @param group_hint    groups to make room for at once (0: few)
  /// @param hash_mask     as hash_keys() gets it
  GroupTable(BlockPool& pool, uint32_t key_words, uint32_t state_octets, size_t group_hint, RowPlace place,
             uint64_t hash_mask);
  ~GroupTable();
  GroupTable(const GroupTable&) = delete;
  GroupTable& operator=(const GroupTable&) = delete;

  uint32_t key_words() const { return key_words_; }
  uint32_t states_at() const { return key_words_ * 8; }  ///< offset of the states within a row
  size_t group_count() const { return group_count_; }
  uint8_t* row(size_t group) const {
    if (place_ == RowPlace::kApart) return chunks_[group >> kChunkRowsLog2] + (group & kChunkMask) * row_octets_;
    return slots_[group] == kZeroSlot ? zero_row_.get() : inline_rows_ + size_t{slots_[group]} * row_octets_;
  }
  const uint64_t* key(size_t group) const { return reinterpret_cast<const uint64_t*>(row(group)); }
  /// Octets held, for the memory figures.
  size_t octets_held() const;

  /// Finds or makes the group of each of n keys. A new row's states are all zero bytes.
  /// @param keys        n * key_words words, row by row
  /// @param hashes      hash_keys() of them
  /// @param rows        out: the group's row of each key, until the next call
  /// @return            groups made; kApart: they are the last ones (group_count() - returned ..)
  size_t find_or_insert(const uint64_t* keys, const uint64_t* hashes, size_t n, uint8_t** rows);
  /// Another table of this size will be made soon: its memory is made ready.
  void prepare_next() const {
    if (group_count_ > 0) pool_.prepare(index_octets());
  }
  /// The number of the group of a key, or kNoGroup. Not while groups are added in between: kInline then numbers anew.
  static constexpr size_t kNoGroup = SIZE_MAX;
  size_t find(const uint64_t* key, uint64_t hash) const;

 private:
  static constexpr size_t kChunkMask = (size_t{1} << kChunkRowsLog2) - 1;
  static constexpr uint32_t kZeroSlot = UINT32_MAX;
  size_t find_apart(const uint64_t* key, uint64_t hash) const;
  size_t find_inline(uint64_t key, uint64_t hash) const;
  size_t group_count_max() const { return (size_t{3} << index_log2_) / 4; }
  template <uint32_t kWords>
  void probe_apart(const uint64_t* keys, const uint64_t* hashes, size_t n, uint8_t** rows);
  template <uint32_t kOctets>
  void probe_inline(const uint64_t* keys, const uint64_t* hashes, size_t n, uint8_t** rows);
  uint8_t* append(const uint64_t* key, uint32_t words);
  uint8_t* zero_key_row();
  void grow();
  void grow_apart();
  void grow_inline();
  size_t index_octets() const { return (place_ == RowPlace::kApart ? size_t{8} : size_t{row_octets_}) << index_log2_; }

  BlockPool& pool_;
  RowPlace place_;
  uint32_t key_words_;
  uint32_t row_octets_;
  unsigned index_log2_ = 0;
  uint64_t hash_mask_;
  size_t group_count_ = 0;
  bool growth_prepared_ = false;  ///< memory for twice the size was asked for
  // kApart
  uint64_t* index_ = nullptr;  ///< hash >> 32 << 32 | group + 1; 0: free
  std::vector<uint8_t*> chunks_;
  // kInline
  uint8_t* inline_rows_ = nullptr;         ///< a slot whose key is 0 is free
  std::vector<uint32_t> slots_;            ///< of each group
  mutable std::vector<uint32_t> numbers_;  ///< of the groups, by slot, for find(); made when it is called
  mutable size_t numbered_ = 0;            ///< how many groups they know
  std::unique_ptr<uint8_t[]> zero_row_;    ///< of the key 0, once it came
};

/// Hashes of n keys of `words` words each, all bits good. `mask` 0 makes every key collide, for tests.
void hash_keys(const uint64_t* keys, uint32_t words, size_t n, uint64_t mask, uint64_t* hashes);

}  // namespace backstream::exec
