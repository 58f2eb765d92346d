#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "batch/flow_schema.h"

namespace backstream::decode {

/// Which elements the rows show as they were exported, in columns behind those of batch::FlowColumn.
struct WantedElements {
  struct Column {
    size_t index;  ///< in the batch
    batch::ElementColumn from;
  };
  std::vector<Column> columns;
  /// Of no other set that was ever made, but copies: who remembers a set remembers this, as addresses come again.
  uint64_t number = next_number();
  /// Of all columns that a batch has behind those of batch::FlowColumn; those not in `columns` get no memory.
  std::vector<batch::Type> types;

 private:
  static uint64_t next_number() {
    static std::atomic<uint64_t> last{0};
    return ++last;
  }
};

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

  /// @param elements  null: batches have the columns of batch::FlowColumn only
  FlowWriter(const batch::FlowColumnSet& wanted, Consumer& consumer, size_t capacity = batch::kBatchRows,
             std::shared_ptr<const WantedElements> elements = nullptr);

  const batch::FlowColumnSet& wanted() const { return wanted_; }
  /// Null: none.
  const WantedElements* wanted_elements() const { return elements_.get(); }
  bool wants(batch::FlowColumn column) const { return column_at(column).values != nullptr; }
  /// Rows that can be written now, at most `asked` (> 0). Flushes when the batch is full.
  size_t room(size_t asked) {
    if (row_count_ == capacity_ || buffer_.texts.octets_held() > kTextOctetsMax) flush();
    const size_t left = capacity_ - row_count_;
    return asked < left ? asked : left;
  }
  /// The next free slot of a column, or null when the column is not wanted.
  template <typename T>
  T* values(batch::FlowColumn column) {
    return values<T>(static_cast<size_t>(column));
  }
  /// As all that follow, by the index of a column of WantedElements.
  template <typename T>
  T* values(size_t column) {
    T* base = buffer_.batch.columns[column].template as<T>();
    return base == nullptr ? nullptr : base + row_count_;
  }
  /// The validity bytes at the next free slot (1 = present). Marks the column as one that may hold nulls: the caller
  /// must then write all rows that it commits; rows committed earlier are marked present. Not for unwanted columns.
  uint8_t* validity(batch::FlowColumn column) { return validity(static_cast<size_t>(column)); }
  uint8_t* validity(size_t column);
  /// The next `rows` rows of the column are null. Nothing when it is not wanted.
  void set_null(batch::FlowColumn column, size_t rows) { set_null(static_cast<size_t>(column), rows); }
  void set_null(size_t column, size_t rows);
  /// The same for all elements, for a decoder whose records have none.
  void set_elements_null(size_t rows) {
    if (elements_ == nullptr) return;
    for (const auto& column : elements_->columns) set_null(column.index, rows);
  }
  /// Memory for texts of the rows until the consumer is done with them.
  base::Arena& texts() { return buffer_.texts; }
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
  void mark_present(batch::FlowColumn column, size_t rows) { mark_present(static_cast<size_t>(column), rows); }
  void mark_present(size_t column, size_t rows) {
    batch::Column& c = buffer_.batch.columns[column];
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
  /// A batch whose texts are longer is handed over before it is full.
  static constexpr size_t kTextOctetsMax = 4 << 20;
  const batch::Column& column_at(batch::FlowColumn column) const {
    return buffer_.batch.columns[static_cast<size_t>(column)];
  }
  void mark_present_slow(batch::Column& column, size_t rows);

  Consumer& consumer_;
  batch::FlowColumnSet wanted_;
  std::shared_ptr<const WantedElements> elements_;
  batch::BatchBuffer buffer_;
  size_t capacity_;
  size_t row_count_ = 0;
};

}  // namespace backstream::decode
