#include "alert/alert_store.h"

#include <fmt/format.h>
#include <sqlite3.h>  // Codes of results.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace backstream::alert {
namespace {

using base::fail;
using base::Result;
using nlohmann::json;
using sqlite::Database;
using sqlite::Statement;

constexpr int64_t kApplicationId = 0x42534c54;  // "BSLT"
constexpr int64_t kSchemaVersion = 1;
constexpr const char* kSchema = R"sql(
CREATE TABLE rule (
  name TEXT PRIMARY KEY, incarnation INTEGER NOT NULL, evaluated_until INTEGER NOT NULL, facts TEXT NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE TABLE key (
  rule TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (rule, key)) STRICT, WITHOUT ROWID;
CREATE TABLE silence (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE notice (
  number INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, queued_at INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
)sql";
// Came later. Versions that do not know it leave it alone, so the format is the same.
constexpr const char* kEndedSchema = R"sql(
CREATE TABLE IF NOT EXISTS ended (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, starts_at INTEGER NOT NULL, ends_at INTEGER NOT NULL,
  body TEXT NOT NULL) STRICT
)sql";

std::string dump(const json& body) { return body.dump(-1, ' ', false, json::error_handler_t::replace); }

std::string body_of(const KeyState& key) {
  return dump({{"state", static_cast<int>(key.state)},
               {"since", key.since},
               {"covered_until", key.covered_until},
               {"early_until", key.early_until},
               {"recovering_since", key.recovering_since},
               {"fired_at", key.fired_at},
               {"window_start", key.window_start},
               {"window_end", key.window_end},
               {"columns", key.columns},
               {"value", key.value ? json(*key.value) : json(nullptr)},
               {"more", key.more},
               {"complete", key.complete},
               {"sites_missing", key.sites_missing},
               {"notified", key.told.notified},
               {"notified_at", key.told.notified_at},
               {"notified_to", key.told.notified_to},
               {"acknowledged_by", key.told.acknowledged_by},
               {"acknowledged_at", key.told.acknowledged_at},
               {"comment", key.told.comment}});
}

KeyState key_of(std::string name, const json& body) {
  KeyState key;
  key.key = std::move(name);
  key.state = static_cast<KeyState::State>(std::clamp(body.at("state").get<int>(), 0, 2));
  key.since = body.at("since");
  key.covered_until = body.at("covered_until");
  key.early_until = body.at("early_until");
  key.recovering_since = body.at("recovering_since");
  // Members that came later.
  key.fired_at = body.value("fired_at", key.state == KeyState::State::kPending ? Micros{0} : key.since);
  key.told.notified_at = body.value("notified_at", Micros{0});
  key.told.notified_to = body.value("notified_to", std::vector<std::string>());
  key.window_start = body.at("window_start");
  key.window_end = body.at("window_end");
  key.columns = body.at("columns");
  if (const json& value = body.at("value"); value.is_number()) key.value = value.get<double>();
  key.more = body.at("more");
  key.complete = body.at("complete");
  key.sites_missing = body.at("sites_missing").get<std::vector<std::string>>();
  key.told.notified = body.at("notified");
  key.told.acknowledged_by = body.at("acknowledged_by");
  key.told.acknowledged_at = body.at("acknowledged_at");
  key.told.comment = body.at("comment");
  return key;
}

tl::unexpected<base::Diagnostic> told(const std::string& path, const sqlite::Error& error) {
  if (error.is_full())
    return fail("53100", fmt::format("{} cannot be written: the disk is full", path), {}, "make room");
  if (error.is_corrupt()) {
    return fail("XX001", fmt::format("{} is damaged: {}", path, error.message), {},
                "move it away: states of alerts begin anew, and what fires is told again");
  }
  switch (error.code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return fail("55006", fmt::format("{} is in use by another process", path));
    default: return fail("58030", fmt::format("{}: {}", path, error.message), {}, "see that its folder can be written");
  }
}

}  // namespace

template <typename T, typename Work>
Result<T> AlertStore::guarded(Work&& work) {
  try {
    return work();
  } catch (const sqlite::Error& error) {
    return told(path_, error);
  } catch (const json::exception& error) {
    return told(path_, {SQLITE_CORRUPT, error.what()});
  }
}

template <typename Work>
Result<void> AlertStore::in_transaction(Work&& work) {
  const std::lock_guard lock(mutex_);
  return guarded<void>([&]() -> Result<void> {
    db_->execute("BEGIN IMMEDIATE");
    try {
      work();
      db_->execute("COMMIT");
    } catch (...) {
      db_->roll_back();
      throw;
    }
    return {};
  });
}

Result<std::unique_ptr<AlertStore>> AlertStore::open(const std::string& path) {
  std::unique_ptr<AlertStore> store(new AlertStore(path));
  const auto opened = store->guarded<void>([&]() -> Result<void> {
    Database& db = store->db_.emplace(path, Database::Mode::kMake);
    db.pragma("locking_mode = EXCLUSIVE");
    const int64_t application = db.pragma("application_id"), schema = db.pragma("user_version");
    const bool fresh = application == 0 && schema == 0 && db.one_number("SELECT count(*) FROM sqlite_schema") == 0;
    if (!fresh && application != kApplicationId) throw sqlite::Error{SQLITE_NOTADB, "it is no file of alerts"};
    if (!fresh && schema != kSchemaVersion)
      return fail("0A000", fmt::format("{} has format {}, and this version knows {}", path, schema, kSchemaVersion), {},
                  "move it away, or start the version that wrote it");
    db.pragma("journal_mode = WAL");
    db.pragma("synchronous = FULL");
    if (fresh) {
      db.execute(fmt::format("BEGIN; {} PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT", kSchema,
                             kApplicationId, kSchemaVersion)
                     .c_str());
    }
    db.execute(kEndedSchema);
    return {};
  });
  if (!opened) return tl::unexpected(opened.error());
  return store;
}

Result<AlertStore::Kept> AlertStore::load() {
  const std::lock_guard lock(mutex_);
  return guarded<Kept>([&]() -> Result<Kept> {
    Kept kept;
    for (Statement row(db_->handle(), "SELECT name, incarnation, evaluated_until, facts FROM rule"); row.step();)
      kept.rules[row.text(0)] = {static_cast<uint64_t>(row.number(1)), row.text(3), row.number(2), {}};
    for (Statement row(db_->handle(), "SELECT rule, key, body FROM key"); row.step();) {
      const auto rule = kept.rules.find(row.text(0));
      if (rule != kept.rules.end()) rule->second.keys.push_back(key_of(row.text(1), json::parse(row.text(2))));
    }
    for (Statement row(db_->handle(), "SELECT id, body FROM silence ORDER BY id"); row.step();) {
      const json body = json::parse(row.text(1));
      kept.silences.push_back({static_cast<uint64_t>(row.number(0)), body.at("rule"), body.at("key"), body.at("until"),
                               body.at("author"), body.at("comment"), body.at("made_at")});
    }
    for (Statement row(db_->handle(), "SELECT number, endpoint, body, queued_at FROM notice ORDER BY number");
         row.step();)
      kept.notices.push_back({row.number(0), row.text(1), row.text(2), row.number(3)});
    return kept;
  });
}

void AlertStore::put_all(const std::vector<QueuedNotice>& notices) {
  if (notices.empty()) return;
  Statement put(db_->handle(), "INSERT INTO notice (number, endpoint, queued_at, body) VALUES (?1, ?2, ?3, ?4)");
  for (const QueuedNotice& notice : notices)
    put.reset()
        .with(notice.number, std::string_view(notice.endpoint), notice.queued_at, std::string_view(notice.body))
        .run();
}

Result<void> AlertStore::write(const Step& step) {
  return in_transaction([&] {
    const std::string_view rule = step.rule;
    if (step.rule_gone) {
      Statement(db_->handle(), "DELETE FROM rule WHERE name = ?1").with(rule).run();
      Statement(db_->handle(), "DELETE FROM key WHERE rule = ?1").with(rule).run();
    } else {
      Statement(
          db_->handle(),
          "INSERT INTO rule (name, incarnation, evaluated_until, facts) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) "
          "DO UPDATE SET incarnation = ?2, evaluated_until = ?3, facts = ?4")
          .with(rule, static_cast<int64_t>(step.incarnation), step.evaluated_until, std::string_view(step.facts))
          .run();
      Statement put(db_->handle(), "INSERT OR REPLACE INTO key (rule, key, body) VALUES (?1, ?2, ?3)");
      for (const KeyState* key : step.put)
        put.reset().with(rule, std::string_view(key->key), std::string_view(body_of(*key))).run();
      Statement gone(db_->handle(), "DELETE FROM key WHERE rule = ?1 AND key = ?2");
      for (const std::string& key : step.gone) gone.reset().with(rule, std::string_view(key)).run();
    }
    put_all(step.notices);
    if (step.ended.empty()) return;
    Statement put(db_->handle(), "INSERT OR REPLACE INTO ended (id, starts_at, ends_at, body) VALUES (?1, ?2, ?3, ?4)");
    for (const EndedAlert& ended : step.ended)
      put.reset().with(std::string_view(ended.id), ended.starts_at, ended.ends_at, std::string_view(ended.body)).run();
    Statement(db_->handle(), "DELETE FROM ended WHERE number <= (SELECT max(number) FROM ended) - ?1")
        .with(kEndedMax)
        .run();
  });
}

Result<std::vector<std::string>> AlertStore::ended(Micros from, Micros until, size_t count_max) {
  const std::lock_guard lock(mutex_);
  return guarded<std::vector<std::string>>([&]() -> Result<std::vector<std::string>> {
    std::vector<std::string> bodies;
    Statement rows(db_->handle(),
                   "SELECT body FROM ended WHERE ends_at > ?1 AND starts_at < ?2 ORDER BY ends_at DESC, number DESC "
                   "LIMIT ?3");
    rows.with(from, until, static_cast<int64_t>(count_max));
    while (rows.step()) bodies.push_back(rows.text(0));
    return bodies;
  });
}

Result<std::optional<std::string>> AlertStore::find_ended(std::string_view id) {
  const std::lock_guard lock(mutex_);
  return guarded<std::optional<std::string>>([&]() -> Result<std::optional<std::string>> {
    Statement row(db_->handle(), "SELECT body FROM ended WHERE id = ?1");
    row.with(id);
    if (!row.step()) return std::nullopt;
    return row.text(0);
  });
}

Result<void> AlertStore::put_notices(const std::vector<QueuedNotice>& notices) {
  return in_transaction([&] { put_all(notices); });
}

Result<void> AlertStore::remove_notices(const std::vector<int64_t>& numbers) {
  return in_transaction([&] {
    Statement remove(db_->handle(), "DELETE FROM notice WHERE number = ?1");
    for (const int64_t number : numbers) remove.reset().with(number).run();
  });
}

Result<void> AlertStore::put_silence(const Silence& silence) {
  return in_transaction([&] {
    const std::string body = dump({{"rule", silence.rule},
                                   {"key", silence.key},
                                   {"until", silence.until},
                                   {"author", silence.author},
                                   {"comment", silence.comment},
                                   {"made_at", silence.made_at}});
    Statement(db_->handle(), "INSERT OR REPLACE INTO silence (id, body) VALUES (?1, ?2)")
        .with(static_cast<int64_t>(silence.id), std::string_view(body))
        .run();
  });
}

Result<void> AlertStore::remove_silence(uint64_t id) {
  return in_transaction(
      [&] { Statement(db_->handle(), "DELETE FROM silence WHERE id = ?1").with(static_cast<int64_t>(id)).run(); });
}

}  // namespace backstream::alert
