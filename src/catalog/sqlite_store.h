#pragma once
// Objects, their versions and the audit in a file of SQLite: what a catalog of one node is, and the copy that a node
// keeps of a catalog of many.
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "catalog/catalog.h"
#include "catalog/change_record.h"

struct sqlite3;

namespace backstream::catalog {

/// Any thread. Errors: as Catalog and open_sqlite_catalog().
class SqliteStore {
 public:
  enum class Role : uint8_t {
    kCatalog,  ///< the truth: a change is on the disk when it is done
    kCopy,     ///< of what stands elsewhere: a crash may take the last changes back
  };
  static Result<std::unique_ptr<SqliteStore>> open(const std::string& path, Role role);
  ~SqliteStore();
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  /// Decides and does it: Catalog::apply().
  Result<Revision> apply(std::span<const Change> changes, const Author& author, Micros now);
  /// What these changes come to, as the next revision. Changes nothing.
  Result<SettledChange> settle(std::span<const Change> changes, const Author& author, Micros now);
  /// Of a copy: does what was settled, here or elsewhere, of a revision higher than revision(). Those in between are
  /// not known, and changed_since() says so.
  Result<void> write(const SettledChange& change, uint64_t deployment);
  /// Of a copy: a change of which only the revision is known.
  Result<void> write_unknown(Revision revision, uint64_t deployment);

  /// All that is known of a catalog that was read from its begin.
  struct Reading {
    uint64_t deployment = 0;
    Revision revision;
    std::vector<SettledChange> changes;  ///< of which the objects are made, ascending; later ones replace earlier ones
    std::set<Revision> unknown;          ///< changes that could not be read: what was known of them stays
  };
  /// Makes the copy what was read, in one step: what is not in it is gone. The audit and versions from before stay.
  Result<void> replace(const Reading& reading);
  /// Of a copy; 0: nothing was read yet.
  uint64_t deployment();

  Result<std::optional<Object>> find(Kind kind, std::string_view of);
  Result<std::vector<Object>> list(Kind kind);
  Result<std::vector<Version>> history(Kind kind, std::string_view of, size_t count_max);
  Result<std::vector<AuditEntry>> audit(const Catalog::AuditOf& which);
  Result<std::optional<std::vector<Catalog::Changed>>> changed_since(Revision after);
  Revision revision();
  Revision wait_beyond(Revision after, std::chrono::milliseconds patience);

 private:
  SqliteStore(std::string path, Role role) : path_(std::move(path)), role_(role) {}
  Result<void> open_file();
  template <typename T, typename Work>
  Result<T> guarded(Work&& work) const;
  template <typename Work>
  Result<void> in_transaction(bool keep, Work&& work);
  void execute(const char* sql);
  void roll_back() noexcept;
  int64_t one_number(std::string_view sql);
  int64_t pragma(std::string_view assignment);
  void make_tables();
  void verify();
  void read_origin();
  void keep_origin(uint64_t deployment, Revision known_from);
  std::optional<Object> object(Kind kind, std::string_view of);
  Result<SettledChange::Item> decide(const Change& change, Revision next);
  void put(const SettledChange& change, size_t item);
  void put_object(const Object& object);
  void erase_object(Kind kind, std::string_view of);
  void put_version(const Object& object, const std::string& author, bool if_missing);
  void put_audit(const AuditEntry& entry, int64_t item);
  void count(Revision next);
  void forget_old(Revision next);

  const std::string path_;
  const Role role_;
  std::mutex mutex_;  ///< of all below
  std::condition_variable changed_;
  sqlite3* db_ = nullptr;
  Revision revision_;
  uint64_t deployment_ = 0;
  Revision known_from_;  ///< all changes from here on are in the audit, or were forgotten with age
};

}  // namespace backstream::catalog
