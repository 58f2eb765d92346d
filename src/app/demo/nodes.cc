#include "app/demo/nodes.h"

#include <utility>

#include "app/query_texts.h"
#include "app/starter_queries.h"

namespace backstream::app::demo {

using base::Result;

namespace {

/// Of a change in the catalog, in one process.
constexpr Micros kEdgesHear = kSecond;
constexpr int64_t kReadyOctets = 4 << 20;  ///< there are several engines, and little traffic

Result<std::vector<service::QueryRegister::Edit>> demo_queries() {
  std::vector<service::QueryRegister::Edit> edits;
  const auto add = [&](std::string_view name, std::string_view text) {
    service::QueryRegister::Edit& edit = edits.emplace_back();
    edit.action = service::QueryRegister::Edit::Action::kPut;  // A second attempt finds those of the first.
    edit.name = name;
    edit.text = text;
  };
  for (const DemoQuery& query : {kMatrix, kSweep, kPopTraffic}) add(query.name, query.text);
  for (const StarterQuery& file : starter_queries()) {
    const auto texts = split_queries(file.text, std::string(file.name) + ".sql", std::string(file.name));
    if (!texts) return tl::unexpected(texts.error());
    for (const QueryText& text : *texts) add(text.name, file.text.substr(text.offset_octets, text.length_octets));
  }
  return edits;
}

/// What all nodes have in common.
Daemon::Options options_of(const std::string& name, const std::string& folder,
                           const std::shared_ptr<transport::MemoryBus>& link) {
  Daemon::Options options;
  options.settings.node.name = name;
  options.settings.state.folder = folder + "/" + name;
  options.settings.catalog.store = config::CatalogStore::kKafka;
  options.settings.watermark.delay_us = kDelay;
  options.settings.exec.ready_memory_octets = kReadyOctets;
  options.state_kept = false;
  options.bus = link;
  options.edges_hear = kEdgesHear;
  options.before_all_flows = true;
  return options;
}

}  // namespace

Result<std::unique_ptr<Nodes>> Nodes::open(const std::string& folder, const std::string& webhook) {
  std::unique_ptr<Nodes> nodes(new Nodes);
  nodes->broker_ = std::make_shared<transport::MemoryBroker>(transport::MemoryBroker::Options{});
  // It has the queries before there are edges, which begin with them.
  if (auto opened = nodes->open_center(folder, webhook); !opened) return tl::unexpected(std::move(opened.error()));
  for (size_t pop = 0; pop < kPops.size(); ++pop) {
    if (auto opened = nodes->open_edge(pop, folder); !opened) return tl::unexpected(std::move(opened.error()));
  }
  return nodes;
}

Result<void> Nodes::open_center(const std::string& folder, const std::string& webhook) {
  Daemon::Options options = options_of("demo", folder, std::make_shared<transport::MemoryBus>(broker_));
  config::Settings& settings = options.settings;
  settings.node.roles = {config::NodeRole::kMerge, config::NodeRole::kReceiver};
  settings.merge.absent_after_us = 10 * kSecond;
  config::NotifySettings& endpoint = settings.notify.emplace_back();
  endpoint.name = "demo";
  endpoint.has_type = true;
  endpoint.to = webhook;
  auto queries = demo_queries();
  if (!queries) return tl::unexpected(std::move(queries.error()));
  options.queries = std::move(*queries);
  auto opened = Daemon::open(options);
  if (!opened && opened.error().code == "55006") {
    settings.http.listen = "http://127.0.0.1:0";
    opened = Daemon::open(options);
  }
  if (!opened) return tl::unexpected(std::move(opened.error()));
  center_.daemon = std::move(*opened);
  return {};
}

Result<void> Nodes::open_edge(size_t pop, const std::string& folder) {
  links_[pop] = std::make_shared<transport::MemoryBus>(broker_);
  Daemon::Options options = options_of(kPops[pop].name, folder, links_[pop]);
  config::Settings& settings = options.settings;
  settings.node.site = kPops[pop].name;
  settings.node.roles = {config::NodeRole::kEdge};
  settings.http.listen = "http://127.0.0.1:0";
  settings.listen.flow.assign(1, {"udp", "127.0.0.1", 0});
  config::ExporterSettings& exporter = settings.exporters.emplace_back();
  exporter.prefix = source_of(pop);
  exporter.site = kPops[pop].name;
  auto opened = Daemon::open(std::move(options));
  if (!opened) return tl::unexpected(std::move(opened.error()));
  edges_[pop].daemon = std::move(*opened);
  return {};
}

Nodes::~Nodes() { (void)stop(); }

void Nodes::start() {
  center_.start();
  for (Node& edge : edges_) edge.start();
}

Result<void> Nodes::stop() {
  Result<void> ended;
  for (Node& edge : edges_) edge.stop = true;
  for (Node& edge : edges_) {
    if (auto done = edge.end(); !done) ended = std::move(done);
  }
  if (auto done = center_.end(); !done) ended = std::move(done);
  return ended;
}

void Nodes::Node::start() {
  thread = std::thread([this] {
    ended = daemon->run([this] {
      daemon->pipeline().at_rest([this] { count(); });
      return stop ? std::optional(Daemon::End::kClose) : std::nullopt;
    });
    count();
  });
}

/// On the engine's thread.
void Nodes::Node::count() {
  const std::lock_guard lock(mutex);
  counts.ingest = daemon->pipeline().ingested();
  counts.decoded = daemon->pipeline().decoded();
}

Result<void> Nodes::Node::end() {
  stop = true;
  if (thread.joinable()) thread.join();
  return ended;
}

std::array<uint16_t, kPops.size()> Nodes::flow_ports() const {
  std::array<uint16_t, kPops.size()> ports{};
  for (size_t pop = 0; pop < kPops.size(); ++pop) ports[pop] = edges_[pop].daemon->flow_ports().front();
  return ports;
}

Nodes::Counts Nodes::counts() const {
  Counts counts;
  for (const Node& edge : edges_) {
    const std::lock_guard lock(edge.mutex);
    counts.ingest += edge.counts.ingest;
    counts.decoded += edge.counts.decoded;
  }
  // Windows close at the center, so that is where rows are found to be late.
  if (const auto matrix = center_.daemon->queries().find(kMatrix.name); matrix && matrix->number) {
    const auto snapshot = center_.daemon->snapshot();
    const auto ledger = snapshot->ledgers.find(*matrix->number);
    if (ledger != snapshot->ledgers.end()) counts.late = ledger->second.late;
  }
  return counts;
}

}  // namespace backstream::app::demo
