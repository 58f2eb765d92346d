#include "service/sink_register.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "sql/parse.h"

namespace backstream::service {

using base::fail;
using base::Result;
using catalog::Change;
using Kind = plan::UnboundStatement::Kind;

namespace {

constexpr std::chrono::seconds kTendPause{1};

std::string text_in(const catalog::Object& object) {
  const auto body = nlohmann::json::parse(object.body, nullptr, false);
  return body.is_object() ? body.value("text", std::string()) : std::string();
}

tl::unexpected<base::Diagnostic> located(base::Diagnostic error, const std::string& source, const std::string& text) {
  if (error.line == 0) base::locate(error, source, text);
  return tl::unexpected(std::move(error));
}

}  // namespace

SinkRegister::SinkRegister(catalog::Catalog& catalog, Ground ground) : catalog_(catalog), ground_(std::move(ground)) {}
SinkRegister::~SinkRegister() { stop({}); }

Result<void> SinkRegister::start() {
  if (auto tended = tend(); !tended) return tended;
  tending_ = std::thread([this] {
    std::unique_lock lock(tending_mutex_);
    while (!ending_.wait_for(lock, kTendPause, [this] { return end_; })) {
      lock.unlock();
      (void)tend();  // A catalog that cannot be read is told elsewhere, and asked again.
      lock.lock();
    }
  });
  return {};
}

Result<void> SinkRegister::tend() {
  const std::lock_guard changing(change_mutex_);
  if (stopped_) return {};
  const auto objects = catalog_.list(catalog::Kind::kSink);
  if (!objects) return tl::unexpected(objects.error());
  std::map<std::string, Held, std::less<>> wanted;
  {
    const std::lock_guard lock(mutex_);
    for (const catalog::Object& object : *objects) {
      const auto there = held_.find(object.name);
      if (there != held_.end() && there->second.revision == object.revision) wanted.emplace(object.name, there->second);
      else wanted[object.name] = {text_in(object), object.revision, {}, {}, {}, {}, 0};
    }
  }
  for (auto& [name, held] : wanted) settle(held);
  {
    const std::lock_guard lock(mutex_);
    std::swap(held_, wanted);
  }
  for (auto& [name, held] : wanted) {
    if (held.runner && !is_held(held.runner)) held.runner->stop({});  // Its sink was dropped.
  }
  return {};
}

bool SinkRegister::is_held(const std::shared_ptr<sink::Runner>& runner) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(held_.begin(), held_.end(), [&](const auto& one) { return one.second.runner == runner; });
}

/// Starts, keeps or lets go what the sink needs as things are now. Under change_mutex_.
void SinkRegister::settle(Held& held) {
  // Others may still look at it; two must not write to one target.
  const auto let_go = [&] {
    if (held.runner) held.runner->stop({});
    held.runner.reset();
  };
  const auto wait = [&](std::string why) {
    held.waits_for = std::move(why);
    let_go();
  };
  // Read each time: servers are settings, which may have changed.
  auto definition = read_sink(held.text, "", ground_.find_server, ground_.servers());
  if (!definition) return wait(definition.error().message);
  held.definition = std::move(*definition);
  if (!held.definition->node.empty() && held.definition->node != ground_.node)
    return wait(fmt::format("node '{}' runs it", held.definition->node));
  const auto server = ground_.find_server(held.definition->server);
  const auto query = ground_.find_query(held.definition->query);
  if (!server) return wait(fmt::format("there is no server '{}'", held.definition->server));
  if (!query) return wait(fmt::format("there is no query '{}'", held.definition->query));
  if (held.runner && held.incarnation == query->incarnation && held.server == *server) return;
  let_go();
  held.waits_for.clear();
  held.server = *server;
  held.incarnation = query->incarnation;
  sink::RunnerOptions options;
  options.name = held.definition->name;
  options.query = {held.definition->query, query->incarnation};
  held.runner = std::make_shared<sink::Runner>(std::move(options), ground_.make_target(*held.definition, *server),
                                               ground_.source, make_selection(*held.definition));
}

