#include "plan/bind_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "plan/binder.h"

namespace backstream::plan {

using base::fail;
using batch::Type;
using lookup::LookupTable;

namespace {

using Kind = UnboundStatement::Kind;

/// An error of the room below, which knows no place in the statement; one in a file keeps its own.
tl::unexpected<base::Diagnostic> placed(base::Diagnostic error, SourceSpan span) {
  if (error.line == 0) {
    error.span = span;
    if (!error.source_name.empty()) error.message = fmt::format("{}: {}", error.source_name, error.message);
    error.source_name.clear();
  }
  return tl::unexpected(std::move(error));
}

struct TableOptions {
  std::optional<lookup::FileOptions> file;
  lookup::TableLimits limits;
};

Result<TableOptions> bind_table_options(const std::vector<UnboundOption>& options) {
  static const std::vector<std::string_view> kKnown = {"file", "format", "refresh", "row_limit"};
  TableOptions bound;
  const UnboundOption* of_file = nullptr;  // One that has no meaning without a file.
  std::string format;
  lookup::FileOptions file;
  SourceSpan format_span;
  for (const UnboundOption& option : options) {
    if (option.name == "file") {
      if (option.value.empty()) return fail("22023", "the file has no name", option.span, "file = 'x.csv'");
      file.path = option.value;
      format_span = option.span;
    } else if (option.name == "format") {
      format = option.value;
      of_file = &option;
    } else if (option.name == "refresh") {
      const auto refresh = interval_option(option.value, option.name, option.span);
      if (!refresh) return tl::unexpected(refresh.error());
      file.refresh_us = *refresh;
      of_file = &option;
    } else if (option.name == "row_limit") {
      uint32_t rows = 0;
      const char* end = option.value.data() + option.value.size();
      const auto [at, error] = std::from_chars(option.value.data(), end, rows);
      if (error != std::errc() || at != end || rows == 0 || rows > lookup::TableLimits::kRowsAtMost) {
        return fail("22023", fmt::format("invalid value \"{}\" for row_limit", option.value), option.span,
                    fmt::format("it is a number from 1 to {}", lookup::TableLimits::kRowsAtMost));
      }
      bound.limits.row_count_max = rows;
    } else {
      const auto near = base::nearest_name(option.name, kKnown);
      return fail(
          "22023", fmt::format("unrecognized option \"{}\" of a table", option.name), option.span,
          near.empty() ? "options are file, format, refresh and row_limit" : fmt::format("did you mean '{}'?", near));
    }
  }
  if (file.path.empty()) {
    if (of_file == nullptr) return bound;
    return fail("22023", fmt::format("the option \"{}\" is of tables that are files", of_file->name), of_file->span,
                "add file = 'x.csv'");
  }
  const auto known = lookup::parse_format(format, file.path);
  if (!known) return placed(known.error(), of_file != nullptr ? of_file->span : format_span);
  file.format = *known;
  file.limits.table = bound.limits;
  bound.file = std::move(file);
  return bound;
}

Result<uint32_t> column_index(const lookup::TableDefinition& table, const UnboundName& column) {
  const int index = table.schema.find(column.name);
  if (index >= 0) return static_cast<uint32_t>(index);
  std::vector<std::string_view> names;
  for (const auto& known : table.schema.columns) names.push_back(known.name);
  const auto near = base::nearest_name(column.name, names);
  return fail("42703", fmt::format("column \"{}\" of table \"{}\" does not exist", column.name, table.name),
              column.span, near.empty() ? "" : fmt::format("did you mean '{}'?", near));
}

/// A value on its way into a column, by PostgreSQL's rules for assignment.
Result<ExprPtr> assigned(ExprPtr value, const batch::ColumnDef& column, SourceSpan span) {
  const auto group = [](Type type) {
    if (batch::is_numeric(type)) return 1;
    return type == Type::kInet || type == Type::kCidr ? 2 : 100 + static_cast<int>(type);
  };
  const bool fits = value->type == Type::kUnknown || group(value->type) == group(column.type) ||
                    (column.type == Type::kText && value->type != Type::kBytea);
  if (!fits) {
    return fail("42804",
                fmt::format("column \"{}\" is of type {} but the value is of type {}", column.name,
                            batch::name(column.type), batch::name(value->type)),
                span, fmt::format("write the value as CAST(... AS {})", batch::name(column.type)));
  }
  if (value->type == column.type) return value;
  return expr::make_cast(std::move(value), column.type, span);
}

/// The table that a statement changes.
Result<const Relation*> changed_table(const UnboundStatement& statement, const Catalog& catalog) {
  const Relation* relation = catalog.find(statement.name);
  if (relation == nullptr) {
    const auto near = base::nearest_name(statement.name, catalog.names());
    return fail("42P01", fmt::format("relation \"{}\" does not exist", statement.name), statement.name_span,
                near.empty() ? "" : fmt::format("did you mean '{}'?", near));
  }
  if (relation->kind != Relation::Kind::kTable) {
    const bool stream = relation->kind == Relation::Kind::kStream;
    return fail("42809", fmt::format("\"{}\" is a {}, not a lookup table", statement.name, stream ? "stream" : "view"),
                statement.name_span,
                stream ? "its rows come from exporters; CREATE TABLE makes a table that statements change"
                       : "its rows follow from the stream and are not changed by hand");
  }
  if (relation->of_file) {
    return fail("55000", fmt::format("table \"{}\" is a file and changes with it", statement.name), statement.name_span,
                "change the file; it is read again when `refresh` is over");
  }
  return relation;
}

Result<void> insert(const UnboundStatement& statement, LookupTable& table) {
  const lookup::TableDefinition& definition = table.definition();
  const batch::Schema& schema = definition.schema;
  std::vector<uint32_t> columns;
  for (const UnboundName& name : statement.insert_columns) {
    const auto index = column_index(definition, name);
    if (!index) return tl::unexpected(index.error());
    if (std::find(columns.begin(), columns.end(), *index) != columns.end())
      return fail("42701", fmt::format("column \"{}\" specified more than once", name.name), name.span);
    columns.push_back(*index);
  }
  const bool all = columns.empty();
  for (uint32_t c = 0; all && c < schema.columns.size(); ++c) columns.push_back(c);

  const Input nothing{};
  ExprBinder binder(nothing);
  lookup::TableBuilder builder(schema, table.limits());
  for (const UnboundRow& row : statement.rows) {
    // Without names PostgreSQL lets the last columns be null.
    if (row.values.size() > columns.size() || (!all && row.values.size() < columns.size())) {
      const bool more = row.values.size() > columns.size();
      return fail(
          "42601",
          more ? "INSERT has more expressions than target columns" : "INSERT has more target columns than expressions",
          more ? row.values[columns.size()]->span : row.span,
          fmt::format("values: {}, columns: {}", row.values.size(), columns.size()));
    }
    for (size_t v = 0; v < row.values.size(); ++v) {
      const UnboundExpr& text = *row.values[v];
      if (text.kind == UnboundExpr::Kind::kParameterDefault) continue;
      auto value = binder.bind_row(text, "VALUES");
      if (value) value = assigned(std::move(*value), schema.columns[columns[v]], text.span);
      if (!value) return tl::unexpected(value.error());
      if ((*value)->kind != expr::ExprKind::kLiteral)
        return fail("0A000", "a value in VALUES must be a constant", text.span);
      builder.set_value(columns[v], (*value)->literal);
    }
    if (!builder.end_row()) return placed(builder.refuse_limit().value(), row.span);
  }
  const auto added = builder.finish();
  if (!definition.primary_key.empty()) {  // The place of a wrong row is known only here.
    uint32_t wrong = 0;
    const auto unique = lookup::KeyIndex::build(added, definition.primary_key, lookup::KeyIndex::Keys::kUnique, &wrong);
    if (!unique) return placed(unique.error(), statement.rows[wrong].span);
    std::vector<batch::Column> keys;
    for (const uint32_t c : definition.primary_key) keys.push_back(added->column(c));
    std::vector<uint32_t> matches(added->row_count());
    const auto now = table.published().snapshot();
    now->key_indexes.front()->find(keys.data(), nullptr, matches.size(), matches.data());
    for (size_t r = 0; r < matches.size(); ++r) {
      if (matches[r] == lookup::kNoRow) continue;
      std::string key;
      for (const uint32_t c : definition.primary_key) {
        key += fmt::format("{}{} = {}", key.empty() ? "" : ", ", schema.columns[c].name,
                           expr::value_text(expr::value_at(added->column(c), r), schema.columns[c].type));
      }
      return fail("23505", fmt::format("table \"{}\" has a row with {} already", definition.name, key),
                  statement.rows[r].span, "UPDATE changes a row that is there");
    }
  }
  auto done = table.insert(added->slice(0, added->row_count()));
  if (!done) return placed(done.error(), statement.span);
  return {};
}

/// Evaluates over the rows of a table, a slice at a time.
class TableScan {
 public:
  TableScan(const UnboundStatement& statement, const LookupTable& table)
      : table_(table.published().snapshot()->table), binder_(input_) {
    input_.alias = statement.alias.empty() ? statement.name : statement.alias;
    input_.schema = table.definition().schema;
  }
  ExprBinder& binder() { return binder_; }
  const std::shared_ptr<const lookup::Table>& table() const { return table_; }

