#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "batch/flow_schema.h"
#include "batch/side_streams.h"
#include "plan/query.h"
#include "plan/unbound.h"

namespace backstream::plan {

/// The relations a statement may name. The caller keeps it: streams first, each view as it is created.
class Catalog {
 public:
  /// Knows `flows` and the streams beside it already when `with_flows`.
  explicit Catalog(bool with_flows = true) : Catalog(with_flows ? &batch::flow_schema() : nullptr) {}
  /// @param flows  the schema of `flows` (batch::flow_schema()); null: there are no such streams
  explicit Catalog(const batch::Schema* flows);
  void add(Relation relation);
  /// A materialised view, and the late rows that it may have (plan/late.h).
  void add_view(const Query& view);
  bool remove(std::string_view name);
  Relation* find(std::string_view name);
  const Relation* find(std::string_view name) const;
  std::vector<std::string_view> names() const;

 private:
  std::vector<Relation> relations_;
};

/// Binds a SELECT or CREATE MATERIALIZED VIEW: names, types, windows, aggregates, options. Diagnostics carry a span
/// into the statement's text; the caller locates them (base::locate). Plain views (CREATE VIEW) are expanded where
/// read.
/// @param text  the statement's text, kept in Query::text
base::Result<Query> bind(const UnboundStatement& statement, std::string_view text, const Catalog& catalog);

/// CREATE VIEW: a relation that is expanded where it is read. Errors of its SELECT as for bind().
base::Result<Relation> bind_plain_view(std::shared_ptr<const UnboundStatement> statement, const Catalog& catalog);

/// CREATE FOREIGN TABLE name (columns) SERVER test OPTIONS (event_time 'column', watermark '5 s', arrival 'column'): a
/// stream whose rows a test gives by hand. Errors as for bind().
base::Result<Relation> bind_foreign_table(const UnboundStatement& statement);

/// The relation that others see of a materialised view: its visible columns; time column = window_start.
Relation as_relation(const Query& view);

/// EXPLAIN: the plan as text, one line an operator, with what runs on edge and merge, the partial form and class of
/// each aggregate, pane length, what holds the watermark.
std::string explain(const Query& query);

/// Applies ordinary rewrites in place (constant conditions, unused columns). Results never change. `--set
/// plan.rewrites=false` leaves it out, and the slt tests run both ways.
void rewrite(Query& query);

}  // namespace backstream::plan
