#include "app/daemon.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>
#include <utility>

#include "app/client_command.h"
#include "app/kafka_options.h"
#include "app/site_names.h"
#include "base/files.h"
#include "batch/flow_schema.h"
#include "config/endpoint.h"
#include "console/routes.h"
#include "service/access_routes.h"
#include "service/exposure.h"
#include "service/openapi.h"
#include "service/standing_definitions.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {

using base::fail;
using base::Micros;
using base::Result;
using base::wall_clock;

namespace {

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kCheckpointInterval = 10 * kSecond;
constexpr std::string_view kFlows = "flows";
constexpr const char* kPlacesFile = "topics.json";

/// A thousand browsers are a thousand descriptors; the usual limit of a shell is 1,024.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<void> make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) ::chmod(path.c_str(), 0700);
  if (!error && ::access(path.c_str(), R_OK | W_OK | X_OK) == 0) return {};
  const std::string why = error ? error.message() : std::strerror(errno);
  return fail("58030", fmt::format("the state folder '{}' cannot be used: {}", path, why), {},
              "set state.folder to a folder that this user may write to");
}

std::string_view role_name(config::NodeRole role) {
  constexpr std::string_view kNames[] = {"edge", "merge", "receiver"};
  return kNames[static_cast<size_t>(role)];
}

std::string in_folder(const std::string& folder, const char* name) {
  return (std::filesystem::path(folder) / name).string();
}

}  // namespace

Daemon::Daemon(Options options)
    : options_(std::move(options)),
      flow_schema_(batch::flow_schema(options_.settings.columns)),
      started_at_(wall_clock()),
      first_seq_(static_cast<uint64_t>(started_at_)) {
  reloads_.last_good_at = started_at_;
}

Daemon::~Daemon() {
  if (jobs_) jobs_->close();
  server_.reset();  // No handler runs from here on.
  follower_.reset();
  sessions_.reset();
  refresh_.stop();
  if (exporter_state_) exporter_state_->stop();
}

Result<std::unique_ptr<Daemon>> Daemon::open(Options options) {
  raise_descriptor_limit();
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(options)));
  for (const auto step :
       {&Daemon::open_state, &Daemon::join_at_start, &Daemon::open_halves, &Daemon::open_input, &Daemon::open_history,
        &Daemon::open_alerts, &Daemon::open_register, &Daemon::open_sinks, &Daemon::open_http}) {
    if (auto done = ((*daemon).*step)(); !done) return tl::unexpected(std::move(done.error()));
  }
  return daemon;
}

Result<void> Daemon::open_state() {
  const config::Settings& settings = options_.settings;
  const std::string& folder = settings.state.folder;
  if (auto made = make_folder(folder); !made) return made;
  bus_ = options_.bus;
  const bool alone = settings.node.roles.size() == 3 && settings.catalog.store != config::CatalogStore::kKafka;
  if (bus_ == nullptr && !alone) bus_ = kafka_bus(settings);
  auto opened = open_catalog_store(settings, bus_);
  if (!opened) return tl::unexpected(std::move(opened.error()));
  catalog_ = std::move(opened->catalog);
  shared_catalog_ = opened->shared;

  auto inventory = inventory::Inventory::open(
      {settings.inventory.sites, settings.inventory.exporters, settings.inventory.interfaces});
  if (!inventory) return tl::unexpected(std::move(inventory.error()));
  inventory_ = std::move(*inventory);
  if (!settings.enrich.as_table.empty()) {
    auto table = open_as_table(settings.enrich.as_table);
    if (!table) return tl::unexpected(std::move(table.error()));
    as_table_ = std::move(*table);
  }
  announcements_ = std::make_shared<decode::TemplateStore>(announcement_limits(settings));
  settings_.publish(std::make_shared<const config::Settings>(settings));
  files_.publish(std::make_shared<const std::vector<std::string>>(options_.files));
  const std::string& state_file = settings.decode.state_file;
  exporter_state_ =
      std::make_unique<ExporterState>(state_file.empty() ? in_folder(folder, "exporters.state") : state_file);
  return exporter_state_->load(*announcements_);
}

/// Before the first row: queries go on from what the process before this one has kept, and know what they have missed.
void Daemon::go_on_from_before() {
  const auto statuses = register_->list();
  std::set<size_t> anew;
  for (const auto& status : statuses) {
    if (status.number) anew.insert(*status.number);
  }
  if (before_) {
    const service::CheckpointHeader& header = before_->header;
    outages_ = header.outages;
    outages_.push_back({before_->state.saved_at, started_at_, before_->state.clean});
    telemetry::TerminalLog& log = telemetry::terminal_log();
    log.line(
        fmt::format("open windows of {} are taken up ({}); windows that overlap the time until now are not complete",
                    base::format_timestamp(before_->state.saved_at),
                    before_->state.clean ? "it was stopped" : "it was killed: what came after is lost"));
    if (auto streams = engine_->restore_streams(before_->state.streams); !streams)
      log.warning("watermarks begin anew: " + streams.error().message);
    for (const service::SavedQuery& saved : before_->state.queries) {
      const auto at = std::find_if(statuses.begin(), statuses.end(), [&](const auto& status) {
        return status.number && status.object.name == saved.name &&
               status.object.incarnation.value == saved.incarnation && status.object.version == saved.version;
      });
      if (at == statuses.end()) continue;
      if (auto restored = engine_->restore_state(*at->number, saved.octets); !restored) {
        log.warning(fmt::format("query '{}' begins anew: {}", saved.name, restored.error().message));
        continue;
      }
      anew.erase(*at->number);
      // What was sent already is not sent again, though the state is from before; and what a version before this one
      // had still to give is given by this one.
      const auto sent = before_->sent.find(saved.name);
      Micros begin = sent == before_->sent.end() ? base::kMinTime : sent->second + 1;
      if (begin != base::kMinTime && history_) {
        // What was sent in the last moments before a kill is not on the disk: it is given once more.
        const auto kept = history_->last_window({saved.name, saved.incarnation});
        if (kept && *kept) begin = std::min(begin, **kept + 1);
      }
      register_->begin_at(saved.name, begin);
      engine_->mark_gap(*at->number, header.watermark, started_at_);
    }
    if (header.watermark != base::kMinTime) pipeline_->resume_at(header.watermark);
    before_.reset();
  }
  if (spool_) go_on_from_mark();
  // Of edges the spool tells what they missed.
  for (const size_t number : anew) {
    if (half_ == exec::Half::kBoth) engine_->mark_gap(number, base::kMinTime, started_at_);
  }
  engine_->catch_up();
}

