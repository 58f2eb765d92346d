#pragma once
// Pieces of the unbound plan, made in code.
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "plan/unbound.h"

namespace backstream::borealis {

using plan::UnboundExpr;
using plan::UnboundExprPtr;

UnboundExprPtr clone(const UnboundExpr& e);
UnboundExprPtr column(std::string_view name, base::SourceSpan span);
UnboundExprPtr integer(int64_t value, base::SourceSpan span);
UnboundExprPtr real(std::string text, base::SourceSpan span);
UnboundExprPtr text(std::string value, base::SourceSpan span);
UnboundExprPtr cast(UnboundExprPtr e, std::string_view type);
UnboundExprPtr call(std::string_view function, std::vector<UnboundExprPtr> args, base::SourceSpan span);
UnboundExprPtr call(std::string_view function, UnboundExprPtr arg);
UnboundExprPtr op(std::string_view name, UnboundExprPtr left, UnboundExprPtr right);
/// kAnd, kOr, kNot, kCoalesce, kGreatest, … over its arguments.
UnboundExprPtr over(UnboundExpr::Kind kind, std::vector<UnboundExprPtr> args, base::SourceSpan span);
/// Conditions joined by AND; of one, that one. At least one.
UnboundExprPtr all_of(std::vector<UnboundExprPtr> conditions);
UnboundExprPtr is_not_true(UnboundExprPtr condition);
/// CASE WHEN condition THEN a ELSE b END
UnboundExprPtr choose(UnboundExprPtr condition, UnboundExprPtr a, UnboundExprPtr b, base::SourceSpan span);
/// interval '300 s'
UnboundExprPtr seconds(double length, base::SourceSpan span);
/// A column of that name needs no alias.
plan::UnboundTarget target(UnboundExprPtr e, std::string_view name);
/// With an alias in any case, as boxes have it.
plan::UnboundTarget aliased(UnboundExprPtr e, std::string_view name);
/// What its column is called.
const std::string& name_of(const plan::UnboundTarget& target);
std::unique_ptr<plan::UnboundFrom> from_relation(std::string_view name, base::SourceSpan span);
std::unique_ptr<plan::UnboundFrom> from_subquery(std::unique_ptr<plan::UnboundSelect> select, base::SourceSpan span);

/// Calls visit(UnboundExpr&) for the expression and all within it.
template <typename Visit>
void for_each(UnboundExpr& e, const Visit& visit) {
  visit(e);
  for (UnboundExprPtr& arg : e.args) {
    if (arg) for_each(*arg, visit);
  }
  if (e.filter) for_each(*e.filter, visit);
}
uint64_t node_count(const UnboundExpr& e);

}  // namespace backstream::borealis
