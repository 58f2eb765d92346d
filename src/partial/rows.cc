#include "partial/rows.h"

#include <algorithm>

#include "base/varint.h"
#include "partial/value_bytes.h"

namespace backstream::partial {

using batch::Column;

RowsWriter::RowsWriter(const RowForm& form, size_t octets_max) : octets_max_(octets_max) {
  for (size_t c = 0; c < form.used.size(); ++c) {
    if (form.used[c]) used_.push_back(c);
  }
  columns_.resize(used_.size());
}

void RowsWriter::add(const batch::ColumnBatch& rows, const uint32_t* numbers, size_t n) {
  for (size_t u = 0; u < used_.size(); ++u) {
    if (used_[u] >= rows.columns.size() || rows.columns[used_[u]].values == nullptr) {
      columns_[u].insert(columns_[u].end(), n, 0);  // As if each were null.
      continue;
    }
    const Column& column = rows.columns[used_[u]];
    for (size_t i = 0; i < n; ++i) put_value(columns_[u], column, numbers[i]);
  }
  row_count_ += n;
}

bool RowsWriter::is_full() const {
  size_t octets = 0;
  for (const auto& column : columns_) octets += column.size();
  return octets >= octets_max_ || row_count_ >= kRowsMax / 2;
}

std::vector<uint8_t> RowsWriter::take(const ChunkId& id) {
  std::vector<uint8_t> content;
  for (auto& column : columns_) {
    content.insert(content.end(), column.begin(), column.end());
    column.clear();
  }
  return write_data(id, {}, std::exchange(row_count_, 0), content);
}

RowsReader::RowsReader(const RowForm& form, size_t batch_rows) : form_(form), batch_rows_(batch_rows) {
  form_.used.resize(form_.types.size());
  rows_ = batch::BatchBuffer(form_.types, form_.used, batch_rows_);
}

bool RowsReader::read(const Message& message) {
  row_count_ = 0;
  const size_t rows = message.group_count;
  if (rows > kRowsMax) return false;
  // Every value takes an octet: a number of rows that is not true makes no memory be taken.
  const auto travelling = static_cast<size_t>(std::count(form_.used.begin(), form_.used.end(), true));
  if (rows * travelling > message.groups.size()) return false;
  if (rows_.capacity() < rows) rows_ = batch::BatchBuffer(form_.types, form_.used, rows);
  rows_.reset();
  Cursor in(message.groups);
  for (size_t c = 0; c < form_.used.size(); ++c) {
    if (!form_.used[c]) continue;
    Column& column = rows_.batch.columns[c];
    column.has_nulls = true;
    for (size_t row = 0; row < rows; ++row) {
      if (!get_value(in, column, row, rows_.texts)) return false;
    }
  }
  if (!in.rest().empty()) return false;
  row_count_ = rows;
  return true;
}

void RowsReader::slice(size_t first) {
  slice_.row_count = std::min(batch_rows_, row_count_ - first);
  slice_.columns = rows_.batch.columns;
  for (Column& column : slice_.columns) {
    if (column.values == nullptr) continue;
    column.values =
        static_cast<uint8_t*>(column.values) + first * batch::octets_per_value(batch::physical(column.type));
    column.validity += first;
  }
}

}  // namespace backstream::partial
