#pragma once
#include <memory>
#include <vector>

#include "exec/stage.h"
#include "partial/traffic_count.h"
#include "plan/explain.h"

namespace backstream::exec {

/// What edges of their own would send of a query over a stream: beside the query run the very stages that they run, and
/// what those send is counted and thrown away. What can be grouped where it arrives is sent both ways, as panes and as
/// rows. For EXPLAIN (ANALYZE, DISTRIBUTED): it doubles the query's work, and more.
class TravelProbe {
 public:
  /// @param engine  with `ship` each of its edges is an edge; without, all of them are threads of one
  TravelProbe(const plan::Query& query, const EngineOptions& engine);
  /// As StageRunner's.
  void process(const batch::ColumnBatch& rows, const ProcessContext& context);
  void advance(Micros watermark);
  Micros next_cut(Micros watermark) const;
  void refresh_lookups();
  /// Of all that was sent until the last advance().
  std::vector<plan::EdgeTraffic> edges() const;

 private:
  struct Sender final : PartialsOut {
    void append(std::vector<uint8_t>&& message) override {
      count.add(message);
      if (!at_cut) count.end_batch();
    }
    partial::TrafficCount count;
    bool at_cut = false;  ///< what is sent then goes together; between cuts a producer does not wait for more
    std::unique_ptr<StageRunner> stage;
    Micros watermark = base::kMinTime;  ///< that the stage was advanced to
  };
  const bool edge_apart_;
  const plan::Travel travel_;
  std::vector<plan::Travel> ways_;
  std::vector<std::vector<std::unique_ptr<Sender>>> edges_;  ///< of each edge, by number in ways_
};

}  // namespace backstream::exec
