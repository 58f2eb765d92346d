#include "sink/postgres_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>

#include "base/time.h"
#include "base/utf8.h"
#include "sink/postgres_rows.h"

namespace backstream::sink {
namespace {

using base::Diagnostic;
using base::fail;

constexpr size_t kNameOctetsMax = 63;    // NAMEDATALEN - 1: longer ones are cut by the server.
constexpr size_t kIndexColumnsMax = 32;  // INDEX_MAX_KEYS
constexpr size_t kLayoutsMax = 4;
constexpr std::string_view kBegin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; ";
constexpr std::string_view kIndexPrefix = "backstream_key_";
/// Rows without a window are no rows of a window with unknown times.
constexpr std::string_view kIndexed = "_window_start IS NOT NULL";
/// One target after the other makes or changes tables.
constexpr std::string_view kLockTables = "SELECT pg_advisory_xact_lock(hashtextextended('backstream sink', 0)); ";

struct OwnColumn {
  std::string_view name, type;
  uint32_t type_number;
};
/// In the order of PostgresRowWriter.
constexpr std::array<OwnColumn, 6> kOwnColumns{{
    {"_window_start", "timestamptz", kPostgresTimestamptz},
    {"_window_end", "timestamptz", kPostgresTimestamptz},
    {"_rev", "integer", kPostgresInt4},
    {"_final", "boolean", kPostgresBool},
    {"_complete", "boolean", kPostgresBool},
    {"_sites_missing", "text[]", kPostgresTextArray},
}};
constexpr std::string_view kOp = "_op";

std::string_view type_name(batch::Type type) { return type == batch::Type::kUnknown ? "text" : batch::name(type); }

uint64_t number(const std::optional<std::string>& text) {
  uint64_t value = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

bool same(const ResultForm& a, const ResultForm& b) {
  const auto& left = a.schema.columns;
  const auto& right = b.schema.columns;
  return &a == &b || (a.keys == b.keys && std::equal(left.begin(), left.end(), right.begin(), right.end(),
                                                     [](const batch::ColumnDef& x, const batch::ColumnDef& y) {
                                                       return x.name == y.name && x.type == y.type;
                                                     }));
}

/// The name and type number of each column that a table must have, with the type's name for people.
struct Wanted {
  std::string name;
  std::string_view type;
  uint32_t type_number;
};
std::vector<Wanted> wanted_columns(const ResultForm* form) {
  std::vector<Wanted> wanted;
  const auto add_own = [&](const OwnColumn& own) {
    wanted.push_back({std::string(own.name), own.type, own.type_number});
  };
  std::for_each(kOwnColumns.begin(), kOwnColumns.begin() + 2, add_own);  // For people the window comes first.
  if (form != nullptr) {
    for (const batch::ColumnDef& column : form->schema.columns)
      wanted.push_back({column.name, type_name(column.type), postgres_type(column.type)});
  }
  std::for_each(kOwnColumns.begin() + 2, kOwnColumns.end(), add_own);
  return wanted;
}

/// The names that tell a row from all others, quoted.
std::vector<std::string> identity(const ResultForm& form) {
  std::vector<std::string> names{"_window_start", "_window_end"};
  for (const int key : form.keys) names.push_back(quoted_name(form.schema.columns[static_cast<size_t>(key)].name));
  return names;
}

std::string list(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out.append(out.empty() ? "" : ", ").append(name);
  return out;
}

/// Of a row: which of the keys are null, a bit each.
uint32_t null_keys(const ResultPart& part, size_t row) {
  uint32_t mask = 0;
  for (size_t k = 0; k < part.form->keys.size(); ++k) {
    const auto column = static_cast<size_t>(part.form->keys[k]);
    mask |= static_cast<uint32_t>(part.rows.columns[column].is_null(row)) << k;
  }
  return mask;
}

std::string times_literal(const std::vector<Micros>& times) {
  std::string out = "'{";
  for (const Micros time : times) out.append(out.size() > 2 ? ",\"" : "\"").append(base::format_timestamp(time)) += '"';
  return out + "}'::timestamptz[]";
}

}  // namespace

/// The statements for parts of one form.
struct PostgresTarget::Layout {
  std::shared_ptr<const ResultForm> form;
  bool windowed = false;
  std::string copy;
  // By way of a temporary table:
  std::string stage;        ///< its name
  std::string copy_stage;   ///< makes it where it is missing
  std::string keep_newest;  ///< of rows that came in several revisions
  std::string upsert;
  /// Two rows of one window were alike in all keys.
  bool alike = false;

