#pragma once
// Compares a table of routes with docs/openapi.json, for the test of whoever makes the table.
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/router.h"
#include "service/access.h"
#include "service/openapi.h"

namespace backstream::service {

/// Methods of a path item, as the document spells them.
inline const std::map<std::string_view, http::Method>& openapi_methods() {
  static const std::map<std::string_view, http::Method> kMethods = {
      {"get", http::Method::kGet},     {"post", http::Method::kPost},     {"put", http::Method::kPut},
      {"patch", http::Method::kPatch}, {"delete", http::Method::kDelete},
  };
  return kMethods;
}

/// What a role is called in the document ("x-role").
inline std::string openapi_role(uint32_t role) {
  constexpr std::string_view kRoles[] = {"nobody", "viewer", "operator", "admin"};
  return role < std::size(kRoles) ? std::string(kRoles[role]) : fmt::format("{}", role);
}

/// What differs, a line each; empty: the routes of the API, of /-/ and /metrics are those of the document, with their
/// roles, heed of row filters and, where a route has a name, their operationIds. Routes elsewhere (the console's pages)
/// are not looked at.
inline std::vector<std::string> openapi_differences(const http::Router& router,
                                                    std::string_view document = openapi_document()) {
  std::vector<std::string> differences;
  const nlohmann::json api = nlohmann::json::parse(document, nullptr, false);
  if (api.is_discarded()) return {"docs/openapi.json is no JSON"};
  std::map<std::string, const http::Route*> served;
  for (const http::Route& route : router.routes()) {
    const std::string_view path = route.pattern;
    if (!path.starts_with("/api/") && !path.starts_with("/-/") && !path.starts_with("/metrics")) continue;
    served.emplace(fmt::format("{} {}", http::name(route.method), path), &route);
  }
  std::set<std::string> told;
  const nlohmann::json paths = api.value("paths", nlohmann::json::object());
  for (const auto& [path, item] : paths.items()) {
    for (const auto& [key, operation] : item.items()) {
      const auto method = openapi_methods().find(key);
      if (method == openapi_methods().end()) continue;
      const std::string what = fmt::format("{} {}", http::name(method->second), path);
      told.insert(what);
      const auto at = served.find(what);
      if (at == served.end()) {
        differences.push_back(what + ": the document has it, no route does");
        continue;
      }
      const http::Route& route = *at->second;
      const std::string role = operation.value("x-role", ""), id = operation.value("operationId", "");
      // Whether /metrics asks depends on the settings.
      const uint32_t asked = role_of(route.role);
      const bool may_be_open = path == "/metrics" && asked == 0;
      if (role != openapi_role(asked) && !may_be_open)
        differences.push_back(
            fmt::format("{}: role {} in the document, {} of the route", what, role, openapi_role(asked)));
      const bool heeds = (route.role & kHeedsRowFilter) != 0;
      if (heeds != operation.value("x-row-filter", false))
        differences.push_back(fmt::format("{}: x-row-filter in the document is not as the route's", what));
      if (!route.name.empty() && route.name != id)
        differences.push_back(fmt::format("{}: operationId {} in the document, {} of the route", what, id, route.name));
    }
  }
  for (const auto& [what, route] : served)
    if (!told.contains(what)) differences.push_back(what + ": there is a route, the document does not have it");
  return differences;
}

}  // namespace backstream::service
