#pragma once
#include <algorithm>
#include <memory>
#include <vector>

#include "exec/group_table.h"
#include "exec/key_codec.h"

namespace backstream::exec {

/// A state of fixed size for each key, found a batch at a time. States are 8-aligned, begin as zero bytes, and must be
/// bitwise relocatable. One thread.
class KeyedStates {
 public:
  /// Whether values are equal as keys when they are equal in ORDER BY. Not so intervals: a month is 30 days there.
  static bool can_hold(const std::vector<batch::ColumnDef>& keys);
  /// @param state_octets  a multiple of 8
  KeyedStates(const std::vector<batch::ColumnDef>& keys, uint32_t state_octets, uint64_t hash_mask);

  size_t size() const { return tables_->narrow.group_count() + tables_->wide.group_count(); }
  size_t octets_held() const;

  /// The state of the key of each of n rows, made where it is new; valid until keep_if() or clear().
  /// @param keys  one column a key; rows 0 .. n - 1
  void find_or_make(const batch::Column* keys, size_t n, uint8_t** states);
  /// The same, but makes none where there are `size_max`: null there.
  void find_or_make_up_to(size_t size_max, const batch::Column* keys, size_t n, uint8_t** states);
  /// The same, but null where the key is new.
  void find(const batch::Column* keys, size_t n, uint8_t** states);

  template <typename Visit>
  void for_each(Visit&& visit) {
    for (GroupTable* table : {&tables_->narrow, &tables_->wide}) {
      for (size_t group = 0; group < table->group_count(); ++group) visit(table->row(group) + table->states_at());
    }
  }
  /// Calls visit(key columns, states, how many) for some keys at a time, all of them once. Texts are the tables'.
  template <typename Visit>
  void for_each_batch(Visit&& visit) {
    batch::BatchBuffer keys(key_types_, std::vector<bool>(key_types_.size(), true), kVisitKeys);
    const uint64_t* words[kVisitKeys];
    uint8_t* states[kVisitKeys];
    for (const bool wide : {false, true}) {
      const GroupTable& table = wide ? tables_->wide : tables_->narrow;
      for (size_t first = 0; first < table.group_count(); first += kVisitKeys) {
        const size_t n = std::min(kVisitKeys, table.group_count() - first);
        for (size_t i = 0; i < n; ++i) {
          words[i] = table.key(first + i);
          states[i] = table.row(first + i) + table.states_at();
        }
        for (batch::Column& column : keys.batch.columns) column.has_nulls = wide;
        if (wide) codec_.unpack_wide(words, n, tables_->texts, keys.batch.columns.data(), 0);
        else codec_.unpack_narrow(words, n, tables_->texts, keys.batch.columns.data(), 0);
        visit(keys.batch.columns.data(), states, n);
      }
    }
  }
  /// Forgets the keys whose state `keep` does not want. The others' states move.
  template <typename Keep>
  void keep_if(Keep&& keep) {
    auto from = std::move(tables_);
    tables_ = std::make_unique<Tables>(*this);
    for (const bool wide : {false, true}) {
      const GroupTable& table = wide ? from->wide : from->narrow;
      for (size_t group = 0; group < table.group_count(); ++group) {
        if (keep(table.row(group) + table.states_at())) move(wide, table.row(group), from->texts);
      }
    }
  }
  void clear() { tables_ = std::make_unique<Tables>(*this); }

 private:
  static constexpr size_t kVisitKeys = 1024;
  struct Tables {
    explicit Tables(KeyedStates& of);
    GroupTable narrow, wide;
    TextDictionary texts;
  };
  template <typename Look>
  void pack(const batch::Column* keys, size_t n, Look&& look);
  void move(bool wide, const uint8_t* row, const TextDictionary& texts);

  const std::vector<batch::Type> key_types_;
  const uint32_t state_octets_;
  const uint64_t hash_mask_;
  BlockPool pool_;
  KeyCodec codec_;
  std::unique_ptr<Tables> tables_;
  // Scratch of one batch.
  std::vector<uint32_t> rows_, split_;
  std::vector<uint64_t> words_, hashes_;
  std::vector<uint8_t*> found_;
};

}  // namespace backstream::exec
