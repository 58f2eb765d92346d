#pragma once
#include "http/router.h"
#include "service/access.h"

namespace backstream::service {

/// GET, POST /api/v1/tokens, DELETE /api/v1/tokens/{name} (admin), GET /api/v1/whoami (viewer).
/// @param access  must outlive the router
void add_access_routes(http::Router& router, Access& access);

}  // namespace backstream::service
