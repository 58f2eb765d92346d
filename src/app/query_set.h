#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/run_options.h"
#include "base/diagnostic.h"
#include "inventory/inventory.h"
#include "plan/bind_table.h"
#include "plan/explain.h"
#include "plan/query.h"

namespace backstream::app {

/// The statements of a run, bound: queries in an order in which each reads only streams and queries before it.
struct QuerySet {
  struct Item {
    std::shared_ptr<plan::Query> query;
    std::string label;  ///< the view's name; select1, select2, ... for SELECTs
    /// EXPLAIN ANALYZE: it is run, and its plan shown instead of its rows.
    std::optional<plan::ExplainOptions> analyzed;
  };
  std::vector<Item> queries;
  std::vector<std::string> explained;  ///< the plans that EXPLAIN asked for
  size_t statement_count = 0;          ///< of any kind
  plan::LookupTables tables;           ///< as all statements left them; the queries read them

  /// Whether any of the queries, before they are moved elsewhere, looks something up in the table.
  bool reads(const lookup::LookupTable& table) const;
};

/// Parses and binds the texts; statements about lookup tables are done as they come. Views are visible to later
/// statements, in later texts too.
/// @param view  a relation to read in any case, such as the late rows of a view (`<view>_late`), which nobody else need
///              name; empty, or anything else that is no relation, adds nothing
/// Errors: located in the text that has the mistake.
/// @param settings   plan.rewrites, and the columns that people added to `flows`
/// @param inventory  its tables are relations from the start, and so is the plain view flows_once over them
base::Result<QuerySet> prepare_queries(const std::vector<SqlText>& texts, const config::Settings& settings,
                                       const inventory::Inventory& inventory, const std::string& view = "");

}  // namespace backstream::app
