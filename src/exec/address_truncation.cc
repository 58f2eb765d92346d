#include "exec/address_truncation.h"

#include <algorithm>

namespace backstream::exec {
namespace {

struct Mask {
  uint64_t hi, lo;
  uint8_t bits;
};
/// The upper `bits` (0 to 128) of an address.
Mask mask_of(unsigned bits) {
  const auto upper = [](unsigned n) { return n == 0 ? 0 : ~uint64_t{0} << (64 - n); };
  return {upper(std::min(bits, 64u)), upper(bits > 64 ? bits - 64 : 0), static_cast<uint8_t>(bits)};
}

void cut(const base::Inet* from, size_t n, const Mask& v4, const Mask& v6, const Mask& six_to_four, bool shorten,
         base::Inet* to) {
  for (size_t row = 0; row < n; ++row) {
    base::Inet address = from[row];
    const Mask& mask = address.family == 4 ? v4 : address.hi >> 48 == 0x2002 ? six_to_four : v6;
    address.hi &= mask.hi;
    address.lo &= mask.lo;
    if (shorten) address.prefix_bits = std::min(address.prefix_bits, mask.bits);
    to[row] = address;
  }
}

}  // namespace

batch::ColumnBatch& AddressTruncation::apply(const batch::ColumnBatch& rows) {
  const Mask v4 = mask_of(lengths_.v4_bits), v6 = mask_of(lengths_.v6_bits);
  const Mask six_to_four = mask_of(std::min<unsigned>(lengths_.v6_bits, 16u + lengths_.v4_bits));
  out_.row_count = rows.row_count;
  out_.columns.assign(rows.columns.begin(), rows.columns.end());
  cut_.resize(rows.columns.size());
  for (size_t c = 0; c < rows.columns.size(); ++c) {
    batch::Column& column = out_.columns[c];
    if (batch::physical(column.type) != batch::Physical::kInet || column.values == nullptr) continue;
    if (cut_[c].size() < rows.row_count) cut_[c].resize(rows.row_count);
    cut(column.as<base::Inet>(), rows.row_count, v4, v6, six_to_four, column.type == batch::Type::kCidr,
        cut_[c].data());
    column.values = cut_[c].data();
  }
  return out_;
}

}  // namespace backstream::exec
