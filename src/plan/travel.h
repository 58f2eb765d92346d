#pragma once
// What of a query over a stream travels from an edge to where it is completed (docs/design/0029-what-travels.md).
#include "plan/query.h"

namespace backstream::plan {

enum class Travel : uint8_t {
  kPanes,   ///< the groups of each pane: keys, partial states
  kRows,    ///< the columns that the query reads, of the rows that its condition lets through
  kEither,  ///< panes; or rows, while an edge sees that these take less
};

/// Whether the groups of the query can be made from the groups of each edge's rows.
bool groups_at_edge(const Query& query);
/// Of a query whose source is a stream. Both ends decide alike from the query alone.
Travel travel_of(const Query& query);
/// Why, for EXPLAIN: "rows: placement = 'central'".
std::string travel_text(const Query& query);

/// What travels takes before anything compresses it, as far as it can be told without traffic. Assumed: IPv4; integers
/// of a known number of bits at their full width, all others about 1,000; times of today; texts of 8 octets; groups of
/// one row, so that sets hold one value.
struct TravelEstimate {
  uint64_t group_octets = 0;  ///< 0: it makes no groups where flows arrive
  uint64_t row_octets = 0;
};
TravelEstimate estimate_travel(const Query& query);

}  // namespace backstream::plan
