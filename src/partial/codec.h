#pragma once
// The bytes between edge and merge, version 2 (docs/design/0002-partials.md). Little end first where an integer is
// fixed, LEB128 elsewhere:
//
//   "BSP" version:1 kind:1 edge epoch incarnation  body  xxh3:8
//   pane, cut: pane_start supplement attempt chunk last:1 ledger_count ledger... group_count group...
//   rows:      cut supplement attempt chunk last:1 ledger_count ledger... row_count column...
//   frontier:  frontier assigned counted filtered late errored shed time_null time_future
//   presence:  sent_at gap_from gap_until
//   loss:      rows
//   members:   decided_at member_count, (edge absent:1)...
//   claim:     claimed_at worker_octets worker
//   ledger:    pane_start assigned counted filtered late errored shed shed_octets 2^64-1-keep_below
//   group:     key value..., aggregate state...      (types known from the plan; the incarnation names it)
//   column:    value...                              (those that the plan reads, in its order)
//   value:     0 | 1 value                           (0: null)
//
// Groups come in the order of their key bytes, so that equal content gives equal bytes. Rows come as they came.
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "agg/aggregate.h"
#include "base/time.h"
#include "batch/column_batch.h"
#include "window/pane_counts.h"

namespace backstream::partial {

using base::Micros;

inline constexpr uint8_t kVersion = 2;        ///< of all that is written here, and of the states of aggregates in it
inline constexpr uint8_t kVersionOldest = 2;  ///< that is read

/// Who sent it, and for which query. Epoch: counts the starts of the edge's process.
struct Origin {
  uint32_t edge = 0;
  uint64_t epoch = 0;
  uint64_t incarnation = 0;  ///< of the query: its identity in the catalog, and the plan that both halves were cut from
  auto operator<=>(const Origin&) const = default;
};

/// A number of an object of the catalog that none of its kind shares: objects that one change has made have the same
/// incarnation.
uint64_t object_number(std::string_view name, uint64_t incarnation);

/// What a version of a query is called, the same on every machine and for ever. The upper 32 bits are of `root` alone,
/// so that all that is completed together travels in one partition: versions, inputs, and views with what reads them.
/// @param root     object_number() of the object that the query is completed with: itself, or a view that it reads
/// @param object   its own
uint64_t incarnation_of(uint64_t root, uint64_t object, uint64_t version);
/// Of an input of a query, counted from 1.
uint64_t incarnation_of_input(uint64_t query, uint64_t input);
/// The partition that its partials travel in.
uint32_t partition_of(uint64_t incarnation, uint32_t partition_count);

/// One chunk of the groups of one pane. A pane is sent whole as supplement 0; rows that come later are sent as
/// supplement 1, 2, ... Each may be tried again as another attempt: the first complete one counts.
/// A pane's own ledger travels with its groups, so that both are judged at once where windows close.
/// What an edge tells beside panes when it closes some, a cut, is sent alike: the ledgers of panes, and the groups of
/// rows that came too late for a window (in the form of plan::late_stage()). And so are rows that are not grouped where
/// they arrive (rows.h). Neither has a pane to be told by: `supplement` numbers those of one origin from 0.
struct ChunkId {
  enum class Kind : uint8_t { kPane = 1, kCut = 3, kRows = 4 };
  Kind kind = Kind::kPane;
  Origin origin;
  Micros pane_start = 0;  ///< kCut, kRows: how far the edge had got, to be read by people
  uint32_t supplement = 0;
  uint32_t attempt = 0;
  uint32_t chunk = 0;
  bool last = false;
};

/// What became of the rows of one pane, since the edge's last cut.
struct PaneLedger {
  Micros pane_start = 0;
  window::PaneCounts counts;
};

/// "All panes that end at or before `frontier` have been sent." Carries the edge's half of the window ledger, as totals
/// since the edge's epoch began.
struct Frontier {
  Origin origin;
  Micros frontier = base::kMinTime;
  uint64_t assigned = 0, counted = 0, filtered = 0, late = 0, errored = 0, shed = 0, time_null = 0, time_future = 0;
};

/// "This edge is there." Sent to every partition when an edge's process begins and again and again; of no query.
struct Presence {
  Origin origin;       ///< incarnation 0
  Micros sent_at = 0;  ///< by the edge's clock
  /// What arrived in between, if anything, no process of the edge has seen; equal: nothing is missing.
  Micros gap_from = 0, gap_until = 0;
  bool operator==(const Presence&) const = default;
};

/// "So many rows of the query have come to nothing, because processes of this edge were killed or not there: rows of
/// panes that were open, and what exporters have sent meanwhile by the numbers of their messages." In all since the
/// edge's spool began, so that a repeat says nothing new.
struct Loss {
  Origin origin;
  uint64_t rows = 0;
};

/// Which edges must report before windows close, and which of them are not waited for. A decision that depends on the
/// wall clock: it is written to the log by who completes windows, and obeyed once it is read back, so that whoever
/// reads the log again closes the same windows at the same place.
struct Members {
  struct Member {
    uint32_t edge = 0;
    bool absent = false;
    bool operator==(const Member&) const = default;
  };
  Micros decided_at = 0;
  std::vector<Member> edges;  ///< by edge, each once
  bool operator==(const Members&) const = default;
};
inline constexpr size_t kEdgesMax = 65'536;

/// "What this partition holds is completed by me from here on." The offset of the newest claim in a partition is the
/// generation of who completes its windows: who finds a newer one than his own was superseded.
struct Claim {
  Micros claimed_at = 0;    ///< by the worker's clock; to be read by people, as is the next
  std::string_view worker;  ///< at most kWorkerOctetsMax
};
inline constexpr size_t kWorkerOctetsMax = 255;

/// Why a message was dropped.
#define BACKSTREAM_PARTIAL_FAULTS(X)                                                     \
  X(kTooShort, "too_short", "shorter than the smallest message")                         \
  X(kNotPartial, "not_a_partial", "does not begin as a partial does")                    \
  X(kVersionUnknown, "version_unknown", "written by a newer version")                    \
  X(kVersionTooOld, "version_too_old", "written by a version that is not read any more") \
  X(kChecksumWrong, "checksum_wrong", "bytes changed on the way")                        \
  X(kMalformed, "malformed", "fields or groups that cannot be read")
enum class PartialFault : uint8_t {
#define BACKSTREAM_X(enumerator, name, about) enumerator,
  BACKSTREAM_PARTIAL_FAULTS(BACKSTREAM_X)
#undef BACKSTREAM_X
};
#define BACKSTREAM_X(enumerator, name, about) +1
inline constexpr size_t kFaultCount = BACKSTREAM_PARTIAL_FAULTS(BACKSTREAM_X);
#undef BACKSTREAM_X
std::string_view name(PartialFault fault);

/// The types that both halves know from the plan.
struct GroupForm {
  std::vector<batch::Type> keys;
  std::vector<const agg::AggregateFunction*> aggregates;
  std::vector<uint32_t> state_offsets;  ///< of each aggregate within a group's states
  uint32_t state_octets = 0;            ///< of all of them
};

/// Collects the groups of one pane and writes them in chunks. One thread.
class PartialWriter {
 public:
  explicit PartialWriter(GroupForm form, size_t chunk_octets_max = 256 * 1024);
  /// Adds a group: row `row` of the key columns, and its states.
  void add(const batch::Column* keys, size_t row, const uint8_t* states);
  /// Writes all groups added since the last call, and the ledgers before them; `id.chunk` and `id.last` are set here.
  /// take(std::vector<uint8_t>&&) is called once a chunk, at least once.
  template <typename Take>
  void finish(ChunkId id, std::span<const PaneLedger> ledgers, Take&& take) {
    sort();
    size_t next = 0;
    id.chunk = 0;
    do {
      take(write_chunk(id, id.chunk == 0 ? ledgers : std::span<const PaneLedger>(), next));
      ++id.chunk;
    } while (next < groups_.size());
    clear();
  }

