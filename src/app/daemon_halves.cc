// What a daemon does that has one half of the queries: an edge, or a merge node.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/daemon.h"
#include "cluster/deferred_log.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {

using base::fail;
using base::Micros;
using base::Result;
using config::NodeRole;

namespace {

/// Of a node's object in the catalog.
struct NodeFacts {
  std::string site;
  bool is_edge = false;  ///< a process that is an edge and nothing else
  bool drained = false;
};
NodeFacts facts_of(const catalog::Object& node) {
  NodeFacts facts;
  const auto body = nlohmann::json::parse(node.body, nullptr, false);
  if (!body.is_object()) return facts;
  if (const auto site = body.find("site"); site != body.end() && site->is_string()) facts.site = *site;
  const auto roles = body.find("roles");
  facts.is_edge = roles != body.end() && roles->is_array() && roles->size() == 1 && roles->front() == "edge";
  const auto drained = body.find("drained");
  facts.drained = drained != body.end() && drained->is_boolean() && drained->get<bool>();
  return facts;
}

}  // namespace

Result<exec::Half> Daemon::half_of(const Options& options) {
  const std::vector<NodeRole>& roles = options.settings.node.roles;
  if (roles.size() == 3) return exec::Half::kBoth;
  const bool edge = std::find(roles.begin(), roles.end(), NodeRole::kEdge) != roles.end();
  if (edge && roles.size() > 1) {
    return fail("0A000", "a process is an edge, or merge, receiver or both, or all three", {},
                "--role edge in one process, --role merge --role receiver in another");
  }
  if (options.bus == nullptr && options.settings.kafka.brokers.empty()) {
    return fail("22023", "edges, merge workers and receivers need a log between them, and kafka.brokers is empty", {},
                "set kafka.brokers, or leave node.roles out: then one process does all");
  }
  return edge ? exec::Half::kEdge : exec::Half::kMerge;
}

namespace {

bool has_role(const config::Settings& settings, NodeRole role) {
  return std::find(settings.node.roles.begin(), settings.node.roles.end(), role) != settings.node.roles.end();
}

}  // namespace

/// Before there is an engine: which half it is, and what lies between the two.
Result<void> Daemon::open_halves() {
  const config::Settings& settings = options_.settings;
  const auto half = half_of(options_);
  if (!half) return tl::unexpected(half.error());
  half_ = *half;
  if (half_ == exec::Half::kBoth) return {};
  if (half_ == exec::Half::kEdge) return open_edge();
  const auto open = [&](const char* topic, std::shared_ptr<transport::Log>& log) -> Result<void> {
    auto opened = bus_->open_log(topic);
    if (!opened) return tl::unexpected(std::move(opened.error()));
    log = std::move(*opened);
    return {};
  };
  if (auto opened = open("results", results_); !opened) return opened;
  if (has_role(settings, NodeRole::kMerge)) {
    if (auto opened = open("partials", partials_); !opened) return opened;
    if (auto opened = open("snapshots", snapshots_); !opened) return opened;
  }
  return read_nodes();
}

Result<void> Daemon::open_edge() {
  const config::Settings& settings = options_.settings;
  const auto open = [bus = bus_] { return bus->open_log("partials"); };
  if (auto log = open()) {
    partials_ = std::move(*log);
  } else if (log.error().code == "08001") {
    // Flows do not wait: what is made of them waits in the spool.
    telemetry::terminal_log().warning(log.error().message + "; partial aggregates wait in the spool");
    partials_ = std::make_shared<cluster::DeferredLog>(
        static_cast<uint32_t>(settings.kafka.partitions), open,
        [](const base::Diagnostic& why) { telemetry::terminal_log().warning(why.message); });
  } else {
    return tl::unexpected(std::move(log.error()));
  }
  const auto node = catalog_->find(catalog::Kind::kNode, settings.node.name);
  if (!node) return tl::unexpected(node.error());
  if (!*node) {
    return fail("08001", "this edge was never in the catalog, and cannot be put there now", {},
                "an edge needs Kafka when it starts for the first time");
  }
  edge_ = static_cast<uint32_t>((*node)->incarnation.value);
  cluster::PartialsSpool::Options spool;
  spool.folder = settings.state.folder + "/spool";
  spool.octets_max = static_cast<uint64_t>(settings.edge.spool_octets);
  spool.edge = edge_;
  spool.before_all_flows = options_.before_all_flows;
  auto opened = cluster::PartialsSpool::open(std::move(spool), *partials_);
  if (!opened) return tl::unexpected(std::move(opened.error()));
  spool_ = std::move(*opened);
  return {};
}

