#pragma once
#include <memory>
#include <string>
#include <vector>

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
  std::vector<std::unique_ptr<ingest::DatagramSource>> sources;  ///< sockets: one a thread
  std::unique_ptr<ingest::Forwarder> forwarder;
  /// Who is heard by the sockets: may be replaced while they are read. Null: there are none.
  std::shared_ptr<base::Published<base::PrefixSet>> allow;
};

/// Opens the captures or sockets that the options name, and the targets that they are sent on to; what a person has to
/// know of these is told on standard error. Errors: those of ingest::open_captures, listen_udp and open_forwarder.
/// @param sites  out: labels of Datagram::site
base::Result<Input> open_input(const RunOptions& options, std::vector<std::string>& sites);

/// The targets of the settings forward.NAME. Error "config".
base::Result<std::vector<ingest::ForwardTarget>> forward_targets(const config::Settings& settings);

/// The table of the setting enrich.as_table, with its rows. Errors: those of lookup::read_table_file.
base::Result<plan::LookupTables::Item> open_as_table(const std::string& path);

/// How much of what exporters announce is remembered.
decode::TemplateStoreLimits announcement_limits(const config::Settings& settings);

}  // namespace backstream::app
