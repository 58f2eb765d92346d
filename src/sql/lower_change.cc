// ALTER, RENAME, COMMENT: statements that change what another one made.
#include "sql/lowering.h"

namespace backstream::sql {

using plan::UnboundStatement;

UnboundStatement Lowering::lower_alter(const Json& fields, Span span) {
  const std::string type = text_field(fields, "objtype");
  const uint32_t first = tokens_.at(span.offset_octets);
  if (type == "OBJECT_VIEW") {
    refuse_feature("ALTER VIEW but RENAME TO", tokens_.span(first, first + 1),
                   "CREATE OR REPLACE VIEW name AS SELECT ... gives it another query; it has no options");
  }
  if (type != "OBJECT_MATVIEW") {
    refuse_feature("ALTER " + std::string(tokens_.text(first + 1)), tokens_.span(first, first + 1),
                   "ALTER MATERIALIZED VIEW is; DROP other objects and CREATE them again");
  }
  UnboundStatement statement{};
  statement.kind = UnboundStatement::Kind::kAlterView;
  statement.span = span;
  statement.object_type = "materialized view";
  statement.if_exists = flag(fields, "missing_ok");
  set_name(statement, field(fields, "relation"));
  const Json& commands = field(fields, "cmds");
  const Json& command = field(commands[0], "AlterTableCmd");
  const std::string subtype = text_field(command, "subtype");
  const uint32_t verb = tokens_.at(statement.name_span.offset_octets) + 1;
  if (commands.size() != 1) {
    refuse_feature("several changes in one ALTER", tokens_.span(verb), "write one statement for each");
  }
  if (subtype != "AT_SetRelOptions" && subtype != "AT_ResetRelOptions") {
    refuse_feature("ALTER MATERIALIZED VIEW ... " + std::string(tokens_.text(verb)),
                   tokens_.span(verb, tokens_.last_of(span)),
                   "SET (option = 'value'), RESET (option) and RENAME TO are; for another query DROP it and CREATE it "
                   "again");
  }
  statement.resets = subtype == "AT_ResetRelOptions";
  statement.options = lower_options(field(field(field(command, "def"), "List"), "items"));
  if (!statement.resets) lower_conditions(statement.options);
  return statement;
}

UnboundStatement Lowering::lower_rename(const Json& fields, Span span) {
  const std::string type = text_field(fields, "renameType");
  const uint32_t first = tokens_.at(span.offset_octets), last = tokens_.last_of(span);
  if (type != "OBJECT_MATVIEW" && type != "OBJECT_VIEW") {
    refuse_feature(type == "OBJECT_COLUMN" ? std::string("RENAME COLUMN")
                                           : "ALTER " + std::string(tokens_.text(first + 1)) + " ... RENAME",
                   tokens_.span(first, last),
                   type == "OBJECT_COLUMN"
                       ? "CREATE VIEW other (names) AS SELECT * FROM the view gives its columns other names"
                       : "ALTER VIEW and ALTER MATERIALIZED VIEW are");
  }
  UnboundStatement statement{};
  statement.kind = UnboundStatement::Kind::kRename;
  statement.span = span;
  statement.object_type = type == "OBJECT_VIEW" ? "view" : "materialized view";
  statement.if_exists = flag(fields, "missing_ok");
  set_name(statement, field(fields, "relation"));
  statement.new_name = text_field(fields, "newname");
  statement.new_name_span = tokens_.span(last);
  return statement;
}

UnboundStatement Lowering::lower_comment(const Json& fields, Span span) {
  const std::string type = text_field(fields, "objtype");
  UnboundStatement statement{};
  statement.kind = UnboundStatement::Kind::kComment;
  statement.span = span;
  statement.object_type = type == "OBJECT_MATVIEW"         ? "materialized view"
                          : type == "OBJECT_VIEW"          ? "view"
                          : type == "OBJECT_TABLE"         ? "table"
                          : type == "OBJECT_FOREIGN_TABLE" ? "foreign table"
                          : type == "OBJECT_COLUMN"        ? "column"
                                                           : "";
  const uint32_t first = tokens_.at(span.offset_octets);  // COMMENT ON type [type] name[.column] IS 'text'
  if (statement.object_type.empty()) {
    refuse_feature("COMMENT ON " + std::string(tokens_.text(first + 2)), tokens_.span(first, first + 2),
                   "COMMENT ON MATERIALIZED VIEW, VIEW, TABLE and COLUMN are");
  }
  const bool two_words = type == "OBJECT_MATVIEW" || type == "OBJECT_FOREIGN_TABLE";
  const uint32_t name = first + (two_words ? 4 : 3);
  const std::vector<std::string> names = strings_of(field(field(field(fields, "object"), "List"), "items"));
  const bool of_column = statement.object_type == "column";
  if (names.size() != (of_column ? 2u : 1u)) {
    if (of_column && names.size() == 1)
      refuse("42601", "a column is named with its relation", tokens_.span(name),
             "COMMENT ON COLUMN view.column IS ...");
    refuse_feature("a name with a schema", tokens_.span(name), "leave the schema out");
  }
  statement.name = names[0];
  statement.name_span = tokens_.span(name);
  if (of_column) {
    statement.column = names[1];
    statement.column_span = tokens_.span(name + 2);
  }
  if (!field(fields, "comment").is_null()) statement.comment = text_field(fields, "comment");
  return statement;
}

}  // namespace backstream::sql
