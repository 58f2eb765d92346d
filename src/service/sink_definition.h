#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"
#include "plan/unbound.h"
#include "receiver/prometheus_text.h"
#include "sink/runner.h"

namespace backstream::service {

/// Where sinks can send to: settings "server.NAME".
struct SinkServer {
  enum class Type : uint8_t { kFile, kPostgres, kKafka, kPrometheus } type = Type::kFile;
  std::string name;
  std::string folder;                                           ///< kFile: absolute
  std::string connection;                                       ///< kPostgres: libpq's, without a password
  std::string password;                                         ///< kPostgres; may be empty
  std::vector<std::string> brokers;                             ///< kKafka
  std::vector<std::pair<std::string, std::string>> properties;  ///< kKafka: of librdkafka, secrets among them
  bool operator==(const SinkServer&) const = default;
};
std::string_view name(SinkServer::Type type);  ///< as the settings have it

/// CREATE PUBLICATION name FOR TABLE query [(columns)] [WHERE (condition)] WITH (server = '…', …).
struct SinkDefinition {
  std::string name, query, server;
  std::vector<std::string> columns;  ///< empty: all
  std::string condition;             ///< over the query's columns; empty: all rows
  std::string node;                  ///< the only one that runs it; empty: each that has results
  enum class Format : uint8_t { kCsv, kJsonl, kPrometheus } format = Format::kCsv;
  uint64_t rotate_octets = 256 << 20;
  base::Micros rotate_us = 3'600 * base::kMicrosPerSecond;
  uint64_t series_max = receiver::PrometheusWindow::kSeriesMaxDefault;  ///< for Prometheus
  std::string table;  ///< "schema.table" or "table"; empty: the query's name
  // Of Kafka; what is not the topic's name is that of one that is made.
  std::string topic;  ///< empty: the query's name
  uint32_t partitions = 8;
  int replication = 0;  ///< 0: as the settings, or the brokers, say
  base::Micros retention_us = 7 * 86'400 * base::kMicrosPerSecond;
  /// Only the newest revision of a row stays, and rows that are gone are null values.
  bool compact = false;
};

/// Whether what is sent is text for Prometheus: of its newest window alone.
bool is_for_prometheus(const SinkDefinition& definition, SinkServer::Type type);

/// What is told of servers to who names one.
using FindServer = std::function<std::optional<SinkServer>(const std::string& name)>;

/// Reads the statement. Errors, located in the text: 42601 another statement, or several; 22023 options that are wrong,
/// or not of a server of this type; 42704 no such server; those of RowFilter::check().
base::Result<SinkDefinition> read_sink(const std::string& text, const std::string& source_name,
                                       const FindServer& find_server, const std::vector<std::string>& servers);

/// Columns and rows that the sink wants, of any version of the query.
sink::Selection make_selection(const SinkDefinition& definition);
/// Whether this version has what the sink names, and the columns that tell its rows apart are among those.
/// Errors: 42703, 42501 (RowFilter::make()), 42P10.
/// 22023: for Prometheus there is no measure among them.
base::Result<void> check_selection(const SinkDefinition& definition, const SinkServer& server,
                                   const receiver::ResultForm& form);

}  // namespace backstream::service
