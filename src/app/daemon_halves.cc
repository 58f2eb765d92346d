// What a daemon does that has one half of the queries: an edge, or a merge node.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/daemon.h"
#include "app/kafka_options.h"
#include "cluster/deferred_log.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {

using base::fail;
using base::Micros;
using base::Result;
using config::NodeRole;

namespace {

constexpr size_t kEarlyOctetsMax = size_t{64} << 20;

/// Of a node's object in the catalog.
struct NodeFacts {
  std::string site;
  bool is_edge = false;  ///< a process that is an edge and nothing else
};
NodeFacts facts_of(const catalog::Object& node) {
  NodeFacts facts;
  const auto body = nlohmann::json::parse(node.body, nullptr, false);
  if (!body.is_object()) return facts;
  if (const auto site = body.find("site"); site != body.end() && site->is_string()) facts.site = *site;
  const auto roles = body.find("roles");
  facts.is_edge = roles != body.end() && roles->is_array() && roles->size() == 1 && roles->front() == "edge" &&
                  !body.value("drained", false);
  return facts;
}

}  // namespace

Result<exec::Half> Daemon::half_of(const config::Settings& settings) {
  const std::vector<NodeRole>& roles = settings.node.roles;
  if (roles.size() == 3) return exec::Half::kBoth;
  const bool edge = roles == std::vector{NodeRole::kEdge};
  if (!edge && roles != std::vector{NodeRole::kMerge, NodeRole::kReceiver}) {
    return fail("0A000", "a process is an edge, or merge and receiver, or all three", {},
                "--role edge in one process, --role merge --role receiver in another");
  }
  if (settings.kafka.brokers.empty()) {
    return fail("22023", "an edge and a merge node need a log between them, and kafka.brokers is empty", {},
                "set kafka.brokers, or leave node.roles out: then one process does all");
  }
  return edge ? exec::Half::kEdge : exec::Half::kMerge;
}

