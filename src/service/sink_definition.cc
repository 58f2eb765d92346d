#include "service/sink_definition.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "plan/option_values.h"
#include "service/result_board.h"
#include "service/row_filter.h"
#include "sql/parse.h"

namespace backstream::service {

using base::fail;
using base::Result;
using plan::UnboundOption;
using plan::UnboundStatement;
using receiver::ResultForm;
using receiver::ResultPart;

namespace {

constexpr uint64_t kRotateOctetsMin = 64 << 10;
constexpr base::Micros kRotateMin = 10 * base::kMicrosPerSecond;
constexpr uint32_t kSeriesMaxMax = 1'000'000;
constexpr std::string_view kTypes[] = {"file", "postgres", "kafka", "prometheus"};
constexpr base::Micros kRetentionMin = 60 * base::kMicrosPerSecond;
constexpr uint32_t kPartitionsMax = 10'000, kReplicationMax = 100;

/// Options of servers of one type.
struct OptionRow {
  std::string_view name;
  std::optional<SinkServer::Type> of;  ///< none: of all
  Result<void> (*read)(const UnboundOption&, SinkDefinition&);
};

Result<void> read_text(const UnboundOption& option, std::string& to) {
  if (option.value.empty()) return fail("22023", fmt::format("{} is empty", option.name), option.span);
  to = option.value;
  return {};
}

Result<uint32_t> read_count(const UnboundOption& option, uint32_t most) {
  uint32_t value = 0;
  const char* const end = option.value.data() + option.value.size();
  const auto [at, error] = std::from_chars(option.value.data(), end, value);
  if (error == std::errc() && at == end && value >= 1 && value <= most) return value;
  return fail("22023", fmt::format("invalid value \"{}\" for {}", option.value, option.name), option.span,
              fmt::format("a whole number, 1 to {}", most));
}

/// As Kafka has them.
bool is_topic_name(std::string_view name) {
  return !name.empty() && name.size() <= 249 && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
         });
}
tl::unexpected<base::Diagnostic> bad_topic(std::string_view name, base::SourceSpan span) {
  return fail("22023", fmt::format("'{}' cannot name a topic", name), span,
              "WITH (topic = '…'): letters, digits, '.', '_' and '-', at most 249");
}

constexpr OptionRow kOptions[] = {
    {"server", std::nullopt, [](const UnboundOption& o, SinkDefinition& to) { return read_text(o, to.server); }},
    {"node", std::nullopt, [](const UnboundOption& o, SinkDefinition& to) { return read_text(o, to.node); }},
    {"format", SinkServer::Type::kFile,
     [](const UnboundOption& o, SinkDefinition& to) -> Result<void> {
       if (o.value == "csv") to.format = SinkDefinition::Format::kCsv;
       else if (o.value == "jsonl") to.format = SinkDefinition::Format::kJsonl;
       else if (o.value == "prometheus") to.format = SinkDefinition::Format::kPrometheus;
       else
         return fail("22023", fmt::format("invalid value \"{}\" for format", o.value), o.span,
                     "it is 'csv', 'jsonl' or 'prometheus'");
       return {};
     }},
    {"rotate", SinkServer::Type::kFile,
     [](const UnboundOption& o, SinkDefinition& to) { return plan::read_interval(o, kRotateMin, to.rotate_us); }},
    {"rotate_size", SinkServer::Type::kFile,
     [](const UnboundOption& o, SinkDefinition& to) {
       return plan::read_octets(o, kRotateOctetsMin, to.rotate_octets);
     }},
    {"table", SinkServer::Type::kPostgres,
     [](const UnboundOption& o, SinkDefinition& to) { return read_text(o, to.table); }},
    {"topic", SinkServer::Type::kKafka,
     [](const UnboundOption& o, SinkDefinition& to) -> Result<void> {
       if (!is_topic_name(o.value)) return bad_topic(o.value, o.span);
       to.topic = o.value;
       return {};
     }},
    {"partitions", SinkServer::Type::kKafka,
     [](const UnboundOption& o, SinkDefinition& to) -> Result<void> {
       const auto count = read_count(o, kPartitionsMax);
       if (!count) return tl::unexpected(count.error());
       to.partitions = *count;
       return {};
     }},
    {"replication", SinkServer::Type::kKafka,
     [](const UnboundOption& o, SinkDefinition& to) -> Result<void> {
       const auto count = read_count(o, kReplicationMax);
       if (!count) return tl::unexpected(count.error());
       to.replication = static_cast<int>(*count);
       return {};
     }},
    {"retention", SinkServer::Type::kKafka,
     [](const UnboundOption& o, SinkDefinition& to) { return plan::read_interval(o, kRetentionMin, to.retention_us); }},
    {"compact", SinkServer::Type::kKafka,
     [](const UnboundOption& o, SinkDefinition& to) { return plan::read_bool(o, to.compact); }},
    {"series_max", SinkServer::Type::kPrometheus,
     [](const UnboundOption& o, SinkDefinition& to) -> Result<void> {
       const auto count = read_count(o, kSeriesMaxMax);
       if (!count) return tl::unexpected(count.error());
       to.series_max = *count;
       return {};
     }},
};

