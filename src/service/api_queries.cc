// Routes of the query register.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "plan/explain.h"
#include "receiver/result_part.h"
#include "service/api_json.h"
#include "service/api_routes.h"
#include "service/query_statements.h"
#include "service/row_filter.h"
#include "service/suggestion.h"
#include "sql/parse.h"

namespace backstream::service {

using base::fail;
using base::Result;
using base::wall_clock;
using http::Request;
using http::Response;
using Edit = QueryRegister::Edit;
using Action = Edit::Action;

namespace {

/// As results have them.
Json columns_of(const plan::Query& query) { return Json::parse(receiver::columns_json(*form_of(query))); }

Json ledger_json(const exec::WindowLedger& ledger) {
  return {{"assigned", ledger.assigned},
          {"counted", ledger.counted},
          {"filtered", ledger.filtered},
          {"late", ledger.late},
          {"errored", ledger.errored},
          {"shed", ledger.shed},
          {"time_null", ledger.time_null},
          {"time_future", ledger.time_future},
          {"lost", ledger.lost},
          {"windows_closed", ledger.windows_closed},
          {"result_rows", ledger.result_rows}};
}

Json placement_json(const plan::Placement& placement) {
  Json filters = Json::object();
  for (const plan::Placement::Filter& filter : placement.filters) filters[filter.site] = filter.condition;
  return {{"where", name(placement.where)},
          {"sites", placement.sites},
          {"filters", std::move(filters)},
          {"absent_sites", name(placement.absent_sites)}};
}

Json query_json(const ApiGround& ground, const QueryRegister::Status& status, const Snapshot& now) {
  Json json = {{"name", status.object.name},
               {"version", status.object.version},
               {"incarnation", status.object.incarnation.value},
               {"revision", status.object.revision.value},
               {"changed_at", time_json(status.object.changed_at)},
               {"owner", status.definition.owner},
               {"comment", status.definition.comment},
               {"state", catalog::name(status.definition.state)},
               {"reason", status.definition.reason},
               {"plain", status.plain},
               {"temporary", status.temporary},
               {"text", status.definition.text},
               {"reads", status.reads},
               {"columns", status.query ? columns_of(*status.query) : Json::array()},
               {"placement", status.query ? placement_json(status.query->options.placement) : Json(nullptr)},
               {"ledger", nullptr},
               {"lag_seconds", nullptr},
               {"state_octets", nullptr},
               {"groups", nullptr},
               {"collecting_since", time_json(status.since)}};
  if (!status.number) return json;
  if (const auto ledger = now.ledgers.find(*status.number); ledger != now.ledgers.end())
    json["ledger"] = ledger_json(ledger->second);
  if (const auto held = now.held.find(*status.number); held != now.held.end()) {
    json["state_octets"] = held->second.octets;
    json["groups"] = held->second.groups;
  }
  if (const Micros watermark = watermark_of(ground, status, now);
      watermark > base::kMinTime && watermark < base::kMaxTime)
    json["lag_seconds"] = seconds_json(now.at - watermark);
  return json;
}

Json done_json(const std::vector<QueryRegister::Done>& done) {
  Json list = Json::array();
  for (const QueryRegister::Done& one : done)
    list.push_back({{"name", one.name}, {"verb", one.verb}, {"also", one.also}});
  return list;
}

Json time_or_null(const std::optional<base::Micros>& time) { return time ? time_json(*time) : Json(nullptr); }

Json suggestion_json(const Suggestion& suggestion) {
  Json answers = Json::array(), others = Json::array();
  for (const Suggestion::Of& of : suggestion.answers) {
    Json tiers = Json::array();
    for (const auto& [tier, since] : of.tiers)
      tiers.push_back({{"tier", history::name(tier)}, {"kept_since", time_json(since)}});
    answers.push_back(
        {{"query", of.query},
         {"text", of.answer.text},
         {"notes", of.answer.notes},
         {"windows", of.windows.empty() ? Json(nullptr) : Json(of.windows)},
         {"kept_since", time_or_null(of.kept_since)},
         {"in_memory", of.in_memory},
         {"retention_seconds", of.retention_us == 0 ? Json(nullptr) : Json(of.retention_us / base::kMicrosPerSecond)},
         {"rows_per_window", of.rows_per_window ? Json(*of.rows_per_window) : Json(nullptr)},
         {"tiers", std::move(tiers)}});
  }
  for (const Suggestion::Of& of : suggestion.others)
    others.push_back({{"query", of.query}, {"reasons", of.answer.reasons}});
  return {
      {"asked", {{"from", time_or_null(suggestion.asked.from)}, {"until", time_or_null(suggestion.asked.until)}}},
      {"obstacle", suggestion.obstacle.empty() ? Json(nullptr) : Json(suggestion.obstacle)},
      {"answers", std::move(answers)},
      {"others", std::move(others)},
      {"keep", suggestion.keep_text.empty() ? Json(nullptr)
                                            : Json({{"name", suggestion.keep_name}, {"text", suggestion.keep_text}})}};
}

/// What a mistake's place is in: the text as it came, where it is one.
std::string text_in(const Json& body) {
  const auto text = text_member(body, "text");
  return text ? *text : std::string();
}

Result<Action> action_of(std::string_view name) {
  constexpr std::pair<std::string_view, Action> kActions[] = {{"add", Action::kAdd},     {"alter", Action::kAlter},
                                                              {"put", Action::kPut},     {"drop", Action::kDrop},
                                                              {"pause", Action::kPause}, {"resume", Action::kResume}};
  for (const auto& [known, action] : kActions) {
    if (known == name) return action;
  }
  return fail("22023", fmt::format("no action '{}'", name), {}, "add, alter, put, drop, pause or resume");
}

/// An edit of its members: those that are texts, and "expected".
Result<Edit> edit_of(const Json& body, Action action, std::string name) {
  Edit edit;
  edit.action = action;
  edit.name = std::move(name);
  const std::pair<const char*, std::string*> members[] = {
      {"name", &edit.name}, {"text", &edit.text}, {"source", &edit.source_name}, {"owner", &edit.owner}};
  for (const auto& [member, to] : members) {
    auto value = text_member(body, member);
    if (!value) return tl::unexpected(std::move(value.error()));
    if (!value->empty() && (to != &edit.name || edit.name.empty())) *to = std::move(*value);
  }
  auto comment = text_member(body, "comment");
  if (!comment) return tl::unexpected(std::move(comment.error()));
  if (body.contains("comment")) edit.comment = std::move(*comment);
  if (const auto expected = body.find("expected"); expected != body.end() && !expected->is_null()) {
    if (!expected->is_number_unsigned()) return fail("22023", "'expected' is no revision");
    edit.expected = catalog::Revision{expected->get<uint64_t>()};
  }
  const bool defines = action == Action::kAdd || action == Action::kAlter || action == Action::kPut;
  if (defines && edit.text.empty())
    return fail("22023", "'text' is missing: the statement", {}, "a SELECT or CREATE MATERIALIZED VIEW");
  if (!edit.name.empty()) return edit;
  const std::vector<std::string> names = defines ? names_in(edit.text) : std::vector<std::string>{};
  if (names.size() != 1) {
    // A text that cannot be read is the better thing to tell.
    if (defines) {
      if (auto parsed = parse_queries(edit.text, edit.source_name); !parsed)
        return tl::unexpected(std::move(parsed.error()));
    }
    return fail("22023", "the query has no name", {},
                names.empty() ? "give one, or write CREATE MATERIALIZED VIEW name AS SELECT …"
                              : "give one: that of an output stream of the diagram");
  }
  edit.name = names.front();
  return edit;
}

class QueryRoutes {
 public:
  explicit QueryRoutes(std::shared_ptr<const ApiGround> ground) : ground_(std::move(ground)) {}

