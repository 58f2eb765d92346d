#pragma once
// What a SELECT over results that are kept says of time (docs/design/0033-select-over-history.md).
#include <string>
#include <vector>

#include "base/time.h"
#include "plan/query.h"

namespace backstream::plan {

class Catalog;
struct UnboundFrom;
struct UnboundSelect;

/// Of the starts of windows: [from, until).
struct TimeRange {
  Micros from = base::kMinTime, until = base::kMaxTime;
  bool has_from() const { return from != base::kMinTime; }
  bool has_until() const { return until != base::kMaxTime; }
  bool operator==(const TimeRange&) const = default;
};

/// A view that a query reads, once for each place where it does.
struct ViewRead {
  const Relation* view = nullptr;  ///< the query's
  std::vector<bool> used;          ///< columns of the view that are read
  TimeRange range;
};
/// The views that a query and its inputs read, and which of their windows: no window that starts outside of the range
/// changes the result. The range is that of constant conditions on window_start and window_end, which stand in WHERE
/// and HAVING, alone or joined by AND, at any level; functions that look back or ahead across windows widen it.
std::vector<ViewRead> views_read(const Query& query);

/// Makes now(), current_timestamp and their like the same constant everywhere in the SELECT.
void fix_now(UnboundSelect& select, Micros now);

/// Makes window_end, in WHERE over a view that has no column of that name, the view's window_start and the length of
/// its windows, where all have one: of rows that will be grouped nothing else is known there.
void spell_window_ends(UnboundSelect& select, const Catalog& catalog);

/// A SELECT with aggregates or GROUP BY, and without a window, over one view, a plain view or subquery of it, perhaps
/// joined with lookup tables: what stands in FROM for the view. Null: it is none.
UnboundFrom* grouped_without_window(UnboundSelect& select);
/// Makes the groups of such a SELECT those of one window, which begins at `origin` (or any number of `size` before or
/// after): `tumble` around what stands in FROM. Conditions of WHERE stay with the rows as the view has them; where
/// tables are joined, those that name nothing but columns of `view`.
/// @param from  of grouped_without_window()
/// @param view  what `from` names; null: it is no view
void group_whole_range(UnboundSelect& select, UnboundFrom& from, const Relation* view, Micros origin, Micros size);

}  // namespace backstream::plan