Result<void> read_options(const UnboundStatement& statement, const FindServer& find_server,
                          const std::vector<std::string>& servers, SinkDefinition& to) {
  std::vector<std::string_view> names;
  std::string all_names;
  for (const OptionRow& row : kOptions) {
    names.push_back(row.name);
    all_names.append(all_names.empty() ? "" : ", ").append(row.name);
  }
  const UnboundOption* server = nullptr;
  for (const UnboundOption& option : statement.options) {
    const auto* const known = std::find_if(std::begin(kOptions), std::end(kOptions),
                                           [&](const OptionRow& row) { return row.name == option.name; });
    if (known == std::end(kOptions)) {
      const std::string_view near = base::nearest_name(option.name, names);
      return fail("22023", fmt::format("unrecognized option \"{}\"", option.name), option.span,
                  near.empty() ? all_names : fmt::format("did you mean {}?", near));
    }
    if (auto read = known->read(option, to); !read) return read;
    if (option.name == "server") server = &option;
  }
  std::string there;
  for (const std::string& name : servers) there.append(there.empty() ? "" : ", ").append(name);
  const std::string settings =
      there.empty() ? "the settings name none: [server.NAME] with type = 'file', folder = '…'" : "there are: " + there;
  if (server == nullptr)
    return fail("22023", "a publication names the server that its rows go to", statement.span,
                fmt::format("WITH (server = '…'); {}", settings));
  const auto found = find_server(to.server);
  if (!found) {
    const std::string_view near = base::nearest_name(to.server, {servers.begin(), servers.end()});
    return fail("42704", fmt::format("there is no server '{}'", to.server), server->span,
                near.empty() ? settings : fmt::format("did you mean '{}'?", near));
  }
  for (const UnboundOption& option : statement.options) {
    const auto* const row = std::find_if(std::begin(kOptions), std::end(kOptions),
                                         [&](const OptionRow& r) { return r.name == option.name; });
    // A file for Prometheus is as a server for it in this.
    const bool is_page = to.format == SinkDefinition::Format::kPrometheus;
    if (is_page && found->type == SinkServer::Type::kFile) {
      if (option.name == "series_max") continue;
      if (option.name.starts_with("rotate")) {
        return fail("22023", fmt::format("{} is nothing to format 'prometheus'", option.name), option.span,
                    "its one file is replaced with each window");
      }
    }
    if (row->of && *row->of != found->type) {
      return fail(
          "22023",
          fmt::format("{} is nothing to server '{}', whose type is {}", option.name, to.server, name(found->type)),
          option.span, fmt::format("it is for servers of type {}", name(*row->of)));
    }
  }
  if (found->type == SinkServer::Type::kKafka && to.topic.empty() && !is_topic_name(to.query))
    return bad_topic(to.query, statement.relation.span);
  return {};
}

Result<SinkDefinition> read_statement(const UnboundStatement& statement, const std::string& text,
                                      const FindServer& find_server, const std::vector<std::string>& servers) {
  SinkDefinition definition;
  definition.name = statement.name;
  definition.query = statement.relation.name;
  for (const plan::UnboundName& column : statement.insert_columns) definition.columns.push_back(column.name);
  if (auto read = read_options(statement, find_server, servers, definition); !read)
    return tl::unexpected(std::move(read.error()));
  if (statement.where) {
    definition.condition = text.substr(statement.condition_span.offset_octets, statement.condition_span.length_octets);
    if (auto checked = RowFilter::check(definition.condition); !checked) {
      auto error = std::move(checked.error());
      return fail(error.code, std::move(error.message), statement.condition_span, std::move(error.hint));
    }
  }
  return definition;
}

/// The form with the columns alone, and where they were.
struct Projection {
  std::shared_ptr<const ResultForm> form;
  std::vector<size_t> columns;
};

