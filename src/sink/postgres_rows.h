#pragma once
// Rows as COPY … FROM STDIN (FORMAT binary) reads them: PostgreSQL's own binary form of each type
// (docs: PostgreSQL, COPY, "Binary Format"; the types' receive functions).
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/diagnostic.h"
#include "receiver/result_part.h"

namespace backstream::sink {

/// PostgreSQL's number of a type (pg_type.oid), and of text[]: the same in every database.
uint32_t postgres_type(batch::Type type);
inline constexpr uint32_t kPostgresTextArray = 1009;
inline constexpr uint32_t kPostgresInt4 = 23, kPostgresBool = 16, kPostgresTimestamptz = 1184;

/// Columns come as _window_start, _window_end, _rev, _final, _complete, _sites_missing, where asked for the _op of what
/// comes into a temporary table ('u', or 'd' for removed rows), then those of the query.
class PostgresRowWriter {
 public:
  using Put = std::function<base::Result<void>(std::string_view octets)>;
  /// @param put  takes octets as they come, some hundred thousand at a time
  PostgresRowWriter(Put put, bool with_op);
  /// Errors: those of `put`; 22003: an integer that its type does not hold, Diagnostic::line is the row's number as
  /// COPY counts it.
  base::Result<void> add(const receiver::ResultPart& part);
  /// The mark of the end, and what is held back.
  base::Result<void> end();

 private:
  const Put put_;
  const bool with_op_;
  uint64_t rows_ = 0;
  std::string octets_;
};

}  // namespace backstream::sink
