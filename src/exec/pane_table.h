#pragma once
#include <memory>
#include <vector>

#include "agg/aggregate.h"
#include "exec/group_table.h"
#include "exec/key_codec.h"
#include "plan/query.h"

namespace backstream::exec {

/// What all panes of one aggregating stage share: the layout of a group's row, and scratch for one batch. One thread.
class GroupLayout {
 public:
  explicit GroupLayout(const plan::Stage& stage, uint64_t hash_mask);

  const plan::Stage& stage() const { return stage_; }
  KeyCodec& codec() { return codec_; }
  const std::vector<uint32_t>& state_offsets() const { return state_offsets_; }
  uint32_t state_octets() const { return state_octets_; }
  uint64_t hash_mask() const { return hash_mask_; }

 private:
  friend class PaneTable;
  const plan::Stage& stage_;
  KeyCodec codec_;
  std::vector<uint32_t> state_offsets_;  ///< of each aggregate, from the begin of the states
  uint32_t state_octets_ = 0;
  RowPlace narrow_place_ = RowPlace::kApart;
  bool needs_init_ = false;
  uint64_t hash_mask_;
  // Scratch of one batch.
  std::vector<uint32_t> split_;
  std::vector<uint64_t> words_, hashes_;
};

/// All groups of one pane (or of one window): two tables, one for each form of key. One thread.
class PaneTable {
 public:
  PaneTable(GroupLayout& layout, BlockPool& pool, size_t group_hint);

  size_t group_count() const { return narrow_.group_count() + wide_.group_count(); }
  size_t octets_held() const {
    return narrow_.octets_held() + wide_.octets_held() + context_.arena.octets_held() + texts_.octets_held();
  }

  /// The next pane will be about as large: its memory is made ready.
  void prepare_next() const {
    narrow_.prepare_next();
    wide_.prepare_next();
  }

  /// The group's row of each of n input rows, made where it is new. `out[i]` belongs to rows[i].
  /// @param keys  one column a key, by input row
  /// `narrow_count` of the rows are narrow; the order of `rows` may be changed so that these come first: the caller
  /// uses `rows` as it is afterwards. Their states begin at states_at(form).
  struct Found {
    const uint32_t* rows;  ///< the n rows, narrow ones first
    size_t narrow_count;
  };
  Found find_groups(const batch::Column* keys, const uint32_t* rows, size_t n, uint8_t** out);
  uint32_t states_at(bool wide) const { return wide ? wide_.states_at() : narrow_.states_at(); }

  /// Adds the groups of another pane of the same stage; that one is left as it was.
  /// @param chosen  by group of `other`: 0 leaves it out; null: all are added
  void combine(const PaneTable& other, const uint8_t* chosen = nullptr);
  /// For each group of another pane, the number of the group with the same key here, or kNoGroup.
  static constexpr size_t kNoGroup = GroupTable::kNoGroup;
  void match(const PaneTable& other, std::vector<size_t>& groups);

  /// The rows here of the groups [first, first + n) of another pane of the same stage, of one form of key (n at most
  /// 1024); made where they are new. They stay where they are (of small states: until the next call).
  void rows_of(const PaneTable& other, bool wide, size_t first, size_t n, uint8_t** out);
  /// A group's states as they are when it is new.
  void reset_states(uint8_t* row, bool wide) const;
  /// Adds the states of another pane's group to those of one here. Both are of the same form.
  void combine_row(uint8_t* to, const uint8_t* from, bool wide) {
    for (size_t a = 0; a < layout_.state_offsets_.size(); ++a) {
      const size_t offset = states_at(wide) + layout_.state_offsets_[a];
      layout_.stage_.aggregates[a].function->combine(to + offset, from + offset, context_);
    }
  }

  /// Adds n groups given as key columns and states, state_octets() each, laid out as in the layout.
  void combine_groups(const batch::Column* keys, size_t n, const uint8_t* states);

  /// Groups in the order in which they were made, narrow ones first.
  size_t group_count(bool wide) const { return wide ? wide_.group_count() : narrow_.group_count(); }
  /// By its number among the groups of one form.
  uint8_t* row(size_t group, bool wide) const { return wide ? wide_.row(group) : narrow_.row(group); }
  bool is_wide(size_t group) const { return group >= narrow_.group_count(); }
  uint8_t* row(size_t group) const {
    return is_wide(group) ? wide_.row(group - narrow_.group_count()) : narrow_.row(group);
  }
  const TextDictionary& texts() const { return texts_; }
  agg::StateContext& context() { return context_; }
  GroupLayout& layout() const { return layout_; }

  uint64_t keep_below = UINT64_MAX;  ///< only groups of lesser shed hash are let in (exec/shedding.h)
  uint64_t rows_counted = 0;         ///< input rows that were added to this pane

 private:
  void insert(GroupTable& table, bool wide, const uint64_t* words, size_t n, uint8_t** out);
  void combine_form(const PaneTable& other, bool wide, const uint8_t* chosen);

  GroupLayout& layout_;
  GroupTable narrow_, wide_;
  TextDictionary texts_;
  agg::StateContext context_;
};

using PaneTablePtr = std::unique_ptr<PaneTable>;

}  // namespace backstream::exec
