#include "receiver/result_part.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "receiver/value_text.h"

namespace backstream::receiver {
namespace {

/// Memory of a copied batch.
struct OwnedRows {
  std::vector<std::unique_ptr<uint8_t[]>> arrays;
};

bool is_text(batch::Type type) { return batch::physical(type) == batch::Physical::kText; }

void copy_texts(const batch::Column& from, size_t begin, size_t end, batch::Column& to, OwnedRows& memory) {
  size_t octets = 0;
  const auto* const texts = from.as<std::string_view>();
  for (size_t row = begin; row < end; ++row) octets += from.is_null(row) ? 0 : texts[row].size();
  auto bytes = std::make_unique<uint8_t[]>(std::max<size_t>(octets, 1));
  auto* at = bytes.get();
  for (size_t row = begin; row < end; ++row) {
    std::string_view& copy = to.as<std::string_view>()[row - begin];
    copy = {};
    if (from.is_null(row) || texts[row].empty()) continue;
    std::memcpy(at, texts[row].data(), texts[row].size());
    copy = {reinterpret_cast<const char*>(at), texts[row].size()};
    at += copy.size();
  }
  memory.arrays.push_back(std::move(bytes));
}

std::string time_json(Micros time) {
  char text[kCellOctetsMax];
  return '"' + std::string(text, base::format_rfc3339(time, text)) + '"';
}

}  // namespace

size_t copied_octets(const batch::ColumnBatch& rows, size_t begin, size_t end) {
  size_t octets = sizeof(ResultPart);
  for (const batch::Column& column : rows.columns) {
    octets += sizeof column + (end - begin) * (octets_per_value(batch::physical(column.type)) + column.has_nulls);
    if (!is_text(column.type)) continue;
    for (size_t row = begin; row < end; ++row) {
      if (!column.is_null(row)) octets += column.as<std::string_view>()[row].size();
    }
  }
  return octets;
}

void copy_rows(const batch::ColumnBatch& from, size_t begin, size_t end, size_t column_count, ResultPart& part) {
  auto memory = std::make_shared<OwnedRows>();
  const size_t count = end - begin;
  part.rows.row_count = count;
  for (size_t c = 0; c < column_count; ++c) {
    const batch::Column& column = from.columns[c];
    batch::Column& copy = part.rows.columns.emplace_back();
    copy.type = column.type;
    const size_t width = octets_per_value(batch::physical(column.type));
    // new[] of bytes is aligned for any value.
    memory->arrays.push_back(std::make_unique<uint8_t[]>(std::max<size_t>(count * width, 1)));
    copy.values = memory->arrays.back().get();
    if (is_text(column.type)) copy_texts(column, begin, end, copy, *memory);
    else if (count != 0) std::memcpy(copy.values, column.as<uint8_t>() + begin * width, count * width);
    copy.has_nulls = column.has_nulls;
    if (!column.has_nulls) continue;
    memory->arrays.push_back(std::make_unique<uint8_t[]>(std::max<size_t>(count, 1)));
    copy.validity = memory->arrays.back().get();
    if (count != 0) std::memcpy(copy.validity, column.validity + begin, count);
  }
  part.memory = std::move(memory);
}

bool tells_rows_apart(const ResultForm& form, int column) {
  return column != form.window_start_column && column != form.window_end_column &&
         std::find(form.keys.begin(), form.keys.end(), column) != form.keys.end();
}

std::string_view stderr_of(const ResultForm& form, int column) {
  const int of = form.stderr_of.empty() ? -1 : form.stderr_of[static_cast<size_t>(column)];
  return of < 0 ? std::string_view() : std::string_view(form.schema.columns[static_cast<size_t>(of)].name);
}

std::string columns_json(const ResultForm& form) {
  std::string out = "[";
  for (int c = 0; c < static_cast<int>(form.schema.columns.size()); ++c) {
    const batch::ColumnDef& column = form.schema.columns[static_cast<size_t>(c)];
    if (out.size() > 1) out += ',';
    out += fmt::format(R"({{"name":{},"type":{}{}{}}})", json_string(column.name),
                       json_string(batch::name(column.type)), tells_rows_apart(form, c) ? R"(,"key":true)" : "",
                       stderr_of(form, c).empty() ? "" : R"(,"stderr_of":)" + json_string(stderr_of(form, c)));
  }
  return out + ']';
}

std::string window_json(const std::string& query, const ResultPart& part, size_t row_begin, size_t row_end, bool last,
                        bool truncated) {
  std::string out = fmt::format(
      R"({{"query":{},"version":{},"seq":{},"window_start":{},"window_end":{},"revision":{},"final":{},"complete":{},)"
      R"("removed":{},"part":{},"last":{},"rows_total":{},"truncated":{},"columns":{},"rows":[)",
      json_string(query), part.version, part.seq, part.windowed() ? time_json(part.window_start) : "null",
      part.windowed() ? time_json(part.window_end) : "null", part.revision, part.final, part.complete, part.removed,
      part.part, last, last ? std::to_string(part.rows_before + part.rows.row_count) : "null", truncated,
      columns_json(*part.form));
  for (size_t row = row_begin; row < row_end; ++row) {
    out += row == row_begin ? "[" : ",[";
    for (size_t c = 0; c < part.rows.columns.size(); ++c) {
      if (c != 0) out += ',';
      append_json_value(out, part.rows.columns[c], row);
    }
    out += ']';
  }
  out += ']';
  if (!part.sites_missing.empty()) out += ",\"sites_missing\":" + texts_json(part.sites_missing);
  return out + '}';
}

std::string texts_json(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) out.append(out.size() > 1 ? "," : "").append(json_string(text));
  return out + ']';
}

}  // namespace backstream::receiver
