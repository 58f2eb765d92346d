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
    auto memory = std::make_unique<uint8_t[]>(values_octets + capacity);
    column.values = memory.get();
    column.validity = memory.get() + values_octets;
    std::memset(column.validity, 1, capacity);
    owned_.push_back({i, std::move(memory), column.validity});
  }
}

void BatchBuffer::reset() {
  for (const Owned& owned : owned_) {
    Column& column = batch.columns[owned.column];
    column.values = owned.memory.get();
    column.validity = owned.validity;
    column.has_nulls = false;
  }
  texts.reset();
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
