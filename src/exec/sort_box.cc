// bsort: of each group the slack + 1 tuples that came last and have not gone out; whenever there are so many the
// smallest goes. Never by time: a group that is silent keeps what it has.
#include <algorithm>
#include <bit>
#include <cmath>

#include "exec/box_groups.h"

namespace backstream::exec {
namespace {

using batch::Column;
using batch::ColumnBatch;

struct Waiting {
  bool is_null = false;
  uint64_t word = 0;    ///< sorts as the value does
  uint64_t number = 0;  ///< in the order in which they came
  std::string octets;   ///< of its values
};
/// std heaps have the greatest first.
struct ComesLater {
  bool operator()(const Waiting& a, const Waiting& b) const {
    if (a.is_null != b.is_null) return a.is_null;
    return a.word != b.word ? a.word > b.word : a.number > b.number;
  }
};

constexpr uint64_t kSign = uint64_t{1} << 63;
uint64_t word_of(const Column& column, size_t row) {
  if (batch::physical(column.type) == batch::Physical::kInt64)
    return static_cast<uint64_t>(column.as<int64_t>()[row]) ^ kSign;
  double value = column.as<double>()[row];
  if (std::isnan(value)) return UINT64_MAX;  // Above all, as in ORDER BY.
  if (value == 0) value = 0;
  const auto bits = std::bit_cast<uint64_t>(value);
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

class SortBox final : public BoxRunner {
 public:
  SortBox(const plan::Boxes::Box& box, const batch::Schema& input, BoxContext& context)
      : context_(context),
        order_on_(static_cast<size_t>(box.order_on)),
        slack_(box.slack),
        types_(input.types()),
        key_types_(types_of(input, box.group_by)),
        groups_(box.group_by, context.hash_mask),
        sorted_(types_, std::vector<bool>(types_.size(), true), context.batch_rows) {}

  void run(Micros) override {
    const Tuples& in = *in_[0];
    for (size_t first = 0; first < in.size(); first += context_.batch_rows) {
      const ColumnBatch batch = in.slice(first, std::min(context_.batch_rows, in.size() - first));
      for (size_t row = 0; row < batch.row_count; ++row) take(batch, row, in.moment(first + row));
    }
    flush();
  }

  void end() override {
    std::vector<Waiting> rest;
    for (auto& group : groups_.in_order()) std::move(group.heap.begin(), group.heap.end(), std::back_inserter(rest));
    std::sort(rest.begin(), rest.end(), [](const Waiting& a, const Waiting& b) { return ComesLater()(b, a); });
    for (const Waiting& tuple : rest) send(tuple, {kArrivalEnd, 0});
    context_.room.give(rest.size());
    octets_ = 0;
    while (groups_.size() > 0) groups_.erase(groups_.in_order().begin());
    flush();
  }

  uint64_t octets_held() const override { return octets_ + groups_.octets_held(); }
  uint64_t groups_held() const override { return groups_.size(); }

  void save(StateWriter& out) const override {
    out.number(number_);
    out.number(groups_.size());
    for (const auto& group : groups_.in_order()) {
      groups_.save_key(out, group);
      out.number(group.heap.size());
      for (const Waiting& tuple : group.heap) {
        out.flag(tuple.is_null);
        out.number(tuple.word);
        out.number(tuple.number);
        out.text(tuple.octets);
      }
    }
  }
  void load(StateReader& in) override {
    number_ = in.number();
    for (size_t left = in.count(2); left > 0; --left) {
      const auto group = groups_.load_key(in, key_types_);
      if (in.refused()) return;
      for (size_t tuples = in.count(4); tuples > 0; --tuples) {
        Waiting tuple;
        tuple.is_null = in.flag();
        tuple.word = in.number();
        tuple.number = in.number();
        tuple.octets = in.text();
        if (!in.check(is_tuple(tuple.octets) && context_.room.take())) return;
        octets_ += octets_of(tuple);
        group->heap.push_back(std::move(tuple));
      }
      std::make_heap(group->heap.begin(), group->heap.end(), ComesLater());
    }
  }

 private:
  struct Buffer {
    std::vector<Waiting> heap;
  };
  using Groups = BoxGroups<Buffer>;

  static uint64_t octets_of(const Waiting& tuple) { return sizeof tuple + tuple.octets.capacity(); }

  void take(const ColumnBatch& batch, size_t row, const Moment& moment) {
    auto [group, is_new] = groups_.find_or_make(batch, row);
    if (!context_.room.take()) {
      ++context_.ledger.box_tuples_refused;
      if (is_new) groups_.erase(group);
      return;
    }
    if (is_new && groups_.size() > context_.groups_max) forget(groups_.in_order().begin());
    Waiting tuple;
    const Column& order_on = batch.columns[order_on_];
    tuple.is_null = order_on.is_null(row);
    if (!tuple.is_null) tuple.word = word_of(order_on, row);
    tuple.number = number_++;
    scratch_.clear();
    for (const Column& column : batch.columns) partial::put_value(scratch_, column, row);
    tuple.octets.assign(scratch_.begin(), scratch_.end());
    octets_ += octets_of(tuple);
    std::vector<Waiting>& heap = group->heap;
    heap.push_back(std::move(tuple));
    std::push_heap(heap.begin(), heap.end(), ComesLater());
    if (heap.size() <= slack_) return;
    std::pop_heap(heap.begin(), heap.end(), ComesLater());
    send(heap.back(), moment);
    octets_ -= octets_of(heap.back());
    context_.room.give();
    heap.pop_back();
    if (heap.empty()) groups_.erase(group);
  }
  void forget(Groups::Place group) {
    for (const Waiting& tuple : group->heap) octets_ -= octets_of(tuple);
    context_.room.give(group->heap.size());
    context_.ledger.box_tuples_refused += group->heap.size();
    groups_.erase(group);
  }

  /// Of a saved state: whether they are values of the types.
  bool is_tuple(std::string_view octets) {
    StateReader values({reinterpret_cast<const uint8_t*>(octets.data()), octets.size()});
    batch::BatchBuffer row(types_, std::vector<bool>(types_.size(), true), 1);
    for (Column& column : row.batch.columns) {
      column.has_nulls = true;
      values.value(column, 0, row.texts);
    }
    return values.is_done();
  }

  void send(const Waiting& tuple, const Moment& moment) {
    if (moments_.size() == context_.batch_rows) flush();
    partial::Cursor cursor({reinterpret_cast<const uint8_t*>(tuple.octets.data()), tuple.octets.size()});
    for (Column& column : sorted_.batch.columns) {
      column.has_nulls = true;
      partial::get_value(cursor, column, moments_.size(), sorted_.texts);
    }
    moments_.push_back(moment);
  }
  void flush() {
    sorted_.batch.row_count = moments_.size();
    out_[0]->append(sorted_.batch, context_.all_rows.data(), moments_.size(), moments_.data());
    moments_.clear();
    sorted_.reset();
  }

  BoxContext& context_;
  const size_t order_on_;
  const uint64_t slack_;
  const std::vector<batch::Type> types_, key_types_;
  Groups groups_;
  uint64_t number_ = 0;  ///< of the next tuple
  uint64_t octets_ = 0;  ///< of tuples that wait
  // What goes out.
  batch::BatchBuffer sorted_;
  std::vector<Moment> moments_;
  std::vector<uint8_t> scratch_;
};

}  // namespace

std::unique_ptr<BoxRunner> make_sort_box(const plan::Boxes::Box& box, const batch::Schema& input, BoxContext& context) {
  return std::make_unique<SortBox>(box, input, context);
}

}  // namespace backstream::exec