/// Before the first row: what the process before left open is lost if it was killed, and what exporters have sent since
/// is in any case. The second is told as they are heard again.
void Daemon::go_on_from_mark() {
  EdgeMark before;
  if (!read_edge_mark(spool_->mark_before(), before)) return;
  uint64_t open_most = 0;
  for (const auto& [incarnation, rows] : before.rows) {
    lost_before_[incarnation] = rows.lost + rows.open;
    open_most = std::max(open_most, rows.open);
  }
  pipeline_->resume_sequences(std::move(before.sequences));
  engine_->tell_lost(lost_before_);
  if (open_most == 0) return;
  telemetry::terminal_log().warning(fmt::format(
      "the process before this one was killed with up to {} rows in open panes: they are lost, and counted as "
      "`lost` of each query",
      open_most));
}

/// At rest: what go_on_from_mark() of the next process is to know. After anything was sent, so that what was open is
/// not taken for lost, and now and then, so that exporters that were heard first since are known.
void Daemon::keep_mark(bool due) {
  const uint64_t away = pipeline_->missing_away();
  if (away != std::exchange(away_told_, away)) {
    std::map<uint64_t, uint64_t> lost = lost_before_;
    for (auto& [incarnation, rows] : lost) rows += away;
    engine_->tell_lost(lost);
  }
  const uint64_t sent = spool_->status().appended;
  if (sent == std::exchange(marked_at_, sent) && !due) return;
  pipeline_->flush();
  EdgeMark mark;
  mark.sequences = pipeline_->sequence_marks();
  for (const auto& [incarnation, open] : engine_->rows_open()) {
    const auto lost = lost_before_.find(incarnation);
    mark.rows[incarnation] = {open, lost == lost_before_.end() ? 0 : lost->second + away};
  }
  spool_->keep_mark(octets_of(mark));
}

/// The edges that the catalog knows.
Result<void> Daemon::read_nodes() {
  nodes_at_ = catalog_->revision();
  const auto nodes = catalog_->list(catalog::Kind::kNode);
  if (!nodes) return tl::unexpected(nodes.error());
  edge_nodes_.clear();
  std::vector<cluster::Membership::Expected> edges;
  for (const catalog::Object& node : *nodes) {
    const NodeFacts facts = facts_of(node);
    if (node.name == options_.settings.node.name) note_drained(facts.drained);
    if (!facts.is_edge) continue;
    const auto number = static_cast<uint32_t>(node.incarnation.value);
    edge_nodes_[number] = {node.name, facts.site.empty() ? node.name : facts.site};
    edges.push_back({number, facts.drained});
  }
  if (worker_) worker_->set_edges(std::move(edges));
  return {};
}

/// What the catalog says of this node. One that was drained, and is started again, is in use again as soon as it could
/// say so.
void Daemon::note_drained(bool drained) {
  if (!drained) in_use_ = true;
  else if (in_use_) drained_ = true;
}

/// Any thread but the engine's.
Result<void> Daemon::drain_node(const std::string& name, const catalog::Author& author) {
  if (shared_catalog_ == nullptr)
    return fail("0A000", "this node is alone: nobody waits for it", {},
                "stop it: backstream serve --drain, or SIGTERM");
  const auto node = catalog_->find(catalog::Kind::kNode, name);
  if (!node) return tl::unexpected(node.error());
  if (!*node) return fail("42704", fmt::format("there is no node '{}'", name), {}, "backstream node list");
  auto body = nlohmann::json::parse((*node)->body, nullptr, false);
  if (!body.is_object()) body = nlohmann::json::object();
  body["drained"] = true;
  catalog::Change change;
  change.action = catalog::Change::Action::kUpdate;
  change.kind = catalog::Kind::kNode;
  change.name = name;
  change.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  change.verb = "drain";
  if (change.body == (*node)->body) return {};
  const auto applied = catalog_->apply({&change, 1}, author, base::wall_clock());
  if (!applied) return tl::unexpected(applied.error());
  return {};
}

