#include "app/query_look.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "app/commands.h"
#include "app/query_texts.h"
#include "app/service_client.h"
#include "app/unified_diff.h"

namespace backstream::app {
namespace {

using nlohmann::json;

constexpr size_t kCommentCharactersMax = 60;

std::string state_of(const json& query) {
  const std::string state = text_of(query, "state");
  if (state == "failed") return "FAILED";
  const auto plain = query.find("plain");
  return plain != query.end() && *plain == true && state == "running" ? "view" : state;
}

std::string counter(const json& query, const char* name) {
  const json& ledger = list_of(query, "ledger");
  return ledger.is_object() ? text_of(ledger, name) : "";
}

std::string joined(const json& list) {
  std::string text;
  for (const json& one : list) {
    if (one.is_string()) text.append(text.empty() ? "" : ", ").append(printable(one.get<std::string>()));
  }
  return text;
}

/// Newest first, as the server says.
ServiceResult<std::vector<json>> versions_of(ServiceClient& client, const std::string& name) {
  auto history = client.get(query_path(name, "/history"));
  if (!history) return tl::unexpected(with_nearest_query(client, std::move(history.error()), name));
  const json& list = list_of(*history, "versions");
  return std::vector<json>(list.begin(), list.end());
}

std::string with_newline(std::string text) {
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  return text;
}

/// Empty: it has none.
std::string ledger_text(const json& ledger) {
  if (!ledger.is_object()) return {};
  std::string text = "\nrows:";
  for (const char* count :
       {"assigned", "counted", "filtered", "late", "errored", "shed", "time_null", "time_future", "lost"}) {
    // Losses that did not happen are not worth a word.
    const bool always = count == std::string_view("assigned") || count == std::string_view("counted");
    if (always || count_of(ledger, count) != 0) text += fmt::format(" {} {}", count_of(ledger, count), count);
  }
  return text + fmt::format("; windows: {} closed, {} result rows\n", count_of(ledger, "windows_closed"),
                            count_of(ledger, "result_rows"));
}

/// printable() would take line ends and tabs.
std::string printable_lines(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\n\t"), text.size());
    out += printable(text.substr(0, end));
    if (end < text.size()) out += text[end];
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return out;
}

/// "edge; sites ams, fra; filter.ams: octets > 5; waits for absent sites"; empty: as without any option.
std::string placement_text(const json& query) {
  const auto found = query.find("placement");
  if (found == query.end() || !found->is_object()) return {};
  const std::string where = text_of(*found, "where");
  std::string text = where == "auto" ? "" : where;
  const auto add = [&](const std::string& more) { text.append(text.empty() ? "" : "; ").append(more); };
  if (const json& sites = list_of(*found, "sites"); !sites.empty()) add("sites " + joined(sites));
  if (const auto filters = found->find("filters"); filters != found->end()) {
    for (const auto& filter : filters->items())
      add(fmt::format("filter.{}: {}", filter.key(), text_of(*filters, filter.key().c_str())));
  }
  if (text_of(*found, "absent_sites") == "wait") add("waits for absent sites");
  return text;
}

std::string readers_of(ServiceClient& client, const std::string& name) {
  std::string readers;
  const auto all = client.get("/api/v1/queries");
  if (!all) return readers;
  for (const json& other : list_of(*all, "queries")) {
    const json& reads = list_of(other, "reads");
    if (std::find(reads.begin(), reads.end(), json(name)) != reads.end())
      readers.append(readers.empty() ? "" : ", ").append(printable(text_of(other, "name")));
  }
  return readers;
}

}  // namespace

int query_list(const Arguments& arguments) {
  ServiceOptions service;
  std::string output = "table";
  CLI::App app(
      "All queries of a server, with what they have counted.\n\n"
      "  backstream query list\n"
      "  backstream query list -o jsonl | jq -r 'select(.state == \"failed\") | .name'",
      "backstream query list");
  app.add_option("-o,--output", output, "table, csv, json, jsonl, or names: one a line")
      ->check(CLI::IsMember({"table", "csv", "json", "jsonl", "names"}))
      ->type_name("FORMAT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->get("/api/v1/queries");
  if (!answer) return complain(answer.error());
  if (output == "json") return write_document(*answer);
  std::vector<std::vector<std::string>> rows = {{"name", "state", "version", "windows", "rows", "owner", "comment"}};
  std::string text;
  for (const json& query : list_of(*answer, "queries")) {
    if (output == "names") text += printable(text_of(query, "name")) + '\n';
    if (output == "jsonl") text += query.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
    const std::string comment = text_of(query, "comment");
    rows.push_back({text_of(query, "name"), output == "csv" ? text_of(query, "state") : state_of(query),
                    text_of(query, "version"), counter(query, "windows_closed"), counter(query, "result_rows"),
                    text_of(query, "owner"), output == "csv" ? comment : shortened(comment, kCommentCharactersMax)});
  }
  if (output == "names" || output == "jsonl") return write_out(text);
  if (output == "csv") {
    for (const auto& row : rows) text += csv_line(row);
    return write_out(text);
  }
  if (rows.size() == 1) return write_out("no queries yet: backstream query add FILE.sql\n");
  return write_out(text_table(rows));
}

int query_show(const Arguments& arguments) {
  ServiceOptions service;
  std::string name, output = "text";
  CLI::App app(
      "One query: its state, columns, counters, who reads it, its text.\n\n"
      "  backstream query show top_talkers\n"
      "  backstream query show top_talkers -o sql > top_talkers.sql",
      "backstream query show");
  app.add_option("NAME", name, "the query")->required()->type_name("");
  app.add_option("-o,--output", output, "text, json, or sql: its text alone")
      ->check(CLI::IsMember({"text", "json", "sql"}))
      ->type_name("FORMAT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto query = client->get(query_path(name));
  if (!query) return complain(with_nearest_query(*client, query.error(), name));
  if (output == "json") return write_document(*query);
  if (output == "sql") return write_out(with_newline(text_of(*query, "text")));

  std::string state = state_of(*query);
  if (const std::string reason = text_of(*query, "reason"); !reason.empty()) state += ": " + reason;
  const std::string since = text_of(*query, "collecting_since");
  const std::pair<const char*, std::string> lines[] = {
      {"query", fmt::format("{}, version {} (revision {})", text_of(*query, "name"), text_of(*query, "version"),
                            text_of(*query, "revision"))},
      {"state", state},
      {"owner", text_of(*query, "owner")},
      {"comment", text_of(*query, "comment")},
      {"changed", short_time(text_of(*query, "changed_at"))},
      {"counting", since.empty() ? "" : "since " + short_time(since)},
      {"placed", placement_text(*query)},
      {"reads", joined(list_of(*query, "reads"))},
      {"read by", readers_of(*client, name)}};
  std::string text;
  for (const auto& [label, value] : lines)
    text += value.empty() ? "" : fmt::format("{:<9} {}\n", label, printable(value));
  std::vector<std::vector<std::string>> columns = {{"column", "type"}};
  for (const json& column : list_of(*query, "columns"))
    columns.push_back({text_of(column, "name"), text_of(column, "type")});
  if (columns.size() > 1) text += '\n' + text_table(columns);
  text += ledger_text(list_of(*query, "ledger"));
  return write_out(text + '\n' + printable_lines(with_newline(text_of(*query, "text"))));
}

int query_history(const Arguments& arguments) {
  ServiceOptions service;
  std::string name, output = "table";
  CLI::App app(
      "The versions of a query, newest first.\n\n"
      "  backstream query history top_talkers",
      "backstream query history");
  app.add_option("NAME", name, "the query")->required()->type_name("");
  app.add_option("-o,--output", output, "table or json")->check(CLI::IsMember({"table", "json"}))->type_name("FORMAT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto versions = versions_of(*client, name);
  if (!versions) return complain(versions.error());
  if (output == "json") return write_document({{"versions", *versions}});
  std::vector<std::vector<std::string>> rows = {{"version", "revision", "at", "author", "text"}};
  for (const json& version : *versions) {
    rows.push_back({text_of(version, "version"), text_of(version, "revision"), short_time(text_of(version, "at")),
                    text_of(version, "author"), shortened(text_of(version, "text"), kCommentCharactersMax)});
  }
  return write_out(text_table(rows));
}

int query_diff(const Arguments& arguments) {
  ServiceOptions service;
  std::string name;
  std::vector<std::string> others;
  CLI::App app(
      "What changed in a query's text, as diff -u shows it: the last change, between versions, or with a file.\n"
      "Exit code 0 also where they differ.\n\n"
      "  backstream query diff top_talkers               the newest version with the one before\n"
      "  backstream query diff top_talkers 2 5\n"
      "  backstream query diff top_talkers queries/top_talkers.sql",
      "backstream query diff");
  app.add_option("NAME", name, "the query")->required()->type_name("");
  app.add_option("VERSION", others, "one version (with the newest), two, or a file")->type_name("or FILE");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  std::vector<uint64_t> wanted;
  std::string file;
  for (const std::string& other : others) {
    const bool is_number = !other.empty() && other.size() < 10 && other.find_first_not_of("0123456789") == other.npos;
    if (is_number) wanted.push_back(std::stoull(other));
    else file = other;
  }
  if (others.size() > 2) return misused("a diff is of two texts", app.get_name() + " --help");
  if (!file.empty() && others.size() > 1)
    return misused("a file is compared with the newest version", app.get_name() + " NAME FILE.sql");
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto versions = versions_of(*client, name);
  if (!versions) return complain(versions.error());
  if (versions->empty()) return complain(base::fail("42704", "there is no version of it").value(), kExitNotFound);
  const json& newest = versions->front();
  const auto label = [&](const json& version) {
    return fmt::format("{} (version {})", printable(name), text_of(version, "version"));
  };
  if (!file.empty()) {
    const auto text = read_text_file(file);
    if (!text) return complain(ServiceError(text.error()));
    // As it would be sent: without the space around it.
    std::string sent = *text;
    if (const auto queries = split_queries(*text, file, name);
        queries && (queries->size() == 1 || queries->front().is_diagram))
      sent = text->substr(queries->front().offset_octets, queries->front().length_octets);
    return write_out(
        unified_diff(with_newline(text_of(newest, "text")), with_newline(std::move(sent)), label(newest), file));
  }
  if (wanted.empty() && versions->size() == 1)
    return write_out(fmt::format("{} is the only version there is\n", label(newest)));
  if (wanted.empty()) wanted.push_back(count_of((*versions)[1], "version"));
  if (wanted.size() == 1) wanted.push_back(count_of(newest, "version"));
  const json* sides[2] = {};
  for (size_t side = 0; side < 2; ++side) {
    for (const json& version : *versions) {
      if (sides[side] == nullptr && count_of(version, "version") == wanted[side]) sides[side] = &version;
    }
    if (sides[side] == nullptr) {
      return complain(base::fail("42704", fmt::format("query '{}' has no version {}", printable(name), wanted[side]),
                                 {}, fmt::format("backstream query history {}", printable(name)))
                          .value(),
                      kExitNotFound);
    }
  }
  return write_out(
      std::string_view(unified_diff(with_newline(text_of(*sides[0], "text")), with_newline(text_of(*sides[1], "text")),
                                    label(*sides[0]), label(*sides[1]))));
}

}  // namespace backstream::app
