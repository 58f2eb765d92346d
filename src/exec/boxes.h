#pragma once
// Boxes at work, as exec/box_stage.cc drives them: each takes all that its inputs hold, then the next one does. How
// tuples are cut into such turns does not show in what comes out.
#include <memory>
#include <string>
#include <vector>

#include "exec/engine.h"
#include "exec/state_bytes.h"
#include "exec/tail.h"
#include "plan/boxes.h"

namespace backstream::exec {

/// Times of rows are within; the end of a finite input is later, and later than any time-out of theirs.
inline constexpr Micros kArrivalMax = Micros{1} << 60, kArrivalEnd = kSavedTimeMax;

/// When a tuple takes its turn. What a row leads to has the row's; what a time-out sends has number 0.
struct Moment {
  Micros arrival = 0;
  uint64_t number = 0;
  auto operator<=>(const Moment&) const = default;
};

/// Tuples of a stream, by their moments, of one turn.
class Tuples {
 public:
  /// @param refused  counts tuples beyond `count_max`: a box may make any number of one
  Tuples(const batch::Schema& schema, size_t count_max, uint64_t& refused)
      : types_(schema.types()), count_max_(count_max), refused_(&refused), rows_(types_, kTextOctets) {}
  /// Whether nobody reads them: then they are not kept.
  void ignore(bool ignored) { ignored_ = ignored; }
  /// Rows numbers[0 .. n) of a batch, each with its moment in the same order as the batch's rows.
  void append(const batch::ColumnBatch& batch, const uint32_t* numbers, size_t n, const Moment* moments) {
    if (!ignored_) n = fitting(n);
    if (ignored_ || n == 0) return;
    rows_.append(batch, numbers, n);
    for (size_t i = 0; i < n; ++i) moments_.push_back(moments[numbers[i]]);
  }
  void append(const batch::ColumnBatch& batch, uint32_t row, const Moment& moment) {
    if (ignored_ || fitting(1) == 0) return;
    rows_.append(batch, &row, 1);
    moments_.push_back(moment);
  }
  size_t size() const { return moments_.size(); }
  const Moment& moment(size_t row) const { return moments_[row]; }
  const Moment* moments(size_t first) const { return moments_.data() + first; }
  /// Some of them as a batch, valid until the tuples change.
  batch::ColumnBatch slice(size_t first, size_t n) const {
    batch::ColumnBatch batch;
    batch.row_count = n;
    for (size_t c = 0; c < rows_.column_count(); ++c) batch.columns.push_back(rows_.slice(c, first));
    return batch;
  }
  void clear() {
    if (rows_.octets_held() > kKeptOctets) {  // A turn that had many is rare.
      rows_ = RowStore(types_, kTextOctets);
      moments_ = {};
    }
    rows_.clear();
    moments_.clear();
  }

 private:
  static constexpr size_t kTextOctets = 4096, kKeptOctets = size_t{16} << 20;
  size_t fitting(size_t n) {
    const size_t fits = std::min(n, count_max_ - moments_.size());
    *refused_ += n - fits;
    return fits;
  }

  std::vector<batch::Type> types_;
  size_t count_max_;
  uint64_t* refused_;
  RowStore rows_;
  std::vector<Moment> moments_;
  bool ignored_ = false;
};

/// How many tuples and windows a stage holds, of how many that it may.
class Room {
 public:
  explicit Room(size_t max) : max_(max) {}
  bool take(size_t n = 1) {
    if (n > max_ - held_) return false;
    held_ += n;
    return true;
  }
  void give(size_t n = 1) { held_ -= n; }

