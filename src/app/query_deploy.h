#pragma once
// backstream query deploy: queries are placed as a Borealis deploy file says.
#include <nlohmann/json.hpp>
#include <string>

#include "app/client_command.h"
#include "app/deploy_plan.h"

namespace backstream::app {

int query_deploy(const Arguments& arguments);

/// What was or is to be done, a line for each query, for people.
/// @param done  of POST /api/v1/apply; null: there was nothing to change
std::string deploy_report(const DeployPlan& plan, const nlohmann::json& done, bool dry_run);

}  // namespace backstream::app
