#pragma once
// Results with memory of their own, as everything behind the engine keeps and passes them on: the board, history,
// sinks, alerts.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "batch/column_batch.h"

namespace backstream::receiver {

using base::Micros;

/// What the rows of one version of a query are.
struct ResultForm {
  batch::Schema schema;       ///< of the visible columns
  std::vector<int> keys;      ///< columns that tell a row from the others of its window, ascending (plan::key_outputs)
  Micros window_size_us = 0;  ///< the length of all its windows; 0: none, or they differ
  int window_start_column = -1, window_end_column = -1;  ///< that tell a row's window, by themselves; -1: none does
  /// By column: the one whose standard error under sampling it is (plan::stderr_outputs), -1: of none. Empty: there is
  /// none at all.
  std::vector<int> stderr_of;
};

/// Whether the column tells a row from the others of its window, which all have their window's begin and end.
bool tells_rows_apart(const ResultForm& form, int column);

/// Rows of one window and revision (or, without windows, of one moment), or a part of them. Once it has its number
/// nobody changes it: any thread may read it.
struct ResultPart {
  uint64_t seq = 0;  ///< of its query: grows, also over restarts; what a client resumes after
  uint64_t incarnation = 0;
  uint32_t version = 0;
  Micros window_start = 0, window_end = 0;  ///< both 0: rows without a window
  int revision = 1;
  uint32_t part = 0;  ///< of the window and revision, from 0
  bool final = true, complete = true, removed = false, last = true;
  std::vector<std::string> sites_missing;  ///< of a window that is not complete: which are not in it whole
  uint64_t rows_before = 0;                ///< of the same window and revision, in parts before this one
  std::shared_ptr<const ResultForm> form;
  batch::ColumnBatch rows;
  std::shared_ptr<const void> memory;  ///< of `rows`
  size_t octets = 0;                   ///< that it takes, about

  bool windowed() const { return window_start != window_end; }
};

/// The octets that a part with a copy of these rows takes.
size_t copied_octets(const batch::ColumnBatch& rows, size_t begin, size_t end);
/// Gives the part a copy of the first `column_count` columns of rows [begin, end). It has no rows yet.
void copy_rows(const batch::ColumnBatch& from, size_t begin, size_t end, size_t column_count, ResultPart& part);

/// The Window of the API (docs/openapi.json), one JSON object: a part's window and its rows as arrays.
/// @param row_begin, row_end  of the part's rows
std::string window_json(const std::string& query, const ResultPart& part, size_t row_begin, size_t row_end, bool last,
                        bool truncated);
/// The name of the column whose standard error it is; empty: of none.
std::string_view stderr_of(const ResultForm& form, int column);
/// [{"name","type"}], with "key" where it is one of those that tell rows of a window apart, and "stderr_of".
std::string columns_json(const ResultForm& form);
/// Texts as a JSON array.
std::string texts_json(const std::vector<std::string>& texts);

}  // namespace backstream::receiver
