// backstream help, backstream completion: what the program says of itself.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/help_pages.h"

namespace backstream::app {
namespace {

std::span<const Command> commands;
std::string (*help_text)() = nullptr;

const Command* find(std::string_view name) {
  for (const Command& command : commands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

int no_command(const std::string& name) {
  std::vector<std::string_view> names;
  for (const Command& command : commands) names.push_back(command.name);
  const std::string_view near = base::nearest_name(name, names);
  return misused(fmt::format("no command '{}'", printable(name)),
                 near.empty() ? "backstream --help lists them" : fmt::format("did you mean '{}'?", near));
}

/// For the build: man/*.1 and completions/* below the directory, which are there.
int write_pages(const std::string& directory) {
  std::vector<std::pair<std::string, std::string>> files = {{"man/backstream.1", main_man_page(commands, help_text())}};
  for (const Command& command : commands)
    files.emplace_back(fmt::format("man/backstream-{}.1", command.name), man_page(command));
  files.emplace_back("completions/backstream.bash", *completion_script(commands, "bash"));
  files.emplace_back("completions/_backstream", *completion_script(commands, "zsh"));
  files.emplace_back("completions/backstream.fish", *completion_script(commands, "fish"));
  for (const auto& [name, text] : files) {
    const std::string path = directory + '/' + name;
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (file) continue;
    return complain(base::fail("file", fmt::format("cannot write '{}': {}", path, std::strerror(errno))).value(),
                    kExitFailure);
  }
  return kExitOk;
}

}  // namespace

void tell_commands(std::span<const Command> table, std::string (*help)()) {
  commands = table;
  help_text = help;
}

int help_command(const Arguments& arguments) {
  if (arguments.size() == 2 && arguments[0] == "--pages") return write_pages(arguments[1]);
  if (!arguments.empty() && arguments[0] == "--man") {
    if (arguments.size() == 1) return write_out(main_man_page(commands, help_text()));
    const Command* command = find(arguments[1]);
    return command == nullptr ? no_command(arguments[1]) : write_out(man_page(*command));
  }
  if (arguments.empty()) return write_out(help_text());
  const Command* command = find(arguments[0]);
  if (command == nullptr) return no_command(arguments[0]);
  Arguments rest(arguments.begin() + 1, arguments.end());
  rest.emplace_back("--help");
  return command->run(rest);
}

int completion_command(const Arguments& arguments) {
  std::string shell;
  CLI::App app(
      "What makes Tab complete commands, flags and the names of queries. Packages install it already.\n\n"
      "  source <(backstream completion bash)\n"
      "  backstream completion zsh > ~/.zfunc/_backstream\n"
      "  backstream completion fish > ~/.config/fish/completions/backstream.fish",
      "backstream completion");
  app.add_option("SHELL", shell, "bash, zsh or fish")->required()->type_name("");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto script = completion_script(commands, shell);
  if (!script) return misused(fmt::format("no completion for '{}'", printable(shell)), "there are bash, zsh and fish");
  return write_out(*script);
}

}  // namespace backstream::app
