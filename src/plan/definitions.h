#pragma once
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "plan/bind.h"

namespace backstream::plan {

/// What the statements of a run (or of a test) make, taken in their order before anything runs: queries, plain views,
/// what ALTER, DROP and COMMENT make of them.
class Definitions {
 public:
  struct Entry {
    size_t number = 0;             ///< in the order of add_query(), from 0; never used twice
    std::string label;             ///< the view's name, or what the SELECT was called
    UnboundStatement statement;    ///< with the options as altered
    std::string text;              ///< that the statement's spans point into
    std::shared_ptr<Query> query;  ///< changed only by statements after it
  };

  /// @param rewrites     see plan::rewrite()
  /// @param flow_schema  as Catalog gets it
  explicit Definitions(bool rewrites, const batch::Schema* flow_schema = &batch::flow_schema())
      : rewrites_(rewrites), catalog_(flow_schema) {}
  Catalog& catalog() { return catalog_; }
  const Catalog& catalog() const { return catalog_; }

  /// A SELECT, or CREATE MATERIALIZED VIEW. `label` is what messages call a SELECT; a view has its name.
  /// @return  null: IF NOT EXISTS, and there is one
  base::Result<Entry*> add_query(UnboundStatement statement, std::string_view text, std::string label);
  /// A SELECT that is not kept: for EXPLAIN.
  base::Result<Query> bind(const UnboundStatement& statement, std::string_view text) const;
  /// CREATE VIEW, ALTER, RENAME, DROP, COMMENT: those of which is_change() is true. Errors leave everything as it was.
  base::Result<void> change(UnboundStatement statement);
  static bool is_change(UnboundStatement::Kind kind);

  /// Those that are there, in an order in which each reads only streams and queries before it.
  const std::vector<std::unique_ptr<Entry>>& entries() const { return entries_; }
  std::vector<std::unique_ptr<Entry>>& entries() { return entries_; }

 private:
  /// 42P07 where another relation has the name that the late rows of the view would get.
  base::Result<void> room_for_late(const Query& view, base::SourceSpan span) const;
  /// Has the joins whose late rows the query reads keep what these need.
  void ask_for_late(const Query& reader);
  base::Result<void> create_view(UnboundStatement statement);
  base::Result<void> alter(UnboundStatement& statement);
  base::Result<void> rename(UnboundStatement& statement);
  base::Result<void> drop(UnboundStatement& statement);
  base::Result<void> comment(UnboundStatement& statement);

  /// The relation that a statement names, of the kind that it says. Null: IF EXISTS, and there is none.
  base::Result<Relation*> find(const UnboundStatement& statement);
  Entry* entry_of(std::string_view view);
  /// "view \"x\"" or "select1" that reads the relation; empty: none. Plain views count, too.
  std::string reader_of(std::string_view relation) const;
  std::string reader_where(const std::function<bool(const UnboundSelect&)>& reads_it) const;
  /// What the SELECT reads, also through plain views.
  std::set<std::string> reached_from(const UnboundSelect& select) const;

  const bool rewrites_;
  Catalog catalog_;
  std::vector<std::unique_ptr<Entry>> entries_;
  size_t added_ = 0;
};

}  // namespace backstream::plan
