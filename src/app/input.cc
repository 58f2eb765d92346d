#include "app/input.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "enrich/enrich.h"
#include "lookup/file_table.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {

uint32_t source_count(const RunOptions& options) {
  const uint32_t sockets = options.listen.empty() ? 0 : options.threads;
  return std::max(sockets + (options.settings.listen.kafka.empty() ? 0 : 1), 1U);
}

base::Result<Input> open_input(const RunOptions& options, std::vector<std::string>& sites,
                               const std::vector<transport::KafkaPlace>& places) {
  Input input;
  const config::Settings& settings = options.settings;
  if (options.listen.empty() && options.settings.listen.kafka.empty()) {
    auto captures =
        ingest::open_captures(options.captures, options.ports, sites, base::PrefixSet(settings.ingest.allow));
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
  input.allow =
      std::make_shared<base::Published<base::PrefixSet>>(std::make_shared<base::PrefixSet>(settings.ingest.allow));
  udp.allow = input.allow;
  if (!settings.listen.kafka.empty()) {
    auto topics = FlowTopics::open(settings, places, input.allow);
    if (!topics) return tl::unexpected(topics.error());
    input.topics = topics->get();
    input.sources.push_back(std::move(*topics));
  }
  if (options.listen.empty()) {
    if (sites.empty()) sites.emplace_back();
    if (!options.forwards.empty())
      telemetry::terminal_log().warning("records of Kafka are not forwarded, only what sockets receive");
    return input;
  }
  auto sources = ingest::listen_udp(options.listen, udp, sites);
  if (!sources) return tl::unexpected(sources.error());
  if (!options.forwards.empty()) {
    auto forwarder = ingest::open_forwarder(options.forwards, sources->front()->ports());
    if (!forwarder) return tl::unexpected(forwarder.error());
    input.forwarder = std::move(*forwarder);
    for (const std::string& note : input.forwarder->notes()) telemetry::terminal_log().line("backstream: " + note);
  }
  input.sources.insert(input.sources.begin(), std::make_move_iterator(sources->begin()),
                       std::make_move_iterator(sources->end()));
  return input;
}

base::Result<std::vector<ingest::ForwardTarget>> forward_targets(const config::Settings& settings) {
  std::vector<ingest::ForwardTarget> targets;
  for (const config::ForwardSettings& forward : settings.forwards) {
    const auto to = ingest::parse_listen(forward.to);
    if (!to || to->host.empty() || to->host == "*" || to->port == 0) {
      return base::fail("config", fmt::format("setting 'forward.{}' cannot be '{}'", forward.name, forward.to), {},
                        "it takes udp://HOST:PORT, for example udp://192.0.2.10:2055");
    }
    targets.push_back({forward.name, *to, forward.spoof, forward.ports, static_cast<uint64_t>(forward.queue_octets)});
  }
  return targets;
}

decode::TemplateStoreLimits announcement_limits(const config::Settings& settings) {
  decode::TemplateStoreLimits limits;
  limits.sender_count_max = static_cast<size_t>(settings.decode.exporter_limit);
  limits.template_count_max = static_cast<size_t>(settings.decode.template_limit);
  return limits;
}

base::Result<plan::LookupTables::Item> open_as_table(const std::string& path) {
  const auto format = lookup::parse_format("", path);
  if (!format) return tl::unexpected(format.error());
  plan::LookupTables::Item item;
  item.table = std::make_shared<lookup::LookupTable>(enrich::as_table_definition());
  if (const auto index = item.table->add_prefix_table(0); !index) return tl::unexpected(index.error());
  lookup::FileOptions file;
  file.path = path;
  file.format = *format;
  item.file = std::make_unique<lookup::FileTable>(*item.table, std::move(file));
  if (item.file->poll(0) == lookup::FileTable::Poll::kFailed) return tl::unexpected(*item.file->status().error);
  return item;
}

}  // namespace backstream::app