 private:
  const size_t max_;
  size_t held_ = 0;
};

/// What all boxes of a stage have in common. Outlives them.
struct BoxContext {
  const plan::QueryOptions& options;
  size_t batch_rows, groups_max;
  uint64_t hash_mask;
  Room& room;
  WindowLedger& ledger;
  std::vector<uint32_t> all_rows;  ///< 0, 1, …, batch_rows - 1
};

/// Rows of a batch for which an expression could not be computed, by the query's on_error: it has no value ('null'), or
/// its tuple is left out and counted ('drop'), or the query fails.
class ErrorRows {
 public:
  explicit ErrorRows(const BoxContext& context) : context_(context), rows_(context.batch_rows) {}
  /// For Evaluator::evaluate().
  uint8_t* begin() {
    before_ = context_.ledger.value_errors.total();
    return context_.options.on_error == plan::QueryOptions::OnError::kNull ? nullptr : rows_.data();
  }
  /// Since begin(): whether any row has to be left out. Throws QueryFailed.
  bool any() const {
    if (context_.ledger.value_errors.total() == before_) return false;
    if (context_.options.on_error == plan::QueryOptions::OnError::kFail)
      throw QueryFailed(context_.ledger.value_errors);
    return context_.options.on_error == plan::QueryOptions::OnError::kDrop;
  }
  bool has(size_t row) const { return rows_[row] != 0; }
  void clear() { std::fill(rows_.begin(), rows_.end(), uint8_t{0}); }
  /// Takes out of numbers[0 .. n) those that any() told of.
  size_t drop(uint32_t* numbers, size_t n);

 private:
  const BoxContext& context_;
  std::vector<uint8_t> rows_;
  uint64_t before_ = 0;
};

/// One box. One thread.
class BoxRunner {
 public:
  virtual ~BoxRunner() = default;
  /// Takes what its inputs hold, which is all of an arrival up to `until`, and whatever is due by then.
  virtual void run(Micros until) = 0;
  /// After the last run(): sends what comes at the end of a finite input.
  virtual void end() {}
  virtual void save(StateWriter&) const {}
  virtual void load(StateReader&) {}
  virtual uint64_t octets_held() const { return 0; }
  virtual uint64_t groups_held() const { return 0; }
  /// Adds what the ledger does not tell by itself.
  virtual void add_to(WindowLedger&) const {}

  void set_streams(std::vector<const Tuples*> inputs, std::vector<Tuples*> outputs) {
    in_ = std::move(inputs);
    out_ = std::move(outputs);
  }

 protected:
  std::vector<const Tuples*> in_;
  std::vector<Tuples*> out_;
};

/// Visits the tuples of several inputs by their moments, those of one moment by port: visit(port, row).
template <typename Visit>
void for_each_merged(const std::vector<const Tuples*>& inputs, Visit&& visit) {
  std::vector<size_t> next(inputs.size());
  while (true) {
    size_t least = inputs.size();
    for (size_t port = 0; port < inputs.size(); ++port) {
      if (next[port] == inputs[port]->size()) continue;
      if (least == inputs.size() || inputs[port]->moment(next[port]) < inputs[least]->moment(next[least])) least = port;
    }
    if (least == inputs.size()) return;
    visit(least, next[least]++);
  }
}

std::unique_ptr<BoxRunner> make_filter_box(const plan::Boxes::Box& box, BoxContext& context);
std::unique_ptr<BoxRunner> make_map_box(const plan::Boxes::Box& box, BoxContext& context);
std::unique_ptr<BoxRunner> make_union_box(BoxContext& context);
/// @param input  of its (first) input
std::unique_ptr<BoxRunner> make_sort_box(const plan::Boxes::Box& box, const batch::Schema& input, BoxContext& context);
std::unique_ptr<BoxRunner> make_aggregate_box(const plan::Boxes::Box& box, const batch::Schema& input,
                                              BoxContext& context);
std::unique_ptr<BoxRunner> make_join_box(const plan::Boxes::Box& box, const batch::Schema& left,
                                         const batch::Schema& right, BoxContext& context);
std::unique_ptr<BoxRunner> make_wait_box(const plan::Boxes::Box& box, const batch::Schema& buffered,
                                         const batch::Schema& enabler, BoxContext& context);

}  // namespace backstream::exec
