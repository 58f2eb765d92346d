#include "decode/flow_writer.h"

#include <cassert>
#include <cstring>

namespace backstream::decode {
namespace {

std::vector<batch::Type> flow_types() {
  std::vector<batch::Type> types;
  for (const auto& column : batch::flow_schema().columns) types.push_back(column.type);
  return types;
}

}  // namespace

FlowWriter::FlowWriter(const batch::FlowColumnSet& wanted, Consumer& consumer, size_t capacity)
    : consumer_(consumer), wanted_(wanted), buffer_(flow_types(), wanted.as_vector(), capacity), capacity_(capacity) {
  for (auto& column : buffer_.batch.columns) column.has_nulls = false;
}

batch::BatchBuffer FlowWriter::make_buffer() const {
  batch::BatchBuffer made(flow_types(), wanted_.as_vector(), capacity_);
  for (auto& column : made.batch.columns) column.has_nulls = false;
  return made;
}

uint8_t* FlowWriter::validity(batch::FlowColumn which) {
  batch::Column& column = column_at(which);
  assert(column.values != nullptr);
  if (!column.has_nulls) {
    std::memset(column.validity, 1, row_count_);
    column.has_nulls = true;
  }
  return column.validity + row_count_;
}

void FlowWriter::set_null(batch::FlowColumn which, size_t rows) {
  batch::Column& column = column_at(which);
  if (column.values == nullptr) return;
  std::memset(validity(which), 0, rows);
  const uint32_t octets = batch::octets_per_value(batch::physical(column.type));
  std::memset(static_cast<uint8_t*>(column.values) + row_count_ * octets, 0, rows * octets);
}

void FlowWriter::mark_present_slow(batch::Column& column, size_t rows) {
  std::memset(column.validity + row_count_, 1, rows);
}

void FlowWriter::flush() {
  if (row_count_ == 0) return;
  buffer_.batch.row_count = row_count_;
  row_count_ = 0;
  consumer_.on_flows(buffer_.batch);
  for (auto& column : buffer_.batch.columns) column.has_nulls = false;
}

}  // namespace backstream::decode
