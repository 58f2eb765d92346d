#pragma once
#include <array>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "batch/side_streams.h"

namespace backstream::decode {

/// Where decoders put rows of a stream beside `flows`, one at a time: these are few beside the flows.
///     writer.begin_row();
///     writer.set(batch::CounterColumn::kIfIndex, index);   // not wanted: nothing
/// A column that is not set is null.
class SideWriter {
 public:
  /// Rows 0 .. batch.row_count - 1; the batch is reused when this returns.
  using Consumer = std::function<void(batch::ColumnBatch& rows)>;

  /// @param wanted  by column; the others get no memory
  SideWriter(const batch::Schema& schema, const std::vector<bool>& wanted, size_t capacity, Consumer consumer);

  /// Hands the rows before over when the batch is full.
  void begin_row();
  template <typename Enum>
  bool wants(Enum column) const {
    return buffer_.batch.columns[static_cast<size_t>(column)].values != nullptr;
  }
  template <typename Enum>
  void set(Enum column, int64_t value) {
    put(static_cast<size_t>(column), value);
  }
  template <typename Enum>
  void set(Enum column, const base::Inet& value) {
    put(static_cast<size_t>(column), value);
  }
  /// Copies the text, which must be UTF-8 without zeros.
  template <typename Enum>
  void set(Enum column, std::string_view value) {
    if (wants(column)) put(static_cast<size_t>(column), buffer_.texts.copy(value));
  }
  /// Hands over the rows that there are.
  void flush();

 private:
  /// A batch whose texts are longer is handed over before it is full.
  static constexpr size_t kTextOctetsMax = 4 << 20;
  template <typename T>
  void put(size_t which, const T& value) {
    batch::Column& column = buffer_.batch.columns[which];
    if (column.values == nullptr) return;
    column.as<T>()[row_count_ - 1] = value;
    column.validity[row_count_ - 1] = 1;
  }

  const Consumer consumer_;
  batch::BatchBuffer buffer_;
  std::vector<size_t> live_;  ///< columns that have memory
  size_t row_count_ = 0;
};

/// A writer for each stream that a query reads.
class SideWriters {
 public:
  /// Null: nobody reads it.
  SideWriter* of(batch::SideStream stream) const { return writers_[static_cast<size_t>(stream)].get(); }
  void set(batch::SideStream stream, std::unique_ptr<SideWriter> writer) {
    writers_[static_cast<size_t>(stream)] = std::move(writer);
  }
  void flush() {
    for (const auto& writer : writers_) {
      if (writer) writer->flush();
    }
  }

 private:
  std::array<std::unique_ptr<SideWriter>, batch::kSideStreamCount> writers_;
};

}  // namespace backstream::decode
