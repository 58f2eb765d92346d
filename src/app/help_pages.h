#pragma once
// Man pages and completion, made of what --help says of each command, so that there is one text to keep right.
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/commands.h"

namespace backstream::app {

/// A flag, as a help text has it.
struct HelpFlag {
  std::vector<std::string> names;    ///< "-o", "--output"
  std::string value;                 ///< "FORMAT"; empty: it takes none
  std::vector<std::string> choices;  ///< of the value, where there are few
  std::string about;
};
struct HelpText {
  std::vector<std::string> description;  ///< lines; those that begin with two spaces stand as they are
  std::string usage;
  std::vector<HelpFlag> flags;
  std::vector<std::string> more;  ///< lines after the flags
};
/// Of the text that --help of a command prints, in whatever order its parts come.
HelpText parse_help(std::string_view text);

/// What a command says of itself; empty: it says nothing. Takes standard output for the time: one thread.
std::string help_of(const Command& command, std::string_view subcommand);

/// "backstream(1)" and "backstream-query(1)" as roff.
std::string man_page(const Command& command);
std::string main_man_page(std::span<const Command> commands, std::string_view help);

/// For bash, zsh or fish; nullopt: there is none for this shell.
std::optional<std::string> completion_script(std::span<const Command> commands, std::string_view shell);

}  // namespace backstream::app
