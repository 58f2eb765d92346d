#include "partial/inbox.h"

#include <algorithm>

namespace backstream::partial {

std::string_view name(InboxDrop drop) {
  switch (drop) {
#define BACKSTREAM_X(enumerator, text, about) \
  case InboxDrop::enumerator: return text;
    BACKSTREAM_INBOX_DROPS(BACKSTREAM_X)
#undef BACKSTREAM_X
  }
  return "";
}

Inbox::Inbox(const std::vector<uint32_t>& edges, size_t pending_octets_max) : pending_octets_max_(pending_octets_max) {
  for (const uint32_t edge : edges) frontiers_[edge] = base::kMinTime;
}

void Inbox::drop_attempts(std::map<Pane, std::map<uint32_t, Attempt>>::iterator at, InboxDrop why,
                          uint32_t but_attempt) {
  for (const auto& [number, attempt] : at->second) {
    for (const auto& [chunk, bytes] : attempt.chunks) {
      pending_octets_ -= bytes.size();
      if (number != but_attempt) ++drops_[static_cast<size_t>(why)];
    }
  }
  pending_.erase(at);
}

void Inbox::accept(const Message& message, std::span<const uint8_t> bytes, const Deliver& deliver) {
  const auto drop = [&](InboxDrop why) { ++drops_[static_cast<size_t>(why)]; };
  if (!message.is_data) {
    // A frontier never moves back: an older one is a repeat.
    const auto edge = frontiers_.find(message.frontier.origin.edge);
    if (edge != frontiers_.end()) edge->second = std::max(edge->second, message.frontier.frontier);
    return;
  }
  const ChunkId& id = message.chunk;
  if (id.pane_start < final_before_) return drop(InboxDrop::kStale);
  const Pane pane{id.pane_start, id.origin, id.supplement, id.kind};
  if (done_.contains(pane)) return drop(InboxDrop::kDuplicate);
  if (id.chunk == 0 && id.last) {  // the usual case: nothing to put together
    deliver(id, bytes);
    done_.insert(pane);
    const auto at = pending_.find(pane);
    if (at != pending_.end()) drop_attempts(at, InboxDrop::kDuplicate, UINT32_MAX);
    return;
  }
  if (pending_octets_ + bytes.size() > pending_octets_max_) return drop(InboxDrop::kPendingLimit);
  const auto at = pending_.try_emplace(pane).first;
  Attempt& attempt = at->second[id.attempt];
  if (!attempt.chunks.try_emplace(id.chunk, bytes.begin(), bytes.end()).second) return drop(InboxDrop::kDuplicate);
  pending_octets_ += bytes.size();
  if (id.last) attempt.chunk_count = id.chunk + 1;
  if (attempt.chunk_count == 0 || attempt.chunks.size() != attempt.chunk_count) return;
  for (const auto& [number, chunk] : attempt.chunks) {
    ChunkId whole = id;
    whole.chunk = number;
    whole.last = number + 1 == attempt.chunk_count;
    deliver(whole, chunk);
  }
  done_.insert(pane);
  drop_attempts(at, InboxDrop::kDuplicate, id.attempt);
}

Micros Inbox::frontier() const {
  Micros least = base::kMaxTime;
  for (const auto& [edge, frontier] : frontiers_) least = std::min(least, frontier);
  return least;
}

void Inbox::forget_before(Micros pane_start) {
  final_before_ = std::max(final_before_, pane_start);
  done_.erase(done_.begin(), done_.lower_bound(Pane{pane_start, {}, 0, {}}));
  while (!pending_.empty() && pending_.begin()->first.start < pane_start) {
    drop_attempts(pending_.begin(), InboxDrop::kIncomplete, UINT32_MAX);
  }
}

}  // namespace backstream::partial
