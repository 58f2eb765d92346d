#include "decode/flow_writer.h"

#include <cassert>
#include <cstring>

namespace backstream::decode {
namespace {

batch::BatchBuffer make_batch(const batch::FlowColumnSet& wanted_columns, const WantedElements* elements,
                              size_t capacity) {
  std::vector<batch::Type> types;
  const batch::Schema& schema = batch::flow_schema();
  for (size_t c = 0; c < batch::kFlowColumnCount; ++c) types.push_back(schema.columns[c].type);
  std::vector<bool> wanted = wanted_columns.as_vector();
  if (elements != nullptr) {
    types.insert(types.end(), elements->types.begin(), elements->types.end());
    wanted.resize(types.size());
    for (const auto& column : elements->columns) wanted[column.index] = true;
  }
  batch::BatchBuffer made(types, wanted, capacity);
  for (auto& column : made.batch.columns) column.has_nulls = false;
  return made;
}

}  // namespace

FlowWriter::FlowWriter(const batch::FlowColumnSet& wanted, Consumer& consumer, size_t capacity,
                       std::shared_ptr<const WantedElements> elements)
    : consumer_(consumer),
      wanted_(wanted),
      elements_(std::move(elements)),
      buffer_(make_batch(wanted, elements_.get(), capacity)),
      capacity_(capacity) {}

batch::BatchBuffer FlowWriter::make_buffer() const { return make_batch(wanted_, elements_.get(), capacity_); }

uint8_t* FlowWriter::validity(size_t which) {
  batch::Column& column = buffer_.batch.columns[which];
  assert(column.values != nullptr);
  if (!column.has_nulls) {
    std::memset(column.validity, 1, row_count_);
    column.has_nulls = true;
  }
  return column.validity + row_count_;
}

void FlowWriter::set_null(size_t which, size_t rows) {
  batch::Column& column = buffer_.batch.columns[which];
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
  buffer_.reset();  // Whoever computes columns from others points them to memory of his own.
}

}  // namespace backstream::decode
