#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "alert/alerts.h"
#include "app/catalog_store.h"
#include "app/edge_mark.h"
#include "app/exporter_state.h"
#include "app/input.h"
#include "app/pipeline.h"
#include "app/table_refresh.h"
#include "base/published.h"
#include "catalog/catalog.h"
#include "cluster/merge_worker.h"
#include "cluster/partials_spool.h"
#include "cluster/results_in.h"
#include "config/load.h"
#include "exec/engine.h"
#include "history/store.h"
#include "http/events.h"
#include "http/router.h"
#include "http/server.h"
#include "inventory/inventory.h"
#include "partial/codec.h"
#include "service/access.h"
#include "service/api.h"
#include "service/checkpoints.h"
#include "service/doctor.h"
#include "service/metrics.h"
#include "service/query_register.h"
#include "service/rest_jobs.h"
#include "service/result_board.h"
#include "service/sessions.h"
#include "service/sink_register.h"
#include "service/snapshot.h"
#include "transport/bus.h"
#include "transport/kafka_records.h"

namespace backstream::app {

/// One process of the service: sockets, engine, catalog, register, results, API. `backstream serve` is this and
/// signals; `backstream demo` is this and routers of its own.
///
/// With some of the roles it does a part of that: an edge has no results, merge workers and receivers no sockets;
/// between them lie logs (docs/design/0027-halves-apart.md, 0028-merge-workers.md), in Kafka or, of several daemons in
/// one process, in its memory (0030-bus.md).
///
/// The thread that calls run() is the engine's; handlers of the API are others, and reach the engine through RestJobs.
class Daemon {
 public:
  struct Options {
    config::Settings settings;
    config::LoadRequest load;        ///< where the settings come from: for reload()
    std::vector<std::string> files;  ///< that were read
    uint32_t threads = 1;            ///< that receive
    bool state_kept = true;          ///< false: nothing of a run before this one is read, and nothing is left (a demo)
    std::vector<service::QueryRegister::Edit> queries = {};  ///< are done before anything else can ask for some
    std::shared_ptr<transport::Bus> bus = nullptr;           ///< between this and other nodes; null: that of kafka.*
    /// Edges have a query so long after its change in the catalog: then its windows begin. The same on all nodes.
    base::Micros edges_hear = 10 * base::kMicrosPerSecond;
    /// No flow is sent before this is open, and those that it makes queries for: nothing was missed (a demo).
    bool before_all_flows = false;
  };
  /// Which halves of queries a daemon with these options runs; kMerge: it may be a receiver alone. Errors: roles that
  /// do not go together, or have no log between them.
  static base::Result<exec::Half> half_of(const Options& options);
  /// Opens everything and starts what the catalog has; nothing is received yet. Errors: of settings that cannot be, of
  /// the state folder, the catalog, sockets, the HTTP listener.
  static base::Result<std::unique_ptr<Daemon>> open(Options options);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// How a run ends.
  enum class End : uint8_t {
    kSave,   ///< open windows are kept for the next process, and nothing is emitted
    kDrain,  ///< all windows are closed now, as partial
    kClose,  ///< all windows are closed as they are: the end of a demo
  };
  /// Receives until `go_on` says how to end. Asked about ten times a second. Once.
  base::Result<void> run(const std::function<std::optional<End>()>& go_on);

  /// Reads the settings again and applies those that are live: lines that say what changed. Errors: what is wrong with
  /// them; then all stays. Within run()'s `go_on` only; from other threads through the API.
  base::Result<std::string> reload();

  service::QueryRegister& queries() { return *register_; }
  std::shared_ptr<const service::Snapshot> snapshot() const { return snapshot_.snapshot(); }  ///< any thread
  service::ResultBoard& board() { return *board_; }
  http::EventHub& hub() { return hub_; }
  const config::Settings& settings() const { return options_.settings; }
  std::vector<uint16_t> flow_ports() const;                          ///< in the order of listen.flow
  const std::string& http_address() const { return http_address_; }  ///< "http://127.0.0.1:8844"
  Pipeline& pipeline() { return *pipeline_; }
  exec::Engine& engine() { return *engine_; }

 private:
  explicit Daemon(Options options);
  base::Result<void> open_state();
  base::Result<void> open_halves();
  base::Result<void> open_edge();
  base::Result<void> read_nodes();
  void note_drained(bool drained);
  base::Result<void> drain_node(const std::string& name, const catalog::Author& author);
  /// Where halves are apart what is open lies in logs.
  bool keeps_windows() const { return options_.state_kept && half_ == exec::Half::kBoth; }
  void open_results();
  bool shows_results() const;
  base::Result<void> open_history();
  base::Result<void> open_sinks();
  bool is_kept(const std::string& query) const;
  base::Result<void> join_workers();
  void leave_workers();
  void take_from_logs();
  void tend_halves();
  void go_on_from_mark();
  void keep_mark(bool due);
  std::map<size_t, cluster::QueryReport> reports() const;
  std::vector<service::EdgeStatus> edges() const;
  void add_halves(service::MetricsInput& input) const;
  base::Result<void> open_input();
  base::Result<void> open_alerts();
  void tend_alerts(base::Micros now);
  exec::Engine::Whole whole_of(const service::QueryRegister::Status& status) const;
  base::Result<void> open_register();
  base::Result<void> join_at_start();
  base::Result<void> join_catalog();
  void tend_access(base::Micros now);
  base::Result<void> open_http();
  service::QueryGround ground();
  static cluster::QueryId id_of(const catalog::Object& query) {
    return {partial::object_number(query.name, query.incarnation.value), static_cast<uint32_t>(query.version)};
  }
  std::string site_of(uint32_t edge) const;
  base::Result<std::string> reload_at_rest();
  void go_on_from_before();
  std::pair<service::SavedState, service::CheckpointHeader> state_of(
      const std::vector<service::QueryRegister::Status>& queries, base::Micros now, bool clean);
  std::vector<service::TopicPlace> topic_places() const;
  base::Result<void> keep_places() const;
  std::vector<transport::KafkaPlace> places_of_before();
  void mark_gaps(base::Micros from, base::Micros until);
  void take_snapshot(base::Micros now);
  void watch_clock(base::Micros now);
  std::vector<service::ExporterStatus> exporters();
  service::MetricsInput metrics_at_rest();
  service::MetricsInput metrics_input();
  std::string doctor_json();

