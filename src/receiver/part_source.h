#pragma once
// What a sink needs of who keeps results (history::Store): the parts of a query, one after another, from any place on.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "receiver/result_part.h"

namespace backstream::receiver {

/// Any thread; several at once.
class PartSource {
 public:
  virtual ~PartSource() = default;

  /// Which of all queries that ever had the name.
  struct QueryId {
    std::string name;
    uint64_t incarnation = 0;
    auto operator<=>(const QueryId&) const = default;
  };
  struct Parts {
    std::vector<std::shared_ptr<const ResultPart>> parts;  ///< by seq; all versions of the query; empty: none yet
    /// Of the query, ever, before parts.front() (of all, where `parts` is empty): those that are gone again, and those
    /// that could not be kept, too. By what it is more than the reader has counted himself, so many rows he missed.
    uint64_t rows_before = 0;
    uint64_t last_seq = 0;  ///< the newest that there is of the query; 0: none is kept
  };
  /// Parts with a seq higher than `after_seq`, oldest first: none that comes later has a lower one. At least one if
  /// there is one, and then no more than take `octets_max`. A query that is not known (yet) has no parts. A window that
  /// the engine gave again, after a restart, is there once; its parts need not follow one another.
  ///
  /// Only what outlives a kill of this process is given, a quarter of a second after it was shown. Otherwise a kill in
  /// between would have the window given once more under other numbers, and the reader would have it twice.
  /// Errors: 58030 the disk does not give them now; ask again later.
  virtual base::Result<Parts> read_after(const QueryId& query, uint64_t after_seq, size_t octets_max) = 0;

  /// Waits until parts have come beyond the first `count` of this process, of whichever query, at most for so long.
  /// @return  how many have come; what the next call takes
  virtual uint64_t wait_beyond(uint64_t count, std::chrono::milliseconds patience) = 0;
};

}  // namespace backstream::receiver