/// At rest.
std::pair<service::SavedState, service::CheckpointHeader> Daemon::state_of(
    const std::vector<service::QueryRegister::Status>& queries, Micros now, bool clean) {
  service::SavedState state;
  state.saved_at = now;
  state.clean = clean;
  pipeline_->flush();  // What topics have given is in the state, or read again.
  engine_->save_streams(state.streams);
  service::CheckpointHeader header;
  header.watermark = engine_->watermark(kFlows);
  header.outages = outages_;
  header.topics = topic_places();
  for (const auto& status : queries) {
    if (status.temporary || !status.number) continue;
    service::SavedQuery& query = state.queries.emplace_back();
    query.name = status.object.name;
    query.incarnation = status.object.incarnation.value;
    query.version = status.object.version;
    engine_->save_state(*status.number, query.octets);
    if (clean) header.last_seqs[query.name] = board_->last_seq(query.name);
  }
  return {std::move(state), std::move(header)};
}

/// At rest.
std::vector<service::TopicPlace> Daemon::topic_places() const {
  std::vector<service::TopicPlace> places;
  if (input_.topics == nullptr) return places;
  for (const transport::KafkaPlace& place : input_.topics->places())
    places.push_back({place.topic, place.partition, place.next});
  return places;
}

/// Where there is no state of windows to keep them with: on an edge, and when all windows have been closed.
Result<void> Daemon::keep_places() const {
  if (input_.topics == nullptr || !options_.state_kept) return {};
  nlohmann::json places = nlohmann::json::array();
  for (const service::TopicPlace& place : topic_places()) places.push_back({place.topic, place.partition, place.next});
  const std::string text = places.dump();
  return base::write_atomically(in_folder(options_.settings.state.folder, kPlacesFile),
                                {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

/// Where topics were read to by the state that is gone on from; without one, by the process that closed its windows.
std::vector<transport::KafkaPlace> Daemon::places_of_before() {
  std::vector<transport::KafkaPlace> places;
  if (!options_.state_kept) return places;
  if (before_) {
    for (const service::TopicPlace& place : before_->header.topics)
      places.push_back({place.topic, place.partition, place.next});
    return places;
  }
  std::ifstream file(in_folder(options_.settings.state.folder, kPlacesFile));
  const auto json = nlohmann::json::parse(file, nullptr, false);
  if (!json.is_array()) return places;
  for (const auto& place : json) {
    if (place.is_array() && place.size() == 3 && place[0].is_string() && place[1].is_number_unsigned() &&
        place[2].is_number_unsigned())
      places.push_back({place[0].get<std::string>(), place[1].get<uint32_t>(), place[2].get<uint64_t>()});
  }
  return places;
}

/// At rest.
void Daemon::mark_gaps(Micros from, Micros until) {
  for (size_t number = 0; number < engine_->query_count(); ++number) {
    if (engine_->has_query(number)) engine_->mark_gap(number, from, until);
  }
}

Result<void> Daemon::open_input() {
  const config::Settings& settings = options_.settings;
  exec::EngineOptions engine;
  engine.share = settings.plan.share;
  engine.batch_rows = static_cast<size_t>(settings.exec.batch_rows);
  engine.ready_octets = static_cast<size_t>(settings.exec.ready_memory_octets);
  RunOptions input;
  input.settings = settings;
  input.threads = options_.threads;
  for (const config::Endpoint& endpoint : settings.listen.flow)
    input.listen.push_back({endpoint.host == "*" ? "" : endpoint.host, endpoint.port, ""});
  checkpoints_ = std::make_unique<service::Checkpoints>(settings.state.folder);
  if (keeps_windows()) {
    auto before = checkpoints_->load();
    // A damaged file was set aside: what it held is lost, and said to be; the service goes on.
    if (before) {
      before_ = std::move(*before);
    } else {
      telemetry::terminal_log().line(before.error().render());
      std::error_code ignored;
      std::filesystem::remove(in_folder(settings.state.folder, kPlacesFile), ignored);  // It is older.
    }
  }

  auto forwards = forward_targets(settings);
  if (!forwards) return tl::unexpected(std::move(forwards.error()));
  input.forwards = std::move(*forwards);
  engine.edges = source_count(input);
  engine.half = half_;
  if (half_ != exec::Half::kBoth) engine.pane_us_max = exec::kShippedPaneMax;
  if (half_ == exec::Half::kMerge) engine.edges = 1;
  if (spool_) {
    engine.partials_out = spool_.get();
    engine.edge = edge_;
    engine.epoch = spool_->epoch();
  }
  engine_ = std::make_unique<exec::Engine>(engine);  // Takes its memory before a socket fills.
  if (half_ != exec::Half::kMerge) {
    if (!settings.flows.topic.empty()) {
      auto output = FlowOutput::open(settings, engine.edges);
      if (!output) return tl::unexpected(std::move(output.error()));
      flow_output_ = std::move(*output);
    }
    auto opened = app::open_input(input, sites_, places_of_before());
    if (!opened) return tl::unexpected(std::move(opened.error()));
    input_ = std::move(*opened);
  }

  std::vector<ingest::DatagramSource*> sources;
  for (const auto& source : input_.sources) sources.push_back(source.get());
  board_ = std::make_unique<service::ResultBoard>(hub_, service::BoardLimits{});
  pipeline_ = std::make_unique<Pipeline>(
      Pipeline::Options{settings, engine.edges, engine.edges, Deal{}, true, true, as_table_.table.get(), announcements_,
                        inventory_.get(), true, [this] { return refresh_.take_changed(); }, input_.forwarder.get(),
                        flow_output_.get(),
                        [this] {
                          if (spool_) keep_mark(false);
                        }},
      sources, *engine_, sites_);
  jobs_ = std::make_unique<service::RestJobs>([this] { pipeline_->nudge(); });
  open_results();
  return {};
}

service::QueryGround Daemon::ground() {
  return {*engine_,
          [this] {
            auto definitions = service::standing_definitions(*settings_.snapshot(), flow_schema_, *inventory_);
            tables_->add_to(*definitions);
            return definitions;
          },
          [this](const std::function<void()>& work) {
            if (others_ask_) jobs_->run([&] { pipeline_->change_queries(work); });
            else pipeline_->change_queries(work);
          },
          // What the process before saw is older than this one.
          [this](const catalog::Object& object) {
            // Edges hear of a query up to some seconds after it is in the catalog: its windows begin when all have, and
            // at the same time on every node.
            if (half_ == exec::Half::kMerge) {
              const bool before_all_flows = options_.before_all_flows && object.changed_at <= started_at_;
              return before_all_flows ? base::kMinTime : object.changed_at + options_.edges_hear;
            }
            return std::max(pipeline_->newest(), outages_.empty() ? base::kMinTime : started_at_);
          },
          [this](const catalog::Object& object, const plan::Query& query) -> exec::ResultSink* {
            if (half_ == exec::Half::kEdge) return nullptr;
            uint64_t first_seq = first_seq_;
            if (before_ && before_->state.clean) {
              // Who had the last result of the process before this one goes on without a gap.
              if (const auto last = before_->header.last_seqs.find(object.name);
                  last != before_->header.last_seqs.end() && last->second != 0)
                first_seq = last->second + 1;
            }
            if (history_ && is_kept(object.name)) {
              const history::QueryId id{object.name, object.incarnation.value};
              history_->drop(id.name, id.incarnation);  // A query of this name that is no more.
              history_->set_retention(id, query.options.retention_us);
              if (const uint64_t last = history_->last_seq(id); last >= first_seq) first_seq = last + 1;
            }
            exec::ResultSink* const sink =
                board_->open(object.name, {object.incarnation.value, object.version}, query, first_seq);
            if (results_in_) results_in_->open(id_of(object), query, object.name, *sink);
            if (alerts_) alerts_->open_query(object.name, object.incarnation.value, object.version, query);
            return sink;
          },
          [this](const catalog::Object& object, exec::ResultSink* sink, bool last) {
            if (sink != nullptr && results_in_) results_in_->close(id_of(object), *sink);
            if (sink != nullptr) board_->close(sink);
            if (!last) return;
            board_->drop(object.name);
            if (history_ && is_kept(object.name)) history_->drop(object.name);
          },
          shared_catalog_ != nullptr, half_ == exec::Half::kMerge,
          half_ == exec::Half::kEdge ? options_.edges_hear : 0};
}

Result<void> Daemon::open_alerts() {
  if (half_ != exec::Half::kBoth && results_in_ == nullptr) return {};
  alert::Alerts::Options options;
  options.file = options_.state_kept ? in_folder(options_.settings.state.folder, "alerts.db") : ":memory:";
  options.endpoints = options_.settings.notify;
  options.started_at = started_at_;
  options.tell = [](const std::string& line) { telemetry::terminal_log().warning(line); };
  auto opened = alert::Alerts::open(std::move(options));
  if (!opened) return tl::unexpected(std::move(opened.error()));
  alerts_ = std::move(*opened);
  board_->on_part([this](const std::string& query, const std::shared_ptr<const service::ResultPart>& part) {
    alerts_->take(query, part);
  });
  return {};
}

/// Before the queries: their results are numbered after those that are kept.
Result<void> Daemon::open_history() {
  const config::Settings& settings = options_.settings;
  if (!settings.history.enabled || !shows_results()) return {};
  history::Options options;
  const std::string& folder = settings.history.folder;
  options.folder = folder.empty() ? in_folder(settings.state.folder, "history") : folder;
  options.keep_us = {settings.history.keep_us, settings.history.keep_1m_us, settings.history.keep_5m_us,
                     settings.history.keep_1h_us};
  options.octets_max = static_cast<uint64_t>(settings.history.octets_max);
  options.warn = [](const std::string& line) { telemetry::terminal_log().warning(line); };
  auto opened = history::Store::open(std::move(options));
  if (!opened) return tl::unexpected(std::move(opened.error()));
  history_ = std::move(*opened);
  board_->on_part([this](const std::string& query, const std::shared_ptr<const service::ResultPart>& part) {
    if (is_kept(query)) history_->add({query, part->incarnation}, part);
  });
  // A state that has windows no more, because they were sent, must not be all that is left of them.
  checkpoints_->before_each([this] {
    board_->settle();
    (void)history_->settle(std::chrono::seconds(5));
  });
  return {};
}

/// At rest.
void Daemon::tend_alerts(Micros now) {
  const auto queries = register_->list_unless_changing();
  if (!alerts_ || !queries) return;
  std::map<std::string, uint64_t, std::less<>> known;
  for (const auto& status : *queries) known.emplace(status.object.name, status.object.incarnation.value);
  alerts_->keep_queries(std::move(known));
  if (now - sampling_at_ >= 10 * kSecond || now < sampling_at_) {
    sampling_at_ = now;
    uint64_t least = 0, most = 0;
    for (const inventory::ExporterFact& fact : pipeline_->exporter_facts()) {
      if (fact.sampling_rate_min == 0) continue;
      least = least == 0 ? fact.sampling_rate_min : std::min(least, fact.sampling_rate_min);
      most = std::max(most, fact.sampling_rate_max);
    }
    alerts_->note_sampling(most == 0       ? ""
                           : least == most ? fmt::format("1:{}", most)
                                           : fmt::format("1:{} to 1:{}", least, most));
  }
  // A window without rows is not sent. What has been handed over must have been taken before it is said that no more
  // comes.
  if (board_->counters().pending_octets != 0) return;
  for (const auto& status : *queries) {
    if (!status.number || !status.query || !status.query->alert) continue;
    const exec::Engine::Whole whole = whole_of(status);
    if (whole.until == base::kMinTime || whole.until == base::kMaxTime) continue;  // The end is no passing of time.
    alerts_->advance(status.object.name, whole.until, whole.gaps_until);
  }
}

/// Until when all windows of a query were given that have rows. At rest.
exec::Engine::Whole Daemon::whole_of(const service::QueryRegister::Status& status) const {
  if (half_ == exec::Half::kBoth) return engine_->whole(*status.number);
  // As it is told behind the rows: what this node's own worker knows is ahead of them.
  const cluster::QueryReport* const report = results_in_ ? results_in_->report(id_of(status.object)) : nullptr;
  return report == nullptr ? exec::Engine::Whole{} : report->whole;
}

/// Those of sessions are for who reads them now.
bool Daemon::is_kept(const std::string& query) const {
  return !query.starts_with(service::QueryRegister::kTemporaryMark);
}

Result<void> Daemon::open_register() {
  board_->name_edges([this](uint32_t edge) { return site_of(edge); });
  board_->on_window([this](const std::string& query, Micros start) { checkpoints_->note_sent(query, start); });
  const std::string& folder = options_.settings.tables.folder;
  service::TableRegister::Ground tables;
  tables.folder = folder.empty() ? in_folder(options_.settings.state.folder, "tables") : folder;
  tables.is_taken = [this](const std::string& name) {
    const auto all = register_->relations();
    return std::any_of(all.begin(), all.end(), [&](const auto& relation) { return relation.name == name; });
  };
  tables.readers = [this](const std::string& relation) { return register_->readers_of(relation); };
  tables.watch = [this](lookup::FileTable& file) { refresh_.add(file); };
  tables.unwatch = [this](lookup::FileTable& file) { refresh_.remove(file); };
  tables.changed = [this] { refresh_.note_change(); };
  tables.shared = shared_catalog_ != nullptr;
  tables_ = std::make_unique<service::TableRegister>(*catalog_, std::move(tables));
  const auto left_out = tables_->start();
  if (!left_out) return tl::unexpected(left_out.error());
  for (const base::Diagnostic& error : *left_out) telemetry::terminal_log().warning(error.render());
  register_ = std::make_unique<service::QueryRegister>(*catalog_, ground());
  if (auto started = register_->start(wall_clock()); !started) return started;
  go_on_from_before();
  for (const auto& status : register_->list()) {
    if (status.definition.state == catalog::QueryState::kFailed)
      telemetry::terminal_log().warning(
          fmt::format("query '{}' does not run: {}", status.object.name, status.definition.reason));
  }
  if (!options_.queries.empty()) {
    const auto done = register_->change(options_.queries, {options_.settings.node.name, "start"}, started_at_);
    if (!done) return tl::unexpected(done.error());
  }
  others_ask_ = true;
  if (auto joined = join_workers(); !joined) return joined;
  sessions_ = std::make_unique<service::Sessions>(
      *register_, history_ ? std::optional(service::Answer::Ground{*history_, *board_}) : std::nullopt);
  if (shared_catalog_ != nullptr) {
    follower_ = std::make_unique<CatalogFollower>(CatalogFollower::Ground{
        *catalog_, *tables_, *register_, [this] { return join_catalog(); }, [this] { tend_access(wall_clock()); }});
  }
  return {};
}

/// The disk may be slow, and a catalog elsewhere slower still: not at rest.
void Daemon::tend_access(Micros now) {
  if (const auto tended = access_->tend(); !tended && now - access_told_at_ > 60 * kSecond) {
    access_told_at_ = now;
    telemetry::terminal_log().warning("the audit of who was refused is behind: " + tended.error().message);
  }
}

/// When the brokers are away it is done later, unless it is the catalog that must say which edge this is.
Result<void> Daemon::join_at_start() {
  auto joined = join_catalog();
  if (joined || shared_catalog_ == nullptr || joined.error().code != "58030") return joined;
  const auto known = catalog_->find(catalog::Kind::kNode, options_.settings.node.name);
  if (options_.settings.node.roles.size() == 3 || (known && *known)) return {};
  return joined;
}

/// Tells the catalog which node this is, where it is another than it was.
Result<void> Daemon::join_catalog() {
  const config::Settings& settings = options_.settings;
  nlohmann::json body = {
      {"site", settings.node.site}, {"version", BACKSTREAM_VERSION}, {"roles", nlohmann::json::array()}};
  for (const config::NodeRole role : settings.node.roles) body["roles"].push_back(role_name(role));
  catalog::Change change;
  change.action = catalog::Change::Action::kPut;
  change.kind = catalog::Kind::kNode;
  change.name = settings.node.name;
  change.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  change.verb = "join";
  const auto known = catalog_->find(change.kind, change.name);
  if (!known) return tl::unexpected(known.error());
  if (*known && (*known)->body == change.body) return {};
  if (auto applied = catalog_->apply({&change, 1}, {"backstream", "start"}, started_at_); !applied)
    return tl::unexpected(std::move(applied.error()));
  return {};
}

Result<void> Daemon::open_http() {
  const config::Settings& settings = options_.settings;
  auto access = service::Access::open(settings, {.catalog = catalog_.get(),
                                                 .use_file = in_folder(settings.state.folder, "token-use.json"),
                                                 .now = {},
                                                 .limits = {}});
  if (!access) return tl::unexpected(std::move(access.error()));
  access_ = std::move(*access);
  const auto warning = service::check_exposure(settings, access_->tokens().size() > 0);
  if (!warning) return tl::unexpected(warning.error());
  if (!warning->empty()) telemetry::terminal_log().warning(*warning);
  http::ServerOptions options = service::server_options(settings);
  options.limits.per_peer.connections_max = 2'048;  // A thousand browsers may come through one proxy.
  options.limits.per_peer.requests_per_second = 1'000;
  options.limits.per_peer.burst = 4'000;
  take_snapshot(started_at_);
  latest_.not_ready = {"it is starting"};
  snapshot_.publish(std::make_shared<service::Snapshot>(latest_));

  service::ApiGround ground{
      {BACKSTREAM_VERSION, settings.node.name, settings.node.site, {}, started_at_},
      *catalog_,
      *register_,
      *tables_,
      *board_,
      *sessions_,
      snapshot_,
      [this] {
        std::vector<service::ExporterStatus> list;
        jobs_->run([&] { list = exporters(); });
        return list;
      },
      [this] { return service::metrics_page(metrics_input()); },
      [this] { return doctor_json(); },
      [] { return service::openapi_document(); },
      [this]() -> Result<std::string> {
        Result<std::string> done = fail("57P03", "the service is ending");
        jobs_->run([&] { done = reload_at_rest(); });
        return done;
      },
      [this] { return server_ ? server_->status().streams_now : 0; },
      [this](const std::string& name, const catalog::Author& author) { return drain_node(name, author); },
      history_.get(),
      sinks_.get(),
      alerts_.get(),
      &prometheus_pages_};
  for (const config::NodeRole role : settings.node.roles) ground.node.roles.emplace_back(role_name(role));
  service::add_api_routes(router_, std::make_shared<const service::ApiGround>(std::move(ground)));
  service::add_access_routes(router_, *access_);
  console::add_routes(router_);
  router_.set_gate(access_->gate());
  router_.set_observer([this](const http::Route&, std::chrono::nanoseconds took, uint16_t) {
    request_seconds_.record(std::chrono::duration<double>(took).count());
  });
  auto opened = http::Server::open(router_, hub_, std::move(options));
  if (!opened) return tl::unexpected(std::move(opened.error()));
  server_ = std::move(*opened);
  if (auto endpoint = config::parse_http_endpoint(settings.http.listen)) {
    endpoint->port = server_->ports().front();
    http_address_ = endpoint->text();
  }
  if (alerts_) alerts_->note_link(settings.alert.link.empty() ? http_address_ : settings.alert.link);
  return {};
}

std::vector<uint16_t> Daemon::flow_ports() const {
  if (input_.sources.empty()) return {};
  const auto* sockets = dynamic_cast<const ingest::UdpSource*>(input_.sources.front().get());
  return sockets == nullptr ? std::vector<uint16_t>() : sockets->ports();
}

std::vector<service::ExporterStatus> Daemon::exporters() {
  std::vector<service::ExporterStatus> list;
  std::unordered_map<base::Inet, size_t, base::InetHash> place_of;
  for (Pipeline::Exporter& exporter : pipeline_->exporters()) {
    place_of.emplace(exporter.address, list.size());
    service::ExporterStatus& status = list.emplace_back();
    status.address = exporter.address;
    status.protocols = std::move(exporter.protocols);
    status.ledger = exporter.ledger;
    status.clock = exporter.clock;
  }
  for (const inventory::ExporterFact& fact : pipeline_->exporter_facts()) {
    const auto place = place_of.find(fact.exporter);
    if (place == place_of.end()) continue;
    service::ExporterStatus& status = list[place->second];
    status.site = fact.site;
    status.first_seen = fact.first_seen;
    status.last_seen = fact.last_seen;
    status.templates = fact.template_count;
    status.sampling_rate_min = fact.sampling_rate_min;
    status.sampling_rate_max = fact.sampling_rate_max;
  }
  return list;
}

/// What only the engine's thread may look at.
service::MetricsInput Daemon::metrics_at_rest() {
  service::MetricsInput input;
  input.now = wall_clock();
  input.ingest = pipeline_->ingested();
  if (input_.forwarder) input.forwards = input_.forwarder->stats();
  if (flow_output_) {
    const transport::KafkaPublishCounts sent = flow_output_->counts();
    input.flows_sent = {{options_.settings.flows.topic, sent.records, sent.octets, sent.delivered, sent.failed,
                         sent.dropped, sent.waiting}};
  }
  input.decoded = pipeline_->decoded();
  for (service::ExporterStatus& status : exporters()) {
    auto& exporter = input.exporters.emplace_back();
    exporter.address = base::to_string(status.address);
    exporter.site = std::move(status.site);
    exporter.protocols = std::move(status.protocols);
    exporter.ledger = status.ledger;
    exporter.templates = status.templates;
    exporter.sampling_rate_min = status.sampling_rate_min;
    exporter.sampling_rate_max = status.sampling_rate_max;
    if (status.last_seen != 0) exporter.last_seen = status.last_seen;
    exporter.clock = status.clock;
  }
  const auto known = [](Micros time) { return time == base::kMinTime ? std::nullopt : std::optional(time); };
  input.watermark_event = known(pipeline_->watermark());
  input.watermark_arrival = known(pipeline_->arrival_watermark());
  input.checkpoint_at = known(latest_.checkpoint_at);
  input.checkpoint_octets = latest_.checkpoint_octets;
  input.outages = latest_.outages.size();
  input.clock_steps = latest_.clock_steps;
  input.ready = latest_.not_ready.empty();
  input.reload = reloads_;
  add_halves(input);
  return input;
}

/// Any thread but the engine's.
service::MetricsInput Daemon::metrics_input() {
  service::MetricsInput input;
  jobs_->run([&] { input = metrics_at_rest(); });
  const auto settings = settings_.snapshot();
  input.version = BACKSTREAM_VERSION;
  input.node = settings->node.name;
  input.site = settings->node.site;
  for (const config::NodeRole role : settings->node.roles) input.roles.emplace_back(role_name(role));
  const auto snapshot = snapshot_.snapshot();
  for (const auto& status : register_->list()) {
    auto& query = input.queries.emplace_back();
    query.name = status.object.name;
    query.state = status.plain ? "plain" : std::string(catalog::name(status.definition.state));
    query.incarnation = status.object.incarnation.value;
    query.version = status.object.version;
    query.result_latency_seconds = board_->latency_seconds(query.name);
    if (!status.number) continue;
    if (const auto ledger = snapshot->ledgers.find(*status.number); ledger != snapshot->ledgers.end())
      query.ledger = ledger->second;
    if (input.watermark_event)
      query.watermark_lag_seconds = static_cast<double>(input.now - *input.watermark_event) / kSecond;
  }
  if (server_) input.http = server_->status();
  input.hub = service::HubCounts(hub_.counters());
  const auto results = board_->counters();
  if (alerts_) input.alerts = alerts_->status();
  if (history_) input.history = history_->status();
  if (sinks_) input.sinks = sinks_->list();
  input.results = {results.rows, results.rows_unshown, results.rows_refused, results.octets};
  input.access = access_->status();
  const auto checkpoints = checkpoints_->status();
  input.checkpoints_written = checkpoints.written;
  input.checkpoints_failed = checkpoints.failed;
  input.checkpoints_skipped = checkpoints.skipped;
  input.request_duration_seconds = request_seconds_.snapshot();
  input.catalog_revision = catalog_->revision().value;
  if (shared_catalog_ != nullptr) {
    const catalog::KafkaCatalogStatus status = shared_catalog_->status();
    auto& shared = input.shared_catalog.emplace(service::MetricsInput::SharedCatalog{});
    shared.following = status.following;
    shared.records = status.records;
    shared.races = status.races;
    shared.rereads = status.rereads;
    shared.restored = status.restored;
    for (size_t fault = 0; fault < catalog::kCatalogFaultCount; ++fault)
      shared.faults.emplace_back(catalog::name(static_cast<catalog::CatalogFault>(fault)), status.faults[fault]);
  }
  std::error_code error;
  if (const auto space = std::filesystem::space(settings->state.folder, error); !error) {
    input.state_free_octets = space.available;
    input.state_total_octets = space.capacity;
  }
  input.process = telemetry::process_facts();
  return input;
}

namespace {

/// Empty: it has none.
std::string site_of_node(const catalog::Object& node) {
  const auto body = nlohmann::json::parse(node.body, nullptr, false);
  const auto site = body.find("site");
  return site == body.end() || !site->is_string() ? std::string() : site->get<std::string>();
}

}  // namespace

std::string Daemon::doctor_json() {
  const auto settings = settings_.snapshot();
  const service::MetricsInput counts = metrics_input();
  service::DoctorInput input = service::local_facts(*settings, false);
  const auto past = earlier_.get();
  service::add_counts(input, *settings, counts, past.get());
  input.started_at = started_at_;
  if (!input.config) input.config.emplace(service::DoctorInput::Config{});
  input.config->files = *files_.snapshot();
  input.config->reload_failed = !counts.reload.last_good;
  const auto snapshot = snapshot_.snapshot();
  if (input.watermark && snapshot->held_by) input.watermark->held_by = base::to_string(*snapshot->held_by);
  if (!input.checkpoint) input.checkpoint.emplace(service::DoctorInput::Checkpoint{});
  input.checkpoint->error = snapshot->checkpoint_error;
  if (!keeps_windows()) input.checkpoint.reset();
  if (half_ == exec::Half::kMerge) {  // No flows come here.
    input.listeners.reset();
    input.exporters.reset();
    input.admission.reset();
    input.watermark.reset();
  }
  // Topics may be all that it reads.
  if (!settings->listen.kafka.empty() && settings->listen.flow.empty()) input.listeners.reset();
  input.clock_step = snapshot->clock_step;
  input.outages.emplace();
  for (const service::Outage& outage : snapshot->outages)
    input.outages->push_back({outage.from, outage.until, outage.clean});
  if (input.exposure) {
    input.exposure->tls = !settings->http.certificate.empty();
    input.exposure->access_control = access_->is_required();
  }
  if (const auto listed = catalog_->list(catalog::Kind::kQuery); !listed) {
    if (!input.catalog) input.catalog.emplace(service::DoctorInput::Catalog{});
    input.catalog->error = listed.error().message;
    input.catalog->hint = listed.error().hint;
  } else if (shared_catalog_ != nullptr) {
    if (const auto status = shared_catalog_->status(); !status.trouble.empty()) {
      if (!input.catalog) input.catalog.emplace(service::DoctorInput::Catalog{});
      input.catalog->error = status.trouble;
      input.catalog->hint = "what runs goes on, with what this node knows; changes are refused until then";
    }
  }
  std::set<std::string> sites = sites_of_settings(*settings);
  sites.insert(settings->node.site);
  for (const auto& exporter : counts.exporters) sites.insert(exporter.site);
  if (const auto nodes = catalog_->list(catalog::Kind::kNode)) {
    for (const catalog::Object& node : *nodes) sites.insert(site_of_node(node));
  }
  for (const auto& status : register_->list()) {
    if (status.query)
      service::add_unknown_sites(input, status.object.name, unknown_sites(status.query->options.placement, sites));
    if (status.definition.state != catalog::QueryState::kRunning)
      service::add_query_reason(input, status.object.name, status.definition.reason, status.object.changed_at);
  }
  return service::checks_json(service::run_checks(input));
}

/// At rest.
void Daemon::take_snapshot(Micros now) {
  service::Snapshot& s = latest_;
  s.at = now;
  s.not_ready.clear();
  s.ingest = pipeline_->ingested();
  s.decoded = pipeline_->decoded();
  s.watermark = pipeline_->watermark();
  s.arrival_watermark = pipeline_->arrival_watermark();
  s.held_by = pipeline_->held_by();
  const Pipeline::ExporterCounts exporters = pipeline_->exporter_counts();
  s.exporters_known = exporters.known;
  s.exporters_sending = exporters.sending;
  const service::Checkpoints::Status checkpoint = checkpoints_->status();
  s.checkpoint_at = checkpoint.at;
  s.checkpoint_octets = checkpoint.octets;
  s.checkpoint_error = checkpoint.error;
  s.outages = outages_;
  s.clock_steps = clock_.count();
  s.clock_step = clock_.last();
  s.ledgers.clear();
  s.held.clear();
  for (size_t i = 0; i < engine_->query_count(); ++i) {
    if (half_ == exec::Half::kMerge || !engine_->has_query(i)) continue;
    s.ledgers.emplace(i, engine_->ledger(i));
    s.held.emplace(i, engine_->held(i));
  }
  s.frontiers.clear();
  for (const auto& [number, report] : reports()) {
    s.ledgers.emplace(number, report.ledger);
    s.frontiers.emplace(number, report.frontier);
    if (report.held) s.held.emplace(number, *report.held);
  }
  s.edges = edges();
  counts_.push_back({now, s.ingest.datagrams, s.decoded.flows, s.ingest.octets});
  while (counts_.size() > 2 && now - counts_[1].at >= 10 * kSecond) counts_.pop_front();
  const Count& first = counts_.front();
  const double seconds = static_cast<double>(now - first.at) / kSecond;
  s.rates = {};
  if (seconds > 0) {
    s.rates.datagrams = static_cast<double>(s.ingest.datagrams - first.datagrams) / seconds;
    s.rates.flows = static_cast<double>(s.decoded.flows - first.flows) / seconds;
    s.rates.octets = static_cast<double>(s.ingest.octets - first.octets) / seconds;
  }
  snapshot_.publish(std::make_shared<service::Snapshot>(s));
}

Result<std::string> Daemon::reload() {
  Result<std::string> done;
  pipeline_->at_rest([&] { done = reload_at_rest(); });
  return done;
}

Result<std::string> Daemon::reload_at_rest() {
  config::Reloaded loaded = config::reload(options_.load, options_.settings);
  for (const std::string& warning : loaded.loaded.warnings) telemetry::terminal_log().warning(warning);
  if (!loaded.loaded.errors.empty()) {
    for (const base::Diagnostic& error : loaded.loaded.errors) telemetry::terminal_log().line(error.render());
    ++reloads_.bad;
    reloads_.last_good = false;
    return tl::unexpected(loaded.loaded.errors.front());
  }
  if (auto changed = access_->configure(loaded.settings); !changed) {
    telemetry::terminal_log().line(changed.error().render());
    ++reloads_.bad;
    reloads_.last_good = false;
    return tl::unexpected(std::move(changed.error()));
  }
  ++reloads_.good;
  reloads_.last_good = true;
  reloads_.last_good_at = wall_clock();
  options_.settings = std::move(loaded.settings);
  settings_.publish(std::make_shared<const config::Settings>(options_.settings));
  files_.publish(std::make_shared<const std::vector<std::string>>(std::move(loaded.loaded.files)));
  pipeline_->change_settings(options_.settings);
  if (auto again = server_->reload_certificates(); !again)
    telemetry::terminal_log().warning("the certificates stay as they were: " + again.error().message);
  if (input_.allow) input_.allow->publish(std::make_shared<const base::PrefixSet>(options_.settings.ingest.allow));
  std::string text;
  for (const config::SettingChange& change : loaded.changes) {
    text += fmt::format("{}: {} -> {}{}\n", change.key, change.before.empty() ? "(not set)" : change.before,
                        change.after.empty() ? "(not set)" : change.after,
                        change.reload == config::Reload::kLive ? "" : "  (needs a restart)");
  }
  if (text.empty()) text = "no setting has changed\n";
  return text;
}

void Daemon::watch_clock(Micros now) {
  const auto steady = std::chrono::steady_clock::now().time_since_epoch();
  const auto step = clock_.look(now, std::chrono::duration_cast<std::chrono::microseconds>(steady).count());
  if (!step) return;
  telemetry::terminal_log().warning(fmt::format("our clock was set {} by {}; see D13 of backstream doctor",
                                                step->by < 0 ? "back" : "forward",
                                                human_duration(std::abs(step->by) + kSecond / 2)));
}

Result<void> Daemon::run(const std::function<std::optional<End>()>& go_on) {
  refresh_.add(as_table_);
  for (lookup::FileTable* file : inventory_->files()) refresh_.add(*file);
  refresh_.start(true);
  exporter_state_->start(announcements_);
  if (follower_) follower_->start();
  Micros snapshot_at = 0, tended_at = 0, checkpoint_at = wall_clock();
  std::optional<End> end;
  pipeline_->run([&] {
    const Micros now = wall_clock();
    jobs_->do_all([&](const std::function<void()>& work) { pipeline_->at_rest(work); });
    if (worker_ || results_in_) pipeline_->at_rest([&] { take_from_logs(); });
    if (now - snapshot_at >= kSecond || now < snapshot_at) {
      snapshot_at = now;
      watch_clock(now);
      pipeline_->at_rest([&] {
        take_snapshot(now);
        tend_alerts(now);
        if (earlier_.due(now)) earlier_.keep(metrics_at_rest());
        if (!spool_) return;
        spool_->note_watermark(engine_->watermark(kFlows));
        keep_mark(true);
      });
      if (follower_ == nullptr) tend_access(now);
      if (!keeps_windows()) {
        const auto places = keep_places();
        if (!places && !std::exchange(places_told_, true))
          telemetry::terminal_log().warning("places in topics are not kept: " + places.error().message);
      }
    }
    if (now - tended_at >= kSecond / 4 || now < tended_at) {
      tended_at = now;
      pipeline_->at_rest([&] {
        register_->tend(now);
        if (shared_catalog_ != nullptr) tend_halves();
      });
    }
    if (keeps_windows() && (now - checkpoint_at >= kCheckpointInterval || now < checkpoint_at)) {
      // A change that waits for this thread comes first; then it is tried again at once.
      if (const auto queries = register_->list_unless_changing()) {
        checkpoint_at = now;
        pipeline_->at_rest([&] {
          auto [state, header] = state_of(*queries, now, false);
          checkpoints_->submit(std::move(state), std::move(header));
        });
      }
    }
    end = go_on();
    if (!end && drained_) {
      telemetry::terminal_log().line("this node was drained: it ends, and nobody waits for it any more");
      end = End::kSave;
    }
    if (end == End::kSave || (end && spool_)) pipeline_->leave_windows_open();
    // What is open did not see all of its rows.
    if (end == End::kDrain && !spool_)
      pipeline_->at_rest([&] { mark_gaps(engine_->watermark(kFlows), base::kMaxTime); });
    return !end;
  });
  jobs_->close();
  leave_workers();
  if (follower_) follower_->stop();
  board_->settle();
  if (alerts_) alerts_->settle();
  if (history_) (void)history_->settle();
  if (sinks_) sinks_->stop(std::chrono::seconds(3));
  Result<void> kept;
  if (spool_) {
    engine_->send_open();
    keep_mark(true);
    spool_->note_watermark(engine_->watermark(kFlows));
    spool_->close(std::chrono::seconds(5));
  }
  if (end == End::kSave && keeps_windows()) {
    auto [state, header] = state_of(register_->list(), wall_clock(), true);
    kept = checkpoints_->write_now(std::move(state), std::move(header));
  } else {
    if (keeps_windows()) checkpoints_->clear();
    kept = keep_places();
  }
  if (flow_output_) flow_output_->finish(std::chrono::seconds(2));
  server_->stop(std::chrono::milliseconds(1'000));
  exporter_state_->stop();
  refresh_.stop();
  return kept;
}

}  // namespace backstream::app
