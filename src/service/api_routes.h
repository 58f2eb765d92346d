#pragma once
// The parts of add_api_routes(), a file each.
#include <memory>

#include "base/time.h"
#include "service/api.h"

namespace backstream::service {

void add_query_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground);
void add_result_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground);
void add_node_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground);
void add_sink_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground);

}  // namespace backstream::service
