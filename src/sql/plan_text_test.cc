#include "sql/plan_text_test.h"

namespace backstream::sql {
namespace {

using plan::UnboundExpr;
using plan::UnboundFrom;
using plan::UnboundSelect;
using plan::UnboundStatement;

template <typename List, typename Print>
std::string join(const List& list, Print print_one) {
  std::string out;
  for (const auto& item : list) out += std::string(out.empty() ? "" : ", ") + print_one(item);
  return out;
}

std::string print(const std::vector<plan::UnboundOrder>& order) {
  return join(order, [](const plan::UnboundOrder& one) {
    std::string out = sql::print(one.expr.get());
    if (one.descending) out += " desc";
    if (one.nulls_first) out += *one.nulls_first ? " nulls first" : " nulls last";
    return out;
  });
}

std::string names(const std::vector<std::string>& list) {
  return join(list, [](const std::string& name) { return name; });
}

std::string options(const std::vector<plan::UnboundOption>& list) {
  return join(list, [](const plan::UnboundOption& option) {
    return option.name + (option.has_value ? "='" + option.value + "'" : std::string());
  });
}

std::string args(const std::vector<plan::UnboundExprPtr>& list, const std::vector<std::string>& arg_names) {
  std::string out;
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out += ", ";
    if (i < arg_names.size() && !arg_names[i].empty()) out += arg_names[i] + "=>";
    out += sql::print(list[i].get());
  }
  return out;
}

std::string print(const plan::UnboundFrame* frame) {
  using Bound = plan::UnboundFrame::Bound;
  if (!frame) return "";
  static constexpr const char* kUnits[] = {"rows", "range", "groups"};
  const auto bound = [](Bound b, const UnboundExpr* offset) -> std::string {
    switch (b) {
      case Bound::kUnboundedPreceding: return "unbounded preceding";
      case Bound::kPreceding: return sql::print(offset) + " preceding";
      case Bound::kCurrentRow: return "current row";
      case Bound::kFollowing: return sql::print(offset) + " following";
      case Bound::kUnboundedFollowing: return "unbounded following";
    }
    return "?";
  };
  return std::string(kUnits[static_cast<size_t>(frame->unit)]) + " between " +
         bound(frame->start, frame->start_offset.get()) + " and " + bound(frame->end, frame->end_offset.get()) +
         (frame->excludes ? " exclude" : "");
}

std::string label(UnboundExpr::Kind kind) {
  using Kind = UnboundExpr::Kind;
  switch (kind) {
    case Kind::kAnd: return "and";
    case Kind::kOr: return "or";
    case Kind::kNot: return "not";
    case Kind::kIsNull: return "is-null";
    case Kind::kIsTruth: return "is";
    case Kind::kDistinctFrom: return "distinct-from";
    case Kind::kCase: return "case";
    case Kind::kCoalesce: return "coalesce";
    case Kind::kNullIf: return "nullif";
    case Kind::kGreatest: return "greatest";
    case Kind::kLeast: return "least";
    case Kind::kBetween: return "between";
    case Kind::kInList: return "in";
    case Kind::kLike: return "";
    case Kind::kAnyArray: return "any";
    case Kind::kAllArray: return "all";
    case Kind::kAtTimeZone: return "at-time-zone";
    case Kind::kOperator: return "";
    case Kind::kSubquery: return "query";
    case Kind::kParameterDefault: return "default";
    default: return "?";
  }
}

}  // namespace

std::string print(const UnboundExpr* expr) {
  using Kind = UnboundExpr::Kind;
  if (!expr) return "-";
  switch (expr->kind) {
    case Kind::kColumn: return (expr->names.size() > 1 ? expr->names[0] + "." : "") + expr->names.back();
    case Kind::kStar: return expr->names.empty() ? "*" : expr->names[0] + ".*";
    case Kind::kNull: return "null";
    case Kind::kBool:
    case Kind::kInteger: return expr->text;
    case Kind::kFloat: return expr->text + "f";
    case Kind::kString: return "'" + expr->text + "'";
    case Kind::kCast: return print(expr->args[0].get()) + "::" + expr->text;
    case Kind::kCall: {
      std::string out = expr->text + "(" + (expr->distinct ? "distinct " : "") + (expr->star ? "*" : "");
      out += args(expr->args, expr->arg_names);
      if (!expr->order_by.empty()) out += (expr->within_group ? " within: " : " order: ") + print(expr->order_by);
      out += ")";
      if (expr->filter) out += std::string(" filter ") + print(expr->filter.get());
      if (expr->over) {
        out += std::string(" over(") + args(expr->over->partition_by, {}) + "; " + print(expr->over->order_by) + "; " +
               print(expr->over->frame.get()) + ")";
      }
      return out;
    }
    default: break;
  }
  std::string head = std::string(expr->negated ? "!" : "") + label(expr->kind);
  if (!expr->op.empty()) head += (head.empty() || head == "!" ? "" : ":") + expr->op;
  std::string out = "(" + head;
  for (const auto& arg : expr->args) out += std::string(" ") + print(arg.get());
  if (expr->subquery) out += std::string(" ") + print(*expr->subquery);
  return out + ")";
}

