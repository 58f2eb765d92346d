// backstream sql: a shell after psql's habits, against a running server.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <optional>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/service_client.h"
#include "app/shell/display_text.h"
#include "app/shell/editor.h"
#include "app/shell/shell.h"
#include "app/shell/terminal.h"
#include "base/time.h"

namespace backstream::app {
namespace {

constexpr const char* kAbout =
    "Statements against a running server; SELECTs run live until Ctrl-C.\n\n"
    "  backstream sql                                              at a terminal: prompts, \\? helps, \\q leaves\n"
    "  backstream sql -c \"SELECT window_start, dst_as, sum(octets) AS octets FROM tumble(flows, time, interval '10 "
    "s')\n"
    "                     GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 5\"\n"
    "  backstream sql -o csv --windows 3 -c 'SELECT * FROM top_dst' > top.csv\n"
    "  backstream sql < views.sql                                  ends at the first mistake\n\n"
    "docs/shell.md shows it by examples.";

struct Asked {
  ServiceOptions service;
  Arguments commands, files;
  std::string output = "table", for_text, output_file;
  bool expanded = false, quiet = false, no_colour = false, no_input = false;
  shell::ShellSettings settings;
};

std::optional<int> parse(Asked& asked, const Arguments& arguments) {
  CLI::App app(kAbout, "backstream sql");
  app.add_option("-c,--command", asked.commands, "run this and end; may be given several times")
      ->type_name("SQL")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  app.add_option("-f,--file", asked.files, "run a file and end; - is standard input; may be given several times")
      ->type_name("FILE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  app.add_option("-o,--output", asked.output, "table (default), csv, jsonl or prometheus")->type_name("FORMAT");
  app.add_flag("-x,--expanded", asked.expanded, "a line a value");
  app.add_option("-n,--rows", asked.settings.limits.rows, "end each live result after so many rows")
      ->type_name("ROWS")
      ->check(CLI::PositiveNumber);
  app.add_option("--windows", asked.settings.limits.windows, "end it after so many windows")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  app.add_option("--for", asked.for_text, "end it after this time")->type_name("DURATION");
  app.add_flag("--revisions", asked.settings.revisions,
               "csv, jsonl: every revision of a window, with _rev, _final, _complete and _op; else only final rows");
  app.add_flag("--timing", asked.settings.timing, "say how long statements take");
  app.add_flag("-q,--quiet", asked.settings.quiet, "results and errors only");
  app.add_flag("--no-color", asked.no_colour, "accepted: there are no colours");
  app.add_flag("--no-input", asked.no_input, "never prompt: read standard input as a file");
  add_service_flags(app, asked.service);
  if (const auto code = parse_arguments(app, arguments, 34)) return *code;
  const auto format = shell::parse_table_format(asked.output);
  if (!format)
    return misused(fmt::format("'{}' is no output format", asked.output), "-o table, csv, jsonl or prometheus");
  asked.settings.format = *format;
  if (asked.expanded) asked.settings.expanded = shell::Expanded::kOn;
  if (!asked.for_text.empty()) {
    const auto duration = base::parse_duration(asked.for_text);
    if (!duration || *duration <= 0)
      return misused(fmt::format("--for '{}' is no duration", asked.for_text), "--for 30s, 5m or 1h");
    asked.settings.limits.duration = *duration;
  }
  if (asked.settings.revisions && *format != shell::TableFormat::kCsv && *format != shell::TableFormat::kJsonl)
    return misused("--revisions is for csv and jsonl", "-o csv --revisions; a table says of each window what it is");
  return std::nullopt;
}

/// All of standard input; "-" as a file.
base::Result<std::string> read_input() { return shell::read_file("/dev/stdin"); }

}  // namespace

int sql_command(const std::vector<std::string>& arguments) {
  Asked asked;
  if (const auto code = parse(asked, arguments)) return *code;
  auto server = client_options(asked.service);
  if (!server) return complain(ServiceError(std::move(server.error())));
  shell::use_utf8();
  const shell::InterruptGuard guard;
  shell::Output output(STDOUT_FILENO);
  shell::Shell session(std::move(*server), asked.settings, output);

  if (asked.commands.empty() && asked.files.empty() && !asked.no_input && ::isatty(STDIN_FILENO) != 0) {
    if (::isatty(STDOUT_FILENO) != 0) return session.interact();
    return misused("there is a terminal to type at, but none to show what is typed", "-c SQL, or -f FILE");
  }
  // Which came first does not show in the flags; psql's scripts have either.
  for (const std::string& command : asked.commands) {
    const int code = session.run_text(command, "-c");
    if (code != kExitOk) return code;
  }
  if (asked.commands.empty() && asked.files.empty()) asked.files = {"-"};
  for (const std::string& file : asked.files) {
    const auto text = file == "-" ? read_input() : shell::read_file(file);
    if (!text) return complain(ServiceError(text.error()));
    const int code = session.run_text(*text, file == "-" ? "standard input" : file);
    if (code != kExitOk) return code;
  }
  return kExitOk;
}

}  // namespace backstream::app
