// backstream catalog, backstream audit: what a running server keeps, as a whole, and who changed it.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include "app/catalog_store.h"
#include "app/client_command.h"
#include "app/commands.h"
#include "app/kafka_options.h"
#include "app/service_client.h"
#include "config/load.h"
#include "http/url.h"
#include "receiver/text_buffer.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

using nlohmann::json;

constexpr std::string_view kAbout =
    "The catalog of a running server: queries, nodes, sinks, alerts, as one document.\n\n"
    "  backstream catalog export catalog.json      for a copy, or another installation\n"
    "  backstream catalog import catalog.json\n"
    "  backstream catalog restore                  without a server: the topic of many nodes, from this one's copy\n\n"
    "Each has --help. Export and import need an admin's token.\n";

base::Diagnostic file_error(const std::string& path) {
  return base::fail("file", fmt::format("cannot write '{}': {}", printable(path), std::strerror(errno))).value();
}

/// Whole or not at all: a copy that was cut would be found out when it is needed.
std::optional<base::Diagnostic> write_file(const std::string& path, std::string_view text) {
  const std::string unfinished = path + ".unfinished";
  const int descriptor = ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return file_error(unfinished);
  receiver::TextBuffer out(descriptor);
  out.append(text);
  out.flush();
  errno = out.error();
  bool done = errno == 0 && ::fsync(descriptor) == 0;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  done = done && std::rename(unfinished.c_str(), path.c_str()) == 0;
  if (done) return std::nullopt;
  base::Diagnostic diagnostic = file_error(path);
  ::unlink(unfinished.c_str());
  return diagnostic;
}

int export_catalog(const Arguments& arguments) {
  ServiceOptions service;
  std::string file = "-";
  CLI::App app(
      "Writes the catalog to a file (mode 600), or standard output.\n\n"
      "  backstream catalog export catalog.json",
      "backstream catalog export");
  app.add_option("FILE", file, "- is standard output")->type_name("");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto document = client->get_text("/api/v1/catalog/export", "application/json");
  if (!document) return complain(document.error());
  if (file == "-") return write_out(*document);
  if (const auto error = write_file(file, *document)) return complain(*error, kExitFailure);
  return write_out(fmt::format("wrote {} ({} octets)\n", printable(file), document->size()));
}

int import_catalog(const Arguments& arguments) {
  ServiceOptions service;
  std::string file;
  CLI::App app(
      "Takes what an export wrote into the catalog of a server that has nothing of the same name.\n\n"
      "  backstream catalog import catalog.json",
      "backstream catalog import");
  app.add_option("FILE", file, "- is standard input")->required()->type_name("");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto text = read_text_file(file);
  if (!text) return complain(ServiceError(text.error()));
  const json document = json::parse(*text, nullptr, false);
  if (!document.is_object()) {
    return complain(base::fail("22P02", fmt::format("'{}' is no JSON document", printable(file)), {},
                               "`backstream catalog export` writes one")
                        .value(),
                    kExitInvalid);
  }
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->post("/api/v1/catalog/import", document);
  if (!answer) return complain(answer.error());
  return write_out(fmt::format("imported {} objects\n", count_of(*answer, "imported")));
}

int restore(const Arguments& arguments) {
  std::optional<std::string> file;
  Arguments assignments;
  CLI::App app(
      "After the topic of the catalog was lost (catalog.store = kafka): makes it anew, and puts into it what this "
      "node's\n"
      "copy has. On the node whose copy is at the highest revision, while no serve runs there.\n\n"
      "  backstream catalog restore --config edge.toml",
      "backstream catalog restore");
  add_settings_flags(app, file, assignments);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  config::LoadRequest request;
  request.file = file;
  request.default_file = config::kDefaultFile;
  request.environment = environ;
  request.kafka_property = kafka_property_fault;
  request.assignments = assignments;
  const config::Loaded loaded = config::load(request);
  for (const base::Diagnostic& error : loaded.errors) telemetry::terminal_log().line(error.render());
  if (!loaded.errors.empty()) return kExitInvalid;
  if (loaded.settings.catalog.store != config::CatalogStore::kKafka) {
    return complain(base::fail("55000", "the catalog of these settings is not in Kafka", {},
                               "--config and --set must be those of the node (catalog.store = 'kafka')")
                        .value(),
                    kExitInvalid);
  }
  const auto restored = restore_catalog(loaded.settings, {loaded.settings.node.name, "restore"});
  if (!restored) return complain(restored.error(), kExitFailure);
  return write_out(fmt::format("restored {} objects\n", *restored));
}

}  // namespace

