#include "exec/hidden_columns.h"

#include "plan/hidden_columns.h"

namespace backstream::exec {

batch::ColumnBatch& HiddenColumns::add(const WindowRef& window, std::string_view sites_missing,
                                       const batch::ColumnBatch& rows) {
  const size_t n = rows.row_count;
  out_.row_count = n;
  out_.columns.assign(rows.columns.begin(), rows.columns.end());
  revisions_.assign(n, window.revision);
  final_.assign(n, window.final);
  complete_.assign(n, window.complete);
  sites_missing_.assign(n, sites_missing);
  ops_.assign(n, "u");
  void* const values[plan::kHiddenColumnCount] = {revisions_.data(), final_.data(), complete_.data(),
                                                  sites_missing_.data(), ops_.data()};
  for (size_t c = 0; c < plan::kHiddenColumnCount; ++c) {
    batch::Column column;
    column.type = plan::hidden_columns().columns[c].type;
    column.values = values[c];
    out_.columns.push_back(column);
  }
  return out_;
}

}  // namespace backstream::exec
