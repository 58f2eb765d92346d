#pragma once
// Analytic functions across windows, or along a stream, that need of a partition's earlier rows only a few values: lag,
// counter_delta, ewma, aggregates that run from the partition's begin. A partition is a state of fixed size; no row of
// it is kept.
#include <memory>
#include <vector>

#include "exec/engine.h"
#include "exec/keyed_states.h"
#include "exec/result_columns.h"
#include "exec/row_order.h"
#include "plan/query.h"

namespace backstream::exec {

/// Computes the calls of one stage whose rows come window by window, or second by second of a stream. One thread.
class CarriedFunctions {
 public:
  /// Whether all calls of the stage are of this kind.
  static bool can_compute(const plan::Stage& stage);
  /// @param partitions_max  rows of more are refused
  CarriedFunctions(const plan::Stage& stage, size_t partitions_max, uint64_t hash_mask);

  /// Takes the rows of the next window, or second, through their partitions.
  /// @param at    start of the window, which is the time of its rows; rows of a stream have their own
  /// @param idle  a partition begins anew when its last row is older than this
  /// @return  rows that are refused
  size_t compute(const RowStore& rows, Micros at, Micros idle);
  /// Of the last compute(): results, one column a call, by row; valid until the next one.
  const std::vector<batch::Column>& results() const { return results_.columns(); }
  /// Of the last compute(), when rows were refused: numbers of the others.
  const std::vector<uint32_t>& kept() const { return kept_; }

  /// Forgets partitions of which no row may come any more before they begin anew.
  /// @param before  no row of an earlier window is waited for; kMaxTime: forgets all
  void forget_idle(Micros before);
  void save(StateWriter& out);
  void load(StateReader& in);
  size_t octets_held() const { return partitions_.octets_held() + context_->arena.octets_held(); }
  /// Over all that was computed.
  agg::NullResults null_results() const {
    agg::NullResults all = nulls_gone_;
    return all += *context_;
  }

 private:
  struct Call {
    const plan::AnalyticCall* call;
    uint32_t state_at;
    uint32_t state_octets;
  };
  /// Rows in the order in which they go through their partitions; null: as they are in the store.
  struct Sequence {
    const uint32_t* rows;
    size_t first, count;
  };
  static std::vector<Call> calls_of(const plan::Stage& stage);
  void begin_partition(uint8_t* state) const;
  void find_partitions(const RowStore& rows);
  bool enter_partition(uint8_t* state, Micros at, Micros forget_after);
  void sort(const RowStore& rows);
  void counter_delta(const Call& call, const RowStore& store, const Sequence& rows, batch::Column& out);
  template <typename Value>
  void lag(const Call& call, const batch::Column& values, const Sequence& rows, batch::Column& out);
  void lag_any(const Call& call, const batch::Column& values, const Sequence& rows, batch::Column& out);
  void ewma(const Call& call, const RowStore& store, const Sequence& rows, batch::Column& out);
  void run_in_store(const Call& call, const RowStore& store, batch::Column& out);
  void run_in_order(const Call& call, const RowStore& store, batch::Column& out);
  void save_call(StateWriter& out, const Call& call, uint8_t* state) const;
  void load_call(StateReader& in, const Call& call, uint8_t* state, base::Arena& texts);
  void forget_context();
  void compact();

  const plan::Analytic& plan_;
  const bool by_window_;
  const size_t partitions_max_;
  const std::vector<Call> calls_;
  std::vector<batch::Type> result_types_, partition_types_;
  std::vector<SortColumn> sort_columns_;  ///< partition, order, then ties by all columns
  KeyedStates partitions_;
  std::unique_ptr<agg::StateContext> context_;  ///< of running aggregates
  agg::NullResults nulls_gone_;
  size_t compact_at_;
  uint64_t window_number_ = 0;
  ResultColumns results_;
  // Scratch of one window.
  std::vector<uint8_t*> states_;  ///< by row; null: refused
  std::vector<uint32_t> kept_, order_, filtered_;
  std::vector<uint8_t*> filtered_states_;
  std::vector<uint8_t> begins_peers_;  ///< by place in the order
};

}  // namespace backstream::exec
