#include "app/query_deploy.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "app/commands.h"
#include "app/service_client.h"
#include "borealis/deploy.h"
#include "borealis/document.h"

namespace backstream::app {
namespace {

using nlohmann::json;

base::Result<borealis::Deployment> read_deploy_file(const std::string& text) {
  const auto document = borealis::read_document(text);
  if (!document) return tl::unexpected(document.error());
  return borealis::read_deployment(*document);
}

struct Edits {
  json edits = json::array();
  std::vector<SentText> texts;  ///< views of the plan
};

Edits edits_of(const DeployPlan& plan, const std::string& comment) {
  Edits made;
  for (const DeployPlan::Query& query : plan.queries) {
    if (!query.is_changed) continue;
    made.texts.push_back({query.name, query.name, query.text});
    made.edits.push_back({{"action", "alter"},
                          {"name", query.name},
                          {"text", query.text},
                          {"source", query.name},
                          {"expected", query.revision}});
    if (!comment.empty()) made.edits.back()["comment"] = comment;
  }
  return made;
}

/// What the server says of a query's text is told where the file asks for it.
ServiceError at_its_place(ServiceError error, const DeployPlan& plan, const std::string& file,
                          const std::string& text) {
  const auto query = std::find_if(plan.queries.begin(), plan.queries.end(), [&](const DeployPlan::Query& one) {
    return one.is_changed && one.name == error.source_name;
  });
  if (query == plan.queries.end()) return error;
  error.message = fmt::format("query '{}' cannot be placed so: {}", printable(query->name), error.message);
  error.span = query->place;
  base::locate(error, file, text);
  return error;
}

/// Those of the whole plan: what was not sent is as it was.
json done_of(const DeployPlan& plan, const json& done) {
  json all = json::array();
  for (const DeployPlan::Query& query : plan.queries) {
    json one = {{"name", query.name}, {"verb", "unchanged"}, {"also", json::array()}};
    for (const json& told : list_of(done, "done")) {
      if (text_of(told, "name") == query.name) one = told;
    }
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace

std::string deploy_report(const DeployPlan& plan, const json& done, bool dry_run) {
  // A header makes the table; people need none here.
  std::vector<std::vector<std::string>> lines(1, std::vector<std::string>(4));
  size_t altered = 0;
  const json all = done_of(plan, done);
  for (size_t i = 0; i < plan.queries.size(); ++i) {
    const std::string verb = text_of(all[i], "verb");
    if (verb != "unchanged") ++altered;
    std::string also;
    for (const json& reader : list_of(all[i], "also")) {
      if (reader.is_string())
        also.append(also.empty() ? "starts anew with it: " : ", ").append(reader.get<std::string>());
    }
    lines.push_back({verb, plan.queries[i].name, plan.queries[i].placement, also});
  }
  std::string text;
  if (lines.size() > 1) {
    text = text_table(lines);
    text.erase(0, text.find('\n') + 1);
  }
  const size_t unchanged = plan.queries.size() - altered;
  if (altered == 0) {
    text += fmt::format("nothing to change: {} {} as the file says\n", unchanged,
                        unchanged == 1 ? "query is" : "queries are");
  } else {
    text += fmt::format("{}{} altered, {} unchanged\n", dry_run ? "would be: " : "", altered, unchanged);
  }
  for (const std::string& note : plan.notes) text += printable(note) + '\n';
  return text;
}

int query_deploy(const Arguments& arguments) {
  ServiceOptions service;
  std::string file, comment, output = "table";
  bool dry_run = false;
  CLI::App app(
      "Has registered queries run on the nodes that a deploy file of Borealis names: their texts get the options "
      "`sites`\n"
      "and `placement`, all or none, as `query move` sets them. Queries that it does not name stay as they are.\n\n"
      "  backstream query deploy where.xml --dry-run\n\n"
      "  <deploy> <node endpoint=\"ams\" query=\"traffic_matrix\"/> <node endpoint=\"merge-1\" query=\"port_sweep\"/> "
      "</deploy>",
      "backstream query deploy");
  app.add_option("FILE", file, "the deploy file; - is standard input")->required()->type_name("FILE.xml");
  app.add_flag("--dry-run", dry_run, "say what would be done, and check it; change nothing");
  app.add_option("--comment", comment, "what they are for, of queries that change")->type_name("TEXT");
  app.add_option("-o,--output", output, "table or json")->check(CLI::IsMember({"table", "json"}))->type_name("FORMAT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto text = read_text_file(file);
  if (!text) return complain(ServiceError(text.error()));
  const auto located = [&](base::Diagnostic error) {
    base::locate(error, file, *text);
    return complain(ServiceError(std::move(error)));
  };
  const auto deployment = read_deploy_file(*text);
  if (!deployment) return located(deployment.error());
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto nodes = client->get("/api/v1/nodes");
  if (!nodes) return complain(nodes.error());
  const auto queries = client->get("/api/v1/queries");
  if (!queries) return complain(queries.error());
  const auto plan = plan_deploy(*deployment, *nodes, *queries);
  if (!plan) return located(plan.error());
  const Edits changes = edits_of(*plan, comment);
  json done;
  if (!changes.edits.empty()) {
    auto answer = client->post("/api/v1/apply", {{"edits", changes.edits}, {"dry_run", dry_run}}, changes.texts);
    if (!answer) return complain(at_its_place(std::move(answer.error()), *plan, file, *text));
    done = std::move(*answer);
  }
  return output == "json" ? write_document({{"done", done_of(*plan, done)}})
                          : write_out(deploy_report(*plan, done, dry_run));
}

}  // namespace backstream::app