  Layout(std::shared_ptr<const ResultForm> given, bool has_window, const std::string& table, uint64_t number);
  std::string remove(const std::string& table, uint32_t nulls) const;
};

PostgresTarget::Layout::Layout(std::shared_ptr<const ResultForm> given, bool has_window, const std::string& table,
                               uint64_t number)
    : form(std::move(given)), windowed(has_window), stage(fmt::format("pg_temp.backstream_stage_{}", number)) {
  std::vector<std::string> columns, definitions;
  for (const OwnColumn& own : kOwnColumns) {
    columns.emplace_back(own.name);
    definitions.push_back(fmt::format("{} {}", own.name, own.type));
  }
  const size_t own_count = columns.size();
  definitions.push_back(fmt::format("{} text", kOp));
  for (const batch::ColumnDef& column : form->schema.columns) {
    columns.push_back(quoted_name(column.name));
    definitions.push_back(fmt::format("{} {}", columns.back(), type_name(column.type)));
  }
  copy = fmt::format("COPY {} ({}) FROM STDIN (FORMAT binary)", table, list(columns));
  copy_stage = fmt::format(
      "CREATE TEMPORARY TABLE IF NOT EXISTS {0} ({1}) ON COMMIT DELETE ROWS; COPY {0} FROM STDIN (FORMAT binary)",
      stage, list(definitions));
  const std::vector<std::string> id = identity(*form);
  keep_newest = fmt::format(
      "DELETE FROM {0} s USING (SELECT ctid AS at, row_number() OVER "
      "(PARTITION BY {1} ORDER BY _rev DESC, ctid DESC) AS nth FROM {0}) n WHERE s.ctid = n.at AND n.nth > 1",
      stage, list(id));
  std::vector<std::string> sets;
  for (size_t c = 2; c < columns.size(); ++c) {
    const bool key =
        c >= own_count && std::count(form->keys.begin(), form->keys.end(), static_cast<int>(c - own_count)) > 0;
    if (!key) sets.push_back(fmt::format("{0} = EXCLUDED.{0}", columns[c]));
  }
  upsert = fmt::format(
      "INSERT INTO {} AS t ({}) SELECT {} FROM {} WHERE {} = 'u' ON CONFLICT ({}) WHERE {} DO UPDATE SET {} "
      "WHERE (t._rev <= EXCLUDED._rev) IS NOT FALSE",
      table, list(columns), list(columns), stage, kOp, list(id), kIndexed, list(sets));
}

/// Of the rows that were removed those whose keys are null as the mask says: IS NOT DISTINCT FROM is no condition that
/// an index answers.
std::string PostgresTarget::Layout::remove(const std::string& table, uint32_t nulls) const {
  std::string out = fmt::format(
      "DELETE FROM {} t USING {} s WHERE s.{} = 'd' AND t._window_start = s._window_start AND "
      "t._window_end = s._window_end AND (t._rev <= s._rev) IS NOT FALSE",
      table, stage, kOp);
  for (size_t k = 0; k < form->keys.size(); ++k) {
    const std::string name = quoted_name(form->schema.columns[static_cast<size_t>(form->keys[k])].name);
    out += (nulls >> k & 1) != 0 ? fmt::format(" AND t.{0} IS NULL AND s.{0} IS NULL", name)
                                 : fmt::format(" AND t.{0} = s.{0}", name);
  }
  return out;
}

PostgresTarget::PostgresTarget(PostgresOptions options)
    : options_(std::move(options)),
      table_(quoted_name(options_.schema) + '.' +
             quoted_name(options_.table.empty() ? options_.query : options_.table)) {}

PostgresTarget::~PostgresTarget() = default;

tl::unexpected<Diagnostic> PostgresTarget::refuse(Diagnostic complaint, About about) {
  state_ = complaint.code;
  const std::string& state = state_;
  const std::string_view kind = std::string_view(state).substr(0, 2);
  const auto is = [&](std::initializer_list<std::string_view> kinds) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  };
  if (is({"08", "28", "42", "53"}) || (kind == "22" && about == About::kRows)) {
    // As it is.
  } else if (is({"21", "23", "27", "44", "54", "P0"}) && about == About::kRows) {
    complaint.code = "22000";
  } else if (kind == "58") {
    complaint.code = "53000";  // Reading or writing a file failed.
  } else if (is({"40", "55", "57", "XX", "F0"})) {
    complaint.code = "08006";  // Another time it may be otherwise.
  } else {
    complaint.code = "42000";
  }
  if (complaint.code != state) complaint.message += fmt::format(" (SQLSTATE {})", state);
  if (!complaint.hint.empty() || session_ == nullptr) return tl::unexpected(std::move(complaint));
  const std::string user = quoted_name(session_->user()), schema = quoted_name(options_.schema);
  if (state == "42501" && about == About::kRows) {
    complaint.hint = fmt::format(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON {0}, {1}.backstream_sink_places, {1}.backstream_sink_windows TO {2}; "
        "GRANT TEMPORARY ON DATABASE {3} TO {2}",
        table_, schema, user, quoted_name(session_->database()));
  } else if (state == "42501") {
    complaint.hint = fmt::format("GRANT USAGE, CREATE ON SCHEMA {} TO {}, or make the tables yourself", schema, user);
  } else if (state == "3F000") {
    complaint.hint = fmt::format("CREATE SCHEMA {} AUTHORIZATION {}", schema, user);
  } else if (state == "25006" || state == "0A000") {  // Of a standby, which may not begin to write.
    complaint.hint = "a server that only reads; with several hosts: target_session_attrs=read-write";
  } else if (state == "57014") {
    complaint.hint =
        "the server stopped a statement of ours: it took longer than the sink's timeout, or somebody ended it";
  }
  return tl::unexpected(std::move(complaint));
}

tl::unexpected<Diagnostic> PostgresTarget::refuse_copy(Diagnostic complaint,
                                                       const std::vector<const ResultPart*>& parts) {
  uint64_t row = std::exchange(complaint.line, 0);
  for (const ResultPart* part : parts) {
    if (row >= 1 && row <= part->rows.row_count) {
      complaint.message += fmt::format(" (part {}, row {})", part->seq, row);
      break;
    }
    row -= std::min<uint64_t>(row, part->rows.row_count);
  }
  return refuse(std::move(complaint), About::kRows);
}

Result<void> PostgresTarget::check_names() const {
  const std::string& table = options_.table.empty() ? options_.query : options_.table;
  for (const std::string* const name : {&options_.schema, &table}) {
    if (name->empty() || name->size() > kNameOctetsMax)
      return fail("42622",
                  fmt::format("\"{}\" is no name that PostgreSQL takes: 1 to {} octets", *name, kNameOctetsMax), {},
                  "the option \"table\" gives another one");
  }
  for (const std::string* const name : {&options_.schema, &table, &options_.sink, &options_.query}) {
    if (base::find_bad_text(*name) != std::string::npos) return fail("42602", "a name of the sink is not UTF-8");
  }
  return {};
}

Result<void> PostgresTarget::check_names(const ResultForm& form) const {
  std::set<std::string_view> seen{kOp};
  for (const OwnColumn& own : kOwnColumns) seen.insert(own.name);
  for (const batch::ColumnDef& column : form.schema.columns) {
    if (base::find_bad_text(column.name) != std::string::npos) return fail("42602", "a column's name is not UTF-8");
    if (column.name.empty() || column.name.size() > kNameOctetsMax)
      return fail("42622",
                  fmt::format("column \"{}\": PostgreSQL takes names of 1 to {} octets", column.name, kNameOctetsMax),
                  {}, "give it another name with AS");
    if (!seen.insert(column.name).second)
      return fail("42701", fmt::format("column \"{}\": the table has a column of that name already", column.name), {},
                  "give it another name with AS");
  }
  return {};
}

Result<void> PostgresTarget::connect() {
  if (auto checked = check_names(); !checked) return checked;
  session_.reset();
  layouts_.clear();
  indexed_ = nullptr;
  continued_ = {};
  auto session = PostgresSession::connect(options_.address);
  if (!session) return refuse(session.error(), About::kTables);
  session_ = std::move(*session);
  return {};
}

/// Without rights to make tables they can be there already.
Result<void> PostgresTarget::make_own_tables() {
  const std::string schema = quoted_name(options_.schema);
  auto there = session_->run(fmt::format(
      "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {} AND "
      "c.relname IN ('backstream_sink_places', 'backstream_sink_windows')",
      session_->literal(options_.schema)));
  if (there && number(there->front().front()) != 2) {
    there = session_->run(fmt::format(
        "CREATE TABLE IF NOT EXISTS {0}.backstream_sink_places (sink text, query text, seq bigint NOT NULL, "
        "changed timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (sink, query)); "
        "CREATE TABLE IF NOT EXISTS {0}.backstream_sink_windows (table_name text, window_start timestamptz, "
        "window_end timestamptz, rev integer NOT NULL, changed timestamptz NOT NULL DEFAULT now(), "
        "PRIMARY KEY (table_name, window_start, window_end))",
        schema));
  }
  if (!there) return refuse(there.error(), About::kTables);
  return {};
}

std::string PostgresTarget::place_condition() const {
  return fmt::format("sink = {} AND query = {}", session_->literal(options_.sink), session_->literal(options_.query));
}

std::string PostgresTarget::place_statement(uint64_t seq) const {
  return fmt::format("UPDATE {}.backstream_sink_places SET seq = {}, changed = now() WHERE {}; ",
                     quoted_name(options_.schema), seq, place_condition());
}

/// In a transaction, until whose end nobody moves it: also not one that a connection of ours left when it broke, whose
/// COMMIT may be under way.
std::string PostgresTarget::place_query() const {
  return fmt::format("SELECT seq FROM {}.backstream_sink_places WHERE {} FOR UPDATE", quoted_name(options_.schema),
                     place_condition());
}

Result<uint64_t> PostgresTarget::lock_place(const std::string& statements_before) {
  auto place = session_->run(statements_before + place_query());
  if (!place) return refuse(place.error(), About::kRows);
  if (place->empty()) return fail("08006", "the sink's place was deleted");  // Opened again it begins anew.
  return number(place->front().front());
}

Result<uint64_t> PostgresTarget::open() {
  auto opened = [&]() -> Result<uint64_t> {
    if (auto connected = connect(); !connected) return tl::unexpected(connected.error());
    if (auto begun = session_->run(std::string(kBegin) + std::string(kLockTables)); !begun)
      return refuse(begun.error(), About::kTables);
    if (auto made = make_own_tables(); !made) return tl::unexpected(made.error());
    const std::string schema = quoted_name(options_.schema);
    auto place = lock_place(fmt::format(
        "COMMIT; {}INSERT INTO {}.backstream_sink_places (sink, query, seq) VALUES ({}, {}, 0) ON CONFLICT DO NOTHING; "
        "DELETE FROM {}.backstream_sink_windows WHERE table_name = {} AND changed < now() - interval '30 days'; ",
        kBegin, schema, session_->literal(options_.sink), session_->literal(options_.query), schema,
        session_->literal(table_)));
    if (!place) return place;
    if (auto ended = session_->run("COMMIT"); !ended) return refuse(ended.error(), About::kRows);
    return place;
  }();
  if (!opened) session_.reset();
  return opened;
}

/// What is of that name: whether a table is there, or another thing, which is refused.
Result<bool> PostgresTarget::find_table() {
  auto found = session_->run(fmt::format(
      "SELECT c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
      "WHERE n.nspname = {} AND c.relname = {}",
      session_->literal(options_.schema), session_->literal(options_.table.empty() ? options_.query : options_.table)));
  if (!found) return refuse(found.error(), About::kTables);
  if (found->empty()) return false;
  const std::string& kind = *found->front().front();
  if (kind == "r" || kind == "p") return true;
  return fail("42809", fmt::format("{} is not a table", table_), {}, "the option \"table\" gives another name");
}

/// @param revised  rows are to come in several revisions: with room beside them a newer one changes no index
Result<void> PostgresTarget::make_table(const ResultForm* form, bool revised) {
  std::vector<std::string> definitions;
  for (const Wanted& column : wanted_columns(form))
    definitions.push_back(quoted_name(column.name) + ' ' + std::string(column.type));
  auto made = session_->run(
      fmt::format("CREATE TABLE {} ({}){}", table_, list(definitions), revised ? " WITH (fillfactor = 50)" : ""));
  if (!made) return refuse(made.error(), About::kTables);
  return {};
}

/// A table that is there: gets the columns that it has not.
Result<void> PostgresTarget::fit_table(const ResultForm* form) {
  auto rows = session_->run(fmt::format(
      "SELECT attname, atttypid, format_type(atttypid, atttypmod), attnotnull AND NOT atthasdef AND attidentity = '' "
      "FROM pg_attribute WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped",
      session_->literal(table_)));
  if (!rows) return refuse(rows.error(), About::kTables);
  std::vector<std::string> missing;
  std::set<std::string_view> known;
  const std::vector<Wanted> wanted = wanted_columns(form);
  for (const Wanted& column : wanted) {
    known.insert(column.name);
    const auto at = std::find_if(rows->begin(), rows->end(), [&](const auto& row) { return *row[0] == column.name; });
    if (at == rows->end()) {
      missing.push_back(fmt::format("ADD COLUMN {} {}", quoted_name(column.name), column.type));
    } else if (number((*at)[1]) != column.type_number) {
      return fail("42804",
                  fmt::format("column {} of table {} is {}, and the query's is {}", quoted_name(column.name), table_,
                              *(*at)[2], column.type),
                  {}, "cast it in the query, change the table, or let the sink make another one (option \"table\")");
    }
  }
  for (const auto& row : *rows) {
    if (*row[3] == "t" && known.count(*row[0]) == 0)
      return fail(
          "42000",
          fmt::format("column {} of table {} must not be null and has no default", quoted_name(*row[0]), table_), {},
          "the sink gives it no values: give it a default, or allow null");
  }
  if (missing.empty()) return {};
  const std::string alter = fmt::format("ALTER TABLE {} {}", table_, list(missing));
  auto altered = session_->run(alter);
  if (altered) return {};
  Diagnostic complaint = altered.error();
  if (complaint.hint.empty()) complaint.hint = "or run yourself: " + alter;
  return refuse(std::move(complaint), About::kTables);
}

/// A unique index over the window and the keys of this version, where none is. That of a version with other keys would
/// refuse rows of this one, and goes: but not for rows that are only repeated.
Result<void> PostgresTarget::fit_index(const ResultForm& form, bool repeated) {
  if (form.keys.size() + 2 > kIndexColumnsMax)
    return fail(
        "42000",
        fmt::format("{} columns tell the rows of a window apart; an index of PostgreSQL holds {} and the window",
                    form.keys.size(), kIndexColumnsMax - 2));
  auto rows = session_->run(fmt::format(
      "SELECT x.relname, i.indnullsnotdistinct AND i.indisvalid AND i.indimmediate AND i.indexprs IS NULL AND "
      "(i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = '({})'), a.attname, "
      "obj_description(x.oid, 'pg_class') FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid "
      "CROSS JOIN LATERAL unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS k(n) "
      "LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n "
      "WHERE i.indrelid = {}::regclass AND i.indisunique",
      kIndexed, session_->literal(table_)));
  if (!rows) return refuse(rows.error(), About::kTables);
  struct Index {
    bool usable = false;
    std::set<std::string> columns;
    std::string query;
  };
  std::map<std::string, Index> indexes;
  for (const auto& row : *rows) {
    Index& index = indexes[*row[0]];
    index.usable = *row[1] == "t" && row[2];
    index.columns.insert(quoted_name(row[2].value_or("")));
    index.query = row[3].value_or("");
  }
  const std::vector<std::string> id = identity(form);
  std::set<std::string> columns{quoted_name(id[0]), quoted_name(id[1])};
  columns.insert(id.begin() + 2, id.end());
  std::string change;
  for (const auto& [name, index] : indexes) {
    if (index.usable && index.columns == columns) return {};
    if (!name.starts_with(kIndexPrefix)) continue;
    if (index.query != options_.query)
      return fail("42000",
                  fmt::format("table {} has rows of query \"{}\", which other columns tell apart", table_, index.query),
                  {}, "the option \"table\" gives another name");
    if (repeated)
      return fail("22000",
                  fmt::format("rows of an older version of query \"{}\", which other columns tell apart than those "
                              "that table {} has now",
                              options_.query, table_));
    change += fmt::format("DROP INDEX {}.{}; ", quoted_name(options_.schema), quoted_name(name));
  }
  auto oid = session_->run(fmt::format("SELECT {}::regclass::oid", session_->literal(table_)));
  if (!oid) return refuse(oid.error(), About::kTables);
  const std::string name = quoted_name(std::string(kIndexPrefix) + *oid->front().front());
  const std::string create =
      fmt::format("CREATE UNIQUE INDEX {} ON {} ({}) NULLS NOT DISTINCT WHERE {}", name, table_, list(id), kIndexed);
  auto made = session_->run(fmt::format("{}{}; COMMENT ON INDEX {}.{} IS {}", change, create,
                                        quoted_name(options_.schema), name, session_->literal(options_.query)));
  if (made) return {};
  Diagnostic complaint = made.error();
  complaint.hint =
      complaint.code == "23505"
          ? "rows that are there would be the same ones: let the sink make another table (option \"table\")"
          : fmt::format("or run yourself: {}{}", change, create);
  return refuse(std::move(complaint), About::kTables);
}

Result<PostgresTarget::Layout*> PostgresTarget::layout(const std::shared_ptr<const ResultPart>& part) {
  for (const auto& known : layouts_) {
    if (known->windowed == part->windowed() && same(*known->form, *part->form)) return known.get();
  }
  if (auto checked = check_names(*part->form); !checked) return tl::unexpected(checked.error());
  if (auto begun = session_->run(std::string(kBegin) + std::string(kLockTables)); !begun)
    return refuse(begun.error(), About::kTables);
  auto there = find_table();
  if (!there) return tl::unexpected(there.error());
  auto fitted = *there ? fit_table(part->form.get()) : make_table(part->form.get(), !part->final);
  if (!fitted) return tl::unexpected(fitted.error());
  if (auto ended = session_->run("COMMIT"); !ended) return refuse(ended.error(), About::kTables);
  layouts_.push_back(std::make_unique<Layout>(part->form, part->windowed(), table_, ++stages_made_));
  return layouts_.back().get();
}

Result<void> PostgresTarget::deliver(Parts parts) { return write(parts, true); }
Result<void> PostgresTarget::repeat(Parts parts) { return write(parts, false); }

Result<void> PostgresTarget::write(Parts parts, bool moves_place) {
  if (parts.empty()) return {};
  if (session_ == nullptr) {
    if (auto opened = open(); !opened) return tl::unexpected(opened.error());
  }
  if (layouts_.size() > kLayoutsMax) {
    layouts_.clear();
    indexed_ = nullptr;
  }
  const Continued continued = std::exchange(continued_, {});
  Result<void> done;
  for (const bool merge : {false, true}) {
    if (!merge && moves_place) continued_ = continued;
    done = attempt(parts, moves_place, merge);
    // What was new to look at was there all the same, or is twice among what came: rows alike in all keys, or another
    // sink of this table.
    if (done || merge || !done.error().code.starts_with("22") || (state_ != "23505" && state_ != "21000")) break;
    indexed_ = nullptr;
    if (auto rolled_back = session_->run("ROLLBACK"); !rolled_back) break;
  }
  if (done) return done;
  continued_ = {};
  indexed_ = nullptr;
  if (done.error().code.starts_with("22") && session_->run("ROLLBACK")) return done;
  session_.reset();
  return done;
}

/// One transaction. After an error it is open, if the session is.
Result<void> PostgresTarget::attempt(Parts parts, bool moves_place, bool merge_all) {
  std::vector<Layout*> layouts;
  for (const auto& part : parts) {
    auto found = layout(part);
    if (!found) return tl::unexpected(found.error());
    layouts.push_back(*found);
  }
  const std::string begin =
      fmt::format("{}SELECT pg_advisory_xact_lock(hashtextextended({}, 0)); ", kBegin, session_->literal(table_));
  uint64_t place = 0;
  if (moves_place) {
    auto locked = lock_place(begin);
    if (!locked) return tl::unexpected(locked.error());
    place = *locked;
  } else if (auto begun = session_->run(begin); !begun) {
    return refuse(begun.error(), About::kRows);
  }

  Windows windows;
  const auto window_of = [&](const ResultPart& part) { return std::pair(part.window_start, part.window_end); };
  const auto is_wanted = [&](const ResultPart& part) { return !moves_place || part.seq > place; };
  for (const auto& part : parts) {
    if (!part->windowed() || !is_wanted(*part)) continue;
    Window& window = windows[window_of(*part)];
    window.changes |= part->removed || (window.revision_newest != 0 && window.revision_newest != part->revision);
    if (part->revision > window.revision_newest) window.whole = false;
    window.revision_newest = std::max(window.revision_newest, part->revision);
    window.whole |= part->last && part->revision == window.revision_newest;
  }
  if (auto looked = look_up(windows); !looked) return looked;
  for (const auto& part : parts) {
    if (!part->windowed() || !is_wanted(*part)) continue;
    // The window is there because we have given its parts before; none of these rows is.
    if (window_of(*part) == std::pair(continued_.start, continued_.end) && part->revision == continued_.revision &&
        part->part == continued_.next_part)
      windows[window_of(*part)].there = false;
    break;
  }

  struct Ways {
    Layout* layout;
    std::vector<const ResultPart*> straight, by_stage;
    bool several_revisions = false;
  };
  std::vector<Ways> ways;  // By layout, in the order of their parts: versions of the query.
  const auto ways_of = [&](Layout* layout) -> Ways& {
    const auto at = std::find_if(ways.begin(), ways.end(), [&](const Ways& way) { return way.layout == layout; });
    return at != ways.end() ? *at : ways.emplace_back(Ways{layout, {}, {}, false});
  };
  Continued next;
  for (size_t i = 0; i < parts.size(); ++i) {
    const ResultPart& part = *parts[i];
    if (!is_wanted(part)) continue;
    if (!part.windowed()) {
      ways_of(layouts[i]).straight.push_back(&part);
      continue;
    }
    const Window& window = windows[window_of(part)];
    next = {};  // Only the last window of a call can be the one that the next call goes on with.
    if (part.revision < window.revision_there) continue;  // A newer one was there: whatever it left out is to be gone.
    if (window.there || window.changes || merge_all || layouts[i]->alike) {
      ways_of(layouts[i]).by_stage.push_back(&part);
      ways_of(layouts[i]).several_revisions |= window.changes;
    } else {
      ways_of(layouts[i]).straight.push_back(&part);
      if (!part.last) next = {part.window_start, part.window_end, part.revision, part.part + 1};
    }
  }
  uint64_t copied = 0;
  for (auto& way : ways) {
    Layout* const layout = way.layout;
    if (layout->windowed && indexed_ != layout) {
      indexed_ = nullptr;
      if (auto fitted = fit_index(*layout->form, !moves_place); !fitted) return fitted;
      indexed_ = layout;
    }
    if (!way.straight.empty()) {
      if (auto done = copy(layout->copy, false, way.straight); !done) return done;
    }
    if (!way.by_stage.empty()) {
      const bool only_newest = way.several_revisions || merge_all || layout->alike;
      if (auto done = merge(*layout, only_newest, way.by_stage); !done) return done;
    }
    for (const ResultPart* part : way.straight) copied += part->rows.row_count;
    // Without keys of a group rows may be alike again and again.
    if (merge_all && layout->form->keys.size() == layout->form->schema.columns.size()) layout->alike = true;
  }
  const uint64_t last = parts.back()->seq;
  auto ended = session_->run(remove_older(windows) + record(windows) +
                             (moves_place && last > place ? place_statement(last) : "") + "COMMIT");
  if (!ended) return refuse(ended.error(), About::kRows);
  rows_copied_ += copied;
  continued_ = moves_place ? next : Continued{};
  return {};
}

Result<void> PostgresTarget::look_up(Windows& windows) {
  if (windows.empty()) return {};
  std::vector<Micros> starts, ends;
  for (const auto& [times, window] : windows) {
    starts.push_back(times.first);
    ends.push_back(times.second);
  }
  auto rows = session_->run(fmt::format(
      "SELECT t.there, r.rev FROM unnest({}, {}) WITH ORDINALITY AS w(s, e, n) LEFT JOIN LATERAL "
      "(SELECT true AS there FROM {} WHERE _window_start = w.s AND _window_end = w.e LIMIT 1) t ON true "
      "LEFT JOIN {}.backstream_sink_windows r ON r.table_name = {} AND r.window_start = w.s AND r.window_end = w.e "
      "ORDER BY w.n",
      times_literal(starts), times_literal(ends), table_, quoted_name(options_.schema), session_->literal(table_)));
  if (!rows) return refuse(rows.error(), About::kRows);
  assert(rows->size() == windows.size());
  size_t at = 0;
  for (auto& [times, window] : windows) {
    const auto& row = (*rows)[at++];
    window.there = row[0].has_value();
    window.revision_there = static_cast<int>(number(row[1]));
  }
  return {};
}

Result<void> PostgresTarget::copy(const std::string& statements, bool staged,
                                  const std::vector<const ResultPart*>& parts) {
  if (auto begun = session_->begin_copy(statements); !begun) return refuse(begun.error(), About::kRows);
  PostgresRowWriter writer([&](std::string_view octets) { return session_->put_copy(octets); }, staged);
  Result<void> written;
  for (const ResultPart* part : parts) {
    if (written) written = writer.add(*part);
  }
  if (written) written = writer.end();
  const auto ended = session_->end_copy(!written);
  if (!written) return refuse_copy(written.error(), parts);
  if (!ended) return refuse_copy(ended.error(), parts);
  return {};
}

Result<void> PostgresTarget::merge(const Layout& layout, bool only_newest,
                                   const std::vector<const ResultPart*>& parts) {
  if (auto copied = copy(layout.copy_stage, true, parts); !copied) return copied;
  std::set<uint32_t> nulls;
  for (const ResultPart* part : parts) {
    for (size_t row = 0; part->removed && row < part->rows.row_count; ++row) nulls.insert(null_keys(*part, row));
  }
  std::string statements = only_newest ? layout.keep_newest + "; " : "";
  for (const uint32_t mask : nulls) statements += layout.remove(table_, mask) + "; ";
  auto merged = session_->run(statements + layout.upsert);
  if (!merged) return refuse(merged.error(), About::kRows);
  return {};
}

/// A revision has all rows of its window: what only those before it had is gone, also where nobody was there to say so.
std::string PostgresTarget::remove_older(const Windows& windows) const {
  std::vector<Micros> starts, ends;
  std::string revisions;
  for (const auto& [times, window] : windows) {
    const bool older = window.there || window.changes;
    if (!older || !window.whole || window.revision_newest <= 1 || window.revision_newest < window.revision_there)
      continue;
    starts.push_back(times.first);
    ends.push_back(times.second);
    revisions += fmt::format("{}{}", revisions.empty() ? "" : ",", window.revision_newest);
  }
  if (starts.empty()) return "";
  return fmt::format(
      "DELETE FROM {} t USING unnest({}, {}, '{{{}}}'::integer[]) AS w(s, e, r) "
      "WHERE t._window_start = w.s AND t._window_end = w.e AND t._rev < w.r; ",
      table_, times_literal(starts), times_literal(ends), revisions);
}

std::string PostgresTarget::record(const Windows& windows) const {
  std::vector<Micros> starts, ends;
  std::string revisions;
  for (const auto& [times, window] : windows) {
    if (window.revision_newest <= std::max(1, window.revision_there)) continue;
    starts.push_back(times.first);
    ends.push_back(times.second);
    revisions += fmt::format("{}{}", revisions.empty() ? "" : ",", window.revision_newest);
  }
  if (starts.empty()) return "";
  return fmt::format(
      "INSERT INTO {}.backstream_sink_windows AS w (table_name, window_start, window_end, rev) "
      "SELECT {}, * FROM unnest({}, {}, '{{{}}}'::integer[]) ON CONFLICT (table_name, window_start, window_end) "
      "DO UPDATE SET rev = greatest(w.rev, EXCLUDED.rev), changed = now(); ",
      quoted_name(options_.schema), session_->literal(table_), times_literal(starts), times_literal(ends), revisions);
}

Result<void> PostgresTarget::pass_over(const ResultPart& part) {
  if (session_ == nullptr) {
    if (auto opened = open(); !opened) return tl::unexpected(opened.error());
  }
  auto done = session_->run(
      fmt::format("UPDATE {}.backstream_sink_places SET seq = greatest(seq, {}), changed = now() WHERE {}",
                  quoted_name(options_.schema), part.seq, place_condition()));
  if (done) return {};
  auto refused = refuse(done.error(), About::kRows);
  session_.reset();
  return refused;
}

Result<std::string> PostgresTarget::test() {
  auto tested = look();
  session_.reset();  // And with it what the transaction made.
  return tested;
}

Result<std::string> PostgresTarget::look() {
  if (auto connected = connect(); !connected) return tl::unexpected(connected.error());
  if (auto begun = session_->run(std::string(kBegin) + std::string(kLockTables)); !begun)
    return refuse(begun.error(), About::kTables);
  if (auto made = make_own_tables(); !made) return tl::unexpected(made.error());
  const std::string schema = quoted_name(options_.schema);
  const auto place = lock_place(fmt::format(
      "INSERT INTO {}.backstream_sink_places (sink, query, seq) VALUES ({}, {}, 0) ON CONFLICT DO NOTHING; ", schema,
      session_->literal(options_.sink), session_->literal(options_.query)));
  if (!place) return tl::unexpected(place.error());
  const auto there = find_table();
  if (!there) return tl::unexpected(there.error());
  const ResultForm* const form = options_.form.get();
  if (form != nullptr) {
    if (auto checked = check_names(*form); !checked) return tl::unexpected(checked.error());
  }
  auto fitted = *there ? fit_table(form) : make_table(form, false);
  if (fitted && form != nullptr && form->window_size_us != 0) fitted = fit_index(*form, false);
  if (!fitted) return tl::unexpected(fitted.error());
  // All that rows and their removal need; the error would be that of a statement.
  auto facts = session_->run(fmt::format(
      "CREATE TEMPORARY TABLE backstream_test () ON COMMIT DROP; "
      "SELECT (SELECT string_agg(p || ' on ' || t, ', ') FROM unnest('{{SELECT,INSERT,UPDATE,DELETE}}'::text[]) p, "
      "unnest(ARRAY[{0}, {1}, {2}]) t WHERE NOT has_table_privilege(t, p)), pg_get_userbyid(relowner), "
      "greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = {0}::regclass",
      session_->literal(table_), session_->literal(schema + ".backstream_sink_places"),
      session_->literal(schema + ".backstream_sink_windows")));
  if (!facts) return refuse(facts.error(), About::kRows);
  const auto& row = facts->front();
  if (row[0]) return refuse(fail("42501", "rights are missing: " + *row[0]).value(), About::kRows);
  return fmt::format("{}: table {} {}; place {}", session_->described(), table_,
                     *there ? fmt::format("is there, of {}, about {} rows", *row[1], *row[2]) : "can be made", *place);
}

}  // namespace backstream::sink
