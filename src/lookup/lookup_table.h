#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/published.h"
#include "lookup/key_index.h"
#include "lookup/prefix_table.h"
#include "lookup/table.h"

namespace backstream::lookup {

/// What queries read of a lookup table: rows, and every index that was asked for over exactly these rows. Immutable.
struct Snapshot {
  std::shared_ptr<const Table> table;
  std::vector<std::shared_ptr<const KeyIndex>> key_indexes;       ///< by the number that add_key_index() gave
  std::vector<std::shared_ptr<const PrefixTable>> prefix_tables;  ///< by the number that add_prefix_table() gave
};

/// A named lookup table whose contents change while queries read it: from a file (FileTable) or by INSERT, UPDATE and
/// DELETE. Every change makes a new snapshot, wholly or not at all. Changes come from one thread, the owner's; readers
/// take `published()` once per batch:
///
///   const size_t by_asn = *table.add_key_index({0});                // when the query is bound
///   Published<Snapshot>::Reader reader{table.published()};          // in each pipeline
///   const Snapshot& now = *reader.current();                        // once per batch
///   now.key_indexes[by_asn]->find(&asn, rows, n, matches);
class LookupTable {
 public:
  /// Empty at first. `definition.primary_key` columns are never null and unique.
  explicit LookupTable(TableDefinition definition, const TableLimits& limits = {});

  const TableDefinition& definition() const { return definition_; }
  const TableLimits& limits() const { return limits_; }
  /// Never null. Any thread.
  const base::Published<Snapshot>& published() const { return published_; }

  // --- the owner's thread -------------------------------------------------------------------------------------------

  /// Makes an index over these columns and keeps it in every later snapshot. Returns its number; the same for the same
  /// columns. A number stays valid; snapshots from before do not have it.
  size_t add_key_index(const std::vector<uint32_t>& columns);
  /// The same for longest-prefix match over an inet or cidr column. Errors: "42804" another type, "54000" too large.
  base::Result<size_t> add_prefix_table(uint32_t column);

  /// New contents, of the definition's columns (asserted). Errors: "23505" and "23502" for the primary key, "54000".
  base::Result<void> replace(std::shared_ptr<const Table> table);

  /// Adds rows: a column for each of the table's, of the same physical form. Returns how many.
  base::Result<size_t> insert(const batch::ColumnBatch& rows);
  /// Puts each given row in the place of the one with its primary key; keys that are not there change nothing, and of
  /// equal keys in `rows` the last counts. Returns how many rows of the table changed. "55000": no primary key.
  base::Result<size_t> update(const batch::ColumnBatch& rows);
  /// Removes the rows with these keys; columns are those of the primary key, in its order. Returns how many.
  base::Result<size_t> erase(const batch::ColumnBatch& keys);

  /// The same by row number of the current snapshot, for conditions that a query evaluated over it: row `numbers[i]`
  /// becomes row i of `rows`. Numbers must be less than its row_count() (asserted).
  base::Result<size_t> replace_rows(const std::vector<uint32_t>& numbers, const batch::ColumnBatch& rows);
  base::Result<size_t> erase_rows(const std::vector<uint32_t>& numbers);
  void truncate();

 private:
  /// Copies the rows: `replaced[row]` is kKeep, kErase or the row of `rows` that takes its place; then all of
  /// `appended`.
  base::Result<void> rebuild(const std::vector<uint32_t>& replaced, const batch::ColumnBatch* rows,
                             const batch::ColumnBatch* appended);
  base::Result<const KeyIndex*> primary_index() const;

  const TableDefinition definition_;
  const TableLimits limits_;
  std::vector<std::vector<uint32_t>> key_columns_;  ///< by index number
  std::vector<uint32_t> prefix_columns_;
  std::shared_ptr<const Snapshot> current_;  ///< what is published
  base::Published<Snapshot> published_;
};

}  // namespace backstream::lookup
