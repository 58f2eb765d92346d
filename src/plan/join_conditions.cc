#include "plan/join_conditions.h"

#include <utility>

namespace backstream::plan {

using expr::ExprKind;

void add_conjuncts(ExprPtr e, std::vector<ExprPtr>& to) {
  if (e->kind != ExprKind::kAnd) return to.push_back(std::move(e));
  for (ExprPtr& part : e->args) add_conjuncts(std::move(part), to);
}

Result<ExprPtr> all_of(std::vector<ExprPtr> conjuncts) {
  if (conjuncts.empty()) return ExprPtr();
  if (conjuncts.size() == 1) return std::move(conjuncts[0]);
  const SourceSpan span = conjuncts[0]->span;
  return expr::make_and(std::move(conjuncts), span);
}

void put_below(ExprPtr& e, const Stage& stage) {
  if (e->kind == ExprKind::kColumn) {
    e = expr::clone(*stage.outputs[static_cast<size_t>(e->column)]);
    return;
  }
  for (ExprPtr& arg : e->args) put_below(arg, stage);
}

Result<void> add_filter(Stage& stage, ExprPtr condition) {
  put_below(condition, stage);
  std::vector<ExprPtr> parts;
  if (stage.where) parts.push_back(std::move(stage.where));
  parts.push_back(std::move(condition));
  auto all = all_of(std::move(parts));
  if (!all) return tl::unexpected(all.error());
  stage.where = std::move(*all);
  return {};
}

}  // namespace backstream::plan
