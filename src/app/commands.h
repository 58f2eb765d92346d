#pragma once
// The subcommands of `backstream`. main.cc calls them; each has a file of its own.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"

namespace backstream::app {

/// Exit codes of every subcommand; docs/operations.md and `backstream --help` say the same.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,        ///< the machine: a file, a socket, a disk; or a check that failed
  kExitUsage = 2,          ///< flags and arguments
  kExitInvalid = 3,        ///< SQL or settings that cannot be understood
  kExitUnreachable = 4,    ///< the server that was to be asked is not there
  kExitForbidden = 5,      ///< it does not know who asks, or he may not
  kExitNotFound = 6,       ///< it has no such query, token, ...
  kExitNothing = 7,        ///< what was waited for did not come in time
  kExitInterrupted = 130,  ///< a signal ended it before its work was done
};

/// Tells it on standard error, and returns the code.
int complain(const base::Diagnostic& diagnostic, ExitCode code);
/// The same of flags and arguments: kExitUsage.
int misused(std::string message, std::string hint);

/// @param arguments  what follows the subcommand's name
/// @return           an exit code; what went wrong has been told on standard error
/// Errors: std::exception for the machine's faults at start; main() tells it and ends with kExitFailure.
int run_command(const std::vector<std::string>& arguments);
int explain_command(const std::vector<std::string>& arguments);
int exporter_command(const std::vector<std::string>& arguments);
int generate_command(const std::vector<std::string>& arguments);
int config_command(const std::vector<std::string>& arguments);
int serve_command(const std::vector<std::string>& arguments);
int token_command(const std::vector<std::string>& arguments);
/// Its exit codes are those of monitoring plugins: 0 fine, 1 warnings, 2 errors.
int doctor_command(const std::vector<std::string>& arguments);
int sql_command(const std::vector<std::string>& arguments);
int query_command(const std::vector<std::string>& arguments);
int tail_command(const std::vector<std::string>& arguments);
int status_command(const std::vector<std::string>& arguments);
int alert_command(const std::vector<std::string>& arguments);
int node_command(const std::vector<std::string>& arguments);
int sink_command(const std::vector<std::string>& arguments);
int catalog_command(const std::vector<std::string>& arguments);
int audit_command(const std::vector<std::string>& arguments);
int completion_command(const std::vector<std::string>& arguments);
int help_command(const std::vector<std::string>& arguments);
int demo_command(const std::vector<std::string>& arguments);

/// A line of the table of commands (main.cc), from which help, completion and man pages are made.
struct Command {
  std::string_view name;
  std::string_view about;
  int (*run)(const std::vector<std::string>& arguments);
  std::string_view subcommands = {};  ///< their names, a space between
};
/// Before any of completion_command() and help_command(). `help` is the text of `backstream --help`.
void tell_commands(std::span<const Command> commands, std::string (*help)());

}  // namespace backstream::app
