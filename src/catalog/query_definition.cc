#include "catalog/query_definition.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

namespace backstream::catalog {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kStateNames[] = {"running", "paused", "failed"};

}  // namespace

std::string_view name(QueryState state) { return kStateNames[static_cast<size_t>(state)]; }

std::string to_body(const QueryDefinition& definition) {
  Json body = {{"text", definition.text},
               {"owner", definition.owner},
               {"comment", definition.comment},
               {"state", name(definition.state)}};
  if (!definition.reason.empty()) body["reason"] = definition.reason;
  if (definition.until != 0) body["until"] = definition.until;
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<QueryDefinition> query_of(const Object& object) {
  try {
    const Json body = Json::parse(object.body);
    QueryDefinition definition;
    definition.text = body.at("text").get<std::string>();
    definition.owner = body.value("owner", "");
    definition.comment = body.value("comment", "");
    definition.reason = body.value("reason", "");
    definition.until = body.value("until", base::Micros{0});
    const auto state = body.value("state", "running");
    for (size_t s = 0; s < std::size(kStateNames); ++s) {
      if (kStateNames[s] != state) continue;
      definition.state = static_cast<QueryState>(s);
      return definition;
    }
  } catch (const Json::exception&) {
  }
  return base::fail("XX001", fmt::format("the definition of query '{}' cannot be read", object.name), {},
                    "drop it, or define it anew");
}

}  // namespace backstream::catalog
