// Routes about alerts: which fire, what people say of them, and whether endpoints take notices.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "service/api_json.h"
#include "service/api_routes.h"

namespace backstream::service {

using base::fail;
using base::Micros;
using base::Result;
using base::wall_clock;
using http::Request;
using http::Response;

namespace {

constexpr size_t kTextOctetsMax = 1'000;
constexpr std::chrono::seconds kTestPatience(15);
constexpr uint64_t kEndedShown = 200, kEndedMax = 2'000;

std::string_view type_name(config::NotifySettings::Type type) {
  constexpr std::string_view kNames[] = {"webhook", "alertmanager", "syslog", "script"};
  return kNames[static_cast<size_t>(type)];
}

/// An empty body is an empty object.
Result<Json> body_or_nothing(const Request& request) {
  if (request.body.empty()) return Json(Json::object());
  return body_of(request);
}

Result<std::string> short_text(const Json& body, const char* name) {
  auto text = text_member(body, name);
  if (text && text->size() > kTextOctetsMax)
    return fail("22023", fmt::format("'{}' has at most {} octets", name, kTextOctetsMax));
  return text;
}

class AlertRoutes {
 public:
  explicit AlertRoutes(std::shared_ptr<const ApiGround> ground) : ground_(std::move(ground)) {}

  Response list(const Request&) const {
    Json endpoints = Json::array();
    for (const auto& endpoint : ground_->alerts->status().endpoints) {
      endpoints.push_back(
          {{"name", endpoint.name},
           {"type", type_name(endpoint.type)},
           {"waiting", endpoint.waiting},
           {"delivered", endpoint.delivered},
           {"failed", endpoint.failed},
           {"refused", endpoint.refused},
           {"dropped", endpoint.dropped + endpoint.expired},
           {"error", endpoint.error.empty() ? Json(nullptr) : Json(endpoint.error)},
           {"failing_since", endpoint.failing_since ? time_json(*endpoint.failing_since) : Json(nullptr)},
           {"delivered_at", endpoint.delivered_at ? time_json(*endpoint.delivered_at) : Json(nullptr)}});
    }
    return json_answer(200, {{"alerts", ground_->alerts->list()},
                             {"rules", ground_->alerts->rules()},
                             {"rule_states", ground_->alerts->rule_states()},
                             {"silences", ground_->alerts->silences()},
                             {"endpoints", std::move(endpoints)}});
  }
  Response show(const Request& request) const {
    const std::string id(request.path_value("id"));
    const auto alert = ground_->alerts->show(id);
    if (!alert) return refuse(alert.error());
    if (*alert) return json_answer(200, **alert);
    return refuse(fail("42704", fmt::format("there is no alert '{}'", id), {}, "it may be over for long").value());
  }
  Response ended(const Request& request) const {
    const auto from = time_parameter(request, "from"), until = time_parameter(request, "until");
    const auto limit = count_parameter(request, "limit");
    if (!from) return refuse(from.error());
    if (!until) return refuse(until.error());
    if (!limit) return refuse(limit.error());
    // One more than is shown: whether there are more.
    const size_t shown = std::min<uint64_t>(limit->value_or(kEndedShown), kEndedMax);
    auto ended = ground_->alerts->ended(from->value_or(base::kMinTime), until->value_or(base::kMaxTime), shown + 1);
    if (!ended) return refuse(ended.error());
    const bool more = ended->size() > shown;
    if (more) ended->erase(ended->size() - 1);
    return json_answer(200, {{"alerts", std::move(*ended)}, {"more", more}});
  }
  Response acknowledge(const Request& request) const {
    const std::string id(request.path_value("id"));
    const auto body = body_or_nothing(request);
    if (!body) return refuse(body.error());
    const auto comment = short_text(*body, "comment");
    if (!comment) return refuse(comment.error());
    const auto done = ground_->alerts->acknowledge(id, author_of(request).name, *comment, wall_clock());
    if (!done) return refuse(done.error());
    note(*ground_, request, "acknowledge", fmt::format("{} {}", (*done)["title"].get<std::string>(), *comment),
         catalog::Kind::kAlert, (*done)["alert"].get<std::string>());
    return json_answer(200, *done);
  }
  Response silences(const Request&) const { return json_answer(200, {{"silences", ground_->alerts->silences()}}); }
  Response add_silence(const Request& request) const {
    const auto body = body_of(request);
    if (!body) return refuse(body.error());
    alert::Silence silence;
    silence.author = author_of(request).name;
    silence.made_at = wall_clock();
    for (const auto& [name, to] :
         {std::pair{"alert", &silence.rule}, {"key", &silence.key}, {"comment", &silence.comment}}) {
      auto text = short_text(*body, name);
      if (!text) return refuse(text.error());
      *to = std::move(*text);
    }
    if (silence.rule.empty()) silence.rule = std::string("*");
    const auto until = until_of(*body, silence.made_at);
    if (!until) return refuse(until.error());
    silence.until = *until;
    const std::string of = silence.rule, key = silence.key;
    const auto added = ground_->alerts->add_silence(std::move(silence));
    if (!added) return refuse(added.error());
    note(*ground_, request, "silence",
         fmt::format("{} until {}", key.empty() ? "all keys" : key, base::format_rfc3339(*until)),
         catalog::Kind::kAlert, of);
    return json_answer(201, *added);
  }
  Response remove_silence(const Request& request) const {
    const std::string_view text = request.path_value("id");
    uint64_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size())
      return refuse(fail("42704", fmt::format("there is no silence '{}'", text)).value());
    const auto removed = ground_->alerts->remove_silence(id);
    if (!removed) return refuse(removed.error());
    note(*ground_, request, "unsilence", removed->key.empty() ? "all keys" : removed->key, catalog::Kind::kAlert,
         removed->rule);
    return json_answer(200, {{"id", id}});
  }
  Response test(const Request& request) const {
    const auto body = body_or_nothing(request);
    if (!body) return refuse(body.error());
    const auto endpoint = short_text(*body, "endpoint"), rule = short_text(*body, "alert");
    if (!endpoint) return refuse(endpoint.error());
    if (!rule) return refuse(rule.error());
    auto results = ground_->alerts->test(*endpoint, *rule, author_of(request).name, kTestPatience);
    if (!results) return refuse(results.error());
    note(*ground_, request, "test", endpoint->empty() ? "all endpoints" : *endpoint, catalog::Kind::kAlert,
         rule->empty() ? "test" : *rule);
    return json_answer(200, {{"results", std::move(*results)}});
  }

