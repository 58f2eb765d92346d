#pragma once
#include <memory>
#include <string>
#include <vector>

#include "app/run_options.h"
#include "base/diagnostic.h"
#include "ingest/forwarder.h"
#include "ingest/source.h"

namespace backstream::app {

/// Where datagrams come from, and who sends them on (null: nobody).
struct Input {
  std::vector<std::unique_ptr<ingest::DatagramSource>> sources;  ///< sockets: one a thread
  std::unique_ptr<ingest::Forwarder> forwarder;
};

/// Opens the captures or sockets that the options name, and the targets that they are sent on to; what a person has to
/// know of these is told on standard error. Errors: those of ingest::open_captures, listen_udp and open_forwarder.
/// @param sites  out: labels of Datagram::site
base::Result<Input> open_input(const RunOptions& options, std::vector<std::string>& sites);

}  // namespace backstream::app
