#include "enrich/enrich.h"

#include <algorithm>

namespace backstream::enrich {

using batch::Column;
using batch::ColumnBatch;
using batch::FlowColumn;

namespace {

Column& at(ColumnBatch& rows, FlowColumn column) { return rows.columns[static_cast<size_t>(column)]; }

}  // namespace

lookup::TableDefinition as_table_definition() {
  lookup::TableDefinition definition;
  definition.name = "enrich.as_table";
  definition.schema.columns = {{"prefix", batch::Type::kCidr, 0}, {"asn", batch::Type::kInt8, 0}};
  return definition;
}

Enricher::Enricher(const batch::FlowColumnSet& wanted, const FillTables& tables) : tables_(tables) {
  if (tables.interfaces != nullptr)
    interface_name_ = static_cast<size_t>(tables.interfaces->definition().schema.find("name"));
  refresh_tables();
  set_wanted(wanted);
}

void Enricher::set_wanted(const batch::FlowColumnSet& wanted) {
  wanted_ = wanted;
  to_decode_ = {};
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
  if (tables_.interfaces != nullptr) {
    need(FlowColumn::kInIfName, {FlowColumn::kExporter, FlowColumn::kInIf});
    need(FlowColumn::kOutIfName, {FlowColumn::kExporter, FlowColumn::kOutIf});
  }
  if (tables_.as != nullptr) {
    need(FlowColumn::kSrcAs, {FlowColumn::kSrcIp});
    need(FlowColumn::kDstAs, {FlowColumn::kDstIp});
  }
  need(FlowColumn::kSrcPrefix, {FlowColumn::kSrcIp, FlowColumn::kSrcMask});
  need(FlowColumn::kDstPrefix, {FlowColumn::kDstIp, FlowColumn::kDstMask});
}

void Enricher::enrich(ColumnBatch& rows) {
  if (as_snapshot_ != nullptr) {
    if (wanted_.has(FlowColumn::kSrcAs)) fill_as(rows, FlowColumn::kSrcIp, FlowColumn::kSrcAs, source_as_);
    if (wanted_.has(FlowColumn::kDstAs)) fill_as(rows, FlowColumn::kDstIp, FlowColumn::kDstAs, destination_as_);
  }
  if (interfaces_snapshot_ != nullptr && interfaces_snapshot_->table->row_count() != 0) {
    if (wanted_.has(FlowColumn::kInIfName)) fill_names(rows, FlowColumn::kInIf, FlowColumn::kInIfName, in_if_name_);
    if (wanted_.has(FlowColumn::kOutIfName)) fill_names(rows, FlowColumn::kOutIf, FlowColumn::kOutIfName, out_if_name_);
  }
  if (wanted_.has(FlowColumn::kOctets)) scale(rows, FlowColumn::kOctetsRaw, FlowColumn::kOctets, octets_);
  if (wanted_.has(FlowColumn::kPackets)) scale(rows, FlowColumn::kPacketsRaw, FlowColumn::kPackets, packets_);
  if (wanted_.has(FlowColumn::kSrcPrefix))
    prefix(rows, FlowColumn::kSrcIp, FlowColumn::kSrcMask, FlowColumn::kSrcPrefix, source_);
  if (wanted_.has(FlowColumn::kDstPrefix))
    prefix(rows, FlowColumn::kDstIp, FlowColumn::kDstMask, FlowColumn::kDstPrefix, destination_);
}

void Enricher::refresh_tables() {
  if (tables_.as != nullptr) as_snapshot_ = tables_.as->published().snapshot();
  if (tables_.interfaces != nullptr) interfaces_snapshot_ = tables_.interfaces->published().snapshot();
}

// IE 82 interfaceName in flow records is rare; options data and inventories have the names.
void Enricher::fill_names(ColumnBatch& rows, FlowColumn interface, FlowColumn name_column, Names& to) {
  const size_t n = rows.row_count;
  Column& name = at(rows, name_column);
  unknown_.resize(std::max(unknown_.size(), n));
  size_t unknown = 0;
  for (size_t i = 0; i < n; ++i) {
    unknown_[unknown] = static_cast<uint32_t>(i);
    unknown += name.is_null(i);
  }
  if (unknown == 0) return;
  matches_.resize(std::max(matches_.size(), n));
  const Column keys[] = {at(rows, FlowColumn::kExporter), at(rows, interface)};
  interfaces_snapshot_->key_indexes[0]->find(keys, unknown_.data(), unknown, matches_.data());
  to.values.resize(std::max(to.values.size(), n));
  to.validity.resize(std::max(to.validity.size(), n));
  const auto* sent = name.as<std::string_view>();
  for (size_t i = 0; i < n; ++i) {
    to.validity[i] = name.is_null(i) ? 0 : 1;
    to.values[i] = to.validity[i] != 0 ? sent[i] : std::string_view();
  }
  const Column& known = interfaces_snapshot_->table->column(interface_name_);
  for (size_t u = 0; u < unknown; ++u) {
    if (matches_[u] == lookup::kNoRow || known.is_null(matches_[u])) continue;
    to.values[unknown_[u]] = known.as<std::string_view>()[matches_[u]];
    to.validity[unknown_[u]] = 1;
  }
  name.values = to.values.data();
  name.validity = to.validity.data();
  name.has_nulls = true;
}

// RFC 3954 §8 and IPFIX know no "unknown": routers without BGP send AS 0, which RFC 7607 reserves, or leave it out.
void Enricher::fill_as(ColumnBatch& rows, FlowColumn address_column, FlowColumn as_column, Derived& to) {
  const size_t n = rows.row_count;
  Column& as = at(rows, as_column);
  const int64_t* sent = as.as<int64_t>();
  unknown_.resize(std::max(unknown_.size(), n));
  size_t unknown = 0;
  for (size_t i = 0; i < n; ++i) {
    unknown_[unknown] = static_cast<uint32_t>(i);
    unknown += as.is_null(i) || sent[i] == 0;
  }
  if (unknown == 0) return;
  matches_.resize(std::max(matches_.size(), n));
  as_snapshot_->prefix_tables[0]->find(at(rows, address_column), unknown_.data(), unknown, matches_.data());
  to.values.resize(std::max(to.values.size(), n));
  to.validity.resize(std::max(to.validity.size(), n));
  auto* out = reinterpret_cast<int64_t*>(to.values.data());
  std::copy_n(sent, n, out);
  for (size_t i = 0; i < n; ++i) to.validity[i] = as.is_null(i) ? 0 : 1;
  const Column& asn = as_snapshot_->table->column(1);
  size_t filled = 0;
  for (size_t u = 0; u < unknown; ++u) {
    const uint32_t match = matches_[u];
    if (match == lookup::kNoRow || asn.is_null(match)) continue;
    const int64_t found = asn.as<int64_t>()[match];
    // The column is known to have 32 bits (batch/flow_schema.h), and keys are packed by it.
    if (found <= 0 || found > UINT32_MAX) continue;
    out[unknown_[u]] = found;
    to.validity[unknown_[u]] = 1;
    ++filled;
  }
  as_filled_count_ += filled;
  as_unknown_count_ += unknown - filled;
  as.values = out;
  as.validity = to.validity.data();
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
