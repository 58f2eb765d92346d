// Routes about the node itself: how it is, who sends, what the catalog has, why a query shows nothing yet.
#include <fmt/format.h>

#include <algorithm>

#include "service/api_json.h"
#include "service/api_routes.h"
#include "service/exporter_snippets.h"
#include "telemetry/exposition.h"

namespace backstream::service {

using base::fail;
using base::Micros;
using base::wall_clock;
using http::Request;
using http::Response;

namespace {

constexpr Micros kSecond = base::kMicrosPerSecond;

std::string clock_text(Micros time) {
  // People read the time of day; the date is today's.
  const base::CivilTime civil = base::to_civil(time);
  return fmt::format("{:02}:{:02}:{:02} UTC", civil.hour, civil.minute, civil.second);
}

Json exporter_json(const ExporterStatus& exporter) {
  const auto rate = [](uint64_t value) { return value == 0 ? Json(nullptr) : Json(value); };
  const auto& clock = exporter.clock;
  const char* state = !clock.timed ? "unknown" : clock.idle ? "idle" : clock.held ? "behind" : "active";
  if (clock.timed && !clock.idle && clock.shift_us < 0) state = "ahead";
  return {{"address", base::to_string(exporter.address)},
          {"site", exporter.site},
          {"protocols", exporter.protocols},
          {"state", state},
          {"first_seen", time_json(exporter.first_seen)},
          {"last_seen", time_json(exporter.last_seen)},
          {"datagrams", exporter.ledger.datagrams},
          {"records", exporter.ledger.records},
          {"flows", exporter.ledger.flows},
          {"missing", exporter.ledger.missing},
          {"rejected", exporter.ledger.rejected + exporter.ledger.undecodable},
          {"awaiting_template", exporter.ledger.awaiting_template},
          {"sampling",
           {{"min", rate(exporter.sampling_rate_min)},
            {"max", rate(exporter.sampling_rate_max)},
            {"unknown", exporter.ledger.sampling_unknown_rows != 0},
            {"unknown_rows", exporter.ledger.sampling_unknown_rows}}},
          {"clock_offset_seconds", clock.clock_offset_us ? seconds_json(*clock.clock_offset_us) : Json(nullptr)},
          {"delay_p999_seconds", clock.timed ? seconds_json(clock.delay_p999_us) : Json(nullptr)}};
}

bool hears_flows_here(const ApiGround& ground) {
  const auto& roles = ground.node.roles;
  return roles.empty() || std::find(roles.begin(), roles.end(), "edge") != roles.end();
}

/// Its windows are of the times at which flows came.
bool goes_by_arrival(const plan::Query& query) {
  if (query.source.arrival_column < 0 || query.stages.empty()) return false;
  const plan::Window& window = query.stages.front().window;
  return window.kind != plan::Window::Kind::kNone && window.time_column == query.source.arrival_column;
}

class NodeRoutes {
 public:
  explicit NodeRoutes(std::shared_ptr<const ApiGround> ground) : ground_(std::move(ground)) {}

