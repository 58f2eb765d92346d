#pragma once
// Rows that are not grouped where they arrive, as they travel (codec.h, kind `rows`): the columns that the plan reads,
// one after another.
#include <cstdint>
#include <vector>

#include "batch/column_batch.h"
#include "partial/codec.h"

namespace backstream::partial {

/// What both ends know from the plan.
struct RowForm {
  std::vector<batch::Type> types;  ///< of all columns of the row
  std::vector<bool> used;          ///< those that travel; no longer than `types`
};

inline constexpr size_t kRowsMax = 65'536;  ///< of one message

/// Collects rows and writes them in messages of about `octets_max`. One thread.
class RowsWriter {
 public:
  explicit RowsWriter(const RowForm& form, size_t octets_max = 256 * 1024);
  /// Adds rows numbers[0 .. n) of the batch. A column without values travels as one that is not there.
  void add(const batch::ColumnBatch& rows, const uint32_t* numbers, size_t n);
  size_t row_count() const { return row_count_; }
  /// It is time for take().
  bool is_full() const;
  /// The message of what was added since the last call.
  std::vector<uint8_t> take(const ChunkId& id);

 private:
  size_t octets_max_;
  std::vector<size_t> used_;
  std::vector<std::vector<uint8_t>> columns_;  ///< by number in used_
  size_t row_count_ = 0;
};

/// Reads them back, a batch at a time. Memory is reused. One thread.
class RowsReader {
 public:
  RowsReader(const RowForm& form, size_t batch_rows);
  /// Reads all rows of a message, or none: false when any octet does not fit the form.
  bool read(const Message& message);
  /// Calls take(batch) for all rows of the last message, at most batch_rows at a time. Columns that did not travel have
  /// no values.
  template <typename Take>
  void for_each_batch(Take&& take) {
    for (size_t first = 0; first < row_count_; first += batch_rows_) {
      slice(first);
      take(slice_);
    }
  }

 private:
  void slice(size_t first);

  RowForm form_;
  const size_t batch_rows_;
  batch::BatchBuffer rows_;
  size_t row_count_ = 0;
  batch::ColumnBatch slice_;
};

}  // namespace backstream::partial
