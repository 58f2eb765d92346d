#pragma once
#include <string_view>
#include <vector>

#include "batch/column_batch.h"
#include "exec/rows.h"

namespace backstream::exec {

/// Adds the hidden columns of a view (plan/hidden_columns.h) to its rows, for a query that names one. One thread.
class HiddenColumns {
 public:
  /// The same rows with more columns; valid until the next call, and as long as `sites_missing` is.
  batch::ColumnBatch& add(const WindowRef& window, std::string_view sites_missing, const batch::ColumnBatch& rows);

 private:
  batch::ColumnBatch out_;
  std::vector<int64_t> revisions_;
  std::vector<uint8_t> final_, complete_;
  std::vector<std::string_view> sites_missing_, ops_;
};

}  // namespace backstream::exec
