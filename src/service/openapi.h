#pragma once
#include <string_view>

namespace backstream::service {

/// docs/openapi.json, which is part of the program: what GET /api/v1/openapi.json answers.
std::string_view openapi_document();

}  // namespace backstream::service
