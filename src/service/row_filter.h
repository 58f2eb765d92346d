#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "batch/column_batch.h"

namespace backstream::service {

/// Which rows of a result somebody may see: a condition in SQL over the result's columns, such as "site IN ('ams')".
/// It is one expression: no statement, no subquery, no aggregate. A row is seen where it is true; not where it is null
/// or cannot be computed.
///
/// Whoever writes queries names columns as he likes, so a filter holds only for who cannot (docs/security.md).
class RowFilter {
 public:
  static constexpr size_t kConditionOctetsMax = 4'096;

  /// Whether it can be a condition at all; which columns there are is not known. Errors (located in the condition):
  /// 42601 and others of sql::parse(), 0A000 a subquery, 54000 too long.
  static base::Result<void> check(std::string_view condition);
  /// Errors: as check(); 42501 the result has not the columns that the condition names, or of other types.
  static base::Result<RowFilter> make(std::string_view condition, const batch::Schema& schema);
  ~RowFilter();
  RowFilter(RowFilter&&) noexcept;
  RowFilter& operator=(RowFilter&&) noexcept;

  /// The rows that may be seen, of all columns. One at a time.
  /// @param rows  of the schema, any number; every column is there
  /// @return      memory of the filter's, until the next call; what text columns point to stays the input's
  const batch::ColumnBatch& apply(const batch::ColumnBatch& rows);

 private:
  struct State;
  explicit RowFilter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace backstream::service
