// Boxes that keep tuples of a stream until those of another meet them: join and waitfor.
#include <algorithm>
#include <cmath>

#include "exec/boxes.h"
#include "exec/gather.h"

namespace backstream::exec {
namespace {

using batch::Column;
using batch::ColumnBatch;
using batch::Physical;

/// Tuples that are kept in the order in which they came. Those that are gone leave their place when they are many.
class TupleBuffer {
 public:
  explicit TupleBuffer(const batch::Schema& schema) : types_(schema.types()), rows_(types_, kTextOctets) {}

  /// How many there are, and where the first of them stands.
  size_t size() const { return live_; }
  size_t first() const { return first_; }
  size_t end() const { return arrivals_.size(); }
  bool is_there(size_t place) const { return there_[place] != 0; }
  const uint8_t* there(size_t place) const { return there_.data() + place; }
  Micros arrival(size_t place) const { return arrivals_[place]; }
  Column slice(size_t column, size_t place) const { return rows_.slice(column, place); }
  const std::vector<batch::Type>& types() const { return types_; }

  void add(const ColumnBatch& batch, uint32_t row, Micros arrival) {
    rows_.append(batch, &row, 1);
    arrivals_.push_back(arrival);
    there_.push_back(1);
    ++live_;
  }
  void drop(size_t place) {
    there_[place] = 0;
    --live_;
    while (first_ < end() && !is_there(first_)) ++first_;
  }
  bool wants_room() const { return end() - live_ > live_ + kGoneMin; }
  /// Moves the others together: their places and texts are others then.
  void make_room() {
    RowStore kept(types_, kTextOctets);
    std::vector<Micros> arrivals;
    ColumnBatch all;
    all.row_count = end();
    for (size_t c = 0; c < types_.size(); ++c) all.columns.push_back(rows_.slice(c, 0));
    std::vector<uint32_t> places;
    for (size_t place = first_; place < end(); ++place) {
      if (!is_there(place)) continue;
      places.push_back(static_cast<uint32_t>(place));
      arrivals.push_back(arrivals_[place]);
    }
    kept.append(all, places.data(), places.size());
    rows_ = std::move(kept);
    arrivals_ = std::move(arrivals);
    there_.assign(live_, 1);
    first_ = 0;
  }

  uint64_t octets_held() const { return rows_.octets_held() + arrivals_.capacity() * (sizeof(Micros) + 1); }
  void save(StateWriter& out) const {
    TupleBuffer copy(types_);
    ColumnBatch all;
    all.row_count = end();
    for (size_t c = 0; c < types_.size(); ++c) all.columns.push_back(rows_.slice(c, 0));
    for (size_t place = first_; place < end(); ++place) {
      if (is_there(place)) copy.add(all, static_cast<uint32_t>(place), arrivals_[place]);
    }
    exec::save(out, copy.rows_);
    for (const Micros arrival : copy.arrivals_) out.time(arrival);
  }
  void load(StateReader& in, Room& room) {
    exec::load(in, types_, rows_);
    live_ = rows_.row_count();
    for (size_t row = 0; row < live_ && !in.refused(); ++row) {
      arrivals_.push_back(in.bounded_time());
      in.check(row == 0 || arrivals_[row - 1] <= arrivals_[row]);
    }
    there_.assign(live_, 1);
    in.check(room.take(live_));
  }

 private:
  static constexpr size_t kTextOctets = 4096, kGoneMin = 1024;
  explicit TupleBuffer(const std::vector<batch::Type>& types) : types_(types), rows_(types_, kTextOctets) {}

  const std::vector<batch::Type> types_;
  RowStore rows_;
  std::vector<Micros> arrivals_;
  std::vector<uint8_t> there_;
  size_t first_ = 0, live_ = 0;
};

/// Tests one tuple of a side with those in the buffer of the other.
class Matcher {
 public:
  Matcher(const expr::Expr& predicate, const batch::Schema& left, const batch::Schema& right, BoxContext& context)
      : context_(context),
        predicate_(expr::clone(predicate), context.batch_rows),
        errors_(context),
        matches_(context.batch_rows),
        repeated_(context.batch_rows),
        left_columns_(left.columns.size()) {
    std::vector<batch::Type> types = left.types();
    for (const batch::Type type : right.types()) types.push_back(type);
    std::vector<bool> used(types.size());
    expr::walk(predicate, [&](const expr::Expr& part) {
      if (part.kind == expr::ExprKind::kColumn) used[static_cast<size_t>(part.column)] = true;
    });
    used_ = used;
    pairs_ = batch::BatchBuffer(types, used, context.batch_rows);
  }

