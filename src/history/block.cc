#include "history/block.h"

#include <zstd.h>

#include <algorithm>
#include <new>

#include "base/varint.h"
#include "partial/value_bytes.h"

namespace backstream::history {
namespace {

// Results are written once and read rarely; higher levels cost several times as much for a tenth of the octets.
constexpr int kLevel = 1;

template <typename Context>
Context* checked(Context* context) {
  if (context == nullptr) throw std::bad_alloc();
  return context;
}

/// Memory that is taken for a size which damaged octets claim: what they hold bounds it (compressed well, text
/// repeats).
constexpr size_t kGrowthMax = 65'536;

}  // namespace

BlockWriter::BlockWriter() : context_(checked(ZSTD_createCCtx())) {
  ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, kLevel);
}
BlockWriter::~BlockWriter() { ZSTD_freeCCtx(context_); }

std::optional<std::span<const uint8_t>> BlockWriter::write(const batch::ColumnBatch& rows) {
  columns_.clear();
  for (const batch::Column& column : rows.columns) {
    for (size_t row = 0; row < rows.row_count; ++row) partial::put_value(columns_, column, row);
    if (columns_.size() > kBlockOctetsMax) return std::nullopt;
  }
  block_.resize(ZSTD_compressBound(columns_.size()));
  const size_t octets = ZSTD_compress2(context_, block_.data(), block_.size(), columns_.data(), columns_.size());
  if (ZSTD_isError(octets) != 0) throw std::bad_alloc();  // There is no other reason.
  return std::span<const uint8_t>(block_.data(), octets);
}

BlockReader::BlockReader() : context_(checked(ZSTD_createDCtx())) {}
BlockReader::~BlockReader() { ZSTD_freeDCtx(context_); }

bool BlockReader::read(std::span<const uint8_t> block, size_t row_count, ResultPart& part) {
  const uint64_t octets = ZSTD_getFrameContentSize(block.data(), block.size());
  const std::vector<batch::Type> types = part.form->schema.types();
  // Every value takes an octet, so that a number of rows which is not true makes no memory be taken. (An unknown size,
  // and that of no frame, are larger than all.)
  if (octets > kBlockOctetsMax || octets > block.size() * kGrowthMax || types.empty() ||
      row_count > octets / types.size())
    return row_count == 0 && octets == 0;
  columns_.resize(octets);
  if (ZSTD_decompressDCtx(context_, columns_.data(), columns_.size(), block.data(), block.size()) != octets)
    return false;
  auto rows = std::make_shared<batch::BatchBuffer>(types, std::vector<bool>(types.size(), true),
                                                   std::max<size_t>(row_count, 1));
  rows->texts = base::Arena(std::max<size_t>(columns_.size(), 1));  // All texts together are no longer.
  partial::Cursor in(columns_);
  for (batch::Column& column : rows->batch.columns) {
    bool has_nulls = false;
    for (size_t row = 0; row < row_count; ++row) {
      if (!partial::get_value(in, column, row, rows->texts)) return false;
      has_nulls |= column.validity[row] == 0;
    }
    column.has_nulls = has_nulls;
  }
  if (!in.rest().empty()) return false;
  rows->batch.row_count = row_count;
  part.rows = rows->batch;
  part.memory = std::move(rows);
  return true;
}

std::vector<uint8_t> write_form(const ResultForm& form) {
  std::vector<uint8_t> out;
  base::put_varint(out, form.schema.columns.size());
  for (const batch::ColumnDef& column : form.schema.columns) {
    out.push_back(static_cast<uint8_t>(column.type));
    out.push_back(column.value_bits);
    base::put_varint(out, column.name.size());
    out.insert(out.end(), column.name.begin(), column.name.end());
  }
  base::put_varint(out, form.keys.size());
  for (const int key : form.keys) base::put_varint(out, static_cast<uint64_t>(key));
  base::put_varint_signed(out, form.window_size_us);
  base::put_varint_signed(out, form.window_start_column);
  base::put_varint_signed(out, form.window_end_column);
  // Behind all else, and only where there is one: forms from before it had a place are read, and are as they were.
  for (const int of : form.stderr_of) base::put_varint_signed(out, of);
  return out;
}

std::shared_ptr<const ResultForm> read_form(std::span<const uint8_t> octets) {
  partial::Cursor in(octets);
  auto form = std::make_shared<ResultForm>();
  uint64_t columns = 0, keys = 0;
  if (!in.u64(columns) || columns > kFormColumnsMax) return nullptr;
  for (uint64_t i = 0; i < columns; ++i) {
    batch::ColumnDef column;
    uint8_t type = 0;
    uint64_t name = 0;
    if (!in.octet(type) || type == 0 || type > static_cast<uint8_t>(batch::Type::kTimestamp) ||
        !in.octet(column.value_bits) || column.value_bits > 64 || !in.u64(name) || name > in.rest().size())
      return nullptr;
    column.type = static_cast<batch::Type>(type);
    column.name.assign(reinterpret_cast<const char*>(in.rest().data()), name);
    if (name != 0) in.advance(name);
    form->schema.columns.push_back(std::move(column));
  }
  if (!in.u64(keys) || keys > columns) return nullptr;
  for (uint64_t i = 0; i < keys; ++i) {
    uint64_t key = 0;
    if (!in.u64(key) || key >= columns) return nullptr;
    form->keys.push_back(static_cast<int>(key));
  }
  const auto column = [&](int& to) {
    int64_t number = 0;
    if (!in.i64(number) || number < -1 || number >= static_cast<int64_t>(columns)) return false;
    to = static_cast<int>(number);
    return number < 0 || form->schema.columns[static_cast<size_t>(number)].type == batch::Type::kTimestamptz;
  };
  if (!in.i64(form->window_size_us) || form->window_size_us < 0 || !column(form->window_start_column) ||
      !column(form->window_end_column))
    return nullptr;
  if (in.rest().empty()) return form;
  for (uint64_t i = 0; i < columns; ++i) {
    int64_t of = 0;
    if (!in.i64(of) || of < -1 || of >= static_cast<int64_t>(columns)) return nullptr;
    form->stderr_of.push_back(static_cast<int>(of));
  }
  return in.rest().empty() ? form : nullptr;
}

}  // namespace backstream::history
