// backstream tail: the results of a query of a running server, as they come.
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/result_printer.h"
#include "app/result_tail.h"
#include "app/service_client.h"
#include "app/stop_signal.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

/// The other end of a pipe is closed: nobody will read what is written, also where nothing is written for long.
bool reader_has_gone() {
  pollfd out{STDOUT_FILENO, 0, 0};
  return ::poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

/// When the windows of --from and --since begin; RFC 3339, empty: all.
base::Result<std::string> first_time(const std::string& from, const std::string& since) {
  if (!since.empty()) {
    const auto duration = base::parse_duration(since);
    if (!duration || *duration <= 0)
      return base::fail("usage", fmt::format("'{}' is no duration", printable(since)), {}, "--since 10m");
    return base::format_rfc3339(base::wall_clock() - *duration);
  }
  if (from == "beginning" || from == "end") return std::string();
  const auto time = base::parse_timestamp(from);
  if (!time) {
    return base::fail("usage", fmt::format("'{}' is no time", printable(from)), {},
                      "--from beginning, end or 2026-01-31T12:00:00Z");
  }
  return base::format_rfc3339(*time);
}

/// Who sees nothing is told why, once: what is waited for, and when rows are due.
class Patience {
 public:
  Patience(const http::ClientOptions& server, const std::string& query) : query_(query), client_(quick(server)) {}

  void had_rows() { told_ = true; }
  void look() {
    if (told_ || std::chrono::steady_clock::now() - begin_ < std::chrono::seconds(2)) return;
    told_ = true;
    const auto why = client_.get(query_path(query_, "/why"));
    if (!why) return;  // The tail itself finds out what is wrong.
    for (const nlohmann::json& reason : list_of(*why, "reasons")) {
      if (reason.is_string())
        telemetry::terminal_log().line("backstream: no rows yet: " + printable(reason.get<std::string>()));
    }
  }

 private:
  static http::ClientOptions quick(http::ClientOptions options) {
    options.timeout = std::min(options.timeout, std::chrono::milliseconds(2'000));
    return options;
  }

  const std::string query_;
  ServiceClient client_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  bool told_ = false;
};

}  // namespace

int tail_command(const Arguments& arguments) {
  ServiceOptions service;
  ResultTail::Options options;
  std::string output, from = "beginning", since;
  uint64_t rows_max = UINT64_MAX;
  CLI::App app(
      "The results of a query: those that the server keeps, then those that come, until Ctrl-C.\n"
      "A connection that breaks is made again; nothing is shown twice, and what is lost is said.\n\n"
      "  backstream tail top_talkers\n"
      "  backstream tail top_talkers -o jsonl -n 100 | jq .octets\n"
      "  backstream tail top_talkers --since 10m --exit-at-end -o csv > last.csv",
      "backstream tail");
  app.add_option("QUERY", options.query, "its name")->required()->type_name("");
  app.add_option("-o,--output", output, "table, csv, jsonl or prometheus (default: table on a terminal, else jsonl)")
      ->check(CLI::IsMember({"table", "csv", "jsonl", "prometheus"}))
      ->type_name("FORMAT");
  app.add_option("-n,--rows", rows_max, "end after so many rows")->check(CLI::Range(1ul, UINT64_MAX))->type_name("N");
  auto* const since_option =
      app.add_option("--since", since, "windows that began at most so long ago")->type_name("DURATION");
  app.add_option("--from", from, "beginning (default): all that is kept; end: only what comes; or a time")
      ->excludes(since_option)
      ->type_name("WHERE");
  app.add_flag("--exit-at-end", options.exit_at_end, "end when all that is kept is shown");
  app.add_flag("--revisions", options.revisions,
               "csv, jsonl: every revision of a window, not only final rows, with _rev, _final, _complete, _op");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  if (output.empty()) output = ::isatty(STDOUT_FILENO) == 1 ? "table" : "jsonl";
  const receiver::Format format = *receiver::parse_format(output);
  if (options.revisions && format != receiver::Format::kCsv && format != receiver::Format::kJsonl)
    return misused(fmt::format("--revisions is not for -o {}", output), "give -o csv or -o jsonl");
  auto first = first_time(from, since);
  if (!first) return complain(ServiceError(first.error()));
  options.from = std::move(*first);
  options.history = from != "end";
  const auto server = client_options(service);
  if (!server) return complain(ServiceError(server.error()));
  ServiceClient client(*server);
  Patience patience(*server, options.query);

  ResultPrinter printer(format, options.revisions, STDOUT_FILENO, rows_max);
  bool told_header = false, reader_gone = false;
  const auto say = [](const std::string& text) { telemetry::terminal_log().line("backstream: " + text); };
  ResultTail tail(
      client, options,
      {.on_columns = [&](const auto& columns) { return printer.begin(columns); },
       .on_part =
           [&](const ResultPart& part) {
             const bool more = printer.put(part);
             if (printer.row_count() != 0) patience.had_rows();
             if (printer.header_changed() && format == receiver::Format::kCsv && !std::exchange(told_header, true))
               say("the query has other columns now; another header was written");
             return more;
           },
       .say = say,
       .keep_on =
           [&] {
             reader_gone = reader_gone || reader_has_gone();
             if (reader_gone || stop_requested()) return false;
             patience.look();
             return true;
           }});
  const auto end = tail.run();
  if (printer.error() != 0 && printer.error() != EPIPE) {
    telemetry::terminal_log().error(fmt::format("standard output: {}", std::strerror(printer.error())));
    return kExitFailure;
  }
  if (!end) return complain(with_nearest_query(client, end.error(), options.query));
  if (*end == ResultTail::End::kDropped) say(fmt::format("query '{}' was dropped", printable(options.query)));
  const bool has_ended_itself =
      reader_gone || printer.error() == EPIPE || printer.row_count() >= rows_max || *end != ResultTail::End::kEnough;
  return has_ended_itself ? kExitOk : kExitInterrupted;
}

}  // namespace backstream::app
