#include "receiver/result_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/inet.h"
#include "base/time.h"
#include "expr/expr.h"
#include "receiver/value_text.h"

namespace backstream::receiver {
namespace {

// Rows of a table that decide its widths; later rows of the same window may be wider than their column.
constexpr size_t kTableRowsAligned = 2'000;

}  // namespace

std::optional<Format> parse_format(std::string_view text) {
  if (text == "table") return Format::kTable;
  if (text == "csv") return Format::kCsv;
  if (text == "jsonl") return Format::kJsonl;
  if (text == "prometheus") return Format::kPrometheus;
  if (text == "none") return Format::kNone;
  return std::nullopt;
}

ResultWriter::Cell ResultWriter::cell_of(batch::Type type) {
  switch (type) {
    case batch::Type::kInt2:
    case batch::Type::kInt4:
    case batch::Type::kInt8: return Cell::kInteger;
    case batch::Type::kTimestamptz: return Cell::kTimestamp;
    case batch::Type::kInet: return Cell::kInet;
    case batch::Type::kCidr: return Cell::kCidr;
    case batch::Type::kBool: return Cell::kBool;
    case batch::Type::kText: return Cell::kText;
    case batch::Type::kFloat8: return Cell::kNumberByText;
    default: return Cell::kByText;
  }
}

ResultWriter::ResultWriter(Format format, const std::vector<View>& views, int descriptor, bool revisions)
    : format_(format), revisions_(revisions), text_(descriptor), several_(views.size() > 1) {
  for (const View& view : views) {
    if (layouts_.size() <= view.query_index) layouts_.resize(view.query_index + 1);
    Layout& layout = layouts_[view.query_index].emplace();
    layout.name = view.name;
    layout.form = view.form;
    for (const batch::ColumnDef& column : view.schema->columns) {
      Field field{};
      field.cell = cell_of(column.type);
      field.type = column.type;
      field.name = column.name;
      field.right_aligned = batch::is_numeric(column.type);
      layout.fields.push_back(std::move(field));
    }
    if (format == Format::kJsonl) {
      layout.row_lead += '{';
      if (several_) layout.row_lead.append("\"view\":").append(json_string(view.name));
      for (Field& field : layout.fields) {
        const bool first = &field == &layout.fields.front() && !several_;
        field.lead = fmt::format("{}{}:", first ? "" : ",", json_string(field.name));
      }
      layout.row_end.append("}\n");
    } else {
      if (several_) layout.row_lead = csv_text(view.name);
      layout.row_end += '\n';
    }
  }
  if (format == Format::kCsv && !views.empty()) write_csv_header();
  for (auto& layout : layouts_) {
    if (!layout) continue;
    layout->row_octets_max = layout->row_lead.size() + layout->row_end.size() + layout->csv_order.size() + 128;
    for (const Field& field : layout->fields) layout->row_octets_max += field.lead.size() + kCellOctetsMax;
  }
}

ResultWriter::~ResultWriter() { flush(); }

void ResultWriter::write_csv_header() {
  std::vector<std::string> header;
  for (auto& layout : layouts_) {
    if (!layout) continue;
    // A query may have one name twice; the n-th of a name shares the header's n-th column of it.
    std::vector<bool> taken(header.size());
    for (size_t f = 0; f < layout->fields.size(); ++f) {
      size_t at = 0;
      while (at < header.size() && (taken[at] || header[at] != layout->fields[f].name)) ++at;
      if (at == header.size()) {
        header.push_back(layout->fields[f].name);
        taken.push_back(false);
      }
      taken[at] = true;
      layout->csv_order.resize(std::max(layout->csv_order.size(), at + 1), -1);
      layout->csv_order[at] = static_cast<int>(f);
    }
  }
  std::string line;
  if (several_) line.append("view");
  for (const std::string& name : header) line.append(line.empty() ? "" : ",").append(csv_text(name));
  if (revisions_) line += ",_rev,_final,_complete,_op";
  line += '\n';
  text_.append(line);
  for (auto& layout : layouts_) {
    if (layout) layout->csv_order.resize(header.size(), -1);
  }
}

void ResultWriter::on_result(const exec::ResultBatch& result) {
  if (result.query_index >= layouts_.size() || !layouts_[result.query_index]) return;
  Layout& layout = *layouts_[result.query_index];
  if ((!result.final || result.removed) && !revisions_) return;
  row_count_ += result.rows.row_count;
  if (format_ == Format::kNone || text_.error() != 0 || layout.fields.empty()) return;
  if (format_ == Format::kTable) write_table(layout, result);
  else if (format_ == Format::kPrometheus) write_page(layout, result);
  else write_rows(layout, result);
}

void ResultWriter::write_page(Layout& layout, const exec::ResultBatch& result) {
  if (result.window_start == result.window_end) return;
  if (!layout.window) layout.window.emplace(layout.name, "", prometheus_columns(*layout.form));
  layout.window->add(result.rows);
  if (!result.last) return;
  layout.window->end({result.window_start, result.window_end, result.revision, result.complete, {}});
  PrometheusPage page;
  page.add(*layout.window);
  text_.append(page.text() + "# EOF\n");
  layout.window.reset();
}

char* ResultWriter::put_text(std::string_view value, char* at) {
  text_.advance(at);
  at = text_.room(6 * value.size() + 2);
  return format_ == Format::kJsonl ? put_json_string(value, at) : put_csv_text(value, at);
}

inline char* ResultWriter::put_value(Field& field, const batch::Column& column, size_t row, char* at) {
  const bool json = format_ == Format::kJsonl;
  switch (field.cell) {
    case Cell::kInteger: return std::to_chars(at, at + kCellOctetsMax, column.as<int64_t>()[row]).ptr;
    case Cell::kTimestamp: {
      const base::Micros time = column.as<int64_t>()[row];
      if (time != field.cached_time || field.cached_octets == 0) {
        char* end = field.cached_text;
        if (json) *end++ = '"';
        end = json ? base::format_rfc3339(time, end) : base::format_timestamp(time, end);
        if (json) *end++ = '"';
        field.cached_time = time;
        field.cached_octets = static_cast<uint8_t>(end - field.cached_text);
      }
      std::memcpy(at, field.cached_text, sizeof field.cached_text);
      return at + field.cached_octets;
    }
    case Cell::kInet:
    case Cell::kCidr:
      if (json) *at++ = '"';
      at = base::format_inet(column.as<base::Inet>()[row], at, field.cell == Cell::kCidr);
      if (json) *at++ = '"';
      return at;
    case Cell::kBool:
      if (json) return put(at, column.as<uint8_t>()[row] != 0 ? "true" : "false");
      *at = column.as<uint8_t>()[row] != 0 ? 't' : 'f';
      return at + 1;
    case Cell::kText: return put_text(column.as<std::string_view>()[row], at);
    case Cell::kNumberByText:
      if (const double number = column.as<double>()[row]; json && !std::isfinite(number))
        return put(at, std::isnan(number) ? "\"NaN\"" : number > 0 ? "\"Infinity\"" : "\"-Infinity\"");
      return put(at, expr::value_text(expr::value_at(column, row), field.type));
    case Cell::kByText: return put_text(expr::value_text(expr::value_at(column, row), field.type), at);
  }
  return at;
}

void ResultWriter::write_rows(Layout& layout, const exec::ResultBatch& result) {
  const bool json = format_ == Format::kJsonl;
  std::string row_end = layout.row_end;
  if (revisions_ && json) {
    row_end = fmt::format(",\"_rev\":{},\"_final\":{},\"_complete\":{},\"_op\":\"{}\"}}\n", result.revision,
                          result.final, result.complete, result.removed ? 'd' : 'u');
  } else if (revisions_) {
    row_end = fmt::format(",{},{},{},{}\n", result.revision, result.final ? 't' : 'f', result.complete ? 't' : 'f',
                          result.removed ? 'd' : 'u');
  }
  std::vector<bool> variable;
  for (const Field& field : layout.fields) variable.push_back(field.cell == Cell::kText || field.cell == Cell::kByText);
  const size_t column_count = json ? layout.fields.size() : layout.csv_order.size();
  for (size_t row = 0; row < result.rows.row_count; ++row) {
    char* at = put(text_.room(layout.row_octets_max), layout.row_lead);
    for (size_t c = 0; c < column_count; ++c) {
      if (!json && (c > 0 || several_)) *at++ = ',';
      const int f = json ? static_cast<int>(c) : layout.csv_order[c];
      if (f < 0) continue;
      Field& field = layout.fields[static_cast<size_t>(f)];
      const batch::Column& column = result.rows.columns[static_cast<size_t>(f)];
      if (json) at = put(at, field.lead);
      if (column.is_null(row)) {
        if (json) at = put(at, "null");
        continue;
      }
      at = put_value(field, column, row, at);
      if (variable[static_cast<size_t>(f)]) {  // put_text() made room for itself only.
        text_.advance(at);
        at = text_.room(layout.row_octets_max);
      }
    }
    text_.advance(put(at, row_end));
  }
}

std::string ResultWriter::table_cell(const Field& field, const batch::Column& column, size_t row) const {
  if (column.is_null(row)) return {};
  if (field.cell == Cell::kText) return printable(column.as<std::string_view>()[row]);
  return expr::value_text(expr::value_at(column, row), field.type);
}

void ResultWriter::write_table_rows(Layout& layout, const exec::ResultBatch& result) {
  const size_t column_count = layout.fields.size();
  const auto pad = [](std::string& line, std::string_view cell, size_t width, bool right) {
    const size_t used = characters(cell), gap = width > used ? width - used : 0;
    if (right) line.append(gap, ' ');
    line += cell;
    if (!right) line.append(gap, ' ');
  };
  if (!layout.header_written) {
    layout.widths.assign(column_count, 0);
    for (size_t c = 0; c < column_count; ++c) layout.widths[c] = characters(layout.fields[c].name);
    for (size_t i = 0; i < layout.cells.size(); ++i) {
      size_t& width = layout.widths[i % column_count];
      width = std::max(width, characters(layout.cells[i]));
    }
    std::string head, rule;
    if (result.window_end != result.window_start) {
      head = fmt::format("{}window {} to {}{}{}\n", layout.name.empty() ? "" : fmt::format("{}, ", layout.name),
                         base::format_timestamp(result.window_start), base::format_timestamp(result.window_end),
                         result.revision > 1 ? fmt::format(", revision {}", result.revision) : "",
                         result.complete ? "" : ", not complete");
    } else if (several_) {
      head = layout.name + "\n";
    }
    for (size_t c = 0; c < column_count; ++c) {
      head += c == 0 ? " " : " | ";
      pad(head, layout.fields[c].name, layout.widths[c], layout.fields[c].right_aligned);
      rule.append(c == 0 ? "-" : "+-").append(layout.widths[c] + 1, '-');
    }
    text_.append(fmt::format("{}\n{}\n", head, rule));
    layout.header_written = true;
  }
  std::string line;
  for (size_t i = 0; i < layout.cells.size(); ++i) {
    const size_t c = i % column_count;
    line += c == 0 ? " " : " | ";
    pad(line, layout.cells[i], layout.widths[c], layout.fields[c].right_aligned);
    if (c + 1 < column_count) continue;
    while (line.back() == ' ') line.pop_back();
    line += '\n';
    text_.append(line);
    line.clear();
  }
  layout.cells.clear();
}

void ResultWriter::write_table(Layout& layout, const exec::ResultBatch& result) {
  const bool windowed = result.window_end != result.window_start;
  // Rows without a window go on below the header of the rows before them.
  if (!windowed && table_last_ != &layout) layout.header_written = false;
  table_last_ = &layout;
  for (size_t row = 0; row < result.rows.row_count; ++row) {
    const size_t first = layout.cells.size();
    for (size_t c = 0; c < layout.fields.size(); ++c)
      layout.cells.push_back(table_cell(layout.fields[c], result.rows.columns[c], row));
    for (size_t c = 0; layout.form != nullptr && c < layout.form->stderr_of.size(); ++c) {
      const int of = layout.form->stderr_of[c];
      if (of >= 0)
        layout.cells[first + c] =
            error_for_people(layout.cells[first + static_cast<size_t>(of)], layout.cells[first + c]);
    }
    if (layout.cells.size() >= kTableRowsAligned * layout.fields.size()) write_table_rows(layout, result);
  }
  layout.window_rows += result.rows.row_count;
  if (!result.last) return;
  if (windowed || !layout.cells.empty()) write_table_rows(layout, result);
  if (windowed) {
    text_.append(fmt::format("({} row{})\n\n", layout.window_rows, layout.window_rows == 1 ? "" : "s"));
    layout.header_written = false;
  }
  layout.window_rows = 0;
}

}  // namespace backstream::receiver
