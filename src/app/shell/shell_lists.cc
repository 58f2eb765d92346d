// What the server has, as tables.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/shell/display_text.h"
#include "app/shell/shell.h"
#include "app/shell/terminal.h"

namespace backstream::app::shell {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kKnownFor = 15s;

const Json& member(const Json& object, const char* name) {
  static const Json nothing;
  if (!object.is_object()) return nothing;
  const auto found = object.find(name);
  return found == object.end() ? nothing : *found;
}
std::string text_of(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}
const Json& list_of(const Json& object, const char* name) {
  static const Json none = Json::array();
  const Json& value = member(object, name);
  return value.is_array() ? value : none;
}

/// A table of documents: a column each member.
struct Field {
  const char* member;
  const char* title;
  const char* type;
};
void fill(const Json& list, std::span<const Field> fields, std::vector<ResultColumn>& columns, std::vector<Row>& rows) {
  for (const Field& field : fields) columns.push_back({field.title, field.type});
  for (const Json& entry : list) {
    Row& row = rows.emplace_back();
    for (const Field& field : fields) row.push_back(cell_of(member(entry, field.member)));
  }
}

}  // namespace

void Shell::print_table(std::string_view title, const std::vector<ResultColumn>& columns,
                        const std::vector<Row>& rows) {
  if (settings_.format == TableFormat::kCsv) {
    out().write_record(csv_header(columns));
    for (const Row& row : rows) out().write_record(csv_line(columns, row));
  } else if (settings_.format == TableFormat::kJsonl) {
    for (const Row& row : rows) out().write_record(jsonl_line(columns, row));
  } else {
    TableStyle style{.null_text = settings_.null_text};
    if (out().on_terminal()) style.screen_columns = screen_size(out().descriptor()).columns;
    const bool expanded = settings_.expanded == Expanded::kOn ||
                          (settings_.expanded == Expanded::kAuto && wants_expanded(columns, rows, style));
    if (!title.empty()) out().write(fmt::format("{}\n", title));
    for (const std::string& line :
         expanded ? expanded_table(columns, rows, style) : aligned_table(columns, rows, style))
      out().write(line + "\n");
    out().write(row_count_text(rows.size()) + "\n");
  }
  out().flush();
}

void Shell::print_text(std::string_view text) {
  std::string shown = printable_lines(text);
  if (!shown.empty() && !shown.ends_with('\n')) shown += '\n';
  out().write(shown);
  out().flush();
}

Shell::Done Shell::describe(const MetaCommand& command, std::string_view kind) {
  const auto answer = client_->get("/api/v1/relations");
  if (!answer) return tl::unexpected(answer.error());
  const Json& relations = list_of(*answer, "relations");
  if (!command.arguments.empty()) {
    const std::string& wanted = command.arguments[0];
    std::vector<std::string> names;
    for (const Json& relation : relations) {
      names.push_back(text_of(relation, "name"));
      if (names.back() == wanted) return describe_one(relation, command.plus);
    }
    const std::string_view near = base::nearest_name(wanted, {names.begin(), names.end()});
    ServiceError error(base::fail("42P01", fmt::format("there is no relation \"{}\"", wanted), {},
                                  near.empty() ? "\\d lists them" : fmt::format("did you mean \"{}\"?", near))
                           .value());
    error.exit_code = kExitNotFound;
    return tl::unexpected(std::move(error));
  }
  const std::vector<ResultColumn> columns{
      {"Name", "text"}, {"Kind", "text"}, {"Columns", "integer"}, {"Comment", "text"}};
  std::vector<Row> rows;
  for (const Json& relation : relations) {
    if (!kind.empty() && text_of(relation, "kind") != kind) continue;
    rows.push_back({cell_of(member(relation, "name")),
                    cell_of(member(relation, "kind")),
                    {Cell::Kind::kNumber, std::to_string(list_of(relation, "columns").size())},
                    cell_of(member(relation, "comment"))});
  }
  print_table(kind == "table"  ? "List of tables"
              : kind == "view" ? "List of views"
                               : "List of relations",
              columns, rows);
  return kExitOk;
}

Shell::Done Shell::describe_one(const Json& relation, bool with_text) {
  const std::string relation_name = text_of(relation, "name"), kind = text_of(relation, "kind");
  std::vector<Row> rows;
  for (const Json& column : list_of(relation, "columns"))
    rows.push_back({cell_of(member(column, "name")), cell_of(member(column, "type"))});
  print_table(printable(fmt::format("{} \"{}\"", kind.empty() ? "relation" : kind, relation_name)),
              {{"Column", "text"}, {"Type", "text"}}, rows);
  if (const std::string comment = text_of(relation, "comment"); !comment.empty()) print_text(comment);
  if (settings_.format != TableFormat::kTable || (kind != "query" && kind != "view")) return kExitOk;
  const auto query = client_->get(query_path(relation_name));
  if (!query) return kExitOk;  // A view that stands in no register has no more to tell.
  std::string text;
  if (const std::string state = text_of(*query, "state"); !state.empty() && kind == "query")
    text += fmt::format("State: {}{}\n", state,
                        text_of(*query, "reason").empty() ? "" : fmt::format(" ({})", text_of(*query, "reason")));
  if (const Json& version = member(*query, "version"); version.is_number())
    text += fmt::format("Version: {}\n", version.dump());
  if (const std::string since = text_of(*query, "collecting_since"); !since.empty())
    text += fmt::format("Collecting since: {}\n", shown_value({Cell::Kind::kText, since}, {"", "timestamptz"}, ""));
  std::string reads;
  for (const Json& other : list_of(*query, "reads")) {
    if (other.is_string()) reads += (reads.empty() ? "" : ", ") + other.get<std::string>();
  }
  if (!reads.empty()) text += fmt::format("Reads: {}\n", reads);
  if (with_text) {
    for (const char* const name :
         {"assigned", "counted", "filtered", "late", "errored", "shed", "windows_closed", "result_rows"}) {
      const Json& number = member(member(*query, "ledger"), name);
      if (number.is_number()) text += fmt::format("Ledger: {} {}\n", name, number.dump());
    }
  }
  text += "Definition:\n" + text_of(*query, "text");
  print_text(text);
  return kExitOk;
}

