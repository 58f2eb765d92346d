#pragma once
#include <vector>

#include "batch/column_batch.h"
#include "plan/query.h"

namespace backstream::exec {

/// Cuts every address of a query's input to a prefix (truncate_v4, truncate_v6), before the query sees it: its
/// conditions, keys and outputs know no more than the prefix. Bits beyond are zero; a cidr is no longer than the
/// prefix. A 6to4 address (2002::/16, RFC 3056) carries an IPv4 address in its bits 16 to 47: of that no more stays
/// than of an IPv4 address. One thread.
class AddressTruncation {
 public:
  explicit AddressTruncation(const plan::AddressPrefixes& lengths) : lengths_(lengths) {}
  /// The same rows with cut addresses; valid until the next call. Columns without memory, and of other types, are those
  /// of `rows`.
  batch::ColumnBatch& apply(const batch::ColumnBatch& rows);

 private:
  plan::AddressPrefixes lengths_;
  batch::ColumnBatch out_;
  std::vector<std::vector<base::Inet>> cut_;  ///< by column
};

}  // namespace backstream::exec
