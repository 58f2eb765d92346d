// backstream token: who may ask the server over HTTP.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/service_client.h"
#include "base/time.h"
#include "http/url.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

using nlohmann::json;

constexpr std::string_view kAbout =
    "Who may ask the server over HTTP: tokens, for programs and for people (docs/security.md).\n\n"
    "  backstream token create grafana --role viewer --expires 90d --out grafana.token\n"
    "  backstream token create ams --filter \"site = 'ams'\"         a viewer who sees these rows only\n"
    "  backstream token list\n"
    "  backstream token revoke grafana\n\n"
    "Only admins may: from the server's own machine where it asks nobody, else with an admin's token\n"
    "(--token-file), such as that of access.admin_token_file.\n\n"
    "Exit codes: 0 done; 1 a file or the server failed; 2 wrong flags; 3 a filter or value that was refused;\n"
    "4 the server is not there; 5 not signed in, or not allowed; 6 no such token; 7 no answer in time.\n";

/// Nothing when the flags could be read.
std::optional<int> parse(CLI::App& app, ServiceOptions& service, const Arguments& arguments) {
  add_service_flags(app, service);
  return parse_arguments(app, arguments);
}

/// A new file that only its owner reads. It is made before a token is, which would be lost without it.
class TokenFile {
 public:
  ~TokenFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    if (!kept_) ::unlink(path_.c_str());
  }
  bool open(const std::string& path) {
    path_ = path;
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return descriptor_ >= 0;
  }
  bool keep(const std::string& line) {
    kept_ = ::write(descriptor_, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
            ::fsync(descriptor_) == 0;
    return kept_;
  }

 private:
  std::string path_;
  int descriptor_ = -1;
  bool kept_ = false;
};

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

struct Wanted {
  std::string name, role = "viewer", expires = "90d", filter, out;
};

int create(const Wanted& wanted, const ServiceOptions& service) {
  const auto lifetime = base::parse_duration(wanted.expires);
  if (!lifetime || *lifetime < base::kMicrosPerSecond)
    return misused(fmt::format("'{}' is no duration", wanted.expires), "--expires 90d, 12h");
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  TokenFile file;
  if (!wanted.out.empty() && !file.open(wanted.out)) {
    telemetry::terminal_log().error(fmt::format("cannot make '{}': {}", wanted.out, std::strerror(errno)));
    return kExitFailure;
  }
  json body = {
      {"name", wanted.name}, {"role", wanted.role}, {"expires_in_seconds", *lifetime / base::kMicrosPerSecond}};
  if (!wanted.filter.empty()) body["row_filter"] = wanted.filter;
  const SentText texts[] = {{"row filter", "--filter", wanted.filter}};
  const auto made = client->post("/api/v1/tokens", body, texts);
  if (!made) return complain(made.error());
  const std::string token = text_of(*made, "token");
  std::string about = fmt::format("token '{}': {} until {}", text_of(*made, "name"), text_of(*made, "role"),
                                  text_of(*made, "expires_at"));
  if (!wanted.filter.empty()) about += fmt::format(", rows where {}", wanted.filter);
  if (!wanted.out.empty()) {
    if (!file.keep(token + "\n")) {
      telemetry::terminal_log().error(
          fmt::format("cannot write '{0}': {1}\nhint: backstream token revoke {2}, and make it anew", wanted.out,
                      std::strerror(errno), wanted.name));
      return kExitFailure;
    }
    telemetry::terminal_log().line(fmt::format("{}; it is in {}", about, wanted.out));
    return kExitOk;
  }
  telemetry::terminal_log().line(about + "; it is shown this once");
  return write_out(token + "\n");
}

/// Columns for people; the last one is as long as it is.
std::string as_table(const json& tokens) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "ROLE", "EXPIRES", "LAST USED", "ROWS"}};
  for (const json& token : tokens) {
    if (!token.is_object()) continue;
    const std::string used = text_of(token, "last_used_at"), filter = text_of(token, "row_filter");
    rows.push_back({text_of(token, "name"), text_of(token, "role"), text_of(token, "expires_at"),
                    used.empty() ? "never" : used, filter.empty() ? "all" : filter});
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t c = 0; c + 1 < row.size(); ++c) {
      size_t width = 0;
      for (const auto& other : rows) width = std::max(width, other[c].size());
      text += fmt::format("{:<{}}  ", row[c], width);
    }
    for (const char c : row.back()) text += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
    text += '\n';
  }
  return text;
}

int list(const std::string& format, const ServiceOptions& service) {
  if (format != "table" && format != "json")
    return misused(fmt::format("'{}' is no output format", format), "-o table or json");
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->get("/api/v1/tokens");
  if (!answer) return complain(answer.error());
  const json tokens = answer->is_object() ? answer->value("tokens", json::array()) : json::array();
  return write_out(format == "json" ? tokens.dump(2) + "\n" : as_table(tokens));
}

int revoke(const std::string& name, const ServiceOptions& service) {
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->remove("/api/v1/tokens/" + http::percent_encode(name));
  if (!answer) {
    ServiceError error = answer.error();
    if (error.status == 404 && error.hint.empty()) error.hint = "backstream token list shows those that there are";
    return complain(error);
  }
  telemetry::terminal_log().line(fmt::format("token '{}' is revoked", name));
  return kExitOk;
}

int create_command(const Arguments& arguments) {
  Wanted wanted;
  ServiceOptions service;
  CLI::App app(
      "Makes a token and prints it, this once, alone on standard output.\n\n"
      "  backstream token create grafana --out grafana.token\n"
      "  backstream token create ci --role operator --expires 30d > ci.token\n"
      "  backstream token create ams --filter \"site IN ('ams', 'fra')\"\n",
      "backstream token create");
  app.add_option("NAME", wanted.name, "what lists and the audit call it")->required();
  app.add_option("--role", wanted.role, "viewer (default), operator or admin")->type_name("ROLE");
  app.add_option("--expires", wanted.expires, "when it stops to work (default 90d)")->type_name("DURATION");
  app.add_option("--filter", wanted.filter, "a viewer sees rows of results only where this is true")->type_name("SQL");
  app.add_option("--out", wanted.out, "a new file for it, that nobody else reads (mode 0600)")->type_name("FILE");
  if (const auto code = parse(app, service, arguments)) return *code;
  return create(wanted, service);
}

int list_command(const Arguments& arguments) {
  std::string format = "table";
  ServiceOptions service;
  CLI::App app(
      "Tokens, without themselves: roles, when they expire and when they were used last.\n\n"
      "  backstream token list\n"
      "  backstream token list -o json | jq -r '.[] | select(.last_used_at == null).name'\n",
      "backstream token list");
  app.add_option("-o,--output", format, "table (default) or json")->type_name("FORMAT");
  if (const auto code = parse(app, service, arguments)) return *code;
  return list(format, service);
}

int revoke_command(const Arguments& arguments) {
  std::string name;
  ServiceOptions service;
  CLI::App app("Ends a token at once.\n\n  backstream token revoke grafana\n", "backstream token revoke");
  app.add_option("NAME", name, "of the token")->required();
  if (const auto code = parse(app, service, arguments)) return *code;
  return revoke(name, service);
}

}  // namespace

int token_command(const std::vector<std::string>& arguments) {
  constexpr Subcommand kSubcommands[] = {
      {"create", create_command}, {"list", list_command}, {"revoke", revoke_command}};
  return run_subcommand("token", kAbout, kSubcommands, arguments);
}

}  // namespace backstream::app
