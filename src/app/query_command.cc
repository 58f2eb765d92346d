// backstream query: the register of a running server. Here what changes it; query_look.cc has what looks at it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/diagram_texts.h"
#include "app/query_apply.h"
#include "app/query_deploy.h"
#include "app/query_look.h"
#include "app/query_texts.h"
#include "app/service_client.h"
#include "app/suggestion_text.h"

namespace backstream::app {
namespace {

using nlohmann::json;

constexpr std::string_view kAbout =
    "The queries of a running server: they come, go and change while flows go on.\n\n"
    "  backstream query add queries/top_talkers.sql      one more; its name is in its text, or the file's\n"
    "  backstream query add top -e \"SELECT ...\"\n"
    "  backstream query apply queries/ --dry-run         what would change so that the server has what the files say\n"
    "  backstream query list\n\n"
    "  add       a new query                           alter     a new version of one; it takes over at a window's "
    "end\n"
    "  list      all of them                           show      one: text, columns, counters, who reads it\n"
    "  history   the versions of one                   diff      between versions, or with a file\n"
    "  validate  is a text right, without adding it    explain   its plan\n"
    "  suggest   what answers a question about the past\n"
    "  pause, resume, drop                             of one or several\n"
    "  move      to other sites                        apply     a directory of files, all or nothing\n"
    "  deploy    to the nodes that a deploy file of Borealis names\n\n"
    "Each has --help. Exit codes: 0 done; 2 wrong flags; 3 SQL that is refused; 4 the server is not there; 5 not\n"
    "allowed; 6 no such query; 7 too slow; 1 all else, such as a query that others read.\n";

/// The text of a query as the flags give it: NAME, FILE.sql or FILE.xml, -e SQL.
struct GivenText {
  std::vector<std::string> positional;
  std::vector<std::string> bindings;  ///< of a diagram
  std::string execute;
  bool has_execute = false;
};

void add_text_flags(CLI::App& app, GivenText& given) {
  app.add_option("NAME", given.positional,
                 "what it is called, and FILE.sql or FILE.xml (a diagram) with its text; - is standard input")
      ->type_name("FILE.sql");
  app.add_option("-e,--execute", given.execute, "the text, in place of a file")
      ->type_name("SQL")
      ->each([&given](const std::string&) { given.has_execute = true; });
  add_bind_flag(app, given.bindings);
}

bool is_file_name(const std::string& word) {
  return word == "-" || is_query_file(word) || word.find('/') != std::string::npos;
}

struct ReadText {
  std::string name, source_name, text;
  QueryText query;
  std::vector<SentText> sent() const {
    return {{query.source, source_name, text, query.offset_octets, query.length_octets}};
  }
  json body() const {
    json document = {{"text", std::string(sent()[0].sent())}, {"source", query.source}};
    if (!name.empty()) document["name"] = name;
    return document;
  }
};

ServiceResult<ReadText> read_text(const GivenText& given, const std::string& command, bool needs_name) {
  const auto usage = [&](std::string message) {
    return tl::unexpected(ServiceError(
        base::fail("usage", std::move(message), {}, command + " [NAME] FILE.sql or FILE.xml, or NAME -e 'SELECT ...'")
            .value()));
  };
  ReadText read;
  std::string file;
  for (const std::string& word : given.positional) {
    std::string& to = is_file_name(word) ? file : read.name;
    if (!to.empty()) return usage(fmt::format("'{}' and '{}': which of them?", printable(to), printable(word)));
    to = word;
  }
  if (file.empty() == !given.has_execute) return usage(file.empty() ? "no text" : "a file and -e are two texts");
  if (given.has_execute) {
    read.source_name = "-e";
    read.text = given.execute;
  } else {
    auto text = read_text_file(file);
    if (!text) return tl::unexpected(ServiceError(std::move(text.error())));
    read.source_name = file;
    read.text = std::move(*text);
  }
  auto bound = with_bindings(read.text, read.source_name, given.bindings);
  if (!bound) return tl::unexpected(ServiceError(std::move(bound.error())));
  read.text = std::move(*bound);
  const std::string by_file = file.ends_with(".sql") ? std::filesystem::path(file).stem().string() : "";
  auto queries = split_queries(read.text, read.source_name, read.name.empty() ? by_file : read.name);
  if (!queries) return tl::unexpected(ServiceError(std::move(queries.error())));
  const bool is_diagram = queries->front().is_diagram;
  if (queries->size() > 1 && !is_diagram) {
    auto several = base::fail("42601", "a query is one statement", (*queries)[1].place,
                              "backstream query apply DIR takes files of several");
    base::locate(several.value(), read.source_name, read.text);
    return tl::unexpected(ServiceError(std::move(several.value())));
  }
  if (queries->size() > 1 && read.name.empty() && needs_name) {
    std::string names;
    for (const QueryText& query : *queries) names.append(names.empty() ? "" : ", ").append(query.name);
    return usage(fmt::format("the diagram has several output streams ({}), and a query is one: which?", names));
  }
  read.query = std::move(queries->front());
  if (read.name.empty() && queries->size() == 1) read.name = read.query.name;
  if (read.name.empty() && needs_name) return usage("the query has no name");
  return read;
}

/// "added top_talkers v1; reader starts anew with it".
std::string done_text(const json& answer) {
  std::string text;
  for (const json& one : list_of(answer, "done")) {
    const std::string verb = text_of(one, "verb");
    constexpr std::pair<std::string_view, std::string_view> kPast[] = {
        {"add", "added"},    {"alter", "altered"},  {"drop", "dropped"},
        {"pause", "paused"}, {"resume", "resumed"}, {"unchanged", "unchanged:"}};
    std::string_view past = verb;
    for (const auto& [own, word] : kPast) past = own == verb ? word : past;
    text += fmt::format("{} {}", past, text_of(one, "name"));
    std::string also;
    for (const json& reader : list_of(one, "also"))
      also.append(also.empty() ? "; starts anew with it: " : ", ")
          .append(reader.is_string() ? reader.get<std::string>() : "");
    text += also;
    if (const uint64_t version = count_of(list_of(answer, "query"), "version"); version != 0)
      text += fmt::format(" (version {})", version);
    text += '\n';
  }
  return text;
}

/// One edit of one query.
struct EditFlags {
  ServiceOptions service;
  GivenText text;
  std::string comment, owner;
  std::optional<uint64_t> if_revision;
};

void add_edit_flags(CLI::App& app, EditFlags& flags) {
  add_text_flags(app, flags.text);
  app.add_option("--comment", flags.comment, "what it is for")->type_name("TEXT");
  app.add_option("--owner", flags.owner, "whom to ask about it (default: who adds it)")->type_name("NAME");
  add_service_flags(app, flags.service);
}

int add(const Arguments& arguments) {
  EditFlags flags;
  CLI::App app(
      "Adds a query.\n\n"
      "  backstream query add queries/top_talkers.sql --comment 'for the NOC'\n"
      "  backstream query add top -e \"SELECT ...\"\n"
      "  backstream query add matrix queries/borealis/traffic_matrix.xml --bind packets=flows\n"
      "  generate_query.sh | backstream query add top -",
      "backstream query add");
  add_edit_flags(app, flags);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto read = read_text(flags.text, app.get_name(), true);
  if (!read) return complain(read.error());
  auto client = ServiceClient::open(flags.service);
  if (!client) return complain(client.error());
  json body = read->body();
  if (!flags.comment.empty()) body["comment"] = flags.comment;
  if (!flags.owner.empty()) body["owner"] = flags.owner;
  auto answer = client->post("/api/v1/queries", body, read->sent());
  if (!answer) {
    if (answer.error().code == "42710") answer.error().hint = fmt::format("backstream query alter {}", read->name);
    return complain(answer.error());
  }
  return write_out(done_text(*answer) + fmt::format("next: backstream tail {}\n", printable(read->name)));
}

int alter(const Arguments& arguments) {
  EditFlags flags;
  CLI::App app(
      "Gives a query a new text. The new version takes over at a window's end; nothing is counted twice or lost.\n\n"
      "  backstream query alter queries/top_talkers.sql\n"
      "  backstream query alter top -e \"SELECT ...\" --if-revision 15     only if nobody was faster",
      "backstream query alter");
  add_edit_flags(app, flags);
  app.add_option("--if-revision", flags.if_revision, "refuse if it has another revision by now")->type_name("N");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto read = read_text(flags.text, app.get_name(), true);
  if (!read) return complain(read.error());
  auto client = ServiceClient::open(flags.service);
  if (!client) return complain(client.error());
  // PUT would add what is not there: of somebody who mistyped the name.
  json edit = read->body();
  edit["action"] = "alter";
  if (!flags.comment.empty()) edit["comment"] = flags.comment;
  if (!flags.owner.empty()) edit["owner"] = flags.owner;
  if (flags.if_revision) edit["expected"] = *flags.if_revision;
  const auto answer = client->post("/api/v1/apply", {{"edits", json::array({edit})}, {"dry_run", false}}, read->sent());
  if (!answer) return complain(with_nearest_query(*client, answer.error(), read->name));
  return write_out(done_text(*answer));
}

int validate(const Arguments& arguments) {
  ServiceOptions service;
  GivenText given;
  CLI::App app(
      "Says whether a text could be added or altered now, and what that would do. Changes nothing.\n\n"
      "  backstream query validate queries/top_talkers.sql",
      "backstream query validate");
  add_text_flags(app, given);
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto read = read_text(given, app.get_name(), false);
  if (!read) return complain(read.error());
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto answer = client->post("/api/v1/validate", read->body(), read->sent());
  if (!answer) return complain(answer.error());
  std::string text = "ok";
  for (const json& one : list_of(*answer, "done")) {
    const std::string verb = text_of(one, "verb");
    if (read->name.empty() && !read->query.is_diagram) break;
    text += fmt::format("{}{} would be {}", text == "ok" ? ": " : "; ", printable(text_of(one, "name")),
                        verb == "add"         ? "a new query"
                        : verb == "unchanged" ? "as it is"
                                              : "a new version");
    for (const json& reader : list_of(one, "also"))
      text += fmt::format(", {} would start anew", reader.is_string() ? printable(reader.get<std::string>()) : "");
  }
  return write_out(text + '\n');
}

int explain(const Arguments& arguments) {
  ServiceOptions service;
  GivenText given;
  bool distributed = false;
  std::string as = "plan";
  CLI::App app(
      "Shows the plan of a query, or of a text as if it were added; or writes it in the other language.\n\n"
      "  backstream query explain top_talkers\n"
      "  backstream query explain -e \"SELECT ...\"\n"
      "  backstream query explain matrix.xml --as sql",
      "backstream query explain");
  add_text_flags(app, given);
  app.add_flag("--distributed", distributed, "with what runs at the edge and what where it is merged");
  add_as_flag(app, as);
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  json body;
  ReadText read;
  const bool is_name = !given.has_execute && given.positional.size() == 1 && !is_file_name(given.positional[0]);
  if (is_name) {
    read.name = read.source_name = given.positional[0];
    const auto query = client->get(query_path(read.name));
    if (!query) return complain(with_nearest_query(*client, query.error(), read.name));
    read.text = text_of(*query, "text");
    read.query.source = read.name;
    read.query.length_octets = read.text.size();
  } else {
    auto given_text = read_text(given, app.get_name(), false);
    if (!given_text) return complain(given_text.error());
    read = std::move(*given_text);
  }
  body = read.body();
  if (distributed) body["options"] = "DISTRIBUTED";
  if (as != "plan") body["as"] = as;
  const auto answer = client->post("/api/v1/explain", body, read.sent());
  if (!answer) return complain(answer.error());
  return write_out(text_of(*answer, as == "plan" ? "plan" : "text"));
}

int suggest(const Arguments& arguments) {
  ServiceOptions service;
  GivenText given;
  std::string output = "table";
  CLI::App app(
      "Says which results that are kept answer a question about the past, and with which SELECT; else what they lack,\n"
      "and what keeps it from now on. The question is written as if the flows were there. Changes nothing.\n\n"
      "  backstream query suggest -e \"SELECT window_start, src_as, sum(octets) AS octets\n"
      "                               FROM tumble(flows, time, interval '1 h')\n"
      "                               WHERE dst_as = 64500 AND time >= '2026-11-20' GROUP BY 1, 2\"",
      "backstream query suggest");
  app.add_option("FILE", given.positional, "FILE.sql with the question; - is standard input")->type_name("FILE.sql");
  app.add_option("-e,--execute", given.execute, "the question, in place of a file")
      ->type_name("SQL")
      ->each([&given](const std::string&) { given.has_execute = true; });
  app.add_option("-o,--output", output, "table or json")->check(CLI::IsMember({"table", "json"}))->type_name("FORMAT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto read = read_text(given, app.get_name(), false);
  if (!read) return complain(read.error());
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  json body = read->body();
  body.erase("name");
  const auto answer = client->post("/api/v1/queries/suggest", body, read->sent());
  if (!answer) return complain(answer.error());
  return output == "json" ? write_document(*answer) : write_out(suggestion_text(*answer, base::wall_clock()));
}

/// pause, resume, drop: of all that are named, or of none.
int change_several(const Arguments& arguments, const std::string& verb, const std::string& about) {
  ServiceOptions service;
  std::vector<std::string> names;
  std::string comment;
  CLI::App app(about, "backstream query " + verb);
  app.add_option("NAME", names, "one or several: all or none are done")->required()->type_name("");
  app.add_option("--comment", comment, "why, for the audit")->type_name("TEXT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  json edits = json::array();
  for (const std::string& name : names) {
    edits.push_back({{"action", verb}, {"name", name}});
    if (!comment.empty()) edits.back()["comment"] = comment;
  }
  const auto answer = client->post("/api/v1/apply", {{"edits", edits}, {"dry_run", false}});
  if (!answer) {
    ServiceError error = answer.error();
    // Which of several is not there stands in the message; the nearest name can be told of one.
    return complain(names.size() == 1 ? with_nearest_query(*client, std::move(error), names[0]) : error);
  }
  return write_out(done_text(*answer));
}

int pause(const Arguments& arguments) {
  return change_several(arguments, "pause",
                        "Stops queries and keeps them: they count nothing until they are resumed.\n\n"
                        "  backstream query pause top_talkers --comment 'while the customer moves'");
}
int resume(const Arguments& arguments) {
  return change_several(arguments, "resume",
                        "Starts queries that were paused, or that failed. They begin with the next window.\n\n"
                        "  backstream query resume top_talkers");
}
int drop(const Arguments& arguments) {
  return change_several(arguments, "drop",
                        "Removes queries. What reads them must go first, or together with them.\n\n"
                        "  backstream query drop top_talkers\n"
                        "  backstream query drop base reader");
}

int move(const Arguments& arguments) {
  ServiceOptions service;
  std::string name, sites, placement;
  CLI::App app(
      "Has a query count other sites, or run elsewhere: its text gets the options `sites` and `placement`, as a new\n"
      "version, which takes over at the next begin of a window. What --sites or --placement do not name stays.\n\n"
      "  backstream query move top_talkers --sites fra,ams --placement edge\n"
      "  backstream query move top_talkers --sites all",
      "backstream query move");
  app.add_option("NAME", name, "the query")->required()->type_name("");
  auto* sites_given = app.add_option("--sites", sites, "only rows of these sites; all: the option is taken away")
                          ->type_name("SITE,SITE");
  app.add_option("--placement", placement, "auto, edge or central")
      ->check(CLI::IsMember({"auto", "edge", "central"}))
      ->type_name("WHERE");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  if (sites_given->count() == 0 && placement.empty())
    return misused("where to?", "--sites fra,ams, --placement auto|edge|central");
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  const auto query = client->get(query_path(name));
  if (!query) return complain(with_nearest_query(*client, query.error(), name));
  std::vector<OptionChange> changes;
  if (sites_given->count() != 0)
    changes.push_back(sites.empty() || sites == "all" ? OptionChange{"sites", std::nullopt}
                                                      : set_option("sites", sites));
  if (!placement.empty()) changes.push_back(set_option("placement", placement));
  const auto text = with_options(text_of(*query, "text"), name, changes);
  if (!text) return complain(ServiceError(text.error()));
  const std::vector<SentText> sent = {{name, name + " (moved)", *text}};
  const auto answer =
      client->put(query_path(name), {{"text", *text}, {"source", name}}, sent, count_of(*query, "revision"));
  if (!answer) return complain(answer.error());
  return write_out(done_text(*answer));
}

int apply(const Arguments& arguments) {
  ServiceOptions service;
  std::string directory, set_name, output = "table";
  bool dry_run = false, prune = false;
  CLI::App app(
      "Makes the server have what the *.sql and *.xml of a directory say, all or nothing. Files of several CREATE\n"
      "statements are several queries, and so are diagrams of several output streams; a SELECT is called as its file.\n"
      "Queries that it makes are owned by 'apply:DIR', and\n"
      "--prune drops only such: what people added by hand stays.\n\n"
      "  backstream query apply queries/ --dry-run\n"
      "  backstream query apply queries/ --prune",
      "backstream query apply");
  app.add_option("DIR", directory, "its *.sql and *.xml, not those below it")->required()->type_name("");
  app.add_flag("--dry-run", dry_run, "say what would be done, and check it; change nothing");
  app.add_flag("--prune", prune, "drop what an earlier apply of this set made and no file names any more");
  app.add_option("--set", set_name, "the name of this set of files (default: the directory's)")->type_name("NAME");
  app.add_option("-o,--output", output, "table or json")->check(CLI::IsMember({"table", "json"}))->type_name("FORMAT");
  add_service_flags(app, service);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto files = read_query_directory(directory);
  if (!files) return complain(files.error());
  auto client = ServiceClient::open(service);
  if (!client) return complain(client.error());
  json queries;
  if (prune) {
    auto list = client->get("/api/v1/queries");
    if (!list) return complain(list.error());
    queries = std::move(*list);
  }
  const auto plan = plan_apply(*files, queries, apply_owner(directory, set_name), prune);
  if (!plan) return complain(plan.error());
  const auto answer = client->post("/api/v1/apply", {{"edits", plan->edits}, {"dry_run", dry_run}}, plan->texts);
  if (!answer) return complain(answer.error());
  return output == "json" ? write_document(*answer) : write_out(apply_report(*plan, *answer, dry_run));
}

}  // namespace

int query_command(const Arguments& arguments) {
  constexpr Subcommand kSubcommands[] = {{"add", add},         {"list", query_list},   {"show", query_show},
                                         {"alter", alter},     {"move", move},         {"pause", pause},
                                         {"resume", resume},   {"drop", drop},         {"history", query_history},
                                         {"diff", query_diff}, {"validate", validate}, {"explain", explain},
                                         {"suggest", suggest}, {"apply", apply},       {"deploy", query_deploy}};
  return run_subcommand("query", kAbout, kSubcommands, arguments);
}

}  // namespace backstream::app
