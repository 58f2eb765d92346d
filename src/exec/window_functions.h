#pragma once
// Analytic functions over the rows of one window whose results depend on a row's place in its partition, or on the
// whole partition: ranks, and aggregates without a moving frame. They keep no rows of partitions apart, and rows stay
// where they are.
#include <memory>
#include <vector>

#include "exec/engine.h"
#include "exec/keyed_states.h"
#include "exec/result_columns.h"
#include "exec/row_order.h"
#include "plan/query.h"

namespace backstream::exec {

/// Computes the calls of one stage, a window at a time. One thread.
class WindowFunctions {
 public:
  /// Whether all calls of the stage are of this kind.
  static bool can_compute(const plan::Stage& stage);
  WindowFunctions(const plan::Stage& stage, uint64_t hash_mask);

  /// Results of all rows of a window (at least one), one column a call, by row; valid until the next call.
  const std::vector<batch::Column>& compute(const RowStore& rows);
  size_t octets_held() const { return partitions_.octets_held(); }
  /// Over all that was computed.
  const agg::NullResults& null_results() const { return nulls_; }
  /// Nothing else goes on from window to window.
  void set_null_results(const agg::NullResults& nulls) { nulls_ = nulls; }

 private:
  struct Call {
    const plan::AnalyticCall* call;
    uint32_t state_at = 0;  ///< of an aggregate
  };
  void assign_partitions(const RowStore& rows, agg::StateContext& context);
  void update(const RowStore& rows, size_t first, size_t n, agg::StateContext& context);
  void finish(const Call& call, batch::Column& out, agg::StateContext& context);
  void sort(const RowStore& rows);
  void rank(const Call& call, batch::Column& out) const;

  const plan::Analytic& plan_;
  std::vector<Call> calls_;
  std::vector<batch::Type> result_types_;
  std::vector<SortColumn> order_by_, ties_;
  bool ranks_ = false;  ///< some call depends on the order
  bool tells_peers_apart_ = false;
  KeyedStates partitions_;  ///< state: number of the partition, from 1, then those of aggregates
  agg::NullResults nulls_;
  ResultColumns results_;
  std::unique_ptr<agg::StateContext> context_;  ///< of the last window: texts of its results lie there
  // Scratch of one window.
  std::vector<uint8_t*> states_;        ///< by row
  std::vector<uint32_t> partition_of_;  ///< by row
  std::vector<uint8_t*> by_partition_;  ///< their states
  std::vector<uint32_t> sizes_;         ///< rows, by partition
  std::vector<uint32_t> order_, filtered_;
  std::vector<uint8_t*> filtered_states_;
  std::vector<uint8_t> begins_peers_;  ///< by place in the order
  std::vector<RowRange> ranges_;
};

}  // namespace backstream::exec
