#include "decode/side_writer.h"

#include <cstring>
#include <utility>

namespace backstream::decode {

SideWriter::SideWriter(const batch::Schema& schema, const std::vector<bool>& wanted, size_t capacity, Consumer consumer)
    : consumer_(std::move(consumer)), buffer_(schema.types(), wanted, capacity) {
  for (size_t c = 0; c < buffer_.batch.columns.size(); ++c) {
    batch::Column& column = buffer_.batch.columns[c];
    column.has_nulls = column.values != nullptr;
    if (column.has_nulls) live_.push_back(c);
  }
}

void SideWriter::begin_row() {
  if (row_count_ == buffer_.capacity() || buffer_.texts.octets_held() > kTextOctetsMax) flush();
  for (const size_t c : live_) {
    batch::Column& column = buffer_.batch.columns[c];
    const uint32_t octets = batch::octets_per_value(batch::physical(column.type));
    std::memset(static_cast<uint8_t*>(column.values) + row_count_ * octets, 0, octets);
    column.validity[row_count_] = 0;
  }
  ++row_count_;
}

void SideWriter::flush() {
  if (row_count_ == 0) return;
  buffer_.batch.row_count = row_count_;
  row_count_ = 0;
  consumer_(buffer_.batch);
  buffer_.texts.reset();
}

}  // namespace backstream::decode
