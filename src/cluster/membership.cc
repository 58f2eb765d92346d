#include "cluster/membership.h"

#include <algorithm>

namespace backstream::cluster {

void Membership::set_edges(const std::vector<uint32_t>& edges) {
  edges_ = edges;
  std::sort(edges_.begin(), edges_.end());
  std::erase_if(heard_,
                [&](const auto& heard) { return !std::binary_search(edges_.begin(), edges_.end(), heard.first); });
}

void Membership::heard(const partial::Presence& presence, Micros now) {
  const partial::Origin& origin = presence.origin;
  if (!std::binary_search(edges_.begin(), edges_.end(), origin.edge)) return;
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
  for (const uint32_t number : edges_) {
    const auto edge = heard_.find(number);
    const Micros heard_at = edge == heard_.end() ? started_at_ : std::max(edge->second.heard_at, started_at_);
    wanted.edges.push_back({number, now - heard_at >= absent_after_});
  }
  if (wanted.edges == in_force.edges) return std::nullopt;
  return wanted;
}

std::vector<Membership::Edge> Membership::edges() const {
  std::vector<Edge> edges;
  for (const uint32_t number : edges_) {
    const auto edge = heard_.find(number);
    edges.push_back(edge == heard_.end() ? Edge{number, 0, 0, 0} : edge->second);
  }
  return edges;
}

}  // namespace backstream::cluster
