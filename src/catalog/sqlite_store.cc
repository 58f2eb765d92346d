#include "catalog/sqlite_store.h"

#include <fmt/format.h>
#include <sqlite3.h>
#include <xxhash.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/utf8.h"
#include "sqlite/database.h"

namespace backstream::catalog {
namespace {

using base::fail;
using sqlite::Statement;
using StoreError = sqlite::Error;

constexpr int64_t kApplicationId = 0x42535443;      // "BSTC"
constexpr int64_t kCopyApplicationId = 0x4253544b;  // "BSTK"
constexpr int64_t kSchemaVersion = 1;
constexpr const char* kSchema = R"sql(
CREATE TABLE object (
  kind INTEGER NOT NULL, name TEXT NOT NULL, incarnation INTEGER NOT NULL, version INTEGER NOT NULL,
  revision INTEGER NOT NULL, changed_at INTEGER NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL,
  PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;
CREATE TABLE version (
  kind INTEGER NOT NULL, name TEXT NOT NULL, incarnation INTEGER NOT NULL, version INTEGER NOT NULL,
  revision INTEGER NOT NULL, at INTEGER NOT NULL, author TEXT NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL,
  PRIMARY KEY (kind, name, incarnation, version)) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
  revision INTEGER NOT NULL, item INTEGER NOT NULL, at INTEGER NOT NULL, author TEXT NOT NULL, via TEXT NOT NULL,
  verb TEXT NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, comment TEXT NOT NULL,
  checksum INTEGER NOT NULL,
  PRIMARY KEY (revision, item)) STRICT, WITHOUT ROWID;
CREATE INDEX audit_of ON audit (kind, name, revision);
CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL) STRICT;
INSERT INTO counter VALUES (1, 0);
)sql";
/// Of a copy: what it is of, and from which revision on it knows every change.
constexpr const char* kCopySchema = R"sql(
CREATE TABLE origin (
  id INTEGER PRIMARY KEY CHECK (id = 1), deployment INTEGER NOT NULL, known_from INTEGER NOT NULL,
  checksum INTEGER NOT NULL) STRICT;
)sql";

/// Of what a row says, so that a changed octet is seen whatever SQLite thinks of it.
class Checksum {
 public:
  Checksum& add(int64_t value) {
    sum_ = XXH3_64bits_withSeed(&value, sizeof value, sum_);
    return *this;
  }
  Checksum& add(std::string_view text) {
    sum_ = XXH3_64bits_withSeed(text.data(), text.size(), sum_ + text.size());
    return *this;
  }
  int64_t value() const { return static_cast<int64_t>(sum_); }

 private:
  uint64_t sum_ = 0;
};

int64_t number_of(Kind kind) { return static_cast<int64_t>(kind); }
int64_t number_of(Revision revision) { return static_cast<int64_t>(revision.value); }
Revision revision_of(int64_t number) { return {static_cast<uint64_t>(number)}; }

[[noreturn]] void throw_damaged(std::string_view where) {
  throw StoreError{SQLITE_CORRUPT, fmt::format("{} is not what was written", where)};
}

Kind kind_at(const Statement& row, int column) {
  const int64_t number = row.number(column);
  if (number < 0 || number >= static_cast<int64_t>(kKindCount)) throw_damaged("a kind");
  return static_cast<Kind>(number);
}

// Each of these reads the columns of its table in their order, and is the only place that knows the checksum.
constexpr std::string_view kObjectColumns = "kind, name, incarnation, version, revision, changed_at, body, checksum";
int64_t checksum(const Object& object) {
  return Checksum()
      .add(number_of(object.kind))
      .add(object.name)
      .add(number_of(object.incarnation))
      .add(object.version)
      .add(number_of(object.revision))
      .add(object.changed_at)
      .add(object.body)
      .value();
}
Object object_at(const Statement& row) {
  Object object{kind_at(row, 0),
                row.text(1),
                revision_of(row.number(2)),
                static_cast<uint32_t>(row.number(3)),
                revision_of(row.number(4)),
                row.number(5),
                row.text(6)};
  if (checksum(object) != row.number(7)) throw_damaged(fmt::format("{} '{}'", name(object.kind), object.name));
  return object;
}