  /// Calls visit(places in the buffer, how many), in their order, for those that meet the predicate with a tuple.
  template <typename Visit>
  void for_each_match(const ColumnBatch& batch, uint32_t row, bool of_left, const TupleBuffer& buffer, Visit&& visit) {
    size_t filled = 0;  // Rows that hold the tuple's values.
    pairs_.reset();
    const size_t own_first = of_left ? 0 : left_columns_, other_first = of_left ? left_columns_ : 0;
    for (size_t first = buffer.first(); first < buffer.end(); first += context_.batch_rows) {
      const size_t n = std::min(context_.batch_rows, buffer.end() - first);
      if (filled < n) {
        std::fill_n(repeated_.begin(), n, row);
        for (size_t c = 0; c < batch.columns.size(); ++c) {
          if (used_[own_first + c])
            gather_column(batch.columns[c], repeated_.data(), n, pairs_.batch.columns[own_first + c]);
        }
        filled = n;
      }
      for (size_t c = 0; c < buffer.types().size(); ++c) {
        if (used_[other_first + c]) pairs_.batch.columns[other_first + c] = buffer.slice(c, first);
      }
      pairs_.batch.row_count = n;
      const Column met =
          predicate_.evaluate(pairs_.batch, buffer.there(first), context_.ledger.value_errors, errors_.begin());
      size_t count = 0;
      const auto* values = met.as<uint8_t>();
      for (size_t i = 0; i < n; ++i) {
        if (values[i] != 0 && !met.is_null(i) && buffer.is_there(first + i))
          matches_[count++] = static_cast<uint32_t>(i);
      }
      if (errors_.any()) errors_.clear();  // They are null, and no match.
      for (size_t i = 0; i < count; ++i) matches_[i] += static_cast<uint32_t>(first);
      if (count > 0) visit(matches_.data(), count);
    }
  }

 private:
  BoxContext& context_;
  expr::Evaluator predicate_;
  ErrorRows errors_;
  std::vector<uint32_t> matches_, repeated_;
  const size_t left_columns_;
  std::vector<bool> used_;
  batch::BatchBuffer pairs_;
};

/// Of a row's order column: its distance to another is at least `size`.
bool is_apart(const Column& column, size_t newer, const Column& other, size_t older, double size) {
  if (batch::physical(column.type) == Physical::kDouble)
    return column.as<double>()[newer] - other.as<double>()[older] >= size;
  __extension__ using Wide = __int128;
  const Wide distance = static_cast<Wide>(column.as<int64_t>()[newer]) - other.as<int64_t>()[older];
  return distance >= static_cast<Wide>(std::ceil(size));
}

class JoinBox final : public BoxRunner {
 public:
  JoinBox(const plan::Boxes::Box& box, const batch::Schema& left, const batch::Schema& right, BoxContext& context)
      : context_(context),
        box_(box),
        sides_{Side{box.left, TupleBuffer(left)}, Side{box.right, TupleBuffer(right)}},
        matcher_(*box.conditions.front(), left, right, context),
        errors_(context),
        kept_(context.batch_rows),
        repeated_(context.batch_rows) {
    std::vector<batch::Type> types = left.types();
    for (const batch::Type type : right.types()) types.push_back(type);
    used_.resize(types.size());
    for (const auto& output : box.outputs) {
      outputs_.emplace_back(expr::clone(*output), context.batch_rows);
      expr::walk(*output, [&](const expr::Expr& part) {
        if (part.kind == expr::ExprKind::kColumn) used_[static_cast<size_t>(part.column)] = true;
      });
    }
    joined_.columns.resize(outputs_.size());
    pairs_ = batch::BatchBuffer(types, used_, context.batch_rows);
  }

