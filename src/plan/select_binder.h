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
  bool has_windows = false;   ///< rows come window by window
  int time_column = -1;       ///< visible output that is the event time of its rows
  Micros window_size_us = 0;  ///< with windows: the length of all of them; 0: not known, or they differ
};

/// How a lookup table is joined.
struct LookupJoin {
  UnboundFrom::Join kind;
  const UnboundExpr* on;                          ///< may be null
  const std::vector<std::string>* using_columns;  ///< may be null
  SourceSpan span;
};

/// How two FROM items are joined, as the text says it.
struct JoinText {
  Join::Kind kind = Join::Kind::kInner;
  std::vector<const UnboundExpr*> conditions;  ///< joined by AND
  std::vector<std::string> using_columns;
  SourceSpan span;  ///< for what is wrong with all of it
};

/// The parts of a condition that AND joins.
void add_conjuncts(const UnboundExpr& e, std::vector<const UnboundExpr*>& to);

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
  // bind_lookup.cc
  /// A lookup table, lpm(), or a subquery over a table: what rows are joined to, not what gives rows.
  bool is_lookup(const UnboundFrom& from) const;
  /// JOIN of rows with a lookup on one side.
  Result<Input> bind_lookup_join(const UnboundFrom& from);
  Result<void> bind_lookup(Input& input, const UnboundFrom& from, const LookupJoin& join);
  /// Makes a step and a column of each EXISTS and IN (SELECT ...) of the SELECT's expressions.
  Result<void> bind_subqueries(const UnboundSelect& select, Input& input);
  Result<void> bind_subquery_test(const UnboundExpr& e, Input& input);
  Result<const Relation*> find_table(const std::string& name, SourceSpan span) const;
  // bind_select.cc
  Result<Bound> bind_over(const UnboundSelect& select, Input input);
  // bind_join.cc
  Result<Input> bind_join(const UnboundFrom& from);
  /// Inner joins take the conditions from where_ that are about both sides.
  Result<Input> join_streams(Input left, Input right, const JoinText& text);
  /// Takes [NOT] EXISTS from where_: joins that keep the left rows with (or without) a partner.
  Result<Input> bind_exists(Input input);
  // bind_union.cc
  Result<Bound> bind_union(const UnboundSelect& select);

  const Catalog& catalog_;
  Ctes ctes_;
  std::vector<const UnboundExpr*> where_;  ///< of the SELECT being bound: what FROM has not taken
};

/// Once the stage above a join (stages[0]) is bound: its filters of one side go to that side, and what it does not read
/// is neither kept nor made.
Result<void> settle_join(std::vector<Stage>& stages, std::vector<std::unique_ptr<Query>>& inputs);

/// The rows of a bound SELECT, as another reads them.
Input input_of(Bound bound);
/// WITH (...). Errors: 22023 for an unknown name or value, 0A000 for what is not supported yet.
Result<QueryOptions> bind_options(const std::vector<UnboundOption>& options);

}  // namespace backstream::plan
