// Rows of one exporter as a FlowBatch of the public schema.
#include <algorithm>
#include <cassert>

#include "decode/flow_fields.h"
#include "decode/flow_message.h"

namespace backstream::decode {

using batch::Column;
using batch::ColumnBatch;
using batch::FlowColumn;

namespace {

const Column& at(const ColumnBatch& rows, FlowColumn column) { return rows.columns[static_cast<size_t>(column)]; }

/// Network order. Returns the length.
size_t put_address(const base::Inet& address, void* octets) {
  uint8_t bytes[16];
  base::store_be64(bytes, address.hi);
  base::store_be64(bytes + 8, address.lo);
  const size_t count = address.family == 4 ? 4 : 16;
  std::memcpy(octets, bytes, count);
  return count;
}

bool same(const Column& column, FlowForm form, uint32_t a, uint32_t b) {
  if (column.is_null(a) || column.is_null(b)) return column.is_null(a) == column.is_null(b);
  switch (form) {
    case FlowForm::kAddress: return column.as<base::Inet>()[a] == column.as<base::Inet>()[b];
    case FlowForm::kText: return column.as<std::string_view>()[a] == column.as<std::string_view>()[b];
    default: return column.as<int64_t>()[a] == column.as<int64_t>()[b];
  }
}

void put_value(const Column& column, uint32_t number, uint32_t row, std::vector<uint8_t>& out) {
  const FlowForm form = kFlowFields[number].form;
  char octets[16];
  switch (form) {
    case FlowForm::kNumber:
    case FlowForm::kCounter: return put_number(out, number, static_cast<uint64_t>(column.as<int64_t>()[row]));
    case FlowForm::kTime: return put_fixed64(out, number, static_cast<uint64_t>(column.as<int64_t>()[row]));
    case FlowForm::kAddress:
      return put_octets(out, number, {octets, put_address(column.as<base::Inet>()[row], octets)});
    case FlowForm::kMac: {
      const auto mac = static_cast<uint64_t>(column.as<int64_t>()[row]);
      for (size_t i = 0; i < 6; ++i) octets[i] = static_cast<char>(mac >> (40 - 8 * i));
      return put_octets(out, number, {octets, 6});
    }
    case FlowForm::kText: return put_octets(out, number, column.as<std::string_view>()[row]);
  }
}

/// The event time that a reader takes where the message has none.
const Column* implied_time(const ColumnBatch& rows, uint32_t row) {
  for (const FlowColumn column :
       {FlowColumn::kFlowEnd, FlowColumn::kFlowStart, FlowColumn::kExportedAt, FlowColumn::kReceivedAt}) {
    const Column& time = at(rows, column);
    if (time.values != nullptr && !time.is_null(row)) return &time;
  }
  return nullptr;
}

/// Whether the row has a value that the reader does not know already from the others.
bool worth_writing(const ColumnBatch& rows, uint32_t number, uint32_t row) {
  const FlowColumn of = kFlowFields[number].column;
  const Column& column = at(rows, of);
  if (column.values == nullptr || column.is_null(row)) return false;
  if (of == FlowColumn::kTime) {
    const Column* implied = implied_time(rows, row);
    return implied == nullptr || implied->as<int64_t>()[row] != column.as<int64_t>()[row];
  }
  if (of == FlowColumn::kOctets || of == FlowColumn::kPackets) {
    const Column& raw = at(rows, of == FlowColumn::kOctets ? FlowColumn::kOctetsRaw : FlowColumn::kPacketsRaw);
    return raw.values == nullptr || raw.is_null(row) || raw.as<int64_t>()[row] != column.as<int64_t>()[row];
  }
  return true;
}

/// Puts what follows `begin` behind its length, which most often is one octet.
void put_length(std::vector<uint8_t>& out, size_t begin) {
  uint8_t length[10];
  size_t used = 0;
  for (uint64_t left = out.size() - begin; used == 0 || left != 0; left >>= 7)
    length[used++] = static_cast<uint8_t>((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
  out.insert(out.begin() + static_cast<std::ptrdiff_t>(begin), length, length + used);
}

}  // namespace

batch::FlowColumnSet FlowBatchWriter::columns() {
  batch::FlowColumnSet columns;
  for (uint32_t number = 1; number <= kFlowFieldLast; ++number) columns.add(kFlowFields[number].column);
  return columns;
}

size_t FlowBatchWriter::key_of(const base::Inet& exporter, uint8_t* out) { return put_address(exporter, out); }

void FlowBatchWriter::write(const ColumnBatch& rows, std::span<const uint32_t> row_numbers, const Head& head,
                            std::vector<uint8_t>& out) {
  assert(!row_numbers.empty());
  assert(head.exporter.family != 0);
  char exporter[16];
  put_number(out, static_cast<uint32_t>(BatchField::kVersion), kBatchVersion);
  put_octets(out, static_cast<uint32_t>(BatchField::kExporter), {exporter, put_address(head.exporter, exporter)});
  if (!head.site.empty()) put_octets(out, static_cast<uint32_t>(BatchField::kSite), head.site);
  put_fixed64(out, static_cast<uint32_t>(BatchField::kSentAt), static_cast<uint64_t>(head.sent_at));

  // By number: columns whose values differ, and the one value of the others.
  uint32_t own[kFlowFieldLast];
  size_t own_count = 0;
  flow_.clear();
  const uint32_t first = row_numbers.front();
  for (uint32_t number = 1; number <= kFlowFieldLast; ++number) {
    const Column& column = at(rows, kFlowFields[number].column);
    if (column.values == nullptr) continue;
    const bool needed = worth_writing(rows, number, first);
    const bool varies = std::any_of(row_numbers.begin() + 1, row_numbers.end(), [&](uint32_t row) {
      return worth_writing(rows, number, row) != needed ||
             (needed && !same(column, kFlowFields[number].form, first, row));
    });
    if (varies || (needed && row_numbers.size() == 1)) own[own_count++] = number;
    else if (needed) put_value(column, number, first, flow_);
  }
  if (!flow_.empty()) {
    put_octets(out, static_cast<uint32_t>(BatchField::kCommon),
               {reinterpret_cast<const char*>(flow_.data()), flow_.size()});
  }
  for (const uint32_t row : row_numbers) {
    put_tag(out, static_cast<uint32_t>(BatchField::kFlows), WireType::kDelimited);
    const size_t begin = out.size();
    for (size_t i = 0; i < own_count; ++i) {
      if (worth_writing(rows, own[i], row)) put_value(at(rows, kFlowFields[own[i]].column), own[i], row, out);
    }
    put_length(out, begin);
  }
  if (!head.node.empty()) put_octets(out, static_cast<uint32_t>(BatchField::kNode), head.node);
}

}  // namespace backstream::decode