  /// In force; other threads than the engine's have the published copy.
  Options options_;
  base::Published<config::Settings> settings_;
  base::Published<std::vector<std::string>> files_;
  batch::Schema flow_schema_;
  const base::Micros started_at_;
  std::shared_ptr<transport::Bus> bus_;  ///< null: nothing is shared with other nodes
  std::unique_ptr<catalog::Catalog> catalog_;
  catalog::KafkaCatalog* shared_catalog_ = nullptr;  ///< the same, where other nodes have it, too
  std::unique_ptr<inventory::Inventory> inventory_;
  plan::LookupTables::Item as_table_;
  std::shared_ptr<decode::TemplateStore> announcements_;
  std::unique_ptr<ExporterState> exporter_state_;
  // Where halves are apart; the engine uses them.
  exec::Half half_ = exec::Half::kBoth;
  uint32_t edge_ = 0;  ///< number of this node among the edges
  std::shared_ptr<transport::Log> partials_;
  std::shared_ptr<transport::Log> snapshots_, results_;
  std::unique_ptr<cluster::PartialsSpool> spool_;  ///< edge
  std::map<uint64_t, uint64_t> lost_before_;       ///< edge: rows that processes before this one lost, by incarnation
  uint64_t marked_at_ = 0, away_told_ = 0;  ///< edge: messages when a mark was kept; records that were told as lost
  struct EdgeNode {
    std::string name, site;
  };
  std::map<uint32_t, EdgeNode> edge_nodes_;               ///< by number; of merge workers and receivers, as is the next
  catalog::Revision nodes_at_;                            ///< of the catalog, when they were read
  std::vector<service::QueryRegister::Started> started_;  ///< as the worker knows them
  std::atomic<bool> leaving_{false};                      ///< the group is not listened to any more
  bool in_use_ = false, drained_ = false;                 ///< as the catalog says of this node, one after the other
  std::unique_ptr<exec::Engine> engine_;
  std::vector<std::string> sites_;
  Input input_;
  TableRefresh refresh_;

  http::EventHub hub_;
  std::unique_ptr<history::Store> history_;  ///< null: results are not kept
  std::unique_ptr<alert::Alerts> alerts_;    ///< null: no results come here
  base::Micros sampling_at_ = 0;             ///< when alerts were told of sampling
  std::unique_ptr<service::ResultBoard> board_;
  std::unique_ptr<FlowOutput> flow_output_;  ///< null: flows are not sent on
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<cluster::ResultsIn> results_in_;  ///< receiver; nudges the pipeline, as do the next two
  std::unique_ptr<cluster::MergeWorker> worker_;
  std::unique_ptr<transport::Group> group_;  ///< of merge workers; its callbacks use jobs_
  std::unique_ptr<service::RestJobs> jobs_;
  std::unique_ptr<service::TableRegister> tables_;
  std::unique_ptr<service::QueryRegister> register_;
  std::unique_ptr<service::Sessions> sessions_;
  sink::PrometheusPages prometheus_pages_;        ///< of sinks_
  std::unique_ptr<service::SinkRegister> sinks_;  ///< null: nothing is kept, so nothing is sent on
  std::unique_ptr<service::Checkpoints> checkpoints_;
  std::optional<service::Checkpoints::Before> before_;  ///< until the queries go on from it
  std::vector<service::Outage> outages_;
  telemetry::ClockWatch clock_;
  std::unique_ptr<service::Access> access_;
  base::Published<service::Snapshot> snapshot_;
  service::Snapshot latest_;
  struct Count {
    base::Micros at;
    uint64_t datagrams, flows, octets;
  };
  std::deque<Count> counts_;  ///< of the last seconds
  bool others_ask_ = false;   ///< from here on the engine is reached through jobs_
  base::Micros access_told_at_ = 0;
  bool places_told_ = false;  ///< that they cannot be kept
  uint64_t first_seq_ = 0;    ///< of queries that are new to this process

  service::MetricsInput::Reload reloads_;
  service::EarlierCounts earlier_;
  telemetry::Histogram request_seconds_{telemetry::latency_bounds_seconds()};

  http::Router router_;
  std::string http_address_;
  std::unique_ptr<CatalogFollower> follower_;  ///< of shared_catalog_
  std::unique_ptr<http::Server> server_;       ///< Last: handlers use all of the above.
};

}  // namespace backstream::app
