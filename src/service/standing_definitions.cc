#include "service/standing_definitions.h"

#include <cassert>
#include <utility>

#include "lookup/lookup_table.h"
#include "sql/parse.h"

namespace backstream::service {
namespace {

/// A flow where it enters the backbone, so that a flow that several routers export counts once: over an interface to
/// others, as seen going in. What no role is known of stays, and says so.
constexpr std::string_view kFlowsOnce =
    "CREATE VIEW flows_once AS SELECT f.*, i.role IS NOT NULL AS classified "
    "FROM flows f LEFT JOIN interfaces i ON i.exporter = f.exporter AND i.if_index = f.in_if "
    "WHERE (i.role IS NULL OR i.role <> 'internal') AND (f.direction IS NULL OR f.direction = 0)";

}  // namespace

std::unique_ptr<plan::Definitions> standing_definitions(const config::Settings& settings,
                                                        const batch::Schema& flow_schema,
                                                        const inventory::Inventory& inventory) {
  auto definitions = std::make_unique<plan::Definitions>(settings.plan.rewrites, &flow_schema);
  for (const auto& table :
       {inventory.sites(), inventory.exporters(), inventory.interfaces(), inventory.vrfs(), inventory.applications()}) {
    plan::Relation relation;
    relation.kind = plan::Relation::Kind::kTable;
    relation.name = table->definition().name;
    relation.schema = table->definition().schema;
    relation.table = table;
    relation.of_file = true;
    definitions->catalog().add(std::move(relation));
  }
  auto view = sql::parse(kFlowsOnce, "flows_once");
  assert(view);
  [[maybe_unused]] const auto defined = definitions->change(std::move(view->front()));
  assert(defined);
  return definitions;
}

}  // namespace backstream::service
