#pragma once
// Rows of a query in a table of PostgreSQL, which a person may read and join meanwhile.
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sink/postgres_session.h"
#include "sink/target.h"

namespace backstream::sink {

using base::Micros;

struct PostgresOptions {
  PostgresAddress address;
  std::string schema = "public";
  std::string table;  ///< empty: the query's name
  std::string query;
  /// Whose place it is. Two sinks whose parts are numbered apart, such as those of two receivers, have different ones;
  /// they may write to one table all the same.
  std::string sink;
  /// What test() compares with the table; null: it looks at no columns of the query's.
  std::shared_ptr<const ResultForm> form;
};

/// The table has the query's columns, `_window_start`, `_window_end` (null: rows without a window), and those that
/// every target adds. It is made where it is missing, and gets columns that a later version of the query has; columns
/// of other types are refused. A row of a window is there once: a unique index over the window and ResultForm::keys
/// tells it, so rows of a window that are alike in all of them (a query that does not show its group's keys) are one.
///
/// A window is there in its newest revision, whatever comes in which order: `backstream_sink_windows` knows the newest
/// revision of each window that had several, for 30 days, so that neither a row nor its removal is undone. While a
/// revision has not come whole rows of the one before are there beside those that it has changed. Rows without a window
/// are only inserted. `backstream_sink_places` has the place, moved in the same transaction.
///
/// Calls take the advisory lock of the table, so sinks of one table write one after the other. Texts that are no UTF-8,
/// or hold NUL, times beyond PostgreSQL's, and keys too long for an index (about 2,700 octets) are refused (22…).
/// An error but 22… closes the connection; a call opens it where it is not. repeat() doubles rows without a window, and
/// refuses (22…) rows of a version with other keys than the table has now.
class PostgresTarget final : public Target {
 public:
  explicit PostgresTarget(PostgresOptions options);
  ~PostgresTarget() override;

  Result<uint64_t> open() override;
  Result<void> deliver(Parts parts) override;
  Result<void> pass_over(const ResultPart& part) override;
  Result<void> repeat(Parts parts) override;
  Result<std::string> test() override;

  /// Rows that went straight into the table; the others came by a temporary table, at about half the speed.
  uint64_t rows_copied() const { return rows_copied_; }

 private:
  struct Layout;
  /// What is known of a window in one call.
  struct Window {
    int revision_newest = 0;  ///< of the call
    bool whole = false;       ///< and so is its end
    bool changes = false;     ///< several revisions, or removed rows, are in the call
    bool there = false;       ///< rows are in the table
    int revision_there = 0;   ///< the newest that the table ever had, where it had several; 0: not known
  };
  using Windows = std::map<std::pair<Micros, Micros>, Window>;
  enum class About : uint8_t { kRows, kTables };

  Result<void> check_names() const;
  Result<void> check_names(const ResultForm& form) const;
  Result<std::string> look();
  Result<void> connect();
  Result<void> make_own_tables();
  Result<bool> find_table();
  Result<void> make_table(const ResultForm* form, bool revised);
  Result<void> fit_table(const ResultForm* form);
  Result<void> fit_index(const ResultForm& form, bool repeated);
  Result<uint64_t> lock_place(const std::string& statements_before);
  Result<Layout*> layout(const std::shared_ptr<const ResultPart>& part);
  Result<void> write(Parts parts, bool moves_place);
  Result<void> attempt(Parts parts, bool moves_place, bool merge);
  Result<void> look_up(Windows& windows);
  /// @param statements  the last is COPY; staged: into a temporary table, with `_op`
  Result<void> copy(const std::string& statements, bool staged, const std::vector<const ResultPart*>& parts);
  /// @param only_newest  rows may have come in several revisions, or be alike
  Result<void> merge(const Layout& layout, bool only_newest, const std::vector<const ResultPart*>& parts);
  std::string remove_older(const Windows& windows) const;
  std::string record(const Windows& windows) const;
  std::string place_statement(uint64_t seq) const;
  std::string place_query() const;
  std::string place_condition() const;
  /// The server's complaint as one of target.h's codes, with what to do about it.
  tl::unexpected<base::Diagnostic> refuse(base::Diagnostic complaint, About about);
  tl::unexpected<base::Diagnostic> refuse_copy(base::Diagnostic complaint, const std::vector<const ResultPart*>& parts);

  const PostgresOptions options_;
  const std::string table_;  ///< with its schema, quoted
  std::unique_ptr<PostgresSession> session_;
  std::string state_;                             ///< SQLSTATE of the last complaint
  std::vector<std::unique_ptr<Layout>> layouts_;  ///< of this session
  const Layout* indexed_ = nullptr;               ///< whose keys the unique index has, as far as is known
  uint64_t stages_made_ = 0;
  /// The window whose parts went straight into the table and are not all there yet.
  struct Continued {
    Micros start = 0, end = 0;
    int revision = 0;
    uint32_t next_part = 0;
  } continued_;
  uint64_t rows_copied_ = 0;
};

}  // namespace backstream::sink