Shell::Done Shell::list_queries(const MetaCommand& command) {
  if (!command.arguments.empty()) return describe(command, "");
  const auto answer = client_->get("/api/v1/queries");
  if (!answer) return tl::unexpected(answer.error());
  Json list = list_of(*answer, "queries");
  for (Json& query : list) {
    if (!query.is_object()) continue;
    query["rows"] = member(member(query, "ledger"), "result_rows");
    if (!text_of(query, "reason").empty()) query["state"] = text_of(query, "state") + ": " + text_of(query, "reason");
    if (member(query, "plain") == true) query["state"] = "view";
  }
  constexpr Field kFields[] = {
      {"name", "Name", "text"},          {"state", "State", "text"},
      {"version", "Version", "integer"}, {"collecting_since", "Collecting since", "timestamptz"},
      {"rows", "Rows", "bigint"},        {"owner", "Owner", "text"},
      {"comment", "Comment", "text"},    {"text", "Text", "text"}};
  std::vector<ResultColumn> columns;
  std::vector<Row> rows;
  fill(list, std::span(kFields).first(std::size(kFields) - (command.plus ? 0 : 1)), columns, rows);
  print_table("List of queries", columns, rows);
  return kExitOk;
}

Shell::Done Shell::list_exporters() {
  const auto answer = client_->get("/api/v1/exporters");
  if (!answer) return tl::unexpected(answer.error());
  constexpr Field kFields[] = {{"address", "Address", "inet"},
                               {"site", "Site", "text"},
                               {"state", "State", "text"},
                               {"flows", "Flows", "bigint"},
                               {"missing", "Missing", "bigint"},
                               {"rejected", "Rejected", "bigint"},
                               {"last_seen", "Last seen", "timestamptz"}};
  std::vector<ResultColumn> columns;
  std::vector<Row> rows;
  fill(list_of(*answer, "exporters"), kFields, columns, rows);
  print_table("List of exporters", columns, rows);
  return kExitOk;
}

Shell::Done Shell::connection_info() {
  const auto who = client_->get("/api/v1/whoami");
  if (!who && who.error().exit_code != kExitNotFound) return tl::unexpected(who.error());
  std::string text = fmt::format("Server: {}\n", server_.server);
  if (who) text += fmt::format("You are: {}, {}\n", text_of(*who, "name"), text_of(*who, "role"));
  if (const std::string filter = who ? text_of(*who, "row_filter") : ""; !filter.empty())
    text += fmt::format("You see only: {}\n", filter);
  const auto status = client_->get("/api/v1/status");
  if (status && status->is_object()) {
    text += fmt::format("Version: {}, node {}", text_of(*status, "version"), text_of(*status, "node"));
    if (const std::string site = text_of(*status, "site"); !site.empty()) text += ", site " + site;
    text += '\n';
    const Json& lag = member(member(*status, "watermark"), "lag_seconds");
    if (lag.is_number()) text += fmt::format("Results are {:.1f} s behind\n", lag.get<double>());
    for (const Json& reason : list_of(*status, "not_ready")) {
      if (reason.is_string()) text += fmt::format("Not ready: {}\n", reason.get<std::string>());
    }
  }
  print_text(text);
  return kExitOk;
}

Completion Shell::complete_line(std::string_view before, std::string_view after) {
  const auto now = std::chrono::steady_clock::now();
  if (known_is_old_ || now - known_at_ > kKnownFor) {
    // A key that is pressed wants an answer now; what cannot be had is not offered.
    http::ClientOptions quick = server_;
    quick.timeout = std::min(quick.timeout, std::chrono::milliseconds(500));
    if (const auto answer = ServiceClient(quick).get("/api/v1/relations")) {
      known_.clear();
      for (const Json& relation : list_of(*answer, "relations")) {
        KnownRelation& known = known_.emplace_back();
        known.name = text_of(relation, "name");
        known.kind = text_of(relation, "kind");
        for (const Json& column : list_of(relation, "columns")) known.columns.push_back(text_of(column, "name"));
      }
    }
    known_at_ = now;
    known_is_old_ = false;
  }
  const std::string text = buffer_ + std::string(before);
  Completion completion = complete(text, after, known_);
  completion.from = completion.from > buffer_.size() ? completion.from - buffer_.size() : 0;
  return completion;
}

}  // namespace backstream::app::shell
