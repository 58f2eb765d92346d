// backstream: finds the subcommand, and tells what nobody caught.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/stop_signal.h"
#include "base/diagnostic.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

constexpr Command kCommands[] = {
    {"run", "replays captures, or listens to routers, through queries", run_command},
    {"explain", "how a query would run, or the same query in SQL or Borealis XML", explain_command},
    {"serve", "the service: receives, answers registered queries, shows results over HTTP", serve_command},
    {"query", "the queries of a running server: add, list, show, alter, apply, ...", query_command,
     "add list show alter move pause resume drop history diff validate explain suggest apply deploy"},
    {"sql", "a shell for a running server: live results, and what it runs", sql_command},
    {"tail", "the results of a query, as they come", tail_command},
    {"status", "what a running server does, on one screen", status_command},
    {"doctor", "is all well, and if not, what is to be typed", doctor_command},
    {"exporter", "who sends flows, and how to make a router send them", exporter_command, "list show wait snippet"},
    {"alert", "what fires, and who is told: list, show, ack, silence, test", alert_command,
     "list show ack silence unsilence test"},
    {"sink", "where rows are sent, how far it is and what is wrong", sink_command, "list test replay"},
    {"node", "the processes that make up an installation", node_command, "list drain"},
    {"catalog", "all that a server keeps, as one document", catalog_command, "export import restore"},
    {"audit", "who changed what", audit_command},
    {"token", "who may ask the server over HTTP: tokens, their roles and their end", token_command,
     "create list revoke"},
    {"generate", "a synthetic backbone with known exact answers, to a capture or over UDP", generate_command},
    {"config", "are the settings right, and where does each come from", config_command, "check show"},
    {"demo", "three PoPs on loopback, one cut off for a while, answers checked while they come", demo_command},
    {"completion", "what makes Tab work in bash, zsh and fish", completion_command},
};

std::string help() {
  std::string text =
      "backstream: continuous SQL over NetFlow, IPFIX and sFlow\n\n"
      "  backstream run --pcap mine.pcap -e \"SELECT window_start, src_as, dst_as, sum(octets) AS octets\n"
      "                 FROM tumble(flows, time, interval '5 min') GROUP BY 1, 2, 3\"\n"
      "  backstream serve                                      the service; then, in another terminal:\n"
      "  backstream query add queries/traffic_matrix.sql && backstream tail traffic_matrix\n"
      "  backstream demo                                       no router at hand: a minute of synthetic traffic\n\n"
      "Commands (backstream COMMAND --help says more):\n";
  for (const Command& command : kCommands) text += fmt::format("  {:<10} {}\n", command.name, command.about);
  text +=
      "\nExit codes: 0 done; 1 the machine failed (file, socket, disk) or a check did not hold; 2 wrong flags;\n"
      "3 SQL or settings that cannot be understood; 4 the server is not there; 5 not signed in, or not allowed;\n"
      "6 no such query; 7 what was waited for did not come; 130 a signal ended it before its work was done.\n";
  return text;
}

int dispatch(int argc, char** argv) {
  tell_commands(kCommands, help);
  const std::string name = argc > 1 ? argv[1] : "--help";
  if (name == "help" && argc > 2) return help_command({argv + 2, argv + argc});
  if (name == "--help" || name == "-h" || name == "help") {
    std::fputs(help().c_str(), argc > 1 ? stdout : stderr);
    return argc > 1 ? kExitOk : kExitUsage;
  }
  if (name == "--version" || name == "-V") {
    std::puts("backstream " BACKSTREAM_VERSION);
    return kExitOk;
  }
  std::vector<std::string_view> names;
  for (const Command& command : kCommands) {
    if (command.name == name) return command.run({argv + 2, argv + argc});
    names.push_back(command.name);
  }
  const std::string_view near = base::nearest_name(name, names);
  telemetry::terminal_log().error(
      fmt::format("no command '{}'\nhint: {}", name,
                  near.empty() ? "backstream --help lists them" : fmt::format("did you mean '{}'?", near)));
  return kExitUsage;
}

}  // namespace
}  // namespace backstream::app

int main(int argc, char** argv) {
  using namespace backstream;
  app::install_stop_signals();
  try {
    return app::dispatch(argc, argv);
  } catch (const std::bad_alloc&) {
    telemetry::terminal_log().error("out of memory");
  } catch (const std::exception& error) {
    telemetry::terminal_log().error(error.what());
  }
  return app::kExitFailure;
}
