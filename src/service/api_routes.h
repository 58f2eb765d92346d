#pragma once
// The parts of add_api_routes(), a file each.
#include <memory>

#include "base/time.h"
#include "service/api.h"

namespace backstream::service {

/// For the audit: what was done that changes no object.
void note(const ApiGround& ground, const http::Request& request, const char* verb, std::string comment,
          catalog::Kind kind = catalog::Kind::kService, std::string name = "service");

/// How far in time a query that runs is: its windows that end by then have closed. kMinTime: nothing is known.
Micros watermark_of(const ApiGround& ground, const QueryRegister::Status& query, const Snapshot& now);

/// Whether who asks may read the results of that name, as far as the name tells. Error 42501: he sees some rows only,
/// and it is somebody's SELECT, whose columns are called what that one likes (row_filter.h).
base::Result<void> check_may_read(const http::Request& request, std::string_view name);

void add_query_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground);
void add_result_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground);
void add_alert_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground);
void add_node_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground);
void add_sink_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground);

}  // namespace backstream::service
