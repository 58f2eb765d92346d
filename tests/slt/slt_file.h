#pragma once
// The text of a .slt file, in blocks. A block begins with its directive and ends at an empty line; '#' begins a comment
// between blocks.
//
//   statement ok                     a statement that is accepted: CREATE FOREIGN TABLE, CREATE MATERIALIZED VIEW, ...
//                                    or a diagram in XML: a view for each of its outputs
//   statement error <regex>          one that is refused; the regex is searched in the rendered diagnostic. After a
//   line
//                                    "----" the whole diagnostic may follow, compared line by line (its source is
//                                    "test")
//   query <types> [nosort] [revisions] [rewritten]
//                                    a SELECT or EXPLAIN, and after "----" its final rows. "rewritten": a
//                                    plan that is another without rewrites, and not looked at there. One letter a
//                                    column: I integer, R double, B boolean, T anything else. Rows are compared as a
//                                    set unless nosort
//   results <view> <types> [...]     after "----" the rows of a view created before
//   feed <table> [edge N]            rows, one a line. Each row counts as a datagram of its own
//   ledger [<view>] <counter> N ...  counters of the window ledger; without a view those of the query or view above
//   windows [<view>]                 after "----" the ledger of each window: start, assigned, counted, filtered, late,
//                                    errored, shed
//   fails <regex>                    a query was stopped; the regex is searched in "view: SQLSTATE why". One a query
//   reset                            forgets tables, views and queries: what follows is a test of its own
//
// INSERT, UPDATE, DELETE and TRUNCATE after a feed are done after it, before the next. Files of lookup tables are named
// as seen from the file with the test.
// All queries of a test are there before the first row is fed, and all windows are closed before results are compared.
// Values: NULL, 'quoted''text' where there are spaces, times of 2026-01-31 as 10:00:01.
// "revisions": rows of every revision, with two more columns: number, and "final" or "open". A row that the revision
// before had, and this one has not, has its keys, then "d" behind these columns.
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"

namespace backstream::slt {

struct Block {
  enum class Kind { kStatement, kQuery, kResults, kFeed, kLedger, kWindows, kFails, kReset };
  Kind kind;
  size_t line = 0;      ///< of the directive, from 1
  std::string name;     ///< kFeed: table; kResults, kLedger, kWindows: view (may be empty)
  std::string types;    ///< kQuery, kResults
  std::string pattern;  ///< kStatement: regex of the error, empty: accepted; kFails
  std::string sql;
  bool sorted = true;
  bool revisions = false;
  bool rewritten = false;
  int edge = -1;                                          ///< kFeed; -1: any
  bool has_expected = false;                              ///< there was a line "----"
  std::vector<std::string> rows;                          ///< kFeed: given; otherwise what is expected
  std::vector<size_t> row_lines;                          ///< parallel to rows
  std::vector<std::pair<std::string, int64_t>> counters;  ///< kLedger
};

/// Diagnostics are located in `text`.
base::Result<std::vector<Block>> parse_slt(std::string_view text, std::string_view source_name);

/// A value of a row as it is written in a file: bare, or quoted.
struct Field {
  std::string text;
  bool quoted = false;
  bool is_null() const { return !quoted && text == "NULL"; }
};
/// Splits a row at spaces outside quotes. A quote inside quotes is doubled. An open quote runs to the end.
std::vector<Field> split_row(std::string_view row);
/// The one way to write a value: split_row() gives it back.
std::string write_field(std::string_view text);

}  // namespace backstream::slt
