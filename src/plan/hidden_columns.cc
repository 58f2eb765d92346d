#include "plan/hidden_columns.h"

#include <algorithm>

namespace backstream::plan {
namespace {

bool names_one(const UnboundExpr* e);

bool names_one(const std::vector<UnboundExprPtr>& list) {
  return std::any_of(list.begin(), list.end(), [](const UnboundExprPtr& e) { return names_one(e.get()); });
}
bool names_one(const std::vector<UnboundOrder>& list) {
  return std::any_of(list.begin(), list.end(), [](const UnboundOrder& order) { return names_one(order.expr.get()); });
}
bool names_one(const UnboundExpr* e) {
  if (e == nullptr) return false;
  if (e->kind == UnboundExpr::Kind::kColumn && !e->names.empty() && hidden_columns().find(e->names.back()) >= 0)
    return true;
  return names_one(e->args) || names_one(e->order_by) || names_one(e->filter.get()) ||
         (e->over && (names_one(e->over->partition_by) || names_one(e->over->order_by)));
}

}  // namespace

const batch::Schema& hidden_columns() {
  static const batch::Schema kColumns = [] {
    batch::Schema schema{{{"_rev", batch::Type::kInt4, 0},
                          {"_final", batch::Type::kBool, 0},
                          {"_complete", batch::Type::kBool, 0},
                          {"_sites_missing", batch::Type::kText, 0},
                          {"_op", batch::Type::kText, 0}}};
    for (batch::ColumnDef& column : schema.columns) column.hidden = true;
    return schema;
  }();
  return kColumns;
}

bool names_hidden_column(const UnboundSelect& select) {
  return std::any_of(select.targets.begin(), select.targets.end(),
                     [](const UnboundTarget& target) { return names_one(target.expr.get()); }) ||
         names_one(select.where.get()) || names_one(select.group_by) || names_one(select.having.get()) ||
         names_one(select.order_by);
}

}  // namespace backstream::plan
