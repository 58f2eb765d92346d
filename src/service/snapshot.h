#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/inet.h"
#include "base/time.h"
#include "decode/decoder.h"
#include "exec/engine.h"
#include "ingest/source.h"
#include "telemetry/clock_watch.h"
#include "window/watermark.h"

namespace backstream::service {

using base::Micros;

/// What a node is, for as long as it runs.
struct NodeInfo {
  std::string version, node, site;
  std::vector<std::string> roles;
  Micros started_at = 0;
};

/// A time in which nothing was received, or what was received is lost.
struct Outage {
  Micros from = 0, until = 0;
  bool clean = false;  ///< the state of open windows was kept: only what routers sent meanwhile is missing
};

/// What is known of an exporter.
struct ExporterStatus {
  base::Inet address;
  std::string site, protocols;
  Micros first_seen = 0, last_seen = 0;  ///< arrival
  uint64_t templates = 0;
  uint64_t sampling_rate_min = 0, sampling_rate_max = 0;  ///< equal: it has one; 0: unknown
  decode::IngestLedger ledger;
  window::WatermarkTracker::ExporterState clock;
};

/// An edge, as a node that completes windows knows it.
struct EdgeStatus {
  std::string node, site;
  bool absent = false;             ///< windows close without it
  std::optional<Micros> heard_at;  ///< when it was heard last; none: never
};

/// What is told of a running node: a copy, made about once a second while nothing is under way.
struct Snapshot {
  Micros at = 0;
  std::vector<std::string> not_ready;  ///< why it does not do yet what it is to do; empty: ready
  ingest::IngestStats ingest;
  decode::IngestLedger decoded;
  struct {
    double datagrams = 0, flows = 0, octets = 0;
  } rates;  ///< a second, over the last ten
  Micros watermark = base::kMinTime, arrival_watermark = base::kMinTime;
  std::optional<base::Inet> held_by;  ///< the exporter that is furthest behind
  size_t exporters_known = 0, exporters_sending = 0;
  std::map<size_t, exec::WindowLedger> ledgers;  ///< by the engine's number
  std::map<size_t, exec::Engine::Held> held;     ///< the same, of queries whose windows are open in this process
  /// The same of nodes that complete windows, of what all edges together have sent: how far each query is.
  std::map<size_t, Micros> frontiers;
  std::vector<EdgeStatus> edges;  ///< of who completes windows: those that it waits for
  Micros checkpoint_at = base::kMinTime;
  uint64_t checkpoint_octets = 0;
  std::string checkpoint_error;  ///< of the last attempt
  std::vector<Outage> outages;   ///< the last ones, oldest first
  uint64_t clock_steps = 0;
  std::optional<telemetry::ClockWatch::Step> clock_step;  ///< the last one
};

}  // namespace backstream::service
