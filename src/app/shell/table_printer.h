#pragma once
// Rows as text: tables for people, CSV and JSON lines for programs.
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/shell/result_window.h"

namespace backstream::app::shell {

enum class TableFormat : uint8_t { kTable, kCsv, kJsonl, kPrometheus };  ///< kPrometheus: of windows; lists are tables
std::optional<TableFormat> parse_table_format(std::string_view text);
std::string_view name(TableFormat format);

struct TableStyle {
  /// Columns of the terminal; 0: no terminal, nothing is cut.
  size_t screen_columns = 0;
  std::string null_text = {};
  /// Every line must stay one line of the screen (it is redrawn in place): columns that find no room are left out
  /// whole, so that no number is ever cut.
  bool one_line = false;
};

/// Lines without line ends: header, rule, a line a row. Numbers stand right and are never cut; texts that make the
/// table wider than the screen end in "…". What is no number, time, address or truth counts as text.
/// @param widths      of the columns, from a call before; grows: tables that go on below keep their columns
/// @param left_out    set to how many columns found no room (one_line)
std::vector<std::string> aligned_table(const std::vector<ResultColumn>& columns, std::span<const Row> rows,
                                       const TableStyle& style, std::vector<size_t>* widths = nullptr,
                                       size_t* left_out = nullptr, bool with_header = true);
/// Whether the aligned table would be wider than the screen though its texts are cut: \x auto.
bool wants_expanded(const std::vector<ResultColumn>& columns, std::span<const Row> rows, const TableStyle& style);
/// One line a value, psql's \x. Values are cut with style.one_line only.
/// @param first_number  of the first row
std::vector<std::string> expanded_table(const std::vector<ResultColumn>& columns, std::span<const Row> rows,
                                        const TableStyle& style, size_t first_number = 1);

/// With a line end.
std::string csv_header(const std::vector<ResultColumn>& columns);
std::string csv_line(const std::vector<ResultColumn>& columns, const Row& row);
std::string jsonl_line(const std::vector<ResultColumn>& columns, const Row& row);

/// "(1 row)", "(5 rows)".
std::string row_count_text(size_t rows);

}  // namespace backstream::app::shell
