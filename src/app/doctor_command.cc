// backstream doctor: is it well, and if not, what is to be typed?
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/kafka_options.h"
#include "app/service_client.h"
#include "config/endpoint.h"
#include "config/load.h"
#include "service/doctor.h"

namespace backstream::app {
namespace {

using service::Check;
using service::CheckState;

constexpr std::string_view kAbout =
    "Is it well, and if not, what is to be typed?\n\n"
    "  backstream doctor                 asks the server; where none runs, looks at settings, ports, clock and disk\n"
    "  backstream doctor --local         before it is started: only what can be seen without it\n"
    "  backstream doctor --json | jq '.checks[] | select(.state != \"ok\")'\n\n"
    "Exit codes, as of monitoring plugins: 0 fine; 1 warnings; 2 errors, or wrong flags.\n";

struct Asked {
  ServiceOptions server;
  std::optional<std::string> config;
  Arguments assignments;
  bool json = false, local = false;
};

std::optional<int> parse(Asked& asked, const Arguments& arguments) {
  CLI::App app(std::string(kAbout), "backstream doctor");
  app.add_flag("--json", asked.json, "as JSON");
  app.add_flag("--local", asked.local, "asks no server: are the settings valid, the ports free, clock and disk good");
  add_settings_flags(app, asked.config, asked.assignments, "without a server: ");
  add_service_flags(app, asked.server);
  return parse_arguments(app, arguments);
}

std::string first_line(std::string text) { return text.substr(0, text.find('\n')); }

/// What can be seen without the server.
/// @param try_ports  the server that would have them does not run
std::vector<Check> local_checks(const Asked& asked, bool try_ports) {
  config::LoadRequest request;
  request.file = asked.config;
  request.default_file = config::kDefaultFile;
  request.environment = environ;
  request.kafka_property = kafka_property_fault;
  request.assignments = asked.assignments;
  const config::Loaded loaded = config::load(request);
  const bool valid = loaded.errors.empty();
  // Settings with mistakes say neither which ports nor which folder.
  service::DoctorInput input = service::local_facts(valid ? loaded.settings : config::Settings(), valid && try_ports);
  if (!valid) input.admission.reset(), input.exposure.reset();
  input.config.emplace(service::DoctorInput::Config{});
  input.config->files = loaded.files;
  input.config->warnings = loaded.warnings;
  for (const base::Diagnostic& error : loaded.errors) {
    const std::string hint = error.hint.empty() ? "" : fmt::format(" ({})", error.hint);
    input.config->errors.push_back(first_line(error.render()) + hint);
  }
  return service::run_checks(input);
}

/// Of the server's answer. A state that is not known here is a warning: it is newer, and not fine.
std::vector<Check> read_checks(const nlohmann::json& answer) {
  std::vector<Check> checks;
  const auto list = answer.find("checks");
  if (list == answer.end() || !list->is_array()) return checks;
  const auto text_of = [](const nlohmann::json& check, const char* key) {
    const auto at = check.find(key);
    return at != check.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  for (const nlohmann::json& one : *list) {
    if (!one.is_object()) continue;
    Check& check = checks.emplace_back();
    check.id = text_of(one, "id");
    check.text = text_of(one, "text");
    check.fix = text_of(one, "fix");
    const std::string state = text_of(one, "state");
    check.state = state == "ok" ? CheckState::kOk : state == "error" ? CheckState::kError : CheckState::kWarning;
  }
  return checks;
}

bool on_this_machine(const std::string& server) {
  const size_t scheme = server.find("://");
  const std::string place = server.substr(scheme == std::string::npos ? 0 : scheme + 3);
  const auto endpoint = config::parse_endpoint("tcp://" + place.substr(0, place.find('/')), "tcp");
  return endpoint && endpoint->is_loopback();
}

/// The server's, and of this machine what a hardened unit does not let the server see.
std::vector<Check> with_local_clock(std::vector<Check> checks) {
  constexpr std::string_view kOurClock = "D13";
  if (std::any_of(checks.begin(), checks.end(), [&](const Check& check) { return check.id == kOurClock; }))
    return checks;
  for (Check& check : service::run_checks(service::local_facts(config::Settings(), false)))
    if (check.id == kOurClock) checks.push_back(std::move(check));
  std::stable_sort(checks.begin(), checks.end(), [](const Check& a, const Check& b) { return a.id < b.id; });
  return checks;
}

std::vector<Check> all_checks(const Asked& asked, ServiceClient& client) {
  const auto answer = client.get("/api/v1/doctor");
  const bool here = on_this_machine(client.server());
  if (answer) {
    std::vector<Check> checks = read_checks(*answer);
    if (checks.empty())
      return {{"D00", CheckState::kError, fmt::format("{} answers, but not as a doctor does", client.server()),
               "is it of this version? backstream status"}};
    return here ? with_local_clock(std::move(checks)) : checks;
  }
  const ServiceError& error = answer.error();
  const bool nobody = error.code == "08001";
  Check down{"D00", CheckState::kError, error.message, error.hint};
  if (nobody && here) {
    down.fix =
        "systemctl status backstream; journalctl -u backstream -e; systemctl start backstream\n"
        "it listens elsewhere: --server URL; what follows is what can be seen without it";
  }
  std::vector<Check> checks = {std::move(down)};
  if (!here) return checks;
  for (Check& check : local_checks(asked, nobody)) checks.push_back(std::move(check));
  return checks;
}

}  // namespace

int doctor_command(const std::vector<std::string>& arguments) {
  Asked asked;
  if (const auto code = parse(asked, arguments)) return *code;
  std::vector<Check> checks;
  if (asked.local) {
    checks = local_checks(asked, true);
  } else {
    auto client = ServiceClient::open(asked.server);
    if (!client) {
      complain(client.error());
      return 2;
    }
    checks = all_checks(asked, *client);
  }
  const int failed = write_out(asked.json ? service::checks_json(checks) + "\n" : service::checks_text(checks));
  return failed != kExitOk ? failed : service::checks_exit_code(checks);
}

}  // namespace backstream::app
