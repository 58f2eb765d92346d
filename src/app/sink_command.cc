// Where a running server sends rows.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/service_client.h"
#include "http/url.h"

namespace backstream::app {
namespace {

using nlohmann::json;

constexpr std::string_view kAbout =
    "Where rows of queries are sent: files, databases, topics.\n\n"
    "  backstream sink list         all of them, how far each is, and what is wrong\n"
    "  backstream sink test NAME    goes the whole way to the target, and leaves no rows there\n"
    "  backstream sink replay NAME  sends again what history has\n\n"
    "A sink is made by CREATE PUBLICATION name FOR TABLE query WITH (server = '...'), and removed by DROP\n"
    "PUBLICATION, both in backstream sql. The servers are settings: [server.NAME]. Each has --help.\n";

std::string trouble_of(const json& sink) {
  if (const std::string waits = text_of(sink, "waits_for"); !waits.empty()) return waits;
  const std::string error = text_of(sink, "error");
  if (error.empty()) {
    const std::string left_out = text_of(sink, "rows_left_out");
    return left_out.empty() || left_out == "0" ? "" : "rows beyond series_max are left out: the smallest";
  }
  return text_of(sink, "state") == "failing" ? error
                                             : fmt::format("{}: {}", short_time(text_of(sink, "error_at")), error);
}

int list(const Arguments& arguments) {
  ServiceOptions service;
  std::string output = "table";
  CLI::App app(
      "All sinks. `rows` were delivered since the server's start; `behind` is since when the target lacks "
      "something.\n\n"
      "  backstream sink list",
      "backstream sink list");
  app.add_option("-o,--output", output, "table or json")->check(CLI::IsMember({"table", "json"}))->type_name("FORMAT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->get("/api/v1/sinks");
  if (!answer) return complain(answer.error());
  if (output == "json") return write_document(*answer);
  std::vector<std::vector<std::string>> rows = {
      {"name", "query", "server", "type", "state", "rows", "refused", "left out", "missed", "behind", "trouble"}};
  for (const json& sink : list_of(*answer, "sinks")) {
    const std::string behind = text_of(sink, "behind_since");
    rows.push_back({text_of(sink, "name"), text_of(sink, "query"), text_of(sink, "server"), text_of(sink, "type"),
                    text_of(sink, "state"), text_of(sink, "rows"), text_of(sink, "rows_refused"),
                    text_of(sink, "rows_left_out"), text_of(sink, "rows_missed"),
                    behind.empty() ? "" : short_time(behind), trouble_of(sink)});
  }
  if (rows.size() == 1) {
    return write_out(
        "there is none: CREATE PUBLICATION name FOR TABLE query WITH (server = '...') in backstream sql makes one\n");
  }
  return write_out(text_table(rows));
}

int test(const Arguments& arguments) {
  ServiceOptions service;
  std::string name;
  CLI::App app(
      "Goes the whole way to a sink's target: connects, signs in, looks at what is there and may be done. No rows "
      "stay.\n\n"
      "  backstream sink test matrix_out",
      "backstream sink test");
  app.add_option("NAME", name, "as in backstream sink list")->required()->type_name("");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->post("/api/v1/sinks/" + http::percent_encode(name) + "/test", json::object());
  if (!answer) return complain(answer.error());
  return write_out(fmt::format("{}: {}\n", name, printable(text_of(*answer, "found"))));
}

int replay(const Arguments& arguments) {
  ServiceOptions service;
  std::string name, from, until;
  CLI::App app(
      "Sends again what a sink has been given and history still has. A database keeps the newest revision of each "
      "row,\n"
      "so it has them once; files of a replay are files of their own, named after it.\n\n"
      "  backstream sink replay matrix_out --from 2026-01-31T12:00:00Z --until 2026-01-31T13:00:00Z",
      "backstream sink replay");
  app.add_option("NAME", name, "as in backstream sink list")->required()->type_name("");
  app.add_option("--from", from, "windows that start then or later")->type_name("TIME");
  app.add_option("--until", until, "windows that start before")->type_name("TIME");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  std::string target = "/api/v1/sinks/" + http::percent_encode(name) + "/replay";
  for (const auto& [parameter, value] : {std::pair("from", &from), {"until", &until}}) {
    if (!value->empty())
      target += fmt::format("{}{}={}", target.find('?') == std::string::npos ? '?' : '&', parameter,
                            http::percent_encode(*value));
  }
  const auto answer = client->post(target, json::object());
  if (!answer) return complain(answer.error());
  return write_out(fmt::format("'{}' sends again; backstream sink list shows how far it is\n", name));
}

}  // namespace

int sink_command(const Arguments& arguments) {
  constexpr Subcommand kSubcommands[] = {{"list", list}, {"replay", replay}, {"test", test}};
  return run_subcommand("sink", kAbout, kSubcommands, arguments);
}

}  // namespace backstream::app
