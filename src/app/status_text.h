#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace backstream::app {

/// What /api/v1/status says, for people: first whether all is well. Members that are not there are left out.
std::string status_text(const nlohmann::json& status);

}  // namespace backstream::app
