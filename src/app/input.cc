#include "app/input.h"

#include <utility>

#include "telemetry/terminal_log.h"

namespace backstream::app {

base::Result<Input> open_input(const RunOptions& options, std::vector<std::string>& sites) {
  Input input;
  const config::Settings& settings = options.settings;
  base::PrefixSet allow(settings.ingest.allow);
  if (options.listen.empty()) {
    auto captures = ingest::open_captures(options.captures, options.ports, sites, allow);
    if (!captures) return tl::unexpected(captures.error());
    input.sources.push_back(std::move(*captures));
    // One file of settings serves both; but a replay would reach the targets at the speed of the disk.
    if (!options.forwards.empty())
      telemetry::terminal_log().warning("captures are not forwarded, only what sockets receive");
    return input;
  }
  ingest::UdpOptions udp;
  udp.receive_buffer_octets = static_cast<int>(settings.ingest.receive_buffer_octets);
  udp.threads = options.threads;
  udp.coalesce = settings.ingest.coalesce;
  udp.sockets = static_cast<uint32_t>(settings.ingest.sockets);
  if (settings.ingest.steering == config::Steering::kSpread) {
    if (options.threads > 1) udp.steering = ingest::Steering::kSpread;
    else telemetry::terminal_log().warning("ingest.steering=spread changes nothing: one thread receives (--threads)");
  }
  udp.allow = std::move(allow);
  auto sources = ingest::listen_udp(options.listen, udp, sites);
  if (!sources) return tl::unexpected(sources.error());
  if (!options.forwards.empty()) {
    auto forwarder = ingest::open_forwarder(options.forwards, sources->front()->ports());
    if (!forwarder) return tl::unexpected(forwarder.error());
    input.forwarder = std::move(*forwarder);
    for (const std::string& note : input.forwarder->notes()) telemetry::terminal_log().line("backstream: " + note);
  }
  for (auto& source : *sources) input.sources.push_back(std::move(source));
  return input;
}

}  // namespace backstream::app
