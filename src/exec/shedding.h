#pragma once
#include <map>
#include <vector>

#include "exec/group_rows.h"
#include "exec/pane_table.h"

namespace backstream::exec {

/// Shedding (on_limit = 'shed', docs/design/0008-policies.md): groups are kept whose hash lies below a threshold. The
/// hash is one of the key's values, the same in every table, on every edge and in every build, so that a group below
/// the least of the thresholds that a window's panes were kept by has lost no row anywhere: what remains is exact.
inline constexpr uint64_t kKeepAll = UINT64_MAX;

/// out[i]: of the keys of row rows[i] (of row i when rows is null), below kKeepAll.
void shed_hashes(const batch::Column* keys, size_t key_count, const uint32_t* rows, size_t n, uint64_t* out);

/// The threshold for panes, by their start. It falls for all that is there, and rises only for windows that have not
/// begun: a group that was dropped once would be counted in part.
class KeepBelow {
 public:
  KeepBelow() = default;
  /// As steps() of another one had them.
  explicit KeepBelow(std::map<Micros, uint64_t> steps) : steps_(std::move(steps)) {}
  uint64_t at(Micros pane_start) const;
  /// No threshold is higher than this any more.
  void lower(uint64_t keep_below);
  /// From `next_start` on twice as many groups are kept as at `now`; nothing where a rise after `now` is there already.
  void raise_after(Micros now, Micros next_start);
  void forget_before(Micros pane_start);
  uint64_t latest() const { return steps_.empty() ? kKeepAll : steps_.rbegin()->second; }
  const std::map<Micros, uint64_t>& steps() const { return steps_; }
  /// Keeps no more than either of the two does.
  void add(const KeepBelow& other);

 private:
  std::map<Micros, uint64_t> steps_;  ///< from this start on; before the first: kKeepAll
};

/// Drops groups of the tables of one stage. One thread.
class GroupShedder {
 public:
  GroupShedder(const plan::Stage& stage, size_t batch_rows);

  struct Shed {
    uint64_t groups = 0, rows = 0, octets = 0;
  };
  /// What the groups of hash keep_below and above hold. kept()[group] is 0 for them, 1 for the others.
  Shed choose(PaneTable& table, uint64_t keep_below);
  const uint8_t* kept() const { return kept_.data(); }
  /// Takes them out; `table` may be another one then.
  Shed drop(PaneTablePtr& table, uint64_t keep_below, BlockPool& pool);

 private:
  const plan::Stage& stage_;
  GroupRows group_rows_;
  std::vector<uint8_t> kept_;
  std::vector<uint64_t> hashes_;
  std::vector<const uint8_t*> dropped_;
  batch::BatchBuffer octets_;
};

}  // namespace backstream::exec