  Result<void> choose(const UnboundExpr* where) {
    if (where == nullptr) return {};
    auto condition = binder_.bind_row(*where, "WHERE");
    if (condition && (*condition)->type == Type::kUnknown)
      condition = expr::make_cast(std::move(*condition), Type::kBool, where->span);
    if (!condition) return tl::unexpected(condition.error());
    if ((*condition)->type != Type::kBool) {
      return fail("42804",
                  fmt::format("argument of WHERE must be type boolean, not type {}", batch::name((*condition)->type)),
                  where->span);
    }
    where_ = std::make_unique<expr::Evaluator>(std::move(*condition));
    where_span_ = where->span;
    return {};
  }
  /// Calls visit(slice, first row, selected rows of the slice) until it gives an error.
  template <typename Visit>
  Result<void> for_each(Visit&& visit) {
    std::vector<uint32_t> chosen(batch::kBatchRows);
    for (size_t begin = 0; begin < table_->row_count(); begin += batch::kBatchRows) {
      const batch::ColumnBatch rows = table_->slice(begin, std::min(batch::kBatchRows, table_->row_count() - begin));
      size_t n = rows.row_count;
      if (where_) {
        const auto condition = evaluate(*where_, rows, nullptr, where_span_);
        if (!condition) return tl::unexpected(condition.error());
        n = expr::select_true(*condition, rows.row_count, chosen.data());
      } else {
        for (uint32_t i = 0; i < n; ++i) chosen[i] = i;
      }
      if (auto done = visit(rows, begin, std::span<const uint32_t>(chosen.data(), n)); !done) return done;
    }
    return {};
  }
  /// A value that cannot be computed is an error of the statement.
  static Result<batch::Column> evaluate(expr::Evaluator& e, const batch::ColumnBatch& rows, const uint8_t* active,
                                        SourceSpan span) {
    expr::ValueErrorCounts errors;
    const batch::Column column = e.evaluate(rows, active, errors);
    for (size_t kind = 0; kind < std::size(errors.by_kind); ++kind) {
      if (errors.by_kind[kind] == 0) continue;
      const auto error = static_cast<expr::ValueError>(kind);
      return fail(expr::sqlstate(error), std::string(expr::message(error)), span);
    }
    return column;
  }