constexpr std::string_view kVersionColumns = "incarnation, version, revision, at, author, body, checksum";
int64_t checksum(Kind kind, std::string_view of, const Version& version) {
  return Checksum()
      .add(number_of(kind))
      .add(of)
      .add(number_of(version.incarnation))
      .add(version.version)
      .add(number_of(version.revision))
      .add(version.at)
      .add(version.author)
      .add(version.body)
      .value();
}
Version version_at(const Statement& row, Kind kind, std::string_view of) {
  Version version{revision_of(row.number(0)),
                  revision_of(row.number(2)),
                  static_cast<uint32_t>(row.number(1)),
                  row.number(3),
                  row.text(4),
                  row.text(5)};
  if (checksum(kind, of, version) != row.number(6))
    throw_damaged(fmt::format("version {} of {} '{}'", version.version, name(kind), of));
  return version;
}

constexpr std::string_view kAuditColumns = "revision, at, author, via, verb, kind, name, version, comment, checksum";
int64_t checksum(const AuditEntry& entry) {
  return Checksum()
      .add(number_of(entry.revision))
      .add(entry.at)
      .add(entry.author)
      .add(entry.via)
      .add(entry.verb)
      .add(number_of(entry.kind))
      .add(entry.name)
      .add(entry.version)
      .add(entry.comment)
      .value();
}
AuditEntry audit_at(const Statement& row) {
  AuditEntry entry{revision_of(row.number(0)),
                   row.number(1),
                   row.text(2),
                   row.text(3),
                   row.text(4),
                   kind_at(row, 5),
                   row.text(6),
                   static_cast<uint32_t>(row.number(7)),
                   row.text(8)};
  if (checksum(entry) != row.number(9)) throw_damaged(fmt::format("the audit at revision {}", entry.revision.value));
  return entry;
}

int64_t checksum(uint64_t deployment, Revision known_from) {
  return Checksum().add(static_cast<int64_t>(deployment)).add(number_of(known_from)).value();
}

tl::unexpected<base::Diagnostic> told(const std::string& path, SqliteStore::Role role, const StoreError& error) {
  const bool copy = role == SqliteStore::Role::kCopy;
  const std::string what = fmt::format("{} {}", copy ? "the copy of the catalog" : "the catalog", path);
  switch (error.code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail("55006", fmt::format("{} is in use by another process", what), {},
                  "ask that one (backstream query ...), or stop it first");
    case SQLITE_FULL:
      return fail("53100", fmt::format("{} cannot be written: the disk is full", what), {},
                  copy ? "make room: this node does not hear of changes until then"
                       : "nothing was changed; make room and try again");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return fail(
          "XX001", fmt::format("{} is damaged: {}", what, error.message), {},
          copy ? "the topic has all of it: move the copy away and start again"
               : fmt::format("it is left as it is. Move it away and start with the last export (backstream catalog "
                             "import), or save what "
                             "can be read: sqlite3 {0} .recover | sqlite3 {0}.mended",
                             path));
    default: return fail("58030", fmt::format("{}: {}", what, error.message), {}, "see that its folder can be written");
  }
}

}  // namespace

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path, Role role) {
  std::unique_ptr<SqliteStore> store(new SqliteStore(path, role));
  if (auto opened = store->open_file(); !opened) return tl::unexpected(std::move(opened.error()));
  return store;
}

SqliteStore::~SqliteStore() { sqlite3_close(db_); }

/// Runs `work`; what SQLite refused becomes an error for people.
template <typename T, typename Work>
Result<T> SqliteStore::guarded(Work&& work) const {
  try {
    return work();
  } catch (const StoreError& error) {
    return told(path_, role_, error);
  }
}

