#pragma once
// Where a sink gives its rows away: a file, a database, a topic (docs/design/0032-history-sinks-alerts.md).
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/diagnostic.h"
#include "receiver/result_part.h"

namespace backstream::sink {

using base::Result;
using receiver::ResultForm;
using receiver::ResultPart;

/// One query's parts, already cut to the columns and rows that the sink wants.
using Parts = std::span<const std::shared_ptr<const ResultPart>>;

/// Columns that every target adds to those of the query, so that all of them have the same rows:
///   _rev int, _final bool, _complete bool, _sites_missing text[] (text where there are no arrays: names with commas)
/// and, where a target keeps removed rows, _op: 'u' a row that is there, 'd' one that the revision before had (its
/// keys).
///
/// The place of a sink, the number of the last part that is there whole, stands where the rows are and changes with
/// them: after any kind of end on either side open() says where to go on, and no row is missing or twice.
///
/// One thread at a time. Calls may block for as long as the target's own timeouts, some seconds.
class Target {
 public:
  virtual ~Target() = default;

  /// Connects, and says how far the target is: the seq of the last part that it has; 0: none. Before the first
  /// deliver(), and again after each of its errors but 22….
  virtual Result<uint64_t> open() = 0;

  /// All of them, in their order. ok: they are there, durable, and so is the place. On an error none is, or, where the
  /// connection broke in the middle, open() tells. Codes: 08… it cannot be reached; 22… it refuses what the rows say,
  /// so that the same would be refused again; 28…, 42… rights, names; 53… it has no room.
  virtual Result<void> deliver(Parts parts) = 0;

  /// Moves the place beyond a part that was refused.
  virtual Result<void> pass_over(const ResultPart& part) = 0;

  /// Rows that were delivered before, once more: the place stays. What keeps the newest revision of a row by its key
  /// has them once; a file, or a topic without compaction, then has them twice.
  virtual Result<void> repeat(Parts parts) = 0;

  /// Nothing is there to be delivered. A place that its keeper forgets after a while is written once more.
  virtual Result<void> keep_place() { return {}; }

  /// Goes the whole way but leaves no rows behind: what was looked at, one line for a person. open() need not have been
  /// called.
  virtual Result<std::string> test() = 0;

  /// Rows that were delivered and are not there, since the target has a bound on how many.
  virtual uint64_t rows_left_out() const { return 0; }
};

}  // namespace backstream::sink
