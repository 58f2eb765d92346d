#include "batch/column_batch.h"

#include <cassert>
#include <cstring>

namespace backstream::batch {

BatchBuffer::BatchBuffer(const std::vector<Type>& types, const std::vector<bool>& wanted, size_t capacity)
    : capacity_(capacity) {
  assert(capacity >= 1);
  assert(types.size() == wanted.size());
  batch.columns.resize(types.size());
  for (size_t i = 0; i < types.size(); ++i) {
    Column& column = batch.columns[i];
    column.type = types[i];
    if (!wanted[i]) continue;
    // Zeroed, so that every row is readable from the start: an all-zero string_view is empty.
    const size_t values_octets = capacity * octets_per_value(physical(types[i]));
    memory_.push_back(std::make_unique<uint8_t[]>(values_octets + capacity));
    column.values = memory_.back().get();
    column.validity = memory_.back().get() + values_octets;
    std::memset(column.validity, 1, capacity);
  }
}

int Schema::find(std::string_view column_name) const {
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == column_name) return static_cast<int>(i);
  }
  return -1;
}

std::vector<Type> Schema::types() const {
  std::vector<Type> types;
  for (const ColumnDef& column : columns) types.push_back(column.type);
  return types;
}

}  // namespace backstream::batch
