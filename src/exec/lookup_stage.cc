#include "exec/lookup_stage.h"

#include <algorithm>
#include <cassert>

#include "exec/state_bytes.h"
#include "lookup/lookup_table.h"

namespace backstream::exec {
namespace {

using batch::Column;
using batch::ColumnBatch;
using batch::Physical;
using lookup::kNoRow;
using plan::LookupStep;

/// Rows of a table lie anywhere in its memory.
constexpr size_t kGatherAhead = 16;

/// out[i] = from[rows[i]]; null where there is no row, or it is null there.
template <typename T>
bool gather_values(const Column& from, const uint32_t* rows, size_t n, T* out, uint8_t* validity) {
  const T* values = from.as<T>();
  const uint8_t* present = from.has_nulls ? from.validity : nullptr;
  // Where there is no row some other is read, and not used: no branch that depends on what is found.
  const uint32_t* found = std::find_if(rows, rows + n, [](uint32_t row) { return row != kNoRow; });
  if (found == rows + n) {
    std::fill_n(out, n, T{});
    std::fill_n(validity, n, uint8_t{0});
    return n > 0;
  }
  const uint32_t some = *found;
  uint8_t all = 1;
  for (size_t i = 0; i < n; ++i) {
    if (i + kGatherAhead < n)
      __builtin_prefetch(values + (rows[i + kGatherAhead] == kNoRow ? some : rows[i + kGatherAhead]));
    const uint32_t row = rows[i] == kNoRow ? some : rows[i];
    const auto there = static_cast<uint8_t>((rows[i] != kNoRow) & (present == nullptr ? 1 : present[row]));
    const T none{};
    out[i] = *(there != 0 ? &values[row] : &none);
    validity[i] = there;
    all &= there;
  }
  return all == 0;
}

void gather(const Column& from, const uint32_t* rows, size_t n, Column& out) {
  switch (batch::physical(from.type)) {
    case Physical::kByte: out.has_nulls = gather_values(from, rows, n, out.as<uint8_t>(), out.validity); break;
    case Physical::kInt64: out.has_nulls = gather_values(from, rows, n, out.as<int64_t>(), out.validity); break;
    case Physical::kDouble: out.has_nulls = gather_values(from, rows, n, out.as<double>(), out.validity); break;
    case Physical::kText: out.has_nulls = gather_values(from, rows, n, out.as<std::string_view>(), out.validity); break;
    case Physical::kInet: out.has_nulls = gather_values(from, rows, n, out.as<base::Inet>(), out.validity); break;
    case Physical::kInterval: out.has_nulls = gather_values(from, rows, n, out.as<base::Interval>(), out.validity);
  }
}

/// Counts value errors, and ends the query when it was told to fail for them.
class ErrorWatch {
 public:
  ErrorWatch(const plan::QueryOptions& options, WindowLedger& ledger)
      : fails_(options.on_error == plan::QueryOptions::OnError::kFail), ledger_(ledger) {}
  expr::ValueErrorCounts& counts() { return ledger_.value_errors; }
  void check() const {
    if (fails_ && ledger_.value_errors.total() != 0) throw QueryFailed(ledger_.value_errors);
  }

