#pragma once
#include <vector>

#include "exec/group_rows.h"
#include "exec/state_bytes.h"

namespace backstream::exec {

/// The groups of tables of one stage as octets of a saved state, and back. In no order, unlike partials: nobody
/// compares the octets, and the engine rests meanwhile. One thread.
class SavedGroups {
 public:
  /// @param aggregates  which of the stage's a query has, in its order: only these are written and read
  SavedGroups(const plan::Stage& stage, size_t batch_rows, std::vector<size_t> aggregates);
  /// With all of the stage's.
  SavedGroups(const plan::Stage& stage, size_t batch_rows);

  void save(PaneTable& table, StateWriter& out);
  /// A table of them; when the reader has refused, it holds some.
  PaneTablePtr load(StateReader& in, GroupLayout& layout, BlockPool& pool);
  /// Into the table of several queries that share it: it has the groups already, and the states of the aggregates that
  /// are `known` (by number in the stage).
  void add(StateReader& in, PaneTable& table, const std::vector<bool>& known);

 private:
  size_t group_count(StateReader& in) const;
  /// Reads the keys of some of the `left` groups and finds or makes their rows; 0: the reader has refused.
  size_t read_keys(StateReader& in, PaneTable& table, size_t left);
  uint8_t* state(const PaneTable& table, size_t group, size_t aggregate) const;

  const plan::Stage& stage_;
  const std::vector<size_t> aggregates_;
  GroupRows group_rows_;
  batch::BatchBuffer keys_;  ///< made when something is read
  // Of the groups that were read last, in the order of the octets.
  std::vector<uint8_t*> rows_, found_;
  std::vector<uint8_t> wide_;
  std::vector<uint32_t> numbers_;
};

}  // namespace backstream::exec
