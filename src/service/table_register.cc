#include "service/table_register.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "lookup/lookup_table.h"
#include "sql/parse.h"

namespace backstream::service {

using base::fail;
using base::Result;
using plan::UnboundStatement;
using Kind = UnboundStatement::Kind;

namespace {

tl::unexpected<base::Diagnostic> refuse(const std::string& source, const std::string& text, std::string_view code,
                                        base::SourceSpan span, std::string message, std::string hint) {
  auto refused = fail(code, std::move(message), span, std::move(hint));
  base::locate(refused.value(), source, text);
  return refused;
}

/// The one statement of the text.
Result<UnboundStatement> statement_of(const std::string& text, const std::string& source) {
  auto statements = sql::parse(text, source);
  if (!statements) return tl::unexpected(std::move(statements.error()));
  const bool about_table = statements->size() == 1 &&
                           (plan::LookupTables::is_statement(statements->front().kind) ||
                            (statements->front().kind == Kind::kDrop && statements->front().object_type == "table"));
  if (about_table) return std::move(statements->front());
  const bool several = statements->size() > 1;
  return refuse(source, text, "42601", several ? (*statements)[1].span : base::SourceSpan{},
                several ? "one statement at a time" : "this is no statement about a table",
                "CREATE TABLE, INSERT, UPDATE, DELETE, TRUNCATE or DROP TABLE");
}

const char* verb_of(Kind kind) {
  switch (kind) {
    case Kind::kCreateTable: return "create";
    case Kind::kInsert: return "insert";
    case Kind::kUpdate: return "update";
    case Kind::kDelete: return "delete";
    case Kind::kTruncate: return "truncate";
    default: return "drop";
  }
}

/// A path below a folder, without a way out of it.
std::optional<std::string> inside(const std::string& folder, const std::string& path) {
  if (path.empty() || std::filesystem::path(path).is_absolute()) return std::nullopt;
  std::error_code error;
  const auto root = std::filesystem::weakly_canonical(folder, error);
  if (error) return std::nullopt;
  const auto whole = std::filesystem::weakly_canonical(root / path, error);
  if (error) return std::nullopt;
  const auto [at, rest] = std::mismatch(root.begin(), root.end(), whole.begin(), whole.end());
  return at == root.end() && rest != whole.end() ? std::optional(whole.string()) : std::nullopt;
}

}  // namespace

TableRegister::TableRegister(catalog::Catalog& catalog, Ground ground)
    : catalog_(catalog), ground_(std::move(ground)) {}

TableRegister::~TableRegister() {
  for (auto& [name, held] : held_) {
    for (const auto& item : held.tables->items()) {
      if (item.file) ground_.unwatch(*item.file);
    }
  }
}

/// Whoever may write SQL is not to read every file that this process can.
Result<void> TableRegister::place_file(UnboundStatement& statement, Held& held) const {
  for (plan::UnboundOption& option : statement.options) {
    if (option.name != "file") continue;
    const auto path = inside(ground_.folder, option.value);
    if (!path) {
      return fail("42501", fmt::format("'{}' is not within the folder of tables", option.value), option.span,
                  fmt::format("put the file into {} and name it relative to that", ground_.folder));
    }
    held.file = option.value;
    option.value = *path;
  }
  return {};
}

/// Does a statement on a table that is being made or is there.
Result<void> TableRegister::run(Held& held, const std::string& text, const std::string& source_name) const {
  auto statement = statement_of(text, source_name);
  if (!statement) return tl::unexpected(std::move(statement.error()));
  Result<void> done;
  if (statement->kind == Kind::kCreateTable) done = place_file(*statement, held);
  if (done) done = held.tables->execute(*statement, *held.names);
  if (done) return done;
  base::Diagnostic error = std::move(done.error());
  if (error.line == 0) base::locate(error, source_name, text);
  return tl::unexpected(std::move(error));
}

Result<TableRegister::Held> TableRegister::make(const std::string& text,
                                                const std::vector<std::string>& statements) const {
  Held held;
  held.text = text;
  held.statements = statements;
  if (auto done = run(held, text, ""); !done) return tl::unexpected(std::move(done.error()));
  for (const std::string& statement : statements) {
    if (auto done = run(held, statement, ""); !done) return tl::unexpected(std::move(done.error()));
  }
  return held;
}

std::string TableRegister::body_of(const Held& held) {
  return nlohmann::json{{"text", held.text}, {"statements", held.statements}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Under change_mutex_.
void TableRegister::adopt(const std::string& name, Held held) {
  const std::lock_guard lock(mutex_);
  const auto [at, fresh] = held_.insert_or_assign(name, std::move(held));
  for (const auto& item : at->second.tables->items()) {
    if (item.file) ground_.watch(*item.file);
  }
}

/// Under change_mutex_. What reads it may do so on.
void TableRegister::let_go(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto there = held_.find(name);
  if (there == held_.end()) return;
  for (const auto& item : there->second.tables->items()) {
    if (item.file) ground_.unwatch(*item.file);
  }
  held_.erase(there);
}

Result<TableRegister::Held> TableRegister::make_of(const catalog::Object& object) const {
  const auto body = nlohmann::json::parse(object.body, nullptr, false);
  std::vector<std::string> statements;
  std::string text;
  if (body.is_object() && body.contains("text") && body["text"].is_string()) text = body["text"].get<std::string>();
  if (body.is_object() && body.contains("statements") && body["statements"].is_array()) {
    for (const auto& statement : body["statements"]) {
      if (statement.is_string()) statements.push_back(statement.get<std::string>());
    }
  }
  auto made = make(text, statements);
  if (made) {
    made->incarnation = object.incarnation;
    made->revision = object.revision;
  } else {
    made.error().message = fmt::format("table '{}': {}", object.name, made.error().message);
  }
  return made;
}

Result<std::vector<base::Diagnostic>> TableRegister::start() {
  const std::lock_guard changing(change_mutex_);
  std::vector<base::Diagnostic> left_out;
  if (auto followed = follow_locked(left_out); !followed) return tl::unexpected(std::move(followed.error()));
  return left_out;
}

Result<bool> TableRegister::follow(std::vector<base::Diagnostic>& left_out) {
  const std::lock_guard changing(change_mutex_);
  return follow_locked(left_out);
}

Result<bool> TableRegister::follow_locked(std::vector<base::Diagnostic>& left_out) {
  const catalog::Revision now = catalog_.revision();
  if (now == seen_) return false;
  const auto changed = catalog_.changed_since(seen_);
  if (!changed) return tl::unexpected(changed.error());
  if (*changed && seen_ != catalog::Revision{} &&
      std::none_of((*changed)->begin(), (*changed)->end(),
                   [](const auto& one) { return one.kind == catalog::Kind::kTable; })) {
    seen_ = now;
    return false;
  }
  const auto listed = catalog_.list(catalog::Kind::kTable);
  if (!listed) return tl::unexpected(listed.error());
  bool others = false;
  std::vector<std::string> gone;
  for (const auto& [name, held] : held_) {
    if (std::none_of(listed->begin(), listed->end(), [&](const auto& object) { return object.name == name; }))
      gone.push_back(name);
  }
  for (const std::string& name : gone) {
    let_go(name);
    others = true;
  }
  for (const catalog::Object& object : *listed) {
    const auto there = held_.find(object.name);
    if (there != held_.end() && there->second.revision == object.revision) continue;
    auto made = make_of(object);
    if (!made) {
      left_out.push_back(std::move(made.error()));
      continue;
    }
    if (there != held_.end() && there->second.incarnation == object.incarnation) {
      // The one that queries read, so that they see the new rows.
      if (auto done = bring_up_to(there->second, std::move(*made)); !done) left_out.push_back(std::move(done.error()));
      ground_.changed();
      continue;
    }
    let_go(object.name);
    adopt(object.name, std::move(*made));
    others = true;
  }
  seen_ = now;
  return others;
}

/// Does to a table what another node has done to it. All of it was tried on `wanted`.
Result<void> TableRegister::bring_up_to(Held& held, Held wanted) const {
  const std::lock_guard lock(mutex_);
  size_t done = held.statements.size();
  if (done > wanted.statements.size() ||
      !std::equal(held.statements.begin(), held.statements.end(), wanted.statements.begin())) {
    auto truncate = statement_of(held.text, "");
    if (!truncate) return tl::unexpected(std::move(truncate.error()));
    truncate->kind = Kind::kTruncate;
    if (auto emptied = held.tables->execute(*truncate, *held.names); !emptied) return emptied;
    done = 0;
  }
  for (; done < wanted.statements.size(); ++done) {
    if (auto ran = run(held, wanted.statements[done], ""); !ran) return ran;
  }
  held.statements = std::move(wanted.statements);
  held.revision = wanted.revision;
  return {};
}

Result<TableRegister::Done> TableRegister::execute(const std::string& text, const std::string& source_name,
                                                   const catalog::Author& author, base::Micros now) {
  auto statement = statement_of(text, source_name);
  if (!statement) return tl::unexpected(std::move(statement.error()));
  const std::string& name = statement->name;
  const base::SourceSpan place = statement->name_span.length_octets != 0 ? statement->name_span : statement->span;
  const std::lock_guard changing(change_mutex_);
  if (ground_.shared) {
    std::vector<base::Diagnostic> left_out;  // Told when they were followed first.
    if (auto followed = follow_locked(left_out); !followed) return tl::unexpected(std::move(followed.error()));
  }
  // The register of queries is not asked under this one's mutex: it asks us with its own held.
  if (statement->kind == Kind::kCreateTable && ground_.is_taken(name))
    return refuse(source_name, text, "42P07", place, fmt::format("relation \"{}\" already exists", name), "");
  if (statement->kind == Kind::kDrop) {
    std::string readers;
    for (const std::string& reader : ground_.readers(name)) readers.append(readers.empty() ? "" : ", ").append(reader);
    if (!readers.empty()) {
      return refuse(source_name, text, "2BP01", place, fmt::format("table \"{}\" is read by {}", name, readers),
                    "drop or pause what reads it first");
    }
  }

  const auto there = held_.find(name);
  if (statement->kind != Kind::kCreateTable && there == held_.end()) {
    std::vector<std::string_view> names;
    for (const auto& [known, held] : held_) names.push_back(known);
    const auto near = base::nearest_name(name, names);
    return refuse(source_name, text, "42P01", place, fmt::format("there is no table \"{}\"", name),
                  near.empty() ? "CREATE TABLE makes one" : fmt::format("did you mean \"{}\"?", near));
  }
  if (statement->kind == Kind::kCreateTable && there != held_.end()) {
    if (statement->if_exists) return Done{name, "unchanged"};
    return refuse(source_name, text, "42P07", place, fmt::format("table \"{}\" already exists", name), "");
  }

  catalog::Change change;
  change.kind = catalog::Kind::kTable;
  change.name = name;
  change.verb = verb_of(statement->kind);
  if (there != held_.end()) change.expected = there->second.revision;  // Statements of two nodes have an order.
  std::optional<Held> made;
  if (statement->kind == Kind::kDrop) {
    change.action = catalog::Change::Action::kDrop;
  } else {
    // First on a table of its own: the one that queries read changes when the catalog has it.
    std::string create = text;
    std::vector<std::string> statements;
    if (there != held_.end()) {
      create = there->second.text;
      statements = there->second.statements;
      if (statement->kind == Kind::kTruncate) statements.clear();
      else statements.push_back(text);
    }
    if (statement->kind == Kind::kTruncate && !there->second.file.empty()) statements.push_back(text);  // Refused.
    auto trial = make(create, there != held_.end() ? statements : std::vector<std::string>());
    if (!trial) {
      base::Diagnostic error = std::move(trial.error());
      error.source_name = source_name;
      return tl::unexpected(std::move(error));
    }
    change.action = there == held_.end() ? catalog::Change::Action::kCreate : catalog::Change::Action::kUpdate;
    change.body = body_of(*trial);
    if (change.body.size() > catalog::kBodyOctetsMax) {
      return refuse(source_name, text, "53400", place,
                    fmt::format("the statements of table \"{}\" have become longer than {} octets", name,
                                catalog::kBodyOctetsMax),
                    "TRUNCATE it and insert what it is to hold, or have it read a file");
    }
    made = std::move(*trial);
  }
  const auto applied = catalog_.apply({&change, 1}, author, now);
  if (!applied) return tl::unexpected(applied.error());
  if (statement->kind == Kind::kCreateTable) {
    made->incarnation = made->revision = *applied;
    adopt(name, std::move(*made));
  } else if (statement->kind == Kind::kDrop) {
    let_go(name);
  } else {
    // The same statement on the same rows, as the trial had it.
    const std::lock_guard lock(mutex_);
    there->second.statements = std::move(made->statements);
    there->second.revision = *applied;
    if (auto done = run(there->second, text, source_name); !done) return tl::unexpected(std::move(done.error()));
  }
  ground_.changed();
  return Done{name, change.verb};
}

std::vector<TableRegister::Info> TableRegister::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<Info> all;
  for (const auto& [name, held] : held_) {
    Info& info = all.emplace_back();
    info.name = name;
    info.text = held.text;
    info.file = held.file;
    for (const auto& item : held.tables->items()) {
      info.columns = item.table->definition().schema.columns;
      info.rows = item.table->published().snapshot()->table->row_count();
    }
  }
  return all;
}

void TableRegister::add_to(plan::Definitions& definitions) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, held] : held_) {
    if (const plan::Relation* const relation = std::as_const(*held.names).find(name))
      definitions.catalog().add(*relation);
  }
}

}  // namespace backstream::service
