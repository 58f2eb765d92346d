#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "catalog/catalog.h"
#include "plan/bind_table.h"
#include "plan/definitions.h"

namespace backstream::service {

/// The lookup tables of the catalog: made by CREATE TABLE, filled by a file or by statements, which are kept with it
/// and done again at the next start.
class TableRegister {
 public:
  struct Ground {
    /// Where the files of tables lie: a statement names them relative to it, and none outside it.
    std::string folder;
    /// Names that no table may take.
    std::function<bool(const std::string& name)> is_taken;
    /// Queries that read a relation.
    std::function<std::vector<std::string>(const std::string& relation)> readers;
    std::function<void(lookup::FileTable&)> watch, unwatch;  ///< from now on it is polled; no more, and not just now
    std::function<void()> changed;                           ///< rows of a table are others now
    bool shared = false;  ///< the catalog is that of many nodes: others change it (follow())
  };
  TableRegister(catalog::Catalog& catalog, Ground ground);
  ~TableRegister();

  /// Makes what the catalog has. What cannot be made any more (a file is gone) is left out; why, is returned. Before
  /// the queries that read tables are started. Errors: the catalog's.
  base::Result<std::vector<base::Diagnostic>> start();

  /// Makes the tables what the catalog says, where others have changed it: before the queries that read them follow.
  /// Those that cannot be made here (a file is not on this machine) are left out, told in `left_out`, and tried again
  /// when they are changed. True: there are others now, or others are gone. Errors: the catalog's.
  base::Result<bool> follow(std::vector<base::Diagnostic>& left_out);

  struct Done {
    std::string name;
    std::string verb;  ///< "create", "insert", "update", "delete", "truncate", "drop"
  };
  /// One statement, wholly or not at all. Errors, located in the text: those of plan::LookupTables::execute; 42601 it
  /// is none of these statements, or several; 42501 a file outside the folder; 2BP01 queries read what is to be
  /// dropped; 53400 the statements of a table have become too long; those of the catalog.
  base::Result<Done> execute(const std::string& text, const std::string& source_name, const catalog::Author& author,
                             base::Micros now);

  struct Info {
    std::string name, text, file;  ///< the file as the statement names it; empty: filled by statements
    uint64_t rows = 0;
    std::string error;  ///< of the file, at the last look
    std::vector<batch::ColumnDef> columns;
  };
  std::vector<Info> list() const;
  /// Makes the tables known to statements that are bound with these.
  void add_to(plan::Definitions& definitions) const;

 private:
  /// A table, and what it was made of.
  struct Held {
    std::string text;                                                                     ///< CREATE TABLE
    std::vector<std::string> statements;                                                  ///< since, in their order
    std::unique_ptr<plan::LookupTables> tables = std::make_unique<plan::LookupTables>();  ///< of one
    std::unique_ptr<plan::Catalog> names = std::make_unique<plan::Catalog>(false);        ///< its own
    std::string file;
    catalog::Revision incarnation, revision;  ///< of the object
  };
  base::Result<Held> make(const std::string& text, const std::vector<std::string>& statements) const;
  base::Result<void> run(Held& held, const std::string& text, const std::string& source_name) const;
  base::Result<void> place_file(plan::UnboundStatement& statement, Held& held) const;
  static std::string body_of(const Held& held);
  base::Result<Held> make_of(const catalog::Object& object) const;
  base::Result<bool> follow_locked(std::vector<base::Diagnostic>& left_out);
  base::Result<void> bring_up_to(Held& held, Held wanted) const;
  void adopt(const std::string& name, Held held);
  void let_go(const std::string& name);

  catalog::Catalog& catalog_;
  const Ground ground_;
  std::mutex change_mutex_;   ///< one change at a time, which may wait for a catalog elsewhere; taken before mutex_
  catalog::Revision seen_;    ///< under change_mutex_: the catalog's changes up to it are in held_
  mutable std::mutex mutex_;  ///< held only shortly. Who changes held_ holds both
  std::map<std::string, Held, std::less<>> held_;
};

}  // namespace backstream::service
