#include "enrich/enrich.h"

#include <algorithm>

namespace backstream::enrich {

using batch::Column;
using batch::ColumnBatch;
using batch::FlowColumn;

namespace {

Column& at(ColumnBatch& rows, FlowColumn column) { return rows.columns[static_cast<size_t>(column)]; }

}  // namespace

Enricher::Enricher(const batch::FlowColumnSet& wanted) : wanted_(wanted) {
  const std::vector<bool> all = wanted.as_vector();
  const auto need = [&](FlowColumn derived, std::initializer_list<FlowColumn> from) {
    if (!wanted.has(derived)) return;
    for (const FlowColumn column : from) to_decode_.add(column);
  };
  for (size_t c = 0; c < all.size(); ++c) {
    const auto column = static_cast<FlowColumn>(c);
    const bool derived = column == FlowColumn::kOctets || column == FlowColumn::kPackets ||
                         column == FlowColumn::kSrcPrefix || column == FlowColumn::kDstPrefix;
    if (all[c] && !derived) to_decode_.add(column);
  }
  need(FlowColumn::kOctets, {FlowColumn::kOctetsRaw, FlowColumn::kSamplingRate});
  need(FlowColumn::kPackets, {FlowColumn::kPacketsRaw, FlowColumn::kSamplingRate});
  need(FlowColumn::kSrcPrefix, {FlowColumn::kSrcIp, FlowColumn::kSrcMask});
  need(FlowColumn::kDstPrefix, {FlowColumn::kDstIp, FlowColumn::kDstMask});
}

void Enricher::enrich(ColumnBatch& rows) {
  if (wanted_.has(FlowColumn::kOctets)) scale(rows, FlowColumn::kOctetsRaw, FlowColumn::kOctets, octets_);
  if (wanted_.has(FlowColumn::kPackets)) scale(rows, FlowColumn::kPacketsRaw, FlowColumn::kPackets, packets_);
  if (wanted_.has(FlowColumn::kSrcPrefix))
    prefix(rows, FlowColumn::kSrcIp, FlowColumn::kSrcMask, FlowColumn::kSrcPrefix, source_);
  if (wanted_.has(FlowColumn::kDstPrefix))
    prefix(rows, FlowColumn::kDstIp, FlowColumn::kDstMask, FlowColumn::kDstPrefix, destination_);
}

void Enricher::scale(ColumnBatch& rows, FlowColumn raw_column, FlowColumn scaled_column, Derived& to) {
  const size_t n = rows.row_count;
  const Column& raw = at(rows, raw_column);
  const Column& rate = at(rows, FlowColumn::kSamplingRate);
  Column& scaled = at(rows, scaled_column);
  const int64_t* rates = rate.as<int64_t>();
  // An unknown rate is 0 here. Where every rate is 1 or unknown the raw column is the answer.
  int64_t above_one = 0;
  for (size_t i = 0; i < n; ++i) above_one |= rates[i] & ~int64_t{1};
  const batch::Type type = scaled.type;
  if (above_one == 0) {
    scaled = raw;
    scaled.type = type;
    return;
  }
  to.values.resize(std::max(to.values.size(), n));
  to.validity.resize(std::max(to.validity.size(), n));
  const int64_t* values = raw.as<int64_t>();
  auto* out = reinterpret_cast<int64_t*>(to.values.data());
  bool overflow = false;
  for (size_t i = 0; i < n; ++i) {
    const bool known = !rate.is_null(i) && rates[i] > 0;
    overflow |= __builtin_mul_overflow(values[i], known ? rates[i] : 1, &out[i]);
  }
  scaled.type = type;
  scaled.values = out;
  scaled.has_nulls = raw.has_nulls || overflow;
  scaled.validity = to.validity.data();
  if (!scaled.has_nulls) return;
  for (size_t i = 0; i < n; ++i) {
    to.validity[i] = !raw.is_null(i);
    int64_t product = 0;
    if (!overflow || to.validity[i] == 0) continue;
    if (!rate.is_null(i) && rates[i] > 0 && __builtin_mul_overflow(values[i], rates[i], &product)) {
      to.validity[i] = 0;
      ++overflow_count_;
    }
  }
}

void Enricher::prefix(ColumnBatch& rows, FlowColumn address_column, FlowColumn length_column, FlowColumn network_column,
                      Derived& to) {
  const size_t n = rows.row_count;
  const Column& address = at(rows, address_column);
  const Column& length = at(rows, length_column);
  Column& network = at(rows, network_column);
  static_assert(sizeof(base::Inet) == 3 * sizeof(uint64_t));
  to.values.resize(std::max(to.values.size(), n * 3));
  to.validity.resize(std::max(to.validity.size(), n));
  const base::Inet* addresses = address.as<base::Inet>();
  const int64_t* lengths = length.as<int64_t>();
  auto* out = reinterpret_cast<base::Inet*>(to.values.data());
  for (size_t i = 0; i < n; ++i) {
    const bool usable =
        !address.is_null(i) && !length.is_null(i) && lengths[i] >= 0 && lengths[i] <= addresses[i].max_prefix_bits();
    to.validity[i] = usable;
    out[i] = base::Inet{};
    if (!usable) continue;
    out[i] = addresses[i];
    out[i].prefix_bits = static_cast<uint8_t>(lengths[i]);
    out[i] = out[i].network();
  }
  network.values = out;
  network.validity = to.validity.data();
  network.has_nulls = true;
}

}  // namespace backstream::enrich
