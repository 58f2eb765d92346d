#pragma once
// A text as the file of a lookup table: a table that keeps its promises, or a located mistake.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lookup/key_index.h"
#include "lookup/table_reader.h"

namespace backstream::fuzz {

using ReadText = base::Result<lookup::ReadTable> (*)(std::string_view text, std::string_view source_name,
                                                     const lookup::TableDefinition& definition,
                                                     const lookup::ReadLimits& limits);

/// Reads the text as two tables: one with a column of every type, and a small one.
inline void read_as_tables(std::string_view text, ReadText read_text) {
  using batch::Type;
  static const lookup::TableDefinition kTable = {"t",
                                                 {{{"a", Type::kInt8},
                                                   {"b", Type::kText},
                                                   {"c", Type::kCidr},
                                                   {"d", Type::kFloat8},
                                                   {"e", Type::kTimestamptz},
                                                   {"f", Type::kInterval},
                                                   {"g", Type::kMacaddr},
                                                   {"h", Type::kBytea},
                                                   {"i", Type::kBool},
                                                   {"j", Type::kInt2}}},
                                                 {0}};
  static const lookup::TableDefinition kSmall = {"t", {{{"a", Type::kInt8}, {"b", Type::kText}}}, {0}};
  for (const auto* definition : {&kTable, &kSmall}) {
    const auto read = read_text(text, "fuzz", *definition, {});
    if (!read) {
      if (read.error().line == 0 || read.error().message.empty()) std::abort();
      (void)read.error().render();
      continue;
    }
    const lookup::Table& table = *read->table;
    const auto index = lookup::KeyIndex::build(read->table, {0}, lookup::KeyIndex::Keys::kUnique);
    if (!index) std::abort();
    for (uint32_t row = 0; row < table.row_count(); ++row) {
      const uint32_t at = row;
      uint32_t match = 0;
      index->find(&table.column(0), &at, 1, &match);
      if (match != row) std::abort();
      for (size_t c = 0; c < table.column_count(); ++c)
        (void)expr::value_text(expr::value_at(table.column(c), row), table.column(c).type);
    }
  }
}

}  // namespace backstream::fuzz
