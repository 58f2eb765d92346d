// Routes of results: what is kept, and what comes.
#include <fmt/format.h>

#include <algorithm>

#include "receiver/part_text.h"
#include "receiver/prometheus_text.h"
#include "service/api_json.h"
#include "service/api_routes.h"
#include "telemetry/exposition.h"

namespace backstream::service {

using base::fail;
using base::Result;
using http::Request;
using http::Response;

namespace {

constexpr std::string_view kTypes[] = {"application/json", "text/csv", "application/x-ndjson", "text/plain"};
enum Form : size_t { kJson, kCsv, kJsonl, kPrometheus };

Result<Form> form_of(const Request& request) {
  if (const auto asked = request.parameter("format")) {
    constexpr std::string_view kNames[] = {"json", "csv", "jsonl", "prometheus"};
    const auto* const at = std::find(std::begin(kNames), std::end(kNames), *asked);
    if (at == std::end(kNames))
      return fail("22023", fmt::format("no format '{}'", *asked), {}, "json, csv, jsonl or prometheus");
    return static_cast<Form>(at - kNames);
  }
  const auto chosen = http::negotiate(request.headers.list("Accept"), kTypes);
  return static_cast<Form>(chosen.value_or(kJson));
}

class ResultRoutes {
  using Part = std::shared_ptr<const receiver::ResultPart>;

 public:
  explicit ResultRoutes(std::shared_ptr<const ApiGround> ground) : ground_(std::move(ground)) {}

  Response results(const Request& request) const {
    const std::string name(request.path_value("name"));
    if (const auto may = check_may_read(request, name); !may) return refuse(may.error());
    ResultBoard::Range range;
    const auto from = time_parameter(request, "from"), until = time_parameter(request, "until");
    const auto after = count_parameter(request, "after"), limit = count_parameter(request, "limit");
    const auto form = form_of(request);
    for (const auto* const wrong :
         {from ? nullptr : &from.error(), until ? nullptr : &until.error(), after ? nullptr : &after.error(),
          limit ? nullptr : &limit.error(), form ? nullptr : &form.error()}) {
      if (wrong != nullptr) return refuse(*wrong);
    }
    if (*form == kPrometheus) return newest_window(request, name);
    range.from = from->value_or(base::kMinTime);
    range.until = until->value_or(base::kMaxTime);
    range.after_seq = after->value_or(0);
    range.rows_max = std::min<uint64_t>(limit->value_or(range.rows_max), range.rows_max);
    range.revisions = request.parameter("revisions") == "true";
    const auto tier = tier_of(request, name, *from);
    if (!tier) return refuse(tier.error());
    auto found = read_results(name, range, *tier);
    if (!found) return refuse(found.error());
    auto& read = *found;
    if (!read) return nothing_of(name);
    Response response;
    response.content_type = kTypes[*form];
    response.headers.set("X-Tier", std::string(history::name(*tier)));
    if (read->next_seq) response.headers.set("X-Next-After", std::to_string(*read->next_seq));
    if (auto filtered = filter(request, *read); !filtered) return refuse(filtered.error());
    const auto marks = range.revisions ? receiver::Marks::kRevision : receiver::Marks::kNone;
    if (*form == kCsv) response.body = receiver::csv_of(read->parts, marks);
    else if (*form == kJsonl) response.body = receiver::jsonl_of(read->parts, marks);
    else response.body = json_of(name, *read, *tier);
    return response;
  }

  Response events(const Request& request) const { return stream(request, {std::string(request.path_value("name"))}); }

  Response events_of_several(const Request& request) const {
    std::vector<std::string> names;
    for (const auto& [parameter, value] : request.query) {
      if (parameter == "query" && std::find(names.begin(), names.end(), value) == names.end()) names.push_back(value);
    }
    if (names.empty()) return refuse(fail("22023", "no query is named", {}, "?query=NAME, once for each").value());
    if (names.size() > http::kStreamTopicsMax) {
      return refuse(fail("22023", fmt::format("one stream carries at most {} queries", http::kStreamTopicsMax), {},
                         "open a second one")
                        .value());
    }
    return stream(request, names);
  }

