// Boxes without state: filter, map, union.
#include <algorithm>
#include <numeric>

#include "exec/boxes.h"

namespace backstream::exec {

using batch::Column;
using batch::ColumnBatch;

size_t ErrorRows::drop(uint32_t* numbers, size_t n) {
  size_t kept = 0;
  for (size_t i = 0; i < n; ++i) {
    if (!has(numbers[i])) numbers[kept++] = numbers[i];
  }
  context_.ledger.errored += n - kept;
  clear();
  return kept;
}

namespace {

/// A switch: each tuple takes the port of the first condition that is true.
class FilterBox final : public BoxRunner {
 public:
  FilterBox(const plan::Boxes::Box& box, BoxContext& context)
      : context_(context),
        passes_rest_(box.passes_rest),
        errors_(context),
        open_(context.batch_rows),
        chosen_(context.batch_rows) {
    for (const auto& condition : box.conditions) conditions_.emplace_back(expr::clone(*condition), context.batch_rows);
  }

  void run(Micros) override {
    const Tuples& in = *in_[0];
    for (size_t first = 0; first < in.size(); first += context_.batch_rows) {
      const ColumnBatch batch = in.slice(first, std::min(context_.batch_rows, in.size() - first));
      std::fill_n(open_.begin(), batch.row_count, uint8_t{1});
      for (size_t port = 0; port < conditions_.size(); ++port) {
        const Column condition =
            conditions_[port].evaluate(batch, open_.data(), context_.ledger.value_errors, errors_.begin());
        if (errors_.any()) leave_out(batch.row_count);
        const auto* is_true = condition.as<uint8_t>();
        size_t n = 0;
        for (uint32_t row = 0; row < batch.row_count; ++row) {
          if (open_[row] == 0 || condition.is_null(row) || is_true[row] == 0) continue;
          open_[row] = 0;
          chosen_[n++] = row;
        }
        out_[port]->append(batch, chosen_.data(), n, in.moments(first));
      }
      if (!passes_rest_) continue;
      size_t n = 0;
      for (uint32_t row = 0; row < batch.row_count; ++row) {
        if (open_[row] != 0) chosen_[n++] = row;
      }
      out_.back()->append(batch, chosen_.data(), n, in.moments(first));
    }
  }

 private:
  void leave_out(size_t row_count) {
    for (size_t row = 0; row < row_count; ++row) {
      if (!errors_.has(row)) continue;
      open_[row] = 0;
      ++context_.ledger.errored;
    }
    errors_.clear();
  }

  BoxContext& context_;
  const bool passes_rest_;
  std::vector<expr::Evaluator> conditions_;
  ErrorRows errors_;
  std::vector<uint8_t> open_;  ///< rows that have no port yet
  std::vector<uint32_t> chosen_;
};

class MapBox final : public BoxRunner {
 public:
  MapBox(const plan::Boxes::Box& box, BoxContext& context)
      : context_(context), errors_(context), kept_(context.batch_rows) {
    if (box.numbers) numbers_.resize(context.batch_rows);
    for (const auto& output : box.outputs) outputs_.emplace_back(expr::clone(*output), context.batch_rows);
    mapped_.columns.resize(outputs_.size());
  }

  void run(Micros) override {
    const Tuples& in = *in_[0];
    for (size_t first = 0; first < in.size(); first += context_.batch_rows) {
      ColumnBatch batch = in.slice(first, std::min(context_.batch_rows, in.size() - first));
      if (!numbers_.empty()) number(batch);
      uint8_t* errors = errors_.begin();
      for (size_t o = 0; o < outputs_.size(); ++o)
        mapped_.columns[o] = outputs_[o].evaluate(batch, nullptr, context_.ledger.value_errors, errors);
      mapped_.row_count = batch.row_count;
      const uint32_t* kept = context_.all_rows.data();
      size_t n = batch.row_count;
      if (errors_.any()) {
        std::copy_n(kept, n, kept_.begin());
        kept = kept_.data();
        n = errors_.drop(kept_.data(), n);
      }
      out_[0]->append(mapped_, kept, n, in.moments(first));
    }
  }
  void save(StateWriter& out) const override { out.number(static_cast<uint64_t>(next_)); }
  void load(StateReader& in) override { next_ = static_cast<int64_t>(in.number(INT64_MAX)); }

 private:
  /// Appends the tuples' numbers.
  void number(ColumnBatch& batch) {
    std::iota(numbers_.begin(), numbers_.begin() + static_cast<long>(batch.row_count), next_);
    next_ += static_cast<int64_t>(batch.row_count);
    batch::Column column;
    column.type = batch::Type::kInt8;
    column.values = numbers_.data();
    batch.columns.push_back(column);
  }

  BoxContext& context_;
  std::vector<expr::Evaluator> outputs_;
  std::vector<int64_t> numbers_;  ///< empty: nothing reads them
  int64_t next_ = 0;
  ErrorRows errors_;
  ColumnBatch mapped_;
  std::vector<uint32_t> kept_;
};

class UnionBox final : public BoxRunner {
 public:
  explicit UnionBox(BoxContext& context) : context_(context) {}

  void run(Micros) override {
    for_each_merged(in_, [&](size_t port, size_t row) {
      if (port != port_ || count_ == context_.batch_rows) send();
      if (count_ == 0) first_ = row;
      port_ = port;
      ++count_;
    });
    send();
  }

 private:
  void send() {
    if (count_ == 0) return;
    out_[0]->append(in_[port_]->slice(first_, count_), context_.all_rows.data(), count_, in_[port_]->moments(first_));
    count_ = 0;
  }

  BoxContext& context_;
  // Neighbours that come from one port.
  size_t port_ = 0, first_ = 0, count_ = 0;
};

}  // namespace

std::unique_ptr<BoxRunner> make_filter_box(const plan::Boxes::Box& box, BoxContext& context) {
  return std::make_unique<FilterBox>(box, context);
}
std::unique_ptr<BoxRunner> make_map_box(const plan::Boxes::Box& box, BoxContext& context) {
  return std::make_unique<MapBox>(box, context);
}
std::unique_ptr<BoxRunner> make_union_box(BoxContext& context) { return std::make_unique<UnionBox>(context); }

}  // namespace backstream::exec
