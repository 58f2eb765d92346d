#include "plan/references.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace backstream::plan {
namespace {

class Walk {
 public:
  explicit Walk(const std::function<void(std::string&)>& visit) : visit_(visit) {}

  void select(UnboundSelect& select) {
    const size_t outer = ctes_.size();
    for (UnboundCte& cte : select.ctes) {  // Each sees those before it.
      this->select(*cte.select);
      ctes_.push_back(cte.name);
    }
    if (select.left) this->select(*select.left);
    if (select.right) this->select(*select.right);
    for (UnboundTarget& target : select.targets) expr(target.expr.get());
    for (auto& item : select.from) from(*item);
    for (UnboundExprPtr* part : {&select.where, &select.having, &select.limit, &select.offset}) expr(part->get());
    exprs(select.distinct_on);
    exprs(select.group_by);
    order(select.order_by);
    ctes_.resize(outer);
  }

 private:
  void name(std::string& name) {
    if (std::find(ctes_.begin(), ctes_.end(), name) == ctes_.end()) visit_(name);
  }
  void from(UnboundFrom& item) {
    switch (item.kind) {
      case UnboundFrom::Kind::kRelation: name(item.name); break;
      case UnboundFrom::Kind::kSubquery: select(*item.subquery); break;
      case UnboundFrom::Kind::kFunction:
        for (size_t i = 0; i < item.args.size(); ++i) {
          UnboundExpr& arg = *item.args[i];
          const std::string_view named = i < item.arg_names.size() ? std::string_view(item.arg_names[i]) : "";
          const bool relation = named.empty() ? i == 0 : named == "rel";
          if (relation && arg.kind == UnboundExpr::Kind::kColumn && arg.names.size() == 1) name(arg.names[0]);
          else expr(&arg);
        }
        break;
      case UnboundFrom::Kind::kJoin:
        from(*item.left);
        from(*item.right);
        expr(item.on.get());
        break;
      case UnboundFrom::Kind::kBoxes:
        // Only what is bound at once has them: nobody renames what they read.
        for (const UnboundBoxes::Source& source : item.boxes->sources) select(*source.rows);
        break;
    }
  }
  void exprs(std::vector<UnboundExprPtr>& list) {
    for (UnboundExprPtr& item : list) expr(item.get());
  }
  void order(std::vector<UnboundOrder>& list) {
    for (UnboundOrder& item : list) expr(item.expr.get());
  }
  void expr(UnboundExpr* e) {
    if (e == nullptr) return;
    exprs(e->args);
    order(e->order_by);
    expr(e->filter.get());
    if (e->over) {
      exprs(e->over->partition_by);
      order(e->over->order_by);
    }
    if (e->subquery) select(*e->subquery);
  }

  const std::function<void(std::string&)>& visit_;
  std::vector<std::string> ctes_;  // Those in sight.
};

}  // namespace

void for_each_relation(UnboundSelect& select, const std::function<void(std::string&)>& visit) {
  Walk(visit).select(select);
}

bool reads(const UnboundSelect& select, std::string_view relation) {
  bool found = false;
  // Nothing is changed: the visitor only looks.
  for_each_relation(const_cast<UnboundSelect&>(select), [&](std::string& name) { found = found || name == relation; });
  return found;
}

}  // namespace backstream::plan