int catalog_command(const Arguments& arguments) {
  constexpr Subcommand kSubcommands[] = {{"export", export_catalog}, {"import", import_catalog}, {"restore", restore}};
  return run_subcommand("catalog", kAbout, kSubcommands, arguments);
}

int audit_command(const Arguments& arguments) {
  constexpr uint64_t kPageEntries = 1'000;
  ServiceOptions service;
  std::string output = "table", since, kind, name;
  std::optional<uint64_t> entries_max;
  CLI::App app(
      "Who changed what, newest first. Needs an admin's token.\n\n"
      "  backstream audit -n 20\n"
      "  backstream audit --since 1d --name top_talkers\n"
      "  backstream audit --since 7d -o jsonl",
      "backstream audit");
  app.add_option("-n,--entries", entries_max, "so many (default 100; with --since all)")
      ->check(CLI::Range(uint64_t{1}, uint64_t{10'000'000}))
      ->type_name("N");
  app.add_option("--since", since, "those of the last so long")->type_name("DURATION");
  app.add_option("--kind", kind, "only of such objects: query, sink, alert, ...")->type_name("KIND");
  app.add_option("--name", name, "only of this object")->type_name("NAME");
  app.add_option("-o,--output", output, "table, csv or jsonl")
      ->check(CLI::IsMember({"table", "csv", "jsonl"}))
      ->type_name("FORMAT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  std::optional<base::Micros> oldest;
  if (!since.empty()) {
    const auto duration = base::parse_duration(since);
    if (!duration || *duration <= 0) return misused(fmt::format("'{}' is no duration", printable(since)), "--since 1d");
    oldest = base::wall_clock() - *duration;
  }
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  uint64_t left = entries_max.value_or(oldest ? UINT64_MAX : 100);
  const std::vector<std::string> header = {"at", "author", "via", "verb", "kind", "name", "version", "comment"};
  std::vector<std::vector<std::string>> rows = {header};
  std::string text = output == "csv" ? csv_line(header) : "";
  std::optional<uint64_t> before;
  for (bool more = true; more && left > 0;) {
    const uint64_t wanted = std::min(left, kPageEntries);
    std::string target = fmt::format("/api/v1/audit?limit={}", wanted);
    if (before) target += fmt::format("&before={}", *before);
    if (!kind.empty()) target += "&kind=" + http::percent_encode(kind);
    if (!name.empty()) target += "&name=" + http::percent_encode(name);
    const auto answer = client->get(target);
    if (!answer) return complain(answer.error());
    const json& entries = list_of(*answer, "entries");
    more = entries.size() >= wanted;
    for (const json& entry : entries) {
      const auto at = base::parse_timestamp(text_of(entry, "at"));
      if (oldest && at && *at < *oldest) {
        more = false;
        break;
      }
      if (left == 0) break;
      std::vector<std::string> cells;
      for (const std::string& member : header) cells.push_back(text_of(entry, member));
      if (output == "jsonl") text += entry.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
      if (output == "csv") text += csv_line(cells);
      if (output == "table") {
        cells[0] = short_time(cells[0]);
        rows.push_back(std::move(cells));
      }
      --left;
    }
    // A server that does not go back would keep us here for ever.
    const uint64_t last = entries.empty() ? 0 : count_of(entries.back(), "revision");
    more = more && last != 0 && (!before || last < *before);
    before = last;
    if (output != "table") {
      if (const int code = write_out(text); code != kExitOk) return code;
      text.clear();
    }
  }
  return output == "table" ? write_out(text_table(rows)) : kExitOk;
}

}  // namespace backstream::app