 private:
  const bool fails_;
  WindowLedger& ledger_;
};

/// One step of one edge.
class Step {
 public:
  /// @param counts_filter  this edge counts the value errors of the step's filter, which all edges meet alike
  Step(const plan::Stage& stage, const LookupStep& step, const plan::QueryOptions& options, size_t batch_rows,
       bool counts_filter, WindowLedger& ledger)
      : stage_(stage),
        step_(step),
        drops_(options.on_error == plan::QueryOptions::OnError::kDrop),
        counts_filter_(counts_filter),
        batch_rows_(batch_rows),
        ledger_(ledger),
        errors_(options, ledger),
        key_columns_(step.keys.size()),
        matches_(batch_rows),
        error_rows_(batch_rows) {
    for (const auto& key : step.keys) keys_.emplace_back(expr::clone(*key), batch_rows);
    if (stage.lookup_where) {
      where_ = std::make_unique<expr::Evaluator>(expr::clone(*stage.lookup_where), batch_rows);
      wanted_.resize(batch_rows);
      found_.resize(batch_rows);
    }
    if (step.condition) {
      condition_ = std::make_unique<expr::Evaluator>(expr::clone(*step.condition), batch_rows);
      survived_.resize(batch_rows);
      ended_.resize(batch_rows);
      selected_.resize(batch_rows);
      kept_.reserve(batch_rows);
    }
    std::vector<batch::Type> types;
    std::vector<bool> own(stage.input.columns.size());
    for (size_t c = 0; c < stage.input.columns.size(); ++c) {
      types.push_back(stage.input.columns[c].type);
      own[c] = c >= first() && c <= last() && stage.input_used[c];
    }
    appended_ = batch::BatchBuffer(types, own, batch_rows);
    repeated_.resize(last() + 1);
    use_columns(stage.input_used);
    pair_rows_.resize(batch_rows);
    pair_matches_.resize(batch_rows);
    out_rows_.resize(batch_rows);
    out_matches_.resize(batch_rows);
    refresh();
  }

  /// A row that meets several of the table is repeated with these of its columns.
  void use_columns(const std::vector<bool>& used) {
    for (size_t c = 0; c <= last() && c < used.size(); ++c) {
      Column& column = repeated_[c];
      if (!used[c] || column.values != nullptr) continue;
      column.type = stage_.input.columns[c].type;
      const size_t octets = batch_rows_ * octets_per_value(batch::physical(column.type));
      memory_.push_back(std::make_unique<uint8_t[]>(octets + batch_rows_));
      column.values = memory_.back().get();
      column.validity = memory_.back().get() + octets;
    }
  }

  void refresh() {
    snapshot_ = step_.table->published().snapshot();
    const lookup::Table& table = *snapshot_->table;
    passes_.clear();
    if (step_.filter) find_passing(table);
    any_ = table.row_count() > 0;
    any_null_ = false;
    if (!step_.in) return;
    const Column& key = table.column(step_.columns[0]);
    if (!passes_.empty()) any_ = std::any_of(passes_.begin(), passes_.end(), [](uint8_t pass) { return pass != 0; });
    for (size_t row = 0; key.has_nulls && row < table.row_count() && !any_null_; ++row)
      any_null_ = key.is_null(row) && passes(static_cast<uint32_t>(row));
  }

  /// Calls next(batch) with the rows and what the step appends, in batches of at most batch_rows.
  template <typename Next>
  void run(const ColumnBatch& rows, Next&& next) {
    const size_t n = rows.row_count;
    const uint64_t errors_before = ledger_.value_errors.total();
    for (size_t k = 0; k < keys_.size(); ++k)
      key_columns_[k] = keys_[k].evaluate(rows, nullptr, errors_.counts(), drops_ ? error_rows_.data() : nullptr);
    errors_.check();
    const bool errored = drops_ && ledger_.value_errors.total() != errors_before;
    const bool prefix = step_.by == LookupStep::By::kPrefix;
    const lookup::KeyIndex* index = prefix ? nullptr : snapshot_->key_indexes[step_.index].get();
    const auto find = [&](const uint32_t* wanted, size_t count, uint32_t* matches) {
      if (prefix) snapshot_->prefix_tables[step_.index]->find(key_columns_[0], wanted, count, matches);
      else index->find(key_columns_.data(), wanted, count, matches);
    };
    const size_t wanted =
        where_ ? expr::select_true(where_->evaluate(rows, nullptr, errors_.counts()), n, wanted_.data()) : n;
    if (wanted == n) {
      find(nullptr, n, matches_.data());
    } else {
      find(wanted_.data(), wanted, found_.data());
      std::fill_n(matches_.begin(), n, kNoRow);
      for (size_t i = 0; i < wanted; ++i) matches_[wanted_[i]] = found_[i];
    }
    const bool one = prefix || index->unique();
    if (!passes_.empty()) {
      for (size_t i = 0; i < n; ++i) matches_[i] = first_passing(index, matches_[i]);
    }
    if (!errored && !condition_ && (one || step_.test)) {
      append(rows, matches_.data());
      next(extended_);
    } else {
      pair(rows, index, errored, next);
    }
    if (errored) std::fill_n(error_rows_.begin(), n, uint8_t{0});
  }

