#include "exec/tail.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <compare>
#include <cstring>
#include <numeric>

#include "exec/gather.h"
#include "exec/row_order.h"
#include "exec/state_bytes.h"

namespace backstream::exec {

using batch::Column;
using batch::ColumnBatch;
using batch::Physical;
using batch::Type;

namespace {

std::vector<Type> output_types(const plan::Stage& stage) {
  std::vector<Type> types;
  for (const auto& output : stage.outputs) types.push_back(output->type);
  return types;
}

template <typename Value>
int order_of(const Value& a, const Value& b) {
  return (a > b) - (a < b);
}
int order_of(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return static_cast<int>(std::isnan(a)) - static_cast<int>(std::isnan(b));
  return (a > b) - (a < b);
}
int order_of(const std::string_view& a, const std::string_view& b) {
  const int c = a.compare(b);
  return (c > 0) - (c < 0);
}
int order_of(const base::Inet& a, const base::Inet& b) {
  const auto c = base::compare(a, b);
  return std::is_gt(c) - std::is_lt(c);
}

template <typename Value>
const Value& value_of(const OctetBuffer& values, size_t row) {
  return reinterpret_cast<const Value*>(values.data())[row];
}

}  // namespace

// --- RowStore ---------------------------------------------------------------------------------------------------

RowStore::RowStore(const std::vector<Type>& types, size_t text_block_octets)
    : text_block_octets_(text_block_octets), texts_(text_block_octets) {
  for (const Type type : types) {
    Stored& stored = columns_.emplace_back();
    stored.type = type;
    stored.value_octets = batch::octets_per_value(batch::physical(type));
  }
}

void RowStore::append(const ColumnBatch& rows) {
  if (rows.row_count == 0) return;  // Columns may have no memory then.
  for (size_t c = 0; c < columns_.size(); ++c) {
    Stored& stored = columns_[c];
    const Column& column = rows.columns[c];
    const size_t octets = rows.row_count * stored.value_octets;
    if (batch::physical(stored.type) == Physical::kText) {
      const size_t at = stored.values.size();
      stored.values.resize(at + octets);
      auto* to = reinterpret_cast<std::string_view*>(stored.values.data() + at);
      for (size_t i = 0; i < rows.row_count; ++i) {
        to[i] = column.is_null(i) ? std::string_view() : texts_.copy(column.as<std::string_view>()[i]);
      }
    } else {
      stored.values.append(column.values, octets);
    }
    if (column.has_nulls) stored.validity.append(column.validity, rows.row_count);
    else stored.validity.append_fill(1, rows.row_count);
  }
  row_count_ += rows.row_count;
}

void RowStore::append(const ColumnBatch& rows, const uint32_t* numbers, size_t n) {
  for (size_t c = 0; c < columns_.size(); ++c) {
    Stored& stored = columns_[c];
    const Column& column = rows.columns[c];
    const size_t at = row_count_;
    stored.values.resize((at + n) * stored.value_octets);
    stored.validity.resize(at + n);
    Column to;
    to.type = stored.type;
    to.values = stored.values.data() + at * stored.value_octets;
    to.validity = stored.validity.data() + at;
    gather_column(column, numbers, n, to);
    if (!column.has_nulls) std::fill_n(to.validity, n, uint8_t{1});
    if (batch::physical(stored.type) != Physical::kText) continue;
    for (size_t i = 0; i < n; ++i) {
      std::string_view& text = to.as<std::string_view>()[i];
      text = to.validity[i] == 0 ? std::string_view() : texts_.copy(text);
    }
  }
  row_count_ += n;
}

void RowStore::drop_front(size_t n) {
  bool has_text = false;
  for (Stored& stored : columns_) {
    stored.values.drop_front(n * stored.value_octets);
    stored.validity.drop_front(n);
    has_text |= batch::physical(stored.type) == Physical::kText;
  }
  row_count_ -= n;
  if (!has_text) return;
  base::Arena kept(text_block_octets_);  // An arena gives nothing back by itself.
  for (Stored& stored : columns_) {
    if (batch::physical(stored.type) != Physical::kText) continue;
    auto* texts = reinterpret_cast<std::string_view*>(stored.values.data());
    for (size_t i = 0; i < row_count_; ++i) texts[i] = kept.copy(texts[i]);
  }
  texts_ = std::move(kept);
}

Column RowStore::slice(size_t column, size_t first) const {
  const Stored& stored = columns_[column];
  Column out;
  out.type = stored.type;
  out.has_nulls = true;
  out.values = const_cast<uint8_t*>(stored.values.data() + first * stored.value_octets);
  out.validity = const_cast<uint8_t*>(stored.validity.data() + first);
  return out;
}

void RowStore::clear() {
  for (Stored& stored : columns_) {
    stored.values.clear();
    stored.validity.clear();
  }
  texts_.reset();
  row_count_ = 0;
}

size_t RowStore::octets_held() const {
  size_t octets = texts_.octets_held();
  for (const Stored& stored : columns_) octets += stored.values.capacity() + stored.validity.capacity();
  return octets;
}

int RowStore::compare(size_t column, size_t a, size_t b) const {
  const Stored& stored = columns_[column];
  if (stored.validity[a] == 0 || stored.validity[b] == 0) return stored.validity[b] - stored.validity[a];
  switch (batch::physical(stored.type)) {
    case Physical::kByte: return order_of(stored.values[a], stored.values[b]);
    case Physical::kInt64: return order_of(value_of<int64_t>(stored.values, a), value_of<int64_t>(stored.values, b));
    case Physical::kDouble: return order_of(value_of<double>(stored.values, a), value_of<double>(stored.values, b));
    case Physical::kText:
      return order_of(value_of<std::string_view>(stored.values, a), value_of<std::string_view>(stored.values, b));
    case Physical::kInet:
      return order_of(value_of<base::Inet>(stored.values, a), value_of<base::Inet>(stored.values, b));
    case Physical::kInterval:
      return expr::compare_values(value_of<base::Interval>(stored.values, a),
                                  value_of<base::Interval>(stored.values, b), stored.type);
  }
  return 0;
}

void RowStore::gather(const uint32_t* order, size_t n, ColumnBatch& out) const {
  out.row_count = n;
  for (size_t c = 0; c < out.columns.size(); ++c) {
    Column from;
    from.type = columns_[c].type;
    from.has_nulls = true;
    from.values = const_cast<uint8_t*>(columns_[c].values.data());
    from.validity = const_cast<uint8_t*>(columns_[c].validity.data());
    gather_column(from, order, n, out.columns[c]);
  }
}

// --- Tail -------------------------------------------------------------------------------------------------------

Tail::Tail(const plan::Stage& stage, const expr::Expr* condition, const plan::QueryOptions& options, size_t batch_rows,
           WindowLedger& ledger, RowReceiver& receiver)
    : stage_(stage),
      options_(options),
      batch_rows_(batch_rows),
      ledger_(ledger),
      receiver_(receiver),
      sorts_(!stage.order_by.empty() || stage.distinct),
      dense_(output_types(stage), std::vector<bool>(stage.outputs.size(), true), batch_rows),
      store_(output_types(stage)),
      selected_(batch_rows),
      active_(batch_rows),
      errors_(batch_rows) {
  if (condition != nullptr) condition_ = std::make_unique<expr::Evaluator>(expr::clone(*condition), batch_rows);
  for (const auto& output : stage.outputs) outputs_.emplace_back(expr::clone(*output), batch_rows);
  all_outputs_.columns.resize(outputs_.size());
  if (stage.rest_output >= 0) rest_ = std::make_unique<RestRow>(stage);
  if (stage.limit && __builtin_add_overflow(stage.offset, *stage.limit, &row_limit_)) row_limit_ = INT64_MAX;
}

Tail::Added Tail::add(const WindowRef& window, ColumnBatch& rows) {
  using OnError = plan::QueryOptions::OnError;
  uint8_t* errors = options_.on_error == OnError::kNull ? nullptr : errors_.data();
  const uint64_t errors_before = ledger_.value_errors.total();
  const uint8_t* active = nullptr;
  size_t n = rows.row_count;
  bool dense = true;
  const uint32_t first_group = groups_seen_;
  groups_seen_ += static_cast<uint32_t>(n);
  if (condition_) {
    const Column condition = condition_->evaluate(rows, nullptr, ledger_.value_errors, errors);
    n = expr::select_true(condition, rows.row_count, selected_.data());
    if (n < rows.row_count) {
      dense = false;
      std::fill_n(active_.begin(), rows.row_count, uint8_t{0});
      for (size_t i = 0; i < n; ++i) active_[selected_[i]] = 1;
      active = active_.data();
    }
  }
  const size_t passed = n;
  if (n == 0 && errors == nullptr) return {};
  for (size_t o = 0; o < outputs_.size(); ++o) {
    all_outputs_.columns[o] = outputs_[o].evaluate(rows, active, ledger_.value_errors, errors);
  }
  if (errors != nullptr && ledger_.value_errors.total() != errors_before) {
    if (options_.on_error == OnError::kFail) throw QueryFailed(ledger_.value_errors);
    if (dense) std::iota(selected_.begin(), selected_.begin() + static_cast<long>(n), 0u);
    dense = false;
    size_t kept = 0;
    for (size_t i = 0; i < n; ++i) {
      if (errors_[selected_[i]] == 0) selected_[kept++] = selected_[i];
    }
    n = kept;
    std::fill_n(errors_.begin(), rows.row_count, uint8_t{0});
  }
  const Added added{passed, passed - n};
  if (n == 0) return added;
  ColumnBatch* out = &all_outputs_;
  if (!dense) {
    for (size_t o = 0; o < outputs_.size(); ++o) {
      gather_column(all_outputs_.columns[o], selected_.data(), n, dense_.batch.columns[o]);
    }
    out = &dense_.batch;
  }
  out->row_count = n;
  if (sorts_) {
    store_.append(*out);
    for (uint32_t i = 0; rest_ != nullptr && i < n; ++i)
      group_numbers_.push_back(first_group + (dense ? i : selected_[i]));
  } else {
    send(window, *out, false);
  }
  return added;
}

/// Applies OFFSET and LIMIT to rows that come in their final order, and hands the visible columns on.
void Tail::send(const WindowRef& window, ColumnBatch& rows, bool last) {
  ColumnBatch visible;
  visible.columns.assign(rows.columns.begin(), rows.columns.begin() + static_cast<long>(stage_.output.columns.size()));
  const int64_t first = std::clamp<int64_t>(stage_.offset - passed_, 0, static_cast<int64_t>(rows.row_count));
  int64_t end = static_cast<int64_t>(rows.row_count);
  if (stage_.limit) end = std::clamp<int64_t>(row_limit_ - passed_, first, end);
  passed_ += static_cast<int64_t>(rows.row_count);
  visible.row_count = static_cast<size_t>(end - first);
  if (first > 0) {
    for (Column& column : visible.columns) {
      column.values = static_cast<uint8_t*>(column.values) +
                      static_cast<size_t>(first) * batch::octets_per_value(batch::physical(column.type));
      if (column.has_nulls) column.validity += first;
    }
  }
  if (visible.row_count > 0 || last) receiver_.on_rows(window, visible, last);
}

/// One more row, of the groups of the n rows of the store that LIMIT left out.
void Tail::send_rest(const WindowRef& window, PaneTable& groups, const uint32_t* rows, size_t n) {
  std::vector<uint32_t> numbers(n);
  for (size_t i = 0; i < n; ++i) numbers[i] = group_numbers_[rows[i]];
  agg::NullResults nulls;
  const ColumnBatch& grouped = rest_->combine(groups, window, numbers.data(), n, nulls);
  if (window.final) ledger_.add(nulls);
  const uint64_t errors_before = ledger_.value_errors.total();
  ColumnBatch visible;
  visible.row_count = 1;
  for (size_t o = 0; o < stage_.output.columns.size(); ++o)
    visible.columns.push_back(outputs_[o].evaluate(grouped, nullptr, ledger_.value_errors, nullptr));
  if (ledger_.value_errors.total() != errors_before) {
    if (options_.on_error == plan::QueryOptions::OnError::kFail) throw QueryFailed(ledger_.value_errors);
    if (options_.on_error == plan::QueryOptions::OnError::kDrop) return;
  }
  for (const int output : stage_.limit_by)  // Of its partition, whose rows have all the same.
    visible.columns[static_cast<size_t>(output)] = store_.slice(static_cast<size_t>(output), rows[0]);
  uint8_t is_rest = 1;
  Column& flag = visible.columns[static_cast<size_t>(stage_.rest_output)];
  flag.values = &is_rest;
  flag.has_nulls = false;
  receiver_.on_rows(window, visible, false);
}

void Tail::sort_and_send(const WindowRef& window, PaneTable* groups) {
  std::vector<uint32_t> order(store_.row_count());
  std::iota(order.begin(), order.end(), 0u);
  const size_t visible_count = stage_.output.columns.size();
  const auto visible_order = [&](uint32_t a, uint32_t b) {
    for (size_t c = 0; c < visible_count; ++c) {
      if (const int order_by_column = store_.compare(c, a, b); order_by_column != 0) return order_by_column;
    }
    return 0;
  };
  const auto before = [&](uint32_t a, uint32_t b) {
    for (const plan::SortKey& key : stage_.order_by) {
      const auto column = static_cast<size_t>(key.output);
      int c = store_.compare(column, a, b);  // nulls above all
      if (c == 0) continue;
      const bool involves_null = store_.is_null(column, a) || store_.is_null(column, b);
      if (involves_null) return key.nulls_first ? c > 0 : c < 0;
      return key.descending ? c > 0 : c < 0;
    }
    return visible_order(a, b) < 0;
  };
  const size_t wanted = std::min(static_cast<size_t>(row_limit_), order.size());
  std::vector<uint32_t> beyond;
  if (!stage_.distinct && wanted < order.size() / 8) {
    std::partial_sort(order.begin(), order.begin() + static_cast<long>(wanted), order.end(), before);
  } else {
    std::vector<SortColumn> columns;
    for (const plan::SortKey& key : stage_.order_by)
      columns.push_back({static_cast<size_t>(key.output), key.descending, key.nulls_first});
    for (size_t c = 0; c < visible_count; ++c) columns.push_back({c});
    sort_rows(store_, columns, order);
  }
  if (!stage_.distinct) {
    if (rest_ != nullptr) beyond.assign(order.begin() + static_cast<long>(wanted), order.end());
    order.resize(wanted);
  }
  if (stage_.distinct) {
    order.erase(
        std::unique(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return visible_order(a, b) == 0; }),
        order.end());
  }
  for (size_t at = 0; at < order.size(); at += batch_rows_) {
    const size_t n = std::min(batch_rows_, order.size() - at);
    store_.gather(order.data() + at, n, dense_.batch);
    if (stage_.number_output >= 0) {
      Column& number = dense_.batch.columns[static_cast<size_t>(stage_.number_output)];
      std::iota(number.as<int64_t>(), number.as<int64_t>() + n, static_cast<int64_t>(at + 1));
      std::fill_n(number.validity, n, uint8_t{1});
    }
    send(window, dense_.batch, false);
  }
  if (!beyond.empty()) send_rest(window, *groups, beyond.data(), beyond.size());
  store_.clear();
  group_numbers_.clear();
}