/// Runs `work`, which may refuse, in a transaction of its own. Under mutex_.
/// @param keep  false: to see what it would come to
template <typename Work>
Result<void> SqliteStore::in_transaction(bool keep, Work&& work) {
  return guarded<void>([&]() -> Result<void> {
    execute("BEGIN IMMEDIATE");
    Result<void> result;
    try {
      result = work();
      if (result && keep) {
        execute("COMMIT");
        return result;
      }
    } catch (...) {
      roll_back();
      throw;
    }
    roll_back();
    return result;
  });
}

Result<void> SqliteStore::open_file() {
  return guarded<void>([&]() -> Result<void> {
    if (const int code = sqlite3_open_v2(path_.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
        code != SQLITE_OK)
      throw StoreError{code, db_ == nullptr ? "out of memory" : sqlite3_errmsg(db_)};
    sqlite3_extended_result_codes(db_, 1);
    // One process: nobody else changes what this one knows, and the file of the write-ahead log's index is not
    // needed.
    pragma("locking_mode = EXCLUSIVE");
    const int64_t application = pragma("application_id"), schema = pragma("user_version");
    const bool fresh = application == 0 && schema == 0 && Statement(db_, "SELECT 1 FROM sqlite_schema").step() == false;
    const bool copy = role_ == Role::kCopy;
    if (!fresh && application != (copy ? kCopyApplicationId : kApplicationId))
      throw StoreError{SQLITE_NOTADB, copy ? "it is no copy of a catalog" : "it is no catalog"};
    if (schema > kSchemaVersion) {
      return fail(
          "0A000",
          fmt::format("{} was written by a later version (schema {}, known is {})", path_, schema, kSchemaVersion), {},
          copy ? "run that version, or move the copy away: the topic has all of it"
               : "run that version, or export the catalog with it and import it here");
    }
    pragma("journal_mode = WAL");
    pragma(copy ? "synchronous = NORMAL" : "synchronous = FULL");
    if (fresh) make_tables();
    verify();
    if (copy) read_origin();
    revision_ = revision_of(one_number("SELECT revision FROM counter"));
    return {};
  });
}

Result<Revision> SqliteStore::apply(std::span<const Change> changes, const Author& author, Micros now) {
  if (changes.empty()) return revision();
  std::unique_lock lock(mutex_);
  SettledChange settled{{revision_.value + 1}, now, author.name, author.via, {}};
  const auto made = in_transaction(true, [&]() -> Result<void> {
    for (const Change& change : changes) {
      auto item = decide(change, settled.revision);
      if (!item) return tl::unexpected(std::move(item.error()));
      settled.items.push_back(std::move(*item));
      put(settled, settled.items.size() - 1);
    }
    count(settled.revision);
    return {};
  });
  if (!made) return tl::unexpected(made.error());
  revision_ = settled.revision;
  lock.unlock();
  changed_.notify_all();
  return settled.revision;
}

Result<SettledChange> SqliteStore::settle(std::span<const Change> changes, const Author& author, Micros now) {
  const std::lock_guard lock(mutex_);
  SettledChange settled{{revision_.value + 1}, now, author.name, author.via, {}};
  const auto decided = in_transaction(false, [&]() -> Result<void> {
    for (const Change& change : changes) {
      auto item = decide(change, settled.revision);
      if (!item) return tl::unexpected(std::move(item.error()));
      settled.items.push_back(std::move(*item));
      put(settled, settled.items.size() - 1);  // The next one sees it.
    }
    return {};
  });
  if (!decided) return tl::unexpected(decided.error());
  return settled;
}

Result<void> SqliteStore::write(const SettledChange& change, uint64_t deployment) {
  {
    const std::lock_guard lock(mutex_);
    const Revision known_from = change.revision.value > revision_.value + 1 ? change.revision : known_from_;
    const auto written = in_transaction(true, [&]() -> Result<void> {
      for (size_t item = 0; item < change.items.size(); ++item) put(change, item);
      if (known_from != known_from_ || deployment != deployment_) keep_origin(deployment, known_from);
      count(change.revision);
      return {};
    });
    if (!written) return tl::unexpected(written.error());
    known_from_ = known_from;
    deployment_ = deployment;
    revision_ = change.revision;
  }
  changed_.notify_all();
  return {};
}

Result<void> SqliteStore::write_unknown(Revision revision, uint64_t deployment) {
  {
    const std::lock_guard lock(mutex_);
    const Revision known_from{revision.value + 1};
    const auto written = in_transaction(true, [&]() -> Result<void> {
      keep_origin(deployment, known_from);
      count(revision);
      return {};
    });
    if (!written) return tl::unexpected(written.error());
    known_from_ = known_from;
    deployment_ = deployment;
    revision_ = revision;
  }
  changed_.notify_all();
  return {};
}

Result<void> SqliteStore::replace(const Reading& reading) {
  using Name = std::pair<Kind, std::string>;
  {
    const std::lock_guard lock(mutex_);
    // From the end back: up to where one is missing.
    Revision known_from{reading.revision.value + 1};
    for (auto at = reading.changes.rbegin(); at != reading.changes.rend(); ++at) {
      if (at->revision.value + 1 != known_from.value) break;
      known_from = at->revision;
    }
    // What this copy followed without a gap it still knows.
    if (known_from.value <= revision_.value + 1 && deployment_ == reading.deployment)
      known_from = std::min(known_from, known_from_);
    const auto written = in_transaction(true, [&]() -> Result<void> {
      std::vector<Object> kept;  // By changes that cannot be read any more, but once were.
      {
        Statement rows(db_, fmt::format("SELECT {} FROM object", kObjectColumns));
        while (rows.step()) {
          Object object = object_at(rows);
          if (reading.unknown.contains(object.revision)) kept.push_back(std::move(object));
        }
      }
      std::map<Name, Revision> said;  // What was said last of each.
      for (const SettledChange& change : reading.changes) {
        Statement(db_, "DELETE FROM audit WHERE revision = ?1").with(number_of(change.revision)).run();
        for (size_t item = 0; item < change.items.size(); ++item) {
          put(change, item);
          if (change.items[item].action != Change::Action::kNote)
            said[{change.items[item].kind, change.items[item].name}] = change.revision;
        }
      }
      for (const Object& object : kept) {
        Revision& last = said[{object.kind, object.name}];
        if (last > object.revision) continue;
        last = object.revision;
        put_object(object);
      }
      std::vector<Name> gone;
      Statement rows(db_, "SELECT kind, name FROM object");
      while (rows.step()) {
        Name name(kind_at(rows, 0), rows.text(1));
        if (!said.contains(name)) gone.push_back(std::move(name));
      }
      for (const auto& [kind, name] : gone) erase_object(kind, name);
      keep_origin(reading.deployment, known_from);
      count(reading.revision);
      return {};
    });
    if (!written) return tl::unexpected(written.error());
    known_from_ = known_from;
    deployment_ = reading.deployment;
    revision_ = reading.revision;
  }
  changed_.notify_all();
  return {};
}

uint64_t SqliteStore::deployment() {
  const std::lock_guard lock(mutex_);
  return deployment_;
}

Result<std::optional<Object>> SqliteStore::find(Kind kind, std::string_view of) {
  const std::lock_guard lock(mutex_);
  return guarded<std::optional<Object>>([&] { return object(kind, of); });
}

Result<std::vector<Object>> SqliteStore::list(Kind kind) {
  const std::lock_guard lock(mutex_);
  return guarded<std::vector<Object>>([&] {
    std::vector<Object> objects;
    Statement rows(db_, fmt::format("SELECT {} FROM object WHERE kind = ?1 ORDER BY name", kObjectColumns));
    for (rows.with(number_of(kind)); rows.step();) objects.push_back(object_at(rows));
    return objects;
  });
}

Result<std::vector<Version>> SqliteStore::history(Kind kind, std::string_view of, size_t count_max) {
  const std::lock_guard lock(mutex_);
  return guarded<std::vector<Version>>([&] {
    std::vector<Version> versions;
    Statement rows(db_,
                   fmt::format("SELECT {} FROM version WHERE kind = ?1 AND name = ?2 ORDER BY revision DESC LIMIT ?3",
                               kVersionColumns));
    for (rows.with(number_of(kind), of, static_cast<int64_t>(count_max)); rows.step();)
      versions.push_back(version_at(rows, kind, of));
    return versions;
  });
}

Result<std::vector<AuditEntry>> SqliteStore::audit(const Catalog::AuditOf& which) {
  const std::lock_guard lock(mutex_);
  return guarded<std::vector<AuditEntry>>([&] {
    std::vector<AuditEntry> entries;
    Statement rows(
        db_,
        fmt::format("SELECT {} FROM audit WHERE revision < ?1 AND (?2 < 0 OR kind = ?2) AND (?3 = '' OR name = ?3) "
                    "ORDER BY revision DESC, item DESC LIMIT ?4",
                    kAuditColumns));
    rows.with(which.before ? number_of(*which.before) : INT64_MAX, which.kind ? number_of(*which.kind) : int64_t{-1},
              std::string_view(which.name), static_cast<int64_t>(which.count_max));
    while (rows.step()) entries.push_back(audit_at(rows));
    return entries;
  });
}

Result<std::optional<std::vector<Catalog::Changed>>> SqliteStore::changed_since(Revision after) {
  const std::lock_guard lock(mutex_);
  return guarded<std::optional<std::vector<Catalog::Changed>>>([&]() -> std::optional<std::vector<Catalog::Changed>> {
    if (after < revision_ && after.value + 1 < known_from_.value) return std::nullopt;
    if (after < revision_ && one_number("SELECT coalesce(min(revision), 0) FROM audit") > number_of(after) + 1)
      return std::nullopt;
    std::vector<Catalog::Changed> changed;
    Statement rows(
        db_, "SELECT kind, name, max(revision) FROM audit WHERE revision > ?1 GROUP BY kind, name ORDER BY 3, 1, 2");
    for (rows.with(number_of(after)); rows.step();)
      changed.push_back({kind_at(rows, 0), rows.text(1), revision_of(rows.number(2))});
    return changed;
  });
}

Revision SqliteStore::revision() {
  const std::lock_guard lock(mutex_);
  return revision_;
}

Revision SqliteStore::wait_beyond(Revision after, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [&] { return revision_ > after; });
  return revision_;
}

