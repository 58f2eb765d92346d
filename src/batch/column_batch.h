#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "batch/type.h"

namespace backstream::batch {

/// Rows in a full batch. Chosen so that a handful of columns stay in the second-level cache.
inline constexpr size_t kBatchRows = 2048;

/// One column of a batch: plain arrays, memory of whoever made the batch, valid until that one is asked for more.
/// A row is null when has_nulls and validity[row] == 0; the value of a null row is unspecified but readable
/// (text: an empty view), so kernels may compute on it.
struct Column {
  Type type = Type::kUnknown;
  bool has_nulls = false;       ///< false: validity is not looked at and may be null
  void* values = nullptr;       ///< physical(type), row_count of them; null: the column was not asked for
  uint8_t* validity = nullptr;  ///< one byte a row, 1 = present, 0 = null

  template <typename T>
  const T* as() const {
    return static_cast<const T*>(values);
  }
  template <typename T>
  T* as() {
    return static_cast<T*>(values);
  }
  bool is_null(size_t row) const { return has_nulls && validity[row] == 0; }
};

/// The one shape that rooms hand each other: up to kBatchRows rows of a schema's columns, by index.
struct ColumnBatch {
  size_t row_count = 0;
  std::vector<Column> columns;
};

/// Owns the arrays of a batch of fixed capacity. Columns that are not wanted have no memory.
class BatchBuffer {
 public:
  BatchBuffer() = default;
  /// `wanted[i]` says whether column i gets memory; capacity rows (>= 1).
  BatchBuffer(const std::vector<Type>& types, const std::vector<bool>& wanted, size_t capacity);
  ColumnBatch batch;
  base::Arena texts;  ///< of text and bytea columns, for who fills them; lives as long as the rows do
  size_t capacity() const { return capacity_; }
  /// For the next rows: columns that somebody has pointed to values of his own have the buffer's memory again, and no
  /// column holds nulls or texts.
  void reset();

 private:
  struct Owned {
    size_t column;
    std::unique_ptr<uint8_t[]> memory;  ///< values, then validity
    uint8_t* validity;
  };
  size_t capacity_ = 0;
  std::vector<Owned> owned_;
};

struct ColumnDef {
  std::string name;
  Type type;
  /// Values are known to lie in 0 .. 2^value_bits - 1 (ports: 16, AS numbers: 32); 0: any. Lets keys be packed.
  uint8_t value_bits = 0;
  bool hidden = false;    ///< only by name: * does not stand for it
  bool additive = false;  ///< counts the whole flow: spread() divides it over the flow's time
};

struct Schema {
  std::vector<ColumnDef> columns;
  /// Index by exact (lower-case) name, or -1.
  int find(std::string_view column_name) const;
  std::vector<Type> types() const;  ///< by column
};

}  // namespace backstream::batch
