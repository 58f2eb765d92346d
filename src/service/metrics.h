#pragma once
// What the daemon counts, as a page for Prometheus. docs/metrics.md lists all names; a test compares the two.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "alert/alerts.h"
#include "base/time.h"
#include "decode/decoder.h"
#include "exec/engine.h"
#include "history/store.h"
#include "http/events.h"
#include "http/server.h"
#include "ingest/forwarder.h"
#include "ingest/source.h"
#include "service/access.h"
#include "service/sink_register.h"
#include "service/snapshot.h"
#include "telemetry/exposition.h"
#include "telemetry/process.h"
#include "window/watermark.h"

namespace backstream::service {

/// A copy of http::HubCounters, which are atomic.
struct HubCounts {
  HubCounts() = default;
  explicit HubCounts(const http::HubCounters& counters);
  uint64_t published = 0, overflowed = 0, out_of_order = 0, lost_frames = 0, gaps = 0, ring_octets = 0;
};

/// Copies of all that the page tells, so that writing it needs nothing of what runs. What is absent is left out.
struct MetricsInput {
  std::string version, node, site;
  std::vector<std::string> roles;
  bool ready = false;
  base::Micros now = 0;

  ingest::IngestStats ingest;
  std::vector<ingest::ForwardStats> forwards;
  /// To flows.topic, in flows.
  struct FlowsSent {
    std::string topic;
    uint64_t records = 0, octets = 0;
    uint64_t delivered = 0, failed = 0, dropped = 0, waiting = 0;
  };
  std::optional<FlowsSent> flows_sent;
  std::optional<alert::Alerts::Status> alerts;  ///< of who has results
  decode::IngestLedger decoded;                 ///< of all exporters

  struct Exporter {
    std::string address;
    std::string site;       ///< may be empty
    std::string protocols;  ///< "IPFIX", "NetFlow v9+IPFIX"
    decode::IngestLedger ledger;
    uint64_t templates = 0;
    uint64_t sampling_rate_min = 0, sampling_rate_max = 0;  ///< 0: unknown
    std::optional<base::Micros> last_seen;
    window::WatermarkTracker::ExporterState clock;
  };
  /// In the order of their first appearance (decode::ExporterIndex). Those beyond the maximum share the label "other",
  /// so the first keep theirs and no counter goes back. The same address twice (several decoders) is added up.
  std::vector<Exporter> exporters;
  size_t exporter_series_max = 1'000;

  struct Query {
    std::string name;   ///< those of sessions ("~7") share the label "~": each would be a series for ever
    std::string state;  ///< "running", "paused", "failed", "plain"
    uint64_t incarnation = 0;
    uint32_t version = 1;
    std::optional<exec::WindowLedger> ledger;  ///< absent: it does not run
    std::optional<double> watermark_lag_seconds;
    std::optional<telemetry::Histogram::Snapshot> result_latency_seconds;  ///< end of window to being readable
  };
  std::vector<Query> queries;  ///< those of the lowest incarnations have series of their own, the others share "other"
  size_t query_series_max = 1'000;

  std::optional<base::Micros> watermark_event, watermark_arrival;

  http::ServerStatus http;
  HubCounts hub;
  std::optional<telemetry::Histogram::Snapshot> request_duration_seconds;

  /// Of the board where results become visible (result_board.h).
  struct Results {
    uint64_t rows = 0, rows_unshown = 0, rows_refused = 0, octets = 0;
  } results;
  std::optional<history::Store::Status> history;
  std::vector<SinkRegister::Info> sinks;
  AccessStatus access;

  uint64_t catalog_revision = 0;
  /// Of a catalog that many nodes share.
  struct SharedCatalog {
    bool following = false;
    uint64_t records = 0, races = 0, rereads = 0, restored = 0;
    std::vector<std::pair<std::string_view, uint64_t>> faults;  ///< records that say nothing, by reason
  };
  std::optional<SharedCatalog> shared_catalog;
  /// Logs in topics of Kafka, by their short names: what went wrong, by reason (transport/kafka_log.h).
  struct KafkaLog {
    std::string topic;
    std::vector<std::pair<std::string_view, uint64_t>> faults;
  };
  std::vector<KafkaLog> kafka_logs;
  /// Of an edge: the way of its partials (cluster/partials_spool.h).
  struct Spool {
    uint64_t appended = 0, sent = 0, dropped = 0;  ///< messages
    uint64_t octets_sent = 0, rows_dropped = 0, octets_held = 0;
    double lag_seconds = 0;  ///< age of the oldest that is not sent
  };
  std::optional<Spool> spool;
  /// Of a merge node: what has come from the edges.
  struct Partials {
    uint64_t octets = 0, taken = 0, waiting = 0, places_lost = 0;
    std::vector<std::pair<std::string_view, uint64_t>> dropped;  ///< messages, by reason
    std::vector<EdgeStatus> edges;
  };
  std::optional<Partials> partials;
  /// Of a merge worker (cluster/merge_worker.h).
  struct Worker {
    uint64_t partitions = 0, claims = 0, superseded = 0;
    uint64_t snapshots_written = 0, snapshots_failed = 0, snapshot_octets = 0;
    uint64_t results_sent = 0, result_octets = 0, results_waiting = 0;
  };
  std::optional<Worker> worker;
  /// Of a receiver that is apart from them: messages, and records that were not used, by reason.
  struct ResultsIn {
    uint64_t messages = 0;
    std::vector<std::pair<std::string_view, uint64_t>> dropped;
  };
  std::optional<ResultsIn> results_in;

  std::optional<base::Micros> checkpoint_at;
  uint64_t checkpoint_octets = 0;
  uint64_t checkpoints_written = 0, checkpoints_failed = 0, checkpoints_skipped = 0;
  std::optional<uint64_t> state_free_octets, state_total_octets;  ///< of the file system of state.folder
  uint64_t clock_steps = 0;                                       ///< times that the wall clock was set
  uint64_t outages = 0;                                           ///< times without us that are known

  struct Reload {
    uint64_t good = 0, bad = 0;
    bool last_good = true;  ///< the start counts as one
    base::Micros last_good_at = 0;
  } reload;

  telemetry::ProcessFacts process;
};

/// The page, in an order that depends on nothing but the input.
std::string metrics_page(const MetricsInput& input);

}  // namespace backstream::service