void SqliteStore::execute(const char* sql) {
  if (const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK)
    throw StoreError{code, sqlite3_errmsg(db_)};
}

void SqliteStore::roll_back() noexcept { (void)sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr); }

int64_t SqliteStore::one_number(std::string_view sql) {
  Statement row(db_, sql);
  return row.step() ? row.number(0) : 0;
}

int64_t SqliteStore::pragma(std::string_view assignment) { return one_number(fmt::format("PRAGMA {}", assignment)); }

void SqliteStore::make_tables() {
  const bool copy = role_ == Role::kCopy;
  execute("BEGIN IMMEDIATE");
  execute(kSchema);
  if (copy) {
    execute(kCopySchema);
    keep_origin(0, {});
  }
  pragma(fmt::format("application_id = {}", copy ? kCopyApplicationId : kApplicationId));
  pragma(fmt::format("user_version = {}", kSchemaVersion));
  execute("COMMIT");
}

void SqliteStore::keep_origin(uint64_t deployment, Revision known_from) {
  Statement(db_, "INSERT OR REPLACE INTO origin (id, deployment, known_from, checksum) VALUES (1, ?1, ?2, ?3)")
      .with(static_cast<int64_t>(deployment), number_of(known_from), checksum(deployment, known_from))
      .run();
}

