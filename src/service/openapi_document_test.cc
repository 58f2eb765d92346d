#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <sstream>

#include "service/openapi.h"
#include "service/openapi_test.h"

namespace backstream::service {
namespace {

using nlohmann::json;

const json& document() {
  static const json kDocument = json::parse(openapi_document(), nullptr, false);
  return kDocument;
}

void for_each_operation(
    const std::function<void(const std::string& path, const json& item, const json& operation)>& visit) {
  for (const auto& [path, item] : document()["paths"].items()) {
    for (const auto& [key, operation] : item.items())
      if (openapi_methods().contains(key)) visit(path, item, operation);
  }
}

const json& resolved(const json& node) {
  if (!node.contains("$ref")) return node;
  return document().at(json::json_pointer(node["$ref"].get<std::string>().substr(1)));
}

TEST(OpenApi, IsTheFileOfTheDocs) {
  std::ifstream in(std::string(BACKSTREAM_SOURCE_DIR) + "/docs/openapi.json");
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(openapi_document(), text.str());
  ASSERT_FALSE(document().is_discarded());
  EXPECT_EQ(document()["openapi"], "3.1.0");
}

TEST(OpenApi, ReferencesLeadSomewhereAndAllThatIsThereIsUsed) {
  std::set<std::string> used;
  const std::function<void(const json&)> walk = [&](const json& node) {
    if (node.is_object() && node.contains("$ref")) {
      const std::string reference = node["$ref"];
      used.insert(reference);
      EXPECT_TRUE(reference.starts_with("#/components/")) << reference;
      EXPECT_TRUE(document().contains(json::json_pointer(reference.substr(1)))) << reference;
    }
    if (node.is_structured())
      for (const json& child : node) walk(child);
  };
  walk(document());
  for (const char* const kind : {"schemas", "responses", "parameters"}) {
    for (const auto& [name, component] : document()["components"][kind].items())
      EXPECT_TRUE(used.contains(std::string("#/components/") + kind + "/" + name)) << name << " is used nowhere";
  }
}

TEST(OpenApi, OperationsAreComplete) {
  std::set<std::string> ids;
  size_t count = 0;
  for_each_operation([&](const std::string& path, const json& item, const json& operation) {
    ++count;
    const std::string id = operation.value("operationId", "");
    EXPECT_TRUE(!id.empty() && ids.insert(id).second) << path << " " << id;
    EXPECT_NE(operation.value("summary", ""), "") << id;
    const std::string role = operation.value("x-role", "");
    EXPECT_TRUE(role == "nobody" || role == "viewer" || role == "operator" || role == "admin") << id;
    EXPECT_EQ(operation.contains("security"), role == "nobody") << id;
    // What stands in braces is told, and nothing else.
    std::set<std::string> braces, told;
    for (size_t at = path.find('{'); at != std::string::npos; at = path.find('{', at + 1))
      braces.insert(path.substr(at + 1, path.find('}', at) - at - 1));
    for (const json& from : {item.value("parameters", json::array()), operation.value("parameters", json::array())}) {
      for (const json& one : from) {
        const json& parameter = resolved(one);
        if (parameter["in"] == "path") told.insert(parameter["name"].get<std::string>());
        EXPECT_TRUE(parameter.contains("schema")) << id;
      }
    }
    EXPECT_EQ(braces, told) << path;
    // One good answer at least; errors are problem documents, but where a probe wants text.
    bool good = false;
    for (const auto& [status, answer] : operation["responses"].items()) {
      good |= status[0] == '2';
      const json& response = resolved(answer);
      EXPECT_NE(response.value("description", ""), "") << id << " " << status;
      if (status[0] == '2' || id == "ready") continue;
      EXPECT_EQ(response["content"]["application/problem+json"]["schema"]["$ref"], "#/components/schemas/Problem")
          << id << " " << status;
    }
    EXPECT_TRUE(good) << id;
    EXPECT_EQ(operation["responses"].contains("401"), role != "nobody") << id;
  });
  EXPECT_GT(count, 30U);
}

TEST(OpenApi, SchemasRequireOnlyWhatTheyHave) {
  const std::function<void(const json&, const std::string&)> walk = [&](const json& node, const std::string& where) {
    if (node.is_object() && node.contains("required") && node["required"].is_array()) {
      for (const json& name : node["required"])
        EXPECT_TRUE(node["properties"].contains(name.get<std::string>())) << where << " " << name;
    }
    if (node.is_object())
      for (const auto& [key, child] : node.items()) walk(child, where + "/" + key);
  };
  walk(document()["components"]["schemas"], "");
}

http::Router router_of_the_document() {
  const std::map<std::string, uint32_t> kRoles = {{"nobody", 0}, {"viewer", 1}, {"operator", 2}, {"admin", 3}};
  http::Router router;
  for (const auto& [path, item] : document()["paths"].items()) {
    for (const auto& [key, operation] : item.items()) {
      const auto method = openapi_methods().find(key);
      if (method == openapi_methods().end()) continue;
      const uint32_t heeds = operation.value("x-row-filter", false) ? kHeedsRowFilter : 0;
      router.add({.method = method->second,
                  .pattern = path,
                  .handler = [](const http::Request&) { return http::Response{}; },
                  .role = kRoles.at(operation["x-role"]) | heeds,
                  .name = operation["operationId"]});
    }
  }
  return router;
}

TEST(OpenApi, DifferencesAreFoundBothWays) {
  const auto handler = [](const http::Request&) { return http::Response{}; };
  http::Router equal = router_of_the_document();
  equal.add({.pattern = "/console/{file...}", .handler = handler});
  EXPECT_EQ(openapi_differences(equal), std::vector<std::string>{});

  http::Router more = router_of_the_document();
  more.add({.method = http::Method::kPost, .pattern = "/api/v1/status", .handler = handler, .role = 1});
  EXPECT_EQ(openapi_differences(more),
            std::vector<std::string>{"POST /api/v1/status: there is a route, the document does not have it"});

  EXPECT_GT(openapi_differences(http::Router{}).size(), 30U);
  const std::string small = R"({"paths":{"/metrics":{"get":{"operationId":"metrics","x-role":"viewer"}},
      "/api/v1/x":{"get":{"operationId":"x","x-role":"admin"}}}})";
  http::Router other;
  other.add({.pattern = "/metrics", .handler = handler, .role = 0, .name = "metrics"});
  other.add({.pattern = "/api/v1/x", .handler = handler, .role = 1 | kHeedsRowFilter, .name = "y"});
  EXPECT_EQ(openapi_differences(other, small),
            (std::vector<std::string>{"GET /api/v1/x: role admin in the document, viewer of the route",
                                      "GET /api/v1/x: x-row-filter in the document is not as the route's",
                                      "GET /api/v1/x: operationId x in the document, y of the route"}));
}

}  // namespace
}  // namespace backstream::service
