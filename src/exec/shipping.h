#pragma once
#include <map>
#include <memory>
#include <vector>

#include "exec/engine.h"
#include "exec/group_rows.h"
#include "exec/late_rows.h"
#include "partial/codec.h"
#include "partial/inbox.h"
#include "transport/log.h"

namespace backstream::exec {

/// Writes and reads the groups of panes of one stage. One thread.
class ShippedGroups {
 public:
  ShippedGroups(const plan::Stage& stage, size_t batch_rows);
  /// The next write() has the groups of this table.
  void add(PaneTable& table);
  void write(const partial::ChunkId& id, std::span<const partial::PaneLedger> ledgers, PartialsOut& out);
  /// Reads the groups of a message. False: they cannot be read.
  bool read(const partial::Message& message) { return reader_.read(message); }
  /// Adds those that were read last.
  void add_to(PaneTable& table);

 private:
  GroupRows group_rows_;
  partial::PartialWriter writer_;
  partial::PartialReader reader_;
};

/// What an edge sends of one stage (docs/design/0002-partials.md). One thread.
class PaneSender {
 public:
  /// @param origin  who sends, and of which stage
  PaneSender(const plan::Stage& stage, const partial::Origin& origin, size_t batch_rows, PartialsOut& out);

  /// Late rows' groups have this form. Before the first send_cut() with any.
  void carry_late(const plan::LateStage& late);
  /// The groups of a pane, or of a supplement to a pane that was sent before, and what became of the pane's rows since.
  void send(Micros start, PaneTable& pane, const window::PaneCounts& counts);
  /// What a cut at pane `cut` brings beside panes: ledgers of panes, and late rows' groups (may be null). Nothing is
  /// sent when there is neither.
  void send_cut(Micros cut, const window::CountsByPane& counts, PaneTable* late);
  /// All panes that end at or before `frontier` have been sent.
  void report(Micros frontier, const WindowLedger& ledger);
  /// No pane that begins before will be sent again.
  void forget_before(Micros pane_start);

 private:
  const partial::Origin origin_;
  const size_t batch_rows_;
  PartialsOut& out_;
  ShippedGroups groups_;
  std::unique_ptr<ShippedGroups> late_groups_;
  std::map<Micros, uint32_t> sent_;  ///< pane start -> supplements so far
  uint32_t cuts_ = 0;                ///< sent so far
};

/// The merge half that shipped panes are read into. One thread.
class PaneReceiver {
 public:
  virtual ~PaneReceiver() = default;
  /// The pane to which shipped groups of this start are added.
  virtual PaneTable& pane(Micros start) = 0;
  /// Adds the ledger of panes to that of their windows.
  virtual void add_counts(const window::CountsByPane& counts) = 0;
};

/// Reads what PaneSender has sent. One thread.
class PaneReader {
 public:
  PaneReader(const plan::Stage& stage, size_t batch_rows);
  void carry_late(const plan::LateStage& late);
  /// Adds a message to `merge`, and late rows to `late` (null: nobody reads them). False: it cannot be read, and
  /// nothing was added.
  bool take(const partial::Message& message, PaneReceiver& merge, LateOutput* late);

 private:
  const size_t batch_rows_;
  ShippedGroups groups_;
  std::unique_ptr<ShippedGroups> late_groups_;
};
window::CountsByPane counts_of(const std::vector<partial::PaneLedger>& ledgers);
/// Of a pane that came after all of its windows were final: what an edge counted was late.
/// @param late_by  a delay greater by this would have kept the rows
/// @param ledger   the late rows are added to it
window::CountsByPane late_counts_of(const std::vector<partial::PaneLedger>& ledgers, Micros late_by,
                                    WindowLedger& ledger);

/// The way of a stage's panes from several edge halves to the merge half of one process, as bytes through a Log. One
/// thread.
class PaneShipping {
 public:
  /// @param incarnation  names the query and its plan in the messages
  PaneShipping(const plan::Stage& stage, uint64_t incarnation, uint32_t edge_count, size_t batch_rows,
               std::unique_ptr<transport::Log> log);

  PaneSender& edge(uint32_t number) { return *senders_[number]; }
  void carry_late(const plan::LateStage& late);
  /// Reads the log to its end and adds what is new. Returns the frontier of all edges.
  Micros receive(PaneReceiver& merge, LateOutput* late);
  /// Windows of panes that begin before are final.
  void forget_before(Micros pane_start);
  /// All that was appended so far, frontiers included.
  uint64_t octets_shipped() const { return appender_.octets; }
  uint64_t messages_shipped() const { return appender_.messages; }

 private:
  struct Appender final : PartialsOut {
    void append(std::vector<uint8_t>&& message) override;
    std::unique_ptr<transport::Log> log;
    uint64_t octets = 0, messages = 0;
  };
  Appender appender_;
  std::vector<std::unique_ptr<PaneSender>> senders_;
  PaneReader reader_;
  partial::Inbox inbox_;
  uint64_t next_offset_ = 0;
};

}  // namespace backstream::exec
