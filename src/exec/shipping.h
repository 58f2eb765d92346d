#pragma once
#include <map>
#include <memory>
#include <vector>

#include "exec/group_rows.h"
#include "exec/windowed_stage.h"
#include "partial/codec.h"
#include "partial/inbox.h"
#include "transport/log.h"

namespace backstream::exec {

/// The way of a stage's panes from its edge halves to its merge half as bytes through a Log
/// (docs/design/0002-partials.md). One thread.
class PaneShipping {
 public:
  /// @param incarnation  names the query and its plan in the messages
  PaneShipping(const plan::Stage& stage, uint64_t incarnation, uint32_t edge_count, size_t batch_rows,
               std::unique_ptr<transport::Log> log);

  /// Edge: appends the groups of a pane, or of a supplement to a pane that was shipped before.
  void ship(uint32_t edge, Micros start, PaneTable& pane);
  /// Edge: all its panes that end at or before `frontier` have been shipped.
  void report(uint32_t edge, Micros frontier, const WindowLedger& ledger);
  /// Merge: reads the log to its end and adds what is new to `merge`. Returns the frontier of all edges.
  Micros receive(MergeHalf& merge);
  /// Merge: windows of panes that begin before are final.
  void forget_before(Micros pane_start);

 private:
  void append(std::vector<uint8_t>&& message);

  partial::GroupForm form_;
  uint64_t incarnation_;
  GroupRows group_rows_;
  partial::PartialWriter writer_;
  partial::PartialReader reader_;
  partial::Inbox inbox_;
  std::unique_ptr<transport::Log> log_;
  uint64_t next_offset_ = 0;
  std::map<std::pair<Micros, uint32_t>, uint32_t> shipped_;  ///< (pane start, edge) -> supplements so far
};

}  // namespace backstream::exec