 private:
  /// "until", RFC 3339, or "seconds" from now on.
  static Result<Micros> until_of(const Json& body, Micros now) {
    constexpr int64_t kSecondsMax = int64_t{366} * 86'400;
    const auto seconds = body.find("seconds");
    if (seconds != body.end()) {
      if (!seconds->is_number_integer() || *seconds < 1 || *seconds > kSecondsMax)
        return fail("22023", "'seconds' is a whole number, 1 to 31622400");
      return now + seconds->get<int64_t>() * base::kMicrosPerSecond;
    }
    const auto text = text_member(body, "until");
    if (!text) return tl::unexpected(text.error());
    const auto until = base::parse_timestamp(*text);
    if (!until) return fail("22007", "'until' is no time", {}, R"(such as "2026-01-31T12:00:00Z", or "seconds": 3600)");
    return *until;
  }

  const std::shared_ptr<const ApiGround> ground_;
};

}  // namespace

void add_alert_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground) {
  using http::Method;
  const auto routes = std::make_shared<AlertRoutes>(ground);
  const auto add = [&](Method method, const char* pattern, uint32_t role, const char* name, bool slow, auto member) {
    router.add({method, pattern,
                [routes, ground, member](const Request& request) {
                  if (ground->alerts == nullptr)
                    return refuse(
                        fail("0A000", "this node has no results, and so no alerts", {}, "ask a receiver").value());
                  return ((*routes).*member)(request);
                },
                role, name, slow, size_t{16} << 10});
  };
  add(Method::kGet, "/api/v1/alerts", kViewer, "alerts", false, &AlertRoutes::list);
  add(Method::kGet, "/api/v1/alerts/ended", kViewer, "ended_alerts", true, &AlertRoutes::ended);
  add(Method::kGet, "/api/v1/alerts/{id}", kViewer, "alert", true, &AlertRoutes::show);
  add(Method::kPost, "/api/v1/alerts/{id}/ack", kOperator, "acknowledge_alert", true, &AlertRoutes::acknowledge);
  add(Method::kGet, "/api/v1/silences", kViewer, "silences", false, &AlertRoutes::silences);
  add(Method::kPost, "/api/v1/silences", kOperator, "add_silence", true, &AlertRoutes::add_silence);
  add(Method::kDelete, "/api/v1/silences/{id}", kOperator, "remove_silence", true, &AlertRoutes::remove_silence);
  add(Method::kPost, "/api/v1/alerts/test", kOperator, "test_alert", true, &AlertRoutes::test);
}

}  // namespace backstream::service
