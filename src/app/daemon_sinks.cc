// Sinks of a daemon: what the settings call servers, and what runs, as the register of sinks needs them.
#include <fmt/format.h>

#include <algorithm>

#include "app/daemon.h"
#include "app/kafka_options.h"
#include "sink/file_target.h"
#include "sink/kafka_target.h"
#include "sink/postgres_target.h"
#include "sink/prometheus_target.h"

namespace backstream::app {

using service::SinkDefinition;
using service::SinkServer;

namespace {

constexpr std::chrono::milliseconds kSinkTimeoutMax{20'000};  // Of one delivery: what ends a sink waits for it.

SinkServer server_of(const config::Settings& settings, const config::ServerSettings& of) {
  using Type = config::ServerSettings::Type;
  SinkServer server;
  server.name = of.name;
  switch (of.type.value_or(Type::kFile)) {
    case Type::kFile:
      server.type = SinkServer::Type::kFile;
      server.folder = of.folder;
      break;
    case Type::kPostgres:
      server.type = SinkServer::Type::kPostgres;
      server.connection = of.connection;
      server.password = of.password.value;
      break;
    case Type::kKafka: {
      server.type = SinkServer::Type::kKafka;
      transport::KafkaOptions options = kafka_options(settings, of, {});
      server.brokers = std::move(options.brokers);
      server.properties = std::move(options.properties);
      break;
    }
    case Type::kPrometheus: server.type = SinkServer::Type::kPrometheus; break;
  }
  return server;
}

/// "schema.table" or "table".
std::pair<std::string, std::string> table_of(const SinkDefinition& definition) {
  const std::string& table = definition.table.empty() ? definition.query : definition.table;
  const size_t dot = table.find('.');
  if (dot == std::string::npos) return {"public", table};
  return {table.substr(0, dot), table.substr(dot + 1)};
}

std::unique_ptr<sink::Target> make_kafka_target(const SinkDefinition& definition, const SinkServer& server,
                                                const config::Settings& settings) {
  sink::KafkaTargetOptions options;
  options.client = kafka_options(settings, tell_kafka_notice);
  options.client.brokers = server.brokers;
  options.client.properties = server.properties;
  options.client.append_timeout = std::min(options.client.append_timeout, kSinkTimeoutMax);
  options.topic = kafka_topic_options(settings);
  options.topic.name = definition.topic.empty() ? definition.query : definition.topic;
  options.topic.partition_count = definition.partitions;
  if (definition.replication > 0) options.topic.replication = definition.replication;
  options.topic.retention = std::chrono::milliseconds(definition.retention_us / 1'000);
  using Cleanup = transport::KafkaTopicOptions::Cleanup;
  options.topic.cleanup = definition.compact ? Cleanup::kCompactAndDelete : Cleanup::kDelete;
  options.tombstones = definition.compact;
  // Those of two receivers, and of two deployments, number their parts apart.
  options.writer = fmt::format("{}.sink.{}@{}", settings.kafka.prefix, definition.name, settings.node.name);
  return std::make_unique<sink::KafkaTarget>(std::move(options));
}

std::unique_ptr<sink::Target> make_target(const SinkDefinition& definition, const SinkServer& server,
                                          const config::Settings& settings,
                                          std::shared_ptr<const receiver::ResultForm> form,
                                          sink::PrometheusPages& pages,
                                          std::function<base::Result<uint64_t>()> begin_after) {
  if (server.type == SinkServer::Type::kKafka) return make_kafka_target(definition, server, settings);
  if (server.type == SinkServer::Type::kPostgres) {
    sink::PostgresOptions options;
    options.address.connection = server.connection;
    options.address.password = server.password;
    std::tie(options.schema, options.table) = table_of(definition);
    options.query = definition.query;
    options.sink = definition.name + '@' + settings.node.name;  // Those of two receivers number their parts apart.
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
      if (server.name == name) return server_of(*settings, server);
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
    return make_target(definition, server, *settings_.snapshot(),
                       status && status->query ? service::form_of(*status->query) : nullptr, prometheus_pages_,
                       begin_after);
  };
  sinks_ = std::make_unique<service::SinkRegister>(*catalog_, std::move(ground));
  return sinks_->start();
}

}  // namespace backstream::app