  Response status(const Request&) const {
    const auto held = ground_->snapshot.snapshot();
    const Snapshot& now = *held;
    Json listeners = Json::array();
    for (const auto& socket : now.ingest.sockets) {
      const bool v6 = socket.address.find(':') != std::string::npos;
      const std::string host = v6 ? '[' + socket.address + ']' : socket.address;
      listeners.push_back({{"address", fmt::format("udp://{}:{}", host, socket.port)},
                           {"receive_buffer_octets", socket.buffer_octets},
                           {"datagrams", socket.datagrams},
                           {"kernel_drops", socket.kernel_drops}});
    }
    uint64_t not_allowed = now.ingest.skipped[static_cast<size_t>(ingest::IngestSkip::kNotAllowed)];
    size_t states[3] = {}, plain = 0;
    for (const auto& query : ground_->queries.list()) {
      if (query.temporary) continue;
      if (query.plain) ++plain;
      else ++states[static_cast<size_t>(query.definition.state)];
    }
    Json outages = Json::array();
    for (const Outage& outage : now.outages)
      outages.push_back(
          {{"from", time_json(outage.from)}, {"until", time_json(outage.until)}, {"clean", outage.clean}});
    Json edges = Json::array();
    for (const EdgeStatus& edge : now.edges)
      edges.push_back({{"node", edge.node},
                       {"site", edge.site},
                       {"absent", edge.absent},
                       {"heard_at", edge.heard_at ? time_json(*edge.heard_at) : Json(nullptr)}});
    const bool known = now.watermark != base::kMinTime;
    return json_answer(
        200, {{"version", ground_->node.version},
              {"node", ground_->node.node},
              {"site", ground_->node.site},
              {"roles", ground_->node.roles},
              {"started_at", time_json(ground_->node.started_at)},
              {"now", time_json(wall_clock())},
              {"ready", now.not_ready.empty()},
              {"not_ready", now.not_ready},
              {"listeners", std::move(listeners)},
              {"ingest",
               {{"datagrams", now.ingest.datagrams},
                {"octets", now.ingest.octets},
                {"records", now.decoded.records},
                {"flows", now.decoded.flows},
                {"kernel_drops", now.ingest.kernel_drops},
                {"not_allowed", not_allowed},
                {"rejected", now.decoded.rejected + now.decoded.undecodable},
                {"awaiting_template", now.decoded.awaiting_template},
                {"missing", now.decoded.missing}}},
              {"rates", {{"datagrams", now.rates.datagrams}, {"flows", now.rates.flows}, {"octets", now.rates.octets}}},
              {"watermark",
               {{"event", time_json(now.watermark)},
                {"arrival", time_json(now.arrival_watermark)},
                {"lag_seconds", known ? seconds_json(now.at - now.watermark) : Json(nullptr)},
                {"held_by", now.held_by ? Json(base::to_string(*now.held_by)) : Json(nullptr)}}},
              {"queries", {{"running", states[0]}, {"paused", states[1]}, {"failed", states[2]}, {"plain", plain}}},
              {"exporters", {{"known", now.exporters_known}, {"sending", now.exporters_sending}}},
              {"edges", std::move(edges)},
              {"catalog", {{"revision", ground_->catalog.revision().value}}},
              {"checkpoint", {{"at", time_json(now.checkpoint_at)}, {"octets", now.checkpoint_octets}}},
              {"history", history_json()},
              {"outages", std::move(outages)},
              {"clients", {{"streams", ground_->streams()}, {"sessions", ground_->sessions.count()}}}});
  }

  /// Null: results are not kept.
  Json history_json() const {
    if (ground_->history == nullptr) return nullptr;
    const history::Store::Status status = ground_->history->status();
    uint64_t octets = 0;
    for (const uint64_t each : status.totals.octets) octets += each;
    const Micros oldest = *std::min_element(status.totals.oldest.begin(), status.totals.oldest.end());
    return {{"octets", octets},
            {"oldest", octets == 0 || oldest == base::kMaxTime ? Json(nullptr) : time_json(oldest)},
            {"trouble", status.trouble}};
  }

  Response exporters(const Request&) const {
    Json list = Json::array();
    for (const ExporterStatus& exporter : ground_->exporters()) list.push_back(exporter_json(exporter));
    return json_answer(200, {{"exporters", std::move(list)}});
  }

  /// With their places: who asks fills them in.
  Response snippets(const Request&) const {
    Json list = Json::array();
    for (const SnippetForm& form : snippet_forms())
      list.push_back({{"system", form.name},
                      {"port", form.port},
                      {"source", form.source},
                      {"interface", form.interface},
                      {"text", form.text}});
    return json_answer(200, {{"snippets", std::move(list)}});
  }

  Response why(const Request& request) const {
    const std::string name(request.path_value("name"));
    if (const auto answer = ground_->sessions.find_answer(name)) {
      const std::string reason = answer->why();
      return json_answer(200, {{"text", reason + '\n'}, {"due", nullptr}, {"reasons", Json::array({reason})}});
    }
    const auto query = ground_->queries.find(name);
    if (!query) return refuse(fail("42704", fmt::format("there is no query '{}'", name)).value());
    const auto held = ground_->snapshot.snapshot();
    Json reasons = Json::array();
    std::optional<Micros> due;
    if (query->definition.state != catalog::QueryState::kRunning) {
      std::string reason = fmt::format("the query is {}", catalog::name(query->definition.state));
      if (!query->definition.reason.empty()) reason += ": " + query->definition.reason;
      reasons.push_back(reason);
    } else if (query->plain) {
      reasons.push_back("it is a plain view: only queries that read it have rows");
    } else {
      explain_waiting(*query, *held, reasons, due);
    }
    std::string text;
    for (const auto& reason : reasons) text += reason.get<std::string>() + '\n';
    return json_answer(200, {{"text", text}, {"due", due ? time_json(*due) : Json(nullptr)}, {"reasons", reasons}});
  }

