#pragma once
// Tables and columns of literals for the tests of this room.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "lookup/table.h"

namespace backstream::lookup {

/// A value that set_value() takes: nullptr is NULL, text is parsed as the column's type.
inline expr::Value parsed(const char* text, batch::Type type) {
  if (text == nullptr) return {};
  auto value = expr::parse_value(text, type);
  EXPECT_TRUE(value.has_value()) << text;
  return value ? *value : expr::Value{};
}

inline std::shared_ptr<const Table> table_of(const batch::Schema& schema,
                                             const std::vector<std::vector<const char*>>& rows) {
  TableBuilder builder(schema);
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) builder.set_value(c, parsed(row[c], schema.columns[c].type));
    EXPECT_TRUE(builder.end_row());
  }
  return builder.finish();
}

/// "1|Google|US": the row as text, NULL as "-".
inline std::string row_text(const Table& table, size_t row) {
  std::string text;
  for (size_t c = 0; c < table.column_count(); ++c) {
    if (c > 0) text += '|';
    const batch::Column& column = table.column(c);
    text += column.is_null(row) ? "-" : expr::value_text(expr::value_at(column, row), column.type);
  }
  return text;
}
inline std::vector<std::string> rows_text(const Table& table) {
  std::vector<std::string> rows;
  for (size_t row = 0; row < table.row_count(); ++row) rows.push_back(row_text(table, row));
  return rows;
}

}  // namespace backstream::lookup
