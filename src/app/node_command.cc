// What a running server knows of nodes and exporters.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/exporters_of_server.h"
#include "app/service_client.h"
#include "http/url.h"

namespace backstream::app {
namespace {

using nlohmann::json;

constexpr std::string_view kAbout =
    "The processes that make up an installation.\n\n"
    "  backstream node list        all of them, what each does and whether it is there\n"
    "  backstream node drain NAME  takes one out of use: it ends, and nobody waits for it any more\n\n"
    "It has --help.\n";

std::string joined(const json& list) {
  std::string text;
  for (const json& one : list) {
    if (one.is_string()) text.append(text.empty() ? "" : ",").append(one.get<std::string>());
  }
  return text;
}

int list(const Arguments& arguments) {
  ServiceOptions service;
  std::string output = "table";
  CLI::App app(
      "All nodes, what each does and whether it is there.\n\n"
      "  backstream node list",
      "backstream node list");
  app.add_option("-o,--output", output, "table or json")->check(CLI::IsMember({"table", "json"}))->type_name("FORMAT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->get("/api/v1/nodes");
  if (!answer) return complain(answer.error());
  if (output == "json") return write_document(*answer);
  std::vector<std::vector<std::string>> rows = {{"name", "site", "roles", "state"}};
  for (const json& node : list_of(*answer, "nodes"))
    rows.push_back(
        {text_of(node, "name"), text_of(node, "site"), joined(list_of(node, "roles")), text_of(node, "state")});
  return write_out(text_table(rows));
}

int drain(const Arguments& arguments) {
  ServiceOptions service;
  std::string name;
  CLI::App app(
      "Takes a node out of use. An edge sends what it has open, a merge worker leaves its work to the others; then "
      "its\n"
      "process ends, if it runs. Windows wait for an edge that was drained no longer than for one that is absent\n"
      "(merge.absent_after), and are final without it. Starting it again takes it back.\n\n"
      "  backstream node drain ams1",
      "backstream node drain");
  app.add_option("NAME", name, "as in backstream node list")->required()->type_name("");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->post("/api/v1/nodes/" + http::percent_encode(name) + "/drain", json::object());
  if (!answer) return complain(answer.error());
  return write_out(fmt::format("node '{}' is drained\n", name));
}

/// "1000", "1000 to 4000", "unknown".
std::string sampling_text(const json& sampling) {
  const std::string least = text_of(sampling, "min"), most = text_of(sampling, "max");
  std::string text = least == most ? least : fmt::format("{} to {}", least, most);
  if (text_of(sampling, "unknown") == "true") text += text.empty() ? "unknown" : ", in part unknown";
  return text;
}

}  // namespace

int exporters_of_server(const Arguments& arguments) {
  ServiceOptions service;
  std::string output = "table";
  CLI::App app(
      "All exporters that a running server knows, with their health. With --pcap or --listen: those of that input.\n\n"
      "  backstream exporter list\n"
      "  backstream exporter list --pcap mine.pcap --help",
      "backstream exporter list");
  app.add_option("-o,--output", output, "table or json")->check(CLI::IsMember({"table", "json"}))->type_name("FORMAT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->get("/api/v1/exporters");
  if (!answer) return complain(answer.error());
  if (output == "json") return write_document(*answer);
  std::vector<std::vector<std::string>> rows = {
      {"address", "site", "state", "protocols", "datagrams", "flows", "missing", "rejected", "sampling", "last_seen"}};
  for (const json& exporter : list_of(*answer, "exporters")) {
    std::string protocols = text_of(exporter, "protocols");
    if (protocols.empty()) protocols = joined(list_of(exporter, "protocols"));
    rows.push_back({text_of(exporter, "address"), text_of(exporter, "site"), text_of(exporter, "state"), protocols,
                    text_of(exporter, "datagrams"), text_of(exporter, "flows"), text_of(exporter, "missing"),
                    text_of(exporter, "rejected"), sampling_text(list_of(exporter, "sampling")),
                    short_time(text_of(exporter, "last_seen"))});
  }
  if (rows.size() == 1) return write_out("nobody has sent anything yet: backstream exporter snippet --help\n");
  return write_out(text_table(rows));
}

int node_command(const Arguments& arguments) {
  constexpr Subcommand kSubcommands[] = {{"list", list}, {"drain", drain}};
  return run_subcommand("node", kAbout, kSubcommands, arguments);
}

}  // namespace backstream::app