  Response nodes(const Request&) const {
    const auto known = ground_->catalog.list(catalog::Kind::kNode);
    if (!known) return refuse(known.error());
    const auto now = ground_->snapshot.snapshot();
    Json list = Json::array();
    for (const catalog::Object& object : *known) {
      const Json body = Json::parse(object.body, nullptr, false);
      const auto member = [&](const char* name) { return body.is_object() ? body.value(name, Json()) : Json(); };
      Json node = {{"name", object.name},
                   {"roles", member("roles")},
                   {"site", member("site")},
                   {"version", member("version")},
                   {"state", member("drained") == Json(true) ? "drained" : "unknown"}};
      if (object.name == ground_->node.node) {
        node["state"] = now->not_ready.empty() ? "ready" : "starting";
        node["queries"] = Json::array();
        for (const auto& query : ground_->queries.list()) {
          if (query.number && !query.temporary) node["queries"].push_back(query.object.name);
        }
      }
      list.push_back(std::move(node));
    }
    return json_answer(200, {{"nodes", std::move(list)}});
  }
  Response drain_node(const Request& request) const {
    const std::string name(request.path_value("name"));
    const auto done = ground_->drain(name, author_of(request));
    if (!done) return refuse(done.error());
    return json_answer(200, {{"name", name}, {"state", "drained"}});
  }
  Response audit(const Request& request) const {
    catalog::Catalog::AuditOf which;
    const auto limit = count_parameter(request, "limit"), before = count_parameter(request, "before");
    if (!limit) return refuse(limit.error());
    if (!before) return refuse(before.error());
    which.count_max = std::min<uint64_t>(limit->value_or(100), 10'000);
    if (*before) which.before = catalog::Revision{**before};
    if (const auto kind = request.parameter("kind")) {
      which.kind = catalog::kind_of(*kind);
      if (!which.kind) return refuse(fail("22023", fmt::format("no kind '{}'", *kind)).value());
    }
    if (const auto name = request.parameter("name")) which.name = *name;
    const auto entries = ground_->catalog.audit(which);
    if (!entries) return refuse(entries.error());
    Json list = Json::array();
    for (const catalog::AuditEntry& entry : *entries) {
      list.push_back({{"revision", entry.revision.value},
                      {"at", time_json(entry.at)},
                      {"author", entry.author},
                      {"via", entry.via},
                      {"verb", entry.verb},
                      {"kind", catalog::name(entry.kind)},
                      {"name", entry.name},
                      {"version", entry.version},
                      {"comment", entry.comment}});
    }
    return json_answer(200, {{"entries", std::move(list)}});
  }

  Response export_catalog(const Request& request) const {
    auto document = catalog::export_document(ground_->catalog);
    if (!document) return refuse(document.error());
    note(*ground_, request, "export", "the whole catalog");
    return http::json_response(200, std::move(*document));
  }

  Response import_catalog(const Request& request) const {
    const auto imported = catalog::import_document(ground_->catalog, request.body, author_of(request), wall_clock());
    if (!imported) return refuse(imported.error(), request.body);
    if (const auto tables = ground_->tables.start(); !tables) return refuse(tables.error());
    if (const auto started = ground_->queries.start(wall_clock()); !started) return refuse(started.error());
    return json_answer(200, {{"imported", *imported}});
  }

  Response metrics(const Request&) const {
    Response response = http::text_response(200, ground_->metrics());
    response.content_type = telemetry::kExpositionType;
    return response;
  }
  Response result_metrics(const Request&) const {
    Response response = http::text_response(200, ground_->prometheus == nullptr ? "" : ground_->prometheus->text());
    response.content_type = telemetry::kExpositionType;
    return response;
  }
  Response result_metrics_of_one(const Request& request) const {
    const std::string name(request.path_value("publication"));
    const auto window = ground_->prometheus == nullptr ? nullptr : ground_->prometheus->find(name);
    if (!window) {
      return refuse(fail("42704", fmt::format("Prometheus is shown no window of a publication '{}' here", name), {},
                         "backstream sink list")
                        .value());
    }
    receiver::PrometheusPage page;
    page.add(*window);
    Response response = http::text_response(200, page.text());
    response.content_type = telemetry::kExpositionType;
    return response;
  }
  Response doctor(const Request&) const { return http::json_response(200, ground_->doctor()); }
  Response openapi(const Request& request) const {
    const std::string document(ground_->openapi());
    return http::with_etag(request, http::json_response(200, document), http::etag_of(document));
  }
  Response healthy(const Request&) const { return http::text_response(200, "healthy\n"); }
  Response ready(const Request&) const {
    const auto now = ground_->snapshot.snapshot();
    if (now->not_ready.empty()) return http::text_response(200, "ready\n");
    std::string text = "not ready\n";
    for (const std::string& reason : now->not_ready) text += reason + '\n';
    return http::text_response(503, text);
  }
  Response reload(const Request& request) const {
    const auto done = ground_->reload();
    note(*ground_, request, done ? "reload" : "reload refused", done ? *done : done.error().message);
    if (!done) return http::respond(http::problem_of(done.error(), 422));
    return http::text_response(200, *done);
  }

 private:
  /// What a query that runs waits for, in the order in which things must come.
  void explain_waiting(const QueryRegister::Status& query, const Snapshot& now, Json& reasons,
                       std::optional<Micros>& due) const {
    const bool hears_flows = hears_flows_here(*ground_);
    if (hears_flows && now.ingest.datagrams == 0) {
      std::string where;
      for (const auto& socket : now.ingest.sockets) where += fmt::format(" {}:{}", socket.address, socket.port);
      reasons.push_back(fmt::format("no datagram has come yet; listening on{} (backstream doctor says more)", where));
      return;
    }
    if (hears_flows && now.decoded.flows == 0) {
      reasons.push_back(
          now.decoded.awaiting_template != 0
              ? fmt::format("{} datagrams have come, but no flow could be read: {} records wait for their template",
                            now.ingest.datagrams, now.decoded.awaiting_template)
              : fmt::format("{} datagrams have come, but no flow was in them", now.ingest.datagrams));
      return;
    }
    const auto ledger = query.number ? now.ledgers.find(*query.number) : now.ledgers.end();
    if (ledger != now.ledgers.end()) {
      const exec::WindowLedger& rows = ledger->second;
      if (rows.assigned == 0 && rows.time_null + rows.time_future == 0)
        reasons.push_back("it has read no row since it was added");
      else if (rows.assigned != 0 && rows.filtered == rows.assigned)
        reasons.push_back(fmt::format("its WHERE has refused all {} rows so far", rows.assigned));
      if (rows.time_null != 0) reasons.push_back(fmt::format("{} rows had no time", rows.time_null));
      if (rows.time_future != 0)
        reasons.push_back(fmt::format("{} rows were too far in the future (watermark.max_future)", rows.time_future));
      if (rows.lost != 0)
        reasons.push_back(fmt::format("{} rows were lost with edges that were killed or not there", rows.lost));
      if (rows.windows_closed != 0)
        reasons.push_back(fmt::format("{} windows have closed, with {} rows", rows.windows_closed, rows.result_rows));
    }
    const Micros size = query.query ? query.query->window_size_us : 0;
    if (size == 0) {
      if (query.query && !query.query->has_windows)
        reasons.push_back("it has no windows: rows come with the flows that it lets through");
      return;
    }
    const bool by_arrival = goes_by_arrival(*query.query);
    const Micros watermark = watermark_of(*ground_, query, now);
    if (watermark == base::kMinTime) {
      reasons.push_back(hears_flows ? "no flow had a time yet" : "edges have sent nothing of it yet");
      return;
    }
    const Micros end = base::floor_to(watermark, size) + size;
    const Micros lag = std::max<Micros>(0, now.at - watermark);
    due = end + lag;
    std::string line = fmt::format(
        "the window that ends at {} closes when event time has reached it: now it is {}, {:.0f} s behind the clock",
        clock_text(end), clock_text(watermark), static_cast<double>(lag) / kSecond);
    if (now.held_by && !by_arrival) line += fmt::format(", held by {}", base::to_string(*now.held_by));
    reasons.push_back(line);
    reasons.push_back(fmt::format("its rows are due at about {}, in {:.0f} s", clock_text(*due),
                                  static_cast<double>(std::max<Micros>(0, *due - wall_clock())) / kSecond));
  }

  const std::shared_ptr<const ApiGround> ground_;
};

}  // namespace

Micros watermark_of(const ApiGround& ground, const QueryRegister::Status& query, const Snapshot& now) {
  if (!query.number || !query.query) return base::kMinTime;
  if (!hears_flows_here(ground)) {
    const auto frontier = now.frontiers.find(*query.number);
    return frontier == now.frontiers.end() ? base::kMinTime : frontier->second;
  }
  return goes_by_arrival(*query.query) ? now.arrival_watermark : now.watermark;
}

void note(const ApiGround& ground, const Request& request, const char* verb, std::string comment, catalog::Kind kind,
          std::string name) {
  catalog::Change change;
  change.action = catalog::Change::Action::kNote;
  change.kind = kind;
  change.name = std::move(name);
  change.verb = verb;
  change.comment = std::move(comment);
  // What was done is done; a catalog that cannot be written is told by doctor and by the next change.
  (void)ground.catalog.apply({&change, 1}, author_of(request), wall_clock());
}

void add_node_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground) {
  using http::Method;
  const auto routes = std::make_shared<NodeRoutes>(ground);
  const auto add = [&](Method method, const char* pattern, uint32_t role, const char* name, bool slow, auto member) {
    router.add({method, pattern, [routes, member](const Request& request) { return ((*routes).*member)(request); },
                role, name, slow, 0});
  };
  add(Method::kGet, "/api/v1/status", kViewer, "status", false, &NodeRoutes::status);
  add(Method::kGet, "/api/v1/exporters", kViewer, "exporters", true, &NodeRoutes::exporters);
  add(Method::kGet, "/api/v1/exporters/snippets", kViewer, "exporter_snippets", false, &NodeRoutes::snippets);
  add(Method::kGet, "/api/v1/queries/{name}/why", kViewer, "why_query", false, &NodeRoutes::why);
  add(Method::kGet, "/api/v1/nodes", kViewer, "nodes", false, &NodeRoutes::nodes);
  add(Method::kPost, "/api/v1/nodes/{name}/drain", kAdmin, "drain_node", true, &NodeRoutes::drain_node);
  add(Method::kGet, "/api/v1/audit", kAdmin, "audit", false, &NodeRoutes::audit);
  add(Method::kGet, "/api/v1/catalog/export", kAdmin, "export_catalog", true, &NodeRoutes::export_catalog);
  router.add({Method::kPost, "/api/v1/catalog/import",
              [routes](const Request& request) { return routes->import_catalog(request); }, kAdmin, "import_catalog",
              true, size_t{64} << 20});
  add(Method::kGet, "/api/v1/doctor", kViewer, "doctor", true, &NodeRoutes::doctor);
  add(Method::kGet, "/api/v1/openapi.json", kNobodyAsked, "openapi", false, &NodeRoutes::openapi);
  add(Method::kGet, "/metrics", kViewer, "metrics", true, &NodeRoutes::metrics);
  add(Method::kGet, "/metrics/results", kViewer, "result_metrics", true, &NodeRoutes::result_metrics);
  add(Method::kGet, "/metrics/results/{publication}", kViewer, "result_metrics_of_one", true,
      &NodeRoutes::result_metrics_of_one);
  add(Method::kGet, "/-/healthy", kNobodyAsked, "healthy", false, &NodeRoutes::healthy);
  add(Method::kGet, "/-/ready", kNobodyAsked, "ready", false, &NodeRoutes::ready);
  add(Method::kPost, "/-/reload", kAdmin, "reload", true, &NodeRoutes::reload);
}

void add_api_routes(http::Router& router, std::shared_ptr<const ApiGround> ground) {
  add_query_routes(router, ground);
  add_result_routes(router, ground);
  add_alert_routes(router, ground);
  add_node_routes(router, ground);
  add_sink_routes(router, ground);
}

}  // namespace backstream::service
