#include "borealis/unbound_exprs.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace backstream::borealis {

using Kind = UnboundExpr::Kind;
using base::SourceSpan;

namespace {

UnboundExprPtr make(Kind kind, SourceSpan span) {
  auto made = std::make_unique<UnboundExpr>();
  made->kind = kind;
  made->span = span;
  return made;
}

}  // namespace

UnboundExprPtr clone(const UnboundExpr& e) {
  // What this room makes has neither OVER nor subqueries within expressions.
  auto made = make(e.kind, e.span);
  made->names = e.names;
  made->text = e.text;
  made->op = e.op;
  made->negated = e.negated;
  made->distinct = e.distinct;
  made->star = e.star;
  made->arg_names = e.arg_names;
  for (const UnboundExprPtr& arg : e.args) made->args.push_back(arg ? clone(*arg) : nullptr);
  if (e.filter) made->filter = clone(*e.filter);
  return made;
}

UnboundExprPtr column(std::string_view name, SourceSpan span) {
  auto made = make(Kind::kColumn, span);
  made->names.emplace_back(name);
  return made;
}
UnboundExprPtr integer(int64_t value, SourceSpan span) {
  auto made = make(Kind::kInteger, span);
  made->text = std::to_string(value);
  return made;
}
UnboundExprPtr real(std::string text, SourceSpan span) {
  auto made = make(Kind::kFloat, span);
  made->text = std::move(text);
  return made;
}
UnboundExprPtr text(std::string value, SourceSpan span) {
  auto made = make(Kind::kString, span);
  made->text = std::move(value);
  return made;
}
UnboundExprPtr cast(UnboundExprPtr e, std::string_view type) {
  auto made = make(Kind::kCast, e->span);
  made->text = type;
  made->args.push_back(std::move(e));
  return made;
}
UnboundExprPtr call(std::string_view function, std::vector<UnboundExprPtr> args, SourceSpan span) {
  auto made = make(Kind::kCall, span);
  made->text = function;
  made->arg_names.resize(args.size());
  made->args = std::move(args);
  return made;
}
UnboundExprPtr call(std::string_view function, UnboundExprPtr arg) {
  const SourceSpan span = arg->span;
  std::vector<UnboundExprPtr> args;
  args.push_back(std::move(arg));
  return call(function, std::move(args), span);
}
UnboundExprPtr op(std::string_view name, UnboundExprPtr left, UnboundExprPtr right) {
  const uint32_t begin = left->span.offset_octets;
  auto made = make(Kind::kOperator, {begin, right->span.offset_octets + right->span.length_octets - begin});
  made->op = name;
  made->args.push_back(std::move(left));
  made->args.push_back(std::move(right));
  return made;
}
UnboundExprPtr over(Kind kind, std::vector<UnboundExprPtr> args, SourceSpan span) {
  auto made = make(kind, span);
  made->args = std::move(args);
  return made;
}
UnboundExprPtr all_of(std::vector<UnboundExprPtr> conditions) {
  if (conditions.size() == 1) return std::move(conditions.front());
  const SourceSpan span = conditions.front()->span;
  return over(Kind::kAnd, std::move(conditions), span);
}
UnboundExprPtr is_not_true(UnboundExprPtr condition) {
  auto made = make(Kind::kIsTruth, condition->span);
  made->op = "true";
  made->negated = true;
  made->args.push_back(std::move(condition));
  return made;
}
UnboundExprPtr choose(UnboundExprPtr condition, UnboundExprPtr a, UnboundExprPtr b, SourceSpan span) {
  std::vector<UnboundExprPtr> args(1);
  args.push_back(std::move(condition));
  args.push_back(std::move(a));
  args.push_back(std::move(b));
  return over(Kind::kCase, std::move(args), span);
}
UnboundExprPtr seconds(double length, SourceSpan span) {
  return cast(text(length == std::floor(length) ? fmt::format("{:.0f} s", length) : fmt::format("{} s", length), span),
              "interval");
}
plan::UnboundTarget target(UnboundExprPtr e, std::string_view name) {
  plan::UnboundTarget made;
  made.alias_span = e->span;
  if (e->kind != Kind::kColumn || e->names.back() != name) made.alias = name;
  made.expr = std::move(e);
  return made;
}
plan::UnboundTarget aliased(UnboundExprPtr e, std::string_view name) {
  plan::UnboundTarget made;
  made.alias_span = e->span;
  made.alias = name;
  made.expr = std::move(e);
  return made;
}
const std::string& name_of(const plan::UnboundTarget& target) {
  return target.alias.empty() ? target.expr->names.back() : target.alias;
}
std::unique_ptr<plan::UnboundFrom> from_relation(std::string_view name, SourceSpan span) {
  auto made = std::make_unique<plan::UnboundFrom>();
  made->kind = plan::UnboundFrom::Kind::kRelation;
  made->span = made->name_span = span;
  made->name = name;
  return made;
}
std::unique_ptr<plan::UnboundFrom> from_subquery(std::unique_ptr<plan::UnboundSelect> select, SourceSpan span) {
  auto made = std::make_unique<plan::UnboundFrom>();
  made->kind = plan::UnboundFrom::Kind::kSubquery;
  made->span = made->name_span = span;
  made->alias = "tuples";
  made->subquery = std::move(select);
  return made;
}

uint64_t node_count(const UnboundExpr& e) {
  uint64_t count = 1;
  for (const UnboundExprPtr& arg : e.args) {
    if (arg) count += node_count(*arg);
  }
  if (e.filter) count += node_count(*e.filter);
  return count;
}

}  // namespace backstream::borealis
