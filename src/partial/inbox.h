#pragma once
#include <array>
#include <cstdint>
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
  Inbox(const std::vector<uint32_t>& edges, size_t pending_octets_max = size_t{256} << 20);

  /// Called with each chunk of an attempt, in order, as soon as the attempt is complete and the first to be so.
  using Deliver = std::function<void(const ChunkId& id, std::span<const uint8_t> message)>;
  /// `bytes` is the message that `message` was read from.
  void accept(const Message& message, std::span<const uint8_t> bytes, const Deliver& deliver);

  /// The least frontier over all edges: all panes that end at or before it are here. kMinTime until each has reported.
  Micros frontier() const;
  /// Panes that begin before `pane_start` are final: forgets their identities; what still comes for them is stale.
  void forget_before(Micros pane_start);

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
  struct Attempt {
    std::map<uint32_t, std::vector<uint8_t>> chunks;
    uint32_t chunk_count = 0;  ///< 0: the last one has not come
  };
  void drop_attempts(std::map<Pane, std::map<uint32_t, Attempt>>::iterator at, InboxDrop why, uint32_t but_attempt);

  std::map<uint32_t, Micros> frontiers_;
  std::set<Pane> done_;
  std::map<Pane, std::map<uint32_t, Attempt>> pending_;
  size_t pending_octets_ = 0;
  size_t pending_octets_max_;
  Micros final_before_ = base::kMinTime;
  std::array<uint64_t, kInboxDropCount> drops_{};
};

}  // namespace backstream::partial