 private:
  size_t first() const { return static_cast<size_t>(step_.first_column); }
  size_t last() const { return static_cast<size_t>(step_.matched_column); }
  bool passes(uint32_t row) const { return passes_.empty() || passes_[row] != 0; }
  uint32_t next_match(const lookup::KeyIndex* index, uint32_t row) const {
    return index == nullptr ? kNoRow : index->next(row);
  }
  uint32_t first_passing(const lookup::KeyIndex* index, uint32_t row) const {
    while (row != kNoRow && !passes(row)) row = next_match(index, row);
    return row;
  }

  /// Once per snapshot: which rows of the table the step's filter lets through.
  void find_passing(const lookup::Table& table) {
    expr::Evaluator filter(expr::clone(*step_.filter));
    std::vector<uint32_t> chosen(batch::kBatchRows);
    expr::ValueErrorCounts uncounted;
    passes_.assign(std::max<size_t>(table.row_count(), 1), 0);
    for (size_t begin = 0; begin < table.row_count(); begin += batch::kBatchRows) {
      const ColumnBatch rows = table.slice(begin, std::min(batch::kBatchRows, table.row_count() - begin));
      const Column condition = filter.evaluate(rows, nullptr, counts_filter_ ? errors_.counts() : uncounted);
      const size_t n = expr::select_true(condition, rows.row_count, chosen.data());
      for (size_t i = 0; i < n; ++i) passes_[begin + chosen[i]] = 1;
    }
    errors_.check();
  }

  /// Whether row `rows[i]` of the batch (null: row i) has a match.
  void fill_matched(Column& matched, const uint32_t* rows, const uint32_t* matches, size_t n) const {
    if (matched.values == nullptr) return;
    auto* values = matched.as<uint8_t>();
    for (size_t i = 0; i < n; ++i) values[i] = matches[i] != kNoRow ? 1 : 0;
    matched.has_nulls = false;
    if (!step_.in || !any_) return;
    const Column& key = key_columns_[0];
    for (size_t i = 0; i < n; ++i) {
      const bool known = values[i] != 0 || !(any_null_ || key.is_null(rows == nullptr ? i : rows[i]));
      matched.validity[i] = known ? 1 : 0;
      matched.has_nulls = matched.has_nulls || !known;
    }
  }

  /// The columns of the table, and whether there is a match, beside the rows as they are.
  void append(const ColumnBatch& rows, const uint32_t* matches) {
    extended_.row_count = rows.row_count;
    extended_.columns.assign(rows.columns.begin(), rows.columns.end());
    extended_.columns.resize(stage_.input.columns.size());
    for (size_t c = first(); c <= last(); ++c) extended_.columns[c] = appended_.batch.columns[c];
    for (size_t c = first(); c < last(); ++c) {
      Column& column = extended_.columns[c];
      if (column.values != nullptr) gather(snapshot_->table->column(c - first()), matches, rows.row_count, column);
    }
    fill_matched(extended_.columns[last()], nullptr, matches, rows.row_count);
  }

  /// Rows with rows of the table: row `rows[i]` of `input` with `matches[i]`.
  const ColumnBatch& repeat(const ColumnBatch& input, const uint32_t* rows, const uint32_t* matches, size_t n,
                            ColumnBatch& out) {
    out.row_count = n;
    out.columns.assign(repeated_.begin(), repeated_.end());
    out.columns.resize(stage_.input.columns.size());
    for (size_t c = 0; c < last(); ++c) {
      Column& column = out.columns[c];
      if (column.values == nullptr) continue;
      if (c >= first()) gather(snapshot_->table->column(c - first()), matches, n, column);
      else if (input.columns[c].values != nullptr) gather(input.columns[c], rows, n, column);
      else column.values = nullptr;
    }
    fill_matched(out.columns[last()], rows, matches, n);
    return out;
  }

