// What each kind of statement asks of the server.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

#include "app/shell/alter_text.h"
#include "app/shell/display_text.h"
#include "app/shell/shell.h"
#include "app/shell/terminal.h"
#include "http/url.h"
#include "plan/bind_table.h"
#include "telemetry/terminal_log.h"

namespace backstream::app::shell {
namespace {

using Json = nlohmann::json;
using Kind = plan::UnboundStatement::Kind;

std::string text_of(const Json& object, const char* name) {
  if (!object.is_object()) return {};
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
std::optional<uint64_t> number_of(const Json& object, const char* name) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? std::optional(found->get<uint64_t>()) : std::nullopt;
}

/// As psql says it.
std::string_view table_label(Kind kind) {
  switch (kind) {
    case Kind::kCreateTable: return "CREATE TABLE";
    case Kind::kInsert: return "INSERT";
    case Kind::kUpdate: return "UPDATE";
    case Kind::kDelete: return "DELETE";
    case Kind::kTruncate: return "TRUNCATE TABLE";
    default: return "DROP TABLE";
  }
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return out;
}

std::string duration_text(base::Micros micros) {
  const int64_t seconds = micros / base::kMicrosPerSecond;
  if (seconds < 60) return fmt::format("{:.1f} s", static_cast<double>(micros) / base::kMicrosPerSecond);
  if (seconds < 3'600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} min", seconds / 3'600, seconds / 60 % 60);
}

}  // namespace

Shell::Done Shell::run_statement(const Statement& statement) {
  switch (statement.parsed.kind) {
    case Kind::kSelect: return select(statement);
    case Kind::kExplain: return explain(statement);
    case Kind::kCreateMaterializedView:
    case Kind::kCreateView: return create(statement);
    case Kind::kDrop: return drop(statement);
    case Kind::kAlterView: return alter(statement);
    case Kind::kComment: return comment(statement);
    case Kind::kRename:
      return refused(statement, "0A000", "a registered query cannot be renamed",
                     "CREATE it under the other name, and DROP this one when nobody reads it any more",
                     statement.parsed.span);
    default: return other(statement);
  }
}

Shell::Done Shell::refused(const Statement& statement, std::string_view code, std::string what, std::string hint,
                           base::SourceSpan span) {
  base::Diagnostic diagnostic = base::fail(code, std::move(what), span, std::move(hint)).value();
  diagnostic.span.offset_octets += static_cast<uint32_t>(statement.begin);
  base::locate(diagnostic, statement.source_name, statement.whole);
  return tl::unexpected(ServiceError(std::move(diagnostic)));
}

namespace {

/// What becomes of a sink now, and how that is seen.
std::string sink_line(const Json& done) {
  const std::string name = text_of(done, "name"), query = text_of(done, "query"), type = text_of(done, "type");
  const std::string server =
      fmt::format("server {}{}", text_of(done, "server"), type.empty() ? "" : fmt::format(" ({})", type));
  if (text_of(done, "verb") == "drop") {
    return fmt::format(" {}: rows of {} go to {} no more; {}", name, query, server,
                       type == "prometheus" ? "its page is gone" : "what was sent stays");
  }
  const std::string where =
      type == "prometheus"
          ? fmt::format("the newest window of {} stands at /metrics/results/{} for {}", query, name, server)
          : fmt::format("rows of {} go to {}, from the oldest that history has", query, server);
  return fmt::format(" {0}: {1}; backstream sink test {0} tries the way, backstream sink list shows how far it is",
                     name, where);
}

}  // namespace

/// "CREATE MATERIALIZED VIEW: top_dst runs, version 1, collecting since …; also started anew: …"
void Shell::say_done(std::string_view tag, const Json& answer) const {
  std::string text(tag);
  const Json query = answer.is_object() && answer.contains("query") ? answer["query"] : Json();
  if (query.is_object()) {
    text += fmt::format(": {}", text_of(query, "name"));
    if (const std::string state = text_of(query, "state"); !state.empty() && state != "running")
      text += fmt::format(" is {}", state);
    if (const auto version = number_of(query, "version")) text += fmt::format(", version {}", *version);
    if (const std::string since = text_of(query, "collecting_since"); !since.empty()) {
      const auto time = base::parse_timestamp(since);
      text += fmt::format(", collecting since {}", time ? base::format_timestamp(*time) : since);
    }
  }
  if (answer.is_object() && answer.contains("done") && answer["done"].is_array()) {
    for (const Json& done : answer["done"]) {
      if (text_of(done, "verb") == "unchanged") text += ", unchanged";
      if (const std::string server = text_of(done, "server"); !server.empty()) text += sink_line(done);
      if (!done.is_object() || !done.contains("also") || !done["also"].is_array()) continue;
      for (const Json& reader : done["also"]) {
        if (reader.is_string()) text += fmt::format(", {} starts anew with it", reader.get<std::string>());
      }
    }
  }
  if (!settings_.quiet) standard_.write(printable(text) + "\n");
  standard_.flush();
}

Shell::Done Shell::create(const Statement& statement) {
  const SentText sent = statement.sent(statement.parsed.span);
  const Json body{{"text", statement.text()}, {"source", sent.source}};
  const bool materialized = statement.parsed.kind == Kind::kCreateMaterializedView;
  const auto answer = statement.parsed.or_replace
                          ? client_->put(query_path(statement.parsed.name), body, std::span(&sent, 1))
                          : client_->post("/api/v1/queries", body, std::span(&sent, 1));
  known_is_old_ = true;
  if (!answer) {
    if (statement.parsed.if_exists && answer.error().code == "42710") {
      say(printable(fmt::format("notice: \"{}\" is there already, skipped", statement.parsed.name)));
      return kExitOk;
    }
    return tl::unexpected(answer.error());
  }
  say_done(materialized ? "CREATE MATERIALIZED VIEW" : "CREATE VIEW", *answer);
  return kExitOk;
}

Shell::Done Shell::drop(const Statement& statement) {
  const std::string& type = statement.parsed.object_type;
  if (type != "view" && type != "materialized view") return other(statement);
  const std::string& name = statement.parsed.name;
  auto query = client_->get(query_path(name));
  if (!query && query.error().status == 404 && statement.parsed.if_exists) {
    say(printable(fmt::format("notice: there is no \"{}\", skipped", name)));
    return kExitOk;
  }
  if (!query) return tl::unexpected(missing(query.error(), name));
  const bool plain = query->is_object() && query->contains("plain") && (*query)["plain"] == true;
  if (plain != (type == "view")) {
    return refused(statement, "42809", fmt::format("\"{}\" is {} view", name, plain ? "a plain" : "a materialized"),
                   plain ? "DROP VIEW removes it" : "DROP MATERIALIZED VIEW removes it", statement.parsed.name_span);
  }
  auto answer = client_->remove(query_path(name), number_of(*query, "revision"));
  known_is_old_ = true;
  if (!answer) return tl::unexpected(answer.error());
  say_done("DROP " + upper(type), *answer);
  return kExitOk;
}

Shell::Done Shell::alter(const Statement& statement) {
  const std::string& name = statement.parsed.name;
  const auto query = client_->get(query_path(name));
  if (!query && query.error().status == 404 && statement.parsed.if_exists) {
    say(printable(fmt::format("notice: there is no \"{}\", skipped", name)));
    return kExitOk;
  }
  if (!query) return tl::unexpected(missing(query.error(), name));
  const std::string_view piece = statement.whole.substr(statement.begin);
  auto text = altered_text(name, text_of(*query, "text"), statement.parsed, piece);
  if (!text) return tl::unexpected(ServiceError(std::move(text.error())));
  // A mistake is one in the text as it would be: that is what the server sees, and what is shown.
  const std::string source = name + ", altered";
  const SentText sent{.source = source, .source_name = source, .text = *text};
  const auto answer = client_->put(query_path(name), {{"text", *text}, {"source", source}}, std::span(&sent, 1),
                                   number_of(*query, "revision"));
  known_is_old_ = true;
  if (!answer) return tl::unexpected(answer.error());
  say_done("ALTER MATERIALIZED VIEW", *answer);
  return kExitOk;
}

Shell::Done Shell::comment(const Statement& statement) {
  const std::string& type = statement.parsed.object_type;
  if (type != "view" && type != "materialized view") return other(statement);
  const std::string& name = statement.parsed.name;
  const auto query = client_->get(query_path(name));
  if (!query) return tl::unexpected(missing(query.error(), name));
  const auto answer = client_->put(
      query_path(name), {{"text", text_of(*query, "text")}, {"comment", statement.parsed.comment.value_or("")}}, {},
      number_of(*query, "revision"));
  if (!answer) return tl::unexpected(answer.error());
  const Json now = answer->is_object() && answer->contains("query") ? (*answer)["query"] : Json();
  if (text_of(now, "comment") != statement.parsed.comment.value_or(""))
    return refused(statement, "0A000", "the server kept the comment that was there", "", statement.parsed.span);
  if (!settings_.quiet) standard_.write("COMMENT\n");
  return kExitOk;
}

Shell::Done Shell::explain(const Statement& statement) {
  const plan::UnboundStatement& inner = *statement.parsed.inner;
  const SentText sent = statement.sent(inner.span);
  std::string options;
  for (const plan::UnboundOption& option : statement.parsed.options) {
    options += (options.empty() ? "" : ", ") + upper(option.name);
    if (option.has_value && !option.value.empty()) options += " " + option.value;
  }
  Json body{{"text", statement.text(inner.span)}, {"source", sent.source}};
  if (!options.empty()) body["options"] = options;
  const auto answer = client_->post("/api/v1/explain", body, std::span(&sent, 1));
  if (!answer) return tl::unexpected(answer.error());
  print_text(text_of(*answer, "plan"));
  return kExitOk;
}

/// Tables and all else that the server may know: it is asked, and says what it does not do.
Shell::Done Shell::other(const Statement& statement) {
  const SentText sent = statement.sent(statement.parsed.span);
  const bool of_table = plan::LookupTables::is_statement(statement.parsed.kind) ||
                        (statement.parsed.kind == Kind::kDrop && statement.parsed.object_type == "table");
  const bool of_sink =
      statement.parsed.kind == Kind::kCreatePublication || statement.parsed.object_type == "publication";
  const auto answer = client_->post(of_sink    ? "/api/v1/sinks"
                                    : of_table ? "/api/v1/tables"
                                               : "/api/v1/queries",
                                    {{"text", statement.text()}, {"source", sent.source}}, std::span(&sent, 1));
  known_is_old_ = true;
  if (!answer) return tl::unexpected(answer.error());
  say_done(of_sink    ? statement.parsed.kind == Kind::kDrop ? "DROP PUBLICATION" : "CREATE PUBLICATION"
           : of_table ? table_label(statement.parsed.kind)
                      : "done",
           *answer);
  return kExitOk;
}

Shell::Done Shell::select(const Statement& statement) {
  const SentText sent = statement.sent(statement.parsed.span);
  const auto answer =
      client_->post("/api/v1/sessions", {{"text", statement.text()}, {"source", sent.source}}, std::span(&sent, 1));
  if (!answer) return tl::unexpected(answer.error());
  const std::string name = text_of(*answer, "name");
  if (name.empty())
    return tl::unexpected(ServiceError(base::fail("08P01", "the server gave the live result no name").value()));
  if (answer->contains("notices") && (*answer)["notices"].is_array()) {
    for (const Json& notice : (*answer)["notices"]) {
      if (notice.is_string()) say(printable("notice: " + notice.get<std::string>()));
    }
  }
  const bool ends = answer->contains("ends") && (*answer)["ends"] == true;
  Done done = follow(name, ends ? Followed::kAnswer : Followed::kSession);
  // Whatever came of it, the query is not to run on. One that is gone already is as it should be.
  const auto removed = client_->remove("/api/v1/sessions/" + http::percent_encode(name));
  if (done && !removed && removed.error().status != 404) return tl::unexpected(removed.error());
  return done;
}

Shell::Done Shell::follow(const std::string& query, Followed what) {
  const bool session = what != Followed::kQuery, answer = what == Followed::kAnswer;
  answered_ = false;
  ViewOptions options{.format = settings_.format,
                      .expanded = std::exchange(expanded_once_, false) ? Expanded::kOn : settings_.expanded,
                      .null_text = settings_.null_text,
                      .revisions = settings_.revisions,
                      .limits = settings_.limits};
  if (watching_ && !answer) {
    options.interval = watching_->interval;
    options.limits.windows = watching_->count;
  }
  const bool in_place =
      !answer && !watching_ && !file_ && options.format == TableFormat::kTable && can_redraw(standard_.descriptor());
  const auto view = in_place ? live_view(standard_, options) : append_view(out(), options, settings_.quiet);
  const auto started = std::chrono::steady_clock::now();
  const auto end = run_live(server_, query, *view, out(), options.limits.duration, session);
  last_query_ = query;
  if (!end) return tl::unexpected(session ? end.error() : missing(end.error(), query));
  last_why_ = end->why;
  for (const std::string& notice : end->notices) say(printable("notice: " + notice));

  using Reason = LiveEnd::Reason;
  const ViewCounts& counts = view->counts();
  const base::Micros took =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - started).count();
  std::string text = "-- ";
  switch (end->reason) {
    case Reason::kInterrupted: text += "ended by Ctrl-C: "; break;
    case Reason::kEnded:
      answered_ = answer;
      text += answer ? "" : session ? "ended by the server: " : "the query has ended: ";
      break;
    case Reason::kTime: text += "time is up: "; break;
    default: break;
  }
  text += fmt::format("{} window{}, {} row{} in {}", counts.windows, counts.windows == 1 ? "" : "s", counts.rows,
                      counts.rows == 1 ? "" : "s", duration_text(took));
  if (counts.passed > 0) text += fmt::format("; {} windows were passed over", counts.passed);
  if (counts.not_whole > 0) text += fmt::format("; {} of them incomplete", counts.not_whole);
  if (counts.not_final > 0)
    text += fmt::format("; {} were not final yet and were left out (--revisions writes them)", counts.not_final);
  if (end->lost > 0) text += fmt::format("; {} results came faster than they were read", end->lost);
  if (end->gaps > 0) text += "; some are missing: the connection was interrupted";
  if (!session && end->reason != Reason::kEnded) text += fmt::format("; {} runs on", printable(query));
  if (counts.windows == 0 && !answered_ && !end->why.empty()) text += "\n-- no rows: " + end->why;
  say(text);

  const int failed = out().error();
  if (failed != 0 && failed != EPIPE)
    return tl::unexpected(
        ServiceError(base::fail("file", fmt::format("{}: {}", out().name(), std::strerror(failed))).value()));
  const bool had_limits = settings_.limits.rows > 0 || settings_.limits.windows > 0 || settings_.limits.duration > 0;
  if (end->reason == Reason::kInterrupted && had_limits) return kExitInterrupted;
  const bool waited_for_nothing =
      !answered_ && counts.windows == 0 && (end->reason == Reason::kTime || end->reason == Reason::kEnded);
  return waited_for_nothing ? kExitNothing : kExitOk;
}

}  // namespace backstream::app::shell
