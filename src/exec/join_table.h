#pragma once
#include <algorithm>
#include <vector>

#include "exec/join_key.h"
#include "exec/state_bytes.h"
#include "exec/tail.h"

namespace backstream::exec {

/// Rows of one side of a join, found by the hash of their key: a store of columns with chains through it. A row has a
/// mark: whether it had a partner. One thread.
class JoinTable {
 public:
  enum class Link : uint8_t {
    kAtOnce,  ///< rows are found as soon as they are added
    kLater,   ///< rows are found after link()
  };
  /// @param text_block_octets  as RowStore's
  JoinTable(const std::vector<batch::Type>& types, Link link, size_t text_block_octets = 4096);

  /// Adds rows numbers[0 .. n) of `rows`. The other arrays are by row number of the batch.
  /// @param present  0: the row is kept, but not found; null: all are found
  /// @param times    what find() compares; null: 0 for all
  void append(const batch::ColumnBatch& rows, const uint32_t* numbers, size_t n, const uint64_t* hashes,
              const uint8_t* present, const Micros* times);
  /// Makes all rows added so far to be found.
  void link() { link_all(entries_.size()); }
  size_t row_count() const { return entries_.size(); }
  size_t octets_held() const {
    return rows_.octets_held() + entries_.capacity() * sizeof(Entry) + hashes_.capacity() * 8 + marks_.capacity() +
           heads_.capacity() * 4;
  }
  bool is_present(size_t row) const { return entries_[row].present; }
  /// The rows' columns; valid until the next append().
  const std::vector<batch::Column>& columns() const { return columns_; }
  const std::vector<uint64_t>& hashes() const { return hashes_; }
  const RowStore& rows() const { return rows_; }
  Micros time(size_t row) const { return entries_[row].time; }
  uint8_t& mark(size_t row) { return marks_[row]; }
  uint8_t mark(size_t row) const { return marks_[row]; }

  /// Puts pairs (row of the caller, row of the table) of equal hash, with a table time from the row's time + least to
  /// its time + greatest, into `mine` and `found`, and calls full(n) whenever they hold `capacity` pairs, and at the
  /// end.
  /// @param numbers  the caller's rows; hashes and times are by number; times null: 0 for all
  template <typename Full>
  void find(const uint32_t* numbers, size_t n, const uint64_t* hashes, const Micros* times, Micros least,
            Micros greatest, uint32_t* mine, uint32_t* found, size_t capacity, Full&& full) const {
    if (heads_.empty()) return;
    size_t pairs = 0;
    for (size_t i = 0; i < n; ++i) {
      if (i + kHeadAhead < n) __builtin_prefetch(&heads_[hashes[numbers[i + kHeadAhead]] >> shift_]);
      if (i + kEntryAhead < n) {
        const uint32_t head = heads_[hashes[numbers[i + kEntryAhead]] >> shift_];
        if (head != 0) __builtin_prefetch(&entries_[head - 1]);
      }
      const uint32_t number = numbers[i];
      const uint64_t hash = hashes[number];
      const Micros at = times == nullptr ? 0 : times[number];
      const Micros from = at + least, to = at + greatest;
      for (uint32_t next = heads_[hash >> shift_]; next != 0;) {
        const Entry& entry = entries_[next - 1];
        mine[pairs] = number;
        found[pairs] = next - 1;
        pairs += static_cast<size_t>(entry.hash == hash) & static_cast<size_t>(entry.time >= from) &
                 static_cast<size_t>(entry.time <= to);
        next = entry.next;
        if (pairs < capacity) continue;
        full(pairs);
        pairs = 0;
      }
    }
    full(pairs);
  }

 private:
  static constexpr size_t kHeadAhead = 32, kEntryAhead = 16;
  struct Entry {
    uint64_t hash;
    Micros time;
    uint32_t next;  ///< of the chain: row + 1; 0: the last
    bool present;
  };
  void link_all(size_t room);

  const bool links_at_once_;
  RowStore rows_;
  std::vector<batch::Column> columns_;
  std::vector<Entry> entries_;
  std::vector<uint64_t> hashes_;
  std::vector<uint8_t> marks_;
  std::vector<uint32_t> heads_;  ///< row + 1; 0: none. A power of two of them, at least twice as many as rows
  unsigned shift_ = 63;          ///< the head of a hash is hash >> shift_
};

/// Saved rows of one side of a join, with what a table wants to know of them; valid during the call.
struct SavedJoinRows {
  batch::ColumnBatch batch;
  const uint32_t* numbers;
  const uint64_t* hashes;
  const uint8_t* present;
};
/// Reads rows that save(RowStore) has written and calls take(SavedJoinRows&) with some of them at a time. Hashes are
/// made anew: those of another build may differ.
/// @param keys  of the columns
template <typename Take>
void load_join_rows(StateReader& in, const std::vector<batch::Type>& types, const std::vector<size_t>& keys,
                    uint64_t hash_mask, Take&& take) {
  RowStore rows(types);
  load(in, types, rows);
  if (in.refused()) return;
  constexpr size_t kStep = 2048;
  std::vector<uint32_t> numbers(kStep);
  for (uint32_t i = 0; i < kStep; ++i) numbers[i] = i;
  std::vector<uint64_t> hashes(kStep);
  std::vector<uint8_t> present(kStep);
  std::vector<const batch::Column*> key_columns(keys.size());
  for (size_t first = 0; first < rows.row_count(); first += kStep) {
    SavedJoinRows some{{}, numbers.data(), hashes.data(), present.data()};
    some.batch.row_count = std::min(kStep, rows.row_count() - first);
    for (size_t c = 0; c < types.size(); ++c) some.batch.columns.push_back(rows.slice(c, first));
    for (size_t k = 0; k < keys.size(); ++k) key_columns[k] = &some.batch.columns[keys[k]];
    hash_join_keys(key_columns.data(), keys.size(), some.batch.row_count, hash_mask, hashes.data(), present.data());
    take(some);
  }
}

}  // namespace backstream::exec
