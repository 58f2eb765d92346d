#include <algorithm>
#include <array>

#include "sql/lowering.h"

namespace backstream::sql {

using plan::UnboundStatement;

namespace {

constexpr const char* kSeveralKeysHint = "a key of several columns is written behind them: PRIMARY KEY (a, b)";

/// UnboundOption::places of a text that is written 'so' or $$so$$; empty for other ways.
std::vector<uint32_t> places_of(std::string_view written, uint32_t offset, std::string_view value) {
  std::vector<uint32_t> places;
  const bool dollars = written.starts_with('$');
  const size_t open = dollars ? written.find('$', 1) + 1 : 1;
  if (written.size() < 2 * open || (!dollars && !written.starts_with('\''))) return places;
  std::string read;
  for (size_t at = open; at < written.size() - open; ++at) {
    places.push_back(offset + static_cast<uint32_t>(at));
    read += written[at];
    if (!dollars && written[at] == '\'') ++at;  // Twice for one.
  }
  places.push_back(offset + static_cast<uint32_t>(written.size() - open));
  if (read != value) places.clear();  // In pieces, over several lines.
  return places;
}

}  // namespace

std::vector<UnboundStatement> Lowering::lower_all(const Json& root) {
  std::vector<UnboundStatement> out;
  for (const Json& raw : field(root, "stmts")) {
    const auto octets = [&](const char* name) {
      const Json& value = field(raw, name);
      return value.is_number_integer() ? value.get<uint32_t>() : 0u;
    };
    // The parser counts from the end of the statement before; length 0: to the end of the text.
    const uint32_t begin = octets("stmt_location"), length = octets("stmt_len");
    const uint32_t first = tokens_.at(begin);
    uint32_t last = length == 0 ? tokens_.size() - 1 : tokens_.before(begin + length);
    while (last > first && tokens_.is(last, ";")) --last;
    const Span span = tokens_.span(first, std::max(first, last));
    lower_statement(node_of(field(raw, "stmt")), span, out);
  }
  return out;
}

void Lowering::lower_statement(Node node, Span span, std::vector<UnboundStatement>& out) {
  if (node.tag == "DropStmt") return lower_drop(node.fields, span, out);
  if (node.tag == "TruncateStmt") return lower_truncate(node.fields, span, out);
  out.push_back(lower_one(node, span));
}

UnboundStatement Lowering::lower_one(Node node, Span span) {
  if (node.tag == "SelectStmt") {
    UnboundStatement statement{};
    statement.kind = UnboundStatement::Kind::kSelect;
    statement.span = span;
    statement.select = lower_select(node.fields, span);
    return statement;
  }
  if (node.tag == "CreateTableAsStmt") return lower_materialized_view(node.fields, span);
  if (node.tag == "ViewStmt") return lower_view(node.fields, span);
  if (node.tag == "CreateForeignTableStmt") return lower_foreign_table(node.fields, span);
  if (node.tag == "CreateStmt") return lower_table(node.fields, span);
  if (node.tag == "InsertStmt") return lower_insert(node.fields, span);
  if (node.tag == "UpdateStmt") return lower_update(node.fields, span);
  if (node.tag == "DeleteStmt") return lower_delete(node.fields, span);
  if (node.tag == "ExplainStmt") return lower_explain(node.fields, span);
  if (node.tag == "AlterTableStmt") return lower_alter(node.fields, span);
  if (node.tag == "RenameStmt") return lower_rename(node.fields, span);
  if (node.tag == "CommentStmt") return lower_comment(node.fields, span);
  if (node.tag == "CreatePublicationStmt") return lower_publication(node.fields, span);

  struct Other {
    std::string_view tag, what, hint;
  };
  static constexpr Other kOthers[] = {
      {"MergeStmt", "MERGE", "lookup tables are changed by INSERT, UPDATE and DELETE"},
      {"CopyStmt", "COPY",
       "backstream run -o csv writes the rows of a query; CREATE TABLE ... WITH (file = 'x.csv') reads a file"},
      {"TransactionStmt", "a transaction", "each statement stands alone: leave BEGIN and COMMIT out"},
      {"VariableSetStmt", "SET", "settings stand in TOML, or --set key.path=value"},
      {"VariableShowStmt", "SHOW", "backstream config show lists the settings"},
      {"IndexStmt", "CREATE INDEX", "none is needed"},
      {"RefreshMatViewStmt", "REFRESH MATERIALIZED VIEW", "none is needed: a view follows the stream by itself"},
      {"CreateFunctionStmt", "CREATE FUNCTION",
       "CREATE VIEW v AS SELECT expression AS name, ... FROM ... names an expression once for all that read v"},
      {"DefineStmt", "CREATE AGGREGATE, OPERATOR or TYPE", "docs/sql.md lists the aggregates, operators and types"},
      {"CompositeTypeStmt", "CREATE TYPE", "docs/sql.md lists the types"},
      {"CreateEnumStmt", "CREATE TYPE", "use text and IN ('a', 'b')"},
      {"CreateDomainStmt", "CREATE DOMAIN", "use the type itself; conditions stand in WHERE"},
      {"CreateSeqStmt", "CREATE SEQUENCE", "row_number() OVER (...) numbers the rows of a window"},
      {"CreateTrigStmt", "CREATE TRIGGER",
       "a view over the view reads each of its rows once: CREATE MATERIALIZED VIEW"},
      {"RuleStmt", "CREATE RULE", "a view over the view reads each of its rows once: CREATE MATERIALIZED VIEW"},
      {"ListenStmt", "LISTEN", "SELECT ... FROM the view: its rows come as windows close"},
      {"UnlistenStmt", "UNLISTEN", "SELECT ... FROM the view: its rows come as windows close"},
      {"NotifyStmt", "NOTIFY", "rows of a view are told by themselves as windows close"},
      {"LockStmt", "LOCK", "leave it out: nothing is locked"},
      {"PrepareStmt", "PREPARE", "write the query itself; CREATE VIEW v AS SELECT ... names it"},
      {"ExecuteStmt", "EXECUTE", "write the query itself; CREATE VIEW v AS SELECT ... names it"},
      {"DeallocateStmt", "DEALLOCATE", "leave it out: nothing is prepared"},
      {"DeclareCursorStmt", "DECLARE CURSOR", "write the SELECT alone: its rows come as windows close"},
      {"FetchStmt", "FETCH", "write the SELECT alone: its rows come as windows close"},
      {"ClosePortalStmt", "CLOSE", "leave it out: there are no cursors"},
      {"DoStmt", "DO", "there is no procedural language; each statement stands alone"},
      {"CallStmt", "CALL", "there are no procedures; each statement stands alone"},
      {"VacuumStmt", "VACUUM or ANALYZE", "none is needed: EXPLAIN ANALYZE SELECT ... measures a query"},
      {"GrantStmt", "GRANT or REVOKE", "rights are settings, in TOML"},
      {"GrantRoleStmt", "GRANT or REVOKE", "rights are settings, in TOML"},
      {"CreateRoleStmt", "CREATE ROLE or USER", "rights are settings, in TOML"},
      {"CreateSchemaStmt", "CREATE SCHEMA", "names stand alone: there is one schema"},
      {"CreatedbStmt", "CREATE DATABASE", "there is one catalog of queries"},
      {"CreateExtensionStmt", "CREATE EXTENSION", "docs/sql.md lists the functions"},
      {"AlterObjectSchemaStmt", "SET SCHEMA", "names stand alone: there is one schema"},
      {"AlterOwnerStmt", "OWNER TO", "rights are settings, in TOML"},
      {"AlterSystemStmt", "ALTER SYSTEM", "settings stand in TOML, or --set key.path=value"},
      {"CreateForeignServerStmt", "CREATE SERVER", "endpoints stand in TOML; tests write SERVER test"},
  };
  for (const Other& other : kOthers) {
    if (node.tag == other.tag) refuse_feature(std::string(other.what), span, std::string(other.hint));
  }
  const uint32_t first = tokens_.at(span.offset_octets);
  refuse_feature(
      "a statement that begins with " + std::string(tokens_.text(first)), tokens_.span(first),
      "SELECT, EXPLAIN, CREATE [MATERIALIZED] VIEW, CREATE TABLE, CREATE PUBLICATION, INSERT, UPDATE, DELETE, TRUNCATE, ALTER, DROP "
      "and COMMENT ON are");
}

void Lowering::set_name(UnboundStatement& statement, const Json& range_var) {
  statement.name = text_field(range_var, "relname");
  const uint32_t name = token_of(range_var);
  statement.name_span = tokens_.span(name);
  if (!text_field(range_var, "schemaname").empty()) {
    refuse_feature("a name with a schema", tokens_.span(name, name + 2), "write " + statement.name + " alone");
  }
  const std::string persistence = text_field(range_var, "relpersistence");
  if (!persistence.empty() && persistence != "p") {
    refuse_feature("TEMPORARY or UNLOGGED", statement.span, "leave the word out");
  }
}

UnboundStatement Lowering::lower_materialized_view(const Json& fields, Span span) {
  UnboundStatement statement{};
  statement.kind = UnboundStatement::Kind::kCreateMaterializedView;
  statement.span = span;
  const Json& into = field(fields, "into");
  if (text_field(fields, "objtype") != "OBJECT_MATVIEW") {
    refuse_feature("CREATE TABLE ... AS", token_span(field(into, "rel")),
                   "CREATE MATERIALIZED VIEW name AS SELECT ...");
  }
  set_name(statement, field(into, "rel"));
  if (!text_field(into, "accessMethod").empty() || !text_field(into, "tableSpaceName").empty()) {
    refuse_feature("USING or TABLESPACE", statement.name_span, "say where with WITH (placement = ...)");
  }
  statement.if_exists = flag(fields, "if_not_exists");
  statement.with_no_data = flag(into, "skipData");
  statement.column_aliases = strings_of(field(into, "colNames"));
  statement.options = lower_options(field(into, "options"));
  lower_conditions(statement.options);
  statement.select = lower_query(field(fields, "query"), span);
  return statement;
}

UnboundStatement Lowering::lower_view(const Json& fields, Span span) {
  UnboundStatement statement{};
  statement.kind = UnboundStatement::Kind::kCreateView;
  statement.span = span;
  set_name(statement, field(fields, "view"));
  if (const std::string check = text_field(fields, "withCheckOption"); !check.empty() && check != "NO_CHECK_OPTION") {
    refuse_feature("WITH CHECK OPTION", statement.name_span, "leave it out: a view is only read");
  }
  statement.or_replace = flag(fields, "replace");
  statement.column_aliases = strings_of(field(fields, "aliases"));
  statement.options = lower_options(field(fields, "options"));
  statement.select = lower_query(field(fields, "query"), span);
  return statement;
}

UnboundStatement Lowering::lower_foreign_table(const Json& fields, Span span) {
  UnboundStatement statement{};
  statement.kind = UnboundStatement::Kind::kCreateForeignTable;
  statement.span = span;
  const Json& base = field(fields, "base");
  set_name(statement, field(base, "relation"));
  if (!field(base, "inhRelations").empty() || !field(base, "partbound").empty()) {
    refuse_feature("INHERITS or PARTITION OF", statement.name_span, "write the columns");
  }
  statement.if_exists = flag(base, "if_not_exists");
  statement.server = text_field(fields, "servername");
  statement.options = lower_options(field(fields, "options"));
  for (const Json& element : field(base, "tableElts")) {
    const Node node = node_of(element);
    if (node.tag != "ColumnDef") refuse_feature("a constraint or LIKE", token_span(node.fields), "write only columns");
    plan::UnboundColumnDef column = lower_column(node.fields);
    for (const plan::UnboundColumnDef& other : statement.columns) {
      if (other.name == column.name) refuse("42701", "the column '" + column.name + "' is there twice", column.span);
    }
    statement.columns.push_back(std::move(column));
  }
  return statement;
}

plan::UnboundColumnDef Lowering::lower_column(const Json& fields, std::vector<plan::UnboundName>* primary_key) {
  plan::UnboundColumnDef column;
  column.name = text_field(fields, "colname");
  const uint32_t first = token_of(fields);
  const Json& type = field(fields, "typeName");
  column.span = tokens_.span(first, type_last(token_of(type)));
  column.type_name = lower_type_name(type);
  column.options = lower_options(field(fields, "fdwoptions"));
  for (const Json& constraint : field(fields, "constraints")) {
    const Json& inner = field(constraint, "Constraint");
    const std::string kind = text_field(inner, "contype");
    if (kind == "CONSTR_NULL") continue;
    if (primary_key != nullptr) {
      if (kind == "CONSTR_PRIMARY") {
        if (!primary_key->empty()) refuse("42P16", "a table has one primary key", token_span(inner), kSeveralKeysHint);
        primary_key->push_back({column.name, column.span});
        continue;
      }
      refuse_feature("a column constraint other than PRIMARY KEY", token_span(inner), "leave it out");
    }
    refuse_feature("a column constraint", token_span(inner), "leave it out: what arrives is taken as it is");
  }
  if (!field(fields, "collClause").empty()) refuse_feature("COLLATE", column.span, "text is ordered by its octets");
  return column;
}

UnboundStatement Lowering::lower_explain(const Json& fields, Span span) {
  UnboundStatement statement{};
  statement.kind = UnboundStatement::Kind::kExplain;
  statement.span = span;
  statement.options = lower_options(field(fields, "options"));
  // EXPLAIN [(options)] [ANALYZE] [VERBOSE] statement
  uint32_t inner = tokens_.at(span.offset_octets) + 1;
  if (tokens_.is(inner, "(") && tokens_[inner].partner != Token::kNone && !statement.options.empty()) {
    inner = tokens_[inner].partner + 1;
  }
  while (tokens_.is_any_word(inner, {"analyze", "analyse", "verbose"})) ++inner;
  const Node node = node_of(field(fields, "query"));
  if (node.tag != "SelectStmt" && node.tag != "CreateTableAsStmt" && node.tag != "ViewStmt") {
    refuse_feature("EXPLAIN of anything but a query", tokens_.span(inner, tokens_.last_of(span)),
                   "EXPLAIN SELECT ..., or EXPLAIN CREATE MATERIALIZED VIEW ...");
  }
  statement.inner = std::make_unique<UnboundStatement>(lower_one(node, tokens_.span(inner, tokens_.last_of(span))));
  return statement;
}

void Lowering::lower_drop(const Json& fields, Span span, std::vector<UnboundStatement>& out) {
  const std::string type = text_field(fields, "removeType");
  const std::string object_type = type == "OBJECT_MATVIEW"         ? "materialized view"
                                  : type == "OBJECT_VIEW"          ? "view"
                                  : type == "OBJECT_FOREIGN_TABLE" ? "foreign table"
                                  : type == "OBJECT_TABLE"         ? "table"
                                  : type == "OBJECT_PUBLICATION"   ? "publication"
                                                                   : "";
  const uint32_t first = tokens_.at(span.offset_octets), last = tokens_.last_of(span);
  if (object_type.empty()) {
    refuse_feature("DROP " + std::string(tokens_.text(first + 1)), tokens_.span(first, first + 1),
                   "DROP MATERIALIZED VIEW, DROP VIEW, DROP TABLE, DROP PUBLICATION and DROP FOREIGN TABLE are");
  }
  if (text_field(fields, "behavior") == "DROP_CASCADE") {
    refuse_feature("DROP ... CASCADE", tokens_.span(last),
                   "it would stop queries that nobody named: drop those that read it first");
  }
  const bool two_words = object_type == "materialized view" || object_type == "foreign table";
  uint32_t name = first + (two_words ? 3 : 2);
  if (flag(fields, "missing_ok")) name += 2;
  for (const Json& object : field(fields, "objects")) {
    const bool is_list = object.contains("List");  // Of what has no schema it is a name alone.
    const std::vector<std::string> names =
        is_list ? strings_of(field(field(object, "List"), "items")) : std::vector<std::string>{string_of(object)};
    if (names.size() != 1) {
      refuse_feature("a name with a schema", tokens_.span(name),
                     "write " + (names.empty() ? "it" : names.back()) + " alone");
    }
    UnboundStatement statement{};
    statement.kind = UnboundStatement::Kind::kDrop;
    statement.span = span;
    statement.object_type = object_type;
    statement.name = names[0];
    statement.name_span = tokens_.span(name);
    statement.if_exists = flag(fields, "missing_ok");
    out.push_back(std::move(statement));
    name += 2;
  }
}

std::vector<plan::UnboundOption> Lowering::lower_options(const Json& list) {
  std::vector<plan::UnboundOption> out;
  for (const Json& item : list) {
    plan::UnboundOption option = lower_option(field(item, "DefElem"));
    for (const plan::UnboundOption& other : out) {
      if (other.name == option.name) refuse("42601", "the option '" + option.name + "' is given twice", option.span);
    }
    out.push_back(std::move(option));
  }
  return out;
}

plan::UnboundOption Lowering::lower_option(const Json& fields) {
  plan::UnboundOption option;
  option.name = text_field(fields, "defname");
  const uint32_t first = token_of(fields);
  uint32_t value = first + 1;  // of: name 'text' and name value
  if (const std::string space = text_field(fields, "defnamespace"); !space.empty()) {
    option.name = space + "." + option.name;
    value += 2;
  }
  if (tokens_.is(value, "=")) ++value;
  const Node arg = node_of(field(fields, "arg"));
  uint32_t last = value;
  if (arg.tag.empty()) {
    option.has_value = false;
    last = value - 1;
  } else if (arg.tag == "String") {
    while (tokens_.is_kind(last + 1, Token::Kind::kString)) ++last;  // 'a' and 'b' on the next line are one.
    option.value = text_field(arg.fields, "sval");
    option.places = places_of(tokens_.text(value), tokens_.span(value).offset_octets, option.value);
  } else if (arg.tag == "Integer" || arg.tag == "Float") {
    option.value = number_text(value);
    if (!tokens_.is_kind(value, Token::Kind::kNumber)) ++last;
  } else if (arg.tag == "TypeName") {  // a word without quotes
    if (tokens_.is_kind(value, Token::Kind::kQuotedWord)) {
      refuse("42601", "double quotes name a column; an option's value is text", tokens_.span(value),
             "write single quotes");
    }
    option.value = strings_of(field(arg.fields, "names")).back();
    if (tokens_.is(value + 1, ".") || !field(arg.fields, "typmods").empty() ||
        !field(arg.fields, "arrayBounds").empty()) {
      refuse("42601", "the value of '" + option.name + "' is not a text or a number", tokens_.span(value),
             "write it in single quotes");
    }
  } else {
    refuse("42601", "the value of '" + option.name + "' is not a text or a number", tokens_.span(value),
           "write it in single quotes");
  }
  option.span = tokens_.span(first, std::max(first, last));
  return option;
}

}  // namespace backstream::sql
