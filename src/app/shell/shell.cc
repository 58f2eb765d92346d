#include "app/shell/shell.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/shell/display_text.h"
#include "app/shell/history_file.h"
#include "app/shell/line_editor.h"
#include "app/shell/statement_scanner.h"
#include "app/shell/terminal.h"
#include "app/stop_signal.h"
#include "sql/parse.h"
#include "telemetry/terminal_log.h"

namespace backstream::app::shell {
namespace {

/// The parser takes texts up to this; longer ones go to it a statement at a time.
constexpr size_t kParsedOctetsMax = 64 << 10;

/// Something that the next line goes on with: a statement, or a comment that is open.
bool has_begun(std::string_view text) {
  const Scan scanned = scan(text);
  return !scanned.blank || scanned.inside != Scan::Inside::kNothing;
}

/// A mistake in the part [begin, …) of `whole`, placed in the whole.
ServiceError placed(base::Diagnostic diagnostic, std::string_view whole, size_t begin, const std::string& source_name) {
  if (diagnostic.line == 0) return ServiceError(std::move(diagnostic));
  diagnostic.span.offset_octets += static_cast<uint32_t>(begin);
  base::locate(diagnostic, source_name, whole);
  return ServiceError(std::move(diagnostic));
}

}  // namespace

Shell::Shell(http::ClientOptions server, ShellSettings settings, Output& standard)
    : server_(std::move(server)),
      client_(std::make_unique<ServiceClient>(server_)),
      settings_(std::move(settings)),
      standard_(standard) {}
Shell::~Shell() = default;

std::string Shell::Statement::text(base::SourceSpan span) const {
  return std::string(whole.substr(begin + span.offset_octets, span.length_octets));
}
SentText Shell::Statement::sent(base::SourceSpan span) const {
  return {.source = source_name.empty() ? "statement" : source_name,
          .source_name = source_name,
          .text = whole,
          .offset_octets = begin + span.offset_octets,
          .length_octets = span.length_octets};
}

int Shell::tell(const ServiceError& error) const {
  const std::string text = error.render();
  telemetry::TerminalLog& log = telemetry::terminal_log();
  // What the server says may quote what others have sent to it.
  log.line(log.on_terminal() ? printable_lines(text) : text);
  return error.exit_code;
}

ServiceError Shell::missing(ServiceError error, const std::string& name) {
  // The server's own hint is for programs.
  if (error.status == 404 && error.hint.starts_with("GET ")) error.hint.clear();
  const bool bare = error.status == 404 && error.hint.empty();
  error = with_nearest_query(*client_, std::move(error), name);
  if (bare && !error.hint.starts_with("did you mean")) error.hint = "\\dq lists those that there are";
  return error;
}

void Shell::say(std::string_view line) const {
  if (!settings_.quiet) telemetry::terminal_log().line(line);
}

Shell::Done Shell::run_piece(std::string_view whole, size_t begin, size_t end, const std::string& source_name) {
  const std::string_view piece = whole.substr(begin, end - begin);
  if (piece.size() > kParsedOctetsMax) {
    const Scan scanned = scan(piece);
    if (scanned.end == Scan::End::kStatement && scanned.at < piece.size()) {
      Done first = run_piece(whole, begin, begin + scanned.at, source_name);
      if (!first || *first != kExitOk) return first;
      return run_piece(whole, begin + scanned.at, end, source_name);
    }
  }
  const auto parsed = sql::parse(piece, source_name);
  if (!parsed) return tl::unexpected(placed(parsed.error(), whole, begin, source_name));
  for (const plan::UnboundStatement& statement : *parsed) {
    const auto started = std::chrono::steady_clock::now();
    Done done = run_statement({statement, whole, begin, source_name});
    if (settings_.timing) {
      const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - started;
      out().write(fmt::format("Time: {:.3f} ms\n", took.count()));
    }
    out().flush();
    // Ctrl-C ends a live result; who has more behind it in the same text wants that to end, too.
    if (!done || *done != kExitOk || interrupted()) return done;
  }
  return kExitOk;
}

int Shell::run_text(std::string_view text, const std::string& source_name) {
  size_t begin = 0;  // Of what has not run yet.
  while (begin < text.size() && !quit_) {
    // All up to the next meta command is parsed at once: a slip in the last statement is told before the first runs.
    size_t at = begin;
    Scan scanned = scan(text.substr(at));
    bool blank = scanned.blank;
    while (scanned.end == Scan::End::kStatement) {
      at += scanned.at;
      scanned = scan(text.substr(at));
      blank = blank && scanned.blank;
    }
    at += scanned.at;
    const bool meta = scanned.end == Scan::End::kMeta;
    MetaCommand command;
    size_t used = 0;
    if (meta) {
      auto parsed = parse_meta(text.substr(at), used);
      if (!parsed) {
        base::Diagnostic mistake = std::move(parsed.error());
        mistake.line = 1;
        return tell(placed(std::move(mistake), text, at, source_name));
      }
      command = std::move(*parsed);
    }
    std::string buffer;  // What stands before \g or \watch is theirs to run.
    using Kind = MetaCommand::Kind;
    const bool takes_buffer =
        meta && (command.kind == Kind::kWatch || command.kind == Kind::kSuggest || command.kind == Kind::kGoExpanded);
    size_t end = at;
    if (takes_buffer && !scanned.blank) {
      end = at - scanned.at;
      buffer = text.substr(end, scanned.at);
    }
    if (!blank && !trimmed(text.substr(begin, end - begin)).empty()) {
      Done done = run_piece(text, begin, end, source_name);
      if (!done) return tell(done.error());
      if (*done != kExitOk) return *done;
      last_statement_ = trimmed(text.substr(begin, end - begin));
      if (interrupted()) break;
    }
    begin = at;
    if (!meta) break;
    Done done = run_meta(command, buffer);
    if (!done) return tell(done.error());
    if (*done != kExitOk) return *done;
    begin = at + used;
    if (standard_.error() != 0) break;
  }
  out().flush();
  return kExitOk;
}

Shell::Done Shell::run_buffer(std::string text) {
  const std::string statement(trimmed(text));
  if (statement.empty() || scan(statement).blank) return kExitOk;
  last_statement_ = statement;
  clear_interrupt();
  Done done = run_piece(statement, 0, statement.size(), "");
  if (interrupted()) clear_interrupt();
  return done;
}

bool Shell::word_for_command(std::string_view line) {
  const std::string_view word = trimmed(line);
  if (word == "quit" || word == "exit") {
    quit_ = true;
    return true;
  }
  if (word != "help") return false;
  print_text(
      "\\? lists the commands of this shell, \\h the statements. A statement ends with ;\n\\d shows what there is, \\q "
      "leaves.\n");
  return true;
}

/// Takes a line that was typed: runs what is complete, keeps the rest.
void Shell::feed(std::string line) {
  if (!has_begun(buffer_)) {
    buffer_.clear();
    if (word_for_command(line)) return;
  }
  typed_ += (typed_.empty() ? "" : "\n") + line;
  buffer_ += line + "\n";
  while (!quit_ && !stop_requested()) {
    const Scan scanned = scan(buffer_);
    if (scanned.end == Scan::End::kText) {
      if (trimmed(buffer_).empty()) buffer_.clear();
      return;
    }
    if (scanned.end == Scan::End::kStatement) {
      std::string statement = buffer_.substr(0, scanned.at);
      buffer_.erase(0, std::min(buffer_.find_first_not_of(" \t\r\n", scanned.at), buffer_.size()));
      if (scanned.blank) continue;
      if (const Done done = run_buffer(std::move(statement)); !done) tell(done.error());
      continue;
    }
    size_t used = 0;
    std::string rest, before = buffer_.substr(0, scanned.at);
    const auto command = parse_meta(std::string_view(buffer_).substr(scanned.at), used);
    rest = buffer_.substr(scanned.at + used);
    if (rest.starts_with('\n')) rest.erase(0, 1);
    if (!command) {
      telemetry::terminal_log().line(printable_lines(command.error().render()));
    } else {
      clear_interrupt();
      if (const Done done = run_meta(*command, before); !done) tell(done.error());
      if (interrupted()) clear_interrupt();
    }
    out().flush();
    buffer_ = before + rest;
  }
}

void Shell::start_text() {
  if (settings_.quiet) return;
  const auto status = client_->get("/api/v1/status");
  std::string text = fmt::format("backstream {}, {}", BACKSTREAM_VERSION, server_.server);
  if (status && status->is_object()) {
    const auto member = [&](const char* part, const char* name) -> uint64_t {
      const auto found = status->find(part);
      if (found == status->end() || !found->is_object() || !found->contains(name)) return 0;
      return (*found)[name].is_number() ? static_cast<uint64_t>((*found)[name].get<double>()) : 0;
    };
    text += fmt::format(": {} queries run, {} exporters send, {} flows/s", member("queries", "running"),
                        member("exporters", "sending"), member("rates", "flows"));
  }
  print_text(text + "\n\\? help  \\h SQL  \\q quit\n\n");
}

int Shell::interact() {
  if (const auto reached = client_->get("/api/v1/whoami"); !reached && reached.error().exit_code != kExitNotFound)
    return tell(reached.error());
  editor_ = std::make_unique<LineEditor>(HistoryFile::usual_path());
  editor_->on_tab([this](std::string_view before, std::string_view after) { return complete_line(before, after); });
  start_text();
  while (!quit_ && !stop_requested()) {
    std::string line;
    const char mark = prompt_mark(scan(buffer_));
    const LineEditor::Outcome outcome = editor_->read(fmt::format("backstream{}> ", mark), line);
    if (outcome == LineEditor::Outcome::kEnd) break;
    if (outcome == LineEditor::Outcome::kInterrupted) {
      buffer_.clear();
      typed_.clear();
      continue;
    }
    feed(std::move(line));
    if (has_begun(buffer_)) continue;
    if (!typed_.empty() && !editor_->remember(typed_))
      telemetry::terminal_log().warning(
          fmt::format("'{}' cannot be written: what you type is not kept", HistoryFile::usual_path()));
    typed_.clear();
  }
  return kExitOk;
}

}  // namespace backstream::app::shell
