#include "app/shell/table_printer.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "app/shell/display_text.h"
#include "http/message.h"
#include "receiver/value_text.h"

namespace backstream::app::shell {
namespace {

/// Of a column of text that is cut: less tells nothing.
constexpr size_t kTextColumnsMin = 12;

/// What may be cut: texts of any length. Half an address or time is as bad as half a number.
bool is_text(const ResultColumn& column) {
  if (is_number_type(column.type)) return false;
  constexpr std::string_view kWhole[] = {"boolean", "inet", "cidr", "macaddr", "interval"};
  return !column.type.starts_with("timestamp") &&
         std::find(std::begin(kWhole), std::end(kWhole), column.type) == std::end(kWhole);
}

using Texts = std::vector<std::vector<std::string>>;

struct Layout {
  std::vector<std::string> heads;
  Texts rows;
  std::vector<size_t> widths;
};

/// Of " a | b | c ": each column with a blank on both sides, and lines between.
size_t total_width(std::span<const size_t> widths) {
  return std::accumulate(widths.begin(), widths.end(), size_t{0}) + 3 * widths.size() - (widths.empty() ? 0 : 1);
}

Layout lay_out(const std::vector<ResultColumn>& columns, std::span<const Row> rows, const TableStyle& style) {
  Layout layout;
  for (const ResultColumn& column : columns) {
    layout.heads.push_back(printable(column.name));
    layout.widths.push_back(std::max<size_t>(width_of(layout.heads.back()), 1));
  }
  for (const Row& row : rows) {
    std::vector<std::string>& texts = layout.rows.emplace_back();
    for (size_t i = 0; i < columns.size(); ++i) {
      const auto of = std::find_if(columns.begin(), columns.end(), [&](const ResultColumn& column) {
        return !columns[i].stderr_of.empty() && column.name == columns[i].stderr_of;
      });
      texts.push_back(
          of == columns.end() || row[i].kind != Cell::Kind::kNumber
              ? shown_value(row[i], columns[i], style.null_text)
              : receiver::error_for_people(row[static_cast<size_t>(of - columns.begin())].text, row[i].text));
      layout.widths[i] = std::max(layout.widths[i], width_of(texts.back()));
    }
  }
  return layout;
}

/// Takes room from the widest texts until the table fits, as far as that goes.
void shrink(const std::vector<ResultColumn>& columns, size_t screen_columns, std::vector<size_t>& widths) {
  if (screen_columns == 0) return;
  for (size_t total = total_width(widths); total > screen_columns;) {
    size_t widest = columns.size();
    for (size_t i = 0; i < columns.size(); ++i) {
      if (is_text(columns[i]) && widths[i] > kTextColumnsMin &&
          (widest == columns.size() || widths[i] > widths[widest]))
        widest = i;
    }
    if (widest == columns.size()) return;
    const size_t less = std::min(total - screen_columns, widths[widest] - kTextColumnsMin);
    // Little by little, so that two long texts share what there is.
    const size_t step = std::max<size_t>(1, less / 2);
    widths[widest] -= step;
    total -= step;
  }
}

std::string padded(const std::string& text, size_t width, bool right) {
  const size_t have = width_of(text);
  const std::string blanks(width > have ? width - have : 0, ' ');
  return right ? blanks + text : text + blanks;
}

std::string without_blanks_at_end(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

void add_field(std::string& line, size_t index, const std::string& field) {
  if (index > 0) line += ',';
  line += field;
}

}  // namespace

std::optional<TableFormat> parse_table_format(std::string_view text) {
  if (text == "table" || text == "aligned") return TableFormat::kTable;
  if (text == "csv") return TableFormat::kCsv;
  if (text == "jsonl") return TableFormat::kJsonl;
  if (text == "prometheus") return TableFormat::kPrometheus;
  return std::nullopt;
}
std::string_view name(TableFormat format) {
  switch (format) {
    case TableFormat::kCsv: return "csv";
    case TableFormat::kJsonl: return "jsonl";
    case TableFormat::kPrometheus: return "prometheus";
    case TableFormat::kTable: break;
  }
  return "table";
}

bool wants_expanded(const std::vector<ResultColumn>& columns, std::span<const Row> rows, const TableStyle& style) {
  if (style.screen_columns == 0) return false;
  Layout layout = lay_out(columns, rows, style);
  shrink(columns, style.screen_columns, layout.widths);
  return total_width(layout.widths) > style.screen_columns;
}

std::vector<std::string> aligned_table(const std::vector<ResultColumn>& columns, std::span<const Row> rows,
                                       const TableStyle& style, std::vector<size_t>* widths, size_t* left_out,
                                       bool with_header) {
  Layout layout = lay_out(columns, rows, style);
  if (widths != nullptr && widths->size() == columns.size()) {
    for (size_t i = 0; i < columns.size(); ++i) layout.widths[i] = std::max(layout.widths[i], (*widths)[i]);
  }
  shrink(columns, style.screen_columns, layout.widths);
  if (widths != nullptr) *widths = layout.widths;
  size_t count = columns.size();
  if (style.one_line && style.screen_columns > 0) {
    while (count > 1 && total_width({layout.widths.data(), count}) > style.screen_columns) --count;
  }
  if (left_out != nullptr) *left_out = columns.size() - count;

  std::vector<std::string> lines;
  if (with_header) {
    std::string head, rule;
    for (size_t i = 0; i < count; ++i) {
      const size_t width = layout.widths[i];
      const std::string text = cut_to(layout.heads[i], width);
      const size_t before = (width - width_of(text)) / 2;
      head += fmt::format("{} {}", i == 0 ? "" : " |", padded(std::string(before, ' ') + text, width, false));
      rule += fmt::format("{}{}", i == 0 ? "" : "+", std::string(width + 2, '-'));
    }
    lines.push_back(without_blanks_at_end(std::move(head)));
    lines.push_back(std::move(rule));
  }
  for (const std::vector<std::string>& row : layout.rows) {
    std::string line;
    for (size_t i = 0; i < count; ++i) {
      const std::string text = is_text(columns[i]) ? cut_to(row[i], layout.widths[i]) : row[i];
      line += fmt::format("{} {}", i == 0 ? "" : " |", padded(text, layout.widths[i], is_number_type(columns[i].type)));
    }
    lines.push_back(without_blanks_at_end(std::move(line)));
  }
  if (style.one_line && style.screen_columns > 0) {  // A single column may still be too wide, or a screen very small.
    for (std::string& line : lines) line = cut_to(line, style.screen_columns);
  }
  return lines;
}

std::vector<std::string> expanded_table(const std::vector<ResultColumn>& columns, std::span<const Row> rows,
                                        const TableStyle& style, size_t first_number) {
  const Layout layout = lay_out(columns, rows, style);
  size_t head_width = 1, value_width = 1;
  for (const std::string& head : layout.heads) head_width = std::max(head_width, width_of(head));
  for (const auto& row : layout.rows) {
    for (const std::string& value : row) value_width = std::max(value_width, width_of(value));
  }
  size_t rule_width = head_width + 3 + value_width;
  if (style.screen_columns > 0) rule_width = std::min(rule_width, style.screen_columns);
  std::vector<std::string> lines;
  for (size_t r = 0; r < layout.rows.size(); ++r) {
    std::string rule = fmt::format("-[ RECORD {} ]", first_number + r);
    if (rule.size() < rule_width) rule.append(rule_width - rule.size(), '-');
    if (rule.size() > head_width + 1) rule[head_width + 1] = rule[head_width + 1] == '-' ? '+' : rule[head_width + 1];
    lines.push_back(std::move(rule));
    for (size_t i = 0; i < columns.size(); ++i) {
      lines.push_back(
          without_blanks_at_end(fmt::format("{} | {}", padded(layout.heads[i], head_width, false), layout.rows[r][i])));
    }
  }
  if (style.one_line && style.screen_columns > 0) {
    for (std::string& line : lines) line = cut_to(line, style.screen_columns);
  }
  return lines;
}

std::string csv_header(const std::vector<ResultColumn>& columns) {
  std::string line;
  for (size_t i = 0; i < columns.size(); ++i) add_field(line, i, csv_value({Cell::Kind::kText, columns[i].name}, {}));
  return line += '\n';
}
std::string csv_line(const std::vector<ResultColumn>& columns, const Row& row) {
  std::string line;
  for (size_t i = 0; i < columns.size(); ++i) add_field(line, i, csv_value(row[i], columns[i]));
  return line += '\n';
}
std::string jsonl_line(const std::vector<ResultColumn>& columns, const Row& row) {
  std::string line = "{";
  for (size_t i = 0; i < columns.size(); ++i)
    line += fmt::format("{}{}:{}", i == 0 ? "" : ",", http::json_string(columns[i].name), json_value(row[i]));
  return line += "}\n";
}

std::string row_count_text(size_t rows) { return fmt::format("({} row{})", rows, rows == 1 ? "" : "s"); }

}  // namespace backstream::app::shell
