#pragma once
// What the files that bind a SELECT share. Private to the room.
#include <map>
#include <string>
#include <vector>

#include "plan/binder.h"

namespace backstream::plan {

using Ctes = std::map<std::string, const UnboundCte*>;

constexpr std::string_view kWindowHint =
    "add a window: FROM tumble(flows, time, interval '300 s') and GROUP BY window_start, ...";

/// What a SELECT became: stages over a source, and what its rows carry.
struct Bound {
  Relation source;
  std::vector<std::unique_ptr<Query>> inputs;  ///< instead of a source
  std::vector<Stage> stages;
  bool has_windows = false;  ///< rows come window by window
  int time_column = -1;      ///< visible output that is the event time of its rows
};

class SelectBinder {
 public:
  SelectBinder(const Catalog& catalog, Ctes ctes) : catalog_(catalog), ctes_(std::move(ctes)) {}
  Result<Bound> bind(const UnboundSelect& select);

 private:
  // bind_from.cc
  Result<Input> bind_from(const UnboundFrom& from);
  Result<Input> bind_name(const std::string& name, SourceSpan span);
  Result<Input> bind_subquery(const UnboundSelect& select);
  Result<Input> bind_window(const UnboundFrom& from);
  // bind_select.cc
  Result<Bound> bind_over(const UnboundSelect& select, Input input);
  // bind_union.cc
  Result<Bound> bind_union(const UnboundSelect& select);

  const Catalog& catalog_;
  Ctes ctes_;
};

/// The rows of a bound SELECT, as another reads them.
Input input_of(Bound bound);
/// Gives the last stage its rest row (QueryOptions::rest_row). 0A000 where it could not be computed; `span`: the
/// option.
Result<void> add_rest_row(Query& query, SourceSpan span);
/// What options ask of the plan, or refuse of it: 0A000. Before add_rest_row().
Result<void> apply_options(Query& query, const std::vector<UnboundOption>& options);
/// The option of that name, or null.
const UnboundOption* find_option(const std::vector<UnboundOption>& options, std::string_view name);
/// WITH (...). Errors: 22023 for an unknown name or value, 0A000 for what is not supported yet.
Result<QueryOptions> bind_options(const std::vector<UnboundOption>& options);

}  // namespace backstream::plan
