#include "app/result_printer.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/client_command.h"
#include "base/time.h"
#include "http/message.h"
#include "receiver/value_text.h"

namespace backstream::app {
namespace {

using Kind = ResultCell::Kind;
using receiver::Format;

bool is_number(const ResultColumn& column) {
  return column.type == "smallint" || column.type == "integer" || column.type == "bigint" ||
         column.type == "double precision";
}

/// As PostgreSQL prints it.
std::string plain_text(const ResultCell& cell, const ResultColumn& column) {
  switch (cell.kind) {
    case Kind::kNull: return {};
    case Kind::kTrue: return "t";
    case Kind::kFalse: return "f";
    case Kind::kNumber: return cell.text;
    case Kind::kText: break;
  }
  if (column.type == "timestamp with time zone") {
    if (const auto time = base::parse_timestamp(cell.text)) return base::format_timestamp(*time);
  }
  return cell.text;
}

std::string csv_cell(const ResultCell& cell, const ResultColumn& column) {
  std::string text = plain_text(cell, column);
  if (cell.kind != Kind::kText || is_number(column)) return text;  // NaN is a text in JSON only.
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

std::string json_cell(const ResultCell& cell) {
  switch (cell.kind) {
    case Kind::kNull: return "null";
    case Kind::kTrue: return "true";
    case Kind::kFalse: return "false";
    case Kind::kNumber: return cell.text;
    case Kind::kText: return http::json_string(cell.text);
  }
  return {};
}

std::string time_text(const std::string& rfc3339) {
  const auto time = base::parse_timestamp(rfc3339);
  return time ? base::format_timestamp(*time) : printable(rfc3339);
}

void pad(std::string& line, std::string_view cell, size_t width, bool right) {
  const size_t used = character_count(cell), gap = width > used ? width - used : 0;
  if (right) line.append(gap, ' ');
  line += cell;
  if (!right) line.append(gap, ' ');
}

}  // namespace

ResultPrinter::ResultPrinter(Format format, bool revisions, int descriptor, uint64_t rows_max)
    : format_(format), revisions_(revisions), rows_max_(rows_max), text_(descriptor) {}

bool ResultPrinter::begin(const std::vector<ResultColumn>& columns) {
  if (!columns.empty() && columns_ != columns) {
    if (columns_) header_changed_ = true;
    columns_ = columns;
    header_written_ = false;
    if (format_ == Format::kCsv) {
      std::vector<std::string> names;
      for (const ResultColumn& column : columns) names.push_back(column.name);
      std::string line = csv_line(names);
      if (revisions_) line.insert(line.size() - 1, ",_rev,_final,_complete,_op");
      text_.append(line);
      text_.flush();
    }
  }
  return text_.error() == 0 && row_count_ < rows_max_;
}

bool ResultPrinter::put(const ResultPart& part) {
  if (!begin(part.columns)) return false;
  const auto row_count = static_cast<size_t>(std::min<uint64_t>(part.rows.size(), rows_max_ - row_count_));
  row_count_ += row_count;
  if (format_ == Format::kTable) put_table(part, row_count);
  else if (format_ == Format::kPrometheus) put_page(part, row_count);
  else if (format_ != Format::kNone) put_lines(part, row_count);
  text_.flush();
  return text_.error() == 0 && row_count_ < rows_max_;
}

void ResultPrinter::put_lines(const ResultPart& part, size_t row_count) {
  const bool json = format_ == Format::kJsonl;
  std::vector<std::string> leads;
  for (const ResultColumn& column : part.columns)
    leads.push_back(json            ? fmt::format("{}{}:", leads.empty() ? "{" : ",", http::json_string(column.name))
                    : leads.empty() ? ""
                                    : ",");
  std::string end = json ? "}\n" : "\n";
  const char op = part.removed ? 'd' : 'u';
  if (revisions_ && json) {
    end = fmt::format(R"(,"_rev":{},"_final":{},"_complete":{},"_op":"{}"}})", part.revision, part.final, part.complete,
                      op) +
          '\n';
  } else if (revisions_) {
    end = fmt::format(",{},{},{},{}\n", part.revision, part.final ? 't' : 'f', part.complete ? 't' : 'f', op);
  }
  std::string line;
  for (size_t row = 0; row < row_count; ++row) {
    line.clear();
    for (size_t c = 0; c < part.columns.size(); ++c) {
      line += leads[c];
      line += json ? json_cell(part.rows[row][c]) : csv_cell(part.rows[row][c], part.columns[c]);
    }
    text_.append(line += end);
  }
}

void ResultPrinter::put_page(const ResultPart& part, size_t row_count) {
  const auto start = base::parse_timestamp(part.window_start), end = base::parse_timestamp(part.window_end);
  if (!start || !end) return;  // Rows without a window.
  if (!page_.has_begun()) {
    std::vector<PrometheusLines::Column> columns;
    for (const ResultColumn& column : part.columns)
      columns.push_back({column.name, column.type, column.key, column.stderr_of});
    page_.begin(part.query, columns);
  }
  for (size_t row = 0; row < row_count; ++row) {
    std::vector<std::optional<std::string>> cells;
    for (size_t c = 0; c < part.columns.size(); ++c) {
      const ResultCell& cell = part.rows[row][c];
      if (cell.kind == Kind::kNull) cells.emplace_back();
      else cells.emplace_back(plain_text(cell, part.columns[c]));
    }
    page_.add(std::move(cells));
  }
  if (part.last) text_.append(page_.end({*start, *end, part.revision, part.complete, part.sites_missing}));
}

void ResultPrinter::put_table(const ResultPart& part, size_t row_count) {
  const bool windowed = !part.window_start.empty();
  std::string window = windowed
                           ? fmt::format("window {} to {}{}", time_text(part.window_start), time_text(part.window_end),
                                         part.revision > 1 ? fmt::format(", revision {}", part.revision) : "")
                           : "";
  if (windowed && window != window_) {
    // The last part of the one before never came.
    if (!window_.empty() && header_written_) text_.append(fmt::format("({} rows, not all)\n\n", window_rows_));
    header_written_ = false;
    window_rows_ = 0;
  }
  window_ = window;
  std::vector<std::vector<std::string>> cells(row_count);
  for (size_t row = 0; row < row_count; ++row) {
    for (size_t c = 0; c < part.columns.size(); ++c)
      cells[row].push_back(printable(plain_text(part.rows[row][c], part.columns[c])));
    for (size_t c = 0; c < part.columns.size(); ++c) {
      const auto of = std::find_if(part.columns.begin(), part.columns.end(), [&](const ResultColumn& column) {
        return !part.columns[c].stderr_of.empty() && column.name == part.columns[c].stderr_of;
      });
      if (of != part.columns.end())
        cells[row][c] =
            receiver::error_for_people(cells[row][static_cast<size_t>(of - part.columns.begin())], cells[row][c]);
    }
  }
  std::string text;
  if (!header_written_) {
    widths_.assign(part.columns.size(), 0);
    for (size_t c = 0; c < widths_.size(); ++c) {
      widths_[c] = character_count(printable(part.columns[c].name));
      for (const auto& row : cells) widths_[c] = std::max(widths_[c], character_count(row[c]));
    }
    std::string rule;
    if (windowed) {
      text += window + (part.complete ? "" : ", not complete");
      for (const std::string& site : part.sites_missing)
        text += (&site == &part.sites_missing.front() ? ": missing " : ", ") + printable(site);
      text += '\n';
    }
    for (size_t c = 0; c < widths_.size(); ++c) {
      text += c == 0 ? " " : " | ";
      pad(text, printable(part.columns[c].name), widths_[c], is_number(part.columns[c]));
      rule.append(c == 0 ? "-" : "+-").append(widths_[c] + 1, '-');
    }
    text += '\n' + rule + '\n';
    header_written_ = true;
  }
  for (const auto& row : cells) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      line += c == 0 ? " " : " | ";
      pad(line, row[c], widths_[c], is_number(part.columns[c]));
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  window_rows_ += row_count;
  if (windowed && part.last) {
    text += fmt::format("({} row{})\n\n", window_rows_, window_rows_ == 1 ? "" : "s");
    header_written_ = false;
    window_rows_ = 0;
    window_.clear();
  }
  text_.append(text);
}

}  // namespace backstream::app