  void run(Micros) override {
    const ColumnBatch batches[] = {in_[0]->slice(0, in_[0]->size()), in_[1]->slice(0, in_[1]->size())};
    for_each_merged(in_, [&](size_t port, size_t row) {
      take(batches[port], static_cast<uint32_t>(row), port, in_[port]->moment(row));
    });
    flush();
  }

  uint64_t octets_held() const override { return sides_[0].buffer.octets_held() + sides_[1].buffer.octets_held(); }
  void save(StateWriter& out) const override {
    for (const Side& side : sides_) side.buffer.save(out);
  }
  void load(StateReader& in) override {
    for (Side& side : sides_) side.buffer.load(in, context_.room);
  }

 private:
  struct Side {
    const plan::Boxes::Side& plan;
    TupleBuffer buffer;
  };

  void take(const ColumnBatch& batch, uint32_t row, size_t port, const Moment& moment) {
    const bool of_left = port == 0;
    const TupleBuffer& other = sides_[1 - port].buffer;
    matcher_.for_each_match(batch, row, of_left, other, [&](const uint32_t* places, size_t n) {
      for (size_t first = 0; first < n;) {
        if (moments_.size() == context_.batch_rows) flush();
        const size_t some = std::min(n - first, context_.batch_rows - moments_.size());
        add_pairs(batch, row, of_left, other, places + first, some);
        moments_.insert(moments_.end(), some, moment);
        first += some;
      }
    });
    keep(batch, row, port, moment.arrival);
  }

  /// In its own buffer, where others make way.
  void keep(const ColumnBatch& batch, uint32_t row, size_t port, Micros arrival) {
    Side& side = sides_[port];
    TupleBuffer& buffer = side.buffer;
    if (box_.timeout_us) {
      while (buffer.size() > 0 && buffer.arrival(buffer.first()) < arrival - *box_.timeout_us) drop_oldest(buffer);
    }
    if (side.plan.by_values) {
      const auto at = static_cast<size_t>(side.plan.order_on);
      const Column& order_on = batch.columns[at];
      if (order_on.is_null(row)) {  // It would never be old.
        ++context_.ledger.box_tuples_refused;
        return;
      }
      const Column kept = buffer.slice(at, 0);
      while (buffer.size() > 0 && is_apart(order_on, row, kept, buffer.first(), side.plan.size)) drop_oldest(buffer);
      if (buffer.size() == 0 && is_apart(order_on, row, order_on, row, side.plan.size)) return;
    } else {
      if (side.plan.size < 1) return;
      while (static_cast<double>(buffer.size()) >= side.plan.size) drop_oldest(buffer);
    }
    if (!context_.room.take()) {  // The oldest go.
      ++context_.ledger.box_tuples_refused;
      if (buffer.size() == 0) return;
      drop_oldest(buffer);
      context_.room.take();
    }
    if (buffer.wants_room()) {
      flush();  // Pairs point to texts.
      buffer.make_room();
    }
    buffer.add(batch, row, arrival);
  }
  void drop_oldest(TupleBuffer& buffer) {
    buffer.drop(buffer.first());
    context_.room.give();
  }

  void add_pairs(const ColumnBatch& batch, uint32_t row, bool of_left, const TupleBuffer& other, const uint32_t* places,
                 size_t n) {
    const size_t at = moments_.size();
    const size_t left_columns = sides_[0].buffer.types().size();
    const size_t own_first = of_left ? 0 : left_columns, other_first = of_left ? left_columns : 0;
    std::fill_n(repeated_.begin(), n, row);
    for (size_t c = 0; c < batch.columns.size(); ++c) {
      if (used_[own_first + c])
        gather_column(batch.columns[c], repeated_.data(), n, pairs_.batch.columns[own_first + c], at);
    }
    for (size_t c = 0; c < other.types().size(); ++c) {
      if (used_[other_first + c])
        gather_column(other.slice(c, 0), places, n, pairs_.batch.columns[other_first + c], at);
    }
  }
  /// Computes the outputs of pairs.
  void flush() {
    if (moments_.empty()) return;
    pairs_.batch.row_count = moments_.size();
    uint8_t* errors = errors_.begin();
    for (size_t o = 0; o < outputs_.size(); ++o)
      joined_.columns[o] = outputs_[o].evaluate(pairs_.batch, nullptr, context_.ledger.value_errors, errors);
    joined_.row_count = moments_.size();
    size_t n = moments_.size();
    std::copy_n(context_.all_rows.begin(), n, kept_.begin());
    if (errors_.any()) n = errors_.drop(kept_.data(), n);
    out_[0]->append(joined_, kept_.data(), n, moments_.data());
    moments_.clear();
    pairs_.reset();
  }

