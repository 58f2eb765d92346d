#pragma once
// What a Borealis deploy file asks of the queries that are registered: nodes stand for their sites, and what is named
// becomes the options `sites` and `placement` of queries. docs/borealis.md, "Deploy files", has the rules.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "borealis/deploy.h"

namespace backstream::app {

struct DeployPlan {
  struct Query {
    std::string name;
    std::string placement;   ///< "sites ams (was all), placement edge", for people
    base::SourceSpan place;  ///< of the name in the file that asks for it
    bool is_changed = false;
    std::string text;  ///< as it is to be
    uint64_t revision = 0;
  };
  std::vector<Query> queries;      ///< all that the file places, by name
  std::vector<std::string> notes;  ///< what needs nothing to be set, for people
};

/// Pure.
/// @param nodes    of GET /api/v1/nodes
/// @param queries  of GET /api/v1/queries
/// Errors, with a span into the file: 42704 a node, query, stream or box that is not there, 42710 a query that is moved
/// to two nodes, 22023 a node that cannot have what it is named for, 55000 a node whose site is not known, 0A000
/// streams of one query from different nodes, 42809 a plain view.
base::Result<DeployPlan> plan_deploy(const borealis::Deployment& deployment, const nlohmann::json& nodes,
                                     const nlohmann::json& queries);

}  // namespace backstream::app