  /// The general way: pairs of a row and a row of the table, a batch at a time; the condition chooses among them.
  template <typename Next>
  void pair(const ColumnBatch& rows, const lookup::KeyIndex* index, bool errored, Next&& next) {
    // No row comes more than once, and none is dropped: matches are chosen, then appended.
    const bool single = !errored && (step_.test || index == nullptr || index->unique());
    size_t out = 0;
    const auto flush = [&] {
      if (out > 0) next(repeat(rows, out_rows_.data(), out_matches_.data(), out, extended_));
      out = 0;
    };
    const auto emit = [&](uint32_t row, uint32_t match) {
      if (out == batch_rows_) flush();
      out_rows_[out] = row;
      out_matches_[out++] = match;
    };
    if (condition_) std::fill_n(survived_.begin(), rows.row_count, kNoRow);
    size_t pairs = 0, ended = 0;
    const auto judge = [&] {
      if (pairs > 0) {
        const ColumnBatch& batch = repeat(rows, pair_rows_.data(), pair_matches_.data(), pairs, judged_);
        const Column condition = condition_->evaluate(batch, nullptr, errors_.counts());
        errors_.check();
        const size_t n = expr::select_true(condition, pairs, selected_.data());
        for (size_t i = 0; i < n; ++i) {
          const uint32_t row = pair_rows_[selected_[i]], match = pair_matches_[selected_[i]];
          if (survived_[row] == kNoRow) survived_[row] = match;
          if (!step_.test && !single) kept_.emplace_back(row, match);
        }
      }
      // Only now: results are made in the buffers that the pairs were judged in.
      for (const auto& [row, match] : kept_) emit(row, match);
      kept_.clear();
      for (size_t i = 0; i < ended && !single; ++i) {
        if (step_.test || survived_[ended_[i]] == kNoRow) emit(ended_[i], survived_[ended_[i]]);
      }
      pairs = ended = 0;
    };
    for (uint32_t row = 0; row < rows.row_count; ++row) {
      if (errored && error_rows_[row] != 0) {
        ++ledger_.assigned;
        ++ledger_.errored;
        continue;
      }
      uint32_t match = matches_[row];
      if (!condition_) {
        emit(row, match);
        for (match = after(index, match); match != kNoRow && !step_.test; match = after(index, match)) emit(row, match);
        continue;
      }
      for (; match != kNoRow; match = after(index, match)) {
        if (pairs == batch_rows_) judge();
        pair_rows_[pairs] = row;
        pair_matches_[pairs++] = match;
      }
      if (ended == batch_rows_) judge();
      ended_[ended++] = row;
    }
    if (condition_) judge();
    if (single) {
      append(rows, survived_.data());
      next(extended_);
      return;
    }
    flush();
  }
  uint32_t after(const lookup::KeyIndex* index, uint32_t match) const {
    return match == kNoRow ? kNoRow : first_passing(index, next_match(index, match));
  }

  const plan::Stage& stage_;
  const LookupStep& step_;
  const bool drops_, counts_filter_;
  const size_t batch_rows_;
  WindowLedger& ledger_;
  ErrorWatch errors_;
  std::vector<expr::Evaluator> keys_;
  std::unique_ptr<expr::Evaluator> where_, condition_;
  std::vector<uint32_t> wanted_, found_;  ///< rows that where_ lets through, and their matches
  std::shared_ptr<const lookup::Snapshot> snapshot_;
  std::vector<uint8_t> passes_;          ///< by row of the table; empty: all do
  bool any_ = false, any_null_ = false;  ///< for IN: the table has a row, and one whose column is null
  std::vector<Column> key_columns_;
  std::vector<uint32_t> matches_;  ///< by row of the batch
  std::vector<uint8_t> error_rows_;
  batch::BatchBuffer appended_;
  std::vector<Column> repeated_;
  std::vector<std::unique_ptr<uint8_t[]>> memory_;  ///< of repeated_
  ColumnBatch extended_, judged_;
  std::vector<uint32_t> pair_rows_, pair_matches_, out_rows_, out_matches_, selected_, ended_, survived_;
  std::vector<std::pair<uint32_t, uint32_t>> kept_;
};

/// All steps of one edge.
class Steps {
 public:
  Steps(const plan::Stage& stage, const plan::QueryOptions& options, size_t batch_rows, bool counts_filters) {
    for (const LookupStep& step : stage.lookups)
      steps_.push_back(std::make_unique<Step>(stage, step, options, batch_rows, counts_filters, ledger));
  }
  void use_columns(const std::vector<bool>& used) {
    for (auto& step : steps_) step->use_columns(used);
  }
  void refresh() {
    for (auto& step : steps_) step->refresh();
  }
  template <typename Use>
  void run(const ColumnBatch& rows, const Use& use, size_t from = 0) {
    if (rows.row_count == 0) return;
    steps_[from]->run(rows, [&](const ColumnBatch& more) {
      if (from + 1 < steps_.size()) run(more, use, from + 1);
      else use(more);
    });
  }

