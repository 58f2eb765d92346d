// The commands that begin with a backslash.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/shell/display_text.h"
#include "app/shell/editor.h"
#include "app/shell/shell.h"
#include "app/shell/sql_help.h"
#include "app/shell/statement_scanner.h"
#include "app/shell/terminal.h"
#include "app/stop_signal.h"
#include "app/suggestion_text.h"
#include "sql/parse.h"
#include "telemetry/terminal_log.h"

namespace backstream::app::shell {
namespace {

using Kind = MetaCommand::Kind;
using namespace std::chrono_literals;

constexpr size_t kIncludeDepthMax = 16;

ServiceError mistaken(std::string_view code, std::string message, std::string hint = {}) {
  ServiceError error(base::fail(code, std::move(message), {}, std::move(hint)).value());
  error.exit_code = kExitUsage;
  return error;
}

std::string_view name(Expanded expanded) {
  return expanded == Expanded::kOn ? "on" : expanded == Expanded::kAuto ? "auto" : "off";
}

/// Waits until then, or until Ctrl-C: false.
bool wait_until(std::chrono::steady_clock::time_point until) {
  while (std::chrono::steady_clock::now() < until) {
    if (interrupted() || stop_requested()) return false;
    std::this_thread::sleep_for(20ms);
  }
  return !interrupted() && !stop_requested();
}

bool is_select(const std::string& text) {
  const auto parsed = sql::parse(text, "");
  return parsed && parsed->size() == 1 && parsed->front().kind == plan::UnboundStatement::Kind::kSelect;
}

}  // namespace

Shell::Done Shell::run_meta(const MetaCommand& command, std::string& buffer) {
  const auto& arguments = command.arguments;
  switch (command.kind) {
    case Kind::kDescribe: return describe(command, "");
    case Kind::kTables: return describe(command, "table");
    case Kind::kViews: return describe(command, "view");
    case Kind::kQueries: return list_queries(command);
    case Kind::kExporters: return list_exporters();
    case Kind::kConnectionInfo: return connection_info();
    case Kind::kWhy: return why(arguments);
    case Kind::kTail:
      if (arguments.empty()) return tl::unexpected(mistaken("42601", "\\tail of which query?", "\\dq lists them"));
      return follow(arguments[0], Followed::kQuery);
    case Kind::kExpanded: return set_expanded(arguments);
    case Kind::kTiming: return set_timing(arguments);
    case Kind::kPrintSetting: return print_setting(arguments);
    case Kind::kConnect: return connect(arguments);
    case Kind::kOutput: return redirect(arguments);
    case Kind::kInclude:
      if (arguments.empty()) return tl::unexpected(mistaken("42601", "\\i which file?"));
      return include(arguments[0]);
    case Kind::kWatch: return watch(command, std::exchange(buffer, {}));
    case Kind::kSuggest: return suggest(std::exchange(buffer, {}));
    case Kind::kGo:
    case Kind::kGoExpanded: {
      const bool typed = !scan(buffer).blank;
      const std::string text = typed ? std::exchange(buffer, {}) : last_statement_;
      expanded_once_ = command.kind == Kind::kGoExpanded;
      Done done = run_buffer(text);
      expanded_once_ = false;
      return done;
    }
    case Kind::kEdit: return edit(command, buffer);
    case Kind::kPrintBuffer:
      print_text(!scan(buffer).blank       ? buffer
                 : last_statement_.empty() ? "nothing is being typed\n"
                                           : last_statement_ + "\n");
      return kExitOk;
    case Kind::kReset:
      buffer.clear();
      print_text("what was typed is forgotten\n");
      return kExitOk;
    case Kind::kHelpMeta: print_text(meta_help()); return kExitOk;
    case Kind::kHelpSql: {
      const auto text = sql_help(arguments);
      if (!text) return tl::unexpected(mistaken("42601", "there is no help on that", "\\h lists the statements"));
      print_text(*text);
      return kExitOk;
    }
    case Kind::kQuit: quit_ = true; return kExitOk;
  }
  return kExitOk;
}

Shell::Done Shell::watch(const MetaCommand& command, const std::string& typed) {
  const auto options = parse_watch(command.arguments);
  if (!options) return tl::unexpected(ServiceError(options.error()));
  const std::string text = scan(typed).blank ? last_statement_ : typed;
  if (scan(text).blank)
    return tl::unexpected(mistaken("42601", "\\watch of which statement?", "write it before the \\watch"));
  for (uint64_t n = 1; is_select(text); ++n) {
    // Each window is an answer of its own: the query runs once, and is looked at so often. One that is about the past
    // ends, and is asked again.
    const auto next = std::chrono::steady_clock::now() + std::chrono::microseconds(options->interval);
    watching_ = *options;
    answered_ = false;
    Done done = run_buffer(text);
    watching_.reset();
    if (!answered_ || !done || *done != kExitOk || n == options->count || !wait_until(next)) return done;
  }
  for (uint64_t n = 1;; ++n) {
    const auto next = std::chrono::steady_clock::now() + std::chrono::microseconds(options->interval);
    const base::Micros second = base::floor_to(base::wall_clock(), base::kMicrosPerSecond);
    out().write(
        fmt::format("{} (every {})\n", base::format_timestamp(second), base::format_duration(options->interval)));
    Done done = run_buffer(text);
    if (!done || *done != kExitOk) return done;
    if (n == options->count || !wait_until(next)) return kExitOk;
  }
}

Shell::Done Shell::suggest(const std::string& typed) {
  if (!scan(typed).blank) last_statement_ = trimmed(typed);
  if (scan(last_statement_).blank)
    return tl::unexpected(mistaken("42601", "\\suggest for which question?", "write it before the \\suggest"));
  const SentText sent{.source = "question", .source_name = "question", .text = last_statement_};
  const auto answer = client_->post("/api/v1/queries/suggest", {{"text", last_statement_}, {"source", sent.source}},
                                    std::span(&sent, 1));
  if (!answer) return tl::unexpected(answer.error());
  print_text(suggestion_text(*answer, base::wall_clock()));
  return kExitOk;
}

Shell::Done Shell::edit(const MetaCommand& command, std::string& buffer) {
  if (!editor_) return tl::unexpected(mistaken("0A000", "\\e needs a terminal"));
  std::string text;
  if (!command.arguments.empty()) {
    auto edited = open_editor(command.arguments[0]);
    if (!edited) return tl::unexpected(ServiceError(std::move(edited.error())));
    auto read = read_file(command.arguments[0]);
    if (!read) return tl::unexpected(ServiceError(std::move(read.error())));
    text = std::move(*read);
  } else {
    std::string before = scan(buffer).blank ? last_statement_ : buffer;
    if (!before.ends_with('\n')) before += '\n';
    auto edited = edit_text(before);
    if (!edited) return tl::unexpected(ServiceError(std::move(edited.error())));
    text = std::move(*edited);
  }
  while (text.ends_with('\n')) text.pop_back();
  if (text.empty()) return kExitOk;
  // Shown, since it stands nowhere else, and kept in the history as if it had been typed.
  print_text(text + "\n");
  typed_ = text;
  buffer = text + "\n";
  return kExitOk;
}

Shell::Done Shell::include(const std::string& path) {
  if (include_depth_ >= kIncludeDepthMax)
    return tl::unexpected(mistaken("54001", fmt::format("\\i '{}': files that read each other", path)));
  auto text = read_file(path);
  if (!text) return tl::unexpected(ServiceError(std::move(text.error())));
  ++include_depth_;
  const int code = run_text(*text, path);
  --include_depth_;
  return code;  // What went wrong has been told, with its place in the file.
}

Shell::Done Shell::redirect(const std::vector<std::string>& arguments) {
  if (file_ && file_->error() == 0) file_->flush();
  if (arguments.empty()) {
    file_.reset();
    return kExitOk;
  }
  auto opened = Output::to_file(arguments[0]);
  if (!opened) return tl::unexpected(ServiceError(std::move(opened.error())));
  file_ = std::move(*opened);
  return kExitOk;
}

Shell::Done Shell::connect(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return connection_info();
  http::ClientOptions next = server_;
  next.server = arguments[0].find("://") == std::string::npos ? "http://" + arguments[0] : arguments[0];
  next.flag = "\\c URL";
  // A token is one server's; another must not see it because of a slip.
  if (next.server != server_.server) next.token.clear();
  if (arguments.size() > 1) {
    ServiceOptions options;
    options.server = next.server;
    options.token_file = arguments[1];
    const auto with_token = client_options(options);
    if (!with_token) return tl::unexpected(ServiceError(with_token.error()));
    next.token = with_token->token;
  }
  auto client = std::make_unique<ServiceClient>(next);
  if (const auto reached = client->get("/api/v1/whoami"); !reached && reached.error().exit_code != kExitNotFound)
    return tl::unexpected(reached.error());  // The server that was asked so far stays.
  server_ = std::move(next);
  client_ = std::move(client);
  known_.clear();
  known_is_old_ = true;
  last_query_.clear();
  print_text(fmt::format("asking {} from now on\n", server_.server));
  return kExitOk;
}

Shell::Done Shell::why(const std::vector<std::string>& arguments) {
  const std::string query = arguments.empty() ? last_query_ : arguments[0];
  if (query.empty()) return tl::unexpected(mistaken("42601", "\\why of which query?", "\\dq lists them"));
  const auto answer = client_->get(query_path(query, "/why"));
  if (!answer) {
    // A live result is gone when its prompt is back; what was known of it is not.
    if (arguments.empty() && answer.error().status == 404) {
      print_text(last_why_.empty() ? "the live result had rows\n"
                                   : fmt::format("the live result has ended; before that: {}\n", last_why_));
      return kExitOk;
    }
    return tl::unexpected(missing(answer.error(), query));
  }
  const auto text = answer->find("text");
  std::string shown = text != answer->end() && text->is_string() ? text->get<std::string>() : "";
  if (!shown.ends_with('\n')) shown += '\n';
  const auto due = answer->find("due");
  if (due != answer->end() && due->is_string()) {
    const auto time = base::parse_timestamp(due->get<std::string>());
    if (time) shown += fmt::format("next rows due at {}\n", base::format_timestamp(*time));
  }
  print_text(shown);
  return kExitOk;
}

Shell::Done Shell::set_expanded(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    settings_.expanded = settings_.expanded == Expanded::kOn ? Expanded::kOff : Expanded::kOn;
  } else if (arguments[0] == "on") {
    settings_.expanded = Expanded::kOn;
  } else if (arguments[0] == "off") {
    settings_.expanded = Expanded::kOff;
  } else if (arguments[0] == "auto") {
    settings_.expanded = Expanded::kAuto;
  } else {
    return tl::unexpected(mistaken("22023", fmt::format("\\x knows no '{}'", arguments[0]), "\\x on, off or auto"));
  }
  say(settings_.expanded == Expanded::kAuto ? "Expanded display is used automatically."
                                            : fmt::format("Expanded display is {}.", name(settings_.expanded)));
  return kExitOk;
}

