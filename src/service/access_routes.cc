#include "service/access_routes.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace backstream::service {
namespace {

using base::Diagnostic;
using base::Result;
using http::Request;
using http::Response;
using Json = nlohmann::ordered_json;

uint16_t status_of(std::string_view code) {
  if (code == "42710" || code == "55000") return 409;
  if (code == "42704") return 404;
  if (code.starts_with("53")) return 507;
  if (code.starts_with("XX") || code.starts_with("58")) return 500;
  return 422;
}

Response refused(const Diagnostic& error, std::string_view text = {}) {
  return http::respond(http::problem_of(error, status_of(error.code), text));
}

Json time_or_null(const std::optional<Micros>& time) { return time ? Json(base::format_rfc3339(*time)) : Json(); }

Json to_json(const Token& token) {
  return {{"name", token.name},
          {"role", config::name(token.role)},
          {"row_filter", token.row_filter},
          {"created_at", base::format_rfc3339(token.created_at)},
          {"expires_at", base::format_rfc3339(token.expires_at)},
          {"last_used_at", time_or_null(token.last_used_at)}};
}

/// Whole seconds; what is no number of them is refused by whoever takes the lifetime.
Micros lifetime_of(const Json& seconds) {
  const auto number = seconds.get<int64_t>();
  const bool fits = number > 0 && number <= NewToken::kTokenLifetimeMaxUs / base::kMicrosPerSecond;
  return fits ? number * base::kMicrosPerSecond : 0;
}

Result<NewToken> new_token_of(const std::string& body) {
  constexpr const char* kHint = R"({"name": "grafana", "role": "viewer", "expires_in_seconds": 7776000})";
  NewToken wanted;
  try {
    const Json json = Json::parse(body);
    wanted.name = json.at("name").get<std::string>();
    const auto role = json.at("role").get<std::string>();
    const auto known = config::access_role_of(role);
    if (!known) return base::fail("22023", fmt::format("there is no role '{}'", role), {}, "viewer, operator or admin");
    wanted.role = *known;
    if (json.contains("expires_in_seconds")) {
      if (!json["expires_in_seconds"].is_number_integer())
        return base::fail("22023", "expires_in_seconds is no whole number", {}, kHint);
      wanted.lifetime_us = lifetime_of(json["expires_in_seconds"]);
    }
    if (json.contains("row_filter") && !json["row_filter"].is_null())
      wanted.row_filter = json["row_filter"].get<std::string>();
  } catch (const Json::exception&) {
    return base::fail("22023", "this describes no token", {}, kHint);
  }
  return wanted;
}

Response create(Access& access, const Request& request) {
  const auto wanted = new_token_of(request.body);
  if (!wanted) return refused(wanted.error());
  auto token = access.tokens().create(*wanted, author_of(request), access.now());
  if (!token) return refused(token.error(), wanted->row_filter);
  const auto made = access.tokens().find_by_name(wanted->name);
  Json json = {{"token", std::move(*token)}};
  if (made) json.update(to_json(*made));
  Response response = http::json_response(201, json.dump());
  response.headers.set("Location", "/api/v1/tokens/" + wanted->name);
  return response;
}

Response list(Access& access) {
  Json tokens = Json::array();
  for (const Token& token : access.tokens().list()) tokens.push_back(to_json(token));
  return http::json_response(200, Json{{"tokens", std::move(tokens)}}.dump());
}

Response revoke(Access& access, const Request& request) {
  const auto revoked = access.tokens().revoke(request.path_value("name"), author_of(request), access.now());
  if (!revoked) return refused(revoked.error());
  Response response;
  response.status = 204;
  return response;
}

Response whoami(const Request& request) {
  const Identity& who = *identity_of(request);
  const Json json = {{"name", who.name},
                     {"role", config::name(who.role)},
                     {"row_filter", who.row_filter},
                     {"expires_at", time_or_null(who.expires_at)},
                     {"by", name(who.by)}};
  return http::json_response(200, json.dump());
}

}  // namespace

void add_access_routes(http::Router& router, Access& access) {
  using http::Method;
  constexpr size_t kBodyOctetsMax = 16 << 10;
  router.add({.method = Method::kGet,
              .pattern = "/api/v1/tokens",
              .handler = [&access](const Request&) { return list(access); },
              .role = kAdmin,
              .name = "list_tokens"});
  router.add({.method = Method::kPost,
              .pattern = "/api/v1/tokens",
              .handler = [&access](const Request& request) { return create(access, request); },
              .role = kAdmin,
              .name = "create_token",
              .body_octets_max = kBodyOctetsMax});
  router.add({.method = Method::kDelete,
              .pattern = "/api/v1/tokens/{name}",
              .handler = [&access](const Request& request) { return revoke(access, request); },
              .role = kAdmin,
              .name = "revoke_token"});
  router.add({.method = Method::kGet,
              .pattern = "/api/v1/whoami",
              .handler = [](const Request& request) { return whoami(request); },
              .role = kViewer | kHeedsRowFilter,
              .name = "whoami"});
}

}  // namespace backstream::service
