#pragma once
// What the rows of a part, and their form, are in a file of history.
//
//   block: zstd of columns, one after another; each is its values in the order of rows (partial/value_bytes.h)
//   form:  column_count (type:1 value_bits:1 name)...  key_count key...  window_size start_column end_column
//          (LEB128 integers; names: octets, then text)
//
// Both come from disks: what does not fit is refused, whatever it is.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "receiver/result_part.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace backstream::history {

using receiver::ResultForm;
using receiver::ResultPart;

inline constexpr size_t kBlockOctetsMax = size_t{1} << 30;  ///< of its columns; and SQLite's of a value
inline constexpr size_t kFormColumnsMax = 4'096;

/// Memory is reused from block to block. One thread.
class BlockWriter {
 public:
  BlockWriter();
  ~BlockWriter();
  BlockWriter(const BlockWriter&) = delete;
  BlockWriter& operator=(const BlockWriter&) = delete;
  /// Valid until the next call; nullopt: the rows take more than kBlockOctetsMax.
  std::optional<std::span<const uint8_t>> write(const batch::ColumnBatch& rows);

 private:
  ZSTD_CCtx_s* const context_;
  std::vector<uint8_t> columns_, block_;
};

/// One thread.
class BlockReader {
 public:
  BlockReader();
  ~BlockReader();
  BlockReader(const BlockReader&) = delete;
  BlockReader& operator=(const BlockReader&) = delete;
  /// Gives the part, whose form is set, its rows. False: the octets are not so many rows of this form; the part has
  /// none.
  bool read(std::span<const uint8_t> block, size_t row_count, ResultPart& part);

 private:
  ZSTD_DCtx_s* const context_;
  std::vector<uint8_t> columns_;
};

std::vector<uint8_t> write_form(const ResultForm& form);
/// Null: it is no form.
std::shared_ptr<const ResultForm> read_form(std::span<const uint8_t> octets);

}  // namespace backstream::history
