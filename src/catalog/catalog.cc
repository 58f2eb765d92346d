#include "catalog/catalog.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

namespace backstream::catalog {
namespace {

using base::fail;
using Json = nlohmann::ordered_json;

constexpr std::string_view kKindNames[kKindCount] = {"query", "table", "node",  "placement",
                                                     "sink",  "alert", "token", "service"};
constexpr std::string_view kFormat = "backstream catalog";
constexpr int kFormatVersion = 1;

bool travels(Kind kind) { return kind != Kind::kToken; }

}  // namespace

std::string_view name(Kind kind) { return kKindNames[static_cast<size_t>(kind)]; }

std::optional<Kind> kind_of(std::string_view name) {
  for (size_t kind = 0; kind < kKindCount; ++kind) {
    if (kKindNames[kind] == name) return static_cast<Kind>(kind);
  }
  return std::nullopt;
}

bool is_body(std::string_view json) {
  return json.size() <= kBodyOctetsMax && json.find_first_not_of(" \n\r\t") != std::string_view::npos &&
         json[json.find_first_not_of(" \n\r\t")] == '{' && Json::accept(json);
}

Result<std::string> export_document(Catalog& catalog) {
  Json objects = Json::array(), versions = Json::array();
  for (size_t k = 0; k < kKindCount; ++k) {
    const auto kind = static_cast<Kind>(k);
    if (!travels(kind)) continue;
    const auto listed = catalog.list(kind);
    if (!listed) return tl::unexpected(listed.error());
    for (const Object& object : *listed) {
      objects.push_back({{"kind", name(kind)},
                         {"name", object.name},
                         {"version", object.version},
                         {"changed_at", base::format_rfc3339(object.changed_at)},
                         {"body", Json::parse(object.body)}});
      const auto history = catalog.history(kind, object.name, kVersionsKept);
      if (!history) return tl::unexpected(history.error());
      for (const Version& version : *history) {
        versions.push_back({{"kind", name(kind)},
                            {"name", object.name},
                            {"incarnation", version.incarnation.value},
                            {"version", version.version},
                            {"at", base::format_rfc3339(version.at)},
                            {"author", version.author},
                            {"body", Json::parse(version.body)}});
      }
    }
  }
  const Json document = {{"format", kFormat},
                         {"version", kFormatVersion},
                         {"revision", catalog.revision().value},
                         {"objects", std::move(objects)},
                         {"versions", std::move(versions)}};
  return document.dump(2) + "\n";
}

Result<size_t> import_document(Catalog& catalog, std::string_view json, const Author& author, Micros now) {
  const auto malformed = [&](std::string message, size_t octet = 0) {
    auto diagnostic = fail("22P02", std::move(message), {static_cast<uint32_t>(octet), 0},
                           "give what 'backstream catalog export' wrote");
    if (octet > 0) base::locate(diagnostic.value(), "", json);
    return diagnostic;
  };
  Json document;
  try {
    document = Json::parse(json);
  } catch (const Json::parse_error& error) {
    return malformed("the document is not JSON", error.byte == 0 ? 0 : error.byte - 1);
  }
  try {
    if (!document.is_object() || document.value("format", "") != kFormat)
      return malformed("this is no export of a catalog");
    if (document.at("version").get<int>() != kFormatVersion)
      return malformed(
          fmt::format("the export has format {}, known is {}", document.at("version").dump(), kFormatVersion));
    std::vector<Change> changes;
    for (const Json& object : document.at("objects")) {
      const auto kind = kind_of(object.at("kind").get<std::string>());
      if (!kind || !travels(*kind))
        return malformed(fmt::format("there are no objects of kind {}", object.at("kind").dump()));
      if (*kind == Kind::kNode) continue;  // They are in an export to see; each tells the catalog of itself.
      Change change;
      change.kind = *kind;
      change.name = object.at("name").get<std::string>();
      change.body = object.at("body").dump();
      change.verb = "import";
      changes.push_back(std::move(change));
    }
    for (size_t k = 0; k < kKindCount; ++k) {
      // Whoever imports over HTTP has a token, and the node that he asks is there.
      if (!travels(static_cast<Kind>(k)) || static_cast<Kind>(k) == Kind::kNode) continue;
      const auto listed = catalog.list(static_cast<Kind>(k));
      if (!listed) return tl::unexpected(listed.error());
      if (!listed->empty())
        return fail("55000", "the catalog is not empty", {},
                    "an export is imported into a new catalog: move the old file away first");
    }
    const auto applied = catalog.apply(changes, author, now);
    if (!applied) return tl::unexpected(applied.error());
    return changes.size();
  } catch (const Json::exception&) {
    return malformed("the export lacks something, or has it in another form");
  }
}

}  // namespace backstream::catalog
