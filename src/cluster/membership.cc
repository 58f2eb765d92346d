#include "cluster/membership.h"

#include <algorithm>

namespace backstream::cluster {

void Membership::set_edges(std::vector<Expected> edges) {
  edges_ = std::move(edges);
  std::sort(edges_.begin(), edges_.end(), [](const Expected& a, const Expected& b) { return a.number < b.number; });
  std::erase_if(heard_, [&](const auto& heard) { return !is_expected(heard.first); });
}

bool Membership::is_expected(uint32_t number) const {
  const auto at = std::lower_bound(edges_.begin(), edges_.end(), number,
                                   [](const Expected& edge, uint32_t wanted) { return edge.number < wanted; });
  return at != edges_.end() && at->number == number;
}

void Membership::heard(const partial::Presence& presence, Micros now) {
  const partial::Origin& origin = presence.origin;
  if (!is_expected(origin.edge)) return;
  Edge& edge = heard_[origin.edge];
  // A process that was superseded may still speak; and the log may give again what was heard already.
  if (origin.epoch < edge.epoch || (origin.epoch == edge.epoch && presence.sent_at <= edge.sent_at)) return;
  edge.number = origin.edge;
  edge.epoch = origin.epoch;
  edge.sent_at = presence.sent_at;
  if (now - presence.sent_at < absent_after_) edge.heard_at = now;
}

std::optional<partial::Members> Membership::decide(const partial::Members& in_force, Micros now) const {
  partial::Members wanted;
  wanted.decided_at = now;
  for (const Expected& expected : edges_) {
    const auto edge = heard_.find(expected.number);
    const Micros heard_at = edge == heard_.end() ? listening_since_ : std::max(edge->second.heard_at, listening_since_);
    const bool absent = now - heard_at >= absent_after_;
    if (!absent || !expected.drained) wanted.edges.push_back({expected.number, absent});
  }
  if (wanted.edges == in_force.edges) return std::nullopt;
  return wanted;
}

std::vector<Membership::Edge> Membership::edges() const {
  std::vector<Edge> edges;
  for (const Expected& expected : edges_) {
    const auto edge = heard_.find(expected.number);
    edges.push_back(edge == heard_.end() ? Edge{expected.number, 0, 0, 0} : edge->second);
  }
  return edges;
}

}  // namespace backstream::cluster