std::string print(const UnboundFrom& from) {
  std::string out;
  switch (from.kind) {
    case UnboundFrom::Kind::kRelation: out = from.name; break;
    case UnboundFrom::Kind::kFunction: out = from.name + "(" + args(from.args, from.arg_names) + ")"; break;
    case UnboundFrom::Kind::kSubquery: out = std::string("{") + print(*from.subquery) + "}"; break;
    case UnboundFrom::Kind::kJoin: {
      static constexpr const char* kJoins[] = {"inner", "left", "right", "full", "cross"};
      out = std::string("[") + print(*from.left) + " " + kJoins[static_cast<size_t>(from.join)] + " " +
            print(*from.right);
      if (from.on) out += " on " + print(from.on.get());
      if (!from.using_columns.empty()) out += " using " + names(from.using_columns);
      out += "]";
      break;
    }
    case UnboundFrom::Kind::kBoxes: out = "boxes"; break;
  }
  if (from.lateral) out = "lateral " + out;
  if (!from.alias.empty()) out += " as " + from.alias;
  if (!from.column_aliases.empty()) out += std::string("(") + names(from.column_aliases) + ")";
  return out;
}

std::string print(const UnboundSelect& select) {
  std::string out;
  for (const plan::UnboundCte& cte : select.ctes) {
    out += "with " + cte.name + "(" + names(cte.column_aliases) + "): {" + print(*cte.select) + "} ";
  }
  if (select.set_op != UnboundSelect::SetOp::kNone) {
    static constexpr const char* kOps[] = {"", "union", "intersect", "except"};
    out += std::string("{") + print(*select.left) + "} " + kOps[static_cast<size_t>(select.set_op)] +
           (select.set_all ? " all" : "") + " {" + print(*select.right) + "}";
  } else {
    out += "select ";
    if (select.distinct) out += "distinct ";
    if (!select.distinct_on.empty()) out += "distinct on (" + args(select.distinct_on, {}) + ") ";
    out += join(select.targets, [](const plan::UnboundTarget& target) {
      return print(target.expr.get()) + (target.alias.empty() ? "" : " as " + target.alias);
    });
  }
  if (!select.from.empty()) out += " from " + join(select.from, [](const auto& from) { return print(*from); });
  if (select.where) out += " where " + print(select.where.get());
  if (!select.group_by.empty()) out += " group by " + args(select.group_by, {});
  if (select.having) out += " having " + print(select.having.get());
  if (!select.order_by.empty()) out += " order by " + print(select.order_by);
  if (select.limit) out += " limit " + print(select.limit.get()) + (select.with_ties ? " with ties" : "");
  if (select.offset) out += " offset " + print(select.offset.get());
  return out;
}

std::string print(const UnboundStatement& statement) {
  using Kind = UnboundStatement::Kind;
  std::string out;
  switch (statement.kind) {
    case Kind::kSelect: return print(*statement.select);
    case Kind::kExplain: return std::string("explain(") + options(statement.options) + ") " + print(*statement.inner);
    case Kind::kCreateMaterializedView: out = "matview " + statement.name; break;
    case Kind::kCreateView: out = "view " + statement.name; break;
    case Kind::kCreateForeignTable: out = "foreign table " + statement.name + " server " + statement.server; break;
    case Kind::kCreateTable:
      out = "table " + statement.name;
      for (const plan::UnboundName& key : statement.primary_key) out += " key " + key.name;
      break;
    case Kind::kInsert:
      out = "insert " + statement.name;
      for (const plan::UnboundName& column : statement.insert_columns) out += " " + column.name;
      for (const plan::UnboundRow& row : statement.rows) out += " (" + args(row.values, {}) + ")";
      break;
    case Kind::kUpdate:
      out = "update " + statement.name;
      for (const plan::UnboundAssignment& set : statement.assignments)
        out += " " + set.column.name + " := " + print(set.value.get());
      break;
    case Kind::kDelete: out = "delete " + statement.name; break;
    case Kind::kTruncate: out = "truncate " + statement.name; break;
    case Kind::kCreatePublication:
      out = "publication " + statement.name + " of " + statement.relation.name;
      for (const plan::UnboundName& column : statement.insert_columns) out += " " + column.name;
      break;
    case Kind::kDrop: out = "drop " + statement.object_type + " " + statement.name; break;
    case Kind::kAlterView: out = std::string(statement.resets ? "reset " : "alter ") + statement.name; break;
    case Kind::kRename:
      out = "rename " + statement.object_type + " " + statement.name + " to " + statement.new_name;
      break;
    case Kind::kComment:
      out = "comment on " + statement.object_type + " " + statement.name +
            (statement.column.empty() ? "" : "." + statement.column) + " is " +
            (statement.comment ? "'" + *statement.comment + "'" : "null");
      break;
  }
  if (statement.if_exists) out += " if";
  if (statement.or_replace) out += " replace";
  if (statement.with_no_data) out += " no-data";
  if (!statement.column_aliases.empty()) out += std::string(" (") + names(statement.column_aliases) + ")";
  for (const plan::UnboundColumnDef& column : statement.columns) {
    out += " [" + column.name + " " + column.type_name +
           (column.options.empty() ? "" : std::string(" ") + options(column.options)) + "]";
  }
  if (!statement.options.empty()) out += " with " + options(statement.options);
  if (!statement.alias.empty()) out += " as " + statement.alias;
  if (statement.where) out += " where " + print(statement.where.get());
  if (statement.select) out += std::string(": ") + print(*statement.select);
  return out;
}

}  // namespace backstream::sql