 private:
  std::shared_ptr<const lookup::Table> table_;
  Input input_;
  ExprBinder binder_;
  std::unique_ptr<expr::Evaluator> where_;
  SourceSpan where_span_;
};

Result<void> update(const UnboundStatement& statement, LookupTable& table) {
  const lookup::TableDefinition& definition = table.definition();
  TableScan scan(statement, table);
  if (auto where = scan.choose(statement.where.get()); !where) return where;
  struct Assignment {
    uint32_t column;
    expr::Evaluator value;
    SourceSpan span;
  };
  std::vector<Assignment> assignments;
  std::vector<bool> is_set(definition.schema.columns.size());
  for (const UnboundAssignment& assignment : statement.assignments) {
    const auto column = column_index(definition, assignment.column);
    if (!column) return tl::unexpected(column.error());
    if (is_set[*column]) {
      return fail("42601", fmt::format("multiple assignments to same column \"{}\"", assignment.column.name),
                  assignment.column.span);
    }
    is_set[*column] = true;
    const SourceSpan span = assignment.value->span;
    const bool to_null = assignment.value->kind == UnboundExpr::Kind::kParameterDefault;
    auto value = to_null ? Result<ExprPtr>(expr::make_literal({}, Type::kUnknown, span))
                         : scan.binder().bind_row(*assignment.value, "SET");
    if (value) value = assigned(std::move(*value), definition.schema.columns[*column], span);
    if (!value) return tl::unexpected(value.error());
    assignments.push_back({*column, expr::Evaluator(std::move(*value)), span});
  }

  std::vector<uint32_t> numbers;
  lookup::TableBuilder builder(definition.schema, table.limits());
  std::vector<uint8_t> active(batch::kBatchRows);
  auto scanned = scan.for_each(
      [&](const batch::ColumnBatch& rows, size_t begin, std::span<const uint32_t> chosen) -> Result<void> {
        if (chosen.empty()) return {};
        std::fill(active.begin(), active.end(), uint8_t{0});
        for (const uint32_t row : chosen) active[row] = 1;
        std::vector<batch::Column> columns = rows.columns;
        for (Assignment& assignment : assignments) {
          const auto value = TableScan::evaluate(assignment.value, rows, active.data(), assignment.span);
          if (!value) return tl::unexpected(value.error());
          columns[assignment.column] = *value;
        }
        for (const uint32_t row : chosen) {
          for (size_t c = 0; c < columns.size(); ++c) builder.set_from(c, columns[c], row);
          if (!builder.end_row()) return builder.refuse_limit();
          numbers.push_back(static_cast<uint32_t>(begin + row));
        }
        return {};
      });
  if (!scanned) return scanned.error().span.length_octets == 0 ? placed(scanned.error(), statement.span) : scanned;
  const auto changed = builder.finish();
  const auto done = table.replace_rows(numbers, changed->slice(0, changed->row_count()));
  if (done) return {};
  const auto key = std::find_if(assignments.begin(), assignments.end(), [&](const Assignment& assignment) {
    return std::find(definition.primary_key.begin(), definition.primary_key.end(), assignment.column) !=
           definition.primary_key.end();
  });
  return placed(done.error(), key == assignments.end() ? statement.span : key->span);
}

Result<void> erase(const UnboundStatement& statement, LookupTable& table) {
  if (statement.where == nullptr) {
    table.truncate();
    return {};
  }
  TableScan scan(statement, table);
  if (auto where = scan.choose(statement.where.get()); !where) return where;
  std::vector<uint32_t> numbers;
  auto scanned =
      scan.for_each([&](const batch::ColumnBatch&, size_t begin, std::span<const uint32_t> chosen) -> Result<void> {
        for (const uint32_t row : chosen) numbers.push_back(static_cast<uint32_t>(begin + row));
        return {};
      });
  if (!scanned) return scanned;
  if (auto done = table.erase_rows(numbers); !done) return placed(done.error(), statement.span);
  return {};
}

}  // namespace

bool LookupTables::is_statement(Kind kind) {
  return kind == Kind::kCreateTable || kind == Kind::kInsert || kind == Kind::kUpdate || kind == Kind::kDelete ||
         kind == Kind::kTruncate;
}

Result<void> LookupTables::execute(const UnboundStatement& statement, Catalog& catalog) {
  if (statement.kind == Kind::kCreateTable) return create(statement, catalog);
  const auto relation = changed_table(statement, catalog);
  if (!relation) return tl::unexpected(relation.error());
  LookupTable& table = *(*relation)->table;
  switch (statement.kind) {
    case Kind::kInsert: return insert(statement, table);
    case Kind::kUpdate: return update(statement, table);
    case Kind::kDelete: return erase(statement, table);
    case Kind::kTruncate: table.truncate(); return {};
    default: return fail("0A000", "this statement is not about a table", statement.span);
  }
}

Result<void> LookupTables::create(const UnboundStatement& statement, Catalog& catalog) {
  if (const Relation* there = catalog.find(statement.name); there != nullptr) {
    if (statement.if_exists && there->kind == Relation::Kind::kTable) return {};
    return fail("42P07", fmt::format("relation \"{}\" already exists", statement.name), statement.name_span);
  }
  if (statement.columns.empty()) {
    return fail("42601", fmt::format("table \"{}\" has no columns", statement.name), statement.name_span,
                "CREATE TABLE as_names (asn bigint PRIMARY KEY, name text) WITH (file = 'as.csv')");
  }
  lookup::TableDefinition definition;
  definition.name = statement.name;
  for (const UnboundColumnDef& column : statement.columns) {
    const auto type = expr::parse_type(column.type_name, column.span);
    if (!type) return tl::unexpected(type.error());
    definition.schema.columns.push_back({column.name, *type, 0});
  }
  for (const UnboundName& key : statement.primary_key) {
    const auto column = column_index(definition, key);
    if (!column) return tl::unexpected(column.error());
    auto& keys = definition.primary_key;
    if (std::find(keys.begin(), keys.end(), *column) != keys.end())
      return fail("42701", fmt::format("column \"{}\" is in the primary key twice", key.name), key.span);
    keys.push_back(*column);
  }
  auto options = bind_table_options(statement.options);
  if (!options) return tl::unexpected(options.error());

  Item item;
  item.table = std::make_shared<LookupTable>(std::move(definition), options->limits);
  if (options->file) {
    item.file = std::make_unique<lookup::FileTable>(*item.table, std::move(*options->file));
    if (item.file->poll(0) == lookup::FileTable::Poll::kFailed) {
      const auto file = std::find_if(statement.options.begin(), statement.options.end(),
                                     [](const UnboundOption& option) { return option.name == "file"; });
      return placed(*item.file->status().error, file->span);
    }
  }
  Relation relation;
  relation.kind = Relation::Kind::kTable;
  relation.name = statement.name;
  relation.schema = item.table->definition().schema;
  relation.table = item.table;
  relation.of_file = item.file != nullptr;
  catalog.add(std::move(relation));
  items_.push_back(std::move(item));
  return {};
}

bool LookupTables::poll(base::Micros now) {
  bool changed = false;
  for (Item& item : items_) changed |= item.file && item.file->poll(now) == lookup::FileTable::Poll::kLoaded;
  return changed;
}

}  // namespace backstream::plan