 private:
  Response newest_window(const Request& request, const std::string& name) const {
    for (const char* const parameter : {"from", "until", "after", "limit", "revisions", "tier"}) {
      if (request.parameter(parameter)) {
        return refuse(fail("22023",
                           fmt::format("Prometheus is given the newest final window: '{}' is nothing to it", parameter),
                           {}, "format=csv, jsonl or json")
                          .value());
      }
    }
    const auto status = ground_->queries.find(name);
    ResultBoard::Range all;
    all.rows_max = UINT64_MAX;
    all.revisions = true;
    const auto shown = status ? ground_->board.read(name, all) : std::nullopt;
    if (!shown) return nothing_of(name);
    ResultBoard::Read read;
    if (ground_->history == nullptr || status->temporary) {
      read.parts = receiver::newest_final_window(shown->parts);
    } else {
      auto kept = ground_->history->newest_final({name, status->object.incarnation.value}, shown->parts);
      if (!kept) return refuse(kept.error());
      read.parts = std::move(*kept);
    }
    if (auto filtered = filter(request, read); !filtered) return refuse(filtered.error());
    Response response;
    response.content_type = telemetry::kExpositionType;
    response.body = receiver::prometheus_of(name, read.parts);
    return response;
  }

  /// The one that is asked for; else, where a range has a begin, the finest that has all of it.
  Result<history::Tier> tier_of(const Request& request, const std::string& name,
                                std::optional<base::Micros> from) const {
    const auto asked = request.parameter("tier");
    const auto tier = asked ? history::tier_of(*asked) : std::nullopt;
    if (asked && !tier) return fail("22023", fmt::format("no tier '{}'", *asked), {}, "raw, 1m, 5m or 1h");
    if (ground_->history == nullptr) {
      if (tier && *tier != history::Tier::kRaw)
        return fail("0A000", "there are no tiers: results are not kept", {}, "history.enabled = true");
      return history::Tier::kRaw;
    }
    if (tier) return *tier;
    if (!from) return history::Tier::kRaw;
    const auto status = ground_->queries.find(name);
    return status ? ground_->history->tier_for({name, status->object.incarnation.value}, *from) : history::Tier::kRaw;
  }

  /// What history has, and what the board knows beside it; nullopt: there is nothing of the query.
  Result<std::optional<ResultBoard::Read>> read_results(const std::string& name, const ResultBoard::Range& range,
                                                        history::Tier tier) const {
    // What was dropped just now may still be giving its last windows.
    if (ground_->sessions.find_answer(name)) return ground_->board.read(name, range);
    const auto status = ground_->queries.find(name);
    if (!status) return std::nullopt;
    if (ground_->history == nullptr || status->temporary) return ground_->board.read(name, range);
    const history::QueryId id{name, status->object.incarnation.value};
    ResultBoard::Range all;
    all.rows_max = UINT64_MAX;
    all.revisions = true;
    const auto shown = tier == history::Tier::kRaw ? ground_->board.read(name, all) : std::nullopt;
    auto kept =
        ground_->history->read(id, {range.from, range.until, range.after_seq, range.rows_max, range.revisions, tier},
                               shown ? std::span(shown->parts) : std::span<const Part>());
    if (!kept) {
      // What the board has alone is no worse than without history.
      if (shown && shown->kept_since && *shown->kept_since <= range.from) return ground_->board.read(name, range);
      return tl::unexpected(std::move(kept.error()));
    }
    if (!shown && !kept->kept_since && tier == history::Tier::kRaw) return std::nullopt;
    ResultBoard::Read read;
    read.parts = std::move(kept->parts);
    read.next_seq = kept->next_seq;
    read.kept_since = kept->kept_since;
    // Of a tier's windows nothing is told live: what goes on is the query's own.
    const uint64_t kept_seq = tier == history::Tier::kRaw ? kept->last_seq : ground_->history->last_seq(id);
    read.last_seq = std::max(kept_seq, ground_->board.last_seq(name));
    return read;
  }

  /// Leaves of what was read the rows that the asker may see.
  static Result<void> filter(const Request& request, ResultBoard::Read& read) {
    const Identity* const who = identity_of(request);
    if (who == nullptr || who->row_filter.empty()) return {};
    std::optional<RowFilter> filter;
    std::shared_ptr<const receiver::ResultForm> of;
    for (auto& part : read.parts) {
      if (part->form != of) {
        auto made = RowFilter::make(who->row_filter, part->form->schema);
        if (!made) return tl::unexpected(std::move(made.error()));
        filter.emplace(std::move(*made));
        of = part->form;
      }
      part = filtered_part(*part, *filter);
    }
    return {};
  }

