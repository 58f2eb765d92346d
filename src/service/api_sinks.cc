// Routes of sinks: what is sent where, how far it is, and why not.
#include <array>

#include "service/api_json.h"
#include "service/api_routes.h"
#include "service/sink_register.h"

namespace backstream::service {

using base::fail;
using base::wall_clock;
using http::Request;
using http::Response;

namespace {

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }
Json time_or_null(base::Micros time) { return time == 0 ? Json() : time_json(time); }

Json json_of(const SinkRegister::Info& sink) {
  const sink::RunnerStatus& status = sink.status;
  return {{"name", sink.name},
          {"text", sink.text},
          {"query", text_or_null(sink.query)},
          {"server", text_or_null(sink.server)},
          {"type", text_or_null(sink.type)},
          {"state", sink.waits_for.empty() ? std::string(sink::name(status.state)) : "waiting"},
          {"waits_for", text_or_null(sink.waits_for)},
          {"error", text_or_null(status.error)},
          {"hint", text_or_null(status.hint)},
          {"error_at", time_or_null(status.error_at)},
          {"retry_at", status.state == sink::RunnerStatus::State::kFailing ? time_or_null(status.retry_at) : Json()},
          {"place", status.place},
          {"last_seq", status.last_seq},
          {"delivered_at", time_or_null(status.delivered_at)},
          {"behind_since", time_or_null(status.behind_since)},
          {"parts", status.parts},
          {"rows", status.rows},
          {"rows_refused", status.rows_refused},
          {"rows_left_out", status.rows_left_out},
          {"rows_missed", status.rows_missed},
          {"rows_replayed", status.rows_replayed},
          {"errors", status.errors}};
}

class SinkRoutes {
 public:
  explicit SinkRoutes(std::shared_ptr<const ApiGround> ground) : ground_(std::move(ground)) {}

  Response list(const Request&) const {
    Json all = Json::array();
    if (ground_->sinks != nullptr) {
      for (const auto& sink : ground_->sinks->list()) all.push_back(json_of(sink));
    }
    return json_answer(200, {{"sinks", std::move(all)}});
  }
  Response change(const Request& request) const {
    if (ground_->sinks == nullptr) return elsewhere();
    const auto body = body_of(request);
    if (!body) return refuse(body.error());
    const auto text = text_member(*body, "text"), source = text_member(*body, "source");
    if (!text) return refuse(text.error());
    if (!source) return refuse(source.error());
    const auto done = ground_->sinks->execute(*text, *source, author_of(request), wall_clock());
    if (!done) return refuse(done.error(), *text);
    return json_answer(200, {{"done", Json::array({{{"name", done->name},
                                                    {"verb", done->verb},
                                                    {"query", text_or_null(done->query)},
                                                    {"server", text_or_null(done->server)},
                                                    {"type", text_or_null(done->type)}}})}});
  }
  Response test(const Request& request) const {
    if (ground_->sinks == nullptr) return elsewhere();
    const std::string name(request.path_value("name"));
    const auto tested = ground_->sinks->test(name);
    if (!tested) return refuse(tested.error());
    return json_answer(200, {{"name", name}, {"found", *tested}});
  }
  Response replay(const Request& request) const {
    if (ground_->sinks == nullptr) return elsewhere();
    const std::string name(request.path_value("name"));
    const auto from = time_parameter(request, "from"), until = time_parameter(request, "until");
    if (!from) return refuse(from.error());
    if (!until) return refuse(until.error());
    const auto begun = ground_->sinks->replay(name, from->value_or(base::kMinTime), until->value_or(base::kMaxTime));
    if (!begun) return refuse(begun.error());
    ground_->catalog.apply(std::array{catalog::Change{.action = catalog::Change::Action::kNote,
                                                      .kind = catalog::Kind::kSink,
                                                      .name = name,
                                                      .body = {},
                                                      .verb = "replay",
                                                      .comment = {},
                                                      .expected = {}}},
                           author_of(request), wall_clock());
    return json_answer(202, {{"name", name}, {"state", "replaying"}});
  }

 private:
  static Response elsewhere() {
    return refuse(fail("0A000", "this node keeps no results, so it sends none", {},
                       "ask a node with the role receiver, whose history.enabled is true")
                      .value());
  }
  const std::shared_ptr<const ApiGround> ground_;
};

}  // namespace

void add_sink_routes(http::Router& router, const std::shared_ptr<const ApiGround>& ground) {
  using http::Method;
  const auto routes = std::make_shared<SinkRoutes>(ground);
  const auto add = [&](Method method, const char* pattern, uint32_t role, const char* name, bool slow, auto member) {
    router.add({method, pattern, [routes, member](const Request& request) { return ((*routes).*member)(request); },
                role, name, slow, 0});
  };
  add(Method::kGet, "/api/v1/sinks", kViewer, "sinks", false, &SinkRoutes::list);
  add(Method::kPost, "/api/v1/sinks", kOperator, "change_sink", true, &SinkRoutes::change);
  add(Method::kPost, "/api/v1/sinks/{name}/test", kOperator, "test_sink", true, &SinkRoutes::test);
  add(Method::kPost, "/api/v1/sinks/{name}/replay", kOperator, "replay_sink", true, &SinkRoutes::replay);
}

}  // namespace backstream::service
