// Lookup tables: CREATE TABLE, and the statements that change what is in one.
#include <utility>

#include "sql/lowering.h"

namespace backstream::sql {

using plan::UnboundStatement;

UnboundStatement Lowering::lower_table(const Json& fields, Span span) {
  UnboundStatement statement{};
  statement.kind = UnboundStatement::Kind::kCreateTable;
  statement.span = span;
  set_name(statement, field(fields, "relation"));
  if (!field(fields, "inhRelations").empty() || !field(fields, "partbound").empty() ||
      !field(fields, "partspec").empty()) {
    refuse_feature("INHERITS or PARTITION", statement.name_span, "write the columns");
  }
  if (!text_field(fields, "tablespacename").empty() || !text_field(fields, "accessMethod").empty()) {
    refuse_feature("USING or TABLESPACE", statement.name_span, "leave it out: lookup tables are in memory");
  }
  statement.if_exists = flag(fields, "if_not_exists");
  for (const Json& element : field(fields, "tableElts")) {
    const Node node = node_of(element);
    if (node.tag == "ColumnDef") {
      plan::UnboundColumnDef column = lower_column(node.fields, &statement.primary_key);
      for (const plan::UnboundColumnDef& other : statement.columns) {
        if (other.name == column.name) {
          refuse("42701", "the column '" + column.name + "' is there twice", column.span);
        }
      }
      statement.columns.push_back(std::move(column));
      continue;
    }
    const Span where = token_span(node.fields);
    if (node.tag != "Constraint" || text_field(node.fields, "contype") != "CONSTR_PRIMARY") {
      refuse_feature("a constraint other than PRIMARY KEY, or LIKE", where, "write columns and PRIMARY KEY (a, b)");
    }
    if (!statement.primary_key.empty()) refuse("42P16", "a table has one primary key", where);
    if (field(node.fields, "keys").empty() || !field(node.fields, "including").empty()) {
      refuse_feature("PRIMARY KEY with INDEX or INCLUDE", where, "write PRIMARY KEY (a, b)");
    }
    // [CONSTRAINT name] PRIMARY KEY (a, b): the names have no places of their own in the tree.
    uint32_t open = token_of(node.fields);
    while (open < tokens_.size() && !tokens_.is(open, "(")) ++open;
    uint32_t at = open + 1;
    for (const std::string& name : strings_of(field(node.fields, "keys"))) {
      statement.primary_key.push_back({name, tokens_.span(at)});
      at += 2;
    }
  }
  statement.options = lower_options(field(fields, "options"));
  return statement;
}

// What PostgreSQL's grammar allows around all of INSERT, UPDATE and DELETE.
void Lowering::refuse_clauses(const Json& fields, Span span) const {
  if (const Json& with = field(fields, "withClause"); !with.empty()) {
    refuse_feature("WITH before a change of a table", token_span(with), "write the values themselves");
  }
  if (!field(fields, "returningList").empty()) refuse_feature("RETURNING", span, "leave it out: nothing is returned");
}

/// INSERT, UPDATE or DELETE as far as they are alike: the table, and what stands nowhere.
UnboundStatement Lowering::lower_change(UnboundStatement::Kind kind, const Json& fields, Span span) {
  UnboundStatement statement{};
  statement.kind = kind;
  statement.span = span;
  refuse_clauses(fields, span);
  const Json& relation = field(fields, "relation");
  set_name(statement, relation);
  statement.alias = text_field(field(relation, "alias"), "aliasname");
  return statement;
}

UnboundStatement Lowering::lower_insert(const Json& fields, Span span) {
  UnboundStatement statement = lower_change(UnboundStatement::Kind::kInsert, fields, span);
  if (const Json& conflict = field(fields, "onConflictClause"); !conflict.empty()) {
    refuse_feature("ON CONFLICT", token_span(conflict), "UPDATE changes rows that are there, DELETE removes them");
  }
  for (const Json& column : field(fields, "cols")) {
    const Json& target = field(column, "ResTarget");
    if (!field(target, "indirection").empty()) refuse_feature("a part of a column", token_span(target));
    statement.insert_columns.push_back({text_field(target, "name"), token_span(target)});
  }
  const Json& select = field(field(fields, "selectStmt"), "SelectStmt");
  const Json& rows = field(select, "valuesLists");
  if (rows.empty()) refuse_feature("INSERT without VALUES", span, "INSERT INTO t VALUES (...), (...)");
  for (const char* clause : {"sortClause", "limitCount", "limitOffset", "withClause", "lockingClause"}) {
    if (!field(select, clause).empty()) {
      refuse_feature("WITH, ORDER BY or LIMIT of VALUES", span, "write the rows that are meant");
    }
  }
  for (const Json& row : rows) {
    plan::UnboundRow lowered;
    lowered.values = lower_list(field(field(row, "List"), "items"));
    const Span first = lowered.values.front()->span, last = lowered.values.back()->span;
    lowered.span =
        tokens_.with_parentheses({first.offset_octets, last.offset_octets + last.length_octets - first.offset_octets});
    statement.rows.push_back(std::move(lowered));
  }
  return statement;
}

UnboundStatement Lowering::lower_update(const Json& fields, Span span) {
  UnboundStatement statement = lower_change(UnboundStatement::Kind::kUpdate, fields, span);
  if (!field(fields, "fromClause").empty()) {
    refuse_feature("UPDATE ... FROM", span, "write the values themselves: UPDATE t SET a = 1 WHERE key = 2");
  }
  for (const Json& item : field(fields, "targetList")) {
    const Json& target = field(item, "ResTarget");
    const Span where = token_span(target);
    if (!field(target, "indirection").empty() || node_of(field(target, "val")).tag == "MultiAssignRef") {
      refuse_feature("SET of several columns at once", where, "SET a = 1, b = 2");
    }
    statement.assignments.push_back({{text_field(target, "name"), where}, lower_expr(field(target, "val"))});
  }
  statement.where = lower_optional(field(fields, "whereClause"));
  return statement;
}

UnboundStatement Lowering::lower_delete(const Json& fields, Span span) {
  UnboundStatement statement = lower_change(UnboundStatement::Kind::kDelete, fields, span);
  if (!field(fields, "usingClause").empty()) {
    refuse_feature("DELETE ... USING", span, "write the condition itself: DELETE FROM t WHERE key = 2");
  }
  statement.where = lower_optional(field(fields, "whereClause"));
  return statement;
}

void Lowering::lower_truncate(const Json& fields, Span span, std::vector<UnboundStatement>& out) {
  if (text_field(fields, "behavior") == "DROP_CASCADE" || flag(fields, "restart_seqs")) {
    refuse_feature("TRUNCATE with CASCADE or RESTART IDENTITY", span, "TRUNCATE t");
  }
  for (const Json& relation : field(fields, "relations")) {
    UnboundStatement statement{};
    statement.kind = UnboundStatement::Kind::kTruncate;
    statement.span = span;
    set_name(statement, field(relation, "RangeVar"));
    out.push_back(std::move(statement));
  }
}

}  // namespace backstream::sql
