#pragma once
#include <map>
#include <memory>
#include <vector>

#include "exec/group_rows.h"
#include "exec/late_rows.h"
#include "partial/codec.h"
#include "partial/inbox.h"
#include "transport/log.h"

namespace backstream::exec {

/// The merge half that shipped panes are read into. One thread.
class PaneReceiver {
 public:
  virtual ~PaneReceiver() = default;
  /// The pane to which shipped groups of this start are added.
  virtual PaneTable& pane(Micros start) = 0;
  /// Adds the ledger of panes to that of their windows.
  virtual void add_counts(const window::CountsByPane& counts) = 0;
};

/// The way of a stage's panes from its edge halves to its merge half as bytes through a Log
/// (docs/design/0002-partials.md). One thread.
class PaneShipping {
 public:
  /// @param incarnation  names the query and its plan in the messages
  PaneShipping(const plan::Stage& stage, uint64_t incarnation, uint32_t edge_count, size_t batch_rows,
               std::unique_ptr<transport::Log> log);

  /// Edge: appends the groups of a pane, or of a supplement to a pane that was shipped before.
  void ship(uint32_t edge, Micros start, PaneTable& pane);
  /// Edge: appends what a cut at pane `cut` brings beside panes: ledgers of panes, and late rows' groups (may be null).
  /// Nothing is appended when there is neither.
  void ship_cut(uint32_t edge, Micros cut, const window::CountsByPane& counts, PaneTable* late);
  /// Late rows' groups have this form. Before the first ship_cut() with any.
  void carry_late(const plan::LateStage& late);
  /// Edge: all its panes that end at or before `frontier` have been shipped.
  void report(uint32_t edge, Micros frontier, const WindowLedger& ledger);
  /// Merge: reads the log to its end and adds what is new to `merge`, and late rows to `late` (null: nobody reads
  /// them). Returns the frontier of all edges.
  Micros receive(PaneReceiver& merge, LateOutput* late);
  /// Merge: windows of panes that begin before are final.
  void forget_before(Micros pane_start);
  /// All that was appended so far, frontiers included.
  uint64_t octets_shipped() const { return octets_; }
  uint64_t messages_shipped() const { return messages_; }

 private:
  void append(std::vector<uint8_t>&& message);

  /// Writes and reads groups of one form.
  struct Form {
    Form(const plan::Stage& stage, size_t batch_rows);
    void add_groups(PaneTable& table);
    void read_into(const partial::Message& message, PaneTable& table);
    GroupRows group_rows;
    partial::PartialWriter writer;
    partial::PartialReader reader;
  };
  void write(uint32_t edge, Form& form, partial::ChunkId id, const std::vector<partial::PaneLedger>& ledgers);

  uint64_t octets_ = 0, messages_ = 0;  ///< appended to the log
  uint64_t incarnation_;
  size_t batch_rows_;
  Form groups_;
  std::unique_ptr<Form> late_groups_;
  partial::Inbox inbox_;
  std::unique_ptr<transport::Log> log_;
  uint64_t next_offset_ = 0;
  std::map<std::pair<Micros, uint32_t>, uint32_t> shipped_;  ///< (pane start, edge) -> supplements so far
  std::map<std::pair<Micros, uint32_t>, uint32_t> cuts_;     ///< (cut, edge) -> messages so far
};

}  // namespace backstream::exec
