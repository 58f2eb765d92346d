// backstream status: one screen about a running server.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <thread>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/service_client.h"
#include "app/status_text.h"
#include "app/stop_signal.h"

namespace backstream::app {

int status_command(const Arguments& arguments) {
  ServiceOptions service;
  std::string output = "table";
  bool watch = false;
  CLI::App app(
      "What a running server does: is it ready, what comes in, what is lost, how far behind it is.\n\n"
      "  backstream status\n"
      "  backstream status --watch\n"
      "  backstream status -o json | jq .ingest",
      "backstream status");
  app.add_option("-o,--output", output, "table or json")->check(CLI::IsMember({"table", "json"}))->type_name("FORMAT");
  app.add_flag("--watch", watch, "again every two seconds, until Ctrl-C");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const bool on_terminal = ::isatty(STDOUT_FILENO) == 1;
  for (;;) {
    const auto status = client->get("/api/v1/status");
    if (!status) return complain(status.error());
    int code = kExitOk;
    if (output == "json") {
      code = watch ? write_out(status->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n')
                   : write_document(*status);
    } else {
      // Home, the text, and away with what an earlier and longer one left.
      const std::string text = status_text(*status);
      code = write_out(watch && on_terminal ? "\x1b[H\x1b[J" + text : text);
    }
    if (code != kExitOk || !watch) return code;
    for (int i = 0; i < 20 && !stop_requested(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (stop_requested()) return kExitInterrupted;
  }
}

}  // namespace backstream::app