Result<Projection> project(const SinkDefinition& definition, std::shared_ptr<const ResultForm> form) {
  Projection made;
  if (definition.columns.empty()) {
    made.form = std::move(form);
    return made;
  }
  auto cut = std::make_shared<ResultForm>();
  cut->window_size_us = form->window_size_us;
  const auto window_column = [&](int of, size_t from, int& to) {
    if (of == static_cast<int>(from)) to = static_cast<int>(made.columns.size());
  };
  std::vector<std::string_view> names;
  for (const batch::ColumnDef& column : form->schema.columns) names.push_back(column.name);
  for (const std::string& name : definition.columns) {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) {
      const std::string_view near = base::nearest_name(name, names);
      return fail("42703", fmt::format("query '{}' has no column \"{}\"", definition.query, name), {},
                  near.empty() ? "" : fmt::format("did you mean \"{}\"?", near));
    }
    const auto from = static_cast<size_t>(at - names.begin());
    if (std::find(form->keys.begin(), form->keys.end(), static_cast<int>(from)) != form->keys.end())
      cut->keys.push_back(static_cast<int>(made.columns.size()));
    window_column(form->window_start_column, from, cut->window_start_column);
    window_column(form->window_end_column, from, cut->window_end_column);
    cut->schema.columns.push_back(form->schema.columns[from]);
    made.columns.push_back(from);
  }
  if (cut->keys.size() != form->keys.size()) {
    std::string keys;
    for (const int key : form->keys)
      keys.append(keys.empty() ? "" : ", ").append(form->schema.columns[static_cast<size_t>(key)].name);
    return fail("42P10", fmt::format("rows of '{}' cannot be told apart by these columns alone", definition.query), {},
                fmt::format("name all of its keys: {}", keys));
  }
  std::sort(cut->keys.begin(), cut->keys.end());
  for (size_t to = 0; to < made.columns.size() && !form->stderr_of.empty(); ++to) {
    const int of = form->stderr_of[made.columns[to]];
    const auto at =
        of < 0 ? made.columns.end() : std::find(made.columns.begin(), made.columns.end(), static_cast<size_t>(of));
    cut->stderr_of.push_back(at == made.columns.end() ? -1 : static_cast<int>(at - made.columns.begin()));
  }
  made.form = std::move(cut);
  return made;
}

}  // namespace

bool is_for_prometheus(const SinkDefinition& definition, SinkServer::Type type) {
  return type == SinkServer::Type::kPrometheus ||
         (type == SinkServer::Type::kFile && definition.format == SinkDefinition::Format::kPrometheus);
}

std::string_view name(SinkServer::Type type) { return kTypes[static_cast<size_t>(type)]; }

Result<SinkDefinition> read_sink(const std::string& text, const std::string& source_name, const FindServer& find_server,
                                 const std::vector<std::string>& servers) {
  auto statements = sql::parse(text, source_name);
  if (!statements) return tl::unexpected(std::move(statements.error()));
  Result<SinkDefinition> read;
  if (statements->size() != 1 || statements->front().kind != UnboundStatement::Kind::kCreatePublication) {
    read = fail("42601", statements->size() > 1 ? "one statement at a time" : "this is no statement about a sink",
                statements->size() > 1 ? (*statements)[1].span : base::SourceSpan{},
                "CREATE PUBLICATION name FOR TABLE query WITH (server = '…')");
  } else {
    read = read_statement(statements->front(), text, find_server, servers);
  }
  if (read) return read;
  base::Diagnostic error = std::move(read.error());
  if (error.line == 0) base::locate(error, source_name, text);
  return tl::unexpected(std::move(error));
}

Result<void> check_selection(const SinkDefinition& definition, const SinkServer& server, const ResultForm& form) {
  const auto projection = project(definition, std::make_shared<ResultForm>(form));
  if (!projection) return tl::unexpected(projection.error());
  using Column = receiver::PrometheusColumn;
  const auto columns = receiver::prometheus_columns(*projection->form);
  if (is_for_prometheus(definition, server.type) &&
      std::none_of(columns.begin(), columns.end(), [](const Column& c) { return c.role == Column::Role::kMeasure; })) {
    return fail("22023", fmt::format("'{}' gives Prometheus nothing to measure", definition.query), {},
                "of a query with GROUP BY: a column that is a number and not among the keys");
  }
  if (definition.condition.empty()) return {};
  auto filter = RowFilter::make(definition.condition, form.schema);
  if (!filter) return tl::unexpected(std::move(filter.error()));
  return {};
}

sink::Selection make_selection(const SinkDefinition& definition) {
  struct State {
    SinkDefinition definition;
    std::shared_ptr<const ResultForm> of;  ///< what follows is for
    std::optional<Result<Projection>> projection;
    std::optional<Result<RowFilter>> filter;
  };
  auto state = std::make_shared<State>();
  state->definition = definition;
  return [state](const std::shared_ptr<const ResultPart>& part) -> Result<std::shared_ptr<const ResultPart>> {
    if (part->form != state->of) {
      state->of = part->form;
      state->projection.emplace(project(state->definition, part->form));
      state->filter.reset();
      if (!state->definition.condition.empty())
        state->filter.emplace(RowFilter::make(state->definition.condition, part->form->schema));
    }
    if (!*state->projection) return tl::unexpected(state->projection->error());
    if (state->filter && !*state->filter) return tl::unexpected(state->filter->error());
    // Removed rows have nothing but their keys: a condition over others says nothing of them, and who has not the row
    // has nothing to remove.
    std::shared_ptr<const ResultPart> wanted = part;
    if (state->filter && !part->removed) wanted = filtered_part(*part, **state->filter);
    const Projection& projection = **state->projection;
    if (projection.columns.empty()) return wanted;
    auto cut = std::make_shared<ResultPart>(*wanted);
    cut->form = projection.form;
    cut->rows.columns.clear();
    for (const size_t column : projection.columns) cut->rows.columns.push_back(wanted->rows.columns[column]);
    return cut;
  };
}

}  // namespace backstream::service
