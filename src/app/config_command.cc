// backstream config: are the settings right, and where does each come from?
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <optional>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/kafka_options.h"
#include "base/utf8.h"
#include "config/load.h"
#include "service/access.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

constexpr std::string_view kAbout =
    "Are the settings right, and where does each come from?\n\n"
    "  backstream config check --config edge.toml              every mistake, or \"ok\"\n"
    "  backstream config show --origin | grep -v '# default'   what is set, by which file and line\n"
    "  backstream config show -o json --set watermark.delay=30s\n\n"
    "They read what `backstream serve` reads; a later one wins: /etc/backstream/backstream.toml (or --config FILE),\n"
    "conf.d/*.toml beside it in order of name, the environment (BACKSTREAM_WATERMARK__DELAY=30s), --set.\n"
    "Settings are listed in `backstream run --help` and docs/operations.md.\n\n"
    "Exit codes: 0 done; 1 output could not be written; 2 wrong flags; 3 settings that are wrong.\n";

/// What both subcommands are asked.
struct Asked {
  std::optional<std::string> config;
  Arguments assignments;
  bool origin = false;
  std::string output = "toml";
};

/// Nothing when the flags could be read.
std::optional<int> parse(CLI::App& app, Asked& asked, const Arguments& arguments) {
  add_settings_flags(app, asked.config, asked.assignments);
  return parse_arguments(app, arguments);
}

/// Loads them, and tells what is wrong with them.
config::Loaded load(const Asked& asked) {
  config::LoadRequest request;
  request.file = asked.config;
  request.default_file = config::kDefaultFile;
  request.environment = environ;
  request.kafka_property = kafka_property_fault;
  request.assignments = asked.assignments;
  config::Loaded loaded = config::load(request);
  for (const std::string& warning : loaded.warnings) telemetry::terminal_log().warning(warning);
  // What needs SQL to be known to be right.
  if (loaded.errors.empty()) {
    if (auto access = service::Access::check(loaded.settings); !access) loaded.errors.push_back(access.error());
  }
  for (const base::Diagnostic& error : loaded.errors) telemetry::terminal_log().line(error.render());
  return loaded;
}

std::string count(size_t number, std::string_view what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

int check(const Arguments& arguments) {
  Asked asked;
  CLI::App app(
      "Says \"ok\", or all that is wrong with the settings (exit code 3). Opens nothing but files of settings and "
      "secrets.\n\n"
      "  backstream config check\n"
      "  backstream config check --config edge.toml\n"
      "  backstream config check --set 'listen.flow=udp://[::]:2055' --set ingest.allow=192.0.2.0/24\n",
      "backstream config check");
  if (const auto code = parse(app, asked, arguments)) return *code;
  const config::Loaded loaded = load(asked);
  if (!loaded.errors.empty()) return kExitInvalid;
  size_t by_layer[3] = {};
  for (const auto& [key, origin] : loaded.origins) ++by_layer[static_cast<size_t>(origin.layer)];
  std::string line = fmt::format("ok: {} from {}", count(by_layer[0], "setting"), count(loaded.files.size(), "file"));
  if (by_layer[1] != 0) line += fmt::format(", {} from the environment", by_layer[1]);
  if (by_layer[2] != 0) line += fmt::format(", {} from --set", by_layer[2]);
  return write_out(line + "\n");
}

std::string origin_of(const config::Loaded& loaded, const config::SettingValue& value) {
  const auto at = loaded.origins.find(value.key);
  if (at == loaded.origins.end()) return value.secret_is_set ? "$CREDENTIALS_DIRECTORY" : "default";
  std::string text = at->second.text();
  if (base::find_bad_text(text) != std::string::npos) text = "a file whose name is not UTF-8";
  // A name may have a line end, which would end the comment.
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return text;
}

std::string as_toml(const config::Loaded& loaded, bool with_origin) {
  std::string text, section;
  for (const config::SettingValue& value : config::setting_values(loaded.settings)) {
    if (value.section != section) text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", value.section);
    section = value.section;
    text += fmt::format("{} = {}", value.name, value.literal);
    if (value.is_secret_file) text += value.secret_is_set ? "  # (set)" : "  # (not set)";
    if (with_origin) text += fmt::format("{}{}", value.is_secret_file ? ", " : "  # ", origin_of(loaded, value));
    text += '\n';
  }
  return text;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out += '"';
}

std::string as_json(const config::Loaded& loaded, bool with_origin) {
  std::string text;
  const auto add = [&](std::string_view key, const std::string& literal, const std::string& origin) {
    text += fmt::format("{}  \"{}\": ", text.empty() ? "{\n" : ",\n", key);
    if (with_origin) text += fmt::format("{{\"value\": {}, \"origin\": {}}}", literal, json_string(origin));
    else text += literal;
  };
  for (const config::SettingValue& value : config::setting_values(loaded.settings)) {
    const std::string origin = origin_of(loaded, value);
    add(value.key, value.literal, origin);
    if (value.secret_is_set) add(value.key.substr(0, value.key.rfind('_')), "\"(set)\"", origin);
  }
  return text + "\n}\n";
}

int show(const Arguments& arguments) {
  Asked asked;
  CLI::App app(
      "Every setting in effect. As TOML it is a file that gives the same settings. Secrets are not shown.\n\n"
      "  backstream config show --origin | grep -v '# default'\n"
      "  backstream config show -o json | jq '.\"watermark.delay\"'\n"
      "  backstream config show --config edge.toml > whole.toml\n",
      "backstream config show");
  app.add_flag("--origin", asked.origin, "with where it comes from: default, FILE:LINE, environment, --set");
  app.add_option("-o,--output", asked.output, "toml (default) or json")->type_name("FORMAT");
  if (const auto code = parse(app, asked, arguments)) return *code;
  if (asked.output != "toml" && asked.output != "json")
    return misused(fmt::format("'{}' is no output format", asked.output), "-o toml or json");
  const config::Loaded loaded = load(asked);
  if (!loaded.errors.empty()) return kExitInvalid;
  return write_out(asked.output == "json" ? as_json(loaded, asked.origin) : as_toml(loaded, asked.origin));
}

}  // namespace

int config_command(const std::vector<std::string>& arguments) {
  constexpr Subcommand kSubcommands[] = {{"check", check}, {"show", show}};
  return run_subcommand("config", kAbout, kSubcommands, arguments);
}

}  // namespace backstream::app
