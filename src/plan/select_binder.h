#pragma once
// What the files that bind a SELECT share. Private to the room.
#include <memory>
#include <string>
#include <vector>

#include "plan/binder.h"

namespace backstream::plan {

/// The WITH queries that a SELECT may name. Each sees those before it, never itself.
class Ctes {
 public:
  struct Entry {
    const UnboundCte* cte;
    std::shared_ptr<const Entry> before;
  };
  void add(const UnboundCte& cte) { last_ = std::make_shared<const Entry>(Entry{&cte, std::move(last_)}); }
  const UnboundCte* find(std::string_view name) const {
    const Entry* entry = find_entry(name);
    return entry == nullptr ? nullptr : entry->cte;
  }
  /// What the WITH query of that name sees itself.
  Ctes before(std::string_view name) const {
    Ctes ctes;
    if (const Entry* entry = find_entry(name)) ctes.last_ = entry->before;
    return ctes;
  }
  std::vector<std::string_view> names() const {
    std::vector<std::string_view> names;
    for (const Entry* entry = last_.get(); entry != nullptr; entry = entry->before.get())
      names.push_back(entry->cte->name);
    return names;
  }

 private:
  const Entry* find_entry(std::string_view name) const {
    const Entry* entry = last_.get();
    while (entry != nullptr && entry->cte->name != name) entry = entry->before.get();
    return entry;
  }
  std::shared_ptr<const Entry> last_;
};

/// Views and WITH queries that one statement expands, each as often as it is read: bounded, because a chain of them
/// that each read the one before twice doubles at every step.
struct Expansions {
  static constexpr uint32_t kMax = 1'000, kDepthMax = 50;
  uint32_t count = 0, depth = 0;
};

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
  /// @param expansions  of the whole statement
  SelectBinder(const Catalog& catalog, Ctes ctes, Expansions& expansions)
      : catalog_(catalog), ctes_(std::move(ctes)), expansions_(expansions) {}
  Result<Bound> bind(const UnboundSelect& select);
  /// As rows that another SELECT reads.
  Result<Input> bind_subquery(const UnboundSelect& select);

 private:
  // bind_from.cc
  Result<Input> bind_from(const UnboundFrom& from);
  Result<Input> bind_name(const std::string& name, SourceSpan span);
  Result<Input> bind_plain_view(const Relation& view, SourceSpan span);
  Result<Input> expand(const UnboundSelect& select, Ctes ctes, SourceSpan span);
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
  /// A relation, subquery or spread() as the first argument of a window function.
  Result<Input> bind_relation_argument(const UnboundExpr& e);
  // bind_spread.cc
  Result<Input> bind_spread(SourceSpan span, const std::vector<const UnboundExpr*>& args,
                            const std::vector<std::string>& arg_names);
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
  // bind_boxes.cc
  Result<Input> bind_boxes(const UnboundBoxes& boxes, SourceSpan span);

  const Catalog& catalog_;
  Ctes ctes_;
  std::vector<const UnboundExpr*> where_;  ///< of the SELECT being bound: what FROM has not taken
  Expansions& expansions_;
};

/// Once the stage above a join (stages[0]) is bound: its filters of one side go to that side, and what it does not read
/// is neither kept nor made.
Result<void> settle_join(std::vector<Stage>& stages, std::vector<std::unique_ptr<Query>>& inputs);

/// The rows of a bound SELECT, as another reads them.
Input input_of(Bound bound);
/// Gives the first columns other names. 42P10 when there are more names than columns.
Result<void> name_columns(batch::Schema& schema, const std::vector<std::string>& names, std::string_view relation,
                          SourceSpan span);
/// Gives the last stage its rest row (QueryOptions::rest_row). 0A000 where it could not be computed; `span`: the
/// option.
Result<void> add_rest_row(Query& query, SourceSpan span);
/// Where row_number() <= n chooses among the groups of a query, its groups are put in order and limited where they are
/// made, as the states of a rest row are there. Any other query stays as it is, and add_rest_row() judges it.
Result<void> number_in_place(Query& query, SourceSpan span);
/// WITH (sites, placement, absent_sites): reads the option. Errors: 22023.
Result<void> bind_placement_option(const UnboundOption& option, Placement& to);
/// "filter.SITE": reads the site. Errors: 22023.
Result<void> bind_site_filter(const UnboundOption& option, Placement& to);
/// 22023 for a filter of a site that `sites` leaves out.
Result<void> check_site_filters(const std::vector<UnboundOption>& options, const Placement& placement);
/// Makes sites and filters of QueryOptions::placement conditions of the streams that the query reads. 0A000 where it
/// reads none, where one has no site, or where it cannot run as it is asked to; errors of the filters' conditions.
Result<void> apply_placement(Query& query, const std::vector<UnboundOption>& options);
/// What options ask of the plan, or refuse of it: 0A000. Before add_rest_row().
Result<void> apply_options(Query& query, const std::vector<UnboundOption>& options);
/// "alert.…": makes the view a rule (Query::alert). When its output is complete. Errors: 0A000 of views that can be
/// none, 22023, 42703 and those of conditions for what an option says.
Result<void> apply_alert(Query& query, const std::vector<UnboundOption>& options);
inline bool is_alert_option(const UnboundOption& option) { return option.name.starts_with("alert."); }
/// 22023: there is no such option of an alert.
Result<void> check_alert_option(const UnboundOption& option);
/// The option of that name, or null.
const UnboundOption* find_option(const std::vector<UnboundOption>& options, std::string_view name);
/// WITH (...). Errors: 22023 for an unknown name or value, 0A000 for what is not supported yet.
Result<QueryOptions> bind_options(const std::vector<UnboundOption>& options);

}  // namespace backstream::plan