  BoxContext& context_;
  const plan::Boxes::Box& box_;
  Side sides_[2];
  Matcher matcher_;
  std::vector<expr::Evaluator> outputs_;
  ErrorRows errors_;
  // Pairs whose outputs are not computed yet.
  std::vector<bool> used_;
  batch::BatchBuffer pairs_;
  std::vector<Moment> moments_;
  ColumnBatch joined_;
  std::vector<uint32_t> kept_, repeated_;
};

class WaitBox final : public BoxRunner {
 public:
  WaitBox(const plan::Boxes::Box& box, const batch::Schema& buffered, const batch::Schema& enabler, BoxContext& context)
      : context_(context),
        box_(box),
        buffer_(buffered),
        matcher_(*box.conditions.front(), buffered, enabler, context) {}

  void run(Micros until) override {
    const ColumnBatch batches[] = {in_[0]->slice(0, in_[0]->size()), in_[1]->slice(0, in_[1]->size())};
    for_each_merged(in_, [&](size_t port, size_t row) {
      const Moment& moment = in_[port]->moment(row);
      drop_old(moment.arrival);
      if (port == 1) return release(batches[1], static_cast<uint32_t>(row), moment);
      if (!context_.room.take()) {
        ++context_.ledger.box_tuples_refused;
        return;
      }
      if (buffer_.wants_room()) buffer_.make_room();
      buffer_.add(batches[0], static_cast<uint32_t>(row), moment.arrival);
    });
    drop_old(until);
  }

  uint64_t octets_held() const override { return buffer_.octets_held(); }
  void save(StateWriter& out) const override { buffer_.save(out); }
  void load(StateReader& in) override { buffer_.load(in, context_.room); }

 private:
  void drop_old(Micros now) {
    while (box_.timeout_us && buffer_.size() > 0 && buffer_.arrival(buffer_.first()) < now - *box_.timeout_us)
      drop(buffer_.first());
  }
  void drop(size_t place) {
    buffer_.drop(place);
    context_.room.give();
  }
  void release(const ColumnBatch& batch, uint32_t row, const Moment& moment) {
    matcher_.for_each_match(batch, row, false, buffer_, [&](const uint32_t* places, size_t n) {
      ColumnBatch rows;
      rows.row_count = buffer_.end();
      for (size_t c = 0; c < buffer_.types().size(); ++c) rows.columns.push_back(buffer_.slice(c, 0));
      for (size_t i = 0; i < n; ++i) out_[0]->append(rows, places[i], moment);
      found_.insert(found_.end(), places, places + n);
    });
    for (const uint32_t place : found_) drop(place);
    found_.clear();
  }

  BoxContext& context_;
  const plan::Boxes::Box& box_;
  TupleBuffer buffer_;
  Matcher matcher_;
  std::vector<uint32_t> found_;  ///< scratch: places of what goes out
};

}  // namespace

std::unique_ptr<BoxRunner> make_join_box(const plan::Boxes::Box& box, const batch::Schema& left,
                                         const batch::Schema& right, BoxContext& context) {
  return std::make_unique<JoinBox>(box, left, right, context);
}
std::unique_ptr<BoxRunner> make_wait_box(const plan::Boxes::Box& box, const batch::Schema& buffered,
                                         const batch::Schema& enabler, BoxContext& context) {
  return std::make_unique<WaitBox>(box, buffered, enabler, context);
}

}  // namespace backstream::exec
