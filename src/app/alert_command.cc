// backstream alert: what fires, and who is told.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/service_client.h"
#include "base/time.h"
#include "http/url.h"

namespace backstream::app {
namespace {

using nlohmann::json;

constexpr std::string_view kAbout =
    "Alerts: rows of rules, which are views with \"alert.…\" options (docs/alerts.md).\n\n"
    "  backstream alert list                                  what is pending, fires or recovers\n"
    "  backstream alert show ID                               all of one\n"
    "  backstream alert ack ID --comment \"looking at it\"      somebody looks after it\n"
    "  backstream alert silence ddos --for 2h                 no notices of a rule; --key \"dst_ip=192.0.2.1\" of one "
    "key\n"
    "  backstream alert unsilence ID                          ends that\n"
    "  backstream alert test [ENDPOINT]                       a real notice, marked as a test\n\n"
    "It has --help. Exit codes of test: 0 all took it, 1 one did not.\n";

std::string value_of(const json& alert) {
  const std::string column = text_of(alert, "value_column"), value = text_of(alert, "value");
  return column.empty() ? value : column + " = " + (value.empty() ? "unknown" : value);
}

int list(const Arguments& arguments) {
  ServiceOptions service;
  std::string output = "table";
  CLI::App app(
      "What is pending, fires or recovers, the silences, and endpoints that fail.\n\n"
      "  backstream alert list",
      "backstream alert list");
  app.add_option("-o,--output", output, "table or json")->check(CLI::IsMember({"table", "json"}))->type_name("FORMAT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->get("/api/v1/alerts");
  if (!answer) return complain(answer.error());
  if (output == "json") return write_document(*answer);
  std::string text;
  std::vector<std::vector<std::string>> rows = {{"id", "state", "severity", "alert", "key", "value", "since", "notes"}};
  for (const json& alert : list_of(*answer, "alerts")) {
    std::string notes;
    const auto note = [&](bool is, std::string_view word) {
      if (is) notes.append(notes.empty() ? "" : ", ").append(word);
    };
    note(text_of(alert, "silenced") == "true", "silenced");
    note(!text_of(list_of(alert, "acknowledged"), "by").empty(),
         "acknowledged by " + text_of(list_of(alert, "acknowledged"), "by"));
    note(text_of(alert, "complete") == "false", "not complete");
    const uint64_t more = count_of(alert, "more");
    rows.push_back({text_of(alert, "id"), text_of(alert, "state"), text_of(alert, "severity"), text_of(alert, "alert"),
                    more == 0 ? text_of(alert, "key_text") : fmt::format("and {} more", more), value_of(alert),
                    short_time(text_of(alert, "starts_at")), notes});
  }
  text +=
      rows.size() == 1 ? fmt::format("nothing fires ({} rules)\n", list_of(*answer, "rules").size()) : text_table(rows);
  std::vector<std::vector<std::string>> silences = {{"silence", "alert", "key", "until", "by", "comment"}};
  for (const json& silence : list_of(*answer, "silences"))
    silences.push_back({text_of(silence, "id"), text_of(silence, "alert"), text_of(silence, "key"),
                        short_time(text_of(silence, "until")), text_of(silence, "author"),
                        text_of(silence, "comment")});
  if (silences.size() > 1) text += "\n" + text_table(silences);
  for (const json& endpoint : list_of(*answer, "endpoints")) {
    if (text_of(endpoint, "failing_since").empty()) continue;
    text += fmt::format("\nendpoint '{}' does not take notices since {}: {} ({} waiting)\n",
                        printable(text_of(endpoint, "name")), short_time(text_of(endpoint, "failing_since")),
                        printable(text_of(endpoint, "error")), text_of(endpoint, "waiting"));
  }
  return write_out(text);
}

int show(const Arguments& arguments) {
  ServiceOptions service;
  std::string id;
  CLI::App app(
      "All that is known of an alert, as JSON.\n\n"
      "  backstream alert show 5f0c1d2e3b4a5968",
      "backstream alert show");
  app.add_option("ID", id, "as in backstream alert list")->required()->type_name("");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->get("/api/v1/alerts/" + http::percent_encode(id));
  if (!answer) return complain(answer.error());
  return write_document(*answer);
}

int acknowledge(const Arguments& arguments) {
  ServiceOptions service;
  std::string id, comment;
  CLI::App app(
      "Says that you look after an alert. Others see it; notices go on as before.\n\n"
      "  backstream alert ack 5f0c1d2e3b4a5968 --comment \"looking at it\"",
      "backstream alert ack");
  app.add_option("ID", id, "as in backstream alert list")->required()->type_name("");
  app.add_option("--comment", comment, "for others")->type_name("TEXT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->post("/api/v1/alerts/" + http::percent_encode(id) + "/ack", {{"comment", comment}});
  if (!answer) return complain(answer.error());
  return write_out(fmt::format("acknowledged: {}\n", printable(text_of(*answer, "title"))));
}

int silence(const Arguments& arguments) {
  ServiceOptions service;
  std::string rule, key, duration, comment;
  CLI::App app(
      "No notices of a rule, or of one key of it, for a while. States go on; what fires when the silence ends is told\n"
      "then. That something has ended is told where it was told that it fires.\n\n"
      "  backstream alert silence ddos --for 2h --comment \"maintenance\"\n"
      "  backstream alert silence ddos --key \"dst_ip=192.0.2.1\" --for 30min\n"
      "  backstream alert silence '*' --for 10min",
      "backstream alert silence");
  app.add_option("ALERT", rule, "the rule; '*' is all")->required()->type_name("");
  app.add_option("--for", duration, "how long: 30min, 2h, 7d")->required()->type_name("DURATION");
  app.add_option("--key", key, "one key, as backstream alert list shows it")->type_name("KEY");
  app.add_option("--comment", comment, "for others")->type_name("TEXT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto lasts = base::parse_duration(duration);
  if (!lasts || *lasts < base::kMicrosPerSecond)
    return misused(fmt::format("'{}' is no duration", duration), "--for 30min, 2h, 7d");
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer =
      client->post("/api/v1/silences",
                   {{"alert", rule}, {"key", key}, {"seconds", *lasts / base::kMicrosPerSecond}, {"comment", comment}});
  if (!answer) return complain(answer.error());
  return write_out(fmt::format("silence {}: {} until {}\n", text_of(*answer, "id"), printable(rule),
                               short_time(text_of(*answer, "until"))));
}

int unsilence(const Arguments& arguments) {
  ServiceOptions service;
  std::string id;
  CLI::App app(
      "Ends a silence.\n\n"
      "  backstream alert unsilence 1769860800",
      "backstream alert unsilence");
  app.add_option("ID", id, "as in backstream alert list")->required()->type_name("");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->remove("/api/v1/silences/" + http::percent_encode(id));
  if (!answer) return complain(answer.error());
  return write_out(fmt::format("silence {} is over\n", printable(id)));
}

int test(const Arguments& arguments) {
  ServiceOptions service;
  std::string endpoint, rule;
  CLI::App app(
      "Sends a notice that is marked as a test on the way that all notices take, and says what became of it.\n\n"
      "  backstream alert test chat\n"
      "  backstream alert test --alert ddos        to the endpoints of a rule, with its severity and labels",
      "backstream alert test");
  app.add_option("ENDPOINT", endpoint, "NAME of a section [notify.NAME] (default: all)")->type_name("");
  app.add_option("--alert", rule, "a rule")->type_name("NAME");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->post("/api/v1/alerts/test", {{"endpoint", endpoint}, {"alert", rule}});
  if (!answer) return complain(answer.error());
  bool all = true;
  std::string text;
  for (const json& result : list_of(*answer, "results")) {
    const std::string error = text_of(result, "error");
    all = all && text_of(result, "result") == "delivered";
    text += fmt::format("{}: {}{}{}\n", printable(text_of(result, "endpoint")), text_of(result, "result"),
                        error.empty() ? "" : ", ", printable(error));
  }
  const int code = write_out(text);
  return code != kExitOk || all ? code : kExitFailure;
}

}  // namespace

int alert_command(const Arguments& arguments) {
  constexpr Subcommand kSubcommands[] = {{"list", list},       {"show", show},           {"ack", acknowledge},
                                         {"silence", silence}, {"unsilence", unsilence}, {"test", test}};
  return run_subcommand("alert", kAbout, kSubcommands, arguments);
}

}  // namespace backstream::app