/// Before there is an engine: which half it is, and what lies between the two.
Result<void> Daemon::open_halves() {
  const config::Settings& settings = options_.settings;
  const auto half = half_of(settings);
  if (!half) return tl::unexpected(half.error());
  half_ = *half;
  if (half_ == exec::Half::kBoth) return {};
  auto connection = transport::KafkaConnection::open(kafka_options(settings, tell_kafka_notice));
  if (!connection) return tl::unexpected(std::move(connection.error()));
  kafka_ = std::move(*connection);
  const auto open_log = [connection = kafka_, topic = kafka_topic_options(
                                                  settings, "partials")]() -> Result<std::unique_ptr<transport::Log>> {
    auto log = transport::KafkaLog::open(connection, topic);
    if (!log) return tl::unexpected(std::move(log.error()));
    return std::unique_ptr<transport::Log>(std::move(*log));
  };
  if (auto log = open_log()) {
    partials_ = std::move(*log);
  } else if (half_ == exec::Half::kEdge && log.error().code == "08001") {
    // Flows do not wait: what is made of them waits in the spool.
    telemetry::terminal_log().warning(log.error().message + "; partial aggregates wait in the spool");
    partials_ = std::make_unique<cluster::DeferredLog>(
        static_cast<uint32_t>(settings.kafka.partitions), open_log,
        [](const base::Diagnostic& why) { telemetry::terminal_log().warning(why.message); });
  } else {
    return tl::unexpected(std::move(log.error()));
  }
  if (half_ == exec::Half::kMerge) {
    membership_.emplace(settings.merge.absent_after_us, started_at_);
    return read_nodes();
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
  auto opened = cluster::PartialsSpool::open(std::move(spool), *partials_);
  if (!opened) return tl::unexpected(std::move(opened.error()));
  spool_ = std::move(*opened);
  return {};
}

/// The edges that the catalog knows.
Result<void> Daemon::read_nodes() {
  nodes_at_ = catalog_->revision();
  const auto nodes = catalog_->list(catalog::Kind::kNode);
  if (!nodes) return tl::unexpected(nodes.error());
  std::vector<uint32_t> edges;
  edge_nodes_.clear();
  for (const catalog::Object& node : *nodes) {
    const NodeFacts facts = facts_of(node);
    if (!facts.is_edge) continue;
    const auto number = static_cast<uint32_t>(node.incarnation.value);
    edges.push_back(number);
    edge_nodes_[number] = {node.name, facts.site.empty() ? node.name : facts.site};
  }
  membership_->set_edges(edges);
  return {};
}

/// At rest: what has come from the edges goes into the engine.
void Daemon::take_partials() {
  const Micros now = base::wall_clock();
  const auto take = [&](const cluster::PartialsFeed::Record& record) {
    partial::Message message;
    partial::PartialFault fault{};
    if (partial::read_message(record.bytes, message, fault) && message.kind == partial::Message::Kind::kPresence &&
        message.presence.origin.incarnation == 0)
      membership_->heard(message.presence, now);
    return engine_->take(record.bytes) != exec::Engine::Taken::kUnknown;
  };
  bool any = false;
  for (int round = 0; round < 64; ++round) {
    auto records = feed_->take();
    if (records.empty()) break;
    any = true;
    for (auto& record : records) {
      if (take(record)) continue;
      // Of a query that this node has not heard of yet, or that is gone.
      early_octets_ += record.bytes.size();
      early_.push_back(std::move(record));
    }
    while (early_octets_ > kEarlyOctetsMax) {
      early_octets_ -= early_.front().bytes.size();
      early_.pop_front();
    }
    engine_->settle();
  }
  if (any) return;
  // Nothing is under way: those that waited may have their query now.
  if (early_.empty() || engine_->query_count() == early_seen_) return;
  early_seen_ = engine_->query_count();
  std::deque<cluster::PartialsFeed::Record> waiting;
  waiting.swap(early_);
  early_octets_ = 0;
  for (auto& record : waiting) {
    if (take(record)) continue;
    early_octets_ += record.bytes.size();
    early_.push_back(std::move(record));
  }
  engine_->settle();
}

/// At rest.
void Daemon::add_halves(service::MetricsInput& input) const {
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
  if (!feed_) return;
  const auto counts = engine_->partial_counts();
  auto& partials = input.partials.emplace(service::MetricsInput::Partials{});
  partials.octets = counts.octets;
  partials.taken = counts.taken;
  partials.waiting = early_octets_;
  partials.places_lost = feed_->status().places_lost;
  for (size_t why = 0; why < counts.refused.size(); ++why)
    partials.dropped.emplace_back(partial::name(static_cast<partial::PartialFault>(why)), counts.refused[why]);
  for (size_t why = 0; why < counts.dropped.size(); ++why)
    partials.dropped.emplace_back(partial::name(static_cast<partial::InboxDrop>(why)), counts.dropped[why]);
  partials.dropped.emplace_back("unknown_query", counts.unknown);
  const auto& members = engine_->members().edges;
  for (const cluster::Membership::Edge& heard : membership_->edges()) {
    auto& edge = partials.edges.emplace_back();
    if (const auto node = edge_nodes_.find(heard.number); node != edge_nodes_.end()) {
      edge.node = node->second.name;
      edge.site = node->second.site;
    }
    const auto member =
        std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.edge == heard.number; });
    edge.absent = member != members.end() && member->absent;
    if (heard.heard_at != 0) edge.heard_at = heard.heard_at;
  }
}

/// Once a second: decisions about who is waited for go to the log, and come back from it.
void Daemon::tend_members(Micros now) {
  if (catalog_->revision() != nodes_at_) {
    if (const auto read = read_nodes(); !read) telemetry::terminal_log().warning(read.error().render());
  }
  const auto decided = membership_->decide(engine_->members(), now);
  if (!decided || now - decided_at_ < base::kMicrosPerSecond) return;
  decided_at_ = now;
  for (const partial::Members::Member& member : decided->edges) {
    const auto& before = engine_->members().edges;
    const auto was = std::find_if(before.begin(), before.end(), [&](const auto& b) { return b.edge == member.edge; });
    const bool was_absent = was != before.end() && was->absent;
    if (member.absent == was_absent && was != before.end()) continue;
    telemetry::terminal_log().line(fmt::format("site {} {}", edge_nodes_[member.edge].site,
                                               member.absent ? "is absent: windows close without it"
                                               : was_absent  ? "is back: its windows are revised"
                                                             : "is waited for from now on"));
  }
  const auto message = partial::write_members(*decided);
  std::vector<transport::Log::Addition> additions;
  std::vector<transport::Log::Appended> results;
  for (uint32_t partition = 0; partition < partials_->partition_count(); ++partition)
    additions.push_back({partition, message});
  if (partials_->append_all(additions, results) != transport::LogStatus::kOk)
    telemetry::terminal_log().warning("who is waited for could not be written to Kafka; it is tried again");
}

}  // namespace backstream::app
