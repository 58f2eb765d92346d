#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "partial/codec.h"

namespace backstream::partial {

/// Why the inbox kept a readable chunk from the merge.
#define BACKSTREAM_INBOX_DROPS(X)                                                                     \
  X(kDuplicate, "duplicate", "its pane's groups were complete already (another delivery or attempt)") \
  X(kStale, "stale", "its pane was final already")                                                    \
  X(kIncomplete, "incomplete", "other chunks of its attempt never came")                              \
  X(kPendingLimit, "pending_limit", "too many octets wait for the rest of their attempt")
enum class InboxDrop : uint8_t {
#define BACKSTREAM_X(enumerator, name, about) enumerator,
  BACKSTREAM_INBOX_DROPS(BACKSTREAM_X)
#undef BACKSTREAM_X
};
#define BACKSTREAM_X(enumerator, name, about) +1
inline constexpr size_t kInboxDropCount = BACKSTREAM_INBOX_DROPS(BACKSTREAM_X);
#undef BACKSTREAM_X
std::string_view name(InboxDrop drop);

/// What arrives at the merge half of one query: makes deliveries idempotent, puts the chunks of an attempt together,
/// and knows how far every edge is. Nothing relies on "each message once" or on order between edges. One thread.
class Inbox {
 public:
  /// @param edges                 the edges that must report before a frontier holds
  /// @param pending_octets_max    of chunks whose attempt is not complete
  explicit Inbox(const std::vector<uint32_t>& edges, size_t pending_octets_max = size_t{256} << 20);

  /// Called with each chunk of an attempt, in order, as soon as the attempt is complete and the first to be so.
  using Deliver = std::function<void(const ChunkId& id, std::span<const uint8_t> message)>;
  /// `bytes` is the message that `message` was read from. Presence and members are none of its business.
  void accept(const Message& message, std::span<const uint8_t> bytes, const Deliver& deliver);

  /// From now on these edges must report, but for the absent ones. What others have reported is remembered.
  void set_members(std::span<const Members::Member> edges);
  /// The least frontier over all edges that are waited for: all their panes that end at or before it are here. kMinTime
  /// until each has reported.
  Micros frontier() const;
  /// Over the absent ones, too.
  Micros whole_frontier() const;
  /// The edges whose panes up to `time` are not all here.
  std::vector<uint32_t> edges_behind(Micros time) const;
  /// What came to the edge in [from, until), if anything, is in no pane (Presence). The oldest of more than
  /// kEdgeGapsMax are forgotten.
  void mark_gap(uint32_t edge, Micros from, Micros until);
  /// No window that starts at or after it overlaps a gap.
  Micros gaps_until() const;
  /// Those that a window does not have whole: they are behind its end, or have a gap in it. By number.
  std::vector<uint32_t> edges_missing(Micros start, Micros end) const;
  /// What the edges have counted so far, of all their epochs.
  Frontier totals() const;
  /// Rows that the edges have told to be lost (Loss).
  uint64_t lost() const;
  /// Panes that begin before `pane_start` are final: forgets their identities; what still comes for them is stale.
  void forget_before(Micros pane_start);

  /// Octets of a saved state. Chunks that wait for others are not in it: who goes on from it reads the log again from
  /// before them.
  void save(std::vector<uint8_t>& out) const;
  /// Replaces all but the members. False: these are no such octets; then it is as it was.
  bool load(std::span<const uint8_t> saved);
  bool has_pending() const { return !pending_.empty(); }

  uint64_t drops(InboxDrop drop) const { return drops_[static_cast<size_t>(drop)]; }
  size_t pending_octets() const { return pending_octets_; }

 private:
  struct Pane {
    Micros start;
    Origin origin;
    uint32_t supplement;
    ChunkId::Kind kind;
    auto operator<=>(const Pane&) const = default;
  };
  /// Cuts and rows have no pane to be told apart by: those of one process of an edge are numbered.
  struct Stream {
    Origin origin;
    ChunkId::Kind kind;
    auto operator<=>(const Stream&) const = default;
  };
  struct Numbers {
    uint64_t below = 0;       ///< all before this one have come, or are given up
    std::set<uint32_t> come;  ///< from there on, at most kGapsMax
    bool contains(uint32_t number) const { return number < below || come.contains(number); }
    void add(uint32_t number);
  };
  struct Attempt {
    std::map<uint32_t, std::vector<uint8_t>> chunks;
    uint32_t chunk_count = 0;  ///< 0: the last one has not come
  };
  static constexpr size_t kEpochsMax = 8;
  void drop_attempts(std::map<Pane, std::map<uint32_t, Attempt>>::iterator at, InboxDrop why, uint32_t but_attempt);

  struct Edge {
    bool member = false, absent = false;
    Micros frontier = base::kMinTime;
    std::map<uint64_t, Frontier> epochs;  ///< the last report of each, at most kEpochsMax
    uint64_t epochs_before = 0;           ///< those below are summed up in `before`
    Frontier before;
    uint64_t lost = 0;
  };
  struct Gap {
    uint32_t edge = 0;
    Micros from = 0, until = 0;
    bool operator==(const Gap&) const = default;
  };
  static constexpr size_t kEdgeGapsMax = 1'000;
  Edge* edge_of(uint32_t number);
  void count(Edge& edge, const Frontier& frontier);
  std::map<uint32_t, Edge> edges_;  ///< at most kEdgesMax
  bool is_done(const Pane& pane) const;
  void set_done(const Pane& pane);
  static constexpr size_t kGapsMax = 65'536;
  std::set<Pane> done_;
  std::map<Stream, Numbers> numbers_;  ///< of the newest kEpochsMax epochs of an edge
  std::map<Pane, std::map<uint32_t, Attempt>> pending_;
  std::deque<Gap> edge_gaps_;  ///< in which windows that are not final may lie
  size_t pending_octets_ = 0;
  size_t pending_octets_max_;
  Micros final_before_ = base::kMinTime;
  std::array<uint64_t, kInboxDropCount> drops_{};
};

}  // namespace backstream::partial
