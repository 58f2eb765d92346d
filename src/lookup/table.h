#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/diagnostic.h"
#include "batch/column_batch.h"
#include "expr/expr.h"

namespace backstream::lookup {

/// "There is no such row": what a lookup gives for a key that is null or not in the table.
inline constexpr uint32_t kNoRow = UINT32_MAX;

/// What a lookup table may hold. Over it a file is refused, and so is an INSERT.
struct TableLimits {
  uint32_t row_count_max = 16'000'000;                     ///< at most kRowsAtMost
  uint64_t octets_max = uint64_t{4} << 30;                 ///< values and text of one snapshot; indexes come on top
  static constexpr uint32_t kRowsAtMost = (1U << 30) - 2;  ///< row numbers have 30 bits in PrefixTable
};

/// Name, columns and key of a lookup table, as CREATE TABLE gives them.
struct TableDefinition {
  std::string name;
  batch::Schema schema;
  std::vector<uint32_t> primary_key;  ///< column indexes; empty: rows have no identity
  /// A text column of a file is one of a few words, or null.
  struct Choice {
    size_t column = 0;
    std::vector<std::string_view> words;
  };
  std::vector<Choice> choices = {};
  /// Error "22023" when the column has a choice of words and this is none of them.
  base::Result<void> check_word(size_t column, std::string_view word, base::SourceSpan where) const;
  bool partial_files = false;  ///< a CSV file may leave out columns that are not of the key: they are null
};

/// An immutable snapshot of the rows of a lookup table, in columns. Any thread.
class Table {
 public:
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  const batch::Schema& schema() const { return schema_; }
  size_t row_count() const { return row_count_; }
  size_t column_count() const { return columns_.size(); }
  /// row_count() values; they and their text are the table's memory. Not to be written.
  const batch::Column& column(size_t index) const { return columns_[index]; }
  /// All columns, for evaluating expressions over the rows (Evaluator: at most its batch_rows at a time, see slice()).
  batch::ColumnBatch slice(size_t begin, size_t row_count) const;
  /// Octets of values, validity and text.
  size_t octets_held() const { return octets_held_; }

 private:
  friend class TableBuilder;
  Table() = default;
  batch::Schema schema_;
  size_t row_count_ = 0;
  size_t octets_held_ = 0;
  std::vector<batch::Column> columns_;
  std::vector<std::unique_ptr<uint8_t[]>> memory_;
  base::Arena text_;
};

/// Collects rows, then makes a Table of them. Every row gets one value for each column, in any order, then end_row();
/// a column that got none is null. One thread.
class TableBuilder {
 public:
  explicit TableBuilder(batch::Schema schema, const TableLimits& limits = {});

  const batch::Schema& schema() const { return table_->schema_; }
  size_t row_count() const { return row_count_; }

  // The value of one column of the row that is being built. The type's physical form must fit (asserted).
  void set_bool(size_t column, bool value) { *at<uint8_t>(column, batch::Physical::kByte) = value ? 1 : 0; }
  void set_int64(size_t column, int64_t value) { *at<int64_t>(column, batch::Physical::kInt64) = value; }
  void set_double(size_t column, double value) { *at<double>(column, batch::Physical::kDouble) = value; }
  void set_inet(size_t column, const base::Inet& value) { *at<base::Inet>(column, batch::Physical::kInet) = value; }
  void set_interval(size_t column, const base::Interval& value) {
    *at<base::Interval>(column, batch::Physical::kInterval) = value;
  }
  /// Copies the text into the table.
  void set_text(size_t column, std::string_view value) { set_kept_text(column, keep_text(value)); }
  /// Text that keep_text() gave, or that lives as long as the table: several rows share it.
  void set_kept_text(size_t column, std::string_view value) {
    *at<std::string_view>(column, batch::Physical::kText) = value;
  }
  std::string_view keep_text(std::string_view value) { return table_->text_.copy(value); }
  void set_value(size_t column, const expr::Value& value);
  /// The value of `row` of a column of the same physical form. Text is copied.
  void set_from(size_t column, const batch::Column& from, size_t row);

  /// Completes the row. False, with the row taken back, when the table is at its limit: see refuse_limit().
  bool end_row();
  /// Forgets the values of the row that is being built.
  void drop_row();
  /// The error to give when end_row() said false ("54000", program limit exceeded).
  tl::unexpected<base::Diagnostic> refuse_limit() const;

  /// The builder is spent.
  std::shared_ptr<const Table> finish();

 private:
  struct Store {
    batch::Physical physical;
    std::unique_ptr<uint8_t[]> values, validity;
  };
  template <typename T>
  T* at(size_t column, batch::Physical physical) {
    Store& store = stores_[column];
    check(store.physical == physical);
    store.validity[row_count_] = 1;
    return reinterpret_cast<T*>(store.values.get()) + row_count_;
  }
  static void check(bool condition);
  void reserve(size_t rows);

  TableLimits limits_;
  std::unique_ptr<Table> table_;
  std::vector<Store> stores_;
  size_t row_count_ = 0;
  size_t capacity_ = 0;
  uint64_t row_octets_ = 0;
  std::vector<uint64_t> null_counts_;
};

}  // namespace backstream::lookup