/// The first rows of each partition, with their numbers; then what remains of each, as one row.
void Tail::send_partitions(const WindowRef& window, PaneTable& groups) {
  std::vector<SortColumn> columns;
  for (const int output : stage_.limit_by) columns.push_back({static_cast<size_t>(output)});
  for (const plan::SortKey& key : stage_.order_by)
    columns.push_back({static_cast<size_t>(key.output), key.descending, key.nulls_first});
  std::vector<uint32_t> order;
  sort_rows(store_, columns, order);
  std::vector<uint32_t> first;
  std::vector<int64_t> numbers;
  std::vector<RowRange> beyond;
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    const auto same = [&](int output) {
      return store_.compare(static_cast<size_t>(output), order[begin], order[end]) == 0;
    };
    for (end = begin + 1; end < order.size() && std::all_of(stage_.limit_by.begin(), stage_.limit_by.end(), same);)
      ++end;
    const size_t wanted = std::min(static_cast<size_t>(row_limit_), end - begin);
    for (size_t i = 0; i < wanted; ++i) {
      first.push_back(order[begin + i]);
      numbers.push_back(static_cast<int64_t>(i + 1));
    }
    if (begin + wanted < end) beyond.push_back({begin + wanted, end});
  }
  ColumnBatch visible;
  for (size_t at = 0; at < first.size(); at += batch_rows_) {
    const size_t n = std::min(batch_rows_, first.size() - at);
    store_.gather(first.data() + at, n, dense_.batch);
    const auto& gathered = dense_.batch.columns;
    visible.columns.assign(gathered.begin(), gathered.begin() + static_cast<long>(stage_.output.columns.size()));
    visible.row_count = n;
    if (stage_.number_output >= 0) {
      Column& number = visible.columns[static_cast<size_t>(stage_.number_output)];
      number.values = numbers.data() + at;
      number.has_nulls = false;
    }
    receiver_.on_rows(window, visible, false);
  }
  for (const RowRange& range : beyond) send_rest(window, groups, order.data() + range.begin, range.end - range.begin);
  store_.clear();
  group_numbers_.clear();
}

void Tail::save(StateWriter& out) const {
  out.number(static_cast<uint64_t>(passed_));
  exec::save(out, store_);
}

void Tail::load(StateReader& in) {
  passed_ = static_cast<int64_t>(in.number(INT64_MAX / 2));
  exec::load(in, output_types(stage_), store_);
  in.check(rest_ == nullptr || store_.row_count() == 0);  // Of its rows the groups would be needed.
}

void Tail::end(const WindowRef& window, PaneTable* groups) {
  assert(rest_ == nullptr || groups != nullptr);
  if (sorts_) {
    if (!stage_.limit_by.empty()) send_partitions(window, *groups);
    else sort_and_send(window, groups);
  }
  groups_seen_ = 0;
  ColumnBatch none;
  none.columns.resize(stage_.outputs.size());
  for (size_t o = 0; o < stage_.outputs.size(); ++o) none.columns[o].type = stage_.outputs[o]->type;
  send(window, none, true);
  if (!limit_over_windows_) passed_ = 0;
}

}  // namespace backstream::exec
