// Sinks of a daemon: what the settings call servers, and what runs, as the register of sinks needs them.
#include <fmt/format.h>

#include "app/daemon.h"
#include "sink/file_target.h"
#include "sink/postgres_target.h"
#include "sink/prometheus_target.h"

namespace backstream::app {

using service::SinkDefinition;
using service::SinkServer;

namespace {

SinkServer server_of(const config::ServerSettings& settings) {
  using Type = config::ServerSettings::Type;
  SinkServer server;
  switch (settings.type.value_or(Type::kFile)) {
    case Type::kFile: server.type = SinkServer::Type::kFile; break;
    case Type::kPostgres: server.type = SinkServer::Type::kPostgres; break;
    case Type::kPrometheus: server.type = SinkServer::Type::kPrometheus; break;
    case Type::kKafka: break;  // No sink can be made of it yet.
  }
  server.name = settings.name;
  server.folder = settings.folder;
  server.connection = settings.connection;
  server.password = settings.password.value;
  return server;
}

/// "schema.table" or "table".
std::pair<std::string, std::string> table_of(const SinkDefinition& definition) {
  const std::string& table = definition.table.empty() ? definition.query : definition.table;
  const size_t dot = table.find('.');
  if (dot == std::string::npos) return {"public", table};
  return {table.substr(0, dot), table.substr(dot + 1)};
}

std::unique_ptr<sink::Target> make_target(const SinkDefinition& definition, const SinkServer& server,
                                          const std::string& node, std::shared_ptr<const receiver::ResultForm> form,
                                          sink::PrometheusPages& pages,
                                          std::function<base::Result<uint64_t>()> begin_after) {
  if (server.type == SinkServer::Type::kPostgres) {
    sink::PostgresOptions options;
    options.address.connection = server.connection;
    options.address.password = server.password;
    std::tie(options.schema, options.table) = table_of(definition);
    options.query = definition.query;
    options.sink = definition.name + '@' + node;  // Those of two receivers number their parts apart.
    options.form = std::move(form);
    return std::make_unique<sink::PostgresTarget>(std::move(options));
  }
  if (server.type == SinkServer::Type::kPrometheus || definition.format == SinkDefinition::Format::kPrometheus) {
    sink::PrometheusOptions options;
    options.sink = definition.name;
    options.query = definition.query;
    options.series_max = definition.series_max;
    options.begin_after = std::move(begin_after);
    if (server.type == SinkServer::Type::kPrometheus) options.pages = &pages;
    else options.file = fmt::format("{}/{}.prom", server.folder, definition.name);
    return std::make_unique<sink::PrometheusTarget>(std::move(options));
  }
  sink::FileTargetOptions options;
  options.folder = server.folder;
  options.name = definition.name;
  options.format = definition.format == SinkDefinition::Format::kCsv ? sink::FileTargetOptions::Format::kCsv
                                                                     : sink::FileTargetOptions::Format::kJsonl;
  options.rotate_octets = definition.rotate_octets;
  options.rotate_us = definition.rotate_us;
  return std::make_unique<sink::FileTarget>(std::move(options));
}

}  // namespace

/// After the queries, whose rows a sink must know; where nothing is kept nothing can be sent.
base::Result<void> Daemon::open_sinks() {
  if (!history_) return {};
  service::SinkRegister::Ground ground{*history_, {}, {}, {}, {}, options_.settings.node.name};
  ground.find_server = [this](const std::string& name) -> std::optional<SinkServer> {
    const auto settings = settings_.snapshot();
    for (const config::ServerSettings& server : settings->servers) {
      if (server.name == name) return server_of(server);
    }
    return std::nullopt;
  };
  ground.servers = [this] {
    std::vector<std::string> names;
    const auto settings = settings_.snapshot();
    for (const config::ServerSettings& server : settings->servers) names.push_back(server.name);
    return names;
  };
  ground.find_query = [this](const std::string& name) -> std::optional<service::SinkRegister::Ground::Query> {
    const auto status = register_->find(name);
    if (!status || status->plain || status->temporary) return std::nullopt;
    return service::SinkRegister::Ground::Query{status->object.incarnation.value,
                                                status->query ? service::form_of(*status->query) : nullptr};
  };
  ground.make_target = [this](const SinkDefinition& definition, const SinkServer& server) {
    const auto status = register_->find(definition.query);
    const history::QueryId id{definition.query, status ? status->object.incarnation.value : 0};
    const auto begin_after = [this, id]() -> base::Result<uint64_t> {
      const auto newest = history_->newest_final(id);
      if (!newest) return tl::unexpected(newest.error());
      return newest->empty() ? 0 : newest->front()->seq - 1;
    };
    return make_target(definition, server, options_.settings.node.name,
                       status && status->query ? service::form_of(*status->query) : nullptr, prometheus_pages_,
                       begin_after);
  };
  sinks_ = std::make_unique<service::SinkRegister>(*catalog_, std::move(ground));
  return sinks_->start();
}

}  // namespace backstream::app
