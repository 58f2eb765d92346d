// Rewrites of a bound query that never change its results.
#include "plan/bind.h"

namespace backstream::plan {

void rewrite(Query& query) {
  for (auto& input : query.inputs) rewrite(*input);
  for (Stage& stage : query.stages) {
    // A condition that is always true is no condition.
    for (expr::ExprPtr* condition : {&stage.where, &stage.having}) {
      if (*condition == nullptr || (*condition)->kind != expr::ExprKind::kLiteral) continue;
      const bool* value = std::get_if<bool>(&(*condition)->literal);
      if (value != nullptr && *value) condition->reset();
    }
    for (AggregateCall& call : stage.aggregates) {
      if (call.filter == nullptr || call.filter->kind != expr::ExprKind::kLiteral) continue;
      const bool* value = std::get_if<bool>(&call.filter->literal);
      if (value != nullptr && *value) call.filter.reset();
    }
  }
}

}  // namespace backstream::plan
