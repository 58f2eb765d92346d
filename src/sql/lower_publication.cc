// CREATE PUBLICATION: where the rows of a view go.
#include <string>

#include "sql/lowering.h"

namespace backstream::sql {

using plan::UnboundStatement;

// CREATE PUBLICATION name FOR TABLE view [(a, b)] [WHERE (condition)] [WITH (...)]
UnboundStatement Lowering::lower_publication(const Json& fields, Span span) {
  UnboundStatement statement{};
  statement.kind = UnboundStatement::Kind::kCreatePublication;
  statement.span = span;
  const uint32_t first = tokens_.at(span.offset_octets);
  statement.name = text_field(fields, "pubname");
  statement.name_span = tokens_.span(first + 2);
  const std::string hint = "CREATE PUBLICATION " + statement.name + " FOR TABLE view WITH (server = '...')";
  const Json& objects = field(fields, "pubobjects");
  if (flag(fields, "for_all_tables") || objects.size() != 1)
    refuse_feature("a publication of all tables, of several, or of none", statement.name_span, hint);
  const Json& object = field(objects[0], "PublicationObjSpec");
  const Json& table = field(object, "pubtable");
  if (text_field(object, "pubobjtype") != "PUBLICATIONOBJ_TABLE" || table.empty())
    refuse_feature("a publication of a schema", statement.name_span, hint);
  UnboundStatement of{};
  set_name(of, field(table, "relation"));
  statement.relation = {of.name, of.name_span};

  uint32_t at = tokens_.at(of.name_span.offset_octets) + 1;
  if (tokens_.is(at, "*")) ++at;
  if (tokens_.is(at, "(")) {
    for (const std::string& column : strings_of(field(table, "columns"))) {
      const Span where = tokens_.span(++at);
      for (const plan::UnboundName& other : statement.insert_columns) {
        if (other.name == column) refuse("42701", "the column '" + column + "' is there twice", where);
      }
      statement.insert_columns.push_back({column, where});
      ++at;  // The comma, or what closes the list.
    }
    ++at;
  }
  if (const Json& condition = field(table, "whereClause"); !condition.empty()) {
    statement.where = lower_expr(condition);
    const uint32_t open = at + 1;  // WHERE (
    statement.condition_span = tokens_.span(open + 1, tokens_[open].partner - 1);
  }
  statement.options = lower_options(field(fields, "options"));
  return statement;
}

}  // namespace backstream::sql