std::string Daemon::site_of(uint32_t edge) const {
  const auto node = edge_nodes_.find(edge);
  return node == edge_nodes_.end() ? std::to_string(edge) : node->second.site;
}

bool Daemon::shows_results() const {
  return half_ == exec::Half::kBoth ||
         (half_ == exec::Half::kMerge && has_role(options_.settings, NodeRole::kReceiver));
}

/// Before the queries: a receiver shows what workers have given before, too.
void Daemon::open_results() {
  if (half_ == exec::Half::kBoth || !shows_results()) return;
  cluster::ResultsIn::Options options;
  options.batch_rows = static_cast<size_t>(options_.settings.exec.batch_rows);
  options.nudge = [this] { pipeline_->nudge(); };
  results_in_ = std::make_unique<cluster::ResultsIn>(*results_, std::move(options));
}

/// When the queries are there.
Result<void> Daemon::join_workers() {
  const config::Settings& settings = options_.settings;
  if (half_ != exec::Half::kMerge || !has_role(settings, NodeRole::kMerge)) return {};
  cluster::MergeWorker::Options options;
  options.name = settings.node.name;
  options.engine.half = exec::Half::kMerge;
  options.engine.site_of = [this](uint32_t edge) { return site_of(edge); };
  options.engine.pane_us_max = exec::kShippedPaneMax;
  options.engine.batch_rows = static_cast<size_t>(settings.exec.batch_rows);
  options.absent_after = settings.merge.absent_after_us;
  options.clock = base::wall_clock;
  options.nudge = [this] { pipeline_->nudge(); };
  options.place = [this](uint32_t partition) { return group_->committed("snapshots", partition); };
  options.set_place = [this](uint32_t partition, uint64_t place) {
    return group_->commit("snapshots", partition, place);
  };
  options.tell = [](const std::string& line) { telemetry::terminal_log().line(line); };
  options.site_of = [this](uint32_t edge) { return site_of(edge); };
  worker_ = std::make_unique<cluster::MergeWorker>(*partials_, *snapshots_, *results_, std::move(options));
  if (auto read = read_nodes(); !read) return read;
  tend_halves();
  transport::Group::Callbacks group;
  group.assigned = [this](const std::vector<uint32_t>& partitions) {
    if (leaving_) return;
    jobs_->run([&] { worker_->own(partitions); });
  };
  group.revoked = [this](bool lost) {
    if (leaving_) return;
    jobs_->run([&] { worker_->give_up(lost); });
  };
  auto opened = bus_->join("merge", "partials", std::move(group));
  if (!opened) return tl::unexpected(std::move(opened.error()));
  group_ = std::move(*opened);
  return {};
}

/// The engine's thread, when nothing asks it any more: others go on with what was open here.
void Daemon::leave_workers() {
  if (!worker_) return;
  leaving_ = true;
  worker_->give_up(false);
  worker_.reset();
  group_.reset();
}

/// At rest.
void Daemon::take_from_logs() {
  if (worker_) {
    group_->tick();
    worker_->work();
  }
  const Micros now = base::wall_clock();
  for (int round = 0; results_in_ && round < 16 && results_in_->take(now); ++round) {
  }
}

/// At rest, every now and then: what the catalog says of edges and queries is told to who completes windows.
void Daemon::tend_halves() {
  if (catalog_->revision() != nodes_at_) {
    if (const auto read = read_nodes(); !read) telemetry::terminal_log().warning(read.error().render());
  }
  if (half_ != exec::Half::kMerge) return;
  auto started = register_->started();
  const auto same = [](const auto& one, const auto& other) { return one.order == other.order; };
  if (std::equal(started.begin(), started.end(), started_.begin(), started_.end(), same)) return;
  started_ = std::move(started);
  if (!worker_) return;
  std::vector<cluster::MergeQuery> queries;
  for (const auto& query : started_)
    queries.push_back({query.object.name, id_of(query.object), query.incarnation, query.query, query.reads, query.begin,
                       query.since, query.order});
  worker_->set_queries(std::move(queries));
}

