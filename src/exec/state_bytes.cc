#include "exec/state_bytes.h"

#include <algorithm>
#include <bit>

namespace backstream::exec {
namespace {

constexpr size_t kLengthOctets = 8;
constexpr size_t kRowsAtOnce = 2048;

/// Every counter, in an order that stays: a new one comes last, with a new version of the format.
template <typename Ledger, typename Visit>
void for_each_count(Ledger& ledger, Visit&& visit) {
  for (auto* count :
       {&ledger.assigned, &ledger.counted, &ledger.filtered, &ledger.late, &ledger.errored, &ledger.shed,
        &ledger.shed_octets, &ledger.time_null, &ledger.time_future, &ledger.refused, &ledger.windows_closed,
        &ledger.result_rows, &ledger.spread_rows, &ledger.spread_without_span, &ledger.spread_too_long,
        &ledger.sum_overflow, &ledger.capped_groups, &ledger.negative_weights, &ledger.late_unkept})
    visit(*count);
  for (auto& count : ledger.value_errors.by_kind) visit(count);
}
template <typename Counts, typename Visit>
void for_each_pane_count(Counts& counts, Visit&& visit) {
  for (auto* count : {&counts.assigned, &counts.counted, &counts.filtered, &counts.late, &counts.errored, &counts.shed,
                      &counts.shed_octets})
    visit(*count);
}

enum ValueKind : uint8_t { kNone, kBool, kInteger, kReal, kText, kInet, kInterval };

}  // namespace

void StateWriter::real(double value) { partial::put_u64(out_, std::bit_cast<uint64_t>(value)); }

void StateWriter::text(std::string_view value) {
  number(value.size());
  out_.insert(out_.end(), value.begin(), value.end());
}

size_t StateWriter::begin_part() {
  partial::put_u64(out_, 0);
  return out_.size();
}

void StateWriter::end_part(size_t at) {
  const uint64_t length = out_.size() - at;
  for (size_t i = 0; i < kLengthOctets; ++i) out_[at - kLengthOctets + i] = static_cast<uint8_t>(length >> (8 * i));
}

uint64_t StateReader::number(uint64_t max) {
  uint64_t value = 0;
  if (refused_ || !cursor_.u64(value) || value > max) refused_ = true;
  return refused_ ? 0 : value;
}

uint64_t StateReader::octet() {
  uint8_t value = 0;
  if (refused_ || !cursor_.octet(value)) refused_ = true;
  return refused_ ? 0 : value;
}

size_t StateReader::count(size_t octets_min) {
  const uint64_t value = number();
  check(value <= cursor_.rest().size() / octets_min);
  return refused_ ? 0 : static_cast<size_t>(value);
}

int64_t StateReader::integer() {
  int64_t value = 0;
  if (refused_ || !cursor_.i64(value)) refused_ = true;
  return refused_ ? 0 : value;
}

Micros StateReader::time() {
  const Micros value = integer();
  check(value == base::kMinTime || value == base::kMaxTime || (value >= -kSavedTimeMax && value <= kSavedTimeMax));
  return refused_ ? 0 : value;
}

Micros StateReader::bounded_time() {
  const Micros value = integer();
  check(value >= -kSavedTimeMax && value <= kSavedTimeMax);
  return refused_ ? 0 : value;
}

Micros StateReader::watermark() {
  const Micros value = integer();
  check(value == base::kMinTime || (value >= -kSavedTimeMax / 2 && value <= kSavedTimeMax / 2));
  return refused_ ? 0 : value;
}

double StateReader::real() {
  if (!check(octets_left() >= 8)) return 0;
  const double value = std::bit_cast<double>(partial::get_u64(cursor_.rest().data()));
  cursor_.advance(8);
  return value;
}

std::string_view StateReader::text() {
  const size_t octets = count();
  const std::string_view value(reinterpret_cast<const char*>(cursor_.rest().data()), octets);
  if (octets > 0) cursor_.advance(octets);
  return value;
}

void StateReader::value(batch::Column& column, size_t row, base::Arena& texts) {
  if (refused_ || !partial::get_value(cursor_, column, row, texts)) refused_ = true;
}

std::span<const uint8_t> StateReader::part() {
  if (!check(octets_left() >= kLengthOctets)) return {};
  const uint64_t length = partial::get_u64(cursor_.rest().data());
  cursor_.advance(kLengthOctets);
  if (!check(length <= cursor_.rest().size())) return {};
  const auto octets = cursor_.rest().first(static_cast<size_t>(length));
  if (length > 0) cursor_.advance(static_cast<size_t>(length));
  return octets;
}

void StateReader::state(const agg::AggregateFunction& function, uint8_t* state, agg::StateContext& context) {
  if (refused_) return;
  check(cursor_.advance(function.decode(state, cursor_.rest().data(), cursor_.rest().size(), context)));
}

void save(StateWriter& out, const WindowLedger& ledger) {
  for_each_count(ledger, [&](uint64_t count) { out.number(count); });
  out.time(ledger.late_by_max_us);
}
void load(StateReader& in, WindowLedger& ledger) {
  for_each_count(ledger, [&](uint64_t& count) { count = in.number(); });
  ledger.late_by_max_us = in.integer();
}

void save(StateWriter& out, const window::PaneCounts& counts) {
  for_each_pane_count(counts, [&](uint64_t count) { out.number(count); });
  out.number(~counts.keep_below);
}
void load(StateReader& in, window::PaneCounts& counts) {
  for_each_pane_count(counts, [&](uint64_t& count) { count = in.number(); });
  counts.keep_below = ~in.number();
}

void save(StateWriter& out, const RowStore& rows) {
  out.number(rows.row_count());
  for (size_t first = 0; first < rows.row_count(); first += kRowsAtOnce) {
    const size_t n = std::min(kRowsAtOnce, rows.row_count() - first);
    if (rows.column_count() == 0) out.octets().resize(out.octets().size() + n);  // A row is never nothing.
    for (size_t c = 0; c < rows.column_count(); ++c) {
      const batch::Column column = rows.slice(c, first);
      for (size_t i = 0; i < n; ++i) out.value(column, i);
    }
  }
}
void load(StateReader& in, const std::vector<batch::Type>& types, RowStore& rows) {
  size_t left = in.count(std::max<size_t>(types.size(), 1));
  if (left == 0) return;
  batch::BatchBuffer buffer(types, std::vector<bool>(types.size(), true), std::min(left, kRowsAtOnce));
  while (left > 0 && !in.refused()) {
    const size_t n = std::min(kRowsAtOnce, left);
    buffer.reset();
    for (size_t i = 0; types.empty() && i < n; ++i) in.number(0);
    for (batch::Column& column : buffer.batch.columns) {
      column.has_nulls = true;
      for (size_t i = 0; i < n; ++i) in.value(column, i, buffer.texts);
    }
    buffer.batch.row_count = n;
    if (!in.refused()) rows.append(buffer.batch);
    left -= n;
  }
}

void save(StateWriter& out, const expr::Value& value) {
  out.number(value.index());
  batch::Column column;
  column.values = nullptr;
  const auto put = [&](batch::Type type, const auto& held) {
    column.type = type;
    column.values = const_cast<void*>(static_cast<const void*>(&held));
    out.value(column, 0);
  };
  if (const auto* b = std::get_if<bool>(&value)) out.flag(*b);
  else if (const auto* i = std::get_if<int64_t>(&value)) out.time(*i);
  else if (const auto* d = std::get_if<double>(&value)) out.real(*d);
  else if (const auto* s = std::get_if<std::string>(&value)) out.text(*s);
  else if (const auto* a = std::get_if<base::Inet>(&value)) put(batch::Type::kInet, *a);
  else if (const auto* t = std::get_if<base::Interval>(&value)) put(batch::Type::kInterval, *t);
}
void load(StateReader& in, expr::Value& value) {
  base::Arena unused(64);
  uint8_t present = 0;
  batch::Column column;
  column.has_nulls = true;
  column.validity = &present;
  const auto get = [&](batch::Type type, auto held) {
    column.type = type;
    column.values = &held;
    in.value(column, 0, unused);
    value = held;
  };
  switch (in.number(kInterval)) {
    case kNone: value = std::monostate{}; break;
    case kBool: value = in.flag(); break;
    case kInteger: value = in.integer(); break;
    case kReal: value = in.real(); break;
    case kText: value = std::string(in.text()); break;
    case kInet: get(batch::Type::kInet, base::Inet{}); break;
    case kInterval: get(batch::Type::kInterval, base::Interval{}); break;
  }
}

void save(StateWriter& out, const agg::NullResults& nulls) {
  out.number(nulls.overflow_count);
  out.number(nulls.capped_count);
  out.number(nulls.negative_weight_count);
}
void load(StateReader& in, agg::NullResults& nulls) {
  nulls.overflow_count = in.number();
  nulls.capped_count = in.number();
  nulls.negative_weight_count = in.number();
}

}  // namespace backstream::exec
