#include "app/commands.h"

#include <utility>

#include "telemetry/terminal_log.h"

namespace backstream::app {

int complain(const base::Diagnostic& diagnostic, ExitCode code) {
  telemetry::terminal_log().line(diagnostic.render());
  return code;
}

int misused(std::string message, std::string hint) {
  return complain(base::fail("usage", std::move(message), {}, std::move(hint)).value(), kExitUsage);
}

}  // namespace backstream::app