  std::string json_of(const std::string& name, const ResultBoard::Read& read, history::Tier tier) const {
    std::string out = fmt::format(R"({{"query":{},"columns":)", http::json_string(name));
    const auto status = ground_->queries.find(name);
    if (!read.parts.empty()) out += receiver::columns_json(*read.parts.back()->form);
    else out += status && status->query ? receiver::columns_json(*service::form_of(*status->query)) : "[]";
    out += R"(,"windows":[)";
    for (const auto& part : read.parts) {
      if (&part != &read.parts.front()) out += ',';
      out += receiver::window_json(name, *part, 0, part->rows.row_count, part->last, false);
    }
    out += fmt::format(R"(],"tier":"{}","next":{},"last_seq":{},"kept_since":{},"windows_dropped":{}}})",
                       history::name(tier), read.next_seq ? std::to_string(*read.next_seq) : "null", read.last_seq,
                       time_json(read.kept_since.value_or(base::kMinTime)).dump(), read.parts_dropped);
    return out;
  }

  Response stream(const Request& request, const std::vector<std::string>& names) const {
    const auto backlog = count_parameter(request, "backlog");
    if (!backlog) return refuse(backlog.error());
    http::EventStream events;
    std::vector<std::shared_ptr<const void>> leases;
    for (const std::string& name : names) {
      if (const auto may = check_may_read(request, name); !may) return refuse(may.error());
      auto topic = ground_->board.topic(name);
      if (!topic || !(ground_->queries.find(name) || ground_->sessions.find_answer(name))) return nothing_of(name);
      if (const Identity* const who = identity_of(request); who != nullptr && !who->row_filter.empty()) {
        auto filtered = ground_->board.filtered_topic(name, who->row_filter);
        if (!filtered) return refuse(filtered.error());
        topic = std::move(filtered->topic);
        leases.push_back(std::move(filtered->lease));
      }
      events.topics.push_back(std::move(topic));
      if (auto lease = ground_->sessions.lease(name)) leases.push_back(std::move(lease));
    }
    // A browser's EventSource sends the header when it comes back; who begins anew may say it in the address.
    if (const auto id = request.headers.find("Last-Event-ID")) events.last_event_id = *id;
    else if (const auto last = request.parameter("last_event_id")) events.last_event_id = *last;
    events.backlog_events = static_cast<uint32_t>(std::min<uint64_t>(backlog->value_or(0), 1'000));
    if (!leases.empty()) events.lease = std::make_shared<std::vector<std::shared_ptr<const void>>>(std::move(leases));
    // Something to read at once: proxies and people see that the stream stands.
    events.prelude = ": " + std::string(names.size() == 1 ? "results of " + names[0] : "results") + "\n\n";
    Response response;
    response.events = std::move(events);
    return response;
  }

  /// A query that is there and has no results is something else than one that is not there.
  Response nothing_of(const std::string& name) const {
    const auto status = ground_->queries.find(name);
    if (status && status->plain) {
      return refuse(fail("42809", fmt::format("'{}' is a plain view: it has no results of its own", name), {},
                         fmt::format("SELECT * FROM {} in a query reads it", name))
                        .value());
    }
    if (status) {
      return refuse(
          fail("55000",
               fmt::format("query '{}' is {} and has no results yet", name, catalog::name(status->definition.state)),
               {}, "resume it")
              .value());
    }
    std::vector<QueryRegister::Status> all = ground_->queries.list();
    std::vector<std::string_view> names;
    for (const auto& one : all) names.push_back(one.object.name);
    const auto near = base::nearest_name(name, names);
    return refuse(fail("42704", fmt::format("there is no query '{}'", name), {},
                       near.empty() ? "GET /api/v1/queries lists them" : fmt::format("did you mean '{}'?", near))
                      .value());
  }

  const std::shared_ptr<const ApiGround> ground_;
};

}  // namespace

void add_result_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground) {
  using http::Method;
  const auto routes = std::make_shared<ResultRoutes>(ground);
  const auto add = [&](const char* pattern, const char* name, bool slow, auto member) {
    router.add({Method::kGet, pattern,
                [routes, member](const Request& request) { return ((*routes).*member)(request); },
                kViewer | kHeedsRowFilter, name, slow, 0});
  };
  add("/api/v1/queries/{name}/results", "query_results", true, &ResultRoutes::results);
  add("/api/v1/queries/{name}/events", "query_events", false, &ResultRoutes::events);
  add("/api/v1/events", "events", false, &ResultRoutes::events_of_several);
}

}  // namespace backstream::service