Shell::Done Shell::set_timing(const std::vector<std::string>& arguments) {
  if (arguments.empty()) settings_.timing = !settings_.timing;
  else if (arguments[0] == "on" || arguments[0] == "off") settings_.timing = arguments[0] == "on";
  else
    return tl::unexpected(mistaken("22023", fmt::format("\\timing knows no '{}'", arguments[0]), "\\timing on or off"));
  say(fmt::format("Timing is {}.", settings_.timing ? "on" : "off"));
  return kExitOk;
}

Shell::Done Shell::print_setting(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    print_text(fmt::format("expanded  {}\nformat    {}\nnull      '{}'\n", name(settings_.expanded),
                           shell::name(settings_.format), printable(settings_.null_text)));
    return kExitOk;
  }
  const std::string value = arguments.size() > 1 ? arguments[1] : "";
  if (arguments[0] == "expanded")
    return set_expanded(arguments.size() > 1 ? std::vector{value} : std::vector<std::string>{});
  if (arguments[0] == "null") {
    settings_.null_text = printable(value);
    say(fmt::format("Null is shown as '{}'.", settings_.null_text));
    return kExitOk;
  }
  if (arguments[0] == "format") {
    const auto format = parse_table_format(value);
    if (!format) {
      const std::string_view near = base::nearest_name(value, {"table", "csv", "jsonl", "prometheus"});
      return tl::unexpected(
          mistaken("22023", fmt::format("there is no format '{}'", value),
                   near.empty() ? "table, csv, jsonl or prometheus" : fmt::format("did you mean '{}'?", near)));
    }
    settings_.format = *format;
    say(fmt::format("Format is {}.", shell::name(*format)));
    return kExitOk;
  }
  const std::string_view near = base::nearest_name(arguments[0], {"format", "null", "expanded"});
  return tl::unexpected(mistaken("22023", fmt::format("\\pset knows no '{}'", arguments[0]),
                                 near.empty() ? "format, null or expanded" : fmt::format("did you mean '{}'?", near)));
}

}  // namespace backstream::app::shell