/// What is known of queries that are completed elsewhere, by their numbers here: as receivers hear it, and a worker
/// knows it of its own. At rest.
std::map<size_t, cluster::QueryReport> Daemon::reports() const {
  std::map<size_t, cluster::QueryReport> reports;
  const auto own = worker_ ? worker_->reports() : std::map<cluster::QueryId, cluster::QueryReport>();
  for (const auto& query : started_) {
    const cluster::QueryId id = id_of(query.object);
    if (const auto known = own.find(id); known != own.end()) reports[query.number] = known->second;
    else if (const auto* told = results_in_ ? results_in_->report(id) : nullptr) reports[query.number] = *told;
  }
  return reports;
}

/// At rest.
std::vector<service::EdgeStatus> Daemon::edges() const {
  std::vector<service::EdgeStatus> edges;
  if (!worker_) return edges;
  const cluster::MergeWorker::Status status = worker_->status();
  for (const cluster::Membership::Edge& heard : status.edges) {
    service::EdgeStatus& edge = edges.emplace_back();
    if (const auto node = edge_nodes_.find(heard.number); node != edge_nodes_.end()) {
      edge.node = node->second.name;
      edge.site = node->second.site;
    }
    edge.absent = std::find(status.absent.begin(), status.absent.end(), heard.number) != status.absent.end();
    if (heard.heard_at != 0) edge.heard_at = heard.heard_at;
  }
  return edges;
}

/// At rest.
void Daemon::add_halves(service::MetricsInput& input) const {
  for (transport::Bus::Faults& faults : bus_ ? bus_->faults() : std::vector<transport::Bus::Faults>())
    input.kafka_logs.push_back({std::move(faults.topic), {faults.counts.begin(), faults.counts.end()}});
  if (spool_) {
    const auto status = spool_->status();
    auto& spool = input.spool.emplace(service::MetricsInput::Spool{});
    spool.appended = status.appended;
    spool.sent = status.sent;
    spool.dropped = status.dropped;
    spool.octets_sent = status.octets_sent;
    spool.rows_dropped = status.rows_dropped;
    spool.octets_held = status.octets_held;
    if (status.oldest_unsent != 0)
      spool.lag_seconds =
          static_cast<double>(std::max<Micros>(0, input.now - status.oldest_unsent)) / base::kMicrosPerSecond;
  }
  if (results_in_) {
    const cluster::ResultsIn::Status status = results_in_->status();
    input.results_in = service::MetricsInput::ResultsIn{status.messages,
                                                        {{"repeat", status.repeats},
                                                         {"superseded", status.superseded},
                                                         {"refused", status.refused},
                                                         {"version_unknown", status.newer},
                                                         {"unknown_query", status.unknown},
                                                         {"lost", status.lost}}};
  }
  if (!worker_) return;
  const cluster::MergeWorker::Status status = worker_->status();
  input.worker =
      service::MetricsInput::Worker{status.partitions,        status.claims,           status.superseded,
                                    status.snapshots_written, status.snapshots_failed, status.snapshot_octets,
                                    status.results.messages,  status.results.octets,   status.results.waiting_octets};
  auto& partials = input.partials.emplace(service::MetricsInput::Partials{});
  partials.octets = status.partials.octets;
  partials.taken = status.partials.taken;
  partials.waiting = status.early_octets;
  partials.places_lost = status.feed.places_lost;
  for (size_t why = 0; why < status.partials.refused.size(); ++why)
    partials.dropped.emplace_back(partial::name(static_cast<partial::PartialFault>(why)), status.partials.refused[why]);
  for (size_t why = 0; why < status.partials.dropped.size(); ++why)
    partials.dropped.emplace_back(partial::name(static_cast<partial::InboxDrop>(why)), status.partials.dropped[why]);
  partials.dropped.emplace_back("unknown_query", status.early_dropped);
  partials.edges = edges();
}

}  // namespace backstream::app