  Response list(const Request& request) const {
    const auto snapshot = ground_->snapshot.snapshot();
    Json queries = Json::array();
    for (const auto& status : ground_->queries.list()) {
      if (status.temporary) continue;
      if (auto json = shown_to(request, status, *snapshot)) queries.push_back(std::move(*json));
    }
    return json_answer(200, {{"queries", std::move(queries)}});
  }
  Response get(const Request& request) const {
    const std::string name(request.path_value("name"));
    const auto status = ground_->queries.find(name);
    if (!status) return unknown(name);
    const auto json = shown_to(request, *status, *ground_->snapshot.snapshot());
    if (!json) return refuse(json.error());
    Response response = json_answer(200, *json);
    response.headers.set("ETag", fmt::format("\"{}\"", status->object.revision.value));
    return response;
  }
  Response add(const Request& request) const { return define(request, Action::kAdd, {}, 201); }
  Response put(const Request& request) const {
    return define(request, Action::kPut, std::string(request.path_value("name")), 200);
  }
  Response act(const Request& request, Action action) const {
    Edit edit;
    edit.action = action;
    edit.name = request.path_value("name");
    if (const auto comment = request.parameter("comment")) edit.comment = *comment;
    if (const auto expected = if_match(request)) edit.expected = *expected;
    return change(request, {&edit, 1}, false, 200);
  }
  Response apply(const Request& request) const {
    const auto body = body_of(request);
    if (!body) return refuse(body.error());
    const auto list = body->find("edits");
    if (list == body->end() || !list->is_array()) return refuse(fail("22023", "'edits' is not a list").value());
    constexpr size_t kEditsMax = 10'000;
    if (list->size() > kEditsMax) return refuse(fail("22023", fmt::format("more than {} edits", kEditsMax)).value());
    const auto dry_run = switch_member(*body, "dry_run");
    if (!dry_run) return refuse(dry_run.error());
    std::vector<Edit> edits;
    for (const Json& one : *list) {
      if (!one.is_object()) return refuse(fail("22023", "an edit is not an object").value());
      const auto action_name = text_member(one, "action");
      if (!action_name) return refuse(action_name.error());
      const auto action = action_of(*action_name);
      if (!action) return refuse(action.error());
      auto edit = edit_of(one, *action, {});
      if (!edit) return refuse(edit.error(), text_in(one));
      edits.push_back(std::move(*edit));
    }
    return change(request, edits, *dry_run, 200);
  }
  Response validate(const Request& request) const {
    const auto body = body_of(request);
    if (!body) return refuse(body.error());
    auto edit = edit_of(*body, Action::kPut, {});
    if (edit) return change(request, {&*edit, 1}, true, 200);
    if (edit.error().code != "22023" || !body->contains("text")) return refuse(edit.error(), text_in(*body));
    // A SELECT without a name is looked at as what it would be, a diagram as all that its output streams would.
    std::vector<std::string> names = names_in(text_in(*body));
    if (names.empty()) names.emplace_back("unnamed");
    std::vector<Edit> edits;
    for (const std::string& name : names) {
      Json named = *body;
      named["name"] = name;
      edit = edit_of(named, Action::kPut, {});
      if (!edit) return refuse(edit.error(), text_in(*body));
      edits.push_back(std::move(*edit));
    }
    return change(request, edits, true, 200);
  }
  Response explain(const Request& request) const {
    const auto body = body_of(request);
    if (!body) return refuse(body.error());
    const auto text = text_member(*body, "text"), source = text_member(*body, "source"),
               name = text_member(*body, "name"), options = text_member(*body, "options"),
               as = text_member(*body, "as");
    for (const auto* member : {&text, &source, &name, &options, &as}) {
      if (!*member) return refuse(member->error());
    }
    if (*as == "sql" || *as == "xml") {
      const auto written =
          ground_->queries.written(*text, *source, *name, *as == "sql" ? Language::kSql : Language::kXml);
      if (!written) return refuse(written.error(), *text);
      return json_answer(200, {{"text", *written}});
    }
    if (!as->empty() && *as != "plan")
      return refuse(fail("22023", fmt::format("nothing is explained as '{}'", *as), {}, "plan, sql or xml").value());
    std::function<std::string(const QueryRegister::OverViews&)> over_views;
    if (ground_->sessions.answers()) {
      over_views = [&](const QueryRegister::OverViews& over) {
        return Answer::explain(ground_->sessions.answers()->store, over, wall_clock());
      };
    }
    const auto plan = ground_->queries.explain(*text, *source, *name, *options, over_views);
    if (!plan) return refuse(plan.error(), *text);
    return json_answer(200, {{"plan", *plan}});
  }
  Response suggest(const Request& request) const {
    const auto body = body_of(request);
    if (!body) return refuse(body.error());
    const auto text = text_member(*body, "text"), source = text_member(*body, "source");
    if (!text) return refuse(text.error());
    if (!source) return refuse(source.error());
    const auto suggestion = service::suggest(*ground_, *text, *source);
    if (!suggestion) return refuse(suggestion.error(), *text);
    return json_answer(200, suggestion_json(*suggestion));
  }
  Response history(const Request& request) const {
    const std::string name(request.path_value("name"));
    const auto limit = count_parameter(request, "limit");
    if (!limit) return refuse(limit.error());
    const auto versions =
        ground_->catalog.history(catalog::Kind::kQuery, name, std::min<uint64_t>(limit->value_or(100), 1'000));
    if (!versions) return refuse(versions.error());
    if (versions->empty()) return unknown(name);
    Json list = Json::array();
    for (const catalog::Version& version : *versions) {
      catalog::Object object;
      object.body = version.body;
      const auto definition = catalog::query_of(object);
      list.push_back({{"version", version.version},
                      {"incarnation", version.incarnation.value},
                      {"revision", version.revision.value},
                      {"at", time_json(version.at)},
                      {"author", version.author},
                      {"text", definition ? definition->text : ""}});
    }
    return json_answer(200, {{"versions", std::move(list)}});
  }
  Response relations(const Request&) const {
    constexpr std::string_view kKinds[] = {"stream", "query", "view", "table"};
    Json list = Json::array();
    for (const auto& relation : ground_->queries.relations()) {
      Json columns = Json::array();
      for (const auto& column : relation.columns)
        columns.push_back({{"name", column.name}, {"type", batch::name(column.type)}});
      list.push_back({{"name", relation.name},
                      {"kind", kKinds[static_cast<size_t>(relation.kind)]},
                      {"columns", std::move(columns)}});
    }
    return json_answer(200, {{"relations", std::move(list)}});
  }
  Response list_tables(const Request&) const {
    Json list = Json::array();
    for (const auto& table : ground_->tables.list()) {
      Json columns = Json::array();
      for (const auto& column : table.columns)
        columns.push_back({{"name", column.name}, {"type", batch::name(column.type)}});
      list.push_back({{"name", table.name},
                      {"text", table.text},
                      {"file", table.file.empty() ? Json(nullptr) : Json(table.file)},
                      {"rows", table.rows},
                      {"columns", std::move(columns)}});
    }
    return json_answer(200, {{"tables", std::move(list)}});
  }
  Response change_table(const Request& request) const {
    const auto body = body_of(request);
    if (!body) return refuse(body.error());
    const auto text = text_member(*body, "text"), source = text_member(*body, "source");
    if (!text) return refuse(text.error());
    if (!source) return refuse(source.error());
    const auto done = ground_->tables.execute(*text, *source, author_of(request), wall_clock());
    if (!done) return refuse(done.error(), *text);
    return json_answer(200, {{"done", Json::array({{{"name", done->name}, {"verb", done->verb}}})}});
  }
  Response open_session(const Request& request) const {
    const auto body = body_of(request);
    if (!body) return refuse(body.error());
    const auto text = text_member(*body, "text"), source = text_member(*body, "source");
    if (!text) return refuse(text.error());
    if (!source) return refuse(source.error());
    const auto answered = ground_->sessions.answer(*text, *source, wall_clock());
    if (!answered) return refuse(answered.error(), *text);
    if (*answered) {
      const Answer& answer = *(*answered)->answer;
      return json_answer(201, {{"name", (*answered)->name},
                               {"columns", columns_of(answer.query())},
                               {"kept", true},
                               {"ends", answer.ends()},
                               {"notices", answer.notices()}});
    }
    const Identity* const who = identity_of(request);
    if (ground_->queries.shares_temporary() && who != nullptr && who->role == config::AccessRole::kViewer) {
      return refuse(fail("42501", "a SELECT runs on all nodes here, so a viewer may not run one", {},
                         "read the queries that are registered, or ask an operator")
                        .value());
    }
    const auto name = ground_->sessions.open(*text, *source, author_of(request), wall_clock());
    if (!name) return refuse(name.error(), *text);
    Json json = {
        {"name", *name}, {"columns", Json::array()}, {"kept", false}, {"ends", false}, {"notices", Json::array()}};
    if (const auto status = ground_->queries.find(*name); status && status->query)
      json["columns"] = columns_of(*status->query);
    return json_answer(201, json);
  }
  Response close_session(const Request& request) const {
    const std::string name(request.path_value("name"));
    if (!ground_->sessions.close(name)) return unknown(name);
    Response response;
    response.status = 204;
    return response;
  }
  /// 404, with what was perhaps meant.
  Response unknown(const std::string& name) const {
    std::vector<QueryRegister::Status> all = ground_->queries.list();
    std::vector<std::string_view> names;
    for (const auto& status : all) names.push_back(status.object.name);
    const auto near = base::nearest_name(name, names);
    return refuse(fail("42704", fmt::format("there is no query '{}'", name), {},
                       near.empty() ? "GET /api/v1/queries lists them" : fmt::format("did you mean '{}'?", near))
                      .value());
  }

 private:
  /// Of who sees some rows only: the queries that his filter fits, without what tells of more than his rows, as
  /// counters and statements do. Error 42501: he sees no row of it.
  Result<Json> shown_to(const Request& request, const QueryRegister::Status& status, const Snapshot& now) const {
    Json json = query_json(*ground_, status, now);
    const Identity* const who = identity_of(request);
    if (who == nullptr || who->row_filter.empty()) return json;
    if (auto may = check_may_read(request, status.object.name); !may) return tl::unexpected(std::move(may.error()));
    if (!status.query) return fail("42501", fmt::format("'{}' has no rows of its own", status.object.name));
    if (auto filter = RowFilter::make(who->row_filter, status.query->output()); !filter)
      return tl::unexpected(std::move(filter.error()));
    for (const char* const text : {"text", "reason"}) json[text] = "";
    for (const char* const whole : {"placement", "ledger", "lag_seconds", "state_octets", "groups"})
      json[whole] = nullptr;
    json["reads"] = Json::array();
    return json;
  }

  static std::optional<catalog::Revision> if_match(const Request& request) {
    const auto header = request.headers.find("If-Match");
    if (!header || header->size() < 3 || header->front() != '"' || header->back() != '"') return std::nullopt;
    const std::string digits(header->substr(1, header->size() - 2));
    if (digits.find_first_not_of("0123456789") != std::string::npos || digits.size() > 18) return std::nullopt;
    return catalog::Revision{std::stoull(digits)};
  }
  Response define(const Request& request, Action action, std::string name, uint16_t status) const {
    const auto body = body_of(request);
    if (!body) return refuse(body.error());
    auto edit = edit_of(*body, action, std::move(name));
    if (!edit) return refuse(edit.error(), text_in(*body));
    if (const auto expected = if_match(request)) edit->expected = *expected;
    return change(request, {&*edit, 1}, false, status);
  }
  /// @param status  of the answer when something was done
  Response change(const Request& request, std::span<const Edit> edits, bool dry_run, uint16_t status) const {
    const auto done = ground_->queries.change(edits, author_of(request), wall_clock(), dry_run);
    if (!done) {
      // The place is in the text of the edit that is named.
      std::string_view text;
      for (const Edit& edit : edits) {
        if (edits.size() == 1 || edit.source_name == done.error().source_name || edit.name == done.error().source_name)
          text = edit.text;
      }
      http::Problem problem = http::problem_of(done.error(), status_of(done.error().code), text);
      if (edits.size() > 1 && !done.error().source_name.empty()) problem.title = done.error().source_name;
      return http::respond(problem);
    }
    Json json = {{"done", done_json(*done)}};
    if (edits.size() == 1 && !dry_run) {
      if (const auto now = ground_->queries.find(edits[0].name))
        json["query"] = query_json(*ground_, *now, *ground_->snapshot.snapshot());
    }
    return json_answer(status, json);
  }

  const std::shared_ptr<const ApiGround> ground_;
};

}  // namespace

Result<void> check_may_read(const Request& request, std::string_view name) {
  const Identity* const who = identity_of(request);
  if (who == nullptr || who->row_filter.empty() || !name.starts_with(QueryRegister::kTemporaryMark)) return {};
  return fail("42501", fmt::format("'{}' is somebody's SELECT: who sees some rows only may not read it", name), {},
              "the results of registered queries can be read");
}

void add_query_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground) {
  using http::Method;
  const auto routes = std::make_shared<QueryRoutes>(ground);
  const auto add = [&](Method method, const char* pattern, uint32_t role, const char* name, bool slow, auto member) {
    router.add({method, pattern, [routes, member](const Request& request) { return ((*routes).*member)(request); },
                role, name, slow, 0});
  };
  add(Method::kGet, "/api/v1/queries", kViewer | kHeedsRowFilter, "list_queries", false, &QueryRoutes::list);
  add(Method::kPost, "/api/v1/queries", kOperator, "add_query", true, &QueryRoutes::add);
  add(Method::kGet, "/api/v1/queries/{name}", kViewer | kHeedsRowFilter, "show_query", false, &QueryRoutes::get);
  add(Method::kPut, "/api/v1/queries/{name}", kOperator, "put_query", true, &QueryRoutes::put);
  add(Method::kGet, "/api/v1/queries/{name}/history", kViewer, "query_history", false, &QueryRoutes::history);
  add(Method::kPost, "/api/v1/apply", kOperator, "apply", true, &QueryRoutes::apply);
  add(Method::kPost, "/api/v1/validate", kViewer, "validate", true, &QueryRoutes::validate);
  add(Method::kPost, "/api/v1/explain", kViewer, "explain", true, &QueryRoutes::explain);
  add(Method::kPost, "/api/v1/queries/suggest", kViewer, "suggest", true, &QueryRoutes::suggest);
  add(Method::kGet, "/api/v1/relations", kViewer, "relations", false, &QueryRoutes::relations);
  add(Method::kGet, "/api/v1/tables", kViewer, "list_tables", false, &QueryRoutes::list_tables);
  add(Method::kPost, "/api/v1/tables", kOperator, "change_table", true, &QueryRoutes::change_table);
  add(Method::kPost, "/api/v1/sessions", kViewer, "open_session", true, &QueryRoutes::open_session);
  add(Method::kDelete, "/api/v1/sessions/{name}", kViewer, "close_session", true, &QueryRoutes::close_session);
  const std::tuple<Method, const char*, const char*, Action> acts[] = {
      {Method::kDelete, "/api/v1/queries/{name}", "drop_query", Action::kDrop},
      {Method::kPost, "/api/v1/queries/{name}/pause", "pause_query", Action::kPause},
      {Method::kPost, "/api/v1/queries/{name}/resume", "resume_query", Action::kResume}};
  for (const auto& [method, pattern, name, action] : acts) {
    router.add({method, pattern, [routes, act = action](const Request& request) { return routes->act(request, act); },
                kOperator, name, true, 0});
  }
}

}  // namespace backstream::service
