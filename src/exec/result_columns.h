#pragma once
#include <vector>

#include "batch/column_batch.h"
#include "exec/octet_buffer.h"

namespace backstream::exec {

/// Columns of results for all rows of a window, in memory that stays for the next one.
class ResultColumns {
 public:
  /// Columns of these types with room for n rows, has_nulls set; nothing is written to them yet.
  void begin(const std::vector<batch::Type>& types, size_t n) {
    memory_.resize(types.size());
    columns_.resize(types.size());
    for (size_t c = 0; c < types.size(); ++c) {
      const size_t octets = n * batch::octets_per_value(batch::physical(types[c]));
      memory_[c].resize(octets + n);
      columns_[c] = {types[c], true, memory_[c].data(), memory_[c].data() + octets};
    }
  }
  std::vector<batch::Column>& columns() { return columns_; }
  const std::vector<batch::Column>& columns() const { return columns_; }

 private:
  std::vector<OctetBuffer> memory_;
  std::vector<batch::Column> columns_;
};

}  // namespace backstream::exec
