#pragma once
#include <memory>
#include <string>
#include <vector>

#include "app/flow_topics.h"
#include "app/run_options.h"
#include "base/diagnostic.h"
#include "base/prefix_set.h"
#include "base/published.h"
#include "decode/template_store.h"
#include "ingest/forwarder.h"
#include "ingest/source.h"
#include "plan/bind_table.h"

namespace backstream::app {

/// Where datagrams come from, and who sends them on (null: nobody).
struct Input {
  /// Sockets: one a thread. Then topics of Kafka, in one.
  std::vector<std::unique_ptr<ingest::DatagramSource>> sources;
  FlowTopics* topics = nullptr;  ///< the one of them that reads topics; null: none does
  std::unique_ptr<ingest::Forwarder> forwarder;
  /// Who is heard by sockets and in topics: may be replaced while they are read. Null: there are none.
  std::shared_ptr<base::Published<base::PrefixSet>> allow;
};

/// How many sources open_input() gives: live, each is read by a thread of its own.
uint32_t source_count(const RunOptions& options);

/// Opens the captures or sockets that the options name, and the targets that they are sent on to; what a person has to
/// know of these is told on standard error. Errors: those of ingest::open_captures, listen_udp, open_forwarder and
/// FlowTopics::open.
/// @param sites  out: labels of Datagram::site
/// @param places  where reading of topics goes on
base::Result<Input> open_input(const RunOptions& options, std::vector<std::string>& sites,
                               const std::vector<transport::KafkaPlace>& places = {});

/// The targets of the settings forward.NAME. Error "config".
base::Result<std::vector<ingest::ForwardTarget>> forward_targets(const config::Settings& settings);

/// The table of the setting enrich.as_table, with its rows. Errors: those of lookup::read_table_file.
base::Result<plan::LookupTables::Item> open_as_table(const std::string& path);

/// How much of what exporters announce is remembered.
decode::TemplateStoreLimits announcement_limits(const config::Settings& settings);

}  // namespace backstream::app
