#pragma once
#include <memory>

#include "batch/column_batch.h"
#include "config/settings.h"
#include "inventory/inventory.h"
#include "plan/definitions.h"

namespace backstream::service {

/// Definitions that hold what is there without a statement: `flows` and the streams beside it, the inventory's tables,
/// and `flows_once`.
/// @param flow_schema  of `flows`, with the columns of the settings; must outlive the result
std::unique_ptr<plan::Definitions> standing_definitions(const config::Settings& settings,
                                                        const batch::Schema& flow_schema,
                                                        const inventory::Inventory& inventory);

}  // namespace backstream::service