void SqliteStore::read_origin() {
  Statement row(db_, "SELECT deployment, known_from, checksum FROM origin");
  if (!row.step()) throw_damaged("what it is a copy of");
  deployment_ = static_cast<uint64_t>(row.number(0));
  known_from_ = revision_of(row.number(1));
  if (checksum(deployment_, known_from_) != row.number(2)) throw_damaged("what it is a copy of");
}

/// Everything once: a catalog is small, and a damage that is found later would be found in the middle of a change.
void SqliteStore::verify() {
  Statement check(db_, "PRAGMA quick_check(1)");
  if (check.step() && check.text(0) != "ok") throw StoreError{SQLITE_CORRUPT, check.text(0)};
  Statement objects(db_, fmt::format("SELECT {} FROM object", kObjectColumns));
  while (objects.step()) (void)object_at(objects);
  Statement versions(db_, fmt::format("SELECT {}, kind, name FROM version", kVersionColumns));
  while (versions.step()) (void)version_at(versions, kind_at(versions, 7), versions.text(8));
  Statement entries(db_, fmt::format("SELECT {} FROM audit", kAuditColumns));
  while (entries.step()) (void)audit_at(entries);
  if (one_number("SELECT count(*) FROM counter") != 1 ||
      one_number("SELECT revision FROM counter") < one_number("SELECT max(revision) FROM audit")) {
    throw_damaged("the counter of revisions");
  }
}

