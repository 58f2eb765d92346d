#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "batch/flow_schema.h"

namespace backstream::decode {

/// Where decoders put rows: the columns of one batch of `flows`, memory for the wanted ones only. A full batch goes to
/// the consumer in the middle of a datagram; the consumer moves no watermark then (DESIGN rule 4: datagram boundaries).
///
/// A decoder asks for room, writes the rows of every column that has memory (values and, where the column may be null,
/// validity), then commits:
///     size_t room = writer.room(records);                 // 1 .. records, flushes first when the batch is full
///     int64_t* octets = writer.values<int64_t>(FlowColumn::kOctetsRaw);   // null: not wanted
///     ...
///     writer.commit(room);
/// Every wanted column must be written for every row: set_null() for what the record does not have.
class FlowWriter {
 public:
  class Consumer {
   public:
    virtual ~Consumer() = default;
    /// Rows 0 .. batch.row_count - 1. The batch is reused when this returns. Called once a batch, not once a row.
    virtual void on_flows(batch::ColumnBatch& batch) = 0;
  };

  FlowWriter(const batch::FlowColumnSet& wanted, Consumer& consumer, size_t capacity = batch::kBatchRows);

  const batch::FlowColumnSet& wanted() const { return wanted_; }
  bool wants(batch::FlowColumn column) const { return column_at(column).values != nullptr; }
  /// Rows that can be written now, at most `asked` (> 0). Flushes when the batch is full.
  size_t room(size_t asked) {
    if (row_count_ == capacity_) flush();
    const size_t left = capacity_ - row_count_;
    return asked < left ? asked : left;
  }
  /// The next free slot of a column, or null when the column is not wanted.
  template <typename T>
  T* values(batch::FlowColumn column) {
    T* base = column_at(column).as<T>();
    return base == nullptr ? nullptr : base + row_count_;
  }
  /// The validity bytes at the next free slot (1 = present). Marks the column as one that may hold nulls: the caller
  /// must then write all rows that it commits; rows committed earlier are marked present. Not for unwanted columns.
  uint8_t* validity(batch::FlowColumn column);
  /// The next `rows` rows of the column are null. Nothing when it is not wanted.
  void set_null(batch::FlowColumn column, size_t rows);
  /// The next `rows` rows hold this one value.
  template <typename T>
  void fill(batch::FlowColumn column, T value, size_t rows) {
    T* at = values<T>(column);
    if (at == nullptr) return;
    for (size_t i = 0; i < rows; ++i) at[i] = value;
    mark_present(column, rows);
  }
  /// For a column without nulls in these rows; needed only where the batch already holds nulls of that column, so call
  /// it after writing values of any column that was not given validity() or set_null().
  void mark_present(batch::FlowColumn column, size_t rows) {
    batch::Column& c = column_at(column);
    if (c.has_nulls) mark_present_slow(c, rows);
  }
  void commit(size_t rows) { row_count_ += rows; }
  /// Hands the rows over now, if there are any.
  void flush();
  /// For a consumer that keeps the rows beyond on_flows(): gives the memory of the batch away for another of the same
  /// shape (a BatchBuffer made with the writer's columns and capacity, or one that was given away before). Only within
  /// on_flows().
  void exchange_buffer(batch::BatchBuffer& other) { std::swap(buffer_, other); }
  /// An empty buffer of the writer's shape.
  batch::BatchBuffer make_buffer() const;
  size_t row_count() const { return row_count_; }

 private:
  batch::Column& column_at(batch::FlowColumn column) { return buffer_.batch.columns[static_cast<size_t>(column)]; }
  const batch::Column& column_at(batch::FlowColumn column) const {
    return buffer_.batch.columns[static_cast<size_t>(column)];
  }
  void mark_present_slow(batch::Column& column, size_t rows);

  Consumer& consumer_;
  batch::FlowColumnSet wanted_;
  batch::BatchBuffer buffer_;
  size_t capacity_;
  size_t row_count_ = 0;
};

}  // namespace backstream::decode
