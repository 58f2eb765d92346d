#include "exec/travel_probe.h"

#include <algorithm>

namespace backstream::exec {

using plan::Travel;

TravelProbe::TravelProbe(const plan::Query& query, const EngineOptions& engine)
    : edge_apart_(engine.ship), travel_(plan::travel_of(query)), ways_{travel_} {
  if (plan::groups_at_edge(query)) {
    for (const Travel other : {Travel::kPanes, Travel::kRows}) {
      if (other != travel_) ways_.push_back(other);
    }
  }
  EngineOptions options = engine;
  options.half = Half::kEdge;
  options.pane_us_max = kShippedPaneMax;
  options.pools = nullptr;
  if (edge_apart_) options.edges = 1;
  edges_.resize(edge_apart_ ? engine.edges : 1);
  for (size_t e = 0; e < edges_.size(); ++e) {
    options.edge = static_cast<uint32_t>(e);
    for (const Travel way : ways_) {
      Sender& sender = *edges_[e].emplace_back(std::make_unique<Sender>());
      options.partials_out = &sender;
      sender.stage = make_edge_stage(query, way, 1, options);
    }
  }
}

void TravelProbe::process(const batch::ColumnBatch& rows, const ProcessContext& context) {
  ProcessContext own = context;
  own.common = nullptr;  // Numbers of expressions are those of the query's own stage.
  if (edge_apart_) own.edge = 0;
  for (const auto& sender : edges_[edge_apart_ ? context.edge : 0]) sender->stage->process(rows, own);
}

void TravelProbe::advance(Micros watermark) {
  for (const auto& edge : edges_) {
    for (const auto& sender : edge) {
      // As an engine of its own would: what a stage has no use for costs no message.
      if (sender->stage->next_cut(sender->watermark) > watermark) continue;
      sender->at_cut = true;
      sender->stage->advance(watermark);
      sender->at_cut = false;
      sender->watermark = watermark;
      sender->count.end_batch();
    }
  }
}

Micros TravelProbe::next_cut(Micros watermark) const {
  Micros cut = base::kMaxTime;
  for (const auto& sender : edges_.front()) {
    const Micros own = sender->stage->next_cut(sender->watermark);
    if (own > watermark) cut = std::min(cut, own);
  }
  return cut;
}

void TravelProbe::refresh_lookups() {
  for (const auto& edge : edges_) {
    for (const auto& sender : edge) sender->stage->refresh_lookups();
  }
}

std::vector<plan::EdgeTraffic> TravelProbe::edges() const {
  std::vector<plan::EdgeTraffic> all;
  for (const auto& edge : edges_) {
    plan::EdgeTraffic& traffic = all.emplace_back();
    for (size_t w = 0; w < ways_.size(); ++w) {
      const partial::TrafficCount::Counts& counts = edge[w]->count.counts();
      const plan::EdgeTraffic::Sent sent{counts.messages, counts.octets, counts.compressed_octets, counts.groups,
                                         counts.rows};
      if (w == 0) traffic.sent = sent;
      if (ways_.size() == 1) continue;
      if (ways_[w] == Travel::kPanes) traffic.as_panes = sent;
      if (ways_[w] == Travel::kRows) traffic.as_rows = sent;
    }
  }
  return all;
}

}  // namespace backstream::exec
