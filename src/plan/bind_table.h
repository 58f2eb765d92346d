#pragma once
#include <memory>
#include <vector>

#include "base/time.h"
#include "lookup/file_table.h"
#include "plan/bind.h"

namespace backstream::plan {

/// The lookup tables that statements made, and the statements about them: CREATE TABLE, INSERT, UPDATE, DELETE and
/// TRUNCATE. One thread, the one that binds queries; queries read published snapshots (exec/lookup_steps.h).
class LookupTables {
 public:
  /// True for the statements that execute() is for.
  static bool is_statement(UnboundStatement::Kind kind);

  /// Does the statement at once, wholly or not at all; a table of a file is read before CREATE TABLE returns, and then
  /// a relation of `catalog`. Errors carry a span into the statement's text, or a place in the file: "42P07" the name
  /// is taken, "42P01" no such table, "42809" a stream or view, "55000" a table of a file is changed by its file,
  /// "42703", "42804", "23502" and "23505" for columns, types and keys, "22023" options, "54000" limits.
  base::Result<void> execute(const UnboundStatement& statement, Catalog& catalog);

  /// Looks at the files whose refresh interval is over, and publishes those that changed. A file that cannot be used
  /// leaves its table as it is. Returns whether rows of any table changed.
  /// @param now  µs, of a clock that does not go back
  bool poll(base::Micros now);

  struct Item {
    std::shared_ptr<lookup::LookupTable> table;
    std::unique_ptr<lookup::FileTable> file;  ///< null: changed by statements
  };
  const std::vector<Item>& items() const { return items_; }

 private:
  base::Result<void> create(const UnboundStatement& statement, Catalog& catalog);

  std::vector<Item> items_;
};

}  // namespace backstream::plan