std::optional<Object> SqliteStore::object(Kind kind, std::string_view of) {
  Statement row(db_, fmt::format("SELECT {} FROM object WHERE kind = ?1 AND name = ?2", kObjectColumns));
  if (!row.with(number_of(kind), of).step()) return std::nullopt;
  return object_at(row);
}

Result<SettledChange::Item> SqliteStore::decide(const Change& change, Revision next) {
  using Action = Change::Action;
  const std::string_view what = name(change.kind);
  if (change.name.empty() || change.name.size() > kNameOctetsMax ||
      base::find_bad_text(change.name) != std::string_view::npos) {
    return fail("22023", fmt::format("a {} cannot have the name '{}'", what, change.name), {},
                fmt::format("names are UTF-8, 1 to {} octets long", kNameOctetsMax));
  }
  const bool has_body = change.action != Action::kDrop && change.action != Action::kNote;
  if (has_body && !is_body(change.body)) {
    return fail("22023", fmt::format("the definition of {} '{}' cannot be kept", what, change.name), {},
                fmt::format("it must be a JSON object of at most {} octets", kBodyOctetsMax));
  }
  const std::optional<Object> there = object(change.kind, change.name);
  if (change.action == Action::kCreate && there)
    return fail("42710", fmt::format("{} '{}' already exists", what, change.name), {}, "alter it, or drop it first");
  const bool needs_object =
      change.action == Action::kDefine || change.action == Action::kUpdate || change.action == Action::kDrop;
  if (needs_object && !there) return fail("42704", fmt::format("there is no {} '{}'", what, change.name));
  if (change.expected && (there ? there->revision : Revision{}) != *change.expected) {
    return fail("40001", fmt::format("{} '{}' was changed by somebody else meanwhile", what, change.name), {},
                "look at it again, and repeat the change if it still holds");
  }

  SettledChange::Item item{change.action, change.kind, change.name, {}, 0, change.body, change.verb, change.comment};
  if (there) {
    item.incarnation = there->incarnation;
    item.version = there->version;
  }
  if (!has_body) return item;
  if (!there) {
    Statement rows(db_, "SELECT count(*) FROM object WHERE kind = ?1");
    if (rows.with(number_of(change.kind)).step() && rows.number(0) >= static_cast<int64_t>(kObjectsMax))
      return fail("53400", fmt::format("there are {} of kind '{}' already, the most there can be", kObjectsMax, what));
    item.action = Action::kCreate;
    item.incarnation = next;
    item.version = 1;
  } else if (change.action != Action::kUpdate) {
    item.action = Action::kDefine;
    ++item.version;
  }
  return item;
}

