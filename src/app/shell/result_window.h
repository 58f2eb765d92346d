#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"

namespace backstream::app::shell {

/// A value as the server's JSON has it. Numbers keep their digits: none of them passes through a double.
struct Cell {
  enum class Kind : uint8_t { kNull, kBool, kNumber, kText, kOther };  ///< kOther: a list or an object, as JSON
  Kind kind = Kind::kNull;
  std::string text;  ///< of kNull empty
  bool operator==(const Cell&) const = default;
};
using Row = std::vector<Cell>;

struct ResultColumn {
  std::string name;
  std::string type;            ///< SQL's name of it; empty: not known
  bool key = false;            ///< tells a row from the others of its window
  std::string stderr_of = {};  ///< the column whose standard error it is; empty: of none
  bool operator==(const ResultColumn&) const = default;
};

/// One event of a query's stream: a window of its result, or a part of one.
struct ResultWindow {
  std::string query;
  std::optional<base::Micros> start, end;  ///< none: rows that belong to no window
  uint64_t revision = 1, part = 0;
  bool final = true, complete = true, last = true, truncated = false;
  bool removed = false;  ///< its rows were in the revision before and are not in this one
  std::optional<uint64_t> rows_total;
  std::vector<std::string> sites_missing;  ///< that are why it is not complete
  std::vector<ResultColumn> columns;
  std::vector<Row> rows;  ///< each as long as `columns`
};
/// Errors: 08P01 it is no such document.
base::Result<ResultWindow> parse_window(std::string_view json);

/// The cell of a value of a document that is parsed already.
Cell cell_of(const nlohmann::json& value);
/// The columns of a list of {"name","type"}; what is no such entry is left out.
std::vector<ResultColumn> columns_of(const nlohmann::json& list);

/// Whether values of the type are numbers, which people read from the right and which are never cut.
bool is_number_type(std::string_view type);

/// For people: null as given, times as PostgreSQL prints them, all else as it is, printable().
std::string shown_value(const Cell& cell, const ResultColumn& column, std::string_view null_text);
/// As PostgreSQL prints it; the cell is not null.
std::string plain_value(const Cell& cell, const ResultColumn& column);
/// A field of CSV: as `backstream run -o csv` writes it.
std::string csv_value(const Cell& cell, const ResultColumn& column);
/// A value of JSON lines: as `backstream run -o jsonl` writes it.
std::string json_value(const Cell& cell);

}  // namespace backstream::app::shell