Result<SinkRegister::Done> SinkRegister::execute(const std::string& text, const std::string& source_name,
                                                 const catalog::Author& author, base::Micros now) {
  auto statements = sql::parse(text, source_name);
  if (!statements) return tl::unexpected(std::move(statements.error()));
  Change change;
  Done done;
  change.kind = catalog::Kind::kSink;
  const bool drops = statements->size() == 1 && statements->front().kind == Kind::kDrop &&
                     statements->front().object_type == "publication";
  if (drops) {
    const plan::UnboundStatement& statement = statements->front();
    change.action = Change::Action::kDrop;
    change.verb = "drop";
    change.name = statement.name;
    const auto there = catalog_.find(catalog::Kind::kSink, change.name);
    if (!there) return tl::unexpected(there.error());
    if (!*there) {
      if (statement.if_exists) return Done{change.name, "unchanged"};
      return located(fail("42704", fmt::format("there is no publication \"{}\"", change.name), statement.name_span,
                          "backstream sink list names them")
                         .value(),
                     source_name, text);
    }
    const std::lock_guard lock(mutex_);
    if (const auto held = held_.find(change.name); held != held_.end() && held->second.definition) {
      done.query = held->second.definition->query;
      done.server = held->second.definition->server;
      if (held->second.runner) done.type = service::name(held->second.server.type);
    }
  } else {
    const auto definition = read_sink(text, source_name, ground_.find_server, ground_.servers());
    if (!definition) return tl::unexpected(definition.error());
    const plan::UnboundStatement& statement = statements->front();
    const auto query = ground_.find_query(definition->query);
    if (!query) {
      return located(fail("42704", fmt::format("there is no query '{}'", definition->query), statement.relation.span,
                          "CREATE MATERIALIZED VIEW comes first; backstream query list names them")
                         .value(),
                     source_name, text);
    }
    const SinkServer server = ground_.find_server(definition->server).value_or(SinkServer{});
    done.query = definition->query;
    done.server = definition->server;
    done.type = service::name(server.type);
    if (query->form) {
      if (auto checked = check_selection(*definition, server, *query->form); !checked) {
        base::Diagnostic error = std::move(checked.error());
        for (const plan::UnboundName& column : statement.insert_columns) {
          if (error.message.find('"' + column.name + '"') != std::string::npos) error.span = column.span;
        }
        if (error.span.length_octets == 0) error.span = statement.relation.span;
        error.line = 0;
        return located(std::move(error), source_name, text);
      }
    }
    change.action = Change::Action::kCreate;
    change.verb = "create";
    change.name = definition->name;
    change.body = nlohmann::json{{"text", text}}.dump();
  }
  if (const auto applied = catalog_.apply({&change, 1}, author, now); !applied)
    return located(applied.error(), source_name, text);
  if (auto tended = tend(); !tended) return tl::unexpected(std::move(tended.error()));
  done.name = change.name;
  done.verb = change.verb;
  return done;
}

std::vector<SinkRegister::Info> SinkRegister::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<Info> all;
  for (const auto& [name, held] : held_) {
    Info& info = all.emplace_back();
    info.name = name;
    info.text = held.text;
    info.waits_for = held.waits_for;
    if (held.definition) {
      info.elsewhere = !held.definition->node.empty() && held.definition->node != ground_.node;
      info.query = held.definition->query;
      info.server = held.definition->server;
    }
    if (!held.runner) continue;
    info.type = service::name(held.server.type);
    info.status = held.runner->status();
  }
  return all;
}

namespace {
base::Diagnostic missing(const std::string& name) {
  return fail("42704", fmt::format("there is no sink '{}'", name), {}, "backstream sink list names them").value();
}
base::Diagnostic waiting(const std::string& name, const std::string& why) {
  return fail("55000", fmt::format("sink '{}' sends nothing here: {}", name, why)).value();
}
}  // namespace

Result<std::string> SinkRegister::test(const std::string& name) {
  std::optional<SinkDefinition> definition;
  SinkServer server;
  {
    const std::lock_guard lock(mutex_);
    const auto at = held_.find(name);
    if (at == held_.end()) return tl::unexpected(missing(name));
    if (!at->second.runner) return tl::unexpected(waiting(name, at->second.waits_for));
    definition = at->second.definition;
    server = at->second.server;
  }
  return ground_.make_target(*definition, server)->test();
}

Result<void> SinkRegister::replay(const std::string& name, base::Micros from, base::Micros until) {
  std::shared_ptr<sink::Runner> runner;
  {
    const std::lock_guard lock(mutex_);
    const auto at = held_.find(name);
    if (at == held_.end()) return tl::unexpected(missing(name));
    if (!at->second.runner) return tl::unexpected(waiting(name, at->second.waits_for));
    if (is_for_prometheus(*at->second.definition, at->second.server.type)) {
      return fail("0A000",
                  fmt::format("sink '{}' has nothing to send again: Prometheus is shown the newest window", name), {},
                  "curl …/api/v1/queries/NAME/results gives those before it");
    }
    runner = at->second.runner;
  }
  if (runner->replay(from, until)) return {};
  return fail("55000", fmt::format("sink '{}' is replaying already", name), {},
              "backstream sink list shows how far it is");
}

void SinkRegister::stop(std::chrono::milliseconds patience) {
  {
    const std::lock_guard lock(tending_mutex_);
    end_ = true;
  }
  ending_.notify_all();
  if (tending_.joinable()) tending_.join();
  const std::lock_guard changing(change_mutex_);
  stopped_ = true;
  std::map<std::string, Held, std::less<>> going;
  {
    const std::lock_guard lock(mutex_);
    std::swap(held_, going);
  }
  const auto until = std::chrono::steady_clock::now() + patience;
  for (auto& [name, held] : going) {
    if (!held.runner) continue;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    held.runner->stop(std::max(left, std::chrono::milliseconds(0)));
  }
}

}  // namespace backstream::service