  WindowLedger ledger;  ///< value errors, and rows that they dropped

 private:
  std::vector<std::unique_ptr<Step>> steps_;
};

class LookupStage final : public StageRunner {
 public:
  LookupStage(const plan::Query& query, const plan::Stage& stage, uint32_t edge_count, const EngineOptions& options,
              std::unique_ptr<StageRunner> inner)
      : inner_(std::move(inner)) {
    for (uint32_t e = 0; e < edge_count; ++e)
      edges_.push_back(std::make_unique<Steps>(stage, query.options, options.batch_rows, e == 0));
  }

  void process(const ColumnBatch& rows, const ProcessContext& context) override {
    edges_[context.edge]->run(rows, [&](const ColumnBatch& more) { inner_->process(more, context); });
  }
  void on_rows(const WindowRef& window, ColumnBatch& rows, bool last) override {
    if (window.final) {
      edges_[0]->run(rows, [&](const ColumnBatch& more) {
        ColumnBatch given = more;
        inner_->on_rows(window, given, false);
      });
    }
    if (!last) return;
    ColumnBatch none;
    inner_->on_rows(window, none, true);
  }
  void on_frontier(Micros frontier) override { inner_->on_frontier(frontier); }
  Micros next_cut(Micros frontier) const override { return inner_->next_cut(frontier); }
  void advance(Micros watermark) override { inner_->advance(watermark); }
  WindowLedger ledger() const override {
    WindowLedger total = inner_->ledger();
    for (const auto& edge : edges_) total += edge->ledger;
    return total;
  }
  void measure(plan::StageActivity& activity) const override { inner_->measure(activity); }
  void save_state(StateWriter& out) override {
    WindowLedger total;
    for (const auto& edge : edges_) total += edge->ledger;
    save(out, total);
    inner_->save_state(out);
  }
  void load_state(StateReader& in) override {
    load(in, edges_.front()->ledger);
    inner_->load_state(in);
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override { inner_->add_state_octets(nodes); }
  uint64_t groups_held() const override { return inner_->groups_held(); }
  bool shed(size_t node, double share) override { return inner_->shed(node, share); }
  void relax(size_t node) override { inner_->relax(node); }
  std::vector<WindowRecord> recent_windows() const override { return inner_->recent_windows(); }
  void keep_late(const plan::LateStage& late, RowReceiver& receiver) override {
    for (auto& edge : edges_) edge->use_columns(late.stage.input_used);
    inner_->keep_late(late, receiver);
  }
  void refresh_lookups() override {
    for (auto& edge : edges_) edge->refresh();
  }
  void mark_gap(Micros from, Micros until) override { inner_->mark_gap(from, until); }
  uint64_t rows_open() const override { return inner_->rows_open(); }
  void tell_lost(uint64_t rows) override { inner_->tell_lost(rows); }
  void send_open() override { inner_->send_open(); }

 private:
  std::unique_ptr<StageRunner> inner_;
  std::vector<std::unique_ptr<Steps>> edges_;
};

}  // namespace

std::unique_ptr<StageRunner> make_lookup_stage(const plan::Query& query, const plan::Stage& stage, uint32_t edge_count,
                                               const EngineOptions& options, std::unique_ptr<StageRunner> inner) {
  assert(!stage.lookups.empty() && edge_count >= 1);
  return std::make_unique<LookupStage>(query, stage, edge_count, options, std::move(inner));
}

}  // namespace backstream::exec