 private:
  struct Group {
    uint64_t key_begin;  ///< the key's first octets, big end first: most comparisons need no more
    size_t at;
    uint32_t key_octets, octets;
  };
  void sort();
  std::vector<uint8_t> write_chunk(ChunkId& id, std::span<const PaneLedger> ledgers, size_t& next);
  void clear();

  GroupForm form_;
  size_t chunk_octets_max_;
  std::vector<uint8_t> bytes_;
  std::vector<Group> groups_;
};

std::vector<uint8_t> write_frontier(const Frontier& frontier);
std::vector<uint8_t> write_presence(const Presence& presence);
std::vector<uint8_t> write_loss(const Loss& loss);
std::vector<uint8_t> write_members(const Members& members);
std::vector<uint8_t> write_claim(const Claim& claim);
/// A data message whose groups, or rows, are these bytes.
std::vector<uint8_t> write_data(const ChunkId& id, std::span<const PaneLedger> ledgers, uint64_t count,
                                std::span<const uint8_t> content);

/// What a message is, without its groups. Views into `bytes`.
struct Message {
  enum class Kind : uint8_t { kData, kFrontier, kPresence, kMembers, kClaim, kLoss } kind = Kind::kData;
  ChunkId chunk;  ///< kData, as are the next three
  std::vector<PaneLedger> ledgers;
  uint64_t group_count = 0;  ///< of groups, or rows
  std::span<const uint8_t> groups;
  Frontier frontier;
  Presence presence;
  Loss loss;
  Members members;
  Claim claim;
  /// Who sent it, and for which query; of kMembers and kClaim nobody and none.
  const Origin& origin() const {
    switch (kind) {
      case Kind::kData: return chunk.origin;
      case Kind::kFrontier: return frontier.origin;
      case Kind::kLoss: return loss.origin;
      default: return presence.origin;
    }
  }
};
/// Reads and checks everything but the groups. Returns false and says why otherwise.
bool read_message(std::span<const uint8_t> bytes, Message& message, PartialFault& fault);

/// Groups read from one chunk: keys as columns, states row by row. Memory is reused from chunk to chunk. One thread.
class PartialReader {
 public:
  explicit PartialReader(GroupForm form);
  /// Reads all groups of a chunk, or none: false when any byte does not fit the form.
  bool read(const Message& message);
  size_t group_count() const { return group_count_; }
  const std::vector<batch::Column>& keys() const { return keys_.batch.columns; }
  const uint8_t* states(size_t group) const {
    return reinterpret_cast<const uint8_t*>(states_.data()) + group * form_.state_octets;
  }

 private:
  GroupForm form_;
  batch::BatchBuffer keys_;
  std::vector<uint64_t> states_;
  size_t group_count_ = 0;
  agg::StateContext context_;
};

}  // namespace backstream::partial