/// Under mutex_, in a transaction.
void SqliteStore::put(const SettledChange& change, size_t index) {
  using Action = Change::Action;
  const SettledChange::Item& item = change.items[index];
  if (item.action == Action::kDrop) {
    erase_object(item.kind, item.name);
  } else if (item.action != Action::kNote) {
    const Object object{item.kind, item.name, item.incarnation, item.version, change.revision, change.at, item.body};
    put_object(object);
    // What another node has changed may be of a version that this one has never seen.
    put_version(object, change.author, item.action == Action::kUpdate);
  }
  const AuditEntry entry{change.revision, change.at, change.author, change.via,  item.verb,
                         item.kind,       item.name, item.version,  item.comment};
  put_audit(entry, static_cast<int64_t>(index));
}

void SqliteStore::put_object(const Object& object) {
  Statement(db_,
            fmt::format("INSERT OR REPLACE INTO object ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", kObjectColumns))
      .with(number_of(object.kind), std::string_view(object.name), number_of(object.incarnation),
            int64_t{object.version}, number_of(object.revision), object.changed_at, std::string_view(object.body),
            checksum(object))
      .run();
}

void SqliteStore::erase_object(Kind kind, std::string_view of) {
  Statement(db_, "DELETE FROM object WHERE kind = ?1 AND name = ?2").with(number_of(kind), of).run();
}

void SqliteStore::put_version(const Object& object, const std::string& author, bool if_missing) {
  const Version version{object.incarnation, object.revision, object.version, object.changed_at, author, object.body};
  Statement(db_, fmt::format("INSERT OR {} INTO version (kind, name, {}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                             if_missing ? "IGNORE" : "REPLACE", kVersionColumns))
      .with(number_of(object.kind), std::string_view(object.name), number_of(version.incarnation),
            int64_t{version.version}, number_of(version.revision), version.at, std::string_view(version.author),
            std::string_view(version.body), checksum(object.kind, object.name, version))
      .run();
  Statement(db_,
            "DELETE FROM version WHERE kind = ?1 AND name = ?2 AND revision <= (SELECT revision FROM version WHERE "
            "kind = ?1 AND "
            "name = ?2 ORDER BY revision DESC LIMIT 1 OFFSET ?3)")
      .with(number_of(object.kind), std::string_view(object.name), static_cast<int64_t>(kVersionsKept))
      .run();
}

void SqliteStore::put_audit(const AuditEntry& entry, int64_t item) {
  Statement(db_,
            "INSERT OR REPLACE INTO audit (item, revision, at, author, via, verb, kind, name, version, comment, "
            "checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")
      .with(item, number_of(entry.revision), entry.at, std::string_view(entry.author), std::string_view(entry.via),
            std::string_view(entry.verb), number_of(entry.kind), std::string_view(entry.name), int64_t{entry.version},
            std::string_view(entry.comment), checksum(entry))
      .run();
}

void SqliteStore::count(Revision next) {
  Statement(db_, "UPDATE counter SET revision = ?1").with(number_of(next)).run();
  forget_old(next);
}

/// Whole revisions, so that changed_since() can tell where the audit begins.
void SqliteStore::forget_old(Revision next) {
  if (next.value % 1024 != 0) return;
  Statement(db_,
            "DELETE FROM audit WHERE revision <= (SELECT revision FROM audit ORDER BY revision DESC LIMIT 1 OFFSET ?1)")
      .with(static_cast<int64_t>(kAuditKept))
      .run();
}

}  // namespace backstream::catalog
