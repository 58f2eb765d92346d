#pragma once
// What analytic functions know of one partition, and how each is computed.
#include <memory>
#include <vector>

#include "agg/aggregate.h"
#include "exec/tail.h"
#include "plan/query.h"

namespace backstream::exec {

/// counter_delta() of two readings, one after the other; false: none.
/// @param bits  of the counter, 32 or 64; 0: it does not wrap, and the difference may be negative
bool counter_difference(int64_t before, int64_t now, int64_t bits, int64_t& difference);

/// The rows of one partition that its functions may still read, in order, and what they carry from row to row. Rows
/// are numbered from 0 over the life of the partition.
struct AnalyticPartition {
  struct Order {
    Micros time;   ///< across windows: the time that ORDER BY begins with
    Micros at;     ///< what frontiers speak of: the start of the row's window, or its second
    int64_t peer;  ///< number of its group of equal rows, from 1
    int64_t rank;  ///< number of the first row of that group, from 1
  };
  struct Carried {
    int64_t added = 0;   ///< running aggregate: rows in the state
    expr::Value value;   ///< first_value, nth_value: kept when its row is dropped
    double average = 0;  ///< ewma
    Micros time = 0;     ///< of `average`
    bool any = false;
  };
  explicit AnalyticPartition(RowStore argument_rows, RowStore waiting_rows)
      : arguments(std::move(argument_rows)), waiting(std::move(waiting_rows)) {}

  RowStore arguments;        ///< columns that functions read; rows `first` ..
  std::vector<Order> order;  ///< of the same rows
  int64_t first = 0;         ///< number of the first row kept
  int64_t total = 0;         ///< rows so far
  int64_t next_out = 0;      ///< number of the first row whose results are not out yet
  std::vector<uint64_t> states;
  std::vector<Carried> carried;  ///< one a call
  RowStore waiting;              ///< rows next_out .., when results have to wait
  Micros forget_after = base::kMaxTime;

  size_t octets_held() const {
    return sizeof *this + arguments.octets_held() + waiting.octets_held() + order.capacity() * sizeof(Order) +
           states.capacity() * 8 + carried.capacity() * sizeof(Carried);
  }
  size_t rows_held() const { return order.size() + waiting.row_count(); }
};

/// Computes the calls of one analytic stage. One thread.
class AnalyticFunctions {
 public:
  explicit AnalyticFunctions(const plan::Stage& stage);

  std::unique_ptr<AnalyticPartition> make_partition() const;
  /// As new, but with its memory.
  void reset(AnalyticPartition& partition) const;

  /// Adds rows in their order.
  /// @param rows        all columns of the stage's input
  /// @param begins_peers  1: the row differs from the one before in ORDER BY; the first row always does
  void append(AnalyticPartition& partition, const batch::ColumnBatch& rows, const uint8_t* begins_peers, Micros at);
  /// Results of the next n rows: one column a call, has_nulls, valid until the next call that changes the partition or
  /// computes. Frames end with the rows that are there. Advances next_out.
  const std::vector<batch::Column>& compute(AnalyticPartition& partition, size_t n);
  /// Drops rows that no function will read again.
  void trim(AnalyticPartition& partition) const;

  /// Memory of running aggregates of all partitions; 0 octets for those that need none.
  size_t context_octets() const { return running_context_->arena.octets_held(); }
  /// All partitions are gone.
  void forget_context();
  /// Copies the running states of the partitions to new memory; what partitions that are gone left behind is freed.
  template <typename Partitions>
  void compact(Partitions&& for_each_partition) {
    auto fresh = std::make_unique<agg::StateContext>();
    for_each_partition([&](AnalyticPartition& partition) { move_states(partition, *fresh); });
    static_cast<agg::NullResults&>(*fresh) = *running_context_;
    running_context_ = std::move(fresh);
  }
  /// Over all that was computed.
  agg::NullResults null_results() const {
    agg::NullResults all = nulls_gone_;
    all += *running_context_;
    return all += *scratch_;
  }

  void save(StateWriter& out, const AnalyticPartition& partition) const;
  /// Into a new partition. When the reader has refused it must not be used.
  void load(StateReader& in, AnalyticPartition& partition);
  void save_null_results(StateWriter& out) const;
  void load_null_results(StateReader& in);

 private:
  struct Call {
    const plan::AnalyticCall* call;
    std::vector<size_t> args;  ///< columns of AnalyticPartition::arguments
    size_t filter = SIZE_MAX;
    size_t state_at = 0;  ///< words
    bool runs = false;    ///< an aggregate whose frame begins with the partition: one state that only grows
  };
  struct Span {
    int64_t begin, end;  ///< [begin, end), within the partition
  };
  Span frame(const AnalyticPartition& p, const plan::Frame& frame, int64_t row) const;
  void aggregate(AnalyticPartition& p, size_t index, size_t n, batch::Column& out);
  void add_rows(const AnalyticPartition& p, const Call& call, Span rows, uint8_t* state, agg::StateContext& context);
  void pick_rows(const AnalyticPartition& p, size_t index, size_t n, batch::Column& out);
  void rank_rows(const AnalyticPartition& p, const Call& call, size_t n, batch::Column& out) const;
  void ewma(AnalyticPartition& p, size_t index, size_t n, batch::Column& out) const;
  void counter_delta(const AnalyticPartition& p, const Call& call, size_t n, batch::Column& out) const;
  void move_states(AnalyticPartition& p, agg::StateContext& to);
  void init_states(AnalyticPartition& p) const;
  int64_t first_needed(const AnalyticPartition& p) const;
  bool is_consistent(const AnalyticPartition& p) const;

  const plan::Analytic& plan_;
  std::vector<int> argument_columns_;  ///< of the input
  std::vector<batch::Type> argument_types_, input_types_;
  std::vector<Call> calls_;
  size_t state_words_ = 0;
  std::unique_ptr<agg::StateContext> running_context_, scratch_;
  agg::NullResults nulls_gone_;
  // Scratch of one run of rows.
  batch::BatchBuffer results_;
  batch::ColumnBatch arguments_;
  std::vector<int64_t> picks_;
  std::vector<uint32_t> filtered_;
  std::vector<uint64_t> scratch_state_;
};

}  // namespace backstream::exec
